"""Remember what was found in the last app: many rules ask the same of it, one after the other."""

from collections.abc import Callable
from functools import wraps
from typing import TypeVar

from watchword.scan.app import App

_Found = TypeVar("_Found")


def remembered(look: Callable[[App], _Found]) -> Callable[[App], _Found]:
    """Return a function that looks at an app once; only the last app's is kept, so that no other stays in memory."""
    last: list[tuple[App, _Found]] = []

    @wraps(look)
    def looked(app: App) -> _Found:
        for known, found in last:
            if known is app:
                return found
        found = look(app)
        last[:] = [(app, found)]
        return found

    return looked
