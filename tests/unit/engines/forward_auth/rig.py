"""Start an engine that asks /authz, in front of an API that remembers what reached it."""

import contextlib
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, derive_private_key
from tests.ports import free_port
from tests.unit.conformance.processes import authz, authz_over_tls, served
from tests.unit.conformance.traefik_point import certificates, traefik_binary, wait_for_routes
from tests.unit.engines.envoy.rig import Answer, Api, Fronted, bundle_of, route, until

from watchword.adapters.gate_bundle import GateBundleFile, publish_bundle
from watchword.adapters.keyring.private_file import write_private
from watchword.adapters.system import SystemClock
from watchword.apps.engines.follower import EngineFollower, write_files
from watchword.apps.engines.nginx import NginxAuthz
from watchword.engines import traefik
from watchword.engines.interface import Endpoint, EngineOptions
from watchword.engines.registry import ENGINES
from watchword.gate.bundle import GateBundle, signer_to_json, to_jws
from watchword.tokens.jose import SigningKey
from watchword.vocabulary import Level, Mode, Proof
from watchword_conformance.deployment import BUNDLE_FILE, SIGNER_FILE

SERVICE = SigningKey(derive_private_key(43, SECP256R1()))
ROUTES = (
    route("/open/**", mode=Mode.OFF),
    route("/proved/**", proof=Proof.SESSION),
    route("/strong/**", level=Level.HARDWARE),
    route("/v1/**"),
)


@dataclass
class Rig(Fronted):
    """Hold what runs."""

    options: EngineOptions
    directory: Path
    asked: subprocess.Popen[bytes] = field(repr=False)

    def publish(self, bundle: GateBundle) -> None:
        """Publish a bundle as the service does."""
        publish_bundle(self.directory / BUNDLE_FILE, to_jws(bundle, SERVICE))

    def send(self, target: bytes = b"/v1/patients", *fields: bytes, **how: Any) -> Answer:
        """Send one request that ends its connection."""
        return super().send(target, *fields, b"Connection: close", **how)

    def stop_authz(self) -> None:
        """End what answers the engine's questions."""
        self.asked.kill()
        self.asked.wait()


@contextlib.contextmanager
def _placed(name: str, bundle: GateBundle, upstream: int | None) -> Iterator[Rig]:
    """Publish a bundle and run /authz, in memory; the engine's files go into a directory below."""
    with tempfile.TemporaryDirectory(dir="/dev/shm", prefix="ww") as made:
        directory, api = Path(made), Api()
        engine = directory / "engine"
        write_private(directory / SIGNER_FILE, signer_to_json(SERVICE.verification_key()))
        publish_bundle(directory / BUNDLE_FILE, to_jws(bundle, SERVICE))
        with _asked(name, directory, engine) as (asked, place):
            options = EngineOptions(
                directory=str(engine),
                listen=Endpoint("127.0.0.1", free_port()),
                upstream=Endpoint("127.0.0.1", api.port if upstream is None else upstream),
                authz=place,
                access_log=str(directory / "access.log"),
            )
            yield Rig(options, api, directory, asked)
        api.shutdown()
        api.server_close()


@contextlib.contextmanager
def _asked(
    name: str, directory: Path, engine: Path
) -> Iterator[tuple[subprocess.Popen[bytes], Endpoint]]:
    """Run /authz where the engine asks it: at a Unix socket, or over mutual TLS with certificates beside its files."""
    asks = ENGINES[name].asks
    if ENGINES[name].over_tls:
        engine.mkdir(mode=0o700)
        with authz_over_tls(asks, directory, None, certificates(engine)) as (asked, port):
            yield asked, Endpoint("127.0.0.1", port)
    else:
        with authz(asks, directory, None) as asked:
            yield asked, Endpoint(socket=str(directory / "authz.sock"))


@dataclass
class NginxStand(Rig):
    """Hold an nginx with what keeps it up to date."""

    running: NginxAuthz | None = None
    told: list[str] = field(default_factory=list)

    def follower(self) -> EngineFollower:
        """Return what follows the bundle; nobody runs it but the test."""
        assert self.running is not None
        source = GateBundleFile(self.directory / BUNDLE_FILE, SERVICE.verification_key())
        engine, now = ENGINES["nginx-authz"], SystemClock().timestamp
        return EngineFollower(source, engine, self.options, self.running, now, self.told.append)


@contextlib.contextmanager
def nginx_before_api(
    bundle: GateBundle | None = None, upstream: int | None = None
) -> Iterator[NginxStand]:
    """Run nginx with what it is given for a bundle."""
    with _placed("nginx-authz", bundle or bundle_of(ROUTES), upstream) as placed:
        rig = NginxStand(placed.options, placed.api, placed.directory, placed.asked)
        rig.running = NginxAuthz(rig.options, None, True, rig.told.append)
        assert rig.follower().step(), rig.told
        rig.running.keep_running()
        try:
            until(rig.listens)
            yield rig
        finally:
            rig.running.stop()


@contextlib.contextmanager
def caddy_before_api(
    bundle: GateBundle | None = None, upstream: int | None = None
) -> Iterator[Rig]:
    """Run Caddy with what it is given for a bundle."""
    first = bundle or bundle_of(ROUTES)
    with _placed("caddy", first, upstream) as rig:
        make = ENGINES["caddy"].generate
        assert make is not None
        write_files(Path(rig.options.directory), make(first, rig.options, 0))
        found = shutil.which("caddy")
        assert found is not None, "caddy isn't installed: apt-get install caddy"
        command = [found, "run", "--config", rig.options.path("caddy.json")]
        with (rig.directory / "caddy.log").open("wb") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            until(rig.listens)
            yield rig
        finally:
            process.kill()
            process.wait()


@contextlib.contextmanager
def traefik_before_api(
    bundle: GateBundle | None = None, upstream: int | None = None
) -> Iterator[Rig]:
    """Run Traefik with what it is given for a bundle, and /authz over mutual TLS."""
    first = bundle or bundle_of([each for each in ROUTES if each.proof is Proof.BEARER])
    with _placed("traefik", first, upstream) as rig:
        write_files(Path(rig.options.directory), traefik.generate(first, rig.options, 0))
        command = [traefik_binary(), f"--configFile={rig.options.path(traefik.START)}"]
        for point in served(command, rig.directory, rig.options.listen.port):
            wait_for_routes(point.port)
            yield rig


def options(**changes: Any) -> EngineOptions:
    """Return places that nobody looks at."""
    return replace(
        EngineOptions(
            directory="/etc/watchword/engine",
            listen=Endpoint("127.0.0.1", 8080),
            upstream=Endpoint("api.example", 8000),
            authz=Endpoint(socket="/run/watchword/authz.sock"),
        ),
        **changes,
    )
