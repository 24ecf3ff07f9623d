"""Start each mouth of the gate for real, and run the corpus against it."""

import asyncio
import contextlib
import functools
import http.client
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Final

from tests.engines.envoy.stand import ENVOY, free_port

from watchword.adapters.clock import SystemClock
from watchword.adapters.entropy import SystemEntropy
from watchword.apps.conformance.capabilities import Capabilities, load_capabilities
from watchword.apps.conformance.corpus import Case, load_corpus
from watchword.apps.conformance.deployment import (
    BUNDLE_FILE,
    load,
    make_deployment,
    publish,
    save,
)
from watchword.apps.conformance.runner import Row
from watchword.apps.conformance.runs import run
from watchword.apps.conformance.upstream import Upstream
from watchword.engines.envoy.generation import BOOTSTRAP, generate
from watchword.engines.envoy.options import EnvoyOptions
from watchword.engines.interface import EngineFileKind
from watchword.engines.places import Endpoint
from watchword.gate.bundle import from_jws
from watchword.vocabulary import ReplayMode

ROOT: Final = Path(__file__).parents[2]
NGINX_PAGE: Final = ROOT / "docs" / "forward-auth.md"
GUNICORN: Final = Path(sys.executable).with_name("gunicorn")
PATIENCE_SECONDS: Final = 15.0


def deployed(directory: Path, replay: ReplayMode = ReplayMode.LOCAL, *without: str) -> Path:
    """Write a deployment into a directory."""
    made = make_deployment(SystemEntropy(), SystemClock().timestamp(), replay, frozenset(without))
    save(made, directory)
    publish(made, load_corpus(), directory)
    return directory


@dataclass
class Mouth:
    """Hold a running mouth.

    :ivar gate: the process that decides, to be killed.
    """

    port: int
    gate: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        """Return where it listens."""
        return f"http://127.0.0.1:{self.port}"


Start = Callable[[Path, str, Path | None], contextlib.AbstractContextManager[Mouth]]
"""Runs a mouth: the deployment's directory, the API's URL, the file of used proofs that gates share."""


@contextlib.contextmanager
def _process(*words: str) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """Run tests/conformance/mouth.py; it is killed at the end, as kill -9 does."""
    command = [sys.executable, "-m", "tests.conformance.mouth", *words]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, "the mouth ended before it listened"
        yield process, int(line)
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


@contextlib.contextmanager
def _python(
    kind: str, server: str, directory: Path, upstream: str, store: Path | None
) -> Iterator[Mouth]:
    with _process(kind, server, str(directory), upstream, *_given(store)) as (process, port):
        yield Mouth(port, process)


@contextlib.contextmanager
def _wsgi(server: str, directory: Path, upstream: str, store: Path | None) -> Iterator[Mouth]:
    """Run a WSGI server with the middleware; its workers end with it."""
    port = free_port()
    words = (str(directory), upstream, *_given(store))
    command = [sys.executable, "-m", "tests.conformance.wsgi_mouth", str(port), *words]
    if server == "gunicorn":
        named = f"tests.conformance.wsgi_mouth:guarded{(*words, None)[:3]!r}"
        options = ["--worker-class", "gthread", "--threads", "8", "--log-level", "error"]
        command = [str(GUNICORN), "--bind", f"127.0.0.1:{port}", *options, named]
    process = subprocess.Popen(command, cwd=ROOT, start_new_session=True)
    try:
        deadline = SystemClock().timestamp() + PATIENCE_SECONDS
        while not _listens(port):
            assert process.poll() is None, "the server ended before it listened"
            assert SystemClock().timestamp() < deadline, "the server doesn't listen"
            time.sleep(0.02)
        # It listens before its workers have made the application, and with it the file of used proofs.
        asked = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_SECONDS)
        asked.request("GET", "/")
        asked.getresponse()
        asked.close()
        yield Mouth(port, process)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _given(store: Path | None) -> list[str]:
    return [] if store is None else [str(store)]


@contextlib.contextmanager
def authz(style: str, directory: Path, store: Path | None) -> Iterator[subprocess.Popen[bytes]]:
    """Answer questions at ``authz.sock`` of the directory."""
    socket_path = str(directory / "authz.sock")
    with _process("authz", style, str(directory), socket_path, *_given(store)) as (process, _):
        yield process


@contextlib.contextmanager
def _envoy(directory: Path, upstream: str, store: Path | None) -> Iterator[Mouth]:
    """Run Envoy with four workers, and /authz beside it."""
    bundle = from_jws(
        (directory / BUNDLE_FILE).read_bytes(), load(directory).keys["bundle"].verification_key()
    )
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
        yield from _served([*command, "--concurrency", "4"], directory, options.listen.port)


@contextlib.contextmanager
def _nginx(directory: Path, upstream: str, store: Path | None) -> Iterator[Mouth]:
    """Run nginx with the block of the page, and /authz beside it; to kill is what decides."""
    port = free_port()
    block = nginx_block()
    for word, value in (
        ("SOCKET", str(directory / "authz.sock")),
        ("API", upstream.removeprefix("http://")),
        ("PORT", str(port)),
    ):
        block = re.sub(rf"\b{word}\b", value, block)
    # The socket is for this user alone, and nginx's workers change to another one.
    user = "user root;\n" if os.geteuid() == 0 else ""
    written = directory / "nginx.conf"
    temporary = "".join(
        f"{kind}_temp_path {directory}/{kind};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    written.write_text(
        f"{user}daemon off;\nworker_processes 2;\npid {directory}/nginx.pid;\n"
        f"error_log {directory}/nginx.log;\nevents {{}}\n"
        f"http {{\naccess_log off;\n{temporary}{block}}}\n"
    )
    command = [nginx_binary(), "-c", str(written), "-e", str(directory / "nginx.log")]
    with authz("original", directory, store) as gate:
        for mouth in _served(command, directory, port):
            yield Mouth(mouth.port, gate)


def _served(command: Sequence[str], directory: Path, port: int) -> Iterator[Mouth]:
    """Run a server until the caller is done; wait until it listens."""
    with (directory / "server.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
    try:
        deadline = SystemClock().timestamp() + PATIENCE_SECONDS
        while not _listens(port):
            said = (directory / "server.log").read_text("utf-8", "replace")[-3000:]
            assert process.poll() is None, said
            assert SystemClock().timestamp() < deadline, said
            time.sleep(0.02)
        yield Mouth(port, process)
    finally:
        # nginx's workers outlive a master that is killed.
        process.terminate() if command[0].endswith("nginx") else process.kill()
        process.wait()


def _listens(port: int) -> bool:
    # An empty connection shows it without taking a place in anybody's log of requests.
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def nginx_block() -> str:
    """Return the server block as the page shows it."""
    found = re.search(r"```nginx\n(.*?)```", NGINX_PAGE.read_text("utf-8"), re.DOTALL)
    assert found is not None
    return found[1]


def nginx_binary() -> str:
    """Return where nginx is."""
    found = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
    assert found is not None, "nginx isn't installed: apt-get install nginx-light"
    return found


MOUTHS: Final[Mapping[str, Start]] = {
    "asgi-uvicorn-h11": functools.partial(_python, "middleware", "uvicorn-h11"),
    "asgi-uvicorn-httptools": functools.partial(_python, "middleware", "uvicorn-httptools"),
    "asgi-granian": functools.partial(_python, "middleware", "granian"),
    "wsgi-gunicorn": functools.partial(_wsgi, "gunicorn"),
    "wsgi-granian": functools.partial(_wsgi, "granian"),
    "proxy": functools.partial(_python, "proxy", "granian"),
    "nginx": _nginx,
    "envoy": _envoy,
}
"""Each mouth by the name under which it declares its differences."""


def versions(name: str) -> str:
    """Return the version of what a mouth consists of, as it says itself."""
    if name == "nginx":
        said = subprocess.run([nginx_binary(), "-v"], check=True, capture_output=True).stderr
        return said.decode().strip().partition("nginx/")[2].split()[0]
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
    """Start a mouth, and return what the corpus says of it."""
    declared = load_capabilities()[name] if capabilities is None else capabilities

    async def main() -> list[Row]:
        async with behind() as upstream:
            with MOUTHS[name](directory, upstream, store) as mouth:
                return await run(directory, mouth.url, upstream, declared, cases=cases)

    return asyncio.run(main())
