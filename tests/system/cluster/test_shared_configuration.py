"""Apply a change of watchword.yaml on one node: every node goes by it without a restart, and what widens or comes second is refused."""

import json
import threading
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from tests.system.bundles.machines import until
from tests.system.cluster.nodes import Node
from tests.system.cluster.sealed import SealedCluster, SealedNode, sealed_cluster

from watchword.apps.service.client import OperatorClient

FORGED = "no.token.atall"
ENFORCED = "proof: bearer, mode: enforce"
MONITORED = "proof: bearer, mode: monitor"


@pytest.fixture(scope="module")
def running() -> Iterator[tuple[SealedCluster, dict[str, str]]]:
    """Run three nodes; give each one's file as it is at the start, too."""
    with sealed_cluster(3) as made:
        yield made, {each.name: each.file.read_text("utf-8") for each in made.nodes}


@pytest.fixture
def nodes(running: tuple[SealedCluster, dict[str, str]]) -> SealedCluster:
    """Bring all nodes back to their files of the start, and have those in force, whatever another test did."""
    made, texts = running
    for node in made.sealed:
        node.file.write_text(texts[node.name], "utf-8")
        if node.running["up"].poll() is not None:
            node.again()
    if any(map(refuses_rows, made.nodes)):
        made.sealed[0].call("store", "put-back")
    ready(made)
    config(made.sealed[0], "apply", "--widen", "--because", "begin")
    ready(made)
    until(lambda: len(numbers(made)) == 1, "not all nodes follow")
    return made


def edit(node: SealedNode, old: str, new: str) -> None:
    """Change a node's file."""
    text = node.file.read_text("utf-8")
    assert old in text
    node.file.write_text(text.replace(old, new), "utf-8")


def config(node: SealedNode, *words: str) -> dict[str, Any]:
    """Run ``watchword config`` at a node; return what it prints as JSON."""
    done = node.call("config", *words, "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def asked(nodes: SealedCluster, *, serves: bool) -> None:
    """Wait until the gates of all nodes let a request without a token pass, or refuse it."""
    for node in nodes.nodes:
        ask = node.point.serves if serves else node.point.refuses
        until(partial(ask, FORGED), partial(node.said, "up"))


def ready(nodes: SealedCluster) -> None:
    """Wait until all nodes are ready: all go by the same."""
    for node in nodes.nodes:
        until(node.is_ready, partial(node.said, "up"))


def refuses_rows(node: Node) -> bool:
    """Tell whether a node is unready for its sealed rows."""
    return "keys" in node.readiness().get("reasons", ())


def numbers(nodes: SealedCluster) -> set[int]:
    """Return which file is in force, by each node."""
    found = set()
    for node in nodes.nodes:
        with OperatorClient(node.settings.service.operator_socket) as operator:
            found.add(operator.get("/v1/configuration")["number"])
    return found


def test_every_node_follows_a_change_and_its_rollback(nodes: SealedCluster) -> None:
    """Applied at one that doesn't tell gates, rolled back at the one that does; no process ends."""
    (before,) = numbers(nodes)
    leader = nodes.leader()
    first = next(each for each in nodes.sealed if each is not leader)
    processes = [each.running["up"].pid for each in nodes.nodes]
    asked(nodes, serves=False)
    edit(first, ENFORCED, MONITORED)
    refused = first.call("config", "apply")
    assert refused.returncode == 1
    assert "configuration.widens" in refused.stderr
    told = config(first, "apply", "--widen", "--because", "outage")
    assert (told["number"], told["waiting"]) == (before + 1, [])
    asked(nodes, serves=True)
    ready(nodes)
    assert numbers(nodes) == {before + 1}
    leader = nodes.leader()
    last = next(each for each in nodes.sealed if each is leader)
    back = config(last, "rollback", "--because", "it is over")
    assert (back["number"], back["restores"]) == (before + 2, before)
    asked(nodes, serves=False)
    ready(nodes)
    assert numbers(nodes) == {before + 2}
    status = config(first, "status")
    assert status["generation"] > told["generation"]
    reasons = [each["because"] for each in status["applied"]]
    assert reasons[-2:] == ["outage", "it is over"]
    assert processes == [each.running["up"].pid for each in nodes.nodes]
    edit(first, MONITORED, ENFORCED)
    # With its own places, another node's text says nothing new.
    assert not config(first, "apply")["changed"]


def test_a_node_that_starts_takes_what_was_applied(nodes: SealedCluster) -> None:
    """Whatever its file says; its own places are those of its file."""
    first, second, third = nodes.sealed
    (before,) = numbers(nodes)
    edit(first, ENFORCED, f"{ENFORCED}, max_body: 1000000")
    assert config(first, "apply", "--widen", "--because", "larger")["number"] == before + 1
    edit(second, ENFORCED, MONITORED)
    second.running["up"].terminate()
    second.running["up"].wait()
    offline = second.call("config", "apply", "--widen", "--because", "no")
    assert offline.returncode == 1
    assert "apply it at" in offline.stderr
    assert first.name in offline.stderr
    second.again()
    until(lambda: "as it was applied" in second.said("up"), partial(second.said, "up"))
    asked(nodes, serves=False)
    assert len(numbers(nodes)) == 1
    edit(second, MONITORED, ENFORCED)
    assert third.is_ready()


def test_of_two_nodes_that_apply_at_once_one_wins(nodes: SealedCluster) -> None:
    """The other one is refused, and all go by the same."""
    (before,) = numbers(nodes)
    codes: dict[str, tuple[int, str]] = {}

    def apply(node: SealedNode, lifetime: int) -> None:
        edit(node, "  state:", f"  token_lifetime: {lifetime}s\n  state:")
        done = node.call("config", "apply", "--because", node.name, "--widen")
        codes[node.name] = (done.returncode, done.stderr)

    threads = [
        threading.Thread(target=apply, args=(node, 100 + 10 * at))
        for at, node in enumerate(nodes.sealed)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    won = [name for name, (code, _) in codes.items() if code == 0]
    assert won, codes
    assert all("conflict" in said for code, said in codes.values() if code), codes
    ready(nodes)
    assert numbers(nodes) == {before + len(won)}


def test_a_row_that_was_changed_by_hand_is_refused(nodes: SealedCluster) -> None:
    """Nodes go on with what they have, say so, and overwrite nothing."""
    kept = config(nodes.sealed[0], "status")["number"]
    changed = nodes.by_hand(
        "UPDATE watchword.sealed_documents SET version = version + 1 WHERE purpose = 'configuration'"
    )
    assert changed == 1
    for node in nodes.nodes:
        until(partial(refuses_rows, node), partial(node.said, "up"))
    asked(nodes, serves=False)
    edit(nodes.sealed[0], ENFORCED, MONITORED)
    refused = nodes.sealed[0].call("config", "apply", "--widen", "--because", "no")
    assert refused.returncode != 0
    assert "sealed row configuration" in refused.stderr
    assert numbers(nodes) == {kept}
    last = nodes.sealed[-1]
    last.stop("up")
    last.begin()
    assert last.running["up"].wait() != 0
    assert "sealed row configuration" in last.said("up")
    back = nodes.sealed[0].call("store", "put-back")
    assert back.returncode == 0, back.stderr
    last.again()
    ready(nodes)
    asked(nodes, serves=False)
