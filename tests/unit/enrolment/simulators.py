"""Simulate what enrolment needs around it: a clock, vendors that vouch for anything, phones."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_public_key,
)

from watchword.attestation.interface import AndroidApp, AppleApp, AppRegistration
from watchword.encoding import base64url
from watchword.enrolment.interface import (
    AppraisedEvidence,
    AppraisedRenewal,
    EnrolmentPolicy,
    EnrolmentRequest,
    RenewalRequest,
    Statement,
)
from watchword.ports import Instance
from watchword.reasons import Reason, Refusal, RefusedError
from watchword.tokens.jose import jwk_from_public_key
from watchword.tokens.proofs.interface import GateSecret
from watchword.vocabulary import Environment, Level, Platform, Purpose

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
ISSUER = "https://watchword.example"
CLINIC = "https://clinic.example"
LEDGER = "https://ledger.example"

POLICY = EnrolmentPolicy(
    issuer=ISSUER,
    environment=Environment.PROD,
    apps={
        "clinic-ios": AppRegistration("clinic-ios", AppleApp("TEAM123456", "example.clinic")),
        "clinic-android": AppRegistration(
            "clinic-android", AndroidApp("example.clinic", frozenset({bytes(32)}))
        ),
    },
    audiences={
        "clinic-ios": frozenset({CLINIC, LEDGER}),
        "clinic-android": frozenset({CLINIC, LEDGER}),
    },
    minimum_level=Level.HARDWARE,
    token_lifetime=300,
)


@dataclass
class MovableClock:
    """Tell the time that it was set to."""

    at: datetime = NOW

    def now(self) -> datetime:
        """Return the time."""
        return self.at

    def timestamp(self) -> float:
        """Return the time in seconds since 1970."""
        return self.at.timestamp()

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.at += timedelta(seconds=seconds)


@dataclass
class SeededEntropy:
    """Give bytes that are the same in each run of a test."""

    seed: bytes = b"tests"
    given: int = 0

    def token_bytes(self, count: int) -> bytes:
        """Return the next bytes."""
        self.given += 1
        return hashlib.shake_256(self.seed + self.given.to_bytes(8, "big")).digest(count)


def gate_secret(audience: str) -> GateSecret:
    """Return the active gate secret of an audience: epoch 7, other bytes for each audience."""
    return GateSecret(7, hashlib.sha256(audience.encode()).digest())


@dataclass(frozen=True)
class CredulousVerifier:
    """Believe all evidence that repeats the binding; evidence names its own key, level, serials.

    :param signals: what is held against everybody without refusing anybody.
    """

    calls: list[str] = field(default_factory=list)
    signals: list[Refusal] = field(default_factory=list)

    def states_proof_key(self, evidence: Mapping[str, Any], app: AppRegistration) -> bool:
        """See the port."""
        return app.platform is not Platform.ANDROID

    async def appraise(
        self,
        evidence: Mapping[str, Any],
        statement: Statement,
        app: AppRegistration,
        now: datetime,
    ) -> AppraisedEvidence:
        """See the port."""
        self.calls.append("appraise")
        _require_binding(evidence, statement)
        spki = base64url.decode(evidence["key"])
        receipt = evidence.get("receipt")
        return AppraisedEvidence(
            format=evidence["format"],
            level=Level(evidence.get("level", "hardware")),
            attested_key=spki,
            # Nobody asks for it where the statement brings the proof key.
            attested_jwk=jwk_of(spki) if app.platform is Platform.ANDROID else {},
            app_version=evidence.get("version"),
            serials=tuple(evidence.get("serials", ())),
            device_key=evidence.get("device_key"),
            receipt=receipt,
            receipt_due_at=None if receipt is None else now + timedelta(days=1),
            signals=tuple(self.signals),
            platform=evidence.get("platform"),
        )

    async def appraise_renewal(
        self,
        evidence: Mapping[str, Any],
        statement: Statement,
        instance: Instance,
        app: AppRegistration,
        now: datetime,
    ) -> AppraisedRenewal:
        """See the port."""
        self.calls.append("renewal")
        _require_binding(evidence, statement)
        if base64url.decode(evidence["key"]) != instance.attested_key:
            raise RefusedError.because(Reason.APP_ATTEST_SIGNATURE, "another key signed")
        anew = bool(evidence.get("vouched_anew"))
        return AppraisedRenewal(
            evidence.get("counter"),
            evidence.get("version"),
            anew,
            tuple(self.signals),
            evidence.get("platform"),
        )


def _require_binding(evidence: Mapping[str, Any], statement: Statement) -> None:
    if base64url.decode(evidence["binding"]) != statement.binding:
        raise RefusedError.because(Reason.ATTESTATION_BINDING, "bound to something else")


def public_jwk() -> dict[str, str]:
    """Return the JWK of a fresh P-256 key."""
    return jwk_from_public_key(generate_private_key(SECP256R1()).public_key())


def jwk_of(spki: bytes) -> dict[str, str]:
    """Return the JWK of a P-256 key."""
    key = load_der_public_key(spki)
    assert isinstance(key, EllipticCurvePublicKey)
    return jwk_from_public_key(key)


def public_spki() -> bytes:
    """Return the SPKI of a fresh P-256 key."""
    key = generate_private_key(SECP256R1()).public_key()
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


@dataclass
class SimulatedPhone:
    """Write statements and evidence as a phone of one app would."""

    app: str = "clinic-ios"
    audiences: tuple[str, ...] = (CLINIC,)
    proof_jwk: dict[str, str] = field(default_factory=public_jwk)
    seal_key: EllipticCurvePrivateKey = field(
        default_factory=lambda: generate_private_key(SECP256R1()), repr=False
    )
    attested_key: bytes = field(default_factory=public_spki)
    counter: int = 0

    @property
    def seal_jwk(self) -> dict[str, str]:
        """Return the public key to which secrets are sealed."""
        return jwk_from_public_key(self.seal_key.public_key())

    @property
    def is_android(self) -> bool:
        """Tell which kind of evidence it sends."""
        return self.app.endswith("android")

    def statement(self, purpose: Purpose, challenge: bytes, /, **changes: Any) -> bytes:
        """Return statement bytes; a change to None leaves the member out."""
        members: dict[str, Any] = {
            "v": 1,
            "purpose": purpose.value,
            "iss": ISSUER,
            "aud": list(self.audiences),
            "app": self.app,
            "challenge": base64url.encode(challenge),
            "seal_jwk": self.seal_jwk,
        }
        if not self.is_android:
            members["proof_jwk"] = self.proof_jwk
        members |= changes
        return json.dumps({k: v for k, v in members.items() if v is not None}).encode()

    def evidence(self, statement: bytes, **changes: Any) -> dict[str, Any]:
        """Return evidence that is bound to the statement."""
        return {
            "format": "android-key" if self.is_android else "app-attest",
            "binding": base64url.encode(hashlib.sha256(statement).digest()),
            "key": base64url.encode(self.attested_key),
        } | changes

    def enrolment(self, challenge: bytes, /, **changes: Any) -> EnrolmentRequest:
        """Return a request to enrol; ``changes`` are made to the statement."""
        statement = self.statement(Purpose.ENROL, challenge, **changes)
        return EnrolmentRequest(statement, self.evidence(statement))

    def renewal(self, instance_id: str, challenge: bytes, /, **changes: Any) -> RenewalRequest:
        """Return a request to renew, with the next counter where the format has one."""
        return self._proved(instance_id, self.statement(Purpose.RENEW, challenge, **changes))

    def asking(
        self, instance_id: str, challenge: bytes, secret: str = "push", /, **changes: Any
    ) -> RenewalRequest:
        """Return a request for a secret, as :meth:`renewal` does for tokens."""
        members = {"secret": secret, **changes}
        return self._proved(instance_id, self.statement(Purpose.SECRET, challenge, **members))

    def _proved(self, instance_id: str, statement: bytes) -> RenewalRequest:
        evidence = self.evidence(statement)
        if not self.is_android:
            self.counter += 1
            evidence["counter"] = self.counter
        return RenewalRequest(instance_id, statement, evidence)


def with_evidence(request: EnrolmentRequest, **changes: Any) -> EnrolmentRequest:
    """Return the request with other members of its evidence."""
    return replace(request, evidence={**request.evidence, **changes})
