"""Remember what follows from a request's names, which clients repeat, in bounded memory."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any, Generic, ParamSpec, TypeVar

_P = ParamSpec("_P")
_R = TypeVar("_R")


_EACH = 64
"""What a name takes beside its characters, in round numbers."""


class _OversizeError(Exception):
    """Report names that are too large to be kept: of a call that raises a cache keeps nothing."""


class Remembered(Generic[_P, _R]):
    """Call a function that depends on its arguments alone, of which the last are the names, and keep what it returned."""

    def __init__(self, function: Callable[_P, _R], entries: int, most: int) -> None:
        """Keep nothing yet; parameters as :func:`remembered`."""

        def bounded(*arguments: _P.args, **named: _P.kwargs) -> _R:
            names: Any = arguments[-1]
            if sum(map(len, names)) + _EACH * len(names) > most:
                raise _OversizeError
            return function(*arguments, **named)

        self._function = function
        self._kept: Any = lru_cache(maxsize=entries)(bounded)

    def __call__(self, *arguments: _P.args, **named: _P.kwargs) -> _R:
        """Return what the function does."""
        try:
            found: _R = self._kept(*arguments, **named)
        except _OversizeError:
            return self._function(*arguments, **named)
        return found

    def forget(self) -> None:
        """Keep nothing of what was asked so far."""
        self._kept.cache_clear()


def remembered(*, entries: int, most: int) -> Callable[[Callable[_P, _R]], Remembered[_P, _R]]:
    """Decorate a function so that its results are remembered.

    A stranger chooses names, so that both how many results are kept and their size have bounds.

    :param entries: how many are kept, those that were asked for last.
    :param most: characters of all names of one call, and :data:`_EACH` more for each; of more nothing is kept.
    """
    return lambda function: Remembered(function, entries, most)
