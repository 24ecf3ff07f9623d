"""Admit requests to the costly part of the service: one at a turn, the urgent first, the rest told to come again.

An enrolment costs a hundred times what turning it away costs.  Without a bound a crowd makes everybody wait until all of
them have hung up, and the service works for nobody.  So what verifies evidence waits in a short line; whoever finds the
line full is answered 503 before a byte of the body is read and before any cryptography.

The event loop has its turn between any two of them: whatever isn't admitted here (health, keys, challenges, the gates in
the same process) is answered in between and never waits for the line.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import IntEnum
from typing import Final

from watchword.reasons import Reason, UnavailableError

MAX_WAITING: Final = 64
"""Most requests that wait for their turn: a fifth of a second on a small machine, so that an answer still has a reader."""

MAX_INSIDE: Final = 96
"""Most requests that had their turn and aren't answered yet: they wait for the store, or (40 at most) for a vendor."""

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

    def __init__(self, *, waiting: int = MAX_WAITING, inside: int = MAX_INSIDE) -> None:
        """Begin with nobody there.

        :param waiting: most that wait for their turn.
        :param inside: most that had it and aren't answered yet.
        """
        self._most_waiting = waiting
        self._most_inside = inside
        self._inside = 0
        self._lines: tuple[deque[asyncio.Future[None]], ...] = tuple(deque() for _ in Urgency)
        self._due = False

    @property
    def waiting(self) -> int:
        """Return how many wait for their turn."""
        return sum(len(line) for line in self._lines)

    @property
    def inside(self) -> int:
        """Return how many had their turn and aren't answered yet."""
        return self._inside

    def require_room(self, urgency: Urgency) -> None:
        """Return if a request may join the line; asked before its body is read.

        :raises UnavailableError: ``service.overloaded``.
        """
        if self.waiting >= self._most_waiting and not any(self._lines[urgency + 1 :]):
            raise _full(self._most_waiting)

    @asynccontextmanager
    async def turn(self, urgency: Urgency) -> AsyncIterator[None]:
        """Wait for a turn; it ends with the block.

        :raises UnavailableError: ``service.overloaded``, at once when the line is full, or later when somebody more
            urgent took the place.
        """
        self.require_room(urgency)
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
        """Turn away the last of the least urgent, who has waited least."""
        line = next(line for line in reversed(self._lines[urgency + 1 :]) if line)
        waiter = line.pop()
        if not waiter.done():
            waiter.set_exception(_full(self._most_waiting))

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


def _full(most: int) -> UnavailableError:
    return UnavailableError(
        Reason.SERVICE_OVERLOADED,
        f"got more than {most} requests that wait for their turn",
        RETRY_SECONDS,
    )
