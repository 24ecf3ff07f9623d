"""Show that the clinic's API on Starlette answers the genuine app, and nobody else; over WebSocket too.

The service runs as it would in production, the phones are the lab's, the API runs in the test.
"""

from collections.abc import Iterator, MutableMapping
from typing import Any

import pytest
from examples.rehearsal import app_on, running
from examples.starlette_clinic.app import CONFIGURATION, clinic
from httpx import ASGITransport, AsyncClient, Request, Response
from starlette.applications import Starlette

from watchword.apps.settings.schema import Settings
from watchword.client import WatchwordAuth, WatchwordClient

AUDIENCE = "https://api.clinic.example"


@pytest.fixture(name="settings", scope="module")
def running_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """Run the service."""
    with running(CONFIGURATION, tmp_path_factory.mktemp("clinic")) as settings:
        yield settings


@pytest.fixture(name="api")
def clinic_api(settings: Settings) -> Starlette:
    """Return the API, guarded by the same file."""
    return clinic(settings.path)


async def get(api: Starlette, path: str, auth: WatchwordAuth | None = None) -> Response:
    """Send one request to the API."""
    transport = ASGITransport(api)
    async with AsyncClient(transport=transport, base_url="http://clinic.example") as http:
        return await http.get(path, auth=auth)


def handshake(app: WatchwordClient, **options: Any) -> dict[str, str]:
    """Return the header fields with which the app opens the WebSocket: signed as a GET of its path."""
    request = Request("GET", "http://clinic.example/v1/live")
    return dict(next(WatchwordAuth(app, AUDIENCE, **options).sync_auth_flow(request)).headers)


async def connect(api: Starlette, headers: dict[str, str]) -> list[MutableMapping[str, Any]]:
    """Open a WebSocket; return what the API says, until it closes."""
    said: list[MutableMapping[str, Any]] = []
    scope = {
        "type": "websocket",
        "path": "/v1/live",
        "raw_path": b"/v1/live",
        "query_string": b"",
        "root_path": "",
        "scheme": "ws",
        "subprotocols": [],
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
    }

    async def receive() -> MutableMapping[str, Any]:
        return {"type": "websocket.disconnect" if said else "websocket.connect", "code": 1000}

    async def send(message: MutableMapping[str, Any]) -> None:
        said.append(message)

    await api(scope, receive, send)
    return said


@pytest.mark.anyio
async def test_the_genuine_app_is_served(api: Starlette, settings: Settings) -> None:
    """It enrols by itself, and the API knows which installation asked."""
    with app_on("genuine-android", settings, AUDIENCE) as app:
        answer = await get(api, "/v1/patients/17", WatchwordAuth(app, AUDIENCE))
    assert answer.status_code == 200
    record = answer.json()
    assert (record["patient"], record["level"], len(record["asked_by"])) == (17, "hardware", 43)


@pytest.mark.anyio
async def test_a_script_is_refused(api: Starlette) -> None:
    """Without a token there is a problem document and no patient."""
    answer = await get(api, "/v1/patients/17")
    assert (answer.status_code, answer.json()["reasons"]) == (401, ["token.missing"])


@pytest.mark.anyio
async def test_a_websocket_of_the_genuine_app(api: Starlette, settings: Settings) -> None:
    """Its handshake carries a proof, which opens one WebSocket and no second one."""
    with app_on("genuine-android", settings, AUDIENCE) as app:
        headers = handshake(app)
    accepted, told, closed = await connect(api, headers)
    assert accepted["type"] == "websocket.accept"
    assert told["text"].startswith('{"asked_by":"')
    assert closed["type"] == "websocket.close"
    assert await connect(api, headers) == [{"type": "websocket.close", "code": 1008}]


@pytest.mark.anyio
async def test_a_websocket_of_a_thief(api: Starlette, settings: Settings) -> None:
    """A token alone opens none: it is closed before it is accepted."""
    with app_on("genuine-android", settings, AUDIENCE) as app:
        headers = handshake(app, proof="bearer")
    for stolen in (headers, {"host": "clinic.example"}):
        assert await connect(api, stolen) == [{"type": "websocket.close", "code": 1008}]


@pytest.mark.anyio
async def test_health_is_open(api: Starlette) -> None:
    """A load balancer needs no token."""
    assert (await get(api, "/health")).json() == {"status": "ok"}


@pytest.fixture
def anyio_backend() -> str:
    """Run on asyncio."""
    return "asyncio"
