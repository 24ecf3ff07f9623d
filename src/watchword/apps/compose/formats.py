"""Load the evidence formats that ``trust.formats`` names, or tell what is wrong as faults of the file."""

from collections.abc import Sequence

from watchword.adapters.evidence_formats import EvidenceFormatError, load_formats
from watchword.apps.settings import ConfigurationError, Settings
from watchword.apps.settings.faults import Fault
from watchword.attestation.interface import EvidenceFormat


def formats_of(settings: Settings) -> Sequence[EvidenceFormat]:
    """Return the operator's own formats.

    Not a part of reading the file: gates read it too, in environments that don't have these packages.

    :raises ConfigurationError: when one can't be loaded; it names those that are installed.
    """
    try:
        return load_formats(settings.formats)
    except EvidenceFormatError as error:
        path = f"trust.formats[{settings.formats.index(error.name)}]"
        fault = Fault(path, None, f"{error.name!r}: {error.got}", error.expected)
        raise ConfigurationError(settings.path, [fault]) from error
