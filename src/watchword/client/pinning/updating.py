"""Bring pins up to date: what was kept, what the service has now, and when to ask it.

Nothing here is on the way of a request.  A fetch that fails changes nothing, and the next one comes later.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from watchword.client.pinning.keeper import PinKeeper, Seen
from watchword.client.pinning.source import PinSource, SourceError
from watchword.client.pinning.store import Kept, PinStore, StoreError
from watchword.pins.installed import accept_roots, accept_set, fresh, is_fresh, restored
from watchword.pins.interface import Builtin, Installed
from watchword.pins.roots import read_unverified
from watchword.reasons import Reason, RefusedError

INTERVAL: Final = 6 * 3600.0
"""Seconds after a fetch that went well."""

STALE_INTERVAL: Final = 900.0
"""The same once the set is past its soft expiry: the service had nothing newer, and should have soon."""

FIRST_PAUSE: Final = 60.0
"""Upper bound of the pause after a first failure, in seconds; it doubles with each."""

MAX_PAUSE: Final = 6 * 3600.0
"""Longest pause after failures, in seconds."""

MAX_WALK: Final = 32
"""Most root lists that one update walks through; the next one goes on."""


@dataclass(frozen=True, slots=True)
class Update:
    """Hold what came of an update.

    :param changed: whether anything newer is trusted now.
    :param fault: why it didn't go to its end, for people; empty where it did.
    :param reason: of what was refused; None where nothing was.
    """

    changed: bool
    fault: str = ""
    reason: Reason | None = None


class PinUpdater:
    """Hold one installation's pins, over restarts; safe to use from many threads."""

    def __init__(
        self,
        builtin: Builtin,
        source: PinSource,
        *,
        clock: Callable[[], float],
        jitter: Callable[[], float],
        store: PinStore | None = None,
        tell: Callable[[Seen], None] = lambda _: None,
    ) -> None:
        """Begin with what was kept; nothing is fetched yet.

        What can't be read or doesn't verify isn't used: the app begins as it was built then, and :attr:`fault` says why.

        :param clock: returns seconds since 1970.
        :param jitter: returns a number from 0 to below 1, so that phones which failed together don't return together.
        :param tell: see :class:`PinKeeper`.
        """
        self.fault = ""
        self._source = source
        self._clock = clock
        self._jitter = jitter
        self._store = store
        self._lists: tuple[bytes, ...] = ()
        self._signed: bytes | None = None
        self._etag: str | None = None
        self._unkept = False
        self._failures = 0
        self._next = 0.0
        self._lock = threading.Lock()
        self.keeper = PinKeeper(self._restored(builtin), clock=clock, tell=tell)

    def is_due(self) -> bool:
        """Tell whether it's time to ask the service.  A clock that was set back doesn't put it off."""
        now = self._clock()
        return now >= self._next or self._next - now > max(INTERVAL, MAX_PAUSE)

    def hear(self, version: int) -> None:
        """Hear of a version, for example beside a token; a newer one makes an update due, unless the last one failed."""
        if version > self.keeper.installed.seen and self._failures == 0:
            self._next = 0.0

    def update_if_due(self) -> Update | None:
        """Update if it's time; None if it isn't, or another thread is at it."""
        return self.update() if self.is_due() else None

    def update(self) -> Update | None:
        """Fetch and take what is newer; never raises what a service or a store can cause.

        Root lists first, one after the other: a list may withdraw the set that is installed, and counts even where the set
        that follows doesn't come.

        :returns: None where another thread is at it.
        """
        if not self._lock.acquire(blocking=False):
            return None
        try:
            return self._update()
        finally:
            self._lock.release()

    def _update(self) -> Update:
        before = installed = self.keeper.installed
        fault, reason = "", None
        try:
            for _ in range(MAX_WALK):
                data = self._source.roots(installed.roots.version + 1)
                if data is None:
                    break
                installed = accept_roots(installed, data, self._clock())
                self._lists = (*self._lists, data)
                self._etag = None  # The same set may have to be signed by another key now.
            fetched = self._source.newest(self._etag)
            if fetched is not None:
                installed = accept_set(installed, fetched.data, self._clock())
                self._signed, self._etag = fetched.data, fetched.etag
        except SourceError as error:
            fault = str(error)
        except RefusedError as error:
            fault, reason = str(error), error.reason
        self.keeper.replace(installed)
        # By what the service did alone: a disk that is full for good must not keep the app from hearing of new pins.
        self._plan(failed=bool(fault))
        self._unkept = self._unkept or installed != before
        if self._unkept:
            # Also where the rest was refused or didn't come: what a list has withdrawn must not come back with a restart.
            unkept = self._keep(installed)
            fault = fault or unkept
        return Update(installed != before, fault, reason)

    def _plan(self, *, failed: bool) -> None:
        """Set when the next update is due."""
        self._failures = self._failures + 1 if failed else 0
        now = self._clock()
        span = INTERVAL if is_fresh(self.keeper.installed, now) else STALE_INTERVAL
        if failed:
            span = min(MAX_PAUSE, FIRST_PAUSE * 2.0 ** min(self._failures - 1, 16))
        self._next = now + span * (0.5 + self._jitter() / 2)

    def _keep(self, installed: Installed) -> str:
        """Keep what is trusted now; return what went wrong."""
        if self._store is None:
            self._unkept = False
            return ""
        kept = Kept(installed.roots.version, self._lists, self._signed, installed.seen)
        try:
            self._store.save(kept, mend=bool(self.fault))
        except StoreError as error:
            return str(error)
        self.fault, self._unkept = "", False
        return ""

    def _restored(self, builtin: Builtin) -> Installed:
        try:
            kept = None if self._store is None else self._store.load()
            if kept is None:
                return fresh(builtin)
            installed = restored(builtin, kept.lists, kept.signed)
        except (StoreError, RefusedError) as error:
            self.fault = str(error)
            return fresh(builtin)
        # Those that the package is past are of no use any more, and would fill the store over the years.
        first = builtin.roots.version
        self._lists = tuple(each for each in kept.lists if read_unverified(each).version > first)
        self._signed = kept.signed
        return installed
