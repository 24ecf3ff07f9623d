"""Run a real PostgreSQL on a Unix socket, and on loopback where a test asks for it, as somebody without rights."""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.machine import patience
from tests.ports import free_port
from tests.unit.adapters.ordinary_user import NOBODY

from watchword.adapters.postgres.address import PostgresAddress
from watchword.adapters.postgres.schema import upgrade
from watchword.adapters.system import SystemEntropy

OWNER = "watchword_owner"
NODE = "watchword_node"
UNSYNCED = ("-c", "fsync=off", "-c", "full_page_writes=off", "-c", "synchronous_commit=local")
"""Options of a server that is quick, and would lose what it has with the machine."""

_names = count()


def installed() -> Mapping[int, Path]:
    """Return the directories of PostgreSQL's programs, by version."""
    return {
        int(each.parent.name): each
        for each in Path("/usr/lib/postgresql").glob("[0-9]*/bin")
        if (each / "initdb").exists()
    }


def programs(major: int | None = None) -> Path | None:
    """Return the directory of a version's programs, of the newest where none is named; None where there is none."""
    found = installed()
    return found.get(max(found, default=0) if major is None else major)


class Postgres:
    """Hold one server; everything it writes lies in one directory."""

    def __init__(
        self, directory: Path, bin_directory: Path, *options: str, data: Path | None = None
    ) -> None:
        """Start a server with more options than it needs.

        :param data: of its cluster; None makes one.
        """
        self.directory = directory
        self.data = data or directory / "data"
        self.port = free_port()
        self._bin = bin_directory
        self._options = options
        if data is None:
            words = ("--username", "postgres", "--auth", "trust", "--encoding", "UTF8", "--no-sync")
            self.run("initdb", "--pgdata", str(self.data), "--locale", "C.UTF-8", *words)
        self.start()

    @contextmanager
    def beside(self, data: str) -> Iterator["Postgres"]:
        """Run another server on a cluster in this one's directory."""
        other = Postgres(self.directory, self._bin, *self._options, data=self.directory / data)
        try:
            yield other
        finally:
            other.stop()

    def run(self, program: str, *words: str) -> str:
        """Run one of its programs and return what it printed."""
        done = subprocess.run(
            [str(self._bin / program), *words],
            **self.as_nobody(),
            cwd=self.directory,
            capture_output=True,
            text=True,
            check=False,
            timeout=patience(60),
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return str(done.stdout)

    def start(self) -> None:
        """Start it (again), and wait until it answers."""
        log = (self.directory / "log").open("ab")
        self.process = subprocess.Popen(
            [
                str(self._bin / "postgres"),
                *("-D", str(self.data), "-p", str(self.port)),
                *("-c", f"unix_socket_directories={self.directory}"),
                *("-c", "listen_addresses=127.0.0.1", "-c", "shared_buffers=16MB"),
                *self._options,
            ],
            **self.as_nobody(),
            stdout=log,
            stderr=log,
        )
        log.close()
        self.wait()

    def is_ready(self) -> bool:
        """Tell whether it takes connections."""
        try:
            self.admin().close()
        except psycopg.OperationalError:
            return False
        return True

    def wait(self) -> None:
        """Wait until it takes connections."""
        while not self.is_ready():
            assert self.process.poll() is None, (self.directory / "log").read_text()

    def admin(self, database: str = "postgres") -> psycopg.Connection[Any]:
        """Return a connection as the server's own superuser."""
        return psycopg.connect(
            host=str(self.directory),
            port=self.port,
            dbname=database,
            user="postgres",
            autocommit=True,
        )

    def database(self) -> PostgresAddress:
        """Make a database of its own; return where it is, for its owner."""
        name = f"w{next(_names)}"
        with self.admin() as link:
            for role in (OWNER, NODE):
                if link.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (role,)).rowcount == 0:
                    link.execute(f"CREATE ROLE {role} LOGIN")
            link.execute(f"CREATE DATABASE {name} OWNER {OWNER}")
        return PostgresAddress(((str(self.directory), self.port),), name, OWNER)

    def ready(self) -> PostgresAddress:
        """Make a database with the store's tables; return where it is, for a node."""
        address = self.database()
        upgrade(address, NODE, SystemEntropy())
        return replace(address, user=NODE)

    def emptied(self, address: PostgresAddress) -> PostgresAddress:
        """Return the database as it was when its tables were made: quicker than another one."""
        with self.admin(address.database) as link:
            link.execute("SET search_path = watchword")
            rows = link.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'watchword'")
            kept = {"store", "migrations", "leaders", "publication"}
            # Quicker than TRUNCATE, which makes each table's files anew.
            for (table,) in rows.fetchall():
                if table not in kept:
                    link.execute(f"DELETE FROM {table}".encode())
            link.execute(
                "SELECT setval(oid, 1, false) FROM pg_class "
                "WHERE relkind = 'S' AND relnamespace = 'watchword'::regnamespace"
            )
            link.execute("UPDATE store SET revocations = 0")
        return address

    def send(self, number: int) -> None:
        """Send a signal to the server itself, and not to those that work for connections."""
        os.kill(self.process.pid, number)

    def kill(self) -> None:
        """Kill it with all that works for it, as a loss of the machine would."""
        # Stopped first: it must not see them die, nor take on others.
        self.send(signal.SIGSTOP)
        for each in [*self.workers(), self.process.pid]:
            with suppress(ProcessLookupError):
                os.kill(each, signal.SIGKILL)
        self.process.wait()

    def workers(self) -> Sequence[int]:
        """Return the processes that work for it."""
        listed = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [int(each) for each in listed.split()]

    def stop(self) -> None:
        """Stop it at once."""
        if self.process.poll() is None:
            self.send(signal.SIGCONT)
            self.send(signal.SIGQUIT)
            self.process.wait(timeout=patience(30))

    @staticmethod
    def as_nobody() -> dict[str, Any]:
        """Return as whom its programs run: it refuses to run as root."""
        return {"user": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}


@contextmanager
def pooled(server: Postgres, *, options: str = "") -> Iterator[int]:
    """Run a pgbouncer in transaction mode in front of a server; its socket is in the same directory, at this port."""
    program = shutil.which("pgbouncer") or shutil.which("/usr/sbin/pgbouncer")
    if program is None:
        pytest.skip("pgbouncer isn't installed here: scripts/setup dev installs it")
    port, place = free_port(), server.directory
    (place / "users.txt").write_text("".join(f'"{role}" ""\n' for role in (OWNER, NODE)))
    (place / "pgbouncer.ini").write_text(
        f"[databases]\n* = host={place} port={server.port}\n"
        f"[pgbouncer]\nunix_socket_dir = {place}\nlisten_port = {port}\nauth_type = trust\n"
        f"auth_file = {place}/users.txt\npool_mode = transaction\ndefault_pool_size = 2\n"
        f"max_client_conn = 50\n{options}\n"
    )
    with (place / "pgbouncer.log").open("ab") as log:
        process = subprocess.Popen(
            [program, str(place / "pgbouncer.ini")],
            **server.as_nobody(),
            stdout=log,
            stderr=log,
        )
    try:
        while not (place / f".s.PGSQL.{port}").exists():
            assert process.poll() is None, (place / "pgbouncer.log").read_text()
        yield port
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


@contextmanager
def postgres(*options: str, major: int | None = None) -> Iterator[Postgres]:
    """Run a server; a Unix socket's path must be short, so that it has a directory of its own."""
    found = programs(major)
    if found is None:
        pytest.skip(
            f"no PostgreSQL {major or ''} is installed here: scripts/setup dev installs one"
        )
    directory = Path(tempfile.mkdtemp(prefix="ww-pg-"))
    if os.geteuid() == 0:
        os.chown(directory, NOBODY, -1)
    server = None
    try:
        server = Postgres(directory, found, *options)
        yield server
    finally:
        if server is not None:
            server.stop()
        shutil.rmtree(directory)
