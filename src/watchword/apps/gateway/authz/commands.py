"""Run ``watchword gate authz``: answer an engine's questions about each request, in a process of its own."""

import asyncio
import signal
from contextlib import AsyncExitStack
from pathlib import Path

import click

from watchword.adapters.refusal_log import MemoryRefusalLog
from watchword.apps.compose.gates import open_gate, system_ports
from watchword.apps.gateway.authz.application import serve_authz
from watchword.apps.settings import ApiSettings, ConfigurationError, Fault, Settings, load_settings
from watchword.apps.settings.environment import log_level
from watchword.apps.terminal.console import fail, leave, print_json
from watchword.apps.terminal.process import (
    configure_logs,
    forbid_core_dumps,
    raise_descriptor_limit,
)


def authz_command(config: Path, *, api: str, as_json: bool) -> None:
    """See ``watchword gate authz``."""
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


async def _serve(settings: Settings, api: ApiSettings, *, as_json: bool) -> None:

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
