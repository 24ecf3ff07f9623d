"""Cut the node that tells gates off from the database, by its network: another one takes over, and what it has goes on."""

from contextlib import ExitStack
from functools import partial
from typing import Any

from tests.ports import free_port
from tests.system.adapters.postgres.servers import UNSYNCED, Postgres, postgres
from tests.system.adapters.postgres.test_link import certificates
from tests.system.bundles.machines import short_directory, until
from tests.system.bundles.points import Point
from tests.system.cluster.namespaces import Network, network
from tests.system.cluster.nodes import Cluster, Node
from tests.system.cluster.phones import Crowd
from tests.unit.apps.service_process import upstream

from watchword.apps.lab.phones import authorities_of


class _FarPoint(Point):
    """Ask a gate from within its network."""

    network: Network

    def once(self, token: str) -> int:
        """See :meth:`Point.once`."""
        return self.network.inside(partial(super().once, token))


class _FarNode(Node):
    """Be a node in a network of its own."""

    def __init__(self, cluster: Cluster, name: str, place: Network) -> None:
        """Write its configuration."""
        self._place = place
        super().__init__(cluster, name)
        self.point = _FarPoint(name, self.listen)
        self.point.network = place

    def write(self, mode: str) -> None:
        """Write it with the database's address on the link, and its authority."""
        super().write(mode)
        server, text = self._cluster.server, self.file.read_text("utf-8")
        near = f"{str(server.directory).replace('/', '%2F')}:{server.port}"
        far = f"{self._place.here}:{server.port}"
        text = text.replace(near, far).replace(
            f"node: {self.name}", f"node: {self.name}, authorities: {server.directory}/ca.pem"
        )
        self.file.write_text(text, "utf-8")

    def begin(self) -> None:
        """Start it there."""
        self._place.inside(super().begin)

    def again(self) -> None:
        """Start it there as it was."""
        self._place.inside(super().again)

    def readiness(self) -> dict[str, Any]:
        """Ask it there."""
        return self._place.inside(super().readiness)


def _reachable(server: Postgres, place: Network) -> None:
    """Have a server listen on the link, by TLS alone."""
    certificates(server.directory, place.here)
    with (server.data / "pg_hba.conf").open("a") as rules:
        rules.write(f"hostssl all all {place.there}/32 trust\n")
    with server.admin() as link:
        for name, value in (
            ("ssl_cert_file", f"{server.directory}/server.pem"),
            ("ssl_key_file", f"{server.directory}/server.key"),
            ("ssl", "on"),
        ):
            link.execute(f"ALTER SYSTEM SET {name} = '{value}'".encode())
    server.stop()
    server.start()


def test_a_leader_that_is_cut_off() -> None:
    """The other one tells gates and enrols; the one that is cut off serves by what it has, and comes back without a word of its own."""
    with ExitStack() as stack:
        place = stack.enter_context(network(free_port() % 16_000 + 1))
        listening = ("-c", f"listen_addresses=127.0.0.1,{place.here}")
        server = stack.enter_context(postgres(*UNSYNCED, *listening, major=15))
        _reachable(server, place)
        port = stack.enter_context(upstream())
        far_upstream = upstream()
        far_port = place.inside(far_upstream.__enter__)
        stack.push(far_upstream)
        made = Cluster(stack.enter_context(short_directory()), server, port)
        stack.callback(made.stop)
        near = made.add("node-a")
        near.up()
        authorities_of(near.settings)
        made.upstream = far_port
        far = _FarNode(made, "node-b", place)
        made.join(far)
        stack.callback(far.stop_all)
        far.begin()
        until(far.is_ready, partial(far.said, "up"))
        # The one that will be cut off leads.
        near.stop("up")
        until(lambda: made.leader() is far, "nobody takes over")
        near.up()
        held, token = made.token(near)
        for node in made.nodes:
            until(partial(node.point.serves, token), partial(node.said, "up"))
        made.nodes = [near]
        crowd = Crowd(made)
        with crowd.enrolling() as load:
            crowd.goes_on()
            place.cut()
            crowd.goes_on()
            until(lambda: made.leader() is near, "nobody takes over")
            near.revoke(held)
            until(partial(near.point.refuses, token), partial(near.said, "up"))
            until(lambda: "store" in far.readiness().get("reasons", ()), partial(far.said, "up"))
            assert far.point.serves(crowd.token)
            place.heal()
            until(far.is_ready, partial(far.said, "up"))
            until(partial(far.point.refuses, token), partial(far.said, "up"))
            assert far.point.serves(crowd.token)
            load.goes_on()
        assert not crowd.lost()
        assert all(set(counted) == {200} for counted in load.counted.values()), load.counted
