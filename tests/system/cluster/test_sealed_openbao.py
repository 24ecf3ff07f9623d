"""Have a key of OpenBao's wrap the sealed rows of several nodes: they go on while it is away, and change nothing then."""

from collections.abc import Iterator
from functools import partial

import pytest
from tests.system.bundles.machines import until
from tests.system.cluster.rotations import rotated
from tests.system.cluster.sealed import IN_FILE, SealedCluster, sealed_cluster
from tests.unit.adapters.openbao.server import BaoServer

from watchword.reasons import UnavailableError

TRANSIT = "{transit: watchword-master}"


@pytest.fixture(scope="module")
def bao(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BaoServer]:
    """Set a server up as the documentation says."""
    server = BaoServer(tmp_path_factory.mktemp("bao"))
    try:
        server.start()
        server.initialise()
        yield server
    finally:
        server.kill()


@pytest.fixture(scope="module")
def nodes(bao: BaoServer) -> Iterator[SealedCluster]:
    """Run two nodes whose master key OpenBao has."""
    place = f"url: '{bao.url}', token: '{bao.token_file}', timeout: 20s"
    with sealed_cluster(2, TRANSIT, f"secrets:\n  openbao: {{{place}}}\n") as made:
        yield made


def _key_ids(nodes: SealedCluster) -> set[str]:
    return {each[0] for each in nodes.rows("SELECT key_id FROM watchword.sealed_documents")}


def test_its_key_seals_and_another_version_does(nodes: SealedCluster, bao: BaoServer) -> None:
    """Each node opens what the other sealed; rotated there, rows are sealed anew by the next version."""
    first, second = nodes.sealed
    rotated(second)
    assert _key_ids(nodes) == {"transit:watchword-master:v1"}
    with bao.admin() as client:
        client.secrets.transit.rotate_key("watchword-master")
    done = first.call("store", "rekey")
    assert done.returncode == 0, done.stderr
    assert _key_ids(nodes) == {"transit:watchword-master:v2"}
    rotated(first)
    done = second.call("store", "put-back")
    assert (done.returncode, done.stdout[:19]) == (0, "Nothing to put back"), done.stderr
    _, token = nodes.token()
    for node in nodes.nodes:
        until(partial(node.point.serves, token), partial(node.said, "up"))
        assert node.is_ready()


def test_it_is_away(nodes: SealedCluster, bao: BaoServer) -> None:
    """Nodes enrol and gates serve with the keys in memory; no key changes, and no node starts, until it is back."""
    first, second = nodes.sealed
    before = nodes.documents()
    bao.kill()
    with pytest.raises(UnavailableError):
        first.rotate()
    second.stop("up")
    second.begin()
    assert second.running["up"].wait() != 0
    assert "Traceback" not in second.said("up")
    assert "OpenBao" in second.said("up"), second.said("up")
    _, token = nodes.token(first)
    until(partial(first.point.serves, token), partial(first.said, "up"))
    assert nodes.documents() == before
    bao.restart()
    second.begin()
    for node in nodes.nodes:
        until(node.is_ready, partial(node.said, "up"))
        until(partial(node.point.serves, token), partial(node.said, "up"))
    rotated(first)


def test_a_file_takes_its_place_and_the_other_way_round(nodes: SealedCluster) -> None:
    """One node after the other, as the page says, and nobody's gate refuses a token meanwhile."""
    _, token = nodes.token()
    for present, other in ((TRANSIT, IN_FILE), (IN_FILE, TRANSIT)):
        nodes.master = f"{present}, other_master_key: {other}"
        for node in nodes.sealed:
            node.write("enforce")
            node.again()
    done = nodes.sealed[0].call("store", "rekey")
    assert done.returncode == 0, done.stderr
    assert all(each.startswith("local-") for each in _key_ids(nodes))
    # And back.
    nodes.master = f"{TRANSIT}, other_master_key: {IN_FILE}"
    for node in nodes.sealed:
        node.write("enforce")
        node.again()
    done = nodes.sealed[1].call("store", "rekey")
    assert done.returncode == 0, done.stderr
    assert all(each.startswith("transit:") for each in _key_ids(nodes))
    for node in nodes.sealed:
        until(node.is_ready, partial(node.said, "up"))
        until(partial(node.point.serves, token), partial(node.said, "up"))
