"""Make and check the challenges of one service, over all that may make it forget which were used.

A used challenge is a row in the store.  A store that was put back from a backup doesn't know the uses since
then, and a clock that ran ahead had uses forgotten that are needed once it is set right.  Whatever a use may
have been forgotten of is refused: by the epoch that the code of a challenge covers, and by its expiry.
"""

import hmac
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

from watchword.enrolment import challenge
from watchword.enrolment.interface import CHALLENGE_SECONDS
from watchword.ports import ChallengeUse, Entropy
from watchword.reasons import Reason, RefusedError
from watchword.vocabulary import Purpose

_LABEL: Final = b"watchword/challenge-epoch/v1\0"


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
        return challenge.make(
            app=app, purpose=purpose, issuer=self._issuer, key=key, now=now, entropy=entropy
        )

    def check(self, made: bytes, app: str, purpose: Purpose, now: datetime) -> ChallengeUse:
        """Return the one use that a challenge is good for; the caller still must record it.

        :raises MalformedError: ``challenge.malformed``.
        :raises RefusedError: as :func:`watchword.enrolment.challenge.check` does; one of an earlier epoch is
            ``challenge.unknown``, and ``challenge.expired`` is also one whose use may have been forgotten.
        """
        key = epoch_key(self._key, self._epochs.number)
        use = challenge.check(made, app=app, purpose=purpose, issuer=self._issuer, key=key, now=now)
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
    return hmac.digest(key, _LABEL + number.to_bytes(8, "big"), "sha256") if number else key
