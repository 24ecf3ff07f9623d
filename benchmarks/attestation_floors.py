"""Carry out the same checks with as little code as can be: what verification costs in any case.

A floor knows which bytes stand where, believes that evidence is well-formed, and says nothing but yes: it
has no caps, no reasons and no reports.  What it leaves out is ours; what it checks, everybody must.
Issuers that were verified before are known by SHA-256 of their bytes, keys of the configuration are loaded.
"""

import base64
import hashlib
import hmac
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import cbor2
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.keywrap import aes_key_unwrap
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_public_key,
)

_NONCE = x509.ObjectIdentifier("1.2.840.113635.100.8.2")
_ES256 = ECDSA(SHA256())
_KEY_DESCRIPTION = bytes.fromhex("060a2b06010401d679020111")


def require(holds: bool) -> None:
    """Raise unless a check holds."""
    if not holds:
        raise SystemExit("the floor refused evidence of the benchmark")


@dataclass(frozen=True)
class Known:
    """Hold an issuer that was verified before."""

    key: Any
    until: datetime
    serials: tuple[str, ...] = ()


# App Attest


def app_attest(
    attestation: bytes,
    key_id: bytes,
    binding: bytes,
    app_id: str,
    aaguid: bytes,
    known: Mapping[bytes, Known],
    now: datetime,
) -> None:
    """Carry out Apple's nine steps, with one signature under P-384."""
    document = cbor2.loads(attestation)
    require(document["fmt"] == "apple-appattest")
    raw = document["authData"]
    leaf_der, issuer_der = document["attStmt"]["x5c"]
    issuer = known[hashlib.sha256(issuer_der).digest()]
    leaf = x509.load_der_x509_certificate(leaf_der)
    algorithm = leaf.signature_hash_algorithm
    require(algorithm is not None)
    assert algorithm is not None
    issuer.key.verify(leaf.signature, leaf.tbs_certificate_bytes, ECDSA(algorithm))
    require(leaf.not_valid_before_utc <= now <= min(leaf.not_valid_after_utc, issuer.until))
    extensions = leaf.extensions
    require(not extensions.get_extension_for_class(x509.BasicConstraints).value.ca)
    nonce = extensions.get_extension_for_oid(_NONCE).value.public_bytes()[6:]
    require(hmac.compare_digest(nonce, hashlib.sha256(raw + binding).digest()))
    point = leaf.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    require(hmac.compare_digest(hashlib.sha256(point).digest(), key_id))
    require(hmac.compare_digest(raw[:32], hashlib.sha256(app_id.encode()).digest()))
    require(raw[33:37] == b"\0\0\0\0")
    require(raw[37:53] == aaguid)
    size = int.from_bytes(raw[53:55], "big")
    require(hmac.compare_digest(raw[55 : 55 + size], key_id))
    cose = {1: 2, 3: -7, -1: 1, -2: point[1:33], -3: point[33:]}
    require(cbor2.loads(raw[55 + size :]) == cose)


def receipt(content: bytes, signature: bytes, signer: EllipticCurvePublicKey) -> None:
    """Verify a receipt whose signer is known, without reading it: one signature under P-256."""
    signer.verify(signature, content, _ES256)


def assertion(data: bytes, statement: bytes, public_key: bytes, app_id: str) -> int:
    """Carry out Apple's steps on an assertion; the key is loaded from its bytes, as it is in a store."""
    document = cbor2.loads(data)
    raw = document["authenticatorData"]
    nonce = hashlib.sha256(raw + hashlib.sha256(statement).digest()).digest()
    key = load_der_public_key(public_key)
    assert isinstance(key, EllipticCurvePublicKey)
    key.verify(document["signature"], nonce, _ES256)
    require(hmac.compare_digest(raw[:32], hashlib.sha256(app_id.encode()).digest()))
    return int.from_bytes(raw[33:37], "big")


# Android


def _elements(data: bytes, at: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """Yield tag, start, start of the content and end of each DER element."""
    while at < end:
        start, tag = at, data[at]
        at += 1
        if tag & 0x1F == 0x1F:
            tag = 0
            while True:
                byte = data[at]
                tag = tag << 7 | byte & 0x7F
                at += 1
                if byte < 0x80:
                    break
        size = data[at]
        at += 1
        if size > 0x80:
            wide = at + (size & 0x7F)
            size, at = int.from_bytes(data[at:wide], "big"), wide
        yield tag, start, at, at + size
        at += size


def android_key(
    chain: tuple[bytes, ...],
    binding: bytes,
    known: Mapping[bytes, Known],
    revoked: Mapping[str, str],
    now: datetime,
) -> None:
    """Verify leaf and attestation key under a known issuer: two signatures under P-256."""
    above = hashlib.sha256()
    for data in chain[:1:-1]:
        above.update(data)
    issuer = known[above.digest()]
    attester = x509.load_der_x509_certificate(chain[1])
    issuer.key.verify(attester.signature, attester.tbs_certificate_bytes, _ES256)
    require(attester.not_valid_before_utc <= now <= min(attester.not_valid_after_utc, issuer.until))
    require(attester.extensions.get_extension_for_class(x509.BasicConstraints).value.ca)
    require(_KEY_DESCRIPTION not in chain[1])
    leaf = chain[0]
    ((_, _, outer, outer_end),) = _elements(leaf, 0, len(leaf))
    tbs, _algorithm, signature = _elements(leaf, outer, outer_end)
    key = attester.public_key()
    assert isinstance(key, EllipticCurvePublicKey)
    key.verify(leaf[signature[2] + 1 : signature[3]], leaf[tbs[1] : tbs[3]], _ES256)
    fields = list(_elements(leaf, tbs[2], tbs[3]))
    serial = leaf[fields[1][2] : fields[1][3]].hex().lstrip("0")
    serials = (serial, format(attester.serial_number, "x"), *issuer.serials)
    require(not any(each in revoked for each in serials))
    load_der_public_key(leaf[fields[6][1] : fields[6][3]])
    description = next(
        content for name, content in _extensions(leaf, fields[-1]) if name == _KEY_DESCRIPTION
    )
    _judge_description(description, binding)


def _extensions(data: bytes, tagged: tuple[int, int, int, int]) -> Iterator[tuple[bytes, bytes]]:
    ((_, _, start, end),) = _elements(data, tagged[2], tagged[3])
    for _, _, begin, finish in _elements(data, start, end):
        members = list(_elements(data, begin, finish))
        name, content = members[0], members[-1]
        yield data[name[1] : name[3]], data[content[2] : content[3]]


def _judge_description(data: bytes, binding: bytes) -> None:
    ((_, _, start, end),) = _elements(data, 0, len(data))
    members = list(_elements(data, start, end))
    require(data[members[1][2]] in {1, 2} and data[members[3][2]] in {1, 2})
    challenge = data[members[4][2] : members[4][3]]
    require(hmac.compare_digest(challenge, binding))
    software, hardware = (
        {tag: data[at:to] for tag, _, at, to in _elements(data, each[2], each[3])}
        for each in members[6:]
    )
    ((_, _, start, end),) = _elements(hardware[704], 0, len(hardware[704]))
    root = list(_elements(hardware[704], start, end))
    require(hardware[704][root[1][2]] != 0 and hardware[704][root[2][2]] == 0)
    require(hardware[702][-1] == 0)
    purposes = hardware[0xA1]
    require(b"\x02\x01\x02" in purposes)
    ((_, _, start, end),) = _elements(software[709], 0, len(software[709]))
    ((_, _, start, end),) = _elements(software[709], start, end)
    packages, digests = _elements(software[709], start, end)
    require(packages[3] > packages[2] and digests[3] > digests[2])


# Play Integrity


def play_token(
    token: bytes,
    decryption_key: bytes,
    verification_key: EllipticCurvePublicKey,
    package: str,
    binding: bytes,
    now: datetime,
) -> None:
    """Open a token and look at what every verdict must say."""
    header, wrapped, vector, sealed, tag = token.split(b".")
    content_key = aes_key_unwrap(decryption_key, _b64(wrapped))
    cipher = AESGCM(content_key)
    inner = cipher.decrypt(_b64(vector), _b64(sealed) + _b64(tag), header)
    signing_input, _, signature = inner.rpartition(b".")
    raw = _b64(signature)
    pair = encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
    verification_key.verify(pair, signing_input, _ES256)
    payload = json.loads(_b64(signing_input.partition(b".")[2]))
    request = payload["requestDetails"]
    require(request["requestPackageName"] == package)
    require(hmac.compare_digest(_b64(request["requestHash"].encode()), binding))
    require(abs(now.timestamp() - int(request["timestampMillis"]) / 1000) < 600)
    app = payload["appIntegrity"]
    require(app["appRecognitionVerdict"] == "PLAY_RECOGNIZED" and app["packageName"] == package)
    require("MEETS_DEVICE_INTEGRITY" in payload["deviceIntegrity"]["deviceRecognitionVerdict"])


def _b64(data: bytes) -> bytes:
    return base64.urlsafe_b64decode(data + b"=" * (-len(data) % 4))
