"""Say what changed beneath two plans: what each was made from."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from watchword.apps.plan.stored import StoredEvidence, StoredItem, StoredPlan


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


def causes_of(old: StoredPlan, new: StoredPlan) -> Iterator[Change]:
    """Yield the changes of what a plan is made from."""
    yield from _world(old, new)
    yield from _what_if(old, new)
    yield from _catalogue(old, new)
    yield from _budget(old, new)
    yield from _evidence(old, new)
    yield from _strengths(old, new)
    yield from _inputs(old, new)


def concerns(change: Change, item: StoredItem) -> bool:
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


def _world(old: StoredPlan, new: StoredPlan) -> Iterator[Change]:
    """Yield another environment; of a plan that doesn't say, nothing is known."""
    before, after = old.environment, new.environment
    if before is not None and after is not None and before is not after:
        yield Change(Subject.ENVIRONMENT, "environment", "environment", before.value, after.value)


def _catalogue(old: StoredPlan, new: StoredPlan) -> Iterator[Change]:
    """Yield what only one of both has otherwise than it is shipped."""
    if old.changed is None or new.changed is None:
        return
    for name, member in sorted(old.changed ^ new.changed):
        before, after = ((name, member) in each for each in (old.changed, new.changed))
        yield Change(Subject.CATALOGUE, name, member, before, after)


def _what_if(old: StoredPlan, new: StoredPlan) -> Iterator[Change]:
    """Yield what only one of both takes for proven, or for out of reach."""
    for field in ("added", "removed"):
        before, after = frozenset(getattr(old, field)), frozenset(getattr(new, field))
        for name in sorted(before ^ after):
            yield Change(Subject.WHAT_IF, name, field, name in before, name in after)


def _budget(old: StoredPlan, new: StoredPlan) -> Iterator[Change]:
    if old.budget != new.budget:
        yield Change(Subject.BUDGET, "budget", "budget", old.budget, new.budget)


def _evidence(old: StoredPlan, new: StoredPlan) -> Iterator[Change]:
    for key in sorted(old.evidence.keys() | new.evidence.keys()):
        before, after = old.evidence.get(key), new.evidence.get(key)
        was, now = (None if each is None else each.state.value for each in (before, after))
        if was != now:
            protection, target, looked_at = key
            at = f"{target} {looked_at}".strip()
            why = _seen(before, after) or _decided(key, new)
            yield Change(Subject.EVIDENCE, protection, "state", was, now, at, why)


def _seen(before: StoredEvidence | None, after: StoredEvidence | None) -> str:
    """Say what was seen, or why what was seen before is worth something else now."""
    if after is None:
        return ""
    if before is not None and is_same(before, after):
        return f"nothing new was seen since {moment(after)}, but: {after.why}"
    return f"{after.source}, {moment(after)}: {after.why}"


def is_same(before: StoredEvidence, after: StoredEvidence) -> bool:
    """Tell whether two standings rest on one observation: then the file or the time made the difference."""
    return (before.at, before.source) == (after.at, after.source)


def moment(found: StoredEvidence) -> str:
    """Return when something was seen."""
    if found.at is None:
        return "at no known time"
    return f"{found.at:%Y-%m-%d %H:%M} UTC"


def _decided(key: tuple[str, str, str], new: StoredPlan) -> str:
    """Say what decides at the target in place of a key that doesn't any more."""
    others = sorted(other[2] for other in new.evidence if other[:2] == key[:2] and other != key)
    return f"{others[0]} decides there now" if others else ""


def _strengths(old: StoredPlan, new: StoredPlan) -> Iterator[Change]:
    """Yield strengths that came out otherwise where a path has the step; of a plan that doesn't say, nothing is known."""
    if old.measured is None or new.measured is None:
        return
    steps = {
        step for path in (*old.paths, *new.paths) for step in path.rpartition(":")[2].split(">")
    }
    for key in sorted(old.measured.keys() | new.measured.keys()):
        if key[1] not in steps:
            continue
        before, after = old.measured.get(key), new.measured.get(key)
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


def _inputs(old: StoredPlan, new: StoredPlan) -> Iterator[Change]:
    """Yield changed impacts and efforts."""
    for name in sorted(old.assets.keys() & new.assets.keys()):
        impacts = old.assets[name].impact, new.assets[name].impact
        if impacts[0] != impacts[1]:
            yield Change(Subject.ASSET, name, "impact", *impacts)
    for name in sorted(old.items.keys() & new.items.keys()):
        efforts = old.items[name].effort, new.items[name].effort
        if efforts[0] != efforts[1]:
            yield Change(Subject.ITEM, name, "effort", *efforts)
