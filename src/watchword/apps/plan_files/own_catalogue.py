"""Read a user's own techniques and protections from YAML, into the shipped catalogue."""

from pathlib import Path

from watchword.apps.settings.document import read_document
from watchword.apps.settings.faults import ConfigurationError, Fault, join
from watchword.plan.catalogue.reading import load_catalogue, merge
from watchword.plan.interface import Catalogue


def read_catalogue(own: Path | None = None) -> Catalogue:
    """Return the shipped catalogue, with the entries and changes of a file where one is named.

    :raises ConfigurationError: with every fault of the file at once.
    """
    if own is None:
        return load_catalogue()
    document = read_document(own)
    faults = list(document.faults)
    catalogue = load_catalogue()
    # An empty file is a fault already, and so is what couldn't be read in a part of it.
    if document.data is not None:
        catalogue, more = merge(catalogue, document.data)
        faults += [
            Fault(join(fault.where), document.line(fault.where), fault.got, fault.expected)
            for fault in more
        ]
    if faults:
        raise ConfigurationError(own, faults)
    return catalogue
