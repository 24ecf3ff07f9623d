"""Hold what a configuration needs beside the gate bundle: where everything is, on one machine."""

from dataclasses import dataclass
from typing import Final

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
