"""Verify recorded App Attest receipts, and put what they say into the form of the recordings."""

import hashlib
from datetime import datetime
from typing import Any, Final

from watchword.apps.evidence.reports import EvidenceReport
from watchword.attestation import receipts
from watchword.attestation.certificates import Certificate, read_certificate
from watchword.attestation.interface import Trust
from watchword.attestation.receipts import RECEIPT_AGE, Receipt, Signed, SignedData
from watchword.reasons import MalformedError
from watchword.vocabulary import Level

INVALID: Final = "InvalidSignature"
"""What is recorded for a signature that doesn't hold by the letter of RFC 5652."""


def report_receipt(name: str, receipt: bytes, trust: Trust) -> EvidenceReport:
    """Verify a receipt on its own; it grants no level, and how old it is can't be judged."""
    found = receipts.examine_receipt(receipt, trust)
    return EvidenceReport(
        id=name,
        level=Level.NONE,
        refusals=found.refusals,
        claims={
            "format": "app-attest-receipt",
            "fields": {} if found.receipt is None else describe(found.receipt, secrets=False),
        },
        unchecked=(RECEIPT_AGE,),
        leniencies=found.leniencies,
    )


def describe(receipt: Receipt, *, secrets: bool = True) -> dict[str, Any]:
    """Return the fields under the recorded names; ``secrets``: with Apple's token, to be compared."""
    fields = {
        "type": receipt.kind.value,
        "app_id": receipt.app_id,
        "3_attested_cert_sha256": hashlib.sha256(receipt.key).hexdigest(),
        "client_hash": _text_or_hex(receipt.client_hash),
        "environment": receipt.environment,
        "creation_time": _time(receipt.created_at),
        "not_before": _time(receipt.refresh_after),
        "expiration_time": _time(receipt.expires_at),
        "risk_metric": None if receipt.risk_metric is None else str(receipt.risk_metric),
    }
    return {**fields, "token": receipt.token} if secrets else fields


def describe_signature(data: bytes) -> dict[str, Any]:
    """Return the recorded opinion on the signature: by the letter, under whatever certificate is enclosed.

    Neither the chain nor Apple's root take part in it, so that it differs from our verdict.
    """
    try:
        signed = receipts.read_signed_data(data)
        signer = _signer(signed)
    except MalformedError:
        return {}
    if signer is None:
        return {}
    over = receipts.signature_of(signed, signer.spki)
    return {
        "signature_ok": True if over in {Signed.CONTENT, Signed.ATTRIBUTES} else INVALID,
        "signer_validity": [_time(each) for each in signer.window()],
    }


def _signer(signed: SignedData) -> Certificate | None:
    enclosed = [read_certificate(each) for each in signed.certificates]
    named = (signed.issuer, signed.serial_hex)
    return next((each for each in enclosed if (each.issuer, each.serial_hex) == named), None)


def _text_or_hex(value: bytes) -> str:
    """Return a client hash as it was recorded: text where somebody passed text, else hex."""
    text = value.decode("ascii", "ignore")
    return text if len(text) == len(value) and text.isprintable() else value.hex()


def _time(at: datetime | None) -> str | None:
    """Return a time as Apple writes it: milliseconds without zeros at the end."""
    if at is None:
        return None
    fraction = f".{at.microsecond:06d}".rstrip("0").rstrip(".")
    return f"{at:%Y-%m-%dT%H:%M:%S}{fraction}Z"
