"""Show that the clinic's API on Flask answers the genuine app, and nobody else.

The service runs as it would in production, the phones are the lab's, the API listens on a port of its own.
"""

from collections.abc import Iterator

import httpx
import pytest
from examples.flask_clinic.app import CONFIGURATION, clinic
from examples.rehearsal import app_on, running, served

from watchword.apps.settings.schema import Settings
from watchword.client import EvidenceRefusedError, WatchwordAuth

AUDIENCE = "https://api.clinic.example"


@pytest.fixture(name="settings", scope="module")
def running_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """Run the service."""
    with running(CONFIGURATION, tmp_path_factory.mktemp("clinic")) as settings:
        yield settings


@pytest.fixture(name="api", scope="module")
def clinic_api(settings: Settings) -> Iterator[str]:
    """Serve the API, guarded by the same file; return its URL."""
    with served(clinic(settings.path)) as url:
        yield url


def test_the_genuine_app_is_served(api: str, settings: Settings) -> None:
    """It enrols by itself, the API knows which installation asked, and what it sends arrives."""
    with app_on("genuine-android", settings, AUDIENCE) as app:
        auth = WatchwordAuth(app, AUDIENCE)
        answer = httpx.get(f"{api}/v1/patients/17", auth=auth)
        note = httpx.post(f"{api}/v1/patients/17/notes", json={"text": "fine"}, auth=auth)
    assert answer.status_code == 200, answer.text
    record = answer.json()
    assert (record["patient"], record["level"], len(record["asked_by"])) == (17, "hardware", 43)
    assert (note.status_code, note.json()) == (201, {"patient": 17, "note": "fine"})


def test_a_script_is_refused(api: str) -> None:
    """Without a token there is a problem document and no patient, whatever headers it sends."""
    answer = httpx.get(f"{api}/v1/patients/17", headers={"Watchword-Instance": "a" * 43})
    assert (answer.status_code, answer.json()["reasons"]) == (401, ["token.missing"])


def test_a_copied_request_is_refused(api: str, settings: Settings) -> None:
    """Each request proves that it comes from the phone, once; and for its own body alone."""
    with app_on("genuine-android", settings, AUDIENCE) as app:
        auth = WatchwordAuth(app, AUDIENCE)
        url = f"{api}/v1/patients/17/notes"
        signed = next(auth.sync_auth_flow(httpx.Request("POST", url, json={"text": "fine"})))
    headers = signed.headers
    other = httpx.post(url, content=signed.content.replace(b"fine", b"dead"), headers=headers)
    assert (other.status_code, other.json()["reasons"]) == (401, ["proof.body"])
    sent = [httpx.post(url, content=signed.content, headers=headers) for _ in range(2)]
    assert [answer.status_code for answer in sent] == [201, 401]
    assert sent[1].json()["reasons"] == ["proof.replayed"]


def test_a_stolen_token_is_refused(api: str, settings: Settings) -> None:
    """The token alone proves nothing."""
    with app_on("genuine-android", settings, AUDIENCE) as app:
        thief = WatchwordAuth(app, AUDIENCE, proof="bearer")
        copied = next(thief.sync_auth_flow(httpx.Request("GET", f"{api}/v1/patients/17")))
    answer = httpx.get(copied.url, headers=copied.headers)
    assert (answer.status_code, answer.json()["reasons"]) == (401, ["proof.missing"])


def test_a_repackaged_app_gets_no_token(settings: Settings) -> None:
    """The evidence names the signer, and it isn't ours."""
    with (
        app_on("repackaged-android", settings, AUDIENCE) as app,
        pytest.raises(EvidenceRefusedError) as no,
    ):
        app.enrol()
    assert no.value.problem.reasons == ("policy.signing_digest",)


def test_health_is_open(api: str) -> None:
    """A load balancer needs no token."""
    assert httpx.get(f"{api}/health").json() == {"status": "ok"}
