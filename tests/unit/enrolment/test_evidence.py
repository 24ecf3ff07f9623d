"""Let the registered formats and the policy judge what simulated phones send."""

import asyncio
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from tests.unit.attestation.own_format import EchoFormat
from tests.unit.enrolment.simulators import NOW, MovableClock, public_jwk, public_spki

from watchword.adapters.anchors import AnchorSet
from watchword.attestation.claims import (
    AppleClaims,
    KeySecurity,
    PatchLevels,
    PlayVerdicts,
    UnverifiedClaims,
)
from watchword.attestation.interface import (
    AndroidApp,
    AppleApp,
    AppRegistration,
    PlayIntegrityPayload,
    PlayKeys,
    Trust,
)
from watchword.attestation.registry import FormatNameError
from watchword.encoding import base64url
from watchword.enrolment.evidence import (
    QUESTIONS_A_MINUTE,
    FormatEvidenceVerifier,
    stated_platform,
)
from watchword.enrolment.interface import Appraisal, AppraisedEvidence, AppraisedRenewal, Statement
from watchword.lab import (
    PHONES,
    InstalledAndroidApp,
    InstalledApp,
    InstalledIosApp,
    LabAuthorities,
    Phone,
    PhoneSetup,
)
from watchword.lab.google_play import GooglePlay
from watchword.lab.phones.play import PlayPhone
from watchword.policy.interface import AllOf, Claim, Policy, Signals, leaves_of
from watchword.policy.registry import BALANCED
from watchword.policy.rules.app_identity import AppIdentity
from watchword.policy.rules.device_integrity import DeviceIntegrity
from watchword.policy.rules.hardware_security import HardwareSecurity
from watchword.policy.rules.key_origin import KeyOrigin
from watchword.policy.rules.provider_verdict import ProviderVerdict
from watchword.policy.rules.serial_fan_out import SerialFanOut
from watchword.ports import EnrolledCounts, Instance
from watchword.reasons import Reason, RefusedError, UnavailableError
from watchword.vocabulary import ApplePlatform, Distribution, Level, Platform, Purpose

AUTHORITIES = LabAuthorities.from_seed(bytes(range(32)))
GOOGLE = GooglePlay(AUTHORITIES.seed)
DIGEST = bytes(range(32))
PACKAGE = "com.example.clinic"
IOS = AppRegistration("clinic-ios", AppleApp("ABCDE12345", PACKAGE))
ANDROID = AppRegistration("clinic-android", AndroidApp(PACKAGE, frozenset({DIGEST})), "100")
KEYS = {PACKAGE: PlayKeys(GOOGLE.decryption_key, GOOGLE.verification_key)}
RAW = b'{"purpose":"enrol"}'
ATTESTING = ["genuine-iphone", "genuine-android"]
GENUINE = [*ATTESTING, "play-phone", "play-classic", "play-strong"]


@dataclass
class CountedDevices:
    """Know how many instances each device and certificate enrolled, and what was asked."""

    count: int = 0
    asked: list[tuple[str, bytes | None, str | None, datetime]] = field(default_factory=list)

    async def count_enrolled(
        self, app: str, device_key: bytes | None, attester_serial: str | None, since: datetime
    ) -> EnrolledCounts:
        """See the port."""
        self.asked.append((app, device_key, attester_serial, since))
        return EnrolledCounts(
            None if device_key is None else self.count,
            None if attester_serial is None else self.count,
        )


@dataclass
class LabDecoder:
    """Decode as Google does; count how often it was asked."""

    asked: list[str] = field(default_factory=list)
    away: int = 0
    """How many of the next questions it doesn't answer."""

    async def decode(self, package: str, token: bytes) -> bytes:
        """See the port."""
        self.asked.append(package)
        if self.away:
            self.away -= 1
            raise UnavailableError(Reason.VENDOR_UNAVAILABLE, "out of order")
        payload = GOOGLE.open(token.decode())
        if payload is None:
            raise RefusedError.because(Reason.PLAY_TOKEN)
        return json.dumps(payload).encode()


@dataclass
class KeptAppraisals:
    """Keep what is recorded."""

    kept: list[tuple[Appraisal, str | None]] = field(default_factory=list)

    def record(self, appraisal: Appraisal, instance_id: str | None) -> None:
        """See the port."""
        self.kept.append((appraisal, instance_id))


def verifier(policy: Policy = BALANCED, **changes: Any) -> FormatEvidenceVerifier:
    """Return the formats under the lab's anchors and keys."""
    trust = Trust(AnchorSet(AUTHORITIES.anchors()), play_keys=changes.pop("play_keys", KEYS))
    return FormatEvidenceVerifier(
        trust, policy, changes.pop("history", CountedDevices()), **changes
    )


def statement(
    raw: bytes = RAW, proof_jwk: Mapping[str, str] | None = None, challenge: bytes = b""
) -> Statement:
    """Return a statement of these bytes; what it says beside its proof key is nobody's business here."""
    return Statement(
        purpose=Purpose.ENROL,
        issuer="https://watchword.example",
        audiences=("a",),
        app="app",
        challenge=challenge,
        proof_jwk=proof_jwk,
        seal_jwk=public_jwk(),
        bnd=None,
        raw=raw,
        binding=hashlib.sha256(raw).digest(),
    )


def phone(kind: str, clock: MovableClock | None = None) -> Phone:
    """Return a phone with fresh keys."""
    installed: InstalledApp = InstalledIosApp("ABCDE12345", PACKAGE, "7.2")
    if PHONES[kind].platform.value == "android":
        installed = InstalledAndroidApp(PACKAGE, (DIGEST,), 120)
    made = PHONES[kind].build(installed, PhoneSetup(AUTHORITIES, clock or MovableClock(), kind))
    made.create_keys()
    return made


def app_of(kind: str) -> AppRegistration:
    """Return the registration that a kind of phone claims to run."""
    return ANDROID if PHONES[kind].platform.value == "android" else IOS


def appraised(
    kind: str,
    evidence: dict[str, Any] | None = None,
    *,
    app: AppRegistration | None = None,
    by: FormatEvidenceVerifier | None = None,
    device: Phone | None = None,
) -> AppraisedEvidence:
    """Return what the verifier says of a phone's evidence."""
    device = device or phone(kind)
    said = statement(proof_jwk=device.proof_jwk)
    evidence = evidence or device.attest(said.binding)
    return asyncio.run((by or verifier()).appraise(evidence, said, app or app_of(kind), NOW))


def renewed(
    evidence: dict[str, Any],
    instance: Instance,
    app: AppRegistration,
    *,
    raw: bytes = RAW,
    by: FormatEvidenceVerifier | None = None,
    now: datetime = NOW,
) -> AppraisedRenewal:
    """Return what the verifier says of a renewal."""
    found = (by or verifier()).appraise_renewal(evidence, statement(raw), instance, app, now)
    return asyncio.run(found)


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
        proof_jwk=proven.attested_jwk if kind != "genuine-iphone" else public_jwk(),
        seal_jwk=public_jwk(),
        audiences=("a",),
        enrolled_at=NOW,
        renewed_at=NOW,
        attested_at=NOW,
    )


@pytest.mark.parametrize(
    ("kind", "format_name", "version", "level"),
    [
        ("genuine-iphone", "app-attest", None, Level.HARDWARE),
        ("genuine-android", "android-key", "120", Level.HARDWARE),
        ("play-phone", "play-integrity", "120", Level.VERIFIED),
        ("play-classic", "play-integrity", "120", Level.VERIFIED),
    ],
)
def test_genuine_phone_has_its_level(
    kind: str, format_name: str, version: str | None, level: Level
) -> None:
    """A genuine phone's evidence gives its key and level; a version where it states one."""
    proven = appraised(kind)
    assert (proven.format, proven.level, proven.counter) == (format_name, level, 0)
    if version is not None:
        assert proven.app_version == version


def test_contradictions_are_counted_and_refuse_nobody() -> None:
    """A StrongBox that only the key description speaks of enrols by default, and the count says so."""
    by = verifier()
    assert appraised("genuine-android", by=by).level is Level.HARDWARE
    assert by.contradictions == {}
    assert appraised("claimed-strongbox-android", by=by).level is Level.HARDWARE
    assert by.contradictions == {"security_name": 1}
    wants = leaves_of(BALANCED.levels[Level.HARDWARE])
    strict = replace(
        BALANCED, levels={Level.HARDWARE: AllOf((*wants, HardwareSecurity(strongbox=True)))}
    )
    assert appraised("strongbox-android", by=verifier(strict)).level is Level.HARDWARE
    with pytest.raises(RefusedError) as refused:
        appraised("claimed-strongbox-android", by=verifier(strict))
    assert {each.reason for each in refused.value.refusals} == {Reason.POLICY_SECURITY_LEVEL}


def test_verdict_vouches_for_the_proof_key() -> None:
    """Google attests no key: the one that the statement holds is the instance's."""
    device = phone("play-phone")
    proven = appraised("play-phone", device=device)
    assert proven.attested_jwk == device.proof_jwk
    # The same key, as the store keeps it.
    signed = device.renew(RAW)
    assert renewed(signed, instance_of("play-phone", proven), ANDROID).counter is None


@pytest.mark.parametrize(
    "kind",
    ["unlocked-android", "emulator", "repackaged-android", "wrong-app-iphone", "play-basic",
     "play-uncertified", "play-sideloaded", "play-old-token"],
)  # fmt: skip
def test_bad_phone_is_refused(kind: str) -> None:
    """Evidence of a phone that isn't genuine, or of another app, doesn't enrol."""
    with pytest.raises(RefusedError) as caught:
        appraised(kind)
    assert caught.value.reason.public.slug == "evidence-refused"


@pytest.mark.parametrize("kind", GENUINE)
def test_evidence_of_another_statement_is_refused(kind: str) -> None:
    """Recorded evidence doesn't fit another statement."""
    with pytest.raises(RefusedError) as caught:
        appraised(kind, phone(kind).attest(bytes(32)))
    assert Reason.ATTESTATION_BINDING in {each.reason for each in caught.value.refusals}


@pytest.mark.parametrize("kind", ["genuine-android", "play-phone"])
def test_old_app_is_refused(kind: str) -> None:
    """An app below the registered minimum isn't enrolled."""
    strict = replace(ANDROID, minimum_version="121")
    with pytest.raises(RefusedError) as caught:
        appraised(kind, app=strict)
    assert Reason.POLICY_APP_VERSION in {each.reason for each in caught.value.refusals}


@pytest.mark.parametrize(
    ("kind", "app"), [("genuine-android", IOS), ("play-phone", IOS), ("genuine-iphone", ANDROID)]
)
def test_format_must_fit_the_app(kind: str, app: AppRegistration) -> None:
    """An Android chain doesn't enrol an iOS app, nor the other way round."""
    with pytest.raises(RefusedError) as caught:
        appraised(kind, app=app)
    assert caught.value.reason is Reason.EVIDENCE_PLATFORM
    with pytest.raises(RefusedError):
        verifier().states_proof_key({"format": phone(kind).attest(bytes(32))["format"]}, app)


@pytest.mark.parametrize("name", [None, "webauthn", 7, [], {}])
def test_unknown_format_is_refused(name: object) -> None:
    """A format that isn't registered has its own reason."""
    with pytest.raises(RefusedError) as caught:
        appraised("genuine-iphone", {"format": name})
    assert caught.value.reason is Reason.EVIDENCE_FORMAT_UNKNOWN


def test_who_states_a_proof_key() -> None:
    """Where the attested key proves requests there is none to state."""
    formats = {"android-key": ANDROID, "play-integrity": ANDROID, "app-attest": IOS}
    stated = {
        name: verifier().states_proof_key({"format": name}, app) for name, app in formats.items()
    }
    assert stated == {"android-key": False, "play-integrity": True, "app-attest": True}


@pytest.mark.parametrize("kind", GENUINE)
def test_renewal_is_verified_with_the_enrolled_key(kind: str) -> None:
    """The phone that enrolled renews; over another statement, or with other keys, it doesn't."""
    device = phone(kind)
    instance = instance_of(kind, appraised(kind, device=device))
    evidence = device.renew(RAW)
    renewal = renewed(evidence, instance, app_of(kind))
    assert renewal.counter == (1 if kind == "genuine-iphone" else None)
    assert not renewal.vouched_anew
    with pytest.raises(RefusedError):
        renewed(evidence, instance, app_of(kind), raw=RAW + b" ")
    device.create_keys()
    with pytest.raises(RefusedError):
        renewed(device.renew(RAW), instance, app_of(kind))


@pytest.mark.parametrize("kind", ATTESTING)
def test_renewal_keeps_the_format_of_the_enrolment(kind: str) -> None:
    """An instance that enrolled with one format doesn't renew with another."""
    device = phone(kind)
    instance = replace(instance_of(kind, appraised(kind, device=device)), format="other")
    with pytest.raises(RefusedError) as caught:
        renewed(device.renew(RAW), instance, app_of(kind))
    assert caught.value.reason is Reason.EVIDENCE_PLATFORM


def test_version_of_a_renewal_is_judged_where_it_is_stated() -> None:
    """Android's renewal states no version, so that a raised minimum waits for a new enrolment."""
    device = phone("genuine-android")
    instance = instance_of("genuine-android", appraised("genuine-android", device=device))
    strict = replace(ANDROID, minimum_version="999")
    assert renewed(device.renew(RAW), instance, strict).app_version is None


def test_old_version_that_a_renewal_states_is_refused() -> None:
    """An iPhone states its version each time: below a raised minimum it gets no more tokens."""
    device = phone("genuine-iphone")
    instance = instance_of("genuine-iphone", appraised("genuine-iphone", device=device))
    allowed = replace(IOS, minimum_version="7.2")
    assert renewed(device.renew(RAW), instance, allowed).app_version == "7.2"
    with pytest.raises(RefusedError) as caught:
        renewed(device.renew(RAW), instance, replace(IOS, minimum_version="7.3"))
    assert caught.value.reason is Reason.POLICY_APP_VERSION


def play_instance(clock: MovableClock | None = None) -> tuple[PlayPhone, Instance]:
    """Return a phone that sends Play Integrity tokens, and its instance."""
    device = phone("play-phone", clock)
    assert isinstance(device, PlayPhone)
    return device, instance_of("play-phone", appraised("play-phone", device=device))


def test_the_system_is_what_evidence_states() -> None:
    """Of each format's genuine phone; evidence made anew states it anew, and a signature alone doesn't."""
    for kind, stated in (
        ("genuine-iphone", "ios-27"),
        ("genuine-ipad", "ios-27"),
        ("ios-26-iphone", "ios-26"),
        ("genuine-android", "android-16"),
    ):
        assert appraised(kind).platform == stated
    device, instance = play_instance()
    assert appraised("play-phone", device=device).platform == "android-16"
    assert renewed(device.renew(RAW), instance, ANDROID).platform is None
    assert renewed(device.renew_anew(RAW), instance, ANDROID).platform == "android-16"


def claims(platform: Platform, **stated: Any) -> UnverifiedClaims:
    """Return claims of a system."""
    return UnverifiedClaims(
        format="f",
        platform=platform,
        public_key=None,
        attestation_security=KeySecurity.TEE,
        key_security=KeySecurity.TEE,
        anchor=None,
        **stated,
    )


@pytest.mark.parametrize(
    ("stated", "platform"),
    [
        ({}, "android"),
        ({"patches": PatchLevels()}, "android"),
        ({"patches": PatchLevels(os_version=70_100)}, "android-7"),
        ({"patches": PatchLevels(os_version=160_001)}, "android-16"),
        ({"patches": PatchLevels(os_version=0)}, "android"),
        ({"patches": PatchLevels(os_version=9_999)}, "android"),
        ({"patches": PatchLevels(os_version=-160_000)}, "android"),
        ({"patches": PatchLevels(os_version=9_999_999)}, "android-999"),
        ({"patches": PatchLevels(os_version=10_000_000)}, "android"),
        ({"play": 21}, "android-5"),
        ({"play": 27}, "android-8"),
        ({"play": 31}, "android-12"),
        ({"play": 32}, "android-12"),
        ({"play": 33}, "android-13"),
        ({"play": 36}, "android-16"),
        ({"play": 37}, "android"),
        ({"play": None}, "android"),
    ],
)
def test_android_by_what_its_evidence_has(stated: dict[str, Any], platform: str) -> None:
    """The version of the key description, or the level of Play; what no phone says gives no number."""
    if "play" in stated:
        stated = {
            "play": PlayVerdicts("standard", NOW, "PLAY_RECOGNIZED", sdk_version=stated["play"])
        }
    assert stated_platform(claims(Platform.ANDROID, **stated)) == platform


@pytest.mark.parametrize(
    ("apple", "platform"),
    [
        (None, "ios"),
        (AppleClaims(), "ios"),
        (AppleClaims(os_version="27.0"), "ios-27"),
        (AppleClaims(ApplePlatform.IOS, os_version="27.4.1"), "ios-27"),
        (AppleClaims(ApplePlatform.IPADOS, os_version="28"), "ios-28"),
        (AppleClaims(ApplePlatform.IOS, os_version="0.1"), "ios"),
        (AppleClaims(ApplePlatform.IOS, os_version="9999"), "ios"),
        (AppleClaims(ApplePlatform.IOS, os_version="9" * 5000), "ios"),
        (AppleClaims(ApplePlatform.IOS, os_version="next.1"), "ios"),
        (AppleClaims(ApplePlatform.IOS, os_version=""), "ios"),
        (AppleClaims(ApplePlatform.MACOS, os_version="27.0"), "macos-27"),
        (AppleClaims(ApplePlatform.MAC_CATALYST), "mac_catalyst"),
        (AppleClaims(ApplePlatform.UNKNOWN, os_version="27.0"), "unknown-27"),
    ],
)
def test_apple_by_what_its_leaf_has(apple: AppleClaims | None, platform: str) -> None:
    """A Mac is no phone, whichever app it runs."""
    assert stated_platform(claims(Platform.IOS, apple=apple)) == platform


def test_verdict_goes_stale_and_a_new_token_makes_it_new() -> None:
    """The proof key alone renews for a while; then Google has to vouch again."""
    clock = MovableClock()
    device, instance = play_instance(clock)
    clock.advance(timedelta(days=400).total_seconds())
    with pytest.raises(RefusedError) as caught:
        renewed(device.renew(RAW), instance, ANDROID, now=clock.now())
    assert caught.value.reason is Reason.INSTANCE_ATTESTATION_STALE
    renewal = renewed(device.renew_anew(RAW), instance, ANDROID, now=clock.now())
    assert (renewal.vouched_anew, renewal.app_version) == (True, "120")


def test_new_token_is_judged_like_that_of_an_enrolment() -> None:
    """A token for another statement, of another device's verdict, or of an old app is refused."""
    device, instance = play_instance()
    good = device.renew_anew(RAW)
    bad: list[tuple[dict[str, Any], AppRegistration, Reason]] = [
        ({**good, "token": device.token(bytes(32))}, ANDROID, Reason.ATTESTATION_BINDING),
        (good, replace(ANDROID, minimum_version="121"), Reason.POLICY_APP_VERSION),
        ({**good, "signature": base64url.encode(b"x")}, ANDROID, Reason.EVIDENCE_SIGNATURE),
    ]
    basic = phone("play-basic")
    assert isinstance(basic, PlayPhone)
    token = basic.token(hashlib.sha256(RAW).digest())
    bad.append(({**good, "token": token}, ANDROID, Reason.POLICY_DEVICE_INTEGRITY))
    for evidence, app, reason in bad:
        with pytest.raises(RefusedError) as caught:
            renewed(evidence, instance, app)
        assert reason in {each.reason for each in caught.value.refusals}


def test_new_token_must_grant_the_level_that_the_instance_has() -> None:
    """A device that sank to a lower level doesn't keep the higher one."""
    device, instance = play_instance()
    rule = AllOf((AppIdentity(), DeviceIntegrity()))
    policy = Policy("lower", {Level.SOFTWARE: rule}, frozenset(Claim))
    with pytest.raises(RefusedError) as caught:
        renewed(device.renew_anew(RAW), instance, ANDROID, by=verifier(policy))
    assert caught.value.reason is Reason.POLICY_LEVEL


def test_google_decodes_where_there_are_no_keys() -> None:
    """The same evidence, the same result; steps 2 and 3 are Google's."""
    decoder, log = LabDecoder(), KeptAppraisals()
    by = verifier(play_keys={}, play_decoders={PACKAGE: decoder}, appraisals=log)
    device = phone("play-phone")
    decoded = appraised("play-phone", device=device, by=by)
    assert decoder.asked == [PACKAGE]
    assert decoded.appraisal is not None
    assert isinstance(decoded.appraisal.evidence, PlayIntegrityPayload)
    plain = appraised("play-phone", device=device)
    assert replace(decoded, appraisal=None) == plain


def test_nobody_is_asked_in_vain() -> None:
    """With keys of our own, for what can't be a token, and without the instance's key: no call."""
    decoder = LabDecoder()
    decoders = {PACKAGE: decoder}
    appraised("play-phone", by=verifier(play_decoders=decoders))
    by = verifier(play_keys={}, play_decoders=decoders)
    good = phone("play-phone").attest(bytes(32))["token"]
    head, key, vector, content, tag = good.split(".")
    mutated = [
        (base64url.encode(b'{"alg":"dir","enc":"A256GCM"}'), key, vector, content, tag),
        (head, key[4:], vector, content, tag),
        (head, key, vector + "AAAA", content, tag),
        (head, key, vector, content, tag[4:]),
        (head, key, vector, content + "=", tag),
        (head, key, vector, content),
    ]
    forms = ["", "a.b", "a.b.c.d.e", "a.b.c.d." + "e" * 20000, *map(".".join, mutated)]
    for token in forms:
        with pytest.raises(RefusedError):
            appraised("play-phone", {"format": "play-integrity", "token": token}, by=by)
    device, instance = play_instance()
    evidence = device.renew_anew(RAW)
    with pytest.raises(RefusedError):
        renewed(evidence, replace(instance, attested_key=public_spki()), ANDROID, by=by)
    assert decoder.asked == []
    assert renewed(evidence, instance, ANDROID, by=by).vouched_anew
    assert decoder.asked == [PACKAGE]


def outcome(by: FormatEvidenceVerifier, challenge: bytes, token: str | None = None) -> str:
    """Return what becomes of a phone that comes with this challenge, and maybe with a forged token."""
    device = phone("play-phone")
    said = statement(proof_jwk=device.proof_jwk, challenge=challenge)
    evidence = device.attest(said.binding)
    if token is not None:
        evidence = {**evidence, "token": token}
    try:
        asyncio.run(by.appraise(evidence, said, ANDROID, NOW))
    except (RefusedError, UnavailableError) as error:
        return error.reason.code
    return "enrolled"


def test_challenge_buys_one_question_to_google() -> None:
    """Forged tokens in the right form use up no quota with one challenge, nor do genuine ones."""
    decoder = LabDecoder()
    by = verifier(play_keys={}, play_decoders={PACKAGE: decoder})
    head, key, *rest = phone("play-phone").attest(bytes(32))["token"].split(".")
    token = ".".join((head, key[:-4] + "AAAA", *rest))
    assert [outcome(by, b"one", token) for _ in range(3)] == [
        "play.token",
        "challenge.used",
        "challenge.used",
    ]
    assert [outcome(by, b"two") for _ in range(2)] == ["enrolled", "challenge.used"]
    assert len(decoder.asked) == 2


def test_renewal_buys_one_question_to_google() -> None:
    """Whoever has an instance can't use up the quota with one challenge either."""
    decoder = LabDecoder()
    by = verifier(play_keys={}, play_decoders={PACKAGE: decoder})
    device, instance = play_instance()
    evidence = device.renew_anew(RAW)
    assert renewed(evidence, instance, ANDROID, by=by).vouched_anew
    with pytest.raises(RefusedError) as caught:
        renewed(evidence, instance, ANDROID, by=by)
    assert caught.value.reason is Reason.CHALLENGE_USED
    # Its key alone needs no question.
    assert not renewed(device.renew(RAW), instance, ANDROID, by=by).vouched_anew
    assert decoder.asked == [PACKAGE]


def test_questions_to_google_are_bounded_by_the_minute() -> None:
    """Challenges cost nothing: a flood of them is stopped, and the operator told that it is one."""
    decoder = LabDecoder()
    by = verifier(play_keys={}, play_decoders={PACKAGE: decoder})
    said = {outcome(by, bytes([number])) for number in range(QUESTIONS_A_MINUTE)}
    assert said == {"enrolled"}
    assert outcome(by, b"more") == "service.overloaded"
    assert len(decoder.asked) == QUESTIONS_A_MINUTE


def test_question_that_google_does_not_answer_can_be_asked_again() -> None:
    """A client that waited for the end of an outage needn't make everything anew."""
    decoder = LabDecoder(away=1)
    by = verifier(play_keys={}, play_decoders={PACKAGE: decoder})
    said = [outcome(by, b"one") for _ in range(3)]
    assert said == ["vendor.unavailable", "enrolled", "challenge.used"]


def test_app_without_keys_and_decoder_is_a_fault_of_the_configuration() -> None:
    """It isn't the phone's fault, and the operator is told which app it is."""
    for by in (
        verifier(play_keys={}),
        verifier(play_keys={}, play_decoders={"org.other": LabDecoder()}),
    ):
        with pytest.raises(UnavailableError) as caught:
            appraised("play-phone", by=by)
        assert caught.value.reason is Reason.PLAY_UNCONFIGURED
        assert "clinic-android" in caught.value.detail


def test_instances_of_a_device_are_counted_for_a_day() -> None:
    """Policy learns how many there were; a verdict that names no device isn't counted."""
    history = CountedDevices(count=1000)
    with pytest.raises(RefusedError) as caught:
        appraised("rkp-android", by=verifier(history=history))
    assert Reason.POLICY_DEVICE_VELOCITY in {each.reason for each in caught.value.refusals}
    assert [(app, since) for app, _, _, since in history.asked] == [
        (ANDROID.id, NOW - timedelta(days=1))
    ]
    assert appraised("play-phone", by=verifier(history=history)).device_key is None
    assert len(history.asked) == 1


@pytest.mark.parametrize("kind", ["genuine-android", "rkp-android"])
def test_instances_under_a_certificate_are_counted_for_a_day(kind: str) -> None:
    """By the certificate of the key that attested, be it a batch's or a phone's own."""
    history = CountedDevices(count=1000)
    told = AllOf((KeyOrigin(), Signals((SerialFanOut(1000),))))
    policy = Policy("told", {Level.HARDWARE: told}, frozenset(Claim))
    said = statement()
    evidence = phone(kind).attest(said.binding)
    found = verifier(policy, history=history).appraise(evidence, said, ANDROID, NOW)
    assert [each.reason for each in asyncio.run(found).signals] == [Reason.POLICY_SERIAL_FAN_OUT]
    chain = [x509.load_der_x509_certificate(base64url.decode(each)) for each in evidence["chain"]]
    ((app, _, serial, since),) = history.asked
    assert (app, serial, since) == (
        ANDROID.id,
        f"{chain[1].serial_number:x}",
        NOW - timedelta(days=1),
    )


def test_refusals_are_recorded_and_acceptances_handed_on() -> None:
    """What was refused stands in the log; whether an acceptance enrols only enrolment knows."""
    log = KeptAppraisals()
    by = verifier(appraisals=log)
    accepted = appraised("genuine-android", by=by).appraisal
    assert accepted is not None
    assert (accepted.verdict.level, accepted.verification, log.kept) == (Level.HARDWARE, (), [])
    with pytest.raises(RefusedError):
        appraised("unlocked-android", by=by)
    with pytest.raises(RefusedError):
        appraised("play-phone", {"format": "play-integrity", "token": "a.b.c.d.e"}, by=by)
    policy_said, format_said = (appraisal for appraisal, _ in log.kept)
    assert (policy_said.verification, policy_said.verdict.level) == ((), Level.NONE)
    assert format_said.claims is None
    assert format_said.verification == format_said.verdict.refusals != ()
    assert [instance for _, instance in log.kept] == [None, None]


def own_policy(value: str) -> Policy:
    """Return a policy that grants `verified` where the own format says this word."""
    rule = ProviderVerdict(member="word", equals=value)
    return replace(BALANCED, levels={**BALANCED.levels, Level.VERIFIED: rule})


def test_own_format_enrols_and_renews() -> None:
    """A format that the operator added works like a built-in one, under the operator's rule."""
    device = phone("play-phone")
    assert isinstance(device, PlayPhone)
    said = statement(proof_jwk=device.proof_jwk)
    evidence = {"format": "echo", "word": "fine", "binding": base64url.encode(said.binding)}
    by = verifier(own_policy("fine"), formats=[EchoFormat()])
    proven = asyncio.run(by.appraise(evidence, said, ANDROID, NOW))
    assert (proven.format, proven.level) == ("echo", Level.VERIFIED)
    instance = instance_of("play-phone", proven)
    renewal = {**device.renew(RAW), "format": "echo"}
    assert not renewed(renewal, instance, ANDROID, by=by).vouched_anew
    with pytest.raises(RefusedError) as caught:
        asyncio.run(
            verifier(own_policy("fun"), formats=[EchoFormat()]).appraise(
                evidence, said, ANDROID, NOW
            )
        )
    assert Reason.POLICY_PROVIDER_VERDICT in {each.reason for each in caught.value.refusals}
    with pytest.raises(RefusedError) as unknown:
        asyncio.run(verifier().appraise(evidence, said, ANDROID, NOW))
    assert unknown.value.reason is Reason.EVIDENCE_FORMAT_UNKNOWN


def test_own_format_takes_no_name_of_ours() -> None:
    """Nothing stands in for a built-in format, nor for another added one."""
    for formats in ([EchoFormat("play-integrity")], [EchoFormat(), EchoFormat()]):
        with pytest.raises(FormatNameError):
            verifier(formats=formats)


def test_renewal_says_how_the_app_came_onto_the_device() -> None:
    """An update keeps its key: one from TestFlight ends renewals, unless the app lists that way."""
    device = phone("testflight-update-iphone")
    instance = instance_of("genuine-iphone", appraised("genuine-iphone", device=device))
    with pytest.raises(RefusedError) as caught:
        renewed(device.renew(RAW), instance, IOS)
    assert [each.reason for each in caught.value.refusals] == [Reason.POLICY_DISTRIBUTION]
    assert isinstance(IOS.identity, AppleApp)
    both = frozenset({Distribution.APP_STORE, Distribution.TESTFLIGHT})
    listed = replace(IOS, identity=replace(IOS.identity, distribution=both))
    assert renewed(device.renew(RAW), instance, listed).counter == 2


def test_phone_that_was_updated_renews() -> None:
    """Enrolled without the map behind its data, renewed with it."""
    device = phone("updated-iphone")
    instance = instance_of("genuine-iphone", appraised("genuine-iphone", device=device))
    renewal = renewed(device.renew(RAW), instance, IOS)
    assert (renewal.app_version, renewal.signals) == ("7.2", ())


def test_high_risk_metric_is_told_at_renewals_and_refuses_none() -> None:
    """Apple's count alone ends nobody's renewals."""
    device = phone("genuine-iphone")
    instance = instance_of("genuine-iphone", appraised("genuine-iphone", device=device))
    busy = replace(instance, risk_metric=1000)
    renewal = renewed(device.renew(RAW), busy, IOS)
    assert [each.reason for each in renewal.signals] == [Reason.POLICY_RISK_METRIC]


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("genuine-mac", Reason.POLICY_APPLE_PLATFORM),
        ("sip-off-mac", Reason.POLICY_KEY_ACCESS),
        ("nameless-mac", Reason.POLICY_KEY_ACCESS),
        ("testflight-iphone", Reason.POLICY_DISTRIBUTION),
        ("developer-signed-iphone", Reason.POLICY_DISTRIBUTION),
        ("enterprise-iphone", Reason.POLICY_DISTRIBUTION),
    ],
)
def test_other_devices_and_builds_enrol_nowhere(kind: str, reason: Reason) -> None:
    """Under the app's own App ID, with attestations that are genuine in all else."""
    with pytest.raises(RefusedError) as caught:
        appraised(kind, app=IOS)
    assert reason in {each.reason for each in caught.value.refusals}


def test_listed_mac_enrols_while_it_is_sealed() -> None:
    """Listing macOS takes System Integrity Protection from nobody's demands."""
    assert isinstance(IOS.identity, AppleApp)
    macs = replace(IOS, identity=replace(IOS.identity, platforms=frozenset({ApplePlatform.MACOS})))
    assert appraised("genuine-mac", app=macs).level is Level.HARDWARE
    with pytest.raises(RefusedError) as caught:
        appraised("sip-off-mac", app=macs)
    assert [each.reason for each in caught.value.refusals] == [Reason.POLICY_KEY_ACCESS]
    with pytest.raises(RefusedError):
        appraised("genuine-iphone", app=macs)
