"""Write a plan as tickets: one for each protection, with what will show that it is done.

A ticket is done when evidence says so: each names the attacks of the drill, the rules of the scan and the live
measurements that prove its protection, as the catalogue has them.
"""

import csv
import io
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from watchword.apps.plan import words
from watchword.apps.reports.text import in_sentence, markdown, markdown_code, one_line
from watchword.drill.registry import ATTACKS
from watchword.encoding.phrases import counted
from watchword.plan.interface import Protection
from watchword.plan.outcome import Item, Phase, Plan
from watchword.scan.api.registry import RULES as API_RULES
from watchword.scan.registry import RULES

MAX_TITLE: Final = 240
"""Most characters of a title; GitHub takes 256, Jira 255."""

MAX_BODY: Final = 30_000
"""Most characters of a text; Jira takes 32,767, GitHub 65,536."""

MAX_NAMED: Final = 12
"""Most assets that one ticket names."""

_LABELS: Final = {
    Phase.PREVENT: "plan-prevent",
    Phase.GATHERING: "plan-gathering",
    Phase.HARDENING: "plan-hardening",
}
_PRIORITIES: Final = {Phase.PREVENT: "High", Phase.GATHERING: "Medium", Phase.HARDENING: "Low"}
_FORMULA: Final = (
    "=",
    "+",
    "-",
    "@",
    "\t",
    "\r",
    "\n",
    "|",
    "%",
    "\uff1d",
    "\uff0b",
    "\uff0d",
    "\uff20",
)
_WIKI: Final = re.compile(r"[{}\[\]!|~^*_?\\]")


@dataclass(frozen=True, slots=True)
class Proof:
    """Hold one way in which a protection can be shown to work.

    :param key: of the evidence.
    :param command: what finds out; empty where no command of ours does.
    :param about: in words.
    """

    key: str
    command: str
    about: str


@dataclass(frozen=True, slots=True)
class Ticket:
    """Hold one protection to be put in place.

    :param work: what is to be done and why, in sentences.
    :param after: the tickets that have to be done before, by protection.
    :param proofs: any of them that holds is a proof; :param review: whether a person's review counts instead.
    """

    place: int
    protection: Protection
    phase: Phase
    effort: str
    work: tuple[str, ...]
    assets: tuple[str, ...]
    after: tuple[str, ...]
    does_not: tuple[str, ...]
    proofs: tuple[Proof, ...]
    review: bool

    @property
    def title(self) -> str:
        """Return the title: the id first, so that an import that runs twice is seen."""
        return one_line(f"[{self.protection.id}] {self.protection.name}")[:MAX_TITLE]

    @property
    def labels(self) -> tuple[str, ...]:
        """Return the labels."""
        return ("security", _LABELS[self.phase])


def tickets(plan: Plan) -> list[Ticket]:
    """Return one ticket for each protection of the plan, in its order."""
    return [_ticket(item, plan) for item in plan.items]


def _ticket(item: Item, plan: Plan) -> Ticket:
    listed = {each.protection.id for each in plan.items}
    work = [f"{words.HEADINGS[item.phase]}.", words.sentence(words.does(item, plan))]
    if not words.told_by_why(item, plan):
        work.append(item.why)
    return Ticket(
        place=item.place,
        protection=item.protection,
        phase=item.phase,
        effort=words.effort(item.effort),
        work=(item.protection.about, *work),
        assets=item.assets,
        after=tuple(each for each in item.protection.depends_on if each in listed),
        does_not=item.protection.does_not,
        proofs=tuple(proofs(item.protection)),
        review=item.protection.reviewable,
    )


def proofs(protection: Protection) -> Iterator[Proof]:
    """Yield each way to prove a protection, in the order of its keys of evidence."""
    for key in protection.evidence:
        attacks = [
            each.id for each in ATTACKS.values() if each.protections.get(protection.id) == key
        ]
        if attacks:
            yield Proof(
                key,
                f"watchword drill --only {protection.id}",
                f"The drill's {counted(len(attacks), 'attack')} on it {'is' if len(attacks) == 1 else 'are'} stopped: "
                f"{in_sentence(attacks)}",
            )
        for command, rules in (("watchword scan", RULES), ("watchword scan api", API_RULES)):
            found = [each.id for each in rules if each.protections.get(protection.id) == key]
            if found:
                named = f"rule{'s' * (len(found) > 1)} {in_sentence(found)}"
                yield Proof(key, command, f"The scan sees it in place, by its {named}")
                attacks += found
        if attacks:
            continue
        if key.startswith("live:"):
            yield Proof(key, "", "An observer sees it while the API is in use")
        else:
            yield Proof(
                key, "watchword observe add", "A test or a review shows it, and is recorded"
            )


def github(plan: Plan) -> str:
    """Return the tickets as JSON: an array of ``title``, ``body`` in Markdown and ``labels``.

    That is what GitHub's REST API takes to create an issue, one member after the other.
    """
    made: list[dict[str, Any]] = [
        {
            "title": each.title,
            "body": _within("\n".join(_markdown_lines(each))),
            "labels": list(each.labels),
        }
        for each in tickets(plan)
    ]
    return json.dumps(made, indent=2) + "\n"


def _markdown_lines(ticket: Ticket) -> Iterator[str]:
    yield " ".join(markdown(each) for each in ticket.work)
    yield ""
    yield f"Place {ticket.place} of the plan, effort {markdown(ticket.effort)}."
    yield ""
    if ticket.assets:
        yield f"Protects {_named(ticket.assets, markdown_code)}."
        yield ""
    if ticket.after:
        yield f"Needs first: {in_sentence([markdown_code(each) for each in ticket.after])}."
        yield ""
    yield "## Done when"
    yield ""
    for each in ticket.proofs:
        how = f": {markdown_code(each.command)}" if each.command else ""
        yield f"- [ ] {markdown(each.about)} ({markdown_code(each.key)}){how}"
    yield from (f"- [ ] {markdown(each)}" for each in _closing(ticket))
    yield ""
    yield "## What it doesn't stop"
    yield ""
    yield from (f"- {markdown(each)}" for each in ticket.does_not)


def _closing(ticket: Ticket) -> Iterator[str]:
    if ticket.review:
        yield "Or: a person who isn't the author reviewed it, and the review is recorded."
    yield f"`watchword plan` lists {ticket.protection.id} under what counts as proven.".replace(
        "`", ""
    )


def _named(names: Sequence[str], form: Any) -> str:
    shown = [form(each) for each in names[:MAX_NAMED]]
    if len(names) > MAX_NAMED:
        shown.append(f"{len(names) - MAX_NAMED:,} more")
    return in_sentence(shown)


def jira(plan: Plan) -> str:
    """Return the tickets as CSV for Jira's import, in UTF-8 with a head of Jira's names of fields.

    A spreadsheet runs a cell that begins like a formula; such a cell gets an apostrophe before it.
    """
    stream = io.StringIO()
    writer = csv.writer(stream, quoting=csv.QUOTE_ALL, lineterminator="\r\n")
    writer.writerow(("Summary", "Description", "Issue Type", "Priority", "Labels", "Labels"))
    for each in tickets(plan):
        cells = (
            _wiki(each.title),
            _within("\n".join(_wiki_lines(each))),
            "Task",
            _PRIORITIES[each.phase],
            *each.labels,
        )
        writer.writerow([defused(cell) for cell in cells])
    return stream.getvalue()


def _wiki_lines(ticket: Ticket) -> Iterator[str]:
    yield " ".join(_wiki(each) for each in ticket.work)
    yield ""
    yield f"Place {ticket.place} of the plan, effort {_wiki(ticket.effort)}."
    if ticket.assets:
        yield f"Protects {_named(ticket.assets, _wiki)}."
    if ticket.after:
        yield f"Needs first: {in_sentence(ticket.after)}."
    yield ""
    yield "h3. Done when"
    for each in ticket.proofs:
        how = f": {_wiki(each.command)}" if each.command else ""
        yield f"* {_wiki(each.about)} ({_wiki(each.key)}){how}"
    yield from (f"* {_wiki(each)}" for each in _closing(ticket))
    yield ""
    yield "h3. What it doesn't stop"
    yield from (f"* {_wiki(each)}" for each in ticket.does_not)


def _wiki(text: str) -> str:
    """Return text as Jira's markup that shows it as it is, on one line."""
    return _WIKI.sub(r"\\\g<0>", one_line(text))


def defused(cell: str) -> str:
    """Return a cell that no spreadsheet takes for a formula, whichever of its lines it looks at."""
    return f"'{cell}" if cell.lstrip(" \u00a0").startswith(_FORMULA) else cell


def _within(text: str) -> str:
    return text if len(text) <= MAX_BODY else f"{text[:MAX_BODY]}\n..."


FORMS: Final = {"github": github, "jira": jira}
"""What writes tickets, by the name of who takes them."""
