"""Ready-made policies: what each lets pass, line by line, and what none of them ever does."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.attestation import forge
from tests.unit.policy.genuine import (
    ANDROID,
    ANDROID_APP,
    APPLE,
    APPLE_APP,
    NOW,
    PLAY,
    RECEIPT,
    with_apple,
    with_boot,
    with_play,
)

from watchword.attestation.claims import (
    AppClaims,
    BootState,
    KeyAccess,
    KeySecurity,
    PatchLevels,
    Provisioning,
    RevocationClaims,
    UnverifiedClaims,
)
from watchword.attestation.interface import Expected, Trust
from watchword.attestation.registry import examine
from watchword.policy.interface import Circumstances, Standing
from watchword.policy.registry import BALANCED, INCLUSIVE, PRESETS, RECORDED, STRICT
from watchword.policy.service import BALANCED as DEFAULT
from watchword.policy.service import appraise_standing, appraise_unverified, standing_signals
from watchword.reasons import Reason
from watchword.vocabulary import ApplePlatform, Distribution, Level, Platform

H, V, S, N = Level.HARDWARE, Level.VERIFIED, Level.SOFTWARE, Level.NONE
STRONG = frozenset({"MEETS_DEVICE_INTEGRITY", "MEETS_STRONG_INTEGRITY"})


def level_under(name: str, claims: UnverifiedClaims, today: int | None = 0) -> Level:
    """Return the level that a ready-made policy grants."""
    app = APPLE_APP if claims.platform is Platform.IOS else ANDROID_APP
    circumstances = Circumstances(NOW, today)
    return appraise_unverified(claims, app, PRESETS[name], circumstances).level


def mutated(**changes: Any) -> UnverifiedClaims:
    """Return Android's claims with changes."""
    return replace(ANDROID, **changes)


CASES = {
    "a genuine Android phone": (ANDROID, 0, H, H, H),
    "a genuine iPhone": (APPLE, 0, H, H, H),
    "a verdict of Google's": (PLAY, None, N, V, V),
    "a strong verdict of Google's": (with_play(device_labels=STRONG), None, N, V, V),
    "a factory key": (mutated(provisioning=Provisioning.FACTORY), 0, N, H, H),
    "patches of four months": (mutated(patches=PatchLevels(system=202607)), 0, N, H, H),
    "patches of two years": (mutated(patches=PatchLevels(system=202411)), 0, N, H, S),
    "patches from the future": (mutated(patches=PatchLevels(system=203001)), 0, N, N, N),
    "no status list": (mutated(revocation=RevocationClaims(known=False)), 0, N, H, H),
    "a suspended certificate": (
        mutated(revocation=RevocationClaims(known=True, suspended=("a",))),
        0,
        N,
        N,
        N,
    ),
    "an iPhone without a receipt": (replace(APPLE, receipt=None), 0, N, N, H),
    "a risk metric of 10": (replace(APPLE, receipt=replace(RECEIPT, risk_metric=10)), 0, H, H, H),
    "a risk metric of 30": (replace(APPLE, receipt=replace(RECEIPT, risk_metric=30)), 0, H, H, H),
    "a risk metric of 60": (replace(APPLE, receipt=replace(RECEIPT, risk_metric=60)), 0, H, H, H),
    "an iPad": (with_apple(platform=ApplePlatform.IPADOS), 0, H, H, H),
    "an iPhone before iOS 18": (with_apple(platform=None, key_access=None), 0, H, H, H),
    "an app that states no category": (with_apple(distribution=None), 0, H, H, H),
    "a Mac, sealed": (
        with_apple(platform=ApplePlatform.MACOS, key_access=KeyAccess.FULL_SECURITY),
        0,
        N,
        N,
        N,
    ),
    "a system without a name": (with_apple(platform=ApplePlatform.UNKNOWN), 0, N, N, N),
    "a build from TestFlight": (with_apple(distribution=Distribution.TESTFLIGHT), 0, N, N, N),
    "a developer's build": (with_apple(distribution=Distribution.DEVELOPMENT), 0, N, N, N),
    "a category nobody knows": (with_apple(distribution=Distribution.UNKNOWN), 0, N, N, N),
    "an iPhone with a very old system": (with_apple(os_version="14.0"), 0, H, H, H),
    "the 4th instance today": (ANDROID, 3, N, H, H),
    "the 11th instance today": (ANDROID, 10, N, N, H),
    "the 21st instance today": (ANDROID, 20, N, N, N),
    "GrapheneOS, locked": (with_boot(state=BootState.SELF_SIGNED), 0, N, N, S),
    "GrapheneOS, unlocked": (
        with_boot(state=BootState.SELF_SIGNED, device_locked=False),
        0,
        N,
        N,
        N,
    ),
    "an attestation by an app's key": (mutated(attest_key=True), 0, N, N, N),
    "a key in software": (mutated(key_security=KeySecurity.SOFTWARE), 0, N, N, N),
    "sideloaded": (with_play(app_recognition="UNRECOGNIZED_VERSION"), None, N, N, S),
    "an unevaluated app": (with_play(app_recognition="UNEVALUATED"), None, N, N, N),
    "basic integrity alone": (
        with_play(device_labels=frozenset({"MEETS_BASIC_INTEGRITY"})),
        None,
        N,
        N,
        N,
    ),
}


@pytest.mark.parametrize("name", PRESETS)
def test_serial_fan_out_refuses_nothing_and_is_told(name: str) -> None:
    """Not even beside all other signals of a phone, however many share its certificate; a thousand are usual."""
    for before, told in (
        (999, []),
        (1000, [Reason.POLICY_SERIAL_FAN_OUT]),
        (10**6, [Reason.POLICY_SERIAL_FAN_OUT]),
    ):
        circumstances = Circumstances(NOW, 0, before)
        verdict = appraise_unverified(ANDROID, ANDROID_APP, PRESETS[name], circumstances)
        assert (verdict.level, verdict.refusals) == (H, ())
        assert [each.reason for each in verdict.signals] == told
        foreign_system = with_boot(state=BootState.SELF_SIGNED)
        lower = appraise_unverified(foreign_system, ANDROID_APP, PRESETS[name], circumstances)
        assert lower.level is (Level.SOFTWARE if name == "inclusive" else Level.NONE)
        assert [each.reason for each in lower.signals] == told


@pytest.mark.parametrize("name", PRESETS)
def test_risk_metric_refuses_nothing_alone_and_is_told(name: str) -> None:
    """Apple advises against refusing on the count alone: re-installs and testers raise it too."""
    claims = replace(APPLE, receipt=replace(RECEIPT, risk_metric=1000))
    verdict = appraise_unverified(claims, APPLE_APP, PRESETS[name], Circumstances(NOW, 0))
    assert verdict.level is H
    assert [each.reason for each in verdict.signals] == [Reason.POLICY_RISK_METRIC]
    standing = Standing("app-attest", H, NOW, risk_metric=1000, key_attested=True)
    assert appraise_standing(standing, PRESETS[name], Circumstances(NOW)) == ()
    told = standing_signals(standing, PRESETS[name])
    assert [each.reason for each in told] == [Reason.POLICY_RISK_METRIC]


@pytest.mark.parametrize("case", CASES)
def test_each_line_of_the_ready_made_policies(case: str) -> None:
    """Strict, balanced, inclusive: as the table in docs/policy.md says."""
    claims, today, *expected = CASES[case]
    assert [level_under(name, claims, today) for name in PRESETS] == expected


def test_the_default_is_balanced() -> None:
    """What other modules call the default is the policy of that name; `recorded` can't be chosen."""
    assert DEFAULT is BALANCED
    assert list(PRESETS) == ["strict", "balanced", "inclusive"]
    assert RECORDED.name not in PRESETS


OTHER_SIGNER = AppClaims((forge.PACKAGE,), {forge.PACKAGE: "42"}, frozenset({bytes(32)}))

unlocked = st.builds(
    with_boot,
    device_locked=st.just(value=False),
    state=st.sampled_from(BootState),
    verified_boot_key=st.sampled_from([b"", bytes(32)]),
)
repackaged = st.builds(
    replace,
    st.sampled_from([ANDROID, PLAY, with_play(device_labels=STRONG)]),
    app=st.just(OTHER_SIGNER),
)


@given(st.one_of(unlocked, repackaged), st.sampled_from([*PRESETS.values(), RECORDED]))
def test_no_policy_lets_an_unlocked_phone_or_another_signer_pass(
    claims: UnverifiedClaims, policy: Any
) -> None:
    """However inclusive."""
    verdict = appraise_unverified(claims, ANDROID_APP, policy, Circumstances(NOW, 0))
    assert verdict.level is N
    told = {refusal.reason for refusal in verdict.refusals}
    if claims.play is None or V in policy.levels:
        assert told & {Reason.POLICY_BOOTLOADER_UNLOCKED, Reason.POLICY_SIGNING_DIGEST}


def test_laxer_policies_lock_nobody_out_whom_stricter_ones_let_in() -> None:
    """Whoever moves from one to the next knows in which direction; the level may become lower."""
    for claims, today, *_ in CASES.values():
        let_in = [level_under(name, claims, today) is not N for name in PRESETS]
        assert let_in == sorted(let_in)


def test_forged_evidence_with_the_claims_of_a_genuine_phone() -> None:
    """Claims of a chain under nobody's root are judged like any; the verification refuses it."""
    google = forge.google()
    evidence = google.evidence(google.leaf())
    examination = examine(
        evidence, Expected(forge.BINDING, ANDROID_APP), Trust(forge.Anchors([])), forge.NOW
    )
    assert examination.refusals != ()
    assert examination.claims is not None
    verdict = appraise_unverified(
        examination.claims, ANDROID_APP, INCLUSIVE, Circumstances(forge.NOW)
    )
    assert verdict.level is H
    strict = appraise_unverified(examination.claims, ANDROID_APP, STRICT, Circumstances(forge.NOW))
    assert Reason.POLICY_REVOCATION_UNKNOWN in {each.reason for each in strict.refusals}
