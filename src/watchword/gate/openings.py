"""Let an operator have a route watched less strictly for a while, and see to it that this ends by itself.

Whoever is told of an opening may be cut off before it ends, and may start anew meanwhile.  So a gate counts by itself: from
when it was told, by a clock that nobody sets, an hour at most.  What it finds at its start may be of any age, and stays closed
until something newer comes; the service says it again every minute.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from watchword.gate.interface import GatePolicy, Route
from watchword.gate.spellings import STRICTNESS
from watchword.vocabulary import Mode

LONGEST_OPENING: Final = 3600
"""Seconds that an opening lasts at most."""

MOST_OPENINGS: Final = 64
"""Most openings of an API at once."""

RESTATED_SECONDS: Final = 60
"""How often gates are told anew that something is open: who started meanwhile waits no longer for it."""

OPENED: Final = frozenset({Mode.MONITOR, Mode.OFF})
"""The modes that a route can be opened to."""


@dataclass(frozen=True, slots=True)
class Opening:
    """Hold that a route refuses nobody for a while.

    :param route: its name.
    :param mode: ``monitor`` or ``off``.
    :param until: seconds since 1970, by the service's clock.
    """

    route: str
    mode: Mode
    until: int


def hindrance(route: Route, mode: Mode) -> str:
    """Return why a route can't be opened to a mode, empty where it can."""
    if mode not in OPENED:
        return "expected the mode monitor or off"
    if route.secret is not None:
        # Whoever is refused by nobody would be given somebody's key.
        return (
            f"the gate adds the key {route.secret} there, which is injected in mode enforce alone"
        )
    if STRICTNESS[mode] >= STRICTNESS[route.mode]:
        return f"it is in mode {route.mode} already"
    return ""


def opened(policy: GatePolicy, openings: Sequence[Opening]) -> GatePolicy:
    """Return a policy with what is open; what can't be opened stays as it is.

    :returns: the same object where nothing is open.
    """
    modes = {each.route: each.mode for each in openings}
    routes = tuple(
        replace(route, mode=modes[route.name], canary=None)
        if route.name in modes and not hindrance(route, modes[route.name])
        else route
        for route in policy.routes
    )
    return policy if routes == policy.routes else replace(policy, routes=routes)


class OpeningCountdown:
    """Count down at a gate how long each opening lasts that it was told of."""

    def __init__(self) -> None:
        """Begin with nothing open."""
        self._first: int | None = None
        self._ends: dict[Opening, float] = {}

    def take(
        self,
        generation: int,
        made_at: int,
        openings: Sequence[Opening],
        *,
        steady: float,
        wall: float,
    ) -> None:
        """Begin to count what a bundle says, where it is newer than what was found at the start.

        One that is counted already is never counted anew, so that it isn't prolonged by being told again.

        :param generation: of the bundle.
        :param made_at: seconds since 1970, when the service said so.
        :param steady: seconds of a clock that nobody sets and that counts sleep.
        :param wall: seconds since 1970.  It can shorten an opening and not prolong one: whoever holds a bundle back
            for long gains nothing.
        """
        if self._first is None:
            self._first = generation
        if generation <= self._first:
            return
        known, self._ends = self._ends, {}
        for each in openings:
            ends = steady + min(each.until - max(made_at, wall), LONGEST_OPENING)
            self._ends[each] = min(ends, known.get(each, ends))

    def in_force(self, steady: float) -> tuple[Opening, ...]:
        """Return what is open."""
        return tuple(each for each, ends in self._ends.items() if steady < ends)

    def next_end(self, steady: float) -> float | None:
        """Return when something closes next, None while nothing is open."""
        return min((ends for ends in self._ends.values() if steady < ends), default=None)
