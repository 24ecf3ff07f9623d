"""Hold what the iOS SDK's stand-in for CryptoKit is tested with to what another library says."""

import hashlib
import hmac
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from scripts.sdk import ROOT

FILE = ROOT / "sdk" / "ios" / "Tests" / "ShimTests" / "cases.json"
CASES: dict[str, list[dict[str, Any]]] = json.loads(FILE.read_text(encoding="utf-8"))


def _bytes(case: dict[str, Any]) -> dict[str, bytes]:
    return {name: bytes.fromhex(value) for name, value in case.items() if isinstance(value, str)}


def _public(point: bytes) -> ec.EllipticCurvePublicKey:
    return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)


def _holds(kind: str, case: dict[str, Any]) -> bool:
    said = _bytes(case)
    if kind == "hash":
        return hashlib.sha256(said["data"]).digest() == said["digest"]
    if kind == "hmac":
        return hmac.digest(said["key"], said["data"], "sha256") == said["code"]
    if kind == "hkdf":
        derived = HKDF(SHA256(), case["count"], said["salt"] or None, said["info"])
        return hashlib.sha256(derived.derive(said["material"])).digest() == said["digest"]
    if kind == "gcm":
        sealed = AESGCM(said["key"]).encrypt(said["nonce"], said["message"], said["data"])
        return sealed == said["sealed"]
    if kind == "agree":
        key = ec.derive_private_key(int(case["scalar"], 16), ec.SECP256R1())
        own = key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        secret = key.exchange(ec.ECDH(), _public(said["point"]))
        return (own, secret) == (said["own"], said["secret"])
    _public(said["point"]).verify(said["der"], said["message"], ec.ECDSA(SHA256()))
    raw = b"".join(part.to_bytes(32, "big") for part in decode_dss_signature(said["der"]))
    return raw == said["raw"]


@pytest.mark.parametrize("kind", ["hash", "hmac", "hkdf", "gcm", "agree", "verify"])
def test_cases_are_what_another_library_says(kind: str) -> None:
    """Each, and at least three of each kind."""
    assert len(CASES[kind]) >= 3
    assert [case for case in CASES[kind] if not _holds(kind, case)] == []


def test_every_length_of_a_signature_is_there() -> None:
    """A number whose first bit is set has a byte more in DER, a small one fewer: each is read and written."""
    lengths = {len(bytes.fromhex(case["der"])) for case in CASES["verify"]}
    assert lengths == {69, 70, 71, 72}
    assert CASES.keys() == {"hash", "hmac", "hkdf", "gcm", "agree", "verify"}
