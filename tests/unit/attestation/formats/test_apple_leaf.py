"""What Apple's leaf says of the device: system, version, and when the key may sign; never an error."""

from typing import Any

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.attestation import forge, recorded
from tests.unit.attestation.absurd import ABSURD, work_of

from watchword.attestation.attestation_object import (
    MAC_KEY_ACCESS,
    MAX_EXTENSION_BYTES,
    System,
    read_key_access,
    read_system,
)
from watchword.attestation.claims import AppleClaims, KeyAccess
from watchword.attestation.formats.app_attest import AppAttest
from watchword.attestation.interface import AppAttestAssertion, Expected
from watchword.attestation.registry import examine
from watchword.lab import apple as lab
from watchword.policy.interface import Circumstances
from watchword.policy.registry import BALANCED
from watchword.policy.service import appraise_unverified
from watchword.reasons import Reason
from watchword.vocabulary import ApplePlatform, Distribution

IPHONE_LIST = forge.apple_key_access(lab.IPHONE_KEY)
MAC_LIST = forge.apple_key_access(MAC_KEY_ACCESS)
OPEN_LIST = forge.apple_key_access(lab.OPEN_MAC_KEY)


def said(apple: forge.Apple, **made: Any) -> AppleClaims:
    """Return what an attestation says of the device."""
    trust = forge.trust(apple.anchor)
    found = examine(
        apple.evidence(**made), Expected(forge.BINDING, forge.APPLE_APP), trust, forge.NOW
    )
    assert found.claims is not None
    assert found.claims.apple is not None
    return found.claims.apple


@pytest.fixture
def apple() -> forge.Apple:
    """Return a forged Apple."""
    return forge.apple()


@pytest.mark.parametrize(
    ("name", "device_class", "platform"),
    [
        (b"iphoneos", 2, ApplePlatform.IOS),
        (b"iphoneos", None, ApplePlatform.IOS),
        (b"iphoneos", 0xFFFFFFFF, ApplePlatform.IOS),
        (b"iphoneos", 0, ApplePlatform.IPADOS),
        (b"macosx", None, ApplePlatform.MACOS),
        (b"macosx", 0, ApplePlatform.MACOS),
        (b"maccatalyst", None, ApplePlatform.MAC_CATALYST),
        (b"xros", None, ApplePlatform.VISIONOS),
        (b"appletvos", None, ApplePlatform.TVOS),
        (b"watchos", None, ApplePlatform.WATCHOS),
        (b"MacOSX", None, ApplePlatform.UNKNOWN),
        (b"iphoneos\x00", None, ApplePlatform.UNKNOWN),
        (b"", None, ApplePlatform.UNKNOWN),
    ],
)
def test_platform_is_the_one_that_the_leaf_names(
    name: bytes, device_class: int | None, platform: ApplePlatform
) -> None:
    """A name that nobody knows is unknown, and never taken for an iPhone."""
    assert read_system(forge.apple_system(name, device_class=device_class)).platform is platform


@pytest.mark.parametrize(
    ("version", "access", "platform"),
    [
        (b"14.0", None, None),
        (b"17.5.1", None, None),
        (b"26.9", None, None),
        (b"27.0", None, ApplePlatform.UNKNOWN),
        (b"100", None, ApplePlatform.UNKNOWN),
        (b"26.9", IPHONE_LIST, ApplePlatform.UNKNOWN),
        (b"26.9", OPEN_LIST, ApplePlatform.UNKNOWN),
        (b"26.9", MAC_LIST, ApplePlatform.UNKNOWN),
        (None, None, ApplePlatform.UNKNOWN),
        (b"old", None, ApplePlatform.UNKNOWN),
        (b"-1", None, ApplePlatform.UNKNOWN),
    ],
)
def test_only_systems_older_than_the_first_mac_may_keep_silent(
    apple: forge.Apple,
    version: bytes | None,
    access: bytes | None,
    platform: ApplePlatform | None,
) -> None:
    """Whoever leaves its name out, on a system where Macs attest, may be a Mac."""
    system = forge.apple_system(None, version)
    assert said(apple, system=system, key_access=access).platform is platform


def test_leaf_without_the_extension_may_be_any_system(apple: forge.Apple) -> None:
    """All recorded leaves have it, those of 2020 too."""
    told = said(apple, system=None)
    assert told.platform is ApplePlatform.UNKNOWN
    assert (told.os_version, told.os_build, told.key_access) == (None, None, None)


def test_key_access_is_compared_as_a_whole() -> None:
    """A Mac's list is Apple's to the byte, or another."""
    assert read_key_access(None) is None
    assert read_key_access(MAC_LIST) is KeyAccess.FULL_SECURITY
    assert lab.SEALED_MAC_KEY == MAC_KEY_ACCESS
    for other in (IPHONE_LIST, OPEN_LIST, b"", MAC_KEY_ACCESS, MAC_LIST + b"\x00"):
        assert read_key_access(other) is KeyAccess.OTHER
    for at in range(len(MAC_LIST)):
        mutated = bytearray(MAC_LIST)
        mutated[at] ^= 1
        # Which context tag wraps the list says nothing of it.
        expected = KeyAccess.FULL_SECURITY if at == 2 else KeyAccess.OTHER
        assert read_key_access(bytes(mutated)) is expected, at


def test_a_phone_with_a_macs_list_contradicts_itself(apple: forge.Apple) -> None:
    """One of the two is wrong, and nobody can say which."""
    assert said(apple, key_access=MAC_LIST).platform is ApplePlatform.UNKNOWN
    mac = said(apple, system=forge.apple_system(b"macosx"), key_access=MAC_LIST)
    assert mac.platform is ApplePlatform.MACOS
    assert mac.key_access is KeyAccess.FULL_SECURITY


def test_version_and_build_are_claims_in_their_form_alone() -> None:
    """What is no version is the sender's own text."""
    good = read_system(forge.apple_system())
    assert good == System(ApplePlatform.IOS, "27.0", "24A5355q")
    odd = read_system(forge.apple_system(version=b"27.0\n", build=b"<script>"))
    assert odd == System(ApplePlatform.IOS)


@given(st.binary(max_size=300))
def test_any_bytes_are_read(data: bytes) -> None:
    """No error comes out, and no list but Apple's is a Mac's."""
    assert isinstance(read_system(data), System)
    assert read_key_access(data) in {KeyAccess.OTHER, KeyAccess.FULL_SECURITY}


def test_size_is_capped_before_anything_is_read() -> None:
    """An extension beyond the cap says nothing, however well it is made."""
    padded = forge.tlv(
        0x30, forge.tagged(1026, forge.tlv(0x04, b"iphoneos" + bytes(MAX_EXTENSION_BYTES)))
    )
    assert read_system(padded) == System()
    assert read_key_access(MAC_LIST + bytes(MAX_EXTENSION_BYTES)) is KeyAccess.OTHER


@pytest.mark.parametrize("kind", ABSURD)
def test_absurd_attestations_get_a_reason(kind: str) -> None:
    """Signed by Apple or not, each is refused by its verification or by policy."""
    case = ABSURD[kind]
    found = examine(case.evidence, case.expected, case.trust, forge.NOW)
    refusals = list(found.refusals)
    if found.claims is not None:
        verdict = appraise_unverified(
            found.claims, forge.APPLE_APP, BALANCED, Circumstances(forge.NOW)
        )
        refusals += [each for each in verdict.refusals if each.reason is not Reason.POLICY_RECEIPT]
    assert case.reason in {each.reason for each in refusals}


@pytest.mark.parametrize("kind", ABSURD)
def test_absurd_attestations_cost_at_most_two_genuine_ones(kind: str) -> None:
    """Counted in calls, not in seconds: a loaded machine counts the same."""
    case = ABSURD[kind]
    assert work_of(case) <= 2 * work_of(ABSURD.genuine)


@pytest.mark.skipif(not recorded.are_here(), reason="the recorded evidence isn't here")
def test_recorded_leaves_say_what_they_say() -> None:
    """Eleven devices of iOS 14.0 to 27.0; Apple's sample of 2026 is a build of the system's own."""
    told = {}
    for row in recorded.app_attest_attestations():
        found = examine(row.evidence, row.expected, recorded.trust(), row.now)
        assert found.claims is not None
        told[row.id] = found.claims.apple
    versions = sorted(str(each.os_version) for each in told.values() if each is not None)
    assert versions[0] == "14.0"
    assert versions[-1] == "27.0"
    sample = told.pop(recorded.APPLE_SAMPLE_OF_27)
    assert sample == AppleClaims(
        ApplePlatform.IOS,
        KeyAccess.OTHER,
        Distribution.OPERATING_SYSTEM,
        "27.0",
        "24A325b" if sample is None else sample.os_build,
    )
    for each in told.values():
        assert each is not None
        assert each.distribution is None
        assert each.platform in {None, ApplePlatform.IOS}


def test_fields_show_the_list_for_people(apple: forge.Apple) -> None:
    """Whoever lists a Mac sees what it sent."""
    trust = forge.trust(apple.anchor)
    expected = Expected(forge.BINDING, forge.APPLE_APP)
    evidence = apple.evidence(key_access=OPEN_LIST)
    found = examine(evidence, expected, trust, forge.NOW)
    assert found.claims is not None
    assert found.claims.fields["key_access"] == OPEN_LIST.hex()


def test_assertion_states_how_the_app_came(apple: forge.Apple) -> None:
    """Since iOS 27 the map stands in assertions too, without the flag."""
    key = forge.p256()
    trailing = cbor2.dumps(
        {"apple_bundle_version_01": "8", "apple_validation_category_01": b"\x02\x00\x00\x00"}
    )
    made = forge.assertion(key, b"statement", trailing=trailing)
    found = AppAttest().examine_renewal(
        AppAttestAssertion(made), b"statement", forge.spki(key), forge.APPLE_APP
    )
    assert found.refusals == ()
    assert found.app_version == "8"
    assert found.distribution is Distribution.TESTFLIGHT
