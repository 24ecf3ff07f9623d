"""Show a plan in a terminal: what to do first, what it closes, and what is left."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import click

from watchword.apps.plan import words
from watchword.apps.plan.words import left_out, nothing, verdict, what_if, world
from watchword.apps.reports.text import flat, in_sentence
from watchword.apps.terminal.paragraphs import hanging, printable, wrapped
from watchword.plan.outcome import Cut, Item, Phase, Plan

SHORT: Final = 5
"""How many measures of the hardening phase, claims and paths are shown unless all are asked for."""

_MANY: Final = 3
"""Beyond so many, what an item goes together with is said once for all, and with its details."""

_INDENT: Final = 4
_DEEPER: Final = 8


def lines(plan: Plan, *, details: bool = False, everything: bool = False) -> Iterator[str]:
    """Yield the plan for people.

    :param details: with the reasons, the evidence and the stability of each item.
    :param everything: the whole hardening phase, all claims, all paths that stay.
    """
    most = 1_000_000 if everything else SHORT
    yield from _header(plan)
    for phase in Phase:
        items = words.of_phase(plan, phase)
        if items:
            yield ""
            yield click.style(words.HEADINGS[phase], bold=True)
            for each in words.bundles(items, plan):
                yield from hanging(f"  {each}")
            shown = items[:most] if phase is Phase.HARDENING else items
            yield from _items(shown, plan, details=details)
            yield from _more(len(items) - len(shown))
    if not plan.items and nothing(plan) not in verdict(plan):
        yield ""
        yield from hanging(f"  {nothing(plan)}")
    yield from _notes(plan, most)


def item_lines(plan: Plan, protection: str) -> Iterator[str]:
    """Yield all that is known of one protection; nothing where it isn't in the list."""
    for item in plan.items:
        if item.protection.id == protection:
            yield from _asked(plan)
            yield click.style(words.HEADINGS[item.phase], bold=True)
            yield from _items([item], plan, details=True)


def _asked(plan: Plan) -> Iterator[str]:
    """Yield of which world it is and what was asked, where it isn't simply a plan for production."""
    for said in (world(plan), what_if(plan)):
        for line in wrapped(said) if said else ():
            yield click.style(line, bold=True)


def _header(plan: Plan) -> Iterator[str]:
    yield from _asked(plan)
    for sentence in (*verdict(plan), *left_out(plan)):
        yield from wrapped(sentence)
    rows = words.levels(plan)
    if rows:
        yield ""
        width = max(len("now"), *(len(words.tally(now)) for _, now, _ in rows))
        yield f"{'impact':<8}{'now':<{width}}  after the plan"
        for level, now, after in rows:
            yield f"{level:<8}{words.tally(now):<{width}}  {words.tally(after)}"


def _items(items: Iterable[Item], plan: Plan, *, details: bool) -> Iterator[str]:
    for item in items:
        yield from wrapped(
            f"{item.protection.id}  {item.protection.name}  effort {words.effort(item.effort)}",
            first=f"{item.place:>3}",
            indent=_INDENT,
        )
        yield from wrapped(words.does(item, plan), indent=_DEEPER)
        for mark in words.marks(item):
            yield from wrapped(mark, first=" " * (_DEEPER - 2) + "*", indent=_DEEPER)
        if details:
            yield from _details(item, plan)


def _details(item: Item, plan: Plan) -> Iterator[str]:
    """Yield what stands behind an item, each under its label."""
    for label, text in (
        ("why", item.why),
        *([("with", in_sentence(item.together))] if len(item.together) > _MANY else ()),
        *(("cuts", _cut(item, each, plan)) for each in item.cuts),
        ("skipped", words.skipped(item, plan)),
        *(("doesn't", each) for each in item.protection.does_not),
        *(("evidence", words.standing(each)) for each in item.evidence),
        ("stable", words.stability(item)),
        ("spent", f"effort {item.spent} up to here: {words.tallies(item.exposure)}"),
    ):
        yield from wrapped(flat(text), first=f"{'':<{_DEEPER}}{label:<9}", indent=_DEEPER + 9)


def _cut(item: Item, cut: Cut, plan: Plan) -> str:
    named = words.technique_name(plan, cut.technique)
    return f"{cut.technique} {named}: {words.cut(item, cut, plan)}"


def _notes(plan: Plan, most: int) -> Iterator[str]:
    """Yield what stands beside the list: what is proven, what to verify, what stays, what was left out."""
    yield from _block(words.WEAK_ROUTES, words.weak_routes(plan), most)
    yield from _block(words.SHUT_ROUTES, words.shut_routes(plan), most)
    yield from _block(words.PROVEN, [f"{name} {at}" for name, at in words.proven(plan)], most)
    measured = [f"{name} {what}" for name, what in words.measured(plan)]
    yield from _block(words.MEASURED, measured, most)
    yield from _block(words.CLAIMS, [f"{name} {at}" for name, at in words.claims(plan)], most)
    yield from _block(words.CHANGED, [f"{name} {what}" for name, what in words.changed(plan)], most)
    struck = [words.struck_line(each, plan) for each in words.struck(plan)]
    yield from _block(words.STRUCK, struck, most)
    yield from _block(words.unclosable_heading(plan), _unclosable(plan), most)
    yield from _block("The budget", words.shortfalls(plan))
    if plan.cheaper is not None:
        yield from _block("Cheaper in all", [words.cheaper(plan.cheaper, plan)])
    yield from _block("Left out to stay within limits", words.limits(plan))


def _block(heading: str, entries: Sequence[str], most: int = 1_000_000) -> Iterator[str]:
    if not entries:
        return
    yield ""
    yield click.style(heading, bold=True)
    for entry in entries[:most]:
        yield from wrapped(flat(entry), first="  -", indent=_INDENT)
    yield from _more(len(entries) - most)


def _more(number: int) -> Iterator[str]:
    if number > 0:
        yield f"    and {number:,} more: --all"


def _unclosable(plan: Plan) -> list[str]:
    found = []
    for each in words.unclosable(plan):
        named = " > ".join(f"{step} {words.technique_name(plan, step)}" for step in each.steps)
        said = f"{named}: {words.reached(each.paths, plan)}."
        found.append(printable(f"{said} {each.because}".strip()))
    return found
