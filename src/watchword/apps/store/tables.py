"""Make, upgrade and fill the store's tables in PostgreSQL: ``watchword store init``, ``upgrade`` and ``migrate``; look at the nodes."""

from dataclasses import asdict
from pathlib import Path

import click

from watchword.adapters.nodes import Chore, ClusterView, OtherNode
from watchword.adapters.postgres import migration, schema
from watchword.adapters.postgres.address import PostgresAddress
from watchword.adapters.postgres.node import look_at_nodes
from watchword.adapters.system import SystemEntropy, steady_seconds
from watchword.apps.settings.load import load_settings
from watchword.apps.terminal.console import EXIT_REFUSED, print_json
from watchword.apps.terminal.paragraphs import printable
from watchword.encoding.phrases import counted


def init_command(config: Path, *, owner: str | None, password: Path | None, as_json: bool) -> None:
    """See ``watchword store init``."""
    _upgrade(config, owner, password, as_json=as_json, fresh=True)


def upgrade_command(
    config: Path, *, owner: str | None, password: Path | None, as_json: bool
) -> None:
    """See ``watchword store upgrade``."""
    _upgrade(config, owner, password, as_json=as_json, fresh=False)


def _upgrade(
    config: Path, owner: str | None, password: Path | None, *, as_json: bool, fresh: bool
) -> None:
    address = _named(config)
    acting = _acting(address, owner, password)
    before, after = schema.upgrade(acting, address.user, SystemEntropy(), fresh=fresh)
    if as_json:
        print_json({"before": before.version, "after": after.version})
    elif before.version == after.version:
        click.echo(f"The tables are of version {after.version} already; the grants are renewed.")
    elif before.version == 0:
        click.echo(f"Made the tables of version {after.version}.")
    else:
        click.echo(f"Brought the tables from version {before.version} to {after.version}.")


def migrate_command(
    config: Path,
    *,
    source: Path,
    rehearse: bool,
    owner: str | None,
    password: Path | None,
    as_json: bool,
) -> None:
    """See ``watchword store migrate``."""
    address = _named(config)
    began = steady_seconds()

    def told(moved: migration.Moved) -> None:
        if not as_json:
            click.echo(
                f"{moved.table}: {counted(moved.rows, 'row')}, hash {moved.digest[:16]}, equal"
            )

    moved = migration.migrate(
        source, _acting(address, owner, password), rehearse=rehearse, told=told
    )
    pause = steady_seconds() - began
    if as_json:
        tables = {each.table: {"rows": each.rows, "sha256": each.digest} for each in moved}
        print_json({"rehearsal": rehearse, "seconds": round(pause, 3), "tables": tables})
        return
    rows = sum(each.rows for each in moved)
    if rehearse:
        click.echo(
            f"Rehearsed {counted(rows, 'row')} in {pause:.1f} s, and took them back: so long will the pause be."
        )
    else:
        click.echo(
            f"Moved {counted(rows, 'row')} in {pause:.1f} s. Start `watchword up` with this file now; "
            f"{source} stays as a backup and refuses to be used."
        )


_REASONS = {
    "store": "it can't reach the store",
    "configuration": "its watchword.yaml differs from that of the node that tells gates",
    "key-ring": "its keyring.json differs from that of the node that tells gates",
    "clock": "its clock is wrong",
    "leader": "it knows no node that tells gates",
    "gates": "it can't believe what is published",
    "disk": "it can't write the files that gates read",
    "service": "the database is of another service",
}


def nodes_command(config: Path, *, as_json: bool) -> None:
    """See ``watchword nodes``."""
    view = look_at_nodes(_named(config))
    leading = view.leaders.get(Chore.GATES, (0, ""))[1]
    live = [each for each in view.nodes if each.is_live]
    fine = any(each.name == leading for each in live) and not any(each.unready for each in live)
    if as_json:
        leaders = {
            chore: {"node": node, "term": term} for chore, (term, node) in view.leaders.items()
        }
        print_json(
            {
                "nodes": [asdict(each) | {"live": each.is_live} for each in view.nodes],
                "leaders": leaders,
                "revision": view.revision,
            }
        )
    else:
        for each in view.nodes:
            click.echo(printable(_node_line(each, view)))
        if not any(each.name == leading for each in live):
            click.echo("No node tells gates.")
    if not fine:
        raise click.exceptions.Exit(EXIT_REFUSED)


def _node_line(node: OtherNode, view: ClusterView) -> str:
    if not node.is_live:
        return f"{node.name}: gone, last heard of {node.silent:.0f} s ago"
    reasons = [_REASONS.get(each, each) for each in node.unready.split()]
    state = f"unready: {'; '.join(reasons)}" if reasons else "ready"
    chores = [chore for chore, (_, name) in view.leaders.items() if name == node.name]
    does = f"; does {', '.join(chores)}" if chores else ""
    return f"{node.name}: {state}; {node.version}; gates at revision {node.published} of {view.revision}{does}"


def _named(config: Path) -> PostgresAddress:
    address = load_settings(config).service.postgres_address
    if address is None:
        raise click.UsageError(
            "service.store is sqlite: name a PostgreSQL there, such as postgresql://watchword_node@db.example/watchword"
        )
    return address


def _acting(address: PostgresAddress, owner: str | None, password: Path | None) -> PostgresAddress:
    if owner is None:
        return address if password is None else address.acting_as(address.user, password)
    return address.acting_as(owner, password)
