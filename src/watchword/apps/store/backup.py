"""Copy what a service can't do without, while it runs: ``watchword store backup``."""

import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import click

from watchword.adapters.keyring.private_file import private_directory, sync_directory
from watchword.apps.settings.load import load_settings
from watchword.apps.settings.schema import ServiceConfig
from watchword.apps.terminal.console import print_json
from watchword.apps.terminal.paragraphs import printable
from watchword.reasons import ExitCode, WatchwordError


class BackupError(WatchwordError):
    """Report a backup that couldn't be made, or isn't whole."""

    exit_code = ExitCode.USAGE


def backup_command(config: Path, *, directory: Path, as_json: bool) -> None:
    """See ``watchword store backup``."""
    service = load_settings(config).service
    made = back_up(service, directory)
    if as_json:
        print_json(
            {"directory": directory, "files": {each.name: each.stat().st_size for each in made}}
        )
        return
    for each in made:
        click.echo(printable(f"{each}: {each.stat().st_size:,} bytes"))
    if service.postgres_address is not None:
        click.echo("The store is in PostgreSQL: back that up with its own tools.", err=True)


def back_up(service: ServiceConfig, directory: Path) -> list[Path]:
    """Copy the store, where it is a file, the keys and the revocations into a new directory; return the files there.

    Revocations go last: none of the store's copy is missing among them.

    :raises BackupError: when the directory is there already, something can't be read, or the copy isn't whole.
    :raises PrivateFileError: when the directory can't be trusted.
    """
    if directory.exists():
        raise BackupError(f"{directory}: is there already, expected the name of a new directory")
    private_directory(directory)
    made = []
    try:
        if service.postgres_address is None:
            made.append(_copied_database(service.database, directory))
        beside = (service.keyring, service.secrets, service.canaries, service.revocations)
        made += [_copied(file, directory) for file in beside if file.exists()]
    except (OSError, sqlite3.Error) as error:
        raise BackupError(f"{directory}: isn't whole: {error}; remove it, and try again") from None
    sync_directory(directory)
    return made


def _copied_database(file: Path, directory: Path) -> Path:
    """Copy the database as it is at one instant, whatever is written meanwhile, and look through the copy."""
    if not file.exists():
        raise BackupError(f"{file}: isn't there yet; `watchword up` makes it")
    target = directory / file.name
    os.close(os.open(target, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    with (
        closing(sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True)) as source,
        closing(sqlite3.connect(target)) as copy,
    ):
        # In one step, which reads one state; in pieces it would begin anew after each write. Writers go on into the log.
        source.backup(copy)
        # No log beside it: it is one file.
        copy.execute("PRAGMA journal_mode = DELETE")
        found = copy.execute("PRAGMA quick_check(1)").fetchone()
    if found != ("ok",):
        raise BackupError(f"{target}: isn't whole: {found[0]}")
    _flush(target)
    return target


def _copied(file: Path, directory: Path) -> Path:
    target = directory / file.name
    handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "wb") as copy, file.open("rb") as source:
        shutil.copyfileobj(source, copy)
    _flush(target)
    return target


def _flush(file: Path) -> None:
    handle = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
