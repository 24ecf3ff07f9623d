"""Make proofs, right ones and such as no client makes; written from the RFCs, not from the verifier."""

import base64
import hashlib
import hmac
import json
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

from watchword.tokens.proofs.interface import ProofHeaders, ProofKeys, SignedRequest

NOW = 1_795_527_130
LEEWAY = 30
COMPONENTS = '"watchword-token" "@method" "@authority" "@path" "@query"'
GET = SignedRequest(
    b"eyJh.eyJp.c2ln", b"GET", b"api.clinic.example", b"/v1/patients/7", b"page=2&of=3", None
)
BODY = b'{"name":"Ada"}'


def digest_of(body: bytes) -> bytes:
    """Return a ``Content-Digest``."""
    return b"sha-256=:" + base64.b64encode(hashlib.sha256(body).digest()) + b":"


POST = GET._replace(method=b"POST", content_digest=digest_of(BODY))


def text(data: bytes) -> str:
    """Return base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def raw_signature(private: EllipticCurvePrivateKey, message: bytes) -> bytes:
    """Return r and s."""
    r, s = decode_dss_signature(private.sign(message, ECDSA(SHA256())))
    return r.to_bytes(32) + s.to_bytes(32)


def jwk_of(private: EllipticCurvePrivateKey) -> dict[str, str]:
    """Return the public key as a JWK."""
    numbers = private.public_key().public_numbers()
    x, y = (text(number.to_bytes(32)) for number in (numbers.x, numbers.y))
    return {"kty": "EC", "crv": "P-256", "x": x, "y": y}


def base_of(request: SignedRequest, parameters: str) -> bytes:
    """Return what is signed, line by line (RFC 9421 section 2.5)."""
    names = ("watchword-token", "@method", "@authority", "@path", "@query")
    values = (*request[:4], b"?" + request.query)
    lines = [
        b'"%b": %b' % (name.encode(), value) for name, value in zip(names, values, strict=True)
    ]
    if request.content_digest is not None:
        lines.append(b'"content-digest": ' + request.content_digest)
    return b"\n".join([*lines, b'"@signature-params": ' + parameters.encode()])


@dataclass(frozen=True)
class Prover:
    """Be an instance: a device key, and a session key for one token."""

    private: EllipticCurvePrivateKey = field(
        default_factory=lambda: derive_private_key(17, SECP256R1())
    )
    session_key: bytes = b"k" * 32
    session_id: str = "c2Vzc2lvbi1vZi10ZXN0cw"

    @property
    def jwk(self) -> dict[str, str]:
        """Return the public device key."""
        return jwk_of(self.private)

    @property
    def thumbprint(self) -> str:
        """Return the RFC 7638 thumbprint of the device key."""
        members = json.dumps(dict(sorted(self.jwk.items())), separators=(",", ":"))
        return text(hashlib.sha256(members.encode()).digest())

    @property
    def keys(self) -> ProofKeys:
        """Return what a gate knows of this instance."""
        return ProofKeys(
            self.session_id.encode(),
            self.thumbprint.encode(),
            self.jwk,
            self.private.public_key(),
            self.session_key,
        )

    def parameters(self, kind: str, request: SignedRequest, **changes: Any) -> str:
        """Return everything behind the label in ``Signature-Input``."""
        values: dict[str, Any] = {
            "components": COMPONENTS
            + (' "content-digest"' if request.content_digest is not None else ""),
            "created": NOW,
            "nonce": "bm9uY2Utb2YtYS10ZXN0",
            "alg": {"session": "hmac-sha256", "device": "ecdsa-p256-sha256"}[kind],
            "keyid": self.session_id if kind == "session" else self.thumbprint,
        }
        values |= changes
        return '({components});created={created};nonce="{nonce}";alg="{alg}";keyid="{keyid}"'.format_map(
            values
        )

    def sign(
        self, kind: str, request: SignedRequest, parameters: str | None = None
    ) -> ProofHeaders:
        """Return a proof whose signature is right, whatever the parameters are."""
        if parameters is None:
            parameters = self.parameters(kind, request)
        base = base_of(request, parameters)
        signature = (
            hmac.new(self.session_key, base, "sha256").digest()
            if kind == "session"
            else raw_signature(self.private, base)
        )
        encoded = base64.b64encode(signature)
        return ProofHeaders(
            b"watchword=" + parameters.encode(), b"watchword=:" + encoded + b":", None
        )

    def payload(self, request: SignedRequest, **changes: Any) -> dict[str, Any]:
        """Return a DPoP payload; None takes a member away."""
        members = {
            "jti": "anRpLW9mLWEtdGVzdA",
            "htm": request.method.decode(),
            "htu": f"https://{request.authority.decode()}{request.path.decode()}",
            "iat": NOW,
            "ath": text(hashlib.sha256(request.token).digest()),
        } | changes
        return {name: value for name, value in members.items() if value is not None}

    def dpop(
        self,
        request: SignedRequest,
        header: dict[str, Any] | None = None,
        spaces: bool = False,
        **changes: Any,
    ) -> ProofHeaders:
        """Return a DPoP proof whose signature is right, whatever it says."""
        members = {"typ": "dpop+jwt", "alg": "ES256", "jwk": self.jwk} | (header or {})
        members = {name: value for name, value in members.items() if value is not None}
        separators = (", ", ": ") if spaces else (",", ":")
        payload = json.dumps(self.payload(request, **changes), separators=separators).encode()
        return self.compact(json.dumps(members, separators=separators).encode(), payload)

    def compact(self, header: bytes, payload: bytes) -> ProofHeaders:
        """Return a signed JWS in the header ``DPoP``."""
        signed = f"{text(header)}.{text(payload)}".encode()
        signature = text(raw_signature(self.private, signed)).encode()
        return ProofHeaders(None, None, signed + b"." + signature)


ADA = Prover()
EVE = Prover(derive_private_key(19, SECP256R1()), b"e" * 32, "c2Vzc2lvbi1vZi1ldmUtLQ")
