"""Keep the key ring in a row of a real PostgreSQL, against others that write at the same time and by hand."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
from tests.key_ring_contract.places import ENTROPY, MASTER, START, Place, RowPlace, ring_in, rows_of
from tests.key_ring_contract.rings import *  # noqa: F403 - the tests.
from tests.system.adapters.postgres.servers import OWNER, Postgres

from watchword.adapters.keyring.private_file import PrivateFileError
from watchword.adapters.postgres.address import PostgresAddress
from watchword.adapters.postgres.database import PostgresDatabase
from watchword.adapters.postgres.sealed import PostgresRowTable
from watchword.adapters.sealed_rows import CANARIES, KEY_RING, SECRETS, SealedRows
from watchword.adapters.secret_store import LocalMasterKey
from watchword.reasons import UnavailableError


@pytest.fixture(scope="module")
def address(server: Postgres) -> PostgresAddress:
    """Return a database for all tests."""
    return server.ready()


@pytest.fixture
def table(server: Postgres, address: PostgresAddress) -> Iterator[PostgresRowTable]:
    """Return the empty table of a database."""
    database = PostgresDatabase(server.emptied(address))
    yield PostgresRowTable(database)
    database.close()


class _Place(RowPlace):
    """Delete the row as whoever owns the table can."""

    def __init__(self, table: PostgresRowTable, directory: Path, by_hand: "ByHand") -> None:
        """Keep who may."""
        super().__init__(table, directory)
        self._by_hand = by_hand

    def drop(self) -> None:
        """See RowPlace."""
        self._by_hand.execute("DELETE FROM watchword.sealed_documents")


class ByHand:
    """Write to the tables as somebody who has the database."""

    def __init__(self, server: Postgres, address: PostgresAddress) -> None:
        """Keep where."""
        self._server = server
        self._database = address.database

    def execute(self, statement: str) -> int:
        """Run a statement; return how many rows it changed."""
        with self._server.admin(self._database) as link:
            return int(link.execute(statement.encode()).rowcount)


@pytest.fixture
def by_hand(server: Postgres, address: PostgresAddress) -> ByHand:
    """Return who has the database."""
    return ByHand(server, address)


@pytest.fixture
def place(table: PostgresRowTable, tmp_path: Path, by_hand: ByHand) -> Place:
    """Return the place of a key ring that isn't there yet."""
    return _Place(table, tmp_path, by_hand)


@pytest.fixture
def rows(table: PostgresRowTable, tmp_path: Path) -> SealedRows:
    """Return a node's rows."""
    return rows_of(table, tmp_path / "a")


def test_nothing_is_lost_of_what_many_write_at_once(
    table: PostgresRowTable, tmp_path: Path
) -> None:
    """Eight nodes that each add to the row: every addition is there, and each version was given once."""
    nodes = [rows_of(table, tmp_path / f"n{each}") for each in range(8)]

    def add(turn: int) -> None:
        mark = bytes([turn])
        nodes[turn % 8].document(SECRETS).change(lambda data: (data or b"") + mark)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(add, range(40)))
    nodes[0].follow()
    document = nodes[0].document(SECRETS)
    assert sorted(document.read() or b"") == list(range(40))
    assert document.version == 40


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE watchword.sealed_documents SET version = version + 1 WHERE purpose = 'secrets'",
        "UPDATE watchword.sealed_documents SET sealed = sealed || '\\x00' WHERE purpose = 'secrets'",
        "UPDATE watchword.sealed_documents SET sealed = '' WHERE purpose = 'secrets'",
        (
            "UPDATE watchword.sealed_documents AS one SET wrapped = two.wrapped, sealed = two.sealed "
            "FROM watchword.sealed_documents AS two WHERE one.purpose = 'secrets' AND two.purpose = 'canaries'"
        ),
        "UPDATE watchword.sealed_documents SET deployment = 'https://other.example (prod)' WHERE purpose = 'secrets'",
        "UPDATE watchword.sealed_documents SET key_id = 'local-0000000000000000' WHERE purpose = 'secrets'",
        "DELETE FROM watchword.sealed_documents WHERE purpose = 'secrets'",
        "UPDATE watchword.store SET identity = identity + 1",
    ],
)
def test_what_was_changed_by_hand_is_refused_and_stays(
    rows: SealedRows, table: PostgresRowTable, tmp_path: Path, by_hand: ByHand, change: str
) -> None:
    """By a running node and by one that starts again; put back, all goes on."""
    rows.document(SECRETS).change(lambda _: b"one")
    rows.document(SECRETS).change(lambda _: b"two")
    rows.document(CANARIES).change(lambda _: b"canaries")
    assert by_hand.execute(change) == 1
    before = table.row(SECRETS)
    rows.follow()
    again = rows_of(table, tmp_path / "a")
    for each in (rows, again):
        assert "secrets" in each.trouble()
        with pytest.raises(PrivateFileError):
            each.document(SECRETS).change(lambda _: b"three")
    assert table.row(SECRETS) == before
    if "deployment" in change or "key_id" in change:
        # It might be another cluster's: that one decides.
        with pytest.raises(PrivateFileError, match=r"two databases|delete the row"):
            again.put_back()
        assert table.row(SECRETS) == before
        assert by_hand.execute("DELETE FROM watchword.sealed_documents WHERE purpose = 'secrets'")
    if "identity" in change:
        with pytest.raises(UnavailableError, match="another primary or database"):
            again.put_back()
        # The service does that once challenges from before have ended.
        database = table._database
        database.accept(database.here(database.identity, writes=False))
    again.put_back()
    rows.follow()
    assert rows.trouble() == ""
    assert rows.document(SECRETS).read() == b"two"


def test_a_node_may_delete_no_row(server: Postgres, address: PostgresAddress) -> None:
    """Whoever steals a node's password takes no key ring away."""
    with psycopg.connect(
        host=str(server.directory), port=server.port, dbname=address.database, user=address.user
    ) as link:
        assert address.user != OWNER
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            link.execute("DELETE FROM watchword.sealed_documents")


def test_rotations_of_many_nodes_leave_one_ring(table: PostgresRowTable, tmp_path: Path) -> None:
    """Each rotation counts once, no epoch is given twice, and all nodes end with the same keys."""
    rings = [ring_in(rows_of(table, tmp_path / f"n{each}").document(KEY_RING)) for each in range(4)]
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda ring: [ring.rotate_gate_secrets(START) for _ in range(5)], rings))
    for ring in rings:
        ring.refresh()
    assert len({ring.ring.gate_epochs for ring in rings}) == 1
    assert [each.epoch for each in rings[0].ring.gate_epochs] == list(range(1, 23))
    assert {ring.version for ring in rings} == {21}


def test_another_master_key_is_told(
    rows: SealedRows, table: PostgresRowTable, tmp_path: Path
) -> None:
    """In words, and nothing is overwritten."""
    ring_in(rows.document(KEY_RING))
    before = table.row(KEY_RING)
    other = rows_of(table, tmp_path / "b", LocalMasterKey(b"o" * 32, ENTROPY))
    with pytest.raises(PrivateFileError, match=MASTER.key_id):
        ring_in(other.document(KEY_RING))
    assert table.row(KEY_RING) == before
