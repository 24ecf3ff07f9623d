"""Keep what was handed out, in the service's own directory: whoever puts an old workspace back doesn't put this back too."""

from pathlib import Path

from watchword.adapters.keyring.private_file import (
    PrivateFileError,
    private_directory,
    read_private,
    write_private,
)
from watchword.pins.interface import MAX_ROOTS_BYTES, MAX_SET_BYTES

MAX_LISTS = 1000
"""Most root lists that are followed: one a day for three years."""


class KeptPins:
    """Read and write the directory: ``roots/N.json`` and ``sets/APP.jws``, each as it was signed."""

    def __init__(self, directory: Path) -> None:
        """Keep the directory; it is made with the first that is kept."""
        self.directory = directory

    def lists(self) -> tuple[bytes, ...]:
        """Return the root lists in order.

        :raises PrivateFileError: when one can't be read, or is missing between others.
        """
        directory = self.directory / "roots"
        try:
            found = sorted(int(path.stem) for path in directory.glob("*.json") if _counted(path))
        except OSError as error:
            raise PrivateFileError(f"{directory}: can't be read: {error.strerror}") from None
        if found != list(range(found[0], found[-1] + 1)) if found else False:
            raise PrivateFileError(f"{directory}: got {found}, expected none to be missing")
        if not found and self.apps():
            raise PrivateFileError(f"{self.directory}: got sets without root lists")
        lists = [read_private(directory / f"{each}.json", MAX_ROOTS_BYTES) for each in found]
        return tuple(each for each in lists if each is not None)

    def apps(self) -> frozenset[str]:
        """Return the apps that a set is kept for."""
        return frozenset(path.stem for path in (self.directory / "sets").glob("[!.]*.jws"))

    def signed(self, app: str) -> bytes | None:
        """Return an app's set, None where none was handed out.

        :raises PrivateFileError: when it can't be read.
        """
        return read_private(self.directory / "sets" / f"{app}.jws", MAX_SET_BYTES)

    def keep_list(self, version: int, data: bytes) -> None:
        """Keep a root list, durably.

        :raises PrivateFileError: when the disk refuses.
        """
        self._write("roots", f"{version}.json", data)

    def keep_set(self, app: str, data: bytes) -> None:
        """Keep a set in the place of an older one, durably.

        :raises PrivateFileError: when the disk refuses.
        """
        self._write("sets", f"{app}.jws", data)

    def _write(self, part: str, name: str, data: bytes) -> None:
        private_directory(self.directory)
        private_directory(self.directory / part)
        write_private(self.directory / part / name, data)


def _counted(path: Path) -> bool:
    return path.stem.isascii() and path.stem.isdigit()
