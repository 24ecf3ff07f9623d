"""Simulate what proofs need around the client: a phone with real keys, a service, a gate that checks.

The gate verifies with the product's verifiers, which share no code with the client.
"""

import base64
import hashlib
import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Any

import httpx
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

from watchword.client import WatchwordClient
from watchword.encoding import base64url, strict_json
from watchword.reasons import Reason, RefusedError
from watchword.tokens.envelope import seal
from watchword.tokens.interface import TokenClaims
from watchword.tokens.jose import jwk_from_public_key
from watchword.tokens.proofs import device, dpop, session
from watchword.tokens.proofs.interface import (
    GateSecret,
    ProofHeaders,
    SignedRequest,
    VerifiedProof,
)
from watchword.tokens.proofs.session import proof_keys
from watchword.tokens.service import claims_from_json, claims_to_json
from watchword.vocabulary import Environment, Level, Proof

AUDIENCE = "https://api.example"
ISSUER = "https://attest.example"
SECRET = GateSecret(3, bytes(range(32)))
LEEWAY = 30
_SUITE = hpke.Suite(hpke.KEM.P256, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_128_GCM)


def problem(slug: str, status: int, **headers: str) -> httpx.Response:
    """Return a problem document of the service or of a gate."""
    return httpx.Response(
        status,
        headers={"content-type": "application/problem+json", **headers},
        content=json.dumps({"type": f"urn:watchword:problem:{slug}", "title": slug}),
    )


@dataclass
class KeyedPhone:
    """Keep real keys.

    :ivar android: its proof key isn't in the statement.
    :ivar opens: it can open what is sealed to it.
    """

    android: bool = False
    opens: bool = True
    signed: int = 0

    def create_keys(self) -> None:
        """Make new keys."""
        self.proof = ec.generate_private_key(ec.SECP256R1())
        self.seal = ec.generate_private_key(ec.SECP256R1())

    @property
    def proof_jwk(self) -> dict[str, str] | None:
        """Return the proof key."""
        return None if self.android else jwk_from_public_key(self.proof.public_key())

    @property
    def seal_jwk(self) -> dict[str, str]:
        """Return the seal key."""
        return jwk_from_public_key(self.seal.public_key())

    def attest(self, binding: bytes) -> Mapping[str, Any]:
        """Return the proof key as evidence."""
        return {"key": jwk_from_public_key(self.proof.public_key())}

    def renew(self, statement: bytes) -> Mapping[str, Any]:
        """Return the same."""
        return self.attest(statement)

    def sign(self, message: bytes) -> bytes:
        """Sign by the proof key."""
        self.signed += 1
        return self.proof.sign(message, ec.ECDSA(SHA256()))

    def open_sealed(self, info: bytes, sealed: bytes) -> bytes:
        """Open by the seal key."""
        if not self.opens:
            raise ValueError("no HPKE on this phone")
        try:
            return _SUITE.decrypt(sealed, self.seal, info)
        except InvalidTag:
            raise ValueError("not for this phone") from None


@dataclass
class IssuingService:
    """Issue tokens with sealed session keys; nobody is refused.

    :ivar tamper: changes an entry of ``tokens`` before it is sent.
    """

    clock: Callable[[], float]
    issued: int = 0
    tamper: Callable[[dict[str, Any]], None] = lambda _entry: None

    def __call__(self, request: httpx.Request) -> httpx.Response:
        """Answer one request."""
        body = json.loads(request.content)
        if request.url.path == "/v1/challenges":
            return httpx.Response(200, json={"challenge": "c", "expires_in": 300})
        raw = base64.urlsafe_b64decode(body["statement"] + "===")
        self.issued += 1
        entries = [self.entry(raw, audience, body) for audience in json.loads(raw)["aud"]]
        for entry in entries:
            self.tamper(entry)
        return httpx.Response(200, json={"instance": "i", "level": "hardware", "tokens": entries})

    def entry(self, raw: bytes, audience: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Return one entry of ``tokens``."""
        statement, now = json.loads(raw), int(self.clock())
        claims = TokenClaims(
            issuer=ISSUER,
            audience=audience,
            subject="subject",
            issued_at=now,
            expires_at=now + 300,
            token_id=f"token-{self.issued}",
            environment=Environment.PROD,
            app_id="clinic",
            app_version=None,
            level=Level.HARDWARE,
            key=body["evidence"]["key"],
            session_id=f"session-number-{self.issued}",
            epoch=SECRET.epoch,
            binding=statement.get("bnd"),
        )
        key = proof_keys(claims, SECRET).session_key
        assert key is not None
        sealed = seal(key, statement["seal_jwk"], hashlib.sha256(raw).digest(), claims.session_id)
        payload = base64url.encode(strict_json.dumps(claims_to_json(claims)))
        return {
            "aud": audience,
            # Nobody here verifies the token itself.
            "token": f"eyJhbGciOiJFUzI1NiJ9.{payload}.c2ln",
            "expires_in": 300,
            "session_key": base64url.encode(sealed),
        }


def signed_request(request: httpx.Request) -> SignedRequest:
    """Return what a proof of this request must cover, as an engine sees it."""
    headers = {name.lower(): value for name, value in request.headers.raw}
    path, _, query = request.url.raw_path.partition(b"?")
    body = int(headers.get(b"content-length", b"0")) > 0 or b"transfer-encoding" in headers
    return SignedRequest(
        token=headers[b"watchword-token"],
        method=request.method.encode(),
        authority=headers[b"host"].lower(),
        path=path,
        query=query,
        content_digest=headers.get(b"content-digest", b"") if body else None,
    )


def proof_headers(request: httpx.Request) -> ProofHeaders:
    """Return the proof's headers."""
    headers = {name.lower(): value for name, value in request.headers.raw}
    return ProofHeaders(
        headers.get(b"signature-input"), headers.get(b"signature"), headers.get(b"dpop")
    )


def claims_of(token: bytes) -> TokenClaims:
    """Return what a token says."""
    payload = base64url.decode(token.split(b".")[1].decode())
    return claims_from_json(strict_json.loads(payload, 2048))


@dataclass
class CheckingGate:
    """Let requests with the right proof pass, once each.

    :ivar clock: the gate's own, which answers carry as ``Date``.
    :ivar nonce: what proofs must begin with, None for nothing.
    :ivar used: nonces of the proofs that passed.
    """

    clock: Callable[[], float]
    proof: Proof = Proof.SESSION
    dpop: bool = False
    nonce: str | None = None
    refused_tokens: set[str] = field(default_factory=set)
    leeway: int = LEEWAY
    seen: list[httpx.Request] = field(default_factory=list)
    reasons: list[Reason] = field(default_factory=list)
    used: set[bytes] = field(default_factory=set)
    lock: threading.Lock = field(default_factory=threading.Lock)
    dated: bool = True

    def __call__(self, request: httpx.Request) -> httpx.Response:
        """Answer one request."""
        request.read()
        # The client goes on with the same object: what arrived is kept as it was.
        arrived = httpx.Request(
            request.method, request.url, headers=request.headers.raw, content=request.content
        )
        date = {"date": formatdate(self.clock(), usegmt=True)} if self.dated else {}
        with self.lock:
            self.seen.append(arrived)
            try:
                self.check(arrived)
            except RefusedError as error:
                self.reasons.append(error.reason)
                if error.reason is Reason.PROOF_NONCE:
                    date["watchword-nonce"] = self.nonce or ""
                return problem(error.reason.public.slug, error.reason.public.status, **date)
        return httpx.Response(200, text="patients", headers=date)

    def check(self, request: httpx.Request) -> None:
        """Raise what the gate holds against a request."""
        covered = signed_request(request)
        if covered.token.decode() in self.refused_tokens:
            raise RefusedError.because(Reason.TOKEN_SIGNATURE, "as told")
        if self.proof is Proof.BEARER:
            return
        verified = self.verify(covered, proof_headers(request))
        if self.nonce is not None and (verified.affinity or verified.nonce[:30]) != (
            self.nonce.encode()
        ):
            raise RefusedError.because(Reason.PROOF_NONCE, "another gate's")
        if verified.nonce in self.used:
            raise RefusedError.because(Reason.PROOF_REPLAYED, "used")
        digest = hashlib.sha256(request.content).digest() if request.content else None
        if not self.dpop and verified.body_digest != digest:
            raise RefusedError.because(Reason.PROOF_BODY, "another body")
        self.used.add(verified.nonce)

    def verify(self, covered: SignedRequest, headers: ProofHeaders) -> VerifiedProof:
        """Verify as the route asks."""
        keys, now = proof_keys(claims_of(covered.token), SECRET), self.clock()
        if self.dpop:
            return dpop.verify(covered, headers, keys, self.leeway, now)
        if self.proof is Proof.DEVICE:
            return device.verify(covered, headers, keys, self.leeway, now)
        return session.verify(covered, headers, keys, self.leeway, now)


@dataclass
class Surroundings:
    """Hold a phone, its service and a gate; time passes only as told.

    :ivar phone_ahead: seconds by which the phone's clock is ahead of everybody else's.
    """

    time: float = 1_800_000_000.0
    phone_ahead: float = 0.0
    phone: KeyedPhone = field(default_factory=KeyedPhone)

    def __post_init__(self) -> None:
        """Build the rest."""
        self.service = IssuingService(lambda: self.time)
        self.gate = CheckingGate(lambda: self.time)

    def client(self, **settings: Any) -> WatchwordClient:
        """Return a client on the phone."""
        return WatchwordClient(
            ISSUER,
            "clinic",
            self.phone,
            [AUDIENCE],
            clock=lambda: self.time + self.phone_ahead,
            boot=lambda: self.time,
            jitter=lambda: 0.5,
            sleep=lambda _seconds: None,
            transport=httpx.MockTransport(self.service),
            **settings,
        )
