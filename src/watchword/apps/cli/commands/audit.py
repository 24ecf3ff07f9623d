"""Look into what was refused elsewhere; each subcommand is one file under ``cli/audit`` and a line here."""

import click

from watchword.apps.terminal.lazy import LazyGroup

SUBCOMMANDS = {
    "ingest": ("watchword.apps.cli.audit.ingest", "Read the refusals in an engine's access log."),
}


@click.group(
    cls=LazyGroup,
    registry=SUBCOMMANDS,
    epilog="Example: watchword audit ingest --engine nginx /var/log/nginx/watchword.json",
)
def command() -> None:
    """Read what engines in front of the API refused, so that `watchword explain` knows it."""
