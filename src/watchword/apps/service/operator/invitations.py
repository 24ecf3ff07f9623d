"""Answer requests on one-time codes for test instances."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

import structlog

from watchword.apps.service.context import ServiceContext
from watchword.apps.service.messages import Request, Response, json_response, text_member
from watchword.apps.service.operator.actor import actor_of
from watchword.apps.service.operator.instances import MAX_BECAUSE_CHARACTERS, read_limit
from watchword.enrolment.invitations import (
    DEFAULT_CODE_LIFE,
    DEFAULT_INSTANCE_LIFE,
    Invitation,
)
from watchword.enrolment.operator_codes import OperatorCode
from watchword.enrolment.statement import MAX_NAME_CHARACTERS
from watchword.reasons import MalformedError, Reason
from watchword.vocabulary import Level

_REQUIRED: Final = frozenset({"app", "level", "because"})
_OPTIONAL: Final = frozenset({"expires_in", "instance_for"})

_MAX_SECONDS: Final = 10**9
"""More seconds than any life may have; what is allowed is for the invitation to say."""

_log = structlog.get_logger()


async def create_code(context: ServiceContext, request: Request) -> Response:
    """Make a code and return it, this once; expects seconds for ``expires_in`` and ``instance_for``."""
    wanted = _invitation(request)
    code, text = await context.invitations.invite(wanted, context.clock.now())
    _log.info("invited", code=code.id, app=code.app, level=code.level.value)
    return json_response(201, {**_shown(context, code), "code": text})


async def list_codes(context: ServiceContext, request: Request) -> Response:
    """Return the newest codes and what became of them; a code itself can't be told again."""
    codes = await context.invitations.listed(read_limit(request.query))
    return json_response(200, {"codes": [_shown(context, each) for each in codes]})


async def cancel_code(context: ServiceContext, request: Request) -> Response:
    """Cancel a code that wasn't used."""
    code = await context.invitations.cancel(
        request.parameters["id"], actor_of(request), context.clock.now()
    )
    _log.info("invitation cancelled", code=code.id, app=code.app)
    return json_response(200, _shown(context, code))


def _invitation(request: Request) -> Invitation:
    members = request.members
    if not _REQUIRED <= members.keys() <= _REQUIRED | _OPTIONAL:
        raise MalformedError.because(
            Reason.REQUEST_MALFORMED,
            f"expected the members {', '.join(sorted(_REQUIRED))}, and at will "
            f"{', '.join(sorted(_OPTIONAL))}",
        )
    try:
        level = Level(members["level"])
    except ValueError:
        raise MalformedError.because(
            Reason.REQUEST_MALFORMED, "expected level to be hardware, verified or software"
        ) from None
    return Invitation(
        app=text_member(members, "app", MAX_NAME_CHARACTERS),
        level=level,
        expires_in=_life(members, "expires_in", DEFAULT_CODE_LIFE),
        instance_for=_life(members, "instance_for", DEFAULT_INSTANCE_LIFE),
        because=text_member(members, "because", MAX_BECAUSE_CHARACTERS),
        actor=actor_of(request),
    )


def _life(members: Mapping[str, Any], name: str, default: timedelta) -> timedelta:
    if name not in members:
        return default
    value = members[name]
    if type(value) is not int or not 0 < value <= _MAX_SECONDS:
        raise MalformedError.because(
            Reason.REQUEST_MALFORMED, f"expected {name} in whole seconds, greater than 0"
        )
    return timedelta(seconds=value)


def _shown(context: ServiceContext, code: OperatorCode) -> dict[str, Any]:
    """Return what an operator sees of a code; nothing of it enrols anybody."""
    used, cancelled = code.used_at, code.revoked_at
    return {
        "id": code.id,
        "app": code.app,
        "level": code.level.value,
        "instance_for": int(code.instance_for.total_seconds()),
        "made_at": code.made_at.isoformat(),
        "made_by": code.made_by,
        "because": code.because,
        "expires_at": code.expires_at.isoformat(),
        "used_at": None if used is None else used.isoformat(),
        "instance": code.instance_id,
        "cancelled_at": None if cancelled is None else cancelled.isoformat(),
        "open": not code.held_against(context.clock.now()),
    }
