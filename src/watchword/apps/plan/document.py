"""Define a plan's JSON document: one model writes it, reads it back strictly, and gives its JSON Schema.

``python -m scripts.plan_schema`` writes ``docs/plan.schema.json`` from it; texts below the members are its descriptions.
"""

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from enum import StrEnum
from functools import cached_property
from types import UnionType
from typing import (
    Annotated,
    Any,
    Final,
    Literal,
    TypeAlias,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    StrictBool,
    StrictStr,
    ValidationError,
    WithJsonSchema,
)
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import ErrorDetails

from watchword.encoding import strict_json
from watchword.encoding.phrases import NEWER
from watchword.encoding.phrases import moment as utc
from watchword.gate.hygiene import compile_route
from watchword.gate.interface import Route
from watchword.observations import State
from watchword.plan.catalogue import MAX_STRENGTH
from watchword.plan.evidence import shut_routes, weak_routes
from watchword.plan.interface import (
    MAX_EFFORT,
    Actor,
    Asset,
    AssetKind,
    Catalogue,
    Component,
    PathOrigin,
    RouteRow,
    Stage,
)
from watchword.plan.outcome import (
    Action,
    AssetState,
    Exposure,
    Item,
    Measure,
    PathState,
    Phase,
    Plan,
    Standing,
)
from watchword.reasons import MalformedError, WatchwordError
from watchword.scan.interface import Severity
from watchword.vocabulary import Environment, Level, Mode, Proof

SCHEMA: Final = "watchword-plan/1"
"""Form of the document; another number is another form."""

MAX_BYTES: Final = 32 * 1024 * 1024
"""Most bytes of a plan in a file: one of 5,000 paths has about 8 MiB."""

_MAX_SHOWN: Final = 40


class PlanDocumentError(WatchwordError):
    """Report a JSON document that isn't a plan: where, what was got, what was expected."""


def _moment(value: object) -> datetime:
    """Return a time in UTC, as it is written or as a plan has it."""
    try:
        found = datetime.fromisoformat(value) if isinstance(value, str) else value
        if isinstance(found, datetime) and found.tzinfo is not None:
            return found.astimezone(UTC)
    except (ValueError, OverflowError):
        pass  # Refused below, as what names no offset is.
    raise ValueError("a time with its offset")


def _pattern(path: str) -> str:
    """Return the path of a row, which must be one that a table could have, or empty."""
    if path:
        try:
            compile_route(Route("", path, frozenset(), Level.NONE, Proof.BEARER, Mode.OFF))
        except ValueError:
            raise ValueError("the path of a route") from None
    return path


Text: TypeAlias = StrictStr
Texts: TypeAlias = tuple[StrictStr, ...]
Some: TypeAlias = Annotated[tuple[StrictStr, ...], Field(min_length=1)]
Count: TypeAlias = Annotated[int, Field(strict=True, ge=0)]
Number: TypeAlias = Annotated[int, Field(strict=True, ge=1)]
Impact: TypeAlias = Annotated[int, Field(strict=True, ge=1, le=5)]
Strength: TypeAlias = Annotated[int, Field(strict=True, ge=0, le=MAX_STRENGTH)]
Stated: TypeAlias = Annotated[int, Field(strict=True, ge=1, le=MAX_STRENGTH)]
Digest: TypeAlias = Annotated[StrictStr, Field(pattern="^[0-9a-f]{64}$")]
Pattern: TypeAlias = Annotated[StrictStr, AfterValidator(_pattern)]
Moment: TypeAlias = Annotated[
    datetime,
    BeforeValidator(_moment),
    PlainSerializer(utc),
    WithJsonSchema({"type": "string", "description": "RFC 3339, in UTC: it ends with Z."}),
]


class _Members(BaseModel):
    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        from_attributes=True,
        use_attribute_docstrings=True,
        defer_build=True,
    )


class SeenRouteMembers(_Members):
    """What was asked for when a protection was seen on a route."""

    path: Text
    """Of the row of the route table."""
    method: Text
    proof: Proof


class FindingMembers(_Members):
    """What speaks against a protection."""

    id: Text
    severity: Severity
    title: Text


class StandingMembers(_Members):
    """How a protection stands at one target or on routes of it, and on what that rests."""

    protection: Text
    state: State
    target: Text
    """`api:NAME` or `app:NAME`."""
    key: Text
    at: Moment | None
    age: Annotated[int, Field(strict=True)] | None
    """Seconds since it was seen."""
    source: Text
    why: Text
    build: Digest | None
    """SHA-256 of the build that was looked at; null where none was."""
    findings: tuple[FindingMembers, ...]
    """What speaks against the protection there, the worst first; an id stays the same from build to build."""
    routes: tuple[SeenRouteMembers, ...]
    """On what of the API it stands so; empty where it does on all of it."""

    @property
    def places(self) -> list[str]:
        """Return what it is on: its target, or each route there, as ``api:NAME METHOD PATH``."""
        on = [f"{self.target} {each.method} {each.path}" for each in self.routes]
        return on or [self.target]

    @property
    def findings_by_id(self) -> dict[str, FindingMembers]:
        """Return what speaks against it by its id."""
        return {each.id: each for each in self.findings}


class ShareMembers(_Members):
    """What was measured of a cut."""

    stopped: Count
    tried: Number
    estimate: Stated


class CutMembers(_Members):
    """A step that an item acts on."""

    technique: Text
    strength: Strength
    measured: ShareMembers | None
    """What was measured in place of the estimate; null where nothing was."""
    paths: Texts


class SkippedMembers(_Members):
    """What follows if it is left out."""

    stays_open: Texts
    instead: Texts
    extra_effort: Count
    solved: StrictBool
    """False where there was no time to solve it again; the rest says nothing then."""
    uncut: Texts
    """Paths that stay closed, on which nothing else cuts where intelligence is gathered."""


class ChangeMembers(_Members):
    """The smallest single change that moves it."""

    what: Text
    place: Number | None
    size: Count


class StabilityMembers(_Members):
    """How firmly it stands when impacts and efforts are shaken."""

    draws: Count
    first: Count
    kept: Count
    smallest: ChangeMembers | None


class WaysMembers(_Members):
    """How many ways in these paths are: paths that differ only in how intelligence is gathered are one way in."""

    closes: Count
    delays: Count
    slows: Count


class ItemMembers(_Members):
    """One measure, in the order of work."""

    place: Number
    protection: Text
    """Its id, such as PR-B01."""
    name: Text
    about: Text
    component: Component
    phase: Phase
    level: Impact
    """The impact level that its phase serves; in hardening the highest it touches."""
    effort: Annotated[int, Field(strict=True, ge=1, le=MAX_EFFORT)]
    spent: Count
    """Effort of the list up to and with this item."""
    action: Action
    interim: StrictBool
    """It delays what nothing in this plan closes."""
    unclosed: Texts
    """Of `delays`, the paths that nothing in this plan closes, where it is interim."""
    why: Text
    closes: Texts
    """Paths that it newly cuts where the damage is done."""
    delays: Texts
    """Paths that it newly cuts where intelligence is gathered."""
    slows: Texts
    """Paths that it makes harder without cutting a step anew."""
    ways: WaysMembers
    cuts: tuple[CutMembers, ...]
    assets: Texts
    ties: tuple[Texts, ...]
    """Other sets that would do as well for the same effort."""
    together: Texts
    """Items without which an asset that it works for stays unclosed."""
    needed_for: Texts
    """Items that depend on it."""
    skipped: SkippedMembers
    does_not: Some
    """What it doesn't stop."""
    stability: StabilityMembers | None
    evidence: tuple[StandingMembers, ...]


class StepMembers(_Members):
    """One step of a path."""

    technique: Text
    name: Text
    component: Component | None
    stage: Stage | None


class CutByMembers(_Members):
    """Where a path is cut, and by what."""

    technique: Text
    protection: Text


class PathMembers(_Members):
    """One scenario."""

    id: Text
    asset: Text
    impact: Impact
    steps: Annotated[tuple[StepMembers, ...], Field(min_length=1)]
    origin: PathOrigin
    because: Text
    assumes: Texts
    now: Exposure
    after: Exposure
    closers: Texts
    """Protections of the catalogue that could close it."""
    cut_now: tuple[CutByMembers, ...]
    cut_after: tuple[CutByMembers, ...]
    way: Text
    """Its way in: the steps that do the damage, joined by >. Paths to one asset with the same way differ only in how intelligence is gathered."""


class QuantitiesMembers(_Members):
    """What stands behind an impact."""

    users: Count | None
    records: Count | None
    money: Text | None
    downtime: Text | None


class AssetMembers(_Members):
    """How an asset stands."""

    asset: Text
    """Its id."""
    kind: AssetKind
    impact: Impact
    because: Text
    now: Exposure
    after: Exposure
    paths: Count
    ways: Count
    """How many ways in these paths are."""
    actors: tuple[Actor, ...]
    """Who calls it."""
    lives_in: tuple[Component, ...]
    traits: Texts
    places: Texts
    routes: Texts
    quantities: QuantitiesMembers


class TallyMembers(_Members):
    """Assets by exposure at one impact level."""

    level: Impact
    open: Count
    delayed: Count
    closed: Count
    unreached: Count
    """Assets whose every path was struck."""


class ItemTalliesMembers(_Members):
    """Assets by exposure once the list up to and with an item is done."""

    place: Number
    protection: Text
    spent: Count
    levels: tuple[TallyMembers, ...]


class TalliesMembers(_Members):
    """Assets by exposure and impact level, now and after each item: the curve."""

    now: tuple[TallyMembers, ...]
    items: tuple[ItemTalliesMembers, ...]


class MeasureMembers(_Members):
    """How many ways to carry out a technique a protection stopped, and the strength that the plan takes from it."""

    protection: Text
    technique: Text
    stopped: Count
    tried: Number
    estimate: Stated
    """That the catalogue states."""
    strength: Strength
    target: Text
    """Where it was measured; of several the one where it came out least."""


class RouteMembers(_Members):
    """A row of an API's route table, as the file has it."""

    api: Text
    path: Pattern
    """Empty for a row that can't be read."""
    methods: Texts
    """Empty: all."""
    mode: Text
    proof: Text
    level: Text
    assets: Texts
    """Those that name it."""

    @property
    def row(self) -> RouteRow:
        """Return the row itself."""
        return RouteRow(self.api, self.path, self.methods, self.mode, self.proof, self.level)


class LimitMembers(_Members):
    """What one instance may send to an API."""

    api: Text
    name: Text
    requests: Number
    seconds: Number
    routes: Texts
    """Empty for all."""
    enforced: StrictBool
    narrowed: StrictBool
    """It holds for some versions of an app alone."""


class PinMembers(_Members):
    """A host that an app pins."""

    host: Text
    app: Text
    enforced: StrictBool


class ShutRouteMembers(_Members):
    """A row that refuses the partners whose asset names it."""

    api: Text
    path: Text
    methods: Texts
    """Empty: all."""
    assets: Some
    why: Text
    """Why they are refused, and what to write in its place."""


class WeakRouteMembers(_Members):
    """A row that lets pass what would harm an asset that names it."""

    api: Text
    path: Text
    """Empty for a row that can't be read."""
    methods: Texts
    """Empty: all."""
    assets: Some
    impact: Impact
    why: Text
    """What it leaves open, and what to write in its place."""


class ShortfallMembers(_Members):
    """A phase that the budget doesn't complete."""

    phase: Phase
    level: Impact
    left: Count
    needs: Count
    cheapest: Texts


class CheaperMembers(_Members):
    """A set that closes as much as the phases of prevention, for less in all."""

    protections: Texts
    effort: Count
    phases_effort: Count


class StruckMembers(_Members):
    """A derived path that the user took out."""

    path: Text
    asset: Text
    steps: Texts
    because: Text


class WhatIfMembers(_Members):
    """What was asked beside the evidence; where either list holds anything, this is no plan but an answer."""

    added: Texts
    """Taken for proven everywhere."""
    removed: Texts
    """Taken to be neither there nor to be had, with all that needs it."""


class ChangedMembers(_Members):
    """An entry of the shipped catalogue that a catalogue of the user's own changes, and which members."""

    id: Text
    members: Texts


class PlanDocument(_Members):
    """A plan of Watchword, as `watchword plan --json` writes it."""

    form: Literal["watchword-plan/1"] = Field(alias="schema")
    made_at: Moment
    environment: Environment
    """The world that it holds for: a plan for the lab says nothing of production."""
    unreadable: Count
    """Lines of observations that can't be read: what they say isn't in the plan."""
    changed: tuple[ChangedMembers, ...]
    what_if: WhatIfMembers
    budget: Count | None
    """Effort at most; null where none was given."""
    effort: Count
    """Of all items."""
    items: tuple[ItemMembers, ...]
    paths: tuple[PathMembers, ...]
    exposure: tuple[AssetMembers, ...]
    """One row an asset."""
    tallies: TalliesMembers
    claims: tuple[StandingMembers, ...]
    """Claimed by somebody, proven by nothing: to verify."""
    proven: tuple[StandingMembers, ...]
    failing: tuple[StandingMembers, ...]
    """Known to be absent or without effect at a place."""
    measured: tuple[MeasureMembers, ...]
    """Strengths that were measured where a proof counts, in place of estimates."""
    routes: tuple[RouteMembers, ...]
    """The rows of all route tables, by API and in the order of each."""
    limits: tuple[LimitMembers, ...]
    """What one instance may send by the file; the API's own rate is the one named rate."""
    pins: tuple[PinMembers, ...]
    """Hosts that apps pin by the file."""
    weak_routes: tuple[WeakRouteMembers, ...]
    """The highest impact first."""
    shut_routes: tuple[ShutRouteMembers, ...]
    """The highest impact first."""
    unclosable: Texts
    """Paths that no protection of the catalogue closes."""
    shortfalls: tuple[ShortfallMembers, ...]
    cheaper: CheaperMembers | None
    struck: tuple[StruckMembers, ...]
    """Derived paths that the user took out."""
    cut: Texts
    """What was left out to stay within limits, in words."""

    @cached_property
    def items_by_id(self) -> dict[str, ItemMembers]:
        """Return the items by their protection."""
        return {each.protection: each for each in self.items}

    @cached_property
    def assets_by_id(self) -> dict[str, AssetMembers]:
        """Return how each asset stands."""
        return {each.asset: each for each in self.exposure}

    @cached_property
    def paths_by_id(self) -> dict[str, PathMembers]:
        """Return how each path stands."""
        return {each.id: each for each in self.paths}

    @cached_property
    def evidence(self) -> dict[tuple[str, str, str], StandingMembers]:
        """Return all evidence that it names anywhere, by (protection, place, key)."""
        ours = (row for item in self.items for row in item.evidence)
        every = (*self.claims, *self.proven, *self.failing, *ours)
        return {(each.protection, at, each.key): each for each in every for at in each.places}


def document(plan: Plan) -> dict[str, Any]:
    """Return the plan as JSON; ``docs/plan.schema.json`` tells its form."""
    return members_of(plan).model_dump(mode="json", by_alias=True)


def members_of(plan: Plan) -> PlanDocument:
    """Return all that a plan says, in plain types and in a fixed order."""
    assets = plan.model.assets.values()
    return PlanDocument.model_validate(
        {
            "schema": SCHEMA,
            "made_at": plan.made_at,
            "environment": plan.environment,
            "unreadable": plan.unreadable,
            "changed": [
                {"id": name, "members": each} for name, each in plan.catalogue.changed.items()
            ],
            "what_if": {"added": plan.added, "removed": plan.removed},
            "budget": plan.budget,
            "effort": plan.effort,
            "items": [_item(each, plan) for each in plan.items],
            "paths": [_path(each, plan.catalogue) for each in plan.paths],
            "exposure": [_asset(each) for each in plan.assets],
            "tallies": {"now": plan.exposure, "items": [_tallies(each) for each in plan.items]},
            "claims": _standings(plan.claims),
            "proven": _standings(plan.proven),
            "failing": _standings(plan.failing),
            "measured": plan.measures,
            "routes": [_route(each, plan) for each in plan.routes],
            "limits": plan.limits,
            "pins": plan.pins,
            "weak_routes": [
                {**_row(each.row, each.assets), "impact": each.impact, "why": str(each)}
                for each in weak_routes(assets)
            ],
            "shut_routes": [
                {**_row(each.row, each.assets), "why": str(each)} for each in shut_routes(assets)
            ],
            "unclosable": plan.unclosable,
            "shortfalls": plan.shortfalls,
            "cheaper": plan.cheaper,
            "struck": [
                {
                    "path": each.path.id,
                    "asset": each.path.asset,
                    "steps": each.path.steps,
                    "because": each.because,
                }
                for each in plan.model.struck
            ],
            "cut": [*plan.model.cut, *(each for each in plan.cut if each not in plan.model.cut)],
        }
    )


def _item(item: Item, plan: Plan) -> dict[str, Any]:
    measures = {
        each.technique: each for each in plan.measures if each.protection == item.protection.id
    }
    own = ("name", "about", "component", "does_not")
    same = ItemMembers.model_fields.keys() - {"protection", "ways", "cuts", "evidence", *own}
    return {
        **{name: getattr(item, name) for name in same},
        **{name: getattr(item.protection, name) for name in own},
        "protection": item.protection.id,
        "ways": {
            name: sum(plan.catalogue.ways_in(getattr(item, name)).values())
            for name in ("closes", "delays", "slows")
        },
        "cuts": [
            {
                "technique": each.technique,
                "strength": each.strength,
                "measured": _share(measures.get(each.technique)),
                "paths": each.paths,
            }
            for each in item.cuts
        ],
        "evidence": _standings(item.evidence),
    }


def _share(found: Measure | None) -> dict[str, int] | None:
    if found is None:
        return None
    return {"stopped": found.stopped, "tried": found.tried, "estimate": found.estimate}


def _tallies(item: Item) -> dict[str, Any]:
    return {
        "place": item.place,
        "protection": item.protection.id,
        "spent": item.spent,
        "levels": item.exposure,
    }


def _path(state: PathState, catalogue: Catalogue) -> dict[str, Any]:
    path = state.path
    return {
        "id": path.id,
        "asset": path.asset,
        "impact": state.impact,
        "steps": [_step(each, catalogue) for each in path.steps],
        "origin": path.origin,
        "because": path.because,
        "assumes": sorted(each.value for each in path.assumes),
        "now": state.now,
        "after": state.after,
        "closers": state.closers,
        "cut_now": _cuts(state.cut_now),
        "cut_after": _cuts(state.cut_after),
        "way": ">".join(catalogue.way_in(path.id)[1]),
    }


def _step(technique: str, catalogue: Catalogue) -> dict[str, Any]:
    found = catalogue.techniques.get(technique)
    return {
        "technique": technique,
        "name": technique if found is None else found.name,
        "component": None if found is None else found.component,
        "stage": None if found is None else found.stage,
    }


def _cuts(cuts: Iterable[tuple[str, str]]) -> list[dict[str, str]]:
    return [{"technique": technique, "protection": protection} for technique, protection in cuts]


def _asset(state: AssetState) -> dict[str, Any]:
    asset = state.asset
    return {
        "asset": asset.id,
        "kind": asset.kind,
        "impact": asset.impact,
        "because": asset.because,
        "now": state.now,
        "after": state.after,
        "paths": state.paths,
        "ways": state.ways,
        "actors": sorted(asset.actors),
        "lives_in": sorted(asset.lives_in),
        "traits": sorted(each.value for each in asset.traits),
        "places": sorted(asset.places),
        "routes": asset.routes,
        "quantities": asset.quantities,
    }


def _row(row: RouteRow, assets: Iterable[Asset]) -> dict[str, Any]:
    return {
        "api": row.api,
        "path": row.path,
        "methods": row.methods,
        "assets": [each.id for each in assets],
    }


def _route(row: RouteRow, plan: Plan) -> dict[str, Any]:
    """Return a row of a route table, with the assets that name it."""
    named = [each for each in plan.model.assets.values() if each.routes and row in each.rows]
    rules = {"mode": row.mode, "proof": row.proof, "level": row.level}
    return {**_row(row, sorted(named, key=lambda each: each.id)), **rules}


def _standings(standings: Iterable[Standing]) -> list[dict[str, Any]]:
    same = StandingMembers.model_fields.keys() - {"findings"}
    return [
        {
            **{name: getattr(each, name) for name in same},
            "findings": [
                {"id": name, "severity": severity, "title": title}
                for name, (severity, title) in each.findings.items()
            ],
        }
        for each in standings
    ]


def parse(data: bytes) -> dict[str, Any]:
    """Return the JSON object in the bytes of a file.

    :raises PlanDocumentError: when it is none, or larger than :data:`MAX_BYTES`.
    """
    try:
        return strict_json.loads(data, MAX_BYTES)
    except MalformedError as error:
        expected = "expected what `watchword plan --json` writes"
        raise PlanDocumentError(f"{error.refusals[0].detail}: it is no plan; {expected}") from None


def read(members: Mapping[str, Any]) -> PlanDocument:
    """Return the plan in a document.

    :raises PlanDocumentError: where it isn't of the form that ``watchword plan --json`` writes.
    """
    try:
        found = PlanDocument.model_validate(members)
    except ValidationError as error:
        raise _told(members, error.errors(include_url=False)[0]) from None
    for name, ids in (
        ("items", [each.protection for each in found.items]),
        ("exposure", [each.asset for each in found.exposure]),
        ("paths", [each.id for each in found.paths]),
    ):
        seen: set[str] = set()
        for number, each in enumerate(ids):
            if each in seen:
                raise _refusal(f"{name}[{number}]", each, "each only once")
            seen.add(each)
    return found


def schema() -> dict[str, Any]:
    """Return the JSON Schema of the document."""
    found = PlanDocument.model_json_schema(mode="serialization", schema_generator=_Schema)
    return {"$schema": _Schema.schema_dialect, "$id": SCHEMA.replace("/", "-"), **found}


class _Schema(GenerateJsonSchema):
    """Leave out the titles of members, which say no more than their names."""

    def field_title_should_be_set(self, _schema: Any) -> bool:
        return False


_LATER: Final = re.compile(r"watchword-plan/([2-9]|[1-9][0-9]{1,5})")


def _told(members: Any, error: ErrorDetails) -> PlanDocumentError:
    """Say where a document is wrong, what was got and what was expected there."""
    kind: Any = PlanDocument
    where, got = "", members
    for part in error["loc"]:
        if isinstance(part, int):
            inner = get_args(_bare(kind))[0]
            if _bare(inner) is str:
                break  # A list of texts is told whole.
            where, got, kind = f"{where}[{part}]", got[part], inner
        else:
            hints = get_type_hints(_bare(kind), include_extras=True)
            where, got = f"{where}.{part}" if where else part, got.get(part)
            kind = hints.get("form" if part == "schema" else part)
    context = error.get("ctx", {})
    special = {
        "value_error": str(context.get("error")),
        "extra_forbidden": "no such member",
        "too_short": "at least one",
        "string_pattern_mismatch": "64 lower-case hex digits",
    }
    if where == "schema" and isinstance(got, str) and _LATER.fullmatch(got):
        special = {error["type"]: f"{SCHEMA!r}: {NEWER}"}
    return _refusal(where, got, special.get(error["type"]) or _expected(kind))


def _refusal(where: str, got: object, expected: str) -> PlanDocumentError:
    shown = "nothing" if got is None else repr(got)
    if len(shown) > _MAX_SHOWN:
        shown = f"{shown[:_MAX_SHOWN]}..."
    return PlanDocumentError(f"{where}: got {shown}, expected {expected}")


def _bare(kind: Any) -> Any:
    """Return a type without what is said of it, and without the None that may stand in its place."""
    while get_origin(kind) in {Annotated, Union, UnionType}:
        kind = get_args(kind)[0]
    return kind


def _expected(kind: Any) -> str:
    """Say what a member of a type may be."""
    bare = _bare(kind)
    if bare is int:
        limits = re.findall(r"[gl]e=([0-9]+)", repr(kind))
        return " ".join(
            ["a whole number", *map(" ".join, zip(("from", "to"), limits, strict=False))]
        )
    if get_origin(bare) is tuple:
        return "a list of texts" if _bare(get_args(bare)[0]) is str else "a list"
    if get_origin(bare) is Literal:
        return repr(*get_args(bare))
    if isinstance(bare, type) and issubclass(bare, StrEnum):
        return f"one of {', '.join(bare)}"
    return {str: "text", bool: "true or false"}.get(bare, "an object")
