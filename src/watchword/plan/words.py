"""Say in one or two sentences why an item stands where it stands."""

from collections.abc import Iterable
from typing import Final

from watchword.plan.interface import Catalogue, Stage
from watchword.plan.ledger import Act, Ledger

_MAX_NAMED = 3
"""Assets and steps that a sentence names; the rest is counted."""


DAMAGE: Final = "where the damage is done"
"""Parts what an item closes from where, which a view may show alone."""


def why_prevents(ledger: Ledger, catalogue: Catalogue, act: Act, closes: tuple[int, ...]) -> str:
    """Say what an item closes, and at which step."""
    steps = _steps(catalogue, act, Stage.EXPLOIT, closes)
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
    steps = _steps(catalogue, act, Stage.RECON, delays)
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


def _steps(catalogue: Catalogue, act: Act, stage: Stage, paths: tuple[int, ...]) -> str:
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
