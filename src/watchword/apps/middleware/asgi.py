"""Guard an ASGI application: refuse before it is called, or call it with a cleaned request.

Pure ASGI, on purpose: it decides on the raw path and the raw headers, and never on a URL that a
framework put together from them (CVE-2026-48710: a Host header that poisoned ``request.url``).
"""

import contextlib
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from watchword.adapters.clock import SystemClock
from watchword.adapters.entropy import SystemEntropy
from watchword.apps.middleware.answers import INTERNAL, refuse_http, refuse_websocket
from watchword.apps.problems import Problem, render
from watchword.gate.interface import Decision, RequestFacts
from watchword.gate.references import NONCE_BYTES
from watchword.gate.service import Gate
from watchword.ports import Clock, Entropy, RefusalLog
from watchword.reasons import Category, Reason, Refusal
from watchword.vocabulary import Environment

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

RETRY_AFTER_SECONDS = 5
"""When a client may try again after a refusal for unavailability."""


class WatchwordMiddleware:
    """Let through to an ASGI application only what the gate allows.

    Whatever goes wrong inside refuses the request, in every mode: the application is called in one
    place only, after a decision that allows it.  An exception of the application itself passes
    through unchanged.

    :ivar allowed: how many requests went to the application, refused ones of ``monitor`` included.
    :ivar refused: how many did not.
    """

    def __init__(
        self,
        app: Application,
        *,
        gate: Gate,
        refusal_log: RefusalLog | None = None,
        clock: Clock | None = None,
        entropy: Entropy | None = None,
    ) -> None:
        """Stand in front of ``app``.

        :param refusal_log: is told of every refusal, also of those that ``monitor`` lets pass.
        :param clock: the system's clock if None.
        :param entropy: the system's generator if None.
        """
        self._app = app
        self._gate = gate
        self._refusal_log = refusal_log
        self._timestamp = (clock or SystemClock()).timestamp
        self._entropy = entropy or SystemEntropy()
        self._reveal = gate.policy.expectation.environment is Environment.LAB
        self.allowed = 0
        self.refused = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Decide on one connection.  ``lifespan`` passes; an unknown kind of scope is refused."""
        kind = scope["type"]
        if kind == "lifespan":
            await self._app(scope, receive, send)
            return
        if kind not in {"http", "websocket"}:
            # A kind that this version doesn't know is one that it can't check.
            raise NotImplementedError(f"got a scope of type {kind!r}, expected http or websocket")
        verdict = self._examine(scope)
        if isinstance(verdict, Problem):
            self.refused += 1
            if kind == "http":
                await refuse_http(verdict, send)
            else:
                await refuse_websocket(verdict, scope, receive, send)
            return
        self.allowed += 1
        await self._app(verdict, receive, send)

    def _examine(self, scope: Scope) -> Scope | Problem:
        """Return the scope that the application may see, or the answer of a refusal."""
        try:
            now = self._timestamp()
            facts = RequestFacts(
                # A WebSocket handshake is a GET, and its scope doesn't say (RFC 6455 section 4.1).
                scope["method"] if scope["type"] == "http" else "GET",
                scope["raw_path"],
                scope["headers"],
                scope["query_string"],
                scope["path"],
                scope.get("root_path", ""),
            )
            decision = self._gate.decide(facts, now)
            if decision.refusals and self._refusal_log is not None:
                self._refusal_log.record(decision.refusals, decision.route)
            if decision.allow:
                return {**scope, "headers": decision.headers}
            return self._problem(decision, now)
        except Exception as error:  # noqa: BLE001 - whatever it is, it lets nobody through.
            self._report(error)
            return INTERNAL

    def _report(self, error: Exception) -> None:
        """Count a failure of the gate; of the error only its class is told, its text may be theirs."""
        if self._refusal_log is not None:
            with contextlib.suppress(Exception):
                refusal = Refusal(Reason.GATE_INTERNAL, f"got {type(error).__name__}")
                self._refusal_log.record((refusal,), "")

    def _problem(self, decision: Decision, now: float) -> Problem:
        nonce = self._entropy.token_bytes(NONCE_BYTES)
        unavailable = decision.refusals[0].reason.category is Category.UNAVAILABLE
        return render(
            decision.refusals,
            ref=self._gate.reference(decision.refusals, decision.route, now, nonce),
            reveal=self._reveal,
            retry_after=RETRY_AFTER_SECONDS if unavailable else None,
        )
