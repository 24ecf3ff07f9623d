"""Show that an application behind the middleware gets what the gate allows, and nothing else."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route as Served
from tests.unit.apps.asgi_client import Recorder, call, http_scope
from tests.unit.gate.simulators import (
    CLAIMS,
    EXPECTATION,
    NOW,
    PublishedState,
    SilentState,
    policy,
    published,
    route,
    token,
)

from watchword.adapters.replay.memory import MemoryReplayStore
from watchword.apps.gateway import WatchwordMiddleware
from watchword.apps.gateway.guard import CLAIMS as CLAIMS_KEY
from watchword.broker.interface import EdgeRule, Place, PlaceKind
from watchword.gate.interface import GateState
from watchword.gate.references import open_reference
from watchword.gate.service import Gate
from watchword.reasons import Reason, Refusal
from watchword.tokens.interface import TokenExpectation
from watchword.vocabulary import Environment, Mode

GOOD = token()


class StoppedClock:
    """Tell the time at which the tokens of the tests are good."""

    def now(self) -> datetime:
        """Return the time."""
        return datetime.fromtimestamp(NOW, UTC)

    def timestamp(self) -> float:
        """Return the same time in seconds since 1970."""
        return NOW


@dataclass
class ListedRefusals:
    """Keep refusals in a list; implements the port RefusalLog."""

    seen: list[tuple[Reason, str]] = field(default_factory=list)

    def record(self, refusals: Sequence[Refusal], where: str) -> None:
        """Remember the reasons."""
        self.seen += [(refusal.reason, where) for refusal in refusals]


def guarded(
    state: GateState | None = None, expectation: TokenExpectation = EXPECTATION
) -> tuple[WatchwordMiddleware, Recorder, ListedRefusals]:
    """Return a middleware, the application behind it, and the log of its refusals."""
    app, log = Recorder(), ListedRefusals()
    gate = Gate(
        state or PublishedState(policy=replace(policy(), expectation=expectation)),
        memory=MemoryReplayStore(),
    )
    return WatchwordMiddleware(app, gate=gate, refusal_log=log, clock=StoppedClock()), app, log


def test_a_genuine_request_reaches_the_application() -> None:
    """The application sees who is there, and no token; all else of the scope is as it was."""
    middleware, app, log = guarded()
    scope = http_scope("/v1/patients?q=1", token=GOOD, headers=[(b"cookie", b"c=1")])
    assert call(middleware, scope).body == b"served"
    (seen,) = app.scopes
    assert {k: v for k, v in seen.items() if k not in {"headers", CLAIMS_KEY}} == {
        k: v for k, v in scope.items() if k != "headers"
    }
    assert seen[CLAIMS_KEY] == CLAIMS
    assert seen["headers"] == [
        (b"host", b"clinic.example"),
        (b"cookie", b"c=1"),
        (b"watchword-instance", CLAIMS.subject.encode()),
        (b"watchword-level", b"hardware"),
        (b"watchword-app", b"clinic-ios"),
    ]
    assert (middleware.allowed, middleware.refused, log.seen) == (1, 0, [])


@pytest.mark.parametrize("injects", [False, True])
def test_a_route_with_a_key_is_closed_where_nobody_adds_it(*, injects: bool) -> None:
    """What is meant for a third party isn't the application's; the proxy, which adds the key, gets the decision."""
    edge = EdgeRule(
        secret="maps",
        host="maps.example.net",
        port=443,
        patterns=("/**",),
        methods=frozenset({"GET"}),
        place=Place(PlaceKind.HEADER, "authorization", "Bearer "),
    )
    state = published(route("/maps/**", secret="maps"), edges={"maps": edge})
    app, log = Recorder(), ListedRefusals()
    middleware = WatchwordMiddleware(
        app, gate=Gate(state), refusal_log=log, clock=StoppedClock(), injects=injects
    )
    answer = call(middleware, http_scope("/maps/geocode", token=GOOD))
    assert (answer.status, len(app.scopes)) == ((200, 1) if injects else (503, 0))
    assert [reason for reason, _ in log.seen] == ([] if injects else [Reason.SECRET_UNAVAILABLE])


def test_a_refusal_is_a_problem_with_a_reference() -> None:
    """A stranger learns the class; the operator opens the reference."""
    middleware, app, log = guarded()
    answer = call(middleware, http_scope())
    assert (answer.status, app.scopes) == (401, [])
    assert answer.headers[b"content-type"] == b"application/problem+json"
    assert answer.headers[b"cache-control"] == b"no-store"
    problem = json.loads(answer.body)
    assert problem.keys() == {"type", "title", "status", "now", "ref"}
    assert problem["now"] == int(NOW)
    opened = open_reference(problem["ref"], PublishedState().reference_key)
    assert (opened.reasons, opened.route) == ((Reason.TOKEN_MISSING,), "/v1/**")
    assert (middleware.allowed, middleware.refused) == (0, 1)
    assert log.seen == [(Reason.TOKEN_MISSING, "/v1/**")]


def test_two_references_are_never_the_same() -> None:
    """Each is sealed under fresh random bytes."""
    middleware, _, _ = guarded()
    assert call(middleware, http_scope()).body != call(middleware, http_scope()).body


def test_the_lab_shows_reasons() -> None:
    """In a lab environment the developer reads the reason in the answer."""
    middleware, _, _ = guarded(expectation=replace(EXPECTATION, environment=Environment.LAB))
    answer = call(middleware, http_scope(token=GOOD))
    assert json.loads(answer.body)["reasons"] == ["token.environment"]


def test_monitor_lets_pass_and_reports() -> None:
    """The application is called, and the refusal is counted."""
    middleware, app, log = guarded()
    assert call(middleware, http_scope("/watched/a")).status == 200
    assert len(app.scopes) == 1
    assert (middleware.allowed, middleware.refused) == (1, 0)
    assert log.seen == [(Reason.TOKEN_MISSING, "/watched/**")]


def test_before_the_first_state() -> None:
    """Clients are told to come back, and get no reference that nobody could open."""
    middleware, app, _ = guarded(SilentState())
    answer = call(middleware, http_scope(token=GOOD))
    assert (answer.status, app.scopes) == (503, [])
    assert answer.headers[b"retry-after"] == b"5"
    assert "ref" not in json.loads(answer.body)


def test_a_refused_body_is_never_read() -> None:
    """A stranger's megabytes stay where they are."""
    middleware, _, _ = guarded()
    sent: list[object] = []

    async def receive() -> dict[str, object]:
        raise AssertionError("the body was asked for")

    async def send(message: object) -> None:
        sent.append(message)

    coroutine = middleware(http_scope(method="POST"), receive, send)
    with pytest.raises(StopIteration):
        coroutine.send(None)
    assert len(sent) == 2


@pytest.mark.parametrize(
    ("scope", "status"),
    [
        (http_scope("/v1/../health", token=GOOD), 400),
        (http_scope("/elsewhere", token=GOOD), 403),
        (http_scope("/health", headers=[(b"host", b"b")]), 400),
        (http_scope("/health", headers=[(b"x", b"v" * 9000)]), 431),
        (http_scope("/health?" + "q" * 9000), 431),
        (http_scope("/health", path="/v1/patients"), 400),
        (http_scope("/v1/a", path="/health"), 400),
    ],
    ids=range(7),
)
def test_ambiguous_requests(scope: dict[str, object], status: int) -> None:
    """What has two meanings is refused, also where raw and decoded path part."""
    middleware, app, _ = guarded()
    assert (call(middleware, scope).status, app.scopes) == (status, [])


@pytest.mark.parametrize("missing", ["method", "raw_path", "path", "headers", "query_string"])
def test_a_server_that_tells_too_little(missing: str) -> None:
    """Without the raw request there is nothing to decide on: refused, not guessed."""
    middleware, app, _ = guarded()
    scope = http_scope("/health")
    del scope[missing]
    assert (call(middleware, scope).status, app.scopes) == (500, [])


@pytest.mark.parametrize(
    "headers",
    [None, 7, [b"host"], [(b"host",)], [("host", "a")], [(b"host", b"a", b"b")]],
    ids=repr,
)
def test_a_server_that_tells_nonsense(headers: object) -> None:
    """Crooked scopes are refused like everything that can't be understood."""
    middleware, app, log = guarded()
    answer = call(middleware, http_scope("/health") | {"headers": headers})
    assert (answer.status, app.scopes) == (500, [])
    assert log.seen == [(Reason.GATE_INTERNAL, "")]
    assert json.loads(answer.body)["type"] == (
        f"urn:watchword:problem:{Reason.GATE_INTERNAL.public.slug}"
    )


@pytest.mark.parametrize(
    ("target", "status"), [("/api/admin", 401), ("/admin", 400), ("/apiadmin", 400), ("/api/", 200)]
)
def test_a_mounted_application_has_one_name_for_each_resource(target: str, status: int) -> None:
    """A framework also routes by paths outside of its root_path; the gate lets none through."""

    async def served(_request: object) -> PlainTextResponse:
        return PlainTextResponse("served")

    routes = [route("/api/admin/**"), route("/**", mode=Mode.OFF)]
    inner = Starlette(routes=[Served("/admin", served), Served("/", served)])
    gate = Gate(published(*routes))
    middleware = WatchwordMiddleware(inner, gate=gate, clock=StoppedClock())
    answer = call(middleware, http_scope(target, root_path="/api"))
    assert answer.status == status
    # This is how it would be served without the gate.
    unguarded = call(inner, http_scope("/admin", root_path="/api"))
    assert unguarded.body == b"served"


def test_an_error_of_the_application_stays_its_own() -> None:
    """The middleware neither hides nor changes it."""

    async def broken(*_: object) -> None:
        raise ZeroDivisionError

    middleware = WatchwordMiddleware(broken, gate=Gate(PublishedState()), clock=StoppedClock())
    with pytest.raises(ZeroDivisionError):
        call(middleware, http_scope("/health"))


def websocket_scope(**changes: object) -> dict[str, Any]:
    """Return the scope of a handshake, which has no method."""
    scope = http_scope("/v1/live") | {"type": "websocket", "scheme": "ws", "subprotocols": []}
    del scope["method"]
    return scope | changes


def test_websocket_handshakes_are_decided_on() -> None:
    """A genuine one reaches the application, with the result headers."""
    middleware, app, _ = guarded()
    headers = [(b"host", b"clinic.example"), (b"watchword-token", GOOD.encode())]
    call(middleware, websocket_scope(headers=headers), {"type": "websocket.connect"})
    assert (b"watchword-level", b"hardware") in app.scopes[0]["headers"]


def test_refused_websocket_handshakes() -> None:
    """Others are answered with a problem where the server can, else closed before accept."""
    middleware, app, _ = guarded()
    plain = call(middleware, websocket_scope(), {"type": "websocket.connect"})
    assert [message["type"] for message in plain.messages] == ["websocket.close"]
    extended = call(
        middleware,
        websocket_scope(extensions={"websocket.http.response": {}}),
        {"type": "websocket.connect"},
    )
    assert extended.status == 401
    assert json.loads(extended.body)["status"] == 401
    assert app.scopes == []


def test_other_scopes() -> None:
    """Lifespan passes; a kind of scope that isn't known is refused by an exception."""
    middleware, app, _ = guarded()
    call(middleware, {"type": "lifespan"})
    assert app.scopes == [{"type": "lifespan"}]
    with pytest.raises(NotImplementedError):
        call(middleware, http_scope() | {"type": "webtransport"})
    assert len(app.scopes) == 1


def test_the_system_clock_is_the_default() -> None:
    """Without a clock of its own the middleware reads the system's."""
    app = Recorder()
    middleware = WatchwordMiddleware(app, gate=Gate(PublishedState()))
    ancient = token(issued_at=1000, expires_at=1300)
    assert call(middleware, http_scope(token=ancient)).status == 401
    assert app.scopes == []
