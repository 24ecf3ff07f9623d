"""Tell where two readers of an archive see different things, or may."""

from collections import Counter
from collections.abc import Iterator
from itertools import islice, pairwise

from watchword.scan.app import Disagreement
from watchword.scan.archive.directory import Directory
from watchword.scan.archive.records import (
    DEFLATED,
    ENCRYPTED,
    STORED,
    Record,
    read_local,
)
from watchword.scan.archive.walker import Walk

MOST_DISAGREEMENTS = 200
"""How many are told one by one."""


def compare(data: memoryview, directory: Directory, walked: Walk) -> tuple[Disagreement, ...]:
    """Return where the directory and the local headers say different things; at most :data:`MOST_DISAGREEMENTS`."""
    found = _all(data, directory, walked)
    told = list(islice(found, MOST_DISAGREEMENTS))
    if next(found, None) is not None:
        told.append(
            Disagreement("", f"more than {MOST_DISAGREEMENTS} disagreements: the rest isn't listed")
        )
    return tuple(told)


def _all(data: memoryview, directory: Directory, walked: Walk) -> Iterator[Disagreement]:
    """Yield all disagreements: of the archive, then of its entries."""
    yield from directory.oddities
    yield from _duplicates(directory)
    for record in directory.records:
        yield from _of_entry(data, record)
    yield from _overlaps(data, directory)
    yield from _unlisted(data, directory, walked)


def _duplicates(directory: Directory) -> Iterator[Disagreement]:
    """Yield names that stand in the directory more than once: one reader takes the first, another the last."""
    for name, count in Counter(record.name for record in directory.records).items():
        if count > 1:
            yield Disagreement(name, f"the directory names it {count} times")


def _of_entry(data: memoryview, record: Record) -> Iterator[Disagreement]:
    """Yield where an entry's local header says something else, or it is of a kind that readers treat differently."""
    name = record.name
    if record.flags & ENCRYPTED:
        yield Disagreement(name, "is flagged as encrypted, which Android doesn't look at")
    if record.method not in (STORED, DEFLATED):
        yield Disagreement(
            name, f"has the compression method {record.method}, which Android takes as none"
        )
    if record.method == STORED and record.packed != record.size:
        what = f"is stored in {record.packed} bytes and states {record.size}"
        yield Disagreement(name, what)
    local = read_local(data, record.offset)
    if local is None:
        yield Disagreement(
            name, f"has no local header at {record.offset}, where the directory says"
        )
        return
    if local.raw != record.raw:
        yield Disagreement(name, f"is called {local.shown!r} by its local header")
    if local.method != record.method:
        what = f"has the compression method {record.method}, and {local.method} by its local header"
        yield Disagreement(name, what)
    if (local.flags ^ record.flags) & ENCRYPTED:
        yield Disagreement(name, "is flagged as encrypted by one of its two headers only")
    if not local.sizes_follow:
        yield from _sizes(record, local)


def _sizes(record: Record, local: Record) -> Iterator[Disagreement]:
    """Yield where sizes or checksum differ."""
    for what, mine, other in (
        ("bytes packed", record.packed, local.packed),
        ("bytes unpacked", record.size, local.size),
    ):
        if mine != other:
            yield Disagreement(record.name, f"has {mine} {what}, and {other} by its local header")
    if record.crc != local.crc:
        yield Disagreement(record.name, "has another checksum by its local header")


def overlaps(data: memoryview, directory: Directory) -> dict[int, str]:
    """Return, by its place in the directory, each entry that shares bytes with another one, so that those left share none.

    Of several that begin at the same byte all but the first are returned, and what reaches into the next one.
    """
    found: dict[int, str] = {}
    spans: list[tuple[int, int, Record]] = []
    first: dict[int, Record] = {}
    for place, record in enumerate(directory.records):
        local = read_local(data, record.offset)
        if local is None:
            continue
        known = first.setdefault(record.offset, record)
        if known is record:
            spans.append((local.end + record.packed, place, record))
        else:
            found[place] = f"shares bytes with {known.shown!r}"
    spans.sort(key=lambda span: span[2].offset)
    for (end, place, _), (_, _, following) in pairwise(spans):
        if end > following.offset:
            found[place] = f"shares bytes with {following.shown!r}"
    return found


def _overlaps(data: memoryview, directory: Directory) -> Iterator[Disagreement]:
    """Yield entries that share bytes with one before them, or with the directory: the trick of bombs that overlap."""
    for place, why in overlaps(data, directory).items():
        yield Disagreement(directory.records[place].name, why)
    ends = [
        (local.end + record.packed, record)
        for record in directory.records
        if (local := read_local(data, record.offset)) is not None
    ]
    if ends:
        end, record = max(ends, key=lambda span: span[0])
        if end > directory.ending.start:
            yield Disagreement(record.name, "reaches into the directory")


def _unlisted(data: memoryview, directory: Directory, walked: Walk) -> Iterator[Disagreement]:
    """Yield what stands in the archive and not in the directory."""
    listed = {record.offset for record in directory.records}
    for record in walked.records if directory.whole else ():
        if record.offset not in listed and not record.fills:
            yield Disagreement(record.name, "stands in the archive, and not in its directory")
    for start, end in walked.strays:
        yield Disagreement("", f"{end - start} bytes at {start} belong to no entry")
    if not walked.whole:
        yield Disagreement(
            "", "its local headers can't be followed to the end: there are too many, or they lie"
        )
    elif walked.end not in (directory.ending.start, len(data)):
        what = f"from its front, the directory stands at {walked.end}, by its end record at {directory.ending.start}"
        yield Disagreement("", what)
