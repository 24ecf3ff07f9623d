"""Measure the other engines: a plain proxy of each beside the configuration that Watchword writes."""

import contextlib
import json
import shlex
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

from benchmarks.gate_instances import (
    ASKED_PATH,
    ASKED_ROUTES,
    ROUTES,
    TOKEN_PATH,
    Fleet,
    request_bytes,
)
from benchmarks.gate_load import Sample, free_port, medians, static_api
from benchmarks.gate_proxies import Costs, Proxy, started, wait_until_open
from benchmarks.gate_served import publish, server_at
from benchmarks.report import Row

from watchword.apps.engines.follower import write_files
from watchword.engines.interface import Endpoint, EngineOptions
from watchword.engines.registry import ENGINES
from watchword.gate.bundle import GateBundle

ROUNDS: Final = 7
NGINX_GOALS: Final = {"token": 1.4, "session": 2.2}
HAPROXY_GOALS: Final = {"token": 1.8, "session": 2.7}
CADDY_GOAL: Final = 1.1
_COUNTS: Final = {"session": 40_000, "device": 14_000}
_NEW_TABLE_SECONDS: Final = 4.0

_NGINX: Final = """
worker_processes 1; daemon off; pid {directory}/nginx.pid; error_log {directory}/nginx.log;
events {{ worker_connections 1024; }}
http {{
  access_log off; keepalive_requests 1000000000; keepalive_timeout 600s;
  client_body_temp_path {directory}; proxy_temp_path {directory}; fastcgi_temp_path {directory};
  uwsgi_temp_path {directory}; scgi_temp_path {directory};
  upstream api {{ server 127.0.0.1:{upstream}; keepalive 64; keepalive_requests 1000000000; }}
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass http://api; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_set_header Host $http_host;
    }}
  }}
}}
"""
_HAPROXY: Final = """
global
  nbthread 1
defaults
  mode http
  timeout client 60s
  timeout server 60s
  timeout connect 5s
  http-reuse always
frontend plain
  bind 127.0.0.1:{port}
  default_backend api
backend api
  server api 127.0.0.1:{upstream}
"""


@contextlib.contextmanager
def _plain(name: str, directory: Path, upstream: int) -> Iterator[Proxy]:
    """Run the smallest proxy of an engine."""
    directory.mkdir()
    port, written = free_port(), directory / f"{name}.conf"
    text = _NGINX if name == "nginx" else _HAPROXY
    written.write_text(text.format(directory=directory, port=port, upstream=upstream))
    option = "-c" if name == "nginx" else "-f"
    with started([name, option, str(written)], port, directory / "out.log") as proxy:
        yield proxy


def _for_one_core(content: str) -> str:
    """Return a file for one worker; HAProxy needn't wait either until no proof can have been used before it."""
    content = content.replace("worker_processes auto", "worker_processes 1")
    return content.replace("proofs cold\n", "proofs ready\n")


@contextlib.contextmanager
def _generated(
    name: str, directory: Path, bundle: GateBundle, upstream: int, authz: str | None = None
) -> Iterator[Proxy]:
    """Run an engine over what its generator writes."""
    directory.mkdir(mode=0o700)
    options = EngineOptions(
        directory=str(directory),
        listen=Endpoint("127.0.0.1", free_port()),
        upstream=Endpoint("127.0.0.1", upstream),
        authz=None if authz is None else Endpoint(socket=authz),
        access_log=str(directory / "access.log"),
        replay_directory=str(directory),
    )
    engine = ENGINES[name]
    assert engine.generate is not None
    assert engine.start is not None
    # One worker on the one core, as the plain proxy has.
    files = [
        replace(file, content=_for_one_core(file.content))
        for file in engine.generate(bundle, options, time.time())
    ]
    write_files(directory, files)
    # The log goes where the process writes; the shell's own way of saying so isn't for it.
    command = shlex.split(engine.start(options).partition(">>")[0])
    with started(command, options.listen.port, directory / "out.log") as proxy:
        yield proxy


def measure(fleet: Fleet, directory: Path) -> list[Row]:
    """Return the rows of every engine."""
    publish(fleet, directory)
    with static_api(directory) as upstream:
        return [
            *_native("nginx", fleet, directory, upstream, NGINX_GOALS, ("session", "device")),
            *_native("haproxy", fleet, directory, upstream, HAPROXY_GOALS, ("session",)),
            *_caddy(fleet, directory, upstream),
        ]


def _native(
    name: str,
    fleet: Fleet,
    directory: Path,
    upstream: int,
    goals: dict[str, float],
    kinds: tuple[str, ...],
) -> list[Row]:
    """Return the rows of an engine that judges by itself."""
    costs = Costs(fleet, directory, _COUNTS)
    bundle = fleet.bundle(tuple(each for each in ROUTES if each.proof.value in ("bearer", *kinds)))
    with (
        _plain(name, directory / f"{name}-plain", upstream) as plain,
        _generated(name, directory / f"{name}-gate", bundle, upstream) as gate,
    ):
        wait_until_open(gate.port, request_bytes(TOKEN_PATH, fleet.instances[0].bearer()))
        costs.of_tokens(plain)
        costs.of_tokens(gate)
        # A table of used proofs that is new refuses those that may have been used before it.
        time.sleep(_NEW_TABLE_SECONDS)
        measures = {
            "plain": lambda: costs.of_tokens(plain),
            "token": lambda: costs.of_tokens(gate),
        }
        for kind in kinds:
            costs.of_proofs(gate, kind)
            measures[f"plain {kind}"] = lambda kind=kind: costs.of_proofs(plain, kind)  # type: ignore[misc]
            measures[kind] = lambda kind=kind: costs.of_proofs(gate, kind)  # type: ignore[misc]
        found, waited = medians(measures, ROUNDS)
    rows = []
    for kind, what in (
        ("token", "token check, cached"),
        ("session", "session proof, exact replay"),
        ("device", "device proof without a body, exact replay"),
    ):
        if kind not in found:
            continue
        measure_name = f"{name}: {what}, CPU us (peer: plain proxy)"
        goal = goals.get(kind)
        ours, peer = found[kind], found["plain"]
        rows.append(
            Row(measure_name, ours, peer)
            if goal is None
            else Row.at_most_times(measure_name, ours, peer, goal)
        )
    rows.append(Row("  time that these servers waited for their core, %", waited * 100))
    return rows


def bare_forward_auth(port: int, upstream: int, socket: Path, *, kept: bool) -> dict[str, object]:
    """Return the smallest Caddy that asks somebody about each request.

    :param kept: whether it keeps connections to whom it asks, as it does by itself.  Under load it then sends
        some questions to the API (docs/engines/caddy.md), so that what Watchword writes keeps none.
    """
    told = {
        "X-Forwarded-Method": ["{http.request.method}"],
        "X-Forwarded-Uri": ["{http.request.uri}"],
    }
    asked: dict[str, object] = {
        "handler": "reverse_proxy",
        "rewrite": {"method": "GET", "uri": "/authz"},
        "headers": {"request": {"set": told}},
        "handle_response": [
            {"match": {"status_code": [2]}, "routes": [{"handle": [{"handler": "headers"}]}]}
        ],
        "upstreams": [{"dial": f"unix/{socket}"}],
    }
    if not kept:
        asked["transport"] = {"protocol": "http", "keep_alive": {"enabled": False}}
    api = {"handler": "reverse_proxy", "upstreams": [{"dial": f"127.0.0.1:{upstream}"}]}
    plain = {
        "listen": [f"127.0.0.1:{port}"],
        "automatic_https": {"disable": True},
        "routes": [{"handle": [asked, api]}],
    }
    return {"admin": {"disabled": True}, "apps": {"http": {"servers": {"plain": plain}}}}


@contextlib.contextmanager
def _bare_caddy(directory: Path, upstream: int, socket: Path, *, kept: bool) -> Iterator[Proxy]:
    directory.mkdir()
    port, written = free_port(), directory / "caddy.json"
    written.write_text(json.dumps(bare_forward_auth(port, upstream, socket, kept=kept)))
    command = ["caddy", "run", "--config", str(written)]
    with started(command, port, directory / "out.log") as proxy:
        yield proxy


def _caddy(fleet: Fleet, directory: Path, upstream: int) -> list[Row]:
    """Return the row of Caddy: the same question asked of ours and of a server that says yes to everything."""
    costs = Costs(fleet, directory, _COUNTS)
    asked = request_bytes(ASKED_PATH, fleet.instances[0].bearer())
    bundle = fleet.bundle(ASKED_ROUTES)
    ours, theirs = directory / "ours.sock", directory / "bare.sock"
    with (
        server_at("forwarded", directory, ours) as python,
        server_at("open", directory, theirs) as yes,
        _bare_caddy(directory / "caddy-bare", upstream, theirs, kept=False) as bare,
        _bare_caddy(directory / "caddy-kept", upstream, theirs, kept=True) as unsafe,
        _generated("caddy", directory / "caddy-gate", bundle, upstream, str(ours)) as gate,
    ):
        wait_until_open(gate.port, asked)
        wait_until_open(bare.port, asked)

        def cost(at: Proxy, answering: int) -> Sample:
            return costs.of_tokens(at, ASKED_PATH, answering)

        cost(gate, python)
        cost(bare, yes)
        found, waited = medians(
            {
                "ours": lambda: cost(gate, python),
                "bare": lambda: cost(bare, yes),
                "unsafe": lambda: cost(unsafe, yes),
            },
            ROUNDS,
        )
    return [
        Row.at_most_times(
            "caddy and /authz on uvicorn: cached token, CPU us (peer: caddy's bare forward auth)",
            found["ours"],
            found["bare"],
            CADDY_GOAL,
        ),
        Row(
            "  the same (peer: bare forward auth with kept connections, which sends questions to the API)",
            found["ours"],
            found["unsafe"],
        ),
        Row("  time that these servers waited for their core, %", waited * 100),
    ]
