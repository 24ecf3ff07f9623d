"""Enrol with attestation keys that their vendor withdrew, as leaked ones are sold."""

from watchword.drill.interface import Attack, Need
from watchword.drill.mutated_evidence import phone_variant
from watchword.reasons import Reason

ATTACK = Attack(
    id="phone-revoked-key",
    title="Enrol with a leaked attestation key",
    techniques=("MT-A04", "MT-A05"),
    protections={"PR-B02": "live:attest.verdict_mix"},
    needs=(Need.SERVICE, Need.PHONES),
    sends="Attestation by keys whose certificates are in the vendor's status list, as revoked and as suspended.",
    must="The service refuses each because it is in the list.",
    blind="A leaked key that the vendor doesn't know of yet passes.",
    variants=(
        phone_variant("revoked", "revoked-android", Reason.ATTESTATION_REVOKED),
        phone_variant("suspended", "suspended-android", Reason.POLICY_SUSPENDED),
    ),
)
