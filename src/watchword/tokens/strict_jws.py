"""Take a compact JWS apart and put one together, with none of the format's freedom.

One algorithm, one set of header parameters, one spelling of every byte.  Each rule below
answers an attack that at least one JOSE library accepted: ``crit`` and ``b64`` that were
ignored, duplicate header parameters of which the last one won, embedded keys, white space and
spare bits in base64url (two texts for one token), signatures of another length, byte order
marks and UTF-16, and tokens of ten megabytes that were decoded before they were refused.
"""

from dataclasses import dataclass
from typing import NoReturn

from watchword.encoding import base64url, strict_json
from watchword.ports import Signer
from watchword.reasons import MalformedError, Reason
from watchword.tokens import es256
from watchword.tokens.interface import MAX_TOKEN_BYTES

ALGORITHM = "ES256"
"""The one algorithm; it is never taken from the token (RFC 8725 section 3.1)."""

SIGNATURE_BYTES = es256.SIGNATURE_BYTES
"""Bytes of a signature."""

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
