"""Put the demo's clinic behind each enforcement point of the gate: the proxy, a middleware of its own, Envoy."""

import asyncio
import contextlib
import logging
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import structlog
import uvicorn
from tests.ports import free_port
from tests.unit.engines.envoy.followers import following
from tests.unit.engines.envoy.rig import until

from watchword.apps.demo.stage import Stage
from watchword.apps.gateway import WatchwordMiddleware, gate_from
from watchword.apps.service.client import OperatorClient
from watchword.apps.settings.schema import Settings
from watchword.vocabulary import Mode

REFUSED = 401


class AuthzStage(Stage):
    """Write a file in which Envoy may ask about what it can't decide, and tokens are bound to a header."""

    __slots__ = ()

    def write(self, mode: Mode) -> Path:
        """Write ``watchword.yaml`` with a place to ask and a header to bind to."""
        file = Stage.write(self, mode)
        more = "    authz: {style: envoy}\n    binding_header: X-Session\n"
        text = file.read_text("utf-8").replace("    rate:", f"{more}    rate:", 1)
        text = text.replace("headers: {", "headers: {x-session: of-one-user, ", 1)
        # Envoy searches no answers.
        text = text.replace(
            "        private: true", "        private: true\n        reflects: never", 1
        )
        file.write_text(text, "utf-8")
        return file


def plant_decoy(settings: Settings) -> None:
    """Plant a canary key once, as whoever wants to be told of thieves does."""
    with OperatorClient(settings.service.operator_socket) as operator:
        if not operator.get("/v1/canaries")["canaries"]:
            operator.post("/v1/canaries", {"name": "old-key", "like": "generic"})


@dataclass(slots=True)
class Theatre:
    """Hold a stage and the loop that it runs in."""

    stage: Stage
    loop: asyncio.AbstractEventLoop

    def deploy(self, mode: Mode) -> None:
        """Put every route into this mode."""
        asyncio.run_coroutine_threadsafe(self.stage.deploy(mode), self.loop).result(30)
        plant_decoy(self.stage.settings)


@contextlib.contextmanager
def theatre(directory: Path, kind: type[Stage] = Stage) -> Iterator[Theatre]:
    """Open the demo's stage in a loop of its own; nothing is deployed yet."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        stage = kind.in_directory(directory)
        asyncio.run_coroutine_threadsafe(stage.set_up(), loop).result(30)
        try:
            yield Theatre(stage, loop)
        finally:
            # A test that failed leaves no open socket to the next one, which would fail for it.
            asyncio.run_coroutine_threadsafe(stage.tear_down(), loop).result(30)
    finally:
        asyncio.run_coroutine_threadsafe(_at_rest(), loop).result(30)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
        structlog.reset_defaults()


async def _at_rest() -> None:
    """End what still runs in the loop: what is pending when it closes is told of in whichever test comes next."""
    left = asyncio.all_tasks() - {asyncio.current_task()}
    for each in left:
        each.cancel()
    await asyncio.gather(*left, return_exceptions=True)


@contextlib.contextmanager
def middleware(place: Theatre) -> Iterator[str]:
    """Serve the clinic in uvicorn, with the gate in its own process; return its URL."""
    file = place.stage.directory / "watchword.yaml"
    guarded = WatchwordMiddleware(place.stage.clinic, gate=gate_from(file, api="clinic"))
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(guarded, port=port, http="h11", log_level="critical"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        until(lambda: server.started, 15)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()


@contextlib.contextmanager
def envoy(place: Theatre) -> Iterator[str]:
    """Run a real Envoy by generated configuration in front of the clinic; return its URL."""
    directory = place.stage.directory
    port = free_port()
    with following(
        directory / "watchword.yaml", directory / "envoy", port, "--api", "clinic"
    ) as edge:
        until(lambda: _status(edge.port) in {200, REFUSED}, 20)
        yield f"http://127.0.0.1:{port}"


def _status(port: int) -> int:
    with contextlib.suppress(httpx.HTTPError, subprocess.SubprocessError):
        return httpx.get(f"http://127.0.0.1:{port}/v1/patients/7").status_code
    return 0
