"""Write what Envoy reads at its start, and the servers that it talks to."""

import ipaddress

from watchword.engines.envoy import names
from watchword.engines.envoy.listener import discovered, socket_address
from watchword.engines.envoy.names import typed
from watchword.engines.envoy.options import EnvoyOptions
from watchword.engines.envoy.yaml_text import Commented
from watchword.engines.places import Endpoint

_ADMIN_MODE = 0o600
_MAX_EXPRESSION = 1_000_000
SYSTEM_ROOTS = "/etc/ssl/certs/ca-certificates.crt"


def bootstrap(options: EnvoyOptions, api: str) -> dict[str, object]:
    """Return the file that Envoy is started with; it changes with the places alone."""
    return {
        "node": {"id": f"watchword-{api}", "cluster": "watchword"},
        "admin": Commented(
            {"address": socket_address(options.admin, _ADMIN_MODE)},
            "Shows and changes everything: for the control plane alone. No secret is in what it "
            "shows, all the same.",
        ),
        "dynamic_resources": Commented(
            {
                "lds_config": discovered(options.path("listeners.yaml")),
                "cds_config": discovered(options.path("clusters.yaml")),
            },
            "Everything else is followed: a file that is renamed onto its name counts at once, and a "
            "broken one changes nothing.",
        ),
        "layered_runtime": {
            "layers": [
                {
                    "name": "static",
                    "static_layer": Commented(
                        {
                            "re2.max_program_size.error_level": _MAX_EXPRESSION,
                            "re2.max_program_size.warn_level": _MAX_EXPRESSION,
                        },
                        "The expressions of the routes are ours, none is a client's.",
                    ),
                }
            ]
        },
        "overload_manager": Commented(
            {
                "resource_monitors": [
                    {
                        "name": "envoy.resource_monitors.global_downstream_max_connections",
                        "typed_config": typed(
                            "envoy.extensions.resource_monitors.downstream_connections.v3"
                            ".DownstreamConnectionsConfig",
                            {"max_active_downstream_connections": options.max_connections},
                        ),
                    }
                ]
            },
            "Without a limit, idle connections could use up all descriptors.",
        ),
    }


def clusters(options: EnvoyOptions) -> list[dict[str, object]]:
    """Return the API, and Python where it is asked."""
    found = [_cluster(names.UPSTREAM, options.upstream, tls=options.tls)]
    if options.authz is not None:
        found.append(_cluster(names.AUTHZ_CLUSTER, options.authz, tls=False))
    return found


def _cluster(name: str, endpoint: Endpoint, *, tls: bool) -> dict[str, object]:
    static = endpoint.socket or _is_address(endpoint.host)
    cluster: dict[str, object] = {
        "name": name,
        "type": "STATIC" if static else "STRICT_DNS",
        "connect_timeout": "5s",
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": socket_address(endpoint)}}]}],
        },
        **http_1(),
    }
    if tls:
        cluster["transport_socket"] = _tls(endpoint.host)
    return typed("envoy.config.cluster.v3.Cluster", cluster)


def http_1() -> dict[str, object]:
    """Return how a server is spoken to: HTTP/1.1, many connections, no retry."""
    return {
        "circuit_breakers": {
            "thresholds": [
                {
                    "max_connections": 10_000,
                    "max_pending_requests": 10_000,
                    "max_requests": 10_000,
                    "max_retries": 0,
                }
            ]
        },
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": typed(
                "envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                {
                    "explicit_http_config": {"http_protocol_options": {}},
                    "common_http_protocol_options": Commented(
                        {"idle_timeout": "4s"},
                        "Less than servers keep an idle connection, so that a request rarely meets "
                        "one that is being closed.",
                    ),
                },
            )
        },
    }


def _tls(host: str) -> dict[str, object]:
    san = "IP_ADDRESS" if _is_address(host) else "DNS"
    return {
        "name": "envoy.transport_sockets.tls",
        "typed_config": typed(
            "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
            {
                "sni": host,
                "common_tls_context": {
                    "validation_context": {
                        "trusted_ca": {"filename": SYSTEM_ROOTS},
                        "match_typed_subject_alt_names": Commented(
                            [{"san_type": san, "matcher": {"exact": host}}],
                            "Without this, any certificate of any host would do.",
                        ),
                    }
                },
            },
        ),
    }


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
