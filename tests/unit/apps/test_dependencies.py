"""Show that FastAPI's dependency hands on who was verified, and refuses without the middleware."""

import importlib
import json
import sys
from typing import Annotated

import pytest
from fastapi import Depends, FastAPI, WebSocket
from tests.unit.apps.asgi_client import Answer, call, http_scope
from tests.unit.apps.test_middleware import StoppedClock
from tests.unit.gate.simulators import CLAIMS, published, route, token

from watchword.adapters.replay import MemoryReplayStore
from watchword.apps.gateway import WatchwordMiddleware
from watchword.apps.gateway.dependencies import watchword_instance, watchword_instance_if_any
from watchword.gate.service import Gate
from watchword.tokens.interface import TokenClaims
from watchword.vocabulary import Mode

ROUTES = (
    route("/open", mode=Mode.OFF),
    route("/watched/**", mode=Mode.MONITOR),
    route("/**"),
)
Fields = list[tuple[bytes, bytes]]
GOOD: Fields = [(b"watchword-token", token().encode())]
FORGED: Fields = [
    (b"watchword-instance", CLAIMS.subject.encode()),
    (b"watchword-level", b"hardware"),
]


def application(*, guarded: bool = True) -> FastAPI:
    """Return an application that asks who is there."""
    app = FastAPI()
    if guarded:
        gate = Gate(published(*ROUTES), memory=MemoryReplayStore())
        app.add_middleware(WatchwordMiddleware, gate=gate, clock=StoppedClock())

    @app.get("/open")
    @app.get("/watched/who")
    @app.get("/who")
    async def who(instance: Annotated[TokenClaims, Depends(watchword_instance)]) -> list[str]:
        return [instance.subject, instance.level, instance.app_id]

    @app.get("/watched/any")
    @app.get("/any")
    async def any_(
        instance: Annotated[TokenClaims | None, Depends(watchword_instance_if_any)],
    ) -> str | None:
        return None if instance is None else instance.subject

    @app.websocket("/live")
    async def live(
        socket: WebSocket, instance: Annotated[TokenClaims, Depends(watchword_instance)]
    ) -> None:
        await socket.accept()
        await socket.send_text(instance.subject)
        await socket.close()

    return app


def get(app: FastAPI, path: str, fields: Fields) -> Answer:
    """Send a request."""
    return call(app, http_scope(path, headers=fields))


def connect(app: FastAPI, fields: Fields) -> list[str]:
    """Open a WebSocket; return the types of what the application sent."""
    scope = http_scope("/live", headers=fields) | {"type": "websocket", "subprotocols": []}
    del scope["method"]
    return [each["type"] for each in call(app, scope, {"type": "websocket.connect"}).messages]


def test_the_verified_claims() -> None:
    """Typed, and the token's own."""
    app = application()
    assert json.loads(get(app, "/who", GOOD).body) == [CLAIMS.subject, "hardware", "clinic-ios"]
    assert json.loads(get(app, "/any", GOOD).body) == CLAIMS.subject
    assert connect(app, GOOD)[0] == "websocket.accept"


@pytest.mark.parametrize("path", ["/open", "/watched/who"])
def test_nobody_was_verified(path: str) -> None:
    """A route that doesn't enforce lets whom it doesn't know reach the application; the dependency doesn't."""
    answer = get(application(), path, FORGED)
    assert (answer.status, answer.headers[b"www-authenticate"]) == (401, b"Watchword")
    assert json.loads(get(application(), "/watched/any", FORGED).body) is None


@pytest.mark.parametrize("path", ["/who", "/any"])
def test_without_the_middleware(path: str) -> None:
    """Headers alone could be anybody's: refused, whatever they say."""
    app = application(guarded=False)
    assert get(app, path, GOOD + FORGED).status == 500
    assert "websocket.accept" not in connect(app, GOOD + FORGED)


def test_without_fastapi_the_import_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """And names the package that is missing."""
    monkeypatch.setitem(sys.modules, "starlette.exceptions", None)
    monkeypatch.delitem(sys.modules, "watchword.apps.gateway.dependencies")
    with pytest.raises(ModuleNotFoundError, match="pip install fastapi"):
        importlib.import_module("watchword.apps.gateway.dependencies")
