"""Open Play Integrity tokens: a JWE in compact form, and the JWS in compact form inside of it.

Sources: developer.android.com, "Decrypt and verify the integrity verdict"; RFC 7516 (JWE), RFC 7515 (JWS),
RFC 7518 (A256KW, A256GCM, ES256).  The algorithms are ours: a header can only agree with them or be
refused.  Each freedom of JOSE that isn't here was an attack on some library: ``alg: none``, ``dir``,
RSA1_5, a public key taken as an HMAC secret, ``zip``, ``crit``, duplicate members, embedded keys.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Final, NamedTuple, NoReturn

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap

from watchword.attestation.certificates import load_p256
from watchword.encoding import base64url, strict_json
from watchword.reasons import MalformedError, Reason, RefusedError

MAX_TOKEN_BYTES: Final = 16 * 1024
"""Most bytes of a token; real ones have 1 to 2 kB."""

KEY_BYTES: Final = 32
"""Bytes of a decryption key (A256KW), and of the content key that it wraps (A256GCM)."""

_JWE_HEADER: Final = {"alg": "A256KW", "enc": "A256GCM"}
_JWE_SEGMENT: Final = "eyJhbGciOiJBMjU2S1ciLCJlbmMiOiJBMjU2R0NNIn0"
"""The header as Google writes it, base64url; another spelling of the same members is read too."""

_JWS_HEADER: Final = {"alg": "ES256"}
_JWS_SEGMENT: Final = "eyJhbGciOiJFUzI1NiJ9"

_ALPHABET: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
_JWE_SEGMENTS: Final = 5
_JWS_SEGMENTS: Final = 3
_WRAPPED_BYTES: Final = KEY_BYTES + 8  # RFC 3394 adds one block of 64 bits.
_IV_BYTES: Final = 12
_TAG_BYTES: Final = 16
_SIGNATURE_BYTES: Final = 64
_COORDINATE_BYTES: Final = 32
_ES256: Final = ECDSA(SHA256())


class SealedToken(NamedTuple):
    """Hold the parts of a JWE that nobody has decrypted yet.

    :param header: the protected header as it came, base64url: the authenticated data.
    :param ciphertext: with the tag behind it.
    """

    header: bytes
    wrapped_key: bytes
    iv: bytes
    ciphertext: bytes


class SignedVerdict(NamedTuple):
    """Hold the parts of a JWS whose signature nobody has checked yet."""

    signing_input: bytes
    payload: bytes
    signature: bytes


def require_form(token: bytes) -> None:
    """Refuse what can't be a token, without decoding any of it; :func:`read_token` looks closer.

    At most :data:`MAX_TOKEN_BYTES`, five segments of the base64url alphabet, none of them empty.

    :raises MalformedError: with ``play.token``.
    """
    _require_size(token, "a token")
    if token.translate(None, _ALPHABET) != b"....":
        _refuse("expected five segments of base64url")
    if b".." in token or token[:1] == b"." or token[-1:] == b".":
        _refuse("got an empty segment")


def read_token(token: bytes) -> SealedToken:
    """Return the parts of a compact JWE (RFC 7516 section 7.1).

    1. ASCII, at most :data:`MAX_TOKEN_BYTES`, exactly five segments of canonical base64url.
    2. The protected header has exactly ``alg`` A256KW and ``enc`` A256GCM.
    3. Wrapped key, initialisation vector and tag have the lengths of these algorithms.

    :raises MalformedError: with ``play.token``.
    """
    header, *rest = _segments(token, _JWE_SEGMENTS, "a token")
    if header != _JWE_SEGMENT:
        _require_header(header, _JWE_HEADER)
    wrapped_key, iv, ciphertext, tag = _decoded(rest)
    lengths = (len(wrapped_key), len(iv), len(tag))
    if lengths != (_WRAPPED_BYTES, _IV_BYTES, _TAG_BYTES):
        _refuse(
            f"got {lengths[0]}, {lengths[1]} and {lengths[2]} bytes of wrapped key, vector and tag, "
            f"expected {_WRAPPED_BYTES}, {_IV_BYTES} and {_TAG_BYTES}"
        )
    return SealedToken(header.encode("ascii"), wrapped_key, iv, ciphertext + tag)


def decrypt(sealed: SealedToken, key: bytes) -> bytes:
    """Return the plaintext of a JWE under the app's decryption key.

    :param key: 32 bytes.
    :raises RefusedError: with ``play.decryption``.
    """
    try:
        content_key = aes_key_unwrap(key, sealed.wrapped_key)
        return AESGCM(content_key).decrypt(sealed.iv, sealed.ciphertext, sealed.header)
    except InvalidUnwrap:
        raise RefusedError.because(
            Reason.PLAY_DECRYPTION, "the content key isn't wrapped for the app's decryption key"
        ) from None
    except InvalidTag:
        raise RefusedError.because(
            Reason.PLAY_DECRYPTION, "the content isn't what was encrypted under its key"
        ) from None


def read_verdict(plaintext: bytes) -> SignedVerdict:
    """Return the parts of the compact JWS inside of a token (RFC 7515 section 7.1).

    Exactly three segments of canonical base64url; the header has exactly ``alg`` ES256; the signature
    has 64 bytes.  The payload isn't read before the signature holds.

    :raises MalformedError: with ``play.token``.
    """
    header, payload, signature = _segments(plaintext, _JWS_SEGMENTS, "a verdict")
    if header != _JWS_SEGMENT:
        _require_header(header, _JWS_HEADER)
    content, raw = _decoded((payload, signature))
    if len(raw) != _SIGNATURE_BYTES:
        _refuse(f"got a signature of {len(raw)} bytes, expected {_SIGNATURE_BYTES}")
    return SignedVerdict(plaintext[: plaintext.rindex(b".")], content, raw)


def verify(verdict: SignedVerdict, spki: bytes) -> None:
    """Return if the P-256 key in ``spki`` signed the verdict (ES256: r and s, 32 bytes each).

    :raises RefusedError: with ``play.signature``.
    """
    key = _verification_key(spki)
    r, s = verdict.signature[:_COORDINATE_BYTES], verdict.signature[_COORDINATE_BYTES:]
    try:
        if key is None:
            raise ValueError("no key on P-256")  # noqa: TRY301 - told like any other wrong key.
        signature = encode_dss_signature(int.from_bytes(r), int.from_bytes(s))
        key.verify(signature, verdict.signing_input, _ES256)
    except (InvalidSignature, ValueError):
        raise RefusedError.because(
            Reason.PLAY_SIGNATURE, "not signed by Google's key for this app"
        ) from None


@lru_cache(maxsize=64)
def _verification_key(spki: bytes) -> EllipticCurvePublicKey | None:
    """Load a key of the configuration once; what a stranger sends never comes here."""
    return load_p256(spki)


def _require_size(token: bytes, what: str) -> None:
    if len(token) > MAX_TOKEN_BYTES:
        _refuse(f"got {len(token)} bytes of {what}, expected at most {MAX_TOKEN_BYTES}")


def _segments(token: bytes, count: int, what: str) -> list[str]:
    _require_size(token, what)
    try:
        segments = token.decode("ascii").split(".")
    except UnicodeDecodeError:
        _refuse(f"got {what} with characters outside of ASCII")
    if len(segments) != count:
        _refuse(f"got {what} of {len(segments)} segments, expected {count}")
    return segments


def _decoded(segments: Sequence[str]) -> list[bytes]:
    """Return the bytes of segments, whose length as a whole was checked before."""
    try:
        return [base64url.decode(segment) for segment in segments]
    except MalformedError as error:
        _refuse(error.detail)


def _require_header(segment: str, wanted: dict[str, str]) -> None:
    """Refuse a header that says anything else, or anything more, than the algorithms that we use."""
    try:
        got = strict_json.loads(base64url.decode(segment), MAX_TOKEN_BYTES)
    except MalformedError as error:
        _refuse(f"header: {error.detail}")
    if got != wanted:
        expected = ", ".join(f"{name} {value}" for name, value in wanted.items())
        _refuse(f"expected a header with exactly {expected}")


def _refuse(detail: str) -> NoReturn:
    raise MalformedError.because(Reason.PLAY_TOKEN, detail)
