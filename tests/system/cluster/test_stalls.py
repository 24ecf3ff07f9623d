"""Have PostgreSQL stand still, or take nobody any more, while phones enrol: nodes refuse in time and in words, and gates serve."""

from collections.abc import Iterator
from functools import partial

import pytest
from tests.machine import patience
from tests.system.adapters.postgres.servers import NODE, UNSYNCED, postgres
from tests.system.bundles.machines import until
from tests.system.cluster.nodes import Cluster
from tests.system.cluster.pairs import Pair, go_on, over, pair, stop_all
from tests.system.cluster.phones import UNAVAILABLE, Crowd

from watchword.adapters.postgres.database import CALL_SECONDS

TWO = ("node-a", "node-b")


@pytest.fixture(scope="module")
def nodes() -> Iterator[Cluster]:
    """Run two nodes over one server."""
    with postgres(*UNSYNCED, major=15) as server, over(Pair(server, server), TWO) as made:
        yield made


def assert_held(crowd: Crowd) -> None:
    """Show that nothing is lost, and that whoever was refused was so in bounded time."""
    assert not crowd.lost()
    assert all("store.unavailable" in each for each in crowd.refused), set(crowd.refused)
    # A call and its grace, which the wait for a connection is part of; the rest is room for a busy machine.
    assert max(crowd.seconds[UNAVAILABLE]) < patience(CALL_SECONDS + 2)


def assert_ready(made: Cluster) -> None:
    """Wait until all nodes are ready."""
    for node in made.nodes:
        until(node.is_ready, partial(node.said, "up"))


def unready(made: Cluster) -> None:
    """Wait until no node is, since the store doesn't answer."""
    for node in made.nodes:
        until(
            lambda each=node: "store" in each.readiness().get("reasons", ()),  # type: ignore[misc]
            partial(node.said, "up"),
        )


def test_a_server_that_stands_still(nodes: Cluster) -> None:
    """SIGSTOP: refused in time; SIGCONT: enrolments go on, and whoever was acknowledged is there."""
    crowd = Crowd(nodes)
    with crowd.enrolling() as load:
        crowd.goes_on()
        stop_all(nodes.server)
        crowd.is_refused()
        unready(nodes)
        load.goes_on()
        go_on(nodes.server)
        crowd.goes_on()
        assert_ready(nodes)
        load.goes_on()
    assert_held(crowd)
    assert all(set(counted) == {200} for counted in load.counted.values()), load.counted


def test_every_connection_waits(nodes: Cluster) -> None:
    """A lock that somebody holds keeps all connections of a node busy: refused in time, and gates go on being told."""
    crowd = Crowd(nodes)
    instance, token = nodes.token()
    with crowd.enrolling(12) as load:
        crowd.goes_on()
        with nodes.server.admin(nodes.address.database) as link:
            link.execute("BEGIN")
            link.execute("LOCK TABLE watchword.used_challenges IN ACCESS EXCLUSIVE MODE")
            crowd.is_refused(12)
            load.goes_on()
            link.execute("ROLLBACK")
        crowd.goes_on()
        assert_ready(nodes)
    nodes.nodes[0].revoke(instance)
    for node in nodes.nodes:
        until(partial(node.point.refuses, token), partial(node.said, "up"))
    assert_held(crowd)
    assert all(set(counted) == {200} for counted in load.counted.values()), load.counted


def test_a_server_without_a_free_connection(nodes: Cluster) -> None:
    """Whoever comes is refused in the server's words; once there is room it goes on."""
    crowd = Crowd(nodes)
    with crowd.enrolling() as load:
        crowd.goes_on()
        with nodes.server.admin() as link:
            link.execute(f"ALTER ROLE {NODE} CONNECTION LIMIT 0".encode())
            link.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s", (NODE,)
            )
            crowd.is_refused()
            unready(nodes)
            for node in nodes.nodes:
                until(
                    lambda each=node: "too many connections" in each.said("up"),  # type: ignore[misc]
                    partial(node.said, "up"),
                )
            load.goes_on()
            link.execute(f"ALTER ROLE {NODE} CONNECTION LIMIT -1".encode())
        crowd.goes_on()
        assert_ready(nodes)
    assert_held(crowd)
    assert all(set(counted) == {200} for counted in load.counted.values()), load.counted


def test_a_primary_that_was_replaced_comes_back() -> None:
    """It stood still, its standby was promoted, and it goes on as if nothing had been: no node believes it, not even a new one."""
    with pair() as servers, over(servers, TWO) as made:
        servers.wait_for_standby()
        crowd = Crowd(made)
        with crowd.enrolling() as load:
            crowd.goes_on()
            servers.stop_primary()
            servers.promote()
            made.server = servers.primary
            crowd.goes_on()
            servers.resume_standby()
            assert_ready(made)
            crowd.goes_on()
            made.nodes[1].stop("up")
            made.nodes[1].again()
            crowd.goes_on()
            assert_ready(made)
        with servers.standby.admin(made.address.database) as link:
            old = {str(each[0]) for each in link.execute("SELECT id FROM watchword.instances")}
        assert not crowd.lost()
        assert not set(list(crowd.acknowledged)[-4:]) & old
        assert set(load.counted["node-a"]) == {200}, load.counted
