"""Show the section `secrets`, routes that add a key, and limits: what they come to, and each fault with its place."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from watchword.apps.deployment import gate_policies
from watchword.apps.settings.faults import ConfigurationError
from watchword.apps.settings.load import load_settings
from watchword.apps.settings.plan import generation_of
from watchword.apps.settings.schema import Settings
from watchword.apps.settings.template import TEMPLATE
from watchword.broker.interface import Allowance, DeliveryRule, EdgeRule, Place, PlaceKind
from watchword.gate.injection import compile_injections
from watchword.gate.interface import Limit, LimitKind
from watchword.vocabulary import Level

EDGE: dict[str, Any] = {
    "origin": "https://Maps.example.net:8443",
    "paths": ["/geocode/**"],
    "add": {"header": "Authorization", "prefix": "Bearer "},
}
ROUTE = {"path": "/maps/**", "secret": "maps", "proof": "session", "mode": "enforce"}
PUSH = {"deliver": {"apps": ["clinic-ios"], "lease": "2h"}}


def written(
    tmp_path: Path,
    *,
    secrets: dict[str, Any] | None = None,
    route: dict[str, Any] | None = None,
    limits: list[Any] | None = None,
    prod: bool = False,
    upstream: bool = True,
) -> Path:
    """Write a file with these parts."""
    data = yaml.safe_load(TEMPLATE.replace("mode: off", "mode: 'off'"))
    (api,) = data["apis"].values()
    if route is not None:
        api["routes"].insert(0, route)
    if limits is not None:
        api["limits"] = limits
    if not upstream:
        del api["upstream"], api["listen"]
    if prod:
        data["environment"] = "prod"
        data["service"]["issuer"] = "https://attest.example.com"
        data["apps"]["clinic-ios"]["team_id"] = "ZYXWV98765"
        data["apps"]["clinic-android"]["signing_digests"] = ["ab" * 32]
        data.pop("trust", None)
    if secrets is not None:
        data["secrets"] = secrets
    file = tmp_path / "watchword.yaml"
    file.write_text(yaml.safe_dump(data, sort_keys=False), encoding="utf-8")
    return file


def loaded(tmp_path: Path, **parts: Any) -> Settings:
    """Return the settings of a file with these parts."""
    return load_settings(written(tmp_path, **parts))


def test_a_key_at_the_edge(tmp_path: Path) -> None:
    """Origin, place, quota and spend become one rule; the route names it."""
    edge = EDGE | {"quota": {"calls": 100}, "spend": {"most": 500, "cost": 2}, "ca": "ca.pem"}
    settings = loaded(
        tmp_path, secrets={"keys": {"maps": {"edge": edge}, "push": PUSH}}, route=ROUTE
    )
    secrets = settings.secrets
    assert secrets is not None
    rule = secrets.edges["maps"].rule
    assert (rule.host, rule.port, rule.methods) == (
        "maps.example.net",
        8443,
        frozenset({"GET"}),
    )
    assert rule.place == Place(PlaceKind.HEADER, "authorization", "Bearer ")
    assert rule.allowances == (Allowance(86400, calls=100), Allowance(30 * 86400, spend=500))
    assert (rule.cost, rule.private, rule.seconds) == (2, False, 30.0)
    assert secrets.edges["maps"].ca == (tmp_path / "ca.pem").resolve()
    rule_of_push = DeliveryRule("push", frozenset({"clinic-ios"}), Level.HARDWARE, 7200)
    assert secrets.deliveries == {"push": rule_of_push}
    assert secrets.names == ("maps", "push")
    assert secrets.master_key is not None
    assert secrets.master_key.file == settings.service.state_dir / "master.key"
    (api,) = settings.apis.values()
    assert api.routes[0].secret == "maps"


def test_answers_are_held_unless_their_origin_reflects_nothing(tmp_path: Path) -> None:
    """Only where the file says so do answers stream, in parts and of any length."""
    assert rule_of(tmp_path, {}).reflects
    assert rule_of(tmp_path, {"reflects": "maybe"}).reflects
    free = {"reflects": "never", "headers": ["Range"], "max_answer": 1024**3}
    assert not rule_of(tmp_path, free).reflects


def rule_of(tmp_path: Path, changes: dict[str, Any]) -> EdgeRule:
    """Return the rule of a key, which the gate takes."""
    parts = {"keys": {"maps": {"edge": EDGE | changes}}}
    settings = loaded(tmp_path, secrets=parts, route=ROUTE)
    (policy,) = gate_policies(settings)
    compile_injections(policy)
    return policy.edges["maps"]


def test_a_placeholder_in_the_query(tmp_path: Path) -> None:
    """What the app sends there is told apart from what may stand anywhere."""
    edge = {k: v for k, v in EDGE.items() if k != "add"}
    edge["replace"] = {"query": "key", "placeholder": "wwk-maps"}
    secrets = loaded(tmp_path, secrets={"keys": {"maps": {"edge": edge}}}).secrets
    assert secrets is not None
    place = Place(PlaceKind.QUERY, "key", placeholder="wwk-maps")
    assert secrets.edges["maps"].rule.place == place


def test_openbao_keeps_them(tmp_path: Path) -> None:
    """Its place is resolved from the file; there is no master key then."""
    bao = {"url": "http://127.0.0.1:8200", "token": "bao.token"}
    section = {"store": "openbao", "openbao": bao, "signing": "watchword"}
    secrets = loaded(tmp_path, secrets=section, prod=True).secrets
    assert secrets is not None
    assert secrets.in_openbao
    assert secrets.master_key is None
    assert secrets.signing == "watchword"
    assert secrets.openbao is not None
    assert secrets.openbao.token == (tmp_path / "bao.token").resolve()
    assert (secrets.openbao.mount, secrets.openbao.path) == ("secret", "watchword")


def test_limits_name_routes(tmp_path: Path) -> None:
    """Paths become the routes that have them; what is left out holds everywhere, enforced."""
    path = yaml.safe_load(TEMPLATE.replace("mode: off", "mode: 'off'"))["apis"]["clinic"]["routes"][
        -1
    ]["path"]
    limits = [
        {"name": "few", "kind": "quota", "requests": 20, "per": "1d", "routes": [path]},
        {"name": "old", "requests": 5, "below": {"clinic-ios": "3.0"}, "mode": "monitor"},
    ]
    api = loaded(tmp_path, limits=limits).apis["clinic"]
    name = api.routes[-1].name
    assert api.limits == (
        Limit("few", LimitKind.QUOTA, 20, 86400, frozenset({name})),
        Limit("old", LimitKind.RATE, 5, 60, below={"clinic-ios": "3.0"}, enforced=False),
    )


def test_an_edit_of_a_key_is_another_generation(tmp_path: Path) -> None:
    """Where a key may go decides who can use it: a proof from before counts no more."""
    file = written(tmp_path, secrets={"keys": {"maps": {"edge": EDGE}}}, route=ROUTE)
    data = yaml.safe_load(file.read_text(encoding="utf-8"))
    before = generation_of("clinic", data)
    data["secrets"]["keys"]["push"] = PUSH
    assert generation_of("clinic", data) == before
    data["secrets"]["keys"]["maps"]["edge"]["paths"] = ["/**"]
    assert generation_of("clinic", data) != before


@pytest.mark.parametrize(
    ("parts", "path"),
    [
        ({"secrets": {"keys": {"maps": {}}}}, "secrets.keys.maps"),
        ({"secrets": {"keys": {"maps": {"edge": EDGE} | PUSH}}}, "secrets.keys.maps"),
        (
            {"secrets": {"keys": {"maps": {"edge": EDGE | {"origin": "http://a.example"}}}}},
            "secrets.keys.maps.edge.origin",
        ),
        (
            {"secrets": {"keys": {"maps": {"edge": EDGE | {"origin": "https://u@a.example"}}}}},
            "secrets.keys.maps.edge.origin",
        ),
        (
            {"secrets": {"keys": {"maps": {"edge": EDGE | {"paths": []}}}}},
            "secrets.keys.maps.edge.paths",
        ),
        (
            {"secrets": {"keys": {"maps": {"edge": EDGE | {"paths": ["/a/../b"]}}}}},
            "secrets.keys.maps.edge.paths[0]",
        ),
        (
            {"secrets": {"keys": {"maps": {"edge": EDGE | {"methods": ["TRACE"]}}}}},
            "secrets.keys.maps.edge.methods",
        ),
        ({"secrets": {"keys": {"maps": {"edge": EDGE | {"add": None}}}}}, "secrets.keys.maps.edge"),
        (
            {"secrets": {"keys": {"maps": {"edge": EDGE | {"add": {}}}}}},
            "secrets.keys.maps.edge.add",
        ),
        (
            {"secrets": {"keys": {"maps": {"edge": EDGE | {"add": {"header": "Host"}}}}}},
            "secrets.keys.maps.edge.add.header",
        ),
        (
            {
                "secrets": {
                    "keys": {"maps": {"edge": EDGE | {"add": {"query": "k", "prefix": "a"}}}}
                }
            },
            "secrets.keys.maps.edge.add.prefix",
        ),
        (
            {
                "secrets": {
                    "keys": {"maps": {"edge": EDGE | {"add": {"header": "k", "prefix": "Bearer"}}}}
                }
            },
            "secrets.keys.maps.edge.add.prefix",
        ),
        (
            {
                "secrets": {
                    "keys": {
                        "maps": {
                            "edge": EDGE | {"replace": {"header": "k", "placeholder": "wwk-maps"}}
                        }
                    }
                }
            },
            "secrets.keys.maps.edge",
        ),
        (
            {
                "secrets": {
                    "keys": {"maps": {"edge": EDGE | {"private": True}}},
                    "master_key": {"env": "K"},
                },
                "prod": True,
            },
            "secrets.keys.maps.edge.private",
        ),
        (
            {"secrets": {"keys": {"push": {"deliver": {"apps": ["nobody"]}}}}},
            "secrets.keys.push.deliver.apps[0]",
        ),
        ({"secrets": {"keys": {"maps": {"edge": EDGE}}}, "prod": True}, "secrets.master_key"),
        ({"secrets": {"master_key": {}}}, "secrets.master_key"),
        ({"secrets": {"master_key": {"file": "a", "env": "B"}}}, "secrets.master_key"),
        ({"secrets": {"store": "openbao"}}, "secrets.openbao"),
        ({"secrets": {"signing": "watchword"}}, "secrets.openbao"),
        (
            {
                "secrets": {
                    "store": "openbao",
                    "openbao": {"url": "http://bao.example", "token": "t"},
                },
                "prod": True,
            },
            "secrets.openbao.url",
        ),
        ({"secrets": {"usage": {"store": "valkey"}}}, "secrets.usage"),
        (
            {"secrets": {"keys": {"maps": {"edge": EDGE | {"headers": ["Accept", "Cookie"]}}}}},
            "secrets.keys.maps.edge.headers[1]",
        ),
        (
            {"secrets": {"keys": {"maps": {"edge": EDGE | {"headers": ["Accept", "Range"]}}}}},
            "secrets.keys.maps.edge.headers[1]",
        ),
        (
            {"secrets": {"keys": {"maps": {"edge": EDGE | {"max_answer": 64 * 1024**2 + 1}}}}},
            "secrets.keys.maps.edge.max_answer",
        ),
        (
            {"secrets": {"keys": {"maps": {"edge": EDGE | {"reflects": "always"}}}}},
            "secrets.keys.maps.edge.reflects",
        ),
        (
            {"secrets": {"keys": {"maps": {"edge": EDGE | {"headers": ["X-HTTP-Method"]}}}}},
            "secrets.keys.maps.edge.headers[0]",
        ),
        (
            {"secrets": {"keys": {"maps": {"edge": EDGE | {"add": {"header": "Via"}}}}}},
            "secrets.keys.maps.edge.add.header",
        ),
        (
            {"secrets": {"keys": {"maps": {"edge": EDGE | {"spend": {"most": 4, "cost": 5}}}}}},
            "secrets.keys.maps.edge.spend",
        ),
        *(
            ({"secrets": {"usage": {"store": "valkey", "url": url}}}, "secrets.usage.url")
            for url in ("redis://u:p@valkey.example", "redis://[", "redis://h:99999")
        ),
        ({"route": ROUTE}, "apis.clinic.routes[0].secret"),
        ({"route": ROUTE, "secrets": {"keys": {"maps": PUSH}}}, "apis.clinic.routes[0].secret"),
        (
            {"route": ROUTE | {"mode": "monitor"}, "secrets": {"keys": {"maps": {"edge": EDGE}}}},
            "apis.clinic.routes[0].mode",
        ),
        (
            {"route": ROUTE | {"mode": "off"}, "secrets": {"keys": {"maps": {"edge": EDGE}}}},
            "apis.clinic.routes[0].mode",
        ),
        (
            {"route": ROUTE | {"path": "/maps/*"}, "secrets": {"keys": {"maps": {"edge": EDGE}}}},
            "apis.clinic.routes[0].path",
        ),
        (
            {
                "route": ROUTE | {"path": "/*/maps/**"},
                "secrets": {"keys": {"maps": {"edge": EDGE}}},
            },
            "apis.clinic.routes[0].path",
        ),
        (
            {"route": ROUTE, "secrets": {"keys": {"maps": {"edge": EDGE}}}, "upstream": False},
            "apis.clinic.routes[0].secret",
        ),
        (
            {"limits": [{"name": "a", "requests": 1}, {"name": "a", "requests": 2}]},
            "apis.clinic.limits[1].name",
        ),
        (
            {"limits": [{"name": "a", "requests": 1, "routes": ["/nowhere"]}]},
            "apis.clinic.limits[0].routes[0]",
        ),
        (
            {"limits": [{"name": "a", "requests": 1, "below": {"nobody": "1"}}]},
            "apis.clinic.limits[0].below",
        ),
        ({"limits": [{"name": "a", "requests": 0}]}, "apis.clinic.limits[0].requests"),
        ({"limits": [{"name": "rate", "requests": 1}]}, "apis.clinic.limits[0].name"),
    ],
)
def test_faults(tmp_path: Path, parts: dict[str, Any], path: str) -> None:
    """Each is told with its place in the file, and nothing starts."""
    with pytest.raises(ConfigurationError) as caught:
        loaded(tmp_path, **parts)
    assert path in {fault.path for fault in caught.value.faults}
    assert all(fault.line is not None for fault in caught.value.faults)


HEADERS = (
    "Accept Authorization Content-Type Cookie DPoP Host Keep-Alive Signature TE User-Agent Via "
    "Watchword-Level Watchword-Token X-Api-Key X-Real-IP"
)
PLACES = (
    "https://a.example https://A.example.:8443 https://[::1]:9 https://127.1 https://[ https://a:0 https://a:99999 "
    "https://u@a https://a/b https://\u00fc https://[fe80::1%25eth0] https://a..b"
)
NAMES, ORIGINS = st.sampled_from(HEADERS.split()), st.sampled_from(PLACES.split())
ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 10**13),
    st.text(max_size=6),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
)
MEMBERS: dict[str, st.SearchStrategy[Any]] = {
    "origin": ORIGINS | ODD,
    "paths": st.lists(st.sampled_from(["/**", "/a/*/b", "/", "/a**", "/%2e", "//", "/a;b"])) | ODD,
    "methods": st.lists(st.sampled_from(["GET", "HEAD", "PRI", "TRACE", "get"]), max_size=3) | ODD,
    "add": st.fixed_dictionaries({}, optional={"header": NAMES, "query": st.just("key")}) | ODD,
    "headers": st.lists(NAMES, max_size=3) | ODD,
    "quota": st.fixed_dictionaries({"calls": st.integers(0, 3)}) | ODD,
    "spend": st.fixed_dictionaries({"most": st.integers(0, 3), "cost": st.integers(0, 3)}) | ODD,
    "private": ODD,
    "timeout": st.sampled_from(["0s", "1s", "6m", "\uff19s", "1e9d"]) | ODD,
    "max_answer": ODD,
}


@examples(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_what_check_lets_through_a_gate_can_use(tmp_path: Path, data: st.DataObject) -> None:
    """Each section is a clear fault, or a policy: never one with which a gate refuses everything, and never a trace."""
    changed = data.draw(st.sets(st.sampled_from(sorted(MEMBERS)), min_size=1, max_size=2))
    edge = EDGE | {name: data.draw(MEMBERS[name], label=name) for name in sorted(changed)}
    try:
        found = loaded(tmp_path, secrets={"keys": {"maps": {"edge": edge}}}, route=ROUTE)
    except ConfigurationError as error:
        error.render()
        return
    for policy in gate_policies(found):
        compile_injections(policy)
