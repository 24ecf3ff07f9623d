"""Serve a table of routes over ASGI: the frame that every request passes, and every refusal."""

from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from dataclasses import replace
from typing import Any, Final
from urllib.parse import parse_qsl

import structlog

from watchword.apps.problems import render
from watchword.apps.service.admission import Admission
from watchword.apps.service.body import MAX_BODY_BYTES, BodyReader, Receive, require_cheap
from watchword.apps.service.client_addresses import ClientAddresses
from watchword.apps.service.context import ServiceContext
from watchword.apps.service.messages import Request, Response
from watchword.apps.service.routing import MethodError, Route, find_route
from watchword.encoding import strict_json
from watchword.gate.hygiene import clean, read_path
from watchword.reasons import (
    MalformedError,
    Reason,
    Refusal,
    RefusedError,
    UnavailableError,
    WatchwordError,
)

MAX_QUERY_BYTES: Final = 1024
"""Most bytes of a query; the longest real one has 60."""

RETRY_SECONDS: Final = 5
"""After how long to come again when the state directory is in trouble."""

NOTE_SECONDS: Final = 10.0
"""How often one kind of failure is logged; the counters have each of them."""

PEER_STATE: Final = "watchword.peer"
"""Under this name of the scope's state a listener tells the names in the caller's certificate."""

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Scope = MutableMapping[str, Any]

_UNMATCHED = "unmatched"
_WITHOUT_CONTENT = frozenset({204, 304})
_log = structlog.get_logger()


class Application:
    """Answer HTTP requests by a table of routes; a refusal leaves as a problem, whatever its cause."""

    def __init__(
        self,
        routes: Sequence[Route],
        context: ServiceContext,
        *,
        reveal: bool,
        operator: bool = False,
        addresses: ClientAddresses | None = None,
    ) -> None:
        """Keep the table.

        :param reveal: put reasons in the open.
        :param operator: the caller may know everything and is told the details too; what he
            mistypes is counted at places of its own, which begin with ``operator``.
        :param addresses: tells clients' addresses; None where nobody asks for them.
        """
        self.routes = tuple(routes)
        self._operator = operator
        self._prefix = "operator " if operator else ""
        self._context = context
        self._reveal = reveal
        self._addresses = addresses
        self._bodies = BodyReader()
        self._admission = Admission()
        self._waited_for = {
            (route.method, route.path.encode()): (route, route.urgency)
            for route in self.routes
            if route.urgency is not None
        }
        self._overloaded: dict[str, tuple[int, Response]] = {}
        self._noted: dict[str, float] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one ASGI connection."""
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008})
        elif (route := self._full_for(scope)) is not None:
            where = self._prefix + route.label
            response = self._turn_away(self._admission.full(), where)
            self._context.answers[where, response.status] += 1
            await _send(response, send)
        else:
            await _send(await self._answer(scope, receive), send)

    def _full_for(self, scope: Scope) -> Route | None:
        """Return the route of a request for which there is no room; whatever else is wrong with it nobody looks at."""
        found = self._waited_for.get((scope["method"], scope.get("raw_path") or b""))
        if found is None or self._admission.has_room(found[1]):
            return None
        return found[0]

    async def _answer(self, scope: Scope, receive: Receive) -> Response:
        where = self._prefix + _UNMATCHED
        try:
            headers = _headers(scope)
            route, parameters = find_route(self.routes, scope["method"], _segments(scope))
            where = self._prefix + route.label
            body = await self._body(route, headers, receive)
            # Only a listener of ours puts a state there; nothing of it comes out of the request.
            peer = tuple(scope.get("state", {}).get(PEER_STATE, ()))
            request = Request(
                parameters, _query(scope), {}, headers, peer, body, self._address(scope)
            )
            if route.urgency is None:
                response = await self._carry_out(route, request)
            else:
                async with self._admission.turn(route.urgency):
                    response = await self._carry_out(route, request)
        except Exception as error:  # noqa: BLE001 - the last handler: no trace leaves the service.
            response = self._refuse(error, where)
        self._context.answers[where, response.status] += 1
        return response

    def _address(self, scope: Scope) -> str | None:
        """Return the prefix of the client's address; the fields are in order by now."""
        if self._addresses is None:
            return None
        peer = scope.get("client")
        fields = ((name.lower(), value) for name, value in scope["headers"])
        return self._addresses.prefix(peer[0] if peer else None, fields)

    async def _carry_out(self, route: Route, request: Request) -> Response:
        if route.takes_json:
            if not self._operator:
                require_cheap(request.body)
            # Here, since reading a crowd's JSON costs more than turning the crowd away.
            request = replace(request, members=strict_json.loads(request.body, MAX_BODY_BYTES))
        return await route.endpoint(self._context, request)

    def _note(self, event: str, **details: str) -> None:
        """Log what an operator must act on, at most once in a while: strangers can cause it."""
        now = self._context.clock.timestamp()
        if abs(now - self._noted.get(event, 0)) >= NOTE_SECONDS:
            self._noted[event] = now
            _log.error(event, **details)

    async def _body(self, route: Route, headers: Mapping[bytes, bytes], receive: Receive) -> bytes:
        if not (route.takes_json or route.takes_body):
            return b""
        _require_json(headers)
        if route.urgency is None:
            return await self._bodies.read(headers, receive)
        with self._admission.place(route.urgency):
            return await self._bodies.read(headers, receive)

    def _refuse(self, error: Exception, where: str) -> Response:
        """Turn an error into an answer; count and sample it."""
        if isinstance(error, UnavailableError) and error.reason is Reason.SERVICE_OVERLOADED:
            return self._turn_away(error, where)
        return self._answer_of(error, where)

    def _turn_away(self, error: UnavailableError, where: str) -> Response:
        """Answer one of a crowd: all of a second get the same reference, which means the same for each.

        Making one costs half of what turning somebody away costs, and then a crowd would have that time.
        """
        second = int(self._context.clock.timestamp())
        made = self._overloaded.get(where)
        if made is None or made[0] != second:
            made = self._overloaded[where] = (second, self._answer_of(error, where))
        else:
            self._context.refusal_log.record((Refusal(error.reason, error.detail),), where)
        return made[1]

    def _answer_of(self, error: Exception, where: str) -> Response:
        retry_after = None
        extra: tuple[tuple[bytes, bytes], ...] = ()
        if isinstance(error, RefusedError):
            refusals: Sequence[Refusal] = error.refusals
            if isinstance(error, MethodError):
                extra = ((b"allow", ", ".join(error.allowed).encode()),)
        elif isinstance(error, UnavailableError):
            refusals = (Refusal(error.reason, error.detail),)
            retry_after = error.retry_after
            self._note(error.reason.code, detail=error.detail, where=where)
        elif isinstance(error, WatchwordError):
            # Files of the state directory that can't be read, written or trusted now.
            refusals = (Refusal(Reason.STORE_UNAVAILABLE, type(error).__name__),)
            retry_after = RETRY_SECONDS
            self._note(Reason.STORE_UNAVAILABLE.code, detail=str(error), where=where)
        else:
            refusals = (Refusal(Reason.SERVICE_INTERNAL, type(error).__name__),)
            # The class alone: an exception's text can quote what a stranger or a key file said.
            self._note("internal error", error=type(error).__name__, where=where)
        self._context.refusal_log.record(refusals, where)
        problem = render(
            refusals,
            ref=self._context.reference(refusals, where),
            reveal=self._reveal,
            details=self._operator,
            retry_after=retry_after,
        )
        return Response(problem.status, problem.body, problem.headers + extra)


def _headers(scope: Scope) -> Mapping[bytes, bytes]:
    cleaned = clean(scope["headers"])
    if isinstance(cleaned, Refusal):
        raise MalformedError((cleaned,))
    return dict(cleaned.fields)


def _segments(scope: Scope) -> tuple[str, ...]:
    """Return the path's segments; decided on the raw path, so that no server decodes it for us."""
    raw_path: bytes = scope.get("raw_path") or scope["path"].encode()
    segments = read_path(raw_path.partition(b"?")[0])
    if isinstance(segments, Refusal):
        raise MalformedError((segments,))
    return segments


def _query(scope: Scope) -> Mapping[str, str]:
    raw: bytes = scope.get("query_string", b"")
    try:
        pairs = parse_qsl(raw[: MAX_QUERY_BYTES + 1].decode("ascii"), errors="strict")
    except ValueError:
        pairs = None
    if pairs is None or len(raw) > MAX_QUERY_BYTES:
        raise MalformedError.because(
            Reason.REQUEST_MALFORMED,
            f"expected an encoded query of at most {MAX_QUERY_BYTES} bytes",
        )
    query = dict(pairs)
    if len(query) != len(pairs):
        raise MalformedError.because(Reason.REQUEST_MALFORMED, "got a query argument twice")
    return query


def _require_json(headers: Mapping[bytes, bytes]) -> None:
    """Refuse a body that says it is something else than plain JSON in UTF-8 (RFC 8259)."""
    media_type, _, parameters = headers.get(b"content-type", b"").lower().partition(b";")
    charset = parameters.replace(b'"', b"").strip()
    plain = headers.get(b"content-encoding", b"identity").strip().lower() == b"identity"
    if media_type.strip() != b"application/json" or charset not in {b"", b"charset=utf-8"}:
        raise MalformedError.because(Reason.REQUEST_MEDIA_TYPE, "expected application/json")
    if not plain:
        raise MalformedError.because(Reason.REQUEST_MEDIA_TYPE, "expected no content-encoding")


async def _send(response: Response, send: Send) -> None:
    headers = list(response.headers)
    # An answer without content has none (RFC 9110 section 8.6): on a 304 a length of 0 would be that of the whole.
    if response.status not in _WITHOUT_CONTENT and not any(
        name == b"content-length" for name, _ in headers
    ):
        headers.append((b"content-length", str(len(response.body)).encode()))
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": response.body})


async def _lifespan(receive: Receive, send: Send) -> None:
    """Agree to start and stop: what runs beside the requests is started by the service itself."""
    while True:
        message = await receive()
        await send({"type": message["type"] + ".complete"})
        if message["type"] == "lifespan.shutdown":
            return
