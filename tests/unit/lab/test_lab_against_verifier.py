"""Show the verifier every phone of the lab: each is judged as what it is, for its own reasons."""

import hashlib
import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from watchword.adapters.anchors import AnchorSet, read_lab_anchors
from watchword.adapters.revocation import StatusList, read_status_list
from watchword.attestation.interface import (
    AndroidApp,
    AppleApp,
    AppRegistration,
    Examination,
    Expected,
    PlayKeys,
    Trust,
)
from watchword.attestation.registry import examine, find_format, verify, verify_renewal
from watchword.lab import (
    PHONES,
    InstalledAndroidApp,
    InstalledIosApp,
    LabAuthorities,
    Phone,
    PhoneSetup,
)
from watchword.lab.google_play import GooglePlay
from watchword.lab.phones.android import OTHER_SYSTEM_BOOT_KEY
from watchword.lab.phones.kinds import ANDROID_PHONES
from watchword.lab.status_list import LabStatusList, Status
from watchword.policy.interface import AllOf, Circumstances, Policy, Verdict
from watchword.policy.registry import BALANCED, INCLUSIVE, PRESETS, STRICT
from watchword.policy.rules.attest_key import AttestKey
from watchword.policy.rules.hardware_security import HardwareSecurity
from watchword.policy.rules.suspension import Suspension
from watchword.policy.rules.verified_boot import VerifiedBoot
from watchword.policy.service import appraise, appraise_unverified
from watchword.reasons import Reason, RefusedError
from watchword.vocabulary import Level, Platform

BINDING = hashlib.sha256(b"statement").digest()
GENUINE = ["genuine-iphone", "genuine-android"]
ACCEPTED = sorted(kind for kind, model in PHONES.items() if not model.expected.reasons)
REFUSED = sorted(kind for kind, model in PHONES.items() if model.expected.reasons)

# What policy `strict` holds against phones that `balanced` lets pass; every other one it accepts.
STRICT_REFUSES = {
    "old-patch-android": {Reason.POLICY_PATCH_LEVEL, Reason.POLICY_PROVISIONING},
    # Neither version states how old the vendor's part is.
    "v1-android": {Reason.POLICY_PATCH_LEVEL, Reason.POLICY_PROVISIONING},
    "v2-android": {Reason.POLICY_PATCH_LEVEL, Reason.POLICY_PROVISIONING},
    "huawei-android": {Reason.POLICY_PATCH_LEVEL, Reason.POLICY_PROVISIONING},
    "untitled-issuer-android": {Reason.POLICY_PATCH_LEVEL, Reason.POLICY_PROVISIONING},
    "unmarked-ca-android": {Reason.POLICY_PATCH_LEVEL, Reason.POLICY_PROVISIONING},
}

# The steps that refuse an Android phone whose evidence isn't true; all others pass every step.
STEPS = {
    **{kind: [] for kind in ANDROID_PHONES},
    "emulator": ["anchor"],
    "software-attestation-android": ["anchor"],
    "expired-rkp-android": ["dates"],
    "revoked-android": ["revocation"],
    "sub-keybox-android": ["authorities"],
    "rkp-sub-keybox-android": ["authorities"],
    "foreign-attest-key-android": ["authorities", "placement"],
    "forged-extension-android": ["authorities", "placement"],
    "forged-by-attest-key-android": ["authorities", "placement"],
    "moved-extension-android": ["authorities", "placement", "key description"],
}


@pytest.fixture
def trust(authorities: LabAuthorities, android_app: InstalledAndroidApp) -> Trust:
    """Return trust in the lab, by way of the documents that it writes."""
    anchors = json.dumps(authorities.anchors_document()).encode()
    revoked = json.dumps(LabStatusList.first_of(authorities).document()).encode()
    google = GooglePlay(authorities.seed)
    return Trust(
        AnchorSet(read_lab_anchors(anchors, "lab")),
        StatusList(read_status_list(revoked, "lab")),
        play_keys={android_app.package: PlayKeys(google.decryption_key, google.verification_key)},
    )


@pytest.fixture
def registrations(
    ios_app: InstalledIosApp, android_app: InstalledAndroidApp
) -> dict[Platform, AppRegistration]:
    """Return the deployment's apps, for which the phones' are genuine."""
    return {
        Platform.IOS: AppRegistration(
            "ios", AppleApp(ios_app.team_id, ios_app.bundle_id), ios_app.version
        ),
        Platform.ANDROID: AppRegistration(
            "android",
            AndroidApp(android_app.package, frozenset(android_app.signing_digests)),
            str(android_app.version_code),
        ),
    }


@pytest.fixture
def phones(
    setup: PhoneSetup, ios_app: InstalledIosApp, android_app: InstalledAndroidApp
) -> dict[str, Phone]:
    """Return one phone of each kind."""
    return {
        kind: model.build(ios_app if model.platform is Platform.IOS else android_app, setup)
        for kind, model in PHONES.items()
    }


@pytest.fixture
def circumstances(setup: PhoneSetup) -> Circumstances:
    """Return an ordinary moment: devices are counted, and this one is new."""
    return Circumstances(setup.clock.now(), enrolled_today=0)


def examined(
    phone: Phone, app: AppRegistration, trust: Trust, setup: PhoneSetup, binding: bytes = BINDING
) -> Examination:
    """Return what the verifier finds in a phone's evidence."""
    evidence = phone.attest(BINDING)
    attestation = find_format(evidence["format"]).read_attestation(evidence)
    return examine(attestation, Expected(binding, app), trust, setup.clock.now())


def judged(
    examination: Examination, app: AppRegistration, policy: Policy, circumstances: Circumstances
) -> tuple[Level, set[Reason]]:
    """Return the level, and everything that verification and policy hold against a phone."""
    if examination.claims is None:
        verdict = Verdict(Level.NONE)
    else:
        verdict = appraise_unverified(examination.claims, app, policy, circumstances)
    reasons = {refusal.reason for refusal in (*examination.refusals, *verdict.refusals)}
    return (Level.NONE if examination.refusals else verdict.level), reasons


@pytest.mark.parametrize("kind", sorted(PHONES))
def test_each_phone_is_judged_as_what_it_is(
    phones: dict[str, Phone],
    registrations: dict[Platform, AppRegistration],
    trust: Trust,
    setup: PhoneSetup,
    circumstances: Circumstances,
    kind: str,
) -> None:
    """Under policy `balanced`: its level, exactly its reasons, whoever finds them."""
    model, app = PHONES[kind], registrations[PHONES[kind].platform]
    examination = examined(phones[kind], app, trust, setup)
    level, reasons = judged(examination, app, BALANCED, circumstances)
    assert reasons == set(model.expected.reasons)
    assert level is model.expected.level


@pytest.mark.parametrize("kind", ACCEPTED)
def test_genuine_phones_get_through(
    phones: dict[str, Phone],
    registrations: dict[Platform, AppRegistration],
    trust: Trust,
    setup: PhoneSetup,
    circumstances: Circumstances,
    kind: str,
) -> None:
    """The strict path accepts them too; every leniency that they need is told, and no other."""
    model, app = PHONES[kind], registrations[PHONES[kind].platform]
    evidence = phones[kind].attest(BINDING)
    attestation = find_format(evidence["format"]).read_attestation(evidence)
    verified = verify(attestation, Expected(BINDING, app), trust, setup.clock.now())
    assert appraise(verified, app, BALANCED, circumstances).level is model.expected.level
    assert sorted(verified.claims.leniencies) == sorted(model.expected.leniencies)


@pytest.mark.parametrize(("kind", "titles"), sorted(STEPS.items()))
def test_the_step_that_finds_it_is_the_one_that_looks_for_it(
    phones: dict[str, Phone],
    registrations: dict[Platform, AppRegistration],
    trust: Trust,
    setup: PhoneSetup,
    kind: str,
    titles: list[str],
) -> None:
    """Whoever reads the steps of a verification sees the fault where it belongs."""
    examination = examined(phones[kind], registrations[Platform.ANDROID], trust, setup)
    assert [step.title for step in examination.steps if step.refusals] == titles


@pytest.mark.parametrize("kind", sorted(set(ACCEPTED) & set(ANDROID_PHONES)))
def test_genuine_phones_contradict_nothing(
    phones: dict[str, Phone],
    registrations: dict[Platform, AppRegistration],
    trust: Trust,
    setup: PhoneSetup,
    kind: str,
) -> None:
    """Only the leaked key that says StrongBox does."""
    claims = examined(phones[kind], registrations[Platform.ANDROID], trust, setup).claims
    assert claims is not None
    expected = ("security_name",) if kind == "claimed-strongbox-android" else ()
    assert claims.incoherent == expected


@pytest.mark.parametrize("kind", REFUSED)
def test_bad_phones_are_refused_by_every_policy(
    phones: dict[str, Phone],
    registrations: dict[Platform, AppRegistration],
    trust: Trust,
    setup: PhoneSetup,
    circumstances: Circumstances,
    kind: str,
) -> None:
    """No ready-made policy lets one in, but the one that lets other systems in at a lower level."""
    app = registrations[PHONES[kind].platform]
    examination = examined(phones[kind], app, trust, setup)
    levels = {
        name: judged(examination, app, policy, circumstances)[0] for name, policy in PRESETS.items()
    }
    lowest = Level.SOFTWARE if kind in {"grapheneos-android", *SIDELOADED} else Level.NONE
    assert levels == {"strict": Level.NONE, "balanced": Level.NONE, "inclusive": lowest}


SIDELOADED = {"play-sideloaded"}
"""Kinds whose app Google Play doesn't know; `inclusive` takes its signer's word."""


@pytest.mark.parametrize("kind", sorted(set(ACCEPTED) & set(ANDROID_PHONES)))
def test_the_strict_policy_wants_fresh_keys_and_patches(
    phones: dict[str, Phone],
    registrations: dict[Platform, AppRegistration],
    trust: Trust,
    setup: PhoneSetup,
    circumstances: Circumstances,
    kind: str,
) -> None:
    """Of the genuine ones only remotely provisioned phones with this year's patches get through."""
    app = registrations[Platform.ANDROID]
    _, reasons = judged(examined(phones[kind], app, trust, setup), app, STRICT, circumstances)
    remote = "rkp" in kind or kind == "broker-android"
    assert reasons == STRICT_REFUSES.get(kind, set() if remote else {Reason.POLICY_PROVISIONING})


def test_the_inclusive_policy_takes_old_patches_at_a_lower_level(
    phones: dict[str, Phone],
    registrations: dict[Platform, AppRegistration],
    trust: Trust,
    setup: PhoneSetup,
    circumstances: Circumstances,
) -> None:
    """A phone of two years ago isn't locked out, and isn't trusted like a new one."""
    app = registrations[Platform.ANDROID]
    examination = examined(phones["old-patch-android"], app, trust, setup)
    level, reasons = judged(examination, app, INCLUSIVE, circumstances)
    assert (level, reasons) == (Level.SOFTWARE, set())


@pytest.mark.parametrize(
    ("kind", "rule"),
    [
        ("grapheneos-android", VerifiedBoot(boot_keys=frozenset({OTHER_SYSTEM_BOOT_KEY}))),
        ("attest-key-android", AttestKey(allowed=True)),
        ("suspended-android", Suspension(allowed=True)),
    ],
)
def test_a_policy_can_let_the_borderline_ones_in(
    phones: dict[str, Phone],
    registrations: dict[Platform, AppRegistration],
    trust: Trust,
    setup: PhoneSetup,
    circumstances: Circumstances,
    kind: str,
    rule: VerifiedBoot | AttestKey | Suspension,
) -> None:
    """Their evidence is true, so that one rule of one's own is enough; its opposite refuses them."""
    app = registrations[Platform.ANDROID]
    examination = examined(phones[kind], app, trust, setup)
    assert examination.refusals == ()
    assert examination.claims is not None
    for one, lets_in in ((rule, True), (type(rule)(), False)):
        finding = AllOf((HardwareSecurity(), one)).judge(examination.claims, app, circumstances)
        assert (not finding.refusals) is lets_in


def test_every_leniency_of_a_real_device_is_on_a_phone() -> None:
    """What is let pass on purpose can be tried; both platforms have such a phone."""
    shown = {name for kind in ACCEPTED for name in PHONES[kind].expected.leniencies}
    assert shown >= {
        "attestation_certificate_not_ca",
        "authorization_list_unsorted",
        "boolean_not_canonical",
        "extension_data_without_flag",
        "factory_certificate_outside_validity",
    }


@pytest.mark.parametrize("kind", ACCEPTED)
def test_evidence_for_another_statement_is_refused(
    phones: dict[str, Phone],
    registrations: dict[Platform, AppRegistration],
    trust: Trust,
    setup: PhoneSetup,
    kind: str,
) -> None:
    """A binding of one byte's difference, and nothing but the binding, is what is wrong."""
    app = registrations[PHONES[kind].platform]
    other = bytes([BINDING[0] ^ 1]) + BINDING[1:]
    examination = examined(phones[kind], app, trust, setup, other)
    assert Reason.ATTESTATION_BINDING in {refusal.reason for refusal in examination.refusals}
    assert {refusal.reason for refusal in examination.refusals} <= {
        Reason.ATTESTATION_BINDING,
        Reason.APP_ATTEST_RECEIPT,
    }


@pytest.mark.parametrize("kind", sorted(PHONES))
def test_another_lab_means_nothing_here(
    phones: dict[str, Phone],
    registrations: dict[Platform, AppRegistration],
    setup: PhoneSetup,
    android_app: InstalledAndroidApp,
    kind: str,
) -> None:
    """Names are alike in all labs; only keys count."""
    app = registrations[PHONES[kind].platform]
    other = LabAuthorities.from_seed(b"another seed of a lab")
    google = GooglePlay(other.seed)
    keys = PlayKeys(google.decryption_key, google.verification_key)
    trust = Trust(AnchorSet(other.anchors()), play_keys={android_app.package: keys})
    examination = examined(phones[kind], app, trust, setup)
    reasons = {refusal.reason for refusal in examination.refusals}
    assert reasons & {
        Reason.ATTESTATION_ANCHOR_UNKNOWN,
        Reason.ATTESTATION_CHAIN_SIGNATURE,
        Reason.PLAY_DECRYPTION,
    }


@pytest.mark.parametrize(
    ("serial_of", "reason"),
    [
        ("revoked-android", Reason.ATTESTATION_REVOKED),
        ("genuine-android", Reason.ATTESTATION_REVOKED),
        ("rkp-android", Reason.ATTESTATION_REVOKED),
    ],
)
def test_a_revocation_hits_the_phones_of_its_certificate_and_no_others(
    phones: dict[str, Phone],
    registrations: dict[Platform, AppRegistration],
    trust: Trust,
    setup: PhoneSetup,
    android_app: InstalledAndroidApp,
    serial_of: str,
    reason: Reason,
) -> None:
    """The list is in hex; a restored certificate is trusted again."""
    app = registrations[Platform.ANDROID]
    serial = PHONES[serial_of].build(android_app, setup).attestation_serial  # type: ignore[attr-defined]
    revoked = LabStatusList().with_status(f"00{serial.upper()}", Status.REVOKED)
    for status_list, hit in ((revoked, True), (revoked.with_status(serial, None), False)):
        document = json.dumps(status_list.document()).encode()
        asking = Trust(trust.anchors, StatusList(read_status_list(document, "lab")))
        found = {
            kind: {
                refusal.reason for refusal in examined(phones[kind], app, asking, setup).refusals
            }
            for kind in ("revoked-android", "genuine-android", "rkp-android", "strongbox-android")
        }
        assert {kind for kind, reasons in found.items() if reasons == {reason}} == (
            {serial_of} if hit else set()
        )


def test_an_app_attest_leaf_has_its_time(
    phones: dict[str, Phone],
    registrations: dict[Platform, AppRegistration],
    trust: Trust,
    setup: PhoneSetup,
) -> None:
    """Evidence that was kept for a week is refused for its age."""
    app = registrations[Platform.IOS]
    evidence = phones["genuine-iphone"].attest(BINDING)
    attestation = find_format("app-attest").read_attestation(evidence)
    later = setup.clock.now() + timedelta(days=7)
    with pytest.raises(RefusedError) as caught:
        verify(attestation, Expected(BINDING, app), trust, later)
    reasons = {refusal.reason for refusal in caught.value.refusals}
    assert Reason.ATTESTATION_CERTIFICATE_EXPIRED in reasons


@pytest.mark.parametrize(
    ("kind", "days", "accepted"),
    [
        ("rkp-android", 6, True),
        ("rkp-android", 60, False),
        ("genuine-android", 365, True),
        ("expired-factory-android", 365, True),
    ],
)
def test_android_evidence_lives_as_long_as_its_intermediates(
    phones: dict[str, Phone],
    registrations: dict[Platform, AppRegistration],
    trust: Trust,
    setup: PhoneSetup,
    kind: str,
    days: int,
    accepted: bool,
) -> None:
    """Remotely provisioned chains end within weeks; those from a factory never do."""
    evidence = phones[kind].attest(BINDING)
    attestation = find_format("android-key").read_attestation(evidence)
    later = setup.clock.now() + timedelta(days=days)
    expected = Expected(BINDING, registrations[Platform.ANDROID])
    reasons = {refusal.reason for refusal in examine(attestation, expected, trust, later).refusals}
    assert reasons == (set() if accepted else {Reason.ATTESTATION_CERTIFICATE_EXPIRED})


@pytest.mark.parametrize("kind", GENUINE)
def test_renewals_verify_under_the_attested_key(
    phones: dict[str, Phone],
    registrations: dict[Platform, AppRegistration],
    trust: Trust,
    setup: PhoneSetup,
    kind: str,
) -> None:
    """Counters go up where there are any; another statement doesn't verify."""
    app, phone = registrations[PHONES[kind].platform], phones[kind]
    claims = examined(phone, app, trust, setup).claims
    assert claims is not None
    assert claims.public_key is not None
    counters = []
    for statement in (b"one", b"two"):
        evidence = phone.renew(statement)
        renewal = find_format(evidence["format"]).read_renewal(evidence)
        counters.append(verify_renewal(renewal, statement, claims.public_key, app).counter)
        with pytest.raises(RefusedError):
            verify_renewal(renewal, b"other", claims.public_key, app)
    assert counters == ([1, 2] if PHONES[kind].platform is Platform.IOS else [None, None])


def test_a_broker_is_one_device_and_other_phones_are_not(
    registrations: dict[Platform, AppRegistration],
    trust: Trust,
    setup: PhoneSetup,
    android_app: InstalledAndroidApp,
) -> None:
    """Its instances share the device key by which a policy counts them; each with another key."""
    found: dict[str, set[bytes | None]] = {}
    for kind in ("broker-android", "rkp-android", "genuine-android"):
        found[kind] = set()
        for name in ("one", "two"):
            phone = PHONES[kind].build(android_app, replace(setup, name=name))
            for _ in range(2):
                phone.create_keys()
                app = registrations[Platform.ANDROID]
                claims = examined(phone, app, trust, setup).claims
                assert claims is not None
                found[kind].add(claims.device_key)
    assert {kind: len(keys) for kind, keys in found.items()} == {
        "broker-android": 1,
        "rkp-android": 2,
        "genuine-android": 1,
    }
    assert found["genuine-android"] == {None}
    assert None not in found["broker-android"] | found["rkp-android"]


def test_the_page_says_what_is_expected() -> None:
    """docs/lab.md has each Android kind with its reasons, or its level and what is let pass."""
    page = (Path(__file__).parents[3] / "docs" / "lab.md").read_text(encoding="utf-8")
    rows = {line.split("`")[1]: line for line in page.splitlines() if line.startswith("| `")}
    for kind, model in ANDROID_PHONES.items():
        expected = model.expected
        for said in (*(reason.code for reason in expected.reasons), *expected.leniencies):
            assert f"`{said}`" in rows[kind], kind
        assert ("accepted" in rows[kind]) is not bool(expected.reasons), kind
        assert model.summary in rows[kind], kind
    assert OTHER_SYSTEM_BOOT_KEY.hex() in page
