"""Read what the subcommands of ``watchword instances`` are told, and who answers them."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from watchword.apps.terminal.console import encodable

if TYPE_CHECKING:
    from watchword.apps.service.client import OperatorClient

NOT_RECORDED = (
    "The audit trail can't be written now: it is done all the same, and will be recorded as soon as there is "
    "room. Free the disk before you stop the service."
)
"""What is said of a revocation that the service couldn't record."""

MAX_BECAUSE = 500
"""Most characters of a reason; the service has the same limit."""


def reason(ctx: click.Context, parameter: click.Parameter, value: str) -> str | None:
    """Accept a reason for the audit trail."""
    if not 0 < len(value) <= MAX_BECAUSE:
        raise click.BadParameter(f"got {len(value)} characters, expected 1 to {MAX_BECAUSE}")
    return encodable(ctx, parameter, value)


def life(most: str) -> Callable[[click.Context, click.Parameter, str], int]:
    """Return what accepts a duration from a minute to ``most``, as ``watchword.yaml`` has them; in seconds."""

    def read(_ctx: click.Context, _parameter: click.Parameter, value: str) -> int:
        from pydantic_core import PydanticCustomError

        from watchword.apps.settings.schema import seconds

        try:
            found = seconds(value)
        except PydanticCustomError:
            found = 0
        if not seconds("1m") <= found <= seconds(most):
            raise click.BadParameter(
                f"got {value!r}, expected a duration from 1m to {most}, such as 90s, 5m, 1h or 1d"
            )
        return found

    return read


def operator(config: Path) -> "OperatorClient":
    """Return who speaks to the running service of a configuration."""
    from watchword.apps.service.client import OperatorClient
    from watchword.apps.settings import load_settings

    return OperatorClient(load_settings(config).service.operator_socket)


def shortened(at: str) -> str:
    """Return a time of the service's as people read it: month, day, hour and minute, in UTC."""
    return at[5:16].replace("T", " ")
