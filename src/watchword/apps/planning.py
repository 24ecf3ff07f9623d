"""Make the plan of a file: read what was observed, judge it, plan."""

from datetime import datetime

from watchword.apps.observations import Reading, read_observations
from watchword.apps.settings.plans import PlanSettings
from watchword.plan.evidence import Circumstances, judge
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
        circumstances_of(settings, now),
    )
    return make_plan(settings.model, settings.catalogue, evidence, now, question, patience), reading


def circumstances_of(settings: PlanSettings, now: datetime) -> Circumstances:
    """Return what a plan's observations are judged against."""
    return Circumstances(
        now=now,
        max_age=settings.max_age,
        environment=settings.environment,
        builds=settings.builds,
        generations=settings.generations,
        apps=frozenset(settings.apps),
        routes=settings.routes,
    )
