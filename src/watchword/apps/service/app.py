"""Serve a table of routes over ASGI: the frame that every request passes, and every refusal."""

import asyncio
import re
from collections import Counter, deque
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Iterator,
    Mapping,
    MutableMapping,
    Sequence,
)
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import parse_qsl

import structlog

from watchword.adapters.system import steady_seconds
from watchword.apps.problems import render
from watchword.drill.consent import MAX_BYTES, PATH, ConsentError, read_consent
from watchword.encoding import strict_json
from watchword.enrolment.pace import LaterError
from watchword.gate.hygiene import clean, read_path
from watchword.gate.limits import ClientAddresses
from watchword.ports import Clock, RefusalLog
from watchword.reasons import (
    MalformedError,
    Reason,
    Refusal,
    RefusedError,
    UnavailableError,
    WatchwordError,
)

_PIECE_BYTES: Final = 128 * 1024
"""So much of a large answer is sent at a time."""


def _stay() -> None:
    """Have no turn to give."""


@dataclass(frozen=True, slots=True)
class Request:
    """Hold a request after its headers, path and body were found to be in order; its repr shows no body.

    :param parameters: what stood in the place of ``{name}`` in the route's path.
    :param query: single-valued; an argument that occurs twice was refused.
    :param members: the JSON object of the body; empty where the route takes none.
    :param body: the body as it came; empty where the route takes none.
    :param headers: names in lower case.
    :param address: the prefix of the client's address, None where it isn't known (:mod:`watchword.gate.limits`).
    :param peer: the names in the caller's certificate, where the listener asks for one.
    :param leave: gives its turn to others, where it has one: to be called before a wait that costs nothing.
    """

    parameters: Mapping[str, str]
    query: Mapping[str, str]
    members: Mapping[str, Any] = field(repr=False)
    headers: Mapping[bytes, bytes]
    peer: tuple[str, ...] = ()
    body: bytes = field(default=b"", repr=False)
    address: str | None = field(default=None, repr=False)
    leave: Callable[[], None] = field(default=_stay, repr=False)


@dataclass(frozen=True, slots=True)
class Response:
    """Hold an answer; content-length is added where it is sent."""

    status: int
    body: bytes
    headers: tuple[tuple[bytes, bytes], ...] = field(default=())
    parts: Sequence[bytes] = ()
    """Much, in place of a body: it is sent bit by bit."""


def json_response(status: int, value: Any, cache: bytes = b"no-store") -> Response:
    """Return a JSON answer; nothing is cached unless ``cache`` says so."""
    headers = ((b"content-type", b"application/json"), (b"cache-control", cache))
    return Response(status, strict_json.dumps(value), headers)


def require_members(members: Mapping[str, Any], *names: str) -> None:
    """Refuse a body that has other members than these.

    :raises MalformedError: ``request.malformed``.
    """
    if members.keys() != set(names):
        raise MalformedError.because(
            Reason.REQUEST_MALFORMED, f"expected exactly the members {', '.join(names)}"
        )


def text_member(members: Mapping[str, Any], name: str, limit: int) -> str:
    """Return a member that is text of 1 to ``limit`` characters.

    :raises MalformedError: ``request.malformed``.
    """
    value = members[name]
    if not isinstance(value, str) or not 0 < len(value) <= limit:
        raise MalformedError.because(
            Reason.REQUEST_MALFORMED, f"expected {name} to be text of 1 to {limit} characters"
        )
    return value


MAX_WAITING: Final = 64
"""Most requests that wait for their turn: a fifth of a second on a small machine, so that an answer still has a reader."""

MAX_INSIDE: Final = 96
"""Most requests that had their turn and aren't answered yet: they wait for the store, or (40 at most) for a vendor."""

PROMISED_SECONDS: Final = 0.05
"""How long a place in the line is kept for a body that is on its way.

Most are there already.  A slower one isn't turned away for it, but keeps nobody out: sending heads without bodies
costs a crowd nothing.
"""

RETRY_SECONDS: Final = 2
"""After how long to come again."""


class Urgency(IntEnum):
    """Order those who wait; a smaller number comes first."""

    ENROLLED = 0
    """An instance that is enrolled: it renews, or asks for a secret.  Its user is at work with the app."""

    STRANGER = 1
    """One that enrols: nobody knows yet whether it is anybody."""


class Admission:
    """Admit requests to the costly part of the service: one at a turn, the urgent first, the rest told to come again.

    An enrolment costs a hundred times what turning it away costs.  Without a bound a crowd makes everybody wait until all of
    them have hung up, and the service works for nobody.  So what verifies evidence waits in a short line; whoever finds the
    line full is answered 503 before a byte of the body is read and before any cryptography.

    The event loop has its turn between any two of them: whatever isn't admitted here (health, keys, challenges, the gates in
    the same process) is answered in between and never waits for the line.  One belongs to one event loop.
    """

    def __init__(
        self,
        *,
        waiting: int = MAX_WAITING,
        inside: int = MAX_INSIDE,
        monotonic: Callable[[], float] = steady_seconds,
    ) -> None:
        """Begin with nobody there.

        :param waiting: most that wait for their turn.
        :param inside: most that had it and aren't answered yet.
        :param monotonic: seconds of a clock that never jumps.
        """
        self._most_waiting = waiting
        self._most_inside = inside
        self._monotonic = monotonic
        self._inside = 0
        self._lines: tuple[deque[asyncio.Future[None]], ...] = tuple(deque() for _ in Urgency)
        self._due = False
        self._arriving: dict[object, float] = {}

    @property
    def waiting(self) -> int:
        """Return how many wait for their turn."""
        return sum(len(line) for line in self._lines)

    @property
    def inside(self) -> int:
        """Return how many had their turn and aren't answered yet."""
        return self._inside

    def full(self) -> UnavailableError:
        """Return what to tell those for whom there is no room: ``service.overloaded``."""
        return UnavailableError(
            Reason.SERVICE_OVERLOADED,
            f"got more than {self._most_waiting} requests that wait for their turn",
            RETRY_SECONDS,
        )

    def has_room(self, urgency: Urgency) -> bool:
        """Tell whether a request may join the line; asked before anything of it is read."""
        waiting = self.waiting
        if waiting < self._most_waiting:
            urgent = urgency is Urgency.ENROLLED
            return urgent or waiting + self._promised() < self._most_waiting
        return any(self._lines[urgency + 1 :])

    @contextmanager
    def place(self, urgency: Urgency) -> Iterator[None]:
        """Keep a place while the body of a request is read, so that a crowd's bodies aren't read in vain.

        :raises UnavailableError: ``service.overloaded``.
        """
        if not self.has_room(urgency):
            raise self.full()
        if urgency is Urgency.ENROLLED:
            # Who is more urgent than others takes the place of one of these.
            yield
            return
        promise = object()
        self._arriving[promise] = self._monotonic()
        try:
            yield
        finally:
            self._arriving.pop(promise, None)

    def _promised(self) -> int:
        """Return how many places are kept; one that was kept for long is given up, since slow bodies cost nothing to send."""
        oldest = self._monotonic() - PROMISED_SECONDS
        while self._arriving:
            promise = next(iter(self._arriving))
            if self._arriving[promise] >= oldest:
                break
            del self._arriving[promise]
        return len(self._arriving)

    @asynccontextmanager
    async def turn(self, urgency: Urgency) -> AsyncIterator[Callable[[], None]]:
        """Wait for a turn; it ends with the block, or before, by calling what is returned.

        :raises UnavailableError: ``service.overloaded``, at once when the line is full, or later when somebody more
            urgent took the place.
        """
        if self.waiting >= self._most_waiting:
            self._make_room(urgency)
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._lines[urgency].append(waiter)
        self._call_soon()
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                # It had its turn in the very moment in which its task was ended.
                self._leave()
            elif waiter in self._lines[urgency]:
                self._lines[urgency].remove(waiter)
            raise
        inside = True

        def leave() -> None:
            nonlocal inside
            if inside:
                inside = False
                self._leave()

        try:
            yield leave
        finally:
            leave()

    def _make_room(self, urgency: Urgency) -> None:
        """Turn away the last of the least urgent, who has waited least.

        :raises UnavailableError: when nobody is less urgent.
        """
        line = next((line for line in reversed(self._lines[urgency + 1 :]) if line), None)
        if line is None:
            raise self.full()
        waiter = line.pop()
        if not waiter.done():
            waiter.set_exception(self.full())

    def _leave(self) -> None:
        self._inside -= 1
        self._call_soon()

    def _call_soon(self) -> None:
        if not self._due and self._inside < self._most_inside and any(self._lines):
            self._due = True
            asyncio.get_running_loop().call_soon(self._admit_one)

    def _admit_one(self) -> None:
        """Give the turn to one alone: the next comes after whatever else the loop has to do."""
        self._due = False
        for line in self._lines:
            while line:
                waiter = line.popleft()
                if not waiter.done():
                    self._inside += 1
                    waiter.set_result(None)
                    self._call_soon()
                    return


Endpoint = Callable[[Any, Request], Awaitable[Response]]
"""Answer a request; the first argument is the context that the application was built with."""

_PARAMETER = re.compile(r"[A-Za-z0-9_-]{1,64}")


class MethodError(RefusedError):
    """Report a path that is served, under other methods."""

    allowed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Route:
    """Hold one line of a table of routes.

    :param path: literal segments, or ``{name}`` for one segment of an id's characters.
    :param takes_json: the body is a JSON object; otherwise a body is left unread.
    :param takes_body: the body is JSON that the endpoint reads by itself.
    :param urgency: how urgent it is where it has to wait for its turn; None where it is so cheap that it never waits.
    :param arguments: what the query may name; the operator is told of any other.  A phone's are left unread.
    """

    method: str
    path: str
    endpoint: Endpoint
    takes_json: bool = False
    takes_body: bool = False
    urgency: Urgency | None = None
    arguments: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """Return the name in counters and logs, the same for every id."""
        return f"{self.method} {self.path}"


_NOT_FOUND: Final = "expected a path of the API description"


def find_route(
    routes: Sequence[Route],
    method: str,
    segments: tuple[str, ...],
    not_found: str = _NOT_FOUND,
) -> tuple[Route, Mapping[str, str]]:
    """Return the route and its parameters.

    :param not_found: what is said where no path fits.
    :raises RefusedError: ``request.not_found``, or ``request.method`` as :class:`MethodError`.
    """
    matching = [
        (route, parameters)
        for route in routes
        if (parameters := _match(route.path, segments)) is not None
    ]
    # A path that is written out is no other one's parameter, whatever the method (OpenAPI 3.1, section 4.8.8.2).
    written_out = [each for each in matching if not each[1]]
    for route, parameters in written_out or matching:
        # HEAD runs what GET runs (RFC 9110 section 9.3.2); the server leaves the body out.
        if route.method == ("GET" if method == "HEAD" else method):
            return route, parameters
    allowed = [route.method for route, _ in written_out or matching]
    if allowed:
        error = MethodError.because(Reason.REQUEST_METHOD, f"expected {', '.join(allowed)}")
        error.allowed = tuple(allowed)
        raise error
    raise RefusedError.because(Reason.REQUEST_NOT_FOUND, not_found)


def _match(pattern: str, segments: tuple[str, ...]) -> Mapping[str, str] | None:
    wanted = pattern.strip("/").split("/")
    if len(wanted) != len(segments):
        return None
    parameters = {}
    for part, segment in zip(wanted, segments, strict=True):
        if part.startswith("{"):
            if not _PARAMETER.fullmatch(segment):
                return None
            parameters[part[1:-1]] = segment
        elif part != segment:
            return None
    return parameters


MAX_BODY_BYTES: Final = 64 * 1024
"""Most bytes of a body; the largest real one has 9 kB."""

MOST_SIGNS: Final = {b",": 256, b"\\": 2048}
"""Most signs of a stranger's JSON of which each costs time: real ones have 20 commas, and a backslash where a
library writes ``/`` in base64 with one.  64 KiB of numbers take four times as long to read as an enrolment takes."""

BODY_SECONDS: Final = 10.0
"""How long a body may take to arrive, as a whole: one byte a minute holds no memory."""

MAX_ARRIVING: Final = 256
"""Most bodies that arrive at the same time: at most 16 MiB are held for them."""

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]


def require_cheap(body: bytes) -> None:
    """Return if a stranger's JSON is read in less time than it takes to turn him away a few times.

    :raises MalformedError: ``request.malformed``.
    """
    for sign, most in MOST_SIGNS.items():
        if body.count(sign) > most:
            text = sign.decode("ascii")
            raise MalformedError.because(
                Reason.REQUEST_MALFORMED, f"expected at most {most} of {text} in a body"
            )


class BodyReader:
    """Read bodies; of too many at a time the one that takes longest makes room.

    An honest body is whole within a moment, so that whoever sends hundreds of slow ones only
    pushes out his own, and nobody else waits for them.
    """

    def __init__(self) -> None:
        """Start with no body on its way."""
        self._arriving: dict[asyncio.Timeout, None] = {}

    async def read(
        self, headers: Mapping[bytes, bytes], receive: Receive, seconds: float = BODY_SECONDS
    ) -> bytes:
        """Return the body of a request whose head was checked.

        :raises MalformedError: ``request.body_too_large``, on the declared length before a byte is
            read; ``request.framing``.
        :raises RefusedError: ``request.timeout``.
        :raises UnavailableError: ``service.overloaded``, when it made room for others.
        """
        length = int(headers.get(b"content-length", b"0"))
        if length > MAX_BODY_BYTES:
            raise _too_large()
        if len(self._arriving) >= MAX_ARRIVING:
            oldest = next(iter(self._arriving))
            del self._arriving[oldest]
            oldest.reschedule(asyncio.get_running_loop().time())
        limit = asyncio.timeout(seconds)
        try:
            async with limit:
                self._arriving[limit] = None
                return await _whole(receive, length)
        except TimeoutError:
            if limit not in self._arriving:
                raise UnavailableError(
                    Reason.SERVICE_OVERLOADED, f"more than {MAX_ARRIVING} bodies", retry_after=2
                ) from None
            raise RefusedError.because(
                Reason.REQUEST_TIMEOUT, f"expected the whole body within {seconds:g} s"
            ) from None
        finally:
            self._arriving.pop(limit, None)


async def _whole(receive: Receive, length: int) -> bytes:
    """Return the body.

    :param length: as declared, 0 where it isn't: with so many bytes it is whole, whether or not its end was told yet.
    """
    chunks = []
    total = 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            # The client left, or it is there and broke its own framing: a server can't say which.
            raise MalformedError.because(
                Reason.REQUEST_FRAMING, "got the end before the body was whole"
            )
        chunk: bytes = message.get("body", b"")
        total += len(chunk)
        if total > MAX_BODY_BYTES:
            raise _too_large()
        chunks.append(chunk)
        if total == length > 0 or not message.get("more_body", False):
            return b"".join(chunks)


def _too_large() -> MalformedError:
    return MalformedError.because(
        Reason.REQUEST_BODY_TOO_LARGE, f"expected at most {MAX_BODY_BYTES} bytes"
    )


MAX_QUERY_BYTES: Final = 1024
"""Most bytes of a query; the longest real one has 60."""

STORE_RETRY_SECONDS: Final = 5
"""After how long to come again when the state directory is in trouble."""

_LATER: Final[Mapping[Reason, int]] = {
    Reason.POLICY_REVOCATION_UNKNOWN: 60,
    Reason.POLICY_DEVICE_VELOCITY: 3600,
    Reason.POLICY_SERIAL_FAN_OUT: 3600,
}
"""After how many seconds to come again after what a policy refuses for a while: a list comes soon, a day's counts fall slowly."""

NOTE_SECONDS: Final = 10.0
"""How often one kind of failure is logged; the counters have each of them."""

PEER_STATE: Final = "watchword.peer"
"""Under this name of the scope's state a listener tells the names in the caller's certificate."""

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Scope = MutableMapping[str, Any]

_UNMATCHED = "unmatched"
AsgiApplication = Callable[..., Awaitable[None]]

_CONSENT_METHODS: Final = frozenset({"GET", "HEAD"})
_WITHOUT_CONTENT = frozenset({204, 304})
_log = structlog.get_logger()


class FrameContext(Protocol):
    """Hold what the frame itself needs of the context that it hands to endpoints."""

    @property
    def answers(self) -> Counter[tuple[str, int]]:
        """Return how often each route answered with each status."""

    @property
    def clock(self) -> Clock:
        """Return what tells the time."""

    @property
    def refusal_log(self) -> RefusalLog:
        """Return what counts refusals of strangers."""

    def reference(self, refusals: Sequence[Refusal], where: str) -> str | None:
        """Return the opaque reference of a refusal, None where nothing opens one."""


class Application:
    """Answer HTTP requests by a table of routes; a refusal leaves as a problem, whatever its cause."""

    def __init__(
        self,
        routes: Sequence[Route],
        context: FrameContext,
        *,
        reveal: bool,
        operator: bool = False,
        addresses: ClientAddresses | None = None,
        not_found: str = _NOT_FOUND,
    ) -> None:
        """Keep the table.

        :param reveal: put reasons in the open.
        :param operator: the caller may know everything and is told the details too.  What he is refused counts as an
            answer (at a place that begins with ``operator``) and not as a refusal: those are clients'.
        :param addresses: tells clients' addresses; None where nobody asks for them.
        :param not_found: see :func:`find_route`.
        """
        self.routes = tuple(routes)
        self._not_found = not_found
        self._operator = operator
        self._prefix = "operator " if operator else ""
        self._context = context
        self._reveal = reveal
        self._addresses = addresses
        self._bodies = BodyReader()
        self._admission = Admission()
        self._waited_for = {
            (route.method, route.path.encode()): (route, route.urgency)
            for route in self.routes
            if route.urgency is not None
        }
        self._overloaded: dict[str, tuple[int, Response]] = {}
        self._noted: dict[str, float] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one ASGI connection."""
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008})
        elif (route := self._full_for(scope)) is not None:
            where = self._prefix + route.label
            response = self._turn_away(self._admission.full(), where)
            self._context.answers[where, response.status] += 1
            await _send(response, send)
        else:
            await _send(await self._answer(scope, receive), send)

    def _full_for(self, scope: Scope) -> Route | None:
        """Return the route of a request for which there is no room; whatever else is wrong with it nobody looks at."""
        found = self._waited_for.get((scope["method"], scope.get("raw_path") or b""))
        if found is None or self._admission.has_room(found[1]):
            return None
        return found[0]

    async def _answer(self, scope: Scope, receive: Receive) -> Response:
        where = self._prefix + _UNMATCHED
        try:
            headers = _headers(scope)
            route, parameters = self._route(scope)
            where = self._prefix + route.label
            body = await self._body(route, headers, receive)
            # Only a listener of ours puts a state there; nothing of it comes out of the request.
            peer = tuple(scope.get("state", {}).get(PEER_STATE, ()))
            request = Request(
                parameters, _query(scope), {}, headers, peer, body, self._address(route, scope)
            )
            if route.urgency is None:
                response = await self._carry_out(route, request)
            else:
                async with self._admission.turn(route.urgency) as leave:
                    response = await self._carry_out(route, request, leave)
        except Exception as error:  # noqa: BLE001 - the last handler: no trace leaves the service.
            response = self._refuse(error, where)
        self._context.answers[where, response.status] += 1
        return response

    def _route(self, scope: Scope) -> tuple[Route, Mapping[str, str]]:
        """Return the route and its parameters; those that are asked for most are found by their whole path."""
        found = self._waited_for.get((scope["method"], scope.get("raw_path") or b""))
        if found is not None:
            return found[0], {}
        return find_route(self.routes, scope["method"], _segments(scope), self._not_found)

    def _address(self, route: Route, scope: Scope) -> str | None:
        """Return the prefix of the client's address; the fields are in order by now.  Of enrolled instances nobody asks for it."""
        if self._addresses is None or route.urgency is Urgency.ENROLLED:
            return None
        peer = scope.get("client")
        fields = ((name.lower(), value) for name, value in scope["headers"])
        return self._addresses.prefix(peer[0] if peer else None, fields)

    async def _carry_out(
        self, route: Route, request: Request, leave: Callable[[], None] = _stay
    ) -> Response:
        if self._operator:
            _require_arguments(route, request.query)
        if route.takes_json:
            if not self._operator:
                require_cheap(request.body)
            # Here, since reading a crowd's JSON costs more than turning the crowd away.
            members = strict_json.loads(request.body, MAX_BODY_BYTES)
            # Written out: dataclasses.replace costs several times as much.
            request = Request(
                request.parameters,
                request.query,
                members,
                request.headers,
                request.peer,
                request.body,
                request.address,
                leave,
            )
        return await route.endpoint(self._context, request)

    def _note(self, event: str, **details: str) -> None:
        """Log what an operator must act on, at most once in a while: strangers can cause it."""
        now = self._context.clock.timestamp()
        if abs(now - self._noted.get(event, 0)) >= NOTE_SECONDS:
            self._noted[event] = now
            _log.error(event, **details)

    async def _body(self, route: Route, headers: Mapping[bytes, bytes], receive: Receive) -> bytes:
        if not (route.takes_json or route.takes_body):
            return b""
        _require_json(headers)
        if route.urgency is None:
            return await self._bodies.read(headers, receive)
        with self._admission.place(route.urgency):
            return await self._bodies.read(headers, receive)

    def _refuse(self, error: Exception, where: str) -> Response:
        """Turn an error into an answer; count and sample it."""
        if isinstance(error, UnavailableError) and error.reason is Reason.SERVICE_OVERLOADED:
            return self._turn_away(error, where)
        return self._answer_of(error, where)

    def _turn_away(self, error: UnavailableError, where: str) -> Response:
        """Answer one of a crowd: all of a second get the same reference, which means the same for each.

        Making one costs half of what turning somebody away costs, and then a crowd would have that time.
        """
        second = int(self._context.clock.timestamp())
        made = self._overloaded.get(where)
        if made is None or made[0] != second:
            made = self._overloaded[where] = (second, self._answer_of(error, where))
        else:
            self._count((Refusal(error.reason, error.detail),), where)
        return made[1]

    def _count(self, refusals: Sequence[Refusal], where: str) -> None:
        if not self._operator:
            self._context.refusal_log.record(refusals, where)

    def _answer_of(self, error: Exception, where: str) -> Response:
        retry_after, signed, place = None, None, None
        extra: tuple[tuple[bytes, bytes], ...] = ()
        if isinstance(error, RefusedError):
            refusals: Sequence[Refusal] = error.refusals
            retry_after, signed = _LATER.get(error.reason), error.signed
            if isinstance(error, MethodError):
                extra = ((b"allow", ", ".join(error.allowed).encode()),)
        elif isinstance(error, UnavailableError):
            refusals = (Refusal(error.reason, error.detail),)
            retry_after = error.retry_after
            if isinstance(error, LaterError):
                place = error.place
            else:
                self._note(error.reason.code, detail=error.detail, where=where)
        elif isinstance(error, WatchwordError):
            # Files of the state directory that can't be read, written or trusted now.
            refusals = (Refusal(Reason.STORE_UNAVAILABLE, type(error).__name__),)
            retry_after = STORE_RETRY_SECONDS
            self._note(Reason.STORE_UNAVAILABLE.code, detail=str(error), where=where)
        else:
            refusals = (Refusal(Reason.SERVICE_INTERNAL, type(error).__name__),)
            # The class alone: an exception's text can quote what a stranger or a key file said.
            self._note("internal error", error=type(error).__name__, where=where)
        self._count(refusals, where)
        problem = render(
            refusals,
            ref=self._context.reference(refusals, where),
            reveal=self._reveal,
            now=self._context.clock.timestamp(),
            details=self._operator,
            retry_after=retry_after,
            signed=signed,
            place=place,
        )
        return Response(problem.status, problem.body, problem.headers + extra)


def _headers(scope: Scope) -> Mapping[bytes, bytes]:
    cleaned = clean(scope["headers"])
    if isinstance(cleaned, Refusal):
        raise MalformedError((cleaned,))
    return dict(cleaned.fields)


def _segments(scope: Scope) -> tuple[str, ...]:
    """Return the path's segments; decided on the raw path, so that no server decodes it for us."""
    raw_path: bytes = scope.get("raw_path") or scope["path"].encode()
    segments = read_path(raw_path.partition(b"?")[0])
    if isinstance(segments, Refusal):
        raise MalformedError((segments,))
    return segments


def _query(scope: Scope) -> Mapping[str, str]:
    raw: bytes = scope.get("query_string", b"")
    try:
        pairs = parse_qsl(raw[: MAX_QUERY_BYTES + 1].decode("ascii"), errors="strict")
    except ValueError:
        pairs = None
    if pairs is None or len(raw) > MAX_QUERY_BYTES:
        raise MalformedError.because(
            Reason.REQUEST_MALFORMED,
            f"expected an encoded query of at most {MAX_QUERY_BYTES} bytes",
        )
    query = dict(pairs)
    if len(query) != len(pairs):
        raise MalformedError.because(Reason.REQUEST_MALFORMED, "got a query argument twice")
    return query


def _require_arguments(route: Route, query: Mapping[str, str]) -> None:
    """Refuse a query that names what the route doesn't look at: its answer would pass for one to the question.

    :raises MalformedError: ``request.malformed``.
    """
    unknown = sorted(query.keys() - set(route.arguments))
    if unknown:
        known = f"one of: {', '.join(route.arguments)}" if route.arguments else "no query"
        raise MalformedError.because(
            Reason.REQUEST_MALFORMED, f"got the query argument {unknown[0]!r}, expected {known}"
        )


def _require_json(headers: Mapping[bytes, bytes]) -> None:
    """Refuse a body that says it is something else than plain JSON in UTF-8 (RFC 8259)."""
    media_type, _, parameters = headers.get(b"content-type", b"").lower().partition(b";")
    charset = parameters.replace(b'"', b"").strip()
    plain = headers.get(b"content-encoding", b"identity").strip().lower() == b"identity"
    if media_type.strip() != b"application/json" or charset not in {b"", b"charset=utf-8"}:
        raise MalformedError.because(Reason.REQUEST_MEDIA_TYPE, "expected application/json")
    if not plain:
        raise MalformedError.because(Reason.REQUEST_MEDIA_TYPE, "expected no content-encoding")


async def _send(response: Response, send: Send) -> None:
    headers = list(response.headers)
    # An answer without content has none (RFC 9110 section 8.6): on a 304 a length of 0 would be that of the whole.
    if response.status not in _WITHOUT_CONTENT and not any(
        name == b"content-length" for name, _ in headers
    ):
        length = len(response.body) + sum(map(len, response.parts))
        headers.append((b"content-length", str(length).encode()))
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    for piece in in_pieces(response.parts):
        await send({"type": "http.response.body", "body": piece, "more_body": True})
        # It doesn't wait where the network takes all: others have their turn between megabytes that are encrypted.
        await asyncio.sleep(0)
    await send({"type": "http.response.body", "body": response.body})


def in_pieces(parts: Sequence[bytes]) -> Iterator[bytes]:
    """Yield all of it in pieces of a size that is sent in less than a millisecond."""
    gathered: list[bytes] = []
    size = 0
    for part in parts:
        for start in range(0, len(part), _PIECE_BYTES):
            piece = part[start : start + _PIECE_BYTES]
            gathered.append(piece)
            size += len(piece)
            if size >= _PIECE_BYTES:
                yield b"".join(gathered)
                gathered, size = [], 0
    if gathered:
        yield b"".join(gathered)


async def _lifespan(receive: Receive, send: Send) -> None:
    """Agree to start and stop: what runs beside the requests is started by the service itself."""
    while True:
        message = await receive()
        await send({"type": message["type"] + ".complete"})
        if message["type"] == "lifespan.shutdown":
            return


class ConsentServed:
    """Answer one path with the present contents of a file; everything else goes on.

    The file is read anew for each request: who takes it away takes the consent away.
    """

    def __init__(self, app: AsgiApplication, file: Path) -> None:
        """Stand before ``app``."""
        self._app = app
        self._file = file

    async def __call__(
        self, scope: MutableMapping[str, Any], receive: Callable[..., Any], send: Callable[..., Any]
    ) -> None:
        """Answer one request."""
        # The raw path, so that no other spelling of it goes around the gate.
        asked = scope["type"] == "http" and scope.get("raw_path") == PATH.encode()
        body = self._read() if asked and scope["method"] in _CONSENT_METHODS else None
        if body is None:
            await self._app(scope, receive, send)
            return
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
            (b"cache-control", b"no-store"),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send(
            {"type": "http.response.body", "body": body if scope["method"] == "GET" else b""}
        )

    def _read(self) -> bytes | None:
        """Return the document, None where there is none that anybody could use."""
        try:
            # A pipe would hold up everybody who asks, and a slip in its name must not hand out a key.
            if not self._file.is_file():
                return None
            with self._file.open("rb") as stream:
                body = stream.read(MAX_BYTES + 1)
            read_consent(body)
        except OSError as error:
            _log.warning("consent can't be read", file=str(self._file), cause=error.strerror)
            return None
        except ConsentError:
            _log.warning("what is named as a consent isn't one", file=str(self._file))
            return None
        return body
