"""Appraise claims: carry out every rule and say which level they give.

Account for every claim: what evidence states is checked, left out on purpose, or an alarm.
"""

from collections.abc import Callable, Mapping
from typing import Final

from watchword.attestation.claims import (
    AppleClaims,
    KeySecurity,
    PatchLevels,
    PlayVerdicts,
    UnverifiedClaims,
    VerifiedClaims,
)
from watchword.attestation.interface import AppRegistration
from watchword.policy.interface import (
    Circumstances,
    Claim,
    Finding,
    Policy,
    Rule,
    Standing,
    Verdict,
    distance,
    judges_standing,
    signals_in,
    standing_judge,
)
from watchword.policy.registry import BALANCED
from watchword.policy.rules.minimum_app_version import judge_version
from watchword.reasons import Reason, Refusal
from watchword.vocabulary import Level, Withdrawal

FIELDS: Final[Mapping[str, Claim | str]] = {
    "format": "says how the evidence was verified; a level's rules tell formats apart by their claims",
    "platform": "the platform of the registered app, which the verification compares",
    "public_key": "the key itself; where it lives is key_security",
    "attestation_security": Claim.KEY_SECURITY,
    "key_security": Claim.KEY_SECURITY,
    "certified_security": Claim.KEY_SECURITY,
    "anchor": "the verification refuses evidence under no anchor",
    "app": Claim.APP_ID,
    "app.ids": Claim.APP_ID,
    "app.versions": Claim.APP_VERSION,
    "app.signing_digests": Claim.SIGNING_DIGESTS,
    "boot": Claim.BOOT,
    "boot.device_locked": Claim.BOOT,
    "boot.state": Claim.BOOT,
    "boot.verified_boot_key": Claim.BOOT,
    "boot.verified_boot_hash": "names one build of a system; the key that signed it is judged",
    "key_generated": Claim.KEY_ORIGIN,
    "key_signs": Claim.KEY_PURPOSE,
    "counter": "the verification refuses another than 0; the store compares it at renewals",
    "patches": Claim.PATCH_LEVELS,
    "patches.os_version": "makers update old versions; the patch levels say how recent a system is",
    "patches.system": Claim.PATCH_LEVELS,
    "patches.vendor": Claim.PATCH_LEVELS,
    "patches.boot": Claim.PATCH_LEVELS,
    "provisioning": Claim.PROVISIONING,
    "attest_key": Claim.ATTEST_KEY,
    "incoherent": Claim.COHERENCE,
    "device_key": Claim.DEVICE_VELOCITY,
    "attester_serial": Claim.SERIAL_FAN_OUT,
    "serials": "kept with the instance, for later revocations",
    "model": "for people and statistics; a device may call itself as it likes",
    "revocation": Claim.REVOCATION,
    "revocation.known": Claim.REVOCATION,
    "revocation.list_digest": "names the list, for replays",
    "revocation.suspended": Claim.SUSPENSION,
    "receipt": Claim.RECEIPT,
    "receipt.kind": "an ATTEST receipt differs from a RECEIPT by having no risk metric",
    "receipt.app_id": "the verification compares it with the app",
    "receipt.created_at": "the verification judges its age",
    "receipt.risk_metric": Claim.RISK_METRIC,
    "receipt.refresh_after": "says when to ask for a newer one",
    "receipt.expires_at": "says until when to ask for a newer one",
    "receipt_fault": Claim.RECEIPT,
    "apple": Claim.APPLE_PLATFORM,
    "apple.platform": Claim.APPLE_PLATFORM,
    "apple.key_access": Claim.KEY_ACCESS,
    "apple.distribution": Claim.DISTRIBUTION,
    "apple.os_version": Claim.APPLE_SYSTEM,
    "apple.os_build": Claim.APPLE_SYSTEM,
    "play": Claim.APP_RECOGNITION,
    "play.request": "the verification compares nonce or request hash",
    "play.requested_at": "the verification judges its age",
    "play.app_recognition": Claim.APP_RECOGNITION,
    "play.device_labels": Claim.DEVICE_INTEGRITY,
    "play.licensing": Claim.LICENSING,
    "play.sdk_version": Claim.SDK_VERSION,
    "play.recent_activity": Claim.RECENT_ACTIVITY,
    "play.app_access_risk": Claim.APP_ACCESS_RISK,
    "play.play_protect": Claim.PLAY_PROTECT,
    "play.recalled": Claim.DEVICE_RECALL,
    "play.testing": Claim.TESTING_RESPONSE,
    "provider": Claim.PROVIDER_VERDICT,
    "fields": "the vendor's own words, for people; what matters of them stands in other fields",
    "leniencies": "deviations that the verification let pass, each by name",
    "unchecked": "what the verification left out, each by name",
}
"""By field of the claims: the claim that it makes, or why it makes none.

A test holds this table to the fields there are, so that a new one can't be forgotten.
"""


def _apple(states: Callable[[AppleClaims], bool]) -> Callable[[UnverifiedClaims], bool]:
    return lambda claims: claims.apple is not None and states(claims.apple)


def _play(states: Callable[[PlayVerdicts], bool]) -> Callable[[UnverifiedClaims], bool]:
    return lambda claims: claims.play is not None and states(claims.play)


_STATED: Final[Mapping[Claim, Callable[[UnverifiedClaims], bool]]] = {
    Claim.APP_ID: lambda claims: claims.app is not None,
    Claim.SIGNING_DIGESTS: lambda claims: bool(claims.app and claims.app.signing_digests),
    Claim.APP_VERSION: lambda claims: bool(claims.app and claims.app.versions),
    Claim.KEY_SECURITY: lambda claims: (
        {claims.key_security, claims.attestation_security} != {KeySecurity.UNATTESTED}
    ),
    # Whoever attests a key says these of it, be it by silence.
    Claim.KEY_ORIGIN: lambda claims: claims.public_key is not None or claims.key_generated,
    Claim.KEY_PURPOSE: lambda claims: claims.public_key is not None or claims.key_signs,
    Claim.BOOT: lambda claims: claims.boot is not None,
    Claim.PATCH_LEVELS: lambda claims: claims.patches not in {None, PatchLevels()},
    Claim.PROVISIONING: lambda claims: claims.provisioning is not None,
    Claim.ATTEST_KEY: lambda claims: claims.attest_key,
    Claim.COHERENCE: lambda claims: bool(claims.incoherent),
    Claim.REVOCATION: lambda claims: claims.revocation is not None,
    Claim.SUSPENSION: lambda claims: bool(claims.revocation and claims.revocation.suspended),
    Claim.RECEIPT: lambda claims: claims.receipt is not None or claims.receipt_fault is not None,
    Claim.RISK_METRIC: lambda claims: (
        claims.receipt is not None and claims.receipt.risk_metric is not None
    ),
    Claim.APPLE_PLATFORM: _apple(lambda apple: apple.platform is not None),
    Claim.KEY_ACCESS: _apple(lambda apple: apple.key_access is not None),
    Claim.DISTRIBUTION: _apple(lambda apple: apple.distribution is not None),
    Claim.APPLE_SYSTEM: _apple(lambda apple: (apple.os_version, apple.os_build) != (None, None)),
    Claim.DEVICE_VELOCITY: lambda claims: claims.device_key is not None,
    Claim.SERIAL_FAN_OUT: lambda claims: claims.attester_serial is not None,
    Claim.APP_RECOGNITION: lambda claims: claims.play is not None,
    # A device without any label is the one that matters.
    Claim.DEVICE_INTEGRITY: lambda claims: claims.play is not None,
    Claim.LICENSING: _play(lambda play: play.licensing is not None),
    Claim.SDK_VERSION: _play(lambda play: play.sdk_version is not None),
    Claim.RECENT_ACTIVITY: _play(lambda play: play.recent_activity is not None),
    Claim.APP_ACCESS_RISK: _play(lambda play: play.app_access_risk is not None),
    Claim.PLAY_PROTECT: _play(lambda play: play.play_protect is not None),
    Claim.DEVICE_RECALL: _play(lambda play: play.recalled is not None),
    Claim.TESTING_RESPONSE: _play(lambda play: play.testing),
    Claim.PROVIDER_VERDICT: lambda claims: claims.provider is not None,
}


def stated(claims: UnverifiedClaims) -> frozenset[Claim]:
    """Return the claims that the evidence makes."""
    return frozenset(claim for claim, states in _STATED.items() if states(claims))


def unaccounted(claims: UnverifiedClaims, policy: Policy, granted: Level) -> frozenset[Claim]:
    """Return what the evidence states and nobody thought of: no rule's of the level, and not left out on purpose.

    Only the level's own rules count: one that another level has says nothing of what is granted here.
    """
    return stated(claims) - policy.levels[granted].accounts_for - policy.unchecked


def left_out(claims: UnverifiedClaims, policy: Policy, judged: Level) -> tuple[str, ...]:
    """Return by name what the evidence states and the policy leaves out on purpose at a level."""
    names = stated(claims) & policy.unchecked - policy.levels[judged].accounts_for
    return tuple(sorted(claim.value for claim in names))


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
    if (judge := standing_judge(rule)) is not None:
        refusals += judge(standing)
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
