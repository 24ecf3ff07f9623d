"""Say what changed from one plan to another: items, standings, what got worse, and what beneath them made it so."""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from itertools import product
from typing import Any, Final

from watchword.apps.plan import words
from watchword.apps.plan.document import (
    AssetMembers,
    ItemMembers,
    LimitMembers,
    PathMembers,
    PlanDocument,
    StandingMembers,
)
from watchword.apps.plan.words import left_out, verdict, what_if, world
from watchword.apps.reports.text import flat, in_sentence
from watchword.encoding.phrases import counted
from watchword.encoding.phrases import moment as utc
from watchword.gate.hygiene import ANY_SEGMENT, CompiledRoute, compile_route, find_row
from watchword.gate.interface import Route
from watchword.observations import SEVERITIES
from watchword.plan.evidence import NEGATIVE
from watchword.plan.interface import RouteRow
from watchword.plan.outcome import Action, Exposure, Phase, Plan
from watchword.vocabulary import Level, Mode, Proof


class Subject(StrEnum):
    """Say what a change is one of."""

    ITEM = "item"
    ASSET = "asset"
    PATH = "path"
    EVIDENCE = "evidence"
    BUDGET = "budget"
    WHAT_IF = "what-if"
    ENVIRONMENT = "environment"
    CATALOGUE = "catalogue"
    STRENGTH = "strength"


@dataclass(frozen=True, slots=True)
class Change:
    """Hold one field that differs; None stands where it wasn't there.

    :param id: of the item, asset or path; of evidence the protection.
    :param at: of evidence, the target and the key; else empty.
    :param why: what was seen, or what changed what that is worth; empty where nothing more is known.
    """

    subject: Subject
    id: str
    field: str
    before: str | int | bool | None
    after: str | int | bool | None
    at: str = ""
    why: str = ""


def causes_of(old: PlanDocument, new: PlanDocument) -> Iterator[Change]:
    """Yield the changes of what a plan is made from."""
    yield from _world(old, new)
    yield from _what_if(old, new)
    yield from _catalogue(old, new)
    yield from _budget(old, new)
    yield from _evidence(old, new)
    yield from _strengths(old, new)
    yield from _inputs(old, new)


def concerns(change: Change, item: ItemMembers) -> bool:
    """Tell whether a cause is about this item: its evidence, its effort, an asset that it works for."""
    if change.subject is Subject.ASSET:
        return change.id in item.assets
    about = {
        Subject.EVIDENCE,
        Subject.ITEM,
        Subject.WHAT_IF,
        Subject.CATALOGUE,
        Subject.STRENGTH,
    }
    return change.subject in about and change.id == item.protection


def cause_in_words(change: Change) -> str:
    """Return a cause as a phrase, with why that is where it is known."""
    said = in_words(change)
    return f"{said}: {change.why}" if change.why else said


def in_words(change: Change) -> str:
    """Return a cause as a short phrase: what was and what is."""
    if change.subject is Subject.BUDGET:
        return f"budget {arrow(change)}"
    if change.subject is Subject.ENVIRONMENT:
        return f"environment {arrow(change)}"
    if change.subject is Subject.CATALOGUE:
        which = "only the second" if change.after else "only the first"
        return f"catalogue: {which} has {change.field} of {change.id} otherwise than shipped"
    if change.subject is Subject.WHAT_IF:
        taken = "proven" if change.field == "added" else "out of reach"
        which = "only the second" if change.after else "only the first"
        return f"what if: {which} takes {change.id} to be {taken}"
    if change.subject is Subject.EVIDENCE:
        at = f" at {change.at}" if change.at else ""
        return f"evidence of {change.id}{at} {arrow(change)}"
    return f"{change.field} of {change.id} {arrow(change)}"


def arrow(change: Change) -> str:
    """Return what a field was and what it is."""
    before, after = ("none" if each is None else each for each in (change.before, change.after))
    return f"{before} -> {after}"


def _world(old: PlanDocument, new: PlanDocument) -> Iterator[Change]:
    """Yield another environment."""
    before, after = old.environment, new.environment
    if before is not after:
        yield Change(Subject.ENVIRONMENT, "environment", "environment", before.value, after.value)


def _catalogue(old: PlanDocument, new: PlanDocument) -> Iterator[Change]:
    """Yield what only one of both has otherwise than it is shipped."""
    changed = [
        {(each.id, member) for each in plan.changed for member in each.members}
        for plan in (old, new)
    ]
    for name, member in sorted(changed[0] ^ changed[1]):
        before, after = ((name, member) in each for each in changed)
        yield Change(Subject.CATALOGUE, name, member, before, after)


def _what_if(old: PlanDocument, new: PlanDocument) -> Iterator[Change]:
    """Yield what only one of both takes for proven, or for out of reach."""
    for field in ("added", "removed"):
        before, after = (
            frozenset(getattr(old.what_if, field)),
            frozenset(getattr(new.what_if, field)),
        )
        for name in sorted(before ^ after):
            yield Change(Subject.WHAT_IF, name, field, name in before, name in after)


def _budget(old: PlanDocument, new: PlanDocument) -> Iterator[Change]:
    if old.budget != new.budget:
        yield Change(Subject.BUDGET, "budget", "budget", old.budget, new.budget)


def _evidence(old: PlanDocument, new: PlanDocument) -> Iterator[Change]:
    for key in sorted(old.evidence.keys() | new.evidence.keys()):
        before, after = old.evidence.get(key), new.evidence.get(key)
        was, now = (None if each is None else each.state.value for each in (before, after))
        if was != now:
            protection, target, looked_at = key
            at = f"{target} {looked_at}".strip()
            why = _seen(before, after) or _decided(key, new)
            yield Change(Subject.EVIDENCE, protection, "state", was, now, at, why)


def _seen(before: StandingMembers | None, after: StandingMembers | None) -> str:
    """Say what was seen, or why what was seen before is worth something else now."""
    if after is None:
        return ""
    if before is not None and is_same(before, after):
        return f"nothing new was seen since {moment(after)}, but: {after.why}"
    return f"{after.source}, {moment(after)}: {after.why}"


def is_same(before: StandingMembers, after: StandingMembers) -> bool:
    """Tell whether two standings rest on one observation: then the file or the time made the difference."""
    return (before.at, before.source) == (after.at, after.source)


def moment(found: StandingMembers) -> str:
    """Return when something was seen."""
    if found.at is None:
        return "at no known time"
    return f"{found.at:%Y-%m-%d %H:%M} UTC"


def _decided(key: tuple[str, str, str], new: PlanDocument) -> str:
    """Say what decides at the target in place of a key that doesn't any more."""
    others = sorted(other[2] for other in new.evidence if other[:2] == key[:2] and other != key)
    return f"{others[0]} decides there now" if others else ""


def _strengths(old: PlanDocument, new: PlanDocument) -> Iterator[Change]:
    """Yield strengths that came out otherwise where a path has the step."""
    measured = [
        {(each.protection, each.technique): each for each in plan.measured} for plan in (old, new)
    ]
    steps = {
        step
        for path in (*old.paths_by_id, *new.paths_by_id)
        for step in path.rpartition(":")[2].split(">")
    }
    for key in sorted(measured[0].keys() | measured[1].keys()):
        if key[1] not in steps:
            continue
        before, after = (each.get(key) for each in measured)
        one = before.strength if before is not None else after.estimate if after else None
        two = after.strength if after is not None else before.estimate if before else None
        if one != two:
            protection, technique = key
            why = "nothing measures it any more: the estimate stands"
            if after is not None:
                why = f"measured {after.stopped} of {after.tried} variants at {after.target}"
            yield Change(
                Subject.STRENGTH, protection, f"strength on {technique}", one, two, "", why
            )


def _inputs(old: PlanDocument, new: PlanDocument) -> Iterator[Change]:
    """Yield changed impacts and efforts."""
    for name in sorted(old.assets_by_id.keys() & new.assets_by_id.keys()):
        impacts = old.assets_by_id[name].impact, new.assets_by_id[name].impact
        if impacts[0] != impacts[1]:
            yield Change(Subject.ASSET, name, "impact", *impacts)
    for name in sorted(old.items_by_id.keys() & new.items_by_id.keys()):
        efforts = old.items_by_id[name].effort, new.items_by_id[name].effort
        if efforts[0] != efforts[1]:
            yield Change(Subject.ITEM, name, "effort", *efforts)


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
                *_listed_as("new asset", self.assets_added),
                *_listed_as("asset gone", self.assets_gone),
                *_exposure_lines(self.exposure, Subject.ASSET),
                *_listed_as("new path", self.paths_added),
                *_listed_as("path gone", self.paths_gone),
                *_exposure_lines(self.exposure, Subject.PATH),
            ],
        )


def compare(old: PlanDocument, new: PlanDocument) -> Differences:
    """Return how two plans differ; when they were made, and the age of evidence, don't count."""
    causes = tuple(causes_of(old, new))
    common = [each for each in _in_order(old) if each in new.items_by_id]
    return Differences(
        causes=causes,
        added=tuple(
            _stands(new.items_by_id[each], None, new.items_by_id[each].place, causes)
            for each in _in_order(new)
            if each not in old.items_by_id
        ),
        gone=tuple(
            _stands(old.items_by_id[each], old.items_by_id[each].place, None, causes)
            for each in _in_order(old)
            if each not in new.items_by_id
        ),
        moved=tuple(_moved(common, old, new, causes)),
        items=tuple(_items(common, old, new)),
        exposure=(
            *_exposures(Subject.ASSET, old.assets_by_id, new.assets_by_id),
            *_exposures(Subject.PATH, old.paths_by_id, new.paths_by_id),
        ),
        assets_added=tuple(sorted(new.assets_by_id.keys() - old.assets_by_id.keys())),
        assets_gone=tuple(sorted(old.assets_by_id.keys() - new.assets_by_id.keys())),
        paths_added=tuple(sorted(new.paths_by_id.keys() - old.paths_by_id.keys())),
        paths_gone=tuple(sorted(old.paths_by_id.keys() - new.paths_by_id.keys())),
    )


def _in_order(plan: PlanDocument) -> list[str]:
    return sorted(plan.items_by_id, key=lambda name: (plan.items_by_id[name].place, name))


def _items(common: Iterable[str], old: PlanDocument, new: PlanDocument) -> Iterator[Change]:
    """Yield what changed in items that are in both lists, their places aside."""
    for name in common:
        pair = old.items_by_id[name], new.items_by_id[name]
        for field in ("phase", "level", "action", "interim"):
            before, after = (getattr(each, field) for each in pair)
            if before != after:
                yield Change(Subject.ITEM, name, field, before, after)
        for field in ("closes", "delays"):
            before, after = (frozenset(getattr(each, field)) for each in pair)
            if before != after:
                now = counted(len(after), "path")
                if len(before) == len(after):
                    now = "as many others"
                yield Change(Subject.ITEM, name, field, counted(len(before), "path"), now)


def _exposures(
    subject: Subject,
    old: Mapping[str, AssetMembers | PathMembers],
    new: Mapping[str, AssetMembers | PathMembers],
) -> Iterator[Change]:
    for name in sorted(old.keys() & new.keys()):
        before, after = old[name], new[name]
        if before.now is not after.now:
            yield Change(subject, name, "now", before.now.value, after.now.value)
        if before.after is not after.after:
            yield Change(subject, name, "after", before.after.value, after.after.value)


def _moved(
    common: Sequence[str], old: PlanDocument, new: PlanDocument, causes: Iterable[Change]
) -> Iterator[Entry]:
    """Yield the items whose place is another, in the order of the new list."""
    kept = _longest_rising([new.items_by_id[each].place for each in common])
    for name in sorted(common, key=lambda each: new.items_by_id[each].place):
        places = old.items_by_id[name].place, new.items_by_id[name].place
        overtakes = places[1] not in kept
        if places[0] != places[1] or overtakes:
            yield _stands(new.items_by_id[name], *places, causes, overtakes=overtakes)


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
    item: ItemMembers,
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


def _listed_as(kind: str, names: Sequence[str]) -> Iterator[str]:
    for name in names[:MAX_SHOWN]:
        yield f"{kind}: {name}"
    if len(names) > MAX_SHOWN:
        yield f"{kind}: {len(names) - MAX_SHOWN:,} more"


def _exposure_lines(changes: Iterable[Change], subject: Subject) -> Iterator[str]:
    found = [each for each in changes if each.subject is subject]
    for each in found[:MAX_SHOWN]:
        before, after = (words.EXPOSURES[Exposure(str(name))] for name in (each.before, each.after))
        yield f"{subject.value} {each.id}: {each.field} {before} -> {after}"
    if len(found) > MAX_SHOWN:
        yield f"{len(found) - MAX_SHOWN:,} more changes of {subject.value}s"


def _section(heading: str, entries: Sequence[str]) -> Iterator[str]:
    if entries:
        yield heading
        yield from (f"  {flat(each)}" for each in entries)


def _plain(value: Sequence[Any]) -> list[Any]:
    """Return differences as JSON holds them."""
    return [each if isinstance(each, str) else asdict(each) for each in value]


_RANK: Final = {
    Exposure.CLOSED: 0,
    Exposure.UNREACHED: 1,
    Exposure.DELAYED: 2,
    Exposure.OPEN: 3,
}
"""How bad an exposure is.  What nobody is taken to reach is worse than what is closed: nothing protects it."""

_MODES: Final = (Mode.OFF, Mode.MONITOR, Mode.CANARY, Mode.ENFORCE)
_PROOFS: Final = (Proof.BEARER, Proof.SESSION, Proof.DEVICE)
_LEVELS: Final = (Level.NONE, Level.SOFTWARE, Level.VERIFIED, Level.HARDWARE)
_EVERYTHING: Final = "/**"
_MANY: Final = 3
_DIGITS: Final = 8
_MAX_REQUESTS: Final = 50_000
"""Most requests that two tables are compared by; tables that need more are told, and count as weaker."""

_OTHER: Final = "\0other"
"""Stands for a method, and for a segment of a path, that no table names."""


def worse(old: PlanDocument, new: PlanDocument) -> tuple[str, ...]:
    """Return the assets that stand worse than before, the highest impact first; new ones have no before."""
    found = [
        each
        for name, each in new.assets_by_id.items()
        if name in old.assets_by_id and _RANK[each.now] > _RANK[old.assets_by_id[name].now]
    ]
    return tuple(each.asset for each in sorted(found, key=lambda each: (-each.impact, each.asset)))


@dataclass(frozen=True, slots=True)
class Setback:
    """Hold a protection that stands worse at one place than before, whatever that does to an asset.

    :param what: ``lost``: it counted then.  ``fails``: it wasn't known to fail.  ``finding``: it failed before, and there is more
        against it now.
    :param seen: the statement that decides now, None where nothing is known any more.
    :param titles: what speaks against it now and didn't then.
    :param by: what saw it, or that nobody saw anything new.
    """

    protection: str
    target: str
    what: str
    seen: StandingMembers | None
    titles: tuple[str, ...] = ()
    by: str = ""

    @property
    def why(self) -> str:
        """Return what was seen, and by whom."""
        if self.seen is None:
            return "Nothing speaks for it any more."
        titles = in_sentence([each.rstrip(".") for each in self.titles], _MANY)
        return f"{titles or self.seen.why.rstrip('.')} ({self.by})."

    def named(self, name: str) -> str:
        """Return it as a sentence that begins with what happened.

        :param name: of the protection.
        """
        kind, _, place = self.target.partition(":")
        at = f"at {self.target}"
        if kind == "app" and self.seen is not None and self.seen.build:
            at = f"in build {self.seen.build[:_DIGITS]} of {place}"
        begins = {"lost": "Lost", "fails": "Fails", "finding": "New against"}[self.what]
        return f"{begins}: {self.protection} {name}, {at}. {self.why}"


def setbacks(old: PlanDocument, new: PlanDocument) -> tuple[Setback, ...]:
    """Return which protections were lost, which came out to fail, and which fail by more, in the order of ids and places.

    Assets that were open before hide all of it: that the last pin or the first leaked key changes nothing in them is no
    reason to say that nothing happened.
    """
    before, now = _deciding(old), _deciding(new)
    found = (
        _setback(place, before.get(place), now.get(place))
        for place in sorted(before.keys() | now.keys())
    )
    return tuple(each for each in found if each is not None)


def _setback(
    place: tuple[str, str],
    was: tuple[str, StandingMembers] | None,
    is_: tuple[str, StandingMembers] | None,
) -> Setback | None:
    before, now = (None if each is None else each[1] for each in (was, is_))
    counted = before is not None and before.state.counts
    counts = now is not None and now.state.counts
    fails = now is not None and now.state in NEGATIVE
    failed = before is not None and before.state in NEGATIVE
    by = _by(before, now)
    if counted and not counts:
        return Setback(*place, "lost", now, _more(None, now), by)
    if fails and not failed:
        return Setback(*place, "fails", now, _more(None, now), by)
    # Which of two keys decides goes by which was seen last: only the findings of one are compared.
    if fails and was is not None and is_ is not None and was[0] == is_[0]:
        more = _more(before, now)
        return Setback(*place, "finding", now, more, by) if more else None
    return None


def _deciding(plan: PlanDocument) -> dict[tuple[str, str], tuple[str, StandingMembers]]:
    """Return by protection and place which key decides there, and what it says; a plan holds one statement for each."""
    rows = sorted(plan.evidence.items(), key=lambda one: one[0])
    return {key[:2]: (key[2], each) for key, each in rows}


def _more(before: StandingMembers | None, now: StandingMembers | None) -> tuple[str, ...]:
    """Return the titles of findings that are new, or more severe than they were."""
    known = {} if before is None else before.findings_by_id
    rank = SEVERITIES.index
    return tuple(
        each.title if name not in known else f"now {each.severity}: {each.title}"
        for name, each in ({} if now is None else now.findings_by_id).items()
        if name not in known or rank(each.severity) > rank(known[name].severity)
    )


def _by(before: StandingMembers | None, now: StandingMembers | None) -> str:
    """Say who saw what decides now; where the same tool was another version before, a new rule may be all that is new."""
    if now is None:
        return ""
    seen = now.source
    if before is None or before.source == now.source:
        same = before is not None and is_same(before, now)
        return "its proof doesn't count any more" if same else seen
    if before.source.rpartition(" ")[0] == now.source.rpartition(" ")[0]:
        return f"{seen}; before it was {before.source}, which may look for less"
    return seen


@dataclass(frozen=True, slots=True)
class Weakening:
    """Hold what the file asks for less than before.

    :param place: ``api:NAME``, or the host that is pinned.
    """

    place: str
    what: str


def weakened(old: PlanDocument, new: PlanDocument) -> tuple[Weakening, ...]:
    """Return which routes, limits and pins ask for less, each once."""
    tables = _tables(new)
    gone = set()
    found: list[Weakening] = []
    for api, rows in _tables(old).items():
        if api not in tables:
            gone.add(api)
            if any(_rank(_MODES, each.mode) for each in rows):
                what = "it is gone from the file, and nothing guards it"
                found.append(Weakening(f"api:{api}", what))
        else:
            found += (Weakening(f"api:{api}", each) for each in _weaker_routes(rows, tables[api]))
    for limit in old.limits:
        less = "" if limit.api in gone else _weaker_limit(limit, new.limits)
        found += [Weakening(f"api:{limit.api}", less)] if less else []
    pinned = {(each.host, each.app): each.enforced for each in new.pins}
    for pin in old.pins:
        if (pin.host, pin.app) not in pinned:
            found.append(Weakening(pin.host, f"{pin.app} doesn't pin it any more"))
        elif pin.enforced and not pinned[pin.host, pin.app]:
            found.append(Weakening(pin.host, f"its pins in {pin.app}: enforce -> report"))
    return tuple(dict.fromkeys(found))


def _tables(plan: PlanDocument) -> dict[str, list[RouteRow]]:
    found: dict[str, list[RouteRow]] = {}
    for each in plan.routes:
        found.setdefault(each.api, []).append(each.row)
    return found


def is_worse(old: PlanDocument, new: PlanDocument) -> bool:
    """Tell whether anything stands worse than before."""
    return bool(worse(old, new) or setbacks(old, new) or weakened(old, new))


def _weaker_routes(old: Sequence[RouteRow], new: Sequence[RouteRow]) -> Iterator[str]:
    """Yield where requests that a row decided meet one that asks for less, a line for each two rows.

    Both tables are asked about one request for each two rows that can meet: of all that they share the most ordinary one, which
    matches nothing that the others wouldn't match too.
    """
    if old == new:
        return
    tables = [_compiled(each) for each in old], [_compiled(each) for each in new]
    depth = 1 + max(len(each.segments) for table in tables for each in table)
    asked = 0
    for (one, row), (two, other) in product(enumerate(tables[0]), enumerate(tables[1])):
        less = _less(old[one], new[two])
        for method, path in _requests(row, other, depth) if less else ():
            asked += 1
            if (find_row(tables[0], method, path), find_row(tables[1], method, path)) == (one, two):
                was, is_ = str(old[one]), str(new[two]) or "a row that can't be read"
                yield (
                    f"route {is_}: {less}" if was == is_ else f"route {was} falls to {is_}: {less}"
                )
                break
        if asked > _MAX_REQUESTS:
            yield "its tables are too large to be compared: look through the routes"
            return


def _compiled(row: RouteRow) -> CompiledRoute:
    """Return a row as it matches; one that can't be read may match anything."""
    path = row.path or _EVERYTHING
    methods = frozenset(row.methods)
    return compile_route(Route("", path, methods, Level.NONE, Proof.BEARER, Mode.OFF))


def _less(old: RouteRow, new: RouteRow) -> str:
    """Return in what a row asks for less than another, empty where it doesn't."""
    pairs = [
        (name, ranks, *(getattr(each, name) for each in (old, new)))
        for name, ranks in (("mode", _MODES), ("proof", _PROOFS), ("level", _LEVELS))
    ]
    if not _rank(_MODES, old.mode):
        return ""
    if not _rank(_MODES, new.mode):
        pairs = pairs[:1]
    return ", ".join(
        f"{name} {was} -> {is_ or 'unknown'}"
        for name, ranks, was, is_ in pairs
        if _rank(ranks, is_) < _rank(ranks, was)
    )


def _rank(ranks: Sequence[str], word: str) -> int:
    """Return how much a word asks for; one that nobody knows asks for nothing."""
    return ranks.index(word) if word in ranks else 0


def _requests(
    one: CompiledRoute, other: CompiledRoute, depth: int
) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield requests that match both, as ordinary as they can be; none where nothing does.

    :param depth: more segments than any row names.
    """
    short, long = sorted((one, other), key=lambda each: len(each.segments))
    if len(short.segments) < len(long.segments) and not short.open_ended:
        return
    path = []
    for number, mine in enumerate(long.segments):
        theirs = short.segments[number] if number < len(short.segments) else ANY_SEGMENT
        if mine != theirs and ANY_SEGMENT not in {mine, theirs}:
            return
        found = mine if theirs == ANY_SEGMENT else theirs
        path.append(_OTHER if found == ANY_SEGMENT else found)
    methods: Sequence[str] = sorted(one.methods & other.methods)
    if not one.methods or not other.methods:
        methods = sorted(one.methods | other.methods) or [_OTHER]
    rests = range(depth - len(path) + 1) if one.open_ended and other.open_ended else (0,)
    for method, rest in product(methods, rests):
        yield method, (*path, *[_OTHER] * rest)


def _weaker_limit(old: LimitMembers, limits: Sequence[LimitMembers]) -> str:
    """Say how a limit is gone or allows more; empty where it doesn't, or another name holds as strictly."""
    new = [each for each in limits if each.api == old.api]
    if not old.enforced or any(_as_strict(each, old) for each in new):
        return ""
    now = next((each for each in new if each.name == old.name), None)
    if now is None:
        return f"limit {old.name} ({_amount(old)}) is gone"
    if not now.enforced:
        return f"limit {old.name}: mode enforce -> monitor"
    if _amount(now) != _amount(old):
        return f"limit {old.name}: {_amount(old)} -> {_amount(now)}"
    return f"limit {old.name} holds for fewer requests than before"


def _as_strict(new: LimitMembers, old: LimitMembers) -> bool:
    everywhere = not new.routes or (old.routes and set(old.routes) <= set(new.routes))
    return bool(
        new.enforced
        and everywhere
        and (old.narrowed or not new.narrowed)
        and new.requests <= old.requests
        and new.requests * old.seconds <= old.requests * new.seconds
    )


def _amount(limit: LimitMembers) -> str:
    return f"{limit.requests:,} in {limit.seconds:,} s"


_PREFIX: Final = "  "

_MOST_PLACES: Final = 3
_MOST_REASONS: Final = 2
"""Most places of one protection that a line names; the list of all changes has each."""


def since_as_dict(old: PlanDocument, new: PlanDocument, found: Differences) -> dict[str, Any]:
    """Return it as ``--json`` prints it: the differences, between which two moments, and what got worse."""
    return {
        "since": utc(old.made_at),
        "made_at": utc(new.made_at),
        "worse": list(worse(old, new)),
        "setbacks": [
            {
                "protection": each.protection,
                "target": each.target,
                "what": each.what,
                "why": each.why,
                "findings": list(each.titles),
            }
            for each in setbacks(old, new)
        ],
        "weaker": [asdict(each) for each in weakened(old, new)],
        "untold": [],
        **found.as_dict(),
    }


def since_lines(
    plan: Plan, old: PlanDocument, new: PlanDocument, found: Differences, *, everything: bool
) -> Iterator[str]:
    """Yield it for people.

    :param new: ``plan`` as it would be stored.
    :param everything: the order with all that hardens.
    """
    yield from (each for each in (world(plan), what_if(plan)) if each)
    yield " ".join(verdict(plan)[:1])
    yield from left_out(plan)
    yield ""
    yield from change_lines(plan, old, new, found, everything=everything)


def change_lines(
    plan: Plan, old: PlanDocument, new: PlanDocument, found: Differences, *, everything: bool
) -> Iterator[str]:
    """Yield what changed alone: a heading, and lines below it."""
    yield f"Since {old.made_at:%Y-%m-%d %H:%M} UTC"
    got_worse = [*_got_worse(old, new), *_set_back(plan, old, new)]
    said = [*(got_worse or ["Nothing got worse."]), *_news(old, new, found)]
    yield from (f"{_PREFIX}{flat(each)}" for each in said)
    yield ""
    yield "The order now"
    yield from (f"{_PREFIX}{each}" for each in _order(plan, everything=everything))
    if found.any or not got_worse:
        yield ""
        yield from found.lines()


def _got_worse(old: PlanDocument, new: PlanDocument) -> Iterator[str]:
    for name in worse(old, new):
        asset = new.assets_by_id[name]
        was, is_ = (words.EXPOSURES[each] for each in (old.assets_by_id[name].now, asset.now))
        yield f"{name} (impact {asset.impact}) is worse off: {was} -> {is_}"


def _set_back(plan: Plan, old: PlanDocument, new: PlanDocument) -> Iterator[str]:
    """Yield which protections stand worse, and what the file asks for less."""
    alike: dict[tuple[str, str], list[Setback]] = {}
    for each in setbacks(old, new):
        alike.setdefault((each.protection, each.what), []).append(each)
    for (protection, _), found in alike.items():
        known = plan.catalogue.protections.get(protection)
        for each in found[:_MOST_REASONS]:
            yield each.named("" if known is None else known.name)
        if more := found[_MOST_REASONS:]:
            places = in_sentence([each.target for each in more], _MOST_PLACES)
            yield f"The same of {protection} at {places}"
    for weaker in weakened(old, new):
        yield f"Weaker: {weaker.place}, {weaker.what}"


def _news(old: PlanDocument, new: PlanDocument, found: Differences) -> Iterator[str]:
    """Yield what came, went or is first now, each with what made it so."""
    first = [each for each in found.moved if each.overtakes and each.after == 1]
    told = {each.protection for each in setbacks(old, new)}
    for entry in sorted((*found.added, *first), key=lambda each: each.after or 0):
        said = f"{_named(entry)} is {_place(entry, old)}"
        # What was lost stands above, with why.
        yield said if entry.protection in told else _with_reasons(said, entry, found, old, new)
    for entry in found.gone:
        proven = _counts(entry.protection, new)
        off = "is off the list, since it counts as proven" if proven else "is off the list"
        yield _with_reasons(f"{_named(entry)} {off}", entry, found, old, new)


def _named(entry: Entry) -> str:
    return f"{entry.protection} {entry.name}"


def _place(entry: Entry, old: PlanDocument) -> str:
    """Return where an entry stands, and whether it was done with before."""
    at = "at the top" if entry.after == 1 else f"number {entry.after}"
    if entry.before is not None:
        return f"{at} now, number {entry.before} before"
    if _counts(entry.protection, old):
        return f"back {at}" if entry.after == 1 else f"back on the list: {at}"
    return f"new {at}" if entry.after == 1 else f"new, {at}"


def _counts(protection: str, plan: PlanDocument) -> bool:
    return any(key[0] == protection and each.state.counts for key, each in plan.evidence.items())


def _with_reasons(
    said: str, entry: Entry, found: Differences, old: PlanDocument, new: PlanDocument
) -> str:
    changes = [
        each
        for each in found.causes
        if each.id == entry.protection and each.subject is Subject.EVIDENCE
    ]
    reasons = list(_reasons(changes, old, new))
    if len(reasons) > _MOST_REASONS:
        more = len(reasons) - _MOST_REASONS
        reasons = [*reasons[:_MOST_REASONS], f"and {more} more like it"]
    return f"{said}: {'; '.join(reasons)}" if reasons else said


def _reasons(changes: Iterable[Change], old: PlanDocument, new: PlanDocument) -> Iterator[str]:
    """Yield what was seen, or what else changed what is worth what was seen before."""
    for each in changes:
        target, _, key = each.at.rpartition(" ")
        place = each.id, target, key
        before, after = old.evidence.get(place), new.evidence.get(place)
        if after is not None:
            yield f"at {target} {_reason(before, after)}"


def _reason(before: StandingMembers | None, after: StandingMembers) -> str:
    why = after.why.rstrip(".")
    if before is not None and is_same(before, after):
        what = "proof" if before.state.counts or after.state.counts else "statement"
        again = "counts again" if after.state.counts else f"is worth {after.state.value}"
        return f"its {what} of {moment(after)} {again}: {why}"
    return f"{after.source} found it {after.state.value} on {moment(after)}: {why}"


def _order(plan: Plan, *, everything: bool) -> Iterator[str]:
    """Yield the list, one line an item; what hardens is counted unless everything is asked for."""
    shown = [each for each in plan.items if everything or each.phase is not Phase.HARDENING]
    for item in shown:
        action = words.ACTIONS[item.action]
        marks = f" ({action})" if item.action is not Action.INTRODUCE else ""
        yield f"{item.place:>2}  {item.protection.id}  {flat(item.protection.name)}{marks}"
    if len(shown) < len(plan.items):
        yield f"    and {len(plan.items) - len(shown):,} more that harden: --all"
    if not plan.items:
        yield "Nothing stands in the list."
