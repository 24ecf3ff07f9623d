"""Define the token: the attestation result as a short-lived ES256 JWT (protocol, section 4)."""

from collections.abc import Mapping
from dataclasses import dataclass

from watchword.vocabulary import Environment, Level

TOKEN_TYPE = "watchword+jwt"  # noqa: S105 - a media type.
"""The ``typ`` of a token; nothing else is accepted (RFC 8725 section 3.11)."""

REFUSAL_TYPE = "watchword-refusal+jwt"
"""The ``typ`` of a refusal that the service signed for a client to keep."""

MAX_TOKEN_BYTES = 2048
"""Most characters of a token; longer ones are refused before they are parsed."""

MIN_LIFETIME_SECONDS = 30
"""Shortest life of a token: a shorter one would expire on its way over a bad network."""

MAX_LIFETIME_SECONDS = 3600
"""Longest life of a token; a longer one was not made by a service that keeps the protocol."""

LEEWAY_SECONDS = 30
"""How far the clocks of service and gate may differ, unless a gate says otherwise."""

MAX_LEEWAY_SECONDS = 120
"""Widest leeway of any gate: so much longer than its life a token may be accepted."""


@dataclass(frozen=True, slots=True)
class TokenClaims:
    """Hold what a token says, after its signature and every claim were verified (or before issue).

    Times are seconds since 1970.  ``subject`` is pairwise: another one for each audience.

    :param key: the instance's public proof key as a JWK, in ``cnf.jwk`` (RFC 7800).
    :param session_id: random for each issue.
    :param epoch: epoch of the audience's gate secret.
    :param binding: optional ``bnd`` of the statement.
    :param device: what all instances of one app on one device share at this audience alone, where the evidence
        names the device.
    :param device_for_session: whether the claim ``prf`` is ``device``: the device's own signature stands for a session
        proof, since the device can't open a session key.
    :param os: family and major version of the system, from verified evidence alone; None where none says.
    """

    issuer: str
    audience: str
    subject: str
    issued_at: int
    expires_at: int
    token_id: str
    environment: Environment
    app_id: str
    app_version: str | None
    level: Level
    key: Mapping[str, str]
    session_id: str
    epoch: int = 0
    binding: str | None = None
    device: str | None = None
    device_for_session: bool = False
    os: str | None = None

    @property
    def counted_as(self) -> str:
        """Return by whom requests are counted: the device, where it is known, and the instance otherwise.

        A device that enrols again and again has one share of every rate, quota and memory.
        """
        return self.device or self.subject


@dataclass(frozen=True, slots=True)
class TokenExpectation:
    """Hold what a gate demands of a token.

    :param leeway: seconds by which clocks may differ, 0 to :data:`MAX_LEEWAY_SECONDS`: revoked
        subjects are published for no longer than that after their last token's end.
    :raises ValueError: on any other leeway.
    """

    issuer: str
    audience: str
    environment: Environment
    leeway: int = LEEWAY_SECONDS

    def __post_init__(self) -> None:
        """Hold the leeway to its bounds."""
        if not 0 <= self.leeway <= MAX_LEEWAY_SECONDS:
            raise ValueError(f"got leeway {self.leeway}, expected 0 to {MAX_LEEWAY_SECONDS} s")


@dataclass(frozen=True, slots=True)
class VerifiedToken:
    """Hold claims whose signature and values were verified, and for how long that stays true.

    Seconds since 1970: the verdict holds while ``valid_from <= now < valid_until`` (leeway and the
    key's retirement are counted in).  Outside of it the token has to be verified anew.
    """

    claims: TokenClaims
    valid_from: float
    valid_until: float
