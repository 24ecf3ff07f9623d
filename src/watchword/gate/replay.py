"""Issue and check the nonces of ``affine`` replay: a proof passes at the one gate whose nonce it carries.

A gate then needs no store that it shares with others: it remembers the proofs that carry its own
nonce, and no other gate takes them.  Nothing is kept for a nonce, which is its own evidence.

A nonce is 30 characters of base64url: one byte of version, five bytes of the second in which its
turn began, and 16 bytes of HMAC-SHA256 over them, under a key that the gate drew at its start and
never shows.  128 bits can't be guessed online, and the key's 256 bits not offline.  One nonce serves
all clients for a turn, so that it isn't what makes a proof unique: that is what the client adds.
A restarted gate has another key and so refuses every proof that the one before it may have seen.
"""

import hashlib
import hmac
from typing import Final, Protocol

from watchword.encoding import base64url
from watchword.gate.interface import ReplayClaim, ReplayStore
from watchword.ports import Entropy
from watchword.reasons import MalformedError, Reason, RefusedError
from watchword.tokens.proofs.interface import PROOF_LIFE_SECONDS, VerifiedProof

DEFAULT_CAPACITY: Final = 1_000_000
"""Most claims at once: what two minutes bring at 8000 proofs a second, about 130 MB when full (170 where
all nonces are the longest)."""

BUCKET_SECONDS: Final = 32
"""Seconds of ``until`` that share a bucket: expiry is late by at most that."""


class ImmediateReplayStore(ReplayStore, Protocol):
    """Be a replay store that can answer at once, so that nobody has to wait for a turn of the loop."""

    def claim_now(self, claim: ReplayClaim, now: float) -> bool:
        """Do what :meth:`watchword.gate.interface.ReplayStore.claim` does."""


def window(leeway: int) -> int:
    """Return how many seconds ahead of now the ``until`` of an acceptable proof can lie, at most.

    A proof may be ``leeway`` ahead of the gate's clock, lives :data:`PROOF_LIFE_SECONDS`, and is let
    in for ``leeway`` beyond that.
    """
    return PROOF_LIFE_SECONDS + 2 * leeway


NONCE_CHARACTERS: Final = 30
"""Characters of a nonce, at the head of an RFC 9421 proof's own and alone in a DPoP proof."""

OWN_CHARACTERS: Final = 16
"""Least characters that the client adds of its own to an RFC 9421 proof's nonce."""

LIFE_SECONDS: Final = 300
"""How long a nonce is taken after its turn began."""

TURN_SECONDS: Final = 30
"""How long one nonce is handed out."""

AGEING_SECONDS: Final = LIFE_SECONDS // 2
"""From which age on an answer carries a fresh nonce, so that a client in use never meets a refusal."""

KEY_BYTES: Final = 32

_VERSION: Final = b"\x01"
_CONTEXT: Final = b"watchword/nonce/v1"
_MAX_TURNS: Final = 64
_HEAD_CHARACTERS: Final = 8
"""Characters of version and time, which are no secret."""


class AffinityNonces:
    """Issue the nonces of one gate and know them again.

    ``now`` is only compared with a nonce's own time: after a clock jumped, clients are handed a fresh
    nonce and go on with it; used proofs stay refused, since the replay store keeps them.
    """

    def __init__(self, key: bytes) -> None:
        """Issue under a key of :data:`KEY_BYTES` random bytes.

        :raises ValueError: when it has another length.
        """
        if len(key) != KEY_BYTES:
            raise ValueError(f"got a key of {len(key)} bytes, expected {KEY_BYTES}")
        self._key = key
        self._issued: dict[int, bytes] = {}
        self._known: dict[bytes, tuple[int, bytes]] = {}

    @classmethod
    def drawn(cls, entropy: Entropy) -> "AffinityNonces":
        """Return the nonces of a gate that starts now."""
        return cls(entropy.token_bytes(KEY_BYTES))

    def current(self, now: float) -> bytes:
        """Return the nonce that is handed out at ``now``."""
        return self._of_turn(int(now) // TURN_SECONDS * TURN_SECONDS)

    def is_own(self, nonce: bytes, now: float) -> bool:
        """Tell whether a nonce of exactly :data:`NONCE_CHARACTERS` is this gate's, and still young enough.

        The time of a stranger's nonce is read before its MAC is; it says nothing that is secret, and a
        MAC is only computed for a turn that can be.
        """
        return self._age(nonce, now) is not None

    def is_ageing(self, nonce: bytes, now: float) -> bool:
        """Tell whether the answer should carry a fresh nonce; of one that isn't own, it always should."""
        age = self._age(nonce, now)
        return age is None or age >= AGEING_SECONDS

    def verify(self, proof: VerifiedProof, now: float) -> bool:
        """Return whether a verified proof's nonce is ageing.

        :raises RefusedError: ``proof.nonce`` when it isn't this gate's, or too old; the answer then
            carries :meth:`current`.
        """
        nonce = proof.affinity
        if nonce is None:
            if len(proof.nonce) < NONCE_CHARACTERS + OWN_CHARACTERS:
                raise RefusedError.because(
                    Reason.PROOF_NONCE,
                    f"got a nonce of {len(proof.nonce)} characters, expected the gate's "
                    f"{NONCE_CHARACTERS} and at least {OWN_CHARACTERS} of the client's own",
                )
            nonce = proof.nonce[:NONCE_CHARACTERS]
        age = self._age(nonce, now)
        if age is None:
            raise RefusedError.because(
                Reason.PROOF_NONCE, "got a nonce that this gate didn't issue, or not lately"
            )
        return age >= AGEING_SECONDS

    def _age(self, nonce: bytes, now: float) -> float | None:
        """Return the seconds since the turn of a nonce began, None if it isn't own or too old."""
        known = self._known.get(nonce[:_HEAD_CHARACTERS])
        if known is None:
            began = _began(nonce)
            # A MAC is only computed for a turn that can be: strangers fill no memory.
            if began is None or began % TURN_SECONDS or not 0 <= now - began < LIFE_SECONDS:
                return None
            known = began, self._of_turn(began)
        age = now - known[0]
        if not 0 <= age < LIFE_SECONDS or not hmac.compare_digest(known[1], nonce):
            return None
        return age

    def _of_turn(self, began: int) -> bytes:
        """Return the nonce of a turn, remembered: there are 10 live ones."""
        nonce = self._issued.get(began)
        if nonce is None:
            head = _VERSION + began.to_bytes(5, "big")
            mac = hmac.digest(self._key, _CONTEXT + head, hashlib.sha256)[:16]
            nonce = base64url.encode(head + mac).encode("ascii")
            if len(self._issued) >= _MAX_TURNS:
                self._issued.clear()
                self._known.clear()
            self._issued[began] = nonce
            self._known[nonce[:_HEAD_CHARACTERS]] = began, nonce
        return nonce


def _began(nonce: bytes) -> int | None:
    """Return the second in which the turn of a nonce began as it says itself, None if it says none."""
    if len(nonce) != NONCE_CHARACTERS:
        return None
    try:
        head = base64url.decode(nonce[:_HEAD_CHARACTERS].decode("ascii"))
    except (MalformedError, UnicodeDecodeError):
        return None
    return int.from_bytes(head[1:], "big") if head[:1] == _VERSION else None
