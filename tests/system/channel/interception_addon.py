"""Run inside of mitmproxy: say where it listens, and what it read.  One line of JSON each, on standard output."""

import importlib
import json
from typing import Any


def _say(**members: Any) -> None:
    print(json.dumps(members), flush=True)  # noqa: T201 - this is how it talks.


def running() -> None:
    """Say where each mode listens: ports are the system's choice."""
    # Not installed where the types are checked: mitmproxy has an environment of its own.
    context = importlib.import_module("mitmproxy.ctx")
    servers = context.master.addons.get("proxyserver").servers
    _say(listening={each.mode.full_spec: each.listen_addrs[0][1] for each in servers})


def request(flow: Any) -> None:
    """Say which API key was read out of a request."""
    _say(captured=flow.request.headers.get("x-api-key", ""))
