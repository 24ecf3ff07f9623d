"""Judge the receipt inside an App Attest attestation: Apple's, and this attestation's."""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from watchword.attestation import ages, receipts
from watchword.attestation.attestation_object import AttestationObject
from watchword.attestation.certificates import Certificate
from watchword.attestation.claims import ReceiptClaims, ReceiptKind
from watchword.attestation.interface import Step, Trust
from watchword.attestation.receipts import Receipt, ReceiptExamination
from watchword.reasons import Reason, Refusal
from watchword.vocabulary import AppAttestEnvironment

RECEIPT_AGE: Final = "receipt_age"
"""Among the unchecked: how old the receipt was when it arrived."""

_ENVIRONMENTS: Final[Mapping[str, AppAttestEnvironment]] = {
    "sandbox": AppAttestEnvironment.DEVELOPMENT,
    "production": AppAttestEnvironment.PRODUCTION,
}
"""Field 7 of a receipt, and the AAGUID that goes with it."""


@dataclass(frozen=True, slots=True)
class AttestedReceipt:
    """Hold the steps on a receipt, and what claims say of it.

    :param claims: None where there is no receipt, or where it doesn't verify.
    :param fault: ``code: detail`` of what keeps it from being believed, None where nothing does.
    """

    steps: tuple[Step, ...]
    claims: ReceiptClaims | None = None
    fault: str | None = None
    leniencies: tuple[str, ...] = ()
    fields: Mapping[str, Any] = field(default_factory=dict)


def judge_receipt(
    read: AttestationObject, leaf: Certificate, trust: Trust, now: datetime, *, fresh: bool
) -> AttestedReceipt:
    """Carry out steps 10 to 12 on the receipt that came with this leaf.

    A receipt that speaks of another key, app or environment refuses the attestation, whoever signed it: no
    phone sends one, and it would hide the device's own risk metric behind another's.  One that can't
    be read, isn't signed up to Apple's root, or is too old is a fault that policy judges: that it isn't
    believed is all that follows from it.

    :param fresh: False leaves the age out.
    """
    if not read.receipt:
        none = (Refusal(Reason.APP_ATTEST_RECEIPT, "got no receipt"),)
        return AttestedReceipt((_step_signed("no receipt", none), *_left_out("no receipt")))
    found = receipts.examine_receipt(read.receipt, trust)
    signed = _step_signed("signed up to Apple's root" if not found.refusals else _first(found))
    if found.receipt is None:
        steps = (signed, *_left_out("a receipt that can't be read"))
        return AttestedReceipt(steps, fault=str(found.refusals[0]))
    receipt = found.receipt
    mismatch = _mismatch(receipt, read, leaf)
    fits = Step(
        "11",
        "the receipt is this attestation's",
        "type ATTEST, the leaf's key, the app and its environment",
        mismatch or f"type {receipt.kind}, the same",
        (Refusal(Reason.APP_ATTEST_RECEIPT, mismatch),) if mismatch else (),
    )
    late = (
        ages.age_refusals(receipt.created_at, now, receipts.MAX_AGE, Reason.APP_ATTEST_RECEIPT_AGE)
        if fresh
        else ()
    )
    faults = (*found.refusals, *fits.refusals, *late)
    return AttestedReceipt(
        steps=(signed, fits, _step_age(ages.describe_age(now - receipt.created_at), fresh=fresh)),
        claims=None if faults else receipt.claims(),
        fault=str(faults[0]) if faults else None,
        leniencies=found.leniencies,
        fields=_fields(receipt),
    )


def _mismatch(receipt: Receipt, read: AttestationObject, leaf: Certificate) -> str:
    """Return in which way the receipt belongs to another attestation; empty where it fits."""
    if receipt.kind is not ReceiptKind.ATTEST:
        return f"got a receipt of type {receipt.kind}, expected ATTEST"
    app = hashlib.sha256(receipt.app_id.encode()).digest()
    if not hmac.compare_digest(app, read.data.rp_id_hash):
        return "got the receipt of another app"
    if not receipt.is_for_key(leaf.der, leaf.spki):
        return "got the receipt of another key"
    environment = _ENVIRONMENTS.get(receipt.environment)
    if receipt.environment and (environment is None or environment.value != read.credential.aaguid):
        return "got the receipt of another environment"
    return ""


def _step_signed(found: str, refusals: tuple[Refusal, ...] = ()) -> Step:
    return Step(
        "10",
        "the receipt is Apple's",
        "signed up to Apple's root, by a certificate for receipts",
        found,
        refusals,
    )


def _step_age(found: str, *, fresh: bool = True) -> Step:
    wanted = f"made in the last {receipts.MAX_AGE.seconds} s"
    return Step("12", "the receipt is new", wanted, found, checked=fresh)


def _left_out(found: str) -> tuple[Step, Step]:
    """Return the steps that need a receipt to be read, as left out."""
    fits = Step("11", "the receipt is this attestation's", "type, key, app", found, checked=False)
    return fits, _step_age(found, fresh=False)


def _first(found: ReceiptExamination) -> str:
    return found.refusals[0].detail


def _fields(receipt: Receipt) -> dict[str, Any]:
    """Return what people are shown; token and client hash stay out."""
    return {
        "type": receipt.kind.value,
        "app_id": receipt.app_id,
        "environment": receipt.environment,
        "creation_time": receipt.created_at.isoformat(),
        "expiration_time": None if receipt.expires_at is None else receipt.expires_at.isoformat(),
    }
