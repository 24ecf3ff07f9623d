"""Describe the ``apis`` of ``watchword.yaml`` as they are written: routes, proofs, replay, rates."""

from typing import Annotated, Literal, TypeAlias

from pydantic import Field

from watchword.apps.settings.written_types import (
    Duration,
    FilePath,
    ListenAddress,
    Name,
    Origin,
    Pattern,
    Written,
    within,
)

MAX_ROUTES = 1000
"""Most routes of one API: each request walks down the table."""

MAX_LIMITS = 20
"""Most limits of one API: each request is held to each that applies."""

_Version: TypeAlias = Annotated[str, Field(pattern=r"^[0-9]+(\.[0-9]+){0,3}$")]


class WrittenCanary(Written):
    """Say for whom a route in mode ``canary`` enforces, and when it takes that back."""

    share: Annotated[int, Field(ge=1, le=100, description="percent of the instances")]
    from_versions: Annotated[
        dict[Name, _Version], Field(description="by app: the lowest version that takes part")
    ] = {}
    budget: Annotated[
        float,
        Field(gt=0, le=100, description="percent of instances refused before it narrows"),
    ] = 2.0


class WrittenRoute(Written):
    """Describe one route; the first that matches a request decides."""

    path: Pattern
    methods: Annotated[
        list[Annotated[str, Field(pattern=r"^[A-Z]{1,16}$")]] | None,
        Field(min_length=1, description="all methods if left out"),
    ] = None
    level: Annotated[
        Literal["hardware", "verified", "software"],
        Field(description="the least level an instance must have"),
    ] = "hardware"
    proof: Annotated[
        Literal["bearer", "session", "device"],
        Field(description="what ties a request to the instance"),
    ] = "bearer"
    mode: Annotated[
        Literal["off", "monitor", "canary", "enforce"],
        Field(description="off: no check; monitor: count refusals, let pass; enforce: refuse"),
    ] = "enforce"
    canary: Annotated[
        WrittenCanary | None, Field(description="for whom it enforces; with mode canary")
    ] = None
    dpop: Annotated[
        bool,
        Field(description="proof device: take DPoP too, which covers neither query nor body"),
    ] = False
    max_body: Annotated[
        int, Field(ge=1, le=64 * 1024 * 1024, description="most bytes that a proof covers")
    ] = 1024 * 1024
    minimum_versions: Annotated[
        dict[Name, _Version], Field(description="by app: the lowest version that is let in")
    ] = {}
    secret: Annotated[
        Name | None,
        Field(description="key of secrets.keys that the gate adds; goes to that key's origin"),
    ] = None


class WrittenReplay(Written):
    """Say where used proofs are remembered."""

    mode: Annotated[
        Literal["local", "affine", "shared"],
        Field(description="a proof passes once: per gate, at its own gate, over all gates"),
    ] = "local"
    store: Annotated[
        Literal["host", "valkey"],
        Field(description="shared: a file for the gates of this machine, or a Valkey"),
    ] = "host"
    url: Annotated[
        str | None,
        Field(pattern=r"^(rediss?|unix)://[!-~]{1,300}$", description="where the Valkey is"),
    ] = None
    password: Annotated[FilePath | None, Field(description="file with its password")] = None


class WrittenRate(Written):
    """Say how many requests one instance may send."""

    requests: Annotated[int, Field(ge=1, le=1_000_000)]
    per: Annotated[Duration, within("1s", "1h")] = "1m"


class WrittenLimit(Written):
    """Say how many requests one instance may send on some routes, or with some versions of an app."""

    name: Name
    kind: Annotated[
        Literal["rate", "quota"],
        Field(description="rate: refilled evenly; quota: so many in each window, from 0:00 UTC on"),
    ] = "rate"
    requests: Annotated[int, Field(ge=1, le=1_000_000_000)]
    per: Annotated[Duration, within("1s", "31d")] = "1m"
    routes: Annotated[
        list[Pattern] | None,
        Field(min_length=1, description="paths of routes that count together; left out: all"),
    ] = None
    below: Annotated[
        dict[Name, _Version], Field(description="by app: holds below this version alone")
    ] = {}
    mode: Annotated[
        Literal["monitor", "enforce"], Field(description="monitor: count and report, let pass")
    ] = "enforce"


class WrittenAuthz(Written):
    """Say where another server asks the gate about each request (forward auth)."""

    style: Annotated[
        Literal["envoy", "original", "forwarded"],
        Field(
            description="how the engine names the request: its path behind /authz (Envoy), "
            "X-Original-Method, -URI and -Host (nginx, HAProxy), X-Forwarded-... (Traefik, Caddy)"
        ),
    ] = "original"
    listen: Annotated[
        ListenAddress | None,
        Field(description="left out: a Unix socket in the state directory, for this user alone"),
    ] = None
    credential: Annotated[
        FilePath | None,
        Field(description="file with the secret that the engine sends in Watchword-Authz"),
    ] = None
    certificate: Annotated[FilePath | None, Field(description="PEM, for mutual TLS")] = None
    key: Annotated[FilePath | None, Field(description="PEM of its private key")] = None
    client_ca: Annotated[
        FilePath | None, Field(description="PEM of who signs the engines' certificates")
    ] = None


class WrittenApi(Written):
    """Describe one API behind the gate."""

    audience: Annotated[
        str, Field(pattern=r"^[!-~]{1,200}$", description="the name that tokens carry as aud")
    ]
    apps: Annotated[list[Name], Field(min_length=1, description="the apps that may call it")]
    upstream: Annotated[Origin | None, Field(description="where the API answers")] = None
    listen: Annotated[
        ListenAddress | None, Field(description="where the proxy stands in front of it")
    ] = None
    authz: Annotated[
        WrittenAuthz | None, Field(description="where another server asks about each request")
    ] = None
    signed_verdict: Annotated[
        bool, Field(description="tell the API who is there in a signed header, Watchword-Verdict")
    ] = False
    replay: Annotated[
        WrittenReplay, Field(description="how a proof is kept from passing twice")
    ] = WrittenReplay()
    rate: Annotated[WrittenRate | None, Field(description="most requests of one instance")] = None
    limits: Annotated[
        list[WrittenLimit], Field(max_length=MAX_LIMITS, description="more of them, by route")
    ] = []
    binding_header: Annotated[
        str | None,
        Field(
            pattern=r"^[A-Za-z][A-Za-z0-9-]{0,63}$",
            description="header whose SHA-256 a token must carry as bnd, such as Authorization",
        ),
    ] = None
    case: Annotated[
        Literal["insensitive", "sensitive"],
        Field(
            description="insensitive: of the rows that match a path in any spelling, the strictest judges; "
            "sensitive: the API tells paths apart by case and Unicode form"
        ),
    ] = "insensitive"
    routes: Annotated[list[WrittenRoute], Field(min_length=1, max_length=MAX_ROUTES)]
