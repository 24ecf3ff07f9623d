"""Accounting: whatever evidence states is checked, left out on purpose, or an alarm."""

from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from typing import Any, get_args, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.policy.genuine import (
    ANDROID,
    ANDROID_APP,
    APPLE,
    GENUINE,
    PHONE,
    PLAY,
    PROVIDER,
    RECEIPT,
    TODAY,
)

from watchword.attestation.claims import PatchLevels, RevocationClaims, UnverifiedClaims
from watchword.policy.interface import AllOf, Claim, Policy, Rule
from watchword.policy.registry import PRESETS, RECORDED, RULES
from watchword.policy.rules.app_identity import AppIdentity
from watchword.policy.rules.key_origin import KeyOrigin
from watchword.policy.rules.provider_verdict import ProviderVerdict
from watchword.policy.rules.verified_boot import VerifiedBoot
from watchword.policy.service import FIELDS, appraise_unverified, left_out, stated, unaccounted
from watchword.reasons import Reason
from watchword.vocabulary import Level


def claim_fields(kind: Any = UnverifiedClaims, prefix: str = "") -> Iterator[str]:
    """Yield every field of the claims, those of their parts behind a dot."""
    for name, hint in get_type_hints(kind).items():
        yield prefix + name
        for part in (hint, *get_args(hint)):
            if is_dataclass(part):
                yield from claim_fields(part, f"{prefix}{name}.")


def test_every_field_of_the_claims_is_a_claim_or_says_why_not() -> None:
    """A new field fails here until somebody decides what it means for policy."""
    assert sorted(FIELDS) == sorted(claim_fields())
    assert all(isinstance(value, Claim) or len(value) > 15 for value in FIELDS.values())


def test_every_claim_has_a_field_and_a_rule() -> None:
    """No claim is only a word."""
    assert {value for value in FIELDS.values() if isinstance(value, Claim)} == set(Claim)
    looked_at: set[Claim] = set()
    for rule in RULES.values():
        looked_at |= vars(rule)["accounts_for"]
    assert looked_at == set(Claim)


EVERYTHING = replace(
    ANDROID,
    attest_key=True,
    incoherent=("versions",),
    revocation=RevocationClaims(known=True, suspended=("ab",)),
    receipt=replace(RECEIPT, risk_metric=3),
    play=None if PLAY.play is None else replace(PLAY.play, testing=True),
    provider=PROVIDER.provider,
    apple=PHONE,
)


def test_everything_is_stated_where_everything_is_there() -> None:
    """Claims with every field set state every claim."""
    assert stated(EVERYTHING) == set(Claim)


@pytest.mark.parametrize(
    ("claim", "silent"),
    [
        (Claim.BOOT, {"boot": None}),
        (Claim.PATCH_LEVELS, {"patches": PatchLevels()}),
        (Claim.PROVISIONING, {"provisioning": None}),
        (Claim.APPLE_PLATFORM, {"apple": replace(PHONE, platform=None)}),
        (Claim.KEY_ACCESS, {"apple": replace(PHONE, key_access=None)}),
        (Claim.DISTRIBUTION, {"apple": replace(PHONE, distribution=None)}),
        (Claim.APPLE_SYSTEM, {"apple": replace(PHONE, os_version=None, os_build=None)}),
        (Claim.ATTEST_KEY, {"attest_key": False}),
        (Claim.SUSPENSION, {"revocation": RevocationClaims(known=True)}),
        (Claim.DEVICE_VELOCITY, {"device_key": None}),
        (Claim.SERIAL_FAN_OUT, {"attester_serial": None}),
        (Claim.PROVIDER_VERDICT, {"provider": None}),
        (Claim.RISK_METRIC, {"receipt": RECEIPT}),
    ],
)
def test_what_isnt_there_isnt_stated(claim: Claim, silent: dict[str, Any]) -> None:
    """One claim goes with its field, and no other."""
    assert stated(EVERYTHING) - stated(replace(EVERYTHING, **silent)) == {claim}


def test_formats_state_their_own() -> None:
    """Neither a verdict of Google's nor an own provider's states anything of a key."""
    key = {Claim.KEY_SECURITY, Claim.KEY_ORIGIN, Claim.KEY_PURPOSE}
    assert key <= stated(ANDROID)
    assert key <= stated(APPLE)
    assert not key & (stated(PLAY) | stated(PROVIDER))
    assert stated(replace(APPLE, receipt=None, receipt_fault="bad")) >= {Claim.RECEIPT}


def test_unaccounted_evidence_is_refused_and_names_what_it_states() -> None:
    """A provider's word that no rule looks at is an alarm, not something to pass over."""
    policy = Policy("p", {Level.SOFTWARE: AllOf((AppIdentity(),))})
    verdict = appraise_unverified(PROVIDER, ANDROID_APP, policy, TODAY)
    assert verdict.level is Level.NONE
    assert [refusal.reason for refusal in verdict.refusals] == [Reason.POLICY_UNACCOUNTED]
    assert "app_version, provider_verdict" in verdict.refusals[0].detail
    rule = AllOf((AppIdentity(), ProviderVerdict("verdict", "clean")))
    good = Policy("p", {Level.SOFTWARE: rule}, frozenset({Claim.APP_VERSION}))
    verdict = appraise_unverified(PROVIDER, ANDROID_APP, good, TODAY)
    assert (verdict.level, verdict.refusals) == (Level.SOFTWARE, ())
    assert verdict.unchecked == ("app_version",)


def test_what_is_left_out_on_purpose_is_told() -> None:
    """Where the evidence states it, and no rule of the level looks at it."""
    unchecked = frozenset({Claim.BOOT, Claim.LICENSING, Claim.APP_ID})
    levels: dict[Level, Rule] = {
        Level.HARDWARE: VerifiedBoot(),
        Level.SOFTWARE: AllOf((AppIdentity(),)),
    }
    policy = Policy("p", levels, unchecked)
    assert left_out(ANDROID, policy, Level.SOFTWARE) == ("boot",)
    assert left_out(ANDROID, policy, Level.HARDWARE) == ("app_id",)
    assert left_out(PLAY, policy, Level.SOFTWARE) == ("licensing",)


def test_a_rule_of_another_level_accounts_for_nothing() -> None:
    """What is granted must have been looked at where it is granted."""
    levels: dict[Level, Rule] = {
        Level.HARDWARE: AllOf((KeyOrigin(),)),
        Level.SOFTWARE: AllOf((VerifiedBoot(),)),
    }
    unchecked = stated(ANDROID) - {Claim.BOOT, Claim.KEY_ORIGIN}
    verdict = appraise_unverified(ANDROID, ANDROID_APP, Policy("p", levels, unchecked), TODAY)
    assert verdict.level is Level.NONE
    assert [refusal.reason for refusal in verdict.refusals] == [Reason.POLICY_UNACCOUNTED]
    assert "boot" in verdict.refusals[0].detail


def test_a_device_without_labels_states_that() -> None:
    """The worst device isn't the one that raises no alarm."""
    assert PLAY.play is not None
    bare = replace(PLAY, play=replace(PLAY.play, device_labels=frozenset()))
    assert Claim.DEVICE_INTEGRITY in stated(bare)


@pytest.mark.parametrize("kind", ["android-key", "app-attest", "play-integrity"])
@pytest.mark.parametrize("policy", [*PRESETS.values(), RECORDED], ids=lambda policy: policy.name)
def test_ready_made_policies_know_all_that_is_built_in(policy: Policy, kind: str) -> None:
    """A built-in format that can be granted a level is no alarm, whatever it states."""
    claims, app = GENUINE[kind]
    verdict = appraise_unverified(claims, app, policy, TODAY)
    assert Reason.POLICY_UNACCOUNTED not in {refusal.reason for refusal in verdict.refusals}
    if verdict.level is not Level.NONE:
        assert unaccounted(claims, policy, verdict.level) == frozenset()


@given(
    st.fixed_dictionaries(
        {
            each.name: st.sampled_from(
                [
                    getattr(other, each.name)
                    for other in (EVERYTHING, ANDROID, APPLE, PLAY, PROVIDER)
                ]
            )
            for each in fields(UnverifiedClaims)
        }
    ),
    st.sampled_from([*PRESETS.values(), RECORDED]),
)
def test_accounting_is_total(mixed: dict[str, Any], policy: Policy) -> None:
    """Whatever mixture of claims is granted a level, each of them was thought of."""
    claims = UnverifiedClaims(**mixed)
    verdict = appraise_unverified(claims, ANDROID_APP, policy, TODAY)
    if verdict.level is not Level.NONE:
        looked_at = policy.levels[verdict.level].accounts_for
        assert stated(claims) <= looked_at | policy.unchecked
    assert (verdict.level is Level.NONE) is bool(verdict.refusals)
