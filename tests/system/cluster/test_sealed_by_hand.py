"""Change the sealed rows of running nodes by hand: they say so, overwrite nothing, and gates go on; one command ends it."""

import json
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from typing import Final

import pytest
from tests.system.apps.leak_search import files_below, finds
from tests.system.bundles.machines import until
from tests.system.cluster.rotations import rotated
from tests.system.cluster.sealed import SealedCluster, SealedNode, sealed_cluster

from watchword.adapters.sealed_rows import KEY_RING
from watchword.adapters.system import SystemEntropy
from watchword.apps.compose.documents import sealed_rows
from watchword.apps.compose.store import open_store
from watchword.encoding import base64url
from watchword.reasons import UnavailableError

_RING: Final = "UPDATE watchword.sealed_documents SET {} WHERE purpose = 'key-ring'"
_SWAP: Final = (
    "UPDATE watchword.sealed_documents AS one SET wrapped = two.wrapped, sealed = two.sealed "
    "FROM watchword.sealed_documents AS two WHERE one.purpose <> two.purpose "
    "AND one.purpose IN ('key-ring', 'canaries') AND two.purpose IN ('key-ring', 'canaries')"
)


@pytest.fixture(scope="module")
def nodes() -> Iterator[SealedCluster]:
    """Run two nodes, with a key ring and canaries in rows."""
    with sealed_cluster(2) as made:
        done = made.sealed[0].call("secrets", "canary", "add", "old-key", "--like", "generic")
        assert done.returncode == 0, done.stderr
        assert len(made.documents()) == 2
        yield made


def _changed(nodes: SealedCluster) -> str:
    assert nodes.by_hand(_RING.format("sealed = sealed || '\\x00'")) == 1
    return "has another content than this node has seen"


def _put_back(nodes: SealedCluster) -> str:
    """Have an older row in the place of the newest one, as a backup has it."""
    nodes.by_hand("CREATE TABLE watchword.kept AS SELECT * FROM watchword.sealed_documents")
    rotated(nodes.sealed[0])
    until(nodes.all_know_the_ring, "gates don't learn of keys")
    nodes.by_hand("DELETE FROM watchword.sealed_documents WHERE purpose = 'key-ring'")
    nodes.by_hand(
        "INSERT INTO watchword.sealed_documents SELECT * FROM watchword.kept WHERE purpose = 'key-ring'"
    )
    nodes.by_hand("DROP TABLE watchword.kept")
    return "the database was set back"


def _swapped(nodes: SealedCluster) -> str:
    assert nodes.by_hand(_SWAP) == 2
    return "has another content than this node has seen"


def _deleted(nodes: SealedCluster) -> str:
    assert nodes.by_hand("DELETE FROM watchword.sealed_documents WHERE purpose = 'key-ring'") == 1
    return "is gone"


@pytest.mark.parametrize("change", [_changed, _put_back, _swapped, _deleted])
def test_what_was_changed_by_hand(
    nodes: SealedCluster, change: Callable[[SealedCluster], str]
) -> None:
    """Nodes aren't ready and change nothing, gates serve who is genuine, a start is refused, and a person ends it."""
    first, second = nodes.sealed
    _, token = nodes.token(first)
    served_everywhere(nodes, token)
    words = change(nodes)
    before = nodes.documents()
    for node in nodes.sealed:
        until(lambda each=node: _says_keys(each), partial(node.said, "up"))  # type: ignore[misc]
        with pytest.raises(UnavailableError):
            node.rotate()
    served_everywhere(nodes, token)
    # Who is here already enrols and renews with the keys that are in memory.
    _, fresh = nodes.token(first)
    served_everywhere(nodes, fresh)
    second.stop("up")
    second.begin()
    assert second.running["up"].wait() != 0
    assert words in second.said("up"), second.said("up")
    assert "watchword store put-back" in second.said("up")
    assert "Traceback" not in second.said("up")
    assert nodes.documents() == before
    done = first.call("store", "put-back")
    assert done.returncode == 0, done.stderr
    assert "Wrote key-ring as version" in done.stdout
    second.begin()
    for each in nodes.nodes:
        until(each.is_ready, partial(each.said, "up"))
    served_everywhere(nodes, token)
    rotated(first)
    _, later = nodes.token(second)
    served_everywhere(nodes, later)


def test_whoever_has_the_database_or_a_copy_reads_no_key(nodes: SealedCluster) -> None:
    """Nothing of the key ring stands in a dump of all tables, nor in what each node keeps of the rows."""
    node = nodes.sealed[0]
    store = open_store(node.settings.service)
    try:
        ring = sealed_rows(node.settings, store, SystemEntropy(), None).document(KEY_RING).read()
    finally:
        store.close()
    assert ring is not None
    members = json.loads(ring)
    secrets = {
        name: base64url.decode(members[name])
        for name in ("challenge_key", "pairwise_key", "reference_key", "verdict_master")
    }
    secrets |= {each["kid"]: base64url.decode(each["d"]) for each in members["token_keys"]}
    secrets |= {
        f"epoch {each['epoch']}": base64url.decode(each["master"])
        for each in members["gate_epochs"]
    }
    place = ("--host", str(nodes.server.directory), "--port", str(nodes.server.port))
    dump = nodes.server.run("pg_dump", *place, "--username", "postgres", nodes.address.database)
    assert "sealed_documents" in dump
    outputs = [("the database", dump.encode())]
    for each in nodes.sealed:
        copies = list(files_below(each.settings.service.sealed))
        assert copies
        outputs += copies
    assert finds(secrets, outputs) == []
    # Else the search would find nothing anywhere.
    assert {each.secret for each in finds(secrets, [("the row, opened", ring)])} == set(secrets)


def test_another_master_key(nodes: SealedCluster) -> None:
    """A node that has it doesn't start, names both keys, and writes nothing; those that run go on."""
    stranger = SealedNode(nodes, "stranger")
    stranger.give_key(SystemEntropy().token_bytes(32))
    (stranger.state / "lab").mkdir(mode=0o700, parents=True)
    stranger.state.chmod(0o700)
    shutil.copy2(nodes.nodes[0].state / "lab/seed", stranger.state / "lab/seed")
    before = nodes.documents()
    stranger.begin()
    assert stranger.running["up"].wait() != 0
    assert "another key file, or another variable?" in stranger.said("up"), stranger.said("up")
    assert "Traceback" not in stranger.said("up")
    for words in (("store", "put-back"), ("store", "rekey")):
        done = stranger.call(*words)
        assert done.returncode != 0 or done.stdout.startswith("Nothing to put back"), done.stdout
        assert "Traceback" not in done.stderr
    assert nodes.documents() == before
    for node in nodes.nodes:
        assert node.is_ready()
    _, token = nodes.token()
    served_everywhere(nodes, token)


def served_everywhere(nodes: SealedCluster, token: str) -> None:
    """Wait until the gates of all nodes let a token through."""
    for node in nodes.nodes:
        until(partial(node.point.serves, token), partial(node.said, "up"))


def _says_keys(node: SealedNode) -> bool:
    return "keys" in node.readiness().get("reasons", [])
