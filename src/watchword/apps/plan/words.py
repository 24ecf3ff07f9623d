"""Put a plan into words: the sentences of every view."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from watchword.apps.reports.text import flat, in_sentence
from watchword.encoding.phrases import counted
from watchword.observations import State
from watchword.plan.evidence import shut_routes as shut
from watchword.plan.evidence import weak_routes as weak
from watchword.plan.interface import CUT_THRESHOLD, AttackPath, Effort
from watchword.plan.outcome import (
    Action,
    AssetState,
    Change,
    Cheaper,
    Cut,
    Exposure,
    Item,
    Measure,
    PathState,
    Phase,
    Plan,
    Shortfall,
    Skipped,
    Standing,
    Tally,
)
from watchword.plan.service import DAMAGE
from watchword.vocabulary import Environment

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


def sentence(text: str) -> str:
    """Return a phrase as a sentence."""
    return f"{text[:1].upper()}{text[1:]}."


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
    return in_sentence(
        [f"{ways(counts[name])} into {name} (impact {levels.get(name, '?')})" for name in names]
    )


def _spread(names: Iterable[str], levels: Mapping[str, int]) -> str:
    """Return how many assets there are of each impact: ``2 of impact 5, 1 of impact 3``."""
    counts = Counter(levels.get(name, 0) for name in names)
    return in_sentence(
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
        return in_sentence([shown(name) for name in protections], _MANY)

    found = []
    if item.action is not Action.INTRODUCE:
        found.append(ACTIONS[item.action])
    if item.interim:
        found.append("interim: delays, doesn't close")
    if item.ties:
        ties = [" + ".join(shown(name) for name in tie) for tie in item.ties]
        found.append(f"a tie with {in_sentence(ties, _MANY)}")
    if 0 < len(item.together) <= _MANY:
        found.append(f"only together with {each(item.together)}")
    if item.needed_for:
        found.append(f"needed for {each(item.needed_for)}")
    return found


def bundles(items: Iterable[Item], plan: Plan) -> list[str]:
    """Return what is said once of items that need more others than a mark has room for, a sentence an impact.

    A budget that closes no asset needs none of them: it buys time.
    """
    if plan.budget is not None and not _bought(plan):
        return []
    found: dict[int, set[str]] = {}
    for item in items:
        if len(item.together) > _MANY:
            found.setdefault(item.level, set()).update((item.protection.id, *item.together))
    return [
        f"These {len(names)} of impact {level} are needed together: without any one of them an asset stays open."
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
        names = in_sentence([named(plan, each) for each in found.instead], _MANY)
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
    return flat(found.target) + (f" on {in_sentence(routes, _MANY)}" if routes else "")


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
    return in_sentence([f"{each} {technique_name(plan, each)}" for each in last], _MANY)


def by_impact(states: Iterable[AssetState], most: int = _MANY) -> str:
    """Return assets by name, the worst first: ``cards (impact 5), payments (impact 5) and 2 more``."""
    worst = sorted(states, key=lambda each: (-each.asset.impact, each.asset.id))
    return in_sentence([f"{each.asset.id} (impact {each.asset.impact})" for each in worst], most)


def of_phase(plan: Plan, phase: Phase) -> list[Item]:
    """Return the items of one phase, in order."""
    return [item for item in plan.items if item.phase is phase]


EXPOSED: Final = (Exposure.OPEN, Exposure.DELAYED)

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
        if lacking := sorted(_needs(plan, new) - {*plan.added, *known}):
            it = "it needs" if len(new) == 1 else "they need"
            but += f", and {it} {in_sentence(lacking)} besides"
        parts.append(f"{in_sentence(new)} were proven ({but})")
    if elsewhere:
        but = "it is" if len(elsewhere) == 1 else "they are"
        parts.append(f"{in_sentence(elsewhere)} were proven everywhere ({but} in places)")
    if plan.removed:
        taken = set(plan.removed)
        behind = [each for each in plan.removed if _needs(plan, [each]) & taken]
        first = [each for each in plan.removed if each not in behind]
        said = f"{in_sentence(first)} couldn't be had"
        if behind:
            need = "needs" if len(behind) == 1 else "need"
            said += (
                f", nor {in_sentence(behind)}, which {need} {'it' if len(first) == 1 else 'them'}"
            )
        parts.append(said)
    return f"What if {in_sentence(parts)}:" if parts else ""


def _needs(plan: Plan, protections: Iterable[str]) -> set[str]:
    known = plan.catalogue.protections
    return {need for each in protections if each in known for need in known[each].depends_on}


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
        f"still open or delayed: {by_impact(left, _MOST_NOTES)}."
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
    if len(parts) == 1:
        state = next(each for each in EXPOSED if now[each])
        return f"{when} {of} {is_} {EXPOSURES[state]}, up to impact {worst}{rest}."
    return f"{when} {of} {is_} not closed, up to impact {worst}: {', '.join(parts)}{rest}."


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
        bought = _bought(plan)
        said += (
            f" The budget closes {by_impact(bought)}: within one impact as many assets as it can, whichever they are."
            if bought
            else " The budget closes no asset whole."
        )
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


def _bought(plan: Plan) -> list[AssetState]:
    """Return which assets a budget closes; of each impact the cheapest to close come first."""
    return [each for each in plan.assets if each.now in EXPOSED and each.after is Exposure.CLOSED]


def _only_unclosable(plan: Plan) -> str:
    """Return what stays, where all of that is paths that nothing can close; empty where it isn't."""
    unclosable = set(plan.unclosable)
    staying = [each for each in plan.paths if each.after in EXPOSED]
    if not staying or any(each.path.id not in unclosable for each in staying):
        return ""
    states = {each.after for each in staying}
    how = "open" if states == {Exposure.OPEN} else "only delayed"
    if len(states) > 1:
        how = "open or only delayed"
    names = ends((each.path for each in staying), plan)
    number = sum(plan.catalogue.ways_in(each.path.id for each in staying).values())
    stay, them = ("stays", "it") if number == 1 else ("stay", "them")
    return f"{counted(number, 'way')} in {stay} {how}: nothing {catalogue(plan)} closes {them} ({names})."


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


STRUCK: Final = "Struck, and why"
PROVEN: Final = "Counts as proven"
CLAIMS: Final = "To verify: said or seen, but it doesn't count yet"
CHANGED: Final = "Not as shipped: what a catalogue of your own changes"

WEAK_ROUTES: Final = "Routes that ask for less than what lives there is worth"
SHUT_ROUTES: Final = "Routes that lock partners out"

MEASURED: Final = "Measured by attacking, in place of the catalogue's estimate"


@dataclass(frozen=True, slots=True)
class StruckGroup:
    """Hold all paths that were struck for one reason."""

    because: str
    paths: tuple[AttackPath, ...]


def struck(plan: Plan) -> list[StruckGroup]:
    """Return what was struck by reason, the reason of the most paths first."""
    groups: dict[str, list[AttackPath]] = {}
    for each in plan.model.struck:
        groups.setdefault(flat(each.because), []).append(each.path)
    found = [StruckGroup(because, tuple(paths)) for because, paths in groups.items()]
    return sorted(found, key=lambda each: (-len(each.paths), each.because))


def struck_line(group: StruckGroup, plan: Plan) -> str:
    """Return one reason with how many paths it took, and of which assets."""
    what = ends(group.paths, plan)
    return f"{reached([each.id for each in group.paths], plan)} by {what}: {group.because}"


@dataclass(frozen=True, slots=True)
class Unclosable:
    """Hold one way in that nothing closes, by the steps that do the damage.

    :param paths: that it holds, to whatever asset.
    :param because: the catalogue's reason why it can only be accepted, as a sentence; empty where it gives none.
    """

    steps: tuple[str, ...]
    paths: tuple[str, ...]
    because: str


def unclosable(plan: Plan) -> list[Unclosable]:
    """Return what nothing closes, the same steps into several assets once."""
    found: dict[tuple[str, ...], list[str]] = {}
    for path in plan.unclosable:
        found.setdefault(plan.catalogue.way_in(path)[1], []).append(path)
    return [
        Unclosable(steps, tuple(paths), _accepted(steps, plan)) for steps, paths in found.items()
    ]


def _accepted(steps: Iterable[str], plan: Plan) -> str:
    known = (plan.catalogue.techniques.get(step) for step in steps)
    because = next((each.accepted for each in known if each is not None and each.accepted), "")
    return f"A risk to accept by name (strike it under scenarios): {because}" if because else ""


def unclosable_heading(plan: Plan) -> str:
    """Return what stands above the ways in that nothing closes."""
    return f"Nothing {catalogue(plan)} closes"


def proven(plan: Plan) -> list[tuple[str, str]]:
    """Return (protection, where and since when) of what counts; several keys of one target are one.

    What a what-if takes away doesn't count.
    """
    newest: dict[tuple[object, ...], Standing] = {}
    for each in plan.proven:
        where = (each.protection, each.target, each.routes)
        if each.protection in plan.removed:
            continue
        if where not in newest or _age(each) < _age(newest[where]):
            newest[where] = each
    return [(each.protection, placed(each)) for each in newest.values()]


def claims(plan: Plan) -> list[tuple[str, str]]:
    """Return (protection, why it doesn't count) of what was said or seen and counts for nothing."""
    found = [(each.protection, placed(each)) for each in plan.claims]
    return list(dict.fromkeys(found))


def weak_routes(plan: Plan) -> list[str]:
    """Return what leaves an asset open whatever is proven elsewhere, a sentence each."""
    return [str(each) for each in weak(plan.model.assets.values())]


def shut_routes(plan: Plan) -> list[str]:
    """Return what refuses the partners whose asset lives behind it, a sentence each."""
    return [str(each) for each in shut(plan.model.assets.values())]


def changed(plan: Plan) -> list[tuple[str, str]]:
    """Return (id, name and which members) of each shipped entry that the user's own catalogue changes."""
    known = plan.catalogue
    entries = {
        **{key: each.name for key, each in known.techniques.items()},
        **{key: each.name for key, each in known.protections.items()},
    }
    return [
        (key, f"{entries.get(key, key)}: {in_sentence(members)}")
        for key, members in known.changed.items()
    ]


def measured(plan: Plan) -> list[tuple[str, str]]:
    """Return (protection, what it was seen to do) for each technique of the model; the JSON has the others too."""
    steps = {step for path in plan.model.paths for step in path.steps}
    return [
        (
            each.protection,
            (
                f"on {each.technique} {technique_name(plan, each.technique)}, at {each.target}: "
                f"{STRENGTHS[each.strength]}, {strength(each)}"
            ),
        )
        for each in plan.measures
        if each.technique in steps and each.protection not in plan.removed
    ]


def placed(found: Standing) -> str:
    """Return where something was seen, when, and what that is worth: its ``why`` says more than its state."""
    parts = [f"at {place(found)}"] if found.target else []
    if found.age is not None:
        parts.append(age(found.age))
    if found.state is State.REVIEWED:
        parts.append("reviewed")
    why = flat(found.why or found.source or found.state.value)
    return f"{', '.join(parts)}: {why}" if parts else why


def _age(found: Standing) -> float:
    return float("inf") if found.age is None else found.age


def shortfalls(plan: Plan) -> list[str]:
    """Return in words what a budget doesn't reach, a line for each phase and effort that is left."""
    lines = []
    for phase, name in PHASES.items():
        rows: dict[tuple[int, int, tuple[str, ...]], list[Shortfall]] = {}
        for each in plan.shortfalls:
            if each.phase is phase:
                rows.setdefault((each.left, each.needs, each.cheapest), []).append(each)
        lines += [f"{name[:1].upper()}{name[1:]} {_short(found, plan)}" for found in rows.values()]
    return lines


def _short(found: Sequence[Shortfall], plan: Plan) -> str:
    first = found[0]
    levels = in_sentence([str(each.level) for each in found])
    names = in_sentence([named(plan, each) for each in first.cheapest], _MANY)
    return f"at impact {levels} needs effort {first.needs}, and {first.left} is left: {names}."


def cheaper(found: Cheaper, plan: Plan) -> str:
    """Return in words which set would close as much for less."""
    names = in_sentence([named(plan, each) for each in found.protections], _MANY * 2)
    return (
        f"{names} would close as much for effort {found.effort} in all, not {found.phases_effort}. "
        "The list costs more since it serves the worst impact first."
    )


def limits(plan: Plan) -> tuple[str, ...]:
    """Return what of the reasoning was left out for want of time; what of the model, the verdict says."""
    return tuple(each for each in plan.cut if each not in plan.model.cut)
