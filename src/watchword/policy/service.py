"""Appraise claims: carry out every rule and say which level they give."""

from collections.abc import Sequence
from typing import Final

from watchword.attestation.interface import (
    AppRegistration,
    KeySecurity,
    UnverifiedClaims,
    VerifiedClaims,
)
from watchword.policy.interface import Rule, Verdict
from watchword.policy.rules.app_identity import AppIdentity
from watchword.policy.rules.hardware_security import HardwareSecurity
from watchword.policy.rules.key_origin import KeyOrigin
from watchword.policy.rules.key_purpose import KeyPurpose
from watchword.policy.rules.minimum_app_version import MinimumAppVersion, judge_version
from watchword.policy.rules.verified_boot import VerifiedBoot
from watchword.reasons import Refusal
from watchword.vocabulary import Level

DEFAULT_RULES: Final[tuple[Rule, ...]] = (
    AppIdentity(),
    MinimumAppVersion(),
    HardwareSecurity(),
    VerifiedBoot(),
    KeyOrigin(),
    KeyPurpose(),
)
"""What a genuine app on a device in its maker's state fulfils; a new rule gets a line here."""


def appraise(
    claims: VerifiedClaims, app: AppRegistration, rules: Sequence[Rule] = DEFAULT_RULES
) -> Verdict:
    """Return the verdict on verified claims: every rule is asked, every refusal is told.

    :raises ValueError: without any rule, since that would let everything pass.
    """
    return appraise_unverified(claims.claims, app, rules)


def appraise_unverified(
    claims: UnverifiedClaims, app: AppRegistration | None, rules: Sequence[Rule] = DEFAULT_RULES
) -> Verdict:
    """Return what the verdict would be if the claims were true: for reports, never for access.

    :raises ValueError: without any rule.
    """
    if not rules:
        raise ValueError("appraisal needs at least one rule")
    findings = [rule.judge(claims, app) for rule in rules]
    refusals = tuple(refusal for finding in findings for refusal in finding.refusals)
    unchecked = tuple(dict.fromkeys(name for finding in findings for name in finding.unchecked))
    return Verdict(Level.NONE if refusals else _level(claims), refusals, unchecked)


def appraise_renewal(stated_version: str | None, app: AppRegistration) -> tuple[Refusal, ...]:
    """Return what policy holds against a renewal; empty is acceptance.

    Only a version that the evidence states is judged anew: an app that was updated keeps its key,
    so that the version of its enrolment says nothing about today.
    """
    if stated_version is None or app.minimum_version is None:
        return ()
    return judge_version(stated_version, app.minimum_version)


def _level(claims: UnverifiedClaims) -> Level:
    """Return ``hardware`` where both keys live in hardware, else ``software``."""
    levels = {claims.attestation_security, claims.key_security}
    return Level.SOFTWARE if KeySecurity.SOFTWARE in levels else Level.HARDWARE
