"""Read the claims out of an Android key attestation."""

import hashlib
from typing import Any, Final

from watchword.attestation import android_chain
from watchword.attestation.android_chain import Shape
from watchword.attestation.authorization_list import (
    ORIGIN_GENERATED,
    PURPOSE_SIGN,
    ApplicationId,
    RootOfTrust,
)
from watchword.attestation.claims import (
    AppClaims,
    BootClaims,
    BootState,
    KeySecurity,
    Provisioning,
    RevocationClaims,
    UnverifiedClaims,
)
from watchword.attestation.interface import Expected
from watchword.attestation.key_description import (
    KeyDescription,
    SecurityLevel,
    VerifiedBootState,
    describe_publicly,
)
from watchword.attestation.provisioning import PROVISIONING_INFO, describe_provisioning
from watchword.vocabulary import Platform

FORMAT: Final = "android-key"
"""The format's name on the wire."""

_SECURITY: Final = {
    SecurityLevel.SOFTWARE: KeySecurity.SOFTWARE,
    SecurityLevel.TRUSTED_ENVIRONMENT: KeySecurity.TEE,
    SecurityLevel.STRONG_BOX: KeySecurity.STRONGBOX,
}
_BOOT_STATES: Final = {
    VerifiedBootState.VERIFIED: BootState.VERIFIED,
    VerifiedBootState.SELF_SIGNED: BootState.SELF_SIGNED,
    VerifiedBootState.UNVERIFIED: BootState.UNVERIFIED,
    VerifiedBootState.FAILED: BootState.FAILED,
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
    unchecked = (("binding", expected.binding), ("app", expected.app), ("revocation", revocation))
    provisioned = android_chain.provisioning(shape)
    return UnverifiedClaims(
        format=FORMAT,
        platform=Platform.ANDROID,
        public_key=chain[0].spki,
        attestation_security=_SECURITY[description.attestation_security],
        key_security=_SECURITY[description.keymaster_security],
        anchor=None if anchored is None else anchored.anchor.name,
        app=_app(description.software.application_id),
        boot=_boot(hardware.root_of_trust),
        key_generated=hardware.origin == ORIGIN_GENERATED,
        key_signs=PURPOSE_SIGN in hardware.purposes,
        patches=hardware.patches,
        provisioning=provisioned,
        attest_key=shape.attest_key,
        device_key=_device_key(shape, provisioned),
        serials=android_chain.serials(shape),
        model=description.model,
        revocation=revocation,
        fields=_fields(shape, description),
        leniencies=leniencies,
        unchecked=tuple(name for name, needed in unchecked if needed is None),
    )


def _device_key(shape: Shape, provisioned: Provisioning | None) -> bytes | None:
    """Return what only this device's chains have: its attestation key, if that is its own.

    A factory's is shared by 100,000 phones.  A remotely provisioned one lives for weeks, and a device has one
    for each app: enough to count the instances of an app, and no more.
    """
    if provisioned is not Provisioning.REMOTE or len(shape.chain) <= shape.attester:
        return None
    return hashlib.sha256(shape.chain[shape.attester].spki).digest()


def _fields(shape: Shape, description: KeyDescription) -> dict[str, Any]:
    fields = describe_publicly(description)
    for certificate in android_chain.below_root(shape.chain, shape.anchored):
        content = certificate.extensions.get(PROVISIONING_INFO)
        if content is not None:
            fields["provisioningInfo"] = describe_provisioning(content)
    return fields


def _app(application: ApplicationId | None) -> AppClaims | None:
    """Return the app as Android itself, not the secure hardware, names it."""
    if application is None:
        return None
    return AppClaims(
        ids=tuple(name for name, _ in application.packages),
        versions={name: str(version) for name, version in application.packages},
        signing_digests=frozenset(application.digests),
    )


def _boot(root: RootOfTrust | None) -> BootClaims | None:
    """Return the root of trust of the hardware list; one in the software list is only a word."""
    if root is None:
        return None
    return BootClaims(
        device_locked=root.device_locked,
        state=_BOOT_STATES[root.state],
        verified_boot_key=root.verified_boot_key,
        verified_boot_hash=root.verified_boot_hash,
    )
