"""Expressions: all and any keep the laws of logic, and tell of a refusal what helps."""

from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.policy.genuine import ANDROID, ANDROID_APP, APPLE, APPLE_APP, NOW, RECEIPT, TODAY

from watchword.attestation.claims import UnverifiedClaims
from watchword.attestation.interface import AppRegistration
from watchword.policy.interface import (
    MAX_DEPTH,
    AllOf,
    AnyOf,
    Circumstances,
    Claim,
    Finding,
    Policy,
    Rule,
    Signals,
    Standing,
    depth,
    judges_standing,
    signals_in,
)
from watchword.policy.rules.apple_system import AppleSystem
from watchword.policy.rules.risk_metric import RiskMetric
from watchword.policy.rules.sdk_version import SdkVersion
from watchword.policy.service import appraise_unverified
from watchword.reasons import Reason, Refusal
from watchword.vocabulary import Level

A, B, C = Reason.POLICY_APP_ID, Reason.POLICY_BOOT_KEY, Reason.POLICY_LICENSING


@dataclass(frozen=True)
class Says:
    """Be a rule that says the same of everything."""

    reasons: tuple[Reason, ...] = ()
    unchecked: tuple[str, ...] = ()
    foreign: bool = False
    looks_at: Claim = Claim.BOOT

    @property
    def accounts_for(self) -> frozenset[Claim]:
        """Return one claim."""
        return frozenset({self.looks_at})

    def judge(
        self, claims: UnverifiedClaims, app: AppRegistration | None, circumstances: Circumstances
    ) -> Finding:
        """Say it."""
        refusals = tuple(Refusal(reason, "wrong") for reason in self.reasons)
        return Finding(refusals, self.unchecked, self.foreign and bool(refusals))


HOLDS = Says()


def judged(rule: Rule) -> Finding:
    """Return what a rule says."""
    return rule.judge(ANDROID, ANDROID_APP, TODAY)


def holds(rule: Rule) -> bool:
    """Tell whether a rule holds."""
    return not judged(rule).refusals


def reasons(rule: Rule) -> list[Reason]:
    """Return the reasons that a rule refuses for."""
    return [refusal.reason for refusal in judged(rule).refusals]


says = st.builds(
    Says,
    st.lists(st.sampled_from([A, B, C]), max_size=3).map(tuple),
    st.lists(st.sampled_from(["x", "y"]), max_size=2).map(tuple),
    st.booleans(),
    st.sampled_from(Claim),
)
some = st.lists(says, min_size=1, max_size=4).map(tuple)


@given(some)
def test_all_holds_where_every_rule_does_and_any_where_one_does(rules: tuple[Says, ...]) -> None:
    """What all and any mean."""
    assert holds(AllOf(rules)) is all(holds(rule) for rule in rules)
    assert holds(AnyOf(rules)) is any(holds(rule) for rule in rules)


@given(some.flatmap(lambda rules: st.tuples(st.just(rules), st.permutations(rules))))
def test_order_doesnt_matter(orders: tuple[tuple[Says, ...], list[Says]]) -> None:
    """Whether an expression holds doesn't depend on the order of its rules."""
    rules, other = orders
    for kind in (AllOf, AnyOf):
        assert holds(kind(rules)) is holds(kind(tuple(other)))


@given(some, some)
def test_nesting_is_the_same_as_none(first: tuple[Says, ...], second: tuple[Says, ...]) -> None:
    """All of all is all, any of any is any; a single rule in either is the rule."""
    for kind in (AllOf, AnyOf):
        assert holds(kind((kind(first), kind(second)))) is holds(kind((*first, *second)))
        assert judged(kind(first[:1])).refusals == judged(first[0]).refusals


@given(some, some)
def test_any_of_all_is_as_lax_as_its_laxest(
    first: tuple[Says, ...], second: tuple[Says, ...]
) -> None:
    """An alternative lets more in, never less; a further rule lets in less, never more."""
    assert holds(AnyOf((AllOf(first), AllOf(second)))) >= holds(AllOf(first))
    assert holds(AllOf((*first, *second))) <= holds(AllOf(first))


@given(some)
def test_both_account_for_what_their_rules_look_at(rules: tuple[Says, ...]) -> None:
    """Nothing that a rule looks at is lost in an expression."""
    wanted = {rule.looks_at for rule in rules}
    assert AllOf(rules).accounts_for == AnyOf(rules).accounts_for == wanted


@given(some, says, st.sampled_from([Level.HARDWARE, Level.VERIFIED, Level.SOFTWARE]))
def test_a_further_rule_never_raises_the_level(
    rules: tuple[Says, ...], rule: Says, level: Level
) -> None:
    """Adding a rule to one level leaves the verdict as it was or lowers it."""
    unchecked = frozenset(Claim)
    policy = Policy("p", {level: AllOf(rules), Level.SOFTWARE: AllOf(rules[:1])}, unchecked)
    more = Policy("p", {**policy.levels, level: AllOf((*rules, rule))}, unchecked)
    before = appraise_unverified(ANDROID, ANDROID_APP, policy, TODAY).level
    after = appraise_unverified(ANDROID, ANDROID_APP, more, TODAY).level
    assert before.satisfies(after)


def test_all_tells_every_refusal_in_order() -> None:
    """Whoever is refused for three things is told of three."""
    rule = AllOf((Says((A,)), HOLDS, Says((B, C))))
    assert reasons(rule) == [A, B, C]


def test_all_tells_of_foreign_evidence_that_alone() -> None:
    """What else it lacks follows from being another kind of evidence."""
    rule = AllOf((Says((A,)), Says((B,), foreign=True), Says((C,))))
    assert reasons(rule) == [B]
    assert judged(rule).foreign


def test_any_tells_the_nearest_alternative() -> None:
    """The fewest refusals, the first of equals; evidence of another kind is farthest."""
    near, far = AllOf((Says((A,)), HOLDS)), AllOf((Says((B,)), Says((C,))))
    assert reasons(AnyOf((far, near))) == [A]
    assert reasons(AnyOf((Says((B,)), Says((A,))))) == [B]
    assert reasons(AnyOf((Says((C,), foreign=True), far))) == [B, C]
    (refusal,) = judged(AnyOf((far, near))).refusals
    assert refusal.detail == "wrong (nearest of 2 ways)"
    assert judged(AnyOf((near,))).refusals[0].detail == "wrong"
    assert judged(AnyOf((Says((A,), foreign=True), Says((B,), foreign=True)))).foreign


def test_any_says_what_the_alternative_that_holds_left_unchecked() -> None:
    """Not what the other one would have left."""
    rule = AnyOf((Says((A,), ("x",)), Says((), ("y",))))
    assert judged(rule) == Finding(unchecked=("y",))


@pytest.mark.parametrize("kind", [AllOf, AnyOf])
def test_expressions_without_rules_dont_exist(kind: type[AllOf] | type[AnyOf]) -> None:
    """All of nothing lets everything pass, any of nothing lets nothing."""
    with pytest.raises(ValueError, match="at least one rule"):
        kind(())


def test_depth_is_bounded() -> None:
    """What is nested deeper than a person reads isn't a policy."""
    rule: Rule = HOLDS
    for level in range(1, MAX_DEPTH + 1):
        rule = AllOf((HOLDS, rule))
        assert depth(rule) == level
    with pytest.raises(ValueError, match=f"at most {MAX_DEPTH}"):
        AnyOf((HOLDS, rule))


def test_standing_goes_through_expressions() -> None:
    """A risk metric is judged at renewals wherever the rule stands; ways in that can't judge don't count."""
    standing = Standing("app-attest", Level.HARDWARE, NOW, risk_metric=30)
    low, high = RiskMetric(most=10), RiskMetric(most=50)
    assert [each.reason for each in AllOf((HOLDS, low)).judge_standing(standing)] == [
        Reason.POLICY_RISK_METRIC
    ]
    assert AnyOf((low, high)).judge_standing(standing) == ()
    assert AnyOf((low, HOLDS)).judge_standing(standing) != ()
    assert AnyOf((low, AllOf((HOLDS,)))).judge_standing(standing) != ()
    assert AnyOf((HOLDS, AllOf((HOLDS,)))).judge_standing(standing) == ()
    assert AllOf((HOLDS, AnyOf((low, AllOf((low,)))))).judge_standing(standing) != ()


OLD, MANY = AppleSystem(least="99"), RiskMetric(most=10)


def test_a_signal_alone_refuses_nothing_and_two_do() -> None:
    """Rules that only tell count as signs too; what can't be stated is none."""
    busy = replace(APPLE, receipt=replace(RECEIPT, risk_metric=30))
    alone = Signals((MANY,)).judge(busy, APPLE_APP, TODAY)
    assert (alone.refusals, [each.reason for each in alone.signals]) == (
        (),
        [Reason.POLICY_RISK_METRIC],
    )
    both = Signals((MANY, OLD)).judge(busy, APPLE_APP, TODAY)
    assert [each.reason for each in both.refusals] == [
        Reason.POLICY_RISK_METRIC,
        Reason.POLICY_APPLE_SYSTEM,
    ]
    assert both.signals == ()
    apart = AllOf((Signals((MANY,)), Signals((OLD,)))).judge(busy, APPLE_APP, TODAY)
    assert apart.refusals == ()
    assert len(apart.signals) == 2
    assert Signals((MANY, OLD)).judge(APPLE, APPLE_APP, TODAY).refusals == ()
    foreign = Signals((SdkVersion(least=99), MANY)).judge(busy, APPLE_APP, TODAY)
    assert foreign.refusals == ()
    assert not foreign.foreign


def test_signals_of_a_standing() -> None:
    """A renewal is told the same way; what stands outside of signals refuses as ever."""
    standing = Standing("app-attest", Level.HARDWARE, NOW, risk_metric=30)
    rule = AllOf((HOLDS, Signals((MANY, OLD))))
    assert rule.judge_standing(standing) == ()
    assert [each.reason for each in signals_in(rule, standing)] == [Reason.POLICY_RISK_METRIC]
    twice = Signals((MANY, AllOf((RiskMetric(most=20),))))
    assert len(twice.judge_standing(standing)) == 2
    assert signals_in(twice, standing) == ()
    assert signals_in(MANY, standing) == ()
    assert judges_standing(rule)
