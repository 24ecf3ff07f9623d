"""Count calls by the window: the one rule that every ledger keeps.

A window is so many seconds, aligned to 1970, and has a number.  For each secret, instance and length there is one count, of
the latest window alone.

**Clocks.**  A clock that steps back by less than a window finds the count of the window after, and counts on in it: nobody gets
a window twice, whichever of two gates' clocks is ahead.  One that was further ahead takes its count along into the window of
now: whoever used up a window of the future waits one window, and not until that future.  A count is forgotten a whole
window after its end.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from typing import Final, NamedTuple

from watchword.broker.interface import Spent, Use

GRACE_WINDOWS: Final = 2
"""After how many windows from its own number on a count is forgotten: its own, and one for clocks that step back."""


class Count(NamedTuple):
    """Hold what an instance used in one window."""

    window: int
    calls: int = 0
    spend: int = 0


class Taken(NamedTuple):
    """Hold what a call comes to.

    :param spent: which allowance has no room, None if all have; of several the one whose window ends last.
    :param counts: by length, what is to be kept: where there was no room, only counts that came back from the future, so
        that their window begins to run.
    """

    spent: Spent | None
    counts: Mapping[int, Count]


def window_of(seconds: int, now: float) -> int:
    """Return the number of the window in which an instant lies."""
    return int(now // seconds)


def ends_at(seconds: int, window: int) -> int:
    """Return when a window ends, in seconds since 1970."""
    return (window + 1) * seconds


def forgotten_at(seconds: int, window: int) -> int:
    """Return from when on the count of a window may be forgotten."""
    return (window + GRACE_WINDOWS) * seconds


def counted_in(kept: Count | None, window: int) -> Count:
    """Return the count to which a call of this window is added."""
    if kept is None or kept.window < window:
        return Count(window)
    if kept.window <= window + 1:
        return kept
    return kept._replace(window=window)


def lengths(use: Use) -> Iterable[int]:
    """Return the lengths of the windows of a use, each once, in order."""
    return dict.fromkeys(each.seconds for each in use.allowances)


def taken(use: Use, now: float, kept: Callable[[int], Count | None]) -> Taken:
    """Count a call.

    :param kept: returns the count that is kept for a length.
    """
    found = {seconds: kept(seconds) for seconds in lengths(use)}
    counts = {
        seconds: counted_in(count, window_of(seconds, now)) for seconds, count in found.items()
    }
    full = []
    for each in use.allowances:
        count = counts[each.seconds]
        wait = ends_at(each.seconds, count.window) - now
        if each.calls is not None and count.calls + 1 > each.calls:
            full.append(Spent(wait, by_calls=True))
        elif each.spend is not None and count.spend + use.cost > each.spend:
            full.append(Spent(wait, by_calls=False))
    if full:
        back = {
            seconds: count
            for seconds, count in counts.items()
            if (was := found[seconds]) is not None and was.window > count.window
        }
        return Taken(max(full, key=lambda spent: spent.wait), back)
    return Taken(
        None,
        {
            seconds: Count(count.window, count.calls + 1, count.spend + use.cost)
            for seconds, count in counts.items()
        },
    )


def given_back(use: Use, seconds: int, now: float, kept: Count | None) -> Count | None:
    """Return the count of a length without a call that was counted at ``now``, None where it stays as it is.

    Nothing comes back from another window: whether the call was counted there, by a clock that was behind, can't be
    told from calls that an instance had fail over the end of a window, to have more of the next one.
    """
    if kept is None or kept.window != window_of(seconds, now):
        return None
    return Count(kept.window, max(0, kept.calls - 1), max(0, kept.spend - use.cost))


def tag_of(secret: str, who: str) -> bytes:
    """Return 16 bytes that stand for an instance's use of a secret: a ledger needs to know neither."""
    text = f"{len(secret)}:{secret}{who}".encode()
    return hashlib.sha256(text).digest()[:16]
