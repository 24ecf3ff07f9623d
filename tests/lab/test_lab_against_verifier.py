"""Show the verifier every phone of the lab: each is judged as what it is, for its own reason."""

import hashlib
import json
from datetime import timedelta

import pytest

from watchword.adapters.anchors import AnchorSet, read_lab_anchors
from watchword.attestation.interface import (
    AndroidApp,
    AppleApp,
    AppRegistration,
    Examination,
    Expected,
    Trust,
)
from watchword.attestation.registry import find_format
from watchword.attestation.service import examine, verify, verify_renewal
from watchword.lab import (
    PHONES,
    InstalledAndroidApp,
    InstalledIosApp,
    LabAuthorities,
    Phone,
    PhoneSetup,
)
from watchword.policy.service import appraise, appraise_unverified
from watchword.reasons import Reason, RefusedError
from watchword.vocabulary import Level, Platform

BINDING = hashlib.sha256(b"statement").digest()
GENUINE = ["genuine-iphone", "genuine-android"]

# What must be among the reasons of each kind, and nothing else unless it is named here.
REASONS = {
    "unlocked-android": {Reason.POLICY_BOOTLOADER_UNLOCKED, Reason.POLICY_BOOT_UNVERIFIED},
    "emulator": {
        Reason.ATTESTATION_ANCHOR_SOFTWARE,
        Reason.POLICY_SECURITY_LEVEL,
        Reason.POLICY_ROOT_OF_TRUST_MISSING,
        Reason.POLICY_KEY_ORIGIN,
        Reason.POLICY_KEY_PURPOSE,
    },
    "repackaged-android": {Reason.POLICY_SIGNING_DIGEST},
    "wrong-app-iphone": {Reason.POLICY_APP_ID},
}
PRINCIPAL = {
    "unlocked-android": Reason.POLICY_BOOTLOADER_UNLOCKED,
    "emulator": Reason.ATTESTATION_ANCHOR_SOFTWARE,
    "repackaged-android": Reason.POLICY_SIGNING_DIGEST,
    "wrong-app-iphone": Reason.POLICY_APP_ID,
}


@pytest.fixture
def trust(authorities: LabAuthorities) -> Trust:
    """Return trust in the lab, by way of the document that it writes."""
    document = json.dumps(authorities.anchors_document()).encode()
    return Trust(AnchorSet(read_lab_anchors(document, "lab")))


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


def examined(
    phone: Phone, app: AppRegistration, trust: Trust, setup: PhoneSetup, binding: bytes = BINDING
) -> Examination:
    """Return what the verifier finds in a phone's evidence."""
    evidence = phone.attest(BINDING)
    attestation = find_format(evidence["format"]).read_attestation(evidence)
    return examine(attestation, Expected(binding, app), trust, setup.clock.now())


@pytest.mark.parametrize("kind", GENUINE)
def test_genuine_phones_reach_hardware(
    phones: dict[str, Phone],
    registrations: dict[Platform, AppRegistration],
    trust: Trust,
    setup: PhoneSetup,
    kind: str,
) -> None:
    """Evidence verifies, the policy has nothing against it, and the version is stated."""
    app = registrations[PHONES[kind].platform]
    evidence = phones[kind].attest(BINDING)
    attestation = find_format(evidence["format"]).read_attestation(evidence)
    verified = verify(attestation, Expected(BINDING, app), trust, setup.clock.now())
    verdict = appraise(verified, app)
    assert verdict.refusals == ()
    assert verdict.level is Level.HARDWARE
    # Apple's own layout since iOS 27; no other deviation was needed.
    lenient = ("extension_data_without_flag",) if kind == "genuine-iphone" else ()
    assert verified.claims.leniencies == lenient
    assert verified.claims.app is not None
    assert list(verified.claims.app.versions.values()) == [app.minimum_version]


@pytest.mark.parametrize("kind", sorted(set(PHONES) - set(GENUINE)))
def test_each_bad_phone_is_refused_for_what_it_is(
    phones: dict[str, Phone],
    registrations: dict[Platform, AppRegistration],
    trust: Trust,
    setup: PhoneSetup,
    kind: str,
) -> None:
    """The reason that gives the phone away is there, and none that has nothing to do with it."""
    app = registrations[PHONES[kind].platform]
    examination = examined(phones[kind], app, trust, setup)
    assert examination.claims is not None
    verdict = appraise_unverified(examination.claims, app)
    found = {refusal.reason for refusal in (*examination.refusals, *verdict.refusals)}
    assert PRINCIPAL[kind] in found
    assert found <= REASONS[kind]


@pytest.mark.parametrize("kind", GENUINE)
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
    assert [refusal.reason for refusal in examination.refusals] == [Reason.ATTESTATION_BINDING]


@pytest.mark.parametrize("kind", GENUINE)
def test_another_lab_means_nothing_here(
    phones: dict[str, Phone],
    registrations: dict[Platform, AppRegistration],
    setup: PhoneSetup,
    kind: str,
) -> None:
    """Names are alike in all labs; only keys count."""
    app = registrations[PHONES[kind].platform]
    trust = Trust(AnchorSet(LabAuthorities.from_seed(b"another seed of a lab").anchors()))
    examination = examined(phones[kind], app, trust, setup)
    reasons = {refusal.reason for refusal in examination.refusals}
    assert Reason.ATTESTATION_ANCHOR_UNKNOWN in reasons or (
        Reason.ATTESTATION_CHAIN_SIGNATURE in reasons
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
    assert caught.value.reason is Reason.ATTESTATION_CERTIFICATE_EXPIRED


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
    counters = []
    for statement in (b"one", b"two"):
        evidence = phone.renew(statement)
        renewal = find_format(evidence["format"]).read_renewal(evidence)
        counters.append(verify_renewal(renewal, statement, claims.public_key, app).counter)
        with pytest.raises(RefusedError):
            verify_renewal(renewal, b"other", claims.public_key, app)
    assert counters == ([1, 2] if PHONES[kind].platform is Platform.IOS else [None, None])
