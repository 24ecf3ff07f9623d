"""Send every kind of phone to a running deployment by the command line: each fares as it is said to."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from tests.apps.test_up import free_port, running, upstream

from watchword.apps.cli.commands.lab import command
from watchword.lab import PHONES

CONFIG = """\
version: 1
environment: lab
service:
  issuer: http://127.0.0.1:{service}
  listen: 127.0.0.1:{service}
  state: state
trust:
  anchors: [lab]
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
    listen: 127.0.0.1:{api}
    upstream: http://127.0.0.1:{upstream}
    routes:
      - path: /**
        level: software
"""
ACCEPTED = sorted(kind for kind, model in PHONES.items() if not model.expected.reasons)
REFUSED = sorted(kind for kind, model in PHONES.items() if model.expected.reasons)
ATTEMPTS = 60


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Run a deployment for many tests and return its file."""
    with deployed(tmp_path_factory.mktemp("deployment")) as file:
        yield file


@pytest.fixture
def fresh_deployment(tmp_path: Path) -> Iterator[Path]:
    """Run a deployment in which no phone was enrolled today, and return its file."""
    with deployed(tmp_path) as file:
        yield file


@contextmanager
def deployed(folder: Path) -> Iterator[Path]:
    """Run a deployment in a folder."""
    file = folder / "watchword.yaml"
    with upstream() as port:
        text = CONFIG.format(service=free_port(), api=free_port(), upstream=port, digest="ab" * 32)
        file.write_text(text, encoding="utf-8")
        with running(file) as (where, _):
            assert where["environment"] == "lab"
            yield file


def lab(deployment: Path, *arguments: str) -> Result:
    """Run the command."""
    return CliRunner().invoke(command, arguments, obj=deployment)


def requested(deployment: Path, kind: str, *options: str) -> tuple[int, dict[str, Any]]:
    """Return the exit code and the answer to one request of a phone."""
    shown = lab(deployment, "request", kind, "/patients", "--json", *options)
    assert shown.exit_code in {0, 1}, shown.output
    return shown.exit_code, json.loads(shown.stdout)


@pytest.mark.parametrize("kind", ACCEPTED)
def test_accepted_phones_are_served(deployment: Path, kind: str) -> None:
    """The API answers, and the token has the level that is written down for the kind."""
    code, row = requested(deployment, kind)
    assert (code, row["answered_by"], row["status"]) == (0, "api", 200)
    assert row["level"] == PHONES[kind].expected.level.value


@pytest.mark.parametrize("kind", REFUSED)
def test_refused_phones_get_nothing_for_their_own_reason(deployment: Path, kind: str) -> None:
    """The service says why, in a lab; nothing is said that isn't written down for the kind."""
    code, row = requested(deployment, kind)
    assert (code, row["answered_by"]) == (1, "service")
    expected = [reason.code for reason in PHONES[kind].expected.reasons]
    assert expected[0] in row["reasons"]
    assert set(row["reasons"]) <= set(expected)


def test_a_revocation_reaches_the_phone_it_is_for(fresh_deployment: Path) -> None:
    """A remotely provisioned phone loses its instance and its token; its neighbour keeps both."""
    kind = "rkp-strongbox-android"
    assert requested(fresh_deployment, kind, "--new")[0] == 0
    assert lab(fresh_deployment, "revoke", kind).exit_code == 0
    row = awaited(fresh_deployment, kind, 1)
    assert row["answered_by"] == "service"
    assert set(row["reasons"]) <= {"instance.revoked", "instance.withdrawn"}
    assert requested(fresh_deployment, kind, "--new")[0] == 0


def test_a_batch_is_suspended_and_comes_back(deployment: Path) -> None:
    """New phones of it are refused after `lab suspend`, and let in again after `lab restore`."""
    kind = "strongbox-android"
    assert requested(deployment, kind, "--new")[0] == 0
    assert lab(deployment, "suspend", kind).exit_code == 0
    assert awaited(deployment, kind, 1, "--new")["reasons"] == ["policy.suspended"]
    assert lab(deployment, "restore", kind).exit_code == 0
    assert awaited(deployment, kind, 0, "--new")["status"] == 200


def awaited(deployment: Path, kind: str, code: int, *options: str) -> dict[str, Any]:
    """Ask until the deployment answers with this exit code; return that answer."""
    found, row = requested(deployment, kind, *options)
    for _ in range(ATTEMPTS):
        if found == code:
            break
        time.sleep(0.25)
        found, row = requested(deployment, kind, *options)
    assert found == code, row
    return row


def test_a_broker_is_found_by_the_number_of_its_instances(fresh_deployment: Path) -> None:
    """Policy `balanced` takes ten instances of a device in a day; the lab's broker is one device."""
    answers = [requested(fresh_deployment, "broker-android", "--new") for _ in range(12)]
    codes = [code for code, _ in answers]
    assert codes == sorted(codes)
    assert 1 in codes
    assert sum(code == 0 for code in codes) in {9, 10}
    assert answers[-1][1]["reasons"] == ["policy.device_velocity"]
