"""Open Play Integrity tokens, a compact JWS inside a compact JWE, and read the payload of the verdict.

Sources: developer.android.com, "Decrypt and verify the integrity verdict" and "Integrity verdicts"; RFC 7516 (JWE),
RFC 7515 (JWS), RFC 7518 (A256KW, A256GCM, ES256).  The algorithms are ours: a header can only agree with them or be refused.
Each freedom of JOSE that isn't here was an attack on some library: ``alg: none``, ``dir``, RSA1_5, a public key taken as
an HMAC secret, ``zip``, ``crit``, duplicate members, embedded keys.

A payload is read after its signature held or Google decoded it.  The types are those of Google's API
(``TokenPayloadExternal``): 64-bit numbers are text there, and members without a value are absent.  Members and labels that
aren't known here are kept, never fatal: Google adds some every year.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Final, NamedTuple, NoReturn

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap

from watchword.attestation.certificates import load_p256
from watchword.attestation.claims import AppClaims, PlayVerdicts
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


MAX_PAYLOAD_BYTES: Final = 16 * 1024
"""Most bytes of a payload; real ones have less than 2 kB."""

MAX_BOUND_CHARACTERS: Final = 1024
"""Most characters of a nonce or a request hash; Google allows 500."""

CLASSIC: Final = "classic"
STANDARD: Final = "standard"

_MAX_ITEMS: Final = 32
_MAX_TEXT: Final = 256
_MAX_DIGITS: Final = 19
_DIGEST_BYTES: Final = 32
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MAX_MILLIS: Final = 253402300799999  # The end of the year 9999, where datetime ends.
_RECALL_BITS: Final = ("bitFirst", "bitSecond", "bitThird")
_NOTHING: Final[Mapping[str, Any]] = {}
_ABSENT: Final = object()
"""Stands for a member that isn't there; null is one that is, and of the wrong type."""


class PlayPayload(NamedTuple):
    """Hold what a payload says; nothing of it was compared with what was expected.

    :param package: ``requestPackageName``, which may be spoofed on the way to Google.
    :param bound: the nonce or the request hash, as it stands there.
    :param app: the app that Google recognised; None where it evaluated none.
    :param fields: the payload as it is, unknown members included.
    """

    package: str
    bound: str
    verdicts: PlayVerdicts
    app: AppClaims | None
    fields: Mapping[str, Any]


def read_payload(data: bytes) -> PlayPayload:
    """Return what a payload says.

    :raises MalformedError: with ``play.token``, when a member that is needed is missing or of another
        type; exactly one of nonce and request hash is needed.
    """
    try:
        document = strict_json.loads(data, MAX_PAYLOAD_BYTES)
    except MalformedError as error:
        raise error.as_reason(Reason.PLAY_TOKEN, "payload") from None
    request = _object(document, "requestDetails")
    if not request:
        _refuse("expected requestDetails")
    names = [name for name in ("nonce", "requestHash") if name in request]
    if len(names) != 1:
        _refuse(f"got {len(names)} of nonce and requestHash, expected exactly one")
    bound = request[names[0]]
    if not isinstance(bound, str) or not 0 < len(bound) <= MAX_BOUND_CHARACTERS:
        _refuse(f"{names[0]}: expected text of 1 to {MAX_BOUND_CHARACTERS} characters")
    package = _text(request, "requestPackageName")
    if package is None:
        _refuse("expected requestPackageName")
    app = _object(document, "appIntegrity")
    return PlayPayload(
        package=package,
        bound=bound,
        verdicts=_verdicts(document, app, names[0], _requested_at(request)),
        app=_app(app),
        fields=document,
    )


def _verdicts(
    document: Mapping[str, Any], app: Mapping[str, Any], name: str, requested_at: datetime
) -> PlayVerdicts:
    device = _object(document, "deviceIntegrity")
    environment = _object(document, "environmentDetails")
    return PlayVerdicts(
        request=CLASSIC if name == "nonce" else STANDARD,
        requested_at=requested_at,
        app_recognition=_text(app, "appRecognitionVerdict") or "",
        device_labels=_labels(device, "deviceRecognitionVerdict") or frozenset(),
        licensing=_text(_object(document, "accountDetails"), "appLicensingVerdict"),
        sdk_version=_number(_object(device, "deviceAttributes"), "sdkVersion"),
        recent_activity=_text(_object(device, "recentDeviceActivity"), "deviceActivityLevel"),
        # An empty verdict on app access risk is one that Google couldn't evaluate.
        app_access_risk=_labels(_object(environment, "appAccessRiskVerdict"), "appsDetected"),
        play_protect=_text(environment, "playProtectVerdict"),
        recalled=_recalled(device),
        testing=bool(_object(document, "testingDetails").get("isTestingResponse")),
    )


def _app(app: Mapping[str, Any]) -> AppClaims | None:
    """Return the app that Google found on the device; an UNEVALUATED one has no name."""
    name = _text(app, "packageName")
    if name is None:
        return None
    version = _number(app, "versionCode")
    return AppClaims(
        ids=(name,),
        versions={} if version is None else {name: str(version)},
        signing_digests=frozenset(
            _digest(text) for text in _labels(app, "certificateSha256Digest") or ()
        ),
    )


def _recalled(device: Mapping[str, Any]) -> frozenset[str] | None:
    if "deviceRecall" not in device:
        return None
    values = _object(_object(device, "deviceRecall"), "values")
    # A bit of another type than a boolean is no bit that is clear.
    if any(type(values.get(bit, False)) is not bool for bit in _RECALL_BITS):
        _refuse("deviceRecall: expected true or false")
    return frozenset(bit for bit in _RECALL_BITS if values.get(bit))


def _requested_at(request: Mapping[str, Any]) -> datetime:
    millis = _number(request, "timestampMillis")
    if millis is None or millis > _MAX_MILLIS:
        _refuse("timestampMillis: expected milliseconds since 1970")
    return _EPOCH + timedelta(milliseconds=millis)


def _object(parent: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return an object; one that is absent has no members."""
    value: Mapping[str, Any] = parent.get(name, _NOTHING)
    if type(value) is not dict:
        _refuse(f"{name}: expected an object")
    return value


def _text(parent: Mapping[str, Any], name: str) -> str | None:
    value = parent.get(name, _ABSENT)
    if type(value) is str and 0 < len(value) <= _MAX_TEXT:
        return value
    if value is not _ABSENT:
        _refuse(f"{name}: expected text of 1 to {_MAX_TEXT} characters")
    return None


def _number(parent: Mapping[str, Any], name: str) -> int | None:
    """Return a number that isn't negative, written as one or as text."""
    value = parent.get(name, _ABSENT)
    if type(value) is int and value >= 0:
        return value
    if type(value) is str and value.isascii() and value.isdigit() and len(value) <= _MAX_DIGITS:
        return int(value)
    if value is not _ABSENT:
        _refuse(f"{name}: expected a number that isn't negative")
    return None


def _labels(parent: Mapping[str, Any], name: str) -> frozenset[str] | None:
    value = parent.get(name, _ABSENT)
    if value is _ABSENT:
        return None
    if type(value) is not list or len(value) > _MAX_ITEMS:
        _refuse(f"{name}: expected an array of at most {_MAX_ITEMS} texts")
    for item in value:
        if type(item) is not str or len(item) > _MAX_TEXT:
            _refuse(f"{name}: expected texts of at most {_MAX_TEXT} characters")
    return frozenset(value)


def _digest(text: str) -> bytes:
    """Return a SHA-256 digest out of base64url, with padding or without."""
    try:
        digest = base64url.decode(text.rstrip("="))
    except MalformedError as error:
        _refuse(f"certificateSha256Digest: {error.detail}")
    if len(digest) != _DIGEST_BYTES:
        _refuse(f"certificateSha256Digest: got {len(digest)} bytes, expected {_DIGEST_BYTES}")
    return digest
