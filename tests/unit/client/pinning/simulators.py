"""Simulate what the updating of pins needs around it: a service that publishes, and time."""

from dataclasses import dataclass, field

from tests.unit.pins.builders import NOW, builtin, key, pin_set, roots_data

from watchword.client.pinning import PinSource, PinStore, PinUpdater, SourceError
from watchword.client.pinning.installation import Fetched, Kept
from watchword.pins.interface import PinSet
from watchword.pins.sets import sign_set


def signed(pins: PinSet, by: str = "pin1") -> bytes:
    """Return a set signed by a key of this name."""
    return sign_set(pins, key(by))


@dataclass
class Publishing:
    """Be the service, or somebody in its place.

    :ivar lists: root lists by version.
    :ivar down: it doesn't answer.
    """

    lists: dict[int, bytes] = field(default_factory=dict)
    newest_set: bytes | None = None
    etag: str | None = None
    down: bool = False
    asked: list[str] = field(default_factory=list)

    def roots(self, version: int) -> bytes | None:
        """Return a list."""
        self.asked.append(f"roots/{version}")
        if self.down:
            raise SourceError("down")
        return self.lists.get(version)

    def newest(self, etag: str | None) -> Fetched | None:
        """Return the set."""
        self.asked.append(f"set/{etag}")
        if self.down:
            raise SourceError("down")
        if self.newest_set is None or (etag is not None and etag == self.etag):
            return None
        return Fetched(self.newest_set, self.etag)


@dataclass
class Shelf:
    """Keep in memory."""

    kept: Kept | None = None

    def load(self) -> Kept | None:
        """Return it."""
        return self.kept

    def save(self, kept: Kept, *, mend: bool = False) -> None:
        """Keep it."""
        self.kept = kept


@dataclass
class Phone:
    """Hold an installation whose clock stands as told."""

    source: PinSource = field(default_factory=Publishing)
    store: PinStore = field(default_factory=Shelf)
    now: float = NOW
    first: PinSet | None = field(default_factory=pin_set)

    def started(self) -> PinUpdater:
        """Start the app."""
        return PinUpdater(
            builtin(self.first),
            self.source,
            clock=lambda: self.now,
            jitter=lambda: 1.0,
            store=self.store,
        )


__all__ = ["NOW", "Phone", "Publishing", "Shelf", "key", "pin_set", "roots_data", "signed"]
