"""Mutate the members of a JSON object, for tests that hold two readers of it to one verdict."""

from collections.abc import Iterable
from typing import Any


def mutate(members: dict[str, Any], changes: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Replace members, by names with points; remove one where the value is ``...``; return the object itself."""
    for name, value in changes:
        *above, last = name.split(".")
        place: Any = members
        for step in above:
            place = place.get(step) if isinstance(place, dict) else None
        if not isinstance(place, dict):
            continue
        if value is ...:
            place.pop(last, None)
        else:
            place[last] = value
    return members
