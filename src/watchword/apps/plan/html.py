"""Write a plan as one HTML file that needs nothing else: no script, no style, font or picture from elsewhere."""

from collections.abc import Mapping
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from watchword.apps.plan import notes, words
from watchword.apps.plan.curve import curve
from watchword.apps.plan.lanes import lanes
from watchword.apps.plan.picture import picture
from watchword.apps.plan.verdict import (
    EXPOSED,
    asked,
    catalogue,
    left_out,
    nothing,
    verdict,
    what_if,
    world,
)
from watchword.apps.terminal.paragraphs import printable
from watchword.plan.interface import Technique
from watchword.plan.outcome import Exposure, PathState, Phase, Plan

MAX_ROWS: Final = 500
"""Most rows of a table; ``--json`` has them all, and so does no reader's patience."""

MAX_CARDS: Final = 5
"""Most measures at the top, where a manager reads for two minutes; the list has them all."""

MAX_NAMED: Final = 12
"""Most paths that are named for one item."""

_AFTER: Final = "Once the plan is done"
_CATALOGUES: Final[Mapping[str, str]] = {
    "maswe": "MASWE",
    "attack-mobile": "ATT&CK Mobile",
    "attack-enterprise": "ATT&CK Enterprise",
    "owasp-api": "OWASP API",
    "owasp-mobile": "OWASP Mobile",
    "owasp-oat": "OWASP OAT",
}


MARK: Final = '<meta name="generator" content="Watchword">'
"""Stands in the head of every report, by which an earlier one is known when it is to be written over."""


def report(plan: Plan) -> str:
    """Return the report: a manager reads its top, an engineer works from the rest."""
    now, after = lanes(plan, after=False), lanes(plan, after=True)
    today = "In that case" if asked(plan) else "Today"
    return (
        _environment()
        .get_template("report.html.j2")
        .render(
            plan=plan,
            words=words,
            notes=notes,
            today=today,
            what_if=what_if(plan),
            world=world(plan),
            sentences=verdict(plan),
            left_out=list(left_out(plan)),
            nothing=nothing(plan),
            in_catalogue=catalogue(plan),
            meanings=_meanings(plan),
            exposed=any(each.now in EXPOSED for each in plan.assets),
            unreached=[each for each in plan.assets if each.now is Exposure.UNREACHED],
            phases=[(phase, words.of_phase(plan, phase)) for phase in Phase],
            firsts=words.of_phase(plan, Phase.PREVENT),
            levels=words.levels(plan),
            pictures=[
                ("now", today, now, picture(now, name="now", title=f"The paths: {today}")),
                (
                    "after",
                    _AFTER,
                    after,
                    picture(after, name="after", title=f"The paths: {_AFTER}"),
                ),
            ],
            curves=[
                ("wide", curve(plan, width=1180, name="curve-wide")),
                ("narrow", curve(plan, width=350, name="curve-narrow")),
            ],
            unclosable=notes.unclosable(plan),
            all_ways=sum(each.ways for each in plan.assets),
            mark=Markup(MARK),  # noqa: S704 - it is ours, and a constant.
            techniques=_techniques(plan),
            catalogues=_catalogues,
            paths=words.worst_first(plan.paths)[:MAX_ROWS],
            assets=plan.assets[:MAX_ROWS],
            cutters=_cutters,
            max_cards=MAX_CARDS,
            max_named=MAX_NAMED,
            max_rows=MAX_ROWS,
        )
    )


def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("watchword.apps.plan", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_shown,
    )


def _shown(value: Any) -> Any:
    """Return what is put into the page: text on one line, without what turns or hides other text."""
    if isinstance(value, str) and not isinstance(value, Markup):
        return printable(words.flat(value))
    return value


def _meanings(plan: Plan) -> dict[Exposure, str]:
    """Return what the words of exposure mean; that of struck assets only where there are some."""
    found = dict(words.MEANINGS)
    if all(each.now is not Exposure.UNREACHED for each in plan.assets):
        del found[Exposure.UNREACHED]
    return found


def _techniques(plan: Plan) -> list[Technique]:
    """Return the techniques of the paths, by id."""
    used = {step for each in plan.paths for step in each.path.steps}
    known = plan.catalogue.techniques
    return [known[name] for name in sorted(used & known.keys())][:MAX_ROWS]


def _catalogues(technique: Technique) -> str:
    """Return a technique's ids in other catalogues."""
    return "; ".join(
        f"{_CATALOGUES.get(catalogue, catalogue)} {', '.join(technique.names[catalogue])}"
        for catalogue in sorted(technique.names)
        if technique.names[catalogue]
    )


def _cutters(state: PathState, technique: str) -> str:
    """Return what cuts one step of a path once the plan is done."""
    return ", ".join(dict.fromkeys(by for step, by in state.cut_after if step == technique))
