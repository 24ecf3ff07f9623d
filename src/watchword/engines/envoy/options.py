"""Hold what a configuration needs beside the gate bundle: places, addresses and sizes."""

from dataclasses import dataclass
from typing import Final

from watchword.engines.places import Endpoint

DEFAULT_CACHED_TOKENS: Final = 20_000
"""Verified tokens that each worker remembers: with fewer than there are live ones, each request
costs a signature (2.7 times as much as one that is remembered)."""

DRAIN_SECONDS: Final = 5
"""How long connections of a listener that was replaced may go on, under its filters and its route table."""

START_OPTIONS: Final = (
    # With hot restart, Envoy asks the kernel to end it with its parent (PR_SET_PDEATHSIG), so that a control plane that
    # is killed would take it along; and Envoys of one host would need base ids of their own.
    "--disable-hot-restart",
    # By default connections of a replaced listener go on for ten minutes.  So each is told to end with its next answer.
    *("--drain-strategy", "immediate"),
    *("--drain-time-s", str(DRAIN_SECONDS)),
)
"""With what Envoy is started, beside its file."""


@dataclass(frozen=True, slots=True)
class EnvoyOptions:
    """Hold where everything is, on one machine.

    :param directory: absolute path of the directory that Envoy reads.
    :param listen: where clients come in.
    :param upstream: the API; ``tls`` whether it is asked over TLS.
    :param admin: Envoy's own endpoint, which shows and changes everything.
    :param authz: the forward-auth endpoint of this machine; None where there is none.
    :param signed_verdict: whether the API asks for ``Watchword-Verdict``, which only forward auth can
        sign.
    :param replay_directory: where the script keeps used proofs; in memory, and a machine's Envoys of one
        user and API share it.
    :param access_log: path of the JSON log of refusals.
    :param cached_tokens: verified tokens that each worker remembers.
    :param max_connections: most connections of clients at once.
    :param max_header_kib: most KiB of a request's head.
    """

    directory: str
    listen: Endpoint
    upstream: Endpoint
    admin: Endpoint
    tls: bool = False
    authz: Endpoint | None = None
    signed_verdict: bool = False
    access_log: str = "/dev/stdout"
    replay_directory: str = "/dev/shm"  # noqa: S108 - a file there must be ours, with mode 0600.
    cached_tokens: int = DEFAULT_CACHED_TOKENS
    max_connections: int = 10_000
    max_header_kib: int = 8

    def path(self, name: str) -> str:
        """Return the path of a file of the configuration."""
        return f"{self.directory}/{name}"
