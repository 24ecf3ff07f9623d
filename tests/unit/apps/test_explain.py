"""``watchword verify evidence --explain``: each step, what was wanted, what to do, for people and as JSON."""

import base64
import json
import ssl
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result
from tests.unit.apps import recording_lab as lab
from tests.unit.enrolment.simulators import NOW

from watchword.adapters.anchors import AnchorSet
from watchword.apps.cli.main import cli
from watchword.apps.evidence.commands import EvidenceOptions, show_explanation
from watchword.apps.evidence.reports import advice_of, report_attestation
from watchword.apps.settings.faults import ConfigurationError
from watchword.apps.terminal.paragraphs import wrapped
from watchword.attestation.interface import Expected, Trust
from watchword.attestation.registry import find_format
from watchword.encoding import base64url
from watchword.lab import PHONES
from watchword.lab.google_play import GooglePlay
from watchword.reasons import Reason, Refusal

APPS = {
    "android": ["--package", "com.example.clinic", "--signing-digest", lab.DIGEST.hex()],
    "ios": ["--team-id", "ABCDE12345", "--bundle-id", "com.example.clinic"],
}
GOOGLE = GooglePlay(lab.AUTHORITIES.seed)


def options_of(kind: str, folder: Path) -> list[str]:
    """Write a phone's evidence; return the options that verify it as the service would."""
    evidence = lab.evidence_of(kind)
    if "chain" in evidence:
        chain = (ssl.DER_cert_to_PEM_cert(base64url.decode(der)) for der in evidence["chain"])
        data, binding = "".join(chain).encode(), "--challenge"
    elif "token" in evidence:
        data, binding = evidence["token"].encode(), "--challenge"
    else:
        data, binding = base64url.decode(evidence["attestation"]), "--client-data-hash"
    file, anchors = folder / kind, folder / "anchors.json"
    file.write_bytes(data)
    anchors.write_text(json.dumps(lab.AUTHORITIES.anchors_document()))
    options = ["--format", evidence["format"], "--file", str(file), "--at", NOW.isoformat()]
    if "key_id" in evidence:
        options += ["--key-id", "base64:" + evidence["key_id"]]
    if "token" in evidence:
        for name, key in (
            ("decryption", GOOGLE.decryption_key),
            ("verification", GOOGLE.verification_key),
        ):
            path = folder / name
            path.write_text(base64.b64encode(key).decode() + "\n")
            options += [f"--{name}-key", str(path)]
    if "chain" in evidence:
        status = folder / "status.json"
        status.write_text(lab.STATUS_DOCUMENT)
        options += ["--status", str(status)]
    options += ["--anchors", str(anchors), binding, lab.BINDING.hex()]
    return [*options, *APPS[PHONES[kind].platform.value]]


def run(options: list[str], *more: str) -> Result:
    """Run the command."""
    return CliRunner().invoke(cli, ["verify", "evidence", *options, *more])


def document(options: list[str], *more: str) -> dict[str, Any]:
    """Return the report as JSON."""
    found: dict[str, Any] = json.loads(run(options, *more, "--json").stdout)
    return found


@pytest.mark.parametrize("kind", PHONES)
def test_every_phone_is_explained(kind: str, tmp_path: Path) -> None:
    """Each step is shown in its order, each reason with what to do, and nothing is wider than it may be."""
    options = options_of(kind, tmp_path)
    told, shown = document(options), run(options, "--explain")
    assert shown.exit_code == (0 if told["verdict"] == "accept" else 1)
    # The lowest version stands in a configuration, and none is named here.
    expected = set(PHONES[kind].expected.reasons) - {Reason.POLICY_APP_VERSION}
    assert told["verdict"] == ("reject" if expected else "accept")
    assert set(told["reasons"]) >= {each.code for each in expected}
    lines = shown.output.splitlines()
    assert max(map(len, lines)) <= 110
    assert all(line == line.rstrip() for line in lines)
    assert len(told["steps"]) > 3
    for step in told["steps"]:
        assert any(line.split()[:1] == [step["number"]] for line in lines), step
        assert (step["state"] == "failed") == bool(step["refusals"])
    flat = " ".join(shown.output.split())
    for code in told["reasons"]:
        assert code in flat
        # Text in a report for other evidence isn't shown: nothing is wrong with this.
        assert " ".join(advice_of(Refusal(Reason.from_code(code))).split()) in flat


def test_a_failed_step_says_what_was_wanted_and_found(tmp_path: Path) -> None:
    """Another challenge: got, expected, and what to do; the other steps are in order."""
    options = options_of("genuine-android", tmp_path)
    options[options.index("--challenge") + 1] = "00" * 32
    output = run(options, "--explain").output
    failed = output[output.index("failed") :]
    assert failed.index("wanted") < failed.index("attestation.binding") < failed.index("Levels")
    assert "got the challenge" in failed
    assert "This is a replay or a relay." in " ".join(failed.split())
    assert sum(" failed  " in line for line in output.splitlines()) == 1
    assert "Evidence with a failed step is granted none" in output
    assert "nothing of it is proven" in output


def test_levels_say_why_not_higher(tmp_path: Path) -> None:
    """A phone with another system: software by one policy, nothing by another, and why."""
    options = options_of("grapheneos-android", tmp_path)
    told = document(options, "--policy", "inclusive")
    assert told["level"] == "software"
    assert told["levels"] == {
        "hardware": "not granted",
        "verified": "for other evidence",
        "software": "granted",
    }
    (cause,) = [each for each in told["short_of"]["hardware"] if "boot" in each["reason"]]
    assert cause["reason"] == "policy.boot_self_signed"
    assert cause["text"]
    assert document(options)["levels"]["software"] == "granted to nobody"
    assert document(options)["policy"] == "balanced"


def test_a_policy_in_a_file(tmp_path: Path) -> None:
    """Either the section by itself, or a whole file that has one; a bad one is explained."""
    options = options_of("unlocked-android", tmp_path)
    file = tmp_path / "policy.yaml"
    for text in (
        "base: none\nlevels: {software: {all: [app_identity]}}\n",
        "policy:\n  base: none\n  levels: {software: {all: [app_identity]}}\nversion: 1\n",
    ):
        file.write_text(text)
        # What no rule looks at is an alarm, and not passed over.
        assert document(options, "--policy", str(file))["reasons"] == ["policy.unaccounted"]
    file.write_text("levels: {hardwear: {}}\n")
    assert isinstance(run(options, "--policy", str(file)).exception, ConfigurationError)
    assert isinstance(run(options, "--policy", "strickt").exception, ConfigurationError)


def test_a_play_verdict_that_google_decoded(tmp_path: Path) -> None:
    """The JSON that Google answers with is taken in place of a token; who signed it, nobody checked."""
    token = lab.evidence_of("play-phone")["token"]
    file = tmp_path / "payload.json"
    file.write_text(json.dumps(GOOGLE.open(token)))
    options = ["--format", "play-integrity", "--file", str(file), "--at", NOW.isoformat()]
    told = document([*options, "--challenge", lab.BINDING.hex(), *APPS["android"]])
    assert told["verdict"] == "accept"
    assert told["level"] == "verified"
    assert "signature" in told["unchecked"]


def test_a_key_that_is_none(tmp_path: Path) -> None:
    """What is wrong with the person's own files isn't told as a verdict on the evidence."""
    options = options_of("play-phone", tmp_path)
    (tmp_path / "decryption").write_text("not base64!")
    result = run(options)
    assert result.output == ""
    assert "Play Console" in str(result.exception)


def test_colours_only_where_someone_looks(capsys: pytest.CaptureFixture[str]) -> None:
    """A pipe gets the words alone."""
    evidence = lab.evidence_of("unlocked-android")
    read = find_format(evidence["format"]).read_attestation(evidence)
    report = report_attestation("x", read, Expected(lab.BINDING, None), trust(), NOW)
    options = EvidenceOptions("android-key", Path("x"))
    show_explanation(report, options)
    plain = capsys.readouterr().out
    assert "\x1b" not in plain
    with click.Context(click.Command("x"), color=True):
        show_explanation(report, options)
    coloured = capsys.readouterr().out
    assert "\x1b" in coloured
    assert click.unstyle(coloured) == plain


@pytest.mark.parametrize("columns", [20, 60, 100, 400])
def test_it_fits_the_window(columns: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """From a very narrow window to a very wide one, and no text is lost."""
    monkeypatch.setenv("COLUMNS", str(columns))
    output = run(options_of("unlocked-android", tmp_path), "--explain").output
    assert max(map(len, output.splitlines())) <= max(70, min(columns, 110))
    assert "The user locks the bootloader again." in " ".join(output.split())


def test_what_others_wrote_cannot_drive_the_terminal() -> None:
    """Escape sequences are spelled out before a line is laid out."""
    assert list(wrapped("a\x1b[2Jb\nc", first="x", indent=4)) == ["x   a\\x1b[2Jb\\nc"]


def test_advice_has_no_links() -> None:
    """They lead from a page, not from a terminal."""
    assert all(
        "](" not in advice_of(Refusal(reason)) and advice_of(Refusal(reason)) for reason in Reason
    )


def trust() -> Trust:
    """Return trust in the lab."""
    return Trust(AnchorSet(lab.AUTHORITIES.anchors()))
