"""Make small suites in each published layout, with keys of their own."""

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding
from tests.unit.attestation import forge

from watchword.encoding import base64url
from watchword.tokens.jose import jwk_from_public_key
from watchword_conformance.suites.interface import SuiteFile

KEY = ec.derive_private_key(31, ec.SECP256R1())
MESSAGE = b"message"
NOW = 1_795_527_130


def file(name: str, content: Any) -> SuiteFile:
    """Return a file; what isn't bytes is written as JSON."""
    data = content if isinstance(content, bytes) else json.dumps(content).encode()
    return SuiteFile(PurePosixPath(name), data)


def fixed_width(message: bytes, key: ec.EllipticCurvePrivateKey = KEY) -> bytes:
    """Return r and s side by side."""
    size = (key.curve.key_size + 7) // 8
    r, s = decode_dss_signature(key.sign(message, ec.ECDSA(hashes.SHA256())))
    return r.to_bytes(size) + s.to_bytes(size)


def jws(header: Mapping[str, Any], claims: bytes, *, right: bool = True) -> str:
    """Return a JWS under the key."""
    parts = (json.dumps(header).encode(), claims)
    signing_input = ".".join(map(base64url.encode, parts))
    signature = fixed_width(signing_input.encode() if right else b"something else")
    return f"{signing_input}.{base64url.encode(signature)}"


def tests(key: str, *cases: tuple[Any, str]) -> list[dict[str, Any]]:
    """Return Wycheproof's tests of (value, result)."""
    return [
        {"tcId": number, "result": result, key: value}
        for number, (value, result) in enumerate(cases, 1)
    ]


def jose() -> SuiteFile:
    """Return a right and a wrong ES256 signature, one with an extension, another algorithm, a JWE."""
    jwk = {**jwk_from_public_key(KEY.public_key()), "kid": "k", "alg": "ES256", "use": "sig"}
    header = {"alg": "ES256", "kid": "k"}
    good, bad = jws(header, b"x"), jws(header, b"x", right=False)
    encrypting = {**jwk, "use": "enc"}
    crit = jws({**header, "crit": ["exp"]}, b"x")
    groups = [
        {"comment": "a", "public": jwk, "tests": tests("jws", (good, "valid"), (bad, "invalid"))},
        {"comment": "f", "public": jwk, "tests": tests("jws", (crit, "invalid"))},
        {"comment": "b", "public": encrypting, "tests": tests("jws", (good, "invalid"))},
        {"comment": "c", "public": {"kty": "RSA"}, "tests": tests("jws", (good, "valid"))},
        {"comment": "d", "tests": tests("jwe", ("a.b.c.d.e", "valid"))},
        {"comment": "e", "public": {"keys": [jwk, jwk]}, "tests": tests("jws", (good, "valid"))},
    ]
    return file("json_web_x.json", {"schema": "json_web_x.json", "testGroups": groups})


def jwt() -> SuiteFile:
    """Return a good token, one for somebody else, one without a signature, one that a policy decides on."""
    jwk = {**jwk_from_public_key(KEY.public_key()), "kid": "k1", "alg": "ES256", "use": "sig"}
    header = {"alg": "ES256", "kid": "k1", "typ": "JWT"}

    def claims(audience: str) -> bytes:
        members = {"sub": "app", "exp": NOW + 300, "iat": NOW, "aud": audience}
        return json.dumps(members).encode()

    good = jws(header, claims("api"))
    cases = {
        "good": {"token": good, "must": "accept"},
        "audience": {"token": jws(header, claims("other")), "must": "reject"},
        "none": {"token": jws({**header, "alg": "none"}, claims("api")), "must": "reject"},
        "forged": {"token": jws(header, claims("api"), right=False), "must": "reject"},
        "payload 10MB": {"token": None, "must": "reject"},
        "type": {"token": jws({**header, "cty": "JWT"}, claims("api")), "must": "policy"},
    }
    suite = {"jwks": {"keys": [jwk]}, "audience": "api", "now": NOW, "cases": cases}
    return file("attacks.json", suite)


def spki(key: Any) -> str:
    """Return a key's SubjectPublicKeyInfo in hexadecimal."""
    public = key.public_key()
    der: bytes = public.public_bytes(Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return der.hex()


def signed(*cases: tuple[bytes, str]) -> list[dict[str, Any]]:
    """Return tests of signatures over the message."""
    made = tests("sig", *((signature.hex(), result) for signature, result in cases))
    return [{**test, "msg": MESSAGE.hex()} for test in made]


def signatures() -> SuiteFile:
    """Return a group of each kind: P1363 and DER on P-256, DER on P-521, RSA, EdDSA."""
    point = KEY.public_key().public_bytes(
        Encoding.X962, serialization.PublicFormat.UncompressedPoint
    )
    public = {"curve": "secp256r1", "uncompressed": point.hex()}
    common = {"publicKey": public, "publicKeyDer": spki(KEY), "sha": "SHA-256"}
    der = KEY.sign(MESSAGE, ec.ECDSA(hashes.SHA256()))
    side, rsa, edwards = fixed_width(MESSAGE), forge.rsa_key(), Ed25519PrivateKey.generate()
    odd = ec.generate_private_key(ec.SECP521R1())
    odd_der = odd.sign(MESSAGE, ec.ECDSA(hashes.SHA256()))
    by_rsa = rsa.sign(MESSAGE, padding.PKCS1v15(), hashes.SHA256())
    groups = [
        {
            "type": "EcdsaP1363Verify",
            **common,
            "tests": signed((side, "valid"), (bytes(64), "invalid"), (der, "invalid")),
        },
        {"type": "EcdsaVerify", **common, "tests": signed((der, "valid"), (side, "invalid"))},
        {
            "type": "EcdsaVerify",
            **common,
            "publicKey": {"curve": "secp521r1"},
            "publicKeyDer": spki(odd),
            "tests": signed((odd_der, "valid")),
        },
        {
            "type": "RsassaPkcs1Verify",
            "sha": "SHA-256",
            "keySize": 2048,
            "publicKeyDer": spki(rsa),
            "tests": signed((by_rsa, "valid"), (by_rsa[:-1], "invalid"), (b"", "acceptable")),
        },
        {
            "type": "EddsaVerify",
            "publicKeyDer": spki(edwards),
            "tests": signed((edwards.sign(MESSAGE), "valid")),
        },
    ]
    return file("signatures.json", {"testGroups": groups})


def macs() -> SuiteFile:
    """Return a right and a wrong MAC, a shortened one, one under a long key."""

    def test(key: bytes, tag: bytes, result: str) -> dict[str, Any]:
        parts = {"key": key, "msg": MESSAGE, "tag": tag}
        shown: dict[str, Any] = {name: value.hex() for name, value in parts.items()}
        return {**shown, "tcId": 1, "result": result}

    short, long = b"k" * 32, b"k" * 65
    tag = hmac.digest(short, MESSAGE, "sha256")
    groups = [
        (256, 256, test(short, tag, "valid")),
        (256, 256, test(short, bytes(32), "invalid")),
        (256, 128, test(short, tag[:16], "valid")),
        (520, 256, test(long, hmac.digest(long, MESSAGE, "sha256"), "valid")),
    ]
    made = [
        {"type": "MacTest", "keySize": key, "tagSize": size, "tests": [case]}
        for key, size, case in groups
    ]
    return file("hmac.json", {"algorithm": "HMACSHA256", "testGroups": made})


def aeads() -> SuiteFile:
    """Return a right and a wrong tag of A256GCM, and a key of another size."""
    groups = []
    for bits, bend in ((256, 0), (256, 1), (128, 0)):
        key = bytes(range(bits // 8))
        sealed = AESGCM(key).encrypt(bytes(12), MESSAGE, b"aad")
        tag = bytes([sealed[-16] ^ bend]) + sealed[-15:]
        parts = {"key": key, "iv": bytes(12), "aad": b"aad", "msg": MESSAGE, "ct": sealed[:-16]}
        test: dict[str, Any] = {name: value.hex() for name, value in {**parts, "tag": tag}.items()}
        test |= {"tcId": 1, "result": "invalid" if bend else "valid"}
        sizes = {"keySize": bits, "ivSize": 96, "tagSize": 128}
        groups.append({"type": "AeadTest", **sizes, "tests": [test]})
    return file("aead.json", {"algorithm": "AES-GCM", "testGroups": groups})


def fields() -> SuiteFile:
    """Return a field that must fail, one that may, one that is valid, and one for serialising."""
    cases = [
        {"name": "a", "header_type": "item", "raw": ['"'], "must_fail": True},
        {"name": "b", "header_type": "item", "raw": [":aGVsbG8:"], "can_fail": True},
        {"name": "c", "header_type": "dictionary", "raw": ["a=1", "b=2"], "expected": []},
        {"name": "d", "header_type": "item", "expected": [1, []]},
    ]
    return file("item.json", cases)


def der(party: forge.Party) -> bytes:
    """Return a certificate's bytes."""
    return party.certificate.public_bytes(Encoding.DER)


def chain() -> tuple[forge.Party, forge.Party, forge.Party, forge.Party]:
    """Return a root, an issuer, a leaf, and a leaf by an issuer that is no CA."""
    root = forge.certify(forge.name(common_name="root"), None)
    issuer = forge.certify(forge.name(common_name="issuer"), root)
    leaf = forge.certify(forge.name(common_name="leaf"), issuer, ca=False, signs=False)
    forged = forge.certify(forge.name(common_name="further"), leaf, ca=False, signs=False)
    return root, issuer, leaf, forged


def pem(party: forge.Party) -> str:
    """Return a certificate as PEM."""
    return party.certificate.public_bytes(Encoding.PEM).decode()


def limbo() -> SuiteFile:
    """Return a chain that holds, one by a leaf, one of names that aren't compared, and a pile."""
    root, issuer, leaf, forged = chain()

    def case(name: str, result: str, peer: forge.Party, *others: forge.Party) -> dict[str, Any]:
        return {
            "id": name,
            "expected_result": result,
            "peer_certificate": pem(peer),
            "trusted_certs": [pem(root)],
            "untrusted_intermediates": [pem(each) for each in others],
            "validation_time": forge.NOW.isoformat(),
        }

    cases = [
        case("good", "SUCCESS", leaf, issuer),
        case("forged", "FAILURE", forged, leaf, issuer),
        case("webpki::san::mismatch", "FAILURE", leaf, issuer),
        case("pile", "SUCCESS", leaf, forged, issuer),
    ]
    return file("limbo.json", {"version": 1, "testcases": cases})


def bettertls() -> SuiteFile:
    """Return a chain that holds, one by a leaf, and one that names constrain."""
    root, issuer, leaf, forged = chain()

    def case(number: int, suite: str, expected: str, *parties: forge.Party) -> dict[str, Any]:
        ders = [base64.b64encode(der(each)).decode() for each in parties]
        stated = {"id": number, "suite": suite, "expected": expected}
        return {**stated, "certificates": ders, "requiredFeatures": []}

    cases = [
        case(1, "pathbuilding", "ACCEPT", leaf, issuer),
        case(2, "pathbuilding", "REJECT", forged, leaf, issuer),
        case(3, "nameconstraints", "REJECT", leaf, issuer),
    ]
    trusted = base64.b64encode(der(root)).decode()
    return file("bettertls.json", {"trustRoot": trusted, "testCases": cases})


def raw_http() -> SuiteFile:
    """Return a good request, two that are framed twice or for two hosts, and one that h11 unfolds."""

    def case(wire: bytes, must: str) -> dict[str, str]:
        return {"b64": base64.b64encode(wire).decode(), "must": must}

    refused = "4xx or connection close; never 2xx"
    framed = b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    cases = {
        "good": case(b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n", "2xx"),
        "framed": case(b"POST / HTTP/1.1\r\nHost: a\r\n" + framed, refused),
        "hosts": case(b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", refused),
        "obs-fold": case(b"GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n", refused),
        "two": case(b"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\n", refused),
    }
    return file("raw.json", {"cases": cases, "generated_large": ["1M header value"]})


def message_signatures() -> SuiteFile:
    """Return an example under HMAC, one under Ed25519, and a change of each kind."""
    key, base = b"k" * 32, '"@method": POST\n"@signature-params": ("@method")'
    tag = base64.b64encode(hmac.new(key, base.encode(), hashlib.sha256).digest()).decode()
    example = {"signature_input": '("@method")', "signature": tag, "signature_base": base}
    ours = {"id": "1", "alg": "hmac-sha256", "secret_b64": base64.b64encode(key).decode()}
    changes: list[dict[str, Any]] = [
        {"name": "method", "method": "GET"},
        {"name": "path", "target": "/Foo?param=Value&Pet=dog"},
        {"name": "query", "target": "/foo?param=Value"},
        {"name": "authority", "authority": "evil.example"},
        {"name": "body", "body": "{}"},
        {"name": "digest", "drop": "content-digest"},
        {"name": "component dropped", "params": "()"},
        {"name": "cut", "sig": ""},
        {"name": "two", "extra": "sig2=:AAAA:"},
        {"name": "date", "date": "now"},
    ]
    suite = {
        "request": {},
        "vectors": [{**ours, **example}, {"id": "2", "alg": "ed25519", **example}],
        "mutations_of_B26": [{**change, "must": "reject"} for change in changes],
    }
    return file("b2.json", suite)
