"""Use the lab: list simulated phones, write their evidence and anchors, send real requests; ``watchword lab``."""

from typing import Final

import click

from watchword.apps.terminal.lazy import body_in
from watchword.apps.terminal.parameters import encodable

_body = body_in("watchword.apps.lab.commands")
_attester_body = body_in("watchword.apps.lab.attester")

_EVIDENCE_EXAMPLE: Final = """\b
Examples:
  watchword lab evidence genuine-android --challenge 00c0ffee -o chain.pem
  watchword lab evidence emulator --binding 9f86d081884c7d659a2feaa0c55ad015 -o bad.pem
"""

_REQUEST_EXAMPLE: Final = """\b
Examples:
  watchword lab request genuine-iphone http://127.0.0.1:8080/patients
  watchword lab request unlocked-android POST /patients --data '{"name": "Ada"}'
  watchword lab request genuine-android POST /payments --data '{}' --proof bearer
"""


def _kinds(_ctx: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """Return the kinds of phones that begin so, for a shell that completes."""
    from watchword.lab import PHONES  # noqa: PLC0415 - a command that isn't the lab's needs no phones.

    return [kind for kind in PHONES if kind.startswith(incomplete)]


_PROOFS: Final = ("auto", "bearer", "session", "device", "dpop")

_json_option: Final = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group(epilog="Example: watchword lab request genuine-iphone http://127.0.0.1:8080/")
def command() -> None:
    """Try your deployment with simulated phones; no store account needed.

    They exist in environment `lab` only: the tokens that they get are refused everywhere else.
    """


@command.command(
    "revoke",
    short_help="Withdraw an attestation certificate for good.",
    epilog="Example: watchword lab revoke genuine-android",
)
@click.argument("target", metavar="KIND|SERIAL", shell_complete=_kinds)
@_json_option
@click.pass_obj
@_body
def revoke() -> None:
    """Withdraw an attestation certificate for good, as Google does when a key leaks.

    KIND takes the certificate by which phones of that kind attest: phones from a factory share
    theirs with the whole batch, remotely provisioned ones have their own. SERIAL is in hex.
    """


@command.command(
    "suspend",
    short_help="Withdraw a certificate for the time being.",
    epilog="Example: watchword lab suspend 1049512760346175",
)
@click.argument("target", metavar="KIND|SERIAL", shell_complete=_kinds)
@_json_option
@click.pass_obj
@_body
def suspend() -> None:
    """Withdraw an attestation certificate for the time being."""


@command.command(
    "restore",
    short_help="Take a certificate off the list again.",
    epilog="Example: watchword lab restore genuine-android",
)
@click.argument("target", metavar="KIND|SERIAL", shell_complete=_kinds)
@_json_option
@click.pass_obj
@_body
def restore() -> None:
    """Take an attestation certificate off the list again."""


@command.command(
    "status-list",
    short_help="Show the lab's status list.",
    epilog="Example: watchword lab status-list --json > status.json",
)
@_json_option
@click.pass_obj
@_body
def status_list() -> None:
    """Show the lab's status list; with --json in the form of Google's."""


@command.command(
    "phones", short_help="List the kinds of phones.", epilog="Example: watchword lab phones --json"
)
@_json_option
@click.pass_obj
@_body
def phones() -> None:
    """List the kinds of phones, and what the policy of watchword.yaml makes of each; where there is no file, `balanced`."""


@command.command(
    "anchors",
    short_help="Write the lab's trust anchors, for a verifier.",
    epilog="Example: watchword lab anchors -o lab-anchors.json",
)
@click.option("-o", "--output", type=click.File("w"), default="-", metavar="FILE")
@_json_option
@click.pass_obj
@_body
def anchors() -> None:
    """Write the lab's trust anchors, for a verifier that should believe its phones."""


@command.command(
    "evidence", short_help="Write a new phone's evidence to a file.", epilog=_EVIDENCE_EXAMPLE
)
@click.argument("kind", shell_complete=_kinds)
@click.option("--app", "app_name", metavar="NAME", help="An app of watchword.yaml.")
@click.option("--challenge", metavar="HEX", help="What a verifier gave out; iOS apps hash it.")
@click.option("--binding", metavar="HEX", help="The bytes to bind to, as they are.")
@click.option("-o", "--output", type=click.File("wb"), required=True, metavar="FILE")
@_json_option
@click.pass_obj
@_body
def evidence() -> None:
    """Write a new phone's evidence: a PEM chain, CBOR (App Attest) or a token (Play Integrity)."""


@command.command(
    "request", short_help="Enrol a phone and send one request.", epilog=_REQUEST_EXAMPLE
)
@click.argument("kind", shell_complete=_kinds)
@click.argument("target", nargs=-1, required=True, metavar="[METHOD] URL")
@click.option("--app", "app_name", metavar="NAME", help="An app of watchword.yaml.")
@click.option(
    "--data",
    metavar="TEXT",
    callback=encodable,
    help="A body, sent as JSON; the method is POST then.",
)
@click.option(
    "--proof",
    type=click.Choice(_PROOFS),
    default=_PROOFS[0],
    show_default=True,
    help="How to prove the request; auto: as its route asks. bearer: the token alone.",
)
@click.option("--new", is_flag=True, help="Take a new phone instead of the one of last time.")
@_json_option
@click.pass_context
@_body
def request() -> None:
    """Enrol a phone at the running service and send one request with token and proof.

    The phone is kept for the next time, so that it can be revoked. URL may be a path of the
    API. Exits with 0 on a 2xx answer, 1 on any other or a refusal, 3 if nobody answers.
    """


@command.command(
    "attester",
    short_help="Answer as phones' hardware does.",
    epilog="Example: watchword lab attester --port 0 --json",
)
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="Where to listen; a loopback address.",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8450,
    show_default=True,
    help="The port; 0 takes a free one.",
)
@_json_option
@click.pass_obj
@_attester_body
def attester() -> None:
    """Serve what a phone's hardware and vendor return, over HTTP on this machine.

    For tests of an SDK: an app's own key and challenge in, and an Android key attestation, an App Attest object or a
    Play Integrity token out, or the error that a device would have.  Nothing is stored: App Attest keys
    and scripted errors end with the process.  SIGINT or SIGTERM let running requests end, then stop.

    --json prints one line once it listens: {"listen": "127.0.0.1:8450", "url": "http://127.0.0.1:8450"}.

    Exit code 0: it was stopped.  1: the file is of no lab, or the address is taken.  2: an option or the file is wrong.
    """
