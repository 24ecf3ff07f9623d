"""Operate a running service from the command line."""

import asyncio
import json
import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from tests.machine import patience
from tests.unit.apps.forked_commands import command
from tests.unit.enrolment.simulators import CLINIC, public_jwk, public_spki

from watchword.adapters.gate_bundle import GateBundleFile
from watchword.adapters.sqlite import SqliteStore
from watchword.apps.service.client import OperatorClient
from watchword.ports import AuditEntry, ChallengeUse, Instance
from watchword.reasons import Reason, RefusedError, UnavailableError
from watchword.vocabulary import Level

CONFIG = """
version: 1
environment: lab
service:
  issuer: http://127.0.0.1:{port}
  listen: 127.0.0.1:{port}
  state: state
apps:
  clinic-ios: {{platform: ios, team_id: ABCDE12345, bundle_id: com.example.clinic}}
apis:
  clinic:
    audience: {audience}
    apps: [clinic-ios]
    routes: [{{path: /**}}]
"""


@dataclass(frozen=True)
class Running:
    """Hold a service that runs in a process of its own."""

    directory: Path
    port: int

    def call(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the command line."""
        return watchword(self.directory, *arguments)

    def enrol(self, name: str) -> None:
        """Put an instance into the store, as another process of the deployment could."""
        now = datetime.now(UTC)  # noqa: TID251 - the running service has the real clock.
        instance = Instance(
            id=name,
            app="clinic-ios",
            app_version="7",
            platform="ios",
            format="app-attest",
            level=Level.HARDWARE,
            attested_key=public_spki(),
            proof_jwk=public_jwk(),
            seal_jwk=public_jwk(),
            audiences=(CLINIC,),
            enrolled_at=now,
            renewed_at=now,
        )
        store = SqliteStore(self.directory / "state" / "watchword.db")
        audit = AuditEntry(now, "test", "instance.enrolled", name)
        asyncio.run(store.enrol(ChallengeUse(os.urandom(16), now), instance, audit))  # noqa: TID251
        store.close()


def watchword(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command line in a directory."""
    return command(directory, *arguments)


def configure(directory: Path) -> int:
    """Write a configuration with a free port, and return the port."""
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    (directory / "watchword.yaml").write_text(CONFIG.format(port=port, audience=CLINIC))
    return port


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Run a service as ``watchword up`` does."""
    directory = tmp_path_factory.mktemp("deployment")
    port = configure(directory)
    process = subprocess.Popen(
        [sys.executable, "-c", "from watchword.apps.cli.main import run; run()", "up", "--json"],
        cwd=directory,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    assert json.loads(process.stdout.readline())["service"] == f"127.0.0.1:{port}"
    yield Running(directory, port)
    process.terminate()
    process.communicate(timeout=patience(20))


def test_socket_is_ours_alone(running: Running) -> None:
    """Nobody but the service's user can open the operator's socket."""
    assert (running.directory / "state" / "operator.sock").stat().st_mode & 0o777 == 0o600


def test_instances_are_listed_and_revoked(running: Running) -> None:
    """The list shows an instance; revoking it takes effect at the gates within a second."""
    running.enrol("instance-1")
    listed = running.call("instances", "list", "--app", "clinic-ios", "--json")
    every = [json.loads(line) for line in listed.stdout.splitlines()]
    (shown,) = [each for each in every if each["instance"] == "instance-1"]
    assert (listed.returncode, shown["instance"], shown["app_version"]) == (0, "instance-1", "7")
    revoked = running.call("instances", "revoke", "instance-1", "--because", "phone stolen")
    assert revoked.returncode == 0
    assert revoked.stdout == "Revoked instance-1 (clinic-ios): phone stolen\n"
    again = running.call("instances", "revoke", "instance-1", "--because", "again")
    assert again.returncode == 0
    assert "Revoked" not in again.stdout
    told = r"instance-1 \(clinic-ios\) was revoked already at [0-9T:.-]+Z, because: phone stolen\n"
    assert re.fullmatch(told + "Nothing changed.\n", again.stdout)
    gates = running.directory / "state" / "gates"
    gate = GateBundleFile(gates / "clinic.jws", gates / "signer.jwk")
    assert gate.is_revoked(shown["subjects"][CLINIC])
    table = running.call("instances", "list")
    assert table.returncode == 0
    assert "instance-1" in table.stdout


def test_what_is_kept_is_exported_and_deleted(running: Running) -> None:
    """It asks first; a second time nothing is left, and nothing is exported."""
    running.enrol("instance-9")
    named = ("--instance", "instance-9")
    exported = running.call("instances", "export", *named)
    assert exported.returncode == 0, exported.stderr
    document = json.loads(exported.stdout)
    assert document["instance"] == "instance-9"
    assert document["proof_jwk"]["kty"] == "EC"
    assert [each["action"] for each in document["audit"]] == [
        "instance.exported",
        "instance.enrolled",
    ]
    unanswered = running.call("instances", "delete", *named, "--because", "request 4711")
    assert unanswered.returncode != 0
    assert "Delete 1 instance? This can't be taken back." in unanswered.stderr
    subject = document["subjects"][CLINIC]
    words = ("--subject", subject, "--because", "request 4711")
    deleted = running.call("instances", "delete", *words, "--yes")
    assert (deleted.returncode, deleted.stdout) == (0, "Deleted instance-9 (clinic-ios).\n")
    again = running.call("instances", "delete", *words, "--yes")
    assert (again.returncode, again.stdout) == (0, "Nothing is kept: there is nothing to delete.\n")
    gone = running.call("instances", "export", *named)
    assert (gone.returncode, gone.stdout, gone.stderr) == (1, "", "Nothing is kept.\n")
    gates = running.directory / "state" / "gates"
    assert GateBundleFile(gates / "clinic.jws", gates / "signer.jwk").is_revoked(subject)
    assert "deleted" in running.call("instances", "list").stdout
    assert running.call("instances", "export").returncode == 2


def test_revoking_nobody_is_refused(running: Running) -> None:
    """An id that nobody has, or that no path can carry, is exit code 1 with the reason."""
    unknown = running.call("instances", "revoke", "nobody", "--because", "x")
    assert unknown.returncode == 1
    assert "refused: instance.unknown: expected the id of an enrolled instance" in unknown.stderr
    assert "watchword instances list" in unknown.stderr
    odd = running.call("instances", "revoke", "../keys/rotate?", "--because", "x")
    assert odd.returncode == 1
    assert running.call("instances", "revoke", "nobody").returncode == 2
    for because in ("", "y" * 501):
        assert running.call("instances", "revoke", "nobody", "--because", because).returncode == 2
    assert running.call("metrics", "--json", "--prometheus").returncode == 2


def test_reference_is_explained(running: Running) -> None:
    """What a refused client was given tells the operator why."""
    answer = httpx.get(f"http://127.0.0.1:{running.port}/nowhere", trust_env=False)
    explained = running.call("explain", answer.json()["ref"], "--json")
    assert explained.returncode == 0
    assert json.loads(explained.stdout)["reasons"][0]["reason"] == "request.not_found"
    shown = running.call("explain", answer.json()["ref"])
    assert "request.not_found  (content, HTTP 404)" in shown.stdout
    # What to do about it stands right there, in the words of the documentation.
    assert "The service has no such path. See `/openapi.json`." in shown.stdout
    ref = answer.json()["ref"]
    for pasted in (f' "{ref}",', f"{ref[:76]}\n{ref[76:]}", answer.text):
        assert running.call("explain", pasted).stdout == shown.stdout
    assert running.call("explain", "AAAA").returncode == 1
    unread = running.call("explain", "13f2c53e-541d-47ae-a489-000000000002")
    assert (unread.returncode, unread.stdout) == (1, "")
    assert "no log that was read has it" in unread.stderr
    assert "cut" not in unread.stderr
    # A line of a log that claims the same reference can't say otherwise; one of its own is explained.
    line = {"time": 1_790_000_000, "status": 401, "reason": "token.expired"}
    log = running.directory / "access.log"
    refs = (answer.json()["ref"], "13f2c53e-541d-47ae-a489-000000000001")
    log.write_text("".join(json.dumps({**line, "ref": ref}) + "\n" for ref in refs))
    assert running.call("audit", "ingest", "--engine", "nginx", str(log)).returncode == 0
    told = [json.loads(running.call("explain", ref, "--json").stdout)["reasons"] for ref in refs]
    assert [each["reason"] for (each,) in told] == ["request.not_found", "token.expired"]
    counted = running.call("metrics")
    latest = running.call("explain")
    assert "request.not_found" in latest.stdout
    assert "samples" in json.loads(running.call("explain", "--json").stdout)
    assert "request.not_found" in counted.stdout
    assert json.loads(running.call("metrics", "--json").stdout)["counts"]
    scraped = running.call("metrics", "--prometheus").stdout
    assert 'watchword_refusals_total{reason="request.not_found",where="unmatched"} ' in scraped


def test_a_reason_is_explained_by_its_name_while_nothing_runs(tmp_path: Path) -> None:
    """Logs and metrics name reasons without a reference, and a typo names the nearest."""
    # Neither a file nor a service is needed.
    shown = watchword(tmp_path, "explain", "gate.route_ambiguous")
    assert shown.returncode == 0, shown.stderr
    assert "gate.route_ambiguous  (policy, HTTP 403)" in shown.stdout
    assert "make one row as strict as the other" in " ".join(shown.stdout.split())
    told = json.loads(watchword(tmp_path, "explain", "gate.rate", "--json").stdout)
    assert [each["status"] for each in told["reasons"]] == [429]
    typo = watchword(tmp_path, "explain", "gate.route_ambigous")
    assert typo.returncode == 2
    assert "did you mean gate.route_ambiguous?" in typo.stderr


def test_keys_are_listed_rotated_and_retired(running: Running) -> None:
    """A rotation and a withdrawal show in the list."""
    before = [
        json.loads(line)
        for line in running.call("keys", "list", "--json").stdout.split("\n")
        if line
    ]
    prepared = next(key["kid"] for key in before if key["state"] == "prepared")
    rotated = running.call("keys", "rotate")
    assert f"{prepared}  active" in rotated.stdout
    retired = running.call("keys", "retire", prepared)
    assert retired.returncode == 0
    assert f"{prepared}  retired" in retired.stdout
    nobody = running.call("keys", "retire", "nobody")
    assert (nobody.returncode, nobody.stderr) == (
        1,
        "refused: key.unknown: there is no such key; see `watchword keys list`\n",
    )


def test_ids_that_begin_with_a_dash_are_ids(running: Running) -> None:
    """One id in 64 begins with a dash, also one that reads like an option and like `-h`."""
    for name in ("-hrjson-because-Abc_12", "--AAAAAAAAAAAAAAAAAAA1"):
        running.enrol(name)
        revoked = running.call("instances", "revoke", name, "--because", "stolen")
        assert (revoked.returncode, revoked.stderr) == (0, "")
        assert f"Revoked {name}" in revoked.stdout
        more = running.call("instances", "list", "--before", name, "--json")
        assert more.returncode == 0
        assert name not in {json.loads(line)["instance"] for line in more.stdout.splitlines()}
    assert "key.unknown" in running.call("keys", "retire", "-hAbc").stderr
    assert "5 characters, which is cut short" in running.call("explain", "-hAbc").stderr
    assert "Usage:" in running.call("keys", "retire", "--help").stdout


def test_long_listing_says_how_it_goes_on(running: Running) -> None:
    """The table fits 80 columns with whole ids; what was cut off is one option away."""
    for number in range(3):
        running.enrol(f"listed-{number}-AAAAAAAAAAAA")
    first = running.call("instances", "list", "--limit", "2")
    header, *rows = first.stdout.splitlines()
    assert header.split() == ["instance", "state", "level", "app", "version", "renewed"]
    assert len(rows) == 2
    assert max(map(len, rows)) <= 80
    last = rows[-1].split()[0]
    assert first.stderr == f"There may be more: --before {last}\n"
    rest = running.call("instances", "list", "--before", last)
    assert rest.stderr == ""
    assert last not in rest.stdout
    unknown = running.call("instances", "list", "--before", "nobody")
    assert "instance.unknown" in unknown.stderr


def test_operators_typing_errors_are_no_refusals(running: Running) -> None:
    """Whoever asks how many customers were refused doesn't count an operator's slips; they are answers all the same."""
    running.call("instances", "revoke", "nobody-counts", "--because", "x")
    running.call("explain", "A" * 200)
    scraped = running.call("metrics", "--prometheus").stdout
    assert 'where="operator' not in scraped
    assert "instance.unknown" not in scraped
    place = 'route="operator POST /v1/instances/{id}/revoke",status="403"'
    assert f"watchword_service_answers_total{{{place}}} " in scraped
    told = json.loads(running.call("metrics", "--json").stdout)
    places = [each["where"] for each in (*told["counts"], *told["samples"])]
    assert not [place for place in places if place.startswith("operator")]


def test_person_is_recorded(running: Running) -> None:
    """The audit trail has the name that the environment claims for the person."""
    with OperatorClient(running.directory / "state" / "operator.sock") as operator:
        operator.post("/v1/keys/rotate")
        (entry,) = operator.get("/v1/audit", limit=1)["entries"]
        assert entry["actor"].startswith("operator (claimed: ")
        with pytest.raises(RefusedError) as caught:
            operator.get("/v1/nowhere")
    assert caught.value.reason is Reason.REQUEST_NOT_FOUND


@pytest.mark.parametrize(
    "arguments",
    [
        ("instances", "list"),
        ("instances", "revoke", "x", "--because", "y"),
        ("explain", "abc"),
        ("keys", "list"),
        ("metrics",),
    ],
)
def test_service_that_does_not_run_is_told(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """Without a service the exit code is 3, with the place that was looked at."""
    configure(tmp_path)
    called = watchword(tmp_path, *arguments)
    assert called.returncode == 3
    assert "is `watchword up` running?" in called.stderr
    assert str(tmp_path / "state" / "operator.sock") in called.stderr


@pytest.mark.parametrize("name", ["instances", "explain", "keys", "metrics"])
def test_help_has_an_example(tmp_path: Path, name: str) -> None:
    """Each command shows how it is called."""
    called = watchword(tmp_path, name, "--help")
    assert called.returncode == 0
    assert f"Example: watchword {name}" in called.stdout


@pytest.mark.parametrize(
    "said",
    [
        b"hello\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n[]",
        b"HTTP/1.1 500 Oh\r\ncontent-length: 2\r\n\r\n{}",
        b'HTTP/1.1 400 Oh\r\ncontent-length: 16\r\n\r\n{"reasons":["x"]',
        b'HTTP/1.1 400 Oh\r\ncontent-length: 17\r\n\r\n{"reasons":["x"]}',
        b'HTTP/1.1 400 Oh\r\ncontent-length: 13\r\n\r\n{"reasons":1}',
    ],
)
def test_answer_of_something_else_is_unavailable(tmp_path: Path, said: bytes) -> None:
    """An answer that isn't the service's is an error of ours."""
    path = tmp_path / "s.sock"

    def answer(listening: socket.socket) -> None:
        connection, _ = listening.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(said)

    with closing(socket.socket(socket.AF_UNIX)) as listening:
        listening.bind(str(path))
        listening.listen()
        thread = threading.Thread(target=answer, args=(listening,))
        thread.start()
        with OperatorClient(path) as operator, pytest.raises(UnavailableError) as caught:
            operator.get("/v1/keys")
        thread.join()
    assert caught.value.reason is Reason.SERVICE_UNREACHABLE
