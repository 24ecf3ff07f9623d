"""Verify DPoP proofs (RFC 9449): a request's method, URL and token, signed by the instance's own key.

It covers neither query nor body, which the RFC leaves out: routes that need them take signatures.
"""

import hashlib
import re
from functools import lru_cache
from typing import Any, Final, NamedTuple, NoReturn

from watchword.encoding import base64url, strict_json
from watchword.reasons import MalformedError, Reason, RefusedError
from watchword.tokens import jose
from watchword.tokens.interface import MAX_TOKEN_BYTES
from watchword.tokens.proofs.interface import (
    MAX_NONCE_CHARACTERS,
    MIN_NONCE_CHARACTERS,
    PROOF_LIFE_SECONDS,
    ProofHeaders,
    ProofKeys,
    SignedRequest,
    VerifiedProof,
    refuse_time,
)

TYPE: Final = "dpop+jwt"
"""The ``typ`` of a proof (RFC 9449 section 4.2)."""

MAX_PROOF_BYTES: Final = MAX_TOKEN_BYTES
"""Most bytes of the header; a proof has about 550."""

MAX_CREATED: Final = 2**40
"""Latest ``iat`` that is read (about the year 36,800): small enough for exact floats."""

_SEGMENTS: Final = 3
_HEADER: Final = {"typ", "alg", "jwk"}
_JWK: Final = {"kty", "crv", "x", "y"}
_PAYLOAD: Final = {"jti", "htm", "htu", "iat", "ath"}
_PAYLOAD_WITH_NONCE: Final = _PAYLOAD | {"nonce"}
_NONCE_TEXT: Final = b"[A-Za-z0-9_-]{%d,%d}" % (MIN_NONCE_CHARACTERS, MAX_NONCE_CHARACTERS)
_NONCE: Final = re.compile(_NONCE_TEXT).fullmatch
_URL: Final = re.compile(rb"(https?)://([^/\x00- \x7f-\xff]+)(/[!-~]*)?", re.IGNORECASE).fullmatch

# A payload as most clients write it: compact, in the RFC's order, with no escapes.  It says the same to
# the reader of JSON, which takes all others and five times as long.
_AS_WRITTEN: Final = re.compile(
    rb'\{"jti":"(%b)","htm":"([A-Z]{1,16})","htu":"([!#-\[\]-~]{1,1024})",'
    rb'"iat":([1-9][0-9]{0,11}),"ath":"([A-Za-z0-9_-]{43})"(?:,"nonce":"(%b)")?\}'
    % (_NONCE_TEXT, _NONCE_TEXT)
).fullmatch
_DEFAULT_PORTS: Final = {b"https": b":443", b"http": b":80"}
_KEPT_HEADERS: Final = 1024


def verify(
    request: SignedRequest,
    headers: ProofHeaders,
    keys: ProofKeys,
    leeway: int,
    now: float,
    *,
    allow_http: bool = False,
) -> VerifiedProof:
    """Return what a DPoP proof says, after every step held (RFC 9449 section 4.3).

    1. There is a proof, and no signature beside it (``proof.missing``, ``proof.ambiguous``).
    2. It is a compact JWS in canonical base64url, at most :data:`MAX_PROOF_BYTES`
       (``proof.malformed``; two of them in one header: ``proof.ambiguous``).
    3. The header has exactly ``typ``, ``alg`` and ``jwk``: ``dpop+jwt``, ES256 (``proof.algorithm``), and a
       public key with exactly ``kty``, ``crv``, ``x`` and ``y``, which is the token's (``proof.key``).
    4. The signature is that key's (``proof.signature``).
    5. The payload has exactly ``jti``, ``htm``, ``htu``, ``iat`` and ``ath``, and ``nonce`` where there is
       one (``proof.malformed``).
    6. ``iat`` lies in the window, as a signature's ``created`` (``proof.early``, ``proof.expired``).
    7. ``htm`` and ``htu`` are the request's (``proof.target``), ``ath`` is the token's SHA-256
       (``proof.token``).

    The caller still has to claim ``jti``, and to ask for ``nonce`` where it demands one.  The body isn't
    covered: ``body_digest`` is None, whether there is a body or not.

    :param leeway: seconds by which clocks may differ.
    :param now: seconds since 1970.
    :param allow_http: whether ``htu`` may be ``http``, for a laboratory without TLS.
    :raises RefusedError: with the reason of the first step that failed.
    """
    claims = _read_claims(_signed_payload(_only_proof(headers), keys))
    created, ath = claims.created, base64url.encode(hashlib.sha256(request.token).digest())
    if not created - leeway <= now < created + PROOF_LIFE_SECONDS + leeway:
        refuse_time(created, leeway, now)
    if claims.htm != request.method:
        _refuse(Reason.PROOF_TARGET, "expected htm to be the request's method")
    if not _is_target(claims.htu, request, allow_http=allow_http):
        _refuse(Reason.PROOF_TARGET, "expected htu to be the request's URL without its query")
    if claims.ath != ath.encode("ascii"):
        _refuse(Reason.PROOF_TOKEN, "expected ath to be the SHA-256 of the token")
    return VerifiedProof(claims.jti, created, None, claims.nonce)


class _Claims(NamedTuple):
    jti: bytes
    htm: bytes
    htu: bytes
    created: int
    ath: bytes
    nonce: bytes | None


def _only_proof(headers: ProofHeaders) -> str:
    """Return the proof as text."""
    signature_input, signature, proof = headers
    if proof is None:
        raise RefusedError.because(Reason.PROOF_MISSING, "expected the header DPoP")
    if signature_input is not None or signature is not None:
        _refuse(Reason.PROOF_AMBIGUOUS, "got a signature and a DPoP proof, expected one of them")
    if len(proof) > MAX_PROOF_BYTES:
        _refuse_unlike_one(proof, f"got {len(proof)} bytes, expected at most {MAX_PROOF_BYTES}")
    try:
        return proof.decode("ascii")
    except UnicodeDecodeError:
        _malformed("got bytes outside of ASCII")


def _signed_payload(proof: str, keys: ProofKeys) -> bytes:
    """Return the payload, which nobody reads before the token's key was found to have signed it."""
    segments = proof.split(".")
    if len(segments) != _SEGMENTS:
        _refuse_unlike_one(
            proof.encode("ascii"), f"got {len(segments)} segments, expected {_SEGMENTS}"
        )
    header, payload, signature_text = segments
    x, y = _point_of(header)
    # Of four members two are fixed: comparing the others is comparing thumbprints (RFC 7638).
    if x != keys.jwk["x"] or y != keys.jwk["y"]:
        _refuse(Reason.PROOF_KEY, "expected jwk to be the token's key")
    signature = _decode(signature_text)
    if len(signature) != jose.SIGNATURE_BYTES:
        _malformed(f"got a signature of {len(signature)} bytes, expected {jose.SIGNATURE_BYTES}")
    signed = proof[: -len(signature_text) - 1].encode("ascii")
    if not jose.is_signed_by(keys.device_key, signature, signed):
        _refuse(Reason.PROOF_SIGNATURE, "expected a signature by the token's key")
    return _decode(payload)


def _refuse_unlike_one(proof: bytes, detail: str) -> NoReturn:
    """Refuse what isn't one proof, and tell two in one header, with a comma in between."""
    if b"," in proof[: MAX_PROOF_BYTES + 1]:
        _refuse(Reason.PROOF_AMBIGUOUS, "got more than one DPoP proof, expected one")
    _malformed(detail)


# A client's header is the same each time; what was refused isn't kept.
@lru_cache(maxsize=_KEPT_HEADERS)
def _point_of(header: str) -> tuple[str, str]:
    """Return the coordinates in the header's key, which nobody has compared with anything."""
    members = _read_json(_decode(header))
    if members.keys() != _HEADER or members["typ"] != TYPE:
        _malformed(f"expected a header with exactly typ, alg and jwk, where typ is {TYPE}")
    if members["alg"] != "ES256":
        _refuse(Reason.PROOF_ALGORITHM, "expected the algorithm ES256")
    jwk = members["jwk"]
    if not isinstance(jwk, dict) or jwk.keys() != _JWK:
        # Above all no "d": a proof that brings its private key along proves nothing.
        _malformed("expected a jwk with exactly kty, crv, x and y")
    x, y = jwk["x"], jwk["y"]
    if not isinstance(x, str) or not isinstance(y, str):
        _malformed("expected coordinates as text")
    if jwk["kty"] != "EC" or jwk["crv"] != "P-256":
        _refuse(Reason.PROOF_KEY, "expected a key on P-256")
    return x, y


def _read_claims(payload: bytes) -> _Claims:
    """Return what a payload says, after the form of every member was checked.

    ``exp`` and ``nbf`` are refused with all other members: how long a proof lives is the gate's to say.
    """
    found = _AS_WRITTEN(payload)
    if found is not None:
        jti, htm, htu, created, ath, nonce = found.groups()
        return _Claims(jti, htm, htu, int(created), ath, nonce)
    members = _read_json(payload)
    if members.keys() not in (_PAYLOAD, _PAYLOAD_WITH_NONCE):
        _malformed("expected exactly jti, htm, htu, iat and ath, and possibly nonce")
    issued_at = members.pop("iat")
    # True is an int to Python.
    if type(issued_at) is not int or not 0 <= issued_at <= MAX_CREATED:
        _malformed(f"expected iat as a whole number from 0 to {MAX_CREATED}")
    texts = {name: _text(name, value) for name, value in members.items()}
    for name in texts.keys() & {"jti", "nonce"}:
        if not _NONCE(texts[name]):
            _malformed(
                f"expected {name} of {MIN_NONCE_CHARACTERS} to {MAX_NONCE_CHARACTERS} "
                "characters of base64url"
            )
    return _Claims(
        texts["jti"], texts["htm"], texts["htu"], issued_at, texts["ath"], texts.get("nonce")
    )


def _text(name: str, value: Any) -> bytes:
    if not isinstance(value, str):
        _malformed(f"expected {name} as text")
    return value.encode()


def _is_target(htu: bytes, request: SignedRequest, *, allow_http: bool) -> bool:
    """Tell whether ``htu`` is the request's URL, its own query and fragment left aside.

    Scheme and authority are compared in lower case and without a default port (RFC 3986 section
    6.2.3), the path as it arrived: decoding it would give one proof for two paths.
    """
    if htu == b"https://%b%b" % (request.authority, request.path):
        return True
    found = _URL(htu.partition(b"#")[0].partition(b"?")[0])
    if found is None:
        return False
    scheme, authority, path = found.groups(b"/")
    scheme = scheme.lower()
    if scheme == b"http" and not allow_http:
        return False
    port = _DEFAULT_PORTS[scheme]
    return bool(path == request.path) and (
        authority.lower().removesuffix(port) == request.authority.removesuffix(port)
    )


def _read_json(data: bytes) -> dict[str, Any]:
    try:
        return strict_json.loads(data, MAX_PROOF_BYTES)
    except MalformedError as error:
        raise error.as_reason(Reason.PROOF_MALFORMED) from None


def _decode(segment: str) -> bytes:
    try:
        return base64url.decode(segment, MAX_PROOF_BYTES)
    except MalformedError as error:
        raise error.as_reason(Reason.PROOF_MALFORMED) from None


def _refuse(reason: Reason, detail: str) -> NoReturn:
    if reason is Reason.PROOF_AMBIGUOUS:
        raise MalformedError.because(reason, detail)
    raise RefusedError.because(reason, detail)


def _malformed(detail: str) -> NoReturn:
    raise MalformedError.because(Reason.PROOF_MALFORMED, detail)
