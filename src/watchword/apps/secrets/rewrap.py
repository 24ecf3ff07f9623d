"""Run ``watchword secrets rewrap``: put the encrypted file under another master key, while no service runs."""

import asyncio
from pathlib import Path
from typing import Final

import click

from watchword.adapters.secret_store import (
    DocumentSecretStore,
    master_key_from_file,
    master_key_from_text,
)
from watchword.adapters.system import SystemClock, SystemEntropy
from watchword.apps.compose.documents import file_documents, master_key
from watchword.apps.compose.secrets import openbao_of
from watchword.apps.compose.store import open_store
from watchword.apps.service.client import claimed_name
from watchword.apps.settings.load import load_settings
from watchword.apps.settings.schema import Settings
from watchword.apps.terminal.console import print_json
from watchword.apps.terminal.environment import taken
from watchword.apps.terminal.paragraphs import hanging
from watchword.ports import AuditEntry

_RESTART: Final = (
    "Start `watchword up` anew with this file, now: a service that runs can't read the secrets any more. Until then "
    "gates go on with what they have, deliveries stop within a minute, no change is kept, and a revocation is "
    "forgotten by the restart: repeat it afterwards."
)


def rewrap_command(config: Path, *, old: Path | None, old_env: str | None, as_json: bool) -> None:
    """Put the encrypted file under the master key that watchword.yaml names now."""
    if old is not None and old_env is not None:
        raise click.UsageError("say where the old master key is: --old or --old-env")
    settings = load_settings(config)
    ways = settings.secrets
    if ways is None or ways.in_openbao or ways.master_key is None:
        raise click.UsageError("expected secrets in a file: watchword.yaml has none there")
    if settings.service.sealing is not None:
        raise click.UsageError("secrets are in sealed rows: run `watchword store rekey`")
    if not settings.service.secrets.exists():
        raise click.UsageError(f"{settings.service.secrets}: no secret was kept yet")
    count = asyncio.run(_rewrap(settings, old, old_env))
    if as_json:
        print_json({"rewrapped": count})
    else:
        click.echo(f"Rewrapped {count} data keys.")
        for line in hanging(_RESTART):
            click.echo(line, err=True)


async def _rewrap(settings: Settings, old: Path | None, old_env: str | None) -> int:

    entropy, bao, where = SystemEntropy(), openbao_of(settings), settings.service
    before = None
    if old is not None:
        before = master_key_from_file(old, entropy)
    elif old_env is not None:
        before = master_key_from_text(taken(old_env), old_env, entropy)
    assert settings.secrets is not None  # The caller has looked.
    assert settings.secrets.master_key is not None
    present = master_key(settings.secrets.master_key, entropy, bao, make=True)
    trail = open_store(where)
    store = DocumentSecretStore(file_documents(where).secrets, where.issuer, present, entropy)
    try:
        # What can't be recorded isn't done.
        actor = f"operator (claimed: {claimed_name()})"
        entry = AuditEntry(SystemClock().now(), actor, "secret.rewrap", present.key_id)
        await trail.add_audit(entry)
        return await store.rewrap(before)
    finally:
        trail.close()
        await store.aclose()
        if bao is not None:
            await bao.aclose()
