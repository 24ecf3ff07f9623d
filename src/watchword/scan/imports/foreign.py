"""Make findings of what another scanner says: marked by its name, never firmer than ``possible``."""

import hashlib
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
        verdict = Verdict.TOLD if told else Verdict.EXPOSED
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
