"""Signatures: certificates of all schemes, and what rules ask of them."""

import hashlib
import struct
import zipfile
from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import pkcs7
from cryptography.x509.oid import NameOID
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.scan.android.builders import content_digest, prefixed, signers, with_signing_block
from tests.unit.scan.archive.builders import built

from watchword.encoding import der
from watchword.scan.android.binary import AndroidFormatError
from watchword.scan.android.signatures import (
    MOST_SIGNERS,
    UNKNOWN,
    SchemeSigners,
    changed_since_signed,
    describe,
    read_signing_block,
    signature_files,
)
from watchword.scan.android.signatures import signers as jar_signers

V2, V3, V31, PADDING = 0x7109871A, 0xF05368C0, 0x1B93AD61, 0x42726577
END = datetime(2040, 1, 2, tzinfo=UTC)
RSA_KEY = rsa.generate_private_key(65537, 1024)
EC_KEY = ec.generate_private_key(ec.SECP256R1())


def _certificate(
    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey, name: str
) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = x509.CertificateBuilder(
        subject, subject, key.public_key(), x509.random_serial_number()
    )
    builder = builder.not_valid_before(datetime(2020, 1, 1, tzinfo=UTC)).not_valid_after(END)
    return builder.sign(key, hashes.SHA256())


def _der(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.DER)


SIGNER, AUTHORITY = _certificate(RSA_KEY, "signer"), _certificate(EC_KEY, "authority")
CMS = (
    pkcs7.PKCS7SignatureBuilder()
    .set_data(b"signed")
    .add_signer(SIGNER, RSA_KEY, hashes.SHA256())
    .add_certificate(AUTHORITY)
    .sign(
        serialization.Encoding.DER,
        [pkcs7.PKCS7Options.DetachedSignature, pkcs7.PKCS7Options.NoAttributes],
    )
)
PACKAGE = built({"AndroidManifest.xml": b"m"})


def _block(*pairs: tuple[int, bytes], comment: bytes = b"") -> tuple[SchemeSigners, ...]:
    package = built({"a": b"m"}, comment=comment)
    return read_signing_block(memoryview(with_signing_block(package, pairs)))


def test_schemes_are_read_the_latest_first() -> None:
    """Shows the first certificate of each signer for v2, v3 and v3.1, whatever else the block holds."""
    found = _block(
        (V2, signers([b"old", b"authority"], [b"second"])),
        (PADDING, bytes(100)),
        (V3, signers([b"old"])),
        (V31, signers([b"new"])),
        comment=b"PK\x05\x06 not an end",
    )
    assert found == (
        SchemeSigners("v3.1", (b"new",)),
        SchemeSigners("v3", (b"old",)),
        SchemeSigners("v2", (b"old", b"second")),
    )


def test_a_package_without_a_block_has_no_scheme() -> None:
    """Shows that an ordinary archive, an empty one and junk state nothing."""
    for package in (PACKAGE, built({}), b"", b"PK\x05\x06", b"junk" * 100):
        assert read_signing_block(memoryview(package)) == ()


def test_a_damaged_signer_is_told_beside_those_that_were_read() -> None:
    """Shows that one damaged signer doesn't hide another, nor the scheme."""
    (found,) = _block((V2, signers([b"first"])[4:] + b"\xff\xff\xff\x00"))
    assert found.damage
    (found,) = _block((V2, prefixed(signers([b"first"])[4:] + b"\xff\xff\xff\x00")))
    assert found.certificates == (b"first",)
    assert found.damage
    (found,) = _block((V2, prefixed()))
    assert (found.certificates, bool(found.damage)) == ((), True)


def test_signers_are_bounded() -> None:
    """Shows that no more signers are read than the system takes."""
    (found,) = _block((V2, signers(*[[b"x"]] * (MOST_SIGNERS + 1))))
    assert len(found.certificates) == MOST_SIGNERS
    assert found.damage


@pytest.mark.parametrize("change", ["footer", "header", "pair"])
def test_a_block_with_wrong_sizes_is_refused(change: str) -> None:
    """Shows that a damaged block isn't taken for none."""
    package = bytearray(with_signing_block(PACKAGE, [(V2, signers([b"x"]))]))
    footer = package.index(b"APK Sig Block 42") - 8
    (size,) = struct.unpack_from("<Q", package, footer)
    header = footer + 24 - size - 8
    at = {"footer": footer, "header": header, "pair": header + 8}[change]
    struct.pack_into("<Q", package, at, 2**62)
    with pytest.raises(AndroidFormatError):
        read_signing_block(memoryview(bytes(package)))


@settings(max_examples=200)
@given(st.data())
def test_flipped_bytes_raise_nothing_foreign(data: st.DataObject) -> None:
    """Shows that a damaged block or CMS message is read or refused, and a certificate always told of."""
    package = with_signing_block(PACKAGE, [(V2, signers([b"x"], [b"y"])), (V3, signers([b"x"]))])
    for whole in (package, CMS, _der(SIGNER)):
        changed = bytearray(whole)
        places = st.tuples(st.integers(0, len(changed) - 1), st.integers(0, 255))
        for at, byte in data.draw(st.lists(places, min_size=1, max_size=4)):
            changed[at] = byte
        try:
            read_signing_block(memoryview(bytes(changed)))
            [describe(each) for each in jar_signers(bytes(changed))]
        except AndroidFormatError:
            continue
        finally:
            told = describe(bytes(changed))
            assert told.sha256 == hashlib.sha256(changed).hexdigest()


def test_a_jar_signature_gives_the_signers_certificate_only() -> None:
    """Shows that an authority's certificate in the message isn't taken for a signer's."""
    assert jar_signers(CMS) == [_der(SIGNER)]


def test_a_signer_whose_name_is_written_otherwise_is_found_by_its_number() -> None:
    """Shows that the issuer in another type of string, as some tools write it, still finds the certificate."""
    name = b"\x0c\x06signer"
    at = CMS.rindex(name)
    changed = CMS[:at] + b"\x13" + CMS[at + 1 :]
    assert jar_signers(changed) == [_der(SIGNER)]


def test_a_signature_without_its_certificate_is_refused() -> None:
    """Shows that a message whose signer isn't in it, a cut one and junk are told, not taken for no signature."""
    options = [
        pkcs7.PKCS7Options.DetachedSignature,
        pkcs7.PKCS7Options.NoAttributes,
        pkcs7.PKCS7Options.NoCerts,
    ]
    builder = pkcs7.PKCS7SignatureBuilder().set_data(b"signed")
    bare = builder.add_signer(SIGNER, RSA_KEY, hashes.SHA256()).sign(
        serialization.Encoding.DER, options
    )
    for data in (bare, CMS[:-1], b"", b"junk", b"\x30\x00", CMS + bytes(70_000)):
        with pytest.raises(AndroidFormatError):
            jar_signers(data)


def test_signature_files_need_what_they_sign() -> None:
    """Shows that a key file without its .SF, or elsewhere, is no signature."""
    names = [
        "META-INF/B.RSA",
        "META-INF/b.sf",
        "META-INF/A.EC",
        "META-INF/A.SF",
        "META-INF/C.DSA",
        "X.RSA",
        "X.SF",
    ]
    assert signature_files(names) == ["META-INF/A.EC", "META-INF/B.RSA"]


def test_a_certificate_is_described() -> None:
    """Shows digest, subject, kind and bits of the key, hash and end."""
    found = describe(_der(SIGNER))
    assert found.sha256 == SIGNER.fingerprint(hashes.SHA256()).hex()
    assert (found.subject, found.key, found.bits) == ("CN=signer", "RSA", 1024)
    assert (found.signature_hash, found.not_after) == ("sha256", END)
    assert (describe(_der(AUTHORITY)).key, describe(_der(AUTHORITY)).bits) == ("EC", 256)


def test_a_weak_hash_and_a_short_key_are_told() -> None:
    """Shows MD5 and a key of 512 bits, which no library makes any more: both written into a certificate."""
    changed = _der(SIGNER).replace(
        bytes.fromhex("2a864886f70d01010b"), bytes.fromhex("2a864886f70d010104")
    )
    assert describe(changed).signature_hash == "md5"
    found = describe(_with_short_key(_der(SIGNER)))
    assert (found.subject, found.key, found.bits) == ("CN=signer", "RSA", 512)


def _with_short_key(certificate: bytes) -> bytes:
    tbs, *rest = der.sequence(der.read(certificate))
    parts = list(der.sequence(tbs))
    algorithm = der.sequence(parts[6])[0].raw
    key = _element(0x30, _element(0x02, b"\x00" + b"\xff" * 64), _element(0x02, b"\x03"))
    fields = [each.raw for each in parts]
    fields[6] = _element(0x30, algorithm, _element(0x03, b"\x00", key))
    return _element(0x30, _element(0x30, *fields), *(each.raw for each in rest))


def _element(tag: int, *content: bytes) -> bytes:
    whole = b"".join(content)
    size = len(whole)
    length = (
        [size] if size < 0x80 else [0x81, size] if size < 0x100 else [0x82, size >> 8, size & 0xFF]
    )
    return bytes([tag, *length]) + whole


def test_what_isnt_a_certificate_keeps_its_digest() -> None:
    """Shows that a certificate that can't be read is still named by its digest."""
    found = describe(b"junk")
    assert (found.key, found.bits, len(found.sha256)) == (UNKNOWN, None, 64)


def _signed(digest: bytes | None, algorithm: int = 0x0103) -> tuple[bytes, SchemeSigners]:
    """Return a package of some chunks whose only signer states a digest, and what is read of it."""
    package = built({"a": bytes(range(256)) * 9000}, method=zipfile.ZIP_STORED, comment=b"end")
    stated = {} if digest is None else {algorithm: digest}
    signed = with_signing_block(package, [(V2, signers([b"certificate"], digests=stated))])
    (found,) = read_signing_block(memoryview(signed))
    return signed, found


@pytest.mark.parametrize(("algorithm", "name"), [(0x0103, "sha256"), (0x0202, "sha512")])
def test_a_package_is_compared_with_the_digest_that_was_signed(algorithm: int, name: str) -> None:
    """Shows a change of any part of it: entries, directory, end record."""
    plain = built({"a": bytes(range(256)) * 9000}, method=zipfile.ZIP_STORED, comment=b"end")
    signed, found = _signed(content_digest(plain, name), algorithm)
    assert changed_since_signed(memoryview(signed), [found]) == ()
    directory = signed.rindex(b"PK\x01\x02")
    for at in (100, 2**20 + 5, directory + 12, len(signed) - 1):
        other = bytearray(signed)
        other[at] ^= 1
        assert changed_since_signed(memoryview(bytes(other)), [found]) == ("v2",)


def test_a_digest_that_is_not_there_or_of_another_kind_is_not_compared() -> None:
    """Shows that nothing is said of what wasn't compared: no digest, or one over a tree of hashes."""
    for signed, found in (_signed(None), _signed(bytes(40), 0x0421)):
        assert changed_since_signed(memoryview(signed + b"\0"), [found]) == ()


@given(st.binary(max_size=60))
@settings(max_examples=200)
def test_digests_that_are_damaged_are_told(stated: bytes) -> None:
    """Shows that a stranger's digests are read or are damage, and nothing else."""
    signer = prefixed(
        prefixed(prefixed(stated), prefixed(prefixed(b"c")), prefixed()), prefixed(), prefixed()
    )
    (found,) = _block((V2, prefixed(signer)))
    assert found.damage or all(isinstance(kind, int) for kind, _ in found.digests)
