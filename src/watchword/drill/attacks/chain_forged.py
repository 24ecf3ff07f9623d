"""Forge Android's certificate chain: by keys of one's own, by a phone's own key, or by editing a genuine one."""

from watchword.client.statement import binding_of
from watchword.drill.enrolment import challenge, exploited, send_enrolment, statement_of
from watchword.drill.interface import Attack, AttackContext, Attempts, MissingError, Need, Variant
from watchword.drill.mutated_evidence import (
    Mutation,
    chain_of,
    last_bit_flipped,
    mutated_variant,
    phone_variant,
    reissued,
    with_chain,
)
from watchword.reasons import Reason

_GENUINE = "genuine-android"

_UNLOCKED = b"\x04\x20" + bytes(32) + b"\x01\x01\x00\x0a\x01\x02"
"""How the root of trust of an unlocked phone begins: no boot key, not locked, unverified."""

_LOCKED = b"\x04\x20" + bytes(32) + b"\x01\x01\xff\x0a\x01\x00"


def _own_root(context: AttackContext) -> Mutation:
    """Issue the whole chain anew, in the vendor's names, under a root of one's own."""

    def mutate(evidence: dict[str, object]) -> dict[str, object]:
        chain = chain_of(evidence)
        return with_chain(evidence, reissued(context, chain, len(chain)))

    return mutate


def _own_issuer(context: AttackContext) -> Mutation:
    """Issue the leaf and the key above it anew, under the vendor's own authorities."""
    return lambda evidence: with_chain(evidence, reissued(context, chain_of(evidence), 2))


def _flipped(context: AttackContext) -> Mutation:  # noqa: ARG001 - every mutation takes an attack context.
    """Change one bit of the leaf's signature."""

    def mutate(evidence: dict[str, object]) -> dict[str, object]:
        leaf, *above = chain_of(evidence)
        return with_chain(evidence, [last_bit_flipped(leaf), *above])

    return mutate


def _edited(context: AttackContext) -> Mutation:  # noqa: ARG001 - every mutation takes an attack context.
    """Write "locked" and "verified" over what an unlocked phone's hardware stated."""

    def mutate(evidence: dict[str, object]) -> dict[str, object]:
        leaf, *above = chain_of(evidence)
        if _UNLOCKED not in leaf:
            raise MissingError(Need.PHONES, "an unlocked phone that states it in the usual way")
        return with_chain(evidence, [leaf.replace(_UNLOCKED, _LOCKED), *above])

    return mutate


def _spliced(context: AttackContext) -> Attempts:
    """Put the leaf of a phone whose key was revoked under the authorities of another one."""
    bad, good = context.phone("revoked-android"), context.phone(_GENUINE)
    bad.device.create_keys()
    good.device.create_keys()
    statement = statement_of(context, bad, challenge(context, bad.app))
    evidence = dict(bad.device.attest(binding_of(statement)))
    above = chain_of(good.device.attest(binding_of(statement)))[1:]
    spliced = with_chain(evidence, [chain_of(evidence)[0], *above])
    return [exploited(context, send_enrolment(context, bad, statement, spliced))]


_MISPLACED = (
    Reason.ANDROID_KEY_DESCRIPTION_MISPLACED,
    Reason.ATTESTATION_CHAIN_NOT_CA,
    Reason.ATTESTATION_CHAIN_LENGTH,
)
_SIGNATURE = Reason.ATTESTATION_CHAIN_SIGNATURE

ATTACK = Attack(
    id="chain-forged",
    title="Forge a key attestation",
    techniques=("MT-B03",),
    protections={"PR-B01": "live:shield.rejected_unattested"},
    needs=(Need.SERVICE, Need.PHONES),
    sends="Android chains under the attacker's keys, by attested keys that sign further certificates, edited, spliced, "
    "and past their dates.",
    must="The service refuses each for the wrong link, mark or date, and the API serves nothing.",
    blind="A chain by a vendor's leaked key can't be told from a genuine one until that key is revoked.",
    variants=(
        mutated_variant("own-root", _GENUINE, _own_root, Reason.ATTESTATION_ANCHOR_UNKNOWN),
        mutated_variant("own-issuer", _GENUINE, _own_issuer, _SIGNATURE),
        mutated_variant("signature-bit", _GENUINE, _flipped, _SIGNATURE),
        mutated_variant("unlocked-edited", "unlocked-android", _edited, _SIGNATURE),
        Variant("spliced", _spliced, frozenset({_SIGNATURE, Reason.ATTESTATION_CHAIN_NAME})),
        phone_variant("by-attested-key", "forged-extension-android", *_MISPLACED),
        phone_variant("by-attested-key-of-two", "forged-by-attest-key-android", *_MISPLACED),
        phone_variant(
            "description-above",
            "moved-extension-android",
            Reason.ANDROID_KEY_DESCRIPTION_MISSING,
            *_MISPLACED,
        ),
        phone_variant(
            "foreign-attest-key",
            "foreign-attest-key-android",
            Reason.ANDROID_ATTEST_KEY,
            Reason.ATTESTATION_CHAIN_NOT_CA,
            Reason.ATTESTATION_CHAIN_LENGTH,
        ),
        phone_variant("own-attest-key", "attest-key-android", Reason.POLICY_ATTEST_KEY),
        phone_variant(
            "past-its-dates", "expired-rkp-android", Reason.ATTESTATION_CERTIFICATE_EXPIRED
        ),
    ),
)
