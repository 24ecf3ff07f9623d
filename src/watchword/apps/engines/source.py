"""Look at the gate bundle for an engine, and tell each fault once."""

from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

from watchword.gate.bundle import GateBundle
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
    """Return what is served, with the keys, secrets and revoked instances of a bundle whose routes can't be.

    Whoever was revoked stays so, also when the audience changed and instances have other names.  What is lent
    goes on only where it is lent to the same: a new origin's key must not reach the origin before.
    """
    edges, before = latest.policy.edges, served.policy.edges
    lent = {
        name: value
        for name, value in latest.lent.items()
        if name in before and edges.get(name) == before[name]
    }
    return replace(
        served,
        generation=latest.generation,
        keys=latest.keys,
        secrets=latest.secrets,
        revoked=served.revoked | latest.revoked,
        lent=lent,
    )


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
            self._tell(text)

    def forget_told(self) -> None:
        """Tell everything anew from now on."""
        self._told.clear()
