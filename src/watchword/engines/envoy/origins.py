"""Write the servers that keys are lent to: each a cluster of addresses that were checked, over TLS to one name.

Envoy would connect to whatever a name resolves to.  So it is given no names, but addresses, by those who checked them.
"""

import ipaddress
from collections.abc import Sequence

from watchword.broker.interface import EdgeRule
from watchword.engines.envoy import names
from watchword.engines.envoy.listener import discovered
from watchword.engines.envoy.names import typed
from watchword.engines.envoy.options import EnvoyOptions
from watchword.engines.envoy.start import SYSTEM_ROOTS, http_1
from watchword.engines.envoy.yaml_text import Commented


def endpoints_file_name(secret: str) -> str:
    """Return the name of the file with the addresses of a key's origin."""
    return f"endpoints-{secret}.yaml"


def origin_cluster(rule: EdgeRule, options: EnvoyOptions) -> dict[str, object]:
    """Return the cluster of a key's origin."""
    name = names.origin(rule.secret)
    return typed(
        "envoy.config.cluster.v3.Cluster",
        {
            "name": name,
            "type": "EDS",
            "eds_cluster_config": {
                "eds_config": discovered(options.path(endpoints_file_name(rule.secret)))
            },
            "connect_timeout": "5s",
            **http_1(),
            "transport_socket": {
                "name": "envoy.transport_sockets.tls",
                "typed_config": _tls(rule),
            },
        },
    )


def origin_endpoints(rule: EdgeRule, addresses: Sequence[str]) -> dict[str, object]:
    """Return where the origin is.

    :param addresses: checked ones, best first; without any, requests are answered by 502.
    """
    places = [{"socket_address": {"address": each, "port_value": rule.port}} for each in addresses]
    found: list[object] = []
    if places:
        endpoint: dict[str, object] = {"address": places[0]}
        if places[1:]:
            more = [{"address": place} for place in places[1:]]
            endpoint["additional_addresses"] = Commented(
                more, "Tried one after another where the first doesn't answer (RFC 8305)."
            )
        found = [{"lb_endpoints": [{"endpoint": endpoint}]}]
    return typed(
        "envoy.config.endpoint.v3.ClusterLoadAssignment",
        {"cluster_name": names.origin(rule.secret), "endpoints": found},
    )


def _tls(rule: EdgeRule) -> dict[str, object]:
    literal = _is_address(rule.host)
    authorities = {"filename": SYSTEM_ROOTS} if rule.ca is None else {"inline_string": rule.ca}
    # An address is no name of a server (RFC 6066 section 3).
    stated: dict[str, object] = {} if literal else {"sni": rule.host}
    return typed(
        "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
        {
            **stated,
            "common_tls_context": {
                "tls_params": {"tls_minimum_protocol_version": "TLSv1_2"},
                "validation_context": {
                    "trusted_ca": authorities,
                    "match_typed_subject_alt_names": Commented(
                        [
                            {
                                "san_type": "IP_ADDRESS" if literal else "DNS",
                                "matcher": {"exact": rule.host},
                            }
                        ],
                        "Without this, any certificate of any host would do.",
                    ),
                },
            },
        },
    )


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
