"""List the evidence formats: one line for each file under ``formats/``, and those that an operator adds."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

from watchword.attestation.formats.android_key import AndroidKey
from watchword.attestation.formats.app_attest import AppAttest
from watchword.attestation.formats.play_integrity import PlayIntegrity
from watchword.attestation.interface import Attestation, EvidenceFormat, Renewal
from watchword.reasons import MalformedError, Reason, WatchwordError

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
