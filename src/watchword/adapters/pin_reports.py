"""Count reports of failed pin checks in bounded memory: a million of them cost what a thousand cost.

Anyone can send one, so that they go neither to the disk nor to the log one by one.  Only hosts that an app pins are told apart.  Of each such host
the leaf keys that were reported last are named: a flood of invented ones can't take the place of other hosts, and what many phones really see is
soon reported again.
"""

from collections import Counter, OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from watchword.pins.interface import Basis, PublishedPins
from watchword.pins.reports import PinReport, ReportGroup
from watchword.ports import Clock

MAX_LEAVES: Final = 16
"""Most groups of one host of one app that are told apart; those that were reported longest ago are counted together."""

MAX_PLACES: Final = 2000
"""Most hosts of apps that are told apart."""

PER_SECOND: Final = 50.0
"""Reports that are taken in a second, on the average."""

AT_ONCE: Final = 500.0
"""Reports that are taken at once, after a quiet time."""

_What = tuple[str, str, bytes | None, Basis | None, bool]


class MemoryPinReports:
    """Take reports and show them grouped; lost with the process, like all counters.

    To be used from one event loop; nothing here waits.
    """

    def __init__(
        self, pins: PublishedPins, clock: Clock, names: Mapping[str, Sequence[str]] | None = None
    ) -> None:
        """Start with nothing.

        :param names: by bundle id or package, which is how TrustKit names an app, the names of apps here.
        """
        self._pins = pins
        self._clock = clock
        self._names = dict(names or {})
        self._groups: dict[tuple[str, str], OrderedDict[_What, ReportGroup]] = {}
        self._counts: Counter[tuple[str, str, bool]] = Counter()
        self._left = AT_ONCE
        self._since = clock.timestamp()
        self.unknown = 0
        self.dropped = 0

    def has_room(self) -> bool:
        """Tell whether another report is taken now, and count it."""
        now = self._clock.timestamp()
        # A clock that was set back gives nothing.
        self._left = min(AT_ONCE, self._left + max(0.0, now - self._since) * PER_SECOND)
        self._since = now
        if self._left < 1:
            self.dropped += 1
            return False
        self._left -= 1
        return True

    def record(self, report: PinReport) -> None:
        """Count a report; one of an app or a host that nothing is published for is only counted."""
        place = self._place(report)
        if place is None or (place not in self._groups and len(self._groups) >= MAX_PLACES):
            self.unknown += 1
            return
        app, host = place
        at = int(self._clock.timestamp())
        # When it came is told by our clock: a phone's may say anything.
        one = ReportGroup.of(replace(report, app=app, host=host, at=at))
        self._counts[app, host, one.mismatch] += 1
        groups = self._groups.setdefault(place, OrderedDict())
        _add(groups, one)
        while len(groups) > MAX_LEAVES:
            key = next(each for each, group in groups.items() if group.basis is not None)
            _add(groups, replace(groups.pop(key), leaf=None, basis=None))

    def groups(self) -> Sequence[ReportGroup]:
        """Return what was reported, the most frequent first; of a group without a basis the leaf keys aren't told apart any more."""
        every = (each for groups in self._groups.values() for each in groups.values())
        return sorted(every, key=lambda each: (-each.count, each.app, each.host))

    def counts(self) -> Mapping[tuple[str, str, bool], int]:
        """Return how many were reported, by app, host and whether no pin matched."""
        return dict(self._counts)

    def _place(self, report: PinReport) -> tuple[str, str] | None:
        """Return the app and the entry of its set that a report is about."""
        for app in (report.app, *self._names.get(report.app, ())):
            published = self._pins.newest(app)
            entry = None if published is None else published.pin_set.entry(report.host)
            if entry is not None:
                return app, entry.host
        return None


def _add(groups: OrderedDict[_What, ReportGroup], one: ReportGroup) -> None:
    known = groups.get(one.what)
    groups[one.what] = one if known is None else known.merged(one)
    groups.move_to_end(one.what)
