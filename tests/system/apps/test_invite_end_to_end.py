"""Invite a test instance into a running deployment of production, by the command line, and use it."""

import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.ports import free_port
from tests.unit.apps.service_process import running, upstream, watchword

from watchword.client import (
    EvidenceRefusedError,
    InstanceRefusedError,
    TestInstanceDevice,
    WatchwordAuth,
    WatchwordClient,
)

CONFIG = """\
version: 1
environment: prod
service:
  issuer: https://watchword.example
  listen: 127.0.0.1:{service}
  state: state
trust:
  anchors: [vendors]
  revocation: {{fetch: false}}
apps:
  clinic-ios:
    platform: ios
    team_id: ZYXWV98765
    bundle_id: com.example.clinic
apis:
  clinic:
    audience: https://api.clinic.example
    apps: [clinic-ios]
    listen: 127.0.0.1:{api}
    upstream: http://127.0.0.1:{upstream}
    routes:
      - {{path: /records/**, proof: session}}
      - {{path: /payments/**, proof: device}}
"""
AUDIENCE = "https://api.clinic.example"


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Run a deployment of production; return its file and where it listens."""
    folder = tmp_path_factory.mktemp("deployment")
    file = folder / "watchword.yaml"
    with upstream() as port:
        text = CONFIG.format(service=free_port(), api=free_port(), upstream=port)
        file.write_text(text, encoding="utf-8")
        with running(file) as (where, _):
            assert where["environment"] == "prod"
            yield file, where


def invite(file: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run the command with what it always needs."""
    return watchword(
        file, "instances", "invite", "--app", "clinic-ios", "--because", "nightly drill", *options
    )


def client_of(where: dict[str, Any], device: TestInstanceDevice) -> WatchwordClient:
    """Return the reference client."""
    return WatchwordClient(
        f"http://{where['service']}",
        "clinic-ios",
        device,
        [AUDIENCE],
        clock=time.time,  # noqa: TID251 - the running service has the real clock.
        jitter=lambda: 0.5,
        issuer="https://watchword.example",
    )


def test_code_of_a_pipe_reaches_the_api(deployment: tuple[Path, dict[str, Any]]) -> None:
    """What stdout has is the code; its instance is served with session and device proofs, until revoked."""
    file, where = deployment
    made = invite(file)
    assert made.returncode == 0, made.stderr
    code = made.stdout.strip()
    assert made.stdout == f"{code}\n"
    assert (len(code), code[:4]) == (48, "wwt_")
    assert code not in made.stderr
    assert code[4:16] in made.stderr
    device = TestInstanceDevice(code)
    url = f"http://{where['apis']['clinic']}"
    with client_of(where, device) as client:
        for proof, path in (("session", "/records/1"), ("device", "/payments/1")):
            auth = WatchwordAuth(client, AUDIENCE, proof=proof)
            answer = httpx.post(url + path, auth=auth, json={"x": 1})
            assert answer.status_code == 200, answer.text
            headers = {name.lower(): value for name, value in answer.json()["headers"].items()}
            assert headers["watchword-level"] == "hardware"
            bare = httpx.post(url + path, headers={"Watchword-Token": client.token(AUDIENCE)})
            assert bare.status_code == 401
        kept = json.dumps([device.export(), client.export_session()])
        listed = watchword(file, "instances", "list")
        (row,) = [line for line in listed.stdout.splitlines() if str(client.instance) in line]
        assert " test " in row
        assert " ends " in row
    with client_of(where, TestInstanceDevice.from_export(json.loads(kept)[0])) as later:
        later.import_session(json.loads(kept)[1])
        later.renew()
        auth = WatchwordAuth(later, AUDIENCE)
        assert httpx.get(url + "/records/2", auth=auth).status_code == 200
        revoked = watchword(
            file, "instances", "revoke", str(later.instance), "--because", "drill is over"
        )
        assert revoked.returncode == 0
        time.sleep(1.0)
        token = later.token(AUDIENCE)
        gone = httpx.get(url + "/records/3", headers={"Watchword-Token": token})
        assert gone.status_code == 401
        with pytest.raises(InstanceRefusedError):
            later.renew()


def test_invitations_are_listed_and_cancelled(deployment: tuple[Path, dict[str, Any]]) -> None:
    """The JSON has the code once; a listing has its state; a cancelled one enrols nobody."""
    file, where = deployment
    terms = ("--level", "hardware", "--for", "2h", "--expires", "5m", "--json")
    made = json.loads(invite(file, *terms).stdout)
    assert (made["instance_for"], made["level"], made["open"]) == (7200, "hardware", True)
    listed = watchword(file, "instances", "invitations", "--json").stdout
    assert made["code"] not in listed
    rows = {row["id"]: row for row in map(json.loads, listed.splitlines())}
    assert rows[made["id"]]["because"] == "nightly drill"
    done = watchword(file, "instances", "cancel", made["id"])
    assert (done.returncode, done.stdout) == (0, f"Cancelled {made['id']} (clinic-ios).\n")
    table = watchword(file, "instances", "invitations").stdout
    (row,) = [line for line in table.splitlines() if made["id"] in line]
    assert " cancelled " in row
    assert made["code"] not in table
    with client_of(where, TestInstanceDevice(made["code"])) as client:
        with pytest.raises(EvidenceRefusedError) as caught:
            client.enrol()
        ref = str(caught.value.problem.ref)
    assert caught.value.problem.reasons == ()
    assert "evidence.operator_code" in watchword(file, "explain", ref).stdout
    unknown = watchword(file, "instances", "cancel", "-nobody_here", "--json")
    assert unknown.returncode == 1
    assert "request.not_found" in unknown.stderr


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (("--for", "31d"), 2),
        (("--expires", "25h"), 2),
        (("--expires", "30s"), 2),
        (("--app", "nobody"), 1),
        (("--for", "a day"), 2),
        (("--level", "none"), 2),
        (("--because", ""), 2),
    ],
    ids=str,
)
def test_odd_invitations_end_in_words(
    deployment: tuple[Path, dict[str, Any]], options: tuple[str, ...], code: int
) -> None:
    """Nothing on stdout that a pipe could take for a code, a sentence on stderr, no trace."""
    done = invite(deployment[0], *options)
    assert (done.returncode, done.stdout) == (code, "")
    assert "expected" in done.stderr or "is not one of" in done.stderr
    assert "Traceback" not in done.stderr
