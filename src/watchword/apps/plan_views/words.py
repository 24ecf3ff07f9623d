"""Say what a plan holds in words that every view shares."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from watchword.plan.interface import Effort
from watchword.plan.outcome import (
    Action,
    Change,
    Cheaper,
    Exposure,
    Item,
    Phase,
    Plan,
    Shortfall,
    Skipped,
    Stability,
    Standing,
    Tally,
)

HEADINGS: Final[Mapping[Phase, str]] = {
    Phase.PREVENT: "First: prevent the attack itself",
    Phase.GATHERING: "Then: make gathering intelligence harder",
    Phase.HARDENING: "Last: harden, which slows without closing",
}

PHASES: Final[Mapping[Phase, str]] = {
    Phase.PREVENT: "prevention",
    Phase.GATHERING: "gathering of intelligence",
    Phase.HARDENING: "hardening",
}

ACTIONS: Final[Mapping[Action, str]] = {
    Action.INTRODUCE: "introduce",
    Action.VERIFY: "verify: it is claimed, nothing proves it",
    Action.RENEW: "renew: its proof is out of date",
    Action.REPAIR: "repair: it is there without effect",
}

MEANINGS: Final[Mapping[Exposure, str]] = {
    Exposure.OPEN: "some way in isn't cut at all",
    Exposure.DELAYED: "some way in is cut only where intelligence is gathered",
    Exposure.CLOSED: "every way in is cut where the damage is done",
}

STRENGTHS: Final = ("doesn't touch it", "slows it", "stops common tools", "blocks it")

_SECONDS: Final = (("day", 86400), ("hour", 3600), ("minute", 60))
_MANY: Final = 3


def counted(number: int, word: str) -> str:
    """Return a number with its word: ``1 path``, ``2 paths``."""
    return f"{number:,} {word}{'' if number == 1 else 's'}"


def listed(words: Sequence[str], most: int = 1_000_000) -> str:
    """Return words as a list in a sentence; beyond ``most`` they are counted."""
    shown = list(words[:most])
    if len(words) > most:
        shown.append(f"{len(words) - most:,} more")
    if len(shown) < 2:
        return "".join(shown)
    return f"{', '.join(shown[:-1])} and {shown[-1]}"


def sentence(text: str) -> str:
    """Return a phrase as a sentence."""
    return f"{text[:1].upper()}{text[1:]}."


def flat(text: str) -> str:
    """Return text on one line."""
    return " ".join(text.split())


def effort(value: int) -> str:
    """Return an effort with its class where it has one: ``6 (L)``."""
    try:
        return f"{value} ({Effort(value).name})"
    except ValueError:
        return str(value)


def age(seconds: int | None) -> str:
    """Return how long ago something was seen, in its largest unit."""
    if seconds is None:
        return "never seen"
    for word, size in _SECONDS:
        if seconds >= size:
            return f"{counted(seconds // size, word)} ago"
    return "just now" if seconds >= 0 else "dated in the future"


def named(plan: Plan, protection: str) -> str:
    """Return a protection's name and id; the id alone where the catalogue doesn't have it."""
    found = plan.catalogue.protections.get(protection)
    return protection if found is None else f"{found.name} ({protection})"


def technique_name(plan: Plan, technique: str) -> str:
    """Return a technique's name, or its id where the catalogue doesn't have it."""
    found = plan.catalogue.techniques.get(technique)
    return technique if found is None else found.name


def impacts(plan: Plan) -> dict[str, int]:
    """Return each asset's impact."""
    return {state.asset.id: state.asset.impact for state in plan.assets}


def reached(paths: Iterable[str], plan: Plan, most: int = _MANY) -> str:
    """Return paths by asset, the worst first: ``2 paths to backend-records (impact 5)``."""
    levels = impacts(plan)
    counts = Counter(path.rpartition(":")[0] for path in paths)
    names = sorted(counts, key=lambda name: (-levels.get(name, 0), name))
    if len(names) > most + 1:
        total = sum(counts.values())
        return (
            f"{counted(total, 'path')} to {counted(len(names), 'asset')}, {_spread(names, levels)}"
        )
    return listed(
        [
            f"{counted(counts[name], 'path')} to {name} (impact {levels.get(name, '?')})"
            for name in names
        ]
    )


def _spread(names: Iterable[str], levels: Mapping[str, int]) -> str:
    """Return how many assets there are of each impact: ``2 of impact 5, 1 of impact 3``."""
    counts = Counter(levels.get(name, 0) for name in names)
    return listed(
        [f"{counts[level]:,} of impact {level}" for level in sorted(counts, reverse=True)]
    )


def does(item: Item, plan: Plan) -> str:
    """Return what an item does, in the words of its phase."""
    if item.closes:
        return f"closes {reached(item.closes, plan)}"
    if item.delays:
        # What is closed already isn't delayed: there it is the gathering alone that gets harder.
        verb = "delays" if item.interim else "cuts the gathering on"
        return f"{verb} {reached(item.delays, plan)}"
    if item.slows:
        return f"slows {reached(item.slows, plan)}"
    return "cuts no path by itself"


def told_by_why(item: Item, plan: Plan) -> bool:
    """Tell whether the reason of an item begins with what it does, which needn't be said twice."""
    return item.why.casefold().startswith(does(item, plan).casefold())


def marks(item: Item) -> list[str]:
    """Return what sets an item apart, each as a short phrase."""
    found = []
    if item.action is not Action.INTRODUCE:
        found.append(ACTIONS[item.action])
    if item.interim:
        found.append("interim: delays, doesn't close")
    if item.ties:
        found.append(f"a tie with {listed([' + '.join(tie) for tie in item.ties], _MANY)}")
    if item.together:
        found.append(f"only together with {listed(item.together, _MANY)}")
    if item.needed_for:
        found.append(f"needed for {listed(item.needed_for, _MANY)}")
    return found


def skipped(item: Item, plan: Plan) -> str:
    """Return what follows if an item is left out."""
    found: Skipped = item.skipped
    said = []
    if found.stays_open:
        said.append(f"{reached(found.stays_open, plan)} would stay, and nothing else closes that.")
    if found.instead:
        more = (
            "at the same effort"
            if not found.extra_effort
            else f"for {found.extra_effort} more effort"
        )
        names = listed([named(plan, each) for each in found.instead], _MANY)
        said.append(f"{names} would do it instead, {more}.")
    if not said:
        said.append("Nothing else would open or close.")
    return " ".join(said)


def stability(found: Stability | None, place: int) -> str:
    """Return how firmly an item stands, in words."""
    if found is None:
        return "Not tried."
    if not found.draws:
        return "Not tried: there was no time for it."
    said = [
        f"Impacts and efforts were shaken {counted(found.draws, 'time')}:",
        f"it kept its phase in {found.kept:,} and came first in {found.first:,}.",
    ]
    if found.smallest is not None:
        said.append(change(found.smallest, place))
    return " ".join(said)


def change(found: Change, place: int) -> str:
    """Return the smallest change that moves an item, in words."""
    where = (
        "it isn't in the plan any more" if found.place is None else f"it is number {found.place}"
    )
    return (
        f"The smallest change that moves it from number {place}: {flat(found.what)}, then {where}."
    )


def standing(found: Standing) -> str:
    """Return on what a standing rests: state, what was looked at, who saw it, and when."""
    parts = [found.state.value]
    if found.target:
        parts.append(f"at {found.target}")
    if found.key:
        parts.append(f"by {found.key}")
    if found.source:
        parts.append(f"from {flat(found.source)}")
    said = " ".join(parts)
    if found.age is not None:
        said += f", {age(found.age)}"
    return f"{said}: {flat(found.why)}" if found.why else said


def tally(found: Tally) -> str:
    """Return how the assets of one level stand, without what is none."""
    counts = (("open", found.open), ("delayed", found.delayed), ("closed", found.closed))
    return ", ".join(f"{number:,} {word}" for word, number in counts if number) or "none"


def tallies(found: Iterable[Tally]) -> str:
    """Return how the assets of every level stand, the levels without any left out."""
    rows = [each for each in found if each.open + each.delayed + each.closed]
    return "; ".join(f"impact {each.level}: {tally(each)}" for each in rows) or "no assets"


def final(plan: Plan) -> tuple[Tally, ...]:
    """Return the tallies once the plan is done."""
    return plan.items[-1].exposure if plan.items else plan.exposure


def levels(plan: Plan) -> list[tuple[int, Tally, Tally]]:
    """Return (level, now, after) of every impact level that has assets, the worst first."""
    after = {each.level: each for each in final(plan)}
    rows = [(each.level, each, after.get(each.level, each)) for each in plan.exposure]
    return sorted(
        (row for row in rows if row[1].open + row[1].delayed + row[1].closed),
        key=lambda row: -row[0],
    )


def of_phase(plan: Plan, phase: Phase) -> list[Item]:
    """Return the items of one phase, in order."""
    return [item for item in plan.items if item.phase is phase]


def verdict(plan: Plan) -> list[str]:
    """Return the two or three sentences that a manager reads."""
    total = len(plan.assets)
    if not total:
        return ["There is no asset to protect in this model."]
    now = Counter(each.now for each in plan.assets)
    after = Counter(each.after for each in plan.assets)
    worst = max(
        (each.asset.impact for each in plan.assets if each.now is not Exposure.CLOSED), default=0
    )
    said = [_today(now, total, worst)]
    if plan.items:
        said.append(_start(plan.items[0], plan))
        said.append(_done(plan, after, total))
    elif worst:
        said.append("Nothing in the catalogue, or in the budget, would change that.")
    return said


def _today(now: Mapping[Exposure, int], total: int, worst: int) -> str:
    if now[Exposure.CLOSED] == total:
        return f"Today {_all(total)} closed: every way in is cut where the damage is done."
    for state in (Exposure.OPEN, Exposure.DELAYED):
        if now[state] == total:
            level = f"impact {worst}" if total == 1 else f"up to impact {worst}"
            return f"Today {_all(total)} {state.value}, {level}."
    exposed = now[Exposure.OPEN] + now[Exposure.DELAYED]
    parts = [f"{now[Exposure.OPEN]:,} open"] if now[Exposure.OPEN] else []
    if now[Exposure.DELAYED]:
        parts.append(f"{now[Exposure.DELAYED]:,} only delayed")
    verb = "is" if exposed == 1 else "are"
    of = f"{exposed:,} of {counted(total, 'asset')}"
    return f"Today {of} {verb} exposed, up to impact {worst}: {', '.join(parts)}."


def _all(total: int) -> str:
    few = {1: "the only asset is", 2: "both assets are"}
    return few.get(total, f"all {total:,} assets are")


def _start(item: Item, plan: Plan) -> str:
    return f"Start with {item.protection.name} ({item.protection.id}): it {does(item, plan)}."


def _done(plan: Plan, after: Mapping[Exposure, int], total: int) -> str:
    exposed = after[Exposure.OPEN] + after[Exposure.DELAYED]
    work = _work(plan)
    if not exposed:
        return f"{work}; with that {_all(total)} closed."
    left = [
        f"{after[state]:,} {state.value}"
        for state in (Exposure.OPEN, Exposure.DELAYED)
        if after[state]
    ]
    said = f"{work}; of {counted(total, 'asset')} that leaves {' and '.join(left)}."
    if plan.unclosable:
        said += f" Nothing in the catalogue closes {counted(len(plan.unclosable), 'path')}."
    return said


def _work(plan: Plan) -> str:
    """Return the effort of prevention, or of the whole list where it prevents nothing."""
    prevent = of_phase(plan, Phase.PREVENT)
    if not prevent:
        return f"The whole list takes effort {plan.effort}"
    effort = prevent[-1].spent
    if len(prevent) == 1:
        return f"The one measure that prevents the attack takes effort {effort}"
    few = {2: "two", 3: "three", 4: "four", 5: "five"}.get(len(prevent), f"{len(prevent):,}")
    return f"The {few} measures that prevent the attack take effort {effort}"


def shortfall(found: Shortfall, plan: Plan) -> str:
    """Return in words what a budget doesn't reach."""
    names = listed([named(plan, each) for each in found.cheapest], _MANY)
    return (
        f"The budget doesn't complete {PHASES[found.phase]} at impact {found.level}: "
        f"effort {found.left} is left, the cheapest set needs {found.needs}: {names}."
    )


def cheaper(found: Cheaper, plan: Plan) -> str:
    """Return in words which set would close as much for less."""
    names = listed([named(plan, each) for each in found.protections], _MANY * 2)
    return (
        f"{names} would close as much for effort {found.effort} in all, not {found.phases_effort}. "
        "The list costs more since it serves the worst impact first."
    )


def cuts_left(plan: Plan) -> tuple[str, ...]:
    """Return all that was left out to stay within limits."""
    return (*plan.model.cut, *(each for each in plan.cut if each not in plan.model.cut))
