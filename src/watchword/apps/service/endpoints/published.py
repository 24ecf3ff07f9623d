"""Answer the requests for what anyone may know: keys, health, the API's description."""

from typing import Final

from watchword.apps.service.context import ServiceContext
from watchword.apps.service.messages import Request, Response, json_response
from watchword.apps.service.openapi import DOCUMENT
from watchword.reasons import Reason, RefusedError
from watchword.tokens.jwk import published_jwk

JWKS_SECONDS: Final = 300
"""How long engines may keep the JWKS; a prepared key is in it long before it signs."""


async def show_keys(context: ServiceContext, _request: Request) -> Response:
    """Return the JWK Set."""
    cache = f"public, max-age={JWKS_SECONDS}".encode()
    return json_response(200, context.keyring.jwks(context.clock.timestamp()), cache)


async def show_verdict_keys(context: ServiceContext, request: Request) -> Response:
    """Return the JWK Set of the gates of one API, for that API to check their verdicts.

    :raises RefusedError: ``request.not_found`` for an API that isn't there.
    """
    audience = context.publisher.audience_of(request.parameters["api"])
    if audience is None:
        raise RefusedError.because(Reason.REQUEST_NOT_FOUND, "expected the name of an API")
    signer = context.keyring.verdict_signer(audience)
    key = published_jwk(signer.kid, signer.public)
    return json_response(200, {"keys": [key]}, f"public, max-age={JWKS_SECONDS}".encode())


async def show_health(context: ServiceContext, _request: Request) -> Response:
    """Return 200 when the service could enrol now; a store that can't be written is a 503, and a clock that jumped.

    Pins that aren't followed are told and no reason to take the service away: it hands out what it did.
    """
    context.safeguards.require_steady_clock()
    await context.store.check_writable()
    fault = {"pins": "fault"} if context.pins.faults else {}
    return json_response(200, {"status": "ok"} | fault)


async def show_description(_context: ServiceContext, _request: Request) -> Response:
    """Return the OpenAPI document of the public listener."""
    return json_response(200, DOCUMENT, b"public, max-age=300")
