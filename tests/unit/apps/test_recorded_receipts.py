"""Recorded receipts: put into the recordings' form, compared field by field, shown without secrets."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.unit.attestation import forge, forge_receipts

from watchword.apps.evidence.reports import (
    INVALID,
    describe,
    describe_signature,
    report_receipt,
)
from watchword.apps.evidence.vectors import Compared, verify_folder
from watchword.attestation.receipts import read_receipt

VENDOR = forge_receipts.signers()
KEY = forge.spki(forge.p256())
CREATED = datetime(2026, 10, 31, 9, 30, 5, 460_000, UTC)


def made(**mutated: Any) -> bytes:
    """Return a refreshed receipt."""
    return forge_receipts.receipt(VENDOR, KEY, **{"kind": "RECEIPT", "created": CREATED, **mutated})


def row(data: bytes, **mutated: Any) -> dict[str, Any]:
    """Return what would be recorded of a receipt."""
    recorded = {"id": "r", "kind": "app-attest-receipt", "file": "r.p7", "valid_at": "2026-10-31"}
    fields = describe(read_receipt(data))
    return {**recorded, **describe_signature(data), "expected": {**fields, **mutated}}


def compared(folder: Path, data: bytes, recorded: dict[str, Any]) -> Compared:
    """Return a folder's only row."""
    (folder / "r.p7").write_bytes(data)
    (folder / "index.json").write_text(json.dumps([recorded]))
    (only,) = verify_folder(folder)
    assert isinstance(only, Compared)
    return only


def test_fields_have_the_recorded_names_and_forms() -> None:
    """Times as Apple writes them, numbers as text, hashes in hex, a client hash that is text as text."""
    fields = describe(read_receipt(made(field_4=b"challenge")))
    assert fields["creation_time"] == "2026-10-31T09:30:05.46Z"
    assert fields["not_before"] == "2026-11-01T09:30:05.46Z"
    assert fields["risk_metric"] == "2"
    assert fields["client_hash"] == "challenge"
    assert fields["token"] == "dG9rZW4="
    assert len(fields["3_attested_cert_sha256"]) == 64
    attest = describe(read_receipt(made(kind="ATTEST", field_4=b"\xff\x00")))
    assert (attest["risk_metric"], attest["not_before"]) == (None, None)
    assert attest["client_hash"] == "ff00"


def test_recorded_opinion_on_a_signature_is_the_letters() -> None:
    """By the enclosed signer alone: another root doesn't matter, a signature beside attributes does."""
    assert describe_signature(made())["signature_ok"] is True
    assert describe_signature(made(signing={"by": forge.p256()}))["signature_ok"] == INVALID
    content = forge_receipts.payload(list(forge_receipts.fields(KEY).items()))
    attributes = forge_receipts.attributes_of(content)
    beside = forge_receipts.sign(VENDOR, content, attributes=attributes, message=content)
    assert describe_signature(beside)["signature_ok"] == INVALID
    assert describe_signature(b"garbage") == {}
    stranger = forge_receipts.sign(VENDOR, content, named=forge_receipts.signers().root)
    assert describe_signature(stranger) == {}


def test_report_shows_no_token() -> None:
    """A receipt under a trusted root is accepted; its age is unchecked, and the token stays out."""
    report = report_receipt("r", made(), forge.trust(VENDOR.anchor))
    assert report.accepted
    assert report.unchecked == ("receipt_age",)
    assert "dG9rZW4=" not in json.dumps(report.as_dict())
    assert report_receipt("r", b"garbage", forge.trust(VENDOR.anchor)).reasons == [
        "app_attest.receipt_signature"
    ]


def test_rows_are_verified_up_to_apples_root_and_compared(tmp_path: Path) -> None:
    """A forged receipt that says what was recorded differs in the verdict, and in that alone."""
    data = made()
    found = compared(tmp_path, data, row(data))
    assert found.differences == ("verdict: expected accept",)
    assert found.report.reasons == ["app_attest.receipt_signature"]
    unreadable = compared(tmp_path, b"garbage", row(data))
    assert len(unreadable.differences) > 5


@pytest.mark.parametrize(("name", "value"), [("risk_metric", "3"), ("token", "b3RoZXI=")])
def test_a_field_that_differs_is_told(tmp_path: Path, name: str, value: str) -> None:
    """Every recorded field counts."""
    data = made()
    found = compared(tmp_path, data, row(data, **{name: value}))
    (told,) = [each for each in found.differences if each.startswith(f"fields.{name}:")]
    assert (value in told) is (name != "token")
