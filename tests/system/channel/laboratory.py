"""Set up a channel: authorities, servers, what is pinned of them, and somebody on the way."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from tests.system.channel.interception import Interceptor
from tests.system.channel.servers import HOST, TlsServer

from watchword.client.pinning import PinKeeper, Seen
from watchword.lab.channel_authorities import ChannelAuthorities, TlsIdentity
from watchword.pins.installed import fresh
from watchword.pins.interface import (
    Builtin,
    HostPins,
    Pin,
    PinMode,
    PinRole,
    PinSet,
    RootList,
    pin_of_spki,
)

NOW = 1_800_000_000
YEAR = 365 * 86_400
_PAST = (datetime(2020, 1, 1, tzinfo=UTC), datetime(2021, 1, 1, tzinfo=UTC))

AUTHORITIES = ChannelAuthorities(b"watchword channel tests")


def identities() -> Mapping[str, TlsIdentity]:
    """Return what the servers of the table show."""
    web = AUTHORITIES.web
    return {
        "a1": web.server("A", [HOST], serial="1"),
        "a2": web.server("A", [HOST], serial="2"),
        "b1": web.server("B", [HOST]),
        "c1": web.server("C", [HOST]),
        "other-authority": AUTHORITIES.other_web.server("D", [HOST]),
        "stranger": AUTHORITIES.stranger.server("A", [HOST]),
        "expired": web.server("A", [HOST], _PAST, serial="expired"),
        "wrong-host": web.server("A", ["other.example"], serial="wrong-host"),
    }


def own_pin(key: str, role: PinRole = PinRole.CURRENT) -> Pin:
    """Return the pin of a server's key, by its label."""
    return Pin(pin_of_spki(AUTHORITIES.web.server(key, [HOST]).spki), role)


def authority_pin() -> Pin:
    """Return the pin of the root that the API's certificates come from."""
    return Pin(pin_of_spki(AUTHORITIES.web.spki), PinRole.CA)


ROOTS = RootList(version=1, expires=NOW + YEAR, keys={}, threshold=1, pin_keys={"pin-key": None})  # type: ignore[dict-item]


def pin_set(*pins: Pin, version: int = 1, mode: PinMode = PinMode.ENFORCE) -> PinSet:
    """Return a set of the one host."""
    return PinSet(
        app="clinic",
        version=version,
        issued_at=NOW,
        soft_expiry=NOW + 100,
        hard_expiry=NOW + 1000,
        root_version=1,
        hosts=(HostPins(HOST, mode, pins),) if pins else (),
        key="pin-key",
    )


def builtin(first: PinSet | None, roots: RootList = ROOTS) -> Builtin:
    """Return what ships in the app."""
    return Builtin("clinic", "1.0", roots, first=first)


@dataclass
class Keeping:
    """Hold a keeper whose clock stands as told, and what it found worth a report."""

    first: PinSet | None
    now: float = NOW
    seen: list[Seen] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Make the keeper."""
        installed = fresh(builtin(self.first))
        self.keeper = PinKeeper(installed, clock=lambda: self.now, notify=self.seen.append)

    def publish(self, later: PinSet) -> None:
        """Have another set installed."""
        self.keeper.replace(fresh(builtin(later)))


@dataclass
class Channel:
    """Hold the servers of the table, what phones trust, and the interceptor before ``a1``."""

    directory: Path

    def __post_init__(self) -> None:
        """Start everything."""
        self.trust = self.directory / "trusted.pem"
        web = AUTHORITIES.web.root_pem + AUTHORITIES.other_web.root_pem
        self.trust.write_bytes(web + AUTHORITIES.interceptor.root_pem)
        public = self.directory / "public.pem"
        public.write_bytes(web)
        self.servers = {
            name: TlsServer(identity, self.directory) for name, identity in identities().items()
        }
        upstream = f"https://{HOST}:{self.servers['a1'].port}"
        self.interceptor = Interceptor(AUTHORITIES.interceptor, public, upstream, self.directory)

    def certificate(self, name: str) -> bytes:
        """Return the SHA-256 of a server's certificate."""
        return hashlib.sha256(self.servers[name].identity.chain[0]).digest()

    def close(self) -> None:
        """End everything."""
        self.interceptor.close()
        for server in self.servers.values():
            server.close()


def new_key() -> ec.EllipticCurvePrivateKey:
    """Return a key that nobody has seen."""
    return ec.generate_private_key(ec.SECP256R1())
