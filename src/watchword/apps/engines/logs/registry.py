"""List the engines whose access logs are read: one line each."""

from collections.abc import Mapping
from typing import Any, Final

from watchword.apps.engines.logs import caddy, envoy, haproxy, nginx, traefik
from watchword.apps.engines.logs.interface import EngineLog, LogLineError

ENGINE_LOGS: Final[Mapping[str, EngineLog]] = {
    "envoy": envoy.read,
    "nginx": nginx.read,
    "nginx-authz": nginx.read,
    "haproxy": haproxy.read,
    "caddy": caddy.read,
    "traefik": traefik.read,
}
"""By the engine's name, what reads a line of its log."""

NOTICES: Final[Mapping[str, tuple[bytes, ...]]] = {"haproxy": (b"Proxy ",)}
"""By the engine's name, how lines begin that it writes between those of requests: when a process of it ends."""


def engine_of(members: Mapping[str, Any]) -> str:
    """Return which engine wrote a line, as far as the line shows it.

    :raises LogLineError: when it doesn't.
    """
    if "request" in members:
        return "caddy"
    if "DownstreamStatus" in members:
        return "traefik"
    if "flags" in members and "details" in members:
        return "envoy"
    raise LogLineError("the line doesn't show which engine wrote it: say --engine")
