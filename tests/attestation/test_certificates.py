"""Certificates are read leniently, the same as another parser reads them, and verified strictly."""

from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st
from tests.attestation import forge

from watchword.attestation.certificates import (
    Certificate,
    is_p256_signature,
    load_p256,
    p256_point,
    read_certificate,
)
from watchword.encoding import der
from watchword.reasons import MalformedError, Reason

ISSUER = forge.certify(forge.name(common_name="issuer"), None)
PARTY = forge.certify(
    forge.name(serial_number="batch", title="TEE", common_name="x"),
    ISSUER,
    path_length=3,
    serial=0x00D50FF25BA3F2D6B3,
    extensions=[(forge.KEY_DESCRIPTION, b"content")],
)


def test_reads_what_another_parser_reads() -> None:
    """Each field is that of ``cryptography``."""
    found, other = read_certificate(PARTY.der), PARTY.certificate
    assert found.tbs == other.tbs_certificate_bytes
    assert found.signature == other.signature
    assert found.serial_hex == "d50ff25ba3f2d6b3"
    assert found.issuer == other.issuer.public_bytes()
    assert found.subject == other.subject.public_bytes()
    assert found.window() == (other.not_valid_before_utc, other.not_valid_after_utc)
    assert found.spki == forge.spki(PARTY.key)
    assert found.algorithm == other.signature_algorithm_oid.dotted_string
    assert list(found.extensions) == [each.oid.dotted_string for each in other.extensions]
    assert found.basic_constraints() == (True, 3)
    assert found.may_sign_certificates() is True
    assert found.subject_attributes() == {"2.5.4.5": "batch", "2.5.4.12": "TEE", "2.5.4.3": "x"}


def test_absent_extensions() -> None:
    """Without basicConstraints it is no CA; without keyUsage nothing is said."""
    found = read_certificate(forge.certify(forge.name(), None, ca=None, signs=None).der)
    assert found.basic_constraints() == (False, None)
    assert found.may_sign_certificates() is None


def rebuilt(
    change: Callable[[list[bytes]], None], *, outer_algorithm: bytes | None = None
) -> bytes:
    """Return the certificate with the members of its signed part changed."""
    tbs, algorithm, signature = der.sequence(der.read(PARTY.der))
    members = [member.raw for member in der.sequence(tbs)]
    change(members)
    signed = forge.tlv(0x30, *members)
    return forge.tlv(0x30, signed, outer_algorithm or algorithm.raw, signature.raw)


def test_stray_null_in_the_algorithm_is_read() -> None:
    """Titan M writes ECDSA's identifier with a NULL that ``cryptography`` refuses to read."""
    identifier = der.sequence(der.read(PARTY.der))[1]
    with_null = forge.tlv(0x30, identifier.content, b"\x05\x00")

    def change(members: list[bytes]) -> None:
        members[2] = with_null

    found = read_certificate(rebuilt(change, outer_algorithm=with_null))
    assert found.algorithm == "1.2.840.10045.4.3.2"
    assert isinstance(ISSUER.key, ec.EllipticCurvePrivateKey)
    signature = ISSUER.key.sign(found.tbs, ec.ECDSA(hashes.SHA256()))
    outer = forge.tlv(0x30, found.tbs, with_null, forge.tlv(0x03, b"\x00", signature))
    assert read_certificate(outer).is_signed_by(forge.spki(ISSUER.key))


def test_two_algorithms_in_one_certificate() -> None:
    """The outer identifier isn't signed, so that it must say what the inner one says."""
    other = forge.tlv(0x30, bytes.fromhex("06082a8648ce3d040303"))
    with pytest.raises(MalformedError) as caught:
        read_certificate(rebuilt(lambda members: None, outer_algorithm=other))
    assert caught.value.reason is Reason.ENCODING_DER


def test_extension_twice() -> None:
    """Of two extensions of one name a parser may take either, so that neither is taken."""

    def change(members: list[bytes]) -> None:
        content = der.sequence(der.explicit(der.read(members[-1])))
        members[-1] = forge.tagged(3, forge.tlv(0x30, *(item.raw for item in content * 2)))

    with pytest.raises(MalformedError):
        read_certificate(rebuilt(change))


def test_too_large() -> None:
    """A certificate is capped before it is read."""
    with pytest.raises(MalformedError):
        read_certificate(forge.tlv(0x30, b"\x00" * 17_000))


def test_signatures_under_right_and_wrong_keys() -> None:
    """Only the issuer's own key verifies; another one, another kind, and garbage are a plain no."""
    found = read_certificate(PARTY.der)
    assert found.is_signed_by(forge.spki(ISSUER.key))
    edwards = ed25519.Ed25519PrivateKey.generate().public_key()
    for key in (
        forge.spki(forge.p256()),
        forge.spki(ec.generate_private_key(ec.SECP384R1())),
        forge.spki(forge.rsa_key()),
        edwards.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        b"",
        b"garbage",
    ):
        assert not found.is_signed_by(key)


@pytest.mark.parametrize("digest", [hashes.SHA256(), hashes.SHA384(), hashes.SHA512()])
@pytest.mark.parametrize("kind", ["p256", "p384", "rsa"])
def test_algorithms(digest: hashes.SHA256 | hashes.SHA384 | hashes.SHA512, kind: str) -> None:
    """ECDSA and RSA with SHA-2 are verified, by any issuer's key."""
    key: forge.PrivateKey = forge.p256()
    if kind == "p384":
        key = ec.generate_private_key(ec.SECP384R1())
    elif kind == "rsa":
        key = forge.rsa_key()
    root = forge.certify(forge.name(common_name="root"), None, key=key, digest=digest)
    assert read_certificate(root.der).is_signed_by(forge.spki(key))


def test_weak_algorithm_is_refused() -> None:
    """A signature with SHA-1 verifies under nothing."""
    key = forge.rsa_key()
    sha1 = forge.tlv(0x30, bytes.fromhex("06092a864886f70d010105"), b"\x05\x00")

    def change(members: list[bytes]) -> None:
        members[2] = sha1

    found = read_certificate(rebuilt(change, outer_algorithm=sha1))
    signature = key.sign(found.tbs, padding.PKCS1v15(), hashes.SHA1())
    signed = forge.tlv(0x30, found.tbs, sha1, forge.tlv(0x03, b"\x00", signature))
    assert not read_certificate(signed).is_signed_by(forge.spki(key))


def test_p256_keys() -> None:
    """Keys on P-256 are told from all others, and loaded only when on the curve."""
    key = forge.p256()
    good = forge.spki(key)
    assert p256_point(good) == forge.point(key)
    assert load_p256(good) is not None
    compressed = key.public_key().public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
    for bad in (
        forge.spki(ec.generate_private_key(ec.SECP256K1())),
        forge.spki(forge.rsa_key()),
        good[:-1],
        good + b"\x00",
        good[:26] + compressed,
        b"",
    ):
        assert p256_point(bad) is None
        assert load_p256(bad) is None
    off_the_curve = good[:-1] + bytes([good[-1] ^ 1])
    assert load_p256(off_the_curve) is None
    assert not is_p256_signature(off_the_curve, b"", b"")


@given(st.data())
def test_mutations_raise_nothing_but_malformed(data: st.DataObject) -> None:
    """A certificate with bytes changed anywhere is read or refused, and never verifies."""
    bent = bytearray(PARTY.der)
    at = data.draw(st.integers(0, len(bent) - 1))
    bent[at] ^= data.draw(st.integers(1, 255))
    try:
        found = read_certificate(bytes(bent))
        reads: list[Callable[[], object]] = [
            found.window,
            found.basic_constraints,
            found.may_sign_certificates,
            found.subject_attributes,
        ]
        for read in reads:
            read()
    except MalformedError:
        return
    assert isinstance(found, Certificate)
    same = found.tbs == PARTY.certificate.tbs_certificate_bytes
    assert same or not found.is_signed_by(forge.spki(ISSUER.key))
