"""Bound the work that one DEX file may ask for, and collect what was wrong with it."""

from collections import Counter

from watchword.scan.app import Part
from watchword.scan.archive.pace import Memory
from watchword.scan.notes import Notes

ALLOWANCE = 4
"""How many times its own size a file may ask to be read.  A genuine one needs about 1; one whose items overlap or point at the
same place a million times asks for their product, and that is how a small file would stop a scan."""


class Damaged(ValueError):  # noqa: N818
    """Say that an item couldn't be read; caught where the next one begins."""


class Budget:
    """Hold how many bytes of a file may still be read, and what is kept of all files together."""

    def __init__(self, size: int, memory: Memory | None = None) -> None:
        """Start with :data:`ALLOWANCE` times the file."""
        self._left = ALLOWANCE * size + 4096
        self._memory = Memory() if memory is None else memory

    @property
    def left(self) -> int:
        """Return the bytes that may still be read, never below 0."""
        return self._left

    @property
    def room(self) -> int:
        """Return the bytes of memory that the scan has still room for."""
        return self._memory.left

    def keep(self, size: int) -> bool:
        """Count bytes of memory that are kept; False, and nothing is counted, where the scan has no room for them."""
        return self._memory.keep(size)

    def spend(self, amount: int) -> bool:
        """Take bytes out of it; False, and nothing is taken, where there aren't as many."""
        if amount > self._left:
            return False
        self._left -= amount
        return True


class Trouble:
    """Collect what was wrong with one file, each kind once with its count: a broken table has a gap per row."""

    def __init__(self, where: str) -> None:
        """Start with nothing wrong."""
        self._where = where
        self._kinds: Counter[str] = Counter()

    def __call__(self, why: str) -> None:
        """Note one thing that is wrong."""
        self._kinds[why] += 1

    def tell(self, notes: Notes) -> None:
        """Hand over what was collected."""
        for why, count in self._kinds.items():
            notes.gap(Part.DEX, self._where, f"{why} ({count} times)" if count > 1 else why)
