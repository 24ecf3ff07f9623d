"""Define appraisal: claims and rules give a verdict.  A rule never parses bytes."""

from dataclasses import dataclass
from typing import Protocol

from watchword.attestation.interface import AppRegistration, UnverifiedClaims
from watchword.reasons import Refusal
from watchword.vocabulary import Level


@dataclass(frozen=True, slots=True)
class Finding:
    """Hold what one rule says: refusals (none means it holds), and what it couldn't check."""

    refusals: tuple[Refusal, ...] = ()
    unchecked: tuple[str, ...] = ()


class Rule(Protocol):
    """Judge claims by one criterion; a small frozen object, one file under ``rules/``."""

    def judge(self, claims: UnverifiedClaims, app: AppRegistration | None) -> Finding:
        """Return the finding; ``app`` is None only in the offline verifier."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Hold the attestation result (RFC 9334): the level, or why there is none."""

    level: Level
    refusals: tuple[Refusal, ...] = ()
    unchecked: tuple[str, ...] = ()
