"""Write a plan as a JSON document, and read it back as far as two plans are compared by it."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Final, NoReturn, TypeVar

from watchword.encoding import strict_json
from watchword.gate.interface import Route
from watchword.gate.routes import compile_route
from watchword.observations import State
from watchword.plan.catalogue import MAX_STRENGTH
from watchword.plan.interface import MAX_EFFORT, AttackPath, Catalogue, LimitRule, PinRule, RouteRow
from watchword.plan.outcome import (
    Action,
    AssetState,
    Exposure,
    Item,
    Measure,
    PathState,
    Phase,
    Plan,
    Skipped,
    Stability,
    Standing,
    Tally,
)
from watchword.plan.reliance import ShutRoute, WeakRoute, shut_routes, weak_routes
from watchword.reasons import MalformedError, WatchwordError
from watchword.scan.interface import Severity
from watchword.vocabulary import Environment, Level, Mode, Proof

SCHEMA: Final = "watchword-plan/1"
"""Form of the document; another number is another form."""


def document(plan: Plan) -> dict[str, Any]:
    """Return the plan as JSON; ``docs/plan.schema.json`` tells its form."""
    return {
        "schema": SCHEMA,
        "made_at": _time(plan.made_at),
        "environment": plan.environment.value,
        "unreadable": plan.unreadable,
        "changed": [
            {"id": name, "members": list(members)}
            for name, members in plan.catalogue.changed.items()
        ],
        "what_if": {"added": list(plan.added), "removed": list(plan.removed)},
        "budget": plan.budget,
        "effort": plan.effort,
        "items": [_document_item(each, plan) for each in plan.items],
        "paths": [_path(each, plan.catalogue) for each in plan.paths],
        "exposure": [_asset(each) for each in plan.assets],
        "tallies": {
            "now": _tallies(plan.exposure),
            "items": [
                {
                    "place": each.place,
                    "protection": each.protection.id,
                    "spent": each.spent,
                    "levels": _tallies(each.exposure),
                }
                for each in plan.items
            ],
        },
        "claims": [_standing(each) for each in plan.claims],
        "proven": [_standing(each) for each in plan.proven],
        "failing": [_standing(each) for each in plan.failing],
        "measured": [asdict(each) for each in plan.measures],
        "routes": [_route(each, plan) for each in plan.routes],
        "limits": [{**asdict(each), "routes": list(each.routes)} for each in plan.limits],
        "pins": [asdict(each) for each in plan.pins],
        "weak_routes": [_weak(each) for each in weak_routes(plan.model.assets.values())],
        "shut_routes": [_shut(each) for each in shut_routes(plan.model.assets.values())],
        "unclosable": list(plan.unclosable),
        "shortfalls": [
            {
                "phase": each.phase.value,
                "level": each.level,
                "left": each.left,
                "needs": each.needs,
                "cheapest": list(each.cheapest),
            }
            for each in plan.shortfalls
        ],
        "cheaper": None
        if plan.cheaper is None
        else {
            "protections": list(plan.cheaper.protections),
            "effort": plan.cheaper.effort,
            "phases_effort": plan.cheaper.phases_effort,
        },
        "struck": [{**_steps(each.path), "because": each.because} for each in plan.model.struck],
        "cut": [*plan.model.cut, *(each for each in plan.cut if each not in plan.model.cut)],
    }


def _document_item(item: Item, plan: Plan) -> dict[str, Any]:
    measures = {
        each.technique: each for each in plan.measures if each.protection == item.protection.id
    }
    return {
        "place": item.place,
        "protection": item.protection.id,
        "name": item.protection.name,
        "about": item.protection.about,
        "component": item.protection.component.value,
        "phase": item.phase.value,
        "level": item.level,
        "effort": item.effort,
        "spent": item.spent,
        "action": item.action.value,
        "interim": item.interim,
        "unclosed": list(item.unclosed),
        "why": item.why,
        "closes": list(item.closes),
        "delays": list(item.delays),
        "slows": list(item.slows),
        "ways": {
            name: sum(plan.catalogue.ways_in(paths).values())
            for name, paths in (
                ("closes", item.closes),
                ("delays", item.delays),
                ("slows", item.slows),
            )
        },
        "cuts": [
            {
                "technique": each.technique,
                "strength": each.strength,
                "measured": _share(measures.get(each.technique)),
                "paths": list(each.paths),
            }
            for each in item.cuts
        ],
        "assets": list(item.assets),
        "ties": [list(each) for each in item.ties],
        "together": list(item.together),
        "needed_for": list(item.needed_for),
        "skipped": _skipped(item.skipped),
        "does_not": list(item.protection.does_not),
        "stability": _stability(item.stability),
        "evidence": [_standing(each) for each in item.evidence],
    }


def _share(found: Measure | None) -> dict[str, int] | None:
    if found is None:
        return None
    return {"stopped": found.stopped, "tried": found.tried, "estimate": found.estimate}


def _skipped(found: Skipped) -> dict[str, Any]:
    return {
        "stays_open": list(found.stays_open),
        "instead": list(found.instead),
        "extra_effort": found.extra_effort,
        "solved": found.solved,
        "uncut": list(found.uncut),
    }


def _stability(found: Stability | None) -> dict[str, Any] | None:
    if found is None:
        return None
    smallest = found.smallest
    return {
        "draws": found.draws,
        "first": found.first,
        "kept": found.kept,
        "smallest": None
        if smallest is None
        else {"what": smallest.what, "place": smallest.place, "size": smallest.size},
    }


def _path(state: PathState, catalogue: Catalogue) -> dict[str, Any]:
    return {
        "id": state.path.id,
        "asset": state.path.asset,
        "impact": state.impact,
        "steps": [_step(each, catalogue) for each in state.path.steps],
        "origin": state.path.origin.value,
        "because": state.path.because,
        "assumes": sorted(each.value for each in state.path.assumes),
        "now": state.now.value,
        "after": state.after.value,
        "closers": list(state.closers),
        "cut_now": _cuts(state.cut_now),
        "cut_after": _cuts(state.cut_after),
        "way": ">".join(catalogue.way_in(state.path.id)[1]),
    }


def _step(technique: str, catalogue: Catalogue) -> dict[str, Any]:
    found = catalogue.techniques.get(technique)
    return {
        "technique": technique,
        "name": technique if found is None else found.name,
        "component": None if found is None else found.component.value,
        "stage": None if found is None else found.stage.value,
    }


def _cuts(cuts: Iterable[tuple[str, str]]) -> list[dict[str, str]]:
    return [{"technique": technique, "protection": protection} for technique, protection in cuts]


def _steps(path: AttackPath) -> dict[str, Any]:
    return {"path": path.id, "asset": path.asset, "steps": list(path.steps)}


def _asset(state: AssetState) -> dict[str, Any]:
    asset = state.asset
    quantities = asset.quantities
    return {
        "asset": asset.id,
        "kind": asset.kind.value,
        "impact": asset.impact,
        "because": asset.because,
        "now": state.now.value,
        "after": state.after.value,
        "paths": state.paths,
        "ways": state.ways,
        "actors": sorted(each.value for each in asset.actors),
        "lives_in": sorted(each.value for each in asset.lives_in),
        "traits": sorted(each.value for each in asset.traits),
        "places": sorted(asset.places),
        "routes": list(asset.routes),
        "quantities": {
            "users": quantities.users,
            "records": quantities.records,
            "money": quantities.money,
            "downtime": quantities.downtime,
        },
    }


def _row(row: RouteRow) -> dict[str, Any]:
    return {"api": row.api, "path": row.path, "methods": list(row.methods)}


def _weak(found: WeakRoute) -> dict[str, Any]:
    return {
        **_row(found.row),
        "assets": [asset.id for asset in found.assets],
        "impact": found.impact,
        "why": str(found),
    }


def _shut(found: ShutRoute) -> dict[str, Any]:
    return {
        **_row(found.row),
        "assets": [asset.id for asset in found.assets],
        "why": str(found),
    }


def _route(row: RouteRow, plan: Plan) -> dict[str, Any]:
    """Return a row of a route table, with the assets that name it."""
    named = [each.id for each in plan.model.assets.values() if each.routes and row in each.rows]
    return {
        **_row(row),
        "mode": row.mode,
        "proof": row.proof,
        "level": row.level,
        "assets": sorted(named),
    }


def _tallies(tallies: Iterable[Tally]) -> list[dict[str, int]]:
    return [
        {
            "level": each.level,
            "open": each.open,
            "delayed": each.delayed,
            "closed": each.closed,
            "unreached": each.unreached,
        }
        for each in tallies
    ]


def _standing(found: Standing) -> dict[str, Any]:
    return {
        "protection": found.protection,
        "state": found.state.value,
        "target": found.target,
        "key": found.key,
        "at": None if found.at is None else _time(found.at),
        "age": found.age,
        "source": found.source,
        "why": found.why,
        "build": found.build,
        "findings": [
            {"id": name, "severity": severity, "title": title}
            for name, (severity, title) in found.findings.items()
        ],
        "routes": [
            {"path": each.path, "method": each.method, "proof": each.proof.value}
            for each in found.routes
        ],
    }


def _time(at: datetime) -> str:
    return at.isoformat()


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
    items = [_stored_item(each) for each in _objects(document, "items")]
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


def _stored_item(found: _Field) -> StoredItem:
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
