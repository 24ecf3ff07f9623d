"""Start an enforcement point of any version on a gate's machine, and ask it without a break."""

import http.client
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from tests.ports import free_port
from tests.system.bundles.machines import (
    PATIENCE_SECONDS,
    REFUSED,
    GateMachine,
    configuration,
    until,
)
from tests.system.bundles.releases import Release
from tests.unit.conformance.processes import listens

_ASGI: Final = """
import sys
import uvicorn
from watchword.apps.gateway import WatchwordMiddleware, gate_from

async def app(scope, receive, send):
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

guarded = WatchwordMiddleware(app, gate=gate_from(sys.argv[1], api="clinic"))
uvicorn.run(guarded, host="127.0.0.1", port=int(sys.argv[2]), lifespan="off", log_level="error")
"""
_CREDENTIAL: Final = "0123456789abcdef" * 4
_CONNECTION_HOLDS: Final = 20
"""So many requests a loader sends on one connection: an engine's workers share connections, not requests."""

_SERVED: Final = 200
_IN_A_ROW: Final = 24
"""So many new connections must be refused one after the other until every worker of an engine is taken to know."""


@dataclass
class Point:
    """Hold a running enforcement point: its name, where it listens, and what a request carries beside the token."""

    name: str
    port: int
    headers: Mapping[str, str] = field(default_factory=dict)
    path: str = "/records"

    def client(self) -> "Client":
        """Return a connection to it."""
        return Client(self)

    def once(self, token: str) -> int:
        """Return the status of one request on a connection of its own."""
        client = self.client()
        try:
            return client.status(token)
        finally:
            client.close()

    def serves(self, token: str) -> bool:
        """Tell whether a request on a connection of its own is served."""
        return self.once(token) == _SERVED

    def refuses(self, token: str) -> bool:
        """Tell whether each of its workers refuses, as far as new connections find them."""
        return all(self.once(token) in REFUSED for _ in range(_IN_A_ROW))


class Client:
    """Hold one connection; where the server closed it, a request is sent on another one."""

    def __init__(self, point: Point) -> None:
        """Connect at the first request."""
        self._point = point
        self._connection = http.client.HTTPConnection(
            "127.0.0.1", point.port, timeout=PATIENCE_SECONDS
        )

    def status(self, token: str) -> int:
        """Send one request, and return its answer's status; 0 where there is none twice."""
        headers = {"Watchword-Token": token, **self._point.headers}
        for _ in range(2):
            try:
                self._connection.request("GET", self._point.path, headers=headers)
                answer = self._connection.getresponse()
                answer.read()
            except (http.client.HTTPException, OSError):
                self._connection.close()
            else:
                return answer.status
        return 0

    def close(self) -> None:
        """End the connection."""
        self._connection.close()


def start_points(machine: GateMachine, release: Release) -> list[Point]:
    """Start each kind of enforcement point with a version's code, and wait until all of them listen."""
    points = [
        *(_engine(machine, release, name) for name in ("nginx", "haproxy", "envoy")),
        _asgi(machine, release),
        _authz(machine, release),
    ]
    for point in points:
        until(partial(listens, point.port), partial(machine.said, point.name))
    return points


def _engine(machine: GateMachine, release: Release, engine: str) -> Point:
    name, port = f"{engine}-{release.version}", free_port()
    place = machine.directory / name
    words = ["envoy"] if engine == "envoy" else ["follow", "--engine", engine]
    words += ["-o", str(place), "--listen", f"127.0.0.1:{port}", "--run"]
    words += ["--access-log", str(machine.directory / f"{name}.access")]
    machine.start(name, lambda log: release.start(machine.file, "gate", *words, output=log))
    return Point(name, port)


def _asgi(machine: GateMachine, release: Release) -> Point:
    name, port = f"asgi-{release.version}", free_port()
    words = ("-c", _ASGI, str(machine.file), str(port))
    machine.start(name, lambda log: release.run_python(*words, output=log))
    return Point(name, port)


def _authz(machine: GateMachine, release: Release) -> Point:
    name, port = f"authz-{release.version}", free_port()
    credential = machine.directory / "credential"
    credential.write_text(_CREDENTIAL, "utf-8")
    credential.chmod(0o600)
    file = machine.directory / f"{name}.yaml"
    more = f'authz: {{style: original, listen: "127.0.0.1:{port}", credential: {credential}}}'
    file.write_text(configuration(machine.state, machine.service.upstream, more=more), "utf-8")
    machine.start(name, lambda log: release.start(file, "gate", "authz", "clinic", output=log))
    headers = {
        "Watchword-Authz": _CREDENTIAL,
        "X-Original-Method": "GET",
        "X-Original-URI": "/records",
        "X-Original-Host": "clinic.example",
    }
    return Point(name, port, headers, "/authz")


class Load:
    """Send a genuine instance's requests to each point without a break, and count what comes back."""

    def __init__(self, points: Sequence[Point], token: Callable[[], str]) -> None:
        """Take the points.

        :param token: returns the token that a request sends; asked each time, since it is renewed meanwhile.
        """
        self.counted = {point.name: Counter[int]() for point in points}
        self._points = points
        self._token = token
        self._done = threading.Event()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Send until the block ends."""
        threads = [threading.Thread(target=self._send, args=(point,)) for point in self._points]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._done.set()
            for thread in threads:
                thread.join()

    def goes_on(self, requests: int = 20) -> None:
        """Wait until each point was asked so many times more."""
        before = {name: counted.total() for name, counted in self.counted.items()}
        until(
            lambda: all(
                counted.total() >= before[name] + requests for name, counted in self.counted.items()
            ),
            lambda: f"nobody answers: {self.counted}",
        )

    def _send(self, point: Point) -> None:
        while not self._done.is_set():
            client = point.client()
            for _ in range(_CONNECTION_HOLDS):
                self.counted[point.name][client.status(self._token())] += 1
                if self._done.wait(0.02):
                    break
            client.close()
