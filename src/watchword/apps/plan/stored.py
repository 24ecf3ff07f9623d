"""Read a plan's JSON document back, as far as two plans are compared by it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, NoReturn, TypeVar

from watchword.apps.plan.document import SCHEMA
from watchword.encoding import strict_json
from watchword.gate.interface import Route
from watchword.gate.routes import compile_route
from watchword.observations import State
from watchword.plan.catalogue.members import MAX_STRENGTH
from watchword.plan.enforcement import LimitRule, PinRule
from watchword.plan.interface import MAX_EFFORT, RouteRow
from watchword.plan.outcome import Action, Exposure, Phase
from watchword.reasons import MalformedError, WatchwordError
from watchword.scan.interface import Severity
from watchword.vocabulary import Environment, Level, Mode, Proof

MAX_BYTES: Final = 32 * 1024 * 1024
"""Most bytes of a plan in a file: one of 5,000 paths has about 8 MiB."""

_MAX_SHOWN: Final = 40
_Found = TypeVar("_Found")


class PlanDocumentError(WatchwordError):
    """Report a JSON document that isn't a plan: where, what was got, what was expected."""


@dataclass(frozen=True, slots=True)
class StoredItem:
    """Hold one item of a stored plan."""

    protection: str
    name: str
    place: int
    phase: Phase
    level: int
    effort: int
    action: Action
    interim: bool
    closes: frozenset[str]
    delays: frozenset[str]
    assets: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class StoredStanding:
    """Hold how an asset or a path stands in a stored plan; ``impact`` is that of the asset."""

    id: str
    impact: int
    now: Exposure
    after: Exposure


@dataclass(frozen=True, slots=True)
class StoredEvidence:
    """Hold what one standing of a stored plan rests on.

    :param at: when it was seen, None where nobody saw it.
    :param build: SHA-256 in hex of the build that was looked at, None where there is none.
    :param findings: what speaks against it, (severity, title) by id; None where the plan was stored before plans said so.
    """

    state: State
    at: datetime | None
    source: str
    why: str
    build: str | None = None
    findings: Mapping[str, tuple[str, str]] | None = None


@dataclass(frozen=True, slots=True)
class StoredMeasure:
    """Hold a measured strength of a stored plan."""

    stopped: int
    tried: int
    estimate: int
    strength: int
    target: str


@dataclass(frozen=True, slots=True)
class StoredPlan:
    """Hold what of a stored plan is compared.

    :param items: by protection; ``assets`` and ``paths`` by id.
    :param evidence: by (protection, target, key); on a route the target is ``api:NAME METHOD PATH``.
    :param made_at: when it was made.
    :param environment: that it was made for, None where it was stored before plans said so.
    :param changed: (id, member) of what the user's own catalogue changed, None where it was stored before plans said so.
    :param added: what was taken for proven in a what-if; :param removed: what was taken away.
    :param measured: by (protection, technique), None where it was stored before plans said so.
    :param routes: of the file, as are ``limits`` and ``pins``; None where it was stored before plans said so.
    """

    items: Mapping[str, StoredItem]
    assets: Mapping[str, StoredStanding]
    paths: Mapping[str, StoredStanding]
    evidence: Mapping[tuple[str, str, str], StoredEvidence]
    budget: int | None
    made_at: datetime
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    environment: Environment | None = None
    changed: frozenset[tuple[str, str]] | None = None
    measured: Mapping[tuple[str, str], StoredMeasure] | None = None
    routes: tuple[RouteRow, ...] | None = None
    limits: tuple[LimitRule, ...] | None = None
    pins: tuple[PinRule, ...] | None = None


def parse(data: bytes) -> dict[str, Any]:
    """Return the JSON object in the bytes of a file.

    :raises PlanDocumentError: when it is none, or larger than :data:`MAX_BYTES`.
    """
    try:
        return strict_json.loads(data, MAX_BYTES)
    except MalformedError as error:
        raise PlanDocumentError(error.refusals[0].detail) from None


def read(document: Mapping[str, Any]) -> StoredPlan:
    """Return the plan in a document.

    :raises PlanDocumentError: where it isn't of the form that ``watchword plan --json`` writes.
    """
    schema = document.get("schema")
    if schema != SCHEMA:
        _refuse("schema", schema, repr(SCHEMA))
    budget = document.get("budget")
    items = [_item(each) for each in _objects(document, "items")]
    # Plans that were stored before there was a what-if have none.
    asked = document.get("what_if", {"added": [], "removed": []})
    if not isinstance(asked, dict):
        _refuse("what_if", asked, "an object")
    what_if = _Field("what_if.", asked)
    return StoredPlan(
        items=_by_name("items", {}, [(each.protection, each) for each in items]),
        assets=_standings(document, "exposure", "asset"),
        paths=_standings(document, "paths", "id"),
        evidence=_evidence(document),
        budget=None if budget is None else _Field("", document).whole("budget", 0, 10**6),
        made_at=_Field("", document).time("made_at"),
        added=what_if.texts("added"),
        removed=what_if.texts("removed"),
        environment=_Field("", document).one_of("environment", Environment)
        if "environment" in document
        else None,
        changed=_changed(document) if "changed" in document else None,
        measured=_measured(document) if "measured" in document else None,
        routes=tuple(_routes(document)) if "routes" in document else None,
        limits=tuple(_limits(document)) if "limits" in document else None,
        pins=tuple(_pins(document)) if "pins" in document else None,
    )


def _changed(document: Mapping[str, Any]) -> frozenset[tuple[str, str]]:
    return frozenset(
        (each.text("id"), member)
        for each in _objects(document, "changed")
        for member in each.texts("members")
    )


def _measured(document: Mapping[str, Any]) -> dict[tuple[str, str], StoredMeasure]:
    return {
        (each.text("protection"), each.text("technique")): StoredMeasure(
            each.whole("stopped", 0, 10**6),
            each.whole("tried", 1, 10**6),
            each.whole("estimate", 0, MAX_STRENGTH),
            each.whole("strength", 0, MAX_STRENGTH),
            each.text("target"),
        )
        for each in _objects(document, "measured")
    }


@dataclass(frozen=True, slots=True)
class _Field:
    """Read members of one object, whose place in the document is known."""

    where: str
    members: Mapping[str, Any]

    def text(self, name: str) -> str:
        found = self.members.get(name)
        return found if isinstance(found, str) else self._refuse(name, "text")

    def flag(self, name: str) -> bool:
        found = self.members.get(name)
        return found if isinstance(found, bool) else self._refuse(name, "true or false")

    def whole(self, name: str, least: int, most: int) -> int:
        found = self.members.get(name)
        if isinstance(found, int) and not isinstance(found, bool) and least <= found <= most:
            return found
        return self._refuse(name, f"a whole number from {least} to {most}")

    def time(self, name: str) -> datetime:
        """Return a time in UTC."""
        try:
            found = datetime.fromisoformat(self.text(name))
            if found.tzinfo is not None:
                return found.astimezone(UTC)
        except (ValueError, OverflowError):
            pass  # Refused below, as what names no offset is.
        return self._refuse(name, "a time with its offset")

    def texts(self, name: str) -> tuple[str, ...]:
        found = self.members.get(name)
        if isinstance(found, list) and all(isinstance(each, str) for each in found):
            return tuple(found)
        return self._refuse(name, "a list of texts")

    def one_of(self, name: str, kind: type[_Found]) -> _Found:
        try:
            return kind(self.text(name))  # type: ignore[call-arg]
        except ValueError:
            names = ", ".join(str(each) for each in kind)  # type: ignore[attr-defined]
            return self._refuse(name, f"one of {names}")

    def _refuse(self, name: str, expected: str) -> NoReturn:
        _refuse(f"{self.where}{name}", self.members.get(name), expected)


def _objects(document: Mapping[str, Any], name: str, where: str = "") -> Iterator[_Field]:
    """Yield the objects of a list, each with its place."""
    found = document.get(name)
    if not isinstance(found, list):
        _refuse(f"{where}{name}", found, "a list")
    for number, each in enumerate(found):
        place = f"{where}{name}[{number}]"
        if not isinstance(each, dict):
            _refuse(place, each, "an object")
        yield _Field(f"{place}.", each)


def _item(found: _Field) -> StoredItem:
    return StoredItem(
        protection=found.text("protection"),
        name=found.text("name"),
        place=found.whole("place", 1, 10**6),
        phase=found.one_of("phase", Phase),
        level=found.whole("level", 0, 5),
        effort=found.whole("effort", 0, MAX_EFFORT),
        action=found.one_of("action", Action),
        interim=found.flag("interim"),
        closes=frozenset(found.texts("closes")),
        delays=frozenset(found.texts("delays")),
        assets=found.texts("assets"),
    )


def _standings(document: Mapping[str, Any], name: str, key: str) -> dict[str, StoredStanding]:
    rows = [
        StoredStanding(
            each.text(key),
            each.whole("impact", 1, 5),
            each.one_of("now", Exposure),
            each.one_of("after", Exposure),
        )
        for each in _objects(document, name)
    ]
    return _by_name(name, {}, [(each.id, each) for each in rows])


def _routes(document: Mapping[str, Any]) -> Iterator[RouteRow]:
    for each in _objects(document, "routes"):
        words = [each.text(name) for name in ("mode", "proof", "level")]
        yield RouteRow(each.text("api"), _pattern(each), each.texts("methods"), *words)


def _pattern(found: _Field) -> str:
    """Return the path of a row, which must be one that a table could have, or empty."""
    path = found.text("path")
    try:
        if path:
            compile_route(Route("", path, frozenset(), Level.NONE, Proof.BEARER, Mode.OFF))
    except ValueError:
        _refuse(f"{found.where}path", path, "the path of a route")
    return path


def _limits(document: Mapping[str, Any]) -> Iterator[LimitRule]:
    for each in _objects(document, "limits"):
        yield LimitRule(
            each.text("api"),
            each.text("name"),
            each.whole("requests", 1, 10**9),
            each.whole("seconds", 1, 10**8),
            each.texts("routes"),
            each.flag("enforced"),
            each.flag("narrowed"),
        )


def _pins(document: Mapping[str, Any]) -> Iterator[PinRule]:
    for each in _objects(document, "pins"):
        yield PinRule(each.text("host"), each.text("app"), each.flag("enforced"))


def _by_name(
    where: str, found: dict[str, _Found], rows: list[tuple[str, _Found]]
) -> dict[str, _Found]:
    """Return rows by name; refuse two of one name."""
    for number, (name, row) in enumerate(rows):
        if name in found:
            _refuse(f"{where}[{number}]", name, "each only once")
        found[name] = row
    return found


def _evidence(document: Mapping[str, Any]) -> dict[tuple[str, str, str], StoredEvidence]:
    """Return all evidence that the document names anywhere."""
    fields = [row for name in ("claims", "proven", "failing") for row in _objects(document, name)]
    for number, item in enumerate(_objects(document, "items")):
        fields.extend(_objects(item.members, "evidence", f"items[{number}]."))
    return {
        (each.text("protection"), target, each.text("key")): StoredEvidence(
            each.one_of("state", State),
            None if each.members.get("at") is None else each.time("at"),
            each.text("source"),
            each.text("why"),
            None if each.members.get("build") is None else each.text("build"),
            _findings(each) if "findings" in each.members else None,
        )
        for each in fields
        for target in _targets(each)
    }


def _findings(found: _Field) -> dict[str, tuple[str, str]]:
    return {
        each.text("id"): (each.one_of("severity", Severity).value, each.text("title"))
        for each in _objects(found.members, "findings", found.where)
    }


def _targets(standing: _Field) -> list[str]:
    """Return what a standing is on: its target, or each route there."""
    target = standing.text("target")
    # Plans that were stored before statements named routes have none.
    if "routes" not in standing.members:
        return [target]
    routes = _objects(standing.members, "routes", standing.where)
    return [f"{target} {each.text('method')} {each.text('path')}" for each in routes] or [target]


def _refuse(where: str, got: object, expected: str) -> NoReturn:
    shown = "nothing" if got is None else repr(got)
    if len(shown) > _MAX_SHOWN:
        shown = f"{shown[:_MAX_SHOWN]}..."
    raise PlanDocumentError(f"{where}: got {shown}, expected {expected}")
