"""Read and write durations as ``watchword.yaml`` and the command line have them: ``90s``, ``5m``, ``1h``, ``30d``."""

import re
from typing import Final

_WRITTEN: Final = re.compile(r"([1-9][0-9]{0,5})([smhd])")
_SIZES: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def seconds(text: str) -> int:
    """Return the seconds of a duration.

    :raises ValueError: what was expected, when it is none.
    """
    found = _WRITTEN.fullmatch(text)
    if found is None:
        raise ValueError("a duration such as 90s, 5m, 1h or 30d")
    return int(found[1]) * _SIZES[found[2]]


def duration(length: int) -> str:
    """Return seconds in the largest unit that fits."""
    # One day is better known by its hours.
    for least, unit, letter in ((172800, 86400, "d"), (3600, 3600, "h"), (60, 60, "m")):
        if length % unit == 0 and length >= least:
            return f"{length // unit}{letter}"
    return f"{length}s"
