"""Read the ``pins`` section: of the rest of the file only what it hangs on, so that pins need no whole deployment."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from watchword.apps.settings.document import read_document
from watchword.apps.settings.faults import ConfigurationError, Fault, join
from watchword.apps.settings.pins_forms import between_pins, pins_settings
from watchword.apps.settings.translation import translated
from watchword.apps.settings.validated import PinsSettings
from watchword.apps.settings.written_pins import WrittenPins
from watchword.vocabulary import Environment

_STATE: Final = ".watchword"

_SECTION: Final = (
    "a section `pins`; `watchword pins init` prints one, docs/pins.md tells what stands in it"
)


@dataclass(frozen=True, slots=True)
class PinsFile:
    """Hold what `watchword pins` reads of a file.

    :param path: the file, absolute.
    :param environment: prod where the file says nothing that can be read.
    :param apps: names of its apps.
    :param state: the service's state directory, where it keeps its own keys and floors.
    """

    path: Path
    environment: Environment
    apps: tuple[str, ...]
    state: Path
    pins: PinsSettings


def load_pins(file: Path) -> PinsFile:
    """Read the section and validate it.

    :raises ConfigurationError: with every fault of the section at once; faults elsewhere are for `watchword check`.
    """
    document = read_document(file)
    data: dict[str, Any] = document.data if isinstance(document.data, dict) else {}
    faults = [each for each in document.faults if each.path in {"", "pins"} or _within(each)]
    section = data.get("pins")
    if section is None:
        raise ConfigurationError(
            file, [*faults, Fault("pins", document.line(("pins",)), "nothing", _SECTION)]
        )
    apps = data.get("apps")
    names = tuple(map(str, apps)) if isinstance(apps, dict) else ()
    try:
        written = WrittenPins.model_validate(section)
    except ValidationError as error:
        told = {each.path for each in faults}
        faults += [each for each in translated(document, error, ("pins",)) if each.path not in told]
        raise ConfigurationError(file, faults) from None
    faults += [
        Fault(join(path), document.line(path), got, expected)
        for path, got, expected in between_pins(written, names)
    ]
    if faults:
        raise ConfigurationError(file, faults)
    base = file.resolve().parent
    return PinsFile(
        path=file.resolve(),
        environment=Environment.LAB if data.get("environment") == "lab" else Environment.PROD,
        apps=names,
        state=state_directory(file, data),
        pins=pins_settings(base, written),
    )


def state_directory(file: Path, data: dict[str, Any]) -> Path:
    """Return where a file says that the service keeps its state, or where it'd be by default."""
    service = data.get("service")
    state = service.get("state") if isinstance(service, dict) else None
    return (file.resolve().parent / (state if isinstance(state, str) else _STATE)).resolve()


def _within(fault: Fault) -> bool:
    return fault.path.startswith(("pins.", "pins["))
