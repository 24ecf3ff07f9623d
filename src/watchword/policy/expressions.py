"""Compose rules: all of them must hold, any one of them, or no two may tell something against it.

Expressions are rules themselves.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

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

MAX_DEPTH: Final = 4
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
            _unchecked(findings),
            foreign=bool(foreign),
            signals=tuple(each for finding in findings for each in finding.signals),
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
        return Finding(tuple(told), best.unchecked, best.foreign, best.signals)

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


@dataclass(frozen=True, slots=True)
class Signals:
    """Tell what rules hold against evidence; refuse only where two or more of them do.

    For what is often harmless by itself, such as Apple's count of attestations: alone it is told, recorded
    and counted.  What evidence of a kind can't state is no sign of anything.
    """

    rules: tuple[Rule, ...]

    def __post_init__(self) -> None:
        """Refuse to be made without any rule, or too deep."""
        _require_sense(self.rules)

    @property
    def accounts_for(self) -> frozenset[Claim]:
        """Return what any of the rules looks at."""
        return _accounts_for(self.rules)

    def judge(
        self, claims: UnverifiedClaims, app: AppRegistration | None, circumstances: Circumstances
    ) -> Finding:
        """Return what the rules hold against it as signals, or as refusals where they coincide."""
        findings = [rule.judge(claims, app, circumstances) for rule in self.rules]
        stated = [finding for finding in findings if not finding.foreign]
        signs = [(*finding.refusals, *finding.signals) for finding in stated]
        told, refuses = _coinciding(signs)
        unchecked = _unchecked(findings)
        return Finding(told, unchecked) if refuses else Finding((), unchecked, signals=told)

    def judge_standing(self, standing: Standing) -> tuple[Refusal, ...]:
        """Return what the rules that judge a standing hold against it, where two or more do."""
        told, refuses = self._standing(standing)
        return told if refuses else ()

    def signals_of(self, standing: Standing) -> tuple[Refusal, ...]:
        """Return what one rule alone holds against a standing."""
        told, refuses = self._standing(standing)
        return () if refuses else told

    def _standing(self, standing: Standing) -> tuple[tuple[Refusal, ...], bool]:
        judging = [rule for rule in self.rules if isinstance(rule, StandingRule)]
        return _coinciding([rule.judge_standing(standing) for rule in judging])


Expression: TypeAlias = AllOf | AnyOf | Signals
"""What is made of other rules."""


def signals_in(rule: Rule, standing: Standing) -> tuple[Refusal, ...]:
    """Return what a rule, and those within an expression, hold against a standing without refusing it."""
    if isinstance(rule, Signals):
        return rule.signals_of(standing)
    if not isinstance(rule, Expression):
        return ()
    return tuple(each for inner in rule.rules for each in signals_in(inner, standing))


def judges_standing(rule: Rule) -> bool:
    """Tell whether a rule, or any within an expression, judges what became known since an enrolment."""
    if isinstance(rule, Expression):
        return any(judges_standing(inner) for inner in rule.rules)
    return isinstance(rule, StandingRule)


def distance(finding: Finding) -> tuple[bool, int]:
    """Return how far evidence was from fulfilling a rule, to compare: (0, 0) where it did.

    Evidence of another kind is farther away than any that could state what is wanted.
    """
    return finding.foreign, len(finding.refusals)


def depth(rule: Rule) -> int:
    """Return how many expressions stand within each other; 0 for a rule by itself."""
    if not isinstance(rule, Expression):
        return 0
    return 1 + max(depth(inner) for inner in rule.rules)


def leaves_of(rule: Rule) -> Iterator[Rule]:
    """Yield the rules that an expression is made of, or the rule itself."""
    if isinstance(rule, Expression):
        for each in rule.rules:
            yield from leaves_of(each)
    else:
        yield rule


def _coinciding(signs: Sequence[tuple[Refusal, ...]]) -> tuple[tuple[Refusal, ...], bool]:
    """Return all that is told, and whether two or more tell something."""
    told = tuple(each for sign in signs for each in sign)
    return told, sum(map(bool, signs)) > 1


def _unchecked(findings: Sequence[Finding]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for finding in findings for name in finding.unchecked))


def _require_sense(rules: tuple[Rule, ...]) -> None:
    if not rules:
        raise ValueError("appraisal needs at least one rule")
    if max(depth(rule) for rule in rules) >= MAX_DEPTH:
        raise ValueError(f"expected at most {MAX_DEPTH} expressions within each other")


def _accounts_for(rules: tuple[Rule, ...]) -> frozenset[Claim]:
    return frozenset().union(*(rule.accounts_for for rule in rules))
