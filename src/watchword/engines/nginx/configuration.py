"""Write nginx's own configuration: where clients come in, what every request meets, and where it goes."""

from typing import Final

from watchword.engines.places import Endpoint, EngineOptions

CONFIGURATION: Final = "nginx.conf"
SCRIPT: Final = "gate.lua"
STATE: Final = "gate-state"
PID: Final = "nginx.pid"
"""Names of the files in the engine's directory."""

ERROR_LOG: Final = "error.log"

MODULES: Final = "/usr/lib/nginx/modules"
"""Where Debian's packages libnginx-mod-http-ndk and libnginx-mod-http-lua put their modules."""

MAX_BODY: Final = "100m"
"""Most bytes of any body: nginx keeps it, in a file where it is long, until it is there as a whole."""

SYSTEM_ROOTS: Final = "/etc/ssl/certs/ca-certificates.crt"

_ANSWER: Final = '"/;watchword"'
"""The location that words nginx's own refusals: no request can mean it, since the gate reads no path with a semicolon."""

_LOG_FIELDS: Final = {
    "time": "$time_iso8601",
    "ref": "$request_id",
    "route": "$watchword_route",
    "status": "$status",
    "reason": "$watchword_reason",
    "details": "$watchword_details",
    "method": "$watchword_method",
    "instance": "$watchword_known",
    "client": "$remote_addr",
    "milliseconds": "$watchword_milliseconds",
}
"""The members of a line in the access log, as in every engine's."""

_BARE: Final = frozenset({"status", "milliseconds"})
"""Members that are numbers."""

_VARIABLES: Final = (
    *("watchword_results", "watchword_known", "watchword_route"),
    *("watchword_reason", "watchword_details", "watchword_milliseconds", "watchword_log"),
)


def configuration(api: str, options: EngineOptions) -> str:
    """Return the whole configuration; every text in it was held to harmless letters."""
    return "\n".join((_main(api, options), _http(options), ""))


def _main(api: str, options: EngineOptions) -> str:
    return f"""\
# nginx in front of {api}, written by Watchword; changes here are overwritten.
# The workers read {STATE}, which has mode 0600: they run as its owner.  Where root doesn't start nginx, it says that
# this line has no effect.
user {options.user};
daemon off;
worker_processes auto;
worker_shutdown_timeout 30s;
pid {options.path(PID)};
# nginx's own faults.  Refusals, and an API that doesn't answer, are in the access log.
error_log {options.path(ERROR_LOG)} error;
load_module {MODULES}/ndk_http_module.so;
load_module {MODULES}/ngx_http_lua_module.so;

events {{
    worker_connections 4096;
}}
"""


def _http(options: EngineOptions) -> str:
    temporary = "\n".join(
        f"    {kind}_temp_path {options.path('temporary')}-{kind};"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    return f"""\
http {{
    # An instance's rate, for all workers.
    lua_shared_dict watchword_rate 32m;
    init_by_lua_block {{ package.loaded.watchword = assert(loadfile("{options.path(SCRIPT)}"))() }}
    init_worker_by_lua_block {{ require("watchword").start() }}

    log_format watchword escape=json '{{{_members()}}}';
    access_log {options.access_log} watchword if=$watchword_log;
    # Whatever nginx writes for a request has the request line beside it, and with that the query: this leaves faults of
    # nginx itself, and those of the script, which are written without a request.
    error_log {options.path(ERROR_LOG)} alert;
    # nginx calls a request GET for which it words a refusal.
    map $request $watchword_method {{
        "~^(?<watchword_word>[A-Z][A-Z-]{{0,31}}) " $watchword_word;
        default "";
    }}
{temporary}
    uninitialized_variable_warn off;
    server_tokens off;
    default_type application/octet-stream;

    # Fields with odd names are judged by the gate, not dropped: they could be others to the API.
    underscores_in_headers on;
    ignore_invalid_headers off;
    client_header_buffer_size 4k;
    large_client_header_buffers 4 20k;
    client_max_body_size {MAX_BODY};
    client_body_buffer_size 64k;
    client_header_timeout 10s;
    client_body_timeout 30s;
    send_timeout 30s;
    reset_timedout_connection on;

    upstream watchword_api {{
        server {_address(options.upstream)};
        keepalive 256;
    }}
{_server(options)}}}
"""


def _members() -> str:
    """Return the members of a line in the access log."""
    return ",".join(
        f'"{name}":{value}' if name in _BARE else f'"{name}":"{value}"'
        for name, value in _LOG_FIELDS.items()
    )


def _server(options: EngineOptions) -> str:
    return f"""
    server {{
        listen {_address(options.listen)};
        error_page 400 404 405 408 413 414 500 501 502 503 504 505 {_ANSWER};
        # nginx's own number for a head that is too large; it would call it 400.
        error_page 494 =431 {_ANSWER};

        location / {{
            access_by_lua_block {{ require("watchword").access() }}
{_indented(_proxy(options, "error"), 12)}
        }}

        # Where the script sends what it let pass and nobody may send twice; no request can ask for it.
        location @watchword_once {{
{_indented(_proxy(options, "off"), 12)}
        }}

        location = {_ANSWER} {{
            internal;
            content_by_lua_block {{ require("watchword").answer() }}
        }}

        # Never entered: it makes the names of the variables known.
        location = "/;watchword-names" {{
            internal;
{_indented([f'set ${name} "";' for name in _VARIABLES], 12)}
            return 404;
        }}
    }}
"""


def _proxy(options: EngineOptions, again: str) -> list[str]:
    """Return how a request that passed goes on.

    :param again: ``proxy_next_upstream``: when it is sent once more.

    Everything stands in one place: a location's own ``proxy_set_header`` replaces all inherited ones.
    """
    fields = {
        "Host": "$http_host",
        "Connection": '""',
        "Watchword-Token": '""',
        # All result fields in one: see the script.  A client's are removed there too.
        "Watchword-Instance": "$watchword_results",
        "X-Forwarded-For": "$remote_addr",
    }
    lines = [
        "proxy_http_version 1.1;",
        *(f"proxy_set_header {name} {value};" for name, value in fields.items()),
        "# The path stays as it was signed: no part of a URL behind the name.",
        f"proxy_pass {'https' if options.tls else 'http'}://watchword_api;",
        "proxy_redirect off;",
        "# Once more only where the API had closed a connection that was kept, and the method may be repeated.",
        f"proxy_next_upstream {again};",
        "# An answer of the API can't send nginx to another location.",
        "proxy_ignore_headers X-Accel-Redirect X-Accel-Expires X-Accel-Limit-Rate X-Accel-Buffering X-Accel-Charset;",
    ]
    if options.tls:
        lines += [
            "proxy_ssl_server_name on;",
            f"proxy_ssl_name {options.upstream.host};",
            "proxy_ssl_verify on;",
            "proxy_ssl_verify_depth 4;",
            f"proxy_ssl_trusted_certificate {SYSTEM_ROOTS};",
        ]
    return lines


def _address(endpoint: Endpoint) -> str:
    return f"unix:{endpoint.socket}" if endpoint.socket else endpoint.address


def _indented(lines: list[str], blanks: int) -> str:
    return "\n".join(" " * blanks + line for line in lines)
