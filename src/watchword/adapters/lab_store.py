"""Keep the lab's files in ``lab/`` of the state directory, mode 0600: the seed of its authorities, its phones, its status list.

The seed is as secret as the simulated vendors' private keys: whoever has it passes every gate
of this lab (and of no other deployment).  The status list is a snapshot like Google's: a service reads it as it
reads theirs, and again whenever it changed.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from watchword.adapters.keyring.private_file import (
    locked_directory,
    private_directory,
    read_private,
    require_format,
    write_private,
)
from watchword.encoding import strict_json
from watchword.lab import LabAuthorities
from watchword.lab.status_list import LabStatusList, Status
from watchword.ports import Entropy
from watchword.reasons import MalformedError, WatchwordError

SEED_BYTES: Final = 32

_MAX_PHONE_BYTES: Final = 64 * 1024
_PHONE_VERSION: Final = 1
_SLOT_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,200}")


class LabStoreError(WatchwordError):
    """Report a file of the lab that can't be used, and what to do about it."""


def load_or_create(state_dir: Path, entropy: Entropy) -> LabAuthorities:
    """Return the authorities of this deployment's lab; the first call makes them.

    Of several processes that come first at once, one makes the seed and all get the same.

    :raises WatchwordError: when the seed can't be read, written or trusted.
    """
    directory = lab_directory(state_dir)
    path = directory / "seed"
    with locked_directory(directory):
        seed = read_private(path)
        if seed is None:
            seed = entropy.token_bytes(SEED_BYTES)
            write_private(path, seed)
    if len(seed) != SEED_BYTES:
        raise LabStoreError(
            f"{path}: got {len(seed)} bytes, expected {SEED_BYTES}; remove it and a new lab is made"
        )
    return LabAuthorities.from_seed(seed)


@dataclass(frozen=True, slots=True)
class StoredPhone:
    """Hold what brings a phone back as it was; see :class:`watchword.lab.PhoneSetup`.

    :param session: the client's exported session, None if it isn't enrolled.
    """

    name: str
    generation: int
    counter: int
    session: Mapping[str, Any] | None = field(default=None, repr=False)


class PhoneSlot:
    """Keep one phone; only :func:`occupied_slot` makes it."""

    def __init__(self, path: Path) -> None:
        """Keep it in ``path``."""
        self._path = path

    def load(self) -> StoredPhone | None:
        """Return the phone that was kept here, None if there is none.

        :raises WatchwordError: when the file can't be used.
        """
        data = read_private(self._path)
        if data is None:
            return None
        try:
            document = strict_json.loads(data, _MAX_PHONE_BYTES)
            # Version 0.2.0 wrote no number.
            require_format(self._path, document.get("v", _PHONE_VERSION), _PHONE_VERSION)
            session = document["session"]
            return StoredPhone(
                name=str(document["name"]),
                generation=int(document["generation"]),
                counter=int(document["counter"]),
                session=session if isinstance(session, dict) else None,
            )
        except (MalformedError, KeyError, TypeError, ValueError):
            raise LabStoreError(
                f"{self._path}: isn't a phone of the lab; remove it and a new phone is made"
            ) from None

    def save(self, phone: StoredPhone) -> None:
        """Keep this phone instead of the one before.

        :raises WatchwordError: when the disk refuses.
        """
        write_private(
            self._path,
            strict_json.dumps(
                {
                    "name": phone.name,
                    "generation": phone.generation,
                    "counter": phone.counter,
                    "session": phone.session,
                }
            ),
        )


def kept_phones(state_dir: Path, kind: str) -> tuple[StoredPhone, ...]:
    """Return the phones of a kind that are kept, of whatever app and API.

    :raises WatchwordError: when one can't be read.
    """
    phones = lab_directory(state_dir) / "phones"
    found = (PhoneSlot(path).load() for path in sorted(phones.glob(f"{kind}.*/phone.json")))
    return tuple(phone for phone in found if phone is not None)


@contextmanager
def occupied_slot(state_dir: Path, slot: str) -> Iterator[PhoneSlot]:
    """Hold one phone for one process at a time: two would make its counter go back.

    :param slot: letters, digits, dots, dashes and underscores.
    :raises ValueError: on any other name, which could lead out of the directory.
    """
    if not _SLOT_NAME.fullmatch(slot):
        raise ValueError(f"got slot {slot!r}, expected letters, digits, dots and dashes")
    phones = lab_directory(state_dir) / "phones"
    private_directory(phones)
    directory = phones / slot
    with locked_directory(directory):
        yield PhoneSlot(directory / "phone.json")


def lab_directory(state_dir: Path) -> Path:
    """Return the lab's directory; it and the one above it are private."""
    directory = state_dir / "lab"
    private_directory(state_dir)
    private_directory(directory)
    return directory


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
