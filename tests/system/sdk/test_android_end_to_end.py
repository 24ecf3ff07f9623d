"""Let the Android SDK's shipped adapters enrol at a real deployment and talk through its gates, on a phone that is simulated."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from scripts.sdk import android
from tests.machine import patience
from tests.system.sdk.deployment import deployed
from tests.unit.apps.service_process import watchword

MODULE = "endtoend"


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return where the deployment has its files."""
    return tmp_path_factory.mktemp("sdk")


@pytest.fixture(scope="module")
def where(directory: Path) -> Iterator[dict[str, Any]]:
    """Run the deployment for all tests here."""
    with deployed(directory) as addresses:
        yield addresses


@pytest.mark.parametrize("variant", android.modules()[MODULE].variants)
def test_phones_at_a_deployment(
    where: dict[str, Any],
    directory: Path,
    variant: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """Every test of the class passes, with each OkHttp; what the self-test shows is verified and replayed."""
    monkeypatch.setenv("WATCHWORD_DEPLOYMENT", json.dumps(where))
    monkeypatch.setenv("WATCHWORD_SELF_TEST", str(tmp_path))
    build = android.Build()
    outcomes = build.run_junit(MODULE, ["dev.watchword.EndToEnd"], variant, patience(600))
    failed = [each for each in outcomes if each.status != "passed"]
    assert outcomes
    assert not failed, "\n\n".join(f"{each.test}: {each.message}" for each in failed)
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["passed"], report
    assert _verified(directory, tmp_path, report)["accepted"]
    records = _said(directory, "verify", "replay")
    assert records["different"] == 0, records


def _verified(directory: Path, place: Path, report: dict[str, Any]) -> dict[str, Any]:
    """Return what is said of the chain that a self-test wrote down."""
    anchors = place / "anchors.json"
    file = directory / "watchword.yaml"
    assert watchword(file, "lab", "anchors", "-o", str(anchors)).returncode == 0
    chain = ("--file", str(place / "chain.pem"), "--anchors", str(anchors))
    bound = ("--challenge", report["evidence"]["challenge"], "--app", "clinic-android")
    return _said(directory, "verify", "evidence", "--format", "android-key", *chain, *bound)


def _said(directory: Path, *arguments: str) -> dict[str, Any]:
    """Return what a command prints as JSON; it ends well."""
    done = watchword(directory / "watchword.yaml", *arguments, "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    said: dict[str, Any] = json.loads(done.stdout)
    return said
