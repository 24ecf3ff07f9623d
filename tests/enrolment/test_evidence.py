"""Let the registered formats and the policy judge what simulated phones send."""

import hashlib
from dataclasses import replace
from typing import Any

import pytest
from tests.enrolment.simulators import NOW, MovableClock, public_jwk

from watchword.adapters.anchors import AnchorSet
from watchword.attestation.interface import AndroidApp, AppleApp, AppRegistration, Trust
from watchword.enrolment.evidence import RegisteredFormats
from watchword.enrolment.interface import AppraisedEvidence
from watchword.lab import (
    PHONES,
    InstalledAndroidApp,
    InstalledApp,
    InstalledIosApp,
    LabAuthorities,
    Phone,
    PhoneSetup,
)
from watchword.ports import Instance
from watchword.reasons import Reason, RefusedError
from watchword.vocabulary import Level

AUTHORITIES = LabAuthorities.from_seed(bytes(range(32)))
DIGEST = bytes(range(32))
IOS = AppRegistration("clinic-ios", AppleApp("ABCDE12345", "com.example.clinic"))
ANDROID = AppRegistration(
    "clinic-android", AndroidApp("com.example.clinic", frozenset({DIGEST})), "100"
)
STATEMENT = b'{"purpose":"enrol"}'
BINDING = hashlib.sha256(STATEMENT).digest()


def verifier() -> RegisteredFormats:
    """Return the formats under the lab's anchors."""
    return RegisteredFormats(Trust(AnchorSet(AUTHORITIES.anchors())))


def phone(kind: str) -> Phone:
    """Return a phone with fresh keys."""
    installed: InstalledApp = InstalledIosApp("ABCDE12345", "com.example.clinic", "7.2")
    if PHONES[kind].platform.value == "android":
        installed = InstalledAndroidApp("com.example.clinic", (DIGEST,), 120)
    made = PHONES[kind].build(installed, PhoneSetup(AUTHORITIES, MovableClock(), "phone"))
    made.create_keys()
    return made


def app_of(kind: str) -> AppRegistration:
    """Return the registration that a kind of phone claims to run."""
    return ANDROID if PHONES[kind].platform.value == "android" else IOS


def appraised(kind: str, evidence: dict[str, Any] | None = None) -> AppraisedEvidence:
    """Return what the verifier says of a phone's evidence."""
    return verifier().appraise(evidence or phone(kind).attest(BINDING), BINDING, app_of(kind), NOW)


def instance_of(kind: str, proven: AppraisedEvidence) -> Instance:
    """Return the instance that such evidence enrolled."""
    return Instance(
        id="i",
        app=app_of(kind).id,
        app_version=proven.app_version,
        platform=PHONES[kind].platform.value,
        format=proven.format,
        level=proven.level,
        attested_key=proven.attested_key,
        proof_jwk=public_jwk(),
        seal_jwk=public_jwk(),
        audiences=("a",),
        enrolled_at=NOW,
        renewed_at=NOW,
    )


@pytest.mark.parametrize(
    ("kind", "format_name", "version"),
    [("genuine-iphone", "app-attest", None), ("genuine-android", "android-key", "120")],
)
def test_genuine_phone_is_hardware(kind: str, format_name: str, version: str | None) -> None:
    """A genuine phone's evidence gives its key and level; a version where it states one."""
    proven = appraised(kind)
    assert (proven.format, proven.level, proven.counter) == (format_name, Level.HARDWARE, 0)
    if version is not None:
        assert proven.app_version == version


@pytest.mark.parametrize(
    "kind", ["unlocked-android", "emulator", "repackaged-android", "wrong-app-iphone"]
)
def test_bad_phone_is_refused(kind: str) -> None:
    """Evidence of a phone that isn't genuine, or of another app, doesn't enrol."""
    with pytest.raises(RefusedError) as caught:
        appraised(kind)
    assert caught.value.reason.public.slug == "evidence-refused"


@pytest.mark.parametrize("kind", ["genuine-iphone", "genuine-android"])
def test_evidence_of_another_statement_is_refused(kind: str) -> None:
    """Recorded evidence doesn't fit another statement."""
    with pytest.raises(RefusedError) as caught:
        appraised(kind, phone(kind).attest(bytes(32)))
    assert Reason.ATTESTATION_BINDING in {each.reason for each in caught.value.refusals}


def test_old_app_is_refused() -> None:
    """An app below the registered minimum isn't enrolled."""
    strict = replace(ANDROID, minimum_version="121")
    with pytest.raises(RefusedError) as caught:
        verifier().appraise(phone("genuine-android").attest(BINDING), BINDING, strict, NOW)
    assert caught.value.reason is Reason.POLICY_APP_VERSION


def test_format_must_fit_the_app() -> None:
    """An Android chain doesn't enrol an iOS app, nor the other way round."""
    for kind, app in (("genuine-android", IOS), ("genuine-iphone", ANDROID)):
        with pytest.raises(RefusedError) as caught:
            verifier().appraise(phone(kind).attest(BINDING), BINDING, app, NOW)
        assert caught.value.reason is Reason.EVIDENCE_PLATFORM


@pytest.mark.parametrize("name", [None, "play-integrity", 7, [], {}])
def test_unknown_format_is_refused(name: object) -> None:
    """A format that isn't registered has its own reason."""
    with pytest.raises(RefusedError) as caught:
        verifier().appraise({"format": name}, BINDING, IOS, NOW)
    assert caught.value.reason is Reason.EVIDENCE_FORMAT_UNKNOWN


@pytest.mark.parametrize("kind", ["genuine-iphone", "genuine-android"])
def test_renewal_is_verified_with_the_enrolled_key(kind: str) -> None:
    """The phone that enrolled renews; over another statement, or with other keys, it doesn't."""
    device = phone(kind)
    instance = instance_of(kind, appraised(kind, device.attest(BINDING)))
    evidence = device.renew(STATEMENT)
    renewal = verifier().appraise_renewal(evidence, STATEMENT, instance, app_of(kind))
    assert renewal.counter == (1 if kind == "genuine-iphone" else None)
    with pytest.raises(RefusedError):
        verifier().appraise_renewal(evidence, STATEMENT + b" ", instance, app_of(kind))
    device.create_keys()
    with pytest.raises(RefusedError):
        verifier().appraise_renewal(device.renew(STATEMENT), STATEMENT, instance, app_of(kind))


def test_renewal_keeps_the_format_of_the_enrolment() -> None:
    """An instance that enrolled with one format doesn't renew with another."""
    kind = "genuine-android"
    device = phone(kind)
    instance = replace(instance_of(kind, appraised(kind, device.attest(BINDING))), format="other")
    with pytest.raises(RefusedError) as caught:
        verifier().appraise_renewal(device.renew(STATEMENT), STATEMENT, instance, ANDROID)
    assert caught.value.reason is Reason.EVIDENCE_PLATFORM


def test_version_of_a_renewal_is_judged_where_it_is_stated() -> None:
    """Android's renewal states no version, so that a raised minimum waits for a new enrolment."""
    kind = "genuine-android"
    device = phone(kind)
    instance = instance_of(kind, appraised(kind, device.attest(BINDING)))
    strict = replace(ANDROID, minimum_version="999")
    renewal = verifier().appraise_renewal(device.renew(STATEMENT), STATEMENT, instance, strict)
    assert renewal.app_version is None


def test_old_version_that_a_renewal_states_is_refused() -> None:
    """An iPhone states its version each time: below a raised minimum it gets no more tokens."""
    kind = "genuine-iphone"
    device = phone(kind)
    instance = instance_of(kind, appraised(kind, device.attest(BINDING)))
    allowed = replace(IOS, minimum_version="7.2")
    renewal = verifier().appraise_renewal(device.renew(STATEMENT), STATEMENT, instance, allowed)
    assert renewal.app_version == "7.2"
    strict = replace(IOS, minimum_version="7.3")
    with pytest.raises(RefusedError) as caught:
        verifier().appraise_renewal(device.renew(STATEMENT), STATEMENT, instance, strict)
    assert caught.value.reason is Reason.POLICY_APP_VERSION
