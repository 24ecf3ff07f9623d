"""Read Android's KeyDescription, versions 1 to 500, and keep what isn't known.

The certificate extension 1.3.6.1.4.1.11129.2.1.17 (source.android.com, "Key and ID attestation",
schema of the attestation extension).  Devices in the field write unsorted lists, TRUE as 0x01 and
tags that are younger than any verifier; all of that is signed, so that it is read and told, and
policy decides.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final, NoReturn, TypeVar

from watchword.encoding import der
from watchword.encoding.der import Tlv
from watchword.reasons import MalformedError, Reason

KEY_DESCRIPTION: Final = "1.3.6.1.4.1.11129.2.1.17"
"""Object identifier of the extension."""

TAG_PURPOSE: Final = 1
TAG_ORIGIN: Final = 702
TAG_ROOT_OF_TRUST: Final = 704
TAG_APPLICATION_ID: Final = 709

ORIGIN_GENERATED: Final = 0
"""KeyOrigin GENERATED: the key was made inside and never was outside."""

PURPOSE_SIGN: Final = 2
"""KeyPurpose SIGN: the key may sign what an app hands to it."""

LENIENT_BOOLEAN: Final = "boolean_not_canonical"
"""In reports: TRUE was written as another byte than FF (X.690 section 11.1)."""

LENIENT_ORDER: Final = "authorization_list_unsorted"
"""In reports: the tags of a list weren't in ascending order, as the schema has them."""

WITHHELD: Final = "withheld"
"""What stands in reports in place of a device's identifier."""

_UNIQUE: Final = frozenset({"serial", "imei", "meid", "secondImei"})
_UNIQUE_TAGS: Final = frozenset({"713", "714", "715", "723"})
"""Their numbers, under which they stand where a device wrote them in another type."""

_INTEGERS: Final = {
    2: "algorithm",
    3: "keySize",
    10: "ecCurve",
    11: "mlDsaVariant",
    200: "rsaPublicExponent",
    400: "activeDateTime",
    401: "originationExpireDateTime",
    402: "usageExpireDateTime",
    405: "usageCountLimit",
    504: "userAuthType",
    505: "authTimeout",
    701: "creationDateTime",
    TAG_ORIGIN: "origin",
    705: "osVersion",
    706: "osPatchLevel",
    718: "vendorPatchLevel",
    719: "bootPatchLevel",
}
_INTEGER_SETS: Final = {TAG_PURPOSE: "purpose", 5: "digest", 6: "padding", 203: "mgfDigest"}
_OCTETS: Final = {724: "moduleHash"}
_DEVICE: Final = {
    710: "brand",
    711: "device",
    712: "product",
    713: "serial",
    714: "imei",
    715: "meid",
    716: "manufacturer",
    717: "model",
    723: "secondImei",
}


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


@dataclass(frozen=True, slots=True)
class ApplicationId:
    """Hold AttestationApplicationId: the packages of the app's uid and their signers' digests."""

    packages: tuple[tuple[str, int], ...]
    digests: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class AuthorizationList:
    """Hold one list; ``tags`` has every element within its explicit tag, in order."""

    tags: Mapping[int, Tlv]
    root_of_trust: RootOfTrust | None
    application_id: ApplicationId | None
    origin: int | None
    purposes: frozenset[int]

    @property
    def is_sorted(self) -> bool:
        """Tell whether the tags ascend."""
        return list(self.tags) == sorted(self.tags)

    @property
    def leniencies(self) -> tuple[str, ...]:
        """Return the deviations that were let pass."""
        canonical = self.root_of_trust is None or self.root_of_trust.canonical
        return (() if self.is_sorted else (LENIENT_ORDER,)) + (
            () if canonical else (LENIENT_BOOLEAN,)
        )


@dataclass(frozen=True, slots=True)
class KeyDescription:
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
        return tuple(dict.fromkeys(self.software.leniencies + self.hardware.leniencies))


def read_key_description(content: bytes) -> KeyDescription:
    """Return the KeyDescription in an extension's content.

    :raises MalformedError: with ``encoding.der``.
    """
    members = der.sequence(der.read(content))
    if len(members) != 8:
        _refuse(f"got a KeyDescription of {len(members)} members, expected 8")
    return KeyDescription(
        attestation_version=der.integer(members[0]),
        attestation_security=_enumerated(members[1], SecurityLevel),
        keymaster_version=der.integer(members[2]),
        keymaster_security=_enumerated(members[3], SecurityLevel),
        challenge=der.octets(members[4]),
        unique_id=der.octets(members[5]),
        software=_authorization_list(members[6]),
        hardware=_authorization_list(members[7]),
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
        "softwareEnforced": _describe_list(description.software),
        "hardwareEnforced": _describe_list(description.hardware),
    }


def withhold_identifiers(described: Mapping[str, Any]) -> dict[str, Any]:
    """Return a description without what tells one device from another of its model."""
    public = dict(described)
    if public["uniqueId"]:
        public["uniqueId"] = WITHHELD
    for name in ("softwareEnforced", "hardwareEnforced"):
        entries = dict(public[name])
        if "attestationId" in entries:
            entries["attestationId"] = {
                key: WITHHELD if key in _UNIQUE else value
                for key, value in entries["attestationId"].items()
            }
        if "otherTags" in entries:
            entries["otherTags"] = {
                tag: WITHHELD if tag in _UNIQUE_TAGS else value
                for tag, value in entries["otherTags"].items()
            }
        public[name] = entries
    return public


def _enumerated(tlv: Tlv, kind: type[Number]) -> Number:
    number = der.integer(tlv)
    try:
        return kind(number)
    except ValueError:
        _refuse(f"got {kind.__name__} {number}, expected 0 to {max(kind)}")


def _authorization_list(tlv: Tlv) -> AuthorizationList:
    tags: dict[int, Tlv] = {}
    for tagged in der.sequence(tlv):
        if tagged.tag_class != der.CONTEXT:
            _refuse(f"got class {tagged.tag_class} in an authorization list")
        if tagged.number in tags:
            _refuse(f"got tag {tagged.number} twice in an authorization list")
        tags[tagged.number] = der.explicit(tagged)
    root = tags.get(TAG_ROOT_OF_TRUST)
    application = tags.get(TAG_APPLICATION_ID)
    return AuthorizationList(
        tags=tags,
        root_of_trust=None if root is None else _root_of_trust(root),
        application_id=None if application is None else _application_id(application),
        origin=der.integer(tags[TAG_ORIGIN]) if TAG_ORIGIN in tags else None,
        purposes=frozenset(map(der.integer, der.set_of(tags[TAG_PURPOSE])))
        if TAG_PURPOSE in tags
        else frozenset(),
    )


def _root_of_trust(tlv: Tlv) -> RootOfTrust:
    members = der.sequence(tlv)
    if len(members) not in {3, 4}:
        _refuse(f"got a RootOfTrust of {len(members)} members, expected 3 or 4")
    return RootOfTrust(
        verified_boot_key=der.octets(members[0]),
        device_locked=der.boolean(members[1]),
        state=_enumerated(members[2], VerifiedBootState),
        verified_boot_hash=der.octets(members[3]) if len(members) == 4 else None,
        canonical=members[1].content in {b"\x00", b"\xff"},
    )


def _application_id(tlv: Tlv) -> ApplicationId:
    """Read AttestationApplicationId, which is DER within an OCTET STRING."""
    members = der.sequence(der.read(der.octets(tlv)))
    if len(members) != 2:
        _refuse(f"got an AttestationApplicationId of {len(members)} members, expected 2")
    packages: dict[str, int] = {}
    for package in der.set_of(members[0]):
        fields = der.sequence(package)
        if len(fields) != 2:
            _refuse(f"got a package of {len(fields)} members, expected 2")
        try:
            name = der.octets(fields[0]).decode("utf-8")
        except UnicodeDecodeError:
            _refuse("got a package name that isn't UTF-8")
        if name in packages:
            _refuse("got a package twice")
        packages[name] = der.integer(fields[1])
    return ApplicationId(
        tuple(packages.items()), tuple(der.octets(item) for item in der.set_of(members[1]))
    )


def _describe_list(authorizations: AuthorizationList) -> dict[str, Any]:
    described: dict[str, Any] = {}
    device: dict[str, str] = {}
    others: dict[str, str] = {}
    for number, tlv in authorizations.tags.items():
        if number in {TAG_ROOT_OF_TRUST, TAG_APPLICATION_ID}:
            continue
        try:
            if number in _INTEGERS:
                described[_INTEGERS[number]] = der.integer(tlv)
            elif number in _INTEGER_SETS:
                described[_INTEGER_SETS[number]] = [der.integer(item) for item in der.set_of(tlv)]
            elif number in _OCTETS:
                described[_OCTETS[number]] = der.octets(tlv).hex()
            elif number in _DEVICE:
                device[_DEVICE[number]] = der.octets(tlv).decode("utf-8", "replace")
            else:
                others[str(number)] = tlv.raw.hex()
        except MalformedError:
            # Nothing hangs on this tag, so that a device that errs here isn't refused for it.
            others[str(number)] = tlv.raw.hex()
    if authorizations.root_of_trust is not None:
        described["rootOfTrust"] = _describe_root(authorizations.root_of_trust)
    if authorizations.application_id is not None:
        described["attestationApplicationId"] = _describe_application(authorizations.application_id)
    if device:
        described["attestationId"] = device
    if others:
        described["otherTags"] = others
    described["_tagsAscending"] = authorizations.is_sorted
    return described


def _describe_root(root: RootOfTrust) -> dict[str, Any]:
    boot_hash = root.verified_boot_hash
    return {
        "verifiedBootKey": root.verified_boot_key.hex(),
        "deviceLocked": root.device_locked,
        "verifiedBootState": root.state.name,
        "verifiedBootHash": None if boot_hash is None else boot_hash.hex(),
    }


def _describe_application(application: ApplicationId) -> dict[str, Any]:
    return {
        "packages": [{"name": name, "version": version} for name, version in application.packages],
        "signatureDigests": [digest.hex() for digest in application.digests],
    }


def _refuse(detail: str) -> NoReturn:
    raise MalformedError.because(Reason.ENCODING_DER, detail)
