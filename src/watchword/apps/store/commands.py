"""Look at the store: ``watchword store status``."""

import sqlite3
from contextlib import closing
from dataclasses import asdict
from pathlib import Path

import click

from watchword.adapters.postgres.address import PostgresAddress
from watchword.adapters.sqlite import SCHEMA_VERSION
from watchword.apps.settings.load import load_settings
from watchword.apps.terminal.console import EXIT_REFUSED, print_json
from watchword.apps.terminal.paragraphs import printable
from watchword.encoding.phrases import counted


def status_command(config: Path, *, as_json: bool) -> None:
    """See ``watchword store status``."""
    service = load_settings(config).service
    address = service.postgres_address
    if address is None:
        _file_status(service.database, as_json=as_json)
    else:
        _server_status(address, as_json=as_json)


def _file_status(file: Path, *, as_json: bool) -> None:
    if not file.exists():
        raise click.UsageError(f"{file}: isn't there yet; `watchword up` makes it")
    with closing(sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True)) as connection:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
    size = file.stat().st_size
    if as_json:
        print_json({"engine": "sqlite", "file": file, "bytes": size, "version": version})
    else:
        click.echo(printable(f"SQLite in {file}: {size:,} bytes, tables of version {version}."))
        if version != SCHEMA_VERSION:
            click.echo(f"This Watchword makes tables of version {SCHEMA_VERSION}.")


def _server_status(address: PostgresAddress, *, as_json: bool) -> None:
    # Whoever keeps the store in a file has no driver for a server.
    from watchword.adapters.postgres.status import look  # noqa: PLC0415

    state = look(address)
    if as_json:
        print_json({"engine": "postgresql", **asdict(state), "warnings": state.warnings()})
    else:
        way = "TLS" if state.tls else "no TLS, on this machine"
        for line in (
            f"PostgreSQL {state.server} at {state.where}, as {state.role}, by {way}.",
            f"Timeline {state.timeline}, tables of version {state.version}.",
            f"About {counted(state.instances, 'instance')}, {state.bytes:,} bytes.",
            *(f"Warning: {each}" for each in state.warnings()),
        ):
            click.echo(printable(line))
    if state.warnings():
        raise click.exceptions.Exit(EXIT_REFUSED)
