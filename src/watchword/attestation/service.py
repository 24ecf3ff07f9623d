"""Verify evidence, whatever its format: by exception for the service, by value for reports."""

from datetime import datetime

from watchword.attestation.certificates import load_p256
from watchword.attestation.interface import (
    AppRegistration,
    Attestation,
    Examination,
    Expected,
    Renewal,
    RenewalExamination,
    Trust,
    VerifiedClaims,
)
from watchword.attestation.registry import format_of
from watchword.reasons import MalformedError, Reason, Refusal, RefusedError


def verify(
    evidence: Attestation, expected: Expected, trust: Trust, now: datetime
) -> VerifiedClaims:
    """Return the claims of evidence that enrols, after every step of its format held.

    The attested key is one on P-256, which is what instances prove possession of.

    What the caller still must do: appraise the claims (:mod:`watchword.policy`), and see to it
    that the challenge inside the binding is used once.

    :raises RefusedError: with everything that is wrong.
    :raises ValueError: when binding or app aren't expected; only :func:`examine` does without.
    """
    if expected.binding is None or expected.app is None:
        raise ValueError("verification needs a binding and an app; reports use examine()")
    examination = examine(evidence, expected, trust, now)
    refusals = list(examination.refusals)
    claims = examination.claims
    if claims is not None and load_p256(claims.public_key) is None:
        unsupported = Refusal(Reason.ATTESTATION_KEY_UNSUPPORTED, "expected a key on P-256")
        if all(refusal.reason is not unsupported.reason for refusal in refusals):
            refusals.append(unsupported)
    if refusals or claims is None:
        raise RefusedError(refusals)
    return VerifiedClaims(claims)


def examine(evidence: Attestation, expected: Expected, trust: Trust, now: datetime) -> Examination:
    """Carry out every step and return what was read and all that is wrong, for reports."""
    try:
        return format_of(evidence).examine(evidence, expected, trust, now)
    except MalformedError as error:
        return Examination(None, error.refusals)


def verify_renewal(
    evidence: Renewal, statement: bytes, public_key: bytes, app: AppRegistration
) -> RenewalExamination:
    """Return counter and version of evidence that renews, after every step of its format held.

    What the caller still must do: compare and set the counter in the store's transaction, and
    use the statement's challenge once.

    :param statement: the bytes as received.
    :param public_key: SPKI DER of the attested key that enrolled.
    :raises RefusedError: with everything that is wrong.
    """
    examination = format_of(evidence).examine_renewal(evidence, statement, public_key, app)
    if examination.refusals:
        raise RefusedError(examination.refusals)
    return examination
