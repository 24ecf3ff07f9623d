"""Measure the WSGI middleware on gunicorn and granian: the same small application open and guarded."""

import contextlib
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.gate_instances import (
    SESSION_PATH,
    TOKEN_PATH,
    USUAL_FIELDS,
    Fleet,
    request_bytes,
)
from benchmarks.gate_load import (
    SERVER_CORE,
    Load,
    Sample,
    family,
    free_port,
    medians,
    running,
    status_of,
    wait_for,
)
from benchmarks.gate_served import check_controls, publish
from benchmarks.report import Row
from granian import Granian
from granian.constants import Interfaces

from watchword.adapters.gate_bundle import GateBundleFile
from watchword.adapters.replay import MemoryReplayStore
from watchword.apps.middleware import WatchwordWsgiMiddleware
from watchword.gate.service import Gate

ROUNDS = 7
TOKEN_GOAL = 1.3
SERVERS = ("gunicorn", "granian")
_SESSIONS = 9_000
_GUNICORN = Path(sys.executable).with_name("gunicorn")

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


def application(_environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Answer like the smallest API."""
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]


def guarded(directory: str) -> Application:
    """Return the application behind the middleware, with the gate as it is deployed."""
    place = Path(directory)
    state = GateBundleFile(place / "bundle.jws", place / "signer.jwk")
    return WatchwordWsgiMiddleware(application, gate=Gate(state, memory=MemoryReplayStore()))


def _command(server: str, role: str, directory: Path, port: int) -> list[str]:
    if server == "granian":
        words = [role, str(directory), str(port)]
        return [sys.executable, "-m", "benchmarks.gate_wsgi", *words]
    named = "application" if role == "open" else f"guarded({str(directory)!r})"
    options = ["--worker-class", "gthread", "--threads", "4", "--log-level", "error"]
    return [
        *(str(_GUNICORN), "--bind", f"127.0.0.1:{port}", "--keep-alive", "60", *options),
        f"benchmarks.gate_wsgi:{named}",
    ]


@contextlib.contextmanager
def _served(server: str, role: str, directory: Path) -> Iterator[tuple[int, list[int]]]:
    """Run a server on the measured core; give its port and its processes."""
    port = free_port()
    log = directory / f"{server}-{role}.log"
    with running(SERVER_CORE, _command(server, role, directory, port), log) as process:
        wait_for(port)
        # It listens before its worker has made the application.
        status_of(port, request_bytes(TOKEN_PATH, USUAL_FIELDS))
        yield port, family(process.pid)


def measure(fleet: Fleet, directory: Path) -> list[Row]:
    """Return the rows of each server."""
    publish(fleet, directory)
    return [row for server in SERVERS for row in _measure(server, fleet, directory)]


def _measure(server: str, fleet: Fleet, directory: Path) -> list[Row]:
    load = Load(directory)
    tokens = [request_bytes(TOKEN_PATH, each.bearer()) for each in fleet.instances]

    def with_token(at: tuple[int, list[int]]) -> Sample:
        return load.cost(*at, tokens, circle=True)

    def with_session(at: tuple[int, list[int]]) -> Sample:
        proofs = [request_bytes(SESSION_PATH, f) for f in fleet.proofs("session", _SESSIONS)]
        return load.cost(*at, proofs, circle=False)

    with (
        _served(server, "open", directory) as plain,
        _served(server, "guarded", directory) as gate,
    ):
        check_controls(gate[0], fleet)
        with_token(plain)
        with_token(gate)
        found, _ = medians(
            {
                "open": lambda: with_token(plain),
                "token": lambda: with_token(gate),
                "open session": lambda: with_session(plain),
                "session": lambda: with_session(gate),
            },
            ROUNDS,
        )
    name = f"WSGI on {server}"
    return [
        Row.at_most_times(
            f"{name}: cached token, CPU us (peer: open)", found["token"], found["open"], TOKEN_GOAL
        ),
        Row(f"{name}: session proof, CPU us (peer: open)", found["session"], found["open session"]),
    ]


def main() -> None:
    """Be granian's WSGI server, one worker."""
    role, directory, port = sys.argv[1:]
    app = application if role == "open" else guarded(directory)
    Granian(
        "benchmarks.gate_wsgi",
        address="127.0.0.1",
        port=int(port),
        interface=Interfaces.WSGI,
        log_enabled=False,
    ).serve(target_loader=lambda *_: app)


if __name__ == "__main__":
    main()
