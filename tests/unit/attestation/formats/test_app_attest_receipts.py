"""The receipt inside an attestation: what refuses, what is a fault for policy, and what the steps show."""

from datetime import timedelta
from typing import Any

import pytest
from tests.unit.attestation import forge, forge_receipts

from watchword.attestation.claims import ReceiptKind
from watchword.attestation.interface import AppleApp, AppRegistration, Examination, Expected, Step
from watchword.attestation.registry import examine, verify
from watchword.policy.interface import Circumstances
from watchword.policy.registry import BALANCED, INCLUSIVE
from watchword.policy.service import appraise_unverified
from watchword.reasons import Reason
from watchword.vocabulary import AppAttestEnvironment, Level

VENDOR = forge_receipts.signers()
EXPECTED = Expected(forge.BINDING, forge.APPLE_APP)
KEY = forge.p256()
SPKI = forge.spki(KEY)


def judged(
    apple: forge.Apple,
    receipt: Any,
    expected: Expected = EXPECTED,
    vendor: forge_receipts.Signers = VENDOR,
    **mutated: Any,
) -> Examination:
    """Examine an attestation of the key with this receipt."""
    evidence = apple.evidence(key=KEY, receipt=receipt, **mutated)
    trust = forge.trust(apple.anchor, vendor.anchor)
    return examine(evidence, expected, trust, forge.NOW)


def made(**mutated: Any) -> bytes:
    """Return a receipt for the key."""
    return forge_receipts.receipt(VENDOR, SPKI, **mutated)


def step(found: Examination, number: str) -> Step:
    """Return one step."""
    (only,) = [each for each in found.steps if each.number == number]
    return only


def reasons(found: Examination) -> list[Reason]:
    """Return the reasons for a refusal."""
    return [refusal.reason for refusal in found.refusals]


def levels(found: Examination) -> dict[str, Level]:
    """Return the level that each ready-made policy grants."""
    assert found.claims is not None
    circumstances = Circumstances(forge.NOW)
    return {
        policy.name: appraise_unverified(found.claims, forge.APPLE_APP, policy, circumstances).level
        for policy in (BALANCED, INCLUSIVE)
    }


def test_good_receipt_is_a_claim(apple: forge.Apple) -> None:
    """It verifies, is this attestation's and is new: three steps hold, and rules may judge it."""
    found = judged(apple, made())
    assert reasons(found) == []
    assert found.claims is not None
    assert found.claims.receipt is not None
    assert found.claims.receipt.kind is ReceiptKind.ATTEST
    assert found.claims.receipt_fault is None
    assert step(found, "10").found == "signed up to Apple's root"
    assert step(found, "11").found == "type ATTEST, the same"
    assert step(found, "12").found == "3 s ago"
    assert levels(found)["balanced"] is Level.HARDWARE


def test_what_people_are_shown_holds_no_token(apple: forge.Apple) -> None:
    """Fields of the receipt are shown without Apple's token and without the client hash."""
    found = judged(apple, made())
    assert found.claims is not None
    assert set(found.claims.fields["receipt"]) == {
        "type",
        "app_id",
        "environment",
        "creation_time",
        "expiration_time",
    }
    assert "dG9rZW4=" not in repr(found)


@pytest.mark.parametrize("receipt", [None, b"", "text"])
def test_receipt_must_be_there(apple: forge.Apple, receipt: Any) -> None:
    """Apple puts one into each attestation; who strips it escapes the risk metric."""
    found = judged(apple, receipt)
    assert reasons(found) == [Reason.APP_ATTEST_RECEIPT]
    assert found.claims is not None
    assert found.claims.receipt is None
    assert not step(found, "11").checked
    assert not step(found, "12").checked


# Another's receipt refuses, whoever signed it


def test_receipt_of_another_key(apple: forge.Apple) -> None:
    """The receipt of another device would hide this one's risk metric."""
    other = forge.spki(forge.p256())
    found = judged(apple, forge_receipts.receipt(VENDOR, other))
    assert reasons(found) == [Reason.APP_ATTEST_RECEIPT]
    assert step(found, "10").found == "signed up to Apple's root"
    assert step(found, "11").refusals[0].detail == "got the receipt of another key"
    assert found.claims is not None
    assert found.claims.receipt is None
    assert found.claims.receipt_fault == "app_attest.receipt: got the receipt of another key"


@pytest.mark.parametrize(
    ("mutated", "why"),
    [
        ({"field_2": b"TEAM123456.org.example.other"}, "another app"),
        ({"field_7": b"sandbox"}, "another environment"),
        ({"field_7": b"else"}, "another environment"),
        ({"kind": "RECEIPT"}, "type RECEIPT"),
    ],
)
def test_receipt_that_is_not_this_attestations(
    apple: forge.Apple, mutated: dict[str, Any], why: str
) -> None:
    """Apple's signature under it doesn't make it fit, and a bad one doesn't excuse it."""
    for signing in (None, {"by": forge.p256()}):
        found = judged(apple, made(signing=signing, **mutated))
        assert reasons(found) == [Reason.APP_ATTEST_RECEIPT]
        assert why in step(found, "11").found


def test_environments_of_receipt_and_attestation_are_one(apple: forge.Apple) -> None:
    """A development attestation has a receipt of the sandbox, and no other."""
    app = AppleApp("TEAM123456", "org.example.clinic", AppAttestEnvironment.DEVELOPMENT)
    expected = Expected(forge.BINDING, AppRegistration("dev", app))
    aaguid = AppAttestEnvironment.DEVELOPMENT.value
    good = judged(apple, made(field_7=b"sandbox"), expected, aaguid=aaguid)
    assert reasons(good) == []
    assert reasons(judged(apple, made(), expected, aaguid=aaguid)) == [Reason.APP_ATTEST_RECEIPT]
    unstated = judged(apple, made(field_7=None), expected, aaguid=aaguid)
    assert reasons(unstated) == []


# What can't be believed is a fault, which policy judges


@pytest.mark.parametrize(
    ("receipt", "why"),
    [
        (b"receipt", "app_attest.receipt_signature"),
        (made(signing={"by": forge.p256()}), "app_attest.receipt_signature: not signed by"),
        (forge_receipts.receipt(forge_receipts.signers(), SPKI), "none of 1 known keys"),
        (made(created=forge.NOW - timedelta(seconds=301)), "app_attest.receipt_age: got one made"),
        (made(created=forge.NOW + timedelta(seconds=61)), "app_attest.receipt_age: got one made"),
    ],
)
def test_faults_are_told_and_left_to_policy(apple: forge.Apple, receipt: bytes, why: str) -> None:
    """The attestation stands without it; a policy that wants a receipt refuses, another lets it pass."""
    found = judged(apple, receipt)
    assert reasons(found) == []
    assert found.claims is not None
    assert found.claims.receipt is None
    assert why in (found.claims.receipt_fault or "")
    assert levels(found)["balanced"] is Level.NONE
    assert levels(found)["inclusive"] is not Level.NONE


@pytest.mark.parametrize("seconds", [-300, 60])
def test_receipt_is_minutes_old_and_clocks_differ(apple: forge.Apple, seconds: int) -> None:
    """Up to five minutes old, up to one ahead."""
    found = judged(apple, made(created=forge.NOW + timedelta(seconds=seconds)))
    assert found.claims is not None
    assert found.claims.receipt_fault is None


def test_recorded_evidence_may_be_old(apple: forge.Apple) -> None:
    """The offline verifier may leave the age out, and says so; a service can't."""
    evidence = apple.evidence(key=KEY, receipt=made(created=forge.NOW - timedelta(hours=9)))
    trust = forge.trust(apple.anchor, VENDOR.anchor)
    expected = Expected(forge.BINDING, forge.APPLE_APP, fresh=False)
    found = examine(evidence, expected, trust, forge.NOW)
    assert found.claims is not None
    assert found.claims.receipt is not None
    assert found.claims.unchecked == ("receipt_age",)
    assert not step(found, "12").checked
    assert step(found, "12").found == "32400 s ago"
    with pytest.raises(ValueError, match="the age"):
        verify(evidence, expected, trust, forge.NOW)


def test_a_leniency_of_the_receipt_is_told(apple: forge.Apple) -> None:
    """A receipt signed as Apple did in 2020 passes, by name."""
    content = forge_receipts.payload(list(forge_receipts.fields(SPKI).items()))
    attributes = forge_receipts.attributes_of(content)
    lenient = forge_receipts.sign(VENDOR, content, attributes=attributes, message=content)
    found = judged(apple, lenient)
    assert found.claims is not None
    assert found.claims.leniencies == ("receipt_signed_beside_attributes",)


def test_roots_of_receipts_and_attestations_are_not_one_another(apple: forge.Apple) -> None:
    """A root that vouches for attestations signs no receipts, nor the other way round."""
    evidence = apple.evidence(key=KEY, receipt=made())
    crossed = forge.trust(
        apple.root.anchor("apple-receipt"), VENDOR.root.anchor("apple-app-attest")
    )
    found = examine(evidence, EXPECTED, crossed, forge.NOW)
    assert reasons(found) == [Reason.ATTESTATION_ANCHOR_UNKNOWN]
    assert found.claims is not None
    assert "none of 1 known keys" in (found.claims.receipt_fault or "")
