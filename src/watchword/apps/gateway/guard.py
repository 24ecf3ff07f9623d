"""Hold what every middleware does around a decision, whichever interface it speaks."""

import contextlib
from collections.abc import Mapping, MutableMapping
from dataclasses import replace
from typing import Any, Final

from watchword.adapters.clock import SystemClock
from watchword.adapters.entropy import SystemEntropy
from watchword.apps.gateway.asgi_types import Receive, Send
from watchword.apps.problems import Problem, render
from watchword.gate.decisions import refuse
from watchword.gate.interface import RESULT_HEADERS, Decision
from watchword.gate.references import NONCE_BYTES
from watchword.gate.service import Gate
from watchword.ports import Clock, Entropy, RefusalLog
from watchword.public_classes import Category
from watchword.reasons import Reason, Refusal, RefusedError
from watchword.tokens.interface import TokenClaims

RETRY_AFTER_SECONDS: Final = 5
"""When a client may try again after a refusal for unavailability."""

NONCE_HEADER: Final = b"watchword-nonce"
"""The answer header that carries a fresh nonce of the gate, in replay mode ``affine``."""

_LENT: Final = Refusal(
    Reason.SECRET_UNAVAILABLE, "got a route with a secret, expected it behind the proxy"
)


def closed_where_nothing_is_lent(decision: Decision) -> Decision:
    """Return the decision of a middleware that nobody stands behind who adds keys.

    The key is added where the request is sent on to a third party; the application in its place isn't whom it is for.
    """
    return refuse(_LENT) if decision.allow and decision.lending is not None else decision


class Guard:
    """Stand in front of an application: tell what was refused, and answer it.

    :ivar allowed: how many requests went to the application, refused ones of ``monitor`` included.
    :ivar refused: how many did not.
    """

    def __init__(
        self,
        gate: Gate,
        *,
        refusal_log: RefusalLog | None,
        clock: Clock | None,
        entropy: Entropy | None,
    ) -> None:
        """Take what decides.

        :param refusal_log: is told of every refusal, also of those that ``monitor`` lets pass.
        :param clock: the system's clock if None.
        :param entropy: the system's generator if None.
        """
        self._gate = gate
        self._refusal_log = refusal_log
        self._timestamp = (clock or SystemClock()).timestamp
        self._entropy = entropy or SystemEntropy()
        self.allowed = 0
        self.refused = 0

    def _report(self, error: Exception) -> None:
        """Count a failure of the gate; of the error only its class is told, its text may be theirs."""
        if self._refusal_log is not None:
            with contextlib.suppress(Exception):
                refusal = Refusal(Reason.GATE_INTERNAL, f"got {type(error).__name__}")
                self._refusal_log.record((refusal,), "")

    def _problem(self, decision: Decision, now: float) -> Problem:
        """Return the answer of a refusal."""
        nonce = self._entropy.token_bytes(NONCE_BYTES)
        unavailable = decision.refusals[0].reason.category is Category.UNAVAILABLE
        problem = render(
            decision.refusals,
            ref=self._gate.reference(decision.refusals, decision.route, now, nonce),
            reveal=self._gate.reveals,
            retry_after=RETRY_AFTER_SECONDS if unavailable else decision.retry_after,
        )
        if decision.nonce is None:
            return problem
        return replace(problem, headers=(*problem.headers, (NONCE_HEADER, decision.nonce)))


def told_claims(decision: Decision) -> TokenClaims | None:
    """Return the verified token of a request that passes, None where the API isn't told who is there.

    In ``monitor`` a token may be good and its proof stale: then nobody was shown to be that instance.
    """
    claims = decision.claims
    if claims is None or not decision.refusals:
        return claims
    told = any(name == RESULT_HEADERS[0] for name, _ in decision.headers)
    return claims if told else None


INTERNAL = render((Refusal(Reason.GATE_INTERNAL),), ref=None, reveal=False)
"""The answer when the gate itself failed; made beforehand, so that it can't fail too."""

INCOMPLETE = render((Refusal(Reason.REQUEST_MALFORMED),), ref=None, reveal=False)
"""The answer to a body that ended before its end, for whoever still listens."""

POLICY_VIOLATION = 1008
"""The WebSocket close code for a refusal (RFC 6455 section 7.4.1)."""


async def refuse_http(problem: Problem, send: Send) -> None:
    """Answer a request with a problem; its body is never read."""
    await _respond("http.response", problem, send)


async def refuse_websocket(
    problem: Problem, scope: MutableMapping[str, Any], receive: Receive, send: Send
) -> None:
    """Answer a handshake with a problem where the server can, else close it before it is accepted.

    Both leave the connection without a WebSocket: a close before accept is a 403 (ASGI, "WebSocket
    connection scope").
    """
    await receive()
    if "websocket.http.response" in (scope.get("extensions") or {}):
        await _respond("websocket.http.response", problem, send)
    else:
        await send({"type": "websocket.close", "code": POLICY_VIOLATION})


async def _respond(prefix: str, problem: Problem, send: Send) -> None:
    await send(
        {"type": f"{prefix}.start", "status": problem.status, "headers": list(problem.headers)}
    )
    await send({"type": f"{prefix}.body", "body": problem.body})


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
