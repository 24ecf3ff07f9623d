"""Say what changed since an earlier plan: what is first now, what came back or went, and what made it so."""

from collections.abc import Iterable, Iterator
from typing import Any, Final

from watchword.apps.plan_views import words
from watchword.apps.plan_views.causes import Change, Subject, is_same, moment
from watchword.apps.plan_views.differences import Differences, Entry
from watchword.apps.plan_views.stored import StoredEvidence, StoredPlan
from watchword.apps.plan_views.verdict import left_out, verdict, what_if, world
from watchword.plan.outcome import Action, Exposure, Phase, Plan

_RANK: Final = {
    Exposure.CLOSED: 0,
    Exposure.UNREACHED: 1,
    Exposure.DELAYED: 2,
    Exposure.OPEN: 3,
}
"""How bad an exposure is.  What nobody is taken to reach is worse than what is closed: nothing protects it."""

_PREFIX: Final = "  "


def worse(old: StoredPlan, new: StoredPlan) -> tuple[str, ...]:
    """Return the assets that stand worse than before, the highest impact first; new ones have no before."""
    found = [
        each
        for name, each in new.assets.items()
        if name in old.assets and _RANK[each.now] > _RANK[old.assets[name].now]
    ]
    return tuple(each.id for each in sorted(found, key=lambda each: (-each.impact, each.id)))


def as_dict(old: StoredPlan, new: StoredPlan, found: Differences) -> dict[str, Any]:
    """Return it as ``--json`` prints it: the differences, between which two moments, and what got worse."""
    return {
        "since": old.made_at.isoformat(),
        "made_at": new.made_at.isoformat(),
        "worse": list(worse(old, new)),
        **found.as_dict(),
    }


def lines(
    plan: Plan, old: StoredPlan, new: StoredPlan, found: Differences, *, everything: bool
) -> Iterator[str]:
    """Yield it for people.

    :param new: ``plan`` as it would be stored.
    :param everything: the order with all that hardens.
    """
    yield from (each for each in (world(plan), what_if(plan)) if each)
    yield " ".join(verdict(plan)[:1])
    yield from left_out(plan)
    yield ""
    yield f"Since {old.made_at:%Y-%m-%d %H:%M} UTC"
    said = [*_got_worse(old, new), *_news(old, new, found)]
    yield from (f"{_PREFIX}{words.flat(each)}" for each in said or ["Nothing came or went."])
    yield ""
    yield "The order now"
    yield from (f"{_PREFIX}{each}" for each in _order(plan, everything=everything))
    yield ""
    yield from found.lines()


def _got_worse(old: StoredPlan, new: StoredPlan) -> Iterator[str]:
    for name in worse(old, new):
        asset = new.assets[name]
        was, is_ = (words.EXPOSURES[each] for each in (old.assets[name].now, asset.now))
        yield f"{name} (impact {asset.impact}) is worse off: {was} -> {is_}"


def _news(old: StoredPlan, new: StoredPlan, found: Differences) -> Iterator[str]:
    """Yield what came, went or is first now, each with what made it so."""
    first = [each for each in found.moved if each.overtakes and each.after == 1]
    for entry in sorted((*found.added, *first), key=lambda each: each.after or 0):
        yield _with_reasons(f"{_named(entry)} is {_place(entry, old)}", entry, found, old, new)
    for entry in found.gone:
        proven = _counts(entry.protection, new)
        off = "is off the list, since it counts as proven" if proven else "is off the list"
        yield _with_reasons(f"{_named(entry)} {off}", entry, found, old, new)


def _named(entry: Entry) -> str:
    return f"{entry.protection} {entry.name}"


def _place(entry: Entry, old: StoredPlan) -> str:
    """Return where an entry stands, and whether it was done with before."""
    at = "at the top" if entry.after == 1 else f"number {entry.after}"
    if entry.before is not None:
        return f"{at} now, number {entry.before} before"
    if _counts(entry.protection, old):
        return f"back {at}" if entry.after == 1 else f"back, {at}"
    return f"new {at}" if entry.after == 1 else f"new, {at}"


def _counts(protection: str, plan: StoredPlan) -> bool:
    return any(key[0] == protection and each.state.counts for key, each in plan.evidence.items())


def _with_reasons(
    said: str, entry: Entry, found: Differences, old: StoredPlan, new: StoredPlan
) -> str:
    changes = [
        each
        for each in found.causes
        if each.id == entry.protection and each.subject is Subject.EVIDENCE
    ]
    reasons = list(_reasons(changes, old, new))
    return f"{said}: {'; '.join(reasons)}" if reasons else said


def _reasons(changes: Iterable[Change], old: StoredPlan, new: StoredPlan) -> Iterator[str]:
    """Yield what was seen, or what else changed what is worth what was seen before."""
    for each in changes:
        target, _, key = each.at.partition(" ")
        place = each.id, target, key
        before, after = old.evidence.get(place), new.evidence.get(place)
        if after is not None:
            yield f"at {target} {_reason(before, after)}"


def _reason(before: StoredEvidence | None, after: StoredEvidence) -> str:
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
        yield f"{item.place:>2}  {item.protection.id}  {words.flat(item.protection.name)}{marks}"
    if len(shown) < len(plan.items):
        yield f"    and {len(plan.items) - len(shown):,} more that harden: --all"
    if not plan.items:
        yield "Nothing stands in the list."
