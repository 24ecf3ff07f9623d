"""Work the list down: what each item closes and delays, given all before it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

from watchword.observations import State
from watchword.plan.interface import Catalogue
from watchword.plan.ledger import Act, Ledger
from watchword.plan.outcome import Action, Evidence, Exposure, Item, Phase, Skipped, Standing
from watchword.plan.phases import Schedule, Stretch
from watchword.plan.stability import Shaken
from watchword.plan.words import why_gathers, why_hardens, why_needed, why_prevents


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
