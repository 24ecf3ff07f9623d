"""Make and check challenges that need no row until they are used (protocol, section 2), over all that may make a service forget which were.

Layout, 57 bytes: version (1), expiry in seconds since 1970 (8, big endian), nonce (16),
HMAC-SHA256 (32) over a label, those 25 bytes, and the issuer, app and purpose, each with its
length in front, so that no two triples give the same input.

A used challenge is a row in the store.  A store that was put back from a backup doesn't know the uses since
then, and a clock that ran ahead had uses forgotten that are needed once it is set right.  Whatever a use may
have been forgotten of is refused: by the epoch that the code of a challenge covers, and by its expiry.
"""

import hmac
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

from watchword.encoding import length_prefixed
from watchword.enrolment.interface import CHALLENGE_SECONDS
from watchword.ports import ChallengeUse, Entropy
from watchword.reasons import MalformedError, Reason, RefusedError
from watchword.vocabulary import Purpose

MAX_CHALLENGE_BYTES = 64
"""Most bytes of a challenge of any version (protocol, section 2)."""

_VERSION = b"\x01"
_NONCE_BYTES = 16
_BODY_BYTES = 1 + 8 + _NONCE_BYTES
_MAC_BYTES = 32
_CHALLENGE_LABEL = b"watchword/challenge/v1\0"


def make_challenge(
    *, app: str, purpose: Purpose, issuer: str, key: bytes, now: datetime, entropy: Entropy
) -> bytes:
    """Return a challenge for one app and purpose that lives :data:`CHALLENGE_SECONDS`.

    :param key: the service's challenge key, at least 32 bytes.
    """
    expiry = int(now.timestamp()) + CHALLENGE_SECONDS
    body = _VERSION + expiry.to_bytes(8, "big") + entropy.token_bytes(_NONCE_BYTES)
    return body + _mac(body, app, purpose, issuer, key)


def check_challenge(
    challenge: bytes, *, app: str, purpose: Purpose, issuer: str, key: bytes, now: datetime
) -> ChallengeUse:
    """Return the one use that this challenge is good for; the caller still must record it.

    The code is checked before the expiry is read: an expiry that we didn't write means nothing.

    :raises MalformedError: ``challenge.malformed``.
    :raises RefusedError: ``challenge.unknown`` when it isn't ours or is for another app, purpose or
        issuer (which can't be told apart), ``challenge.expired``.
    """
    if len(challenge) != _BODY_BYTES + _MAC_BYTES or challenge[:1] != _VERSION:
        raise MalformedError.because(
            Reason.CHALLENGE_MALFORMED,
            f"got {len(challenge)} bytes, expected {_BODY_BYTES + _MAC_BYTES} of version 1",
        )
    body, code = challenge[:_BODY_BYTES], challenge[_BODY_BYTES:]
    if not hmac.compare_digest(code, _mac(body, app, purpose, issuer, key)):
        raise RefusedError.because(
            Reason.CHALLENGE_UNKNOWN,
            f"expected one that was made here for app {app} and purpose {purpose.value}",
        )
    expiry = int.from_bytes(body[1:9], "big")
    age = now.timestamp() - expiry
    if age >= 0:
        raise RefusedError.because(
            Reason.CHALLENGE_EXPIRED, f"it expired {age:.0f} s ago; it lives {CHALLENGE_SECONDS} s"
        )
    expires_at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=expiry)
    return ChallengeUse(body[9:], expires_at)


def _mac(body: bytes, app: str, purpose: Purpose, issuer: str, key: bytes) -> bytes:
    context = length_prefixed.join(issuer.encode(), app.encode(), purpose.value.encode())
    return hmac.digest(key, _CHALLENGE_LABEL + body + context, "sha256")


_CHALLENGES_LABEL: Final = b"watchword/challenge-epoch/v1\0"


class ChallengeEpochs(Protocol):
    """Know which of the service's challenges count; outside of the store, and only ever growing."""

    @property
    def number(self) -> int:
        """Return the epoch whose challenges count: 0 or more, below 2**63."""

    @property
    def forgotten(self) -> int:
        """Return up to which expiry, in seconds since 1970, uses in this epoch may have been forgotten."""

    def begin(self, now: datetime) -> None:
        """Begin another epoch, in which nothing was forgotten; challenges of earlier ones count no more."""


@dataclass(frozen=True, slots=True)
class OneEpoch:
    """Implement :class:`ChallengeEpochs` where nothing is ever forgotten or put back."""

    number: int = 0
    forgotten: int = 0

    def begin(self, now: datetime) -> None:
        """Do nothing."""


class Challenges:
    """Make challenges and check them."""

    def __init__(self, issuer: str, key: bytes, epochs: ChallengeEpochs) -> None:
        """Keep the key; nothing is made yet.

        :param key: the service's challenge key, at least 32 bytes.
        """
        self._issuer = issuer
        self._key = key
        self._epochs = epochs

    def __repr__(self) -> str:
        """Show nothing: a key in a log is a key lost."""
        return "Challenges(...)"

    def make(self, app: str, purpose: Purpose, now: datetime, entropy: Entropy) -> bytes:
        """Return a fresh challenge.

        A clock that was set back behind what was forgotten begins another epoch: nothing that is
        made now could be used in the old one, and until the clock has caught up nobody could enrol.
        """
        if int(now.timestamp()) + CHALLENGE_SECONDS < self._epochs.forgotten:
            self._epochs.begin(now)
        key = epoch_key(self._key, self._epochs.number)
        return make_challenge(
            app=app, purpose=purpose, issuer=self._issuer, key=key, now=now, entropy=entropy
        )

    def check(self, made: bytes, app: str, purpose: Purpose, now: datetime) -> ChallengeUse:
        """Return the one use that a challenge is good for; the caller still must record it.

        :raises MalformedError: ``challenge.malformed``.
        :raises RefusedError: as :func:`check_challenge` does; one of an earlier epoch is
            ``challenge.unknown``, and ``challenge.expired`` is also one whose use may have been forgotten.
        """
        key = epoch_key(self._key, self._epochs.number)
        use = check_challenge(made, app=app, purpose=purpose, issuer=self._issuer, key=key, now=now)
        if use.expires_at.timestamp() < self._epochs.forgotten:
            raise RefusedError.because(
                Reason.CHALLENGE_EXPIRED,
                "the clock was set back, and nobody knows any more whether it was used",
            )
        return use


def epoch_key(key: bytes, number: int) -> bytes:
    """Return the key of one epoch's challenges, which says nothing of any other's.

    The first epoch has the service's key itself, so that the vectors of the protocol need no epoch.
    """
    return (
        hmac.digest(key, _CHALLENGES_LABEL + number.to_bytes(8, "big"), "sha256") if number else key
    )
