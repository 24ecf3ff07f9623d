"""Run ``watchword pins reports``: ask the running service what apps reported, which takes none of the workspace."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from watchword.apps.service.client import operator_of
from watchword.apps.terminal.console import print_json


def reports_command(config: Path, /, *, app: str | None, host: str | None, as_json: bool) -> None:
    """Show what apps reported since the service started; times are UTC."""
    with operator_of(config) as service:
        found = service.get("/v1/pins/reports")
    found["groups"] = [
        each
        for each in found["groups"]
        if app in {None, each["app"]} and host in {None, each["host"]}
    ]
    if as_json:
        print_json(found)
        return
    for line in _reports_lines(found):
        click.echo(line)


def _reports_lines(found: dict[str, Any]) -> Iterator[str]:
    if not found["groups"]:
        yield "No reports."
    for each in found["groups"]:
        leaf = each["leaf"] or ("other keys" if each["basis"] is None else "no key")
        known = f" (pinned as {each['pinned_as']})" if each["pinned_as"] else ""
        yield f"{each['host']}  {each['app']}  {leaf}{known}"
        first, last = (
            "-" if at is None else at[:16].replace("T", " ") for at in (each["first"], each["last"])
        )
        what = "no pin matched" if each["mismatch"] else f"without pins ({each['basis']})"
        yield f"  {each['count']} reports, {each['refused']} refused: {what}; {first} to {last}"
        versions = ", ".join(each["app_versions"])
        sets = ", ".join(str(version) for version in each["set_versions"])
        yield f"  app {versions or '-'}; set {sets or '-'}"
    if found["unknown"]:
        yield f"{found['unknown']} of apps or hosts that nothing is published for."
    if found["dropped"]:
        yield f"{found['dropped']} not taken: too many at once."
