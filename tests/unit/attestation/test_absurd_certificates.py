"""Absurd certificates cost little: what they make the verifier do is counted, not timed."""

import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from types import FrameType
from typing import Any

import pytest
from cryptography import x509
from tests.unit.attestation import forge

from watchword.attestation.interface import AndroidKeyChain, Examination, Expected
from watchword.attestation.registry import examine
from watchword.reasons import Reason

EXPECTED = Expected(forge.BINDING, forge.ANDROID_APP)
SIGNATURE = 500
"""Calls of Python that verifying a signature is worth, at least: 12,000 on P-256 take a second, and ten million calls."""
MALFORMED = {Reason.EVIDENCE_MALFORMED, Reason.ATTESTATION_CHAIN_LENGTH}


def work(google: forge.Google, evidence: AndroidKeyChain) -> tuple[Examination, Counter[str]]:
    """Examine a chain; count the calls that it took, and the signatures that were verified."""
    calls: Counter[str] = Counter()
    trust = forge.trust(google.anchor, revoked={})

    def count(_frame: FrameType, event: str, argument: Any) -> None:
        calls["all"] += event in {"call", "c_call"}
        if event == "c_call":
            calls["verified"] += getattr(argument, "__name__", "") == "verify"

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        found = examine(evidence, EXPECTED, trust, forge.NOW)
    finally:
        sys.setprofile(before)
    return found, calls


def cost(calls: Counter[str]) -> int:
    """Return what a verification took, in calls of Python."""
    return calls["all"] + SIGNATURE * calls["verified"]


def oids(count: int) -> list[forge.Extension]:
    """Return so many extensions that nobody knows."""
    return [(x509.ObjectIdentifier(f"1.2.3.{each}"), b"\x05\x00") for each in range(count)]


def padded(size: int) -> list[forge.Extension]:
    """Return one large extension."""
    return [(x509.ObjectIdentifier("1.2.3"), b"x" * size)]


def tiny(count: int) -> bytes:
    """Return a description whose lists are made of tiny elements."""
    many = forge.tlv(0x30, b"\x05\x00" * count)
    head = forge.integer(400) + forge.integer(1, 0x0A) + forge.integer(400) + forge.integer(1, 0x0A)
    return forge.tlv(0x30, head, forge.tlv(0x04, forge.BINDING), forge.tlv(0x04), many, many)


def nested(depth: int) -> bytes:
    """Return elements within each other."""
    content = b"\x05\x00"
    for _ in range(depth):
        content = forge.tlv(0x30, content)
    return content


def many_tags() -> bytes:
    """Return a description with as many tags as are read, none of them known."""
    tags = {**forge.hardware_tags(), **{number: forge.tlv(0x05) for number in range(5000, 5100)}}
    return forge.key_description(hardware=tags)


LEAVES: dict[str, tuple[dict[str, Any], set[Reason]]] = {
    "50 extensions": ({"more": oids(50)}, MALFORMED),
    "an extension of 64 kB": ({"more": padded(64 * 1024)}, MALFORMED),
    "an extension of 15 kB": ({"more": padded(15 * 1024)}, set()),
    "a description of 5,000 empty elements": ({"description": tiny(2500)}, MALFORMED),
    "a description of 3,000 levels": ({"description": nested(3000)}, MALFORMED),
    "a description of 64 kB": (
        {"description": b"\x30\x84\xff\xff\xff\xff" + b"x" * 65536},
        MALFORMED,
    ),
    "111 tags": ({"description": many_tags()}, set()),
    "a version of 500 bits": ({"description": forge.key_description(version=2**500)}, set()),
    "a version of 5,000 bits": ({"description": forge.key_description(version=2**5000)}, MALFORMED),
    "a name of 200 parts": (
        {"subject": x509.Name([x509.NameAttribute(x509.NameOID.TITLE, "TEE")] * 200)},
        set(),
    ),
}


def leaf(google: forge.Google, **mutated: Any) -> AndroidKeyChain:
    """Return a chain whose leaf is absurd, and signed in order by a key that leaked."""
    described = (forge.KEY_DESCRIPTION, mutated.get("description", forge.key_description()))
    party = forge.certify(
        mutated.get("subject", forge.name(common_name="Android Keystore Key")),
        google.attester,
        extensions=[described, *mutated.get("more", [])],
        ca=None,
        signs=False,
    )
    return google.evidence(party)


@pytest.mark.parametrize("name", LEAVES)
@pytest.mark.parametrize("make", [forge.google, forge.remote_google])
def test_an_absurd_leaf_costs_at_most_two_genuine_chains(
    make: Callable[[], forge.Google], name: str
) -> None:
    """Whoever owns a leaked key signs what they like: a reason where it can't be read, and a bounded cost."""
    genuine = make()
    found, honest = work(genuine, genuine.evidence())
    assert found.refusals == ()
    assert honest["verified"] == len(genuine.evidence().chain) - 1
    mutated, reasons = LEAVES[name]
    google = make()
    found, calls = work(google, leaf(google, **mutated))
    assert {refusal.reason for refusal in found.refusals} <= reasons
    assert bool(found.refusals) is bool(reasons)
    assert calls["verified"] <= honest["verified"]
    assert cost(calls) <= 2 * cost(honest)


def issuers() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield how an authority may be absurd."""
    yield "50 extensions", {"extensions": oids(50)}
    yield "an extension of 64 kB", {"extensions": padded(64 * 1024)}
    yield "30 extensions", {"extensions": oids(28)}
    yield "a path of 2^63 CAs", {"path_length": 2**63}


@pytest.mark.parametrize("name", [name for name, _ in issuers()])
def test_absurd_authorities_that_nobody_signed_cost_one_signature(name: str) -> None:
    """A stranger's own authorities end at a reason, after one look whether the root's key signed the last."""
    genuine = forge.google()
    _, honest = work(genuine, genuine.evidence())
    mutated = dict(issuers())[name]
    strange = forge.google(intermediate=mutated, attester=mutated)
    _, calls = work(genuine, strange.evidence())
    assert calls["verified"] <= 1
    assert cost(calls) <= 2 * cost(honest)
    found, calls = work(genuine, replace(strange, root=genuine.root).evidence())
    assert found.refusals != ()
    assert calls["verified"] <= 1
    assert cost(calls) <= 2 * cost(honest)
