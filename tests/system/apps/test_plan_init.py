"""Show that `watchword plan init` drafts files that load, from honest and from hostile descriptions."""

import json
import re
import shlex
import subprocess
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.machine import patience

from watchword.apps.cli.main import COMMANDS, cli
from watchword.apps.plan.cli import init_command as command
from watchword.apps.plan.drafts import (
    MAX_BYTES,
    _parsed,
    draft_plan,
    quoted,
    read_description,
    render,
)
from watchword.apps.settings.document import parse_document
from watchword.apps.settings.faults import ConfigurationError
from watchword.apps.settings.load import load_settings
from watchword.apps.settings.plan import PlanSettings, load_plan
from watchword.apps.settings.schema import ApiConfig
from watchword.apps.settings.template import TEMPLATE
from watchword.gate.hygiene import shadowed
from watchword.gate.interface import Route
from watchword.plan.drafts import (
    MAX_API_ROUTES,
    MAX_ASSETS,
    RULES,
    Draft,
    DraftAsset,
    DraftRoute,
    DraftThreat,
    one_line,
)
from watchword.plan.drafts.openapi import draft_from_openapi
from watchword.plan.drafts.otm import draft_from_otm
from watchword.plan.interface import Actor, AssetKind, Component, Trait
from watchword.vocabulary import Level, Mode, Proof

FILES = Path(__file__).parent / "plan_files"
BANK = FILES / "bank.openapi.yaml"
CLINIC = FILES / "clinic.openapi.yaml"
SHOP = FILES / "shop.swagger.json"
PLATFORM = FILES / "platform.otm.json"
ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "plan-init.md"
REFERENCE = ROOT / "docs" / "plan-drafts.md"


def init(*arguments: object, config: Path = Path("nowhere.yaml")) -> Result:
    """Run the command as the command line does, without the words before it."""
    return CliRunner().invoke(
        command, [str(each) for each in arguments], obj=config, catch_exceptions=True
    )


@pytest.mark.parametrize(
    ("text", "line", "got"),
    [
        ("openapi: 3.0.0\nb: [1, 2\nc: 3\n", 3, "of what begins on line 2"),
        ("openapi: 3.0.0\npaths: {\n", 2, "neither JSON nor YAML: "),
        ("a: 1\n  b: 2\n", 2, "neither JSON nor YAML: "),
    ],
)
def test_what_is_wrong_with_yaml_is_told(tmp_path: Path, text: str, line: int, got: str) -> None:
    """With its reason, and on a line that the file has."""
    file = tmp_path / "bad.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError) as error:
        read_description(file)
    (fault,) = error.value.faults
    assert fault.line == line
    assert got in fault.got
    assert not fault.got.endswith("JSON nor YAML")


@pytest.mark.parametrize("option", ["--openapi", "--otm"])
def test_two_documents_are_a_mistake_that_is_told(tmp_path: Path, option: str) -> None:
    """The first one's assets would be missed by nobody."""
    file = tmp_path / "draft.yaml"
    done = init(option, BANK, option, CLINIC, "-o", file)
    assert done.exit_code == 2
    assert "draft each with an --api and an -o of its own" in " ".join(done.output.split())
    assert not file.exists()


def test_staff_and_partners_get_no_proof_of_a_phone(tmp_path: Path) -> None:
    """Staff's paths and what anybody may read ask for no proof; an API of partners alone says that no app calls it."""
    file = tmp_path / "api.json"
    paths: dict[str, Any] = {
        "/admin/users": {"post": {}},
        "/branches": {"get": {"security": []}},
        "/cards": {"post": {}},
    }
    file.write_text(json.dumps({"openapi": "3.1.0", "paths": paths}), encoding="utf-8")
    text = draft_plan(file, None).text
    rows = text.partition("    routes:\n      #")[2].split("      - path: ")
    suggested = {row.split("\n")[0]: "# proof:" in row for row in rows[1:]}
    assert suggested == {"/admin/**": False, "/branches": False, "/cards": True}
    assert "For staff by its path" in text
    alone = "no app of yours does"
    assert alone not in text
    file.write_text(
        json.dumps({"openapi": "3.1.0", "paths": {"/psd2/cards": {"get": {}}}}), encoding="utf-8"
    )
    assert alone in draft_plan(file, None).text


def plan_of(file: Path, *arguments: str) -> dict[str, Any]:
    """Return the plan of a file as JSON."""
    done = CliRunner().invoke(cli, ["-c", str(file), "plan", "--json", *arguments])
    assert done.exit_code == 0, done.output
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def faults_of(result: Result) -> list[dict[str, Any]]:
    """Return the faults that a run ended with."""
    assert isinstance(result.exception, ConfigurationError), result
    return [fault.as_dict() for fault in result.exception.faults]


def loaded(file: Path, text: str) -> PlanSettings:
    """Write a drafted text and load it."""
    file.write_text(text, encoding="utf-8")
    return load_plan(file)


def test_a_clinics_description_becomes_a_plan_that_loads(tmp_path: Path) -> None:
    """Its resources are assets with their traits and routes, by the API's name."""
    file = tmp_path / "plan.yaml"
    assert init("--openapi", CLINIC, "-o", file).exit_code == 0
    plan = load_plan(file)
    assert {name: asset.impact for name, asset in plan.assets.items()} == {
        "auth": 3,
        "patients": 4,
        "me-messages": 3,
        "slots": 3,
        "integrations": 3,
    }
    patients = plan.assets["patients"]
    assert patients.traits == {Trait.RECORDS, Trait.LIVE_DATA}
    assert patients.routes == ("clinic /v1/patients/**",)
    assert patients.places == {"api:clinic", "app:your-app"}
    assert plan.assets["auth"].traits == {Trait.ACCOUNT}
    assert plan.assets["slots"].traits == {Trait.INVENTORY}
    assert Trait.INTERNAL_NETWORK in plan.assets["integrations"].traits
    assert {path.asset for path in plan.model.paths} == set(plan.assets)


def test_a_shops_swagger_file_does_too(tmp_path: Path) -> None:
    """Swagger 2 has its base path and its bodies elsewhere."""
    file = tmp_path / "plan.yaml"
    assert init("--openapi", SHOP, "--api", "store", "-o", file).exit_code == 0
    plan = load_plan(file)
    assert plan.assets["checkout"].traits >= {Trait.PAYMENT, Trait.STORED_VALUE}
    assert plan.assets["gift-cards"].traits == {Trait.STORED_VALUE}
    assert plan.assets["products"].traits == {Trait.INVENTORY, Trait.RECORDS}
    assert plan.assets["products"].routes == ("store /api/v2/products/**",)


@pytest.mark.parametrize("description", [CLINIC, SHOP])
def test_drafted_routes_are_ones_that_a_gate_takes(tmp_path: Path, description: Path) -> None:
    """They are well formed as they stand, none hides another, and each suggestion is one too."""
    file = tmp_path / "plan.yaml"
    init("--openapi", description, "-o", file)
    text = file.read_text(encoding="utf-8")
    suggested = re.sub(r"^( +)# (level|proof): ", r"\1\2: ", text, flags=re.MULTILINE)
    assert suggested.count(" level: ") > text.count(" level: ") - text.count("# level: ")
    for each in (text, suggested):
        (api,) = parse_document(file, each.encode()).data["apis"].values()
        routes = ApiConfig.model_validate(api).routes
        assert routes
        table = [
            Route(route.path, route.path, frozenset(), Level.NONE, Proof.BEARER, Mode(route.mode))
            for route in routes
        ]
        assert shadowed(table) == []


def test_a_threat_model_becomes_a_plan_that_loads(tmp_path: Path) -> None:
    """Threats drawn at a component bring their techniques' paths to its asset."""
    file = tmp_path / "plan.yaml"
    assert init("--otm", PLATFORM, "-o", file).exit_code == 0
    plan = load_plan(file)
    assert set(plan.assets) == {"order-api", "customer-database"}
    front = plan.assets["order-api"]
    assert front.lives_in == set(Component)
    assert front.traits == {Trait.AVAILABILITY, Trait.RECORDS, Trait.LIVE_DATA}
    steps = {path.steps[-1] for path in plan.model.paths if path.asset == "order-api"}
    assert {"MT-B08", "MT-C03"} <= steps


def test_copied_into_watchword_yaml_it_loads_there(tmp_path: Path) -> None:
    """The section `plan:` fits beside what `watchword init` writes, with the API's name."""
    drafted = draft_plan(CLINIC, None, "clinic")
    whole = parse_document(Path("x"), TEMPLATE.encode()).data
    whole["plan"] = parse_document(Path("x"), drafted.text.encode()).data["plan"]
    plan = loaded(tmp_path / "watchword.yaml", yaml.safe_dump(whole))
    assert plan.assets["patients"].places == {"api:clinic", "app:clinic-ios", "app:clinic-android"}


def test_a_banks_description_meets_the_classic_attack(tmp_path: Path) -> None:
    """Accounts, transfers and cards can be asked for by id, by a script, at scale; whoever does it first opens an account."""
    file = tmp_path / "plan.yaml"
    assert init("--openapi", BANK, "-o", file).exit_code == 0
    plan = load_plan(file)
    for name in ("accounts", "transfers", "cards"):
        ends = {path.steps[-1] for path in plan.model.paths if path.asset == name}
        assert {"MT-B03", "MT-B04", "MT-B08", "MT-B09", "MT-B10"} <= ends, name
        assert Component.APP in plan.assets[name].lives_in
    assert not any("MT-B07" in path.steps for path in plan.model.paths)
    assert plan.assets["admin"].lives_in == {Component.BACKEND}
    assert Trait.RECORDS not in plan.assets["auth"].traits


def bank_plan(tmp_path: Path) -> tuple[Path, str]:
    """Return the file that the page on a bank drafts, and its text."""
    file = tmp_path / "bank-plan.yaml"
    assert init("--openapi", ROOT / "examples/retail-bank/openapi.yaml", "-o", file).exit_code == 0
    return file, file.read_text(encoding="utf-8")


def test_partners_are_drafted_without_phones(tmp_path: Path) -> None:
    """Their assets lie in the backend, their routes ask for no proof, and nothing of an app is in any path to them."""
    file, text = bank_plan(tmp_path)
    plan = load_plan(file)
    theirs = {name for name, each in plan.assets.items() if each.actors == {Actor.PARTNER}}
    assert theirs == {"partner-accounts", "partner-consents", "partner-payments"}
    for path in plan.model.paths:
        techniques = [plan.catalogue.techniques[step] for step in path.steps]
        assert all((Actor.PARTNER in each.actors) == (path.asset in theirs) for each in techniques)
    routes = yaml.safe_load(text)["apis"]["retail-bank"]["routes"]
    modes = {route["path"]: route["mode"] for route in routes if "partner" in route["path"]}
    assert len(modes) == 3
    assert set(modes.values()) == {False}  # YAML's word for off.
    blocks = re.split(r"^      - path: ", text, flags=re.MULTILINE)[1:]
    for block in blocks:
        assert ("# proof:" in block) == ("mode: monitor" in block)


def test_a_risk_that_nothing_closes_is_ready_to_be_struck(tmp_path: Path) -> None:
    """The draft names it in comments; without them it loads, and the way in is gone with the reason."""
    file, text = bank_plan(tmp_path)
    accepted = re.sub(r"^    # (strike:|  - \{technique)", r"    \1", text, flags=re.MULTILINE)
    assert accepted != text
    before, after = load_plan(file), loaded(tmp_path / "accepted.yaml", accepted)
    assert any("MT-B27" in path.steps for path in before.model.paths)
    assert not any("MT-B27" in path.steps for path in after.model.paths)
    assert {each.path.steps for each in after.model.struck} == {("MT-B27",)}


def test_the_page_on_a_bank_leads_to_a_plan_that_closes(tmp_path: Path) -> None:
    """With its impacts, its one corrected trait and its strike everything closes; before, attestation alone closes no payment."""
    page = (ROOT / "docs" / "plan-bank.md").read_text(encoding="utf-8")
    file, text = bank_plan(tmp_path)
    data = yaml.safe_load(text)
    assets = data["plan"]["assets"]
    rows = re.findall(r"^\| (`.*`) \| ([1-5]) \| (.*) \|$", page, re.MULTILINE)
    named = {
        name: (int(impact), why)
        for names, impact, why in rows
        for name in re.findall("`(.*?)`", names)
    }
    assert named.keys() == assets.keys()
    for name, (impact, why) in named.items():
        assets[name] |= {"impact": impact, "because": why}
    assert "`traits: [records, live-data]`" in page
    assets["accounts"]["traits"] = ["records", "live-data"]
    file.write_text(yaml.safe_dump(data), encoding="utf-8")
    alone = plan_of(file, "--what-if", "+PR-B01")
    paying = {"payments", "payees", "cards", "partner-payments"}
    assert {each["asset"] for each in alone["exposure"] if each["now"] == "open"} >= paying
    strike = re.search(r"^    strike:\n.*$", page, re.MULTILINE)
    assert strike is not None
    data["plan"]["scenarios"] |= yaml.safe_load(strike[0])
    file.write_text(yaml.safe_dump(data), encoding="utf-8")
    done = plan_of(file)
    assert {each["after"] for each in done["exposure"]} == {"closed"}
    assert done["unclosable"] == []


def test_check_wants_what_the_page_says_and_no_more(tmp_path: Path) -> None:
    """A drafted file with routes lacks three sections and the apps, and says so itself."""
    file = tmp_path / "plan.yaml"
    assert init("--openapi", BANK, "-o", file).exit_code == 0
    with pytest.raises(ConfigurationError) as caught:
        load_settings(file)
    lacking = {fault.path for fault in caught.value.faults}
    assert lacking == {"apps", "environment", "service", "apis.bank.apps[0]"}
    comments = " ".join(
        line.removeprefix("# ") for line in file.read_text("utf-8").splitlines() if line[:1] == "#"
    )
    page = " ".join(PAGE.read_text(encoding="utf-8").split())
    for text in (comments, page):
        assert "watchword check" in text
        assert all(f"`{word}`" in text for word in ("apps", "environment", "service"))
        assert "your-app" in text


def test_a_full_disk_leaves_no_file_in_the_way(tmp_path: Path) -> None:
    """Exit code 3 and the file's name; the next try finds nothing there."""
    program = (
        # Else Python 3.11 keeps what it compiles though the disk took a part of it, and every later process stumbles over that.
        "import sys; sys.dont_write_bytecode = True;"
        "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100));"
        "from watchword.apps.cli.entry import run; run()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "plan", "init", "-o", "new.yaml"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=patience(60),
        check=False,
    )
    assert done.returncode == 3, done.stderr
    assert "new.yaml" in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_both_sources_at_once_make_one_plan(tmp_path: Path) -> None:
    """Assets of both stand in it, and the routes of the API."""
    file = tmp_path / "plan.yaml"
    assert init("--openapi", SHOP, "--otm", PLATFORM, "-o", file).exit_code == 0
    assert {"order-api", "checkout"} <= set(load_plan(file).assets)


def test_without_a_source_a_plan_to_start_from_is_written(tmp_path: Path) -> None:
    """It loads as it is."""
    file = tmp_path / "plan.yaml"
    assert init("-o", file).exit_code == 0
    assert load_plan(file).model.paths


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    """A file that is there stays as it is, watchword.yaml above all."""
    file = tmp_path / "watchword.yaml"
    file.write_text("mine", encoding="utf-8")
    assert faults_of(init("--openapi", CLINIC, "-o", file, config=file))[0]["path"] == ""
    assert file.read_text(encoding="utf-8") == "mine"
    other = init("--openapi", CLINIC, "-o", tmp_path / "draft.yaml", config=file)
    assert other.exit_code == 0
    # A long path may be broken over two lines.
    assert str(file) in "".join(other.stderr.split())
    assert file.read_text(encoding="utf-8") == "mine"


def test_the_standard_output_carries_the_draft_alone(tmp_path: Path) -> None:
    """What is told of it goes to the standard error, so that a pipe gets a file."""
    result = init("--openapi", CLINIC, "-o", "-")
    assert loaded(tmp_path / "plan.yaml", result.stdout).assets
    assert "operations" in result.stderr


def test_json_tells_what_was_drafted(tmp_path: Path) -> None:
    """One object, whether or not a file was written."""
    file = tmp_path / "plan.yaml"
    result = json.loads(init("--otm", PLATFORM, "--json", "-o", file).stdout)
    assert result["file"] == str(file)
    assert {each["technique"] for each in result["threats"]} == {
        "MT-A04",
        "MT-B08",
        "MT-C03",
        None,
    }
    assert json.loads(init("--otm", PLATFORM, "--json", "-o", "-").stdout)["file"] is None


@pytest.mark.parametrize(
    ("option", "content", "line"),
    [
        ("--openapi", None, None),
        ("--openapi", b"", None),
        ("--openapi", b"just text", None),
        ("--openapi", b"a: [1\nb: 2\n", 2),
        ("--openapi", b'{"openapi": "3.0.0",\n"paths": {,}}', 2),
        ("--openapi", b"\xff\xfe\x00", None),
        ("--openapi", b"[" * 200_000, None),
        ("--openapi", b"a: " + b"[" * 200 + b"]" * 200, 1),
        ("--openapi", b"a: &a [*a]", 1),
        ("--openapi", b"[a]: 1", 1),
        ("--openapi", b"a: *b", 1),
        ("--openapi", b"swagger: '1.2'\npaths: {}", None),
        ("--openapi", PLATFORM.read_bytes(), None),
        ("--otm", SHOP.read_bytes(), None),
        ("--otm", b'{"otmVersion": "2.0"}', None),
        ("--otm", b'{"x": ' + b"9" * 5000 + b"}", None),
    ],
)
def test_bad_files_are_faults(
    tmp_path: Path, option: str, content: bytes | None, line: int | None
) -> None:
    """Each names the file, what was got and what was expected; nothing is written."""
    file, out = tmp_path / "given", tmp_path / "out.yaml"
    if content is not None:
        file.write_bytes(content)
    (fault,) = faults_of(init(option, file, "-o", out))
    assert fault["line"] == line
    assert fault["got"]
    assert fault["expected"]
    assert not out.exists()


def test_a_file_that_is_too_large_is_a_fault(tmp_path: Path) -> None:
    """It isn't read to its end."""
    file = tmp_path / "given"
    file.write_bytes(b" " * (MAX_BYTES + 1))
    assert len(faults_of(init("--otm", file, "-o", tmp_path / "out.yaml"))) == 1
    assert len(faults_of(init("--otm", tmp_path, "-o", tmp_path / "out.yaml"))) == 1


def test_a_few_lines_cant_expand_to_gigabytes(tmp_path: Path) -> None:
    """Aliases are counted as what they stand for, and cost no memory before."""
    lines = ["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 12)]
    file = tmp_path / "bomb.yaml"
    file.write_text("\n".join(lines), encoding="utf-8")
    tracemalloc.start()
    try:
        with pytest.raises(ConfigurationError):
            read_description(file)
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()


def test_yaml_is_read_as_its_writers_meant_it(tmp_path: Path) -> None:
    """Anchors, merge keys, numeric keys and words such as off and no mean what they do in YAML 1.2."""
    file = tmp_path / "x.yaml"
    file.write_text(
        "a: &a {x: 1, y: [2.5, -3]}\nb: {<<: *a, x: 9}\n200: off\nc: 'true'\nd: !!str 1\n"
        "e: TRUE\nf: ~\ng: 2026-11-24\nh: [*a]\ni:\n  <<: [*a, {z: null}]\n",
        encoding="utf-8",
    )
    assert read_description(file) == {
        "a": {"x": 1, "y": [2.5, -3]},
        "b": {"x": 9, "y": [2.5, -3]},
        "200": "off",
        "c": "true",
        "d": "1",
        "e": True,
        "f": None,
        "g": "2026-11-24",
        "h": [{"x": 1, "y": [2.5, -3]}],
        "i": {"x": 1, "y": [2.5, -3], "z": None},
    }


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.text(max_size=8),
    lambda below: (
        st.lists(below, max_size=4) | st.dictionaries(st.text(max_size=8), below, max_size=4)
    ),
    max_leaves=20,
)


@settings(max_examples=150, deadline=None)
@given(PLAIN)
@example({"<<": None})
def test_yaml_and_json_give_the_same(value: Any) -> None:
    """What PyYAML writes comes back as what JSON would hold."""
    text = yaml.safe_dump({"v": value}, allow_unicode=False, default_style='"')
    # With that style everything but text is told by a tag, which is left aside here.
    text_only = json.loads(json.dumps({"v": value}), parse_int=str)
    assert _texts(_parsed(Path("x"), text)) == _texts(text_only)
    assert _parsed(Path("x"), json.dumps({"v": value})) == {"v": value}


def _texts(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _texts(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_texts(each) for each in value]
    return json.dumps(value) if value is None or isinstance(value, bool) else str(value)


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=60))
def test_quoted_text_comes_back(text: str) -> None:
    """A name or a path is the same text after reading, whatever it looks like."""
    text = one_line(text)
    document = parse_document(Path("x"), f"a: {{b: {quoted(text)}, c: 1}}\n".encode())
    assert document.data == {"a": {"b": text, "c": 1}}


HOSTILE = st.text(max_size=30) | st.sampled_from(
    ["true", "x\nplan: {}", "a: b #", "\u2028y", "\x1b[31m", "'\"", "{{*}}", "&a", "12", "\ud800"]
)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(HOSTILE, min_size=1, max_size=5),
    HOSTILE,
    st.lists(HOSTILE, max_size=4),
)
def test_strangers_text_writes_no_line_of_its_own(
    segments: list[str], title: str, names: list[str]
) -> None:
    """Whatever a description says, the draft is well formed and holds what was drafted."""
    schema = {"properties": {name: {"$ref": name} for name in names}}
    get = {"responses": {"200": {"content": {title: {"schema": schema}}}}}
    paths = {"/" + "/".join(segments[: i + 1]): {"get": get} for i in range(len(segments))}
    document = {"openapi": "3.0.0", "info": {"title": title}, "paths": paths}
    draft, faults = draft_from_openapi(document)
    assert_faithful(draft, faults)
    threats = [{"id": name, "name": name} for name in names]
    assets = [{"id": name, "name": name} for name in segments]
    model = {
        "otmVersion": "0.2.0",
        "project": {"name": title},
        "assets": assets,
        "threats": threats,
    }
    assert_faithful(*draft_from_otm(model))


@settings(max_examples=100, deadline=None)
@given(HOSTILE, HOSTILE)
def test_the_writer_trusts_no_text_of_a_draft(one: str, other: str) -> None:
    """Notes, names and reasons of a draft end up as comments and values, whoever made the draft."""
    asset = DraftAsset(
        id="a",
        kind=AssetKind.DATA,
        impact=3,
        because=f"TODO {one}",
        lives_in=frozenset({Component.APP}),
        traits=frozenset({Trait.LIVE_DATA}),
        notes=(other,),
    )
    route = DraftRoute("/a", one)
    threats = (DraftThreat(one, "MT-A10", (other,)), DraftThreat(other))
    draft = Draft(one, (other,), (asset,), (route,), threats, (one,), (other,))
    assert_faithful(draft, [])
    text = render(draft, [other], "api").replace("\n", "")
    assert text.isprintable()


def assert_faithful(draft: Draft, faults: list[Any]) -> None:
    """Check that the file of a draft holds its assets, and nothing that its sources wrote."""
    if faults:
        return
    document = parse_document(Path("x"), render(draft, ["s"], "api").encode())
    assert document.faults == []
    assert set(document.data) <= {"version", "plan", "apis"}
    assert set(document.data["plan"]) == {"assets", "scenarios"}
    assert list(document.data["plan"]["assets"]) == [asset.id for asset in draft.assets]


def test_the_largest_draft_still_loads(tmp_path: Path) -> None:
    """Limits of a draft keep it within what the reader takes."""
    paths = {
        f"/{'segment' * 8}{i}/{'x' * 50}": {
            "get": {
                "parameters": [{"name": name} for name in ("url", "cvv", "coupon", "slot", "vote")]
            }
        }
        for i in range(5000)
    }
    file = tmp_path / "api.json"
    file.write_text(json.dumps({"openapi": "3.0.0", "paths": paths}), encoding="utf-8")
    drafted = draft_plan(file, None)
    assert len(drafted.draft.assets) == MAX_ASSETS
    assert len(drafted.draft.routes) == MAX_API_ROUTES
    assert len(loaded(tmp_path / "plan.yaml", drafted.text).assets) == MAX_ASSETS


def test_a_name_for_the_api_has_to_be_one() -> None:
    """A wrong one is told before anything is read."""
    assert init("--api", "Not A Name").exit_code == 2


def test_the_pages_commands_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each `watchword plan init` of the page works on files of the names it uses."""
    for name, source in {
        "openapi.yaml": CLINIC,
        "swagger.json": SHOP,
        "threat-model.otm.json": PLATFORM,
    }.items():
        (tmp_path / name).write_bytes(source.read_bytes())
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```sh\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    commands = [shlex.split(line, comments=True) for line in lines]
    drafts = [each[3:] for each in commands if each[:3] == ["watchword", "plan", "init"]]
    assert len(drafts) >= 4
    for arguments in drafts:
        result = init(*arguments)
        assert result.exit_code == 0, result
        if "-o" in arguments and arguments[-1] != "-":
            assert load_plan(Path(arguments[arguments.index("-o") + 1])).assets


def test_the_page_lists_every_word() -> None:
    """The table of words is the one that is used."""
    text = REFERENCE.read_text(encoding="utf-8")
    for rule in RULES:
        (row,) = [
            line
            for line in text.splitlines()
            if line.startswith("|") and set(re.findall(r"[a-z]+", line.split("|")[2])) == rule.words
        ]
        assert set(re.findall(r"`([a-z-]+)`", row.split("|")[1])) == rule.traits
        where = set(re.findall(r"path|request|response", row.split("|")[3]))
        assert where == set(rule.counts_in)
        assert ("4" in row.split("|")[4]) == rule.sensitive


@pytest.mark.skipif("plan" not in COMMANDS, reason="the group of commands isn't there yet")
@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--openapi", str(CLINIC), "-o", "new.yaml"], 0),
        (["--openapi", str(PLATFORM), "-o", "new.yaml"], 2),
        (["--otm", str(PLATFORM), "-o", "old.yaml"], 2),
        (["--otm", str(PLATFORM), "-o", "nowhere/new.yaml"], 3),
    ],
)
def test_the_command_line_ends_with_the_right_code(
    tmp_path: Path, arguments: list[str], code: int
) -> None:
    """Done, faults, or nowhere to write: each has its own code, and none a trace."""
    (tmp_path / "old.yaml").write_text("mine", encoding="utf-8")
    program = Path(sys.executable).parent / "watchword"
    done = subprocess.run(
        [program, "plan", "init", *arguments],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=patience(60),
        check=False,
    )
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    assert (tmp_path / "new.yaml").exists() == (code == 0)
    assert (tmp_path / "old.yaml").read_text(encoding="utf-8") == "mine"
