"""Say when a vendor's list is to be asked for again, from what its server says of caching."""

import re
from collections.abc import Mapping
from typing import Final

DEFAULT_SECONDS: Final = 300.0
"""How long a list is fresh whose server says nothing."""

LEAST_SECONDS: Final = 60.0
"""A server that wants to be asked at each turn isn't asked more often than this."""

MOST_SECONDS: Final = 24 * 3600.0
"""A server that says "for ever" is asked again after this: a revocation can't wait longer."""

FIRST_PAUSE: Final = 30.0
"""Pause after the first failure, in seconds; it doubles with each one that follows."""

LONGEST_PAUSE: Final = 3600.0
"""Longest pause between two attempts while a server fails, in seconds."""

_DIRECTIVE: Final = re.compile(r'([a-zA-Z-]+)(?:\s*=\s*(?:"([^"]*)"|([^\s,;"]*)))?')
_SECONDS: Final = re.compile(r"[0-9]{1,12}")
_MAX_HEADER: Final = 1000


def fresh_seconds(headers: Mapping[str, str]) -> float:
    """Return how long an answer is fresh (RFC 9111 section 4.2), within our bounds.

    :param headers: names in lower case.
    """
    given = headers.get("cache-control", "")[:_MAX_HEADER]
    directives = {
        match[1].lower(): match[2] or match[3] or "" for match in _DIRECTIVE.finditer(given)
    }
    if "no-store" in directives or "no-cache" in directives:
        return LEAST_SECONDS
    max_age = _seconds(directives.get("max-age"))
    if max_age is None:
        return DEFAULT_SECONDS
    # What a cache on the way has used up of the time is gone (section 4.2.3).
    used = _seconds(headers.get("age")) or 0.0
    return min(max(max_age - used, LEAST_SECONDS), MOST_SECONDS)


def pause_seconds(failures: int, headers: Mapping[str, str] | None = None) -> float:
    """Return how long to wait after so many failures in a row (at least one), at most an hour.

    :param headers: of an answer that refused; its ``Retry-After`` is honoured where it is longer.
    """
    pause = FIRST_PAUSE * 2.0 ** min(failures - 1, 20)
    asked = _seconds((headers or {}).get("retry-after")) or 0.0
    return min(max(pause, asked), LONGEST_PAUSE)


def _seconds(text: str | None) -> float | None:
    return float(text) if text is not None and _SECONDS.fullmatch(text.strip()) else None
