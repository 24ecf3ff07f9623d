"""Seal the service's audit trail: one hash over all its entries, which gates keep, so that nobody changes the past unseen.

The hash of an entry is keyed.  Who has two heads and guesses what stands between them finds out nothing.
"""

import hmac
import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Final

from watchword.encoding import base64url
from watchword.ports import AuditEntry

HASH_BYTES: Final = 32
_KEY_LABEL: Final = b"watchword audit trail 1"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class AuditHead:
    """Hold how far the audit trail is.

    :param size: the number of its last entry, 0 where it has none.
    :param head: base64url of the hash over all entries up to that one.
    """

    size: int
    head: str


@dataclass(frozen=True, slots=True)
class ToldHead:
    """Hold a head as a gate was told of it.

    :param generation: of the line that named it.
    :param made_at: when the service signed that line, in seconds since 1970.
    """

    generation: int
    made_at: int
    audit: AuditHead


NOTHING_YET: Final = AuditHead(0, base64url.encode(bytes(HASH_BYTES)))
"""The head of a trail without entries."""


def trail_key(pairwise_key: bytes) -> bytes:
    """Return the key of the trail's hashes, which stays the same for as long as subjects do."""
    return hmac.digest(pairwise_key, _KEY_LABEL, "sha256")


def leaf_of(entry: AuditEntry, key: bytes) -> bytes:
    """Return the hash of one entry with its number.

    :param key: as :func:`trail_key` returns it.
    """
    at = (entry.at - _EPOCH) // _MICROSECOND
    members = [entry.number, at, entry.actor, entry.action, entry.subject, dict(entry.detail)]
    return hmac.digest(key, json.dumps(members, separators=(",", ":")).encode("ascii"), "sha256")


def extended(head: AuditHead, entries: Iterable[AuditEntry], key: bytes) -> AuditHead:
    """Return the head of a trail with more entries.

    :param entries: those that follow, in their order.
    :param key: as :func:`trail_key` returns it.
    """
    size, running = head.size, base64url.decode(head.head)
    for entry in entries:
        size, running = entry.number, sha256(running + leaf_of(entry, key)).digest()
    return AuditHead(size, base64url.encode(running))


def contradicts(before: ToldHead, after: ToldHead) -> bool:
    """Tell whether a head that was signed later can't be of a trail that grew: it is shorter, or another one as long."""
    if after.generation <= before.generation:
        return False
    if after.audit.size == before.audit.size:
        return after.audit.head != before.audit.head
    return after.audit.size < before.audit.size


def what_contradicts(before: ToldHead, after: ToldHead) -> str:
    """Return in words what a gate saw where one head contradicts another."""
    return (
        f"the service's audit trail had {before.audit.size} entries in generation {before.generation} and has "
        f"{after.audit.size} in generation {after.generation}, under another hash: the store was set back, or "
        "somebody changed entries; `watchword audit verify` at the service tells from where on"
    )
