"""Run the service and the proxies in front of the APIs, in one process."""

import asyncio
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import click

from watchword.apps.cli.fetched import fetched
from watchword.apps.terminal.console import fail, leave, print_json

if TYPE_CHECKING:
    from watchword.apps.settings import Settings


@click.command(epilog="Example: watchword -c staging.yaml up")
@click.option("--json", "as_json", is_flag=True, help="Print where everything listens as JSON.")
@click.pass_obj
def command(config: Path, *, as_json: bool) -> None:
    """Run the service and a proxy in front of each API that has an upstream.

    Keys and store are made on the first start.  Logs go to stderr as JSON lines; SIGINT or
    SIGTERM let running requests end, then stop.  Starts nothing when the file has a fault.
    """
    from watchword.apps.settings import load_settings
    from watchword.apps.settings.environment import log_level
    from watchword.apps.terminal.process import (
        configure_logs,
        forbid_core_dumps,
        raise_descriptor_limit,
    )

    settings = load_settings(config)
    forbid_core_dumps()
    raise_descriptor_limit()
    configure_logs(log_level())
    try:
        asyncio.run(_serve(settings, as_json=as_json))
    except Exception as error:  # noqa: BLE001 - reported like any other error, then we leave.
        leave(fail(error))
    leave(0)


async def _serve(settings: "Settings", *, as_json: bool) -> None:
    """Start, say where everything listens, wait for a signal, stop."""
    from watchword.adapters.system import steady_seconds
    from watchword.apps.compose.gates import system_ports
    from watchword.apps.compose.service import Deployment

    wanted = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, wanted.set)
    deployment = Deployment(settings, *system_ports(), steady_seconds)
    await deployment.start()
    try:
        _announce(settings, as_json=as_json)
        await wanted.wait()
    finally:
        await deployment.stop()
    if not as_json:
        click.echo("Stopped.")


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
