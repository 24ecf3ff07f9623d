"""``watchword verify evidence`` on Play Integrity tokens: whose keys open them."""

import base64
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from watchword.adapters.lab_store import load_or_create
from watchword.adapters.system import SystemEntropy
from watchword.apps.cli.main import cli
from watchword.apps.settings.template import TEMPLATE
from watchword.lab.google_play import GooglePlay


def watchword(config: Path, *arguments: str) -> Result:
    """Run the command line on a configuration."""
    return CliRunner().invoke(cli, ["-c", str(config), *arguments])


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Return the configuration of a lab, with the token of its Play phone beside it."""
    file = tmp_path / "watchword.yaml"
    file.write_text(TEMPLATE, encoding="utf-8")
    token = str(tmp_path / "token")
    written = watchword(file, "lab", "evidence", "play-phone", "--challenge", "00ff", "-o", token)
    assert written.exit_code == 0, written.output
    return file


def verify(config: Path, *arguments: str) -> Result:
    """Verify that token."""
    token = str(config.parent / "token")
    given = ("--format", "play-integrity", "--file", token, "--challenge", "00ff", *arguments)
    return watchword(config, "verify", "evidence", *given)


def test_token_of_the_lab_is_opened_by_its_google(config: Path) -> None:
    """Of an app of the lab nothing else needs to be given."""
    done = verify(config, "--app", "clinic-android", "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.output)["level"] == "verified"


def test_keys_of_the_configuration_open_tokens_of_a_real_google(config: Path) -> None:
    """What the app's section names is used, here with the keys of that lab's Google."""
    google = GooglePlay(load_or_create(config.parent / ".watchword", SystemEntropy()).seed)
    (config.parent / "play.key").write_bytes(base64.b64encode(google.decryption_key))
    (config.parent / "play.key").chmod(0o600)
    (config.parent / "google.key").write_bytes(base64.b64encode(google.verification_key))
    keys = "play_integrity: {decryption_key: play.key, verification_key: google.key}"
    text = TEMPLATE.replace("    minimum_version: 100\n", f"    {keys}\n")
    config.write_text(text + "trust: {anchors: [vendors]}\n", encoding="utf-8")
    done = verify(config, "--app", "clinic-android", "--json")
    assert done.exit_code == 0, done.output
    (config.parent / "play.key").write_bytes(base64.b64encode(bytes(32)))
    assert "play.decryption" in verify(config, "--app", "clinic-android").output


def test_token_that_nobody_opens_says_so_once(config: Path) -> None:
    """Without an app there are no keys; the step tells it, and nothing tells it again."""
    done = verify(config, "--explain")
    assert done.exit_code == 1
    assert done.output.count("play.unconfigured") == 1
