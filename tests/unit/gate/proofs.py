"""Prove requests as an instance does: written from the protocol alone, not with the gate's code."""

import base64
import hashlib
import hmac
import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP256R1,
    EllipticCurvePrivateKey,
    derive_private_key,
)
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from tests.unit.gate.simulators import AUDIENCE, CLAIMS, ISSUER, NOW, SECRET, SoftwareSigner, token

from watchword.encoding import strict_json
from watchword.gate.interface import RequestFacts

HOST = b"clinic.example"
INSTANCE_KEY = derive_private_key(17, SECP256R1())
"""The private key that belongs to ``simulators.PROOF_JWK``."""

_serial = itertools.count(1)


def fresh_nonce() -> str:
    """Return a nonce that no other call returns."""
    return f"nonce-{next(_serial):020d}"


def digest_of(body: bytes) -> str:
    """Return the Content-Digest of a body (RFC 9530)."""
    return f"sha-256=:{base64.b64encode(hashlib.sha256(body).digest()).decode()}:"


def b64url(data: bytes) -> str:
    """Return base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def thumbprint(jwk: Mapping[str, str]) -> str:
    """Return the RFC 7638 thumbprint of a P-256 key."""
    members = f'{{"crv":"P-256","kty":"EC","x":"{jwk["x"]}","y":"{jwk["y"]}"}}'
    return b64url(hashlib.sha256(members.encode()).digest())


def session_key(session_id: str = CLAIMS.session_id, secret: bytes = SECRET.secret) -> bytes:
    """Return the key that the service seals to the instance."""
    info = b"watchword/session/v1"
    for part in (ISSUER, AUDIENCE, session_id, thumbprint(CLAIMS.key)):
        info += len(part.encode()).to_bytes(4) + part.encode()
    return hmac.new(secret, info + b"\x01", "sha256").digest()


@dataclass
class Prover:
    """Be an instance with its token, its own key, and the session key that was sealed to it."""

    token: str = field(default_factory=token)
    session_id: str = CLAIMS.session_id
    key: bytes = field(default_factory=session_key)
    private: EllipticCurvePrivateKey = field(default_factory=lambda: INSTANCE_KEY)

    def session(self, **changes: Any) -> list[tuple[bytes, bytes]]:
        """Return the fields of a request with a session proof; ``changes`` as of :meth:`_sign`."""

        def mac(base: bytes) -> bytes:
            return hmac.new(self.key, base, "sha256").digest()

        return self._fields("hmac-sha256", self.session_id, mac, **changes)

    def device(self, **changes: Any) -> list[tuple[bytes, bytes]]:
        """Return the fields of a request with a device proof."""

        def signature(base: bytes) -> bytes:
            r, s = decode_dss_signature(self.private.sign(base, ECDSA(SHA256())))
            return r.to_bytes(32) + s.to_bytes(32)

        return self._fields("ecdsa-p256-sha256", thumbprint(CLAIMS.key), signature, **changes)

    def dpop(
        self, *, method: str = "GET", url: str = "https://clinic.example/v1/patients", **claims: Any
    ) -> list[tuple[bytes, bytes]]:
        """Return the fields of a request with a DPoP proof (RFC 9449)."""
        header = {"typ": "dpop+jwt", "alg": "ES256", "jwk": dict(CLAIMS.key)}
        members = {
            "jti": fresh_nonce(),
            "htm": method,
            "htu": url,
            "iat": NOW,
            "ath": b64url(hashlib.sha256(self.token.encode()).digest()),
            **claims,
        }
        parts = b64url(strict_json.dumps(header)) + "." + b64url(strict_json.dumps(members))
        signature = SoftwareSigner(private=self.private).sign(parts.encode())
        return [
            (b"host", HOST),
            (b"watchword-token", self.token.encode()),
            (b"dpop", f"{parts}.{b64url(signature)}".encode()),
        ]

    def _fields(
        self,
        algorithm: str,
        key_id: str,
        sign: Any,
        *,
        method: str = "GET",
        target: str = "/v1/patients",
        body: bytes | None = None,
        created: int = NOW,
        nonce: str | None = None,
    ) -> list[tuple[bytes, bytes]]:
        path, _, query = target.partition("?")
        names = ["watchword-token", "@method", "@authority", "@path", "@query"]
        values = [self.token, method, HOST.decode(), path, f"?{query}"]
        fields = [(b"host", HOST), (b"watchword-token", self.token.encode())]
        if body is not None:
            names.append("content-digest")
            values.append(digest_of(body))
            fields.append((b"content-length", str(len(body)).encode()))
            fields.append((b"content-digest", digest_of(body).encode()))
        components = " ".join(f'"{name}"' for name in names)
        parameters = (
            f"({components});created={created};"
            f'nonce="{nonce or fresh_nonce()}";alg="{algorithm}";keyid="{key_id}"'
        )
        lines = [f'"{name}": {value}' for name, value in zip(names, values, strict=True)]
        base = "\n".join([*lines, f'"@signature-params": {parameters}'])
        signature = base64.b64encode(sign(base.encode())).decode()
        fields.append((b"signature-input", f"watchword={parameters}".encode()))
        fields.append((b"signature", f"watchword=:{signature}:".encode()))
        return fields


def facts(
    fields: Iterable[tuple[bytes, bytes]], target: str = "/v1/patients", method: str = "GET"
) -> RequestFacts:
    """Return the facts of a request with these fields."""
    path, _, query = target.partition("?")
    return RequestFacts(method, path.encode(), list(fields), query.encode())
