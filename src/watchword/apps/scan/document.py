"""Model the JSON document of scans: it is written from reports, and read back strictly as far as two builds are compared by it.

What people read of it, and no build is compared by, is only written: those members are read without a look.
"""

from collections.abc import Callable, Sequence
from dataclasses import fields
from datetime import date
from typing import Annotated, Any, ClassVar, Final, TypeVar

from pydantic import (
    BaseModel,
    FailFast,
    Field,
    PlainSerializer,
    SkipValidation,
    ValidationError,
    WrapValidator,
    model_serializer,
    model_validator,
)
from pydantic_core import PydanticCustomError

from watchword import __version__
from watchword.apps.reports.text import shown
from watchword.apps.scan.report import MAX_REPORT, Scanned, secret_of
from watchword.encoding import strict_json
from watchword.encoding.phrases import NEWER
from watchword.observations import State
from watchword.reasons import MalformedError, WatchwordError
from watchword.scan import app, baseline, interface, outcome

VERSION: Final = 1
"""Form of the document; another number is another form, a new member isn't."""

KIND: Final = "watchword-scan"

MOST_ENTRIES: Final = 100
"""How many entries with code of one framework are listed; all are counted."""

_EXPECTED: Final = {
    "enum": "a word of this version's reports",
    "greater_than_equal": "a count",
    "int_type": "a count",
    "list_type": "a list",
    "string_type": "text",
}
"""What a document should hold, by the kind of fault; of any other kind it is an object."""


class ScanDocumentError(WatchwordError):
    """Report a document that isn't one of scans: where, what was got, what was expected."""


def _texts(value: Any, validated: Callable[[Any], list[str]]) -> list[str]:
    try:
        return validated(value)
    except ValidationError:
        raise PydanticCustomError("texts", "a list of texts") from None


Text = Annotated[str, Field(strict=True)]
Shown = Annotated[Text, PlainSerializer(shown)]
"""The app's own text, made printable, and cut where it is very long."""
Texts = Annotated[list[Text], WrapValidator(_texts)]
Count = Annotated[int, Field(strict=True, ge=0)]


class _Model(BaseModel):
    """Hold an object of the core by its attributes' names; a document has the aliases."""

    made_of: ClassVar[type]

    @model_validator(mode="before")
    @classmethod
    def _every_member(cls, given: Any) -> Any:
        """Take a member that isn't there for null, which is refused by what was expected of it."""
        if not isinstance(given, dict):
            return given
        required = (
            each.alias or name for name, each in cls.model_fields.items() if each.is_required()
        )
        return {**dict.fromkeys(required), **given}

    def made(self) -> Any:
        """Return the object."""
        names = [each.name for each in fields(self.made_of) if each.name in type(self).model_fields]
        return self.made_of(**{name: _made(getattr(self, name)) for name in names})


def _made(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(map(_made, value))
    return value.made() if isinstance(value, _Model) else value


class _Package(_Model):
    made_of = outcome.Package
    name: Shown = Field(alias="file")
    container: Text
    platform: Text
    digest: Text = Field(alias="sha256")
    size: Count
    id: Shown
    version: Shown
    natives: Count


class _Seen(_Model):
    made_of = app.Seen
    part: app.Part
    read: Count
    defined: Count
    unit: Text


class _Gap(_Model):
    made_of = app.Gap
    part: app.Part
    where: Shown
    why: Shown


class _Framework(_Model):
    made_of = app.FrameworkCode
    framework: app.Framework
    name: Text
    by: Shown
    files: SkipValidation[int] = 0
    entries: Annotated[list[Shown], WrapValidator(_texts)]
    depth: app.Depth = Field(alias="read")

    @model_serializer(mode="wrap")
    def _some_entries(self, written: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
        found = written(self)
        some = found["entries"][:MOST_ENTRIES]
        return {**found, "files": len(self.entries), "entries": some}


class _Disagreement(_Model):
    made_of = app.Disagreement
    entry: Shown
    what: Shown


class _Coverage(_Model):
    made_of = app.Coverage
    seen: Annotated[list[_Seen], FailFast()]
    gaps: Annotated[list[_Gap], FailFast()]
    frameworks: Annotated[list[_Framework], FailFast()] = []
    disagreements: Annotated[list[_Disagreement], FailFast()]


class _Location(_Model):
    made_of = interface.Location
    file: Shown = ""
    cls: Shown = Field("", alias="class")
    member: Shown = ""
    line: Count = 0

    @model_serializer(mode="wrap")
    def _without_empty(self, written: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
        return {name: value for name, value in written(self).items() if value}


class _Suppression(_Model):
    made_of = baseline.Suppression
    rule: Shown
    subject: Text
    owner: Shown
    reason: Shown
    expires: date


class _Secret(_Model):
    kind: Shown
    value: Text
    verified: bool
    redacted: bool


class _Finding(_Model):
    made_of = interface.Finding
    fingerprint: SkipValidation[str] = ""
    rule: Text
    verdict: interface.Verdict
    severity: interface.Severity
    confidence: interface.Confidence
    subject: Text
    title: Shown
    locations: Annotated[list[_Location], FailFast()]
    seen: Shown
    status: SkipValidation[str] = ""
    shown_secret: SkipValidation[_Secret | None] = Field(None, alias="secret")
    suppressed: SkipValidation[_Suppression | None] = None

    @model_serializer(mode="wrap")
    def _without_absent(self, written: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
        absent = {"secret", "suppressed"}
        members = written(self).items()
        return {name: value for name, value in members if value is not None or name not in absent}


class _Standing(_Model):
    made_of = outcome.Standing
    protection: Text
    key: Text
    state: State | None = None
    why: Shown
    rules: Texts


def _sorted(members: dict[str, Any]) -> dict[str, Any]:
    return dict(sorted(members.items()))


class _Rule(_Model):
    made_of = outcome.RuleFacts
    id: Text
    title: Text
    techniques: Texts
    protections: Annotated[dict[str, Any], PlainSerializer(_sorted)]
    todo: Text
    blind: Text


class _Suppressions(_Model):
    expired: list[_Suppression]
    unknown: list[_Suppression]


class _Scan(_Model):
    made_of = outcome.Report
    package: _Package
    seconds: SkipValidation[float] = 0.0
    partial: SkipValidation[bool] = False
    coverage: _Coverage
    findings: Annotated[list[_Finding], FailFast()]
    api: Annotated[list[_Finding], FailFast()]
    standings: Annotated[list[_Standing], FailFast()] = Field(alias="protections")
    rules: Annotated[list[_Rule], FailFast()]
    suppressions: SkipValidation[_Suppressions | None] = None

    def made(self) -> outcome.Report:
        """Return the report; how long it took is none of its findings."""
        names = ("package", "findings", "rules", "coverage", "standings", "api")
        members = {name: _made(getattr(self, name)) for name in names}
        return outcome.Report(**members, disagreements=_made(self.coverage.disagreements))


class _Tool(_Model):
    name: str = "watchword"
    version: str = __version__


class _Error(_Model):
    file: Shown
    error: Shown


class Document(_Model):
    """Hold the reports of scans, and the files that couldn't be scanned."""

    v: SkipValidation[int] = VERSION
    kind: SkipValidation[str] = KIND
    tool: SkipValidation[_Tool] = _Tool()
    scans: Annotated[list[_Scan], FailFast()]
    errors: SkipValidation[list[_Error]] = []


def document(
    scans: Sequence[Scanned], *, reveal: bool = False, errors: Sequence[tuple[str, str]] = ()
) -> dict[str, Any]:
    """Return the reports as JSON.

    Text of the app's is made printable, and cut where it is very long; but for subjects, by which suppressions name findings.

    :param reveal: whether secrets stand there whole.
    :param errors: the files that couldn't be scanned, and why.
    """
    found = Document(
        scans=[_scan(each, reveal=reveal) for each in scans],
        errors=[_Error(file=file, error=why) for file, why in errors],
    )
    return found.model_dump(mode="json", by_alias=True)


def _scan(each: Scanned, *, reveal: bool) -> _Scan:
    report, found = each.report, each.found

    def finding(one: interface.Finding) -> _Finding:
        """Return a finding with what isn't its own."""
        secret, by = one.secret, next((by for held, by in found.suppressed if held == one), None)
        more: dict[str, Any] = {
            "fingerprint": outcome.fingerprint(one),
            "status": each.status(one),
        }
        if secret is not None:
            more["shown_secret"] = _Secret(
                kind=secret.kind,
                value=secret_of(one, reveal=reveal),
                verified=secret.verified,
                redacted=not reveal,
            )
        if by is not None:
            more["suppressed"] = _of(_Suppression, by)
        return _of(_Finding, one).model_copy(update=more)

    seen = report.coverage
    return _Scan.model_construct(
        package=_of(_Package, report.package),
        seconds=round(report.seconds, 3),
        partial=report.partial,
        coverage=_of(
            _Coverage,
            {
                "seen": seen.seen,
                "gaps": seen.gaps,
                "frameworks": seen.frameworks,
                "disagreements": report.disagreements,
            },
        ),
        findings=[finding(one) for one in report.findings],
        api=[finding(one) for one in report.api],
        standings=[_of(_Standing, one) for one in report.standings],
        rules=[_of(_Rule, one) for one in report.rules],
        suppressions=_of(_Suppressions, found),
    )


_Made = TypeVar("_Made", bound=_Model)


def _of(model: type[_Made], given: object) -> _Made:
    """Return the model of an object of the core."""
    return model.model_validate(given, from_attributes=True, by_alias=False, by_name=True)


def reports_of(data: bytes) -> tuple[outcome.Report, ...]:
    """Return the reports in a document that ``watchword scan --json`` wrote; secrets are left out.

    :raises ScanDocumentError: when it isn't of that form, or larger than :data:`~watchword.apps.scan.report.MAX_REPORT`.
    """
    try:
        given = strict_json.loads(data, MAX_REPORT)
    except MalformedError as error:
        raise ScanDocumentError(error.refusals[0].detail) from None
    if given.get("kind") != KIND:
        raise _refused("kind", given.get("kind"), f"{KIND}, as `watchword scan --json` writes it")
    if given.get("v") != VERSION:
        got = given.get("v")
        newer = f": {NEWER}" if type(got) is int and got > VERSION else ""
        raise _refused("v", got, f"{VERSION}{newer}")
    try:
        found = Document.model_validate(given)
    except ValidationError as error:
        fault = error.errors(include_url=False, include_context=False)[0]
    else:
        return tuple(each.made() for each in found.scans)
    kind, got = fault["type"], fault["input"]
    expected = _EXPECTED.get(kind, "an object")
    if kind == "enum" and not isinstance(got, str):
        expected = "text"
    if kind == "texts":
        expected = fault["msg"]
    raise _refused(_where(fault["loc"]), got, expected)


def _where(place: tuple[int | str, ...]) -> str:
    """Return a place as a path; what was seen is named as if it stood beside the findings."""
    steps = [each for each in place[:-1] if each != "coverage"] + [place[-1]]
    return "".join(f"[{each}]" if isinstance(each, int) else f".{each}" for each in steps)


def _refused(where: str, got: object, expected: str) -> ScanDocumentError:
    said = "nothing" if got is None else ascii(got)[:40]
    return ScanDocumentError(f"{where.lstrip('.')}: got {said}, expected {expected}")
