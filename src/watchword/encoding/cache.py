"""Keep what pure functions returned, in bounded memory: under bytes, under a request's names, or for the last argument alone.

Whoever sends something else each time pushes entries out and gains nothing: the bound holds, and whatever isn't
kept is made again.
"""

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import Any, Generic, ParamSpec, TypeVar

_P = ParamSpec("_P")
_R = TypeVar("_R")
_Argument = TypeVar("_Argument")

_EACH = 64
"""What a name takes beside its characters, in round numbers."""


class BoundedCache(Generic[_R]):
    """Read bytes by a pure function, and keep what it returned for the last ones; never what it raised.

    :param entries: most values that are kept; :param size: most bytes of what is kept under.
    """

    __slots__ = ("_kept", "_plain", "_size")

    def __init__(self, read: Callable[[bytes], _R], *, entries: int, size: int) -> None:
        """Read by ``read``, whose value hangs on nothing but the bytes and isn't changed by anybody."""
        self._plain = read
        self._kept: Callable[[bytes], _R] = lru_cache(maxsize=entries)(read)
        self._size = size

    def read(self, data: bytes) -> _R:
        """Return what the function returns for these bytes, and raise what it raises."""
        return self._kept(data) if len(data) <= self._size else self._plain(data)


class _OversizeError(Exception):
    """Report names that are too large to be kept: of a call that raises a cache keeps nothing."""


class NamesCache(Generic[_P, _R]):
    """Call a function that depends on its arguments alone, of which the last are the names, and keep what it returned."""

    def __init__(self, function: Callable[_P, _R], entries: int, most: int) -> None:
        """Keep nothing yet; parameters as :func:`cached_by_names`."""

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


def cached_by_names(*, entries: int, most: int) -> Callable[[Callable[_P, _R]], NamesCache[_P, _R]]:
    """Decorate a function so that its results are kept under a request's names, which clients repeat.

    A stranger chooses names, so that both how many results are kept and their size have bounds.

    :param entries: how many are kept, those that were asked for last.
    :param most: characters of all names of one call, and :data:`_EACH` more for each; of more nothing is kept.
    """
    return lambda function: NamesCache(function, entries, most)


def cached_for_last(look: Callable[[_Argument], _R]) -> Callable[[_Argument], _R]:
    """Return a function that looks at a thing once; only the last one's result is kept, so that no other stays in memory."""
    last: list[tuple[_Argument, _R]] = []

    @wraps(look)
    def looked(argument: _Argument) -> _R:
        for known, found in last:
            if known is argument:
                return found
        found = look(argument)
        last[:] = [(argument, found)]
        return found

    return looked
