"""Simulate what a gate needs around it: a service that signs and publishes, and requests."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP256R1,
    EllipticCurvePrivateKey,
    derive_private_key,
    generate_private_key,
)
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from watchword.gate.interface import GatePolicy, RequestFacts, Route
from watchword.ports import VerificationKey
from watchword.reasons import Reason, UnavailableError
from watchword.tokens.interface import TokenClaims, TokenExpectation
from watchword.tokens.jwk import jwk_from_public_key
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


@dataclass
class PublishedState:
    """Hold what a service published; implements the port GateState."""

    keys: dict[str, VerificationKey] = field(
        default_factory=lambda: {SIGNER.kid: SIGNER.published()}
    )
    revoked: set[str] = field(default_factory=set)
    generation: int = 1
    reference_key: bytes = b"r" * 32

    def find(self, kid: str) -> VerificationKey | None:
        """Return the key with this id."""
        return self.keys.get(kid)

    def is_revoked(self, subject: str) -> bool:
        """Tell whether the subject is on the list."""
        return subject in self.revoked


class SilentState:
    """Know nothing yet, as before the service's first publication."""

    @property
    def generation(self) -> int:
        """Refuse to answer."""
        raise UnavailableError(Reason.GATE_STATE_UNAVAILABLE, "nothing was published")

    @property
    def reference_key(self) -> bytes:
        """Refuse to answer."""
        raise UnavailableError(Reason.GATE_STATE_UNAVAILABLE, "nothing was published")

    def find(self, _kid: str) -> VerificationKey | None:
        """Refuse to answer."""
        raise UnavailableError(Reason.GATE_STATE_UNAVAILABLE, "nothing was published")

    def is_revoked(self, _subject: str) -> bool:
        """Refuse to answer."""
        raise UnavailableError(Reason.GATE_STATE_UNAVAILABLE, "nothing was published")


def route(
    pattern: str,
    *,
    mode: Mode = Mode.ENFORCE,
    level: Level = Level.HARDWARE,
    methods: Iterable[str] = (),
    name: str = "",
) -> Route:
    """Return a row of a route table."""
    return Route(name or pattern, pattern, frozenset(methods), level, Proof.BEARER, mode)


ROUTES = (
    route("/health", mode=Mode.OFF, methods=["GET"]),
    route("/watched/**", mode=Mode.MONITOR),
    route("/v1/**"),
)


def policy(*routes: Route) -> GatePolicy:
    """Return the policy of the clinic's API."""
    return GatePolicy("clinic", EXPECTATION, routes or ROUTES)


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
