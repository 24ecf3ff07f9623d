"""Show that nodes agree on the epoch of challenges, and that a new one ends nobody's."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from watchword.adapters.nodes import ClusterView, OnlyNode, OtherNode, SharedMark

NOW = datetime(2026, 12, 1, tzinfo=UTC)


@dataclass
class SimulatedNodes(OnlyNode):
    """Know other nodes, and hold the epoch that all of them go on with."""

    view: ClusterView = field(default_factory=ClusterView)
    live: Sequence[OtherNode] = ()

    def others(self) -> Sequence[OtherNode]:
        """See the port."""
        return self.live

    def raise_epoch(self, epoch: int, forgotten: int) -> None:
        """See the port."""
        if (epoch, forgotten) > (self.view.epoch, self.view.forgotten):
            self.view = replace(self.view, epoch=epoch, forgotten=forgotten)


def running(nodes: SimulatedNodes, path: Path) -> SharedMark:
    """Return the mark of a node that has compared the database."""
    mark = SharedMark(path, nodes)
    mark.compare(10, 7, NOW)
    nodes.live = (OtherNode("a", 1, "1", "c", "k", 0, 0, "", 0.1),)
    return mark


def test_a_new_node_goes_on_with_the_others_epoch(tmp_path: Path) -> None:
    """It knows nothing of the database, and those that run vouch for it."""
    nodes = SimulatedNodes()
    first = running(nodes, tmp_path / "a")
    epoch = first.number
    second = SharedMark(tmp_path / "b", nodes)
    assert second.compare(12, 7, NOW + timedelta(days=1)) is None
    assert first.number == second.number == epoch > 0
    assert SharedMark(tmp_path / "b", SimulatedNodes()).number == epoch


def test_a_node_that_is_alone_trusts_nothing(tmp_path: Path) -> None:
    """Where nobody runs, a database that nothing is known of may be an older copy."""
    nodes = SimulatedNodes()
    first = running(nodes, tmp_path / "a")
    before, nodes.live = first.number, ()
    second = SharedMark(tmp_path / "b", nodes)
    assert second.compare(12, 7, NOW + timedelta(days=1)) is not None
    assert second.number > before


def test_what_one_node_notices_ends_the_challenges_of_all(tmp_path: Path) -> None:
    """Entries are missing, as one node knows: all go on with another epoch, over restarts too."""
    nodes = SimulatedNodes()
    first = running(nodes, tmp_path / "a")
    second = running(nodes, tmp_path / "b")
    before = first.number
    assert second.compare(3, 7, NOW + timedelta(hours=1)) is not None
    assert first.number == second.number > before
    first.advance(11)
    assert SharedMark(tmp_path / "a", SimulatedNodes()).number == second.number


def test_a_database_of_before_does_not_bring_an_epoch_back(tmp_path: Path) -> None:
    """The row with the epoch may be put back with it: each node's own file has it."""
    nodes = SimulatedNodes()
    first = running(nodes, tmp_path / "a")
    epoch = first.number
    nodes.view = ClusterView()
    assert first.number == epoch
    assert first.compare(3, 7, NOW) is not None
    assert nodes.view.epoch == first.number > epoch


def test_what_one_node_forgets_counts_for_all(tmp_path: Path) -> None:
    """A challenge whose use may be forgotten is refused at each node."""
    nodes = SimulatedNodes()
    first, second = running(nodes, tmp_path / "a"), running(nodes, tmp_path / "b")
    first.forget(NOW)
    assert second.forgotten == first.forgotten == int(NOW.timestamp())
