"""Read property lists of strangers: XML and binary, bounded before, while and after parsing.

The standard library's parser refuses XML entities by itself.  Two attacks are left to this module: objects of a binary list
that share members, so that a kilobyte becomes a tree without end for whoever walks it, and nesting that breaks those who walk
by recursion.
"""

import plistlib
import struct
from collections.abc import Mapping
from typing import Final
from xml.parsers.expat import ExpatError

from watchword.reasons import WatchwordError

MOST_BYTES: Final = 4 * 1024 * 1024
"""How large a property list may be."""

MOST_VALUES: Final = 200_000
"""How many values it may hold, shared ones counted each time that they're reached."""

MOST_DEPTH: Final = 64
"""How deep its values may be nested."""


_TRAILER: Final = struct.Struct(">6xBBQQQ")
_SCALARS: Final = frozenset({0x0, 0x1, 0x2, 0x3, 0x8})
_WIDE_TEXT, _ARRAY, _SET, _DICT = 0x6, 0xA, 0xC, 0xD


class PlistError(WatchwordError):
    """Report that a property list can't be read; the text says why and holds nothing of its content."""


def read_plist(data: bytes) -> Mapping[str, object]:
    """Return the dictionary that a property list holds.

    :raises PlistError: if it is too large, damaged, nested too deep, or no dictionary with names for keys.
    """
    if len(data) > MOST_BYTES:
        raise PlistError(f"a property list of {len(data)} bytes; at most {MOST_BYTES} are read")
    if data.startswith(b"bplist") and not _fits(data):
        raise PlistError(
            "damaged, or objects that share bytes: a small list would become a large one"
        )
    try:
        value: object = plistlib.loads(data)
    except (
        ValueError,
        TypeError,
        LookupError,
        AttributeError,
        ArithmeticError,
        RecursionError,
        MemoryError,
        ExpatError,
    ) as error:
        # The parser promises no set of errors: its regular expressions and tables fail by whatever they meet.
        raise PlistError("damaged, or no property list in XML or binary form") from error
    _bound(value)
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise PlistError("its outermost value isn't a dictionary with names for keys")
    return value


def _fits(data: bytes) -> bool:
    """Tell whether the objects of a binary list have room in it side by side, each once.

    Source: Apple's ``CFBinaryPList.c``: a table of offsets, its place and widths in the last 32 bytes.
    """
    try:
        width, reference, count, _, table = _TRAILER.unpack_from(data, len(data) - _TRAILER.size)
        if not 1 <= width <= 8 or not 1 <= reference <= 8 or table + width * count > len(data):
            return False
        left = len(data)
        for at in range(table, table + width * count, width):
            left -= _room(data, int.from_bytes(data[at : at + width], "big"), reference)
            if left < 0:
                return False
    except (struct.error, IndexError):
        return False
    return True


def _room(data: bytes, at: int, reference: int) -> int:
    """Return how many bytes an object takes beside its head.

    :param reference: bytes by which an object names another one.
    """
    kind, count = data[at] >> 4, data[at] & 0xF
    if kind in _SCALARS:
        return 1
    if count == 0xF:
        width = 1 << (data[at + 1] & 0x3)
        count = int.from_bytes(data[at + 2 : at + 2 + width], "big")
    return count * {_WIDE_TEXT: 2, _ARRAY: reference, _SET: reference, _DICT: 2 * reference}.get(
        kind, 1
    )


def _bound(value: object) -> None:
    """Refuse a value that is too large or too deep to be walked as a tree."""
    left = MOST_VALUES
    level: list[object] = [value]
    for _ in range(MOST_DEPTH):
        if not level:
            return
        left -= len(level)
        below: list[object] = []
        for one in level:
            if isinstance(one, dict):
                below.extend(one.values())
            elif isinstance(one, list):
                below.extend(one)
            if len(below) > left:
                raise PlistError(f"more than {MOST_VALUES} values")
        level = below
    if level:
        raise PlistError(f"nested deeper than {MOST_DEPTH}")


def mapping_of(value: object) -> Mapping[str, object]:
    """Return a dictionary's members whose keys are names; an empty one for what is no dictionary."""
    if not isinstance(value, Mapping):
        return {}
    return {key: member for key, member in value.items() if isinstance(key, str)}


def items_of(value: object) -> tuple[object, ...]:
    """Return a list's members; none for what is no list."""
    return tuple(value) if isinstance(value, list | tuple) else ()


def names_of(value: object) -> tuple[str, ...]:
    """Return the strings of a list, in order."""
    return tuple(one for one in items_of(value) if isinstance(one, str))


def is_set(value: object) -> bool:
    """Tell whether a flag is on: true, a number other than 0, or a word that systems take for true."""
    if isinstance(value, str):
        return value.strip().lower() in {"yes", "true", "1", "y"}
    return isinstance(value, int | float) and bool(value)
