"""Forward requests to the third parties that keys are sent to, with the key added and nothing of the app's besides.

The connection is this side's alone: HTTPS to the rule's origin, at an address that was checked, with the certificate of its
name, one pool for each secret.  No redirect is followed.  What comes back is capped, and searched for the key as a whole
before any of it goes on.

The answer goes to the client without what is the API's to say.  An answer in which a client's own text may stand (``reflects: maybe``) is held until its end and searched whole, so that
nothing but the whole key makes a difference.  Only where the operator states that no such text is shown does it stream.

**The search.**  A server that shows its request (an echo, a page of diagnostics, an error that quotes a header, a redirect that
repeats the query) would hand the key to the client, which it is kept from.

The search must not answer guesses either.  A client whose own text is shown beside the key could try the key's first
character, then its second, if anything that it sees depended on how far its text agrees with the key.  So what is
sent, in which pieces and after how long depends on lengths alone, unless the whole key was found.

The usual search for a text takes up to fifty times as long where the answer is made of the key's characters, and longer for
each character of a beginning.  Here it is blocks of the answer that are compared, encrypted under a key that nobody
else has: each costs the same, and none is more alike than another unless all of its bytes are.
"""

import asyncio
import base64
import hashlib
import hmac
import html
import math
import re
import ssl
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Collection,
    Iterable,
    Iterator,
    Mapping,
)
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Final, NamedTuple
from urllib.parse import quote, quote_plus

import httpcore
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from watchword.adapters.edge_wire import CheckedBackend, Resolver, SystemResolver
from watchword.apps.gateway.asgi_types import Receive, Scope, Send
from watchword.apps.gateway.proxy.exchange import (
    FIRST_FINAL_STATUS,
    IDLE_SECONDS,
    MAX_CONNECTIONS,
    MAX_IDLE_CONNECTIONS,
    UPSTREAM_ERRORS,
    VIA,
    BrokenBodyError,
    RequestBody,
    Timeouts,
    check_protocol,
    end,
    has_body,
    injected_response_fields,
    start,
    while_client_stays,
)
from watchword.broker.interface import EdgeRule, InjectedValue, SecretValue, UsageLedger, Use
from watchword.gate.injection import place_key, request_fields
from watchword.gate.interface import Decision, GateState
from watchword.ports import Clock
from watchword.reasons import Reason, Refusal, RefusedError, UnavailableError


@dataclass(slots=True)
class _Channel:
    rule: EdgeRule
    pool: httpcore.AsyncConnectionPool
    users: int = 0
    retired: bool = False


@dataclass(slots=True)
class Channels:
    """Keep a pool for each secret; belongs to one event loop."""

    resolver: Resolver
    _kept: dict[str, _Channel] = field(default_factory=dict)

    @asynccontextmanager
    async def pool(
        self, rule: EdgeRule, known: Collection[str]
    ) -> AsyncIterator[httpcore.AsyncConnectionPool]:
        """Yield the pool of a rule for one exchange; where the rule changed, its connections are new.

        Those of the rule before end with their last exchange: a call that runs isn't cut by a change of the policy.

        :param known: the secrets that are still injected; the connections of others are closed.
        :raises UnavailableError: ``secret.unavailable`` when the rule's authorities can't be used.
        """
        channel = self._kept.get(rule.secret)
        if channel is None or channel.rule != rule:
            fresh = _Channel(rule, _pool(rule, self.resolver))
            gone = [channel] if channel is not None else []
            gone += [self._kept.pop(name) for name in set(self._kept) - {*known, rule.secret}]
            self._kept[rule.secret] = channel = fresh
            for each in gone:
                each.retired = True
                await _close_unused(each)
        channel.users += 1
        try:
            yield channel.pool
        finally:
            channel.users -= 1
            await _close_unused(channel)

    async def aclose(self) -> None:
        """Close all connections."""
        kept, self._kept = self._kept, {}
        for channel in kept.values():
            await channel.pool.aclose()


async def _close_unused(channel: _Channel) -> None:
    if channel.retired and channel.users == 0:
        await channel.pool.aclose()


def _pool(rule: EdgeRule, resolver: Resolver) -> httpcore.AsyncConnectionPool:
    return httpcore.AsyncConnectionPool(
        ssl_context=_tls(rule),
        max_connections=MAX_CONNECTIONS,
        max_keepalive_connections=MAX_IDLE_CONNECTIONS,
        keepalive_expiry=IDLE_SECONDS,
        retries=0,
        network_backend=CheckedBackend(resolver, private=rule.private),
    )


def _tls(rule: EdgeRule) -> ssl.SSLContext:
    """Return whom this origin's certificate may come from: the rule's authorities alone, or the system's.

    The name is checked too: ``PROTOCOL_TLS_CLIENT`` begins with both.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        if rule.ca is None:
            context.load_default_certs()
        else:
            context.load_verify_locations(cadata=rule.ca)
    except (OSError, ValueError):
        raise UnavailableError(
            Reason.SECRET_UNAVAILABLE, f"the authorities for {rule.secret} can't be read as PEM"
        ) from None
    return context


MIN_BYTES: Final = 8
"""A form of the key that is shorter isn't searched for: it would be found in answers that don't hold it."""

PIECE_BYTES: Final = 64 * 1024
"""How much of a held answer is searched, and sent on, at a time."""

_UNPACED_BYTES: Final = 4096
_SECONDS_PER_BYTE: Final = 40e-9
"""What a search is given for each byte and each step of it: several times what it takes."""

_BACK_STEP: Final = 256
"""What is held back of a stream is a multiple of this, so that it doesn't tell how long a key is."""


class KeyFoundError(Exception):
    """Report that the key, in one form or another, is in what came back."""


class _Size(NamedTuple):
    """Hold of which blocks forms are found by: how long they are, and how many positions lie from one to the next.

    A form that is at least ``block + step - 1`` long holds one of them whole, wherever it begins.
    """

    block: int
    step: int


_SIZES: Final = (_Size(16, 8), _Size(16, 1), _Size(8, 1))
"""For each form the first that it is long enough for; the first is the cheapest, and does for most keys."""

_AES_BYTES: Final = 16


class _End(NamedTuple):
    """Hold a form, and how many of its bytes stand behind a block."""

    text: bytes
    behind: int

    def stands(self, data: bytes | bytearray, at: int) -> bool:
        """Tell whether the form stands in data whose block ends at a position."""
        end = at + self.behind
        return end >= len(self.text) and hmac.compare_digest(
            bytes(data[end - len(self.text) : end]), self.text
        )


class KeyForms:
    """Hold what is searched for, worked out once for each value of a secret.

    A key is found as it is and in the forms that a server shows it in without meaning to: percent-encoded, as JSON or HTML
    escape it, in hexadecimal, in base64 at any offset, and as what it stands for, where it is in base64 itself (user and
    password of Basic).  A server that means to
    give it away (reversed, compressed, letter by letter) isn't held by this; it has the key anyhow.
    Each form is of the whole key, or of all that is secret of it: none lets anybody try a part.
    """

    def __init__(self, value: SecretValue) -> None:
        """Work the forms out.

        :param value: visible ASCII, as what stands in a header.
        """
        self.value = value
        self.texts = tuple(sorted(_forms(value.text), key=len))
        self.longest = max(map(len, self.texts), default=0)
        # Whoever doesn't know the key can't tell how any block is encrypted.
        key = hashlib.sha256(b"watchword key search\0" + value.text.encode("utf-8")).digest()
        # Equal blocks stay equal in this mode: they are compared, and shown to nobody.
        cipher = Cipher(algorithms.AES(key), modes.ECB())  # noqa: S305
        self._encrypted = cipher.encryptor().update
        self._ends: dict[_Size, dict[int, list[_End]]] = {}
        for text in self.texts:
            size = next(each for each in _SIZES if len(text) >= each.block + each.step - 1)
            ends = self._ends.setdefault(size, {})
            for behind in range(size.step):
                (word,) = self._words(text[len(text) - behind - size.block :], size)[:1]
                ends.setdefault(word, []).append(_End(text, behind))

    def are_in(self, data: bytes | bytearray) -> bool:
        """Tell whether one of them stands in data.

        How long that takes depends on the data's length alone, as long as no whole block of a form stands in it.
        """
        found = False
        for size, ends in self._ends.items():
            for at in range(0, size.block, size.step):
                words = self._words(data[at:], size)
                if not ends.keys().isdisjoint(words):
                    for index, word in enumerate(words, 1):
                        block_end = at + index * size.block
                        found |= any(each.stands(data, block_end) for each in ends.get(word, ()))
        return found

    def seconds(self, length: int) -> float:
        """Return how long after its last byte came an answer of this length is sent on, if it holds no key.

        What is so short that its search is a matter of microseconds isn't delayed.
        """
        if length <= _UNPACED_BYTES:
            return 0.0
        steps = sum(_SIZES[0].step // size.step for size in self._ends)
        return length * _SECONDS_PER_BYTE * steps

    def _words(self, data: bytes | bytearray, size: _Size) -> memoryview:
        """Return 64 bits of the encryption of each block of data."""
        blocks = memoryview(data)[: len(data) // size.block * size.block]
        if size.block < _AES_BYTES:
            wide = bytearray(len(blocks) * 2)
            memoryview(wide).cast("Q")[::2] = blocks.cast("Q")
            blocks = memoryview(wide)
        return memoryview(self._encrypted(blocks)).cast("Q")[::2]


class KeySearch:
    """Find a key in header fields, and in a body that comes in pieces."""

    def __init__(
        self,
        forms: KeyForms,
        *,
        whole: bool,
        clock: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Begin with one answer.

        :param whole: whether nothing of the body goes on before all of it was searched.
        :param clock: returns seconds that never step back.
        """
        self._forms = forms
        self._overlap = max(0, forms.longest - 1)
        self._back = -(-forms.longest // _BACK_STEP) * _BACK_STEP
        self._whole = whole
        self._clock = clock
        self._sleep = sleep
        self._fields = b""
        self._kept = bytearray()

    def check_fields(self, fields: Iterable[tuple[bytes, bytes]]) -> None:
        """Take header fields; those of an answer that is searched whole are searched with its body.

        :raises KeyFoundError: when the key is in those of a stream.
        """
        # A line break stands in no field, and so in no form of a key.
        self._fields = b"\n".join(part for field in fields for part in field)
        if not self._whole:
            self._check(self._fields)

    def feed(self, piece: bytes) -> bytes:
        """Take the next piece of a body, and return what may go on: of one that is searched whole, nothing.

        :raises KeyFoundError: when the key is complete.
        """
        self._kept += piece
        at = 0 if self._whole else self._settled()
        if not at:
            return b""
        ready = bytes(self._kept[:at])
        del self._kept[:at]
        return ready

    async def finish(self) -> AsyncIterator[bytes]:
        """Yield what was kept back, at the end of the body, in pieces whose sizes depend on its length alone.

        :raises KeyFoundError: before the first piece.
        """
        length = len(self._fields) + len(self._kept)
        due = self._clock() + self._forms.seconds(length)
        self._check(self._fields)
        for at in range(0, len(self._kept), PIECE_BYTES):
            self._check(self._kept[at : at + PIECE_BYTES + self._overlap])
            if length > PIECE_BYTES:
                await self._sleep(0)  # Others have their turn.
        if length > _UNPACED_BYTES:
            await self._sleep(max(0.0, due - self._clock()))
        for at in range(0, len(self._kept), PIECE_BYTES):
            yield bytes(self._kept[at : at + PIECE_BYTES])

    def _settled(self) -> int:
        """Return up to where a stream goes on: to its last line, of which as much is held back as a key may be long.

        No form of a key holds a line break, so that a stream of events, which end with one, waits for nothing.
        """
        data = self._kept
        self._check(data)
        line = max(data.rfind(b"\n"), data.rfind(b"\r")) + 1
        return max(line, len(data) - self._back)

    def _check(self, data: bytes | bytearray) -> None:
        if self._forms.are_in(data):
            raise KeyFoundError


_JSON: Final = (
    ("", ""),
    ("<>&", "x"),  # Go, Ruby on Rails.
    ("<>&'=", "x"),  # Gson.
    ("<>&'+=", "x"),
    ("<>&'+`\"", "X"),  # .NET.
    ("<>&'\"", "X"),  # PHP, where it is to stand in HTML.
)
"""What writers of JSON escape beside what they must, and whether their hexadecimal digits are small or capital."""

_HTML: Final[tuple[Mapping[str, str], ...]] = (
    {},
    {"'": "&#39;"},  # Many.
    {"'": "&#39;", '"': "&#34;"},  # Go, Jinja.
    {"'": "&#x27;"},  # Python.
    {"'": "&#039;"},  # PHP.
    {"'": "&#x27;", "`": "&#x60;", "=": "&#x3D;"},  # Handlebars.
    {"'": "&#39;", "`": "&#x60;", "=": "&#x3D;", "/": "&#x2F;"},  # Mustache.
    {"'": "&#x27;", "`": "&#x60;", "+": "&#x2B;"},  # .NET.
)
"""What writers of HTML put in place of characters, beside the four that all do."""

_PERCENT_FREE: Final = ("", "/", "!'()*", "!'()*/:;,?@&=+$#")
"""What writers of URLs leave as it is beside letters, digits and ``-._~``; the last two are JavaScript's."""


def _forms(key: str) -> set[bytes]:
    """Return what is searched for."""
    forms: set[bytes] = set()
    for text in (key, *_inside(key)):
        if len(text) >= MIN_BYTES:
            raw = text.encode("utf-8")
            written = {*_written(text), raw.hex(), raw.hex().upper()}
            forms |= {each.encode("ascii") for each in written}
            forms |= {*_in_base64(raw), text.encode("utf-16-le"), text.encode("utf-16-be")}
    return {each for each in forms if len(each) >= MIN_BYTES}


def _inside(key: str) -> tuple[str, ...]:
    """Return what a key in base64 stands for; of the credentials of Basic also the secret half alone.

    The user's name is none: answers tell it (an account's number) without giving anything away.
    """
    try:
        text = base64.b64decode(key, validate=True).decode("ascii")
    except ValueError:
        return ()
    user, _, password = text.partition(":")
    return (text, password or user) if text.isprintable() else ()


def _written(key: str) -> set[str]:
    """Return how a key looks in URLs, HTML and JSON."""
    percent = {quote(key, safe=free) for free in _PERCENT_FREE}
    percent |= {quote_plus(key), "".join(f"%{each:02X}" for each in key.encode("utf-8"))}
    percent |= {_lower_escapes(each) for each in percent}
    twice = {each.replace("%", "%25") for each in percent}
    basic = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;"}
    in_html = {_translated(key, {**basic, **more}) for more in _HTML}
    in_html.add(html.escape(key, quote=False))
    in_json = {
        _json_escaped(key, also + slash, digits) for also, digits in _JSON for slash in ("", "/")
    }
    return {key, *percent, *twice, *in_html, *in_json}


def _translated(key: str, escapes: Mapping[str, str]) -> str:
    return "".join(escapes.get(each, each) for each in key)


def _json_escaped(key: str, also: str, digits: str) -> str:
    """Return a key as JSON writers do it that escape more than they must."""
    escapes = {'"': '\\"', "\\": "\\\\"}
    for each in also:
        escapes[each] = "\\/" if each == "/" else f"\\u{ord(each):04{digits}}"
    return _translated(key, escapes)


def _lower_escapes(text: str) -> str:
    """Return a percent-encoded text with lower-case digits."""
    pieces = text.split("%")
    return pieces[0] + "".join("%" + each[:2].lower() + each[2:] for each in pieces[1:])


def _in_base64(raw: bytes) -> Iterable[bytes]:
    """Yield how the key looks inside of a longer text in base64, by what stands in front of it.

    The first and the last character there depend on its neighbours, so that they are left out.
    """
    for before in range(3):
        text = base64.b64encode(b"\0" * before + raw).rstrip(b"=")
        own = text[(before * 8 + 5) // 6 : ((before + len(raw)) * 8) // 6]
        yield own
        yield own.translate(bytes.maketrans(b"+/", b"-_"))


MOST_AT_ONCE: Final = 32
"""Most calls of one instance to one third party at once, an eighth of the connections; further ones wait for a turn.

A phone that sends its bodies a byte at a time would hold all of them otherwise, and nobody else would get any.
"""

MOST_HELD: Final = 128 * 1024 * 1024
"""Most bytes of answers that a process holds at once, until they were searched and taken."""

ONES_SHARE: Final = MOST_HELD // 8
"""Most bytes of them for one instance that has several calls under way; a single answer may have `max_answer`."""


@dataclass(slots=True)
class _Line:
    turns: asyncio.Semaphore
    length: int = 0


@dataclass(slots=True)
class Turns:
    """Let each instance have so many calls at once; belongs to one event loop, and remembers who calls alone."""

    most: int = MOST_AT_ONCE
    _lines: dict[tuple[str, str], _Line] = field(default_factory=dict)

    @asynccontextmanager
    async def one(self, secret: str, who: str, seconds: float) -> AsyncIterator[None]:
        """Hold a turn for one call.

        :param who: the pairwise subject of the instance.
        :param seconds: longest wait for it.
        :raises TimeoutError: when the instance's other calls last longer than that.
        """
        line = self._lines.setdefault((secret, who), _Line(asyncio.Semaphore(self.most)))
        line.length += 1
        try:
            # Where nobody waits, neither does this one: no timer is needed then.
            async with asyncio.timeout(seconds if line.turns.locked() else None):
                await line.turns.acquire()
            try:
                yield
            finally:
                line.turns.release()
        finally:
            line.length -= 1
            if not line.length:
                del self._lines[secret, who]

    def __len__(self) -> int:
        """Return how many instances call or wait."""
        return len(self._lines)


@dataclass(slots=True)
class Place:
    """Hold how much room one answer has."""

    room: "Room"
    who: str
    held: int = 0

    def take(self, count: int) -> None:
        """Take so many bytes more.

        It never waits: answers that are half read and wait for each other would wait forever.

        :raises UnavailableError: ``gate.overloaded`` when there are none left.
        """
        self.room.take(self, count)
        self.held += count


@dataclass(slots=True)
class Room:
    """Bound what is held of answers, together and for each instance; belongs to one event loop."""

    most: int = MOST_HELD
    share: int = ONES_SHARE
    held: int = 0
    _places: dict[str, list[Place]] = field(default_factory=dict)

    @contextmanager
    def one(self, who: str) -> Iterator[Place]:
        """Give room to one answer, which is free again at the end.

        :param who: the pairwise subject of the instance.
        """
        place = Place(self, who)
        mine = self._places.setdefault(who, [])
        mine.append(place)
        try:
            yield place
        finally:
            self.held -= place.held
            mine.remove(place)
            if not mine:
                del self._places[who]

    def take(self, place: Place, count: int) -> None:
        """Count so many bytes more for an answer; raises as :meth:`Place.take` does."""
        others = sum(each.held for each in self._places[place.who]) - place.held
        if self.held + count > self.most or (others and place.held + others + count > self.share):
            raise UnavailableError(
                Reason.GATE_OVERLOADED, "answers that are held to be searched took their room"
            )
        self.held += count


_NOT_MODIFIED: Final = 304
_STREAMS: Final = re.compile(
    rb"\s*(?:text/event-stream|multipart/x-mixed-replace)\b", re.IGNORECASE
)
"""Media types of answers that have no end."""

_CHARSET: Final = re.compile(rb"charset\s*=\s*[\"']?\s*([^\"';,\s]*)", re.IGNORECASE)
_LIKE_ASCII: Final = re.compile(
    rb"(?:utf-?8|(?:us-)?ascii|iso-?8859-?[0-9]{1,2}|latin-?1|windows-125[0-8])?", re.IGNORECASE
)
"""Encodings in which a key is the bytes that it is in ASCII."""

Refuse = Callable[[Refusal, int | None], Awaitable[None]]
Record = Callable[[Refusal], None]


class Ends(NamedTuple):
    """Hold how an exchange ends that fails.

    :param refuse: answers with a problem, and after how many seconds to try again; while nothing was sent.
    :param record: is told what went wrong after that.
    """

    refuse: Refuse
    record: Record


class _UnfitError(Exception):
    """Report an answer that isn't handed on; the text is for the operator."""

    def __init__(self, detail: str, reason: Reason = Reason.GATE_UPSTREAM) -> None:
        super().__init__(detail)
        self.reason = reason


async def hand_on(
    response: httpcore.Response,
    rule: EdgeRule,
    search: KeySearch,
    send: Send,
    ends: Ends,
    *,
    room: Place,
    timeouts: Timeouts,
    bodiless: bool,
) -> None:
    """Send an answer on: as a whole, or, where its rule lets it stream, piece by piece.

    One that holds the key ends as a problem.  Where the head of a stream is out already, the rest is cut: returning
    without the last piece makes the server close the connection, so that the client can't take the part for the whole.

    :param room: for what is held.
    :param bodiless: whether the answer has no body whatever its head says, as one to HEAD.
    :raises UnavailableError: ``gate.overloaded`` when there is no room for it; nothing was sent.
    """
    passage = _Passage(response, rule, search, send, room, timeouts)
    passage.bodiless = bodiless or response.status == _NOT_MODIFIED
    reason = Reason.GATE_UPSTREAM
    try:
        await passage.run()
    except KeyFoundError:
        failure = f"the answer held the key of {rule.secret}"
    except _UnfitError as error:
        failure, reason = str(error), error.reason
    except UPSTREAM_ERRORS as error:
        failure = f"{rule.secret}: the answer ended early: {type(error).__name__}"
    else:
        return
    refusal = Refusal(reason, failure)
    if passage.begun:
        ends.record(refusal)
    else:
        await ends.refuse(refusal, None)


class _Passage:
    """Hold an answer on its way."""

    def __init__(
        self,
        response: httpcore.Response,
        rule: EdgeRule,
        search: KeySearch,
        send: Send,
        room: Place,
        timeouts: Timeouts,
    ) -> None:
        self.begun = False
        self.bodiless = False
        self._response = response
        self._rule = rule
        self._search = search
        self._send = send
        self._room = room
        self._timeouts = timeouts
        self._fields = injected_response_fields(response.headers)

    async def run(self) -> None:
        """Hand it on to its end."""
        self._check_head(self._fields)
        held = self._rule.reflects
        most = max(self._timeouts.whole, self._rule.seconds) if held else None
        reading = asyncio.timeout(most)
        try:
            async with reading:
                total = await self._read()
        except TimeoutError:
            if reading.expired():
                raise self._endless(f"no end of it in {most:g} s") from None
            raise
        patience = self._timeouts.body + total / self._timeouts.pace if held else None
        sending = asyncio.timeout(patience)
        try:
            async with sending:
                async for piece in self._search.finish():
                    await self._go_on(piece)
                await self._begin()
                await self._send({"type": "http.response.body", "body": b""})
        except TimeoutError:
            if sending.expired():
                raise _UnfitError(f"{self._rule.secret}: the client didn't take it") from None
            raise

    async def _read(self) -> int:
        """Read the body to its end, send on what may go by then, and return how long it is."""
        total = 0
        async for piece in self._response.aiter_stream():
            total += len(piece)
            if total > self._rule.max_answer:
                raise self._too_long()
            if self._rule.reflects:
                self._room.take(len(piece))
            await self._go_on(self._search.feed(piece))
        return total

    async def _go_on(self, piece: bytes) -> None:
        if piece:
            await self._begin()
            await self._send({"type": "http.response.body", "body": piece, "more_body": True})

    async def _begin(self) -> None:
        if not self.begun:
            self.begun = True
            await self._send(start(self._response.status, self._fields))

    def _check_head(self, fields: list[tuple[bytes, bytes]]) -> None:
        if self._response.status < FIRST_FINAL_STATUS:
            raise _UnfitError(f"{self._rule.secret}: got status {self._response.status}")
        self._search.check_fields(fields)
        for name, value in fields:
            if name == b"content-encoding" and value.strip().lower() not in {b"", b"identity"}:
                # Compressed, the key in it couldn't be recognised; identity was asked for.
                raise _UnfitError(f"{self._rule.secret}: got a content-encoding, expected none")
            if name == b"content-type" and not all(
                map(_LIKE_ASCII.fullmatch, _CHARSET.findall(value))
            ):
                # UTF-16 or EBCDIC, which the client may have asked for in Accept: the key would be other bytes there.
                raise _UnfitError(f"{self._rule.secret}: got a charset that can't be searched")
            if name == b"content-type" and self._rule.reflects and _STREAMS.match(value):
                raise self._endless(f"got {value.decode('latin-1').partition(';')[0].strip()}")
            if (
                name == b"content-length"
                and not self.bodiless
                and int(value) > self._rule.max_answer
            ):
                raise self._too_long()

    def _too_long(self) -> _UnfitError:
        most = self._rule.max_answer
        return _UnfitError(f"{self._rule.secret}: got more than {most} bytes (max_answer)")

    def _endless(self, got: str) -> _UnfitError:
        """Return the refusal of an answer that can't be held until its end."""
        return _UnfitError(
            f"{self._rule.secret}: {got}; a stream can't be searched whole: where no answer of "
            f"{self._rule.host} shows text of a request, write reflects: never at secrets.keys."
            f"{self._rule.secret}.edge",
            Reason.SECRET_STREAM,
        )


RETRY_AFTER_SECONDS: Final = 5
"""When a client may try again after a refusal for unavailability."""

_AGENT: Final = (b"user-agent", b"watchword")
"""The app's own would tell a third party what phone it is; a rule may name it, or put the key there."""

_NEVER_SENT: Final = (httpcore.ConnectError, httpcore.ConnectTimeout, httpcore.PoolTimeout)
_HTTPS: Final = 443


class _Call(NamedTuple):
    """Hold one request on its way.

    :param fields: with the key in them, or ``target`` has it.
    :param now: seconds since 1970, by which it is counted.
    """

    rule: EdgeRule
    value: InjectedValue
    use: Use
    now: float
    method: str
    target: bytes
    fields: list[tuple[bytes, bytes]]
    body: RequestBody


class Injector:
    """Add keys to requests that the gate allowed, and forward them.

    :ivar room: for answers that are held until they were searched.
    """

    def __init__(
        self,
        state: GateState,
        ledger: UsageLedger,
        clock: Clock,
        *,
        resolver: Resolver | None = None,
        timeouts: Timeouts | None = None,
    ) -> None:
        """Prepare to forward; no connection is made yet.

        :param state: knows the values; asked at each request, so that a rotation needs no restart.
        :param ledger: counts what instances use; whoever made it closes it.
        :param resolver: the system's if None.
        :param timeouts: those of connecting, of writing, of the pool and of the client's body count here; how long
            an answer may take is the rule's.
        """
        self._state = state
        self._ledger = ledger
        self._timestamp = clock.timestamp
        self._own_resolver = SystemResolver()
        self._channels = Channels(resolver or self._own_resolver)
        self._timeouts = timeouts or Timeouts()
        self._forms: dict[str, KeyForms] = {}
        self._turns = Turns()
        self.room = Room()

    async def aclose(self) -> None:
        """Close all connections."""
        await self._channels.aclose()
        self._own_resolver.close()

    async def forward(
        self, decision: Decision, scope: Scope, receive: Receive, send: Send, ends: Ends
    ) -> None:
        """Forward one request that the gate allowed, with its key, and hand the answer back.

        1. No tunnel, no echo, no change of protocol.
        2. There is a value now, and a place for it.
        3. It has its turn (:mod:`watchword.apps.gateway.proxy.injection`).
        4. The instance has some of its quota left; the call is counted before it is sent, since nobody could take
           back what was sent too much.
        5. It is sent once.  One that certainly wasn't sent is taken off the count again.

        :param decision: with ``injection`` and ``claims``.
        :param ends: how a failure is told.
        """
        try:
            call = self._prepared(decision, scope, receive)
        except RefusedError as error:
            await ends.refuse(error.refusals[0], None)
        except UnavailableError as error:
            await ends.refuse(Refusal(error.reason, error.detail), RETRY_AFTER_SECONDS)
        else:
            await while_client_stays(self._in_turn(call, send, ends), call.body)

    def _prepared(self, decision: Decision, scope: Scope, receive: Receive) -> _Call:
        """Return the call with the key in its place.

        :raises RefusedError: ``gate.protocol``, ``secret.placeholder``, ``request.malformed``.
        :raises UnavailableError: ``secret.unavailable``; ``gate.state_unavailable``.
        """
        if decision.injection is None or decision.claims is None:
            raise RefusedError.because(Reason.TOKEN_MISSING, "a key is sent to nobody unverified")
        rule, path = decision.injection
        refusal = check_protocol(scope) or _check_upgrade(scope)
        if refusal is not None:
            raise RefusedError((refusal,))
        now_known = self._state.policy.edges.get(rule.secret)
        if now_known is not rule and now_known != rule:
            # Decided on before a body came that took its time: what is injected now isn't for the origin of then.
            raise UnavailableError(
                Reason.SECRET_UNAVAILABLE, f"{rule.secret} goes to another origin by now"
            )
        value = self._state.injected(rule.secret)
        if value is None:
            raise UnavailableError(
                Reason.SECRET_UNAVAILABLE, f"there is nothing to inject for {rule.secret}"
            )
        fields = request_fields(rule, decision.headers)
        fields, query = place_key(rule.place, value.value, fields, scope["query_string"])
        stated = [(b"accept-encoding", b"identity"), _AGENT, VIA]
        if any(name == _AGENT[0] for name, _ in fields):
            stated.remove(_AGENT)
        fields = [(b"host", _authority(rule)), *fields, *stated]
        if scope["method"] == "HEAD":
            # As in the proxy: some servers send a body all the same.
            fields.append((b"connection", b"close"))
        return _Call(
            rule=rule,
            value=value,
            use=Use(
                rule.secret, value.version, decision.claims.counted_as, rule.cost, rule.allowances
            ),
            now=self._timestamp(),
            method=scope["method"],
            target=path + b"?" + query if query else path,
            fields=fields,
            body=RequestBody(receive, expected=has_body(fields), patience=self._timeouts.body),
        )

    async def _in_turn(self, call: _Call, send: Send, ends: Ends) -> None:
        """Carry the call out once its instance has fewer others under way."""
        async with AsyncExitStack() as turn:
            try:
                await turn.enter_async_context(
                    self._turns.one(call.rule.secret, call.use.who, self._timeouts.pool)
                )
            except TimeoutError:
                failure = f"{call.rule.secret}: this instance has too many calls under way"
                await ends.refuse(Refusal(Reason.GATE_UPSTREAM, failure), None)
                return
            await self._run(call, send, ends)

    async def _run(self, call: _Call, send: Send, ends: Ends) -> None:
        """Count the call, send it once, and answer with what comes back or with why nothing did."""
        try:
            spent = await self._ledger.take(call.use, call.now)
            if spent is not None:
                reason = Reason.SECRET_QUOTA if spent.by_calls else Reason.SECRET_SPEND
                wait = max(1, math.ceil(spent.wait))
                refusal = Refusal(reason, f"{call.rule.secret}: the window ends in {wait} s")
                await ends.refuse(refusal, wait)
                return
            async with self._channels.pool(call.rule, self._state.policy.edges) as pool:
                response = await self._sent(call, pool)
                if isinstance(response, Refusal):
                    await ends.refuse(response, None)
                    return
                search = KeySearch(
                    self._forms_of(call),
                    whole=call.rule.reflects,
                    clock=asyncio.get_running_loop().time,
                )
                try:
                    with self.room.one(call.use.who) as room:
                        await hand_on(
                            response,
                            call.rule,
                            search,
                            send,
                            ends,
                            room=room,
                            timeouts=self._timeouts,
                            bodiless=call.method == "HEAD",
                        )
                finally:
                    await end(response)
        except UnavailableError as error:
            await ends.refuse(Refusal(error.reason, error.detail), RETRY_AFTER_SECONDS)

    async def _sent(
        self, call: _Call, pool: httpcore.AsyncConnectionPool
    ) -> httpcore.Response | Refusal:
        """Send the request once; return the answer's head, or why there is none."""
        body, seconds = call.body, call.rule.seconds
        expected = has_body(call.fields)
        try:
            async with asyncio.timeout(seconds + self._timeouts.body * expected) as limit:
                request = httpcore.Request(
                    call.method,
                    _url(call),
                    headers=call.fields,
                    content=self._paced(body, limit, seconds) if expected else None,
                    extensions={"timeout": self._waits(call.rule)},
                )
                return await pool.handle_async_request(request)
        except (httpcore.LocalProtocolError, BrokenBodyError):
            return Refusal(Reason.REQUEST_MALFORMED, "got a request that can't be forwarded")
        except RefusedError as error:
            await self._give_back(call)
            return error.refusals[0]
        except _NEVER_SENT as error:
            await self._give_back(call)
            return _no_answer(call, error)
        except UPSTREAM_ERRORS as error:
            return _no_answer(call, error)

    async def _paced(
        self, body: RequestBody, limit: asyncio.Timeout, seconds: float
    ) -> AsyncIterator[bytes]:
        """Yield a body, and let the time for the answer's head begin where it ends."""
        clock = asyncio.get_running_loop().time
        async for piece in body.chunks():
            limit.reschedule(clock() + self._timeouts.body + seconds)
            yield piece
        limit.reschedule(clock() + seconds)

    def _waits(self, rule: EdgeRule) -> dict[str, float]:
        return {
            "connect": min(self._timeouts.connect, rule.seconds),
            "read": rule.seconds,
            "write": min(self._timeouts.write, rule.seconds),
            "pool": self._timeouts.pool,
        }

    def _forms_of(self, call: _Call) -> KeyForms:
        """Return in what forms this call's key may come back; those of an older value are let go."""
        name, value = call.rule.secret, call.value.value
        forms = self._forms.get(name)
        if forms is None or forms.value != value:
            forms = self._forms[name] = KeyForms(value)
        return forms

    async def _give_back(self, call: _Call) -> None:
        # Where that fails too, the call stays counted: never the other way round.
        with suppress(UnavailableError):
            await self._ledger.give_back(call.use, call.now)


def _url(call: _Call) -> httpcore.URL:
    host = call.rule.host.encode("ascii")
    return httpcore.URL(scheme=b"https", host=host, port=call.rule.port, target=call.target)


def _authority(rule: EdgeRule) -> bytes:
    """Return ``Host`` of the origin: IPv6 in brackets, the usual port left out."""
    host = f"[{rule.host}]" if ":" in rule.host else rule.host
    return (host if rule.port == _HTTPS else f"{host}:{rule.port}").encode("ascii")


def _check_upgrade(scope: Scope) -> Refusal | None:
    if any(name.lower() == b"upgrade" for name, _ in scope["headers"]):
        return Refusal(Reason.GATE_PROTOCOL, "got Upgrade, expected a request for an answer")
    return None


def _no_answer(call: _Call, error: Exception) -> Refusal:
    return Refusal(
        Reason.GATE_UPSTREAM, f"{call.rule.secret}: no answer of its origin: {type(error).__name__}"
    )
