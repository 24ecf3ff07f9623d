"""Put a deployment together from its file: what belongs to a lab never serves production."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import structlog
from tests.machine import patience
from tests.unit.apps.service_process import configuration, running, upstream, watchword
from tests.unit.enrolment.simulators import MovableClock, SeededEntropy

from watchword.adapters.anchors import AnchorsError
from watchword.adapters.keyring.private_file import PrivateFileError
from watchword.adapters.refusal_log import MemoryRefusalLog
from watchword.apps.compose.vendors import trust_of
from watchword.apps.deployment import service_of
from watchword.apps.service.service import Service
from watchword.apps.settings.load import load_settings
from watchword.apps.settings.schema import Settings
from watchword.apps.settings.template import EXAMPLE_DIGEST, EXAMPLE_TEAM_ID, TEMPLATE
from watchword.vocabulary import Environment


def lab(directory: Path) -> Settings:
    """Return the settings of a lab."""
    file = directory / "watchword.yaml"
    file.write_text(TEMPLATE, encoding="utf-8")
    return load_settings(file)


def production(text: str) -> str:
    """Return the same file after somebody thought that a few words make it production."""
    for old, new in {
        "environment: lab": "environment: prod",
        "issuer: http://": "issuer: https://",
        EXAMPLE_TEAM_ID: "ZYXWV98765",
        EXAMPLE_DIGEST: "0f" * 32,
    }.items():
        text = text.replace(old, new)
    return text


def start(settings: Settings) -> Service:
    """Build the service; the caller closes its store."""
    clock = MovableClock()
    return service_of(
        settings, clock=clock, entropy=SeededEntropy(), refusal_log=MemoryRefusalLog(clock)
    )


def test_lab_phone_gets_no_token_of_production(tmp_path: Path) -> None:
    """A lab's state directory isn't taken over by a file that was changed to prod."""
    with upstream() as port, running(configuration(tmp_path, port)) as (where, _process):
        file = tmp_path / "watchword.yaml"
        url = f"http://{where['apis']['clinic']}/"
        served = watchword(file, "lab", "request", "genuine-iphone", url)
        assert served.returncode == 0, served.stderr
    file.write_text(production(file.read_text(encoding="utf-8")), encoding="utf-8")
    assert load_settings(file).environment is Environment.PROD
    refused = watchword(file, "up")
    assert refused.returncode == 1
    assert "got a state directory of a lab, expected one of prod" in refused.stderr
    assert "name another service.state" in refused.stderr
    assert watchword(file, "lab", "request", "genuine-iphone", url).returncode == 2


def test_lab_anchors_are_refused_outside_of_the_lab(tmp_path: Path) -> None:
    """Settings that were made by other means than the reader still can't mix the two worlds."""
    settings = lab(tmp_path)
    assert trust_of(settings, SeededEntropy()).anchors.for_vendor("android-key")
    mixed = replace(settings, environment=Environment.PROD)
    assert mixed.trust_lab
    with pytest.raises(AnchorsError, match="environment: lab"):
        trust_of(mixed, SeededEntropy())


_PRODUCTION = """
import sys
from pathlib import Path
from watchword.adapters.refusal_log import MemoryRefusalLog
from watchword.apps.settings.load import load_settings
from watchword.apps.compose.gates import system_ports
from watchword.apps.deployment import service_of
clock, entropy = system_ports()
log = MemoryRefusalLog(clock)
service = service_of(load_settings(Path(sys.argv[1])), clock=clock, entropy=entropy, refusal_log=log)
service.context.store.close()
print(sorted(name for name in sys.modules if name in {"cbor2", "watchword.lab"}))
"""


def test_production_does_not_load_the_lab(tmp_path: Path) -> None:
    """Neither the simulated vendors nor what they need is in a production process."""
    file = tmp_path / "watchword.yaml"
    file.write_text(production(TEMPLATE), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-c", _PRODUCTION, str(file)],
        capture_output=True,
        text=True,
        check=False,
        timeout=patience(60),
    )
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_state_directory_that_others_may_enter_is_refused(tmp_path: Path) -> None:
    """A directory that was there before with an ordinary mode isn't used as it is."""
    settings = lab(tmp_path)
    settings.service.state_dir.mkdir()
    settings.service.state_dir.chmod(0o755)
    with pytest.raises(PrivateFileError, match="chmod 700"):
        start(settings)
    with pytest.raises(PrivateFileError, match="chmod 700"):
        trust_of(settings, SeededEntropy())
    assert list(settings.service.state_dir.iterdir()) == []


def test_lost_parts_of_the_state_are_told(tmp_path: Path) -> None:
    """A lost store is replaced with a warning; a lost key ring stops the start."""
    settings = lab(tmp_path)
    with structlog.testing.capture_logs() as first:
        start(settings).context.store.close()
    assert first == []
    settings.service.database.unlink()
    with structlog.testing.capture_logs() as second:
        start(settings).context.store.close()
    (warned,) = second
    assert (warned["event"], warned["log_level"]) == ("store is gone", "warning")
    settings.service.keyring.unlink()
    with pytest.raises(PrivateFileError, match="is gone while watchword"):
        start(settings)
