"""Guard a WSGI application: refuse before it is called, or call it with a cleaned request (PEP 3333).

The same gate decides on the same facts as in :mod:`watchword.apps.gateway.asgi`.  The raw request is read out of the
WSGI environ, and the cleaned one written back.

A server has turned the request into variables of CGI before anybody sees it (RFC 3875 section 4.1): names in
upper case with ``_`` for ``-``, the path decoded, fields of one name joined or dropped.  What can't be told
any more is either read in the one way in which the application will read it too, or refused.
"""

import asyncio
import hashlib
import io
import os
import re
import threading
from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from operator import itemgetter
from typing import Any, Final, Protocol, TypeVar
from urllib.parse import quote_from_bytes

from watchword.apps.gateway.guard import (
    CLAIMS,
    INCOMPLETE,
    INTERNAL,
    NONCE_HEADER,
    PACE_BYTES,
    UNMET,
    ClientGoneError,
    Evictable,
    Guard,
    HeldMemory,
    Unmet,
    announces_too_much,
    closed_where_nothing_is_injected,
    told_claims,
    too_large,
)
from watchword.apps.problems import Problem
from watchword.encoding.cache import cached_by_names
from watchword.gate.alarms import Sighting
from watchword.gate.decisions import refuse
from watchword.gate.hygiene import MAX_HEADER_BYTES
from watchword.gate.interface import TOKEN_HEADER, Decision, RequestFacts
from watchword.gate.service import Gate
from watchword.ports import Clock, Entropy, RefusalLog
from watchword.reasons import Reason, Refusal, RefusedError

Environ = dict[str, Any]
"""The variables of one request; texts stand for bytes one to one (ISO 8859-1)."""

_PREFIX: Final = "HTTP_"
_BARE: Final = {"CONTENT_LENGTH": b"content-length", "CONTENT_TYPE": b"content-type"}
"""Fields whose variables have no prefix; some servers set one with it beside."""

_ALWAYS: Final = re.compile(rb"")
_NO_COMMA: Final = {
    TOKEN_HEADER: _ALWAYS,
    b"dpop": _ALWAYS,
    b"host": _ALWAYS,
    b"content-length": _ALWAYS,
    b"transfer-encoding": _ALWAYS,
    b"authorization": re.compile(rb"(?i:basic|bearer|dpop) "),
}
"""Fields of which two were joined where a comma stands, by how they begin then: no JWT has one (RFC 7515 section
7.1), no host and no length, and no ``token68`` (RFC 9110 section 11.2); of codings ``chunked`` alone is taken."""

_UNQUOTED: Final = "/!$&'()*+,;=:@"
"""Signs of a path that clients don't encode (RFC 3986 section 3.3), beside letters, digits and ``-._~``."""

_PLAIN: Final = re.compile(r"[A-Za-z0-9_.~/!$&'()*+,;=:@-]*").fullmatch
"""A path of which nothing has to be encoded, as most are."""

_VARIABLES: Final[dict[bytes, str]] = {}
"""What was worked out before, since clients repeat their names: half the time of a request would go there."""

_MOST_REMEMBERED: Final = 1024
_LONGEST_REMEMBERED: Final = 64

_MOST_SHAPES: Final = 256
_LARGEST_SHAPE: Final = 3 * MAX_HEADER_BYTES
"""Most that a request's variables may take, with those of the server's own environment among them."""


@dataclass(frozen=True, slots=True)
class Shape:
    """Hold what follows from the names of a request's variables alone.

    Servers put the environment of their own process among them, so that most have nothing to do with the request: a
    loop over all would cost more than the decision.

    :param fields: the variables of header fields; ``names`` are the fields' own.
    :param pick: returns the values of these variables.
    :param alone: positions of fields that must not be two in one.
    :param bare: of :data:`_BARE`, what is there with or without the prefix: variable, the one beside, field.
    """

    fields: tuple[str, ...]
    names: tuple[bytes, ...]
    pick: Callable[[Mapping[str, Any]], tuple[str, ...]]
    alone: tuple[int, ...]
    bare: tuple[tuple[str, str, bytes], ...]


def facts_of(environ: Mapping[str, Any], shape: Shape | None = None) -> RequestFacts | Refusal:
    """Return what is known of a request, or why it can't be read in one way only.

    1. A length or a media type that differs between its two variables came in a field written with ``_``.
    2. Chunks must be taken apart by the server (``wsgi.input_terminated``): nobody else knows where they end.
    3. The target as received must have the query that the application sees; the gate compares the paths.

    :param shape: of these variables (:func:`shape_of`), worked out here if None.
    :raises UnicodeEncodeError: for a server that doesn't keep to ISO 8859-1.
    """
    if shape is None:
        shape = shape_of(environ)
    values = shape.pick(environ)
    encoded = "\n".join(values).encode("latin-1").split(b"\n")
    if len(encoded) != len(values):
        # Some value has a line break in it, for which the gate refuses, or there is none at all.
        encoded = [value.encode("latin-1") for value in values]
    fields = list(zip(shape.names, encoded, strict=True))
    joined = False
    for at in shape.alone:
        joined = joined or "," in values[at]
    for variable, prefixed, name in shape.bare:
        value = environ.get(variable) or ""
        beside = environ.get(prefixed)
        if beside is None:
            if value:
                fields.append((name, value.encode("latin-1")))
                joined = joined or (name in _NO_COMMA and "," in value)
        elif beside != value:
            text = name.decode("ascii")
            return Refusal(Reason.REQUEST_MALFORMED, f"got {text} with another sign for -")
    if "HTTP_TRANSFER_ENCODING" in environ and not environ.get("wsgi.input_terminated"):
        return Refusal(
            Reason.REQUEST_FRAMING, "got chunks from a server that doesn't say where they end"
        )
    target = _target(environ)
    if isinstance(target, Refusal):
        return target
    raw_path, query = target
    mount = _decoded(environ.get("SCRIPT_NAME", ""))
    routed = mount + _decoded(environ.get("PATH_INFO", ""))
    if joined:
        fields = _taken_apart(fields)
    seen = (environ["REQUEST_METHOD"], raw_path, fields, query, routed, mount)
    # Half the cost of the class's own constructor.
    return tuple.__new__(RequestFacts, seen)


def cleaned(
    environ: Mapping[str, Any],
    headers: Iterable[tuple[bytes, bytes]],
    shape: Shape | None = None,
) -> Environ:
    """Return the variables of a request with these fields in place of its own.

    :param shape: of these variables as they are now, worked out here if None.
    :raises KeyError: for a shape that names a field which isn't there.
    """
    made = dict(environ)
    if shape is None:
        shape = shape_of(environ)
    for variable in shape.fields:
        del made[variable]
    for variable, _, _ in shape.bare:
        made.pop(variable, None)
    for name, value in headers:
        variable = _VARIABLES.get(name) or _variable(name)
        text = value.decode("latin-1")
        # A server that lets two names become one here had both in its own environ.
        made[variable] = f"{made[variable]},{text}" if variable in made else text
    return made


def shape_of(environ: Mapping[str, Any]) -> Shape:
    """Return what follows from the names of the variables."""
    return _shape(tuple(environ))


@cached_by_names(entries=_MOST_SHAPES, most=_LARGEST_SHAPE)
def _shape(variables: tuple[str, ...]) -> Shape:
    fields = tuple(variable for variable in variables if variable[:5] == _PREFIX)
    names = tuple(_name(variable) for variable in fields)
    return Shape(
        fields=fields,
        names=names,
        pick=_picker(fields),
        alone=tuple(at for at, name in enumerate(names) if name in _NO_COMMA),
        bare=tuple(
            (variable, _PREFIX + variable, name)
            for variable, name in _BARE.items()
            if not {variable, _PREFIX + variable}.isdisjoint(variables)
        ),
    )


def _picker(variables: tuple[str, ...]) -> Callable[[Mapping[str, Any]], tuple[str, ...]]:
    """Return what takes the values of these variables, without a loop in Python."""
    if len(variables) > 1:
        return itemgetter(*variables)
    return lambda environ: tuple(environ[variable] for variable in variables)


def _name(variable: str) -> bytes:
    """Return the name of the field behind a variable."""
    return variable[len(_PREFIX) :].lower().replace("_", "-").encode("latin-1")


def _variable(name: bytes) -> str:
    """Return the variable of a field."""
    variable = name.decode("latin-1").upper().replace("-", "_")
    if variable not in _BARE:
        variable = _PREFIX + variable
    if len(_VARIABLES) < _MOST_REMEMBERED and len(name) <= _LONGEST_REMEMBERED:
        _VARIABLES[name] = variable
    return variable


def _target(environ: Mapping[str, Any]) -> tuple[bytes, bytes] | Refusal:
    """Return path and query as received, or the path put together again.

    Apache and uWSGI tell it in ``REQUEST_URI``, gunicorn in ``RAW_URI``, Werkzeug in both.

    What was hidden by decoding (``%2F``) is then hidden from the application too, which routes by the same
    decoded path: there is one reading left, and it is the one that is decided on.
    """
    query: bytes = environ.get("QUERY_STRING", "").encode("latin-1")
    told = environ.get("RAW_URI")
    also = environ.get("REQUEST_URI")
    if told is None and also is None:
        path = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
        if _PLAIN(path):
            return path.encode("ascii"), query
        return quote_from_bytes(path.encode("latin-1"), _UNQUOTED).encode("ascii"), query
    target: str = environ["REQUEST_URI"] if told is None else told
    raw_path, _, raw_query = target.encode("latin-1").partition(b"?")
    if raw_query != query or also not in {None, target}:
        return Refusal(
            Reason.REQUEST_PATH_AMBIGUOUS, "expected one target, with the query of the application"
        )
    return raw_path, raw_query


def _decoded(text: str) -> str:
    return text if text.isascii() else text.encode("latin-1").decode("utf-8", "surrogateescape")


def _taken_apart(fields: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Return the fields with those in two again of which a server made one."""
    apart = []
    for name, value in fields:
        begin = _NO_COMMA.get(name)
        joined = begin is not None and begin.match(value) is not None
        apart += [(name, part) for part in (value.split(b",") if joined else (value,))]
    return apart


PATIENCE_SECONDS: Final = 10.0
"""How long the next 8 KiB of a body may take, as for :class:`watchword.apps.gateway.guard.HeldBody`."""

PIECE_BYTES: Final = 64 * 1024
"""Most bytes that are asked for at once."""


class InputStream(Protocol):
    """Be what a server hands over as ``wsgi.input``."""

    def read(self, size: int, /) -> bytes:
        """Return at most ``size`` bytes, none at the end."""


class SharedMemory(HeldMemory):
    """Bound the same for the threads of one process."""

    def __init__(self, most: int) -> None:
        """Start as :class:`HeldMemory` does."""
        super().__init__(most)
        self._lock = threading.Lock()

    def take(self, holder: str, size: int, limit: int, body: Evictable | None = None) -> bool:
        """Make room for a piece; tell whether there is any."""
        with self._lock:
            return super().take(holder, size, limit, body)

    def give_back(self, holder: str, size: int, body: Evictable | None = None) -> None:
        """Give back what was taken."""
        with self._lock:
            super().give_back(holder, size, body)


class HeldInput:
    """Read a body into memory, bounded, on the thread of the request.

    A read that blocks can't be broken off here: how long a client may say nothing is for the server to bound, and an idle
    body keeps a thread beside its memory, of which there are fewer.  One that comes slowly is refused here.

    :ivar complete: whether it was read to its end.
    """

    def __init__(
        self,
        stream: InputStream,
        *,
        length: int | None,
        limit: int,
        until: float,
        timestamp: Callable[[], float],
        memory: HeldMemory,
        holder: str,
        patience: float = PATIENCE_SECONDS,
    ) -> None:
        """Prepare to read; nothing is read yet.

        :param length: bytes that were announced, never read beyond: what follows may be another request.  None
            where the server ends the stream by itself.
        :param limit: most bytes.
        :param until: seconds since 1970 by which all of it must be there.
        :param memory: is asked for room for each piece.
        :param holder: whose body it is: the device or the instance.
        :param patience: seconds in which the next :data:`PACE_BYTES` must arrive, or the end.
        """
        self._stream = stream
        self._left = length
        self._limit = limit
        self._until = until
        self._timestamp = timestamp
        self._memory = memory
        self._holder = holder
        self._patience = patience
        self._taken = 0
        self._size = 0
        self._hash = hashlib.sha256()
        self._buffer = io.BytesIO()
        self.complete = length == 0

    @property
    def digest(self) -> bytes:
        """Return the SHA-256 of what was read."""
        return self._hash.digest()

    @property
    def size(self) -> int:
        """Return how many bytes were read."""
        return self._size

    def read(self) -> Refusal | None:
        """Read to the end; return why that isn't possible.

        Whatever was read by then can still be handed on, and the rest behind it.

        :raises ClientGoneError: when the body breaks off.
        """
        until, progress = min(self._until, self._timestamp() + self._patience), 0
        while self._left != 0:
            now = self._timestamp()
            if self._size - progress >= PACE_BYTES:
                until, progress = min(self._until, now + self._patience), self._size
            if now >= until:
                return Refusal(
                    Reason.REQUEST_TIMEOUT, f"got {self._size} bytes of a body, and no more in time"
                )
            piece = self._next()
            if not piece:
                if self._left is not None:
                    raise ClientGoneError
                self._left = 0
                break
            self._size += len(piece)
            self._hash.update(piece)
            self._buffer.write(piece)
            if self._left is not None:
                self._left -= len(piece)
            if self._size > self._limit:
                return too_large(self._limit)
            if not self._memory.take(self._holder, len(piece), self._limit):
                return Refusal(Reason.GATE_OVERLOADED, "got more bodies at once than there is room")
            self._taken += len(piece)
        self.complete = True
        return None

    def whole(self) -> io.BytesIO:
        """Return a body that was read to its end, to be read again."""
        self._buffer.seek(0)
        return self._buffer

    def begun(self) -> io.BufferedReader:
        """Return what was read of a body, and the rest behind it as it comes."""
        return io.BufferedReader(_Begun(self._buffer.getvalue(), self._stream, self._left))

    def give_back(self) -> None:
        """Give back the room: what is handed on is the application's."""
        self._memory.give_back(self._holder, self._taken)
        self._taken = 0

    def _next(self) -> bytes:
        # One more than the limit shows that there is more, and is all that is read of it.
        most = min(PIECE_BYTES, self._limit - self._size + 1)
        try:
            return self._stream.read(most if self._left is None else min(most, self._left))
        except OSError:
            # A connection that broke, or chunks that can't be read: gunicorn and Werkzeug raise it for both.
            raise ClientGoneError from None


class _Begun(io.RawIOBase):
    """Read the begin of a body again, and then the rest of it."""

    def __init__(self, head: bytes, stream: InputStream, left: int | None) -> None:
        """Take what was read, and how many bytes may still be read of the stream."""
        self._head = memoryview(head)
        self._stream = stream
        self._left = left

    def readable(self) -> bool:
        """Say that it can be read."""
        return True

    def readinto(self, buffer: "bytearray | memoryview", /) -> int:  # type: ignore[override]
        """Fill a buffer, as far as one read of the stream does; return how many bytes that were."""
        size = len(buffer)
        if self._head:
            piece: bytes | memoryview = self._head[:size]
            self._head = self._head[size:]
        else:
            size = size if self._left is None else min(size, self._left)
            piece = self._stream.read(size) if size else b""
            if self._left is not None:
                self._left -= len(piece)
        buffer[: len(piece)] = piece
        return len(piece)


Result = TypeVar("Result")

WAIT_SECONDS: Final = 5.0
"""How long anything is waited for; the stores give up much sooner by themselves."""

_loops: Final[dict[int, asyncio.AbstractEventLoop]] = {}
"""By process, the loop that all its gates share: a store's connections belong to one loop.

By process, since a server may fork after the application was imported, and a child has none of its parent's
threads.
"""


def at_once(begin: Callable[[], Coroutine[Any, Any, Result]]) -> Result:
    """Run what never has to wait, on the caller's thread and without a loop.

    :param begin: returns the coroutine.
    :raises RuntimeError: when it waits after all.
    """
    coroutine = begin()
    try:
        coroutine.send(None)
    except StopIteration as done:
        result: Result = done.value
        return result
    finally:
        coroutine.close()
    raise RuntimeError("got a coroutine that waits, expected one that doesn't")


def wait_for(
    begin: Callable[[], Coroutine[Any, Any, Result]], seconds: float = WAIT_SECONDS
) -> Result:
    """Run a coroutine on the loop of this process, and hold the caller's thread until it is done.

    :param begin: returns the coroutine.
    :raises TimeoutError: when that takes too long; it is cancelled then.
    """
    loop = _loop()
    future = asyncio.run_coroutine_threadsafe(begin(), loop)
    try:
        return future.result(seconds)
    finally:
        future.cancel()


def _loop() -> asyncio.AbstractEventLoop:
    process = os.getpid()
    loop = _loops.get(process)
    if loop is not None:
        return loop
    fresh = asyncio.new_event_loop()
    # Of several threads that come first, one starts its loop; a lock could be held by nobody after a fork.
    loop = _loops.setdefault(process, fresh)
    if loop is fresh:
        threading.Thread(target=loop.run_forever, name="watchword-waiting", daemon=True).start()
    else:
        fresh.close()
    return loop


StartResponse = Callable[..., Callable[[bytes], Any]]
Application = Callable[[Environ, StartResponse], Iterable[bytes]]

MAX_HELD_BYTES: Final = 256 * 1024 * 1024
"""Most bytes of all bodies that are held at once, in one process."""

_INPUT: Final = "wsgi.input"


class WatchwordWsgiMiddleware(Guard):
    """Let through to a WSGI application only what the gate allows.

    Whatever goes wrong inside refuses the request, in every mode: the application is called in one place only,
    after a decision that allows it.  An exception of the application itself passes through unchanged.

    Several threads may be inside at once.  Where used proofs are remembered elsewhere (replay mode ``shared``),
    a request waits for the store on a loop that runs on a thread of its own.

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
        max_held: int = MAX_HELD_BYTES,
    ) -> None:
        """Stand in front of ``app``.

        :param refusal_log: is told of every refusal, also of those that ``monitor`` lets pass.  If None, it is the gate's
            own, which :func:`gate_from` makes: ``watchword metrics`` and ``watchword explain`` show it.
        :param clock: the system's clock if None.
        :param entropy: the system's generator if None.
        :param max_held: most bytes of all bodies that are held at once; one instance gets a sixteenth of it, or
            one body.
        """
        super().__init__(gate, refusal_log=refusal_log, clock=clock, entropy=entropy)
        self._app = app
        self._held = SharedMemory(max_held)
        self._counting = threading.Lock()

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Decide on one request; answer it, or let the application do so."""
        found = self._examine(environ)
        if isinstance(found, Problem):
            with self._counting:
                self.refused += 1
            return _answer(found, environ, start_response)
        passed, nonce = found
        with self._counting:
            self.allowed += 1
        if nonce is not None:
            start_response = _with_nonce(start_response, nonce)
        if passed[CLAIMS] is None:
            return self._call_for_nobody(passed[UNMET], passed, start_response)
        return self._app(passed, start_response)

    def _call_for_nobody(
        self, unmet: Unmet, passed: Environ, start_response: StartResponse
    ) -> Iterable[bytes]:
        """Call the application where nobody was verified; what it required all the same is refused."""
        head: list[str] = []
        in_place = False

        def beginning(status: str, headers: list[tuple[str, str]], *more: Any) -> Any:
            nonlocal in_place
            if not head and unmet.stands_for(int(status[:3])):
                in_place = True
                return _unwritten
            head.append(status)
            return start_response(status, headers, *more)

        try:
            answer = self._app(passed, beginning)
        except RefusedError:
            if unmet.refusal is None or head:
                raise
        else:
            # An application that begins its answer later, when the server reads it, keeps it as it is.
            if not in_place:
                head.append("")
                return answer
            close = getattr(answer, "close", None)
            if close is not None:
                close()
        with self._counting:
            self.allowed -= 1
            self.refused += 1
        return _answer(self._unmet_problem(unmet), passed, start_response)

    def _examine(self, environ: Environ) -> tuple[Environ, bytes | None] | Problem:
        """Return with what the application may be called, and a nonce for its answer; or the answer."""
        held: HeldInput | None = None
        try:
            now = self._timestamp()
            shape = shape_of(environ)
            decision = self._decide(environ, shape, now)
            if decision.pending is not None:
                held = self._hold(decision, environ)
                decision = self._settle(decision, held)
                now = self._timestamp()
            decision = closed_where_nothing_is_injected(decision)
            if decision.refusals:
                self._tell(decision)
            if not decision.allow:
                return self._problem(decision, now)
            return _passed(environ, shape, decision, held), decision.nonce
        except ClientGoneError:
            return self._fixed(INCOMPLETE)
        except Exception as error:  # noqa: BLE001 - whatever it is, it lets nobody through.
            self._report(error)
            return self._fixed(INTERNAL)
        finally:
            if held is not None:
                held.give_back()

    def _decide(self, environ: Environ, shape: Shape, now: float) -> Decision:
        """Return the decision on the head of a request."""
        facts = facts_of(environ, shape)
        if isinstance(facts, Refusal):
            return refuse(facts)
        decision = self._gate.decide(facts, now)
        if decision.canary is not None and self._gate.alarms is not None:
            address = str(environ.get("REMOTE_ADDR", ""))
            self._gate.alarms.raised(Sighting(now, facts, decision, self._gate.state, address))
        return decision

    def _hold(self, decision: Decision, environ: Environ) -> HeldInput | None:
        """Return what will read the body, None where the proof covers none."""
        pending = decision.pending
        if pending is None or pending.body_digest is None:
            return None
        length = environ.get("CONTENT_LENGTH")
        if length:
            announced: int | None = int(length)
        else:
            # Without an end that the server sets, reading on would take the next request's bytes.
            announced = None if "HTTP_TRANSFER_ENCODING" in environ else 0
        return HeldInput(
            environ[_INPUT],
            length=announced,
            limit=pending.max_body,
            until=pending.claim.until,
            timestamp=self._timestamp,
            memory=self._held,
            holder="" if decision.claims is None else decision.claims.counted_as,
        )

    def _settle(self, decision: Decision, held: HeldInput | None) -> Decision:
        """Wait for what is pending; return the decision that is final.

        :raises ClientGoneError: when the body breaks off.
        """
        refusal = None
        if held is not None:
            refusal = announces_too_much(decision) or held.read()
        if refusal is not None:
            return self._gate.fail(decision, refusal)
        digest = None if held is None else held.digest
        concluding = partial(self._gate.conclude, decision, digest, self._timestamp())
        if decision.pending is not None and decision.pending.shared:
            return wait_for(concluding)
        return at_once(concluding)


def _passed(environ: Environ, shape: Shape, decision: Decision, held: HeldInput | None) -> Environ:
    """Return the variables for the application."""
    passed = cleaned(environ, decision.headers, shape)
    passed[CLAIMS] = told_claims(decision)
    if passed[CLAIMS] is None:
        passed[UNMET] = Unmet(decision)
    if held is None:
        if decision.bodiless:
            # A body that wasn't announced comes over HTTP/2 alone, and the proof covers none.
            passed[_INPUT] = io.BytesIO()
    elif held.complete:
        # Its length is known by now, also where it came in chunks, of which some frameworks read none.
        passed.pop("HTTP_TRANSFER_ENCODING", None)
        passed["CONTENT_LENGTH"] = str(held.size)
        passed[_INPUT] = held.whole()
    else:
        passed[_INPUT] = held.begun()
    return passed


def _answer(problem: Problem, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Answer with a problem; the body of the request isn't read."""
    headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in problem.headers]
    start_response(f"{problem.status} {HTTPStatus(problem.status).phrase}", headers)
    return [] if environ.get("REQUEST_METHOD") == "HEAD" else [problem.body]


def _unwritten(_piece: bytes) -> None:
    """Be the ``write`` of an answer in whose place the refusal is sent."""


def _with_nonce(start_response: StartResponse, nonce: bytes) -> StartResponse:
    """Return a ``start_response`` that adds a fresh nonce to the head of the answer."""
    field = (NONCE_HEADER.decode("ascii"), nonce.decode("ascii"))

    def adding(status: str, headers: list[tuple[str, str]], *more: Any) -> Callable[[bytes], Any]:
        return start_response(status, [*headers, field], *more)

    return adding
