"""Describe ``watchword.yaml`` as it is written; ``watchword schema`` prints it for editors."""

import ipaddress
import re
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

_NAME = r"^[a-z0-9][a-z0-9-]{0,62}$"
_DURATION = re.compile(r"([1-9][0-9]{0,5})(s|m|h|d)")
_ADDRESS = re.compile(r"(?:([0-9A-Za-z.-]+)|\[([0-9A-Fa-f:.]+)\]):([1-9][0-9]{0,4})")
_ORIGIN = re.compile(r"https?://(?:([0-9A-Za-z._-]+)|\[([0-9A-Fa-f:.]+)\])(?::([1-9][0-9]{0,4}))?")
_LABEL = re.compile(r"[0-9A-Za-z_](?:[0-9A-Za-z_-]{0,61}[0-9A-Za-z_])?")
_URL = re.compile(r"(https?://[^/?#]+)(?:[/?][!-\"$-~]{0,300})?")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}

MAX_PORT = 65535

MAX_ROUTES = 1000
"""Most routes of one API: each request walks down the table."""


def _expected(text: str) -> PydanticCustomError:
    return PydanticCustomError("expected", "{expected}", {"expected": text})


def seconds(text: str) -> int:
    """Return the seconds of a duration such as ``90s``, ``5m``, ``1h`` or ``30d``."""
    found = _DURATION.fullmatch(text)
    if found is None:
        raise _expected("a duration such as 90s, 5m, 1h or 30d")
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


def _within(least: str, most: str) -> AfterValidator:
    """Accept durations between two others, both included."""
    allowed = range(seconds(least), seconds(most) + 1)

    def check(text: str) -> str:
        if seconds(text) not in allowed:
            raise _expected(f"a duration from {least} to {most}")
        return text

    return AfterValidator(check)


def _is_origin(text: str) -> bool:
    found = _ORIGIN.fullmatch(text)
    if found is None or int(found[3] or 1) > MAX_PORT:
        return False
    name, bracketed = found[1], found[2]
    try:
        if bracketed is not None:
            ipaddress.IPv6Address(bracketed)
        elif re.fullmatch(r"[0-9.]+", name):
            ipaddress.IPv4Address(name)
    except ValueError:
        return False
    return name is None or all(map(_LABEL.fullmatch, name.removesuffix(".").split(".")))


def _origin(text: str) -> str:
    """Accept ``http(s)://host[:port]`` and nothing behind it."""
    if not _is_origin(text):
        raise _expected("an origin such as http://127.0.0.1:9000, without path or user")
    return text


def _url(text: str) -> str:
    """Accept what can be fetched: an origin, and a path and a query behind it."""
    found = _URL.fullmatch(text)
    if found is None or not _is_origin(found[1]):
        raise _expected("a URL such as https://host/path, without user or fragment")
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
Url: TypeAlias = Annotated[str, AfterValidator(_url)]
Digest: TypeAlias = Annotated[str, AfterValidator(_digest)]
FilePath: TypeAlias = Annotated[str, Field(min_length=1), AfterValidator(_path)]
Pattern: TypeAlias = Annotated[str, AfterValidator(_pattern)]


class Written(BaseModel):
    """Refuse unknown keys and silent conversions (``port: "80"`` isn't a number)."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class WrittenReceipts(Written):
    """Say how Apple is asked for newer App Attest receipts, which carry the risk metric."""

    key_id: Annotated[
        str, Field(pattern=r"^[A-Z0-9]{10}$", description="id of your DeviceCheck key at Apple")
    ]
    key: Annotated[FilePath, Field(description="that key as Apple gave it to you, a .p8 file")]
    server: Annotated[Origin, Field(description="Apple's server, or a simulated one")] = (
        "https://data.appattest.apple.com"
    )


class WrittenPlayIntegrity(Written):
    """Say how Play Integrity tokens are read: by your own keys, or decoded by Google."""

    decryption_key: Annotated[
        FilePath | None, Field(description="file with the base64 AES key from the Play Console")
    ] = None
    verification_key: Annotated[
        FilePath | None, Field(description="file with the base64 public key from the Play Console")
    ] = None
    service_account: Annotated[
        FilePath | None, Field(description="JSON key of a service account, to let Google decode")
    ] = None


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
    receipts: Annotated[
        WrittenReceipts | None, Field(description="refresh Apple's receipts for their risk metric")
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
    play_integrity: Annotated[
        WrittenPlayIntegrity | None,
        Field(description="accept Play Integrity tokens of this app beside key attestation"),
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


class WrittenRevocation(Written):
    """Say whether Google's status list of attestation certificates is fetched, and how old it may be."""

    fetch: Annotated[
        bool | None, Field(description="left out: yes in prod where the vendors are trusted")
    ] = None
    url: Url = "https://android.googleapis.com/attestation/status"
    max_age: Annotated[
        Duration,
        _within("10m", "30d"),
        Field(description="how old a list still answers when a newer can't be fetched"),
    ] = "24h"


class WrittenRecords(Written):
    """Say what is kept of each verification, to explain and replay it."""

    keep: Annotated[
        Duration, _within("1h", "3650d"), Field(description="how long, for example 30d")
    ] = "30d"
    max_megabytes: Annotated[
        int, Field(ge=1, le=1_000_000, description="most space; the oldest days go first")
    ] = 256


class WrittenTrust(Written):
    """Describe whom the verifier believes."""

    anchors: Annotated[
        list[Literal["vendors", "lab"]],
        Field(min_length=1, description="vendors: Apple and Google; lab: simulated, lab only"),
    ]
    revocation_lists: Annotated[
        list[FilePath], Field(description="files with Google's attestation status list")
    ] = []
    revocation: WrittenRevocation | None = None
    formats: Annotated[
        list[Name], Field(description="evidence formats of your own, by their entry points")
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
    records: Annotated[
        WrittenRecords | None, Field(description="left out: no verification is recorded")
    ] = None
    policy: Annotated[
        Any, Field(description="what evidence must fulfil for each level; left out: balanced")
    ] = None
    apps: Annotated[dict[Name, WrittenApp], Field(min_length=1)]
    apis: Annotated[dict[Name, WrittenApi], Field(min_length=1)]
