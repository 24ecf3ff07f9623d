"""Appraisal: the highest level whose rules hold, and what is told where none does."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from tests.unit.policy.genuine import (
    ANDROID,
    ANDROID_APP,
    APPLE_APP,
    GENUINE,
    NOW,
    PLAY,
    TODAY,
    with_boot,
    with_play,
)

from watchword.attestation.claims import BootState, KeySecurity, UnverifiedClaims, VerifiedClaims
from watchword.attestation.interface import AppRegistration
from watchword.policy.interface import AllOf, Circumstances, Claim, Policy, Standing
from watchword.policy.registry import BALANCED, INCLUSIVE, STRICT
from watchword.policy.rules.app_identity import AppIdentity
from watchword.policy.rules.device_integrity import DeviceIntegrity
from watchword.policy.rules.hardware_security import HardwareSecurity
from watchword.policy.rules.key_origin import KeyOrigin
from watchword.policy.rules.revocation_known import RevocationKnown
from watchword.policy.rules.risk_metric import RiskMetric
from watchword.policy.rules.suspension import Suspension
from watchword.policy.service import (
    appraise,
    appraise_renewal,
    appraise_standing,
    appraise_unverified,
)
from watchword.ports import RevocationEntry
from watchword.reasons import Reason
from watchword.vocabulary import Distribution, Level

EVERY_CLAIM = frozenset(Claim)


def judged(
    claims: UnverifiedClaims, policy: Policy = BALANCED, app: AppRegistration | None = ANDROID_APP
) -> tuple[Level, list[Reason]]:
    """Return the level and the reasons."""
    verdict = appraise_unverified(claims, app, policy, TODAY)
    return verdict.level, [refusal.reason for refusal in verdict.refusals]


@pytest.mark.parametrize(
    ("kind", "level"),
    [
        ("android-key", Level.HARDWARE),
        ("app-attest", Level.HARDWARE),
        ("play-integrity", Level.VERIFIED),
    ],
)
def test_genuine_evidence_is_granted_the_level_of_its_format(kind: str, level: Level) -> None:
    """Verified claims and the same ones for a report come to the same verdict."""
    claims, app = GENUINE[kind]
    verdict = appraise(VerifiedClaims(claims), app, BALANCED, TODAY)
    assert (verdict.level, verdict.refusals) == (level, ())
    assert verdict == appraise_unverified(claims, app, BALANCED, TODAY)


def test_every_refusal_is_told() -> None:
    """All rules are asked, in order."""
    mutated = replace(
        ANDROID, app=None, boot=None, key_generated=False, key_signs=False, attest_key=True
    )
    assert judged(mutated) == (
        Level.NONE,
        [
            Reason.POLICY_APP_ID,
            Reason.POLICY_APP_VERSION,
            Reason.POLICY_KEY_ORIGIN,
            Reason.POLICY_KEY_PURPOSE,
            Reason.POLICY_ATTEST_KEY,
            Reason.POLICY_ROOT_OF_TRUST_MISSING,
        ],
    )


def test_without_an_app_the_app_is_unchecked() -> None:
    """A report on evidence of an unknown app says what it left out."""
    verdict = appraise_unverified(ANDROID, None, BALANCED, TODAY)
    assert verdict.level is Level.HARDWARE
    assert {"app", "app_version"} <= set(verdict.unchecked)


def test_refusals_are_those_of_the_level_that_came_nearest() -> None:
    """Not of one for another kind of evidence, however few its rules are."""
    assert judged(with_boot(device_locked=False)) == (
        Level.NONE,
        [Reason.POLICY_BOOTLOADER_UNLOCKED],
    )
    no_label = with_play(device_labels=frozenset())
    assert judged(no_label) == (Level.NONE, [Reason.POLICY_DEVICE_INTEGRITY])
    assert judged(PLAY, STRICT) == (Level.NONE, [Reason.POLICY_SECURITY_LEVEL])
    bad = replace(ANDROID, boot=None, key_generated=False, key_signs=False)
    assert judged(bad)[1][0] is Reason.POLICY_KEY_ORIGIN


def test_of_two_levels_as_near_the_higher_one_says_why() -> None:
    """An unlocked phone misses both levels of `inclusive` for the same."""
    verdict = appraise_unverified(with_boot(device_locked=False), ANDROID_APP, INCLUSIVE, TODAY)
    (refusal,) = verdict.refusals
    assert refusal.detail == "got unlocked, expected locked"
    assert set(verdict.short_of) == {Level.HARDWARE, Level.VERIFIED, Level.SOFTWARE}


def test_short_of_says_why_each_higher_level_wasnt_granted() -> None:
    """And nothing of the levels below the one that was."""
    verdict = appraise_unverified(
        with_boot(state=BootState.SELF_SIGNED), ANDROID_APP, INCLUSIVE, TODAY
    )
    told = {level: [each.reason for each in why] for level, why in verdict.short_of.items()}
    assert verdict.level is Level.SOFTWARE
    assert told[Level.HARDWARE] == [Reason.POLICY_BOOT_SELF_SIGNED]
    assert set(told) == {Level.HARDWARE, Level.VERIFIED}
    assert appraise_unverified(ANDROID, ANDROID_APP, INCLUSIVE, TODAY).short_of == {}


def test_a_policy_grants_something_and_never_nothing() -> None:
    """An empty policy would be a service that refuses everybody; level none is no grant."""
    for levels in ({}, {Level.NONE: AllOf((KeyOrigin(),))}):
        with pytest.raises(ValueError, match="at least one level"):
            Policy("p", levels)


def test_lowest_level() -> None:
    """It is what enrolment asks for at least."""
    assert [policy.lowest_level for policy in (STRICT, BALANCED, INCLUSIVE)] == [
        Level.HARDWARE,
        Level.VERIFIED,
        Level.SOFTWARE,
    ]


def test_software_stays_below_hardware_whatever_the_order_of_levels() -> None:
    """Levels are judged by their rank, not in the order somebody wrote them."""
    rule = AllOf((KeyOrigin(),))
    policy = Policy("p", {Level.SOFTWARE: rule, Level.HARDWARE: rule}, EVERY_CLAIM)
    assert judged(ANDROID, policy) == (Level.HARDWARE, [])
    software = replace(ANDROID, key_security=KeySecurity.SOFTWARE)
    split = Policy(
        "p", {Level.SOFTWARE: rule, Level.HARDWARE: AllOf((HardwareSecurity(),))}, EVERY_CLAIM
    )
    assert judged(software, split) == (Level.SOFTWARE, [])


def test_renewals_judge_a_version_that_is_stated_anew() -> None:
    """An app that was updated keeps its key; one that was downgraded is refused."""
    assert appraise_renewal(None, APPLE_APP) == ()
    assert appraise_renewal("1.10", APPLE_APP) == ()
    assert appraise_renewal("1.9", replace(APPLE_APP, minimum_version=None)) == ()
    (refusal,) = appraise_renewal("1.9", APPLE_APP)
    assert refusal.reason is Reason.POLICY_APP_VERSION


# What became known since the enrolment


def standing(**mutated: Any) -> Standing:
    """Return the standing of an instance of which nothing bad became known."""
    return replace(
        Standing("android-key", Level.HARDWARE, NOW - timedelta(days=400), key_attested=True),
        **mutated,
    )


def held_against(one: Standing, policy: Policy = BALANCED) -> list[Reason]:
    """Return the reasons against a renewal."""
    return [refusal.reason for refusal in appraise_standing(one, policy, Circumstances(NOW))]


def test_nothing_is_held_against_an_instance_in_good_standing() -> None:
    """A key that the vendor attested serves without end."""
    assert held_against(standing(revocation_known=True, risk_metric=3), STRICT) == []


def test_revoked_certificate_ends_renewals() -> None:
    """Whatever the policy; a status that nobody knows is no better."""
    for status in ("REVOKED", "WITHDRAWN"):
        withdrawn = standing(withdrawn=RevocationEntry(status, "KEY_COMPROMISE"))
        for policy in (STRICT, BALANCED, INCLUSIVE):
            assert held_against(withdrawn, policy) == [Reason.INSTANCE_WITHDRAWN]


def test_suspended_certificate_is_for_policy() -> None:
    """The rule that judges enrolments judges renewals."""
    suspended = standing(withdrawn=RevocationEntry("SUSPENDED", "SOFTWARE_FLAW"))
    assert held_against(suspended) == [Reason.POLICY_SUSPENDED]
    lax = Policy("p", {Level.HARDWARE: AllOf((HardwareSecurity(), Suspension(allowed=True)))})
    assert held_against(suspended, lax) == []


def test_missing_status_list_is_for_policy() -> None:
    """Fail closed refuses renewals too, of instances that have certificates to ask about."""
    assert held_against(standing(revocation_known=False), STRICT) == [
        Reason.POLICY_REVOCATION_UNKNOWN
    ]
    assert held_against(standing(revocation_known=False), BALANCED) == []
    assert held_against(standing(revocation_known=None), STRICT) == []


def test_risk_metric_that_rose_ends_renewals() -> None:
    """Apple's count comes after the enrolment."""
    policy = Policy("p", {Level.HARDWARE: AllOf((RiskMetric(most=5), RevocationKnown()))})
    assert held_against(standing(risk_metric=5), policy) == []
    assert held_against(standing(risk_metric=6), policy) == [Reason.POLICY_RISK_METRIC]


@pytest.mark.parametrize(("seconds", "stale"), [(0, False), (1, True)])
def test_verdict_without_an_attested_key_grows_stale(seconds: int, *, stale: bool) -> None:
    """After its time the app must bring fresh evidence, and not its own word alone."""
    at = NOW - timedelta(hours=24, seconds=seconds)
    verdict = standing(level=Level.VERIFIED, attested_at=at, key_attested=False)
    assert held_against(verdict) == ([Reason.INSTANCE_ATTESTATION_STALE] if stale else [])
    longer = replace(BALANCED, renew_by_key_for=timedelta(days=7))
    assert held_against(verdict, longer) == []


def test_level_that_is_no_longer_granted() -> None:
    """The next lower one's rules judge; below them all there is none."""
    play_only = Policy("p", {Level.VERIFIED: AllOf((DeviceIntegrity(), RiskMetric(most=5)))})
    assert held_against(standing(risk_metric=9), play_only) == [Reason.POLICY_RISK_METRIC]
    assert held_against(standing(), play_only) == []
    assert held_against(standing(level=Level.SOFTWARE), play_only) == [Reason.POLICY_LEVEL]
    bare = Policy("p", {Level.HARDWARE: AppIdentity()}, EVERY_CLAIM)
    assert held_against(standing(risk_metric=9), bare) == []


def test_everything_that_is_wrong_is_told() -> None:
    """Like at an enrolment."""
    bad = standing(
        withdrawn=RevocationEntry("REVOKED", "x"),
        key_attested=False,
        revocation_known=False,
        risk_metric=1000,
    )
    assert held_against(bad, STRICT) == [
        Reason.INSTANCE_WITHDRAWN,
        Reason.INSTANCE_ATTESTATION_STALE,
        Reason.POLICY_REVOCATION_UNKNOWN,
    ]
    own = Policy("p", {Level.HARDWARE: AllOf((RevocationKnown(), RiskMetric(most=5)))})
    assert held_against(bad, own)[-1] is Reason.POLICY_RISK_METRIC


@pytest.mark.parametrize("level", [Level.HARDWARE, Level.SOFTWARE])
@pytest.mark.parametrize(
    ("known", "reason"),
    [
        ({"withdrawn": RevocationEntry("SUSPENDED", "")}, Reason.POLICY_SUSPENDED),
        (
            {"distribution": Distribution.TESTFLIGHT, "app": APPLE_APP},
            Reason.POLICY_DISTRIBUTION,
        ),
    ],
)
def test_no_level_of_inclusive_forgets_what_became_known(
    level: Level, known: dict[str, Any], reason: Reason
) -> None:
    """The way in for Google's verdicts, which states nothing of the kind, isn't a way around."""
    standing = Standing("android-key", level, NOW, key_attested=True, **known)
    refusals = appraise_standing(standing, INCLUSIVE, Circumstances(NOW))
    assert [refusal.reason for refusal in refusals] == [reason]


def test_an_attested_instance_has_no_place_among_verdicts_of_google() -> None:
    """Where only levels are left that judge no renewal, it must enrol anew, if it can."""
    verdicts_only = Policy("p", {Level.VERIFIED: BALANCED.levels[Level.VERIFIED]})
    attested = Standing("android-key", Level.HARDWARE, NOW, key_attested=True)
    refusals = appraise_standing(attested, verdicts_only, Circumstances(NOW))
    assert [refusal.reason for refusal in refusals] == [Reason.POLICY_LEVEL]
    vouched = Standing("play-integrity", Level.VERIFIED, NOW)
    assert appraise_standing(vouched, verdicts_only, Circumstances(NOW)) == ()
