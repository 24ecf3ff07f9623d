"""The runbook of backup and restore is run as it stands, and the service notices what was put back."""

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.machine import patience
from tests.system.adapters.postgres.servers import Postgres, postgres
from tests.system.bundles.machines import (
    AUDIENCE,
    ServiceMachine,
    short_directory,
    until,
)
from tests.system.bundles.releases import TODAY
from tests.system.cluster.nodes import Cluster
from tests.unit.apps.service_process import upstream

from watchword.adapters.system import SystemClock
from watchword.apps.lab.phones import authorities_of, build_phone, new_phone
from watchword.apps.service.client import OperatorClient
from watchword.apps.settings.schema import Settings
from watchword.client import WatchwordClient
from watchword.enrolment.retention import ERASED

_PAGE = Path(__file__).parents[3] / "docs/backup-and-restore.md"
_OLDER = "store may be an older copy"


def block(name: str) -> str:
    """Return the commands of the page under a name."""
    found = re.search(rf"```shell {name}\n(.*?)```", _PAGE.read_text("utf-8"), re.DOTALL)
    assert found is not None, name
    return found[1]


def run(name: str, directory: Path, settings: Mapping[str, str], **options: Any) -> None:
    """Run a block of the page, with ``watchword`` being this one."""
    command = directory / "watchword"
    command.write_text(
        f"#!/bin/sh\nexec '{sys.executable}' -c "
        "'from watchword.apps.cli.main import run; run()' \"$@\"\n"
    )
    command.chmod(0o755)
    path = f"{directory}:{settings.get('PATH', '')}"
    exports = "".join(f"export {key}={shlex.quote(value)}\n" for key, value in settings.items())
    script = (
        f'inherited=$PATH\n{exports}export PATH={shlex.quote(path)}:"$inherited"\n{block(name)}'
    )
    said = directory / "block.log"
    # A server that it starts keeps none of our pipes open.
    with said.open("wb") as log:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            stdout=log,
            stderr=log,
            check=False,
            timeout=patience(120),
            **options,
        )
    assert done.returncode == 0, said.read_text()


class Recording(httpx.BaseTransport):
    """Send requests on to one place, and keep each enrolment as who taps the line would."""

    def __init__(self, port: int) -> None:
        """Keep nothing yet."""
        self.port = port
        self.kept: list[httpx.Request] = []
        self._http = httpx.HTTPTransport()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send it on."""
        body = request.read()
        url = request.url.copy_with(port=self.port)
        sent = httpx.Request(request.method, url, headers=request.headers, content=body)
        if url.path == "/v1/attestations":
            self.kept.append(sent)
        return self._http.handle_request(sent)

    def replay(self) -> httpx.Response:
        """Send the last enrolment once more."""
        last = self.kept[-1]
        with httpx.Client(trust_env=False) as client:
            return client.post(last.url, headers=last.headers, content=last.content)

    def close(self) -> None:
        """End the connections."""
        self._http.close()


def enrol(settings: Settings, line: Recording) -> tuple[str, str]:
    """Enrol a new phone over a line; return its instance and its token."""
    app = settings.apps["clinic-android"]
    device = build_phone(
        authorities_of(settings), "genuine-android", app, new_phone("genuine-android")
    )
    with WatchwordClient(
        settings.service.issuer,
        app.id,
        device,
        [AUDIENCE],
        clock=SystemClock().timestamp,
        jitter=lambda: 0.5,
        issuer=settings.service.issuer,
        transport=line,
    ) as client:
        token = client.token(AUDIENCE)
        assert client.instance is not None
        return client.instance, token


def shown(settings: Settings, instance: str) -> dict[str, Any]:
    """Return what the operator sees of an instance, nothing where there is none."""
    with OperatorClient(settings.service.operator_socket) as operator:
        listed = operator.get("/v1/instances", limit=1000)["instances"]
    return next((each for each in listed if each["instance"] == instance), {})


def delete(settings: Settings, instance: str) -> None:
    """Delete an instance on request."""
    with OperatorClient(settings.service.operator_socket) as operator:
        operator.post(f"/v1/instances/{instance}/delete", {"because": "request 4711"})


def refusals(settings: Settings) -> dict[str, int]:
    """Return how often each reason was given."""
    with OperatorClient(settings.service.operator_socket) as operator:
        return {each["reason"]: each["count"] for each in operator.get("/v1/refusals")["counts"]}


def assert_noticed(settings: Settings, line: Recording, revoked: str, deleted: str) -> None:
    """See what was put back noticed: no evidence counts twice, and nobody comes back."""
    assert shown(settings, revoked)["revoked_because"] == "phone stolen"
    assert shown(settings, deleted)["format"] == ERASED
    answer = line.replay()
    assert answer.status_code in {401, 403, 409}, answer.text
    # For its epoch, and not for its age.
    assert refusals(settings).get("challenge.unknown", 0) + refusals(settings).get(
        "challenge.superseded", 0
    ), refusals(settings)
    assert enrol(settings, line)[0]


@pytest.fixture
def service() -> Iterator[ServiceMachine]:
    """Run a service on SQLite."""
    with upstream() as port, short_directory() as directory:
        machine = ServiceMachine(directory / "service", port)
        machine.up(TODAY)
        yield machine
        machine.stop_all()


def test_sqlite(service: ServiceMachine, tmp_path: Path) -> None:
    """A backup under a running service; restored in place, and onto a new machine."""
    settings = service.settings
    line = Recording(settings.service.listen.port)
    revoked, _ = enrol(settings, line)
    deleted, _ = enrol(settings, line)
    places = {
        "CONFIG": str(service.file),
        "STATE": str(settings.service.state_dir),
        "BACKUP": str(tmp_path / "backup"),
    }
    run("sqlite-backup", tmp_path, places)
    assert {each.name for each in (tmp_path / "backup").iterdir()} >= {
        "watchword.db",
        "keyring.json",
    }
    assert all(each.stat().st_mode & 0o777 == 0o600 for each in (tmp_path / "backup").iterdir())
    service.revoke(revoked)
    delete(settings, deleted)
    later, _ = enrol(settings, line)
    service.stop("service")
    run("sqlite-restore", tmp_path, places)
    since = service.printed("service")
    service.up(TODAY)
    until(lambda: _OLDER in service.said("service", since), lambda: service.said("service"))
    assert shown(settings, later) == {}
    assert_noticed(settings, line, revoked, deleted)
    service.stop("service")
    state, lost = settings.service.state_dir, tmp_path / "lost"
    state.rename(lost)
    (tmp_path / "backup/revocations.jsonl").write_bytes((lost / "revocations.jsonl").read_bytes())
    run("sqlite-new-machine", tmp_path, places)
    # The lab's own vendors are no part of a deployment.
    (lost / "lab").rename(state / "lab")
    service.up(TODAY)
    assert shown(settings, revoked)["revoked_because"] == "phone stolen"
    assert shown(settings, deleted)["format"] == ERASED


@contextmanager
def archived() -> Iterator[tuple[Postgres, dict[str, str]]]:
    """Run a server whose options stand in its own file, as the page's commands expect."""
    with postgres("-c", "fsync=off", major=None) as server:
        places = {
            "PGDATA": str(server.data),
            "PGHOST": str(server.directory),
            "PGPORT": str(server.port),
            "PGUSER": "postgres",
            "ARCHIVE": str(server.directory / "archive"),
            "BASE": str(server.directory / "base"),
            "PATH": str(server._bin),
        }
        server.run("pg_ctl", "stop", "-D", places["PGDATA"], "-m", "fast", "-w")
        with (server.data / "postgresql.conf").open("a") as file:
            file.write(
                f"port = {server.port}\nunix_socket_directories = '{server.directory}'\n"
                "listen_addresses = '127.0.0.1'\nfsync = off\n"
            )
        (server.directory / "archive").mkdir()
        (server.directory / "archive").chmod(0o777)
        try:
            yield server, places
        finally:
            subprocess.run(
                [str(server._bin / "pg_ctl"), "stop", "-D", places["PGDATA"], "-m", "immediate"],
                **server.as_nobody(),
                capture_output=True,
                check=False,
            )


def test_postgresql() -> None:
    """A base backup and the archived log; back to an instant, under a running node."""
    with (
        archived() as (server, places),
        upstream() as port,
        short_directory() as directory,
    ):
        work = server.directory / "work"
        work.mkdir()
        work.chmod(0o777)
        somebody = server.as_nobody()
        run("postgresql-archive", work, places, **somebody)
        cluster = Cluster(directory, server, port)
        try:
            node = cluster.add("node-a")
            node.up()
            line = Recording(node.service)
            revoked, _ = enrol(node.settings, line)
            deleted, _ = enrol(node.settings, line)
            run("postgresql-backup", work, places, **somebody)
            before, _ = enrol(node.settings, line)
            (instant,) = cluster.row("SELECT now()::text")
            node.revoke(revoked)
            delete(node.settings, deleted)
            later, _ = enrol(node.settings, line)
            since = node.printed("up")
            run("postgresql-restore", work, places | {"UNTIL": instant}, **somebody)
            until(lambda: _OLDER in node.said("up", since), lambda: node.said("up"))
            until(node.is_ready, lambda: node.said("up"))
            assert shown(node.settings, before)["instance"] == before
            assert shown(node.settings, later) == {}
            until(
                lambda: shown(node.settings, deleted)["format"] == ERASED, lambda: node.said("up")
            )
            assert_noticed(node.settings, line, revoked, deleted)
        finally:
            cluster.stop()
