"""Say where a key ring of a test is: in a file, or in a row that several nodes share."""

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Protocol

from tests.unit.enrolment.simulators import SeededEntropy

from watchword.adapters.documents import FileDocument, KeptDocument
from watchword.adapters.keyring.file import KeyRing
from watchword.adapters.keyring.private_file import write_private
from watchword.adapters.sealed_rows import KEY_RING, RowName, RowTable, SealedRow, SealedRows
from watchword.adapters.secret_store import LocalMasterKey, MasterKey
from watchword.adapters.system import SystemEntropy
from watchword.reasons import Reason, UnavailableError
from watchword.vocabulary import Environment

GRACE: Final = 330.0
START: Final = 1_700_000_000.0
DEPLOYMENT: Final = "https://attest.clinic.example (prod)"
ENTROPY: Final = SystemEntropy()
MASTER: Final = LocalMasterKey(b"m" * 32, ENTROPY)


def ring_in(document: KeptDocument, seed: bytes = b"ring") -> KeyRing:
    """Open a key ring of production."""
    return KeyRing(
        document,
        environment=Environment.PROD,
        grace=GRACE,
        now=START,
        entropy=SeededEntropy(seed),
    )


class Place(Protocol):
    """Hold one key ring."""

    def open(self, seed: bytes = b"ring") -> KeyRing:
        """Open it as another process does."""

    def exists(self) -> bool:
        """Tell whether it is there."""

    def read(self) -> bytes:
        """Return it as who may read it does."""

    def write(self, data: bytes) -> None:
        """Replace it as who may write it does."""

    def remove(self) -> None:
        """Take it away from under everybody."""


class FilePlace:
    """Implement Place with a file."""

    def __init__(self, path: Path) -> None:
        """Keep the path, whose directory may be missing."""
        self._path = path

    def open(self, seed: bytes = b"ring") -> KeyRing:
        """See Place."""
        return ring_in(FileDocument(self._path), seed)

    def exists(self) -> bool:
        """See Place."""
        return self._path.exists()

    def read(self) -> bytes:
        """See Place."""
        return self._path.read_bytes()

    def write(self, data: bytes) -> None:
        """See Place."""
        write_private(self._path, data)

    def remove(self) -> None:
        """See Place."""
        self._path.unlink()


class MemoryRowTable:
    """Implement RowTable as PostgreSQL does, in memory; who tampers writes into ``rows`` and raises ``changes``.

    :ivar identity: of the database.
    :ivar away: whether it doesn't answer.
    """

    def __init__(self) -> None:
        """Begin empty."""
        self.identity = 7
        self.away = False
        self.rows: dict[RowName, SealedRow] = {}
        self.changes: dict[RowName, int] = {}
        self._count = itertools.count(1)

    @property
    def where(self) -> str:
        """See RowTable."""
        return "PostgreSQL at simulated:5432/watchword"

    def look(self) -> tuple[int, Mapping[RowName, tuple[int, int]]]:
        """See RowTable."""
        self._require_present()
        return self.identity, {at: (row.version, self.changes[at]) for at, row in self.rows.items()}

    def row(self, at: RowName) -> SealedRow | None:
        """See RowTable."""
        self._require_present()
        return self.rows.get(at)

    def put(self, row: SealedRow, before: int | None) -> bool:
        """See RowTable."""
        self._require_present()
        there = self.rows.get(row.at)
        if (None if there is None else there.version) != before:
            return False
        self.tamper(row)
        return True

    def tamper(self, row: SealedRow) -> None:
        """Write a row by hand."""
        self.rows[row.at] = row
        self.changes[row.at] = next(self._count)

    def drop(self, at: RowName) -> None:
        """Delete a row by hand."""
        del self.rows[at]

    def _require_present(self) -> None:
        if self.away:
            raise UnavailableError(Reason.STORE_UNAVAILABLE, "simulated: away")


def rows_of(
    table: RowTable,
    copies: Path,
    key: MasterKey = MASTER,
    deployment: str = DEPLOYMENT,
) -> SealedRows:
    """Open the rows as a node does.

    :param copies: the node's directory.
    """
    return SealedRows(table, key, copies, deployment=deployment, entropy=ENTROPY)


class RowPlace:
    """Implement Place with a row; each process is another node."""

    def __init__(self, table: RowTable, directory: Path) -> None:
        """Keep where nodes keep their copies."""
        self.table = table
        self._directory = directory
        self._nodes = itertools.count()

    def open(self, seed: bytes = b"ring") -> KeyRing:
        """See Place."""
        return ring_in(self._document(), seed)

    def exists(self) -> bool:
        """See Place."""
        return self.table.row(KEY_RING) is not None

    def read(self) -> bytes:
        """See Place."""
        data = self._document().read()
        assert data is not None
        return data

    def write(self, data: bytes) -> None:
        """See Place: with the key, as another program of ours would."""
        self._document().change(lambda _: data)

    def remove(self) -> None:
        """See Place."""
        self.drop()

    def drop(self) -> None:
        """Delete the row by hand."""
        assert isinstance(self.table, MemoryRowTable)
        self.table.drop(KEY_RING)

    def _document(self) -> KeptDocument:
        copies = self._directory / f"node-{next(self._nodes)}"
        return rows_of(self.table, copies).document(KEY_RING)
