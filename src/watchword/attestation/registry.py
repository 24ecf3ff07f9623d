"""List the evidence formats: one line for each file under ``formats/``."""

from collections.abc import Mapping
from typing import Final

from watchword.attestation.formats.android_key import AndroidKey
from watchword.attestation.formats.app_attest import AppAttest
from watchword.attestation.interface import Attestation, EvidenceFormat, Renewal
from watchword.reasons import MalformedError, Reason

_ALL: Final[tuple[EvidenceFormat, ...]] = (
    AppAttest(),
    AndroidKey(),
)

FORMATS: Final[Mapping[str, EvidenceFormat]] = {format_.name: format_ for format_ in _ALL}
"""The formats by their name on the wire."""


def find_format(name: object) -> EvidenceFormat:
    """Return the format that a request names.

    :raises MalformedError: with ``evidence.format_unknown``.
    """
    if not isinstance(name, str) or name not in FORMATS:
        raise MalformedError.because(
            Reason.EVIDENCE_FORMAT_UNKNOWN, f"expected one of: {', '.join(sorted(FORMATS))}"
        )
    return FORMATS[name]


def format_of(evidence: Attestation | Renewal) -> EvidenceFormat:
    """Return the format that verifies this evidence; raise TypeError if none does."""
    for format_ in _ALL:
        if isinstance(evidence, format_.evidence_types):
            return format_
    raise TypeError(f"no format verifies {type(evidence).__name__}")
