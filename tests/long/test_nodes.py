"""Try three nodes over one PostgreSQL as long as it takes: fifty kills, a thousand races, twenty hand-overs."""

import signal
from collections.abc import Callable, Iterator
from functools import partial

import pytest
from tests.machine import patience
from tests.system.bundles.machines import until
from tests.system.cluster.nodes import Cluster, cluster
from tests.system.cluster.trials import kill_nodes, race_for_challenges, race_of_devices

from watchword.adapters.system import steady_seconds

Recorded = Callable[[str, object], None]

KILLS = 50
RACES = 1000
HANDOVERS = 20
HANDOVER_SECONDS = 5.0
"""What a hand-over may take on an idle machine."""


@pytest.fixture(scope="module")
def nodes() -> Iterator[Cluster]:
    """Run three nodes."""
    with cluster() as made:
        yield made


def test_fifty_kills_lose_nothing(nodes: Cluster, record_property: Recorded) -> None:
    """Every instance that a node acknowledged is in the store."""
    record_property("acknowledged", kill_nodes(nodes, KILLS))


def test_a_thousand_challenges_have_one_winner_each(nodes: Cluster) -> None:
    """Each comes to all nodes at once."""
    race_for_challenges(nodes, RACES)


def test_velocity_is_exact_in_a_thousand_races(nodes: Cluster) -> None:
    """Each device comes to all nodes at once, with a new key at each."""
    race_of_devices(nodes, RACES)


def test_hand_overs(nodes: Cluster, record_property: Recorded) -> None:
    """Killed or stopped by turns: another node tells gates soon."""
    took: dict[bool, list[float]] = {True: [], False: []}
    for turn in range(HANDOVERS):
        leader, kills = nodes.leader(), bool(turn % 2)
        begun = steady_seconds()
        if kills:
            leader.kill("up")
        else:
            leader.send(signal.SIGSTOP)
        until(lambda last=leader: nodes.leader() is not last, "nobody takes over")  # type: ignore[misc]
        took[kills].append(steady_seconds() - begun)
        if kills:
            leader.again()
        else:
            leader.send(signal.SIGCONT)
            until(leader.is_ready, partial(leader.said, "up"))
    record_property("killed", max(took[True]))
    record_property("stopped", max(took[False]))
    assert max(took[True] + took[False]) < patience(HANDOVER_SECONDS)
