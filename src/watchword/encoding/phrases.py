"""Write for people: counts, durations, times, names that were meant, foreign formats, and text that a terminal mustn't obey."""

import difflib
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final


def counted(number: int, one: str, many: str | None = None) -> str:
    """Return a count with its noun: ``1 path``, ``2,412 paths``.

    :param many: the plural; ``one`` with an s if None.
    """
    return f"{number:,} {one if number == 1 else many or one + 's'}"


_DURATION: Final = re.compile(r"([1-9][0-9]{0,5})([smhd])")
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def seconds(text: str) -> int:
    """Return the seconds of a duration such as ``90s``, ``5m``, ``1h`` or ``30d``, as files and command line have them.

    :raises ValueError: what was expected, when it is none.
    """
    found = _DURATION.fullmatch(text)
    if found is None:
        raise ValueError("a duration such as 90s, 5m, 1h or 30d")
    return int(found[1]) * _SECONDS[found[2]]


def duration(length: int) -> str:
    """Return seconds in the largest unit that fits."""
    # One day is better known by its hours.
    for least, unit, letter in ((172800, 86400, "d"), (3600, 3600, "h"), (60, 60, "m")):
        if length % unit == 0 and length >= least:
            return f"{length // unit}{letter}"
    return f"{length}s"


def printable(text: str) -> str:
    """Return text without what a terminal obeys: a package's name may hold its escape sequences."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )


def printable_lines(text: str) -> str:
    """Return text of several lines without what a terminal obeys, but the ends of the lines."""
    return "\n".join(map(printable, text.split("\n")))


def moment(at: datetime, timespec: str = "auto") -> str:
    """Return a time in UTC as RFC 3339 writes it: ``2026-11-29T14:11:51Z``.

    :param at: aware.
    :param timespec: how exactly; what is finer is cut off, as by :meth:`~datetime.datetime.isoformat`.
    """
    return at.astimezone(UTC).replace(tzinfo=None).isoformat(timespec=timespec) + "Z"


def nearest(got: str, known: Iterable[str]) -> str | None:
    """Return the name that a typo most likely means, whatever its case; None where none is near."""
    names = {each.lower(): each for each in known}
    found = difflib.get_close_matches(got.lower(), names, n=1)
    return names[found[0]] if found else None


NEWER: Final = "a newer Watchword wrote it, read it with that version"
"""What to do with a document of a format that isn't known yet."""


def other_format(got: object, expected: int) -> str:
    """Say that something kept is of another format than this version's, and what to do.

    :param got: what stands for the format's number, of any type: it was read.
    """
    if type(got) is int and got > expected:
        return (
            f"got format {got}, expected {expected}: a newer Watchword wrote it; use that version again, or "
            "restore the copy from before the update"
        )
    number = got if type(got) is int else "without a number"
    return (
        f"got format {number}, expected {expected}: no released Watchword wrote it; "
        "restore it from a backup"
    )
