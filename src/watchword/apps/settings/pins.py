"""Read the section ``pins``: which hosts the apps pin, and what the pins hang on; pins need no whole deployment."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from watchword.apps.settings.configuration import Configuration
from watchword.apps.settings.document import Inconsistency
from watchword.apps.settings.faults import ConfigurationError, shown
from watchword.apps.settings.pins_section import PinsConfig
from watchword.pins.interface import PinError, host_of_url
from watchword.vocabulary import Environment

_PINS: Final = (
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
    pins: PinsConfig


def load_pins(path: Path) -> PinsFile:
    """Read the section ``pins`` and validate it, and of the rest only what it hangs on: pins need no whole deployment.

    :raises ConfigurationError: with every fault of the section at once; faults elsewhere are for `watchword check`.
    """
    file = Configuration.read(path)
    document = file.document
    faults = [
        each
        for each in document.faults
        if each.path in {"", "pins"} or each.path.startswith(("pins.", "pins["))
    ]
    if file.data.get("pins") is None:
        faults += document.located([(("pins",), "nothing", _PINS)])
        raise ConfigurationError(file.file, faults)
    pins, found = file.section(PinsConfig, "pins", {each.path for each in faults})
    faults += found
    if pins is not None:
        faults += document.located(between_pins(pins, file.data["pins"], file.apps))
    if pins is None or faults:
        raise ConfigurationError(file.file, faults)
    lab = file.data.get("environment") == "lab"
    return PinsFile(
        path=file.file.resolve(),
        environment=Environment.LAB if lab else Environment.PROD,
        apps=file.apps,
        state=file.state,
        pins=pins,
    )


def workspace_of(file: Configuration) -> Path:
    """Return the workspace of pins, or where it'd be by default."""
    return file.place("pins", "directory", PinsConfig.model_fields["directory"].default)


def between_pins(
    written: PinsConfig, section: Mapping[str, Any], apps: Collection[str]
) -> Iterator[Inconsistency]:
    """Yield what is wrong between the parts of a section that are each well formed.

    :param section: its plain values.
    :param apps: names of the apps of the file.
    """
    known = ", ".join(apps)
    for name, host in written.hosts.items():
        for index, app in enumerate(host.apps):
            path = ("pins", "hosts", name, "apps", index)
            if app not in apps:
                yield path, shown(app), f"an app of this file: {known}"
            elif app in host.apps[:index]:
                yield path, f"{app} again", "each app once"
            elif app == _WHERE_REPORTS_GO:
                yield path, app, f"another name: apps send their reports to /v1/pins/{app}"
        if host.include_subdomains and "." not in name:
            where = ("pins", "hosts", name, "include_subdomains")
            yield where, f"true for {name}", "a name with a dot: those below it are yours"
    if written.soft_expiry >= written.hard_expiry:
        soft, hard = (
            section.get(key, PinsConfig.model_fields[key].default)
            for key in ("soft_expiry", "hard_expiry")
        )
        yield ("pins", "soft_expiry"), shown(soft), f"less than hard_expiry, {hard}"
    if written.reports is not None:
        yield from _reports(written, written.reports)


_WHERE_REPORTS_GO: Final = "reports"
"""What stands in the place of an app's name where apps report mismatches, and so is no name of one with pins."""


def _reports(written: PinsConfig, url: str) -> Iterator[Inconsistency]:
    """Find a place for reports that the very mismatch cuts off, or that apps won't take."""
    try:
        host = host_of_url(url)
    except PinError as error:
        yield ("pins", "reports"), shown(url), error.detail.partition("expected ")[2] or "a URL"
        return
    if any(
        host == name or (each.include_subdomains and host.endswith(f".{name}"))
        for name, each in written.hosts.items()
    ):
        # A mismatch on it would cut off its own report.
        yield ("pins", "reports"), shown(url), "a host that isn't pinned"
