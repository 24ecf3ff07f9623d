"""Write a drill as one HTML file that needs nothing else: no script, no style, font or picture from elsewhere."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from watchword.apps.drill import words
from watchword.apps.reports.text import shown
from watchword.drill.outcome import AttackResult, Finding, Report, Verdict
from watchword.encoding.wording import counted

MARK: Final = '<meta name="generator" content="Watchword drill">'
"""Stands in the head of every page, by which an earlier one is known when it is to be written over."""


@dataclass(frozen=True, slots=True)
class _Group:
    """Hold the attacks on one protection; without a finding, those that are on none."""

    finding: Finding | None
    name: str
    results: tuple[AttackResult, ...]


def page(report: Report, names: Mapping[str, str] = words.NO_NAMES) -> str:
    """Return the page: how the run ended on top, then the attacks by the protection that must stop them.

    :param names: of protections, by id, where they are known.
    """
    return (
        Environment(
            loader=PackageLoader("watchword.apps.drill", "."),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            finalize=_shown,
        )
        .get_template("report.html.j2")
        .render(
            report=report,
            words=words,
            mark=Markup(MARK),  # noqa: S704 - it is ours, and a constant.
            heading=_heading(report),
            groups=list(_groups(report, names)),
            missing=words.missing(report.results),
            counters=words.seen_by_counters(report.results),
        )
    )


def _shown(value: Any) -> Any:
    """Return what is put into the page: text on one line, without what turns or hides other text."""
    if isinstance(value, str) and not isinstance(value, Markup):
        return shown(value)
    return value


def _heading(report: Report) -> str:
    ran = sum(each.verdict not in words.UNTRIED for each in report.results)
    served, unsure = report.count(Verdict.OPEN), report.count(Verdict.UNSURE)
    absent = report.count(Verdict.ABSENT)
    if not ran:
        return "No attack ran"
    if served:
        return f"{served} of {counted(ran, 'attack')} got through"
    if unsure:
        return f"No attack got through, but {unsure} of {ran} prove nothing"
    if absent:
        return f"Nothing got through, but {counted(absent, 'attack')} would meet nothing that could stop it"
    return f"{counted(ran, 'attack')} ran, and nothing got through"


def _groups(report: Report, names: Mapping[str, str]) -> Iterator[_Group]:
    """Yield the attacks of each finding in the order of the report, the worst first, and then those of none."""
    grouped: set[str] = set()
    told: set[tuple[str, str]] = set()
    for finding in report.findings:
        results = [
            each
            for each in report.results
            if each.attack.protections.get(finding.protection) == finding.key
        ]
        grouped |= {each.attack.id for each in results}
        # What routes say apart of one protection rests on the same attacks: they stand under the first.
        if (finding.protection, finding.key) in told:
            results = []
        told.add((finding.protection, finding.key))
        yield _Group(finding, names.get(finding.protection, ""), _worst_first(results))
    rest = [each for each in report.results if each.attack.id not in grouped]
    if rest:
        yield _Group(None, "", _worst_first(rest))


def _worst_first(results: list[AttackResult]) -> tuple[AttackResult, ...]:
    return tuple(sorted(results, key=lambda each: words.WORST_FIRST.index(each.verdict)))
