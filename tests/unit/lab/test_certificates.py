"""Look at the authorities with the tools of others."""

import base64
import itertools
import json
import time
from datetime import UTC, datetime
from operator import attrgetter

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from watchword.lab import MARKER, LabAuthorities
from watchword.lab.android_authorities import Emulated, Factory, Remote, Root, Supply
from watchword.lab.certificates import Authority, Issuer
from watchword.lab.keys import derive_decimal_serial, derive_rsa_key

PAIRS = [
    ("apple_intermediate", "apple_root", "secp384r1"),
    ("android.software_intermediate", "android.software_root", "secp256r1"),
    ("apple_root", "apple_root", "secp384r1"),
    ("android.root", "android.root", "secp384r1"),
    ("android.software_root", "android.software_root", "secp256r1"),
]
NAMES = sorted({name for name, _, _ in PAIRS})
SUPPLIES: list[Supply] = [
    Emulated(),
    *(
        Factory(title=title, root=root, ended=ended)
        for title in ("TEE", "StrongBox")
        for root in Root
        for ended in (False, True)
    ),
    *(
        Remote(title=title, root=root, ended=ended, with_root=with_root)
        for title in ("TEE", "StrongBox")
        for root in Root
        for ended in (False, True)
        for with_root in (False, True)
    ),
]
NOW = datetime(2026, 11, 24, tzinfo=UTC)


def authority_of(lab: LabAuthorities, name: str) -> Authority:
    """Return an authority by its dotted name."""
    found = attrgetter(name)(lab)
    assert isinstance(found, Authority)
    return found


@pytest.mark.parametrize(("child", "parent", "curve"), PAIRS)
def test_each_authority_is_issued_by_its_parent(
    authorities: LabAuthorities, child: str, parent: str, curve: str
) -> None:
    """Names chain and signatures verify, as cryptography sees them."""
    issued, issuer = authority_of(authorities, child), authority_of(authorities, parent)
    issued.certificate.verify_directly_issued_by(issuer.certificate)
    assert issuer.key.curve.name == curve


@pytest.mark.parametrize("name", NAMES)
def test_authorities_are_marked_and_may_only_sign_certificates(
    authorities: LabAuthorities, name: str
) -> None:
    """A person who reads a name sees the lab; extensions are those of an authority."""
    certificate = authority_of(authorities, name).certificate
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
    authority = authority_of(authorities, name)
    private = authority.key.private_numbers().private_value
    for text in (repr(authorities), repr(authority)):
        assert "PrivateKey" not in text
        assert str(private) not in text
        assert "seed" not in text


def test_one_seed_gives_one_lab_to_the_byte() -> None:
    """A run can be repeated: names, serials, keys and signatures come from the seed."""
    one, two = (LabAuthorities.from_seed(b"s" * 32) for _ in range(2))
    for name in NAMES:
        assert authority_of(one, name).der == authority_of(two, name).der
    for supply in SUPPLIES:
        first, second = (lab.android.issuers(supply, "phone", NOW) for lab in (one, two))
        assert first[1] == second[1]


def test_two_seeds_share_no_key_and_no_certificate(authorities: LabAuthorities) -> None:
    """Whoever runs another lab isn't trusted by this one."""
    other = LabAuthorities.from_seed(b"another seed, of 32 bytes, or so")
    keys = [
        authority_of(lab, name).key.private_numbers().private_value
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
    """The lab's roots, and the emulators' root under a kind that vouches for nothing."""
    android = authorities.android
    roots: dict[tuple[str, str], list[Issuer]] = {
        ("apple-app-attest", "lab"): [authorities.apple_root],
        ("apple-receipt", "lab"): [authorities.receipts.root],
        ("android-key", "lab"): [android.root, android.rsa_root],
        ("android-key", "software"): [android.software_root],
    }
    anchors = authorities.anchors()
    assert len(anchors) == sum(map(len, roots.values()))
    for (vendor, kind), expected in roots.items():
        found = [each for each in anchors if (each.vendor, each.kind) == (vendor, kind)]
        for anchor, root in zip(found, expected, strict=True):
            public = root.certificate.public_key()
            assert anchor.spki == public.public_bytes(
                Encoding.DER, PublicFormat.SubjectPublicKeyInfo
            )
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


@pytest.mark.parametrize("supply", SUPPLIES, ids=str)
def test_every_supply_is_a_marked_chain_to_a_root(
    authorities: LabAuthorities, supply: Supply
) -> None:
    """However a phone came by its key, each certificate is signed by the next, and says what it is."""
    issuer, ders = authorities.android.issuers(supply, "phone", NOW)
    chain = [x509.load_der_x509_certificate(der) for der in ders]
    assert chain[0] == issuer.certificate
    for child, parent in itertools.pairwise(chain):
        child.verify_directly_issued_by(parent)
    assert all(MARKER in certificate.subject.rfc4514_string() for certificate in chain)
    android = authorities.android
    assert chain[-1].issuer in [
        root.certificate.subject for root in (android.root, android.rsa_root, android.software_root)
    ]


@pytest.mark.parametrize("seed", [bytes([number]) * 32 for number in range(8)])
def test_a_derived_rsa_key_signs_what_others_verify(seed: bytes) -> None:
    """4096 bits, the same each time, and an ordinary signature."""
    key, again = derive_rsa_key(seed, "root"), derive_rsa_key(seed, "root")
    public = key.public_key()
    assert public == again.public_key()
    assert key.key_size == 4096
    public.verify(
        key.sign(b"data", padding.PKCS1v15(), hashes.SHA256()),
        b"data",
        padding.PKCS1v15(),
        hashes.SHA256(),
    )
    assert derive_rsa_key(seed, "other").public_key() != public


def test_serials_that_look_decimal_are_hex(authorities: LabAuthorities) -> None:
    """All digits of the hex are decimal ones; read as decimal it would be another number."""
    serial = derive_decimal_serial(authorities.seed, "batch")
    assert format(serial, "x").isdecimal()
    assert int(format(serial, "x")) != serial
    assert serial.bit_length() < 128


def test_a_lab_is_made_piece_by_piece() -> None:
    """Nothing is made before it is needed, so that commands start at once."""
    start = time.perf_counter()
    lab = LabAuthorities.from_seed(b"a seed that no other test has")
    assert time.perf_counter() - start < 0.01
    assert set(vars(lab)) == {"seed"}
    assert lab.android.root is lab.android.root
    assert set(vars(lab)) == {"seed", "android"}
    assert set(vars(lab.android)) == {"seed", "root"}
