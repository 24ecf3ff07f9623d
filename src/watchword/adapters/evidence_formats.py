"""Load the evidence formats that an operator adds, from the entry points of installed packages.

A package states ``[project.entry-points."watchword.evidence_formats"]`` with its format's name and where
the object is.  Only what ``trust.formats`` names is loaded: a package that happens to be installed
doesn't become somebody whose word opens the gate.
"""

from collections.abc import Sequence
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Final

from watchword.attestation.interface import EvidenceFormat
from watchword.attestation.registry import FORMATS
from watchword.reasons import WatchwordError
from watchword.vocabulary import Platform

GROUP: Final = "watchword.evidence_formats"
"""The group of entry points."""

_METHODS: Final = ("read_attestation", "read_renewal", "examine", "examine_renewal")


class EvidenceFormatError(WatchwordError):
    """Report a format that can't be loaded.

    :param name: as ``trust.formats`` names it; ``got`` and ``expected`` say what is wrong.
    """

    def __init__(self, name: str, got: str, expected: str) -> None:
        """Keep the parts, for a configuration fault to repeat."""
        self.name = name
        self.got = got
        self.expected = expected
        super().__init__(f"trust.formats: {name}: got {got}, expected {expected}")


def installed_formats() -> Sequence[str]:
    """Return the names of all formats that installed packages offer; nothing is loaded."""
    return sorted({point.name for point in entry_points(group=GROUP)})


def load_formats(names: Sequence[str]) -> tuple[EvidenceFormat, ...]:
    """Return the formats with these names, in this order.

    :raises EvidenceFormatError: on a name that is built in, given twice, offered by no package or by more
        than one, on a package that can't be imported, and on an object that isn't a format of that name.
    """
    twice = next((name for at, name in enumerate(names) if name in names[:at]), None)
    if twice is not None:
        raise EvidenceFormatError(twice, "it twice", "each name once")
    return tuple(_load(name) for name in names)


def _load(name: str) -> EvidenceFormat:
    if name in FORMATS:
        raise EvidenceFormatError(name, "a built-in format", "the name of one of your own")
    points = list(entry_points(group=GROUP, name=name))
    if len(points) != 1:
        known = ", ".join(installed_formats()) or "none is installed"
        got = "no such format" if not points else f"{len(points)} packages that offer it"
        raise EvidenceFormatError(name, got, f"one of those that are installed: {known}")
    return _checked(name, _object(name, points[0]))


def _object(name: str, point: EntryPoint) -> Any:
    try:
        return point.load()
    except Exception as error:  # A package may raise anything while it is imported.
        got = f"{point.value}, which can't be imported ({type(error).__name__})"
        raise EvidenceFormatError(name, got, "a package that can be imported") from error


def _checked(name: str, found: Any) -> EvidenceFormat:
    """Return the object if it has what a format has; a slip shows at the start, not at an enrolment."""
    if getattr(found, "name", None) != name:
        raise EvidenceFormatError(name, "an object of another name", f"a format named {name}")
    types = getattr(found, "evidence_types", None)
    good = (
        isinstance(getattr(found, "platform", None), Platform)
        and isinstance(getattr(found, "attested_key_proves", None), bool)
        and isinstance(types, tuple)
        and all(isinstance(each, type) for each in types)
        and all(callable(getattr(found, method, None)) for method in _METHODS)
    )
    if not good:
        raise EvidenceFormatError(
            name, "an object that isn't a format", "one like watchword's EvidenceFormat"
        )
    format_: EvidenceFormat = found
    return format_
