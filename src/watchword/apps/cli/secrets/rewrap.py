"""Put the secrets' file under another master key."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from watchword.apps.cli.console import print_json
from watchword.apps.cli.paragraphs import hanging

if TYPE_CHECKING:
    from watchword.apps.settings import Settings


_RESTART: Final = (
    "Start `watchword up` anew with this file, now: a service that runs can't read the secrets any more. Until then "
    "gates go on with what they have, deliveries stop within a minute, no change is kept, and a revocation is "
    "forgotten by the restart: repeat it afterwards."
)


@click.command("rewrap", epilog="Example: watchword secrets rewrap --old old-master.key")
@click.option(
    "--old",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="File with the master key so far.",
)
@click.option("--old-env", metavar="NAME", help="Environment variable with the master key so far.")
@click.option("--json", "as_json", is_flag=True, help="Print what was done as JSON.")
@click.pass_obj
def command(config: Path, *, old: Path | None, old_env: str | None, as_json: bool) -> None:
    """Put the encrypted file under the master key that watchword.yaml names now.

    Name the new key under secrets.master_key (a file is made where there is none), run this with the old one,
    then start `watchword up` anew: until then the running service lends what it knows, and delivers nothing
    after a minute. Without --old and --old-env a key in OpenBao's transit engine takes its newest version.
    Values aren't encrypted anew: where somebody may have the old master key and the file, rotate them too.
    """
    from watchword.apps.settings import load_settings

    if old is not None and old_env is not None:
        raise click.UsageError("say where the old master key is: --old or --old-env")
    settings = load_settings(config)
    ways = settings.secrets
    if ways is None or ways.in_openbao or ways.master_key is None:
        raise click.UsageError("expected secrets in a file: watchword.yaml has none there")
    if not settings.service.secrets.exists():
        raise click.UsageError(f"{settings.service.secrets}: no secret was kept yet")
    count = asyncio.run(_rewrap(settings, old, old_env))
    if as_json:
        print_json({"rewrapped": count})
    else:
        click.echo(f"Rewrapped {count} data keys.")
        for line in hanging(_RESTART):
            click.echo(line, err=True)


async def _rewrap(settings: "Settings", old: Path | None, old_env: str | None) -> int:
    from watchword.adapters.clock import SystemClock
    from watchword.adapters.entropy import SystemEntropy
    from watchword.adapters.secret_store import (
        FileSecretStore,
        master_key_from_file,
        master_key_from_text,
    )
    from watchword.adapters.store import SqliteStore
    from watchword.apps.operator_client import claimed_name
    from watchword.apps.secret_parts import master_key, openbao_of
    from watchword.apps.settings.environment import taken
    from watchword.ports import AuditEntry

    entropy, bao, where = SystemEntropy(), openbao_of(settings), settings.service
    before = None
    if old is not None:
        before = master_key_from_file(old, entropy)
    elif old_env is not None:
        before = master_key_from_text(taken(old_env), old_env, entropy)
    assert settings.secrets is not None  # The caller has looked.
    assert settings.secrets.master_key is not None
    present = master_key(settings.secrets.master_key, entropy, bao, make=True)
    trail = SqliteStore(where.database)
    store = FileSecretStore(where.secrets, where.issuer, present, entropy)
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
