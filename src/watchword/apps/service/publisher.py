"""Tell each gate what it must know: policy, token keys, gate secrets, revoked instances.

One bundle for each API, assembled from policy, key ring and store alone, so that it can be made anew at any time, and
written only when what it says has changed.  It is written twice under one generation: as a chain
(:mod:`watchword.apps.service.chains`), and in the first version for engines and for gates of an earlier Watchword.
What the store has is read once, and from then on only what is new.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Final

import structlog

from watchword.adapters.gate_bundle import publish_bundle
from watchword.adapters.gate_bundle.chain_file import chain_path
from watchword.adapters.gate_bundle.floor import floor_path
from watchword.adapters.gate_bundle.freshness import BEAT_SECONDS, freshness_path, note_fresh
from watchword.adapters.keyring.file import FileKeyRing
from watchword.adapters.keyring.private_file import (
    PrivateFileError,
    locked_directory,
    read_private,
)
from watchword.apps.compose.secrets import NO_SECRETS, SecretWork
from watchword.apps.service.chains import ChainWriter, RevokedSubjects
from watchword.apps.service.trail import AuditSeal
from watchword.broker.interface import HoneytokenWatch
from watchword.enrolment.service import pairwise_subject
from watchword.gate.bundle import (
    MAX_BUNDLE_BYTES,
    GateBundle,
    GateBundleError,
    from_jws,
    signer_to_json,
    to_jws,
)
from watchword.gate.interface import GatePolicy
from watchword.gate.revocations import DIGEST_KEY_BYTES
from watchword.gate.trail import AuditHead, trail_key
from watchword.ports import InstanceStore, RevocationNews
from watchword.reasons import WatchwordError
from watchword.tokens.interface import MAX_LEEWAY_SECONDS, MAX_LIFETIME_SECONDS

LONGEST_TOKEN_SECONDS: Final = MAX_LIFETIME_SECONDS + MAX_LEEWAY_SECONDS
"""Longest life of a token that any configuration allows, with the widest leeway of a gate.

A revoked subject stays on the list for so long, and not for the life that is configured now:
its last token may have been issued before the configuration was changed.
"""

SIGNER_FILE: Final = "signer.jwk"
_GENERATION_FILE: Final = "gate-generation"
_SEAL_FILE: Final = "audit-head.json"
_MAX_GENERATION_DIGITS: Final = 15

MOST_NAMED: Final = 300_000
"""Most revoked instances in the first version of a bundle, which has room for 350,000; chains go on beyond."""

MOST_LIFTED: Final = 1_000_000
"""By so much at most a gate that has a higher generation raises ours at a time."""

_Stamp = tuple[int, int, int]
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Published:
    """Hold one published bundle, as a value and as it is signed."""

    bundle: GateBundle
    data: bytes
    stamp: _Stamp | None

    def __repr__(self) -> str:
        """Show no secret."""
        return f"Published({self.bundle!r})"


@dataclass(frozen=True, slots=True)
class ChainAnswer:
    """Hold lines of a chain for a gate, and the generation that they lead to."""

    data: bytes
    generation: int

    def __repr__(self) -> str:
        """Show no secret."""
        return f"ChainAnswer({len(self.data)} bytes, generation={self.generation})"


class GatePublisher:
    """Assemble, sign and write the bundles; the only one who does."""

    def __init__(
        self,
        *,
        directory: Path,
        policies: Sequence[GatePolicy],
        keyring: FileKeyRing,
        store: InstanceStore,
        secrets: SecretWork = NO_SECRETS,
        random: Callable[[int], bytes],
    ) -> None:
        """Keep the sources; nothing is written yet.

        :param directory: of the bundles, made with mode 0700; in the file ``gate-generation``
            beside it stands the last generation, so that it also grows where all bundles were
            removed and the clock was set back.
        :param random: returns so many bytes that nobody can guess.
        """
        self._directory = directory
        self._counter = directory.with_name(_GENERATION_FILE)
        self._policies = {policy.api: policy for policy in policies}
        self._keyring = keyring
        self._store = store
        self._secrets = secrets
        self._before: Mapping[str, GateBundle] | None = None
        self._honeytoken_trouble = ""
        self._turn = asyncio.Lock()
        self._generation = 0
        self._beaten = 0
        self._last: dict[str, Published] = {}
        self._news = asyncio.Event()
        self._random = random
        self._sequence: int | None = None
        self._revoked: dict[str, RevokedSubjects] = {}
        self._named: dict[str, tuple[int, frozenset[str]]] = {}
        self._chains: dict[str, ChainWriter] = {}
        self._too_many: set[str] = set()
        self._lifted = 0
        self._swept = False
        self._seal = AuditSeal(
            store, trail_key(keyring.ring.pairwise_key), directory.with_name(_SEAL_FILE)
        )

    @property
    def policies(self) -> Mapping[str, GatePolicy]:
        """Return by API what its gate keeps."""
        return self._policies

    def audience_of(self, api: str) -> str | None:
        """Return the audience of an API, None if there is no such API."""
        policy = self._policies.get(api)
        return None if policy is None else policy.expectation.audience

    def reference_keys(self) -> Iterator[bytes]:
        """Yield each key under which a reference may be sealed: the service's own, then the gates'."""
        yield self._keyring.ring.reference_key
        for policy in self._policies.values():
            yield self._keyring.reference_key(policy.expectation.audience)

    async def publish(self, now: datetime) -> None:
        """Write each bundle that says something new; return when the files are durable.

        :raises UnavailableError: when the store can't be read.
        :raises WatchwordError: when a file can't be written; gates then keep what they have.
        """
        # Taken in turn: of two calls the second must not write what it read before the first did.
        async with self._turn:
            since = now - timedelta(seconds=LONGEST_TOKEN_SECONDS)
            revoked = await self._store.revocations(since, self._sequence)
            audit = await self._seal.advance(revoked.sequence, now.timestamp())
            states = await self._assemble(now, audit)
            try:
                changed = await asyncio.to_thread(self._write, states, revoked, since, now)
            finally:
                # Also after a failure: the bundles before it were written.
                news, self._news = self._news, asyncio.Event()
                news.set()
        if changed:
            _log.debug("gates told", generation=self._generation, apis=changed)

    async def newer(self, api: str, than: int, seconds: float) -> Published | None:
        """Return the API's bundle once its generation is above ``than``.

        :param seconds: how long to wait for it.
        :returns: None when none came in time, or there is no such API.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while True:
                    news = self._news
                    last = self._last.get(api)
                    if last is not None and last.bundle.generation > than:
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
                news, chain = self._news, self._chains.get(api)
                if chain is not None and (found := self._answer(chain, tip, generation)):
                    return found
            try:
                async with asyncio.timeout_at(until):
                    await news.wait()
            except TimeoutError:
                return None

    def _answer(self, chain: ChainWriter, tip: str | None, generation: int) -> ChainAnswer | None:
        if chain.generation < generation:
            if generation > self._lifted:
                self._lifted = min(generation, self._highest() + MOST_LIFTED)
                chain.renew()
                _log.warning("a gate has a newer chain than this service", generation=generation)
            return None
        data = chain.after(tip)
        return None if data is None else ChainAnswer(data, chain.generation)

    def _write(
        self, states: Sequence[GateBundle], news: RevocationNews, since: datetime, now: datetime
    ) -> list[str]:
        fresh = self._take_in(news, since)
        # Of two processes on one state directory the second must not give its bundles a number
        # that the first took: a gate that has one of them would never take the other.
        with locked_directory(self._directory):
            changed = self._write_changed(states, fresh, int(now.timestamp()))
        # Only now: what couldn't be written is read again.
        self._sequence = news.sequence
        return changed

    def _take_in(self, news: RevocationNews, since: datetime) -> dict[str, list[str]]:
        """Return by audience who may not be listed yet."""
        key = self._keyring.ring.pairwise_key
        found: dict[str, list[tuple[str, float]]] = {}
        for each in news.instances:
            at = each.revoked_at.timestamp()
            for audience in each.audiences:
                subject = pairwise_subject(each.id, audience, key)
                found.setdefault(audience, []).append((subject, at))
        for audience, subjects in found.items():
            self._subjects(audience).add(subjects)
        for revoked in self._revoked.values():
            revoked.forget(since.timestamp())
        return {audience: [each for each, _ in named] for audience, named in found.items()}

    def _subjects(self, audience: str) -> RevokedSubjects:
        if audience not in self._revoked:
            self._revoked[audience] = RevokedSubjects(self._random(DIGEST_KEY_BYTES))
        return self._revoked[audience]

    def _write_changed(
        self, states: Sequence[GateBundle], fresh: Mapping[str, list[str]], now: int
    ) -> list[str]:
        self._write_signer()
        self._sweep()
        due = [each for each in states if self._is_due(each, fresh)]
        if not due:
            self._beat(now)
            return []
        # Written ahead of the bundles: a generation that nobody got is lost without harm.
        self._generation = max(self._highest() + 1, now)
        publish_bundle(self._counter, f"{self._generation}\n".encode())
        trouble: WatchwordError | None = None
        for state in due:
            numbered = replace(state, generation=self._generation)
            audience = state.policy.expectation.audience
            for write in (
                partial(self._write_chain, numbered, fresh.get(audience, ())),
                partial(self._write_first, numbered),
            ):
                try:
                    write()
                except WatchwordError as error:
                    # Neither one API's trouble nor one version's may keep a revocation from other gates.
                    trouble = error
        if trouble is not None:
            raise trouble
        self._beat(now)
        return [each.policy.api for each in due]

    def _is_due(self, state: GateBundle, fresh: Mapping[str, list[str]]) -> bool:
        chain = self._chain(state.policy.api)
        if (
            not chain.says(state)
            or chain.lags(state)
            or chain.missing(fresh.get(state.policy.expectation.audience, ()))
        ):
            return True
        named = self._with_names(state)
        return named is not None and not self._says_the_same(named)

    def _chain(self, api: str) -> ChainWriter:
        if api not in self._chains:
            key = self._keyring.bundle_signer().verification_key()
            self._chains[api] = ChainWriter(self._path(api), key, self._random)
        return self._chains[api]

    def _write_chain(self, state: GateBundle, fresh: Sequence[str]) -> None:
        everyone = self._subjects(state.policy.expectation.audience)
        chain = self._chain(state.policy.api)
        chain.write(state, fresh, everyone, self._keyring.bundle_signer())

    def _with_names(self, state: GateBundle) -> GateBundle | None:
        """Return a state as the first version of a bundle says it, None where that has no room for it."""
        audience = state.policy.expectation.audience
        revoked = self._subjects(audience)
        too_many = len(revoked) > MOST_NAMED
        if too_many != (state.policy.api in self._too_many):
            (self._too_many.add if too_many else self._too_many.discard)(state.policy.api)
            event = "engines and earlier gates aren't told" if too_many else "all gates are told"
            _log.warning(event, api=state.policy.api, revoked=len(revoked), most=MOST_NAMED)
        if too_many:
            return None
        version, names = self._named.get(audience, (-1, frozenset()))
        if version != revoked.version:
            names = frozenset(revoked)
            self._named[audience] = revoked.version, names
        return replace(state, revoked=names)

    def _write_first(self, state: GateBundle) -> None:
        named = self._with_names(state)
        if named is not None and not self._says_the_same(named, state.generation):
            self._write_one(named)

    def _beat(self, now: int) -> None:
        """Let the gates know now and then that what they have is the newest there is."""
        # A clock that was set back must not silence it for as long.
        if not 0 <= now - self._beaten < BEAT_SECONDS:
            self._beaten = now
            for api in self._policies:
                if api not in self._too_many:
                    note_fresh(self._path(api))
                note_fresh(chain_path(self._path(api)))

    def _write_one(self, bundle: GateBundle) -> None:
        data, path = to_jws(bundle, self._keyring.bundle_signer()), self._path(bundle.policy.api)
        publish_bundle(path, data)
        self._last[bundle.policy.api] = Published(bundle, data, _stamp(path))

    def _says_the_same(self, bundle: GateBundle, generation: int | None = None) -> bool:
        """Tell whether the file of an API says all that it should.

        The file itself is asked for what was published last: it outlives this process, and
        somebody may have removed or replaced it meanwhile.

        :param generation: which it must say, None where any will do.
        """
        api = bundle.policy.api
        path = self._path(api)
        stamp, last = _stamp(path), self._last.get(api)
        if last is None or last.stamp != stamp:
            last = self._read(path, stamp)
            if last is None:
                return False
            self._last[api] = last
        said = last.bundle
        if generation not in {None, said.generation}:
            return False
        return replace(bundle, generation=said.generation, made_at=said.made_at) == said

    def _read(self, path: Path, stamp: _Stamp | None) -> Published | None:
        """Return what the file says, None if there is nothing that a gate would believe."""
        try:
            data = read_private(path, MAX_BUNDLE_BYTES)
            if data is None:
                return None
            key = self._keyring.bundle_signer().verification_key()
            bundle = from_jws(data, key)
        except (PrivateFileError, GateBundleError):
            return None
        return None if self._is_behind(bundle) else Published(bundle, data, stamp)

    def _is_behind(self, bundle: GateBundle) -> bool:
        """Tell whether gates have had a newer one: somebody put an old file back."""
        last = self._last.get(bundle.policy.api)
        return last is not None and bundle.generation < last.bundle.generation

    def _highest(self) -> int:
        """Return the highest generation that any gate may have."""
        published = (each.bundle.generation for each in self._last.values())
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
        for path in self._directory.glob("*.jws"):
            if path.stem not in self._policies:
                for each in (path, chain_path(path)):
                    each.unlink(missing_ok=True)
                    freshness_path(each).unlink(missing_ok=True)
                floor_path(path).unlink(missing_ok=True)

    def _path(self, api: str) -> Path:
        return self._directory / f"{api}.jws"

    async def _assemble(self, now: datetime, audit: AuditHead | None) -> list[GateBundle]:
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
                    audit=audit,
                )
            )
        return bundles

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
        if self._before is None:
            self._before = await asyncio.to_thread(self._read_all)
        return self._before

    def _read_all(self) -> dict[str, GateBundle]:
        for api in self._policies:
            self._chain(api)
        read = {api: self._read(self._path(api), _stamp(self._path(api))) for api in self._policies}
        # A chain says more: it goes on where the first version has no room.
        return {api: each.bundle for api, each in read.items() if each is not None} | self._told()

    def _told(self) -> dict[str, GateBundle]:
        """Return by API what its gate was told last."""
        chains = {api: each.bundle for api, each in self._chains.items()}
        return {api: each for api, each in chains.items() if each is not None}

    def injected_versions(self, secret: str) -> Mapping[str, tuple[int, int]]:
        """Return by API which version of a secret its gate was told to inject, and in which generation."""
        return {
            api: (each.injected[secret].version, each.generation)
            for api, each in self._told().items()
            if secret in each.injected
        }


def _stamp(path: Path) -> _Stamp | None:
    """Return what changes when a file is replaced or written, None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_ctime_ns
