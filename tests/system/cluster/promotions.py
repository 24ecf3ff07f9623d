"""Kill primaries while phones enrol at real nodes, promote their standbys, and say what came of it."""

from collections.abc import Sequence
from dataclasses import dataclass

from tests.system.cluster.pairs import over, pair
from tests.system.cluster.phones import Crowd


@dataclass(frozen=True)
class Promotions:
    """Hold what came of promotions.

    :ivar acknowledged: how many phones were told that they are enrolled.
    :ivar lost: who of them isn't known any more.
    :ivar gaps: for how many seconds nobody was enrolled, the longest first.
    :ivar asked: how often gates were asked; ``refused`` how often they didn't let a good token through.
    """

    acknowledged: int
    lost: set[str]
    gaps: Sequence[float]
    asked: int
    refused: int


def promotions(count: int, names: Sequence[str]) -> Promotions:
    """Lose so many primaries with a synchronous standby under these nodes, one after the other."""
    with pair() as servers, over(servers, names) as made:
        servers.wait_for_standby()
        crowd = Crowd(made)
        with crowd.enrolling() as load:
            for left in range(count, 0, -1):
                crowd.goes_on()
                servers.primary.kill()
                servers.promote()
                made.server = servers.primary
                crowd.goes_on()
                load.goes_on()
                if left > 1:
                    servers.renew_standby()
                    servers.wait_for_standby()
        asked = sum(each.total() for each in load.counted.values())
        served = sum(each[200] for each in load.counted.values())
        return Promotions(
            len(crowd.acknowledged), crowd.lost(), crowd.gaps()[:count], asked, asked - served
        )
