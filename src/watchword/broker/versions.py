"""Change a secret's versions: pure, so that every backend keeps the same rules."""

from dataclasses import replace
from typing import Final

from watchword.broker.interface import MAX_VERSIONS, SecretRecord, SecretValue, SecretVersion
from watchword.reasons import Reason, RefusedError

MAX_OVERLAP_SECONDS: Final = 366 * 86400
"""Longest time for which an older version goes on beside a new one."""


def added(name: str, value: SecretValue, now: float) -> SecretRecord:
    """Return the record of a new secret with its version 1.

    :param now: seconds since 1970.
    """
    return SecretRecord(name, (SecretVersion(1, value, int(now)),))


def rotated(record: SecretRecord, value: SecretValue, overlap: int, now: float) -> SecretRecord:
    """Return the record with one version more, which is the current one at once.

    Those before it end when the overlap is over, or earlier where an earlier rotation said so: a later
    one lengthens no life.  What has ended by now loses its value, since nobody may use it any more.
    Beyond :data:`MAX_VERSIONS` the oldest that counts no more is forgotten, and the oldest where all count.

    :param overlap: seconds, 0 to :data:`MAX_OVERLAP_SECONDS`; with 0 the others end at once.
    :param now: seconds since 1970.
    """
    at = int(now)
    end = at + min(max(overlap, 0), MAX_OVERLAP_SECONDS)
    older = [_ended(each, end, now) for each in record.versions]
    number = max((each.number for each in older), default=0) + 1
    while len(older) >= MAX_VERSIONS:
        older.remove(next((each for each in older if not each.counts(now)), older[0]))
    return replace(record, versions=(*older, SecretVersion(number, value, at)))


def revoked(record: SecretRecord, version: int | None, now: float) -> SecretRecord:
    """Return the record with the value of one version erased, or of all of them.

    What was revoked before stays as it was; a version that has ended can be revoked too.

    :param version: number of the version, None for every one.
    :param now: seconds since 1970.
    :raises RefusedError: ``secret.unknown`` when there is no such version.
    """
    if version is not None and all(each.number != version for each in record.versions):
        raise RefusedError.because(
            Reason.SECRET_UNKNOWN, f"the secret {record.name} has no version {version}"
        )
    return replace(
        record,
        versions=tuple(
            replace(each, value=None, revoked_at=int(now))
            if each.revoked_at is None and version in {None, each.number}
            else each
            for each in record.versions
        ),
    )


def newly_revoked(before: SecretRecord, after: SecretRecord) -> tuple[int, ...]:
    """Return the numbers of the versions that are revoked in one record and weren't in the other."""
    were = {each.number for each in before.versions if each.revoked_at is not None}
    return tuple(
        each.number
        for each in after.versions
        if each.revoked_at is not None and each.number not in were
    )


def _ended(version: SecretVersion, end: int, now: float) -> SecretVersion:
    until = end if version.until is None else min(version.until, end)
    return replace(version, until=until, value=version.value if now < until else None)
