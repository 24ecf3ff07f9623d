"""Show that a plan section is understood, and that a bad one shows all of its faults with their places."""

import json
import re
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from hypothesis import given
from hypothesis import strategies as st

from watchword.apps.cli.declarations import check_command as command
from watchword.apps.settings import document
from watchword.apps.settings.faults import ConfigurationError
from watchword.apps.settings.load import load_settings
from watchword.apps.settings.plan import PlanSettings, generation_of, load_plan
from watchword.apps.settings.plan_section import (
    MAX_STEPS,
    NO_LIKELIHOOD,
    AssetConfig,
    PlanConfig,
    ScenariosConfig,
)
from watchword.apps.settings.template import TEMPLATE
from watchword.apps.terminal.console import EXIT_USAGE
from watchword.plan import threat_model
from watchword.plan.catalogue import LIKELIHOOD_WORDS
from watchword.plan.evidence import shut_routes, weak_routes
from watchword.plan.interface import (
    Actor,
    AssetKind,
    Component,
    Intelligence,
    PathOrigin,
    Quantities,
    Trait,
)
from watchword.tokens.jose import jwk_from_public_key, published_jwk
from watchword.vocabulary import Environment

ROOT = Path(__file__).parents[3]
EXAMPLES = sorted([*ROOT.glob("examples/*.yaml"), *ROOT.glob("examples/cases/*.yaml")])
DIGEST = "4f1d8c5b0e3a7296d1c4b5a6978810fe2d3c4b5a69788190a1b2c3d4e5f60718"

PLAN = """\
version: 1
plan:
  assets:
    backend-records:
      kind: data
      impact: 5
      because: everybody's
      lives_in: [backend]
"""


def write(tmp_path: Path, text: str) -> Path:
    """Write a file and return its path."""
    file = tmp_path / "plan.yaml"
    file.write_text(text, encoding="utf-8")
    return file


def faults_of(file: Path) -> dict[str, tuple[int | None, str, str]]:
    """Return the faults of a plan by path."""
    with pytest.raises(ConfigurationError) as caught:
        load_plan(file)
    assert caught.value.file == file
    return {f.path: (f.line, f.got, f.expected) for f in caught.value.faults}


def load(tmp_path: Path, text: str) -> PlanSettings:
    """Return the settings of a text."""
    return load_plan(write(tmp_path, text))


def test_every_member_arrives_as_its_domain_type(tmp_path: Path) -> None:
    """Nothing that is written gets lost on the way."""
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    (tmp_path / "drill.jwk").write_text(json.dumps(published_jwk("a", key)), encoding="utf-8")
    text = f"""\
version: 1
environment: lab
plan:
  observations: seen/all.jsonl
  max_age: 12h
  budget: 20
  observers: {{drill: {{key: drill.jwk}}}}
  builds: {{clinic-ios: {DIGEST.upper()}}}
  assets:
    backend-records:
      kind: data
      impact: 5
      because: everybody's
      lives_in: [app]
      routes: [{{api: clinic, path: /v1/patients/**}}]
      quantities: {{users: 9500000, records: 10200, money: 900000 AUD, downtime: 4h}}
    booking: {{kind: service, impact: 3, because: full lines, lives_in: [backend]}}
    bonus: {{kind: use-case, impact: 1, because: a voucher, lives_in: [app], traits: [app-logic]}}
    screen: {{kind: data, impact: 2, because: one patient, lives_in: [app, channel]}}
  scenarios:
    strike: [{{technique: MT-A22, because: no old version}}]
    add: [{{asset: backend-records, steps: [MT-B08], assumes: [protocol], because: told by a friend}}]
    pin: [{{asset: screen, steps: [MT-A16], because: asked for in audits}}]
"""
    plan = load(tmp_path, text)
    base = tmp_path.resolve()
    assert (plan.path, plan.environment, plan.budget) == (base / "plan.yaml", Environment.LAB, 20)
    assert plan.observations == base / "seen" / "all.jsonl"
    assert plan.max_age.total_seconds() == 12 * 3600
    assert plan.builds == {"clinic-ios": DIGEST}
    assert plan.observers["drill"].public_numbers() == key.public_numbers()
    records = plan.assets["backend-records"]
    assert (records.kind, records.impact, records.because) == (AssetKind.DATA, 5, "everybody's")
    assert records.lives_in == {Component.APP, Component.BACKEND}
    assert records.traits == {Trait.RECORDS, Trait.LIVE_DATA}
    assert records.places == {"api:clinic"}
    assert records.routes == ("clinic /v1/patients/**",)
    assert records.quantities == Quantities(9500000, 10200, "900000 AUD", "4h")
    assert plan.assets["booking"].traits == {Trait.AVAILABILITY}
    assert plan.assets["bonus"].traits == {Trait.APP_LOGIC}
    assert plan.assets["screen"].traits == {Trait.LIVE_DATA}
    (added,), (pinned,) = plan.scenarios.add, plan.scenarios.pin
    assert (added.origin, pinned.origin) == (PathOrigin.ADDED, PathOrigin.PINNED)
    assert added.assumes == {Intelligence.PROTOCOL}
    assert plan.scenarios.derive
    assert set(plan.model.assets) == set(plan.assets)


def test_what_is_left_out_has_its_default(tmp_path: Path) -> None:
    """A file of eight lines is enough for a plan, and it is one of production."""
    plan = load(tmp_path, PLAN)
    assert plan.environment is Environment.PROD
    assert plan.observations == tmp_path.resolve() / ".watchword" / "observations.jsonl"
    assert (plan.max_age.days, plan.budget) == (30, None)
    assert (plan.observers, plan.builds, plan.generations) == ({}, {}, {})
    assert plan.model.paths


def test_observations_lie_in_the_service_state(tmp_path: Path) -> None:
    """The service keeps them where it keeps the rest."""
    plan = load(tmp_path, PLAN + "service: {state: var/state, isuer: x}\n")
    assert plan.observations == tmp_path.resolve() / "var" / "state" / "observations.jsonl"


def test_apps_that_call_an_api_are_places_of_its_assets(tmp_path: Path) -> None:
    """A proof seen in the app counts for what the app gets."""
    text = TEMPLATE.replace("issuer:", "isuer:")  # Faults elsewhere don't stop a plan.
    plan = load(tmp_path, text)
    assert plan.assets["patient-records"].places == {
        "api:clinic",
        "app:clinic-ios",
        "app:clinic-android",
    }
    assert not plan.assets["one-patients-live-data"].places
    assert set(plan.generations) == {"clinic"}


PARTNERS = """\
    partner-payments:
      kind: use-case
      impact: 5
      because: they pay for our customers
      traits: [payment]
      actors: [partner]
      routes: [{api: clinic, path: /partner/**}]
"""


def test_what_partners_alone_call_hangs_on_no_app_and_no_shield(tmp_path: Path) -> None:
    """No app is a place of it, and a route of theirs in mode off doesn't make the shield of the app's routes broken."""
    off = "    routes:\n      - path: /partner/**\n        mode: off\n"
    whole = TEMPLATE.replace("    routes:\n", off, 1).replace(
        "  assets:\n", f"  assets:\n{PARTNERS}", 1
    )
    plan = load(tmp_path, whole)
    asset = plan.assets["partner-payments"]
    assert asset.actors == {Actor.PARTNER}
    assert asset.places == {"api:clinic"}
    assert weak_routes([asset]) == ()
    # The same route of users is one that refuses nobody.
    both = load(tmp_path, whole.replace("actors: [partner]", "actors: [user, partner]"))
    weak = weak_routes([both.assets["partner-payments"]])
    assert [each.row.path for each in weak] == ["/partner/**"]
    assert "app:clinic-ios" in both.assets["partner-payments"].places


@pytest.mark.parametrize("mode", ["enforce", "canary"])
@pytest.mark.parametrize("proof", ["bearer", "session", "device"])
def test_a_row_that_refuses_partners_is_told(tmp_path: Path, mode: str, proof: str) -> None:
    """They have no app that could get a token: check names the row, whatever proof it asks for."""
    row = f"    routes:\n      - path: /partner/**\n        mode: {mode}\n        proof: {proof}\n"
    if mode == "canary":
        row += "        canary: {share: 5}\n"
    whole = TEMPLATE.replace("    routes:\n", row, 1).replace(
        "  assets:\n", f"  assets:\n{PARTNERS}", 1
    )
    (shut,) = shut_routes(load(tmp_path, whole).assets.values())
    assert str(shut) == (
        "Route /partner/** of clinic, where partner-payments (impact 5) lives, asks for a token that only "
        f"an app gets (mode: {mode}, proof: {proof}): partners have none, and are refused. Give them a path or a "
        "host of their own, write mode: off there, and check mutual TLS in front of it."
    )
    done = check(write(tmp_path, whole))
    assert "shut route Route /partner/** of clinic" in " ".join(done.output.split()), done.output
    assert json.loads(check(write(tmp_path, whole), "--json").output)["shut_routes"] == [str(shut)]
    # What their app's users call as well may refuse partners on some of its rows.
    both = PARTNERS.replace("[partner]", "[user, partner]")
    assert shut_routes(load(tmp_path, whole.replace(PARTNERS, both)).assets.values())
    wider = both.replace("path: /partner/**}", "path: /partner/**}, {api: clinic, path: /health}")
    assert not shut_routes(load(tmp_path, whole.replace(PARTNERS, wider)).assets.values())


@pytest.mark.parametrize("mode", ["off", "monitor"])
def test_a_row_that_refuses_nobody_locks_no_partner_out(tmp_path: Path, mode: str) -> None:
    """Partners pass there."""
    row = f"    routes:\n      - path: /partner/**\n        mode: {mode}\n"
    whole = TEMPLATE.replace("    routes:\n", row, 1).replace(
        "  assets:\n", f"  assets:\n{PARTNERS}", 1
    )
    assert shut_routes(load(tmp_path, whole).assets.values()) == ()


@pytest.mark.parametrize(
    ("impact", "level", "told"),
    [(5, "software", 1), (4, "software", 1), (3, "software", 0), (5, "verified", 0)],
)
def test_a_phone_that_nobody_vouches_for_is_weak_where_much_lives(
    tmp_path: Path, impact: int, level: str, told: int
) -> None:
    """From impact 4 on; what is written to Play Integrity's level is strong enough."""
    whole = TEMPLATE.replace("proof: bearer\n", "proof: session\n")
    whole = whole.replace("level: hardware\n", f"level: {level}\n")
    whole = whole.replace("impact: 5", f"impact: {impact}")
    weak = [str(each) for each in weak_routes(load(tmp_path, whole).assets.values())]
    assert len(weak) == told
    assert all(
        "(level: software), where keys can be copied. Write level: verified" in each
        for each in weak
    )


def test_check_shows_the_proof_of_each_route(tmp_path: Path) -> None:
    """Payments by a stolen token and payments by a signed order don't look the same."""
    assert (
        "enforce  /** (any method, proof bearer, level hardware)"
        in check(write(tmp_path, TEMPLATE)).output
    )
    signed = TEMPLATE.replace("proof: bearer\n", "proof: device\n")
    assert (
        "enforce  /** (any method, proof device, level hardware)"
        in check(write(tmp_path, signed)).output
    )


@pytest.mark.parametrize(
    ("asset", "row", "near"),
    [
        ("/v1/recrods/**", "/v1/records/**", ", such as /v1/records/**"),
        ("/v1/records/**", "/v9/archive/**", ""),
        ("/v1/records/**", "/v1/*/photo", None),
        ("/v1/records/**", "/v1/records", None),
        ("/v1/records/*", "/**", None),
    ],
)
def test_an_asset_where_no_row_decides_is_a_fault(
    tmp_path: Path, asset: str, row: str, near: str | None
) -> None:
    """The gate refuses it, and no proof could hang on it; what looks most like it is named."""
    text = TEMPLATE.replace("path: /v1/records/**}]", f"path: {asset}}}]")
    text = text.replace("- path: /**\n", f"- path: {row}\n")
    told = []
    try:
        load(tmp_path, text)
    except ConfigurationError as error:
        told = [(fault.path, fault.expected) for fault in error.faults]
    expected = f"a path that some route of clinic decides on{near}"
    place = "plan.assets.patient-records.routes[0].path"
    assert told == ([] if near is None else [(place, expected)])


@pytest.mark.parametrize(
    ("member", "path"),
    [
        ("actors: []", "plan.assets.backend-records.actors"),
        ("actors: [staff]", "plan.assets.backend-records.actors[0]"),
        ("actors: partner", "plan.assets.backend-records.actors"),
        ("actors: [partner]\n      traits: [app-logic]", "plan.assets.backend-records"),
    ],
)
def test_actors_that_are_none_are_faults(tmp_path: Path, member: str, path: str) -> None:
    """An asset that nobody calls, or that is nothing to whoever calls it, would look safe."""
    assert path in faults_of(write(tmp_path, f"{PLAN}      {member}\n"))


def test_what_partners_alone_call_lives_in_no_app(tmp_path: Path) -> None:
    """They have none, and nothing of it is on a phone's network."""
    text = PLAN.replace("[backend]", "[app, backend]") + "      actors: [partner]\n"
    _, got, expected = faults_of(write(tmp_path, text))["plan.assets.backend-records.lives_in"]
    assert got == "app, backend"
    assert expected.startswith("backend alone")


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_examples_load(file: Path) -> None:
    """Each example is whole and holds exactly the paths of its story; the composed bank has no story, and all that can be derived."""
    plan = load_plan(file)
    assert plan.scenarios.derive == (file.stem == "retail-bank")
    if not plan.scenarios.derive:
        assert len(plan.model.paths) == len(plan.scenarios.add)
    assert not plan.model.cut


def test_seed_is_the_story_of_the_key_and_the_script() -> None:
    """The example that acceptance rests on keeps its three paths and two impacts."""
    plan = load_plan(ROOT / "examples" / "api-key-script.yaml")
    assert {path.id for path in plan.model.paths} == {
        "backend-records:MT-A02>MT-C06>MT-B03",
        "backend-records:MT-C07>MT-C06>MT-B03",
        "one-user-live-data:MT-A09",
    }
    assert {name: asset.impact for name, asset in plan.assets.items()} == {
        "backend-records": 5,
        "one-user-live-data": 2,
    }


def test_example_of_the_page_loads(tmp_path: Path) -> None:
    """What the page shows can be copied and works."""
    page = (ROOT / "docs" / "plan-file.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    plan = load(tmp_path, block)
    assert set(plan.model.assets) == {"patient-records", "booking", "first-visit-bonus"}
    assert len(plan.model.struck) > 0


def test_all_faults_at_once(tmp_path: Path) -> None:
    """Faults of the file, of shape, of value and between sections stand in one answer, with lines."""
    text = f"""\
version: 2
enviroment: lab
apis: {{clinic: {{apps: [a]}}}}
apps: {{clinic-ios: {{}}}}
plan:
  budgt: 3
  budget: 0
  max_age: 366d
  observers:
    a: {{key: none.jwk}}
    Bad: {{}}
  builds:
    clinic-ios: abc
    clinic-watch: {DIGEST}
  assets:
    records:
      kind: datum
      impact: 6
      because: "  "
      traits: [everything]
      quantities: {{users: -1, money: a lot}}
    screen:
      kind: data
      impact: 3
      because: x
    flow:
      kind: use-case
      impact: "3"
      because: x
      routes: [{{api: klinic, path: v1}}]
    good:
      kind: use-case
      impact: 3
      because: x
      routes: [{{api: klinic, path: /v1}}]
  scenarios:
    strike:
      - {{because: x}}
    add:
      - {{asset: records, steps: []}}
      - {{asset: records, steps: ["a b"], assumes: [luck], because: x}}
"""
    faults = faults_of(write(tmp_path, text))
    assert {path: line for path, (line, _, _) in faults.items()} == {
        "version": 1,
        "enviroment": 2,
        "plan.budgt": 6,
        "plan.budget": 7,
        "plan.max_age": 8,
        "plan.observers.a.key": 10,
        "plan.observers.Bad": 11,
        "plan.observers.Bad.key": 11,
        "plan.builds.clinic-ios": 13,
        "plan.builds.clinic-watch": 14,
        "plan.assets.records.kind": 17,
        "plan.assets.records.impact": 18,
        "plan.assets.records.because": 19,
        "plan.assets.records.traits[0]": 20,
        "plan.assets.records.quantities.users": 21,
        "plan.assets.records.quantities.money": 21,
        "plan.assets.screen.lives_in": 22,
        "plan.assets.flow.impact": 28,
        "plan.assets.flow.routes[0].path": 30,
        "plan.assets.good.traits": 31,
        "plan.assets.good.routes[0].api": 35,
        "plan.scenarios.strike[0]": 38,
        "plan.scenarios.add[0].because": 40,
        "plan.scenarios.add[0].steps": 40,
        "plan.scenarios.add[1].steps[0]": 41,
        "plan.scenarios.add[1].assumes[0]": 41,
    }
    assert faults["plan.budgt"][2].startswith("'budget'?")
    assert faults["plan.budget"][1:] == ("0", "1 to 10000")
    assert faults["plan.assets.records.impact"][1:] == ("6", "1 to 5")
    assert "clinic" in faults["plan.assets.good.routes[0].api"][2]


@pytest.mark.parametrize(
    ("old", "new", "path", "line"),
    [
        ("", "", "plan.scenarios.add[0].steps[1]", 11),  # Unknown to the catalogue.
        ("MT-X99, ", "MT-A02, ", "plan.scenarios.add[0].steps[1]", 11),  # Needs a protocol.
        ("MT-X99, MT-B03", "MT-A02", "plan.scenarios.add[0].steps", 11),  # Ends in gathering.
        ("backend-records, steps", "records, steps", "plan.scenarios.add[0].asset", 11),
    ],
)
def test_faults_of_the_model_have_their_place(
    tmp_path: Path, old: str, new: str, path: str, line: int
) -> None:
    """What only the planner can know is told like any other fault."""
    add = "  scenarios:\n    add:\n      - {asset: backend-records, steps: [MT-A02, MT-X99, MT-B03], because: x}\n"
    if "MT-A02, " in new:
        add = add.replace("MT-A02, MT-X99", "MT-A02")
    text = PLAN + (add.replace(old, new) if old else add)
    faults = faults_of(write(tmp_path, text))
    assert path in faults
    assert faults[path][0] == line


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("version: 1\n", "plan"),
        ("version: 1\nplan:\n", "plan"),
        ("version: 1\nplan: {}\n", "plan.assets"),
        ("version: 1\nplan: {assets: {}}\n", "plan.assets"),
        ("version: 1\nplan: {assets: []}\n", "plan.assets"),
        ("version: 1\nplan: [1]\n", "plan"),
        ("version: true\nplan: {}\n", "version"),
        ("plan: {}\n", "version"),
        ("[]", ""),
        ("", ""),
        (PLAN + "environment: test\n", "environment"),
        (PLAN + "  assets: {}\n", "plan.assets"),
        (PLAN + "  catalogue: none.yaml\n", "plan.catalogue"),
        (PLAN + "  catalogue: .\n", "plan.catalogue"),
    ],
)
def test_what_is_no_plan_is_told(tmp_path: Path, text: str, path: str) -> None:
    """An empty model would look like a finished one."""
    faults = faults_of(write(tmp_path, text))
    assert path in faults
    assert all(got and expected for _, got, expected in faults.values())


@pytest.mark.parametrize("name", sorted(LIKELIHOOD_WORDS))
@pytest.mark.parametrize(
    "place",
    [
        "plan",
        "plan.assets.backend-records",
        "plan.assets.backend-records.quantities",
        "plan.assets",
    ],
)
def test_likelihood_is_a_fault_that_says_why(tmp_path: Path, name: str, place: str) -> None:
    """Whoever looks for the field learns why there is none, from both readers."""
    added = {
        "plan": f"  {name}: 5\n",
        "plan.assets": f"    {name}: {{}}\n",
        "plan.assets.backend-records": f"      {name}: 5\n",
        "plan.assets.backend-records.quantities": f"      quantities: {{{name}: 5}}\n",
    }[place]
    file = write(tmp_path, PLAN + added)
    line, _, expected = faults_of(file)[f"{place}.{name}"]
    assert (line, expected) == (9, NO_LIKELIHOOD)
    assert "impact" in expected
    with pytest.raises(ConfigurationError) as caught:
        load_settings(file)
    assert NO_LIKELIHOOD in {fault.expected for fault in caught.value.faults}


def test_likelihood_of_a_path_is_one_too(tmp_path: Path) -> None:
    """Paths are where other tools keep it."""
    path = "  scenarios:\n    add: [{asset: a, steps: [MT-B08], Likelihood: 1, because: x}]\n"
    assert (
        faults_of(write(tmp_path, PLAN + path))["plan.scenarios.add[0].Likelihood"][2]
        == NO_LIKELIHOOD
    )


def _private_jwk() -> dict[str, str]:
    key = ec.generate_private_key(ec.SECP256R1())
    return {**jwk_from_public_key(key.public_key()), "d": "AQAB"}


def _mutated(**members: Any) -> str:
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    return json.dumps({**jwk_from_public_key(key), **members})


PEM = (
    ec.generate_private_key(ec.SECP256R1())
    .private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    .decode()
)


@pytest.mark.parametrize(
    ("content", "word"),
    [
        ("{}", "kind"),
        ("<html>", "JWK"),
        ("[]", "JWK"),
        ("x" * 5000, "JWK"),
        (json.dumps({"kty": "RSA", "n": "AQAB", "e": "AQAB"}), "'RSA'"),
        (_mutated(crv="P-384"), "'P-384'"),
        (_mutated(x="A" * 43), "P-256"),
        (_mutated(x=5), "P-256"),
        (_mutated(crv={"P-256": 1}), "curve"),
    ],
    # The keys are fresh in each process, and its names must be the same in all.
    ids=["empty", "html", "list", "long", "rsa", "p384", "off-curve", "number", "mapping"],
)
def test_observer_key_that_is_none_is_a_fault(tmp_path: Path, content: str, word: str) -> None:
    """What is wrong with it stands there, and what was expected."""
    (tmp_path / "o.jwk").write_text(content, encoding="utf-8")
    faults = faults_of(write(tmp_path, PLAN + "  observers: {drill: {key: o.jwk}}\n"))
    line, got, expected = faults["plan.observers.drill.key"]
    assert line == 9
    assert "'o.jwk'" in got
    assert word in got
    assert "JWK" in expected


@pytest.mark.parametrize(
    "content", [json.dumps(_private_jwk()), PEM, '{"kty": "oct", "k": "AQAB"}']
)
def test_private_key_of_an_observer_is_refused_and_not_shown(tmp_path: Path, content: str) -> None:
    """Whoever has it can prove anything; it has no business with the one who believes."""
    (tmp_path / "o.jwk").write_text(content, encoding="utf-8")
    faults = faults_of(write(tmp_path, PLAN + "  observers: {drill: {key: o.jwk}}\n"))
    _, got, expected = faults["plan.observers.drill.key"]
    assert "private" in got
    assert "public" in expected
    assert "AQAB" not in got


@pytest.mark.parametrize("key", ["none.jwk", ".", "x" * 300])
def test_observer_key_that_cannot_be_read_is_a_fault(tmp_path: Path, key: str) -> None:
    """It isn't left out in silence: its proofs would be claims, and nobody knew why."""
    faults = faults_of(write(tmp_path, PLAN + f"  observers: {{drill: {{key: {key}}}}}\n"))
    assert set(faults) == {"plan.observers.drill.key"}


def test_two_observers_do_not_share_a_key(tmp_path: Path) -> None:
    """A signature would name neither of them."""
    jwk = jwk_from_public_key(ec.generate_private_key(ec.SECP256R1()).public_key())
    for name in ("a", "b"):
        (tmp_path / f"{name}.jwk").write_text(json.dumps({**jwk, "kid": name}), encoding="utf-8")
    text = PLAN + "  observers:\n    a: {key: a.jwk}\n    b: {key: b.jwk}\n"
    faults = faults_of(write(tmp_path, text))
    assert set(faults) == {"plan.observers.b.key"}
    assert faults["plan.observers.b.key"][0] == 11


@pytest.mark.parametrize(
    ("technique", "expected"),
    [
        ("T1566", "not ATT&CK's: `watchword plan catalogue` lists them"),
        ("T1556.006", "not ATT&CK's"),
        ('"OWASP M3"', "such as MT-B03: `watchword plan catalogue` lists them"),
        ("MT-B3", "MT-B03? Known"),
    ],
)
def test_an_id_of_another_list_is_told_apart(tmp_path: Path, technique: str, expected: str) -> None:
    """ATT&CK's and OWASP's are others' ids; the fault says where ours stand."""
    text = f"{PLAN}  scenarios:\n    strike: [{{technique: {technique}, because: x}}]\n"
    with pytest.raises(ConfigurationError) as error:
        load(tmp_path, text)
    (fault,) = error.value.faults
    assert expected in fault.expected


def test_a_description_of_an_api_is_no_plan_and_says_so(tmp_path: Path) -> None:
    """One fault that says what to do, in place of one for each key."""
    for head in ("openapi: 3.1.0", 'swagger: "2.0"'):
        with pytest.raises(ConfigurationError) as error:
            load(tmp_path, f"{head}\ninfo: {{title: t}}\npaths: {{}}\n")
        (fault,) = error.value.faults
        assert (fault.line, fault.got) == (1, "a description of an API")
        assert "watchword plan init --openapi" in fault.expected


def test_own_catalogue_is_merged(tmp_path: Path) -> None:
    """A change of one effort arrives; the rest stays ours."""
    (tmp_path / "own.yaml").write_text("protections: {PR-B01: {effort: 2}}\n", encoding="utf-8")
    plan = load(tmp_path, PLAN + "  catalogue: own.yaml\n")
    ours = load(tmp_path, PLAN)
    assert plan.catalogue.protections["PR-B01"].effort == 2
    assert ours.catalogue.protections["PR-B01"].effort != 2
    assert plan.catalogue.techniques == ours.catalogue.techniques


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("# mine\nprotections: {PR-B01: {effort: 0}}\n", 2),
        ("protections:\n  PR-B01: {effort: 2, likelihood: 3}\n", 2),
        ("protections: {}\nprotections: {}\n", 2),
        ("[]\n", 1),
        ("a: [\n", 2),
    ],
)
def test_faults_of_an_own_catalogue_name_that_file(tmp_path: Path, text: str, line: int) -> None:
    """The line is one of the file where it has to be mended."""
    own = tmp_path / "own.yaml"
    own.write_text(text, encoding="utf-8")
    file = write(tmp_path, PLAN + "  catalogue: own.yaml\n")
    with pytest.raises(ConfigurationError) as caught:
        load_plan(file)
    assert caught.value.file == own
    assert line in {fault.line for fault in caught.value.faults}
    done = check(file, "--json")
    assert done.exit_code == EXIT_USAGE
    assert json.loads(done.output)["file"] == str(own)


def test_generation_is_bound_to_what_protects_an_api() -> None:
    """Route modes, policy and environment change it; order of keys, other APIs and other sections don't."""
    route = {"path": "/**", "mode": "enforce"}
    data: dict[str, Any] = {
        "version": 1,
        "policy": "strict",
        "apis": {"a": {"audience": "x", "routes": [route]}, "b": {"audience": "y"}},
    }
    first = generation_of("a", data)
    assert re.fullmatch(r"[0-9a-f]{64}", first)
    turned = {
        "apis": {
            "b": {"audience": "z"},
            "a": {"routes": [dict(reversed(route.items()))], "audience": "x"},
        },
        "policy": "strict",
    }
    assert generation_of("a", turned) == first
    assert first == "204b311b534a916cd93658525ac529ff72501ad295439c46429c0ec2a57af251"
    weaker = {**data, "apis": {"a": {"audience": "x", "routes": [{**route, "mode": "monitor"}]}}}
    assert generation_of("a", weaker) != first
    assert generation_of("a", {**data, "policy": "balanced"}) != first
    assert generation_of("b", data) != first
    assert generation_of("a", {**data, "environment": "lab"}) != first
    assert generation_of("a", {**data, "environment": "prod"}) == first
    with pytest.raises(KeyError):
        generation_of("c", data)


ADMITTING: dict[str, Any] = {
    "version": 1,
    "environment": "prod",
    "apps": {
        "phone": {
            "platform": "android",
            "package": "com.example.phone",
            "signing_digests": ["ab" * 32, "cd" * 32],
            "minimum_version": 7,
            "play_integrity": {"decryption_key": "play.key"},
        },
        "tablet": {"platform": "ios", "team_id": "ABCDE12345", "bundle_id": "com.example"},
        "other": {"platform": "ios", "team_id": "ABCDE12345", "bundle_id": "com.other"},
    },
    "apis": {"a": {"audience": "x", "apps": ["phone", "tablet"], "routes": [{"path": "/**"}]}},
}


def changed_app(name: str, **members: Any) -> dict[str, Any]:
    """Return the file with members of one app's section changed."""
    apps = ADMITTING["apps"]
    return {**ADMITTING, "apps": {**apps, name: {**apps[name], **members}}}


@pytest.mark.parametrize(
    "weaker",
    [
        changed_app("phone", signing_digests=["ab" * 32, "cd" * 32, "ef" * 32]),
        changed_app("phone", signing_digests=["ab" * 32]),
        changed_app("phone", minimum_version=6),
        changed_app("phone", play_integrity={"decryption_key": "other.key"}),
        changed_app("phone", package="com.example.phony"),
        changed_app("tablet", app_attest="development"),
        {**ADMITTING, "apps": {}},
        {key: value for key, value in ADMITTING.items() if key != "apps"},
        {**ADMITTING, "environment": "lab"},
    ],
)
def test_generation_covers_the_apps_that_an_api_lets_in(weaker: dict[str, Any]) -> None:
    """Who may sign the app, how old it may be and how it is attested decide who gets in: proofs end with them."""
    assert generation_of("a", weaker) != generation_of("a", ADMITTING)


def test_generation_stands_while_nothing_changes_who_is_let_in() -> None:
    """Not an app that may not call, nor the order of apps, keys and certificates, nor how a digest is spelt."""
    first = generation_of("a", ADMITTING)
    assert generation_of("a", changed_app("other", bundle_id="com.changed")) == first
    api = {**ADMITTING["apis"]["a"], "apps": ["tablet", "phone"]}
    assert generation_of("a", {**ADMITTING, "apis": {"a": api}}) == first
    spelt = ["CD" * 32, ":".join(["AB"] * 32)]
    assert generation_of("a", changed_app("phone", signing_digests=spelt)) == first
    phone = dict(reversed(ADMITTING["apps"]["phone"].items()))
    apps = {"tablet": ADMITTING["apps"]["tablet"], "phone": phone}
    assert generation_of("a", {**ADMITTING, "apps": apps}) == first
    one_less = {**ADMITTING["apis"]["a"], "apps": ["phone"]}
    assert generation_of("a", {**ADMITTING, "apis": {"a": one_less}}) != first


@pytest.mark.parametrize("apps", [None, 7, "phone", [7, None, ["phone"]], [{"a": 1}, "none-such"]])
@pytest.mark.parametrize("sections", [None, 7, ["phone"], {"phone": 7}])
def test_a_generation_of_what_is_malformed_is_one_all_the_same(apps: Any, sections: Any) -> None:
    """Faults in these sections are told by `watchword check`; here they cost no trace."""
    data = {"apps": sections, "apis": {"a": {"apps": apps}}}
    assert re.fullmatch(r"[0-9a-f]{64}", generation_of("a", data))
    assert generation_of("a", data) != generation_of("a", {**data, "apis": {"a": {}}})


def test_words_of_the_file_are_those_of_the_planner() -> None:
    """A trait or a kind of intelligence that the planner learns must be one that can be written."""
    described = PlanConfig.model_json_schema()["$defs"]
    asset = described["AssetConfig"]["properties"]
    assert asset["lives_in"]["items"]["enum"] == list(Component)
    assert asset["kind"]["enum"] == list(AssetKind)
    assert asset["traits"]["anyOf"][0]["items"]["enum"] == list(Trait)
    assert asset["actors"]["items"]["enum"] == list(Actor)
    assert described["PathConfig"]["properties"]["assumes"]["items"]["enum"] == list(Intelligence)
    assert threat_model.MAX_STEPS == MAX_STEPS


def test_ten_thousand_assets_are_read_in_seconds(tmp_path: Path) -> None:
    """A large model is no reason to wait; 20,001 are one too many."""
    asset = (
        "\n      kind: data\n      impact: {}\n      because: the records of one department"
        "\n      lives_in: [app, backend]\n      routes: [{{api: clinic, path: /v1/**}}]\n"
    )
    rows = [f"    asset-{index:05}:{asset.format(index % 5 + 1)}" for index in range(10_000)]
    head = "version: 1\napis: {clinic: {apps: [a]}}\nplan:\n  assets:\n"
    file = write(tmp_path, head + "".join(rows))
    began = time.process_time()
    plan = load_plan(file)
    assert time.process_time() - began < 8  # A second on a machine with nothing else to do.
    assert len(plan.assets) == 10_000
    many = "".join(f"    a-{index}: {{}}\n" for index in range(20_001))
    faults = faults_of(write(tmp_path, head + many))
    assert faults["plan.assets"][2] == "at most 20000 assets"


def test_reading_leaves_the_collector_as_it_was(tmp_path: Path) -> None:
    """It rests while a file is parsed, and goes on afterwards, faults or not."""
    import gc  # noqa: PLC0415 - for this test alone.

    for raw in (b"a: 1", b"a: ["):
        try:
            document.parse_document(tmp_path / "x", raw)
        except ConfigurationError:
            assert raw == b"a: ["
        assert gc.isenabled()


_KEYS = st.sampled_from(
    [
        *PlanConfig.model_fields,
        *AssetConfig.model_fields,
        *ScenariosConfig.model_fields,
        *("x", "drill", "odds", "api", "path", "key", "state"),
    ]
)
_GARBAGE = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["data", "MT-B03", "backend", "30d", "/v1", "own.yaml", ".", "\ud800", "\0"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=5),
    max_leaves=20,
)


@given(_GARBAGE)
def test_garbage_is_nothing_but_faults(
    tmp_path_factory: pytest.TempPathFactory, section: Any
) -> None:
    """Whatever stands under `plan`, only our own error comes of it."""
    file = tmp_path_factory.mktemp("any") / "plan.yaml"
    file.write_text(json.dumps({"version": 1, "plan": section}), encoding="utf-8")
    with pytest.raises(ConfigurationError):
        load_plan(file)


@given(st.dictionaries(st.sampled_from(["service", "apis", "apps", "policy", "gates"]), _GARBAGE))
def test_garbage_elsewhere_stops_no_plan(
    tmp_path_factory: pytest.TempPathFactory, sections: dict[str, Any]
) -> None:
    """Other sections may be anything: the plan takes what it can read of them."""
    file = tmp_path_factory.mktemp("any") / "plan.yaml"
    asset = {"kind": "data", "impact": 5, "because": "x", "lives_in": ["backend"]}
    whole = {"version": 1, "plan": {"assets": {"a": asset}}, **sections}
    file.write_text(json.dumps(whole), encoding="utf-8")
    told: set[str] = set()
    plan: PlanSettings | None = None
    try:
        plan = load_plan(file)
    except ConfigurationError as error:
        told = {fault.path for fault in error.faults}
    # JSON's escapes may be what YAML takes for no text at all.
    assert told == {""} if plan is None else plan.model.paths


def check(file: Path, *arguments: str) -> Result:
    """Run `watchword check` on a file."""
    return CliRunner().invoke(command, arguments, obj=file)


def test_check_is_content_with_a_file_for_the_plan_alone(tmp_path: Path) -> None:
    """It is good, and what a service would need beside it is named."""
    file = write(tmp_path, PLAN)
    done = check(file)
    assert done.exit_code == 0, done.output
    assert "a file for the plan alone" in done.output
    assert "1 asset, " in done.output
    told = json.loads(check(file, "--json").output)
    assert told["ok"] is True
    assert told["missing_for_up"] == ["environment", "service", "apps", "apis"]


def test_check_of_a_whole_file_counts_the_plan(tmp_path: Path) -> None:
    """One line says that the section was understood."""
    done = check(write(tmp_path, TEMPLATE))
    assert done.exit_code == 0, done.output
    assert re.search(r"plan +2 assets, [0-9]+ attack paths\n", done.output)
    assert "a file for the plan alone" not in done.output
    # The template's API takes a token alone, and says so.
    said = " ".join(done.output.split())
    assert "weak route Route /** of clinic, where patient-records (impact 5) lives" in said
    assert check(write(tmp_path, TEMPLATE), "--fail-on", "weak-route").exit_code == 1
    signed = write(tmp_path, TEMPLATE.replace("proof: bearer\n", "proof: session\n"))
    assert check(signed, "--fail-on", "weak-route").exit_code == 0
    assert json.loads(check(signed, "--json").output)["weak_routes"] == []


def test_check_tells_faults_of_both_readers_once(tmp_path: Path) -> None:
    """A bad impact and a bad mode stand in one answer, each a single time."""
    text = TEMPLATE.replace("impact: 5", "impact: 7").replace("mode: enforce", "mode: enforced")
    text = text.replace("[{api: clinic, path", "[{api: klinic, path")
    done = check(write(tmp_path, text), "--json")
    assert done.exit_code == EXIT_USAGE
    assert [fault["path"] for fault in json.loads(done.output)["faults"]] == [
        "plan.assets.patient-records.impact",
        "apis.clinic.routes[1].mode",
    ]


def test_check_of_a_misspelt_key_beside_a_plan_speaks_of_that_key(tmp_path: Path) -> None:
    """It doesn't ask for a service that nobody wanted."""
    done = check(write(tmp_path, PLAN + "enviroment: lab\n"), "--json")
    assert [fault["path"] for fault in json.loads(done.output)["faults"]] == ["enviroment"]


def test_apps_and_route_tables_come_with_the_plan(tmp_path: Path) -> None:
    """Each row as it is written; an asset has those that decide on its requests."""
    plan = load(tmp_path, TEMPLATE)
    assert plan.apps["clinic-android"] == ("android", "com.example.clinic")
    assert set(plan.apps) == {"clinic-ios", "clinic-android"}
    assert [str(row) for row in plan.routes["clinic"]] == ["GET /health", "/**"]
    assert plan.assets["patient-records"].rows == (plan.routes["clinic"][1],)
    assert plan.assets["one-patients-live-data"].rows == (plan.routes["clinic"][1],)
    watching = load(tmp_path, TEMPLATE.replace("mode: enforce\n", "mode: monitor\n"))
    assert [row.mode for row in watching.assets["patient-records"].rows] == ["monitor"]
    assert load(tmp_path, PLAN).apps == {}


def test_a_file_that_is_missing_names_both_ways_to_one(tmp_path: Path) -> None:
    """A whole file, or one for the plan alone."""
    (_, _, expected) = faults_of(tmp_path / "none.yaml")[""]
    assert "`watchword init`" in expected
    assert "`watchword plan init`" in expected


@pytest.mark.parametrize("name", ["Records", "datei-ä", "-records", "a_b", "x" * 64])
def test_a_name_that_is_none_is_told_in_words(tmp_path: Path, name: str) -> None:
    """No pattern is shown to a person."""
    faults = faults_of(write(tmp_path, PLAN.replace("backend-records", name)))
    ((_, _, expected),) = faults.values()
    assert "^" not in expected
    assert "63" in expected


@pytest.mark.parametrize("text", ["plan:\n\tassets: {}\n", "plan:\n  a: 1\n b: 2\n", "a: b: c\n"])
def test_what_is_no_yaml_comes_with_a_hint(tmp_path: Path, text: str) -> None:
    """The parser's words alone help nobody: indentation and tabs are named."""
    ((_, _, expected),) = faults_of(write(tmp_path, text)).values()
    assert "indented" in expected
    assert "tabs" in expected


def test_an_api_without_a_section_proves_nothing(tmp_path: Path) -> None:
    """Its generation is no observation's; a tag that makes no plain value is a fault, not an error of ours."""
    plan = "plan: {assets: {a: {kind: data, impact: 3, because: x, lives_in: [backend]}}}\n"
    file = tmp_path / "watchword.yaml"
    file.write_text(f"version: 1\n{plan}apis:\n  clinic:\n", encoding="utf-8")
    assert load_plan(file).generations == {"clinic": "unreadable"}
    file.write_text(f"version: 1\n{plan}apis: {{c: {{x: !!timestamp 2026-01-01}}}}\n")
    with suppress(ConfigurationError):
        assert load_plan(file).generations["c"]
