"""Show that each setting of the schema says what its change does, and that nothing that lets more in passes for anything else."""

from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import pytest
import yaml

from watchword.apps.compose.applied import read_whole
from watchword.apps.settings.changes import (
    SETTINGS,
    Change,
    When,
    changes_between,
    setting_at,
    with_held_back,
)
from watchword.apps.settings.document import Document
from watchword.apps.settings.faults import join
from watchword.apps.settings.load import WholeFile, whole_of
from watchword.apps.settings.schema import FileConfig
from watchword.apps.settings.sections import Config, Configuration
from watchword.apps.settings.template import TEMPLATE

FILE = Path("/nowhere/watchword.yaml")

ROUTES: list[dict[str, Any]] = [
    {"path": "/health", "methods": ["GET"], "mode": "off"},
    {"path": "/login", "level": "verified", "proof": "session", "mode": "monitor"},
    {"path": "/pay/**", "proof": "device", "minimum_versions": {"clinic-ios": "2.0"}},
    {"path": "/**", "level": "hardware", "proof": "session"},
]

PACE: dict[str, Any] = {
    "floor": {"requests": 10, "per": "1s"},
    "most": {"requests": 200, "per": "1s"},
    "doubles": "1h",
}


def places(model: type[Config] = FileConfig, prefix: str = "") -> Iterator[str]:
    """Yield the place of each setting of the schema, of optional sections, and of the entries of mappings and lists."""
    for name, described in model.model_fields.items():
        place = f"{prefix}{name}"
        kinds = list(alternatives(described.annotation))
        sections = [each for each in kinds if is_section(each)]
        entries = [
            each
            for kind in kinds
            if get_origin(kind) in {dict, list}
            for each in alternatives(get_args(kind)[-1])
            if is_section(each)
        ]
        whole = setting_at(place).whole
        if whole or not (sections or entries) or type(None) in kinds:
            yield place
        if not whole:
            for section in sections:
                yield from places(section, f"{place}.")
            if entries:
                yield f"{place}.*"
            for section in entries:
                yield from places(section, f"{place}.*.")


def is_section(kind: Any) -> bool:
    """Tell whether a type is a section."""
    return isinstance(kind, type) and issubclass(kind, Config)


def alternatives(annotation: Any) -> Iterator[Any]:
    """Yield the types that an annotation allows."""
    if get_origin(annotation) is Annotated:
        yield from alternatives(get_args(annotation)[0])
    elif get_origin(annotation) in {Union, UnionType}:
        for each in get_args(annotation):
            yield from alternatives(each)
    else:
        yield annotation


def whole(data: dict[str, Any]) -> WholeFile:
    """Return what plain values come to."""
    return whole_of(Configuration(FILE, Document(data)))


def base() -> dict[str, Any]:
    """Return a file with everything that these tests change."""
    data: dict[str, Any] = yaml.safe_load(TEMPLATE)
    data["apps"]["clinic-android"]["minimum_version"] = 100
    clinic = data["apis"]["clinic"]
    clinic["routes"] = [dict(each) for each in ROUTES]
    clinic["limits"] = [{"name": "few", "requests": 20, "per": "1m"}]
    clinic["binding_header"] = "Authorization"
    data["apis"]["clinic"]["apps"] = ["clinic-ios"]
    data["policy"] = "strict"
    data["service"]["enrolments"] = {"app": {"requests": 10, "per": "1m"}}
    data["drill"]["clinic"]["headers"] = {"X-Api-Key": "very-secret"}
    return data


def changed(*path: str | int, to: Any) -> list[Change]:
    """Return what differs once one value is another one; ``...`` removes it."""
    data: Any = base()
    inner = data
    for part in path[:-1]:
        inner = inner.setdefault(part, {}) if isinstance(inner, dict) else inner[part]
    if to is ...:
        inner.pop(path[-1])
    else:
        inner[path[-1]] = to
    return list(changes_between(whole(base()), whole(data)))


def test_no_setting_of_the_schema_is_missing() -> None:
    """And none is there that the schema doesn't have: a row for a misspelt place would stand for nothing."""
    assert set(places()) == set(SETTINGS)


def test_a_setting_that_nobody_classified_needs_a_restart_and_widens() -> None:
    """The table is closed by default."""
    unknown = setting_at("service.of_tomorrow")
    assert unknown.when is When.RESTART
    assert unknown.widens(1, 2)


def test_the_same_file_changes_nothing() -> None:
    """Also where it is written in another way."""
    other = base()
    other["service"]["token_lifetime"] = "300s"
    other["trust"] = None
    other["apis"]["clinic"]["rate"]["per"] = "60s"
    assert changes_between(whole(base()), whole(other)) == ()
    template = TEMPLATE.encode()
    assert changes_between(read_whole(FILE, template), read_whole(FILE, template)) == ()


CLINIC = ("apis", "clinic")
ROUTE = (*CLINIC, "routes")


@pytest.mark.parametrize(
    ("path", "to", "when", "widens"),
    [
        ((*ROUTE, 3, "mode"), "monitor", "live", True),
        ((*ROUTE, 1, "mode"), "enforce", "live", False),
        ((*ROUTE, 3, "level"), "verified", "live", True),
        ((*ROUTE, 1, "level"), "hardware", "live", False),
        ((*ROUTE, 3, "proof"), "bearer", "live", True),
        ((*ROUTE, 3, "proof"), "device", "live", False),
        ((*ROUTE, 2, "dpop"), True, "live", True),
        ((*ROUTE, 2, "max_body"), 2_000_000, "live", True),
        ((*ROUTE, 2, "max_body"), 1000, "live", False),
        ((*ROUTE, 2, "minimum_versions"), {"clinic-ios": "1.9"}, "live", True),
        ((*ROUTE, 2, "minimum_versions"), {}, "live", True),
        ((*ROUTE, 2, "minimum_versions"), {"clinic-ios": "2.1"}, "live", False),
        ((*ROUTE, 3, "minimum_versions"), {"clinic-ios": "2.1"}, "live", False),
        ((*CLINIC, "rate"), ..., "live", True),
        ((*CLINIC, "rate"), {"requests": 299, "per": "1m"}, "live", False),
        ((*CLINIC, "rate"), {"requests": 299, "per": "30s"}, "live", True),
        ((*CLINIC, "rate"), {"requests": 3000, "per": "1h"}, "live", True),
        ((*CLINIC, "limits"), [], "live", True),
        ((*CLINIC, "limits", 0, "requests"), 21, "live", True),
        ((*CLINIC, "limits", 0, "requests"), 19, "live", False),
        ((*CLINIC, "limits", 0, "per"), "30s", "live", True),
        ((*CLINIC, "limits", 0, "per"), "2m", "live", False),
        ((*CLINIC, "limits", 0, "mode"), "monitor", "live", True),
        ((*CLINIC, "limits", 0, "routes"), ["/pay/**"], "live", True),
        ((*CLINIC, "case"), "sensitive", "live", True),
        ((*CLINIC, "binding_header"), ..., "live", True),
        ((*CLINIC, "binding_header"), "X-Other", "live", True),
        ((*CLINIC, "device_for_session"), True, "live", True),
        ((*CLINIC, "apps"), ["clinic-ios", "clinic-android"], "live", True),
        ((*CLINIC, "token_lifetime"), "1m", "live", True),
        (("service", "token_lifetime"), "6m", "live", True),
        (("service", "token_lifetime"), "4m", "live", False),
        (("service", "enrolments", "app", "requests"), 11, "live", True),
        (("service", "enrolments", "app", "requests"), 9, "live", False),
        (("service", "enrolments"), ..., "live", True),
        (("service", "enrolments", "address"), {"requests": 101, "per": "10m"}, "live", True),
        (("service", "enrolments", "address"), {"requests": 99, "per": "10m"}, "live", False),
        (("service", "enrolments", "pace"), PACE, "restart", False),
        (("service", "tickets"), True, "restart", True),
        (("policy",), "balanced", "live", True),
        (("policy",), {"base": "strict", "levels": {"verified": "off"}}, "live", False),
        (("apps", "clinic-android", "minimum_version"), 99, "live", True),
        (("apps", "clinic-android", "minimum_version"), ..., "live", True),
        (("apps", "clinic-android", "minimum_version"), 101, "live", False),
        (("apps", "clinic-android", "signing_digests"), ["ab" * 32], "live", True),
        (("apps", "clinic-ios", "platforms"), ["ios"], "live", False),
        (("apps", "clinic-ios", "platforms"), ["ios", "ipados", "visionos", "macos"], "live", True),
        (("apps", "clinic-ios", "team_id"), "ZBCDE12345", "restart", True),
        (("service", "listen"), "127.0.0.1:8441", "restart", True),
        (("service", "issuer"), "http://127.0.0.1:8441", "restart", True),
        (("service", "trusted_proxies"), ["10.0.3.0/24"], "restart", True),
        (("trust",), {"anchors": ["lab", "vendors"]}, "restart", True),
        (("records",), {"keep": "30d"}, "restart", False),
        ((*CLINIC, "upstream"), "http://127.0.0.1:9001", "restart", True),
        ((*CLINIC, "replay", "mode"), "shared", "restart", True),
        ((*CLINIC, "audience"), "https://other.example", "restart", True),
        (("plan", "assets", "patient-records", "impact"), 4, "commands", False),
        (("drill", "clinic", "headers"), {}, "commands", False),
        (("drill", "clinic", "consent"), "consent.json", "restart", True),
    ],
)
def test_one_changed_value(path: tuple[Any, ...], to: Any, when: str, widens: bool) -> None:
    """It is one change, at its place, of its class and in its direction."""
    (found,) = changed(*path, to=to)
    assert (found.when.value, found.widens) == (when, widens), found
    assert path[: len(found.path)] == found.path[: len(path)]


@pytest.mark.parametrize(
    ("path", "to", "widens"),
    [
        ((), ..., True),
        (("most", "requests"), 201, True),
        (("most", "requests"), 199, False),
        (("floor", "per"), "2s", False),
        (("floor", "requests"), 11, True),
        (("doubles",), "30m", True),
        (("doubles",), "2h", False),
    ],
)
def test_a_pace_that_lets_more_enrol_widens_at_the_next_start(
    path: tuple[str, ...], to: Any, *, widens: bool
) -> None:
    """Enrolments without a pace are let in at once, and a ramp that doubles sooner lets more in."""
    before, after = base(), base()
    for data in (before, after):
        data["service"]["enrolments"]["pace"] = deepcopy(PACE)
    *inner, last = ("enrolments", "pace", *path)
    section = after["service"]
    for part in inner:
        section = section[part]
    if to is ...:
        section.pop(last)
    else:
        section[last] = to
    (found,) = changes_between(whole(before), whole(after))
    assert (found.when, found.widens) == (When.RESTART, widens), found


def with_routes(rows: list[dict[str, Any]]) -> list[Change]:
    """Return what differs where the API has other routes."""
    return changed(*ROUTE, to=rows)


def test_a_row_that_asks_as_much_as_all_it_may_take_from_narrows() -> None:
    """Its requests belonged to a row before, and each row before asked for no more."""
    strict = {"path": "/admin/**", "proof": "device", "minimum_versions": {"clinic-ios": "2.0"}}
    (found,) = with_routes([strict, *ROUTES])
    assert (found.path, found.widens) == ((*ROUTE, 0), False)


@pytest.mark.parametrize(
    "row",
    [
        {"path": "/admin/**", "mode": "off"},
        {"path": "/admin/**", "mode": "monitor", "proof": "device"},
        {"path": "/admin/**", "proof": "session"},
    ],
    ids=["off", "monitor", "weaker proof than some row"],
)
def test_a_row_in_front_that_asks_for_less_widens(row: dict[str, Any]) -> None:
    """The first row that matches decides: this is how a table is opened without touching any row."""
    (found,) = with_routes([row, *ROUTES])
    assert found.widens
    assert "asks for less" in found.because


def test_a_row_for_what_was_refused_widens() -> None:
    """What no row takes is refused, so that a new row opens it, however strict."""
    before = base()
    before["apis"]["clinic"]["routes"] = ROUTES[:3]
    after = base()
    after["apis"]["clinic"]["routes"] = [*ROUTES[:3], {"path": "/new", "proof": "device"}]
    (found,) = changes_between(whole(before), whole(after))
    assert found.widens
    assert "belonged to no row" in found.because


def test_rows_that_change_places_widen() -> None:
    """Nobody can tell it row by row."""
    (found,) = with_routes([ROUTES[1], ROUTES[0], *ROUTES[2:]])
    assert found.widens
    assert "order" in found.because


def test_a_row_that_goes_widens_where_another_one_asks_for_less() -> None:
    """The last row's requests are refused without it; those of a strict one fall to others."""
    (gone,) = with_routes(ROUTES[:3])
    assert (
        gone.widens
    )  # Rows in front of it ask for less, and nobody looks whether they take its requests.
    (gone,) = with_routes([*ROUTES[:2], ROUTES[3]])
    assert gone.widens
    before, after = base(), base()
    before["apis"]["clinic"]["routes"] = [{"path": "/a"}, {"path": "/**"}]
    after["apis"]["clinic"]["routes"] = [{"path": "/**"}]
    (gone,) = changes_between(whole(before), whole(after))
    assert not gone.widens


def test_a_canary_widens_where_it_enforces_for_fewer() -> None:
    """A smaller share or budget, or other versions; enforcing for all doesn't."""

    def between(old: dict[str, Any], new: dict[str, Any]) -> list[bool]:
        files = []
        for row in (old, new):
            data = base()
            data["apis"]["clinic"]["routes"] = [{"path": "/**", **row}]
            files.append(whole(data))
        return [each.widens for each in changes_between(*files)]

    half = {"mode": "canary", "canary": {"share": 50}}
    assert between(half, {"mode": "canary", "canary": {"share": 49}}) == [True]
    assert between(half, {"mode": "canary", "canary": {"share": 51}}) == [False]
    assert between(half, {"mode": "canary", "canary": {"share": 50, "budget": 1}}) == [True]
    assert not any(between(half, {"mode": "enforce"}))
    assert any(between({"mode": "enforce"}, half))
    assert not any(between({"mode": "monitor"}, half))


def test_an_app_that_comes_widens_and_one_that_goes_does_not() -> None:
    """Also one of another platform under the name of before."""
    (found,) = changed(
        "apps",
        "third",
        to={"platform": "android", "package": "a.b", "signing_digests": ["ab" * 32]},
    )
    assert (found.when, found.widens) == (When.RESTART, True)
    (found,) = changed("apps", "clinic-android", to=...)
    assert (found.when, found.widens) == (When.RESTART, False)
    (found,) = changed("apps", "clinic-android", to=base()["apps"]["clinic-ios"])
    assert found.widens


def test_an_added_rule_narrows_and_a_removed_one_widens() -> None:
    """By the policies' meaning, not by how they are written."""

    def between(old: Any, new: Any) -> bool:
        files = [whole(base() | {"policy": each}) for each in (old, new)]
        (found,) = changes_between(*files)
        return found.widens

    more = {"base": "balanced", "levels": {"hardware": {"with": ["coherence"]}}}
    assert not between("balanced", more)
    assert between(more, "balanced")


def test_what_a_change_shows_holds_no_secret() -> None:
    """Sections are named and not shown: what every copy of the app sends is in one of them."""
    for each in changed("drill", "clinic", "headers", to={"X-Api-Key": "other-secret"}):
        assert "secret" not in f"{each} {each.as_dict()}"


def test_what_needs_a_restart_is_held_back() -> None:
    """The rest of the change stands; what wasn't there isn't there."""
    running, wanted = base(), base()
    wanted["service"]["listen"] = "127.0.0.1:9999"
    wanted["records"] = {"keep": "10d"}
    wanted["apis"]["clinic"]["replay"] = {"mode": "affine"}
    wanted["apis"]["clinic"]["routes"][3]["mode"] = "monitor"
    waiting = [
        each for each in changes_between(whole(running), whole(wanted)) if each.when is When.RESTART
    ]
    held = with_held_back(running, wanted, waiting)
    assert held["service"]["listen"] == running["service"]["listen"]
    assert "records" not in held
    left = changes_between(whole(running), whole(held))
    assert [join(each.path) for each in left] == ["apis.clinic.routes[3].mode"]
    assert wanted["service"]["listen"] == "127.0.0.1:9999"
