"""Build the sample app as a phone gets it, and read it as an attacker does."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from scripts.sdk import android, apk
from scripts.sdk.tools import DEX
from tests.conftest import Once
from tests.machine import patience
from tests.unit.scan.fixtures import tools

pytestmark = pytest.mark.skipif(
    not DEX.is_file(), reason="make sdk-dex fetches what the app is dexed with"
)
COMMAND = Path(sys.executable).parent / "watchword"


@pytest.fixture(scope="module")
def app(once: Once, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the app's APK."""

    def made() -> str:
        return str(apk.sample(android.Build(), tmp_path_factory.mktemp("app")))

    return Path(once("sdk-sample", made))


@pytest.fixture(scope="module")
def scanned(app: Path) -> dict[str, Any]:
    """Return what a scan says of it."""
    done = subprocess.run(
        [COMMAND, "scan", app, "--json", "--fail-on", "high", "--fail-on", "not-seen"],
        capture_output=True,
        text=True,
        check=False,
        timeout=patience(60),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _findings(scanned: dict[str, Any], rule: str) -> dict[str, str]:
    """Return the verdicts of a rule by subject."""
    (report,) = scanned["scans"]
    return {each["subject"]: each["verdict"] for each in report["findings"] if each["rule"] == rule}


def test_app_is_signed_for_the_oldest_phone(app: Path) -> None:
    """By the schemes that Android 7 and later ask for."""
    schemes, digest = tools.verified(app)
    assert schemes == ("v2", "v3")
    assert len(digest) == 64


def test_no_secret_is_seen(scanned: dict[str, Any]) -> None:
    """Nothing in the app is worth taking out."""
    assert "exposed" not in _findings(scanned, "secret-in-app").values()
    assert "exposed" not in _findings(scanned, "hard-coded-crypto-key").values()


def test_pins_are_seen(scanned: dict[str, Any]) -> None:
    """Of the API's host."""
    assert _findings(scanned, "pinning")["api.clinic.example"] == "protected"


def test_attestation_is_seen(scanned: dict[str, Any]) -> None:
    """The phone attests the app's keys, and the app speaks the protocol."""
    assert {"key-attestation", "watchword"} <= _findings(scanned, "app-attest-use").keys()


def test_nothing_of_a_test_is_in_it(app: Path) -> None:
    """Neither stubs nor test instances, whose names shrinking leaves where anything names them."""
    with zipfile.ZipFile(app) as archive:
        code = archive.read("classes.dex")
    for name in (b"TestInstance", b"systemService", b"Landroid/os/Build;.<clinit>"):
        assert name not in code
