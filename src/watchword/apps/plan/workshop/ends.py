"""Hand the plan over: a page for management, Markdown, tickets, a bill of the plan, accepted risks, and the meeting's record."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from watchword.apps.plan.workshop.session import Workshop
from watchword.apps.web.kit import Kit


@dataclass(frozen=True, slots=True)
class End:
    """Hold one way to hand the plan over.

    :param address: a page or a file to download.
    """

    address: str
    name: str
    about: str


ENDS: Final[Sequence[End]] = (
    End(
        "/ends/management",
        "Page for management",
        "One page to read, print or send: what could happen, and what to do first.",
    ),
    End(
        "/ends/management.pdf",
        "The same as PDF",
        "Made by the Chromium of this machine, where there is one.",
    ),
    End("/ends/plan.md", "Markdown", "For a wiki or a pull request."),
    End(
        "/ends/tickets-github.json",
        "Tickets for GitHub",
        "Title, text and labels of one issue for each protection.",
    ),
    End(
        "/ends/tickets-jira.csv",
        "Tickets for Jira",
        "CSV for Jira's import, one row for each protection.",
    ),
    End("/ends/plan.cdx.json", "CycloneDX", "The plan as a document that other tools read."),
    End(
        "/ends/record",
        "Record of the meeting",
        "Who answered what and when, what moved, and which risks were accepted.",
    ),
)
"""Ways to hand the plan over, in the order in which they are offered."""


def routes(workshop: Workshop, kit: Kit) -> list[BaseRoute]:
    """Return the routes of every entry of :data:`ENDS`."""

    async def later(_request: Request) -> Response:
        return kit.refusal(
            404, "No plan yet", "There is no plan to hand over yet.", str(workshop.file)
        )

    return [Route(each.address, later) for each in ENDS]
