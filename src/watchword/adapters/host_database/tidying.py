"""Tidy a file that is written to on the path of requests: now and then, and on a thread of its own."""

import sqlite3
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path
from typing import Final

from watchword.adapters import host_database

CALLS: Final = 1000
"""After how many calls of this process the file is tidied, if it wasn't sooner."""


class Tidying:
    """Hold when a file was tidied; belongs to one process, and to whoever holds its file's lock."""

    def __init__(
        self,
        path: Path,
        work: Callable[[sqlite3.Connection], None],
        *,
        seconds: float,
        monotonic: Callable[[], float],
    ) -> None:
        """Prepare; the first call begins it.

        :param work: tidies, on a connection of its own; what it raises is done the next time.
        :param seconds: after which the file is tidied with the next call.
        """
        self._path = path
        self._work = work
        self._seconds = seconds
        self._monotonic = monotonic
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="watchword-tidying")
        self._running: Future[None] | None = None
        self._due = 0.0
        self._calls = 0

    def count_call(self) -> None:
        """Count a call, and begin when it is time."""
        self._calls += 1
        if self._calls >= CALLS or self._monotonic() >= self._due:
            self.begin()

    def begin(self) -> None:
        """Have the thread tidy the file, unless it does so already."""
        if self._running is not None and not self._running.done():
            return
        self._calls = 0
        self._due = self._monotonic() + self._seconds
        self._running = self._worker.submit(self._tidy)

    def wait(self) -> None:
        """Return when nothing is being tidied."""
        if self._running is not None:
            self._running.result()

    def end(self) -> None:
        """Return when the thread has ended; nothing is tidied any more."""
        self._worker.shutdown(wait=True)

    def _tidy(self) -> None:
        # Whatever fails here shows in the calls, or is done the next time.
        with (
            suppress(sqlite3.Error, OSError),
            closing(host_database.connect_again(self._path)) as link,
        ):
            self._work(link)
