"""Share out among those who call third parties: the connections to each, and the memory for answers that are held."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Final

from watchword.reasons import Reason, UnavailableError

MOST_AT_ONCE: Final = 32
"""Most calls of one instance to one third party at once, an eighth of the connections; further ones wait for a turn.

A phone that sends its bodies a byte at a time would hold all of them otherwise, and nobody else would get any.
"""

MOST_HELD: Final = 128 * 1024 * 1024
"""Most bytes of answers that a process holds at once, until they were searched and taken."""

ONES_SHARE: Final = MOST_HELD // 8
"""Most bytes of them for one instance that has several calls under way; a single answer may have `max_answer`."""


@dataclass(slots=True)
class _Line:
    turns: asyncio.Semaphore
    length: int = 0


@dataclass(slots=True)
class Turns:
    """Let each instance have so many calls at once; belongs to one event loop, and remembers who calls alone."""

    most: int = MOST_AT_ONCE
    _lines: dict[tuple[str, str], _Line] = field(default_factory=dict)

    @asynccontextmanager
    async def one(self, secret: str, who: str, seconds: float) -> AsyncIterator[None]:
        """Hold a turn for one call.

        :param who: the pairwise subject of the instance.
        :param seconds: longest wait for it.
        :raises TimeoutError: when the instance's other calls last longer than that.
        """
        line = self._lines.setdefault((secret, who), _Line(asyncio.Semaphore(self.most)))
        line.length += 1
        try:
            # Where nobody waits, neither does this one: no timer is needed then.
            async with asyncio.timeout(seconds if line.turns.locked() else None):
                await line.turns.acquire()
            try:
                yield
            finally:
                line.turns.release()
        finally:
            line.length -= 1
            if not line.length:
                del self._lines[secret, who]

    def __len__(self) -> int:
        """Return how many instances call or wait."""
        return len(self._lines)


@dataclass(slots=True)
class Place:
    """Hold how much room one answer has."""

    room: "Room"
    who: str
    held: int = 0

    def take(self, count: int) -> None:
        """Take so many bytes more.

        It never waits: answers that are half read and wait for each other would wait forever.

        :raises UnavailableError: ``gate.overloaded`` when there are none left.
        """
        self.room.take(self, count)
        self.held += count


@dataclass(slots=True)
class Room:
    """Bound what is held of answers, together and for each instance; belongs to one event loop."""

    most: int = MOST_HELD
    share: int = ONES_SHARE
    held: int = 0
    _places: dict[str, list[Place]] = field(default_factory=dict)

    @contextmanager
    def one(self, who: str) -> Iterator[Place]:
        """Give room to one answer, which is free again at the end.

        :param who: the pairwise subject of the instance.
        """
        place = Place(self, who)
        mine = self._places.setdefault(who, [])
        mine.append(place)
        try:
            yield place
        finally:
            self.held -= place.held
            mine.remove(place)
            if not mine:
                del self._places[who]

    def take(self, place: Place, count: int) -> None:
        """Count so many bytes more for an answer; raises as :meth:`Place.take` does."""
        others = sum(each.held for each in self._places[place.who]) - place.held
        if self.held + count > self.most or (others and place.held + others + count > self.share):
            raise UnavailableError(
                Reason.GATE_OVERLOADED, "answers that are held to be searched took their room"
            )
        self.held += count
