"""Rotate the keys of three nodes every two seconds, sixty times, while phones ask all gates."""

from tests.system.cluster.rotations import rotate_under_load
from tests.system.cluster.sealed import sealed_cluster

ROTATIONS = 60
EVERY_SECONDS = 2.0


def test_nobody_is_refused_over_sixty_rotations() -> None:
    """Whichever node rotates, and whichever node's gate is asked with whichever token."""
    with sealed_cluster(3) as made:
        done = rotate_under_load(made, ROTATIONS, EVERY_SECONDS, phones=2)
        print(done)  # noqa: T201 - the figures are what it is run for.
        assert done.crowd.refused == 0, done.crowd.refusals
        assert len(set(done.active)) == ROTATIONS
        assert all(each.is_ready() for each in made.nodes)
