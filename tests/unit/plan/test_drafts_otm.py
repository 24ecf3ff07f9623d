"""Show what is drafted from a threat model, and that nothing in one breaks the drafting."""

import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from watchword.plan.catalogue import load_catalogue
from watchword.plan.drafts import (
    DRAFT_IMPACT,
    MAX_ASSETS,
    MAX_THREATS,
    Draft,
    DraftAsset,
    merged,
)
from watchword.plan.drafts.otm import RULES, draft_from_otm, impact_of, rule_for
from watchword.plan.interface import AssetKind, Component, Stage, Trait

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda below: (
        st.lists(below, max_size=4) | st.dictionaries(st.text(max_size=12), below, max_size=4)
    ),
    max_leaves=25,
)
APP, CHANNEL, BACKEND = Component.APP, Component.CHANNEL, Component.BACKEND


def model(**members: Any) -> dict[str, Any]:
    """Return a threat model."""
    return {"otmVersion": "0.2.0", "project": {"name": "p", "id": "p"}, **members}


def drafted(**members: Any) -> Draft:
    """Return what is drafted from a threat model without faults."""
    draft, faults = draft_from_otm(model(**members))
    assert faults == []
    return draft


def by_id(draft: Draft) -> dict[str, DraftAsset]:
    """Return the assets by their names."""
    return {asset.id: asset for asset in draft.assets}


@pytest.mark.parametrize(
    ("risk", "impact"),
    [
        ({"confidentiality": 0, "integrity": 0, "availability": 0}, 1),
        ({"confidentiality": 20}, 1),
        ({"confidentiality": 21}, 2),
        ({"confidentiality": 40.5}, 3),
        ({"confidentiality": 10, "integrity": 80, "availability": 30}, 4),
        ({"availability": 81}, 5),
        ({"availability": 100, "integrity": "low"}, 5),
        ({"availability": 101}, None),
        ({"availability": -1}, None),
        ({"availability": float("nan")}, None),
        ({"availability": True}, None),
        ({}, None),
        (None, None),
    ],
)
def test_impact_is_the_worst_of_three_in_fifths(risk: object, impact: int | None) -> None:
    """The mapping is the one that the page tells."""
    assert impact_of(risk) == impact


def test_assets_are_where_components_hold_them() -> None:
    """An asset lives where it is stored or processed, and on the way."""
    draft = drafted(
        assets=[
            {
                "id": "a1",
                "name": "Patient files",
                "risk": {"confidentiality": 90, "integrity": 50, "availability": 10},
            },
            {"id": "a2", "name": "Wallet", "risk": {}},
            {"id": "a3", "name": "wallet"},
            {"name": ""},
        ],
        components=[
            {"id": "c1", "name": "Phone", "type": "ios-client", "assets": {"processed": ["a1"]}},
            {"id": "c2", "name": "DB", "type": "postgres", "assets": {"stored": ["a1", "a2"]}},
        ],
        dataflows=[{"source": "c1", "destination": "c2", "assets": ["a1"]}],
    )
    assets = by_id(draft)
    assert list(assets) == ["patient-files", "wallet", "wallet-2"]
    assert assets["patient-files"].lives_in == {APP, CHANNEL, BACKEND}
    assert assets["patient-files"].impact == 5
    assert assets["patient-files"].traits == {Trait.RECORDS, Trait.LIVE_DATA}
    assert assets["wallet"].lives_in == {BACKEND}
    assert assets["wallet"].impact == DRAFT_IMPACT
    assert assets["wallet"].traits == {Trait.STORED_VALUE}
    assert draft.left_out != ()


@pytest.mark.parametrize(
    ("component", "lives_in"),
    [
        ({"name": "Android app"}, {APP}),
        ({"name": "MobileClient"}, {APP}),
        ({"name": "Mobile API"}, {BACKEND}),
        ({"name": "SQLite", "type": "database"}, {APP}),
        ({"name": "x", "parent": {"trustZone": "z1"}}, {BACKEND}),
        ({"name": "x", "parent": {"trustZone": "z2"}}, {APP}),
        ({"name": "x", "parent": {"component": "inner"}}, {APP}),
        ({"name": "x", "parent": {"component": "round"}}, {BACKEND}),
        ({"name": "x", "parent": 7}, {BACKEND}),
    ],
)
def test_a_component_is_in_the_part_that_its_words_say(
    component: dict[str, Any], lives_in: set[Component]
) -> None:
    """Its own words first, then those of what it stands in; circles end."""
    draft = drafted(
        assets=[{"id": "a", "name": "a"}],
        trustZones=[{"id": "z1", "name": "Public Cloud"}, {"id": "z2", "name": "The phone"}],
        components=[
            {"id": "c", "assets": {"stored": ["a"]}, **component},
            {"id": "inner", "name": "y", "parent": {"trustZone": "z2"}},
            {"id": "round", "name": "y", "parent": {"component": "round"}},
        ],
    )
    assert draft.assets[0].lives_in == lives_in


def test_without_assets_what_stores_or_serves_is_one() -> None:
    """A device by itself is no asset; a service is lost with what it answers."""
    draft = drafted(
        components=[
            {"id": "1", "name": "Mobile Client", "type": "android-device-client"},
            {"id": "2", "name": "Orders PostgreSQL", "type": "db"},
            {"id": "3", "name": "Order API", "type": "web-service"},
        ],
        dataflows=[{"source": "1", "destination": "3"}],
    )
    assets = by_id(draft)
    assert {name: asset.kind for name, asset in assets.items()} == {
        "orders-postgresql": AssetKind.DATA,
        "order-api": AssetKind.SERVICE,
    }
    assert assets["order-api"].lives_in == {APP, CHANNEL, BACKEND}
    assert {asset.impact for asset in draft.assets} == {DRAFT_IMPACT}


def test_a_mapped_threat_gives_its_trait_and_its_place() -> None:
    """So that the paths with its technique are derived; one that isn't clear changes nothing."""
    draft = drafted(
        components=[{"id": "1", "name": "Order API", "threats": [{"threat": 1}, {"threat": "2"}]}],
        threats=[
            {"id": 1, "name": "x", "cwes": ["cwe-0918"]},
            {"id": "2", "name": "A clerk is bribed"},
            {"id": "3", "name": "A clerk is bribed"},
        ],
    )
    assert draft.assets[0].traits == {Trait.AVAILABILITY, Trait.INTERNAL_NETWORK}
    mapped, unmapped = draft.threats
    assert (mapped.technique, mapped.assets, mapped.count) == ("MT-B16", ("order-api",), 1)
    assert (unmapped.technique, unmapped.assets, unmapped.count) == (None, ("order-api",), 2)


def test_likelihood_changes_nothing_and_is_told() -> None:
    """Whatever a threat says of it, the same is drafted."""
    components = [{"id": "1", "name": "Order API", "threats": [{"threat": "t"}]}]
    threats = [{"id": "t", "name": "Flooding", "risk": {"impact": 100}}]
    without = drafted(components=components, threats=threats)
    for likelihood in (0, 100, "certain"):
        threats[0]["risk"] = {"impact": 100, "likelihood": likelihood}
        given_one = drafted(components=components, threats=threats)
        assert given_one.assets == without.assets
        assert given_one.threats == without.threats
        assert len(given_one.left_out) == len(without.left_out) + 1


@pytest.mark.parametrize(
    ("document", "where"),
    [
        ("x", ()),
        ({}, ()),
        ({"summary": {}, "detail": {}}, ()),
        ({"otmVersion": "1.0.0"}, ("otmVersion",)),
        ({"otmVersion": None}, ("otmVersion",)),
        ({"otmVersion": "0.2.0"}, ("assets",)),
        ({"otmVersion": "0.2.0", "components": [{"id": "1", "name": "Phone"}]}, ("assets",)),
    ],
)
def test_what_is_no_threat_model_is_a_fault(document: object, where: tuple[str, ...]) -> None:
    """The fault names the place."""
    draft, (fault,) = draft_from_otm(document)
    assert draft.assets == ()
    assert fault.where == where


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.technique)
def test_each_rule_names_a_technique_that_does_what_it_says(rule: Any) -> None:
    """The technique is in the catalogue, acts there, and harms what has the trait."""
    technique = load_catalogue().techniques[rule.technique]
    assert technique.component is rule.component
    assert (rule.trait is None) == (technique.stage is Stage.RECON)
    assert rule.trait is None or rule.trait in technique.harms
    assert rule.numbers or rule.words


@pytest.mark.parametrize(
    ("name", "texts", "technique"),
    [
        ("Somebody may brute-force a PIN", [], "MT-B06"),
        ("see CAPEC-600", [], "MT-B05"),
        ("x", ["CWE_295"], "MT-C03"),
        ("Reverse engineering and tampering of binaries", [], "MT-A11"),
        ("Reverse engineering", [], "MT-A01"),
        ("SQL injection through the API", [], None),
        ("x", ["brute force"], None),
        ("CWE-29", [], None),
    ],
)
def test_threats_are_mapped_where_it_is_clear(
    name: str, texts: list[str], technique: str | None
) -> None:
    """By numbers anywhere, by words in the name alone."""
    rule = rule_for(name, texts)
    assert (rule.technique if rule is not None else None) == technique


def test_large_models_are_cut_and_say_so() -> None:
    """Beyond the limits things are counted, not drafted."""
    draft = drafted(
        assets=[{"id": str(i), "name": f"a{i}"} for i in range(4000)],
        components=[
            {"id": f"c{i}", "name": "db", "assets": {"stored": [str(j) for j in range(200)]}}
            for i in range(1000)
        ],
        threats=[{"id": str(i), "name": f"threat {i}"} for i in range(1000)],
    )
    assert len(draft.assets) == MAX_ASSETS
    assert len(draft.threats) == MAX_THREATS
    assert len(draft.left_out) == 2


def test_a_model_of_one_long_circle_is_drafted_in_time() -> None:
    """Thousands of components that stand in one another, with flows between all, take seconds."""
    count = 3000
    started = time.perf_counter()
    draft = drafted(
        assets=[{"id": "a", "name": "a"}],
        components=[
            {"id": f"c{i}", "name": "x", "parent": {"component": f"c{(i + 1) % count}"}}
            for i in range(count)
        ],
        dataflows=[
            {"source": f"c{i}", "destination": f"c{i - 1}", "assets": ["a"]} for i in range(count)
        ],
    )
    assert time.perf_counter() - started < 10
    assert draft.assets[0].lives_in == {CHANNEL, BACKEND}


def test_drafts_of_the_same_asset_become_one_with_the_worse_impact() -> None:
    """What either says of it stays."""
    one = drafted(assets=[{"id": "1", "name": "Wallet", "risk": {"integrity": 100}}])
    other = drafted(assets=[{"id": "9", "name": "wallet", "description": "votes"}])
    (asset,) = merged([other, one]).assets
    assert asset.impact == 5
    assert asset.traits == {Trait.STORED_VALUE, Trait.FRAUD_RULE}


@settings(max_examples=300, deadline=None)
@given(JSON)
def test_no_document_raises(document: Any) -> None:
    """Arbitrary JSON is drafted from or refused with a fault."""
    draft, faults = draft_from_otm(document)
    assert bool(faults) != bool(draft.assets)


MEMBERS = st.dictionaries(
    st.sampled_from(
        [
            "id",
            "name",
            "type",
            "risk",
            "parent",
            "assets",
            "threats",
            "source",
            "cwes",
            "description",
        ]
    ),
    JSON | st.sampled_from(["a", "b", {"stored": ["a"]}, [{"threat": "a"}], {"component": "a"}]),
)


@settings(max_examples=300, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(
            ["assets", "components", "dataflows", "trustZones", "threats", "mitigations", "project"]
        ),
        JSON | st.lists(MEMBERS, max_size=4),
    )
)
def test_no_content_of_a_document_raises(members: dict[str, Any]) -> None:
    """What looks like a threat model may hold anything."""
    draft, faults = draft_from_otm({"otmVersion": "0.2.0", **members})
    assert bool(faults) != bool(draft.assets)
