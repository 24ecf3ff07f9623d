"""Measure the WSGI middleware on gunicorn and granian: the same small application open and guarded.

Beside both stands a control: the open application, which first counts in Python for as long as the middleware takes
in a loop of its own.  What that adds is what the server makes of any work in Python, whosever it is.
"""

import contextlib
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.gate_instances import (
    SESSION_PATH,
    TOKEN_PATH,
    USUAL_FIELDS,
    Fields,
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
from watchword.apps.gateway import WatchwordWsgiMiddleware
from watchword.gate.service import Gate

ROUNDS = 7
TOKEN_GOAL = 1.3
SERVERS = ("gunicorn", "granian")
_SESSIONS = 9_000
_LOOPS = 15
_COUNTED = 500
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


def busy(rounds: int) -> Application:
    """Return the application, which counts to a number with each request."""

    def counting(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        _count(rounds)
        return application(environ, start_response)

    return counting


def _count(rounds: int) -> None:
    for _ in range(rounds):
        pass


def _in_a_loop(fleet: Fleet, directory: Path) -> tuple[float, int]:
    """Return what the middleware adds to a request in a loop of nothing else, in us, and how far to count for that.

    Both are taken in turn, and the median of what they are to each other counts: the machine's pace drops out.
    """
    app = guarded(str(directory))
    environs = [_environ(each.bearer()) for each in fleet.instances]
    times, rates = [], []
    for turn in range(_LOOPS + 1):
        open_, added, counted = (
            _time_of(call, environs) for call in (application, app, busy(_COUNTED))
        )
        if turn:
            times.append(added - open_)
            rates.append((added - open_) / (counted - open_))
    return statistics.median(times), round(statistics.median(rates) * _COUNTED)


def _time_of(app: Application, environs: Sequence[dict[str, Any]]) -> float:
    """Return the processor time of one call, in us."""
    statuses: list[str] = []
    before = time.thread_time_ns()
    for environ in environs:
        app(environ, lambda status, _: statuses.append(status))
    spent = time.thread_time_ns() - before
    if set(statuses) != {"200 OK"}:
        raise SystemExit("the middleware refused a request of the benchmark")
    return spent / len(environs) / 1000


def _environ(fields: Fields) -> dict[str, Any]:
    """Return a request as granian hands it over, with the environment of its process."""
    return {
        **os.environ,
        "SCRIPT_NAME": "",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REQUEST_METHOD": "GET",
        "PATH_INFO": TOKEN_PATH,
        "QUERY_STRING": "",
        "REMOTE_ADDR": "127.0.0.1",
        "wsgi.url_scheme": "http",
        "wsgi.input_terminated": True,
        **{f"HTTP_{name.upper().replace('-', '_')}": value for name, value in fields},
    }


def _command(server: str, role: str, directory: Path, port: int) -> list[str]:
    if server == "granian":
        words = [role, str(directory), str(port)]
        return [sys.executable, "-m", "benchmarks.gate_wsgi", *words]
    names = {"open": "application", "guarded": f"guarded({str(directory)!r})"}
    named = names.get(role, f"busy({role})")
    options = ["--worker-class", "gthread", "--threads", "4", "--log-level", "error"]
    return [
        *(str(_GUNICORN), "--bind", f"127.0.0.1:{port}", "--keep-alive", "60", *options),
        f"benchmarks.gate_wsgi:{named}",
    ]


@contextlib.contextmanager
def _served(server: str, role: str, directory: Path) -> Iterator[tuple[int, list[int]]]:
    """Run a server on the measured core; give its port and its processes.

    :param role: ``open``, ``guarded``, or to what number to count.
    """
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
    alone, rounds = _in_a_loop(fleet, directory)
    return [
        Row("WSGI middleware in a loop of its own: cached token, CPU us", alone),
        *(row for server in SERVERS for row in _measure(server, fleet, directory, rounds)),
    ]


def _measure(server: str, fleet: Fleet, directory: Path, rounds: int) -> list[Row]:
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
        _served(server, str(rounds), directory) as control,
    ):
        check_controls(gate[0], fleet)
        with_token(plain)
        with_token(gate)
        with_token(control)
        found, _ = medians(
            {
                "open": lambda: with_token(plain),
                "token": lambda: with_token(gate),
                "control": lambda: with_token(control),
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
        Row(
            f"{name}: as much Python in the open app instead, CPU us (peer: open)",
            found["control"],
            found["open"],
        ),
        Row(f"{name}: session proof, CPU us (peer: open)", found["session"], found["open session"]),
    ]


def main() -> None:
    """Be granian's WSGI server, one worker."""
    role, directory, port = sys.argv[1:]
    if role.isdecimal():
        app = busy(int(role))
    else:
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
