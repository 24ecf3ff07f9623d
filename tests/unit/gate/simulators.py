"""Simulate what a gate needs around it: a service that signs and publishes, and requests."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP256R1,
    EllipticCurvePrivateKey,
    derive_private_key,
    generate_private_key,
)
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from watchword.broker.interface import HoneytokenWatch, InjectedValue
from watchword.gate.cuts import Cut
from watchword.gate.interface import GatePolicy, RequestFacts, Route
from watchword.ports import Signer, VerificationKey
from watchword.reasons import Reason, UnavailableError
from watchword.tokens.interface import TokenClaims, TokenExpectation
from watchword.tokens.jose import jwk_from_public_key
from watchword.tokens.proofs.interface import GateSecret
from watchword.tokens.service import issue
from watchword.vocabulary import Environment, Level, Mode, Proof

NOW = 1_795_500_000
ISSUER = "https://watchword.example"
AUDIENCE = "https://clinic.example"
EXPECTATION = TokenExpectation(ISSUER, AUDIENCE, Environment.PROD)
# The same in each run, so that tests which run in parallel have the same names.
PROOF_JWK = jwk_from_public_key(derive_private_key(17, SECP256R1()).public_key())

CLAIMS = TokenClaims(
    issuer=ISSUER,
    audience=AUDIENCE,
    subject="pairwise-subject-of-an-instance",
    issued_at=NOW - 10,
    expires_at=NOW + 290,
    token_id="token-1",
    environment=Environment.PROD,
    app_id="clinic-ios",
    app_version="1.2.3",
    level=Level.HARDWARE,
    key=PROOF_JWK,
    session_id="session-1",
)


@dataclass
class SoftwareSigner:
    """Sign with a key in memory; implements the port Signer."""

    kid: str = "key-1"
    private: EllipticCurvePrivateKey = field(
        default_factory=lambda: generate_private_key(SECP256R1())
    )

    def sign(self, message: bytes) -> bytes:
        """Return the ES256 signature."""
        r, s = decode_dss_signature(self.private.sign(message, ECDSA(SHA256())))
        return r.to_bytes(32) + s.to_bytes(32)

    def published(self, verify_until: float | None = None) -> VerificationKey:
        """Return what the service publishes of this key."""
        return VerificationKey(self.kid, self.private.public_key(), verify_until)


SIGNER = SoftwareSigner(private=derive_private_key(23, SECP256R1()))
VERDICT_SIGNER = SoftwareSigner("verdicts", derive_private_key(29, SECP256R1()))
SECRET = GateSecret(0, b"s" * 32)


@dataclass
class PublishedState:
    """Hold what a service published; implements the port GateState."""

    keys: dict[str, VerificationKey] = field(
        default_factory=lambda: {SIGNER.kid: SIGNER.published()}
    )
    revoked: set[str] = field(default_factory=set)
    generation: int = 1
    reference_key: bytes = b"r" * 32
    policy: GatePolicy = field(default_factory=lambda: policy())  # noqa: PLW0108 - it stands below.
    secrets: dict[int, GateSecret] = field(default_factory=lambda: {SECRET.epoch: SECRET})
    verdict_signer: Signer = field(default_factory=lambda: VERDICT_SIGNER)

    injections: dict[str, InjectedValue] = field(default_factory=dict)
    canaries: HoneytokenWatch | None = None
    cuts: tuple[Cut, ...] = ()

    @property
    def trust(self) -> int:
        """Return the generation: all that changes here is asked anew."""
        return self.generation

    def is_cut(self, claims: TokenClaims) -> bool:
        """Tell whether a cut covers the token."""
        return any(each.covers(claims) for each in self.cuts)

    def injected(self, secret: str) -> InjectedValue | None:
        """Return what is added for a secret."""
        return self.injections.get(secret)

    def find(self, kid: str) -> VerificationKey | None:
        """Return the key with this id."""
        return self.keys.get(kid)

    def is_revoked(self, subject: str) -> bool:
        """Tell whether the subject is on the list."""
        return subject in self.revoked

    def secret(self, epoch: int) -> GateSecret | None:
        """Return the gate secret of an epoch."""
        return self.secrets.get(epoch)


class SilentState:
    """Know nothing yet, as before the service's first publication."""

    @property
    def generation(self) -> int:
        """Refuse to answer."""
        raise UnavailableError(Reason.GATE_STATE_UNAVAILABLE, "nothing was published")

    @property
    def trust(self) -> int:
        """Refuse to answer."""
        raise UnavailableError(Reason.GATE_STATE_UNAVAILABLE, "nothing was published")

    @property
    def policy(self) -> GatePolicy:
        """Refuse to answer."""
        raise UnavailableError(Reason.GATE_STATE_UNAVAILABLE, "nothing was published")

    def injected(self, secret: str) -> InjectedValue | None:
        """Refuse to answer."""
        raise UnavailableError(Reason.GATE_STATE_UNAVAILABLE, f"nothing of {len(secret)} letters")

    @property
    def canaries(self) -> HoneytokenWatch | None:
        """Refuse to answer."""
        raise UnavailableError(Reason.GATE_STATE_UNAVAILABLE, "nothing was published")

    @property
    def reference_key(self) -> bytes:
        """Refuse to answer."""
        raise UnavailableError(Reason.GATE_STATE_UNAVAILABLE, "nothing was published")

    @property
    def verdict_signer(self) -> Signer:
        """Refuse to answer."""
        raise UnavailableError(Reason.GATE_STATE_UNAVAILABLE, "nothing was published")

    def secret(self, _epoch: int) -> GateSecret | None:
        """Refuse to answer."""
        raise UnavailableError(Reason.GATE_STATE_UNAVAILABLE, "nothing was published")

    def find(self, _kid: str) -> VerificationKey | None:
        """Refuse to answer."""
        raise UnavailableError(Reason.GATE_STATE_UNAVAILABLE, "nothing was published")

    def is_revoked(self, _subject: str) -> bool:
        """Refuse to answer."""
        raise UnavailableError(Reason.GATE_STATE_UNAVAILABLE, "nothing was published")

    def is_cut(self, _claims: TokenClaims) -> bool:
        """Refuse to answer."""
        raise UnavailableError(Reason.GATE_STATE_UNAVAILABLE, "nothing was published")


def route(
    pattern: str,
    *,
    mode: Mode = Mode.ENFORCE,
    level: Level = Level.HARDWARE,
    methods: Iterable[str] = (),
    name: str = "",
    proof: Proof = Proof.BEARER,
    **others: Any,
) -> Route:
    """Return a row of a route table."""
    return Route(name or pattern, pattern, frozenset(methods), level, proof, mode, **others)


ROUTES = (
    route("/health", mode=Mode.OFF, methods=["GET"]),
    route("/watched/**", mode=Mode.MONITOR),
    route("/v1/**"),
)


def policy(*routes: Route, **others: Any) -> GatePolicy:
    """Return the policy of the clinic's API."""
    return GatePolicy("clinic", EXPECTATION, routes or ROUTES, **others)


def published(*routes: Route, **others: Any) -> PublishedState:
    """Return the state of a service whose API has these routes."""
    return PublishedState(policy=policy(*routes, **others))


def token(signer: SoftwareSigner = SIGNER, **changes: object) -> str:
    """Return a token that says :data:`CLAIMS` with some changes."""
    return issue(replace(CLAIMS, **changes), signer)  # type: ignore[arg-type]


def request(
    path: str = "/v1/patients",
    *,
    token: str | None = None,
    method: str = "GET",
    headers: Iterable[tuple[bytes, bytes]] = (),
) -> RequestFacts:
    """Return the facts of a request as a phone would send it."""
    fields = [(b"host", b"clinic.example"), (b"accept", b"*/*"), *headers]
    if token is not None:
        fields.append((b"watchword-token", token.encode()))
    return RequestFacts(method, path.encode("latin-1"), fields)
