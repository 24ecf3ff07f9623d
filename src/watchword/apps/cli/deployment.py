"""Run ``watchword up``."""

from pathlib import Path

import click

from watchword.adapters.system import steady_seconds
from watchword.apps.cli.check import fetched
from watchword.apps.compose.applied import StartingFile, starting_file
from watchword.apps.compose.gates import system_ports
from watchword.apps.deployment import Deployment
from watchword.apps.settings.schema import Settings
from watchword.apps.terminal.console import print_json
from watchword.apps.terminal.process import opened_log, serve, until_signal


def up_command(config: Path, *, as_json: bool, log: Path | None) -> None:
    """See ``watchword up``."""
    start = starting_file(config)
    file = None if log is None else opened_log(log)
    serve(_serve(start, as_json=as_json), file)


async def _serve(start: StartingFile, *, as_json: bool) -> None:
    """Start, say where everything listens, wait for a signal, stop."""
    wanted = until_signal()
    settings = start.whole.settings
    deployment = Deployment(settings, *system_ports(), steady_seconds, start)
    await deployment.start()
    try:
        _announce(settings, as_json=as_json)
        _tell_applied(start)
        await wanted.wait()
    finally:
        await deployment.stop()
    if not as_json:
        click.echo("Stopped.")


def _tell_applied(start: StartingFile) -> None:
    """Tell what is in force where that isn't the file as it stands; on stderr, where no script looks for the announcement."""
    if start.applied is not None and start.differs:
        click.echo(
            f"configuration {start.number} is in force, as it was applied; {start.file.name} says something else: "
            "`watchword config check` shows it, `watchword config apply` puts it in force",
            err=True,
        )


def _announce(settings: "Settings", *, as_json: bool) -> None:
    """Tell where everything listens; as JSON in one line, for scripts that wait for it."""
    proxies = [api for api in settings.apis.values() if api.listen is not None]
    if as_json:
        print_json(
            {
                "environment": settings.environment.value,
                "service": str(settings.service.listen),
                "operator": str(settings.service.operator_socket),
                "apis": {api.name: str(api.listen) for api in proxies},
            }
        )
        return
    click.echo(f"Watchword is up ({settings.environment.value}). Ctrl-C stops it.")
    click.echo(f"  service   http://{settings.service.listen}")
    click.echo(f"  operator  {settings.service.operator_socket}")
    for line in fetched(settings):
        click.echo(f"  vendors   {line}")
    for api in proxies:
        click.echo(f"  {api.name}: http://{api.listen} -> {api.upstream}")
        for route in api.routes:
            click.echo(f"    {route.mode.value:<8} {route.pattern}")
