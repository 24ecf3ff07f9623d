"""List the engines whose configuration can be written; a new one is one line here."""

from collections.abc import Mapping
from typing import Final

from watchword.engines.caddy import generation as caddy
from watchword.engines.caddy.differences import DIFFERENCES as CADDY_DIFFERENCES
from watchword.engines.envoy.differences import DIFFERENCES as ENVOY_DIFFERENCES
from watchword.engines.haproxy import generation as haproxy
from watchword.engines.haproxy.differences import DIFFERENCES as HAPROXY_DIFFERENCES
from watchword.engines.interface import Engine
from watchword.engines.nginx import generation as nginx
from watchword.engines.nginx.differences import DIFFERENCES as NGINX_DIFFERENCES
from watchword.engines.nginx_authz import generation as nginx_authz
from watchword.engines.nginx_authz.differences import DIFFERENCES as NGINX_AUTHZ_DIFFERENCES
from watchword.engines.traefik import generation as traefik
from watchword.engines.traefik.differences import DIFFERENCES as TRAEFIK_DIFFERENCES

ENGINES: Final[Mapping[str, Engine]] = {
    "caddy": Engine("forwarded", CADDY_DIFFERENCES, caddy.generate, caddy.start),
    "envoy": Engine("envoy", ENVOY_DIFFERENCES),
    "haproxy": Engine(
        "original", HAPROXY_DIFFERENCES, haproxy.generate, haproxy.start, follows=True
    ),
    "nginx": Engine("original", NGINX_DIFFERENCES, nginx.generate, nginx.start, follows=True),
    "nginx-authz": Engine(
        "original",
        NGINX_AUTHZ_DIFFERENCES,
        nginx_authz.generate,
        nginx_authz.start,
        follows=True,
        unfollowed="no verdict is kept, and each request is asked about",
    ),
    "traefik": Engine(
        "forwarded", TRAEFIK_DIFFERENCES, traefik.generate, traefik.start, over_tls=True
    ),
}
"""Each by its name."""

__all__ = ["ENGINES"]
