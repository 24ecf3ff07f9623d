"""Show that the clinic's API answers the genuine app, and nobody else.

The service runs as it would in production, the phones are the lab's, the API runs in the test.
"""

import random  # noqa: TID251 - jitter.
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from examples.fastapi_clinic.app import CONFIGURATION, clinic
from fastapi import FastAPI
from httpx import ASGITransport, AsyncClient, Request, Response

from watchword.adapters.clock import SystemClock
from watchword.adapters.entropy import SystemEntropy
from watchword.adapters.lab_store import load_or_create
from watchword.apps.settings import Settings, load_settings
from watchword.client import EvidenceRefusedError, WatchwordAuth, WatchwordClient
from watchword.lab import PHONES, InstalledAndroidApp, PhoneSetup

AUDIENCE = "https://api.clinic.example"


@pytest.fixture(name="settings", scope="module")
def running_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """Run ``watchword up`` on a free port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    file = tmp_path_factory.mktemp("clinic") / "watchword.yaml"
    file.write_text(CONFIGURATION.read_text().replace("8440", str(port)))
    watchword = Path(sys.executable).with_name("watchword")
    command = [str(watchword), "-c", str(file), "up", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as service:
        assert service.stdout is not None
        assert service.stdout.readline()  # It says where it listens when it does.
        yield load_settings(file)
        service.terminate()


@pytest.fixture(name="api")
def clinic_api(settings: Settings) -> FastAPI:
    """Return the API, guarded by the same file."""
    return clinic(settings.path)


def app_on(kind: str, settings: Settings) -> WatchwordClient:
    """Return the app on a simulated Android phone of this kind."""
    digest = bytes.fromhex("4f1d8c5b0e3a7296d1c4b5a6978810fe2d3c4b5a69788190a1b2c3d4e5f60718")
    authorities = load_or_create(settings.service.state_dir, SystemEntropy())
    phone = PHONES[kind].build(
        InstalledAndroidApp("com.example.clinic", (digest,)),
        PhoneSetup(authorities, SystemClock(), name=f"{kind}-{random.random()}"),
    )
    return WatchwordClient(
        settings.service.issuer,
        "clinic-android",
        phone,
        [AUDIENCE],
        clock=time.time,  # noqa: TID251
        jitter=random.random,
    )


async def get(api: FastAPI, path: str, auth: WatchwordAuth | None = None) -> Response:
    """Send one request to the API."""
    transport = ASGITransport(api)
    async with AsyncClient(transport=transport, base_url="http://clinic.example") as http:
        return await http.get(path, auth=auth)


@pytest.mark.anyio
async def test_the_genuine_app_is_served(api: FastAPI, settings: Settings) -> None:
    """It enrols by itself, and the API knows which installation asked."""
    with app_on("genuine-android", settings) as app:
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
    with app_on("genuine-android", settings) as app:
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
    with app_on("repackaged-android", settings) as app, pytest.raises(EvidenceRefusedError) as no:
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
