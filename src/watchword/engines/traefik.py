"""Write the two files of a Traefik that asks ``/authz`` about every request: what it is started with, and what its file provider reads."""

from collections.abc import Mapping, Sequence
from typing import Final

from watchword.engines.forward_auth import (
    asks_for_proof,
    page,
    require_authz,
)
from watchword.engines.interface import (
    Endpoint,
    EngineFile,
    EngineFileKind,
    EngineOptions,
    UnsupportedError,
)
from watchword.engines.yaml_text import render
from watchword.gate.bundle import GateBundle
from watchword.gate.hygiene import CLIENT_SIDE
from watchword.gate.interface import GatePolicy
from watchword.vocabulary import ReplayMode

START: Final = "traefik.yaml"
ROUTES: Final = "routes.yaml"
CERTIFICATE: Final = "authz.crt"
KEY: Final = "authz.key"
AUTHORITY: Final = "authz-ca.pem"
"""Files in the directory; the last three come from the operator, and nobody writes them here."""

MAX_HEAD_BYTES: Final = 32 * 1024
"""Most bytes of a request's head; the gate takes fields of half as much."""

_RESULTS: Final = ("Watchword-Instance", "Watchword-Level", "Watchword-App", "Watchword-Verdict")
_TOKEN: Final = "Watchword-Token"  # noqa: S105 - a header.
_NAMED: Final = "Watchword-Api"
_STATUS: Final = "Watchword-Status"
_SIGNS: Final = "!#$%&'*+.^_`|~"
"""What a server may take for a hyphen in a name; Traefik passes on fields with any of them."""

_ITS_OWN: Final = frozenset(
    {
        "X-Forwarded-For",
        "X-Forwarded-Host",
        "X-Forwarded-Port",
        "X-Forwarded-Proto",
        "X-Forwarded-Server",
        "X-Real-IP",
    }
)
"""Fields that Traefik writes anew from the connection, whatever a client says in them."""

Json = Mapping[str, object]


def generate(bundle: GateBundle, options: EngineOptions, now: float) -> Sequence[EngineFile]:
    """Return all files, in the order in which they are to be written.

    :param now: isn't looked at: /authz knows which keys have retired.
    :raises UnsupportedError: on what forward auth can't do, and for routes with a proof: Traefik tells nobody of a body.
    """
    del now
    policy = bundle.policy
    authz = require_authz(policy, options, "Traefik", "forwarded")
    _require_no_proofs(policy)
    if options.listen.socket or options.upstream.socket:
        raise UnsupportedError(
            policy.api, "unix:", "Traefik listens and asks over TCP alone", "name HOST:PORT"
        )
    files = {
        START: "read once: where clients come in, the log of refusals",
        ROUTES: "the question, what is removed, and the API; a change counts at once",
        f"{CERTIFICATE}`, `{KEY}`, `{AUTHORITY}": "yours: with which /authz knows Traefik, and Traefik /authz",
    }
    notes = (
        "Traefik 3.7 or newer: older ones make one path of two that are read in two ways.",
        "A refusal's own reference explains it: `watchword explain REF`. `watchword audit ingest` reads the log.",
    )
    return [
        EngineFile(
            ROUTES,
            EngineFileKind.PART,
            render(
                {"http": _http(policy.api, options, authz)}, f"Traefik in front of {policy.api}."
            ),
        ),
        EngineFile(
            START,
            EngineFileKind.START,
            render(
                _start(options),
                f"Traefik in front of {policy.api}, written by Watchword. Start it with:\n{start(options)}",
            ),
        ),
        EngineFile(
            "README.md",
            EngineFileKind.PAGE,
            page(policy, "Traefik", files, start(options), notes),
        ),
    ]


def start(options: EngineOptions) -> str:
    """Return the command that starts Traefik with these files."""
    return f"traefik --configFile={options.path(START)}"


def _require_no_proofs(policy: GatePolicy) -> None:
    for route in policy.routes:
        if asks_for_proof(route):
            raise UnsupportedError(
                route.name,
                f"proof {route.proof.value}",
                "Traefik tells /authz nothing of a body, so that one added on the way would pass unseen",
                "serve the route by another engine, by the middleware or by the proxy",
            )
    if policy.replay is ReplayMode.AFFINE:
        raise UnsupportedError(
            policy.api,
            "replay affine",
            "Traefik keeps the nonce of an answer that lets a request pass to itself",
            "use shared or local",
        )


def _http(api: str, options: EngineOptions, authz: Endpoint) -> Json:
    scheme = "https" if options.tls else "http"
    return {
        "routers": {
            "watchword": {
                "entryPoints": ["watchword"],
                "rule": "PathPrefix(`/`)",
                # In this order: the question needs the token that is removed behind it.
                "middlewares": ["watchword-ask", "watchword-clean"],
                "service": "watchword-api",
            }
        },
        "middlewares": {
            "watchword-ask": {
                "forwardAuth": {
                    # Traefik can't look at what an answer says of itself, so that the question names the API.  Who
                    # answers shows a certificate of the authority below.
                    "address": f"https://{authz.address}/authz/bare/{api}",
                    # Method, host and target are Traefik's, whatever a client states.
                    "trustForwardHeader": False,
                    # Each is removed where the answer hasn't it.
                    "authResponseHeaders": list(_RESULTS),
                    "tls": {
                        "ca": options.path(AUTHORITY),
                        "cert": options.path(CERTIFICATE),
                        "key": options.path(KEY),
                    },
                }
            },
            # An empty value removes a field.
            "watchword-clean": {"headers": {"customRequestHeaders": dict.fromkeys(_removed(), "")}},
        },
        "services": {
            "watchword-api": {
                "loadBalancer": {
                    "servers": [{"url": f"{scheme}://{options.upstream.address}"}],
                    "passHostHeader": True,
                }
            }
        },
    }


def _removed() -> Sequence[str]:
    """Return the fields that must not reach the API: the token, the name of an API, what an app says of itself, and by any other sign for the hyphen results too.

    So must those of where a client comes from, but for those that Traefik writes itself; with another sign they are
    refused by /authz.  Upgrade too, since nobody would end the WebSocket of a revoked instance.
    """
    never = (_TOKEN, _NAMED, _STATUS)
    other = [name.replace("-", sign) for name in (*_RESULTS, *never) for sign in _SIGNS]
    stated = [name for name in CLIENT_SIDE if name not in _ITS_OWN]
    return [*never, "Upgrade", *stated, *other]


def _start(options: EngineOptions) -> Json:
    log: dict[str, object] = {
        "format": "json",
        "filters": {"statusCodes": ["400-599"]},
        # Neither targets nor fields: both hold secrets.
        "fields": {
            "defaultMode": "drop",
            "names": dict.fromkeys(
                (
                    "StartUTC",
                    "DownstreamStatus",
                    "OriginStatus",
                    "RequestMethod",
                    "ClientHost",
                    "Duration",
                ),
                "keep",
            ),
            "headers": {"defaultMode": "drop", "names": {"Watchword-Ref": "keep"}},
        },
    }
    if options.access_log != "/dev/stdout":
        log["filePath"] = options.access_log
    return {
        "entryPoints": {
            "watchword": {
                "address": options.listen.address,
                # What can be read in two ways is left as it is, so that /authz sees and refuses it.
                "http": {
                    "sanitizePath": False,
                    "encodeQuerySemicolons": True,
                    # Larger ones /authz hangs up on, and its log would say that it was away.
                    "maxHeaderBytes": MAX_HEAD_BYTES,
                },
            }
        },
        "providers": {"file": {"filename": options.path(ROUTES), "watch": True}},
        "accessLog": log,
        "global": {"checkNewVersion": False, "sendAnonymousUsage": False},
    }
