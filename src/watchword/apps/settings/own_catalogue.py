"""Read a user's own techniques and protections from YAML, into the shipped catalogue."""

from pathlib import Path

from watchword.apps.settings.document import read_document
from watchword.apps.settings.faults import ConfigurationError, Fault, join, shown
from watchword.apps.settings.likelihood import likelihoods
from watchword.plan.catalogue import load_catalogue, merge
from watchword.plan.interface import Catalogue


def read_catalogue(own: Path | None = None) -> Catalogue:
    """Return the shipped catalogue, with the entries and changes of a file where one is named.

    :raises ConfigurationError: with every fault of the file at once.
    """
    if own is None:
        return load_catalogue()
    catalogue, faults = with_own(load_catalogue(), own)
    if faults:
        raise ConfigurationError(own, faults)
    return catalogue


def with_own(base: Catalogue, own: Path) -> tuple[Catalogue, list[Fault]]:
    """Return a catalogue with a user's file merged in, and everything that is wrong with that file.

    :returns: ``base`` itself where there are faults.
    :raises ConfigurationError: when the file can't be read, or isn't YAML at all.
    """
    document = read_document(own)
    faults = [*document.faults, *likelihoods(document, document.data, ())]
    if not isinstance(document.data, dict):
        if not faults:
            faults.append(Fault("", document.line(()), shown(document.data), "a mapping"))
        return base, faults
    catalogue, found = merge(base, document.data)
    told = {fault.path for fault in faults}
    wrong = [
        Fault(join(each.where), document.line(each.where), each.got, each.expected)
        for each in found
    ]
    return catalogue, faults + [fault for fault in wrong if fault.path not in told]


def configured_catalogue(file: Path) -> Path | None:
    """Return the file that ``plan: catalogue:`` of a configuration names, None where none is named.

    Other faults of that file are for `watchword check` and `watchword plan`.

    :raises ConfigurationError: when the configuration is there and isn't YAML at all.
    """
    if not file.is_file():
        return None
    data = read_document(file).data
    plan = data.get("plan") if isinstance(data, dict) else None
    named = plan.get("catalogue") if isinstance(plan, dict) else None
    return file.resolve().parent / named if isinstance(named, str) and named else None
