"""Wycheproof: signatures, HMAC, AES-GCM with wrapped keys, and JOSE."""

import hmac
import json
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, Final

from cryptography.hazmat.primitives.keywrap import aes_key_wrap

from watchword.attestation.certificates import Certificate, is_p256_signature
from watchword.attestation.play_tokens import (
    KEY_BYTES,
    SealedToken,
    SignedVerdict,
    decrypt,
    read_token,
)
from watchword.attestation.play_tokens import verify as verify_verdict
from watchword.encoding import base64url, strict_json
from watchword.ports import VerificationKey
from watchword.reasons import MalformedError, Reason, RefusedError
from watchword.tokens import jose
from watchword.tokens.interface import MAX_TOKEN_BYTES, TOKEN_TYPE, TokenExpectation
from watchword.tokens.jose import public_key_from_jwk
from watchword.tokens.proofs.interface import KeyedMac
from watchword.tokens.service import verify
from watchword.vocabulary import Environment
from watchword_conformance.suites.interface import (
    Attempt,
    Case,
    CaseSet,
    JsonObject,
    MisreadError,
    Outside,
    Suite,
    SuiteFile,
    agreed,
    must_of,
)

ALGORITHM = Outside(
    "algorithm",
    "Signatures of requests and tokens are ECDSA on P-256 with SHA-256; those of certificates also P-384, "
    "SHA-384 and SHA-512, and RSA of up to 4,096 bits with these hashes. All others are refused.",
)
LEFT_OPEN = Outside(
    "left-open", "The suite calls it acceptable, and means neither verdict.", unjudged=True
)

_ECDSA: Final = {
    "SHA-256": "1.2.840.10045.4.3.2",
    "SHA-384": "1.2.840.10045.4.3.3",
    "SHA-512": "1.2.840.10045.4.3.4",
}
_RSA: Final = {
    "SHA-256": "1.2.840.113549.1.1.11",
    "SHA-384": "1.2.840.113549.1.1.12",
    "SHA-512": "1.2.840.113549.1.1.13",
}
_CURVES: Final = frozenset({"secp256r1", "secp384r1"})
_MAX_RSA_BITS: Final = 4096
_ED25519: Final = "1.3.101.112"

Parts = tuple[Outside | None, Callable[[bytes, bytes], Attempt]]
"""Why a group isn't ours, and what makes an attempt of a signature and a message."""


def read_signatures(file: SuiteFile) -> CaseSet | None:
    """Return the cases of a file of one of these kinds."""
    suite = file.json_object("testGroups")
    groups = suite["testGroups"] if suite is not None else []
    if not groups or not isinstance(groups, list) or groups[0].get("type") not in _PARTS:
        return None
    return CaseSet(f"Wycheproof {file.path.stem}", _signatures_cases(groups))


def _signatures_cases(groups: list[JsonObject]) -> Iterator[Case]:
    for group in groups:
        outside, attempt = _PARTS[group["type"]](group)
        for test in group["tests"]:
            signature, message = bytes.fromhex(test["sig"]), bytes.fromhex(test["msg"])
            why = LEFT_OPEN if test["result"] == "acceptable" else outside
            name = f"tcId {test['tcId']}"
            yield Case(name, must_of(test["result"]), attempt(signature, message), why)


def _fixed_width(group: JsonObject) -> Parts:
    """Return the parts of r and s side by side, as in JOSE: P-256 with SHA-256 alone is ours."""
    public = group["publicKey"]
    point = bytes.fromhex(public["uncompressed"])[1:]
    half = len(point) // 2
    jwk = {
        "kty": "EC",
        "crv": {"secp256r1": "P-256", "secp384r1": "P-384"}.get(public["curve"], public["curve"]),
        "x": base64url.encode(point[:half]),
        "y": base64url.encode(point[half:]),
    }
    ours = (public["curve"], group["sha"]) == ("secp256r1", "SHA-256")
    spki = bytes.fromhex(group["publicKeyDer"])

    def attempt(signature: bytes, message: bytes) -> Attempt:
        by_token = partial(_is_token_signature, jwk, signature, message)
        return partial(agreed, by_token, partial(_is_verdict_signature, spki, signature, message))

    return (None if ours else ALGORITHM), attempt


def _is_token_signature(jwk: dict[str, str], signature: bytes, message: bytes) -> bool:
    return jose.is_signed_by(public_key_from_jwk(jwk), signature, message)


def _is_verdict_signature(spki: bytes, signature: bytes, message: bytes) -> bool:
    """Verify as Play Integrity's verdicts are, whose reader asks for 64 bytes."""
    if len(signature) != jose.SIGNATURE_BYTES:
        return False
    verify_verdict(SignedVerdict(message, b"", signature), spki)
    return True


def _der(group: JsonObject) -> Parts:
    """Return the parts of ECDSA in DER: that of certificates, and of P-256 with SHA-256 alone."""
    curve, sha = group["publicKey"]["curve"], group["sha"]
    spki = bytes.fromhex(group["publicKeyDer"])
    ours = curve in _CURVES and sha in _ECDSA

    def attempt(signature: bytes, message: bytes) -> Attempt:
        signed = partial(_is_certificate_signature, spki, _ECDSA.get(sha, ""), signature, message)
        if (curve, sha) == ("secp256r1", "SHA-256"):
            return partial(agreed, signed, partial(is_p256_signature, spki, signature, message))
        return signed

    return (None if ours else ALGORITHM), attempt


def _rsa(group: JsonObject) -> Parts:
    ours = group["sha"] in _RSA and int(group["keySize"]) <= _MAX_RSA_BITS
    spki, algorithm = bytes.fromhex(group["publicKeyDer"]), _RSA.get(group["sha"], "")

    def attempt(signature: bytes, message: bytes) -> Attempt:
        return partial(_is_certificate_signature, spki, algorithm, signature, message)

    return (None if ours else ALGORITHM), attempt


def _eddsa(group: JsonObject) -> Parts:
    spki = bytes.fromhex(group["publicKeyDer"])

    def attempt(signature: bytes, message: bytes) -> Attempt:
        return partial(_is_certificate_signature, spki, _ED25519, signature, message)

    return ALGORITHM, attempt


def _is_certificate_signature(
    spki: bytes, algorithm: str, signature: bytes, message: bytes
) -> bool:
    """Verify a message as if it were what a certificate's issuer signed."""
    certificate = Certificate(
        der=b"",
        tbs=message,
        serial_hex="1",
        issuer=b"",
        subject=b"",
        validity=b"",
        spki=b"",
        algorithm=algorithm,
        signature=signature,
        extensions={},
    )
    return certificate.is_signed_by(spki)


_PARTS: Final[dict[str, Callable[[JsonObject], Parts]]] = {
    "EcdsaP1363Verify": _fixed_width,
    "EcdsaVerify": _der,
    "RsassaPkcs1Verify": _rsa,
    "EddsaVerify": _eddsa,
}

WYCHEPROOF_SIGNATURES = Suite(
    title="Wycheproof, signatures",
    source="github.com/C2SP/wycheproof",
    layout="JSON with `testGroups` of type `EcdsaP1363Verify`, `EcdsaVerify`, `RsassaPkcs1Verify` or `EddsaVerify`",
    held="the signatures of tokens and proofs, of Play verdicts, and of certificates",
    read=read_signatures,
    outside=(ALGORITHM, LEFT_OPEN),
)


SHORTENED = Outside(
    "shortened", "A MAC is compared in its whole length of 32 bytes; a part of it is refused."
)
LONG_KEY = Outside(
    "long-key", "A key longer than a block of the hash is refused where it comes in."
)
MAC_ALGORITHM = Outside("algorithm", "Proofs are HMAC-SHA256; other hashes and MACs are refused.")

_BLOCK = 64
_BITS = 256
_BITS_OF_A_BYTE = 8


def read_mac(file: SuiteFile) -> CaseSet | None:
    """Return the cases of a file of MACs."""
    suite = file.json_object("testGroups", "algorithm")
    groups = suite["testGroups"] if suite is not None else []
    if suite is None or not groups or groups[0].get("type") != "MacTest":
        return None
    return CaseSet(f"Wycheproof {file.path.stem}", _mac_cases(groups, suite["algorithm"]))


def _mac_cases(groups: list[JsonObject], algorithm: str) -> Iterator[Case]:
    for group in groups:
        outside = None
        if algorithm != "HMACSHA256":
            outside = MAC_ALGORITHM
        elif group["keySize"] > _BLOCK * _BITS_OF_A_BYTE:
            outside = LONG_KEY
        elif group["tagSize"] != _BITS:
            outside = SHORTENED
        for test in group["tests"]:
            key, message, tag = (bytes.fromhex(test[name]) for name in ("key", "msg", "tag"))
            attempt = partial(_is_mac, key, message, tag)
            yield Case(f"tcId {test['tcId']}", must_of(test["result"]), attempt, outside)


def _is_mac(key: bytes, message: bytes, tag: bytes) -> bool:
    try:
        mac = KeyedMac(key)
    except ValueError:
        # The one error that it states for a key that is too long.
        return False if len(key) > _BLOCK else _unexpected()
    begun = KeyedMac(key, message[:7]).digest(message[7:])
    whole = mac.digest(message)
    return hmac.compare_digest(whole, begun) and hmac.compare_digest(whole, tag)


def _unexpected() -> bool:
    raise AssertionError("a key of at most one block was refused")


WYCHEPROOF_MAC = Suite(
    title="Wycheproof, HMAC",
    source="github.com/C2SP/wycheproof",
    layout="JSON with `algorithm` and `testGroups` of type `MacTest`",
    held="the MAC of session proofs, in one piece and begun",
    read=read_mac,
    outside=(SHORTENED, LONG_KEY, MAC_ALGORITHM),
)


SIZES = Outside(
    "sizes",
    "A key of 32 bytes, a vector of 12 and a tag of 16: other lengths are refused before anything is opened.",
)
AEAD_ALGORITHM = Outside(
    "algorithm", "Tokens are sealed by A256GCM; a header that names another AEAD is refused."
)

_OUR_SIZES = (256, 96, 128)
_WRAPPING_KEY = bytes(range(KEY_BYTES))
_WRAPPED_MINIMUM = 16
_HEADER = b'{"alg":"A256KW","enc":"%b"}'


def read_aead(file: SuiteFile) -> CaseSet | None:
    """Return the cases of a file of AEADs."""
    suite = file.json_object("testGroups", "algorithm")
    groups = suite["testGroups"] if suite is not None else []
    if suite is None or not groups or groups[0].get("type") != "AeadTest":
        return None
    return CaseSet(f"Wycheproof {file.path.stem}", _aead_cases(groups, suite["algorithm"]))


def _aead_cases(groups: list[JsonObject], algorithm: str) -> Iterator[Case]:
    for group in groups:
        outside = None
        if algorithm != "AES-GCM":
            outside = AEAD_ALGORITHM
        elif (group["keySize"], group["ivSize"], group["tagSize"]) != _OUR_SIZES:
            outside = SIZES
        for test in group["tests"]:
            parts = {name: bytes.fromhex(test[name]) for name in ("key", "iv", "aad", "ct", "tag")}
            attempt: Attempt = partial(_opens, parts, bytes.fromhex(test["msg"]))
            if outside is not None:
                attempt = partial(_is_read, parts, b"A256GCM" if outside is SIZES else b"A256CCM")
            yield Case(f"tcId {test['tcId']}", must_of(test["result"]), attempt, outside)


def _opens(parts: dict[str, bytes], message: bytes) -> bool:
    wrapped = aes_key_wrap(_WRAPPING_KEY, parts["key"])
    sealed = SealedToken(parts["aad"], wrapped, parts["iv"], parts["ct"] + parts["tag"])
    if decrypt(sealed, _WRAPPING_KEY) != message:
        raise MisreadError("opened, and something else came out")
    return True


def _is_read(parts: dict[str, bytes], encryption: bytes) -> bool:
    """Read a token with a case's parts, which our reader refuses for their lengths or for the header."""
    key = parts["key"]
    wrapped = (
        key if len(key) < _WRAPPED_MINIMUM or len(key) % 8 else aes_key_wrap(_WRAPPING_KEY, key)
    )
    segments = (_HEADER % encryption, wrapped, parts["iv"], parts["ct"], parts["tag"])
    read_token(".".join(map(base64url.encode, segments)).encode("ascii"))
    return True


WYCHEPROOF_AEAD = Suite(
    title="Wycheproof, AEAD",
    source="github.com/C2SP/wycheproof",
    layout="JSON with `algorithm` and `testGroups` of type `AeadTest`",
    held="opening the tokens of Play Integrity",
    read=read_aead,
    outside=(SIZES, AEAD_ALGORITHM),
)


JOSE_ALGORITHM = Outside(
    "algorithm", "Tokens are ES256 under one P-256 key; all other algorithms are refused."
)
ENCRYPTION = Outside("encryption", "Tokens are signed and never encrypted: a JWE is refused.")
SEVERAL_KEYS = Outside("several-keys", "A key stands for itself; a set of keys isn't read as one.")

_SEGMENTS = 3
_EXPECTATION = TokenExpectation("https://watchword.example", "api", Environment.PROD)
_HEADER_BYTES = 2048


class _OneKey:
    """Hold the one key of a case; implements the port VerificationKeys."""

    def __init__(self, jwk: Mapping[str, Any]) -> None:
        self._jwk = jwk

    def find(self, kid: str) -> VerificationKey | None:
        """Return the key with this id."""
        return our_key(self._jwk) if self._jwk.get("kid") == kid else None


def read_jose(file: SuiteFile) -> CaseSet | None:
    """Return the cases of a file whose ``schema`` is one of the three."""
    suite = file.json_object("testGroups", "schema")
    if suite is None or not str(suite["schema"]).startswith("json_web_"):
        return None
    return CaseSet(f"Wycheproof {file.path.stem}", _jose_cases(suite))


def _jose_cases(suite: JsonObject) -> Iterator[Case]:
    for group in suite["testGroups"]:
        public = group.get("public", {})
        keys = public.get("keys", [public])
        for test in group["tests"]:
            text = test["jwe"] if "jwe" in test else test["jws"]
            outside = _outside(keys, encrypted="jwe" in test)
            if not isinstance(text, str):
                text = json.dumps(text)  # The JSON serialisation, which no header can hold.
            jwk = keys[0] if outside is None else {}
            yield Case(
                f"{group['comment']} {test['tcId']}",
                must_of(test["result"]),
                partial(_is_verified, text, jwk),
                outside,
            )


def _outside(keys: list[JsonObject], *, encrypted: bool) -> Outside | None:
    """Say why a case isn't ours; one whose key claims another curve or kind than it has is ours to refuse."""
    if encrypted:
        return ENCRYPTION
    if len(keys) != 1:
        return SEVERAL_KEYS
    if "x" not in keys[0] or keys[0].get("crv") == "P-521":
        return JOSE_ALGORITHM
    return None


def _is_verified(text: str, jwk: JsonObject) -> bool:
    """Verify by the whole verifier and by its parts.

    The headers of the suite have no ``typ``, so that the whole verifier refuses them all at its first step.
    """
    try:
        verify(text, _EXPECTATION, _OneKey(jwk), 0.0)
    except RefusedError:
        return bool(jwk) and is_signed(text, our_key(jwk))
    return True


def our_key(jwk: Mapping[str, Any]) -> VerificationKey:
    """Return a key out of a published JWK.

    Ours have neither id nor purpose: those are taken away where they say what ours are for.  What is
    left over is refused by the reader.
    """
    spared = {"kid": jwk.get("kid"), "alg": "ES256", "use": "sig"}
    members = {name: value for name, value in jwk.items() if spared.get(name) != value}
    return VerificationKey(jwk["kid"], public_key_from_jwk(members))


def is_signed(text: str, key: VerificationKey) -> bool:
    """Verify a JWS by the parts of our verifier, without asking for our type."""
    if len(text) > MAX_TOKEN_BYTES:
        raise MalformedError.because(Reason.TOKEN_MALFORMED, "too long")
    segments = text.split(".")
    if len(segments) != _SEGMENTS:
        raise MalformedError.because(Reason.TOKEN_MALFORMED, "segments")
    header, _, signature = (base64url.decode(segment) for segment in segments)
    if strict_json.loads(header, _HEADER_BYTES) != {"alg": "ES256", "kid": key.kid}:
        return False
    typed = {"alg": "ES256", "kid": key.kid, "typ": TOKEN_TYPE}
    with_type = base64url.encode(strict_json.dumps(typed))
    jws = jose.parse(".".join((with_type, *segments[1:])), TOKEN_TYPE)
    signing_input = text.rpartition(".")[0].encode("ascii")
    return jws.signature == signature and jose.is_signed_by(key.key, signature, signing_input)


WYCHEPROOF_JOSE = Suite(
    title="Wycheproof, JOSE",
    source="github.com/C2SP/wycheproof",
    layout="JSON with `testGroups` and a `schema` of `json_web_*`",
    held="the token verifier, whole and by its parts: base64url, header, key, signature",
    read=read_jose,
    outside=(JOSE_ALGORITHM, ENCRYPTION, SEVERAL_KEYS),
)
