"""Use `watchword lab revoke`, `suspend`, `restore`, `status-list`, and verify every kind's evidence."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from watchword.adapters.lab_store import StoredPhone, occupied_slot, status_list_file
from watchword.adapters.revocation import load_status_lists
from watchword.apps.evidence import cli as verify
from watchword.apps.lab.cli import command
from watchword.apps.settings.load import load_settings
from watchword.lab import PHONES
from watchword.lab.phones.kinds import ANDROID_PHONES

CONFIG = """\
version: 1
environment: {environment}
service:
  issuer: https://attest.example
  state: state
apps:
  ios:
    platform: ios
    team_id: ZYXWV98765
    bundle_id: com.example.clinic
  android:
    platform: android
    package: com.example.clinic
    signing_digests: ["{digest}"]
    minimum_version: 100
apis:
  clinic:
    audience: https://api.clinic.example
    apps: [ios, android]
    listen: 127.0.0.1:8081
    upstream: http://127.0.0.1:1
    routes:
      - path: /**
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Return the configuration of a lab."""
    return write_config(tmp_path, "lab")


def write_config(directory: Path, environment: str) -> Path:
    """Write a watchword.yaml."""
    path = directory / "watchword.yaml"
    path.write_text(CONFIG.format(environment=environment, digest="ab" * 32), encoding="utf-8")
    return path


def lab(config: Path, *arguments: str) -> Result:
    """Run the command."""
    return CliRunner().invoke(command, arguments, obj=config)


def entries(config: Path) -> dict[str, dict[str, str]]:
    """Return the list as the command shows it."""
    shown = lab(config, "status-list", "--json")
    assert shown.exit_code == 0, shown.output
    found: dict[str, dict[str, str]] = json.loads(shown.stdout)["entries"]
    return found


def test_a_kind_is_revoked_suspended_and_restored(config: Path) -> None:
    """The list that a service reads follows each command at once."""
    before = entries(config)
    for verb, said in (("revoke", "REVOKED"), ("suspend", "SUSPENDED"), ("restore", None)):
        shown = lab(config, verb, "genuine-android", "--json")
        assert shown.exit_code == 0, shown.output
        summary = json.loads(shown.stdout)
        assert summary["status"] == (said or "restored")
        (serial,) = summary["serials"]
        entry = load_status_lists([status_list_file(load_settings(config).service.state_dir)]).find(
            serial
        )
        assert (entry.status if entry else None) == said
    assert entries(config) == before


def test_a_serial_is_taken_as_it_is(config: Path) -> None:
    """Hex, with or without leading zeros; people see what was done."""
    shown = lab(config, "revoke", "00C0FFEE")
    assert shown.exit_code == 0, shown.output
    assert shown.stdout.split() == ["REVOKED", "00C0FFEE"]
    assert entries(config)["c0ffee"]["status"] == "REVOKED"
    listed = lab(config, "status-list")
    assert ["REVOKED", "c0ffee"] in [line.split() for line in listed.stdout.splitlines()]


def test_a_remotely_provisioned_phone_has_a_serial_of_its_own(config: Path) -> None:
    """The kept phone is meant, and no other; without one there is nothing to revoke."""
    state = load_settings(config).service.state_dir
    shown = lab(config, "revoke", "rkp-android")
    assert shown.exit_code == 2
    assert "watchword lab request rkp-android" in shown.output
    with occupied_slot(state, "rkp-android.android.clinic") as slot:
        slot.save(StoredPhone("the phone", generation=1, counter=0))
    first = json.loads(lab(config, "revoke", "rkp-android", "--json").stdout)["serials"]
    with occupied_slot(state, "rkp-android.android.other") as slot:
        slot.save(StoredPhone("another phone", generation=1, counter=0))
    both = json.loads(lab(config, "revoke", "rkp-android", "--json").stdout)["serials"]
    assert len(first) == 1
    assert len(both) == 2
    assert set(first) < set(both)


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("genuine-iphone", "only Android"),
        ("nokia-3310", "hex digits"),
        ("f" * 41, "hex digits"),
    ],
)
def test_wrong_usage_exits_with_2(config: Path, target: str, said: str) -> None:
    """A mistake is explained, and the list stays as it was."""
    before = entries(config)
    shown = lab(config, "suspend", target)
    assert shown.exit_code == 2
    assert said in shown.output
    assert entries(config) == before


@pytest.mark.parametrize("verb", ["revoke", "suspend", "restore", "status-list"])
def test_production_has_no_lab(tmp_path: Path, verb: str) -> None:
    """Outside of a lab nobody plays Google."""
    config = write_config(tmp_path, "prod")
    shown = lab(config, verb, *([] if verb == "status-list" else ["genuine-android"]))
    assert shown.exit_code != 0
    assert "only with environment: lab" in shown.output
    assert not (tmp_path / "state").exists()


def test_phones_tell_what_must_be_made_of_them() -> None:
    """Scripts get level and reasons, people the first reason or the level."""
    rows = {row["kind"]: row for row in json.loads(lab(Path("none"), "phones", "--json").stdout)}
    assert set(rows) == set(PHONES)
    assert rows["genuine-android"]["level"] == "hardware"
    assert rows["genuine-android"]["reasons"] == []
    assert rows["revoked-android"]["level"] == "none"
    assert rows["revoked-android"]["reasons"] == ["attestation.revoked"]
    lines = {line.split()[0]: line for line in lab(Path("none"), "phones").stdout.splitlines()}
    assert "attestation.revoked" in lines["revoked-android"]
    assert "level hardware" in lines["rkp-android"]


@pytest.mark.parametrize("kind", sorted(set(PHONES) - set(ANDROID_PHONES)))
def test_every_other_kind_writes_its_evidence(config: Path, tmp_path: Path, kind: str) -> None:
    """Each kind can be had from the command line, for a verifier of one's own."""
    path = tmp_path / "evidence"
    shown = lab(config, "evidence", kind, "--challenge", "00c0ffee", "-o", str(path))
    assert shown.exit_code == 0, shown.output
    assert path.stat().st_size > 500


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """Return a lab's configuration, its anchors and its status list, for a verifier elsewhere."""
    directory = tmp_path_factory.mktemp("published")
    config = write_config(directory, "lab")
    anchors, status = directory / "anchors.json", directory / "status.json"
    assert lab(config, "anchors", "-o", str(anchors)).exit_code == 0
    status.write_text(lab(config, "status-list", "--json").stdout, encoding="utf-8")
    return config, anchors, status


@pytest.mark.parametrize("kind", sorted(ANDROID_PHONES))
def test_the_offline_verifier_agrees_by_the_labs_own_files(
    published: tuple[Path, Path, Path], tmp_path: Path, kind: str
) -> None:
    """Anchors, status list and chain go out as files; verdict and reasons are those of the kind."""
    config, anchors, status = published
    chain = tmp_path / "chain.pem"
    assert lab(config, "evidence", kind, "--challenge", "00c0ffee", "-o", str(chain)).exit_code == 0
    options = {
        "--format": "android-key",
        "--file": str(chain),
        "--challenge": "00c0ffee",
        "--anchors": str(anchors),
        "--status": str(status),
        "--app": "android",
    }
    arguments = [text for option in options.items() for text in option]
    shown = CliRunner().invoke(verify.command, ["evidence", "--json", *arguments], obj=config)
    row = json.loads(shown.stdout)
    expected = PHONES[kind].expected
    assert set(row["reasons"]) == {reason.code for reason in expected.reasons}
    assert shown.exit_code == (1 if expected.reasons else 0)
    assert row["level"] == expected.level.value
