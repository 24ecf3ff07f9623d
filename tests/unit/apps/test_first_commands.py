"""Show what a newcomer meets first: typos, help, a new file, the lab's phones, policies, and files that others may read."""

import asyncio
import json
import os
import pwd
import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner, Result
from tests.unit.apps.service_bench import Caller, ServiceBench, service_bench
from tests.unit.enrolment.simulators import SimulatedPhone

from watchword.adapters.system import SystemClock, SystemEntropy
from watchword.apps.cli.main import COMMANDS, cli
from watchword.apps.cli.refusals import show_engines, show_refusals
from watchword.apps.deployment import Deployment
from watchword.apps.service.client import claimed_name
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
    ("proof", "lifetime", "advised"),
    [
        ("bearer", "5m", None),
        ("bearer", "6m", "5m at most"),
        ("session", "30m", None),
        ("session", "31m", "30m at most"),
        ("device", "1h", None),
    ],
)
def test_tokens_that_live_longer_than_their_proof_bears_are_noted(
    file: Path, proof: str, lifetime: str, advised: str | None
) -> None:
    """By the weakest proof of the routes that ask for one; the reasons stand in docs/token-lifetimes.md."""
    changed(file, "proof: bearer", f"proof: {proof}")
    changed(file, "token_lifetime: 5m", f"token_lifetime: {lifetime}")
    said = " ".join(run(file, "check").output.split())
    if advised is None:
        assert "tokens of clinic" not in said
    else:
        assert f"routes with proof {proof}: {advised}" in said


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
    for more in ("x", '""', "\\u002c" * 3):
        with pytest.raises(RefusedError, match="which is too long or cut short: most have 224"):
            open_reference(whole + more, key)
    # Nobody can tell these apart, so that all are named.
    mistyped = whole[:100] + ("A" if whole[100] != "A" else "B") + whole[101:]
    for reference, opener in ((whole, bytes(32)), (mistyped, key)):
        with pytest.raises(RefusedError, match=r"mistyped, or another deployment .* key ring was"):
            open_reference(reference, opener)


@pytest.mark.parametrize(
    "pasted",
    [
        " gate.rate\n",
        "gate.\n  rate",
        '"gate.rate",',
        "`gate.rate`;",
        '"ref": "gate.rate",',
        '{"type": "urn:watchword:problem:rate-limited", "status": 429, "ref": "gate.rate"}',
        "{'ref': 'gate.rate'}",
    ],
)
def test_what_comes_along_with_a_copied_reference_is_left_out(file: Path, pasted: str) -> None:
    """White space, quotes, a comma, and the body that a client got; a reason's name stands in for a reference here."""
    assert run(file, "explain", pasted).stdout == run(file, "explain", "gate.rate").stdout


def test_an_empty_reference_is_called_empty(file: Path) -> None:
    """And not an engine's."""
    for empty in ("", " \n", '""', '{"ref": ""}'):
        assert "got an empty reference" in run(file, "explain", empty, code=2).stderr


def test_what_a_client_is_told_is_explained_too(file: Path) -> None:
    """The public class by its name or as it stands in the answer, with every reason behind it."""
    shown = run(file, "explain", "evidence-refused").stdout
    assert shown.startswith("evidence-refused  (HTTP 403): The evidence was refused.\n")
    assert shown == run(file, "explain", "urn:watchword:problem:evidence-refused").stdout
    assert "watchword explain REF" in shown
    told = json.loads(run(file, "explain", "rate-limited", "--json").stdout)
    behind = {each.code for each in Reason if each.public.slug == "rate-limited"}
    assert {each["reason"] for each in told["reasons"]} == behind
    assert "gate.rate" in behind


@pytest.mark.parametrize(
    "name", ["13f2c53e-541d-47ae-a489-0000000000ab", "13F2C53E541D47AEA4890000000000AB"]
)
def test_an_engines_id_that_no_log_told_asks_for_the_log(file: Path, name: str) -> None:
    """It isn't called cut short, and no service is asked for it."""
    refused = CliRunner().invoke(cli, ["-c", str(file), "explain", name])
    assert isinstance(refused.exception, RefusedError)
    assert "no log that was read has it" in str(refused.exception)
    assert "watchword audit ingest" in str(refused.exception)


def _sample(second: int, reason: str, where: str) -> dict[str, Any]:
    return {
        "at": f"2026-11-29T10:00:{second:02}Z",
        "where": where,
        "refusals": [{"reason": reason, "detail": ""}],
        # As an engine's are told.
        "reasons": [{"reason": reason}],
        "engine": "nginx",
        "details": "",
        "ref": None,
    }


def test_the_latest_of_each_reason_is_one_of_each(capsys: pytest.CaptureFixture[str]) -> None:
    """A flood of one reason hides no other; whoever looks for one refusal sees all that were kept."""
    samples = [_sample(9 - number, "gate.rate", f"here {number}") for number in range(8)]
    samples.append(_sample(1, "token.missing", "there"))
    counts = [{"reason": "gate.rate", "where": "here", "count": 8}]
    show_refusals({"counts": counts, "samples": samples})
    output = capsys.readouterr().out
    assert [line for line in output.splitlines() if "2026-" in line] == [
        "  2026-11-29T10:00:09  here 0",
        "  2026-11-29T10:00:01  there",
    ]
    show_refusals({"counts": counts, "samples": samples}, every=True)
    assert capsys.readouterr().out.count("      gate.rate\n") == 8
    show_engines({"counts": [{**counts[0], "engine": "nginx"}], "samples": samples})
    assert capsys.readouterr().out.count("      gate.rate  ref") == 1


def test_kinds_of_phones_are_completed() -> None:
    """By the shell, for each command that takes one."""
    for words in (["request"], ["evidence"], ["revoke"], ["suspend"], ["restore"]):
        found = ShellComplete(cli, {}, "watchword", "_X").get_completions(["lab", *words], "genu")
        assert {each.value for each in found} == {each for each in PHONES if each[:4] == "genu"}
        assert len(found) > 1


def test_a_person_without_a_name_goes_by_the_account(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not by a word that looks like somebody's name."""
    for name in ("USER", "LOGNAME"):
        monkeypatch.delenv(name, raising=False)
    try:
        account = pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        account = f"uid-{os.geteuid()}"
    assert claimed_name() == re.sub(r"[^A-Za-z0-9._@-]", "_", account)
    monkeypatch.setenv("USER", "bob")
    assert claimed_name() == "bob"


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
