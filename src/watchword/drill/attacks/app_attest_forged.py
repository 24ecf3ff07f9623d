"""Forge App Attest: by keys of one's own, by editing what Apple vouched for, by mixing two attestations."""

from watchword.client.statement import binding_of
from watchword.drill.enrolment import challenge, exploited, send_enrolment, statement_of
from watchword.drill.interface import Attack, AttackContext, Attempts, MissingError, Need, Variant
from watchword.drill.mutated_evidence import (
    Mutation,
    attestation_of,
    key_id_of_nobody,
    mutated_variant,
    reissued,
    with_attestation,
)
from watchword.reasons import Reason

_GENUINE = "genuine-iphone"
_VERSION = b"apple_bundle_version_01"
_COUNTER = slice(33, 37)
"""Bytes of the counter in authenticator data, behind the hash of the App ID and the flags."""


def _own_root(context: AttackContext) -> Mutation:
    """Issue both certificates anew, in Apple's names, under a root of one's own."""
    return lambda evidence: with_attestation(
        evidence, x5c=reissued(context, attestation_of(evidence)["attStmt"]["x5c"], 2)
    )


def _own_leaf(context: AttackContext) -> Mutation:
    """Issue the leaf anew, under Apple's own authority."""
    return lambda evidence: with_attestation(
        evidence, x5c=reissued(context, attestation_of(evidence)["attStmt"]["x5c"], 1)
    )


def _edited(context: AttackContext) -> Mutation:  # noqa: ARG001 - every mutation takes an attack context.
    """Write another app version into what Apple's nonce covers."""

    def mutate(evidence: dict[str, object]) -> dict[str, object]:
        data: bytes = attestation_of(evidence)["authData"]
        at = data.find(_VERSION)
        if at < 0:
            raise MissingError(Need.PHONES, "an iPhone that states the app's version")
        # Behind the name stands a short text: one byte that tells its length, then its digits.
        digit = at + len(_VERSION) + 1
        mutated = (
            data[:digit] + (b"8" if data[digit : digit + 1] == b"9" else b"9") + data[digit + 1 :]
        )
        return with_attestation(evidence, authData=mutated)

    return mutate


def _counted(context: AttackContext) -> Mutation:  # noqa: ARG001 - every mutation takes an attack context.
    """Claim that the key has signed before."""

    def mutate(evidence: dict[str, object]) -> dict[str, object]:
        data = bytearray(attestation_of(evidence)["authData"])
        data[_COUNTER] = (5).to_bytes(4, "big")
        return with_attestation(evidence, authData=bytes(data))

    return mutate


def _renamed(context: AttackContext) -> Mutation:
    """Name another key than the one that is attested."""
    return lambda evidence: with_attestation(evidence, key_id=key_id_of_nobody(context))


def _mixed(context: AttackContext) -> Attempts:
    """Send the data of one phone with the certificate of another, both made for this statement."""
    phone, other = context.phone(_GENUINE), context.phone(_GENUINE)
    for each in (phone, other):
        each.device.create_keys()
    statement = statement_of(context, phone, challenge(context, phone.app))
    evidence = dict(phone.device.attest(binding_of(statement)))
    certificates = attestation_of(other.device.attest(binding_of(statement)))["attStmt"]["x5c"]
    mixed = with_attestation(evidence, x5c=certificates)
    return [exploited(context, send_enrolment(context, phone, statement, mixed))]


_BINDING = Reason.ATTESTATION_BINDING

ATTACK = Attack(
    id="app-attest-forged",
    title="Forge an App Attest attestation",
    techniques=("MT-B03",),
    protections={"PR-B01": "live:shield.rejected_unattested"},
    needs=(Need.SERVICE, Need.PHONES),
    sends="Attestations under the attacker's keys, with data that Apple didn't vouch for, under another key's name, "
    "and mixed from two.",
    must="The service refuses each for the certificate, the nonce or the key id that doesn't fit.",
    blind="It shows nothing of what Apple itself would attest to somebody who has taken a phone apart.",
    variants=(
        mutated_variant("own-root", _GENUINE, _own_root, Reason.ATTESTATION_ANCHOR_UNKNOWN),
        mutated_variant("own-leaf", _GENUINE, _own_leaf, Reason.ATTESTATION_CHAIN_SIGNATURE),
        mutated_variant("data-edited", _GENUINE, _edited, _BINDING),
        mutated_variant("counter-edited", _GENUINE, _counted, _BINDING, Reason.APP_ATTEST_COUNTER),
        mutated_variant("key-renamed", _GENUINE, _renamed, Reason.APP_ATTEST_KEY_ID),
        Variant("mixed-of-two", _mixed, frozenset({_BINDING, Reason.APP_ATTEST_KEY_ID})),
    ),
)
