"""List the engines whose configuration can be written; a new one is one line here, and its tables in ``differences.toml``."""

from collections.abc import Mapping
from typing import Final

from watchword.encoding.tables import read_table
from watchword.engines import caddy, nginx, nginx_authz, traefik
from watchword.engines.haproxy import generation as haproxy
from watchword.engines.interface import Difference, Divergence, Engine

_TABLE: Final = read_table("watchword.engines", "differences.toml")
_SHARED: Final = {each["name"]: each for each in _TABLE["shared"]}


def _difference(row: Mapping[str, str]) -> Difference:
    said = _SHARED[row["shared"]] if "shared" in row else row
    return Difference(**{**said, "divergence": Divergence(said["divergence"])})


def _differences(engine: str) -> tuple[Difference, ...]:
    return tuple(map(_difference, _TABLE[engine]))


ENGINES: Final[Mapping[str, Engine]] = {
    "caddy": Engine("forwarded", _differences("caddy"), caddy.generate, caddy.start),
    "envoy": Engine("envoy", _differences("envoy")),
    "haproxy": Engine(
        "original",
        _differences("haproxy"),
        haproxy.generate,
        haproxy.start,
        follows=True,
    ),
    "nginx": Engine(
        "original",
        _differences("nginx"),
        nginx.generate,
        nginx.start,
        follows=True,
    ),
    "nginx-authz": Engine(
        "original",
        _differences("nginx-authz"),
        nginx_authz.generate,
        nginx_authz.start,
        follows=True,
        unfollowed="no verdict is kept, and each request is asked about",
    ),
    "traefik": Engine(
        "forwarded",
        _differences("traefik"),
        traefik.generate,
        traefik.start,
        over_tls=True,
    ),
}
"""Each by its name."""
