"""Hand secrets to instances under leases: statement and evidence in, a secret sealed to the instance out.

Checks run from cheap to expensive, and nothing is written before all of them held.  The secret leaves after
the lease is durable: whoever holds one is known to, whatever happens to the service in between.

What is handed out can't be taken back, and a phone's owner can read it (docs/sealed-delivery.md): a key that a
gate can add at the edge doesn't belong here.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Protocol

from watchword.attestation.interface import AppRegistration
from watchword.broker.envelope import SecretContext, seal_secret
from watchword.broker.interface import DeliveryRule, SecretVersion
from watchword.encoding import base64url
from watchword.encoding.phrases import moment
from watchword.enrolment.evidence import OperatorCodeVerifier
from watchword.enrolment.interface import (
    EnrolmentPolicy,
    EvidenceVerifier,
    OperatorCodeStore,
    RenewalRequest,
    Statement,
)
from watchword.enrolment.refusals import RefusalSigner
from watchword.enrolment.statement import (
    ChallengeEpochs,
    StatementValidator,
    require_alive,
    require_same,
)
from watchword.ports import AuditEntry, ChallengeUse, Entropy, Instance, InstanceStore
from watchword.reasons import Reason, RefusedError, UnavailableError
from watchword.vocabulary import Level, Purpose


@dataclass(frozen=True, slots=True)
class Lease:
    """Hold that an instance was handed a secret; of the secret itself only name and version are here.

    There is one for each instance and secret at most: whoever asks again while it lives continues it.

    :param id: random, 22 characters of base64url; the same for as long as the lease is continued.
    :param issued_at: of its first delivery; ``delivered_at`` of its last one.
    :param expires_at: until when the instance may keep what it was handed last.
    :param deliveries: how often it was handed out under this lease, from 1.
    """

    id: str
    instance_id: str
    secret: str
    version: int
    app: str
    app_version: str | None
    issued_at: datetime
    delivered_at: datetime
    expires_at: datetime
    deliveries: int = 1


@dataclass(frozen=True, slots=True)
class LeaseCount:
    """Hold how many instances of one app version hold one version of a secret.

    :param leases: those that live; ``withdrawn`` beside them, those whose instance was revoked before their time:
        nobody gets the secret under them again, and what was handed out before stays on the phone.
    :param latest_expiry: when the last of them all ends.
    :param latest_delivery: when one of them was handed out last.
    """

    secret: str
    version: int
    app: str
    app_version: str | None
    leases: int
    withdrawn: int
    latest_expiry: datetime
    latest_delivery: datetime


@dataclass(frozen=True, slots=True)
class Holder:
    """Hold an instance and its lease of one secret as they were read at an instant.

    :param lease: the one that lived then, None where there was none.
    """

    instance: Instance
    lease: Lease | None


class LeaseStore(Protocol):
    """Keep leases beside the instances, in the same transactions.

    Each writing method is one transaction, durable when it returns, and raises :class:`UnavailableError`
    with ``store.unavailable`` leaving nothing behind.
    """

    async def holder(self, instance_id: str, secret: str, now: datetime) -> Holder | None:
        """Return an instance and its lease of a secret; None where there is no such instance."""

    async def deliver(
        self,
        use: ChallengeUse,
        lease: Lease,
        counter: int | None,
        audit: Callable[[Lease], AuditEntry],
        attested_at: datetime | None = None,
        known: Holder | None = None,
    ) -> Lease:
        """Consume the challenge, raise the counter as a renewal does, keep the lease; return it as it is kept.

        Where the instance has a lease of this secret that lives, that one is continued: it keeps its id and
        the time of its first delivery, and takes all else of ``lease``.

        :param lease: as it is if there is none that lives.
        :param counter: must be greater than the stored one; None where the format has none.
        :param audit: makes the entry from the lease as it is kept.
        :param attested_at: when the vendor vouched for the instance anew; None leaves that as it was.
        :param known: what :meth:`holder` returned moments ago, which saves a round trip where it is still so; else, and
            with None, it is read again.
        :raises RefusedError: ``challenge.used``, ``instance.unknown``, ``instance.revoked``, ``instance.counter``.
        """

    async def leases(self, now: datetime, secret: str | None = None) -> Sequence[LeaseCount]:
        """Return who holds secrets at an instant: by secret, version, app and app version, in this order.

        :param secret: only this one's.
        """

    async def forget_leases(self, now: datetime) -> int:
        """Drop leases that expired before ``now``; return how many."""


CHANGED_RETRY_SECONDS: Final = 1
"""After how long to come again when the secret was changed while it was being handed out."""

_ID_BYTES: Final = 16
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class DeliverableSecrets(Protocol):
    """Know the secrets; :class:`watchword.broker.keeper.SecretKeeper` does."""

    def deliverable(self, name: str, now: float) -> SecretVersion:
        """Return the version to hand out.

        :raises RefusedError: ``secret.revoked`` where none counts.
        :raises UnavailableError: ``secret.unavailable`` where it isn't known.
        """


class DeliveryStore(InstanceStore, LeaseStore, OperatorCodeStore, Protocol):
    """Keep instances and their leases."""


@dataclass(frozen=True, slots=True)
class Delivered:
    """Hold the answer to one delivery.

    :param sealed: the secret's value, sealed to the instance (:mod:`watchword.broker.envelope`).
    :param expires_in: whole seconds that are left of the lease, at least 1.
    """

    lease: Lease
    expires_in: int
    sealed: bytes = field(repr=False)


class SecretDelivery:
    """Carry out the call by which an instance gets a secret."""

    def __init__(
        self,
        policy: EnrolmentPolicy,
        verifier: EvidenceVerifier,
        store: DeliveryStore,
        challenge_key: bytes,
        entropy: Entropy,
        rules: Mapping[str, DeliveryRule],
        secrets: DeliverableSecrets | None,
        epochs: ChallengeEpochs | None = None,
        refusals: RefusalSigner | None = None,
    ) -> None:
        """Keep the ports; nothing is called yet.

        :param refusals: signs those that are final; None signs none.
        :param epochs: which challenges count; None where the store is never put back.
        :param rules: by name of the secret; what has none is handed to nobody.
        :param secrets: None where there are none.
        """
        self._policy = policy
        self._rules = rules
        self._verifier = OperatorCodeVerifier(verifier, store)
        self._validator = StatementValidator(policy, self._verifier, challenge_key, epochs)
        self._store = store
        self._secrets = secrets
        self._entropy = entropy
        self._refusals = refusals

    async def deliver(self, request: RenewalRequest, now: datetime) -> Delivered:
        """Return a secret, sealed to the key that the instance enrolled with, after its lease is durable.

        1. The statement is read, was made to get a secret, and is for this issuer, a known app and audiences
           open to it; its challenge was made here for that, and is fresh.
        2. The secret is one that is handed out, and to this app.
        3. The instance exists, isn't revoked, hasn't ended, and is of the statement's app with the same keys.
        4. Its level reaches the secret's, and the deployment's minimum.
        5. The evidence verifies under the attested key; policy judges anew what it states, as at a renewal.
        6. The secret has a version that counts.
        7. Challenge, counter, lease and audit entry are stored in one transaction.
        8. That version still counts: of a revocation and a delivery at the same time one comes first.

        :raises RefusedError: with the reason of the first step that failed.  A secret that isn't there, that
            isn't handed out, and that isn't handed to this app or level are one public class.
        :raises UnavailableError: when the store or the secrets can't answer; nothing was handed out.
        """
        statement, app, use = self._validator.validate(
            request.statement, request.evidence, Purpose.SECRET, now
        )
        signing = nullcontext() if self._refusals is None else self._refusals.over(statement, now)
        async with signing:
            return await self._deliver(request, statement, app, use, now)

    async def _deliver(
        self,
        request: RenewalRequest,
        statement: Statement,
        app: AppRegistration,
        use: ChallengeUse,
        now: datetime,
    ) -> Delivered:
        """Carry out the steps from 2 on."""
        rule = self._rule(statement, app)
        known = await self._store.holder(request.instance_id, rule.secret, now)
        if known is None:
            raise RefusedError.because(Reason.INSTANCE_UNKNOWN, "expected an enrolled instance")
        instance = known.instance
        require_alive(instance, self._policy.environment, now)
        require_same(instance, statement)
        self._require_level(instance.level, rule)
        renewal = await self._verifier.appraise_renewal(
            request.evidence, statement, instance, app, now
        )
        version = self._version(rule, now)
        proposed = self._lease(
            instance, renewal.app_version or instance.app_version, rule, version, now
        )
        # The transaction looks at the instance again, as that of a renewal does.
        lease = await self._store.deliver(
            use,
            proposed,
            renewal.counter,
            lambda kept: _audit(kept, instance),
            now if renewal.vouched_anew else None,
            known,
        )
        if self._version(rule, now).number != version.number:
            raise UnavailableError(
                Reason.SECRET_UNAVAILABLE,
                f"{rule.secret} was changed in these moments",
                CHANGED_RETRY_SECONDS,
            )
        return self._delivered(lease, version, instance, statement, now)

    def _rule(self, statement: Statement, app: AppRegistration) -> DeliveryRule:
        assert statement.secret is not None  # A statement of this purpose has one.
        rule = self._rules.get(statement.secret)
        if rule is None:
            # Its name is the sender's text, as long as nobody here knows it.
            raise RefusedError.because(
                Reason.SECRET_NOT_DELIVERED, "expected the name of a secret that is handed out"
            )
        if app.id not in rule.apps:
            raise RefusedError.because(
                Reason.SECRET_APP,
                f"{rule.secret}: got {app.id}, expected one of: {', '.join(sorted(rule.apps))}",
            )
        return rule

    def _require_level(self, level: Level, rule: DeliveryRule) -> None:
        for needed in (rule.level, self._policy.minimum_level):
            if not level.satisfies(needed):
                raise RefusedError.because(
                    Reason.SECRET_LEVEL,
                    f"{rule.secret}: got {level.value}, expected {needed.value}",
                )

    def _version(self, rule: DeliveryRule, now: datetime) -> SecretVersion:
        if self._secrets is None:
            raise UnavailableError(Reason.SECRET_UNAVAILABLE, "no secrets are kept here")
        return self._secrets.deliverable(rule.secret, now.timestamp())

    def _lease(
        self,
        instance: Instance,
        app_version: str | None,
        rule: DeliveryRule,
        version: SecretVersion,
        now: datetime,
    ) -> Lease:
        """Return the lease of a first delivery; it outlives neither the version nor a test instance.

        Each of the ends is a whole second after ``now``, so that at least one is left.
        """
        end = now.replace(microsecond=0) + timedelta(seconds=rule.lease)
        if version.until is not None:
            end = min(end, _EPOCH + timedelta(seconds=version.until))
        if instance.expires_at is not None:
            end = min(end, instance.expires_at)
        return Lease(
            id=base64url.encode(self._entropy.token_bytes(_ID_BYTES)),
            instance_id=instance.id,
            secret=rule.secret,
            version=version.number,
            app=instance.app,
            app_version=app_version,
            issued_at=now,
            delivered_at=now,
            expires_at=end,
        )

    def _delivered(
        self,
        lease: Lease,
        version: SecretVersion,
        instance: Instance,
        statement: Statement,
        now: datetime,
    ) -> Delivered:
        assert version.value is not None  # A version that counts has one.
        context = SecretContext(
            binding=statement.binding,
            app=lease.app,
            name=lease.secret,
            version=lease.version,
            lease=lease.id,
            expires_at=int(lease.expires_at.timestamp()),
        )
        sealed = seal_secret(version.value, instance.seal_jwk, context)
        left = int(lease.expires_at.timestamp()) - int(now.timestamp())
        return Delivered(lease, left, sealed)


def _audit(lease: Lease, instance: Instance) -> AuditEntry:
    detail: dict[str, Any] = {
        "secret": lease.secret,
        "version": lease.version,
        "lease": lease.id,
        "delivery": lease.deliveries,
        "expires_at": moment(lease.expires_at),
        "app": lease.app,
        "app_version": lease.app_version,
        "level": instance.level.value,
    }
    if instance.test:
        detail["test"] = True
    return AuditEntry(lease.delivered_at, "instance", "secret.delivered", instance.id, detail)
