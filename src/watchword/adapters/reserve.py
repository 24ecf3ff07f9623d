"""Hold a file of no content, and remove it when its space is needed."""

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

RESERVE_BYTES: Final = 4 * 1024 * 1024
"""Bytes that are set aside: a key ring, the bundles of some APIs, and many audit entries."""


class RoomReserve:
    """Hold the file."""

    def __init__(self, path: Path, size: int = RESERVE_BYTES) -> None:
        """Keep the path; no space is taken yet."""
        self._path = path
        self._size = size

    @property
    def is_held(self) -> bool:
        """Tell whether the space is set aside."""
        try:
            return self._path.stat().st_size >= self._size
        except OSError:
            return False

    def fill(self) -> bool:
        """Set the space aside, where there is twice as much; tell whether it is.

        Else it would be this file that fills the disk.
        """
        if self.is_held:
            return True
        try:
            free = os.statvfs(self._path.parent)
            if free.f_bavail * free.f_frsize < 2 * self._size:
                return False
            flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            handle = os.open(self._path, flags, 0o600)
            try:
                os.posix_fallocate(handle, 0, self._size)
            finally:
                os.close(handle)
        except OSError:
            self.release()
            return False
        return True

    def release(self) -> bool:
        """Give the space free; tell whether there was any."""
        held = self.is_held
        with suppress(OSError):
            self._path.unlink(missing_ok=True)
        return held
