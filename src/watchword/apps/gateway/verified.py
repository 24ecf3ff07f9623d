"""Tell an application who was verified in front of it, where no client can write."""

from collections.abc import Mapping
from typing import Any, Final

from watchword.reasons import Reason, RefusedError
from watchword.tokens.interface import TokenClaims

CLAIMS: Final = "watchword.claims"
"""Where a middleware puts the verified claims: in the ASGI scope, or in the WSGI environ."""


def verified_claims(request: Mapping[str, Any]) -> TokenClaims | None:
    """Return who is there, None where nobody was verified (modes ``off``, ``monitor`` and ``canary``).

    :param request: the ASGI scope (``request.scope``) or the WSGI environ (``request.environ`` in Flask,
        ``request.META`` in Django) of a request.
    :raises RefusedError: ``gate.internal`` where no Watchword middleware stands in front: headers alone
        could be anybody's.
    """
    if CLAIMS not in request:
        raise RefusedError.because(
            Reason.GATE_INTERNAL, "expected the Watchword middleware in front of the application"
        )
    claims = request[CLAIMS]
    if not isinstance(claims, TokenClaims | None):
        raise RefusedError.because(Reason.GATE_INTERNAL, "expected claims of the middleware")
    return claims


def require_claims(request: Mapping[str, Any]) -> TokenClaims:
    """Return who is there.

    :raises RefusedError: ``token.missing`` where nobody was verified, else as :func:`verified_claims`.
    """
    claims = verified_claims(request)
    if claims is None:
        raise RefusedError.because(Reason.TOKEN_MISSING, "expected a verified instance")
    return claims
