"""Write, sign and read observations: which of them are vouched for, and which are claims."""

from watchword.apps.observations.document import ObservationError, from_json, to_json
from watchword.apps.observations.reading import (
    LineFault,
    Reading,
    read_lines,
    read_observations,
    unknown_protections,
)
from watchword.apps.observations.signing import OBSERVATION_TYPE, Observers, sign, unsigned, verify

__all__ = [
    "OBSERVATION_TYPE",
    "LineFault",
    "ObservationError",
    "Observers",
    "Reading",
    "from_json",
    "read_lines",
    "read_observations",
    "sign",
    "to_json",
    "unknown_protections",
    "unsigned",
    "verify",
]
