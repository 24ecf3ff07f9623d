"""The deployment that SDKs are tried at serves the reference client, through each of its gates and past each bad host."""

import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.machine import patience
from tests.system.lab.attested_devices import AndroidDevice, Hardware, IosDevice, SoftwareKeys
from tests.system.sdk.deployment import deployed
from tests.system.sdk.hosts import Relay

from watchword.client import (
    ClientError,
    OutcomeUnknownError,
    ServiceRefusedError,
    TestInstanceDevice,
    WatchwordAuth,
    WatchwordClient,
    WatchwordTransport,
)
from watchword.vocabulary import Proof

GATES = ["proxy", "nginx", "envoy", "affine"]
ATTEMPTS = 60


@pytest.fixture(scope="module")
def where(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """Run the deployment for all tests here."""
    with deployed(tmp_path_factory.mktemp("sdk")) as addresses:
        yield addresses


Clients = Callable[..., WatchwordClient]


@pytest.fixture
def client_of(where: dict[str, Any]) -> Iterator[Clients]:
    """Return what makes the reference client on a device, for all APIs; it is closed in the end."""
    with ExitStack() as stack:

        def made(device: Any, service: str = "") -> WatchwordClient:
            platform = "ios" if isinstance(device, IosDevice) else "android"
            client = WatchwordClient(
                service or where["service"],
                where["apps"][platform]["name"],
                device,
                [api["audience"] for api in where["apis"].values()],
                clock=time.time,  # noqa: TID251 - the deployment tells the real time.
                jitter=lambda: 0.5,
                issuer=where["service"],
            )
            return stack.enter_context(client)

        yield made


def control(where: dict[str, Any], action: str, **members: Any) -> Any:
    """Have the deployment changed."""
    answer = httpx.post(
        f"{where['control']}/{action}", json=members, timeout=patience(60), trust_env=False
    )
    assert answer.status_code == 200, answer.text
    return answer.json()


def opened(
    where: dict[str, Any],
    client: WatchwordClient,
    api: str,
    proof: Proof = Proof.SESSION,
    *,
    base: str = "",
) -> httpx.Client:
    """Return an HTTP client that signs each attempt by a proof, for one API or a relay of it."""
    auth = WatchwordAuth(client, where["apis"][api]["audience"], proof=proof)
    return httpx.Client(
        base_url=base or where["apis"][api]["url"],
        transport=WatchwordTransport(auth),
        timeout=patience(30),
    )


def phone(where: dict[str, Any], kind: str = "genuine-android", name: str = "ada") -> SoftwareKeys:
    """Return a phone whose hardware is the deployment's attester."""
    found = IosDevice if kind.endswith("iphone") else AndroidDevice
    return found(Hardware(where["attester"]), kind, name)


@pytest.mark.parametrize(
    "kind", ["genuine-android", "strongbox-android", "rootless-rkp-android", "genuine-iphone"]
)
def test_a_phone_is_served_through_every_gate(
    where: dict[str, Any], client_of: Clients, kind: str
) -> None:
    """By session and device proofs, with a body and without; the API sees neither token nor proof."""
    control(where, "forget")
    client = client_of(phone(where, kind, kind))
    client.enrol()
    assert client.level == "hardware"
    for api in GATES:
        for name, proof in (("session", Proof.SESSION), ("device", Proof.DEVICE)):
            path = f"{where['paths'][name]}/{api}"
            with opened(where, client, api, proof) as http:
                assert http.get(path).status_code == 200, (api, name)
                posted = http.post(path, json={"sum": 40})
            assert (posted.status_code, posted.json()["body_bytes"]) == (200, 10), (api, name)
    rows = control(where, "seen")
    assert len(rows) == 4 * len(GATES)
    assert not {"watchword-token", "signature", "signature-input"} & {
        name for row in rows for name in row["headers"]
    }


class SealedPhone(AndroidDevice):
    """Be a phone that can't open what is sealed to it, as before Android 12."""

    can_open = False

    def open_sealed(self, info: bytes, sealed: bytes) -> bytes:
        """Open nothing."""
        del info, sealed
        raise ValueError("no key agreement in this hardware")


@pytest.mark.parametrize("api", GATES)
def test_a_phone_without_session_keys_signs_instead(
    where: dict[str, Any], client_of: Clients, api: str
) -> None:
    """On a session route, by its own key: the token says that this is as good."""
    client = client_of(SealedPhone(Hardware(where["attester"]), "v100-android", "sealed"))
    client.enrol()
    with opened(where, client, api) as http:
        path = f"{where['paths']['session']}/1"
        assert [http.get(path).status_code, http.post(path).status_code] == [200, 200]


@pytest.mark.parametrize("api", GATES)
def test_nobody_is_served_without_a_token(where: dict[str, Any], api: str) -> None:
    """Where no proof is wanted either; the open path is open."""
    for name, status in (("open", 200), ("bearer", 401), ("session", 401), ("device", 401)):
        url = f"{where['apis'][api]['url']}{where['paths'][name]}/1"
        assert httpx.get(url, trust_env=False).status_code == status, name


def test_a_code_of_the_operator_enrols(where: dict[str, Any], client_of: Clients) -> None:
    """Once; the instance is served as any other."""
    code = control(where, "invite", platform="android")["code"]
    client = client_of(TestInstanceDevice(code))
    client.enrol()
    with opened(where, client, "proxy") as http:
        assert http.get("/records/1").status_code == 200
    with pytest.raises(ServiceRefusedError):
        client_of(TestInstanceDevice(code)).enrol()


def test_a_revocation_is_seen_at_every_gate(where: dict[str, Any], client_of: Clients) -> None:
    """Soon: the token that was good a moment ago is refused."""
    client = client_of(phone(where, name="lost"))
    client.enrol()
    tokens = {api: client.token(where["apis"][api]["audience"]) for api in GATES}

    def statuses() -> set[int]:
        return {
            httpx.get(
                f"{where['apis'][api]['url']}{where['paths']['bearer']}/1",
                headers={"watchword-token": token},
                trust_env=False,
            ).status_code
            for api, token in tokens.items()
        }

    assert statuses() == {200}
    control(where, "revoke", instance=client.instance)
    found: set[int] = set()
    for _ in range(ATTEMPTS):
        found = statuses()
        if found == {401}:
            break
        time.sleep(0.1)
    assert found == {401}


def test_a_certificate_is_withdrawn(where: dict[str, Any], client_of: Clients) -> None:
    """By the serial that the attester told; the phone's renewal is refused."""
    device = phone(where, "rkp-android", "withdrawn")
    assert isinstance(device, AndroidDevice)
    client = client_of(device)
    client.enrol()
    control(where, "withdraw", serial=device.serial)
    for _ in range(ATTEMPTS):
        try:
            client.renew()
        except ServiceRefusedError:
            return
        time.sleep(0.25)
    pytest.fail("the phone was never refused")


def test_a_secret_is_opened(where: dict[str, Any], client_of: Clients) -> None:
    """As it stands in the addresses."""
    client = client_of(phone(where, name="keeper"))
    client.enrol()
    delivered = client.fetch_secret(where["secret"]["name"])
    assert where["secret"]["value"].encode() in bytes(delivered.value)


@pytest.mark.parametrize("api", GATES)
def test_a_lost_answer_is_never_carried_out_twice(
    where: dict[str, Any], client_of: Clients, api: str
) -> None:
    """A GET comes through by a fresh proof; of a POST the client says that it doesn't know."""
    control(where, "forget")
    client = client_of(phone(where, name="lossy"))
    client.enrol()
    with opened(where, client, api, base=where["relays"][api]) as http:
        assert http.get("/records/0").status_code == 200
        control(where, "lose", relay=api, answers=1)
        with pytest.raises(OutcomeUnknownError):
            http.post("/records/1")
        control(where, "lose", relay=api, answers=1)
        assert http.get("/records/2").status_code == 200
    lines = [f"{row['method']} {row['target']}" for row in control(where, "seen")]
    assert lines == ["GET /records/0", "POST /records/1", "GET /records/2", "GET /records/2"]


def test_a_relay_loses_no_rest_of_an_earlier_answer() -> None:
    """What belongs to a request of before passes, whenever it comes; the answer to the next one is lost."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        host, port = server.getsockname()
        relay = Relay(host, port)
        with socket.create_connection(("127.0.0.1", int(relay.url.rpartition(":")[2]))) as client:
            client.settimeout(patience(30))
            client.sendall(b"first")
            target, _ = server.accept()
            with target:
                assert target.recv(64) == b"first"
                target.sendall(b"answer")
                assert client.recv(64) == b"answer"
                relay.lose(1)
                target.sendall(b"its rest")
                assert client.recv(64) == b"its rest"
                client.sendall(b"second")
                assert target.recv(64) == b"second"
                target.sendall(b"answer")
                assert client.recv(64) == b""
        assert relay.left() == 0
        relay.close()


def test_an_answer_of_the_service_is_lost(where: dict[str, Any], client_of: Clients) -> None:
    """The client gets through at its next attempt, by itself or the caller's."""
    client = client_of(phone(where, name="unlucky"), where["relays"]["service"])
    control(where, "lose", relay="service", answers=1)
    try:
        client.enrol()
    except ClientError:
        client.enrol()
    assert client.level == "hardware"


def test_a_redirect_leads_to_a_host_that_remembers(
    where: dict[str, Any], client_of: Clients
) -> None:
    """What a client takes along is seen there: the reference client follows nowhere, one that follows is seen."""
    control(where, "forget")
    client = client_of(phone(where, name="redirected"))
    client.enrol()
    with opened(where, client, "proxy") as http:
        answer = http.get("/records/1/redirect")
    assert (answer.status_code, answer.headers["location"]) == (
        307,
        f"{where['hosts']['foreign']}/records/1",
    )
    httpx.get(answer.headers["location"], headers={"watchword-token": "x"}, trust_env=False)
    [row] = [row for row in control(where, "seen") if row["host"] == "foreign"]
    assert (row["target"], row["headers"]["watchword-token"]) == ("/records/1", "x")


@pytest.mark.parametrize("host", ["portal", "huge", "bomb", "truncated", "busy", "redirecting"])
def test_no_bad_host_passes_for_the_service(
    where: dict[str, Any], client_of: Clients, host: str
) -> None:
    """The client fails in its own words and sends evidence to nobody."""
    control(where, "forget")
    client = client_of(phone(where, name="abroad"), where["hosts"][host])
    with pytest.raises(ClientError):
        client.enrol()
    rows = control(where, "seen")
    assert {row["host"] for row in rows} == {host}
    assert all("/v1/challenges" in row["target"] for row in rows)


def test_actions_that_fail_say_why(where: dict[str, Any]) -> None:
    """An unknown one is 404; what the command says against it is in the answer."""

    def told(action: str, **members: Any) -> tuple[int, str]:
        answer = httpx.post(
            f"{where['control']}/{action}", json=members, timeout=patience(60), trust_env=False
        )
        return answer.status_code, answer.text

    assert told("no-such-action")[0] == 404
    assert told("lose", relay="no-such-relay", answers=1) == (
        400,
        '{"error": "KeyError: \'no-such-relay\'"}',
    )
    code, text = told("revoke", instance="nobody")
    assert code == 400
    assert "instance.unknown" in text


def test_it_runs_as_a_program_until_its_input_ends(tmp_path: Path) -> None:
    """One line of JSON, then it waits; afterwards nobody answers."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.system.sdk.deployment", str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        where = json.loads(process.stdout.readline())
        open_path = f"{where['apis']['nginx']['url']}{where['paths']['open']}/1"
        assert httpx.get(open_path, trust_env=False).status_code == 200
        process.stdin.close()
        assert process.wait(patience(60)) == 0
    with pytest.raises(httpx.ConnectError):
        httpx.get(open_path, trust_env=False)
