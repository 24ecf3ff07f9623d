"""Operate on the store: ``watchword store`` and its subcommands."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from watchword.apps.terminal.lazy import LazyGroup, body_in

_body = body_in("watchword.apps.store.commands")
_tables_body = body_in("watchword.apps.store.tables")
_sealing = body_in("watchword.apps.store.sealing")
_backup = body_in("watchword.apps.store.backup")


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


@command.command(
    "backup",
    short_help="Copy the store and the keys, while the service runs.",
    epilog="Example: watchword store backup /var/backups/watchword-2026-12-03",
)
@click.argument("directory", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_obj
@_backup
def backup_command() -> None:
    """Copy the store, the key ring, secrets, canaries and the operator's revocations into a new DIRECTORY, mode 0700.

    The database is copied as it is at one instant while others write, and looked through. A store in PostgreSQL isn't copied:
    use its own tools. The master key of secrets isn't either: keep it elsewhere.

    Whoever has the copy can sign tokens.
    """


@command.command(
    "seal",
    short_help="Move keys, secrets and canaries from files into sealed rows.",
    epilog="Example: watchword store seal",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_obj
@_sealing
def seal_command() -> None:
    """Move keyring.json, secrets.json and canaries.json of this state directory into rows of the database that service.store names.

    They are encrypted under service.postgres.master_key. Stop the service first. The files stay, under names that end in
    .moved: remove them once a backup of the master key exists elsewhere.
    """


@command.command(
    "rekey",
    short_help="Seal rows under another master key.",
    epilog="Example: watchword store rekey",
)
@click.option(
    "--old",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="File with the key before, where service.postgres.other_master_key doesn't name it.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_obj
@_sealing
def rekey_command() -> None:
    """Seal each row anew under service.postgres.master_key.

    So that no node stops: name the new key as other_master_key on each node and restart it; then exchange both and restart
    again; then run this; then remove the old key. A key of OpenBao's is rotated there, and this follows.
    """


@command.command(
    "put-back",
    short_help="Write this node's copies of rows that the database lost.",
    epilog="Example: watchword store put-back",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_obj
@_sealing
def put_back_command() -> None:
    """Write this node's copy of each sealed row that is gone, older or different in the database, as its next version.

    For a database that was restored or lost its last changes, and once you know that it is the right one. Run it on the node
    that has seen the highest version: nodes tell it when they refuse. Rows that are newer than the copy stay.
    """


@click.command(
    "nodes",
    short_help="Show the nodes of the service, and who does what.",
    epilog="Example: watchword nodes --json | jq .nodes",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_obj
@_tables_body
def nodes_command() -> None:
    """Show the nodes that share the PostgreSQL of service.store: whether each takes requests, or why not, and which chores it does.

    Exit code 0: every node that runs is ready, and one tells gates. 1: not so. 3: the store can't be reached.
    """
