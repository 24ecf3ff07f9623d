"""Show the workshop's pages, one for each question of the method, and take the answers."""

from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from watchword.apps.plan.workshop.session import Workshop
from watchword.apps.web.kit import Kit

UPLOADS: Final = frozenset({"/start/upload"})
"""Paths whose forms hold a file."""


def routes(workshop: Workshop, kit: Kit) -> list[BaseRoute]:
    """Return the routes of the workshop's pages."""

    async def start(_request: Request) -> Response:
        return kit.refusal(200, "Workshop", f"The plan of {workshop.file}.")

    return [Route("/", start)]
