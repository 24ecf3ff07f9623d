"""Count reports of pins: bounded, by host, and never pushed out by a flood."""

from dataclasses import dataclass, field
from typing import Any

import pytest
from tests.unit.enrolment.simulators import MovableClock
from tests.unit.pins.builders import APP, HOST, entry, pin_set, spki

from watchword.adapters.pin_reports import AT_ONCE, MAX_LEAVES, PER_SECOND, MemoryPinReports
from watchword.pins.interface import Basis, PinSet, PublishedPins, PublishedSet
from watchword.pins.reports import MAX_NAMED, PinReport


@dataclass(frozen=True)
class Shelf(PublishedPins):
    """Publish a set for one app."""

    pin_set: PinSet = field(
        default_factory=lambda: pin_set(3, entry(), entry("example.org", include_subdomains=True))
    )

    def newest(self, app: str) -> PublishedSet | None:
        """Return it."""
        return PublishedSet(self.pin_set, b"") if app == self.pin_set.app else None


def report(leaf: str = "M", **changes: Any) -> PinReport:
    """Return a report of an interception."""
    told: dict[str, Any] = {
        "app": APP,
        "app_version": "1.0",
        "host": HOST,
        "set_version": 3,
        "basis": Basis.PINS,
        "mismatch": True,
        "refused": True,
        "chain": (spki(leaf), spki("CA")),
        "at": 5,
    }
    return PinReport(**told | changes)


@pytest.fixture
def clock() -> MovableClock:
    """Return a clock."""
    return MovableClock()


def test_same_are_counted_together(clock: MovableClock) -> None:
    """One leaf at one host is one group, with the times at which reports came, whatever phones say."""
    reports = MemoryPinReports(Shelf(), clock)
    start = int(clock.timestamp())
    for version in ("1.0", "1.1", "1.0"):
        reports.record(report(app_version=version, refused=version == "1.0"))
        clock.advance(60)
    reports.record(report("N", host="a.b.example.org"))
    many, one = reports.groups()
    assert (many.count, many.refused, many.app_versions) == (3, 2, ("1.0", "1.1"))
    assert (many.first, many.last) == (start, start + 120)
    assert (one.host, one.count, one.leaf) == ("example.org", 1, spki("N"))
    assert reports.counts() == {(APP, HOST, True): 3, (APP, "example.org", True): 1}


@pytest.mark.parametrize(
    "changes", [{"app": "nobody"}, {"host": "evil.example"}, {"host": "x.api.example.com"}]
)
def test_what_isnt_published_is_only_counted(clock: MovableClock, changes: dict[str, Any]) -> None:
    """Whoever invents apps and hosts takes no place."""
    reports = MemoryPinReports(Shelf(), clock)
    for _ in range(3):
        reports.record(report(**changes))
    assert (reports.groups(), reports.unknown) == ([], 3)


def test_trustkit_names_apps_as_vendors_do(clock: MovableClock) -> None:
    """A bundle id stands for the app that has it and pins the host."""
    reports = MemoryPinReports(Shelf(), clock, {"com.example.clinic": ["clinic-ios", APP]})
    reports.record(report(app="com.example.clinic"))
    (found,) = reports.groups()
    assert (found.app, reports.unknown) == (APP, 0)


def test_flood_of_invented_keys_hides_no_host(clock: MovableClock) -> None:
    """After ten thousand invented leaves another host and what is seen again and again are still told, and the sum is right."""
    reports = MemoryPinReports(Shelf(), clock)
    reports.record(report("real", host="example.org"))
    for number in range(10_000):
        reports.record(report(f"invented {number}", app_version=f"v{number}"))
        if number % 10 == 0:
            reports.record(report("real"))
    groups = reports.groups()
    assert len(groups) <= MAX_LEAVES + 2
    told = {(each.host, each.leaf): each.count for each in groups}
    assert told["example.org", spki("real")] == 1
    assert told[HOST, spki("real")] == 1000
    assert sum(told.values()) == 11_001
    assert max(len(each.app_versions) for each in groups) <= MAX_NAMED


def test_reports_without_a_chain_or_a_mismatch_are_told_apart(clock: MovableClock) -> None:
    """Pins that had expired are another thing than an interception."""
    reports = MemoryPinReports(Shelf(), clock)
    reports.record(report(chain=(), mismatch=False, basis=Basis.PLATFORM, refused=False))
    reports.record(report())
    assert [(each.leaf, each.mismatch) for each in reports.groups()] == [
        (None, False),
        (spki("M"), True),
    ]


def test_rate_is_bounded(clock: MovableClock) -> None:
    """A flood gets what a quiet time left over, then so many a second; a clock set back gives nothing."""
    reports = MemoryPinReports(Shelf(), clock)
    assert sum(reports.has_room() for _ in range(2000)) == AT_ONCE
    assert reports.dropped == 2000 - AT_ONCE
    clock.advance(2)
    assert sum(reports.has_room() for _ in range(2000)) == 2 * PER_SECOND
    clock.advance(-3600)
    assert not reports.has_room()
    clock.advance(10**6)
    assert sum(reports.has_room() for _ in range(2000)) == AT_ONCE
