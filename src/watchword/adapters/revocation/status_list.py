"""Load snapshots of Google's attestation status list.

The list is served at https://android.googleapis.com/attestation/status as
``{"entries": {serial: {"status", "reason"}}}``.  Its keys are serials in hex, also where all their
digits look decimal: a third of them do, and reading those as decimal forgets a third of the list.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

from watchword.encoding import strict_json
from watchword.ports import RevocationEntry
from watchword.reasons import MalformedError, WatchwordError

MAX_FILE_BYTES: Final = 16 * 1024 * 1024
"""Most bytes of a snapshot; in 2025 one had about 50 kB."""

_SERIAL: Final = re.compile(r"[0-9a-fA-F]{1,64}")


class StatusListError(WatchwordError):
    """Report a file that isn't a status list."""


class StatusList:
    """Know which certificates the vendor withdrew, as of the snapshots that were loaded."""

    def __init__(self, entries: Mapping[str, RevocationEntry]) -> None:
        """Keep the entries under serials in lower-case hex without leading zeros."""
        self._entries = {_normalise(serial): entry for serial, entry in entries.items()}

    def find(self, serial_hex: str) -> RevocationEntry | None:
        """Return the entry for a serial, None if there is none."""
        return self._entries.get(_normalise(serial_hex))

    def __len__(self) -> int:
        """Return how many serials are known."""
        return len(self._entries)


def load_status_lists(paths: Sequence[Path]) -> StatusList:
    """Return what the snapshots say together; of two entries for a serial the later file's holds.

    :raises StatusListError: on a file that isn't a status list; half a list is none.
    :raises OSError: when a file can't be read.
    """
    entries: dict[str, RevocationEntry] = {}
    for path in paths:
        with path.open("rb") as file:
            entries.update(read_status_list(file.read(MAX_FILE_BYTES + 1), str(path)))
    return StatusList(entries)


def read_status_list(data: bytes, name: str) -> Mapping[str, RevocationEntry]:
    """Return the entries of one snapshot by serial in lower-case hex without leading zeros.

    :param name: the file's name, for the error.
    :raises StatusListError: when it isn't a status list.
    """
    try:
        rows = strict_json.loads(data, MAX_FILE_BYTES).get("entries")
    except MalformedError as error:
        raise StatusListError(f"{name}: {error.detail}") from None
    if not isinstance(rows, dict):
        raise StatusListError(f'{name}: expected an object "entries"')
    return dict(_entries(rows.items(), name))


def _entries(
    rows: Iterable[tuple[str, object]], name: str
) -> Iterable[tuple[str, RevocationEntry]]:
    for serial, row in rows:
        if not _SERIAL.fullmatch(serial):
            raise StatusListError(f"{name}: expected serials in hex")
        if not isinstance(row, dict) or not isinstance(row.get("status"), str):
            raise StatusListError(f"{name}: expected a status for serial {serial}")
        yield _normalise(serial), RevocationEntry(row["status"], str(row.get("reason", "")))


def _normalise(serial: str) -> str:
    """Return lower-case hex without leading zeros; the serial zero stays ``0``."""
    return serial.lower().lstrip("0") or "0"
