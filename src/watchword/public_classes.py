"""Define who can act on a refusal, and what a stranger is told of one.

Ground floor: imports nothing of Watchword.
"""

from enum import Enum, StrEnum
from typing import Final

PROBLEM_TYPE: Final = "urn:watchword:problem:"
"""Stands before the name of a public class in the type of a problem (RFC 9457 section 3.1.1)."""

PROBLEM_MEDIA_TYPE: Final = "application/problem+json"
"""The media type of every refusal, whichever enforcement point writes it."""


class Category(StrEnum):
    """Say who can act: the sender of the bytes, the vendor, a clock, the operator, or time itself."""

    MALFORMED = "malformed"
    CONTENT = "content"
    TRUST = "trust"
    TIME = "time"
    POLICY = "policy"
    UNAVAILABLE = "unavailable"


class PublicClass(Enum):
    """Name what a refused client is told: (name in the problem type, HTTP status, title).

    Coarse on purpose: an attacker who probes learns the class, the operator reads the reason.
    """

    REQUEST_MALFORMED = ("request-malformed", 400, "The request can't be read")
    NOT_FOUND = ("not-found", 404, "There is nothing here")
    METHOD_NOT_ALLOWED = ("method-not-allowed", 405, "This method isn't served here")
    REQUEST_TIMEOUT = ("request-timeout", 408, "The request took too long to arrive")
    LENGTH_REQUIRED = ("length-required", 411, "The length of the body must be announced")
    BODY_TOO_LARGE = ("body-too-large", 413, "The body is too large")
    MEDIA_TYPE = ("media-type", 415, "This media type isn't accepted")
    HEADERS_TOO_LARGE = ("headers-too-large", 431, "The header section is too large")
    TOKEN_REQUIRED = ("token-required", 401, "A Watchword token is required")
    TOKEN_REFUSED = ("token-refused", 401, "The Watchword token was refused")
    PROOF_REQUIRED = ("proof-required", 401, "A proof of possession is required for this request")
    PROOF_REFUSED = ("proof-refused", 401, "The proof of possession was refused")
    PROOF_USED = ("proof-used", 401, "This proof was used before: the outcome is unknown")
    PROOF_NONCE = ("proof-nonce", 401, "The proof needs a nonce of this gate")
    RATE_LIMITED = ("rate-limited", 429, "Too many requests of this instance")
    LEVEL_INSUFFICIENT = ("level-insufficient", 403, "The attested level isn't enough here")
    ROUTE_REFUSED = ("route-refused", 403, "This route isn't open")
    CHALLENGE_REFUSED = ("challenge-refused", 409, "The challenge was refused; ask for a new one")
    EVIDENCE_REFUSED = ("evidence-refused", 403, "The evidence was refused")
    PINS_REFUSED = ("pins-refused", 409, "The pins were refused")
    SECRET_REFUSED = ("secret-refused", 403, "This secret isn't handed out")
    SECRET_CONFLICT = ("secret-conflict", 409, "The secret was changed meanwhile")
    INSTANCE_REFUSED = ("instance-refused", 403, "The instance was refused")
    INSTANCE_UNKNOWN = ("instance-unknown", 403, "The instance isn't known here; enrol again")
    UNAVAILABLE = ("unavailable", 503, "Temporarily unavailable")
    UPSTREAM_UNREACHABLE = ("upstream-unreachable", 502, "The API behind the gate didn't answer")
    INTERNAL = ("internal", 500, "Something went wrong on this side")

    @property
    def slug(self) -> str:
        """Return the name used in the problem type."""
        return self.value[0]

    @property
    def status(self) -> int:
        """Return the HTTP status."""
        return self.value[1]

    @property
    def title(self) -> str:
        """Return the short English title."""
        return self.value[2]
