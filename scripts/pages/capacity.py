"""Write docs/capacity.md and its picture: what a fleet of 1, 10 and 100 million phones takes, and how a launch day goes.

All figures are read from benchmarks/results; what a line is worked out from stands in it.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from itertools import accumulate
from typing import Any, Final, NamedTuple

from benchmarks.report import RESULTS, read_rows
from scripts.cited_tests import ROOT
from scripts.pages.figures import SOURCES as TITLES
from scripts.pages.figures import anchor, number
from scripts.pages.sizing import DAY, PEAK, REQUESTS, SESSIONS, figure

TARGET: Final = ROOT / "docs" / "capacity.md"
PICTURE: Final = ROOT / "docs" / "pictures" / "launch-day.svg"

FLEETS: Final = (1_000_000, 10_000_000, 100_000_000)
GATES: Final = (10, 30, 300)
REVOKED_A_DAY: Final = 1e-4
"""Share of the phones that are revoked in a day."""

HALF: Final = 0.5
"""How much of what was measured is counted on."""

ENROLMENTS: Final = ("overload", "enrolment: peak in a closed loop, a second")
RENEWALS: Final = ("storm", "renewals a second in a closed loop, most")
VERIFICATIONS: Final = ("overload", "verification on granian: peak in a closed loop, a second")
NGINX: Final = ("gate", "nginx: session proof, exact replay, CPU us (peer: plain proxy)")
MEMORY: Final = ("up", "service RSS after 300 requests, MB (floor: bare granian)")
DELTA: Final = ("pushes_revoked", "delta of one revocation, bytes (peer: snapshot)")
REVOKED: Final = ("pushes_revoked", "instances revoked before")
BUNDLES: Final = ("pushes_revoked", "service: memory that they take, bytes an instance")


class Line(NamedTuple):
    """Hold one line of the table: a value for each fleet, and what it is worked out from."""

    what: str
    values: Sequence[float]
    unit: str
    source: str


def quoted(source: tuple[str, str], digits: int = 0) -> str:
    """Return a figure as a link to its row."""
    name, measure = source
    page = f"figures.md#{anchor(TITLES[name][0])}"
    return f'[{figure(source):,.{digits}f}]({page} "{name}: {measure}")'


def _peer(source: tuple[str, str]) -> float:
    """Return what a figure is compared with."""
    name, measure = source
    rows = read_rows(RESULTS / f"{name}.json")
    (found,) = [row["peer"] for row in rows if row["measure"].strip() == measure]
    return float(found)


def lines() -> Iterator[Line]:
    """Yield the lines of the table."""
    renewals = [fleet * SESSIONS / DAY * PEAK for fleet in FLEETS]
    requests = [each * REQUESTS for each in renewals]
    revoked = [fleet * REVOKED_A_DAY for fleet in FLEETS]
    yield Line("renewals a second, in the busiest hour", renewals, "", "the phones above")
    yield Line(
        "processors of the service for them",
        [each / (figure(RENEWALS) * HALF) for each in renewals],
        "",
        f"half of {quoted(RENEWALS)} renewals a second on one processor, challenge and token, with SQLite",
    )
    yield Line("requests a second, in the busiest hour", requests, "", "the phones above")
    yield Line(
        "processors of nginx with Lua for them",
        [each * figure(NGINX) / 1e6 / HALF for each in requests],
        "",
        f"twice {quoted(NGINX, 1)} us a request with a session proof",
    )
    yield Line(
        "or processors of Python gates",
        [each / (figure(VERIFICATIONS) * HALF) for each in requests],
        "",
        f"half of {quoted(VERIFICATIONS)} verifications a second, each of a token that wasn't met before",
    )
    yield Line("gates", list(GATES), "", "assumed")
    yield Line("phones revoked in a day", revoked, "", "one of 10,000, assumed")
    snapshot = _peer(DELTA) / figure(REVOKED)
    # The most that a gate names at a time: those of an hour, with tokens of an hour.
    hourly = [each / 24 for each in revoked]
    day = [
        gates * count * (figure(DELTA) + snapshot * named / 1000)
        for gates, count, named in zip(GATES, revoked, hourly, strict=True)
    ]
    yield Line(
        "bundle traffic of all gates in a day",
        day,
        "B",
        f"{quoted(DELTA)} bytes for each revocation and gate, and a snapshot of {snapshot:.1f} bytes for each revoked phone after 1,000 of them",
    )
    yield Line(
        "bundle traffic after one in a hundred is revoked at once",
        [gates * fleet / 100 * snapshot for gates, fleet in zip(GATES, FLEETS, strict=True)],
        "B",
        f"one snapshot for each gate, {snapshot:.1f} bytes for each revoked phone",
    )
    yield Line(
        "memory of the service that signs for one API then",
        [fleet / 100 * figure(BUNDLES) + figure(MEMORY) * 1e6 for fleet in FLEETS],
        "B",
        f"{quoted(BUNDLES, 1)} bytes for each revoked phone, and {quoted(MEMORY)} MB",
    )


def _table() -> Iterator[str]:
    titles = " | ".join(f"{fleet // 1_000_000:,} M phones" for fleet in FLEETS)
    yield f"| | {titles} | worked out from |"
    yield f"| --- | {' | '.join('--:' for _ in FLEETS)} | --- |"
    for line in lines():
        values = " | ".join(_shown(each, line.unit) for each in line.values)
        yield f"| {line.what} | {values} | {line.source} |"


def _shown(value: float, unit: str) -> str:
    if unit == "B":
        for size, name in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
            if value >= size:
                return f"{value / size:,.1f} {name}"
    return f"{value:,.0f}" if value >= 10 else f"{value:.1f}"


def _launch() -> Iterator[str]:
    yield "| what | figure | beside |"
    yield "| --- | --: | --: |"
    for row in read_rows(RESULTS / "launch.json"):
        yield f"| {row['measure'].strip()} | {number(row['ours'])} | {number(row['peer'])} |"


def page() -> str:
    """Return the page."""
    return "\n".join((_HEAD, *_table(), _REGIONS, *_launch(), _TAIL))


_WIDTH, _LEFT, _RIGHT, _PANEL, _GAP, _TOP = 900, 70, 56, 150, 46, 56
_FONT: Final = 'font-family="DejaVu Sans, Verdana, sans-serif" font-size="13"'
_SHOWN_HOURS: Final = 84
_COLOURS: Final = {"ios": "#1f5fa8", "android": "#b3541e"}
_NAMES: Final = {"ios": "iPhones", "android": "Android phones"}
_PANELS: Final = (
    ("phones that ask for the first time, a second", "came"),
    ("requests for a challenge that are told to come later, a second", "later"),
    ("phones that get a token, a second", "enrolled"),
    ("phones that asked and have no token yet, in millions", "without"),
)


def drawn(shown: Mapping[str, Any]) -> str:
    """Return the series of a launch day as SVG: nothing is loaded from elsewhere, and the text stays text."""
    height = _TOP + len(_PANELS) * (_PANEL + _GAP)
    columns = int(_SHOWN_HOURS * 3600 / shown["bin_seconds"])
    pieces = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img" {_FONT}>',
        "<title>A launch day of 30 million phones, paced</title>",
        f'<rect width="{_WIDTH}" height="{height}" fill="#ffffff"/>',
    ]
    for place, (app, colour) in enumerate(_COLOURS.items()):
        x = _LEFT + place * 160
        dash = "" if app == "ios" else ' stroke-dasharray="6 3"'
        pieces.append(
            f'<path d="M{x} 22h28" stroke="{colour}" stroke-width="2"{dash}/>'
            f'<text x="{x + 36}" y="27" fill="#222222">{_NAMES[app]}</text>'
        )
    shown_apps = {
        app: {**series, "without": _without(series, shown["bin_seconds"])}
        for app, series in shown["apps"].items()
    }
    for place, (title, name) in enumerate(_PANELS):
        lines = {app: series[name][:columns] for app, series in shown_apps.items()}
        pieces += _panel(_TOP + place * (_PANEL + _GAP), title, lines, shown)
    return "\n".join([*pieces, "</svg>"]) + "\n"


def _without(series: Mapping[str, Sequence[float]], seconds: float) -> list[float]:
    """Return how many millions of phones have asked by the end of each column, and have no token."""
    came, enrolled = accumulate(series["came"]), accumulate(series["enrolled"])
    return [max(0.0, a - b) * seconds / 1e6 for a, b in zip(came, enrolled, strict=True)]


def _panel(
    top: float, title: str, lines: Mapping[str, Sequence[float]], shown: Mapping[str, Any]
) -> Iterator[str]:
    most = _round_up(max(max(values, default=0.0) for values in lines.values()))
    wide = _WIDTH - _LEFT - _RIGHT
    bottom = top + _PANEL
    yield f'<text x="{_LEFT}" y="{top - 6:g}" fill="#222222">{escape(title)}</text>'
    for share in (0.0, 0.5, 1.0):
        y = bottom - share * _PANEL
        yield f'<path d="M{_LEFT} {y:g}H{_WIDTH - _RIGHT}" stroke="#dddddd"/>'
        yield (
            f'<text x="{_LEFT - 8}" y="{y + 4:g}" text-anchor="end" fill="#555555">{most * share:,g}</text>'
        )
    begin = shown["begin"] / 3600
    for hour in range(0, _SHOWN_HOURS + 1, 12):
        x = _LEFT + hour / _SHOWN_HOURS * wide
        clock = int(begin + hour)
        yield f'<path d="M{x:g} {bottom:g}v4" stroke="#555555"/>'
        yield (
            f'<text x="{x:g}" y="{bottom + 18:g}" text-anchor="middle" fill="#555555">'
            f"day {clock // 24 + 1}, {clock % 24}:00</text>"
        )
    for app, values in lines.items():
        step = wide * shown["bin_seconds"] / (_SHOWN_HOURS * 3600)
        points = " ".join(
            f"{_LEFT + (place + 0.5) * step:.1f},{bottom - value / most * _PANEL:.1f}"
            for place, value in enumerate(values)
        )
        dash = "" if app == "ios" else ' stroke-dasharray="6 3"'
        yield (
            f'<polyline points="{points}" fill="none" stroke="{_COLOURS[app]}" stroke-width="2"{dash}/>'
        )


_STEPS: Final = (1.0, 2.0, 5.0, 10.0)


def _round_up(value: float) -> float:
    """Return a round number that is at least as high."""
    size = 1.0
    while size * 10 < value:
        size *= 10
    while size >= value > 0:
        size /= 10
    return next(size * step for step in _STEPS if size * step >= value)


def picture() -> str:
    """Return the picture of the simulated launch day."""
    return drawn(json.loads((RESULTS / "launch.json").read_text(encoding="utf-8"))["series"])


_HEAD: Final = f"""\
# Capacity

What a fleet of 1, 10 and 100 million phones takes, and how long a launch lasts. `python -m scripts.pages capacity` writes the page from
`benchmarks/results`. Each line says which figure it is worked out from. For a single machine, see [sizing](sizing.md).

These are estimates from figures of one machine with two processors. Nobody has run a fleet of this size yet: measure yours before you rely on them.

## Fleets

The phones are those of [sizing](sizing.md#three-deployments): each opens the app {SESSIONS} times a day, with one renewal and {REQUESTS} requests each time, and the
busiest hour has {PEAK} times the average. Half of what was measured is counted on, so that the other half is left for failures.
"""

_REGIONS: Final = """
Above what one primary of the database takes, renew less often: [lifetimes of tokens](token-lifetimes.md).

## Regions

This is a design on paper: nothing of it was run over a distance.

- **Gates stand everywhere.** They decide by themselves, by a bundle that they fetch. A request needs no other region.
- **One primary of PostgreSQL takes all writes**, with a synchronous standby in another zone, and one in another region for the worst day.
  Several primaries would let one challenge win twice.
- **Nodes of the service stand in each region.** An enrolment or a renewal crosses to the primary and back, and waits for the standby. So a phone far away
  waits for that distance when a token is renewed, which happens in the background.
- **When the primary's region is lost**, gates go on with tokens that are out, until these end. A standby is [promoted](postgresql.md#when-a-standby-is-promoted).

## A launch day

One morning 30 million phones have a new version, and each of them enrols. This is a simulation: `python -m benchmarks.fleet_launch` has the service's own
[pacing](pace.md) decide on three nodes, by a clock that is simulated, for phones that are in use for three minutes five times a day. One simulated phone
stands for a hundred. Google fails for an hour in the first evening, for four questions of ten.

![Curves over three days: all phones ask on the first one; 80 of each kind a second get a token, but for Google's bad hour and the nights; by the fourth day nearly all have one.](pictures/launch-day.svg)
"""

_TAIL: Final = """
What it shows:

- **The vendors set the length of a launch.** Apple asks apps to stay below 100 attestations a second, and at 10 million users a day. At the pace above
  15 million iPhones take more than two days, whatever your service bears. Spread the release of the version, too.
- **Until then most phones have no token.** Leave what they need in `monitor` ([what a waiting phone may do](pace.md#decide-what-a-waiting-phone-may-do)).
- **Without a pace** the same crowd asks the vendors far more often than they bear, again and again.

Limits of the vendors, as read on 2026-12-03; ask them before a launch:

| vendor | what it says | where |
| --- | --- | --- |
| Apple | fewer than 100 calls of `attestKey` a second are safe | <https://developer.apple.com/forums/thread/778937> |
| Apple | 10 million users a day, and under 100 calls a second; neither is a fixed bound | <https://developer.apple.com/forums/thread/818214> |
| Google | Play Integrity: 10,000 requests a day for an app, until you ask for more | <https://support.google.com/googleplay/android-developer/contact/piaqr?hl=en> |

Google's limit isn't part of the simulation, since it is what you agree with Google: 15 million in a day need 1,500 times the default.
"""
