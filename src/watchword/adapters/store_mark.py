"""Keep the store's mark in one private file: its last audit entry, and the epoch of challenges.

Every use of a challenge adds an audit entry in the same transaction, and their numbers only grow.  So a
database whose last number is below the one that was seen here is an older copy, and doesn't know which
challenges were used since; a database in another file may be.  Either begins another epoch.
"""

import math
import threading
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from watchword.adapters.keyring.private_file import PrivateFileError, read_private, write_private
from watchword.encoding import strict_json
from watchword.reasons import MalformedError, Reason, UnavailableError

_MAX_BYTES: Final = 1024


@dataclass(frozen=True, slots=True)
class _State:
    epoch: int = 0
    sequence: int = 0
    file: int = 0
    forgotten: int = 0


@dataclass(frozen=True, slots=True)
class Exchange:
    """Say why the database isn't taken for the one that was here.

    :param missing: how many audit entries it lacks, as far as that is known; 0 where it isn't.
    :param why: for the log.
    """

    missing: int
    why: str


class StoreMark:
    """Implement :class:`watchword.enrolment.challenges.ChallengeEpochs`; any thread may call it.

    What can't be written is kept in memory, which is as good while the process lives: the next one finds
    an older mark and begins another epoch rather than one too few.
    """

    def __init__(self, path: Path) -> None:
        """Read the file; it is made by :meth:`compare`.

        :raises PrivateFileError: when it can't be trusted: others could have written it.
        """
        self._path = path
        self._turn = threading.Lock()
        read = _read(path)
        self._is_known = read is not None
        self._state = read or _State()

    @property
    def number(self) -> int:
        """See :attr:`watchword.enrolment.challenges.ChallengeEpochs.number`."""
        return self._state.epoch

    @property
    def forgotten(self) -> int:
        """See :attr:`watchword.enrolment.challenges.ChallengeEpochs.forgotten`."""
        return self._state.forgotten

    def begin(self, now: datetime) -> None:
        """See :meth:`watchword.enrolment.challenges.ChallengeEpochs.begin`.

        The number is at least the time, so that it grows also where the file was lost.
        """
        with self._turn:
            number = max(self._state.epoch + 1, int(now.timestamp()))
            self._state = replace(self._state, epoch=number, forgotten=0)
            self._write_if_possible()

    def compare(self, sequence: int, file: int, now: datetime) -> Exchange | None:
        """Look at the database that the service starts with; return what is wrong with it, None for nothing.

        :param sequence: number of its last audit entry, 0 where it never had one.
        :param file: the number of its file (inode).
        """
        seen, found = self._state, None
        if not self._is_known:
            found = Exchange(0, "nothing is known of the database that was here before")
        elif sequence < seen.sequence:
            missing = seen.sequence - sequence
            found = Exchange(missing, f"{missing} entries of the audit trail are missing")
        elif file != seen.file:
            found = Exchange(0, "it is in another file than the one that was here before")
        self._state = replace(seen, sequence=sequence, file=file)
        if found is not None:
            self.begin(now)
        elif self._state != seen:
            self._write_if_possible()
        fresh = not self._is_known and sequence == 0
        self._is_known = True
        return None if fresh else found

    def advance(self, sequence: int) -> None:
        """Note how far the database is.

        :raises UnavailableError: when that can't be written.
        """
        with self._turn:
            if sequence > self._state.sequence:
                self._put(replace(self._state, sequence=sequence))

    def forget(self, before: datetime) -> None:
        """Note that uses of challenges are about to be forgotten that expired before an instant.

        :raises UnavailableError: when that can't be written; then they mustn't be.
        """
        forgotten = math.ceil(before.timestamp())
        with self._turn:
            if forgotten > self._state.forgotten:
                self._put(replace(self._state, forgotten=forgotten))

    def _put(self, state: _State) -> None:
        try:
            write_private(self._path, strict_json.dumps(asdict(state)))
        except PrivateFileError as error:
            raise UnavailableError(Reason.STORE_UNAVAILABLE, str(error)) from None
        self._state = state

    def _write_if_possible(self) -> None:
        try:
            self._put(self._state)
        except UnavailableError:
            return


def _read(path: Path) -> _State | None:
    """Return what the file says, None where it says nothing that can be read: then nothing is known."""
    data = read_private(path, _MAX_BYTES)
    if data is None:
        return None
    try:
        members = strict_json.loads(data, _MAX_BYTES)
    except MalformedError:
        return None
    values = [_number(members.get(name)) for name in ("epoch", "sequence", "file", "forgotten")]
    return None if -1 in values else _State(*values)


def _number(value: Any) -> int:
    return value if type(value) is int and value >= 0 else -1
