"""Keep the last good list on the disk, so that a start without network knows it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from watchword.adapters.keyring.private_file import PrivateFileError, read_private, write_private
from watchword.adapters.revocation.status_list import (
    MAX_FILE_BYTES,
    StatusListError,
    entries_of,
    revoked_in,
)
from watchword.encoding import strict_json
from watchword.ports import RevocationEntry
from watchword.reasons import MalformedError

MAX_SAVED_BYTES: Final = 2 * MAX_FILE_BYTES
"""Most bytes of the file: a list is written with a reason for each entry, also an empty one."""

_VERSION: Final = 1
_MAX_ETAG: Final = 500


@dataclass(frozen=True, slots=True)
class SavedList:
    """Hold a list as it was fetched.

    :param url: where from; another vendor's list is another one.
    :param fetched_at: when its server last said that this is the list.
    :param etag: the server's name of this version, empty without one.
    :param whole: the serials that the last list that was taken whole revoked, where ``entries`` are more than that
        list: those of a later one, which had lost most of them, stand beside them.
    """

    url: str
    fetched_at: datetime
    etag: str
    entries: Mapping[str, RevocationEntry]
    whole: tuple[str, ...] | None = None

    @property
    def revoked(self) -> Sequence[str]:
        """Return the serials of which a new list must revoke at least half."""
        return revoked_in(self.entries) if self.whole is None else self.whole


def write_saved(path: Path, saved: SavedList) -> None:
    """Write the file as a whole, for our user alone; it survives a loss of power afterwards.

    :raises PrivateFileError: when the disk refuses; the file is then as it was.
    """
    document = {
        "version": _VERSION,
        "url": saved.url,
        "fetched_at": saved.fetched_at.timestamp(),
        "etag": saved.etag,
        "whole": saved.whole,
        "entries": {
            serial: {"status": entry.status, "reason": entry.reason}
            for serial, entry in saved.entries.items()
        },
    }
    write_private(path, strict_json.dumps(document))


def read_saved(path: Path) -> SavedList | None:
    """Return the list in the file, None if there is none.

    :raises StatusListError: when the file can't be read, trusted or understood.
    """
    try:
        data = read_private(path, MAX_SAVED_BYTES)
        if data is None:
            return None
        document = strict_json.loads(data, MAX_SAVED_BYTES)
    except PrivateFileError as error:
        raise StatusListError(str(error)) from None
    except MalformedError as error:
        raise StatusListError(f"{path.name}: {error.detail}") from None
    url, etag, at, whole = (document.get(n) for n in ("url", "etag", "fetched_at", "whole"))
    if (
        document.get("version") != _VERSION
        or not isinstance(url, str)
        or not isinstance(etag, str)
        or not isinstance(at, int | float)
        or not math.isfinite(at)
        or not 0 <= at < 2**37
        or not (whole is None or _are_texts(whole))
    ):
        raise StatusListError(f"{path.name}: expected a saved list of version {_VERSION}")
    return SavedList(
        url,
        datetime.fromtimestamp(at, UTC),
        usable_etag(etag),
        entries_of(document, path.name),
        None if whole is None else tuple(whole),
    )


def _are_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


def usable_etag(text: str) -> str:
    """Return an entity tag that can be sent back (RFC 9110 section 8.8.3), else nothing."""
    printable = all(0x21 <= ord(character) <= 0x7E for character in text)
    return text if printable and len(text) <= _MAX_ETAG else ""
