"""Write the configuration of a Caddy that asks ``/authz`` about every request, in Caddy's own JSON.

A Caddyfile sorts what stands in it by an order of its own; here the order decides.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from watchword.encoding import strict_json
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
from watchword.gate.hygiene import CLIENT_SIDE
from watchword.public_classes import PROBLEM_MEDIA_TYPE, PublicClass

_REF: Final = "{http.request.uuid}"
_MARK: Final = "REFERENCE"

Json = Mapping[str, object]


def refused_body() -> Sequence[Json]:
    """Return what refuses a body that came though the proof of its request covers none."""
    return _refusal(PublicClass.PROOF_REFUSED)


def error_routes() -> Sequence[Json]:
    """Return what is answered where the API doesn't answer, and where /authz doesn't."""
    return [
        {
            "match": [{"vars": {"{http.vars.watchword}": ["passed"]}}],
            "handle": _refusal(PublicClass.UPSTREAM_UNREACHABLE),
            "terminal": True,
        },
        {"handle": unavailable(), "terminal": True},
    ]


def unavailable() -> Sequence[Json]:
    """Return what is answered where nobody judges."""
    return _refusal(PublicClass.UNAVAILABLE)


def _refusal(public: PublicClass) -> Sequence[Json]:
    fields = {
        "Content-Type": [PROBLEM_MEDIA_TYPE],
        "Cache-Control": ["no-store"],
        # For the log, which sees no bodies.
        "Watchword-Ref": [_REF],
    }
    if public.status == PublicClass.TOKEN_REQUIRED.status:
        fields["Www-Authenticate"] = ["Watchword"]
    if public in {PublicClass.UNAVAILABLE, PublicClass.UPSTREAM_UNREACHABLE}:
        fields["Retry-After"] = [str(RETRY_AFTER_SECONDS)]
    # Braces that belong to the text and not to a placeholder.
    text = problem(public, _MARK).replace("{", "\\{").replace("}", "\\}").replace(_MARK, _REF)
    return [
        {"handler": "vars", "skip_log": False},
        {
            "handler": "static_response",
            "status_code": public.status,
            "headers": fields,
            "body": text,
        },
    ]


CONFIGURATION: Final = "caddy.json"
"""The one file that Caddy is started with."""

_LOGGER: Final = "refusals"
_MAX_HEADER_BYTES: Final = 32 * 1024
"""More than the gate takes, which says itself what is too much."""

_NAMED: Final = "Watchword-Api"
"""By which an answer says whose gate it is (:data:`watchword.gate.interface.API_HEADER`)."""

_RESULTS: Final = ("Watchword-Instance", "Watchword-Level", "Watchword-App")
_VERDICT: Final = "Watchword-Verdict"
_PROOF_FIELDS: Final = ("Signature", "Signature-Input", "Dpop")

_QUESTION: Final = {
    "X-Forwarded-Method": "{http.request.orig_method}",
    "X-Forwarded-Uri": "{http.request.orig_uri}",
    "X-Forwarded-Host": "{http.request.hostport}",
    "X-Forwarded-Connection": "{http.request.header.Connection}",
    "X-Forwarded-Content-Length": "{http.request.header.Content-Length}",
}
"""What says which request is asked about; set over whatever a client sent by these names."""

_NOT_ASKED: Final = (
    "X-Forwarded-For",
    "X-Forwarded-Proto",
    "X-Forwarded-Generation",
    # Go's parser takes it out of the fields, so that only a client could have stated one.
    "X-Forwarded-Transfer-Encoding",
)
"""What nobody reads here, or must; the server in front of /authz takes so many fields only."""

_STATED_HERE: Final = (
    "Watchword*",
    # X-Forwarded-For, -Proto and -Host are written from the connection behind this.
    "*Forwarded*",
    *(f"*Real{sign}Ip" for sign in "-!#$%&'*+.^`|~"),
    # With another sign /authz refuses these: to look for each spelling would cost as much as the rest of a request.
    *(name for name in CLIENT_SIDE if not name.startswith("X-Forwarded-") and "-" in name),
)
"""Fields that a client can't state, by any sign for a hyphen, since Caddy keeps fields of such names: the gate's,
and who the client is.  An underscore its parser drops."""


def generate(bundle: GateBundle, options: EngineOptions, now: float) -> Sequence[EngineFile]:
    """Return all files, in the order in which they are to be written.

    :param now: isn't looked at: /authz knows which keys have retired.
    :raises UnsupportedError: on what forward auth can't do.
    """
    del now
    authz = require_authz(bundle.policy, options, "Caddy", "forwarded")
    document = {
        # Without it whoever is on this machine could change everything.
        "admin": {"disabled": True, "config": {"persist": False}},
        "logging": _logging(options.access_log),
        "apps": {"http": {"servers": {"watchword": _server(bundle.policy.api, options, authz)}}},
    }
    notes = (
        "Nothing has to follow the bundle here: these files hold neither keys nor routes.",
        "TLS for clients is Caddy's own business: put it in front, or add your `tls` app and listener here.",
    )
    return [
        EngineFile(CONFIGURATION, EngineFileKind.ROOT, strict_json.dumps(document).decode() + "\n"),
        EngineFile(
            "README.md",
            EngineFileKind.PAGE,
            page(
                bundle.policy,
                "Caddy",
                {CONFIGURATION: "the whole configuration"},
                start(options),
                notes,
            ),
        ),
    ]


def start(options: EngineOptions) -> str:
    """Return the command that starts Caddy with these files."""
    return f"caddy run --config {options.path(CONFIGURATION)}"


def _logging(path: str) -> Json:
    """Return the logs: refusals, and what Caddy says of itself.

    What it says of requests by itself is left out: it has their targets and fields, and the token is one of these.  It
    also writes all that down for each request, to throw it away where the level is too low: a tenth of its time at least.
    """
    writer: Json = (
        {"output": "stdout"}
        if path == "/dev/stdout"
        else {"output": "file", "filename": path, "roll": False}
    )
    removed = ("request>uri", "request>headers", "request>tls", "request>host", "user_id")
    return {
        "logs": {
            "default": {"level": "WARN", "exclude": ["http"]},
            _LOGGER: {
                "writer": writer,
                "include": [f"http.log.access.{_LOGGER}"],
                "encoder": {
                    "format": "filter",
                    "wrap": {"format": "json"},
                    "fields": {name: {"filter": "delete"} for name in removed},
                },
            },
        }
    }


def _server(api: str, options: EngineOptions, authz: Endpoint) -> Json:
    listen = options.listen
    return {
        # Bound to no host name: Caddy answers 200 to every other one, with nothing in it.
        "listen": [f"unix/{listen.socket}" if listen.socket else listen.address],
        # HTTP/2 without TLS would be another parser in front of an API that speaks HTTP/1.1.
        "protocols": ["h1"],
        "automatic_https": {"disable": True},
        "max_header_bytes": _MAX_HEADER_BYTES,
        "read_header_timeout": "5s",
        "idle_timeout": "75s",
        "logs": {"default_logger_name": _LOGGER},
        "routes": [{"handle": [_asking(api, options, authz), _api(options)]}],
        "errors": {"routes": error_routes()},
    }


def _asking(api: str, options: EngineOptions, authz: Endpoint) -> Json:
    """Return the question, and what follows from a yes; every other answer is the client's."""
    return {
        "handler": "reverse_proxy",
        "upstreams": [{"dial": f"unix/{authz.socket}"}],
        # Each question has a connection of its own.  Caddy dials where the request was last sent to, and Go may still
        # be dialling for a question when another connection has answered it: the new one then leads to the API, and
        # if it was kept, later questions would be answered there.
        "transport": {
            "protocol": "http",
            "versions": ["1.1"],
            "compression": False,
            "keep_alive": {"enabled": False},
            "dial_timeout": "5s",
            "response_header_timeout": "10s",
        },
        # GET, so that the body stays for the API; the empty query takes the request's away.
        "rewrite": {"method": "GET", "uri": "/authz?"},
        "headers": {
            "request": {
                "set": {name: [value] for name, value in _QUESTION.items()},
                "delete": list(_NOT_ASKED),
            }
        },
        "handle_response": [
            {
                "match": {"status_code": [200], "headers": {_NAMED: [api]}},
                "routes": _passed(options),
            },
            # Whoever says yes and isn't this API's gate is nobody; a client doesn't even see that answer.
            {"match": {"status_code": [2]}, "routes": [{"handle": unavailable()}]},
        ],
    }


def _passed(options: EngineOptions) -> Sequence[Json]:
    """Return what happens to a request that may pass, on its way to the API."""
    # Connection, since it could name a verified field, to be removed; Upgrade, since nobody would end the WebSocket of
    # a revoked instance.
    removed = [*_STATED_HERE, "Connection", "Upgrade"]
    return [
        # Few routes: each is put together anew for each request.
        {
            "handle": [
                {"handler": "vars", "watchword": "passed", "skip_log": True},
                {"handler": "headers", "request": {"delete": removed}},
                {"handler": "copy_response_headers", "include": ["Watchword-Nonce"]},
            ]
        },
        _set_if_told(_RESULTS),
        *([_set_if_told((_VERDICT,))] * options.signed_verdict),
        {
            "match": [_is_told("Watchword-Taken")],
            "handle": [
                {"handler": "headers", "request": {"delete": list(_PROOF_FIELDS)}},
                # No proof is without its fields: other requests needn't be asked about this.
                {"handler": "subroute", "routes": [_bodiless()]},
            ],
        },
    ]


def _bodiless() -> Json:
    """Return what refuses every body behind a proof that covers none: one in chunks is seen only once it comes."""
    refused = {
        "match": [{"not": [{"expression": '{http.request.body} == ""'}]}],
        "handle": refused_body(),
        "terminal": True,
    }
    return {
        "match": [_is_told("Watchword-Bodiless")],
        "handle": [
            {"handler": "request_body", "max_size": 1},
            {"handler": "subroute", "routes": [refused]},
        ],
    }


def _answered(name: str) -> str:
    return f"{{http.reverse_proxy.header.{name}}}"


def _is_told(name: str) -> Json:
    return {"vars": {_answered(name): ["1"]}}


def _set_if_told(names: Sequence[str]) -> Json:
    """Return what sets fields from the answer, which has all of them or the first one empty.

    An empty one would tell the API that somebody without a name is there.
    """
    return {
        "match": [{"not": [{"vars": {_answered(names[0]): [""]}}]}],
        "handle": [
            {"handler": "headers", "request": {"set": {name: [_answered(name)] for name in names}}}
        ],
    }


def _api(options: EngineOptions) -> Json:
    transport: dict[str, object] = {"protocol": "http", "versions": ["1.1"], "compression": False}
    if options.tls:
        transport["tls"] = {"server_name": options.upstream.host}
    upstream = options.upstream
    dial = f"unix/{upstream.socket}" if upstream.socket else upstream.address
    return {"handler": "reverse_proxy", "upstreams": [{"dial": dial}], "transport": transport}
