"""What an Android chain says about the phone, and that the steps are those of the format's page."""

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cbor2
import pytest
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.attestation import forge, recorded

from watchword.attestation.claims import PatchLevels, Provisioning, UnverifiedClaims
from watchword.attestation.formats.android_key import (
    LENIENT_ATTEST_KEY,
    LENIENT_EXPIRED,
    LENIENT_NOT_CA,
    STEPS,
    describe_provisioning,
)
from watchword.attestation.interface import AndroidKeyChain, Examination, Expected, Trust
from watchword.attestation.key_description import LENIENT_BOOLEAN, LENIENT_ORDER
from watchword.attestation.registry import examine
from watchword.policy.interface import Circumstances
from watchword.policy.registry import STRICT
from watchword.policy.service import appraise_unverified
from watchword.reasons import Reason

PAGE = Path(__file__).parents[4] / "docs" / "formats" / "android_key.md"
EXPECTED = Expected(forge.BINDING, forge.ANDROID_APP)


def judge(
    google: forge.Google, leaf: forge.Party | None = None, trust: Trust | None = None
) -> Examination:
    """Examine a leaf under a Google that is trusted."""
    trust = trust or forge.trust(google.anchor, revoked={})
    return examine(google.evidence(leaf), EXPECTED, trust, forge.NOW)


def claimed(google: forge.Google, leaf: forge.Party | None = None) -> UnverifiedClaims:
    """Return the claims of a leaf that holds."""
    found = judge(google, leaf)
    assert found.refusals == ()
    assert found.claims is not None
    return found.claims


# Steps


def test_the_page_numbers_the_steps_as_the_code_does() -> None:
    """Number and title of each step stand in the page's table, in order, and nothing else does."""
    rows = re.findall(r"^\| (\d+) \| ([a-z ]+) \|", PAGE.read_text(), re.MULTILINE)
    assert rows == [(number, title) for number, (title, _) in STEPS.items()]


def test_the_page_names_every_reason_and_leniency() -> None:
    """Whatever a step may refuse for, and whatever may be let pass, stands in the page."""
    page = PAGE.read_text()
    codes = [each.code for each in Reason if each.code.startswith(("attestation.", "android."))]
    names = (LENIENT_ATTEST_KEY, LENIENT_EXPIRED, LENIENT_NOT_CA, LENIENT_BOOLEAN, LENIENT_ORDER)
    assert [name for name in (*codes, *names) if f"`{name}`" not in page] == []


@pytest.mark.parametrize("make", [forge.google, forge.remote_google])
def test_each_step_is_told(make: Callable[[], forge.Google]) -> None:
    """A chain that holds went through all ten steps, and each says what it found."""
    found = judge(make())
    assert [step.number for step in found.steps] == list(STEPS)
    assert [(step.title, step.wanted) for step in found.steps] == list(STEPS.values())
    assert all(step.found and step.checked and not step.refusals for step in found.steps)


def test_refusals_stand_in_their_steps() -> None:
    """Each fault is told where it was found."""
    google = forge.google(intermediate={"ca": False})
    leaf = google.leaf(forge.key_description(challenge=b"other"))
    serial = google.root.serial_hex
    trust = forge.trust(google.root.anchor("android-key", "software"), revoked={serial: "REVOKED"})
    found = judge(google, leaf, trust)
    told = {step.number: [each.reason for each in step.refusals] for step in found.steps}
    assert {number: reasons for number, reasons in told.items() if reasons} == {
        "3": [Reason.ATTESTATION_CHAIN_NOT_CA],
        "4": [Reason.ATTESTATION_ANCHOR_SOFTWARE],
        "6": [Reason.ATTESTATION_REVOKED],
        "9": [Reason.ATTESTATION_BINDING],
    }


def test_what_was_not_expected_was_not_checked() -> None:
    """Steps without an expectation say so, and what they found."""
    google = forge.google()
    found = examine(google.evidence(), Expected(None, None), forge.trust(google.anchor), forge.NOW)
    assert [step.number for step in found.steps if not step.checked] == ["6", "9", "10"]
    assert all(step.found for step in found.steps)


def test_a_chain_that_cannot_be_read_ends_at_the_first_step() -> None:
    """Nothing is said about what was never reached; a description that can't be read is reached."""
    google = forge.google()
    garbage = examine(AndroidKeyChain((b"x",)), EXPECTED, forge.trust(google.anchor), forge.NOW)
    assert [step.number for step in garbage.steps] == ["1"]
    assert garbage.claims is None
    stub = judge(google, google.leaf(b"\x04\x00"))
    assert [step.number for step in stub.steps] == list(STEPS)
    assert [step.number for step in stub.steps if not step.checked] == ["9"]
    assert [step.number for step in stub.steps if step.refusals] == ["8"]


# Claims


def test_patch_levels_are_those_of_the_hardware_as_written() -> None:
    """Vendor and boot levels may be YYYYMM or YYYYMMDD; Android's own list counts for nothing."""
    google = forge.google()
    hardware = forge.hardware_tags(
        tag_718=forge.integer(202609), tag_719=forge.integer(20260905), tag_706=None
    )
    software = {706: forge.integer(202610), 709: forge.application_id()}
    leaf = google.leaf(forge.key_description(hardware=hardware, software=software))
    assert claimed(google, leaf).patches == PatchLevels(160000, None, 202609, 20260905)
    odd = forge.hardware_tags(tag_706=forge.tlv(0x04, b"202610"), tag_705=None)
    leaf = google.leaf(forge.key_description(hardware=odd))
    assert claimed(google, leaf).patches == PatchLevels()


def test_provisioning_and_the_devices_key() -> None:
    """Only a key that is the device's own tells it from others of its model."""
    factory = claimed(forge.google())
    assert (factory.provisioning, factory.device_key) == (Provisioning.FACTORY, None)
    for info in (True, False):
        google = forge.remote_google(info=info)
        remote = claimed(google)
        digest = hashlib.sha256(forge.spki(google.attester.key)).digest()
        assert (remote.provisioning, remote.device_key) == (Provisioning.REMOTE, digest)


def test_what_stands_in_a_root_says_nothing() -> None:
    """Its certificate is signed by nobody whom we believe: a mutated copy changes no claim."""
    google = forge.google()
    info = [(forge.PROVISIONING_INFO, b"\xa1\x01\x08")]
    subject = google.root.certificate.subject
    mutated = forge.certify(subject, None, key=google.root.key, serial=7, extensions=info)
    leaf = google.leaf()
    genuine = claimed(google, leaf)
    assert claimed(forge.Google(mutated, google.intermediate, google.attester), leaf) == genuine
    assert genuine.provisioning is Provisioning.FACTORY


def test_no_provisioning_where_the_chain_shows_none() -> None:
    """Neither under a root for software, nor under none, nor where the names say nothing."""
    google = forge.remote_google()
    software = forge.trust(google.root.anchor("android-key", "software"))
    for trust in (software, forge.trust()):
        found = judge(google, trust=trust)
        assert found.claims is not None
        assert (found.claims.provisioning, found.claims.device_key) == (None, None)
    root = forge.certify(forge.name(common_name="root"), None)
    between = forge.certify(forge.name(title="nameless"), root)
    lower = forge.certify(forge.name(title="nameless too"), between)
    attester = forge.certify(forge.name(title="TEE"), lower)
    nameless = forge.Google(root, between, attester, (lower,))
    assert claimed(nameless).provisioning is None
    assert claimed(nameless).device_key is None


def test_serials_leave_out_those_that_name_nothing() -> None:
    """A leaf's serial is nearly always 1; one of its own is kept."""
    google = forge.google()
    above = (google.attester.serial_hex, google.intermediate.serial_hex)
    assert claimed(google).serials == above
    short = examine(
        google.evidence(root=False), EXPECTED, forge.trust(google.anchor), forge.NOW
    ).claims
    assert short is not None
    assert short.serials == above
    own = forge.certify(
        forge.name(common_name="leaf"),
        google.attester,
        ca=None,
        signs=False,
        serial=0xABC,
        extensions=[(forge.KEY_DESCRIPTION, forge.key_description())],
    )
    assert claimed(google, own).serials == ("abc", *above)


@pytest.mark.parametrize(
    ("brand", "model", "shown"),
    [
        (b"google", b"Pixel 10", "google Pixel 10"),
        (b"google", None, "google"),
        (None, None, ""),
        (b"google", b"\x1b[31mred", ""),
        (b"google", b"x" * 64, ""),
    ],
)
def test_the_model_is_what_the_hardware_confirmed(
    brand: bytes | None, model: bytes | None, shown: str
) -> None:
    """Only text that fits a line is taken for a model; Android's own word isn't."""
    google = forge.google()
    tags = {710: brand, 717: model}
    present = {tag: forge.tlv(0x04, text) for tag, text in tags.items() if text is not None}
    leaf = google.leaf(forge.key_description(hardware={**forge.hardware_tags(), **present}))
    assert claimed(google, leaf).model == shown
    software = {709: forge.application_id(), 717: forge.tlv(0x04, b"word")}
    leaf = google.leaf(forge.key_description(software=software))
    assert claimed(google, leaf).model == ""


@pytest.mark.parametrize("in_hardware", [True, False])
def test_a_key_that_all_apps_may_use_is_refused(*, in_hardware: bool) -> None:
    """Any app on the phone could speak for the instance (tag 600, WebAuthn section 8.4)."""
    google = forge.google()
    everyone = {600: forge.tlv(0x05)}
    if in_hardware:
        mutated = forge.key_description(hardware={**everyone, **forge.hardware_tags()})
    else:
        mutated = forge.key_description(software={**everyone, 709: forge.application_id()})
    found = judge(google, google.leaf(mutated))
    assert [each.reason for each in found.refusals] == [Reason.ATTESTATION_KEY_UNSUPPORTED]
    assert found.claims is not None
    where = found.claims.fields["hardwareEnforced" if in_hardware else "softwareEnforced"]
    assert where["otherTags"]["600"] == "0500"


def test_an_app_that_android_did_not_know() -> None:
    """A fault of the keystore: no app is claimed, it is told, and the rest of the chain holds."""
    google = forge.google()
    software = {709: forge.tlv(0x04, b"UnknownApplication")}
    found = judge(google, google.leaf(forge.key_description(software=software)))
    assert found.refusals == ()
    assert found.claims is not None
    assert found.claims.app is None
    shown = found.claims.fields["softwareEnforced"]
    assert shown["attestationApplicationId"] == "UnknownApplication"
    assert "didn't know the app" in found.steps[7].found
    known = judge(google)
    assert "didn't know the app" not in known.steps[7].found


def test_fields_are_json_and_one_chain_does_not_change_anothers() -> None:
    """What is shown can be written, and what is kept between chains is never a device's identifier."""
    google = forge.remote_google()
    hardware = forge.hardware_tags(
        tag_714=forge.tlv(0x04, b"990012001354866"), tag_724=forge.tlv(0x04, b"M" * 32)
    )
    leaf = google.leaf(forge.key_description(hardware=hardware))
    for _ in range(2):
        fields = claimed(google, leaf).fields
        assert "990012001354866" not in json.dumps(fields)
        assert fields["hardwareEnforced"]["attestationId"] == {"imei": "withheld"}
        assert fields["hardwareEnforced"]["moduleHash"] == "4d" * 32
        assert fields["provisioningInfo"] == {"certificatesIssued": 8}


# Provisioning information


@pytest.mark.parametrize(
    ("content", "described"),
    [
        ({1: 8}, {"certificatesIssued": 8}),
        ({1: 64, 3: "Google"}, {"certificatesIssued": 64, "manufacturer": "Google"}),
        ({1: 32, 2: True}, {"certificatesIssued": 32, "otherKeys": {"2": True}}),
        (
            {1: 1, "x": b"\xab", 9: [1]},
            {"certificatesIssued": 1, "otherKeys": {"x": "ab", "9": "list"}},
        ),
        ([8], {"unreadable": "8108"}),
    ],
)
def test_provisioning_information(content: Any, described: dict[str, Any]) -> None:
    """Known keys have names, the others stay under their number."""
    assert describe_provisioning(cbor2.dumps(content)) == described


@given(st.binary(max_size=300))
def test_any_provisioning_information_is_shown(content: bytes) -> None:
    """Nothing hangs on it: whatever it holds can be written, and nothing is raised."""
    assert json.dumps(dict(describe_provisioning(content)))


def test_unreadable_provisioning_information_refuses_nobody() -> None:
    """It is shown as it is, and provisioning stays what the names of the authorities say."""
    info = [(forge.PROVISIONING_INFO, b"\xff\xff")]
    for google, provisioning in (
        (forge.remote_google(info=False, intermediate={"extensions": info}), Provisioning.REMOTE),
        (forge.google(attester={"extensions": info}), None),
    ):
        claims = claimed(google)
        assert claims.fields["provisioningInfo"] == {"unreadable": "ffff"}
        assert claims.provisioning is provisioning


def test_a_factorys_key_does_not_pass_for_a_remotely_provisioned_one() -> None:
    """Whoever owns a leaked one writes the extension into a leaf: only Google's authorities say how it came."""
    google = forge.google()
    info = [(forge.PROVISIONING_INFO, b"\xa1\x01\x08")]
    described = (forge.KEY_DESCRIPTION, forge.key_description())
    leaf = forge.certify(
        forge.name(common_name="Android Keystore Key"),
        google.attester,
        extensions=[described, *info],
        ca=None,
        signs=False,
    )
    claims = claimed(google, leaf)
    assert claims.provisioning is None
    assert claims.device_key is None
    verdict = appraise_unverified(claims, forge.ANDROID_APP, STRICT, Circumstances(forge.NOW))
    assert Reason.POLICY_PROVISIONING in {refusal.reason for refusal in verdict.refusals}


# Coherence


def incoherent(
    *, versions: tuple[int, int] = (400, 400), certified: str = "TEE", **mutated: Any
) -> tuple[str, ...]:
    """Return in what a chain contradicts itself; everything else is as it should be."""
    google = forge.google()
    subject = forge.name(serial_number="unit", **({"title": certified} if certified else {}))
    google = replace(google, attester=forge.certify(subject, google.intermediate))
    levels = mutated.pop("levels", (1, 1))
    hardware = forge.hardware_tags(**mutated)
    description = forge.key_description(version=versions[0], levels=levels, hardware=hardware)
    if versions[0] != versions[1]:
        old = (
            forge.integer(versions[0]) + forge.integer(levels[0], 0x0A) + forge.integer(versions[0])
        )
        new = (
            forge.integer(versions[0]) + forge.integer(levels[0], 0x0A) + forge.integer(versions[1])
        )
        assert len(old) == len(new)
        description = description.replace(old, new, 1)
    return claimed(google, google.leaf(description)).incoherent


def number(value: int) -> bytes:
    """Return an INTEGER of a tag."""
    return forge.integer(value)


@pytest.mark.parametrize(
    ("mutated", "names"),
    [
        ({}, ()),
        ({"certified": ""}, ()),
        ({"certified": "StrongBox", "levels": (2, 2)}, ()),
        ({"certified": "TEE", "levels": (2, 2)}, ("security_name",)),
        ({"certified": "", "levels": (2, 2)}, ("security_name",)),
        ({"certified": "StrongBox"}, ("security_name",)),
        ({"versions": (3, 41)}, ()),
        ({"versions": (4, 41)}, ()),
        ({"versions": (2, 3)}, ()),
        ({"versions": (2, 4)}, ("versions",)),
        ({"versions": (3, 3)}, ("versions",)),
        ({"versions": (200, 300)}, ("versions",)),
        ({"versions": (600, 600)}, ()),
        ({"tag_705": number(150000)}, ("os_version",)),
        ({"tag_705": number(0)}, ()),
        ({"tag_705": None}, ()),
        ({"versions": (2, 3), "tag_705": number(140000)}, ()),
        ({"tag_718": number(20261005), "tag_719": number(202610)}, ()),
        ({"tag_718": number(20261105)}, ()),
        ({"tag_718": number(20261205)}, ("patches",)),
        ({"tag_719": number(20261205)}, ("patches",)),
        ({"tag_718": number(0)}, ()),
        ({"tag_718": number(20191105)}, ()),
        ({"tag_718": number(20261305)}, ("patches",)),
        ({"tag_718": number(2**62)}, ("patches",)),
        ({"tag_718": number(-5)}, ("patches",)),
        ({"tag_706": number(0), "tag_718": number(20261205)}, ()),
        (
            {"certified": "StrongBox", "versions": (100, 101), "tag_719": number(7)},
            ("security_name", "versions", "patches"),
        ),
    ],
)
def test_contradictions(mutated: dict[str, Any], names: tuple[str, ...]) -> None:
    """Names of certificates, versions, systems and patches that don't fit together, each by its name."""
    assert incoherent(**mutated) == names


@pytest.mark.skipif(not recorded.are_here(), reason="the recorded evidence isn't here")
def test_no_recorded_chain_contradicts_itself() -> None:
    """What is counted against forgers is counted against none of the genuine phones."""
    for row in recorded.android_chains():
        found = examine(row.evidence, row.expected, recorded.trust(), row.now)
        assert found.claims is not None
        assert found.claims.incoherent == (), row.id


# Bad input


def test_caps_hold_before_anything_is_read() -> None:
    """Counts and sizes are looked at first, so that thousands of certificates cost nothing."""
    google = forge.google()
    trust = forge.trust(google.anchor)
    genuine = google.evidence().chain
    for chain in (genuine * 1000, (b"\x30" * 33_000,), (genuine[0], b"\x00" * 32_768)):
        found = examine(AndroidKeyChain(tuple(chain)), EXPECTED, trust, forge.NOW)
        assert [each.reason for each in found.refusals] == [Reason.ATTESTATION_CHAIN_LENGTH]


@pytest.mark.parametrize(
    "mutated",
    [
        b"\x30\x82\x3f\x00" + b"\x30\x00" * 8064,
        b"\x30\x82\x3f\x00" + b"\x05\x00" * 8064,
        b"".join(b"\x30\x82" + size.to_bytes(2, "big") for size in range(15_996, 0, -4)),
        b"\x30\x84\xff\xff\xff\xff",
        b"\x30\x80" * 100,
    ],
)
def test_many_deep_and_huge_elements_are_malformed(mutated: bytes) -> None:
    """Elements by the thousand, within each other or side by side, and lengths that are lies."""
    google = forge.google()
    trust = forge.trust(google.anchor)
    for evidence in (
        AndroidKeyChain((mutated, *google.evidence().chain[1:])),
        google.evidence(google.leaf(mutated))
        if len(mutated) < 16_000
        else AndroidKeyChain((mutated,)),
    ):
        found = examine(evidence, EXPECTED, trust, forge.NOW)
        assert {each.reason for each in found.refusals} >= {Reason.EVIDENCE_MALFORMED}
        assert found.claims is None


@pytest.mark.parametrize("at", ["not_before", "not_after"])
@pytest.mark.parametrize("date", [b"991332250000Z", b"0000000000000", b"\xff" * 13])
def test_absurd_dates_of_an_issuer_are_malformed(at: str, date: bytes) -> None:
    """A date that isn't in the calendar is told; a leaf's is never looked at."""
    google = forge.remote_google()
    genuine = google.attester
    certificate = genuine.certificate
    moment = {
        "not_before": certificate.not_valid_before_utc,
        "not_after": certificate.not_valid_after_utc,
    }[at]
    written = moment.strftime("%y%m%d%H%M%SZ").encode()
    mutated = genuine.der.replace(written, date)
    assert mutated != genuine.der
    leaf, _, *above = google.evidence().chain
    trust = forge.trust(google.anchor)
    found = examine(AndroidKeyChain((leaf, mutated, *above)), EXPECTED, trust, forge.NOW)
    dates = {each.reason for each in found.steps[4].refusals}
    assert dates == {Reason.EVIDENCE_MALFORMED}
    odd_leaf = google.leaf(days=(-20000, 8000))
    assert judge(google, odd_leaf).refusals == ()


def test_certificates_of_another_kind_are_refused() -> None:
    """A chain for a web server or an Apple device ends at no anchor and describes no key."""
    apple = forge.apple()
    leaf = forge.certify(x509.Name([]), apple.intermediate)
    google = forge.google()
    found = examine(
        AndroidKeyChain((leaf.der, apple.intermediate.der, apple.root.der)),
        EXPECTED,
        forge.trust(google.anchor, apple.anchor),
        forge.NOW,
    )
    assert {each.reason for each in found.refusals} == {
        Reason.ATTESTATION_ANCHOR_UNKNOWN,
        Reason.ANDROID_KEY_DESCRIPTION_MISSING,
    }


def test_no_strangers_key_verifies_anything() -> None:
    """Under an unknown end only names are looked at; below a wrong signature nothing is verified."""
    stranger = forge.google()
    impostor = forge.Party(stranger.attester.certificate, forge.p256())
    leaf = forge.Google(stranger.root, stranger.intermediate, impostor).leaf()
    unknown = judge(stranger, leaf, forge.trust(forge.google().anchor))
    assert {each.reason for each in unknown.refusals} == {Reason.ATTESTATION_ANCHOR_UNKNOWN}
    assert not unknown.steps[1].checked
    known = judge(stranger, leaf)
    assert [each.reason for each in known.refusals] == [Reason.ATTESTATION_CHAIN_SIGNATURE]
    genuine = forge.google()
    chain = (*stranger.evidence(leaf).chain[:-1], genuine.root.der)
    grafted = examine(AndroidKeyChain(chain), EXPECTED, forge.trust(genuine.anchor), forge.NOW)
    # Two signatures are wrong: the one by the genuine root, and the leaf's, which nobody looks at.
    assert [each.reason for each in grafted.refusals] == [Reason.ATTESTATION_CHAIN_SIGNATURE]
    assert grafted.refusals[0].detail.startswith("certificate 2 ")
