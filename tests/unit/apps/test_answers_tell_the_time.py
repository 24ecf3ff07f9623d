"""Show that each refusal of a Python gate says what time it is there, so that a client can correct its own clock."""

import asyncio
import json
from typing import Any

from tests.unit.apps.asgi_client import Recorder, call, http_scope
from tests.unit.apps.authz.test_authz import about, ask, authz
from tests.unit.apps.raw_http import RawApi, exchange, get, listening
from tests.unit.apps.test_middleware import StoppedClock
from tests.unit.apps.wsgi_client import RecordedRequests, environ_of
from tests.unit.apps.wsgi_client import call as call_wsgi
from tests.unit.gate.proofs import Prover
from tests.unit.gate.simulators import NOW, PublishedState, SilentState, published, route, token

from watchword.adapters.http_server import serve
from watchword.adapters.replay import MemoryReplayStore
from watchword.apps.gateway import WatchwordMiddleware, WatchwordWsgiMiddleware
from watchword.apps.gateway.authz import Credential, VerdictRequired
from watchword.apps.gateway.overload import OverloadGuard
from watchword.apps.gateway.proxy import ProxyApp
from watchword.gate.service import Gate
from watchword.vocabulary import Mode, Proof

OPEN = route("/open/**", mode=Mode.OFF)


class FractionClock(StoppedClock):
    """Tell a time between two seconds."""

    def timestamp(self) -> float:
        """Return it."""
        return NOW + 0.75


class BrokenClock(StoppedClock):
    """Be a clock that fails, as nothing should."""

    def timestamp(self) -> float:
        """Raise."""
        raise OSError("no clock")


class BrokenState(PublishedState):
    """Fail in a way that nobody foresaw."""

    def is_revoked(self, subject: str) -> bool:
        """Raise."""
        raise ZeroDivisionError(subject)


def told(body: bytes) -> Any:
    """Return the time in a problem, None where there is none."""
    return json.loads(body).get("now")


def test_middleware_in_whole_seconds() -> None:
    """Of a missing token, of a state that isn't there yet, and of a fault inside; ASGI and WSGI."""
    for state in (published(route("/v1/**")), SilentState(), BrokenState()):
        gate, clock = Gate(state), FractionClock()
        scope = http_scope("/v1/a", token=token() if isinstance(state, BrokenState) else None)
        answer = call(WatchwordMiddleware(Recorder(), gate=gate, clock=clock), scope)
        other = call_wsgi(
            WatchwordWsgiMiddleware(RecordedRequests(), gate=gate, clock=clock), environ_of(scope)
        )
        assert (answer.status, told(answer.body)) == (other.status, told(other.body))
        assert (answer.status != 200, told(answer.body)) == (True, NOW)
        assert answer.headers[b"content-length"] == str(len(answer.body)).encode()


def test_a_clock_that_fails_refuses_without_the_time() -> None:
    """The answer to a fault can't fail itself."""
    gate = Gate(published(route("/v1/**")))
    answer = call(WatchwordMiddleware(Recorder(), gate=gate, clock=BrokenClock()), http_scope())
    assert (answer.status, told(answer.body)) == (500, None)
    other = WatchwordWsgiMiddleware(RecordedRequests(), gate=gate, clock=BrokenClock())
    refused = call_wsgi(other, environ_of(http_scope()))
    assert (refused.status, told(refused.body)) == (500, None)


def test_a_body_that_breaks_off() -> None:
    """Whoever still listens learns the time too."""
    gate = Gate(published(route("/v1/**", proof=Proof.SESSION)), memory=MemoryReplayStore())
    fields = Prover().session(target="/v1/a", method="POST", body=b"whole")
    scope = http_scope("/v1/a", method="POST") | {"headers": fields}
    app = WatchwordMiddleware(Recorder(), gate=gate, clock=FractionClock())
    answer = call(app, scope, {"type": "http.disconnect"})
    assert (answer.status, told(answer.body)) == (400, NOW)
    other = WatchwordWsgiMiddleware(RecordedRequests(), gate=gate, clock=FractionClock())
    refused = call_wsgi(other, environ_of(scope, b"half"))
    assert (refused.status, told(refused.body)) == (400, NOW)


def test_forward_auth() -> None:
    """Of the request that is asked about, of a crooked question, and to a stranger."""
    app = authz(credential=Credential(b"0123456789abcdef" * 2))
    known = (b"watchword-authz", b"0123456789abcdef" * 2)
    for fields in (about(b"/v1/a", known), [known], []):
        assert told(ask(app, headers=fields).body) == NOW


def test_the_proxy_and_the_api_behind() -> None:
    """What can't be forwarded, and what came around the gate."""

    async def main() -> bytes:
        async with listening(RawApi()) as api:
            port = api.port
        proxy = ProxyApp(f"http://127.0.0.1:{port}", clock=FractionClock())
        gate = Gate(published(OPEN))
        async with serve(WatchwordMiddleware(proxy, gate=gate, clock=FractionClock())) as server:
            return await exchange(server.port, get(b"/open/a"))

    assert told(asyncio.run(main()).partition(b"\r\n\r\n")[2]) == NOW
    required = VerdictRequired(
        Recorder(), keys=PublishedState(), issuer="i", audience="a", clock=FractionClock()
    )
    assert told(call(required, http_scope()).body) == NOW


def test_a_handshake_that_is_refused() -> None:
    """Where the server can answer one with a problem."""
    gate = Gate(published(route("/v1/**")))
    guarded = WatchwordMiddleware(Recorder(), gate=gate, clock=FractionClock())
    scope = http_scope() | {
        "type": "websocket",
        "extensions": {"websocket.http.response": {}},
    }
    answer = call(guarded, scope, {"type": "websocket.connect"})
    assert (answer.status, told(answer.body)) == (401, NOW)


def test_an_overloaded_gate() -> None:
    """All of one second get one answer, and so one time."""
    gate = Gate(published(route("/v1/**")))
    guard = OverloadGuard(Recorder(), gate=gate, clock=FractionClock())
    assert told(guard._problem(FractionClock().timestamp()).body) == NOW
