"""Keep over restarts what an installation accepted: root lists and the newest set, as they were signed.

Nothing kept is believed because it was kept: all is verified anew when it's read (:func:`watchword.pins.installed.restored`).
"""

import contextlib
import fcntl
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from watchword.encoding import strict_json
from watchword.pins.interface import MAX_ROOTS_BYTES, MAX_SET_BYTES
from watchword.reasons import MalformedError, WatchwordError

MAX_LISTS: Final = 64
"""Most root lists that are kept; an app that is older than that many of them is updated as a whole."""

MAX_FILE_BYTES: Final = 2 * (MAX_LISTS * MAX_ROOTS_BYTES + MAX_SET_BYTES)
"""Most bytes of the file: signed bytes are text, and JSON makes two of some characters."""

_MEMBERS: Final = {"roots_version", "roots", "set", "seen"}


class StoreError(WatchwordError):
    """Report that what was kept can't be read or written."""


@dataclass(frozen=True, slots=True)
class Kept:
    """Hold what is kept.

    :param roots_version: of the last list, or of the one that shipped.
    :param lists: root lists accepted since the one that shipped, in order.
    :param signed: the set, None for none.
    :param seen: the highest version of a set that was accepted under the present pin keys; it only tells which of two is newer.
    """

    roots_version: int
    lists: tuple[bytes, ...] = ()
    signed: bytes | None = None
    seen: int = 0

    @property
    def age(self) -> tuple[int, int]:
        """Return what grows with every change: a new root list may let the versions of sets begin anew."""
        return self.roots_version, self.seen


class PinStore(Protocol):
    """Keep what was accepted, in one place of an installation."""

    def load(self) -> Kept | None:
        """Return what is kept, None where nothing is.

        :raises StoreError: when it can't be read.
        """

    def save(self, kept: Kept, *, mend: bool = False) -> None:
        """Keep this in place of what is kept, unless that is newer.

        :param mend: what is kept didn't verify, and is replaced whatever it says.
        :raises StoreError: when it can't be written.
        """


class FilePinStore:
    """Implement :class:`PinStore` in a file; safe between processes.

    A file is replaced as a whole or not at all.  It holds no secret, but whoever may write to it may roll pins back as far as the
    package: it belongs where only the app writes.
    """

    def __init__(self, path: Path) -> None:
        """Use this file; its folder must exist."""
        self._path = path

    def load(self) -> Kept | None:
        """See :meth:`PinStore.load`."""
        try:
            with self._path.open("rb") as file:
                data = file.read(MAX_FILE_BYTES + 1)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StoreError(f"{self._path}: {error.strerror}") from None
        try:
            return _read(strict_json.loads(data, MAX_FILE_BYTES))
        except (MalformedError, ValueError) as error:
            raise StoreError(f"{self._path}: {error}") from None

    def save(self, kept: Kept, *, mend: bool = False) -> None:
        """See :meth:`PinStore.save`."""
        if len(kept.lists) > MAX_LISTS:
            raise StoreError(f"got {len(kept.lists)} root lists, expected at most {MAX_LISTS}")
        try:
            with self._locked():
                if mend or not self._holds_newer(kept):
                    self._replace(strict_json.dumps(_written(kept)))
        except OSError as error:
            raise StoreError(f"{self._path}: {error.strerror}") from None

    def _holds_newer(self, kept: Kept) -> bool:
        """Tell whether another process was quicker; what can't be read is replaced."""
        with contextlib.suppress(StoreError):
            held = self.load()
            return held is not None and held.age > kept.age
        return False

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        # A file of its own: the one that is replaced would carry its lock away.
        with self._path.with_name(f"{self._path.name}.lock").open("ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _replace(self, data: bytes) -> None:
        handle, name = tempfile.mkstemp(dir=self._path.parent, prefix=f".{self._path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(self._path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise


def _written(kept: Kept) -> dict[str, object]:
    return {
        "roots_version": kept.roots_version,
        "roots": [each.decode("utf-8") for each in kept.lists],
        "set": None if kept.signed is None else kept.signed.decode("utf-8"),
        "seen": kept.seen,
    }


def _read(members: dict[str, object]) -> Kept:
    lists, signed = members.get("roots"), members.get("set")
    numbers = [members.get("roots_version"), members.get("seen")]
    if members.keys() != _MEMBERS or not isinstance(lists, list) or len(lists) > MAX_LISTS:
        raise ValueError(f"expected exactly {', '.join(sorted(_MEMBERS))}")
    version, seen = (_number(each) for each in numbers)
    if not all(isinstance(each, str) for each in lists) or not isinstance(signed, str | None):
        raise ValueError("expected root lists and a set as text")
    return Kept(
        roots_version=version,
        lists=tuple(str(each).encode() for each in lists),
        signed=None if signed is None else signed.encode(),
        seen=seen,
    )


def _number(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError("expected versions to be whole numbers")
    return value
