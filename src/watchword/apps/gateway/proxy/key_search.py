"""Search what comes back from a third party for the key that was injected.

A server that shows its request (an echo, a page of diagnostics, an error that quotes a header, a redirect that
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
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from typing import Final, NamedTuple
from urllib.parse import quote, quote_plus

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from watchword.broker.interface import SecretValue

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
