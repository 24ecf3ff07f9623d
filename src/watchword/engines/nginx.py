"""Write the configuration of an nginx that decides by itself, and the Lua with which it makes the gate's decision.

nginx reads its configuration only when it is told to, and open connections keep the old one.  So everything that
decides stands in a private file (:func:`render`), which each worker looks at several times a second.  It has three
lines: a JSON object, digests of revoked instances, and ``end``, which tells a whole file from one that was cut off.  Where
millions are revoked, most digests stand in a second file, which the first one names: a worker reads it only when it
changes.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from watchword.encoding import strict_json
from watchword.engines.interface import (
    Endpoint,
    EngineFile,
    EngineFileKind,
    EngineOptions,
    UnsupportedError,
    bulk_file,
)
from watchword.engines.lua import part, quoted, refusals, settings
from watchword.engines.paths import Spellings, dots, separators, spellings_of
from watchword.gate.bundle import GateBundle
from watchword.gate.cuts import Cut
from watchword.gate.hygiene import CompiledRoute, compile_routes
from watchword.gate.interface import GatePolicy, Rate, Route
from watchword.gate.limits import SIGNATURES
from watchword.gate.revocations import DIGEST_BYTES, DigestParts, digested
from watchword.gate.spellings import fold
from watchword.ports import VerificationKey
from watchword.reasons import Reason
from watchword.tokens import jose
from watchword.tokens.interface import TOKEN_TYPE
from watchword.tokens.proofs.interface import PROOF_LIFE_SECONDS, GateSecret
from watchword.vocabulary import Mode, Proof, ReplayMode

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
    "claimed": "$watchword_claimed",
    "client": "$remote_addr",
    "milliseconds": "$watchword_milliseconds",
}
"""The members of a line in the access log, as in every engine's."""

_BARE: Final = frozenset({"status", "milliseconds"})
"""Members that are numbers."""

_VARIABLES: Final = (
    *("watchword_results", "watchword_known", "watchword_route"),
    *("watchword_reason", "watchword_details", "watchword_milliseconds", "watchword_log"),
    "watchword_claimed",
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


_ELSEWHERE: Final = (
    "use --engine nginx-authz, which asks /authz about every request, the proxy or the middleware"
)
_INJECTION: Final = "use the built-in proxy or Envoy, which inject keys"
_PATH: Final = re.compile(r"/[A-Za-z0-9._/-]{1,255}")
_HOST: Final = re.compile(r"[A-Za-z0-9._:-]{1,255}")
_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")


def require_supported(bundle: GateBundle, options: EngineOptions) -> None:
    """Hold a policy and its places to what the configuration can say.

    :raises UnsupportedError: with the first thing that it can't.
    """
    policy = bundle.policy
    for route in policy.routes:
        if route.secret is not None:
            raise UnsupportedError(route.name, "secret", "the script injects no keys", _INJECTION)
    for setting, why in _of_api(bundle, options):
        raise UnsupportedError(policy.api, setting, why, _ELSEWHERE)
    for route in policy.routes:
        for setting, why in _of_route(route, policy):
            raise UnsupportedError(route.name, setting, why, _ELSEWHERE)
    _require_places(policy.api, options)


def _of_api(bundle: GateBundle, options: EngineOptions) -> Iterator[tuple[str, str]]:
    policy = bundle.policy
    if policy.limits:
        yield "limits", "the script counts the API's rate alone"
    if policy.edges:
        yield "secrets at the edge", "the script injects no keys"
    if options.signed_verdict:
        yield "signed_verdict", "nginx has no key to sign verdicts with"
    if bundle.canaries is not None:
        yield "canary keys", "the script doesn't look for planted keys"


def _of_route(route: Route, policy: GatePolicy) -> Iterator[tuple[str, str]]:
    if route.mode is Mode.CANARY:
        yield "mode canary", "the script doesn't count whom a route would turn away"
    if (
        route.mode is not Mode.OFF
        and route.proof is not Proof.BEARER
        and policy.replay is not ReplayMode.LOCAL
    ):
        yield (
            f"replay {policy.replay.value}",
            "used proofs are remembered for the workers of one machine (replay local)",
        )


def _require_places(api: str, options: EngineOptions) -> None:
    """Refuse what would mean something to nginx or Lua in a name of a file or host."""
    if not _NAME.fullmatch(api):
        raise UnsupportedError(
            api, "name", "expected 1 to 64 of A-Z a-z 0-9 _ -", "choose another name"
        )
    paths = [options.directory, options.access_log, options.replay_directory]
    paths += [each.socket for each in (options.listen, options.upstream) if each.socket]
    for path in paths:
        if not _PATH.fullmatch(path):
            raise UnsupportedError(
                api,
                "path",
                f"got {path!r}, expected an absolute path of A-Z a-z 0-9 . _ / -",
                "choose another directory or file",
            )
    if not _NAME.fullmatch(options.user):
        why = f"got {options.user!r}, expected 1 to 64 of A-Z a-z 0-9 _ -"
        raise UnsupportedError(api, "user", why, "run Watchword as another user")
    for each in (options.listen, options.upstream):
        _require_host(api, each)


def _require_host(api: str, endpoint: Endpoint) -> None:
    if not endpoint.socket and not _HOST.fullmatch(endpoint.host):
        raise UnsupportedError(
            api, "host", f"got {endpoint.host!r}, expected a name or address", "choose another one"
        )


LOOK_SECONDS: Final = 0.2
"""How often each worker looks for another private file."""

CACHED_TOKENS: Final = 8192
"""Verified tokens that each worker remembers, in each of two generations."""

REPLAY_SETS: Final = 2**18
"""Sets of the table of used proofs: 32 MiB, room for about 1.8 million."""


_GROUPS: Final = ("request.", "token.", "proof.", "gate.")


def script(api: str, state_file: str, replay_directory: str, *, proofs: bool) -> str:
    """Return the whole script.

    :param api: part of the name of the table of used proofs.
    :param proofs: whether any route asks for a proof; without one no table of used proofs is made.
    :raises ValueError: for a text that can't be one of Lua.
    """
    fields = {
        "api": quoted(api),
        "state_file": quoted(state_file),
        "token_type": quoted(TOKEN_TYPE),
        "proof_life": str(PROOF_LIFE_SECONDS),
        "look_seconds": str(LOOK_SECONDS),
        "cached_tokens": str(CACHED_TOKENS),
        "replay_directory": quoted(replay_directory),
        "replay_sets": str(REPLAY_SETS),
    }
    known = [reason for reason in Reason if reason.code.startswith(_GROUPS)]
    return "\n".join(
        (
            part("nginx/01_start"),
            settings(fields),
            refusals(known),
            part("sha256"),
            part("base64"),
            part("system"),
            part("revocations"),
            part("prepared"),
            part("nginx/02_json"),
            part("nginx/03_crypto"),
            part("nginx/04_state"),
            part("replay") if proofs else part("nginx/no_replay"),
            part("nginx/05_tokens"),
            part("proofs"),
            part("nginx/06_dpop"),
            part("nginx/07_head"),
            part("nginx/08_rate"),
            part("nginx/09_gate"),
        )
    )


MAX_STATE_BYTES: Final = 32 * 1024 * 1024
"""Most bytes of the private file that the script reads."""

_VERSION: Final = 2


def render(bundle: GateBundle, revoked: DigestParts) -> str:
    """Return the content of the private file; write it with mode 0600, whole or not at all.

    Whoever writes it holds it to :data:`MAX_STATE_BYTES`.

    :param revoked: who is revoked; the base is in a file of its own.
    :raises UnsupportedError: for rows whose other spellings the script can't know.
    """
    policy = bundle.policy
    expectation = policy.expectation
    table = compile_routes(policy.routes)
    spellings = spellings_of(table, policy)
    members: dict[str, Any] = {
        "issuer": expectation.issuer,
        "audience": expectation.audience,
        "environment": expectation.environment.value,
        "leeway": expectation.leeway,
        "keys": _keys(bundle.keys),
        "secrets": _secrets(bundle.secrets),
        "routes": _routes(table, spellings),
        "signs": _signs(policy, spellings),
        "rate": _rate(policy.rate),
        "signatures": _rate(policy.rate or SIGNATURES),
        "binding_header": _header(policy.binding_header),
    }
    # Tokens stay verified while this stays the same: a revocation mustn't cost a whole fleet's signatures.
    trust = hashlib.sha256(strict_json.dumps(members)).hexdigest()
    members |= {
        "v": _VERSION,
        "generation": bundle.generation,
        "trust": trust,
        "cuts": [_cut(each) for each in bundle.cuts],
        "revoked": {
            "key": revoked.key.hex(),
            "base": revoked.name,
            "count": len(revoked.base) // DIGEST_BYTES,
        },
    }
    added = "".join(f"{each:016x} " for each in revoked.added)
    return f"{strict_json.dumps(members).decode()}\n{added}\nend\n"


def _keys(keys: Iterable[VerificationKey]) -> list[dict[str, str]]:
    """Return every key, also the retired ones: their tokens are refused for another reason than unknown ones."""
    found = []
    for key in keys:
        numbers = key.key.public_numbers()
        found.append(
            {
                "kid": key.kid,
                "head": jose.header_segment(key.kid, TOKEN_TYPE),
                "point": f"{numbers.x:064x}{numbers.y:064x}",
                "ends": _end(key.verify_until),
            }
        )
    return found


def _secrets(secrets: Iterable[GateSecret]) -> list[dict[str, Any]]:
    return [
        {"epoch": each.epoch, "secret": each.secret.hex(), "ends": _end(each.verify_until)}
        for each in secrets
    ]


def _end(until: float | None) -> str:
    """Return an end as text: the script takes numbers with a fraction for something that no claim has."""
    return "-" if until is None else f"{until:.3f}"


def _routes(table: Sequence[CompiledRoute], spellings: Spellings) -> list[dict[str, Any]]:
    """Return each row, with what becomes of its paths' other spellings; rows are numbered from 1, 0 is none."""
    return [
        {
            **_route(row),
            "spellings": [
                {
                    "rivals": [rival.position + 1 for rival in case.rivals],
                    "judge": 0 if case.judge is None else case.judge + 1,
                }
                for case in cases
                # The script folds such signs itself.
                if not case.depth
            ],
        }
        for row, cases in zip(table, spellings.cases, strict=True)
    ]


def _signs(policy: GatePolicy, spellings: Spellings) -> str:
    """Return the signs outside of ASCII that mean something, each with what it is folded to, in hexadecimal digits."""
    if policy.case_sensitive:
        return ""
    known = dict.fromkeys((*spellings.doubles, *separators(), *dots()))
    return "".join(
        f"{sign.encode('utf-8').hex()}={fold(sign).encode('utf-8').hex()} " for sign in known
    )


def _route(row: CompiledRoute) -> dict[str, Any]:
    route = row.route
    return {
        "name": route.name,
        "methods": sorted(row.methods),
        "segments": list(row.segments),
        "folded": [fold(segment) for segment in row.segments],
        "open_ended": row.open_ended,
        "level": route.level.value,
        "proof": route.proof.value,
        "dpop": route.dpop,
        "mode": route.mode.value,
        "max_body": route.max_body,
        "versions": dict(route.minimum_versions),
    }


def _cut(cut: Cut) -> dict[str, Any]:
    level = None if cut.level is None else cut.level.value
    return {"app": cut.app, "level": level, "before": cut.before, "share": cut.share}


def _header(name: bytes | None) -> str | None:
    return None if name is None else name.decode("ascii")


def _rate(rate: Rate | None) -> dict[str, int] | None:
    return None if rate is None else {"requests": rate.requests, "seconds": rate.seconds}


def generate(
    bundle: GateBundle,
    options: EngineOptions,
    now: float,  # noqa: ARG001 - every engine is given it; nginx knows the end of a key by itself.
) -> Sequence[EngineFile]:
    """Return all files, in the order in which they are to be written.

    :raises UnsupportedError: on what this nginx can't do exactly as the gate does.
    """
    require_supported(bundle, options)
    policy = bundle.policy
    proofs = any(
        route.proof is not Proof.BEARER and route.mode is not Mode.OFF for route in policy.routes
    )
    revoked = digested(bundle).parts()
    state = render(bundle, revoked)
    size = len(state.encode())
    if size > MAX_STATE_BYTES:
        why = f"got {size} bytes of them, expected at most {MAX_STATE_BYTES}"
        raise UnsupportedError(policy.api, "routes", why, "divide the API in two")
    lua = script(policy.api, options.path(STATE), options.replay_directory, proofs=proofs)
    bulk = bulk_file(revoked)
    return (
        *(() if bulk is None else (bulk,)),
        EngineFile(STATE, EngineFileKind.PRIVATE, state),
        EngineFile(SCRIPT, EngineFileKind.PART, lua),
        EngineFile(CONFIGURATION, EngineFileKind.ROOT, configuration(policy.api, options)),
    )


def start(options: EngineOptions) -> str:
    """Return the command with which a person starts nginx, as the user who owns the directory."""
    return f"nginx -c {options.path(CONFIGURATION)} -e {options.path('error.log')}"
