"""Define pin sets, root lists, and what an installed app holds and decides.

A pin is the SHA-256 of a SubjectPublicKeyInfo (RFC 7469 section 2.4), never of a certificate: a certificate lives for weeks, its
key may be renewed under it.  A pin set is signed by a key that a root list names; root lists are signed offline and ship in the app.
The rules for both are TUF's (The Update Framework 1.0.34, section 5): versions only grow, everything expires, a root list changes
only by a threshold of the old and of the new keys.
"""

import hashlib
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Protocol

from watchword.encoding import base64url
from watchword.ports import VerificationKey

PIN_BYTES: Final = 32
"""Bytes of a pin."""

MAX_HOSTS: Final = 200
"""Most hosts of a pin set."""

MAX_PINS: Final = 20
"""Most pins of a host: own keys are a few, the roots of an authority and its successors some more."""

MAX_SET_BYTES: Final = 384 * 1024
"""Most bytes of a signed pin set: MAX_HOSTS with MAX_PINS each, and some room."""

MAX_ROOTS_BYTES: Final = 64 * 1024
"""Most bytes of a signed root list."""

MAX_ROOT_KEYS: Final = 16
"""Most root keys, and most pin keys, of a root list."""

MAX_CHAIN: Final = 12
"""Most certificates of a chain that is looked at; chains of the web have two to five."""


class PinMode(StrEnum):
    """Say what a connection to a host ends in when no pin matches: a report, or a refusal and a report."""

    REPORT = "report"
    ENFORCE = "enforce"


class PinRole(StrEnum):
    """Say what a pinned key is for.

    ``current``: the server shows it now.  ``next``: a planned swap brings it.  ``backup``: its private half lies offline, for the
    day on which the current one is lost.  ``ca``: an authority's, root or intermediate: matched anywhere in the verified chain,
    the others only at its leaf.
    """

    CURRENT = "current"
    NEXT = "next"
    BACKUP = "backup"
    CA = "ca"


class AfterExpiry(StrEnum):
    """Say what holds for a host once the set's hard expiry has passed and no newer one came.

    ``open``: the authorities that the app was built with for this host, else the platform's; reported, and secrets are withheld.
    ``closed``: no connection.
    """

    OPEN = "open"
    CLOSED = "closed"


class Basis(StrEnum):
    """Say what a decision rests on."""

    PINS = "pins"
    BUILTIN_AUTHORITIES = "builtin-authorities"
    PLATFORM = "platform"
    UNPINNED = "unpinned"


@dataclass(frozen=True, slots=True)
class Pin:
    """Hold a pinned key.

    :param spki: SHA-256 of its SubjectPublicKeyInfo, 32 bytes.
    """

    spki: bytes
    role: PinRole

    def __str__(self) -> str:
        """Render as OkHttp and HPKP write it."""
        return f"sha256/{self.base64}"

    @property
    def base64(self) -> str:
        """Return it in base64, 44 characters."""
        return b64encode(self.spki).decode("ascii")

    @property
    def text(self) -> str:
        """Return it as it stands in a pin set: base64url, 43 characters."""
        return base64url.encode(self.spki)


@dataclass(frozen=True, slots=True)
class HostPins:
    """Hold what a set says of a host.

    :param host: a name in lower case (A-labels), never an address, without a port.
    :param include_subdomains: whether names below it are meant too, where they have no entry of their own.
    """

    host: str
    mode: PinMode
    pins: tuple[Pin, ...]
    include_subdomains: bool = False
    after_expiry: AfterExpiry = AfterExpiry.OPEN

    def of(self, *roles: PinRole) -> tuple[Pin, ...]:
        """Return the pins of these roles."""
        return tuple(pin for pin in self.pins if pin.role in roles)


@dataclass(frozen=True, slots=True)
class PinSet:
    """Hold a pin set whose signature was verified; :mod:`watchword.pins.sets` makes them of bytes.

    Every member is signed: whoever could change one on the way could switch pinning off.

    :param app: name of the app that it is for.
    :param version: grows with each publication for this app.
    :param issued_at: and the next two: seconds since 1970.
    :param soft_expiry: from here on the app looks for a newer one at every start.
    :param hard_expiry: from here on it is enforced no more: see :class:`AfterExpiry`.
    :param root_version: the lowest root list that it may be read under.
    :param key: that signed it.
    :param reports: where failures are reported, a URL on a host that the set doesn't pin; None for nowhere.
    """

    app: str
    version: int
    issued_at: int
    soft_expiry: int
    hard_expiry: int
    root_version: int
    hosts: tuple[HostPins, ...]
    key: str
    reports: str | None = None

    def entry(self, host: str) -> HostPins | None:
        """Return what it says of a host: its own entry, else that of the nearest name above it which includes it."""
        by_name = {each.host: each for each in self.hosts}
        host = host.lower().rstrip(".")
        if host in by_name:
            return by_name[host]
        while "." in host:
            host = host.partition(".")[2]
            found = by_name.get(host)
            if found is not None and found.include_subdomains:
                return found
        return None


@dataclass(frozen=True, slots=True)
class RootList:
    """Hold a root list whose signatures were verified; :mod:`watchword.pins.roots` makes them of bytes.

    :param version: the next one has exactly one more.
    :param expires: seconds since 1970; an expired list authorises no new set.
    :param keys: offline keys, by id.
    :param threshold: how many of them sign the next list, and signed this one.
    :param pin_keys: the keys that may sign pin sets, by id.
    :param floors: by app, the lowest version of a set that still counts; raised when a pin key was lost.
    """

    version: int
    expires: int
    keys: Mapping[str, VerificationKey]
    threshold: int
    pin_keys: Mapping[str, VerificationKey]
    floors: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Builtin:
    """Hold what ships inside a version of an app, trusted because the package is.

    :param roots: the root list of its day.
    :param floor: the lowest version of a set that it takes.
    :param first: the set that it ships with, None for none: nothing is pinned before the first fetch then.
    :param authorities: by host, SPKI hashes of the authorities that it falls back on.
    """

    app: str
    app_version: str
    roots: RootList
    floor: int = 1
    first: PinSet | None = None
    authorities: Mapping[str, frozenset[bytes]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Installed:
    """Hold what one installation trusts: what shipped with it, and what it accepted since.

    Kept over restarts by the app.  An expired set is kept too: it still says which versions are too old.

    :param set: the newest set that was accepted, None for none.
    :param seen: the highest version that was accepted under the present pin keys.
    """

    builtin: Builtin
    roots: RootList
    set: PinSet | None
    seen: int


@dataclass(frozen=True, slots=True)
class Judgement:
    """Say whether a connection may be used, before the first byte of a request is written.

    :param passes: whether it may.
    :param basis: what that rests on.
    :param report: whether the app reports it: a mismatch, or that pins were expired.
    :param withhold: whether secrets must not be sent or fetched over it.
    :param mismatch: whether no pin matched.
    :param version: of the set that was asked, 0 for none.
    """

    passes: bool
    basis: Basis
    report: bool = False
    withhold: bool = False
    mismatch: bool = False
    version: int = 0


SET_MEDIA_TYPE: Final = "application/watchword-pins+jwt"
"""The media type of a signed set: its JWS type, as RFC 7515 section 4.1.9 spells it out."""

ROOTS_MEDIA_TYPE: Final = "application/jose+json"
"""The media type of a root list: a JWS in JSON (RFC 7515 section 9.2.1)."""


@dataclass(frozen=True, slots=True)
class PublishedSet:
    """Hold a set as it is handed out.

    :param data: as it was signed.
    """

    pin_set: PinSet
    data: bytes

    @property
    def tag(self) -> str:
        """Return what changes with each byte: the same version may be signed again by another key."""
        return hashlib.sha256(self.data).hexdigest()[:32]


class PublishedPins(Protocol):
    """Say what is published; nothing here waits, and nothing gets older."""

    @property
    def apps(self) -> frozenset[str]:
        """Return the apps that anything is published for, or may be."""

    def newest(self, app: str) -> PublishedSet | None:
        """Return an app's newest set, None where there is none that counts."""

    def root_list(self, version: int) -> bytes | None:
        """Return a root list as it was signed, None where there is none of this version."""

    @property
    def roots(self) -> RootList | None:
        """Return the newest root list, None before the first."""

    @property
    def faults(self) -> Mapping[str, str]:
        """Return what keeps newer ones from being handed out: by app, under ``""`` for root lists."""


@dataclass(frozen=True, slots=True)
class NothingPublished:
    """Implement :class:`PublishedPins` for a deployment that pins no host."""

    apps: frozenset[str] = frozenset()
    roots: RootList | None = None
    faults: Mapping[str, str] = field(default_factory=dict)

    def newest(self, app: str) -> PublishedSet | None:  # noqa: ARG002 - the port's.
        """Return None."""
        return None

    def root_list(self, version: int) -> bytes | None:  # noqa: ARG002 - the port's.
        """Return None."""
        return None
