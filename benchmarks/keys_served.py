"""Measure what an injected key costs a request: beside the plain proxy in front of the same API, over the same TLS.

One server (uvicorn, uvloop, httptools) has the gate and both forwarders of the product: the plain one for one path, the one that
injects for others.  The API behind both is one nginx that speaks TLS and answers ``ok``.
"""

import contextlib
import os
import socket
import ssl
import statistics
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from benchmarks.gate_instances import Fleet, request_bytes
from benchmarks.gate_load import (
    LOAD_CORE,
    PATIENCE,
    SERVER_CORE,
    Load,
    Sample,
    free_port,
    medians,
    running,
    status_of,
    wait_for,
)
from benchmarks.gate_served import Served, listen
from benchmarks.report import Row

from watchword.adapters.gate_bundle import GateBundleFile
from watchword.adapters.replay import MemoryReplayStore
from watchword.adapters.system import SystemClock
from watchword.adapters.usage import HostUsageLedger
from watchword.apps.gateway import WatchwordMiddleware
from watchword.apps.gateway.proxy import Injector, ProxyApp
from watchword.broker.interface import (
    Allowance,
    EdgeRule,
    InjectedValue,
    Place,
    PlaceKind,
    SecretValue,
)
from watchword.encoding import strict_json
from watchword.gate.bundle import to_jws
from watchword.gate.interface import Route
from watchword.gate.service import Gate
from watchword.lab.channel_authorities import ChannelAuthorities
from watchword.tokens.jose import jwk_from_public_key
from watchword.vocabulary import Level, Mode, Proof

UPSTREAM = "localhost"
PLAIN, INJECTED, COUNTED = "/plain/v1/17", "/lent/v1/17", "/counted/v1/17"
GOAL = 1.3
ROUNDS = 9
_ONE_BY_ONE = 400
_AUTHORITIES = ChannelAuthorities(b"watchword keys benchmark")

_NGINX = """
worker_processes 1; daemon off; pid {directory}/tls.pid; error_log {directory}/tls.log;
events {{ worker_connections 1024; }}
http {{
  access_log off; keepalive_requests 1000000000; keepalive_timeout 600s;
  client_body_temp_path {directory}; proxy_temp_path {directory}; fastcgi_temp_path {directory};
  uwsgi_temp_path {directory}; scgi_temp_path {directory};
  server {{
    listen 127.0.0.1:{port} ssl; ssl_certificate {pem}; ssl_certificate_key {pem};
    location / {{ return 200 "ok"; }}
  }}
}}
"""


@contextlib.contextmanager
def third_party(directory: Path) -> Iterator[int]:
    """Run the API behind TLS; its authority is ``ca.pem`` in the directory."""
    port, pem = free_port(), directory / "third.pem"
    pem.write_bytes(_AUTHORITIES.web.server("third", [UPSTREAM]).pem)
    (directory / "ca.pem").write_bytes(_AUTHORITIES.web.root_pem)
    configuration = directory / "tls.conf"
    configuration.write_text(_NGINX.format(directory=directory, port=port, pem=pem))
    command = ["nginx", "-p", str(directory), "-c", str(configuration)]
    with running(LOAD_CORE, command, directory / "tls.out"):
        wait_for(port)
        yield port


def _route(name: str, secret: str | None = None) -> Route:
    proof, mode = Proof.BEARER, Mode.ENFORCE
    pattern = f"/{name}/**"
    return Route(name, pattern, frozenset(), Level.HARDWARE, proof, mode, secret=secret)


def publish(fleet: Fleet, directory: Path, port: int) -> None:
    """Write the bundle of a gate that injects two keys to the same origin: one with a quota, one without."""
    routes = (
        _route("plain"),
        _route("lent", "lent"),
        _route("counted", "counted"),
    )
    edges = {
        name: EdgeRule(
            secret=name,
            host=UPSTREAM,
            port=port,
            patterns=("/v1/**",),
            methods=frozenset({"GET"}),
            place=Place(PlaceKind.HEADER, "authorization", "Bearer "),
            allowances=allowances,
            ca=(directory / "ca.pem").read_text(),
            private=True,
        )
        for name, allowances in (("lent", ()), ("counted", (Allowance(86_400, calls=10**9),)))
    }
    bundle = fleet.bundle(routes)
    value = InjectedValue(1, SecretValue("AIzaSyTheKeyOfAMapServiceOfFortySigns000"))
    bundle = replace(
        bundle, policy=replace(bundle.policy, edges=edges), injected=dict.fromkeys(edges, value)
    )
    file, signer = directory / "keys.jws", directory / "keys-signer.jwk"
    file.write_bytes(to_jws(bundle, fleet.bundle_signer))
    file.chmod(0o600)
    signer.write_bytes(strict_json.dumps(dict(jwk_from_public_key(fleet.bundle_signer.public))))
    signer.chmod(0o644)


def serve(directory: Path, port: int, behind: int) -> None:
    """Be the proxy with its gate."""
    state, clock = (
        GateBundleFile(directory / "keys.jws", directory / "keys-signer.jwk"),
        SystemClock(),
    )
    injector = Injector(state, HostUsageLedger(directory / "usage.sqlite"), clock)
    # The plain proxy believes the system's authorities; here that is the benchmark's own.
    os.environ["SSL_CERT_FILE"] = str(directory / "ca.pem")
    assert ssl.get_default_verify_paths().cafile == str(directory / "ca.pem")
    proxy = ProxyApp(f"https://{UPSTREAM}:{behind}", injector=injector)
    gate = Gate(state, memory=MemoryReplayStore())
    listen(WatchwordMiddleware(proxy, gate=gate, injects=True), str(port))


@contextlib.contextmanager
def server(directory: Path, behind: int) -> Iterator[Served]:
    """Run it on the measured core until the block ends."""
    port = free_port()
    command = [
        sys.executable,
        "-m",
        "benchmarks.keys_served",
        str(directory),
        str(port),
        str(behind),
    ]
    with running(SERVER_CORE, command, directory / "keys.log") as process:
        wait_for(port)
        yield Served(port, process.pid)


def one_by_one(port: int, requests: dict[str, bytes]) -> dict[str, float]:
    """Return the median of what a request takes in us, each over a connection of its own, in turn."""
    took: dict[str, list[float]] = {name: [] for name in requests}
    with contextlib.ExitStack() as stack:
        connections = {
            name: stack.enter_context(socket.create_connection(("127.0.0.1", port), PATIENCE))
            for name in requests
        }
        for number in range(_ONE_BY_ONE + _ONE_BY_ONE // 10):
            for name, request in requests.items():
                started = time.perf_counter()
                connections[name].sendall(request)
                answer = connections[name].recv(65536)
                while not answer.endswith(b"ok"):
                    answer += connections[name].recv(65536)
                if number >= _ONE_BY_ONE // 10:  # What comes before warms up.
                    took[name].append((time.perf_counter() - started) * 1e6)
    return {name: statistics.median(each) for name, each in took.items()}


def measure(fleet: Fleet, directory: Path) -> list[Row]:
    """Return the rows."""
    load = Load(directory)
    with third_party(directory) as behind:
        publish(fleet, directory, behind)
        with server(directory, behind) as proxy:

            def costs(path: str) -> Sample:
                requests = [request_bytes(path, each.bearer()) for each in fleet.instances]
                return load.cost(proxy.port, [proxy.pid], requests, circle=True)

            first = fleet.instances[0].bearer()
            for path in (PLAIN, INJECTED, COUNTED):
                got = status_of(proxy.port, request_bytes(path, first))
                if got != 200:
                    raise SystemExit(f"{path}: got {got}, expected 200")
            unlisted = status_of(proxy.port, request_bytes("/lent/v2/17", first))
            if unlisted != 403:
                raise SystemExit(f"an unlisted path: got {unlisted}, expected 403")
            found, waited = medians(
                {path: lambda path=path: costs(path) for path in (PLAIN, INJECTED, COUNTED)},  # type: ignore[misc]
                ROUNDS,
            )
            took = one_by_one(
                proxy.port,
                {path: request_bytes(path, first) for path in (PLAIN, INJECTED, COUNTED)},
            )
    return [
        Row.at_most_times(
            "a key added at the edge, CPU us (peer: plain proxy)",
            found[INJECTED],
            found[PLAIN],
            GOAL,
        ),
        Row.at_most_times(
            "the same with a quota in this machine's file, CPU us (peer: plain proxy)",
            found[COUNTED],
            found[PLAIN],
            GOAL,
        ),
        Row.at_most_times(
            "a key added, one request after the other, us (peer: plain proxy)",
            took[INJECTED],
            took[PLAIN],
            GOAL,
        ),
        Row.at_most_times(
            "the same with a quota, us (peer: plain proxy)", took[COUNTED], took[PLAIN], GOAL
        ),
        Row("  time that the server waited for its core, %", waited * 100),
    ]


if __name__ == "__main__":
    serve(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
