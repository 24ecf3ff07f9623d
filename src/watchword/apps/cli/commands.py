"""Run the small commands that :mod:`watchword.apps.cli.declarations` declares."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import click

from watchword.apps.service.client import NOT_RECORDED, operator_of
from watchword.apps.settings.template import TEMPLATE
from watchword.apps.terminal.console import EXIT_REFUSED, print_json
from watchword.encoding.phrases import moment

SCHEMA_FILE: Final = "watchword.schema.json"
"""What the first lines of a new ``watchword.yaml`` name, beside it."""


def init_command(ctx: click.Context, *, force: bool, as_json: bool) -> None:
    """See ``watchword init``."""
    file: Path = ctx.obj
    schema = file.with_name(SCHEMA_FILE)
    try:
        with file.open("w" if force else "x", encoding="utf-8") as stream:
            stream.write(TEMPLATE)
    except FileExistsError:
        click.echo(f"{file} is there already; --force overwrites it", err=True)
        ctx.exit(EXIT_REFUSED)
    # One that is there may be somebody's own.
    is_written = force or not schema.exists()
    if is_written:
        schema.write_text(f"{json.dumps(_schema(), indent=2)}\n", encoding="utf-8")
    if as_json:
        print_json({"file": str(file), "written": True, "schema": str(schema)})
        return
    click.echo(f"Wrote {file}: a lab with two example apps and one API.")
    if is_written:
        click.echo(f"Wrote {schema}: editors complete keys and mark faults by it.")
    else:
        click.echo(f"{schema} was there and stays; `watchword schema` prints this version's.")
    click.echo("Next: edit it, then `watchword check`, then `watchword up`.")


def keys_list(config: Path, *, as_json: bool) -> None:
    """See ``watchword keys list``."""
    _show(_call(config, "GET", "/v1/keys"), as_json=as_json)


def keys_rotate(config: Path, *, purpose: str, as_json: bool) -> None:
    """See ``watchword keys rotate``."""
    _show(_call(config, "POST", f"/v1/keys/rotate?purpose={purpose}"), as_json=as_json)


def keys_retire(config: Path, *, kid: str, as_json: bool) -> None:
    """See ``watchword keys retire``."""
    path = f"/v1/keys/{quote(kid, safe='')}/retire"
    _show(_call(config, "POST", path), as_json=as_json)


def _call(config: Path, method: str, path: str) -> list[dict[str, Any]]:

    with operator_of(config) as operator:
        answer = operator.get(path) if method == "GET" else operator.post(path)
    if not answer.get("recorded", True):
        click.echo(NOT_RECORDED, err=True)
    keys: list[dict[str, Any]] = answer["keys"]
    return keys


def _show(keys: list[dict[str, Any]], *, as_json: bool) -> None:

    for key in keys:
        if as_json:
            print_json(key)
            continue
        line = f"{key['purpose']:<7}  {key['kid']:<43}  {key['state']:<8}  since {_shortly(key['since'])}"
        if key["verify_until"] is not None:
            line += f", tokens accepted until {_shortly(key['verify_until'])}"
        click.echo(line)


def _shortly(at: str) -> str:
    return moment(datetime.fromisoformat(at), "seconds")


def schema_command(*, as_json: bool) -> None:
    """See ``watchword schema``."""
    schema = _schema()
    if as_json:
        print_json(schema)
    else:
        click.echo(json.dumps(schema, indent=2))


def _schema() -> dict[str, Any]:
    # The other commands of this module ask a running service, which needs none of the file's models.
    from watchword.apps.settings.load import file_schema  # noqa: PLC0415

    return {
        **file_schema(),
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "watchword.yaml",
    }
