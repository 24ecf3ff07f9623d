"""Do the slow part of remembering on a thread of its own."""

import atexit
import os
import threading
from collections.abc import Callable
from typing import Final
from weakref import WeakSet

SECONDS: Final = 1.0
"""After how long what was told is written: what a process that is killed loses at most."""

_JOIN_SECONDS: Final = 10.0


class Writer:
    """Call a piece of work within a second after it was woken, and once more at the end of the process.

    May be woken by any thread, and goes on in a child after a fork.
    """

    def __init__(
        self,
        work: Callable[[], None],
        forget: Callable[[], None],
        *,
        name: str,
        seconds: float = SECONDS,
    ) -> None:
        """Start no thread yet.

        :param work: writes what is to be written; raises nothing.
        :param forget: lets go of what is to be written, in a child: its parent writes that.
        """
        self._work = work
        self._forget = forget
        self._name = name
        self._seconds = seconds
        self._begin()
        _WRITERS.add(self)

    def _begin(self) -> None:
        self._due = threading.Event()
        self._ended = threading.Event()
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None

    def wake(self) -> None:
        """Say that there is something to write; takes no time where that was said already."""
        if not self._due.is_set():
            self._due.set()
            if self._thread is None:
                self._start()

    def close(self) -> None:
        """Write what is left, and end the thread; later wakes do nothing."""
        with self._starting:
            thread, ended = self._thread, self._ended.is_set()
            self._ended.set()
        if ended:
            return
        atexit.unregister(self.close)
        self._due.set()
        if thread is not None:
            thread.join(_JOIN_SECONDS)
        self._work()

    def _start(self) -> None:
        with self._starting:
            if self._thread is not None or self._ended.is_set():
                return
            self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
            self._thread.start()
        atexit.register(self.close)

    def _run(self) -> None:
        due, ended = self._due, self._ended
        while True:
            due.wait()
            if ended.wait(self._seconds):
                return
            # Before the work: what is told meanwhile is due again.
            due.clear()
            self._work()

    def _begin_anew(self) -> None:
        """Begin again in a child, which has none of its parent's threads."""
        if not self._ended.is_set():
            self._forget()
            self._begin()


_WRITERS: WeakSet[Writer] = WeakSet()


def _after_fork() -> None:
    for writer in list(_WRITERS):
        writer._begin_anew()  # noqa: SLF001 - its own module's.


os.register_at_fork(after_in_child=_after_fork)
