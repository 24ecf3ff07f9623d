"""Rotate token keys and gate secrets under load, and count the requests that were refused for it.

    python -m scripts.rotation_under_load --seconds 60

Runs ``watchword up`` in front of a small API. Simulated phones send bodies with session and device proofs. One
renews all the time, so that a token of the newest key and epoch is used as soon as it is there; the others when
it is time, so that tokens of keys and epochs that retired long ago are used too. Every answer is counted, also
those after which the client would try again. Exit code 1 if one of them is a refusal.
"""

import argparse
import json
import random
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

import httpx

from watchword.adapters.lab_store import load_or_create
from watchword.adapters.system import SystemClock, SystemEntropy
from watchword.apps.service.client import OperatorClient
from watchword.apps.settings.load import load_settings
from watchword.apps.settings.schema import Settings
from watchword.client import ClientError, WatchwordAuth, WatchwordClient
from watchword.lab import PHONES, InstalledAndroidApp, PhoneSetup
from watchword.vocabulary import Proof

AUDIENCE = "https://api.clinic.example"
ROUTES = {Proof.SESSION: "/records/1", Proof.DEVICE: "/payments/1"}
PACE = 0.01
"""Seconds between two requests of one thread: two cores hold clients, gate and API."""

RENEWAL_SECONDS = 0.3
DIGEST = bytes(range(32))

CONFIG = """\
version: 1
environment: lab
service:
  issuer: http://127.0.0.1:{service}
  listen: 127.0.0.1:{service}
  token_lifetime: 30s
  state: state
apps:
  android: {{platform: android, package: com.example.clinic, signing_digests: [{digest}]}}
apis:
  clinic:
    audience: {audience}
    apps: [android]
    listen: 127.0.0.1:{api}
    upstream: http://127.0.0.1:{upstream}
    routes:
      - {{path: /records/**, proof: session}}
      - {{path: /payments/**, proof: device}}
"""


class Api(BaseHTTPRequestHandler):
    """Answer every POST."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        """Read the body and answer with its length."""
        body = str(len(self.rfile.read(int(self.headers["Content-Length"])))).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        """Stay quiet."""


@dataclass
class Tally:
    """Count what happened, over all threads."""

    answers: Counter[tuple[str, str]] = field(default_factory=Counter)
    renewals: int = 0
    rotations: Counter[str] = field(default_factory=Counter)
    refusals: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def served(self, proof: Proof) -> int:
        """Return how many requests with this proof were served."""
        return self.answers[proof.value, "200"]

    def report(self, seconds: float) -> str:
        """Return what is printed."""
        keys, secrets = self.rotations["tokens"], self.rotations["gates"]
        return "\n".join(
            [
                f"{seconds:.0f} s, {self.renewals} renewals of the phone that always renews",
                f"rotations: {keys} of the signing key, {secrets} of the gate secret",
                f"served with a session proof: {self.served(Proof.SESSION)}",
                f"served with a device proof:  {self.served(Proof.DEVICE)}",
                f"refused: {len(self.refusals)}, errors: {len(self.errors)}",
                *self.refusals[:5],
                *self.errors[:5],
            ]
        )


class CountingTransport(httpx.HTTPTransport):
    """Count every answer of the gate, also those after which the client tries again."""

    def __init__(self, tally: Tally, proof: Proof) -> None:
        """Count into a tally under a proof's name."""
        super().__init__()
        self._tally = tally
        self._proof = proof

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request and count its answer."""
        response = super().handle_request(request)
        with self._tally.lock:
            self._tally.answers[self._proof.value, str(response.status_code)] += 1
            if response.status_code != 200:
                refused = f"{self._proof.value} {response.status_code} {response.read().decode()}"
                self._tally.refusals.append(refused)
        return response


@dataclass
class Load:
    """Send requests from phones until told to stop; use it in a ``with`` block.

    :param phones: each sends session proofs in one thread and device proofs in another.
    :param renewal_seconds: between two renewals of the first phone; the others renew when it is time.
    """

    settings: Settings
    phones: int = 2
    renewal_seconds: float = RENEWAL_SECONDS
    tally: Tally = field(default_factory=Tally)
    clients: list[WatchwordClient] = field(default_factory=list)
    _stopping: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def __enter__(self) -> Self:
        """Enrol the phones and start."""
        authorities = load_or_create(self.settings.service.state_dir, SystemEntropy())
        app = self.settings.apps["android"]
        digests = getattr(app.identity, "signing_digests", (DIGEST,))
        for number in range(self.phones):
            phone = PHONES["genuine-android"].build(
                InstalledAndroidApp("com.example.clinic", tuple(digests), 120),
                PhoneSetup(authorities, SystemClock(), name=f"load-{number}-{random.random()}"),
            )
            client = WatchwordClient(
                self.settings.service.issuer,
                "android",
                phone,
                [AUDIENCE],
                clock=time.time,
                jitter=random.random,
            )
            client.enrol()
            self.clients.append(client)
            for proof in ROUTES:
                self._start(self._send, client, proof)
        self._start(self._renew, self.clients[0])
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the threads and close the clients."""
        self._stopping.set()
        for thread in self._threads:
            thread.join()
        for client in self.clients:
            client.close()

    def _start(self, work: Callable[..., None], *arguments: Any) -> None:
        def run() -> None:
            try:
                work(*arguments)
            except (httpx.HTTPError, ClientError) as error:
                with self.tally.lock:
                    self.tally.errors.append(f"{type(error).__name__}: {error}")

        self._threads.append(threading.Thread(target=run))
        self._threads[-1].start()

    def _send(self, client: WatchwordClient, proof: Proof) -> None:
        url = f"http://{self.settings.apis['clinic'].listen}{ROUTES[proof]}"
        auth = WatchwordAuth(client, AUDIENCE, proof=proof)
        with httpx.Client(auth=auth, transport=CountingTransport(self.tally, proof)) as http:
            while not self._stopping.wait(PACE):
                http.post(url, content=b'{"name": "Ada"}')

    def _renew(self, client: WatchwordClient) -> None:
        while not self._stopping.wait(self.renewal_seconds):
            client.renew()
            with self.tally.lock:
                self.tally.renewals += 1


@contextmanager
def deployment(directory: Path) -> Iterator[Settings]:
    """Run an API and ``watchword up`` in front of it."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Api)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    file = directory / "watchword.yaml"
    service, api = _free_ports(2)
    port = server.server_address[1]
    names = {"service": service, "api": api, "upstream": port}
    text = CONFIG.format(**names, audience=AUDIENCE, digest=DIGEST.hex())
    file.write_text(text, encoding="utf-8")
    command = [sys.executable, "-c", "from watchword.apps.cli.main import run; run()"]
    process = subprocess.Popen(
        [*command, "-c", str(file), "up", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    try:
        assert process.stdout is not None
        json.loads(process.stdout.readline())  # It says where it listens when it does.
        yield load_settings(file)
    finally:
        process.terminate()
        process.communicate()
        server.shutdown()
        server.server_close()
        thread.join()


def measure(directory: Path, seconds: float, interval: float) -> Tally:
    """Rotate both every ``interval`` seconds for so many seconds; return what was counted."""
    with ExitStack() as stack:
        settings = stack.enter_context(deployment(directory))
        load = stack.enter_context(Load(settings))
        operator = stack.enter_context(OperatorClient(settings.service.operator_socket))
        start = time.monotonic()
        for number in range(1, int(seconds / interval) + 1):
            # Not in step with the gate, which looks at its bundle twice a second.
            at = start + interval * (number - random.random() / 4)
            time.sleep(max(0.0, at - time.monotonic()))
            for purpose in ("tokens", "gates"):
                operator.post(f"/v1/keys/rotate?purpose={purpose}")
                load.tally.rotations[purpose] += 1
    return load.tally


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--interval", type=float, default=2.0, help="between two rotations")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        tally = measure(Path(directory), options.seconds, options.interval)
    print(tally.report(options.seconds))
    return 1 if tally.refusals or tally.errors else 0


if __name__ == "__main__":
    sys.exit(main())
