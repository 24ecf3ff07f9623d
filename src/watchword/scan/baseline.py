"""Set aside findings that a team knows, those of a baseline and those that somebody answers for until a date, and say whether a scan failed."""

import difflib
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from watchword.encoding.phrases import NEWER
from watchword.reasons import WatchwordError
from watchword.scan.interface import Confidence, Finding, Severity, Verdict
from watchword.scan.outcome import Report, bad, fingerprint

VERSION: Final = 1
KIND: Final = "watchword-scan-baseline"
MARK: Final = f'"kind": "{KIND}"'
"""Stands in every baseline as it is written to a file, by which an earlier one is known."""

MAX_ENTRIES: Final = 100_000
"""Most fingerprints of a baseline, and most suppressions."""

MAX_TEXT: Final = 1_000
"""Most characters of one member of a suppression."""

_FINGERPRINT: Final = re.compile(r"[0-9a-f]{32}")
_NEEDED: Final = ("rule", "subject", "owner", "reason", "expires")


class BaselineError(WatchwordError):
    """Report a baseline or suppressions that aren't of their form: where, what was got, what was expected."""

    def __init__(self, where: str, got: str, expected: str) -> None:
        """Keep the place for the file's name to be put before it."""
        self.where = where
        super().__init__(f"{where}: got {got}, expected {expected}")


@dataclass(frozen=True, slots=True)
class Suppression:
    """Hold that somebody answers for a finding until the end of a day.

    :param subject: exactly as the report writes it.
    """

    rule: str
    subject: str
    owner: str
    reason: str
    expires: date


@dataclass(frozen=True, slots=True)
class Sorted:
    """Hold the findings of a report by whether they count.

    :param counting: what ``--fail-on`` looks at; ``new`` are those that no baseline knows.
    :param known: set aside by the baseline.
    :param suppressed: set aside by somebody.
    :param expired: suppressions that are over: their findings count again.
    :param unknown: suppressions that suit no finding.
    :param baselined: severity by fingerprint of what the baseline knows; None without one.
    """

    counting: tuple[Finding, ...]
    known: tuple[Finding, ...] = ()
    suppressed: tuple[tuple[Finding, Suppression], ...] = ()
    expired: tuple[Suppression, ...] = ()
    unknown: tuple[Suppression, ...] = ()
    baselined: Mapping[str, Severity] | None = None


def sort(
    report: Report,
    baseline: Mapping[str, Severity] | None,
    suppressions: Sequence[Suppression],
    today: date,
) -> Sorted:
    """Tell the findings that count from those that are set aside.

    What is to act on can be set aside, and that a rule couldn't decide.  Parts that nobody read can't: they are no findings.

    :param baseline: severity by fingerprint; a finding that is more severe now counts again, and so does one that was
        exposed and can't be decided now.  None for no baseline.
    """
    by_key = {(each.rule, each.subject): each for each in suppressions}
    counting: list[Finding] = []
    known: list[Finding] = []
    suppressed: list[tuple[Finding, Suppression]] = []
    met: set[tuple[str, str]] = set()
    for each in report.all_findings:
        key = (each.rule, each.subject)
        by = by_key.get(key) if _can_be_set_aside(each) else None
        if by is not None:
            met.add(key)
        before = None if baseline is None else baseline.get(fingerprint(each))
        if by is not None and by.expires >= today:
            suppressed.append((each, by))
        elif before is not None and _knows(before, each):
            known.append(each)
        else:
            counting.append(each)
    return Sorted(
        tuple(counting),
        tuple(known),
        tuple(suppressed),
        expired=tuple(each for key, each in by_key.items() if key in met and each.expires < today),
        unknown=tuple(each for key, each in by_key.items() if key not in met),
        baselined=baseline,
    )


def _undecided(finding: Finding) -> bool:
    return finding.verdict is Verdict.NOT_SEEN


def _can_be_set_aside(finding: Finding) -> bool:
    return bad(finding) or _undecided(finding)


def _knows(before: Severity, finding: Finding) -> bool:
    """Tell whether a baseline's entry is about what is found now; what couldn't be decided stands there as a note."""
    if _undecided(finding):
        return before is Severity.INFO
    return bad(finding) and finding.severity.rank <= before.rank


def to_baseline(reports: Iterable[Report]) -> dict[str, Any]:
    """Return the document that sets aside what these reports found."""
    found: dict[str, dict[str, str]] = {}
    for report in reports:
        for each in report.all_findings:
            if _can_be_set_aside(each):
                severity = Severity.INFO if _undecided(each) else each.severity
                entry = {"rule": each.rule, "subject": each.subject, "severity": severity.value}
                earlier = found.setdefault(fingerprint(each), entry)
                if severity.rank > Severity(earlier["severity"]).rank:
                    found[fingerprint(each)] = entry
    ordered = sorted(found.items(), key=lambda one: (one[1]["rule"], one[1]["subject"]))
    return {
        "v": VERSION,
        "kind": KIND,
        "findings": [{"fingerprint": key, **entry} for key, entry in ordered],
    }


def from_baseline(document: object) -> dict[str, Severity]:
    """Return severities by fingerprint.

    :raises BaselineError: where the document isn't one that :func:`to_baseline` makes.
    """
    if not isinstance(document, Mapping) or document.get("kind") != KIND:
        raise BaselineError("kind", "another document", KIND)
    version = document.get("v")
    if type(version) is not int or version != VERSION:
        newer = f": {NEWER}" if type(version) is int and version > VERSION else ""
        raise BaselineError("v", ascii(version)[:40], f"{VERSION}{newer}")
    found: dict[str, Severity] = {}
    for number, each in enumerate(_listed(document.get("findings"), "findings")):
        where = f"findings[{number}]"
        if not isinstance(each, Mapping):
            raise BaselineError(where, type(each).__name__, "an object")
        key, severity = each.get("fingerprint"), each.get("severity")
        if not isinstance(key, str) or not _FINGERPRINT.fullmatch(key):
            raise BaselineError(f"{where}.fingerprint", "something else", "32 digits in hex")
        if not isinstance(severity, str) or severity not in set(Severity):
            expected = ", ".join(Severity)
            raise BaselineError(f"{where}.severity", ascii(severity)[:40], f"one of {expected}")
        found[key] = Severity(severity)
    return found


def from_suppressions(document: object, rules: Iterable[str] = ()) -> tuple[Suppression, ...]:
    """Return the suppressions of a list, each with rule, subject, owner, reason and expires.

    :param rules: ids that are known; empty for any.
    :raises BaselineError: naming the entry that isn't of this form, or that stands there twice.
    """
    known = sorted(rules)
    found: dict[tuple[str, str], Suppression] = {}
    for number, each in enumerate(_listed(document, "the file")):
        one = _suppression(each, f"[{number}]")
        if known and one.rule not in known:
            near = difflib.get_close_matches(one.rule, known, n=1)
            expected = f"{near[0]}?" if near else "a rule; `watchword scan rules` lists them"
            raise BaselineError(f"[{number}].rule", ascii(one.rule)[:60], expected)
        if (one.rule, one.subject) in found:
            raise BaselineError(f"[{number}]", "a rule and subject again", "each once")
        found[one.rule, one.subject] = one
    return tuple(found.values())


def _suppression(entry: object, where: str) -> Suppression:
    if not isinstance(entry, Mapping):
        raise BaselineError(where, type(entry).__name__, f"an object with {', '.join(_NEEDED)}")
    for name in entry:
        if name not in _NEEDED:
            raise BaselineError(where, ascii(name)[:60], f"only {', '.join(_NEEDED)}")
    texts: dict[str, str] = {}
    for name in _NEEDED:
        value = entry.get(name)
        if name == "expires" and isinstance(value, date):
            value = value.isoformat()[:10]
        if not isinstance(value, str) or not value.strip() or len(value) > MAX_TEXT:
            got = "nothing" if value is None else "no text, or too much"
            raise BaselineError(f"{where}.{name}", got, f"text of 1 to {MAX_TEXT} characters")
        texts[name] = value
    try:
        ends = date.fromisoformat(texts["expires"])
    except ValueError:
        got = ascii(texts["expires"])[:40]
        raise BaselineError(f"{where}.expires", got, "a day such as 2027-03-31") from None
    return Suppression(texts["rule"], texts["subject"], texts["owner"], texts["reason"], ends)


def _listed(value: object, where: str) -> Sequence[object]:
    if not isinstance(value, list):
        raise BaselineError(where, type(value).__name__, "a list")
    if len(value) > MAX_ENTRIES:
        raise BaselineError(where, f"{len(value)} entries", f"at most {MAX_ENTRIES}")
    return value


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
