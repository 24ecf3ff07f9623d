"""Compose rules: all of them must hold, or any one of them.  Expressions are rules themselves."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from watchword.attestation.claims import UnverifiedClaims
from watchword.attestation.interface import AppRegistration
from watchword.policy.interface import (
    Circumstances,
    Claim,
    Finding,
    Rule,
    Standing,
    StandingRule,
)
from watchword.reasons import Refusal

MAX_DEPTH: Final = 3
"""Most expressions within each other: what is nested deeper, nobody reads right."""


@dataclass(frozen=True, slots=True)
class AllOf:
    """Hold where every rule does; each refusal of each rule is told."""

    rules: tuple[Rule, ...]

    def __post_init__(self) -> None:
        """Refuse to be made without any rule, since that would let everything pass, or too deep."""
        _require_sense(self.rules)

    @property
    def accounts_for(self) -> frozenset[Claim]:
        """Return what any of the rules looks at."""
        return _accounts_for(self.rules)

    def judge(
        self, claims: UnverifiedClaims, app: AppRegistration | None, circumstances: Circumstances
    ) -> Finding:
        """Return all that any of the rules found.

        Where the evidence is of a kind that can't state what a rule wants, that alone is told: what else it
        lacks follows from it.
        """
        findings = [rule.judge(claims, app, circumstances) for rule in self.rules]
        foreign = [finding for finding in findings if finding.foreign]
        return Finding(
            tuple(refusal for finding in foreign or findings for refusal in finding.refusals),
            tuple(dict.fromkeys(name for finding in findings for name in finding.unchecked)),
            foreign=bool(foreign),
        )

    def judge_standing(self, standing: Standing) -> tuple[Refusal, ...]:
        """Return what any of the rules that judge a standing holds against it."""
        return tuple(
            refusal
            for rule in self.rules
            if isinstance(rule, StandingRule)
            for refusal in rule.judge_standing(standing)
        )


@dataclass(frozen=True, slots=True)
class AnyOf:
    """Hold where one of the rules does; otherwise the one that came nearest says why."""

    rules: tuple[Rule, ...]

    def __post_init__(self) -> None:
        """Refuse to be made without any rule, since nothing could pass, or too deep."""
        _require_sense(self.rules)

    @property
    def accounts_for(self) -> frozenset[Claim]:
        """Return what any of the rules looks at."""
        return _accounts_for(self.rules)

    def judge(
        self, claims: UnverifiedClaims, app: AppRegistration | None, circumstances: Circumstances
    ) -> Finding:
        """Return what the first rule that holds found, or the nearest one's refusals."""
        findings = [rule.judge(claims, app, circumstances) for rule in self.rules]
        best = min(findings, key=distance)
        if not best.refusals or len(findings) == 1:
            return best
        # What would have let it pass otherwise stands in the policy; the detail only says that there is more.
        more = f"nearest of {len(findings)} ways"
        told = (Refusal(each.reason, f"{each.detail} ({more})") for each in best.refusals)
        return Finding(tuple(told), best.unchecked, best.foreign)

    def judge_standing(self, standing: Standing) -> tuple[Refusal, ...]:
        """Return the least that one of the rules holds against it.

        One that can't judge a standing doesn't count, since it would let everything pass: a way in for Google's
        verdicts says nothing of certificates that were suspended.
        """
        told = [
            rule.judge_standing(standing)
            for rule in self.rules
            if judges_standing(rule) and isinstance(rule, StandingRule)
        ]
        return min(told, key=len, default=())


def judges_standing(rule: Rule) -> bool:
    """Tell whether a rule, or any within an expression, judges what became known since an enrolment."""
    if isinstance(rule, AllOf | AnyOf):
        return any(judges_standing(inner) for inner in rule.rules)
    return isinstance(rule, StandingRule)


def distance(finding: Finding) -> tuple[bool, int]:
    """Return how far evidence was from fulfilling a rule, to compare: (0, 0) where it did.

    Evidence of another kind is farther away than any that could state what is wanted.
    """
    return finding.foreign, len(finding.refusals)


def depth(rule: Rule) -> int:
    """Return how many expressions stand within each other; 0 for a rule by itself."""
    if not isinstance(rule, AllOf | AnyOf):
        return 0
    return 1 + max(depth(inner) for inner in rule.rules)


def leaves_of(rule: Rule) -> Iterator[Rule]:
    """Yield the rules that an expression is made of, or the rule itself."""
    if isinstance(rule, AllOf | AnyOf):
        for each in rule.rules:
            yield from leaves_of(each)
    else:
        yield rule


def _require_sense(rules: tuple[Rule, ...]) -> None:
    if not rules:
        raise ValueError("appraisal needs at least one rule")
    if max(depth(rule) for rule in rules) >= MAX_DEPTH:
        raise ValueError(f"expected at most {MAX_DEPTH} expressions within each other")


def _accounts_for(rules: tuple[Rule, ...]) -> frozenset[Claim]:
    return frozenset().union(*(rule.accounts_for for rule in rules))
