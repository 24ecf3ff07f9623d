"""Unpack an entry as Android does, within limits: sizes are checked before anything is unpacked.

Android inflates what is deflated and takes every other method as stored; it looks at neither the flag of encryption nor, for most
files, the checksum.  Source: AOSP, ``libziparchive/zip_archive.cc`` and ``androidfw/AssetsProvider.cpp``.
"""

import zlib
from collections.abc import Iterable, Iterator
from io import BytesIO

from watchword.scan.archive.interface import Limits, OutOfTimeError, UnreadableEntryError
from watchword.scan.archive.pace import Pace
from watchword.scan.archive.records import DEFLATED, ENCRYPTED, STORED, Record, read_local

_RAW_DEFLATE = -15
_PIECE = 1024 * 1024
_AT_ONCE = 8 * 1024 * 1024
"""Entries beyond it are taken piece by piece: zlib holds twice the size otherwise, and all pages of the file stay."""


def peek(data: memoryview, record: Record, size: int) -> bytes:
    """Return the first bytes of an entry, at most ``size``; fewer or none if it can't be read."""
    local = read_local(data, record.offset)
    if local is None:
        return b""
    if _is_deflated(record):
        packed = data[local.end : local.end + min(record.packed, size + 1024)]
        try:
            return zlib.decompressobj(_RAW_DEFLATE).decompress(packed, size)
        except zlib.error:
            return b""
    return bytes(data[local.end : local.end + min(record.size, size)])


def stored(data: memoryview, record: Record) -> memoryview | None:
    """Return an entry's bytes where they stand, if it isn't packed."""
    local = read_local(data, record.offset)
    if local is None or _is_deflated(record) or local.end + record.size > len(data):
        return None
    return data[local.end : local.end + record.size]


def unpack(data: memoryview, record: Record, limits: Limits, pace: Pace) -> tuple[bytes, bool]:
    """Return an entry's bytes, and whether they have the checksum that the directory states.

    :raises UnreadableEntryError: if it is damaged, encrypted or beyond a limit.
    """
    _check_limits(record, limits)
    local = read_local(data, record.offset)
    if local is None:
        raise _unreadable(record, "has no local header where the directory says")
    content = _content(data, record, local.end, pace)
    sound = zlib.crc32(content) == record.crc
    if record.flags & ENCRYPTED and not sound:
        raise _unreadable(record, "is encrypted")
    return content, sound


def _check_limits(record: Record, limits: Limits) -> None:
    """Refuse a bomb by what it states; one that states less than it is gets refused while it is unpacked."""
    if record.size > limits.entry_size:
        what = f"states {record.size} bytes unpacked, more than {limits.entry_size} are not read"
        raise _unreadable(record, what)
    if record.size > limits.ratio_from and record.size > limits.ratio * record.packed:
        what = (
            f"states {record.size} bytes unpacked of {record.packed}, more than {limits.ratio} times: a zip bomb "
            "by its looks"
        )
        raise _unreadable(record, what)


def _content(data: memoryview, record: Record, start: int, pace: Pace) -> bytes:
    """Return the bytes, inflated where they are deflated."""
    if _is_deflated(record):
        packed = data[start : start + record.packed]
        try:
            return _inflated(packed, record, pace)
        except zlib.error as error:
            # Only a method that doesn't exist may mean either; what says deflated and isn't is damaged.
            if record.method == DEFLATED:
                raise _unreadable(record, f"can't be inflated ({_first_words(error)})") from error
    if start + record.size > len(data):
        raise _unreadable(record, "reaches beyond the end of the archive")
    found = data[start : start + record.size]
    return bytes(found) if record.size <= _AT_ONCE else _joined(_pieces(found, record, pace))


def _is_deflated(record: Record) -> bool:
    """Tell whether an entry is to be inflated; a method that doesn't exist says so by its sizes."""
    if record.method == DEFLATED:
        return True
    return record.method != STORED and record.packed != record.size


def _inflated(packed: memoryview, record: Record, pace: Pace) -> bytes:
    """Inflate to exactly the size that the directory states."""
    inflater = zlib.decompressobj(_RAW_DEFLATE)
    if record.size <= _AT_ONCE:
        # One byte more than stated tells an entry that is longer; max_length 0 would mean no bound at all.
        content = inflater.decompress(packed, record.size + 1)
        pace.looked_at(len(packed))
    else:
        content = _joined(_inflated_pieces(packed, inflater, record, pace))
    _check(record, len(content), ended=inflater.eof)
    return content


def _inflated_pieces(
    packed: memoryview, inflater: "zlib._Decompress", record: Record, pace: Pace
) -> Iterator[bytes]:
    """Yield what is inflated, piece by piece, to a little more than the stated size."""
    length = 0
    for piece in _pieces(packed, record, pace):
        rest: bytes | memoryview = piece
        while True:
            _check_time(record, pace)
            found = inflater.decompress(rest, _PIECE)
            length += len(found)
            yield found
            rest = inflater.unconsumed_tail
            if inflater.eof or length > record.size:
                return
            if not rest and len(found) < _PIECE:
                break


def _pieces(data: memoryview, record: Record, pace: Pace) -> Iterator[memoryview]:
    """Yield bytes piece by piece, as long as there is time."""
    for at in range(0, len(data), _PIECE):
        _check_time(record, pace)
        piece = data[at : at + _PIECE]
        yield piece
        pace.looked_at(len(piece))


def _check_time(record: Record, pace: Pace) -> None:
    """Raise OutOfTimeError once the time is over."""
    if pace.over:
        raise OutOfTimeError(record.name, "isn't read to its end: the time is over")


def _joined(pieces: Iterable[bytes | memoryview]) -> bytes:
    """Return pieces as one; BytesIO hands out what it holds without a copy, a join would need twice the memory."""
    sink = BytesIO()
    for piece in pieces:
        sink.write(piece)
    return sink.getvalue()


def _check(record: Record, length: int, *, ended: bool) -> None:
    """Refuse what is longer or shorter than it states."""
    if length > record.size:
        raise _unreadable(record, f"is longer than the {record.size} bytes that it states")
    if length < record.size or not ended:
        raise _unreadable(record, f"ends after {length} of the {record.size} bytes that it states")


def _first_words(error: zlib.error) -> str:
    """Return what zlib says, without its number."""
    return str(error).partition(":")[2].strip() or "damaged"


def _unreadable(record: Record, why: str) -> UnreadableEntryError:
    """Make the error of an entry."""
    return UnreadableEntryError(record.name, why)
