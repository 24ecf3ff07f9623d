"""Have App Attest receipts refreshed when they are due, and keep what they say of the device.

A newer receipt states how many keys the device had attested in 30 days.  Nothing here is urgent: requests never
wait for it, and whatever fails is tried again later, up to a day.
"""

from collections import Counter
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final

from watchword.attestation.attestation_object import read_attestation_object
from watchword.attestation.claims import UnverifiedClaims
from watchword.attestation.interface import AppAttestAttestation, Attestation, Trust
from watchword.attestation.receipts import examine_refreshed, next_attempt, next_due
from watchword.ports import AuditEntry, InstanceStore, ReceiptServer, StoredReceipt
from watchword.reasons import RefusedError, UnavailableError

RECEIPTS_AT_ONCE: Final = 10
"""Most receipts of an app that are refreshed in one round, one after the other."""

LEAST_PAUSE: Final = timedelta(hours=1)
"""A receipt is never asked for more often than this, whatever it says itself."""

LONGEST_PAUSE: Final = timedelta(hours=1)
"""Longest pause for a whole app while its receipts fail."""

NEVER: Final = datetime(9999, 1, 1, tzinfo=UTC)
"""When a receipt is due that Apple won't refresh any more."""


def receipt_to_keep(
    attestation: Attestation, claims: UnverifiedClaims, now: datetime
) -> tuple[bytes, datetime] | tuple[None, None]:
    """Return the receipt inside evidence that was verified, and when to have it refreshed.

    Only one that verified is kept: what nobody vouches for isn't sent to Apple under the team's name.
    """
    if claims.receipt is None or not isinstance(attestation, AppAttestAttestation):
        return None, None
    due_at = next_due(claims.receipt, now)
    if due_at is None:
        return None, None
    return read_attestation_object(attestation.attestation).receipt, due_at


class RefreshOutcome(StrEnum):
    """Say what came of one receipt.

    ``refreshed``: a newer one is kept.  ``unchanged``: Apple has none yet.  ``failed``: no answer, or one that
    can't be believed; it is tried again.  ``refused``: Apple won't have the receipt; it isn't tried again.
    """

    REFRESHED = "refreshed"
    UNCHANGED = "unchanged"
    FAILED = "failed"
    REFUSED = "refused"


@dataclass(slots=True)
class _Trouble:
    """Hold how often an app's receipts failed in a row, and until when it is left alone."""

    failures: int = 0
    until: datetime | None = None

    def pauses(self, now: datetime) -> bool:
        """Tell whether to wait; a clock that was set back doesn't make that longer."""
        return self.until is not None and now < self.until <= now + LONGEST_PAUSE

    def note(self, outcome: RefreshOutcome, due_at: datetime, now: datetime) -> None:
        """Take in what came of a receipt, and when it is due again."""
        if outcome is RefreshOutcome.FAILED:
            self.failures += 1
            until = max(next_attempt(self.failures, now), due_at)
            self.until = min(until, now + LONGEST_PAUSE)
        else:
            self.failures, self.until = 0, None


class ReceiptRefresh:
    """Refresh the receipts that are due; of each app one round runs at a time."""

    def __init__(self, store: InstanceStore, server: ReceiptServer, trust: Trust) -> None:
        """Keep the ports; nothing is called yet."""
        self._store = store
        self._server = server
        self._trust = trust
        self._troubles: dict[str, _Trouble] = {}
        self.outcomes: Counter[RefreshOutcome] = Counter()
        self.due: Counter[str] = Counter()
        """How many receipts of each app the last round found due, at most :data:`RECEIPTS_AT_ONCE`."""

    async def round(self, app: str, now: datetime) -> int:
        """Refresh some receipts of an app that are due; return how many were asked for.

        The round ends with the first failure, and the app is left alone for a while: what troubles the
        server for one receipt does so for the next one too.

        :raises UnavailableError: when the store can't answer.  An answer of Apple's that couldn't be
            kept is asked for again.
        """
        trouble = self._troubles.setdefault(app, _Trouble())
        if trouble.pauses(now):
            return 0
        receipts = await self._store.due_receipts(app, now, RECEIPTS_AT_ONCE)
        self.due[app] = len(receipts)
        for asked, receipt in enumerate(receipts, start=1):
            try:
                outcome, due_at = await self._refresh(receipt, now)
            except UnavailableError:
                # The store can't keep the answer: Apple isn't asked for it again at once.
                trouble.note(RefreshOutcome.FAILED, now, now)
                raise
            self.outcomes[outcome] += 1
            trouble.note(outcome, due_at, now)
            if outcome is RefreshOutcome.FAILED:
                return asked
        return len(receipts)

    async def _refresh(self, old: StoredReceipt, now: datetime) -> tuple[RefreshOutcome, datetime]:
        """Ask for one receipt and keep what came of it, in one transaction."""
        outcome, receipt, metric = await self._asked(old, now)
        audit = None if metric is None else await self._audit(old, metric, now)
        await self._store.put_receipt(receipt, metric, audit)
        return outcome, receipt.due_at

    async def _asked(
        self, old: StoredReceipt, now: datetime
    ) -> tuple[RefreshOutcome, StoredReceipt, int | None]:
        """Return what came of asking, what is to be kept, and the risk metric if there is one."""
        try:
            newer = await self._server.refresh(old.app, old.receipt)
            if newer is None:
                waiting = replace(old, due_at=now + LEAST_PAUSE, failures=0)
                return RefreshOutcome.UNCHANGED, waiting, None
        except UnavailableError as error:
            return RefreshOutcome.FAILED, _later(old, now, error.retry_after), None
        except RefusedError:
            return RefreshOutcome.REFUSED, replace(old, due_at=NEVER), None
        try:
            claims = examine_refreshed(old.receipt, newer, self._trust, now)
        except RefusedError:
            # Somebody between Apple and us, or a fault of Apple's: the old receipt stays.
            return RefreshOutcome.FAILED, _later(old, now), None
        due_at = next_due(claims, now)
        soonest = now + LEAST_PAUSE
        kept = StoredReceipt(
            old.instance_id, old.app, newer, NEVER if due_at is None else max(due_at, soonest)
        )
        return RefreshOutcome.REFRESHED, kept, claims.risk_metric

    async def _audit(self, old: StoredReceipt, metric: int, now: datetime) -> AuditEntry | None:
        """Return the entry that tells of a change of the risk metric."""
        instance = await self._store.find(old.instance_id)
        known = None if instance is None else instance.risk_metric
        if known == metric:
            return None
        detail = {"app": old.app, "before": known, "now": metric}
        return AuditEntry(now, "vendor", "instance.risk_metric", old.instance_id, detail)


def _later(old: StoredReceipt, now: datetime, retry_after: int = 0) -> StoredReceipt:
    failures = old.failures + 1
    asked = now + min(timedelta(seconds=retry_after), timedelta(days=1))
    return replace(old, due_at=max(next_attempt(failures, now), asked), failures=failures)
