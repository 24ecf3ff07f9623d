"""Hold each instance to all limits of an API at once: a request has room in each that applies, or counts in none."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Protocol

from watchword.gate.interface import GatePolicy, Limit, LimitKind, Rate
from watchword.gate.quotas import QuotaCounter, QuotaKeeper
from watchword.gate.rate import RateLimiter
from watchword.gate.versions import is_at_least
from watchword.reasons import Reason, Refusal
from watchword.tokens.interface import TokenClaims

RATE: Final = "rate"
"""The name under which the API's ``rate`` is counted; no other limit may have it."""

MOST_CHOICES: Final = 4096
"""For how many combinations of route, app and version it is remembered which limits apply."""


class _Counter(Protocol):
    """Count the requests of instances."""

    def wait(self, subject: str, now: float) -> float:
        """Return the seconds until there is room for a request, 0.0 for now; counts nothing."""

    def take(self, subject: str, now: float) -> float:
        """Count a request if there is room for it; return as :meth:`wait`."""


@dataclass(frozen=True, slots=True)
class LimitTally:
    """Hold how often a limit was met since the start.

    :param passed: requests that it counted.
    :param refused: requests over it that were refused.
    :param reported: requests over it that passed all the same: it isn't enforced, or the route doesn't.
    """

    passed: int
    refused: int
    reported: int


class _Row:
    """Hold one limit with what it counted; written to at each request."""

    __slots__ = ("counter", "limit", "passed", "reason", "refused", "reported")

    def __init__(self, limit: Limit, counter: _Counter, reason: Reason) -> None:
        self.limit = limit
        self.counter = counter
        self.reason = reason
        self.passed = 0
        self.refused = 0
        self.reported = 0

    def refusal(self, wait: float) -> Refusal:
        name = "the rate" if self.reason is Reason.GATE_RATE else f"the limit {self.limit.name!r}"
        return Refusal(self.reason, f"got more requests than {name}, the next in {wait:.1f} s")


class Overrun:
    """Hold which limits had no room for a request.

    :ivar refusals: one for each, those of enforced limits first.
    :ivar refuses: whether one of them is enforced; then the request counts nowhere.
    :ivar retry_after: whole seconds after which all that are enforced have room again, None where none is.
    """

    __slots__ = ("_rows", "refusals", "refuses", "retry_after")

    def __init__(self, late: Sequence[tuple[_Row, float]]) -> None:
        """Keep limits, each with the seconds until it has room."""
        ordered = sorted(late, key=lambda each: not each[0].limit.enforced)
        waits = [wait for row, wait in ordered if row.limit.enforced]
        self._rows = [row for row, _ in ordered]
        self.refusals = tuple(row.refusal(wait) for row, wait in ordered)
        self.refuses = bool(waits)
        self.retry_after = math.ceil(max(waits)) if waits else None

    def count(self, *, enforced: bool) -> None:
        """Count the request at each limit that it is over.

        :param enforced: whether what is found wrong with it refuses it.
        """
        for row in self._rows:
            if enforced and row.limit.enforced:
                row.refused += 1
            else:
                row.reported += 1


class Limits:
    """Hold the limits of one API, ``rate`` among them, and what instances used of them.

    A limit holds for the routes and app versions that it names; a version that isn't stated, or has no place in
    an order, counts as an old one, so that leaving it out frees nobody.
    """

    def __init__(
        self,
        policy: GatePolicy,
        earlier: "Limits | None" = None,
        keeper: QuotaKeeper | None = None,
    ) -> None:
        """Begin to count; what still applies of earlier counts goes on.

        A quota goes on as long as its name and its window stay: whoever used it up has what was added.  A rate
        begins anew when its numbers change.

        :param keeper: keeps the counts of quotas, None where they end with the process.
        :raises ValueError: for a limit that could never hold, or that can't be told from another.
        """
        _check(policy)
        kept = {} if earlier is None else {row.limit.name: row for row in earlier.rows}
        self.rows: tuple[_Row, ...] = tuple(_rows(policy, kept, keeper))

        @lru_cache(maxsize=MOST_CHOICES)
        def applying(route: str, app: str, version: str | None) -> tuple[_Row, ...]:
            return tuple(row for row in self.rows if _applies(row.limit, route, app, version))

        self._applying = applying

    def __bool__(self) -> bool:
        """Tell whether there is any limit."""
        return bool(self.rows)

    def take(self, route: str, claims: TokenClaims, now: float) -> Overrun | None:
        """Count a request of a device in each limit that applies; return those that have no room for it.

        Where no device is known, the instance is counted: who enrols again and again has one share.  Where one of these is enforced, the request is counted nowhere; where none is, in all others.

        :param claims: of the verified token, and where a proof is asked for that was verified too.
        :param now: seconds since 1970.
        """
        rows = self._applying(route, claims.app_id, claims.app_version)
        if not rows:
            return None
        subject = claims.device or claims.subject
        first = rows[0]
        others = rows[1:]
        # All others are asked before one counts: what is refused must not spend what it didn't get.
        for row in others:
            if row.counter.wait(subject, now):
                return _over(rows, subject, now)
        if first.counter.take(subject, now):
            return _over(rows, subject, now)
        first.passed += 1
        for row in others:
            wait = row.counter.take(subject, now)
            if wait:
                # Another thread took the last one since.
                return Overrun([(row, wait)])
            row.passed += 1
        return None

    def tallies(self) -> Mapping[str, LimitTally]:
        """Return by limit how often it was met."""
        return {
            row.limit.name: LimitTally(row.passed, row.refused, row.reported) for row in self.rows
        }


def _over(rows: Sequence[_Row], subject: str, now: float) -> Overrun | None:
    """Return which limits have no room, once it is known that one has none."""
    late = [(row, wait) for row in rows if (wait := row.counter.wait(subject, now))]
    overrun = Overrun(late)
    if not overrun.refuses:
        for row in rows:
            # Those that have no room count nothing.
            if not row.counter.take(subject, now):
                row.passed += 1
    return overrun


def _applies(limit: Limit, route: str, app: str, version: str | None) -> bool:
    if limit.routes and route not in limit.routes:
        return False
    bound = limit.below.get(app)
    return bound is None or not is_at_least(version, bound)


def _rows(
    policy: GatePolicy, kept: Mapping[str, _Row], keeper: QuotaKeeper | None
) -> Iterator[_Row]:
    """Yield the API's limits, each with what it counted before."""
    if policy.rate is not None:
        rate = policy.rate
        limit = Limit(RATE, LimitKind.RATE, rate.requests, rate.seconds)
        yield _row(limit, kept.get(RATE), keeper, Reason.GATE_RATE)
    for limit in policy.limits:
        yield _row(limit, kept.get(limit.name), keeper, Reason.GATE_QUOTA)


def _row(limit: Limit, before: _Row | None, keeper: QuotaKeeper | None, reason: Reason) -> _Row:
    counter: _Counter
    same = before is not None and (before.limit.kind, before.limit.seconds) == (
        limit.kind,
        limit.seconds,
    )
    if before is not None and same and isinstance(before.counter, QuotaCounter):
        counter = before.counter
        counter.requests = limit.requests
    elif before is not None and same and before.limit.requests == limit.requests:
        counter = before.counter
    elif limit.kind is LimitKind.QUOTA:
        counter = QuotaCounter(limit.name, limit.requests, limit.seconds, keeper=keeper)
    else:
        counter = RateLimiter(Rate(limit.requests, limit.seconds))
    row = _Row(limit, counter, reason)
    if before is not None:
        row.passed, row.refused, row.reported = before.passed, before.refused, before.reported
    return row


def _check(policy: GatePolicy) -> None:
    """Refuse what would silently limit nobody.

    :raises ValueError: with what is wrong.
    """
    names = [limit.name for limit in policy.limits]
    if len({RATE, *names}) != len(names) + 1:
        raise ValueError(f"got limits named {names}, expected each name once, and none {RATE!r}")
    routes = {route.name for route in policy.routes}
    for limit in policy.limits:
        if limit.requests < 1 or limit.seconds < 1:
            raise ValueError(f"got no room in the limit {limit.name!r}, expected at least 1")
        if not limit.routes <= routes:
            unknown = sorted(limit.routes - routes)
            raise ValueError(
                f"got routes {unknown} in the limit {limit.name!r}, expected known ones"
            )
        for bound in limit.below.values():
            is_at_least(None, bound)
