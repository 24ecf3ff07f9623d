"""Read the token by which OpenBao knows us: anew whenever its file changed, since agents renew it."""

import re
from pathlib import Path
from typing import Final

from watchword.adapters.keyring.private_file import PrivateFileError, Stamp, read_private, stamp_of

MAX_TOKEN_BYTES: Final = 4096
"""Most bytes of the file; a service token has about 100, a batch token below 1,000."""

_TOKEN: Final = re.compile(rb"[!-~]+")


class TokenFile:
    """Hand out the token; safe among threads."""

    def __init__(self, path: Path) -> None:
        """Keep the path; nothing is read yet.

        :param path: of a private file (ours, mode 0600) that holds the token and at most a line break.
        """
        self._path = path
        self._known: tuple[Stamp, str] | None = None

    def __repr__(self) -> str:
        """Name the file, never what is in it."""
        return f"TokenFile({str(self._path)!r})"

    def read(self) -> str:
        """Return the token.

        :raises PrivateFileError: when the file is missing, others can read it, or it holds no token.
        """
        # Asked before it is read: of a file that is replaced in between, the next call reads the new one.
        stamp, known = stamp_of(self._path), self._known
        if known is not None and known[0] == stamp:
            return known[1]
        data = read_private(self._path, MAX_TOKEN_BYTES)
        if data is None:
            raise PrivateFileError(f"{self._path}: is missing, expected the token for OpenBao")
        line = data.rstrip(b"\r\n")
        if not _TOKEN.fullmatch(line):
            raise PrivateFileError(f"{self._path}: expected one token, in one line")
        token = line.decode("ascii")
        if stamp is not None:
            self._known = (stamp, token)
        return token
