"""Fuzz what a plan is made of: the plan section, an own catalogue, observations, drafts, a stored plan."""

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import yaml
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, derive_private_key

from watchword.apps.observations.document import OBSERVATION_TYPE, read_lines, sign, unsigned
from watchword.apps.plan.document import PlanDocumentError, document, parse, read
from watchword.apps.plan.drafts import draft_plan
from watchword.apps.plan.workshop.section import NEW_FILE, PlanFile, SectionError
from watchword.apps.plan.workshop.session import WorkshopError
from watchword.apps.plan.workshop.starts import draft_of
from watchword.apps.settings.document import composed, parse_document
from watchword.apps.settings.plan import load_plan
from watchword.encoding import base64url
from watchword.observations import Observation, Review, State
from watchword.plan.catalogue import load_catalogue, merge
from watchword.plan.interface import Catalogue
from watchword.plan.outcome import Evidence
from watchword.plan.service import make_plan
from watchword.plan.workshop import Section
from watchword.reasons import WatchwordError
from watchword.tokens import jose
from watchword.tokens.jose import SigningKey
from watchword.vocabulary import Environment

_AT = datetime(2026, 11, 24, 12, tzinfo=UTC)

_PLAN = """\
version: 1
apis:
  clinic: {upstream: "http://127.0.0.1:9", audience: clinic, routes: []}
plan:
  max_age: 30d
  budget: 12
  assets:
    records:
      kind: data
      impact: 5
      because: all at once
      lives_in: [app, channel]
      routes: [{api: clinic, path: /v1/**}]
      traits: [records]
      quantities: {users: 7, money: 9 EUR, downtime: 4h}
  scenarios:
    strike: [{asset: records, technique: MT-A03, because: no}]
    add: [{asset: records, steps: [MT-B03], assumes: [api_key, protocol], because: seen}]
    pin: [{asset: records, steps: [MT-A02, MT-C06, MT-B03], because: told}]
"""
_SMALL = """\
version: 1
plan:
  assets:
    a: {kind: service, impact: 1, because: so, lives_in: [backend], traits: [availability]}
"""
_LIKELY = "version: 1\nplan: {assets: {a: {likelihood: 5}}}\n"

_OWN = """\
techniques:
  MT-X01:
    name: guess
    about: It is guessed.
    component: backend
    stage: exploit
    needs: [endpoints]
    harms: [records]
    names: {maswe: [a-b]}
protections:
  PR-X01:
    name: lock
    about: It is locked.
    component: app
    enforced_at: client
    kind: prevent
    effort: L
    cuts: {MT-X01: 3}
    does_not: [Open itself.]
    evidence: [scan:static.lock]
    depends_on: [PR-A08]
  PR-B01: {effort: 2, cuts: {MT-B03: 0}}
"""

_OPENAPI = {
    "openapi": "3.1.0",
    "info": {"title": "Clinic API"},
    "servers": [{"url": "https://api.example.org/v1"}],
    "paths": {
        "/users/{id}/records": {
            "get": {
                "operationId": "records",
                "responses": {
                    "200": {
                        "content": {
                            "application/json": {"schema": {"$ref": "#/components/schemas/R"}}
                        }
                    }
                },
            },
            "parameters": [{"name": "id", "in": "path"}],
        },
        "/pay": {"post": {"tags": ["payment"], "summary": "pays", "security": []}},
    },
    "components": {
        "schemas": {
            "R": {
                "properties": {
                    "email": {"type": "string"},
                    "next": {"$ref": "#/components/schemas/R"},
                }
            }
        }
    },
}
_SWAGGER = (
    "swagger: '2.0'\nbasePath: /v2\npaths:\n  /login: &l {post: {summary: log in}}\n  /again: *l\n"
)

_OTM = {
    "otmVersion": "0.2.0",
    "project": {"name": "Shop", "id": "shop"},
    "assets": [
        {
            "name": "Cards",
            "id": "c",
            "risk": {"confidentiality": 100, "integrity": 10, "availability": 0},
        }
    ],
    "trustZones": [{"id": "z", "name": "Internet", "risk": {"trustRating": 1}}],
    "components": [
        {
            "id": "app",
            "name": "Mobile app",
            "type": "mobile-client",
            "parent": {"trustZone": "z"},
            "assets": {"stored": ["c"]},
            "threats": [{"threat": "t", "state": "exposed"}],
        },
        {"id": "api", "name": "API", "type": "web-service", "parent": {"component": "app"}},
    ],
    "dataflows": [
        {"id": "f", "name": "call", "source": "app", "destination": "api", "assets": ["c"]}
    ],
    "threats": [
        {
            "id": "t",
            "name": "Reverse engineering",
            "categories": ["Spoofing"],
            "risk": {"likelihood": 1, "impact": 2},
        }
    ],
}


def read_plan(data: bytes) -> None:
    """Read a file with a plan section; what is told of it must have words."""
    _told(lambda: load_plan(_written(data)))


def read_own_catalogue(data: bytes) -> None:
    """Merge a catalogue of one's own into ours."""
    try:
        found = parse_document(Path("own.yaml"), data)
    except WatchwordError as error:
        str(error)
        return
    if not isinstance(found.data, dict):
        return
    catalogue, faults = merge(_catalogue(), found.data)
    assert faults or catalogue.techniques.keys() >= _catalogue().techniques.keys()


def read_observed(data: bytes) -> None:
    """Read lines of observations as they came, and the same bytes as what a known observer has signed."""
    keys = {"ci": _observer().public}
    read_lines(data, keys)
    signed = jose.assemble(data, OBSERVATION_TYPE, _observer())
    found = read_lines(signed.encode() + b"\n", keys)
    assert len(found.vouched) + len(found.claims) + len(found.faults) == 1


def draft_openapi(data: bytes) -> None:
    """Draft from an API description."""
    _told(lambda: draft_plan(_written(data), None))


def draft_otm(data: bytes) -> None:
    """Draft from a threat model."""
    _told(lambda: draft_plan(None, _written(data)))


def draft_upload(data: bytes) -> None:
    """Draft from what somebody gives the workshop: a model of Threat Dragon, a scan, or any other file."""
    with suppress(WorkshopError):
        draft_of("upload", data)


def read_stored(data: bytes) -> None:
    """Read a plan that was stored as JSON."""
    with suppress(PlanDocumentError):
        read(parse(data))


def plans() -> Iterator[bytes]:
    """Yield files with a plan section."""
    yield _PLAN.encode()
    yield _SMALL.encode()
    yield _LIKELY.encode()


def own_catalogues() -> Iterator[bytes]:
    """Yield a catalogue of one's own."""
    yield _OWN.encode()


def observed() -> Iterator[bytes]:
    """Yield what observations say, with and without a signature."""
    plain = Observation(
        protection="PR-B01",
        key="live:shield.enforced_ratio",
        state=State.PROVEN,
        at=_AT,
        target="api:clinic",
        source="drill",
        environment=Environment.PROD,
    )
    review = Review("Ada", "Bob", "ef" * 32, _AT.replace(month=12))
    reviewed = replace(plain, state=State.REVIEWED, build="ab" * 32, review=review, detail="one")
    for each in (plain, reviewed):
        whole = sign(each, _observer())
        yield unsigned(each).encode()
        yield whole.encode()
        yield base64url.decode(whole.split(".")[1])


def openapi() -> Iterator[bytes]:
    """Yield API descriptions."""
    yield json.dumps(_OPENAPI, separators=(",", ":")).encode()
    yield _SWAGGER.encode()


def otm() -> Iterator[bytes]:
    """Yield a threat model."""
    yield json.dumps(_OTM, separators=(",", ":")).encode()


def uploads() -> Iterator[bytes]:
    """Yield a model as Threat Dragon keeps it, and what a scan printed."""
    threat = {
        "id": "t",
        "title": "Credential stuffing",
        "type": "Spoofing",
        "description": "leaked",
    }
    cells = [
        {"id": "a", "shape": "actor", "data": {"type": "tm.Actor", "name": "App"}},
        {"id": "p", "data": {"type": "tm.Process", "name": "Login API", "threats": [threat]}},
        {"id": "s", "data": {"type": "tm.Store", "name": "Records"}},
        {"id": "f", "data": {"type": "tm.Flow"}, "source": {"cell": "a"}, "target": {"cell": "p"}},
    ]
    model = {
        "version": "2.2",
        "summary": {"title": "C"},
        "detail": {"diagrams": [{"cells": cells}]},
    }
    finding = {"rule": "keys", "verdict": "exposed", "title": "A key"}
    rules = [{"id": "keys", "techniques": ["MT-A02", "MT-A10"]}]
    build = {"package": {"file": "app.apk"}, "findings": [finding], "api": [], "rules": rules}
    for each in (model, {"tool": {"name": "watchword"}, "scans": [build]}):
        yield json.dumps(each, separators=(",", ":")).encode()


def write_section(data: bytes) -> None:
    """Change the section of a file in place; what is written elsewhere must stay byte for byte."""
    try:
        file = PlanFile.parse(Path("input.yaml"), data)
    except WatchwordError as error:
        str(error)
        return
    before = _outside(data.decode() or NEW_FILE)
    for wanted in _changed(file.section):
        with suppress(SectionError):
            after = _outside(file.with_section(wanted).decode())
            # Comments of a section that holds nothing more stand above it; a line that wasn't ended is, before a new section.
            assert after[0].startswith(before[0] if "plan" in file.data else before[0].rstrip())
            added = after[0][len(before[0]) :].split("\n")
            assert all(each.lstrip(" ").startswith("#") for each in added if each.strip())
            assert after[1] == before[1]


def _changed(section: Section) -> Iterator[Section]:
    """Yield other sections: one more member, one less, and each first value another."""
    asset = {"kind": "data", "impact": 2, "because": "so: # no", "lives_in": ["app"]}
    yield {**section, "assets": {**_mapping(section.get("assets")), "fuzzed": asset}}
    first = next(iter(section), None)
    if first is not None:
        yield {name: value for name, value in section.items() if name != first}
        yield {**section, first: _other(section[first])}


def _mapping(value: object) -> dict[str, object]:
    return dict(value) if isinstance(value, dict) else {}


def _other(value: object) -> object:
    """Return a value with another one at the first place within it."""
    if isinstance(value, dict) and value:
        first = next(iter(value))
        return {**value, first: _other(value[first])}
    if isinstance(value, list) and value:
        return [_other(value[0]), *value[1:], "one more"]
    return "1.5e3"


def _outside(text: str) -> tuple[str, str]:
    """Return a file's text before and behind its section; all of it before where it has none."""
    root = composed(text.removeprefix("\ufeff")) if text.strip() else None
    keys = [key for key, _ in root.value] if isinstance(root, yaml.MappingNode) else []
    for place, key in enumerate(keys):
        if key.value == "plan":
            lines = text.splitlines(keepends=True)
            following = keys[place + 1 :]
            rest = lines[following[0].start_mark.line :] if following else []
            return "".join(lines[: key.start_mark.line]), "".join(rest)
    return text, ""


def written_sections() -> Iterator[bytes]:
    """Yield files whose section is written in several styles."""
    yield _PLAN.encode()
    yield b"\xef\xbb\xbfversion: 1\r\nplan:  # so\r\n  budget: &b 5\r\n  assets:\r\n    a: {kind: data} # one\r\ngates: {}\r\n"
    yield b"# top\nplan:\n  scenarios:\n    add:\n    # way\n    - asset: a\n      steps: [MT-B03,\n        MT-B04]  # both\n    - asset: b\n  why: >-\n    folded\n    text\n# end\nversion: 1"
    yield b"version: 1\n"
    yield b"{version: 1, plan: {budget: 5}}"


def stored_plans() -> Iterator[bytes]:
    """Yield a small plan as JSON."""
    settings = load_plan(_written(_SMALL.encode()))
    nothing = Evidence({}, {})
    plan = make_plan(settings.model, settings.catalogue, nothing, _AT, None, _Hasty())
    found = document(plan)
    # The whole of it would fill the corpus: two entries of each list say as much.
    short = {key: value[:2] if isinstance(value, list) else value for key, value in found.items()}
    yield json.dumps(short, separators=(",", ":")).encode()


class _Hasty:
    """Have no time to shake anything."""

    def is_over(self, share: float) -> bool:
        """Say that the time is gone."""
        return share >= 0


def _told(read: Callable[[], object]) -> None:
    try:
        read()
    except WatchwordError as error:
        str(error)


@cache
def _catalogue() -> Catalogue:
    return load_catalogue()


@cache
def _observer() -> SigningKey:
    return SigningKey(derive_private_key(7, SECP256R1()))


@cache
def _folder() -> TemporaryDirectory[str]:
    return TemporaryDirectory(prefix="watchword-fuzz-")


def _written(data: bytes) -> Path:
    """Write an input where a reader of files finds it."""
    file = Path(_folder().name) / "input.yaml"
    file.write_bytes(data)
    return file
