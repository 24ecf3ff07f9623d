"""Prove that a request comes from the instance: RFC 9421 signatures and RFC 9449 DPoP proofs.

Written from the protocol, section 5, and those RFCs; shares no code with the gate that verifies.
"""

import base64
import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from watchword.client.own_token import OwnToken
from watchword.encoding import base64url, strict_json

_LABEL: Final = "watchword"
_COMPONENTS: Final = '"watchword-token" "@method" "@authority" "@path" "@query"'
_COORDINATE_BYTES: Final = 32

Sign = Callable[[bytes], bytes]
"""Sign a message with the device's proof key: ECDSA-SHA256, DER."""


@dataclass(frozen=True, slots=True)
class Covered:
    """Hold what a proof says of a request, exactly as it is sent.

    :param authority: ``Host`` in lower case.
    :param path: raw, at least ``/``.
    :param query: raw, without the question mark.
    :param content_digest: the value of ``Content-Digest``; None where there is no body.
    """

    scheme: str
    method: str
    authority: str
    path: str
    query: str
    content_digest: str | None


@dataclass(frozen=True, slots=True)
class Freshness:
    """Hold what makes a proof one that nobody has seen.

    :param created: whole seconds since 1970, on the gate's clock as far as it is known.
    :param own: 16 to 34 characters of base64url, used once.
    :param of_gate: the nonce that the gate asked for, None if it asked for none.
    """

    created: int
    own: str
    of_gate: str | None = None


def content_digest(body: bytes) -> str:
    """Return the ``Content-Digest`` of a body (RFC 9530 section 2)."""
    return f"sha-256=:{_base64(hashlib.sha256(body).digest())}:"


def session_proof(
    covered: Covered, token: str, own: OwnToken, key: bytes, fresh: Freshness
) -> dict[str, str]:
    """Return the headers of a proof by the session key: ``hmac-sha256``.

    :param key: the token's session key, 32 bytes.
    """
    parameters = _parameters(covered, fresh, "hmac-sha256", own.session_id)
    base = _signature_base(covered, token, parameters)
    return _signature_headers(parameters, hmac.digest(key, base, "sha256"))


def device_proof(
    covered: Covered, token: str, own: OwnToken, sign: Sign, fresh: Freshness
) -> dict[str, str]:
    """Return the headers of a proof by the device's own key: ``ecdsa-p256-sha256``."""
    parameters = _parameters(covered, fresh, "ecdsa-p256-sha256", own.thumbprint)
    base = _signature_base(covered, token, parameters)
    return _signature_headers(parameters, _fixed_width(sign(base)))


def dpop_proof(
    covered: Covered, token: str, own: OwnToken, sign: Sign, fresh: Freshness
) -> dict[str, str]:
    """Return the header of a DPoP proof by the device's own key (RFC 9449 section 4.2).

    It covers neither the query nor the body.
    """
    header = {"typ": "dpop+jwt", "alg": "ES256", "jwk": own.key}
    claims: dict[str, str | int] = {
        "jti": fresh.own,
        "htm": covered.method,
        "htu": f"{covered.scheme}://{covered.authority}{covered.path}",
        "iat": fresh.created,
        "ath": base64url.encode(hashlib.sha256(token.encode("ascii")).digest()),
    }
    if fresh.of_gate is not None:
        claims["nonce"] = fresh.of_gate
    parts = (base64url.encode(strict_json.dumps(part)) for part in (header, claims))
    signing_input = ".".join(parts)
    signature = _fixed_width(sign(signing_input.encode("ascii")))
    return {"DPoP": f"{signing_input}.{base64url.encode(signature)}"}


def _parameters(covered: Covered, fresh: Freshness, algorithm: str, keyid: str) -> str:
    """Return what is signed as ``@signature-params``, and sent behind the label."""
    digest = ' "content-digest"' if covered.content_digest is not None else ""
    nonce = f"{fresh.of_gate or ''}{fresh.own}"
    return (
        f"({_COMPONENTS}{digest});created={fresh.created};"
        f'nonce="{nonce}";alg="{algorithm}";keyid="{keyid}"'
    )


def _signature_base(covered: Covered, token: str, parameters: str) -> bytes:
    """Return what is signed (RFC 9421 section 2.5)."""
    lines = [
        f'"watchword-token": {token}',
        f'"@method": {covered.method}',
        f'"@authority": {covered.authority}',
        f'"@path": {covered.path}',
        f'"@query": ?{covered.query}',
    ]
    if covered.content_digest is not None:
        lines.append(f'"content-digest": {covered.content_digest}')
    lines.append(f'"@signature-params": {parameters}')
    return "\n".join(lines).encode("ascii")


def _signature_headers(parameters: str, signature: bytes) -> dict[str, str]:
    return {
        "Signature-Input": f"{_LABEL}={parameters}",
        "Signature": f"{_LABEL}=:{_base64(signature)}:",
    }


def _fixed_width(der: bytes) -> bytes:
    """Return r and s of a DER signature, 32 bytes each (RFC 9421 section 3.3.4).

    :raises ValueError: if the device returned something else than an ECDSA signature in DER.
    """
    numbers = decode_dss_signature(der)
    if not all(0 <= number < 1 << 8 * _COORDINATE_BYTES for number in numbers):
        raise ValueError(f"got a signature with a number above {_COORDINATE_BYTES} bytes")
    return b"".join(number.to_bytes(_COORDINATE_BYTES, "big") for number in numbers)


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
