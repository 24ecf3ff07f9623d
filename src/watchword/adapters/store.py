"""Keep instances, used challenges and the audit trail: the statements, once for every engine.

An engine (:mod:`watchword.adapters.sqlite`, :mod:`watchword.adapters.postgres`) brings a :class:`Database`, which carries out
transactions, and a :class:`Dialect`, the few words in which engines differ.  Statements have ``?`` for values.  Whatever they
read before they change it is read with :attr:`Dialect.locking`, or after :meth:`Database.take_turns`, or must still be so as
they change it (:meth:`Database.expect`), so that they are right on an engine that runs many transactions at a time.  What was
done though the store couldn't record it is kept in memory until it can be written.

**Rollback.**  A private file of the service keeps the store's mark: how much was written, and the epoch of challenges.  Every
use of a challenge adds an audit entry in the same transaction, or raises the number of uses that left none, or is in a page
of the log (:mod:`watchword.adapters.challenge_log`), which has the next number; all three only grow.  A store whose sum of
them is below the mark is an older copy and doesn't know which challenges were used since; a database in another place may be
one, too.  Either begins another epoch.
"""

import asyncio
import json
import math
import threading
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache, partial
from itertools import islice
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar

from watchword.adapters.challenge_log import DROP_PAGES, ChallengeLog
from watchword.adapters.keyring.private_file import (
    PrivateFileError,
    read_private,
    require_format,
    write_private,
)
from watchword.adapters.terms import FencedError
from watchword.encoding import strict_json
from watchword.encoding.phrases import moment
from watchword.enrolment.delivery import Holder, Lease, LeaseCount
from watchword.enrolment.interface import OperatorCode
from watchword.enrolment.renewal_days import is_told, marked
from watchword.enrolment.retention import (
    ERASED,
    Candidates,
    Dossier,
    Dropped,
    ExpiryTerms,
    erased,
)
from watchword.enrolment.statement import require_higher
from watchword.gate.cuts import MOST_CUTS, Cut, ScheduledCut
from watchword.ports import (
    MOST_AUDIT_SCANNED,
    MOST_UNDER_SERIAL,
    AuditEntry,
    ChallengeUse,
    CountLimit,
    EnrolledCounts,
    Instance,
    RevocationCursor,
    RevocationNews,
    RevokedInstance,
    StoredReceipt,
)
from watchword.reasons import MalformedError, Reason, RefusedError, UnavailableError
from watchword.vocabulary import Level

_Result = TypeVar("_Result")
_Known = TypeVar("_Known")


class Rows(Protocol):
    """Hold what a statement came to."""

    @property
    def rowcount(self) -> int:
        """Return how many rows it changed."""

    def fetchone(self) -> Any:
        """Return the next row, None behind the last one."""

    def fetchall(self) -> list[Any]:
        """Return the rows that are left."""

    def __iter__(self) -> Iterator[Any]:
        """Yield the rows that are left."""


class Connection(Protocol):
    """Run statements within one transaction: :class:`sqlite3.Connection` is one."""

    def execute(self, statement: str, values: Sequence[Any] = (), /) -> Rows:
        """Run a statement with values for its question marks."""

    def executemany(self, statement: str, rows: Iterable[Sequence[Any]], /) -> Rows:
        """Run a statement once for each row of values."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """Hold the words of an engine where engines differ.

    :param row: the column that numbers the rows of ``instances``, later ones higher.
    :param serials: an expression for the JSON array of the serials of ``instances``, in their order.
    :param texts: a query for the texts of a JSON array, which is its one value.
    :param locking: stands behind a query whose row the transaction is about to change; others wait for its end.
    :param passing: stands behind ``locking`` where rows that others hold are to be passed over.
    :param revoked_after: a query with three values: the number of a revocation, the earliest instant, and how many.
    """

    row: str
    serials: str
    texts: str
    locking: str
    passing: str
    revoked_after: str


class Database(Protocol):
    """Carry out transactions, and know what is an engine's own.

    :param had_entries: whether there was any audit entry when it was opened.
    :param oldest_epoch: challenges that were checked in an earlier one end without a use.
    """

    had_entries: bool
    oldest_epoch: int

    @property
    def dialect(self) -> Dialect:
        """Return the words of the engine."""

    async def read(self, work: Callable[[Any], _Result]) -> _Result:
        """Carry out work that changes nothing.

        :raises UnavailableError: ``store.unavailable``, or ``service.overloaded`` when too many calls wait already.
        """

    async def write(self, work: Callable[[Any], _Result]) -> _Result:
        """Carry out work as one transaction, which is durable on return; it may run more than once.

        :raises UnavailableError: as :meth:`read` does.
        """

    async def check_writable(self) -> None:
        """See :meth:`watchword.ports.InstanceStore.check_writable`."""

    def close(self) -> None:
        """See :meth:`watchword.ports.InstanceStore.close`."""

    def identity(self, connection: Connection, /) -> int:
        """Return a number that is another one where another database, or a copy of it, may have taken its place."""

    def accept(self, identity: int, /) -> None:
        """Take writes where this is the identity: whoever guards against older copies knows of it by now."""

    def take_turns(self, connection: Connection, /, *about: str | bytes) -> None:
        """Wait until no other transaction runs that named the same thing."""

    def expect(
        self,
        connection: Connection,
        statement: str,
        values: Sequence[Any],
        refusal: Callable[[], Exception],
        /,
    ) -> None:
        """Run a statement that must come to a row, or change one; where it doesn't, the transaction ends with an error.

        An engine on another machine looks there, so that nobody waits for the answer.

        :param refusal: makes that error; of several the first one counts.
        """

    def newest_revocation(self, connection: Connection, /) -> int:
        """Return the number of the last revocation; of two the one that was committed later has the higher number."""

    def newest_audit(self, connection: Connection, /) -> int:
        """Return the number of the last audit entry, 0 where there is none."""

    def count_use(self, connection: Connection, /) -> None:
        """Raise the number of challenges that were used without an audit entry."""

    def unrecorded_uses(self, connection: Connection, /) -> int:
        """Return that number and the pages of the log, which may be larger than what was committed, and never smaller."""

    def settled_audit(self, connection: Connection, number: int, /) -> int | None:
        """Return up to which number no audit entry can come any more; None for all that are there.

        :param number: of interest; the engine may wait a moment until it can say more than that.
        """

    def knows_cuts(self, connection: Connection, /) -> bool:
        """Tell whether there is a table of cuts."""

    def add_cuts(self, connection: Connection, /) -> None:
        """Make the table of cuts where there is none, within the transaction that needs it."""


MAX_WAITING: Final = 256
"""Most calls that wait for the threads; on a stalled disk more would only eat memory."""

PROBE_SECONDS: Final = 1.0
"""How long the answer of :meth:`QueuedDatabase.check_writable` holds: anyone can ask for it."""

TROUBLE_SECONDS: Final = 30.0
"""How long a write that failed shows in :meth:`QueuedDatabase.check_writable`, unless one succeeds."""


class QueuedDatabase(ABC):
    """Carry calls out on threads, so that the event loop never waits for a database; know whether writes work."""

    def __init__(self, threads: int, monotonic: Callable[[], float]) -> None:
        """Prepare; nothing is connected yet.

        :param monotonic: seconds that never go back.
        """
        self.oldest_epoch = 0
        self._monotonic = monotonic
        self._probed_until = 0.0
        self._trouble: tuple[float, UnavailableError] | None = None
        self._waiting = 0
        self._closed = False
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="watchword-store")

    async def read(self, work: Callable[[Connection], _Result]) -> _Result:
        """See :meth:`Database.read`."""
        return await self._queued(work, writes=False)

    async def write(self, work: Callable[[Connection], _Result]) -> _Result:
        """See :meth:`Database.write`; remembers whether the database took it."""
        try:
            result = await self._queued(work, writes=True)
        except UnavailableError as error:
            if error.reason is Reason.STORE_UNAVAILABLE and not isinstance(error, FencedError):
                self._trouble = (self._monotonic() + TROUBLE_SECONDS, error)
            raise
        self._trouble = None
        return result

    async def check_writable(self) -> None:
        """See :meth:`watchword.ports.InstanceStore.check_writable`.

        Writes something small, which can still work while more doesn't: a write of somebody's that failed a moment
        ago tells more.
        """
        if self._trouble is not None and self._monotonic() < self._trouble[0]:
            raise self._trouble[1]
        if not self._closed and self._monotonic() < self._probed_until:
            return
        await self._queued(self._probe, writes=True)
        self._probed_until = self._monotonic() + PROBE_SECONDS

    def close(self) -> None:
        """See :meth:`watchword.ports.InstanceStore.close`; a second time does nothing."""
        if self._closed:
            return
        self._closed = True
        self._threads.submit(self._disconnect)
        self._threads.shutdown(wait=True)

    async def _queued(self, work: Callable[[Connection], _Result], *, writes: bool) -> _Result:
        if self._closed:
            raise UnavailableError(Reason.STORE_UNAVAILABLE, "the store is closed")
        if self._waiting >= MAX_WAITING:
            raise UnavailableError(Reason.SERVICE_OVERLOADED, "the store is behind with its work")
        self._waiting += 1
        try:
            return await self._carried_out(work, writes=writes)
        finally:
            self._waiting -= 1

    async def _carried_out(self, work: Callable[[Connection], _Result], *, writes: bool) -> _Result:
        """Have a thread carry a call out."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, partial(self._run, work, writes=writes))

    @abstractmethod
    def _run(self, work: Callable[[Connection], _Result], *, writes: bool) -> _Result:
        """Carry a call out on this thread; raise nothing of the engine's own."""

    @abstractmethod
    def _probe(self, connection: Connection) -> None:
        """Write something small that changes nothing."""

    @abstractmethod
    def _disconnect(self) -> None:
        """Let go of what is connected, once no call runs any more."""


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

INSTANCE_COLUMNS: Final = (
    "id, app, app_version, platform, format, level, attested_key, proof_jwk, seal_jwk, audiences, "
    "enrolled_at, renewed_at, counter, revoked_at, revoked_because, test, attested_at, device_key, "
    "risk_metric, expires_at, attester_serial, renewed_days"
)
"""Columns in the order of :func:`instance_row`."""

OPERATOR_CODE_COLUMNS: Final = (
    "id, digest, app, level, instance_for, made_at, made_by, because, expires_at, used_at, "
    "instance_id, revoked_at"
)
"""Columns in the order of :func:`operator_code_row`."""

RECEIPT_COLUMNS: Final = "instance_id, app, receipt, due_at, failures"
"""Columns in the order of :func:`receipt_row`."""


def microseconds(at: datetime) -> int:
    """Return whole microseconds since 1970, without a float in between."""
    return (at - _EPOCH) // timedelta(microseconds=1)


def instant(value: int) -> datetime:
    """Return the instant that :func:`microseconds` was given."""
    return _EPOCH + timedelta(microseconds=value)


def _microseconds_or_none(at: datetime | None) -> int | None:
    return None if at is None else microseconds(at)


def _instant_or_none(value: int | None) -> datetime | None:
    return None if value is None else instant(value)


def instance_row(instance: Instance) -> tuple[Any, ...]:
    """Return the values for :data:`INSTANCE_COLUMNS`."""
    return (
        instance.id,
        instance.app,
        instance.app_version,
        instance.platform,
        instance.format,
        instance.level.value,
        instance.attested_key,
        json.dumps(dict(instance.proof_jwk)),
        json.dumps(dict(instance.seal_jwk)),
        json.dumps(list(instance.audiences)),
        microseconds(instance.enrolled_at),
        microseconds(instance.renewed_at),
        instance.counter,
        _microseconds_or_none(instance.revoked_at),
        instance.revoked_because,
        int(instance.test),
        _microseconds_or_none(instance.attested_at),
        instance.device_key,
        instance.risk_metric,
        _microseconds_or_none(instance.expires_at),
        instance.attester_serial,
        instance.renewed_days,
    )


def instance_from_row(row: tuple[Any, ...]) -> Instance:
    """Return the instance behind the values of an instance: :data:`INSTANCE_COLUMNS`, and its serials as a JSON array."""
    return Instance(
        id=row[0],
        app=row[1],
        app_version=row[2],
        platform=row[3],
        format=row[4],
        level=Level(row[5]),
        attested_key=row[6],
        proof_jwk=json.loads(row[7]),
        seal_jwk=json.loads(row[8]),
        audiences=tuple(json.loads(row[9])),
        enrolled_at=instant(row[10]),
        renewed_at=instant(row[11]),
        counter=row[12],
        revoked_at=_instant_or_none(row[13]),
        revoked_because=row[14],
        test=bool(row[15]),
        attested_at=_instant_or_none(row[16]),
        device_key=row[17],
        risk_metric=row[18],
        expires_at=_instant_or_none(row[19]),
        attester_serial=row[20],
        renewed_days=row[21],
        serials=tuple(json.loads(row[22])),
    )


def certificate_rows(instance: Instance) -> Sequence[tuple[str, int, str]]:
    """Return the rows of (instance_id, position, serial) for an instance's serials."""
    return [(instance.id, position, serial) for position, serial in enumerate(instance.serials)]


def receipt_row(receipt: StoredReceipt) -> tuple[Any, ...]:
    """Return the values for :data:`RECEIPT_COLUMNS`."""
    return (
        receipt.instance_id,
        receipt.app,
        receipt.receipt,
        microseconds(receipt.due_at),
        receipt.failures,
    )


def receipt_from_row(row: tuple[Any, ...]) -> StoredReceipt:
    """Return the receipt behind the values of :data:`RECEIPT_COLUMNS`."""
    return StoredReceipt(row[0], row[1], row[2], instant(row[3]), row[4])


def audit_row(entry: AuditEntry) -> tuple[Any, ...]:
    """Return the values for (at, actor, action, subject, detail)."""
    detail = json.dumps(dict(entry.detail), default=str)
    return microseconds(entry.at), entry.actor, entry.action, entry.subject, detail


def audit_from_row(row: tuple[Any, ...]) -> AuditEntry:
    """Return the entry behind the values of :func:`audit_row`, with its number behind them."""
    return AuditEntry(instant(row[0]), row[1], row[2], row[3], json.loads(row[4]), row[5])


def operator_code_row(code: OperatorCode) -> tuple[Any, ...]:
    """Return the values for :data:`OPERATOR_CODE_COLUMNS`; the life of the instance in microseconds."""
    return (
        code.id,
        code.digest,
        code.app,
        code.level.value,
        code.instance_for // timedelta(microseconds=1),
        microseconds(code.made_at),
        code.made_by,
        code.because,
        microseconds(code.expires_at),
        _microseconds_or_none(code.used_at),
        code.instance_id,
        _microseconds_or_none(code.revoked_at),
    )


def operator_code_from_row(row: tuple[Any, ...]) -> OperatorCode:
    """Return the code behind the values of :data:`OPERATOR_CODE_COLUMNS`."""
    return OperatorCode(
        id=row[0],
        digest=row[1],
        app=row[2],
        level=Level(row[3]),
        instance_for=timedelta(microseconds=row[4]),
        made_at=instant(row[5]),
        made_by=row[6],
        because=row[7],
        expires_at=instant(row[8]),
        used_at=_instant_or_none(row[9]),
        instance_id=row[10],
        revoked_at=_instant_or_none(row[11]),
    )


LEASE_COLUMNS: Final = (
    "instance_id, secret, id, version, app, app_version, issued_at, delivered_at, expires_at, "
    "deliveries"
)


def lease_from_row(row: Sequence[Any]) -> Lease:
    """Return the lease behind the values of :data:`LEASE_COLUMNS`, and maybe more."""
    return Lease(
        instance_id=row[0],
        secret=row[1],
        id=row[2],
        version=row[3],
        app=row[4],
        app_version=row[5],
        issued_at=instant(row[6]),
        delivered_at=instant(row[7]),
        expires_at=instant(row[8]),
        deliveries=row[9],
    )


_LIVING_LEASE: Final = (
    f"SELECT {LEASE_COLUMNS} FROM leases WHERE instance_id = ? AND secret = ? "  # noqa: S608 - our own text.
    "AND expires_at > ? AND withdrawn_at IS NULL"
)
_INSERT_LEASE: Final = (
    f"INSERT INTO leases ({LEASE_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) "  # noqa: S608
    "ON CONFLICT DO NOTHING"
)
_CONTINUE_LEASE: Final = (
    "UPDATE leases SET version = ?, app = ?, app_version = ?, delivered_at = ?, expires_at = ?, deliveries = ? "
    "WHERE instance_id = ? AND secret = ? AND id = ? AND deliveries = ? AND withdrawn_at IS NULL"
)


def lease_row(lease: Lease) -> tuple[Any, ...]:
    """Return the values for :data:`LEASE_COLUMNS`."""
    return (
        lease.instance_id,
        lease.secret,
        lease.id,
        lease.version,
        lease.app,
        lease.app_version,
        microseconds(lease.issued_at),
        microseconds(lease.delivered_at),
        microseconds(lease.expires_at),
        lease.deliveries,
    )


def ask_for_lease(
    connection: Connection, instance_id: str, secret: str, now: datetime
) -> Callable[[], Lease | None]:
    """Ask for an instance's lease of a secret that lives; what is returned tells it."""
    asked = connection.execute(_LIVING_LEASE, (instance_id, secret, microseconds(now)))

    def told() -> Lease | None:
        row = asked.fetchone()
        return None if row is None else lease_from_row(row)

    return told


def keep_lease(
    database: Database, connection: Connection, lease: Lease, living: Lease | None
) -> Lease:
    """Keep a lease; return it as kept, or end the transaction where the one that lives isn't as it was read.

    :param living: the one that it continues.
    """
    instance_id, secret, _, *rest = lease_row(lease)
    if living is not None:
        kept = replace(
            lease, id=living.id, issued_at=living.issued_at, deliveries=living.deliveries + 1
        )
        version, app, app_version, _, *times, _ = rest
        values = (version, app, app_version, *times, kept.deliveries)
        which = (instance_id, secret, living.id, living.deliveries)
        database.expect(connection, _CONTINUE_LEASE, (*values, *which), _ChangedError)
        return kept
    # In place of one that ended and wasn't forgotten yet.
    connection.execute(
        "DELETE FROM leases WHERE instance_id = ? AND secret = ? AND (expires_at <= ? OR withdrawn_at IS NOT NULL)",
        (instance_id, secret, microseconds(lease.delivered_at)),
    )
    database.expect(connection, _INSERT_LEASE, lease_row(lease), _ChangedError)
    return lease


def withdraw_leases(connection: Connection, instance_id: str, at: datetime) -> None:
    """Mark the leases of an instance that is revoked."""
    connection.execute(
        "UPDATE leases SET withdrawn_at = ? WHERE instance_id = ? AND withdrawn_at IS NULL",
        (microseconds(at), instance_id),
    )


def count_leases(connection: Connection, now: datetime, secret: str | None) -> Sequence[LeaseCount]:
    """Return how many instances hold secrets at an instant, by secret, version, app and app version."""
    rows = connection.execute(
        "SELECT secret, version, app, app_version, count(*) FILTER (WHERE withdrawn_at IS NULL), "
        "count(*) FILTER (WHERE withdrawn_at IS NOT NULL), max(expires_at), max(delivered_at) FROM leases "
        "WHERE expires_at > ? AND secret = coalesce(?, secret) "
        "GROUP BY secret, version, app, app_version "
        "ORDER BY secret, version, app, app_version IS NOT NULL, app_version",
        (microseconds(now), secret),
    )
    return [
        LeaseCount(row[0], row[1], row[2], row[3], row[4], row[5], instant(row[6]), instant(row[7]))
        for row in rows
    ]


EXPIRED_AT_ONCE: Final = 5_000
"""Rows that are dropped in one transaction, in some 20 ms: enrolments come in between."""

_DROP_LEASES: Final = (
    "DELETE FROM leases WHERE (instance_id, secret) IN "
    "(SELECT instance_id, secret FROM leases WHERE expires_at < ? LIMIT ?)"
)
_DROP_CHALLENGES: Final = (
    "DELETE FROM used_challenges WHERE nonce IN "
    "(SELECT nonce FROM used_challenges WHERE expires_at < ? LIMIT ?)"
)


_USE_CHALLENGE: Final = (
    "INSERT INTO used_challenges (nonce, expires_at) VALUES (?, ?) ON CONFLICT DO NOTHING"
)


def is_current(database: Database, use: ChallengeUse) -> bool:
    """Tell whether a challenge still counts: its epoch may have ended since it was checked, and its use be lost."""
    return use.epoch is None or use.epoch >= database.oldest_epoch


def use_challenge(database: Database, connection: Connection, use: ChallengeUse) -> None:
    """Insert the nonce, and refuse one that was there: of several that race for it, one finds it absent."""
    if not is_current(database, use):
        raise RefusedError.because(
            Reason.CHALLENGE_UNKNOWN, "another database has taken over since it was made"
        )
    database.expect(
        connection,
        _USE_CHALLENGE,
        (use.nonce, microseconds(use.expires_at)),
        lambda: RefusedError.because(Reason.CHALLENGE_USED, _USED_BEFORE),
    )


_USED_BEFORE: Final = "expected one that wasn't used before"


def require_newest(use: ChallengeUse, instance: Instance | None) -> None:
    """Refuse a challenge that came with other tokens than the instance's newest, whose row has its instant.

    Here, since of two renewals at the same time one comes first, and makes the other's challenge an old one.  Compared as
    a whole: after a clock was set back, an older one is of a later instant.

    :raises RefusedError: ``challenge.superseded``; ``instance.unknown``.
    """
    if use.made_at is None:
        return
    renewed_at = require_known(instance).renewed_at
    if use.made_at != renewed_at:
        raise RefusedError.because(
            Reason.CHALLENGE_SUPERSEDED,
            f"it came with older tokens: the instance renewed at {moment(renewed_at)}",
        )


def require_known(instance: Instance | None) -> Instance:
    """Return the instance that was looked for.

    :raises RefusedError: ``instance.unknown``.
    """
    if instance is None:
        raise RefusedError.because(Reason.INSTANCE_UNKNOWN, "expected an enrolled instance")
    return instance


def insert_instance(database: Database, connection: Connection, instance: Instance) -> None:
    """Insert an instance and its certificates, and refuse one whose id or key was there."""
    row = instance_row(instance)
    database.expect(
        connection,
        f"INSERT INTO instances ({INSTANCE_COLUMNS}) VALUES ({marks(len(row))}) "  # noqa: S608
        "ON CONFLICT DO NOTHING",
        row,
        lambda: RefusedError.because(
            Reason.INSTANCE_EXISTS, "expected a key that isn't enrolled yet"
        ),
    )
    if certificates := certificate_rows(instance):
        values = ", ".join(["(?, ?, ?)"] * len(certificates))
        connection.execute(
            f"INSERT INTO instance_certificates (instance_id, position, serial) VALUES {values} "  # noqa: S608
            "ON CONFLICT DO NOTHING",
            [value for row in certificates for value in row],
        )


class _OverLimitError(Exception):
    """Take an enrolment back that there was no room for."""


class _ChangedError(Exception):
    """Take back what was begun with an instance that isn't any more as it was read."""


_OF_DEVICE: Final = "SELECT count(*) FROM instances WHERE device_key = ? AND enrolled_at >= ?"
_OF_ATTESTER: Final = (
    "SELECT count(*) FROM (SELECT 1 FROM instances WHERE attester_serial = ? AND app = ? "
    "AND enrolled_at >= ? LIMIT ?) AS counted"
)


def count_enrolled(
    connection: Connection,
    app: str,
    device_key: bytes | None,
    attester_serial: str | None,
    since: datetime,
) -> EnrolledCounts:
    """Return how many instances of a device, and of an app under a certificate, enrolled since an instant."""
    at = microseconds(since)
    device = serial = None
    if device_key is not None:
        device = connection.execute(_OF_DEVICE, (device_key, at))
    if attester_serial is not None:
        serial = connection.execute(_OF_ATTESTER, (attester_serial, app, at, MOST_UNDER_SERIAL))
    return EnrolledCounts(
        None if device is None else device.fetchone()[0],
        None if serial is None else serial.fetchone()[0],
    )


def require_room(
    database: Database, connection: Connection, instance: Instance, limit: CountLimit
) -> None:
    """See to it that there aren't more instances like one than may be, while nobody else adds one."""
    at, most = microseconds(limit.since), limit.most
    if instance.device_key is not None and most.device is not None:
        database.take_turns(connection, "device", instance.device_key)
        database.expect(
            connection,
            f"SELECT 1 WHERE ({_OF_DEVICE}) <= ?",
            (instance.device_key, at, most.device),
            _OverLimitError,
        )
    if instance.attester_serial is not None and most.serial is not None:
        database.take_turns(connection, "attester", instance.attester_serial, instance.app)
        database.expect(
            connection,
            f"SELECT 1 WHERE ({_OF_ATTESTER}) <= ?",
            (instance.attester_serial, instance.app, at, MOST_UNDER_SERIAL, most.serial),
            _OverLimitError,
        )


def revoke_instance(
    connection: Connection, instance_id: str, at: datetime, because: str, audit: AuditEntry
) -> bool:
    """Revoke an instance unless it is; tell whether that changed anything."""
    revoked = connection.execute(
        "UPDATE instances SET revoked_at = ?, revoked_because = ? "
        "WHERE id = ? AND revoked_at IS NULL",
        (microseconds(at), because, instance_id),
    )
    if revoked.rowcount != 1:
        return False
    connection.execute("DELETE FROM receipts WHERE instance_id = ?", (instance_id,))
    withdraw_leases(connection, instance_id, at)
    insert_audit(connection, audit)
    return True


def insert_audit(connection: Connection, entry: AuditEntry) -> None:
    """Add an entry to the audit trail."""
    connection.execute(
        "INSERT INTO audit (at, actor, action, subject, detail) VALUES (?, ?, ?, ?, ?)",
        audit_row(entry),
    )


def held_instance(rows: Rows) -> Instance | None:
    """Return the instance that :meth:`InstanceQueries.hold` asked for."""
    row = rows.fetchone()
    return None if row is None else instance_from_row(row)


class InstanceQueries:
    """Hold the queries of instances in the words of an engine."""

    def __init__(self, dialect: Dialect) -> None:
        """Write the queries."""
        # All of it is our own text.
        self._select = f"SELECT {INSTANCE_COLUMNS}, {dialect.serials} FROM instances "  # noqa: S608
        self._find = f"{self._select} WHERE id = ?"
        self._hold = f"{self._find}{dialect.locking}"
        self._under = (
            "WHERE revoked_at IS NULL AND id IN (SELECT instance_id FROM "  # noqa: S608
            f"instance_certificates WHERE serial IN ({dialect.texts})) LIMIT ?"
        )
        self._standing = (
            f"SELECT id FROM instances WHERE revoked_at IS NULL AND id IN ({dialect.texts})"  # noqa: S608
        )
        self._hold_all = (
            f"SELECT id FROM instances WHERE id IN ({dialect.texts}) ORDER BY id{dialect.locking}"  # noqa: S608
        )
        columns = f"SELECT revoked_at, {dialect.row}, id, audiences, revoked_at FROM instances "  # noqa: S608
        # Two questions, since SQLite finds no place in the middle of one instant by a comparison of pairs.
        self._revoked_at = (
            f"{columns} WHERE revoked_at = ? AND {dialect.row} > ? ORDER BY {dialect.row} LIMIT ?"
        )
        self._revoked_since = (
            f"{columns} WHERE revoked_at >= ? ORDER BY revoked_at, {dialect.row} LIMIT ?"
        )
        self._revoked_after = dialect.revoked_after
        self._holders = (
            f"FROM instances WHERE {dialect.row} > ? AND {dialect.row} <= ? "
            "AND app = ? AND level = coalesce(?, level) "
            "AND revoked_at IS NULL AND renewed_at >= ? AND renewed_at < ?"
        )
        self._last = f"SELECT coalesce(max({dialect.row}), 0) FROM instances"  # noqa: S608
        self._piece = (
            f"SELECT max(n) FROM (SELECT {dialect.row} AS n FROM instances WHERE {dialect.row} > ? "  # noqa: S608
            f"ORDER BY {dialect.row} LIMIT ?) AS piece"
        )
        self._over = (
            f"SELECT {dialect.row}, id FROM instances WHERE {dialect.row} > ? AND {dialect.row} <= ? "  # noqa: S608
            f"AND {_IS_OVER} ORDER BY {dialect.row} LIMIT ?"
        )
        self._still_over = (
            f"SELECT id, revoked_at IS NULL FROM instances WHERE id IN ({dialect.texts}) AND {_IS_OVER} "  # noqa: S608
            f"ORDER BY id{dialect.locking}{dialect.passing}"
        )
        self._erased = (
            f"SELECT id FROM instances WHERE format = '{ERASED}' AND revoked_at < ? "  # noqa: S608
            f"ORDER BY revoked_at LIMIT ?{dialect.locking}{dialect.passing}"
        )
        self._unerased = (
            f"SELECT id FROM instances WHERE id IN ({dialect.texts}) AND format <> '{ERASED}'"  # noqa: S608
        )
        self._of_device = f"{self._select} WHERE device_key = ? ORDER BY enrolled_at, id LIMIT ?"
        self._names = (
            f"SELECT {dialect.row}, id, audiences FROM instances WHERE {dialect.row} > ? "  # noqa: S608
            f"AND format <> '{ERASED}' ORDER BY {dialect.row} LIMIT ?"
        )
        self._of_instance = tuple(
            f"DELETE FROM {table} WHERE {column} IN ({dialect.texts})"  # noqa: S608
            for table, column in _BELONGINGS
        )

    def find(self, connection: Connection, instance_id: str) -> Instance | None:
        """Return one instance, None if there is none."""
        row = connection.execute(self._find, (instance_id,)).fetchone()
        return None if row is None else instance_from_row(row)

    def hold(self, connection: Connection, instance_id: str) -> Rows:
        """Ask for one instance that the transaction may change, for :func:`held_instance`; others that want to wait."""
        return connection.execute(self._hold, (instance_id,))

    def listed(
        self, connection: Connection, app: str | None, after: Instance | None, limit: int
    ) -> list[Instance]:
        """Return instances, newest first, behind one."""
        wanted = "WHERE ? IN (app, '')"
        values: list[str | int] = [app or ""]
        if after is not None:
            at = microseconds(after.enrolled_at)
            wanted += " AND enrolled_at <= ? AND (enrolled_at < ? OR id > ?)"
            values += [at, at, after.id]
        query = f"{self._select} {wanted} ORDER BY enrolled_at DESC, id LIMIT ?"
        return [instance_from_row(row) for row in connection.execute(query, (*values, limit))]

    def under(
        self, connection: Connection, serials: Sequence[str], limit: int
    ) -> Sequence[Instance]:
        """Return instances that aren't revoked and that one of these certificates vouched for."""
        values = (json.dumps(list(serials)), limit)
        rows = connection.execute(f"{self._select} {self._under}", values)
        return [instance_from_row(row) for row in rows]

    def standing(self, connection: Connection, names: Iterable[str]) -> set[str]:
        """Return those of the names that instances have which aren't revoked."""
        rows = connection.execute(self._standing, (json.dumps(list(names)),))
        return {row[0] for row in rows}

    def hold_all(self, connection: Connection, names: Iterable[str]) -> None:
        """Hold instances in one order, so that no two transactions that change many wait for each other."""
        connection.execute(self._hold_all, (json.dumps(list(names)),))

    def revoked_behind(
        self, connection: Connection, since: int, row: tuple[int, int], limit: int
    ) -> list[tuple[Any, ...]]:
        """Return the next revoked instances by time and row."""
        at, number = row
        found = []
        if at >= since:
            found = connection.execute(self._revoked_at, (at, number, limit)).fetchall()
            since = at + 1
        more = connection.execute(self._revoked_since, (since, limit - len(found))).fetchall()
        return found + more

    def revoked_after(
        self, connection: Connection, number: int, since: int, limit: int
    ) -> list[tuple[Any, ...]]:
        """Return the next revoked instances by the numbers of their revocations."""
        return connection.execute(self._revoked_after, (number, since, limit)).fetchall()

    def holders(
        self,
        connection: Connection,
        columns: str,
        wanted: tuple[str, Level | None, datetime, datetime],
        after: int,
    ) -> tuple[list[Any], int | None]:
        """Return rows of who was issued tokens in a span of time, in one piece of the table, and where to go on."""
        app, level, *times = wanted
        until = after + _HOLDERS_AT_ONCE
        named = None if level is None else level.value
        rows = connection.execute(
            f"SELECT {columns} {self._holders}",
            (after, until, app, named, *map(microseconds, times)),
        ).fetchall()
        (last,) = connection.execute(self._last).fetchone()
        return rows, until if until < last else None

    def over(
        self, connection: Connection, terms: ExpiryTerms, after: int, limit: int
    ) -> Candidates:
        """Return instances of one piece of the table whose time is over, and where to go on."""
        (end,) = connection.execute(self._piece, (after, _LOOKED_AT_ONCE)).fetchone()
        if end is None:
            return Candidates((), None)
        values = (after, end, *_instants_of(terms), limit)
        rows = connection.execute(self._over, values).fetchall()
        return Candidates([row[1] for row in rows], rows[-1][0] if len(rows) == limit else end)

    def drop(self, connection: Connection, names: Sequence[str], terms: ExpiryTerms) -> Dropped:
        """Drop those of some instances whose time is over still."""
        values = (json.dumps(list(names)), *_instants_of(terms))
        rows = connection.execute(self._still_over, values).fetchall()
        self.remove(connection, [row[0] for row in rows])
        unused = sum(bool(row[1]) for row in rows)
        return Dropped(unused, len(rows) - unused)

    def drop_erased(self, connection: Connection, before: int, limit: int) -> int:
        """Drop what is left of instances that were deleted and revoked before an instant."""
        rows = connection.execute(self._erased, (before, limit)).fetchall()
        self.remove(connection, [row[0] for row in rows])
        return len(rows)

    def remove(self, connection: Connection, names: Sequence[str]) -> None:
        """Delete instances, and what belongs to them."""
        self.strip(connection, names)
        connection.execute(self._of_instance[-1], (json.dumps(list(names)),))

    def strip(self, connection: Connection, names: Sequence[str]) -> None:
        """Delete what belongs to instances, and not their own rows."""
        for statement in self._of_instance[:-1]:
            connection.execute(statement, (json.dumps(list(names)),))

    def erase(self, connection: Connection, found: Instance, at: datetime) -> Instance:
        """Put what is left of an instance in its place."""
        left = erased(found, at)
        self.strip(connection, [found.id])
        columns, values = INSTANCE_COLUMNS.split(", "), instance_row(left)
        # Who was revoked before isn't told again: that it is revoked stays as it was.
        kept = {"id"} if found.revoked_at is None else {"id", "revoked_at"}
        changed = {
            name: each for name, each in zip(columns, values, strict=True) if name not in kept
        }
        assignments = ", ".join(f"{name} = ?" for name in changed)
        connection.execute(
            f"UPDATE instances SET {assignments} WHERE id = ?",  # noqa: S608 - our own text.
            (*changed.values(), found.id),
        )
        return left

    def unerased(self, connection: Connection, names: Iterable[str]) -> set[str]:
        """Return those of the names that instances have which weren't deleted on request."""
        rows = connection.execute(self._unerased, (json.dumps(list(names)),))
        return {row[0] for row in rows}

    def of_device(self, connection: Connection, device_key: bytes, limit: int) -> list[Instance]:
        """Return instances of a device."""
        rows = connection.execute(self._of_device, (device_key, limit))
        return [instance_from_row(row) for row in rows]

    def names(self, connection: Connection, after: int, limit: int) -> list[Any]:
        """Return rows of number, id and audiences of the next instances."""
        return connection.execute(self._names, (after, limit)).fetchall()

    def dossier(self, connection: Connection, instance_id: str) -> Dossier | None:
        """Return what is kept of an instance; None where there is none, or it was deleted."""
        found = self.find(connection, instance_id)
        if found is None or found.format == ERASED:
            return None
        receipt = connection.execute(
            f"SELECT {RECEIPT_COLUMNS} FROM receipts WHERE instance_id = ?",  # noqa: S608
            (instance_id,),
        ).fetchone()
        leases = connection.execute(
            f"SELECT {LEASE_COLUMNS}, withdrawn_at FROM leases WHERE instance_id = ? ORDER BY secret",  # noqa: S608
            (instance_id,),
        ).fetchall()
        code = connection.execute(
            f"SELECT {OPERATOR_CODE_COLUMNS} FROM operator_codes WHERE instance_id = ?",  # noqa: S608
            (instance_id,),
        ).fetchone()
        return Dossier(
            found,
            None if receipt is None else receipt_from_row(receipt),
            [(lease_from_row(row), _instant_or_none(row[-1])) for row in leases],
            None if code is None else operator_code_from_row(code),
        )


_BELONGINGS: Final = (
    ("receipts", "instance_id"),
    ("leases", "instance_id"),
    ("instance_certificates", "instance_id"),
    ("instances", "id"),
)
"""The tables that hold something of an instance; its own row goes last."""

_IS_OVER: Final = (
    "(revoked_at IS NULL AND renewed_at < ? AND enrolled_at < ? OR revoked_at < ? AND enrolled_at < ?) "
    "AND NOT EXISTS (SELECT 1 FROM leases WHERE instance_id = instances.id)"
)

_LOOKED_AT_ONCE: Final = 5_000
"""Rows of instances that are looked through in one piece, in some 5 ms."""

_NEVER: Final = -(2**62)


def _instants_of(terms: ExpiryTerms) -> tuple[int, int, int, int]:
    """Return the values of :data:`_IS_OVER`."""
    used = _NEVER if terms.used_before is None else microseconds(terms.used_before)
    revoked = _NEVER if terms.revoked_before is None else microseconds(terms.revoked_before)
    return used, used, revoked, revoked


_HOLDERS_AT_ONCE: Final = 20_000
"""Rows of instances that are looked at in one piece, in about 10 ms, so that renewals come in between."""


@dataclass(frozen=True, slots=True)
class Advance:
    """Hold what evidence stated anew; None leaves what was known.

    :param counter: must be greater than the known one; None where the format has none.
    :param renewed_at: the instant of new tokens; None where there are none.
    """

    counter: int | None
    app_version: str | None
    attested_at: datetime | None
    platform: str | None = None
    renewed_at: datetime | None = None

    def of(self, known: Instance) -> Instance:
        """Return an instance as it is then.

        :raises RefusedError: ``instance.revoked``, ``instance.counter``.
        """
        if known.revoked_at is not None:
            raise RefusedError.because(Reason.INSTANCE_REVOKED, "it was revoked")
        if self.counter is not None:
            require_higher(self.counter, known.counter)
        days, renewed_at = known.renewed_days, known.renewed_at
        if self.renewed_at is not None:
            days, renewed_at = marked(days, renewed_at, self.renewed_at), self.renewed_at
        return replace(
            known,
            counter=known.counter if self.counter is None else self.counter,
            app_version=known.app_version if self.app_version is None else self.app_version,
            attested_at=known.attested_at if self.attested_at is None else self.attested_at,
            platform=known.platform if self.platform is None else self.platform,
            renewed_at=renewed_at,
            renewed_days=days,
        )


_ADVANCE: Final = (
    "UPDATE instances SET counter = ?, app_version = ?, attested_at = ?, platform = ?, renewed_at = ?, "
    "renewed_days = ? WHERE id = ?"
)
_ADVANCE_UNCHANGED: Final = (
    f"{_ADVANCE} AND revoked_at IS NULL AND counter = ? AND renewed_at = ? AND renewed_days = ? "
    "AND coalesce(attested_at, 0) = ?"
)


def advance_instance(
    database: Database,
    connection: Connection,
    known: Instance,
    advanced: Instance,
    *,
    is_held: bool,
) -> None:
    """Write what :meth:`Advance.of` came to.

    :param is_held: whether the transaction holds the instance; otherwise it must be as it is known.
    """
    values = (
        advanced.counter,
        advanced.app_version,
        _microseconds_or_none(advanced.attested_at),
        advanced.platform,
        microseconds(advanced.renewed_at),
        advanced.renewed_days,
        advanced.id,
    )
    if is_held:
        connection.execute(_ADVANCE, values)
        return
    before = (
        known.counter,
        microseconds(known.renewed_at),
        known.renewed_days,
        _microseconds_or_none(known.attested_at) or 0,
    )
    database.expect(connection, _ADVANCE_UNCHANGED, (*values, *before), _ChangedError)


def marks(count: int) -> str:
    """Return so many question marks, for the values of a statement."""
    return ", ".join("?" * count)


def insert_code(connection: Connection, code: OperatorCode) -> None:
    """Insert a new code; its name is random and isn't met twice."""
    row = operator_code_row(code)
    connection.execute(
        f"INSERT INTO operator_codes ({OPERATOR_CODE_COLUMNS}) "  # noqa: S608 - our own text.
        f"VALUES ({marks(len(row))})",
        row,
    )


def select_code(connection: Connection, code_id: str) -> OperatorCode | None:
    """Return one code, None if there is none of this name."""
    row = connection.execute(
        f"SELECT {OPERATOR_CODE_COLUMNS} FROM operator_codes WHERE id = ?",  # noqa: S608
        (code_id,),
    ).fetchone()
    return None if row is None else operator_code_from_row(row)


def select_codes(connection: Connection, limit: int) -> Sequence[OperatorCode]:
    """Return at most so many codes, newest first."""
    rows = connection.execute(
        f"SELECT {OPERATOR_CODE_COLUMNS} FROM operator_codes "  # noqa: S608 - our own text.
        "ORDER BY made_at DESC, id LIMIT ?",
        (limit,),
    )
    return [operator_code_from_row(row) for row in rows]


def use_code(
    database: Database, connection: Connection, code_id: str, instance_id: str, at: datetime
) -> None:
    """Use a code up, and refuse one that can't be used: of several that race for it, one finds it unused."""
    database.expect(
        connection,
        "UPDATE operator_codes SET used_at = ?, instance_id = ? WHERE id = ? "
        "AND used_at IS NULL AND revoked_at IS NULL AND expires_at > ?",
        (microseconds(at), instance_id, code_id, microseconds(at)),
        lambda: RefusedError.because(
            Reason.EVIDENCE_OPERATOR_CODE, "it was used, cancelled or expired in these moments"
        ),
    )


def withdraw_code(connection: Connection, code_id: str, at: datetime) -> bool:
    """Cancel a code that is unused; tell whether that changed anything."""
    withdrawn = connection.execute(
        "UPDATE operator_codes SET revoked_at = ? "
        "WHERE id = ? AND used_at IS NULL AND revoked_at IS NULL",
        (microseconds(at), code_id),
    )
    return withdrawn.rowcount == 1


CUT_COLUMNS: Final = (
    "app, level, before, share, step, pause, because, made_by, made_at, stopped_at, id"
)


def cut_from_row(row: Sequence[Any]) -> ScheduledCut:
    """Return the cut in a row of :data:`CUT_COLUMNS`."""
    app, level, before, share, step, pause, because, made_by, made_at, stopped_at, number = row
    return ScheduledCut(
        Cut(app, None if level is None else Level(level), before, share),
        step,
        pause,
        because,
        made_by,
        instant(made_at),
        number,
        None if stopped_at is None else instant(stopped_at),
    )


def insert_cut(connection: Connection, made: ScheduledCut, since: int) -> ScheduledCut:
    """Insert a cut and return it with its number.

    :param since: those with an earlier instant are over.
    :raises RefusedError: ``request.malformed``.
    """
    (count,) = connection.execute(
        "SELECT count(*) FROM cuts WHERE before >= ?", (since,)
    ).fetchone()
    if count >= MOST_CUTS:
        raise RefusedError.because(
            Reason.REQUEST_MALFORMED,
            f"got {count} cuts in force, expected at most {MOST_CUTS}; each ends by itself once the tokens of before have",
        )
    cut, level = made.cut, made.cut.level
    row = (
        cut.app,
        None if level is None else level.value,
        cut.before,
        cut.share,
        made.step,
        made.pause,
        made.because,
        made.made_by,
        microseconds(made.made_at),
    )
    (number,) = connection.execute(
        "INSERT INTO cuts (app, level, before, share, step, pause, because, made_by, made_at) "  # noqa: S608 - our own text.
        f"VALUES ({marks(len(row))}) RETURNING id",
        row,
    ).fetchone()
    return replace(made, id=number)


def select_cut(connection: Connection, number: int) -> ScheduledCut | None:
    """Return one cut, None if there is none of this number."""
    row = connection.execute(
        f"SELECT {CUT_COLUMNS} FROM cuts WHERE id = ?",  # noqa: S608 - our own text.
        (number,),
    ).fetchone()
    return None if row is None else cut_from_row(row)


MAX_PENDING: Final = 10_000
"""The most audit entries that may be pending; beyond that the oldest are lost, which the log has too."""


FLUSHED_AT_ONCE: Final = 500
"""Pending revocations, and entries, that are written in one transaction."""


@dataclass(frozen=True, slots=True)
class WithheldInstance:
    """Hold a revocation that isn't in the store yet."""

    at: datetime
    because: str
    audit: AuditEntry


@dataclass(slots=True)
class PendingWrites:
    """Hold revoked instances and audit entries that aren't in the store yet."""

    instances: dict[str, WithheldInstance] = field(default_factory=dict)
    entries: deque[AuditEntry] = field(default_factory=lambda: deque(maxlen=MAX_PENDING))

    def __len__(self) -> int:
        """Return how many audit entries are missing in the trail."""
        return len(self.instances) + len(self.entries)

    def require_standing(self, instance_id: str) -> None:
        """Refuse what is asked for an instance that was revoked.

        :raises RefusedError: ``instance.revoked``.
        """
        if instance_id in self.instances:
            raise RefusedError.because(Reason.INSTANCE_REVOKED, "it was revoked")

    def shown(self, instance: Instance) -> Instance:
        """Return an instance as it would be if the store had been able to write."""
        pending = self.instances.get(instance.id)
        if pending is None or instance.revoked_at is not None:
            return instance
        return replace(instance, revoked_at=pending.at, revoked_because=pending.because)

    def revoked(
        self, connection: Connection, queries: InstanceQueries
    ) -> Sequence[RevokedInstance]:
        """Return the revoked instances for the gates to be told of."""
        pending = tuple(self.instances.items())
        found = ((queries.find(connection, name), each.at) for name, each in pending)
        return [
            RevokedInstance(each.id, each.audiences, at) for each, at in found if each is not None
        ]

    def forget(self, instances: Sequence[str], entries: int) -> None:
        """Forget what was written: these instances, and so many of the oldest entries."""
        for instance_id in instances:
            self.instances.pop(instance_id, None)
        for _ in range(min(entries, len(self.entries))):
            self.entries.popleft()


class WriteBehindStore:
    """Implement the part of the store that goes on without its database, and what compares it with its mark."""

    _database: Database
    _instances: InstanceQueries
    _pending: PendingWrites

    @property
    def pending(self) -> int:
        """See :attr:`watchword.apps.service.safeguards.GuardedStore.pending`."""
        return len(self._pending)

    def withhold(self, instance_id: str, at: datetime, because: str, audit: AuditEntry) -> None:
        """See :meth:`watchword.apps.service.safeguards.GuardedStore.withhold`."""
        self._pending.instances.setdefault(instance_id, WithheldInstance(at, because, audit))

    def enqueue(self, entry: AuditEntry) -> None:
        """See :meth:`watchword.apps.service.safeguards.GuardedStore.enqueue`."""
        self._pending.entries.append(entry)

    async def flush(self) -> int:
        """See :meth:`watchword.apps.service.safeguards.GuardedStore.flush`."""
        written = 0
        while self._pending:
            # In pieces: on another machine each call has little time.
            written += await self._flush_some()
        return written

    async def _flush_some(self) -> int:
        instances = dict(islice(self._pending.instances.items(), FLUSHED_AT_ONCE))
        entries = tuple(islice(self._pending.entries, FLUSHED_AT_ONCE))

        def work(connection: Connection) -> None:
            self._instances.hold_all(connection, instances)
            for instance_id, pending in instances.items():
                audit = _late(pending.audit)
                revoke_instance(connection, instance_id, pending.at, pending.because, audit)
            for entry in entries:
                insert_audit(connection, _late(entry))

        await self._database.write(work)
        self._pending.forget(tuple(instances), len(entries))
        return len(instances) + len(entries)

    async def revoke_again(self, revocations: Sequence[AuditEntry]) -> int:
        """See :meth:`watchword.apps.service.safeguards.GuardedStore.revoke_again`."""

        def standing(connection: Connection) -> list[AuditEntry]:
            alive = self._instances.standing(connection, [each.subject for each in revocations])
            return [each for each in revocations if each.subject in alive]

        again = await self._database.read(standing)
        for each in again:
            self.withhold(each.subject, each.at, str(each.detail["because"]), each)
        with suppress(UnavailableError):
            # On a full disk they hold in this process, and are written as soon as that is possible.
            await self.flush()
        return len({each.subject for each in again})

    async def extent(self) -> tuple[int, int]:
        """See :meth:`watchword.apps.service.safeguards.GuardedStore.extent`."""
        return await self._database.read(
            lambda each: (
                self._database.newest_audit(each) + self._database.unrecorded_uses(each),
                self._database.identity(each),
            )
        )

    async def newest_audit(self) -> int:
        """See :meth:`watchword.apps.service.safeguards.GuardedStore.newest_audit`."""
        return await self._database.read(self._database.newest_audit)

    def accept(self, file: int, epoch: int) -> None:
        """See :meth:`watchword.apps.service.safeguards.GuardedStore.accept`."""
        # In this order: a transaction that begins on it already knows what has ended.
        self._database.oldest_epoch = max(self._database.oldest_epoch, epoch)
        self._database.accept(file)


def _late(entry: AuditEntry) -> AuditEntry:
    """Return an entry that says that it wasn't written when it happened."""
    return replace(entry, detail={**entry.detail, "recorded": "late"})


RECEIPT_DUE_WITHIN: Final = timedelta(days=40)
"""No receipt is ever planned to be due later than this; what is, was planned by a clock that ran ahead."""


@lru_cache(maxsize=256)
def _audiences(text: str) -> tuple[str, ...]:
    return tuple(json.loads(text))


class EngineStore(WriteBehindStore):
    """Implement :class:`watchword.ports.InstanceStore` on a database.

    And :class:`watchword.enrolment.interface.OperatorCodeStore`, :class:`watchword.enrolment.delivery.LeaseStore`,
    :class:`watchword.enrolment.retention.RetentionStore` and :class:`watchword.gate.cuts.CutStore`, in the same transactions.
    """

    def __init__(self, database: Database) -> None:
        """Take the database over: :meth:`close` closes it."""
        self._database = database
        self._instances = InstanceQueries(database.dialect)
        self._pending = PendingWrites()
        self._told_of = -1
        self._log = ChallengeLog(database)
        self.had_entries = database.had_entries

    @property
    def database(self) -> Database:
        """Return what carries the transactions out; the store closes it."""
        return self._database

    async def enrol(
        self,
        use: ChallengeUse,
        instance: Instance,
        audit: AuditEntry,
        receipt: StoredReceipt | None = None,
        limit: CountLimit | None = None,
    ) -> EnrolledCounts | None:
        """See :meth:`watchword.ports.InstanceStore.enrol`."""

        def work(connection: Connection) -> None:
            if limit is not None:
                require_room(self._database, connection, instance, limit)
            use_challenge(self._database, connection, use)
            insert_instance(self._database, connection, instance)
            if receipt is not None:
                values = receipt_row(receipt)
                connection.execute(
                    f"INSERT INTO receipts ({RECEIPT_COLUMNS}) VALUES ({marks(len(values))}) "  # noqa: S608
                    "ON CONFLICT DO NOTHING",
                    values,
                )
            insert_audit(connection, audit)

        try:
            await self._database.write(work)
        except _OverLimitError:
            assert limit is not None
            return await self.count_enrolled(
                instance.app, instance.device_key, instance.attester_serial, limit.since
            )
        return None

    async def enrol_by_code(
        self, code_id: str, use: ChallengeUse, instance: Instance, audit: AuditEntry
    ) -> None:
        """See :meth:`watchword.enrolment.interface.OperatorCodeStore.enrol_by_code`."""

        def work(connection: Connection) -> None:
            use_code(self._database, connection, code_id, instance.id, instance.enrolled_at)
            use_challenge(self._database, connection, use)
            insert_instance(self._database, connection, instance)
            insert_audit(connection, audit)

        await self._database.write(work)

    async def add_code(self, code: OperatorCode, audit: AuditEntry) -> None:
        """See :meth:`watchword.enrolment.interface.OperatorCodeStore.add_code`."""

        def work(connection: Connection) -> None:
            insert_code(connection, code)
            insert_audit(connection, audit)

        await self._database.write(work)

    async def find_code(self, code_id: str) -> OperatorCode | None:
        """See :meth:`watchword.enrolment.interface.OperatorCodeStore.find_code`."""
        return await self._database.read(lambda connection: select_code(connection, code_id))

    async def list_codes(self, limit: int) -> Sequence[OperatorCode]:
        """See :meth:`watchword.enrolment.interface.OperatorCodeStore.list_codes`."""
        return await self._database.read(lambda connection: select_codes(connection, limit))

    async def cancel_code(self, code_id: str, audit: AuditEntry) -> OperatorCode | None:
        """See :meth:`watchword.enrolment.interface.OperatorCodeStore.cancel_code`."""

        def work(connection: Connection) -> OperatorCode | None:
            if withdraw_code(connection, code_id, audit.at):
                insert_audit(connection, audit)
            return select_code(connection, code_id)

        return await self._database.write(work)

    async def renew(
        self,
        use: ChallengeUse,
        instance_id: str,
        counter: int | None,
        app_version: str | None,
        audit: AuditEntry,
        attested_at: datetime | None = None,
        platform: str | None = None,
        known: Instance | None = None,
    ) -> Instance:
        """See :meth:`watchword.ports.InstanceStore.renew`."""
        advance = Advance(counter, app_version, attested_at, platform, audit.at)

        def work(connection: Connection, known: Instance | None) -> Instance:
            self._pending.require_standing(instance_id)
            found = known or require_known(
                held_instance(self._instances.hold(connection, instance_id))
            )
            require_newest(use, found)
            use_challenge(self._database, connection, use)
            renewed = advance.of(found)
            advance_instance(self._database, connection, found, renewed, is_held=known is None)
            if is_told(found, renewed, audit):
                insert_audit(connection, audit)
            else:
                self._database.count_use(connection)
            return renewed

        return await self._unchanged(work, known)

    async def use_challenge(self, use: ChallengeUse, now: datetime) -> None:
        """See :meth:`watchword.ports.InstanceStore.use_challenge`."""
        if not await self._log.add(use, now) or not is_current(self._database, use):
            raise RefusedError.because(Reason.CHALLENGE_USED, _USED_BEFORE)

    async def deliver(
        self,
        use: ChallengeUse,
        lease: Lease,
        counter: int | None,
        audit: Callable[[Lease], AuditEntry],
        attested_at: datetime | None = None,
        known: Holder | None = None,
    ) -> Lease:
        """See :meth:`watchword.enrolment.delivery.LeaseStore.deliver`."""
        advance = Advance(counter, lease.app_version, attested_at)

        def work(connection: Connection, known: Holder | None) -> Lease:
            self._pending.require_standing(lease.instance_id)
            found = known or self._held(connection, lease)
            use_challenge(self._database, connection, use)
            instance = found.instance
            advance_instance(
                self._database,
                connection,
                instance,
                advance.of(instance),
                is_held=known is None,
            )
            kept = keep_lease(self._database, connection, lease, found.lease)
            insert_audit(connection, audit(kept))
            return kept

        return await self._unchanged(work, known)

    def _held(self, connection: Connection, lease: Lease) -> Holder:
        """Hold an instance, and with it its leases: whoever changes one has the instance."""
        asked = self._instances.hold(connection, lease.instance_id)
        living = ask_for_lease(connection, lease.instance_id, lease.secret, lease.delivered_at)
        return Holder(require_known(held_instance(asked)), living())

    async def _unchanged(
        self, work: Callable[[Connection, _Known | None], _Result], known: _Known | None
    ) -> _Result:
        """Carry work out by what is known, and where that isn't so any more, by what there is."""
        if known is not None:
            # What refuses it may be of before, too.
            with suppress(_ChangedError, RefusedError):
                return await self._database.write(lambda connection: work(connection, known))
        with suppress(_ChangedError):
            return await self._database.write(lambda connection: work(connection, None))
        # A lease that was continued ended by another node's clock meanwhile.
        return await self._database.write(lambda connection: work(connection, None))

    async def holder(self, instance_id: str, secret: str, now: datetime) -> Holder | None:
        """See :meth:`watchword.enrolment.delivery.LeaseStore.holder`."""

        def work(connection: Connection) -> Holder | None:
            living = ask_for_lease(connection, instance_id, secret, now)
            found = self._instances.find(connection, instance_id)
            return None if found is None else Holder(found, living())

        holder = await self._database.read(work)
        return holder and replace(holder, instance=self._pending.shown(holder.instance))

    async def leases(self, now: datetime, secret: str | None = None) -> Sequence[LeaseCount]:
        """See :meth:`watchword.enrolment.delivery.LeaseStore.leases`."""
        return await self._database.read(lambda connection: count_leases(connection, now, secret))

    async def forget_leases(self, now: datetime) -> int:
        """See :meth:`watchword.enrolment.delivery.LeaseStore.forget_leases`."""
        return await self._drop(_DROP_LEASES, now)

    async def over(self, terms: ExpiryTerms, after: int, limit: int) -> Candidates:
        """See :meth:`watchword.enrolment.retention.RetentionStore.over`."""
        return await self._database.read(
            lambda connection: self._instances.over(connection, terms, after, limit)
        )

    async def drop(
        self, names: Sequence[str], terms: ExpiryTerms, audit: Callable[[Dropped], AuditEntry]
    ) -> Dropped:
        """See :meth:`watchword.enrolment.retention.RetentionStore.drop`."""

        def work(connection: Connection) -> Dropped:
            dropped = self._instances.drop(connection, names, terms)
            if dropped.total:
                insert_audit(connection, audit(dropped))
            return dropped

        return await self._database.write(work)

    async def drop_erased(self, before: datetime, limit: int) -> int:
        """See :meth:`watchword.enrolment.retention.RetentionStore.drop_erased`."""
        at = microseconds(before)
        return await self._database.write(
            lambda connection: self._instances.drop_erased(connection, at, limit)
        )

    async def erase(self, instance_id: str, at: datetime, audit: AuditEntry) -> Instance | None:
        """See :meth:`watchword.enrolment.retention.RetentionStore.erase`."""

        def work(connection: Connection) -> Instance | None:
            found = require_known(held_instance(self._instances.hold(connection, instance_id)))
            if found.format == ERASED:
                return None
            left = self._instances.erase(connection, found, at)
            insert_audit(connection, audit)
            return left

        return await self._database.write(work)

    async def erase_again(self, erasures: Sequence[AuditEntry]) -> int:
        """See :meth:`watchword.enrolment.retention.RetentionStore.erase_again`."""
        names = [each.subject for each in erasures]
        there = await self._database.read(lambda each: self._instances.unerased(each, names))
        again = 0
        for each in erasures:
            if each.subject not in there:
                continue
            with suppress(RefusedError):
                again += await self.erase(each.subject, each.at, each) is not None
        return again

    async def dossier(self, instance_id: str) -> Dossier | None:
        """See :meth:`watchword.enrolment.retention.RetentionStore.dossier`."""
        return await self._database.read(
            lambda connection: self._instances.dossier(connection, instance_id)
        )

    async def instances_of_device(self, device_key: bytes, limit: int) -> Sequence[Instance]:
        """See :meth:`watchword.enrolment.retention.RetentionStore.instances_of_device`."""
        found = await self._database.read(
            lambda connection: self._instances.of_device(connection, device_key, limit)
        )
        return [self._pending.shown(each) for each in found]

    async def names(
        self, after: int, limit: int
    ) -> tuple[Sequence[tuple[str, tuple[str, ...]]], int | None]:
        """See :meth:`watchword.enrolment.retention.RetentionStore.names`."""
        rows = await self._database.read(
            lambda connection: self._instances.names(connection, after, limit)
        )
        found = [(row[1], _audiences(row[2])) for row in rows]
        return found, rows[-1][0] if len(rows) == limit else None

    async def _drop(self, statement: str, now: datetime) -> int:
        """Drop what expired before an instant, in pieces, one node at a time; return how many rows."""

        def work(connection: Connection) -> int:
            self._database.take_turns(connection, "expired", statement)
            return connection.execute(statement, (microseconds(now), EXPIRED_AT_ONCE)).rowcount

        dropped = 0
        while (some := await self._database.write(work)) == EXPIRED_AT_ONCE:
            dropped += some
        return dropped + some

    async def count_enrolled(
        self, app: str, device_key: bytes | None, attester_serial: str | None, since: datetime
    ) -> EnrolledCounts:
        """See :meth:`watchword.ports.InstanceStore.count_enrolled`."""
        return await self._database.read(
            lambda connection: count_enrolled(connection, app, device_key, attester_serial, since)
        )

    async def instances_with_serials(
        self, serials: Sequence[str], limit: int
    ) -> Sequence[Instance]:
        """See :meth:`watchword.ports.InstanceStore.instances_with_serials`."""
        return await self._database.read(
            lambda connection: self._instances.under(connection, serials, limit)
        )

    async def find(self, instance_id: str) -> Instance | None:
        """See :meth:`watchword.ports.InstanceStore.find`."""
        found = await self._database.read(lambda each: self._instances.find(each, instance_id))
        return None if found is None else self._pending.shown(found)

    async def revoke(
        self, instance_id: str, at: datetime, because: str, audit: AuditEntry
    ) -> Instance:
        """See :meth:`watchword.ports.InstanceStore.revoke`."""

        def work(connection: Connection) -> Instance:
            found = require_known(held_instance(self._instances.hold(connection, instance_id)))
            if not revoke_instance(connection, instance_id, at, because, audit):
                return found
            return replace(found, revoked_at=at, revoked_because=because)

        return await self._database.write(work)

    async def revoke_all(self, at: datetime, because: str, audits: Sequence[AuditEntry]) -> int:
        """See :meth:`watchword.ports.InstanceStore.revoke_all`."""

        def work(connection: Connection) -> int:
            self._instances.hold_all(connection, (audit.subject for audit in audits))
            return sum(
                revoke_instance(connection, audit.subject, at, because, audit) for audit in audits
            )

        return await self._database.write(work)

    async def revocations(
        self, since: datetime, after: RevocationCursor | None, limit: int
    ) -> RevocationNews:
        """See :meth:`watchword.ports.InstanceStore.revocations`."""

        def work(connection: Connection) -> RevocationNews:
            last = self._database.newest_revocation(connection)
            identity = self._database.identity(connection)
            # Numbers that end before, or another database: an older copy, which may lack what was told.
            anew = after is None or after.sequence > last or identity != self._told_of
            self._told_of = identity
            cursor = RevocationCursor(last, (-1, -1)) if after is None or anew else after
            if cursor.row is None:
                rows = self._instances.revoked_after(
                    connection, cursor.sequence, microseconds(since), limit
                )
            else:
                rows = self._instances.revoked_behind(
                    connection, microseconds(since), cursor.row, limit
                )
            found = [
                RevokedInstance(each[2], _audiences(each[3]), instant(each[4])) for each in rows
            ]
            more = len(rows) == limit
            if not more:
                found += self._pending.revoked(connection, self._instances)
                cursor = RevocationCursor(cursor.sequence if cursor.row else last)
            elif cursor.row is None:
                cursor = RevocationCursor(rows[-1][0])
            else:
                cursor = RevocationCursor(cursor.sequence, rows[-1][:2])
            # What was revoked while all were read stands behind the number.
            return RevocationNews(cursor, found, anew, more or cursor.sequence < last)

        return await self._database.read(work)

    async def due_receipts(self, app: str, now: datetime, limit: int) -> Sequence[StoredReceipt]:
        """See :meth:`watchword.ports.InstanceStore.due_receipts`."""

        def work(connection: Connection) -> Sequence[StoredReceipt]:
            # Two ranges of one index, each read no further than is wanted.
            ranges = (("<=", now), (">", now + RECEIPT_DUE_WITHIN))
            rows: list[tuple[Any, ...]] = []
            for relation, at in ranges:
                rows += connection.execute(
                    f"SELECT {RECEIPT_COLUMNS} FROM receipts "  # noqa: S608 - our own text.
                    f"WHERE app = ? AND due_at {relation} ? ORDER BY due_at LIMIT ?",
                    (app, microseconds(at), limit - len(rows)),
                )
            return [receipt_from_row(row) for row in rows]

        return await self._database.read(work)

    async def put_receipt(
        self, receipt: StoredReceipt, risk_metric: int | None, audit: AuditEntry | None
    ) -> None:
        """See :meth:`watchword.ports.InstanceStore.put_receipt`."""

        def work(connection: Connection) -> None:
            kept = connection.execute(
                "UPDATE receipts SET receipt = ?, due_at = ?, failures = ? WHERE instance_id = ?",
                (
                    receipt.receipt,
                    microseconds(receipt.due_at),
                    receipt.failures,
                    receipt.instance_id,
                ),
            )
            if kept.rowcount != 1:
                return
            connection.execute(
                "UPDATE instances SET risk_metric = coalesce(?, risk_metric) WHERE id = ?",
                (risk_metric, receipt.instance_id),
            )
            if audit is not None:
                insert_audit(connection, audit)

        await self._database.write(work)

    async def list_instances(
        self, limit: int, app: str | None = None, before: str | None = None
    ) -> Sequence[Instance]:
        """See :meth:`watchword.ports.InstanceStore.list_instances`."""

        def work(connection: Connection) -> Sequence[Instance]:
            last = None
            if before is not None:
                last = require_known(self._instances.find(connection, before))
            found = self._instances.listed(connection, app, last, limit)
            return [self._pending.shown(each) for each in found]

        return await self._database.read(work)

    async def add_cut(
        self, cut: ScheduledCut, since: int, audit: Callable[[ScheduledCut], AuditEntry]
    ) -> ScheduledCut:
        """See :meth:`watchword.gate.cuts.CutStore.add_cut`."""

        def work(connection: Connection) -> ScheduledCut:
            self._database.add_cuts(connection)
            self._database.take_turns(connection, "cuts")
            made = insert_cut(connection, cut, since)
            insert_audit(connection, audit(made))
            return made

        return await self._database.write(work)

    async def cuts(self, since: int) -> Sequence[ScheduledCut]:
        """See :meth:`watchword.gate.cuts.CutStore.cuts`."""

        def work(connection: Connection) -> Sequence[ScheduledCut]:
            if not self._database.knows_cuts(connection):
                return []
            rows = connection.execute(
                f"SELECT {CUT_COLUMNS} FROM cuts WHERE before >= ? ORDER BY id",  # noqa: S608
                (since,),
            )
            return [cut_from_row(row) for row in rows]

        return await self._database.read(work)

    async def advance_cut(self, cut: ScheduledCut) -> bool:
        """See :meth:`watchword.gate.cuts.CutStore.advance_cut`."""
        return await self._database.write(
            lambda connection: (
                connection.execute(
                    "UPDATE cuts SET share = ? WHERE id = ? AND share = ? AND stopped_at IS NULL",
                    (cut.next_share, cut.id, cut.cut.share),
                ).rowcount
                == 1
            )
        )

    async def stop_cut(self, cut_id: int, audit: AuditEntry) -> ScheduledCut | None:
        """See :meth:`watchword.gate.cuts.CutStore.stop_cut`."""

        def work(connection: Connection) -> ScheduledCut | None:
            if not self._database.knows_cuts(connection):
                return None
            stopped = connection.execute(
                "UPDATE cuts SET stopped_at = ? WHERE id = ? AND stopped_at IS NULL",
                (microseconds(audit.at), cut_id),
            )
            if stopped.rowcount == 1:
                insert_audit(connection, audit)
            return select_cut(connection, cut_id)

        return await self._database.write(work)

    async def count_holders(
        self, app: str, level: Level | None, since: datetime, before: datetime, after: int
    ) -> tuple[int, int | None]:
        """See :meth:`watchword.gate.cuts.CutStore.count_holders`."""
        rows, more = await self._database.read(
            lambda connection: self._instances.holders(
                connection, "count(*)", (app, level, since, before), after
            )
        )
        return rows[0][0], more

    async def holders(
        self, app: str, level: Level | None, since: datetime, before: datetime, after: int
    ) -> tuple[Sequence[tuple[str, tuple[str, ...]]], int | None]:
        """See :meth:`watchword.gate.cuts.CutStore.holders`."""
        rows, more = await self._database.read(
            lambda connection: self._instances.holders(
                connection, "id, audiences", (app, level, since, before), after
            )
        )
        return [(name, _audiences(told)) for name, told in rows], more

    async def audit_entries(
        self, limit: int, subject: str | None = None, before: int | None = None
    ) -> Sequence[AuditEntry]:
        """See :meth:`watchword.ports.InstanceStore.audit_entries`."""

        def work(connection: Connection) -> Sequence[AuditEntry]:
            end = self._database.newest_audit(connection) + 1 if before is None else before
            rows = connection.execute(
                "SELECT at, actor, action, subject, detail, seq FROM audit WHERE seq < ? AND seq >= ? "
                "AND (CAST(? AS TEXT) IS NULL OR subject = ?) ORDER BY seq DESC LIMIT ?",
                (end, end - MOST_AUDIT_SCANNED, subject, subject, limit),
            )
            return [audit_from_row(row) for row in rows]

        return await self._database.read(work)

    async def audit_from(self, number: int, limit: int) -> Sequence[AuditEntry]:
        """See :meth:`watchword.ports.InstanceStore.audit_from`."""

        def work(connection: Connection) -> Sequence[AuditEntry]:
            end = self._database.settled_audit(connection, number)
            rows = connection.execute(
                "SELECT at, actor, action, subject, detail, seq FROM audit "
                "WHERE seq >= ? AND seq <= coalesce(?, seq) ORDER BY seq LIMIT ?",
                (number, end, limit),
            )
            return [audit_from_row(row) for row in rows]

        return await self._database.read(work)

    async def add_audit(self, entry: AuditEntry) -> None:
        """See :meth:`watchword.ports.InstanceStore.add_audit`."""
        await self._database.write(lambda connection: insert_audit(connection, entry))

    async def forget_expired(self, now: datetime) -> int:
        """See :meth:`watchword.ports.InstanceStore.forget_expired`."""
        pages = await self._drop(DROP_PAGES, now)
        return pages + await self._drop(_DROP_CHALLENGES, now)

    async def check_writable(self) -> None:
        """See :meth:`watchword.ports.InstanceStore.check_writable`."""
        await self._database.check_writable()

    def close(self) -> None:
        """See :meth:`watchword.ports.InstanceStore.close`; a second time does nothing."""
        self._database.close()


_MAX_BYTES: Final = 1024


_MARK_VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class _State:
    epoch: int = 0
    sequence: int = 0
    file: int = 0
    forgotten: int = 0


@dataclass(frozen=True, slots=True)
class Exchange:
    """Say why the database isn't taken for the one that was here.

    :param missing: how much was written that it lacks, as far as that is known; 0 where it isn't.
    :param why: for the log.
    """

    missing: int
    why: str


class RollbackDetector:
    """Implement :class:`watchword.enrolment.statement.ChallengeEpochs`; any thread may call it.

    What can't be written is kept in memory, which is as good while the process lives: the next one finds
    an older mark and begins another epoch rather than one too few.
    """

    def __init__(self, path: Path) -> None:
        """Read the file; it is made by :meth:`compare`.

        :raises PrivateFileError: when it can't be trusted: others could have written it.
        """
        self._path = path
        self._turn = threading.Lock()
        read = _read(path)
        self._is_known = read is not None
        self._state = read or _State()

    @property
    def number(self) -> int:
        """See :attr:`watchword.enrolment.statement.ChallengeEpochs.number`."""
        return self._state.epoch

    @property
    def file(self) -> int:
        """Return the number that the database was compared by last."""
        return self._state.file

    @property
    def sequence(self) -> int:
        """Return how far the database was, as far as that is written down."""
        return self._state.sequence

    @property
    def forgotten(self) -> int:
        """See :attr:`watchword.enrolment.statement.ChallengeEpochs.forgotten`."""
        return self._state.forgotten

    def begin(self, now: datetime) -> None:
        """See :meth:`watchword.enrolment.statement.ChallengeEpochs.begin`.

        The number is at least the time, so that it grows also where the file was lost.
        """
        with self._turn:
            self._begin(now)

    def _begin(self, now: datetime) -> None:
        number = max(self._state.epoch + 1, int(now.timestamp()))
        self._state = replace(self._state, epoch=number, forgotten=0)
        self._write_if_possible()

    def compare(self, sequence: int, file: int, now: datetime) -> Exchange | None:
        """Look at the database that the service starts or goes on with; return what is wrong with it, None for nothing.

        :param sequence: how much was written to it: see :meth:`watchword.apps.service.safeguards.GuardedStore.extent`.
        :param file: the number of its file (inode), or of its server and timeline.
        """
        with self._turn:
            return self._compare(sequence, file, now)

    def _compare(self, sequence: int, file: int, now: datetime) -> Exchange | None:
        seen, found = self._state, None
        if not self._is_known:
            found = Exchange(0, "nothing is known of the database that was here before")
        elif sequence < seen.sequence:
            missing = seen.sequence - sequence
            found = Exchange(
                missing, f"{missing} enrolments, renewals or audit entries are missing"
            )
        elif file != seen.file:
            found = Exchange(
                0, "it is another file, server or timeline than the one that was here before"
            )
        self._state = replace(seen, sequence=sequence, file=file)
        if found is not None:
            self._begin(now)
        elif self._state != seen:
            self._write_if_possible()
        fresh = not self._is_known and sequence == 0
        self._is_known = True
        return None if fresh else found

    def join(self, sequence: int, file: int, epoch: int) -> None:
        """Take the database for the right one where nothing is known of it: others, who know it, vouch for it."""
        with self._turn:
            if not self._is_known:
                self._state = _State(epoch, sequence, file)
                self._is_known = True
                self._write_if_possible()

    def follow(self, epoch: int) -> None:
        """Go on with an epoch that another node began, where it is later than ours."""
        with self._turn:
            if epoch > self._state.epoch:
                self._state = replace(self._state, epoch=epoch, forgotten=0)
                self._write_if_possible()

    def advance(self, sequence: int) -> None:
        """Note how far the database is.

        :raises UnavailableError: when that can't be written.
        """
        with self._turn:
            if sequence > self._state.sequence:
                self._put(replace(self._state, sequence=sequence))

    def forget(self, before: datetime) -> None:
        """Note that uses of challenges are about to be forgotten that expired before an instant.

        :raises UnavailableError: when that can't be written; then they mustn't be.
        """
        forgotten = math.ceil(before.timestamp())
        with self._turn:
            if forgotten > self._state.forgotten:
                self._put(replace(self._state, forgotten=forgotten))

    def _put(self, state: _State) -> None:
        try:
            write_private(self._path, strict_json.dumps(asdict(state)))
        except PrivateFileError as error:
            raise UnavailableError(Reason.STORE_UNAVAILABLE, str(error)) from None
        self._state = state

    def _write_if_possible(self) -> None:
        try:
            self._put(self._state)
        except UnavailableError:
            return


def _read(path: Path) -> _State | None:
    """Return what the file says, None where it says nothing that can be read: then nothing is known."""
    data = read_private(path, _MAX_BYTES)
    if data is None:
        return None
    try:
        members = strict_json.loads(data, _MAX_BYTES)
    except MalformedError:
        return None
    # Version 0.2.0 wrote no number.
    require_format(path, members.get("v", _MARK_VERSION), _MARK_VERSION)
    values = [_number(members.get(name)) for name in ("epoch", "sequence", "file", "forgotten")]
    return None if -1 in values else _State(*values)


def _number(value: Any) -> int:
    return value if type(value) is int and value >= 0 else -1
