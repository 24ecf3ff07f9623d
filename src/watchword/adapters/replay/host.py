"""Keep used proofs in one SQLite file, for all processes of one machine.

Of all processes that claim a proof exactly one wins, since SQLite lets one write at a time; a process that
is killed leaves either a claim or none.  ``synchronous=NORMAL`` in WAL mode: what was written outlives every
process, and a loss of power takes at most what wasn't on the disk yet, for which the file is closed to proofs
that are older than the machine's start (:mod:`watchword.adapters.replay.host_file`).

A claim runs on the caller's thread: it takes about 15 us, a hand-over to another thread and back twice
that.  It never waits inside of SQLite, and the slow work (expiry, carrying the log over to the file, which
waits for the disk) is done on a thread of its own.
"""

import asyncio
import os
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from watchword.adapters import host_database
from watchword.adapters.host_database import Tidying
from watchword.adapters.replay import host_file
from watchword.gate.interface import ReplayClaim
from watchword.gate.replay import BUCKET_SECONDS, window
from watchword.reasons import Reason, UnavailableError
from watchword.tokens.interface import LEEWAY_SECONDS

DEFAULT_CAPACITY: Final = 1_000_000
"""About how many claims the file has room for: 48 MB."""

DEADLINE_SECONDS: Final = 0.1
"""How long a claim waits for other processes before nobody passes."""

PAUSE_SECONDS: Final = 0.0005
"""How long a claim leaves the event loop to others before it tries again."""

TIDY_SECONDS: Final = 1.0
"""After how long the file is tidied, if it isn't sooner for the number of claims."""


class HostReplayStore:
    """Implement :class:`watchword.gate.replay.ImmediateReplayStore` over a private file (mode 0600).

    May be used by several threads, and go on in a child after a fork.
    """

    def __init__(
        self,
        path: Path,
        *,
        leeway: int = LEEWAY_SECONDS,
        capacity: int = DEFAULT_CAPACITY,
        timestamp: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Open the file, or make it if it isn't there.

        :param leeway: the gate's, in seconds; the same for all who share the file.
        :raises UnavailableError: ``gate.replay_unavailable`` when it is damaged, not private, or can't be
            opened.
        """
        self._path = path
        self._leeway = leeway
        self._window = window(leeway)
        self._capacity = capacity
        self._timestamp = timestamp
        self._monotonic = monotonic
        self._insert = host_file.insert_statement(self._window // BUCKET_SECONDS + 2)
        self._lock = threading.Lock()
        self._closed = False
        self._now = timestamp()
        host_file.make(path)
        self._begin()

    def claim_now(self, claim: ReplayClaim, now: float) -> bool:
        """See :meth:`watchword.gate.replay.ImmediateReplayStore.claim_now`; waits at most 0.1 s."""
        deadline = self._monotonic() + DEADLINE_SECONDS
        while True:
            first = self._attempt(claim, now)
            if first is not None:
                return first
            self._check_deadline(deadline)
            time.sleep(PAUSE_SECONDS)

    async def claim(self, claim: ReplayClaim, now: float) -> bool:
        """See :meth:`watchword.gate.interface.ReplayStore.claim`."""
        first = self._attempt(claim, now)
        if first is not None:
            return first
        deadline = self._monotonic() + DEADLINE_SECONDS
        while first is None:
            self._check_deadline(deadline)
            await asyncio.sleep(PAUSE_SECONDS)
            first = self._attempt(claim, now)
        return first

    async def close(self) -> None:
        """Wait for the tidying, and let go of the file; claims are refused from then on."""
        await asyncio.get_running_loop().run_in_executor(None, self.close_now)

    def close_now(self) -> None:
        """Do what :meth:`close` does, without an event loop; a second time does nothing."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        self._tidying.end()
        if self._pid == os.getpid():
            self._connection.close()

    def _attempt(self, claim: ReplayClaim, now: float) -> bool | None:
        """Return whether a claim was the first; None while another process writes."""
        tag, until = claim
        if not now < until <= now + self._window:
            return False
        with self._lock:
            try:
                if self._closed:
                    raise self._unavailable("it was closed")
                self._follow()
                cursor = self._connection.execute(
                    self._insert,
                    (
                        int(until) // BUCKET_SECONDS,
                        tag,
                        int(until),
                        int(now) // BUCKET_SECONDS,
                    ),
                )
            except sqlite3.Error as error:
                self._give_up_unless_busy(error)
                return None
            except OSError as error:
                raise self._unavailable(error.strerror or "it can't be read") from None
            self._now = now
            self._tidying.count_call()
            return cursor.rowcount == 1

    def _give_up_unless_busy(self, error: sqlite3.Error) -> None:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            return
        if code == sqlite3.SQLITE_FULL:
            self._tidying.begin()
            raise UnavailableError(
                Reason.GATE_REPLAY_FULL,
                f"{self._path}: room for about {self._capacity} used proofs, and none of them may be "
                "forgotten yet; or the disk is full",
                retry_after=BUCKET_SECONDS,
            ) from None
        if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            raise host_file.damaged(self._path, self._window) from None
        raise self._unavailable(str(error)) from None

    def _check_deadline(self, deadline: float) -> None:
        if self._monotonic() >= deadline:
            raise self._unavailable(f"another process wrote for {DEADLINE_SECONDS} s")

    def _begin(self) -> None:
        """Open a connection for this process."""
        self._pid = os.getpid()
        self._tidying = Tidying(
            self._path,
            lambda link: host_file.tidy(link, self._now, self._window),
            seconds=TIDY_SECONDS,
            monotonic=self._monotonic,
        )
        self._connect()

    def _connect(self) -> None:
        self._identity = host_database.identity(self._path)
        self._connection = host_file.connect(
            self._path, self._capacity, self._leeway, self._timestamp()
        )

    def _follow(self) -> None:
        """Follow the file where it was replaced, and open it anew after a fork.

        Of a file that was removed another process may make a new one: two that hold different
        proofs would let each pass twice.  A parent's connection must neither be used nor closed.
        """
        if self._pid != os.getpid():
            self._parents_connection = self._connection
            self._begin()
        elif host_database.identity(self._path) != self._identity:
            self._connection.close()
            self._connect()

    def _unavailable(self, what: str) -> UnavailableError:
        return UnavailableError(
            Reason.GATE_REPLAY_UNAVAILABLE, f"replay store {self._path}: {what}", retry_after=1
        )
