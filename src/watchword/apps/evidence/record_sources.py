"""Find the records that a person means: a file, a pipe, or a directory with a file for each day."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from watchword.adapters.records import record_files
from watchword.apps.evidence.claims_document import ClaimsDocumentError
from watchword.apps.evidence.files import EvidenceFileError
from watchword.apps.evidence.records import (
    MAX_RECORD_BYTES,
    VerificationRecord,
    record_from_line,
)

STDIN: Final = "-"


@dataclass(frozen=True, slots=True)
class FoundRecord:
    """Hold one line of records and where it stands.

    :param record: None where the line isn't a record; ``why`` says why then.
    """

    file: str
    line: int
    record: VerificationRecord | None
    why: str = ""

    @property
    def place(self) -> str:
        """Return file and line as editors understand them."""
        return f"{self.file}:{self.line}"


def find_records(where: str) -> Iterator[FoundRecord]:
    """Yield each record of a file, of standard input (``-``) or of every day's file in a directory.

    Reads on after a line that can't be read: a process that was killed leaves half a line, and other
    processes go on behind it.

    :raises EvidenceFileError: when a directory holds no file of records.
    :raises OSError: when a file can't be read.
    """
    if where == STDIN:
        yield from _read(sys.stdin.buffer, "standard input")
        return
    path = Path(where)
    files = [path]
    if path.is_dir():
        files = list(record_files(path))
        if not files:
            raise EvidenceFileError(f"{path}: got no file of records, expected YYYY-MM-DD.jsonl")
    for file in files:
        with file.open("rb") as stream:
            yield from _read(stream, str(file))


def _read(stream: BinaryIO, name: str) -> Iterator[FoundRecord]:
    for number, line in enumerate(_lines(stream), start=1):
        if not line.strip():
            continue
        try:
            yield FoundRecord(name, number, record_from_line(line))
        except ClaimsDocumentError as error:
            yield FoundRecord(name, number, None, str(error))


def _lines(stream: BinaryIO) -> Iterator[bytes]:
    """Yield lines; of one that is too long no more than shows that it is."""
    while line := stream.readline(MAX_RECORD_BYTES + 1):
        yield line
        while line and not line.endswith(b"\n"):
            line = stream.readline(MAX_RECORD_BYTES)
