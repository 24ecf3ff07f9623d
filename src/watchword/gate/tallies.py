"""Count what tells an operator who calls, and decides nothing: statuses that apps claim, and systems that tokens state.

A status is what an app says of itself where it sends no token (``Watchword-Status``).  Anybody can say it, any number of
times: it is in no verdict, no error budget and no limit, and stands beside what was counted of verified instances, never
among it.  A system is signed by the service, and no finer than a family and a major version.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final, Protocol

from watchword.vocabulary import ClaimedStatus

INVALID: Final = "invalid"
"""What counts for a status that isn't one, for two of them, and for one beside a token."""

CLAIMED: Final = "claimed."
"""What a status begins with where it is counted among reasons."""

SYSTEM: Final = "os."
"""What a system and an outcome begin with there."""

UNKNOWN: Final = "unknown"
"""The system where no token states one."""

OTHER: Final = "other"
"""What is counted together beyond the bounds."""

MAX_SYSTEMS: Final = 64
"""Most systems that are told apart."""

MAX_ROUTES: Final = 512
"""Most routes that are told apart."""

_STATUSES: Final = {each.value.encode("ascii"): each.value for each in ClaimedStatus}


class TallySink(Protocol):
    """Keep counts where they outlive a process; called from the path of requests, and never waits."""

    def count(self, code: str, where: str) -> None:
        """Count one more.

        :param code: :data:`CLAIMED` and a status, or :data:`SYSTEM`, a system, a dot and an outcome.
        :param where: name of the route; empty for a system.
        """


class Tallies:
    """Hold what one gate counted since its start."""

    def __init__(self, sink: TallySink | None = None) -> None:
        """Start at zero; ``sink`` is told of each as well."""
        self._sink = sink
        self._claimed: Counter[tuple[str, str]] = Counter()
        self._systems: Counter[tuple[str, str]] = Counter()
        self._routes: set[str] = set()
        self._names: set[str] = {UNKNOWN}

    def claim(self, route: str, values: Sequence[bytes], *, beside_token: bool) -> None:
        """Count what an app says of itself.

        :param values: of all fields of the name, in any spelling.
        :param beside_token: whether the request carries a token: then nothing is left to be claimed.
        """
        status = INVALID
        if len(values) == 1 and not beside_token:
            status = _STATUSES.get(values[0], INVALID)
        self._claimed[_within(route, self._routes, MAX_ROUTES), status] += 1
        if self._sink is not None:
            self._sink.count(CLAIMED + status, route)

    def token(self, system: str | None) -> None:
        """Count a token that was verified for the first time."""
        self._count(system, "token")

    def finding(self, system: str | None, *, refused: bool) -> None:
        """Count a request in which something was found; ``refused`` if that refused it, else it was reported.

        :param system: of its verified token, None where there was none or it states none.
        """
        self._count(system, "refused" if refused else "reported")

    def claimed(self) -> Mapping[tuple[str, str], int]:
        """Return by route and status how often it was claimed."""
        return dict(self._claimed)

    def systems(self) -> Mapping[tuple[str, str], int]:
        """Return by system and outcome (``token``, ``refused``, ``reported``) how often it was met."""
        return dict(self._systems)

    def _count(self, system: str | None, outcome: str) -> None:
        name = _within(system or UNKNOWN, self._names, MAX_SYSTEMS)
        self._systems[name, outcome] += 1
        if self._sink is not None:
            self._sink.count(f"{SYSTEM}{name}.{outcome}", "")


def _within(name: str, known: set[str], most: int) -> str:
    """Return a name that is told apart, or :data:`OTHER` beyond so many."""
    if name not in known:
        if len(known) >= most:
            return OTHER
        known.add(name)
    return name
