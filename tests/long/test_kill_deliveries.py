"""Kill the whole deployment while real phones are handed a secret: no lease is lost or doubled, the audit is complete."""

import json
import random  # noqa: TID251 - when to kill, from a fixed seed.
import sqlite3
import subprocess
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
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
PHONES_AT_ONCE = 3
VALUE = "wwk-push-0123456789-marked"
SECRETS = """
secrets:
  keys:
    push:
      deliver: {apps: [clinic-ios], level: hardware, lease: 1d}
"""


class Recorder(httpx.HTTPTransport):
    """Keep what asked for a secret last, as somebody who intercepts the channel would."""

    last: bytes = b""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request."""
        if request.url.path == "/v1/secrets":
            self.last = request.read()
        return super().handle_request(request)


class Holder:
    """Be one phone that lives through all kills, and asks for the secret as long as anybody answers.

    :ivar answers: lease, of each answer that arrived.
    :ivar bodies: what was sent for each of them.
    """

    def __init__(self, settings: Settings, authorities: LabAuthorities, name: str) -> None:
        self.answers: list[str] = []
        self.bodies: list[bytes] = []
        self._recorder = Recorder()
        phone = PHONES["genuine-iphone"].build(
            InstalledIosApp("ABCDE12345", "com.example.clinic"),
            PhoneSetup(authorities, SystemClock(), name),
        )
        self.client = WatchwordClient(
            settings.service.issuer,
            "clinic-ios",
            phone,
            ["https://api.clinic.example"],
            clock=SystemClock().timestamp,
            jitter=random.random,
            sleep=lambda _seconds: None,
            transport=self._recorder,
        )

    def ask_until_killed(self) -> None:
        """Ask again and again; note each lease that arrived, and that the secret opened."""
        with suppress(ClientError):
            for _ in range(10_000):
                delivery = self.client.fetch_secret("push", attempts=1)
                assert delivery.value == VALUE.encode()
                self.answers.append(delivery.lease)
                self.bodies.append(self._recorder.last)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return a configuration with a secret to hand out."""
    written = configuration(tmp_path, 1)
    written.write_text(written.read_text(encoding="utf-8") + SECRETS, encoding="utf-8")
    return written


@pytest.fixture
def deployment(file: Path) -> Iterator[Deployment]:
    """Return a deployment that isn't running, and whose secret has a value."""
    made = Deployment(file)
    with made.up():
        added = subprocess.run(
            [*WATCHWORD, "-c", str(file), "secrets", "add", "push"],
            input=VALUE,
            capture_output=True,
            text=True,
            timeout=patience(60),
            check=False,
        )
        assert added.returncode == 0, added.stderr
    yield made
    made.close()


def rows(database: Path, query: str) -> list[tuple[Any, ...]]:
    """Return what the store holds, as any tool sees it."""
    connection = sqlite3.connect(database)
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


def test_fifty_kills_lose_no_lease_and_double_none(file: Path, deployment: Deployment) -> None:
    """Each lease that arrived is kept, once; each delivery has its entry; no challenge works twice."""
    settings = load_settings(file)
    authorities = load_or_create(settings.service.state_dir, SystemEntropy())
    holders = [Holder(settings, authorities, f"phone-{n}") for n in range(PHONES_AT_ONCE)]
    with deployment.up():
        for holder in holders:
            holder.client.enrol()
    instances = [holder.client.instance for holder in holders]
    chance = random.Random(7)
    for _ in range(ROUNDS):
        with deployment.up():
            threads = [threading.Thread(target=each.ask_until_killed) for each in holders]
            for thread in threads:
                thread.start()
            threads[0].join(chance.uniform(0.02, 0.2))
        for thread in threads:
            thread.join()
    assert [holder.client.instance for holder in holders] == instances
    database = settings.service.state_dir / "watchword.db"
    leases = {
        instance: (lease, deliveries)
        for instance, lease, deliveries in rows(
            database, "SELECT instance_id, id, deliveries FROM leases WHERE secret = 'push'"
        )
    }
    counters = dict(rows(database, "SELECT id, counter FROM instances"))
    entries = rows(
        database, "SELECT subject, detail FROM audit WHERE action = 'secret.delivered' ORDER BY seq"
    )
    assert sum(len(holder.answers) for holder in holders) > ROUNDS
    for holder in holders:
        assert holder.client.instance is not None
        lease, deliveries = leases[holder.client.instance]
        assert set(holder.answers) == {lease}
        told = [json.loads(text) for subject, text in entries if subject == holder.client.instance]
        assert {each["lease"] for each in told} == {lease}
        assert [each["delivery"] for each in told] == list(range(1, deliveries + 1))
        assert len(holder.answers) <= deliveries <= counters[holder.client.instance]
    assert VALUE.encode() not in b"".join(
        each.read_bytes() for each in settings.service.state_dir.glob("watchword.db*")
    )
    with deployment.up(), httpx.Client(trust_env=False) as script:
        for holder in holders:
            for body in holder.bodies[-100:]:
                answer = script.post(
                    f"{settings.service.issuer}/v1/secrets",
                    content=body,
                    headers={"content-type": "application/json"},
                )
                assert (answer.status_code, answer.json()["reasons"]) == (409, ["challenge.used"])
