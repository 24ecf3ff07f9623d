"""Enrol with a changed app that kept its package name and was signed by somebody else."""

from watchword.drill.interface import Attack, Need
from watchword.drill.mutated_evidence import phone_variant
from watchword.reasons import Reason

ATTACK = Attack(
    id="phone-repackaged",
    title="Enrol with a repackaged app",
    techniques=("MT-A11",),
    protections={"PR-B01": "live:shield.rejected_unattested"},
    needs=(Need.SERVICE, Need.PHONES),
    sends="Genuine key attestation of a locked phone on which a changed app runs under your package name, with another signer.",
    must="The service refuses it for the signing certificate, and the API serves nothing without a token.",
    blind="It doesn't tell who else holds your signing key, nor whether code is changed after the app has started.",
    variants=(phone_variant("another-signer", "repackaged-android", Reason.POLICY_SIGNING_DIGEST),),
)
