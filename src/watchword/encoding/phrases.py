"""Write counts, times, names that were meant, and formats that aren't ours, as people read them."""

import difflib
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final


def counted(number: int, one: str, many: str | None = None) -> str:
    """Return a count with its noun: ``1 path``, ``2,412 paths``.

    :param many: the plural; ``one`` with an s if None.
    """
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def moment(at: datetime) -> str:
    """Return a time in UTC as RFC 3339 writes it, with Z.

    :param at: aware.
    """
    return at.astimezone(UTC).replace(tzinfo=None).isoformat() + "Z"


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
