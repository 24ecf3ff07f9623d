"""Open a route at any of several nodes that share rows: the gates of all open and close it, whoever tells them."""

from functools import partial

from tests.system.bundles.machines import until
from tests.system.cluster.sealed import sealed_cluster

ROUTE = "/**"


def test_any_node_opens_and_closes_and_a_hand_over_keeps_it() -> None:
    """The node that tells gates is ended in between."""
    with sealed_cluster(2) as nodes:
        (other,) = nodes.others()
        leader = next(each for each in nodes.sealed if each is not other)
        opened = ("openings", "add", "--route", ROUTE, "--mode", "monitor", "--for", "20m")
        calls = {each.name: each for each in nodes.sealed}
        done = calls[other.name].call(*opened, "--because", "bad release")
        assert done.returncode == 0, done.stderr
        for node in nodes.nodes:
            until(partial(node.point.serves, "none"), partial(node.said, "up"))
        leader.stop("up")
        until(lambda: nodes.leader() is other, partial(other.said, "up"))
        until(partial(other.point.serves, "none"), partial(other.said, "up"))
        leader.begin()
        until(leader.is_ready, partial(leader.said, "up"))
        until(partial(leader.point.serves, "none"), partial(leader.said, "up"))
        assert "bad release" in leader.call("openings", "list").stdout
        done = leader.call("openings", "end", "--route", ROUTE)
        assert done.returncode == 0, done.stderr
        for node in nodes.nodes:
            until(partial(node.point.refuses, "none"), partial(node.said, "up"))
