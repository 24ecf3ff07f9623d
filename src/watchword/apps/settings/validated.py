"""Hold the configuration after it was found to be whole: domain types, resolved paths."""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from watchword.attestation.interface import AppRegistration
from watchword.gate.interface import Route
from watchword.vocabulary import Environment


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
    """

    issuer: str
    listen: Address
    token_lifetime: int
    state_dir: Path

    @property
    def database(self) -> Path:
        """Return the path of the SQLite store."""
        return self.state_dir / "watchword.db"

    @property
    def keyring(self) -> Path:
        """Return the path of the key ring."""
        return self.state_dir / "keyring.json"

    @property
    def gate_state(self) -> Path:
        """Return the path of what gates need to know."""
        return self.state_dir / "gate.json"

    @property
    def operator_socket(self) -> Path:
        """Return the path of the operator's socket."""
        return self.state_dir / "operator.sock"


@dataclass(frozen=True, slots=True)
class ApiSettings:
    """Hold one API; ``upstream`` and ``listen`` are None where only a middleware guards it."""

    name: str
    audience: str
    apps: tuple[str, ...]
    upstream: str | None
    listen: Address | None
    routes: tuple[Route, ...]


@dataclass(frozen=True, slots=True)
class Settings:
    """Hold the whole file.

    :param trust_vendors: believe Apple and Google.
    :param trust_lab: believe the simulated vendors of the lab; only true in ``lab``.
    """

    path: Path
    environment: Environment
    service: ServiceSettings
    apps: Mapping[str, AppRegistration]
    apis: Mapping[str, ApiSettings]
    trust_vendors: bool
    trust_lab: bool
    revocation_lists: tuple[Path, ...]
