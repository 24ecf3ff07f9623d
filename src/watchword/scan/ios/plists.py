"""Read property lists of strangers: XML and binary, bounded before, while and after parsing.

The standard library's parser refuses XML entities by itself.  Two attacks are left to this module: objects of a binary list
that share members, so that a kilobyte becomes a tree without end for whoever walks it, and nesting that breaks those who walk
by recursion.
"""

import plistlib
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


class PlistError(WatchwordError):
    """Report that a property list can't be read; the text says why and holds nothing of its content."""


def read_plist(data: bytes) -> Mapping[str, object]:
    """Return the dictionary that a property list holds.

    :raises PlistError: if it is too large, damaged, nested too deep, or no dictionary with names for keys.
    """
    if len(data) > MOST_BYTES:
        raise PlistError(f"a property list of {len(data)} bytes; at most {MOST_BYTES} are read")
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
