"""Define an engine: another server that is configured to make the gate's decision."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from watchword.engines.places import EngineOptions
from watchword.gate.bundle import GateBundle
from watchword.reasons import WatchwordError


class EngineFileKind(StrEnum):
    """Say what a file is to its engine, in the order in which files are to be written.

    ``private``: secrets, mode 0600, read by the engine's workers and shown by no admin endpoint.
    ``part``: something that other files name, and so is to be there first.
    ``root``: what names the parts.  ``start``: read once, when the engine starts.
    ``page``: for people.
    """

    PRIVATE = "private"
    PART = "part"
    ROOT = "root"
    START = "start"
    PAGE = "page"


@dataclass(frozen=True, slots=True)
class EngineFile:
    """Hold one file of an engine's configuration.

    :param name: of the file alone, no directory.
    :param content: text, without any secret unless the kind is ``private``.
    """

    name: str
    kind: EngineFileKind
    content: str = field(repr=False)


class UnsupportedError(WatchwordError):
    """Report what an engine can't do exactly as the gate does, so that nothing was written.

    The text is for a person: where, what is asked, why it can't be, what to do.
    """

    def __init__(self, where: str, setting: str, why: str, remedy: str) -> None:
        """Name the place (a route, or the API), the setting, the cause and the way out."""
        super().__init__(f"{where}: {setting}: {why}; {remedy}")
        self.where = where
        self.setting = setting


class Divergence(StrEnum):
    """Say to which side an engine's decision differs from the gate's.

    ``stricter``: it refuses what the gate lets pass.  ``cleaned``: it lets pass, with the offending
    field removed, what the gate refuses.  ``harmless``: it lets pass what only the service itself
    could have made.  ``answer``: same decision, another answer.  ``looser``: it lets pass what the gate stops for
    another cause than token, level or proof, such as a quota that is spent.
    """

    STRICTER = "stricter"
    CLEANED = "cleaned"
    HARMLESS = "harmless"
    ANSWER = "answer"
    LOOSER = "looser"


@dataclass(frozen=True, slots=True)
class Difference:
    """Declare one way in which an engine isn't equal to the Python gate.

    :param name: short, with hyphens; never reused.
    :param gate: what the Python gate does.
    :param engine: what the engine does.
    :param because: why it can't be equal, or isn't.
    """

    name: str
    divergence: Divergence
    gate: str
    engine: str
    because: str


Files = Sequence[EngineFile]


@dataclass(frozen=True, slots=True)
class Engine:
    """Hold one engine whose configuration is written from the gate bundle.

    :param asks: how it asks ``/authz``: the ``authz.style`` of its API.
    :param differences: in what it differs from the Python gate.
    :param generate: returns its files from bundle, places and the time (seconds since 1970), in the order in which
        they are to be written; raises :class:`UnsupportedError` on what it can't do exactly as the gate does.
        None for an engine that needs more than these (Envoy).
    :param start: returns the command with which a person starts it.
    :param follows: whether ``watchword gate follow`` keeps its files up to date; an engine that asks ``/authz``
        about everything needs nobody to, since that follows the bundle itself.
    :param unfollowed: of an engine that is followed, what holds until it is.
    :param over_tls: whether it asks ``/authz`` over mutual TLS, since it knows no Unix sockets.
    """

    asks: str
    differences: Sequence[Difference]
    generate: Callable[[GateBundle, EngineOptions, float], Files] | None = None
    start: Callable[[EngineOptions], str] | None = None
    follows: bool = False
    unfollowed: str = "keys, revoked instances and routes are those of now"
    over_tls: bool = False
