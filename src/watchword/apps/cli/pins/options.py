"""Read options that several commands have."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from watchword.adapters.live_chain import Place
    from watchword.apps.pins.looking import Vantage

# What may not be read is told when it is read: that is no wrong usage.
FILE: Any = click.Path(dir_okay=False, readable=False, path_type=Path)

RESOLVE = click.option(
    "--resolve",
    multiple=True,
    metavar="HOST=ADDR[:PORT]",
    help="Look at a host there instead of at every address of its name; may be given several times.",
)
CA = click.option(
    "--cafile", type=FILE, help="Believe these authorities (PEM), not the platform's."
)
TIMEOUT = click.option(
    "--timeout",
    type=click.FloatRange(0.1, 60),
    default=5.0,
    show_default=True,
    help="Seconds for each handshake.",
)


def duration(text: str, hint: str) -> int:
    """Return the seconds of a duration such as 30d.

    :raises click.BadParameter: when it is none.
    """
    from pydantic_core import PydanticCustomError

    from watchword.apps.settings.written_types import seconds

    try:
        return seconds(text)
    except PydanticCustomError as error:
        raise click.BadParameter(
            f"got {text!r}, expected {error.message()}", param_hint=hint
        ) from None


def named_places(texts: "Sequence[str]") -> "Mapping[str, Sequence[Place]]":
    """Return by host where it is looked at.

    :raises click.BadParameter: when one isn't HOST=ADDRESS[:PORT].
    """
    from dataclasses import replace

    from watchword.adapters.live_chain import parse_resolve
    from watchword.apps.pins.hosts import read_host

    found: dict[str, list[Place]] = {}
    for text in texts:
        try:
            place = parse_resolve(text)
        except ValueError as error:
            raise click.BadParameter(str(error), param_hint="--resolve") from None
        host = read_host(place.host)
        found.setdefault(host, []).append(replace(place, host=host))
    return found


def vantage_of(options: dict[str, Any]) -> "Vantage":
    """Return from where servers are looked at, by the options above."""
    from watchword.apps.pins.looking import Vantage

    return Vantage(named_places(options["resolve"]), options["cafile"], options["timeout"])
