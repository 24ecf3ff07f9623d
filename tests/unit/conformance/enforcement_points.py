"""Start each enforcement point of the gate for real, and run the corpus against it."""

import asyncio
import contextlib
import functools
import http.client
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Final

from tests.ports import free_port
from tests.unit.conformance.processes import (
    PATIENCE_SECONDS,
    ROOT,
    EnforcementPoint,
    Family,
    authz,
    given,
    listens,
    own_process,
    published,
    served,
)
from tests.unit.conformance.traefik_point import traefik, traefik_binary
from tests.unit.engines.envoy.rig import ENVOY

from watchword.adapters.system import SystemClock, SystemEntropy
from watchword.apps.engines.follower import write_files
from watchword.apps.engines.haproxy import find_haproxy
from watchword.engines import nginx
from watchword.engines.envoy.generation import BOOTSTRAP, generate
from watchword.engines.envoy.options import EnvoyOptions
from watchword.engines.haproxy import generation as haproxy
from watchword.engines.haproxy import text as haproxy_names
from watchword.engines.interface import Endpoint, EngineFileKind, EngineOptions
from watchword.engines.registry import ENGINES
from watchword.vocabulary import Mode, Proof, ReplayMode
from watchword_conformance.corpus import Capabilities, Case, load_capabilities, load_corpus
from watchword_conformance.deployment import (
    make_deployment,
    publish,
    save,
)
from watchword_conformance.runner import Row, run
from watchword_conformance.upstream import Upstream

GUNICORN: Final = Path(sys.executable).with_name("gunicorn")


def deployed(directory: Path, replay: ReplayMode = ReplayMode.LOCAL, *without: str) -> Path:
    """Write a deployment into a directory."""
    made = make_deployment(SystemEntropy(), SystemClock().timestamp(), replay, frozenset(without))
    save(made, directory)
    publish(made, load_corpus(), directory)
    return directory


Start = Callable[[Path, str, Path | None], contextlib.AbstractContextManager[EnforcementPoint]]
"""Runs an enforcement point: the deployment's directory, the API's URL, the file of used proofs that gates share."""


@contextlib.contextmanager
def _python(
    kind: str, server: str, directory: Path, upstream: str, store: Path | None
) -> Iterator[EnforcementPoint]:
    with own_process(kind, server, str(directory), upstream, *given(store)) as (process, port):
        yield EnforcementPoint(port, process)


@contextlib.contextmanager
def _wsgi(
    server: str, directory: Path, upstream: str, store: Path | None
) -> Iterator[EnforcementPoint]:
    """Run a WSGI server with the middleware; its workers end with it."""
    port = free_port()
    words = (str(directory), upstream, *given(store))
    command = [sys.executable, "-m", "tests.unit.conformance.wsgi_point", str(port), *words]
    if server == "gunicorn":
        named = f"tests.unit.conformance.wsgi_point:guarded{(*words, None)[:3]!r}"
        options = ["--worker-class", "gthread", "--threads", "8", "--log-level", "error"]
        command = [str(GUNICORN), "--bind", f"127.0.0.1:{port}", *options, named]
    process = subprocess.Popen(command, cwd=ROOT, start_new_session=True)
    try:
        deadline = SystemClock().timestamp() + PATIENCE_SECONDS
        while not listens(port):
            assert process.poll() is None, "the server ended before it listened"
            assert SystemClock().timestamp() < deadline, "the server doesn't listen"
            time.sleep(0.02)
        # It listens before its workers have made the application, and with it the file of used proofs.
        asked = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_SECONDS)
        asked.request("GET", "/")
        asked.getresponse()
        asked.close()
        yield EnforcementPoint(port, process)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@contextlib.contextmanager
def _envoy(directory: Path, upstream: str, store: Path | None) -> Iterator[EnforcementPoint]:
    """Run Envoy with four workers, and /authz beside it; the corpus has tokens that let a device sign for a session."""
    bundle = published(directory)
    bundle = replace(bundle, policy=replace(bundle.policy, device_for_session=True))
    host, _, port = upstream.removeprefix("http://").partition(":")
    options = EnvoyOptions(
        directory=str(directory),
        listen=Endpoint("127.0.0.1", free_port()),
        upstream=Endpoint(host, int(port)),
        admin=Endpoint(socket=str(directory / "admin.sock")),
        authz=Endpoint(socket=str(directory / "authz.sock")),
        access_log=str(directory / "access.log"),
        replay_directory=str(directory),
    )
    for file in generate(bundle, options, SystemClock().timestamp()):
        path = directory / file.name
        path.write_text(file.content, "utf-8")
        path.chmod(0o600 if file.kind is EngineFileKind.PRIVATE else 0o644)
    command = [str(ENVOY), "-c", options.path(BOOTSTRAP), "--use-dynamic-base-id"]
    with authz("envoy", directory, store):
        yield from served([*command, "--concurrency", "4"], directory, options.listen.port)


@contextlib.contextmanager
def _asking(
    name: str,
    command: Callable[[EngineOptions], Sequence[str]],
    directory: Path,
    upstream: str,
    store: Path | None,
) -> Iterator[EnforcementPoint]:
    """Run an engine that asks /authz about every request, and /authz beside it; to kill is what decides."""
    options = generated(name, directory, upstream)
    with authz(ENGINES[name].asks, directory, store) as gate:
        for point in served(command(options), directory, options.listen.port):
            yield EnforcementPoint(point.port, gate)


def generated(name: str, directory: Path, upstream: str) -> EngineOptions:
    """Write the configuration of an engine beside its deployment, as `watchword gate config` does."""
    bundle = published(directory)
    host, _, port = upstream.removeprefix("http://").partition(":")
    options = EngineOptions(
        directory=str(directory),
        listen=Endpoint("127.0.0.1", free_port()),
        upstream=Endpoint(host, int(port)),
        authz=Endpoint(socket=str(directory / "authz.sock")),
        access_log=str(directory / "access.log"),
    )
    make = ENGINES[name].generate
    assert make is not None
    write_files(directory, make(bundle, options, SystemClock().timestamp()))
    return options


@contextlib.contextmanager
def _nginx(directory: Path, upstream: str, store: Path | None) -> Iterator[EnforcementPoint]:
    """Run nginx with four workers that decide by themselves, on the rows that they can hold."""
    bundle = published(directory)
    routes = [route for route in bundle.policy.routes if route.mode is not Mode.CANARY]
    bundle = replace(bundle, policy=replace(bundle.policy, routes=tuple(routes)))
    host, _, port = upstream.removeprefix("http://").partition(":")
    options = EngineOptions(
        directory=str(directory),
        listen=Endpoint("127.0.0.1", free_port()),
        upstream=Endpoint(host, int(port)),
        access_log=str(directory / "access.log"),
        replay_directory=str(directory),
    )
    now = SystemClock().timestamp()
    write_files(directory, nginx.generate(bundle, options, now))
    written = Path(options.path("nginx.conf"))
    text = written.read_text("utf-8")
    written.write_text(text.replace("worker_processes auto;", "worker_processes 4;"))
    command = [nginx_binary(), "-c", str(written), "-e", options.path("error.log")]
    yield from served(command, directory, options.listen.port, Family)


@contextlib.contextmanager
def _haproxy(directory: Path, upstream: str, store: Path | None) -> Iterator[EnforcementPoint]:
    """Run HAProxy with four threads, on the rows that it can hold.

    The first process of a directory knows of all used proofs that there are none; a later one is what is left
    after a crash, and takes none until all that its predecessor may have taken have ended.
    """
    first = not (directory / haproxy_names.CONFIG).exists()
    bundle = published(directory)
    routes = [
        route
        for route in bundle.policy.routes
        if route.proof is not Proof.DEVICE and route.mode is not Mode.CANARY
    ]
    bundle = replace(bundle, policy=replace(bundle.policy, routes=tuple(routes)))
    host, _, port = upstream.removeprefix("http://").partition(":")
    options = EngineOptions(
        directory=str(directory),
        listen=Endpoint("127.0.0.1", free_port()),
        upstream=Endpoint(host, int(port)),
    )
    write_files(directory, haproxy.generate(bundle, options, SystemClock().timestamp()))
    if first:
        state = Path(options.path(haproxy_names.STATE))
        text = state.read_text("utf-8").replace(haproxy_names.COLD, haproxy_names.READY)
        state.write_text(text, "utf-8")
    threads = directory / "threads.cfg"
    threads.write_text("global\n    nbthread 4\n", "utf-8")
    config = options.path(haproxy_names.CONFIG)
    command = [haproxy_binary(), "-db", "-f", str(threads), "-f", config]
    yield from served(command, directory, options.listen.port)


def haproxy_binary() -> str:
    """Return where HAProxy is."""
    found = find_haproxy(None)
    assert found is not None, "haproxy isn't installed: apt-get install haproxy"
    return str(found)


def caddy_command(options: EngineOptions) -> Sequence[str]:
    """Return the command that starts Caddy with its files."""
    found = shutil.which("caddy")
    assert found is not None, "caddy isn't installed: apt-get install caddy"
    return [found, "run", "--config", options.path("caddy.json")]


def nginx_command(options: EngineOptions) -> Sequence[str]:
    """Return the command that starts nginx with its files."""
    return [nginx_binary(), "-c", options.path("nginx.conf"), "-e", "stderr"]


def nginx_binary() -> str:
    """Return where nginx is."""
    found = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
    assert found is not None, "nginx isn't installed: apt-get install nginx-light"
    return found


ENFORCEMENT_POINTS: Final[Mapping[str, Start]] = {
    "asgi-uvicorn-h11": functools.partial(_python, "middleware", "uvicorn-h11"),
    "asgi-uvicorn-httptools": functools.partial(_python, "middleware", "uvicorn-httptools"),
    "asgi-granian": functools.partial(_python, "middleware", "granian"),
    "wsgi-gunicorn": functools.partial(_wsgi, "gunicorn"),
    "wsgi-granian": functools.partial(_wsgi, "granian"),
    "proxy": functools.partial(_python, "proxy", "granian"),
    "caddy": functools.partial(_asking, "caddy", caddy_command),
    "haproxy": _haproxy,
    "nginx": _nginx,
    "nginx-authz": functools.partial(_asking, "nginx-authz", nginx_command),
    "traefik": traefik,
    "envoy": _envoy,
}
"""Each enforcement point by the name under which it declares its differences."""


def versions(name: str) -> str:
    """Return the version of what an enforcement point consists of, as it says itself."""
    if name.startswith("nginx"):
        said = subprocess.run([nginx_binary(), "-v"], check=True, capture_output=True).stderr
        return said.decode().strip().partition("nginx/")[2].split()[0]
    if name == "haproxy":
        said = subprocess.run([haproxy_binary(), "-v"], check=True, capture_output=True).stdout
        return said.decode().split()[2].partition("-")[0]
    if name == "caddy":
        said = subprocess.run(["caddy", "version"], check=True, capture_output=True).stdout
        return said.decode().split()[0].lstrip("v")
    if name == "traefik":
        said = subprocess.run([traefik_binary(), "version"], check=True, capture_output=True).stdout
        return said.decode().split()[1]
    if name == "envoy":
        said = subprocess.run([str(ENVOY), "--version"], check=True, capture_output=True).stdout
        found = re.search(rb"/(\d+\.\d+\.\d+)/", said)
        assert found is not None
        return found[1].decode()
    if name.startswith("asgi-uvicorn-"):
        parser = name.removeprefix("asgi-uvicorn-")
        return f"uvicorn {version('uvicorn')}, {parser} {version(parser)}"
    if name == "wsgi-gunicorn":
        return f"gunicorn {version('gunicorn')}"
    return f"granian {version('granian')}"


@contextlib.asynccontextmanager
async def behind() -> AsyncIterator[str]:
    """Run the API behind the gate; give its URL."""
    async with Upstream().listening() as api:
        yield f"http://127.0.0.1:{api.port}"


def corpus_rows(
    name: str,
    directory: Path,
    cases: Sequence[Case] | None = None,
    *,
    capabilities: Capabilities | None = None,
    store: Path | None = None,
) -> list[Row]:
    """Start an enforcement point, and return what the corpus says of it."""
    declared = load_capabilities()[name] if capabilities is None else capabilities

    async def main() -> list[Row]:
        async with behind() as upstream:
            with ENFORCEMENT_POINTS[name](directory, upstream, store) as point:
                return await run(directory, point.url, upstream, declared, cases=cases)

    return asyncio.run(main())
