"""Verify session proofs: a request's HMAC under a key that was sealed to the instance.

The gate holds the key too, or derives it: it can't prove to others who sent a request, and it could
forge proofs for its own API.  A route that must not trust its gate asks for ``device``.
"""

import hmac
from binascii import b2a_base64
from hmac import compare_digest
from typing import Final

from watchword.encoding import length_prefixed
from watchword.reasons import Reason, RefusedError
from watchword.tokens.interface import TokenClaims
from watchword.tokens.jose import public_key_from_jwk, thumbprint
from watchword.tokens.proofs.interface import (
    LABEL,
    SESSION_ALGORITHM,
    SESSION_KEY_BYTES,
    GateSecret,
    ProofKeys,
    ProofParts,
    SignedParts,
    VerifiedProof,
    lines_behind_token,
    read_signature,
    refuse_signature,
    signature_base,
    signature_form,
)

KEY_LABEL: Final = b"watchword/session/v1"
"""What session keys are derived for, and nothing else is."""

_FORM: Final = signature_form(SESSION_ALGORITHM, rb"[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=", 44)
_SIGNATURE: Final = LABEL + b"=:%b:"


def derive_key(
    secret: bytes, *, issuer: str, audience: str, session_id: str, thumbprint: str
) -> bytes:
    """Return the 32 bytes of a session's key (protocol, section 5).

    HKDF-Expand with one block (RFC 5869 section 2.3), which is one HMAC.  The names are joined behind
    their lengths, so that no two sessions give the same bytes; with the thumbprint the key is bound
    to the instance's own one.

    :param secret: the gate secret of audience and epoch, 32 bytes.
    :param thumbprint: RFC 7638, of the token's ``cnf.jwk``.
    :raises ValueError: for a secret of another length.
    """
    if len(secret) != SESSION_KEY_BYTES:
        raise ValueError(f"got a secret of {len(secret)} bytes, expected {SESSION_KEY_BYTES}")
    names = (name.encode() for name in (issuer, audience, session_id, thumbprint))
    return hmac.digest(secret, KEY_LABEL + length_prefixed.join(*names) + b"\x01", "sha256")


def verify(
    request: SignedParts, headers: ProofParts, keys: ProofKeys, leeway: int, now: float
) -> VerifiedProof:
    """Return what a session proof says, after every step held.

    1. All of :func:`watchword.tokens.proofs.interface.read_signature`, with the token's ``sid`` as key.
    2. The gate holds the secret of the token's epoch (``proof.epoch``).
    3. The MAC is that of the request (``proof.signature``).

    The caller still has to claim the nonce, and to compare the body with its digest.

    :param leeway: seconds by which clocks may differ.
    :param now: seconds since 1970.
    :raises RefusedError: with the reason of the first step that failed.
    """
    nonce, created, digest = read_signature(_FORM, request, headers, keys.session_id, leeway, now)
    signature_input, signature, _ = headers
    assert signature_input is not None
    assert signature is not None
    session_mac = keys.session_mac
    if session_mac is None:
        raise RefusedError.because(
            Reason.PROOF_EPOCH, "expected a token of an epoch whose secret the gate holds"
        )
    begun = keys.token_mac
    if begun is not None and request[0] == keys.token:
        digest_of_all = begun.digest(lines_behind_token(request, signature_input))
    else:
        digest_of_all = session_mac.digest(signature_base(request, signature_input))
    mac = b2a_base64(digest_of_all, newline=False)
    # The text is compared, not the bytes: it is canonical by itself, and nothing is decoded.
    if not compare_digest(_SIGNATURE % mac, signature):
        refuse_signature(_FORM, signature)
    # Half the cost of the class's own constructor, for what is made with each request.
    return tuple.__new__(VerifiedProof, (nonce, created, digest, None))


def proof_keys(
    claims: TokenClaims, secret: GateSecret | None, token: bytes | None = None
) -> ProofKeys:
    """Return the keys of a verified token; about ten microseconds, once for each token.

    :param secret: the gate's secret for the token's epoch; None where it holds none, and session
        proofs are refused.  One of another epoch counts as none.
    :param token: the one that says ``claims``; where it is known, its proofs are quicker to verify.
    :raises MalformedError: ``statement.key`` where ``cnf.jwk`` isn't a P-256 key; a verified token's is.
    """
    device_key = public_key_from_jwk(claims.key)
    name = thumbprint(claims.key)
    session_key = None
    if secret is not None and secret.epoch == claims.epoch:
        session_key = derive_key(
            secret.secret,
            issuer=claims.issuer,
            audience=claims.audience,
            session_id=claims.session_id,
            thumbprint=name,
        )
    return ProofKeys(
        session_id=claims.session_id.encode(),
        thumbprint=name.encode("ascii"),
        jwk=claims.key,
        device_key=device_key,
        session_key=session_key,
        token=token,
    )
