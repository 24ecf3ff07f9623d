"""Read the claims out of an Android key attestation."""

import hashlib
from collections.abc import Iterator
from typing import Any, Final

from watchword.attestation import android_chain
from watchword.attestation.android_chain import Shape
from watchword.attestation.authorization_list import (
    ORIGIN_GENERATED,
    PURPOSE_SIGN,
)
from watchword.attestation.claims import (
    KeySecurity,
    Provisioning,
    RevocationClaims,
    UnverifiedClaims,
)
from watchword.attestation.interface import Expected
from watchword.attestation.key_description import (
    KeyDescription,
    SecurityLevel,
    describe_publicly,
)
from watchword.attestation.provisioning import PROVISIONING_INFO, describe_provisioning
from watchword.vocabulary import Platform

FORMAT: Final = "android-key"
"""The format's name on the wire."""

SECURITY_NAME: Final = "security_name"
"""The vendor's certificate names another level than the description, or no StrongBox where that says one."""

VERSIONS: Final = "versions"
"""No Keymaster or KeyMint of that version writes descriptions of that version."""

OS_VERSION: Final = "os_version"
"""A system older than the first with descriptions of that version."""

PATCHES: Final = "patches"
"""The patch level of vendor or boot is no month, or later than the system's."""

_KEYMASTERS: Final = frozenset({(1, 2), (2, 3), (3, 4), (3, 41), (4, 41)})
"""Versions of description and Keymaster that occur together in the recorded chains."""

_KEYMINT: Final = 100
"""From KeyMint 1 on both versions are the same number (source.android.com, "Key and ID attestation")."""

_FIRST_SYSTEMS: Final = {
    1: 70000,
    2: 80000,
    3: 90000,
    4: 110000,
    100: 120000,
    200: 130000,
    300: 140000,
    400: 160000,
    500: 170000,
}
"""By version of the description the oldest system that writes it.

1 and 2: source.android.com, "Key and ID attestation", read on 2026-11-29; the others: the oldest of the recorded chains.
"""

_SECURITY: Final = {
    SecurityLevel.SOFTWARE: KeySecurity.SOFTWARE,
    SecurityLevel.TRUSTED_ENVIRONMENT: KeySecurity.TEE,
    SecurityLevel.STRONG_BOX: KeySecurity.STRONGBOX,
}


def read_claims(
    shape: Shape,
    description: KeyDescription,
    expected: Expected,
    revocation: RevocationClaims | None,
    leniencies: tuple[str, ...],
) -> UnverifiedClaims:
    """Return what the chain and its KeyDescription say, whether or not they hold."""
    chain, anchored, hardware = shape.chain, shape.anchored, description.hardware
    application = description.software.application_id
    unchecked: tuple[str, ...] = ()
    if expected.binding is None or expected.app is None or revocation is None:
        wanted = {"binding": expected.binding, "app": expected.app, "revocation": revocation}
        unchecked = tuple(name for name, needed in wanted.items() if needed is None)
    provisioned = android_chain.provisioning(shape)
    certified = android_chain.certified_security(shape)
    return UnverifiedClaims(
        format=FORMAT,
        platform=Platform.ANDROID,
        public_key=chain[0].spki,
        attestation_security=_SECURITY[description.attestation_security],
        key_security=_SECURITY[description.keymaster_security],
        certified_security=certified,
        anchor=None if anchored is None else anchored.anchor.name,
        app=None if application is None else application.claims,
        boot=hardware.boot,
        key_generated=hardware.origin == ORIGIN_GENERATED,
        key_signs=PURPOSE_SIGN in hardware.purposes,
        patches=hardware.patches,
        provisioning=provisioned,
        attest_key=shape.attest_key,
        incoherent=tuple(_incoherences(certified, description)),
        device_key=_device_key(shape, provisioned),
        attester_serial=_attester_serial(shape),
        serials=android_chain.serials(shape),
        model=hardware.model,
        revocation=revocation,
        fields=_fields(shape, description),
        leniencies=leniencies,
        unchecked=unchecked,
    )


def _incoherences(certified: KeySecurity | None, description: KeyDescription) -> Iterator[str]:
    """Yield in what a description contradicts the vendor's certificate, or itself.

    None of the 135 recorded chains that are accepted does.  Software that signs descriptions with a leaked key has to
    get all of it right.
    """
    stated = _SECURITY[description.attestation_security]
    if certified not in {stated, None} or (stated is KeySecurity.STRONGBOX and certified is None):
        yield SECURITY_NAME
    versions = (description.attestation_version, description.keymaster_version)
    if versions not in _KEYMASTERS and (versions[0] < _KEYMINT or versions[0] != versions[1]):
        yield VERSIONS
    patches = description.hardware.patches
    first = _FIRST_SYSTEMS.get(versions[0])
    if patches.os_version and first is not None and patches.os_version < first:
        yield OS_VERSION
    if any(_is_ahead(part, patches.system) for part in (patches.vendor, patches.boot) if part):
        yield PATCHES


def _is_ahead(part: int, system: int | None) -> bool:
    """Tell whether a part's patch level is no month, or more than a month later than the system's."""
    month = _month(part)
    if month is None:
        return True
    newest = _month(system or 0)
    return newest is not None and month > newest + 1


def _month(level: int) -> int | None:
    """Return YYYYMM or YYYYMMDD as a count of months, None for neither."""
    digits = str(level) if 0 < level < 10**8 else ""
    if len(digits) not in {6, 8} or not 1 <= int(digits[4:6]) <= 12:
        return None
    return int(digits[:4]) * 12 + int(digits[4:6])


def _device_key(shape: Shape, provisioned: Provisioning | None) -> bytes | None:
    """Return what only this device's chains have: its attestation key, if that is its own.

    A factory's is shared by 100,000 phones.  A remotely provisioned one lives for weeks, and a device has one
    for each app: enough to count the instances of an app, and no more.
    """
    if provisioned is not Provisioning.REMOTE or len(shape.chain) <= shape.attester:
        return None
    return hashlib.sha256(shape.chain[shape.attester].spki).digest()


def _attester_serial(shape: Shape) -> str | None:
    """Return the serial under which the vendor certified the attesting key: all that it attests stands under it."""
    if len(android_chain.below_root(shape.chain, shape.anchored)) <= shape.attester:
        return None
    return shape.chain[shape.attester].serial_hex


def _fields(shape: Shape, description: KeyDescription) -> dict[str, Any]:
    fields = describe_publicly(description)
    for certificate in android_chain.below_root(shape.chain, shape.anchored):
        content = certificate.extensions.get(PROVISIONING_INFO)
        if content is not None:
            fields["provisioningInfo"] = describe_provisioning(content)
    return fields
