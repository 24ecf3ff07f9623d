"""Run the service as an operator does: a set is published beside it, phones get it, and what they report is shown."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from tests.machine import patience
from tests.system.apps.test_cli_operate import configure, watchword
from tests.unit.adapters.published_pins.workspaces import Bench
from tests.unit.pins.builders import HOST, certificate, pem, spki

from watchword.pins.installed import DAY
from watchword.pins.interface import Basis
from watchword.pins.reports import PinReport, write_report

APP = "clinic-ios"
PATH = f"/v1/pins/{APP}"
SECTION = f"""
pins:
  directory: pins
  hosts:
    {HOST}: {{apps: [{APP}], mode: enforce}}
"""


@dataclass(frozen=True)
class Deployment:
    """Hold a directory with a configuration and a workspace."""

    directory: Path
    port: int
    pins: Bench

    def publish(self, version: int) -> None:
        """Publish a set that counts now."""
        now = int(datetime.now(UTC).timestamp())  # noqa: TID251 - the running service has the real clock.
        self.pins.publish(
            version, app=APP, issued_at=now, soft_expiry=now + DAY, hard_expiry=now + 2 * DAY
        )

    def get(self, path: str) -> httpx.Response:
        """Ask the public listener."""
        return httpx.get(f"http://127.0.0.1:{self.port}{path}")

    def wait_for(self, version: int) -> None:
        """Wait until a version is handed out."""
        expected = (self.pins.workspace.directory / f"sets/{APP}/{version}.jws").read_bytes()
        for _ in range(200):
            if self.get(PATH).content == expected:
                return
            time.sleep(0.05)
        pytest.fail(f"version {version} isn't handed out")

    @contextmanager
    def up(self) -> Iterator[None]:
        """Run the service as ``watchword up`` does."""
        process = subprocess.Popen(
            [
                sys.executable,
                "-c",
                "from watchword.apps.cli.main import run; run()",
                "up",
                "--json",
            ],
            cwd=self.directory,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["service"] == f"127.0.0.1:{self.port}"
        try:
            yield
        finally:
            process.terminate()
            process.communicate(timeout=patience(20))


@pytest.fixture
def deployment(tmp_path: Path) -> Deployment:
    """Return one that pins a host; nothing is published yet."""
    port = configure(tmp_path)
    with (tmp_path / "watchword.yaml").open("a") as file:
        file.write(SECTION)
    made = Deployment(tmp_path, port, Bench(tmp_path))
    made.pins.roots()
    return made


def reports(deployment: Deployment, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Ask for the reports as a person does."""
    return watchword(deployment.directory, "pins", "reports", *arguments)


def test_set_is_handed_out_and_reports_come_back(deployment: Deployment) -> None:
    """Published while the service runs, rolled back while it stands still: phones have the newest, and a person sees all."""
    with deployment.up():
        assert deployment.get(PATH).status_code == 404
        deployment.publish(1)
        deployment.wait_for(1)
        copy = deployment.pins.copied()
        deployment.publish(2)
        deployment.wait_for(2)
        newest = deployment.get(PATH).content
        _report(deployment)
        shown = reports(deployment)
        listed = reports(deployment, "--json", "--host", HOST)
        nothing = reports(deployment, "--app", "clinic-android")
    assert shown.returncode == 0, shown.stderr
    first, counted, versions, *rest = shown.stdout.splitlines()
    assert first.startswith(f"{HOST}  {APP}  sha256/")
    assert "2 reports, 2 refused: no pin matched; 20" in counted
    assert versions == "  app 4.1, 4.2; set 2"
    assert any("pinned as backup" in line for line in rest)
    assert rest[-1] == "1 of apps or hosts that nothing is published for."
    groups = json.loads(listed.stdout)["groups"]
    assert [each["count"] for each in groups] == [2, 1, 1]
    assert nothing.stdout.startswith("No reports.")
    deployment.pins.put_back(copy)
    with deployment.up():
        assert deployment.get(PATH).content == newest
        assert deployment.get("/healthz").json() == {"status": "ok", "pins": "fault"}
        scraped = watchword(deployment.directory, "metrics", "--prometheus")
        assert f'watchword_service_pins_set_version{{app="{APP}"}} 2.0' in scraped.stdout


def _report(deployment: Deployment) -> None:
    """Report an interception twice, an old pin, a TrustKit's, and a host that isn't pinned."""
    seen = [
        PinReport(APP, version, host, 2, Basis.PINS, True, True, (spki(leaf),), 5)
        for version, host, leaf in [
            ("4.1", HOST, "M"),
            ("4.2", HOST, "M"),
            ("4.0", HOST, "B"),
            ("4.0", "x.example.net", "M"),
        ]
    ]
    trustkit = {
        "app-bundle-id": "com.example.clinic",
        "app-version": "3.9",
        "hostname": HOST,
        "validation-result": 1,
        "validated-certificate-chain": [pem(certificate()).decode()],
    }
    url = f"http://127.0.0.1:{deployment.port}/v1/pins/reports"
    kind = {"content-type": "application/json"}
    for body in (*map(write_report, seen), json.dumps(trustkit).encode()):
        assert httpx.post(url, content=body, headers=kind).status_code == 204


def test_reports_without_a_service_say_so(deployment: Deployment) -> None:
    """Nobody answers: exit code 3, and what to do."""
    done = reports(deployment)
    assert done.returncode == 3
    assert "watchword up" in done.stderr
    assert "Traceback" not in done.stderr
