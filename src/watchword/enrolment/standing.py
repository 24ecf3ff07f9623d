"""Say what is known of an instance that renews, and judge instances again when a vendor withdraws certificates.

Whoever takes a leaked attestation key enrols as many instances as he likes before the vendor notices.
When its certificate is REVOKED at last, every instance that it vouched for goes; one that is merely
SUSPENDED is for policy, which refuses renewals as long as that lasts.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final, Protocol

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from watchword.attestation.claims import UnverifiedClaims
from watchword.attestation.formats import android_key
from watchword.attestation.interface import EvidenceFormat, IssuerCache
from watchword.policy.interface import Standing
from watchword.ports import AuditEntry, Instance, InstanceStore, RevocationEntry, RevocationStatus
from watchword.reasons import Reason, RefusedError
from watchword.tokens.jose import public_key_from_jwk
from watchword.vocabulary import Withdrawal

_FORMATS_WITH_LIST: Final = frozenset({android_key.NAME})
"""Formats whose every instance is vouched for by certificates that a status list covers."""


def standing_of(
    instance: Instance,
    evidence_format: EvidenceFormat,
    revocation: RevocationStatus | None,
    now: datetime,
) -> Standing:
    """Return what policy judges of an instance between two attestations.

    Where the certificates of an instance should be known and aren't, nobody can know whether one was revoked.
    """
    withdrawn: RevocationEntry | None = None
    known: bool | None = None
    if revocation is not None:
        found = [revocation.find(serial) for serial in instance.serials]
        entries = [entry for entry in found if entry is not None]
        # A policy may let suspended certificates pass; behind one there may be a revoked one.
        entries.sort(key=lambda entry: entry.status == Withdrawal.SUSPENDED)
        withdrawn = entries[0] if entries else None
        if instance.serials:
            known = revocation.is_known(now)
        elif instance.format in _FORMATS_WITH_LIST:
            known = False
    return Standing(
        format=instance.format,
        level=instance.level,
        attested_at=instance.attested_at or instance.enrolled_at,
        withdrawn=withdrawn,
        revocation_known=known,
        risk_metric=instance.risk_metric,
        key_attested=evidence_format.attested_key_proves or not _renews_by_proof_key(instance),
    )


def require_same_device(claims: UnverifiedClaims, instance: Instance) -> None:
    """Refuse evidence made anew that vouches for something else than the instance.

    Otherwise a genuine device could vouch, again and again, for instances on others.  A device key is
    compared where the instance has one: evidence that doesn't tell devices apart can't vouch for it.

    :raises RefusedError: ``attestation.binding``.
    """
    if claims.public_key is not None and claims.public_key != instance.attested_key:
        raise RefusedError.because(
            Reason.ATTESTATION_BINDING, "it attests another key than the instance's"
        )
    if instance.device_key is not None and claims.device_key != instance.device_key:
        raise RefusedError.because(
            Reason.ATTESTATION_BINDING, "it is of another device than the instance's"
        )


def _renews_by_proof_key(instance: Instance) -> bool:
    """Tell whether the key that renews is the one that its own statement brought along.

    That is so where the evidence attested none, whatever the format's classes are called.  A format that
    attests the very key that the statement holds is taken for one as well: it renews for
    a shorter time than it could.
    """
    key = public_key_from_jwk(instance.proof_jwk)
    spki = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return spki == instance.attested_key


BECAUSE: Final = "certificate revoked by vendor"
"""Why an instance was revoked, in the store and in the audit trail."""

ACTOR: Final = "vendor"

SERIALS_AT_ONCE: Final = 500
INSTANCES_AT_ONCE: Final = 100
"""Bounds of one call of the store, so that requests get their turn in between."""


class WithdrawnCertificates(Protocol):
    """Know the certificates that vendors withdrew, and all that they revoked."""

    @property
    def digest(self) -> str:
        """Return a name of the entries as a whole."""

    def find(self, serial_hex: str) -> RevocationEntry | None:
        """Return the entry for a serial, None if there is none."""

    def revoked(self) -> Sequence[str]:
        """Return the serials whose status is REVOKED."""


class Rejudgement:
    """Revoke the instances of revoked certificates; belongs to one event loop."""

    def __init__(
        self,
        store: InstanceStore,
        withdrawn: WithdrawnCertificates,
        issuers: IssuerCache | None = None,
    ) -> None:
        """Keep the ports; the first sweep looks at everything.

        :param issuers: is cleared when the list changes.
        """
        self._store = store
        self._withdrawn = withdrawn
        self._issuers = issuers
        self._swept: str | None = None
        self.revoked = 0
        """How many instances were revoked, since the start."""

    async def sweep(self, now: datetime) -> int:
        """Revoke what the list says by now, if it isn't done yet; return how many instances that were.

        What is done is remembered for the process alone and only after the last batch: after a
        kill or an error everything is looked at again, which changes nothing that was done.

        :raises UnavailableError: when the store can't answer; the next call begins anew.
        """
        digest = self._withdrawn.digest
        if digest == self._swept:
            return 0
        if self._issuers is not None:
            self._issuers.clear()
        # Set first: what calls for another sweep meanwhile must not be overwritten at the end.
        self._swept = digest
        before = self.revoked
        try:
            serials = self._withdrawn.revoked()
            for start in range(0, len(serials), SERIALS_AT_ONCE):
                await self._revoke(serials[start : start + SERIALS_AT_ONCE], now)
        except BaseException:
            self._swept = None
            raise
        return self.revoked - before

    def require_standing(self, instance: Instance) -> None:
        """Refuse an instance that was committed although one of its certificates is revoked.

        Evidence that was verified under the old list can be committed after the sweep for the new
        one.  Asked after the commit this finds it: a list that comes later has its sweep after the
        commit, and one that came before is asked here.  Nobody gets a token, and the next sweep
        revokes the instance.

        :raises RefusedError: ``attestation.revoked``.
        """
        found = (self._withdrawn.find(serial) for serial in instance.serials)
        if any(entry is not None and entry.status == Withdrawal.REVOKED for entry in found):
            self._swept = None
            raise RefusedError.because(
                Reason.ATTESTATION_REVOKED, "a certificate was revoked in these moments"
            )

    async def _revoke(self, serials: Sequence[str], now: datetime) -> None:
        while True:
            found = await self._store.instances_with_serials(serials, INSTANCES_AT_ONCE)
            if not found:
                return
            audits = [_audit(instance, now) for instance in found]
            self.revoked += await self._store.revoke_all(now, BECAUSE, audits)


def _audit(instance: Instance, now: datetime) -> AuditEntry:
    # Neither the serial nor the entry: a remotely provisioned certificate is one device's alone.
    detail = {"because": BECAUSE, "app": instance.app, "format": instance.format}
    return AuditEntry(now, ACTOR, "instance.revoked", instance.id, detail)
