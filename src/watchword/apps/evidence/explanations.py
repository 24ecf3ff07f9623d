"""Explain a verification step by step: what was wanted, what was found, and what can be done about it."""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final

from watchword.apps.problems import text_of
from watchword.attestation.interface import Step
from watchword.policy.interface import Policy, Verdict
from watchword.reasons import Refusal
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
