"""Describe the section ``pins``: which hosts the apps pin, and how long a pin set lives."""

from collections.abc import Iterable
from typing import Annotated, Final, TypeAlias

from pydantic import AfterValidator, Field

from watchword.apps.settings.values import (
    Config,
    Duration,
    FilePath,
    Name,
    Url,
    Words,
    default,
    expected,
    within,
)
from watchword.pins.interface import MAX_HOSTS, AfterExpiry, PinError, PinMode, read_host

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
