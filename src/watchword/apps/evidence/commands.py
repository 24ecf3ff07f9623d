"""Run what :mod:`watchword.apps.evidence.cli` declares."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from watchword.adapters.entropy import SystemEntropy
from watchword.adapters.lab_store import load_or_create
from watchword.apps.evidence.files import (
    read_anchors,
    read_evidence,
    read_public_key,
    with_packaged,
)
from watchword.apps.evidence.options import EvidenceOptions, parse_instant
from watchword.apps.evidence.policy_choice import load_policy
from watchword.apps.evidence.replay import Conditions
from watchword.apps.evidence.replay_view import replay_and_show
from watchword.apps.evidence.reports import EvidenceReport, report_assertion, report_attestation
from watchword.apps.evidence.vectors import INDEX, Compared, Faulty, Skipped, verify_folder
from watchword.apps.evidence.view import show_explanation, show_result
from watchword.apps.settings import ConfigurationError, load_settings
from watchword.apps.terminal.console import EXIT_REFUSED, print_json
from watchword.apps.terminal.paragraphs import printable
from watchword.ports import Anchor
from watchword.vocabulary import Vendor


def evidence_command(
    ctx: click.Context, /, *, vectors: Path | None, explain: bool, as_json: bool, **given: Any
) -> None:
    """See ``watchword verify evidence``."""
    if vectors is not None:
        if explain or any(given.values()):
            raise click.UsageError("--vectors takes no other option than --json.")
        ctx.exit(verify_and_show(vectors, as_json=as_json))
    if given["format_"] is None or given["file"] is None:
        raise click.UsageError("Give --format and --file, or --vectors.")

    options = EvidenceOptions(**given)
    options.require_sense()
    report = _verify_one(ctx.obj, options)
    if as_json:
        print_json(report.as_dict())
    else:
        (show_explanation if explain else show_result)(report, options)
    ctx.exit(0 if report.accepted else EXIT_REFUSED)


def replay_command(
    ctx: click.Context,
    /,
    *,
    where: str | None,
    policy: str | None,
    at: str | None,
    anchors: tuple[Path, ...],
    as_json: bool,
) -> None:
    """See ``watchword verify replay``."""
    extra: list[Anchor] = [a for path in anchors for a in read_anchors(path, list(Vendor))]
    where = _own_records(ctx.obj) if where is None else where
    extra += _lab_anchors(ctx.obj)
    known = with_packaged(extra)
    conditions = Conditions(
        tuple(anchor for vendor in Vendor for anchor in known.for_vendor(vendor)),
        None if policy is None else load_policy(policy),
        None if at is None else parse_instant(at),
    )
    ctx.exit(replay_and_show(where, conditions, as_json=as_json))


def _own_records(config: Path) -> str:
    """Return this deployment's directory of records."""
    settings = load_settings(config)
    where = settings.service.records
    if not where.is_dir():
        raise click.UsageError(f"{where} isn't there; records: in {config} turns recording on.")
    return str(where)


def _lab_anchors(config: Path) -> "list[Anchor]":
    """Return the anchors of this deployment's lab; none where there is no deployment, or no lab."""
    try:
        settings = load_settings(config)
    except ConfigurationError:
        # Records are replayed on other machines too, and beside files that have a fault just now.
        return []
    if not settings.trust_lab or not settings.service.state_dir.is_dir():
        return []

    return list(load_or_create(settings.service.state_dir, SystemEntropy()).anchors())


def _verify_one(config: Path, options: "EvidenceOptions") -> "EvidenceReport":
    """Read the file by its format and verify it."""
    file, app = options.file, options.app(config)
    if options.public_key is not None and (binding := options.binding()) is not None:
        key = read_public_key(options.public_key)
        return report_assertion(file.name, read_evidence(file), binding, key, app)
    read, unchecked = options.attestation()
    report = report_attestation(
        file.name,
        read,
        options.expected(app),
        options.trust(app, config),
        options.instant(),
        options.chosen_policy(config),
    )
    return replace(report, unchecked=(*report.unchecked, *unchecked))


def verify_and_show(folder: Path, *, as_json: bool) -> int:
    """Verify a folder and print row by row; return the exit code."""
    if not (folder / INDEX).is_file():
        raise click.UsageError(f"--vectors: {folder} has no {INDEX}.")
    compared: list[Compared] = []
    skipped: list[Skipped] = []
    faulty = 0
    for row in verify_folder(folder):
        if isinstance(row, Skipped):
            skipped.append(row)
            continue
        if isinstance(row, Faulty):
            faulty += 1
            if as_json:
                print_json(row.as_dict())
            else:
                click.echo(printable(f"{row.id}: {row.why}"))
            continue
        compared.append(row)
        if as_json:
            print_json(row.as_dict())
        elif not row.agrees:
            click.echo(printable(f"{row.report.id}: {'; '.join(row.differences)}"))
            for refusal in row.report.refusals:
                click.echo(f"  {printable(str(refusal))}")
    _show_summary(compared, skipped, err=as_json)
    if faulty:
        click.echo(
            f"  {'faulty':<12} {faulty:>4}  rows of {INDEX} that can't be compared", err=as_json
        )
    agree = bool(compared) and all(row.agrees for row in compared)
    return 0 if agree and not faulty else EXIT_REFUSED


def _show_summary(compared: Sequence[Compared], skipped: Sequence[Skipped], *, err: bool) -> None:
    """Print how many agree, what was let pass, and what was left out and why."""
    agree = sum(row.agrees for row in compared)
    accepted = sum(row.report.accepted for row in compared)
    click.echo(
        f"{agree} of {len(compared)} agree with the record "
        f"({accepted} accepted, {len(compared) - accepted} rejected)",
        err=err,
    )
    counts = {
        "rejected": Counter(code for row in compared for code in row.report.reasons),
        "let pass": Counter(name for row in compared for name in row.report.leniencies),
        "not checked": Counter(name for row in compared for name in row.report.unchecked),
        "skipped": Counter(row.why for row in skipped),
    }
    for what, counter in counts.items():
        for name, count in counter.most_common():
            click.echo(f"  {what:<12} {count:>4}  {name}", err=err)
