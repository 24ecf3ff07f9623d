"""Test how pins are read, and taken of certificates and keys."""

import hashlib
import subprocess
from base64 import b64encode
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from hypothesis import example, given
from hypothesis import strategies as st
from tests.unit.pins.builders import certificate, key, pem, spki

from watchword.encoding import base64url
from watchword.pins.interface import (
    MAX_FILE_BYTES,
    PinError,
    certificates_of,
    pin_of_certificate,
    pin_of_file,
    pin_of_spki,
    pins_of_chain,
    read_pin,
)
from watchword.reasons import Reason

PIN = spki("A")
DER, PEM = Encoding.DER, Encoding.PEM
SPKI = PublicFormat.SubjectPublicKeyInfo


@pytest.mark.parametrize(
    "text",
    [
        f"sha256/{b64encode(PIN).decode()}",
        f"sha256//{b64encode(PIN).decode()}",
        f"SHA256/{b64encode(PIN).decode()}",
        b64encode(PIN).decode(),
        b64encode(PIN).decode().rstrip("="),
        base64url.encode(PIN),
        base64url.encode(PIN) + "=",
        PIN.hex(),
        PIN.hex().upper(),
        PIN.hex(":"),
        f"  {PIN.hex()}\n",
    ],
)
def test_every_usual_form_of_a_pin_is_read(text: str) -> None:
    """OkHttp's, curl's, Android's, ours and hexadecimal give the same 32 bytes."""
    assert read_pin(text) == PIN


SLASHED = bytes([0xFC]) + PIN[1:]
"""One pin in 64 begins with a slash in base64."""


@pytest.mark.parametrize("prefix", ["sha256/", "sha256//", "SHA256/", ""])
@pytest.mark.parametrize("padding", ["=", ""])
def test_a_pin_that_begins_with_a_slash_keeps_it(prefix: str, padding: str) -> None:
    """It isn't taken for the second slash that curl writes, nor that one for the pin's own."""
    text = b64encode(SLASHED).decode()
    assert text.startswith("/")
    assert read_pin(prefix + text.rstrip("=") + padding) == SLASHED


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "0 characters"),
        ("sha256/", "0 characters"),
        (b64encode(PIN[:31]).decode(), "expected 44"),
        (b64encode(PIN + b"x").decode(), "expected 44"),
        (b64encode(hashlib.sha1(b"").digest()).decode(), "28 characters"),
        ("sha1/" + b64encode(PIN).decode(), "expected SHA-256"),
        ("sha512/" + b64encode(PIN).decode(), "expected SHA-256"),
        (PIN.hex()[:-1], "63 characters"),
        ("é" * 43, "isn't base64"),
        ("A" * 42 + "B", "isn't base64"),
        (b64encode(PIN).decode() + "==", "expected 44"),
        ("A" * 100_000, "100000 characters"),
    ],
)
def test_anything_else_is_refused_and_told_as_what_it_is(text: str, told: str) -> None:
    """A pin of the wrong length or digest never becomes one of the right length."""
    with pytest.raises(PinError) as caught:
        read_pin(text)
    assert caught.value.reason is Reason.PINS_PIN_MALFORMED
    assert told in caught.value.detail


@given(st.text(max_size=100))
def test_no_text_raises_anything_foreign(text: str) -> None:
    """Whatever is read is 32 bytes, or refused as a pin."""
    with suppress(PinError):
        assert len(read_pin(text)) == 32


def test_pin_is_the_one_that_openssl_computes(tmp_path: Path) -> None:
    """The pipeline of every how-to gives the same pin."""
    (tmp_path / "leaf.pem").write_bytes(pem(certificate()))
    command = (
        "openssl x509 -in leaf.pem -pubkey -noout | openssl pkey -pubin -outform DER"
        " | openssl dgst -sha256 -binary"
    )
    wanted = subprocess.run(command, shell=True, cwd=tmp_path, capture_output=True, check=True)
    assert pin_of_certificate(certificate().public_bytes(DER)) == wanted.stdout
    assert pin_of_file(pem(certificate())) == wanted.stdout


def test_renewed_certificate_has_the_same_pin_and_another_key_has_not() -> None:
    """That is what pins of keys are for."""
    first, renewed, other = certificate(), certificate(days=60), certificate(of="B")
    of = [pin_of_certificate(each.public_bytes(DER)) for each in (first, renewed, other)]
    assert of[0] == of[1] != of[2]


@pytest.mark.parametrize("kind", ["rsa", "ed25519", "p256"])
def test_pin_of_any_kind_of_key_is_the_hash_of_its_encoding(kind: str) -> None:
    """RSA and Edwards keys have pins too, in a certificate, a request and alone."""
    private: Any = key("A").private
    if kind == "rsa":
        private = rsa.generate_private_key(65537, 2048)
    elif kind == "ed25519":
        private = ed25519.Ed25519PrivateKey.generate()
    digest = None if kind == "ed25519" else SHA256()
    name = x509.Name([])
    request = x509.CertificateSigningRequestBuilder().subject_name(name).sign(private, digest)
    encoded = private.public_key().public_bytes(DER, SPKI)
    issued = (
        x509.CertificateBuilder(name, name, private.public_key(), 1)
        .not_valid_before(datetime(2026, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2027, 1, 1, tzinfo=UTC))
        .sign(private, digest)
    )
    wanted = hashlib.sha256(encoded).digest()
    assert pin_of_spki(encoded) == wanted
    for data in (
        encoded,
        private.public_key().public_bytes(PEM, SPKI),
        request.public_bytes(DER),
        request.public_bytes(PEM),
        issued.public_bytes(DER),
        issued.public_bytes(PEM),
    ):
        assert pin_of_file(data) == wanted


def test_private_key_is_refused_by_its_name() -> None:
    """Whoever picks up the wrong file is told so, also when the public half stands beside it."""
    private = key("A").private.private_bytes(PEM, PrivateFormat.PKCS8, NoEncryption())
    for data in (private, pem(certificate()) + private):
        with pytest.raises(PinError, match="private key"):
            pin_of_file(data)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"hello",
        b"\x30\x00",
        b"-----BEGIN CERTIFICATE-----\nAAAA",
        b"-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n",
        b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        b"-----BEGIN PUBLIC KEY-----\nMAA=\n-----END PUBLIC KEY-----\n",
        b"-----BEGIN PGP MESSAGE-----\nAAAA\n-----END PGP MESSAGE-----\n",
        certificate().public_bytes(DER)[:-1],
        certificate().public_bytes(DER) + b"\0",
        bytes(MAX_FILE_BYTES + 1),
    ],
)
def test_malformed_files_are_refused_as_such(data: bytes) -> None:
    """Cut, empty, foreign or oversized input is a clear fault in each reader."""
    for read in (pin_of_file, certificates_of, pins_of_chain):
        with pytest.raises(PinError):
            read(data)


def test_certificates_come_in_order_and_no_more_than_wanted() -> None:
    """A chain of 100 certificates is refused before any of them is read."""
    leaf, root = certificate(), certificate(of="B")
    assert certificates_of(pem(leaf, root)) == (leaf, root)
    assert certificates_of(leaf.public_bytes(DER)) == (leaf,)
    assert pins_of_chain(pem(leaf, root)) == tuple(
        pin_of_certificate(each.public_bytes(DER)) for each in (leaf, root)
    )
    with pytest.raises(PinError, match="got 100 certificates, expected at most 12"):
        certificates_of(pem(leaf) * 100)
    assert len(certificates_of(pem(leaf) * 100, most=100)) == 100


def test_certificate_without_a_version_has_a_pin_too() -> None:
    """Version 1 leaves the field out, as some old roots do; a version that there isn't is refused."""
    data = certificate().public_bytes(DER)
    version = bytes.fromhex("a003020102")
    assert data.count(version) == 1
    shortened = bytearray(data.replace(version, b""))
    # Both lengths around it: of the certificate in two bytes, of what is signed in one.
    shortened[2:4] = (int.from_bytes(shortened[2:4]) - len(version)).to_bytes(2)
    shortened[6] -= len(version)
    assert pin_of_certificate(bytes(shortened)) == pin_of_certificate(data)
    with pytest.raises(PinError, match="can't be read"):
        certificates_of(data.replace(version, bytes.fromhex("a003020101")))


@example(b"\x01", 11)
@given(st.binary(max_size=200), st.integers(0, 300))
def test_mutated_certificates_raise_nothing_foreign(noise: bytes, at: int) -> None:
    """Overwritten bytes give a pin or a clear fault."""
    data = certificate().public_bytes(DER)
    mutated = data[:at] + noise + data[at + len(noise) :]
    for read in (pin_of_certificate, pin_of_file, certificates_of):
        with suppress(PinError):
            assert read(mutated)
