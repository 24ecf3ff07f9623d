"""Write Android's KeyDescription, version 300 (KeyMint 3), as devices do.

Source: source.android.com "Key and ID attestation", schema of attestation version 300.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from typing import Final

from watchword.lab import der
from watchword.lab.phones.interface import InstalledAndroidApp

VERSION: Final = 300
"""attestationVersion and keyMintVersion."""

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

_SIGN: Final = 2
_ALGORITHM_EC: Final = 3
_SHA_256: Final = 4
_P_256: Final = 1
_GENERATED: Final = 0
_ANDROID_16: Final = 160000


class SecurityLevel(IntEnum):
    """Number where a key lives (SecurityLevel of the schema)."""

    SOFTWARE = 0
    TRUSTED_ENVIRONMENT = 1


@dataclass(frozen=True, slots=True)
class Boot:
    """Hold a RootOfTrust: VERIFIED when ``locked``, else UNVERIFIED.

    :param key: verifiedBootKey; :param hash: verifiedBootHash; 32 bytes each.
    """

    locked: bool
    key: bytes
    hash: bytes


def key_description(
    *,
    challenge: bytes,
    app: InstalledAndroidApp,
    security: SecurityLevel,
    boot: Boot,
    now: datetime,
) -> bytes:
    """Return the extension's DER.

    A TEE states the key's properties and the root of trust in the hardware list; an emulator
    has no hardware, so that all it states stands in the software list, without a root of trust.
    """
    named_by_system = {
        _CREATION_DATE_TIME: der.integer(int(now.timestamp() * 1000)),
        _ATTESTATION_APPLICATION_ID: der.octet_string(_application_id(app)),
    }
    properties = _key_properties(now)
    if security is SecurityLevel.SOFTWARE:
        software, hardware = properties | named_by_system, {}
    else:
        software, hardware = named_by_system, properties | {_ROOT_OF_TRUST: _root_of_trust(boot)}
    return der.sequence(
        der.integer(VERSION),
        der.enumerated(security),
        der.integer(VERSION),
        der.enumerated(security),
        der.octet_string(challenge),
        der.octet_string(b""),
        _authorization_list(software),
        _authorization_list(hardware),
    )


def _key_properties(now: datetime) -> dict[int, bytes]:
    """Return what is said of a P-256 signing key and of the system around it."""
    return {
        _PURPOSE: der.set_of([der.integer(_SIGN)]),
        _ALGORITHM: der.integer(_ALGORITHM_EC),
        _KEY_SIZE: der.integer(256),
        _DIGEST: der.set_of([der.integer(_SHA_256)]),
        _EC_CURVE: der.integer(_P_256),
        _NO_AUTH_REQUIRED: der.NULL,
        _ORIGIN: der.integer(_GENERATED),
        _OS_VERSION: der.integer(_ANDROID_16),
        _OS_PATCH_LEVEL: der.integer(now.year * 100 + now.month),
        _VENDOR_PATCH_LEVEL: der.integer(now.year * 10_000 + now.month * 100 + 1),
        _BOOT_PATCH_LEVEL: der.integer(now.year * 10_000 + now.month * 100 + 1),
    }


def _root_of_trust(boot: Boot) -> bytes:
    """Encode RootOfTrust; verifiedBootState is VERIFIED (0) or UNVERIFIED (2)."""
    return der.sequence(
        der.octet_string(boot.key),
        der.boolean(boot.locked),
        der.enumerated(0 if boot.locked else 2),
        der.octet_string(boot.hash),
    )


def _application_id(app: InstalledAndroidApp) -> bytes:
    """Encode AttestationApplicationId: packages of the uid, and their signing certificates."""
    package = der.sequence(der.octet_string(app.package.encode()), der.integer(app.version_code))
    return der.sequence(
        der.set_of([package]), der.set_of(der.octet_string(d) for d in app.signing_digests)
    )


def _authorization_list(entries: dict[int, bytes]) -> bytes:
    """Encode an AuthorizationList, tags ascending."""
    return der.sequence(*(der.explicit(tag, entries[tag]) for tag in sorted(entries)))
