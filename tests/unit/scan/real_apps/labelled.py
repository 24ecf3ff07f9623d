"""Compare what the scan reports on real apps with the labels of people who judged each finding by the app alone.

``labels.json`` holds them by the SHA-256 of the app.  A label says of one finding of a rule whether it is ``true``: what it says is so in
this build, and the app's owner has a reason to act.  ``false`` is what isn't so, such as an address that no code calls; ``unsure`` is what
the app alone can't decide, and doesn't count.  ``missed`` is a weakness that is in the app and wasn't found when the labels were made; where
it's found later it counts as true.  An absent protection is judged by whether it is absent, and by whether the app does what it would protect.

A place is kept as a hash, so that the file holds nothing of an app: the first 24 hex digits of SHA-256 over the place as it's rendered, but
without a line, a zero byte and the finding's subject.  A finding without a place has the empty one.  Titles may change; a missed weakness whose
subject nobody knows is kept by its place alone.  ``beside`` holds places of the same finding that alone wouldn't make it true.
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any, Final

from tests.unit.scan.real_apps.known import APPS, report_of

from watchword.scan.interface import Finding, Location, Severity, Verdict
from watchword.scan.outcome import Report

LABELS: Final = Path(__file__).with_name("labels.json")
DIGITS: Final = 24


class Judgement(StrEnum):
    """Say what a person found of a finding."""

    TRUE = "true"
    FALSE = "false"
    UNSURE = "unsure"
    MISSED = "missed"


@dataclass(frozen=True, slots=True)
class Label:
    """Hold what was judged of one finding of an app.

    :param says: the verdict that was judged.
    :param at: hashes of its places.
    """

    rule: str
    says: Verdict
    judgement: Judgement
    reason: str
    at: frozenset[str]
    beside: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Tally:
    """Count findings of one rule, or of all, over all apps.

    :param held: true ones of the labels that are still found.
    :param lost: true ones of the labels that no finding tells any more.
    :param regained: missed ones that are found now.
    """

    true: int = 0
    false: int = 0
    unsure: int = 0
    unjudged: int = 0
    held: int = 0
    lost: int = 0
    regained: int = 0
    missed: int = 0

    def __add__(self, other: "Tally") -> "Tally":
        """Return the sum."""
        pairs = ((name, getattr(other, name)) for name in self.__slots__)
        return replace(self, **{name: getattr(self, name) + more for name, more in pairs})

    @property
    def judged(self) -> int:
        """Return how many findings count."""
        return self.true + self.false

    @property
    def precision(self) -> float:
        """Return the share of true ones among those that count; 1 where nothing was found."""
        return self.true / self.judged if self.judged else 1.0

    @property
    def weaknesses(self) -> int:
        """Return how many weaknesses the labels know, found or not."""
        return self.held + self.lost + self.regained + self.missed

    @property
    def recall(self) -> float:
        """Return the share of the known weaknesses that is found; 1 where none is known."""
        found = self.held + self.regained
        return found / self.weaknesses if self.weaknesses else 1.0


def read_labels(text: str) -> dict[str, tuple[Label, ...]]:
    """Return the labels by the SHA-256 of their app."""
    return {
        digest: tuple(_label(row) for row in rows)
        for digest, rows in json.loads(text)["apps"].items()
    }


def _label(row: dict[str, Any]) -> Label:
    return Label(
        row["rule"],
        Verdict(row["says"]),
        Judgement(row["verdict"]),
        row["reason"],
        frozenset(row["at"]),
        frozenset(row.get("beside", ())),
    )


@cache
def labels() -> dict[str, tuple[Label, ...]]:
    """Return the labels that are kept."""
    return read_labels(LABELS.read_text("utf-8"))


@cache
def labelled_apps() -> dict[str, str]:
    """Return the apps that lie beside the clone and are labelled: digest by file, relative to where they lie."""
    found = {
        str(path.relative_to(APPS)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(APPS.rglob("*"))
        if path.suffix in {".apk", ".aab", ".ipa"}
    }
    kept: dict[str, str] = {}
    for file, digest in found.items():
        if digest in labels() and digest not in kept.values():
            kept[file] = digest
    return kept


def place(location: Location | None, subject: str) -> str:
    """Return the hash of a place of a finding."""
    where = "" if location is None else str(replace(location, line=0))
    text = f"{where}\0{subject}".encode("utf-8", "surrogatepass")
    return hashlib.sha256(text).hexdigest()[:DIGITS]


def places(finding: Finding) -> frozenset[str]:
    """Return the hashes of a finding's places."""
    return frozenset(place(each, finding.subject) for each in finding.locations or (None,))


def _bare(finding: Finding) -> frozenset[str]:
    return frozenset(place(each, "") for each in finding.locations)


def counts(finding: Finding) -> bool:
    """Tell whether a finding is one that a person judges: exposed, or absent and more than a note."""
    return finding.verdict is Verdict.EXPOSED or (
        finding.verdict is Verdict.ABSENT and finding.severity is not Severity.INFO
    )


def judgement(finding: Finding, known: Iterable[Label]) -> Judgement | None:
    """Return what the labels say of a finding; None where nobody has judged it, or not all that a false one is found at."""
    own = [each for each in known if each.rule == finding.rule]
    at = places(finding)
    found = {each.judgement for each in own if each.at & at}
    missed = [each for each in own if each.judgement is Judgement.MISSED]
    if Judgement.TRUE in found or any(each.at & (at | _bare(finding)) for each in missed):
        return Judgement.TRUE
    if at - frozenset[str]().union(*(each.at | each.beside for each in own)):
        return None
    return Judgement.UNSURE if Judgement.UNSURE in found else Judgement.FALSE


def is_found(label: Label, findings: Iterable[Finding]) -> bool:
    """Tell whether a finding tells what a label knows.

    An absent protection may turn into one that couldn't be looked for: the scan says less then, and nothing that isn't so.
    """
    for each in findings:
        if each.rule != label.rule:
            continue
        if each.verdict in {Verdict.EXPOSED, Verdict.ABSENT}:
            at = places(each)
            if label.at & (at | _bare(each) if label.judgement is Judgement.MISSED else at):
                return True
        elif each.verdict is Verdict.NOT_SEEN and label.says is Verdict.ABSENT:
            return True
    return False


def tally(report: Report, known: Sequence[Label]) -> dict[str, Tally]:
    """Return what counts of one app, by rule."""
    told: dict[str, Tally] = {}

    def add(rule: str, **more: int) -> None:
        told[rule] = told.get(rule, Tally()) + Tally(**more)

    for finding in filter(counts, report.findings):
        judged = judgement(finding, known)
        add(finding.rule, **{"unjudged" if judged is None else judged.value: 1})
    for label in known:
        if label.judgement in {Judgement.TRUE, Judgement.MISSED}:
            there = is_found(label, report.findings)
            names = (
                ("held", "lost") if label.judgement is Judgement.TRUE else ("regained", "missed")
            )
            add(label.rule, **{names[not there]: 1})
    return told


def judged_by_rule() -> dict[str, Tally]:
    """Return what counts of all labelled apps that lie here, by rule in the order of their ids, and of all rules as ``all``."""
    told: dict[str, Tally] = {}
    for file, digest in labelled_apps().items():
        for rule, more in tally(report_of(file), labels()[digest]).items():
            told[rule] = told.get(rule, Tally()) + more
    total = sum(told.values(), Tally())
    return {**dict(sorted(told.items())), "all": total}
