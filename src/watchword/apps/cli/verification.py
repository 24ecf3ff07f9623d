"""Run ``watchword audit verify``: hold the audit trail to the heads that gates keep."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import click

from watchword.adapters.gate_bundle.heads import MAX_HEADS_BYTES, heads_from_json
from watchword.adapters.system import SystemClock, SystemEntropy
from watchword.apps.compose.documents import documents_of
from watchword.apps.compose.secrets import key_keeper_of, openbao_of
from watchword.apps.compose.store import open_store
from watchword.apps.deployment import keyring_of
from watchword.apps.service.trail import heads_at
from watchword.apps.settings.load import load_settings
from watchword.apps.settings.schema import Settings
from watchword.apps.terminal.console import EXIT_REFUSED, print_json
from watchword.apps.terminal.paragraphs import printable
from watchword.encoding.phrases import counted
from watchword.gate.bundle import GateBundleError
from watchword.gate.trail import AuditHead, ToldHead, trail_key

_ALL: Final = "*.heads"


@dataclass(frozen=True, slots=True)
class _Compared:
    """Hold what became of one file's heads.

    :param held: how many of them are heads of this trail.
    :param good: up to which entry the trail is as this gate was told; 0 where that isn't known.
    :param bad: the entry whose head is the first that isn't one of this trail, None where all are.
    """

    file: str
    heads: int
    held: int
    good: int
    bad: int | None


def verify_command(config: Path, *, files: tuple[Path, ...], as_json: bool) -> None:
    """See ``watchword audit verify``."""
    settings = load_settings(config)
    where = settings.service
    kept = [] if where.sealing else [where.keyring]
    if where.postgres_address is None:
        kept.append(where.database)
    for needed in kept:
        if not needed.exists():
            raise click.UsageError(f"{needed}: isn't there; run it where the service's state is")
    found = files or tuple(sorted(where.gates.glob(_ALL)))
    if not found:
        raise click.UsageError(f"{where.gates}: no gate keeps heads here; name their files")
    told = {file: _read(file) for file in found}
    head, known = asyncio.run(_heads(settings, told))
    compared = [_compare(file, heads, known) for file, heads in told.items()]
    if as_json:
        print_json({"entries": head.size, "files": [asdict(each) for each in compared]})
    else:
        click.echo(f"The trail's last entry is {head.size:,}.")
        for each in compared:
            click.echo(printable(_worded(each)))
    if any(each.bad is not None for each in compared):
        raise click.exceptions.Exit(EXIT_REFUSED)


def _read(file: Path) -> Sequence[ToldHead]:
    # Copied from another machine: whose file it is says nothing.
    with file.open("rb") as opened:
        data = opened.read(MAX_HEADS_BYTES + 1)
    try:
        return heads_from_json(file, data)
    except GateBundleError as error:
        raise click.UsageError(str(error)) from None


async def _heads(
    settings: Settings, told: Mapping[Path, Sequence[ToldHead]]
) -> tuple[AuditHead, Mapping[int, str]]:
    bao, clock = openbao_of(settings), SystemClock()
    store = open_store(settings.service)
    try:
        entropy = SystemEntropy()
        shared = None if settings.service.postgres_address is None else store
        documents = documents_of(settings, shared, entropy, bao)
        keeper = key_keeper_of(settings, bao)
        ring = keyring_of(settings, clock, entropy, keeper, documents.key_ring).ring
        sizes = {each.audit.size for heads in told.values() for each in heads}
        return await heads_at(store, trail_key(ring.pairwise_key), sizes)
    finally:
        store.close()
        if bao is not None:
            await bao.aclose()


def _compare(file: Path, heads: Sequence[ToldHead], known: Mapping[int, str]) -> _Compared:
    bad = [each.audit.size for each in heads if known.get(each.audit.size) != each.audit.head]
    good = {each.audit.size for each in heads if known.get(each.audit.size) == each.audit.head}
    first = min(bad, default=None)
    before = [size for size in good if first is None or size < first]
    return _Compared(str(file), len(heads), len(heads) - len(bad), max(before, default=0), first)


def _worded(each: _Compared) -> str:
    if each.bad is None:
        return f"{each.file}: all {counted(each.heads, 'head')} hold, up to entry {each.good:,}."
    return (
        f"{each.file}: {each.heads - each.held} of {counted(each.heads, 'head')} don't hold: entries were changed or are "
        f"missing at {each.bad:,} or before it, or the database was restored from a copy. "
        f"Up to entry {each.good:,} the trail is as the gate was told."
    )
