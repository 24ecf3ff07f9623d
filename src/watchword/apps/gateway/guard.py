"""Hold what every middleware does around a decision, whichever interface it speaks, and a body until it is known to be the proof's."""

import asyncio
import contextlib
import hashlib
import io
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import replace
from heapq import nlargest
from http import HTTPStatus
from typing import Any, Final, Protocol

from watchword.adapters.system import SystemClock, SystemEntropy
from watchword.apps.gateway.asgi_types import Message, Receive, Send
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

_INJECTED: Final = Refusal(
    Reason.SECRET_UNAVAILABLE, "got a route with a secret, expected it behind the proxy"
)


def closed_where_nothing_is_injected(decision: Decision) -> Decision:
    """Return the decision of a middleware that nobody stands behind who adds keys.

    The key is added where the request is sent on to a third party; the application in its place isn't whom it is for.
    """
    return refuse(_INJECTED) if decision.allow and decision.injection is not None else decision


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

        :param refusal_log: is told of every refusal, also of those that ``monitor`` lets pass; the gate's own if None.
        :param clock: the system's clock if None.
        :param entropy: the system's generator if None.
        """
        self._gate = gate
        self._refusal_log = gate.refusal_log if refusal_log is None else refusal_log
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

    def _tell(self, decision: Decision) -> None:
        """Count what was found wrong with a request, whether or not it passes."""
        if self._refusal_log is not None:
            self._refusal_log.record(decision.refusals, decision.route)
        claims = decision.claims
        self._gate.tallies.finding(
            None if claims is None else claims.os, refused=not decision.allow
        )

    def _unmet_problem(self, unmet: "Unmet") -> Problem:
        """Return the answer for an application that asked for an instance where none was verified."""
        assert unmet.refusal is not None
        route = unmet.decision.route
        if self._refusal_log is not None and not unmet.decision.refusals:
            # A route in off; what monitor let pass was counted before.
            self._refusal_log.record((unmet.refusal,), route)
        return self._problem(refuse(unmet.refusal)._replace(route=route), self._timestamp())

    def _fixed(self, problem: "FixedProblem") -> Problem:
        """Return an answer that doesn't depend on the request, with the time where that can be told."""
        try:
            return problem.at(self._timestamp())
        except Exception:  # noqa: BLE001 - what failed may be the clock itself.
            return problem.bare

    def _problem(self, decision: Decision, now: float) -> Problem:
        """Return the answer of a refusal."""
        nonce = self._entropy.token_bytes(NONCE_BYTES)
        unavailable = decision.refusals[0].reason.category is Category.UNAVAILABLE
        problem = render(
            decision.refusals,
            ref=self._gate.reference(decision.refusals, decision.route, now, nonce),
            reveal=self._gate.reveals,
            now=now,
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


class FixedProblem:
    """Hold an answer that says the same to everybody, but for the time.

    :ivar bare: the one without it, made beforehand, so that it can't fail too.
    """

    def __init__(self, reason: Reason) -> None:
        """Make it of one reason."""
        self._refusals = (Refusal(reason),)
        self.bare = render(self._refusals, ref=None, reveal=False)

    def at(self, now: float) -> Problem:
        """Return the answer at an instant, in seconds since 1970."""
        return render(self._refusals, ref=None, reveal=False, now=now)


INTERNAL = FixedProblem(Reason.GATE_INTERNAL)
"""The answer when the gate itself failed."""

INCOMPLETE = FixedProblem(Reason.REQUEST_MALFORMED)
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

UNMET: Final = "watchword.unmet"
"""Where it puts an :class:`Unmet` where there are no claims."""


class Unmet:
    """Remember that an application asked for a verified instance where there was none.

    A framework may turn the refusal into a 500 of its own before the middleware sees it; the middleware then answers with
    the refusal.  Made only where nobody was verified, so that a request of a genuine instance pays nothing.

    :ivar refusal: what :func:`require_claims` raised, None while nobody asked.
    """

    __slots__ = ("decision", "refusal")

    def __init__(self, decision: Decision) -> None:
        """Keep the decision by which the application is called for nobody."""
        self.decision = decision
        self.refusal: Refusal | None = None

    def stands_for(self, status: int) -> bool:
        """Tell whether an answer of this status stands for the refusal."""
        return self.refusal is not None and status >= HTTPStatus.INTERNAL_SERVER_ERROR


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

    A handler that lets the error pass answers with the refusal's problem (401) behind a middleware, whatever its framework
    makes of exceptions.  In ``monitor`` and ``canary`` that refuses whom the gate let pass: use :func:`verified_claims` there.

    :raises RefusedError: ``token.missing`` where nobody was verified, else as :func:`verified_claims`.
    """
    claims = verified_claims(request)
    if claims is None:
        refusal = Refusal(Reason.TOKEN_MISSING, "expected a verified instance")
        unmet = request.get(UNMET)
        if unmet is not None:
            unmet.refusal = refusal
        raise RefusedError((refusal,))
    return claims


class ClientGoneError(Exception):
    """Report that a client left before its body was complete: nobody waits for an answer."""


PACE_BYTES: Final = 8 * 1024
"""Least bytes of a held body, or all that is left of it, in each time of the middleware's patience."""

IDLE_SECONDS: Final = 1.0
"""After how long without :data:`PACE_BYTES` a body makes room for others, where there is none."""

LONG_IDLE_SECONDS: Final = 3.0
"""The same, of a holder that has less than who asks for room."""

_LOOKED_AT: Final = 16
"""Most holders that are looked at for a body that makes room."""


class Evictable(Protocol):
    """Be a body that can be let go of before it is whole."""

    def idle(self) -> float:
        """Return for how many seconds it has made no progress."""

    def evict(self) -> None:
        """Give its memory back at once, and have its request refused."""


class HeldMemory:
    """Bound what all bodies that are held at once take, and what those of one holder take of it.

    A proof isn't spent before its body is whole, so that one proof can begin any number of bodies: without
    a bound of its own one instance would keep the room of all others.

    **Where there is no room**, an idle body makes some: the idlest one of whoever holds most, and of a holder that has
    less than who asks only one that is idle for longer.  So a crowd of instances that begin bodies and fall silent keeps
    nobody out whose body arrives, and a phone in a tunnel isn't the first to go.
    """

    def __init__(self, most: int) -> None:
        """Start with nothing held.

        :param most: bytes of all bodies; of one holder's a sixteenth, but always one whole body.
        """
        self._most = most
        self._held: dict[str, int] = {}
        self._bodies: dict[str, dict[Evictable, None]] = {}
        self._total = 0

    def __len__(self) -> int:
        """Return how many bytes are held."""
        return self._total

    def take(self, holder: str, size: int, limit: int, body: Evictable | None = None) -> bool:
        """Make room for a piece; tell whether there is any.

        :param holder: the device or instance whose body it is.
        :param limit: most bytes of the body that it belongs to.
        :param body: which body that is, None for one that can't be let go of.
        """
        held = self._held.get(holder, 0) + size
        if held > max(self._most // 16, limit):
            return False
        while self._total + size > max(self._most, limit):
            idlest = self._idlest(held, body)
            if idlest is None:
                return False
            idlest.evict()
            held = self._held.get(holder, 0) + size
        self._held[holder] = held
        self._total += size
        if body is not None:
            self._bodies.setdefault(holder, {})[body] = None
        return True

    def give_back(self, holder: str, size: int, body: Evictable | None = None) -> None:
        """Give back what was taken."""
        left = self._held.pop(holder, 0) - size
        if left > 0:
            self._held[holder] = left
        self._total -= size
        bodies = self._bodies.get(holder)
        if bodies is not None and body is not None:
            bodies.pop(body, None)
            if not bodies:
                del self._bodies[holder]

    def _idlest(self, held: int, asking: Evictable | None) -> Evictable | None:
        """Return the body that makes room for one of a holder of so many bytes; None where none has to."""
        for holder in nlargest(_LOOKED_AT, self._held, key=self._held.__getitem__):
            others = [body for body in self._bodies.get(holder, ()) if body is not asking]
            idlest = max(others, key=lambda body: body.idle(), default=None)
            least = IDLE_SECONDS if self._held[holder] >= held else LONG_IDLE_SECONDS
            if idlest is not None and idlest.idle() >= least:
                return idlest
        return None


class HeldBody:
    """Read a body into memory, bounded, and hand it on as one message.

    What was read is held once: in one buffer, however small the pieces are in which it came.  It is refused when it comes
    slower than :data:`PACE_BYTES` in each ``patience``, and when it is idle while others need its room.
    """

    def __init__(
        self,
        receive: Receive,
        *,
        limit: int,
        patience: float,
        total: float,
        memory: HeldMemory,
        holder: str,
    ) -> None:
        """Prepare to read; nothing is read yet.

        :param limit: most bytes.
        :param patience: seconds in which the next :data:`PACE_BYTES` must arrive, or the end.
        :param total: seconds in which all of it must.
        :param memory: is asked for room for each piece.
        :param holder: whose body it is: the device or the instance.
        """
        self._memory = memory
        self._holder = holder
        self._taken = 0
        self._progress = 0.0
        self._evicted: asyncio.Future[None] | None = None
        self._receive = receive
        self._limit = limit
        self._patience = patience
        self._total = total
        self._hash = hashlib.sha256()
        self._buffer: io.BytesIO | None = io.BytesIO()
        self._complete = False
        self._waiting: asyncio.Future[Message] | None = None

    @property
    def digest(self) -> bytes:
        """Return the SHA-256 of what was read."""
        return self._hash.digest()

    async def read(self) -> Refusal | None:
        """Read to the end; return why that isn't possible.

        Whatever was read by then can still be handed on, and the rest behind it.

        :raises ClientGoneError: when the client leaves.
        """
        loop = asyncio.get_running_loop()
        now = self._progress = loop.time()
        until = now + self._total
        size = progress = 0
        self._evicted = loop.create_future()
        assert self._buffer is not None
        while not self._complete:
            message = await self._next(min(self._progress + self._patience, until) - now)
            if self._evicted.done():
                return Refusal(
                    Reason.GATE_OVERLOADED, "got an idle body while others need its room"
                )
            if message is None:
                return Refusal(
                    Reason.REQUEST_TIMEOUT, f"got {size} bytes of a body, and no more in time"
                )
            if message["type"] != "http.request":
                raise ClientGoneError
            piece = message.get("body", b"")
            size += len(piece)
            now = loop.time()
            if size - progress >= PACE_BYTES:
                progress, self._progress = size, now
            self._hash.update(piece)
            self._buffer.write(piece)
            self._complete = not message.get("more_body", False)
            if size > self._limit:
                return too_large(self._limit)
            if not self._memory.take(self._holder, len(piece), self._limit, self):
                return Refusal(Reason.GATE_OVERLOADED, "got more bodies at once than there is room")
            self._taken += len(piece)
        return None

    async def receive(self) -> Message:
        """Be the ``receive`` of the application: what was read, then what comes."""
        if self._buffer is not None:
            body, self._buffer = self._buffer.getvalue(), None
            self._give_back()
            return {"type": "http.request", "body": body, "more_body": not self._complete}
        if self._waiting is not None:
            waiting, self._waiting = self._waiting, None
            return await waiting
        return await self._receive()

    def idle(self) -> float:
        """Return for how many seconds less than :data:`PACE_BYTES` have come."""
        return asyncio.get_running_loop().time() - self._progress

    def evict(self) -> None:
        """Give the memory back at once, and wake up who reads."""
        self._give_back()
        evicted = self._evicted
        if evicted is not None and not evicted.done():
            evicted.set_result(None)

    def close(self) -> None:
        """Let go of the body, and of what was waited for."""
        self._buffer = None
        self._give_back()
        if self._waiting is not None:
            self._waiting.cancel()

    def _give_back(self) -> None:
        self._memory.give_back(self._holder, self._taken, self)
        self._taken = 0

    async def _next(self, seconds: float) -> Message | None:
        """Return the next message, None if it takes too long; then it is still waited for.

        It isn't cancelled: a server may have taken it off the connection already.
        """
        assert self._evicted is not None
        waiting = self._waiting = asyncio.ensure_future(self._receive())
        either: set[asyncio.Future[Any]] = {waiting, self._evicted}
        await asyncio.wait(either, timeout=max(seconds, 0.0), return_when=asyncio.FIRST_COMPLETED)
        if self._evicted.done() or not waiting.done():
            return None
        self._waiting = None
        return waiting.result()


def too_large(limit: int) -> Refusal:
    """Return the refusal of a body with more than ``limit`` bytes."""
    return Refusal(Reason.REQUEST_BODY_TOO_LARGE, f"expected a body of at most {limit} bytes")


def announces_too_much(decision: Decision) -> Refusal | None:
    """Refuse by its length a body that would be too large, before a byte of it is read."""
    pending = decision.pending
    if pending is not None and decision.enforced:
        for name, value in decision.headers:
            if name == b"content-length" and int(value) > pending.max_body:
                return too_large(pending.max_body)
    return None


def without_body(receive: Receive, report: Callable[[Refusal], None]) -> Receive:
    """Return a ``receive`` that hands no byte of a body on.

    A request whose proof covers no body announced none.  HTTP/1.1 has none then; over HTTP/2 a client can
    send one all the same, and the application sees a client that left.
    """
    refused = False

    async def guarded() -> Message:
        nonlocal refused
        if refused:
            return {"type": "http.disconnect"}
        message = await receive()
        if message["type"] == "http.request" and (
            message.get("body") or message.get("more_body", False)
        ):
            refused = True
            report(Refusal(Reason.PROOF_BODY, "got a body that wasn't announced"))
            return {"type": "http.disconnect"}
        return message

    return guarded
