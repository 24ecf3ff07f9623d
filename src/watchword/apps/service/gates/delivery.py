"""Answer gates that ask for their bundle, and let them wait for the next one."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

import structlog

from watchword.apps.service.context import ServiceContext
from watchword.apps.service.messages import Request, Response
from watchword.apps.service.routing import Route
from watchword.reasons import MalformedError, Reason, RefusedError, UnavailableError

WAIT_SECONDS: Final = 25.0
"""How long a gate that has the newest bundle waits for another one: shorter than the idle
timeouts of what may stand between the machines."""

MAX_WAITING: Final = 16
"""Most requests that wait under one name: one gate needs one."""

_KNOWN = re.compile(rb'"([0-9]{1,16})"')
_log = structlog.get_logger()


class GateDelivery:
    """Hand each gate the bundles of its own APIs, by the names in its certificate."""

    def __init__(
        self, clients: Mapping[str, Sequence[str]], wait_seconds: float = WAIT_SECONDS
    ) -> None:
        """Keep who may fetch what.

        :param clients: by the name in a certificate, the names of its APIs.
        """
        self._clients = clients
        self._wait_seconds = wait_seconds
        self._waiting: Counter[str] = Counter()

    def routes(self) -> tuple[Route, ...]:
        """Return the only endpoint that the listener has."""
        return (Route("GET", "/v1/gates/{api}/bundle", self.bundle),)

    async def bundle(self, context: ServiceContext, request: Request) -> Response:
        """Return the bundle, or 304 when none came that is newer than the caller's.

        ``If-None-Match: "GENERATION"`` names the one that the caller has; without it the answer
        comes at once.

        :raises RefusedError: ``gate.bundle`` for a gate of other APIs, whether or not this one is
            there: nobody learns which there are.
        """
        api = request.parameters["api"]
        name = self._allowed(request.peer, api)
        known = _known(request.headers)
        if self._waiting[name] >= MAX_WAITING:
            raise UnavailableError(
                Reason.SERVICE_OVERLOADED, f"got {MAX_WAITING} requests of {name} that wait"
            )
        self._waiting[name] += 1
        try:
            seconds = 0.0 if known is None else self._wait_seconds
            newer = await context.publisher.newer(api, known or 0, seconds)
        finally:
            self._waiting[name] -= 1
        if newer is None:
            return Response(304, b"", ((b"cache-control", b"no-store"),))
        return Response(
            200,
            newer.data,
            (
                (b"content-type", b"application/jose"),
                (b"cache-control", b"no-store"),
                (b"etag", b'"%d"' % newer.bundle.generation),
            ),
        )

    def _allowed(self, names: Sequence[str], api: str) -> str:
        for name in names:
            if api in self._clients.get(name, ()):
                return name
        _log.warning("bundle refused", api=api, gate=list(names))
        raise RefusedError.because(
            Reason.GATE_BUNDLE, "expected a certificate that gates.clients names with this API"
        )


def _known(headers: Mapping[bytes, bytes]) -> int | None:
    value = headers.get(b"if-none-match")
    if value is None:
        return None
    found = _KNOWN.fullmatch(value)
    if found is None:
        raise MalformedError.because(
            Reason.REQUEST_MALFORMED, "expected If-None-Match with one generation in quotes"
        )
    return int(found[1])
