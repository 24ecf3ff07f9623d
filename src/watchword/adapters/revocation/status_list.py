"""Read Google's attestation status list, from snapshots or off the network.

The list is served at https://android.googleapis.com/attestation/status as
``{"entries": {serial: {"status", "reason"}}}``.  Its keys are serials in hex, also where all their
digits look decimal: a third of them do, and reading those as decimal forgets a third of the list.
"""

import hashlib
import json
import os
import re
import stat
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from watchword.encoding import strict_json
from watchword.ports import RevocationEntry
from watchword.reasons import ExitCode, MalformedError, WatchwordError
from watchword.vocabulary import Withdrawal

MAX_FILE_BYTES: Final = 8 * 1024 * 1024
"""Most bytes of a list; in 2025 one had about 50 kB."""

_SERIAL: Final = re.compile(r"[0-9a-fA-F]{1,64}")


class StatusListError(WatchwordError):
    """Report a file that isn't a status list."""

    exit_code = ExitCode.USAGE


class StatusList:
    """Know which certificates the vendor withdrew, as of the snapshots that were loaded."""

    def __init__(self, entries: Mapping[str, RevocationEntry]) -> None:
        """Keep the entries under serials in lower-case hex without leading zeros."""
        self._entries = {_normalise(serial): entry for serial, entry in entries.items()}
        self._digest = _digest(self._entries)

    @property
    def digest(self) -> str:
        """Return SHA-256 in hex over the entries in order."""
        return self._digest

    def is_known(self, now: datetime) -> bool:  # noqa: ARG002 - the port asks for a time.
        """Return True: whoever loads a snapshot decides on its age."""
        return True

    def find(self, serial_hex: str) -> RevocationEntry | None:
        """Return the entry for a serial, None if there is none."""
        return self._entries.get(_normalise(serial_hex))

    @property
    def entries(self) -> Mapping[str, RevocationEntry]:
        """Return all entries by serial."""
        return self._entries

    def revoked(self) -> Sequence[str]:
        """Return the serials whose status is REVOKED."""
        return revoked_in(self._entries)

    def __len__(self) -> int:
        """Return how many serials are known."""
        return len(self._entries)


def revoked_in(entries: Mapping[str, RevocationEntry]) -> Sequence[str]:
    """Return the serials whose status is REVOKED."""
    return [serial for serial, entry in entries.items() if entry.status == Withdrawal.REVOKED]


def load_status_lists(paths: Sequence[Path]) -> StatusList:
    """Return what the snapshots say together; of two entries for a serial the later file's holds.

    :raises StatusListError: on a file that isn't a status list; half a list is none.
    :raises OSError: when a file can't be read.
    """
    entries: dict[str, RevocationEntry] = {}
    for path in paths:
        entries.update(read_status_list(read_file(path)[0], str(path)))
    return StatusList(entries)


def read_file(path: Path) -> tuple[bytes, os.stat_result]:
    """Return what a file holds, one byte more than a list may have at most, and what the system says of it.

    :raises StatusListError: for anything but a regular file; a pipe would be waited for until somebody writes to it.
    :raises OSError: when it can't be read.
    """
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode):
            raise StatusListError(f"{path}: expected a regular file")
        with os.fdopen(handle, "rb", closefd=False) as file:
            return file.read(MAX_FILE_BYTES + 1), found
    finally:
        os.close(handle)


def read_status_list(data: bytes, name: str) -> Mapping[str, RevocationEntry]:
    """Return the entries of one snapshot by serial in lower-case hex without leading zeros.

    :param name: the file's name, for the error.
    :raises StatusListError: when it isn't a status list.
    """
    try:
        document = strict_json.loads(data, MAX_FILE_BYTES)
    except MalformedError as error:
        raise StatusListError(f"{name}: {error.detail}") from None
    return entries_of(document, name)


def entries_of(document: Mapping[str, Any], name: str) -> Mapping[str, RevocationEntry]:
    """Return the entries of a document that was read, as :func:`read_status_list` does."""
    rows = document.get("entries")
    if not isinstance(rows, dict):
        raise StatusListError(f'{name}: expected an object "entries"')
    entries: dict[str, RevocationEntry] = {}
    for serial, entry in _entries(rows.items(), name):
        # A serial that stands there in two spellings is withdrawn if one of them says so.
        if serial not in entries or entries[serial].status != Withdrawal.REVOKED:
            entries[serial] = entry
    return entries


def stricter(
    one: Mapping[str, RevocationEntry], other: Mapping[str, RevocationEntry]
) -> dict[str, RevocationEntry]:
    """Return the entries of both; for a serial in both, the one that revokes, else the other's."""
    merged = {**one, **other}
    for serial in one.keys() & other.keys():
        if one[serial].status == Withdrawal.REVOKED:
            merged[serial] = one[serial]
    return merged


def _entries(
    rows: Iterable[tuple[str, object]], name: str
) -> Iterable[tuple[str, RevocationEntry]]:
    for serial, row in rows:
        if not _SERIAL.fullmatch(serial):
            raise StatusListError(f"{name}: expected serials in hex")
        if not isinstance(row, dict) or not isinstance(row.get("status"), str):
            raise StatusListError(f"{name}: expected a status for serial {serial}")
        yield _normalise(serial), RevocationEntry(row["status"], str(row.get("reason", "")))


def _digest(entries: Mapping[str, RevocationEntry]) -> str:
    rows = sorted((serial, entry.status, entry.reason) for serial, entry in entries.items())
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()


def _normalise(serial: str) -> str:
    """Return lower-case hex without leading zeros; the serial zero stays ``0``."""
    return serial.lower().lstrip("0") or "0"
