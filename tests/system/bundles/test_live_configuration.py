"""Change watchword.yaml over processes: every enforcement point follows without a restart, and a rollback brings back what was."""

import json
import subprocess
import sys
from functools import partial
from typing import Any, Final

from tests.machine import patience
from tests.system.bundles.deployments import Deployment, deployed
from tests.system.bundles.machines import until

ENFORCED: Final = "mode: enforce"
UNCHECKED: Final = "mode: 'off'"
"""Envoy by itself can't count and let pass, as ``monitor`` does."""
FORGED: Final = "no.token.atall"


def config(deployment: Deployment, *words: str) -> dict[str, Any]:
    """Run ``watchword config``; return what it prints as JSON."""
    run = "from watchword.apps.cli.main import run; run()"
    done = subprocess.run(
        [sys.executable, "-c", run, "-c", str(deployment.service.file), "config", *words, "--json"],
        capture_output=True,
        text=True,
        check=False,
        timeout=patience(60),
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_every_point_follows_a_change_and_its_rollback() -> None:
    """Application, /authz and engines on another machine; the processes are the same all the time."""
    with deployed() as deployment:
        processes = {name: each.pid for name, each in deployment.gate.running.items()}
        file = deployment.service.file
        text = file.read_text("utf-8")
        assert ENFORCED in text
        file.write_text(text.replace(ENFORCED, UNCHECKED), "utf-8")
        told = config(deployment, "apply", "--widen", "--because", "outage")
        assert any(each["widens"] for each in told["changes"])
        for point in deployment.points:
            until(partial(point.serves, FORGED), partial(deployment.gate.said, point.name))
        back = config(deployment, "rollback", "--because", "it is over")
        assert back["restores"] == 1
        assert back["generation"] > told["generation"]
        for point in deployment.points:
            until(partial(point.refuses, FORGED), partial(deployment.gate.said, point.name))
        deployment.assert_holds()
        assert processes == {name: each.pid for name, each in deployment.gate.running.items()}
