"""Enrol phones whose hardware is the attester's process, at a real deployment; attack the attester meanwhile."""

import json
import re
import shlex
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.machine import patience
from tests.ports import free_port
from tests.system.apps.test_lab_end_to_end import CONFIG
from tests.system.lab.attested_devices import (
    AndroidDevice,
    FaultError,
    Hardware,
    IosDevice,
    attester_process,
    device_of,
)
from tests.unit.apps.service_process import running, upstream, watchword

from watchword.apps.settings.load import load_settings
from watchword.apps.settings.schema import Settings
from watchword.client import ServiceRefusedError, WatchwordAuth, WatchwordClient
from watchword.encoding import base64url
from watchword.lab import PHONES
from watchword.vocabulary import Proof

ACCEPTED = sorted(kind for kind, model in PHONES.items() if not model.expected.reasons)
REFUSED = sorted(kind for kind, model in PHONES.items() if model.expected.reasons)
AUDIENCE = "https://api.clinic.example"
ATTEMPTS = 60


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """Run a lab deployment for all tests here, and return its settings."""
    file = tmp_path_factory.mktemp("deployment") / "watchword.yaml"
    with upstream() as port:
        text = CONFIG.format(service=free_port(), api=free_port(), upstream=port, digest="ab" * 32)
        file.write_text(text, encoding="utf-8")
        with running(file) as (where, _):
            assert where["environment"] == "lab"
            yield load_settings(file)


@pytest.fixture(scope="module")
def address(settings: Settings) -> Iterator[str]:
    """Run an attester beside it, and return where it listens."""
    with attester_process(settings.path) as (url, _):
        yield url


@pytest.fixture
def hardware(address: str) -> Hardware:
    """Return what asks it."""
    return Hardware(address)


Clients = Callable[[Any], WatchwordClient]


@pytest.fixture
def client_of(settings: Settings) -> Iterator[Clients]:
    """Return what makes the reference client on a device; it is closed in the end."""
    with ExitStack() as stack:

        def made(device: Any) -> WatchwordClient:
            client = WatchwordClient(
                f"http://{settings.service.listen}",
                "ios" if isinstance(device, IosDevice) else "android",
                device,
                [AUDIENCE],
                clock=time.time,  # noqa: TID251 - the deployment tells the real time.
                jitter=lambda: 0.5,
                issuer=settings.service.issuer,
            )
            return stack.enter_context(client)

        yield made


def answered(settings: Settings, client: WatchwordClient, path: str, proof: Proof) -> int:
    """Return the status of one request to the API."""
    with httpx.Client(
        base_url=f"http://{settings.apis['clinic'].listen}",
        auth=WatchwordAuth(client, AUDIENCE, proof=proof),
        trust_env=False,
        timeout=30,
    ) as http:
        return http.post(path, json={"sum": 40}).status_code


def refusal_of(call: Callable[[], object]) -> tuple[str, ...]:
    """Return why the service refused in this call, nothing where it didn't."""
    try:
        call()
    except ServiceRefusedError as error:
        return tuple(error.problem.reasons)
    return ()


@pytest.mark.parametrize("kind", ACCEPTED)
def test_phones_enrol_renew_and_prove_their_requests(
    settings: Settings, hardware: Hardware, kind: str, client_of: Clients
) -> None:
    """With the level of the kind; renewals fare as is written down of those that differ later."""
    client = client_of(device_of(hardware, kind, kind))
    client.enrol()
    assert client.level == PHONES[kind].expected.level.value
    for path, proof in (("/records/1", Proof.SESSION), ("/payments/1", Proof.DEVICE)):
        assert answered(settings, client, path, proof) == 200
    if kind == "testflight-update-iphone":
        with pytest.raises(ServiceRefusedError) as refused:
            client.renew()
        assert refused.value.problem.reasons == ("policy.distribution",)
        return
    client.renew()
    if kind == "cloned-iphone":
        with pytest.raises(ServiceRefusedError) as refused:
            client.renew()
        assert refused.value.problem.reasons == ("instance.counter",)
        return
    client.renew()


@pytest.mark.parametrize("kind", REFUSED)
def test_bad_phones_are_refused_for_the_same_reasons(
    settings: Settings, hardware: Hardware, kind: str, client_of: Clients
) -> None:
    """The service says what it says of the lab's own phone of the kind."""
    with pytest.raises(ServiceRefusedError) as refused:
        client_of(device_of(hardware, kind, kind)).enrol()
    expected = [reason.code for reason in PHONES[kind].expected.reasons]
    reasons = refused.value.problem.reasons
    assert expected[0] in reasons
    assert set(reasons) <= set(expected)


def test_a_certificate_is_revoked_by_the_serial_that_was_told(
    settings: Settings, hardware: Hardware, client_of: Clients
) -> None:
    """`watchword lab revoke` takes the phone its instance; another phone of the kind keeps its own."""
    kind = "rkp-strongbox-android"
    one, other = (AndroidDevice(hardware, kind, name) for name in ("withdrawn", "kept"))
    client, neighbour = client_of(one), client_of(other)
    client.enrol()
    neighbour.enrol()
    assert one.serial != other.serial
    done = watchword(settings.path, "lab", "revoke", one.serial)
    assert done.returncode == 0, done.stderr
    reasons: tuple[str, ...] = ()
    for _ in range(ATTEMPTS):
        reasons = refusal_of(client.renew)
        if reasons:
            break
        time.sleep(0.25)
    assert reasons
    assert set(reasons) <= {"instance.revoked", "instance.withdrawn"}
    neighbour.renew()


def test_an_instance_is_revoked_by_the_operator(
    settings: Settings, hardware: Hardware, client_of: Clients
) -> None:
    """The gate refuses its token soon, and the service its renewal."""
    client = client_of(AndroidDevice(hardware, "genuine-android", "lost"))
    client.enrol()
    assert answered(settings, client, "/records/1", Proof.SESSION) == 200
    assert client.instance is not None
    done = watchword(settings.path, "instances", "revoke", client.instance, "--because", "lost")
    assert done.returncode == 0, done.stderr
    reasons: tuple[str, ...] = ()
    for _ in range(ATTEMPTS):
        reasons = refusal_of(lambda: answered(settings, client, "/records/1", Proof.SESSION))
        if reasons:
            break
        time.sleep(0.25)
    assert reasons == ("instance.revoked",)


def test_device_errors_reach_the_client_and_pass(
    settings: Settings, hardware: Hardware, client_of: Clients
) -> None:
    """A vendor that is down once costs one enrolment; the same key is attested at the next attempt of its app."""
    hardware.script("patient", {"on": "app-attest.attestation", "fault": "server-unavailable"})
    device = IosDevice(hardware, "genuine-iphone", "patient")
    client = client_of(device)
    with pytest.raises(FaultError) as failed:
        client.enrol()
    assert failed.value.fault["code"] == 4
    client.enrol()
    assert client.level == "hardware"
    hardware.script("patient", {"on": "app-attest.assertion", "delay": 0.2, "times": 2})
    client.renew()
    assert client.level == "hardware"


def test_an_assertion_that_was_overtaken_is_out_of_order(
    hardware: Hardware, client_of: Clients
) -> None:
    """Counters go up in the order of the calls: a renewal that arrives after a later one isn't taken as it is."""

    class Overtaken(IosDevice):
        """Let another renewal through between the assertion and its way to the service."""

        overtaking: Callable[[], None] | None = None
        assertions = 0

        def renew(self, statement: bytes) -> dict[str, Any]:
            """Return the assertion that was made first."""
            self.assertions += 1
            made = super().renew(statement)
            overtaking, self.overtaking = self.overtaking, None
            if overtaking is not None:
                overtaking()
            return made

    device = Overtaken(hardware, "genuine-iphone", "overtaken")
    client, other = client_of(device), client_of(device)
    client.enrol()
    session = client.export_session()
    assert session is not None
    other.import_session(session)
    device.overtaking = other.renew
    # A client that tries once more with a fresh challenge gets a third assertion, in order by then.
    assert refusal_of(client.renew) == ("instance.counter",) or device.assertions == 3


def test_many_ask_at_once(hardware: Hardware) -> None:
    """Each of 64 assertions has a counter of its own, none is left out; slow calls hold up nobody else."""
    device = IosDevice(hardware, "genuine-iphone", "crowd")
    device.attest(bytes(32))

    def counter(number: int) -> int:
        made = hardware.ask(
            "/v1/app-attest/assertions",
            key_id=device.key_id,
            client_data_hash=base64url.encode(bytes(32)),
            delay=0.3 * (number % 2),
        )
        assertion = base64url.decode(made["assertion"])
        at = assertion.index(b"authenticatorData") + len("authenticatorData")
        # A byte string of CBOR with a length of one byte, then the hash of the App ID and the flags.
        return int.from_bytes(assertion[at + 2 + 33 : at + 2 + 37], "big")

    with ThreadPoolExecutor(16) as pool:
        assert sorted(pool.map(counter, range(64))) == list(range(1, 65))


def test_it_outlives_what_is_no_http(address: str, hardware: Hardware) -> None:
    """Bytes of no protocol, heads without an end, and bodies that say they are huge; it answers afterwards as before."""
    host, port = address.removeprefix("http://").split(":")
    head = (
        b"POST /v1/android/chain HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    )
    for data in (
        b"\x16\x03\x01" + bytes(200),
        b"GET / HTTP/9\r\n\r\n",
        head,
        head + b"Content-Length: 99999999999\r\n\r\n",
        head + b"Content-Length: 10\r\nContent-Length: 11\r\n\r\n{}",
        head + b"Transfer-Encoding: chunked\r\n\r\nFFFFFFF\r\n" + bytes(70_000),
    ):
        with socket.create_connection((host, int(port)), timeout=30) as connection:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            answer = connection.recv(64)
            assert not answer or answer.split()[1] in {b"400", b"413", b"408"}, answer
    assert AndroidDevice(hardware, "genuine-android", "after").attest(bytes(32))["chain"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_stops_when_it_is_told(settings: Settings, number: signal.Signals) -> None:
    """A request that runs is answered first; the exit code is 0, and nothing is on stderr but its log."""
    with attester_process(settings.path) as (url, process), ThreadPoolExecutor(1) as pool:
        hardware = Hardware(url)
        hardware.script("slow", {"on": "android.chain", "delay": 1.0})
        running_one = pool.submit(
            AndroidDevice(hardware, "genuine-android", "slow").attest, bytes(32)
        )
        while Hardware(url).left("slow"):
            time.sleep(0.01)
        process.send_signal(number)
        assert running_one.result()["chain"]
        _, errors = process.communicate(timeout=patience(30))
        assert process.returncode == 0
        assert "Traceback" not in errors


def test_a_killed_one_forgets_the_keys_that_it_held(settings: Settings, client_of: Clients) -> None:
    """After its restart the phone has lost its App Attest key, as a restored one: it enrols anew, and counters start again."""
    with attester_process(settings.path) as (url, process):
        device = IosDevice(Hardware(url), "genuine-iphone", "restored")
        client = client_of(device)
        client.enrol()
        client.renew()
        process.kill()
        process.wait(timeout=patience(30))
    with attester_process(settings.path) as (url, _):
        device.hardware = Hardware(url)
        with pytest.raises(FaultError, match="invalid-key"):
            client.renew()
        client.enrol()
        client.renew()


def test_an_android_key_outlives_the_attester(settings: Settings, client_of: Clients) -> None:
    """It never had it: the phone renews while nothing answers, and a new one vouches for the same phone."""
    with attester_process(settings.path) as (url, _):
        device = AndroidDevice(Hardware(url), "rkp-android", "steady")
        client = client_of(device)
        client.enrol()
    client.renew()
    before = device.serial
    with attester_process(settings.path) as (url, _):
        device.hardware = Hardware(url)
        client.enrol()
    assert device.serial == before


def test_an_address_that_is_taken_is_told(settings: Settings, address: str) -> None:
    """Exit code 1, in one line, as of `watchword up`."""
    port = address.rpartition(":")[2]
    done = watchword(settings.path, "lab", "attester", "--port", port)
    assert done.returncode == 1
    assert done.stderr.strip().endswith("the address is taken by another process")


def test_nothing_listens_beyond_this_machine(settings: Settings) -> None:
    """An address of another reach is refused before a socket is made, with exit code 2."""
    done: subprocess.CompletedProcess[str] = watchword(
        settings.path, "lab", "attester", "--host", "0.0.0.0", "--port", "0"
    )
    assert done.returncode == 2
    assert "expected a loopback address" in done.stderr


@pytest.mark.parametrize(("host", "told"), [("::1", "[::1]"), ("localhost", "localhost")])
def test_it_listens_at_every_kind_of_loopback_address(
    settings: Settings, host: str, told: str
) -> None:
    """Which is told as a URL has it."""
    with attester_process(settings.path, "--host", host) as (url, _):
        assert url.startswith(f"http://{told}:")
        assert AndroidDevice(Hardware(url), "genuine-android", "six").attest(bytes(32))["chain"]


def examples() -> list[tuple[str, str, dict[str, Any] | None, str]]:
    """Return the calls of the page, each with the answer that stands below it."""
    page = (Path(__file__).parents[3] / "docs" / "lab.md").read_text(encoding="utf-8")
    calls = re.findall(r"^\$ (curl .*?)\n(\{[^\n]*\})$", page, re.DOTALL | re.MULTILINE)
    found = []
    for command, answer in calls:
        words = shlex.split(command)
        [url] = [word for word in words if word.startswith("http://127.0.0.1:8450/")]
        body = json.loads(words[words.index("-d") + 1]) if "-d" in words else None
        method = "PUT" if "PUT" in words else "GET" if body is None else "POST"
        assert body is None or "content-type:application/json" in words
        found.append((method, url.removeprefix("http://127.0.0.1:8450"), body, answer))
    return found


def test_the_calls_of_the_page_are_answered_as_it_says(address: str) -> None:
    """Each, in order, with a key id where the page has a word for it; dots stand for what differs each time."""
    calls = examples()
    assert len(calls) == 9
    key_id = ""
    for method, path, body, told in calls:
        sent = json.loads(json.dumps(body).replace("KEY_ID", key_id)) if body else None
        answer = httpx.request(method, address + path, json=sent, timeout=30, trust_env=False)
        key_id = answer.json().get("key_id", key_id)
        pattern = ".*".join(re.escape(part) for part in told.split("…"))
        assert re.fullmatch(pattern, answer.text), f"{path}: {answer.text[:400]}"
