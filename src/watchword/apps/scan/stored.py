"""Read the JSON document of scans back, strictly as far as two builds are compared by it."""

from collections.abc import Callable, Mapping
from typing import Any, Final, NoReturn, TypeVar

from watchword.apps.scan.document import KIND, VERSION
from watchword.encoding import strict_json
from watchword.observations import State
from watchword.reasons import MalformedError, WatchwordError
from watchword.scan.app import (
    Coverage,
    Depth,
    Disagreement,
    Framework,
    FrameworkCode,
    Gap,
    Part,
    Seen,
)
from watchword.scan.interface import Confidence, Finding, Location, Severity, Verdict
from watchword.scan.outcome import Package, Report, RuleFacts, Standing

MAX_BYTES: Final = 64 * 1024 * 1024
"""Most bytes of a document: a finding has about one KiB."""

_Read = TypeVar("_Read")


class ScanDocumentError(WatchwordError):
    """Report a document that isn't one of scans: where, what was got, what was expected."""


def reports_of(data: bytes) -> tuple[Report, ...]:
    """Return the reports in a document that ``watchword scan --json`` wrote; secrets are left out.

    :raises ScanDocumentError: when it isn't of that form, or larger than :data:`MAX_BYTES`.
    """
    try:
        document = strict_json.loads(data, MAX_BYTES)
    except MalformedError as error:
        raise ScanDocumentError(error.refusals[0].detail) from None
    if document.get("kind") != KIND:
        _refuse("kind", document.get("kind"), f"{KIND}, as `watchword scan --json` writes it")
    if document.get("v") != VERSION:
        _refuse("v", document.get("v"), str(VERSION))
    return _each(document, "scans", "", _report)


def _report(scan: Mapping[str, Any], at: str) -> Report:
    seen = _object(scan, "coverage", at)
    return Report(
        package=_package(_object(scan, "package", at), f"{at}.package"),
        findings=_each(scan, "findings", at, _finding),
        api=_each(scan, "api", at, _finding),
        rules=_each(scan, "rules", at, _rule),
        standings=_each(scan, "protections", at, _standing),
        coverage=Coverage(
            _each(seen, "seen", at, _seen),
            _each(seen, "gaps", at, _gap),
            _each(seen, "frameworks", at, _framework) if "frameworks" in seen else (),
        ),
        disagreements=_each(
            seen,
            "disagreements",
            at,
            lambda one, where: Disagreement(_text(one, "entry", where), _text(one, "what", where)),
        ),
    )


def _package(one: Mapping[str, Any], at: str) -> Package:
    names = ("file", "container", "platform", "sha256")
    name, container, platform, digest = (_text(one, each, at) for each in names)
    size, natives = _number(one, "size", at), _number(one, "natives", at)
    version = _text(one, "version", at)
    return Package(name, container, platform, digest, size, _text(one, "id", at), version, natives)


def _finding(one: Mapping[str, Any], at: str) -> Finding:
    return Finding(
        rule=_text(one, "rule", at),
        verdict=_word(Verdict, one, "verdict", at),
        severity=_word(Severity, one, "severity", at),
        confidence=_word(Confidence, one, "confidence", at),
        subject=_text(one, "subject", at),
        title=_text(one, "title", at),
        locations=_each(one, "locations", at, _location),
        seen=_text(one, "seen", at),
    )


def _location(one: Mapping[str, Any], at: str) -> Location:
    file, cls, member = (
        _text(one, name, at) if name in one else "" for name in ("file", "class", "member")
    )
    return Location(file, cls, member, _number(one, "line", at) if "line" in one else 0)


def _rule(one: Mapping[str, Any], at: str) -> RuleFacts:
    pairs = _object(one, "protections", at)
    name, title, todo, blind = (_text(one, each, at) for each in ("id", "title", "todo", "blind"))
    return RuleFacts(name, title, _texts(one, "techniques", at), dict(pairs), todo, blind)


def _standing(one: Mapping[str, Any], at: str) -> Standing:
    state = None if one.get("state") is None else _word(State, one, "state", at)
    protection, key, why = (_text(one, each, at) for each in ("protection", "key", "why"))
    return Standing(protection, key, state, why, _texts(one, "rules", at))


def _seen(one: Mapping[str, Any], at: str) -> Seen:
    read, defined = _number(one, "read", at), _number(one, "defined", at)
    return Seen(_word(Part, one, "part", at), read, defined, _text(one, "unit", at))


def _gap(one: Mapping[str, Any], at: str) -> Gap:
    return Gap(_word(Part, one, "part", at), _text(one, "where", at), _text(one, "why", at))


def _framework(one: Mapping[str, Any], at: str) -> FrameworkCode:
    return FrameworkCode(
        _word(Framework, one, "framework", at),
        _text(one, "name", at),
        _text(one, "by", at),
        _texts(one, "entries", at),
        _word(Depth, one, "read", at),
    )


def _each(
    members: Mapping[str, Any], name: str, at: str, read: Callable[[Mapping[str, Any], str], _Read]
) -> tuple[_Read, ...]:
    value = members.get(name)
    if not isinstance(value, list):
        _refuse(f"{at}.{name}", value, "a list")
    found = []
    for number, each in enumerate(value):
        where = f"{at}.{name}[{number}]".lstrip(".")
        if not isinstance(each, dict):
            _refuse(where, each, "an object")
        found.append(read(each, where))
    return tuple(found)


def _object(members: Mapping[str, Any], name: str, at: str) -> Mapping[str, Any]:
    value = members.get(name)
    if not isinstance(value, dict):
        _refuse(f"{at}.{name}", value, "an object")
    return value


def _text(members: Mapping[str, Any], name: str, at: str) -> str:
    value = members.get(name)
    if not isinstance(value, str):
        _refuse(f"{at}.{name}", value, "text")
    return value


def _texts(members: Mapping[str, Any], name: str, at: str) -> tuple[str, ...]:
    value = members.get(name)
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        _refuse(f"{at}.{name}", value, "a list of texts")
    return tuple(value)


def _number(members: Mapping[str, Any], name: str, at: str) -> int:
    value = members.get(name)
    if type(value) is not int or value < 0:
        _refuse(f"{at}.{name}", value, "a count")
    return value


def _word(words: Callable[[str], _Read], members: Mapping[str, Any], name: str, at: str) -> _Read:
    value = _text(members, name, at)
    try:
        return words(value)
    except ValueError:
        _refuse(f"{at}.{name}", value, "a word of this version's reports")


def _refuse(where: str, got: object, expected: str) -> NoReturn:
    said = "nothing" if got is None else ascii(got)[:40]
    raise ScanDocumentError(f"{where.lstrip('.')}: got {said}, expected {expected}")
