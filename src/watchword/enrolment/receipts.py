"""Have App Attest receipts refreshed when they are due, and keep what they say of the device.

A newer receipt states how many keys the device had attested in 30 days.  Nothing here is urgent: requests never
wait for it, and whatever fails is tried again later: no failure is for good.
"""

from collections import Counter
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from watchword.attestation.attestation_object import read_attestation_object
from watchword.attestation.claims import UnverifiedClaims
from watchword.attestation.interface import AppAttestAttestation, Attestation, Trust
from watchword.attestation.receipts import examine_refreshed, next_attempt, next_due, read_receipt
from watchword.ports import AuditEntry, InstanceStore, ReceiptServer, StoredReceipt
from watchword.reasons import MalformedError, RefusedError, UnavailableError

RECEIPTS_AT_ONCE: Final = 10
"""Most receipts of an app that Apple is asked for in one round, one after the other."""

LOOKED_AT: Final = 100
"""Most receipts of an app that one round chooses from."""

SERVER_FAILURES: Final = 3
"""A server that fails so often in a row is left alone for a while."""

OWN_FAILURES: Final = 5
"""So many receipts in a row that Apple refuses, or answers wrongly, look like a fault of the server."""

LEAST_PAUSE: Final = timedelta(hours=1)
"""A receipt is never asked for more often than this, whatever it says itself."""

LONGEST_PAUSE: Final = timedelta(hours=1)
"""Longest pause for a whole app while its receipts fail."""

FIRST_REFUSAL_PAUSE: Final = timedelta(days=1)
REFUSAL_PAUSE: Final = timedelta(days=7)
"""When a receipt that Apple refused is sent again: a wrong server or a fault of its network refuses too."""

FURTHEST: Final = timedelta(days=30)
"""No receipt is due later than this; a due date that is further away comes from a clock that ran ahead."""


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
    receipt = read_attestation_object(attestation.attestation).receipt
    return receipt, min(due_at, now + FURTHEST)


class RefreshOutcome(StrEnum):
    """Say what came of one receipt.

    ``refreshed``: a newer one is kept.  ``unchanged``: Apple has none yet.  ``failed``: no answer, or one that
    can't be believed.  ``refused``: Apple won't have the receipt.  The last two are tried again.
    """

    REFRESHED = "refreshed"
    UNCHANGED = "unchanged"
    FAILED = "failed"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class _Answer:
    """Hold what came of asking for one receipt.

    :param kept: what is to be stored.  ``metric``: the risk metric, if there is one.
    :param why: what went wrong, empty where nothing did.
    :param limit: how many such answers in a row end the round.
    :param wait: for how long the server asks to be left alone.
    """

    outcome: RefreshOutcome
    kept: StoredReceipt
    metric: int | None = None
    why: str = ""
    limit: int = OWN_FAILURES
    wait: timedelta = timedelta(0)


@dataclass(slots=True)
class _Trouble:
    """Hold how often an app's receipts failed in a row, why, and until when it is left alone."""

    in_a_row: int = 0
    pauses: int = 0
    until: datetime | None = None
    why: str = ""

    def lasts(self, now: datetime) -> bool:
        """Tell whether to wait; a clock that was set back doesn't make that longer."""
        return self.until is not None and now < self.until <= now + LONGEST_PAUSE

    def note(self, answer: _Answer, now: datetime) -> None:
        """Take in what came of a receipt; any that went well ends the trouble."""
        if not answer.why:
            self.in_a_row, self.pauses, self.until = 0, 0, None
            return
        self.in_a_row += 1
        if self.in_a_row >= answer.limit:
            self.pause(now, answer.wait)

    def pause(self, now: datetime, wait: timedelta = timedelta(0)) -> None:
        """Leave the app alone: pauses double up to an hour, or are as long as the server asks."""
        self.pauses += 1
        self.until = min(max(next_attempt(self.pauses, now), now + wait), now + LONGEST_PAUSE)

    def place(self, count: int) -> int:
        """Return which of so many receipts to ask for: the first one, after a failure one elsewhere.

        Receipts that fail by themselves often stand together, and mustn't keep all others waiting.
        """
        return (0, count - 1, count // 2)[self.in_a_row % 3]


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
        """How many receipts of each app the last round found due, at most :data:`LOOKED_AT`."""

    def trouble(self, app: str) -> str:
        """Return why receipts of an app failed last, empty once a round went well; holds no secret."""
        trouble = self._troubles.get(app)
        return "" if trouble is None else trouble.why

    async def round(self, app: str, now: datetime) -> int:
        """Refresh some receipts of an app that are due; return how many were asked for.

        The round ends with the third failure of the server in a row (:data:`SERVER_FAILURES`), or the fifth
        receipt in a row that fails by itself, and the app is left alone for a while.

        :raises UnavailableError: when the store can't answer.  An answer of Apple's that couldn't be
            kept is asked for again.
        """
        trouble = self._troubles.setdefault(app, _Trouble())
        if trouble.lasts(now):
            return 0
        waiting = list(await self._store.due_receipts(app, now, LOOKED_AT))
        self.due[app] = len(waiting)
        asked, why = 0, ""
        while waiting and asked < RECEIPTS_AT_ONCE and not trouble.lasts(now):
            receipt = waiting.pop(trouble.place(len(waiting)))
            if _has_expired(receipt, now):
                # Apple takes it no more.  It is looked at again all the same: the clock may be wrong today.
                await self._store.put_receipt(replace(receipt, due_at=now + FURTHEST), None, None)
                continue
            asked += 1
            try:
                answer = await self._refresh(receipt, now)
            except UnavailableError:
                # The store can't keep the answer: Apple isn't asked for it again at once.
                trouble.pause(now)
                raise
            self.outcomes[answer.outcome] += 1
            trouble.note(answer, now)
            why = answer.why or why
        if asked:
            trouble.why = why
        return asked

    async def _refresh(self, old: StoredReceipt, now: datetime) -> _Answer:
        """Ask for one receipt and keep what came of it, in one transaction."""
        answer = await self._asked(old, now)
        metric = answer.metric
        audit = None if metric is None else await self._audit(old, metric, now)
        await self._store.put_receipt(answer.kept, metric, audit)
        return answer

    async def _asked(self, old: StoredReceipt, now: datetime) -> _Answer:
        """Return what came of asking, and what is to be kept."""
        try:
            newer = await self._server.refresh(old.app, old.receipt)
        except UnavailableError as error:
            return _failed_server(old, error, now)
        except RefusedError as error:
            pause = REFUSAL_PAUSE if old.failures else FIRST_REFUSAL_PAUSE
            kept = replace(old, due_at=now + pause, failures=old.failures + 1)
            return _Answer(RefreshOutcome.REFUSED, kept, why=str(error))
        if newer is None:
            waiting = replace(old, due_at=now + LEAST_PAUSE, failures=0)
            return _Answer(RefreshOutcome.UNCHANGED, waiting)
        try:
            claims = examine_refreshed(old.receipt, newer, self._trust, now)
        except RefusedError as error:
            # Somebody between Apple and us, or a fault of Apple's: the old receipt stays.
            why = f"Apple's server sent another receipt than the next one: {error}"
            return _Answer(RefreshOutcome.FAILED, _later(old, now), why=why)
        due_at = max(next_due(claims, now) or now, now + LEAST_PAUSE)
        kept = StoredReceipt(old.instance_id, old.app, newer, min(due_at, now + FURTHEST))
        return _Answer(RefreshOutcome.REFRESHED, kept, claims.risk_metric)

    async def _audit(self, old: StoredReceipt, metric: int, now: datetime) -> AuditEntry | None:
        """Return the entry that tells of a change of the risk metric."""
        instance = await self._store.find(old.instance_id)
        known = None if instance is None else instance.risk_metric
        if known == metric:
            return None
        detail = {"app": old.app, "before": known, "now": metric}
        return AuditEntry(now, "vendor", "instance.risk_metric", old.instance_id, detail)


def _has_expired(receipt: StoredReceipt, now: datetime) -> bool:
    try:
        expires_at = read_receipt(receipt.receipt).expires_at
    except MalformedError:
        return False
    return expires_at is not None and expires_at <= now


def _failed_server(old: StoredReceipt, error: UnavailableError, now: datetime) -> _Answer:
    wait = timedelta(seconds=error.retry_after)
    kept = _later(old, now, wait)
    return _Answer(RefreshOutcome.FAILED, kept, why=error.detail, limit=SERVER_FAILURES, wait=wait)


def _later(old: StoredReceipt, now: datetime, wait: timedelta = timedelta(0)) -> StoredReceipt:
    failures = old.failures + 1
    asked = now + min(wait, timedelta(days=1))
    return replace(old, due_at=max(next_attempt(failures, now), asked), failures=failures)
