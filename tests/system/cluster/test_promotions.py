"""Lose primaries under real nodes, and promote their standbys: with all that they had, and without the last of it."""

from functools import partial

from tests.system.bundles.machines import AUDIENCE, REFUSED, until
from tests.system.bundles.points import Load
from tests.system.cluster import replays
from tests.system.cluster.nodes import Cluster
from tests.system.cluster.pairs import over, pair
from tests.system.cluster.phones import Crowd
from tests.system.cluster.promotions import promotions
from tests.system.cluster.replays import Recorder, Replays

TWO = ("node-a", "node-b")


def assert_ready(made: Cluster) -> None:
    """Wait until all nodes are ready."""
    for node in made.nodes:
        until(node.is_ready, partial(node.said, "up"))


def test_a_synchronous_standby_loses_nothing() -> None:
    """Whoever was acknowledged is there, enrolments go on soon, and gates serve throughout; more of it in tests/long."""
    came = promotions(1, TWO)
    assert came.acknowledged
    assert not came.lost
    assert came.asked
    assert not came.refused


def test_a_standby_that_lost_its_tail() -> None:
    """Recorded requests stay refused though it doesn't know them, and whoever was revoked stays refused at all gates."""
    with pair() as servers, over(servers, TWO) as made, made.phone() as early:
        first, second = made.nodes
        early.token(AUDIENCE)
        known, known_token = made.token()
        servers.follow()
        servers.cut_off()
        recorder = Recorder(made.nodes)
        with made.phone(race=recorder) as late:
            late.token(AUDIENCE)
            late.renew()
        # Of one the standby doesn't know that it was revoked, of the other not even that it is there.
        unknown, unknown_token = made.token()
        second.revoke(known)
        first.revoke(unknown)
        tokens = [known_token, unknown_token]
        for node in made.nodes:
            for token in tokens:
                until(partial(node.point.refuses, token), partial(node.said, "up"))
        recorded = Replays(made, recorder.sent)
        assert recorded.send() == {(409, "challenge-refused")}
        points, crowd = [each.point for each in made.nodes], Crowd(made)
        known_load, unknown_load = (Load(points, lambda each=each: each) for each in tokens)  # type: ignore[misc]
        with recorded.running(), known_load.running(), unknown_load.running():
            servers.primary.kill()
            servers.promote()
            made.server = servers.primary
            with crowd.enrolling() as load:
                crowd.goes_on()
                assert_ready(made)
                for each in (load, known_load, unknown_load):
                    each.goes_on()
        assert recorded.send() <= replays.REFUSED
        assert not {status for status, _ in recorded.answers if 0 < status < 400}
        for each in (known_load, unknown_load):
            assert all(set(counted) <= REFUSED for counted in each.counted.values()), each.counted
        assert all(set(counted) == {200} for counted in load.counted.values()), load.counted
        (is_revoked,) = made.row(
            "SELECT revoked_at IS NOT NULL FROM watchword.instances WHERE id = %s", known
        )
        assert is_revoked
        assert not made.rows("SELECT id FROM watchword.instances WHERE id = %s", unknown)
        early.renew()
        assert first.point.serves(early.token(AUDIENCE))
