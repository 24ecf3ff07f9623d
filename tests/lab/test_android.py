"""Look at what a simulated Android phone issues with cryptography alone."""

import hashlib
import itertools
from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated, Any

import pytest
from cryptography import x509
from cryptography.hazmat import asn1
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from watchword.encoding import base64url
from watchword.lab import PHONES, InstalledAndroidApp, LabAuthorities, PhoneSetup
from watchword.lab.phones.android import AndroidPhone

BINDING = hashlib.sha256(b"statement").digest()
KEY_DESCRIPTION = x509.ObjectIdentifier("1.3.6.1.4.1.11129.2.1.17")
KINDS = sorted(name for name, model in PHONES.items() if model.platform == "android")


@asn1.sequence
class RootOfTrust:
    """Read RootOfTrust with the decoder of cryptography; the state is an ENUMERATED."""

    verified_boot_key: bytes
    device_locked: bool
    verified_boot_state: asn1.TLV
    verified_boot_hash: bytes


@asn1.sequence
class Package:
    """Read AttestationPackageInfo."""

    name: bytes
    version: int


@asn1.sequence
class ApplicationId:
    """Read AttestationApplicationId."""

    packages: asn1.SetOf[Package]
    digests: asn1.SetOf[bytes]


@asn1.sequence
class AuthorizationList:
    """Read the tags that the lab writes."""

    purpose: Annotated[asn1.SetOf[int] | None, asn1.Explicit(1)]
    algorithm: Annotated[int | None, asn1.Explicit(2)]
    key_size: Annotated[int | None, asn1.Explicit(3)]
    digest: Annotated[asn1.SetOf[int] | None, asn1.Explicit(5)]
    ec_curve: Annotated[int | None, asn1.Explicit(10)]
    no_auth_required: Annotated[asn1.Null | None, asn1.Explicit(503)]
    creation_date_time: Annotated[int | None, asn1.Explicit(701)]
    origin: Annotated[int | None, asn1.Explicit(702)]
    root_of_trust: Annotated[RootOfTrust | None, asn1.Explicit(704)]
    os_version: Annotated[int | None, asn1.Explicit(705)]
    os_patch_level: Annotated[int | None, asn1.Explicit(706)]
    application_id: Annotated[bytes | None, asn1.Explicit(709)]
    vendor_patch_level: Annotated[int | None, asn1.Explicit(718)]
    boot_patch_level: Annotated[int | None, asn1.Explicit(719)]


@asn1.sequence
class KeyDescription:
    """Read KeyDescription; the levels are ENUMERATED."""

    attestation_version: int
    attestation_level: asn1.TLV
    keymint_version: int
    keymint_level: asn1.TLV
    challenge: bytes
    unique_id: bytes
    software: AuthorizationList
    hardware: AuthorizationList


def build(setup: PhoneSetup, app: InstalledAndroidApp, kind: str) -> AndroidPhone:
    """Return a phone of a kind from the registry."""
    phone = PHONES[kind].build(app, setup)
    assert isinstance(phone, AndroidPhone)
    return phone


def read(phone: AndroidPhone) -> tuple[list[x509.Certificate], KeyDescription]:
    """Return the chain, and the leaf's key description."""
    evidence = phone.attest(BINDING)
    assert set(evidence) == {"format", "chain"}
    assert evidence["format"] == "android-key"
    chain = [x509.load_der_x509_certificate(base64url.decode(der)) for der in evidence["chain"]]
    extension = chain[0].extensions.get_extension_for_oid(KEY_DESCRIPTION).value
    assert isinstance(extension, x509.UnrecognizedExtension)
    return chain, asn1.decode_der(KeyDescription, extension.value)


def application(description: KeyDescription) -> tuple[list[tuple[bytes, int]], list[bytes]]:
    """Return packages and digests."""
    assert description.software.application_id is not None
    read_id = asn1.decode_der(ApplicationId, description.software.application_id)
    packages = [(package.name, package.version) for package in read_id.packages.as_list()]
    return packages, read_id.digests.as_list()


@pytest.mark.parametrize("kind", KINDS)
def test_chains_verify_from_leaf_to_root(
    setup: PhoneSetup, android_app: InstalledAndroidApp, authorities: LabAuthorities, kind: str
) -> None:
    """Names and signatures chain; hardware ends at the lab root, an emulator at the software one."""
    chain, _ = read(build(setup, android_app, kind))
    for child, parent in itertools.pairwise(chain):
        child.verify_directly_issued_by(parent)
    emulated = kind == "emulator"
    root = authorities.software_root if emulated else authorities.android_root
    assert chain[-1] == root.certificate
    assert len(chain) == (3 if emulated else 4)


@pytest.mark.parametrize("kind", KINDS)
def test_only_the_leaf_has_a_key_description(
    setup: PhoneSetup, android_app: InstalledAndroidApp, kind: str
) -> None:
    """A second one would be the mark of a chain-extension attack."""
    chain, _ = read(build(setup, android_app, kind))
    holders = [
        certificate
        for certificate in chain
        if any(extension.oid == KEY_DESCRIPTION for extension in certificate.extensions)
    ]
    assert holders == chain[:1]


def test_a_genuine_phone_states_a_generated_hardware_key(
    setup: PhoneSetup, android_app: InstalledAndroidApp
) -> None:
    """Version 300, level TEE, the binding as challenge, key properties in the hardware list."""
    chain, description = read(build(setup, android_app, "genuine-android"))
    assert description.attestation_version == description.keymint_version == 300
    assert bytes(description.attestation_level.data) == b"\x01"
    assert bytes(description.keymint_level.data) == b"\x01"
    assert description.challenge == BINDING
    assert description.unique_id == b""
    hardware = description.hardware
    assert hardware.purpose is not None
    assert hardware.purpose.as_list() == [2]
    assert hardware.digest is not None
    assert hardware.digest.as_list() == [4]
    assert (hardware.algorithm, hardware.key_size, hardware.ec_curve) == (3, 256, 1)
    assert hardware.no_auth_required is not None
    assert hardware.origin == 0
    assert hardware.os_patch_level == 202611
    assert hardware.vendor_patch_level == hardware.boot_patch_level == 20261101
    assert hardware.os_version == 160000
    assert hardware.application_id is None
    assert hardware.creation_date_time is None
    assert description.software.origin is None
    assert description.software.root_of_trust is None
    assert description.software.creation_date_time == 1_795_521_600_000
    leaf = chain[0]
    assert leaf.not_valid_before_utc == datetime(1970, 1, 1, tzinfo=UTC)
    assert leaf.subject.rfc4514_string() == "CN=Android Keystore Key"
    assert leaf.serial_number == 1


@pytest.mark.parametrize(
    ("kind", "locked", "state"),
    [
        ("genuine-android", True, b"\x00"),
        ("repackaged-android", True, b"\x00"),
        ("unlocked-android", False, b"\x02"),
    ],
)
def test_the_root_of_trust_tells_the_bootloader(
    setup: PhoneSetup, android_app: InstalledAndroidApp, kind: str, locked: bool, state: bytes
) -> None:
    """An unlocked phone states unlocked and UNVERIFIED with an empty boot key."""
    root = read(build(setup, android_app, kind))[1].hardware.root_of_trust
    assert root is not None
    assert root.device_locked is locked
    assert bytes(root.verified_boot_state.data) == state
    assert (root.verified_boot_key == bytes(32)) is not locked
    assert len(root.verified_boot_key) == len(root.verified_boot_hash) == 32


def test_an_emulator_has_no_hardware_to_speak_of(
    setup: PhoneSetup, android_app: InstalledAndroidApp
) -> None:
    """Level SOFTWARE on both sides, an empty hardware list, no root of trust."""
    _, description = read(build(setup, android_app, "emulator"))
    assert bytes(description.attestation_level.data) == b"\x00"
    assert bytes(description.keymint_level.data) == b"\x00"
    assert description.hardware.origin is None
    assert description.hardware.root_of_trust is None
    assert description.software.origin == 0
    assert description.software.root_of_trust is None


def test_the_application_id_names_package_version_and_signer(
    setup: PhoneSetup, android_app: InstalledAndroidApp
) -> None:
    """The system says which app holds the key; repackaging shows in the signer's digest alone."""
    genuine = application(read(build(setup, android_app, "genuine-android"))[1])
    repackaged = application(read(build(setup, android_app, "repackaged-android"))[1])
    assert genuine == ([(b"com.example.clinic", 120)], [bytes(range(32))])
    assert repackaged[0] == genuine[0]
    assert repackaged[1] != genuine[1]
    assert len(repackaged[1][0]) == 32


@pytest.mark.parametrize("kind", KINDS)
def test_renewals_are_signed_by_the_attested_key(
    setup: PhoneSetup, android_app: InstalledAndroidApp, kind: str
) -> None:
    """The signature covers a prefix of its own, so that it means a renewal and nothing else."""
    phone = build(setup, android_app, kind)
    chain, _ = read(phone)
    evidence = phone.renew(b"statement")
    assert set(evidence) == {"format", "signature"}
    key = chain[0].public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    key.verify(
        base64url.decode(evidence["signature"]),
        b"watchword/renew/v1\0statement",
        ec.ECDSA(hashes.SHA256()),
    )


def test_the_attested_key_is_the_proof_key(
    setup: PhoneSetup, android_app: InstalledAndroidApp
) -> None:
    """There is no proof key for the statement, and the seal key is another one."""
    phone = build(setup, android_app, "genuine-android")
    key = read(phone)[0][0].public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    assert phone.proof_jwk is None
    assert base64url.decode(phone.seal_jwk["x"]) != key.public_numbers().x.to_bytes(32, "big")


def test_new_keys_are_new_and_come_back(
    setup: PhoneSetup, android_app: InstalledAndroidApp
) -> None:
    """Each enrolment has another key; seed, name and generation bring one back."""
    phone = build(setup, android_app, "genuine-android")
    first = phone.attest(BINDING)
    phone.create_keys()
    second = phone.attest(BINDING)
    assert first["chain"][0] != second["chain"][0]
    assert first["chain"][1:] == second["chain"][1:]
    again = build(replace(setup, generation=1), android_app, "genuine-android")
    assert again.attest(BINDING) == second


def test_an_ios_app_does_not_run_on_it(setup: PhoneSetup, ios_app: Any) -> None:
    """The platform of app and phone must be one."""
    with pytest.raises(ValueError, match="expected one for Android"):
        PHONES["genuine-android"].build(ios_app, setup)


def test_repr_shows_no_key(setup: PhoneSetup, android_app: InstalledAndroidApp) -> None:
    """A phone prints its name and app."""
    assert repr(build(setup, android_app, "emulator")) == (
        "AndroidPhone(name='phone', app='com.example.clinic')"
    )
