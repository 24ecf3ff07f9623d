"""Make reports of real attacks with invented ends."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from watchword.apps.drill.reports import UNTRIED
from watchword.drill.interface import NEEDED, Attack, Facts, Need
from watchword.drill.judgements import (
    AttackResult,
    Control,
    Finding,
    Genuine,
    Report,
    VariantResult,
    Verdict,
)
from watchword.drill.registry import ATTACKS
from watchword.observations import State
from watchword.vocabulary import Environment

STARTED = datetime(2026, 11, 25, 3, 4, 5, 678000, UTC)

FACTS = Facts(
    api="clinic",
    issuer="https://issuer.example",
    audience="https://clinic.example",
    audiences={"clinic-ios": frozenset({"https://clinic.example"})},
    environment=Environment.LAB,
    token_lifetime=300,
    rate=(100, 60),
)

FIRST, SECOND, THIRD = [each for each in ATTACKS.values() if len(each.variants) >= 3][:3]
"""Attacks with variants enough for some of them to end otherwise than others."""


def variant(
    name: str,
    verdict: Verdict,
    got: str = "401 token.missing",
    need: Need | None = None,
) -> VariantResult:
    """Return how a variant ended, as the drill writes it."""
    if verdict in UNTRIED:
        need = need or Need.KEYS
        return VariantResult(name, verdict, f"needs {NEEDED[need]}", need=need)
    expected = "" if verdict is Verdict.STOPPED else "token.missing"
    return VariantResult(name, verdict, got, expected, ("token.missing",), sent=3)


def result(
    attack: Attack,
    verdict: Verdict,
    *variants: VariantResult,
    got: str = "401 token.missing",
    counted: int | None = None,
) -> AttackResult:
    """Return how an attack ended, every variant like it unless others are given."""
    ends = variants or tuple(variant(each.name, verdict, got) for each in attack.variants)
    return AttackResult(attack, verdict, ends, 0.25, counted)


def report(*results: AttackResult, findings: Sequence[Finding] = ()) -> Report:
    """Return a whole run of these results, at which nothing else is wrong."""
    return Report(
        facts=FACTS,
        target="http://127.0.0.1:8443",
        loopback=True,
        started=STARTED,
        seconds=12.345,
        controls=(Control("GET /v1/patients/7", served=True, got="200"),),
        results=results,
        findings=findings,
        genuine=Genuine(60, 60),
        requests=1114,
    )


def clean() -> Report:
    """Return a run in which every attack was stopped."""
    finding = Finding("PR-B01", "live:shield.x", State.PROVEN, "all stopped", {"MT-B03": (6, 6)})
    return report(
        *(result(each, Verdict.STOPPED) for each in ATTACKS.values()), findings=(finding,)
    )


def mixed() -> Report:
    """Return a run in which everything that can happen did, but an interruption."""
    names = [each.name for each in FIRST.variants]
    partly = (
        variant(names[0], Verdict.OPEN, "served 200"),
        variant(names[1], Verdict.UNSURE, "503"),
        *(variant(name, Verdict.STOPPED) for name in names[2:-1]),
        variant(names[-1], Verdict.NOT_RUN, need=Need.OPERATOR),
    )
    others = [each for each in ATTACKS.values() if each not in (FIRST, SECOND, THIRD)]
    return replace(
        report(
            result(FIRST, Verdict.OPEN, *partly, counted=1234),
            result(SECOND, Verdict.UNSURE, got="403"),
            result(THIRD, Verdict.NOT_RUN),
            *(result(each, Verdict.STOPPED) for each in others),
            findings=(
                Finding("PR-B01", "live:shield.x", State.BROKEN, "served: one", {"MT-B03": (2, 3)}),
                Finding("PR-B03", "live:shield.y", None, "not sure of: two"),
            ),
        ),
        controls=(
            Control("GET /v1/patients/7", served=True, got="200"),
            Control("POST /v1/records/7", served=False, got="502"),
        ),
        genuine=Genuine(60, 58, ("POST /v1/records/7: 502",)),
    )


def hostile(text: str) -> Report:
    """Return a run at whose every answer the server under attack sent this text."""
    names = [each.name for each in FIRST.variants]
    ends = [
        VariantResult(names[0], Verdict.OPEN, text, text, (text,)),
        VariantResult(names[1], Verdict.UNSURE, text, text, (text,)),
        *(VariantResult(name, Verdict.NOT_RUN, text, need=Need.KEYS) for name in names[2:]),
    ]
    return replace(
        report(result(FIRST, Verdict.OPEN, *ends), result(SECOND, Verdict.STOPPED, got=text)),
        controls=(Control(text, served=False, got=text), Control(text, served=True, got=text)),
        genuine=Genuine(2, 1, (text,)),
        target=text,
        facts=replace(FACTS, api=None),
    )


def interrupted() -> Report:
    """Return a run that was stopped after one attack."""
    return replace(report(result(FIRST, Verdict.STOPPED)), interrupted=True)
