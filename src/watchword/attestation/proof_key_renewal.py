"""Verify renewals of formats whose evidence attests no key: the instance's proof key signs."""

from collections.abc import Mapping
from typing import Any, Final

from watchword.attestation.certificates import is_p256_signature, p256_point
from watchword.attestation.interface import (
    AppRegistration,
    ProofKeySignature,
    Renewal,
    RenewalExamination,
    expect_members,
    platform_refusals,
    read_bytes,
)
from watchword.reasons import Reason, Refusal
from watchword.vocabulary import Platform

RENEWAL_PREFIX: Final = b"watchword/renew/v1\0"
"""What stands before the statement under a renewal's signature: the proof key signs nothing else of
that shape for anyone (protocol, section 1)."""


def read_proof_key_signature(members: Mapping[str, Any]) -> ProofKeySignature:
    """Read ``{"signature": base64url DER}``, with no evidence made anew.

    :raises MalformedError: with ``evidence.malformed``.
    """
    expect_members(members, {"signature"})
    return ProofKeySignature(read_bytes("signature", members["signature"]))


def examine_proof_key_signature(
    evidence: Renewal, statement: bytes, public_key: bytes, app: AppRegistration, platform: Platform
) -> RenewalExamination:
    """Check ECDSA with SHA-256 by the proof key over the prefix and the statement.

    Evidence that was made anew isn't looked at here: it is verified like the evidence of an enrolment,
    bound to the renewal statement.  What the caller still must do: that, and use the challenge once.

    :param public_key: SPKI DER of the instance's proof key.
    :param platform: the format's.
    """
    if not isinstance(evidence, ProofKeySignature):
        raise TypeError(f"got {type(evidence).__name__}, expected ProofKeySignature")
    refusals = list(platform_refusals(platform, app))
    if p256_point(public_key) is None:
        refusals.append(Refusal(Reason.ATTESTATION_KEY_UNSUPPORTED, "expected a P-256 key"))
    elif not is_p256_signature(public_key, evidence.signature, RENEWAL_PREFIX + statement):
        refusals.append(Refusal(Reason.EVIDENCE_SIGNATURE, "not signed by the proof key over this"))
    return RenewalExamination(None, tuple(refusals))
