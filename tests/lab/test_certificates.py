"""Look at the authorities with the tools of others."""

import base64
import json

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from watchword.lab import MARKER, LabAuthorities
from watchword.lab.certificates import Authority

PAIRS = [
    ("apple_intermediate", "apple_root", "secp384r1"),
    ("android_intermediate", "android_root", "secp384r1"),
    ("android_batch", "android_intermediate", "secp384r1"),
    ("software_intermediate", "software_root", "secp256r1"),
    ("apple_root", "apple_root", "secp384r1"),
    ("android_root", "android_root", "secp384r1"),
    ("software_root", "software_root", "secp256r1"),
]
NAMES = sorted({name for name, _, _ in PAIRS})


@pytest.mark.parametrize(("child", "parent", "curve"), PAIRS)
def test_each_authority_is_issued_by_its_parent(
    authorities: LabAuthorities, child: str, parent: str, curve: str
) -> None:
    """Names chain and signatures verify, as cryptography sees them."""
    issued: Authority = getattr(authorities, child)
    issuer: Authority = getattr(authorities, parent)
    issued.certificate.verify_directly_issued_by(issuer.certificate)
    assert issuer.key.curve.name == curve


@pytest.mark.parametrize("name", NAMES)
def test_authorities_are_marked_and_may_only_sign_certificates(
    authorities: LabAuthorities, name: str
) -> None:
    """A person who reads a name sees the lab; extensions are those of an authority."""
    certificate = getattr(authorities, name).certificate
    assert MARKER in certificate.subject.rfc4514_string()
    assert "not for production" in MARKER
    extensions = certificate.extensions
    assert extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    usage = extensions.get_extension_for_class(x509.KeyUsage).value
    assert usage.key_cert_sign
    assert not usage.digital_signature


@pytest.mark.parametrize("name", NAMES)
def test_keys_are_in_no_repr(authorities: LabAuthorities, name: str) -> None:
    """Neither the whole lab nor one authority prints its key or seed."""
    authority: Authority = getattr(authorities, name)
    private = authority.key.private_numbers().private_value
    for text in (repr(authorities), repr(authority)):
        assert "PrivateKey" not in text
        assert str(private) not in text
        assert "seed" not in text


def test_one_seed_gives_one_lab_to_the_byte() -> None:
    """A run can be repeated: names, serials, keys and signatures come from the seed."""
    one, two = (LabAuthorities.from_seed(b"s" * 32) for _ in range(2))
    for name in NAMES:
        assert getattr(one, name).der == getattr(two, name).der


def test_two_seeds_share_no_key_and_no_certificate(authorities: LabAuthorities) -> None:
    """Whoever runs another lab isn't trusted by this one."""
    other = LabAuthorities.from_seed(b"another seed, of 32 bytes, or so")
    keys = [
        getattr(lab, name).key.private_numbers().private_value
        for lab in (authorities, other)
        for name in NAMES
    ]
    assert len(set(keys)) == 2 * len(NAMES)
    assert authorities.anchors() != other.anchors()


def test_a_seed_that_can_be_guessed_is_refused() -> None:
    """Fewer than 16 bytes make no lab."""
    with pytest.raises(ValueError, match="at least 16"):
        LabAuthorities.from_seed(b"x" * 15)


def test_anchors_are_the_roots_by_key_and_name(authorities: LabAuthorities) -> None:
    """Two lab roots, and the emulators' root under a kind that vouches for nothing."""
    roots = [authorities.apple_root, authorities.android_root, authorities.software_root]
    anchors = authorities.anchors()
    assert [(anchor.vendor, anchor.kind) for anchor in anchors] == [
        ("apple-app-attest", "lab"),
        ("android-key", "lab"),
        ("android-key", "software"),
    ]
    for anchor, root in zip(anchors, roots, strict=True):
        public = root.certificate.public_key()
        assert anchor.spki == public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        assert anchor.subject == root.certificate.subject.public_bytes()


def test_the_anchors_document_says_the_same_in_json(authorities: LabAuthorities) -> None:
    """What is written to a file is what the lab trusts, and holds no private key."""
    document = json.loads(json.dumps(authorities.anchors_document()))
    assert document["kind"] == "lab"
    for row, anchor in zip(document["anchors"], authorities.anchors(), strict=True):
        assert set(row) == {"name", "vendor", "kind", "spki", "subject"}
        assert (row["name"], row["vendor"], row["kind"]) == (
            anchor.name,
            anchor.vendor,
            anchor.kind,
        )
        assert base64.b64decode(row["spki"], validate=True) == anchor.spki
        assert base64.b64decode(row["subject"], validate=True) == anchor.subject
