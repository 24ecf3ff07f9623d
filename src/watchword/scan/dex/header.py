"""Read the header of a DEX file, or the headers of a container of several (Dalvik executable format, ``header_item``)."""

import struct
import zlib
from dataclasses import dataclass

from watchword.scan.dex.bounds import Trouble

VERSIONS = (b"035", b"036", b"037", b"038", b"039", b"040", b"041")
"""Formats that are read."""

MOST_IN_CONTAINER = 256
"""How many DEX files a container may hold: a header is 120 bytes, and a file of nothing else would have millions."""

_LITTLE = 0x12345678
_SIZE = 0x70
_SIZE_041 = 0x78
_FIELDS = struct.Struct("<I20sIII4x4x4x12I")


@dataclass(frozen=True, slots=True)
class Table:
    """Hold where a table lies: ``count`` rows from offset ``at`` on; neither was checked."""

    count: int
    at: int


@dataclass(frozen=True, slots=True)
class Header:
    """Hold what a header says.

    :param at: where it lies; offsets of the tables count from the begin of the file, also in a container.
    :param size: bytes from this header to the next one or to the end.
    """

    at: int
    size: int
    strings: Table
    types: Table
    protos: Table
    fields: Table
    methods: Table
    classes: Table


def read_headers(data: bytes, trouble: Trouble) -> list[Header]:
    """Return the headers of a file: one, or several of a container (format 041); none where it's no DEX file."""
    found: list[Header] = []
    at = 0
    while at < len(data):
        if len(found) == MOST_IN_CONTAINER:
            trouble(f"a container of more than {MOST_IN_CONTAINER} DEX files")
            break
        header = _read(data, at, trouble)
        if header is None:
            break
        found.append(header)
        container = data[at + 4 : at + 7] == b"041"
        at += header.size
        if not container or header.size < _SIZE_041:
            break
    if found and at < len(data):
        trouble("bytes after the end that the header states")
    if not data:
        trouble("empty")
    return found


def _read(data: bytes, at: int, trouble: Trouble) -> Header | None:
    """Return the header at ``at``; None where there is none that can be read."""
    magic = data[at : at + 8]
    if magic[:4] != b"dex\n" or magic[4:7] not in VERSIONS or magic[7:] != b"\0":
        trouble(
            "no DEX file of a format that is read here (035 to 041): encrypted, compact or damaged"
        )
        return None
    if len(data) < at + _SIZE:
        trouble("ends within its header")
        return None
    checksum, _, size, header_size, endian, *tables = _FIELDS.unpack_from(data, at + 8)
    if endian != _LITTLE:
        trouble("byte order isn't little-endian")
        return None
    container = magic[4:7] == b"041"
    if header_size != (_SIZE_041 if container else _SIZE):
        trouble(f"states a header of {header_size} bytes")
    if at + size > len(data):
        trouble(f"truncated: states {size} bytes, has {len(data) - at}")
    elif zlib.adler32(memoryview(data)[at + 12 : at + size]) != checksum:
        trouble("checksum is wrong")
    if container and len(data) >= at + _SIZE_041:
        container_size, own_offset = struct.unpack_from("<II", data, at + _SIZE)
        if own_offset != at:
            trouble("header of a container states another place than its own")
        if container_size != len(data):
            trouble(f"container states {container_size} bytes, has {len(data)}")
    rows = [Table(tables[n], tables[n + 1]) for n in range(0, 12, 2)]
    return Header(at, size, *rows)
