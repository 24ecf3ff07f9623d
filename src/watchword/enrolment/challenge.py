"""Make and check challenges that need no row until they are used (protocol, section 2).

Layout, 57 bytes: version (1), expiry in seconds since 1970 (8, big endian), nonce (16),
HMAC-SHA256 (32) over a label, those 25 bytes, and the issuer, app and purpose, each with its
length in front, so that no two triples give the same input.
"""

import hmac
from datetime import UTC, datetime, timedelta

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
_LABEL = b"watchword/challenge/v1\0"


def make(
    *, app: str, purpose: Purpose, issuer: str, key: bytes, now: datetime, entropy: Entropy
) -> bytes:
    """Return a challenge for one app and purpose that lives :data:`CHALLENGE_SECONDS`.

    :param key: the service's challenge key, at least 32 bytes.
    """
    expiry = int(now.timestamp()) + CHALLENGE_SECONDS
    body = _VERSION + expiry.to_bytes(8, "big") + entropy.token_bytes(_NONCE_BYTES)
    return body + _mac(body, app, purpose, issuer, key)


def check(
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
    return hmac.digest(key, _LABEL + body + context, "sha256")
