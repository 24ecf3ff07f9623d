"""Verify evidence offline: ``watchword verify`` and its subcommands."""

from pathlib import Path
from typing import Final

import click

from watchword.apps.terminal.lazy import body_in

_body = body_in("watchword.apps.evidence.commands")

_FORMATS: Final = ("app-attest", "android-key", "play-integrity")
_FILE: Final = click.Path(path_type=Path, exists=True, dir_okay=False)
_FOLDER: Final = click.Path(path_type=Path, exists=True, file_okay=False)
_POLICY_HELP: Final = "Judge by strict, balanced or inclusive, or by a file with a policy."


@click.group(epilog="Example: watchword verify evidence --vectors recorded/android")
def command() -> None:
    """Verify what devices say about themselves, without a running service."""


@command.command(
    "evidence",
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
    "--anchors", type=_FILE, multiple=True, help="Trust these roots too: PEM, or lab JSON."
)
@click.option("--status", type=_FILE, multiple=True, help="Google status list, as downloaded.")
@click.option("--policy", metavar="NAME|FILE", help=_POLICY_HELP)
@click.option("--explain", is_flag=True, help="Show every step, and what can be done.")
@click.option("--vectors", type=_FOLDER, help="Verify every row of index.json in this folder.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
@click.pass_context
@_body
def evidence_command() -> None:
    """Verify attestation evidence and say everything that is wrong with it.

    BYTES are hex or base64; hex:, base64: or text: in front settles which.

    Exit code 0: accepted (or every row agrees with its record).  1: not so.  2: wrong usage.
    """


@command.command(
    "replay",
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
    "--anchors", type=_FILE, multiple=True, help="Trust these roots too: PEM, or lab JSON."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
@click.pass_context
@_body
def replay_command() -> None:
    """Judge recorded verifications again, offline, and say what comes out differently.

    Without a file: the records of the deployment in watchword.yaml. A lab's own anchors are known.

    Exit code 0: all came out as recorded.  1: not so, or there are none.  2: wrong usage.
    """
