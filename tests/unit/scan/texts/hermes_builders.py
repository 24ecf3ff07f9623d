"""Write Hermes bytecode: strings, and functions with literals of objects, in the layouts of its versions."""

import struct
from collections.abc import Sequence

from watchword.scan.texts.hermes import MAGIC


def bytecode(
    strings: Sequence[str],
    *,
    functions: int = 2,
    kinds: int = 1,
    version: int = 84,
    code: Sequence[bytes] = (),
    keys: bytes = b"",
    values: bytes = b"",
    shapes: Sequence[tuple[int, int]] = (),
    large: bool = False,
) -> bytes:
    """Return a file whose table names these strings; long ones by the overflow, others than Latin ones in UTF-16.

    :param functions: how many have no instructions.
    :param code: the instructions of further functions.
    :param keys: literals of keys, and ``values`` of values, serialised.
    :param shapes: offset and number of keys of each object's shape, from version 97 on.
    :param large: whether the headers of functions with instructions lie elsewhere, as those do that don't fit.
    """
    small, overflow, storage = _strings(strings)
    short = version >= 97
    each = 12 if short else 16
    total = functions + len(code)
    counts = (total, kinds, 1, len(strings), len(overflow) // 8, len(storage))
    more = (0, 0) if version >= 87 else ()
    buffers = [values, keys] if short else [b"", keys, values]
    sizes = (len(values), len(keys), len(shapes)) if short else (0, len(keys), len(values))
    head = MAGIC + struct.pack("<I20xII6I", version, 0, 0, *counts)
    head += struct.pack(f"<{len(more) + 5}I", *more, 0, 0, *sizes)
    tables = bytes(4 * kinds + 4) + small + overflow + storage
    at = 128 + each * total + len(tables)
    for raw in buffers:
        tables += bytes(-at % 4) + raw
        at += -at % 4 + len(raw)
    shape = b"".join(struct.pack("<2I", *one) for one in shapes)
    tables += bytes(-at % 4) + shape
    at += -at % 4 + len(shape)
    headers, bodies = bytes(each * functions), b""
    for raw in code:
        start = at + len(bodies)
        bodies += raw
        if large:
            elsewhere = at + len(bodies)
            bodies += struct.pack("<I", start) + bytes(8 if version >= 98 else 4)
            bodies += struct.pack("<I", len(raw)) + bytes(8)
            headers += _overflowed(elsewhere, version)
        else:
            headers += struct.pack("<2I", start, len(raw)).ljust(each, b"\0")
    return head.ljust(128, b"\0") + headers + tables + bodies


def _strings(strings: Sequence[str]) -> tuple[bytes, bytes, bytes]:
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
    return small, overflow, storage


def _overflowed(at: int, version: int) -> bytes:
    if version >= 98:
        return struct.pack("<3I", at & 0xFFFFFF, at >> 24 << 14, 1 << 29)
    if version >= 97:
        return struct.pack("<3I", at & 0xFFFF, at >> 16 << 15, 1 << 29)
    return struct.pack("<4I", at & 0xFFFF, 0, at >> 16, 1 << 29)
