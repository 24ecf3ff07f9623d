"""Renew instances of an operator's own format: who vouched for the key, and for which device."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from tests.unit.attestation.own_format import Echo, EchoFormat
from tests.unit.enrolment.simulators import NOW, public_spki
from tests.unit.enrolment.test_evidence import ANDROID, RAW, instance_of, phone, statement, verifier

from watchword.attestation.interface import (
    AppRegistration,
    Attestation,
    Examination,
    Expected,
    ProofKeySignature,
    Renewal,
    RenewalExamination,
    Trust,
    read_bytes,
)
from watchword.attestation.proof_key_renewal import examine_proof_key_signature
from watchword.encoding import base64url
from watchword.enrolment.interface import AppraisedRenewal
from watchword.lab import Phone
from watchword.policy.interface import RENEW_BY_KEY_FOR, Claim, Policy
from watchword.policy.rules.provider_verdict import ProviderVerdict
from watchword.ports import Instance
from watchword.reasons import Reason, RefusedError
from watchword.vocabulary import Level

POLICY = Policy(
    "own", {Level.VERIFIED: ProviderVerdict(member="word", equals="fine")}, frozenset(Claim)
)
DEVICE = bytes([7] * 32)


@dataclass(frozen=True, slots=True)
class OwnRenewal(Renewal):
    """Hold a signature, in a class of the format's own."""

    signature: bytes


@dataclass(frozen=True, slots=True)
class Sworn(Echo):
    """Hold a word that a device gives for a key; empty where it names none."""

    key: bytes = b""
    device: bytes = b""


class OwnRenewalFormat(EchoFormat):
    """Renew by evidence of a class that nobody else knows."""

    def read_renewal(self, members: Mapping[str, Any]) -> Any:
        """Read ``{"signature"}``."""
        return OwnRenewal(read_bytes("signature", members["signature"]))

    def examine_renewal(
        self, evidence: Renewal, statement: bytes, public_key: bytes, app: AppRegistration
    ) -> RenewalExamination:
        """Check the signature."""
        assert isinstance(evidence, OwnRenewal)
        signed = ProofKeySignature(evidence.signature)
        return examine_proof_key_signature(signed, statement, public_key, app, self.platform)


class SwornFormat(EchoFormat):
    """Believe a word for a key and a device, at an enrolment and with a renewal."""

    def read_attestation(self, members: Mapping[str, Any]) -> Sworn:
        """Read ``{"word", "binding", "key", "device"}``."""
        key, device = (base64url.decode(members[name]) for name in ("key", "device"))
        return Sworn("fine", read_bytes("binding", members["binding"]), None, key, device)

    def read_renewal(self, members: Mapping[str, Any]) -> ProofKeySignature:
        """Read the same, with a signature."""
        signature = read_bytes("signature", members["signature"])
        return ProofKeySignature(signature, self.read_attestation(members))

    def examine(
        self, evidence: Attestation, expected: Expected, trust: Trust, now: datetime
    ) -> Examination:
        """Claim what the word is given for."""
        assert isinstance(evidence, Sworn)
        found = EchoFormat.examine(self, evidence, expected, trust, now)
        assert found.claims is not None
        claims = replace(
            found.claims,
            public_key=evidence.key or None,
            device_key=evidence.device or None,
        )
        return Examination(claims, found.steps)


OWN = OwnRenewalFormat(evidence_types=(Echo, OwnRenewal))
SWORN = SwornFormat(evidence_types=(Sworn, ProofKeySignature))


def enrolled(own: EchoFormat, device: bytes = b"") -> tuple[Phone, Instance, dict[str, Any]]:
    """Return a phone, its instance, and evidence that vouches for the same at a renewal."""
    made = phone("play-phone")
    said = statement(proof_jwk=made.proof_jwk)
    evidence = {"format": own.name, "word": "fine", "binding": base64url.encode(said.binding)}
    if isinstance(own, SwornFormat):
        evidence |= {"key": "", "device": base64url.encode(device)}
    by = verifier(POLICY, formats=[own])
    proven = asyncio.run(by.appraise(evidence, said, ANDROID, NOW))
    instance = replace(instance_of("play-phone", proven), device_key=proven.device_key)
    return made, instance, {**evidence, **made.renew(RAW), "format": own.name}


def renewal(
    own: EchoFormat, instance: Instance, evidence: dict[str, Any], later: timedelta
) -> AppraisedRenewal | Reason:
    """Return what comes of a renewal so much later."""
    by = verifier(POLICY, formats=[own])
    found = by.appraise_renewal(evidence, statement(), instance, ANDROID, NOW + later)
    try:
        return asyncio.run(found)
    except RefusedError as error:
        return error.reason


@pytest.mark.parametrize("own", [EchoFormat(), OWN], ids=["proof key", "own class"])
def test_verdict_goes_stale_whatever_renewals_are_called(own: EchoFormat) -> None:
    """No vendor vouched for the key, so that its word grows old."""
    made, instance, _ = enrolled(own)
    evidence = {"format": own.name, "signature": made.renew(RAW)["signature"]}
    assert isinstance(renewal(own, instance, evidence, RENEW_BY_KEY_FOR), AppraisedRenewal)
    late = renewal(own, instance, evidence, RENEW_BY_KEY_FOR + timedelta(seconds=1))
    assert late is Reason.INSTANCE_ATTESTATION_STALE


def test_attested_key_beside_the_proof_key_goes_not_stale() -> None:
    """The vendor vouched for the key that renews, in a format of one's own too."""
    made, instance, _ = enrolled(EchoFormat())
    # The key that signed is the attested one; tokens carry another.
    other = replace(instance, proof_jwk=instance.seal_jwk)
    evidence = {"format": "echo", "signature": made.renew(RAW)["signature"]}
    found = renewal(EchoFormat(), other, evidence, timedelta(days=1000))
    assert isinstance(found, AppraisedRenewal)


def test_device_vouches_for_its_own_instance_alone() -> None:
    """A genuine device doesn't keep instances on others alive."""
    _, instance, evidence = enrolled(SWORN, device=DEVICE)
    late = timedelta(days=400)
    same = renewal(SWORN, instance, evidence, late)
    assert isinstance(same, AppraisedRenewal)
    assert same.vouched_anew
    for device in (bytes(32), b""):
        relayed = {**evidence, "device": base64url.encode(device)}
        assert renewal(SWORN, instance, relayed, late) is Reason.ATTESTATION_BINDING
    # Of an instance whose device nobody could tell, there is nothing to compare.
    untold = replace(instance, device_key=None)
    assert isinstance(renewal(SWORN, untold, evidence, late), AppraisedRenewal)


def test_evidence_vouches_for_the_key_that_it_attests() -> None:
    """One that attests another key than the instance's is another enrolment's."""
    _, instance, evidence = enrolled(SWORN)
    own = {**evidence, "key": base64url.encode(instance.attested_key)}
    assert isinstance(renewal(SWORN, instance, own, timedelta(0)), AppraisedRenewal)
    other = {**evidence, "key": base64url.encode(public_spki())}
    assert renewal(SWORN, instance, other, timedelta(0)) is Reason.ATTESTATION_BINDING
