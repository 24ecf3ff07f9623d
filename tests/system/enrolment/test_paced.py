"""Wait in the line of a real service, over its death: by the Python client, the command line and the file that it keeps."""

import json
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from tests.machine import patience
from tests.unit.apps.service_process import configuration, running, upstream, watchword

from watchword.adapters.lab_store import load_or_create
from watchword.adapters.pace_file import read_states
from watchword.adapters.system import SystemClock, SystemEntropy, steady_seconds
from watchword.apps.settings.document import STATE
from watchword.client import ServiceUnavailableError, WatchwordClient
from watchword.client.exchange import MAX_PAUSE
from watchword.lab import PHONES, InstalledIosApp, PhoneSetup

APP, AUDIENCE = "clinic-ios", "https://api.clinic.example"
AHEAD = 25
"""Places before the client's: more than it waits for within a call."""

PACED = """\
  enrolments:
    pace:
      floor: {requests: 60, per: 1m}
      most: {requests: 60, per: 1m}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Write a lab's file whose apps enrol one a second."""
    with upstream() as port:
        made = configuration(tmp_path, port)
    text = made.read_text(encoding="utf-8")
    begin = text.index("service:\n") + len("service:\n")
    made.write_text(text[:begin] + PACED + text[begin:], encoding="utf-8")
    return made


def client_of(file: Path, service: str) -> WatchwordClient:
    """Return a client of a lab's phone."""
    lab = load_or_create(file.with_name(STATE), SystemEntropy())
    clock = SystemClock()
    device = PHONES["genuine-iphone"].build(
        InstalledIosApp("ABCDE12345", "com.example.clinic"), PhoneSetup(lab, clock, name="ada")
    )
    return WatchwordClient(
        f"http://{service}", APP, device, [AUDIENCE], clock=clock.timestamp, jitter=lambda: 0.5
    )


def ask(service: str) -> httpx.Response:
    """Ask for a challenge to enrol as somebody who comes now."""
    body = {"app": APP, "purpose": "enrol"}
    return httpx.post(f"http://{service}/v1/challenges", json=body, timeout=patience(10))


def until(holds: Callable[[], bool]) -> None:
    """Wait until something holds."""
    begun, most = steady_seconds(), patience(60)
    while not holds():
        assert steady_seconds() - begun < most
        time.sleep(0.1)


def kept(file: Path) -> int:
    """Return how many places the file says were given out."""
    pace = file.with_name(STATE) / "pace.json"
    return read_states(pace.read_bytes())[APP].lines[0].issued if pace.exists() else 0


def test_a_line_outlasts_a_kill(file: Path) -> None:
    """Who waits is killed nowhere with the service: its place counts after it, before those who come then."""
    with running(file) as (where, process), client_of(file, where["service"]) as client:
        line = [ask(where["service"]) for _ in range(AHEAD + 20)]
        assert {answer.status_code for answer in line} == {200, 503}
        with pytest.raises(ServiceUnavailableError) as told:
            client.enrol()
        assert (told.value.retry_after or 0) > MAX_PAUSE
        shown = watchword(file, "instances", "pace", "--json")
        rows = {row["app"]: row for row in map(json.loads, shown.stdout.splitlines())}
        assert rows[APP]["rate"] == 1
        assert rows[APP]["waiting"] >= 1
        assert APP in watchword(file, "instances", "pace").stdout
        issued = sum(answer.status_code == 503 for answer in line) + 1
        until(lambda: kept(file) >= issued)
        session = client.export_session()
        process.kill()
        process.wait()
    assert session is not None
    with running(file) as (where, _), client_of(file, where["service"]) as again:
        again.import_session(json.loads(json.dumps(session)))
        comes_now = ask(where["service"])
        assert comes_now.status_code == 503, "nobody waited any more"
        while again.instance is None:
            try:
                again.enrol()
            except ServiceUnavailableError as later:
                time.sleep(min(later.retry_after or 1.0, 5.0))
        body = {"app": APP, "purpose": "enrol", "place": comes_now.json()["place"]}
        url = f"http://{where['service']}/v1/challenges"
        until(lambda: httpx.post(url, json=body, timeout=patience(10)).is_success)
        assert again.token(AUDIENCE)
        document = again.export_session()
        assert document is not None
        assert document["place"] is None
