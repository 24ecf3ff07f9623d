"""Answer ``POST /v1/attestations`` and ``POST /v1/tokens``."""

from collections.abc import Mapping
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
from watchword.encoding import base64url
from watchword.enrolment.interface import (
    MAX_STATEMENT_BYTES,
    Enrolled,
    EnrolmentRequest,
    RenewalRequest,
)
from watchword.reasons import MalformedError, Reason

_MAX_STATEMENT_CHARACTERS: Final = (MAX_STATEMENT_BYTES * 4 + 2) // 3
_MAX_ID_CHARACTERS: Final = 64
_log = structlog.get_logger()


async def create_instance(context: ServiceContext, request: Request) -> Response:
    """Enrol an instance and return its first tokens."""
    require_members(request.members, "statement", "evidence")
    context.safeguards.require_steady_clock()
    enrolled = await context.enrolment.enrol(
        EnrolmentRequest(_statement(request.members), _evidence(request.members), request.address),
        context.clock.now(),
    )
    instance = enrolled.instance
    _log.info("enrolled", instance=instance.id, app=instance.app, attested=instance.level.value)
    return json_response(201, _document(context, enrolled))


async def create_tokens(context: ServiceContext, request: Request) -> Response:
    """Renew an instance and return fresh tokens."""
    context.safeguards.require_steady_clock()
    renewed = await context.enrolment.renew(read_renewal(request.members), context.clock.now())
    return json_response(200, _document(context, renewed))


def read_renewal(members: Mapping[str, Any]) -> RenewalRequest:
    """Return what an enrolled instance sent: its id, a statement and evidence.

    :raises MalformedError: ``request.malformed``, ``encoding.base64url``.
    """
    require_members(members, "instance", "statement", "evidence")
    return RenewalRequest(
        text_member(members, "instance", _MAX_ID_CHARACTERS),
        _statement(members),
        _evidence(members),
    )


def _statement(members: Mapping[str, Any]) -> bytes:
    text = text_member(members, "statement", _MAX_STATEMENT_CHARACTERS)
    return base64url.decode(text, _MAX_STATEMENT_CHARACTERS)


def _evidence(members: Mapping[str, Any]) -> Mapping[str, Any]:
    evidence = members["evidence"]
    if not isinstance(evidence, dict):
        raise MalformedError.because(Reason.REQUEST_MALFORMED, "expected evidence to be an object")
    return evidence


def _document(context: ServiceContext, enrolled: Enrolled) -> dict[str, Any]:
    published = context.pins.newest(enrolled.instance.app)
    # A hint of when to look, and nothing that is believed: the set itself is signed.
    pins = {} if published is None else {"pins": published.pin_set.version}
    return pins | {
        "instance": enrolled.instance.id,
        "level": enrolled.instance.level.value,
        "tokens": [
            {
                "aud": token.audience,
                "token": token.token,
                "expires_in": token.lifetime,
                "session_key": base64url.encode(token.sealed_key),
            }
            for token in enrolled.tokens
        ],
    }
