"""Collect what readers of a package saw of it and what they missed."""

from collections import Counter
from collections.abc import Iterable

from watchword.scan.app import Coverage, Depth, FrameworkCode, Gap, Part, Seen
from watchword.scan.archive.interface import Memory

MOST_GAPS = 200
"""How many gaps of one part are told one by one: a broken archive has a hundred thousand, and nobody reads on."""


class Notes:
    """Collect gaps and counts while a package is read; one for all its readers."""

    def __init__(self, memory: Memory | None = None) -> None:
        """Start with nothing seen and nothing missed.

        :param memory: what all readers may keep of the package.
        """
        self.memory = Memory() if memory is None else memory
        self._gaps: dict[Gap, None] = {}
        self._missed: set[str] = set()
        self._of_part: Counter[Part] = Counter()
        self._left_out: Counter[Part] = Counter()
        self._seen: dict[tuple[Part, str], tuple[int, int]] = {}
        self._depths: dict[str, Depth] = {}
        self._frameworks: tuple[FrameworkCode, ...] = ()

    def gap(self, part: Part, where: str, why: str) -> None:
        """Note what wasn't seen; the same gap counts once, and those beyond :data:`MOST_GAPS` of a part are only counted.

        :param where: the entry, empty for the whole part.
        :param why: for people; no secret.
        """
        found = Gap(part, where, why)
        self._missed.add(where)
        if found in self._gaps:
            return
        if self._of_part[part] >= MOST_GAPS:
            self._left_out[part] += 1
            return
        self._of_part[part] += 1
        self._gaps[found] = None

    def seen(self, part: Part, read: int, defined: int, unit: str) -> None:
        """Note how much of a part was read; several notes of one part and unit are added up.

        :param unit: plural, such as ``classes``, ``entries``, ``libraries``.
        """
        before = self._seen.get((part, unit), (0, 0))
        self._seen[part, unit] = (before[0] + read, before[1] + defined)

    def missed(self, where: str) -> bool:
        """Tell whether a gap of this entry was noted, or counted."""
        return where in self._missed

    def code(self, where: str, depth: Depth) -> None:
        """Note how far a reader read the app's code in an entry: all of it, or it says nothing.

        Of two readers the deeper one counts.  An entry with a gap is unread, whatever was noted.
        """
        if depth.rank > self._depths.get(where, Depth.UNREAD).rank:
            self._depths[where] = depth

    def depth(self, where: str) -> Depth:
        """Return how far the code in an entry was read."""
        return Depth.UNREAD if self.missed(where) else self._depths.get(where, Depth.UNREAD)

    def recognised(self, frameworks: Iterable[FrameworkCode]) -> None:
        """Note which frameworks hold code of the app."""
        self._frameworks = tuple(frameworks)

    def coverage(self) -> Coverage:
        """Return what was noted so far, in the order in which it was first noted."""
        seen = tuple(
            Seen(part, read, defined, unit) for (part, unit), (read, defined) in self._seen.items()
        )
        more = tuple(
            Gap(part, "", f"{count} more gaps of this part aren't listed")
            for part, count in self._left_out.items()
        )
        return Coverage(seen, (*self._gaps, *more), self._frameworks)
