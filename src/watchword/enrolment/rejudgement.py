"""Judge enrolled instances again when a vendor withdraws certificates.

Whoever takes a leaked attestation key enrols as many instances as he likes before the vendor notices.
When its certificate is REVOKED at last, every instance that it vouched for goes; one that is merely
SUSPENDED is for policy, which refuses renewals as long as that lasts.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final, Protocol

from watchword.attestation.interface import IssuerCache
from watchword.ports import AuditEntry, Instance, InstanceStore, RevocationEntry
from watchword.reasons import Reason, RefusedError
from watchword.vocabulary import Withdrawal

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
