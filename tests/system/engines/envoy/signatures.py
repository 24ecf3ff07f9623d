"""Sign requests for the tests of Envoy's script: the wire format written down a second time, on its own."""

import base64
import hashlib
import hmac
import json
import secrets  # noqa: TID251 - a real Envoy gets real randomness.
import struct
import time
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from watchword.ports import VerificationKey

ISSUER = "https://attest.example"
AUDIENCE = "https://api.example"
COMPONENTS = '("watchword-token" "@method" "@authority" "@path" "@query")'
HOST = "api.example"


def clock() -> int:
    """Return seconds since 1970, as Envoy sees them."""
    return int(time.time())  # noqa: TID251 - Envoy reads the real clock.


def b64url(data: bytes) -> str:
    """Encode as base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def raw_signature(key: ec.EllipticCurvePrivateKey, data: bytes) -> bytes:
    """Sign with ES256, r||s."""
    r, s = decode_dss_signature(key.sign(data, ec.ECDSA(hashes.SHA256())))
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def jwk_of(key: ec.EllipticCurvePrivateKey) -> dict[str, str]:
    """Return the public JWK."""
    numbers = key.public_key().public_numbers()
    return {
        "kty": "EC",
        "crv": "P-256",
        "x": b64url(numbers.x.to_bytes(32, "big")),
        "y": b64url(numbers.y.to_bytes(32, "big")),
    }


def thumbprint(jwk: dict[str, str]) -> str:
    """Return the RFC 7638 thumbprint."""
    members = {name: jwk[name] for name in ("crv", "kty", "x", "y")}
    return b64url(hashlib.sha256(json.dumps(members, separators=(",", ":")).encode()).digest())


@dataclass
class Issuer:
    """Sign tokens, as the service would; hold the gate secrets by epoch."""

    key: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1())
    )
    secrets: dict[int, bytes] = field(default_factory=lambda: {1: secrets.token_bytes(32)})

    @property
    def keys(self) -> list[VerificationKey]:
        """Return the keys as the gate holds them."""
        return [VerificationKey("k1", self.key.public_key())]

    @property
    def jwks(self) -> str:
        """Return the key set that Envoy verifies tokens with."""
        return json.dumps(
            {"keys": [{**jwk_of(self.key), "kid": "k1", "alg": "ES256", "use": "sig"}]}
        )

    def token(self, claims: dict[str, Any]) -> str:
        """Return a signed token."""
        head = b64url(b'{"alg":"ES256","kid":"k1","typ":"watchword+jwt"}')
        signed = head + "." + b64url(json.dumps(claims).encode())
        return signed + "." + b64url(raw_signature(self.key, signed.encode()))


class Phone:
    """Hold one instance: its key, its token, its session key."""

    def __init__(self, issuer: Issuer, epoch: int = 1, **changes: Any) -> None:
        """Enrol; ``changes`` replace claims, None removes one."""
        self.key = ec.generate_private_key(ec.SECP256R1())
        jwk = jwk_of(self.key)
        now = clock()
        claims: dict[str, Any] = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": b64url(secrets.token_bytes(16)),
            "iat": now,
            # Long enough for a run of the whole suite: phones enrol when their module is imported.
            "exp": now + 7200,
            "jti": b64url(secrets.token_bytes(16)),
            "env": "prod",
            "app": {"id": "shop", "ver": "1.2.3"},
            "lvl": "hardware",
            "cnf": {"jwk": jwk},
            "sid": b64url(secrets.token_bytes(16)),
            "epo": epoch,
        }
        claims.update(changes)
        self.claims = {name: value for name, value in claims.items() if value is not None}
        self.token = issuer.token(self.claims)
        self.session = str(self.claims.get("sid", ""))
        self.thumbprint = thumbprint(jwk)
        parts = [ISSUER, AUDIENCE, self.session, self.thumbprint]
        info = b"watchword/session/v1" + b"".join(
            struct.pack(">I", len(part.encode())) + part.encode() for part in parts
        )
        self.session_key = hmac.digest(issuer.secrets.get(epoch, b"?"), info + b"\x01", "sha256")

    def proof(
        self,
        kind: str,
        *,
        method: str = "GET",
        authority: str = HOST,
        target: str = "/api",
        created: int | None = None,
        nonce: str | None = None,
        algorithm: str | None = None,
        keyid: str | None = None,
        components: str = COMPONENTS,
        token: str | None = None,
    ) -> dict[str, str]:
        """Return the three headers of a proof over these parts of a request."""
        session = kind == "session"
        path, _, query = target.partition("?")
        parameters = (
            f"{components};created={clock() if created is None else created};"
            f'nonce="{nonce or b64url(secrets.token_bytes(18))}";'
            f'alg="{algorithm or ("hmac-sha256" if session else "ecdsa-p256-sha256")}";'
            f'keyid="{keyid or (self.session if session else self.thumbprint)}"'
        )
        values = {
            '"watchword-token"': token or self.token,
            '"@method"': method,
            '"@authority"': authority,
            '"@path"': path,
            '"@query"': "?" + query,
        }
        lines = [f"{name}: {values[name]}" for name in components[1:-1].split(" ") if name]
        base = "\n".join([*lines, f'"@signature-params": {parameters}']).encode()
        mac = (
            hmac.digest(self.session_key, base, "sha256")
            if session
            else raw_signature(self.key, base)
        )
        return {
            "Watchword-Token": token or self.token,
            "Signature-Input": f"watchword={parameters}",
            "Signature": f"watchword=:{base64.b64encode(mac).decode()}:",
        }
