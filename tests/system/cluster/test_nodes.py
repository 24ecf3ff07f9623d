"""Run three nodes over one PostgreSQL: what one of them does holds at the gates of all, whoever leads and whoever dies."""

import json
import re
import resource
import shutil
import signal
import threading
from collections.abc import Iterator
from contextlib import suppress
from functools import partial

import pytest
from tests.system.bundles.machines import AUDIENCE, until
from tests.system.cluster.nodes import Cluster, Node, cluster
from tests.system.cluster.trials import kill_nodes, race_for_challenges, race_of_devices

from watchword.adapters.system import SystemClock, SystemEntropy
from watchword.apps.compose.documents import file_documents
from watchword.apps.deployment import keyring_of
from watchword.encoding import base64url
from watchword.gate.chain import is_snapshot
from watchword.reasons import UnavailableError

KILLS = 3
RACES = 20
NOTIFYING = 3
"""So many of the store's functions send notices."""


@pytest.fixture(scope="module")
def nodes() -> Iterator[Cluster]:
    """Run three nodes."""
    with cluster() as made:
        yield made


def served_everywhere(nodes: Cluster, token: str) -> None:
    """Wait until the gates of all nodes let a token through."""
    for node in nodes.nodes:
        until(partial(node.point.serves, token), partial(node.said, "up"))


def refused_everywhere(nodes: Cluster, token: str) -> None:
    """Wait until the gates of all nodes refuse a token."""
    for node in nodes.nodes:
        until(partial(node.point.refuses, token), partial(node.said, "up"))


def assert_ready(nodes: Cluster) -> None:
    """Wait until all nodes are ready."""
    for node in nodes.nodes:
        until(node.is_ready, partial(node.said, "up"))


def generations(node: Node) -> list[int]:
    """Return the generations in a node's chain, one a line."""
    found = []
    for line in (node.settings.service.gates / "clinic.chain").read_bytes().splitlines():
        payload = line.split(b" ")[0] if is_snapshot(line) else line
        found.append(json.loads(base64url.decode(payload.decode().split(".")[1]))["generation"])
    return found


def test_all_hand_out_the_same(nodes: Cluster) -> None:
    """Each node enrols, and revokes; the gates of every other one know it."""
    for node in nodes.nodes:
        instance, token = nodes.token(node)
        served_everywhere(nodes, token)
        node.revoke(instance)
        refused_everywhere(nodes, token)
    chains = [(each.settings.service.gates / "clinic.chain").read_bytes() for each in nodes.nodes]
    assert chains[0] == chains[1] == chains[2]


def test_no_session_is_held(nodes: Cluster) -> None:
    """A phone takes its challenge from one node, enrols at the next, renews at a third."""
    with nodes.phone() as phone:
        first = phone.token(AUDIENCE)
        for _ in range(4):
            phone.renew()
        assert phone.token(AUDIENCE) != first
        served_everywhere(nodes, phone.token(AUDIENCE))


def test_one_winner(nodes: Cluster) -> None:
    """One challenge that comes to all nodes at once is used once."""
    race_for_challenges(nodes, RACES)


def test_velocity_is_exact(nodes: Cluster) -> None:
    """Of enrolments of one device that come to all nodes at once as many get in as the policy allows."""
    race_of_devices(nodes, RACES)


def test_shown(nodes: Cluster) -> None:
    """The command names each node, who leads, and says that all is well."""
    done = nodes.command("nodes", "--json")
    assert done.returncode == 0, done.stderr
    shown = json.loads(done.stdout)
    assert [each["name"] for each in shown["nodes"]] == [each.name for each in nodes.nodes]
    assert shown["leaders"]["gates"]["node"] == nodes.leader().name
    words = nodes.command("nodes").stdout.decode()
    assert all(f"{each.name}: ready" in words for each in nodes.nodes), words


def test_a_name_is_taken_once(nodes: Cluster) -> None:
    """A second process under a node's name is refused, and the first goes on."""
    first = nodes.others()[0]
    other = Node(nodes, "elsewhere")
    other.file.write_text(
        other.file.read_text("utf-8").replace("node: elsewhere", f"node: {first.name}"), "utf-8"
    )
    other.state.mkdir(mode=0o700)
    shutil.copy2(nodes.nodes[0].state / "keyring.json", other.state / "keyring.json")
    other.begin()
    assert other.running["up"].wait() != 0
    assert f"a node named '{first.name}' runs already" in other.said("up")
    assert_ready(nodes)


def test_other_keys_are_refused(nodes: Cluster) -> None:
    """A node with a key ring of its own doesn't start: gates would refuse its tokens."""
    other = Node(nodes, "stranger")
    nodes.token()
    other.begin()
    assert other.running["up"].wait() != 0
    assert "copy them from another node" in other.said("up")
    documents = file_documents(other.settings.service)
    keyring_of(other.settings, SystemClock(), SystemEntropy(), None, documents.key_ring)
    other.begin()
    assert other.running["up"].wait() != 0
    assert "of a service with another key ring: copy keyring.json" in other.said("up")
    assert_ready(nodes)


def test_another_configuration_is_unready(nodes: Cluster) -> None:
    """A node whose configuration differs gets no traffic, leads nothing, and hands out what the leader signed."""
    node = nodes.others()[0]
    node.write("monitor")
    node.start_again("up")
    until(
        lambda: node.readiness() == {"ready": False, "reasons": ["configuration"]},
        partial(node.said, "up"),
    )
    done = nodes.command("nodes")
    assert done.returncode == 1
    assert f"{node.name}: unready: its watchword.yaml differs" in done.stdout.decode()
    instance, token = nodes.token(nodes.leader())
    served_everywhere(nodes, token)
    nodes.leader().revoke(instance)
    refused_everywhere(nodes, token)
    node.write("enforce")
    node.again()
    assert_ready(nodes)


def test_leader_stopped_and_resumed(nodes: Cluster) -> None:
    """Another node takes over, and what the one that was stopped had begun is of an old term: it writes nothing."""
    for _ in range(3):
        leader = nodes.leader()
        others = nodes.others()
        held, token = nodes.token(*others)
        served_everywhere(nodes, token)
        (term,) = nodes.row("SELECT term FROM watchword.leaders WHERE chore = 'gates'")
        # In the middle of whatever it does.
        last, _ = nodes.token(*others)
        busy = threading.Thread(target=partial(others[1].revoke, last))
        busy.start()
        leader.send(signal.SIGSTOP)
        busy.join()
        others[0].revoke(held)
        assert nodes.leader() is not leader
        for node in others:
            until(partial(node.point.refuses, token), partial(node.said, "up"))
        leader.send(signal.SIGCONT)
        until(partial(leader.point.refuses, token), partial(leader.said, "up"))
        assert_ready(nodes)
        rows = nodes.rows("SELECT term FROM watchword.gate_lines ORDER BY revision, position")
        terms = [each[0] for each in rows]
        assert terms == sorted(terms)
        assert terms[-1] > term
        for node in nodes.nodes:
            told = generations(node)
            assert told == sorted(set(told)), node.name


def test_a_leader_whose_disk_is_full(nodes: Cluster) -> None:
    """It gives the lead up and is unready; revocations go on at the others, and it follows once there is room."""
    leader, others = nodes.leader(), nodes.others()
    process = leader.running["up"].pid
    instance, token = nodes.token(others[0])
    served_everywhere(nodes, token)
    # No file may grow by a byte, which a process meets as it meets a full disk.
    resource.prlimit(process, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
    try:
        until(lambda: _is_revoked(others[0], instance), partial(leader.said, "up"))
        until(lambda: nodes.leader() is not leader, partial(leader.said, "up"))
        for node in others:
            until(partial(node.point.refuses, token), partial(node.said, "up"))
        until(lambda: "disk" in leader.readiness()["reasons"], partial(leader.said, "up"))
        last, other = nodes.token(*others)
        others[1].revoke(last)
        assert nodes.leader() is not leader
    finally:
        unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
        resource.prlimit(process, resource.RLIMIT_FSIZE, unlimited)
    refused_everywhere(nodes, token)
    refused_everywhere(nodes, other)
    assert_ready(nodes)


def _is_revoked(node: Node, instance: str) -> bool:
    """Revoke an instance; tell whether gates were told: while the lead changes hands they may not be yet."""
    with suppress(UnavailableError):
        node.revoke(instance)
        return True
    return False


def test_a_leader_whose_directory_is_in_the_way(nodes: Cluster) -> None:
    """Likewise where one of its files can't be replaced."""
    leader, others = nodes.leader(), nodes.others()
    file = leader.settings.service.gates / "clinic.jws"
    file.unlink()
    # Nothing takes the place of a directory with something in it.
    (file / "in the way").mkdir(parents=True)
    instance, token = nodes.token(others[0])
    until(lambda: _is_revoked(others[0], instance), partial(leader.said, "up"))
    until(lambda: nodes.leader() is not leader, partial(leader.said, "up"))
    for node in others:
        until(partial(node.point.refuses, token), partial(node.said, "up"))
    shutil.rmtree(file)
    refused_everywhere(nodes, token)
    assert_ready(nodes)


def test_notices_that_are_lost(nodes: Cluster) -> None:
    """Nodes look by themselves, too: a revocation arrives without any notice."""
    with nodes.server.admin(nodes.address.database) as link:
        texts = [
            str(row[0])
            for row in link.execute(
                "SELECT pg_get_functiondef(p.oid) FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace "
                "WHERE n.nspname = 'watchword' AND p.prosrc LIKE '%pg_notify%'"
            )
        ]
        assert len(texts) == NOTIFYING
        try:
            for text in texts:
                silent = re.sub(r"PERFORM pg_notify\([^)]*\);", "", text)
                assert silent != text
                link.execute(silent.encode())
            for node in nodes.nodes:
                instance, token = nodes.token(node)
                served_everywhere(nodes, token)
                node.revoke(instance)
                refused_everywhere(nodes, token)
        finally:
            for text in texts:
                link.execute(text.encode())


def test_killed_nodes(nodes: Cluster) -> None:
    """Whoever is killed in the middle of whatever: what was acknowledged is there, and what was revoked stays refused."""
    instance, token = nodes.token()
    nodes.leader().revoke(instance)
    assert kill_nodes(nodes, KILLS) > KILLS
    refused_everywhere(nodes, token)
    assert_ready(nodes)
