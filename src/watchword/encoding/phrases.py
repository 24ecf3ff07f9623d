"""Write counts and durations as people read them, and text that others chose so that a terminal obeys nothing of it."""

import re
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
