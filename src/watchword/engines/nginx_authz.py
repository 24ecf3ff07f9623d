"""Write the configuration of an nginx that asks ``/authz`` about every request.

nginx keeps verdicts, so that it needn't ask about the next request of a token to the same target.  A verdict is kept
only where its place is memory, since each one is written to a file: on a disk that is slower than to ask.  What may be
kept, and for how long, is said by /authz with each answer; here stands when an entry may be used.  An entry is filed
under the generation of the bundle, and used only while the file of that generation is there: whoever brings a new one
removes it first.  Workers of the configuration before, which go on serving connections that are open, find it gone
too and ask from then on.
"""

import ipaddress
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from watchword.engines.forward_auth import (
    RETRY_AFTER_SECONDS,
    page,
    problem,
    require_authz,
)
from watchword.engines.interface import (
    Endpoint,
    EngineFile,
    EngineFileKind,
    EngineOptions,
)
from watchword.gate.bundle import GateBundle
from watchword.gate.hygiene import CLIENT_SIDE, FORWARDED_FOR
from watchword.gate.interface import GatePolicy
from watchword.public_classes import PROBLEM_MEDIA_TYPE, PublicClass
from watchword.vocabulary import Mode, Proof

_FIELDS: Final = {
    "time": '"$time_iso8601"',
    "ref": '"$watchword_log_ref"',
    "route": '"$watchword_route"',
    "status": "$status",
    "reason": '"$watchword_reason"',
    "details": '"$watchword_details"',
    "method": '"$request_method"',
    "instance": '"$watchword_log_instance"',
    "client": '"$remote_addr"',
    "milliseconds": "$watchword_milliseconds",
}


def log_lines(path: str) -> Iterable[str]:
    """Yield the log and what it is made of.

    Requests that passed aren't logged.  Neither the target nor a field of the request is: both hold secrets.
    """
    members = ",".join(f'"{name}":{value}' for name, value in _FIELDS.items())
    yield f"log_format watchword escape=json '{{{members}}}';"
    yield 'map $status $watchword_logged { "~^[45]" 1; default 0; }'
    yield f'access_log "{path}" watchword if=$watchword_logged;'
    yield 'map $watchword_ref $watchword_log_ref { "" $request_id; default $watchword_ref; }'
    yield (
        'map $watchword_refused_instance $watchword_log_instance { "" $watchword_instance; '
        "default $watchword_refused_instance; }"
    )
    yield (
        'map "$watchword_status:$upstream_status" $watchword_details '
        '{ "~^[0-9]" authz; "~^:[0-9]" upstream; default nginx; }'
    )
    yield "# Seconds with three decimals, as a number of milliseconds (JSON knows no leading zeros)."
    yield (
        "map $request_time $watchword_milliseconds { "
        '"~^0\\.0*([1-9][0-9]*)$" $1; "~^([1-9][0-9]*)\\.([0-9]+)$" $1$2; default 0; }'
    )


REFUSED: Final = "@watchword_refused"
UNAVAILABLE: Final = "@watchword_unavailable"
UNREACHABLE: Final = "@watchword_unreachable"
NOBODY: Final = "watchword_nobody"
"""The upstream of requests that somebody let pass who isn't the gate of this API."""

_OWN: Final[Mapping[PublicClass, str]] = {
    PublicClass.REQUEST_MALFORMED: "400 405 501 505",
    PublicClass.REQUEST_TIMEOUT: "408",
    PublicClass.BODY_TOO_LARGE: "413",
    # 494 is nginx's own for a head that is too large.
    PublicClass.HEADERS_TOO_LARGE: "414 494",
    # Nothing but what is for nginx itself is missing here.
    PublicClass.ROUTE_REFUSED: "404",
}
"""What nginx refuses itself, by what it is to a client."""


def quoted(text: str) -> str:
    """Return a text between single quotes; variables in it stay what they are."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def answer(public: PublicClass) -> str:
    """Return the statement that ends a request with a refusal of nginx's own."""
    return f"return {public.status} {quoted(problem(public, '$request_id'))};"


def own_pages() -> Iterable[str]:
    """Yield which location answers each status that nginx refuses with."""
    for public, statuses in _OWN.items():
        yield f"error_page {statuses} ={public.status} {_place(public)};"


def own_locations() -> Iterable[str]:
    """Yield the locations that answer them."""
    for public in _OWN:
        yield f"location = {_place(public)} {{"
        yield "    internal;"
        yield from (f"    {line}" for line in common())
        yield f"    {answer(public)}"
        yield "}"


def _place(public: PublicClass) -> str:
    return f"/.watchword/{public.slug}"


def _refused_as_question() -> Iterable[str]:
    """Yield what answers where the server in front of /authz refuses the question, which has the request's own fields."""
    for status, public in (
        (PublicClass.REQUEST_MALFORMED.status, PublicClass.REQUEST_MALFORMED),
        (PublicClass.HEADERS_TOO_LARGE.status, PublicClass.HEADERS_TOO_LARGE),
    ):
        yield f"    if ($watchword_asked = {status}) {{ {answer(public)} }}"


def common() -> Iterable[str]:
    """Yield what every refusal has."""
    yield f"default_type {PROBLEM_MEDIA_TYPE};"
    yield "add_header Cache-Control no-store always;"


def refused_locations() -> Iterable[str]:
    """Yield the locations that answer what /authz refused, and where somebody doesn't answer.

    ``return`` takes no variable for its status, so that there is a line for each that refusals have.
    """
    statuses = sorted({public.status for public in PublicClass})
    yield f"location {REFUSED} {{"
    yield from (f"    {line}" for line in common())
    for name, variable in (
        ("WWW-Authenticate", "$watchword_challenge"),
        ("Retry-After", "$watchword_retry"),
        ("Watchword-Nonce", "$watchword_nonce"),
    ):
        # nginx leaves out a field whose value is empty.
        yield f"    add_header {name} {variable} always;"
    for status in statuses:
        yield f"    if ($watchword_status = {status}) {{ return {status} $watchword_problem; }}"
    yield "    # Whoever refused wasn't the gate."
    yield f"    {answer(PublicClass.UNAVAILABLE)}"
    yield "}"
    for place, public in (
        (UNAVAILABLE, PublicClass.UNAVAILABLE),
        (UNREACHABLE, PublicClass.UPSTREAM_UNREACHABLE),
    ):
        yield f"location {place} {{"
        yield from (f"    {line}" for line in common())
        if public is PublicClass.UNAVAILABLE:
            yield from _refused_as_question()
        else:
            unnamed = f"$watchword_to = {NOBODY}"
            yield f"    if ({unnamed}) {{ {answer(PublicClass.UNAVAILABLE)} }}"
        yield f"    add_header Retry-After {RETRY_AFTER_SECONDS} always;"
        yield f"    {answer(public)}"
        yield "}"


MARKER_PREFIX: Final = "generation-"
"""Files of this name say of which generation verdicts may be used."""

_MARKER: Final = re.compile(rf'if \(!-f "[^"]*/({MARKER_PREFIX}[0-9]+)"\)')

_MEMORY: Final = ("/dev/shm/", "/run/")  # noqa: S108 - the directory there is ours alone, mode 0700.

_LOOKED_AT: Final = (
    "$http_signature",
    "$http_signature_input",
    "$http_dpop",
    "$http_content_digest",
    "$http_x_original_generation",
)
"""Fields that can make a request another one; with any of them it is asked about."""


def marker(bundle: GateBundle) -> str:
    """Return the name of the file of a bundle's generation.

    Only whoever follows the bundle makes it, as a link to what ends with its process: where nobody would empty what
    is kept, nothing is.
    """
    return f"{MARKER_PREFIX}{bundle.generation}"


def marker_of(configuration: str) -> str | None:
    """Return the name of the file that a configuration looks for, None where it keeps nothing."""
    found = _MARKER.search(configuration)
    return None if found is None else found[1]


def is_kept(bundle: GateBundle, options: EngineOptions) -> bool:
    """Tell whether verdicts are kept: where the files are in memory, and anything rests on the token alone."""
    return in_memory(options) and not _hindrance(bundle, options)


def in_memory(options: EngineOptions) -> bool:
    """Tell whether the directory is in memory on every Linux."""
    return options.directory.startswith(_MEMORY)


def _hindrance(bundle: GateBundle, options: EngineOptions) -> str:
    """Return why every request has to be asked about, empty where none has."""
    policy = bundle.policy
    found = [
        (
            policy.rate is not None or bool(policy.limits),
            "the API's rate and limits count requests",
        ),
        (policy.binding_header is not None, "tokens are bound to a header"),
        (bundle.canaries is not None, "requests are searched for planted keys"),
        (options.signed_verdict, "a verdict is signed for each request"),
        (not _has_row(policy), "no route rests on the token alone"),
    ]
    return next((why for hinders, why in found if hinders), "")


def _has_row(policy: GatePolicy) -> bool:
    return any(
        route.mode is Mode.ENFORCE and route.proof is Proof.BEARER for route in policy.routes
    )


def why(bundle: GateBundle, options: EngineOptions) -> str:
    """Return in a sentence whether verdicts are kept, and why not."""
    hindrance = _hindrance(bundle, options)
    if hindrance:
        return f"No verdict is kept: {hindrance}."
    if not in_memory(options):
        return (
            "No verdict is kept: nginx writes each to a file, and this directory may be on a disk. "
            "With a directory below /dev/shm or /run verdicts are kept for at most 30 s."
        )
    return (
        "Verdicts on routes in mode enforce with proof bearer are kept for at most 30 s, as long as "
        "`watchword gate follow --engine nginx-authz` runs; without it every request is asked about."
    )


def shared_lines(options: EngineOptions) -> Iterable[str]:
    """Yield what stands outside of the location that asks."""
    yield "# Verdicts, in memory; each is a file."
    yield (
        f'proxy_cache_path "{options.path("kept")}" levels=1:2 keys_zone=watchword:20m max_size=256m '
        "inactive=30s use_temp_path=off;"
    )
    yield "# What Connection names may be a field that decides."
    yield (
        'map $http_connection $watchword_odd_connection { "" ""; keep-alive ""; close ""; default 1; }'
    )
    yield "# A head of 10,000 bytes or more may be over the gate's caps; this one counts the request line too."
    yield 'map $watchword_length $watchword_long { "~^[0-9]{5}" 1; default ""; }'


def guarded_lines() -> Iterable[str]:
    """Yield what stands in the location that is guarded."""
    yield "# Asked for here, since a subrequest has no length of its own."
    yield "set $watchword_length $request_length;"


def asking_lines(bundle: GateBundle, options: EngineOptions) -> Iterable[str]:
    """Yield what stands in the location that asks."""
    generation = bundle.generation
    yield f"proxy_set_header X-Original-Generation {generation};"
    yield 'set $watchword_another "";'
    yield f'if (!-f "{options.path(marker(bundle))}") {{ set $watchword_another 1; }}'
    yield "proxy_cache watchword;"
    yield "# Blanks can stand in no part but the last, so that no two requests have one key."
    yield (
        f'proxy_cache_key "{generation} $request_method $http_host $request_uri $http_watchword_token";'
    )
    conditions = " ".join(
        ("$watchword_another", "$watchword_odd_connection", "$watchword_long", *_LOOKED_AT)
    )
    yield f"proxy_cache_bypass {conditions};"
    yield f"proxy_no_cache {conditions};"
    yield "# For how long is said by /authz in X-Accel-Expires; without it nothing is kept."
    yield "proxy_ignore_headers Cache-Control Expires Set-Cookie Vary;"


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
    keeps = is_kept(bundle, options)
    files = [
        EngineFile(
            CONFIGURATION,
            EngineFileKind.ROOT,
            _text(_configuration(bundle, options, authz, keeps=keeps)),
        )
    ]
    what = {CONFIGURATION: "the whole configuration"}
    if keeps:
        what[marker(bundle)] = (
            "while it is there, verdicts of this generation are kept; remove it, and every request is asked about"
        )
        what["kept"] = "verdicts, with their tokens; readable by this user alone"
    notes = (why(bundle, options),)
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
        yield from shared_lines(options)
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
    yield from _indented(guarded_lines() if keeps else ())
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
    for name in ("Token", "Api", "Status"):
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
        yield from asking_lines(bundle, options)
    else:
        yield 'proxy_set_header X-Original-Generation "";'
