"""Run several ``watchword up`` over one PostgreSQL, each as a machine of its own, and be the load balancer before them."""

import http.client
import itertools
import json
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

import httpx
import psycopg
from tests.machine import patience
from tests.ports import free_port
from tests.system.adapters.postgres.servers import UNSYNCED, Postgres, postgres
from tests.system.bundles.machines import AUDIENCE, Machine, short_directory, until
from tests.system.bundles.points import Point
from tests.system.bundles.releases import TODAY
from tests.unit.apps.service_process import upstream

from watchword.adapters.lab_store import StoredPhone
from watchword.adapters.postgres.address import PostgresAddress
from watchword.adapters.system import SystemClock
from watchword.apps.lab.phones import authorities_of, build_phone, new_phone
from watchword.apps.service.client import OperatorClient
from watchword.apps.settings.load import load_settings
from watchword.client import WatchwordClient
from watchword.lab import Phone

COUNTED: Final = "rkp-android"
"""A phone whose evidence names its device, of which the policy allows one instance a day."""

NAMES: Final = ("node-a", "node-b", "node-c")
_SHARED: Final = ("keyring.json", "lab/seed")
"""What each node needs of the first one's: the key ring, and in a lab its vendors."""

_CONFIGURATION: Final = """\
version: 1
environment: lab
service:
  issuer: {issuer}
  listen: 127.0.0.1:{service}
  state: {state}
  store: {store}
  postgres: {{node: {name}}}
policy: {{base: balanced, with: [{{device_velocity: {{most: 1}}}}]}}
apps:
  clinic-android:
    platform: android
    package: com.example.clinic
    signing_digests: ['{digest}']
apis:
  clinic:
    audience: {audience}
    apps: [clinic-android]
    listen: 127.0.0.1:{listen}
    upstream: http://127.0.0.1:{upstream}
    routes:
      - {{path: /**, level: software, proof: bearer, mode: {mode}}}
"""


class Node(Machine):
    """Be one node's machine: a service, and a gate in front of the API."""

    def __init__(self, cluster: "Cluster", name: str, mode: str = "enforce") -> None:
        """Write its configuration; nothing runs yet."""
        directory = cluster.directory / name
        directory.mkdir(mode=0o700)
        super().__init__(directory)
        self.name = name
        self.release = TODAY
        self.service, self.listen = free_port(), free_port()
        self.file = directory / "watchword.yaml"
        self._cluster = cluster
        self.write(mode)
        self.settings = load_settings(self.file)
        self.state = self.settings.service.state_dir
        self.point = Point(name, self.listen)

    def write(self, mode: str) -> None:
        """Write its configuration with another mode of the one route."""
        address = self._cluster.address
        (host, port), *_ = address.hosts
        place = f"{host.replace('/', '%2F')}:{port}"
        self.file.write_text(
            _CONFIGURATION.format(
                issuer=self._cluster.issuer,
                service=self.service,
                state=self.directory / "state",
                store=f"postgresql://{address.user}@{place}/{address.database}",
                name=self.name,
                digest="4f" * 32,
                audience=AUDIENCE,
                listen=self.listen,
                upstream=self._cluster.upstream,
                mode=mode,
            ),
            "utf-8",
        )

    def up(self) -> None:
        """Start it, and wait until it takes requests."""
        self.begin()
        until(self.is_ready, partial(self.said, "up"))

    def begin(self) -> None:
        """Start it."""
        self.start("up", lambda log: self.release.start(self.file, "up", "--json", output=log))

    def again(self) -> None:
        """Start it as it was, and wait until it takes requests."""
        self.start_again("up")
        until(self.is_ready, partial(self.said, "up"))

    def readiness(self) -> dict[str, Any]:
        """Return what it tells a load balancer, nothing where it doesn't answer."""
        way = http.client.HTTPConnection("127.0.0.1", self.service, timeout=patience(10))
        try:
            way.request("GET", "/readyz")
            return dict(json.loads(way.getresponse().read()))
        except (OSError, http.client.HTTPException):
            return {}
        finally:
            way.close()

    def is_ready(self) -> bool:
        """Tell whether it takes requests."""
        assert self.running["up"].poll() is None, self.said("up")
        return self.readiness().get("ready") is True

    def send(self, number: int) -> None:
        """Send it a signal."""
        self.running["up"].send_signal(number)

    def revoke(self, instance: str) -> None:
        """Revoke an instance as an operator of this node does."""
        with OperatorClient(self.settings.service.operator_socket) as operator:
            operator.post(f"/v1/instances/{instance}/revoke", {"because": "phone stolen"})


class Balancer(httpx.BaseTransport):
    """Send each request to the next node that takes it, whatever was sent where before."""

    def __init__(self, nodes: Sequence[Node]) -> None:
        """Take the nodes in turn."""
        self._turns = itertools.cycle(nodes)
        self._most = len(nodes)
        self._http = httpx.HTTPTransport()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Try each node once."""
        for left in range(self._most, 0, -1):
            request.url = request.url.copy_with(port=next(self._turns).service)
            try:
                return self._http.handle_request(request)
            except httpx.ConnectError:
                if left == 1:
                    raise
        raise AssertionError

    def close(self) -> None:
        """End the connections."""
        self._http.close()


class Race(httpx.BaseTransport):
    """Send each attestation to all nodes at once, as who copies a proof would; whatever else to the first.

    :ivar statuses: of each race.
    """

    def __init__(self, nodes: Sequence[Node]) -> None:
        """Race to these nodes."""
        self.statuses: list[list[int]] = []
        self._nodes = nodes
        self._http = httpx.HTTPTransport()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Return the answer of the winner, where there is one."""
        body = request.read()
        raced = self._nodes if request.url.path == "/v1/attestations" else self._nodes[:1]
        with ThreadPoolExecutor(len(raced)) as pool:
            answers = list(pool.map(partial(self._sent, request, body), raced))
        if len(raced) > 1:
            self.statuses.append([each.status_code for each in answers])
        return min(answers, key=lambda answer: answer.status_code)

    def _sent(self, request: httpx.Request, body: bytes, node: Node) -> httpx.Response:
        url = request.url.copy_with(port=node.service)
        sent = httpx.Request(request.method, url, headers=request.headers, content=body)
        answer = self._http.handle_request(sent)
        answer.read()
        return answer

    def close(self) -> None:
        """End the connections."""
        self._http.close()


class Together(httpx.BaseTransport):
    """Send all to one node, an attestation in the moment in which the others send theirs."""

    def __init__(self, node: Node, together: threading.Barrier) -> None:
        """Take the node, and where all meet."""
        self._node = node
        self._together = together
        self._http = httpx.HTTPTransport()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request."""
        if request.url.path == "/v1/attestations":
            self._together.wait(patience(60))
        request.url = request.url.copy_with(port=self._node.service)
        return self._http.handle_request(request)

    def close(self) -> None:
        """End the connections."""
        self._http.close()


class Cluster:
    """Hold a PostgreSQL and the nodes over it."""

    def __init__(self, directory: Path, server: Postgres, upstream_port: int) -> None:
        """Make the store; no node runs yet."""
        self.directory = directory
        self.server = server
        self.upstream = upstream_port
        self.address: PostgresAddress = server.ready()
        self.issuer = f"http://127.0.0.1:{free_port()}"
        self.nodes: list[Node] = []

    def add(self, name: str, mode: str = "enforce") -> Node:
        """Add a node with the keys of the first one; it doesn't run yet."""
        node = Node(self, name, mode)
        if self.nodes:
            (node.state / "lab").mkdir(mode=0o700, parents=True)
            node.state.chmod(0o700)
            for each in _SHARED:
                shutil.copy2(self.nodes[0].state / each, node.state / each)
        self.nodes.append(node)
        return node

    def leader(self) -> Node:
        """Return the node that tells gates, once there is one."""
        found: list[Node] = []

        def is_there() -> bool:
            row = self.row("SELECT node FROM watchword.leaders WHERE chore = 'gates'")
            found[:] = [each for each in self.nodes if each.name == row[0]]
            return bool(found)

        until(is_there, "nobody leads")
        return found[0]

    def others(self) -> list[Node]:
        """Return the nodes that don't tell gates."""
        leader = self.leader()
        return [each for each in self.nodes if each is not leader]

    def row(self, query: str, *values: Any) -> tuple[Any, ...]:
        """Return the one row of a query."""
        rows = self.rows(query, *values)
        assert len(rows) == 1, rows
        return rows[0]

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """Return the rows of a query."""
        with self.server.admin(self.address.database) as link:
            cursor: psycopg.Cursor[Any] = link.execute(query.encode(), values)
            return cursor.fetchall()

    def phone(self, *nodes: Node, race: httpx.BaseTransport | None = None) -> WatchwordClient:
        """Return the client of a genuine phone, behind a load balancer before these nodes, or all; or one that races."""
        settings = self.nodes[0].settings
        app = settings.apps["clinic-android"]
        device = build_phone(
            authorities_of(settings), "genuine-android", app, new_phone("genuine-android")
        )
        return self._client(device, race or Balancer(nodes or self.nodes))

    def _client(self, device: Phone, way: httpx.BaseTransport) -> WatchwordClient:
        return WatchwordClient(
            self.issuer,
            "clinic-android",
            device,
            [AUDIENCE],
            clock=SystemClock().timestamp,
            jitter=lambda: 0.5,
            issuer=self.issuer,
            transport=way,
        )

    def phones_of_one_device(self) -> list[WatchwordClient]:
        """Return as many clients of one new device as there are nodes, each at a node of its own; they attest at once."""
        app, name = self.nodes[0].settings.apps["clinic-android"], new_phone(COUNTED).name
        together = threading.Barrier(len(self.nodes))
        return [
            self._client(
                build_phone(authorities_of(node.settings), COUNTED, app, StoredPhone(name, at, 0)),
                Together(node, together),
            )
            for at, node in enumerate(self.nodes)
        ]

    def token(self, *nodes: Node) -> tuple[str, str]:
        """Enrol a phone; return its instance and its token."""
        with self.phone(*nodes) as client:
            token = client.token(AUDIENCE)
            assert client.instance is not None
            return client.instance, token

    def command(self, *words: str) -> subprocess.CompletedProcess[bytes]:
        """Run a command on the first node's configuration."""
        run = "from watchword.apps.cli.main import run; run()"
        return subprocess.run(
            [sys.executable, "-c", run, "-c", str(self.nodes[0].file), *words],
            capture_output=True,
            check=False,
            timeout=patience(60),
        )

    def stop(self) -> None:
        """End all nodes."""
        for node in self.nodes:
            for process in node.running.values():
                process.send_signal(signal.SIGCONT)
            node.stop_all()


@contextmanager
def cluster(*options: str) -> Iterator[Cluster]:
    """Run three nodes over a PostgreSQL 15, all of them ready."""
    with (
        postgres(*(options or UNSYNCED), major=15) as server,
        upstream() as port,
        short_directory() as directory,
    ):
        made = Cluster(directory, server, port)
        try:
            made.add(NAMES[0]).up()
            authorities_of(made.nodes[0].settings)
            for name in NAMES[1:]:
                made.add(name).begin()
            for node in made.nodes:
                until(node.is_ready, partial(node.said, "up"))
            yield made
        finally:
            made.stop()
