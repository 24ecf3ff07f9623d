"""Define enrolment: statement and evidence give an instance and its tokens."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from watchword.attestation.interface import AppRegistration
from watchword.ports import Instance
from watchword.vocabulary import Environment, Level, Purpose

MAX_STATEMENT_BYTES = 4096
"""Most bytes of a statement (protocol, section 1)."""

CHALLENGE_SECONDS = 300
"""Life of a challenge: long enough for a slow vendor call on a bad network."""


@dataclass(frozen=True, slots=True)
class Statement:
    """Hold a client statement that was read strictly; what it says is not yet verified.

    :param binding: SHA-256 of the bytes as received.
    :param proof_jwk: P-256 public key of the instance; None on Android, where the attested key
        itself is the proof key (docs/adr/0002).
    """

    purpose: Purpose
    issuer: str
    audiences: tuple[str, ...]
    app: str
    challenge: bytes
    proof_jwk: Mapping[str, str] | None
    seal_jwk: Mapping[str, str]
    bnd: str | None
    raw: bytes
    binding: bytes


@dataclass(frozen=True, slots=True)
class EnrolmentPolicy:
    """Hold what the service knows from ``watchword.yaml``.

    :param apps: by app id.
    :param audiences: by app id: the API audiences that this app may ask tokens for.
    :param minimum_level: instances below it are neither enrolled nor renewed.
    :param token_lifetime: seconds, 30 to 3600.
    """

    issuer: str
    environment: Environment
    apps: Mapping[str, AppRegistration]
    audiences: Mapping[str, frozenset[str]]
    minimum_level: Level
    token_lifetime: int


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """Hold one token for one audience; ``lifetime`` is in seconds from its issue."""

    audience: str
    token: str
    lifetime: int


@dataclass(frozen=True, slots=True)
class Enrolled:
    """Hold the answer to an enrolment or a renewal."""

    instance: Instance
    tokens: tuple[IssuedToken, ...]


@dataclass(frozen=True, slots=True)
class EnrolmentRequest:
    """Hold what a client sent to enrol; nothing of it is verified.

    :param statement: the statement's bytes as received.
    :param evidence: the members of the evidence, ``format`` among them.
    """

    statement: bytes
    evidence: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class RenewalRequest:
    """Hold what a client sent to renew; nothing of it is verified."""

    instance_id: str
    statement: bytes
    evidence: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class AppraisedEvidence:
    """Hold what enrolment needs of evidence that was verified and that policy accepted.

    :param attested_key: SPKI DER of a key on P-256; ``attested_jwk`` is the same key as a JWK.
    :param counter: App Attest's counter; 0 where the format has none.
    """

    format: str
    level: Level
    attested_key: bytes
    attested_jwk: Mapping[str, str]
    app_version: str | None
    counter: int = 0


@dataclass(frozen=True, slots=True)
class AppraisedRenewal:
    """Hold what a renewal needs of evidence that was verified and that policy accepted.

    :param counter: to be compared and set by the store; None where the format has none.
    :param app_version: as the evidence states it, None where it states none.
    """

    counter: int | None
    app_version: str | None = None


class EvidenceVerifier(Protocol):
    """Verify and appraise evidence of every registered format; pure, so that it never waits."""

    def appraise(
        self,
        evidence: Mapping[str, Any],
        binding: bytes,
        app: AppRegistration,
        now: datetime,
    ) -> AppraisedEvidence:
        """Verify evidence that enrols, and let policy judge it.

        :raises RefusedError: with what the format or the policy holds against it.
        """

    def appraise_renewal(
        self,
        evidence: Mapping[str, Any],
        statement: bytes,
        instance: Instance,
        app: AppRegistration,
    ) -> AppraisedRenewal:
        """Verify evidence that renews this instance, and let policy judge what it states anew.

        :raises RefusedError: with what the format or the policy holds against it.
        """
