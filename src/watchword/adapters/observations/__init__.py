"""Keep observations in a file that only grows, and observers' private keys in files of their own."""

from watchword.adapters.observations.file import (
    MAX_FILE_BYTES,
    MAX_LINES,
    ObservationsFile,
    ObservationsFileError,
)
from watchword.adapters.observations.observer_key import (
    ObserverKeyError,
    read_observer_key,
    write_observer_key,
)

__all__ = [
    "MAX_FILE_BYTES",
    "MAX_LINES",
    "ObservationsFile",
    "ObservationsFileError",
    "ObserverKeyError",
    "read_observer_key",
    "write_observer_key",
]
