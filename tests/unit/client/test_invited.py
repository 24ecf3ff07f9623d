"""Hold the device of test instances to what the client asks of devices."""

import json
from hashlib import sha256
from typing import Any

import pytest
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePublicKey
from cryptography.hazmat.primitives.hashes import SHA256

from watchword.client import CodeSpentError, Device, TestInstanceDevice
from watchword.encoding import base64url
from watchword.tokens.jose import public_key_from_jwk

CODE = "wwt_" + "A" * 44
SUITE = hpke.Suite(hpke.KEM.P256, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_128_GCM)


def proof_key(device: Device) -> EllipticCurvePublicKey:
    """Return the public proof key."""
    assert device.proof_jwk is not None
    return public_key_from_jwk(device.proof_jwk)


def test_evidence_binds_the_code_to_the_key() -> None:
    """The code goes with a signature over label and binding, by the key of the statement."""
    device: Device = TestInstanceDevice(CODE)
    binding = sha256(b"statement").digest()
    evidence = device.attest(binding)
    assert evidence.keys() == {"format", "code", "key_signature"}
    assert (evidence["format"], evidence["code"]) == ("operator_code", CODE)
    signature = base64url.decode(evidence["key_signature"])
    proof_key(device).verify(signature, b"watchword/test/v1\x00" + binding, ECDSA(SHA256()))


def test_renewal_and_requests_are_signed_by_the_same_key() -> None:
    """A renewal has its own label; a request is signed as it is."""
    device = TestInstanceDevice(CODE)
    evidence = device.renew(b"statement")
    assert evidence.keys() == {"format", "signature"}
    message = b"watchword/renew/v1\x00statement"
    key = proof_key(device)
    key.verify(base64url.decode(evidence["signature"]), message, ECDSA(SHA256()))
    key.verify(device.sign(b"request"), b"request", ECDSA(SHA256()))


def test_what_was_sealed_is_opened_and_nothing_else() -> None:
    """Another info, another key and bytes of no form raise ValueError."""
    device = TestInstanceDevice(CODE)
    sealed = SUITE.encrypt(b"secret", public_key_from_jwk(device.seal_jwk), b"info")
    assert device.open_sealed(b"info", sealed) == b"secret"
    other = TestInstanceDevice(CODE)
    for who, info, what in (
        (device, b"other", sealed),
        (other, b"info", sealed),
        (device, b"info", sealed[:-1]),
        (device, b"info", b""),
    ):
        with pytest.raises(ValueError):
            who.open_sealed(info, what)


def test_new_keys_are_new() -> None:
    """Each enrolment has keys of its own; the two keys aren't the same."""
    device = TestInstanceDevice(CODE)
    before = (dict(device.proof_jwk), dict(device.seal_jwk))
    device.create_keys()
    assert len({str(jwk) for jwk in (*before, device.proof_jwk, device.seal_jwk)}) == 4


def test_keys_come_back_without_the_code() -> None:
    """An export that went through JSON has the same keys; it can't enrol, and stays as it is."""
    device = TestInstanceDevice(CODE)
    document = json.loads(json.dumps(device.export()))
    assert CODE[4:] not in json.dumps(document)
    again = TestInstanceDevice.from_export(document)
    assert (again.proof_jwk, again.seal_jwk) == (device.proof_jwk, device.seal_jwk)
    proof_key(device).verify(again.sign(b"m"), b"m", ECDSA(SHA256()))
    with pytest.raises(CodeSpentError):
        again.create_keys()
    with pytest.raises(CodeSpentError):
        again.attest(bytes(32))
    assert again.proof_jwk == device.proof_jwk


@pytest.mark.parametrize(
    "change",
    [
        {"v": 2},
        {"v": None},
        {"proof_key": None},
        {"proof_key": ""},
        {"proof_key": "AA"},
        {"proof_key": "!" * 43},
        {"proof_key": base64url.encode(bytes(32))},
        {"proof_key": base64url.encode(b"\xff" * 32)},
        {"seal_key": 7},
    ],
    ids=str,
)
def test_other_documents_are_refused(change: dict[str, Any]) -> None:
    """What is no export raises ValueError and never shows what it held."""
    document = TestInstanceDevice(CODE).export() | change
    with pytest.raises(ValueError) as caught:
        TestInstanceDevice.from_export(document)
    assert document["seal_key"] == 7 or document["seal_key"] not in str(caught.value)


@pytest.mark.parametrize("document", [None, [], "x", 7, {}], ids=str)
def test_what_is_no_document_is_refused(document: Any) -> None:
    """Whatever a file held raises ValueError alone."""
    with pytest.raises(ValueError):
        TestInstanceDevice.from_export(document)


def test_neither_code_nor_key_is_in_a_repr() -> None:
    """A device in a log gives nothing away."""
    device = TestInstanceDevice(CODE)
    assert "A" * 10 not in repr(device)
    assert device.export()["proof_key"] not in repr(device)
