"""Look at the gate bundle for an engine, and tell each fault once."""

from collections.abc import Callable
from typing import Protocol

from watchword.gate.bundle import GateBundle
from watchword.reasons import UnavailableError


class BundleSource(Protocol):
    """Know the last good bundle, and what is wrong with the file now."""

    fault: str | None

    @property
    def generation(self) -> int:
        """Look at the file where that is due; return the generation of the last good bundle."""

    @property
    def bundle(self) -> GateBundle:
        """Return the last good bundle."""


class BundleListener:
    """Hold what every follower of a bundle does, whichever engine it writes for.

    :ivar faults: how many faults were told.
    """

    def __init__(self, source: BundleSource, tell: Callable[[str], None]) -> None:
        """Look at ``source``.

        :param tell: is told each fault once, in one line.
        """
        self.faults = 0
        self._source = source
        self._tell = tell
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

    def fault(self, text: str) -> None:
        """Count a fault, and tell it unless it was told."""
        if text not in self._told:
            self.faults += 1
        self.say(text)

    def say(self, text: str) -> None:
        """Tell something, unless it was told."""
        if text not in self._told:
            self._told.add(text)
            self._tell(text)

    def forget_told(self) -> None:
        """Tell everything anew from now on."""
        self._told.clear()
