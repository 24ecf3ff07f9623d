"""What `watchword check` says beyond the file itself: key files, and what the file comes to."""

import asyncio
import base64
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from watchword.apps.cli.declarations import check_command as command
from watchword.apps.compose.gates import system_ports
from watchword.apps.deployment import Deployment
from watchword.apps.settings.faults import ConfigurationError
from watchword.apps.settings.load import load_settings
from watchword.apps.terminal.console import EXIT_USAGE
from watchword.encoding.phrases import duration

FILE = """\
version: 1
environment: prod
service: {issuer: https://attest.bank.example, state: state, trusted_proxies: [127.0.0.1]}
records: {keep: 30d}
apps:
  bank-ios:
    platform: ios
    team_id: Q7WXYZ1234
    bundle_id: com.bank.app
    receipts: {key_id: ABC1234567, key: team.p8}
  bank-android:
    platform: android
    package: com.bank.app
    signing_digests: [1f1d8c5b0e3a7296d1c4b5a6978810fe2d3c4b5a69788190a1b2c3d4e5f60719]
    play_integrity: {decryption_key: play.key, verification_key: google.key}
apis:
  bank:
    audience: https://api.bank.example
    apps: [bank-ios, bank-android]
    routes:
      - {path: /transfers, level: hardware}
      - {path: /**, level: verified}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return a file for production with all the keys that it names."""
    key = ec.generate_private_key(ec.SECP256R1())
    spki = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    keys = {
        "team.p8": pem,
        "play.key": base64.b64encode(bytes(32)),
        "google.key": base64.b64encode(spki),
    }
    for name, data in keys.items():
        (tmp_path / name).write_bytes(data)
        (tmp_path / name).chmod(0o600)
    written = tmp_path / "watchword.yaml"
    written.write_text(FILE, encoding="utf-8")
    return written


def check(file: Path, *arguments: str) -> Result:
    """Run the command on a file."""
    return CliRunner().invoke(command, arguments, obj=file)


def test_good_file_says_what_it_comes_to(file: Path) -> None:
    """Vendors, records, and who opens Play Integrity tokens."""
    done = check(file)
    assert done.exit_code == 0, done.output
    assert "bank-android (android), Play Integrity opened by own keys\n" in done.output
    assert "known for 24h after its last fetch" in done.output
    assert "records      for 30d, at most 256 MB" in done.output
    assert "note" not in done.output


ROUTES = FILE[FILE.index("    routes:") :]


def test_it_says_what_becomes_of_other_spellings(file: Path) -> None:
    """Which rows judge paths of others, and which paths are refused, in lines of 80 columns; and where case counts."""
    told = "judges   /transfers: its other spellings too, in place of /**\n"
    assert told in check(file).output
    rows = "    routes:\n" + "".join(
        f"      - {{{row}}}\n"
        for row in (
            "path: /health, mode: off",
            "path: /v1/transfers/**, level: software, proof: session",
            "path: /v1/watched, mode: monitor, level: verified",
            "path: /v1/*, mode: monitor, proof: session, level: software",
            "path: /**, level: verified",
        )
    )
    file.write_text(FILE.replace(ROUTES, rows), encoding="utf-8")
    lines = [line.strip() for line in check(file).output.splitlines()]
    assert "case     insensitive: any case and Unicode form of a path counts" in lines
    assert "refuses  other spellings of /v1/transfers/** under /**: neither is stricter" in lines
    assert "judges   /v1/transfers/**: its other spellings too, in place of /v1/*" in lines
    assert "reports  other spellings of /v1/watched under /v1/*: neither is stricter" in lines
    spelled = [line for line in check(file).output.splitlines() if "spellings" in line]
    assert len(spelled) == 3
    assert all(len(line) <= 80 for line in spelled)
    api = json.loads(check(file, "--json").output)["apis"]["bank"]
    assert api["case"] == "insensitive"
    assert {
        "of": "bank[1] /v1/transfers/**",
        "under": "bank[4] /**",
        "outcome": "refused",
    } in api["spellings"]
    file.write_text(
        FILE.replace("    routes:", "    case: sensitive\n    routes:"), encoding="utf-8"
    )
    done = check(file)
    assert "case     sensitive: a path in other letters is another path" in done.output
    assert "spellings" not in done.output
    assert json.loads(check(file, "--json").output)["apis"]["bank"]["spellings"] == []


def test_what_is_pinned_is_told(file: Path) -> None:
    """How many hosts, how many of them enforced, for whom, and that keys are nowhere yet."""
    assert "pins" not in check(file).output
    pins = "{api.bank.example: {apps: [bank-ios], mode: enforce}, cdn.bank.example: {apps: [bank-ios, bank-android]}}"
    file.write_text(f"{FILE}pins: {{hosts: {pins}}}\n", encoding="utf-8")
    told = "pins         2 hosts, 1 of them enforced, for bank-ios, bank-android; run `watchword pins init`"
    assert told in check(file).output
    (file.parent / "pins").mkdir()
    assert f"bank-android; keys in {file.parent / 'pins'}" in check(file).output
    file.write_text(f"{FILE}pins: {{}}\n", encoding="utf-8")
    assert "pins         no host yet" in check(file).output


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("team.p8", "apps.bank-ios.receipts.key"),
        ("play.key", "apps.bank-android.play_integrity"),
        ("google.key", "apps.bank-android.play_integrity"),
    ],
)
def test_key_file_with_something_else_is_a_fault(file: Path, name: str, path: str) -> None:
    """What `up` would refuse at its start is told before."""
    (file.parent / name).write_bytes(b"something else")
    done = check(file, "--json")
    assert done.exit_code == EXIT_USAGE
    (fault,) = json.loads(done.output)["faults"]
    assert fault["path"] == path
    assert name in fault["got"]


def test_every_key_file_that_others_can_read_is_a_fault(file: Path) -> None:
    """All at once, with the command that mends it."""
    for name in ("team.p8", "play.key"):
        (file.parent / name).chmod(0o644)
    with pytest.raises(ConfigurationError) as caught:
        raise check(file).exception or AssertionError
    assert len(caught.value.faults) == 2
    assert all("chmod 600" in fault.got for fault in caught.value.faults)


def test_missing_team_key_is_a_fault(file: Path) -> None:
    """Receipts couldn't be asked for."""
    (file.parent / "team.p8").unlink()
    assert "apps.bank-ios.receipts.key" in check(file, "--json").output


def test_a_start_that_fails_for_a_key_leaves_nothing_behind(file: Path) -> None:
    """Key ring without store would look like a store that was lost."""
    (file.parent / "team.p8").unlink()
    deployment = Deployment(load_settings(file), *system_ports())
    with pytest.raises(ConfigurationError):
        asyncio.run(deployment.start())
    assert not (file.parent / "state").exists()


def test_service_account_that_is_none_is_a_fault(file: Path) -> None:
    """Google would decode nothing."""
    (file.parent / "account.json").write_text("{}", encoding="utf-8")
    (file.parent / "account.json").chmod(0o600)
    keys = "{decryption_key: play.key, verification_key: google.key}"
    text = FILE.replace(keys, "{service_account: account.json}")
    file.write_text(text, encoding="utf-8")
    done = check(file, "--json")
    assert done.exit_code == EXIT_USAGE
    assert "account.json" in json.loads(done.output)["faults"][0]["got"]


@pytest.mark.parametrize("snapshot", ["<html>", '{"entries": []}', '{"entries": {"x": {}}}'])
def test_snapshot_that_is_no_list_is_a_fault(file: Path, snapshot: str) -> None:
    """A start would fail over it."""
    (file.parent / "list.json").write_text(snapshot, encoding="utf-8")
    lists = "trust: {anchors: [vendors], revocation_lists: [good.json, list.json]}\n"
    (file.parent / "good.json").write_text('{"entries": {}}', encoding="utf-8")
    file.write_text(FILE + lists, encoding="utf-8")
    done = check(file, "--json")
    assert done.exit_code == EXIT_USAGE
    (fault,) = json.loads(done.output)["faults"]
    assert fault["path"] == "trust.revocation_lists[1]"
    assert "list.json" in fault["got"]


def test_lab_reads_no_key_of_the_real_google(file: Path) -> None:
    """A lab that trusts itself alone doesn't need them, and may not have them."""
    lab = FILE.replace("prod", "lab").replace(
        "https://attest.bank.example", "http://127.0.0.1:8440"
    )
    file.write_text(lab, encoding="utf-8")
    (file.parent / "play.key").chmod(0o644)
    done = check(file)
    assert done.exit_code == 0, done.output


def test_where_an_ios_app_runs_is_told_and_mixed_builds_are_noted(file: Path) -> None:
    """A person sees at once that testers' builds pass where only the store's should."""
    shown = check(file).output
    assert "bank-ios (ios) on ios, ipados, visionos, distributed by app_store\n" in shown
    assert "builds beside those of the App Store" not in shown
    listed = (
        "bundle_id: com.bank.app\n    distribution: [app_store, testflight]\n    platforms: [macos]"
    )
    file.write_text(file.read_text().replace("bundle_id: com.bank.app", listed))
    shown = " ".join(check(file).output.split())
    assert "bank-ios (ios) on macos, distributed by app_store, testflight " in shown
    assert "bank-ios takes testflight builds beside those of the App Store in production" in shown


def test_play_integrity_that_no_route_takes_is_noted(file: Path) -> None:
    """Such phones would enrol and be served nothing."""
    file.write_text(FILE.replace("level: verified", "level: hardware"), encoding="utf-8")
    assert "note         bank-android takes Play Integrity" in check(file).output
    (note,) = json.loads(check(file, "--json").output)["notes"]
    assert note.startswith("bank-android takes Play Integrity")


@pytest.mark.parametrize(
    ("seconds", "written"),
    [(90, "90s"), (300, "5m"), (3600, "1h"), (86400, "24h"), (172800, "2d"), (90000, "25h")],
)
def test_durations_are_told_as_they_are_written(seconds: int, written: str) -> None:
    """In the largest unit that fits."""
    assert duration(seconds) == written


def test_a_file_that_anybody_can_change_is_noted(file: Path) -> None:
    """Who can write it can switch routes off."""
    file.chmod(0o666)
    shown = " ".join(check(file).output.split())
    assert "anybody on this machine can change watchword.yaml" in shown
    assert "chmod o-w watchword.yaml" in shown


@pytest.mark.parametrize(
    ("issuer", "noted"),
    [
        ("http://127.0.0.1:8441", True),
        ("http://localhost", True),
        ("http://127.0.0.1:8440", False),
        ("https://attest.bank.example", False),
    ],
)
def test_an_issuer_of_this_machine_at_another_port_is_noted(
    file: Path, issuer: str, noted: bool
) -> None:
    """Nobody would answer there; a proxy in front has another name."""
    environment = "lab" if issuer.startswith("http:") else "prod"
    text = FILE.replace("https://attest.bank.example", issuer)
    text = text.replace("environment: prod", f"environment: {environment}")
    file.write_text(text, encoding="utf-8")
    done = check(file)
    assert done.exit_code == 0, done.output
    assert ("phones ask at the issuer's port" in " ".join(done.output.split())) is noted


def test_one_directory_is_one_fault(file: Path) -> None:
    """A state directory that others can change is told once, with one command."""
    gates = file.with_name("state") / "gates"
    gates.mkdir(parents=True)
    gates.parent.chmod(0o777)
    shown = check(file, "--json").output
    (fault,) = json.loads(shown)["faults"]
    assert "chmod 700" in fault["got"]
