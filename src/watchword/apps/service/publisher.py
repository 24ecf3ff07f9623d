"""Tell each gate what it must know: policy, token keys, gate secrets, revoked instances.

One bundle for each API, assembled from policy, key ring and store alone, so that it can be made anew at any time, and
written only when what it says has changed.  It is written twice under one generation: as a chain
(:mod:`watchword.apps.service.chains`), and then in the first version (:mod:`watchword.apps.service.first_version`).
What the store has is read once, and from then on only what is new.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Final, Protocol

import structlog

from watchword.adapters.gate_bundle import publish_bundle
from watchword.adapters.gate_bundle.chain_file import chain_path
from watchword.adapters.gate_bundle.floor import floor_path
from watchword.adapters.gate_bundle.freshness import BEAT_SECONDS, freshness_path, note_fresh
from watchword.adapters.keyring.file import KeyRing, KeyState
from watchword.adapters.keyring.private_file import (
    PrivateFileError,
    locked_directory,
    read_private,
    remove_leftovers,
)
from watchword.adapters.nodes import GateLog, PublishedLines, PublishedNews
from watchword.adapters.sealed_rows import OPENINGS
from watchword.apps.compose.secrets import NO_SECRETS, SecretWork
from watchword.apps.service.chains import ChainWriter, RevokedSubjects
from watchword.apps.service.cut_names import CutNames
from watchword.apps.service.first_version import FirstVersionWriter, Published
from watchword.apps.service.openings import HeldOpening, OpeningBook
from watchword.apps.service.trail import AuditSeal
from watchword.apps.service.window import PatientClock, TokenWindow
from watchword.broker.interface import HoneytokenWatch
from watchword.enrolment.service import pairwise_subject
from watchword.gate.bundle import (
    GateBundle,
    GateBundleError,
    signer_to_json,
)
from watchword.gate.chain import MOST_REVOKED
from watchword.gate.cuts import MOST_CUTS, Cut, CutStore, ScheduledCut, merged
from watchword.gate.interface import GatePolicy
from watchword.gate.trail import AuditHead, trail_key
from watchword.ports import InstanceStore, RevocationCursor, RevocationNews
from watchword.reasons import Reason, UnavailableError, WatchwordError
from watchword.tokens.interface import MAX_LEEWAY_SECONDS, MAX_LIFETIME_SECONDS

SIGNER_FILE: Final = "signer.jwk"
_GENERATION_FILE: Final = "gate-generation"
_SEAL_FILE: Final = "audit-head.json"
_WINDOW_FILE: Final = "gate-window.json"
_OPENINGS_FILE: Final = "gate-openings.json"
_MAX_GENERATION_DIGITS: Final = 15

MOST_NAMED: Final = 300_000
"""Most revoked instances in the first version of a bundle, which has room for 350,000; chains go on beyond."""


@dataclass(frozen=True, slots=True)
class PublisherBounds:
    """Hold how many revoked instances are listed for one audience.

    :ivar named: most in the first version of a bundle; beyond, gates that read it alone aren't told any more.
    :ivar listed: most in a chain; beyond, all tokens of before are cut.
    """

    named: int = MOST_NAMED
    listed: int = MOST_REVOKED


MOST_LIFTED: Final = 1_000_000
"""By so much at most gates that have a higher generation raise ours in one process."""

MOST_READ: Final = 1000
"""So many revoked instances are read at a time, in a few milliseconds."""

TOLD_SECONDS: Final = 5.0
"""How long a change waits at one node until another one has told gates of it: a hand-over takes less."""

FIRST_SECONDS: Final = 15.0
"""How long a start waits for another node to publish."""

MOST_NAMED_BY_NODES: Final = 50_000
"""Most revoked instances in the first version of a bundle that several nodes hand out: each change goes to all of them whole."""

_PAUSE_SECONDS: Final = 0.001
_LOOK_SECONDS: Final = 0.02

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class ChainAnswer:
    """Hold lines of a chain for a gate, in parts, and the generation that they lead to."""

    parts: Sequence[bytes]
    generation: int

    def __repr__(self) -> str:
        """Show no secret."""
        return f"ChainAnswer({sum(map(len, self.parts))} bytes, generation={self.generation})"


SETTLED_SECONDS: Final = 1.0
"""How long a key is prepared at least before it signs: twice as long as gates may take to see it."""


@dataclass(slots=True)
class _Reading:
    """Hold how far a node has read what is published for all.

    :ivar position: the revision, 0 before everything was read.
    :ivar covers: the revision of the change log that it reaches.
    :ivar in_doubt: whether nobody knows what became of the last lines.
    :ivar unbelieved: what of it can't be believed, empty for nothing.
    """

    position: int = 0
    covers: int = 0
    in_doubt: bool = False
    unbelieved: str = ""


class PublishedStore(InstanceStore, CutStore, Protocol):
    """Tell who is revoked and what is cut."""

    @property
    def pending(self) -> int:
        """Return how much is done that couldn't be written yet."""


class GatePublisher:
    """Assemble, sign and write the bundles; the only one who does."""

    unread = timedelta(0)
    """For how long an instance may renew without a word of it in the store."""

    is_behind: Callable[[], bool] = staticmethod(lambda: False)
    """Tell whether this node is about to go by a configuration that another one has applied."""

    def __init__(
        self,
        *,
        directory: Path,
        policies: Sequence[GatePolicy],
        keyring: KeyRing,
        store: PublishedStore,
        secrets: SecretWork = NO_SECRETS,
        random: Callable[[int], bytes],
        token_lifetime: int,
        bounds: PublisherBounds = PublisherBounds(),
        steady: Callable[[], float] | None = None,
        log: GateLog | None = None,
    ) -> None:
        """Keep the sources; nothing is written yet.

        :param directory: of the bundles, made with mode 0700; in the file ``gate-generation``
            beside it stands the last generation, so that it also grows where all bundles were
            removed and the clock was set back.
        :param random: returns so many bytes that nobody can guess.
        :param token_lifetime: seconds for which tokens are issued now.
        :param steady: seconds that nobody sets; None where jumps of the clock are meant.
        :param log: what one of several nodes publishes; None for one process.
        """
        beside = directory.with_name
        self.openings = _book(beside(_OPENINGS_FILE), secrets)
        self._directory = directory
        self._counter = beside(_GENERATION_FILE)
        self._policies = {policy.api: policy for policy in policies}
        self._keyring = keyring
        self._store = store
        self._secrets = secrets
        self._before: Mapping[str, GateBundle] | None = None
        self._honeytoken_trouble = ""
        self._turn = asyncio.Lock()
        self._generation = self._beaten = self._latest = self._lifted = 0
        self._firsts: dict[str, FirstVersionWriter] = {}
        self._news, self._listeners = asyncio.Event(), list[Callable[[], None]]()
        self._random = random
        self._steady = steady
        self._patient = PatientClock()
        self._since = datetime.min.replace(tzinfo=UTC)
        self._window = TokenWindow(beside(_WINDOW_FILE), token_lifetime)
        self._bounds = bounds
        self._cursor: RevocationCursor | None = None
        self._revoked: dict[str, RevokedSubjects] = {}
        self._cut_off: dict[str, tuple[int, float]] = {}
        self._scheduled: Sequence[ScheduledCut] = ()
        self._ahead: dict[int, int] = {}
        self._cut_names = CutNames(store, keyring.ring.pairwise_key)
        self.window_seconds = MAX_LIFETIME_SECONDS + MAX_LEEWAY_SECONDS
        """For so long after an instant a token of before it may be alive, as of the last publication."""
        self._chains: dict[str, ChainWriter] = {}
        self._preparing: dict[str, threading.Thread] = {}
        self._without_names: dict[str, str] = {}
        self._most_lifted: int | None = None
        self._swept = False
        self._told_ring = (0, 0.0)
        self._log, self._reading = log, _Reading()
        self._seal = AuditSeal(store, trail_key(keyring.ring.pairwise_key), beside(_SEAL_FILE))

    @property
    def since(self) -> datetime:
        """Return the instant before which nobody was issued a token that is alive, as of the last publication."""
        return self._since

    def last_cut(self, app: str) -> datetime | None:
        """Return the end of the second of the latest cut in force that may concern an app, None where there is none."""
        cuts = (each.cut for each in self._scheduled)
        newest = max((cut.before for cut in cuts if cut.app in {None, app}), default=None)
        return None if newest is None else datetime.fromtimestamp(newest + 1, UTC)

    @property
    def policies(self) -> Mapping[str, GatePolicy]:
        """Return by API what its gate keeps."""
        return self._policies

    @property
    def generation(self) -> int:
        """Return the generation that gates were told last, 0 before the first."""
        # Another node may have told them since.
        return max(self._generation, *(each.generation for each in self._chains.values()), 0)

    async def go_by(
        self, policies: Sequence[GatePolicy], token_lifetime: int, now: datetime
    ) -> None:
        """Tell gates other policies from the next publication on; the APIs are the same.

        :param token_lifetime: seconds for which tokens are issued from now on.
        """
        # A publication that goes on ends by the policies that it began with.
        async with self._turn:
            await asyncio.to_thread(self._window.change, token_lifetime, now.timestamp())
            self._policies = {policy.api: policy for policy in policies}

    def audience_of(self, api: str) -> str | None:
        """Return the audience of an API, None if there is no such API."""
        policy = self._policies.get(api)
        return None if policy is None else policy.expectation.audience

    def reference_keys(self) -> Iterator[bytes]:
        """Yield each key under which a reference may be sealed: the service's own, then the gates'."""
        yield self._keyring.ring.reference_key
        for policy in self._policies.values():
            yield self._keyring.reference_key(policy.expectation.audience)

    def on_news(self, told: Callable[[], None]) -> None:
        """Have a function called whenever files may have changed: a gate of this process needn't wait for its next look."""
        self._listeners.append(told)

    def _tell_news(self) -> None:
        for told in self._listeners:
            told()
        news, self._news = self._news, asyncio.Event()
        news.set()

    @contextmanager
    def _hindrance_told(self) -> Iterator[None]:
        """Tell the other nodes where a file can't be written here, and where it can again."""
        try:
            yield
        except PrivateFileError as error:
            if self._log is not None:
                self._log.hindered(str(error))
            raise
        if self._log is not None:
            self._log.hindered("")

    async def publish(self, now: datetime) -> None:
        """Write each bundle that says something new; return when the files are durable.

        Where another node publishes, return when it has told gates all that is known by now, and the files here say so.

        :raises UnavailableError: when the store can't be read, or no node has told gates in time.
        :raises WatchwordError: when a file can't be written; gates then keep what they have.
        """
        if self._log is None or self._log.leads():
            await self._publish(now)
        else:
            await self._until_told(self._log, now)

    async def keep_up(self, now: datetime) -> None:
        """Publish what is new, or have what another node published; raises as :meth:`publish` does."""
        if self._log is None or self._log.leads():
            await self._publish(now)
        else:
            await self._follow(self._log, now)

    async def begin(self, now: datetime) -> None:
        """Publish for the first time, or have what another node published; raises as :meth:`publish` does.

        An API that it doesn't know yet is closed here until it does.
        """
        until = asyncio.get_running_loop().time() + FIRST_SECONDS
        while True:
            await self.keep_up(now)
            if self._log is None or self._log.leads() or self._reading.position:
                return
            if asyncio.get_running_loop().time() > until:
                raise UnavailableError(
                    Reason.STORE_UNAVAILABLE,
                    "no other node tells gates, and this one may not: see `watchword nodes`",
                )
            await asyncio.sleep(_LOOK_SECONDS)

    def require_lead(self, what: str) -> None:
        """Refuse what only the node that tells gates can do.

        :raises UnavailableError: ``service.overloaded``, with the node's name.
        """
        if self._log is not None and not self._log.leads():
            leader = self._log.leader()
            raise UnavailableError(
                Reason.STORE_UNAVAILABLE,
                f"{what} at the node that tells gates: {leader or 'none does now'}; see `watchword nodes`",
            )

    async def _until_told(self, log: GateLog, now: datetime) -> None:
        wanted = await asyncio.to_thread(log.changes)
        until = asyncio.get_running_loop().time() + TOLD_SECONDS
        while True:
            if log.leads():
                await self._publish(now)
                return
            if log.covers() >= wanted:
                await self._follow(log, now)
                if self._reading.covers >= wanted:
                    return
            if asyncio.get_running_loop().time() > until:
                raise UnavailableError(
                    Reason.STORE_UNAVAILABLE,
                    "it is in the store, but no node has told gates of it yet: see `watchword nodes`",
                    retry_after=1,
                )
            await asyncio.sleep(_LOOK_SECONDS)

    async def _follow(self, log: GateLog, now: datetime) -> None:
        """Have in the files here what the leader published, and be ready to go on with it."""
        async with self._turn:
            before = self._reading.position
            try:
                with self._hindrance_told():
                    await self._catch_up(now)
                    await asyncio.to_thread(self._adopt_published, log, now)
            finally:
                if self._reading.position != before:
                    self._tell_news()

    def _adopt_published(self, log: GateLog, now: datetime) -> None:
        with locked_directory(self._directory):
            self._write_signer()
            self._sweep()
            # When each ends by this machine's clock is noted when it is heard of: this node may be the next to tell gates.
            self.openings.in_force(now.timestamp())
            news = self._take_published(log)
            if not self._reading.unbelieved and news.covers >= news.changes:
                self._beat(int(now.timestamp()))

    def _take_published(self, log: GateLog) -> PublishedNews:
        """Take over what was published since the last time.

        :raises WatchwordError: when a file can't be written.
        """
        if self._reading.in_doubt:
            # What became of the last lines nobody knows: the log says it.
            self._chains, self._firsts = {}, {}
            self._reading.position, self._reading.in_doubt = 0, False
        news = log.read(self._reading.position)
        whole, trouble = self._reading.position == 0 or news.revision < self._reading.position, ""
        for api in self._policies:
            try:
                self._take_lines(log, api, news, whole=whole)
            except GateBundleError as error:
                trouble = f"{api}: {error}"
        self._lifted = max(self._lifted, news.lifted)
        self._reading.covers = news.covers
        # Once more from the start where something can't be believed: it may have been mended meanwhile.
        self._reading.position = 0 if trouble else news.revision
        if trouble != self._reading.unbelieved:
            self._reading.unbelieved = trouble
            _log.error(
                "what is published can't be believed" if trouble else "it can be believed again",
                detail=trouble,
            )
        log.adopted(news.revision, trouble)
        return news

    def _take_lines(self, log: GateLog, api: str, news: PublishedNews, *, whole: bool) -> None:
        chain, found = self._chain(api), news.chains.get(api)
        if found is not None:
            try:
                reaches = chain.take(found.lines, anew=found.anew)
            except GateBundleError:
                if not log.leads():
                    raise
                reaches = False
        else:
            reaches = not whole or chain.bundle is None
        if not reaches:
            # The rows can't be believed, or are older than what gates here have had: they were changed by hand, or put back,
            # or this node had a store of its own.
            if log.leads():
                # A snapshot takes their place.
                chain.prepare(self._subjects(self._policies[api].expectation.audience))
            elif chain.generation > news.lifted:
                log.lift(chain.generation)
        elif log.leads() and chain.generation <= news.lifted and chain.bundle is not None:
            chain.renew()
        chain.mend()
        if (first := news.firsts.get(api)) is not None:
            self._first(api).take(first)

    async def _publish(self, now: datetime) -> None:
        # Taken in turn: of two calls the second must not write what it read before the first did.
        with self._hindrance_told():
            async with self._turn:
                changed = await self._publish_in_turn(now)
        if changed:
            _log.debug("gates told", generation=self._generation, apis=changed)

    async def _publish_in_turn(self, now: datetime) -> Sequence[str]:
        extent = await self._catch_up(now)
        if self._log is not None:
            # What the change log reaches must be told: another node may have changed the keys a moment ago.
            with suppress(WatchwordError):
                await asyncio.to_thread(self._keyring.refresh)
            await asyncio.to_thread(self._take_published, self._log)
        audit = await self._seal.advance(extent, now.timestamp())
        held = await asyncio.to_thread(self.openings.in_force, now.timestamp())
        states = await self._assemble(now, audit, held)
        cuts = frozenset(cut for state in states for cut in state.cuts)
        await self._cut_names.refresh(cuts, self._since - self.unread, now)
        try:
            changed = await asyncio.to_thread(self._write, states, now)
            # Who applied it waits until gates are told of that too.
            if self._log is not None and self._cursor is not None and not self.is_behind():
                await asyncio.to_thread(self._note, self._log, self._cursor.sequence)
        finally:
            # Also after a failure: the bundles before it were written.
            self._tell_news()
        self._prepare(states)
        return changed

    def _note(self, log: GateLog, covers: int) -> None:
        """Say how far of the change log gates are told."""
        if covers != self._reading.covers:
            self._reading.position = log.note(covers)
            self._reading.covers = covers
            log.adopted(self._reading.position, "")

    async def seal(self, now: datetime) -> None:
        """Seal what is left of a long audit trail, beside the publications."""
        await self._seal.catch_up(now.timestamp())

    async def _catch_up(self, now: datetime) -> int:
        """Read who was revoked since the last time; nobody waits long for a part of it.

        :returns: the number of the last entry of the audit trail.
        """
        steady = now.timestamp() if self._steady is None else self._steady()
        aged = self._patient.time(now.timestamp(), steady)
        seconds = await asyncio.to_thread(self._window.seconds, aged)
        self._since = since = datetime.fromtimestamp(aged - seconds, UTC)
        while True:
            news = await self._store.revocations(since, self._cursor, MOST_READ)
            await asyncio.to_thread(self._take_in, news, now, steady)
            self._cursor = news.cursor
            if not news.more:
                break
        self.window_seconds = seconds
        self._scheduled = await self._store.cuts(int(since.timestamp()))
        for revoked in self._revoked.values():
            revoked.forget(steady - seconds)
        for audience, (_, made_at) in tuple(self._cut_off.items()):
            if made_at < steady - seconds:
                del self._cut_off[audience]
        return news.cursor.sequence

    def _prepare(self, states: Sequence[GateBundle]) -> None:
        """Have snapshots made that are due, beside everything else."""
        for state in states:
            api = state.policy.api
            chain, everyone = self._chain(api), self._subjects(state.policy.expectation.audience)
            running = self._preparing.get(api)
            if (running is None or not running.is_alive()) and chain.is_snapshot_due(everyone):
                # Ends with the process: nothing is lost with it.
                self._preparing[api] = threading.Thread(
                    target=chain.prepare, args=(everyone,), daemon=True
                )
                self._preparing[api].start()

    async def newer(self, api: str, than: int, seconds: float) -> Published | None:
        """Return the API's bundle once its generation is above ``than``.

        :param seconds: how long to wait for it.
        :returns: None when none came in time, or there is no such API.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while True:
                    news = self._news
                    first = self._firsts.get(api)
                    last = None if first is None else first.published
                    if last is not None and last.generation > than:
                        return last
                    await news.wait()
        return None

    async def chain_after(
        self, api: str, tip: str | None, generation: int, seconds: float
    ) -> ChainAnswer | None:
        """Return what follows a gate's line in the API's chain, and all of it where the line isn't in there.

        :param tip: the hash of the gate's last line, None where it has none.
        :param generation: of that line.  One that is higher than ours shows that we were set back: a chain of a higher
            one is made then.
        :param seconds: how long to wait for it.
        :returns: None when nothing came in time, or there is no such API.
        """
        until = asyncio.get_running_loop().time() + seconds
        while True:
            # Not while one is written: who has the chain finds the first version as far.
            async with self._turn:
                news, chain = self._news, None if self._reading.in_doubt else self._chains.get(api)
                if chain is not None and (found := self._answer(chain, tip, generation)):
                    return found
            try:
                async with asyncio.timeout_at(until):
                    await news.wait()
            except TimeoutError:
                return None

    def _answer(self, chain: ChainWriter, tip: str | None, generation: int) -> ChainAnswer | None:
        if tip is not None and generation >= chain.generation and not chain.has(tip):
            self._lift(chain, generation)
            return None
        parts = chain.after(tip)
        return None if parts is None else ChainAnswer(parts, chain.generation)

    def _lift(self, chain: ChainWriter, generation: int) -> None:
        """Go on above a generation that a gate has: this service was set back to an earlier state."""
        if self._most_lifted is None:
            self._most_lifted = self._highest() + MOST_LIFTED
        if self._lifted <= generation <= self._most_lifted:
            # A gate that has lost its chain says one less than it had: so it gets ours where that is as far.
            self._lifted = generation + 1
            chain.renew()
            if self._log is not None:
                asyncio.get_running_loop().run_in_executor(None, _lift, self._log, generation)
            _log.warning("a gate has a newer chain than this service", generation=generation)

    def _write(self, states: Sequence[GateBundle], now: datetime) -> list[str]:
        # Of two processes on one state directory the second must not give its bundles a number
        # that the first took: a gate that has one of them would never take the other.
        with locked_directory(self._directory):
            return self._write_changed(states, int(now.timestamp()))

    def _take_in(self, news: RevocationNews, now: datetime, steady: float) -> None:
        """List who isn't yet."""
        if news.anew:
            self._revoked = {}
            for chain in self._chains.values():
                chain.forget_numbers()
        key = self._keyring.ring.pairwise_key
        reading_all = news.anew or (self._cursor is not None and self._cursor.row is not None)
        found: dict[str, list[tuple[str, float]]] = {}
        for each in news.instances:
            # Who is revoked while we run is revoked now, whatever was written by a clock that somebody may have set.
            age = (now - each.revoked_at).total_seconds() if reading_all else 0.0
            at = steady - max(0.0, age)
            for audience in each.audiences:
                subject = pairwise_subject(each.id, audience, key)
                # What couldn't be written to the store yet comes each time.
                # Lines of other nodes may list it, though it isn't among the names here.
                fresh = self._log is not None and not self._store.pending
                if reading_all or fresh or not self._lists(audience, subject):
                    found.setdefault(audience, []).append((subject, at))
        for audience, subjects in found.items():
            revoked = self._subjects(audience)
            revoked.add(subjects)
            if len(revoked) > self._bounds.listed:
                revoked.forget(float("inf"))
                # A token of this very second may be one of theirs.
                self._cut_off[audience] = int(now.timestamp()) + 1, steady
                _log.warning(
                    "too many are revoked to list them: all tokens of before are cut off",
                    audience=audience,
                    most=self._bounds.listed,
                )

    def _lists(self, audience: str, subject: str) -> bool:
        return any(
            self._chain(policy.api).lists(subject)
            for policy in self._policies.values()
            if policy.expectation.audience == audience
        )

    def _subjects(self, audience: str) -> RevokedSubjects:
        if audience not in self._revoked:
            self._revoked[audience] = RevokedSubjects()
        return self._revoked[audience]

    def _write_changed(self, states: Sequence[GateBundle], now: int) -> list[str]:
        self._write_signer()
        self._sweep()
        due = {state.policy.api for state in states if self._is_due(state)}
        trouble: WatchwordError | None = None
        if due:
            try:
                self._draw(states, now)
            except PrivateFileError as error:
                # The disk is full: gates are told over the network all the same.
                trouble = error
        for step in (partial(self._write_chain, due), self._write_first):
            for state in states:
                try:
                    step(replace(state, generation=self._generation))
                except WatchwordError as error:
                    # Neither one API's trouble nor one version's may keep a revocation from other gates.
                    trouble = error
        if trouble is not None:
            raise trouble
        self._beat(now)
        return sorted(due)

    def _draw(self, states: Sequence[GateBundle], now: int) -> None:
        """Draw a generation; it is written ahead of the bundles: one that nobody got is lost without harm."""
        steps = max(
            self._chain(each.policy.api).steps(self._subjects(each.policy.expectation.audience))
            for each in states
        )
        least = max(self._highest() + steps, now)
        self._generation = least if self._log is None else self._log.draw(steps, least)
        publish_bundle(self._counter, f"{self._generation}\n".encode())

    def _is_due(self, state: GateBundle) -> bool:
        """Tell whether gates must be told something under another generation."""
        chain = self._chain(state.policy.api)
        listed = self._subjects(state.policy.expectation.audience)
        if not chain.says(state, listed) or chain.lags(state):
            return True
        said = self._as_first(state)
        if said is None:
            return False
        first = self._first(state.policy.api)
        same = first.says(said, listed)
        if first.bundle is None or first.generation > chain.generation:
            # A gate that has this one would take no chain that is older.
            return True
        # One that is behind the chain is brought after: no gate can have had it under the chain's generation.
        return not same and first.generation == chain.generation

    def _chain(self, api: str) -> ChainWriter:
        if api not in self._chains:
            key = self._keyring.bundle_signer().verification_key()
            record = None if self._log is None else partial(self._record_lines, self._log, api)
            made = ChainWriter(
                self._path(api), key, self._random, partial(time.sleep, _PAUSE_SECONDS), record
            )
            self._lifted = max(self._lifted, made.lifted_to)
            self._chains[api] = made
        return self._chains[api]

    def _first(self, api: str) -> FirstVersionWriter:
        if api not in self._firsts:
            key = self._keyring.bundle_signer().verification_key()
            pause = partial(time.sleep, _PAUSE_SECONDS)
            record = None if self._log is None else partial(self._record_first, self._log, api)
            self._firsts[api] = FirstVersionWriter(self._path(api), key, pause, record)
        return self._firsts[api]

    def _record_lines(self, log: GateLog, api: str, lines: Sequence[bytes], anew: bool) -> None:
        doubted, self._reading.in_doubt = self._reading.in_doubt, True
        self._reading.position = log.append(api, PublishedLines(lines, anew))
        self._reading.in_doubt = doubted

    def _record_first(self, log: GateLog, api: str, bundle: bytes) -> None:
        doubted, self._reading.in_doubt = self._reading.in_doubt, True
        self._reading.position = log.put_first(api, bundle)
        self._reading.in_doubt = doubted

    def _write_chain(self, due: Collection[str], state: GateBundle) -> None:
        chain = self._chain(state.policy.api)
        if state.policy.api in due:
            everyone = self._subjects(state.policy.expectation.audience)
            chain.write(state, everyone, self._keyring.bundle_signer())
        else:
            chain.mend()

    def _as_first(self, state: GateBundle) -> GateBundle | None:
        """Return a state as the first version says it beside who is revoked, None where that can't: it is left as it is then."""
        api, audience = state.policy.api, state.policy.expectation.audience
        cut, trouble = self._cut_names.of(audience), ""
        if cut is None:
            trouble = "they can't be told that tokens are cut off: the instances are too many"
        elif len(self._subjects(audience)) > self._bounds.named:
            trouble = f"more than {self._bounds.named} are revoked"
        if trouble != self._without_names.get(api, ""):
            self._without_names[api] = trouble
            event = "engines and earlier gates aren't told" if trouble else "all gates are told"
            _log.warning(event, api=api, detail=trouble)
        # What it can't say is closed: who reads it alone goes by the policy as it is written.
        said = replace(state, cuts=(), openings=())
        return None if cut is None or trouble else replace(said, revoked=cut)

    def _write_first(self, state: GateBundle) -> None:
        """Bring the first version as far as the chain is."""
        api = state.policy.api
        first, generation = self._first(api), self._chain(api).generation
        everyone = self._subjects(state.policy.expectation.audience)
        if (said := self._as_first(state)) is None:
            first.rest()
        elif not first.says(said, everyone) or first.generation != generation:
            said = replace(said, generation=generation)
            first.write(said, everyone, self._keyring.bundle_signer())

    def _beat(self, now: int) -> None:
        """Let the gates know now and then that what they have is the newest there is."""
        # A clock that was set back must not silence it for as long.
        if not 0 <= now - self._beaten < BEAT_SECONDS:
            self._beaten = now
            for api in self._policies:
                if not self._without_names.get(api):
                    note_fresh(self._path(api))
                note_fresh(chain_path(self._path(api)))

    def _highest(self) -> int:
        """Return the highest generation that any gate may have."""
        published = (each.generation for each in self._firsts.values())
        chained = (each.generation for each in self._chains.values())
        return max(self._generation, self._counted(), self._lifted, *published, *chained, 0)

    def _counted(self) -> int:
        """Return what the counter's file says; one that can't be read counts for nothing."""
        try:
            text = read_private(self._counter, _MAX_GENERATION_DIGITS + 1)
        except PrivateFileError:
            return 0
        return int(text) if text is not None and text.strip().isdigit() else 0

    def _write_signer(self) -> None:
        path = self._directory / SIGNER_FILE
        wanted = signer_to_json(self._keyring.bundle_signer().verification_key())
        with suppress(PrivateFileError):
            if read_private(path) == wanted:
                return
        publish_bundle(path, wanted)

    def _sweep(self) -> None:
        """Remove the bundles of APIs that are there no more, once: they hold secrets."""
        if self._swept:
            return
        self._swept = True
        for path in map(self._path, self._policies):
            for each in (path, chain_path(path)):
                remove_leftovers(each)
        for path in self._directory.glob("*.jws"):
            if path.stem not in self._policies:
                for each in (path, chain_path(path)):
                    each.unlink(missing_ok=True)
                    freshness_path(each).unlink(missing_ok=True)
                floor_path(path).unlink(missing_ok=True)

    def _path(self, api: str) -> Path:
        return self._directory / f"{api}.jws"

    async def _assemble(
        self, now: datetime, audit: AuditHead | None, held: Sequence[HeldOpening]
    ) -> list[GateBundle]:
        ring, at = self._keyring.ring, now.timestamp()
        keys = tuple(key.verification_key() for key in ring.token_keys)
        before = await self._told_before()
        canaries = self._canaries(before)
        bundles = []
        for policy in self._policies.values():
            audience, told = policy.expectation.audience, before.get(policy.api)
            bundles.append(
                GateBundle(
                    generation=0,
                    made_at=int(at),
                    policy=policy,
                    keys=keys,
                    secrets=self._keyring.gate_secrets(audience, at),
                    revoked=frozenset(),
                    reference_key=self._keyring.reference_key(audience),
                    verdict_key=self._keyring.verdict_signer(audience),
                    injected=self._secrets.injected(
                        policy.edges, None if told is None else told.injected, at
                    ),
                    canaries=canaries,
                    cuts=self._cuts(policy.api, audience, int(at)),
                    openings=tuple(each.opening for each in held if each.api == policy.api),
                    audit=audit,
                )
            )
        return bundles

    def _cuts(self, api: str, audience: str, now: int) -> tuple[Cut, ...]:
        """Return what is cut at an API, until no token of before can be alive.

        What its gates were told last holds on: the store may be an older copy.
        """
        # A clock that is set back while we run makes no cut one of the future.
        self._latest = max(self._latest, now)
        told = self._told().get(api)
        known = [
            each
            for each in (() if told is None else told.cuts)
            if self._since.timestamp() <= each.before <= self._latest + MAX_LEEWAY_SECONDS
        ]
        more = [self._dated(each, now) for each in self._scheduled]
        if (off := self._cut_off.get(audience)) is not None:
            more.append(Cut(None, None, off[0]))
        found = merged(known, more)
        if len(found) > MOST_CUTS:
            return (Cut(None, None, max(each.before for each in found)),)
        return found

    def _dated(self, each: ScheduledCut, now: int) -> Cut:
        """Return a cut as gates are told of it.

        One of a clock that ran ahead ends at the start of the service that notices it: no token could be issued otherwise.
        """
        if each.cut.before <= self._latest + MAX_LEEWAY_SECONDS:
            return each.cut
        if each.id not in self._ahead:
            self._ahead[each.id] = now + 1
            _log.warning("a cut is of a clock that ran ahead: it holds up to now", cut=each.name)
        return replace(each.cut, before=self._ahead[each.id])

    def _canaries(self, before: Mapping[str, GateBundle]) -> HoneytokenWatch | None:
        """Return by what gates recognise canaries; what they were told last while that can't be read."""
        try:
            watch, trouble = self._secrets.watch(), ""
        except WatchwordError as error:
            # Nothing that is wrong with decoys may keep a revocation from the gates.
            last = list(self._told().values()) or list(before.values())
            watch, trouble = last[0].canaries if last else None, str(error)
        if trouble != self._honeytoken_trouble:
            self._honeytoken_trouble = trouble
            event = "canaries can't be read" if trouble else "canaries can be read again"
            _log.warning(event, detail=trouble)
        return watch

    async def _told_before(self) -> Mapping[str, GateBundle]:
        """Return by API what its gate was told before this process began."""
        if self._log is not None:
            # By other nodes meanwhile, too.
            return {api: replace(each, digests=None) for api, each in self._told().items()}
        if self._before is None:
            self._before = await asyncio.to_thread(self._read_all)
        return self._before

    def _read_all(self) -> dict[str, GateBundle]:
        found = {}
        for api in self._policies:
            self._chain(api)
            first = self._first(api)
            if first.read() and first.bundle is not None:
                found[api] = first.bundle
        # A chain says more: it goes on where the first version has no room.  Who was revoked would only be kept in vain.
        return {api: replace(each, digests=None) for api, each in (found | self._told()).items()}

    def tells(self) -> bool:
        """Tell whether gates are told the policies of now, which another node may have to do."""
        told = self._told()
        return all(
            (bundle := told.get(api)) is not None and bundle.policy == policy
            for api, policy in self._policies.items()
        )

    def _told(self) -> dict[str, GateBundle]:
        """Return by API what its gate was told last."""
        chains = {api: each.bundle for api, each in self._chains.items()}
        return {api: each for api, each in chains.items() if each is not None}

    def told_ring(self, steady: float) -> int:
        """Return the version of the key ring whose prepared keys every gate here has known for a while, 0 for none.

        :param steady: seconds that never go back.
        """
        version, ring = self._keyring.version, self._keyring.ring
        known, since = self._told_ring
        if version != known:
            key, epoch = (
                ring.in_state(KeyState.PREPARED).kid,
                ring.epoch_in_state(KeyState.PREPARED).epoch,
            )
            told = self._told()
            for api in self._policies:
                bundle = told.get(api)
                if bundle is None or not (
                    any(each.kid == key for each in bundle.keys)
                    and any(each.epoch == epoch for each in bundle.secrets)
                ):
                    return 0
            known, since = self._told_ring = version, steady
        return known if steady - since >= SETTLED_SECONDS else 0

    def injected_versions(self, secret: str) -> Mapping[str, tuple[int, int]]:
        """Return by API which version of a secret its gate was told to inject, and in which generation."""
        return {
            api: (each.injected[secret].version, each.generation)
            for api, each in self._told().items()
            if secret in each.injected
        }


def _lift(log: GateLog, generation: int) -> None:
    """Tell the node that publishes of a gate that has more; where the store can't be reached that gate asks again."""
    with suppress(UnavailableError):
        log.lift(generation)


def _book(file: Path, secrets: SecretWork) -> OpeningBook:
    """Return what is open: a row that all nodes go by where they share rows."""
    shared = None if secrets.rows is None else secrets.rows.document(OPENINGS)
    return OpeningBook(file, shared=shared)
