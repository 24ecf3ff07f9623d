"""Show what a newcomer meets first: typos, help, a new file, the lab's phones, policies, and files that others may read."""

import asyncio
import json
import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from click.testing import CliRunner, Result
from tests.unit.apps.service_bench import Caller, ServiceBench, service_bench
from tests.unit.enrolment.simulators import SimulatedPhone

from watchword.adapters.system import SystemClock, SystemEntropy
from watchword.apps.cli.main import COMMANDS, cli
from watchword.apps.deployment import Deployment
from watchword.apps.settings.document import read_document
from watchword.apps.settings.faults import ConfigurationError
from watchword.apps.settings.load import load_settings
from watchword.apps.settings.template import TEMPLATE
from watchword.gate.references import LEAST_CHARACTERS, open_reference, seal
from watchword.lab import PHONES
from watchword.reasons import Reason, Refusal, RefusedError, WatchwordError


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return a new file as `watchword init` writes it, with ports that nobody listens on."""
    made = tmp_path / "watchword.yaml"
    made.write_text(TEMPLATE, encoding="utf-8")
    return made


def run(file: Path, *arguments: str, code: int = 0) -> Result:
    """Run a command as its user would, at 80 columns."""
    done = CliRunner(env={"COLUMNS": "80"}).invoke(cli, ["-c", str(file), *arguments])
    assert done.exit_code == code, done.output
    return done


def changed(file: Path, old: str, new: str) -> Path:
    """Change a file, which must hold what is changed."""
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new), encoding="utf-8")
    return file


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_with_a_typo_is_named(file: Path, name: str) -> None:
    """Every command of the roof, although none of them was imported, and every other group knows its own."""
    said = run(file, f"{name}z", code=2).output
    assert re.search(rf"Did you mean.*'{name}'", said)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("mode: enforce\n", "mode: enforced\n", "'enforce'? One of 'off', 'monitor'"),
        ("mode: enforce\n", "mode: Enforce\n", "'enforce'? One of 'off', 'monitor'"),
        ("proof: bearer\n", "proof: sesion\n", "'session'? One of 'bearer'"),
        ("level: hardware\n", "level: hardwear\n", "'hardware'? One of 'hardware'"),
        ("token_lifetime: 5m", "token_livetime: 5m", "'token_lifetime'? Known keys: issuer"),
        ("[GET]", "[get]", "a method in capitals, such as GET or POST"),
        ("team_id: ABCDE12345", "team_id: abc", "ten capitals and digits"),
        ("mode: enforce\n", "mode: xyz\n", "one of 'off', 'monitor', 'canary' or 'enforce'"),
    ],
)
def test_a_typo_in_the_file_is_answered(file: Path, old: str, new: str, expected: str) -> None:
    """The nearest word comes first, then all that may stand there; of what has a form, the form in words."""
    with pytest.raises(ConfigurationError) as caught:
        load_settings(changed(file, old, new))
    (fault,) = caught.value.faults
    assert fault.expected.startswith(expected)


def test_an_unknown_phone_is_no_wall_of_names(file: Path) -> None:
    """The nearest kind, and the command that lists them."""
    said = " ".join(run(file, "lab", "request", "genuine-iphon", "/", code=2).output.split())
    assert "did you mean 'genuine-iphone'? `watchword lab phones` lists all" in said
    said = run(file, "lab", "request", "xyz", "/", code=2).output
    assert "did you mean" not in said


@pytest.mark.parametrize(
    "words", [("keys", "retire"), ("explain",), ("instances", "revoke"), ("instances", "cancel")]
)
def test_help_is_help_where_ids_look_like_options(file: Path, words: tuple[str, ...]) -> None:
    """`-h` alone is help, as everywhere; an id that begins with it is none."""
    assert run(file, *words, "-h").output == run(file, *words, "--help").output
    file.unlink()
    more = ("--because", "x") if words[-1] == "revoke" else ()
    done = CliRunner().invoke(cli, ["-c", str(file), *words, "-hA8", *more])
    assert isinstance(done.exception, ConfigurationError), done.output


def test_a_new_file_has_the_schema_that_it_names(tmp_path: Path) -> None:
    """Editors find it beside the file, and the file fits it; one of somebody's own stays, but for --force."""
    file = tmp_path / "watchword.yaml"
    run(file, "init")
    (named,) = re.findall(r"\$schema=\./(\S+)", file.read_text(encoding="utf-8"))
    schema = json.loads((tmp_path / named).read_text(encoding="utf-8"))
    jsonschema.validate(read_document(file).data, schema)
    assert schema == json.loads(run(file, "schema").output)
    file.unlink()
    (tmp_path / named).write_text("mine", encoding="utf-8")
    assert "was there and stays" in run(file, "init").output
    assert (tmp_path / named).read_text(encoding="utf-8") == "mine"
    run(file, "init", "--force")
    assert json.loads((tmp_path / named).read_text(encoding="utf-8")) == schema


def test_phones_are_judged_by_the_policy_of_the_file(file: Path) -> None:
    """`strict` refuses what `balanced` lets pass, and the other way nothing; without a file it is `balanced`."""
    changed(file, "# policy: balanced", "policy: strict")
    strict = {row["kind"]: row for row in json.loads(run(file, "lab", "phones", "--json").stdout)}
    assert strict.keys() == PHONES.keys()
    assert strict["play-phone"]["level"] == "none"
    assert strict["genuine-iphone"]["level"] == "hardware"
    assert strict["old-patch-android"]["reasons"]
    assert run(file, "lab", "phones").output.startswith("Under policy strict:\n")
    file.unlink()
    rows = json.loads(run(file, "lab", "phones", "--json").stdout)
    assert {row["kind"]: row["level"] for row in rows} == {
        kind: model.expected.level.value for kind, model in PHONES.items()
    }


def test_what_is_tried_agrees_with_what_is_written_down(file: Path) -> None:
    """A policy that is `balanced` by another name: every kind is tried, and fares as it is said to under that."""
    changed(file, "# policy: balanced", "policy: {base: balanced, renew_by_key_for: 1h}")
    rows = json.loads(run(file, "lab", "phones", "--json").stdout)
    for row in rows:
        expected = PHONES[row["kind"]].expected
        assert row["level"] == expected.level.value, row
        assert set(row["reasons"]) == {reason.code for reason in expected.reasons}, row


def test_a_rule_that_is_there_is_not_called_left_out(file: Path) -> None:
    """`play_protect` is left out by `balanced`; a level with the rule looks at it."""
    assert "play_protect" in run(file, "policy", "show").output.partition("left out")[2]
    changed(
        file,
        "# policy: balanced",
        "policy: {base: balanced, levels: {verified: {all: [app_identity, minimum_app_version, "
        "device_integrity, app_recognition, {device_velocity: {most: 5}}, play_protect]}}}",
    )
    shown = run(file, "policy", "show").output
    assert "play_protect:" in shown
    assert "play_protect" not in shown.partition("left out")[2]
    assert "device_recall" in shown.partition("left out")[2]


def test_two_policies_are_compared_without_records(file: Path) -> None:
    """Each line names the rule; the same policy differs in nothing."""
    done = run(file, "policy", "diff", "balanced", "strict", code=1)
    assert "- device_velocity.most: 10" in done.output
    assert "+ device_velocity.most: 3" in done.output
    assert all(len(line) <= 80 for line in done.output.splitlines())
    assert run(file, "policy", "diff", "balanced", "strict", "--exit-zero").output == done.output
    assert (
        "no parts of balanced differ" in run(file, "policy", "diff", "balanced", "balanced").output
    )
    rows = run(file, "policy", "diff", "balanced", "strict", "--json", code=1).stdout.splitlines()
    assert [json.loads(row)["part"] for row in rows] == ["hardware", "verified", "at every level"]


@pytest.mark.parametrize("words", [("check",), ("drill", "attacks"), ("policy", "show")])
def test_nothing_is_wider_than_the_terminal(file: Path, words: tuple[str, ...]) -> None:
    """At 80 columns every line fits: of what the file means, of the drill's names, of a policy."""
    assert [line for line in run(file, *words).output.splitlines() if len(line) > 80] == []


def test_an_api_whose_routes_are_all_off_is_noted(file: Path) -> None:
    """A gate that checks nothing is most likely not meant."""
    assert "every route" not in run(file, "check").output
    changed(file, "mode: enforce\n", "mode: off\n")
    assert "every route of clinic is off" in " ".join(run(file, "check").output.split())


@pytest.mark.parametrize(
    ("name", "mode"),
    [
        ("", 0o755),
        ("gates", 0o750),
        ("keyring.json", 0o644),
        ("secrets.json", 0o640),
        ("canaries.json", 0o604),
        ("store-mark.json", 0o644),
        ("revocations.jsonl", 0o644),
    ],
)
def test_check_and_up_agree_on_modes(file: Path, name: str, mode: int) -> None:
    """What others may read stops a start, and `check` says so with the same words; it makes and changes nothing."""
    state = file.parent / ".watchword"
    run(file, "check")
    assert not state.exists()
    (state / "gates").mkdir(parents=True)
    for directory in (state, state / "gates"):
        directory.chmod(0o700)
    path = state / name
    if not path.exists():
        path.write_text("{}", encoding="utf-8")
    path.chmod(mode)
    refused = run(file, "check", "--json", code=2)
    (fault,) = json.loads(refused.stdout)["faults"]
    assert fault["path"] == "service.state"
    assert f"got mode {mode:04o}" in fault["got"]
    with pytest.raises(WatchwordError, match=re.escape(fault["got"])):
        asyncio.run(_started(file))


async def _started(file: Path) -> None:
    deployment = Deployment(load_settings(file), SystemClock(), SystemEntropy())
    await deployment.start()
    await deployment.stop()


def test_a_reference_that_was_cut_says_so() -> None:
    """At every length; a whole one opens, and one of another deployment isn't called cut."""
    key, nonce = bytes(range(32)), bytes(24)
    whole = seal([Refusal(Reason.TOKEN_MISSING, "")], "clinic[1] /**", 1_800_000_000, key, nonce)
    assert len(whole) == LEAST_CHARACTERS
    assert open_reference(whole, key).reasons == (Reason.TOKEN_MISSING,)
    for length in range(len(whole)):
        with pytest.raises(RefusedError, match=f"of {length} characters, which is cut short"):
            open_reference(whole[:length], key)
    with pytest.raises(RefusedError, match="made by this deployment"):
        open_reference(whole, bytes(32))


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[ServiceBench]:
    """Return a service."""
    made = service_bench(tmp_path)
    yield made
    made.store.close()


def test_times_in_json_have_one_form(bench: ServiceBench) -> None:
    """Of instances, invitations, keys, the audit trail and refusals: RFC 3339 in UTC, with Z."""

    async def scenario(caller: Caller) -> list[Any]:
        phone = SimulatedPhone()
        instance = (await caller.enrol(phone))["instance"]
        await caller.operator.post(f"/v1/instances/{instance}/revoke", json={"because": "x"})
        await caller.operator.post("/v1/keys/rotate?purpose=tokens")
        await caller.operator.post("/v1/explain", json={"ref": "x"})
        places = ("instances", "keys", "audit", "refusals", "invitations")
        return [(await caller.operator.get(f"/v1/{place}")).json() for place in places]

    found = [text for each in bench.run(scenario) for text in _times(each)]
    assert len(found) > 10
    assert [text for text in found if not re.fullmatch(r"[0-9-]{10}T[0-9:.]+Z", text)] == []


def _times(value: Any) -> Iterator[str]:
    """Yield every text that is a moment, and what should be one."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if name in {"since", "verify_until", "at"} or name.endswith("_at"):
                yield from () if inner is None else (str(inner),)
            else:
                yield from _times(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _times(inner)
    elif isinstance(value, str) and len(value) > 10:
        try:
            datetime.fromisoformat(value)
        except ValueError:
            return
        yield value
