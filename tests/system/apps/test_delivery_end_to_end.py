"""Have simulated phones of each kind handed a secret by a running deployment, and take it from them again."""

import asyncio
import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.ports import free_port
from tests.system.apps.test_lab_end_to_end import CONFIG
from tests.unit.apps.forked_commands import command
from tests.unit.apps.service_process import running, watchword

from watchword.adapters.system import SystemClock
from watchword.apps.lab.phones import (
    authorities_of,
    build_phone,
    new_phone,
)
from watchword.apps.settings.load import load_settings
from watchword.apps.settings.schema import Settings
from watchword.client import (
    DeliveredSecrets,
    Device,
    InstanceRefusedError,
    SecretRefusedError,
    TestInstanceDevice,
    WatchwordClient,
)
from watchword.lab import PHONES

FIRST, SECOND = "wwk-push-FIRST-marked-0001", "wwk-push-SECOND-marked-002"
SECRETS = """
secrets:
  keys:
    push:
      deliver: {apps: [ios, android], level: hardware, lease: 1h}
    turned:
      deliver: {apps: [ios], level: hardware, lease: 1h}
    weak:
      deliver: {apps: [android], level: software, lease: 1m}
"""


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Run a deployment with two secrets to hand out, and return its file."""
    folder = tmp_path_factory.mktemp("deployment")
    file = folder / "watchword.yaml"
    text = CONFIG.format(service=free_port(), api=free_port(), upstream=1, digest="ab" * 32)
    file.write_text(text + SECRETS, encoding="utf-8")
    with running(file) as (where, _):
        assert where["environment"] == "lab"
        for name in ("push", "turned", "weak"):
            done = with_value(file, FIRST, "add", name)
            assert done.returncode == 0, done.stderr
        yield file


def with_value(file: Path, value: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command on secrets that reads a value."""
    return command(Path.cwd(), "-c", str(file), "secrets", *arguments, given=value)


def client_of(settings: Settings, device: Device, app: str) -> WatchwordClient:
    """Return the reference client on a device."""
    return WatchwordClient(
        f"http://{settings.service.listen}",
        app,
        device,
        ["https://api.clinic.example"],
        clock=SystemClock().timestamp,
        jitter=lambda: 0.5,
        issuer=settings.service.issuer,
    )


@contextmanager
def phone(file: Path, kind: str) -> Iterator[tuple[WatchwordClient, DeliveredSecrets]]:
    """Return a new phone's client, and its secrets."""
    settings = load_settings(file)
    platform = PHONES[kind].platform
    (app,) = [each for each in settings.apps.values() if each.platform is platform]
    device = build_phone(authorities_of(settings), kind, app, new_phone(kind))
    with client_of(settings, device, app.id) as client, DeliveredSecrets(client) as secrets:
        yield client, secrets


@pytest.mark.parametrize(
    "kind", ["genuine-iphone", "genuine-android", "strongbox-android", "rkp-android"]
)
def test_genuine_phones_open_what_they_are_handed(deployment: Path, kind: str) -> None:
    """By their own keys, with evidence as for a renewal, before and after a renewal."""
    with phone(deployment, kind) as (client, secrets):
        assert secrets.value("push") == FIRST
        client.renew()
        secrets.forget("push")
        assert asyncio.run(secrets.value_async("push")) == FIRST


def test_level_decides(deployment: Path) -> None:
    """A phone without an attested key gets what is for its level, and nothing above; its tokens work on."""
    with phone(deployment, "play-phone") as (client, secrets):
        with pytest.raises(SecretRefusedError) as caught:
            secrets.value("push")
        assert caught.value.problem.reasons == ("secret.level",)
        assert client.level == "verified"
        assert secrets.value("weak") == FIRST
        client.renew()


def test_app_and_name_decide(deployment: Path) -> None:
    """In a lab the reason is told."""
    with phone(deployment, "genuine-iphone") as (_, secrets):
        for name, reason in (("weak", "secret.app"), ("nothing", "secret.not_delivered")):
            with pytest.raises(SecretRefusedError) as caught:
                secrets.value(name)
            assert caught.value.problem.reasons == (reason,)


def test_test_instance_is_handed_secrets_until_it_ends(deployment: Path) -> None:
    """What an operator let in by a code is an instance like any other, with an end."""
    made = watchword(
        deployment,
        *("instances", "invite", "--app", "ios", "--level", "hardware", "--for", "10m"),
        *("--because", "delivery"),
    )
    assert made.returncode == 0, made.stderr
    settings = load_settings(deployment)
    device = TestInstanceDevice(made.stdout.strip())
    with client_of(settings, device, "ios") as client:
        client.enrol()
        delivery = client.fetch_secret("push")
        assert delivery.value == FIRST.encode()
        assert delivery.expires_at - SystemClock().timestamp() < 601


def test_revoked_instance_is_handed_nothing(deployment: Path) -> None:
    """At its next fetch the value is gone from it too."""
    with phone(deployment, "genuine-android") as (client, secrets):
        assert secrets.value("push") == FIRST
        done = watchword(
            deployment, "instances", "revoke", str(client.instance), "--because", "lost"
        )
        assert done.returncode == 0, done.stderr
        secrets.forget("push")
        with pytest.raises(InstanceRefusedError):
            secrets.value("push")


def test_rotation_and_revocation_reach_phones(deployment: Path) -> None:
    """Who has which version is told; a revoked secret is handed out no more."""
    with (
        phone(deployment, "genuine-iphone") as (_, old),
        phone(deployment, "genuine-iphone") as (_, new),
    ):
        assert old.value("turned") == FIRST
        done = with_value(deployment, SECOND, "rotate", "turned", "--overlap", "1h")
        assert done.returncode == 0, done.stderr
        assert new.value("turned") == SECOND
        told = watchword(deployment, "secrets", "who-uses", "turned", "--json")
        assert told.returncode == 0, told.stderr
        assert {each["version"] for each in json.loads(told.stdout)["leases"]} == {1, 2}
        old.forget("turned")
        assert old.value("turned") == SECOND
        done = watchword(
            deployment, "secrets", "revoke", "turned", "--all", "--because", "seen elsewhere"
        )
        assert done.returncode == 0, done.stderr
        new.forget("turned")
        with pytest.raises(SecretRefusedError) as caught:
            new.value("turned")
        assert caught.value.problem.reasons == ("secret.revoked",)
        for output in (told.stdout, told.stderr, done.stdout, done.stderr):
            assert FIRST not in output
            assert SECOND not in output
