"""Say a cut by the names of the instances whose last token it covers, for gates that know revoked instances alone.

Such a gate refuses these instances until they have renewed, and so takes them for revoked for some seconds more.  Whoever
renewed may still use a token of before there.  Both end with the upgrade of the gate.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from watchword.enrolment.service import pairwise_subject
from watchword.gate.cuts import BUCKETS, Cut, CutStore, bucket_of

MOST_LOOKED_THROUGH: Final = 100_000
"""So many rows of instances are looked through at most; beyond it costs too much to do again and again."""

MOST_HELD: Final = 10_000
"""So many names are told at most."""

LOOK_SECONDS: Final = 5.0
"""So often the names are looked for: who renews is let in again after so long at most."""

_Holder = tuple[str, tuple[str, ...]]


class CutNames:
    """Find the names, as long as they are few."""

    def __init__(self, store: CutStore, key: bytes) -> None:
        """Begin with no cut.

        :param key: the service's pairwise key.
        """
        self._store = store
        self._key = key
        self._cuts: frozenset[Cut] = frozenset()
        self._looked_at: datetime | None = None
        self._names: Mapping[str, frozenset[str]] | None = {}

    def of(self, audience: str) -> frozenset[str] | None:
        """Return by which names the instances are known at an audience, None where they are too many to tell."""
        return None if self._names is None else self._names.get(audience, frozenset())

    async def refresh(self, cuts: frozenset[Cut], since: datetime, now: datetime) -> None:
        """Look for the names anew where others are cut, or it is time.

        :param since: who was issued the last token before has none any more.
        :raises UnavailableError: when the store can't be read.
        """
        looked = self._looked_at
        if cuts == self._cuts and (
            not cuts or (looked is not None and 0 <= (now - looked).total_seconds() < LOOK_SECONDS)
        ):
            return
        # One that is too large stays so, whoever renews meanwhile and at each further step: it would be told and not told
        # in turns, and looked for while everybody renews.
        if self._names is not None or not _scopes(self._cuts) <= _scopes(cuts):
            self._names = await self._found(cuts, since)
        self._cuts, self._looked_at = cuts, now

    async def _found(
        self, cuts: frozenset[Cut], since: datetime
    ) -> Mapping[str, frozenset[str]] | None:
        names: dict[str, set[str]] = {}
        for cut in cuts:
            holders = await self._holders(cut, since)
            if holders is None:
                return None
            for audience, subject in await asyncio.to_thread(self._covered, cut, holders):
                names.setdefault(audience, set()).add(subject)
        if sum(map(len, names.values())) > MOST_HELD:
            return None
        return {audience: frozenset(found) for audience, found in names.items()}

    async def _holders(self, cut: Cut, since: datetime) -> Sequence[_Holder] | None:
        """Return whose last token is of before, None where that takes too long."""
        if cut.app is None:
            return None
        before = datetime.fromtimestamp(cut.before, UTC)
        found: list[_Holder] = []
        after: int | None = 0
        while after is not None:
            if after >= MOST_LOOKED_THROUGH or len(found) > MOST_HELD:
                return None
            more, after = await self._store.holders(cut.app, cut.level, since, before, after)
            found += more
        return found

    def _covered(self, cut: Cut, holders: Sequence[_Holder]) -> Sequence[tuple[str, str]]:
        named = (
            (audience, pairwise_subject(name, audience, self._key))
            for name, audiences in holders
            for audience in audiences
        )
        return [each for each in named if bucket_of(each[1]) < cut.share]


def _scopes(cuts: frozenset[Cut]) -> frozenset[Cut]:
    """Return cuts without how far they are."""
    return frozenset(replace(each, share=BUCKETS) for each in cuts)
