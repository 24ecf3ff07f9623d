"""Verify attestation evidence offline: one piece, a folder of recorded ones, or a service's records."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from watchword.apps.terminal.console import EXIT_REFUSED, print_json

if TYPE_CHECKING:
    from watchword.apps.evidence.options import EvidenceOptions
    from watchword.apps.evidence.reports import EvidenceReport
    from watchword.ports import Anchor

_FORMATS: Final = ("app-attest", "android-key", "play-integrity")
_FILE: Final = click.Path(path_type=Path, exists=True, dir_okay=False)
_FOLDER: Final = click.Path(path_type=Path, exists=True, file_okay=False)
_POLICY_HELP: Final = "Judge by strict, balanced or inclusive, or by a file with a policy."


@click.group(epilog="Example: watchword verify evidence --vectors recorded/android")
def command() -> None:
    """Verify what devices say about themselves, without a running service."""


@command.command(
    short_help="Verify one piece of evidence, or a folder of them.",
    epilog="""\b
Examples:
  watchword verify evidence --format android-key --file chain.pem --challenge 6368616c
  watchword verify evidence --format app-attest --file attestation.cbor --app clinic-ios \\
      --client-data-hash 5e884898da28... --explain
  watchword verify evidence --vectors recorded/android --json""",
)
@click.option("--format", "format_", type=click.Choice(_FORMATS), help="What the file holds.")
@click.option("--file", type=_FILE, help="PEM chain with the leaf first, a CBOR object, a token.")
@click.option(
    "--challenge", metavar="BYTES", help="What the evidence is bound to (App Attest: hashed)."
)
@click.option("--client-data-hash", metavar="BYTES", help="App Attest: the hash itself.")
@click.option("--key-id", metavar="BYTES", help="App Attest: the key id that the app knows.")
@click.option("--public-key", type=_FILE, help="The attested key: the file is an assertion.")
@click.option(
    "--app",
    "app_name",
    metavar="NAME",
    help="The app in watchword.yaml to expect, with its Play keys.",
)
@click.option("--team-id", help="Expect this iOS app, with --bundle-id.")
@click.option("--bundle-id", help="Expect this iOS app, with --team-id.")
@click.option("--development", is_flag=True, help="Expect Apple's development environment.")
@click.option("--package", help="Expect this Android app, with --signing-digest.")
@click.option("--signing-digest", metavar="BYTES", multiple=True, help="SHA-256 of a signer.")
@click.option("--decryption-key", type=_FILE, help="Play: your app's key, base64.")
@click.option("--verification-key", type=_FILE, help="Play: Google's key for your app, base64.")
@click.option("--at", metavar="TIME", help="Verify as of this ISO 8601 time instead of now.")
@click.option(
    "--anchors", type=_FILE, multiple=True, help="Believe these roots too: PEM, or lab JSON."
)
@click.option("--status", type=_FILE, multiple=True, help="Google status list, as downloaded.")
@click.option("--policy", metavar="NAME|FILE", help=_POLICY_HELP)
@click.option("--explain", is_flag=True, help="Show every step, and what can be done.")
@click.option("--vectors", type=_FOLDER, help="Verify every row of index.json in this folder.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
@click.pass_context
def evidence(
    ctx: click.Context, /, *, vectors: Path | None, explain: bool, as_json: bool, **given: Any
) -> None:
    """Verify attestation evidence and say everything that is wrong with it.

    BYTES are hex or base64; hex:, base64: or text: in front settles which.

    Exit code 0: accepted (or every row agrees with its record).  1: not so.  2: wrong usage.
    """
    from watchword.apps.evidence.options import EvidenceOptions

    if vectors is not None:
        from watchword.apps.cli.folder_view import verify_and_show

        if explain or any(given.values()):
            raise click.UsageError("--vectors takes no other option than --json.")
        ctx.exit(verify_and_show(vectors, as_json=as_json))
    if given["format_"] is None or given["file"] is None:
        raise click.UsageError("Give --format and --file, or --vectors.")
    from watchword.apps.evidence.view import show_explanation, show_result

    options = EvidenceOptions(**given)
    options.require_sense()
    report = _verify_one(ctx.obj, options)
    if as_json:
        print_json(report.as_dict())
    else:
        (show_explanation if explain else show_result)(report, options)
    ctx.exit(0 if report.accepted else EXIT_REFUSED)


@command.command(
    short_help="Judge what a service recorded again, offline.",
    epilog="""\b
Examples:
  watchword verify replay
  watchword verify replay .watchword/records/2026-11-24.jsonl --policy strict
  zcat old.jsonl.gz | watchword verify replay - --json""",
)
@click.argument("where", metavar="[FILE|DIRECTORY|-]", required=False)
@click.option("--policy", metavar="NAME|FILE", help=_POLICY_HELP)
@click.option("--at", metavar="TIME", help="Judge as of this ISO 8601 time instead of then.")
@click.option(
    "--anchors", type=_FILE, multiple=True, help="Know these roots too: PEM, or lab JSON."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
@click.pass_context
def replay(
    ctx: click.Context,
    /,
    *,
    where: str | None,
    policy: str | None,
    at: str | None,
    anchors: tuple[Path, ...],
    as_json: bool,
) -> None:
    """Judge recorded verifications again, offline, and say what comes out differently.

    Without a file: the records of the deployment in watchword.yaml. A lab's own anchors are known.

    Exit code 0: all came out as recorded.  1: not so, or there are none.  2: wrong usage.
    """
    from watchword.apps.evidence.files import read_anchors, with_packaged
    from watchword.apps.evidence.options import parse_instant
    from watchword.apps.evidence.policy_choice import load_policy
    from watchword.apps.evidence.replay import Conditions
    from watchword.apps.evidence.replay_view import replay_and_show
    from watchword.vocabulary import Vendor

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
    from watchword.apps.settings import load_settings

    settings = load_settings(config)
    where = settings.service.records
    if not where.is_dir():
        raise click.UsageError(f"{where} isn't there; records: in {config} turns recording on.")
    return str(where)


def _lab_anchors(config: Path) -> "list[Anchor]":
    """Return the anchors of this deployment's lab; none where there is no deployment, or no lab."""
    from watchword.adapters.system import SystemEntropy
    from watchword.apps.settings import ConfigurationError, load_settings

    try:
        settings = load_settings(config)
    except ConfigurationError:
        # Records are replayed on other machines too, and beside files that have a fault just now.
        return []
    if not settings.trust_lab or not settings.service.state_dir.is_dir():
        return []
    from watchword.adapters.lab_store import load_or_create

    return list(load_or_create(settings.service.state_dir, SystemEntropy()).anchors())


def _verify_one(config: Path, options: "EvidenceOptions") -> "EvidenceReport":
    """Read the file by its format and verify it."""
    from watchword.apps.evidence.files import read_evidence, read_public_key
    from watchword.apps.evidence.reports import report_assertion, report_attestation

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
