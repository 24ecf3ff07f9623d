"""Verify attestation evidence offline: one piece, or a folder of recorded ones."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from watchword.apps.cli.console import EXIT_REFUSED, print_json

if TYPE_CHECKING:
    from watchword.apps.evidence.options import EvidenceOptions
    from watchword.apps.evidence.reports import EvidenceReport
    from watchword.apps.evidence.vectors import Compared, Skipped

_FORMATS = ("app-attest", "android-key")
_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)
_FOLDER = click.Path(path_type=Path, exists=True, file_okay=False)


@click.group(epilog="Example: watchword verify evidence --vectors recorded/android")
def command() -> None:
    """Verify what devices say about themselves, without a running service."""


@command.command(
    epilog="""\b
Examples:
  watchword verify evidence --format android-key --file chain.pem --challenge 6368616c
  watchword verify evidence --format app-attest --file attestation.cbor --app clinic-ios \\
      --client-data-hash 5e884898da28...
  watchword verify evidence --vectors recorded/android --json"""
)
@click.option("--format", "format_", type=click.Choice(_FORMATS), help="What the file holds.")
@click.option("--file", type=_FILE, help="PEM chain with the leaf first, or a CBOR object.")
@click.option(
    "--challenge", metavar="BYTES", help="What the evidence is bound to (App Attest: hashed)."
)
@click.option("--client-data-hash", metavar="BYTES", help="App Attest: the hash itself.")
@click.option("--key-id", metavar="BYTES", help="App Attest: the key id that the app knows.")
@click.option("--public-key", type=_FILE, help="The attested key: the file is an assertion.")
@click.option("--app", "app_name", metavar="NAME", help="The app in watchword.yaml to expect.")
@click.option("--team-id", help="Expect this iOS app, with --bundle-id.")
@click.option("--bundle-id", help="Expect this iOS app, with --team-id.")
@click.option("--development", is_flag=True, help="Expect Apple's development environment.")
@click.option("--package", help="Expect this Android app, with --signing-digest.")
@click.option("--signing-digest", metavar="BYTES", multiple=True, help="SHA-256 of a signer.")
@click.option("--at", metavar="TIME", help="Verify as of this ISO 8601 time instead of now.")
@click.option(
    "--anchors", type=_FILE, multiple=True, help="Believe these roots too: PEM, or lab JSON."
)
@click.option("--status", type=_FILE, multiple=True, help="Google status list, as downloaded.")
@click.option("--vectors", type=_FOLDER, help="Verify every row of index.json in this folder.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
@click.pass_context
def evidence(ctx: click.Context, /, *, vectors: Path | None, as_json: bool, **given: Any) -> None:
    """Verify attestation evidence and say everything that is wrong with it.

    BYTES are hex or base64; hex:, base64: or text: in front settles which.

    Exit code 0: accepted (or every row agrees with its record).  1: not so.  2: wrong usage.
    """
    from watchword.apps.evidence.options import EvidenceOptions

    if vectors is not None:
        if any(given.values()):
            raise click.UsageError("--vectors takes no other option than --json.")
        ctx.exit(_verify_folder(vectors, as_json=as_json))
    if given["format_"] is None or given["file"] is None:
        raise click.UsageError("Give --format and --file, or --vectors.")
    options = EvidenceOptions(**given)
    options.require_sense()
    report = _verify_one(ctx.obj, options)
    if as_json:
        print_json(report.as_dict())
    else:
        _show(report, options)
    ctx.exit(0 if report.accepted else EXIT_REFUSED)


def _verify_one(config: Path, options: "EvidenceOptions") -> "EvidenceReport":
    """Read the file by its format and verify it."""
    from watchword.apps.evidence.files import read_certificates, read_evidence, read_public_key
    from watchword.apps.evidence.reports import report_assertion, report_attestation
    from watchword.attestation.formats import android_key
    from watchword.attestation.interface import AndroidKeyChain, Attestation, Expected

    file, app, binding = options.file, options.app(config), options.binding()
    if options.public_key is not None and binding is not None:
        key = read_public_key(options.public_key)
        return report_assertion(file.name, read_evidence(file), binding, key, app)
    read: Attestation
    unchecked: tuple[str, ...] = ()
    if options.format_ == android_key.NAME:
        read = AndroidKeyChain(read_certificates(file))
    else:
        read, unchecked = options.app_attest()
    at, trust = options.instant(), options.trust()
    report = report_attestation(file.name, read, Expected(binding, app), trust, at)
    return replace(report, unchecked=(*report.unchecked, *unchecked))


def _show(report: "EvidenceReport", options: "EvidenceOptions") -> None:
    """Print one report for people."""
    from watchword.apps.evidence.reports import LENIENCIES

    verdict = "accept" if report.accepted else "reject"
    # Whoever reads one line alone must not take this for the app's own evidence.
    named = " (no app expected)" if "app" in report.unchecked else ""
    click.echo(f"{verdict}{named}  level {report.level.value}")
    for refusal in report.refusals:
        click.echo(f"  {_printable(str(refusal))}")
    if (written := options.written_binding()) is not None:
        click.echo(f"  {'bound to':<20} {written}")
    for name, value in _claims(report.claims or {}):
        click.echo(f"  {name:<20} {_printable(value)}")
    for name in report.leniencies:
        click.echo(f"  {'let pass':<20} {name}: {LENIENCIES[name]}")
    if report.unchecked:
        click.echo(f"  {'not checked':<20} {', '.join(report.unchecked)}")


def _claims(claims: "Mapping[str, Any]") -> "Iterator[tuple[str, str]]":
    """Yield what people look at, by its name; a device's state by the vendor's names."""
    for name in ("anchor", "attestation_security", "key_security", "counter"):
        if claims.get(name) is not None:
            yield name, str(claims[name])
    app = claims.get("app") or {"ids": ()}
    for app_id in app["ids"]:
        version = app["versions"].get(app_id)
        yield "app", app_id if version is None else f"{app_id}, version {version}"
    if app["ids"] and app["signing_digests"]:
        yield "signed by", ", ".join(app["signing_digests"])
    if claims.get("boot"):
        locked = "true" if claims["boot"]["device_locked"] else "false"
        yield (
            "boot",
            f"deviceLocked: {locked}, verifiedBootState: {claims['boot']['state'].upper()}",
        )
        yield "verifiedBootKey", claims["boot"]["verified_boot_key"]


def _printable(text: str) -> str:
    """Return text without what a terminal obeys: a package's name may hold its escape sequences."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )


def _verify_folder(folder: Path, *, as_json: bool) -> int:
    """Verify a folder and print row by row; return the exit code."""
    from watchword.apps.evidence.vectors import INDEX, Compared, Skipped, verify_folder

    if not (folder / INDEX).is_file():
        raise click.UsageError(f"--vectors: {folder} has no {INDEX}.")
    compared: list[Compared] = []
    skipped: list[Skipped] = []
    for row in verify_folder(folder):
        if isinstance(row, Skipped):
            skipped.append(row)
            continue
        compared.append(row)
        if as_json:
            print_json(row.as_dict())
        elif not row.agrees:
            click.echo(_printable(f"{row.report.id}: {'; '.join(row.differences)}"))
            for refusal in row.report.refusals:
                click.echo(f"  {_printable(str(refusal))}")
    _show_summary(compared, skipped, err=as_json)
    return 0 if compared and all(row.agrees for row in compared) else EXIT_REFUSED


def _show_summary(
    compared: "Sequence[Compared]", skipped: "Sequence[Skipped]", *, err: bool
) -> None:
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
