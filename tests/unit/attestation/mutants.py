"""Mutate accepted evidence in every region and every way, and count what becomes of it.

A mutant is of one of three kinds of meaning, which says what may become of it.  What isn't signed by
anybody whom we believe can be mutated by anybody, without saying anything else:

- **A root's certificate but for its key and name.**  A root is known by its key, whoever wraps it
  (roots are re-issued under one key); it may also be left out.
- **How an object is wrapped**: the length of a certificate's outer SEQUENCE in more bytes than it needs,
  members of the CBOR maps that nobody asked for.
- **An ECDSA signature itself**: with (r, s) anybody can compute (r, n - s), which verifies as well, as
  the standard has it.  Nothing is counted as new by its signature: challenges are used once.
- **A receipt**, which carries its own signature: the attestation stands without it, and a mutated one is not
  believed.

Acceptance is right there as long as the claims are those of the evidence that was mutated.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from itertools import islice
from typing import Any

from watchword.attestation.claims import UnverifiedClaims
from watchword.attestation.interface import (
    Attestation,
    Examination,
    Expected,
    Trust,
)
from watchword.attestation.registry import examine
from watchword.policy.interface import Circumstances
from watchword.policy.rules.hardware_security import HardwareSecurity
from watchword.policy.service import BALANCED, appraise_unverified
from watchword.reasons import Reason
from watchword.vocabulary import Level


class Meaning(StrEnum):
    """Say what was mutated, and so what may become of a mutant."""

    SIGNED = "signed"
    """Must be refused."""

    UNSIGNED = "unsigned"
    """May be accepted, with the same claims."""

    RECEIPT = "receipt"
    """May be accepted, with the same claims or with a receipt that isn't believed."""


@dataclass(frozen=True)
class Case:
    """Hold evidence that is accepted, to be mutated.

    :param serials: in hex, of the certificates that somebody signed: all but the root.
    """

    evidence: Attestation
    expected: Expected
    now: datetime
    serials: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Mutant:
    """Hold mutated evidence, or evidence as it was under a mutated expectation."""

    kind: str
    evidence: Attestation
    expected: Expected
    meaning: Meaning = Meaning.SIGNED


Verifier = Callable[[Attestation, Expected, Trust, datetime], Examination]
"""The shape of :func:`watchword.attestation.registry.examine`."""


@dataclass
class Tally:
    """Count mutants by kind.

    :param same: accepted with the same claims; ``without``: with the same but for a receipt that isn't
        believed; ``wrong``: with others, or at all where that is wrong.
    """

    made: Counter[str] = field(default_factory=Counter)
    same: Counter[str] = field(default_factory=Counter)
    without: Counter[str] = field(default_factory=Counter)
    wrong: Counter[str] = field(default_factory=Counter)
    unsigned: set[str] = field(default_factory=set)

    def add(self, mutant: Mutant, said: str) -> None:
        """Count one mutant under what was said of it."""
        self.made[mutant.kind] += 1
        self.same[mutant.kind] += said == "same"
        self.without[mutant.kind] += said == "without"
        self.wrong[mutant.kind] += said == "wrong"
        if mutant.meaning is not Meaning.SIGNED:
            self.unsigned.add(mutant.kind)

    def merge(self, other: "Tally") -> None:
        """Add another tally to this one."""
        self.made += other.made
        self.same += other.same
        self.without += other.without
        self.wrong += other.wrong
        self.unsigned |= other.unsigned


def overlooking(reason: Reason) -> Verifier:
    """Return a verifier that overlooks one reason: to show that a run can fail."""

    def broken(
        evidence: Attestation, expected: Expected, trust: Trust, now: datetime
    ) -> Examination:
        examination = examine(evidence, expected, trust, now)
        steps = tuple(
            replace(step, refusals=tuple(r for r in step.refusals if r.reason is not reason))
            for step in examination.steps
        )
        return replace(examination, steps=steps)

    return broken


def verified(
    case: Case | Mutant, trust: Trust, now: datetime, verifier: Verifier
) -> UnverifiedClaims | None:
    """Return the claims of evidence that verifies, None for any other; whatever is raised ends the run."""
    examination = verifier(case.evidence, case.expected, trust, now)
    return None if examination.refusals else examination.claims


def is_accepted(case: Case, trust: Trust, appraised_at: datetime) -> bool:
    """Verify and appraise."""
    claims = verified(case, trust, case.now, examine)
    if claims is None:
        return False
    circumstances = Circumstances(appraised_at)
    verdict = appraise_unverified(claims, case.expected.app, BALANCED, circumstances)
    return verdict.level is not Level.NONE


FOR_POLICY = {
    "expected: other app": Reason.POLICY_APP_ID,
    "expected: other platforms": Reason.POLICY_APPLE_PLATFORM,
    "expected: other distribution": Reason.POLICY_DISTRIBUTION,
}
"""Kinds of mutants that the verification may let pass, and what policy must hold against them."""


def _is_refused_by_policy(mutant: Mutant, claims: UnverifiedClaims, now: datetime) -> bool:
    verdict = appraise_unverified(claims, mutant.expected.app, BALANCED, Circumstances(now))
    return FOR_POLICY.get(mutant.kind) in {refusal.reason for refusal in verdict.refusals}


def _is_only_claimed(claims: UnverifiedClaims, now: datetime) -> bool:
    rule = HardwareSecurity(strongbox=True)
    return bool(rule.judge(claims, None, Circumstances(now)).refusals)


def count(
    case: Case, mutants: Iterable[Mutant], trust: Trust, verifier: Verifier = examine
) -> Tally:
    """Verify mutants of a case; raise AssertionError if the case itself isn't accepted."""
    genuine = verified(case, trust, case.now, verifier)
    assert genuine is not None, "the evidence to be mutated isn't accepted"
    tally = Tally()
    for mutant in mutants:
        claims = verified(mutant, trust, case.now, verifier)
        tally.add(mutant, _judge(mutant, claims, genuine, case))
    return tally


def _judge(
    mutant: Mutant, claims: UnverifiedClaims | None, genuine: UnverifiedClaims, case: Case
) -> str:
    if claims is None:
        return "refused"
    if _is_refused_by_policy(mutant, claims, case.now):
        return "refused"  # Such as which app it is on Android, where evidence names it.
    if mutant.kind == "StrongBox claimed" and _is_only_claimed(claims, case.now):
        return (
            "refused"  # What a level is worth is for policy, by the rule that asks for a StrongBox.
        )
    if mutant.meaning is Meaning.SIGNED:
        return "wrong"
    if _said(claims, case) == _said(genuine, case):
        return "same"
    if mutant.meaning is Meaning.RECEIPT and claims.receipt is None:
        # Without its receipt, and nothing else, the attestation says what it said.
        same = _without_receipt(claims) == _without_receipt(genuine)
        return "without" if same else "wrong"
    return "wrong"


def _without_receipt(claims: UnverifiedClaims) -> UnverifiedClaims:
    fields = {name: value for name, value in claims.fields.items() if "receipt" not in name}
    leniencies = tuple(name for name in claims.leniencies if "receipt" not in name)
    return replace(
        claims,
        receipt=None,
        receipt_fault=None,
        unchecked=tuple(name for name in claims.unchecked if name != "receipt"),
        fields=fields,
        leniencies=leniencies,
    )


def _said(claims: UnverifiedClaims, case: Case) -> UnverifiedClaims:
    """Return claims without the serial of a root, which is in a certificate that nobody signed for us."""
    serials = tuple(serial for serial in claims.serials if serial in case.serials)
    return replace(claims, serials=serials)


def tally_as(
    tally: Tally, kind: str, meaning: Meaning, said: object | None, genuine: object
) -> None:
    """Count a mutant that says ``said``, or None if it was refused."""
    tally.made[kind] += 1
    tally.same[kind] += meaning is not Meaning.SIGNED and said == genuine
    tally.wrong[kind] += said is not None and (meaning is Meaning.SIGNED or said != genuine)
    if meaning is not Meaning.SIGNED:
        tally.unsigned.add(kind)


def every(mutants: Iterable[Any], step: int, offset: int = 0) -> Iterator[Any]:
    """Yield each ``step``-th mutant: the sample that runs with the tests."""
    return islice(mutants, offset % step, None, step)
