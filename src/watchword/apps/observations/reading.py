"""Read a file of observations, one a line; a line that can't be read costs none of the others."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

from watchword.adapters.observations import ObservationsFile
from watchword.apps.observations.document import ObservationError
from watchword.apps.observations.signing import Observers, verify
from watchword.observations import Claim, Vouched
from watchword.plan.interface import Catalogue


@dataclass(frozen=True, slots=True)
class LineFault:
    """Hold what is wrong with a line of the file.

    :param line: counted from 1.
    :param text: what was got and what was expected.
    """

    line: int
    text: str


@dataclass(frozen=True, slots=True)
class Reading:
    """Hold what a file of observations says, in the order of its lines.

    :param faults: lines that can't be read, so that what they said is missing.
    :param notes: what is no fault but worth a line: a last line without an end.
    """

    vouched: tuple[Vouched, ...] = ()
    claims: tuple[Claim, ...] = ()
    faults: tuple[LineFault, ...] = ()
    notes: tuple[LineFault, ...] = ()


def read_observations(file: Path, observers: Mapping[str, EllipticCurvePublicKey]) -> Reading:
    """Read the file; one that isn't there holds nothing.

    :param observers: public keys on P-256 of those whose word counts, by name.

    :raises ObservationsFileError: when it can't be read, or is larger than we read.
    """
    return read_lines(ObservationsFile(file).read(), observers)


def read_lines(data: bytes, observers: Mapping[str, EllipticCurvePublicKey]) -> Reading:
    """Read lines, each a JSON object or a compact JWS; empty ones are skipped over."""
    known = Observers.of(observers)
    vouched: list[Vouched] = []
    claims: list[Claim] = []
    faults: list[LineFault] = []
    lines = data.split(b"\n")
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            found = _read_line(line, known)
        except ObservationError as error:
            faults.append(LineFault(number, str(error)))
            continue
        if isinstance(found, Vouched):
            vouched.append(found)
        else:
            claims.append(found)
    notes: list[LineFault] = []
    # The newline is written last: what has none and can't be read was cut off.
    if faults and faults[-1].line == len(lines):
        cut = faults.pop()
        text = f"has no end, so that it is being written or its writer was killed ({cut.text})"
        notes.append(LineFault(cut.line, text))
    return Reading(tuple(vouched), tuple(claims), tuple(faults), tuple(notes))


def unknown_protections(reading: Reading, catalogue: Catalogue) -> tuple[str, ...]:
    """Return the ids that are observed and stand in no catalogue, in order: they have no effect."""
    stated = {each.observation.protection for each in reading.vouched}
    stated |= {each.observation.protection for each in reading.claims}
    return tuple(sorted(stated - catalogue.protections.keys()))


def _read_line(line: bytes, observers: Observers) -> Vouched | Claim:
    """Return what one line says.

    :raises ObservationError: when it can't be read.
    """
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError:
        raise ObservationError("line", "bytes that aren't UTF-8", "an observation") from None
    return verify(text, observers)
