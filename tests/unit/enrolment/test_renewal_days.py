"""Mark days on which tokens were issued, and tell which renewals the audit trail has."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.store_contract.entries import audit, instance

from watchword.enrolment.renewal_days import DAYS, days_of, is_told, marked

START = datetime(2026, 12, 3, 23, 59, tzinfo=UTC)
ONE = replace(instance(), enrolled_at=START, renewed_at=START)
MINUTE = timedelta(minutes=1)


@given(st.lists(st.integers(0, 200_000), max_size=40))
def test_every_day_of_the_last_weeks_is_known(pauses: list[int]) -> None:
    """And none besides; what is older than the marks go back is gone, and the number stays one of 64 bits."""
    held, seen = ONE, {START.date()}
    for minutes in pauses:
        at = held.renewed_at + minutes * MINUTE
        held = replace(
            held, renewed_days=marked(held.renewed_days, held.renewed_at, at), renewed_at=at
        )
        seen.add(at.date())
    newest = held.renewed_at.date()
    assert 0 <= held.renewed_days < 1 << DAYS
    expected = sorted((each for each in seen if (newest - each).days < DAYS), reverse=True)
    assert days_of(held) == expected


def test_a_clock_that_was_set_back_and_forward() -> None:
    """It loses what lies ahead of it, keeps what lies behind, and a jump of years makes no large number."""
    days = marked(0, START, START + timedelta(days=2))
    back = marked(days, START + timedelta(days=2), START)
    assert days_of(replace(ONE, renewed_days=back)) == [START.date()]
    far = START + timedelta(days=40_000)
    assert marked(days, START, far) == 1
    assert marked(days, far, START) == 1


@pytest.mark.parametrize(
    ("changes", "detail", "told"),
    [
        ({}, {}, False),
        ({"app_version": "43"}, {}, True),
        ({"platform": "ios-26"}, {}, True),
        ({}, {"signals": ["x"]}, False),
        ({"renewed_at": START + MINUTE}, {}, False),
        ({"renewed_at": START + MINUTE}, {"signals": ["x"]}, True),
        ({"renewed_at": START + MINUTE}, {"test": True}, True),
    ],
)
def test_which_renewals_are_told(
    changes: dict[str, object], detail: dict[str, object], told: bool
) -> None:
    """A change at once, what stays as it is once a day, and else none: it would say only that the instance goes on."""
    after = replace(ONE, **changes)  # type: ignore[arg-type]
    assert is_told(ONE, after, replace(audit("instance.renewed"), detail=detail)) is told
