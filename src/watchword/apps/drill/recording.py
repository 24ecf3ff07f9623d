"""Turn what a run found into observations: dated, signed, bound to target, build and policy."""

from datetime import datetime

from watchword import __version__
from watchword.apps.observations.document import MAX_FINDINGS, MAX_TITLE
from watchword.drill.outcome import Finding, Report, Verdict
from watchword.observations import Observation, SeenRoute, State

_MAX_DETAIL = 1000
_MAX_ID = 64


def observations_of(
    report: Report, at: datetime, *, build: str | None, generation: str | None
) -> tuple[Observation, ...]:
    """Return an observation for each protection that the run says something of, on each route where a route decides it.

    :param at: when it was seen: the end of the run.
    :param build: SHA-256 in hex of the app's build that the genuine instance runs, None if that isn't known.
    :param generation: of the policy that was in force at the API.
    """
    return tuple(
        _observation(report, finding, finding.state, at, build, generation, route)
        for finding in report.findings
        if finding.state is not None
        for route in finding.routes or (None,)
    )


def _observation(
    report: Report,
    finding: Finding,
    state: State,
    at: datetime,
    build: str | None,
    generation: str | None,
    route: SeenRoute | None,
) -> Observation:
    return Observation(
        protection=finding.protection,
        key=finding.key,
        state=state,
        at=at,
        target=f"api:{report.facts.api}",
        source=f"watchword drill {__version__}",
        environment=report.facts.environment,
        loopback=report.loopback,
        build=build,
        generation=generation,
        detail=f"{report.target}: {finding.why}"[:_MAX_DETAIL],
        measured=finding.strengths,
        route=route,
        findings=_served(report, finding, route) if state is State.BROKEN else {},
    )


def _served(
    report: Report, finding: Finding, route: SeenRoute | None
) -> dict[str, tuple[str, str]]:
    """Return by id which variants were served that the protection has to stop, so that the next plan can tell which are new."""
    found = {}
    for result in report.results:
        if finding.protection not in result.attack.protections:
            continue
        for each in result.variants:
            ended = each.verdict if route is None else each.routes.get(route, each.verdict)
            if ended is Verdict.OPEN:
                title = f"{result.attack.title} ({each.name}): it was served"
                found[f"{result.attack.id}.{each.name}"[:_MAX_ID]] = ("high", title[:MAX_TITLE])
    return dict(list(found.items())[:MAX_FINDINGS])
