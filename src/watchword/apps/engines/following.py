"""Follow the gate bundle, and keep the files of an engine other than Envoy as it says."""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from watchword.apps.engines.source import BundleListener, BundleSource, by_routes_of
from watchword.engines.interface import (
    Engine,
    EngineOptions,
    Files,
    UnsupportedError,
    next_retirement,
)
from watchword.gate.bundle import GateBundle
from watchword.reasons import WatchwordError


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
        tell: Callable[[str], None],
    ) -> None:
        """Prepare; nothing is written yet.

        :param engine: one with ``generate``.
        :param now: seconds since 1970.
        :param tell: is told each fault once, in one line.
        :raises ValueError: for an engine without ``generate``.
        """
        if engine.generate is None:
            raise ValueError("expected an engine whose files are made from bundle and places")
        super().__init__(source, tell)
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
