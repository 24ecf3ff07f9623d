"""Make the plan: the phases, each item with its reasons, exposure now and afterwards."""

from collections.abc import Mapping, Sequence, Sized
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from watchword.observations import State
from watchword.plan.alternatives import skips
from watchword.plan.compiled import Compiled, compile_model
from watchword.plan.cover import Chosen, Row, cover
from watchword.plan.interface import Catalogue, Model
from watchword.plan.itemising import Worklist, work_down
from watchword.plan.ledger import Ledger
from watchword.plan.measuring import measured
from watchword.plan.outcome import (
    AssetState,
    Cheaper,
    Evidence,
    PathState,
    Phase,
    Plan,
    Shortfall,
    Standing,
)
from watchword.plan.patience import Endless, Patience
from watchword.plan.phases import Schedule, hardening, schedule
from watchword.plan.reliance import NEGATIVE
from watchword.plan.stability import Shaken, shake

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
    patience: Patience | None = None,
) -> Plan:
    """Return the plan for a model, by measured strengths where there are some.

    :param now: is told in the answer; ages are in ``evidence`` already.
    :param patience: bounds how long the answer is shaken; the answer itself is always whole.
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
    patience = patience or Endless()
    left = None if question.budget is None else question.budget - compiled.costs.of(found.bought)
    hard = hardening(compiled, ledger.touched(), found.bought, left)
    done = found.bought | sum(1 << bit for bit, _ in hard)
    without = skips(ledger, found, done, patience)
    cheaper, compared = (None, True) if question.budget is not None else _cheaper(compiled, found)
    shaken = shake(compiled, whole, catalogue, _steps(model), compiled_with, patience)
    items = work_down(Worklist(ledger, catalogue, evidence, found, hard, shaken, without))
    return Plan(
        model=model,
        catalogue=catalogue,
        items=items,
        paths=_path_states(ledger, done),
        assets=_asset_states(ledger, done),
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


def _steps(model: Model) -> frozenset[str]:
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


def _asset_states(ledger: Ledger, done: int) -> tuple[AssetState, ...]:
    now, after = ledger.assets(0), ledger.assets(done)
    counts: dict[str, int] = dict.fromkeys(ledger.model.assets, 0)
    for path in ledger.model.paths:
        counts[path.asset] += 1
    ordered = sorted(ledger.model.assets.values(), key=lambda asset: (-asset.impact, asset.id))
    return tuple(
        AssetState(asset, now[asset.id], after[asset.id], counts[asset.id]) for asset in ordered
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
