"""Take a deployment from SQLite to PostgreSQL by the commands, with the real service and real requests."""

import json
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote

import pytest
from tests.machine import patience
from tests.ports import free_port
from tests.system.adapters.postgres.servers import NODE, OWNER, UNSYNCED, Postgres, postgres
from tests.unit.apps.forked_commands import command

from watchword.adapters.postgres.address import PostgresAddress
from watchword.adapters.postgres.schema import SCHEMA_VERSION

CONFIG = """
version: 1
environment: lab
service:
  issuer: http://127.0.0.1:{service}
  listen: 127.0.0.1:{service}
  state: state
  {store}
apps:
  clinic-ios: {{platform: ios, team_id: ABCDE12345, bundle_id: com.example.clinic}}
apis:
  clinic:
    audience: https://clinic.example
    apps: [clinic-ios]
    listen: 127.0.0.1:{proxy}
    upstream: http://127.0.0.1:{upstream}
    routes: [{{path: /**}}]
"""


@dataclass
class Deployment:
    """Hold a directory with a configuration, and an API behind it."""

    directory: Path
    service: int
    proxy: int
    upstream: int

    def configure(self, store: str) -> None:
        """Write the configuration with a store."""
        ports = {"service": self.service, "proxy": self.proxy, "upstream": self.upstream}
        text = CONFIG.format(store=store, **ports)
        (self.directory / "watchword.yaml").write_text(text)

    def call(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command."""
        return command(self.directory, *arguments)

    @contextmanager
    def up(self) -> Iterator[None]:
        """Run the service and the proxy."""
        process = subprocess.Popen(
            [sys.executable, "-m", "watchword", "up", "--json"],
            cwd=self.directory,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        try:
            assert "service" in json.loads(process.stdout.readline())
            yield
        finally:
            process.terminate()
            process.communicate(timeout=patience(20))

    def request(self) -> int:
        """Enrol a new phone and send one request; return how the command ended."""
        url = f"http://127.0.0.1:{self.proxy}/"
        done = self.call("lab", "request", "--new", "genuine-iphone", url)
        return done.returncode

    def instances(self) -> set[str]:
        """Return the ids of all instances."""
        listed = self.call("instances", "list", "--json")
        assert listed.returncode == 0, listed.stderr
        return {json.loads(line)["instance"] for line in listed.stdout.splitlines()}


class Upstream(BaseHTTPRequestHandler):
    """Answer everything."""

    def do_GET(self) -> None:
        """Answer."""
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def deployment(tmp_path: Path) -> Iterator[Deployment]:
    """Return a deployment in front of an API."""
    api = ThreadingHTTPServer(("127.0.0.1", 0), Upstream)
    thread = threading.Thread(target=api.serve_forever)
    thread.start()
    yield Deployment(tmp_path, free_port(), free_port(), api.server_port)
    api.shutdown()
    thread.join()
    api.server_close()


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    """Run one server."""
    with postgres(*UNSYNCED) as running:
        yield running


def named(address: PostgresAddress) -> str:
    """Return what watchword.yaml says of a database, for a node."""
    ((directory, port),) = address.hosts
    return f"store: postgresql://{NODE}@{quote(directory, safe='')}:{port}/{address.database}"


def ends(done: subprocess.CompletedProcess[str], code: int, *words: str) -> None:
    """See to it that a command ended so, and said this."""
    assert done.returncode == code, done.stdout + done.stderr
    said = re.sub(r"\s+", " ", done.stdout + done.stderr)
    for word in words:
        assert word in said


def test_a_deployment_moves_and_goes_on(deployment: Deployment, server: Postgres) -> None:
    """What enrolled before is there afterwards; the file refuses to be used; phones enrol as before."""
    address = server.database()
    deployment.configure("store: sqlite")
    with deployment.up():
        assert deployment.request() == 0
        before = deployment.instances()
        revoked = deployment.call("instances", "revoke", *before, "--because", "stolen")
        assert revoked.returncode == 0
    ends(deployment.call("store", "status"), 0, "SQLite in", "tables of version")
    assert len(before) == 1
    deployment.configure(named(address))
    owner = ("--as", OWNER)
    file = ("--from", "state/watchword.db")
    ends(deployment.call("store", "status"), 3, "watchword store init")
    ends(deployment.call("up"), 3, "watchword store init")
    ends(deployment.call("store", "upgrade", *owner), 2, "watchword store init")
    ends(
        deployment.call("store", "init", *owner), 0, f"Made the tables of version {SCHEMA_VERSION}."
    )
    ends(deployment.call("store", "init", *owner), 0, "already")
    ends(deployment.call("store", "migrate", *file, *owner, "--rehearse"), 0, "Rehearsed", "equal")
    done = deployment.call("store", "migrate", *file, *owner, "--json")
    ends(done, 0)
    told = json.loads(done.stdout)
    assert (told["rehearsal"], told["tables"]["instances"]["rows"]) == (False, 1)
    with deployment.up():
        assert deployment.instances() == before
        assert deployment.request() == 0
        assert len(deployment.instances()) == 2
        # Unsynced as this server is, a person has to know.
        ends(deployment.call("store", "status"), 1, "PostgreSQL", "Warning: fsync")
        status = json.loads(deployment.call("store", "status", "--json").stdout)
        assert (status["engine"], status["role"], status["may_change"]) == (
            "postgresql",
            NODE,
            False,
        )
    deployment.configure("store: sqlite")
    ends(deployment.call("up"), 1, "was moved into PostgreSQL")
    # Keys that are gone are missed, since new ones would make strangers of all instances.
    deployment.configure(named(address))
    (deployment.directory / "state" / "keyring.json").unlink()
    done = deployment.call("up")
    assert done.returncode != 0
    assert "has entries" in re.sub(r"\s+", " ", done.stderr)


def test_a_service_goes_on_when_its_database_does(deployment: Deployment) -> None:
    """Killed with all it has: gates go on, enrolments are refused, and come back by themselves."""
    with postgres() as own:
        deployment.configure(named(own.ready()))
        with deployment.up():
            assert deployment.request() == 0
            own.kill()
            assert deployment.request() != 0
            own.start()
            until(lambda: deployment.request() == 0)
            assert len(deployment.instances()) >= 2


def until(holds: Callable[[], bool]) -> None:
    """Wait until something holds."""
    for _ in range(200):
        if holds():
            return
    pytest.fail("it never held")


@pytest.mark.parametrize(
    ("store", "words"),
    [
        ("store: mysql://a@b/c", "sqlite, or postgresql://user@host/database"),
        ("store: postgresql://a:secret@b/c", "no password in the URL"),
        ("store: postgresql://a@b/c?sslmode=disable", "no options behind the database"),
        ("postgres: {connections: 4}", "store: postgresql://user@host/database beside it"),
        ("store: postgresql://a@b/c\n  postgres: {key: k.pem}", "certificate and key"),
        ("store: postgresql://a@b/c\n  postgres: {connections: 99}", "64"),
    ],
)
def test_what_cannot_be_a_store_is_said(deployment: Deployment, store: str, words: str) -> None:
    """With what was expected, and without a password."""
    deployment.configure(store)
    done = deployment.call("check")
    assert done.returncode != 0
    said = re.sub(r"\s+", " ", done.stdout + done.stderr)
    assert words in said
    assert "secret" not in said
