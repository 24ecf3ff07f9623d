"""Define enrolment: statement and evidence give an instance and its tokens."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from watchword.attestation.interface import AppRegistration
from watchword.enrolment.appraisals import Appraisal
from watchword.enrolment.operator_codes import OperatorCode
from watchword.ports import CountLimit, EnrolledCounts, Instance
from watchword.reasons import Refusal
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
    :param secret: name of the secret that is asked for; None for every other purpose.
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
    secret: str | None = None


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
    """Hold one token for one audience; ``lifetime`` is in seconds from its issue.

    :param sealed_key: the session key, sealed to the instance's seal key
        (:mod:`watchword.tokens.sealing`); nobody else can read it.
    """

    audience: str
    token: str
    lifetime: int
    sealed_key: bytes


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
    :param address: the prefix of the address that it comes from, None where that tells no client from another.  It
        proves nothing, and is neither stored nor logged.
    """

    statement: bytes
    evidence: Mapping[str, Any]
    address: str | None = None


class EnrolmentRoom(Protocol):
    """Bound how many instances enrol."""

    def room(self, app: str, address: str | None, now: datetime) -> AbstractContextManager[None]:
        """Take room for one enrolment of an app; an exception in the block gives it back.

        :param address: as in :class:`EnrolmentRequest`.
        :raises UnavailableError: ``enrolment.limit``, with the seconds until there is room.
        """


@dataclass(frozen=True, slots=True)
class RenewalRequest:
    """Hold what a client sent to renew, or to be handed a secret; nothing of it is verified."""

    instance_id: str
    statement: bytes
    evidence: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class AppraisedEvidence:
    """Hold what enrolment needs of evidence that was verified and that policy accepted.

    :param attested_key: SPKI DER of a key on P-256; ``attested_jwk`` is the same key as a JWK.  Where the
        evidence attests no key, both are those of the statement's proof key.
    :param counter: App Attest's counter; 0 where the format has none.
    :param serials: serials in hex of the certificates that vouched for it.
    :param device_key: SHA-256 shared by all instances of one device; None where that can't be told.
    :param attester_serial: serial in hex of the certificate of the key that attested it; None where there is none.
    :param receipt: a vendor's receipt to keep, and when to ask for a newer one; None where there is none.
    :param appraisal: how this came about, to be recorded with the instance that it enrols.
    :param counted: how many other instances the verdict depends on; None where it depends on none.
    :param signals: what the policy holds against it without refusing it.
    :param code: the operator's code that stood in the place of evidence, to be used up with the enrolment;
        None for all evidence of devices.
    """

    format: str
    level: Level
    attested_key: bytes
    attested_jwk: Mapping[str, str]
    app_version: str | None
    counter: int = 0
    serials: tuple[str, ...] = ()
    device_key: bytes | None = None
    attester_serial: str | None = None
    receipt: bytes | None = None
    receipt_due_at: datetime | None = None
    appraisal: Appraisal | None = None
    counted: "CountedInstances | None" = field(default=None, compare=False, repr=False)
    code: OperatorCode | None = None
    signals: tuple[Refusal, ...] = ()


@dataclass(frozen=True, slots=True)
class CountedInstances:
    """Hold up to which counts of instances a verdict stands, and who judges beyond them.

    Other evidence of the same device, or under the same certificate, can enrol while this one is judged: the store counts again in
    the transaction that enrols.

    :param judge_again: returns what the evidence is worth after so many instances; raises
        :class:`RefusedError` where that is nothing, which is recorded.
    """

    limit: CountLimit
    judge_again: Callable[[EnrolledCounts], AppraisedEvidence]


@dataclass(frozen=True, slots=True)
class AppraisedRenewal:
    """Hold what a renewal needs of evidence that was verified and that policy accepted.

    :param counter: to be compared and set by the store; None where the format has none.
    :param app_version: as the evidence states it, None where it states none.
    :param vouched_anew: the vendor vouched for the instance again, not its key alone.
    :param signals: what the policy holds against it without refusing it.
    """

    counter: int | None
    app_version: str | None = None
    vouched_anew: bool = False
    signals: tuple[Refusal, ...] = ()


class EvidenceVerifier(Protocol):
    """Verify and appraise evidence of every registered format.

    Waits only for what a format can't do without: a vendor that decodes, a store that counts.
    """

    def states_proof_key(self, evidence: Mapping[str, Any], app: AppRegistration) -> bool:
        """Tell whether the statement has to bring a proof key beside evidence of this format.

        It doesn't where the attested key itself signs requests (docs/adr/0002).

        :raises RefusedError: ``evidence.format_unknown`` or ``evidence.platform``.
        """

    async def appraise(
        self,
        evidence: Mapping[str, Any],
        statement: Statement,
        app: AppRegistration,
        now: datetime,
    ) -> AppraisedEvidence:
        """Verify evidence that enrols and is bound to the statement, and let policy judge it.

        :raises RefusedError: with what the format or the policy holds against it.
        :raises UnavailableError: when a vendor or the store can't answer.
        """

    async def appraise_renewal(
        self,
        evidence: Mapping[str, Any],
        statement: Statement,
        instance: Instance,
        app: AppRegistration,
        now: datetime,
    ) -> AppraisedRenewal:
        """Verify evidence that renews this instance; let policy judge what it states anew.

        Policy also judges what became known since the instance enrolled: withdrawn certificates, a risk
        metric, the age of a verdict.

        :raises RefusedError: with what the format or the policy holds against it.
        :raises UnavailableError: when a vendor or the store can't answer.
        """


class DeviceHistory(Protocol):
    """Know how many instances enrolled; the instance store is one."""

    async def count_enrolled(
        self, app: str, device_key: bytes | None, attester_serial: str | None, since: datetime
    ) -> EnrolledCounts:
        """See :meth:`watchword.ports.InstanceStore.count_enrolled`."""
