"""Read what ``watchword plan`` is asked, and say what was wrong with it in words."""

import re
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Final

import click

if TYPE_CHECKING:
    from watchword.apps.settings.plan import PlanSettings
    from watchword.plan.interface import Catalogue
    from watchword.plan.service import Question

MAX_BUDGET: Final = 10_000
"""Most units of effort, as ``plan: budget:`` has it."""

_MAX_SHOWN: Final = 60
_LEAST_OF_A_NAME: Final = 4


def budget(_ctx: click.Context, _parameter: click.Parameter, value: str | None) -> int | None:
    """Accept a budget."""
    if value is None:
        return None
    if not re.fullmatch(r"[0-9]{1,6}", value) or int(value) > MAX_BUDGET:
        expected = f"a whole number of units of effort from 0 to {MAX_BUDGET}, such as 12"
        raise click.BadParameter(f"got {value[:_MAX_SHOWN]!r}, expected {expected}")
    return int(value)


def question(settings: "PlanSettings", limit: int | None, what_if: tuple[str, ...]) -> "Question":
    """Return what is asked for.

    :param limit: in units of effort; left out, that of the file.
    :raises click.BadParameter: naming the protection that nobody knows, or that is taken both ways.
    """
    from watchword.plan.service import Question

    chosen: Mapping[str, set[str]] = {"+": set(), "-": set()}
    for text in what_if:
        sign, name = text[:1], text[1:]
        if sign not in chosen:
            got = f"got {text[:_MAX_SHOWN]!r}, expected +ID or -ID"
            raise click.BadParameter(got, param_hint="--what-if")
        chosen[sign].add(_protection(name, settings.catalogue, "--what-if"))
    if both := sorted(chosen["+"] & chosen["-"]):
        got = f"got +{both[0]} and -{both[0]}, expected one of both"
        raise click.BadParameter(got, param_hint="--what-if")
    return Question(
        settings.budget if limit is None else limit, frozenset(chosen["+"]), frozenset(chosen["-"])
    )


def item_of(name: str, listed: Collection[str], catalogue: "Catalogue") -> str:
    """Return the id of the item that somebody asks for, however its case is written.

    :param listed: ids of the plan's items.
    :raises click.BadParameter: saying where else to look.
    """
    from watchword.plan.catalogue.naming import same_id

    found = same_id(name, listed)
    if found is not None:
        return found
    key = _protection(name, catalogue, "--item", listed)
    got = f"got {key}, which isn't in this plan; `watchword plan catalogue {key}` says what it is"
    raise click.BadParameter(got, param_hint="--item")


def _by_name(name: str, catalogue: "Catalogue", among: Collection[str]) -> str:
    """Return the first protection with this in its name, by id and name; empty where none has."""
    word = name[:_MAX_SHOWN].strip().casefold()
    found = [each for each in catalogue.protections.values() if each.id in among]
    named = (f"{each.id} ({each.name})" for each in found if word in each.name.casefold())
    return next(named, "") if len(word) >= _LEAST_OF_A_NAME else ""


def _protection(
    name: str, catalogue: "Catalogue", option: str, hints: Collection[str] | None = None
) -> str:
    """Return the id of a protection.

    :param hints: ids of which the nearest is named; left out, all.
    :raises click.BadParameter: where there is none.
    """
    from watchword.plan.catalogue.naming import nearest_id, same_id

    protections = catalogue.protections
    found = same_id(name, protections)
    if found is not None:
        return found
    technique = same_id(name, catalogue.techniques)
    if technique is not None:
        got = (
            f"got {technique}, which is an attack, expected a protection (PR-...); "
            f"`watchword plan catalogue {technique}` says what it is and what cuts it"
        )
        raise click.BadParameter(got, param_hint=option)
    among = protections if hints is None else hints
    near = _by_name(name, catalogue, among) or nearest_id(name, among)
    hint = f"did you mean {near}?" if near else "`watchword plan catalogue` lists them"
    got = f"got {name[:_MAX_SHOWN]!r}, expected a protection's id; {hint}"
    raise click.BadParameter(got, param_hint=option)
