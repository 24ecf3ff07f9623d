"""Say in one or two sentences why an item stands where it stands."""

from collections.abc import Iterable, Mapping

from watchword.plan.interface import Catalogue, Stage
from watchword.plan.ledger import Act, Ledger, by_asset

_MAX_NAMED = 3
"""Assets and steps that a sentence names; the rest is counted."""


def why_prevents(ledger: Ledger, catalogue: Catalogue, act: Act, closes: tuple[int, ...]) -> str:
    """Say what an item closes, and at which step."""
    steps = _steps(catalogue, act, Stage.EXPLOIT, closes)
    return f"Closes {_paths(ledger, closes)}, where the damage is done: {steps}."


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
    worth = "What it delays is closed by then; this makes attackers work longer for the next hole."
    if unclosed:
        which = "" if len(unclosed) == len(delays) else f" on {_paths(ledger, unclosed)}"
        rest = "" if not which else "; the rest is closed by then"
        worth = f"Interim{which}: it delays what nothing in this plan closes{rest}."
    return f"Makes gathering intelligence harder on {_paths(ledger, delays)}: {steps}. {worth}"


def why_hardens(ledger: Ledger, catalogue: Catalogue, act: Act) -> str:
    """Say where an item slows down, and where it stands behind something else."""
    names = _listed(
        f"{technique} ({catalogue.techniques[technique].name})" for technique, _, _ in act.cuts
    )
    strongest = max(strength for _, strength, _ in act.cuts)
    what = "Slows" if strongest == 1 else "Stands behind what cuts"
    return f"{what} {names} on {_paths(ledger, act.paths)}; closes nothing that is open by then."


def why_needed(names: Iterable[str]) -> str:
    """Say that an item is there for others."""
    return f"Cuts nothing here by itself: {_listed(names)} can't be had without it."


def _paths(ledger: Ledger, indexes: tuple[int, ...]) -> str:
    counts: Mapping[str, int] = by_asset(ledger, indexes)
    assets = ledger.model.assets
    parts = [
        f"{count} {'path' if count == 1 else 'paths'} to {asset} (impact {assets[asset].impact})"
        for asset, count in counts.items()
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
