"""Show that nodes hand out what one of them signed, and that whoever lost the lead adds nothing."""

import asyncio
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.unit.apps.publisher_bench import PublisherBench, SimulatedStore
from tests.unit.apps.test_publisher import full_disk

from watchword.adapters.keyring.private_file import PrivateFileError
from watchword.adapters.nodes import PublishedLines, PublishedNews
from watchword.adapters.terms import FencedError
from watchword.reasons import UnavailableError


@dataclass
class SimulatedRows:
    """Hold what nodes share.

    :ivar leader: who tells gates; whoever else writes is refused.
    :ivar lines: by API, each with its revision.
    :ivar generation: the last one that was drawn.
    """

    store: SimulatedStore
    leader: str = "a"
    revision: int = 0
    covers: int = 0
    lifted: int = 0
    generation: int = 0
    lines: dict[str, list[tuple[int, bytes]]] = field(default_factory=dict)
    firsts: dict[str, tuple[int, bytes]] = field(default_factory=dict)


@dataclass
class SimulatedLog:
    """Implement the log of what is published for one node.

    :ivar stops: a write before which the node is stopped, so that another one leads when it is resumed.
    """

    name: str
    rows: SimulatedRows
    believes: bool = True
    stops: str = ""
    adopted_to: int = 0
    trouble: str = ""
    hindrances: list[str] = field(default_factory=list)

    def leads(self) -> bool:
        """See the port."""
        return self.believes and self.rows.leader == self.name

    def covers(self) -> int:
        """See the port."""
        return self.rows.covers

    def leader(self) -> str:
        """See the port."""
        return self.rows.leader

    def adopted(self, revision: int, trouble: str) -> None:
        """See the port."""
        self.adopted_to, self.trouble = revision, trouble

    def hindered(self, why: str) -> None:
        """See the port."""
        self.hindrances.append(why)

    def _fence(self, what: str) -> int:
        if self.stops == what:
            self.stops, self.rows.leader = "", "b"
        if self.rows.leader != self.name:
            raise FencedError("another node tells gates by now")
        self.rows.revision += 1
        return self.rows.revision

    def draw(self, steps: int, least: int) -> int:
        """See the port."""
        self._fence("draw")
        rows = self.rows
        rows.generation = max(rows.generation + steps, rows.lifted + steps, least)
        return rows.generation

    def append(self, api: str, published: PublishedLines) -> int:
        """See the port."""
        revision = self._fence("append")
        kept = [] if published.anew else self.rows.lines.get(api, [])
        self.rows.lines[api] = [*kept, *((revision, each) for each in published.lines)]
        return revision

    def put_first(self, api: str, bundle: bytes) -> int:
        """See the port."""
        revision = self._fence("first")
        self.rows.firsts[api] = (revision, bundle)
        return revision

    def note(self, covers: int) -> int:
        """See the port."""
        self.rows.covers = covers
        return self._fence("note")

    def lift(self, generation: int) -> None:
        """See the port."""
        self.rows.lifted = max(self.rows.lifted, generation)

    def changes(self) -> int:
        """See the port."""
        return len(self.rows.store.revoked)

    def read(self, after: int) -> PublishedNews:
        """See the port."""
        rows = self.rows
        start = after if after <= rows.revision else 0
        found = {
            api: [line for at, line in lines if at > start] for api, lines in rows.lines.items()
        }
        chains = {
            api: PublishedLines(lines, b" " in lines[0]) for api, lines in found.items() if lines
        }
        firsts = {api: data for api, (at, data) in rows.firsts.items() if at > start}
        return PublishedNews(
            rows.revision, rows.covers, self.changes(), rows.lifted, chains, firsts
        )


@dataclass
class Pair:
    """Hold two nodes over one store."""

    rows: SimulatedRows
    nodes: Sequence[PublisherBench]
    logs: Sequence[SimulatedLog]

    def tick(self) -> None:
        """Have each node do its turn, whoever leads first."""
        for log, node in sorted(
            zip(self.logs, self.nodes, strict=True), key=lambda each: not each[0].leads()
        ):
            asyncio.run(node.publisher.keep_up(node.now))
            assert not log.trouble

    @property
    def is_one(self) -> bool:
        """Tell whether both hand out the same."""
        first, other = self.nodes
        return (first.lines, first.path.read_bytes()) == (other.lines, other.path.read_bytes())


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    """Return two nodes with the same keys, of which the first one leads."""
    store = SimulatedStore()
    rows = SimulatedRows(store)
    logs = [SimulatedLog(name, rows) for name in ("a", "b")]
    made: list[PublisherBench] = []
    for log in logs:
        directory = tmp_path / log.name
        directory.mkdir(mode=0o700)
        if made:
            shutil.copy2(tmp_path / "a" / "keyring.json", directory / "keyring.json")
        made.append(PublisherBench(directory, store=store, log=log))
    found = Pair(rows, made, logs)
    found.tick()
    return found


def generations(lines: Sequence[bytes], node: PublisherBench) -> list[int]:
    """Return the generation after each line."""
    found = []
    for end in range(1, len(lines) + 1):
        bundle = node.reader(lines[:end]).bundle
        assert bundle is not None
        found.append(bundle.generation)
    return found


def test_both_hand_out_the_same(pair: Pair) -> None:
    """The files of who follows are those of who leads, byte for byte."""
    assert pair.is_one
    pair.rows.store.revoke("thief")
    pair.tick()
    assert pair.is_one
    assert pair.nodes[1].lists("thief", "genuine") == [True, False]
    assert len(pair.nodes[1].lines) == 2


def test_who_follows_waits_until_gates_are_told(pair: Pair) -> None:
    """A change at one node is over once the one that leads has told gates."""
    follower, leader = pair.nodes[1], pair.nodes[0]

    async def revoked() -> None:
        pair.rows.store.revoke("thief")
        told = asyncio.create_task(follower.publisher.publish(follower.now))
        await asyncio.sleep(0)
        assert not told.done()
        await leader.publisher.keep_up(leader.now)
        await told

    asyncio.run(revoked())
    assert follower.lists("thief") == [True]


def test_another_node_goes_on_with_the_chain(pair: Pair) -> None:
    """Whoever leads next adds to the same chain: no gate fetches it anew, and who was revoked stays so."""
    pair.rows.store.revoke("thief")
    pair.tick()
    before = pair.nodes[0].lines
    pair.rows.leader = "b"
    pair.rows.store.revoke("second")
    pair.tick()
    assert pair.is_one
    lines = pair.nodes[0].lines
    assert lines[: len(before)] == before
    assert len(lines) == len(before) + 1
    assert pair.nodes[0].lists("thief", "second", "genuine") == [True, True, False]
    assert pair.nodes[1].first.revoked == {
        pair.nodes[1].subject(each) for each in ("thief", "second")
    }


@pytest.mark.parametrize("stops", ["draw", "append", "first", "note"])
def test_who_lost_the_lead_adds_nothing(pair: Pair, stops: str) -> None:
    """Stopped at any place and resumed: it hands out nothing of its own, and takes what the next one signed."""
    first, other = pair.nodes
    before = first.lines
    pair.rows.store.revoke("thief")
    pair.logs[0].stops = stops
    with pytest.raises(FencedError):
        asyncio.run(first.publisher.publish(first.now))
    if stops in {"draw", "append"}:
        assert first.lines == before
        # Nor over the network, while it doesn't know yet what holds.
        assert not first.told(first.reader(before))
    pair.rows.store.revoke("second")
    asyncio.run(other.publisher.publish(other.now))
    asyncio.run(first.publisher.keep_up(first.now))
    assert pair.is_one
    assert first.lists("thief", "second") == [True, True]
    told = generations(first.lines, first)
    assert told == sorted(set(told))


def test_rows_that_somebody_changed(pair: Pair) -> None:
    """Who follows keeps what it has, and says so; who leads writes a snapshot in their place."""
    follower = pair.nodes[1]
    before = follower.lines
    pair.rows.store.revoke("thief")
    asyncio.run(pair.nodes[0].publisher.publish(pair.nodes[0].now))
    revision, line = pair.rows.lines["clinic"][-1]
    pair.rows.lines["clinic"][-1] = (revision, line[:-8] + b"AAAAAAAA")
    asyncio.run(follower.publisher.keep_up(follower.now))
    assert follower.lines == before
    assert "clinic" in pair.logs[1].trouble
    pair.nodes[0].start()
    asyncio.run(pair.nodes[0].publisher.keep_up(follower.now))
    pair.tick()
    assert pair.is_one
    assert follower.lists("thief") == [True]
    assert not pair.logs[1].trouble


def test_rows_that_were_put_back(pair: Pair) -> None:
    """A database of before is raised above what gates have had, and nobody goes back."""
    pair.rows.store.revoke("thief")
    pair.tick()
    most = generations(pair.nodes[1].lines, pair.nodes[1])[-1]
    api = "clinic"
    pair.rows.lines[api] = pair.rows.lines[api][:1]
    pair.rows.generation = 1
    for node in pair.nodes:
        node.start()
    pair.tick()
    pair.tick()
    assert pair.is_one
    told = generations(pair.nodes[0].lines, pair.nodes[0])
    assert told[0] > most
    assert pair.nodes[1].lists("thief") == [True]


def test_a_gate_that_has_more_is_heard_by_any_node(pair: Pair) -> None:
    """A gate at a node that only follows shows a higher generation: the one that leads goes above it."""
    follower = pair.nodes[1]
    (generation,) = generations(follower.lines, follower)
    asyncio.run(follower.publisher.chain_after("clinic", "0" * 43, generation + 7, seconds=0))
    pair.tick()
    pair.tick()
    assert generations(follower.lines, follower)[-1] > generation + 7
    assert pair.is_one


def test_only_who_leads_opens(pair: Pair) -> None:
    """What is kept in a file of the node that leads is refused elsewhere, with its name."""
    pair.nodes[0].publisher.require_lead("routes are opened")
    with pytest.raises(UnavailableError, match="routes are opened at the node that tells gates: a"):
        pair.nodes[1].publisher.require_lead("routes are opened")


def test_who_cannot_write_says_so(pair: Pair) -> None:
    """The rows have the lines all the same, so that another node can go on; who can write again says that, too."""
    leader, log = pair.nodes[0], pair.logs[0]
    assert set(log.hindrances) == {""}
    pair.rows.store.revoke("thief")
    with full_disk(0), pytest.raises(PrivateFileError):
        asyncio.run(leader.publisher.keep_up(leader.now))
    assert "can't be written" in log.hindrances[-1]
    with full_disk(0), pytest.raises(PrivateFileError):
        asyncio.run(pair.nodes[1].publisher.keep_up(leader.now))
    assert "can't be written" in pair.logs[1].hindrances[-1]
    pair.tick()
    assert [each.hindrances[-1] for each in pair.logs] == ["", ""]
    assert pair.is_one
    assert pair.nodes[1].lists("thief") == [True]
