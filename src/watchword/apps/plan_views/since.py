"""Say what changed since an earlier plan: what is first now, what came back or went, and what made it so."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from watchword.apps.plan_views import words
from watchword.apps.plan_views.causes import Change, Subject, is_same, moment
from watchword.apps.plan_views.differences import Differences, Entry
from watchword.apps.plan_views.stored import StoredEvidence, StoredPlan
from watchword.apps.plan_views.verdict import left_out, verdict, what_if, world
from watchword.plan.outcome import Action, Exposure, Phase, Plan
from watchword.plan.reliance import NEGATIVE

_RANK: Final = {
    Exposure.CLOSED: 0,
    Exposure.UNREACHED: 1,
    Exposure.DELAYED: 2,
    Exposure.OPEN: 3,
}
"""How bad an exposure is.  What nobody is taken to reach is worse than what is closed: nothing protects it."""

_PREFIX: Final = "  "

_MOST_REASONS: Final = 2
"""Most places of one protection that a line names; the list of all changes has each."""


def worse(old: StoredPlan, new: StoredPlan) -> tuple[str, ...]:
    """Return the assets that stand worse than before, the highest impact first; new ones have no before."""
    found = [
        each
        for name, each in new.assets.items()
        if name in old.assets and _RANK[each.now] > _RANK[old.assets[name].now]
    ]
    return tuple(each.id for each in sorted(found, key=lambda each: (-each.impact, each.id)))


@dataclass(frozen=True, slots=True)
class Setback:
    """Hold a protection that stands worse at one place than before, whatever that does to an asset.

    :param lost: it counted then; otherwise nothing was known of it, and now it is known to fail.
    :param seen: the statement that decides now, None where nothing is known any more.
    """

    protection: str
    target: str
    lost: bool
    seen: StoredEvidence | None

    @property
    def why(self) -> str:
        """Return what decides now, on one line."""
        if self.seen is None:
            return "nothing speaks for it any more"
        return f"{self.seen.source}, {moment(self.seen)}: {self.seen.why.rstrip('.')}"


def setbacks(old: StoredPlan, new: StoredPlan) -> tuple[Setback, ...]:
    """Return which protections were lost, and which came out to fail, in the order of their ids and places.

    Assets that were open before hide both: that the last pin or the first leaked key changes nothing in them is no reason to
    say that nothing happened.
    """
    before, now = _standing(old), _standing(new)
    found = []
    for place in sorted(before.keys() | now.keys()):
        was, is_ = before.get(place), now.get(place)
        lost = was is not None and was.state.counts and not (is_ is not None and is_.state.counts)
        fails = is_ is not None and is_.state in NEGATIVE
        if lost or (fails and (was is None or was.state not in NEGATIVE)):
            found.append(Setback(*place, lost, is_))
    return tuple(found)


def _standing(plan: StoredPlan) -> dict[tuple[str, str], StoredEvidence]:
    """Return by protection and place what decides there; a plan holds one statement for each."""
    return {key[:2]: each for key, each in sorted(plan.evidence.items(), key=lambda one: one[0])}


def is_worse(old: StoredPlan, new: StoredPlan) -> bool:
    """Tell whether an asset or a protection stands worse than before."""
    return bool(worse(old, new) or setbacks(old, new))


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
                "what": "lost" if each.lost else "fails",
                "why": each.why,
            }
            for each in setbacks(old, new)
        ],
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
    said = [*_got_worse(old, new), *_set_back(plan, old, new, found), *_news(old, new, found)]
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


def _set_back(plan: Plan, old: StoredPlan, new: StoredPlan, found: Differences) -> Iterator[str]:
    """Yield what stands worse and isn't new on the list, where its line says so."""
    listed = {entry.protection for entry in found.added}
    for each in setbacks(old, new):
        if each.protection in listed:
            continue
        known = plan.catalogue.protections.get(each.protection)
        named = each.protection if known is None else f"{each.protection} {known.name}"
        what = "is lost" if each.lost else "fails"
        yield f"{named} {what} at {each.target}: {each.why}"


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
        return f"lost, and back {at}" if entry.after == 1 else f"lost, and back: {at}"
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
