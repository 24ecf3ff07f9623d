"""Say in a few sentences what a plan comes to: what a manager reads."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Final

from watchword.apps.plan.words import (
    EXPOSURES,
    by_impact,
    does,
    ends,
    flat,
    listed,
    of_phase,
    sentence,
)
from watchword.encoding.wording import counted
from watchword.plan.outcome import Exposure, Item, Phase, Plan
from watchword.vocabulary import Environment

EXPOSED: Final = (Exposure.OPEN, Exposure.DELAYED)

_MANY: Final = 3
_MOST_NOTES: Final = 5


def asked(plan: Plan) -> bool:
    """Tell whether this is the answer to a what-if, and no plan."""
    return bool(plan.added or plan.removed)


def what_if(plan: Plan) -> str:
    """Return what was asked, for the first line of every view; empty where it is a plan."""
    parts = []
    known = {each.protection for each in plan.proven}
    new = [each for each in plan.added if each not in known]
    elsewhere = [each for each in plan.added if each in known]
    if new:
        but = "it isn't" if len(new) == 1 else "they aren't"
        parts.append(f"{listed(new)} were proven ({but})")
    if elsewhere:
        but = "it is" if len(elsewhere) == 1 else "they are"
        parts.append(f"{listed(elsewhere)} were proven everywhere ({but} in places)")
    if plan.removed:
        parts.append(f"{listed(plan.removed)} couldn't be had")
    return f"What if {listed(parts)}:" if parts else ""


def world(plan: Plan) -> str:
    """Return what stands above every view of a plan that isn't for production; empty where it is."""
    if plan.environment is Environment.PROD:
        return ""
    return f"Environment {plan.environment.value}: this plan says nothing of production."


def verdict(plan: Plan) -> list[str]:
    """Return the two or three sentences that a manager reads."""
    total = len(plan.assets)
    if not total:
        return ["There is no asset to protect in this model."]
    now = Counter(each.now for each in plan.assets)
    worst = max((each.asset.impact for each in plan.assets if each.now in EXPOSED), default=0)
    said = [_today(plan, now, worst)]
    if asked(plan):
        said += _answer(plan)
    if plan.items:
        said.append(_start(plan.items[0], plan))
        said.append(_done(plan))
    elif worst:
        said.append(nothing(plan))
    return said


def _answer(plan: Plan) -> Iterator[str]:
    """Yield what a what-if leaves by name, and how much of all ways in would be closed then."""
    left = [each for each in plan.assets if each.now in EXPOSED]
    if not left:
        return
    closed = [each.path.id for each in plan.paths if each.now is Exposure.CLOSED]
    every = plan.catalogue.ways_in(each.path.id for each in plan.paths)
    number = sum(plan.catalogue.ways_in(closed).values())
    yield (
        f"{number:,} of {counted(sum(every.values()), 'way')} in would be closed; "
        f"what stays is {by_impact(left, _MOST_NOTES)}."
    )


def nothing(plan: Plan) -> str:
    """Return why a list is empty."""
    states = {each.now for each in plan.assets}
    if states <= {Exposure.CLOSED}:
        return "Nothing to do: what is proven closes every way in."
    if not states & set(EXPOSED):
        return "Nothing to do: no way in is left that isn't closed."
    if plan.budget is not None and _helps(plan):
        return f"A budget of {plan.budget} buys nothing of the list."
    return f"Nothing {catalogue(plan)} helps here."


def catalogue(plan: Plan) -> str:
    """Return what there is to choose from, in words: without what a what-if takes away."""
    return "that is left in the catalogue" if plan.removed else "in the catalogue"


def _helps(plan: Plan) -> bool:
    """Tell whether the catalogue has something for a step of an exposed path that isn't proven."""
    steps = {step for each in plan.paths if each.now in EXPOSED for step in each.path.steps}
    gone = {*plan.removed, *plan.added, *(each.protection for each in plan.proven)}
    return any(
        each.id not in gone and not steps.isdisjoint(each.cuts)
        for each in plan.catalogue.protections.values()
    )


def _today(plan: Plan, now: Mapping[Exposure, int], worst: int) -> str:
    """Return how the assets stand; in a what-if, how they would."""
    total = len(plan.assets)
    when, be = ("Then", "would be") if asked(plan) else ("Today", "")
    struck = now[Exposure.UNREACHED]
    if struck == total:
        return f"{when} no path is left to {_every(total)}: somebody struck them all."
    rest = (
        f", {struck:,} {'has' if struck == 1 else 'have'} no path left (struck)" if struck else ""
    )
    if now[Exposure.CLOSED] == total:
        return f"{when} {_all(total, be)} closed: every way in is cut where the damage is done."
    if not worst:
        closed = now[Exposure.CLOSED]
        is_ = be or ("is" if closed == 1 else "are")
        return f"{when} {closed:,} of {counted(total, 'asset')} {is_} closed{rest}."
    for state in EXPOSED:
        if now[state] == total:
            level = f"impact {worst}" if total == 1 else f"up to impact {worst}"
            return f"{when} {_all(total, be)} {state.value}, {level}."
    exposed = sum(now[each] for each in EXPOSED)
    parts = [f"{now[Exposure.OPEN]:,} open"] if now[Exposure.OPEN] else []
    if now[Exposure.DELAYED]:
        parts.append(f"{now[Exposure.DELAYED]:,} only delayed")
    is_ = be or ("is" if exposed == 1 else "are")
    of = f"{exposed:,} of {counted(total, 'asset')}"
    return f"{when} {of} {is_} exposed, up to impact {worst}: {', '.join(parts)}{rest}."


def _all(total: int, be: str = "") -> str:
    if be:
        few = {1: "the only asset", 2: "both assets"}
        return f"{few.get(total, f'all {total:,} assets')} {be}"
    few = {1: "the only asset is", 2: "both assets are"}
    return few.get(total, f"all {total:,} assets are")


def _every(total: int) -> str:
    few = {1: "the only asset", 2: "either of both assets"}
    return few.get(total, f"any of {total:,} assets")


def _start(item: Item, plan: Plan) -> str:
    return f"Start with {item.protection.name} ({item.protection.id}): it {does(item, plan)}."


def _done(plan: Plan) -> str:
    after = Counter(each.after for each in plan.assets)
    work = _work(plan)
    if not any(after[state] for state in EXPOSED):
        total = len(plan.assets)
        if after[Exposure.UNREACHED]:
            return f"{work}; with that every asset that a path leads to is closed{_but(plan)}."
        return f"{work}; with that {_all(total)} closed{_but(plan)}."
    only = _only_unclosable(plan)
    if only:
        return f"{work}; {only}"
    left = [f"{after[state]:,} {EXPOSURES[state]}" for state in EXPOSED if after[state]]
    said = f"{work}; of {counted(len(plan.assets), 'asset')} that leaves {' and '.join(left)}."
    if plan.budget is not None:
        said += f" {_bought(plan)}"
    if plan.unclosable:
        number = sum(plan.catalogue.ways_in(plan.unclosable).values())
        said += f" Nothing {catalogue(plan)} closes {counted(number, 'way')} in."
    return said


def _but(plan: Plan) -> str:
    """Return what somebody struck, as the end of a sentence that says that all is closed; empty where nobody did."""
    paths = [each.path for each in plan.model.struck]
    if not paths:
        return ""
    number = sum(plan.catalogue.ways_in(path.id for path in paths).values())
    return f", but for {counted(number, 'way')} in that somebody struck ({ends(paths, plan)})"


def _bought(plan: Plan) -> str:
    """Return which assets a budget closes, and that of each impact the cheapest to close come first."""
    bought = [each for each in plan.assets if each.now in EXPOSED and each.after is Exposure.CLOSED]
    if not bought:
        return "The budget closes no asset whole."
    return f"The budget closes {by_impact(bought)}: within one impact as many assets as it can, whichever they are."


def _only_unclosable(plan: Plan) -> str:
    """Return what stays, where all of that is paths that nothing can close; empty where it isn't."""
    unclosable = set(plan.unclosable)
    staying = [each for each in plan.paths if each.after in EXPOSED]
    if not staying or any(each.path.id not in unclosable for each in staying):
        return ""
    states = {each.after for each in staying}
    how = "is open" if states == {Exposure.OPEN} else "is only delayed"
    if len(states) > 1:
        how = "is open or only delayed"
    names = ends((each.path for each in staying), plan)
    number = sum(plan.catalogue.ways_in(each.path.id for each in staying).values())
    are = f"{counted(number, 'way')} in"
    stays = "what stays open" if how == "is open" else f"what then {how}"
    return f"{stays} is {are} that nothing {catalogue(plan)} closes ({names})."


def _work(plan: Plan) -> str:
    """Return the effort of prevention, or of the whole list where it prevents nothing."""
    prevent = of_phase(plan, Phase.PREVENT)
    if not prevent:
        return f"The whole list takes effort {plan.effort}{_weeks(plan)}"
    effort = f"{prevent[-1].spent}{_weeks(plan)}"
    if len(prevent) == 1:
        return f"The one measure that prevents the attack takes effort {effort}"
    few = {2: "two", 3: "three", 4: "four", 5: "five"}.get(len(prevent), f"{len(prevent):,}")
    return f"The {few} measures that prevent the attack take effort {effort}"


def _weeks(plan: Plan) -> str:
    """Return what the catalogue's effort is counted in; a catalogue of the user's own may count in something else."""
    own = any("effort" in members for members in plan.catalogue.changed.values())
    return "" if own else " (about person-weeks)"


def left_out(plan: Plan) -> Iterator[str]:
    """Yield what isn't in the plan at all, which belongs right under the verdict."""
    if plan.unreadable:
        lines = counted(plan.unreadable, "line")
        can, they, say = (
            ("can't", "it", "says") if plan.unreadable == 1 else ("can't", "they", "say")
        )
        yield f"{lines} of the observations {can} be read: what {they} {say}, good or bad, isn't in this plan."
    notes = plan.model.cut
    for each in notes[:_MOST_NOTES]:
        yield sentence(flat(each).rstrip("."))
    if len(notes) > _MOST_NOTES:
        yield f"{len(notes) - _MOST_NOTES:,} more of such notes: watchword plan --json."
