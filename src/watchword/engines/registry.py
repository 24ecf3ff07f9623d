"""List the engines whose configuration can be written; a new one is one line here."""

from collections.abc import Mapping
from typing import Final

from watchword.engines import caddy, nginx, nginx_authz, traefik
from watchword.engines.envoy.generation import DIFFERENCES as ENVOY_DIFFERENCES
from watchword.engines.haproxy import generation as haproxy
from watchword.engines.haproxy.plan import DIFFERENCES as HAPROXY_DIFFERENCES
from watchword.engines.interface import Engine

ENGINES: Final[Mapping[str, Engine]] = {
    "caddy": Engine("forwarded", caddy.DIFFERENCES, caddy.generate, caddy.start),
    "envoy": Engine("envoy", ENVOY_DIFFERENCES),
    "haproxy": Engine(
        "original", HAPROXY_DIFFERENCES, haproxy.generate, haproxy.start, follows=True
    ),
    "nginx": Engine("original", nginx.DIFFERENCES, nginx.generate, nginx.start, follows=True),
    "nginx-authz": Engine(
        "original",
        nginx_authz.DIFFERENCES,
        nginx_authz.generate,
        nginx_authz.start,
        follows=True,
        unfollowed="no verdict is kept, and each request is asked about",
    ),
    "traefik": Engine(
        "forwarded", traefik.DIFFERENCES, traefik.generate, traefik.start, over_tls=True
    ),
}
"""Each by its name."""

__all__ = ["ENGINES"]
