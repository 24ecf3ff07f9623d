"""Look at what a simulated Android phone issues with cryptography alone."""

import hashlib
import itertools
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import pytest
from cryptography import x509
from cryptography.hazmat import asn1
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from tests.unit.lab.conftest import FixedClock

from watchword.encoding import base64url
from watchword.lab import PHONES, InstalledAndroidApp, LabAuthorities, PhoneSetup
from watchword.lab.android_authorities import Remote
from watchword.lab.phones.android import OTHER_SYSTEM_BOOT_KEY, AndroidPhone
from watchword.lab.phones.kinds import ANDROID_PHONES

BINDING = hashlib.sha256(b"statement").digest()
KEY_DESCRIPTION = x509.ObjectIdentifier("1.3.6.1.4.1.11129.2.1.17")
KINDS = sorted(ANDROID_PHONES)
UNREADABLE = {
    "titan-m-android": "cryptography refuses the stray NULL",
    "xiaomi-android": "cryptography refuses TRUE as 0x01",
    "huawei-android": "cryptography refuses the extension of a zero byte",
}
EMULATED = {"emulator", "software-attestation-android"}
FURTHER = {
    "attest-key-android",
    "foreign-attest-key-android",
    "forged-extension-android",
    "forged-by-attest-key-android",
    "moved-extension-android",
}
READABLE = [kind for kind in KINDS if kind not in UNREADABLE]
PROVISIONING_INFO = x509.ObjectIdentifier("1.3.6.1.4.1.11129.2.1.30")


@asn1.sequence
class RootOfTrust:
    """Read RootOfTrust with the decoder of cryptography; the state is an ENUMERATED."""

    verified_boot_key: bytes
    device_locked: bool
    verified_boot_state: asn1.TLV
    verified_boot_hash: bytes | None


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
    module_hash: Annotated[bytes | None, asn1.Explicit(724)]


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


def chain_of(phone: AndroidPhone) -> list[x509.Certificate]:
    """Return the certificates of a phone's evidence."""
    evidence = phone.attest(BINDING)
    assert set(evidence) == {"format", "chain"}
    assert evidence["format"] == "android-key"
    return [x509.load_der_x509_certificate(base64url.decode(der)) for der in evidence["chain"]]


def description_of(certificate: x509.Certificate) -> KeyDescription:
    """Return a certificate's key description."""
    extension = certificate.extensions.get_extension_for_oid(KEY_DESCRIPTION).value
    assert isinstance(extension, x509.UnrecognizedExtension)
    return asn1.decode_der(KeyDescription, extension.value)


def read(phone: AndroidPhone) -> tuple[list[x509.Certificate], KeyDescription]:
    """Return the chain, and the leaf's key description."""
    chain = chain_of(phone)
    return chain, description_of(chain[0])


def subject_key(certificate: x509.Certificate) -> bytes:
    """Return the certified key."""
    return certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def test_a_leaf_without_the_title_of_its_issuer(
    setup: PhoneSetup, android_app: InstalledAndroidApp
) -> None:
    """The key above signed it, and it names the key's number alone."""
    leaf, issuer, *_ = chain_of(build(setup, android_app, "untitled-issuer-android"))
    key, algorithm = issuer.public_key(), leaf.signature_hash_algorithm
    assert isinstance(key, ec.EllipticCurvePublicKey)
    assert algorithm is not None
    key.verify(leaf.signature, leaf.tbs_certificate_bytes, ec.ECDSA(algorithm))
    titles = issuer.subject.get_attributes_for_oid(x509.NameOID.TITLE)
    assert [each.value for each in titles] == ["TEE"]
    assert list(leaf.issuer) == [each for each in issuer.subject if each not in titles]


def holders(chain: list[x509.Certificate], oid: x509.ObjectIdentifier) -> list[int]:
    """Return the indexes of the certificates that have an extension."""
    return [
        index
        for index, certificate in enumerate(chain)
        if any(extension.oid == oid for extension in certificate.extensions)
    ]


def application(description: KeyDescription) -> tuple[list[tuple[bytes, int]], list[bytes]]:
    """Return packages and digests."""
    assert description.software.application_id is not None
    read_id = asn1.decode_der(ApplicationId, description.software.application_id)
    packages = [(package.name, package.version) for package in read_id.packages.as_list()]
    return packages, read_id.digests.as_list()


@pytest.mark.parametrize(
    "kind", sorted(set(KINDS) - {"titan-m-android", "untitled-issuer-android"})
)
def test_chains_verify_from_leaf_to_root(
    setup: PhoneSetup, android_app: InstalledAndroidApp, authorities: LabAuthorities, kind: str
) -> None:
    """Names and signatures chain; hardware ends at a root of Google's, an emulator at another."""
    chain = chain_of(build(setup, android_app, kind))
    for child, parent in itertools.pairwise(chain):
        child.verify_directly_issued_by(parent)
    android = authorities.android
    if kind == "rootless-rkp-android":
        chain[-1].verify_directly_issued_by(android.root.certificate)
        assert len(chain) == 4
        return
    roots = (
        [android.software_root]
        if kind in EMULATED
        else [android.root, android.rsa_root, android.ended_rsa_root]
    )
    assert chain[-1] in [root.certificate for root in roots]


def test_a_titan_m_leaf_is_signed_as_it_stands(
    setup: PhoneSetup, android_app: InstalledAndroidApp
) -> None:
    """Strict parsers stop at it; its signature is the issuer's, and the two names are the same."""
    leaf, *above = (
        base64url.decode(der)
        for der in build(setup, android_app, "titan-m-android").attest(BINDING)["chain"]
    )
    with pytest.raises(ValueError, match="ExtraData"):
        x509.load_der_x509_certificate(leaf)
    stray = bytes.fromhex("300c06082a8648ce3d0403020500")
    assert leaf.count(stray) == 2
    # Certificate ::= SEQUENCE { tbs, algorithm, BIT STRING }; all lengths take two bytes.
    tbs = leaf[4 : 8 + int.from_bytes(leaf[6:8], "big")]
    rest = leaf[4 + len(tbs) :]
    assert rest.startswith(stray)
    key = x509.load_der_x509_certificate(above[0]).public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    key.verify(rest[len(stray) + 3 :], tbs, ec.ECDSA(hashes.SHA256()))


def test_a_huawei_leaf_has_an_extension_without_a_value(
    setup: PhoneSetup, android_app: InstalledAndroidApp
) -> None:
    """Strict parsers stop at its extensions: CRL addresses whose content is a zero byte."""
    leaf = chain_of(build(setup, android_app, "huawei-android"))[0]
    with pytest.raises(ValueError, match="ShortData"):
        holders([leaf], KEY_DESCRIPTION)
    data = leaf.public_bytes(Encoding.DER)
    assert bytes.fromhex("30080603551d1f040100") in data


@pytest.mark.parametrize("kind", sorted(set(READABLE) - FURTHER))
def test_only_the_leaf_has_a_key_description(
    setup: PhoneSetup, android_app: InstalledAndroidApp, kind: str
) -> None:
    """A second one would be the mark of a chain-extension attack, or of an attest key."""
    assert holders(chain_of(build(setup, android_app, kind)), KEY_DESCRIPTION) == [0]


@pytest.mark.parametrize(
    ("kind", "described", "purposes"),
    [
        ("attest-key-android", [0, 1], [7]),
        ("foreign-attest-key-android", [0, 1], [7]),
        ("forged-extension-android", [0, 1], [2]),
        ("forged-by-attest-key-android", [0, 1], [2, 7]),
        ("moved-extension-android", [1], [2]),
    ],
)
def test_further_certificates_are_signed_by_a_described_key(
    setup: PhoneSetup,
    android_app: InstalledAndroidApp,
    kind: str,
    described: list[int],
    purposes: list[int],
) -> None:
    """An attest key may certify (no CA flag, keyCertSign); an attacker's signing key may not."""
    chain = chain_of(build(setup, android_app, kind))
    assert len(chain) == 5
    assert holders(chain, KEY_DESCRIPTION) == described
    purpose = description_of(chain[1]).hardware.purpose
    assert purpose is not None
    assert purpose.as_list() == purposes
    usage = chain[1].extensions.get_extension_for_class(x509.KeyUsage).value
    assert usage.key_cert_sign is (7 in purposes)
    assert holders([chain[1]], x509.BasicConstraints.oid) == []


def test_a_legal_attest_key_is_of_the_same_phone_and_app(
    setup: PhoneSetup, android_app: InstalledAndroidApp
) -> None:
    """Both descriptions state the same, but for the purpose; a foreign one another system."""
    legal, foreign = (
        [description_of(each) for each in chain_of(build(setup, android_app, kind))[:2]]
        for kind in ("attest-key-android", "foreign-attest-key-android")
    )
    for leaf, attester in (legal, foreign):
        assert leaf.software.application_id == attester.software.application_id
        assert leaf.hardware.root_of_trust is not None
        assert leaf.hardware.root_of_trust.device_locked
    roots = [
        (each.hardware.root_of_trust.device_locked, each.hardware.root_of_trust.verified_boot_key)
        for each in (*legal, *foreign)
        if each.hardware.root_of_trust is not None
    ]
    assert roots[0] == roots[1] == roots[2]
    assert roots[3] == (False, bytes(32))


def test_a_forged_description_says_what_the_true_one_does_not(
    setup: PhoneSetup, android_app: InstalledAndroidApp
) -> None:
    """The leaf states a locked phone with your app, the key that signed it neither."""
    forged, true = (
        description_of(each)
        for each in chain_of(build(setup, android_app, "forged-extension-android"))[:2]
    )
    assert application(forged)[0] == [(b"com.example.clinic", 120)]
    assert application(true)[0] == [(b"com.example.attacker", 1)]
    assert forged.hardware.root_of_trust is not None
    assert true.hardware.root_of_trust is not None
    assert forged.hardware.root_of_trust.device_locked
    assert not true.hardware.root_of_trust.device_locked


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
        ("grapheneos-android", True, b"\x01"),
        ("failed-boot-android", True, b"\x03"),
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
    assert root.verified_boot_hash is not None
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


@pytest.mark.parametrize("kind", sorted(set(KINDS) - {"titan-m-android"}))
def test_renewals_are_signed_by_the_attested_key(
    setup: PhoneSetup, android_app: InstalledAndroidApp, kind: str
) -> None:
    """The signature covers a prefix of its own, so that it means a renewal and nothing else."""
    phone = build(setup, android_app, kind)
    chain = chain_of(phone)
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


def test_grapheneos_has_one_boot_key_in_every_lab(
    setup: PhoneSetup, android_app: InstalledAndroidApp
) -> None:
    """A policy can list the key before the lab is made."""
    other = replace(setup, authorities=LabAuthorities.from_seed(b"another lab's seed"))
    keys = set()
    for each in (setup, other):
        root = read(build(each, android_app, "grapheneos-android"))[1].hardware.root_of_trust
        assert root is not None
        keys.add(root.verified_boot_key)
    assert keys == {OTHER_SYSTEM_BOOT_KEY}


@pytest.mark.parametrize(
    ("kind", "system", "vendor"),
    [
        ("genuine-android", 202611, 20261101),
        ("old-patch-android", 202411, 20241101),
        ("future-patch-android", 202711, 20271101),
    ],
)
def test_patch_levels_have_their_age(
    setup: PhoneSetup, android_app: InstalledAndroidApp, kind: str, system: int, vendor: int
) -> None:
    """Ages count from the clock, so that a phone stays what it is called."""
    hardware = read(build(setup, android_app, kind))[1].hardware
    assert hardware.os_patch_level == system
    assert hardware.vendor_patch_level == hardware.boot_patch_level == vendor


@pytest.mark.parametrize(
    ("kind", "attestation", "keymaster"),
    [
        ("v1-android", 1, 2),
        ("v2-android", 2, 3),
        ("v3-android", 3, 4),
        ("v4-android", 4, 41),
        ("v100-android", 100, 100),
        ("v200-android", 200, 200),
        ("v400-android", 400, 400),
        ("v500-android", 500, 500),
    ],
)
def test_versions_have_their_own_schema(
    setup: PhoneSetup,
    android_app: InstalledAndroidApp,
    kind: str,
    attestation: int,
    keymaster: int,
) -> None:
    """The boot hash and two patch levels came with 3, the hash of the modules with 400."""
    description = read(build(setup, android_app, kind))[1]
    assert description.attestation_version == attestation
    assert description.keymint_version == keymaster
    hardware = description.hardware
    assert hardware.root_of_trust is not None
    assert (hardware.root_of_trust.verified_boot_hash is not None) is (attestation >= 3)
    assert (hardware.vendor_patch_level is not None) is (attestation >= 3)
    assert (description.software.module_hash is not None) is (attestation >= 400)


@pytest.mark.parametrize(
    ("kind", "origin", "purposes"),
    [("imported-key-android", 2, [2]), ("no-sign-key-android", 0, [1])],
)
def test_bad_keys_say_so(
    setup: PhoneSetup, android_app: InstalledAndroidApp, kind: str, origin: int, purposes: list[int]
) -> None:
    """The hardware tells where a key comes from and what it may do."""
    hardware = read(build(setup, android_app, kind))[1].hardware
    assert hardware.origin == origin
    assert hardware.purpose is not None
    assert hardware.purpose.as_list() == purposes


def test_levels_are_those_of_the_chip(setup: PhoneSetup, android_app: InstalledAndroidApp) -> None:
    """StrongBox is level 2; a key in software has nothing in the hardware list."""
    levels = {}
    for kind in ("strongbox-android", "rkp-strongbox-android", "software-attestation-android"):
        description = read(build(setup, android_app, kind))[1]
        levels[kind] = (
            bytes(description.attestation_level.data)[0],
            bytes(description.keymint_level.data)[0],
        )
    assert levels == {
        "strongbox-android": (2, 2),
        "rkp-strongbox-android": (2, 2),
        "software-attestation-android": (0, 1),
    }


def test_an_app_may_be_another_version_or_unknown(
    setup: PhoneSetup, android_app: InstalledAndroidApp
) -> None:
    """One version lower; another package; or a Keystore that couldn't find out."""
    found = {
        kind: application(read(build(setup, android_app, kind))[1])
        for kind in ("downgraded-android", "wrong-app-android", "unknown-app-android")
    }
    assert found["downgraded-android"] == ([(b"com.example.clinic", 119)], [bytes(range(32))])
    assert found["wrong-app-android"][0] == [(b"com.example.clinic.copycat", 120)]
    assert found["unknown-app-android"] == ([(b"UnknownPackage", 1)], [])


def test_remote_provisioning_gives_each_phone_a_key_of_weeks(
    setup: PhoneSetup, android_app: InstalledAndroidApp
) -> None:
    """Five certificates; the first two above the leaf live for weeks around now."""
    chain, _ = read(build(setup, android_app, "rkp-android"))
    assert len(chain) == 5
    now = setup.clock.now()
    for certificate in chain[1:3]:
        life = certificate.not_valid_after_utc - certificate.not_valid_before_utc
        assert timedelta(weeks=2) <= life <= timedelta(weeks=6)
        assert certificate.not_valid_before_utc + timedelta(days=6) < now
        assert now < certificate.not_valid_after_utc - timedelta(days=6)
    assert holders(chain, PROVISIONING_INFO) == [1]
    other = chain_of(build(replace(setup, name="other"), android_app, "rkp-android"))
    assert other[1] != chain[1]
    assert other[2:] == chain[2:]


def test_remote_keys_change_with_the_fortnight(
    setup: PhoneSetup, android_app: InstalledAndroidApp
) -> None:
    """On every day of a year the chain is one of 27, and valid with days to spare."""
    seen = []
    for days in range(365):
        at = setup.clock.now() + timedelta(days=days)
        phone = build(replace(setup, clock=FixedClock(at)), android_app, "rkp-android")
        issuer = setup.authorities.android.issuers(Remote(), "phone", at)[0].certificate
        assert phone.attestation_serial == format(issuer.serial_number, "x")
        assert issuer.not_valid_before_utc + timedelta(days=6) < at
        assert at < issuer.not_valid_after_utc - timedelta(days=6)
        seen.append(phone.attestation_serial)
    assert len(set(seen)) == 27


def test_an_ended_remote_key_has_ended(setup: PhoneSetup, android_app: InstalledAndroidApp) -> None:
    """The phone kept it for a year; so it is with no other kind."""
    chain = chain_of(build(setup, android_app, "expired-rkp-android"))
    assert [certificate.not_valid_after_utc < setup.clock.now() for certificate in chain] == [
        False,
        True,
        True,
        False,
        False,
    ]


def test_a_broker_sells_one_phone(setup: PhoneSetup, android_app: InstalledAndroidApp) -> None:
    """Whatever the instance is called and however often it enrols, the attestation key is one."""
    chains = []
    for name in ("one", "two"):
        phone = build(replace(setup, name=name), android_app, "broker-android")
        for _ in range(2):
            phone.create_keys()
            chains.append(chain_of(phone))
    assert len({subject_key(chain[0]) for chain in chains}) == 4
    assert len({chain[1] for chain in chains}) == 1


def test_batches_of_the_factory_are_shared_and_apart(
    setup: PhoneSetup, android_app: InstalledAndroidApp
) -> None:
    """Phones of a model attest by one key; the revoked and the suspended batch have their own."""
    serials = {
        (kind, name): build(replace(setup, name=name), android_app, kind).attestation_serial
        for kind in ("genuine-android", "revoked-android", "suspended-android")
        for name in ("one", "two")
    }
    assert len(set(serials.values())) == 3
    assert serials["genuine-android", "one"] == serials["genuine-android", "two"]
    assert all(serial.isdecimal() for serial in serials.values())


def test_roots_are_two_keys_and_one_copy_that_ended(
    setup: PhoneSetup, android_app: InstalledAndroidApp
) -> None:
    """RSA-4096 and P-384; the ended copy has the same key and name, other dates and number."""
    p384, rsa_root, ended = (
        chain_of(build(setup, android_app, kind))[-1]
        for kind in ("genuine-android", "rsa-root-android", "expired-root-android")
    )
    now = setup.clock.now()
    assert isinstance(rsa_root.public_key(), rsa.RSAPublicKey)
    assert rsa_root.public_key() == ended.public_key() != p384.public_key()
    assert rsa_root.subject == ended.subject
    assert rsa_root.serial_number != ended.serial_number
    assert ended.not_valid_after_utc < now < rsa_root.not_valid_after_utc


@pytest.mark.parametrize(
    ("kind", "marked"), [("genuine-android", True), ("unmarked-ca-android", False)]
)
def test_some_makers_forgot_the_mark_of_a_ca(
    setup: PhoneSetup, android_app: InstalledAndroidApp, kind: str, marked: bool
) -> None:
    """The attestation key's certificate isn't a CA, all above it are."""
    chain = chain_of(build(setup, android_app, kind))
    flags = [
        certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
        for certificate in chain[1:]
    ]
    assert flags == [marked, True, True]


def test_a_sloppy_phone_writes_other_bytes_for_the_same(
    setup: PhoneSetup, android_app: InstalledAndroidApp
) -> None:
    """TRUE is 0x01 and the tags descend; nothing else differs from a tidy phone."""
    sloppy, tidy = (
        chain_of(build(setup, android_app, kind))[0]
        .extensions.get_extension_for_oid(KEY_DESCRIPTION)
        .value.public_bytes()
        for kind in ("xiaomi-android", "genuine-android")
    )
    assert len(sloppy) == len(tidy)
    assert b"\x01\x01\x01\x0a\x01\x00" in sloppy
    assert b"\x01\x01\xff\x0a\x01\x00" in tidy
    assert sloppy.index(b"\xbf\x85\x40") < sloppy.index(b"\xa2\x03")
    assert tidy.index(b"\xbf\x85\x40") > tidy.index(b"\xa2\x03")
