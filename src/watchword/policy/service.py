"""Appraise claims: carry out every rule and say which level they give."""

from watchword.attestation.claims import UnverifiedClaims, VerifiedClaims
from watchword.attestation.interface import AppRegistration
from watchword.policy.accounting import left_out, unaccounted
from watchword.policy.expressions import distance, judges_standing, signals_in
from watchword.policy.interface import (
    Circumstances,
    Finding,
    Policy,
    Rule,
    Standing,
    StandingRule,
    Verdict,
)
from watchword.policy.presets import BALANCED
from watchword.policy.rules.minimum_app_version import judge_version
from watchword.reasons import Reason, Refusal
from watchword.vocabulary import Level, Withdrawal

__all__ = [
    "BALANCED",
    "appraise",
    "appraise_renewal",
    "appraise_standing",
    "appraise_unverified",
    "standing_signals",
]


def appraise(
    claims: VerifiedClaims, app: AppRegistration, policy: Policy, circumstances: Circumstances
) -> Verdict:
    """Return the verdict on verified claims: the highest level whose rules hold."""
    return appraise_unverified(claims.claims, app, policy, circumstances)


def appraise_unverified(
    claims: UnverifiedClaims,
    app: AppRegistration | None,
    policy: Policy,
    circumstances: Circumstances,
) -> Verdict:
    """Return what the verdict would be if the claims were true: for reports, never for access.

    1. Levels are judged from the highest down; the first whose rules hold is granted.
    2. Where none is, the refusals are those of the level that the evidence came nearest to, the higher
       one of two; levels for other kinds of evidence don't count.
    3. What is granted is taken back where the evidence states something that nobody thought of.
    """
    found: dict[Level, Finding] = {}
    granted = Level.NONE
    for level in sorted(policy.levels, key=lambda level: level.rank, reverse=True):
        found[level] = policy.levels[level].judge(claims, app, circumstances)
        if not found[level].refusals:
            granted = level
            break
    short_of = {level: finding.refusals for level, finding in found.items() if finding.refusals}
    judged = granted if granted in found else min(found, key=lambda level: distance(found[level]))
    told = found[judged]
    unchecked = tuple(dict.fromkeys((*told.unchecked, *left_out(claims, policy, judged))))
    if granted is Level.NONE:
        return Verdict(granted, told.refusals, unchecked, short_of, told.signals)
    strange = unaccounted(claims, policy, granted)
    if strange:
        detail = f"got {', '.join(sorted(strange))}, expected a rule for it, or it under unchecked"
        refusals = (Refusal(Reason.POLICY_UNACCOUNTED, detail),)
        short_of[granted] = refusals
        return Verdict(Level.NONE, refusals, unchecked, short_of, told.signals)
    return Verdict(granted, (), unchecked, short_of, told.signals)


def appraise_renewal(stated_version: str | None, app: AppRegistration) -> tuple[Refusal, ...]:
    """Return what policy holds against a renewal; empty is acceptance.

    Only a version that the evidence states is judged anew: an app that was updated keeps its key,
    so that the version of its enrolment says nothing about today.
    """
    if stated_version is None or app.minimum_version is None:
        return ()
    return judge_version(stated_version, app.minimum_version)


def appraise_standing(
    standing: Standing, policy: Policy, circumstances: Circumstances
) -> tuple[Refusal, ...]:
    """Return what policy holds against an instance that renews: what became known since it enrolled.

    1. No certificate that vouched for it was revoked.
    2. Where the vendor attested no key, it vouched for the instance recently.
    3. The rules of its level that judge more than evidence hold: suspended certificates, a missing status
       list, the risk metric.  A level that the policy no longer grants is judged by the next lower one that has
       such rules; where none has, an instance whose key was attested has no level here any more.
    """
    refusals: list[Refusal] = []
    entry = standing.withdrawn
    if entry is not None and entry.status != Withdrawal.SUSPENDED:
        detail = "got a certificate that was revoked since, expected none"
        refusals.append(Refusal(Reason.INSTANCE_WITHDRAWN, detail))
    if not standing.key_attested:
        age = circumstances.now - standing.attested_at
        if age > policy.renew_by_key_for:
            hours = int(age.total_seconds() // 3600)
            most = int(policy.renew_by_key_for.total_seconds() // 3600)
            detail = f"got a verdict {hours} hours old, expected at most {most}"
            refusals.append(Refusal(Reason.INSTANCE_ATTESTATION_STALE, detail))
    rule = _standing_rule(standing, policy)
    if rule is None:
        detail = f"got {standing.level.value}, expected {policy.lowest_level.value}"
        return (*refusals, Refusal(Reason.POLICY_LEVEL, detail))
    if isinstance(rule, StandingRule):
        refusals += rule.judge_standing(standing)
    return tuple(refusals)


def standing_signals(standing: Standing, policy: Policy) -> tuple[Refusal, ...]:
    """Return what the rules hold against an instance that renews without refusing it."""
    rule = _standing_rule(standing, policy)
    return () if rule is None else signals_in(rule, standing)


def _standing_rule(standing: Standing, policy: Policy) -> Rule | None:
    """Return the rule of the highest level that the instance still has, None if it has none."""
    if standing.level in policy.levels:
        return policy.levels[standing.level]
    lower = sorted(
        (level for level in policy.levels if standing.level.satisfies(level)),
        key=lambda level: level.rank,
        reverse=True,
    )
    for level in lower:
        if judges_standing(policy.levels[level]) or not standing.key_attested:
            return policy.levels[level]
    return None
