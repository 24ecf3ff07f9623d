"""Hold what a scan found: its findings in a stable order, what they say of protections, and how much was seen."""

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from watchword.observations import State
from watchword.scan.app import App, Coverage, Depth, Disagreement, Framework, Part
from watchword.scan.frameworks import unread_line
from watchword.scan.interface import Confidence, Finding, Location, Rule, Severity, Telling, Verdict

_NUMBER: Final = re.compile(r"\$([0-9]{1,6})(?![0-9A-Za-z_])")


def unnumbered(text: str) -> str:
    """Return a text without the numbers of anonymous classes."""
    return _NUMBER.sub("$", text) if "$" in text else text


def renumbered(findings: Sequence[Finding]) -> list[Finding]:
    """Return findings whose subjects number anonymous classes by their order among the rule's findings in that class alone.

    Where a finding is says its locations, by the numbers of the build.
    """
    ranks: dict[tuple[str, str], dict[str, int]] = {}
    for subject, rule in sorted(_anonymous(findings), key=_by_number):
        mine = ranks.setdefault((rule, unnumbered(subject)), {})
        mine.setdefault(subject, len(mine) + 1)
    return [_renumbered(each, ranks) for each in findings]


def _anonymous(findings: Iterable[Finding]) -> set[tuple[str, str]]:
    return {(each.subject, each.rule) for each in findings if _NUMBER.search(each.subject)}


def _by_number(one: tuple[str, str]) -> tuple[list[int], str]:
    return [int(number) for number in _NUMBER.findall(one[0])], one[0]


def _renumbered(finding: Finding, ranks: dict[tuple[str, str], dict[str, int]]) -> Finding:
    if not _NUMBER.search(finding.subject):
        return finding
    name = unnumbered(finding.subject)
    rank = ranks[finding.rule, name][finding.subject]
    # The last one gets the rank; of those around it, it doesn't matter which they were.
    at = [place.start() for place in _NUMBER.finditer(finding.subject)]
    head = unnumbered(finding.subject[: at[-1]])
    tail = _NUMBER.sub("", finding.subject[at[-1] :], count=1)
    return replace(finding, subject=f"{head}${rank}{tail}")


_DIGITS: Final = 32
"""Hex digits of a fingerprint: 128 bits, so that no two findings meet by chance."""

_VERDICTS: Final = (
    Verdict.EXPOSED,
    Verdict.ABSENT,
    Verdict.NOT_SEEN,
    Verdict.INFO,
    Verdict.PROTECTED,
)
_CONFIDENCES: Final = (Confidence.CERTAIN, Confidence.LIKELY, Confidence.POSSIBLE)


@dataclass(frozen=True, slots=True)
class Package:
    """Hold what was scanned.

    :param name: of the file; ``id`` is the package's name or the bundle's id, empty where it couldn't be read.
    :param digest: SHA-256 of the file in hex.
    :param size: bytes.
    :param natives: how many native libraries were read.
    """

    name: str
    container: str
    platform: str
    digest: str
    size: int
    id: str = ""
    version: str = ""
    natives: int = 0


@dataclass(frozen=True, slots=True)
class RuleFacts:
    """Hold what a report says of a rule that looked; ``protections`` maps each to its key of evidence."""

    id: str
    title: str
    techniques: tuple[str, ...]
    protections: Mapping[str, str]
    todo: str
    blind: str


AT_THE_SERVER: Final = frozenset({"PR-B03", "PR-B04", "PR-B06", "PR-B12"})
"""Protections that a server enforces: what their package shows is a claim, until a running server was asked (``live:``)."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Hold what a build says of one protection by one key of evidence.

    :param state: ``proven``, ``absent`` or ``broken``; None where it says nothing.
    :param rules: that give the key and looked, by id.
    """

    protection: str
    key: str
    state: State | None
    why: str
    rules: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """Hold the whole outcome for one app.

    :param findings: the worst first, each of one rule and subject once.
    :param api: findings on the description of the API, by operation, in the order of who looked.
    :param rules: of all that looked, and those of ``api``; in the order of their ids.
    :param seconds: that the scan took, reading included.
    """

    package: Package
    findings: tuple[Finding, ...]
    rules: tuple[RuleFacts, ...]
    coverage: Coverage
    standings: tuple[Standing, ...] = ()
    disagreements: tuple[Disagreement, ...] = ()
    api: tuple[Finding, ...] = ()
    seconds: float = 0.0

    @property
    def all_findings(self) -> tuple[Finding, ...]:
        """Return the findings on the app and on the API's description, the worst first."""
        return tuple(sorted((*self.findings, *self.api), key=order))

    @property
    def not_seen(self) -> tuple[Finding, ...]:
        """Return the findings that say that something couldn't be looked for."""
        return tuple(each for each in self.all_findings if each.verdict is Verdict.NOT_SEEN)

    @property
    def partial(self) -> bool:
        """Tell whether anything wasn't seen, so that the report is no clean bill."""
        return bool(
            self.not_seen or self.coverage.gaps or self.disagreements or self.coverage.hidden
        )

    def rule(self, name: str) -> RuleFacts | None:
        """Return the facts of a rule."""
        return next((each for each in self.rules if each.id == name), None)


def package_of(app: App) -> Package:
    """Return the facts of an app's package."""
    name, version = "", ""
    if app.manifest is not None:
        name, version = app.manifest.package, app.manifest.version_name or ""
    elif app.ios is not None:
        name, version = app.ios.bundle_id, app.ios.version or ""
    container, platform = app.container.value, app.platform.value
    return Package(
        app.name, container, platform, app.digest, app.size, name, version, len(app.natives)
    )


def facts_of(rule: Telling) -> RuleFacts:
    """Return what a report says of a rule."""
    return RuleFacts(
        rule.id, rule.title, rule.techniques, dict(rule.protections), rule.todo, rule.blind
    )


def fingerprint(finding: Finding) -> str:
    """Return what tells a finding from others in this build and the next: of rule and subject alone, in hex.

    Titles, places and secrets may change without it being another finding.
    """
    text = f"{finding.rule}\0{finding.subject}".encode("utf-8", "surrogatepass")
    return hashlib.sha256(text).hexdigest()[:_DIGITS]


def bad(finding: Finding) -> bool:
    """Tell whether a finding is something to act on: exposed or absent, and more than a note."""
    return (
        finding.verdict in {Verdict.EXPOSED, Verdict.ABSENT}
        and finding.severity is not Severity.INFO
    )


def order(finding: Finding) -> tuple[int, int, int, str, str]:
    """Return what findings are sorted by: the worst first, then a fixed order."""
    return (
        # A protection that's there and a fact aren't worse for what they would open.
        -finding.severity.rank if finding.verdict in _VERDICTS[:2] else 1,
        _VERDICTS.index(finding.verdict),
        _CONFIDENCES.index(finding.confidence),
        finding.rule,
        finding.subject,
    )


def ordered(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Return findings the worst first, and those of one rule and subject as one.

    The worst of them speaks; the places of those that say the same go along.
    """
    kept: dict[tuple[str, str], Finding] = {}
    for each in sorted(findings, key=_fixed):
        key = (each.rule, each.subject)
        first = kept.setdefault(key, each)
        if first is not each and first.verdict is each.verdict:
            kept[key] = replace(first, locations=_joined(first.locations, each.locations))
    return tuple(sorted(kept.values(), key=order))


def _fixed(
    finding: Finding,
) -> tuple[tuple[int, int, int, str, str], int, str, tuple[Location, ...], str, str]:
    """Return an order of findings in which no two different ones are alike."""
    value = "" if finding.secret is None else finding.secret.value
    rank = -finding.severity.rank
    return order(finding), rank, finding.title, finding.locations, finding.seen, value


def _joined(some: tuple[Location, ...], more: tuple[Location, ...]) -> tuple[Location, ...]:
    return tuple(dict.fromkeys((*some, *more)))


def standings_of(
    rules: Sequence[Rule],
    findings: Iterable[Finding],
    coverage: Coverage,
    disagreements: Sequence[Disagreement] = (),
    *,
    named: bool = True,
) -> tuple[Standing, ...]:
    """Return what findings say of each protection by each key, in a fixed order.

    A rule that yields nothing has no say: it is for another platform.  Of several rules on one key each must hold:
    the worst decides.

    :param findings: as the rules gave them, before any were joined.
    :param named: whether the package says its own name, without which nobody tells its code from that of libraries.
    """
    by_rule: dict[str, list[Finding]] = {}
    for each in findings:
        by_rule.setdefault(each.rule, []).append(each)
    said: dict[tuple[str, str], list[tuple[str, State | None, str]]] = {}
    for rule in rules:
        if rule.id in by_rule:
            state, why = _says(rule, by_rule[rule.id], coverage, disagreements)
            exposed = any(each.verdict is Verdict.EXPOSED for each in by_rule[rule.id])
            if state is not None and not named and (state is State.PROVEN or not exposed):
                state, why = (
                    None,
                    "What the package is called couldn't be read: which code is its own isn't known.",
                )
            for pair in rule.protections.items():
                said.setdefault(pair, []).append((rule.id, state, why))
    return tuple(
        _standing(protection, key, said[protection, key]) for protection, key in sorted(said)
    )


_WORST: Final = (State.BROKEN, State.ABSENT, None, State.PROVEN)


def _standing(protection: str, key: str, said: Sequence[tuple[str, State | None, str]]) -> Standing:
    state = min((each[1] for each in said), key=_WORST.index)
    whys = dict.fromkeys(why for _, found, why in said if found is state)
    return Standing(
        protection, key, state, " ".join(whys), tuple(sorted(name for name, _, _ in said))
    )


def _says(
    rule: Rule,
    findings: Sequence[Finding],
    coverage: Coverage,
    disagreements: Sequence[Disagreement],
) -> tuple[State | None, str]:
    """Return what one rule says of its protections, and why."""
    ranked = sorted(findings, key=order)
    exposed = [each for each in ranked if each.verdict is Verdict.EXPOSED and _firm(each)]
    there = [each for each in ranked if each.verdict is Verdict.PROTECTED]
    absent = [each for each in ranked if each.verdict is Verdict.ABSENT]
    unseen = [each for each in ranked if each.verdict is Verdict.NOT_SEEN]
    # What is low doesn't outweigh what is clean but for it; nor what would be, had all of it been seen.
    slight = bool(exposed) and exposed[0].severity.rank < Severity.MEDIUM.rank
    clean = bool(there) or (
        slight and any(each.confidence is Confidence.POSSIBLE for each in unseen)
    )
    if coverage.unread(_reads(rule)):
        # What isn't found may be in the code that wasn't read, whatever the rule made of it.
        absent, unsure = [], absent
    else:
        unsure = []
    if there and exposed and not slight:
        return State.BROKEN, exposed[0].title
    if not clean and (exposed or absent):
        return State.ABSENT, (exposed or absent)[0].title
    firm = [each for each in there if _firm(each)]
    unsure = [
        *unsure,
        *unseen,
        *([] if firm else there),
        *absent,
        *(each for each in ranked if each.verdict is Verdict.EXPOSED and not _firm(each)),
    ]
    if unsure or not firm:
        return None, _doubt([*([] if firm else exposed), *unsure])
    missed = _missed(rule, coverage, disagreements)
    return (None if missed else State.PROVEN), f"{firm[0].title}{missed}"


def _doubt(unsure: Sequence[Finding]) -> str:
    """Return why findings say nothing of a protection, by the first of them."""
    if not unsure:
        return "Nothing certain was seen."
    first = unsure[0]
    if first.verdict is Verdict.PROTECTED:
        return f"{first.title} By its looks alone, which proves nothing."
    if first.verdict is Verdict.EXPOSED and not _firm(first):
        return f"{first.title} That is possible, not certain."
    return first.title


def _missed(rule: Rule, coverage: Coverage, disagreements: Sequence[Disagreement]) -> str:
    """Return what keeps good news from proving anything; empty for nothing."""
    # A rule that doesn't say what it asks may have asked anything, and sees the code of no framework.
    parts: tuple[Part, ...] = getattr(rule, "parts", tuple(Part))
    if unread := unread_line(coverage, _reads(rule)):
        return f" But {unread}."
    if gaps := coverage.gaps_of(*parts):
        return f" But not all was seen: {gaps[0].where or gaps[0].part.value}."
    return " But two readers of the package see different things." if disagreements else ""


def _reads(rule: Rule) -> Mapping[Framework, Depth]:
    reads: Mapping[Framework, Depth] = getattr(rule, "reads", {})
    return reads


def _firm(finding: Finding) -> bool:
    """Tell whether a plan may rest on it: what only looks like something proves nothing, and accuses nobody."""
    return finding.confidence is not Confidence.POSSIBLE and (
        finding.severity is not Severity.INFO or finding.verdict is not Verdict.EXPOSED
    )
