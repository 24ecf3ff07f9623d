"""Remember, across restarts, how far a gate ever was: below that it takes nothing, and after version 2 no version 1."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from watchword.adapters.keyring.private_file import (
    OtherFormatError,
    PrivateFileError,
    read_private,
    require_format,
    write_private,
)
from watchword.encoding import strict_json
from watchword.gate.bundle import GateBundleError, a_number, an_object
from watchword.reasons import MalformedError

_SUFFIX: Final = ".floor"
_FORMAT: Final = 1
_MOST_BYTES: Final = 256


@dataclass(frozen=True, slots=True)
class Floor:
    """Hold the version of bundles that was taken, 1 or 2, and the highest generation."""

    version: int = 1
    generation: int = 0


def floor_path(bundle: Path) -> Path:
    """Return the file beside a bundle."""
    return bundle.with_suffix(_SUFFIX)


class SpoiledFloorError(GateBundleError):
    """Report a floor that says nothing; whoever has a bundle that is known to be the newest writes it anew."""


def read_floor(bundle: Path) -> Floor:
    """Return what is remembered; nothing where no file is.

    :raises SpoiledFloorError: when there is one that can't be read: who spoils it must not gain by it.
    :raises GateBundleError: when it is of another format, most likely a newer Watchword's.
    """
    path = floor_path(bundle)
    try:
        data = read_private(path, _MOST_BYTES)
        if data is None:
            return Floor()
        members = an_object(
            strict_json.loads(data, _MOST_BYTES), {"v", "version", "generation"}, "a floor"
        )
        require_format(path, members["v"], _FORMAT)
        return Floor(
            a_number(members["version"], "version", 1),
            a_number(members["generation"], "generation", 0),
        )
    except OtherFormatError as error:
        raise GateBundleError(str(error)) from None
    except (PrivateFileError, MalformedError, GateBundleError, ValueError) as error:
        raise SpoiledFloorError(
            f"{path}: {error}; it says how far this gate was, remove it only if you know that the bundle is the newest"
        ) from None


def raise_floor(bundle: Path, floor: Floor) -> None:
    """Remember a floor, unless a higher one is remembered; one that was spoiled is mended by it.

    :raises PrivateFileError: when it can't be written.
    :raises GateBundleError: when the one that is there is of another format.
    """
    try:
        known = read_floor(bundle)
    except SpoiledFloorError:
        known = Floor()
    risen = Floor(
        max(known.version, floor.version),
        max(known.generation, floor.generation),
    )
    if risen != known:
        members = {"v": _FORMAT, "version": risen.version, "generation": risen.generation}
        write_private(floor_path(bundle), strict_json.dumps(members) + b"\n")
