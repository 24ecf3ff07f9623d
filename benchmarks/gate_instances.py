"""Be the service and 2,000 instances for the benchmark of the gate: tokens, bundle, requests with fresh proofs.

Proofs are written here from the protocol alone, so that what the engines accept isn't what they made.
"""

import base64
import hashlib
import hmac
import itertools
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP256R1,
    EllipticCurvePrivateKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from watchword.gate.bundle import GateBundle
from watchword.gate.interface import GatePolicy, Route
from watchword.ports import VerificationKey
from watchword.tokens.interface import TokenClaims, TokenExpectation
from watchword.tokens.jose import SigningKey, jwk_from_public_key, thumbprint
from watchword.tokens.proofs.interface import GateSecret
from watchword.tokens.service import issue
from watchword.vocabulary import Environment, Level, Mode, Proof

INSTANCES = 2000
ISSUER, AUDIENCE, HOST = "https://watchword.example", "https://clinic.example", "clinic.example"
TOKEN_PATH, SESSION_PATH, DEVICE_PATH, ASKED_PATH = (
    f"/v1/{kind}/patients/17" for kind in ("token", "session", "device", "asked")
)
# RFC 6979: with fixed keys a run can be repeated to the byte.
_SCHEME = ECDSA(SHA256(), deterministic_signing=True)
_COMPONENTS = '("watchword-token" "@method" "@authority" "@path" "@query")'
_SECRET = GateSecret(0, bytes(range(32)))

Fields = list[tuple[str, str]]

USUAL_FIELDS: Fields = [
    ("host", HOST),
    ("user-agent", "clinic/1.2 (iPhone)"),
    ("accept", "application/json"),
    ("accept-encoding", "gzip, deflate"),
    ("authorization", "Bearer 0123456789abcdef0123456789abcdef"),
]
"""What a phone sends anyway."""


def _b64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def signature_of(key: EllipticCurvePrivateKey, message: bytes) -> bytes:
    """Return an ES256 signature, r and s side by side."""
    r, s = decode_dss_signature(key.sign(message, _SCHEME))
    return r.to_bytes(32) + s.to_bytes(32)


def _random_key() -> EllipticCurvePrivateKey:
    return generate_private_key(SECP256R1())


@dataclass
class TokenSigner:
    """Sign tokens; implements the port Signer."""

    private: EllipticCurvePrivateKey
    kid: str = "bench"

    def sign(self, message: bytes) -> bytes:
        """Return the ES256 signature."""
        return signature_of(self.private, message)


@dataclass
class Instance:
    """Hold what one phone holds."""

    claims: TokenClaims
    token: str
    private: EllipticCurvePrivateKey
    session_key: bytes
    thumbprint: str

    def bearer(self) -> Fields:
        """Return the fields of a request with the token alone."""
        return [*USUAL_FIELDS, ("watchword-token", self.token)]

    def session(self, nonce: str, created: int) -> Fields:
        """Return the fields of a request with a session proof."""
        base, parameters = self._base(
            SESSION_PATH, created, nonce, "hmac-sha256", self.claims.session_id
        )
        return self._signed(hmac.digest(self.session_key, base, "sha256"), parameters)

    def device(self, nonce: str, created: int) -> Fields:
        """Return the fields of a request with a device proof."""
        base, parameters = self._base(
            DEVICE_PATH, created, nonce, "ecdsa-p256-sha256", self.thumbprint
        )
        return self._signed(signature_of(self.private, base), parameters)

    def dpop(self, nonce: str, created: int) -> Fields:
        """Return the fields of a request with a DPoP proof."""
        claims = (
            f'{{"jti":"{nonce}","htm":"GET","htu":"https://{HOST}{DEVICE_PATH}",'
            f'"iat":{created},"ath":"{self._token_hash}"}}'
        )
        signed = f"{self._dpop_head}.{_b64url(claims.encode())}"
        signature = _b64url(signature_of(self.private, signed.encode()))
        return [*self.bearer(), ("dpop", f"{signed}.{signature}")]

    @cached_property
    def _token_hash(self) -> str:
        return _b64url(hashlib.sha256(self.token.encode()).digest())

    @cached_property
    def _dpop_head(self) -> str:
        header = {"typ": "dpop+jwt", "alg": "ES256", "jwk": dict(self.claims.key)}
        return _b64url(json.dumps(header, separators=(",", ":")).encode())

    def _base(
        self, path: str, created: int, nonce: str, algorithm: str, key_id: str
    ) -> tuple[bytes, str]:
        parameters = (
            f'{_COMPONENTS};created={created};nonce="{nonce}";alg="{algorithm}";keyid="{key_id}"'
        )
        base = (
            f'"watchword-token": {self.token}\n"@method": GET\n"@authority": {HOST}\n'
            f'"@path": {path}\n"@query": ?\n"@signature-params": {parameters}'
        )
        return base.encode(), parameters

    def _signed(self, signature: bytes, parameters: str) -> Fields:
        return [
            *self.bearer(),
            ("signature-input", f"watchword={parameters}"),
            ("signature", f"watchword=:{base64.b64encode(signature).decode()}:"),
        ]


ROUTES = (
    Route("health", "/health", frozenset({"GET"}), Level.SOFTWARE, Proof.BEARER, Mode.OFF),
    *(
        Route(kind, f"/v1/{kind}/**", frozenset({"GET"}), Level.HARDWARE, proof, Mode.ENFORCE)
        for kind, proof in (
            ("token", Proof.BEARER),
            ("session", Proof.SESSION),
            ("device", Proof.DEVICE),
        )
    ),
)
"""The routes that Envoy judges by itself."""

DPOP_ROUTES = (
    *ROUTES[:3],
    Route(
        "device",
        "/v1/device/**",
        frozenset({"GET"}),
        Level.HARDWARE,
        Proof.DEVICE,
        Mode.ENFORCE,
        dpop=True,
    ),
)

ASKED_ROUTES = (
    *ROUTES,
    Route(
        "asked",
        "/v1/asked/**",
        frozenset({"GET"}),
        Level.HARDWARE,
        Proof.BEARER,
        Mode.ENFORCE,
        minimum_versions={"clinic-ios": "1.0"},
    ),
)
"""With one that Envoy has to ask Python about: it knows no order of versions."""


class Fleet:
    """Be the service with all its instances."""

    def __init__(
        self,
        count: int = INSTANCES,
        *,
        new_key: Callable[[], EllipticCurvePrivateKey] = _random_key,
        timestamp: Callable[[], float] = time.time,
    ) -> None:
        """Enrol the instances.

        :param new_key: makes each key of service and instances.
        :param timestamp: seconds since 1970; tokens are issued and proofs are made then.
        """
        self._new_key, self._timestamp = new_key, timestamp
        self.key = TokenSigner(new_key())
        self.bundle_signer = SigningKey(new_key())
        self.expectation = TokenExpectation(ISSUER, AUDIENCE, Environment.PROD)
        self._serial = itertools.count()
        self.instances = self.enrol(count)

    def enrol(self, count: int) -> list[Instance]:
        """Return further instances, whose tokens no gate has met."""
        return [self._enrol() for _ in range(count)]

    def bundle(self, routes: tuple[Route, ...]) -> GateBundle:
        """Return what the gates of this service hold."""
        return GateBundle(
            generation=1,
            made_at=int(self._timestamp()),
            policy=GatePolicy("clinic", self.expectation, routes),
            keys=(VerificationKey(self.key.kid, self.key.private.public_key()),),
            secrets=(_SECRET,),
            revoked=frozenset(),
            reference_key=bytes(32),
            verdict_key=SigningKey(self._new_key()),
        )

    def proofs(
        self, kind: str, count: int, instances: Sequence[Instance] | None = None
    ) -> list[Fields]:
        """Return the fields of requests with fresh proofs (``session``, ``device``, ``dpop``), made now."""
        created = int(self._timestamp())
        some = itertools.islice(itertools.cycle(instances or self.instances), count)
        return [getattr(each, kind)(f"nonce-{next(self._serial):018d}", created) for each in some]

    def new_tokens(self, count: int) -> list[str]:
        """Return tokens that no gate has met."""
        return [self._token(self._claims(self.instances[0].claims.key)) for _ in range(count)]

    def _token(self, claims: TokenClaims) -> str:
        return issue(claims, self.key)

    def _claims(self, jwk: object) -> TokenClaims:
        number, now = next(self._serial), int(self._timestamp())
        return TokenClaims(
            issuer=ISSUER,
            audience=AUDIENCE,
            subject=f"{number:043d}",
            issued_at=now,
            expires_at=now + 900,
            token_id=f"{number:022d}",
            environment=Environment.PROD,
            app_id="clinic-ios",
            app_version="1.2.3",
            level=Level.HARDWARE,
            key=jwk,  # type: ignore[arg-type]
            session_id=f"{number:022d}",
        )

    def _enrol(self) -> Instance:
        private = self._new_key()
        claims = self._claims(jwk_from_public_key(private.public_key()))
        name = thumbprint(claims.key)
        info = b"watchword/session/v1"
        for part in (ISSUER, AUDIENCE, claims.session_id, name):
            info += len(part).to_bytes(4) + part.encode()
        key = hmac.digest(_SECRET.secret, info + b"\x01", "sha256")
        return Instance(claims, self._token(claims), private, key, name)


def request_bytes(path: str, fields: Fields) -> bytes:
    """Return a request as it goes over the wire."""
    lines = [f"GET {path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields)]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()
