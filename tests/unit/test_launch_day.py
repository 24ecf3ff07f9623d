"""Simulate a small launch day: the same at each run, everybody gets in, and no vendor is asked for more than it bears."""

from xml.etree import ElementTree as ET

from benchmarks.fleet_launch import APPS, BAD, HOUR, Day, Found, Launch, report, series
from scripts.pages.capacity import drawn

from watchword.enrolment.pace import PaceRates

DAY = 24 * HOUR
PHONES = 500
A_SECOND = PHONES / (1.5 * DAY)
"""So many enrol within a day and a half, were somebody there at each moment."""

SMALL = Launch(
    phones=PHONES,
    each=1,
    nodes=1,
    days=8,
    pace=PaceRates(A_SECOND / 2, A_SECOND, 0.0),
    bears=A_SECOND * 1.5,
)


def day(*, paced: bool) -> Found:
    """Let it happen."""
    return Day(SMALL, paced=paced).run()


def asked_in(found: Found, app: str, begin: float, end: float) -> float:
    """Return how many questions a vendor had between two instants."""
    return found.asked_of(app, begin, end) * (end - begin)


def test_a_small_launch_day_goes_as_the_page_says() -> None:
    """Paced, all get in and Apple is never asked for more than it bears; the same crowd without a pace overruns it."""
    paced, crowd = day(paced=True), day(paced=False)
    assert all(phone.enrolled is not None for phone in paced.phones)
    for found, within in ((paced, True), (crowd, False)):
        most = max(
            asked_in(found, "ios", at, at + 4 * HOUR)
            for at in (4 * HOUR + each * HOUR for each in range(36))
        )
        assert (most <= SMALL.bears * 4 * HOUR) is within
    # Not one after another: the rate is used, though a phone is there for three minutes five times a day.
    assert paced.hours_until(0.5, "ios") < 40
    assert paced.hours_until(0.9, "ios") < 96
    rows, goals = report(paced, crowd)
    assert {row.measure: row.ours for row in rows}[
        "phones that asked and have no token at the end"
    ] == 0
    assert [goal.text for goal in goals][-2:] == [
        "whoever comes gets in",
        "nobody is made to ask every second",
    ]
    assert asked_in(paced, "android", *BAD) > 0


def test_the_same_seed_is_the_same_day() -> None:
    """Two runs agree in every column."""
    assert series(day(paced=True)) == series(day(paced=True))


def test_the_picture_shows_each_series() -> None:
    """Two lines in each of four panels, within the picture, with a title for who can't see it."""
    shown = {"bin_seconds": 1800.0, "begin": 4 * HOUR, "apps": series(day(paced=True))}
    root = ET.fromstring(drawn(shown))
    space = {"svg": "http://www.w3.org/2000/svg"}
    lines = root.findall("svg:polyline", space)
    assert len(lines) == 4 * len(APPS)
    _, _, width, height = map(float, root.attrib["viewBox"].split())
    for line in lines:
        points = [tuple(map(float, each.split(","))) for each in line.attrib["points"].split()]
        assert all(0 <= x <= width and 0 <= y <= height for x, y in points)
    title = root.find("svg:title", space)
    assert title is not None
    assert title.text
