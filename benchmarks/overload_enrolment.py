"""Offer a whole deployment more enrolments than it takes: iPhones with App Attest, each with a key and a challenge of its own.

``watchword up`` as it is deployed: settings, SQLite with synchronous writes, the audit trail, the operator's socket.  Phones and
evidence are made before, since making them costs more than verifying them.  A phone that was turned away comes again.
"""

import contextlib
import json
import multiprocessing
import os
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
from benchmarks.gate_load import SERVER_CORE, free_port, pinned

from watchword.adapters.lab_store import load_or_create
from watchword.adapters.system import SystemClock, SystemEntropy
from watchword.client.statement import binding_of, build_statement
from watchword.encoding import base64url
from watchword.lab import PHONES, InstalledIosApp, LabAuthorities, PhoneSetup
from watchword.vocabulary import Purpose

AUDIENCE: Final = "https://api.clinic.example"
TEAM, BUNDLE = "A1B2C3D4E5", "com.example.clinic"
APP: Final = "ios"

_CONFIG = """\
version: 1
environment: lab
service:
  issuer: http://127.0.0.1:{service}
  listen: 127.0.0.1:{service}
  state: state
  enrolments: {{app: {{requests: 1000000, per: 1s}}}}
{more}apps:
  ios: {{platform: ios, team_id: {team}, bundle_id: {bundle}}}
apis:
  clinic:
    audience: {audience}
    apps: [ios]
    routes:
      - {{path: /**}}
"""


@dataclass
class Deployment:
    """Hold a running ``watchword up``."""

    port: int
    process: subprocess.Popen[Any]
    authorities: LabAuthorities


@contextlib.contextmanager
def deployment(directory: Path, core: int = SERVER_CORE, more: str = "") -> Iterator[Deployment]:
    """Run the service on a core until the block ends.

    :param more: lines that stand under ``service``, each with its line feed.
    """
    port, file = free_port(), directory / "watchword.yaml"
    words = {"team": TEAM, "bundle": BUNDLE, "audience": AUDIENCE, "more": more}
    file.write_text(_CONFIG.format(service=port, **words))
    command = [sys.executable, "-c", "from watchword.apps.cli.main import run; run()"]
    with (directory / "up.log").open("w") as log, pinned(core):
        process = subprocess.Popen(
            [*command, "-c", str(file), "up", "--json"],
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise SystemExit(f"the service didn't start:\n{(directory / 'up.log').read_text()}")
        json.loads(line)  # It says where it listens when it does.
        authorities = load_or_create(directory / "state", SystemEntropy())
        yield Deployment(port, process, authorities)
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class Phones:
    """Give each phone's enrolment once, and again where it was turned away."""

    def __init__(self, bodies: Sequence[bytes]) -> None:
        """Begin with phones of which none has enrolled."""
        self._requests = list(bodies)
        self._ready = deque(range(len(bodies)))
        self.enrolled = 0

    def take(self) -> tuple[int, bytes]:
        """Return the next phone's request."""
        if not self._ready:
            raise SystemExit("too few phones were made for this machine: give more with --phones")
        number = self._ready.popleft()
        return number, self._requests[number]

    def done(self, number: int, status: int) -> None:
        """Have those that were turned away or got no answer come again; some of the latter learn that they had enrolled."""
        if status in {0, 429, 503}:
            self._ready.append(number)
        elif status == 201:
            self.enrolled += 1
            self._requests[number] = b""


def phones(deployed: Deployment, count: int) -> Phones:
    """Make phones and their requests, on all cores."""
    challenges = _challenges(deployed.port, count)
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, range(os.cpu_count() or 1))
    try:
        with multiprocessing.get_context("fork").Pool() as pool:
            jobs = [
                (deployed.port, deployed.authorities, number, challenge)
                for number, challenge in enumerate(challenges)
            ]
            return Phones(pool.map(_request, jobs, chunksize=50))
    finally:
        os.sched_setaffinity(0, cores)


def _challenges(port: int, count: int) -> list[str]:
    body = {"app": APP, "purpose": Purpose.ENROL.value}
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as http:
        return [http.post("/v1/challenges", json=body).json()["challenge"] for _ in range(count)]


def _request(job: tuple[int, LabAuthorities, int, str]) -> bytes:
    """Return one phone's request as it goes over the wire."""
    port, authorities, number, challenge = job
    setup = PhoneSetup(authorities, SystemClock(), name=f"overload-{number}-{time.time_ns()}")
    phone = PHONES["genuine-iphone"].build(InstalledIosApp(TEAM, BUNDLE), setup)
    phone.create_keys()
    statement = build_statement(
        purpose=Purpose.ENROL,
        issuer=f"http://127.0.0.1:{port}",
        audiences=(AUDIENCE,),
        app=APP,
        challenge=challenge,
        proof_jwk=phone.proof_jwk,
        seal_jwk=phone.seal_jwk,
    )
    document = {
        "statement": base64url.encode(statement),
        "evidence": phone.attest(binding_of(statement)),
    }
    return post(port, "/v1/attestations", json.dumps(document).encode())


def post(port: int, path: str, body: bytes) -> bytes:
    """Return a POST of JSON as it goes over the wire."""
    head = (
        f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\nuser-agent: clinic/1.2 (iPhone)\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def get(port: int, path: str) -> bytes:
    """Return a GET as it goes over the wire."""
    return f"GET {path} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\n\r\n".encode()
