"""Define findings and rules: what was looked for, what was seen, and what it opens in the plan."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from watchword.scan.app import App


class Verdict(StrEnum):
    """Say what a rule saw.

    ``exposed``: an attacker gets something, or a protection is missing where the app shows that it's needed.
    ``protected``: a protection is there.  ``absent``: it was looked for in all of the app and isn't there.
    ``not-seen``: it couldn't be looked for, or not everywhere.  ``told``: a fact, neither good nor bad.
    """

    EXPOSED = "exposed"
    PROTECTED = "protected"
    ABSENT = "absent"
    NOT_SEEN = "not-seen"
    INFO = "told"


class Severity(StrEnum):
    """Say what a finding opens, never how likely anybody uses it.

    ``critical``: data or accounts of many.  ``high``: a step that attacks on the API begin with.  ``medium``: one user's data, on
    his phone.  ``low``: makes reading or changing the app easier.  ``info``: nothing by itself.
    """

    CRITICAL = "critical"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"
    INFO = "info"

    @property
    def rank(self) -> int:
        """Return 4 for critical down to 0 for info."""
        return _RANKS[self]


_RANKS = {
    Severity.CRITICAL: 4,
    Severity.HIGH: 3,
    Severity.MEDIUM: 2,
    Severity.LOW: 1,
    Severity.INFO: 0,
}


class Confidence(StrEnum):
    """Say how firmly a rule knows.

    ``certain``: by structure, such as a checksum or a flag.  ``likely``: by what stands around it.
    ``possible``: by its looks.
    """

    CERTAIN = "certain"
    LIKELY = "likely"
    POSSIBLE = "possible"


@dataclass(frozen=True, slots=True, order=True)
class Location:
    """Hold where something is: an entry of the package or a file, a class and a member, a line; empty where there is none."""

    file: str = ""
    cls: str = ""
    member: str = ""
    line: int = 0

    def __str__(self) -> str:
        """Render as people read it."""
        code = ".".join(part for part in (self.cls, self.member) if part)
        where = f"{self.file}:{self.line}" if self.line else self.file
        return " ".join(part for part in (where, code) if part)


@dataclass(frozen=True, slots=True)
class Secret:
    """Hold a secret that was found; its value is in no repr.

    :param kind: such as ``github-token``.
    :param verified: its structure holds (a checksum, a parse); nobody was asked.
    """

    kind: str
    value: str = field(repr=False)
    verified: bool = False

    @property
    def redacted(self) -> str:
        """Return what may be shown: its first characters and its length."""
        shown = self.value[: min(4, len(self.value) // 4)]
        return f"{shown}... ({len(self.value)} characters)"


@dataclass(frozen=True, slots=True)
class Finding:
    """Hold one thing that a rule saw.

    :param rule: the rule's id.
    :param subject: what tells it from the rule's others and stays the same from build to build: a class, a host, a name;
        fingerprints are made of it.
    :param title: a line for people; holds no secret.
    :param seen: what the verdict rests on: "3 of 3 DEX files, 2,412 classes".
    """

    rule: str
    verdict: Verdict
    severity: Severity
    confidence: Confidence
    subject: str
    title: str
    locations: tuple[Location, ...] = ()
    seen: str = ""
    secret: Secret | None = None


class Telling(Protocol):
    """Stand for what any rule says of itself, be it over apps or over descriptions of APIs."""

    @property
    def id(self) -> str:
        """Return its id: lower case with hyphens; the name of its file with hyphens, and of its section in the docs."""

    @property
    def title(self) -> str:
        """Return a line that says what it looks for."""

    @property
    def techniques(self) -> tuple[str, ...]:
        """Return the techniques of the catalogue that what it finds is good for."""

    @property
    def protections(self) -> Mapping[str, str]:
        """Return by protection of the catalogue the key of evidence (``scan:static.…``, ``scan:api.…``) that this rule gives."""

    @property
    def todo(self) -> str:
        """Return what to do about what it finds."""

    @property
    def blind(self) -> str:
        """Return what it can't tell."""


class Rule(Telling, Protocol):
    """Look for one thing in an app."""

    def run(self, app: App) -> Iterable[Finding]:
        """Yield what it sees; at least one finding for each verdict that it can give, such as ``absent`` or ``not-seen``."""
