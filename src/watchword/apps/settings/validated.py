"""Hold the configuration after it was found to be whole: domain types, resolved paths."""

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from watchword.adapters.enrolment_limits import EnrolmentRates, Network
from watchword.apps.settings.validated_secrets import SecretsSettings
from watchword.attestation.interface import AppRegistration
from watchword.gate.interface import Limit, Rate, Route
from watchword.pins.interface import AfterExpiry, PinMode
from watchword.policy.interface import Policy
from watchword.policy.registry import BALANCED
from watchword.vocabulary import Environment, ReplayMode


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


@dataclass(frozen=True, slots=True)
class ServiceSettings:
    """Hold the service's part.

    :param token_lifetime: seconds, 30 to 3600.
    :param state_dir: absolute directory of keys, store and sockets.
    :param trusted_proxies: who may say by ``X-Forwarded-For`` where a request comes from.
    """

    issuer: str
    listen: Address
    token_lifetime: int
    state_dir: Path
    trusted_proxies: tuple[Network, ...] = ()
    enrolments: EnrolmentRates = field(default_factory=EnrolmentRates)

    @property
    def database(self) -> Path:
        """Return the path of the SQLite store."""
        return self.state_dir / "watchword.db"

    @property
    def keyring(self) -> Path:
        """Return the path of the key ring."""
        return self.state_dir / "keyring.json"

    @property
    def gates(self) -> Path:
        """Return the directory of what gates need to know."""
        return self.state_dir / "gates"

    def authz_socket(self, api: str) -> Path:
        """Return where another server of this machine asks about requests to an API."""
        return self.state_dir / f"authz-{api}.sock"

    def gate_bundle(self, api: str) -> Path:
        """Return the path of what the gate of one API needs to know."""
        return self.gates / f"{api}.jws"

    @property
    def bundle_key(self) -> Path:
        """Return the path of the public key by which gates know this service's bundles."""
        return self.gates / "signer.jwk"

    @property
    def status_list(self) -> Path:
        """Return the path of the copy of the vendor's status list."""
        return self.state_dir / "status-list.json"

    @property
    def pins(self) -> Path:
        """Return the directory of the pins that were handed out, below which the service never goes."""
        return self.state_dir / "pins"

    @property
    def records(self) -> Path:
        """Return the directory of what is kept of verifications."""
        return self.state_dir / "records"

    @property
    def secrets(self) -> Path:
        """Return the path of the encrypted secrets."""
        return self.state_dir / "secrets.json"

    @property
    def canaries(self) -> Path:
        """Return the path of what planted canary keys are recognised by."""
        return self.state_dir / "canaries.json"

    @property
    def store_mark(self) -> Path:
        """Return the path of what is known of the store beside it."""
        return self.state_dir / "store-mark.json"

    @property
    def revocations(self) -> Path:
        """Return the path of the operator's revocations beside the store."""
        return self.state_dir / "revocations.jsonl"

    @property
    def reserve(self) -> Path:
        """Return the path of the space that is set aside."""
        return self.state_dir / "reserve"

    @property
    def engine_refusals(self) -> Path:
        """Return the path of what engines refused, as their logs told it."""
        return self.state_dir / "engine-refusals.db"

    @property
    def operator_socket(self) -> Path:
        """Return the path of the operator's socket."""
        return self.state_dir / "operator.sock"


@dataclass(frozen=True, slots=True)
class ReplaySettings:
    """Hold where used proofs are remembered; ``url`` is set exactly for a shared Valkey."""

    mode: ReplayMode = ReplayMode.LOCAL
    url: str | None = None
    password: Path | None = None


class TlsFiles(NamedTuple):
    """Hold the files of a listener that asks callers for a certificate, all PEM."""

    certificate: Path
    key: Path
    client_ca: Path


@dataclass(frozen=True, slots=True)
class AuthzSettings:
    """Hold how another server asks the gate.

    :param style: ``envoy``, ``original`` or ``forwarded``.
    :param listen: None for a Unix socket in the state directory.
    :param credential: the file with the shared credential; None where there is none.
    """

    style: str
    listen: Address | None = None
    credential: Path | None = None
    tls: TlsFiles | None = None


@dataclass(frozen=True, slots=True)
class ApiSettings:
    """Hold one API; ``upstream`` and ``listen`` are None where only a middleware guards it."""

    name: str
    audience: str
    apps: tuple[str, ...]
    upstream: str | None
    listen: Address | None
    routes: tuple[Route, ...]
    replay: ReplaySettings = ReplaySettings()
    rate: Rate | None = None
    binding_header: str | None = None
    authz: AuthzSettings | None = None
    signed_verdict: bool = False
    limits: tuple[Limit, ...] = ()
    case_sensitive: bool = False


@dataclass(frozen=True, slots=True)
class ReceiptSettings:
    """Hold how Apple refreshes the receipts of one app; ``key`` is the file of the team's key."""

    team_id: str
    key_id: str
    key: Path
    server: str


@dataclass(frozen=True, slots=True)
class PlaySettings:
    """Hold how the Play Integrity tokens of one package are read: two key files, or an account's."""

    package: str
    decryption_key: Path | None
    verification_key: Path | None
    service_account: Path | None


@dataclass(frozen=True, slots=True)
class RevocationSettings:
    """Hold how Google's status list is kept; ``max_age`` in seconds, ``snapshots`` are files."""

    fetch: bool
    url: str
    max_age: int
    snapshots: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class RecordSettings:
    """Hold how long, in seconds, and how much, in bytes, is kept of verifications."""

    keep: int
    max_bytes: int


@dataclass(frozen=True, slots=True)
class GatesSettings:
    """Hold how gates of other machines fetch their bundles: over mutual TLS.

    :param clients: by the name in a gate's certificate, the APIs that it guards.
    """

    listen: Address
    tls: TlsFiles
    clients: Mapping[str, tuple[str, ...]]


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


@dataclass(frozen=True, slots=True)
class PinnedHostSettings:
    """Hold for which apps a host is pinned, and how firmly."""

    apps: tuple[str, ...]
    mode: PinMode
    include_subdomains: bool
    after_expiry: AfterExpiry


@dataclass(frozen=True, slots=True)
class PinsSettings:
    """Hold how pin sets are made; durations in seconds.

    :param directory: of the workspace, absolute; it may not be there yet.
    :param reports: where apps report mismatches, None for nowhere.
    :param report_first: how long a host is ``report`` before ``enforce`` may be published.
    :param hosts: by name.
    """

    directory: Path
    reports: str | None
    soft_expiry: int
    hard_expiry: int
    report_first: int
    hosts: Mapping[str, PinnedHostSettings]

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
    service: ServiceSettings
    apps: Mapping[str, AppRegistration]
    apis: Mapping[str, ApiSettings]
    trust_vendors: bool
    trust_lab: bool
    revocation: RevocationSettings
    formats: tuple[str, ...] = ()
    receipts: Mapping[str, ReceiptSettings] = field(default_factory=dict)
    play: Mapping[str, PlaySettings] = field(default_factory=dict)
    records: RecordSettings | None = None
    policy: Policy = BALANCED
    gates: GatesSettings | None = None
    drill: Mapping[str, DrillSettings] = field(default_factory=dict)
    pins: PinsSettings | None = None
    secrets: SecretsSettings | None = None
