"""Appraisal: each rule refuses what it must, and every rule is asked."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.attestation import forge

from watchword.attestation.interface import (
    AndroidApp,
    AppClaims,
    AppleApp,
    AppRegistration,
    BootClaims,
    BootState,
    KeySecurity,
    UnverifiedClaims,
    VerifiedClaims,
)
from watchword.policy.rules.hardware_security import HardwareSecurity
from watchword.policy.rules.key_origin import KeyOrigin
from watchword.policy.rules.minimum_app_version import judge_version
from watchword.policy.service import DEFAULT_RULES, appraise, appraise_unverified
from watchword.reasons import Reason
from watchword.vocabulary import Level, Platform

BOOT = BootClaims(
    device_locked=True,
    state=BootState.VERIFIED,
    verified_boot_key=b"key",
    verified_boot_hash=None,
)
ANDROID = UnverifiedClaims(
    format="android-key",
    platform=Platform.ANDROID,
    public_key=b"",
    attestation_security=KeySecurity.TEE,
    key_security=KeySecurity.STRONGBOX,
    anchor="root",
    app=AppClaims((forge.PACKAGE,), {forge.PACKAGE: "42"}, frozenset({forge.SIGNER})),
    boot=BOOT,
    key_generated=True,
    key_signs=True,
)
IDENTITY = AppleApp("TEAM123456", "org.example.clinic")
APPLE_APP = AppRegistration("ios", IDENTITY, "1.10")
APPLE = UnverifiedClaims(
    format="app-attest",
    platform=Platform.IOS,
    public_key=b"",
    attestation_security=KeySecurity.SECURE_ENCLAVE,
    key_security=KeySecurity.SECURE_ENCLAVE,
    anchor="root",
    app=AppClaims((IDENTITY.app_id,), {IDENTITY.app_id: "1.10.1"}),
    key_generated=True,
    key_signs=True,
    counter=0,
)


def judged(
    claims: UnverifiedClaims, registered: AppRegistration | None, /, **bent: Any
) -> list[Reason]:
    """Return the reasons against claims that are bent; a refusal leaves no level."""
    verdict = appraise_unverified(replace(claims, **bent), registered)
    assert (verdict.level is Level.NONE) is bool(verdict.refusals)
    return [refusal.reason for refusal in verdict.refusals]


def bent_app(**bent: Any) -> AppClaims:
    """Return the Android app's claims, bent."""
    assert ANDROID.app is not None
    return replace(ANDROID.app, **bent)


@pytest.mark.parametrize(("claims", "app"), [(ANDROID, forge.ANDROID_APP), (APPLE, APPLE_APP)])
def test_genuine_claims_give_hardware(claims: UnverifiedClaims, app: AppRegistration) -> None:
    """Everything as it should be, and nothing left unchecked."""
    verdict = appraise(VerifiedClaims(claims), app)
    assert verdict.level is Level.HARDWARE
    assert verdict.refusals == ()
    assert verdict.unchecked == ()


def test_without_rules_nothing_is_granted() -> None:
    """An empty policy would let everything pass, and is refused."""
    with pytest.raises(ValueError, match="at least one rule"):
        appraise(VerifiedClaims(ANDROID), forge.ANDROID_APP, rules=())


def test_other_rules_give_the_level_that_is_there() -> None:
    """Software claims that a policy lets pass are of level software, whatever else holds."""
    claims = replace(ANDROID, key_security=KeySecurity.SOFTWARE)
    verdict = appraise(VerifiedClaims(claims), forge.ANDROID_APP, rules=(KeyOrigin(),))
    assert verdict.level is Level.SOFTWARE
    strict = appraise(VerifiedClaims(claims), forge.ANDROID_APP, rules=(HardwareSecurity(),))
    assert strict.level is Level.NONE


def test_every_refusal_is_told() -> None:
    """All rules are asked, in order."""
    assert judged(
        ANDROID,
        forge.ANDROID_APP,
        app=None,
        boot=None,
        key_generated=False,
        key_signs=False,
        key_security=KeySecurity.SOFTWARE,
    ) == [
        Reason.POLICY_APP_ID,
        Reason.POLICY_APP_VERSION,
        Reason.POLICY_SECURITY_LEVEL,
        Reason.POLICY_ROOT_OF_TRUST_MISSING,
        Reason.POLICY_KEY_ORIGIN,
        Reason.POLICY_KEY_PURPOSE,
    ]
    assert len(DEFAULT_RULES) == 6


def test_without_an_app_the_app_is_unchecked() -> None:
    """A report on evidence of an unknown app says what it left out."""
    verdict = appraise_unverified(ANDROID, None)
    assert verdict.level is Level.HARDWARE
    assert verdict.unchecked == ("app", "app_version")


# App identity


def test_android_app_of_another_name_or_signer() -> None:
    """The package must be there; a repackaged app is told by its signer."""
    other = digest(b"other")
    for app, reason in (
        (bent_app(ids=("org.example.other",)), Reason.POLICY_APP_ID),
        (bent_app(signing_digests=frozenset({other})), Reason.POLICY_SIGNING_DIGEST),
        (bent_app(signing_digests=frozenset()), Reason.POLICY_SIGNING_DIGEST),
        (bent_app(signing_digests=frozenset({forge.SIGNER, other})), Reason.POLICY_SIGNING_DIGEST),
    ):
        versioned = replace(app, versions=dict.fromkeys((*app.ids, forge.PACKAGE), "42"))
        assert judged(ANDROID, forge.ANDROID_APP, app=versioned) == [reason]


def test_android_apps_that_share_a_uid() -> None:
    """The registered package may be one of several, and its signer one of those registered."""
    app = bent_app(ids=("org.example.other", forge.PACKAGE))
    assert judged(ANDROID, forge.ANDROID_APP, app=app) == []
    digests = frozenset({forge.SIGNER, digest(b"next key")})
    registered = AppRegistration("x", AndroidApp(forge.PACKAGE, digests))
    assert judged(ANDROID, registered) == []


@pytest.mark.parametrize("app", [None, AppClaims(("TEAM123456.org.example.other",))])
def test_ios_app_of_another_id(app: AppClaims | None) -> None:
    """Without the expected App ID in the claims there is no app."""
    assert judged(APPLE, replace(APPLE_APP, minimum_version=None), app=app) == [
        Reason.POLICY_APP_ID
    ]


def test_android_claims_for_an_ios_registration() -> None:
    """A registration of the other platform is another app."""
    assert judged(ANDROID, replace(APPLE_APP, minimum_version=None)) == [Reason.POLICY_APP_ID]


def digest(text: bytes) -> bytes:
    """Return a digest of a signing certificate."""
    return text.ljust(32, b"\x00")


# Minimum version


@pytest.mark.parametrize(
    ("stated", "minimum", "holds"),
    [
        ("42", "42", True),
        ("41", "42", False),
        ("100", "42", True),
        ("1.10", "1.9", True),
        ("1.9", "1.10", False),
        ("1", "1.0.0", True),
        ("1.0.0", "1", True),
        ("1.0.1", "1", True),
        ("1", "1.0.1", False),
        ("2", "1.9.9", True),
        ("", "1", False),
        ("1.", "1", False),
        ("v2", "1", False),
        ("1.0-beta", "1", False),
        ("-1", "1", False),
        ("²", "1", False),
        ("٣", "1", False),
        ("1e3", "1", False),
        ("2\n", "1", False),
        ("9" * 20, "1", False),
        ("1" + ".1" * 8, "1", False),
        ("2", "one", False),
    ],
)
def test_versions_are_compared_number_by_number(stated: str, minimum: str, *, holds: bool) -> None:
    """Numbers and not text; what isn't dotted numbers is below everything."""
    assert (judge_version(stated, minimum) == ()) is holds


@given(st.text(max_size=30))
def test_odd_versions_never_raise(stated: str) -> None:
    """A version is the sender's own text: any of it gives yes or no."""
    assert len(judge_version(stated, "1.2")) in {0, 1}


def test_version_below_the_minimum() -> None:
    """An outdated app is refused, and its odd version isn't repeated."""
    for version in ({forge.PACKAGE: "41"}, {}, {forge.PACKAGE: "<script>"}):
        verdict = appraise_unverified(
            replace(ANDROID, app=bent_app(versions=version)), forge.ANDROID_APP
        )
        assert [refusal.reason for refusal in verdict.refusals] == [Reason.POLICY_APP_VERSION]
        assert "script" not in verdict.refusals[0].detail


def test_ios_without_a_stated_version_is_unchecked() -> None:
    """Before iOS 27 no version is signed for; that isn't the app's fault."""
    silent = replace(APPLE, app=AppClaims((IDENTITY.app_id,)))
    verdict = appraise_unverified(silent, APPLE_APP)
    assert verdict.level is Level.HARDWARE
    assert verdict.unchecked == ("app_version",)
    old = AppClaims((IDENTITY.app_id,), {IDENTITY.app_id: "1.9"})
    assert judged(APPLE, APPLE_APP, app=old) == [Reason.POLICY_APP_VERSION]


# The device


@pytest.mark.parametrize(
    ("boot", "reasons"),
    [
        (None, [Reason.POLICY_ROOT_OF_TRUST_MISSING]),
        (replace(BOOT, device_locked=False), [Reason.POLICY_BOOTLOADER_UNLOCKED]),
        (replace(BOOT, state=BootState.SELF_SIGNED), [Reason.POLICY_BOOT_SELF_SIGNED]),
        (replace(BOOT, state=BootState.UNVERIFIED), [Reason.POLICY_BOOT_UNVERIFIED]),
        (replace(BOOT, state=BootState.FAILED), [Reason.POLICY_BOOT_UNVERIFIED]),
        (
            replace(BOOT, device_locked=False, state=BootState.UNVERIFIED),
            [Reason.POLICY_BOOTLOADER_UNLOCKED, Reason.POLICY_BOOT_UNVERIFIED],
        ),
    ],
)
def test_boot(boot: BootClaims | None, reasons: list[Reason]) -> None:
    """Locked and verified, by the word of the hardware; iOS makes no such claim."""
    assert judged(ANDROID, forge.ANDROID_APP, boot=boot) == reasons
    assert judged(APPLE, APPLE_APP, boot=None) == []


def test_key_origin() -> None:
    """A key that was imported has been known outside."""
    assert judged(ANDROID, forge.ANDROID_APP, key_generated=False) == [Reason.POLICY_KEY_ORIGIN]


def test_key_purpose() -> None:
    """A key that can't sign proves nothing about a request."""
    assert judged(ANDROID, forge.ANDROID_APP, key_signs=False) == [Reason.POLICY_KEY_PURPOSE]


@pytest.mark.parametrize("member", ["attestation_security", "key_security"])
def test_both_levels_must_be_hardware(member: str) -> None:
    """Software on either side is software."""
    bent = {member: KeySecurity.SOFTWARE}
    assert judged(ANDROID, forge.ANDROID_APP, **bent) == [Reason.POLICY_SECURITY_LEVEL]
