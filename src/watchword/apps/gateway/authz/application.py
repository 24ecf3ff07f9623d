"""Answer ``/authz``: another server asks about each request before it forwards it.

The question is turned into the request that it is about and goes through the same middleware as
everywhere; behind it stands, in place of an API, an answer of 200 with the verified headers for the
engine to put on the request.
"""

from collections.abc import Awaitable, Mapping, MutableMapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any, Final

import structlog

from watchword.adapters.entropy import SystemEntropy
from watchword.adapters.http_server import HttpServer
from watchword.adapters.http_server.tls import require_tls_files
from watchword.apps.gateway import WatchwordMiddleware
from watchword.apps.gateway.asgi_types import Message, Receive, Scope, Send
from watchword.apps.gateway.authz.requests import (
    BARE,
    CREDENTIAL_HEADER,
    STYLES,
    TOLD,
    Credential,
    Question,
    asked_at,
    kept_seconds,
    scope_of,
)
from watchword.apps.gateway.authz.verdicts import signed_verdict
from watchword.apps.gateway.guard import refuse_http
from watchword.apps.gateway.overload import WAIT_SECONDS, OverloadGuard
from watchword.apps.problems import Problem, render
from watchword.apps.settings import ApiSettings, Settings
from watchword.encoding import strict_json
from watchword.gate.hygiene import PROOF_FIELDS
from watchword.gate.interface import API_HEADER, RESULT_HEADERS, TOKEN_HEADER, Decision
from watchword.gate.service import Gate
from watchword.gate.signed_verdict import VERDICT_HEADER
from watchword.ports import Clock, Entropy, RefusalLog
from watchword.reasons import Reason, Refusal, UnavailableError
from watchword.vocabulary import Environment

REF_HEADER: Final = b"watchword-ref"
"""Carries the reference beside the body that has it too, for logs that see fields alone."""

_PRIVATE: Final = b"watchword-refused-"
"""What only the engine may know: such fields leave no other way than to an engine that keeps them to itself."""

_OK: Final = 200
_TELLABLE: Final = 403
_MAX_PROBLEM_BYTES: Final = 64 * 1024


def fields_of(
    refusals: Sequence[Refusal], body: bytes, *, route: str = "", subject: str = ""
) -> tuple[tuple[bytes, bytes], ...]:
    """Return what an engine's log says of a refusal, and which the sender of the request must not see.

    :param body: the problem, of which the reference is repeated in a field.
    :param route: the route's name, empty where none was found.
    :param subject: the instance whose token was verified, empty where none was.
    """
    # The first decides the class, and is what logs have one member for; the reference holds all.
    reason = refusals[0].reason.code if refusals else ""
    ref = strict_json.loads(body, _MAX_PROBLEM_BYTES).get("ref", "")
    return (
        (REF_HEADER, _value(str(ref))),
        (_PRIVATE + b"reason", _value(reason)),
        (_PRIVATE + b"route", _value(route)),
        (_PRIVATE + b"instance", _value(subject)),
    )


def _value(text: str) -> bytes:
    """Return a text as it can stand in a field; names of routes may hold anything."""
    return "".join(sign if " " <= sign <= "~" else "?" for sign in text).encode("ascii")


def without_private(send: Send) -> Send:
    """Return a ``send`` for engines that pass an answer on as it is; only a refusal has what they mustn't know."""

    def sending(message: Message) -> Awaitable[None]:
        if message["type"] == "http.response.start" and message["status"] != _OK:
            message = {**message, "headers": _public(message["headers"])}
        return send(message)

    return sending


def in_fields(send: Send) -> Send:
    """Return a ``send`` that makes of every refusal a 403 with status and problem in fields."""
    started: list[Message] = []

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start" and message["status"] != _OK:
            started.append(message)
        elif started:
            await _send_told(started.pop(), message.get("body", b""), send)
        else:
            await send(message)

    return sending


async def _send_told(start: Message, body: bytes, send: Send) -> None:
    headers = [
        field for field in start["headers"] if field[0] not in {b"content-type", b"content-length"}
    ]
    headers += [
        (_PRIVATE + b"status", str(start["status"]).encode()),
        (_PRIVATE + b"problem", body),
        (b"content-length", b"0"),
    ]
    await send({**start, "status": _TELLABLE, "headers": headers})
    await send({"type": "http.response.body", "body": b""})


def _public(headers: Sequence[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    return [field for field in headers if not field[0].startswith(_PRIVATE)]


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

        :param style: one of :data:`watchword.apps.gateway.authz.requests.STYLES`.
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


_log = structlog.get_logger()


async def serve_authz(
    stack: AsyncExitStack,
    settings: Settings,
    api: ApiSettings,
    gate: Gate,
    *,
    refusal_log: RefusalLog,
    clock: Clock,
    entropy: Entropy,
) -> str:
    """Answer questions about one API until the stack is left; return where, for people.

    :raises WatchwordError: when the credential can't be read or the address can't be taken.
    :raises ValueError: for an API without ``authz``.
    """
    ways = api.authz
    if ways is None:
        raise ValueError(f"{api.name} has no authz section")
    app = AuthzApp(
        gate,
        style=ways.style,
        clock=clock,
        credential=None if ways.credential is None else Credential.read(ways.credential),
        signs=api.signed_verdict,
        refusal_log=refusal_log,
        entropy=entropy,
    )
    if ways.tls is not None:
        require_tls_files(*ways.tls)
    if ways.listen is None:
        server = HttpServer(app, uds=settings.service.authz_socket(api.name))
    else:
        server = HttpServer(app, host=ways.listen.host, port=ways.listen.port, tls=ways.tls)
    await server.start()
    stack.push_async_callback(server.stop)
    _log.info("authz ready", api=api.name, listen=server.address, style=ways.style)
    return server.address
