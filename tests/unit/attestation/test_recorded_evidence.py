"""Evidence of real devices: every recorded row is judged as an independent parser judged it.

The recorded evidence isn't part of the project; these tests run where it lies beside it.
"""

import json
from pathlib import Path

import pytest

from watchword.apps.evidence.vectors import Compared, Skipped, verify_folder

VECTORS = Path(__file__).parents[4] / "shared" / "vectors" / "attestation"

pytestmark = pytest.mark.skipif(not VECTORS.is_dir(), reason="the recorded evidence isn't here")

# Each recorded cause, and ours for it.
REASONS = {
    "ROOT_SOFTWARE": "attestation.anchor_software",
    "ROOT_UNKNOWN": "attestation.anchor_unknown",
    "CHAIN_INCOMPLETE": "attestation.chain_length",
    # The one such leaf has the extension with a stub inside, which can't be read.
    "NO_KEY_DESCRIPTION": "evidence.malformed",
    "SOFTWARE_SECURITY_LEVEL": "policy.security_level",
    "NO_HW_ROOT_OF_TRUST": "policy.root_of_trust_missing",
    "ORIGIN_NOT_GENERATED_IN_HW": "policy.key_origin",
    "BOOTLOADER_UNLOCKED": "policy.bootloader_unlocked",
    "VERIFIED_BOOT_UNVERIFIED": "policy.boot_unverified",
    "VERIFIED_BOOT_SELF_SIGNED": "policy.boot_self_signed",
    "REVOKED": "attestation.revoked",
}


def verified(folder: str) -> tuple[list[Compared], list[Skipped]]:
    """Return the rows of a folder, judged and skipped."""
    rows = list(verify_folder(VECTORS / folder))
    judged = [row for row in rows if isinstance(row, Compared)]
    return judged, [row for row in rows if isinstance(row, Skipped)]


@pytest.fixture(scope="module")
def android() -> tuple[list[Compared], list[Skipped]]:
    """Return the Android rows."""
    return verified("android")


@pytest.fixture(scope="module")
def apple() -> tuple[list[Compared], list[Skipped]]:
    """Return the Apple rows."""
    return verified("apple")


def test_every_android_chain_agrees(android: tuple[list[Compared], list[Skipped]]) -> None:
    """Verdict and every recorded field agree on 179 of 179 chains; nothing is dropped silently."""
    judged, skipped = android
    assert [row.differences for row in judged if not row.agrees] == []
    assert (len(judged), len(skipped)) == (179, 9)
    assert sum(row.report.accepted for row in judged) == 135


def test_every_android_chain_has_the_recorded_reasons(
    android: tuple[list[Compared], list[Skipped]],
) -> None:
    """Not only the verdict but its causes agree, as sets, but for the one it doesn't know.

    The recorded policy has no rule on purposes; ours adds its reason to chains whose hardware states
    none at all, which were refused anyway.
    """
    rows = json.loads((VECTORS / "android" / "index.json").read_text())
    recorded = {
        row["id"]: row["computed_verdict"]["reasons"] for row in rows if "computed_verdict" in row
    }
    for row in android[0]:
        expected = {REASONS[cause] for cause in recorded[row.report.id]}
        assert set(row.report.reasons) - {"policy.key_purpose"} == expected, row.report.id
        if "policy.key_purpose" in row.report.reasons:
            assert "policy.key_origin" in expected, row.report.id


def test_leniencies_on_real_devices_are_those_we_know(
    android: tuple[list[Compared], list[Skipped]],
) -> None:
    """What is let pass is named, and on no more devices than it was found on."""
    counts: dict[str, int] = {}
    for row in android[0]:
        for name in row.report.leniencies:
            counts[name] = counts.get(name, 0) + 1
    assert counts == {
        "attestation_certificate_not_ca": 27,
        "boolean_not_canonical": 1,
        "factory_certificate_outside_validity": 1,
    }


def test_everything_of_apples_is_accepted(
    apple: tuple[list[Compared], list[Skipped]],
) -> None:
    """11 attestations, the 7 assertions whose key and client data are known, and 6 refreshed receipts.

    Every recorded field agrees, those of the receipts within attestations included.
    """
    judged, skipped = apple
    assert [row.differences for row in judged if not row.agrees] == []
    assert all(row.report.accepted for row in judged)
    assert len(judged) == 24
    assert len(skipped) == 5
    receipts = [row for row in judged if row.report.id.startswith("receipt-")]
    assert len(receipts) == 6


def test_apples_receipts_verify_but_for_one_that_was_changed(
    apple: tuple[list[Compared], list[Skipped]],
) -> None:
    """The verdict on the attestation stands apart; two need a leniency of 2020, which is told."""
    attestations = [row.report for row in apple[0] if row.report.id.startswith("apple-appattest-")]
    lenient = [
        each.id for each in attestations if "receipt_signed_beside_attributes" in each.leniencies
    ]
    assert lenient == ["apple-appattest-c7c740a4dc46", "apple-appattest-d2aac82b64f1"]
    assert len(attestations) == 11


def test_apples_sample_of_ios_27_states_its_version(
    apple: tuple[list[Compared], list[Skipped]],
) -> None:
    """The trailing map of Apple's own sample is read, and told as a leniency."""
    (row,) = [row for row in apple[0] if row.report.id == "apple-appattest-e4ca508153f6"]
    assert row.report.claims is not None
    assert list(row.report.claims["app"]["versions"].values()) == ["1"]
    assert row.report.leniencies == ("extension_data_without_flag",)


def test_report_never_shows_a_device_identifier(
    android: tuple[list[Compared], list[Skipped]],
) -> None:
    """One recorded chain holds an IMEI: it is compared, and never printed."""
    shown = json.dumps([row.as_dict() for row in android[0]])
    assert "990012001354866" not in shown
    assert '"imei": "withheld"' in shown
