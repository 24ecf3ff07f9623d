"""Carry what an engine's log tells over to where refusals are explained from.

Cut a log into lines, from where it was read last: in bounded memory, whatever the log holds.
"""

import gzip
import hashlib
import os
import stat
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, Final, cast

from watchword.adapters.engine_refusals import EngineRefusal, EngineRefusals, Position
from watchword.apps.engines.logs.formats import ENGINE_LOGS, NOTICES, LogLineError, claim, engine_of
from watchword.encoding import strict_json
from watchword.reasons import MalformedError, WatchwordError

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


MAX_LINES: Final = 2_000_000
"""Most lines of one run over one log; the next run goes on behind them."""

BATCH: Final = 500
"""Lines that become durable together."""


@dataclass(slots=True)
class Tally:
    """Count what became of the lines of one log.

    :param added: refusals that weren't known.
    :param known: refusals that were there already.
    :param passed: lines that tell no refusal: the API's own answers, and what passed.
    :param bad: lines that aren't this engine's.
    :param rest: there is more, for the next run.
    """

    file: str
    engine: str = ""
    lines: int = 0
    added: int = 0
    known: int = 0
    passed: int = 0
    bad: int = 0
    rest: bool = False


@dataclass(frozen=True, slots=True)
class BadLine:
    """Say what is wrong with a line; its content isn't quoted, since anybody may have written it."""

    file: str
    line: int
    fault: str


class Ingestion:
    """Read one log, again and again where it grows."""

    def __init__(
        self,
        kept: EngineRefusals,
        path: Path,
        engine: str | None,
        notify: Callable[[BadLine], None],
        *,
        grows: bool = False,
        pipe: BinaryIO | None = None,
    ) -> None:
        """Keep what to read; no file is opened yet.

        :param engine: whose log it is; None finds it out by the first line that shows it.
        :param notify: is told of each line that isn't this engine's.
        :param grows: the log is followed: a line that isn't complete is waited for, and a new log under the
            same name is read when the engine or its rotation began one.
        :param pipe: is read in the place of the path, which only names it.
        """
        self.tally = Tally(str(path), engine or "")
        self._kept = kept
        self._path = path
        self._notify = notify
        self._grows = grows
        self._open: OpenLog | None = None if pipe is None else open_pipe(pipe, str(path))
        self._is_injected = pipe is not None
        self._head: bytes | None = None
        self._seen: dict[str, Position] = {}
        self._last: datetime | None = None

    @property
    def waits(self) -> bool:
        """Tell whether reading may last until somebody writes: at a pipe, from its opening on."""
        return self._open is None or not self._open.seekable

    def close(self) -> None:
        """Close the log; what was read is kept."""
        if self._open is not None and not self._is_injected:
            self._open.close()
            self._open = None

    def read(self, most: int = MAX_LINES) -> None:
        """Read what is new.

        :param most: lines after which to leave the rest for a later call.
        :raises LogFileError: when the log can't be read.
        :raises LogLineError: when its lines don't show which engine wrote it.
        :raises WatchwordError: when nothing can be kept; what was kept before stays.
        """
        before = self.tally.lines
        self._read_on(before + most)
        while (
            self._grows
            and self._open is not None
            and not self.tally.rest
            and self._open.seekable
            and self._open.was_replaced(self._path)
        ):
            # What the engine wrote between the last look and its turn to the new file.
            self._read_on(before + most)
            self.close()
            self._read_on(before + most)

    def _read_on(self, until: int) -> None:
        if self._open is None:
            self._open, self._head = open_log(self._path, grows=self._grows), None
        log = self._open
        if log.seekable and self._head is None and not self._begin(log):
            return
        lines = log.stream.lines()
        while batch := self._batch(lines, until):
            self._keep(log, batch)
        self.tally.rest = self.tally.lines >= until

    def _begin(self, log: OpenLog) -> bool:
        """Find where a file was read last; tell whether there is a first line to know it by."""
        self._head = log.stream.head()
        if self._head is None:
            return False
        engines = (self.tally.engine,) if self.tally.engine else tuple(ENGINE_LOGS)
        self._seen = {engine: self._kept.position(engine, self._head) for engine in engines}
        for engine, position in self._seen.items():
            if position.offset and log.stream.resume(position):
                self.tally.engine = engine
                break
        return True

    def _batch(self, lines: Iterator[Line], until: int) -> list[Line]:
        batch: list[Line] = []
        # What comes over a pipe now and then isn't held back for others to come.
        most = 1 if self._grows and self._head is None else BATCH
        while len(batch) < most and self.tally.lines < until:
            line = next(lines, None)
            if line is None:
                break
            batch.append(line)
            self.tally.lines += 1
        return batch

    def _keep(self, log: OpenLog, batch: list[Line]) -> None:
        found, claims = [], []
        for line in batch:
            try:
                refusal, claimed = self._refusal(line)
            except WatchwordError as error:
                self.tally.bad += 1
                self._notify(BadLine(self.tally.file, line.number, _fault(error)))
                continue
            if claimed is not None:
                # The same line may tell a refusal too, which has its name.
                name = hashlib.sha256(b"claimed" + self._name_of(line, claimed)).digest()
                claims.append((name, claimed))
            if refusal is None:
                self.tally.passed += 1
            else:
                found.append((self._name_of(line, refusal), refusal))
        if not self.tally.engine:
            # Not one line so far shows whose log it is, and what isn't read mustn't count as read.
            raise LogLineError(
                f"{self.tally.file}: no line shows which engine wrote it: say --engine"
            )
        after = None if self._head is None else log.stream.position(self._head)
        before = None if after is None else self._seen[self.tally.engine]
        added = self._kept.add(self.tally.engine, found, before, after, claims)
        if after is not None:
            self._seen[self.tally.engine] = after
        self.tally.added += added
        self.tally.known += len(found) - added

    def _name_of(self, line: Line, refusal: EngineRefusal) -> bytes:
        """Return by what a line is told from others: what it says, and without a ref of its own where it stands."""
        assert line.content is not None  # What is too long was refused.
        place = b"" if refusal.ref or self._head is None else b"%b%d" % (self._head, line.number)
        return hashlib.sha256(place + line.content).digest()

    def _refusal(self, line: Line) -> tuple[EngineRefusal | None, EngineRefusal | None]:
        """Return the refusal that a line tells, and what an app claimed in it."""
        if line.content is None:
            raise LogLineError(f"got a longer line than {MAX_LINE_BYTES} bytes")
        if line.content.startswith(NOTICES.get(self.tally.engine, ())):
            return None, None
        members = strict_json.loads(line.content, MAX_LINE_BYTES)
        if not self.tally.engine:
            self.tally.engine = engine_of(members)
        if members.get("time") == "" and self._last is not None:
            # HAProxy has no time for a request that it couldn't read: it came about when the one before did.
            members["time"] = self._last.isoformat()
        refusal = ENGINE_LOGS[self.tally.engine](members)
        self._last = self._last if refusal is None else refusal.at
        return refusal, claim(members) if "claimed" in members else None


def ingest(
    kept: EngineRefusals,
    path: Path,
    engine: str | None,
    notify: Callable[[BadLine], None],
    most: int = MAX_LINES,
) -> Tally:
    """Read a log to its end, and return what became of it; raises as :meth:`Ingestion.read` does."""
    ingestion = Ingestion(kept, path, engine, notify)
    with closing(ingestion):
        ingestion.read(most)
    return ingestion.tally


def _fault(error: WatchwordError) -> str:
    if isinstance(error, MalformedError):
        return error.refusals[0].detail
    return str(error)
