"""Be a fleet whose tokens are cut off: sessions that begin at any time, requests in them, renewals where a token counts no more.

An open loop: a renewal has its moment by what its user does, whether or not the service keeps up, and its time counts from there.

Each phone of the fleet opens the app five times a day, four times as often in the busiest hour, for three minutes, and sends a
request every ten seconds (docs/sizing.md has the same phones).  It renews at the first request for which its token counts no more.
Whoever is turned away or gets no answer asks again some seconds later; whoever is revoked doesn't.
"""

import asyncio
import heapq
import itertools
import random
import time
from collections import Counter
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from benchmarks.overload_load import PATIENCE
from benchmarks.storm_load import Phones

from watchword.gate.cuts import BUCKETS

OPENS_A_SECOND: Final = 5 * 4 / 86_400
"""Of each phone, in the busiest hour."""

SESSION_SECONDS: Final = 180.0
REQUEST_SECONDS: Final = 10.0
_AGAIN_SECONDS: Final = 5.0
_MOST_SLEEP_SECONDS: Final = 0.02
_GOOD, _REFUSED = 200, 403


@dataclass
class Counts:
    """Count what was asked, and what came of it.

    :ivar moments: of each renewal that was meant to begin, in seconds of the steady clock.
    :ivar took: seconds from that moment to each token.
    :ivar behind: seconds by which the generator was late.
    :ivar failed: genuine renewals that were answered otherwise or not in time, by status.
    :ivar bad_seconds: in which those of them began, by the steady clock.
    :ivar renewed: phones that got a token after their last one was cut.
    :ivar revoked_asked: renewals of revoked phones that were answered.
    :ivar revoked_renewed: those of them that got a token.
    """

    moments: list[float] = field(default_factory=list)
    took: list[float] = field(default_factory=list)
    behind: list[float] = field(default_factory=list)
    failed: Counter[int] = field(default_factory=Counter)
    bad_seconds: set[int] = field(default_factory=set)
    renewed: int = 0
    revoked_asked: int = 0
    revoked_renewed: int = 0

    def peak(self, window: float, since: float = 0.0) -> float:
        """Return the most renewals a second within any ``window`` seconds."""
        moments = sorted(each for each in self.moments if each >= since)
        most, first = 0, 0
        for last, moment in enumerate(moments):
            while moments[first] <= moment - window:
                first += 1
            most = max(most, last - first + 1)
        return most / window


class Fleet:
    """Hold who has which token, who uses the app, and who is to renew when."""

    def __init__(
        self,
        phones: Phones,
        issued: Sequence[float],
        buckets: bytes,
        revoked: int,
        lifetime: float,
        jitter: float,
    ) -> None:
        """Begin with as many sessions as there are at any time.

        :param issued: by phone when its token was issued, in seconds since 1970.
        :param buckets: by phone in which part of a cut it falls.
        :param revoked: so many, the first of them, are revoked.
        :param lifetime: of tokens, in seconds.
        :param jitter: most seconds by which every second phone puts off the renewal of a token that was cut, as clients
            of today do; all others have one of 0.2.0, which puts nothing off.
        """
        self.counts = Counts()
        self._phones = phones
        self._issued = list(issued)
        self._buckets = buckets
        self._revoked = revoked
        self._lifetime, self._jitter = lifetime, jitter
        self._before, self._share = 0, 0
        self._ends: dict[int, float] = {}
        self._asking: set[int] = set()
        self._gone: set[int] = set()
        self._due: list[tuple[float, int, int]] = []
        self._order = itertools.count()
        self._tasks: set[asyncio.Task[None]] = set()
        self._random = random.Random(26)
        now = time.monotonic()
        begun = int(self.opens_a_second * SESSION_SECONDS)
        for left in sorted(self._random.uniform(0, SESSION_SECONDS) for _ in range(begun)):
            self._ends[self._anybody()] = now + left
        self._opens = now

    def __len__(self) -> int:
        """Return how many phones there are."""
        return len(self._issued)

    @property
    def alive(self) -> int:
        """Return how many hold a token that lives."""
        ended = time.time() - self._lifetime
        return sum(each > ended for each in self._issued)

    @property
    def opens_a_second(self) -> float:
        """Return how many sessions begin a second."""
        return len(self._issued) * OPENS_A_SECOND

    @property
    def in_session(self) -> int:
        """Return how many phones use the app."""
        return len(self._ends)

    def cut(self, before: int, share: int) -> None:
        """Learn of a step of a cut, as each phone that uses the app does by its next request."""
        self._before, self._share = before, share
        now = time.monotonic()
        for phone, ends in self._ends.items():
            if self._is_cut(phone):
                at = now + self._random.uniform(0, REQUEST_SECONDS)
                if at < ends:
                    self._renew_at(at + self._put_off(phone), phone)

    async def run(self, ended: asyncio.Event) -> None:
        """Go on until somebody says so; what is on its way then is waited for."""
        while not ended.is_set():
            now = time.monotonic()
            while self._opens <= now:
                self._open(self._opens)
                self._opens += self._random.expovariate(self.opens_a_second)
            while self._due and self._due[0][0] <= now:
                at, _, phone = heapq.heappop(self._due)
                self._start(self._renew(at, phone))
            ahead = min(self._opens, self._due[0][0]) if self._due else self._opens
            # Not longer: a step of a cut may bring something that is due before.
            await asyncio.sleep(min(_MOST_SLEEP_SECONDS, max(0.0, ahead - time.monotonic())))
        while self._tasks:
            await asyncio.wait(self._tasks)

    def _anybody(self) -> int:
        return self._random.randrange(len(self._issued))

    def _open(self, at: float) -> None:
        for phone in [
            each for each, ends in itertools.islice(self._ends.items(), 64) if ends <= at
        ]:
            del self._ends[phone]
        phone = self._anybody()
        self._ends.pop(phone, None)
        self._ends[phone] = at + SESSION_SECONDS
        left = self._issued[phone] + self._lifetime - time.time()
        if self._is_cut(phone):
            self._renew_at(at + self._put_off(phone), phone)
        elif left < SESSION_SECONDS:
            self._renew_at(at + max(0.0, left), phone)

    def _put_off(self, phone: int) -> float:
        return self._random.uniform(0, self._jitter) if phone % 2 else 0.0

    def _is_cut(self, phone: int) -> bool:
        return self._buckets[phone] < self._share and self._issued[phone] < self._before

    def _renew_at(self, at: float, phone: int) -> None:
        if phone not in self._asking and phone not in self._gone:
            self._asking.add(phone)
            heapq.heappush(self._due, (at, next(self._order), phone))

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _renew(self, at: float, phone: int) -> None:
        counts, was_cut = self.counts, self._is_cut(phone)
        counts.moments.append(at)
        counts.behind.append(time.monotonic() - at)
        started = time.time()
        found = await self._phones.renew(phone)
        took = time.monotonic() - at
        self._asking.discard(phone)
        if phone < self._revoked:
            counts.revoked_asked += found.status in {_GOOD, _REFUSED}
            counts.revoked_renewed += found.status == _GOOD
        if found.status == _REFUSED:
            self._gone.add(phone)
        if found.status == _GOOD:
            # A new token is of a whole second that isn't cut any more.
            self._issued[phone] = max(started, float(self._before if was_cut else 0))
        if phone < self._revoked and found.status == _REFUSED:
            return
        if found.status == _GOOD and took <= PATIENCE:
            counts.took.append(took)
            counts.renewed += was_cut
            return
        counts.failed[found.status] += 1
        counts.bad_seconds.add(int(at))
        if found.status not in {_GOOD, _REFUSED}:
            self._renew_at(time.monotonic() + self._random.uniform(1, _AGAIN_SECONDS), phone)


def steps_of(step: int) -> int:
    """Return in how many steps a cut goes."""
    return -(-BUCKETS // step)
