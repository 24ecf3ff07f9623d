"""Answer requests on canary keys: plant one, list them, take one out, and tell who used one.

The key itself is in one answer, the one that made it; nothing of it is kept but a keyed hash.
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, Final

import structlog

from watchword.adapters.canary_alarms import KeptAlarm
from watchword.adapters.canary_file import CanaryFile, PlantedCanary
from watchword.adapters.keyring.private_file import PrivateFileError
from watchword.apps.service.context import ServiceContext
from watchword.apps.service.messages import Request, Response, json_response, text_member
from watchword.apps.service.operator.instances import MAX_LISTED, read_limit
from watchword.apps.service.operator.secret_view import moment
from watchword.apps.service.operator.trail import record
from watchword.enrolment.statement import MAX_NAME_CHARACTERS
from watchword.reasons import MalformedError, Reason, UnavailableError

_REQUIRED: Final = frozenset({"name", "like"})
_OPTIONAL: Final = frozenset({"note", "headers", "parameters"})
_MAX_CHARACTERS: Final = 200

_log = structlog.get_logger()


async def plant_canary(context: ServiceContext, request: Request) -> Response:
    """Make a canary key that looks like a provider's, and return it, this once.

    Expects ``name`` and ``like``; at will ``note`` (where it is planted), and ``headers`` and ``parameters`` that
    are looked into beside the usual ones.
    """
    members, canaries = request.members, _canaries(context)
    if not _REQUIRED <= members.keys() <= _REQUIRED | _OPTIONAL:
        raise MalformedError.because(
            Reason.REQUEST_MALFORMED,
            "expected the members name and like, and at will note, headers and parameters",
        )
    name = text_member(members, "name", MAX_NAME_CHARACTERS)
    like = text_member(members, "like", MAX_NAME_CHARACTERS)
    note = text_member(members, "note", _MAX_CHARACTERS) if "note" in members else ""
    add = partial(
        canaries.add,
        name,
        like,
        context.clock.timestamp(),
        note=note,
        headers=_texts(members, "headers"),
        parameters=_texts(members, "parameters"),
    )
    await record(context, request, "canary.plant", name, {"like": like, "note": note})
    # It waits for a file lock and for the disk, which the event loop must not.
    with _told():
        made = await asyncio.to_thread(add)
    await context.publisher.publish(context.clock.now())
    _log.info("canary.planted", canary=name, like=like)
    (planted,) = (each for each in canaries.planted() if each.name == name)
    return json_response(201, {**_shown(planted), "key": made.value, "beside": made.beside})


async def list_canaries(context: ServiceContext, _request: Request) -> Response:
    """Return the canaries, without their keys: nobody has those but where they were planted."""
    with _told():
        planted = _canaries(context).planted()
    return json_response(200, {"canaries": [_shown(each) for each in planted]})


async def remove_canary(context: ServiceContext, request: Request) -> Response:
    """Forget a canary: from then on its use isn't noticed."""
    name, canaries = request.parameters["name"], _canaries(context)
    await record(context, request, "canary.remove", name)
    with _told():
        gone = await asyncio.to_thread(canaries.remove, name)
    await context.publisher.publish(context.clock.now())
    _log.info("canary.removed", canary=name)
    return json_response(200, _shown(gone))


async def list_alarms(context: ServiceContext, request: Request) -> Response:
    """Return who used canaries, newest first, and how often each was used; those with the same traits are one.

    The query's ``canary`` names one of them, also one that was removed.
    """
    alarms, limit = context.secrets.alarms, read_limit(request.query)
    wanted = request.query.get("canary")
    if alarms is None:
        return json_response(200, {"totals": {}, "alarms": []})
    kept = await asyncio.to_thread(alarms.recent, MAX_LISTED)
    totals = await asyncio.to_thread(alarms.totals)
    found = [each for each in kept if wanted in {None, each.alarm.canary}][:limit]
    return json_response(200, {"totals": dict(totals), "alarms": [_alarm(each) for each in found]})


def _alarm(kept: KeptAlarm) -> dict[str, Any]:
    traits = kept.alarm._asdict()
    del traits["at"]
    return {
        "first": moment(kept.first),
        "last": moment(kept.last),
        "uses": kept.uses,
        **traits,
        "header_names": list(kept.alarm.header_names),
    }


@contextmanager
def _told() -> Iterator[None]:
    """Tell the operator which file is wrong, and in which way."""
    try:
        yield
    except PrivateFileError as error:
        raise UnavailableError(Reason.SECRET_STORE_UNAVAILABLE, str(error)) from None


def _canaries(context: ServiceContext) -> CanaryFile:
    canaries = context.secrets.canaries
    if canaries is None:
        raise UnavailableError(Reason.SECRET_STORE_UNAVAILABLE, "this service keeps no canaries")
    return canaries


def _shown(canary: PlantedCanary) -> dict[str, Any]:
    return {
        "name": canary.name,
        "like": canary.kind,
        "made_at": moment(canary.made_at),
        "note": canary.note,
        "headers": list(canary.headers),
        "parameters": list(canary.parameters),
    }


def _texts(members: Mapping[str, Any], name: str) -> Sequence[str]:
    value = members.get(name, [])
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise MalformedError.because(Reason.REQUEST_MALFORMED, f"expected {name} as a list of text")
    return value
