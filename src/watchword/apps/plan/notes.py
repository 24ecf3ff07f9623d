"""Say what stands beside the list: what is proven, struck, to be verified, beyond the budget or left out."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from watchword.apps.plan.verdict import catalogue
from watchword.apps.plan.words import (
    PHASES,
    STRENGTHS,
    age,
    ends,
    flat,
    listed,
    named,
    place,
    reached,
    strength,
    technique_name,
)
from watchword.observations import State
from watchword.plan.interface import AttackPath
from watchword.plan.outcome import Cheaper, Plan, Shortfall, Standing
from watchword.plan.reliance import shut_routes as shut
from watchword.plan.reliance import weak_routes as weak

STRUCK: Final = "Struck, and why"
PROVEN: Final = "Counts as proven"
CLAIMS: Final = "To verify: said or seen, but it doesn't count yet"
CHANGED: Final = "Not as shipped: what a catalogue of your own changes"

WEAK_ROUTES: Final = "Routes that ask for less than what lives there is worth"
SHUT_ROUTES: Final = "Routes that lock partners out"

MEASURED: Final = "Measured by attacking, in place of the catalogue's estimate"

_MANY: Final = 3


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
        (key, f"{entries.get(key, key)}: {listed(members)}")
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
    """Return in words what a budget doesn't reach, one line a phase."""
    lines = []
    for phase, name in PHASES.items():
        rows: dict[tuple[int, int, tuple[str, ...]], list[Shortfall]] = {}
        for each in plan.shortfalls:
            if each.phase is phase:
                rows.setdefault((each.left, each.needs, each.cheapest), []).append(each)
        if rows:
            said = [_short(found, plan) for found in rows.values()]
            lines.append(f"The budget doesn't complete {name} {'; nor '.join(said)}.")
    return lines


def _short(found: Sequence[Shortfall], plan: Plan) -> str:
    first = found[0]
    levels = listed([str(each.level) for each in found])
    names = listed([named(plan, each) for each in first.cheapest], _MANY)
    return (
        f"at impact {levels}: effort {first.left} is left for it, "
        f"the cheapest set needs {first.needs}: {names}"
    )


def cheaper(found: Cheaper, plan: Plan) -> str:
    """Return in words which set would close as much for less."""
    names = listed([named(plan, each) for each in found.protections], _MANY * 2)
    return (
        f"{names} would close as much for effort {found.effort} in all, not {found.phases_effort}. "
        "The list costs more since it serves the worst impact first."
    )


def limits(plan: Plan) -> tuple[str, ...]:
    """Return what of the reasoning was left out for want of time; what of the model, the verdict says."""
    return tuple(each for each in plan.cut if each not in plan.model.cut)
