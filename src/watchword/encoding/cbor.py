"""Read CBOR from strangers (RFC 8949): definite lengths only, no tags, no floats, no duplicate keys.

Authenticators write a small, plain part of CBOR.  All the rest (tags, indefinite lengths,
floats, values shared by reference) only ever gave attackers something to work with, so that it is
refused.  The order of keys and the shortest form of a number don't change what was said and are
not judged.
"""

from collections.abc import Iterator
from typing import NoReturn

from watchword.reasons import MalformedError, Reason

MAX_DEPTH = 8
"""Most levels of arrays and maps; an App Attest object has three."""

MAX_ITEMS = 256
"""Most items in all, keys included; an App Attest object has about 13."""

Value = int | bytes | str | bool | list["Value"] | dict[int | str, "Value"] | None
"""What can be read: integers of 64 bits, byte and text strings, arrays, maps, booleans, null."""

_SIMPLE: dict[int, bool | None] = {20: False, 21: True, 22: None}


def decode(data: bytes, limit: int) -> Value:
    """Return the one value that ``data`` holds.

    :param limit: most bytes that are accepted; checked before anything is parsed.
    :raises MalformedError: with ``encoding.cbor``; also for bytes after the value.
    """
    value, rest = decode_prefix(data, limit)
    if rest:
        _refuse(f"got {len(rest)} bytes after the value")
    return value


def decode_prefix(data: bytes, limit: int) -> tuple[Value, bytes]:
    """Return the first value in ``data`` and the bytes behind it.

    Authenticator data needs this: its credential key is CBOR of no stated length, and what
    follows is again CBOR (WebAuthn section 6.5.1).

    :param limit: most bytes that are accepted in all.
    :raises MalformedError: with ``encoding.cbor``.
    """
    if len(data) > limit:
        _refuse(f"got {len(data)} bytes, expected at most {limit}")
    value, end = _item(data, 0, 0, iter(range(MAX_ITEMS)))
    return value, data[end:]


def _item(data: bytes, at: int, depth: int, budget: Iterator[int]) -> tuple[Value, int]:
    """Read one item and take it off the budget; return it and the offset behind it."""
    if next(budget, None) is None:
        _refuse(f"got more than {MAX_ITEMS} items")
    major, argument, at = _head(data, at)
    if major == 0:
        return argument, at
    if major == 1:
        return -1 - argument, at
    if major in {2, 3}:
        if argument > len(data) - at:
            _refuse("got a string longer than the input")
        raw = data[at : at + argument]
        return (raw if major == 2 else _text(raw)), at + argument
    if major in {4, 5}:
        if depth >= MAX_DEPTH:
            _refuse(f"got nesting deeper than {MAX_DEPTH}")
        # Each item takes a byte at least, so that a huge count is a lie; believing it would
        # cost memory before a single item was read.
        if argument > len(data) - at:
            _refuse("got more items than bytes")
        read = _array if major == 4 else _map
        return read(data, at, argument, depth + 1, budget)
    if major == 7 and argument in _SIMPLE:
        return _SIMPLE[argument], at
    raise MalformedError.because(
        Reason.ENCODING_CBOR, "got a tag, a float or an unassigned simple value"
    )


def _head(data: bytes, at: int) -> tuple[int, int, int]:
    """Read an item's first bytes; return its major type, its argument and the offset behind."""
    if at >= len(data):
        _refuse("got input that ends within a value")
    major, info = data[at] >> 5, data[at] & 0x1F
    at += 1
    if info < 24:
        return major, info, at
    if info > 27 or major == 7:
        # 28 to 30 are reserved, 31 is an indefinite length; with major type 7 these are floats.
        _refuse("got an indefinite length, a float or a reserved value")
    size = 1 << (info - 24)
    if size > len(data) - at:
        _refuse("got input that ends within a value")
    return major, int.from_bytes(data[at : at + size], "big"), at + size


def _array(
    data: bytes, at: int, count: int, depth: int, budget: Iterator[int]
) -> tuple[list[Value], int]:
    """Read the items of an array."""
    items: list[Value] = []
    for _ in range(count):
        item, at = _item(data, at, depth, budget)
        items.append(item)
    return items, at


def _map(
    data: bytes, at: int, count: int, depth: int, budget: Iterator[int]
) -> tuple[dict[int | str, Value], int]:
    """Read the pairs of a map; refuse a key that occurs twice."""
    pairs: dict[int | str, Value] = {}
    for _ in range(count):
        key, at = _item(data, at, depth, budget)
        # A boolean is an int in Python, and True would take the place of 1.
        if isinstance(key, bool) or not isinstance(key, int | str):
            _refuse("got a map key that is neither an integer nor text")
        if key in pairs:
            _refuse("got a duplicate key")
        pairs[key], at = _item(data, at, depth, budget)
    return pairs, at


def _text(raw: bytes) -> str:
    """Return text from UTF-8."""
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        _refuse("got text that isn't UTF-8")


def _refuse(detail: str) -> NoReturn:
    raise MalformedError.because(Reason.ENCODING_CBOR, detail)
