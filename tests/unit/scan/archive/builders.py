"""Build zip archives as tools do, and tamper with single fields of them."""

import io
import struct
import zipfile
from collections.abc import Mapping

from watchword.scan.archive.interface import Limits, Pace
from watchword.scan.archive.package import Budget, ZipArchive, open_zip
from watchword.scan.notes import Notes

FIELDS = {  # name of a field: its offset in the central entry, in the local header, its form
    "flags": (8, 6, "<H"),
    "method": (10, 8, "<H"),
    "crc": (16, 14, "<I"),
    "packed": (20, 18, "<I"),
    "size": (24, 22, "<I"),
    "offset": (42, None, "<I"),
}


class _Pipe(io.RawIOBase):
    """Take bytes without seeking, so that zipfile writes descriptors behind the data."""

    def __init__(self) -> None:
        self.written = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        piece = bytes(data)  # type: ignore[call-overload]
        self.written += piece
        return len(piece)


def built(
    entries: Mapping[str, bytes],
    *,
    method: int = zipfile.ZIP_DEFLATED,
    comment: bytes = b"",
    streamed: bool = False,
) -> bytes:
    """Return an archive of these entries."""
    pipe = _Pipe()
    buffer = io.BytesIO()
    with zipfile.ZipFile(pipe if streamed else buffer, "w", method) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
        archive.comment = comment
    return bytes(pipe.written) if streamed else buffer.getvalue()


def opened(
    data: bytes, *, limits: Limits | None = None, left: float = 60.0
) -> tuple[ZipArchive, Notes]:
    """Open an archive, with the notes that were taken."""
    notes = Notes()
    budget = Budget(limits or Limits())
    return open_zip(memoryview(data), budget, Pace(lambda: left), notes), notes


def central_of(data: bytes, name: str) -> int:
    """Return where the directory's entry of a name stands."""
    at = data.find(b"PK\x01\x02")
    while data[at + 46 : at + 46 + len(name)] != name.encode():
        at = data.index(b"PK\x01\x02", at + 1)
    return at


def local_of(data: bytes, name: str) -> int:
    """Return where the local header of a name stands, by the directory."""
    return int(struct.unpack_from("<I", data, central_of(data, name) + 42)[0])


def tampered(
    data: bytes,
    name: str,
    *,
    central: Mapping[str, int] | None = None,
    local: Mapping[str, int] | None = None,
) -> bytes:
    """Return the archive with these fields of an entry's headers set."""
    changed = bytearray(data)
    for field, value in (central or {}).items():
        at, _, form = FIELDS[field]
        struct.pack_into(form, changed, central_of(data, name) + at, value)
    for field, value in (local or {}).items():
        _, where, form = FIELDS[field]
        assert where is not None
        struct.pack_into(form, changed, local_of(data, name) + where, value)
    return bytes(changed)
