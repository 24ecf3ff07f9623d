"""Show the verification of one piece of evidence to a person: the result, or every step of it."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import click

from watchword.apps.evidence.explanations import (
    FAILED,
    GRANTED,
    NOT_GRANTED,
    OK,
    OTHER_EVIDENCE,
    advice_of,
    state_of,
)
from watchword.apps.evidence.options import EvidenceOptions
from watchword.apps.evidence.reports import LENIENCIES, EvidenceReport
from watchword.apps.terminal.paragraphs import printable, show, wrapped
from watchword.attestation.interface import Step
from watchword.reasons import Refusal

_COLOURS: Final = {OK: "green", GRANTED: "green", FAILED: "red", NOT_GRANTED: "yellow"}

_LABEL: Final = 23
"""Columns of the names in front of claims."""

_STATE: Final = 13
"""Columns of the word that says how a step or a level ended."""

_BESIDE: Final = 6
"""Columns before what is told of a step that failed."""


def show_result(report: EvidenceReport, options: EvidenceOptions) -> None:
    """Print what came out, what is wrong, and what the evidence says."""
    click.echo(_headline(report))
    # One line each, however long: this is what people search in and cut from.
    for refusal in report.refusals:
        click.echo(f"  {printable(str(refusal))}")
    _show_findings(report, options)


def show_explanation(report: EvidenceReport, options: EvidenceOptions) -> None:
    """Print each step with what was wanted and found, what to do, and why no higher level was granted."""
    click.echo(_headline(report))
    told: set[Refusal] = set()
    if report.steps:
        click.echo("\nSteps")
        show(_steps(report.steps, told))
    if report.levels:
        click.echo(f"\nLevels, by policy {report.policy}")
        show(_levels(report, told))
    elif not report.steps:
        # Without steps or levels of their own, the reasons are all there is to explain.
        show(line for each in report.refusals for line in _cause(each, told))
    click.echo("\nWhat it says" + (" (nothing of it is proven)" if _has_failed(report) else ""))
    _show_findings(report, options)


def _headline(report: EvidenceReport) -> str:
    verdict = "accept" if report.accepted else "reject"
    # Whoever reads one line alone must not take this for the app's own evidence.
    named = " (no app expected)" if "app" in report.unchecked else ""
    text = f"{verdict}{named}  level {report.level.value}"
    return click.style(text, fg="green" if report.accepted else "red", bold=True)


def _steps(steps: Sequence[Step], told: set[Refusal]) -> Iterator[str]:
    number = max(len(step.number) for step in steps) + 2
    title = max(len(step.title) for step in steps) + 2
    for step in steps:
        state = state_of(step)
        first = f"{step.number:>{number}}  {step.title:<{title}}{_styled(state)}"
        yield from wrapped(step.found, first=first, indent=number + 2 + title + _STATE)
        if step.refusals:
            yield from wrapped(step.wanted, first=" " * _BESIDE + "wanted", indent=_BESIDE + 9)
            for refusal in step.refusals:
                yield from _cause(refusal, told)


def _levels(report: EvidenceReport, told: set[Refusal]) -> Iterator[str]:
    if _has_failed(report):
        yield "  Evidence with a failed step is granted none; this is what else stands in its way."
    for level, state in report.levels.items():
        yield f"  {level.value:<10}{click.style(state, fg=_COLOURS.get(state))}"
        if state != OTHER_EVIDENCE:
            for refusal in report.short_of.get(level, ()):
                yield from _cause(refusal, told)


def _has_failed(report: EvidenceReport) -> bool:
    return any(step.refusals for step in report.steps)


def _cause(refusal: Refusal, told: set[Refusal]) -> Iterator[str]:
    """Yield what is wrong, and once what can be done about it."""
    code = click.style(refusal.reason.code, bold=True)
    yield from wrapped(refusal.detail, first=" " * _BESIDE + code + "  ", indent=_BESIDE + 2)
    if not any(each.reason is refusal.reason for each in told):
        yield from wrapped(advice_of(refusal), indent=_BESIDE + 2)
    told.add(refusal)


def _styled(state: str) -> str:
    """Return a word in its colour and its column."""
    return click.style(f"{state:<{_STATE}}", fg=_COLOURS.get(state))


def _show_findings(report: EvidenceReport, options: EvidenceOptions) -> None:
    rows = []
    if (written := options.written_binding()) is not None:
        rows.append(("bound to", str(written)))
    rows += _claims(report.claims or {})
    rows += [
        ("let pass", f"{name}: {LENIENCIES[name]}" if name in LENIENCIES else name)
        for name in report.leniencies
    ]
    rows += [("signal", str(signal)) for signal in report.signals]
    if report.unchecked:
        rows.append(("not checked", ", ".join(report.unchecked)))
    for name, value in rows:
        show(wrapped(value, first=f"  {name}", indent=_LABEL))


def _claims(claims: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield what people look at, by its name; a device's state by the vendor's names."""
    for name in (
        "anchor",
        "attestation_security",
        "key_security",
        "certified_security",
        "provisioning",
        "counter",
    ):
        if claims.get(name) is not None:
            yield name, str(claims[name])
    if claims.get("incoherent"):
        yield "contradicts", ", ".join(claims["incoherent"])
    if claims.get("model"):
        yield "model", claims["model"]
    app = claims.get("app") or {"ids": ()}
    for app_id in app["ids"]:
        version = app["versions"].get(app_id)
        yield "app", app_id if version is None else f"{app_id}, version {version}"
    if app["ids"] and app["signing_digests"]:
        yield "signed by", ", ".join(app["signing_digests"])
    yield from _device(claims)


def _device(claims: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    boot, patches = claims.get("boot"), claims.get("patches") or {}
    if boot:
        locked = "true" if boot["device_locked"] else "false"
        yield "boot", f"deviceLocked: {locked}, verifiedBootState: {boot['state'].upper()}"
        yield "verifiedBootKey", boot["verified_boot_key"]
    known = {name: value for name, value in patches.items() if value is not None}
    if known:
        yield "patches", ", ".join(f"{name} {value}" for name, value in known.items())
    yield from _apple(claims.get("apple") or {})
    receipt, play = claims.get("receipt"), claims.get("play")
    if receipt:
        metric = receipt["risk_metric"]
        yield "receipt", receipt["kind"] + ("" if metric is None else f", risk metric {metric}")
    if claims.get("receipt_fault"):
        yield "receipt", claims["receipt_fault"]
    if play:
        yield "app recognition", play["app_recognition"]
        yield "device", ", ".join(play["device_labels"]) or "no label"


def _apple(apple: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    build = apple.get("os_build")
    system = [apple.get("platform"), apple.get("os_version"), build and f"({build})"]
    if any(system):
        yield "system", " ".join(each for each in system if each)
    for name in ("distribution", "key_access"):
        if apple.get(name):
            yield name.replace("_", " "), apple[name]
