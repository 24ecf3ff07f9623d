"""Answer the operator's requests about cuts: rehearse one, make it, look how far each is, stop one."""

import asyncio
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from watchword.apps.service.app import (
    Request,
    Response,
    json_response,
    require_members,
    text_member,
)
from watchword.apps.service.audit import MAX_BECAUSE_CHARACTERS, actor_of
from watchword.apps.service.context import ServiceContext
from watchword.apps.service.cuts import (
    DEFAULT_PAUSE,
    DEFAULT_STEP,
    MAX_PAUSE,
    CutRequest,
    Rehearsal,
)
from watchword.encoding.phrases import moment as utc
from watchword.enrolment.statement import MAX_NAME_CHARACTERS, require_app
from watchword.gate.cuts import BUCKETS, ScheduledCut
from watchword.reasons import MalformedError, Reason
from watchword.tokens.jose import is_signed_by
from watchword.vocabulary import Level

_REQUIRED: Final = frozenset({"app", "because"})
_OPTIONAL: Final = frozenset({"issued_before", "level", "pause", "step"})
_MOST_SECONDS: Final = 10**11
_MOST_DIGITS: Final = 11


async def rehearse_cut(context: ServiceContext, request: Request) -> Response:
    """Return whom a cut would hit and how many renewals it would cause; nothing is changed."""
    if "app" not in request.query:
        raise MalformedError.because(Reason.REQUEST_MALFORMED, "expected app in the query")
    given = {
        name: _number(value, name) if name in {"issued_before", "pause", "step"} else value
        for name, value in request.query.items()
    }
    wanted = _wanted(context, given)
    rehearsal = await context.cuts.rehearse(wanted, await _capacity(context))
    return json_response(200, _rehearsal(wanted, rehearsal))


async def make_cut(context: ServiceContext, request: Request) -> Response:
    """Cut tokens off, and return after every gate of this state directory can know the first step."""
    members = request.members
    if not _REQUIRED <= members.keys() <= _REQUIRED | _OPTIONAL:
        raise MalformedError.because(
            Reason.REQUEST_MALFORMED,
            f"expected the members {', '.join(sorted(_REQUIRED))}, and at will "
            f"{', '.join(sorted(_OPTIONAL))}",
        )
    wanted = _wanted(context, members)
    because = text_member(members, "because", MAX_BECAUSE_CHARACTERS)
    actor = actor_of(request)
    made = await context.safeguards.with_room(lambda: context.cuts.make(wanted, because, actor))
    await context.safeguards.with_room(lambda: context.publisher.publish(context.clock.now()))
    return json_response(201, _cut(made))


async def list_cuts(context: ServiceContext, _request: Request) -> Response:
    """Return the cuts that are in force, in the order in which they were made."""
    return json_response(200, {"cuts": [_cut(each) for each in await context.cuts.listed()]})


async def stop_cut(context: ServiceContext, request: Request) -> Response:
    """End the steps of a cut; a second time changes nothing."""
    require_members(request.members, "because")
    because = text_member(request.members, "because", MAX_BECAUSE_CHARACTERS)
    name = request.parameters["id"].removeprefix("cut-")
    # A number that nobody has is answered as any other cut that isn't there.
    number = _number(name, "id") if name.isascii() and name.isdigit() else 0
    stopped = await context.cuts.stop(number, because, actor_of(request))
    return json_response(200, _cut(stopped))


def _wanted(context: ServiceContext, members: Mapping[str, Any]) -> CutRequest:
    app = text_member(members, "app", MAX_NAME_CHARACTERS)
    require_app(context.cuts.policy, app)
    level = members.get("level")
    try:
        found = None if level is None else Level(level)
    except ValueError:
        raise MalformedError.because(
            Reason.REQUEST_MALFORMED, "expected level to be hardware, verified or software"
        ) from None
    before = members.get("issued_before")
    return CutRequest(
        app,
        found,
        None if before is None else _within(before, "issued_before", 1, _MOST_SECONDS),
        _within(members.get("step", DEFAULT_STEP), "step", 1, BUCKETS),
        _within(members.get("pause", DEFAULT_PAUSE), "pause", 0, MAX_PAUSE),
    )


def _number(text: str, name: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS):
        raise MalformedError.because(
            Reason.REQUEST_MALFORMED, f"expected {name} to be a whole number"
        )
    return int(text)


def _within(value: Any, name: str, least: int, most: int) -> int:
    if type(value) is not int or not least <= value <= most:
        raise MalformedError.because(
            Reason.REQUEST_MALFORMED, f"expected {name} to be a whole number from {least} to {most}"
        )
    return value


_COMMITS: Final = 5
_VERIFICATIONS: Final = 20

RENEWAL_VERIFICATIONS: Final = 41
"""What a challenge and a renewal over HTTP cost beside the store: so many verifications of an ES256 signature."""


async def _capacity(context: ServiceContext) -> float:
    """Estimate how many renewals a second this service carries out, by what the disk and the processor do right now."""
    began = time.perf_counter()
    for _ in range(_COMMITS):
        await context.store.check_writable()
    commit = (time.perf_counter() - began) / _COMMITS
    signer = context.keyring.bundle_signer()
    key = signer.verification_key().key

    def verify() -> float:
        signature = signer.sign(b"")
        began = time.thread_time()
        for _ in range(_VERIFICATIONS):
            is_signed_by(key, signature, b"")
        return (time.thread_time() - began) / _VERIFICATIONS

    return 1 / max(commit, RENEWAL_VERIFICATIONS * await asyncio.to_thread(verify))


def _rehearsal(wanted: CutRequest, found: Rehearsal) -> dict[str, Any]:
    return {
        "app": wanted.app,
        "level": None if wanted.level is None else wanted.level.value,
        "instances": found.holders,
        "step": wanted.step,
        "pause": wanted.pause,
        "steps": found.steps,
        "seconds": found.seconds,
        "token_lifetime": found.lifetime,
        "usual": round(found.usual, 1),
        "peak": round(found.peak, 1),
        "capacity": round(found.capacity, 1),
        "fits": found.fits,
        "fitting_pause": found.fitting_pause,
    }


def _cut(each: ScheduledCut) -> dict[str, Any]:
    cut, stopped = each.cut, each.stopped_at
    return {
        "id": each.name,
        "app": cut.app,
        "level": None if cut.level is None else cut.level.value,
        "issued_before": utc(datetime.fromtimestamp(cut.before, UTC)),
        "share": cut.share,
        "of": BUCKETS,
        "step": each.step,
        "pause": each.pause,
        "made_at": utc(each.made_at),
        "made_by": each.made_by,
        "because": each.because,
        "stopped_at": None if stopped is None else utc(stopped),
        "goes_on": each.goes_on,
    }
