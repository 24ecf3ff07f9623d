"""Write the configuration of one nginx from the gate bundle of one API."""

import ipaddress
from collections.abc import Iterable, Sequence
from typing import Final

from watchword.engines.client_side import CLIENT_SIDE, FORWARDED_FOR
from watchword.engines.forward_auth.demands import require_authz
from watchword.engines.forward_auth.page import page
from watchword.engines.interface import EngineFile, EngineFileKind
from watchword.engines.nginx_authz import kept
from watchword.engines.nginx_authz.log import log_lines
from watchword.engines.nginx_authz.replies import (
    NOBODY,
    REFUSED,
    UNAVAILABLE,
    UNREACHABLE,
    answer,
    common,
    own_locations,
    own_pages,
    refused_locations,
)
from watchword.engines.places import Endpoint, EngineOptions
from watchword.gate.bundle import GateBundle
from watchword.public_classes import PublicClass

CONFIGURATION: Final = "nginx.conf"
"""The one file that nginx is started with."""

ASKED: Final = "/.watchword/authz"
"""The location that asks; no API serves such a path."""

_SYSTEM_ROOTS: Final = "/etc/ssl/certs/ca-certificates.crt"

_TOLD: Final = {
    "watchword_named": "watchword_api",
    "watchword_instance": "watchword_instance",
    "watchword_level": "watchword_level",
    "watchword_app": "watchword_app",
    "watchword_verdict": "watchword_verdict",
    "watchword_taken": "watchword_taken",
    "watchword_nonce": "watchword_nonce",
    "watchword_status": "watchword_refused_status",
    "watchword_problem": "watchword_refused_problem",
    "watchword_reason": "watchword_refused_reason",
    "watchword_route": "watchword_refused_route",
    "watchword_refused_instance": "watchword_refused_instance",
    "watchword_ref": "watchword_ref",
    "watchword_challenge": "www_authenticate",
    "watchword_retry": "retry_after",
}
"""Variables, each by the field of the answer of /authz that it is taken from."""

_PROOF_FIELDS: Final = ("Signature", "Signature-Input", "DPoP")


def generate(bundle: GateBundle, options: EngineOptions, now: float) -> Sequence[EngineFile]:
    """Return all files, in the order in which they are to be written.

    :param now: isn't looked at: /authz knows which keys have retired.
    :raises UnsupportedError: on what forward auth can't do.
    """
    del now
    authz = require_authz(bundle.policy, options, "nginx", "original")
    keeps = kept.is_kept(bundle, options)
    files = [
        EngineFile(
            CONFIGURATION,
            EngineFileKind.ROOT,
            _text(_configuration(bundle, options, authz, keeps=keeps)),
        )
    ]
    what = {CONFIGURATION: "the whole configuration"}
    if keeps:
        what[kept.marker(bundle)] = (
            "while it is there, verdicts of this generation are kept; remove it, and every request is asked about"
        )
        what["kept"] = "verdicts, with their tokens; readable by this user alone"
    notes = (kept.why(bundle, options),)
    files.append(
        EngineFile(
            "README.md",
            EngineFileKind.PAGE,
            page(bundle.policy, "nginx", what, start(options), notes),
        )
    )
    return files


def start(options: EngineOptions) -> str:
    """Return the command that starts nginx with these files."""
    return f"nginx -c {options.path(CONFIGURATION)} -e stderr"


def _text(lines: Iterable[str]) -> str:
    return "\n".join(lines) + "\n"


def _indented(lines: Iterable[str]) -> Iterable[str]:
    return (f"    {line}" if line else "" for line in lines)


def _configuration(
    bundle: GateBundle, options: EngineOptions, authz: Endpoint, *, keeps: bool
) -> Iterable[str]:
    yield f"# nginx in front of {bundle.policy.api}, written by Watchword. Start it with:"
    yield f"# {start(options)}"
    yield "# The socket of /authz is for this user alone.  Where root doesn't start nginx, it says that this has no effect."
    yield f"user {options.user};"
    yield "daemon off;"
    yield "worker_processes auto;"
    yield "worker_shutdown_timeout 60s;"
    yield f'pid "{options.path("nginx.pid")}";'
    yield "# Its other levels would write down request lines, and queries with them."
    yield "error_log stderr alert;"
    yield "events { worker_connections 4096; }"
    yield "http {"
    yield from _indented(_http(bundle, options, authz, keeps=keeps))
    yield "}"


def _http(
    bundle: GateBundle, options: EngineOptions, authz: Endpoint, *, keeps: bool
) -> Iterable[str]:
    for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"):
        yield f'{kind}_temp_path "{options.path(f"temporary-{kind}")}";'
    yield "server_tokens off;"
    yield "uninitialized_variable_warn off;"
    yield "variables_hash_max_size 2048;"
    yield "variables_hash_bucket_size 128;"
    yield ""
    yield from log_lines(options.access_log)
    yield ""
    yield "# A target with a host of its own is routed by that one, and a proof covers the Host header."
    yield 'map $request $watchword_absolute { "~^[A-Z_-]+ +[A-Za-z][A-Za-z0-9+.-]*:" 1; default 0; }'
    for name in _PROOF_FIELDS:
        variable = name.lower().replace("-", "_")
        yield (
            f'map $watchword_taken $watchword_passed_{variable} {{ "" $http_{variable}; default ""; }}'
        )
    yield "# Whoever lets a request pass names the API whose gate it is; else there is nobody to pass it on to."
    named = f'"{bundle.policy.api}" watchword_api; default {NOBODY};'
    yield f"map $watchword_named $watchword_to {{ {named} }}"
    if keeps:
        yield from kept.shared_lines(options)
    yield ""
    yield from _upstream("watchword_authz", authz)
    yield from _upstream("watchword_api", options.upstream)
    yield f"upstream {NOBODY} {{ server unix:/dev/null down; }}"
    yield ""
    yield "server {"
    yield from _indented(_server(bundle, options, keeps=keeps))
    yield "}"


def _upstream(name: str, endpoint: Endpoint) -> Iterable[str]:
    where = f'"unix:{endpoint.socket}"' if endpoint.socket else endpoint.address
    yield f"upstream {name} {{ server {where}; keepalive 64; }}"


def _server(bundle: GateBundle, options: EngineOptions, *, keeps: bool) -> Iterable[str]:
    listen = options.listen
    yield f'listen "unix:{listen.socket}";' if listen.socket else f"listen {listen.address};"
    yield "# Fields that two servers could read in two ways are dropped before anybody sees them."
    yield "underscores_in_headers off;"
    yield "ignore_invalid_headers on;"
    yield "client_max_body_size 0;"
    yield from own_pages()
    yield ""
    yield "location / {"
    yield from _indented(kept.guarded_lines() if keeps else ())
    yield from _indented(_guarded(options))
    yield "}"
    yield ""
    yield f"location = {ASKED} {{"
    yield from _indented(_asking(bundle, options, keeps=keeps))
    yield "}"
    yield ""
    yield from refused_locations()
    yield from own_locations()


def _guarded(options: EngineOptions) -> Iterable[str]:
    yield from common()
    yield f"if ($watchword_absolute) {{ {answer(PublicClass.REQUEST_MALFORMED)} }}"
    yield f"auth_request {ASKED};"
    for variable, field in _TOLD.items():
        yield f"auth_request_set ${variable} $upstream_http_{field};"
    yield "auth_request_set $watchword_asked $upstream_status;"
    yield "# auth_request passes on 401 and 403 alone, so that /authz tells every refusal by 403."
    yield f"error_page 401 403 = {REFUSED};"
    yield f"error_page 500 503 = {UNAVAILABLE};"
    yield f"error_page 502 504 = {UNREACHABLE};"
    yield from own_pages()
    yield "add_header Watchword-Nonce $watchword_nonce always;"
    for name in ("Instance", "Level", "App", "Verdict"):
        yield f"proxy_set_header Watchword-{name} $watchword_{name.lower()};"
    for name in ("Token", "Api"):
        yield f'proxy_set_header Watchword-{name} "";'
    for name in _PROOF_FIELDS:
        variable = name.lower().replace("-", "_")
        yield f"proxy_set_header {name} $watchword_passed_{variable};"
    yield from _client_side(options.listen)
    yield "proxy_set_header Host $http_host;"
    yield 'proxy_set_header Connection "";'
    yield "proxy_http_version 1.1;"
    yield "# An API isn't to send requests to another place of this server."
    yield "proxy_ignore_headers X-Accel-Redirect X-Accel-Expires X-Accel-Limit-Rate X-Accel-Charset;"
    scheme = "https" if options.tls else "http"
    if options.tls:
        yield from _tls(options.upstream.host)
    yield f"proxy_pass {scheme}://$watchword_to$request_uri;"


def _client_side(listen: Endpoint) -> Iterable[str]:
    yield "# Where a client comes from is said here and not by it; other signs for the hyphen are dropped above."
    for name in CLIENT_SIDE:
        # Whoever comes in over a Unix socket has no address.
        is_known = name == FORWARDED_FOR and not listen.socket
        value = "$remote_addr" if is_known else '""'
        yield f"proxy_set_header {name} {value};"


def _tls(host: str) -> Iterable[str]:
    yield "proxy_ssl_verify on;"
    yield f"proxy_ssl_trusted_certificate {_SYSTEM_ROOTS};"
    yield f"proxy_ssl_name {host};"
    try:
        ipaddress.ip_address(host)
    except ValueError:
        # A name of its own is asked for (RFC 6066 section 3: no addresses).
        yield "proxy_ssl_server_name on;"


def _asking(bundle: GateBundle, options: EngineOptions, *, keeps: bool) -> Iterable[str]:
    yield "internal;"
    yield "proxy_pass http://watchword_authz/authz/told;"
    yield "proxy_http_version 1.1;"
    yield "proxy_connect_timeout 5s;"
    yield "proxy_read_timeout 10s;"
    yield "# A refusal stands in fields as a whole."
    yield "proxy_buffer_size 16k;"
    yield "proxy_buffers 4 16k;"
    yield "proxy_pass_request_body off;"
    yield 'proxy_set_header Content-Length "";'
    yield 'proxy_set_header Connection "";'
    yield "proxy_set_header X-Original-Method $request_method;"
    yield "proxy_set_header X-Original-URI $request_uri;"
    yield "proxy_set_header X-Original-Host $http_host;"
    yield "proxy_set_header X-Original-Content-Length $http_content_length;"
    yield "proxy_set_header X-Original-Transfer-Encoding $http_transfer_encoding;"
    yield "proxy_set_header X-Original-Connection $http_connection;"
    if keeps:
        yield from kept.asking_lines(bundle, options)
    else:
        yield 'proxy_set_header X-Original-Generation "";'
