"""Write scans as one HTML file that needs nothing else: no script, no style, font or picture from elsewhere."""

from collections.abc import Sequence
from datetime import datetime
from functools import cache
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from watchword.apps.reports.text import shown
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
    return _template().render(
        scans=[_prepared(each) for each in scans],
        words=words,
        at=at,
        mark=Markup(MARK),  # noqa: S704 - it is ours, and a constant.
        most=MOST,
        inline=INLINE,
    )


@cache
def _template() -> Template:
    return Environment(
        loader=PackageLoader("watchword.apps.scan", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_shown,
    ).get_template("report.html.j2")


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


def _shown(value: Any) -> Any:
    """Return what is put into the page: text on one line, without what turns or hides other text."""
    if isinstance(value, str) and not isinstance(value, Markup):
        return shown(value)
    return value
