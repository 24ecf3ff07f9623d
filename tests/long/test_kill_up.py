"""Kill the whole deployment while real phones enrol at it: what was acknowledged stays true."""

import json
import random  # noqa: TID251 - when to kill, from a fixed seed.
import subprocess
import threading
from contextlib import closing
from pathlib import Path

import httpx
from tests.long.forked_deployment import Deployment
from tests.machine import patience
from tests.unit.apps.service_process import WATCHWORD, configuration

from watchword.adapters.lab_store import load_or_create
from watchword.adapters.system import SystemClock, SystemEntropy
from watchword.apps.settings.load import load_settings
from watchword.apps.settings.schema import Settings
from watchword.client import ClientError, WatchwordClient
from watchword.lab import PHONES, InstalledIosApp, LabAuthorities, PhoneSetup

ROUNDS = 50
PHONES_AT_ONCE = 2


class Recorder(httpx.HTTPTransport):
    """Keep the body of the last enrolment, as somebody who intercepts the channel would."""

    last: bytes = b""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request."""
        if request.url.path == "/v1/attestations":
            self.last = request.read()
        return super().handle_request(request)


class Crowd:
    """Enrol new phones for as long as the service answers."""

    def __init__(self, settings: Settings, authorities: LabAuthorities) -> None:
        self._settings = settings
        self._authorities = authorities
        self.acknowledged: dict[str, bytes] = {}

    def enrol_until_killed(self, name: str) -> None:
        """Enrol one phone after the other; note each acknowledged instance and its evidence."""
        for number in range(10_000):
            setup = PhoneSetup(self._authorities, SystemClock(), name=f"{name}-{number}")
            phone = PHONES["genuine-iphone"].build(
                InstalledIosApp("ABCDE12345", "com.example.clinic"), setup
            )
            recorder = Recorder()
            with WatchwordClient(
                self._settings.service.issuer,
                "clinic-ios",
                phone,
                ["https://api.clinic.example"],
                clock=SystemClock().timestamp,
                jitter=random.random,
                sleep=lambda _seconds: None,
                transport=recorder,
            ) as client:
                try:
                    client.enrol()
                except ClientError:
                    return
                assert client.instance is not None
                self.acknowledged[client.instance] = recorder.last


def listed(file: Path) -> set[str]:
    """Return the instances that the operator sees."""
    done = subprocess.run(
        [*WATCHWORD, "-c", str(file), "instances", "list", "--limit", "1000", "--json"],
        capture_output=True,
        text=True,
        timeout=patience(30),
        check=True,
    )
    return {json.loads(line)["instance"] for line in done.stdout.splitlines()}


def test_fifty_kills_lose_nothing_and_reopen_nothing(tmp_path: Path) -> None:
    """No acknowledged instance is lost and no challenge works twice, over 50 kills."""
    file = configuration(tmp_path, 1)
    settings = load_settings(file)
    authorities = load_or_create(settings.service.state_dir, SystemEntropy())
    crowd = Crowd(settings, authorities)
    chance = random.Random(7)
    with closing(Deployment(file)) as deployment:
        for round_ in range(ROUNDS):
            with deployment.up():
                threads = [
                    threading.Thread(target=crowd.enrol_until_killed, args=(f"{round_}-{number}",))
                    for number in range(PHONES_AT_ONCE)
                ]
                for thread in threads:
                    thread.start()
                threads[0].join(chance.uniform(0.02, 0.25))
            for thread in threads:
                thread.join()
        assert len(crowd.acknowledged) > ROUNDS
        with deployment.up():
            assert crowd.acknowledged.keys() <= listed(file)
            url = f"{settings.service.issuer}/v1/attestations"
            headers = {"content-type": "application/json"}
            with httpx.Client(headers=headers, trust_env=False) as script:
                for body in crowd.acknowledged.values():
                    answer = script.post(url, content=body)
                    assert answer.status_code == 409
                    assert answer.json()["reasons"] == ["challenge.used"]
