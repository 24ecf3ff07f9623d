"""Reach Unix sockets whose path is too long for the kernel's address.

An address holds 107 bytes (``sun_path`` in unix(7)), a state directory below a deep home may have
more.  Where that is so, the directory is opened and the socket named through it.
"""

import os
from pathlib import Path
from typing import Final

MAX_ADDRESS_BYTES: Final = 100
"""Longest path that is used as it is; macOS takes 103 bytes, Linux 107."""

_OPENED: Final = Path("/proc/self/fd")


class SocketPath:
    """Hold a path by which this process can bind or connect a socket; close it after use."""

    def __init__(self, path: Path) -> None:
        """Open the directory if the path is too long and the system can name opened ones.

        :raises OSError: when the directory can't be opened.
        """
        self._directory: int | None = None
        self.usable = path
        if len(os.fsencode(path)) > MAX_ADDRESS_BYTES and _OPENED.is_dir():
            self._directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            self.usable = _OPENED / str(self._directory) / path.name

    def close(self) -> None:
        """Close the directory; a socket that is bound or connected stays so."""
        if self._directory is not None:
            os.close(self._directory)
            self._directory = None
