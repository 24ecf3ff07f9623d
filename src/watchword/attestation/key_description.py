"""Read Android's KeyDescription, versions 1 to 500, with its two authorization lists: what a key is for, and the phone's state.

The certificate extension 1.3.6.1.4.1.11129.2.1.17 (source.android.com, "Key and ID attestation", schema of the attestation
extension).  Devices in the field write unsorted lists, TRUE as 0x01 and tags that are younger than any verifier; all of
that is signed, so it is read and reported, and policy decides.  What policy hangs on is read strictly; everything else is
kept as it is, under the vendor's name or under its number.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property
from typing import Any, Final, NamedTuple, TypeVar

from watchword.attestation.claims import AppClaims, BootClaims, BootState, PatchLevels
from watchword.encoding import der
from watchword.encoding.cache import BoundedCache
from watchword.encoding.der import Tlv
from watchword.reasons import MalformedError, Reason

TAG_PURPOSE: Final = 1
TAG_ALL_APPLICATIONS: Final = 600
TAG_ORIGIN: Final = 702
TAG_ROOT_OF_TRUST: Final = 704
TAG_OS_VERSION: Final = 705
TAG_OS_PATCH_LEVEL: Final = 706
TAG_APPLICATION_ID: Final = 709
TAG_BRAND: Final = 710
TAG_MODEL: Final = 717
TAG_VENDOR_PATCH_LEVEL: Final = 718
TAG_BOOT_PATCH_LEVEL: Final = 719

ORIGIN_GENERATED: Final = 0
"""KeyOrigin GENERATED: the key was made inside and never was outside."""

PURPOSE_SIGN: Final = 2
"""KeyPurpose SIGN: the key may sign what an app hands to it."""

PURPOSE_ATTEST_KEY: Final = 7
"""KeyPurpose ATTEST_KEY: the key vouches for other keys of its app, and may do nothing else."""

UNKNOWN_APPLICATION: Final = b"UnknownApplication"
"""What Android writes in place of the application id when it failed to find out who asked."""

LENIENT_BOOLEAN: Final = "boolean_not_canonical"
"""In reports: TRUE was written as another byte than FF (X.690 section 11.1)."""

LENIENT_ORDER: Final = "authorization_list_unsorted"
"""In reports: the tags of a list weren't in ascending order, as the schema has them."""

UNIQUE: Final[Mapping[int, str]] = {713: "serial", 714: "imei", 715: "meid", 723: "secondImei"}
"""Tags that tell one device from another of its model, and the vendor's names for them."""

UNIQUE_NAMES: Final = frozenset(UNIQUE.values())
UNIQUE_TAGS: Final = frozenset(map(str, UNIQUE))
"""Their numbers, under which they stand where a device wrote them in another type."""

_DEVICE: Final = {
    TAG_BRAND: "brand",
    711: "device",
    712: "product",
    716: "manufacturer",
    TAG_MODEL: "model",
    **UNIQUE,
}

MAX_MODEL: Final = 64
"""Most characters of a brand and model that are believed to be one."""

_NONE: Final[frozenset[int]] = frozenset()


class SecurityLevel(IntEnum):
    """Name the vendor's SecurityLevel."""

    SOFTWARE = 0
    TRUSTED_ENVIRONMENT = 1
    STRONG_BOX = 2


class VerifiedBootState(IntEnum):
    """Name the vendor's VerifiedBootState."""

    VERIFIED = 0
    SELF_SIGNED = 1
    UNVERIFIED = 2
    FAILED = 3


Number = TypeVar("Number", SecurityLevel, VerifiedBootState)


@dataclass(frozen=True, slots=True)
class RootOfTrust:
    """Hold what the boot loader told the secure hardware; the hash exists since version 3.

    :param canonical: ``device_locked`` was written as DER has it.
    """

    verified_boot_key: bytes
    device_locked: bool
    state: VerifiedBootState
    verified_boot_hash: bytes | None
    canonical: bool


@dataclass(frozen=True)
class ApplicationId:
    """Hold AttestationApplicationId: the packages of the app's uid and their signers' digests.

    What follows from it is worked out once, since these are kept; nobody changes it.
    """

    packages: tuple[tuple[str, int], ...]
    digests: tuple[bytes, ...]

    @cached_property
    def claims(self) -> AppClaims:
        """Return the app as Android itself, not the secure hardware, names it."""
        return AppClaims(
            ids=tuple(name for name, _ in self.packages),
            versions={name: str(version) for name, version in self.packages},
            signing_digests=frozenset(self.digests),
        )

    @cached_property
    def described(self) -> Mapping[str, Any]:
        """Return it under the vendor's own names."""
        return {
            "packages": [{"name": name, "version": version} for name, version in self.packages],
            "signatureDigests": [digest.hex() for digest in self.digests],
        }


@dataclass(frozen=True)
class AuthorizationList:
    """Hold one list; ``tags`` has every element within its explicit tag, in order.

    What takes time to follow from it is read once, since lists of the secure hardware are kept.

    :param application_id: None where there is none, and where Android didn't know it.
    :param is_sorted: the tags ascend, as the schema has them.
    """

    tags: Mapping[int, Tlv]
    root_of_trust: RootOfTrust | None
    application_id: ApplicationId | None
    origin: int | None
    purposes: frozenset[int]
    is_sorted: bool

    @property
    def application_unknown(self) -> bool:
        """Tell whether Android says that it didn't find out which app asked for the key."""
        return TAG_APPLICATION_ID in self.tags and self.application_id is None

    @property
    def names_device(self) -> bool:
        """Tell whether a tag is there that tells one device from another of its model."""
        return not UNIQUE.keys().isdisjoint(self.tags)

    @cached_property
    def described(self) -> Mapping[str, Any]:
        """Return everything under the vendor's own names; nobody changes it."""
        return describe_list(self)

    @cached_property
    def boot(self) -> BootClaims | None:
        """Return the root of trust; in the software's list it is only a word."""
        root = self.root_of_trust
        if root is None:
            return None
        return BootClaims(
            root.device_locked,
            BootState[root.state.name],
            root.verified_boot_key,
            root.verified_boot_hash,
        )

    @cached_property
    def model(self) -> str:
        """Return brand and model, empty where they aren't there.

        Only what can be printed on a line; a chain that somebody made up could say anything.
        """
        found = (self.tags.get(tag) for tag in (TAG_BRAND, TAG_MODEL))
        words = (tlv.content.decode("utf-8", "replace") for tlv in found if tlv is not None)
        model = " ".join(words)
        return model if model.isprintable() and len(model) <= MAX_MODEL else ""

    @cached_property
    def patches(self) -> PatchLevels:
        """Return the ages of the system, as they are written."""
        return PatchLevels(
            os_version=self._number(TAG_OS_VERSION),
            system=self._number(TAG_OS_PATCH_LEVEL),
            vendor=self._number(TAG_VENDOR_PATCH_LEVEL),
            boot=self._number(TAG_BOOT_PATCH_LEVEL),
        )

    def _number(self, tag: int) -> int | None:
        """Return an INTEGER that nothing else hangs on, None where it is absent or of another type."""
        tlv = self.tags.get(tag)
        try:
            return None if tlv is None else der.integer(tlv)
        except MalformedError:
            return None

    @property
    def is_canonical(self) -> bool:
        """Tell whether nothing had to be let pass."""
        return self.is_sorted and (self.root_of_trust is None or self.root_of_trust.canonical)

    @property
    def leniencies(self) -> tuple[str, ...]:
        """Return the deviations that were let pass."""
        found = () if self.is_sorted else (LENIENT_ORDER,)
        canonical = self.root_of_trust is None or self.root_of_trust.canonical
        return found if canonical else (*found, LENIENT_BOOLEAN)


def enumerated(number: int, kind: type[Number]) -> Number:
    """Return a number as one of the vendor's enumerations; one that isn't in it is malformed."""
    try:
        return kind(number)
    except ValueError:
        der.refuse(f"got {kind.__name__} {number}, expected 0 to {max(kind)}")


def read_list(raw: bytes) -> AuthorizationList:
    """Return the list in an element.

    :raises MalformedError: with ``encoding.der``.
    """
    first, _, body, end = der.whole(raw)
    if first != der.FIRST_OF_SEQUENCE:
        der.refuse(f"got an element that begins with {first:02x}, expected an authorization list")
    tags = der.tagged_within(raw, body, end)
    root, application = tags.get(TAG_ROOT_OF_TRUST), tags.get(TAG_APPLICATION_ID)
    origin, purposes = tags.get(TAG_ORIGIN), tags.get(TAG_PURPOSE)
    return AuthorizationList(
        tags,
        None if root is None else _root_of_trust(root),
        None if application is None else _application_id(application),
        None if origin is None else der.integer(origin),
        _NONE if purposes is None else frozenset(map(der.integer, der.set_of(purposes))),
        _ascend(tags),
    )


def _ascend(tags: Iterable[int]) -> bool:
    last = -1
    for tag in tags:
        if tag < last:
            return False
        last = tag
    return True


def read_hardware_list(raw: bytes) -> AuthorizationList:
    """Return the secure hardware's list, from what is kept unless it may name the device.

    :raises MalformedError: with ``encoding.der``.
    """
    for head in _UNIQUE_HEADS:
        if head in raw:
            return read_list(raw)
    return _HARDWARE.read(raw)


_HARDWARE: Final = BoundedCache(read_list, entries=1024, size=512)
"""Every phone with the same build of a system writes the same bytes for a key of the same kind."""

_UNIQUE_HEADS: Final = tuple(bytes([0xBF, 0x80 | number >> 7, number & 0x7F]) for number in UNIQUE)
"""How the tags of identifiers begin: identifiers of devices don't stay in memory for others."""


def _root_of_trust(tlv: Tlv) -> RootOfTrust:
    members = der.sequence(tlv)
    if len(members) not in {3, 4}:
        der.refuse(f"got a RootOfTrust of {len(members)} members, expected 3 or 4")
    return RootOfTrust(
        verified_boot_key=der.octets(members[0]),
        device_locked=der.boolean(members[1]),
        state=enumerated(der.integer(members[2]), VerifiedBootState),
        verified_boot_hash=der.octets(members[3]) if len(members) == 4 else None,
        canonical=members[1].content in {b"\x00", b"\xff"},
    )


def _application_id(tlv: Tlv) -> ApplicationId | None:
    """Read AttestationApplicationId, which is DER within an OCTET STRING; None if it is unknown."""
    content = der.octets(tlv)
    if content == UNKNOWN_APPLICATION:
        return None
    return _APPLICATION.read(content)


def _read_application(content: bytes) -> ApplicationId:
    members = der.sequence(der.read(content))
    if len(members) != 2:
        der.refuse(f"got an AttestationApplicationId of {len(members)} members, expected 2")
    packages: dict[str, int] = {}
    for package in der.set_of(members[0]):
        fields = der.sequence(package)
        if len(fields) != 2:
            der.refuse(f"got a package of {len(fields)} members, expected 2")
        try:
            name = der.octets(fields[0]).decode("utf-8")
        except UnicodeDecodeError:
            der.refuse("got a package name that isn't UTF-8")
        if name in packages:
            der.refuse("got a package twice")
        packages[name] = der.integer(fields[1])
    return ApplicationId(
        tuple(packages.items()), tuple(der.octets(item) for item in der.set_of(members[1]))
    )


_APPLICATION: Final = BoundedCache(_read_application, entries=256, size=1024)
"""Every phone with the same build of an app writes the same bytes."""


def describe_list(authorizations: AuthorizationList) -> dict[str, Any]:
    """Return everything in a list under the vendor's own names, anew each time."""
    described: dict[str, Any] = {}
    device: dict[str, str] = {}
    others: dict[str, str] = {}
    for number, tlv in authorizations.tags.items():
        try:
            if number in _READERS:
                name, read = _READERS[number]
                described[name] = read(tlv)
            elif number in _DEVICE:
                device[_DEVICE[number]] = der.octets(tlv).decode("utf-8", "replace")
            elif number not in _STRUCTURES:
                others[str(number)] = tlv.raw.hex()
        except MalformedError:
            # Nothing hangs on this tag, so that a device that errs here isn't refused for it.
            others[str(number)] = tlv.raw.hex()
    if authorizations.root_of_trust is not None:
        described["rootOfTrust"] = _describe_root(authorizations.root_of_trust)
    if authorizations.application_id is not None:
        described["attestationApplicationId"] = authorizations.application_id.described
    elif authorizations.application_unknown:
        described["attestationApplicationId"] = UNKNOWN_APPLICATION.decode()
    if device:
        described["attestationId"] = device
    if others:
        described["otherTags"] = others
    described["_tagsAscending"] = authorizations.is_sorted
    return described


def _integers(tlv: Tlv) -> list[int]:
    return [der.integer(item) for item in der.set_of(tlv)]


def _hex(tlv: Tlv) -> str:
    return der.octets(tlv).hex()


def _present(tlv: Tlv) -> bool:
    """Return that a tag without a value is there; one with a value is shown as it is."""
    if not tlv.is_universal(der.NULL) or tlv.content:
        der.refuse("got a value, expected NULL")
    return True


_STRUCTURES: Final = frozenset({TAG_ROOT_OF_TRUST, TAG_APPLICATION_ID})
_READERS: Final[Mapping[int, tuple[str, Callable[[Tlv], Any]]]] = {
    TAG_PURPOSE: ("purpose", _integers),
    2: ("algorithm", der.integer),
    3: ("keySize", der.integer),
    5: ("digest", _integers),
    6: ("padding", _integers),
    10: ("ecCurve", der.integer),
    11: ("mlDsaVariant", der.integer),
    200: ("rsaPublicExponent", der.integer),
    203: ("mgfDigest", _integers),
    400: ("activeDateTime", der.integer),
    401: ("originationExpireDateTime", der.integer),
    402: ("usageExpireDateTime", der.integer),
    405: ("usageCountLimit", der.integer),
    504: ("userAuthType", der.integer),
    505: ("authTimeout", der.integer),
    # TRUSTED_CONFIRMATION_REQUIRED of KeyMint's Tag.aidl (android.googlesource.com, platform/hardware/interfaces,
    # security/keymint/aidl; read on 2026-11-29 in the mirror LineageOS/android_hardware_interfaces at cb594f6).
    508: ("trustedConfirmationRequired", _present),
    701: ("creationDateTime", der.integer),
    TAG_ORIGIN: ("origin", der.integer),
    TAG_OS_VERSION: ("osVersion", der.integer),
    TAG_OS_PATCH_LEVEL: ("osPatchLevel", der.integer),
    TAG_VENDOR_PATCH_LEVEL: ("vendorPatchLevel", der.integer),
    TAG_BOOT_PATCH_LEVEL: ("bootPatchLevel", der.integer),
    724: ("moduleHash", _hex),
}
"""What is known of tags that hold one plain value: the vendor's name, and how it is read."""


def _describe_root(root: RootOfTrust) -> dict[str, Any]:
    boot_hash = root.verified_boot_hash
    return {
        "verifiedBootKey": root.verified_boot_key.hex(),
        "deviceLocked": root.device_locked,
        "verifiedBootState": root.state.name,
        "verifiedBootHash": None if boot_hash is None else boot_hash.hex(),
    }


KEY_DESCRIPTION: Final = "1.3.6.1.4.1.11129.2.1.17"
"""Object identifier of the extension."""

WITHHELD: Final = "withheld"
"""What stands in reports in place of a device's identifier."""


class KeyDescription(NamedTuple):
    """Hold the whole extension."""

    attestation_version: int
    attestation_security: SecurityLevel
    keymaster_version: int
    keymaster_security: SecurityLevel
    challenge: bytes
    unique_id: bytes
    software: AuthorizationList
    hardware: AuthorizationList

    @property
    def leniencies(self) -> tuple[str, ...]:
        """Return the deviations that were let pass, each once."""
        if self.software.is_canonical and self.hardware.is_canonical:
            return ()
        return tuple(dict.fromkeys(self.software.leniencies + self.hardware.leniencies))

    @property
    def open_to_all(self) -> bool:
        """Tell whether either list says that every app on the device may use the key."""
        return TAG_ALL_APPLICATIONS in self.hardware.tags or (
            TAG_ALL_APPLICATIONS in self.software.tags
        )


def read_key_description(content: bytes) -> KeyDescription:
    """Return the KeyDescription in an extension's content.

    :raises MalformedError: with ``encoding.der``.
    """
    members = der.members(content, der.whole(content))
    if len(members) != 8:
        raise MalformedError.because(
            Reason.ENCODING_DER, f"got a KeyDescription of {len(members)} members, expected 8"
        )
    software, hardware = members[6], members[7]
    return KeyDescription(
        attestation_version=der.integer_at(content, members[0]),
        attestation_security=enumerated(der.integer_at(content, members[1]), SecurityLevel),
        keymaster_version=der.integer_at(content, members[2]),
        keymaster_security=enumerated(der.integer_at(content, members[3]), SecurityLevel),
        challenge=der.octets_at(content, members[4]),
        unique_id=der.octets_at(content, members[5]),
        software=read_list(content[software[1] : software[3]]),
        hardware=read_hardware_list(content[hardware[1] : hardware[3]]),
    )


def describe(description: KeyDescription) -> dict[str, Any]:
    """Return everything under the vendor's own names, bytes as hex; unknown tags as DER in hex.

    It may hold identifiers of the device (``attestationId``, ``uniqueId``): not for a log, see
    :func:`withhold_identifiers`.
    """
    return {
        "attestationVersion": description.attestation_version,
        "attestationSecurityLevel": description.attestation_security.name,
        "keymasterVersion": description.keymaster_version,
        "keymasterSecurityLevel": description.keymaster_security.name,
        "attestationChallenge": description.challenge.hex(),
        "uniqueId": description.unique_id.hex(),
        "softwareEnforced": describe_list(description.software),
        "hardwareEnforced": description.hardware.described,
    }


def describe_publicly(description: KeyDescription) -> dict[str, Any]:
    """Return what :func:`describe` does, without what tells one device from another of its model."""
    described = describe(description)
    software, hardware = description.software, description.hardware
    if description.unique_id or software.names_device or hardware.names_device:
        return withhold_identifiers(described)
    return described


def withhold_identifiers(described: Mapping[str, Any]) -> dict[str, Any]:
    """Return a description without what tells one device from another of its model."""
    public = dict(described)
    if public["uniqueId"]:
        public["uniqueId"] = WITHHELD
    for name in ("softwareEnforced", "hardwareEnforced"):
        entries = dict(public[name])
        if "attestationId" in entries:
            entries["attestationId"] = {
                key: WITHHELD if key in UNIQUE_NAMES else value
                for key, value in entries["attestationId"].items()
            }
        if "otherTags" in entries:
            entries["otherTags"] = {
                tag: WITHHELD if tag in UNIQUE_TAGS else value
                for tag, value in entries["otherTags"].items()
            }
        public[name] = entries
    return public
