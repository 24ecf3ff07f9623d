"""Hand the plan over: a page for management, Markdown, tickets, CycloneDX, and the meeting's record."""

import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute

from watchword.adapters.pdf import print_pdf
from watchword.adapters.system import SystemEntropy
from watchword.apps.plan import words
from watchword.apps.plan.cyclonedx import cyclonedx
from watchword.apps.plan.management import Accepted, accepted_in, management, style_hash
from watchword.apps.plan.markdown import markdown
from watchword.apps.plan.tickets import github, jira
from watchword.apps.plan.workshop.session import Moved, State, Turned, Workshop, moves, turns
from watchword.apps.reports.text import json_text, markdown_table
from watchword.apps.reports.text import markdown as escaped
from watchword.apps.web.frame import CSP, page
from watchword.encoding.phrases import counted
from watchword.plan.outcome import Plan
from watchword.ports import Entropy
from watchword.reasons import ExitCode, WatchwordError


class Shown(Protocol):
    """Makes a page of the workshop."""

    def __call__(self, request: Request, template: str, step: str, **values: Any) -> Response:
        """Return the page that a template makes, with the plan beside it."""


class NoPlanError(WatchwordError):
    """Report that there is nothing to hand over yet; the text says what is missing."""

    exit_code = ExitCode.USAGE


@dataclass(frozen=True, slots=True)
class End:
    """Hold one way to hand the plan over.

    :param address: of a file, or of a page that stands for itself (a link to it has ``hx-boost="false"``).
    """

    address: str
    name: str
    about: str


ENDS: Final[Sequence[End]] = (
    End(
        "/ends/management.html",
        "Page for management",
        "One page to read, print or send: what could be lost, and what to do first.",
    ),
    End(
        "/ends/management.pdf",
        "The same page as PDF",
        "Printed by the Chromium of this machine, where there is one.",
    ),
    End("/ends/plan.md", "Markdown", "For a wiki or a pull request."),
    End(
        "/ends/tickets-github.json",
        "Tickets for GitHub",
        "Title, text and labels of one issue for each measure, with what will prove it.",
    ),
    End(
        "/ends/tickets-jira.csv",
        "Tickets for Jira",
        "One row for each measure, for Jira's import of CSV.",
    ),
    End("/ends/plan.cdx.json", "CycloneDX", "The plan as other tools read it."),
    End(
        "/ends/record.md",
        "Record of the meeting",
        "Who answered what and when, what moved, and which risks were accepted.",
    ),
)
"""Ways to hand the plan over, in the order in which they are offered."""


def routes(
    workshop: Workshop,
    shown: Shown,
    *,
    entropy: Entropy | None = None,
    printed: Callable[[str], bytes] = print_pdf,
) -> list[BaseRoute]:
    """Return the routes of the page ``/ends`` and of every entry of :data:`ENDS`.

    :param shown: makes a page of the workshop from the request, the template, the step and values.
    :param printed: makes a PDF of a page.
    """
    random = entropy or SystemEntropy()

    def plan() -> Plan:
        planned = workshop.plan()
        if planned is None:
            raise NoPlanError(f"there is no plan yet: {_missing(workshop.state())}")
        return planned.plan

    def for_management() -> str:
        return management(plan(), accepted_in(workshop.state().section))

    def as_page() -> Response:
        text = for_management()
        policy = CSP.replace("style-src 'self'", f"style-src {style_hash(text)}")
        return HTMLResponse(text, headers={"content-security-policy": policy})

    def bill() -> str:
        made = plan()
        serial = uuid.UUID(bytes=random.token_bytes(16), version=4)
        return json_text(cyclonedx(made, f"urn:uuid:{serial}", made.made_at))

    makers: dict[str, Callable[[], Response]] = {
        "management.html": as_page,
        "management.pdf": lambda: _file(printed(for_management()), "application/pdf", "plan.pdf"),
        "plan.md": lambda: _file(markdown(plan()), "text/markdown", "plan.md"),
        "tickets-github.json": lambda: _file(
            github(plan()), "application/json", "tickets-github.json"
        ),
        # The mark tells spreadsheets that this is UTF-8.
        "tickets-jira.csv": lambda: _file("\ufeff" + jira(plan()), "text/csv", "tickets-jira.csv"),
        "plan.cdx.json": lambda: _file(bill(), "application/vnd.cyclonedx+json", "plan.cdx.json"),
        "record.md": lambda: _file(record(workshop), "text/markdown", "record.md"),
    }

    def end(request: Request) -> Response:
        maker = makers.get(request.path_params["name"])
        if maker is None:
            raise HTTPException(404)
        return maker()

    def ends(request: Request) -> Response:
        risks = accepted_in(workshop.state().section)
        return shown(request, "ends.html.j2", "ends", ends=ENDS, risks=risks)

    return [page("/ends", ends), page("/ends/{name}", end)]


def _file(content: str | bytes, kind: str, name: str) -> Response:
    disposition = f'attachment; filename="{name}"'
    return Response(content, media_type=kind, headers={"content-disposition": disposition})


def _missing(state: State) -> str:
    if state.faults:
        first = state.faults[0]
        return f"{first.path}: got {first.got}, expected {first.expected}"
    return "name an asset first, and say what its loss would do"


MAX_ANSWERS: Final = 2_000
"""Most answers that a record lists, the newest; the file's own history has the others."""


def record(workshop: Workshop) -> str:
    """Return the meeting's record in Markdown: what was answered, what moved, what was accepted."""
    state, now = workshop.state(), workshop.plan()
    return "\n".join(_record(workshop, state, None if now is None else now.plan)) + "\n"


def _record(workshop: Workshop, state: State, plan: Plan | None) -> Iterator[str]:
    yield "# Record of the plan's workshop"
    yield ""
    people = list(dict.fromkeys(each.by for each in state.done))
    yield f"File: {escaped(workshop.file.name)}. {counted(len(state.done), 'answer')}."
    if people:
        yield f"Answered by: {', '.join(escaped(each) for each in people)}."
    yield "Some answers aren't in the file yet." if state.unsaved else "The file has every answer."
    yield ""
    yield "## Answers"
    yield ""
    yield from markdown_table(
        ("When (UTC)", "Who", "What"),
        (
            (f"{each.at:%Y-%m-%d %H:%M:%S}", escaped(each.by), escaped(each.said))
            for each in state.done[-MAX_ANSWERS:]
        ),
    )
    if len(state.done) > MAX_ANSWERS:
        yield f"{len(state.done) - MAX_ANSWERS:,} earlier ones aren't shown."
        yield ""
    if plan is None:
        yield from ("## There is no plan yet", "", escaped(_missing(state)), "")
    else:
        yield from _result(workshop, plan)
    yield "## Accepted risks"
    yield ""
    risks = accepted_in(state.section)
    yield from _risks(risks) if risks else iter(("None.", ""))


def _result(workshop: Workshop, plan: Plan) -> Iterator[str]:
    yield "## The plan at the end"
    yield ""
    yield escaped(" ".join(words.verdict(plan)))
    yield ""
    yield from (f"{each.place}. {escaped(each.protection.name)}" for each in plan.items)
    yield ""
    before = workshop.of_file()
    if before is None:
        return
    lines = [*map(_moved, moves(before.plan, plan)), *map(_turned, turns(before.plan, plan))]
    yield "## What moved against the file"
    yield ""
    yield from (f"- {each}" for each in lines) if lines else iter(("Nothing.",))
    yield ""


def _moved(found: Moved) -> str:
    where = {
        (True, False): f"new, at place {found.after}",
        (False, True): f"gone, was at place {found.before}",
        (False, False): f"from place {found.before} to {found.after}",
    }[found.before is None, found.after is None]
    return f"{escaped(found.name)}: {where}"


def _turned(found: Turned) -> str:
    before, after = (
        "not there" if each is None else words.EXPOSURES[each]
        for each in (found.before, found.after)
    )
    return f"{escaped(found.asset)}: {before} before, {after} now"


def _risks(risks: Sequence[Accepted]) -> Iterator[str]:
    rows: list[tuple[Any, ...]] = [
        tuple(
            escaped(each)
            for each in (
                risk.what,
                risk.because,
                risk.owner or "nobody is named",
                risk.until or "no end",
            )
        )
        for risk in risks
    ]
    yield from markdown_table(("What", "Because", "Owner", "Until"), rows)
