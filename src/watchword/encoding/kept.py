"""Keep what was read out of bytes that come again and again, the same from every sender."""

from collections.abc import Callable
from functools import lru_cache
from typing import Generic, TypeVar

Value = TypeVar("Value")


class Kept(Generic[Value]):
    """Read bytes by a pure function, and keep what it returned for the last ones; never what it raised.

    Whoever sends other bytes each time pushes entries out and gains nothing: the bound holds, and whatever isn't
    kept is read again.

    :param entries: most values that are kept; :param size: most bytes of what is kept under.
    """

    __slots__ = ("_kept", "_plain", "_size")

    def __init__(self, read: Callable[[bytes], Value], *, entries: int, size: int) -> None:
        """Read by ``read``, whose value hangs on nothing but the bytes and isn't changed by anybody."""
        self._plain = read
        self._kept: Callable[[bytes], Value] = lru_cache(maxsize=entries)(read)
        self._size = size

    def read(self, data: bytes) -> Value:
        """Return what the function returns for these bytes, and raise what it raises."""
        return self._kept(data) if len(data) <= self._size else self._plain(data)
