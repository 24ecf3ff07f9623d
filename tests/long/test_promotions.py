"""Lose twenty primaries under three nodes, one after the other, while phones enrol."""

from tests.machine import patience
from tests.system.cluster.nodes import NAMES
from tests.system.cluster.promotions import promotions

PROMOTIONS = 20
WITHOUT_ENROLMENTS = 10.0


def test_twenty_promotions_lose_nothing() -> None:
    """Nobody who was acknowledged is lost, enrolments pause for seconds, and gates serve throughout."""
    came = promotions(PROMOTIONS, NAMES)
    assert came.acknowledged > PROMOTIONS
    assert not came.lost
    assert not came.refused
    assert came.gaps[0] < patience(WITHOUT_ENROLMENTS), came
