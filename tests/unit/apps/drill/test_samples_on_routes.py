"""Which requests a drill makes for which routes, and which routes nobody asks for."""

from dataclasses import replace
from pathlib import Path

import yaml

from watchword.apps.drill.harness import Standing, samples_of, unasked
from watchword.apps.drill.run import _changed
from watchword.apps.settings.load import load_settings
from watchword.apps.settings.plan import load_plan
from watchword.apps.settings.schema import ApiSettings, DrillRequest, DrillSettings
from watchword.apps.settings.template import TEMPLATE
from watchword.drill.interface import SUCCESSES, Sample
from watchword.gate.interface import GatePolicy
from watchword.observations import SeenRoute
from watchword.plan.interface import Asset
from watchword.tokens.interface import TokenExpectation
from watchword.vocabulary import Environment, Mode, Proof

ROUTES = [
    {"path": "/health", "mode": "off"},
    {"path": "/cards/**", "mode": "off"},
    {"path": "/pay", "methods": ["GET", "POST"], "proof": "device"},
    {"path": "/notes/**", "methods": ["POST"], "mode": "off"},
    {"path": "/**", "proof": "session"},
]


def bank(tmp_path: Path) -> tuple[ApiSettings, list[Asset]]:
    """Return a bank with a card route that is off, and its assets."""
    data = yaml.safe_load(TEMPLATE)
    data["apis"]["clinic"]["routes"] = ROUTES
    base = {"kind": "data", "because": "x"}
    data["plan"]["assets"] = {
        name: {**base, "impact": impact, "routes": [{"api": "clinic", "path": path}]}
        for name, impact, path in (
            ("cards", 5, "/cards/**"),
            ("notes", 2, "/notes/**"),
            ("payments", 4, "/pay"),
        )
    } | {"anything": {**base, "impact": 5, "lives_in": ["app"]}}
    file = tmp_path / "watchword.yaml"
    file.write_text(yaml.safe_dump(data), "utf-8")
    return load_settings(file).apis["clinic"], list(load_plan(file).assets.values())


def asked(*requests: tuple[str, str]) -> DrillSettings:
    """Return a drill that names these requests."""
    return replace(
        DrillSettings(),
        requests=tuple(DrillRequest(method, path, SUCCESSES, b"") for method, path in requests),
    )


def test_a_sample_names_its_route_and_what_lives_there(tmp_path: Path) -> None:
    """The row's pattern with the request's own method; assets that name no route live nowhere in particular."""
    api, assets = bank(tmp_path)
    pay, rest = samples_of(api, asked(("POST", "/pay"), ("GET", "/v1")), {}, assets)[:2]
    assert (pay.seen, pay.assets) == (
        SeenRoute("/pay", "POST", Proof.DEVICE),
        ("payments (impact 4)",),
    )
    # Rows for some methods leave the others to what comes behind them.
    assert (rest.seen, rest.assets) == (
        SeenRoute("/**", "GET", Proof.SESSION),
        ("payments (impact 4)", "notes (impact 2)"),
    )


def test_what_is_off_where_an_asset_lives_is_asked_for_all_the_same(tmp_path: Path) -> None:
    """Made up, and only by a method that changes nothing; what the file names needs no other."""
    api, assets = bank(tmp_path)

    def made_up(drill: DrillSettings, living: list[Asset]) -> list[Sample]:
        return [each for each in samples_of(api, drill, {}, living) if not each.asked]

    (cards,) = made_up(asked(("GET", "/v1")), assets)
    assert (cards.name, cards.mode, cards.assets) == (
        "GET /cards/1",
        Mode.OFF,
        ("cards (impact 5)",),
    )
    assert made_up(asked(("GET", "/cards/7")), assets) == []
    assert made_up(asked(("GET", "/v1")), []) == []


def test_routes_that_no_request_falls_on_are_told(tmp_path: Path) -> None:
    """By each method that they name; what is open to all and guards nothing isn't missed."""
    api, assets = bank(tmp_path)

    def missed(*requests: tuple[str, str]) -> tuple[str, ...]:
        return unasked(api, samples_of(api, asked(*requests), {}, assets), assets)

    notes = "POST /notes/** (notes (impact 2))"
    assert missed(("GET", "/v1")) == ("GET,POST /pay (payments (impact 4))", notes)
    assert missed(("GET", "/v1"), ("GET", "/pay")) == ("POST /pay (payments (impact 4))", notes)
    assert missed(("GET", "/pay"), ("POST", "/pay"), ("POST", "/notes/1")) == (
        "/** (payments (impact 4), notes (impact 2))",
    )


def test_a_deployment_that_is_not_what_the_run_went_by(tmp_path: Path) -> None:
    """Another generation, another table at the gate, another policy there in the end: each with its cause."""
    api, _ = bank(tmp_path)
    policy = GatePolicy("clinic", TokenExpectation("i", api.audience, Environment.LAB), api.routes)
    began = Standing("ab" * 32, policy)
    assert _changed(api.routes, began, began) == ""
    assert _changed(api.routes, Standing("ab" * 32), began) == ""
    other = _changed(api.routes, began, replace(began, generation="cd" * 32))
    assert (
        "changed in watchword.yaml while the drill ran (generation abababab, then cdcdcdcd)"
        in other
    )
    assert "then none" in _changed(api.routes, began, replace(began, generation=""))
    laxer = replace(policy, routes=policy.routes[:-1])
    assert "another route table" in _changed(
        api.routes, replace(began, enforced=laxer), replace(began, enforced=laxer)
    )
    assert "another policy" in _changed(
        api.routes, began, replace(began, enforced=replace(policy, case_sensitive=True))
    )
