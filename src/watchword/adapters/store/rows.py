"""Turn records into rows of the SQLite store and back."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from watchword.ports import AuditEntry, Instance
from watchword.vocabulary import Level

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

INSTANCE_COLUMNS = (
    "id, app, app_version, platform, format, level, attested_key, proof_jwk, seal_jwk, audiences, "
    "enrolled_at, renewed_at, counter, revoked_at, revoked_because, test"
)
"""Columns in the order of :func:`instance_row`."""


def microseconds(at: datetime) -> int:
    """Return whole microseconds since 1970, without a float in between."""
    return (at - _EPOCH) // timedelta(microseconds=1)


def instant(value: int) -> datetime:
    """Return the instant that :func:`microseconds` was given."""
    return _EPOCH + timedelta(microseconds=value)


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
        None if instance.revoked_at is None else microseconds(instance.revoked_at),
        instance.revoked_because,
        int(instance.test),
    )


def instance_from_row(row: tuple[Any, ...]) -> Instance:
    """Return the instance behind the values of :data:`INSTANCE_COLUMNS`."""
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
        revoked_at=None if row[13] is None else instant(row[13]),
        revoked_because=row[14],
        test=bool(row[15]),
    )


def audit_row(entry: AuditEntry) -> tuple[Any, ...]:
    """Return the values for (at, actor, action, subject, detail)."""
    detail = json.dumps(dict(entry.detail), default=str)
    return microseconds(entry.at), entry.actor, entry.action, entry.subject, detail


def audit_from_row(row: tuple[Any, ...]) -> AuditEntry:
    """Return the entry behind the values of :func:`audit_row`."""
    return AuditEntry(instant(row[0]), row[1], row[2], row[3], json.loads(row[4]))
