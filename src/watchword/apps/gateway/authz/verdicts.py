"""Put the gate's signed verdict on requests, and ask for it on the other side."""

from watchword.adapters.system import SystemClock
from watchword.apps.gateway.asgi_types import Application, Receive, Scope, Send
from watchword.apps.gateway.guard import refuse_http
from watchword.apps.problems import render
from watchword.gate.hygiene import canonical_name
from watchword.gate.interface import RESULT_HEADERS, VERDICT_HEADER, GateState
from watchword.gate.signed_verdict import SignedVerdict, sign, target_of, verify
from watchword.ports import Clock, VerificationKeys
from watchword.reasons import Reason, Refusal, RefusedError
from watchword.vocabulary import Level

_INSTANCE, _LEVEL, _APP = RESULT_HEADERS


def signed_verdict(scope: Scope, state: GateState, now: float) -> bytes:
    """Return the verdict on a request that the gate let through, from what the gate put on it."""
    found = {
        name: value.decode("ascii") for name, value in scope["headers"] if name in RESULT_HEADERS
    }
    expectation = state.policy.expectation
    verdict = SignedVerdict(
        issuer=expectation.issuer,
        audience=expectation.audience,
        subject=found.get(_INSTANCE, ""),
        level=Level(found.get(_LEVEL, Level.NONE.value)),
        app=found.get(_APP, ""),
        method=scope.get("method", "GET"),
        target=target_of(scope["raw_path"], scope["query_string"]),
        issued_at=int(now),
    )
    return sign(verdict, state.verdict_signer).encode("ascii")


class VerdictSigned:
    """Stand between the gate's middleware and what forwards: add ``Watchword-Verdict``."""

    def __init__(self, app: Application, state: GateState, clock: Clock | None = None) -> None:
        """Stand in front of ``app``."""
        self._app = app
        self._state = state
        self._timestamp = (clock or SystemClock()).timestamp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sign for one request; whatever else is a verdict by its name was removed by the gate."""
        if scope["type"] in {"http", "websocket"}:
            verdict = signed_verdict(scope, self._state, self._timestamp())
            scope = {**scope, "headers": [*scope["headers"], (VERDICT_HEADER, verdict)]}
        await self._app(scope, receive, send)


class VerdictRequired:
    """Guard the API itself: serve only what came through a gate that signed for it.

    ::

        app.add_middleware(VerdictRequired, keys=..., issuer=..., audience="https://api.example")
    """

    def __init__(
        self,
        app: Application,
        *,
        keys: VerificationKeys,
        issuer: str,
        audience: str,
        clock: Clock | None = None,
    ) -> None:
        """Stand in front of ``app``.

        :param keys: the public keys of this API's gates.
        """
        self._app = app
        self._keys = keys
        self._issuer = issuer
        self._audience = audience
        self._timestamp = (clock or SystemClock()).timestamp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check one request; ``lifespan`` passes, an unknown kind of scope doesn't."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] not in {"http", "websocket"}:
            raise NotImplementedError(f"got a scope of type {scope['type']!r}")
        refusal = self.check(scope)
        if refusal is None:
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            problem = render((refusal,), ref=None, reveal=False, now=self._timestamp())
            await refuse_http(problem, send)
        else:
            await receive()
            await send({"type": "websocket.close", "code": 1008})

    def check(self, scope: Scope) -> Refusal | None:
        """Return why a request isn't served, None if a gate signed for it."""
        sent = [
            (name, value)
            for name, value in scope["headers"]
            if canonical_name(name.lower()) == VERDICT_HEADER
        ]
        if len(sent) != 1 or sent[0][0].lower() != VERDICT_HEADER:
            return Refusal(Reason.VERDICT_MISSING, f"got {len(sent)} verdicts, expected one")
        try:
            verify(
                sent[0][1].decode("latin-1"),
                issuer=self._issuer,
                audience=self._audience,
                method=scope.get("method", "GET"),
                target=target_of(scope["raw_path"], scope["query_string"]),
                keys=self._keys,
                now=self._timestamp(),
            )
        except RefusedError as error:
            return error.refusals[0]
        return None
