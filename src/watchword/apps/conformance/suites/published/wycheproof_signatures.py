"""Wycheproof's signatures: ECDSA in both forms, RSA and EdDSA."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Final

from watchword.apps.conformance.suites.files import SuiteFile
from watchword.apps.conformance.suites.interface import (
    Attempt,
    Case,
    CaseSet,
    JsonObject,
    Outside,
    Suite,
    agreed,
    must_of,
)
from watchword.attestation.certificates import Certificate, is_p256_signature
from watchword.attestation.play_tokens import SignedVerdict
from watchword.attestation.play_tokens import verify as verify_verdict
from watchword.encoding import base64url
from watchword.tokens import es256
from watchword.tokens.jwk import public_key_from_jwk

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


def read(file: SuiteFile) -> CaseSet | None:
    """Return the cases of a file of one of these kinds."""
    suite = file.json_object("testGroups")
    groups = suite["testGroups"] if suite is not None else []
    if not groups or not isinstance(groups, list) or groups[0].get("type") not in _PARTS:
        return None
    return CaseSet(f"Wycheproof {file.path.stem}", _cases(groups))


def _cases(groups: list[JsonObject]) -> Iterator[Case]:
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
    return es256.is_signed_by(public_key_from_jwk(jwk), signature, message)


def _is_verdict_signature(spki: bytes, signature: bytes, message: bytes) -> bool:
    """Verify as Play Integrity's verdicts are, whose reader asks for 64 bytes."""
    if len(signature) != es256.SIGNATURE_BYTES:
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

SUITE = Suite(
    title="Wycheproof, signatures",
    source="github.com/C2SP/wycheproof",
    layout="JSON with `testGroups` of type `EcdsaP1363Verify`, `EcdsaVerify`, `RsassaPkcs1Verify` or `EddsaVerify`",
    held="the signatures of tokens and proofs, of Play verdicts, and of certificates",
    read=read,
    outside=(ALGORITHM, LEFT_OPEN),
)
