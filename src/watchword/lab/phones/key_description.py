"""Write Android's KeyDescription, versions 1 to 500, as devices do.

Source: source.android.com "Key and ID attestation", the schemas of the attestation versions.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import Enum, IntEnum
from typing import Final

from watchword.lab import der
from watchword.lab.keys import derive_bytes
from watchword.lab.phones.interface import InstalledAndroidApp

# The tags of an AuthorizationList.
_PURPOSE: Final = 1
_ALGORITHM: Final = 2
_KEY_SIZE: Final = 3
_DIGEST: Final = 5
_EC_CURVE: Final = 10
_NO_AUTH_REQUIRED: Final = 503
_CREATION_DATE_TIME: Final = 701
_ORIGIN: Final = 702
_ROOT_OF_TRUST: Final = 704
_OS_VERSION: Final = 705
_OS_PATCH_LEVEL: Final = 706
_ATTESTATION_APPLICATION_ID: Final = 709
_VENDOR_PATCH_LEVEL: Final = 718
_BOOT_PATCH_LEVEL: Final = 719
_MODULE_HASH: Final = 724

_ALGORITHM_EC: Final = 3
_SHA_256: Final = 4
_P_256: Final = 1

_RELEASES: Final = {
    1: (2, 70000),
    2: (3, 80000),
    3: (4, 90000),
    4: (41, 110000),
    100: (100, 120000),
    200: (200, 130000),
    300: (300, 160000),
    400: (400, 160000),
    500: (500, 170000),
}
"""By attestationVersion: keymasterVersion (keyMintVersion), and an Android version that has it."""

_HASHES_SYSTEM_FROM: Final = 3
"""First version with verifiedBootHash and the patch levels of vendor and boot."""

_HASHES_MODULES_FROM: Final = 400
"""First version with moduleHash."""

_SLOPPY_TRUE: Final = 0x01


class SecurityLevel(IntEnum):
    """Number where a key lives (SecurityLevel of the schema)."""

    SOFTWARE = 0
    TRUSTED_ENVIRONMENT = 1
    STRONG_BOX = 2


class BootState(IntEnum):
    """Number who vouches for the system (VerifiedBootState of the schema)."""

    VERIFIED = 0
    SELF_SIGNED = 1
    UNVERIFIED = 2
    FAILED = 3


class Purpose(IntEnum):
    """Number what a key may do (KeyPurpose)."""

    DECRYPT = 1
    SIGN = 2
    ATTEST_KEY = 7


class Origin(IntEnum):
    """Number where a key comes from (KeyOrigin)."""

    GENERATED = 0
    IMPORTED = 2


class Quirk(Enum):
    """Name a deviation of real devices.

    ``sloppy``: TRUE as 0x01, and tags that don't ascend (Xiaomi); ``unknown_app``: Keystore doesn't
    get to know which app asks, and says so (AOSP, ``keystore_attestation_id.cpp``).
    """

    SLOPPY = "sloppy"
    UNKNOWN_APP = "unknown_app"


@dataclass(frozen=True, slots=True)
class Boot:
    """Hold a RootOfTrust.

    :param key: verifiedBootKey; :param hash: verifiedBootHash; 32 bytes each.
    """

    locked: bool
    state: BootState
    key: bytes
    hash: bytes


@dataclass(frozen=True, slots=True)
class Statement:
    """Hold what a phone states of a key and of itself.

    :param attester: where the attesting key lives; ``keeper``: where the attested key lives.
    :param boot: None where nobody knows how the system was started.
    :param patched: the month of the system's patch level.
    :param purposes: what the key may do.
    """

    attester: SecurityLevel
    keeper: SecurityLevel
    version: int
    boot: Boot | None
    patched: datetime
    purposes: tuple[Purpose, ...] = (Purpose.SIGN,)
    origin: Origin = Origin.GENERATED
    quirks: frozenset[Quirk] = frozenset()


def key_description(
    statement: Statement, *, challenge: bytes, app: InstalledAndroidApp, now: datetime
) -> bytes:
    """Return the extension's DER.

    Hardware states the key's properties and the root of trust in the hardware list. Without
    hardware all that is stated stands in the software list, without a root of trust.
    """
    named_by_system = {
        _CREATION_DATE_TIME: der.integer(int(now.timestamp() * 1000)),
        _ATTESTATION_APPLICATION_ID: der.octet_string(_application_id(app, statement.quirks)),
    }
    if statement.version >= _HASHES_MODULES_FROM:
        modules = derive_bytes(b"the modules of a system", "lab", 32)
        named_by_system[_MODULE_HASH] = der.octet_string(modules)
    properties = _key_properties(statement)
    if statement.keeper is SecurityLevel.SOFTWARE:
        software, hardware = properties | named_by_system, {}
    else:
        software, hardware = named_by_system, properties
        if statement.boot is not None:
            hardware = hardware | {_ROOT_OF_TRUST: _root_of_trust(statement, statement.boot)}
    return der.sequence(
        der.integer(statement.version),
        der.enumerated(statement.attester),
        der.integer(_RELEASES[statement.version][0]),
        der.enumerated(statement.keeper),
        der.octet_string(challenge),
        der.octet_string(b""),
        _authorization_list(software, statement.quirks),
        _authorization_list(hardware, statement.quirks),
    )


def _key_properties(statement: Statement) -> dict[int, bytes]:
    """Return what is said of a P-256 key and of the system around it."""
    at = statement.patched
    properties = {
        _PURPOSE: der.set_of(der.integer(purpose) for purpose in statement.purposes),
        _ALGORITHM: der.integer(_ALGORITHM_EC),
        _KEY_SIZE: der.integer(256),
        _DIGEST: der.set_of([der.integer(_SHA_256)]),
        _EC_CURVE: der.integer(_P_256),
        _NO_AUTH_REQUIRED: der.NULL,
        _ORIGIN: der.integer(statement.origin),
        _OS_VERSION: der.integer(_RELEASES[statement.version][1]),
        _OS_PATCH_LEVEL: der.integer(at.year * 100 + at.month),
    }
    if statement.version >= _HASHES_SYSTEM_FROM:
        day = der.integer(at.year * 10_000 + at.month * 100 + 1)
        properties |= {_VENDOR_PATCH_LEVEL: day, _BOOT_PATCH_LEVEL: day}
    return properties


def _root_of_trust(statement: Statement, boot: Boot) -> bytes:
    """Encode RootOfTrust."""
    true = _SLOPPY_TRUE if Quirk.SLOPPY in statement.quirks else 0xFF
    members = [
        der.octet_string(boot.key),
        der.boolean(boot.locked, true=true),
        der.enumerated(boot.state),
    ]
    if statement.version >= _HASHES_SYSTEM_FROM:
        members.append(der.octet_string(boot.hash))
    return der.sequence(*members)


def _application_id(app: InstalledAndroidApp, quirks: frozenset[Quirk]) -> bytes:
    """Encode AttestationApplicationId: packages of the uid, and their signing certificates."""
    if Quirk.UNKNOWN_APP in quirks:
        unknown = der.sequence(der.octet_string(b"UnknownPackage"), der.integer(1))
        return der.sequence(der.set_of([unknown]), der.set_of([]))
    package = der.sequence(der.octet_string(app.package.encode()), der.integer(app.version_code))
    return der.sequence(
        der.set_of([package]), der.set_of(der.octet_string(d) for d in app.signing_digests)
    )


def _authorization_list(entries: dict[int, bytes], quirks: frozenset[Quirk]) -> bytes:
    """Encode an AuthorizationList, tags ascending unless the device doesn't care."""
    tags = sorted(entries)
    if Quirk.SLOPPY in quirks:
        tags.reverse()
    return der.sequence(*(der.explicit(tag, entries[tag]) for tag in tags))
