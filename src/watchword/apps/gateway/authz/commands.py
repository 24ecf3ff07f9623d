"""Run ``watchword gate authz``: answer an engine's questions about each request, in a process of its own."""

from contextlib import AsyncExitStack
from pathlib import Path

import click

from watchword.adapters.refusal_log import MemoryRefusalLog
from watchword.apps.compose.gates import open_gate, system_ports
from watchword.apps.gateway.authz.application import serve_authz
from watchword.apps.settings.faults import ConfigurationError, Fault
from watchword.apps.settings.load import load_settings
from watchword.apps.settings.schema import ApiSettings, Settings
from watchword.apps.terminal.console import print_json
from watchword.apps.terminal.process import serve, until_signal


def authz_command(config: Path, *, api: str, as_json: bool) -> None:
    """See ``watchword gate authz``."""
    settings = load_settings(config)
    found = settings.apis.get(api)
    if found is None or found.authz is None:
        known = [each.name for each in settings.apis.values() if each.authz is not None]
        expected = f"one of {', '.join(known)}" if known else "an API with an authz section"
        fault = Fault(f"apis.{api}.authz", None, "nothing", expected)
        raise ConfigurationError(config, [fault])
    serve(_serve(settings, found, as_json=as_json))


async def _serve(settings: Settings, api: ApiSettings, *, as_json: bool) -> None:
    wanted = until_signal()
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
