"""Run what :mod:`watchword.apps.instances.cli` declares."""

import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NoReturn
from urllib.parse import quote

import click

from watchword.apps.service.client import NOT_RECORDED, OperatorClient, operator_of
from watchword.apps.terminal.console import EXIT_REFUSED, print_json
from watchword.apps.terminal.paragraphs import table
from watchword.encoding.phrases import counted, duration

_DELETED: Final = "-"
"""The format that the service tells of an instance which was deleted on request."""


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
    if instance["format"] == _DELETED:
        return "deleted"
    if instance["revoked_at"]:
        return "revoked"
    if instance["expired"]:
        return "ended"
    return "test" if instance["test"] else "good"


def _remark(instance: dict[str, Any]) -> str:
    """Return why it was revoked, or when it ends."""
    if instance["format"] == _DELETED:
        return "what is left goes two days after that"
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


def export_command(
    config: Path,
    *,
    instance: Sequence[str],
    device: Sequence[str],
    subject: Sequence[str],
    as_json: bool,
) -> None:
    """See ``watchword instances export``."""
    with operator_of(config) as service:
        found = _found(service, instance, device, subject)
        for each in found:
            name = each["instance"]
            dossier = service.post(f"/v1/instances/{quote(name, safe='')}/export")
            kept = dossier | {"audit": list(_trail(service, name))}
            if as_json:
                print_json(kept)
            else:
                click.echo(json.dumps(kept, indent=2))
    if not found:
        _say_nothing_is_kept()


def _say_nothing_is_kept() -> NoReturn:
    click.echo("Nothing is kept.", err=True)
    raise click.exceptions.Exit(EXIT_REFUSED)


def _found(
    service: OperatorClient,
    instance: Sequence[str],
    device: Sequence[str],
    subject: Sequence[str],
) -> list[dict[str, Any]]:
    """Return the instances that the options name, each once."""
    named = [("instance", each) for each in instance]
    named += [("device", each) for each in device]
    named += [("subject", each) for each in subject]
    if not named:
        raise click.UsageError("expected --instance, --device or --subject")
    found: dict[str, dict[str, Any]] = {}
    for way, value in named:
        for each in service.get("/v1/instances", **{way: value})["instances"]:
            found.setdefault(each["instance"], each)
    return list(found.values())


def _trail(service: OperatorClient, name: str) -> Iterator[dict[str, Any]]:
    """Yield the audit entries about an instance, newest first."""
    before: dict[str, int] = {}
    while True:
        page = service.get("/v1/audit", subject=name, limit=1000, **before)
        yield from page["entries"]
        if page["before"] is None:
            return
        before = {"before": page["before"]}


def delete_command(
    config: Path,
    *,
    instance: Sequence[str],
    device: Sequence[str],
    subject: Sequence[str],
    because: str,
    yes: bool,
    as_json: bool,
) -> None:
    """See ``watchword instances delete``."""
    with operator_of(config) as service:
        found = _found(service, instance, device, subject)
        if not found:
            if as_json:
                return
            click.echo("Nothing is kept: there is nothing to delete.")
            return
        if not yes:
            heads = ("instance", "state", "level", "app", "version", "renewed", "")
            for line in table(heads, map(_row, found)):
                click.echo(line, err=True)
            what = counted(len(found), "instance")
            click.confirm(f"Delete {what}? This can't be taken back.", abort=True, err=True)
        for each in found:
            name = each["instance"]
            path = f"/v1/instances/{quote(name, safe='')}/delete"
            deleted = service.post(path, {"because": because})
            if as_json:
                print_json(deleted)
            else:
                click.echo(f"Deleted {name} ({each['app']}).")


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


def cut_command(
    config: Path,
    *,
    app: str,
    level: str | None,
    issued_before: int | None,
    step: int,
    pause: int,
    because: str,
    rehearse: bool,
    as_json: bool,
) -> None:
    """See ``watchword instances cut``."""
    wanted: dict[str, Any] = {"app": app, "step": step, "pause": pause}
    given = {"level": level, "issued_before": issued_before}
    wanted |= {name: value for name, value in given.items() if value is not None}
    with operator_of(config) as service:
        if rehearse:
            found = service.get("/v1/cuts/rehearsal", **wanted)
        else:
            found = service.post("/v1/cuts", wanted | {"because": because})
    if as_json:
        print_json(found)
    elif rehearse:
        for line in _rehearsed(found):
            click.echo(line)
    else:
        click.echo(f"{found['id']}: {_extent(found)}")
        if found["goes_on"]:
            click.echo(f"Stop its steps with: watchword instances cut-stop {found['id']}", err=True)


def _rehearsed(found: dict[str, Any]) -> Iterator[str]:
    """Yield what a cut would do, and what to do about it."""
    level = f" of level {found['level']}" if found["level"] else ""
    a_step = math.ceil(found["instances"] * found["step"] / 64)
    yield "A rehearsal; nothing was changed."
    yield f"Hits:      {counted(found['instances'], 'instance')} of {found['app']}{level}"
    yield (
        f"Takes:     {counted(found['steps'], 'step')} of about {counted(a_step, 'instance')}, "
        f"one every {found['pause']} s: {duration(found['seconds'])} in all"
    )
    yield (
        f"Renewals:  up to {found['peak']:,.1f} a second, {found['usual']:,.1f} of them usual; this service carries out "
        f"about {found['capacity']:,.0f} a second (an estimate)"
    )
    if found["fits"]:
        yield "Verdict:   fits, with as much again to spare for clients that don't spread their renewals"
    elif found["fitting_pause"] is None:
        yield "Verdict:   too many; no pace fits, since the usual renewals take up the room"
    else:
        yield f"Verdict:   too fast; take --step 1 --pause {found['fitting_pause']}s"
    if found["seconds"] > found["token_lifetime"]:
        yield f"Note:      tokens end by themselves after {duration(found['token_lifetime'])}, before the last step"


def cuts_command(config: Path, *, as_json: bool) -> None:
    """See ``watchword instances cuts``."""
    with operator_of(config) as service:
        cuts = service.get("/v1/cuts")["cuts"]
    if as_json:
        for each in cuts:
            print_json(each)
        return
    if not cuts:
        click.echo("No cuts.")
        return
    rows = [
        (c["id"], _progress(c), c["level"] or "-", c["app"], c["issued_before"], c["because"])
        for c in cuts
    ]
    for line in table(("id", "state", "level", "app", "issued before", "why"), rows):
        click.echo(line)


def _progress(cut: dict[str, Any]) -> str:
    share = f"{cut['share']}/{cut['of']}"
    if cut["stopped_at"] and cut["share"] < cut["of"]:
        return f"stopped at {share}"
    return f"{share}, goes on" if cut["goes_on"] else share


def _extent(cut: dict[str, Any]) -> str:
    level = f" of level {cut['level']}" if cut["level"] else ""
    said = f"tokens of {cut['app']}{level} from before {cut['issued_before']} are refused"
    if not cut["goes_on"]:
        return f"{said}, for {cut['share']} of {cut['of']} parts of the fleet"
    left = -(-(cut["of"] - cut["share"]) // cut["step"])
    return (
        f"{said}, for {cut['share']} of {cut['of']} parts of the fleet now and {cut['step']} more every "
        f"{cut['pause']} s ({counted(left, 'step')} to go)"
    )


def cut_stop_command(config: Path, *, cut_id: str, because: str, as_json: bool) -> None:
    """See ``watchword instances cut-stop``."""
    with operator_of(config) as service:
        cut = service.post(f"/v1/cuts/{quote(cut_id, safe='')}/stop", {"because": because})
    if as_json:
        print_json(cut)
    elif cut["share"] == cut["of"]:
        click.echo(f"{cut['id']} has no step left: {_extent(cut)}")
    else:
        click.echo(f"Stopped {cut['id']}: {_extent(cut)}")
