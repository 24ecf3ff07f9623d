"""Read the claims out of an Android key attestation."""

import hashlib
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
    return UnverifiedClaims(
        format=FORMAT,
        platform=Platform.ANDROID,
        public_key=chain[0].spki,
        attestation_security=_SECURITY[description.attestation_security],
        key_security=_SECURITY[description.keymaster_security],
        certified_security=android_chain.certified_security(shape),
        anchor=None if anchored is None else anchored.anchor.name,
        app=None if application is None else application.claims,
        boot=hardware.boot,
        key_generated=hardware.origin == ORIGIN_GENERATED,
        key_signs=PURPOSE_SIGN in hardware.purposes,
        patches=hardware.patches,
        provisioning=provisioned,
        attest_key=shape.attest_key,
        device_key=_device_key(shape, provisioned),
        serials=android_chain.serials(shape),
        model=hardware.model,
        revocation=revocation,
        fields=_fields(shape, description),
        leniencies=leniencies,
        unchecked=unchecked,
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
