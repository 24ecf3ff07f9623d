"""Keep Google's status list up to date in the background; verification never waits for it.

A list is taken over whole or not at all: it is parsed off to the side and put in place of the old
one in one assignment.  While its server fails, the old one answers and grows old; whoever asks
learns by :meth:`LiveStatusList.is_known` when it is too old, and policy decides what follows.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Final

import structlog

from watchword.adapters.keyring.private_file import PrivateFileError
from watchword.adapters.revocation.freshness import (
    FIRST_PAUSE,
    LEAST_SECONDS,
    fresh_seconds,
    pause_seconds,
)
from watchword.adapters.revocation.saved import SavedList, read_saved, usable_etag, write_saved
from watchword.adapters.revocation.status_list import (
    StatusList,
    StatusListError,
    read_status_list,
    revoked_in,
    stricter,
)
from watchword.ports import Fetcher, FetchRequest, FetchResponse, RevocationEntry
from watchword.reasons import UnavailableError

CLOCK_LEEWAY: Final = timedelta(minutes=5)
"""By how much a list may come from the future before its age counts as unknown."""

GONE_TOLD: Final = 10
"""Most serials that are named of those whose revocation was taken back."""

SHRINK_FLOOR: Final = 20
"""Lists of fewer revocations may shrink as they like."""

_log = structlog.get_logger()


class FetchOutcome(StrEnum):
    """Say what came of an attempt.

    ``taken``: the list that was sent is in place.  ``unchanged``: the server says it is the one that we have.
    ``failed``: no answer, or one that is no list.  ``shrunk``: more than half of the revocations were gone.
    """

    TAKEN = "taken"
    UNCHANGED = "unchanged"
    FAILED = "failed"
    SHRUNK = "shrunk"


@dataclass(frozen=True, slots=True)
class _Current:
    """Hold everything that belongs together, so that one assignment replaces it.

    :param fetched: as the server sent it; ``merged``: with the snapshots.
    :param at: when the server last said so, by the clock on the wall; ``at_monotonic`` likewise.
    """

    fetched: SavedList | None
    merged: StatusList
    at_monotonic: float


class LiveStatusList:
    """Implement :class:`watchword.ports.RevocationStatus` with a list that is fetched."""

    def __init__(
        self,
        fetcher: Fetcher,
        url: str,
        *,
        max_age: int,
        saved: Path | None = None,
        snapshots: StatusList | None = None,
        fresh: Callable[[Mapping[str, str]], float] = fresh_seconds,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Load what was saved; nothing is fetched before :meth:`refresh`.

        A saved file that can't be used is logged and replaced by the next list: it is a copy.

        :param max_age: seconds after which a list that couldn't be renewed doesn't count as known.
        :param saved: a file in the state directory; None keeps no copy.
        :param snapshots: entries that hold whatever the fetched list says.
        :param fresh: how many seconds an answer with these headers is fresh.
        """
        self.outcomes: Counter[FetchOutcome] = Counter()
        self._fetcher = fetcher
        self._url = url
        self._max_age = timedelta(seconds=max_age)
        self._path = saved
        self._snapshots: Mapping[str, RevocationEntry] = snapshots.entries if snapshots else {}
        self._fresh = fresh
        self._monotonic = monotonic
        self._failures = 0
        self._last: FetchOutcome | None = None
        self._wait = 0.0
        self._attempt: tuple[datetime, float] | None = None
        self._turn = asyncio.Lock()
        self._current = self._made(self._load())

    @property
    def digest(self) -> str:
        """Return SHA-256 in hex over the entries in order; empty before there is a list."""
        current = self._current
        if current.fetched is None and not len(current.merged):
            return ""
        return current.merged.digest

    @property
    def last_outcome(self) -> FetchOutcome | None:
        """Return what came of the last attempt of this process, None before the first."""
        return self._last

    def find(self, serial_hex: str) -> RevocationEntry | None:
        """Return the entry for a serial, None if there is none; also of a list that is too old."""
        return self._current.merged.find(serial_hex)

    def revoked(self) -> Sequence[str]:
        """Return the serials whose status is REVOKED."""
        return self._current.merged.revoked()

    def count_by_status(self) -> Mapping[str, int]:
        """Return how many entries there are of each status."""
        return Counter(entry.status for entry in self._current.merged.entries.values())

    def age(self, now: datetime) -> timedelta | None:
        """Return how long ago the server last vouched for the list; None if never, or unknowable.

        Two clocks are asked and the older age holds: one that was set back doesn't make a list
        young again, and one that stood still while the machine slept doesn't either.
        """
        current = self._current
        if current.fetched is None:
            return None
        by_the_wall = now - current.fetched.fetched_at
        if by_the_wall < -CLOCK_LEEWAY:
            return None
        running = timedelta(seconds=max(0.0, self._monotonic() - current.at_monotonic))
        return max(by_the_wall, running, timedelta(0))

    def is_known(self, now: datetime) -> bool:
        """Tell whether a list was fetched, and is no older than it may be."""
        age = self.age(now)
        return age is not None and age <= self._max_age

    async def refresh(self, now: datetime) -> FetchOutcome | None:
        """Fetch the list if it is time to; return what came of it, None where nothing was to do.

        One attempt is under way at a time; a call that comes meanwhile returns at once.  Raises
        nothing that a server could cause.
        """
        if self._turn.locked() or not self._is_due(now):
            return None
        async with self._turn:
            headers: Mapping[str, str] | None = None
            # Set before anything can fail, so that no failure leads to an attempt at each turn.
            self._attempt = (now, self._monotonic())
            self._wait = pause_seconds(self._failures + 1)
            try:
                response = await self._fetcher.fetch(self._request())
                headers = response.headers
                outcome = await self._take(response, now)
            except (UnavailableError, StatusListError) as error:
                outcome = FetchOutcome.FAILED
                if self._last is not outcome:
                    # Told when it begins: one line for each attempt would hide all others.
                    _log.warning("status list not fetched", detail=str(error))
            self._note(outcome, headers)
        return outcome

    def _request(self) -> FetchRequest:
        fetched = self._current.fetched
        etag = fetched.etag if fetched is not None else ""
        return FetchRequest("GET", self._url, {"if-none-match": etag} if etag else {})

    async def _take(self, response: FetchResponse, now: datetime) -> FetchOutcome:
        """Put the list of an answer in place.

        :raises StatusListError: when the answer is no list.
        """
        old = self._current.fetched
        if response.status == 304 and old is not None and old.etag:
            new = SavedList(self._url, now, old.etag, old.entries)
            self._current = _Current(new, self._current.merged, self._monotonic())
            await asyncio.to_thread(self._save, new)
            return FetchOutcome.UNCHANGED
        if response.status != 200:
            raise StatusListError(f"{self._url}: got status {response.status}, expected 200")
        entries = await asyncio.to_thread(read_status_list, response.body, self._url)
        etag = usable_etag(response.headers.get("etag", ""))
        if old is not None and _is_absurd(old.revoked, entries):
            # Withdrawals that vanish by the hundred are likelier a fault than an amnesty.  What is
            # new in it acts; what is gone stays; the age isn't renewed, since half of it is unread.  The next one is
            # held to the same list: to all that acts by then, this one would have lost less than half.
            both = stricter(old.entries, entries)
            kept = SavedList(self._url, old.fetched_at, "", both, tuple(old.revoked))
            made = await asyncio.to_thread(self._made, kept)
            self._current = _Current(kept, made.merged, self._current.at_monotonic)
            await asyncio.to_thread(self._save, kept)
            if self._last is not FetchOutcome.SHRUNK:
                _log.error(
                    "status list shrank",
                    entries=len(entries),
                    before=len(old.entries),
                    detail="old entries stay; if the new list is right: stop, remove the copy, start",
                )
            return FetchOutcome.SHRUNK
        new = SavedList(self._url, now, etag, entries)
        made = await asyncio.to_thread(self._made, new)
        if made.merged.digest != self._current.merged.digest:
            _log.info("status list changed", entries=len(entries))
        _tell_of_gone(self._current.merged, made.merged)
        self._current = made
        await asyncio.to_thread(self._save, new)
        return FetchOutcome.TAKEN

    def _note(self, outcome: FetchOutcome, headers: Mapping[str, str] | None) -> None:
        """Count an attempt and say when the next one is due."""
        if outcome in {FetchOutcome.TAKEN, FetchOutcome.UNCHANGED}:
            if self._failures:
                _log.info("status list fetched again", failures=self._failures)
            self._failures = 0
            fresh = self._fresh(headers or {})
            # A list must not become too old before it is asked for again; nobody is asked all the time.
            self._wait = min(fresh, max(self._max_age.total_seconds() / 2, LEAST_SECONDS))
        else:
            self._failures += 1
            self._wait = pause_seconds(self._failures, headers)
        self._last = outcome
        self.outcomes[outcome] += 1

    def _is_due(self, now: datetime) -> bool:
        """Tell whether to ask now: one clock can be set, the other one stands still in sleep."""
        if self._attempt is None:
            return True
        at, at_monotonic = self._attempt
        elapsed = max(self._monotonic() - at_monotonic, (now - at).total_seconds())
        is_unknowable = self._current.fetched is not None and self.age(now) is None
        return elapsed >= (min(self._wait, FIRST_PAUSE) if is_unknowable else self._wait)

    def _made(self, fetched: SavedList | None) -> _Current:
        entries = fetched.entries if fetched is not None else {}
        merged = StatusList(stricter(self._snapshots, entries))
        return _Current(fetched, merged, self._monotonic())

    def _load(self) -> SavedList | None:
        if self._path is None:
            return None
        try:
            saved = read_saved(self._path)
        except StatusListError as error:
            _log.warning("saved status list is of no use", detail=str(error))
            return None
        return saved if saved is not None and saved.url == self._url else None

    def _save(self, fetched: SavedList) -> None:
        """Write the copy; a disk that refuses it takes nothing from the list in memory."""
        if self._path is None:
            return
        try:
            write_saved(self._path, fetched)
        except PrivateFileError as error:
            _log.warning("status list not saved", detail=str(error))


def _tell_of_gone(before: StatusList, after: StatusList) -> None:
    """Warn of certificates that may be used again: an amnesty, or an older list that a cache on the way served."""
    gone = sorted(set(before.revoked()).difference(after.revoked()))
    if gone:
        told = gone[:GONE_TOLD]
        _log.warning("status list took revocations back", count=len(gone), serials=told)


def _is_absurd(old: Sequence[str], new: Mapping[str, RevocationEntry]) -> bool:
    """Tell whether more than half of the revocations are gone at once.

    They are also gone where their statuses are spelled in another way than we know.
    """
    before = set(old)
    return len(before) >= SHRINK_FLOOR and 2 * len(before.intersection(revoked_in(new))) < len(
        before
    )
