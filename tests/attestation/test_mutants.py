"""Bend accepted evidence in every region and every way: none of it passes but where nothing is signed."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import cbor2
import pytest
from tests.attestation import forge

from watchword.attestation.interface import (
    AndroidApp,
    AndroidKeyChain,
    AppAttestAssertion,
    AppAttestAttestation,
    AppleApp,
    AppRegistration,
    Attestation,
    Expected,
)
from watchword.attestation.service import examine, verify_renewal
from watchword.encoding import der
from watchword.policy.service import appraise_unverified
from watchword.reasons import RefusedError
from watchword.vocabulary import AppAttestEnvironment

POSITIONS = 48
"""Flipped bits of each region, evenly spread, so that counts don't hang on a run's keys."""

ANDROID = Expected(forge.BINDING, forge.ANDROID_APP)
APPLE = Expected(forge.BINDING, forge.APPLE_APP)
OTHER_ANDROID = AppRegistration("x", AndroidApp("org.example.x", frozenset({forge.SIGNER})))
OTHER_APPLE = AppRegistration("x", AppleApp("TEAM123456", "org.example.x"))

Mutant = tuple[str, Any]
"""A class of mutants, and the evidence."""


def flips(data: bytes, start: int, end: int) -> Iterator[bytes]:
    """Yield copies with one bit flipped, spread over a region; small regions are flipped all over."""
    bits = (end - start) * 8
    for index in range(min(POSITIONS, bits)):
        at = start * 8 + index * bits // min(POSITIONS, bits)
        bent = bytearray(data)
        bent[at // 8] ^= 1 << at % 8
        yield bytes(bent)


def certificate_regions(data: bytes) -> dict[str, tuple[int, int]]:
    """Return where the parts of a certificate begin and end."""
    tbs, algorithm, signature = der.sequence(der.read(data))
    key = der.sequence(tbs)[6].raw
    begin = data.index(tbs.raw)
    middle = begin + len(tbs.raw)
    end = middle + len(algorithm.raw)
    return {
        "header": (0, begin),
        "signed": (begin, middle),
        "algorithm": (middle, end),
        "signature": (end, end + len(signature.raw)),
        "key": (data.index(key), data.index(key) + len(key)),
    }


def orders(chain: Sequence[bytes]) -> Iterator[tuple[str, tuple[bytes, ...]]]:
    """Yield the chain with certificates dropped, repeated and swapped."""
    for at in range(len(chain)):
        last = at == len(chain) - 1
        yield "root dropped" if last else "dropped", (*chain[:at], *chain[at + 1 :])
        yield "repeated", (*chain[: at + 1], *chain[at:])
        for other in range(at + 1, len(chain)):
            swapped = list(chain)
            swapped[at], swapped[other] = chain[other], chain[at]
            yield "swapped", tuple(swapped)


def with_extensions_of(data: bytes, donor: bytes) -> bytes:
    """Return a certificate with the extensions of another one, under its own old signature."""
    tbs, algorithm, signature = der.sequence(der.read(data))
    donated = der.sequence(der.sequence(der.read(donor))[0])[-1]
    members = [member.raw for member in der.sequence(tbs)[:-1]]
    signed = forge.tlv(0x30, *members, donated.raw)
    return forge.tlv(0x30, signed, algorithm.raw, signature.raw)


def chain_mutants(chain: Sequence[bytes]) -> Iterator[Mutant]:
    """Yield mutants of an Android chain that ends in its root."""
    for at, certificate in enumerate(chain):

        def put(data: bytes, at: int = at) -> AndroidKeyChain:
            return AndroidKeyChain((*chain[:at], data, *chain[at + 1 :]))

        of = "root" if at == len(chain) - 1 else "certificate"
        for region, (start, end) in certificate_regions(certificate).items():
            for bent in flips(certificate, start, end):
                yield f"{of} {region}", put(bent)
        for size in range(0, len(certificate), 1 + len(certificate) // POSITIONS):
            yield "truncated", put(certificate[:size])
        yield "bytes behind", put(certificate + b"\x00")
        for other in chain:
            # The root's own extensions aren't signed by anybody whom we believe.
            moved = with_extensions_of(certificate, other)
            if moved != certificate and of != "root":
                yield "extensions moved", put(moved)
    for kind, order in orders(chain):
        yield kind, AndroidKeyChain(order)


def authenticator_data_mutants(raw: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield authenticator data that names another app, counter or environment."""
    yield "other app", b"\x00" * 32 + raw[32:]
    for counter in (1, 2**31, 2**32 - 1):
        yield "other counter", raw[:33] + counter.to_bytes(4, "big") + raw[37:]
    for environment in AppAttestEnvironment:
        if environment.value != raw[37:53]:
            yield "other environment", raw[:37] + environment.value + raw[53:]


def object_mutants(evidence: AppAttestAttestation) -> Iterator[Mutant]:
    """Yield mutants of an attestation object."""
    data, document = evidence.attestation, cbor2.loads(evidence.attestation)
    statement, raw = document["attStmt"], document["authData"]
    receipt = statement["receipt"]
    regions = {"authenticator data": raw, "leaf": statement["x5c"][0], "receipt": receipt}
    regions["intermediate"] = statement["x5c"][1]
    for region, content in regions.items():
        start = data.index(content)
        for bent in flips(data, start, start + len(content)):
            yield region, replace(evidence, attestation=bent)
    for bent in flips(data, 0, len(data)):
        if receipt in bent:
            yield "anywhere but the receipt", replace(evidence, attestation=bent)
    for bent in flips(evidence.key_id, 0, len(evidence.key_id)):
        yield "key id", replace(evidence, key_id=bent)
    for size in range(0, len(data), 1 + len(data) // POSITIONS):
        yield "truncated", replace(evidence, attestation=data[:size])
    for kind, bent in authenticator_data_mutants(raw):
        yield kind, replace(evidence, attestation=cbor2.dumps({**document, "authData": bent}))
    for kind, order in orders(statement["x5c"]):
        members = {**document, "attStmt": {**statement, "x5c": list(order)}}
        name = "dropped" if kind == "root dropped" else kind
        yield name, replace(evidence, attestation=cbor2.dumps(members))


def assertion_mutants(assertion: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield mutants of an assertion."""
    document = cbor2.loads(assertion)
    for region, content in document.items():
        start = assertion.index(content)
        for bent in flips(assertion, start, start + len(content)):
            yield region, bent
    for bent in flips(assertion, 0, len(assertion)):
        yield "anywhere", bent
    for size in range(len(assertion)):
        yield "truncated", assertion[:size]
    for kind, bent in authenticator_data_mutants(document["authenticatorData"]):
        yield kind, cbor2.dumps({**document, "authenticatorData": bent})


def is_accepted(evidence: Attestation, expected: Expected, trust: Any) -> bool:
    """Verify and appraise; whatever is raised ends the test."""
    examination = examine(evidence, expected, trust, forge.NOW)
    if examination.refusals or examination.claims is None:
        return False
    return not appraise_unverified(examination.claims, expected.app).refusals


def counted(
    mutants: Iterable[Mutant], expected: Expected, trust: Any
) -> tuple[Counter[str], Counter[str]]:
    """Return how many mutants there were of each class, and how many of them were accepted."""
    made: Counter[str] = Counter()
    accepted: Counter[str] = Counter()
    for kind, evidence in mutants:
        made[kind] += 1
        accepted[kind] += is_accepted(evidence, expected, trust)
    return made, +accepted


@pytest.mark.parametrize("provisioned", ["factory", "factory without CA", "remote"])
def test_bent_android_chains(provisioned: str) -> None:
    """Only the root's own wrapping and dates may change, and the root may be left out."""
    google = {
        "factory": forge.google,
        "factory without CA": lambda: forge.google(attester={"ca": False, "signs": False}),
        "remote": forge.remote_google,
    }[provisioned]()
    trust = forge.trust(google.anchor, revoked={})
    evidence = google.evidence()
    assert is_accepted(evidence, ANDROID, trust)
    made, accepted = counted(chain_mutants(evidence.chain), ANDROID, trust)
    assert made.pop("truncated") > 4 * (POSITIONS - 6)
    assert made.pop("extensions moved") >= 5
    assert made == {
        **dict.fromkeys(("certificate signed", "certificate key"), 3 * POSITIONS),
        **dict.fromkeys(("certificate algorithm", "certificate signature"), 3 * POSITIONS),
        "certificate header": 3 * 32,
        "root header": 32,
        **dict.fromkeys(("root signed", "root key"), POSITIONS),
        **dict.fromkeys(("root algorithm", "root signature"), POSITIONS),
        "bytes behind": 4,
        "dropped": 3,
        "root dropped": 1,
        "repeated": 4,
        "swapped": 6,
    }
    # A root is its key: nobody whom we believe signed the rest of its certificate.
    assert set(accepted) <= {"root signed", "root signature", "root dropped"}
    assert accepted["root dropped"] == 1
    for bent in (replace(ANDROID, binding=b"\x00" * 32), replace(ANDROID, app=OTHER_ANDROID)):
        assert not is_accepted(evidence, bent, trust)


def test_bent_app_attest_attestations(apple: forge.Apple) -> None:
    """Only the receipt, which isn't verified yet, may change."""
    trust = forge.trust(apple.anchor)
    evidence = apple.evidence(receipt=b"receipt of a hundred bytes" * 4)
    assert is_accepted(evidence, APPLE, trust)
    made, accepted = counted(object_mutants(evidence), APPLE, trust)
    assert made.pop("truncated") >= POSITIONS - 4
    assert made.pop("anywhere but the receipt") >= POSITIONS - 10
    assert made == {
        **dict.fromkeys(("authenticator data", "leaf", "intermediate"), POSITIONS),
        **dict.fromkeys(("receipt", "key id"), POSITIONS),
        "other app": 1,
        "other counter": 3,
        "other environment": 1,
        "dropped": 2,
        "repeated": 2,
        "swapped": 1,
    }
    assert accepted == {"receipt": POSITIONS}
    for bent in (replace(APPLE, binding=b"\x00" * 32), replace(APPLE, app=OTHER_APPLE)):
        assert not is_accepted(evidence, bent, trust)


def test_bent_assertions() -> None:
    """Nothing in an assertion may change."""
    key = forge.p256()
    assertion = forge.assertion(key, b"statement", counter=7, trailing=cbor2.dumps({"a": 1}))

    def renews(data: bytes) -> bool:
        try:
            verify_renewal(AppAttestAssertion(data), b"statement", forge.spki(key), forge.APPLE_APP)
        except RefusedError:
            return False
        return True

    assert renews(assertion)
    made = Counter(kind for kind, _ in assertion_mutants(assertion))
    assert made.pop("truncated") == len(assertion)
    assert made == {
        **dict.fromkeys(("authenticatorData", "signature", "anywhere"), POSITIONS),
        "other app": 1,
        "other counter": 3,
        "other environment": 2,
    }
    assert [kind for kind, bent in assertion_mutants(assertion) if renews(bent)] == []
