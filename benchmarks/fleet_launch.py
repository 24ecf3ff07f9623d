"""Simulate a launch day: 30 million phones have a new version one morning, and each of them enrols.

The service's own pacing decides, on each of several nodes, by a clock that is simulated.  Nothing is measured: the same seed gives
the same figures on any machine.  One simulated phone stands for many, and rates are divided by as many.

A phone asks for the first time when its user opens the app.  Who is told to come later comes back then if the app is still in use,
else when it is opened next.  Who is let in asks its vendor, which bears so many a second and has one bad hour.  The same crowd comes
once more to a service that paces nobody.

Run: ``python -m benchmarks.fleet_launch [--each 100]``; it takes a minute.
"""

import argparse
import heapq
import itertools
import random
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from benchmarks.report import Goal, Row, all_reached, write_report, write_result

from watchword.enrolment.pace import LaterError, Pace, PaceRates, PlaceSeal

HOUR: Final = 3600.0
DAY: Final = 24 * HOUR
BEGIN: Final = 4 * HOUR
"""When all phones have the new version: four in the morning."""

USES: Final = (
    *(0.3, 0.1, 0.1, 0.1, 0.1, 0.2, 0.5, 1.0, 1.1, 0.9, 0.8, 0.9),
    *(1.2, 0.9, 0.8, 0.8, 0.9, 1.2, 2.0, 3.0, 4.0, 2.0, 0.8, 0.3),
)
"""How often the app is opened in each hour of the day, beside the mean; the busiest hour is that of docs/sizing.md."""

OPENED: Final = 5.0
"""How often each phone's user opens the app in a day."""

SESSION: Final = 180.0
"""Seconds for which it is in use then."""

APPS: Final = ("ios", "android")
WHOLE: Final = 30_000_000
EACH: Final = 100
"""How many phones one simulated phone stands for."""

NODES: Final = 3
DAYS: Final = 5
BIN: Final = 1800.0
"""Seconds of a column of the picture."""

PACE: Final = PaceRates(10.0, 80.0, HOUR)
"""Floor and most of each app, and in how much time it doubles: with the bucket's bursts it stays below what Apple asks for."""

BEARS: Final = 100.0
"""What each vendor bears a second: what Apple asks an app to stay below."""

BEARS_SECONDS: Final = 10.0
BAD: Final = (19 * HOUR, 20 * HOUR)
"""When Google fails."""
BAD_SHARE: Final = 0.4
_VENDOR_TRIES_SECONDS: Final = 5.0
_LONGEST_TRY: Final = HOUR
_SOON: Final = 2
_MIDNIGHT: Final = datetime(2026, 12, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Launch:
    """Say who comes, and what stands against them.

    :param phones: simulated ones of each app.
    :param each: how many one of them stands for: rates are divided by it.
    """

    phones: int
    each: int
    nodes: int = NODES
    days: int = DAYS
    pace: PaceRates = PACE
    bears: float = BEARS
    seed: int = 27

    @property
    def end(self) -> float:
        """Return the second at which nobody is looked at any more."""
        return BEGIN + self.days * DAY

    def rates(self) -> PaceRates:
        """Return the pace of one node, of simulated phones."""
        shared = self.each * self.nodes
        return PaceRates(self.pace.floor / shared, self.pace.most / shared, self.pace.doubling)


@dataclass
class Column:
    """Count what happened to one app in :data:`BIN` seconds.

    :ivar came: phones that asked for the first time.
    :ivar asked: requests for a challenge.
    :ivar later: those that were told to come later.
    :ivar soon: those of them that were told a second or two.
    :ivar vendor: questions to the vendor.
    :ivar failed: those that it refused or didn't answer.
    :ivar enrolled: phones that got a token.
    :ivar waiting: places that weren't called yet, at the end.
    :ivar pace: of all nodes, a second, at the end.
    """

    came: int = 0
    asked: int = 0
    later: int = 0
    soon: int = 0
    vendor: int = 0
    failed: int = 0
    enrolled: int = 0
    waiting: int = 0
    pace: float = 0.0


class Habits:
    """Say when users open the app: more often at some hours than at others."""

    def __init__(self, days: int) -> None:
        """Add the hours of so many days up."""
        hours = [0.0, *itertools.accumulate(USES * (days + 1))]
        self._done = [each * OPENED / 24 for each in hours]

    def next(self, at: float, drawn: random.Random) -> float:
        """Return when a user opens the app next; infinity where that isn't looked at any more."""
        hour = int(at // HOUR)
        if hour + 1 >= len(self._done):
            return float("inf")
        share = at / HOUR - hour
        done = self._done[hour] + share * (self._done[hour + 1] - self._done[hour])
        done += drawn.expovariate(1.0)
        found = bisect_right(self._done, done) - 1
        if found + 1 >= len(self._done):
            return float("inf")
        between = (done - self._done[found]) / (self._done[found + 1] - self._done[found])
        return (found + between) * HOUR


class Vendor:
    """Answer so many questions a second, and fail in a bad hour."""

    def __init__(self, bears: float, bad: tuple[float, float] | None, drawn: random.Random) -> None:
        """Begin with a full bucket of :data:`BEARS_SECONDS`."""
        self._bears, self._bad, self._drawn = bears, bad, drawn
        self._level, self._at = self._depth, BEGIN

    @property
    def _depth(self) -> float:
        return max(1.0, self._bears * BEARS_SECONDS)

    def answers(self, at: float) -> bool:
        """Tell whether it answers a question."""
        self._level = min(self._depth, self._level + (at - self._at) * self._bears)
        self._at = at
        if self._bad is not None and self._bad[0] <= at < self._bad[1]:
            return self._drawn.random() >= BAD_SHARE
        if self._level < 1.0:
            return False
        self._level -= 1.0
        return True


class DrawnBytes:
    """Draw bytes that are the same at each run."""

    def __init__(self, drawn: random.Random) -> None:
        """Take a generator."""
        self._drawn = drawn

    def token_bytes(self, length: int) -> bytes:
        """See :meth:`watchword.ports.Entropy.token_bytes`."""
        return self._drawn.randbytes(length)


@dataclass(slots=True)
class Phone:
    """Hold one simulated phone.

    :ivar until: when its user puts the app away.
    :ivar failures: how often in a row its vendor failed.
    """

    app: str
    first: float
    until: float
    place: str | None = None
    failures: int = 0
    asked: int = 0
    enrolled: float | None = None


@dataclass
class Found:
    """Hold what became of a crowd."""

    launch: Launch
    phones: list[Phone]
    columns: dict[str, list[Column]]
    minutes: dict[str, Counter[int]] = field(default_factory=dict)
    """By app: questions to the vendor in each minute."""
    asked_minutes: Counter[int] = field(default_factory=Counter)

    def busiest_vendor(self, app: str) -> float:
        """Return the most questions to a vendor a second in any minute, of real phones."""
        return max(self.minutes[app].values(), default=0) * self.launch.each / 60

    def asked_of(self, app: str, begin: float, end: float) -> float:
        """Return the questions to a vendor a second between two instants, of real phones."""
        minutes = range(int(begin // 60), int(end // 60))
        count = sum(self.minutes[app][minute] for minute in minutes)
        return count * self.launch.each / (end - begin)

    def busiest(self) -> float:
        """Return the most requests for a challenge a second in any minute, of real phones."""
        return max(self.asked_minutes.values(), default=0) * self.launch.each / 60

    def hours_until(self, share: float, app: str) -> float:
        """Return after how many hours this share of an app's phones has enrolled; infinity where it never has."""
        times = sorted(
            each.enrolled if each.enrolled is not None else float("inf")
            for each in self.phones
            if each.app == app
        )
        return (times[max(0, int(len(times) * share) - 1)] - BEGIN) / HOUR

    def waits(self) -> list[float]:
        """Return the seconds between first request and token of each phone that enrolled."""
        return sorted(
            each.enrolled - each.first for each in self.phones if each.enrolled is not None
        )


class Day:
    """Let a crowd come to a service and its vendors."""

    def __init__(self, launch: Launch, *, paced: bool) -> None:
        """Draw the crowd, and start the nodes where it is paced."""
        self._launch = launch
        self._habits = Habits(launch.days + 1)
        self._drawn = random.Random(launch.seed)
        self.at = BEGIN
        vendors = random.Random(launch.seed + 1)
        bears = launch.bears / launch.each
        self._vendors = {
            app: Vendor(bears, BAD if app == "android" else None, vendors) for app in APPS
        }
        seal = PlaceSeal("https://watchword.example", bytes(32))
        self._nodes = [
            Pace(
                launch.rates(),
                APPS,
                seal,
                entropy=DrawnBytes(random.Random(f"{launch.seed}/{number}")),
                steady=lambda: self.at,
            )
            for number in range(launch.nodes if paced else 0)
        ]
        columns = int((launch.end - BEGIN) / BIN)
        self.found = Found(
            launch,
            [],
            {app: [Column() for _ in range(columns)] for app in APPS},
            {app: Counter() for app in APPS},
        )

    def run(self) -> Found:
        """Let all of it happen."""
        due: list[tuple[float, int]] = []
        for app in APPS:
            for _ in range(self._launch.phones):
                first = self._habits.next(BEGIN, self._drawn)
                due.append((first, len(self.found.phones)))
                self.found.phones.append(Phone(app, first, first + SESSION))
        heapq.heapify(due)
        shown = BEGIN + BIN
        while due and due[0][0] < self._launch.end:
            self.at, number = heapq.heappop(due)
            while shown <= self.at:
                self._look(shown)
                shown += BIN
            again = self._come(self.found.phones[number])
            if again is not None:
                heapq.heappush(due, (again, number))
        while shown <= self._launch.end:
            self._look(shown)
            shown += BIN
        return self.found

    def _look(self, at: float) -> None:
        """Note how the lines are at the end of a column."""
        self.at, now = at, self.at
        for node in self._nodes:
            for app, seen in node.view().items():
                column = self.found.columns[app][int((at - BEGIN) / BIN) - 1]
                column.waiting += sum(seen.waiting)
                column.pace += seen.rate
        self.at = max(now, at)

    def _come(self, phone: Phone) -> float | None:
        """Have a phone ask; return when it comes again, None where it need not."""
        column = self.found.columns[phone.app][int((self.at - BEGIN) / BIN)]
        column.came += phone.asked == 0
        column.asked += 1
        phone.asked += 1
        self.found.asked_minutes[int(self.at // 60)] += 1
        node = self._drawn.choice(self._nodes) if self._nodes else None
        if node is not None:
            now = _MIDNIGHT + timedelta(seconds=self.at)
            try:
                node.admit(phone.app, phone.place, None, now)
            except LaterError as later:
                column.later += 1
                column.soon += (later.retry_after or 0) <= _SOON
                phone.place = later.place
                return self._again(phone, self.at + (later.retry_after or 0) + self._drawn.random())
        column.vendor += 1
        self.found.minutes[phone.app][int(self.at // 60)] += 1
        answered = self._vendors[phone.app].answers(self.at)
        if node is not None and phone.app == "android":
            # Of what an iPhone asks Apple the service sees nothing.
            node.hear(phone.app, answered=answered)
        if answered:
            column.enrolled += 1
            phone.enrolled = self.at
            return None
        column.failed += 1
        phone.failures += 1
        longest = min(_LONGEST_TRY, _VENDOR_TRIES_SECONDS * 2 ** (phone.failures - 1))
        return self._again(phone, self.at + self._drawn.uniform(0, longest))

    def _again(self, phone: Phone, at: float) -> float:
        """Return when a phone comes that was told an instant: then, or when its app is opened next after it."""
        while phone.until < at:
            opened = self._habits.next(max(self.at, phone.until), self._drawn)
            phone.until = opened + SESSION
            if opened >= at:
                return opened
        return at


def report(paced: Found, crowd: Found) -> tuple[list[Row], list[Goal]]:
    """Return what is told of a launch day, and its goals.

    :param crowd: the same phones at a service that paces nobody.
    """
    each, bears = paced.launch.each, paced.launch.bears
    left = [phone for phone in paced.phones if phone.asked and phone.enrolled is None]
    asked = sum(phone.asked for phone in paced.phones)
    waits = paced.waits()
    columns = [column for app in APPS for column in paced.columns[app]]
    within = Row.at_most_times(
        "questions to Apple in the busiest minute, a second (peer: what it asks apps to stay below)",
        paced.busiest_vendor("ios"),
        bears,
        1.0,
    )
    middle = (BAD[0] + BAD[1]) / 2
    slows = Row.at_most_times(
        "questions to Google in the second half of its bad hour, a second (peer: in the half hour before)",
        paced.asked_of("android", middle, BAD[1]),
        paced.asked_of("android", BAD[0] - HOUR / 2, BAD[0]),
        0.5,
    )
    stays = Row.at_most("phones that asked and have no token at the end", len(left) * each, None, 0)
    hammers = Row.at_most(
        "requests that were told to come within two seconds, of all, %",
        sum(column.soon for column in columns) / max(asked, 1) * 100,
        None,
        5.0,
    )
    rows = [
        Row("phones, half of them iPhones", len(paced.phones) * each),
        Row("phones that one simulated phone stands for", each),
        Row("nodes of the service", paced.launch.nodes),
        Row("pace of each app at most, enrolments a second", paced.launch.pace.most),
        within,
        Row(
            "  the same where nobody is paced (peer: likewise)", crowd.busiest_vendor("ios"), bears
        ),
        slows,
        *(
            Row(
                f"questions that the vendor of {app} refused or didn't answer (peer: where nobody is paced)",
                sum(column.failed for column in paced.columns[app]) * each,
                sum(column.failed for column in crowd.columns[app]) * each,
            )
            for app in APPS
        ),
        *(
            Row(f"hours until {share:.0%} of {app} have a token", paced.hours_until(share, app))
            for app in APPS
            for share in (0.1, 0.5, 0.9, 0.99)
        ),
        Row("hours between first request and token, half of the phones", _at(waits, 0.5) / HOUR),
        Row(
            "hours between first request and token, the last of a hundred", _at(waits, 0.99) / HOUR
        ),
        Row("most places that wait, of both apps", _most(paced, "waiting") * each),
        Row("requests for a challenge, of each phone", asked / max(len(paced.phones), 1)),
        Row("requests for a challenge in the busiest minute, a second", paced.busiest()),
        hammers,
        stays,
    ]
    goals = [
        Goal("Apple is never asked for more than it bears", [within]),
        Goal("a vendor that fails is asked less", [slows]),
        Goal("whoever comes gets in", [stays]),
        Goal("nobody is made to ask every second", [hammers]),
    ]
    return rows, goals


def _most(found: Found, name: str) -> float:
    both = zip(*(found.columns[app] for app in APPS), strict=True)
    return max(sum(float(getattr(column, name)) for column in columns) for columns in both)


def _at(values: Sequence[float], share: float) -> float:
    """Return the value below which a share of sorted values lies; infinity without any."""
    return values[min(len(values) - 1, int(len(values) * share))] if values else float("inf")


SERIES: Final = ("came", "asked", "later", "vendor", "failed", "enrolled", "waiting", "pace")


def series(found: Found) -> dict[str, dict[str, list[float]]]:
    """Return each app's columns, of real phones: a second where something happens, else how many."""
    each = found.launch.each

    def scaled(name: str, column: Column) -> float:
        value = float(getattr(column, name)) * each
        return round(value if name in {"waiting", "pace"} else value / BIN, 2)

    return {
        app: {name: [scaled(name, column) for column in found.columns[app]] for name in SERIES}
        for app in APPS
    }


def both(launch: Launch) -> Iterator[Found]:
    """Yield the day with a pace, and without."""
    for paced in (True, False):
        yield Day(launch, paced=paced).run()


def main() -> None:
    """Simulate, print and write the results; exit 1 when a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--each", type=int, default=EACH, help="phones that one stands for")
    each = parser.parse_args().each
    paced, crowd = both(Launch(WHOLE // len(APPS) // each, each))
    rows, goals = report(paced, crowd)
    write_report("launch", rows, whole=False)
    if each == EACH:
        shown = {"bin_seconds": BIN, "begin": BEGIN, "apps": series(paced)}
        documents = [asdict(row) | {"ratio": row.ratio, "holds": row.holds} for row in rows]
        write_result("launch", {"rows": documents, "series": shown})
    if not all_reached(goals):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
