"""Hold the options that every subcommand takes which writes an engine's configuration."""

from pathlib import Path
from typing import Any, TypeVar

import click

_Command = TypeVar("_Command", bound=Any)

_OPTIONS = (
    click.option(
        "-o",
        "--output",
        type=click.Path(path_type=Path, file_okay=False),
        required=True,
        help="The directory for the files, made with mode 0700.",
    ),
    click.option("--api", metavar="NAME", help="Which API; not needed where there is one."),
    click.option(
        "--bundle",
        type=click.Path(path_type=Path, dir_okay=False),
        help="The gate bundle, if not the one in the state directory.",
    ),
    click.option(
        "--signer",
        type=click.Path(path_type=Path, dir_okay=False),
        help="The service's public key, if not the one in the state directory.",
    ),
    click.option(
        "--listen",
        metavar="HOST:PORT",
        help="Where clients come in; left out, at the API's `listen`, which `watchword up` takes where it runs.",
    ),
    click.option(
        "--authz",
        metavar="unix:PATH",
        help="Where forward auth answers, if not as in the file; HOST:PORT for Traefik.",
    ),
    click.option(
        "--access-log",
        type=click.Path(path_type=Path, dir_okay=False),
        help="JSON log of refusals, if not stdout.",
    ),
)


def engine_options(command: _Command) -> _Command:
    """Give a command the options ``output``, ``api``, ``bundle``, ``signer``, ``listen``, ``authz``, ``access_log``."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command
