"""Describe ``watchword.yaml`` as it is written; ``watchword schema`` prints it for editors."""

import ipaddress
import re
from typing import Annotated, Literal, TypeAlias
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

_NAME = r"^[a-z0-9][a-z0-9-]{0,62}$"
_DURATION = re.compile(r"([1-9][0-9]{0,5})(s|m|h)")
_ADDRESS = re.compile(r"(?:([0-9A-Za-z.-]+)|\[([0-9A-Fa-f:.]+)\]):([1-9][0-9]{0,4})")
_ORIGIN = re.compile(r"https?://(?:[0-9A-Za-z._-]+|\[[0-9A-Fa-f:.]+\])(?::[1-9][0-9]{0,4})?")
_SECONDS = {"s": 1, "m": 60, "h": 3600}

MAX_PORT = 65535

MAX_ROUTES = 1000
"""Most routes of one API: each request walks down the table."""


def _expected(text: str) -> PydanticCustomError:
    return PydanticCustomError("expected", "{expected}", {"expected": text})


def seconds(text: str) -> int:
    """Return the seconds of a duration such as ``90s``, ``5m`` or ``1h``."""
    found = _DURATION.fullmatch(text)
    if found is None:
        raise _expected("a duration such as 90s, 5m or 1h")
    return int(found[1]) * _SECONDS[found[2]]


def split_address(text: str) -> tuple[str, int]:
    """Return host and port of ``host:port``; IPv6 addresses stand in brackets."""
    found = _ADDRESS.fullmatch(text)
    if found is None or int(found[3]) > MAX_PORT:
        raise _expected("host:port, such as 127.0.0.1:8080 or [::1]:8080")
    host = found[1] or found[2]
    if host != "localhost":
        try:
            ipaddress.ip_address(host)
        except ValueError:
            raise _expected("an IP address or localhost, then :port") from None
    return host, int(found[3])


def _duration(text: str) -> str:
    seconds(text)
    return text


def _address(text: str) -> str:
    split_address(text)
    return text


def _origin(text: str) -> str:
    """Accept ``http(s)://host[:port]`` and nothing behind it."""
    try:
        good = _ORIGIN.fullmatch(text) is not None and (urlsplit(text).port or 1) <= MAX_PORT
    except ValueError:
        good = False
    if not good:
        raise _expected("an origin such as http://127.0.0.1:9000, without path or user")
    return text


def _path(text: str) -> str:
    if text.startswith("~") or "\0" in text:
        # A directory named ~ would be made, and nobody would look for the keys in it.
        raise _expected("a path, from this file or absolute; ~ isn't expanded")
    return text


def _digest(text: str) -> str:
    if not re.fullmatch(r"[0-9a-f]{64}", text.replace(":", "").lower()):
        raise _expected("a SHA-256 digest: 64 hex digits, colons allowed")
    return text


def _pattern(text: str) -> str:
    """Accept ``/literal/*/segments`` with an optional last ``**``."""
    segments = text.split("/")[1:]
    rest = segments[:-1] if segments and segments[-1] == "**" else segments
    plain = all(re.fullmatch(r"\*|[A-Za-z0-9._~!$&'()+,=:@-]+", part) for part in rest if part)
    dots = any(part in {".", ".."} for part in rest)
    empty = any(part == "" for part in (rest if rest is not segments else segments[:-1]))
    if not text.startswith("/") or not plain or dots or empty:
        raise _expected(
            "a path such as /v1/records/*, with * for one segment and a last ** for any"
        )
    return text


Name: TypeAlias = Annotated[str, Field(pattern=_NAME)]
Duration: TypeAlias = Annotated[str, AfterValidator(_duration)]
ListenAddress: TypeAlias = Annotated[str, AfterValidator(_address)]
Origin: TypeAlias = Annotated[str, AfterValidator(_origin)]
Digest: TypeAlias = Annotated[str, AfterValidator(_digest)]
FilePath: TypeAlias = Annotated[str, Field(min_length=1), AfterValidator(_path)]
Pattern: TypeAlias = Annotated[str, AfterValidator(_pattern)]


class Written(BaseModel):
    """Refuse unknown keys and silent conversions (``port: "80"`` isn't a number)."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class WrittenIosApp(Written):
    """Describe an iOS app by what Apple signs: its App ID, team id and bundle id."""

    platform: Literal["ios"]
    team_id: Annotated[str, Field(pattern=r"^[A-Z0-9]{10}$", description="Apple team id")]
    bundle_id: Annotated[str, Field(pattern=r"^[A-Za-z0-9.-]{1,155}$")]
    app_attest: Annotated[
        Literal["production", "development"],
        Field(description="Apple's App Attest environment; one never passes for the other"),
    ] = "production"
    minimum_version: Annotated[
        str | None,
        Field(pattern=r"^[0-9]+(\.[0-9]+){0,3}$", description="lowest CFBundleVersion accepted"),
    ] = None


class WrittenAndroidApp(Written):
    """Describe an Android app by what the system signs: package and signing certificates."""

    platform: Literal["android"]
    package: Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]*(\.[A-Za-z][A-Za-z0-9_]*)+$")]
    signing_digests: Annotated[
        list[Digest],
        Field(min_length=1, description="SHA-256 of each certificate that may sign the app"),
    ]
    minimum_version: Annotated[
        int | None, Field(ge=0, le=2**63 - 1, description="lowest versionCode accepted")
    ] = None


WrittenApp: TypeAlias = Annotated[
    WrittenIosApp | WrittenAndroidApp, Field(discriminator="platform")
]


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
        Literal["bearer"], Field(description="what ties a request to the instance")
    ] = "bearer"
    mode: Annotated[
        Literal["off", "monitor", "enforce"],
        Field(description="off: no check; monitor: count refusals, let pass; enforce: refuse"),
    ] = "enforce"


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
    routes: Annotated[list[WrittenRoute], Field(min_length=1, max_length=MAX_ROUTES)]


class WrittenService(Written):
    """Describe the service that attests instances and issues tokens."""

    issuer: Annotated[Origin, Field(description="the URL under which apps reach the service")]
    listen: ListenAddress = "127.0.0.1:8440"
    token_lifetime: Duration = "5m"  # noqa: S105 - a duration.
    store: Annotated[Literal["sqlite"], Field(description="SQLite in the state directory")] = (
        "sqlite"
    )
    state: Annotated[FilePath, Field(description="directory of keys and store, from this file")] = (
        ".watchword"
    )


class WrittenTrust(Written):
    """Describe whom the verifier believes."""

    anchors: Annotated[
        list[Literal["vendors", "lab"]],
        Field(min_length=1, description="vendors: Apple and Google; lab: simulated, lab only"),
    ]
    revocation_lists: Annotated[
        list[FilePath], Field(description="files with Google's attestation status list")
    ] = []


class WrittenFile(Written):
    """Describe the whole file."""

    version: Literal[1]
    environment: Annotated[
        Literal["prod", "lab"],
        Field(description="lab: simulated phones, loopback only; its tokens are refused in prod"),
    ]
    service: WrittenService
    trust: WrittenTrust | None = None
    apps: Annotated[dict[Name, WrittenApp], Field(min_length=1)]
    apis: Annotated[dict[Name, WrittenApi], Field(min_length=1)]
