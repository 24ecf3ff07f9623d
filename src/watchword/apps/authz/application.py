"""Answer ``/authz``: another server asks about each request before it forwards it.

The question is turned into the request that it is about and goes through the same middleware as
everywhere; behind it stands, in place of an API, an answer of 200 with the verified headers for the
engine to put on the request.
"""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from watchword.adapters.entropy import SystemEntropy
from watchword.apps.authz.callers import CREDENTIAL_HEADER, Credential
from watchword.apps.authz.questions import STYLES, scope_of
from watchword.apps.authz.verdicts import signed_verdict
from watchword.apps.middleware import WatchwordMiddleware
from watchword.apps.middleware.answers import refuse_http
from watchword.apps.problems import render
from watchword.gate.interface import RESULT_HEADERS
from watchword.gate.service import Gate
from watchword.gate.signed_verdict import VERDICT_HEADER
from watchword.ports import Clock, RefusalLog
from watchword.reasons import Reason, Refusal, UnavailableError
from watchword.vocabulary import Environment

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


_UNSEEN = SystemEntropy().token_bytes(32)
"""Stands for a body that the engine didn't send.  Not nothing: a proof can cover the digest of nothing,
and then any body would pass behind it.  Nobody learns these bytes, so that no proof covers them."""


class AuthzApp:
    """Tell an engine whether a request may pass: 200, or the answer to give in its place."""

    def __init__(
        self,
        gate: Gate,
        *,
        style: str,
        clock: Clock,
        credential: Credential | None = None,
        signs: bool = False,
        refusal_log: RefusalLog | None = None,
        **middleware: Any,
    ) -> None:
        """Prepare to answer.

        :param style: one of :data:`watchword.apps.authz.questions.STYLES`.
        :param credential: what each question must carry; None where the socket itself, or a client
            certificate, says who asks.
        :param signs: whether answers carry a signed verdict for the API.
        :param middleware: goes on to :class:`watchword.apps.middleware.WatchwordMiddleware`.
        """
        self._gate = gate
        self._read = STYLES[style]
        self._says_nothing = style != "envoy"
        self._credential = credential
        self._signs = signs
        self._clock = clock
        self._refusal_log = refusal_log
        self._judge = WatchwordMiddleware(
            self._pass,
            gate=gate,
            refusal_log=refusal_log,
            clock=clock,
            # Envoy alone of those who ask adds keys by itself.
            lends=style == "envoy",
            **middleware,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one question."""
        if scope["type"] == "lifespan":
            await self._judge(scope, receive, send)
            return
        if scope["type"] != "http":
            await receive()
            await send({"type": "websocket.close", "code": 1008})
            return
        if not self._is_known(scope):
            await self._refuse(
                Refusal(Reason.GATE_CALLER, "expected the engine's credential"), send
            )
            return
        question = self._read(scope)
        if isinstance(question, Refusal):
            await self._refuse(question, send)
            return
        body = _unseen if question.unseen else receive
        await self._judge(scope_of(question, scope), body, send)

    def _is_known(self, scope: Scope) -> bool:
        if self._credential is None:
            return True
        sent = [value for name, value in scope["headers"] if name.lower() == CREDENTIAL_HEADER]
        return len(sent) == 1 and self._credential.matches(sent[0])

    async def _refuse(self, refusal: Refusal, send: Send) -> None:
        if self._refusal_log is not None:
            self._refusal_log.record((refusal,), "authz")
        await refuse_http(render((refusal,), ref=None, reveal=self._reveals()), send)

    def _reveals(self) -> bool:
        try:
            return self._gate.state.policy.expectation.environment is Environment.LAB
        except UnavailableError:
            return False

    async def _pass(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with the verified headers; an empty one makes the engine remove a forged one.

        Envoy would pass the empty one on; it removes all that clients send by these names itself.
        """
        if scope["type"] == "lifespan":
            while (await receive())["type"] != "lifespan.shutdown":
                await send({"type": "lifespan.startup.complete"})
            await send({"type": "lifespan.shutdown.complete"})
            return
        found = dict(scope["headers"])
        headers = [
            (name, found.get(name, b""))
            for name in RESULT_HEADERS
            if name in found or self._says_nothing
        ]
        if self._signs:
            now = self._clock.timestamp()
            headers.append((VERDICT_HEADER, signed_verdict(scope, self._gate.state, now)))
        headers.append((b"content-length", b"0"))
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b""})


async def _unseen() -> MutableMapping[str, Any]:
    return {"type": "http.request", "body": _UNSEEN, "more_body": False}
