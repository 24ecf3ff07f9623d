"""List what brings files to each engine that is followed; a new one is one line here."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from watchword.apps.engines.following import RunningEngine
from watchword.apps.engines.haproxy import RunningHaproxy
from watchword.apps.engines.nginx import Nginx
from watchword.apps.engines.nginx_authz import NginxAuthz
from watchword.engines.interface import EngineOptions

MakeRunning = Callable[[EngineOptions, Path | None, bool, Callable[[str], None]], RunningEngine]
"""From places, the engine's binary where it is named, whether to run it, and who is told of faults."""

RUNNING: Final[Mapping[str, MakeRunning]] = {
    "haproxy": RunningHaproxy,
    "nginx": Nginx,
    "nginx-authz": NginxAuthz,
}
"""Each by the engine's name."""
