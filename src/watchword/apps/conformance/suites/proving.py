"""Sign requests in our profile, so that a suite's text stands in a header that is right in all the rest."""

import hashlib
from binascii import b2a_base64
from collections.abc import Mapping
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, derive_private_key
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from watchword.tokens.jwk import jwk_from_public_key, thumbprint
from watchword.tokens.proofs import content_digest, device, session
from watchword.tokens.proofs.interface import (
    DEVICE_ALGORITHM,
    LABEL,
    SESSION_ALGORITHM,
    KeyedMac,
    ProofHeaders,
    ProofKeys,
    SignedRequest,
    VerifiedProof,
)
from watchword.tokens.proofs.message_signature import BODY_COMPONENT, COMPONENTS, signature_base

NOW: Final = 1_795_500_000
"""The clock of all of these requests, seconds since 1970."""

KINDS: Final = ("session", "device")
"""The two proofs that are HTTP message signatures."""

_LEEWAY: Final = 30
_PRIVATE: Final = derive_private_key(19, SECP256R1())
_JWK: Final = jwk_from_public_key(_PRIVATE.public_key())
_SESSION_KEY: Final = hashlib.sha256(b"watchword/conformance/suites").digest()
_KEYS: Final = ProofKeys(
    session_id=b"session-1",
    thumbprint=thumbprint(_JWK).encode("ascii"),
    jwk=_JWK,
    device_key=_PRIVATE.public_key(),
    session_key=_SESSION_KEY,
)
_ALGORITHMS: Final[Mapping[str, str]] = {"session": SESSION_ALGORITHM, "device": DEVICE_ALGORITHM}
_NONCE: Final = b"bm9uY2Utb2YtYS1zdWl0ZQ"


def request(body: bytes | None = None) -> SignedRequest:
    """Return a request, with the digest of its body where it has one."""
    digest = None
    if body is not None:
        digest = content_digest.write(hashlib.sha256(body).digest()).encode("ascii")
    return SignedRequest(b"token", b"POST", b"example.com", b"/foo", b"param=Value&Pet=dog", digest)


def parameters(kind: str, *, with_body: bool = False) -> bytes:
    """Return what stands behind the label in ``Signature-Input``, as a genuine client writes it."""
    keyid = _KEYS.session_id if kind == "session" else _KEYS.thumbprint
    components = COMPONENTS + (BODY_COMPONENT if with_body else b"")
    algorithm = _ALGORITHMS[kind].encode("ascii")
    return b'(%b);created=%d;nonce="%b";alg="%b";keyid="%b"' % (
        components,
        NOW,
        _NONCE,
        algorithm,
        keyid,
    )


def sign(kind: str, signed: SignedRequest, inside: bytes) -> ProofHeaders:
    """Return the headers of a proof with these parameters, whatever they are, and a right signature."""
    signature_input = LABEL + b"=" + inside
    base = signature_base(signed, signature_input)
    if kind == "session":
        signature = KeyedMac(_SESSION_KEY).digest(base)
    else:
        r, s = decode_dss_signature(_PRIVATE.sign(base, ECDSA(SHA256())))
        signature = r.to_bytes(32) + s.to_bytes(32)
    text = b2a_base64(signature, newline=False)
    return ProofHeaders(signature_input, LABEL + b"=:" + text + b":", None)


def verify(kind: str, signed: SignedRequest, headers: ProofHeaders) -> VerifiedProof:
    """Return what a proof says.

    :raises RefusedError: as :mod:`watchword.tokens.proofs` does.
    """
    check = session.verify if kind == "session" else device.verify
    return check(signed, headers, _KEYS, _LEEWAY, NOW)


def holds(
    kind: str, signed: SignedRequest, headers: ProofHeaders, body: bytes | None = None
) -> bool:
    """Tell whether a proof holds, and the body is the one that it covers, as the gate compares it."""
    proof = verify(kind, signed, headers)
    return body is None or proof.body_digest == hashlib.sha256(body).digest()
