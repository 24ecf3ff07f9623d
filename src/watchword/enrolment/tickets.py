"""Let an instance bring a sealed copy of its row along when it renews, so that most renewals read and write no row of instances.

A ticket is sealed to nobody but the service: the app keeps it and can't read it.  It counts for a day from when the row was read
last, and only where nothing that the row would tell can have changed since:

1. It was sealed in this epoch of challenges, and for the instance that renews.
2. The policy, the app's registration and the status list are those of before.
3. This node knows who was revoked, as of at most two seconds ago, and the instance isn't among them.
4. It came with the same tokens as the challenge of the renewal.
5. No cut began since.

Where one of them fails, the row is read as without a ticket.  What a ticket can't show is told in docs/adr/0033.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum
from hashlib import blake2b, sha256
from typing import Any, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from watchword.encoding import base64url
from watchword.enrolment.statement import ChallengeEpochs, epoch_key
from watchword.ports import Entropy, Instance, InstanceStore, RevocationCursor
from watchword.reasons import MalformedError
from watchword.vocabulary import Level

LIFE: Final = timedelta(days=1)
"""How long after its row was read an instance may renew without it."""

MOST_AGE: Final = 2.0
"""Seconds after which what is known of revocations is too old for a ticket to count."""

MOST_REVOKED: Final = 200_000
"""Above so many instances that were revoked within a day no ticket counts, so that memory stays bounded."""

MAX_BYTES: Final = 4096
"""Most bytes of a ticket; one has about a thousand."""

_MARGIN: Final = timedelta(hours=1)
_SALT_BYTES: Final = 16
_KEY_BYTES: Final = 32
_LABEL: Final = b"watchword renewal ticket 1"
_PERSON: Final = b"watchword ticket"
_NONCE: Final = bytes(12)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_PAGE: Final = 1000


class RevokedLately:
    """Follow who was revoked within the life of a ticket: the change log of this node."""

    def __init__(self, store: InstanceStore, steady: Callable[[], float]) -> None:
        """Know nothing yet.

        :param steady: seconds that nobody sets.
        """
        self._store = store
        self._steady = steady
        self._cursor: RevocationCursor | None = None
        self._known: dict[str, datetime] = {}
        self._as_of: float | None = None

    @property
    def is_current(self) -> bool:
        """Tell whether all is known as of at most :data:`MOST_AGE` ago, and isn't too much."""
        return (
            self._as_of is not None
            and self._steady() - self._as_of <= MOST_AGE
            and len(self._known) <= MOST_REVOKED
        )

    def __contains__(self, instance_id: str) -> bool:
        """Tell whether an instance was revoked."""
        return instance_id in self._known

    async def follow(self, now: datetime) -> None:
        """Read what is new; one caller at a time.

        :raises UnavailableError: when the store can't be read; what is known gets older meanwhile.
        """
        since = now - LIFE - _MARGIN
        while True:
            begun = self._steady()
            news = await self._store.revocations(since, self._cursor, _PAGE)
            if news.anew and self._cursor is not None:
                self._as_of = None
            self._cursor = news.cursor
            self._known.update((each.id, each.revoked_at) for each in news.instances)
            if not news.more:
                break
        self._as_of = begun
        if any(at < since for at in self._known.values()):
            self._known = {name: at for name, at in self._known.items() if at >= since}


def revision_of(*parts: Any) -> bytes:
    """Return a digest of what tickets hang on: of values, whatever order sets and mappings have in this process."""
    return sha256(json.dumps([_plain(each) for each in parts], sort_keys=True).encode()).digest()


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        members = {each.name: _plain(getattr(value, each.name)) for each in fields(value)}
        return {type(value).__name__: members}
    if isinstance(value, Enum):
        return [type(value).__name__, value.name]
    if isinstance(value, Mapping):
        return {"map": sorted([[_key(name), _plain(each)] for name, each in value.items()])}
    if isinstance(value, set | frozenset):
        return {"set": sorted(map(_key, value))}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if value is None or isinstance(value, str | int | float | bool):
        return value
    return repr(value)


def _key(value: Any) -> str:
    return json.dumps(_plain(value), sort_keys=True)


@dataclass(frozen=True, slots=True)
class Ticket:
    """Hold what a ticket of ours says.

    :param instance: as its row was, with counter and time of the newest renewal.
    :param read_at: when the row was read.
    :param counts: whether the instance may renew by it; where not, it still tells which challenge came last.
    """

    instance: Instance
    read_at: datetime
    counts: bool


class Tickets:
    """Seal tickets and open them."""

    def __init__(
        self,
        key: bytes,
        epochs: ChallengeEpochs,
        revoked: RevokedLately,
        revision: Callable[[str], bytes],
        last_cut: Callable[[str], datetime | None],
        entropy: Entropy,
    ) -> None:
        """Keep the ports.

        :param key: the service's challenge key.
        :param revision: returns for an app the digest of policy, registration and status list, which may change at any time.
        :param last_cut: returns for an app the latest instant of a cut in force.
        """
        self._key = key
        self._epochs = epochs
        self.revoked = revoked
        self._revision = revision
        self._last_cut = last_cut
        self._entropy = entropy

    def __repr__(self) -> str:
        """Show nothing: a key in a log is a key lost."""
        return "Tickets(...)"

    def seal(self, instance: Instance, read_at: datetime) -> bytes:
        """Return the ticket of an instance.

        Each has a key of its own, from 16 random bytes, under which nothing else is sealed.
        """
        members = {
            "i": _members(instance),
            "r": _microseconds(read_at),
            "p": base64url.encode(self._revision(instance.app)),
        }
        salt = self._entropy.token_bytes(_SALT_BYTES)
        text = json.dumps(members, separators=(",", ":")).encode("ascii")
        return salt + AESGCM(self._sealing_key(salt)).encrypt(_NONCE, text, _LABEL)

    def open(self, ticket: bytes, instance_id: str, now: datetime) -> Ticket | None:
        """Return what a ticket says that was sealed here, in this epoch, for this instance; None for every other."""
        if not _SALT_BYTES < len(ticket) <= MAX_BYTES:
            return None
        salt, sealed = ticket[:_SALT_BYTES], ticket[_SALT_BYTES:]
        try:
            text = AESGCM(self._sealing_key(salt)).decrypt(_NONCE, sealed, _LABEL)
        except InvalidTag:
            return None
        try:
            # It is what we wrote.
            members = json.loads(text)
            instance = _instance(members["i"])
        except (MalformedError, KeyError, TypeError, ValueError):
            # Sealed by another version of the service, whose rows have other members.
            return None
        if instance.id != instance_id:
            return None
        read_at = _instant(members["r"])
        return Ticket(instance, read_at, self._counts(instance, read_at, members["p"], now))

    def _counts(self, instance: Instance, read_at: datetime, revision: str, now: datetime) -> bool:
        cut = self._last_cut(instance.app)
        return (
            read_at <= now < read_at + LIFE
            and revision == base64url.encode(self._revision(instance.app))
            and (cut is None or instance.renewed_at > cut)
            and self.stands(instance.id)
        )

    def stands(self, instance_id: str) -> bool:
        """Tell whether this node knows, as of now, that an instance isn't revoked."""
        return self.revoked.is_current and instance_id not in self.revoked

    def _sealing_key(self, salt: bytes) -> bytes:
        root = epoch_key(self._key, self._epochs.number)
        return blake2b(digest_size=_KEY_BYTES, key=root, salt=salt, person=_PERSON).digest()


_TIMES: Final = ("enrolled_at", "renewed_at", "attested_at", "expires_at")
_BYTES: Final = ("attested_key", "device_key")
# One that was revoked gets no ticket.
_NAMES: Final = tuple(
    each.name for each in fields(Instance) if each.name not in {"revoked_at", "revoked_because"}
)


def _members(instance: Instance) -> dict[str, Any]:
    found = {name: getattr(instance, name) for name in _NAMES}
    for name in _TIMES:
        found[name] = None if found[name] is None else _microseconds(found[name])
    for name in _BYTES:
        found[name] = None if found[name] is None else base64url.encode(found[name])
    found["level"] = instance.level.value
    found["proof_jwk"], found["seal_jwk"] = dict(instance.proof_jwk), dict(instance.seal_jwk)
    return found


def _instance(members: Mapping[str, Any]) -> Instance:
    found = dict(members)
    for name in _TIMES:
        found[name] = None if found[name] is None else _instant(found[name])
    for name in _BYTES:
        found[name] = None if found[name] is None else base64url.decode(found[name])
    for name in ("audiences", "serials"):
        found[name] = tuple(found[name])
    return Instance(**found | {"level": Level(found["level"])})


def _microseconds(at: datetime) -> int:
    return (at - _EPOCH) // timedelta(microseconds=1)


def _instant(value: int) -> datetime:
    return _EPOCH + timedelta(microseconds=value)
