"""Keep the store in a file: durable, private, bounded; what every engine does is in tests/store_contract."""

import asyncio
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from tests.store_contract.entries import audit, instance, reason_of, run, use
from tests.unit.adapters.ordinary_user import ordinary_user
from tests.unit.enrolment.simulators import NOW

from watchword.adapters.sqlite import SCHEMA_VERSION, SchemaError, SqliteStore
from watchword.adapters.store import MAX_WAITING, TROUBLE_SECONDS, count_enrolled
from watchword.ports import (
    MOST_UNDER_SERIAL,
)
from watchword.reasons import Reason, UnavailableError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return the place of a database."""
    return tmp_path / "watchword.db"


@pytest.fixture
def store(path: Path) -> Iterator[SqliteStore]:
    """Return a store on a fresh file."""
    opened = SqliteStore(path)
    yield opened
    opened.close()


def test_file_is_private_and_durable(store: SqliteStore, path: Path) -> None:
    """Database and log are ours alone; each commit is flushed (synchronous FULL) to a WAL."""
    run(lambda: store.enrol(use(), instance(), audit()))
    files = list(path.parent.iterdir())
    assert {each.name for each in files} >= {"watchword.db", "watchword.db-wal"}
    assert {each.stat().st_mode & 0o777 for each in files} == {0o600}
    pragmas = run(
        lambda: store._database.read(
            lambda connection: (
                connection.execute("PRAGMA journal_mode").fetchone()[0],
                connection.execute("PRAGMA synchronous").fetchone()[0],
                connection.execute("PRAGMA busy_timeout").fetchone()[0],
            )
        )
    )
    assert pragmas == ("wal", 2, 2000)


def test_counting_reads_no_more_than_the_index(path: Path, store: SqliteStore) -> None:
    """However many a leaked key has enrolled: no table is scanned, and counting ends at a bound."""
    statements: list[str] = []
    with closing(sqlite3.connect(path)) as connection:
        connection.set_trace_callback(statements.append)
        count_enrolled(connection, "clinic", bytes(32), "1", NOW)
        connection.set_trace_callback(None)
        plans = [
            row[3]
            for each in statements
            for row in connection.execute(f"EXPLAIN QUERY PLAN {each}")
        ]
    assert f"LIMIT {MOST_UNDER_SERIAL}" in statements[1]
    assert [each for each in plans if " instances" in each] == [
        "SEARCH instances USING COVERING INDEX instances_by_device (device_key=? AND enrolled_at>?)",
        (
            "SEARCH instances USING COVERING INDEX instances_by_attester "
            "(attester_serial=? AND app=? AND enrolled_at>?)"
        ),
    ]


def test_tables_are_made_whole_or_not_at_all(path: Path) -> None:
    """A start that fails at its end leaves an empty file, which works later."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("CREATE TABLE leases (in_the_way INTEGER)")
    with pytest.raises(UnavailableError):
        SqliteStore(path)
    assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("leases",)]
    assert connection.execute("PRAGMA user_version").fetchone() == (0,)
    connection.execute("DROP TABLE leases")
    connection.close()
    store = SqliteStore(path)
    run(lambda: store.enrol(use(), instance(), audit()))
    store.close()


def test_several_that_start_at_once(path: Path) -> None:
    """Of processes that start on a new file one makes the tables and all work."""
    with ThreadPoolExecutor(4) as pool:
        stores = list(pool.map(SqliteStore, [path] * 4))
    run(lambda: stores[0].enrol(use(), instance(), audit()))
    assert {len(run(lambda s=s: s.list_instances(9))) for s in stores} == {1}  # type: ignore[misc]
    for each in stores:
        each.close()


def test_probe_leaves_the_version_as_it_is(store: SqliteStore, path: Path) -> None:
    """A health check beside a newer Watchword doesn't set the file's version back."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA user_version = 99")
    run(store.check_writable)
    assert connection.execute("PRAGMA user_version").fetchone() == (99,)
    connection.close()


def test_newer_database_is_not_touched(path: Path) -> None:
    """A file of a newer Watchword is refused in clear words, and left as it is."""
    SqliteStore(path).close()
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(SchemaError, match="newer Watchword"):
        SqliteStore(path)
    assert path.read_bytes() == before


def test_database_from_before_the_first_release_is_not_touched(path: Path) -> None:
    """A file whose tables were never in a release is refused, and left as it is."""
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 4")
    connection.close()
    with pytest.raises(SchemaError, match="no released Watchword"):
        SqliteStore(path)
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT name FROM sqlite_master").fetchall() == []
    connection.close()


def test_file_that_is_no_database_is_unavailable(path: Path) -> None:
    """Garbage in the file's place is an error of ours."""
    path.write_bytes(b"garbage" * 1000)
    with pytest.raises(UnavailableError) as caught:
        SqliteStore(path)
    assert caught.value.reason is Reason.STORE_UNAVAILABLE


def test_missing_directory_is_unavailable(tmp_path: Path) -> None:
    """A path that can't be opened is an error of ours."""
    with pytest.raises(UnavailableError):
        SqliteStore(tmp_path / "nowhere" / "watchword.db")


def test_full_disk_refuses_the_write_as_a_whole(path: Path) -> None:
    """When the disk is full nothing half-done stays, reads go on, and room heals it."""
    store = SqliteStore(path, max_pages=40)
    kept = []
    reason = None
    for number in range(500):
        made = instance(str(number))
        try:
            run(lambda made=made: store.enrol(use(made.id.encode()), made, audit()))  # type: ignore[misc]
        except UnavailableError as error:
            reason = error.reason
            break
        kept.append(made.id)
    assert reason is Reason.STORE_UNAVAILABLE
    listed = {each.id for each in run(lambda: store.list_instances(1000))}
    assert listed == set(kept)
    store.close()
    roomy = SqliteStore(path)
    run(lambda: roomy.enrol(use(str(len(kept)).encode()), instance("late"), audit()))
    roomy.close()


def test_locked_database_is_unavailable_and_recovers(store: SqliteStore, path: Path) -> None:
    """Another process's endless transaction ends ours after the busy time, not for ever."""
    blocker = sqlite3.connect(path, isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    assert reason_of(store.check_writable) is Reason.STORE_UNAVAILABLE
    assert run(lambda: store.find("one")) is None
    blocker.execute("ROLLBACK")
    blocker.close()
    run(store.check_writable)


def test_read_only_database_is_unavailable() -> None:
    """A file without the right to write can't be opened as a store."""
    with ordinary_user() as directory:
        path = directory / "watchword.db"
        SqliteStore(path).close()
        path.chmod(0o400)
        with pytest.raises(UnavailableError):
            SqliteStore(path)


def test_check_writes_once_however_often_it_is_asked(path: Path) -> None:
    """The health check tries a real write, and a stranger who asks again causes none."""
    times = iter([10.0, 10.0, *([10.5] * 20), 11.1, 11.1])
    store = SqliteStore(path, monotonic=lambda: next(times))
    wal = path.with_name("watchword.db-wal")
    sizes = []
    for _ in range(22):
        run(store.check_writable)
        sizes.append(wal.stat().st_size)
    store.close()
    assert len(set(sizes[:21])) == 1
    assert sizes[21] > sizes[20]


def test_file_that_went_away_takes_no_enrolment(store: SqliteStore, path: Path) -> None:
    """What would be lost at the next start isn't acknowledged; no empty file takes its place."""
    kept = path.with_name("kept.db")
    run(lambda: store.enrol(use(), instance(), audit()))
    path.rename(kept)
    renewal = use(b"another")
    assert (
        reason_of(lambda: store.renew(renewal, "one", 9, None, audit())) is Reason.STORE_UNAVAILABLE
    )
    assert reason_of(store.check_writable) is Reason.STORE_UNAVAILABLE
    assert not path.exists()
    kept.rename(path)
    # A failed write is remembered until the next one succeeds.
    assert reason_of(store.check_writable) is Reason.STORE_UNAVAILABLE
    assert run(lambda: store.renew(renewal, "one", 9, None, audit())).counter == 9
    run(store.check_writable)


def test_full_disk_shows_for_a_while(path: Path) -> None:
    """A probe may still find room; the enrolment that found none is what counts, for a time."""
    SqliteStore(path).close()
    now = 100.0
    store = SqliteStore(path, max_pages=1, monotonic=lambda: now)
    run(store.check_writable)

    async def fill() -> None:
        for number in range(500):
            await store.enrol(use(str(number).encode()), instance(str(number)), audit())

    assert reason_of(fill) is Reason.STORE_UNAVAILABLE
    assert reason_of(store.check_writable) is Reason.STORE_UNAVAILABLE
    now += TROUBLE_SECONDS
    run(store.check_writable)
    store.close()


def test_file_that_was_replaced_is_not_touched(store: SqliteStore, path: Path) -> None:
    """Another file in the place of the first waits for a start: it isn't mixed with its log."""
    backup = path.with_name("backup.db")
    SqliteStore(backup).close()
    before = backup.read_bytes()
    backup.replace(path)
    assert reason_of(lambda: store.enrol(use(), instance(), audit())) is Reason.STORE_UNAVAILABLE
    assert path.read_bytes() == before


def test_event_loop_goes_on_while_the_store_waits(store: SqliteStore, path: Path) -> None:
    """A store that waits for a lock holds up nobody else."""
    blocker = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    blocker.execute("BEGIN IMMEDIATE")

    async def scenario() -> int:
        waiting = asyncio.create_task(store.check_writable())
        turns = 0
        for _ in range(20):
            await asyncio.sleep(0.005)
            turns += 1
        assert not waiting.done()
        blocker.execute("ROLLBACK")
        await waiting
        return turns

    assert run(scenario) == 20
    blocker.close()


def test_queue_is_bounded(store: SqliteStore, path: Path) -> None:
    """On a stalled disk callers are turned away at once instead of piling up."""
    blocker = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    blocker.execute("BEGIN IMMEDIATE")

    async def scenario() -> list[BaseException | None]:
        calls = [store.check_writable() for _ in range(MAX_WAITING + 5)]
        gathered = asyncio.gather(*calls, return_exceptions=True)
        await asyncio.sleep(0.05)
        blocker.execute("ROLLBACK")
        return await gathered

    errors = [error for error in run(scenario) if error is not None]
    assert len(errors) == 5
    assert all(
        isinstance(error, UnavailableError) and error.reason is Reason.SERVICE_OVERLOADED
        for error in errors
    )
    blocker.close()
