"""Move the store from SQLite: all of it with equal hashes, or nothing."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from tests.store_contract.codes import code
from tests.store_contract.cuts import MADE, cut_entry
from tests.store_contract.entries import audit, instance, reason_of, run, use
from tests.store_contract.instances import receipt
from tests.store_contract.leases import delivered, lease
from tests.system.adapters.postgres.servers import NODE, Postgres
from tests.unit.enrolment.simulators import NOW

from watchword.adapters.postgres.address import PostgresAddress
from watchword.adapters.postgres.database import PostgresStore
from watchword.adapters.postgres.migration import TABLES, Moved, migrate
from watchword.adapters.postgres.schema import SchemaError, upgrade
from watchword.adapters.sqlite import SchemaError as FileSchemaError
from watchword.adapters.sqlite import SqliteStore
from watchword.adapters.store import EngineStore
from watchword.adapters.system import SystemEntropy
from watchword.ports import Instance
from watchword.reasons import Reason


def with_receipt(store: EngineStore, made: Instance) -> None:
    """Enrol an instance that has a receipt."""
    run(lambda: store.enrol(use(made.id.encode()), made, audit(), receipt(made.id)))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Return a file in which every table has rows."""
    path = tmp_path / "watchword.db"
    with closing(SqliteStore(path)) as store:
        for number in range(9):
            name = f"i{number}"
            made = replace(
                instance(name),
                enrolled_at=NOW + timedelta(seconds=number),
                attested_key=bytes([number, 0, 255]),
                app_version=None if number == 4 else "a\"'\\\t\N{SNOWMAN}",
            )
            with_receipt(store, made)
        for name in ("i7", "i2"):
            run(lambda name=name: store.revoke(name, NOW, "b", audit(subject=name)))  # type: ignore[misc]
        for number in range(3):
            renewal = use(f"renewal{number}".encode())
            run(lambda renewal=renewal: store.renew(renewal, "i1", None, None, audit()))  # type: ignore[misc]
        delivered(store, "lease", lease(instance_id="i1"))
        run(lambda: store.add_code(code(), audit()))
        run(lambda: store.add_cut(MADE, 0, cut_entry))
    return path


@pytest.fixture
def target(server: Postgres) -> PostgresAddress:
    """Return empty tables, as their owner."""
    address = server.database()
    upgrade(address, NODE, SystemEntropy())
    return address


def refused(call: Callable[[], object], word: str) -> None:
    """See to it that a move is refused, in words."""
    with pytest.raises((SchemaError, FileSchemaError)) as caught:
        call()
    assert word in str(caught.value)


def told(store: EngineStore) -> list[object]:
    """Return what a store says to all questions."""
    return [
        # How much was written: a store that counts less than its mark says is an older copy.
        run(store.extent)[0],
        run(lambda: store.list_instances(99)),
        run(lambda: store.audit_from(1, 99)),
        [each.number for each in run(lambda: store.audit_from(1, 99))],
        sorted(each.id for each in run(lambda: store.revocations(NOW, None, 99)).instances),
        run(lambda: store.due_receipts("clinic", NOW + timedelta(days=1), 99)),
        run(lambda: store.list_codes(9)),
        run(lambda: store.leases(NOW + timedelta(seconds=1))),
        run(lambda: store.cuts(0)),
        run(store.extent)[0],
    ]


def test_everything_is_there_afterwards(source: Path, target: PostgresAddress) -> None:
    """Each answer is the same, used challenges stay used, and numbers go on behind the last."""
    with closing(SqliteStore(source)) as before:
        known = told(before)
    seen: list[Moved] = []
    moved = migrate(source, target, rehearse=False, told=seen.append)
    assert seen == moved
    assert [each.table for each in moved] == [table.name for table in TABLES]
    assert {each.table: each.rows for each in moved} == {
        "instances": 9,
        "instance_certificates": 27,
        "used_challenges": 13,
        "receipts": 7,
        "operator_codes": 1,
        "leases": 1,
        "audit": 14,
        "cuts": 1,
    }
    with closing(PostgresStore(replace(target, user=NODE))) as after:
        assert told(after) == known
        assert reason_of(lambda: after.enrol(use(b"i3"), instance("x"), audit())) is (
            Reason.CHALLENGE_USED
        )
        cursor = run(lambda: after.revocations(NOW, None, 99)).cursor
        run(lambda: after.revoke("i5", NOW, "b", audit(subject="i5")))
        news = run(lambda: after.revocations(NOW, cursor, 99))
        assert [each.id for each in news.instances] == ["i5"]
        run(lambda: after.enrol(use(b"new"), instance("new"), audit()))
        assert run(after.extent)[0] > 15
        assert run(lambda: after.add_cut(MADE, 0, cut_entry)).id == 2


def test_the_file_refuses_to_be_used_afterwards(source: Path, target: PostgresAddress) -> None:
    """By a service, and for another move; it has all its rows as a backup."""
    migrate(source, target, rehearse=False)
    refused(lambda: SqliteStore(source), "was moved into PostgreSQL")
    refused(lambda: migrate(source, target, rehearse=False), "was moved into PostgreSQL")
    with closing(sqlite3.connect(source)) as file:
        assert file.execute("SELECT count(*) FROM instances").fetchone() == (9,)


def test_a_rehearsal_leaves_no_trace(source: Path, target: PostgresAddress) -> None:
    """On either side: it may be done again, and then for good, with the same hashes."""
    first = migrate(source, target, rehearse=True)
    with closing(SqliteStore(source)) as still, closing(PostgresStore(target)) as empty:
        assert run(lambda: still.find("i1")) is not None
        assert run(lambda: empty.list_instances(9)) == []
        assert not empty.had_entries
    assert migrate(source, target, rehearse=True) == first
    assert migrate(source, target, rehearse=False) == first


def test_a_store_is_moved_into_an_empty_one_alone(source: Path, target: PostgresAddress) -> None:
    """One that is in use stays as it is."""
    with closing(PostgresStore(target)) as store:
        run(lambda: store.add_audit(audit()))
        refused(lambda: migrate(source, target, rehearse=False), "has rows already")
        assert len(run(lambda: store.audit_entries(9))) == 1
    with closing(SqliteStore(source)) as still:
        assert run(lambda: still.find("i1")) is not None


def test_a_file_in_use_is_held_while_it_is_moved(source: Path, target: PostgresAddress) -> None:
    """Somebody in the middle of a write stops the move; no write comes in between."""
    with closing(sqlite3.connect(source, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        refused(lambda: migrate(source, target, rehearse=False), "stop the service")
        other.execute("ROLLBACK")
    refused(lambda: migrate(source.with_name("none.db"), target, rehearse=True), "isn't there")


def test_a_row_that_cannot_be_kept_moves_nothing(source: Path, target: PostgresAddress) -> None:
    """A text with U+0000 is named by its table and row."""
    with closing(sqlite3.connect(source)) as file, file:
        file.execute("UPDATE instances SET app_version = 'a' || char(0) WHERE id = 'i6'")
    refused(lambda: migrate(source, target, rehearse=False), "table instances, row 7")
    with closing(PostgresStore(target)) as store:
        assert run(lambda: store.list_instances(9)) == []


def test_a_file_of_020_is_moved_too(source: Path, target: PostgresAddress) -> None:
    """It has no cuts."""
    with closing(sqlite3.connect(source, isolation_level=None)) as file:
        file.execute("DROP TABLE cuts")
        file.execute("PRAGMA user_version = 5")
    moved = {each.table: each.rows for each in migrate(source, target, rehearse=False)}
    assert (moved["instances"], moved["cuts"]) == (9, 0)


def test_what_is_read_back_differently_moves_nothing(
    source: Path, target: PostgresAddress, server: Postgres
) -> None:
    """A trigger of somebody's that changes rows is noticed by the hashes."""
    with server.admin(target.database) as link:
        link.execute(
            "CREATE FUNCTION watchword.meddle() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN NEW.counter = NEW.counter + 1; RETURN NEW; END $$"
        )
        link.execute(
            "CREATE TRIGGER meddle BEFORE INSERT ON watchword.instances FOR EACH ROW "
            "EXECUTE FUNCTION watchword.meddle()"
        )
    refused(lambda: migrate(source, target, rehearse=False), "nothing was moved")
    with closing(PostgresStore(target)) as store:
        assert run(lambda: store.list_instances(9)) == []
