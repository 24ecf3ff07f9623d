"""Hold the lab's Android phones to recorded chains of real devices: lengths, names, extensions, lists.

The recorded evidence isn't part of the project; what it looks like is written down in the tables here,
which are compared with the lab always and with the evidence where it lies beside the project.
"""

import json
import ssl
from pathlib import Path
from typing import Any

import cbor2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from watchword.attestation.formats.android_key import describe_leaf
from watchword.lab import PHONES, InstalledAndroidApp, PhoneSetup
from watchword.lab.phones.android import AndroidPhone

VECTORS = Path(__file__).parents[4] / "shared" / "vectors" / "attestation" / "android"
CHALLENGE = b"challenge"

# A kind of the lab, and a device that sends the same.
TWINS = {
    "rkp-android": "aka-tegu-sdk36-TEE_EC_2026_ROOT",
    "rkp-strongbox-android": "aka-tegu-sdk36-SB_EC_2026_ROOT",
    "rkp-rsa-root-android": "aka-akita-sdk34-TEE_EC_NONE",
    "expired-root-android": "signum-1FFAKZC8440XUPKYECF9QC7LS8U",
    "titan-m-android": "gos-Pixel_5-strongbox",
}

# Above the leaf, from the certificate that signs it up to the root: the kind of the key, the attributes of
# the subject apart from the marker of the lab, the extensions that verifiers look at.
SKI, AKI, BASIC, USAGE = "2.5.29.14", "2.5.29.35", "2.5.29.19", "2.5.29.15"
PROVISIONING = "1.3.6.1.4.1.11129.2.1.30"
LOOKED_AT = {SKI, BASIC, USAGE, PROVISIONING}
CA = frozenset({SKI, BASIC, USAGE})
CN, TITLE, SERIAL = "2.5.4.3", "2.5.4.12", "2.5.4.5"
DROIDS = [
    ("P-256", {CN}, CA | {PROVISIONING}),
    ("P-256", {CN}, CA),
    ("P-384", {CN}, CA),
]
FACTORY = [("P-256", {TITLE, SERIAL}, CA), ("P-384", {TITLE, SERIAL}, CA)]
P384_ROOT = ("P-384", {CN}, CA)
RSA_ROOT = ("RSA-4096", {SERIAL}, CA)
SHAPES = {
    "rkp-android": [*DROIDS, P384_ROOT],
    "rkp-strongbox-android": [*DROIDS, P384_ROOT],
    "rkp-rsa-root-android": [*DROIDS, RSA_ROOT],
    "expired-root-android": [*FACTORY, RSA_ROOT],
    "titan-m-android": [*FACTORY, RSA_ROOT],
}

# By attestation version: a device, and the names in its lists that a P-256 signing key of an app has
# in any case; attestation IDs and what an app asks for come on top.
SOFTWARE = {"attestationApplicationId"}
HARDWARE = {
    "purpose", "algorithm", "keySize", "digest", "otherTags", "origin", "rootOfTrust", "osVersion",
    "osPatchLevel",
}  # fmt: skip
PATCHED = HARDWARE | {"vendorPatchLevel", "bootPatchLevel"}
LISTS = {
    "v1-android": ("gos-SM_G960F", SOFTWARE, HARDWARE),
    "v2-android": ("gos-ALP_L29", SOFTWARE, HARDWARE),
    "v4-android": ("gos-Pixel_4a_5G_-strongbox", SOFTWARE, PATCHED),
    "v100-android": ("signum-1FFAKZC8440XUPKYECF9QC7LS8U", SOFTWARE, PATCHED),
    "v200-android": ("signum-7SXXPU8N9NS2Q9UJRL23U3IDCZ", SOFTWARE, PATCHED),
    "genuine-android": ("aka-caiman-sdk36-SB_EC_RKP", SOFTWARE, PATCHED),
    "v400-android": ("aka-tegu-sdk36-TEE_EC_2026_ROOT", SOFTWARE | {"moduleHash"}, PATCHED),
    "v500-android": ("aka-tegu-sdk37-TEE_MAX_USAGE_COUNT", SOFTWARE | {"moduleHash"}, PATCHED),
}

recorded_only = pytest.mark.skipif(not VECTORS.is_dir(), reason="the recorded evidence isn't here")


def lab_chain(setup: PhoneSetup, app: InstalledAndroidApp, kind: str) -> list[bytes]:
    """Return the chain of a phone of the lab, as DER."""
    phone = PHONES[kind].build(app, setup)
    assert isinstance(phone, AndroidPhone)
    return list(phone.certificate_chain(CHALLENGE))


def recorded_chain(name: str) -> list[bytes]:
    """Return a recorded chain, as DER; the parser refuses some leaves, so that none is parsed."""
    rows = json.loads((VECTORS / "index.json").read_text(encoding="utf-8"))
    (row,) = [row for row in rows if row["id"] == name]
    blocks = (VECTORS / row["file"]).read_text(encoding="ascii").split("-----END CERTIFICATE-----")
    return [
        ssl.PEM_cert_to_DER_cert(block.strip() + "\n-----END CERTIFICATE-----\n")
        for block in blocks[:-1]
    ]


def shape_of(issuers: list[bytes]) -> list[tuple[str, set[str], frozenset[str]]]:
    """Return what SHAPES tells of the certificates above a leaf."""
    shapes = []
    for data in issuers:
        certificate = x509.load_der_x509_certificate(data)
        key = certificate.public_key()
        if isinstance(key, ec.EllipticCurvePublicKey):
            kind = f"P-{key.key_size}"
        else:
            assert isinstance(key, rsa.RSAPublicKey)
            kind = f"RSA-{key.key_size}"
        # Organisation, unit and country hold the vendor's name, or the marker of the lab.
        named = {each.oid.dotted_string for each in certificate.subject} & {CN, TITLE, SERIAL}
        extensions = {each.oid.dotted_string for each in certificate.extensions}
        shapes.append((kind, named, frozenset(extensions & LOOKED_AT)))
    return shapes


def lists_of(leaf: bytes) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return both lists of a leaf's KeyDescription."""
    described = describe_leaf(leaf)
    return described["softwareEnforced"], described["hardwareEnforced"]


@pytest.mark.parametrize("kind", sorted(SHAPES))
def test_chains_of_the_lab_have_the_recorded_shape(
    setup: PhoneSetup, android_app: InstalledAndroidApp, kind: str
) -> None:
    """Length, keys, names and extensions above the leaf are those of the real twin."""
    assert shape_of(lab_chain(setup, android_app, kind)[1:]) == SHAPES[kind]


@recorded_only
@pytest.mark.parametrize(("kind", "device"), sorted(TWINS.items()))
def test_recorded_chains_have_that_shape(kind: str, device: str) -> None:
    """The table says what real devices send."""
    assert shape_of(recorded_chain(device)[1:]) == SHAPES[kind]


@pytest.mark.parametrize("kind", sorted(LISTS))
def test_key_descriptions_of_the_lab_have_the_recorded_tags(
    setup: PhoneSetup, android_app: InstalledAndroidApp, kind: str
) -> None:
    """Each version states what it must, in the right list, and nothing that came later."""
    software, hardware = lists_of(lab_chain(setup, android_app, kind)[0])
    _, in_software, in_hardware = LISTS[kind]
    assert set(software) == in_software | {"creationDateTime", "_tagsAscending"}
    assert set(hardware) == in_hardware | {"ecCurve", "_tagsAscending"}
    assert hardware["otherTags"] == {"503": "0500"}


@recorded_only
@pytest.mark.parametrize("kind", sorted(LISTS))
def test_recorded_key_descriptions_have_those_tags(kind: str) -> None:
    """Whatever else a real device states, it states these, in these lists."""
    device, in_software, in_hardware = LISTS[kind]
    software, hardware = lists_of(recorded_chain(device)[0])
    assert set(software) >= in_software
    assert set(hardware) >= in_hardware
    later = {"vendorPatchLevel", "bootPatchLevel", "moduleHash"}
    assert not (set(software) | set(hardware)) & (later - in_software - in_hardware)
    assert hardware["otherTags"] == {"503": "0500"}


@recorded_only
def test_provisioning_information_is_what_google_writes(
    setup: PhoneSetup, android_app: InstalledAndroidApp
) -> None:
    """A CBOR map of the number of certificates and the maker's name, under the same keys."""
    written = []
    for chain in (
        lab_chain(setup, android_app, "rkp-android"),
        recorded_chain("aka-tegu-sdk36-TEE_EC_2026_ROOT"),
    ):
        extensions = x509.load_der_x509_certificate(chain[1]).extensions
        extension = extensions.get_extension_for_oid(x509.ObjectIdentifier(PROVISIONING)).value
        assert isinstance(extension, x509.UnrecognizedExtension)
        written.append(cbor2.loads(extension.value))
    lab, real = written
    assert list(lab) == list(real) == [1, 3]
    assert [type(value) for value in lab.values()] == [type(value) for value in real.values()]


@recorded_only
def test_a_huawei_leaf_has_the_recorded_extensions(
    setup: PhoneSetup, android_app: InstalledAndroidApp
) -> None:
    """The extension of a zero byte stands between the same two; the key above isn't marked as a CA."""
    for chain in (lab_chain(setup, android_app, "huawei-android"), recorded_chain("gos-ALP_L29")):
        assert bytes.fromhex("30080603551d1f040100") in chain[0]
        attestation = x509.load_der_x509_certificate(chain[1]).extensions
        assert not attestation.get_extension_for_class(x509.BasicConstraints).value.ca
        usage = attestation.get_extension_for_class(x509.KeyUsage).value
        assert usage.digital_signature
        assert not usage.key_cert_sign


@recorded_only
def test_a_titan_m_leaf_has_the_recorded_bytes_too_many(
    setup: PhoneSetup, android_app: InstalledAndroidApp
) -> None:
    """Both algorithm identifiers have the NULL, as on a Pixel 5."""
    stray = bytes.fromhex("300c06082a8648ce3d0403020500")
    for leaf in (
        lab_chain(setup, android_app, "titan-m-android")[0],
        recorded_chain("gos-Pixel_5-strongbox")[0],
    ):
        assert leaf.count(stray) == 2


@pytest.mark.parametrize("kind", sorted(SHAPES))
def test_sizes_are_those_of_real_chains(
    setup: PhoneSetup, android_app: InstalledAndroidApp, kind: str
) -> None:
    """Real chains have up to 5.6 kB, and no certificate more than about 1.5 kB."""
    sizes = [len(data) for data in lab_chain(setup, android_app, kind)]
    assert max(sizes) < 1500
    assert 1_500 < sum(sizes) < 5_600
