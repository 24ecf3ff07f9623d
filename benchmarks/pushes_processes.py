"""Look at the memory of what a benchmark has started."""

import os
from contextlib import suppress
from pathlib import Path

_PAGE = os.sysconf("SC_PAGE_SIZE")


def resident_bytes() -> dict[str, int]:
    """Return by program's name how many bytes the largest of all processes below this one has in memory."""
    parents, found = {}, {}
    for each in Path("/proc").iterdir():
        if not each.name.isdigit():
            continue
        with suppress(OSError, ValueError):
            name, _, rest = (each / "stat").read_text().partition("(")[2].rpartition(")")
            fields = rest.split()
            parents[int(each.name)] = int(fields[1])
            found[int(each.name)] = name, int(fields[21]) * _PAGE
    largest: dict[str, int] = {}
    for process, (name, size) in found.items():
        if _is_below(process, os.getpid(), parents):
            largest[name] = max(size, largest.get(name, 0))
    return largest


def _is_below(process: int, above: int, parents: dict[int, int]) -> bool:
    while process in parents:
        process = parents[process]
        if process == above:
            return True
    return False


def resident_of_this() -> int:
    """Return how many bytes this process has in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE
