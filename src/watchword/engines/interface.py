"""Hold what a configuration needs beside the gate bundle: where everything is, on one machine."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from watchword.gate.bundle import GateBundle
from watchword.gate.revocations import DigestParts
from watchword.ports import VerificationKey
from watchword.reasons import WatchwordError

MAX_SOCKET_PATH: Final = 107
"""Most bytes of a Unix socket's path (``sun_path`` on Linux, with its last NUL)."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Hold where something listens: a host and port, or the path of a Unix socket."""

    host: str = ""
    port: int = 0
    socket: str = ""

    def __post_init__(self) -> None:
        """Hold to one of the two; raise ValueError otherwise."""
        if bool(self.socket) is bool(self.host):
            raise ValueError("expected a host and port, or the path of a socket")
        if len(self.socket.encode()) > MAX_SOCKET_PATH:
            raise ValueError(
                f"got a socket's path of {len(self.socket.encode())} bytes, expected at most "
                f"{MAX_SOCKET_PATH}: {self.socket}"
            )

    @property
    def address(self) -> str:
        """Return host and port as in a URL (IPv6 in brackets), or the path of the socket."""
        if self.socket:
            return self.socket
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """Hold where an engine, its API and its files are.

    :param directory: absolute path of the directory that the engine reads.
    :param listen: where clients come in.
    :param upstream: the API; ``tls`` whether it is asked over TLS.
    :param authz: the forward-auth endpoint of this machine, on a Unix socket; None where there is none.
    :param signed_verdict: whether the API asks for ``Watchword-Verdict``, which only forward auth can sign.
    :param access_log: path of the JSON log of refusals.
    :param replay_directory: where a script keeps used proofs; in memory, and a machine's engines of one user and API
        share it.
    :param user: who owns the directory; an engine that root starts runs its workers as this user.
    """

    directory: str
    listen: Endpoint
    upstream: Endpoint
    tls: bool = False
    authz: Endpoint | None = None
    signed_verdict: bool = False
    access_log: str = "/dev/stdout"
    user: str = "root"
    replay_directory: str = "/dev/shm"  # noqa: S108 - a file there must be ours, with mode 0600.

    def path(self, name: str) -> str:
        """Return the path of a file of the configuration."""
        return f"{self.directory}/{name}"


class EngineFileKind(StrEnum):
    """Say what a file is to its engine, in the order in which files are to be written.

    ``bulk``: who is revoked, mode 0600, named by its content, so that one that is there is never written again.
    ``private``: secrets, mode 0600, read by the engine's workers and shown by no admin endpoint.
    ``part``: something that other files name, and so is to be there first.
    ``root``: what names the parts.  ``start``: read once, when the engine starts.
    ``page``: for people.
    """

    BULK = "bulk"
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
    :param packed: what a file of the kind ``bulk`` holds in place of text.
    """

    name: str
    kind: EngineFileKind
    content: str = field(repr=False, default="")
    packed: bytes = field(repr=False, default=b"")

    @property
    def data(self) -> bytes:
        """Return what is written."""
        return self.packed if self.kind is EngineFileKind.BULK else self.content.encode("utf-8")


BULK_PREFIX: Final = "revoked-"
"""How files with digests of revoked instances are called; what follows tells one from every other."""


def bulk_file(parts: DigestParts) -> EngineFile | None:
    """Return the file with the digests that change seldom, None where there are few enough to go without one."""
    if not parts.base:
        return None
    return EngineFile(f"{BULK_PREFIX}{parts.name}", EngineFileKind.BULK, packed=parts.base)


class UnsupportedError(WatchwordError):
    """Report what an engine can't do exactly as the gate does, so that nothing was written.

    The text is for a person: where, what is asked, why it can't be, what to do.
    """

    def __init__(self, where: str, setting: str, why: str, remedy: str) -> None:
        """Name the place (a route, or the API), the setting, the cause and the way out."""
        super().__init__(f"{where}: {setting}: {why}; {remedy}")
        self.where = where
        self.setting = setting
        self._told = (why, remedy)

    def at(self, place: str) -> "UnsupportedError":
        """Return the same, found at this place: of a file, where the setting stands in one."""
        return UnsupportedError(place, self.setting, *self._told)


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


def living_keys(keys: Iterable[VerificationKey], now: float) -> tuple[VerificationKey, ...]:
    """Return the keys whose tokens are accepted."""
    return tuple(key for key in keys if key.verify_until is None or now < key.verify_until)


def next_retirement(keys: Iterable[VerificationKey], now: float) -> float | None:
    """Return when the next key retires, for engines that know no end of a key; None if none does."""
    ends = (key.verify_until for key in keys if key.verify_until is not None)
    return min((end for end in ends if end > now), default=None)
