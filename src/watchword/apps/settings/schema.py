"""Describe ``watchword.yaml`` by section: what may stand in it, and what the product makes of it.

A value is read once, into what is used: durations into seconds, paths into absolute ones.  A section that isn't used as it is has ``build``.
"""

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from itertools import chain
from pathlib import Path
from typing import Annotated, Any, Final, Literal, NamedTuple, TypeAlias
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    ConfigDict,
    Field,
)

from watchword.adapters.postgres.address import PostgresAddress, read_address
from watchword.apps.settings.document import ENGINE_REFUSALS, GATE_REFUSALS, OPERATOR_SOCKET, STATE
from watchword.apps.settings.pins import PinsConfig
from watchword.apps.settings.plan_section import PlanConfig
from watchword.apps.settings.sections import (
    PATH,
    TEAM,
    Address,
    AppLevel,
    AppVersion,
    Config,
    Digest,
    Duration,
    FilePath,
    LimitConfig,
    ListenAddress,
    Method,
    Name,
    Origin,
    Pattern,
    RateConfig,
    ReadText,
    RouteConfig,
    Url,
    Words,
    default,
    expected,
    within,
)
from watchword.attestation.interface import AndroidApp, AppleApp, AppRegistration
from watchword.broker.interface import (
    MAX_SECRETS,
    Allowance,
    DeliveryRule,
    EdgeRule,
    Place,
    PlaceKind,
)
from watchword.enrolment.pace import PaceRates
from watchword.enrolment.retention import RetentionTerms
from watchword.gate.interface import Limit, Rate, Route
from watchword.gate.limits import EnrolmentRates, Network
from watchword.policy.interface import Policy
from watchword.vocabulary import (
    AppAttestEnvironment,
    ApplePlatform,
    Distribution,
    Environment,
    ReplayMode,
)

MAX_ROUTES: Final = 1000
"""Most routes of one API: each request walks down the table."""

MAX_LIMITS: Final = 20
"""Most limits of one API: each request is held to each that applies."""

MAX_REQUESTS: Final = 50
"""Most sample requests of one API: every one of them is sent by several attacks."""


_HTTPS: Final = 443

_LEAST_PREFIX = {
    4: 8,
    6: 19,
}  # Wider ones are whole parts of the Internet, however they are cut into pieces.
_LOCAL_IPV6 = ipaddress.IPv6Network("fc00::/7")  # RFC 4193.


def _https(text: str) -> str:
    """Accept an origin over TLS alone: on plain HTTP everybody on the way reads the key."""
    if not text.startswith("https://"):
        raise expected("an https:// origin, such as https://maps.example.net")
    return text


def _proxy_network(text: str) -> Network:
    """Return an address or a network that can be that of one's own proxies.

    Who trusts the Internet lets every client choose the address that it is counted by.
    """
    try:
        network = ipaddress.ip_network(text)
    except ValueError:
        raise expected("an address or a network, such as 10.0.3.0/24 or 2001:db8::5") from None
    least = _LEAST_PREFIX[network.version]
    private = isinstance(network, ipaddress.IPv6Network) and network.subnet_of(_LOCAL_IPV6)
    if network.prefixlen < least and not private:
        raise expected(f"your proxies alone: a network of at least /{least}")
    return network


_HostName: TypeAlias = Annotated[
    str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,62}(\.[a-z0-9][a-z0-9-]{0,62})*)$", max_length=253)
]
_HeaderName: TypeAlias = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9-]{0,63}$")]
_HeaderValue: TypeAlias = Annotated[str, Field(pattern=r"^[ -~]{0,2000}$")]
_Target: TypeAlias = Annotated[str, Field(pattern=PATH)]
_Status: TypeAlias = (
    Annotated[int, Field(ge=200, le=599)] | Annotated[str, Field(pattern=r"^[2-5]xx$")]
)
_ParameterName: TypeAlias = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.~-]{1,64}$")]
_Valkey: TypeAlias = Annotated[
    str | None,
    Field(pattern=r"^(rediss?|unix)://[!-~]{1,300}$", description="where the Valkey is"),
]
_Password: TypeAlias = Annotated[FilePath | None, Field(description="file with its password")]


class TlsFiles(NamedTuple):
    """Hold the files of a listener that asks callers for a certificate, all PEM."""

    certificate: Path
    key: Path
    client_ca: Path


class ReceiptSettings(NamedTuple):
    """Hold how Apple refreshes the receipts of one app.

    :param key: the file of the team's key.
    :param share: percent of them that are asked for on a day.
    """

    team_id: str
    key_id: str
    key: Path
    server: str
    share: int


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

    key_id: str = Field(pattern=TEAM, description="id of your DeviceCheck key at Apple")
    key: FilePath = Field(description="that key as Apple gave it to you, a .p8 file")
    server: Origin = default(
        "https://data.appattest.apple.com", "Apple's server, or a simulated one"
    )
    share: int = default(
        100,
        "percent of the receipts that Apple is asked for on a day, drawn by chance; each comes at least every 30 days",
        ge=1,
        le=100,
    )


class PlayIntegrityConfig(Config):
    """Say how Play Integrity tokens are read: by your own keys, or decoded by Google."""

    decryption_key: FilePath | None = default(
        None, "file with the base64 AES key from the Play Console"
    )
    verification_key: FilePath | None = default(
        None, "file with the base64 public key from the Play Console"
    )
    service_account: FilePath | None = default(
        None, "JSON key of a service account, to let Google decode"
    )


class IosAppConfig(Config):
    """Describe an iOS app by what Apple signs: its App ID, team id and bundle id."""

    platform: Literal["ios"]
    team_id: str = Field(pattern=TEAM, description="Apple team id")
    bundle_id: str = Field(pattern=r"^[A-Za-z0-9.-]{1,155}$")
    app_attest: Literal["production", "development"] = default(
        "production", "Apple's App Attest environment; one never passes for the other"
    )
    minimum_version: AppVersion | None = default(None, "lowest CFBundleVersion accepted")
    platforms: list[Annotated[ApplePlatform, Words(ApplePlatform)]] = default(
        [ApplePlatform.IOS, ApplePlatform.IPADOS, ApplePlatform.VISIONOS],
        "systems that instances may run on; a Mac must be listed",
        min_length=1,
    )
    distribution: list[Annotated[Distribution, Words(Distribution)]] | None = default(
        None,
        "ways by which the app comes onto devices, since OS 27; "
        "left out, app_store alone, or development in Apple's development environment",
        min_length=1,
    )
    receipts: ReceiptsConfig | None = default(
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
    minimum_version: int | None = default(None, "lowest versionCode accepted", ge=0, le=2**63 - 1)
    play_integrity: PlayIntegrityConfig | None = default(
        None, "accept Play Integrity tokens of this app beside key attestation"
    )

    def build(self, name: str) -> AppRegistration:
        """Return the app as evidence is held to it."""
        digests = (bytes.fromhex(text.replace(":", "")) for text in self.signing_digests)
        minimum = None if self.minimum_version is None else str(self.minimum_version)
        return AppRegistration(name, AndroidApp(self.package, frozenset(digests)), minimum)


AppConfig: TypeAlias = Annotated[IosAppConfig | AndroidAppConfig, Field(discriminator="platform")]


class PaceConfig(Config):
    """Say how fast each app enrols: a ramp from the floor to the most; the rest waits in a line."""

    floor: RateConfig = Field(description="where it begins, and what it never goes below")
    most: RateConfig = Field(description="where it ends")
    doubles: Annotated[Duration, within("1m", "30d")] = default(
        "1h", "in how much time of use it doubles, while no vendor fails"
    )

    def build(self) -> PaceRates:
        """Return the rates, a second."""
        floor, most = (
            rate.requests / rate.seconds for rate in (self.floor.build(), self.most.build())
        )
        return PaceRates(floor, most, float(self.doubles))


class EnrolmentsConfig(Config):
    """Say how many new instances there may be; what is beyond is told when to come again."""

    address: RateConfig | None = default(
        None, "from one address prefix, of all apps; left out: 100 in 10m"
    )
    app: RateConfig | None = default(None, "of one app, from all addresses; left out: 6000 in 1m")
    pace: PaceConfig | None = default(
        None, "how fast each app enrols, the rest waits its turn; left out: all at once"
    )

    def build(self) -> EnrolmentRates:
        """Return the rates; what is left out is our own."""
        rates = {"address": self.address, "app": self.app}
        return EnrolmentRates(
            **{name: rate.build() for name, rate in rates.items() if rate is not None}
        )


def _store(text: str) -> PostgresAddress | None:
    """Return where the PostgreSQL is, None for a file."""
    if text == "sqlite":
        return None
    try:
        return read_address(text)
    except ValueError as error:
        raise expected(f"sqlite, or {error}") from None


class MasterKeyConfig(Config):
    """Say where the key is under which values are encrypted; one of the three."""

    file: FilePath | None = default(
        None, "32 bytes in base64url; of values in a file it is made on the first start"
    )
    env: str | None = default(
        None, "name of an environment variable", pattern=r"^[A-Z][A-Z0-9_]{0,63}$"
    )
    transit: Name | None = default(None, "name of a key in OpenBao's transit engine")


def _direct(text: str) -> PostgresAddress | None:
    """Return where the server itself is."""
    try:
        return read_address(text)
    except ValueError as error:
        raise expected(str(error)) from None


class PostgresConfig(Config):
    """Say how the PostgreSQL that ``store`` names is spoken to."""

    password: FilePath | None = default(
        None, "file with the role's password, mode 0600; read at each connection"
    )
    authorities: FilePath | None = default(
        None, "PEM of who may sign the server's certificate; left out: the system's"
    )
    certificate: FilePath | None = default(None, "PEM of the client's certificate")
    key: FilePath | None = default(None, "PEM of its key")
    connections: int = default(8, "most connections at a time", ge=1, le=64)
    master_key: MasterKeyConfig | None = default(
        None, "seals keys, secrets and canaries in rows that all nodes share; left out: files"
    )
    other_master_key: MasterKeyConfig | None = default(
        None, "opens rows, too, while one key replaces another; see `watchword store rekey`"
    )
    node: Name | None = default(
        None, "this node's name, of several on one database; left out: the machine's"
    )
    direct: Annotated[PostgresAddress | None, ReadText(_direct)] = default(
        None, "the server itself, where a pooler stands at the address in store"
    )


class RetentionConfig(Config):
    """Say how long instances are kept that are of no use any more; their apps enrol anew by themselves."""

    unused: Annotated[Duration, within("30d", "3650d")] | None = default(
        None, "since they were issued tokens last; left out: for ever"
    )
    revoked: Annotated[Duration, within("30d", "3650d")] | None = default(
        None, "since they were revoked; left out: for ever"
    )

    def build(self) -> RetentionTerms:
        """Return the terms."""
        return RetentionTerms(*map(_span, (self.unused, self.revoked)))


def _span(length: int | None) -> timedelta | None:
    return None if length is None else timedelta(seconds=length)


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
    listen: ListenAddress = default("127.0.0.1:8440")
    token_lifetime: Duration = default(
        "5m", "how long tokens live, 30s to 1h, where an API doesn't say it"
    )
    store: Annotated[PostgresAddress | None, ReadText(_store)] = default(
        "sqlite", "sqlite: a file in the state directory; or postgresql://user@host/database"
    )
    postgres: PostgresConfig | None = default(None, "password, certificates; beside such a store")
    tickets: bool = default(
        False, "let instances renew for a day by a sealed copy of their row, without reading it"
    )
    state: FilePath = default(STATE, "directory of keys and store, from this file")
    trusted_proxies: list[Annotated[Network, ReadText(_proxy_network)]] = default(
        [], "addresses of the proxies in front, whose X-Forwarded-For is believed", max_length=64
    )
    enrolments: EnrolmentsConfig = default(
        EnrolmentsConfig(), "how many new instances there may be"
    )
    retention: RetentionConfig = default(RetentionConfig(), "how long instances are kept")

    @property
    def state_dir(self) -> Path:
        """Return the absolute directory of keys, store and sockets."""
        return self.state

    @property
    def postgres_address(self) -> PostgresAddress | None:
        """Return where the PostgreSQL is and how it is spoken to, None where the store is a file."""
        return self._spoken_to(self.store)

    @property
    def direct_address(self) -> PostgresAddress | None:
        """Return where the server itself is, without a pooler in between; None where the store is a file."""
        ways = self.postgres
        direct = None if ways is None or self.store is None else ways.direct
        return self._spoken_to(direct or self.store)

    def _spoken_to(self, place: PostgresAddress | None) -> PostgresAddress | None:
        if place is None:
            return None
        ways = self.postgres or PostgresConfig()
        pair = (ways.certificate, ways.key)
        return replace(
            place,
            password=ways.password,
            authorities=ways.authorities,
            certificate=None if pair[0] is None or pair[1] is None else (pair[0], pair[1]),
        )

    @property
    def sealing(self) -> MasterKeyConfig | None:
        """Return the key that seals rows which several nodes share, None where each keeps files of its own."""
        return None if self.store is None or self.postgres is None else self.postgres.master_key

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

    sealed = _Kept("sealed")
    """The directory of the newest sealed rows that this node has seen."""

    canaries = _Kept("canaries.json")
    """What planted canary keys are recognised by."""

    rollback_detector = _Kept("store-mark.json")
    """What is known of the store beside it."""

    revocations = _Kept("revocations.jsonl")
    """The operator's revocations beside the store."""

    configuration = _Kept("configuration")
    """The directory of the configuration files that were applied."""

    configuration_number = _Kept("configuration-number")
    """The highest number of these."""

    pace = _Kept("pace.json")
    """How far the lines of those who enrol are."""

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

    fetch: bool | None = default(None, "left out: yes in prod where the vendors are trusted")
    url: Url = "https://android.googleapis.com/attestation/status"
    max_age: Annotated[Duration, within("10m", "30d")] = default(
        "24h", "how old a list still answers when a newer can't be fetched"
    )


class RecordsConfig(Config):
    """Say what is kept of each verification, to explain and replay it."""

    keep: Annotated[Duration, within("1h", "3650d")] = default("30d", "how long, for example 30d")
    max_megabytes: int = default(256, "most space; the oldest days go first", ge=1, le=1_000_000)

    @property
    def max_bytes(self) -> int:
        """Return the most bytes that are kept."""
        return self.max_megabytes * 10**6


class TrustConfig(Config):
    """Describe whom the verifier believes."""

    anchors: list[Literal["vendors", "lab"]] = Field(
        min_length=1, description="vendors: Apple and Google; lab: simulated, lab only"
    )
    revocation_lists: list[FilePath] = default([], "files with Google's attestation status list")
    revocation: RevocationConfig | None = None
    formats: list[Name] = default([], "evidence formats of your own, by their entry points")

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


class ReplayConfig(Config):
    """Say where used proofs are remembered."""

    mode: Annotated[
        ReplayMode, Words(ReplayMode, ReplayMode.LOCAL, ReplayMode.AFFINE, ReplayMode.SHARED)
    ] = default("local", "a proof passes once: per gate, at its own gate, over all gates")
    store: Literal["host", "valkey"] = default(
        "host", "shared: a file for the gates of this machine, or a Valkey"
    )
    url: _Valkey = None
    password: _Password = None


class AuthzConfig(Config):
    """Say where another server asks the gate about each request (forward auth)."""

    style: Literal["envoy", "original", "forwarded"] = default(
        "original",
        "how the engine names the request: its path behind /authz (Envoy), "
        "X-Original-Method, -URI and -Host (nginx, HAProxy), X-Forwarded-... (Traefik, Caddy)",
    )
    listen: ListenAddress | None = default(
        None, "left out: a Unix socket in the state directory, for this user alone"
    )
    credential: FilePath | None = default(
        None, "file with the secret that the engine sends in Watchword-Authz"
    )
    certificate: FilePath | None = default(None, "PEM, for mutual TLS")
    key: FilePath | None = default(None, "PEM of its private key")
    client_ca: FilePath | None = default(None, "PEM of who signs the engines' certificates")

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
    device_for_session: bool
    token_lifetime: int | None


class ApiConfig(Config):
    """Describe one API behind the gate."""

    audience: str = Field(
        pattern=r"^[!-~]{1,200}$", description="the name that tokens carry as aud"
    )
    apps: list[Name] = Field(min_length=1, description="the apps that may call it")
    upstream: Origin | None = default(None, "where the API answers")
    listen: ListenAddress | None = default(None, "where the proxy stands in front of it")
    authz: AuthzConfig | None = default(None, "where another server asks about each request")
    signed_verdict: bool = default(
        False, "tell the API who is there in a signed header, Watchword-Verdict"
    )
    replay: ReplayConfig = default(ReplayConfig(), "how a proof is kept from passing twice")
    rate: RateConfig | None = default(None, "most requests of one instance")
    limits: list[LimitConfig] = default([], "more of them, by route", max_length=MAX_LIMITS)
    binding_header: _HeaderName | None = default(
        None, "header whose SHA-256 a token must carry as bnd, such as Authorization"
    )
    device_for_session: bool = default(
        False,
        "on routes with proof: session, take a signature by the device's own key from apps that asked for that "
        "when they enrolled or renewed, since they can't open session keys",
    )
    token_lifetime: Duration | None = default(
        None, "how long this API's tokens live, 30s to 1h; left out: as under service"
    )
    case: Literal["insensitive", "sensitive"] = default(
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
            device_for_session=self.device_for_session,
            token_lifetime=self.token_lifetime,
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

    method: Method = "GET"
    path: _Target = Field(description="with its query, as it is sent")
    body: str | None = default(None, max_length=64 * 1024)
    content_type: str = default("application/json", pattern=r"^[ -~]{1,100}$")
    status: list[_Status] = default(
        ["2xx"],
        "what the API answers to the genuine app, by code or class, such as [2xx, 404]; "
        "any other answer makes the run unsure",
        min_length=1,
        max_length=20,
    )
    echo: bool = default(False, "its answer repeats the headers that the API was sent")
    login: bool = default(False, "it signs a user in; {name} and {password} in its body are filled")

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

    target: Origin | None = default(None, "the gate; left out: where the API's proxy listens")
    service: Origin | None = default(None, "left out: the issuer, in a lab where it listens")
    upstream: Origin | None = default(
        None, "the API itself, behind the gate; left out: nobody goes around it"
    )
    consent: FilePath | None = default(
        None, "the consent that the API's proxy serves at its well-known path"
    )
    service_consent: FilePath | None = default(
        None, "the same for the service, an origin of its own"
    )
    headers: dict[_HeaderName, _HeaderValue] = default(
        {}, "what every copy of the app sends, such as its key", max_length=20
    )
    headers_file: FilePath | None = default(
        None, "file with more of them, a line each: name: value"
    )
    requests: list[RequestConfig] = default(
        [], "left out: a GET made from each route", max_length=MAX_REQUESTS
    )

    def build(self) -> DrillSettings:
        """Return what a drill is set up from."""
        requests = tuple(each.build() for each in self.requests)
        return DrillSettings(**dict(self) | {"requests": requests})


class AddConfig(Config):
    """Say where the gate adds the key; whatever the client sends there is overwritten."""

    header: _HeaderName | None = None
    query: _ParameterName | None = None
    prefix: str = default(
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
    per: Annotated[Duration, within("1s", "366d")] = default("1d")


class SpendConfig(Config):
    """Say how much the calls of one instance may cost, in units of your own (cents, credits)."""

    most: int = Field(ge=1, le=1_000_000_000_000)
    per: Annotated[Duration, within("1s", "366d")] = default("30d")
    cost: int = default(1, "units of one call", ge=1, le=1_000_000_000)


@dataclass(frozen=True, slots=True)
class EdgeSettings:
    """Hold a rule of the edge, without what stands in its file of authorities; ``ca`` is that file."""

    rule: EdgeRule
    ca: Path | None = None


class EdgeConfig(Config):
    """Say into which calls a key is injected: it is added to these alone, and never leaves the server."""

    origin: Annotated[Origin, AfterValidator(_https)]
    paths: list[Pattern] = Field(min_length=1, max_length=100)
    methods: list[Method] = default(["GET"], min_length=1, max_length=16)
    add: AddConfig | None = None
    replace: ReplaceConfig | None = None
    headers: list[_HeaderName] = default(
        [], "of the client's, sent on beside the few that always are", max_length=32
    )
    quota: QuotaConfig | None = None
    spend: SpendConfig | None = None
    ca: FilePath | None = default(None, "PEM of the authorities believed for this origin alone")
    private: bool = default(False, "the origin may be at a private address; environment lab alone")
    timeout: Annotated[Duration, within("1s", "5m")] = default("30s")
    max_answer: int = default(
        8 * 1024 * 1024, "most bytes of an answer's body", ge=1, le=1024 * 1024 * 1024
    )
    reflects: Literal["maybe", "never"] = default(
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
    level: AppLevel = default("hardware")
    lease: Annotated[Duration, within("1m", "30d")] = default(
        "1h", "how long an instance may keep it"
    )

    def build(self, name: str) -> DeliveryRule:
        """Return the rule of a key that is handed out."""
        return DeliveryRule(name, frozenset(self.apps), self.level, self.lease)


class SecretConfig(Config):
    """Say which way a key goes: injected at the edge, or delivered; never both."""

    edge: EdgeConfig | None = None
    deliver: DeliverConfig | None = None


class OpenBaoConfig(Config):
    """Say where OpenBao or Vault is, and as whom it is asked."""

    url: Origin
    token: FilePath = Field(description="file with the token, which an agent may renew")
    mount: str = default("secret", pattern=r"^[a-z0-9][a-z0-9/_-]{0,62}$")
    path: str = default("watchword", pattern=r"^[a-z0-9][a-z0-9/_-]{0,126}$")
    transit: str = default("transit", pattern=r"^[a-z0-9][a-z0-9/_-]{0,62}$")
    ca: FilePath | None = default(None, "PEM of who signed its certificate")
    timeout: Annotated[Duration, within("1s", "30s")] = default("2s")


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
    signing: Name | None = default(
        None, "prefix of keys in OpenBao's transit engine that sign tokens and bundles"
    )
    usage: UsageConfig = UsageConfig()
    keys: dict[Name, SecretConfig] = default({}, max_length=MAX_SECRETS)

    def build(self, state: Path, sealing: MasterKeyConfig | None) -> SecretsSettings:
        """Return who may use which key.

        :param state: the service's directory, in which a master key is made that the file doesn't place.
        :param sealing: seals rows that several nodes share: their secrets, too, where the file names no other key.
        """
        given = {"file": str(state / "master.key")}
        master = self.master_key or sealing or MasterKeyConfig.model_validate(given)
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

    def token_lifetime(self, api: ApiSettings) -> int:
        """Return how long the tokens of an API live, in seconds."""
        own = api.token_lifetime
        return self.service.token_lifetime if own is None else own

    @property
    def longest_lifetime(self) -> int:
        """Return how long the tokens live that live longest, in seconds."""
        return max(
            map(self.token_lifetime, self.apis.values()), default=self.service.token_lifetime
        )


class FileConfig(Config):
    """Describe the whole file."""

    version: Literal[1]
    environment: Annotated[Environment, Words(Environment)] = Field(
        description="lab: simulated phones, loopback only; its tokens are refused in prod"
    )
    service: ServiceConfig
    trust: TrustConfig | None = None
    records: RecordsConfig | None = default(None, "left out: no verification is recorded")
    gates: GatesConfig | None = default(None, "left out: gates stand on this machine alone")
    policy: Any = default(None, "what evidence must fulfil for each level; left out: balanced")
    plan: PlanConfig | None = default(None, "what `watchword plan` ranks protections for")
    drill: dict[Name, DrillConfig] = default({}, "by API: how `watchword drill` attacks it")
    pins: PinsConfig | None = default(None, "which hosts the apps pin; see `watchword pins`")
    secrets: SecretsConfig | None = default(
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
            secrets=None
            if secrets is None
            else secrets.build(self.service.state, self.service.sealing),
        )
