"""Measure how long a scan takes: no step of the system's time, back or forth, may lengthen it."""

import time


def monotonic() -> float:
    """Return seconds that only grow, from a start that means nothing."""
    return time.monotonic()
