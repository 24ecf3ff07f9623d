"""Read the ``plan`` section: what is protected, who may prove something, and which paths are planned for."""

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, TypeVar

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from pydantic import ValidationError

from watchword.apps.settings.consistency import Inconsistency
from watchword.apps.settings.document import Document, read_document
from watchword.apps.settings.enforcement import limits_of, pins_of, rows_of, tables_of
from watchword.apps.settings.faults import ConfigurationError, Fault, join, shown
from watchword.apps.settings.generation import generation_of
from watchword.apps.settings.likelihood import likelihoods
from watchword.apps.settings.observer_keys import observer_keys
from watchword.apps.settings.own_catalogue import with_own
from watchword.apps.settings.plan_forms import asset_faults, asset_of, scenarios_of
from watchword.apps.settings.translation import translated, unknown_key
from watchword.apps.settings.written import WrittenFile
from watchword.apps.settings.written_plan import WrittenAsset, WrittenObserver, WrittenPlan
from watchword.apps.settings.written_types import Written, seconds
from watchword.plan.catalogue import load_catalogue
from watchword.plan.interface import (
    Asset,
    Catalogue,
    LimitRule,
    Model,
    PinRule,
    RouteRow,
    Scenarios,
)
from watchword.plan.modelling import build_model
from watchword.vocabulary import Environment

FOR_THE_PLAN_ALONE: Final = frozenset({"version", "environment", "plan"})
"""Keys of a file that is written for `watchword plan` and starts nothing."""

_Entry = TypeVar("_Entry", bound=Written)

_MISSING: Final = (
    "a file; `watchword init` writes one, and `watchword plan init` one for the plan alone"
)

_UNREADABLE: Final = "unreadable"
"""Generation of an API whose section is none: no observation's, so that no proof of it counts."""

_STATE: Final = ".watchword"
_OBSERVATIONS: Final = "observations.jsonl"


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
    observers: Mapping[str, EllipticCurvePublicKey]
    max_age: timedelta
    builds: Mapping[str, str]
    generations: Mapping[str, str]
    apps: Mapping[str, tuple[str, str]]
    routes: Mapping[str, tuple[RouteRow, ...]]
    limits: tuple[LimitRule, ...]
    pins: tuple[PinRule, ...]
    budget: int | None


def load_plan(file: Path) -> PlanSettings:
    """Read the plan section of a file, and of the rest only what the plan hangs on.

    Faults in other sections are for `watchword check` and `watchword up`.

    :raises ConfigurationError: with every fault at once; faults in a catalogue of the user's own
        come with that file, once this one has none.
    """
    document = read_document(file, missing=_MISSING)
    data: dict[str, Any] = document.data if isinstance(document.data, dict) else {}
    if "plan" not in data and (key := next((k for k in ("openapi", "swagger") if k in data), "")):
        expected = "a plan; `watchword plan init --openapi` drafts one from it"
        fault = Fault(key, document.line((key,)), "a description of an API", expected)
        raise ConfigurationError(file, [fault])
    faults = [fault for fault in document.faults if _concerns_plan(fault)]
    faults += _head_faults(document)
    faults += likelihoods(document, data.get("plan"), ("plan",))
    written, found = _written(document, data.get("plan"), {fault.path for fault in faults})
    faults += found
    base = file.resolve().parent
    parts = _parts(data.get("plan"), written)
    keys, between = observer_keys(base, {name: each.key for name, each in parts.observers.items()})
    between += _faults_between(parts, data)
    own = _own_catalogue(file, document, written)
    faults += [*_located(document, between), *own.faults]
    if written is None or own.faults:
        raise ConfigurationError(file, faults)
    return _whole(file, document, written, keys, faults, own.place)


@dataclass(frozen=True, slots=True)
class _Parts:
    """Hold the well-formed parts of a section that may have faults elsewhere."""

    assets: Mapping[str, WrittenAsset]
    observers: Mapping[str, WrittenObserver]
    builds: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Own:
    """Hold where the user's own catalogue is, None if there is none, or why it can't be read."""

    place: Path | None
    faults: tuple[Fault, ...] = ()


def _whole(
    file: Path,
    document: Document,
    written: WrittenPlan,
    keys: Mapping[str, EllipticCurvePublicKey],
    faults: list[Fault],
    own: Path | None,
) -> PlanSettings:
    """Build the settings from a section that is well formed.

    :param faults: what was found between the sections: told together with those of the model.
    """
    data, base = document.data, file.resolve().parent
    catalogue = load_catalogue()
    if own is not None:
        catalogue, wrong = _merged(catalogue, own)
        if wrong:
            raise ConfigurationError(*(file, faults) if faults else (own, wrong))
    tables = tables_of(data)
    assets = {
        name: asset_of(name, each, data.get("apis"), rows_of(each, tables))
        for name, each in written.assets.items()
    }
    scenarios = scenarios_of(written.scenarios)
    model, found = build_model(catalogue, assets, scenarios)
    faults += _located(
        document, ((("plan", *each.where), each.got, each.expected) for each in found)
    )
    if model is None or faults:
        raise ConfigurationError(file, faults)
    return PlanSettings(
        path=file.resolve(),
        environment=Environment(data.get("environment", "prod")),
        catalogue=catalogue,
        assets=assets,
        scenarios=scenarios,
        model=model,
        observations=_observations(base, data, written),
        observers=keys,
        max_age=timedelta(seconds=seconds(written.max_age)),
        builds={app: each.replace(":", "").lower() for app, each in written.builds.items()},
        generations=_generations(data),
        apps=_apps(data.get("apps")),
        routes={api: table.rows for api, table in tables.items()},
        limits=limits_of(data),
        pins=pins_of(data),
        budget=written.budget,
    )


def _apps(section: object) -> dict[str, tuple[str, str]]:
    """Return platform and id by app, of a section that nobody has checked: what isn't text is empty."""
    if not isinstance(section, dict):
        return {}
    found = {}
    for name, each in section.items():
        stated = each if isinstance(each, dict) else {}
        parts = (stated.get("platform"), stated.get("package", stated.get("bundle_id")))
        platform, identity = (part if isinstance(part, str) else "" for part in parts)
        found[name] = (platform, identity)
    return found


def _concerns_plan(fault: Fault) -> bool:
    """Tell whether a fault of the YAML itself touches the plan: its section, or the file's own keys."""
    head = re.split(r"[.\[]", fault.path, maxsplit=1)[0]
    return head in {"", *FOR_THE_PLAN_ALONE} or head == fault.path


def _head_faults(document: Document) -> Iterator[Fault]:
    """Yield what is wrong with the file's own keys; a misspelt `environment` would mean prod."""
    data = document.data
    if not isinstance(data, dict):
        if not document.faults:
            yield Fault("", document.line(()), shown(data), "a mapping")
        return
    for key in data:
        if key not in WrittenFile.model_fields:
            yield unknown_key(document, (key,))
    version, environment = data.get("version"), data.get("environment", "prod")
    if version != 1 or not isinstance(version, int) or isinstance(version, bool):
        yield Fault("version", document.line(("version",)), shown(version), "1")
    if environment not in {"prod", "lab"}:
        line = document.line(("environment",))
        yield Fault("environment", line, shown(environment), "one of 'prod', 'lab'")


def _written(
    document: Document, section: Any, told: set[str]
) -> tuple[WrittenPlan | None, list[Fault]]:
    """Return the section as written, or its faults of shape and value.

    :param told: paths that have a fault already.
    """
    if section is None:
        if "" in told:
            return None, []
        expected = "what would hurt to lose, under plan.assets"
        return None, [Fault("plan", document.line(("plan",)), "nothing", expected)]
    try:
        return WrittenPlan.model_validate(section), []
    except ValidationError as error:
        found = translated(document, error, ("plan",))
        return None, [fault for fault in found if fault.path not in told]


def _parts(section: Any, written: WrittenPlan | None) -> _Parts:
    """Return what is well formed, so that faults between the parts show at once too."""
    if written is not None:
        return _Parts(written.assets, written.observers, written.builds)
    given = section if isinstance(section, dict) else {}
    builds = given.get("builds")
    return _Parts(
        _each(WrittenAsset, given.get("assets")),
        _each(WrittenObserver, given.get("observers")),
        builds if isinstance(builds, dict) else {},
    )


def _each(model: type[_Entry], data: Any) -> dict[str, _Entry]:
    """Return the entries of a mapping that are well formed."""
    found: dict[str, _Entry] = {}
    for name, entry in data.items() if isinstance(data, dict) else ():
        try:
            found[name] = model.model_validate(entry)
        except ValidationError:
            continue
    return found


def _faults_between(parts: _Parts, data: Mapping[str, Any]) -> Iterator[Inconsistency]:
    """Yield what doesn't fit between the plan and the file's other sections."""
    tables = tables_of(data)
    for name, asset in parts.assets.items():
        yield from asset_faults(name, asset, data.get("apis"), tables)
    apps = data.get("apps")
    if not isinstance(apps, dict):
        return
    for name in parts.builds:
        if name not in apps:
            known = ", ".join(list(apps)[:20]) or "none there"
            yield ("plan", "builds", name), shown(name), f"an app under apps: {known}"


def _located(document: Document, found: Any) -> list[Fault]:
    return [Fault(join(path), document.line(path), got, expected) for path, got, expected in found]


def _own_catalogue(file: Path, document: Document, written: WrittenPlan | None) -> _Own:
    """Find the user's own catalogue."""
    if written is None or written.catalogue is None:
        return _Own(None)
    base = file.resolve().parent
    # Named as the user named this file, where links don't lead elsewhere: faults in it are told so.
    place = (file.parent if file.parent.resolve() == base else base) / written.catalogue
    trouble = None
    try:
        if place.exists() and not place.is_file():
            trouble = "no file"
        else:
            with place.open("rb"):
                pass
    except OSError as error:
        trouble = (error.strerror or "unreadable").lower()
    if trouble is None:
        return _Own(place)
    path = ("plan", "catalogue")
    got = f"{shown(written.catalogue)}: {trouble}"
    return _Own(None, (Fault(join(path), document.line(path), got, "a file that can be read"),))


def _merged(base: Catalogue, own: Path) -> tuple[Catalogue, list[Fault]]:
    """Return our catalogue with the user's merged in, and what is wrong with the user's.

    :raises ConfigurationError: when that file isn't YAML at all.
    """
    return with_own(base, own)


def _observations(base: Path, data: Mapping[str, Any], written: WrittenPlan) -> Path:
    """Return where the observations are: named, or in the service's state directory."""
    if written.observations is not None:
        # Unlike Path.resolve, this doesn't raise where links go round in a circle.
        return Path(os.path.realpath(base / written.observations))
    service = data.get("service")
    state = service.get("state", _STATE) if isinstance(service, dict) else _STATE
    # What isn't printable may be no name of a file at all; `watchword check` tells of it.
    usable = isinstance(state, str) and state and state.isprintable()
    return Path(os.path.realpath(base / (state if usable else _STATE) / _OBSERVATIONS))


def _generations(data: Mapping[str, Any]) -> dict[str, str]:
    apis = data.get("apis")
    if not isinstance(apis, dict):
        return {}
    return {
        name: generation_of(name, data) if isinstance(api, dict) else _UNREADABLE
        for name, api in apis.items()
    }
