"""Define pin sets, root lists, and what an installed app holds and decides.

A pin is the SHA-256 of a SubjectPublicKeyInfo, byte for byte (RFC 7469 section 2.4), never of a certificate: a certificate lives for weeks, its
key may be renewed under it.  A pin set is signed by a key that a root list names; root lists are signed offline and ship in the app.
The rules for both are TUF's (The Update Framework 1.0.34, section 5): versions only grow, everything expires, a root list changes
only by a threshold of the old and of the new keys.

The key is cut out of its certificate and never encoded anew: a second encoder that differs in one optional byte would give
another pin than every other tool, and keys that the library can't load have a pin all the same.
"""

import binascii
import hashlib
import re
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, NoReturn

from cryptography import x509

from watchword.encoding import base64url, der
from watchword.ports import VerificationKey
from watchword.reasons import MalformedError, Reason

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


class PublishedPins:
    """Say what is published; nothing here waits, and nothing gets older.

    This one is of a deployment that pins no host; :class:`watchword.adapters.published_pins.PinPublication` is of one that does.
    """

    @property
    def apps(self) -> frozenset[str]:
        """Return the apps that anything is published for, or may be."""
        return frozenset()

    def newest(self, app: str) -> PublishedSet | None:  # noqa: ARG002 - nothing is published here.
        """Return an app's newest set, None where there is none that counts."""
        return None

    def root_list(self, version: int) -> bytes | None:  # noqa: ARG002 - the same.
        """Return a root list as it was signed, None where there is none of this version."""
        return None

    @property
    def roots(self) -> RootList | None:
        """Return the newest root list, None before the first."""
        return None

    @property
    def faults(self) -> Mapping[str, str]:
        """Return what keeps newer ones from being handed out: by app, under ``""`` for root lists."""
        return {}


MAX_FILE_BYTES: Final = 256 * 1024
"""Most bytes of a file of certificates or keys that is looked at."""

MAX_PIN_CHARACTERS: Final = 95
"""Most characters of a pin as somebody writes it: hexadecimal with colons is the longest form."""

_HEX: Final = re.compile(r"[0-9A-Fa-f]{64}|(?:[0-9A-Fa-f]{2}:){31}[0-9A-Fa-f]{2}")
_PREFIX: Final = "sha256/"
_BASE64_CHARACTERS: Final = 44
_BLOCK: Final = re.compile(rb"-----BEGIN ([A-Z0-9 ]{1,40})-----([^-]*)-----END \1-----")
_VERSION_TAG: Final = 0xA0
_BIT_STRING: Final = 0x03
_BEFORE_KEY: Final = 5
"""Members of a TBSCertificate before the key, the version not counted (RFC 5280 section 4.1)."""

_CERTIFICATE_LABELS: Final = (b"CERTIFICATE", b"X509 CERTIFICATE", b"TRUSTED CERTIFICATE")


class PinError(MalformedError):
    """Report a pin, a certificate or a key that can't be read."""


def read_pin(text: str) -> bytes:
    """Return the 32 bytes of a pin, however it was written down.

    Taken are ``sha256/…`` (OkHttp, HPKP), ``sha256//…`` (curl), base64 (Android, iOS, TrustKit), base64url,
    and 64 hexadecimal digits, also with colons between them.

    :raises PinError: with ``pins.pin_malformed``.
    """
    text = text.strip()
    if len(text) > MAX_PIN_CHARACTERS:
        _refuse(f"got a pin of {len(text)} characters, expected 44 of base64 or 64 of hexadecimal")
    if _HEX.fullmatch(text):
        return bytes.fromhex(text.replace(":", ""))
    if text.lower().startswith(_PREFIX):
        text = text[len(_PREFIX) :]
        # One pin in 64 begins with a slash of its own: only the length tells it from curl's second one.
        if text.startswith("/") and len(text.rstrip("=")) == _BASE64_CHARACTERS:
            text = text[1:]
    if re.match(r"sha(1|384|512)/", text, re.IGNORECASE):
        _refuse(f"got a pin that begins with {text.partition('/')[0]}, expected SHA-256")
    standard = text.rstrip("=").replace("+", "-").replace("/", "_")
    padded = len(text) - len(standard.rstrip("="))
    if padded not in (0, 1) or len(standard) != _BASE64_CHARACTERS - 1:
        _refuse(f"got {len(text)} characters, expected 44 of base64 ({PIN_BYTES} bytes)")
    try:
        return base64url.decode(standard)
    except MalformedError:
        _refuse(f"got text that isn't base64 of {PIN_BYTES} bytes")


def pin_of_spki(data: bytes) -> bytes:
    """Return the pin of a SubjectPublicKeyInfo in DER; raises PinError with ``pins.pin_malformed`` for anything else than one."""
    try:
        span = der.whole(data)
        kinds = [first for first, *_ in der.members(data, span)]
    except MalformedError as error:
        _refuse(f"got bytes that aren't a SubjectPublicKeyInfo: {error.detail}")
    if kinds != [der.FIRST_OF_SEQUENCE, _BIT_STRING]:
        _refuse("got DER that isn't a SubjectPublicKeyInfo: expected an algorithm and a key")
    return hashlib.sha256(data).digest()


def pin_of_certificate(data: bytes) -> bytes:
    """Return the pin of the key in a certificate in DER; nothing else of it is checked.

    :raises PinError: with ``pins.pin_malformed`` for anything else than a certificate.
    """
    before = {_VERSION_TAG: _BEFORE_KEY + 1}
    return _pin_within(data, lambda first: before.get(first, _BEFORE_KEY), "a certificate")


def _pin_within(data: bytes, place: Callable[[int], int], what: str) -> bytes:
    """Return the pin of the key in a signed structure in DER.

    :param place: of the key in what is signed, by the first byte of that.
    """
    try:
        body = der.members(data, der.members(data, der.whole(data))[0])
        _, start, _, end = body[place(body[0][0])]
    except (MalformedError, IndexError):
        _refuse(f"got bytes that aren't {what} in DER")
    return pin_of_spki(data[start:end])


def certificates_of(data: bytes, most: int = MAX_CHAIN) -> tuple[x509.Certificate, ...]:
    """Return the certificates of a PEM file, in its order, or the one of a DER file.

    :param most: certificates that are taken; a file with more is refused before any is read.
    :raises PinError: with ``pins.pin_malformed``; also for a file without a certificate.
    """
    try:
        return tuple(map(x509.load_der_x509_certificate, _certificates_der(data, most)))
    except (ValueError, x509.InvalidVersion):
        _refuse("got a certificate that can't be read")


def pins_of_chain(data: bytes, most: int = MAX_CHAIN) -> tuple[bytes, ...]:
    """Return the pins of the certificates of a PEM or DER file, in its order; raises PinError as :func:`certificates_of` does."""
    return tuple(pin_of_certificate(each) for each in _certificates_der(data, most))


def pin_of_file(data: bytes) -> bytes:
    """Return the pin of what a PEM or DER file holds: a public key, a signing request, or the first certificate.

    :raises PinError: with ``pins.pin_malformed``; a private key is refused too: whoever hands one to a tool
        that publishes has picked up the wrong file, and should learn it from this tool rather than from a leak.
    """
    blocks = _blocks(data)
    if any(b"PRIVATE KEY" in label for label, _ in blocks):
        _refuse("got a private key, expected its public half, a certificate or a signing request")
    for label, content in blocks:
        if label == b"PUBLIC KEY":
            return pin_of_spki(content)
        if label in (b"CERTIFICATE REQUEST", b"NEW CERTIFICATE REQUEST"):
            return _pin_of_request(content)
        if label in _CERTIFICATE_LABELS:
            return pin_of_certificate(content)
    if blocks:
        _refuse(f"got PEM of {blocks[0][0].decode('ascii')}, expected a key or a certificate")
    # No two of the three have the same members.
    for read in (pin_of_certificate, _pin_of_request):
        with suppress(PinError):
            return read(data)
    return pin_of_spki(data)


def _certificates_der(data: bytes, most: int) -> Sequence[bytes]:
    blocks = _blocks(data)
    if not blocks:
        return (data,)
    found = [content for label, content in blocks if label in _CERTIFICATE_LABELS]
    if not found:
        _refuse(f"got PEM of {blocks[0][0].decode('ascii')}, expected certificates")
    if len(found) > most:
        _refuse(f"got {len(found)} certificates, expected at most {most}")
    return found


def _blocks(data: bytes) -> Sequence[tuple[bytes, bytes]]:
    """Return label and content of each block of a PEM file; none where it isn't PEM."""
    if len(data) > MAX_FILE_BYTES:
        _refuse(f"got {len(data)} bytes, expected at most {MAX_FILE_BYTES}")
    if b"-----BEGIN " not in data:
        return ()
    found = _BLOCK.findall(data)
    if len(found) != data.count(b"-----BEGIN "):
        _refuse("got a PEM block without its end")
    try:
        return [(label, b64decode(b"".join(text.split()), validate=True)) for label, text in found]
    except binascii.Error:
        _refuse("got a PEM block that isn't base64")


def _pin_of_request(data: bytes) -> bytes:
    """Return the pin of a signing request in DER (RFC 2986 section 4)."""
    return _pin_within(data, lambda _: 2, "a signing request")


def _refuse(detail: str) -> NoReturn:
    raise PinError.because(Reason.PINS_PIN_MALFORMED, detail)


MAX_NAME: Final = 253
"""Most characters of a name (RFC 1035 section 2.3.4)."""

MAX_URL: Final = 512
"""Most characters of the URL that failures are reported to."""

_LABEL: Final = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_NAME: Final = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_ADDRESS: Final = re.compile(r"(?:.*\.)?(?:[0-9]+|0x[0-9a-f]*)")
"""A name that ends in a number is an address to every URL parser (WHATWG URL section 3.5)."""

_URL: Final = re.compile(
    r"https://(?P<host>[a-z0-9.-]+)(?::(?P<port>[0-9]{1,5}))?(?P<rest>/[!$&(-;=?-Z_a-z~%]*)?"
)


def read_host(text: str) -> str:
    """Return a host name that is in the one form that pin sets have: lower case, A-labels.

    No address, port, wildcard or final dot: each is a second way to name something, or
    something that no certificate's name is compared with in the same way everywhere.

    :raises PinError: with ``pins.host_malformed``.
    """
    if len(text) > MAX_NAME:
        _refuse_host(f"got a host of {len(text)} characters, expected at most {MAX_NAME}")
    if not _NAME.fullmatch(text):
        _refuse_host(
            f"got the host {text!r}, expected a name in lower case, other scripts as xn--…"
        )
    if _ADDRESS.fullmatch(text):
        _refuse_host(f"got the address {text}, expected a name: addresses aren't pinned")
    return text


def host_of_url(url: str) -> str:
    """Return the host of a URL that failures may be reported to: https, no user, no fragment.

    :raises PinError: with ``pins.host_malformed``.
    """
    found = _URL.fullmatch(url) if len(url) <= MAX_URL else None
    if found is None or not 0 < int(found["port"] or 443) < 1 << 16:
        _refuse_host(
            f"got a URL of {len(url)} characters, expected https://HOST/… of at most {MAX_URL}"
        )
    return read_host(found["host"])


def _refuse_host(detail: str) -> NoReturn:
    raise PinError.because(Reason.PINS_HOST_MALFORMED, detail)
