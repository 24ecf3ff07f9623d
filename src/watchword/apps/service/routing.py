"""Find the endpoint for a method and a path in a table of routes."""

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from watchword.apps.service.admission import Urgency
from watchword.apps.service.messages import Request, Response
from watchword.reasons import Reason, RefusedError

Endpoint = Callable[[Any, Request], Awaitable[Response]]
"""Answer a request; the first argument is the context that the application was built with."""

_PARAMETER = re.compile(r"[A-Za-z0-9_-]{1,64}")


class MethodError(RefusedError):
    """Report a path that is served, under other methods."""

    allowed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Route:
    """Hold one line of a table of routes.

    :param path: literal segments, or ``{name}`` for one segment of an id's characters.
    :param takes_json: the body is a JSON object; otherwise a body is left unread.
    :param takes_body: the body is JSON that the endpoint reads by itself.
    :param urgency: how urgent it is where it has to wait for its turn; None where it is so cheap that it never waits.
    """

    method: str
    path: str
    endpoint: Endpoint
    takes_json: bool = False
    takes_body: bool = False
    urgency: Urgency | None = None

    @property
    def label(self) -> str:
        """Return the name in counters and logs, the same for every id."""
        return f"{self.method} {self.path}"


def find_route(
    routes: Sequence[Route], method: str, segments: tuple[str, ...]
) -> tuple[Route, Mapping[str, str]]:
    """Return the route and its parameters.

    :raises RefusedError: ``request.not_found``, or ``request.method`` as :class:`MethodError`.
    """
    matching = [
        (route, parameters)
        for route in routes
        if (parameters := _match(route.path, segments)) is not None
    ]
    # A path that is written out is no other one's parameter, whatever the method (OpenAPI 3.1, section 4.8.8.2).
    written_out = [each for each in matching if not each[1]]
    for route, parameters in written_out or matching:
        # HEAD runs what GET runs (RFC 9110 section 9.3.2); the server leaves the body out.
        if route.method == ("GET" if method == "HEAD" else method):
            return route, parameters
    allowed = [route.method for route, _ in written_out or matching]
    if allowed:
        error = MethodError.because(Reason.REQUEST_METHOD, f"expected {', '.join(allowed)}")
        error.allowed = tuple(allowed)
        raise error
    raise RefusedError.because(Reason.REQUEST_NOT_FOUND, "expected a path of the API description")


def _match(pattern: str, segments: tuple[str, ...]) -> Mapping[str, str] | None:
    wanted = pattern.strip("/").split("/")
    if len(wanted) != len(segments):
        return None
    parameters = {}
    for part, segment in zip(wanted, segments, strict=True):
        if part.startswith("{"):
            if not _PARAMETER.fullmatch(segment):
                return None
            parameters[part[1:-1]] = segment
        elif part != segment:
            return None
    return parameters
