"""Write the listener: how connections are read, and the order of the filters."""

from collections.abc import Sequence
from typing import Final

from watchword.engines.client_side import CLIENT_SIDE, FORWARDED_PREFIX
from watchword.engines.envoy import names
from watchword.engines.envoy.names import typed
from watchword.engines.envoy.options import EnvoyOptions
from watchword.engines.envoy.replies import access_log, local_replies
from watchword.engines.envoy.yaml_text import Commented
from watchword.engines.places import Endpoint
from watchword.gate.interface import Rate
from watchword.vocabulary import Level

_SIGN: Final = r"[-!#$%&'*+.^_\x60|~]"
_STATED_HERE: Final = (
    rf"watchword{_SIGN}(?:instance|level|app|verdict|environment|framed|api)"
    rf"|x{_SIGN}(?:envoy{_SIGN}.*|forwarded{_SIGN}.*|request{_SIGN}id)"
    rf"|{'|'.join(_SIGN.join(name.lower().split('-')) for name in CLIENT_SIDE if not name.startswith(FORWARDED_PREFIX))}"
    r"|(?:watchword|signature|content|transfer)[!#$%&'*+.^\x60|~](?:token|input|length|digest|encoding)"
)
"""Fields that a client can't state.  To CGI and WSGI, names with other signs are the same."""

FILTER_TYPES: Final = {
    names.FIELDS: "envoy.extensions.filters.http.rbac.v3.RBAC",
    names.TOKEN: "envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication",
    **{names.standing(level): "envoy.extensions.filters.http.rbac.v3.RBAC" for level in Level},
    names.RATE: "envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit",
    names.PROOF: "envoy.extensions.filters.http.lua.v3.Lua",
    names.AUTHZ: "envoy.extensions.filters.http.ext_authz.v3.ExtAuthz",
    names.NAMED: "envoy.extensions.filters.http.rbac.v3.RBAC",
}
"""Each filter with its message, in the order in which a request meets them; those of limits and lent keys behind."""

_COUNTING: Final = "envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit"
_STRIPPING: Final = "envoy.extensions.filters.http.header_mutation.v3.HeaderMutation"
_LENDING: Final = "envoy.extensions.filters.http.credential_injector.v3.CredentialInjector"


def filter_type(name: str) -> str:
    """Return the message of a filter."""
    if name in FILTER_TYPES:
        return FILTER_TYPES[name]
    if name == names.STRIP:
        return _STRIPPING
    return _LENDING if name.startswith(names.lend("")) else _COUNTING


def discovered(path: str) -> dict[str, object]:
    """Return how Envoy follows a file: it is read again when another one is renamed onto it."""
    return {"path_config_source": {"path": path}, "resource_api_version": "V3"}


def socket_address(endpoint: Endpoint, mode: int | None = None) -> dict[str, object]:
    """Return an endpoint as Envoy writes addresses."""
    if endpoint.socket:
        pipe: dict[str, object] = {"path": endpoint.socket}
        return {"pipe": pipe if mode is None else {**pipe, "mode": mode}}
    return {"socket_address": {"address": endpoint.host, "port_value": endpoint.port}}


def listener(options: EnvoyOptions, filters: Sequence[str], rate: Rate | None) -> dict[str, object]:
    """Return the listener with these filters, all of them off until a route switches one on."""
    return typed(
        "envoy.config.listener.v3.Listener",
        {
            "name": "watchword",
            "address": socket_address(options.listen),
            "per_connection_buffer_limit_bytes": 1024 * 1024,
            "max_connections_to_accept_per_socket_event": Commented(
                1,
                "Taking up a crowd's connections, if only to close them, would leave no time for those that "
                "are served: the rest wait in the kernel, for nothing.",
            ),
            "tcp_backlog_size": Commented(
                256, "Longer ones are full of clients that have hung up by the time they are met."
            ),
            "filter_chains": [
                {
                    "filters": [
                        {
                            "name": "envoy.filters.network.http_connection_manager",
                            "typed_config": _connection_manager(options, filters, rate),
                        }
                    ]
                }
            ],
        },
    )


def _connection_manager(
    options: EnvoyOptions, filters: Sequence[str], rate: Rate | None
) -> dict[str, object]:
    router = {
        "name": "envoy.filters.http.router",
        "typed_config": typed(
            "envoy.extensions.filters.http.router.v3.Router", {"suppress_envoy_headers": True}
        ),
    }
    return typed(
        "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        {
            "stat_prefix": "watchword",
            "codec_type": Commented("HTTP1", "What was tested against the gate's cases."),
            **_reading(options),
            **_stating(),
            **_waiting(),
            "rds": {
                "route_config_name": names.table(filters),
                "config_source": discovered(options.path("routes.yaml")),
            },
            "http_filters": Commented(
                [*(_discovered_filter(name, options) for name in filters), router],
                "All but the first are off unless a route switches them on.",
            ),
            "local_reply_config": Commented(
                local_replies(rate), "Refused clients learn the public class and a reference."
            ),
            "access_log": [access_log(options.access_log)],
        },
    )


def _reading(options: EnvoyOptions) -> dict[str, object]:
    """Return how a request's head is read: strictly, and never changed."""
    return {
        "http_protocol_options": {
            "allow_absolute_url": Commented(
                value=False, comment="A target with a host of its own would disagree with Host."
            ),
            "ignore_http_11_upgrade": [{"exact": "h2c"}],
        },
        "common_http_protocol_options": {
            "max_headers_count": 100,
            "idle_timeout": "60s",
            "headers_with_underscores_action": Commented(
                "ALLOW", "The names that matter are refused or removed one by one."
            ),
        },
        "max_request_headers_kb": Commented(
            options.max_header_kib,
            "The gate takes 8 KiB a field; Envoy can only limit all of them together.",
        ),
        "normalize_path": Commented(
            value=False,
            comment="A proof covers the path as it was sent, and the API gets what was judged.",
        ),
        "merge_slashes": False,
        "path_with_escaped_slashes_action": "KEEP_UNCHANGED",
        "stream_error_on_invalid_http_message": False,
    }


def _stating() -> dict[str, object]:
    """Return who states what: clients can't speak for gate or proxy."""
    early = typed(
        "envoy.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation",
        {
            "mutations": [
                {
                    "remove_on_match": {
                        "key_matcher": {"safe_regex": {"regex": _STATED_HERE}},
                    }
                },
                _copied("TRANSFER-ENCODING", names.FRAMED_HEADER),
            ]
        },
    )
    return {
        "early_header_mutation_extensions": Commented(
            [
                {
                    "name": "envoy.http.early_header_mutation.header_mutation",
                    "typed_config": early,
                }
            ],
            "First of all: what a client says in the gate's or a proxy's name is removed.",
        ),
        "use_remote_address": True,
        "internal_address_config": Commented(
            {"cidr_ranges": [{"address_prefix": "255.255.255.255", "prefix_len": 32}]},
            "Nobody is believed more for where they come from.",
        ),
        "generate_request_id": True,
        "preserve_external_request_id": Commented(
            value=False, comment="References are ours; a client can't choose one."
        ),
        "server_header_transformation": "PASS_THROUGH",
    }


def _copied(source: str, target: str) -> dict[str, object]:
    return {
        "append": {
            "header": {"key": target, "value": f"%REQ({source})%"},
            "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
            "keep_empty_value": False,
        }
    }


def _waiting() -> dict[str, object]:
    return {
        "request_timeout": "60s",
        "request_headers_timeout": "5s",
        "stream_idle_timeout": "60s",
        "delayed_close_timeout": "1s",
    }


def _discovered_filter(name: str, options: EnvoyOptions) -> dict[str, object]:
    return {
        "name": name,
        "disabled": name != names.FIELDS,
        "config_discovery": {
            "config_source": discovered(options.path(filter_file(name))),
            "type_urls": [f"type.googleapis.com/{filter_type(name)}"],
        },
    }


def filter_file(name: str) -> str:
    """Return the name of a filter's file."""
    return f"filter-{name.removeprefix('watchword.')}.yaml"
