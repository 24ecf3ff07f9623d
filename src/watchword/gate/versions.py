"""Compare versions of apps as dotted numbers: ``1.10`` is later than ``1.9``, and ``2`` is ``2.0``."""

import re
from functools import lru_cache

_VERSION = re.compile(r"[0-9]{1,18}(?:\.[0-9]{1,18}){0,7}", re.ASCII)


@lru_cache(maxsize=1024)
def read_version(text: str) -> tuple[int, ...] | None:
    """Return the numbers of a version without the zeros at its end, None if it has another form.

    1 to 8 numbers of at most 18 digits, with dots between them.  What else an app may call itself
    (``1.2-beta``) has no place in an order, and so passes no minimum.
    """
    if not _VERSION.fullmatch(text):
        return None
    numbers = [int(part) for part in text.split(".")]
    while numbers and not numbers[-1]:
        numbers.pop()
    return tuple(numbers)


def is_at_least(version: str | None, minimum: str) -> bool:
    """Tell whether an app's version is at least ``minimum``; one that can't be read never is.

    :raises ValueError: when ``minimum`` can't be read.
    """
    needed = read_version(minimum)
    if needed is None:
        raise ValueError(f"got the minimum version {minimum!r}, expected numbers with dots")
    got = None if version is None else read_version(version)
    return got is not None and got >= needed
