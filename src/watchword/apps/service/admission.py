"""Admit requests to the costly part of the service: one at a turn, the urgent first, the rest told to come again.

An enrolment costs a hundred times what turning it away costs.  Without a bound a crowd makes everybody wait until all of
them have hung up, and the service works for nobody.  So what verifies evidence waits in a short line; whoever finds the
line full is answered 503 before a byte of the body is read and before any cryptography.

The event loop has its turn between any two of them: whatever isn't admitted here (health, keys, challenges, the gates in
the same process) is answered in between and never waits for the line.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from enum import IntEnum
from typing import Final

from watchword.adapters.clock import steady_seconds
from watchword.reasons import Reason, UnavailableError

MAX_WAITING: Final = 64
"""Most requests that wait for their turn: a fifth of a second on a small machine, so that an answer still has a reader."""

MAX_INSIDE: Final = 96
"""Most requests that had their turn and aren't answered yet: they wait for the store, or (40 at most) for a vendor."""

PROMISED_SECONDS: Final = 0.05
"""How long a place in the line is kept for a body that is on its way.

Most are there already.  A slower one isn't turned away for it, but keeps nobody out: sending heads without bodies
costs a crowd nothing.
"""

RETRY_SECONDS: Final = 2
"""After how long to come again."""


class Urgency(IntEnum):
    """Order those who wait; a smaller number comes first."""

    ENROLLED = 0
    """An instance that is enrolled: it renews, or asks for a secret.  Its user is at work with the app."""

    STRANGER = 1
    """One that enrols: nobody knows yet whether it is anybody."""


class Admission:
    """Hold the line; belongs to one event loop."""

    def __init__(
        self,
        *,
        waiting: int = MAX_WAITING,
        inside: int = MAX_INSIDE,
        monotonic: Callable[[], float] = steady_seconds,
    ) -> None:
        """Begin with nobody there.

        :param waiting: most that wait for their turn.
        :param inside: most that had it and aren't answered yet.
        :param monotonic: seconds of a clock that never jumps.
        """
        self._most_waiting = waiting
        self._most_inside = inside
        self._monotonic = monotonic
        self._inside = 0
        self._lines: tuple[deque[asyncio.Future[None]], ...] = tuple(deque() for _ in Urgency)
        self._due = False
        self._arriving: dict[object, float] = {}

    @property
    def waiting(self) -> int:
        """Return how many wait for their turn."""
        return sum(len(line) for line in self._lines)

    @property
    def inside(self) -> int:
        """Return how many had their turn and aren't answered yet."""
        return self._inside

    def full(self) -> UnavailableError:
        """Return what to tell those for whom there is no room: ``service.overloaded``."""
        return UnavailableError(
            Reason.SERVICE_OVERLOADED,
            f"got more than {self._most_waiting} requests that wait for their turn",
            RETRY_SECONDS,
        )

    def has_room(self, urgency: Urgency) -> bool:
        """Tell whether a request may join the line; asked before anything of it is read."""
        waiting = self.waiting
        if waiting < self._most_waiting:
            urgent = urgency is Urgency.ENROLLED
            return urgent or waiting + self._promised() < self._most_waiting
        return any(self._lines[urgency + 1 :])

    @contextmanager
    def place(self, urgency: Urgency) -> Iterator[None]:
        """Keep a place while the body of a request is read, so that a crowd's bodies aren't read in vain.

        :raises UnavailableError: ``service.overloaded``.
        """
        if not self.has_room(urgency):
            raise self.full()
        if urgency is Urgency.ENROLLED:
            # Who is more urgent than others takes the place of one of these.
            yield
            return
        promise = object()
        self._arriving[promise] = self._monotonic()
        try:
            yield
        finally:
            self._arriving.pop(promise, None)

    def _promised(self) -> int:
        """Return how many places are kept; one that was kept for long is given up, since slow bodies cost nothing to send."""
        oldest = self._monotonic() - PROMISED_SECONDS
        while self._arriving:
            promise = next(iter(self._arriving))
            if self._arriving[promise] >= oldest:
                break
            del self._arriving[promise]
        return len(self._arriving)

    @asynccontextmanager
    async def turn(self, urgency: Urgency) -> AsyncIterator[None]:
        """Wait for a turn; it ends with the block.

        :raises UnavailableError: ``service.overloaded``, at once when the line is full, or later when somebody more
            urgent took the place.
        """
        if self.waiting >= self._most_waiting:
            self._make_room(urgency)
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._lines[urgency].append(waiter)
        self._call_soon()
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                # It had its turn in the very moment in which its task was ended.
                self._leave()
            elif waiter in self._lines[urgency]:
                self._lines[urgency].remove(waiter)
            raise
        try:
            yield
        finally:
            self._leave()

    def _make_room(self, urgency: Urgency) -> None:
        """Turn away the last of the least urgent, who has waited least.

        :raises UnavailableError: when nobody is less urgent.
        """
        line = next((line for line in reversed(self._lines[urgency + 1 :]) if line), None)
        if line is None:
            raise self.full()
        waiter = line.pop()
        if not waiter.done():
            waiter.set_exception(self.full())

    def _leave(self) -> None:
        self._inside -= 1
        self._call_soon()

    def _call_soon(self) -> None:
        if not self._due and self._inside < self._most_inside and any(self._lines):
            self._due = True
            asyncio.get_running_loop().call_soon(self._admit_one)

    def _admit_one(self) -> None:
        """Give the turn to one alone: the next comes after whatever else the loop has to do."""
        self._due = False
        for line in self._lines:
            while line:
                waiter = line.popleft()
                if not waiter.done():
                    self._inside += 1
                    waiter.set_result(None)
                    self._call_soon()
                    return
