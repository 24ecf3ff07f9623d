"""Show what apps reported to the running service."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from watchword.apps.cli.console import print_json


@click.command(epilog="Example: watchword pins reports --host api.example.com")
@click.option("--app", help="Only of this app.")
@click.option("--host", help="Only of this host.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_obj
def command(config: Path, /, *, app: str | None, host: str | None, as_json: bool) -> None:
    """Show what apps reported since the service started, grouped by host and by the key that they saw; times are UTC.

    Anyone can send a report: it is a claim. A key that you know is a certificate of yours that isn't pinned, or an app with old
    pins; one that nobody knows, on many phones, is somebody in between.
    """
    from watchword.apps.cli.paragraphs import show
    from watchword.apps.operator_client import OperatorClient
    from watchword.apps.settings import load_settings

    with OperatorClient(load_settings(config).service.operator_socket) as service:
        found = service.get("/v1/pins/reports")
    found["groups"] = [
        each
        for each in found["groups"]
        if app in {None, each["app"]} and host in {None, each["host"]}
    ]
    if as_json:
        print_json(found)
        return
    show(_lines(found))


def _lines(found: dict[str, Any]) -> Iterator[str]:
    if not found["groups"]:
        yield "No reports."
    for each in found["groups"]:
        leaf = each["leaf"] or ("other keys" if each["basis"] is None else "no key")
        known = f" (pinned as {each['pinned_as']})" if each["pinned_as"] else ""
        yield f"{each['host']}  {each['app']}  {leaf}{known}"
        what = "no pin matched" if each["mismatch"] else f"without pins ({each['basis']})"
        yield f"  {each['count']} reports, {each['refused']} refused: {what}; {_when(each['first'])} to {_when(each['last'])}"
        versions = ", ".join(each["app_versions"])
        sets = ", ".join(str(version) for version in each["set_versions"])
        yield f"  app {versions or '-'}; set {sets or '-'}"
    if found["unknown"]:
        yield f"{found['unknown']} of apps or hosts that nothing is published for."
    if found["dropped"]:
        yield f"{found['dropped']} not taken: too many at once."


def _when(at: str | None) -> str:
    return "-" if at is None else at[:16].replace("T", " ")
