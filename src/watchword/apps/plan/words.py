"""Say what a plan holds in words that every view shares."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from watchword.encoding.wording import counted
from watchword.plan.interface import CUT_THRESHOLD, AttackPath, Effort
from watchword.plan.outcome import (
    Action,
    AssetState,
    Change,
    Cut,
    Exposure,
    Item,
    Measure,
    PathState,
    Phase,
    Plan,
    Skipped,
    Standing,
    Tally,
)
from watchword.plan.words import DAMAGE

HEADINGS: Final[Mapping[Phase, str]] = {
    Phase.PREVENT: "First: prevent the attack itself",
    Phase.GATHERING: "Then: make gathering intelligence harder",
    Phase.HARDENING: "Last: harden, which slows or stands behind, and closes nothing new",
}

PHASES: Final[Mapping[Phase, str]] = {
    Phase.PREVENT: "prevention",
    Phase.GATHERING: "gathering of intelligence",
    Phase.HARDENING: "hardening",
}

ACTIONS: Final[Mapping[Action, str]] = {
    Action.INTRODUCE: "introduce",
    Action.VERIFY: "verify: what is known of it doesn't count yet",
    Action.RENEW: "renew: its proof is out of date",
    Action.REPAIR: "repair: it is there without effect",
}

EXPOSURES: Final[Mapping[Exposure, str]] = {
    Exposure.OPEN: "open",
    Exposure.DELAYED: "delayed",
    Exposure.CLOSED: "closed",
    Exposure.UNREACHED: "no path left (struck)",
}

MEANINGS: Final[Mapping[Exposure, str]] = {
    Exposure.OPEN: "some way in isn't cut at all",
    Exposure.DELAYED: "some way in is cut only where intelligence is gathered",
    Exposure.CLOSED: "every way in is cut where the damage is done",
    Exposure.UNREACHED: "somebody struck every way in; nothing protects it",
}

STRENGTHS: Final = ("doesn't touch it", "slows it", "stops common tools", "blocks it")

_SECONDS: Final = (("day", 86400), ("hour", 3600), ("minute", 60))
_MANY: Final = 3


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


def cut(item: Item, found: Cut, plan: Plan) -> str:
    """Return what a cut is worth in words, and what was measured of it in place of the estimate."""
    what = STRENGTHS[max(0, min(found.strength, 3))]
    for each in plan.measures:
        if (each.protection, each.technique) == (item.protection.id, found.technique):
            return f"{what}, {strength(each)}"
    return f"{what} ({found.strength} of 3)"


def strength(found: Measure) -> str:
    """Return a measured strength with the estimate beside it."""
    of = f"{found.stopped:,} of {counted(found.tried, 'variant')}"
    return f"strength {found.strength} (measured {of}; estimate {found.estimate})"


def impacts(plan: Plan) -> dict[str, int]:
    """Return each asset's impact."""
    return {state.asset.id: state.asset.impact for state in plan.assets}


def ways(number: int) -> str:
    """Return a number of ways in, without the word that follows: ``2 ways``."""
    return counted(number, "way")


def reached(paths: Iterable[str], plan: Plan, most: int = _MANY) -> str:
    """Return how many ways in some paths are, by asset, the worst first: ``2 ways into backend-records (impact 5)``."""
    levels = impacts(plan)
    counts = plan.catalogue.ways_in(paths)
    names = sorted(counts, key=lambda name: (-levels.get(name, 0), name))
    if len(names) > most + 1:
        total = sum(counts.values())
        return f"{ways(total)} into {counted(len(names), 'asset')}, {_spread(names, levels)}"
    return listed(
        [f"{ways(counts[name])} into {name} (impact {levels.get(name, '?')})" for name in names]
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
        unclosed = set(item.unclosed)
        closed = [each for each in item.delays if each not in unclosed]
        said = [f"delays {reached(item.unclosed, plan)}"] if item.unclosed else []
        if closed:
            said.append(f"cuts the gathering on {reached(closed, plan)}")
        return ", and ".join(said)
    if item.slows:
        behind = _behind(item)
        verb = "stands behind what cuts" if behind else "slows"
        return f"{verb} {reached(behind or item.slows, plan)}"
    return "cuts no way in by itself"


def _behind(item: Item) -> list[str]:
    """Return the paths that an item cuts once more: it is strong enough, and something did before it."""
    strong = {path for cut in item.cuts if cut.strength >= CUT_THRESHOLD for path in cut.paths}
    return [path for path in item.slows if path in strong]


def told_by_why(item: Item, plan: Plan) -> bool:
    """Tell whether the reason of an item begins with what it does, which needn't be said twice."""
    return item.why.casefold().startswith(does(item, plan).casefold())


def besides(item: Item) -> str:
    """Return of an item's reason what its first words, which say what it does, don't say already."""
    _, there, rest = item.why.partition(f", {DAMAGE}: ")
    return f"{DAMAGE.capitalize()}: {rest}" if there and item.closes else item.why


def worst_first(paths: Iterable[PathState]) -> list[PathState]:
    """Return paths by impact, those of one impact in their order: where there is room for some, it is for these."""
    return sorted(paths, key=lambda each: -each.impact)


def marks(item: Item, plan: Plan | None = None) -> list[str]:
    """Return what sets an item apart, each as a short phrase.

    :param plan: given where there is room for names; else protections stand by their ids.
    """

    def shown(protection: str) -> str:
        return protection if plan is None else named(plan, protection)

    def each(protections: Iterable[str]) -> str:
        return listed([shown(name) for name in protections], _MANY)

    found = []
    if item.action is not Action.INTRODUCE:
        found.append(ACTIONS[item.action])
    if item.interim:
        found.append("interim: delays, doesn't close")
    if item.ties:
        ties = [" + ".join(shown(name) for name in tie) for tie in item.ties]
        found.append(f"a tie with {listed(ties, _MANY)}")
    if 0 < len(item.together) <= _MANY:
        found.append(f"only together with {each(item.together)}")
    if item.needed_for:
        found.append(f"needed for {each(item.needed_for)}")
    return found


def bundles(items: Iterable[Item]) -> list[str]:
    """Return what is said once of items that need more others than a mark has room for, a sentence an impact."""
    found: dict[int, set[str]] = {}
    for item in items:
        if len(item.together) > _MANY:
            found.setdefault(item.level, set()).update((item.protection.id, *item.together))
    return [
        f"{len(names)} of impact {level} go together: leave one out, and an asset that the others work for stays unclosed."
        for level, names in found.items()
    ]


def skipped(item: Item, plan: Plan) -> str:
    """Return what follows if an item is left out."""
    found: Skipped = item.skipped
    if not found.solved:
        return "There was no time to solve it again without it."
    said = []
    if found.instead:
        more = (
            "at the same effort"
            if not found.extra_effort
            else f"for {found.extra_effort} more effort"
        )
        names = listed([named(plan, each) for each in found.instead], _MANY)
        said.append(f"{names} would do it instead, {more}.")
    if found.stays_open:
        does_it = "delays" if item.phase is Phase.GATHERING else "closes"
        said.append(f"Nothing else {does_it} {reached(found.stays_open, plan)}.")
    if found.uncut:
        said.append(f"Nothing else cuts the gathering on {reached(found.uncut, plan)}.")
    if said:
        return " ".join(said)
    if item.phase is Phase.HARDENING:
        return "Nothing would open: it closes nothing by itself."
    if plan.budget is not None:
        return "Within the budget nothing does as much in its place."
    return "The rest of the list does as much without it."


def stability(item: Item) -> str:
    """Return how firmly an item stands, in words."""
    found = item.stability
    if found is None:
        return (
            "Not tried: in hardening nothing hangs on its place."
            if item.phase is Phase.HARDENING
            else "Not tried: it stands here only because of the budget."
        )
    said = ["Not shaken: there was no time for it."]
    if found.draws:
        said = [
            f"Impacts and efforts were shaken {counted(found.draws, 'time')}:",
            f"it kept its phase in {found.kept:,} and came first in {found.first:,}.",
        ]
    if found.smallest is not None:
        said.append(change(found.smallest, item.place))
    return " ".join(said)


def change(found: Change, place: int) -> str:
    """Return the smallest change that moves an item, in words."""
    where = (
        "it is no longer needed to close or delay anything"
        if found.place is None
        else f"it is number {found.place}"
    )
    return (
        f"The smallest change that moves it from number {place}: {flat(found.what)}, then {where}."
    )


def standing(found: Standing) -> str:
    """Return on what a standing rests: state, what was looked at, who saw it, and when."""
    parts = [found.state.value]
    if found.target:
        parts.append(f"at {place(found)}")
    if found.key:
        parts.append(f"by {found.key}")
    if found.source:
        parts.append(f"from {flat(found.source)}")
    said = " ".join(parts)
    if found.age is not None:
        said += f", {age(found.age)}"
    return f"{said}: {flat(found.why)}" if found.why else said


def place(found: Standing) -> str:
    """Return what a standing is on: its target, or the first of the routes there."""
    routes = [flat(str(each)) for each in found.routes]
    return flat(found.target) + (f" on {listed(routes, _MANY)}" if routes else "")


def counts(found: Tally) -> list[tuple[Exposure, int]]:
    """Return how many assets of one level stand how, without what is none."""
    every = (
        (Exposure.OPEN, found.open),
        (Exposure.DELAYED, found.delayed),
        (Exposure.CLOSED, found.closed),
        (Exposure.UNREACHED, found.unreached),
    )
    return [(exposure, number) for exposure, number in every if number]


def assets_that_are(exposure: Exposure, number: int) -> str:
    """Return a number of assets with how they stand: ``2 open``."""
    joint = "with " if exposure is Exposure.UNREACHED else ""
    return f"{number:,} {joint}{EXPOSURES[exposure]}"


def tally(found: Tally) -> str:
    """Return how the assets of one level stand, without what is none."""
    said = [assets_that_are(exposure, number) for exposure, number in counts(found)]
    return ", ".join(said) or "none"


def tallies(found: Iterable[Tally]) -> str:
    """Return how the assets of every level stand, the levels without any left out."""
    rows = [each for each in found if counts(each)]
    return "; ".join(f"impact {each.level}: {tally(each)}" for each in rows) or "no assets"


def final(plan: Plan) -> tuple[Tally, ...]:
    """Return the tallies once the plan is done."""
    return plan.items[-1].exposure if plan.items else plan.exposure


def levels(plan: Plan) -> list[tuple[int, Tally, Tally]]:
    """Return (level, now, after) of every impact level that has assets, the worst first."""
    after = {each.level: each for each in final(plan)}
    rows = [(each.level, each, after.get(each.level, each)) for each in plan.exposure]
    return sorted((row for row in rows if counts(row[1])), key=lambda row: -row[0])


def ends(paths: Iterable[AttackPath], plan: Plan) -> str:
    """Return what does the damage on some paths, by id and name: ``MT-B27 Talk the customer into paying``."""
    last = dict.fromkeys(path.steps[-1] for path in paths)
    return listed([f"{each} {technique_name(plan, each)}" for each in last], _MANY)


def by_impact(states: Iterable[AssetState], most: int = _MANY) -> str:
    """Return assets by name, the worst first: ``cards (impact 5), payments (impact 5) and 2 more``."""
    worst = sorted(states, key=lambda each: (-each.asset.impact, each.asset.id))
    return listed([f"{each.asset.id} (impact {each.asset.impact})" for each in worst], most)


def of_phase(plan: Plan, phase: Phase) -> list[Item]:
    """Return the items of one phase, in order."""
    return [item for item in plan.items if item.phase is phase]
