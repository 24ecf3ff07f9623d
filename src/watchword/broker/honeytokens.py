"""Make canary keys and recognise them: keys that open nothing, planted where only a thief looks.

A canary looks like a provider's key to whoever finds it and to the tools that search for keys.  Of the key
itself nothing is kept but a keyed hash: who reads the state directory or a gate's bundle can't tell which of the keys
in an app is the canary.
"""

import base64
import binascii
import hmac
import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import islice, product
from operator import itemgetter
from typing import Final, NamedTuple

from watchword.broker.interface import HoneytokenWatch

RANDOM_BYTES: Final = 160
"""Bytes of randomness that :func:`make_honeytoken` takes, whatever the kind."""

MAX_CANDIDATES: Final = 64
"""So many parts of a request are compared at most; a thief doesn't know that he has anything to hide."""

MAX_LOOKED_AT: Final = 8192
"""So many bytes of one header's value, and of the query, are looked at."""

_MOST_HYPHENS: Final = 6

_DIGITS: Final = "0123456789"
_UPPER: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_BASE62: Final = _DIGITS + _UPPER + _UPPER.lower()
_URL_SAFE: Final = _BASE62 + "-_"
_BASE64: Final = _BASE62 + "+/"

_RUN: Final = re.compile(rb"(?<![A-Za-z0-9_-])[A-Za-z0-9_-]{16,256}(?![A-Za-z0-9_-])")
"""What can be a canary: every kind is made of these characters alone, and shorter than 256."""

_BASIC: Final = re.compile(rb"(?i:basic)[ \t]+([A-Za-z0-9+/_-]{1,4096})")
_ESCAPE: Final = re.compile(rb"%([0-9A-Fa-f]{2})")
_TO_STANDARD: Final = bytes.maketrans(b"-_", b"+/")
_NAME: Final = itemgetter(0)


@dataclass(frozen=True, slots=True)
class Honeytoken:
    """Hold a new canary; it is shown once and kept nowhere.

    :param value: what is recognised.
    :param beside: what belongs beside it where it is planted (an AWS secret access key), None for nothing.
    """

    value: str = field(repr=False)
    beside: str | None = field(default=None, repr=False)


def make_honeytoken(kind: str, randomness: bytes) -> Honeytoken:
    """Return a key that looks like one of a provider's.

    :param kind: one of :data:`KINDS`; raises KeyError for any other.
    :param randomness: :data:`RANDOM_BYTES` bytes that nobody can guess; raises ValueError for another number.
    """
    if len(randomness) != RANDOM_BYTES:
        raise ValueError(f"got {len(randomness)} bytes, expected {RANDOM_BYTES}")
    return _KINDS[kind](_Dice(int.from_bytes(randomness, "big")))


def digest(key: bytes, value: str) -> bytes:
    """Return the keyed hash by which a canary is recognised: HMAC-SHA256 (RFC 2104), 32 bytes.

    :param key: 32 secret bytes: without them nobody can try keys against a digest.
    """
    return hmac.digest(key, value.encode(), "sha256")


def spot(
    watch: HoneytokenWatch, headers: Sequence[tuple[bytes, bytes]], query: bytes
) -> str | None:
    """Return the name of the canary that a request carries, None if it carries none.

    Looked into are the values of the watched headers (bare, behind a scheme, in a list, quoted, the user and the
    password of ``Basic``) and of the watched query parameters, percent-decoded, each as often as it occurs.  The
    work depends on the request alone: of one with a canary it is the same, so that no answer comes sooner or later.

    :param headers: names in lower case, as the gate has cleaned them, and values as received.
    :param query: as received, without the question mark.
    """
    latest = _LATEST[0]
    if latest[0] is not watch:
        latest = _LATEST[0] = watch, _places(watch.headers, watch.parameters)
    places = latest[1]
    if places.headers.isdisjoint(map(_NAME, headers)) and not (query and _may_hold(query, places)):
        return None
    values = [value for name, value in headers if name in places.headers]
    found = None
    for each in islice(_candidates(values, query, places.parameters), MAX_CANDIDATES):
        found = watch.digests.get(hmac.digest(watch.key, each, "sha256"), found)
    return found


class _Places(NamedTuple):
    """Hold where canaries are looked for.

    :ivar hint: finds what a query in lower case must have if it has a watched parameter: the end that all their
        names share with the equals sign (``key=`` stands for ``api_key=`` too), or an escape.  Fast, and nearly
        always finds nothing.
    :ivar in_query: finds the same, escapes in values left out: a name with an escape in it may be any name.
    """

    headers: frozenset[bytes]
    parameters: frozenset[bytes]
    hint: Callable[[bytes], re.Match[bytes] | None]
    in_query: Callable[[bytes], re.Match[bytes] | None]


@lru_cache(maxsize=16)
def _places(headers: tuple[str, ...], parameters: tuple[str, ...]) -> _Places:
    names = frozenset(each.lower().encode() for each in parameters)
    ends = [
        re.escape(each) + b"="
        for each in sorted(names)
        if not any(each != other and each.endswith(other) for other in names)
    ]
    return _Places(
        frozenset(spelling for each in headers for spelling in _spellings(each.lower())),
        names,
        re.compile(b"|".join([*ends, b"%"])).search,
        re.compile(b"|".join([*ends, rb"(?:^|[&;])[^=&;%]*%"])).search,
    )


def _spellings(name: str) -> Iterator[bytes]:
    """Yield a header's names with ``_`` for hyphens: servers by way of CGI or WSGI make one variable of all."""
    first, *rest = name.split("-")
    if len(rest) > _MOST_HYPHENS:
        yield from (name.encode(), name.replace("-", "_").encode())
        return
    for signs in product("-_", repeat=len(rest)):
        yield (first + "".join(map("".join, zip(signs, rest, strict=True)))).encode()


_LATEST: Final[list[tuple[HoneytokenWatch | None, _Places]]] = [(None, _places((), ()))]
"""The watch that was used last, and its places: a gate has one, and asks for each request."""


def _may_hold(query: bytes, places: _Places) -> bool:
    lower = query[:MAX_LOOKED_AT].lower()
    return places.hint(lower) is not None and places.in_query(lower) is not None


def _candidates(
    values: Iterable[bytes], query: bytes, parameters: frozenset[bytes]
) -> Iterator[bytes]:
    for value in values:
        yield from _keys_in(value)
    for pair in query[:MAX_LOOKED_AT].replace(b";", b"&").split(b"&"):
        name, _, given = pair.partition(b"=")
        if _decoded(name).lower() in parameters:
            yield from _RUN.findall(_decoded(given))


def _keys_in(value: bytes) -> Iterator[bytes]:
    value = value[:MAX_LOOKED_AT]
    yield from _RUN.findall(value)
    for credentials in _BASIC.findall(value):
        padded = credentials.translate(_TO_STANDARD) + b"=" * (-len(credentials) % 4)
        try:
            yield from _RUN.findall(binascii.a2b_base64(padded))
        except binascii.Error:
            continue


def _decoded(text: bytes) -> bytes:
    """Undo percent-encoding; what isn't an escape stays as it is."""
    if b"%" not in text:
        return text
    return _ESCAPE.sub(lambda found: bytes((int(found[1], 16),)), text)


class _Dice:
    """Draw characters from one large random number; what is left over keeps every character as frequent as any other."""

    def __init__(self, number: int) -> None:
        self._number = number

    def below(self, end: int) -> int:
        self._number, drawn = divmod(self._number, end)
        return drawn

    def text(self, alphabet: str, count: int) -> str:
        return "".join(alphabet[self.below(len(alphabet))] for _ in range(count))


def _stripe(dice: _Dice) -> Honeytoken:
    """Make a live secret key in the long form, which begins with the account's number."""
    return Honeytoken("sk_live_51" + dice.text(_BASE62, 97))


def _google(dice: _Dice) -> Honeytoken:
    return Honeytoken("AIzaSy" + dice.text(_URL_SAFE, 33))


def _aws(dice: _Dice) -> Honeytoken:
    """Make an access key id that names an account as real ones do: bit 79 set, then 40 bits of its number.

    Tools that search for keys work the number out and leave out ids that name none.
    """
    account = 10**11 + dice.below(9 * 10**11)
    number = 1 << 79 | account << 39 | dice.below(1 << 39)
    key_id = "AKIA" + base64.b32encode(number.to_bytes(10, "big")).decode()
    return Honeytoken(key_id, dice.text(_BASE64, 40))


def _github(dice: _Dice) -> Honeytoken:
    """Make a classic personal access token: its last six characters are the CRC-32 of the 30 before them.

    Source: github.blog, 2021-04-05, "Behind GitHub's new authentication token formats".
    """
    body = dice.text(_BASE62, 30)
    rest, checksum = zlib.crc32(body.encode()), ""
    for _ in range(6):
        rest, digit = divmod(rest, len(_BASE62))
        checksum = _BASE62[digit] + checksum
    return Honeytoken(f"ghp_{body}{checksum}")


def _openai(dice: _Dice) -> Honeytoken:
    """Make a project key; the marker in its middle is "OpenAI" in base64, by which scanners know it."""
    end = dice.text(_URL_SAFE, 73) + dice.text(
        _BASE62, 1
    )  # A hyphen at the end hides it from scanners.
    return Honeytoken(f"sk-proj-{dice.text(_URL_SAFE, 74)}T3BlbkFJ{end}")


def _generic(dice: _Dice) -> Honeytoken:
    return Honeytoken(dice.text(_BASE62, 40))


_KINDS: Final[Mapping[str, Callable[[_Dice], Honeytoken]]] = {
    "aws": _aws,
    "generic": _generic,
    "github": _github,
    "google": _google,
    "openai": _openai,
    "stripe": _stripe,
}

KINDS: Final = tuple(_KINDS)
"""The kinds of keys that a canary can look like."""
