"""Answer requests on secrets: look, add, rotate, revoke, see who still uses which version.

A value comes in and never goes out: no answer, audit entry or log line holds one.
"""

from typing import Any, Final

import structlog

from watchword.apps.service.context import ServiceContext
from watchword.apps.service.messages import (
    Request,
    Response,
    json_response,
    require_members,
    text_member,
)
from watchword.apps.service.operator.instances import MAX_BECAUSE_CHARACTERS
from watchword.apps.service.operator.secret_view import every_secret, one_secret, users_of
from watchword.apps.service.operator.trail import record, record_or_owe
from watchword.broker.interface import SecretValue, SecretVersion
from watchword.broker.keeper import SecretKeeper
from watchword.broker.values import check_value
from watchword.enrolment.statement import MAX_NAME_CHARACTERS
from watchword.reasons import MalformedError, Reason, RefusedError, UnavailableError

MAX_OVERLAP: Final = 90 * 86_400
"""Longest time, in seconds, for which an older version counts beside a newer one."""

DEFAULT_OVERLAP: Final = 3600
"""Seconds for which an older version counts beside a newer one where nobody says: time to see that the newer
one works, and to go back to the older one by revoking it.  A delivered secret's lease if that is longer."""

_MAX_VERSION: Final = 2**53

_log = structlog.get_logger()


async def list_secrets(context: ServiceContext, _request: Request) -> Response:
    """Return what there is of every secret, and whether its backend answers; no value."""
    return json_response(200, every_secret(context))


async def show_secret(context: ServiceContext, request: Request) -> Response:
    """Return what there is of one secret: versions, states, times, ways, the routes that use it; no value."""
    return json_response(200, one_secret(context, request.parameters["name"]))


async def list_users(context: ServiceContext, request: Request) -> Response:
    """Return who still uses which version of a secret."""
    return json_response(200, await users_of(context, request.parameters["name"]))


async def add_secret(context: ServiceContext, request: Request) -> Response:
    """Keep the first value of a secret; expects its ``name`` and ``value``."""
    require_members(request.members, "name", "value")
    name = text_member(request.members, "name", MAX_NAME_CHARACTERS)
    keeper = _configured(context, name)
    value = _value(context, name, request)
    await record(context, request, "secret.add", name)
    made = await keeper.add(name, value, context.clock.timestamp())
    return await _changed(context, request, "secret.added", name, made, status=201)


async def rotate_secret(context: ServiceContext, request: Request) -> Response:
    """Let a new value take over; older versions count for the overlap, in seconds.

    Expects at will the number of the version that it follows on in ``expected``: of two rotations at once
    one is then refused, and without it too, since each counts from what there was when it came.
    """
    members = request.members
    if not {"value"} <= members.keys() <= {"value", "overlap", "expected"}:
        raise MalformedError.because(
            Reason.REQUEST_MALFORMED, "expected the member value, and at will overlap and expected"
        )
    name = request.parameters["name"]
    keeper = _configured(context, name)
    expected = _number(members.get("expected"), "expected", 1, _MAX_VERSION)
    if expected is None:
        # What there was when the request came: of two at once the second must not bury the first one's value.
        expected = _newest(keeper, name)
    overlap = _number(members.get("overlap"), "overlap", 0, MAX_OVERLAP)
    if overlap is None:
        rule = context.secrets.deliveries.get(name)
        overlap = max(DEFAULT_OVERLAP, 0 if rule is None else rule.lease)
    value = _value(context, name, request)
    asked = {"overlap": overlap, "expected": expected}
    await record(context, request, "secret.rotate", name, asked)
    now = context.clock.timestamp()
    made = await keeper.rotate(name, value, overlap, now, expected)
    return await _changed(context, request, "secret.rotated", name, made)


async def revoke_secret(context: ServiceContext, request: Request) -> Response:
    """Erase one version's value, or with ``version`` null every version's; gates are told before the answer.

    Also a secret that the configuration names no more can be revoked.  As with every revocation it is made where it can't be
    recorded: it takes trust away, and a full disk must not keep a stolen key in use.  The answer says so (``recorded``).
    """
    require_members(request.members, "version", "because")
    because = text_member(request.members, "because", MAX_BECAUSE_CHARACTERS)
    version = _number(request.members["version"], "version", 1, _MAX_VERSION)
    name, keeper = request.parameters["name"], _keeper(context)
    if name not in keeper.known() and name not in context.secrets.names:
        raise _unknown()
    asked = {"version": version, "because": because}
    recorded = await _recorded(context, request, "secret.revoke", name, asked)
    try:
        revoked = await keeper.revoke(name, version, context.clock.timestamp())
    except UnavailableError:
        # It is withheld here all the same, and gates mustn't wait for the backend to hear of it.
        await context.publisher.publish(context.clock.now())
        raise
    done = {"versions": list(revoked)}
    recorded = await _told(context, request, "secret.revoked", name, done) and recorded
    shown = {**one_secret(context, name), "revoked": list(revoked), "recorded": recorded}
    return json_response(200, shown)


async def _changed(
    context: ServiceContext,
    request: Request,
    action: str,
    name: str,
    made: SecretVersion,
    status: int = 200,
) -> Response:
    done = {"version": made.number}
    await _told(context, request, action, name, done)
    return json_response(status, {**one_secret(context, name), **done})


async def _told(
    context: ServiceContext, request: Request, action: str, name: str, done: dict[str, Any]
) -> bool:
    """Tell gates what was changed, record what came of it, and tell whether that could be recorded."""
    _log.info(action, secret=name, **done)
    # It is done, and the entry before it says that it was asked for: the answer must not say otherwise.
    recorded = await _recorded(context, request, action, name, done)
    await context.publisher.publish(context.clock.now())
    return recorded


async def _recorded(
    context: ServiceContext, request: Request, action: str, name: str, detail: dict[str, Any]
) -> bool:
    """Record what is done all the same, now or as soon as that is possible; tell whether it was now."""
    return await record_or_owe(context, request, action, name, detail)


def _keeper(context: ServiceContext) -> SecretKeeper:
    keeper = context.secrets.keeper
    if keeper is None:
        raise _unknown()
    return keeper


def _configured(context: ServiceContext, name: str) -> SecretKeeper:
    """Return who keeps a secret if its name is one of the configuration's."""
    if name not in context.secrets.names:
        raise _unknown()
    return _keeper(context)


def _unknown() -> RefusedError:
    return RefusedError.because(
        Reason.SECRET_UNKNOWN, "expected a name under secrets.keys of watchword.yaml"
    )


def _newest(keeper: SecretKeeper, name: str) -> int | None:
    stored = keeper.known().get(name)
    return None if stored is None else stored.record.versions[-1].number


def _value(context: ServiceContext, name: str, request: Request) -> SecretValue:
    text = request.members["value"]
    if not isinstance(text, str):
        raise MalformedError.because(Reason.SECRET_VALUE, "expected text")
    if text.isspace():
        raise MalformedError.because(Reason.SECRET_VALUE, "got blanks alone, expected a key")
    return check_value(text, one_line=name in context.secrets.edges)


def _number(value: Any, what: str, least: int, most: int) -> int | None:
    """Return a whole number, None for none."""
    if value is None or (type(value) is int and least <= value <= most):
        return value
    raise MalformedError.because(
        Reason.REQUEST_MALFORMED, f"expected {what} as a whole number from {least} to {most}"
    )
