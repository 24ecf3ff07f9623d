"""Read the records of a zip archive: local headers, entries of the central directory.

Source: PKWARE APPNOTE.TXT 6.3.10, sections 4.3.7 (local header), 4.3.12 (central directory), 4.5.3 (zip64).
"""

import struct
from dataclasses import dataclass, replace

LOCAL = b"PK\x03\x04"
CENTRAL = b"PK\x01\x02"
DESCRIPTOR = b"PK\x07\x08"
END = b"PK\x05\x06"
END_64 = b"PK\x06\x06"
LOCATOR_64 = b"PK\x06\x07"

ENCRYPTED = 0x1
STREAMED = 0x8
"""Flag: sizes and checksum stand behind the data (section 4.4.4, bit 3)."""

STORED = 0
DEFLATED = 8

_LOCAL = struct.Struct("<4s5H3I2H")
_CENTRAL = struct.Struct("<4s6H3I5H2I")
_EXTRA = struct.Struct("<HH")
_ZIP64 = 1
_IN_EXTRA = 0xFFFFFFFF
_SHOWN = 80


@dataclass(frozen=True, slots=True)
class Record:
    """Hold what one header says of an entry; sizes in bytes.

    :param packed: bytes in the archive.
    :param offset: of the local header.
    :param end: of the record itself.
    """

    raw: bytes
    flags: int
    method: int
    crc: int
    packed: int
    size: int
    offset: int
    end: int

    @property
    def name(self) -> str:
        """Return the name as Android takes it, UTF-8; in the code page of old where it isn't."""
        try:
            return self.raw.decode()
        except UnicodeDecodeError:
            return self.raw.decode("cp437")

    @property
    def shown(self) -> str:
        """Return the name for people: nothing that a terminal acts on, and not without end."""
        text = ascii(self.name)[1:-1]
        return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."

    @property
    def sizes_follow(self) -> bool:
        """Tell whether a local header leaves its sizes to the descriptor behind the data."""
        return bool(self.flags & STREAMED) and self.packed == 0

    @property
    def fills(self) -> bool:
        """Tell whether a local header only fills a hole: build tools write nameless ones."""
        return not self.raw and not self.packed and not self.size


def read_local(data: memoryview, offset: int) -> Record | None:
    """Read the local header at an offset; None if there is none, or it doesn't fit into the archive."""
    if not 0 <= offset <= len(data) - _LOCAL.size:
        return None
    (signature, _, flags, method, _, _, crc, packed, size, name, extra) = _LOCAL.unpack_from(
        data, offset
    )
    named = offset + _LOCAL.size
    end = named + name + extra
    if signature != LOCAL or end > len(data):
        return None
    record = Record(
        bytes(data[named : named + name]), flags, method, crc, packed, size, offset, end
    )
    return _widened(record, bytes(data[named + name : end]), with_offset=False)


def read_central(data: memoryview, position: int) -> Record | None:
    """Read the entry of the central directory at a position; None if there is none that fits into the archive."""
    if not 0 <= position <= len(data) - _CENTRAL.size:
        return None
    found = _CENTRAL.unpack_from(data, position)
    flags, method = found[3], found[4]
    crc, packed, size = found[7:10]
    name, extra, comment = found[10:13]
    named = position + _CENTRAL.size
    end = named + name + extra + comment
    if found[0] != CENTRAL or end > len(data):
        return None
    record = Record(
        bytes(data[named : named + name]), flags, method, crc, packed, size, found[16], end
    )
    return _widened(record, bytes(data[named + name : named + name + extra]), with_offset=True)


def _widened(record: Record, extra: bytes, *, with_offset: bool) -> Record:
    """Take the sizes from the zip64 field where the header leaves them to it (section 4.5.3)."""
    if _IN_EXTRA not in (record.size, record.packed, record.offset if with_offset else 0):
        return record
    position = 0
    while position + _EXTRA.size <= len(extra):
        kind, length = _EXTRA.unpack_from(extra, position)
        position += _EXTRA.size
        if kind == _ZIP64:
            return _taken(record, extra[position : position + length], with_offset=with_offset)
        position += length
    return record


def _taken(record: Record, field: bytes, *, with_offset: bool) -> Record:
    """Take those of size, packed size and offset that the header doesn't state, in this order."""
    wide = [int.from_bytes(field[at : at + 8], "little") for at in range(0, len(field) - 7, 8)]
    size, packed, offset = record.size, record.packed, record.offset
    if size == _IN_EXTRA and wide:
        size = wide.pop(0)
    if packed == _IN_EXTRA and wide:
        packed = wide.pop(0)
    if with_offset and offset == _IN_EXTRA and wide:
        offset = wide.pop(0)
    return replace(record, size=size, packed=packed, offset=offset)
