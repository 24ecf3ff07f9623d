"""Describe the ``pins`` section as it is written: which hosts are pinned for which apps, and how firmly.

The pinned keys themselves stand in the workspace, where `watchword pins` edits them.
"""

from typing import Annotated, Final, Literal, TypeAlias

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from watchword.apps.settings.written_types import Duration, FilePath, Name, Url, Written, within
from watchword.pins.interface import MAX_HOSTS
from watchword.pins.sets import read_host
from watchword.pins.spki import PinError

HOST_EXPECTED: Final = "the name of a server in lower case, such as api.example.com: no port, no address, no wildcard; beyond ASCII as xn--..."
"""What a host must be, for people."""


def pinned_host(text: str) -> str:
    """Accept the name of a server as a pin set has it."""
    try:
        return read_host(text)
    except PinError:
        raise PydanticCustomError("expected", "{expected}", {"expected": HOST_EXPECTED}) from None


PinnedHost: TypeAlias = Annotated[str, AfterValidator(pinned_host)]


class WrittenPinnedHost(Written):
    """Say for which apps a host is pinned, and what a mismatch ends in."""

    apps: Annotated[list[Name], Field(min_length=1, description="apps that pin this host")]
    mode: Annotated[
        Literal["report", "enforce"],
        Field(description="report: connect and tell; enforce: refuse and tell. Begin with report"),
    ] = "report"
    include_subdomains: Annotated[
        bool, Field(description="names below it too, where they have no entry of their own")
    ] = False
    after_expiry: Annotated[
        Literal["open", "closed"],
        Field(description="after the set's hard expiry. open: ordinary TLS; closed: no connection"),
    ] = "open"


class WrittenPins(Written):
    """Say which hosts are pinned, and how long a pin set lives."""

    directory: Annotated[
        FilePath, Field(description="the workspace that `watchword pins init` makes")
    ] = "pins"
    reports: Annotated[
        Url | None, Field(description="where apps report mismatches; never on a pinned host")
    ] = None
    soft_expiry: Annotated[
        Duration, within("1m", "180d"), Field(description="from when on apps look for a newer set")
    ] = "14d"
    hard_expiry: Annotated[
        Duration, within("1h", "400d"), Field(description="from when on it is enforced no more")
    ] = "90d"
    report_first: Annotated[
        Duration,
        within("1s", "90d"),
        Field(description="how long a host is `report` before `enforce` may be published"),
    ] = "7d"
    hosts: Annotated[
        dict[PinnedHost, WrittenPinnedHost],
        Field(max_length=MAX_HOSTS, description="by name of the server"),
    ] = {}
