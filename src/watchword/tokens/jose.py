"""Read and write P-256 keys as JWKs, sign with ES256, and take compact JWS apart with none of the format's freedom.

RFC 7517, RFC 7518 sections 3.4 and 6.2.1.

One algorithm, one set of header parameters, one spelling of every byte.  Each rule for a JWS
answers an attack that at least one JOSE library accepted: ``crit`` and ``b64`` that were
ignored, duplicate header parameters of which the last one won, embedded keys, white space and
spare bits in base64url (two texts for one token), signatures of another length, byte order
marks and UTF-16, and tokens of ten megabytes that were decoded before they were refused.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any, Final, NoReturn, Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP256R1,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
    EllipticCurvePublicNumbers,
    derive_private_key,
)
from cryptography.hazmat.primitives.asymmetric.utils import (
    Prehashed,
    decode_dss_signature,
    encode_dss_signature,
)
from cryptography.hazmat.primitives.hashes import SHA256

from watchword.encoding import base64url, strict_json
from watchword.ports import Signer, VerificationKey
from watchword.reasons import MalformedError, Reason
from watchword.tokens.interface import MAX_TOKEN_BYTES

COORDINATE_BYTES = 32
"""Bytes of each coordinate, leading zeros included (RFC 7518 section 6.2.1.2)."""

_COORDINATE_CHARACTERS = 43
_MEMBERS = {"kty", "crv", "x", "y"}


def public_key_from_jwk(jwk: Mapping[str, Any]) -> EllipticCurvePublicKey:
    """Return the key behind a JWK with exactly the members kty, crv, x and y.

    A point off the curve, a coordinate of another length and a private key are all refused:
    each made another library accept a key that its sender could break.

    :raises MalformedError: with ``statement.key``.
    """
    if jwk.keys() != _MEMBERS:
        _refuse_key("expected a JWK with exactly kty, crv, x and y")
    if jwk["kty"] != "EC" or jwk["crv"] != "P-256":
        _refuse_key("expected kty EC and crv P-256")
    x, y = jwk["x"], jwk["y"]
    if not isinstance(x, str) or not isinstance(y, str):
        _refuse_key(f"expected coordinates of {_COORDINATE_CHARACTERS} characters")
    return _point(x, y)


@lru_cache(maxsize=256)
def _point(x: str, y: str) -> EllipticCurvePublicKey:
    """Return a key; each request asks several times for its own."""
    numbers = EllipticCurvePublicNumbers(_coordinate(x), _coordinate(y), SECP256R1())
    try:
        return numbers.public_key()
    except ValueError:
        _refuse_key("got a point that isn't on P-256")


_PUBLIC_INFO: Final = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d03010703420004")
"""What stands before the coordinates in a SubjectPublicKeyInfo of P-256, uncompressed (RFC 5480)."""


def public_info(jwk: Mapping[str, str]) -> bytes:
    """Return the SubjectPublicKeyInfo of the JWK of a key on P-256, which isn't looked at any more."""
    return _PUBLIC_INFO + base64url.decode(jwk["x"]) + base64url.decode(jwk["y"])


def jwk_from_public_key(key: EllipticCurvePublicKey) -> dict[str, str]:
    """Return the JWK of a P-256 public key; raise ValueError for a key on another curve."""
    if not isinstance(key.curve, SECP256R1):
        raise ValueError(f"got a key on {key.curve.name}, expected P-256")  # noqa: TRY004 - its type is right, its curve is not.
    numbers = key.public_numbers()
    return {
        "kty": "EC",
        "crv": "P-256",
        "x": base64url.encode(numbers.x.to_bytes(COORDINATE_BYTES)),
        "y": base64url.encode(numbers.y.to_bytes(COORDINATE_BYTES)),
    }


def published_jwk(kid: str, key: EllipticCurvePublicKey) -> dict[str, str]:
    """Return a P-256 key as it stands in a JWK Set, for ES256 signatures (RFC 7517 section 4)."""
    return {**jwk_from_public_key(key), "kid": kid, "alg": "ES256", "use": "sig"}


def thumbprint(jwk: Mapping[str, str]) -> str:
    """Return the SHA-256 thumbprint of a P-256 JWK in base64url (RFC 7638 section 3)."""
    required = {name: jwk[name] for name in ("crv", "kty", "x", "y")}
    signs = f"{required['x']}{required['y']}".replace("-", "").replace("_", "")
    if (
        (required["crv"], required["kty"]) == ("P-256", "EC")
        and signs.isascii()
        and signs.isalnum()
    ):
        # As below, in a tenth of the time.
        text = _THUMBPRINT % (required["x"], required["y"])
        return base64url.encode(hashlib.sha256(text.encode("ascii")).digest())
    return base64url.encode(hashlib.sha256(strict_json.dumps(required)).digest())


_THUMBPRINT: Final = '{"crv":"P-256","kty":"EC","x":"%s","y":"%s"}'


def _coordinate(value: str) -> int:
    if len(value) != _COORDINATE_CHARACTERS:
        _refuse_key(f"expected coordinates of {_COORDINATE_CHARACTERS} characters")
    try:
        return int.from_bytes(base64url.decode(value))
    except MalformedError:
        _refuse_key("expected coordinates in canonical base64url")


def _refuse_key(detail: str) -> NoReturn:
    raise MalformedError.because(Reason.STATEMENT_KEY, detail)


SIGNATURE_BYTES: Final = 64
"""Bytes of a signature: r and s, 32 each."""

_HALF: Final = SIGNATURE_BYTES // 2
_SCHEME: Final = ECDSA(SHA256())
_OF_HASHED: Final = ECDSA(Prehashed(SHA256()))


def is_signed_by(key: EllipticCurvePublicKey, signature: bytes, data: bytes) -> bool:
    """Tell whether ``signature`` is the key's over ``data``; one of another length never is.

    ``r = s = 0`` and values beyond the order are left to the library, which refuses them: the same
    signature verified for every message in Java ("psychic signatures", CVE-2022-21449).

    :param key: on P-256.
    """
    if len(signature) != SIGNATURE_BYTES:
        return False
    r, s = int.from_bytes(signature[:_HALF]), int.from_bytes(signature[_HALF:])
    try:
        key.verify(encode_dss_signature(r, s), data, _SCHEME)
    except InvalidSignature:
        return False
    return True


SCALAR_BYTES: Final = 32
"""Bytes of a private key: a number from 1 to the order of P-256 less one, big endian."""

_ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


@dataclass(frozen=True)
class SigningKey:
    """Hold a private key; implements :class:`watchword.ports.Signer`.

    Two are equal when their key ids are: the id is the RFC 7638 thumbprint of the public key.
    """

    kid: str = field(init=False)
    private: EllipticCurvePrivateKey = field(repr=False, compare=False)

    def __post_init__(self) -> None:
        """Name the key."""
        kid = thumbprint(jwk_from_public_key(self.private.public_key()))
        object.__setattr__(self, "kid", kid)

    @classmethod
    def from_scalar(cls, scalar: bytes) -> Self:
        """Return the key that :attr:`scalar` told.

        :raises ValueError: unless it is :data:`SCALAR_BYTES` long and within the group; the text
            doesn't quote it.
        """
        number = int.from_bytes(scalar, "big")
        if len(scalar) != SCALAR_BYTES or not 0 < number < _ORDER:
            raise ValueError("expected a private key of P-256")
        return cls(derive_private_key(number, SECP256R1()))

    @classmethod
    def from_wide_secret(cls, secret: bytes) -> Self:
        """Return the key that 64 secret bytes lead to, always the same one.

        Reduced from twice as many bits as the order has, so that no key is likelier than another
        (FIPS 186-5 appendix A.2.1).
        """
        number = int.from_bytes(secret, "big") % (_ORDER - 1) + 1
        return cls.from_scalar(number.to_bytes(SCALAR_BYTES, "big"))

    @property
    def scalar(self) -> bytes:
        """Return the private key as :meth:`from_scalar` takes it."""
        return self.private.private_numbers().private_value.to_bytes(SCALAR_BYTES, "big")

    @cached_property
    def public(self) -> EllipticCurvePublicKey:
        """Return the public key."""
        return self.private.public_key()

    def verification_key(self) -> VerificationKey:
        """Return what a verifier needs."""
        return VerificationKey(self.kid, self.public)

    def sign(self, message: bytes) -> bytes:
        """See :meth:`watchword.ports.Signer.sign`."""
        return sign(self.private, message)


def sign(private: EllipticCurvePrivateKey, message: bytes) -> bytes:
    """Return the 64-byte r||s of ES256 over ``message``, by a key on P-256."""
    # Hashed here, since other threads can run meanwhile: of 20 MB it takes tens of milliseconds.
    hashed = hashlib.sha256(message).digest()
    r, s = decode_dss_signature(private.sign(hashed, _OF_HASHED))
    return r.to_bytes(SCALAR_BYTES, "big") + s.to_bytes(SCALAR_BYTES, "big")


ALGORITHM = "ES256"
"""The one algorithm; it is never taken from the token (RFC 8725 section 3.1)."""

MAX_KID_CHARACTERS = 64
"""Most characters of a key id; ours are thumbprints of 43."""

_SEGMENTS = 3
_HEADER_MEMBERS = {"alg", "kid", "typ"}


@dataclass(frozen=True, slots=True)
class UnverifiedJws:
    """Hold the parts of a JWS whose signature nobody has checked yet.

    :param kid: names the key; it has been compared with nothing.
    :param payload: raw bytes; they aren't read as JSON before the signature holds.
    """

    kid: str
    signing_input: bytes
    payload: bytes
    signature: bytes


def parse(untrusted: str, typ: str, limit: int = MAX_TOKEN_BYTES) -> UnverifiedJws:
    """Return the parts of a compact JWS.

    1. ASCII only, at most ``limit`` characters, exactly three segments.
    2. Each segment is canonical base64url without padding (RFC 7515 section 2).
    3. The header is strict JSON with exactly ``alg``, ``kid`` and ``typ``, all strings, where
       ``alg`` is ES256 and ``typ`` the expected one (RFC 8725 sections 3.1 and 3.11).
    4. The signature has exactly 64 bytes.

    The caller still has to find the key, verify the signature and read the payload.

    :raises MalformedError: with ``token.malformed``.
    """
    if len(untrusted) > limit:
        _refuse(f"got {len(untrusted)} characters, expected at most {limit}")
    if not untrusted.isascii():
        _refuse("got characters outside of ASCII")
    segments = untrusted.split(".")
    if len(segments) != _SEGMENTS:
        _refuse(f"got {len(segments)} segments, expected {_SEGMENTS}")
    header, payload, signature = (_decode(segment, limit) for segment in segments)
    kid = _read_header(header, typ)
    if len(signature) != SIGNATURE_BYTES:
        _refuse(f"got a signature of {len(signature)} bytes, expected {SIGNATURE_BYTES}")
    return UnverifiedJws(kid, untrusted.rpartition(".")[0].encode("ascii"), payload, signature)


def assemble(payload: bytes, typ: str, signer: Signer) -> str:
    """Sign a payload and return the compact JWS."""
    signing_input = f"{header_segment(signer.kid, typ)}.{base64url.encode(payload)}"
    return f"{signing_input}.{base64url.encode(signer.sign(signing_input.encode('ascii')))}"


@lru_cache(maxsize=64)
def header_segment(kid: str, typ: str) -> str:
    """Return the first segment of every JWS that a key signs as one type."""
    return base64url.encode(strict_json.dumps({"alg": ALGORITHM, "kid": kid, "typ": typ}))


def _decode(segment: str, limit: int) -> bytes:
    try:
        return base64url.decode(segment, limit)
    except MalformedError as error:
        _refuse(error.detail)


def _read_header(header: bytes, typ: str) -> str:
    """Return the key id out of a header that has nothing to say but that."""
    try:
        members = strict_json.loads(header, MAX_TOKEN_BYTES)
    except MalformedError as error:
        _refuse(f"header: {error.detail}")
    if members.keys() != _HEADER_MEMBERS:
        _refuse("expected a header with exactly alg, kid and typ")
    if members["alg"] != ALGORITHM:
        _refuse(f"expected the algorithm {ALGORITHM}")
    if members["typ"] != typ:
        _refuse(f"expected the type {typ}")
    kid = members["kid"]
    if not isinstance(kid, str) or not 0 < len(kid) <= MAX_KID_CHARACTERS:
        _refuse(f"expected a key id of 1 to {MAX_KID_CHARACTERS} characters")
    return kid


def _refuse(detail: str) -> NoReturn:
    raise MalformedError.because(Reason.TOKEN_MALFORMED, detail)
