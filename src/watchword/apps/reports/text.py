"""Write strangers' text into reports, so that neither a terminal nor a reader of files obeys it."""

import json
from collections.abc import Iterable
from typing import Any, Final

from watchword.apps.terminal.paragraphs import printable

MAX_TEXT: Final = 500
"""Most characters of one text."""


def shown(text: str) -> str:
    """Return text on one line without what a terminal obeys, what turns other text around, or what XML can't hold."""
    safe = printable(" ".join(text[:MAX_TEXT].split()))
    if len(text) <= MAX_TEXT and len(safe) <= MAX_TEXT:
        return safe
    return f"{safe[: MAX_TEXT - 3]}..."


def json_text(value: Any) -> str:
    """Return a document as it is put into a file: in ASCII, for people to read too."""
    return json.dumps(value, indent=2) + "\n"


def listed(names: Iterable[str], most: int = 1_000) -> str:
    """Return names one after the other, and how many more there are."""
    every = list(names)
    said = ", ".join(every[:most])
    return said if len(every) <= most else f"{said} and {len(every) - most:,} more"
