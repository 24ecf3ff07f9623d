"""Verify a folder of recorded evidence and show where it differs from the record."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import click

from watchword.apps.evidence.vectors import INDEX, Compared, Faulty, Skipped, verify_folder
from watchword.apps.terminal.console import EXIT_REFUSED, print_json
from watchword.apps.terminal.paragraphs import printable


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
