"""Keep documents in a database that several nodes share, sealed: whoever has the database alone reads nothing of them.

A row is encrypted under a data key of its own, which a master key wraps that lies elsewhere.  Both are bound to the
deployment, to the database, and to the row's purpose, name and version: a row that was changed by hand, moved, or copied
from elsewhere opens nowhere.

**Versions.**  Each write takes the next number, and only in the place of the number that it read.  Each node keeps the newest
row that it has seen in a file of its own, still sealed.  A database that was set back has a lower number, or the same number
with another content: the node refuses it, goes on with what it has in memory, and :meth:`SealedRows.trouble` says so.
:meth:`SealedRows.put_back` writes the node's copy under the number that follows.
"""

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from watchword.adapters.keyring.private_file import (
    PrivateFileError,
    locked_directory,
    private_directory,
    read_private,
    require_format,
    write_private,
)
from watchword.adapters.secret_store import DATA_KEY_BYTES, MasterKey
from watchword.encoding import base64url, length_prefixed, strict_json
from watchword.ports import Entropy
from watchword.reasons import Reason, RefusedError, UnavailableError

MAX_DATA_BYTES: Final = 16 * 1024 * 1024
"""Most bytes of a document."""

TOLD_SECONDS: Final = 5.0
"""How long a rotation waits for gates of other nodes: they follow within a second."""

FORMAT: Final = 1
"""What ``v`` says of a node's copy."""

_MAX_COPY_BYTES: Final = 2 * MAX_DATA_BYTES
_LABEL: Final = b"watchword/sealed-row/v1"
_KEY_LABEL: Final = b"watchword/sealed-row-key/v1"
_NONCE_BYTES: Final = 12
_TRIES: Final = 50
_TOLD_PAUSE: Final = 0.1
_MOST_NAMES: Final = 8
_MAX_VERSION: Final = 2**53
_MEMBERS: Final = {"v", "database", "version", "deployment", "key_id", "wrapped", "sealed"}


class SealedRowError(PrivateFileError):
    """Report a row that can't be trusted or opened, and what to do about it; it stays as it is."""


class RowName(NamedTuple):
    """Name a row: what it is for, and which one of those."""

    purpose: str
    name: str

    def __str__(self) -> str:
        """Return both for messages."""
        return self.purpose if self.name == self.purpose else f"{self.purpose} {self.name}"


KEY_RING: Final = RowName("key-ring", "key-ring")
SECRETS: Final = RowName("secrets", "secrets")
CANARIES: Final = RowName("canaries", "canaries")
CONFIGURATION: Final = RowName("configuration", "configuration")
OPENINGS: Final = RowName("openings", "openings")


@dataclass(frozen=True, slots=True)
class SealedRow:
    """Hold a row as it stands in the table.

    :param version: from 1.
    :param deployment: whose it is; readable, so that a stranger's row can be told from a damaged one.
    :param key_id: of the master key that wrapped its data key.
    """

    at: RowName
    version: int
    deployment: str
    key_id: str
    wrapped: bytes = field(repr=False)
    sealed: bytes = field(repr=False)


class RowTable(Protocol):
    """Keep sealed rows for all nodes; any thread may ask, and each method blocks for a bounded time.

    All raise :class:`watchword.reasons.UnavailableError` with ``store.unavailable`` when no answer comes.
    """

    @property
    def where(self) -> str:
        """Return where the database is, for messages."""

    def look(self) -> tuple[int, Mapping[RowName, tuple[int, int]]]:
        """Return the database's number, and of each row its version and a number that any change of the row changes."""

    def row(self, at: RowName) -> SealedRow | None:
        """Return one row, None where there is none."""

    def put(self, row: SealedRow, before: int | None) -> bool:
        """Write a row, durably, if its version is still as given, None where there was none; tell whether it was."""


@dataclass(frozen=True, slots=True)
class _Held:
    """Hold what was read last of a row."""

    row: SealedRow
    data: bytes = field(repr=False)


class SealedRows:
    """Read and write the rows of one deployment; any thread may ask."""

    def __init__(
        self,
        table: RowTable,
        key: MasterKey,
        copies: Path,
        *,
        deployment: str,
        entropy: Entropy,
    ) -> None:
        """Read all rows.

        :param copies: the directory of this node's copies, made where it is missing.
        :param deployment: the issuer and the environment; rows of others are refused.
        :raises UnavailableError: ``store.unavailable`` when the database doesn't answer.
        """
        self._table = table
        self._key = key
        self._copies = copies
        self._deployment = deployment
        self._entropy = entropy
        self._turn = threading.RLock()
        self._database = 0
        self._seen: Mapping[RowName, tuple[int, int]] = {}
        self._held: dict[RowName, _Held] = {}
        self._faults: dict[RowName, str] = {}
        private_directory(copies)
        self.follow()

    @property
    def where(self) -> str:
        """Return where the database is, for messages."""
        return self._table.where

    def document(self, at: RowName) -> "SealedDocument":
        """Return one row as a document."""
        return SealedDocument(self, at)

    def trouble(self) -> str:
        """Return what is wrong with rows, empty for nothing; a node with trouble must not serve."""
        return "; ".join(self._faults[at] for at in sorted(self._faults))

    def follow(self) -> None:
        """Read the rows that changed; those that can't be trusted leave what was read before in use.

        :raises UnavailableError: ``store.unavailable`` when the database doesn't answer.
        """
        with self._turn:
            database, seen = self._table.look()
            if database != self._database:
                self._database, self._seen = database, {}
            for at in {*seen, *self._copied(), *self._held}:
                if at in self._faults or at not in seen or seen[at] != self._seen.get(at):
                    self._take(at)
            self._seen = seen

    def held(self, at: RowName) -> _Held | None:
        """Return what was read last of a row, None where there is none.

        :raises SealedRowError: when the row can't be trusted now.
        """
        # Without a lock: the event loop may ask while a thread waits for the database.
        if (fault := self._faults.get(at)) is not None:
            raise SealedRowError(fault)
        return self._held.get(at)

    def last(self, at: RowName) -> _Held | None:
        """Return what was read last of a row, also where it can't be trusted any more."""
        return self._held.get(at)

    def put(self, at: RowName, expected: _Held | None, data: bytes) -> bool:
        """Write a row in the place of another one; tell whether that was still there."""
        with self._turn:
            before = None if expected is None else expected.row.version
            row = self._sealed(at, (before or 0) + 1, data)
            if not self._table.put(row, before):
                return False
            self._accept(_Held(row, data))
        return True

    def put_back(self) -> Sequence[tuple[RowName, int]]:
        """Write this node's copy of each row that was set back, is gone or differs, under the number that follows.

        :returns: which, and their new versions.
        :raises SealedRowError: when a copy can't be opened, or a row is of another deployment or master key; it stays.
        """
        with self._turn:
            self._database, seen = self._table.look()
            done = []
            for at in sorted(self._copied()):
                copy, database = self._copy(at)
                present = self._table.row(at)
                data = self._opened(copy, database)
                if present is not None and (
                    (database, present) == (self._database, copy) or self._is_newer(present, copy)
                ):
                    continue
                before = seen[at][0] if at in seen else None
                row = self._sealed(at, max(before or 0, copy.version) + 1, data)
                if not self._table.put(row, before):
                    raise SealedRowError(self._words(at, "another node changes it; try again"))
                self._accept(_Held(row, data))
                done.append((at, row.version))
            return done

    def _is_newer(self, present: SealedRow, copy: SealedRow) -> bool:
        """Tell whether a row is above a copy and can be opened, while the copy can.

        :raises SealedRowError: when it isn't this deployment's, or of a master key that this node doesn't have.
        """
        if present.deployment != self._deployment:
            raise self._stranger(present)
        if not self._key.opens(present.key_id):
            raise SealedRowError(
                self._words(
                    present.at,
                    f"says that the master key {present.key_id!r} sealed it: give this node that one; if it was changed by "
                    "hand, delete the row as the owner of the tables, and run this again",
                )
            )
        try:
            self._opened(present, self._database)
        except (SealedRowError, UnavailableError):
            return False
        return present.version > copy.version

    def rekey(self) -> Sequence[RowName]:
        """Seal each row anew that another master key sealed; return which.

        :raises SealedRowError: when any row can't be trusted; all stay as they are.
        """
        self.follow()
        if trouble := self.trouble():
            raise SealedRowError(trouble)
        changed = []
        for at in sorted(self._held):
            document = self.document(at)
            held = self.held(at)
            if held is not None and held.row.key_id != self._key.key_id:
                document.change(lambda data: data)
                changed.append(at)
        return changed

    def _take(self, at: RowName) -> None:
        """Read one row, and keep what is wrong with it."""
        try:
            held = self._trusted(at)
            if held is not None:
                self._accept(held)
            self._faults.pop(at, None)
        except PrivateFileError as error:
            self._faults[at] = str(error)
        except UnavailableError as error:
            if error.reason is Reason.STORE_UNAVAILABLE:
                raise
            # The master key isn't at hand or is another one, or what it wrapped was changed.
            self._faults[at] = self._words(at, error.detail)

    def _trusted(self, at: RowName) -> _Held | None:
        """Return a row that is this deployment's and no older than what this node has seen."""
        row = self._table.row(at)
        copy, database = self._copy(at) if at in self._copied() else (None, self._database)
        if row is None:
            if copy is None and at not in self._held:
                return None
            raise SealedRowError(self._words(at, f"is gone; {_PUT_BACK}"))
        if row.deployment != self._deployment:
            raise self._stranger(row)
        # A higher version counts from another database too: nobody writes one without the master key.
        if copy is not None and row.version <= copy.version:
            self._require_same(row, copy, database)
        return _Held(row, self._opened(row, self._database))

    def _stranger(self, row: SealedRow) -> SealedRowError:
        return SealedRowError(
            self._words(
                row.at,
                f"belongs to the deployment {row.deployment!r}, expected {self._deployment!r}: two clusters need two databases",
            )
        )

    def _require_same(self, row: SealedRow, copy: SealedRow, database: int) -> None:
        """Refuse a row that isn't above what this node has seen, and isn't that either."""
        if database != self._database:
            why = f"is in another database than the one that {self._file(row.at)} was read from"
        elif row.version < copy.version:
            why = f"is of version {row.version}, and this node has seen {copy.version}: the database was set back"
        elif row != copy:
            why = f"has another content than this node has seen of version {row.version}"
        else:
            return
        raise SealedRowError(self._words(row.at, f"{why}; {_PUT_BACK}"))

    def _accept(self, held: _Held) -> None:
        """Keep a row in memory and on this node's disk."""
        at = held.row.at
        if at not in self._held or self._held[at].row != held.row:
            self._write_copy(held.row)
        self._held[at] = held
        self._faults.pop(at, None)

    def _sealed(self, at: RowName, version: int, data: bytes) -> SealedRow:
        if len(data) > MAX_DATA_BYTES:
            raise SealedRowError(
                self._words(at, f"would get {len(data)} bytes, expected at most {MAX_DATA_BYTES}")
            )
        key, nonce = (self._entropy.token_bytes(each) for each in (DATA_KEY_BYTES, _NONCE_BYTES))
        wrapped = self._key.wrap_here(key, self._context(_KEY_LABEL, at, version, self._database))
        context = self._context(_LABEL, at, version, self._database)
        return SealedRow(
            at,
            version,
            self._deployment,
            self._key.key_id,
            wrapped,
            nonce + AESGCM(key).encrypt(nonce, data, context),
        )

    def _opened(self, row: SealedRow, database: int) -> bytes:
        context = self._context(_KEY_LABEL, row.at, row.version, database)
        try:
            key = self._key.unwrap_here(row.wrapped, context, row.key_id)
            nonce, sealed = row.sealed[:_NONCE_BYTES], row.sealed[_NONCE_BYTES:]
            context = self._context(_LABEL, row.at, row.version, database)
            return AESGCM(key).decrypt(nonce, sealed, context)
        except UnavailableError as error:
            if not self._key.opens(row.key_id):
                raise
            # OpenBao doesn't say which of both it is, apart from the words.
            detail = f"{error.detail}; if somebody changed the row, {_PUT_BACK}"
            raise UnavailableError(error.reason, detail) from None
        except (InvalidTag, ValueError):
            raise SealedRowError(
                self._words(
                    row.at,
                    f"was changed by hand, or moved there from elsewhere; {_PUT_BACK}",
                )
            ) from None

    def _context(self, label: bytes, at: RowName, version: int, database: int) -> bytes:
        return length_prefixed.join(
            label,
            self._deployment.encode(),
            str(database).encode(),
            at.purpose.encode(),
            at.name.encode(),
            str(version).encode(),
        )

    def _words(self, at: RowName, what: str) -> str:
        return f"{self.where}: the sealed row {at}: {what}"

    def _file(self, at: RowName) -> Path:
        return self._copies / f"{at.purpose}.{at.name}.json"

    def _copied(self) -> Iterator[RowName]:
        """Yield the rows of which this node has a copy."""
        for file in self._copies.glob("[!.]*.json"):
            purpose, _, name = file.name.removesuffix(".json").partition(".")
            if name:
                yield RowName(purpose, name)

    def _copy(self, at: RowName) -> tuple[SealedRow, int]:
        """Return this node's copy of a row, and the number of the database that it was read from.

        :raises PrivateFileError: when the file can't be trusted.
        """
        path = self._file(at)
        data = read_private(path, _MAX_COPY_BYTES)
        if data is None:
            raise SealedRowError(f"{path}: is gone")
        try:
            return read_copy(at, data, str(path))
        except (RefusedError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise SealedRowError(
                f"{path}: is damaged ({type(error).__name__}); restore it from a backup, or, where the database is known to "
                "be whole, remove it"
            ) from None

    def _write_copy(self, row: SealedRow) -> None:
        with locked_directory(self._copies):
            path = self._file(row.at)
            if path.exists():
                copy, database = self._copy(row.at)
                if database == self._database and copy.version > row.version:
                    # Another process of this node has seen more.
                    return
            write_private(path, write_copy(row, self._database))


_PUT_BACK: Final = "run `watchword store put-back` on the node that has seen the highest version, and see its page first"


def write_copy(row: SealedRow, database: int) -> bytes:
    """Return a node's copy of a row.

    :param database: the number of the database that it was read from.
    """
    return strict_json.dumps(
        {
            "v": FORMAT,
            "database": database,
            "version": row.version,
            "deployment": row.deployment,
            "key_id": row.key_id,
            "wrapped": base64url.encode(row.wrapped),
            "sealed": base64url.encode(row.sealed),
        }
    )


def read_copy(at: RowName, data: bytes, where: str) -> tuple[SealedRow, int]:
    """Return the row and the database's number that :func:`write_copy` was given.

    :param where: it was read, for the error's text.
    :raises OtherFormatError: when another Watchword wrote it.
    :raises RefusedError, ValueError, KeyError, TypeError, AttributeError: when it isn't as it was written.
    """
    members: Mapping[str, Any] = strict_json.loads(data, _MAX_COPY_BYTES)
    require_format(where, members["v"], FORMAT)
    version, database = members["version"], members["database"]
    if members.keys() != _MEMBERS:
        raise ValueError("other members than expected")
    if type(version) is not int or not 0 < version < _MAX_VERSION or type(database) is not int:
        raise ValueError("expected whole numbers")
    texts = [members["deployment"], members["key_id"]]
    if not all(isinstance(each, str) for each in texts):
        raise TypeError("expected texts")
    wrapped, sealed = (
        base64url.decode(members[each], _MAX_COPY_BYTES) for each in ("wrapped", "sealed")
    )
    deployment, key_id = texts
    return SealedRow(at, version, deployment, key_id, wrapped, sealed), database


class ToldEverywhere:
    """Hold up a rotation until the gates of every node know what is about to sign."""

    def __init__(
        self,
        behind: Callable[[int], Sequence[str]],
        *,
        seconds: float = TOLD_SECONDS,
        monotonic: Callable[[], float] = time.monotonic,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        """Keep whom to ask.

        :param behind: returns the names of the living nodes whose gates haven't been told of a version of the key ring.
        :param seconds: how long to wait for them.
        """
        self._behind = behind
        self._seconds = seconds
        self._monotonic = monotonic
        self._pause = pause

    def __call__(self, version: int) -> None:
        """Return once all know a version of the key ring.

        :raises UnavailableError: ``store.unavailable`` with the names of those that still don't.
        """
        end = self._monotonic() + self._seconds
        while names := self._behind(version):
            if self._monotonic() >= end:
                raise UnavailableError(
                    Reason.STORE_UNAVAILABLE,
                    f"gates of {', '.join(sorted(names)[:_MOST_NAMES])} don't know the prepared key yet, and would refuse what "
                    "it signs; nothing was changed: see `watchword nodes`, and try again",
                )
            self._pause(_TOLD_PAUSE)


class SealedDocument:
    """Implement :class:`watchword.adapters.documents.KeptDocument` with one row."""

    def __init__(self, rows: SealedRows, at: RowName) -> None:
        """Keep which."""
        self._rows = rows
        self._at = at

    @property
    def where(self) -> str:
        """See :attr:`watchword.adapters.documents.KeptDocument.where`."""
        return f"{self._rows.where}: the sealed row {self._at}"

    @property
    def home(self) -> str:
        """See :attr:`watchword.adapters.documents.KeptDocument.home`."""
        return self._rows.where

    @property
    def version(self) -> int:
        """See :attr:`watchword.adapters.documents.KeptDocument.version`."""
        held = self._rows.last(self._at)
        return 0 if held is None else held.row.version

    def follow(self) -> None:
        """See :meth:`watchword.adapters.documents.KeptDocument.follow`: of all rows."""
        self._rows.follow()
        self._rows.held(self._at)

    def stamp(self) -> int | None:
        """See :meth:`watchword.adapters.documents.KeptDocument.stamp`: as of the last look."""
        return self.version or None

    def read(self) -> bytes | None:
        """See :meth:`watchword.adapters.documents.KeptDocument.read`: as of the last look."""
        held = self._rows.held(self._at)
        return None if held is None else held.data

    def change(self, work: Callable[[bytes | None], bytes | None]) -> None:
        """See :meth:`watchword.adapters.documents.KeptDocument.change`: begun anew where another node was quicker."""
        for _ in range(_TRIES):
            self._rows.follow()
            held = self._rows.held(self._at)
            data = work(None if held is None else held.data)
            if data is None or self._rows.put(self._at, held, data):
                return
        raise self._contended()

    def replace(self, expected: bytes | None, data: bytes) -> bool:
        """See :meth:`watchword.adapters.documents.KeptDocument.replace`."""
        self._rows.follow()
        held = self._rows.held(self._at)
        if (None if held is None else held.data) != expected:
            return False
        return self._rows.put(self._at, held, data)

    def _contended(self) -> UnavailableError:
        return UnavailableError(
            Reason.STORE_UNAVAILABLE,
            f"{self.where}: others write it all the time; nothing was changed",
        )
