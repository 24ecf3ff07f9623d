"""Say what the nodes of one service know of each other, and what a leader publishes for all of them.

Several nodes need a store that they share: :mod:`watchword.adapters.postgres.node` is a node's place in it, and
:mod:`watchword.adapters.postgres.publication` keeps what is published.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Final, Protocol

from watchword.adapters.store import Exchange, RollbackDetector

LIVE_SECONDS: Final = 5.0
"""A node that hasn't said anything for so long doesn't count as live."""

MOST_SKEW_SECONDS: Final = 5.0
"""By so much a node's clock may differ from the store's; one that is further off is unready and leads nothing."""


class Chore(StrEnum):
    """Name work of which one node at a time does each."""

    GATES = "gates"
    JUDGING = "judging"
    RECEIPTS = "receipts"
    EXPIRY = "expiry"


@dataclass(frozen=True, slots=True)
class NodeIdentity:
    """Hold what a node is.

    :param run: of this process, unlike any other's.
    :param service: a digest of what a service's keys never change: nodes of another service have another one.
    :param configuration: a digest of what the configuration says to all nodes alike.
    :param key_ring: a digest of all keys and their states.
    """

    name: str
    run: int
    version: str
    service: str
    configuration: str
    key_ring: str


@dataclass(frozen=True, slots=True)
class OtherNode:
    """Hold what a node says of itself.

    :param ring_version: of the key ring that its gates know, where nodes share one.
    :param published: the revision of what its gates have.
    :param unready: why no traffic should go there, in codes; empty for nothing.
    :param silent: for how many seconds it has said nothing.
    """

    name: str
    run: int
    version: str
    configuration: str
    key_ring: str
    ring_version: int
    published: int
    unready: str
    silent: float

    @property
    def is_live(self) -> bool:
        """Tell whether it runs, as far as that is known."""
        return self.silent < LIVE_SECONDS


@dataclass(frozen=True, slots=True)
class ClusterView:
    """Hold what a look at the store showed.

    :param changes: the revision of the change log.
    :param revision: of what is published; ``covers`` is the revision of the change log that it reaches.
    :param lifted: the highest generation that a gate showed and nobody had given out.
    :param epoch: the newest epoch of challenges; ``forgotten`` up to which expiry uses may have been forgotten.
    :param configuration: of the node that led last; ``key_ring`` likewise, and ``service``.
    :param skew: by how many seconds this node's clock is ahead of the store's.
    :param nodes: all nodes that were there within a day.
    :param leaders: by chore the term and the node.
    """

    changes: int = 0
    revision: int = 0
    covers: int = 0
    lifted: int = 0
    epoch: int = 0
    forgotten: int = 0
    service: str = ""
    configuration: str = ""
    key_ring: str = ""
    skew: float = 0.0
    nodes: Sequence[OtherNode] = ()
    leaders: Mapping[str, tuple[int, str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PublishedLines:
    """Hold lines of one API's chain.

    :param anew: whether they begin with a snapshot that takes the place of all before.
    """

    lines: Sequence[bytes]
    anew: bool


@dataclass(frozen=True, slots=True)
class PublishedNews:
    """Hold what was published since a revision.

    :param revision: up to which this is.
    :param covers: the revision of the change log that it reaches; ``changes`` is the newest one.
    :param chains: by API, what is new of its chain.
    :param firsts: by API, its bundle in the first version where that is new.
    """

    revision: int
    covers: int
    changes: int
    lifted: int
    chains: Mapping[str, PublishedLines]
    firsts: Mapping[str, bytes]


class GateLog(Protocol):
    """Keep what is published where every node reads it; each call may wait for the store.

    Each raises :class:`UnavailableError` where the store can't answer, and those that write :class:`FencedError`
    (:mod:`watchword.adapters.terms`) where this node doesn't lead any more.
    """

    def leads(self) -> bool:
        """Tell whether this node publishes, as far as it knows; asks nobody."""

    def covers(self) -> int:
        """Return the revision of the change log that gates are told of, as of the last look; asks nobody."""

    def leader(self) -> str:
        """Return who publishes, as of the last look, empty where nobody does; asks nobody."""

    def draw(self, steps: int, least: int) -> int:
        """Return a generation that is higher by ``steps`` than any that was drawn before, and ``least`` at least."""

    def append(self, api: str, published: PublishedLines) -> int:
        """Add lines to a chain; return the revision."""

    def put_first(self, api: str, bundle: bytes) -> int:
        """Put an API's bundle in the first version in place of the one before; return the revision."""

    def note(self, covers: int) -> int:
        """Say how far of the change log everything is published; return the revision."""

    def lift(self, generation: int) -> None:
        """Say that a gate has a generation that nobody gave out; any node may."""

    def changes(self) -> int:
        """Return the revision of the change log now."""

    def read(self, after: int) -> PublishedNews:
        """Return what is newer than a revision."""

    def adopted(self, revision: int, trouble: str) -> None:
        """Say how far this node's gates are, and what keeps them from being as far as they should."""

    def hindered(self, why: str) -> None:
        """Say what keeps this node from writing what gates read, nothing where it can; another node publishes then."""


class Nodes(Protocol):
    """Know the other nodes, and what this one may do alone."""

    @property
    def view(self) -> ClusterView:
        """Return what the last look showed."""

    def leads(self, chore: Chore) -> bool:
        """Tell whether this node does a chore, as far as it knows."""

    def within(self, chore: Chore) -> AbstractContextManager[bool]:
        """Have what the block writes belong to this node's term of a chore, and tell whether it does the chore.

        Once another node does it, each transaction of the block raises :class:`watchword.adapters.terms.FencedError`.
        """

    def unready(self) -> Sequence[str]:
        """Return why no traffic should come here, in codes, nothing where it should."""

    def others(self) -> Sequence[OtherNode]:
        """Return the other nodes that are live."""

    def begin(self, on_news: Callable[[], None]) -> None:
        """Begin to follow; ``on_news`` is called from another thread when there may be something new."""

    def watch(self) -> None:
        """Let go of a connection that hasn't answered for long; is called each second or so."""

    def close(self) -> None:
        """Leave: what this node did others take over."""

    def raise_epoch(self, epoch: int, forgotten: int) -> None:
        """Have all nodes go on with an epoch of challenges, unless theirs is later."""

    def know_ring(self, version: int) -> None:
        """Say which version of a shared key ring this node's gates know."""

    def behind(self, version: int) -> Sequence[str]:
        """Return the live nodes whose gates don't know a version of the key ring yet; waits for the server.

        :raises UnavailableError: ``store.unavailable``.
        """


class OnlyNode:
    """Implement :class:`Nodes` for a service of one process: it does everything."""

    view = ClusterView()

    def leads(self, chore: Chore) -> bool:  # noqa: ARG002 - all of them.
        """See :meth:`Nodes.leads`."""
        return True

    def within(self, chore: Chore) -> AbstractContextManager[bool]:  # noqa: ARG002 - all of them.
        """See :meth:`Nodes.within`."""
        return nullcontext(enter_result=True)

    def unready(self) -> Sequence[str]:
        """See :meth:`Nodes.unready`."""
        return ()

    def others(self) -> Sequence[OtherNode]:
        """See :meth:`Nodes.others`."""
        return ()

    def begin(self, on_news: Callable[[], None]) -> None:
        """See :meth:`Nodes.begin`: there is no news."""

    def watch(self) -> None:
        """See :meth:`Nodes.watch`."""

    def close(self) -> None:
        """See :meth:`Nodes.close`."""

    def raise_epoch(self, epoch: int, forgotten: int) -> None:
        """See :meth:`Nodes.raise_epoch`: the file has it."""

    def know_ring(self, version: int) -> None:
        """See :meth:`Nodes.know_ring`."""

    def behind(self, version: int) -> Sequence[str]:  # noqa: ARG002 - nobody is.
        """See :meth:`Nodes.behind`."""
        return ()


ONLY_NODE: Final = OnlyNode()


class SharedMark(RollbackDetector):
    """Keep the epoch of challenges with other nodes: what one gave out, any other takes.

    Each node has a mark of its own beside the store.  Whoever notices an older copy begins another epoch for all.
    """

    def __init__(self, path: Path, nodes: Nodes) -> None:
        """Read the file.

        :raises PrivateFileError: when it can't be trusted.
        """
        super().__init__(path)
        self._nodes = nodes

    @property
    def number(self) -> int:
        """See :attr:`watchword.enrolment.statement.ChallengeEpochs.number`."""
        return max(super().number, self._nodes.view.epoch)

    @property
    def forgotten(self) -> int:
        """See :attr:`watchword.enrolment.statement.ChallengeEpochs.forgotten`."""
        return max(super().forgotten, self._nodes.view.forgotten)

    def begin(self, now: datetime) -> None:
        """See :meth:`watchword.enrolment.statement.ChallengeEpochs.begin`."""
        self.follow(self._nodes.view.epoch)
        super().begin(now)
        self._nodes.raise_epoch(super().number, 0)

    def compare(self, sequence: int, file: int, now: datetime) -> Exchange | None:
        """See :meth:`RollbackDetector.compare`; a node that knows nothing yet believes those that run."""
        epoch = self._nodes.view.epoch
        if epoch and self._nodes.others():
            self.join(sequence, file, epoch)
        self.follow(epoch)
        found = super().compare(sequence, file, now)
        self._nodes.raise_epoch(super().number, super().forgotten)
        return found

    def advance(self, sequence: int) -> None:
        """See :meth:`RollbackDetector.advance`."""
        self.follow(self._nodes.view.epoch)
        super().advance(sequence)

    def forget(self, before: datetime) -> None:
        """See :meth:`RollbackDetector.forget`."""
        super().forget(before)
        self._nodes.raise_epoch(super().number, super().forgotten)
