"""Answer requests on openings: what is open, open a route for a while, close it before its time."""

import asyncio
from datetime import UTC, datetime
from typing import Any, Final

import structlog

from watchword.apps.service.app import (
    Request,
    Response,
    json_response,
    require_members,
    text_member,
)
from watchword.apps.service.audit import (
    MAX_BECAUSE_CHARACTERS,
    actor_of,
    record,
    record_or_enqueue,
)
from watchword.apps.service.context import ServiceContext
from watchword.apps.service.openings import HeldOpening, find_route
from watchword.encoding.phrases import moment as utc
from watchword.gate.interface import GatePolicy, Route
from watchword.gate.openings import LONGEST_OPENING, OPENED
from watchword.reasons import MalformedError, Reason
from watchword.vocabulary import Mode

_MAX_ROUTE_CHARACTERS: Final = 2000
_log = structlog.get_logger()


async def list_openings(context: ServiceContext, _request: Request) -> Response:
    """Return what is open now."""
    held = await asyncio.to_thread(context.publisher.openings.in_force, context.clock.timestamp())
    return json_response(200, {"openings": [_opening(each) for each in held]})


async def add_opening(context: ServiceContext, request: Request) -> Response:
    """Open a route to ``mode`` for ``seconds``, and return after every gate of this state directory can know it.

    It takes the place of an opening of the same route.  What can't be recorded in the audit trail isn't opened.
    """
    require_members(request.members, "route", "mode", "seconds", "because")
    because = text_member(request.members, "because", MAX_BECAUSE_CHARACTERS)
    policy, route = _row(context, request)
    _require_book(context, "routes are opened")
    book, now = context.publisher.openings, context.clock.now()
    wanted = await asyncio.to_thread(
        book.proposed, policy, route, *_terms(request), now.timestamp()
    )
    told = {
        "api": policy.api,
        "mode": wanted.mode.value,
        "until": _moment(wanted.until),
        "because": because,
    }
    await record(context, request, "openings.add", route.name, told)
    held = await asyncio.to_thread(
        book.begin, policy.api, wanted, now.timestamp(), because, actor_of(request)
    )
    await context.publisher.publish(now)
    _log.warning("opened", route=route.name, mode=wanted.mode.value, until=told["until"])
    return json_response(201, _opening(held))


async def end_opening(context: ServiceContext, request: Request) -> Response:
    """Close a route before its time; also where that can't be recorded, since it takes nothing but freedom away.

    The answer says whether it is ``recorded``, and whether it was open (``ended``).
    """
    require_members(request.members, "route")
    policy, route = _row(context, request)
    _require_book(context, "routes are closed")
    book, now = context.publisher.openings, context.clock.now()
    held = await asyncio.to_thread(book.in_force, now.timestamp())
    ended = any((each.api, each.opening.route) == (policy.api, route.name) for each in held)
    recorded = True
    if ended:
        recorded = await record_or_enqueue(
            context, request, "openings.end", route.name, {"api": policy.api}
        )
        written = await asyncio.to_thread(book.end, policy.api, route.name, now.timestamp())
        recorded = recorded and written
        await context.safeguards.with_room(lambda: context.publisher.publish(now))
        _log.info("closed", route=route.name)
    return json_response(
        200, {"api": policy.api, "route": route.name, "ended": ended, "recorded": recorded}
    )


def _require_book(context: ServiceContext, what: str) -> None:
    """Refuse what only the node that tells gates can do, where each has a book of its own."""
    if not context.publisher.openings.is_shared:
        context.publisher.require_lead(what)


def _row(context: ServiceContext, request: Request) -> tuple[GatePolicy, Route]:
    text = text_member(request.members, "route", _MAX_ROUTE_CHARACTERS)
    return find_route(tuple(context.publisher.policies.values()), text)


def _terms(request: Request) -> tuple[Mode, int]:
    mode, seconds = request.members["mode"], request.members["seconds"]
    if mode not in list(OPENED) or type(seconds) is not int:
        raise MalformedError.because(
            Reason.REQUEST_MALFORMED,
            f"expected mode to be monitor or off, and seconds a whole number up to {LONGEST_OPENING}",
        )
    return Mode(mode), seconds


def _opening(held: HeldOpening) -> dict[str, Any]:
    return {
        "api": held.api,
        "route": held.opening.route,
        "mode": held.opening.mode.value,
        "made_at": _moment(held.made_at),
        "until": _moment(held.opening.until),
        "because": held.because,
        "by": held.by,
    }


def _moment(seconds: int) -> str:
    return utc(datetime.fromtimestamp(seconds, UTC))
