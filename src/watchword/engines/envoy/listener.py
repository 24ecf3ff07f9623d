"""Write what refused clients are told, and what operators read of it in the access log."""

import ipaddress
from collections.abc import Mapping, Sequence
from typing import Final

from watchword.encoding import strict_json
from watchword.engines.envoy import options as names
from watchword.engines.envoy.options import TOKEN_HEADER, EnvoyOptions, typed
from watchword.engines.interface import Endpoint
from watchword.engines.yaml_text import Commented
from watchword.gate.hygiene import CLIENT_SIDE, FORWARDED_PREFIX
from watchword.gate.interface import Rate
from watchword.public_classes import PROBLEM_MEDIA_TYPE, PROBLEM_TYPE, PublicClass
from watchword.vocabulary import Level

_REQUEST_ID: Final = "%REQ(X-REQUEST-ID)%"

_UPSTREAM_FLAGS: Final = ["UH", "UF", "UT", "LR", "UR", "UC", "UO", "URX", "UPE", "UMSDR"]
_UNAVAILABLE: Final = 503


def local_replies(rate: Rate | None) -> dict[str, object]:
    """Return how Envoy's own answers are rewritten; the first that matches decides.

    Envoy's texts name the check that failed.  A stranger learns the public class, as from every other
    enforcement point of the gate, and the id under which the operator finds the rest in the access log.
    """
    wait = "1" if rate is None else str(-(-rate.seconds // rate.requests))
    denied = "response.code_details.startsWith('jwt_authn_access_denied')"
    mappers = [
        Commented(
            {"filter": _cel(_or(_details("ext_authz_denied"), _details("lua_response")))},
            "Python and the script word their refusals themselves.",
        ),
        _rewrite(
            _cel(f"{denied} && !('{TOKEN_HEADER}' in request.headers)"), PublicClass.TOKEN_REQUIRED
        ),
        _rewrite(_cel(denied), PublicClass.TOKEN_REFUSED),
        _denied_by("ambiguous", PublicClass.REQUEST_MALFORMED),
        _denied_by("level", PublicClass.LEVEL_INSUFFICIENT),
        _denied_by("uncounted", PublicClass.UNAVAILABLE),
        _denied_by("unnamed", PublicClass.UNAVAILABLE),
        _rewrite(
            _cel("response.code_details.startsWith('rbac_access_denied')"),
            PublicClass.TOKEN_REFUSED,
        ),
        # A quota that is spent says itself when its window ends.
        _rewrite(
            _cel("response.code == 429 && 'retry-after' in response.headers"),
            PublicClass.RATE_LIMITED,
        ),
        _rewrite(
            _status(429),
            PublicClass.RATE_LIMITED,
            [{"header": {"key": "retry-after", "value": wait}}],
        ),
        _rewrite(
            _cel("response.code_details.startsWith('failed_to_inject_credential')"),
            PublicClass.UNAVAILABLE,
        ),
        _rewrite(_cel(_details("upstream_per_try_idle_timeout")), PublicClass.UPSTREAM_UNREACHABLE),
        _rewrite(
            {"response_flag_filter": {"flags": _UPSTREAM_FLAGS}}, PublicClass.UPSTREAM_UNREACHABLE
        ),
        # A direct answer of 401 stands where a proof over a body would be needed.
        _rewrite(_status(401), PublicClass.PROOF_REQUIRED),
        _rewrite(_status(403), PublicClass.ROUTE_REFUSED),
        _rewrite(_status(404), PublicClass.ROUTE_REFUSED),
        _rewrite(_status(408), PublicClass.REQUEST_TIMEOUT),
        _rewrite(_status(413), PublicClass.BODY_TOO_LARGE),
        _rewrite(_status(431), PublicClass.HEADERS_TOO_LARGE),
        _rewrite(_status(_UNAVAILABLE), PublicClass.UNAVAILABLE),
        _rewrite(_status(500), PublicClass.INTERNAL),
        _rewrite(_status(400, "GE"), PublicClass.REQUEST_MALFORMED),
    ]
    return {"mappers": mappers}


def _rewrite(
    which: dict[str, object], public: PublicClass, more: "list[dict[str, object]] | None" = None
) -> dict[str, object]:
    problem = {
        "type": PROBLEM_TYPE + public.slug,
        "title": public.title,
        "status": public.status,
        "ref": _REQUEST_ID,
    }
    headers: list[dict[str, object]] = [{"header": {"key": "cache-control", "value": "no-store"}}]
    if public.status == PublicClass.TOKEN_REQUIRED.status:
        headers.append({"header": {"key": "www-authenticate", "value": "Watchword"}})
    for header in (*headers, *(more or ())):
        header["append_action"] = "OVERWRITE_IF_EXISTS_OR_ADD"
    return {
        "filter": which,
        "status_code": public.status,
        "body_format_override": {
            "text_format_source": {"inline_string": strict_json.dumps(problem).decode()},
            "content_type": PROBLEM_MEDIA_TYPE,
        },
        "headers_to_add": [*headers, *(more or ())],
    }


def _denied_by(policy: str, public: PublicClass) -> dict[str, object]:
    """Return how a refusal by one of our matchers is rewritten."""
    return _rewrite(_cel(_details(f"rbac_access_denied_matched_policy[{policy}]")), public)


def _cel(expression: str) -> dict[str, object]:
    return {
        "extension_filter": {
            "name": "envoy.access_loggers.extension_filters.cel",
            "typed_config": typed(
                "envoy.extensions.access_loggers.filters.cel.v3.ExpressionFilter",
                {"expression": expression},
            ),
        }
    }


def _details(text: str) -> str:
    return f"response.code_details == '{text}'"


def _or(*expressions: str) -> str:
    return " || ".join(expressions)


def _status(status: int, comparison: str = "EQ") -> dict[str, object]:
    return {
        "status_code_filter": {
            "comparison": {
                "op": comparison,
                "value": {"default_value": status, "runtime_key": "watchword.never_set"},
            }
        }
    }


def access_log(path: str) -> dict[str, object]:
    """Return the log of refusals: JSON lines, from which a ``ref`` is explained.

    Requests that passed aren't logged: each line costs as much as a token check.
    """
    fields = {
        "time": "%START_TIME%",
        "ref": _REQUEST_ID,
        "route": "%ROUTE_NAME%",
        "status": "%RESPONSE_CODE%",
        "flags": "%RESPONSE_FLAGS%",
        "details": "%RESPONSE_CODE_DETAILS%",
        "reason": "%DYNAMIC_METADATA(watchword:reason)%",
        "method": "%REQ(:METHOD)%",
        "instance": "%REQ(WATCHWORD-INSTANCE)%",
        "claimed": "%REQ(WATCHWORD-STATUS)%",
        "client": "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%",
        "milliseconds": "%DURATION%",
    }
    return {
        "name": "envoy.access_loggers.file",
        "filter": _status(400, "GE"),
        "typed_config": typed(
            "envoy.extensions.access_loggers.file.v3.FileAccessLog",
            {"path": path, "log_format": {"json_format": fields}},
        ),
    }


_SIGN: Final = r"[-!#$%&'*+.^_\x60|~]"
_STATED_HERE: Final = (
    rf"watchword{_SIGN}(?:instance|level|app|verdict|environment|issued|counts|framed|api)"
    rf"|x{_SIGN}(?:envoy{_SIGN}.*|forwarded{_SIGN}.*|request{_SIGN}id)"
    rf"|{'|'.join(_SIGN.join(name.lower().split('-')) for name in CLIENT_SIDE if not name.startswith(FORWARDED_PREFIX))}"
    r"|watchword[!#$%&'*+.^_\x60|~]status"
    r"|(?:watchword|signature|content|transfer)[!#$%&'*+.^\x60|~](?:token|input|length|digest|encoding)"
)
"""Fields that a client can't state.  To CGI and WSGI, names with other signs are the same."""

FILTER_TYPES: Final = {
    names.FIELDS: "envoy.extensions.filters.http.rbac.v3.RBAC",
    names.TOKEN: "envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication",
    names.COUNTS: "envoy.extensions.filters.http.lua.v3.Lua",
    **{names.claims(level): "envoy.extensions.filters.http.rbac.v3.RBAC" for level in Level},
    names.RATE: "envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit",
    names.PROOF: "envoy.extensions.filters.http.lua.v3.Lua",
    names.AUTHZ: "envoy.extensions.filters.http.ext_authz.v3.ExtAuthz",
    names.NAMED: "envoy.extensions.filters.http.rbac.v3.RBAC",
}
"""Each filter with its message, in the order in which a request meets them; those of limits and injected keys behind."""

_COUNTING: Final = "envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit"
_STRIPPING: Final = "envoy.extensions.filters.http.header_mutation.v3.HeaderMutation"
_INJECTION: Final = "envoy.extensions.filters.http.credential_injector.v3.CredentialInjector"


def filter_type(name: str) -> str:
    """Return the message of a filter."""
    if name in FILTER_TYPES:
        return FILTER_TYPES[name]
    if name == names.STRIP:
        return _STRIPPING
    return _INJECTION if name.startswith(names.inject("")) else _COUNTING


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
    static = endpoint.socket or is_address(endpoint.host)
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
    trusted = {"filename": SYSTEM_ROOTS}
    return {
        "name": "envoy.transport_sockets.tls",
        "typed_config": typed(
            "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
            {
                "sni": host,
                "common_tls_context": {"validation_context": validation(host, trusted)},
            },
        ),
    }


def validation(host: str, trusted: Mapping[str, object]) -> dict[str, object]:
    """Return what a server's certificate is held to: authorities, and the name or address of the host."""
    san = "IP_ADDRESS" if is_address(host) else "DNS"
    return {
        "trusted_ca": trusted,
        "match_typed_subject_alt_names": Commented(
            [{"san_type": san, "matcher": {"exact": host}}],
            "Without this, any certificate of any host would do.",
        ),
    }


def is_address(host: str) -> bool:
    """Tell whether a host is an IP address, and no name."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
