"""Read a plan's observations and say of each what it is worth now."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from watchword.apps.observations import Reading
from watchword.apps.plan.planning import circumstances_of
from watchword.observations import Claim, Observation, State, Vouched
from watchword.plan.evidence import Circumstances, judge
from watchword.plan.outcome import Standing

if TYPE_CHECKING:
    from watchword.apps.settings.plan import PlanSettings


@dataclass(frozen=True, slots=True)
class Weighed:
    """Hold one statement with its worth.

    :param observer: who vouches for it, None where nobody does.
    :param state: what it is worth by itself, None where the catalogue hasn't got its protection.
    :param decides: it is the one that stands for its protection at its target.
    """

    observation: Observation
    observer: str | None
    state: State | None
    why: str
    decides: bool


def weigh(settings: "PlanSettings", reading: Reading, now: datetime) -> tuple[Weighed, ...]:
    """Return every statement with its worth, the newest first."""
    where = circumstances_of(settings, now, reading.vouched)
    catalogue = settings.catalogue
    evidence = judge(reading.vouched, reading.claims, catalogue, settings.assets, where)
    standing = [each for found in evidence.standings.values() for each in found]
    rows = []
    statements: tuple[Vouched | Claim, ...] = (*reading.vouched, *reading.claims)
    for statement in statements:
        alone = _alone(settings, statement, where)
        seen = statement.observation
        rows.append(
            Weighed(
                observation=seen,
                observer=statement.observer if isinstance(statement, Vouched) else None,
                state=alone.state if alone else None,
                why=alone.why if alone else "The catalogue has no such protection.",
                decides=alone is not None and any(_is_part(alone, each) for each in standing),
            )
        )
    return tuple(sorted(rows, key=_newest_first, reverse=True))


def _is_part(alone: Standing, standing: Standing) -> bool:
    """Tell whether a statement stands for all that it is on: what stands alike on several routes stands together."""
    same = replace(alone, routes=()) == replace(standing, routes=())
    return same and (alone.routes == standing.routes or {*alone.routes} < {*standing.routes})


def _newest_first(row: Weighed) -> tuple[datetime, str, str, str, str]:
    seen = row.observation
    return (seen.at, seen.protection, seen.target, seen.key, row.why)


def troubles(reading: Reading, file: str) -> Iterator[str]:
    """Yield a line for each line of the file that can't be read."""
    for fault in (*reading.faults, *reading.notes):
        yield f"{file}:{fault.line}: {fault.text}"


def standing_of(
    settings: "PlanSettings", statement: Vouched | Claim, now: datetime
) -> Standing | None:
    """Return how one statement stands by itself, None for an unknown protection."""
    return _alone(settings, statement, circumstances_of(settings, now))


def _alone(
    settings: "PlanSettings", statement: Vouched | Claim, where: Circumstances
) -> Standing | None:
    vouched = [statement] if isinstance(statement, Vouched) else []
    claims = [statement] if isinstance(statement, Claim) else []
    found = judge(vouched, claims, settings.catalogue, {}, where)
    return next((each for some in found.standings.values() for each in some), None)
