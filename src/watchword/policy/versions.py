"""Compare versions as vendors state them: dotted numbers, number by number."""

import re
from itertools import zip_longest
from typing import Final

VERSION: Final = re.compile(r"[0-9]{1,19}(\.[0-9]{1,19}){0,7}")
"""``versionCode`` (up to 64 bits), ``CFBundleVersion`` or the version of a system."""


def is_at_least(stated: str, minimum: str) -> bool:
    """Tell whether a version isn't below the minimum; a version that isn't dotted numbers is."""
    if not (VERSION.fullmatch(stated) and VERSION.fullmatch(minimum)):
        return False
    pairs = zip_longest(map(int, stated.split(".")), map(int, minimum.split(".")), fillvalue=0)
    return next((got > least for got, least in pairs if got != least), True)
