"""Read the metadata of Unity's IL2CPP: the strings of its code, and the names of classes, methods and fields.

Source: https://github.com/Perfare/Il2CppDumper, ``MetadataClass.cs`` (at 03ea178, read on 2026-11-29): the header begins with the same three
pairs of offset and size in all versions that are read here.  A literal is a length and an offset; in later versions the offset alone, since
one begins where the one before ends.  Which of both, the table tells itself: no table fits both.
"""

import struct
from collections.abc import Iterator
from itertools import pairwise
from typing import Final

from watchword.reasons import WatchwordError

MAGIC: Final = (0xFAB11BAF).to_bytes(4, "little")
VERSIONS: Final = (*range(16, 32), 35)
"""The versions whose strings are read; from 38 on the header is another one."""

_HEADER: Final = struct.Struct("<4xI6I")
_MOST: Final = 2_000_000


class UnityError(WatchwordError):
    """Report that metadata is encrypted, damaged, or of a version that isn't known."""


def strings(data: bytes) -> Iterator[str]:
    """Yield the string literals of the code, then all names.

    :raises UnityError: before the first one, if they aren't where this version of the format is known to have them.
    """
    if not data.startswith(MAGIC):
        raise UnityError("metadata of Unity that is encrypted")
    try:
        version, table, size, texts, length, names, extent = _HEADER.unpack_from(data)
    except struct.error as error:
        raise UnityError("metadata of Unity that ends in its header") from error
    if version not in VERSIONS:
        raise UnityError(f"metadata of Unity of version {version}, which isn't known")
    ends = (table + size, texts + length, names + extent)
    if max(ends) > len(data) or size > 8 * _MOST or min(table, texts, names) < _HEADER.size:
        raise UnityError("metadata of Unity whose strings lie beyond its end")
    places = _literals(data[table : table + size], length)
    for start, end in places:
        yield data[texts + start : texts + end].decode("utf-8", "replace")
    for name in data[names : names + extent].split(b"\0"):
        yield name.decode("utf-8", "replace")


def rest(data: bytes) -> int:
    """Return where names end: behind them lie constants and attributes, whose texts only show as runs of characters."""
    names, extent = _HEADER.unpack_from(data)[5:]
    return int(names + extent)


def _literals(table: bytes, length: int) -> list[tuple[int, int]]:
    """Return begin and end of each literal.

    :param length: of all literals.
    """
    if len(table) % 8 == 0:
        with_lengths = [(start, start + size) for size, start in struct.iter_unpack("<II", table)]
        if _holds(with_lengths, length):
            return with_lengths
    starts = [start for (start,) in struct.iter_unpack("<I", table[: len(table) & ~3])]
    found = list(pairwise([*starts, length]))
    if not _holds(found, length):
        raise UnityError("metadata of Unity whose table of strings doesn't hold together")
    return found


def _holds(places: list[tuple[int, int]], length: int) -> bool:
    """Tell whether literals lie one behind the other, from the first byte on, within their stretch."""
    last = 0
    for start, end in places:
        if start != last or not start <= end <= length:
            return False
        last = end
    return True
