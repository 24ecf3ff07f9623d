"""Answer ``/authz``: another server asks about each request before it forwards it.

The question is turned into the request that it is about and goes through the same middleware as
everywhere; behind it stands, in place of an API, an answer of 200 with the verified headers for the
engine to put on the request.
"""

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import replace
from typing import Any, Final

from watchword.adapters.entropy import SystemEntropy
from watchword.apps.gateway import WatchwordMiddleware
from watchword.apps.gateway.answers import refuse_http
from watchword.apps.gateway.authz.callers import CREDENTIAL_HEADER, Credential
from watchword.apps.gateway.authz.keeping import kept_seconds
from watchword.apps.gateway.authz.questions import BARE, STYLES, TOLD, Question, asked_at, scope_of
from watchword.apps.gateway.authz.telling import fields_of, in_fields, without_private
from watchword.apps.gateway.authz.verdicts import signed_verdict
from watchword.apps.gateway.overload import WAIT_SECONDS, OverloadGuard
from watchword.apps.problems import Problem, render
from watchword.gate.hygiene import PROOF_FIELDS
from watchword.gate.interface import API_HEADER, RESULT_HEADERS, TOKEN_HEADER, Decision
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

BODILESS_HEADER: Final = b"watchword-bodiless"
"""Says that a proof was verified which covers no body, for engines that see a body only once it comes."""

TAKEN_HEADER: Final = b"watchword-taken"
"""Says that the fields of a proof were for the gate, and aren't for the API."""

_KEPT_HEADER: Final = b"x-accel-expires"
"""For how many seconds nginx may keep the answer."""

_DECISION: Final = "watchword.authz.decision"
_QUESTION: Final = "watchword.authz.question"
_BARE: Final = "watchword.authz.bare"
_GENERATION: Final = "watchword.authz.generation"


class _Judge(WatchwordMiddleware):
    """Be the middleware that says more of what it found: to the engine, and to the answer behind it."""

    def _end(
        self, decision: Decision, scope: Scope, receive: Receive, send: Send, now: float
    ) -> tuple[Scope, Receive, Send] | Problem:
        # The scope is the one that was made for this question.
        scope[_DECISION] = decision
        return super()._end(decision, scope, receive, send, now)

    def _problem(self, decision: Decision, now: float) -> Problem:
        problem = super()._problem(decision, now)
        subject = "" if decision.claims is None else decision.claims.subject
        told = fields_of(decision.refusals, problem.body, route=decision.route, subject=subject)
        return replace(problem, headers=(*problem.headers, *told))


class _Guard(OverloadGuard):
    """Stand in front of the judge, and say as much to the engine's log."""

    def _problem(self, now: float) -> Problem:
        problem = super()._problem(now)
        told = fields_of(self._refusals, problem.body)
        return replace(problem, headers=(*problem.headers, *told))


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
        wait: float = WAIT_SECONDS,
        **middleware: Any,
    ) -> None:
        """Prepare to answer.

        :param style: one of :data:`watchword.apps.gateway.authz.questions.STYLES`.
        :param credential: what each question must carry; None where the socket itself, or a client
            certificate, says who asks.
        :param signs: whether answers carry a signed verdict for the API.
        :param wait: seconds that the questions of one round of the event loop may take together.
        :param middleware: goes on to :class:`watchword.apps.gateway.WatchwordMiddleware`.
        """
        self._gate = gate
        self._read = STYLES[style]
        self._says_nothing = style != "envoy"
        self._credential = credential
        self._signs = signs
        self._clock = clock
        self._refusal_log = refusal_log
        judge = _Judge(
            self._pass,
            gate=gate,
            refusal_log=refusal_log,
            clock=clock,
            # Envoy alone of those who ask adds keys by itself.
            lends=style == "envoy",
            **middleware,
        )
        # In front of the judge, since it spares the paths of the API that the questions are about.
        self._judge = _Guard(judge, gate=gate, refusal_log=refusal_log, clock=clock, wait=wait)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one question."""
        if scope["type"] == "lifespan":
            await self._judge(scope, receive, send)
            return
        if scope["type"] != "http":
            await receive()
            await send({"type": "websocket.close", "code": 1008})
            return
        # In the other style the path is the client's, who has no say in how engines are answered.
        path, api = asked_at(scope) if self._says_nothing else (b"", None)
        # Nothing of what only an engine may know goes to one that passes answers on.
        send = in_fields(send) if path == TOLD else without_private(send)
        if not self._is_known(scope):
            await self._refuse(
                Refusal(Reason.GATE_CALLER, "expected the engine's credential"), send
            )
            return
        if api is not None and api != self._api():
            await self._refuse(Refusal(Reason.GATE_CALLER, "got a question of another API"), send)
            return
        question = self._read(scope)
        if isinstance(question, Refusal):
            await self._refuse(question, send)
            return
        body = _unseen if question.unseen else receive
        asked = scope_of(question, scope)
        asked[_QUESTION], asked[_BARE] = question, path == BARE
        if question.generation:
            asked[_GENERATION] = self._generation()
        await self._judge(asked, body, send)

    def _api(self) -> bytes | None:
        """Return whose gate this is, as far as anybody knows."""
        try:
            return self._gate.state.policy.api.encode()
        except UnavailableError:
            return None

    def _generation(self) -> int | None:
        """Return in which generation a question is going to be judged, at the least."""
        try:
            return self._gate.state.generation
        except UnavailableError:
            return None

    def _kept_seconds(self, scope: Scope, now: float) -> int:
        """Return for how long the engine may keep this answer.

        Never, where its configuration is of another generation than the gate's: it would file under the new
        one what was judged by the old one, and so a revoked instance would live on in it.
        """
        question: Question = scope[_QUESTION]
        state = self._gate.state
        before, after = scope[_GENERATION], state.generation
        if before != after or question.generation != str(after).encode():
            return 0
        tokens = [value for name, value in question.fields if name == TOKEN_HEADER]
        if len(tokens) != 1:
            return 0
        return kept_seconds(scope[_DECISION], state, state.policy, tokens[0], now)

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
        question: Question = scope[_QUESTION]
        empties = self._says_nothing and not scope[_BARE]
        headers = [
            (name, found.get(name, b"")) for name in RESULT_HEADERS if name in found or empties
        ]
        if self._signs:
            verdict = signed_verdict(scope, self._gate.state, self._clock.timestamp())
            headers.append((VERDICT_HEADER, verdict))
        if self._says_nothing:
            bodiless = scope[_DECISION].bodiless
            # The second says so whenever the first does: Caddy looks for the first only behind the second.
            if bodiless:
                headers.append((BODILESS_HEADER, b"1"))
            if bodiless or (question.proved and _was_taken(question, found)):
                headers.append((TAKEN_HEADER, b"1"))
        if question.generation and not self._signs:
            kept = self._kept_seconds(scope, self._clock.timestamp())
            if kept:
                headers.append((_KEPT_HEADER, str(kept).encode()))
        headers.append((API_HEADER, self._gate.state.policy.api.encode()))
        headers.append((b"content-length", b"0"))
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b""})


def _was_taken(question: Question, found: Mapping[bytes, bytes]) -> bool:
    """Tell whether the fields of a proof were for the gate: the engine keeps the original request to itself."""
    sent = dict(question.fields)
    return any(name in sent and name not in found for name in PROOF_FIELDS)


async def _unseen() -> MutableMapping[str, Any]:
    return {"type": "http.request", "body": _UNSEEN, "more_body": False}
