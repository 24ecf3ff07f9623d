"""Cut a log into lines, from where it was read last: in bounded memory, whatever the log holds."""

import gzip
import hashlib
import os
import stat
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, cast

from watchword.adapters.engine_refusals import Position
from watchword.reasons import WatchwordError

MAX_LINE_BYTES: Final = 16 * 1024
"""Most bytes of a line; the longest that an engine of ours writes has about one thousand."""

_TAIL_BYTES: Final = 1024
_GZIP: Final = b"\x1f\x8b"


class LogFileError(WatchwordError):
    """Report a log that can't be opened or read on."""


@dataclass(frozen=True, slots=True)
class Line:
    """Hold one line.

    :param content: without its end; None where it has more than :data:`MAX_LINE_BYTES`.
    """

    number: int
    content: bytes | None


class LogStream:
    """Read the lines of an open log, which may grow."""

    def __init__(self, file: BinaryIO, name: str, *, whole: bool) -> None:
        """Begin where the file stands, which is its start.

        :param name: as messages call it.
        :param whole: nothing comes after its end: a last line that isn't ended is one all the same.
        """
        self._file = file
        self._name = name
        self._whole = whole
        self._held = b""
        self._size = 0
        self._line_tail = b""
        self._tail = b""
        self._end = 0
        self._number = 0

    def head(self) -> bytes | None:
        """Return the SHA-256 of the first line, None while it isn't complete; reading begins anew.

        :raises LogFileError: when the file can't be read, or is compressed and damaged.
        """
        first = self._read()
        self._seek(0)
        whole = first.endswith(b"\n") or len(first) > MAX_LINE_BYTES or (self._whole and first)
        return hashlib.sha256(first).digest() if whole else None

    def resume(self, position: Position) -> bool:
        """Go on where a file was read last; return False, at its start, if it isn't that file."""
        begin = max(0, position.offset - _TAIL_BYTES)
        self._seek(begin)
        tail = b""
        while piece := self._read(position.offset - begin - len(tail)):
            tail += piece
        if begin + len(tail) != position.offset or _digest(tail) != position.tail:
            self._seek(0)
            return False
        self._tail, self._end, self._number = tail, position.offset, position.lines
        return True

    def position(self, head: bytes) -> Position:
        """Return how far complete lines were read."""
        return Position(head, self._end, _digest(self._tail), self._number)

    def lines(self) -> Iterator[Line]:
        """Yield the lines that are complete; a later call goes on behind them.

        :raises LogFileError: as :meth:`head` does.
        """
        while piece := self._read():
            self._size += len(piece)
            if len(self._held) <= MAX_LINE_BYTES:
                self._held += piece
            self._line_tail = (self._line_tail + piece)[-_TAIL_BYTES:]
            if piece.endswith(b"\n"):
                yield self._taken()
        if self._whole and self._size:
            yield self._taken()

    def _taken(self) -> Line:
        content = self._held.rstrip(b"\r\n")
        self._number += 1
        self._end += self._size
        self._tail = (self._tail + self._line_tail)[-_TAIL_BYTES:]
        self._held, self._size, self._line_tail = b"", 0, b""
        return Line(self._number, content if len(content) <= MAX_LINE_BYTES else None)

    def _read(self, most: int = MAX_LINE_BYTES + 1) -> bytes:
        try:
            return self._file.readline(most)
        except (OSError, EOFError, zlib.error) as error:
            raise _trouble(self._name, error) from None

    def _seek(self, offset: int) -> None:
        try:
            self._file.seek(offset)
        except (OSError, EOFError, zlib.error) as error:
            raise _trouble(self._name, error) from None


@dataclass(slots=True)
class OpenLog:
    """Hold an open log.

    :param content: what the file holds, decompressed where it has to be.
    :param seekable: it is a file, whose position is kept; a pipe has none.
    :param compressed: it ends where it ends now.
    :param identity: of the file, by which a rotation is noticed.
    """

    stream: LogStream
    file: BinaryIO
    content: BinaryIO
    seekable: bool
    compressed: bool
    identity: tuple[int, int]

    def close(self) -> None:
        """Close the file."""
        self.content.close()
        self.file.close()

    def was_replaced(self, path: Path) -> bool:
        """Tell whether another file has the name now and is written to, or this one was emptied.

        A rotation makes the new file before the engine turns to it, and until then the engine goes on in this one.
        """
        try:
            found = path.stat()
        except OSError:
            return False
        if (found.st_dev, found.st_ino) != self.identity:
            return found.st_size > 0
        return found.st_size < self._told()

    def _told(self) -> int:
        return self.file.tell() if self.seekable else 0


def open_pipe(file: BinaryIO, name: str) -> OpenLog:
    """Return what comes over a pipe that is open already, up to its end."""
    stream = LogStream(file, name, whole=True)
    return OpenLog(stream, file, file, seekable=False, compressed=False, identity=(0, 0))


def open_log(path: Path, *, grows: bool) -> OpenLog:
    """Open a log; one that was compressed by its rotation (gzip) is read as it was.

    :param grows: more may come: a line that isn't complete is left for later.
    :raises LogFileError: when it can't be opened.
    """
    try:
        file = cast("BinaryIO", path.open("rb"))
        found = os.fstat(file.fileno())
        if stat.S_ISDIR(found.st_mode):
            raise IsADirectoryError(21, "is a directory")
    except OSError as error:
        raise _trouble(str(path), error) from None
    seekable = stat.S_ISREG(found.st_mode)
    compressed = seekable and file.read(2) == _GZIP
    if seekable:
        file.seek(0)
    content = cast("BinaryIO", gzip.GzipFile(fileobj=file)) if compressed else file
    stream = LogStream(content, str(path), whole=compressed or not (seekable or grows))
    return OpenLog(stream, file, content, seekable, compressed, (found.st_dev, found.st_ino))


def _digest(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def _trouble(name: str, error: Exception) -> LogFileError:
    why = (error.strerror if isinstance(error, OSError) else None) or "is compressed and damaged"
    return LogFileError(f"{name}: can't be read: {why}")
