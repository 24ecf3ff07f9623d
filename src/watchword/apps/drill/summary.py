"""Sum a drill up in a terminal: how it ended, what it proves, and what it couldn't try."""

from collections.abc import Mapping
from typing import Final

from rich.text import Text

from watchword.apps.drill import words
from watchword.apps.drill.page import Page
from watchword.apps.reports.text import listed
from watchword.drill.outcome import Report, Verdict
from watchword.encoding.wording import counted
from watchword.observations import State

STYLES: Final = {
    Verdict.STOPPED: "bold green",
    Verdict.OPEN: "bold red",
    Verdict.ABSENT: "bold red",
    Verdict.UNSURE: "bold yellow",
    Verdict.NOT_RUN: "dim",
}
"""How each verdict's word is coloured; the word says it where there are no colours."""

_STATES: Final = {State.PROVEN: "green", State.BROKEN: "red", State.ABSENT: "red"}
_INDENT: Final = 2
_AT: Final = 12
_FINDING_AT: Final = 24


def summarise(page: Page, report: Report, names: Mapping[str, str] = words.NO_NAMES) -> None:
    """Print it, a block each.

    :param names: of protections, by id, where they are known.
    """
    _ending(page, report)
    _findings(page, report, names)
    _counters(page, report)
    _routes(page, report)
    _missing(page, report)
    page.line()


def _ending(page: Page, report: Report) -> None:
    page.heading("Result")
    if report.interrupted:
        text = "what didn't run isn't in this report, and nothing is proven by it"
        page.entry("interrupted", text, indent=_INDENT, at=_AT + 3, style="bold yellow")
    if report.changed:
        text = f"{report.changed}; nothing is proven by this run"
        page.entry("unsure", text, indent=_INDENT, at=_AT + 3, style="bold yellow")
    line = Text("  ")
    for number, (verdict, count) in enumerate(words.verdict_counts(report)):
        line.append("   " if number else "")
        style = STYLES[verdict] if count else "dim"
        line.append(f"{count} {words.VERDICTS[verdict]}", style=style)
    page.line(line)
    spent = f"{counted(report.requests, 'request')} in {report.seconds:.1f} s"
    genuine = words.genuine(report)
    page.entry("", f"Genuine app: {genuine}. {spent}.", indent=0, at=_INDENT)
    for fault in report.genuine.faults:
        page.entry("", f"not served: {fault}", indent=0, at=_INDENT + 2)
    for control in report.controls:
        if not control.served:
            said = f"{control.sample} isn't served to the genuine app ({control.got}): "
            page.entry("", said + "a refusal of it says nothing", indent=0, at=_INDENT + 2)


def _findings(page: Page, report: Report, names: Mapping[str, str]) -> None:
    if not report.findings:
        return
    page.heading("What this run says of each protection")
    for each in report.findings:
        label = f"{each.protection:<8}{words.state_of(each)}"
        style = "" if each.state is None else _STATES.get(each.state, "")
        for text in filter(None, (names.get(each.protection), words.routes(each), each.why)):
            page.entry(label, text, indent=_INDENT, at=_FINDING_AT, style=style)
            label = ""
        strengths = [
            f"{technique} {stopped}/{ran}" for technique, (stopped, ran) in each.strengths.items()
        ]
        if strengths:
            text = f"of each technique's variants it stopped: {listed(strengths)}"
            page.entry("", text, indent=0, at=_FINDING_AT, text_style="dim")


def _counters(page: Page, report: Report) -> None:
    """Print which open attacks the gate counted all the same, as it does in mode ``monitor``."""
    seen, unseen = words.seen_by_counters(report.results)
    if not seen and not unseen:
        return
    page.heading("Open, but did the gate's counters see it?")
    if seen:
        page.names("counted", seen, indent=_INDENT, at=_AT)
    if unseen:
        page.names("unseen", unseen, indent=_INDENT, at=_AT)


def _routes(page: Page, report: Report) -> None:
    """Print which routes leave an asset open by the file itself, and of which nothing could be shown."""
    if report.facts.weak:
        page.heading("Routes that ask for less than what lives there is worth")
        for each in report.facts.weak:
            page.entry("", each, indent=0, at=_INDENT, text_style="red")
    if report.facts.unasked:
        page.heading("Routes that no request falls on, so that nothing is proven there")
        page.names("", list(report.facts.unasked), indent=_INDENT, at=_INDENT)
        page.entry(
            "", "Name one under `drill: requests` that your API serves.", indent=0, at=_INDENT
        )


def _missing(page: Page, report: Report) -> None:
    missing = words.missing(report.results)
    if not missing:
        return
    page.heading("Not run here")
    for need, names in missing.items():
        page.entry("", need, indent=0, at=_INDENT)
        page.names("", names, indent=0, at=_INDENT + 2)
