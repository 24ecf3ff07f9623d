"""Say whether a drill failed, by the conditions that ``--fail-on`` names."""

from collections.abc import Callable, Collection, Iterator, Mapping
from types import MappingProxyType
from typing import Final

from watchword.apps.drill.words import UNTRIED, genuine
from watchword.apps.reports.text import listed, shown
from watchword.drill.outcome import Report, Verdict
from watchword.encoding.wording import counted

_NAMED: Final = 5


def failed(report: Report, conditions: Collection[str]) -> list[str]:
    """Return why a drill failed, a sentence each for people; empty where no condition holds.

    An interrupted run fails as soon as anything was asked of it: what it didn't come to may have been open.

    :param conditions: names of :data:`CONDITIONS`; without any a drill never fails.
    :raises ValueError: for a name that isn't one, which is a fault of ours.
    """
    unknown = sorted(set(conditions) - CONDITIONS.keys())
    if unknown:
        raise ValueError(f"got {unknown}, expected some of {list(CONDITIONS)}")
    reasons = [
        reason
        for name, reasons_of in CONDITIONS.items()
        if name in conditions
        for reason in reasons_of(report)
    ]
    if conditions and report.interrupted:
        reasons.append("The run was interrupted: what didn't run may be open.")
    return reasons


def _open(report: Report) -> Iterator[str]:
    yield from _ended(report, Verdict.OPEN, "open: the API served it")


def _absent(report: Report) -> Iterator[str]:
    yield from _ended(report, Verdict.ABSENT, "absent: there is nothing that could stop it")


def _unsure(report: Report) -> Iterator[str]:
    yield from _ended(report, Verdict.UNSURE, "unsure: refused, but not for what it was made for")
    if report.changed:
        yield f"unsure: {report.changed}."


def _not_run(report: Report) -> Iterator[str]:
    """Yield attacks of which nothing ran, and variants that were left out of others."""
    yield from _ended(report, Verdict.NOT_RUN, "not run: something is missing")
    left_out = [
        f"{result.attack.id}/{each.name}"
        for result in report.results
        if result.verdict is not Verdict.NOT_RUN
        for each in result.variants
        if each.verdict is Verdict.NOT_RUN
    ]
    if left_out:
        yield f"{counted(len(left_out), 'variant')} not run: {listed(left_out, _NAMED)}."
    if report.facts.unasked:
        routes = listed([shown(each) for each in report.facts.unasked], _NAMED)
        yield f"No request falls on {routes}: nothing is proven there."


def _genuine(report: Report) -> Iterator[str]:
    """Yield where the genuine app wasn't served; that it is must be shown, so that no request is a fault too."""
    found = report.genuine
    if not found.sent or found.served < found.sent:
        faults = f" ({'; '.join(map(shown, found.faults[:_NAMED]))})" if found.faults else ""
        yield f"The genuine app wasn't always served: {genuine(report)}{faults}."
    for each in report.controls:
        if not each.served:
            yield f"The genuine app isn't served {shown(each.sample)}: {shown(each.got)}."


def _weak_route(report: Report) -> Iterator[str]:
    yield from report.facts.weak


def _nothing(report: Report) -> Iterator[str]:
    if all(each.verdict in UNTRIED for each in report.results):
        yield "No attack ran, so that the run says nothing."


def _ended(report: Report, verdict: Verdict, what: str) -> Iterator[str]:
    names = [each.attack.id for each in report.results if each.verdict is verdict]
    if names:
        yield f"{counted(len(names), 'attack')} {what}: {listed(names, _NAMED)}."


CONDITIONS: Final[Mapping[str, Callable[[Report], Iterator[str]]]] = MappingProxyType(
    {
        "open": _open,
        "absent": _absent,
        "unsure": _unsure,
        "not-run": _not_run,
        "genuine": _genuine,
        "nothing": _nothing,
        "weak-route": _weak_route,
    }
)
"""What ``--fail-on`` may name, and what says why it holds.

``open``: an attack was served.  ``absent``: what would have to stop one isn't there.  ``unsure``: one was refused for another reason.  ``not-run``: one, or a variant of one,
lacked something.  ``genuine``: the genuine app wasn't always served.  ``nothing``: no attack ran at all.
``weak-route``: a route lets pass what would harm an asset of the plan.
"""
