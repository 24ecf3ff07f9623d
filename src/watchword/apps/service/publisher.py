"""Tell each gate what it must know: policy, token keys, gate secrets, revoked instances.

One bundle for each API, assembled from policy, key ring and store alone, so that it can be made
anew at any time, and written only when what it says has changed: gates empty their caches by its
generation.
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import structlog

from watchword.adapters.gate_bundle import publish_bundle
from watchword.adapters.gate_bundle.freshness import BEAT_SECONDS, freshness_path, note_fresh
from watchword.adapters.keyring.file import FileKeyRing
from watchword.adapters.keyring.private_file import (
    PrivateFileError,
    locked_directory,
    read_private,
)
from watchword.apps.compose.secrets import NO_SECRETS, SecretWork
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
from watchword.ports import InstanceStore, RevokedInstance
from watchword.reasons import WatchwordError
from watchword.tokens.interface import MAX_LEEWAY_SECONDS, MAX_LIFETIME_SECONDS

LONGEST_TOKEN_SECONDS: Final = MAX_LIFETIME_SECONDS + MAX_LEEWAY_SECONDS
"""Longest life of a token that any configuration allows, with the widest leeway of a gate.

A revoked subject stays on the list for so long, and not for the life that is configured now:
its last token may have been issued before the configuration was changed.
"""

SIGNER_FILE: Final = "signer.jwk"
_GENERATION_FILE: Final = "gate-generation"
_MAX_GENERATION_DIGITS: Final = 15

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
    ) -> None:
        """Keep the sources; nothing is written yet.

        :param directory: of the bundles, made with mode 0700; in the file ``gate-generation``
            beside it stands the last generation, so that it also grows where all bundles were
            removed and the clock was set back.
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
        self._names: dict[str, dict[str, str]] = {}
        self._swept = False

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
            bundles = await self._assemble(now)
            try:
                changed = await asyncio.to_thread(self._write, bundles, int(now.timestamp()))
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

    def _write(self, bundles: Sequence[GateBundle], now: int) -> list[str]:
        # Of two processes on one state directory the second must not give its bundles a number
        # that the first took: a gate that has one of them would never take the other.
        with locked_directory(self._directory):
            return self._write_changed(bundles, now)

    def _write_changed(self, bundles: Sequence[GateBundle], now: int) -> list[str]:
        self._write_signer()
        self._sweep()
        changed = [bundle for bundle in bundles if not self._says_the_same(bundle)]
        if not changed:
            self._beat(now)
            return []
        # Written ahead of the bundles: a generation that nobody got is lost without harm.
        self._generation = max(self._highest() + 1, now)
        publish_bundle(self._counter, f"{self._generation}\n".encode())
        trouble: WatchwordError | None = None
        for bundle in changed:
            try:
                self._write_one(replace(bundle, generation=self._generation))
            except WatchwordError as error:
                # One API's trouble must not keep a revocation from the gates of the others.
                trouble = error
        if trouble is not None:
            raise trouble
        self._beat(now)
        return [bundle.policy.api for bundle in changed]

    def _beat(self, now: int) -> None:
        """Let the gates know now and then that what they have is the newest there is."""
        # A clock that was set back must not silence it for as long.
        if not 0 <= now - self._beaten < BEAT_SECONDS:
            self._beaten = now
            for api in self._policies:
                note_fresh(self._path(api))

    def _write_one(self, bundle: GateBundle) -> None:
        data, path = to_jws(bundle, self._keyring.bundle_signer()), self._path(bundle.policy.api)
        publish_bundle(path, data)
        self._last[bundle.policy.api] = Published(bundle, data, _stamp(path))

    def _says_the_same(self, bundle: GateBundle) -> bool:
        """Tell whether the file of an API says all that it should.

        The file itself is asked for what was published last: it outlives this process, and
        somebody may have removed or replaced it meanwhile.
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
        return max(self._generation, self._counted(), *published, 0)

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
                path.unlink(missing_ok=True)
                freshness_path(path).unlink(missing_ok=True)

    def _path(self, api: str) -> Path:
        return self._directory / f"{api}.jws"

    async def _assemble(self, now: datetime) -> list[GateBundle]:
        since = now - timedelta(seconds=LONGEST_TOKEN_SECONDS)
        revoked = self._named(await self._store.recently_revoked(since))
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
                    revoked=revoked.get(audience, frozenset()),
                    reference_key=self._keyring.reference_key(audience),
                    verdict_key=self._keyring.verdict_signer(audience),
                    injected=self._secrets.injected(
                        policy.edges, None if told is None else told.injected, at
                    ),
                    canaries=canaries,
                )
            )
        return bundles

    def _canaries(self, before: Mapping[str, GateBundle]) -> HoneytokenWatch | None:
        """Return by what gates recognise canaries; what they were told last while that can't be read."""
        try:
            watch, trouble = self._secrets.watch(), ""
        except WatchwordError as error:
            # Nothing that is wrong with decoys may keep a revocation from the gates.
            last = [each.bundle for each in self._last.values()] or list(before.values())
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
        paths = {api: self._path(api) for api in self._policies}
        read = {api: self._read(path, _stamp(path)) for api, path in paths.items()}
        return {api: each.bundle for api, each in read.items() if each is not None}

    def injected_versions(self, secret: str) -> Mapping[str, tuple[int, int]]:
        """Return by API which version of a secret its gate was told to inject, and in which generation."""
        return {
            api: (each.bundle.injected[secret].version, each.bundle.generation)
            for api, each in self._last.items()
            if secret in each.bundle.injected
        }

    def _named(self, revoked: Sequence[RevokedInstance]) -> dict[str, frozenset[str]]:
        """Return by audience the names under which revoked instances are known there."""
        key = self._keyring.ring.pairwise_key
        # Kept from turn to turn: after a vendor's revocation there can be thousands, for an hour.
        self._names = {
            instance.id: self._names.get(instance.id)
            or {each: pairwise_subject(instance.id, each, key) for each in instance.audiences}
            for instance in revoked
        }
        by_audience: dict[str, set[str]] = {}
        for names in self._names.values():
            for audience, subject in names.items():
                by_audience.setdefault(audience, set()).add(subject)
        return {audience: frozenset(subjects) for audience, subjects in by_audience.items()}


def _stamp(path: Path) -> _Stamp | None:
    """Return what changes when a file is replaced or written, None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_ctime_ns
