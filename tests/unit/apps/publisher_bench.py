"""Hold a publisher over a simulated store, on a directory and at a time that a test sets."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

from tests.unit.apps.service_bench import GATE_POLICIES
from tests.unit.enrolment.simulators import CLINIC, SeededEntropy

from watchword.adapters.documents import FileDocument
from watchword.adapters.gate_bundle import GateBundleFile
from watchword.adapters.gate_bundle.chain_file import chain_path
from watchword.adapters.keyring.file import KeyRing
from watchword.adapters.nodes import GateLog
from watchword.apps.service.publisher import GatePublisher, PublishedStore, PublisherBounds
from watchword.enrolment.service import pairwise_subject
from watchword.gate.bundle import GateBundle, from_jws
from watchword.gate.chain import ChainReader
from watchword.gate.cuts import ScheduledCut
from watchword.ports import AuditEntry, RevocationCursor, RevocationNews, RevokedInstance
from watchword.vocabulary import Environment, Level

NOW = datetime(2026, 11, 1, tzinfo=UTC)
LIFETIME = 300


@dataclass
class SimulatedStore:
    """Implement the part of the store that the publisher asks: who was revoked, in the order of the trail.

    :ivar pending: who was revoked and couldn't be written yet.
    :ivar scheduled: what an operator cut.
    :ivar held: whose last token a cut covers.
    :ivar told: how many revoked ones it has told of.
    """

    revoked: list[RevokedInstance] = field(default_factory=list)
    pending: list[RevokedInstance] = field(default_factory=list)
    scheduled: list[ScheduledCut] = field(default_factory=list)
    held: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)
    told: int = 0

    def revoke(self, *names: str, at: datetime = NOW) -> None:
        """Revoke instances."""
        self.revoked += [RevokedInstance(each, (CLINIC,), at) for each in names]

    async def cuts(self, since: int) -> list[ScheduledCut]:
        """See the port."""
        return [each for each in self.scheduled if each.cut.before >= since]

    async def holders(
        self, app: str, level: Level | None, since: datetime, before: datetime, after: int
    ) -> tuple[list[tuple[str, tuple[str, ...]]], int | None]:
        """See the port."""
        del app, level, since, before, after
        return self.held, None

    async def revocations(
        self, since: datetime, after: RevocationCursor | None, limit: int
    ) -> RevocationNews:
        """See the port."""
        news = self._news(since, after, limit)
        self.told += len(news.instances)
        return news

    def _news(self, since: datetime, after: RevocationCursor | None, limit: int) -> RevocationNews:
        last = len(self.revoked)
        anew = after is None or after.sequence > last
        start = 0 if after is None or anew else after.sequence
        found = [each for each in self.revoked[start : start + limit] if each.revoked_at >= since]
        end = min(last, start + limit)
        more = end < last
        return RevocationNews(
            RevocationCursor(end, (0, 0) if more else None),
            found if more else [*found, *self.pending],
            anew,
            more,
        )

    async def audit_from(self, number: int, limit: int) -> Sequence[AuditEntry]:
        """See the port: a revocation is one entry, and there are no others."""
        some = self.revoked[number - 1 : number - 1 + limit]
        return [
            AuditEntry(each.revoked_at, "operator", "revoked", each.id, number=place)
            for place, each in enumerate(some, number)
        ]


@dataclass
class PublisherBench:
    """Hold a publisher on a directory, and a time that the test sets."""

    directory: Path
    store: SimulatedStore = field(default_factory=SimulatedStore)
    bounds: PublisherBounds = field(default_factory=PublisherBounds)
    lifetime: int = LIFETIME
    now: datetime = NOW
    set_by: float = 0.0
    entropy: SeededEntropy = field(default_factory=SeededEntropy)
    log: GateLog | None = None

    def __post_init__(self) -> None:
        """Begin as a process does."""
        self.keyring = KeyRing(
            FileDocument(self.directory / "keyring.json"),
            environment=Environment.PROD,
            grace=330,
            now=NOW.timestamp(),
            entropy=self.entropy,
        )
        self.start()

    def start(self) -> None:
        """Begin anew, as another process on the same directory."""
        self.publisher = GatePublisher(
            directory=self.directory / "gates",
            policies=GATE_POLICIES[:1],
            keyring=self.keyring,
            store=cast(PublishedStore, self.store),
            random=self.entropy.token_bytes,
            token_lifetime=self.lifetime,
            bounds=self.bounds,
            steady=lambda: self.now.timestamp() - self.set_by,
            log=self.log,
        )

    def set_clock(self, seconds: float) -> None:
        """Set the clock of the service ahead, or back: no time passes."""
        self.now += timedelta(seconds=seconds)
        self.set_by += seconds

    def tick(self) -> None:
        """Publish."""
        asyncio.run(self.publisher.publish(self.now))

    @property
    def path(self) -> Path:
        """Return where the first version stands."""
        return self.directory / "gates" / "clinic.jws"

    @property
    def chain(self) -> Path:
        """Return where the chain stands."""
        return chain_path(self.path)

    @property
    def lines(self) -> Sequence[bytes]:
        """Return the chain's lines."""
        return self.chain.read_bytes().split(b"\n")[:-1]

    @property
    def first(self) -> GateBundle:
        """Return what the first version says."""
        key = self.keyring.bundle_signer().verification_key()
        return from_jws(self.path.read_bytes(), key)

    def reader(self, lines: Sequence[bytes] | None = None) -> ChainReader:
        """Return a gate that took the chain from its file, or other lines."""
        reader = ChainReader(self.keyring.bundle_signer().verification_key())
        reader.take(self.lines if lines is None else lines)
        return reader

    def gate(self) -> GateBundleFile:
        """Return a gate that looks at the files each time that it is asked."""
        ticking = iter(range(1_000_000))
        return GateBundleFile(self.path, self.path.with_name("signer.jwk"), lambda: next(ticking))

    def told(self, reader: ChainReader) -> Sequence[bytes]:
        """Return what a gate is told over the network that has what a reader has."""
        bundle = reader.bundle
        generation = 0 if bundle is None else bundle.generation
        answer = asyncio.run(
            self.publisher.chain_after("clinic", reader.tip, generation, seconds=0)
        )
        return [] if answer is None else b"".join(answer.parts).split(b"\n")[:-1]

    def subject(self, name: str) -> str:
        """Return under which name the clinic knows an instance."""
        return pairwise_subject(name, CLINIC, self.keyring.ring.pairwise_key)

    def lists(self, *names: str) -> list[bool]:
        """Tell who is revoked for a gate that starts now."""
        bundle = self.reader().bundle
        assert bundle is not None
        return [bundle.is_revoked(self.subject(each)) for each in names]
