"""Cut off tokens by an operator's word: at one instant, for gates step by step, and over restarts."""

import asyncio
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

import structlog

from watchword.adapters.system import steady_seconds
from watchword.apps.service.publisher import GatePublisher
from watchword.enrolment.interface import EnrolmentPolicy
from watchword.gate.cuts import BUCKETS, Cut, CutStore, ScheduledCut
from watchword.ports import AuditEntry, Clock
from watchword.reasons import Reason, RefusedError, UnavailableError
from watchword.vocabulary import Level

DEFAULT_STEP: Final = 4
"""So many of the parts are cut at a time where the operator doesn't say."""

DEFAULT_PAUSE: Final = 30
"""So many seconds pass between two steps where the operator doesn't say."""

MAX_PAUSE: Final = 600
"""Most seconds between two steps; no token lives longer than an hour."""

HEADROOM: Final = 2
"""A cut fits where the service could carry out so many times the renewals."""

_LOOK_SECONDS: Final = 0.02
_SOON_SECONDS: Final = 2.0
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class CutRequest:
    """Hold what an operator wants to cut.

    :param before: seconds since 1970; None means now.
    :param step: how many of :data:`BUCKETS` parts at a time.
    :param pause: seconds between two steps.
    """

    app: str
    level: Level | None
    before: int | None = None
    step: int = DEFAULT_STEP
    pause: int = DEFAULT_PAUSE


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """Hold what a cut would do.

    :param holders: how many instances may have a token that it covers.
    :param step: how many of :data:`BUCKETS` parts at a time.
    :param pause: seconds between two steps.
    :param lifetime: of tokens, in seconds.
    :param capacity: how many renewals a second the service carries out, as it is estimated.
    """

    holders: int
    step: int
    pause: int
    lifetime: int
    capacity: float

    @property
    def steps(self) -> int:
        """Return how many steps there are."""
        return -(-BUCKETS // self.step)

    @property
    def seconds(self) -> int:
        """Return the time from the first step to the last."""
        return (self.steps - 1) * self.pause

    @property
    def usual(self) -> float:
        """Return how many renewals a second these instances cause without a cut, where all of them are in use."""
        return self.holders / self.lifetime

    @property
    def peak(self) -> float:
        """Return how many renewals a second there are at most, where each step's are spread over its pause."""
        return self.usual + self._of_a_step / max(self.pause, 1)

    @property
    def fits(self) -> bool:
        """Tell whether the service has room for as many again: clients of 1.0 don't spread theirs."""
        return self.peak <= self.capacity / HEADROOM

    @property
    def fitting_pause(self) -> int | None:
        """Return the shortest pause at which it fits with steps of one part; None where none does."""
        room = self.capacity / HEADROOM - self.usual
        found = math.ceil(self.holders / BUCKETS / room) if room > 0 else MAX_PAUSE + 1
        return found if found <= MAX_PAUSE else None

    @property
    def _of_a_step(self) -> float:
        return self.holders * min(self.step, BUCKETS) / BUCKETS


@dataclass(slots=True)
class CutSchedule:
    """Make cuts, take their steps, and hold back tokens that would be cut as soon as they are issued.

    :param policy: says which apps there are, and how long tokens live that are issued now.
    :param steady: seconds that nobody sets, which also run while the machine sleeps.
    """

    store: CutStore
    publisher: GatePublisher
    clock: Clock
    policy: EnrolmentPolicy
    steady: Callable[[], float] = steady_seconds
    _making: asyncio.Lock = field(default_factory=asyncio.Lock)
    _not_before: int = 0
    _due: dict[int, float] = field(default_factory=dict)

    async def make(self, wanted: CutRequest, because: str, actor: str) -> ScheduledCut:
        """Keep a new cut, whose first step is in force with it; gates are told with the next publication.

        :raises RefusedError: ``request.malformed`` when no such token can be alive, or too many cuts are in force.
        :raises UnavailableError: when it can't be kept; nothing is cut then.
        """
        async with self._making:
            now = self.clock.now()
            cut = ScheduledCut(
                Cut(
                    wanted.app, wanted.level, self._instant(wanted, now), min(wanted.step, BUCKETS)
                ),
                wanted.step,
                wanted.pause,
                because,
                actor,
                now,
            )
            made = await self.store.add_cut(cut, self._since(now), _made)
            # From here on: what is issued in this very second would be cut.
            self._not_before = max(self._not_before, made.cut.before)
        self._due[made.id] = self.steady() + made.pause
        _log.warning("tokens are cut off", cut=made.name, app=wanted.app, actor=actor)
        return made

    async def issuable(self) -> None:
        """Wait until a token that is issued now isn't cut by its instant: a second at most.

        :raises UnavailableError: ``service.clock`` when that is further off: the clock was set back.
        """
        async with self._making:
            pass
        while (left := self._not_before - self.clock.timestamp()) > 0:
            if left > _SOON_SECONDS:
                raise UnavailableError(
                    Reason.SERVICE_CLOCK,
                    f"tokens of the next {left:.0f} s are cut off since the clock was set back: set it right, or "
                    "start the service again to take it for right",
                    retry_after=int(left) + 1,
                )
            await asyncio.sleep(min(left, _LOOK_SECONDS))

    async def listed(self) -> Sequence[ScheduledCut]:
        """Return the cuts that are in force."""
        return await self.store.cuts(self._since(self.clock.now()))

    async def stop(self, cut_id: int, because: str, actor: str) -> ScheduledCut:
        """End a cut's steps; what is cut stays so, until no token of before is alive.

        :raises RefusedError: ``request.not_found``.
        :raises UnavailableError: when the store can't write it.
        """
        now = self.clock.now()
        name = f"cut-{cut_id}"
        audit = AuditEntry(now, actor, "instances.cut-stop", name, {"because": because})
        stopped = await self.store.stop_cut(cut_id, audit)
        if stopped is None:
            raise RefusedError.because(
                Reason.REQUEST_NOT_FOUND, "expected a cut, as `watchword instances cuts` shows it"
            )
        self._due.pop(cut_id, None)
        _log.warning("a cut is stopped", cut=name, share=stopped.cut.share, actor=actor)
        return stopped

    async def advance(self) -> None:
        """Take the steps that are due, and tell gates.

        After a start each cut waits for a whole pause: nobody knows how much of it is over.
        """
        now, at = self.clock.now(), self.steady()
        ongoing = [each for each in await self.listed() if each.goes_on]
        self._due = {
            each.id: min(self._due.get(each.id, at + each.pause), at + each.pause)
            for each in ongoing
        }
        taken = False
        for each in ongoing:
            if at >= self._due[each.id]:
                # One that the store can't write is due still.
                taken |= await self.store.advance_cut(each)
                self._due[each.id] = at + each.pause
        if taken:
            await self.publisher.publish(now)

    async def rehearse(self, wanted: CutRequest, capacity: float) -> Rehearsal:
        """Tell what a cut would do; nothing is changed.

        :param capacity: how many renewals a second the service carries out.
        :raises RefusedError: ``request.malformed`` when no such token can be alive.
        """
        now = self.clock.now()
        before = datetime.fromtimestamp(self._instant(wanted, now), UTC)
        since = datetime.fromtimestamp(self._since(now), UTC)
        holders, after = 0, 0
        while True:
            found, more = await self.store.count_holders(
                wanted.app, wanted.level, since, before, after
            )
            holders += found
            if more is None:
                break
            after = more
        return Rehearsal(holders, wanted.step, wanted.pause, self.policy.token_lifetime, capacity)

    def _since(self, now: datetime) -> int:
        # A clock that was set ahead makes no cut older for gates.
        window = timedelta(seconds=self.publisher.window_seconds)
        return int(min(now - window, self.publisher.since).timestamp())

    def _instant(self, wanted: CutRequest, now: datetime) -> int:
        # Tokens say whole seconds: of those of this very one some were issued before.
        latest = int(now.timestamp()) + 1
        before = latest if wanted.before is None else min(wanted.before, latest)
        if before < self._since(now):
            raise RefusedError.because(
                Reason.REQUEST_MALFORMED,
                "no token that was issued before this instant is alive any more; nothing is to be cut",
            )
        return before


def _made(cut: ScheduledCut) -> AuditEntry:
    level = cut.cut.level
    detail = {
        "because": cut.because,
        "app": cut.cut.app,
        "level": None if level is None else level.value,
        "before": cut.cut.before,
        "step": cut.step,
        "pause": cut.pause,
    }
    return AuditEntry(cut.made_at, cut.made_by, "instances.cut", cut.name, detail)
