"""Report what verification comes to, of evidence and of receipts: step by step, what was wanted and found, and what can be done about it."""

import hashlib
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final

from watchword.apps.evidence.records import claims_to_document
from watchword.apps.problems import text_of
from watchword.attestation import receipts
from watchword.attestation.attestation_object import LENIENT_EXTENSIONS, read_assertion
from watchword.attestation.certificates import Certificate, read_certificate
from watchword.attestation.claims import UnverifiedClaims
from watchword.attestation.formats import android_key, app_attest
from watchword.attestation.interface import (
    AppRegistration,
    Attestation,
    Expected,
    Step,
    Trust,
)
from watchword.attestation.key_description import LENIENT_BOOLEAN, LENIENT_ORDER
from watchword.attestation.receipts import RECEIPT_AGE, Receipt, Signed, SignedData
from watchword.attestation.registry import examine
from watchword.policy.interface import Circumstances, Policy, Verdict
from watchword.policy.registry import BALANCED
from watchword.policy.service import appraise_unverified
from watchword.reasons import MalformedError, Reason, Refusal, codes
from watchword.vocabulary import Level

OK: Final = "ok"
FAILED: Final = "failed"
NOT_CHECKED: Final = "not checked"

GRANTED: Final = "granted"
NOT_GRANTED: Final = "not granted"
NOT_NEEDED: Final = "not needed"
"""Of a level below the one that was granted."""

TO_NOBODY: Final = "granted to nobody"
OTHER_EVIDENCE: Final = "for other evidence"
"""Of a level for which evidence of this kind can't state what is wanted; nothing is wrong with it."""

_LINK: Final = re.compile(r"\[([^\]]+)\]\([^)]*\)")


def advice_of(refusal: Refusal) -> str:
    """Return what a reason means and what to do about it, without the links of the page it comes from."""
    return _LINK.sub(r"\1", text_of(refusal.reason.code)).replace("`", "")


def state_of(step: Step) -> str:
    """Return in a word how a step ended."""
    if step.refusals:
        return FAILED
    return OK if step.checked else NOT_CHECKED


def levels_of(
    policy: Policy, verdict: Verdict, foreign: Collection[Level], *, is_verified: bool
) -> Mapping[Level, str]:
    """Return how it stands with each level, from the highest down.

    :param foreign: levels that policy grants to evidence of another kind only.
    :param is_verified: every step held; else no level is granted, whatever policy says.
    """
    granted = verdict.level if is_verified else Level.NONE
    states = {}
    for level in sorted(set(Level) - {Level.NONE}, key=lambda level: -level.rank):
        if level is granted:
            states[level] = GRANTED
        elif level not in policy.levels:
            states[level] = TO_NOBODY
        elif level.rank < granted.rank:
            states[level] = NOT_NEEDED
        else:
            states[level] = OTHER_EVIDENCE if level in foreign else NOT_GRANTED
    return states


def steps_to_document(steps: Sequence[Step]) -> list[dict[str, Any]]:
    """Return the steps as they are printed with ``--json``."""
    return [
        {
            "number": step.number,
            "title": step.title,
            "state": state_of(step),
            "wanted": step.wanted,
            "found": step.found,
            "refusals": refusals_to_document(step.refusals),
        }
        for step in steps
    ]


def refusals_to_document(refusals: Iterable[Refusal]) -> list[dict[str, str]]:
    """Return refusals with what to do about each."""
    return [
        {"reason": each.reason.code, "detail": each.detail, "text": advice_of(each)}
        for each in refusals
    ]


ACCEPT: Final = "accept"
REJECT: Final = "reject"

LENIENCIES: Final[Mapping[str, str]] = {
    android_key.LENIENT_EXPIRED: "a factory's certificate isn't valid now, and can't be renewed",
    android_key.LENIENT_NOT_CA: "the factory's attestation certificate isn't marked as a CA",
    android_key.LENIENT_ISSUER_TITLE: "the leaf names its issuer without the title in its certificate",
    android_key.LENIENT_ATTEST_KEY: "a key of the app that attests others isn't marked as a CA",
    LENIENT_BOOLEAN: "TRUE was written as another byte than FF",
    LENIENT_ORDER: "the tags of an authorization list don't ascend",
    LENIENT_EXTENSIONS: "iOS 27 adds a map without the flag that announces one",
    receipts.LENIENT_ATTRIBUTES: "the receipt's signature is over its content, not its attributes",
}
"""What each deviation that may be let pass means, in a clause for people."""

_SHOWN_BYTES: Final = 16
"""How much is shown of bytes that were compared; enough to see which ones they are."""


@dataclass(frozen=True, slots=True)
class EvidenceReport:
    """Hold the outcome of verifying and appraising one piece of evidence.

    :param claims: what the evidence says; proven only where the verdict is ``accept``.
    :param steps: what the verification did; empty for assertions, which are verified as a whole.
    :param policy: who appraised, None where there were no claims to appraise; ``short_of`` says why it
        grants no higher level, ``levels`` how it stands with each.
    :param signals: what the policy holds against it without refusing it.
    """

    id: str
    level: Level
    refusals: tuple[Refusal, ...]
    claims: Mapping[str, Any] | None
    unchecked: tuple[str, ...] = ()
    leniencies: tuple[str, ...] = ()
    steps: tuple[Step, ...] = ()
    policy: str | None = None
    levels: Mapping[Level, str] = field(default_factory=dict)
    short_of: Mapping[Level, tuple[Refusal, ...]] = field(default_factory=dict)
    signals: tuple[Refusal, ...] = ()

    @property
    def accepted(self) -> bool:
        """Tell whether nothing was wrong."""
        return not self.refusals

    @property
    def reasons(self) -> list[str]:
        """Return the codes of everything that is wrong, each once, in order."""
        return codes(self.refusals)

    def as_dict(self) -> dict[str, Any]:
        """Return the report as it is printed with ``--json``."""
        return {
            "id": self.id,
            "verdict": ACCEPT if self.accepted else REJECT,
            "level": self.level.value,
            "reasons": self.reasons,
            "claims": self.claims,
            "unchecked": list(self.unchecked),
            "leniencies": list(self.leniencies),
            "steps": steps_to_document(self.steps),
            "policy": self.policy,
            "levels": {level.value: state for level, state in self.levels.items()},
            "short_of": {
                level.value: refusals_to_document(refusals)
                for level, refusals in self.short_of.items()
                if level in self.levels
            },
            "signals": refusals_to_document(self.signals),
        }


def report_attestation(
    name: str,
    evidence: Attestation,
    expected: Expected,
    trust: Trust,
    now: datetime,
    policy: Policy = BALANCED,
) -> EvidenceReport:
    """Verify and appraise evidence that enrols; unlike the service, say all that is wrong."""
    examination = examine(evidence, expected, trust, now)
    claims = examination.claims
    steps = tuple(_explain_step(step, claims, expected) for step in examination.steps)
    refusals = tuple(refusal for step in steps for refusal in step.refusals)
    if claims is None:
        return EvidenceReport(name, Level.NONE, refusals, None, steps=steps)
    circumstances = Circumstances(now)
    verdict = appraise_unverified(claims, expected.app, policy, circumstances)
    foreign = [
        level
        for level, rule in policy.levels.items()
        if rule.judge(claims, expected.app, circumstances).foreign
    ]
    told = {refusal.reason for refusal in refusals}
    # On iOS the app is judged by both: the signed hash alone names it.
    refusals += tuple(each for each in verdict.refusals if each.reason not in told)
    return EvidenceReport(
        id=name,
        level=Level.NONE if refusals else verdict.level,
        refusals=refusals,
        claims=claims_to_document(claims),
        unchecked=tuple(dict.fromkeys((*claims.unchecked, *verdict.unchecked))),
        leniencies=claims.leniencies,
        steps=steps,
        policy=policy.name,
        levels=levels_of(policy, verdict, foreign, is_verified=not examination.refusals),
        short_of=verdict.short_of,
        signals=verdict.signals,
    )


def report_assertion(
    name: str,
    assertion: bytes,
    client_data_hash: bytes,
    public_key: bytes,
    app: AppRegistration | None,
) -> EvidenceReport:
    """Verify an App Attest assertion under a key that was attested earlier."""
    try:
        data, _, _ = read_assertion(assertion)
        examination = app_attest.examine_assertion(assertion, client_data_hash, public_key, app)
    except MalformedError as error:
        return EvidenceReport(name, Level.NONE, error.refusals, None)
    return EvidenceReport(
        id=name,
        level=Level.NONE if examination.refusals else Level.HARDWARE,
        refusals=examination.refusals,
        claims={
            "format": app_attest.NAME,
            "counter": data.counter,
            "app_version": data.app_version,
            "distribution": data.distribution,
            "fields": {
                "rp_id_hash": data.rp_id_hash.hex(),
                "flags": data.flags,
                "counter": data.counter,
                "trailing": data.trailing_raw.hex(),
            },
        },
        # Nothing here knows the counter of the assertion before.
        unchecked=("counter",) if app is not None else ("app", "counter"),
        leniencies=data.leniencies,
    )


def _explain_step(step: Step, claims: UnverifiedClaims | None, expected: Expected) -> Step:
    """Return a step whose refusals say what only a person at a command line is told.

    A service keeps challenges to itself; here they are the person's own.
    """
    told = tuple(_explain(refusal, claims, expected) for refusal in step.refusals)
    return replace(step, refusals=told)


def _explain(refusal: Refusal, claims: UnverifiedClaims | None, expected: Expected) -> Refusal:
    if refusal.reason is Reason.ATTESTATION_ANCHOR_UNKNOWN:
        return Refusal(refusal.reason, f"{refusal.detail}; --anchors names others")
    if refusal.reason is Reason.ATTESTATION_BINDING:
        return Refusal(refusal.reason, _binding_detail(claims, expected) or refusal.detail)
    return refusal


def _binding_detail(claims: UnverifiedClaims | None, expected: Expected) -> str:
    """Return which challenge was got and which was expected; empty where that can't be told."""
    if claims is None or expected.binding is None:
        return ""
    wanted = _short(expected.binding.hex())
    if claims.format == android_key.NAME:
        return (
            f"got the challenge {_short(claims.fields['attestationChallenge'])}, expected {wanted}"
        )
    if claims.format != app_attest.NAME:
        return ""
    # What was hashed into a nonce can't be read out of it.
    return f"got the nonce {_short(claims.fields['nonce'])}, not one over client data hash {wanted}"


def _short(text: str) -> str:
    """Return hex cut to what people compare, with its length."""
    shown = text[: 2 * _SHOWN_BYTES]
    return f"{shown}{'...' if shown != text else ''} ({len(text) // 2} bytes)"


INVALID: Final = "InvalidSignature"
"""What is recorded for a signature that doesn't hold by the letter of RFC 5652."""


def report_receipt(name: str, receipt: bytes, trust: Trust) -> EvidenceReport:
    """Verify a receipt on its own; it grants no level, and how old it is can't be judged."""
    found = receipts.examine_receipt(receipt, trust)
    return EvidenceReport(
        id=name,
        level=Level.NONE,
        refusals=found.refusals,
        claims={
            "format": "app-attest-receipt",
            "fields": {} if found.receipt is None else describe(found.receipt, secrets=False),
        },
        unchecked=(RECEIPT_AGE,),
        leniencies=found.leniencies,
    )


def describe(receipt: Receipt, *, secrets: bool = True) -> dict[str, Any]:
    """Return the fields under the recorded names; ``secrets``: with Apple's token, to be compared."""
    fields = {
        "type": receipt.kind.value,
        "app_id": receipt.app_id,
        "3_attested_cert_sha256": hashlib.sha256(receipt.key).hexdigest(),
        "client_hash": _text_or_hex(receipt.client_hash),
        "environment": receipt.environment,
        "creation_time": _time(receipt.created_at),
        "not_before": _time(receipt.refresh_after),
        "expiration_time": _time(receipt.expires_at),
        "risk_metric": None if receipt.risk_metric is None else str(receipt.risk_metric),
    }
    return {**fields, "token": receipt.token} if secrets else fields


def describe_signature(data: bytes) -> dict[str, Any]:
    """Return the recorded opinion on the signature: by the letter, under whatever certificate is enclosed.

    Neither the chain nor Apple's root take part in it, so that it differs from our verdict.
    """
    try:
        signed = receipts.read_signed_data(data)
        signer = _signer(signed)
    except MalformedError:
        return {}
    if signer is None:
        return {}
    over = receipts.signature_of(signed, signer.spki)
    return {
        "signature_ok": True if over in {Signed.CONTENT, Signed.ATTRIBUTES} else INVALID,
        "signer_validity": [_time(each) for each in signer.window()],
    }


def _signer(signed: SignedData) -> Certificate | None:
    enclosed = [read_certificate(each) for each in signed.certificates]
    named = (signed.issuer, signed.serial_hex)
    return next((each for each in enclosed if (each.issuer, each.serial_hex) == named), None)


def _text_or_hex(value: bytes) -> str:
    """Return a client hash as it was recorded: text where somebody passed text, else hex."""
    text = value.decode("ascii", "ignore")
    return text if len(text) == len(value) and text.isprintable() else value.hex()


def _time(at: datetime | None) -> str | None:
    """Return a time as Apple writes it: milliseconds without zeros at the end."""
    if at is None:
        return None
    fraction = f".{at.microsecond:06d}".rstrip("0").rstrip(".")
    return f"{at:%Y-%m-%dT%H:%M:%S}{fraction}Z"
