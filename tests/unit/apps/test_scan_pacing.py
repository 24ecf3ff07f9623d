"""A scan's time: what is left, who is told, and what doesn't look at the clock."""

import itertools
import signal
import time

import pytest

from watchword.apps.scan.reader import OverTimeError, Pace, interrupted_after


def test_those_who_wait_are_told_now_and_then() -> None:
    """Not at all in the first two seconds, then ever more seldom."""
    told: list[str] = []
    ticks = itertools.count(0, 1)
    pace = Pace(60.0, lambda: float(next(ticks)), told.append)
    assert pace.left() == 59.0
    assert told == []
    for _ in range(30):
        pace.left()
    pace.looks("pinning")
    assert 3 <= len(told) <= 6
    assert "60 s" in told[0]


def test_a_line_names_what_is_done() -> None:
    """Reading, or the rule that looks."""
    told: list[str] = []
    now = [0.0]
    pace = Pace(60.0, lambda: now[0], told.append)
    now[0] = 10.0
    pace.looks("pinning")
    assert "pinning" in told[0]
    assert pace.left() == 50.0


def test_what_runs_without_an_end_is_interrupted() -> None:
    """It never asks for the time."""
    with pytest.raises(OverTimeError), interrupted_after(0.05):  # noqa: PT012 - it must be one.
        while True:
            pass


def test_what_is_done_in_time_is_left_alone() -> None:
    """Nor does an old alarm ring later."""
    with interrupted_after(0.05):
        pass
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    end = time.monotonic() + 0.15  # noqa: TID251 - the test waits.
    while time.monotonic() < end:  # noqa: TID251 - the test waits.
        pass
