"""Use the lab: list simulated phones, write their evidence and anchors, send real requests."""

import json
import sys
from pathlib import Path
from typing import BinaryIO, Final, TextIO

import click

from watchword.apps.cli.lab_status import COMMANDS
from watchword.apps.terminal.console import EXIT_REFUSED, EXIT_UNAVAILABLE, encodable, print_json
from watchword.apps.terminal.paragraphs import terminal_width

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
_PROOFS: Final = ("auto", "bearer", "session", "device", "dpop")
_json_option: Final = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group(epilog="Example: watchword lab request genuine-iphone http://127.0.0.1:8080/")
def command() -> None:
    """Try your deployment with simulated phones; no store account needed.

    They exist in environment `lab` only: the tokens that they get are refused everywhere else.
    """


for each in COMMANDS:
    command.add_command(each)


@command.command(
    "phones", short_help="List the kinds of phones.", epilog="Example: watchword lab phones --json"
)
@_json_option
def phones(as_json: bool) -> None:
    """List the kinds of phones, and what policy `balanced` must make of each."""
    from watchword.lab import PHONES

    if as_json:
        print_json(
            [
                {
                    "kind": kind,
                    "platform": model.platform.value,
                    "summary": model.summary,
                    "level": model.expected.level.value,
                    "reasons": [reason.code for reason in model.expected.reasons],
                }
                for kind, model in PHONES.items()
            ]
        )
        return
    for kind, model in PHONES.items():
        reasons = model.expected.reasons
        verdict = reasons[0].code if reasons else f"level {model.expected.level.value}"
        line = f"{kind:<30}{verdict:<38}{model.summary}"
        if sys.stdout.isatty() and len(line) > terminal_width():
            line = f"{kind:<30}{verdict}\n    {model.summary}"
        click.echo(line)


@command.command(
    "anchors",
    short_help="Write the lab's trust anchors, for a verifier.",
    epilog="Example: watchword lab anchors -o lab-anchors.json",
)
@click.option("-o", "--output", type=click.File("w"), default="-", metavar="FILE")
@_json_option
@click.pass_obj
def anchors(config: Path, output: TextIO, as_json: bool) -> None:
    """Write the lab's trust anchors, for a verifier that should believe its phones."""
    from watchword.apps.cli.lab_phone import authorities_of, lab_settings

    document = authorities_of(lab_settings(config)).anchors_document()
    output.write(json.dumps(document, indent=None if as_json else 2) + "\n")


@command.command(
    "evidence", short_help="Write a new phone's evidence to a file.", epilog=_EVIDENCE_EXAMPLE
)
@click.argument("kind")
@click.option("--app", "app_name", metavar="NAME", help="An app of watchword.yaml.")
@click.option("--challenge", metavar="HEX", help="What a verifier gave out; iOS apps hash it.")
@click.option("--binding", metavar="HEX", help="The bytes to bind to, as they are.")
@click.option("-o", "--output", type=click.File("wb"), required=True, metavar="FILE")
@_json_option
@click.pass_obj
def evidence(
    config: Path,
    kind: str,
    app_name: str | None,
    challenge: str | None,
    binding: str | None,
    output: BinaryIO,
    as_json: bool,
) -> None:
    """Write a new phone's evidence: a PEM chain, CBOR (App Attest) or a token (Play Integrity)."""
    from watchword.apps.cli.lab_evidence import bound_bytes, evidence_file
    from watchword.apps.cli.lab_phone import (
        authorities_of,
        build_phone,
        choose_app,
        lab_settings,
        new_phone,
    )

    settings = lab_settings(config)
    app = choose_app(settings, kind, app_name)
    bound = bound_bytes(app.platform, challenge, binding)
    found = build_phone(authorities_of(settings), kind, app, new_phone(kind)).attest(bound)
    output.write(evidence_file(found))
    summary = {
        "kind": kind,
        "app": app.id,
        "format": found["format"],
        "binding": bound.hex(),
        "key_id": found.get("key_id"),
        "file": output.name,
    }
    if as_json:
        print_json(summary)
        return
    for name, value in summary.items():
        if value:
            click.echo(f"{name:<8}{value}", err=True)


@command.command(
    "request", short_help="Enrol a phone and send one request.", epilog=_REQUEST_EXAMPLE
)
@click.argument("kind")
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
def request(
    ctx: click.Context,
    kind: str,
    target: tuple[str, ...],
    app_name: str | None,
    data: str | None,
    proof: str,
    new: bool,
    as_json: bool,
) -> None:
    """Enrol a phone at the running service and send one request with token and proof.

    The phone is kept for the next time, so that it can be revoked. URL may be a path of the
    API. Exits with 0 on a 2xx answer, 1 on any other or a refusal, 3 if nobody answers.
    """
    import httpx

    from watchword.apps.cli.lab_answers import print_refusal, print_response
    from watchword.apps.cli.lab_phone import choose_app, choose_target, kept_client, lab_settings
    from watchword.apps.cli.lab_proof import auth_of
    from watchword.client import ClientError, ServiceRefusedError

    if len(target) > 2:
        raise click.UsageError("expected [METHOD] URL")
    settings = lab_settings(ctx.obj)
    app = choose_app(settings, kind, app_name)
    url, api = choose_target(settings, app, target[-1])
    method = target[0].upper() if len(target) == 2 else "GET" if data is None else "POST"
    if not (method.isascii() and method.isalpha()):
        raise click.UsageError(f"got method {method!r}, expected one such as GET")
    headers = {} if data is None else {"content-type": "application/json"}
    try:
        with (
            kept_client(settings, kind, app, api, new=new) as client,
            httpx.Client(auth=auth_of(client, api, proof), timeout=30, trust_env=False) as http,
        ):
            response = http.request(method, url, content=data, headers=headers)
    except ServiceRefusedError as error:
        print_refusal(error, as_json=as_json)
        ctx.exit(EXIT_REFUSED)
    except (ClientError, httpx.HTTPError) as error:
        click.echo(f"no answer: {error}; is `watchword up` running?", err=True)
        ctx.exit(EXIT_UNAVAILABLE)
    print_response(response, client, as_json=as_json)
    ctx.exit(0 if response.is_success else EXIT_REFUSED)
