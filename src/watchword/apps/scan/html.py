"""Write scans as one HTML file that needs nothing else: no script, no style, font or picture from elsewhere."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from watchword.apps.reports.html import render
from watchword.apps.scan import words
from watchword.apps.scan.words import Scanned
from watchword.scan.interface import Verdict
from watchword.scan.outcome import bad

MARK: Final = '<meta name="generator" content="Watchword scan">'
"""Stands in the head of every page, by which an earlier one is known when it is to be written over."""

MOST: Final = 100
"""Most findings of one rule and severity that a page shows; the JSON document has all."""

INLINE: Final = 3
"""Places of a finding that stand beside it; more are opened by hand."""


def page(scans: Sequence[Scanned], at: datetime) -> str:
    """Return the page: how each scan ended and how much was seen on top, then its findings by what they open.

    Secrets are redacted: a page is passed on.

    :param at: when it was scanned, aware.
    """
    return render(
        "watchword.apps.scan",
        mark=MARK,
        scans=[_prepared(each) for each in scans],
        words=words,
        at=at,
        most=MOST,
        inline=INLINE,
    )


def _prepared(each: Scanned) -> dict[str, Any]:
    acted = each.acted()
    every = each.report.all_findings
    told = [
        one
        for one in every
        if one.verdict is Verdict.TOLD or (one.verdict is Verdict.EXPOSED and not bad(one))
    ]
    return {
        "report": each.report,
        "found": each.found,
        "heading": words.heading(each),
        "counts": words.severities(acted),
        "steps": words.steps(each),
        "gaps": words.gaps_of(each.report),
        "groups": [
            (severity, words.by_rule(one for one in acted if one.severity is severity))
            for severity, _ in words.severities(acted)
        ],
        "told": words.by_rule(told),
        "protected": words.by_rule(one for one in every if one.verdict is Verdict.PROTECTED),
    }
