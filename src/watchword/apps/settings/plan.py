"""Read the ``plan`` section: what is protected, who may prove something, and which paths are planned for.

Of the file's other sections it reads what the plan hangs on, as nobody has checked it: faults there are for `watchword check`.
"""

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from pydantic import ValidationError

from watchword.adapters.system import SystemClock
from watchword.apps.settings.document import Document, Inconsistency, mapping_at, read_document
from watchword.apps.settings.faults import ConfigurationError, Fault, shown
from watchword.apps.settings.plan_section import (
    AssetConfig,
    ObserverConfig,
    PlanConfig,
    likelihoods,
)
from watchword.apps.settings.sections import (
    SECTIONS,
    Config,
    Configuration,
    LimitConfig,
    RateConfig,
    RouteConfig,
    known_keys,
)
from watchword.encoding import strict_json
from watchword.gate.hygiene import ANY_SEGMENT, CompiledRoute, compile_route
from watchword.gate.interface import RATE, Route
from watchword.gate.spellings import fold
from watchword.observations import Vouched
from watchword.plan.catalogue import load_catalogue, merge
from watchword.plan.evidence import Circumstances, newest_builds
from watchword.plan.interface import (
    Actor,
    Asset,
    AssetKind,
    Catalogue,
    Component,
    LimitRule,
    Model,
    PinRule,
    RouteRow,
    Scenarios,
    Trait,
)
from watchword.plan.threat_model import build_model
from watchword.reasons import MalformedError
from watchword.vocabulary import Environment, Level, Mode, Proof

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

FOR_THE_PLAN_ALONE: Final = frozenset({"version", "environment", "plan"})
"""Keys of a file that is written for `watchword plan` and starts nothing."""

MAX_KEY_BYTES: Final = 4096
"""Most bytes of a key file; a public JWK on P-256 has about 130."""

_Entry = TypeVar("_Entry", bound=Config)

_MISSING: Final = (
    "a file; `watchword init` writes one, and `watchword plan init` one for the plan alone"
)

_UNREADABLE: Final = "unreadable"
"""Generation of an API whose section is none: no observation's, so that no proof of it counts."""

_STATE: Final = ".watchword"
_OBSERVATIONS: Final = "observations.jsonl"

_SETS: Final = frozenset({"signing_digests"})
"""Lists of an app's section in which the order decides nothing."""

_EVERYTHING: Final = "/**"
_WORDS: Final = ("mode", "proof", "level")
_SOME: Final = frozenset({"SOME"})
"""Stands for methods that are named: such a route leaves some requests to the routes behind it."""

_ABOUT_THE_KEY: Final = frozenset({"kid", "alg", "use", "key_ops"})
"""Members that say something of a key and aren't part of it (RFC 7517 section 4)."""

_PRIVATE: Final = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
"""Members that only private and secret keys have (RFC 7518 section 6)."""

_EXPECTED: Final = "a file with a public JWK: kty EC, crv P-256, x and y"
_READABLE: Final = "a file that can be read"
_PRIVATE_KEY: Final = (
    "a private key",
    "the public key of that observer; its private key stays with the observer alone",
)


@dataclass(frozen=True, slots=True)
class PlanSettings:
    """Hold what the plan is made from.

    :param path: the file, absolute.
    :param catalogue: ours, with the user's own merged in.
    :param assets: by name, in the order of the file; ``model`` holds those that are planned for.
    :param observations: the file with what was observed; it may not be there yet.
    :param observers: public keys by name; only what they signed proves anything.
    :param max_age: how old a proof still counts.
    :param builds: SHA-256 in lower-case hex of the current build, by app.
    :param generations: policy generation by API, see :func:`generation_of`.
    :param apps: by name of the apps of the file, their platform and their package or bundle id, empty where it isn't stated.
    :param routes: by API the rows of its route table, in the order of the file.
    :param limits: of all APIs; ``pins``: which app pins which host.
    :param budget: units of effort, None for no limit.
    """

    path: Path
    environment: Environment
    catalogue: Catalogue
    assets: Mapping[str, Asset]
    scenarios: Scenarios
    model: Model
    observations: Path
    observers: Mapping[str, "EllipticCurvePublicKey"]
    max_age: timedelta
    builds: Mapping[str, str]
    generations: Mapping[str, str]
    apps: Mapping[str, tuple[str, str]]
    routes: Mapping[str, tuple[RouteRow, ...]]
    limits: tuple[LimitRule, ...]
    pins: tuple[PinRule, ...]
    budget: int | None

    def circumstances(self, now: datetime, vouched: Iterable[Vouched] = ()) -> Circumstances:
        """Return what the plan's observations are judged against.

        :param vouched: all that somebody vouches for: the newest scan of an app says which build it is.
        """
        return Circumstances(
            now=now,
            max_age=self.max_age,
            environment=self.environment,
            builds=self.builds,
            generations=self.generations,
            apps=frozenset(self.apps),
            scanned=newest_builds(vouched, now, self.environment),
            routes=self.routes,
        )


@dataclass(frozen=True, slots=True)
class Table:
    """Hold the route table of one API, row by row, each with what it matches.

    :param case_sensitive: whether the API tells paths apart by case; else an asset is reached by each spelling of its path.
    """

    rows: tuple[RouteRow, ...]
    compiled: tuple[CompiledRoute, ...]
    case_sensitive: bool = False

    def reached(self, pattern: str) -> Iterator[RouteRow]:
        """Yield each row that some request of a pattern comes to: what an earlier one covers whole comes to no later one."""
        wanted = _compiled(pattern) or _everything(frozenset())
        for row, matched in zip(self.rows, self.compiled, strict=True):
            if _overlap(matched, wanted, str if self.case_sensitive else fold):
                yield row
            if matched.covers(wanted):
                return

    def nearest(self, pattern: str) -> str:
        """Return the pattern that looks most like this one; empty where none does."""
        paths = [row.path for row in self.rows]
        return next(iter(get_close_matches(pattern, paths, n=1)), "")


def load_plan(file: Path) -> PlanSettings:
    """Read the plan section of a file, and of the rest only what the plan hangs on.

    Faults in other sections are for `watchword check` and `watchword up`.

    :raises ConfigurationError: with every fault at once; faults in a catalogue of the user's own
        come with that file, once this one has none.
    """
    return plan_of(Configuration.read(file, missing=_MISSING))


def plan_of(file: Configuration, today: date | None = None) -> PlanSettings:
    """Return the plan of a file that was read.

    :param today: in UTC, by which accepted risks end; None asks the system's clock.
    :raises ConfigurationError: as :func:`load_plan` does.
    """
    document, data = file.document, file.data
    if "plan" not in data and (key := next((k for k in ("openapi", "swagger") if k in data), "")):
        expected = "a plan; `watchword plan init --openapi` drafts one from it"
        found = [((key,), "a description of an API", expected)]
        raise ConfigurationError(file.file, document.located(found))
    faults = [fault for fault in document.faults if _concerns_plan(fault)]
    faults += document.located(_head_faults(document))
    faults += document.located(likelihoods(data.get("plan"), ("plan",)))
    told = {fault.path for fault in faults}
    written: PlanConfig | None = None
    if data.get("plan") is not None:
        written, wrong = file.section(PlanConfig, "plan", told)
        faults += wrong
    elif "" not in told:
        expected = "what would hurt to lose, under plan.assets"
        faults += document.located([(("plan",), "nothing", expected)])
    keys, between = _between(file, written)
    faults += document.located(between)
    own, trouble = _own_catalogue(file, written)
    if trouble is not None:
        faults += document.located([trouble])
    if written is None or trouble is not None:
        raise ConfigurationError(file.file, faults)
    return _modelled(file, written, keys, own, faults, today or SystemClock().now().date())


def _modelled(
    file: Configuration,
    written: PlanConfig,
    keys: Mapping[str, "EllipticCurvePublicKey"],
    own: Path | None,
    faults: list[Fault],
    today: date,
) -> PlanSettings:
    """Return the plan of a section that is well formed.

    :param faults: what was found between the sections: told together with those of the model.
    """
    data, tables, catalogue = file.data, tables_of(file.data), load_catalogue()
    if own is not None:
        catalogue, wrong = with_own(catalogue, own)
        if wrong:
            raise ConfigurationError(*(file.file, faults) if faults else (own, wrong))
    assets = {
        name: _asset(name, each, data.get("apis"), rows_of(each, tables))
        for name, each in written.assets.items()
    }
    scenarios = written.scenarios.build()
    model, in_model = build_model(catalogue, assets, scenarios, today)
    faults += file.document.located(
        (("plan", *each.where), each.got, each.expected) for each in in_model
    )
    if model is None or faults:
        raise ConfigurationError(file.file, faults)
    return PlanSettings(
        path=file.file.resolve(),
        environment=Environment(data.get("environment", "prod")),
        catalogue=catalogue,
        assets=assets,
        scenarios=scenarios,
        model=model,
        observations=_observations(file, written),
        observers=keys,
        max_age=timedelta(seconds=written.max_age),
        builds={app: each.replace(":", "").lower() for app, each in written.builds.items()},
        generations={
            name: generation_of(name, data) if isinstance(api, dict) else _UNREADABLE
            for name, api in mapping_at(data, "apis").items()
        },
        apps=_apps(data),
        routes={api: table.rows for api, table in tables.items()},
        limits=tuple(limit for name in tables for limit in _limits(name, data)),
        pins=_pins(data),
        budget=written.budget,
    )


def _valid(kind: type[_Entry], section: Mapping[Any, Any]) -> Iterator[tuple[Any, _Entry]]:
    """Yield the well-formed entries of a section."""
    for name, entry in section.items():
        try:
            yield name, kind.model_validate(entry)
        except ValidationError:
            continue


def _apps(data: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    """Return platform and id by app; what isn't text is empty."""
    found = {}
    for name in mapping_at(data, "apps"):
        stated = mapping_at(data, "apps", name)
        parts = (stated.get("platform"), stated.get("package", stated.get("bundle_id")))
        platform, identity = (part if isinstance(part, str) else "" for part in parts)
        found[name] = (platform, identity)
    return found


def _concerns_plan(fault: Fault) -> bool:
    """Tell whether a fault of the YAML itself touches the plan: its section, or the file's own keys."""
    head = re.split(r"[.\[]", fault.path, maxsplit=1)[0]
    return head in {"", *FOR_THE_PLAN_ALONE} or head == fault.path


def _head_faults(document: Document) -> Iterator[Inconsistency]:
    """Yield what is wrong with the file's own keys; a misspelt `environment` would mean prod."""
    data = document.data
    if not isinstance(data, dict):
        if not document.faults:
            yield (), shown(data), "a mapping"
        return
    for key in data:
        if key not in SECTIONS:
            # Whoever reads one section builds the models of the others only to say what is wrong.
            from watchword.apps.settings.schema import FileConfig  # noqa: PLC0415

            yield (key,), "an unknown key", known_keys(FileConfig, (key,))
    version, environment = data.get("version"), data.get("environment", "prod")
    if version != 1 or not isinstance(version, int) or isinstance(version, bool):
        yield ("version",), shown(version), "1"
    if environment not in ("prod", "lab"):
        yield ("environment",), shown(environment), "one of 'prod', 'lab'"


def _between(
    file: Configuration, written: PlanConfig | None
) -> tuple[dict[str, "EllipticCurvePublicKey"], list[Inconsistency]]:
    """Return the observers' keys, and what doesn't fit between the plan and what stands beside it.

    :param written: None for a section with faults: what is well formed of it is looked at all the same.
    """
    data = file.data
    if written is not None:
        assets, observers = dict(written.assets), dict(written.observers)
        builds: Mapping[str, Any] = written.builds
    else:
        assets = dict(_valid(AssetConfig, mapping_at(data, "plan", "assets")))
        observers = dict(_valid(ObserverConfig, mapping_at(data, "plan", "observers")))
        builds = mapping_at(data, "plan", "builds")
    keys, found = _observer_keys(file.base, {name: each.key for name, each in observers.items()})
    tables = tables_of(data)
    for name, asset in assets.items():
        found += _asset_faults(name, asset, data.get("apis"), tables)
    apps = mapping_at(data, "apps")
    for name in builds if isinstance(data.get("apps"), dict) else ():
        if name not in apps:
            known = ", ".join(list(apps)[:20]) or "none there"
            found.append((("plan", "builds", name), shown(name), f"an app under apps: {known}"))
    return keys, found


def _own_catalogue(
    file: Configuration, written: PlanConfig | None
) -> tuple[Path | None, Inconsistency | None]:
    """Return where the user's own catalogue is, None if there is none, and why it can't be read."""
    if written is None or written.catalogue is None:
        return None, None
    # Named as the user named this file, where links don't lead elsewhere: faults in it are told so.
    parent = file.file.parent
    place = (parent if parent.resolve() == file.base else file.base) / written.catalogue
    trouble = _read(place, 0)
    if isinstance(trouble, bytes):
        return place, None
    return None, (("plan", "catalogue"), f"{shown(written.catalogue)}: {trouble}", _READABLE)


def _read(file: Path, most: int) -> bytes | str:
    """Return the first bytes of a file, or why it can't be read."""
    try:
        if file.exists() and not file.is_file():
            # Opening a pipe would wait for whoever writes to it.
            return "no file"
        with file.open("rb") as stream:
            return stream.read(most)
    except OSError as error:
        return (error.strerror or "unreadable").lower()


def read_catalogue(own: Path | None = None) -> Catalogue:
    """Return the shipped catalogue, with the entries and changes of a file where one is named.

    :raises ConfigurationError: with every fault of the file at once.
    """
    if own is None:
        return load_catalogue()
    catalogue, faults = with_own(load_catalogue(), own)
    if faults:
        raise ConfigurationError(own, faults)
    return catalogue


def with_own(base: Catalogue, own: Path) -> tuple[Catalogue, list[Fault]]:
    """Return a catalogue with a user's file merged in, and everything that is wrong with that file.

    :returns: ``base`` itself where there are faults.
    :raises ConfigurationError: when the file can't be read, or isn't YAML at all.
    """
    document = read_document(own)
    faults = [*document.faults, *document.located(likelihoods(document.data, ()))]
    if not isinstance(document.data, dict):
        if not faults:
            faults += document.located([((), shown(document.data), "a mapping")])
        return base, faults
    catalogue, found = merge(base, document.data)
    told = {fault.path for fault in faults}
    wrong = document.located((each.where, each.got, each.expected) for each in found)
    return catalogue, faults + [fault for fault in wrong if fault.path not in told]


def configured_catalogue(file: Path) -> Path | None:
    """Return the file that ``plan: catalogue:`` of a configuration names, None where none is named.

    Other faults of that file are for `watchword check` and `watchword plan`.

    :raises ConfigurationError: when the configuration is there and isn't YAML at all.
    """
    if not file.is_file():
        return None
    named = mapping_at(Configuration.read(file).data, "plan").get("catalogue")
    return file.resolve().parent / named if isinstance(named, str) and named else None


def _observations(file: Configuration, written: PlanConfig) -> Path:
    """Return where the observations are: named, or in the service's state directory."""
    if written.observations is not None:
        return written.observations
    state = mapping_at(file.data, "service").get("state", _STATE)
    # What isn't printable may be no name of a file at all; `watchword check` tells of it.
    usable = isinstance(state, str) and state and state.isprintable()
    return Path(os.path.realpath(file.base / (state if usable else _STATE) / _OBSERVATIONS))


def _asset(name: str, written: AssetConfig, apis: Any, rows: tuple[RouteRow, ...]) -> Asset:
    """Return an asset.

    :param apis: what stands under ``apis``, which may be anything: faults in it aren't the plan's.
    :param rows: of the route tables, those that decide on requests for it.
    """
    lives_in = {*written.lives_in}
    if written.routes:
        lives_in.add(Component.BACKEND)
    return Asset(
        id=name,
        kind=written.kind,
        impact=written.impact,
        because=written.because,
        lives_in=frozenset(lives_in),
        traits=frozenset(written.traits) if written.traits else _usual(written.kind, lives_in),
        places=_places(written, apis),
        routes=tuple(f"{route.api} {route.path}" for route in written.routes),
        quantities=written.quantities.build(),
        actors=frozenset(written.actors),
        rows=rows,
    )


def _asset_faults(
    name: str, written: AssetConfig, apis: Any, tables: Mapping[str, Table]
) -> Iterator[Inconsistency]:
    """Yield what is wrong with an asset that is well formed by itself.

    :param tables: the route table of each API under ``apis``.
    """
    path = ("plan", "assets", name)
    if not written.lives_in and not written.routes:
        expected = "app, channel or backend, or routes: nothing can be taken from nowhere"
        yield (*path, "lives_in"), "nothing", expected
    if written.kind == "use-case" and not written.traits:
        expected = "what an attacker is after; a use case has no usual trait"
        yield (*path, "traits"), "nothing", expected
    if "user" not in written.actors and {"app", "channel"} & set(written.lives_in):
        expected = "backend alone: partners have no app, and no user's phone is on the way to them"
        yield (*path, "lives_in"), ", ".join(written.lives_in), expected
    if not isinstance(apis, dict):
        return
    for index, route in enumerate(written.routes):
        if route.api not in apis:
            known = ", ".join(list(apis)[:20]) or "none there"
            place = (*path, "routes", index, "api")
            yield place, shown(route.api), f"an API under apis: {known}"
        elif tables[route.api].rows and not any(tables[route.api].reached(route.path)):
            # An empty table is a fault of its own.  Of any other the gate refuses what no route matches, and no proof could ever hang on it.
            place = (*path, "routes", index, "path")
            expected = f"a path that some route of {route.api} decides on"
            near = tables[route.api].nearest(route.path)
            yield place, shown(route.path), f"{expected}, such as {near}" if near else expected


def _usual(kind: AssetKind, lives_in: set[Component]) -> frozenset[Trait]:
    """Return the traits of an asset that names none: by its kind and where it lives."""
    if kind is AssetKind.SERVICE:
        return frozenset({Trait.AVAILABILITY})
    if kind is AssetKind.USE_CASE:
        return frozenset()
    traits = {Trait.RECORDS} if Component.BACKEND in lives_in else set()
    if lives_in & {Component.APP, Component.CHANNEL}:
        traits.add(Trait.LIVE_DATA)
    return frozenset(traits)


def _places(written: AssetConfig, apis: Any) -> frozenset[str]:
    """Return where proofs for the asset may come from: its APIs, and the apps that call them."""
    places: set[str] = set()
    for route in written.routes:
        places.add(f"api:{route.api}")
        # Partners have no app, so that no app's scan says anything of what they alone call.
        apps = mapping_at(apis, route.api).get("apps") if Actor.USER in written.actors else None
        for app in apps if isinstance(apps, list) else ():
            if isinstance(app, str):
                places.add(f"app:{app}")
    return frozenset(places)


def _observer_keys(
    base: Path, files: Mapping[str, str]
) -> tuple[dict[str, "EllipticCurvePublicKey"], list[Inconsistency]]:
    """Return each observer's key that can be used, and what is wrong with the others.

    :param base: the directory from which the files are named.
    :param files: by observer.
    """
    keys: dict[str, EllipticCurvePublicKey] = {}
    holders: dict[tuple[int, int], str] = {}
    troubles: list[Inconsistency] = []
    for name, entry in files.items():
        path = ("plan", "observers", name, "key")
        data = _read(base / entry, MAX_KEY_BYTES + 1)
        key = (data, _READABLE) if isinstance(data, str) else _key_of(data)
        if isinstance(key, tuple):
            troubles.append((path, f"{shown(entry)}: {key[0]}", key[1]))
            continue
        numbers = key.public_numbers()
        holder = holders.setdefault((numbers.x, numbers.y), name)
        if holder != name:
            # A proof names the observer who signed it, and that must be one.
            troubles.append((path, f"the key of {holder} again", "a key of its own"))
        keys[name] = key
    return keys, troubles


def _key_of(data: bytes) -> "EllipticCurvePublicKey | tuple[str, str]":
    """Return the public key on P-256 that a file holds; else what it holds, never quoting it, and what was expected."""
    if b"PRIVATE KEY" in data:
        return _PRIVATE_KEY
    try:
        jwk: dict[str, Any] = strict_json.loads(data, MAX_KEY_BYTES)
    except MalformedError:
        return "something that isn't a JWK", _EXPECTED
    if jwk.keys() & _PRIVATE:
        return _PRIVATE_KEY
    if jwk.get("kty") != "EC":
        return f"a key of kind {shown(jwk.get('kty'))}", _EXPECTED
    if jwk.get("crv") != "P-256":
        return f"a key on the curve {shown(jwk.get('crv'))}", _EXPECTED
    # Only a plan with observers loads what reads keys.
    from watchword.tokens.jose import public_key_from_jwk  # noqa: PLC0415

    try:
        return public_key_from_jwk({n: v for n, v in jwk.items() if n not in _ABOUT_THE_KEY})
    except MalformedError:
        return "x and y that are no point on P-256, or members that no such key has", _EXPECTED


def tables_of(data: Mapping[str, Any]) -> dict[str, Table]:
    """Return the route table of each API; what can't be read is a row that enforces nothing and may match anything.

    :param data: the plain values of the whole file; faults in ``apis`` are told elsewhere.
    """
    found = {}
    for name in mapping_at(data, "apis"):
        api = mapping_at(data, "apis", name)
        routes = api.get("routes")
        read = [_row(name, route) for route in (routes if isinstance(routes, list) else [None])]
        rows, compiled = tuple(row for row, _ in read), tuple(each for _, each in read)
        found[name] = Table(rows, compiled, api.get("case") == "sensitive")
    return found


def rows_of(written: AssetConfig, tables: Mapping[str, Table]) -> tuple[RouteRow, ...]:
    """Return the rows that decide on requests for an asset, in the order of the file, each once.

    What an asset is behind that names no route nobody knows: every row counts, but for those in mode ``off`` of one fixed
    path, such as a health check's, which somebody opened to all.  Behind a path with ``*`` records may be.
    """
    if not written.routes:
        whole = [row for table in tables.values() for row in table.rows]
        return tuple(row for row in whole if row.mode != Mode.OFF or ANY_SEGMENT in row.path)
    wanted: dict[str, list[str]] = {}
    for route in written.routes:
        wanted.setdefault(route.api, []).append(route.path)
    rows: dict[RouteRow, None] = {}
    for api, patterns in wanted.items():
        if api in tables:
            reached = {row for pattern in patterns for row in tables[api].reached(pattern)}
            rows.update((row, None) for row in tables[api].rows if row in reached)
    return tuple(rows)


def _row(api: str, route: Any) -> tuple[RouteRow, CompiledRoute]:
    """Return a row as evidence hangs on it, and as it matches."""
    given = route if isinstance(route, dict) else {}
    path, methods = given.get("path"), given.get("methods")
    compiled = _compiled(path, frozenset() if methods is None else _SOME)
    words = [given.get(word, RouteConfig.model_fields[word].default) for word in _WORDS]
    if compiled is None or not all(isinstance(word, str) for word in words) or not _texts(methods):
        # It may match anything, and covers nothing.
        return RouteRow(api, "", (), "", "", ""), _everything(_SOME)
    return RouteRow(api, str(path), tuple(sorted(set(methods or ()))), *words), compiled


def _texts(methods: Any) -> bool:
    """Tell whether these are words, at least one, or are left out."""
    if not isinstance(methods, list):
        return methods is None
    return bool(methods) and all(isinstance(method, str) for method in methods)


def _compiled(pattern: Any, methods: frozenset[str] = frozenset()) -> CompiledRoute | None:
    """Take a pattern apart; None where it is none."""
    if not isinstance(pattern, str):
        return None
    try:
        return compile_route(
            Route("", pattern, methods, Level.HARDWARE, Proof.BEARER, Mode.ENFORCE)
        )
    except ValueError:
        return None


def _everything(methods: frozenset[str]) -> CompiledRoute:
    compiled = _compiled(_EVERYTHING, methods)
    assert compiled is not None  # It is a pattern of ours.
    return compiled


def _overlap(one: CompiledRoute, other: CompiledRoute, spelt: Callable[[str], str]) -> bool:
    """Tell whether some path matches both, whatever their methods.

    :param spelt: returns what spellings of a segment have in common that the API takes for one.
    """
    short, long = sorted((one, other), key=lambda each: len(each.segments))
    if len(short.segments) < len(long.segments) and not short.open_ended:
        return False
    return all(
        spelt(mine) == spelt(theirs) or ANY_SEGMENT in {mine, theirs}
        for mine, theirs in zip(short.segments, long.segments, strict=False)
    )


def _pins(data: Mapping[str, Any]) -> tuple[PinRule, ...]:
    """Return which app pins which host; an entry that can't be read pins nothing."""
    hosts = mapping_at(data, "pins", "hosts")
    if not hosts:
        return ()
    # Where no host is pinned the models of pins aren't built.
    from watchword.apps.settings.pins import PinnedHostConfig  # noqa: PLC0415

    return tuple(
        PinRule(host, app, each.mode == "enforce")
        for host, each in _valid(PinnedHostConfig, hosts)
        for app in sorted(set(each.apps))
    )


def _limits(name: str, data: Mapping[str, Any]) -> Iterator[LimitRule]:
    """Yield the limits of an API; one that can't be read limits nothing."""
    api = mapping_at(data, "apis", name)
    for _, rate in _valid(RateConfig, {RATE: api.get("rate")}):
        yield LimitRule(name, RATE, rate.requests, rate.per, (), enforced=True, narrowed=False)
    limits = api.get("limits")
    for _, each in _valid(LimitConfig, dict(enumerate(limits if isinstance(limits, list) else ()))):
        yield LimitRule(
            name,
            each.name,
            each.requests,
            each.per,
            tuple(sorted(set(each.routes or ()))),
            enforced=each.mode == "enforce",
            narrowed=bool(each.below),
        )


def generation_of(api_name: str, data: Mapping[str, Any]) -> str:
    """Return the generation of an API's protection: SHA-256 in hex.

    It covers what decides who is let in there, as it is written: the environment, the API's section, the sections of
    the apps that may call it, and the ``policy`` section.  An edit of a route's mode or of such an app's
    signing certificates makes a proof of that API stale, an edit of another API or of an app that may not call it doesn't.
    So does an edit of a key under ``secrets`` that its routes add.  Comments, spacing, the order of keys, of the API's
    apps and of an app's certificates don't count; the order of routes does, as the first match decides.

    :param api_name: its name under ``apis``.
    :param data: the plain values of the whole file; what is malformed counts as it is written.
    :raises KeyError: where the file has no such API.
    """
    api = data["apis"][api_name]
    callers = api.get("apps") if isinstance(api, Mapping) else None
    if isinstance(callers, list):
        api = {**api, "apps": _sorted(callers)}
    covered = {
        # Left out, it is prod for the plan.
        "environment": data.get("environment", "prod"),
        "api": api,
        "apps": _sections(callers, data.get("apps")),
        "policy": data.get("policy"),
    }
    injected = _injected(api, data.get("secrets"))
    if injected:
        covered["secrets"] = injected
    return hashlib.sha256(_canonical(covered).encode("ascii")).hexdigest()


def _injected(api: Any, secrets: Any) -> dict[str, Any]:
    """Return the sections of the keys that the API's routes add: where a key may go decides who can use it."""
    keys = secrets.get("keys") if isinstance(secrets, Mapping) else None
    routes = api.get("routes") if isinstance(api, Mapping) else None
    named = [
        route["secret"]
        for route in (routes if isinstance(routes, list) else ())
        if isinstance(route, Mapping) and isinstance(route.get("secret"), str)
    ]
    return {name: keys.get(name) for name in named} if isinstance(keys, Mapping) else {}


def _sections(callers: Any, apps: Any) -> dict[str, Any]:
    """Return the sections of the apps that may call, None for one that has none."""
    known = apps if isinstance(apps, Mapping) else {}
    names = [each for each in callers if isinstance(each, str)] if isinstance(callers, list) else []
    return {name: _unordered(known.get(name)) for name in names}


def _unordered(section: Any) -> Any:
    """Return an app's section with its sets in one order, and digests in one spelling."""
    if not isinstance(section, Mapping):
        return section
    return {
        key: _sorted(map(_spelt, value)) if key in _SETS and isinstance(value, list) else value
        for key, value in section.items()
    }


def _spelt(digest: Any) -> Any:
    """Return a digest as all ways to write it come to."""
    return digest.replace(":", "").lower() if isinstance(digest, str) else digest


def _sorted(values: Any) -> list[Any]:
    """Return values of any kind in one order, each once."""
    return [json.loads(each) for each in sorted(set(map(_canonical, values)))]


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
