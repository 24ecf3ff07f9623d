"""Hold what an installation trusts, and judge connections by it."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from watchword.pins.installed import judge
from watchword.pins.interface import Basis, Installed, Judgement

MAX_REMEMBERED: Final = 256
"""Hosts whose last judgement is remembered; an app that crawls the web must not fill its memory."""

Judging = Callable[[Installed, str, Sequence[bytes], float], Judgement]
"""Judge a connection; :func:`watchword.pins.installed.judge` is the one."""


@dataclass(frozen=True, slots=True)
class Seen:
    """Hold a connection that is worth a report.

    :param installed: what it was judged by.
    :param chain: SPKI hashes of the verified chain, leaf first.
    :param at: seconds since 1970.
    """

    host: str
    chain: tuple[bytes, ...]
    judgement: Judgement
    at: float
    installed: Installed


class PinKeeper:
    """Implement :class:`watchword.client.pinning.Judges` over what is installed; safe to use from many threads."""

    def __init__(
        self,
        installed: Installed,
        *,
        clock: Callable[[], float],
        tell: Callable[[Seen], None] = lambda _: None,
        judging: Judging = judge,
    ) -> None:
        """Begin with what is installed.

        :param clock: returns seconds since 1970, for example ``time.time``.
        :param tell: is told of each connection that is worth a report; must return at once and never raise, for example
            :meth:`watchword.client.pinning.Reporter.tell`.
        """
        self._installed = installed
        self._clock = clock
        self._tell = tell
        self._judging = judging
        self._changes = 0
        self._lock = threading.Lock()
        self._last: OrderedDict[str, Judgement] = OrderedDict()

    def __repr__(self) -> str:
        """Name the app and the version of its set."""
        held = self._installed
        version = 0 if held.set is None else held.set.version
        return f"PinKeeper(app={held.builtin.app!r}, set={version}, roots={held.roots.version})"

    @property
    def installed(self) -> Installed:
        """Return what is installed."""
        return self._installed

    def replace(self, installed: Installed) -> None:
        """Go by this from now on; connections that are open are judged anew before they are written to."""
        with self._lock:
            if installed != self._installed:
                self._installed = installed
                self._changes += 1
                self._last.clear()

    @property
    def generation(self) -> int:
        """Return a number that changes with the pins, and when they expire."""
        held = self._installed.set
        expired = held is not None and self._clock() >= held.hard_expiry
        return 2 * self._changes + expired

    def judge(self, host: str, chain: Sequence[bytes]) -> Judgement:
        """Judge a connection and remember how that ended."""
        now = self._clock()
        installed = self._installed
        judgement = self._judging(installed, host, chain, now)
        name = _plain(host)
        with self._lock:
            self._last[name] = judgement
            self._last.move_to_end(name)
            if len(self._last) > MAX_REMEMBERED:
                self._last.popitem(last=False)
        if judgement.report:
            self._tell(Seen(host, tuple(chain), judgement, now, installed))
        return judgement

    def is_pinned(self, host: str) -> bool:
        """Tell whether there is anything to be checked at this host."""
        return self._judging(self._installed, host, (), self._clock()).basis is not Basis.UNPINNED

    def refuses_cleartext(self, host: str) -> bool:
        """Tell whether a request without TLS may not go to this host.

        In report mode it may: nothing is refused there, and it's told as a connection without any key.
        """
        now, installed = self._clock(), self._installed
        judgement = self._judging(installed, host, (), now)
        if judgement.basis is Basis.UNPINNED:
            return False
        if not judgement.passes or judgement.withhold:
            return True
        self._tell(Seen(host, (), judgement, now, installed))
        return False

    def last(self, host: str) -> Judgement | None:
        """Return how the last connection to a host was judged, None where there was none since the pins changed."""
        return self._last.get(_plain(host))

    def withholds(self, host: str) -> bool:
        """Tell whether secrets must not go to a host now: its pins expired, or its last connection rests on less than pins.

        It is for the app to ask before it makes a request; to be sure of the very connection, use a context with
        ``secrets=True``.
        """
        bare = self._judging(self._installed, host, (), self._clock())
        if bare.withhold and not (bare.basis is Basis.PINS and bare.mismatch):
            return True  # No chain could change that.
        last = self.last(host)
        return last is not None and last.withhold


def _plain(host: str) -> str:
    return host.lower().rstrip(".")
