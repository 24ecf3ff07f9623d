"""Bring bundles to gates of other machines: over real TLS, with certificates made here."""

import asyncio
import json
import os
import signal
import socket
import sqlite3
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509
from tests.unit.adapters.authority import Authority
from tests.unit.adapters.loopback import end_listening
from tests.unit.apps.service_bench import Caller, ServiceBench, service_bench
from tests.unit.enrolment.simulators import SimulatedPhone

from watchword.adapters.gate_bundle import GateBundleFile, publish_bundle, read_signer
from watchword.adapters.gate_bundle.chain_file import chain_path
from watchword.adapters.gate_bundle.follower import BundleFollower
from watchword.adapters.gate_bundle.freshness import freshness_path
from watchword.adapters.gate_bundle.heads import newest_head
from watchword.adapters.gate_bundle.remote import (
    BundleSource,
    DeniedError,
    Fetched,
    FetchError,
    Known,
    client_tls,
)
from watchword.adapters.http_server.mutual_tls import MutualTlsServer, peer_names
from watchword.adapters.http_server.tls import server_tls
from watchword.apps.service.app import PEER_STATE
from watchword.gate.bundle import MAX_BUNDLE_BYTES, GateBundleError, from_jws, to_jws
from watchword.tokens.jose import SigningKey

RUN = "from watchword.apps.cli.entry import run; run()"
BECAUSE = {"because": "stolen"}
CLIENTS = {"edge.example": ("clinic",)}


@dataclass
class Delivery:
    """Hold a service that hands out bundles over TLS, in a loop and a thread of its own."""

    bench: ServiceBench
    authority: Authority
    directory: Path
    loop: asyncio.AbstractEventLoop
    server: MutualTlsServer
    listener: Callable[[int], MutualTlsServer]
    place: Path | None = None

    @property
    def url(self) -> str:
        """Return where it listens."""
        return f"https://127.0.0.1:{self.server.port}"

    @property
    def signer(self) -> Path:
        """Return the file that an operator copies once."""
        return self.bench.gate_path.with_name("signer.jwk")

    def do(self, work: Callable[[Caller], Any]) -> Any:
        """Do something at the service, in its loop."""

        async def scenario() -> Any:
            async with Caller.of(self.bench) as caller:
                return await work(caller)

        return asyncio.run_coroutine_threadsafe(scenario(), self.loop).result(30)

    def tls(self, name: str = "edge.example", issuer: Authority | None = None) -> ssl.SSLContext:
        """Return what a gate with this name brings."""
        certificate, key = (issuer or self.authority).issue(name)
        return client_tls(certificate, key, self.authority.file)

    @contextmanager
    def follower(self, tls: ssl.SSLContext, api: str = "clinic") -> Iterator[BundleFollower]:
        """Return what keeps ``remote.jws`` up to date."""
        source = BundleSource(self.url, api, tls)
        try:
            yield BundleFollower(source, api, self.output, read_signer(self.signer))
        finally:
            source.close()

    @property
    def output(self) -> Path:
        """Return the file of the gate on the other machine."""
        return self.place or self.directory / "remote.jws"

    def stop(self) -> None:
        """Take the service away."""
        asyncio.run_coroutine_threadsafe(self.server.stop(), self.loop).result(10)

    def start_again(self) -> None:
        """Let it listen where it did."""
        self.server = self.listener(self.server.port)
        asyncio.run_coroutine_threadsafe(self.server.start(), self.loop).result(10)


@pytest.fixture
def delivery(tmp_path: Path) -> Iterator[Delivery]:
    """Run a service and its listener for gates."""
    (tmp_path / "state").mkdir(mode=0o700)
    bench = service_bench(tmp_path / "state")
    authority = Authority(tmp_path, "authority")
    tls = server_tls(*authority.issue("service.example", server=True), authority.file)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    def listener(port: int = 0) -> MutualTlsServer:
        app = bench.service.gates_app(CLIENTS)
        return MutualTlsServer(app, tls=tls, peer_state=PEER_STATE, port=port)

    server = listener()
    made = Delivery(bench, authority, tmp_path, loop, server, listener)

    async def start() -> None:
        await bench.service.tick()
        await server.start()

    asyncio.run_coroutine_threadsafe(start(), loop).result(10)
    yield made
    made.stop()
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)
    loop.close()
    bench.store.close()


def test_a_revocation_reaches_the_other_machine_within_a_second(delivery: Delivery) -> None:
    """The gate that waits for news has the file changed when an instance is revoked."""
    instance = delivery.do(lambda call: call.enrol(SimulatedPhone()))["instance"]
    with delivery.follower(delivery.tls()) as follower:
        first = follower.turn(wait=False)
        assert first is not None
        assert first.revoked == frozenset()
        assert delivery.output.stat().st_mode & 0o777 == 0o600
        gate = GateBundleFile(delivery.output, delivery.signer)
        waiting = threading.Thread(target=follower.turn, kwargs={"wait": True})
        waiting.start()
        waiting.join(0.3)
        assert waiting.is_alive()
        started = time.monotonic()  # noqa: TID251 - what is measured is the real time.
        path = f"/v1/instances/{instance}/revoke"
        delivery.do(lambda call: call.operator.post(path, json={"because": "stolen"}))
        (subject,) = delivery.bench.published().revoked
        while not (gate.generation and gate.is_revoked(subject)):
            assert time.monotonic() - started < 1  # noqa: TID251 - as above.
            time.sleep(0.01)
        waiting.join(5)
        assert not waiting.is_alive()


def test_the_other_machine_keeps_how_far_the_audit_trail_was(
    delivery: Delivery, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody at the service reaches its file; and it tells that the trail got shorter."""
    instance = delivery.do(lambda call: call.enrol(SimulatedPhone()))["instance"]
    delivery.do(lambda call: call.operator.post(f"/v1/instances/{instance}/revoke", json=BECAUSE))
    with delivery.follower(delivery.tls()) as follower:
        follower.turn(wait=False)
    told = newest_head(delivery.output)
    assert told is not None
    assert told.audit.size == delivery.do(lambda _: delivery.bench.store.newest_audit())
    with sqlite3.connect(delivery.bench.directory / "watchword.db") as connection:
        connection.execute("DELETE FROM audit")
        connection.execute("UPDATE sqlite_sequence SET seq = 0 WHERE name = 'audit'")
    connection.close()
    other = delivery.do(lambda call: call.enrol(SimulatedPhone()))["instance"]
    # The first turn finds out that it is another trail, the second one seals it.
    delivery.do(lambda _: delivery.bench.service.tick())
    delivery.do(lambda call: call.operator.post(f"/v1/instances/{other}/revoke", json=BECAUSE))
    # What the pull kept counts, also where no chain says any more what was told before.
    chain_path(delivery.output).unlink()
    chain_path(delivery.bench.gate_path).unlink()
    delivery.do(lambda _: delivery.bench.service.tick())
    with delivery.follower(delivery.tls()) as follower:
        follower.turn(wait=False)
    assert "the service's audit trail had" in caplog.text
    later = newest_head(delivery.output)
    assert later is not None
    assert later.audit.head != told.audit.head


def test_names_that_are_not_known_and_other_apis_are_denied(delivery: Delivery) -> None:
    """A certificate of the right authority isn't enough, and one API's gate gets no other's."""
    for name, api in (("stranger.example", "clinic"), ("edge.example", "ledger")):
        with (
            delivery.follower(delivery.tls(name), api) as follower,
            pytest.raises(DeniedError, match=r"gates\.clients"),
        ):
            follower.turn(wait=False)
    assert not delivery.output.exists()
    counted = delivery.bench.log.counts()
    assert [each for each in counted if "gate.bundle" in str(each)]


def test_a_certificate_of_somebody_else_is_not_let_in(delivery: Delivery) -> None:
    """Without a certificate of the right authority there is no answer, and the error says so."""
    other = Authority(delivery.directory, "other")
    with (
        delivery.follower(delivery.tls(issuer=other)) as follower,
        pytest.raises((DeniedError, FetchError)),
    ):
        follower.turn(wait=False)
    nobody = ssl.create_default_context(cafile=str(delivery.authority.file))
    with pytest.raises(httpx.HTTPError):
        httpx.get(f"{delivery.url}/v1/gates/clinic/bundle", verify=nobody, trust_env=False)


def test_a_service_of_somebody_else_is_not_believed(delivery: Delivery) -> None:
    """A gate speaks with no service that its own authority didn't sign for."""
    other = Authority(delivery.directory, "other")
    certificate, key = delivery.authority.issue("edge.example")
    with (
        delivery.follower(client_tls(certificate, key, other.file)) as follower,
        pytest.raises(DeniedError, match="--ca"),
    ):
        follower.turn(wait=False)


def test_a_dead_service_leaves_the_file(delivery: Delivery) -> None:
    """When nobody answers, the gate keeps what it has."""
    with delivery.follower(delivery.tls()) as follower:
        assert follower.turn(wait=False) is not None
        before = delivery.output.read_bytes()
        delivery.stop()
        with pytest.raises(FetchError):
            follower.turn(wait=True)
        assert delivery.output.read_bytes() == before


class Sending(BundleSource):
    """Be a service that sends what a test wants; implements what the follower asks."""

    def __init__(self, data: bytes | None) -> None:
        """Keep what is sent."""
        self.data = data

    def fetch(self, known: Known) -> Fetched | None:
        """Send it, as a service of before does."""
        return None if self.data is None else Fetched(self.data, chain=False)


def test_older_forged_and_foreign_bundles_are_refused(delivery: Delivery, tmp_path: Path) -> None:
    """Whoever stands in for the service can't give a gate a state of his own, or an old one."""
    bundle, signer = delivery.bench.published(), delivery.bench.keyring.bundle_signer()
    good = to_jws(bundle, signer)
    source, path = Sending(good), tmp_path / "gate.jws"
    follower = BundleFollower(source, "clinic", path, read_signer(delivery.signer))
    assert follower.turn(wait=True) == bundle
    thief = SigningKey.from_wide_secret(b"t" * 64)
    newer = replace(bundle, generation=bundle.generation + 1)
    for sent in (
        to_jws(newer, thief),
        to_jws(replace(bundle, generation=bundle.generation - 1), signer),
        to_jws(replace(bundle, revoked=frozenset({"other"})), signer),
        to_jws(replace(newer, policy=replace(bundle.policy, api="ledger")), signer),
        good[:-4] + b"AAAA",
        b"",
    ):
        source.data = sent
        for each in (follower, BundleFollower(source, "clinic", path, follower._key)):
            with pytest.raises(GateBundleError):
                each.turn(wait=True)
            assert path.read_bytes() == good
    source.data = to_jws(newer, signer)
    assert follower.turn(wait=True) == newer
    assert from_jws(path.read_bytes(), follower._key) == newer


def test_a_file_that_was_removed_comes_back(delivery: Delivery) -> None:
    """Whoever lost the file gets it again at the next turn, without a newer generation."""
    with delivery.follower(delivery.tls()) as follower:
        first = follower.turn(wait=False)
        delivery.output.unlink()
        assert follower.turn(wait=True) == first
        assert follower.turn(wait=False) is None


def test_a_file_that_was_spoiled_comes_back(delivery: Delivery) -> None:
    """A gate that starts anew finds a bundle that it believes, whatever happened to the file."""
    with delivery.follower(delivery.tls()) as follower:
        first = follower.turn(wait=False)
        assert first is not None
        older = replace(first, generation=first.generation - 1)
        put_back = to_jws(older, delivery.bench.keyring.bundle_signer())
        for data in (b"", b"rubbish", put_back):
            publish_bundle(delivery.output, data)
            assert follower.turn(wait=True) == first
        delivery.output.chmod(0o644)
        assert follower.turn(wait=True) == first
        assert delivery.output.stat().st_mode & 0o777 == 0o600


def test_nothing_else_is_served(delivery: Delivery) -> None:
    """The listener for gates has one endpoint, and reads its conditions strictly."""
    with httpx.Client(verify=delivery.tls(), trust_env=False, base_url=delivery.url) as http:
        bundle = "/v1/gates/clinic/bundle"
        assert http.get("/v1/keys").status_code == 404
        assert http.post(bundle).status_code == 405
        assert http.get(bundle, headers={"if-none-match": "*"}).status_code == 400
        answer = http.get(bundle)
        assert (answer.status_code, answer.headers["content-type"]) == (200, "application/jose")
        assert http.get(bundle, headers={"a": "b" * 20000}).status_code in {400, 431}


def test_names_in_certificates() -> None:
    """Alternative names count; a common name only where there are none."""
    subject = ((("commonName", "Edge.example"),),)
    assert peer_names({"subject": subject}) == ("edge.example",)
    names = (("DNS", "A.example"), ("IP Address", "10.0.0.1"))
    assert peer_names({"subject": subject, "subjectAltName": names}) == ("a.example",)
    address = (("IP Address", "10.0.0.1"),)
    assert peer_names({"subject": subject, "subjectAltName": address}) == ()
    assert peer_names(None) == ()


@pytest.mark.parametrize(
    ("names", "let_in"),
    [
        (("first.example", "edge.example"), True),
        (("EDGE.example",), True),
        (("*.example",), False),
        (("edge.example.evil",), False),
        (("10.0.0.1",), False),
    ],
)
def test_what_a_certificate_is_good_for(
    delivery: Delivery, names: tuple[str, ...], *, let_in: bool
) -> None:
    """Each DNS name counts as it is written; wildcards and addresses are nobody's name."""
    written: list[x509.GeneralName] = [
        x509.IPAddress(ip_address(name)) if name[0].isdigit() else x509.DNSName(name)
        for name in names
    ]
    certificate, key = delivery.authority.issue("edge.example", names=written)
    tls = client_tls(certificate, key, delivery.authority.file)
    with httpx.Client(verify=tls, trust_env=False, base_url=delivery.url) as http:
        status = http.get("/v1/gates/clinic/bundle").status_code
    assert status == (200 if let_in else 403)


def test_half_open_connections_keep_nobody_out(delivery: Delivery) -> None:
    """Whoever connects and says nothing, 400 times at once, doesn't keep a gate from its bundle."""
    port = delivery.server.port
    with ExitStack() as stack:
        for _ in range(400):
            stack.enter_context(socket.create_connection(("127.0.0.1", port)))
        with delivery.follower(delivery.tls()) as follower:
            assert follower.turn(wait=False) is not None


@contextmanager
def standing_in(delivery: Delivery, said: Callable[[ssl.SSLSocket], None]) -> Iterator[str]:
    """Run a service of somebody who stole the service's certificate, and says what he likes."""
    certificate, key = delivery.authority.issue("thief.example", server=True)
    tls = server_tls(certificate, key, delivery.authority.file)

    def serve() -> None:
        with suppress(OSError):
            raw, _ = listening.accept()
            with tls.wrap_socket(raw, server_side=True) as connection:
                connection.recv(65536)
                said(connection)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve)
        thread.start()
        yield f"https://127.0.0.1:{listening.getsockname()[1]}"
        end_listening(listening)
    thread.join(10)
    assert not thread.is_alive()


HEAD = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n"


@pytest.mark.parametrize(
    ("said", "text"),
    [
        (b"HTTP/1.1 302 Found\r\nlocation: https://elsewhere/\r\ncontent-length: 0\r\n\r\n", "302"),
        (HEAD % (MAX_BUNDLE_BYTES + 1) + bytes(MAX_BUNDLE_BYTES + 1), "more than"),
        (HEAD % 500 + b"cut short", "can't be reached"),
        (b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 100_000, "can't be reached"),
        (b"SSH-2.0-OpenSSH\r\n", "can't be reached"),
    ],
)
def test_a_service_that_says_what_it_likes(delivery: Delivery, said: bytes, text: str) -> None:
    """Redirects, floods and rubbish leave the file and the process as they are."""
    with standing_in(delivery, lambda connection: connection.sendall(said)) as url:
        source = BundleSource(url, "clinic", delivery.tls())
        with pytest.raises(FetchError, match=text):
            source.fetch(Known())
        source.close()


def test_a_bundle_that_never_ends(delivery: Delivery) -> None:
    """A byte now and then doesn't keep a gate waiting for longer than the largest bundle takes."""

    def drip(connection: ssl.SSLSocket) -> None:
        connection.sendall(HEAD % 1000)
        for _ in range(100):
            connection.sendall(b".")
            time.sleep(0.05)

    with standing_in(delivery, drip) as url:
        source = BundleSource(url, "clinic", delivery.tls(), body_seconds=0.3)
        with pytest.raises(FetchError, match=r"more than 0\.3 s"):
            source.fetch(Known())
        source.close()


def pull(delivery: Delivery, *more: str, ca: Path | None = None) -> list[str]:
    """Return the command line that a gate's machine runs."""
    certificate, key = delivery.authority.issue("edge.example")
    options = {"--url": delivery.url, "--api": "clinic", "--certificate": certificate, "--key": key}
    options |= {"--ca": ca or delivery.authority.file, "-o": delivery.output}
    options |= {"--signer": delivery.signer}
    arguments = [str(part) for option in options.items() for part in option]
    return [sys.executable, "-c", RUN, "gate", "pull", *arguments, *more]


def test_the_command_fetches_once(delivery: Delivery) -> None:
    """One call writes the file and says what is in it; another authority is an error."""
    done = subprocess.run(
        pull(delivery, "--once", "--json"), capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    told = json.loads(done.stdout)
    assert (told["api"], told["generation"]) == ("clinic", delivery.bench.published().generation)
    other = Authority(delivery.directory, "other").file
    wrong = subprocess.run(pull(delivery, ca=other), capture_output=True, text=True, check=False)
    assert wrong.returncode == 1
    assert "--ca" in wrong.stderr
    assert "Traceback" not in wrong.stderr


@contextmanager
def pulling(delivery: Delivery) -> Iterator[subprocess.Popen[str]]:
    """Run the command as an operator's init system does."""
    with subprocess.Popen(
        pull(delivery, "--json"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def told(process: subprocess.Popen[str]) -> Any:
    """Return the next line of what it says."""
    assert process.stdout is not None
    return json.loads(process.stdout.readline())["generation"]


def test_the_command_goes_on_over_kills_and_restarts(delivery: Delivery) -> None:
    """Killed at any moment it takes up where it was; a service that restarts is found again."""
    first = delivery.bench.published().generation
    with pulling(delivery) as process:
        assert told(process) == first
        process.kill()
    with pulling(delivery) as process:
        assert told(process) is None
        time.sleep(0.5)  # It waits for news by now: what ends must not be told as a fault.
        delivery.stop()
        assert process.stderr is not None
        assert "can't be reached" in process.stderr.readline()
        delivery.start_again()
        instance = delivery.do(lambda call: call.enrol(SimulatedPhone()))["instance"]
        path = f"/v1/instances/{instance}/revoke"
        delivery.do(lambda call: call.operator.post(path, json={"because": "stolen"}))
        newest = delivery.bench.published()
        generation = None
        while generation != newest.generation:
            generation = told(process)
        assert delivery.output.read_bytes() == delivery.bench.gate_path.read_bytes()
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) != 0
    left = {path.name for path in delivery.directory.iterdir() if path.name.endswith(".new")}
    assert not left


def test_a_file_that_cannot_be_written_for_a_while(delivery: Delivery) -> None:
    """A disk that is full, or a directory that isn't mounted yet, doesn't end the command."""
    delivery.place = delivery.directory / "later" / "remote.jws"
    with pulling(delivery) as process:
        assert process.stderr is not None
        assert "can't be written" in process.stderr.readline()
        delivery.place.parent.mkdir(mode=0o700)
        assert told(process) == delivery.bench.published().generation
        assert delivery.place.exists()


def test_a_signer_that_others_can_replace(delivery: Delivery) -> None:
    """The public key is believed only where nobody else can write it."""
    delivery.signer.chmod(0o664)
    done = subprocess.run(pull(delivery, "--once"), capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "got mode 0664" in done.stderr
    publish_bundle(delivery.signer, b"{}")
    with pytest.raises(GateBundleError, match="public key"):
        read_signer(delivery.signer)


def test_gates_are_let_know_that_the_service_is_there(delivery: Delivery) -> None:
    """Beside each bundle, here and there, also where nothing changes; not by a turn that failed."""
    here, there = freshness_path(delivery.bench.gate_path), freshness_path(delivery.output)
    assert here.exists()
    with delivery.follower(delivery.tls()) as follower:
        follower.turn(wait=False)
        os.utime(there, ns=(1, 1))
        assert follower.turn(wait=False) is None
        assert there.stat().st_mtime_ns > 1
        os.utime(there, ns=(1, 1))
        delivery.stop()
        with pytest.raises(FetchError):
            follower.turn(wait=False)
        assert there.stat().st_mtime_ns == 1
        delivery.start_again()
