"""Show that every kind of phone signs requests and opens what is sealed to it."""

from dataclasses import replace
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509 import load_der_x509_certificate

from watchword.encoding import base64url
from watchword.lab import (
    PHONES,
    InstalledAndroidApp,
    InstalledIosApp,
    Phone,
    PhoneSetup,
)
from watchword.tokens.envelope import seal, sealing_info
from watchword.tokens.jose import public_key_from_jwk
from watchword.vocabulary import Platform

BINDING = bytes(range(32))


def built(
    kind: str, setup: PhoneSetup, ios: InstalledIosApp, android: InstalledAndroidApp
) -> Phone:
    """Return an enrolled phone."""
    model = PHONES[kind]
    phone = model.build(ios if model.platform is Platform.IOS else android, setup)
    phone.create_keys()
    return phone


def proof_key(phone: Phone) -> ec.EllipticCurvePublicKey:
    """Return the key that a gate would know: on Android that of the certificate."""
    if phone.proof_jwk is not None:
        return public_key_from_jwk(phone.proof_jwk)
    evidence: dict[str, Any] = phone.attest(BINDING)
    leaf = load_der_x509_certificate(base64url.decode(evidence["chain"][0]))
    key = leaf.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    return key


NOT_READ = {
    # These certify another key than the phone's hardware holds.
    "forged-extension-android",
    "forged-by-attest-key-android",
    "moved-extension-android",
    # Its certificates have two bytes too many for a strict reader.
    "titan-m-android",
}


@pytest.mark.parametrize("kind", sorted(PHONES.keys() - NOT_READ))
def test_a_phone_signs_by_its_proof_key(
    kind: str, setup: PhoneSetup, ios_app: InstalledIosApp, android_app: InstalledAndroidApp
) -> None:
    """The signature verifies under the key that the token will name, over this message only."""
    phone = built(kind, setup, ios_app, android_app)
    signature = phone.sign(b"message")
    assert signature == phone.sign(b"message")
    key = proof_key(phone)
    key.verify(signature, b"message", ec.ECDSA(SHA256()))
    with pytest.raises(InvalidSignature):
        key.verify(signature, b"massage", ec.ECDSA(SHA256()))


@pytest.mark.parametrize("kind", sorted(PHONES))
def test_a_phone_opens_what_is_sealed_to_it(
    kind: str, setup: PhoneSetup, ios_app: InstalledIosApp, android_app: InstalledAndroidApp
) -> None:
    """What the service seals is opened; for another session, by another phone, it isn't."""
    phone = built(kind, setup, ios_app, android_app)
    other = built(kind, replace(setup, name="another"), ios_app, android_app)
    sealed = seal(b"k" * 32, phone.seal_jwk, BINDING, "sid")
    info = sealing_info(BINDING, "sid")
    assert phone.open_sealed(info, sealed) == b"k" * 32
    for opener, what, said in (
        (other, sealed, info),
        (phone, sealed, sealing_info(BINDING, "other")),
        (phone, sealed[:-1], info),
        (phone, b"", info),
    ):
        with pytest.raises(ValueError, match="sealed"):
            opener.open_sealed(said, what)
