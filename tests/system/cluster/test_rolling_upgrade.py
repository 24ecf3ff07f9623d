"""Upgrade three nodes one after the other while phones enrol and renew: no genuine request is refused, and revocations arrive."""

import re
import shutil
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import httpx
import pytest
from tests.machine import patience
from tests.system.adapters.postgres.servers import OWNER
from tests.system.bundles.machines import AUDIENCE, until
from tests.system.bundles.releases import ROOT, Release
from tests.system.cluster.nodes import Balancer, Cluster, cluster

from watchword.adapters.postgres.schema import SCHEMA_VERSION
from watchword.client import WatchwordClient

NEXT = "9.0.0"
_STEP = """\
-- oldest reader: {oldest}
ALTER TABLE instances ADD COLUMN added_later TEXT NOT NULL DEFAULT '';
CREATE TABLE added_later (name TEXT PRIMARY KEY);
"""


@pytest.fixture
def later(tmp_path: Path) -> Release:
    """Return the next version: today's code, with tables of its own beside those that today's nodes read."""
    source = tmp_path / "src"
    shutil.copytree(ROOT / "src", source, ignore=shutil.ignore_patterns("__pycache__"))
    package = source / "watchword"
    _rewrite(package / "__init__.py", r'__version__ = "[^"]*"', f'__version__ = "{NEXT}"')
    schema = package / "adapters" / "postgres" / "schema.py"
    _rewrite(
        schema, r"SCHEMA_VERSION: Final = \d+", f"SCHEMA_VERSION: Final = {SCHEMA_VERSION + 1}"
    )
    step = schema.parent / "migrations" / f"{SCHEMA_VERSION + 1:04}.sql"
    step.write_text(_STEP.format(oldest=SCHEMA_VERSION), "utf-8")
    return Release(NEXT, source)


def _rewrite(file: Path, what: str, by: str) -> None:
    text, count = re.subn(what, by, file.read_text("utf-8"))
    assert count == 1, file
    file.write_text(text, "utf-8")


class Watched(httpx.BaseTransport):
    """Count what a load balancer answers."""

    def __init__(self, way: httpx.BaseTransport, counted: Counter[str]) -> None:
        """Take the load balancer."""
        self._way = way
        self._counted = counted

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Hand a request on, and count its answer, or that there is none."""
        try:
            answer = self._way.handle_request(request)
        except httpx.TransportError as error:
            self._counted[f"{request.url.path}: {type(error).__name__}"] += 1
            raise
        # A node that lost its lead in this moment, or whose store is full, would say 503.
        self._counted[
            "served" if answer.is_success else f"{request.url.path}: {answer.status_code}"
        ] += 1
        return answer

    def close(self) -> None:
        """End the connections."""
        self._way.close()


class Phones:
    """Enrol and renew without a break, each at the next node that takes it."""

    def __init__(self, nodes: Cluster) -> None:
        """Take the nodes."""
        self.counted: Counter[str] = Counter()
        self._nodes = nodes
        self._over = threading.Event()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Ask until the block ends."""
        threads = [threading.Thread(target=work) for work in (self._enrol, self._renew)]
        for each in threads:
            each.start()
        try:
            yield
        finally:
            self._over.set()
            for each in threads:
                each.join()

    def goes_on(self, requests: int = 12) -> None:
        """Wait until so many more were served."""
        before = self.counted["served"]
        until(
            lambda: self.counted["served"] >= before + requests, f"nobody answers: {self.counted}"
        )

    def _phone(self) -> WatchwordClient:
        return self._nodes.phone(race=Watched(Balancer(self._nodes.nodes), self.counted))

    def _enrol(self) -> None:
        while not self._over.is_set():
            with self._phone() as phone:
                phone.token(AUDIENCE)

    def _renew(self) -> None:
        with self._phone() as phone:
            while not self._over.is_set():
                phone.renew()


def assert_revocation_arrives(nodes: Cluster) -> None:
    """Revoke an instance at each node; every gate learns of it."""
    for node in nodes.nodes:
        instance, token = nodes.token()
        for each in nodes.nodes:
            until(partial(each.point.serves, token), partial(each.said, "up"))
        node.revoke(instance)
        for each in nodes.nodes:
            until(partial(each.point.refuses, token), partial(each.said, "up"))


def test_no_genuine_request_is_refused(later: Release) -> None:
    """The tables first, which today's nodes go on to read; then each node, the one that tells gates last."""
    with cluster() as nodes:
        phones = Phones(nodes)
        with phones.running():
            phones.goes_on()
            upgrade(nodes, later)
            phones.goes_on()
            assert_revocation_arrives(nodes)
            for node in [*nodes.others(), nodes.leader()]:
                node.stop("up")
                phones.goes_on()
                node.release = later
                node.up()
                phones.goes_on()
                assert_revocation_arrives(nodes)
        assert set(phones.counted) == {"served"}, phones.counted
        versions = nodes.rows("SELECT version FROM watchword.nodes")
        assert versions == [(NEXT,)] * len(nodes.nodes)
        # There is no way back for the tables, and none is needed: today's nodes go on to read them.
        node = nodes.nodes[0]
        node.stop("up")
        done = nodes.command("store", "upgrade", "--as", OWNER)
        assert done.returncode != 0
        assert b"a newer Watchword made them" in done.stderr


def upgrade(nodes: Cluster, later: Release) -> None:
    """Bring the tables up to date while the nodes run."""
    done = later.start(nodes.nodes[0].file, "store", "upgrade", "--as", OWNER)
    assert done.wait(patience(60)) == 0
    assert nodes.row("SELECT version, oldest_reader FROM watchword.store") == (
        SCHEMA_VERSION + 1,
        SCHEMA_VERSION,
    )
