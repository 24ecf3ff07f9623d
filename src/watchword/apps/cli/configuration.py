"""Run ``watchword config``: over the running service, or where none runs on what the next start takes."""

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from watchword.adapters.applied_files import AppliedFile, AppliedFileError
from watchword.apps.compose.applied import (
    MISSING,
    ConfigurationDesk,
    Proposal,
    StartingFile,
    apply_anew,
    read_whole,
    running_nodes,
    starting_file,
)
from watchword.apps.service.client import OperatorClient, claimed_name
from watchword.apps.settings.document import MAX_BYTES, OPERATOR_SOCKET, STATE, read_bytes
from watchword.apps.settings.faults import ConfigurationError
from watchword.apps.settings.schema import Settings
from watchword.apps.settings.sections import Configuration
from watchword.apps.terminal.console import EXIT_REFUSED, EXIT_USAGE, print_json
from watchword.apps.terminal.paragraphs import printable_lines, table
from watchword.gate.interface import GatePolicy
from watchword.reasons import Reason, RefusedError, UnavailableError

_NOT_RUNNING = "No service runs here: it is for the next start of `watchword up`."


def config_check(ctx: click.Context, *, as_json: bool) -> None:
    """See ``watchword config check``."""
    config: Path = ctx.obj
    try:
        sha256 = _checked(config)
        found = _asked(
            config,
            lambda service: service.post("/v1/configuration/check", {"sha256": sha256}),
            lambda desk: {"base": desk.number, **desk.propose().as_dict()},
        )
    except ConfigurationError as error:
        if not as_json:
            raise
        faults = [fault.as_dict() for fault in error.faults]
        print_json({"file": str(config), "ok": False, "faults": faults})
        ctx.exit(EXIT_USAGE)
    if as_json:
        print_json({"file": str(config), "ok": True, "faults": [], **found})
    else:
        _show_proposal(found)
    if any(each["widens"] for each in found["changes"]):
        ctx.exit(EXIT_REFUSED)


def config_apply(config: Path, *, widen: bool, because: str | None, as_json: bool) -> None:
    """See ``watchword config apply``."""
    _require_reason(widen=widen, because=because)
    sha256 = _checked(config)
    wanted = {"widen": widen, "because": because or ""}

    def online(service: OperatorClient) -> dict[str, Any]:
        # What somebody else puts in force from now on isn't what this change was compared with.
        base = service.get("/v1/configuration")["number"]
        return service.post("/v1/configuration", {"sha256": sha256, "base": base, **wanted})

    try:
        found = _asked(config, online, lambda desk: _offline(desk, desk.propose(), widen, because))
    except AppliedFileError as error:
        found = _anew(config, error, widen=widen, because=because)
    _show_result(found, as_json=as_json)


def config_rollback(config: Path, *, widen: bool, because: str | None, as_json: bool) -> None:
    """See ``watchword config rollback``."""
    _require_reason(widen=widen, because=because)
    wanted = {"widen": widen, "because": because or ""}

    def online(service: OperatorClient) -> dict[str, Any]:
        base = service.get("/v1/configuration")["number"]
        return service.post("/v1/configuration/rollback", {"base": base, **wanted})

    _show_result(
        _asked(config, online, lambda desk: _offline(desk, desk.propose_back(), widen, because)),
        as_json=as_json,
    )


def config_status(config: Path, *, as_json: bool) -> None:
    """See ``watchword config status``."""
    found = _asked(config, lambda service: service.get("/v1/configuration"), _status)
    if as_json:
        print_json(found)
        return
    number = found["number"]
    click.echo(
        f"Configuration {number} is in force."
        if number
        else "Nothing was applied yet: the file is in force as the service found it at its start."
    )
    for path in found["waiting"]:
        click.echo(f"  waits for a restart  {path}")
    if found["fault"] is not None:
        click.echo(f"  the file can't be applied: {printable_lines(found['fault'])}", err=True)
    elif found["proposal"] is not None and found["proposal"]["changes"]:
        count = len(found["proposal"]["changes"])
        what = "one setting" if count == 1 else f"{count} settings"
        click.echo(f"  {config} says something else in {what}: `watchword config check`")
    rows = list(map(_row, reversed(found["applied"])))
    for line in table(("number", "at", "by", "widened", "why"), rows) if rows else ():
        click.echo(line)


def _row(each: Mapping[str, Any]) -> tuple[str, ...]:
    again = f" (as {each['restores']})" if each["restores"] else ""
    at, widened = each["at"][:19].replace("T", " "), "yes" if each["widened"] else ""
    return (f"{each['number']}{again}", at, each["by"], widened, each["because"])


def _require_reason(*, widen: bool, because: str | None) -> None:
    if widen and because is None:
        raise click.UsageError("--widen needs --because TEXT: it goes into the audit trail")


def _checked(config: Path) -> str:
    """Return the hash of the file, whose faults are told first.

    :raises ConfigurationError: with every fault of it.
    """
    text = read_bytes(config, MISSING, MAX_BYTES)
    read_whole(config, text)
    return hashlib.sha256(text).hexdigest()


def _asked(
    config: Path,
    online: Callable[[OperatorClient], dict[str, Any]],
    offline: Callable[[ConfigurationDesk], dict[str, Any]],
) -> dict[str, Any]:
    """Ask the running service, or where none runs what was applied.

    The file itself may be broken, which must keep nobody from rolling back.
    """
    read = Configuration.if_readable(config)
    socket = (config.resolve().parent / STATE if read is None else read.state) / OPERATOR_SOCKET
    if socket.is_socket():
        try:
            with OperatorClient(socket) as service:
                return online(service)
        except UnavailableError as error:
            # A socket without a listener is left by a process that was killed.
            if error.reason is not Reason.SERVICE_UNREACHABLE or _is_listening(socket):
                raise
    return offline(_desk(starting_file(config)))


def _is_listening(socket: Path) -> bool:
    with OperatorClient(socket) as service:
        try:
            service.get("/v1/configuration")
        except UnavailableError as error:
            return error.reason is not Reason.SERVICE_UNREACHABLE
        except RefusedError:
            return True
    return True


def _desk(start: StartingFile) -> ConfigurationDesk:
    return ConfigurationDesk(start, _require_usable, runs=False)


def _require_usable(settings: Settings) -> Sequence[GatePolicy]:
    # The whole service stands behind it, and is asked for only where none runs.
    from watchword.apps.deployment import require_usable  # noqa: PLC0415

    return require_usable(settings)


def _offline(
    desk: ConfigurationDesk, proposal: Proposal, widen: bool, because: str | None
) -> dict[str, Any]:
    if desk.applied is None:
        raise RefusedError.because(
            Reason.CONFIGURATION_FAULTY,
            "no service runs and nothing was applied yet, so the next start takes the file as it stands",
        )
    if desk.is_shared and (others := running_nodes(desk.whole.settings)):
        raise RefusedError.because(
            Reason.CONFIGURATION_CONFLICT,
            f"no service runs here, but other nodes do, which would go by it at once: apply it at {', '.join(others)}",
        )
    if proposal.is_new:
        proposal.require_allowed(widen=widen)
        desk.commit(proposal, desk.number, _now(), _by(), because or "", recorded=False)
    return {
        "number": desk.number,
        "generation": None,
        "changed": proposal.is_new,
        "told": False,
        "restores": None if proposal.restores is None else proposal.restores.number,
        **proposal.as_dict(),
    }


def _anew(
    config: Path, error: AppliedFileError, *, widen: bool, because: str | None
) -> dict[str, Any]:
    """Apply the file where what was applied can't be trusted: compared with nothing, it counts as widening."""
    if not widen:
        raise RefusedError.because(
            Reason.CONFIGURATION_WIDENS,
            f"{error}. There is nothing to compare the file with: --widen --because TEXT applies it as it stands",
        ) from None
    note = AppliedFile(0, "", _now(), _by(), because or "", widened=True, recorded=False)
    made = apply_anew(config, _require_usable, note)
    return {
        "number": made.number,
        "generation": None,
        "changed": True,
        "told": False,
        "restores": None,
        "sha256": made.sha256,
        "is_new": True,
        "changes": [],
        "waiting": [],
        "all_waits": True,
        "kept_by": [],
    }


def _now() -> int:
    return int(time.time())  # noqa: TID251 - for people, in the list of what was applied.


def _by() -> str:
    return f"operator (claimed: {claimed_name()})"


def _status(desk: ConfigurationDesk) -> dict[str, Any]:
    found: dict[str, Any] = {
        "file": str(desk.file),
        "number": desk.number,
        "sha256": desk.sha256,
        "generation": None,
        "waiting": [],
        "applied": [each.as_dict() for each in desk.kept()],
        "fault": None,
        "proposal": None,
    }
    try:
        found["proposal"] = desk.propose().as_dict()
    except ConfigurationError as error:
        found["fault"] = str(error)
    return found


def _show_proposal(found: Mapping[str, Any]) -> None:
    if not found["changes"]:
        click.echo("The file means what is in force already.")
    _show_changes(found["changes"])
    _show_waiting(found)
    _show_kept(found)


def _show_result(found: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(found)
        return
    if not found["changed"]:
        click.echo(f"Nothing changed: configuration {found['number']} has this text already.")
        return
    again = f", as configuration {found['restores']} was" if found["restores"] else ""
    generation = "" if found["generation"] is None else f"; gates: generation {found['generation']}"
    click.echo(f"Configuration {found['number']} is in force{again}{generation}.")
    _show_changes(found["changes"])
    _show_waiting(found)
    _show_kept(found)
    if found["generation"] is None:
        click.echo(f"  {_NOT_RUNNING}", err=True)
    elif not found["told"]:
        click.echo("  Gates can't be told now: they are as soon as that is possible.", err=True)


def _show_changes(changes: Sequence[Mapping[str, Any]]) -> None:
    for each in changes:
        mark = "widens" if each["widens"] else "changes"
        why = f" ({each['because']})" if each["because"] else ""
        line = f"{each['path']}: {each['before']} -> {each['after']}{why}"
        click.echo(f"  {mark:<8} {printable_lines(line)}")


def _show_waiting(found: Mapping[str, Any]) -> None:
    for path in found["waiting"]:
        click.echo(f"  waits for a restart  {path}")
    if found["all_waits"] and found["waiting"]:
        click.echo("  All of it waits: the rest can't stand without what needs the restart.")


def _show_kept(found: Mapping[str, Any]) -> None:
    for each in found["kept_by"]:
        click.echo(
            f"  {each['engine']} without /authz keeps the routes that it has: {printable_lines(each['because'])}"
        )
