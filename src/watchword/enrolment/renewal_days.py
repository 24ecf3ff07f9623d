"""Mark the days on which an instance was issued tokens: one number in its row, in place of an audit entry a renewal.

Days are UTC.  Bit ``n`` of the number stands for the day that is ``n`` days before the one of the newest tokens, so that the
number says nothing without ``Instance.renewed_at``.  Neither grows: a fleet of phones that renew every few minutes costs no room.
"""

from datetime import date, datetime, timedelta
from typing import Final

from watchword.ports import AuditEntry, Instance

DAYS: Final = 63
"""For how many days back the marks are kept: as many as fit into a positive number of 64 bits."""

_ALL: Final = (1 << DAYS) - 1


def _day(at: datetime) -> int:
    return at.date().toordinal()


def marked(days: int, before: datetime, at: datetime) -> int:
    """Return the marks after one more day.

    :param days: the marks as they were at ``before``, the instant of the newest tokens up to then.
    :param at: the instant of the newest tokens now; a clock that was set back loses the marks of what lies ahead.
    """
    passed = max(-DAYS, min(DAYS, _day(at) - _day(before)))
    moved = (days | 1) << passed if passed >= 0 else (days | 1) >> -passed
    return moved & _ALL | 1


def days_of(instance: Instance) -> list[date]:
    """Return the days on which an instance was issued tokens, newest first, as far back as they are kept.

    Of an instance from before there were marks, all days but its last one are missing.
    """
    newest = instance.renewed_at.date()
    marks = instance.renewed_days | 1
    return [newest - timedelta(days=each) for each in range(DAYS) if marks >> each & 1]


def is_told(before: Instance, after: Instance, entry: AuditEntry) -> bool:
    """Tell whether a renewal stands in the audit trail: where it says more than that the instance goes on.

    That is another version or system, at once.  What policy holds against the instance, and a test instance that goes on, are
    told once a day.

    :param entry: what the trail would get.
    """
    if (after.app_version, after.platform) != (before.app_version, before.platform):
        return True
    is_first = _day(before.renewed_at) != _day(after.renewed_at)
    return is_first and not entry.detail.keys().isdisjoint({"signals", "test"})
