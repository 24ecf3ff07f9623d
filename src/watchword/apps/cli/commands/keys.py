"""List and rotate the token keys."""

from pathlib import Path
from typing import Any

import click

from watchword.apps.cli.console import NAMES_LIKE_OPTIONS, print_json


@click.group(epilog="Example: watchword keys rotate")
def command() -> None:
    """List the token keys, rotate them, or withdraw one at once."""


@command.command("list", epilog="Example: watchword keys list --json")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
@click.pass_obj
def list_(config: Path, *, as_json: bool) -> None:
    """List the keys with their states: prepared, active, retired."""
    _show(_call(config, "GET", "/v1/keys"), as_json=as_json)


@command.command(epilog="Example: watchword keys rotate")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
@click.pass_obj
def rotate(config: Path, *, as_json: bool) -> None:
    """Let the prepared key take over, and prepare a new one.

    Tokens of the old key are accepted until they expire: no valid request is refused.
    """
    _show(_call(config, "POST", "/v1/keys/rotate"), as_json=as_json)


@command.command(
    context_settings=NAMES_LIKE_OPTIONS, epilog="Example: watchword keys retire 1xYk..."
)
@click.argument("kid")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
@click.pass_obj
def retire(config: Path, *, kid: str, as_json: bool) -> None:
    """Withdraw all trust from a key at once, because it may be stolen.

    Its tokens are refused within a second; instances renew and get tokens of the next key.
    """
    from urllib.parse import quote

    path = f"/v1/keys/{quote(kid, safe='')}/retire"
    _show(_call(config, "POST", path), as_json=as_json)


def _call(config: Path, method: str, path: str) -> list[dict[str, Any]]:
    from watchword.apps.operator_client import OperatorClient
    from watchword.apps.settings import load_settings

    with OperatorClient(load_settings(config).service.operator_socket) as operator:
        answer = operator.get(path) if method == "GET" else operator.post(path)
    keys: list[dict[str, Any]] = answer["keys"]
    return keys


def _show(keys: list[dict[str, Any]], *, as_json: bool) -> None:
    from datetime import UTC, datetime

    for key in keys:
        if as_json:
            print_json(key)
            continue
        since = datetime.fromtimestamp(key["since"], UTC).isoformat(timespec="seconds")
        line = f"{key['kid']}  {key['state']:<8}  since {since}"
        if key["verify_until"] is not None:
            until = datetime.fromtimestamp(key["verify_until"], UTC).isoformat(timespec="seconds")
            line += f", tokens accepted until {until}"
        click.echo(line)
