"""Keep a chain in a file that only grows: a snapshot replaces it as a whole, a delta is appended and flushed.

A last line without its end doesn't exist yet: a process that died while it wrote leaves nothing that anybody reads.
"""

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from watchword.adapters.keyring.private_file import (
    PrivateFileError,
    Stamp,
    open_private,
    stamp_from,
    write_private,
)
from watchword.gate.chain import MAX_CHAIN_BYTES, joined, lines_of

_SUFFIX: Final = ".chain"
_END: Final = b"\n"


def chain_path(bundle: Path) -> Path:
    """Return the file beside a bundle of the first version."""
    return bundle.with_suffix(_SUFFIX)


def write_chain(path: Path, lines: Sequence[bytes]) -> Stamp:
    """Replace the file by a chain: a snapshot, and the deltas behind it.

    :returns: the stamp of what was written.
    :raises PrivateFileError: when the disk refuses; the file is then as it was.
    """
    return write_private(path, *(part for line in lines for part in (line, _END)))


def append_lines(path: Path, lines: Sequence[bytes], known: Stamp) -> Stamp:
    """Append deltas, which survive a loss of power right afterwards.

    :param known: the stamp of the file that they follow: behind another one they would be of no use to anybody.
    :returns: the stamp of what was written.
    :raises PrivateFileError: when it is another file by now, isn't ours, or the disk refuses; the file is then as it was.
    """
    data = joined(lines)
    handle = open_private(path, os.O_WRONLY | os.O_APPEND)
    if handle is None:
        raise PrivateFileError(f"{path}: isn't there any more; a snapshot is written anew")
    try:
        found = os.fstat(handle)
        if stamp_from(found) != known:
            raise PrivateFileError(f"{path}: somebody changed it; it is read anew")
        try:
            whole = os.write(handle, data) == len(data)
            os.fsync(handle)
            trouble = None if whole else "no room for all of it"
        except OSError as error:
            trouble = error.strerror
        if trouble is not None:
            # Half a line would stand before the next one and spoil it.
            with suppress(OSError):
                os.ftruncate(handle, found.st_size)
            raise PrivateFileError(f"{path}: can't be written: {trouble}")
        return stamp_from(os.fstat(handle))
    finally:
        os.close(handle)


class ChainTail:
    """Read what was written to a chain's file since the last look.

    :ivar is_whole: whether the file ended with the end of a line then.
    :ivar is_anew: whether it was read from its beginning then.
    """

    def __init__(self, path: Path) -> None:
        """Have read nothing yet."""
        self.is_whole = True
        self.is_anew = True
        self._path = path
        self._stamp: Stamp | None = None
        self._offset = 0

    def forget(self) -> None:
        """Read the whole file at the next look."""
        self._stamp = None

    def offset(self, now: Stamp) -> int:
        """Return how far a file was read that has this stamp by now, 0 where it is another one."""
        known = self._stamp
        if known is None or known.inode != now.inode or now.size < self._offset:
            return 0
        if now.size == self._offset and now != known:
            # Written, and no longer than before: another file bears the number of one that was removed.
            return 0
        return self._offset

    def read(self) -> Sequence[bytes]:
        """Return the whole lines that are new; all of them where the file was replaced.

        :raises PrivateFileError: when it isn't a private file of ours, or is larger than a chain may be.
        """
        handle = open_private(self._path, os.O_RDONLY)
        if handle is None:
            self._stamp = None
            return ()
        with os.fdopen(handle, "rb") as file:
            found = os.fstat(handle)
            if found.st_size > MAX_CHAIN_BYTES:
                raise PrivateFileError(f"{self._path}: got more than {MAX_CHAIN_BYTES} bytes")
            stamp = stamp_from(found)
            self._stamp, self._offset = stamp, self.offset(stamp)
            self.is_anew = not self._offset
            file.seek(self._offset)
            data = file.read(found.st_size - self._offset)
        whole, end, half = data.rpartition(_END)
        self.is_whole = not half
        if not end:
            return ()
        self._offset += len(whole) + 1
        return lines_of(whole)
