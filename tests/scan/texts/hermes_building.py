"""Write Hermes bytecode that holds nothing but strings."""

import struct
from collections.abc import Sequence

from watchword.scan.texts.hermes import MAGIC


def bytecode(
    strings: Sequence[str], *, functions: int = 2, kinds: int = 1, version: int = 84
) -> bytes:
    """Return a file whose table names these strings; long ones by the overflow, others than Latin ones in UTF-16."""
    small, overflow, storage = b"", b"", b""
    for text in strings:
        wide = not text.isascii()
        raw = text.encode("utf-16-le" if wide else "ascii")
        if len(text) < 255:
            small += struct.pack("<I", wide | len(storage) << 1 | len(text) << 24)
        else:
            small += struct.pack("<I", wide | len(overflow) // 8 << 1 | 255 << 24)
            overflow += struct.pack("<II", len(storage), len(text))
        storage += raw
    counts = (functions, kinds, 1, len(strings), len(overflow) // 8, len(storage), 0)
    head = MAGIC + struct.pack("<I20xII7I", version, 0, 0, *counts)
    tables = bytes(16 * functions + 4 * kinds + 4)
    return head.ljust(128, b"\0") + tables + small + overflow + storage
