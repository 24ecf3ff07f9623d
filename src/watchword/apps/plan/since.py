"""Say what changed since an earlier plan: what is first now, what came back or went, and what made it so."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import Any, Final

from watchword.apps.plan import words
from watchword.apps.plan.causes import Change, Subject, is_same, moment
from watchword.apps.plan.differences import Differences, Entry
from watchword.apps.plan.setbacks import Setback, setbacks, untold, weakened, worse
from watchword.apps.plan.stored import StoredEvidence, StoredPlan
from watchword.apps.plan.verdict import left_out, verdict, what_if, world
from watchword.plan.outcome import Action, Phase, Plan

_PREFIX: Final = "  "

_MOST_PLACES: Final = 3
_MOST_REASONS: Final = 2
"""Most places of one protection that a line names; the list of all changes has each."""


def as_dict(old: StoredPlan, new: StoredPlan, found: Differences) -> dict[str, Any]:
    """Return it as ``--json`` prints it: the differences, between which two moments, and what got worse."""
    return {
        "since": old.made_at.isoformat(),
        "made_at": new.made_at.isoformat(),
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
        "untold": list(untold(old)),
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
    got_worse = [*_got_worse(old, new), *_set_back(plan, old, new)]
    unknown = [f"Can't tell {each}: the earlier plan doesn't say." for each in untold(old)]
    if not got_worse:
        unknown = unknown or ["Nothing got worse."]
    said = [*got_worse, *unknown, *_news(old, new, found)]
    yield from (f"{_PREFIX}{words.flat(each)}" for each in said)
    yield ""
    yield "The order now"
    yield from (f"{_PREFIX}{each}" for each in _order(plan, everything=everything))
    if found.any or not got_worse:
        yield ""
        yield from found.lines()


def _got_worse(old: StoredPlan, new: StoredPlan) -> Iterator[str]:
    for name in worse(old, new):
        asset = new.assets[name]
        was, is_ = (words.EXPOSURES[each] for each in (old.assets[name].now, asset.now))
        yield f"{name} (impact {asset.impact}) is worse off: {was} -> {is_}"


def _set_back(plan: Plan, old: StoredPlan, new: StoredPlan) -> Iterator[str]:
    """Yield which protections stand worse, and what the file asks for less."""
    alike: dict[tuple[str, str], list[Setback]] = {}
    for each in setbacks(old, new):
        alike.setdefault((each.protection, each.what), []).append(each)
    for (protection, _), found in alike.items():
        known = plan.catalogue.protections.get(protection)
        for each in found[:_MOST_REASONS]:
            yield each.named("" if known is None else known.name)
        if more := found[_MOST_REASONS:]:
            places = words.listed([each.target for each in more], _MOST_PLACES)
            yield f"The same of {protection} at {places}"
    for weaker in weakened(old, new):
        yield f"Weaker: {weaker.place}, {weaker.what}"


def _news(old: StoredPlan, new: StoredPlan, found: Differences) -> Iterator[str]:
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


def _place(entry: Entry, old: StoredPlan) -> str:
    """Return where an entry stands, and whether it was done with before."""
    at = "at the top" if entry.after == 1 else f"number {entry.after}"
    if entry.before is not None:
        return f"{at} now, number {entry.before} before"
    if _counts(entry.protection, old):
        return f"back {at}" if entry.after == 1 else f"back on the list: {at}"
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
    if len(reasons) > _MOST_REASONS:
        more = len(reasons) - _MOST_REASONS
        reasons = [*reasons[:_MOST_REASONS], f"and {more} more like it"]
    return f"{said}: {'; '.join(reasons)}" if reasons else said


def _reasons(changes: Iterable[Change], old: StoredPlan, new: StoredPlan) -> Iterator[str]:
    """Yield what was seen, or what else changed what is worth what was seen before."""
    for each in changes:
        target, _, key = each.at.rpartition(" ")
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
