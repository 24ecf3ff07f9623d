"""Turn records into rows of the SQLite store and back."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from watchword.enrolment.operator_codes import OperatorCode
from watchword.ports import AuditEntry, Instance, StoredReceipt
from watchword.vocabulary import Level

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

INSTANCE_COLUMNS: Final = (
    "id, app, app_version, platform, format, level, attested_key, proof_jwk, seal_jwk, audiences, "
    "enrolled_at, renewed_at, counter, revoked_at, revoked_because, test, attested_at, device_key, "
    "risk_metric, expires_at, attester_serial"
)
"""Columns in the order of :func:`instance_row`."""

INSTANCE_SELECTION: Final = (
    f"{INSTANCE_COLUMNS}, (SELECT json_group_array(serial) FROM (SELECT serial "  # noqa: S608
    "FROM instance_certificates WHERE instance_id = instances.id ORDER BY position))"
)
"""Columns and the serials of an instance, in the order of :func:`instance_from_row`."""

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
    )


def instance_from_row(row: tuple[Any, ...]) -> Instance:
    """Return the instance behind the values of :data:`INSTANCE_SELECTION`."""
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
        serials=tuple(json.loads(row[21])),
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
    """Return the entry behind the values of :func:`audit_row`."""
    return AuditEntry(instant(row[0]), row[1], row[2], row[3], json.loads(row[4]))


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
