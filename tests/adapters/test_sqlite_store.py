"""Keep instances in SQLite: all or nothing, durable, private."""

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

import pytest
from tests.adapters.ordinary_user import ordinary_user
from tests.enrolment.simulators import CLINIC, LEDGER, NOW, public_jwk, public_spki

from watchword.adapters.store.schema import MIGRATIONS, SchemaError
from watchword.adapters.store.sqlite import MAX_WAITING, TROUBLE_SECONDS, SqliteStore
from watchword.ports import AuditEntry, ChallengeUse, Instance
from watchword.reasons import Reason, RefusedError, UnavailableError
from watchword.vocabulary import Level

_Result = TypeVar("_Result")


def run(call: Callable[[], Awaitable[_Result]]) -> _Result:
    """Run one coroutine."""

    async def awaited() -> _Result:
        return await call()

    return asyncio.run(awaited())


def instance(name: str = "one") -> Instance:
    """Return an instance with every field set."""
    return Instance(
        id=name,
        app="clinic",
        app_version="42",
        platform="ios",
        format="app-attest",
        level=Level.HARDWARE,
        attested_key=public_spki(),
        proof_jwk=public_jwk(),
        seal_jwk=public_jwk(),
        audiences=(CLINIC, LEDGER),
        enrolled_at=NOW + timedelta(microseconds=123_457),
        renewed_at=NOW + timedelta(microseconds=123_457),
        counter=3,
        test=True,
    )


def use(nonce: bytes = b"nonce", seconds: int = 300) -> ChallengeUse:
    """Return a use of a challenge."""
    return ChallengeUse(nonce, NOW + timedelta(seconds=seconds))


def audit(action: str = "instance.enrolled", seconds: int = 0) -> AuditEntry:
    """Return an audit entry."""
    return AuditEntry(NOW + timedelta(seconds=seconds), "somebody", action, "one", {"a": [1]})


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


def reason_of(call: Callable[[], Awaitable[object]]) -> Reason:
    """Return why a call is refused."""
    with pytest.raises((RefusedError, UnavailableError)) as caught:
        run(call)
    assert isinstance(caught.value, RefusedError | UnavailableError)
    return caught.value.reason


def test_instance_comes_back_as_it_was(store: SqliteStore) -> None:
    """Every field, microseconds included, survives the file."""
    one = instance()
    run(lambda: store.enrol(use(), one, audit()))
    assert run(lambda: store.find("one")) == one
    assert run(lambda: store.audit_entries(10)) == [audit()]
    assert run(lambda: store.find("two")) is None


def test_file_is_private_and_durable(store: SqliteStore, path: Path) -> None:
    """Database and log are ours alone; each commit is flushed (synchronous FULL) to a WAL."""
    run(lambda: store.enrol(use(), instance(), audit()))
    files = list(path.parent.iterdir())
    assert {each.name for each in files} >= {"watchword.db", "watchword.db-wal"}
    assert {each.stat().st_mode & 0o777 for each in files} == {0o600}
    pragmas = run(
        lambda: store._read(
            lambda connection: (
                connection.execute("PRAGMA journal_mode").fetchone()[0],
                connection.execute("PRAGMA synchronous").fetchone()[0],
                connection.execute("PRAGMA busy_timeout").fetchone()[0],
            )
        )
    )
    assert pragmas == ("wal", 2, 2000)


def test_challenge_is_used_once(store: SqliteStore) -> None:
    """The second use is refused, and brings in neither instance nor audit entry."""
    run(lambda: store.enrol(use(), instance(), audit()))
    other = instance("two")
    assert reason_of(lambda: store.enrol(use(), other, audit())) is Reason.CHALLENGE_USED
    assert run(lambda: store.find("two")) is None
    assert len(run(lambda: store.audit_entries(10))) == 1


def test_enrolled_key_keeps_its_challenge(store: SqliteStore) -> None:
    """An enrolment that fails on the key gives the challenge back."""
    one = instance()
    run(lambda: store.enrol(use(), one, audit()))
    twin = replace(instance("two"), attested_key=one.attested_key)
    assert reason_of(lambda: store.enrol(use(b"b"), twin, audit())) is Reason.INSTANCE_EXISTS
    run(lambda: store.enrol(use(b"b"), instance("three"), audit()))


def test_taken_id_is_no_replacement(store: SqliteStore) -> None:
    """An id that is taken doesn't overwrite who has it."""
    one = instance()
    run(lambda: store.enrol(use(), one, audit()))
    assert reason_of(lambda: store.enrol(use(b"b"), instance(), audit())) is Reason.INSTANCE_EXISTS
    assert run(lambda: store.find("one")) == one


def test_renewal_raises_the_counter(store: SqliteStore) -> None:
    """A greater counter is taken and the time of renewal is the audit entry's."""
    run(lambda: store.enrol(use(), instance(), audit()))
    entry = audit("instance.renewed", 60)
    renewed = run(lambda: store.renew(use(b"b"), "one", 4, None, entry))
    assert renewed.counter == 4
    assert renewed.renewed_at == NOW + timedelta(seconds=60)
    assert run(lambda: store.find("one")) == renewed
    assert run(lambda: store.audit_entries(1)) == [entry]


@pytest.mark.parametrize("counter", [0, 2, 3])
def test_counter_never_stays_or_falls(store: SqliteStore, counter: int) -> None:
    """An equal or smaller counter is refused and the challenge stays unused."""
    run(lambda: store.enrol(use(), instance(), audit()))
    assert (
        reason_of(lambda: store.renew(use(b"b"), "one", counter, None, audit()))
        is Reason.INSTANCE_COUNTER
    )
    assert run(lambda: store.renew(use(b"b"), "one", 4, None, audit())).counter == 4


def test_renewal_without_counter_keeps_it(store: SqliteStore) -> None:
    """A format without a counter leaves the stored one."""
    run(lambda: store.enrol(use(), instance(), audit()))
    assert run(lambda: store.renew(use(b"b"), "one", None, None, audit())).counter == 3


def test_renewal_states_the_version_anew(store: SqliteStore) -> None:
    """The row has the version that a renewal stated last; one that states none leaves it."""
    run(lambda: store.enrol(use(), instance(), audit()))
    renewed = run(lambda: store.renew(use(b"b"), "one", None, "9.1", audit()))
    assert renewed.app_version == "9.1"
    assert run(lambda: store.find("one")) == renewed
    assert run(lambda: store.renew(use(b"c"), "one", None, None, audit())).app_version == "9.1"


def test_renewal_needs_an_instance_that_is_not_revoked(store: SqliteStore) -> None:
    """Unknown and revoked instances don't renew, and a used challenge doesn't either."""
    assert (
        reason_of(lambda: store.renew(use(b"b"), "one", 4, None, audit()))
        is Reason.INSTANCE_UNKNOWN
    )
    run(lambda: store.enrol(use(), instance(), audit()))
    assert reason_of(lambda: store.renew(use(), "one", 4, None, audit())) is Reason.CHALLENGE_USED
    run(lambda: store.revoke("one", NOW, "stolen", audit()))
    assert (
        reason_of(lambda: store.renew(use(b"b"), "one", 4, None, audit()))
        is Reason.INSTANCE_REVOKED
    )


def test_revocation_holds_and_is_the_first(store: SqliteStore) -> None:
    """The first revocation stands; a second changes and records nothing."""
    run(lambda: store.enrol(use(), instance(), audit()))
    first = run(lambda: store.revoke("one", NOW, "stolen", audit("instance.revoked")))
    assert (first.revoked_at, first.revoked_because) == (NOW, "stolen")
    later = NOW + timedelta(days=1)
    assert run(lambda: store.revoke("one", later, "again", audit("instance.revoked"))) == first
    assert len(run(lambda: store.audit_entries(10))) == 2
    assert reason_of(lambda: store.revoke("x", NOW, "b", audit())) is Reason.INSTANCE_UNKNOWN


def test_recently_revoked_are_found(store: SqliteStore) -> None:
    """Revocations at or after an instant are listed, others aren't."""
    for name in ("one", "two", "three"):
        run(lambda name=name: store.enrol(use(name.encode()), instance(name), audit()))  # type: ignore[misc]
    run(lambda: store.revoke("one", NOW, "b", audit()))
    run(lambda: store.revoke("two", NOW + timedelta(seconds=9), "b", audit()))
    assert [i.id for i in run(lambda: store.recently_revoked(NOW))] == ["one", "two"]
    since = NOW + timedelta(microseconds=1)
    assert [i.id for i in run(lambda: store.recently_revoked(since))] == ["two"]


def test_listing_is_bounded_and_newest_first(store: SqliteStore) -> None:
    """At most ``limit`` instances are listed, of one app if one is named."""
    for number in range(5):
        made = replace(
            instance(str(number)),
            enrolled_at=NOW + timedelta(seconds=number),
            app="other" if number == 3 else "clinic",
        )
        run(lambda made=made: store.enrol(use(made.id.encode()), made, audit()))  # type: ignore[misc]
    assert [i.id for i in run(lambda: store.list_instances(2))] == ["4", "3"]
    assert [i.id for i in run(lambda: store.list_instances(2, "clinic"))] == ["4", "2"]


def test_listing_is_continued_without_a_gap(store: SqliteStore) -> None:
    """Page after page shows every instance once, also those that enrolled at the same instant."""
    for number in range(7):
        made = replace(
            instance(str(number)),
            enrolled_at=NOW + timedelta(seconds=number // 3),
            app="other" if number == 3 else "clinic",
        )
        run(lambda made=made: store.enrol(use(made.id.encode()), made, audit()))  # type: ignore[misc]
    for app in (None, "clinic"):
        whole = run(lambda app=app: store.list_instances(100, app))  # type: ignore[misc]
        for size in (1, 2, 3):
            pages: list[Instance] = []
            before = None
            for _ in whole:
                page = run(
                    lambda app=app, before=before, size=size: store.list_instances(  # type: ignore[misc]
                        size, app, before
                    )
                )
                pages += page
                before = page[-1].id if page else before
            assert pages == whole
    reason = reason_of(lambda: store.list_instances(2, None, "nobody"))
    assert reason is Reason.INSTANCE_UNKNOWN


def test_expired_uses_are_forgotten(store: SqliteStore) -> None:
    """Only uses whose challenge is refused for its age are dropped."""
    run(lambda: store.enrol(use(b"a", 300), instance("a"), audit()))
    run(lambda: store.enrol(use(b"b", 301), instance("b"), audit()))
    assert run(lambda: store.forget_expired(NOW + timedelta(seconds=301))) == 1
    assert reason_of(lambda: store.enrol(use(b"b"), instance("c"), audit())) is (
        Reason.CHALLENGE_USED
    )


def test_audit_entry_alone_is_kept(store: SqliteStore) -> None:
    """What belongs to no instance is recorded too."""
    run(lambda: store.add_audit(audit("keys.rotate")))
    assert run(lambda: store.audit_entries(1)) == [audit("keys.rotate")]


def test_everything_survives_a_restart(path: Path) -> None:
    """A second store on the file knows what the first acknowledged."""
    first = SqliteStore(path)
    one = instance()
    run(lambda: first.enrol(use(), one, audit()))
    first.close()
    second = SqliteStore(path)
    assert run(lambda: second.find("one")) == one
    assert reason_of(lambda: second.enrol(use(), instance("x"), audit())) is Reason.CHALLENGE_USED
    second.close()


def test_newer_database_is_not_touched(path: Path) -> None:
    """A file of a newer Watchword is refused in clear words, and left as it is."""
    SqliteStore(path).close()
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(SchemaError, match="newer Watchword"):
        SqliteStore(path)
    assert path.read_bytes() == before


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
    store = SqliteStore(path, max_pages=20)
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


def test_closed_store_says_so(path: Path) -> None:
    """A call after the end is an error of ours; a second end is none."""
    store = SqliteStore(path)
    store.close()
    store.close()
    assert reason_of(store.check_writable) is Reason.STORE_UNAVAILABLE
