"""Read what the subcommands of ``watchword secrets`` are told, and reach the service."""

from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import click

if TYPE_CHECKING:
    from watchword.apps.operator_client import OperatorClient


def operator(config: Path) -> "OperatorClient":
    """Return who speaks to the running service of a configuration."""
    from watchword.apps.operator_client import OperatorClient
    from watchword.apps.settings import load_settings

    return OperatorClient(load_settings(config).service.operator_socket)


def path_of(name: str, *further: str) -> str:
    """Return the path of a secret: quoted, so that a name with a slash is no other path."""
    return "/".join(("/v1/secrets", quote(name, safe=""), *further))


def overlap(_ctx: click.Context, _parameter: click.Parameter, value: str | None) -> int | None:
    """Accept ``0`` or a duration, as ``watchword.yaml`` has them; in seconds, None for none."""
    from pydantic_core import PydanticCustomError

    from watchword.apps.settings.written_types import seconds

    if value is None or value == "0":
        return None if value is None else 0
    try:
        found = seconds(value)
    except PydanticCustomError:
        found = -1
    if not 0 <= found <= seconds("90d"):
        raise click.BadParameter("expected 0 or a duration up to 90d, such as 90s, 5m, 1h or 1d")
    return found
