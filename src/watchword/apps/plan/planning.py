"""Make the plan of a file: read what was observed, judge it, plan."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from watchword.apps.observations import Reading, read_observations
from watchword.apps.settings.plan import PlanSettings
from watchword.observations import Vouched
from watchword.plan.evidence import Circumstances, judge, newest_builds
from watchword.plan.outcome import Plan
from watchword.plan.patience import Patience
from watchword.plan.service import Question, make_plan


def plan_of(
    settings: PlanSettings, question: Question, now: datetime, patience: Patience
) -> tuple[Plan, Reading]:
    """Return the plan, and what was read of observations, faults among it.

    :raises ObservationsFileError: when the file of observations can't be read.
    """
    reading = read_observations(settings.observations, settings.observers)
    evidence = judge(
        reading.vouched,
        reading.claims,
        settings.catalogue,
        settings.model.assets,
        circumstances_of(settings, now, reading.vouched),
    )
    plan = make_plan(settings.model, settings.catalogue, evidence, now, question, patience)
    return replace(plan, limits=settings.limits, pins=settings.pins), reading


def circumstances_of(
    settings: PlanSettings, now: datetime, vouched: Iterable[Vouched] = ()
) -> Circumstances:
    """Return what a plan's observations are judged against.

    :param vouched: all that somebody vouches for: the newest scan of an app says which build it is.
    """
    return Circumstances(
        now=now,
        max_age=settings.max_age,
        environment=settings.environment,
        builds=settings.builds,
        generations=settings.generations,
        apps=frozenset(settings.apps),
        scanned=newest_builds(vouched, now, settings.environment),
        routes=settings.routes,
    )
