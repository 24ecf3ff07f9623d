"""Use the lab: list simulated phones, write their evidence and anchors, send real requests."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final, TextIO

import click

from watchword.apps.cli.console import EXIT_REFUSED, EXIT_UNAVAILABLE, encodable, print_json
from watchword.apps.cli.lab_status import COMMANDS
from watchword.apps.cli.paragraphs import terminal_width

if TYPE_CHECKING:
    import httpx

    from watchword.client import ServiceRefusedError, WatchwordClient

_EVIDENCE_EXAMPLE: Final = """\b
Examples:
  watchword lab evidence genuine-android --challenge 00c0ffee -o chain.pem
  watchword lab evidence emulator --binding 9f86d081884c7d659a2feaa0c55ad015 -o bad.pem
"""
_REQUEST_EXAMPLE: Final = """\b
Examples:
  watchword lab request genuine-iphone http://127.0.0.1:8080/patients
  watchword lab request unlocked-android POST /patients --data '{"name": "Ada"}'
"""
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
@click.option("--new", is_flag=True, help="Take a new phone instead of the one of last time.")
@_json_option
@click.pass_context
def request(
    ctx: click.Context,
    kind: str,
    target: tuple[str, ...],
    app_name: str | None,
    data: str | None,
    new: bool,
    as_json: bool,
) -> None:
    """Enrol a phone at the running service and send one request with its token.

    The phone is kept for the next time, so that it can be revoked. URL may be a path of the
    API. Exits with 0 on a 2xx answer, 1 on any other or a refusal, 3 if nobody answers.
    """
    import httpx

    from watchword.apps.cli.lab_phone import choose_app, choose_target, kept_client, lab_settings
    from watchword.client import ClientError, ServiceRefusedError, WatchwordAuth

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
            httpx.Client(
                auth=WatchwordAuth(client, api.audience), timeout=30, trust_env=False
            ) as http,
        ):
            response = http.request(method, url, content=data, headers=headers)
    except ServiceRefusedError as error:
        _print_refusal(error, as_json=as_json)
        ctx.exit(EXIT_REFUSED)
    except (ClientError, httpx.HTTPError) as error:
        click.echo(f"no answer: {error}; is `watchword up` running?", err=True)
        ctx.exit(EXIT_UNAVAILABLE)
    _print_response(response, client, as_json=as_json)
    ctx.exit(0 if response.is_success else EXIT_REFUSED)


def _print_refusal(error: "ServiceRefusedError", *, as_json: bool) -> None:
    """Show why the service gave no token; the API saw nothing of it."""
    from watchword.reasons import Reason

    problem = error.problem
    if as_json:
        print_json(
            {
                "answered_by": "service",
                "status": problem.status,
                "type": problem.slug,
                "reasons": problem.reasons,
                "ref": problem.ref,
            }
        )
        return
    reasons = f" ({', '.join(problem.reasons)})" if problem.reasons else ""
    click.echo(f"the service refused: {problem.status} {problem.slug}{reasons}", err=True)
    if Reason.INSTANCE_REVOKED.code in problem.reasons:
        click.echo("this phone is revoked for good; --new takes another one", err=True)
    if problem.ref:
        click.echo(f"more: watchword explain {problem.ref}", err=True)


def _print_response(
    response: "httpx.Response", client: "WatchwordClient", *, as_json: bool
) -> None:
    """Print an answer of the API or its gate, the way `curl -i` does."""
    if as_json:
        print_json(
            {
                "answered_by": "api",
                "status": response.status_code,
                "headers": dict(response.headers),
                "body": response.text,
                "instance": client.instance,
                "level": client.level,
            }
        )
        return
    click.echo(f"{response.http_version} {response.status_code} {response.reason_phrase}")
    for name, value in response.headers.items():
        click.echo(f"{name}: {value}")
    click.echo()
    click.echo(response.content, nl=not response.content.endswith(b"\n"))
