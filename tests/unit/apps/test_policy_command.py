"""``watchword policy``: show one in words, try it on cases, compare two on recorded verifications."""

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result
from tests.unit.apps.test_policy_settings import yaml_blocks
from tests.unit.policy.genuine import (
    ANDROID,
    ANDROID_APP,
    APPLE,
    APPLE_APP,
    NOW,
    PLAY,
    with_boot,
)

from watchword.apps.cli.main import cli
from watchword.apps.evidence.records import (
    WITHHELD,
    RecordedEvidence,
    RecordedPolicy,
    VerificationRecord,
    claims_to_document,
    record_to_line,
)
from watchword.apps.policy.cases import APPS, MAX_UNREADABLE, SAMPLES, Tally, compare
from watchword.apps.settings.faults import ConfigurationError
from watchword.apps.settings.load import load_settings
from watchword.apps.settings.template import TEMPLATE
from watchword.apps.terminal.console import EXIT_USAGE, fail
from watchword.apps.terminal.paragraphs import hanging
from watchword.attestation.claims import BootState, PatchLevels, UnverifiedClaims
from watchword.policy.interface import Circumstances, Verdict
from watchword.policy.registry import BALANCED, PRESETS, STRICT
from watchword.policy.service import appraise_unverified
from watchword.reasons import Reason, Refusal
from watchword.vocabulary import Level, Platform

LONG_AGO = datetime(2020, 2, 1, tzinfo=UTC)

UNLOCKED = """\
  - name: unlocked
    like: android-key
    claims: {boot: {device_locked: false}}
    expect: {level: none, reasons: [policy.bootloader_unlocked]}
"""


def watchword(*arguments: str | Path) -> Result:
    """Run the command line; an error of ours is left in the result."""
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


def cases(tmp_path: Path, text: str) -> Path:
    """Write a file of cases."""
    file = tmp_path / "cases.yaml"
    file.write_text("cases:\n" + text, encoding="utf-8")
    return file


def configured(tmp_path: Path, policy: str = "") -> Path:
    """Write a configuration."""
    file = tmp_path / "watchword.yaml"
    file.write_text(TEMPLATE + policy, encoding="utf-8")
    return file


def faults_of(result: Result) -> dict[str, tuple[int | None, str, str]]:
    """Return the faults that ended a command."""
    assert isinstance(result.exception, ConfigurationError)
    return {
        fault.path: (fault.line, fault.got, fault.expected) for fault in result.exception.faults
    }


# Show


def test_show_says_each_level_in_words(tmp_path: Path) -> None:
    """The policy of the file, with what it leaves out."""
    config = configured(tmp_path, "policy: {with: [{patch_level: {system: 6}}]}\n")
    shown = watchword("-c", config, "policy", "show").output
    assert shown.startswith("Policy balanced, changed\n\nhardware: all of these\n")
    assert "    system: 6 (most months of age of osPatchLevel)\n" in shown
    assert "software: granted to nobody" in shown
    assert "left out on purpose: app_access_risk, coherence, device_recall" in shown
    assert "for 24 hours after a verdict" in shown


@pytest.mark.parametrize("name", [*PRESETS, "recorded"])
def test_show_json_can_be_read_again(tmp_path: Path, name: str) -> None:
    """What it prints is a policy: section in full, that means the same."""
    printed = watchword("policy", "show", name, "--json").output
    file = tmp_path / "own.yaml"
    file.write_text(yaml.safe_dump({"policy": json.loads(printed)}), encoding="utf-8")
    assert watchword("policy", "show", file, "--json").output == printed


def test_show_of_a_file_with_faults(tmp_path: Path) -> None:
    """They are told with their lines; so is a file without a policy."""
    file = tmp_path / "own.yaml"
    file.write_text("policy:\n  base: strickt\n", encoding="utf-8")
    line, got, expected = faults_of(watchword("policy", "show", file))["policy.base"]
    assert (line, got) == (2, "'strickt'")
    assert expected.startswith("'strict'?")
    file.write_text("polizy: strict\n", encoding="utf-8")
    assert faults_of(watchword("policy", "show", file))["polizy"][1] == "an unknown key"
    file.write_text("- strict\n", encoding="utf-8")
    assert faults_of(watchword("policy", "show", file))[""][1] == "a list"
    file.write_text("version: 1\n", encoding="utf-8")
    assert watchword("policy", "show", file).output.startswith("Policy balanced\n")


# Test


def test_cases_of_the_page(tmp_path: Path) -> None:
    """The example in docs/policy.md comes out as it says."""
    (block,) = yaml_blocks("cases:")
    file = tmp_path / "cases.yaml"
    file.write_text(block, encoding="utf-8")
    done = watchword("policy", "test", file, "--policy", "inclusive")
    assert (done.exit_code, done.output.splitlines()[-1]) == (
        0,
        "6 of 6 cases as expected under policy inclusive",
    )


def test_case_that_differs_ends_with_1(tmp_path: Path) -> None:
    """The table says which, in what, and what was expected."""
    text = UNLOCKED + (
        "  - {name: too hopeful, like: app-attest, enrolled_today: 50, expect: {level: hardware}}\n"
    )
    done = watchword("policy", "test", cases(tmp_path, text), "--policy", "strict")
    assert done.exit_code == 1
    lines = done.output.splitlines()
    assert lines[0] == "ok      unlocked     none      policy.bootloader_unlocked"
    assert lines[1] == "DIFFERS too hopeful  none      policy.device_velocity"
    assert lines[2].strip() == "level: got none, expected hardware"
    printed = watchword("policy", "test", cases(tmp_path, text), "--policy", "strict", "--json")
    first, second, *_ = (json.loads(line) for line in printed.stdout.splitlines())
    assert (first["ok"], second["ok"]) == (True, False)
    assert second["reasons"] == ["policy.device_velocity"]


def test_case_is_judged_by_the_files_policy_and_for_its_apps(tmp_path: Path) -> None:
    """Without --policy that of watchword.yaml; an app is named as there."""
    config = configured(tmp_path, "policy: inclusive\n")
    text = (
        "  - name: another app than mine\n"
        "    like: app-attest\n"
        "    app: clinic-ios\n"
        "    expect: {level: none, reasons: [policy.app_id], unchecked: [device_velocity, risk_metric]}\n"
    )
    done = watchword("-c", config, "policy", "test", cases(tmp_path, text))
    assert (done.exit_code, done.output.splitlines()[-1]) == (
        0,
        "1 of 1 cases as expected under policy inclusive",
    )


def test_case_with_claims_in_full(tmp_path: Path) -> None:
    """As records hold them; without an app the app is unchecked, with one it is compared."""
    document = claims_to_document(ANDROID)
    base = {"name": "mine", "claims": document, "at": NOW.isoformat()}
    app = {
        "id": "x",
        "platform": "android",
        "package": "org.example.clinic",
        "signing_digests": ["00" * 32],
    }
    rows = [
        {**base, "expect": {"level": "hardware"}},
        {**base, "app": app, "expect": {"level": "none", "reasons": ["policy.signing_digest"]}},
    ]
    file = tmp_path / "cases.yaml"
    file.write_text(json.dumps({"cases": rows}), encoding="utf-8")
    done = watchword("policy", "test", file, "--policy", "balanced")
    assert done.exit_code == 0, done.output


def test_case_from_a_record(tmp_path: Path) -> None:
    """Claims, app, time and circumstances are the record's; a case may name another time."""
    old = replace(record(replace(ANDROID, patches=PatchLevels(system=202001))), at=LONG_AGO)
    records(tmp_path, record(ANDROID), record(APPLE, today=12), old)
    text = (
        "  - {name: first, record: records.jsonl, expect: {level: hardware}}\n"
        "  - name: second\n"
        "    record: records.jsonl\n"
        "    line: 2\n"
        "    expect: {level: none, reasons: [policy.device_velocity]}\n"
        "  - {name: long ago, record: records.jsonl, line: 3, expect: {level: hardware}}\n"
        "  - name: years later\n"
        "    record: records.jsonl\n"
        "    at: 2029-01-01T00:00:00Z\n"
        "    expect: {level: none, reasons: [policy.patch_level]}\n"
    )
    config = "policy: {with: [{patch_level: {system: 12}}]}\n"
    done = watchword("-c", configured(tmp_path, config), "policy", "test", cases(tmp_path, text))
    assert done.exit_code == 0, done.output


@pytest.mark.parametrize(
    ("text", "path", "got"),
    [
        ("  - 7\n", "cases[0]", "7"),
        ("  - {like: app-attest, expect: {level: none}}\n", "cases[0].name", "nothing"),
        ("  - {name: a, expect: {level: none}}\n", "cases[0]", "no claims"),
        ("  - {name: a, like: ios, expect: {level: none}}\n", "cases[0].like", "'ios'"),
        ("  - {name: a, like: app-attest}\n", "cases[0].expect", "nothing"),
        (
            "  - {name: a, like: app-attest, expect: {level: gold}}\n",
            "cases[0].expect.level",
            "'gold'",
        ),
        (
            "  - {name: a, like: app-attest, expect: {level: none, reasons: [policy.bot]}}\n",
            "cases[0].expect.reasons[0]",
            "'policy.bot'",
        ),
        (
            "  - {name: a, like: app-attest, expect: {level: none, reasons: policy.boot}}\n",
            "cases[0].expect.reasons",
            "'policy.boot'",
        ),
        (
            "  - {name: a, like: app-attest, expect: {level: none, unchecked: x}}\n",
            "cases[0].expect.unchecked",
            "'x'",
        ),
        (
            "  - {name: a, like: app-attest, expect: {level: none, short_of: x}}\n",
            "cases[0].expect.short_of",
            "'x'",
        ),
        (
            "  - {name: a, like: app-attest, expect: {level: none, short_of: {x: []}}}\n",
            "cases[0].expect.short_of.x",
            "'x'",
        ),
        (
            "  - {name: a, like: app-attest, expekt: {}, expect: {level: none}}\n",
            "cases[0].expekt",
            "an unknown key",
        ),
        (
            "  - {name: a, like: app-attest, claims: 7, expect: {level: none}}\n",
            "cases[0].claims",
            "7",
        ),
        (
            "  - {name: a, like: app-attest, claims: {bot: 1}, expect: {level: none}}\n",
            "cases[0].claims",
            "claims: bot: is unknown",
        ),
        (
            "  - {name: a, like: app-attest, at: yesterday, expect: {level: none}}\n",
            "cases[0].at",
            "'yesterday'",
        ),
        (
            "  - {name: a, like: app-attest, at: 2026-11-24, expect: {level: none}}\n",
            "cases[0].at",
            "'2026-11-24'",
        ),
        (
            "  - {name: a, like: app-attest, enrolled_today: -1, expect: {level: none}}\n",
            "cases[0].enrolled_today",
            "-1",
        ),
        (
            "  - {name: a, like: android-key, fan_out_today: many, expect: {level: none}}\n",
            "cases[0].fan_out_today",
            "'many'",
        ),
        (
            "  - {name: a, like: app-attest, app: clinik-ios, expect: {level: none}}\n",
            "cases[0].app",
            "'clinik-ios'",
        ),
        (
            "  - {name: a, like: app-attest, app: {id: x}, expect: {level: none}}\n",
            "cases[0].app",
            "app: the whole",
        ),
        (
            "  - {name: a, like: app-attest, app: [x], expect: {level: none}}\n",
            "cases[0].app",
            "a list",
        ),
        (
            "  - {name: a, record: none.jsonl, expect: {level: none}}\n",
            "cases[0].record",
            "No such file",
        ),
        (
            "  - {name: a, record: cases.yaml, expect: {level: none}}\n",
            "cases[0].record",
            "expected one object of JSON",
        ),
        (
            "  - {name: a, record: cases.yaml, line: 0, expect: {level: none}}\n",
            "cases[0].record",
            "'cases.yaml'",
        ),
        (
            "  - {name: a, like: app-attest, record: cases.yaml, expect: {level: none}}\n",
            "cases[0].record",
            "record beside like",
        ),
    ],
)
def test_fault_in_a_case(tmp_path: Path, text: str, path: str, got: str) -> None:
    """Told with its line, and nothing is judged."""
    config = configured(tmp_path)
    found = faults_of(watchword("-c", config, "policy", "test", cases(tmp_path, text)))
    assert list(found) == [path]
    assert found[path][0] == 2
    assert got in found[path][1]


@pytest.mark.parametrize("text", ["", "[]", "{cases: []}", "{cases: x}", "{cases: [], x: 1}"])
def test_file_without_cases_is_a_fault(tmp_path: Path, text: str) -> None:
    """No case that holds proves nothing."""
    file = tmp_path / "cases.yaml"
    file.write_text(text, encoding="utf-8")
    assert faults_of(watchword("policy", "test", file, "--policy", "strict"))


@pytest.mark.parametrize("kind", SAMPLES)
def test_samples_are_genuine_phones(kind: str) -> None:
    """Under balanced each is granted what its format can get; all but strict's hold for strict too."""
    claims = SAMPLES[kind](NOW)
    app = APPS[claims.platform]
    verdict = appraise_unverified(claims, app, BALANCED, Circumstances(NOW, 0))
    wanted = Level.VERIFIED if kind == "play-integrity" else Level.HARDWARE
    assert (verdict.level, claims.format) == (wanted, kind)
    strict = appraise_unverified(claims, app, STRICT, Circumstances(NOW, 0))
    assert (strict.level is Level.HARDWARE) is (wanted is Level.HARDWARE)


# Diff


def record(
    claims: UnverifiedClaims | None,
    *,
    today: int | None = 0,
    verification: tuple[Refusal, ...] = (),
    model: str = "",
) -> VerificationRecord:
    """Return a record of an appraisal."""
    ios = claims is not None and claims.platform is Platform.IOS
    named = None if claims is None else replace(claims, model=model)
    return VerificationRecord(
        at=NOW,
        format="android-key" if claims is None else claims.format,
        app=APPLE_APP if ios else ANDROID_APP,
        binding=bytes(32),
        evidence=RecordedEvidence(WITHHELD, because="a test"),
        claims=named,
        verification=verification,
        anchors=(),
        status=None,
        policy=RecordedPolicy("balanced", "0" * 64),
        circumstances=Circumstances(NOW, today),
        verdict=Verdict(Level.HARDWARE),
        instance="i",
        left_out=0,
        watchword="0",
    )


def records(tmp_path: Path, *kept: VerificationRecord) -> Path:
    """Write a file of records."""
    file = tmp_path / "records.jsonl"
    file.write_bytes(b"".join(record_to_line(each) for each in kept))
    return file


OLD_PATCH = replace(ANDROID, patches=PatchLevels(system=202604))


def sums(result: Result) -> Mapping[str, Any]:
    """Return the last object that a command printed."""
    found: Mapping[str, Any] = json.loads(result.stdout.splitlines()[-1])
    return found


def test_diff_says_who_is_judged_differently(tmp_path: Path) -> None:
    """By change of level, by reason, by model, by app; those who aren't, and who didn't verify, are counted."""
    file = records(
        tmp_path,
        record(ANDROID, model="Pixel 9"),
        record(OLD_PATCH, model="Pixel 4a"),
        record(OLD_PATCH, model="Pixel 4a"),
        record(PLAY, today=None),
        record(APPLE, today=5),
        record(with_boot(device_locked=False)),
        record(ANDROID, verification=(Refusal(Reason.ATTESTATION_BINDING, ""),)),
        record(None, verification=(Refusal(Reason.EVIDENCE_MALFORMED, ""),)),
    )
    done = watchword("policy", "diff", "balanced", "strict", "--records", file, "--json")
    assert done.exit_code == 1
    found = sums(done)
    assert (found["judged"], found["differing"], found["unverified"]) == (6, 4, 2)
    assert found["levels"] == {"hardware -> none": 3, "verified -> none": 1}
    assert found["reasons"] == {
        "policy.patch_level": 2,
        "policy.security_level": 1,
        "policy.device_velocity": 1,
    }
    assert found["models"] == {"Pixel 4a": 2, "(not stated)": 2}
    assert found["apps"] == {ANDROID_APP.id: 3, APPLE_APP.id: 1}
    first = json.loads(done.stdout.splitlines()[0])
    assert (first["place"], first["old"]["level"], first["because"]) == (
        f"{file}:2",
        "hardware",
        ["policy.patch_level"],
    )
    shown = watchword("policy", "diff", "balanced", "strict", "--records", file).stdout
    assert shown.startswith("6 verifications, 4 judged differently by strict than by balanced\n")
    assert "by model\n       2  Pixel 4a\n" in shown


def test_diff_of_a_policy_with_itself_is_nothing(tmp_path: Path) -> None:
    """Exit code 0, and --exit-zero gives that in any case."""
    file = records(tmp_path, record(ANDROID), record(OLD_PATCH))
    same = watchword("policy", "diff", "strict", "strict", "--records", file)
    assert (same.exit_code, "0 judged differently" in same.stdout) == (0, True)
    arguments = ("policy", "diff", "balanced", "strict", "--records", file)
    assert watchword(*arguments).exit_code == 1
    assert watchword(*arguments, "--exit-zero").exit_code == 0


def test_diff_tells_what_a_laxer_policy_lets_in(tmp_path: Path) -> None:
    """Why they were refused before; and refusals for other reasons count as a difference too."""
    file = records(tmp_path, record(with_boot(state=BootState.SELF_SIGNED)))
    found = sums(watchword("policy", "diff", "balanced", "inclusive", "--records", file, "--json"))
    assert found["levels"] == {"none -> software": 1}
    assert found["reasons"] == {"policy.boot_self_signed": 1}
    own = tmp_path / "own.yaml"
    own.write_text(
        f"policy: {{with: [{{verified_boot: {{boot_keys: ['{'0' * 64}']}}}}]}}\n", encoding="utf-8"
    )
    other = sums(watchword("policy", "diff", "balanced", own, "--records", file, "--json"))
    assert other["levels"] == {"none -> none": 1}
    assert other["reasons"] == {"policy.boot_key": 1, "policy.boot_self_signed": 1}
    shown = watchword("policy", "diff", "balanced", own, "--records", file).stdout
    assert "     1  other reasons\n" in shown


def test_diff_reads_on_after_a_broken_line(tmp_path: Path) -> None:
    """What can't be read is told; a file without any record ends with 2."""
    file = records(tmp_path, record(ANDROID))
    file.write_bytes(b"{broken\n" + file.read_bytes() + b'{"cut')
    done = watchword("policy", "diff", "balanced", "balanced", "--records", file)
    assert done.exit_code == 0
    assert f"{file}:1: left out" in done.stderr
    assert f"{file}:3: left out" in done.stderr
    file.write_bytes(b"{broken\n")
    nothing = watchword("policy", "diff", "balanced", "balanced", "--records", file)
    assert nothing.exit_code == EXIT_USAGE
    assert "nothing was compared" in nothing.stderr


def test_diff_reads_a_directory_of_records(tmp_path: Path) -> None:
    """As the service fills it: a file a day, other files left alone."""
    day = records(tmp_path, record(OLD_PATCH, model="a\x1b[2Jb"))
    day.rename(tmp_path / "2026-11-24.jsonl")
    (tmp_path / "notes.txt").write_text("x", encoding="utf-8")
    done = watchword("policy", "diff", "balanced", "strict", "--records", tmp_path)
    assert done.exit_code == 1
    assert "a\\x1b[2Jb" in done.stdout
    assert "\x1b" not in done.stdout
    assert done.stderr == ""


def test_what_a_file_is_called_does_not_reach_the_terminal_as_it_is(tmp_path: Path) -> None:
    """Who can name a file must not move the cursor of who reads of it."""
    file = records(tmp_path, record(ANDROID))
    odd = file.rename(tmp_path / "a\x1b[2Jb.jsonl")
    odd.write_bytes(odd.read_bytes() + b"{broken\n")
    own = tmp_path / "c\x1b[31md.yaml"
    own.write_text("policy: balanced\n", encoding="utf-8")
    diff = watchword("policy", "diff", own, own, "--records", odd)
    assert (diff.exit_code, "left out" in diff.stderr) == (0, True)
    assert "a\\x1b[2Jb.jsonl:2" in diff.stderr
    shown = watchword("policy", "show", own)
    assert shown.exit_code == 0
    assert "\x1b" not in diff.output + diff.stderr + shown.output
    assert list(hanging("a\x1b[2Jb")) == ["a\\x1b[2Jb"]


def test_error_about_a_file_does_not_reach_the_terminal_as_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The lines of the explanation stay lines."""
    with pytest.raises(ConfigurationError) as caught:
        load_settings(tmp_path / "e\x1b[2J.yaml")
    assert fail(caught.value) == EXIT_USAGE
    told = capsys.readouterr().err
    assert "\x1b" not in told
    assert len(told.splitlines()) > 2


def test_diff_keeps_a_few_unreadable_lines_and_counts_the_others(tmp_path: Path) -> None:
    """A file of anything else needs no memory for each of its lines."""
    file = records(tmp_path, record(ANDROID))
    file.write_bytes(file.read_bytes() + b"{broken\n" * 1000)
    tally = Tally()
    assert list(compare([str(file)], BALANCED, BALANCED, tally)) == []
    assert (tally.unreadable, len(tally.first_unreadable)) == (1000, MAX_UNREADABLE)
    done = watchword("policy", "diff", "balanced", "balanced", "--records", file, "--json")
    assert sums(done)["unreadable"] == 1000
    assert len(done.stderr.splitlines()) == MAX_UNREADABLE + 1
    assert f"{1000 - MAX_UNREADABLE} more lines left out" in done.stderr
