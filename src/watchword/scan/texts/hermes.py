"""Read the string table of Hermes bytecode, into which React Native compiles its scripts.

Strings lie in it without anything between them: without the table, one runs into the next.
Source: ``BytecodeFileFormat.h`` and ``StringTableEntry.h`` of Hermes, by which versions 74 to 96 lay out alike what is read here; only
bytecode of version 84 was tried.  Later versions have shorter headers of functions, earlier ones differ too: those aren't read.
"""

import struct
from collections.abc import Iterator
from typing import Final

from watchword.reasons import WatchwordError

MAGIC: Final = (0x1F1903C103BC1FC6).to_bytes(8, "little")
VERSIONS: Final = range(74, 97)
"""The versions whose table of strings is read."""

_VERSION: Final = struct.Struct("<8xI")
_COUNTS: Final = struct.Struct("<7I")
_COUNTS_AT: Final = 40  # After magic, version, SHA-1, length of the file, and the global function.
_HEADER: Final = 128
_FUNCTION: Final = 16
_MOST: Final = 1_000_000


class HermesError(WatchwordError):
    """Report that the table of strings isn't where this version of the format is known to have it."""


def is_hermes(data: bytes) -> bool:
    """Tell by its magic whether a file is Hermes bytecode."""
    return data.startswith(MAGIC)


def strings(data: bytes) -> Iterator[str]:
    """Yield the strings of a bytecode file, in the order of its table.

    :raises HermesError: before the first one, if the table doesn't hold together.
    """
    try:
        (version,) = _VERSION.unpack_from(data)
        if version not in VERSIONS:
            raise HermesError(f"Hermes bytecode of version {version}, which isn't known")
        functions, kinds, identifiers, count, overflowing, size, _ = _COUNTS.unpack_from(
            data, _COUNTS_AT
        )
    except struct.error as error:
        raise HermesError("Hermes bytecode that ends in its header") from error
    small_at = _HEADER + functions * _FUNCTION + 4 * kinds + 4 * identifiers
    overflow_at = small_at + 4 * count
    storage = overflow_at + 8 * overflowing
    if not identifiers <= count <= _MOST or overflowing > count or storage + size > len(data):
        raise HermesError("Hermes bytecode whose strings don't fit into it")
    small = struct.unpack_from(f"<{count}I", data, small_at)
    overflow = struct.unpack_from(f"<{2 * overflowing}I", data, overflow_at)
    if any(at + length * (1 + wide) > size for at, length, wide in _entries(small, overflow)):
        raise HermesError("Hermes bytecode with a string outside of its storage")
    for at, length, wide in _entries(small, overflow):
        raw = data[storage + at : storage + at + length * (1 + wide)]
        yield raw.decode("utf-16-le" if wide else "latin-1", "replace")


def _entries(small: tuple[int, ...], overflow: tuple[int, ...]) -> Iterator[tuple[int, int, int]]:
    """Yield offset, length and whether it's UTF-16, of each string; a length of 255 stands for a place in the overflow."""
    for entry in small:
        wide, at, length = entry & 1, entry >> 1 & 0x7FFFFF, entry >> 24
        if length == 0xFF:
            if 2 * at + 1 >= len(overflow):
                raise HermesError("Hermes bytecode with a long string that isn't there")
            at, length = overflow[2 * at], overflow[2 * at + 1]
        yield at, length, wide
