"""Enrol with attestation keys that a thief certified himself, by a vendor's key that leaked."""

from watchword.drill.interface import Attack, Need
from watchword.drill.mutated_evidence import phone_variant
from watchword.reasons import Reason

_LENGTH = Reason.ATTESTATION_CHAIN_LENGTH

ATTACK = Attack(
    id="sub-keybox",
    title="Enrol with a keybox made of a leaked one",
    techniques=("MT-B03",),
    protections={"PR-B01": "live:shield.rejected_unattested"},
    needs=(Need.SERVICE, Need.PHONES),
    sends="Correctly signed key attestation by an attestation key below the vendor's, one link deeper than a phone's.",
    must="The service refuses each for its depth, and the API serves nothing.",
    blind="A leaked key that signs leaves itself can't be told from a genuine one until it is revoked.",
    variants=(
        phone_variant("factory", "sub-keybox-android", _LENGTH),
        phone_variant("remote", "rkp-sub-keybox-android", _LENGTH),
    ),
)
