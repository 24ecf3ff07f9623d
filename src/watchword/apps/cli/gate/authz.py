"""Answer an engine's questions about each request, in a process of its own."""

import asyncio
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import click

from watchword.apps.terminal.console import fail, leave, print_json

if TYPE_CHECKING:
    from watchword.apps.settings import ApiSettings, Settings


@click.command(epilog="Example: watchword gate authz clinic")
@click.argument("api")
@click.option("--json", "as_json", is_flag=True, help="Print where it listens as JSON.")
@click.pass_obj
def command(config: Path, *, api: str, as_json: bool) -> None:
    """Answer forward-auth questions about API, as its `authz` section in the file says.

    Follows the API's bundle in the state directory: `watchword up` writes it there, or `watchword
    gate pull` on another machine.  `watchword up` answers by itself; don't run both.
    """
    from watchword.apps.settings import ConfigurationError, Fault, load_settings
    from watchword.apps.settings.environment import log_level
    from watchword.apps.terminal.process import (
        configure_logs,
        forbid_core_dumps,
        raise_descriptor_limit,
    )

    settings = load_settings(config)
    found = settings.apis.get(api)
    if found is None or found.authz is None:
        known = [each.name for each in settings.apis.values() if each.authz is not None]
        expected = f"one of {', '.join(known)}" if known else "an API with an authz section"
        fault = Fault(f"apis.{api}.authz", None, "nothing", expected)
        raise ConfigurationError(config, [fault])
    forbid_core_dumps()
    raise_descriptor_limit()
    configure_logs(log_level())
    try:
        asyncio.run(_serve(settings, found, as_json=as_json))
    except Exception as error:  # noqa: BLE001 - reported like any other error, then we leave.
        leave(fail(error))
    leave(0)


async def _serve(settings: "Settings", api: "ApiSettings", *, as_json: bool) -> None:
    from contextlib import AsyncExitStack

    from watchword.adapters.refusal_log import MemoryRefusalLog
    from watchword.apps.compose.gates import open_gate, system_ports
    from watchword.apps.gateway.authz.application import serve_authz

    wanted = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, wanted.set)
    clock, entropy = system_ports()
    async with AsyncExitStack() as stack:
        gate = open_gate(stack, settings, api, entropy)
        where = await serve_authz(
            stack,
            settings,
            api,
            gate,
            refusal_log=MemoryRefusalLog(clock),
            clock=clock,
            entropy=entropy,
        )
        if as_json:
            print_json({"api": api.name, "listen": where})
        else:
            click.echo(f"Answering for {api.name} at {where}. Ctrl-C stops it.")
        await wanted.wait()
