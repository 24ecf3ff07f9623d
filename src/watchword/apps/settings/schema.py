"""Describe ``watchword.yaml`` by section: what may stand in it, and what the product makes of it.

A value is read once, into what is used: durations into seconds, paths into absolute ones.  A section that isn't used as it is has ``build``.
"""

import ipaddress
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import chain
from pathlib import Path
from typing import Annotated, Any, Final, Literal, NamedTuple, Self, TypeAlias
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    ValidationInfo,
    model_validator,
)
from pydantic_core import PydanticCustomError, core_schema

from watchword.apps.settings.document import ENGINE_REFUSALS, GATE_REFUSALS, OPERATOR_SOCKET, STATE
from watchword.attestation.interface import AndroidApp, AppleApp, AppRegistration
from watchword.broker.interface import (
    MAX_SECRETS,
    Allowance,
    DeliveryRule,
    EdgeRule,
    Place,
    PlaceKind,
)
from watchword.encoding import phrases
from watchword.gate.interface import Limit, LimitKind, Rate, Rollout, Route
from watchword.gate.limits import EnrolmentRates, Network
from watchword.pins.interface import MAX_HOSTS, AfterExpiry, PinError, PinMode, read_host
from watchword.plan.interface import (
    Actor,
    AssetKind,
    AttackPath,
    Component,
    Intelligence,
    PathOrigin,
    Quantities,
    Scenarios,
    Strike,
    Trait,
)
from watchword.policy.interface import Policy
from watchword.vocabulary import (
    AppAttestEnvironment,
    ApplePlatform,
    Distribution,
    Environment,
    Level,
    Mode,
    Proof,
    ReplayMode,
)

MAX_PORT: Final = 65535

MAX_ROUTES: Final = 1000
"""Most routes of one API: each request walks down the table."""

MAX_LIMITS: Final = 20
"""Most limits of one API: each request is held to each that applies."""

MAX_REQUESTS: Final = 50
"""Most sample requests of one API: every one of them is sent by several attacks."""

MAX_ASSETS: Final = 20_000
"""Most assets of a plan."""

MAX_SCENARIOS: Final = 20_000
"""Most paths that are added, pinned or struck, each."""

MAX_STEPS: Final = 20
"""Most steps of one path."""

MAX_BUDGET: Final = 10_000
"""Most units of effort: more than the whole catalogue takes."""

MAX_COUNT: Final = 10**12
"""Most users or records that stand behind an impact."""

TECHNIQUE: Final = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"

HOST_EXPECTED: Final = "the name of a server in lower case, such as api.example.com: no port, no address, no wildcard; beyond ASCII as xn--..."
"""What a host must be, for people."""

_NAME: Final = r"^[a-z0-9][a-z0-9-]{0,62}$"
_METHOD: Final = r"^[A-Z]{1,16}$"
_TEAM: Final = r"^[A-Z0-9]{10}$"
_PATH: Final = r"^/[!-~]{0,2000}$"
_NUMBERS: Final = r"^[0-9]+(\.[0-9]+){0,3}$"
_ADDRESS = re.compile(r"(?:([0-9A-Za-z.-]+)|\[([0-9A-Fa-f:.]+)\]):([1-9][0-9]{0,4})")
_ORIGIN = re.compile(r"https?://(?:([0-9A-Za-z._-]+)|\[([0-9A-Fa-f:.]+)\])(?::([1-9][0-9]{0,4}))?")
_LABEL = re.compile(r"[0-9A-Za-z_](?:[0-9A-Za-z_-]{0,61}[0-9A-Za-z_])?")
_URL = re.compile(r"(https?://[^/?#]+)(?:[/?][!-\"$-~]{0,300})?")
_HTTPS: Final = 443

_LEAST_PREFIX = {
    4: 8,
    6: 19,
}  # Wider ones are whole parts of the Internet, however they are cut into pieces.
_LOCAL_IPV6 = ipaddress.IPv6Network("fc00::/7")  # RFC 4193.

IN_WORDS: Final = {
    TECHNIQUE: "a technique's id, such as MT-B03: `watchword plan catalogue` lists them",
    _NAME: "lower-case letters a to z, digits and dashes, at most 63, and no dash first",
    _METHOD: "a method in capitals, such as GET or POST",
    _TEAM: "ten capitals and digits, as Apple gives them out, such as ABCDE12345",
    _PATH: "a path as it is sent, such as /v1/records?page=2",
    _NUMBERS: "one to four numbers with dots between them, such as 4.2.0",
}
"""What a pattern asks for, by the pattern, where a person has to meet it."""


@dataclass(frozen=True, slots=True)
class Address:
    """Hold where something listens."""

    host: str
    port: int

    @property
    def is_loopback(self) -> bool:
        """Tell whether only this machine can reach it."""
        return self.host == "localhost" or ipaddress.ip_address(self.host).is_loopback

    def __str__(self) -> str:
        """Render as ``host:port``, IPv6 in brackets."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def _expected(text: str) -> PydanticCustomError:
    return PydanticCustomError("expected", "{expected}", {"expected": text})


def seconds(text: str) -> int:
    """Return the seconds of a duration such as ``90s``, ``5m``, ``1h`` or ``30d``."""
    try:
        return phrases.seconds(text)
    except ValueError as error:
        raise _expected(str(error)) from None


def _spell(text: str) -> str:
    """Accept a duration, for people to read."""
    seconds(text)
    return text


def address(text: str) -> Address:
    """Return the address of ``host:port``; IPv6 addresses stand in brackets."""
    found = _ADDRESS.fullmatch(text)
    if found is None or int(found[3]) > MAX_PORT:
        raise _expected("host:port, such as 127.0.0.1:8080 or [::1]:8080")
    host = found[1] or found[2]
    if host != "localhost":
        try:
            ipaddress.ip_address(host)
        except ValueError:
            raise _expected("an IP address or localhost, then :port") from None
    return Address(host, int(found[3]))


def within(least: str, most: str) -> AfterValidator:
    """Accept durations between two others, both included."""
    allowed = range(seconds(least), seconds(most) + 1)

    def check(value: int) -> int:
        if value not in allowed:
            raise _expected(f"a duration from {least} to {most}")
        return value

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


def _https(text: str) -> str:
    """Accept an origin over TLS alone: on plain HTTP everybody on the way reads the key."""
    if not text.startswith("https://"):
        raise _expected("an https:// origin, such as https://maps.example.net")
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


def _proxy_network(text: str) -> Network:
    """Return an address or a network that can be that of one's own proxies.

    Who trusts the Internet lets every client choose the address that it is counted by.
    """
    try:
        network = ipaddress.ip_network(text)
    except ValueError:
        raise _expected("an address or a network, such as 10.0.3.0/24 or 2001:db8::5") from None
    least = _LEAST_PREFIX[network.version]
    private = isinstance(network, ipaddress.IPv6Network) and network.subnet_of(_LOCAL_IPV6)
    if network.prefixlen < least and not private:
        raise _expected(f"your proxies alone: a network of at least /{least}")
    return network


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


def _pinned_host(text: str) -> str:
    """Accept the name of a server as a pin set has it."""
    try:
        return read_host(text)
    except PinError:
        raise _expected(HOST_EXPECTED) from None


def _reason(text: str) -> str:
    if not text.strip():
        raise _expected("a reason in words")
    return text


def _countable(assets: Any) -> Any:
    # Before each of them is looked at, and would have faults of its own.
    if isinstance(assets, dict) and len(assets) > MAX_ASSETS:
        raise _expected(f"at most {MAX_ASSETS} assets")
    return assets


def _place(text: str, info: ValidationInfo) -> Path:
    """Return where a path leads from the file's directory, the validation's context."""
    # Unlike Path.resolve, this doesn't raise where links go round in a circle.
    return Path(os.path.realpath((info.context or Path()) / text))


@dataclass(frozen=True, slots=True)
class _Text:
    """Read a text into another kind of value; an editor's schema and the faults are the text's."""

    read: Callable[..., Any]
    written: Any = str

    def __get_pydantic_core_schema__(
        self, _source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        text = handler.generate_schema(self.written)
        if self.read is _place:
            return core_schema.with_info_after_validator_function(self.read, text)
        return core_schema.no_info_after_validator_function(self.read, text)


class _Words:
    """Read one of some words into its member of an enumeration; all of its words if none are named."""

    def __init__(self, kind: type[StrEnum], *words: StrEnum) -> None:
        self._kind, self._words = kind, [each.value for each in words or kind]

    def __get_pydantic_core_schema__(
        self, _source: Any, _handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        words = core_schema.literal_schema(self._words)
        return core_schema.no_info_after_validator_function(self._kind, words)


def _default(written: Any, says: str | None = None, **bounds: Any) -> Any:
    """Return a field that may be left out.

    :param written: what stands for it then, in the form of the file.
    :param says: what it's for.
    """
    # What is no text stands for itself.
    read = isinstance(written, str)
    return Field(default=written, description=says, validate_default=read, **bounds)


Name: TypeAlias = Annotated[str, Field(pattern=_NAME)]
_Spell: TypeAlias = Annotated[str, AfterValidator(_spell)]
Duration: TypeAlias = Annotated[int, _Text(seconds)]
ListenAddress: TypeAlias = Annotated[Address, _Text(address)]
Origin: TypeAlias = Annotated[str, AfterValidator(_origin)]
Url: TypeAlias = Annotated[str, AfterValidator(_url)]
Digest: TypeAlias = Annotated[str, AfterValidator(_digest)]
FileName: TypeAlias = Annotated[str, Field(min_length=1), AfterValidator(_path)]
FilePath: TypeAlias = Annotated[Path, _Text(_place, FileName)]
Pattern: TypeAlias = Annotated[str, AfterValidator(_pattern)]
PinnedHost: TypeAlias = Annotated[str, AfterValidator(_pinned_host)]
AppLevel: TypeAlias = Annotated[
    Level, _Words(Level, Level.HARDWARE, Level.VERIFIED, Level.SOFTWARE)
]

_HostName: TypeAlias = Annotated[
    str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,62}(\.[a-z0-9][a-z0-9-]{0,62})*)$", max_length=253)
]
_Version: TypeAlias = Annotated[str, Field(pattern=_NUMBERS)]
_Versions: TypeAlias = dict[Name, _Version]
_Method: TypeAlias = Annotated[str, Field(pattern=_METHOD)]
_HeaderName: TypeAlias = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9-]{0,63}$")]
_HeaderValue: TypeAlias = Annotated[str, Field(pattern=r"^[ -~]{0,2000}$")]
_Target: TypeAlias = Annotated[str, Field(pattern=_PATH)]
_Status: TypeAlias = (
    Annotated[int, Field(ge=200, le=599)] | Annotated[str, Field(pattern=r"^[2-5]xx$")]
)
_ParameterName: TypeAlias = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.~-]{1,64}$")]
_Reason: TypeAlias = Annotated[str, Field(max_length=1000), AfterValidator(_reason)]
_Technique: TypeAlias = Annotated[str, Field(pattern=TECHNIQUE)]
_Steps: TypeAlias = Annotated[list[_Technique], Field(min_length=1, max_length=MAX_STEPS)]
_Count: TypeAlias = Annotated[int | None, Field(ge=0, le=MAX_COUNT)]
_Valkey: TypeAlias = Annotated[
    str | None,
    Field(pattern=r"^(rediss?|unix)://[!-~]{1,300}$", description="where the Valkey is"),
]
_Password: TypeAlias = Annotated[FilePath | None, Field(description="file with its password")]


class Config(BaseModel):
    """Refuse unknown keys and silent conversions (``port: "80"`` isn't a number)."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, defer_build=True)


class TlsFiles(NamedTuple):
    """Hold the files of a listener that asks callers for a certificate, all PEM."""

    certificate: Path
    key: Path
    client_ca: Path


class ReceiptSettings(NamedTuple):
    """Hold how Apple refreshes the receipts of one app; ``key`` is the file of the team's key."""

    team_id: str
    key_id: str
    key: Path
    server: str


class PlaySettings(NamedTuple):
    """Hold how the Play Integrity tokens of one package are read: two key files, or an account's."""

    package: str
    decryption_key: Path | None
    verification_key: Path | None
    service_account: Path | None


class RevocationSettings(NamedTuple):
    """Hold how Google's status list is kept; ``max_age`` in seconds, ``snapshots`` are files."""

    fetch: bool
    url: str
    max_age: int
    snapshots: tuple[Path, ...]


class ReceiptsConfig(Config):
    """Say how Apple is asked for newer App Attest receipts, which carry the risk metric."""

    key_id: str = Field(pattern=_TEAM, description="id of your DeviceCheck key at Apple")
    key: FilePath = Field(description="that key as Apple gave it to you, a .p8 file")
    server: Origin = _default(
        "https://data.appattest.apple.com", "Apple's server, or a simulated one"
    )


class PlayIntegrityConfig(Config):
    """Say how Play Integrity tokens are read: by your own keys, or decoded by Google."""

    decryption_key: FilePath | None = _default(
        None, "file with the base64 AES key from the Play Console"
    )
    verification_key: FilePath | None = _default(
        None, "file with the base64 public key from the Play Console"
    )
    service_account: FilePath | None = _default(
        None, "JSON key of a service account, to let Google decode"
    )


class IosAppConfig(Config):
    """Describe an iOS app by what Apple signs: its App ID, team id and bundle id."""

    platform: Literal["ios"]
    team_id: str = Field(pattern=_TEAM, description="Apple team id")
    bundle_id: str = Field(pattern=r"^[A-Za-z0-9.-]{1,155}$")
    app_attest: Literal["production", "development"] = _default(
        "production", "Apple's App Attest environment; one never passes for the other"
    )
    minimum_version: _Version | None = _default(None, "lowest CFBundleVersion accepted")
    platforms: list[Annotated[ApplePlatform, _Words(ApplePlatform)]] = _default(
        [ApplePlatform.IOS, ApplePlatform.IPADOS, ApplePlatform.VISIONOS],
        "systems that instances may run on; a Mac must be listed",
        min_length=1,
    )
    distribution: list[Annotated[Distribution, _Words(Distribution)]] | None = _default(
        None,
        "ways by which the app comes onto devices, since OS 27; "
        "left out, app_store alone, or development in Apple's development environment",
        min_length=1,
    )
    receipts: ReceiptsConfig | None = _default(
        None, "refresh Apple's receipts for their risk metric"
    )

    def build(self, name: str) -> AppRegistration:
        """Return the app as evidence is held to it."""
        environment = AppAttestEnvironment[self.app_attest.upper()]
        ways = frozenset(self.distribution or ())
        identity = AppleApp(
            self.team_id, self.bundle_id, environment, frozenset(self.platforms), ways
        )
        return AppRegistration(name, identity, self.minimum_version)


class AndroidAppConfig(Config):
    """Describe an Android app by what the system signs: package and signing certificates."""

    platform: Literal["android"]
    package: str = Field(pattern=r"^[A-Za-z][A-Za-z0-9_]*(\.[A-Za-z][A-Za-z0-9_]*)+$")
    signing_digests: list[Digest] = Field(
        min_length=1, description="SHA-256 of each certificate that may sign the app"
    )
    minimum_version: int | None = _default(None, "lowest versionCode accepted", ge=0, le=2**63 - 1)
    play_integrity: PlayIntegrityConfig | None = _default(
        None, "accept Play Integrity tokens of this app beside key attestation"
    )

    def build(self, name: str) -> AppRegistration:
        """Return the app as evidence is held to it."""
        digests = (bytes.fromhex(text.replace(":", "")) for text in self.signing_digests)
        minimum = None if self.minimum_version is None else str(self.minimum_version)
        return AppRegistration(name, AndroidApp(self.package, frozenset(digests)), minimum)


AppConfig: TypeAlias = Annotated[IosAppConfig | AndroidAppConfig, Field(discriminator="platform")]


class RateConfig(Config):
    """Say how many requests one instance may send."""

    requests: int = Field(ge=1, le=1_000_000)
    per: Annotated[Duration, within("1s", "1h")] = _default("1m")

    def build(self) -> Rate:
        """Return the rate."""
        return Rate(self.requests, self.per)


class EnrolmentsConfig(Config):
    """Say how many new instances there may be; what is beyond is told when to come again."""

    address: RateConfig | None = _default(
        None, "from one address prefix, of all apps; left out: 100 in 10m"
    )
    app: RateConfig | None = _default(None, "of one app, from all addresses; left out: 6000 in 1m")

    def build(self) -> EnrolmentRates:
        """Return the rates; what is left out is our own."""
        return EnrolmentRates(**{name: rate.build() for name, rate in self if rate is not None})


class _Kept:
    """Name what a service keeps in its state directory: read from its section it's the path."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, service: "ServiceConfig", _owner: type) -> Path:
        return service.state / self._name


class ServiceConfig(Config):
    """Describe the service that attests instances and issues tokens."""

    model_config = ConfigDict(ignored_types=(_Kept,))

    issuer: Origin = Field(description="the URL under which apps reach the service")
    listen: ListenAddress = _default("127.0.0.1:8440")
    token_lifetime: Duration = _default("5m")
    store: Literal["sqlite"] = _default("sqlite", "SQLite in the state directory")
    state: FilePath = _default(STATE, "directory of keys and store, from this file")
    trusted_proxies: list[Annotated[Network, _Text(_proxy_network)]] = _default(
        [], "addresses of the proxies in front, whose X-Forwarded-For is believed", max_length=64
    )
    enrolments: EnrolmentsConfig = _default(
        EnrolmentsConfig(), "how many new instances there may be"
    )

    @property
    def state_dir(self) -> Path:
        """Return the absolute directory of keys, store and sockets."""
        return self.state

    database = _Kept("watchword.db")
    """The SQLite store."""

    keyring = _Kept("keyring.json")
    """The key ring."""

    gates = _Kept("gates")
    """The directory of what gates need to know."""

    bundle_key = _Kept("gates/signer.jwk")
    """The public key by which gates know this service's bundles."""

    status_list = _Kept("status-list.json")
    """The copy of the vendor's status list."""

    pins = _Kept("pins")
    """The directory of the pins that were handed out, below which the service never goes."""

    records = _Kept("records")
    """The directory of what is kept of verifications."""

    secrets = _Kept("secrets.json")
    """The encrypted secrets."""

    canaries = _Kept("canaries.json")
    """What planted canary keys are recognised by."""

    rollback_detector = _Kept("store-mark.json")
    """What is known of the store beside it."""

    revocations = _Kept("revocations.jsonl")
    """The operator's revocations beside the store."""

    reserve = _Kept("reserve")
    """The space that is set aside."""

    engine_refusals = _Kept(ENGINE_REFUSALS)
    """What engines refused, as their logs told it."""

    gate_refusals = _Kept(GATE_REFUSALS)
    """What gates inside applications counted."""

    operator_socket = _Kept(OPERATOR_SOCKET)
    """The operator's socket."""

    def authz_socket(self, api: str) -> Path:
        """Return where another server of this machine asks about requests to an API."""
        return self.state / f"authz-{api}.sock"

    def gate_bundle(self, api: str) -> Path:
        """Return the path of what the gate of one API needs to know."""
        return self.gates / f"{api}.jws"


class RevocationConfig(Config):
    """Say whether Google's status list of attestation certificates is fetched, and how old it may be."""

    fetch: bool | None = _default(None, "left out: yes in prod where the vendors are trusted")
    url: Url = "https://android.googleapis.com/attestation/status"
    max_age: Annotated[Duration, within("10m", "30d")] = _default(
        "24h", "how old a list still answers when a newer can't be fetched"
    )


class RecordsConfig(Config):
    """Say what is kept of each verification, to explain and replay it."""

    keep: Annotated[Duration, within("1h", "3650d")] = _default("30d", "how long, for example 30d")
    max_megabytes: int = _default(256, "most space; the oldest days go first", ge=1, le=1_000_000)

    @property
    def max_bytes(self) -> int:
        """Return the most bytes that are kept."""
        return self.max_megabytes * 10**6


class TrustConfig(Config):
    """Describe whom the verifier believes."""

    anchors: list[Literal["vendors", "lab"]] = Field(
        min_length=1, description="vendors: Apple and Google; lab: simulated, lab only"
    )
    revocation_lists: list[FilePath] = _default([], "files with Google's attestation status list")
    revocation: RevocationConfig | None = None
    formats: list[Name] = _default([], "evidence formats of your own, by their entry points")

    def build(self, environment: Environment) -> RevocationSettings:
        """Return how revoked attestation certificates are known."""
        ways = self.revocation or RevocationConfig()
        prod = environment is Environment.PROD
        return RevocationSettings(
            fetch=prod and "vendors" in self.anchors if ways.fetch is None else ways.fetch,
            url=ways.url,
            max_age=ways.max_age,
            snapshots=tuple(self.revocation_lists),
        )


class GatesConfig(Config):
    """Say how gates of other machines fetch what they must know: over mutual TLS."""

    listen: ListenAddress
    certificate: FilePath = Field(description="PEM of the certificate and its chain")
    key: FilePath = Field(description="PEM of its key, without a password")
    client_ca: FilePath = Field(
        description="PEM of the authority that signs the gates' certificates"
    )
    clients: dict[_HostName, Annotated[list[Name], Field(min_length=1)]] = Field(
        min_length=1, description="by the name in a gate's certificate: its APIs"
    )

    @property
    def tls(self) -> TlsFiles:
        """Return the files of the listener."""
        return TlsFiles(self.certificate, self.key, self.client_ca)


class CanaryConfig(Config):
    """Say for whom a route in mode ``canary`` enforces, and when it takes that back."""

    share: int = Field(ge=1, le=100, description="percent of the instances")
    from_versions: _Versions = _default({}, "by app: the lowest version that takes part")
    budget: float = _default(2.0, "percent of instances refused before it narrows", gt=0, le=100)

    def build(self) -> Rollout:
        """Return the canary of a route."""
        return Rollout(self.share, dict(self.from_versions), self.budget)


class RouteConfig(Config):
    """Describe one route; the first that matches a request decides."""

    path: Pattern
    methods: list[_Method] | None = _default(None, "all methods if left out", min_length=1)
    level: AppLevel = _default("hardware", "the least level an instance must have")
    proof: Annotated[Proof, _Words(Proof)] = _default(
        "bearer", "what ties a request to the instance"
    )
    mode: Annotated[Mode, _Words(Mode)] = _default(
        "enforce", "off: no check; monitor: count refusals, let pass; enforce: refuse"
    )
    canary: CanaryConfig | None = _default(None, "for whom it enforces; with mode canary")
    dpop: bool = _default(False, "proof device: take DPoP too, which covers neither query nor body")
    max_body: int = _default(
        1024 * 1024, "most bytes that a proof covers", ge=1, le=64 * 1024 * 1024
    )
    minimum_versions: _Versions = _default({}, "by app: the lowest version that is let in")
    secret: Name | None = _default(
        None, "key of secrets.keys that the gate adds; goes to that key's origin"
    )

    def build(self, api: str, index: int) -> Route:
        """Return the row of an API's route table."""
        return Route(
            name=f"{api}[{index}] {self.path}",
            pattern=self.path,
            methods=frozenset(self.methods or ()),
            level=self.level,
            proof=self.proof,
            mode=self.mode,
            dpop=self.dpop,
            max_body=self.max_body,
            minimum_versions=dict(self.minimum_versions),
            canary=None if self.canary is None else self.canary.build(),
            secret=self.secret,
        )


class ReplayConfig(Config):
    """Say where used proofs are remembered."""

    mode: Annotated[
        ReplayMode, _Words(ReplayMode, ReplayMode.LOCAL, ReplayMode.AFFINE, ReplayMode.SHARED)
    ] = _default("local", "a proof passes once: per gate, at its own gate, over all gates")
    store: Literal["host", "valkey"] = _default(
        "host", "shared: a file for the gates of this machine, or a Valkey"
    )
    url: _Valkey = None
    password: _Password = None


class LimitConfig(Config):
    """Say how many requests one instance may send on some routes, or with some versions of an app."""

    name: Name
    kind: Annotated[LimitKind, _Words(LimitKind)] = _default(
        "rate", "rate: refilled evenly; quota: so many in each window, from 0:00 UTC on"
    )
    requests: int = Field(ge=1, le=1_000_000_000)
    per: Annotated[Duration, within("1s", "31d")] = _default("1m")
    routes: list[Pattern] | None = _default(
        None, "paths of routes that count together; left out: all", min_length=1
    )
    below: _Versions = _default({}, "by app: holds below this version alone")
    mode: Literal["monitor", "enforce"] = _default("enforce", "monitor: count and report, let pass")

    def build(self, routes: Iterable[Route]) -> Limit:
        """Return the limit; paths of routes become the routes that have them."""
        return Limit(
            name=self.name,
            kind=self.kind,
            requests=self.requests,
            seconds=self.per,
            routes=frozenset(each.name for each in routes if each.pattern in (self.routes or ())),
            below=dict(self.below),
            enforced=self.mode == "enforce",
        )


class AuthzConfig(Config):
    """Say where another server asks the gate about each request (forward auth)."""

    style: Literal["envoy", "original", "forwarded"] = _default(
        "original",
        "how the engine names the request: its path behind /authz (Envoy), "
        "X-Original-Method, -URI and -Host (nginx, HAProxy), X-Forwarded-... (Traefik, Caddy)",
    )
    listen: ListenAddress | None = _default(
        None, "left out: a Unix socket in the state directory, for this user alone"
    )
    credential: FilePath | None = _default(
        None, "file with the secret that the engine sends in Watchword-Authz"
    )
    certificate: FilePath | None = _default(None, "PEM, for mutual TLS")
    key: FilePath | None = _default(None, "PEM of its private key")
    client_ca: FilePath | None = _default(None, "PEM of who signs the engines' certificates")

    @property
    def tls(self) -> TlsFiles | None:
        """Return the files for mutual TLS, None where callers need no certificate."""
        if self.certificate and self.key and self.client_ca:
            return TlsFiles(self.certificate, self.key, self.client_ca)
        return None


@dataclass(frozen=True, slots=True)
class ApiSettings:
    """Hold one API; ``upstream`` and ``listen`` are None where only a middleware guards it."""

    name: str
    audience: str
    apps: tuple[str, ...]
    upstream: str | None
    listen: Address | None
    routes: tuple[Route, ...]
    replay: ReplayConfig
    rate: Rate | None
    binding_header: str | None
    authz: AuthzConfig | None
    signed_verdict: bool
    limits: tuple[Limit, ...]
    case_sensitive: bool


class ApiConfig(Config):
    """Describe one API behind the gate."""

    audience: str = Field(
        pattern=r"^[!-~]{1,200}$", description="the name that tokens carry as aud"
    )
    apps: list[Name] = Field(min_length=1, description="the apps that may call it")
    upstream: Origin | None = _default(None, "where the API answers")
    listen: ListenAddress | None = _default(None, "where the proxy stands in front of it")
    authz: AuthzConfig | None = _default(None, "where another server asks about each request")
    signed_verdict: bool = _default(
        False, "tell the API who is there in a signed header, Watchword-Verdict"
    )
    replay: ReplayConfig = _default(ReplayConfig(), "how a proof is kept from passing twice")
    rate: RateConfig | None = _default(None, "most requests of one instance")
    limits: list[LimitConfig] = _default([], "more of them, by route", max_length=MAX_LIMITS)
    binding_header: _HeaderName | None = _default(
        None, "header whose SHA-256 a token must carry as bnd, such as Authorization"
    )
    case: Literal["insensitive", "sensitive"] = _default(
        "insensitive",
        "insensitive: of the rows that match a path in any spelling, the strictest judges; "
        "sensitive: the API tells paths apart by case and Unicode form",
    )
    routes: list[RouteConfig] = Field(min_length=1, max_length=MAX_ROUTES)

    def build(self, name: str) -> ApiSettings:
        """Return the API with its route table."""
        routes = tuple(route.build(name, index) for index, route in enumerate(self.routes))
        return ApiSettings(
            name=name,
            audience=self.audience,
            apps=tuple(self.apps),
            upstream=self.upstream,
            listen=self.listen,
            routes=routes,
            replay=self.replay,
            rate=None if self.rate is None else self.rate.build(),
            binding_header=None if self.binding_header is None else self.binding_header.lower(),
            authz=self.authz,
            signed_verdict=self.signed_verdict,
            limits=tuple(limit.build(routes) for limit in self.limits),
            case_sensitive=self.case == "sensitive",
        )


@dataclass(frozen=True, slots=True)
class DrillRequest:
    """Hold a request that the API serves to the genuine app.

    :param good: status codes that the API answers it with.
    """

    method: str
    target: str
    good: frozenset[int]
    body: bytes = field(default=b"", repr=False)
    content_type: str = "application/json"
    echo: bool = False
    login: bool = False


@dataclass(frozen=True, slots=True)
class DrillSettings:
    """Hold how one API is attacked; origins are None where the file's other sections say them.

    :param headers: by name, what every copy of the app sends.
    :param consent: the file that the API's proxy serves as its consent, ``service_consent`` that of the service.
    """

    target: str | None = None
    service: str | None = None
    upstream: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    headers_file: Path | None = None
    requests: tuple[DrillRequest, ...] = ()
    consent: Path | None = None
    service_consent: Path | None = None


class RequestConfig(Config):
    """Describe a request that the API serves to the genuine app; nothing in it may do harm if it's served."""

    method: _Method = "GET"
    path: _Target = Field(description="with its query, as it is sent")
    body: str | None = _default(None, max_length=64 * 1024)
    content_type: str = _default("application/json", pattern=r"^[ -~]{1,100}$")
    status: list[_Status] = _default(
        ["2xx"],
        "what the API answers to the genuine app, by code or class, such as [2xx, 404]; "
        "any other answer makes the run unsure",
        min_length=1,
        max_length=20,
    )
    echo: bool = _default(False, "its answer repeats the headers that the API was sent")
    login: bool = _default(
        False, "it signs a user in; {name} and {password} in its body are filled"
    )

    def build(self) -> DrillRequest:
        """Return the request as it is sent."""
        return DrillRequest(
            method=self.method,
            target=self.path,
            good=frozenset(chain.from_iterable(map(_codes, self.status))),
            body=(self.body or "").encode(),
            content_type=self.content_type,
            echo=self.echo,
            login=self.login,
        )


def _codes(status: int | str) -> Iterable[int]:
    """Return the codes that a code or a class such as ``2xx`` stands for."""
    if isinstance(status, int):
        return (status,)
    first = int(status[0]) * 100
    return range(first, first + 100)


class DrillConfig(Config):
    """Say how `watchword drill` reaches one API, and what it asks of it."""

    target: Origin | None = _default(None, "the gate; left out: where the API's proxy listens")
    service: Origin | None = _default(None, "left out: the issuer, in a lab where it listens")
    upstream: Origin | None = _default(
        None, "the API itself, behind the gate; left out: nobody goes around it"
    )
    consent: FilePath | None = _default(
        None, "the consent that the API's proxy serves at its well-known path"
    )
    service_consent: FilePath | None = _default(
        None, "the same for the service, an origin of its own"
    )
    headers: dict[_HeaderName, _HeaderValue] = _default(
        {}, "what every copy of the app sends, such as its key", max_length=20
    )
    headers_file: FilePath | None = _default(
        None, "file with more of them, a line each: name: value"
    )
    requests: list[RequestConfig] = _default(
        [], "left out: a GET made from each route", max_length=MAX_REQUESTS
    )

    def build(self) -> DrillSettings:
        """Return what a drill is set up from."""
        requests = tuple(each.build() for each in self.requests)
        return DrillSettings(**dict(self) | {"requests": requests})


class PinnedHostConfig(Config):
    """Say for which apps a host is pinned, and what a mismatch ends in."""

    apps: list[Name] = Field(min_length=1, description="apps that pin this host")
    mode: Annotated[PinMode, _Words(PinMode)] = _default(
        "report", "report: connect and tell; enforce: refuse and tell. Begin with report"
    )
    include_subdomains: bool = _default(
        False, "names below it too, where they have no entry of their own"
    )
    after_expiry: Annotated[AfterExpiry, _Words(AfterExpiry)] = _default(
        "open", "after the set's hard expiry. open: ordinary TLS; closed: no connection"
    )


class PinsConfig(Config):
    """Say which hosts are pinned, and how long a pin set lives."""

    # The pinned keys themselves stand in the workspace, where `watchword pins` edits them.
    directory: FilePath = _default("pins", "the workspace that `watchword pins init` makes")
    reports: Url | None = _default(None, "where apps report mismatches; never on a pinned host")
    soft_expiry: Annotated[Duration, within("1m", "180d")] = _default(
        "14d", "from when on apps look for a newer set"
    )
    hard_expiry: Annotated[Duration, within("1h", "400d")] = _default(
        "90d", "from when on it is enforced no more"
    )
    report_first: Annotated[Duration, within("1s", "90d")] = _default(
        "7d", "how long a host is `report` before `enforce` may be published"
    )
    hosts: dict[PinnedHost, PinnedHostConfig] = _default(
        {}, "by name of the server", max_length=MAX_HOSTS
    )

    def hosts_of(self, app: str) -> tuple[str, ...]:
        """Return the hosts that an app pins, in the order of the file."""
        return tuple(name for name, each in self.hosts.items() if app in each.apps)

    def looked_at(self, apps: Iterable[str], named: Iterable[str]) -> tuple[str, ...]:
        """Return the hosts of some apps, and those of these names that a host which includes its subdomains stands for too."""
        hosts = dict.fromkeys(host for app in apps for host in self.hosts_of(app))
        wide = tuple(f".{host}" for host in hosts if self.hosts[host].include_subdomains)
        return (*hosts, *(each for each in named if each not in hosts and each.endswith(wide)))

    def standing_for(self, name: str) -> str:
        """Return the host by whose keys a name is pinned: itself, or the nearest above it which includes it."""
        above = name
        while above not in self.hosts or not (
            above == name or self.hosts[above].include_subdomains
        ):
            if "." not in above:
                return name
            above = above.partition(".")[2]
        return above

    @property
    def apps(self) -> tuple[str, ...]:
        """Return the apps that pin anything, each once."""
        return tuple(dict.fromkeys(app for each in self.hosts.values() for app in each.apps))


class ObserverConfig(Config):
    """Name one who may prove that a protection works."""

    key: FileName = Field(description="its public key, a JWK on P-256")


class AssetRouteConfig(Config):
    """Say where in an API an asset is served."""

    api: Name = Field(description="its name under apis")
    path: Pattern


class QuantitiesConfig(Config):
    """Say what stands behind an impact, for people; nothing is computed from it."""

    users: _Count = None
    records: _Count = None
    money: str | None = _default(
        None,
        "amount and currency, such as 900000 AUD",
        pattern=r"^[0-9]{1,15}(\.[0-9]{1,2})? [A-Z]{3}$",
    )
    downtime: _Spell | None = _default(None, "such as 4h")

    def build(self) -> Quantities:
        """Return them as the plan shows them."""
        return Quantities(self.users, self.records, self.money, self.downtime)


class AssetConfig(Config):
    """Describe one thing whose loss would hurt."""

    kind: Annotated[AssetKind, _Words(AssetKind)]
    impact: int = Field(
        ge=1, le=5, description="on the business, whatever the odds; 5 is the worst"
    )
    because: _Reason = Field(description="why that much")
    lives_in: list[Annotated[Component, _Words(Component)]] = _default(
        [], "where it can be taken; backend is implied by routes"
    )
    traits: list[Annotated[Trait, _Words(Trait)]] | None = _default(
        None, "what an attacker is after; left out: by kind", min_length=1
    )
    actors: list[Annotated[Actor, _Words(Actor)]] = _default(
        [Actor.USER],
        "who calls it: user, with the app; partner, another organisation's server by mutual TLS",
        min_length=1,
    )
    routes: list[AssetRouteConfig] = _default([], "where the APIs serve it", max_length=1000)
    quantities: QuantitiesConfig = QuantitiesConfig()


class PathConfig(Config):
    """Describe one path that an attacker takes."""

    asset: Name
    steps: _Steps = Field(description="techniques in order, the last one does the harm")
    assumes: list[Annotated[Intelligence, _Words(Intelligence)]] = _default(
        [], "what the attacker is taken to have already"
    )
    because: _Reason = Field(description="why this path is worth a look")

    def build(self, origin: PathOrigin) -> AttackPath:
        """Return the path as it is planned for."""
        steps, assumes = tuple(self.steps), frozenset(self.assumes)
        return AttackPath(self.asset, steps, origin, assumes, self.because)


class StrikeConfig(Config):
    """Say which derived paths are taken out; what is left out doesn't narrow."""

    asset: Name | None = None
    technique: _Technique | None = _default(None, "every path with this step")
    steps: _Steps | None = _default(None, "exactly these, in this order")
    because: _Reason = Field(description="why such a path can't be taken")

    @model_validator(mode="after")
    def _narrow(self) -> Self:
        if self.asset is None and self.technique is None and self.steps is None:
            # It would take out every path, and the plan would be empty and look finished.
            raise _expected("at least one of asset, technique and steps")
        return self

    def build(self) -> Strike:
        """Return the strike."""
        steps = None if self.steps is None else tuple(self.steps)
        return Strike(self.because, self.asset, self.technique, steps)


class ScenariosConfig(Config):
    """Say which paths are planned for."""

    derive: bool = _default(True, "build paths from what techniques need and give")
    strike: list[StrikeConfig] = _default([], max_length=MAX_SCENARIOS)
    add: list[PathConfig] = _default([], max_length=MAX_SCENARIOS)
    pin: list[PathConfig] = _default(
        [], "paths that stay whatever is derived or struck", max_length=MAX_SCENARIOS
    )

    def build(self) -> Scenarios:
        """Return the scenarios."""
        return Scenarios(
            derive=self.derive,
            strike=tuple(each.build() for each in self.strike),
            add=tuple(each.build(PathOrigin.ADDED) for each in self.add),
            pin=tuple(each.build(PathOrigin.PINNED) for each in self.pin),
        )


class PlanConfig(Config):
    """Describe what the plan protects, and whose proofs count."""

    catalogue: FileName | None = _default(None, "techniques and protections of your own")
    observations: FilePath | None = _default(
        None, "left out: observations.jsonl in the service's state directory"
    )
    max_age: Annotated[Duration, within("1h", "365d")] = _default(
        "30d", "how old a proof still counts"
    )
    observers: dict[Name, ObserverConfig] = _default({}, "who may prove something, by name")
    builds: dict[Name, Digest] = _default({}, "by app: SHA-256 of its current build")
    budget: int | None = _default(
        None, "units of effort, each about a week of one person", ge=1, le=MAX_BUDGET
    )
    assets: Annotated[
        dict[Name, AssetConfig],
        BeforeValidator(_countable),
        Field(min_length=1, max_length=MAX_ASSETS, description="what would hurt to lose"),
    ]
    scenarios: ScenariosConfig = ScenariosConfig()


class AddConfig(Config):
    """Say where the gate adds the key; whatever the client sends there is overwritten."""

    header: _HeaderName | None = None
    query: _ParameterName | None = None
    prefix: str = _default(
        "",
        "in front of the key in its header, with the blank: 'Bearer '",
        pattern=r"^[!-~][ -~]{0,62}$|^$",
    )

    def build(self) -> Place:
        """Return the place."""
        return Place(*_named(self.header, self.query), self.prefix)


class ReplaceConfig(Config):
    """Say which text in which place the gate replaces by the key, for calls that can't be changed."""

    header: _HeaderName | None = None
    query: _ParameterName | None = None
    placeholder: str = Field(
        pattern=r"^[A-Za-z0-9_.~-]{4,64}$",
        description="what the app sends in the key's place: 4 to 64 letters, digits, _ . ~ or -",
    )

    def build(self) -> Place:
        """Return the place."""
        return Place(*_named(self.header, self.query), placeholder=self.placeholder)


def _named(header: str | None, query: str | None) -> tuple[PlaceKind, str]:
    """Return where a key stands: the section names one of both."""
    return (PlaceKind.QUERY, query or "") if header is None else (PlaceKind.HEADER, header.lower())


class QuotaConfig(Config):
    """Say how many calls one instance may make with the key."""

    calls: int = Field(ge=1, le=1_000_000_000)
    per: Annotated[Duration, within("1s", "366d")] = _default("1d")


class SpendConfig(Config):
    """Say how much the calls of one instance may cost, in units of your own (cents, credits)."""

    most: int = Field(ge=1, le=1_000_000_000_000)
    per: Annotated[Duration, within("1s", "366d")] = _default("30d")
    cost: int = _default(1, "units of one call", ge=1, le=1_000_000_000)


@dataclass(frozen=True, slots=True)
class EdgeSettings:
    """Hold a rule of the edge, without what stands in its file of authorities; ``ca`` is that file."""

    rule: EdgeRule
    ca: Path | None = None


class EdgeConfig(Config):
    """Say into which calls a key is injected: it is added to these alone, and never leaves the server."""

    origin: Annotated[Origin, AfterValidator(_https)]
    paths: list[Pattern] = Field(min_length=1, max_length=100)
    methods: list[_Method] = _default(["GET"], min_length=1, max_length=16)
    add: AddConfig | None = None
    replace: ReplaceConfig | None = None
    headers: list[_HeaderName] = _default(
        [], "of the client's, sent on beside the few that always are", max_length=32
    )
    quota: QuotaConfig | None = None
    spend: SpendConfig | None = None
    ca: FilePath | None = _default(None, "PEM of the authorities believed for this origin alone")
    private: bool = _default(False, "the origin may be at a private address; environment lab alone")
    timeout: Annotated[Duration, within("1s", "5m")] = _default("30s")
    max_answer: int = _default(
        8 * 1024 * 1024, "most bytes of an answer's body", ge=1, le=1024 * 1024 * 1024
    )
    reflects: Literal["maybe", "never"] = _default(
        "maybe",
        "whether an answer may show text of its request: such answers are held and searched whole "
        "before they are sent on; never lets them stream",
    )

    def build(self, name: str) -> EdgeSettings:
        """Return the rule of a key that is injected."""
        parts, where = urlsplit(self.origin), self.add or self.replace
        assert parts.hostname is not None  # An origin has a host.
        assert where is not None  # The section has exactly one of both.
        allowances = []
        if self.quota is not None:
            allowances.append(Allowance(self.quota.per, calls=self.quota.calls))
        if self.spend is not None:
            allowances.append(Allowance(self.spend.per, spend=self.spend.most))
        rule = EdgeRule(
            secret=name,
            host=parts.hostname.lower().removesuffix("."),
            port=parts.port or _HTTPS,
            patterns=tuple(self.paths),
            methods=frozenset(self.methods),
            place=where.build(),
            allowances=tuple(allowances),
            cost=1 if self.spend is None else self.spend.cost,
            private=self.private,
            seconds=float(self.timeout),
            max_answer=self.max_answer,
            headers=frozenset(each.lower() for each in self.headers),
            reflects=self.reflects == "maybe",
        )
        return EdgeSettings(rule, self.ca)


class DeliverConfig(Config):
    """Say to which instances a key is handed, sealed; a phone's owner can read it there."""

    apps: list[Name] = Field(min_length=1)
    level: AppLevel = _default("hardware")
    lease: Annotated[Duration, within("1m", "30d")] = _default(
        "1h", "how long an instance may keep it"
    )

    def build(self, name: str) -> DeliveryRule:
        """Return the rule of a key that is handed out."""
        return DeliveryRule(name, frozenset(self.apps), self.level, self.lease)


class SecretConfig(Config):
    """Say which way a key goes: injected at the edge, or delivered; never both."""

    edge: EdgeConfig | None = None
    deliver: DeliverConfig | None = None


class MasterKeyConfig(Config):
    """Say where the key is under which values are encrypted in the file; one of the three."""

    file: FilePath | None = _default(None, "32 bytes in base64url; made on the first start")
    env: str | None = _default(
        None, "name of an environment variable", pattern=r"^[A-Z][A-Z0-9_]{0,63}$"
    )
    transit: Name | None = _default(None, "name of a key in OpenBao's transit engine")


class OpenBaoConfig(Config):
    """Say where OpenBao or Vault is, and as whom it is asked."""

    url: Origin
    token: FilePath = Field(description="file with the token, which an agent may renew")
    mount: str = _default("secret", pattern=r"^[a-z0-9][a-z0-9/_-]{0,62}$")
    path: str = _default("watchword", pattern=r"^[a-z0-9][a-z0-9/_-]{0,126}$")
    transit: str = _default("transit", pattern=r"^[a-z0-9][a-z0-9/_-]{0,62}$")
    ca: FilePath | None = _default(None, "PEM of who signed its certificate")
    timeout: Annotated[Duration, within("1s", "30s")] = _default("2s")


class UsageConfig(Config):
    """Say where it is counted what instances use of keys: a file of this machine, or a Valkey."""

    store: Literal["host", "valkey"] = "host"
    url: _Valkey = None
    password: _Password = None


@dataclass(frozen=True, slots=True)
class SecretsSettings:
    """Hold where secrets are kept and who may use them.

    :param openbao: None where nothing is kept there.
    :param master_key: None where OpenBao keeps the values.
    :param signing: prefix of the transit keys that sign for the service, None where the key ring does.
    :param edges: by secret; ``deliveries`` likewise: a secret is in one of both.
    """

    master_key: MasterKeyConfig | None
    openbao: OpenBaoConfig | None
    in_openbao: bool
    signing: str | None
    usage: UsageConfig
    edges: Mapping[str, EdgeSettings]
    deliveries: Mapping[str, DeliveryRule]

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names of all secrets."""
        return (*self.edges, *self.deliveries)


class SecretsConfig(Config):
    """Say which API keys the apps need, and how they are kept out of the apps."""

    store: Literal["file", "openbao"] = "file"
    master_key: MasterKeyConfig | None = None
    openbao: OpenBaoConfig | None = None
    signing: Name | None = _default(
        None, "prefix of keys in OpenBao's transit engine that sign tokens and bundles"
    )
    usage: UsageConfig = UsageConfig()
    keys: dict[Name, SecretConfig] = _default({}, max_length=MAX_SECRETS)

    def build(self, state: Path) -> SecretsSettings:
        """Return who may use which key.

        :param state: the service's directory, in which a master key is made that the file doesn't place.
        """
        given = {"file": str(state / "master.key")}
        master = self.master_key or MasterKeyConfig.model_validate(given)
        return SecretsSettings(
            master_key=None if self.store == "openbao" else master,
            openbao=self.openbao,
            in_openbao=self.store == "openbao",
            signing=self.signing,
            usage=self.usage,
            edges={name: k.edge.build(name) for name, k in self.keys.items() if k.edge},
            deliveries={name: k.deliver.build(name) for name, k in self.keys.items() if k.deliver},
        )


@dataclass(frozen=True, slots=True)
class Settings:
    """Hold the whole file.

    :param trust_vendors: believe Apple and Google.
    :param trust_lab: believe the simulated vendors of the lab; only true in ``lab``.
    :param formats: names of the evidence formats that the operator added.
    :param receipts: by app; ``play`` likewise.
    :param records: None where nothing is recorded.
    :param policy: what evidence must fulfil for each level.
    :param gates: None where only gates of this machine get bundles.
    :param drill: by API, how it is attacked where the file says it.
    :param pins: None where no host is pinned.
    :param secrets: None where no API key is kept.
    """

    path: Path
    environment: Environment
    service: ServiceConfig
    apps: Mapping[str, AppRegistration]
    apis: Mapping[str, ApiSettings]
    trust_vendors: bool
    trust_lab: bool
    revocation: RevocationSettings
    formats: tuple[str, ...]
    receipts: Mapping[str, ReceiptSettings]
    play: Mapping[str, PlaySettings]
    records: RecordsConfig | None
    policy: Policy
    gates: GatesConfig | None
    drill: Mapping[str, DrillSettings]
    pins: PinsConfig | None
    secrets: SecretsSettings | None


class FileConfig(Config):
    """Describe the whole file."""

    version: Literal[1]
    environment: Annotated[Environment, _Words(Environment)] = Field(
        description="lab: simulated phones, loopback only; its tokens are refused in prod"
    )
    service: ServiceConfig
    trust: TrustConfig | None = None
    records: RecordsConfig | None = _default(None, "left out: no verification is recorded")
    gates: GatesConfig | None = _default(None, "left out: gates stand on this machine alone")
    policy: Any = _default(None, "what evidence must fulfil for each level; left out: balanced")
    plan: PlanConfig | None = _default(None, "what `watchword plan` ranks protections for")
    drill: dict[Name, DrillConfig] = _default({}, "by API: how `watchword drill` attacks it")
    pins: PinsConfig | None = _default(None, "which hosts the apps pin; see `watchword pins`")
    secrets: SecretsConfig | None = _default(
        None, "API keys that the apps need and don't hold; see `watchword secrets`"
    )
    apps: dict[Name, AppConfig] = Field(min_length=1)
    apis: dict[Name, ApiConfig] = Field(min_length=1)

    def build(self, path: Path, policy: Policy) -> Settings:
        """Return the settings of a file that is whole and consistent.

        :param path: of the file, absolute.
        :param policy: what its section means.
        """
        lab = self.environment is Environment.LAB
        anchors = self.trust.anchors if self.trust else []
        trust = self.trust or TrustConfig(anchors=["lab" if lab else "vendors"])
        secrets = self.secrets
        return Settings(
            path=path,
            environment=self.environment,
            service=self.service,
            apps={name: app.build(name) for name, app in self.apps.items()},
            apis={name: api.build(name) for name, api in self.apis.items()},
            trust_vendors="vendors" in anchors or not (anchors or lab),
            trust_lab=lab and ("lab" in anchors or not anchors),
            revocation=trust.build(self.environment),
            formats=tuple(trust.formats),
            receipts={
                name: ReceiptSettings(app.team_id, **dict(app.receipts))
                for name, app in self.apps.items()
                if isinstance(app, IosAppConfig) and app.receipts is not None
            },
            play={
                name: PlaySettings(app.package, **dict(app.play_integrity))
                for name, app in self.apps.items()
                if isinstance(app, AndroidAppConfig) and app.play_integrity is not None
            },
            records=self.records,
            policy=policy,
            gates=self.gates,
            drill={name: each.build() for name, each in self.drill.items()},
            pins=self.pins,
            secrets=None if secrets is None else secrets.build(self.service.state),
        )
