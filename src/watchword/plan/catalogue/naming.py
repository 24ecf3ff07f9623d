"""Say which id somebody may have meant, by its digits before any likeness of letters: ``MT-B3`` is ``MT-B03``."""

import difflib
import re
from collections.abc import Collection
from typing import Final

_MAX_LOOKED_AT: Final = 60
_LIKE_AN_ID: Final = re.compile(r"(?:(MT|PR)[-_ .]?)?([A-Z])[-_ .]?([0-9]{1,6})")


def same_id(word: str, known: Collection[str]) -> str | None:
    """Return the known id that a word is but for its case, None if it is none."""
    key = word[:_MAX_LOOKED_AT].strip().upper()
    return key if key in known else None


def nearest_id(word: str, known: Collection[str]) -> str | None:
    """Return the known id or name that may have been meant, for a hint; None if none is near.

    One of the same number comes before one that merely looks alike, the first by name before others as near.
    """
    word = word[:_MAX_LOOKED_AT].strip()
    padded = _padded(word.upper(), known)
    if padded is not None:
        return padded
    for each in dict.fromkeys((word, word.upper())):
        near = difflib.get_close_matches(each, known, n=len(known) or 1)
        if near:
            return min(near, key=lambda name: (-_likeness(each, name), name))
    return None


def _padded(word: str, known: Collection[str]) -> str | None:
    """Return the id of the same part, letter and number: the hyphen and zeros may lack, or be too many."""
    found = _LIKE_AN_ID.fullmatch(word)
    if found is None:
        return None
    number = int(found[3])
    if number >= 10 and found[3].startswith("0"):
        # B011 may be B01 as well as B11.
        return None
    prefixes = [found[1]] if found[1] else ["MT", "PR"]
    ids = {f"{prefix}-{found[2]}{number:0{width}}" for prefix in prefixes for width in (2, 3)}
    there = sorted(ids.intersection(known))
    return there[0] if len(there) == 1 else None


def _likeness(word: str, name: str) -> float:
    return difflib.SequenceMatcher(None, name, word).ratio()
