"""Keep a PostgreSQL and its standby, lose the one and promote the other, as an operator would by hand."""

import os
import shutil
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Final

from tests.system.adapters.postgres.servers import Postgres, postgres
from tests.system.bundles.machines import short_directory, until
from tests.system.cluster.nodes import NAMES, Cluster
from tests.unit.apps.service_process import upstream

_OPTIONS: Final = (
    "-c",
    "wal_receiver_status_interval=1",
    "-c",
    "wal_retrieve_retry_interval=200ms",
)


class Pair:
    """Hold two servers, each at a port of its own, whatever it is at the moment."""

    def __init__(self, primary: Postgres, standby: Postgres) -> None:
        """Take a primary and what follows it."""
        self.primary = primary
        self.standby = standby
        self.hosts = tuple((str(each.directory), each.port) for each in (primary, standby))

    def wait_for_standby(self) -> None:
        """Have commits wait for the standby from now on, and it be as far as the primary."""
        self._name("*")
        until(lambda: self._followers() == ["sync"], "the standby doesn't follow")

    def follow(self) -> None:
        """Wait until the standby has all that the primary has."""
        query = "SELECT bool_and(replay_lsn >= pg_current_wal_lsn()) FROM pg_stat_replication"

        def has_all() -> bool:
            with self.primary.admin() as link:
                return link.execute(query).fetchone() == (True,)

        until(has_all, "the standby doesn't follow")

    def cut_off(self) -> None:
        """Cut the standby off: whatever is committed from now on it will never have."""
        with self.standby.admin() as link:
            link.execute("ALTER SYSTEM SET primary_conninfo = ''")
            link.execute("SELECT pg_reload_conf()")
        until(lambda: not self._followers(), "the standby follows still")

    def leave_standby(self) -> None:
        """Have commits wait for no standby."""
        self._name("")

    def promote(self) -> None:
        """Make the standby the primary; nobody stands behind it."""
        promote(self.standby)
        self.primary, self.standby = self.standby, self.primary
        # It waited for a standby itself, since it is a copy.
        self.leave_standby()

    def stop_primary(self) -> None:
        """Have it stand still with all that works for it."""
        stop_all(self.primary)

    def resume_standby(self) -> None:
        """Let go on what was the primary once: it doesn't know that it is none any more."""
        go_on(self.standby)

    def renew_standby(self) -> None:
        """Make what was the primary once a standby of the new one."""
        self.standby.stop()
        shutil.rmtree(self.standby.data)
        copy(self.primary, self.standby.data.name)
        self.standby.start()

    def _name(self, names: str) -> None:
        with self.primary.admin() as link:
            link.execute(f"ALTER SYSTEM SET synchronous_standby_names = '{names}'".encode())
            link.execute("SELECT pg_reload_conf()")

    def _followers(self) -> list[str]:
        with self.primary.admin() as link:
            rows = link.execute("SELECT sync_state FROM pg_stat_replication").fetchall()
        return [str(state) for (state,) in rows]


def stop_all(server: Postgres) -> None:
    """Have a server stand still with all that works for it."""
    server.send(signal.SIGSTOP)
    for each in server.workers():
        os.kill(each, signal.SIGSTOP)


def go_on(server: Postgres) -> None:
    """Let a server that stands still go on."""
    for each in (*server.workers(), server.process.pid):
        os.kill(each, signal.SIGCONT)


def promote(server: Postgres) -> None:
    """Make a standby a primary, and wait until it is."""
    server.run("pg_ctl", "promote", "-D", str(server.data), "-w")


def copy(server: Postgres, name: str) -> None:
    """Make a standby's cluster of a server's in its directory."""
    place = ("-h", str(server.directory), "-p", str(server.port), "-U", "postgres")
    server.run(
        "pg_basebackup",
        *place,
        *("-D", str(server.directory / name), "-R", "--checkpoint=fast", "--no-sync"),
    )


@contextmanager
def pair(*options: str) -> Iterator[Pair]:
    """Run a primary and a standby that follows it."""
    with postgres(*_OPTIONS, *options, major=15) as primary:
        copy(primary, "standby")
        with primary.beside("standby") as standby:
            yield Pair(primary, standby)


@contextmanager
def over(servers: Pair, names: Sequence[str] = NAMES) -> Iterator[Cluster]:
    """Run nodes over both servers, all of them ready."""
    with upstream() as port, short_directory() as directory:
        made = Cluster(directory, servers.primary, port)
        made.address = replace(made.address, hosts=servers.hosts)
        try:
            made.start(names)
            yield made
        finally:
            made.stop()
