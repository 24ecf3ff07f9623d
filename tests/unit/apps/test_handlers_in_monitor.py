"""Show what a handler that asks who is there does to a request that nobody was verified for."""

import contextlib
import json
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask, request
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket
from tests.unit.apps.asgi_client import call, http_scope
from tests.unit.apps.test_middleware import ListedRefusals, StoppedClock
from tests.unit.apps.wsgi_client import call as call_wsgi
from tests.unit.apps.wsgi_client import environ_of
from tests.unit.gate.simulators import CLAIMS, published, route, token

from watchword.adapters.replay import MemoryReplayStore
from watchword.apps.gateway import WatchwordMiddleware, WatchwordWsgiMiddleware, require_claims
from watchword.gate.service import Gate
from watchword.reasons import Reason, RefusedError
from watchword.vocabulary import Mode

ROUTES = (
    route("/open/**", mode=Mode.OFF),
    route("/watched/**", mode=Mode.MONITOR),
    route("/**"),
)
PATHS = ("/open/who", "/watched/who")
GOOD = [(b"watchword-token", token().encode())]


def guarded(log: ListedRefusals) -> dict[str, Any]:
    """Return what a middleware is made with."""
    gate = Gate(published(*ROUTES), memory=MemoryReplayStore())
    return {"gate": gate, "refusal_log": log, "clock": StoppedClock()}


async def live(socket: WebSocket) -> None:
    """Require an instance before the WebSocket is accepted."""
    require_claims(socket.scope)
    await socket.accept()


def flask() -> Flask:
    """Return an application whose framework makes a 500 of every exception."""
    app = Flask("who")

    @app.get("/<path:_>")
    def who(_: str) -> str:
        return require_claims(request.environ).subject

    return app


async def who(request: Request) -> Response:
    """Require an instance."""
    return JSONResponse(require_claims(request.scope).subject)


def wsgi(path: str, fields: list[tuple[bytes, bytes]], log: ListedRefusals) -> Any:
    """Ask Flask."""
    app = flask()
    middleware = WatchwordWsgiMiddleware(app.wsgi_app, **guarded(log))
    return call_wsgi(middleware, environ_of(http_scope(path, headers=fields)))


def asgi_inside(path: str, fields: list[tuple[bytes, bytes]], log: ListedRefusals) -> Any:
    """Ask Starlette with the middleware inside of what makes a 500 of exceptions."""
    app = Starlette(routes=[Route("/{_:path}", who)])
    app.add_middleware(WatchwordMiddleware, **guarded(log))
    return call(app, http_scope(path, headers=fields))


def asgi_around(path: str, fields: list[tuple[bytes, bytes]], log: ListedRefusals) -> Any:
    """Ask Starlette with the middleware around it all."""
    app = Starlette(routes=[Route("/{_:path}", who)])
    return call(WatchwordMiddleware(app, **guarded(log)), http_scope(path, headers=fields))


Asked = Callable[[str, list[tuple[bytes, bytes]], ListedRefusals], Any]
EVERY = pytest.mark.parametrize("ask", [wsgi, asgi_inside, asgi_around])


@EVERY
@pytest.mark.parametrize("path", PATHS)
def test_an_escaped_refusal_is_its_problem(ask: Asked, path: str) -> None:
    """Not a 500 of the framework; and it is counted once."""
    log = ListedRefusals()
    answer = ask(path, [], log)
    assert answer.status == 401
    problem = json.loads(answer.body)
    assert problem["type"] == "urn:watchword:problem:token-required"
    assert problem["ref"]
    assert [reason for reason, _ in log.seen] == [Reason.TOKEN_MISSING]


@EVERY
@pytest.mark.parametrize("path", PATHS[1:])
def test_a_genuine_instance_is_served(ask: Asked, path: str) -> None:
    """In ``monitor`` too."""
    answer = ask(path, GOOD, ListedRefusals())
    assert (answer.status, CLAIMS.subject in answer.body.decode()) == (200, True)


def test_a_websocket_that_requires_an_instance_is_closed() -> None:
    """With 1008, as the gate closes it, and not by an error of the server."""
    app = Starlette(routes=[WebSocketRoute("/watched/live", live)])
    app.add_middleware(WatchwordMiddleware, **guarded(ListedRefusals()))
    scope = http_scope("/watched/live") | {"type": "websocket", "subprotocols": []}
    del scope["method"]
    sent = call(app, scope, {"type": "websocket.connect"}).messages
    assert [(each["type"], each.get("code")) for each in sent] == [("websocket.close", 1008)]


def failing(*, after: bool) -> Callable[..., Any]:
    """Return a WSGI application that requires an instance and catches that, then fails of itself."""

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        with contextlib.suppress(RefusedError):
            require_claims(environ)
        if after:
            start_response("200 OK", [])
        raise ValueError

    return app


@pytest.mark.parametrize("after", [False, True])
def test_other_errors_pass_unchanged(after: bool) -> None:
    """They are the application's own."""
    middleware = WatchwordWsgiMiddleware(failing(after=after), **guarded(ListedRefusals()))
    with pytest.raises(ValueError):
        call_wsgi(middleware, environ_of(http_scope("/open/x")))


def test_an_answer_of_its_own_stays() -> None:
    """An application that handles the refusal answers what it likes; a refusal of others' making passes through."""

    def handled(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        with contextlib.suppress(RefusedError):
            require_claims(environ)
        start_response("418 I'm a teapot", [])
        return [b"tea"]

    def of_others(_environ: dict[str, Any], _start: Callable[..., Any]) -> list[bytes]:
        raise RefusedError.because(Reason.TOKEN_EXPIRED, "of a client inside the application")

    asked = environ_of(http_scope("/open/x"))
    answer = call_wsgi(WatchwordWsgiMiddleware(handled, **guarded(ListedRefusals())), asked)
    assert (answer.status, answer.body) == (418, b"tea")
    middleware = WatchwordWsgiMiddleware(of_others, **guarded(ListedRefusals()))
    with pytest.raises(RefusedError):
        call_wsgi(middleware, environ_of(http_scope("/open/x")))
    assert (middleware.allowed, middleware.refused) == (1, 0)
