"""Try nodes hard, as often as a test wants: kill them while phones enrol, and race for what only one may have."""

import threading
from concurrent.futures import ThreadPoolExecutor

from tests.system.bundles.machines import AUDIENCE, until
from tests.system.cluster.nodes import Cluster, Race

from watchword.client import ClientError, WatchwordClient
from watchword.reasons import Reason


def race_for_challenges(nodes: Cluster, races: int) -> None:
    """Send each of so many attestations to all nodes at once: one of them enrols it."""
    race = Race(nodes.nodes)
    instances = set()
    for _ in range(races):
        with nodes.phone(race=race) as phone:
            phone.token(AUDIENCE)
            instances.add(phone.instance)
    assert len(race.statuses) == races
    lost = [each for each in race.statuses if sum(status < 300 for status in each) != 1]
    assert not lost
    assert len(instances) == races


def race_of_devices(nodes: Cluster, races: int) -> None:
    """Enrol each of so many devices at all nodes at once, with a new key at each: the policy allows one of them."""

    def outcome(phone: WatchwordClient) -> str:
        try:
            phone.token(AUDIENCE)
        except ClientError as error:
            return str(error)
        return ""

    with ThreadPoolExecutor(len(nodes.nodes)) as pool:
        for _ in range(races):
            phones = nodes.phones_of_one_device()
            found = list(pool.map(outcome, phones))
            assert found.count("") == 1, found
            refused = [each for each in found if each]
            assert all(Reason.POLICY_DEVICE_VELOCITY.code in each for each in refused), found
            for phone in phones:
                phone.close()


def kill_nodes(nodes: Cluster, kills: int) -> int:
    """Kill so many nodes while phones enrol, the one that tells gates each second time; return how many enrolled.

    What a node acknowledged is in the store.
    """
    acknowledged: list[str] = []
    over = threading.Event()

    def enrol() -> None:
        while not over.is_set():
            try:
                acknowledged.append(nodes.token()[0])
            except ClientError:
                continue

    workers = [threading.Thread(target=enrol) for _ in range(2)]
    for each in workers:
        each.start()
    try:
        for turn in range(kills):
            seen = len(acknowledged)
            until(lambda known=seen: len(acknowledged) > known + 2, "nobody enrols")  # type: ignore[misc]
            node = nodes.leader() if turn % 2 else nodes.others()[turn // 2 % 2]
            node.kill("up")
            node.again()
    finally:
        over.set()
        for each in workers:
            each.join()
    known = {each[0] for each in nodes.rows("SELECT id FROM watchword.instances")}
    assert not set(acknowledged) - known
    return len(acknowledged)
