"""Write a plan in Markdown, for a pull request or a wiki."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from watchword.apps.plan import words
from watchword.apps.plan.words import left_out, verdict, what_if, world
from watchword.apps.reports.text import markdown as escaped
from watchword.apps.reports.text import markdown_code, markdown_table
from watchword.encoding.phrases import counted
from watchword.plan.outcome import Item, PathState, Phase, Plan

MAX_PATHS: Final = 200
"""Most paths and assets in a table: a page of a pull request isn't read beyond that, and has a limit."""


def markdown(plan: Plan) -> str:
    """Return the plan as one Markdown text."""
    return "\n".join(_lines(plan)) + "\n"


def _lines(plan: Plan) -> Iterator[str]:
    for said in (world(plan), what_if(plan)):
        if said:
            yield f"**{escaped(said)}**"
            yield ""
    yield "# Protection plan"
    yield ""
    yield from _paragraph(" ".join(verdict(plan)))
    for each in left_out(plan):
        yield from _paragraph(each)
    rows = words.levels(plan)
    if rows:
        yield from markdown_table(
            ("Impact", "Now", "After the plan"),
            ((str(level), words.tally(now), words.tally(after)) for level, now, after in rows),
        )
    for phase in Phase:
        yield from _phase(phase, words.of_phase(plan, phase), plan)
    yield from _notes(plan)
    yield from _assets(plan)
    yield from _paths(plan)
    yield f"Made at {plan.made_at:%Y-%m-%d %H:%M} UTC. Ranked by impact alone, whatever the odds."


def _paragraph(text: str) -> Iterator[str]:
    yield escaped(text)
    yield ""


def _phase(phase: Phase, items: Sequence[Item], plan: Plan) -> Iterator[str]:
    if not items:
        return
    yield f"## {words.HEADINGS[phase]}"
    yield ""
    for each in words.bundles(items, plan):
        yield from _paragraph(each)
    for item in items:
        marks = f" _{escaped('; '.join(words.marks(item)))}._" if words.marks(item) else ""
        name = escaped(item.protection.name)
        yield (
            f"{item.place}. **{name}** ({markdown_code(item.protection.id)}), "
            f"effort {escaped(words.effort(item.effort))}: {escaped(words.does(item, plan))}.{marks}"
        )
        if phase is not Phase.HARDENING:
            yield f"   {escaped(item.why)}"
    yield ""


def _notes(plan: Plan) -> Iterator[str]:
    weak = [escaped(each) for each in words.weak_routes(plan)]
    yield from _bullets(words.WEAK_ROUTES, weak)
    yield from _bullets(words.SHUT_ROUTES, [escaped(each) for each in words.shut_routes(plan)])
    yield from _bullets(words.PROVEN, _placed(words.proven(plan)))
    yield from _bullets(words.MEASURED, _placed(words.measured(plan)))
    yield from _bullets(words.CLAIMS, _placed(words.claims(plan)))
    yield from _bullets(words.CHANGED, _placed(words.changed(plan)))
    struck = [escaped(words.struck_line(each, plan)) for each in words.struck(plan)]
    yield from _bullets(words.STRUCK, struck)
    unclosable = [
        f"{_named(each.steps)}: {escaped(f'{words.reached(each.paths, plan)}. {each.because}'.strip())}"
        for each in words.unclosable(plan)
    ]
    yield from _bullets(words.unclosable_heading(plan), unclosable)
    yield from _bullets("The budget", [escaped(each) for each in words.shortfalls(plan)])
    if plan.cheaper is not None:
        yield from _bullets("Cheaper in all", [escaped(words.cheaper(plan.cheaper, plan))])
    left = [escaped(each) for each in words.limits(plan)]
    yield from _bullets("Left out to stay within limits", left)


def _placed(found: Iterable[tuple[str, str]]) -> list[str]:
    return [f"{markdown_code(name)} {escaped(at)}" for name, at in found]


def _bullets(heading: str, entries: Sequence[str]) -> Iterator[str]:
    if not entries:
        return
    yield f"## {heading}"
    yield ""
    for entry in entries[:MAX_PATHS]:
        yield f"- {entry}"
    if len(entries) > MAX_PATHS:
        yield f"- and {len(entries) - MAX_PATHS:,} more: `watchword plan --json` has them all"
    yield ""


def _assets(plan: Plan) -> Iterator[str]:
    yield "## Assets"
    yield ""
    yield from markdown_table(
        ("Asset", "Impact", "Now", "After", "Ways in", "Because"),
        (
            (
                markdown_code(each.asset.id),
                str(each.asset.impact),
                words.EXPOSURES[each.now],
                words.EXPOSURES[each.after],
                f"{each.ways:,}",
                escaped(each.asset.because),
            )
            for each in plan.assets[:MAX_PATHS]
        ),
    )
    yield from _rest(len(plan.assets), "asset")


def _paths(plan: Plan) -> Iterator[str]:
    yield "## Paths"
    yield ""
    yield from markdown_table(
        ("Asset", "Steps", "Now", "After", "Cut by"),
        (
            (
                markdown_code(each.path.asset),
                _steps(each),
                words.EXPOSURES[each.now],
                words.EXPOSURES[each.after],
                _cutters(each),
            )
            for each in words.worst_first(plan.paths)[:MAX_PATHS]
        ),
    )
    yield from _rest(len(plan.paths), "path")


def _steps(state: PathState) -> str:
    return _named(state.path.steps)


def _named(steps: Iterable[str]) -> str:
    return " → ".join(markdown_code(each) for each in steps)


def _cutters(state: PathState) -> str:
    return (
        ", ".join(f"{markdown_code(by)} at {markdown_code(step)}" for step, by in state.cut_after)
        or "nothing"
    )


def _rest(total: int, word: str) -> Iterator[str]:
    if total > MAX_PATHS:
        more = counted(total - MAX_PATHS, f"more {word}")
        yield f"{more} aren't shown: `watchword plan --json` has them all."
        yield ""
