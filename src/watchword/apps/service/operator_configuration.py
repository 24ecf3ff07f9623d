"""Answer the operator on the configuration: what is in force, what a file would change, put it in force, go back."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

import structlog

from watchword.adapters.applied_files import AppliedFile
from watchword.apps.compose.applied import MOST_TOLD, ConfigurationDesk, Proposal
from watchword.apps.service.app import Request, Response, json_response, require_members
from watchword.apps.service.audit import (
    MAX_BECAUSE_CHARACTERS,
    actor_of,
    record,
    record_or_enqueue,
)
from watchword.apps.service.configuration import LiveConfiguration
from watchword.apps.service.context import ServiceContext
from watchword.apps.settings.faults import join
from watchword.ports import AuditEntry
from watchword.reasons import (
    MalformedError,
    Reason,
    RefusedError,
    UnavailableError,
    WatchwordError,
)

SUBJECT: Final = "configuration"
"""Of the audit entries."""

_HASH_DIGITS: Final = 64
_log = structlog.get_logger()


async def begin(context: ServiceContext) -> None:
    """Record what was applied while no service ran; it is in force also where that can't be kept yet."""
    live = context.configuration
    if live is None or live.desk.applied is None:
        return
    for file in await asyncio.to_thread(live.desk.kept):
        if not file.recorded:
            told = {"number": file.number, "because": file.because, "sha256": file.sha256}
            at = datetime.fromtimestamp(file.at, UTC)
            entry = AuditEntry(at, file.by, "configuration.offline", SUBJECT, told)
            try:
                await context.store.add_audit(entry)
                await asyncio.to_thread(live.desk.note_recorded, file.number)
            except WatchwordError as error:
                context.store.enqueue(entry)
                _log.error("audit entry isn't written yet", action=entry.action, fault=str(error))


async def show_configuration(context: ServiceContext, _request: Request) -> Response:
    """Return what is in force, what waits for a restart, and by what the file differs."""
    live = _live(context)
    desk = live.desk
    answer = {
        "file": str(desk.file),
        "number": desk.number,
        "sha256": desk.sha256,
        "generation": context.publisher.generation,
        "waiting": [join(each.path) for each in desk.waiting],
        "applied": [each.as_dict() for each in await asyncio.to_thread(_kept, desk)],
        "fault": None,
        "proposal": None,
    }
    try:
        answer["proposal"] = (await live.proposed()).as_dict()
    except RefusedError as error:
        answer["fault"] = error.refusals[0].detail
    return json_response(200, answer)


async def check_configuration(context: ServiceContext, request: Request) -> Response:
    """Return what applying the file would do."""
    require_members(request.members, "sha256")
    live = _live(context)
    proposal = await live.proposed()
    _require_same(proposal, request)
    return json_response(200, {"base": live.desk.number, **proposal.as_dict()})


async def apply_configuration(context: ServiceContext, request: Request) -> Response:
    """Put the file in force, and return after every gate of this state directory can know it."""
    require_members(request.members, "sha256", "base", "widen", "because")
    live = _live(context)
    async with live.turn:
        proposal = await live.proposed()
        _require_same(proposal, request)
        if not proposal.is_new:
            return json_response(200, _answer(context, proposal, changed=False, told=True))
        return await _put_in_force(context, request, proposal, "configuration.apply")


async def roll_back_configuration(context: ServiceContext, request: Request) -> Response:
    """Put in force again what was in force before, and return as :func:`apply_configuration` does."""
    require_members(request.members, "base", "widen", "because")
    live = _live(context)
    async with live.turn:
        proposal = await live.proposed(back=True)
        return await _put_in_force(context, request, proposal, "configuration.rollback")


async def _put_in_force(
    context: ServiceContext, request: Request, proposal: Proposal, action: str
) -> Response:
    live, (base, widen, because) = _live(context), _terms(request)
    if base != live.desk.number:
        raise RefusedError.because(
            Reason.CONFIGURATION_CONFLICT,
            f"got a change of configuration {base}, expected one of {live.desk.number}: another one came first",
        )
    proposal.require_allowed(widen=widen)
    wider = [join(each.path) for each in proposal.widening]
    if wider and not because:
        raise RefusedError.because(
            Reason.CONFIGURATION_WIDENS, "got no reason, expected --because TEXT"
        )
    told = {
        "from": base,
        "because": because,
        "sha256": proposal.sha256,
        "changes": [str(each) for each in proposal.changes[:MOST_TOLD]],
        "widens": wider[:MOST_TOLD],
    }
    if wider:
        await record(context, request, action, SUBJECT, told)
    else:
        await record_or_enqueue(context, request, action, SUBJECT, told)
    now = context.clock.now()
    made = await live.put_in_force(proposal, base, now, actor_of(request), because, recorded=True)
    gates_told = await _tell_gates(context, now)
    _log.warning(
        "configuration in force",
        number=made.number,
        restores=made.restores,
        widens=wider[:MOST_TOLD],
        waits=[join(each.path) for each in proposal.waiting[:MOST_TOLD]],
        generation=context.publisher.generation,
    )
    return json_response(200, _answer(context, proposal, changed=True, told=gates_told))


async def _tell_gates(context: ServiceContext, now: datetime) -> bool:
    """Publish; what can't be told now is told as soon as that is possible."""
    try:
        await context.publisher.publish(now)
    except WatchwordError as error:
        _log.error("gates aren't told of the configuration yet", detail=str(error))
        return False
    # The node that tells gates may be unable to go by it.
    return context.publisher.tells()


def _answer(
    context: ServiceContext, proposal: Proposal, *, changed: bool, told: bool
) -> dict[str, Any]:
    desk = _live(context).desk
    return {
        "number": desk.number,
        "generation": context.publisher.generation,
        "changed": changed,
        "told": told,
        "restores": None if proposal.restores is None else proposal.restores.number,
        **proposal.as_dict(),
    }


def _kept(desk: ConfigurationDesk) -> Sequence[AppliedFile]:
    try:
        return desk.kept()
    except WatchwordError as error:
        _log.warning("what was applied can't be trusted", detail=str(error))
        return [] if desk.applied is None else [desk.applied]


def _live(context: ServiceContext) -> LiveConfiguration:
    if context.configuration is None:
        raise UnavailableError(
            Reason.SERVICE_UNREACHABLE, "this service was started without a configuration file"
        )
    return context.configuration


def _require_same(proposal: Proposal, request: Request) -> None:
    """Refuse a file that isn't the one which the command read: somebody writes it, or the service reads another one."""
    wanted = request.members["sha256"]
    if not isinstance(wanted, str) or len(wanted) != _HASH_DIGITS:
        raise MalformedError.because(
            Reason.REQUEST_MALFORMED, "expected sha256 to be a hash in hexadecimal"
        )
    if wanted != proposal.sha256:
        raise RefusedError.because(
            Reason.CONFIGURATION_CONFLICT,
            "the service reads another text than you: the file changed meanwhile, or the service was started with another file",
        )


def _terms(request: Request) -> tuple[int, bool, str]:
    base, widen = request.members["base"], request.members["widen"]
    because = request.members["because"]
    if type(base) is not int or type(widen) is not bool or not isinstance(because, str):
        raise MalformedError.because(
            Reason.REQUEST_MALFORMED,
            "expected base to be a number, widen true or false, and because text",
        )
    if len(because) > MAX_BECAUSE_CHARACTERS:
        raise MalformedError.because(
            Reason.REQUEST_MALFORMED,
            f"expected because to have at most {MAX_BECAUSE_CHARACTERS} characters",
        )
    return base, widen, because
