"""Ask the kernel whether its time follows a time server."""

import ctypes
from typing import Final

_UNSYNCHRONISED: Final = 5
"""``TIME_ERROR`` of ``sys/timex.h``; lower numbers are states of a clock that is synchronised, -1 is a failure."""

_TIMEX_BYTES: Final = 1024
"""More than ``struct timex`` has anywhere; all zero it asks, and sets nothing."""


def is_synchronised() -> bool:
    """Tell whether a time server vouches for the system's time, within 16 seconds (adjtimex(2)).

    Whoever sets the clock by hand ends that at once, until a time server is heard again.  False also where the
    system can't be asked (it isn't Linux).
    """
    ask = getattr(ctypes.CDLL(None), "adjtimex", None)
    if ask is None:
        return False
    return 0 <= int(ask(ctypes.create_string_buffer(_TIMEX_BYTES))) < _UNSYNCHRONISED
