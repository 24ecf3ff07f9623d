"""Keep the files of a workspace: each written whole or not at all, what was published never written over.

    roots/N.json              root lists, signed offline
    sets/APP/N.jws            published pin sets
    builtins/APP-VERSION.json what a version of an app ships with
    pins.yaml                 pinned keys by host
    pin-key.pem, pin-key.jwk  signs pin sets; root keys are never here
    log.jsonl                 each step that changed what apps trust

The service reads ``roots`` and ``sets``; it never writes.
"""

import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from watchword.adapters.keyring.private_file import (
    PrivateFileError,
    locked_directory,
    private_directory,
    sync_directory,
    write_private,
)
from watchword.adapters.pin_workspace.faults import WorkspaceError
from watchword.adapters.pin_workspace.step_log import StepLog
from watchword.pins.builtins import MAX_BUILTIN_BYTES
from watchword.pins.interface import MAX_ROOTS_BYTES, MAX_SET_BYTES

MAX_PINNED_BYTES: Final = 1024 * 1024
"""Most bytes of the file of pinned keys."""

_NUMBER: Final = re.compile(r"[1-9][0-9]{0,17}")
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_APP_VERSION: Final = re.compile(r"[0-9A-Za-z][0-9A-Za-z._+]{0,63}")
_PARTS: Final = ("roots", "sets", "builtins")


class PinWorkspace:
    """Read and write one workspace."""

    def __init__(self, directory: Path) -> None:
        """Keep the directory; see :meth:`create` and :meth:`require`."""
        self.directory = directory
        self.log = StepLog(directory / "log.jsonl")

    @property
    def key(self) -> Path:
        """Return the path of the private key that signs pin sets."""
        return self.directory / "pin-key.pem"

    @property
    def public_key(self) -> Path:
        """Return the path of its public half, which root lists name."""
        return self.directory / "pin-key.jwk"

    @property
    def pinned(self) -> Path:
        """Return the path of the pinned keys."""
        return self.directory / "pins.yaml"

    def create(self) -> None:
        """Make the directories, for this user alone; what is there already stays.

        :raises WorkspaceError: when they can't be made, or others may enter.
        """
        with _of_the_workspace():
            for directory in (self.directory, *(self.directory / part for part in _PARTS)):
                private_directory(directory)
            sync_directory(self.directory)

    def require(self) -> None:
        """See to it that this is a workspace.

        :raises WorkspaceError: when it isn't, or a part of it is gone.
        """
        if not self.directory.is_dir():
            raise WorkspaceError(
                f"{self.directory}: isn't there; make a workspace with `watchword pins init`"
            )
        gone = [
            part for part in (*_PARTS, self.pinned.name) if not (self.directory / part).exists()
        ]
        if gone:
            raise WorkspaceError(
                f"{self.directory}: got a directory without {', '.join(gone)}, expected a whole workspace: restore it "
                "from a backup, or make another one with `watchword pins init` elsewhere"
            )

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Let one process at a time change anything here; the lock ends with the process.

        :raises WorkspaceError: when it can't be used.
        """
        with _of_the_workspace(), locked_directory(self.directory):
            yield

    def root_versions(self) -> tuple[int, ...]:
        """Return the versions of the root lists, in order."""
        return self._numbers(self.directory / "roots", ".json")

    def read_roots(self, version: int) -> bytes:
        """Return a root list as it was signed."""
        return self._read(self.directory / "roots" / f"{version}.json", MAX_ROOTS_BYTES)

    def add_roots(self, version: int, data: bytes) -> Path:
        """Keep a root list, which was verified."""
        return self._add(self.directory / "roots" / f"{version}.json", data)

    def apps(self) -> tuple[str, ...]:
        """Return the apps for which a set was ever published."""
        directory = self.directory / "sets"
        return tuple(sorted(path.name for path in self._entries(directory) if _named(path.name)))

    def set_versions(self, app: str) -> tuple[int, ...]:
        """Return the versions of an app's published sets, in order."""
        return self._numbers(self._of_app(app), ".jws")

    def read_set(self, app: str, version: int) -> bytes:
        """Return a published set as it was signed."""
        return self._read(self._of_app(app) / f"{version}.jws", MAX_SET_BYTES)

    def add_set(self, app: str, version: int, data: bytes) -> Path:
        """Publish a set: from now on the service serves it.

        :raises WorkspaceError: also when this version is there already.
        """
        directory = self._of_app(app)
        with _of_the_workspace():
            private_directory(directory)
        sync_directory(directory.parent)
        return self._add(directory / f"{version}.jws", data)

    def builtins(self) -> tuple[str, ...]:
        """Return the names of the app versions that are out there, each ``APP-VERSION``."""
        directory = self.directory / "builtins"
        found = (path.name for path in self._entries(directory) if path.suffix == ".json")
        return tuple(sorted(name.removesuffix(".json") for name in found if name[0] != "."))

    def read_builtin(self, name: str) -> bytes:
        """Return what an app version ships with."""
        return self._read(self.directory / "builtins" / f"{name}.json", MAX_BUILTIN_BYTES)

    def add_builtin(self, app: str, app_version: str, data: bytes) -> Path:
        """Remember what an app version ships with.

        :raises WorkspaceError: also when this version is there already, since it may be on phones as it was.
        """
        return self._add(self.builtin_file(app, app_version), data)

    def drop_builtin(self, app: str, app_version: str) -> None:
        """Forget an app version that isn't supported any more.

        :raises WorkspaceError: also when there is no such version.
        """
        path = self.builtin_file(app, app_version)
        try:
            path.unlink()
            sync_directory(path.parent)
        except FileNotFoundError:
            known = ", ".join(self.builtins()) or "none"
            raise WorkspaceError(
                f"{path}: isn't there, expected a version that was released: {known}"
            ) from None
        except OSError as error:
            raise WorkspaceError(f"{path}: can't be taken away: {error.strerror}") from error

    def builtin_file(self, app: str, app_version: str) -> Path:
        """Return where it is kept what an app version ships with.

        :raises WorkspaceError: for a version that isn't fit for a file's name.
        """
        if not _named(app) or not _APP_VERSION.fullmatch(app_version):
            raise WorkspaceError(
                f"got version {app_version[:64]!r} of {app!r}, expected letters, digits, dots, at most 64"
            )
        return self.directory / "builtins" / f"{app}-{app_version}.json"

    def read_pinned(self) -> bytes:
        """Return the pinned keys as they stand in their file."""
        return self._read(self.pinned, MAX_PINNED_BYTES)

    def write_pinned(self, data: bytes) -> None:
        """Replace the pinned keys."""
        with _of_the_workspace():
            write_private(self.pinned, data)

    def _of_app(self, app: str) -> Path:
        if not _named(app):
            raise WorkspaceError(f"got app {app!r}, expected lower-case letters, digits and dashes")
        return self.directory / "sets" / app

    def _numbers(self, directory: Path, suffix: str) -> tuple[int, ...]:
        stems = (
            p.name.removesuffix(suffix) for p in self._entries(directory) if p.suffix == suffix
        )
        return tuple(sorted(int(stem) for stem in stems if _NUMBER.fullmatch(stem)))

    def _entries(self, directory: Path) -> list[Path]:
        try:
            return list(directory.iterdir())
        except FileNotFoundError:
            return []
        except OSError as error:
            raise WorkspaceError(f"{directory}: can't be read: {error.strerror}") from error

    def _read(self, path: Path, limit: int) -> bytes:
        try:
            # A pipe in a file's place would keep whoever opens it waiting for good, and a device never ends.
            handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
            with os.fdopen(handle, "rb") as file:
                if not stat.S_ISREG(os.fstat(handle).st_mode):
                    raise WorkspaceError(f"{path}: got something else than a regular file")
                data = file.read(limit + 1)
        except OSError as error:
            raise WorkspaceError(f"{path}: can't be read: {error.strerror}") from error
        if len(data) > limit:
            raise WorkspaceError(f"{path}: got more than {limit} bytes")
        return data

    def _add(self, path: Path, data: bytes) -> Path:
        if path.exists():
            raise WorkspaceError(f"{path}: is there already, and is never written over")
        with _of_the_workspace():
            write_private(path, data)
        return path


def _named(app: str) -> bool:
    return _NAME.fullmatch(app) is not None


@contextmanager
def _of_the_workspace() -> Iterator[None]:
    try:
        yield
    except WorkspaceError:
        raise
    except PrivateFileError as error:
        raise WorkspaceError(str(error)) from error
