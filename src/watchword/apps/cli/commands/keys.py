"""List and rotate the token keys and the gate secrets."""

from pathlib import Path
from typing import Any

import click

from watchword.apps.cli.instances.asking import NOT_RECORDED
from watchword.apps.terminal.console import NAMES_LIKE_OPTIONS, print_json


@click.group(epilog="Example: watchword keys rotate")
def command() -> None:
    """List the keys, rotate them, or withdraw one at once."""


@command.command("list", epilog="Example: watchword keys list --json")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
@click.pass_obj
def list_(config: Path, *, as_json: bool) -> None:
    """List the keys with their purposes and states: prepared, active, retired.

    Purpose tokens: sign tokens.  gates: epochs of the secrets that session proofs rest on.
    bundles: signs what gates are told; gates know it by signer.jwk.
    """
    _show(_call(config, "GET", "/v1/keys"), as_json=as_json)


@command.command(epilog="Example: watchword keys rotate --purpose gates")
@click.option(
    "--purpose",
    type=click.Choice(["tokens", "gates"]),
    default="tokens",
    show_default=True,
    help="The key that signs tokens, or the secret that session proofs rest on.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
@click.pass_obj
def rotate(config: Path, *, purpose: str, as_json: bool) -> None:
    """Let the prepared key or epoch take over, and prepare a new one.

    Tokens of the old one are accepted until they expire: no valid request is refused.
    """
    _show(_call(config, "POST", f"/v1/keys/rotate?purpose={purpose}"), as_json=as_json)


@command.command(
    context_settings=NAMES_LIKE_OPTIONS, epilog="Example: watchword keys retire 1xYk..."
)
@click.argument("kid")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
@click.pass_obj
def retire(config: Path, *, kid: str, as_json: bool) -> None:
    """Withdraw all trust from a token key or an epoch at once, because it may be stolen.

    Its tokens are refused within a second (of an epoch: on routes that ask for a session proof);
    instances renew and get tokens of the next one.
    """
    from urllib.parse import quote

    path = f"/v1/keys/{quote(kid, safe='')}/retire"
    _show(_call(config, "POST", path), as_json=as_json)


def _call(config: Path, method: str, path: str) -> list[dict[str, Any]]:
    from watchword.apps.service.client import OperatorClient
    from watchword.apps.settings import load_settings

    with OperatorClient(load_settings(config).service.operator_socket) as operator:
        answer = operator.get(path) if method == "GET" else operator.post(path)
    if not answer.get("recorded", True):
        click.echo(NOT_RECORDED, err=True)
    keys: list[dict[str, Any]] = answer["keys"]
    return keys


def _show(keys: list[dict[str, Any]], *, as_json: bool) -> None:
    from datetime import UTC, datetime

    for key in keys:
        if as_json:
            print_json(key)
            continue
        since = datetime.fromtimestamp(key["since"], UTC).isoformat(timespec="seconds")
        line = f"{key['purpose']:<7}  {key['kid']:<43}  {key['state']:<8}  since {since}"
        if key["verify_until"] is not None:
            until = datetime.fromtimestamp(key["verify_until"], UTC).isoformat(timespec="seconds")
            line += f", tokens accepted until {until}"
        click.echo(line)
