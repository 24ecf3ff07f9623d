"""Enrol genuine iPhones without the receipt by which Apple counts a device, or with one that isn't theirs."""

from watchword.drill.interface import Attack, AttackContext, Need
from watchword.drill.mutated_evidence import (
    Mutation,
    attestation_of,
    last_bit_flipped,
    mutated_variant,
    phone_variant,
    with_attestation,
)
from watchword.reasons import Reason


def _forged(context: AttackContext) -> Mutation:  # noqa: ARG001 - every mutation takes an attack context.
    """Keep what the receipt says and break its signature."""
    return lambda evidence: with_attestation(
        evidence, receipt=last_bit_flipped(attestation_of(evidence)["attStmt"]["receipt"])
    )


ATTACK = Attack(
    id="phone-receipt",
    title="Hide a farm's iPhone from Apple's count",
    techniques=("MT-A05", "MT-B19"),
    protections={"PR-B02": "live:attest.verdict_mix"},
    needs=(Need.SERVICE, Need.PHONES),
    sends="Genuine attestations without a receipt, with the receipt of another device, and with one whose signature is broken.",
    must="The service refuses each for its receipt.",
    blind="It doesn't tell how many instances of one device you let in: the risk metric in your policy limits that.",
    variants=(
        phone_variant(
            "none", "receiptless-iphone", Reason.APP_ATTEST_RECEIPT, Reason.POLICY_RECEIPT
        ),
        phone_variant("another-device", "swapped-receipt-iphone", Reason.APP_ATTEST_RECEIPT),
        mutated_variant(
            "broken-signature",
            "genuine-iphone",
            _forged,
            Reason.POLICY_RECEIPT,
            Reason.APP_ATTEST_RECEIPT_SIGNATURE,
        ),
    ),
)
