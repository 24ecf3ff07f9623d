"""Hand the verified instance to a FastAPI or Starlette application, typed.

::

    Instance = Annotated[TokenClaims, Depends(watchword_instance)]

    @app.get("/v1/patients/{patient}")
    def read_patient(patient: int, instance: Instance) -> dict[str, str]: ...

Needs Starlette, which FastAPI brings; nothing else of Watchword does.
"""

from http import HTTPStatus

try:
    from starlette.exceptions import HTTPException
    from starlette.requests import HTTPConnection
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "the package starlette isn't installed; FastAPI brings it: pip install fastapi",
        name=error.name,
    ) from None

from watchword.apps.gateway.guard import require_claims, verified_claims
from watchword.reasons import Refusal, RefusedError
from watchword.tokens.interface import TokenClaims


class NotVerifiedError(HTTPException):
    """Refuse a request behind the middleware; the framework answers, with the class of the refusal alone.

    :ivar refusal: why, for the application's own handler.
    """

    def __init__(self, refusal: Refusal) -> None:
        """Take status and text from the reason's public class."""
        public = refusal.reason.public
        unauthorized = public.status == HTTPStatus.UNAUTHORIZED
        headers = {"WWW-Authenticate": "Watchword"} if unauthorized else None
        super().__init__(public.status, detail=public.title, headers=headers)
        self.refusal = refusal


async def watchword_instance(connection: HTTPConnection) -> TokenClaims:
    """Return the verified claims of whoever sent this request or opened this WebSocket.

    :raises NotVerifiedError: 401 ``token.missing`` where nobody was verified (a route in ``off``, or one in
        ``monitor`` or ``canary`` that let a refused request pass); 500 ``gate.internal`` where the middleware
        doesn't stand in front.
    """
    try:
        return require_claims(connection.scope)
    except RefusedError as error:
        raise NotVerifiedError(error.refusals[0]) from None


async def watchword_instance_if_any(connection: HTTPConnection) -> TokenClaims | None:
    """Return the same, None where nobody was verified: for routes that don't enforce yet.

    :raises NotVerifiedError: 500 ``gate.internal`` where the middleware doesn't stand in front.
    """
    try:
        return verified_claims(connection.scope)
    except RefusedError as error:
        raise NotVerifiedError(error.refusals[0]) from None
