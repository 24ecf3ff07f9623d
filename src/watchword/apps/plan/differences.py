"""Say how one plan differs from another, by their JSON documents, and why where that can be known."""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Final

from watchword.apps.plan import words
from watchword.apps.plan.causes import (
    Change,
    Subject,
    arrow,
    cause_in_words,
    causes_of,
    concerns,
    in_words,
)
from watchword.apps.plan.stored import StoredItem, StoredPlan, StoredStanding, read
from watchword.encoding.wording import counted
from watchword.plan.outcome import Exposure

MAX_SHOWN: Final = 10
"""How many paths and assets are named for people; the dictionary has them all."""


@dataclass(frozen=True, slots=True)
class Entry:
    """Hold an item that came or went, or that stands elsewhere.

    :param before: its place before, None where it is new; :param after: None where it is gone.
    :param overtakes: it changed places with others that stayed; else those before it came or went.
    :param because: what is known to have caused it, in words.
    """

    protection: str
    name: str
    before: int | None
    after: int | None
    overtakes: bool
    because: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Differences:
    """Hold how two plans differ.

    :param causes: changes of what a plan is made from: the environment, what was asked, the user's own catalogue,
        evidence, impacts, efforts, the budget.
    :param items: changes of an item's phase, level, action, or of what it closes.
    :param exposure: changes of how assets and paths stand.
    """

    causes: tuple[Change, ...]
    added: tuple[Entry, ...]
    gone: tuple[Entry, ...]
    moved: tuple[Entry, ...]
    items: tuple[Change, ...]
    exposure: tuple[Change, ...]
    assets_added: tuple[str, ...]
    assets_gone: tuple[str, ...]
    paths_added: tuple[str, ...]
    paths_gone: tuple[str, ...]

    @property
    def any(self) -> bool:
        """Tell whether there is a difference at all."""
        return any(getattr(self, each.name) for each in fields(self))

    def as_dict(self) -> dict[str, Any]:
        """Return it as it is printed with ``--json``."""
        return {
            "different": self.any,
            **{each.name: _plain(getattr(self, each.name)) for each in fields(self)},
        }

    def lines(self) -> Iterator[str]:
        """Yield it for people; the first columns say what kind of difference a line is."""
        if not self.any:
            yield "The plans are the same."
            return
        yield from _section("Changed beneath them", [cause_in_words(each) for each in self.causes])
        shifted = [each for each in self.moved if not each.overtakes]
        entries = [
            *(_entry("new", each) for each in self.added),
            *(_entry("gone", each) for each in self.gone),
            *(_entry("moved", each) for each in self.moved if each.overtakes),
            *(f"{each.id}: {each.field} {arrow(each)}" for each in self.items),
        ]
        if shifted:
            number = counted(len(shifted), "other")
            entries.append(f"{number} only shifted, since measures before came or went")
        yield from _section("The list", entries)
        yield from _section(
            "Exposure",
            [
                *_named("new asset", self.assets_added),
                *_named("asset gone", self.assets_gone),
                *_standing(self.exposure, Subject.ASSET),
                *_named("new path", self.paths_added),
                *_named("path gone", self.paths_gone),
                *_standing(self.exposure, Subject.PATH),
            ],
        )


def compare(before: Mapping[str, Any], after: Mapping[str, Any]) -> Differences:
    """Return how two plans differ; when they were made, and the age of evidence, don't count.

    :raises PlanDocumentError: where one isn't of the form that ``watchword plan --json`` writes.
    """
    return compare_stored(read(before), read(after))


def compare_stored(old: StoredPlan, new: StoredPlan) -> Differences:
    """Return how two plans differ that were read already."""
    causes = tuple(causes_of(old, new))
    common = [each for each in _in_order(old) if each in new.items]
    return Differences(
        causes=causes,
        added=tuple(
            _stands(new.items[each], None, new.items[each].place, causes)
            for each in _in_order(new)
            if each not in old.items
        ),
        gone=tuple(
            _stands(old.items[each], old.items[each].place, None, causes)
            for each in _in_order(old)
            if each not in new.items
        ),
        moved=tuple(_moved(common, old, new, causes)),
        items=tuple(_items(common, old, new)),
        exposure=(
            *_exposures(Subject.ASSET, old.assets, new.assets),
            *_exposures(Subject.PATH, old.paths, new.paths),
        ),
        assets_added=tuple(sorted(new.assets.keys() - old.assets.keys())),
        assets_gone=tuple(sorted(old.assets.keys() - new.assets.keys())),
        paths_added=tuple(sorted(new.paths.keys() - old.paths.keys())),
        paths_gone=tuple(sorted(old.paths.keys() - new.paths.keys())),
    )


def _in_order(plan: StoredPlan) -> list[str]:
    return sorted(plan.items, key=lambda name: (plan.items[name].place, name))


def _items(common: Iterable[str], old: StoredPlan, new: StoredPlan) -> Iterator[Change]:
    """Yield what changed in items that are in both lists, their places aside."""
    for name in common:
        pair = old.items[name], new.items[name]
        for field in ("phase", "level", "action", "interim"):
            before, after = (getattr(each, field) for each in pair)
            if before != after:
                yield Change(Subject.ITEM, name, field, before, after)
        for field in ("closes", "delays"):
            before, after = (getattr(each, field) for each in pair)
            if before != after:
                now = counted(len(after), "path")
                if len(before) == len(after):
                    now = "as many others"
                yield Change(Subject.ITEM, name, field, counted(len(before), "path"), now)


def _exposures(
    subject: Subject, old: Mapping[str, StoredStanding], new: Mapping[str, StoredStanding]
) -> Iterator[Change]:
    for name in sorted(old.keys() & new.keys()):
        before, after = old[name], new[name]
        if before.now is not after.now:
            yield Change(subject, name, "now", before.now.value, after.now.value)
        if before.after is not after.after:
            yield Change(subject, name, "after", before.after.value, after.after.value)


def _moved(
    common: Sequence[str], old: StoredPlan, new: StoredPlan, causes: Iterable[Change]
) -> Iterator[Entry]:
    """Yield the items whose place is another, in the order of the new list."""
    kept = _longest_rising([new.items[each].place for each in common])
    for name in sorted(common, key=lambda each: new.items[each].place):
        places = old.items[name].place, new.items[name].place
        overtakes = places[1] not in kept
        if places[0] != places[1] or overtakes:
            yield _stands(new.items[name], *places, causes, overtakes=overtakes)


def _longest_rising(places: Sequence[int]) -> frozenset[int]:
    """Return the largest set of places that are in the same order as before: patience sorting."""
    tops: list[int] = []
    ends: list[int] = []
    before: list[int | None] = []
    for number, place in enumerate(places):
        at = bisect_left(tops, place)
        before.append(ends[at - 1] if at else None)
        tops[at : at + 1] = [place]
        ends[at : at + 1] = [number]
    found: set[int] = set()
    step = ends[-1] if ends else None
    while step is not None:
        found.add(places[step])
        step = before[step]
    return frozenset(found)


def _stands(
    item: StoredItem,
    before: int | None,
    after: int | None,
    causes: Iterable[Change],
    *,
    overtakes: bool = False,
) -> Entry:
    because = tuple(in_words(each) for each in causes if concerns(each, item))
    return Entry(item.protection, item.name, before, after, overtakes, because)


def _entry(kind: str, entry: Entry) -> str:
    if entry.before is None:
        place = f"number {entry.after}"
    elif entry.after is None:
        place = f"was number {entry.before}"
    else:
        place = f"number {entry.before} -> {entry.after}"
    because = f" ({'; '.join(entry.because[:3])})" if entry.because else ""
    return f"{kind}: {entry.protection} {entry.name}, {place}{because}"


def _named(kind: str, names: Sequence[str]) -> Iterator[str]:
    for name in names[:MAX_SHOWN]:
        yield f"{kind}: {name}"
    if len(names) > MAX_SHOWN:
        yield f"{kind}: {len(names) - MAX_SHOWN:,} more"


def _standing(changes: Iterable[Change], subject: Subject) -> Iterator[str]:
    found = [each for each in changes if each.subject is subject]
    for each in found[:MAX_SHOWN]:
        before, after = (words.EXPOSURES[Exposure(str(name))] for name in (each.before, each.after))
        yield f"{subject.value} {each.id}: {each.field} {before} -> {after}"
    if len(found) > MAX_SHOWN:
        yield f"{len(found) - MAX_SHOWN:,} more changes of {subject.value}s"


def _section(heading: str, entries: Sequence[str]) -> Iterator[str]:
    if entries:
        yield heading
        yield from (f"  {words.flat(each)}" for each in entries)


def _plain(value: Sequence[Any]) -> list[Any]:
    """Return differences as JSON holds them."""
    return [each if isinstance(each, str) else asdict(each) for each in value]
