"""Let nodes share keys, secrets and canaries on a real PostgreSQL, and see to it by the commands."""

import asyncio
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pytest
from tests.system.adapters.postgres.servers import NODE, UNSYNCED, Postgres, postgres
from tests.unit.apps.forked_commands import command
from tests.unit.enrolment.simulators import MovableClock

from watchword.adapters.keyring.private_file import PrivateFileError
from watchword.adapters.postgres.address import PostgresAddress
from watchword.adapters.refusal_log import MemoryRefusalLog
from watchword.adapters.system import SystemEntropy
from watchword.apps.deployment import service_of
from watchword.apps.service.service import Service
from watchword.apps.settings.load import load_settings
from watchword.broker.interface import SecretValue

CONFIG = """
version: 1
environment: lab
service:
  issuer: http://127.0.0.1:{port}
  listen: 127.0.0.1:{port}
  state: state
  store: {store}
  {postgres}
secrets:
  keys:
    maps:
      deliver: {{apps: [clinic-ios], level: software, lease: 10m}}
apps:
  clinic-ios: {{platform: ios, team_id: ABCDE12345, bundle_id: com.example.clinic}}
apis:
  clinic:
    audience: https://clinic.example
    apps: [clinic-ios]
    routes: [{{path: /**}}]
"""
CLOCK = MovableClock()


@dataclass
class Node:
    """Hold one node's directory."""

    directory: Path
    address: PostgresAddress

    def configure(self, **keys: Path) -> None:
        """Write watchword.yaml with these keys of ``postgres``."""
        ((directory, port),) = self.address.hosts
        place = f"postgresql://{NODE}@{quote(directory, safe='')}:{port}/{self.address.database}"
        named = "".join(f", {name}: {{file: {path}}}" for name, path in keys.items())
        ways = f"postgres: {{node: {self.directory.name}{named}}}"
        text = CONFIG.format(port=8440, store=place, postgres=ways)
        self.directory.mkdir(exist_ok=True)
        (self.directory / "watchword.yaml").write_text(text)

    def call(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command."""
        return command(self.directory, *arguments)

    @contextmanager
    def started(self) -> Iterator[Service]:
        """Put the service together, as a start does."""
        service = service_of(
            load_settings(self.directory / "watchword.yaml"),
            clock=CLOCK,
            entropy=SystemEntropy(),
            refusal_log=MemoryRefusalLog(CLOCK),
        )
        try:
            yield service
        finally:
            asyncio.run(service.context.secrets.aclose())
            service.context.nodes.close()
            service.context.store.close()


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    """Run one server."""
    with postgres(*UNSYNCED) as running:
        yield running


@pytest.fixture
def nodes(server: Postgres, tmp_path: Path) -> tuple[Node, Node]:
    """Return two nodes on one empty database, that share a master key."""
    address = server.ready()
    key(tmp_path / "sealing.key", b"A")
    key(tmp_path / "new.key", b"E")
    pair = Node(tmp_path / "a", address), Node(tmp_path / "b", address)
    for node in pair:
        node.configure(master_key=tmp_path / "sealing.key")
    return pair


def key(path: Path, letter: bytes) -> None:
    """Make a master key."""
    path.write_bytes(letter * 43 + b"\n")
    path.chmod(0o600)


def ends(done: subprocess.CompletedProcess[str], code: int, *words: str) -> None:
    """See to it that a command ended so, and said this."""
    assert done.returncode == code, done.stdout + done.stderr
    said = re.sub(r"\s+", " ", done.stdout + done.stderr)
    for word in words:
        assert word in said


def active(service: Service) -> str:
    """Return the key that signs."""
    return service.context.keyring.signer().kid


def plant(service: Service, name: str) -> None:
    """Plant a canary."""
    canaries = service.context.secrets.canaries
    assert canaries is not None
    canaries.add(name, "aws", CLOCK.timestamp())


def planted(service: Service) -> list[str]:
    """Return the names of the canaries, as of the last look."""
    canaries = service.context.secrets.canaries
    assert canaries is not None
    return [each.name for each in canaries.planted()]


async def put(service: Service, value: str) -> None:
    """Add a secret."""
    keeper = service.context.secrets.keeper
    assert keeper is not None
    await keeper.refresh(CLOCK.timestamp())
    await keeper.add("maps", SecretValue(value), CLOCK.timestamp())


async def value(service: Service) -> str | None:
    """Return the secret."""
    store = service.context.secrets.store
    assert store is not None
    stored = await store.read("maps")
    return None if stored is None else stored.record.versions[-1].value.text  # type: ignore[union-attr]


def test_nodes_share_keys_secrets_and_canaries(nodes: tuple[Node, Node]) -> None:
    """What one of them changes, the other one knows after its next round; no node has a key in a file."""
    with nodes[0].started() as one, nodes[1].started() as two:
        assert active(one) == active(two)
        assert one.context.keyring.ring.pairwise_key == two.context.keyring.ring.pairwise_key
        one.context.keyring.rotate(CLOCK.timestamp())
        plant(one, "decoy")
        asyncio.run(put(one, "a-value-of-maps"))
        assert two.context.keyring.refresh()
        assert active(one) == active(two)
        assert planted(two) == ["decoy"]
        assert asyncio.run(value(two)) == "a-value-of-maps"
    for node in nodes:
        kept = {each.name for each in (node.directory / "state").iterdir()}
        assert not kept & {"keyring.json", "secrets.json", "canaries.json", "master.key"}
        copies = [each.read_bytes() for each in (node.directory / "state" / "sealed").iterdir()]
        assert len(copies) == 3
        assert all(b"a-value-of-maps" not in each for each in copies)


def test_a_service_of_files_becomes_a_node(nodes: tuple[Node, Node], tmp_path: Path) -> None:
    """Its instances keep their subjects, its secrets their values; a start beside files is refused."""
    node = nodes[0]
    node.configure()
    with node.started() as before:
        asyncio.run(put(before, "a-value-of-maps"))
        plant(before, "decoy")
        signing, pairwise = active(before), before.context.keyring.ring.pairwise_key
    ends(node.call("store", "seal"), 2, "service.postgres.master_key")
    node.configure(master_key=tmp_path / "sealing.key")
    with pytest.raises(PrivateFileError, match="watchword store seal"), node.started():
        pass
    ends(node.call("store", "seal"), 0, "Moved key-ring, secrets, canaries")
    ends(node.call("store", "seal"), 0, "no file to move")
    (tmp_path / "a" / "state" / "master.key").unlink()
    for each in nodes:
        with each.started() as after:
            assert active(after) == signing
            assert after.context.keyring.ring.pairwise_key == pairwise
            assert planted(after) == ["decoy"]
            assert asyncio.run(value(after)) == "a-value-of-maps"
            after.context.keyring.rotate(CLOCK.timestamp())
            signing = active(after)
    left = tmp_path / "a" / "state" / "keyring.json"
    left.with_name("keyring.json.moved").rename(left)
    with pytest.raises(PrivateFileError, match="move the file away"), node.started():
        pass
    ends(node.call("store", "seal"), 1, "there already")


def test_a_master_key_is_replaced_while_nodes_run(nodes: tuple[Node, Node], tmp_path: Path) -> None:
    """Both are known for a while; afterwards the old one opens nothing, and says which key it was."""
    old, new = tmp_path / "sealing.key", tmp_path / "new.key"
    with nodes[0].started() as one:
        asyncio.run(put(one, "a-value-of-maps"))
        plant(one, "decoy")
        signing = active(one)
    for node in nodes:
        node.configure(master_key=new, other_master_key=old)
    with nodes[0].started() as running:
        ends(nodes[1].call("store", "rekey"), 0, "Sealed 3 rows anew", "1 key of values")
        assert running.context.keyring.refresh()
        assert active(running) == signing
    nodes[0].configure(master_key=new)
    with nodes[0].started() as after:
        assert active(after) == signing
        assert asyncio.run(value(after)) == "a-value-of-maps"
    nodes[1].configure(master_key=old)
    with pytest.raises(PrivateFileError, match="another key file"), nodes[1].started():
        pass


def test_a_database_that_was_set_back_is_put_back(
    nodes: tuple[Node, Node], server: Postgres
) -> None:
    """A key that was withdrawn doesn't come back with a restore: nodes refuse the row, in words, until it is put back."""
    name = nodes[0].address.database
    with nodes[0].started() as one:
        stolen = active(one)
        with server.admin(name) as link:
            link.execute("CREATE TABLE backup AS SELECT * FROM watchword.sealed_documents")
        one.context.keyring.retire(stolen, CLOCK.timestamp())
        signing = active(one)
        with server.admin(name) as link:
            link.execute("DELETE FROM watchword.sealed_documents")
            link.execute("INSERT INTO watchword.sealed_documents SELECT * FROM backup")
        with pytest.raises(PrivateFileError, match="this node has seen 2"):
            one.context.keyring.refresh()
        assert active(one) == signing
        with pytest.raises(PrivateFileError, match="put-back"):
            one.context.keyring.rotate(CLOCK.timestamp())
        with pytest.raises(PrivateFileError, match="this node has seen 2"), nodes[0].started():
            pass
        ends(nodes[0].call("store", "put-back"), 0, "Wrote key-ring as version 3")
        one.context.keyring.refresh()
        assert active(one) == signing
    with nodes[1].started() as two:
        assert active(two) == signing
    ends(nodes[0].call("store", "put-back"), 0, "Nothing to put back")


def test_keys_that_are_gone_are_not_made_anew(nodes: tuple[Node, Node], server: Postgres) -> None:
    """Neither by a node that knows them nor by a new one, where the store has entries."""
    with nodes[0].started() as one:
        signing = active(one)
    nodes[0].call("store", "put-back")
    with server.admin(nodes[0].address.database) as link:
        link.execute("DELETE FROM watchword.sealed_documents")
    for node, words in zip(
        nodes, ("is gone", "no key ring while the store has entries"), strict=True
    ):
        with pytest.raises(PrivateFileError, match=words), node.started():
            pass
    ends(nodes[0].call("store", "put-back"), 0, "Wrote key-ring as version 2")
    with nodes[1].started() as two:
        assert active(two) == signing
