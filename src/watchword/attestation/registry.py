"""List the evidence formats, and verify evidence of any of them: by exception for the service, by value for reports.

There is one line for each file under ``formats/``, and those that an operator adds.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Final

from watchword.attestation.certificates import load_p256
from watchword.attestation.claims import VerifiedClaims
from watchword.attestation.formats.android_key import AndroidKey
from watchword.attestation.formats.app_attest import AppAttest
from watchword.attestation.formats.play_integrity import PlayIntegrity
from watchword.attestation.interface import (
    AppRegistration,
    Attestation,
    EvidenceFormat,
    Examination,
    Expected,
    Renewal,
    RenewalExamination,
    Step,
    Trust,
)
from watchword.reasons import MalformedError, Reason, Refusal, RefusedError, WatchwordError

_ALL: Final[tuple[EvidenceFormat, ...]] = (
    AppAttest(),
    AndroidKey(),
    PlayIntegrity(),
)

FORMATS: Final[Mapping[str, EvidenceFormat]] = MappingProxyType(
    {format_.name: format_ for format_ in _ALL}
)
"""The built-in formats by their name on the wire."""


class FormatNameError(WatchwordError):
    """Report a format whose name is taken; nothing may stand in for a built-in one."""


def with_formats(added: Iterable[EvidenceFormat]) -> Mapping[str, EvidenceFormat]:
    """Return the built-in formats and those that an operator added, by name.

    :raises FormatNameError: when a name is taken.
    """
    formats = dict(FORMATS)
    for format_ in added:
        if format_.name in formats:
            raise FormatNameError(f"got a second format named {format_.name}, expected a new name")
        formats[format_.name] = format_
    return MappingProxyType(formats)


def find_format(name: object, formats: Mapping[str, EvidenceFormat] = FORMATS) -> EvidenceFormat:
    """Return the format that a request names.

    :raises MalformedError: with ``evidence.format_unknown``.
    """
    if not isinstance(name, str) or name not in formats:
        raise MalformedError.because(
            Reason.EVIDENCE_FORMAT_UNKNOWN, f"expected one of: {', '.join(sorted(formats))}"
        )
    return formats[name]


def format_of(evidence: Attestation | Renewal) -> EvidenceFormat:
    """Return the built-in format that verifies this evidence; raise TypeError if none does."""
    for format_ in _ALL:
        if isinstance(evidence, format_.evidence_types):
            return format_
    raise TypeError(f"no format verifies {type(evidence).__name__}")


def verify(
    evidence: Attestation,
    expected: Expected,
    trust: Trust,
    now: datetime,
    evidence_format: EvidenceFormat | None = None,
) -> VerifiedClaims:
    """Return the claims of evidence that enrols, after every step of its format held.

    The attested key is one on P-256, which is what instances prove possession of; where the evidence
    attests none, it vouches for the key in the statement.

    What the caller still must do: appraise the claims (:mod:`watchword.policy`), and see to it
    that the challenge inside the binding is used once.

    :param evidence_format: the format that read the evidence; None finds the built-in one.
    :raises RefusedError: with everything that is wrong.
    :raises ValueError: when binding, app or age aren't expected; only :func:`examine` does without.
    """
    if expected.binding is None or expected.app is None or not expected.fresh:
        raise ValueError(
            "verification needs a binding and an app, and the age; reports use examine()"
        )
    return require_verified(examine(evidence, expected, trust, now, evidence_format))


def require_verified(examination: Examination) -> VerifiedClaims:
    """Return the claims of an examination in which every step held.

    For callers that want to keep the examination; it must be one with a binding and an app.

    :raises RefusedError: with everything that is wrong.
    """
    refusals = list(examination.refusals)
    claims = examination.claims
    attested_key = None if claims is None else claims.public_key
    if attested_key is not None and load_p256(attested_key) is None:
        unsupported = Refusal(Reason.ATTESTATION_KEY_UNSUPPORTED, "expected a key on P-256")
        if all(refusal.reason is not unsupported.reason for refusal in refusals):
            refusals.append(unsupported)
    if refusals or claims is None:
        raise RefusedError(refusals)
    return VerifiedClaims(claims)


def examine(
    evidence: Attestation,
    expected: Expected,
    trust: Trust,
    now: datetime,
    evidence_format: EvidenceFormat | None = None,
) -> Examination:
    """Carry out every step and return what was read and all that is wrong, for reports."""
    try:
        return (evidence_format or format_of(evidence)).examine(evidence, expected, trust, now)
    except MalformedError as error:
        step = Step("0", "reading", "evidence that can be read", "none", error.refusals)
        return Examination(None, (step,))


def verify_renewal(
    evidence: Renewal,
    statement: bytes,
    public_key: bytes,
    app: AppRegistration,
    evidence_format: EvidenceFormat | None = None,
) -> RenewalExamination:
    """Return counter and version of evidence that renews, after every step of its format held.

    What the caller still must do: compare and set the counter in the store's transaction, and
    use the statement's challenge once.

    :param statement: the bytes as received.
    :param public_key: SPKI DER of the attested key that enrolled.
    :raises RefusedError: with everything that is wrong.
    """
    renewed = evidence_format or format_of(evidence)
    examination = renewed.examine_renewal(evidence, statement, public_key, app)
    if examination.refusals:
        raise RefusedError(examination.refusals)
    return examination
