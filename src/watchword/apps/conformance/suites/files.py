"""Find the files of published suites in a directory, also inside of tar archives, which are never unpacked."""

import json
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any, Final

MAX_FILE_BYTES: Final = 128 * 1024 * 1024
"""Most bytes of a file; the largest published one (x509-limbo) has about 50 MB."""

MAX_MEMBER_BYTES: Final = 16 * 1024 * 1024
"""Most bytes of a file in an archive, and of each of which its size is only claimed."""

MAX_FILES: Final = 100_000
"""Most files that are looked at."""

_ARCHIVES: Final = (".tar.gz", ".tgz", ".tar")


class SuiteError(Exception):
    """Report a directory or a file that can't be run."""


@dataclass(frozen=True)
class SuiteFile:
    """Hold one file.

    :param path: below the directory, the name of an archive included.
    """

    path: PurePosixPath
    data: bytes

    @cached_property
    def json(self) -> Any:
        """Return the JSON in it, None where it is none: recognising asks this of every file."""
        if self.data.lstrip()[:1] not in (b"{", b"["):
            return None
        try:
            return json.loads(self.data)
        except (ValueError, RecursionError):
            return None

    def json_object(self, *members: str) -> dict[str, Any] | None:
        """Return the JSON object in it if it has all of these members, None otherwise."""
        found = self.json
        if isinstance(found, dict) and all(name in found for name in members):
            return found
        return None


def find(directory: Path) -> Iterator[SuiteFile]:
    """Yield the files below a directory, by name; links are followed nowhere.

    :raises SuiteError: for what can't be read, for too large a file and for too many.
    """
    for count, path in enumerate(sorted(directory.rglob("*"))):
        if count >= MAX_FILES:
            raise SuiteError(f"got more than {MAX_FILES} files in {directory}")
        if path.is_symlink() or not path.is_file():
            continue
        try:
            size = path.stat().st_size
            if size > MAX_FILE_BYTES:
                raise SuiteError(f"got {size} bytes in {path}, expected at most {MAX_FILE_BYTES}")
            name = PurePosixPath(path.relative_to(directory).as_posix())
            if path.name.endswith(_ARCHIVES):
                yield from _members(path, name)
            else:
                yield SuiteFile(name, path.read_bytes())
        except (OSError, tarfile.TarError, EOFError) as error:
            raise SuiteError(f"{path} can't be read: {error}") from None


def _members(path: Path, name: PurePosixPath) -> Iterator[SuiteFile]:
    """Yield the regular files of an archive, in its order."""
    with tarfile.open(path) as archive:
        for count, member in enumerate(archive):
            if count >= MAX_FILES:
                raise SuiteError(f"got more than {MAX_FILES} files in {path}")
            file = archive.extractfile(member) if member.isfile() else None
            if file is None:
                continue
            if member.size > MAX_MEMBER_BYTES:
                raise SuiteError(
                    f"got {member.size} bytes of {member.name} in {path}, "
                    f"expected at most {MAX_MEMBER_BYTES}"
                )
            yield SuiteFile(name / member.name.lstrip("/"), file.read())
