"""Verify device proofs: a request signed by the instance's own key, as an RFC 9421 signature."""

import binascii
from typing import Final

from watchword.tokens import jose
from watchword.tokens.proofs.interface import (
    DEVICE_ALGORITHM,
    ProofHeaders,
    ProofKeys,
    SignedRequest,
    VerifiedProof,
    read_signature,
    refuse_signature,
    signature_base,
    signature_form,
)

# The last of 86 characters has four spare bits, which are zero: one signature has one text.
_FORM: Final = signature_form(DEVICE_ALGORITHM, rb"[A-Za-z0-9+/]{85}[AQgw]==", 88)


_NAMED: Final = b';alg="%b"' % DEVICE_ALGORITHM.encode("ascii")


def is_named(signature_input: bytes) -> bool:
    """Tell whether a ``Signature-Input`` names this algorithm; no quoted part of a well-formed one looks like it."""
    return _NAMED in signature_input


def verify(
    request: SignedRequest, headers: ProofHeaders, keys: ProofKeys, leeway: int, now: float
) -> VerifiedProof:
    """Return what a device proof says, after every step held.

    1. All of :func:`watchword.tokens.proofs.interface.read_signature`, with the thumbprint of the
       token's ``cnf.jwk`` as key.
    2. The signature is that key's over the request (``proof.signature``; RFC 9421 section 3.3.4).

    The caller still has to claim the nonce, and to compare the body with its digest.

    :param leeway: seconds by which clocks may differ.
    :param now: seconds since 1970.
    :raises RefusedError: with the reason of the first step that failed.
    """
    nonce, created, digest = read_signature(_FORM, request, headers, keys.thumbprint, leeway, now)
    signature_input, signature = headers.signature_input, headers.signature
    assert signature_input is not None
    assert signature is not None
    found = _FORM.signature(signature)
    if found is None or not jose.is_signed_by(
        keys.device_key,
        binascii.a2b_base64(found[1], strict_mode=True),
        signature_base(request, signature_input),
    ):
        refuse_signature(_FORM, signature)
    return VerifiedProof(nonce, created, digest)
