"""Say whether a scan failed, by the conditions that ``--fail-on`` names."""

from collections.abc import Collection, Iterator
from typing import Final

from watchword.scan.baseline import Sorted
from watchword.scan.interface import Confidence, Finding, Severity, Verdict
from watchword.scan.outcome import Report, bad

CONDITIONS: Final = ("critical", "high", "medium", "low", "not-seen", "new")
"""What ``--fail-on`` may name.

A severity: a finding as severe or more counts, unless it is only possible: a guess by looks fails no build.  ``not-seen``: a part wasn't read, or a rule couldn't decide and nobody set that
aside.  ``new``: a finding counts that the baseline
doesn't know, of any severity above info.
"""

_NAMED: Final = 5


def failed(report: Report, found: Sorted, conditions: Collection[str]) -> tuple[str, ...]:
    """Return why a scan failed, a sentence each for people; empty where no condition holds.

    :raises ValueError: for a name that is no condition, which is a fault of ours.
    """
    unknown = sorted(set(conditions) - set(CONDITIONS))
    if unknown:
        raise ValueError(f"got {unknown}, expected some of {CONDITIONS}")
    return tuple(
        reason
        for name in CONDITIONS
        if name in conditions
        for reason in _holds(name, report, found)
    )


def _holds(condition: str, report: Report, found: Sorted) -> Iterator[str]:
    acted = [each for each in found.counting if bad(each)]
    if condition == "not-seen":
        undecided = [each for each in found.counting if each.verdict is Verdict.NOT_SEEN]
        if undecided or report.coverage.gaps or report.disagreements:
            yield _unseen(report, undecided)
    elif condition == "new":
        if acted:
            yield f"{_many(acted)} that the baseline doesn't know: {_names(acted)}."
    else:
        least = Severity(condition).rank
        severe = [
            each
            for each in acted
            if each.severity.rank >= least and each.confidence is not Confidence.POSSIBLE
        ]
        if severe:
            yield f"{_many(severe)} of severity {condition} or more: {_names(severe)}."


def _unseen(report: Report, undecided: list[Finding]) -> str:
    names = [each.where or each.part.value for each in report.coverage.gaps]
    names += [each.rule for each in undecided]
    if report.disagreements:
        names.append("two readers of the archive disagree")
    return f"Not all was seen: {_cut(list(dict.fromkeys(names)))}."


def _many(findings: list[Finding]) -> str:
    return f"{len(findings)} finding{'' if len(findings) == 1 else 's'}"


def _names(findings: list[Finding]) -> str:
    return _cut(list(dict.fromkeys(each.rule for each in findings)))


def _cut(names: list[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"{', '.join(names[:_NAMED])}{more}"
