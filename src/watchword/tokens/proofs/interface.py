"""Define what a proof covers, what one looks like, and what a verified one is worth."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

_BLOCK_BYTES: Final = 64
_INNER: Final = bytes(byte ^ 0x36 for byte in range(256))
_OUTER: Final = bytes(byte ^ 0x5C for byte in range(256))


class KeyedMac:
    """Hold the two hash states that HMAC (RFC 2104 section 4) reaches with a key alone.

    ``hmac.digest`` makes both anew, and looks its hash up anew, for every request: 1.9 us where this
    takes 1.1.  A state is only ever copied, so that one object serves all threads.
    """

    __slots__ = ("_inner", "_outer")

    def __init__(self, key: bytes, beginning: bytes = b"") -> None:
        """Take the key in.

        :param beginning: of all messages, which :meth:`digest` isn't given again.
        :raises ValueError: for a key longer than a block, which would be hashed first.
        """
        if len(key) > _BLOCK_BYTES:
            raise ValueError(f"got a key of {len(key)} bytes, expected at most {_BLOCK_BYTES}")
        block = key.ljust(_BLOCK_BYTES, b"\0")
        self._inner = hashlib.sha256(block.translate(_INNER) + beginning)
        self._outer = hashlib.sha256(block.translate(_OUTER))

    def digest(self, message: bytes) -> bytes:
        """Return the 32 bytes of the MAC over the beginning and what follows it."""
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(message)
        outer.update(inner.digest())
        return outer.digest()


PROOF_LIFE_SECONDS: Final = 60
"""How long after ``created`` a proof is accepted, the leeway of the clocks not counted."""

LABEL: Final = b"watchword"
"""The one label of the signature in ``Signature-Input`` and ``Signature`` (RFC 9421 section 4)."""

MIN_NONCE_CHARACTERS: Final = 16
MAX_NONCE_CHARACTERS: Final = 64
"""Bounds of a proof's nonce (a DPoP proof's ``jti``), characters of base64url."""

SESSION_ALGORITHM: Final = "hmac-sha256"
DEVICE_ALGORITHM: Final = "ecdsa-p256-sha256"
"""Names of the algorithms in the ``alg`` parameter (RFC 9421 section 6.2.2)."""

SESSION_KEY_BYTES: Final = 32
"""Bytes of a session key, and of a gate secret."""


class SignedRequest(NamedTuple):
    """Hold what a proof covers, as it arrived.

    A tuple, since one is made for each request.

    :param token: the value of ``Watchword-Token``.
    :param method: upper case.
    :param authority: the one ``Host``, in lower case.
    :param path: raw, undecoded, at least ``/``.
    :param query: raw, without the question mark; empty where there is none.
    :param content_digest: the value of ``Content-Digest`` where the request announces a body (empty
        if the header is missing), None where it announces none.
    """

    token: bytes
    method: bytes
    authority: bytes
    path: bytes
    query: bytes
    content_digest: bytes | None


SignedParts = tuple[bytes, bytes, bytes, bytes, bytes, bytes | None]
"""What a :class:`SignedRequest` holds, in its order: a plain tuple is made in a fifth of the time."""

ProofParts = tuple[bytes | None, bytes | None, bytes | None]
"""What :class:`ProofHeaders` holds, in its order."""


class ProofHeaders(NamedTuple):
    """Hold the headers that carry a proof, each at most once; None where it is missing."""

    signature_input: bytes | None
    signature: bytes | None
    dpop: bytes | None


class VerifiedProof(NamedTuple):
    """Hold what a proof says after its signature was verified.

    It must still be claimed in a replay store, and the body compared with its digest.

    :param nonce: 16 to 64 characters, never met before from an honest client.
    :param created: seconds since 1970; the proof is stale from ``created + PROOF_LIFE_SECONDS`` on, the
        leeway not counted.
    :param body_digest: SHA-256 that the body must have, None where the proof covers no body.
    :param affinity: the gate's nonce that a DPoP proof carries beside its ``jti``, None otherwise.
    """

    nonce: bytes
    created: int
    body_digest: bytes | None = None
    affinity: bytes | None = None


@dataclass(frozen=True, slots=True)
class GateSecret:
    """Hold the secret of one audience and one epoch, from which gates derive session keys.

    :param verify_until: seconds since 1970 after which tokens of this epoch are refused; None
        while it isn't retired.
    """

    epoch: int
    secret: bytes = field(repr=False)
    verify_until: float | None = None


@dataclass(frozen=True, slots=True)
class ProofKeys:
    """Hold what proofs of one token are verified with; made once for each token.

    :param session_id: ``sid`` of the token, which session proofs name as their key.
    :param thumbprint: RFC 7638 thumbprint of ``cnf.jwk``, which device proofs name as their key.
    :param session_key: 32 bytes, None where the gate doesn't hold the token's epoch.
    :param token: what the keys are of, as it is sent; None where only its claims are known.
    :ivar session_mac: made of the session key, None without one.
    :ivar token_mac: the same, begun with the first line of what a proof of the token signs.
    """

    session_id: bytes
    thumbprint: bytes
    jwk: Mapping[str, str]
    device_key: EllipticCurvePublicKey
    session_key: bytes | None = field(repr=False)
    token: bytes | None = field(default=None, repr=False)
    session_mac: KeyedMac | None = field(init=False, repr=False, compare=False)
    token_mac: KeyedMac | None = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Take session key and token into a MAC, once for all proofs of the token."""
        key, token = self.session_key, self.token
        mac = None if key is None else KeyedMac(key)
        begun = None if key is None or token is None else KeyedMac(key, token_line(token))
        object.__setattr__(self, "session_mac", mac)
        object.__setattr__(self, "token_mac", begun)


def token_line(token: bytes) -> bytes:
    """Return the first line of what a signature signs (RFC 9421 section 2.5), with its end."""
    return b'"watchword-token": %b\n' % token
