"""Describe the section ``pins``, and read it: which hosts the apps pin, how long a pin set lives, and where its workspace is."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, TypeAlias

from pydantic import AfterValidator, Field

from watchword.apps.settings.document import Inconsistency
from watchword.apps.settings.faults import ConfigurationError, shown
from watchword.apps.settings.sections import (
    Config,
    Configuration,
    Duration,
    FilePath,
    Name,
    Url,
    Words,
    default,
    expected,
    within,
)
from watchword.pins.interface import (
    MAX_HOSTS,
    AfterExpiry,
    PinError,
    PinMode,
    host_of_url,
    read_host,
)
from watchword.vocabulary import Environment

HOST_EXPECTED: Final = "the name of a server in lower case, such as api.example.com: no port, no address, no wildcard; beyond ASCII as xn--..."
"""What a host must be, for people."""


def _pinned_host(text: str) -> str:
    """Accept the name of a server as a pin set has it."""
    try:
        return read_host(text)
    except PinError:
        raise expected(HOST_EXPECTED) from None


PinnedHost: TypeAlias = Annotated[str, AfterValidator(_pinned_host)]


class PinnedHostConfig(Config):
    """Say for which apps a host is pinned, and what a mismatch ends in."""

    apps: list[Name] = Field(min_length=1, description="apps that pin this host")
    mode: Annotated[PinMode, Words(PinMode)] = default(
        "report", "report: connect and tell; enforce: refuse and tell. Begin with report"
    )
    include_subdomains: bool = default(
        False, "names below it too, where they have no entry of their own"
    )
    after_expiry: Annotated[AfterExpiry, Words(AfterExpiry)] = default(
        "open", "after the set's hard expiry. open: ordinary TLS; closed: no connection"
    )


class PinsConfig(Config):
    """Say which hosts are pinned, and how long a pin set lives."""

    # The pinned keys themselves stand in the workspace, where `watchword pins` edits them.
    directory: FilePath = default("pins", "the workspace that `watchword pins init` makes")
    reports: Url | None = default(None, "where apps report mismatches; never on a pinned host")
    soft_expiry: Annotated[Duration, within("1m", "180d")] = default(
        "14d", "from when on apps look for a newer set"
    )
    hard_expiry: Annotated[Duration, within("1h", "400d")] = default(
        "90d", "from when on it is enforced no more"
    )
    report_first: Annotated[Duration, within("1s", "90d")] = default(
        "7d", "how long a host is `report` before `enforce` may be published"
    )
    hosts: dict[PinnedHost, PinnedHostConfig] = default(
        {}, "by name of the server", max_length=MAX_HOSTS
    )

    def hosts_of(self, app: str) -> tuple[str, ...]:
        """Return the hosts that an app pins, in the order of the file."""
        return tuple(name for name, each in self.hosts.items() if app in each.apps)

    def looked_at(self, apps: Iterable[str], named: Iterable[str]) -> tuple[str, ...]:
        """Return the hosts of some apps, and those of these names that a host which includes its subdomains stands for too."""
        hosts = dict.fromkeys(host for app in apps for host in self.hosts_of(app))
        wide = tuple(f".{host}" for host in hosts if self.hosts[host].include_subdomains)
        return (*hosts, *(each for each in named if each not in hosts and each.endswith(wide)))

    def standing_for(self, name: str) -> str:
        """Return the host by whose keys a name is pinned: itself, or the nearest above it which includes it."""
        above = name
        while above not in self.hosts or not (
            above == name or self.hosts[above].include_subdomains
        ):
            if "." not in above:
                return name
            above = above.partition(".")[2]
        return above

    @property
    def apps(self) -> tuple[str, ...]:
        """Return the apps that pin anything, each once."""
        return tuple(dict.fromkeys(app for each in self.hosts.values() for app in each.apps))


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
