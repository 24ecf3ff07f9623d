"""Keep documents sealed in a table that several nodes share, against whoever writes to the table."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.key_ring_contract.places import (
    DEPLOYMENT,
    ENTROPY,
    MASTER,
    START,
    MemoryRowTable,
    ring_in,
    rows_of,
)

from watchword.adapters.keyring.file import KeyRing
from watchword.adapters.keyring.private_file import PrivateFileError, write_private
from watchword.adapters.sealed_rows import (
    CANARIES,
    KEY_RING,
    SECRETS,
    SealedRow,
    SealedRowError,
    SealedRows,
    ToldEverywhere,
)
from watchword.adapters.secret_store import EitherKey, LocalMasterKey
from watchword.reasons import Reason, UnavailableError
from watchword.vocabulary import Environment

OTHER: Final = LocalMasterKey(b"o" * 32, ENTROPY)


class Nodes:
    """Open rows as nodes do, each with a directory of its own."""

    def __init__(self, directory: Path) -> None:
        """Begin with an empty table."""
        self.table = MemoryRowTable()
        self._directory = directory

    def node(self, name: str = "a", key: LocalMasterKey | EitherKey = MASTER) -> SealedRows:
        """Start a node, or start it again."""
        return rows_of(self.table, self._directory / name, key)

    def copy(self, name: str = "a") -> Path:
        """Return a node's copy of the secrets' row."""
        return self._directory / name / "secrets.secrets.json"


@pytest.fixture
def nodes(tmp_path: Path) -> Nodes:
    """Return nodes on an empty table."""
    return Nodes(tmp_path)


def write(rows: SealedRows, data: bytes) -> None:
    """Write the secrets' row."""
    rows.document(SECRETS).change(lambda _: data)


def test_nodes_read_what_one_of_them_wrote(nodes: Nodes) -> None:
    """A row is there for all, under the next version each time, and nothing of it is readable in the table."""
    here, there = nodes.node("a"), nodes.node("b")
    assert there.document(SECRETS).read() is None
    write(here, b"the first content")
    document = there.document(SECRETS)
    document.follow()
    assert (document.read(), document.version, document.stamp()) == (b"the first content", 1, 1)
    write(there, b"the second content")
    assert here.document(SECRETS).read() == b"the first content"
    here.follow()
    assert here.document(SECRETS).read() == b"the second content"
    assert here.document(SECRETS).version == 2
    assert b"content" not in nodes.table.rows[SECRETS].sealed
    assert b"content" not in nodes.copy().read_bytes()
    assert here.trouble() == there.trouble() == ""


def test_of_two_that_write_at_once_one_begins_anew(nodes: Nodes) -> None:
    """Both changes are there afterwards."""
    here, there = nodes.node("a"), nodes.node("b")
    asked = 0

    def late(data: bytes | None) -> bytes:
        nonlocal asked
        asked += 1
        if asked == 1:
            there.document(SECRETS).change(lambda data: (data or b"") + b"there")
        return (data or b"") + b"here"

    here.document(SECRETS).change(late)
    assert asked == 2
    assert here.document(SECRETS).read() == b"therehere"
    assert not there.document(SECRETS).replace(b"there", b"lost")


def test_what_changes_nothing_writes_nothing(nodes: Nodes) -> None:
    """Nor does what fails."""
    rows = nodes.node()
    rows.document(SECRETS).change(lambda _: None)
    with pytest.raises(ZeroDivisionError):
        rows.document(SECRETS).change(lambda _: bytes(1 // 0))
    assert nodes.table.rows == {}


def _moved(table: MemoryRowTable) -> SealedRow:
    return replace(table.rows[CANARIES], at=SECRETS)


def _versioned(table: MemoryRowTable) -> SealedRow:
    return replace(table.rows[SECRETS], version=9)


def _flipped(table: MemoryRowTable) -> SealedRow:
    sealed = table.rows[SECRETS].sealed
    return replace(table.rows[SECRETS], version=9, sealed=sealed[:-1] + bytes([sealed[-1] ^ 1]))


def _cut(table: MemoryRowTable) -> SealedRow:
    return replace(table.rows[SECRETS], version=9, sealed=b"")


def _key_flipped(table: MemoryRowTable) -> SealedRow:
    wrapped = table.rows[SECRETS].wrapped
    return replace(table.rows[SECRETS], wrapped=wrapped[:-1] + bytes([wrapped[-1] ^ 1]))


@pytest.mark.parametrize("change", [_moved, _versioned, _flipped, _cut, _key_flipped])
@pytest.mark.parametrize("is_known", [True, False], ids=["known", "fresh"])
def test_a_row_that_was_changed_by_hand_is_refused(
    nodes: Nodes, change: Callable[[MemoryRowTable], SealedRow], *, is_known: bool
) -> None:
    """By a node that has seen it, one that starts again, and a new one; nothing is overwritten, what was read stays in use."""
    running = nodes.node()
    write(running, b"content")
    running.document(CANARIES).change(lambda _: b"other content")
    changed = change(nodes.table)
    nodes.table.tamper(changed)
    running.follow()
    later = nodes.node("a" if is_known else "b")
    for rows in (running, later):
        assert "the sealed row secrets: " in rows.trouble()
        assert "PostgreSQL at simulated" in rows.trouble()
        assert "run `watchword store put-back`" in rows.trouble()
        document = rows.document(SECRETS)
        for ask in (document.read, document.follow, lambda d=document: d.change(lambda _: b"x")):
            with pytest.raises(SealedRowError):
                ask()
        with pytest.raises(SealedRowError):
            document.replace(b"content", b"x")
        assert rows.document(CANARIES).read() == b"other content"
    assert nodes.table.rows[SECRETS] == changed
    assert running.document(SECRETS).version == 1


def test_a_database_that_was_set_back_is_refused_until_it_is_put_back(nodes: Nodes) -> None:
    """In words that name both versions; by a running node and by one that starts; new nodes can't know."""
    here = nodes.node("a")
    write(here, b"one")
    old = nodes.table.rows[SECRETS]
    write(here, b"two")
    nodes.table.tamper(old)
    here.follow()
    again = nodes.node("a")
    for rows in (here, again):
        assert "is of version 1, and this node has seen 2" in rows.trouble()
        assert "watchword store put-back" in rows.trouble()
        with pytest.raises(SealedRowError):
            write(rows, b"three")
    assert nodes.table.rows[SECRETS] == old
    assert again.put_back() == [(SECRETS, 3)]
    here.follow()
    for rows in (here, again, nodes.node("new")):
        assert rows.trouble() == ""
        assert (rows.document(SECRETS).read(), rows.document(SECRETS).version) == (b"two", 3)
    assert again.put_back() == []


def test_a_row_that_is_gone_is_not_made_anew(nodes: Nodes) -> None:
    """A key ring that was deleted would make strangers of all instances."""
    rows = nodes.node()
    write(rows, b"content")
    nodes.table.drop(SECRETS)
    rows.follow()
    for each in (rows, nodes.node()):
        assert "is gone" in each.trouble()
        with pytest.raises(SealedRowError, match="gone"):
            write(each, b"fresh")
    assert nodes.table.rows == {}
    assert nodes.node().put_back() == [(SECRETS, 2)]
    rows.follow()
    assert rows.document(SECRETS).read() == b"content"


def test_a_row_that_was_set_back_and_written_anew_is_refused(nodes: Nodes) -> None:
    """A number is never two contents: the node that knows the first one says so."""
    here = nodes.node("a")
    write(here, b"one")
    old = nodes.table.rows[SECRETS]
    write(here, b"two")
    nodes.table.tamper(old)
    write(nodes.node("new"), b"another two")
    here.follow()
    assert "another content than this node has seen of version 2" in here.trouble()
    with pytest.raises(SealedRowError):
        here.document(SECRETS).read()
    assert here.put_back() == [(SECRETS, 3)]
    assert nodes.node("new").document(SECRETS).read() == b"two"


def test_what_is_newer_than_the_copy_stays(nodes: Nodes) -> None:
    """Somebody who puts back on the wrong node takes nothing away."""
    here, there = nodes.node("a"), nodes.node("b")
    write(here, b"one")
    there.follow()
    write(here, b"two")
    assert there.put_back() == []
    assert nodes.table.rows[SECRETS].version == 2


def test_another_master_key_opens_nothing(nodes: Nodes) -> None:
    """It is told which one it was; nothing is overwritten."""
    write(nodes.node(), b"content")
    before = dict(nodes.table.rows)
    for name in ("a", "b"):
        rows = nodes.node(name, OTHER)
        assert MASTER.key_id in rows.trouble()
        assert OTHER.key_id in rows.trouble()
        with pytest.raises(SealedRowError, match="another key file"):
            write(rows, b"other content")
        with pytest.raises(SealedRowError):
            ring_in(rows.document(SECRETS))
    with pytest.raises((SealedRowError, UnavailableError)):
        nodes.node("a", OTHER).rekey()
    assert nodes.table.rows == before


@pytest.mark.parametrize(
    "deployment", ["https://attest.other.example (prod)", "https://attest.clinic.example (lab)"]
)
def test_two_clusters_on_one_database_are_told(
    nodes: Nodes, tmp_path: Path, deployment: str
) -> None:
    """The second one names the first, and writes nothing."""
    write(nodes.node(), b"content")
    before = dict(nodes.table.rows)
    rows = rows_of(nodes.table, tmp_path / "other", MASTER, deployment)
    assert f"belongs to the deployment {DEPLOYMENT!r}, expected {deployment!r}" in rows.trouble()
    with pytest.raises(SealedRowError, match="two clusters need two databases"):
        write(rows, b"other content")
    # Whoever changes the readable part opens nothing with it.
    nodes.table.tamper(replace(before[SECRETS], deployment=deployment))
    rows.follow()
    with pytest.raises(SealedRowError):
        write(rows, b"other content")
    assert nodes.table.rows[SECRETS].sealed == before[SECRETS].sealed


def test_putting_back_overwrites_no_other_cluster(nodes: Nodes, tmp_path: Path) -> None:
    """A node that was pointed at another cluster's database takes nothing away there, with copies of its own either."""
    write(nodes.node(), b"content")
    elsewhere = MemoryRowTable()
    elsewhere.identity = 9
    for name, key, deployment in (
        ("b", MASTER, "https://b.example (prod)"),
        ("c", OTHER, DEPLOYMENT),
    ):
        own = rows_of(elsewhere, tmp_path / name, key, deployment)
        elsewhere.rows.clear()
        for each in (b"own", b"own content"):
            own = rows_of(elsewhere, tmp_path / name, key, deployment)
            write(own, each)
        before = dict(nodes.table.rows)
        lost = rows_of(nodes.table, tmp_path / name, key, deployment)
        with pytest.raises(SealedRowError, match=r"two databases|give this node that one"):
            lost.put_back()
        assert nodes.table.rows == before


def test_rows_that_were_copied_into_another_database_open_nowhere(nodes: Nodes) -> None:
    """They are bound to the one that they were written to; a node that knows it says where it was."""
    write(nodes.node(), b"content")
    nodes.table.identity = 8
    for name in ("a", "new"):
        assert nodes.node(name).trouble()
    assert "another database" in nodes.node("a").trouble()
    # Where that database takes the other's place, somebody says so.
    assert nodes.node("a").put_back() == [(SECRETS, 2)]
    for name in ("a", "new"):
        assert nodes.node(name).document(SECRETS).read() == b"content"


def test_one_master_key_replaces_another_while_nodes_run(nodes: Nodes) -> None:
    """Each node opens both meanwhile; afterwards the old one opens nothing."""
    write(nodes.node(), b"content")
    first = nodes.node("a", EitherKey(MASTER, OTHER))
    second = nodes.node("b", EitherKey(OTHER, MASTER))
    assert second.rekey() == [SECRETS]
    assert nodes.table.rows[SECRETS].key_id == OTHER.key_id
    first.follow()
    assert first.document(SECRETS).read() == b"content"
    assert second.rekey() == []
    assert nodes.node("a", OTHER).document(SECRETS).read() == b"content"
    assert nodes.node("c", MASTER).trouble()


def test_what_another_master_key_sealed_since_stays(nodes: Nodes) -> None:
    """Who puts back while one key replaces another takes nothing away, on a node that has both."""
    write(nodes.node("a"), b"content")
    nodes.node("b", EitherKey(OTHER, MASTER)).rekey()
    before = dict(nodes.table.rows)
    late = nodes.node("c", EitherKey(MASTER, OTHER))
    nodes.copy("c").write_bytes(nodes.copy("a").read_bytes())
    assert late.put_back() == []
    assert nodes.table.rows == before


def test_a_database_that_is_away_leaves_what_was_read(nodes: Nodes) -> None:
    """No look, no change and no start without it; what was read stays in use."""
    rows = nodes.node()
    write(rows, b"content")
    nodes.table.away = True
    for ask in (rows.follow, nodes.node, rows.put_back, lambda: write(rows, b"x")):
        with pytest.raises(UnavailableError) as caught:
            ask()
        assert caught.value.reason is Reason.STORE_UNAVAILABLE
    assert rows.document(SECRETS).read() == b"content"
    assert rows.trouble() == ""


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_damaged_copy_is_told(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """A copy with any piece overwritten is read or told; the row isn't overwritten."""
    nodes = Nodes(tmp_path_factory.mktemp("nodes"))
    write(nodes.node(), b"content")
    before = dict(nodes.table.rows)
    whole = nodes.copy().read_bytes()
    at = data.draw(st.integers(0, len(whole) - 1))
    junk = data.draw(st.binary(max_size=8))
    write_private(nodes.copy(), whole[:at] + junk + whole[at + data.draw(st.integers(0, 40)) :])
    rows = nodes.node()
    if rows.trouble():
        with pytest.raises(PrivateFileError):
            rows.document(SECRETS).read()
    else:
        assert rows.document(SECRETS).read() == b"content"
    assert nodes.table.rows == before


def told_ring(nodes: Nodes, name: str, told: Callable[[int], None] | None = None) -> KeyRing:
    """Open a key ring on a node."""
    ring = KeyRing(
        nodes.node(name).document(KEY_RING),
        environment=Environment.PROD,
        grace=330,
        now=START,
        entropy=ENTROPY,
    )
    if told is not None:
        ring.hold_rotations(told)
    return ring


def test_nothing_signs_before_the_gates_of_every_node_know_it() -> None:
    """A rotation waits for them, and is refused with their names where they don't come."""
    now, asked = [0.0], []

    def behind(version: int) -> list[str]:
        asked.append(version)
        return ["node-b", "node-a"] if now[0] < 0.5 else []

    def pause(seconds: float) -> None:
        now[0] += seconds

    ToldEverywhere(behind, monotonic=lambda: now[0], pause=pause)(4)
    assert set(asked) == {4}
    never = ToldEverywhere(lambda _: ["node-b", "node-a"], monotonic=lambda: now[0], pause=pause)
    with pytest.raises(UnavailableError, match="gates of node-a, node-b don't know"):
        never(4)


def test_a_key_that_another_node_prepared_a_moment_ago_signs_nothing_yet(nodes: Nodes) -> None:
    """Of two rotations at once the second asks again: its own prepared key is known nowhere."""
    known = 1

    def require(version: int) -> None:
        if version > known:
            raise UnavailableError(Reason.STORE_UNAVAILABLE, f"nobody knows {version}")

    here, there = told_ring(nodes, "a", require), told_ring(nodes, "b", require)
    assert here.version == there.version == 1
    first = here.rotate(START)
    with pytest.raises(UnavailableError, match="nobody knows 2"):
        there.rotate(START)
    with pytest.raises(UnavailableError, match="nobody knows 2"):
        there.rotate_gate_secrets(START)
    there.refresh()
    assert there.signer().kid == first.kid
    assert there.version == 2
    # Trust is withdrawn at once, whoever knows.
    there.retire(first.kid, START)
    there.retire_gate_secret("epoch-1", START)
    known = there.version
    there.rotate(START)


def test_nodes_that_start_at_once_share_one_ring(nodes: Nodes) -> None:
    """Whoever is second takes the first one's keys."""
    rows = nodes.node("a")
    late = nodes.node("b")
    one = ring_in(rows.document(KEY_RING))
    two = ring_in(late.document(KEY_RING), b"other")
    assert one.signer().kid == two.signer().kid
    assert one.ring.pairwise_key == two.ring.pairwise_key
