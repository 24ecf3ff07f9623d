"""Search what comes back from a third party for the key that was lent to it.

A server that shows its request (an echo, a page of diagnostics, an error that quotes a header, a redirect that
repeats the query) would hand the key to the client, which it is kept from.
"""

import base64
import html
from collections.abc import Iterable, Mapping
from typing import Final
from urllib.parse import quote, quote_plus

from watchword.broker.interface import SecretValue

MIN_BYTES: Final = 8
"""A form of the key that is shorter isn't searched for: it would be found in answers that don't hold it."""


class KeyFoundError(Exception):
    """Report that the key, in one form or another, is in what came back."""


class KeyForms:
    """Hold what is searched for, worked out once for each value of a secret.

    A key is found as it is and in the forms that a server shows it in without meaning to: percent-encoded, as JSON or HTML
    escape it, in hexadecimal, in base64 at any offset, and as what it stands for, where it is in base64 itself (user and
    password of Basic).  A server that means to
    give it away (reversed, compressed, letter by letter) isn't held by this; it has the key anyhow.
    """

    def __init__(self, value: SecretValue) -> None:
        """Work the forms out.

        :param value: visible ASCII, as what stands in a header.
        """
        self.value = value
        self.texts = tuple(sorted(_forms(value.text), key=len))
        self.longest = max(map(len, self.texts), default=0)


class KeySearch:
    """Find a key in header fields, and in a body that comes in pieces."""

    def __init__(self, forms: KeyForms) -> None:
        """Begin with one answer."""
        self._forms = forms.texts
        self._longest = forms.longest
        self._kept = b""

    def check_fields(self, fields: Iterable[tuple[bytes, bytes]]) -> None:
        """Search header fields; raise KeyFoundError."""
        # A line break stands in no field, and so in no form of a key.
        self._check(b"\n".join(part for field in fields for part in field))

    def feed(self, piece: bytes) -> bytes:
        """Take the next piece of a body, and return what may go on.

        What looks like the beginning of the key is kept back until more has come, so that not even a part of it is
        sent on.

        :raises KeyFoundError: when the key is complete.
        """
        data = self._kept + piece if self._kept else piece
        self._check(data)
        at = self._begins(data)
        self._kept = data[at:]
        return data[:at]

    def finish(self) -> bytes:
        """Return what was kept back, at the end of the body: it didn't become the key."""
        kept, self._kept = self._kept, b""
        return kept

    def _check(self, data: bytes) -> None:
        if any(form in data for form in self._forms):
            raise KeyFoundError

    def _begins(self, data: bytes) -> int:
        """Return the first position from which on all that follows begins a form of the key."""
        first = len(data)
        from_on = max(0, first - self._longest + 1)
        for form in self._forms:
            at = data.find(form[:1], max(from_on, len(data) - len(form) + 1))
            while 0 <= at < first:
                if form.startswith(data[at:]):
                    first = at
                    break
                at = data.find(form[:1], at + 1)
        return first


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
