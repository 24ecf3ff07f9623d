"""Judge how long ago a vendor or a provider made its statement."""

from datetime import datetime, timedelta
from typing import Final

from watchword.reasons import Reason, Refusal

MAX_AGE: Final = timedelta(minutes=10)
"""How old a verdict may be: twice the life of a challenge, which the verdict is bound to."""

CLOCK_LEEWAY: Final = timedelta(seconds=60)
"""How far in the future a statement may lie, since clocks differ."""


def age_refusals(
    stated_at: datetime,
    now: datetime,
    max_age: timedelta = MAX_AGE,
    reason: Reason = Reason.EVIDENCE_AGE,
) -> tuple[Refusal, ...]:
    """Return what is wrong with a statement of that time: too old, or made in the future.

    :param reason: the reason of a vendor's own; providers that an operator adds leave it.
    """
    age = now - stated_at
    if -CLOCK_LEEWAY <= age <= max_age:
        return ()
    got = f"made {describe_age(age)}"
    most = int(max_age.total_seconds())
    return (Refusal(reason, f"got one {got}, expected one of the last {most} s"),)


def describe_age(age: timedelta) -> str:
    """Return an age for people, in seconds: ``3 s ago``, or ``70 s ahead``."""
    seconds = int(age.total_seconds())
    return f"{seconds} s ago" if seconds >= 0 else f"{-seconds} s ahead"
