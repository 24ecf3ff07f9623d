"""Forge App Attest: by keys of one's own, by editing what Apple vouched for, by mixing two attestations."""

from watchword.client.statement import binding_of
from watchword.drill.bent_evidence import (
    Bend,
    attestation_of,
    bent_variant,
    key_id_of_nobody,
    reissued,
    with_attestation,
)
from watchword.drill.enrolment import challenge, exploited, send_enrolment, statement_of
from watchword.drill.interface import Arena, Attack, Attempts, MissingError, Need, Variant
from watchword.reasons import Reason

_GENUINE = "genuine-iphone"
_VERSION = b"apple_bundle_version_01"
_COUNTER = slice(33, 37)
"""Bytes of the counter in authenticator data, behind the hash of the App ID and the flags."""


def _own_root(arena: Arena) -> Bend:
    """Issue both certificates anew, in Apple's names, under a root of one's own."""
    return lambda evidence: with_attestation(
        evidence, x5c=reissued(arena, attestation_of(evidence)["attStmt"]["x5c"], 2)
    )


def _own_leaf(arena: Arena) -> Bend:
    """Issue the leaf anew, under Apple's own authority."""
    return lambda evidence: with_attestation(
        evidence, x5c=reissued(arena, attestation_of(evidence)["attStmt"]["x5c"], 1)
    )


def _edited(arena: Arena) -> Bend:  # noqa: ARG001 - all bends are made of an arena.
    """Write another app version into what Apple's nonce covers."""

    def bend(evidence: dict[str, object]) -> dict[str, object]:
        data: bytes = attestation_of(evidence)["authData"]
        at = data.find(_VERSION)
        if at < 0:
            raise MissingError(Need.PHONES, "an iPhone that states the app's version")
        # Behind the name stands a short text: one byte that tells its length, then its digits.
        digit = at + len(_VERSION) + 1
        bent = (
            data[:digit] + (b"8" if data[digit : digit + 1] == b"9" else b"9") + data[digit + 1 :]
        )
        return with_attestation(evidence, authData=bent)

    return bend


def _counted(arena: Arena) -> Bend:  # noqa: ARG001 - all bends are made of an arena.
    """Claim that the key has signed before."""

    def bend(evidence: dict[str, object]) -> dict[str, object]:
        data = bytearray(attestation_of(evidence)["authData"])
        data[_COUNTER] = (5).to_bytes(4, "big")
        return with_attestation(evidence, authData=bytes(data))

    return bend


def _renamed(arena: Arena) -> Bend:
    """Name another key than the one that is attested."""
    return lambda evidence: with_attestation(evidence, key_id=key_id_of_nobody(arena))


def _mixed(arena: Arena) -> Attempts:
    """Send the data of one phone with the certificate of another, both made for this statement."""
    phone, other = arena.phone(_GENUINE), arena.phone(_GENUINE)
    for each in (phone, other):
        each.device.create_keys()
    statement = statement_of(arena, phone, challenge(arena, phone.app))
    evidence = dict(phone.device.attest(binding_of(statement)))
    certificates = attestation_of(other.device.attest(binding_of(statement)))["attStmt"]["x5c"]
    mixed = with_attestation(evidence, x5c=certificates)
    return [exploited(arena, send_enrolment(arena, phone, statement, mixed))]


_BINDING = Reason.ATTESTATION_BINDING

ATTACK = Attack(
    id="app-attest-forged",
    title="Forge an App Attest attestation",
    techniques=("MT-B03",),
    protections={"PR-B01": "live:shield.rejected_unattested"},
    needs=(Need.SERVICE, Need.PHONES),
    sends="Attestations under keys of the attacker's, with data that Apple didn't vouch for, under another key's name, and mixed of two.",
    must="The service refuses each for the certificate, the nonce or the key id that doesn't fit.",
    blind="It shows nothing of what Apple itself would attest to somebody who has taken a phone apart.",
    variants=(
        bent_variant("own-root", _GENUINE, _own_root, Reason.ATTESTATION_ANCHOR_UNKNOWN),
        bent_variant("own-leaf", _GENUINE, _own_leaf, Reason.ATTESTATION_CHAIN_SIGNATURE),
        bent_variant("data-edited", _GENUINE, _edited, _BINDING),
        bent_variant("counter-edited", _GENUINE, _counted, _BINDING, Reason.APP_ATTEST_COUNTER),
        bent_variant("key-renamed", _GENUINE, _renamed, Reason.APP_ATTEST_KEY_ID),
        Variant("mixed-of-two", _mixed, frozenset({_BINDING, Reason.APP_ATTEST_KEY_ID})),
    ),
)
