"""Write a plan as one page that a manager reads in five minutes, prints or sends: no script, nothing from elsewhere."""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from watchword.apps.plan import words
from watchword.apps.plan.html import MARK, curve
from watchword.apps.reports.html import render
from watchword.apps.reports.text import flat, in_sentence, one_line
from watchword.plan.outcome import Phase, Plan

MAX_ITEMS: Final = 8
"""Most measures that are named; the rest is counted."""

MAX_ASSETS: Final = 12
MAX_RISKS: Final = 20


@dataclass(frozen=True, slots=True)
class Accepted:
    """Hold one risk that somebody accepted: what isn't planned for, and why.

    :param owner: who answers for it; :param until: the last day on which that holds.  Both empty where nobody said.
    """

    what: str
    because: str
    owner: str = ""
    until: str = ""


def accepted_in(section: Mapping[str, Any]) -> list[Accepted]:
    """Return the accepted risks of a plan section as it is written."""
    scenarios = section.get("scenarios")
    entries = scenarios.get("strike") if isinstance(scenarios, Mapping) else None
    return [
        Accepted(
            _what(each), *(flat(str(each.get(key) or "")) for key in ("because", "owner", "until"))
        )
        for each in entries or ()
        if isinstance(each, Mapping)
    ]


def _what(entry: Mapping[str, Any]) -> str:
    said = [f"asset {entry['asset']}"] if entry.get("asset") else []
    said += [f"technique {entry['technique']}"] if entry.get("technique") else []
    steps = entry.get("steps")
    if isinstance(steps, Sequence) and not isinstance(steps, str):
        said.append(f"the path {', '.join(str(each) for each in steps)}")
    return flat(in_sentence(said)) or "every path"


def accepted(plan: Plan) -> list[Accepted]:
    """Return what was struck from a plan, by reason."""
    return [Accepted(words.ends(each.paths, plan), each.because) for each in words.struck(plan)]


def management(plan: Plan, risks: Sequence[Accepted] | None = None) -> str:
    """Return the page.

    :param risks: as the section has them; None takes what was struck from the plan.
    """
    found = accepted(plan) if risks is None else list(risks)
    first = words.of_phase(plan, Phase.PREVENT) or list(plan.items)
    return render(
        "watchword.apps.plan",
        mark=MARK,
        show=one_line,
        template="management.html.j2",
        plan=plan,
        words=words,
        world=words.world(plan),
        what_if=words.what_if(plan),
        sentences=words.verdict(plan),
        left_out=list(words.left_out(plan)),
        levels=words.levels(plan),
        assets=plan.assets[:MAX_ASSETS],
        more_assets=max(0, len(plan.assets) - MAX_ASSETS),
        first=first[:MAX_ITEMS],
        later=len(plan.items) - len(first[:MAX_ITEMS]),
        curve=curve(plan, width=900, name="curve"),
        unclosable=words.unclosable(plan),
        risks=found[:MAX_RISKS],
        more_risks=max(0, len(found) - MAX_RISKS),
    )


def style_hash(page: str) -> str:
    """Return the style of a page as a Content-Security-Policy names it."""
    style = page.partition("<style>")[2].partition("</style>")[0]
    return f"'sha256-{base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()}'"
