"""Run ``watchword store seal``, ``rekey`` and ``put-back``: what is sealed in rows that several nodes share."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import click

from watchword.adapters.sealed_rows import KEY_RING, SECRETS, RowName, SealedRowError, SealedRows
from watchword.adapters.secret_store import (
    DocumentSecretStore,
    MasterKey,
    master_key_from_file,
)
from watchword.adapters.store import EngineStore
from watchword.adapters.system import SystemClock, SystemEntropy
from watchword.apps.compose.documents import movable, row_documents, sealed_rows, sealing_key
from watchword.apps.compose.secrets import openbao_of
from watchword.apps.compose.store import open_store
from watchword.apps.service.client import claimed_name
from watchword.apps.settings.load import load_settings
from watchword.apps.settings.schema import Settings
from watchword.apps.terminal.console import print_json
from watchword.apps.terminal.paragraphs import printable
from watchword.encoding.phrases import counted
from watchword.ports import AuditEntry


@dataclass(frozen=True, slots=True)
class _Bench:
    """Hold what a command works on.

    :param key: seals rows; opens what the keys before it sealed, too.
    """

    settings: Settings
    rows: SealedRows
    trail: EngineStore
    key: MasterKey

    async def record(self, action: str) -> None:
        """Note in the audit trail what is about to be done: what can't be recorded isn't done."""
        actor = f"operator (claimed: {claimed_name()})"
        await self.trail.add_audit(AuditEntry(SystemClock().now(), actor, action, self.key.key_id))

    async def rewrap_secrets(self, old: MasterKey | None) -> int:
        """Wrap the keys of values anew that this key wraps, and return how many were under another one."""
        ways, service = self.settings.secrets, self.settings.service
        document = row_documents(self.rows).secrets
        if document.stamp() is None or ways is None or ways.master_key != service.sealing:
            return 0
        store = DocumentSecretStore(document, service.issuer, self.key, SystemEntropy())
        try:
            return await store.rewrap(old)
        finally:
            await store.aclose()


@asynccontextmanager
async def _opened(config: Path, old: Path | None = None) -> AsyncIterator[_Bench]:
    settings, entropy = load_settings(config), SystemEntropy()
    service = settings.service
    if service.sealing is None:
        raise click.UsageError(
            "expected service.postgres.master_key beside a PostgreSQL in service.store: without it each node keeps files"
        )
    bao = openbao_of(settings)
    before = None if old is None else master_key_from_file(old, entropy)
    key = sealing_key(service, entropy, bao, before)
    trail = open_store(service)
    try:
        yield _Bench(settings, sealed_rows(settings, trail, entropy, bao, before), trail, key)
    finally:
        trail.close()
        if bao is not None:
            await bao.aclose()


def seal_command(config: Path, *, as_json: bool) -> None:
    """See ``watchword store seal``."""
    moved = asyncio.run(_seal(config))
    if as_json:
        print_json({"moved": [str(each) for each in moved]})
    elif moved:
        click.echo(f"Moved {', '.join(map(str, moved))} into sealed rows.")
    else:
        click.echo("There is no file to move.")


async def _seal(config: Path) -> list[RowName]:
    async with _opened(config) as bench:
        found = movable(bench.settings.service)
        if found:
            await bench.record("store.seal")
        for at, file in found:
            _move(bench.rows, at, file.read())
        master = bench.settings.service.state_dir / "master.key"
        if any(at == SECRETS for at, _ in found) and master.exists():
            await bench.rewrap_secrets(master_key_from_file(master, SystemEntropy()))
        for _, file in found:
            # Only now: whatever failed before left the files where they are.
            _set_aside(Path(file.where))
        return [at for at, _ in found]


def _set_aside(file: Path) -> None:
    file.rename(file.with_name(f"{file.name}.moved"))


def _move(rows: SealedRows, at: RowName, data: bytes | None) -> None:
    def work(there: bytes | None) -> bytes | None:
        if there is None or there == data:
            return data if there is None else None
        raise SealedRowError(
            f"{rows.where}: the sealed row {at} is there already, with another content: a file is moved into a new row alone"
        )

    rows.document(at).change(work)


def rekey_command(config: Path, *, old: Path | None, as_json: bool) -> None:
    """See ``watchword store rekey``."""
    changed, values = asyncio.run(_rekey(config, old))
    if as_json:
        print_json({"rows": [str(each) for each in changed], "values": values})
        return
    click.echo(
        f"Sealed {counted(len(changed), 'row')} anew, and {counted(values, 'key')} of values."
    )


async def _rekey(config: Path, old: Path | None) -> tuple[list[RowName], int]:
    async with _opened(config, old) as bench:
        await bench.record("store.rekey")
        changed = list(bench.rows.rekey())
        return changed, await bench.rewrap_secrets(None)


def put_back_command(config: Path, *, as_json: bool) -> None:
    """See ``watchword store put-back``."""
    done = asyncio.run(_put_back(config))
    if as_json:
        print_json({"rows": {str(at): version for at, version in done}})
        return
    for at, version in done:
        click.echo(printable(f"Wrote {at} as version {version}."))
    if not done:
        click.echo("Nothing to put back: the database has what this node has seen, or newer.")
    elif any(at == KEY_RING for at, _ in done):
        click.echo("Each node takes it over within a second.")


async def _put_back(config: Path) -> list[tuple[RowName, int]]:
    async with _opened(config) as bench:
        await bench.record("store.put-back")
        return list(bench.rows.put_back())
