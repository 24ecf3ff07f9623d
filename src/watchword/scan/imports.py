"""Read reports of other scanners; what they say is theirs, is told as such, and proves nothing here."""

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from watchword.reasons import WatchwordError
from watchword.scan.app import Coverage, Gap, Part
from watchword.scan.interface import Confidence, Finding, Location, Secret, Severity, Verdict
from watchword.scan.outcome import Package, Report, RuleFacts, ordered

MOST: Final = 20_000
"""How many findings of one report are taken over."""

MAX_TEXT: Final = 1_000
"""Most characters of a text that are taken over."""

_MAX_PLACES: Final = 20


class ImportedReportError(WatchwordError):
    """Report a document that isn't of the scanner that was expected: what was got, what was expected."""


@dataclass(slots=True)
class Foreign:
    """Collect what one report of another scanner says.

    :param source: the scanner, in lower case: it begins the ids of its rules.
    """

    source: str
    findings: list[Finding] = field(default_factory=list)
    titles: dict[str, str] = field(default_factory=dict)
    gaps: list[Gap] = field(default_factory=list)

    def add(
        self,
        rule: str,
        severity: Severity,
        title: str,
        *,
        subject: str = "",
        places: Iterable[Location] = (),
        good: bool = False,
        unseen: bool = False,
        secret: str | None = None,
    ) -> None:
        """Take a finding over; what is good for the app is only told, since nobody saw it here.

        :param subject: what tells it from the rule's others; the rule itself by default.
        :param unseen: whether the other scanner may not have looked at all.
        """
        if len(self.findings) >= MOST:
            return
        name = f"{self.source}:{rule[:MAX_TEXT] or 'unnamed'}"
        self.titles.setdefault(name, title[:MAX_TEXT])
        told = good or unseen or severity is Severity.INFO
        verdict = Verdict.INFO if told else Verdict.EXPOSED
        if unseen:
            title = f"{self.source} may not have looked, and says: {title}"
        self.findings.append(
            Finding(
                name,
                Verdict.NOT_SEEN if unseen else verdict,
                Severity.INFO if told else severity,
                Confidence.POSSIBLE,
                (subject or rule)[:MAX_TEXT],
                title[:MAX_TEXT],
                tuple(places)[:_MAX_PLACES],
                f"imported from {self.source}",
                None if secret is None else Secret(f"{self.source}-secret", secret),
            )
        )

    def missed(self, where: str, why: str) -> None:
        """Note what the other scanner didn't see, as far as it says so."""
        self.gaps.append(Gap(Part.ARCHIVE, where[:MAX_TEXT], why[:MAX_TEXT]))

    def report(self, package: Package) -> Report:
        """Return the report: always a partial one, for nobody says here how much was read."""
        whole = Gap(Part.ARCHIVE, "", f"imported: how much {self.source} read isn't told")
        more = [Gap(Part.ARCHIVE, "", "more findings than are taken over")]
        rules = [
            RuleFacts(
                name,
                title,
                (),
                {},
                "See the report that it was imported from.",
                "It was imported: nothing of it was seen here.",
            )
            for name, title in sorted(self.titles.items())
        ]
        cut = more if len(self.findings) >= MOST else []
        return Report(
            package, ordered(self.findings), tuple(rules), Coverage((), (whole, *self.gaps, *cut))
        )


def digest(text: str) -> str:
    """Return what stands for a secret in a subject: it must be the same in the next build, and not the secret."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:12]


def members(value: Any) -> Mapping[str, Any]:
    """Return a mapping with texts as keys, an empty one for anything else."""
    if not isinstance(value, Mapping):
        return {}
    return {key: each for key, each in value.items() if isinstance(key, str)}


def entries(value: Any) -> Sequence[Any]:
    """Return a list, an empty one for anything else."""
    return value if isinstance(value, list) else ()


def text(value: Any) -> str:
    """Return a text, an empty one for anything else."""
    return value if isinstance(value, str) else ""


_MOBSF_SEVERITIES: Final = {
    "high": Severity.HIGH,
    "warning": Severity.MEDIUM,
    "medium": Severity.MEDIUM,
    "low": Severity.LOW,
}
_GOOD: Final = frozenset({"secure", "good"})
_SHA256: Final = re.compile(r"[0-9a-fA-F]{64}")
_NAMED: Final = re.compile(r'\s*"([^"]{1,200})"\s*:\s*"(.*)"\s*', re.DOTALL)
_MARKS: Final = ("code_analysis", "manifest_analysis", "binary_analysis", "ats_analysis")


def is_mobsf(document: object) -> bool:
    """Tell whether a document looks like one of MobSF's."""
    found = members(document)
    return any(name in found for name in _MARKS) and ("app_name" in found or "md5" in found)


def read_mobsf(document: object) -> Report:
    """Return the report.

    :raises ImportedReportError: when it isn't one of MobSF's.
    """
    if not is_mobsf(document):
        raise ImportedReportError("got another document, expected a JSON report of MobSF")
    given = members(document)
    found = Foreign("mobsf")
    _code(found, members(given.get("code_analysis")))
    _listed(
        found,
        "manifest",
        entries(members(given.get("manifest_analysis")).get("manifest_findings")),
    )
    _listed(
        found,
        "network",
        entries(members(given.get("network_security")).get("network_findings")),
    )
    _listed(found, "ats", entries(members(given.get("ats_analysis")).get("ats_findings")))
    _certificates(found, given)
    _secrets(found, entries(given.get("secrets")))
    return found.report(_package(given))


def _package(given: Mapping[str, Any]) -> Package:
    digest_text = text(given.get("sha256"))
    ios = "bundle_id" in given
    return Package(
        name=text(given.get("file_name")) or text(given.get("app_name")) or "imported",
        container="imported",
        platform="ios" if ios else "android",
        digest=digest_text.lower() if _SHA256.fullmatch(digest_text) else "",
        size=0,
        id=text(given.get("bundle_id")) or text(given.get("package_name")),
        version=text(given.get("version_name")) or text(given.get("app_version")),
    )


def _severity(value: Any) -> tuple[Severity, bool]:
    word = text(value).lower()
    return _MOBSF_SEVERITIES.get(word, Severity.INFO), word in _GOOD


def _code(found: Foreign, analysis: Mapping[str, Any]) -> None:
    # Older reports have the findings at once, without the member around them.
    for rule, each in members(analysis.get("findings", analysis)).items():
        about = members(members(each).get("metadata"))
        severity, good = _severity(about.get("severity"))
        places = [
            Location(file=name, line=_line(lines))
            for name, lines in sorted(members(members(each).get("files")).items())
        ]
        title = text(about.get("description")) or rule
        if about:
            found.add(rule, severity, title, places=places, good=good)


def _line(lines: Any) -> int:
    """Return the first of lines, which stand there as ``12,40``."""
    first = text(lines).partition(",")[0].strip()
    return int(first) if first.isdecimal() and len(first) < 9 else 0


def _listed(found: Foreign, kind: str, findings: Any) -> None:
    for each in findings:
        one = members(each)
        severity, good = _severity(one.get("severity"))
        title = text(one.get("title")) or text(one.get("issue")) or text(one.get("description"))
        if not title:
            continue
        rule = text(one.get("rule")) or kind
        scope = one.get("scope")
        where = ", ".join(map(text, scope)) if isinstance(scope, list) else text(scope)
        named = [*map(text, entries(one.get("component"))), text(one.get("name")), where]
        subject = " ".join(filter(None, (*named, "" if one.get("rule") else title)))
        found.add(rule, severity, _plain(title), subject=_plain(subject), good=good)


def _plain(said: str) -> str:
    """Return text without the tags that MobSF puts into its lines."""
    return re.sub(r"<[^<>]{0,200}>", " ", said)


def _certificates(found: Foreign, given: Mapping[str, Any]) -> None:
    analysis = members(given.get("certificate_analysis"))
    for each in entries(analysis.get("certificate_findings")):
        words = [text(one) for one in entries(each)]
        if len(words) >= 2:
            severity, good = _severity(words[0])
            found.add("certificate", severity, words[1], subject=words[-1], good=good)


def _secrets(found: Foreign, secrets: Any) -> None:
    for each in map(text, secrets):
        match = _NAMED.fullmatch(each)
        name, value = (match[1], match[2]) if match else ("", each)
        if value:
            title = "MobSF takes a text of the app for a secret."
            found.add("secret", Severity.MEDIUM, title, subject=name or digest(value), secret=value)


_MOBSFSCAN_SEVERITIES: Final = {
    "ERROR": Severity.HIGH,
    "WARNING": Severity.MEDIUM,
}


def is_mobsfscan(document: object) -> bool:
    """Tell whether a document looks like one of mobsfscan's."""
    found = members(document)
    return isinstance(found.get("results"), dict) and (
        "mobsfscan_version" in found or "errors" in found
    )


def read_mobsfscan(document: object) -> Report:
    """Return the report.

    Where mobsfscan lists errors, such as that there is no semgrep, it may have matched nothing at all and yet list every protection as
    missing: what names no file is then told as not seen, and the errors are gaps.

    :raises ImportedReportError: when it isn't one of mobsfscan's.
    """
    if not is_mobsfscan(document):
        raise ImportedReportError("got another document, expected a JSON report of mobsfscan")
    given = members(document)
    found = Foreign("mobsfscan")
    errors = _errors(given)
    for each in errors:
        found.missed("mobsfscan", each)
    for rule, each in members(given["results"]).items():
        about = members(members(each).get("metadata"))
        severity = _MOBSFSCAN_SEVERITIES.get(text(about.get("severity")).upper(), Severity.INFO)
        places = [*filter(None, map(_place, entries(members(each).get("files"))))]
        title = text(about.get("description")) or rule
        unseen = bool(errors) and not places
        found.add(rule, severity, title, places=places, unseen=unseen)
    return found.report(Package("sources", "imported", "", "", 0))


def _errors(given: Mapping[str, Any]) -> list[str]:
    """Return what went wrong, a line each; a form that nobody knows, or none at all, isn't taken for success."""
    if "errors" not in given:
        return ["whether anything went wrong isn't told"]
    errors = given["errors"]
    if errors is None or errors in ([], {}, ""):
        return []
    return [_said(each) for each in (errors if isinstance(errors, list) else [errors])]


def _place(given: Any) -> Location | None:
    one = members(given)
    lines = entries(one.get("match_lines"))
    line = lines[0] if lines and type(lines[0]) is int and 0 < lines[0] < 10**9 else 0
    name = text(one.get("file_path"))
    return Location(file=name, line=line) if name else None


def _said(error: Any) -> str:
    """Return what an error says; its form differs by version."""
    one = members(error)
    words = (text(one.get(name)) for name in ("message", "long_msg", "short_msg", "type"))
    return text(error) or next(filter(None, words), "an error")
