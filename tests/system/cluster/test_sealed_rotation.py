"""Rotate keys that several nodes share while phones ask all gates: each gate knows a key before it signs."""

from collections.abc import Iterator
from functools import partial

import pytest
from tests.system.bundles.machines import until
from tests.system.cluster.rotations import rotate_under_load, rotated
from tests.system.cluster.sealed import SealedCluster, sealed_cluster

from watchword.adapters.keyring.private_file import locked_directory
from watchword.reasons import UnavailableError

ROTATIONS = 5
EVERY_SECONDS = 2.0


@pytest.fixture(scope="module")
def nodes() -> Iterator[SealedCluster]:
    """Run two nodes."""
    with sealed_cluster(2) as made:
        yield made


def test_nobody_is_refused(nodes: SealedCluster) -> None:
    """Whichever node rotates, and whichever node's gate is asked with whichever token."""
    done = rotate_under_load(nodes, ROTATIONS, EVERY_SECONDS, phones=1)
    assert done.crowd.refused == 0, done.crowd.refusals
    assert len(set(done.active)) == ROTATIONS
    assert len(done.crowd.signers) > 1, done


def test_no_key_signs_before_the_gates_of_every_node_know_it(nodes: SealedCluster) -> None:
    """A rotation is refused with the name of the node whose gates can't be told, and changes nothing."""
    (behind,) = nodes.others()
    first = next(each for each in nodes.sealed if each is not behind)
    until(nodes.all_know_the_ring, "gates don't learn of keys")
    with locked_directory(behind.settings.service.gates):
        # What was prepared by then they know; what this one prepares they can't be told.
        rotated(first)
        before = nodes.documents()
        with pytest.raises(UnavailableError, match=f"gates of {behind.name} don't know"):
            first.rotate()
        assert nodes.documents() == before
        assert behind.is_ready()
    rotated(first)
    for node in nodes.nodes:
        _, token = nodes.token(first)
        until(partial(node.point.serves, token), partial(node.said, "up"))


def test_a_withdrawn_key_is_refused_at_every_node(nodes: SealedCluster) -> None:
    """Its tokens end at once, whichever node withdrew it; the next ones are served."""
    for node in nodes.sealed:
        _, token = nodes.token()
        for each in nodes.nodes:
            until(partial(each.point.serves, token), partial(each.said, "up"))
        node.withdraw_active()
        for each in nodes.nodes:
            until(partial(each.point.refuses, token), partial(each.said, "up"))
        _, token = nodes.token()
        for each in nodes.nodes:
            until(partial(each.point.serves, token), partial(each.said, "up"))
