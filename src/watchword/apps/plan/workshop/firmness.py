"""Work out how firm each place of the newest plan is, beside the requests.

It takes seconds of the processor, of which the requests of this process have their share alone.  So one thread does it, for the
newest answers only: it begins once people pause, gives way to whoever waits for a page, and stops where another answer comes.
"""

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from typing import Final, TypeAlias

from watchword.adapters.system import TimeLimit
from watchword.plan.interface import Deadline

QUIET_SECONDS: Final = 0.5
"""So long nobody answers before it begins: people often answer several questions in a row."""

WORK_SECONDS: Final = 8.0
"""How long one plan is worked on at most."""

Work: TypeAlias = Callable[[Deadline], None]
"""Works one plan out, and asks its deadline now and then."""


class _OvertakenError(Exception):
    """Report that newer answers made this work useless."""


class Firmness:
    """Work on what was asked for last, until it is closed."""

    def __init__(self, requests: AbstractContextManager[object]) -> None:
        """Be idle.

        :param requests: the lock that is held while somebody waits for an answer.
        """
        self._requests = requests
        self._news = threading.Condition()
        self._newest = 0
        self._wanted: Work | None = None
        self._idle = True
        self._ended = False
        self._thread: threading.Thread | None = None

    def ask(self, work: Work) -> None:
        """Put this in the place of all that was asked for before."""
        with self._news:
            if self._ended:
                return
            self._newest += 1
            self._wanted, self._idle = work, False
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="firmness", daemon=True)
                self._thread.start()
            self._news.notify_all()

    def drop(self) -> None:
        """Stop: what was asked for is of no use any more."""
        with self._news:
            self._newest += 1
            self._wanted = None
            self._news.notify_all()

    def settle(self, seconds: float) -> bool:
        """Wait until nothing is left to do; tell whether that is so after ``seconds`` at most."""
        with self._news:
            return self._news.wait_for(lambda: self._idle, seconds)

    def close(self) -> None:
        """Stop for good; a thread that is still inside the solver when the interpreter ends would abort the process."""
        with self._news:
            self._ended = True
        self.drop()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        while (found := self._next()) is not None:
            number, work = found
            with suppress(_OvertakenError):
                work(_Beside(self, number))

    def _next(self) -> tuple[int, Work] | None:
        """Return what was asked for last, once nothing newer comes for a while; None at the end."""
        with self._news:
            while not self._ended:
                number, work = self._newest, self._wanted
                if work is None:
                    self._idle = True
                    self._news.notify_all()
                    self._news.wait()
                    continue
                self._news.wait(QUIET_SECONDS)
                if self._newest == number and not self._ended:
                    self._wanted = None
                    return number, work
            self._idle = True
            self._news.notify_all()
            return None

    def go_on(self, number: int) -> None:
        """Let whoever waits for a page go first.

        :raises _OvertakenError: when something newer was asked for.
        """
        with self._requests:
            pass
        if self._newest != number:
            raise _OvertakenError


class _Beside:
    """Implement :class:`watchword.plan.interface.Deadline` for work that gives way."""

    def __init__(self, firmness: Firmness, number: int) -> None:
        self._firmness = firmness
        self._number = number
        self._limit = TimeLimit(WORK_SECONDS)

    def is_over(self, share: float) -> bool:
        self._firmness.go_on(self._number)
        return self._limit.is_over(share)
