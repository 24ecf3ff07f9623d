"""Run what :mod:`watchword.apps.instances.cli` declares."""

from pathlib import Path
from typing import Any
from urllib.parse import quote

import click

from watchword.apps.service.client import NOT_RECORDED, operator_of
from watchword.apps.terminal.console import print_json
from watchword.apps.terminal.paragraphs import table
from watchword.encoding.phrases import duration


def list_command(
    config: Path, *, app: str | None, limit: int, before: str | None, as_json: bool
) -> None:
    """See ``watchword instances list``."""
    with operator_of(config) as service:
        query = {"app": app, "before": before}
        given = {name: value for name, value in query.items() if value is not None}
        instances = service.get("/v1/instances", limit=limit, **given)["instances"]
    if as_json:
        for instance in instances:
            print_json(instance)
        return
    if not instances:
        click.echo("No instances.")
        return
    # An id that is cut short can't be revoked, so that rows may grow instead.
    heads = ("instance", "state", "level", "app", "version", "renewed", "")
    for line in table(heads, map(_row, instances)):
        click.echo(line)
    if len(instances) == limit:
        click.echo(f"There may be more: --before {instances[-1]['instance']}", err=True)


def _row(each: dict[str, Any]) -> tuple[str, ...]:
    version, renewed = each["app_version"] or "-", _shortened(each["renewed_at"])
    place = (each["instance"], _state(each), each["level"], each["app"])
    return (*place, version, renewed, _remark(each))


def _state(instance: dict[str, Any]) -> str:
    if instance["revoked_at"]:
        return "revoked"
    if instance["expired"]:
        return "ended"
    return "test" if instance["test"] else "good"


def _remark(instance: dict[str, Any]) -> str:
    """Return why it was revoked, or when it ends."""
    if instance["revoked_because"]:
        return str(instance["revoked_because"])
    ends = instance["expires_at"]
    if ends is None:
        return ""
    return f"{'ended' if instance['expired'] else 'ends'} {_shortened(ends)}"


def _shortened(at: str) -> str:
    """Return a time of the service's as people read it: month, day, hour and minute, in UTC."""
    return at[5:16].replace("T", " ")


def pace_command(config: Path, *, as_json: bool) -> None:
    """See ``watchword instances pace``."""
    with operator_of(config) as service:
        apps = service.get("/v1/pace")["apps"]
    if as_json:
        for app in apps:
            print_json(app)
        return
    if not apps:
        click.echo("Enrolments aren't paced: service.enrolments.pace sets how fast they are.")
        return
    heads = ("app", "pace", "of", "waiting", "busy", "wait", "")
    for line in table(heads, map(_pace_row, apps)):
        click.echo(line)


def _pace_row(each: dict[str, Any]) -> tuple[str, ...]:
    return (
        each["app"],
        f"{each['rate']:g}/s",
        f"{each['floor']:g}-{each['most']:g}/s",
        str(each["waiting"]),
        str(each["waiting_busy"]),
        duration(each["wait"]) if each["wait"] else "-",
        "held: a vendor fails" if each["held"] else "",
    )


def revoke_command(config: Path, *, instance: str, because: str, as_json: bool) -> None:
    """See ``watchword instances revoke``."""
    with operator_of(config) as service:
        # Quoted, so that an id with a slash is an id that nobody has and not another path.
        path = f"/v1/instances/{quote(instance, safe='')}/revoke"
        revoked = service.post(path, {"because": because})
    if as_json:
        print_json(revoked)
        return
    place, why = f"{revoked['instance']} ({revoked['app']})", revoked["revoked_because"]
    if revoked.get("revoked_before"):
        click.echo(f"{place} was revoked already at {revoked['revoked_at']}, because: {why}")
        click.echo("Nothing changed.")
    else:
        click.echo(f"Revoked {place}: {why}")
    if not revoked.get("recorded", True):
        click.echo(f"  {NOT_RECORDED}", err=True)


def invite_command(
    config: Path,
    *,
    app: str,
    level: str,
    lasts: int,
    expires: int,
    because: str,
    as_json: bool,
) -> None:
    """See ``watchword instances invite``."""
    wanted = {
        "app": app,
        "level": level,
        "expires_in": expires,
        "instance_for": lasts,
        "because": because,
    }
    with operator_of(config) as service:
        made = service.post("/v1/test-codes", wanted)
    if as_json:
        print_json(made)
        return
    click.echo(
        f"Code {made['id']}: enrols one test instance of {made['app']} at level {made['level']} until "
        f"{_shortened(made['expires_at'])} UTC; the instance lives {duration(made['instance_for'])}.\n"
        f"Cancel it with: watchword instances cancel {made['id']}",
        err=True,
    )
    click.echo(made["code"])


def invitations_command(config: Path, *, limit: int, as_json: bool) -> None:
    """See ``watchword instances invitations``."""
    with operator_of(config) as service:
        codes = service.get("/v1/test-codes", limit=limit)["codes"]
    if as_json:
        for code in codes:
            print_json(code)
        return
    if not codes:
        click.echo("No invitations.")
        return
    rows = [(c["id"], _became(c), c["level"], c["app"], c["made_by"], c["because"]) for c in codes]
    for line in table(("id", "state", "level", "app", "by", "why"), rows):
        click.echo(line)


def _became(code: dict[str, Any]) -> str:
    if code["instance"]:
        return f"enrolled {code['instance']}"
    if code["cancelled_at"]:
        return "cancelled"
    return f"open until {_shortened(code['expires_at'])}" if code["open"] else "expired unused"


def cancel_command(config: Path, *, code_id: str, as_json: bool) -> None:
    """See ``watchword instances cancel``."""
    with operator_of(config) as service:
        cancelled = service.post(f"/v1/test-codes/{quote(code_id, safe='')}/revoke")
    if as_json:
        print_json(cancelled)
    else:
        click.echo(f"Cancelled {cancelled['id']} ({cancelled['app']}).")
