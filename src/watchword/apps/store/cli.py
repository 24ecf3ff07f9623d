"""Operate on the store: ``watchword store`` and its subcommands."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from watchword.apps.terminal.lazy import LazyGroup, body_in

_body = body_in("watchword.apps.store.commands")
_tables_body = body_in("watchword.apps.store.tables")


def _as_owner(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say as whom tables are made."""
    command = click.option(
        "--password",
        type=click.Path(path_type=Path, dir_okay=False, exists=True),
        help="File with the owner's password, mode 0600.",
    )(command)
    return click.option(
        "--as",
        "owner",
        metavar="ROLE",
        help="The role that owns the tables; left out: the one in service.store.",
    )(command)


@click.group(cls=LazyGroup, epilog="Example: watchword store status")
def command() -> None:
    """Look at the store, make its tables in PostgreSQL, and move it there."""


@command.command(
    "status",
    short_help="Show where the store is, and what is wrong with it.",
    epilog="Example: watchword store status --json | jq .warnings",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_obj
@_body
def status_command() -> None:
    """Show where the store is, the version of its tables, and what about the server would lose data or let a node do more than it needs.

    Exit code 0: nothing of that. 1: there are warnings. 3: the store can't be reached or used.
    """


@command.command(
    "init",
    short_help="Make the tables in an empty PostgreSQL database.",
    epilog="Example: watchword store init --as watchword_owner --password owner.password",
)
@_as_owner
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_obj
@_tables_body
def init_command() -> None:
    """Make the tables in the database that service.store names, and grant its role what a node needs.

    Make two roles first: one that owns the tables, and one for the nodes, which can then neither change a table nor an
    audit entry. Where the tables are there already, nothing is changed but the grants.
    """


@command.command(
    "upgrade",
    short_help="Bring the tables up to this version.",
    epilog="Example: watchword store upgrade --as watchword_owner --password owner.password",
)
@_as_owner
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_obj
@_tables_body
def upgrade_command() -> None:
    """Bring the tables up to this version while the service runs: forward only, each step whole or not at all.

    A step adds what the next version needs. A running service of the version before goes on beside it.
    """


@command.command(
    "migrate",
    short_help="Move the store from SQLite into PostgreSQL.",
    epilog="Example: watchword store migrate --from .watchword/watchword.db --as watchword_owner --rehearse",
)
@click.option(
    "--from",
    "source",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="The SQLite file, watchword.db in the state directory.",
)
@click.option("--rehearse", is_flag=True, help="Do all of it, compare, and take it back.")
@_as_owner
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_obj
@_tables_body
def migrate_command() -> None:
    """Move all rows into the empty tables of the database that service.store names, and compare counts and hashes.

    Nobody can write to the file meanwhile: a service that uses it answers 503. Rehearse first, which says how long that
    takes. At the end all is there and the file refuses to be used, or nothing has changed.
    """
