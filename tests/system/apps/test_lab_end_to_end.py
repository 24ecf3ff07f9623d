"""Send every kind of phone to a running deployment by the command line: each fares as it is said to."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from scripts import rotation_under_load as load
from tests.ports import free_port
from tests.unit.apps.service_process import running, upstream, watchword

from watchword.apps.lab.cli import command
from watchword.apps.service.client import OperatorClient
from watchword.lab import PHONES
from watchword.reasons import ExitCode
from watchword.vocabulary import Proof

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
      - {{path: /records/**, level: software, proof: session}}
      - {{path: /payments/**, level: software, proof: device}}
      - {{path: /transfers/**, level: software, proof: device, dpop: true}}
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


def requested(
    deployment: Path, kind: str, *options: str, path: str = "/patients"
) -> tuple[int, dict[str, Any]]:
    """Return the exit code and the answer to one request of a phone."""
    shown = lab(deployment, "request", kind, path, "--json", *options)
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
    answers = [
        lab(fresh_deployment, "request", "broker-android", "/patients", "--new") for _ in range(12)
    ]
    codes = [answer.exit_code for answer in answers]
    assert codes == sorted(codes)
    # It passes by itself, so that the service is as one that isn't there for an hour.
    assert set(codes) == {0, ExitCode.UNAVAILABLE}
    assert sum(code == 0 for code in codes) in {9, 10}
    assert "policy.device_velocity" in answers[-1].output
    assert "come again in 1h" in answers[-1].output


@pytest.mark.parametrize("kind", ["genuine-iphone", "genuine-android", "play-phone"])
@pytest.mark.parametrize(
    ("path", "proof"), [("/records/1", "session"), ("/payments/1?a=%20", "device")]
)
def test_a_phone_proves_its_request_as_the_route_asks(
    deployment: Path, kind: str, path: str, proof: str
) -> None:
    """With a body and without; the API gets the body as it was sent, and neither token nor proof."""
    for options in ([], ["--data", '{"sum": 40}']):
        code, row = requested(deployment, kind, *options, path=path)
        assert (code, row["status"], row["proof"]) == (0, 200, proof), row
        told = json.loads(row["body"])
        assert told["path"] == path
        assert told["body"] == "".join(options[1:])
        assert "watchword-token" not in {name.lower() for name in told["headers"]}


@pytest.mark.parametrize(
    ("path", "proof", "reason"),
    [
        ("/records/1", "bearer", "proof.missing"),
        ("/payments/1", "bearer", "proof.missing"),
        ("/payments/1", "session", "proof.algorithm"),
        ("/records/1", "device", "proof.algorithm"),
        ("/payments/1", "dpop", "proof.missing"),
        ("/patients", "bearer", None),
        ("/patients", "device", None),
        ("/transfers/1", "dpop", None),
        ("/transfers/1", "device", None),
    ],
)
def test_a_named_proof_is_the_only_one_that_is_sent(
    deployment: Path, path: str, proof: str, reason: str | None
) -> None:
    """``--proof`` shows what a route makes of it, and never falls back to what the route wants."""
    code, row = requested(deployment, "genuine-android", "--proof", proof, path=path)
    assert row["proof"] == proof
    assert code == (1 if reason else 0), row
    if reason is not None:
        assert json.loads(row["body"])["reasons"] == [reason]


def test_nothing_is_refused_while_keys_rotate_until_the_phone_is_revoked(tmp_path: Path) -> None:
    """The operator rotates keys and secrets by command; a revocation reaches the gate in a second."""
    with load.deployment(tmp_path) as settings, load.Load(settings) as running_load:
        tally, phone = running_load.tally, running_load.clients[0]
        for purpose in ("tokens", "gates", "tokens", "gates"):
            done = watchword(settings.path, "keys", "rotate", "--purpose", purpose, "--json")
            assert done.returncode == 0, done.stderr
            time.sleep(0.8)
        assert (tally.refusals, tally.errors) == ([], [])
        assert tally.renewals >= 2
        assert min(tally.served(Proof.SESSION), tally.served(Proof.DEVICE)) > 50
        epochs = watchword(settings.path, "keys", "list", "--json").stdout
        assert sum('"retired"' in line for line in epochs.splitlines()) == 4
        assert phone.instance is not None
        revoked = watchword(settings.path, "instances", "revoke", phone.instance, "--because", "x")
        since = time.monotonic()  # noqa: TID251 - the wall.
        assert revoked.returncode == 0, revoked.stderr
        while len({line.split()[0] for line in tally.refusals}) < 2:
            assert time.monotonic() - since < 1.0, tally.refusals  # noqa: TID251
            time.sleep(0.01)
    assert all("token.instance_revoked" in line for line in tally.refusals), tally.refusals


def test_rotation_every_two_seconds_refuses_nobody(tmp_path: Path) -> None:
    """Signing keys and epochs of the gate secret, under load; the script does it for a minute."""
    tally = load.measure(tmp_path, seconds=8, interval=2)
    assert tally.rotations == {"tokens": 4, "gates": 4}
    assert (tally.refusals, tally.errors) == ([], [])
    assert tally.renewals >= 8
    assert min(tally.served(Proof.SESSION), tally.served(Proof.DEVICE)) > 100
    assert {status for _, status in tally.answers} == {"200"}


def test_the_load_counts_what_is_refused(tmp_path: Path) -> None:
    """The measurement can fail: a key that is withdrawn at once costs the requests under way."""
    with (
        load.deployment(tmp_path) as settings,
        load.Load(settings, phones=1, renewal_seconds=60) as running_load,
    ):
        with OperatorClient(settings.service.operator_socket) as operator:
            keys = operator.get("/v1/keys")["keys"]
            active = [
                key for key in keys if key["purpose"] == "tokens" and key["state"] == "active"
            ]
            operator.post(f"/v1/keys/{active[0]['kid']}/retire")
        time.sleep(1.5)
    assert any("token.key_retired" in line for line in running_load.tally.refusals)
