"""Make the plan: the phases, each item with its reasons, exposure now and afterwards."""

from collections.abc import Iterable, Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from watchword.observations import State
from watchword.plan.cover import Chosen, Compiled, Row, compile_model, cover
from watchword.plan.evidence import NEGATIVE, measured
from watchword.plan.interface import Catalogue, Deadline, Model, NoDeadline, Stage
from watchword.plan.outcome import (
    Action,
    AssetState,
    Cheaper,
    Evidence,
    Exposure,
    Item,
    PathState,
    Phase,
    Plan,
    Shortfall,
    Skipped,
    Standing,
)
from watchword.plan.phases import Act, Ledger, Schedule, Stretch, hardening, schedule, skips
from watchword.plan.stability import Shaken, shake

_MAX_NAMED = 3
"""Assets and steps that a sentence names; the rest is counted."""


DAMAGE: Final = "where the damage is done"
"""Parts what an item closes from where, which a view may show alone."""


def why_prevents(ledger: Ledger, catalogue: Catalogue, act: Act, closes: tuple[int, ...]) -> str:
    """Say what an item closes, and at which step."""
    steps = _steps_of(catalogue, act, Stage.EXPLOIT, closes)
    return f"Closes {_ways(ledger, catalogue, closes)}, {DAMAGE}: {steps}."


def why_gathers(
    ledger: Ledger,
    catalogue: Catalogue,
    act: Act,
    delays: tuple[int, ...],
    unclosed: tuple[int, ...],
) -> str:
    """Say what an item delays, and what that is worth.

    :param unclosed: of ``delays``, the paths that nothing in the plan closes.
    """
    steps = _steps_of(catalogue, act, Stage.RECON, delays)
    worth = (
        "What it delays is closed by then; this makes attackers work longer for the next hole."
        " Whoever has the intelligence already walks past it, so that it stands behind what prevents."
    )
    if unclosed:
        which = "" if len(unclosed) == len(delays) else f" on {_ways(ledger, catalogue, unclosed)}"
        rest = "" if not which else "; the rest is closed by then"
        worth = f"Interim{which}: it delays what nothing in this plan closes{rest}."
    return f"Makes gathering intelligence harder on {_ways(ledger, catalogue, delays)}: {steps}. {worth}"


def why_hardens(ledger: Ledger, catalogue: Catalogue, act: Act) -> str:
    """Say where an item slows down, and where it stands behind something else."""
    names = _listed(
        f"{technique} ({catalogue.techniques[technique].name})" for technique, _, _ in act.cuts
    )
    strongest = max(strength for _, strength, _ in act.cuts)
    what = "Slows" if strongest == 1 else "Stands behind what cuts"
    said = f"{what} {names} on {_ways(ledger, catalogue, act.paths)}; closes nothing that is open by then."
    if all(catalogue.techniques[step].stage is Stage.RECON for step, _, _ in act.cuts):
        said += " It hinders the gathering of intelligence alone, and stops no script at the API."
    return said


def why_needed(names: Iterable[str]) -> str:
    """Say that an item is there for others."""
    return f"Cuts nothing here by itself: {_listed(names)} can't be had without it."


def _ways(ledger: Ledger, catalogue: Catalogue, indexes: tuple[int, ...]) -> str:
    counts = catalogue.ways_in(ledger.ids(indexes))
    assets = ledger.model.assets
    parts = [
        f"{counts[asset]} {'way' if counts[asset] == 1 else 'ways'} into {asset} (impact {assets[asset].impact})"
        for asset in sorted(counts, key=lambda name: (-assets[name].impact, name))
    ]
    return _listed(parts, "assets")


def _steps_of(catalogue: Catalogue, act: Act, stage: Stage, paths: tuple[int, ...]) -> str:
    wanted = set(paths)
    return _listed(
        f"{technique} {catalogue.techniques[technique].name}"
        for technique, strength, found in act.cuts
        if strength > 1
        and catalogue.techniques[technique].stage is stage
        and not wanted.isdisjoint(found)
    )


def _listed(parts: Iterable[str], what: str = "others") -> str:
    """Return a list in words, the end of a long one counted."""
    every = list(parts)
    if len(every) > _MAX_NAMED:
        rest = len(every) - _MAX_NAMED
        every = [*every[:_MAX_NAMED], f"{rest} {'other' if rest == 1 else what}"]
    if len(every) < 2:
        return "".join(every)
    return f"{', '.join(every[:-1])} and {every[-1]}"


@dataclass(frozen=True, slots=True)
class Worklist:
    """Hold what the items are made of.

    :param hard: the hardening phase, as (bit, impact level).
    :param skips: by bit, what follows without it, and what ties with it.
    """

    ledger: Ledger
    catalogue: Catalogue
    evidence: Evidence
    found: Schedule
    hard: tuple[tuple[int, int], ...]
    shaken: Shaken
    skips: Mapping[int, tuple[Skipped, tuple[tuple[str, ...], ...]]]


_NOTHING: Final[tuple[Skipped, tuple[tuple[str, ...], ...]]] = (Skipped((), (), 0), ())
_NOT_SOLVED: Final[tuple[Skipped, tuple[tuple[str, ...], ...]]] = (
    Skipped((), (), 0, solved=False),
    (),
)


@dataclass(frozen=True, slots=True)
class _Entry:
    bit: int
    phase: Phase
    level: int
    stretch: Stretch | None


def work_down(work: Worklist) -> tuple[Item, ...]:
    """Return the items in order."""
    entries = [
        _Entry(bit, stretch.phase, stretch.level, stretch)
        for stretch in work.found.stretches
        for bit in stretch.order
    ] + [_Entry(bit, Phase.HARDENING, level, None) for bit, level in work.hard]
    in_plan = sum(1 << entry.bit for entry in entries)
    final = [work.ledger.exposure(index, in_plan) for index in range(len(work.ledger.model.paths))]
    items: list[Item] = []
    done = 0
    spent = 0
    for place, entry in enumerate(entries, 1):
        spent += work.ledger.compiled.costs.effort[entry.bit]
        items.append(_item(work, entry, place, done, spent, in_plan, final))
        done |= 1 << entry.bit
    return tuple(items)


def _item(
    work: Worklist,
    entry: _Entry,
    place: int,
    done: int,
    spent: int,
    in_plan: int,
    final: list[Exposure],
) -> Item:
    ledger, compiled = work.ledger, work.ledger.compiled
    protection = work.catalogue.protections[compiled.ids[entry.bit]]
    act = ledger.acts(entry.bit)
    closes, delays = _newly(ledger, entry.bit, act, done)
    moved = set(closes) | set(delays)
    slows = tuple(
        index
        for index in act.paths
        if index not in moved and not ledger.proven(index) >> entry.bit & 1
    )
    unclosed = () if closes else _unclosed(delays, final)
    skipped, ties = work.skips.get(entry.bit, _NOT_SOLVED if entry.stretch else _NOTHING)
    needed_for = tuple(
        name
        for name in compiled.names(in_plan)
        if protection.id in work.catalogue.protections[name].depends_on
    )
    standings = work.evidence.standings.get(protection.id, ())
    return Item(
        place=place,
        protection=protection,
        phase=entry.phase,
        level=entry.level,
        effort=compiled.costs.effort[entry.bit],
        action=_action(standings),
        closes=ledger.ids(closes),
        delays=ledger.ids(delays),
        slows=ledger.ids(slows),
        cuts=ledger.named(act.cuts),
        assets=tuple(sorted({ledger.path(index).asset for index in act.paths})),
        interim=bool(unclosed),
        ties=ties,
        together=tuple(_together(ledger, entry, closes)),
        needed_for=needed_for,
        skipped=skipped,
        stability=work.shaken.by_item.get(entry.bit),
        evidence=standings,
        spent=spent,
        exposure=ledger.tallies(done | 1 << entry.bit),
        why=_why(
            work,
            entry,
            replace(act, paths=slows),
            closes,
            delays,
            unclosed=unclosed,
            needed_for=needed_for,
        ),
        unclosed=ledger.ids(unclosed),
    )


def _unclosed(delays: tuple[int, ...], final: list[Exposure]) -> tuple[int, ...]:
    """Return what is delayed for the time being; what closes something isn't interim, whatever else it delays."""
    return tuple(index for index in delays if final[index] is not Exposure.CLOSED)


def _newly(
    ledger: Ledger, bit: int, act: Act, done: int
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the paths that an item closes, and those that it delays, all before it being done."""
    closes: list[int] = []
    delays: list[int] = []
    for index in act.paths:
        there = ledger.proven(index) | done
        if there >> bit & 1:
            continue
        if ledger.closers(index) >> bit & 1 and not ledger.closers(index) & there:
            closes.append(index)
        elif ledger.delayers(index) >> bit & 1 and not ledger.delayers(index) & there:
            delays.append(index)
    return tuple(closes), tuple(delays)


def _action(standings: tuple[Standing, ...]) -> Action:
    """Return what is to be done; what is known to be broken tells more than what is claimed."""
    states = {standing.state for standing in standings}
    if State.BROKEN in states:
        return Action.REPAIR
    if State.STALE in states:
        return Action.RENEW
    return Action.VERIFY if State.CLAIMED in states else Action.INTRODUCE


def _together(ledger: Ledger, entry: _Entry, closes: tuple[int, ...]) -> Iterator[str]:
    """Yield what else its phase needs for the assets that an item closes paths to."""
    if entry.stretch is None or entry.phase is not Phase.PREVENT:
        return
    assets = {ledger.path(index).asset for index in closes}
    compiled = ledger.compiled
    rows = [row for row in entry.stretch.rows if compiled.assets[row.group] in assets]
    for bit in sorted(entry.stretch.order):
        # What is cut by two others stays cut when one of them is missing.
        if bit != entry.bit and any(
            row.closers & entry.stretch.chosen.mask == 1 << bit for row in rows
        ):
            yield compiled.ids[bit]


def _why(
    work: Worklist,
    entry: _Entry,
    act: Act,
    closes: tuple[int, ...],
    delays: tuple[int, ...],
    *,
    unclosed: tuple[int, ...],
    needed_for: tuple[str, ...],
) -> str:
    ledger, catalogue = work.ledger, work.catalogue
    if closes:
        return why_prevents(ledger, catalogue, act, closes)
    if delays:
        return why_gathers(ledger, catalogue, act, delays, unclosed)
    if not act.paths or entry.phase is not Phase.HARDENING:
        return why_needed(needed_for)
    return why_hardens(ledger, catalogue, act)


_CHEAPER_NODES: Final = 800
"""Most nodes of each solve of what is only told beside the list."""


@dataclass(frozen=True, slots=True)
class Question:
    """Hold what is asked of a plan beyond the model.

    :param budget: most effort, None for no limit.
    :param added: protections that are taken to be proven (``--what-if +ID``).
    :param removed: protections that are taken to be neither there nor to be had (``-ID``), and with
        them whatever needs them, even if it is proven or ``added``.
    """

    budget: int | None = None
    added: frozenset[str] = frozenset()
    removed: frozenset[str] = frozenset()


def make_plan(
    model: Model,
    catalogue: Catalogue,
    evidence: Evidence,
    now: datetime,
    question: Question | None = None,
    deadline: Deadline | None = None,
) -> Plan:
    """Return the plan for a model, by measured strengths where there are some.

    :param now: is told in the answer; ages are in ``evidence`` already.
    :param deadline: bounds how long the answer is shaken; the answer itself is always whole.
    """
    question = question or Question()
    catalogue, measures = measured(catalogue, evidence.standings)
    # A proof of what needs them falls with them.
    removed = catalogue.with_dependents(question.removed)
    proven = _proven(model, evidence, question.added, removed)

    def compiled_with(change: Mapping[tuple[int, str], int]) -> Compiled:
        return compile_model(
            catalogue, model.assets, model.paths, proven, without=removed, change=change
        )

    compiled = compiled_with({})
    ledger = Ledger(model, catalogue, compiled)
    # What the budget cuts off says little about how firm the order is, so that the whole order is shaken.
    whole = schedule(compiled)
    found = whole if question.budget is None else schedule(compiled, budget=question.budget)
    deadline = deadline or NoDeadline()
    left = None if question.budget is None else question.budget - compiled.costs.of(found.bought)
    hard = hardening(compiled, ledger.touched(), found.bought, left)
    done = found.bought | sum(1 << bit for bit, _ in hard)
    without = skips(ledger, found, done, deadline)
    cheaper, compared = (None, True) if question.budget is not None else _cheaper(compiled, found)
    shaken = shake(compiled, whole, catalogue, _steps_in(model), compiled_with, deadline)
    items = work_down(Worklist(ledger, catalogue, evidence, found, hard, shaken, without))
    return Plan(
        model=model,
        catalogue=catalogue,
        items=items,
        paths=_path_states(ledger, done),
        assets=_asset_states(ledger, catalogue, done),
        exposure=ledger.tallies(0),
        claims=_standing(evidence, frozenset({State.CLAIMED})),
        proven=_standing(evidence, frozenset({State.PROVEN, State.REVIEWED})),
        failing=_standing(evidence, NEGATIVE),
        unclosable=_unclosable(ledger),
        shortfalls=_shortfalls(compiled, found),
        cheaper=cheaper,
        budget=question.budget,
        effort=sum(item.effort for item in items),
        made_at=now,
        added=tuple(sorted(question.added)),
        removed=tuple(sorted(removed)),
        cut=_notes(model, found, shaken, without, compared=compared),
        environment=evidence.environment,
        measures=measures,
        routes=evidence.routes,
    )


def _steps_in(model: Model) -> frozenset[str]:
    return frozenset(step for path in model.paths for step in path.steps)


def _proven(
    model: Model, evidence: Evidence, added: frozenset[str], removed: frozenset[str]
) -> dict[str, frozenset[str]]:
    """Return by asset what counts there, or is taken to."""
    return {
        asset: (evidence.proven.get(asset, frozenset()) | added) - removed for asset in model.assets
    }


def _path_states(ledger: Ledger, done: int) -> tuple[PathState, ...]:
    obtainable = ledger.compiled.available
    return tuple(
        PathState(
            path=path,
            impact=ledger.impact(index),
            now=ledger.exposure(index, 0),
            after=ledger.exposure(index, done),
            closers=ledger.compiled.names(
                ledger.closers(index) & (obtainable | ledger.proven(index))
            ),
            cut_now=tuple(ledger.cutters(index, ledger.proven(index))),
            cut_after=tuple(ledger.cutters(index, ledger.proven(index) | done)),
        )
        for index, path in enumerate(ledger.model.paths)
    )


def _asset_states(ledger: Ledger, catalogue: Catalogue, done: int) -> tuple[AssetState, ...]:
    now, after = ledger.assets(0), ledger.assets(done)
    counts: dict[str, int] = dict.fromkeys(ledger.model.assets, 0)
    for path in ledger.model.paths:
        counts[path.asset] += 1
    ways = catalogue.ways_in(path.id for path in ledger.model.paths)
    ordered = sorted(ledger.model.assets.values(), key=lambda asset: (-asset.impact, asset.id))
    return tuple(
        AssetState(asset, now[asset.id], after[asset.id], counts[asset.id], ways.get(asset.id, 0))
        for asset in ordered
    )


def _standing(evidence: Evidence, states: frozenset[State]) -> tuple[Standing, ...]:
    """Return every standing in some states, by protection and target."""
    return tuple(
        standing
        for protection in sorted(evidence.standings)
        for standing in evidence.standings[protection]
        if standing.state in states
    )


def _unclosable(ledger: Ledger) -> tuple[str, ...]:
    obtainable = ledger.compiled.available
    return tuple(
        path.id
        for index, path in enumerate(ledger.model.paths)
        if not ledger.closers(index) & (obtainable | ledger.proven(index))
    )


def _shortfalls(compiled: Compiled, found: Schedule) -> tuple[Shortfall, ...]:
    return tuple(
        Shortfall(
            stretch.phase,
            stretch.level,
            stretch.left or 0,
            stretch.whole.cost,
            compiled.names(stretch.whole.mask),
        )
        for stretch in found.stretches
        if stretch.whole is not None
    )


def _cheaper(compiled: Compiled, found: Schedule) -> tuple[Cheaper | None, bool]:
    """Return the cheapest set for all levels at once, where going level by level costs more.

    :returns: the set, None where there is none; and whether that was solved to the end.
    """
    prevent = [stretch for stretch in found.stretches if stretch.phase is Phase.PREVENT]
    if len(prevent) < 2:
        return None, True
    rows = [row for asset in range(len(compiled.assets)) for row in _open_rows(compiled, asset)]
    cost = sum(stretch.chosen.cost for stretch in prevent)

    def best(*, refine: bool) -> Chosen:
        return cover(
            rows,
            compiled.costs,
            available=compiled.available,
            have=compiled.everywhere,
            refine=refine,
            nodes=_CHEAPER_NODES,
        )

    # Ties are only worth breaking where the set is shown.
    quick = best(refine=False)
    if not quick.exact or quick.cost >= cost:
        return None, quick.exact
    chosen = best(refine=True)
    return Cheaper(compiled.names(chosen.mask), chosen.cost, cost), True


def _open_rows(compiled: Compiled, asset: int) -> Sequence[Row]:
    return [
        Row(ways.close, ways.block, ways.count, asset)
        for ways in compiled.ways[asset]
        if not ways.close & compiled.proven[asset]
    ]


def _notes(
    model: Model, found: Schedule, shaken: Shaken, without: Sized, *, compared: bool
) -> tuple[str, ...]:
    """Say what was left out to stay within limits of size and time."""
    notes = [*model.cut, *shaken.notes]
    if not found.exact:
        notes.append("the solver stopped at its limit: some phase may not be the cheapest")
    if unsolved := len(found.order) - len(without):
        items = f"{unsolved} item{'' if unsolved == 1 else 's'}"
        notes.append(
            f"what would follow without {items} wasn't solved: the time was over, or the solver stopped at its limit"
        )
    if not compared:
        notes.append(
            "whether one set for all levels costs less wasn't solved: the solver stopped at its limit"
        )
    return tuple(notes)
