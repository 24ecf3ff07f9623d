"""Make App Attest attestations with absurd certificates and data, and count what refusing them costs.

Each is signed through by a vendor that the verifier trusts, so that nothing but its own caps stops it.  ``work_of`` counts
calls of Python and the bytes that DER and CBOR are read from, so that the same comes out on any machine.
"""

import sys
from collections import UserDict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from types import FrameType
from typing import Any

import cbor2
from cryptography import x509
from tests.unit.attestation import forge

from watchword.attestation.interface import Attestation, Expected, Trust
from watchword.attestation.registry import examine
from watchword.lab import apple as apple_systems
from watchword.reasons import Reason

_APPLE_ARC = "1.2.840.113635.100.99"


@dataclass(frozen=True)
class Absurd:
    """Hold one attestation, what it is verified against, and the reason that it must get."""

    evidence: Attestation
    expected: Expected
    trust: Trust
    reason: Reason


class _Made(UserDict[str, Absurd]):
    """Hold the absurd ones by kind, and a genuine one to compare with."""

    genuine: Absurd


def _named(count: int, content: bytes = b"\x05\x00") -> list[tuple[x509.ObjectIdentifier, bytes]]:
    return [(x509.ObjectIdentifier(f"{_APPLE_ARC}.{each}"), content) for each in range(count)]


def _nested(depth: int) -> bytes:
    content = b""
    for _ in range(depth):
        content = forge.tlv(0x30, content)
    return content


def _wide(count: int, number: int = 1400) -> bytes:
    return forge.tlv(
        0x30, *[forge.tagged(number + at, forge.tlv(0x04, b"")) for at in range(count)]
    )


def _category(value: Any) -> bytes:
    return cbor2.dumps({"apple_bundle_version_01": "1", "apple_validation_category_01": value})


def _kinds() -> Iterator[tuple[str, Reason, dict[str, Any]]]:
    """Yield a name, the reason, and how the attestation is made."""
    malformed, platform = Reason.EVIDENCE_MALFORMED, Reason.POLICY_APPLE_PLATFORM
    access, way = Reason.POLICY_KEY_ACCESS, Reason.POLICY_DISTRIBUTION
    mac = {"system": forge.apple_system(b"macosx", device_class=None)}
    for size in (1 << 10, 15 << 10, 64 << 10):
        reason = malformed if size > 15 << 10 else access
        listed = forge.apple_key_access(bytes(size))
        yield f"key access of {size} bytes", reason, {**mac, "key_access": listed}
        name = forge.apple_system(bytes(size))
        yield (
            f"system of {size} bytes",
            malformed if size > 15 << 10 else platform,
            {"system": name},
        )
    wrong = {
        "an integer": forge.integer(1),
        "nothing": b"",
        "an octet string": forge.tlv(0x04, b"list"),
        "a list in a list": forge.apple_key_access(forge.apple_key_access(b"")),
        "nested 400 deep": _nested(400),
        "a length beyond the end": b"\x30\x7f\xa3",
        "an indefinite length": b"\x30\x80\x00\x00",
        "two lists": forge.tlv(
            0x30, *2 * [forge.tagged(3, forge.tlv(0x04, apple_systems.SEALED_MAC_KEY))]
        ),
    }
    for kind, content in wrong.items():
        yield f"key access is {kind}", access, {**mac, "key_access": content}
        yield f"system is {kind}", platform, {"system": content}
    numbers = forge.tlv(0x30, forge.tagged(1026, forge.integer(7)))
    yield "system's name is a number", platform, {"system": numbers}
    yield "system of 128 tags", platform, {"system": _wide(128)}
    yield "system of 200 tags", platform, {"system": _wide(200)}
    numbers_and_bytes = (
        2**63,
        2**64 - 1,
        -1,
        -(2**63),
        b"\x04\x00\x00",
        bytes(5),
        bytes(900),
        True,
    )
    for value in numbers_and_bytes:
        shown = value if not isinstance(value, bytes) else f"{len(value)} bytes"
        yield f"category {shown}", way, {"trailing": _category(value)}
    for odd in (None, "4", [4], {"4": 4}, 1.5):
        reason = malformed if isinstance(odd, float) else way
        yield f"category {odd!r}", reason, {"trailing": _category(odd)}
    yield "category nested", malformed, {"trailing": _category(_deep(40))}
    yield "50 extensions", malformed, {"more_extensions": _named(50)}
    yield (
        "12 extensions of 1000 bytes",
        platform,
        {"more_extensions": _named(12, bytes(1000)), "system": None},
    )


def _deep(depth: int) -> Any:
    value: Any = 4
    for _ in range(depth):
        value = [value]
    return value


@cache
def _apple() -> forge.Apple:
    return forge.apple()


def _twice(case: Absurd) -> Absurd:
    """Repeat an extension in the leaf, under a signature that no longer holds."""
    document = cbor2.loads(case.evidence.attestation)  # type: ignore[attr-defined]
    leaf = document["attStmt"]["x5c"][0]
    nonce, system = (bytes.fromhex(f"06092a864886f763640{arc}") for arc in ("802", "807"))
    document["attStmt"]["x5c"][0] = leaf.replace(nonce, system)
    key_id = case.evidence.key_id  # type: ignore[attr-defined]
    evidence = type(case.evidence)(cbor2.dumps(document), key_id)  # type: ignore[call-arg]
    return Absurd(evidence, case.expected, case.trust, Reason.EVIDENCE_MALFORMED)


def absurd() -> dict[str, Absurd]:
    """Return absurd attestations by kind; ``genuine`` is one that is none, to compare with."""
    vendor = _apple()
    trust = forge.trust(vendor.anchor)
    expected = Expected(forge.BINDING, forge.APPLE_APP)
    genuine = vendor.evidence(
        key_access=forge.apple_key_access(apple_systems.IPHONE_KEY),
        trailing=_category(b"\x04\x00\x00\x00"),
    )
    made = {"genuine": Absurd(genuine, expected, trust, Reason.POLICY_RECEIPT)}
    for kind, reason, how in _kinds():
        made[kind] = Absurd(vendor.evidence(**how), expected, trust, reason)
    made["an extension twice"] = _twice(made["genuine"])
    return made


def work_of(case: Absurd) -> int:
    """Return how many calls of Python and of C a verification takes."""
    calls = 0

    def count(_frame: FrameType, event: str, _argument: object) -> None:
        nonlocal calls
        calls += event in {"call", "c_call"}

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        examine(case.evidence, case.expected, case.trust, forge.NOW)
    finally:
        sys.setprofile(before)
    return calls


ABSURD = _Made(absurd())
ABSURD.genuine = ABSURD.pop("genuine")
