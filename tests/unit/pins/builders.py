"""Build keys, root lists, pin sets and certificates for the tests of pins."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from watchword.pins.installed import DAY
from watchword.pins.interface import (
    AfterExpiry,
    Builtin,
    HostPins,
    Pin,
    PinMode,
    PinRole,
    PinSet,
    RootList,
)
from watchword.pins.roots import read_roots, sign_roots, unsigned
from watchword.tokens.jose import SigningKey

NOW = 1_795_000_000
HOST = "api.example.com"
APP = "clinic-android"


@cache
def key(name: str) -> SigningKey:
    """Return the signing key of this name, always the same one."""
    return SigningKey.from_wide_secret(hashlib.sha512(name.encode()).digest())


def spki(name: str) -> bytes:
    """Return a pin of this name: no key has it."""
    return hashlib.sha256(name.encode()).digest()


def pins(
    current: str = "A", backup: str | None = "B", following: str | None = None, ca: str = ""
) -> tuple[Pin, ...]:
    """Return the pins of a host; an empty name is none."""
    named = ((current, PinRole.CURRENT), (following, PinRole.NEXT), (backup, PinRole.BACKUP))
    found = [Pin(spki(name), role) for name, role in named if name]
    return (*found, *([Pin(spki(ca), PinRole.CA)] if ca else []))


def entry(
    host: str = HOST,
    mode: PinMode = PinMode.ENFORCE,
    held: tuple[Pin, ...] | None = None,
    *,
    include_subdomains: bool = False,
    after_expiry: AfterExpiry = AfterExpiry.OPEN,
) -> HostPins:
    """Return what a set says of a host: A current, B its backup, unless told otherwise."""
    held = pins() if held is None else held
    return HostPins(host, mode, held, include_subdomains, after_expiry)


def pin_set(version: int = 1, *hosts: HostPins, **changes: object) -> PinSet:
    """Return a set that lives for 90 days, of one host unless told otherwise."""
    found = PinSet(
        app=APP,
        version=version,
        issued_at=NOW,
        soft_expiry=NOW + 14 * DAY,
        hard_expiry=NOW + 90 * DAY,
        root_version=1,
        hosts=hosts or (entry(),),
        key=key("pin1").kid,
    )
    return replace(found, **changes)  # type: ignore[arg-type]


def roots_data(
    version: int = 1,
    *,
    by: Sequence[str] = ("root1", "root2"),
    keys: Sequence[str] = ("root1", "root2", "root3"),
    threshold: int = 2,
    pin_keys: Sequence[str] = ("pin1", "pin2"),
    floors: Mapping[str, int] | None = None,
    expires: int = NOW + 1000 * DAY,
) -> bytes:
    """Return a root list that these keys signed."""
    data = unsigned(
        version=version,
        expires=expires,
        keys=[key(name).public for name in keys],
        threshold=threshold,
        pin_keys=[key(name).public for name in pin_keys],
        floors=floors,
    )
    return sign_roots(data, [key(name) for name in by])


@cache
def roots() -> RootList:
    """Return the first root list: two of three root keys, two pin keys."""
    return read_roots(roots_data(), None)


def builtin(first: PinSet | None = None, floor: int = 1, **changes: object) -> Builtin:
    """Return what ships inside version 1.0 of the app."""
    return replace(Builtin(APP, "1.0", roots(), floor, first), **changes)  # type: ignore[arg-type]


def certificate(name: str = HOST, of: str = "A", days: int = 30) -> x509.Certificate:
    """Return a certificate of a key that signs itself."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    start = datetime.fromtimestamp(NOW, UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key(of).public)
        .serial_number(1)
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=days))
        .sign(key(of).private, SHA256())
    )


def pem(*certificates: x509.Certificate) -> bytes:
    """Return certificates as a PEM file."""
    return b"".join(each.public_bytes(Encoding.PEM) for each in certificates)
