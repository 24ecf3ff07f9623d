"""Show that the clinic's API answers the genuine app, and nobody else.

The service runs as it would in production, the phones are the lab's, the API runs in the test.
"""

from collections.abc import Iterator

import pytest
from examples.fastapi_clinic.app import CONFIGURATION, clinic
from examples.rehearsal import app_on, running
from fastapi import FastAPI
from httpx import ASGITransport, AsyncClient, Request, Response

from watchword.apps.settings.schema import Settings
from watchword.client import EvidenceRefusedError, WatchwordAuth

AUDIENCE = "https://api.clinic.example"


@pytest.fixture(name="settings", scope="module")
def running_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """Run the service."""
    with running(CONFIGURATION, tmp_path_factory.mktemp("clinic")) as settings:
        yield settings


@pytest.fixture(name="api")
def clinic_api(settings: Settings) -> FastAPI:
    """Return the API, guarded by the same file."""
    return clinic(settings.path)


async def get(api: FastAPI, path: str, auth: WatchwordAuth | None = None) -> Response:
    """Send one request to the API."""
    transport = ASGITransport(api)
    async with AsyncClient(transport=transport, base_url="http://clinic.example") as http:
        return await http.get(path, auth=auth)


@pytest.mark.anyio
async def test_the_genuine_app_is_served(api: FastAPI, settings: Settings) -> None:
    """It enrols by itself, and the API knows which installation asked."""
    with app_on("genuine-android", settings, AUDIENCE) as app:
        answer = await get(api, "/v1/patients/17", WatchwordAuth(app, AUDIENCE))
    assert answer.status_code == 200
    assert answer.json()["patient"] == 17
    assert len(answer.json()["asked_by"]) == 43


@pytest.mark.anyio
async def test_a_script_is_refused(api: FastAPI) -> None:
    """Without a token there is a problem document and no patient."""
    answer = await get(api, "/v1/patients/17")
    assert answer.status_code == 401
    assert answer.json()["reasons"] == ["token.missing"]


@pytest.mark.anyio
async def test_a_stolen_token_is_refused(api: FastAPI, settings: Settings) -> None:
    """Each request proves that it comes from the phone; the token alone proves nothing."""
    with app_on("genuine-android", settings, AUDIENCE) as app:
        thief = WatchwordAuth(app, AUDIENCE, proof="bearer")
        request = Request("GET", "http://clinic.example/v1/patients/17")
        headers = next(thief.sync_auth_flow(request)).headers
    async with AsyncClient(transport=ASGITransport(api)) as http:
        answer = await http.get(request.url, headers=headers)
    assert answer.status_code == 401
    assert answer.json()["reasons"] == ["proof.missing"]


@pytest.mark.anyio
async def test_a_repackaged_app_gets_no_token(settings: Settings) -> None:
    """The evidence names the signer, and it isn't ours."""
    with (
        app_on("repackaged-android", settings, AUDIENCE) as app,
        pytest.raises(EvidenceRefusedError) as no,
    ):
        app.enrol()
    assert no.value.problem.reasons == ("policy.signing_digest",)


@pytest.mark.anyio
async def test_health_is_open(api: FastAPI) -> None:
    """A load balancer needs no token."""
    assert (await get(api, "/health")).json() == {"status": "ok"}


@pytest.fixture
def anyio_backend() -> str:
    """Run on asyncio."""
    return "asyncio"
