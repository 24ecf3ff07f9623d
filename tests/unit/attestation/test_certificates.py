"""Certificates are read leniently, the same as another parser reads them, and verified strictly."""

from collections.abc import Callable
from hashlib import sha256

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.attestation import forge

from watchword.attestation.certificates import (
    MAX_EXTENSIONS,
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


RSA_PARTY = read_certificate(forge.certify(forge.name(), None, key=forge.rsa_key()).der)


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


@pytest.mark.parametrize(
    ("constraints", "usage", "is_ca", "signs"),
    [
        ("30060101ff020103", "03020204", True, True),
        ("3003010101", "03020780", True, False),
        ("3003010100", "030100", False, False),
        ("3003020101", "0300", False, False),
        ("3000", "04020204", False, False),
    ],
)
def test_authority_is_read_as_der(
    constraints: str, usage: str, *, is_ca: bool, signs: bool
) -> None:
    """Only a BOOLEAN that is true makes a CA, only a bit in a BIT STRING lets it sign."""
    extensions = [
        (x509.ObjectIdentifier("2.5.29.19"), bytes.fromhex(constraints)),
        (x509.ObjectIdentifier("2.5.29.15"), bytes.fromhex(usage)),
    ]
    party = forge.certify(forge.name(), None, ca=None, signs=None, extensions=extensions)
    found = read_certificate(party.der)
    assert found.basic_constraints()[0] is is_ca
    assert found.may_sign_certificates() is signs


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


def test_stray_null_in_one_of_the_two_identifiers() -> None:
    """Parameters aren't judged, but what isn't signed must equal what is."""
    identifier = der.sequence(der.read(PARTY.der))[1]
    with_null = forge.tlv(0x30, identifier.content, b"\x05\x00")
    with pytest.raises(MalformedError):
        read_certificate(rebuilt(lambda members: None, outer_algorithm=with_null))


def test_algorithm_that_is_empty() -> None:
    """An identifier without an object identifier names nothing."""

    def change(members: list[bytes]) -> None:
        members[2] = b"\x30\x00"

    with pytest.raises(MalformedError):
        read_certificate(rebuilt(change, outer_algorithm=b"\x30\x00"))


@pytest.mark.parametrize("serial", [b"\x02\x00", b"\x04\x01\x01", b"\x02\x41" + b"\x01" * 65])
def test_serial_is_an_integer(serial: bytes) -> None:
    """A serial that isn't a number of some size could be found in no list of withdrawn ones."""

    def change(members: list[bytes]) -> None:
        members[1] = serial

    with pytest.raises(MalformedError):
        read_certificate(rebuilt(change))


def test_validity_of_three_dates() -> None:
    """A validity has two dates; more, or none, aren't one."""
    for dates in (b"", b"\x17\x0d260101000000Z" * 3):

        def change(members: list[bytes], dates: bytes = dates) -> None:
            members[4] = forge.tlv(0x30, dates)

        with pytest.raises(MalformedError):
            read_certificate(rebuilt(change))


def test_extension_of_four_members() -> None:
    """An extension is a name, perhaps a flag, and a content: with more it has two contents."""
    rows = forge.tlv(0x30, b"\x06\x01\x2a", b"\x01\x01\xff", forge.tlv(0x04), forge.tlv(0x04))

    def change(members: list[bytes]) -> None:
        members[-1] = forge.tagged(3, forge.tlv(0x30, rows))

    with pytest.raises(MalformedError):
        read_certificate(rebuilt(change))


def test_thousands_of_extensions() -> None:
    """Extensions are capped, and still read up to the cap."""

    def with_extensions(count: int) -> bytes:
        rows = (
            forge.tlv(0x30, forge.tlv(0x06, bytes([0x2A, at])), forge.tlv(0x04))
            for at in range(count)
        )

        def change(members: list[bytes]) -> None:
            members[-1] = forge.tagged(3, forge.tlv(0x30, *rows))

        return rebuilt(change)

    assert len(read_certificate(with_extensions(MAX_EXTENSIONS)).extensions) == MAX_EXTENSIONS
    with pytest.raises(MalformedError):
        read_certificate(with_extensions(MAX_EXTENSIONS + 1))


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
    for size in (16_000, 17_000):
        padding = [(forge.KEY_DESCRIPTION, b"x" * size)]
        data = forge.certify(forge.name(), None, extensions=padding).der
        if size == 16_000:
            assert read_certificate(data).der == data
        else:
            with pytest.raises(MalformedError):
                read_certificate(data)


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


def test_keys_that_no_vendor_signs_with() -> None:
    """Other curves and huge RSA keys verify nothing, however right the signature is."""
    odd = ec.generate_private_key(ec.SECP521R1())
    root = forge.certify(forge.name(common_name="root"), None, key=odd)
    assert not read_certificate(root.der).is_signed_by(forge.spki(odd))
    for bits, verifies in ((4096, True), (4104, False)):
        spki, signature = rsa_of_size(bits, RSA_PARTY.tbs)
        assert RSA_PARTY._replace(signature=signature).is_signed_by(spki) is verifies


@pytest.mark.parametrize(("exponent", "verifies"), [(2**32 - 5, True), (2**32 + 15, False)])
def test_long_exponents_verify_nothing(exponent: int, verifies: bool) -> None:
    """A stranger could choose one as long as the modulus, which makes each signature cost 10 ms."""
    private = forge.rsa_key().private_numbers()
    modulus = private.public_numbers.n
    message = RSA_PARTY.tbs
    digest = bytes.fromhex("3031300d060960864801650304020105000420") + sha256(message).digest()
    filling = b"\xff" * (modulus.bit_length() // 8 - 3 - len(digest))
    padded = int.from_bytes(b"\x00\x01" + filling + b"\x00" + digest)
    power = pow(exponent, -1, (private.p - 1) * (private.q - 1))
    signature = pow(padded, power, modulus).to_bytes(modulus.bit_length() // 8)
    key = rsa.RSAPublicNumbers(exponent, modulus).public_key()
    spki = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert RSA_PARTY._replace(signature=signature).is_signed_by(spki) is verifies


def rsa_of_size(bits: int, message: bytes) -> tuple[bytes, bytes]:
    """Return an RSA key with exponent 3, made to fit a signature, and that signature.

    Nobody needs the factors of a modulus that is the cube of the signature less the padded digest.
    """
    digest = bytes.fromhex("3031300d060960864801650304020105000420") + sha256(message).digest()
    padded = b"\x00\x01" + b"\xff" * (bits // 8 - 3 - len(digest)) + b"\x00" + digest
    low, high = 0, 1 << (bits // 3 + 1)
    while low < high:
        middle = (low + high) // 2
        low, high = (middle + 1, high) if middle**3 < 1 << (bits - 1) else (low, middle)
    signature = low + 2**64
    signature += (signature + int.from_bytes(padded, "big") + 1) % 2
    modulus = signature**3 - int.from_bytes(padded, "big")
    key = forge.tlv(0x30, forge.integer(modulus), forge.integer(3))
    kind = forge.tlv(0x30, bytes.fromhex("06092a864886f70d010101"), b"\x05\x00")
    spki = forge.tlv(0x30, kind, forge.tlv(0x03, b"\x00", key))
    return spki, signature.to_bytes(bits // 8, "big")


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
        forge.tlv(0x30, good[2:23], forge.tlv(0x03, b"\x00" + compressed)),
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
    mutated = bytearray(PARTY.der)
    at = data.draw(st.integers(0, len(mutated) - 1))
    mutated[at] ^= data.draw(st.integers(1, 255))
    try:
        found = read_certificate(bytes(mutated))
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
