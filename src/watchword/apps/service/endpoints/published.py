"""Answer the requests for what anyone may know: keys, health, the API's description."""

from typing import Final

from watchword.apps.service.context import ServiceContext
from watchword.apps.service.messages import Request, Response, json_response
from watchword.apps.service.openapi import DOCUMENT

JWKS_SECONDS: Final = 300
"""How long engines may keep the JWKS; a prepared key is in it long before it signs."""


async def show_keys(context: ServiceContext, _request: Request) -> Response:
    """Return the JWK Set."""
    cache = f"public, max-age={JWKS_SECONDS}".encode()
    return json_response(200, context.keyring.jwks(context.clock.timestamp()), cache)


async def show_health(context: ServiceContext, _request: Request) -> Response:
    """Return 200 when the service could enrol now; a store that can't be written is a 503."""
    await context.store.check_writable()
    return json_response(200, {"status": "ok"})


async def show_description(_context: ServiceContext, _request: Request) -> Response:
    """Return the OpenAPI document of the public listener."""
    return json_response(200, DOCUMENT, b"public, max-age=300")
