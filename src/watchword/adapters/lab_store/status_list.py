"""Keep the simulated Google's status list in the lab's directory, where a service looks at it.

A snapshot like Google's: a service reads it as it reads theirs, and again whenever it changed.
"""

from pathlib import Path
from typing import Final

from watchword.adapters.keyring.private_file import (
    locked_directory,
    private_directory,
    read_private,
    write_private,
)
from watchword.adapters.lab_store.directory import LabStoreError, lab_directory
from watchword.encoding import strict_json
from watchword.lab import LabAuthorities
from watchword.lab.status_list import LabStatusList, Status
from watchword.reasons import MalformedError

MAX_LIST_BYTES: Final = 2 * 1024 * 1024
"""Most bytes of the list; 10,000 entries have about 1 MB."""


def status_list_file(state_dir: Path) -> Path:
    """Return where the list stands; :func:`load_status_list` makes it."""
    return state_dir / "lab" / "status" / "status.json"


def load_status_list(state_dir: Path, authorities: LabAuthorities) -> LabStatusList:
    """Return the list; the first call writes the one that a lab starts with.

    :raises WatchwordError: when it can't be read, written or trusted.
    """
    with locked_directory(_directory(state_dir)):
        return _load(state_dir, authorities)


def change_status(
    state_dir: Path, authorities: LabAuthorities, serial: str, status: Status | None
) -> LabStatusList:
    """Set the status of one certificate, None restores it, and return the whole list.

    The file is replaced as a whole, so that a service never reads half of it.

    :raises ValueError: on a serial that isn't hex.
    :raises WatchwordError: when the list can't be read, written or trusted.
    """
    with locked_directory(_directory(state_dir)):
        changed = _load(state_dir, authorities).with_status(serial, status)
        _save(state_dir, changed)
    return changed


def _directory(state_dir: Path) -> Path:
    lab_directory(state_dir)
    directory = status_list_file(state_dir).parent
    private_directory(directory)
    return directory


def _load(state_dir: Path, authorities: LabAuthorities) -> LabStatusList:
    path = status_list_file(state_dir)
    data = read_private(path, MAX_LIST_BYTES)
    if data is None:
        first = LabStatusList.first_of(authorities)
        _save(state_dir, first)
        return first
    try:
        return LabStatusList.of_document(strict_json.loads(data, MAX_LIST_BYTES))
    except (MalformedError, ValueError):
        raise LabStoreError(
            f"{path}: isn't a status list of the lab; remove it and a new one is made"
        ) from None


def _save(state_dir: Path, status_list: LabStatusList) -> None:
    write_private(status_list_file(state_dir), strict_json.dumps(status_list.document()))
