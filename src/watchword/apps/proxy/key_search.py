"""Search what comes back from a third party for the key that was lent to it.

A server that shows its request (an echo, a page of diagnostics, an error that quotes a header, a redirect that
repeats the query) would hand the key to the client, which it is kept from.
"""

import base64
import html
from collections.abc import Iterable
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
    escape it, in hexadecimal, and in base64 at any offset, such as that of Basic credentials.  A server that means to
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


def _forms(key: str) -> set[bytes]:
    """Return what is searched for."""
    raw = key.encode("utf-8")
    percent = quote(key, safe="")
    texts = {
        key,
        percent,
        percent.replace("%", "%25"),
        quote_plus(key),
        quote(key),
        "".join(f"%{each:02X}" for each in raw),
        html.escape(key),
        html.escape(key, quote=False),
        raw.hex(),
        key.replace("\\", "\\\\").replace('"', '\\"'),
    }
    escaped = {_json_escaped(key, also) for also in ("", "/", "<>&'", "<>&'/", "<>&'+=")}
    texts |= escaped
    texts |= {_lower_escapes(each) for each in texts if "%" in each}
    texts |= {each.upper() for each in (raw.hex(),)}
    found = {each.encode("ascii") for each in texts} | set(_in_base64(raw))
    return {each for each in found if len(each) >= MIN_BYTES}


def _json_escaped(key: str, also: str) -> str:
    """Return a key as JSON writers do it that escape more than they must."""
    escapes = {'"': '\\"', "\\": "\\\\"}
    escapes |= {each: "\\/" if each == "/" else f"\\u{ord(each):04x}" for each in also}
    return "".join(escapes.get(each, each) for each in key)


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
