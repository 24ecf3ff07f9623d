"""Drop instances whose time is over: in small transactions with pauses between them, so that nobody who enrols waits for it."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from watchword.encoding.phrases import moment as utc
from watchword.enrolment.retention import (
    KEPT_FOR_EVER,
    LEFT_FOR,
    BatchSize,
    Dropped,
    ExpiryTerms,
    RetentionStore,
    RetentionTerms,
)
from watchword.ports import AuditEntry, Clock

ACTOR: Final = "retention"
"""Who drops instances, in the audit trail."""

LEAST_PAUSE: Final = 0.02
"""Seconds between two pieces of work; after a longer one it waits longer."""

MOST_FOUND: Final = 1000
"""Most instances that are found in one piece of the store, before they are dropped in batches."""

_SHARE: Final = 3
"""So many times as long as a piece took the store is left to others."""

_log = structlog.get_logger()


def _always() -> bool:
    return True


class Expiry:
    """Look through all instances, piece by piece, and drop those whose time is over.

    :ivar dropped: how many, since the start: ``unused``, ``revoked``, and what was left of ``deleted`` ones.
    """

    def __init__(
        self,
        store: RetentionStore,
        clock: Clock,
        steady: Callable[[], float],
        terms: RetentionTerms = KEPT_FOR_EVER,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Prepare.

        :param steady: seconds that nobody sets, by which it is known how long a transaction takes.
        """
        self.dropped: Counter[str] = Counter()
        self._store = store
        self._clock = clock
        self._steady = steady
        self._terms = terms
        self._sleep = sleep
        self._batch = BatchSize()

    async def round(self, may_go_on: Callable[[], bool] = _always) -> int:
        """Look through all instances once; return how many were dropped.

        :param may_go_on: is asked before each piece: another node may do it by now, or the clock be wrong.
        :raises UnavailableError: when the store can't answer; what was dropped stays dropped.
        """
        before = self.dropped.total()
        await self._drop_erased(may_go_on)
        if self._terms != KEPT_FOR_EVER:
            await self._drop_over(self._terms.at(self._clock.now()), may_go_on)
        dropped = self.dropped.total() - before
        if dropped:
            _log.info("instances expired", count=dropped)
        return dropped

    async def _drop_erased(self, may_go_on: Callable[[], bool]) -> None:
        until, size = self._clock.now() - LEFT_FOR, self._batch.size
        while may_go_on():
            begun, size = self._steady(), self._batch.size
            dropped = await self._store.drop_erased(until, size)
            self.dropped["deleted"] += dropped
            if dropped < size:
                return
            await self._rest(begun, is_write=True)

    async def _drop_over(self, terms: ExpiryTerms, may_go_on: Callable[[], bool]) -> None:
        after: int | None = 0
        while after is not None and may_go_on():
            begun = self._steady()
            found = await self._store.over(terms, after, MOST_FOUND)
            await self._rest(begun)
            names, after = list(found.names), found.after
            while names and may_go_on():
                taken, names = names[: self._batch.size], names[self._batch.size :]
                begun = self._steady()
                self._count(await self._store.drop(taken, terms, self._entry))
                await self._rest(begun, is_write=True)

    def _count(self, dropped: Dropped) -> None:
        self.dropped["unused"] += dropped.unused
        self.dropped["revoked"] += dropped.revoked

    def _entry(self, dropped: Dropped) -> AuditEntry:
        """Say that instances were dropped, and not which ones: nothing is to be left of them."""
        now = self._clock.now()
        over = self._terms.at(now)
        detail = {"unused": dropped.unused, "revoked": dropped.revoked} | {
            name: utc(at)
            for name, at in (
                ("used_before", over.used_before),
                ("revoked_before", over.revoked_before),
            )
            if at is not None
        }
        return AuditEntry(now, ACTOR, "instances.expired", ACTOR, detail)

    async def _rest(self, begun: float, *, is_write: bool = False) -> None:
        took = self._steady() - begun
        if is_write:
            self._batch.note(took)
        await self._sleep(max(LEAST_PAUSE, _SHARE * took))
