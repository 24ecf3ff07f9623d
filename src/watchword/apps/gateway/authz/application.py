"""Answer ``/authz``: another server asks about each request before it forwards it.

The question is turned into the request that it is about and goes through the same middleware as
everywhere; behind it stands, in place of an API, an answer of 200 with the verified headers for the
engine to put on the request.
"""

import hmac
import math
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from operator import itemgetter
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import unquote_to_bytes

import structlog

from watchword.adapters.http_server import HttpServer
from watchword.adapters.http_server.tls import require_tls_files
from watchword.adapters.keyring.private_file import PrivateFileError, read_private
from watchword.adapters.system import SystemEntropy
from watchword.apps.gateway import WatchwordMiddleware
from watchword.apps.gateway.asgi_types import Message, Receive, Scope, Send
from watchword.apps.gateway.authz.verdicts import signed_verdict
from watchword.apps.gateway.guard import refuse_http
from watchword.apps.gateway.overload import WAIT_SECONDS, OverloadGuard
from watchword.apps.problems import Problem, render
from watchword.apps.settings.schema import ApiSettings, Settings
from watchword.encoding import base64url, strict_json
from watchword.encoding.cache import cached_by_names
from watchword.gate.hygiene import (
    MAX_HEADER_BYTES,
    PROOF_FIELDS,
    REWRITING_FIELDS,
    canonical_name,
    is_client_side,
    is_unlisted,
)
from watchword.gate.interface import (
    API_HEADER,
    RESULT_HEADERS,
    TOKEN_HEADER,
    VERDICT_HEADER,
    Decision,
    GatePolicy,
    GateState,
    Route,
)
from watchword.gate.service import Gate
from watchword.ports import Clock, Entropy, RefusalLog
from watchword.reasons import Reason, Refusal, UnavailableError
from watchword.vocabulary import Mode, Proof

CREDENTIAL_HEADER: Final = b"watchword-authz"
"""The header in which an engine sends the shared credential, lower case."""

MIN_CREDENTIAL_CHARACTERS: Final = 32
_MAX_CREDENTIAL_BYTES: Final = 512


class Credential:
    """Hold the secret that the engine sends with each question."""

    def __init__(self, secret: bytes) -> None:
        """Keep it; raise ValueError for one that could be guessed or doesn't fit into a header."""
        if len(secret) < MIN_CREDENTIAL_CHARACTERS or not secret.isascii() or b" " in secret:
            raise ValueError(
                f"expected at least {MIN_CREDENTIAL_CHARACTERS} visible ASCII characters"
            )
        self._secret = secret

    @classmethod
    def read(cls, path: Path) -> "Credential":
        """Return the credential in a private file; white space around it doesn't count.

        :raises PrivateFileError: when it is missing, readable by others, or could be guessed.
        """
        data = read_private(path, _MAX_CREDENTIAL_BYTES)
        if data is None:
            raise PrivateFileError(
                f"{path}: isn't there; make one: openssl rand -hex 32 > {path.name}"
            )
        try:
            return cls(data.strip())
        except ValueError as error:
            raise PrivateFileError(f"{path}: {error}") from None

    def __repr__(self) -> str:
        """Show nothing of it."""
        return "Credential(...)"

    def matches(self, sent: bytes) -> bool:
        """Tell whether this is it, in constant time."""
        return hmac.compare_digest(sent, self._secret)


Fields = Sequence[tuple[bytes, bytes]]

PREFIX: Final = b"/authz"
"""The path of forward auth; in the ``envoy`` style the original path follows it."""

TOLD: Final = b"/authz/told"
"""The path at which an engine asks that can pass on no answer but 401 and 403, as nginx: it gets 403 for every
refusal, and the refusal in fields.  A path, since no client has a say in it."""
BARE: Final = b"/authz/bare"
"""The path for engines that remove by themselves each result which an answer hasn't, as Traefik: it has no empty one.
Such an engine says nothing of a body either, so that on routes with a proof there may always be one that nobody compared.
The API that is asked about may follow: an engine that can't demand its name in the answer puts it into the question."""

_HOP_FIELDS: Final = (b"host", b"content-length", b"transfer-encoding", b"connection")
"""Fields of the question itself; the original ones come from the engine."""

_REQUIRED: Final = (b"method", b"uri", b"host")
_TOLD_TOO: Final = (b"connection", b"content-length", b"transfer-encoding")
_GENERATION_FIELD: Final = b"generation"


class Question(NamedTuple):
    """Hold the original request as the engine tells it.

    :param target: raw path, and the raw query behind ``?``.
    :param fields: header fields, ``Host`` and framing those of the original request.
    :param unseen: whether it has a body that the engine keeps to itself.
    :param generation: of the bundle that the engine's configuration was written from, where it keeps verdicts.
    :param proved: whether fields of a proof are among them; not looked for in the ``envoy`` style.
    """

    method: str
    target: bytes
    fields: list[tuple[bytes, bytes]]
    unseen: bool = False
    generation: bytes = b""
    proved: bool = False


def of_envoy(scope: Scope) -> Question | Refusal:
    """Return what Envoy asks about: method, host, query and body are the question's own.

    Envoy (``ext_authz`` over HTTP) puts the path prefix before the original path.
    """
    raw_path: bytes = scope["raw_path"]
    path = raw_path.removeprefix(PREFIX)
    if path == raw_path or not path.startswith(b"/"):
        return _malformed("expected the original path behind /authz")
    query: bytes = scope["query_string"]
    fields = [(name, value) for name, value in scope["headers"] if name != CREDENTIAL_HEADER]
    return Question(scope["method"], path + b"?" + query if query else path, fields)


class _Plan(NamedTuple):
    """Hold what follows from a question's names alone: where its fields stand.

    :param required: where method, target and host are.
    :param told: the engine's other words on the request, and where they are.
    :param generation: None where the engine keeps no verdicts.
    :param crooked: whether one of the request's own says where a client comes from, by a name that an engine without
        expressions doesn't know: with another sign for a hyphen, or of no known meaning.
    :param rewriting: whether one of them asks a framework for another path or method, in such a disguise.
    :param pick: returns the request's own fields.
    """

    required: tuple[int, int, int]
    told: tuple[tuple[bytes, int], ...]
    generation: int | None
    proved: bool
    crooked: bool
    rewriting: bool
    pick: Callable[[Fields], Fields]


@cached_by_names(entries=512, most=MAX_HEADER_BYTES)
def _plan(word: bytes, names: tuple[bytes, ...]) -> _Plan | Refusal:
    """Return where the fields of a question stand, or why it says nothing clear.

    :param word: what stands in the engine's names between ``X-`` and the part that each tells.
    """
    prefix = b"x-" + word + b"-"
    deciding = {prefix + part: part for part in (*_REQUIRED, *_TOLD_TOO, _GENERATION_FIELD)}
    at: dict[bytes, int] = {}
    kept, crooked, rewriting = [], False, False
    for place, name in enumerate(names):
        canonical = canonical_name(name.lower())
        disguised = canonical != name
        strange = is_client_side(canonical) if disguised else is_unlisted(canonical)
        crooked = crooked or (strange and canonical not in deciding)
        rewriting = rewriting or (disguised and canonical in REWRITING_FIELDS)
        if canonical in deciding:
            if canonical != name or deciding[name] in at:
                return _malformed("got a header that names the request more than once")
            at[deciding[name]] = place
        elif name not in _HOP_FIELDS and name != CREDENTIAL_HEADER:
            kept.append(place)
    missing = [prefix + part for part in _REQUIRED if part not in at]
    if missing:
        return _malformed(f"expected {b', '.join(missing).decode('ascii')} from the engine")
    return _Plan(
        (at[b"method"], at[b"uri"], at[b"host"]),
        tuple((part, at[part]) for part in _TOLD_TOO if part in at),
        at.get(_GENERATION_FIELD),
        not PROOF_FIELDS.isdisjoint(names),
        crooked,
        rewriting,
        # One call for all of them; it wants two at the least.
        itemgetter(*kept) if len(kept) > 1 else lambda fields: [fields[place] for place in kept],
    )


def _of_headers(scope: Scope, word: bytes) -> Question | Refusal:
    """Return what stands in three headers that the engine overwrites.

    The engine says how long the original body is in two more, and what the connection is told in a
    third; it doesn't send the body, so that a request with one ends on routes with a proof.
    """
    raw_path, _ = asked_at(scope)
    if raw_path not in {PREFIX, TOLD, BARE} or scope["query_string"]:
        return _malformed("expected the path /authz without a query")
    headers: Fields = scope["headers"]
    names, values = zip(*headers, strict=True) if headers else ((), ())
    plan = _plan(word, names)
    if isinstance(plan, Refusal):
        return plan
    method, uri, host = plan.required
    fields = [(b"host", values[host]), *plan.pick(headers)]
    if plan.rewriting or (plan.crooked and raw_path != PREFIX):
        # Engines that remove the client's word of it know these names one by one, and an API by any sign for -.
        return _malformed(
            "got a field of where a client comes from by a name that the engine doesn't know"
        )
    bare = raw_path == BARE
    unseen = bare
    if bare:
        fields.append((b"transfer-encoding", b"chunked"))
    # What stands there in the name of an engine that says nothing of it is a client's own word.
    for part, place in () if bare else plan.told:
        if values[place]:
            fields.append((part, values[place]))
            unseen = unseen or part != b"connection"
    # Whoever asks at the other path keeps nothing, and may pass on what a client sent by this name.
    at = plan.generation if raw_path == TOLD else None
    generation = b"" if at is None else values[at]
    asked = values[method].decode("latin-1")
    return Question(asked, values[uri], fields, unseen, generation, plan.proved)


def asked_at(scope: Scope) -> tuple[bytes, bytes | None]:
    """Return the path of a question in headers, and the API that it names behind :data:`BARE`, None if it names none."""
    raw_path: bytes = scope["raw_path"]
    if raw_path.startswith(BARE + b"/"):
        return BARE, raw_path.removeprefix(BARE + b"/")
    return raw_path, None


def of_original(scope: Scope) -> Question | Refusal:
    """Return what nginx or HAProxy ask about, by ``X-Original-Method``, ``-URI`` and ``-Host``."""
    return _of_headers(scope, b"original")


def of_forwarded(scope: Scope) -> Question | Refusal:
    """Return what Traefik or Caddy ask about, by ``X-Forwarded-Method``, ``-Uri`` and ``-Host``."""
    return _of_headers(scope, b"forwarded")


STYLES: Final[Mapping[str, Callable[[Scope], Question | Refusal]]] = {
    "envoy": of_envoy,
    "original": of_original,
    "forwarded": of_forwarded,
}
"""The ways to ask, as ``authz.style`` names them."""


def scope_of(question: Question, scope: Scope) -> Scope:
    """Return the ASGI scope of the original request, for the middleware to judge."""
    raw_path, _, query = question.target.partition(b"?")
    path = unquote_to_bytes(raw_path) if b"%" in raw_path else raw_path
    return {
        **scope,
        "type": "http",
        "method": question.method,
        "path": path.decode("utf-8", "surrogateescape"),
        "raw_path": raw_path,
        "query_string": query,
        "root_path": "",
        "headers": question.fields,
    }


def _malformed(detail: str) -> Refusal:
    return Refusal(Reason.REQUEST_MALFORMED, detail)


MAX_KEPT_SECONDS: Final = 30
"""The longest that any engine keeps a verdict, whatever the token's life."""

_ROUNDED_UP: Final = 1
"""Seconds by which nginx may serve an entry longer than it was told, since it counts whole ones."""

_MAX_JOSE_HEADER_BYTES: Final = 2048


def kept_seconds(
    decision: Decision, state: GateState, policy: GatePolicy, token: bytes, now: float
) -> int:
    """Return for how many seconds the next request of this token to the same target would pass too; 0 for not at all.

    Only where nothing but the token decides: whatever counts requests, looks at other fields or spends a proof
    has to see each of them.

    :param decision: one that lets the request pass.
    :param token: as the request carried it, verified.
    :param now: seconds since 1970.
    """
    claims = decision.claims
    route = _route(policy, decision.route)
    if claims is None or route is None or decision.refusals or not _rests_on_the_token(route):
        return 0
    if policy.rate is not None or policy.limits or policy.binding_header is not None:
        return 0
    if state.canaries is not None:
        # A planted key can stand in any field; each request is searched for them.
        return 0
    until = min(claims.expires_at, _end_of_key(state, token))
    return max(0, math.floor(min(MAX_KEPT_SECONDS, until - now)) - _ROUNDED_UP)


def _route(policy: GatePolicy, name: str) -> Route | None:
    return next((route for route in policy.routes if route.name == name), None)


def _rests_on_the_token(route: Route) -> bool:
    return route.mode is Mode.ENFORCE and route.proof is Proof.BEARER and route.secret is None


def _end_of_key(state: GateState, token: bytes) -> float:
    """Return when the key of a verified token retires."""
    head = base64url.decode(token.partition(b".")[0].decode("ascii"), _MAX_JOSE_HEADER_BYTES)
    key = state.find(str(strict_json.loads(head, _MAX_JOSE_HEADER_BYTES).get("kid")))
    if key is None:
        # Withdrawn since it was verified.
        return -math.inf
    return math.inf if key.verify_until is None else key.verify_until


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

        :param style: one of :data:`watchword.apps.gateway.authz.application.STYLES`.
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
            injects=style == "envoy",
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
        if api is not None:
            policy = self._gate.policy
            if policy is None or api != policy.api.encode():
                another = Refusal(Reason.GATE_CALLER, "got a question of another API")
                await self._refuse(another, send)
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
        now = self._clock.timestamp()
        await refuse_http(render((refusal,), ref=None, reveal=self._gate.reveals, now=now), send)

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
