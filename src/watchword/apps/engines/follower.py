"""Follow the gate bundle, write an engine's files so that it never reads half of one, and tell each fault once."""

import os
import stat
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from watchword.adapters.keyring.private_file import private_directory, write_private
from watchword.engines.envoy.generation import PRIVATE_PREFIX
from watchword.engines.envoy.injection import INJECTED_PREFIX
from watchword.engines.interface import (
    BULK_PREFIX,
    Engine,
    EngineFile,
    EngineFileKind,
    EngineOptions,
    Files,
    UnsupportedError,
    next_retirement,
)
from watchword.gate.bundle import GateBundle
from watchword.gate.revocations import Digests, digested
from watchword.reasons import UnavailableError, WatchwordError


class BundleSource(Protocol):
    """Know the last good bundle, and what is wrong with the file now."""

    fault: str | None

    @property
    def generation(self) -> int:
        """Look at the file where that is due; return the generation of the last good bundle."""

    @property
    def bundle(self) -> GateBundle:
        """Return the last good bundle."""


def by_routes_of(served: GateBundle, latest: GateBundle) -> GateBundle:
    """Return what is served, with the keys, secrets, revoked instances and cuts of a bundle whose routes can't be.

    Whoever was revoked stays so, also when the audience changed and instances have other names.  A key goes on
    being injected only where its rule is the same: a new origin's key must not reach the origin before.
    """
    edges, before = latest.policy.edges, served.policy.edges
    injected = {
        name: value
        for name, value in latest.injected.items()
        if name in before and edges.get(name) == before[name]
    }
    names, digests = _revoked_by(served, latest)
    return replace(
        served,
        generation=latest.generation,
        keys=latest.keys,
        secrets=latest.secrets,
        revoked=names,
        digests=digests,
        cuts=latest.cuts,
        injected=injected,
    )


def _revoked_by(served: GateBundle, latest: GateBundle) -> tuple[frozenset[str], Digests | None]:
    """Return who is revoked where the routes of ``served`` hold on, as names or as digests."""
    if latest.digests is None:
        return served.revoked | latest.revoked, None
    if latest.policy.expectation.audience == served.policy.expectation.audience:
        return frozenset(), latest.digests
    # The routes of before take tokens of the audience before alone, whose names the latest list doesn't know.
    return frozenset(), digested(served)


class BundleListener:
    """Hold what every follower of a bundle does, whichever engine it writes for.

    :ivar faults: how many faults were told.
    """

    def __init__(self, source: BundleSource, notify: Callable[[str], None]) -> None:
        """Look at ``source``.

        :param notify: is told each fault once, in one line.
        """
        self.faults = 0
        self._source = source
        self._notify = notify
        self._told: set[str] = set()

    def latest(self) -> GateBundle | None:
        """Look at the file; return the last good bundle, None while there is none yet."""
        try:
            self._source.generation  # noqa: B018 - it looks at the file.
            bundle = self._source.bundle
        except UnavailableError as error:
            # Waiting for the service's first bundle is no fault.
            self.say(f"waiting for a bundle: {error.detail}")
            return None
        if self._source.fault is not None:
            self.fault(f"the last good bundle stays: {self._source.fault}")
        return bundle

    def not_served(self, bundle: GateBundle, why: WatchwordError, *, rest: bool) -> None:
        """Tell that the engine can't have a bundle's routes, and what becomes of whom it revokes.

        :param rest: whether routes of before are served on, with what else the bundle holds.
        """
        meanwhile = (
            "the routes of before stay; revocations and keys go on to reach the engine"
            if rest
            else "no revocation reaches an engine that runs until this is mended"
        )
        self.fault(f"generation {bundle.generation} isn't written: {why}. Meanwhile {meanwhile}")

    def fault(self, text: str) -> None:
        """Count a fault, and tell it unless it was told."""
        if text not in self._told:
            self.faults += 1
        self.say(text)

    def say(self, text: str) -> None:
        """Tell something, unless it was told."""
        if text not in self._told:
            self._told.add(text)
            self._notify(text)

    def forget_told(self) -> None:
        """Tell everything anew from now on."""
        self._told.clear()


class EngineRejectedError(WatchwordError):
    """Report files that the engine doesn't take; what it had stays, and the text says what is wrong."""


class RunningEngine(Protocol):
    """Bring files to an engine that may run, and run it where that is asked for."""

    def take(self, files: Files) -> None:
        """Write the files, and make a running engine work by them for the next request of every connection.

        :raises EngineRejectedError: when the engine doesn't take them; what it had stays on disk too.
        :raises OSError: when the disk refuses.
        """

    def keep_running(self) -> None:
        """Start the engine where it is to be run and doesn't."""

    def stop(self) -> None:
        """End the engine that was started here."""


class EngineFollower(BundleListener):
    """Bring each new generation to an engine; what it has stays when anything is wrong.

    The engine needs nobody to go on: a follower that is gone leaves it enforcing what it has, and the next one
    takes over the same files.
    """

    def __init__(
        self,
        source: BundleSource,
        engine: Engine,
        options: EngineOptions,
        running: RunningEngine,
        now: Callable[[], float],
        notify: Callable[[str], None],
    ) -> None:
        """Prepare; nothing is written yet.

        :param engine: one with ``generate``.
        :param now: seconds since 1970.
        :param notify: is told each fault once, in one line.
        :raises ValueError: for an engine without ``generate``.
        """
        if engine.generate is None:
            raise ValueError("expected an engine whose files are made from bundle and places")
        super().__init__(source, notify)
        self._generate = engine.generate
        self._options = options
        self._running = running
        self._now = now
        self._seen: GateBundle | None = None
        self._served: GateBundle | None = None
        self._next_change: float | None = None

    @property
    def directory(self) -> Path:
        """Return where the files are."""
        return Path(self._options.directory)

    def step(self) -> bool:
        """Look once; tell whether files were written and taken."""
        bundle = self.latest()
        if bundle is None:
            return False
        now = self._now()
        due = self._next_change is not None and now >= self._next_change
        if bundle == self._seen and not due:
            return False
        try:
            self._bring(bundle, now)
        except (UnsupportedError, EngineRejectedError) as error:
            return self._bring_the_rest(bundle, now, error)
        except (OSError, WatchwordError) as error:
            self.fault(f"generation {bundle.generation} isn't written: {error}")
            return False
        self._seen = bundle
        self.forget_told()
        return True

    def _bring(self, bundle: GateBundle, now: float) -> None:
        self._running.take(self._generate(bundle, self._options, now))
        self._served = bundle
        self._next_change = next_retirement(bundle.keys, now)

    def _bring_the_rest(self, bundle: GateBundle, now: float, why: WatchwordError) -> bool:
        """Serve on by the routes of before: who was revoked meanwhile mustn't gain by a table that can't be served."""
        self._next_change, served = None, False
        if self._served is not None:
            try:
                self._bring(by_routes_of(self._served, bundle), now)
                served = True
            except (UnsupportedError, EngineRejectedError):
                served = False
            except (OSError, WatchwordError) as error:
                self.fault(f"generation {bundle.generation} isn't written: {error}")
                return False
        self.not_served(bundle, why, rest=served)
        # The routes won't be better until another bundle comes.
        self._seen = bundle
        return False


def write_files(directory: Path, files: Sequence[EngineFile]) -> None:
    """Write the files that changed, in their order; each is renamed onto its name.

    :raises PrivateFileError: when the directory isn't ours alone, or the disk refuses.
    :raises OSError: when the disk refuses.
    """
    private_directory(directory)
    for file in files:
        path = directory / file.name
        data = file.data
        if file.kind is EngineFileKind.BULK and _is_kept(path, data):
            continue
        if file.kind in {EngineFileKind.BULK, EngineFileKind.PRIVATE}:
            # Always anew: whoever could read an old one with a wider mode reads this one no more.
            write_private(path, data)
        elif not _holds(path, data):
            new = path.with_name(f".{file.name}.{os.getpid()}.new")
            new.write_bytes(data)
            new.replace(path)
    named = {file.name for file in files}
    _forget_keys(directory, named)
    if any(file.kind in {EngineFileKind.BULK, EngineFileKind.PRIVATE} for file in files):
        for prefix in (BULK_PREFIX, PRIVATE_PREFIX):
            _forget_others(directory, prefix, named)


def _is_kept(path: Path, data: bytes) -> bool:
    """Tell whether a private file is right as it is."""
    try:
        return path.lstat().st_mode == stat.S_IFREG | 0o600 and path.read_bytes() == data
    except OSError:
        return False


def _holds(path: Path, data: bytes) -> bool:
    """Tell whether the file is right as it is; Envoy needn't read it again then."""
    try:
        return path.read_bytes() == data
    except OSError:
        return False


def _forget_others(directory: Path, prefix: str, named: Collection[str]) -> None:
    """Remove the digests or secrets that nothing names any more, but for the last: a worker may be about to read these.

    :param named: the files that were just written.
    """
    found = []
    for path in directory.glob(f"{prefix}*"):
        with suppress(OSError):
            if path.name not in named:
                found.append((path.lstat().st_mtime_ns, path))
    for _, path in sorted(found)[:-1]:
        with suppress(OSError):
            path.unlink()


def _forget_keys(directory: Path, named: Collection[str]) -> None:
    """Remove the files of keys that are injected no more."""
    for path in directory.glob(f"{INJECTED_PREFIX}*.yaml"):
        if path.name not in named:
            with suppress(OSError):
                path.unlink()
