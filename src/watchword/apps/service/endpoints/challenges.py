"""Answer ``POST /v1/challenges``."""

from watchword.apps.service.context import ServiceContext
from watchword.apps.service.messages import (
    Request,
    Response,
    json_response,
    require_members,
    text_member,
)
from watchword.encoding import base64url
from watchword.enrolment.statement import MAX_NAME_CHARACTERS, PURPOSES
from watchword.reasons import MalformedError, Reason
from watchword.vocabulary import Purpose


async def create_challenge(context: ServiceContext, request: Request) -> Response:
    """Return a fresh challenge; nothing is stored."""
    require_members(request.members, "app", "purpose")
    app = text_member(request.members, "app", MAX_NAME_CHARACTERS)
    try:
        purpose = Purpose(request.members["purpose"])
    except ValueError:
        raise MalformedError.because(
            Reason.REQUEST_MALFORMED, f"expected as purpose one of: {PURPOSES}"
        ) from None
    challenge, seconds = context.enrolment.challenge(app, purpose, context.clock.now())
    return json_response(200, {"challenge": base64url.encode(challenge), "expires_in": seconds})
