"""Measure the real Envoy: a plain proxy beside the configuration that Watchword writes."""

import contextlib
import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.gate_instances import (
    ASKED_PATH,
    ASKED_ROUTES,
    ROUTES,
    TOKEN_PATH,
    Fleet,
    request_bytes,
)
from benchmarks.gate_load import free_port, medians, static_api
from benchmarks.gate_proxies import Costs, Proxy, started, wait_until_open
from benchmarks.gate_served import check_controls, publish, server
from benchmarks.report import Row

from watchword.engines.envoy.generation import BOOTSTRAP, generate
from watchword.engines.envoy.options import EnvoyOptions
from watchword.engines.interface import Endpoint, EngineFileKind
from watchword.gate.bundle import GateBundle

ENVOY = Path(sys.executable).with_name("envoy")
ROUNDS = 9
TOKEN_GOAL, SESSION_GOAL, DEVICE_GOAL = 1.20, 1.5, 3.3
_COUNTS = {"session": 24_000, "device": 12_000}


def _plain(port: int, upstream: int) -> dict[str, object]:
    """Return the smallest proxy."""

    def address(number: int) -> dict[str, object]:
        return {"socket_address": {"address": "127.0.0.1", "port_value": number}}

    def typed(name: str, **members: object) -> dict[str, object]:
        return {"@type": f"type.googleapis.com/envoy.extensions.filters.{name}", **members}

    manager = typed(
        "network.http_connection_manager.v3.HttpConnectionManager",
        stat_prefix="plain",
        codec_type="HTTP1",
        route_config={
            "virtual_hosts": [
                {
                    "name": "api",
                    "domains": ["*"],
                    "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "api"}}],
                }
            ]
        },
        http_filters=[
            {"name": "envoy.filters.http.router", "typed_config": typed("http.router.v3.Router")}
        ],
    )
    name = "envoy.filters.network.http_connection_manager"
    return {
        "static_resources": {
            "listeners": [
                {
                    "name": "plain",
                    "address": address(port),
                    "filter_chains": [{"filters": [{"name": name, "typed_config": manager}]}],
                }
            ],
            "clusters": [
                {
                    "name": "api",
                    "type": "STATIC",
                    "load_assignment": {
                        "cluster_name": "api",
                        "endpoints": [
                            {"lb_endpoints": [{"endpoint": {"address": address(upstream)}}]}
                        ],
                    },
                }
            ],
        }
    }


def _envoy(configuration: Path, port: int) -> contextlib.AbstractContextManager[Proxy]:
    command = [
        *(str(ENVOY), "-c", str(configuration)),
        *("--use-dynamic-base-id", "--concurrency", "1", "--log-level", "error"),
    ]
    return started(command, port, configuration.with_suffix(".log"))


@contextlib.contextmanager
def plain_proxy(directory: Path, upstream: int) -> Iterator[Proxy]:
    """Run the plain proxy."""
    port = free_port()
    configuration = directory / "plain.json"
    configuration.write_text(json.dumps(_plain(port, upstream)))
    with _envoy(configuration, port) as proxy:
        yield proxy


@contextlib.contextmanager
def protected_proxy(
    directory: Path,
    bundle: GateBundle,
    upstream: int,
    authz: int | None = None,
    change: Callable[[str, str], str] = lambda _name, content: content,
) -> Iterator[Proxy]:
    """Run Envoy over what the generator writes.

    :param change: takes each file's name and content, and returns what is written instead.
    """
    directory.mkdir()
    options = EnvoyOptions(
        directory=str(directory),
        listen=Endpoint("127.0.0.1", free_port()),
        upstream=Endpoint("127.0.0.1", upstream),
        admin=Endpoint(socket=str(directory / "admin.sock")),
        authz=None if authz is None else Endpoint("127.0.0.1", authz),
        access_log=str(directory / "access.log"),
        replay_directory=str(directory),
    )
    for file in generate(bundle, options, time.time()):
        written = directory / file.name
        written.write_text(change(file.name, file.content), "utf-8")
        written.chmod(0o600 if file.kind is EngineFileKind.PRIVATE else 0o644)
    with _envoy(directory / BOOTSTRAP, options.listen.port) as proxy:
        yield proxy


def measure(fleet: Fleet, directory: Path) -> list[Row]:
    """Return the rows."""
    costs = Costs(fleet, directory, _COUNTS)
    publish(fleet, directory)
    with (
        static_api(directory) as upstream,
        plain_proxy(directory, upstream) as plain,
        protected_proxy(directory / "alone", fleet.bundle(ROUTES), upstream) as alone,
        server("envoy", directory) as python,
        protected_proxy(
            directory / "asking", fleet.bundle(ASKED_ROUTES), upstream, python.port
        ) as asking,
    ):
        bearer = fleet.instances[0].bearer()
        wait_until_open(alone.port, request_bytes(TOKEN_PATH, bearer))
        wait_until_open(asking.port, request_bytes(ASKED_PATH, bearer))
        check_controls(alone.port, fleet)
        check_controls(asking.port, fleet)
        for at, path in ((plain, TOKEN_PATH), (alone, TOKEN_PATH), (asking, ASKED_PATH)):
            costs.of_tokens(at, path)
        costs.of_proofs(alone, "session")
        found, waited = medians(
            {
                "plain": lambda: costs.of_tokens(plain),
                "token": lambda: costs.of_tokens(alone),
                "session": lambda: costs.of_proofs(alone, "session"),
                "device": lambda: costs.of_proofs(alone, "device"),
                "asked": lambda: costs.of_tokens(asking, ASKED_PATH, python.pid),
                "plain session": lambda: costs.of_proofs(plain, "session"),
            },
            ROUNDS,
        )
    plain_cost = found["plain"]
    return [
        Row.at_most_times(
            f"Envoy: {name}, CPU us (peer: plain proxy)", found[kind], plain_cost, goal
        )
        for name, kind, goal in (
            ("token check, cached", "token", TOKEN_GOAL),
            ("session proof, exact replay", "session", SESSION_GOAL),
            ("device proof without a body, exact replay", "device", DEVICE_GOAL),
        )
    ] + [
        Row(
            "  the plain proxy with a proof's fields (peer: with the token alone)",
            found["plain session"],
            plain_cost,
        ),
        Row(
            "Envoy and /authz on uvicorn: cached token, CPU us (peer: plain proxy)",
            found["asked"],
            plain_cost,
        ),
        Row("  time that these servers waited for their core, %", waited * 100),
    ]
