"""Keep instances in SQLite: all or nothing, durable, private."""

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeVar

import pytest
from tests.unit.adapters.ordinary_user import ordinary_user
from tests.unit.enrolment.simulators import CLINIC, LEDGER, NOW, public_jwk, public_spki

from watchword.adapters.sqlite import (
    MAX_WAITING,
    SCHEMA_VERSION,
    TROUBLE_SECONDS,
    SchemaError,
    SqliteStore,
)
from watchword.adapters.store import count_enrolled
from watchword.ports import (
    MOST_UNDER_SERIAL,
    AuditEntry,
    ChallengeUse,
    CountLimit,
    EnrolledCounts,
    Instance,
    RevocationCursor,
    StoredReceipt,
)
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
        attested_at=NOW + timedelta(microseconds=7),
        serials=("c3", "1", "b2"),
        device_key=bytes(32),
        risk_metric=2,
        expires_at=NOW + timedelta(days=30),
        attester_serial="1",
    )


def use(nonce: bytes = b"nonce", seconds: int = 300) -> ChallengeUse:
    """Return a use of a challenge."""
    return ChallengeUse(nonce, NOW + timedelta(seconds=seconds))


def audit(action: str = "instance.enrolled", seconds: int = 0, subject: str = "one") -> AuditEntry:
    """Return an audit entry."""
    return AuditEntry(NOW + timedelta(seconds=seconds), "somebody", action, subject, {"a": [1]})


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
        lambda: store._database.read(
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
    news = run(lambda: store.revocations(NOW, None, 9))
    assert [i.id for i in news.instances] == ["one", "two"]
    assert (news.anew, news.more) == (True, False)
    assert news.instances[1].revoked_at == NOW + timedelta(seconds=9)
    since = NOW + timedelta(microseconds=1)
    assert [i.id for i in run(lambda: store.revocations(since, None, 9)).instances] == ["two"]


def test_only_new_revocations_are_read(store: SqliteStore) -> None:
    """Those since the answer before; all of them where the store is an older copy."""
    for name in ("one", "two"):
        run(lambda name=name: store.enrol(use(name.encode()), instance(name), audit()))  # type: ignore[misc]
    run(lambda: store.revoke("one", NOW, "b", audit("instance.revoked", subject="one")))
    before = run(lambda: store.revocations(NOW, None, 9)).cursor
    assert run(lambda: store.revocations(NOW, before, 9)).instances == []
    run(lambda: store.revoke("two", NOW, "b", audit("instance.revoked", subject="two")))
    news = run(lambda: store.revocations(NOW, before, 9))
    assert ([i.id for i in news.instances], news.anew, news.more) == (["two"], False, False)
    ahead = RevocationCursor(news.cursor.sequence + 1)
    again = run(lambda: store.revocations(NOW, ahead, 9))
    assert ([i.id for i in again.instances], again.anew) == (["one", "two"], True)


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
def test_revocations_are_read_page_by_page(store: SqliteStore, limit: int) -> None:
    """All of them, several of one instant too, and those that are revoked while pages are read."""
    names = [f"n{number}" for number in range(6)]
    for name in [*names, "late"]:
        run(lambda name=name: store.enrol(use(name.encode()), instance(name), audit()))  # type: ignore[misc]
    for name in names:
        entry = audit("instance.revoked", subject=name)
        run(lambda name=name, entry=entry: store.revoke(name, NOW, "b", entry))  # type: ignore[misc]
    found: list[str] = []
    pages, cursor, more = 0, None, True
    while more:
        news = run(lambda cursor=cursor: store.revocations(NOW, cursor, limit))  # type: ignore[misc]
        assert news.anew == (pages == 0)
        assert len(news.instances) <= limit
        found += [each.id for each in news.instances]
        cursor, more, pages = news.cursor, news.more, pages + 1
        if pages == 1:
            entry = audit("instance.revoked", subject="late")
            run(lambda entry=entry: store.revoke("late", NOW, "b", entry))  # type: ignore[misc]
    if limit == 100:
        found += [each.id for each in run(lambda: store.revocations(NOW, cursor, limit)).instances]
    assert set(found) == {*names, "late"}
    assert found[:6] == names
    assert run(lambda: store.revocations(NOW, cursor, limit)).instances == [] or limit == 100


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


def test_renewal_keeps_when_the_vendor_vouched(store: SqliteStore) -> None:
    """Only a renewal for which the vendor vouched anew changes when it did last."""
    run(lambda: store.enrol(use(), instance(), audit()))
    renewed = run(lambda: store.renew(use(b"b"), "one", None, None, audit()))
    assert renewed.attested_at == NOW + timedelta(microseconds=7)
    later = NOW + timedelta(days=1)
    renewed = run(lambda: store.renew(use(b"c"), "one", None, None, audit(), later))
    assert renewed.attested_at == later
    assert run(lambda: store.find("one")) == renewed


def test_instances_of_a_device_are_counted(store: SqliteStore) -> None:
    """Those that enrolled at or after an instant count, also revoked ones, and no other device's."""
    for number in range(4):
        made = replace(
            instance(str(number)),
            enrolled_at=NOW + timedelta(hours=number),
            device_key=None if number == 3 else bytes([number // 2] * 32),
        )
        run(lambda made=made: store.enrol(use(made.id.encode()), made, audit()))  # type: ignore[misc]
    run(lambda: store.revoke("1", NOW, "b", audit()))

    def count(key: bytes, since: datetime) -> int | None:
        counts = run(lambda: store.count_enrolled("other", key, None, since))
        assert counts.serial is None
        return counts.device

    assert count(bytes(32), NOW) == 2
    assert count(bytes(32), NOW + timedelta(microseconds=1)) == 1
    assert count(bytes([1] * 32), NOW) == 1
    assert count(bytes([2] * 32), NOW) == 0


def test_limit_is_counted_in_the_transaction(store: SqliteStore) -> None:
    """Beyond it nothing is written, the challenge included; others' instances don't count."""
    limit = CountLimit(NOW, EnrolledCounts(1, None))
    other = replace(instance("other"), device_key=bytes([1] * 32))
    old = replace(instance("old"), enrolled_at=NOW - timedelta(microseconds=1))
    for made in (other, old):
        run(lambda made=made: store.enrol(use(made.id.encode()), made, audit()))  # type: ignore[misc]

    def enrol(name: str, limit: CountLimit | None = limit) -> EnrolledCounts | None:
        return run(lambda: store.enrol(use(name.encode()), instance(name), audit(), limit=limit))

    assert [enrol("a"), enrol("b")] == [None, None]
    before = run(lambda: store.audit_entries(100))
    assert enrol("c") == EnrolledCounts(2, 3)
    assert run(lambda: store.find("c")) is None
    assert run(lambda: store.audit_entries(100)) == before
    assert enrol("c", CountLimit(NOW, EnrolledCounts(2, None))) is None
    assert enrol("d", None) is None
    nobody = replace(instance("e"), device_key=None, attester_serial=None)
    none = CountLimit(NOW, EnrolledCounts(0, 0))
    assert run(lambda: store.enrol(use(b"e"), nobody, audit(), limit=none)) is None
    assert enrol("f", CountLimit(NOW, EnrolledCounts(None, 4))) == EnrolledCounts(4, 5)
    assert enrol("f", CountLimit(NOW, EnrolledCounts(4, 5))) is None


def test_instances_of_an_app_under_a_certificate_are_counted(store: SqliteStore) -> None:
    """Those that enrolled at or after an instant, also revoked ones; not another app's, nor a batch's above it."""
    for number in range(6):
        made = replace(
            instance(str(number)),
            app="other" if number == 4 else "clinic",
            enrolled_at=NOW + timedelta(hours=number),
            attester_serial=None if number == 5 else str(1 + number // 3),
        )
        run(lambda made=made: store.enrol(use(made.id.encode()), made, audit()))  # type: ignore[misc]
    run(lambda: store.revoke("1", NOW, "b", audit()))

    def count(app: str, serial: str, since: datetime) -> int | None:
        counts = run(lambda: store.count_enrolled(app, None, serial, since))
        assert counts.device is None
        return counts.serial

    assert count("clinic", "1", NOW) == 3
    assert count("clinic", "1", NOW + timedelta(hours=1)) == 2
    assert count("clinic", "1", NOW + timedelta(hours=1, microseconds=1)) == 1
    assert [count(app, "2", NOW) for app in ("clinic", "other", "nobody's")] == [1, 1, 0]
    assert count("clinic", "c3", NOW) == 0


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


def test_instances_are_found_by_their_certificates(store: SqliteStore) -> None:
    """By any certificate of the chain, whole serials alone, not revoked, at most as many as wanted."""
    for number in range(5):
        made = replace(instance(str(number)), serials=("1", f"a{number}", "ff"))
        run(lambda made=made: store.enrol(use(made.id.encode()), made, audit()))  # type: ignore[misc]

    def ids(serials: list[str], limit: int) -> set[str]:
        return {each.id for each in run(lambda: store.instances_with_serials(serials, limit))}

    assert ids(["a1", "a3", "zz"], 10) == {"1", "3"}
    assert ids(["a", "f", "fff", "A1"], 10) == set()
    assert ids(["ff", "a1"], 10) == {"0", "1", "2", "3", "4"}
    assert len(ids(["ff"], 2)) == 2
    assert ids([], 10) == set()
    run(lambda: store.revoke("1", NOW, "b", audit()))
    assert ids(["ff"], 10) == {"0", "2", "3", "4"}


def test_many_are_revoked_at_once_and_each_once(store: SqliteStore) -> None:
    """Known instances are revoked with an entry each; the rest leaves nothing."""
    for name in ("one", "two", "three"):
        run(lambda name=name: store.enrol(use(name.encode()), instance(name), audit()))  # type: ignore[misc]
    first = run(lambda: store.revoke("two", NOW, "stolen", audit()))
    entries = [replace(audit("instance.revoked"), subject=i) for i in ("one", "two", "x", "three")]
    assert run(lambda: store.revoke_all(NOW, "vendor", entries)) == 2
    assert run(lambda: store.find("two")) == first
    one = run(lambda: store.find("one"))
    assert one is not None
    assert (one.revoked_at, one.revoked_because) == (NOW, "vendor")
    told = [each.subject for each in run(lambda: store.audit_entries(2))]
    assert told == ["three", "one"]
    assert run(lambda: store.revoke_all(NOW, "vendor", entries)) == 0
    assert run(lambda: store.audit_entries(2))[0].subject == "three"


def receipt(name: str = "one", seconds: int = 0, app: str = "clinic") -> StoredReceipt:
    """Return a receipt that is due after some seconds."""
    return StoredReceipt(name, app, name.encode(), NOW + timedelta(seconds=seconds), 1)


def test_receipts_come_when_they_are_due(store: SqliteStore) -> None:
    """Of the app that is asked for, the longest due first, and at most as many as wanted."""
    for name, seconds, app in (("a", 5, "clinic"), ("b", 3, "clinic"), ("c", 4, "other")):
        made = replace(instance(name), app=app)
        kept = receipt(name, seconds, app)
        run(lambda made=made, kept=kept: store.enrol(use(made.id.encode()), made, audit(), kept))  # type: ignore[misc]

    def due(app: str, seconds: int, limit: int = 10) -> list[str]:
        at = NOW + timedelta(seconds=seconds)
        return [each.instance_id for each in run(lambda: store.due_receipts(app, at, limit))]

    assert due("clinic", 2) == []
    assert due("clinic", 3) == ["b"]
    assert due("clinic", 5) == ["b", "a"]
    assert due("clinic", 5, 1) == ["b"]
    assert due("other", 9) == ["c"]
    # A clock that ran ahead planned them; by the right one they would wait for months.
    assert due("clinic", -41 * 86400) == ["b", "a"]
    assert due("clinic", -41 * 86400, 1) == ["b"]
    assert due("clinic", -39 * 86400) == []
    assert run(lambda: store.due_receipts("other", NOW + timedelta(days=1), 1)) == [
        receipt("c", 4, "other")
    ]


def test_receipt_is_replaced_with_what_it_says(store: SqliteStore) -> None:
    """Receipt, risk metric and audit entry go together; no metric leaves the known one."""
    run(lambda: store.enrol(use(), instance(), audit(), receipt()))
    newer = replace(receipt(seconds=9), receipt=b"newer", failures=0)
    entry = audit("instance.risk_metric")
    run(lambda: store.put_receipt(newer, 7, entry))
    assert run(lambda: store.due_receipts("clinic", NOW + timedelta(days=1), 9)) == [newer]
    found = run(lambda: store.find("one"))
    assert found is not None
    assert found.risk_metric == 7
    assert run(lambda: store.audit_entries(1)) == [entry]
    run(lambda: store.put_receipt(receipt(), None, None))
    found = run(lambda: store.find("one"))
    assert found is not None
    assert found.risk_metric == 7
    assert len(run(lambda: store.audit_entries(9))) == 2


@pytest.mark.parametrize("at_once", [True, False])
def test_revocation_drops_the_receipt(store: SqliteStore, *, at_once: bool) -> None:
    """A receipt that comes back late is kept by nobody, and tells nothing."""
    run(lambda: store.enrol(use(), instance(), audit(), receipt()))
    if at_once:
        run(lambda: store.revoke_all(NOW, "b", [audit()]))
    else:
        run(lambda: store.revoke("one", NOW, "b", audit()))
    run(lambda: store.put_receipt(receipt(), 9, audit("instance.risk_metric")))
    assert run(lambda: store.due_receipts("clinic", NOW + timedelta(days=1), 9)) == []
    found = run(lambda: store.find("one"))
    assert found is not None
    assert found.risk_metric == 2
    assert run(lambda: store.audit_entries(9))[0].action == "instance.enrolled"


def test_refused_enrolment_leaves_no_part_behind(store: SqliteStore) -> None:
    """Certificates and receipt are of the same transaction as the instance."""
    one = instance()
    run(lambda: store.enrol(use(), one, audit()))
    twin = replace(instance("two"), attested_key=one.attested_key, serials=("d4",))
    call = lambda: store.enrol(use(b"b"), twin, audit(), receipt("two"))  # noqa: E731
    assert reason_of(call) is Reason.INSTANCE_EXISTS
    assert run(lambda: store.instances_with_serials(["d4"], 9)) == []
    assert run(lambda: store.due_receipts("clinic", NOW + timedelta(days=1), 9)) == []


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
    store = SqliteStore(path, max_pages=30)
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
