"""Limit what instances may send: rates and quotas at the gate, and enrolments at the service, in bounded memory.

An instance is held to all limits of an API at once: a request has room in each that applies, or counts in none.  A rate is
a bucket that fills evenly and needs no sweep; a quota is counted exactly, in windows aligned to 1970.  Ask only after token
and proof were verified: a stolen token without its proof must not spend what its owner may send.

Enrolments are held back by app and by address prefix.  One genuine phone makes any number of instances, and most evidence
doesn't name the phone.  An address proves nothing either: many phones share one, and one attacker has many.  So these
limits bound how fast, they refuse nobody for good, and an address that isn't known isn't counted.
"""

import ipaddress
import math
from collections.abc import Iterable, Iterator, Mapping, MutableMapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Final, NamedTuple, Protocol, TypeAlias

from watchword.gate.interface import RATE, GatePolicy, Limit, LimitKind, Rate, is_at_least
from watchword.reasons import Reason, Refusal, RefusedError, UnavailableError
from watchword.tokens.interface import TokenClaims

QUOTA_CAPACITY: Final = 500_000
"""Most instances that are told apart in one window, about 90 MB; beyond, some share a count."""

SHARED_COUNTS: Final = 65_536
"""How many counts are shared by the instances beyond the capacity."""

STEP_SECONDS: Final = 60
"""How far a clock may be set back behind the begin of a window without leaving it."""


class QuotaWindow(NamedTuple):
    """Name one window of one quota.

    :param quota: the limit's name.
    :param seconds: how long its windows are.
    :param number: since 1970; the window begins at ``number * seconds``.
    """

    quota: str
    seconds: int
    number: int


class QuotaKeeper(Protocol):
    """Keep counts over the restarts of a gate, and share them between its processes.

    Called on the path of requests: neither waits, but for :meth:`counts` at the start of a process.
    """

    def counts(self, window: QuotaWindow) -> MutableMapping[str, int]:
        """Return by subject what was counted in a window so far, the same object whenever it is asked for.

        The gate counts in it; the keeper raises a count where other processes counted too.
        """

    def spent(self, window: QuotaWindow, subject: str) -> None:
        """Hear of one request that was counted."""


class _Window:
    """Hold the counts of one window."""

    __slots__ = ("begin", "cells", "counts", "end", "name")

    def __init__(self, name: QuotaWindow, counts: MutableMapping[str, int]) -> None:
        self.name = name
        self.begin = float(name.number * name.seconds - STEP_SECONDS)
        self.end = float((name.number + 1) * name.seconds)
        self.counts = counts
        self.cells: dict[int, int] = {}


class QuotaCounter:
    """Let each instance send ``requests`` in each window of ``seconds``.

    **Forgetting.**  Counts are forgotten all at once, when their window has ended, and never earlier: nothing
    that an instance, or a crowd of them, sends resets anybody's.

    **When there is no room**, an instance that isn't held shares one of :data:`SHARED_COUNTS` counts with others,
    chosen by a hash that nobody outside can predict, as in :class:`watchword.gate.limits.RateLimiter`.

    **Clocks.**  One that goes ahead into another window begins that one.  One that goes back by at most a minute
    stays in the window that it had reached: around its begin nobody gets two quotas.  One that goes back further
    takes the counts along, and they hold for the window that it is in then.

    **Threads.**  Of two threads that count for one instance in the same instant both may get its last request.
    """

    def __init__(
        self,
        quota: str,
        requests: int,
        seconds: int,
        *,
        capacity: int = QUOTA_CAPACITY,
        keeper: QuotaKeeper | None = None,
    ) -> None:
        """Start before any window.

        :param quota: its name, for the keeper.
        :param capacity: most instances that are told apart.
        :param keeper: keeps the counts; None where they end with the process.
        """
        self.requests = requests
        self._quota = quota
        self._seconds = seconds
        self._capacity = capacity
        self._keeper = keeper
        self._windows: dict[int, _Window] = {}
        self._window = _Window(QuotaWindow(quota, seconds, -1), {})

    def __len__(self) -> int:
        """Return how many counts are held."""
        return len(self._window.counts) + len(self._window.cells)

    def wait(self, subject: str, now: float) -> float:
        """Return 0.0 where there is room for a request of an instance now; otherwise the seconds until there is.

        :param subject: the verified token's.
        :param now: seconds since 1970.
        """
        window = self._window
        if not window.begin <= now < window.end:
            window = self._turn(now)
        count = window.counts.get(subject)
        if count is None:
            if len(window.counts) < self._capacity:
                return 0.0
            count = window.cells.get(hash(subject) % SHARED_COUNTS, 0)
        return 0.0 if count < self.requests else window.end - now

    def take(self, subject: str, now: float) -> float:
        """Count a request if there is room for it; return as :meth:`wait`.  A refused one counts nowhere."""
        window = self._window
        if not window.begin <= now < window.end:
            window = self._turn(now)
        counts = window.counts
        count = counts.get(subject)
        if count is None:
            if len(counts) >= self._capacity:
                return self._take_shared(window, subject, now)
            count = 0
        if count >= self.requests:
            return window.end - now
        counts[subject] = count + 1
        if self._keeper is not None:
            self._keeper.spent(window.name, subject)
        return 0.0

    def _take_shared(self, window: _Window, subject: str, now: float) -> float:
        """Count a request where there is no room for a count of its own."""
        cell = hash(subject) % SHARED_COUNTS
        count = window.cells.get(cell, 0)
        if count >= self.requests:
            return window.end - now
        window.cells[cell] = count + 1
        return 0.0

    def _turn(self, now: float) -> _Window:
        """Go to the window of an instant; threads that come at once find the same one."""
        held = self._window
        number = int(now // self._seconds)
        name = QuotaWindow(self._quota, self._seconds, number)
        keeper = self._keeper
        fresh = _Window(name, {} if keeper is None else keeper.counts(name))
        if number < held.name.number:
            for subject, count in list(held.counts.items()):
                fresh.counts[subject] = max(count, fresh.counts.get(subject, 0))
            fresh.cells = held.cells
        window = self._windows.setdefault(number, fresh)
        self._window = window
        self._windows = {number: window}
        return window


BUCKET_CAPACITY: Final = 200_000
"""Most instances that are told apart at once, about 30 MB; beyond, some share a limit."""

SHARED_CELLS: Final = 4096
"""How many limits are shared by the instances beyond the capacity."""


class RateLimiter:
    """Give each instance a bucket of ``requests`` tokens that fills evenly over ``seconds``.

    At most twice ``requests`` pass in any ``seconds`` (a full bucket and what flows in), half of
    them on the long run.  A bucket is one number: the instant from which on it is full again (the
    "theoretical arrival time" of GCRA, ITU-T I.371).

    **Forgetting.**  A bucket may be forgotten only when it is full, since a new one is full too; every
    bucket is full ``seconds`` after its last use.  So there are two generations: when the younger is
    that old, the older is dropped as a whole.  Nothing that an instance, or a crowd of them, sends
    makes room earlier: nobody's bucket is ever reset.

    **When there is no room**, an instance that isn't held shares one of :data:`SHARED_CELLS` buckets with
    others, chosen by a hash that nobody outside can predict (Python keys its own at each start).  To let
    it pass unlimited would switch the limit off for whoever brings enough instances, and to refuse it
    would shut out everybody new; sharing only makes the limit stricter for some of them for a while.
    What it spent there follows it into a bucket of its own.

    **Clocks.**  A clock that goes ahead fills buckets early, once.  One that goes back finds buckets that
    are full later than they can be: they count as empty, and fill at the usual pace.
    """

    def __init__(self, rate: Rate, capacity: int = BUCKET_CAPACITY) -> None:
        """Start with every bucket full.

        :param capacity: most instances that are told apart.
        """
        self._seconds = float(rate.seconds)
        self._cost = rate.seconds / rate.requests
        # Sums of floats (2**-22 s is their step in our days) must not eat a bucket's last request.
        self._most = self._seconds + self._cost / 100 + rate.requests * 2**-22
        self._turn_seconds = self._seconds + self._cost
        self._half = max(capacity // 2, 1)
        self._young: dict[str, float] = {}
        self._old: dict[str, float] = {}
        self._cells: dict[int, float] = {}
        self._old_cells: dict[int, float] = {}
        self._turn_from = 0.0
        self._turn_at = 0.0
        self._turns: dict[float, object] = {}

    def __len__(self) -> int:
        """Return how many buckets are held."""
        held = (len(self._young), len(self._old), len(self._cells), len(self._old_cells))
        return sum(held)

    def take(self, subject: str, now: float) -> float:
        """Take one request out of an instance's bucket; return 0.0 when there was one.

        :param subject: the verified token's.
        :param now: seconds of any clock, always of the same one.
        :return: otherwise the seconds after which there will be one (for ``Retry-After``); a refused
            request takes nothing.
        """
        if not self._turn_from <= now < self._turn_at:
            self._turn_once(now)
        young = self._young
        full_at = young.get(subject)
        if full_at is None:
            if len(young) >= self._half:
                return self._take_shared(subject, now)
            full_at = self._old.get(subject)
            if full_at is None:
                full_at = self._spent_in_cell(subject) if self._cells or self._old_cells else now
        if full_at < now:  # noqa: PLR1730 - max() takes a quarter of the time of the whole call.
            full_at = now
        after = full_at + self._cost
        if after - now <= self._most:
            young[subject] = after
            return 0.0
        # Written down for the sake of a clock that went back: from here on it fills.
        full_at = min(full_at, now + self._seconds)
        young[subject] = full_at
        return full_at + self._cost - self._seconds - now

    def wait(self, subject: str, now: float) -> float:
        """Return 0.0 where :meth:`take` would take a request now, otherwise what it would return; takes nothing."""
        if not self._turn_from <= now < self._turn_at:
            self._turn_once(now)
        full_at = self._young.get(subject)
        if full_at is None:
            own = self._old.get(subject)
            full_at = now if own is None else own
            if len(self._young) >= self._half or own is None:
                full_at = max(full_at, self._spent_in_cell(subject))
        if full_at + self._cost - now <= self._most:
            return 0.0
        # There is no room, so that this takes nothing; it writes down what a clock that went back needs.
        return self.take(subject, now)

    def is_spent(self, subject: str, now: float) -> bool:
        """Tell whether something is missing in an instance's bucket."""
        full_at = self._young.get(subject, self._old.get(subject, 0.0))
        return max(full_at, self._spent_in_cell(subject)) > now

    def give_back(self, subject: str) -> None:
        """Put the request back that was taken last: it came to nothing.

        It goes where it was taken from, unless that is full and forgotten by now.
        """
        cell = hash(subject) % SHARED_CELLS
        for held, key in (
            (self._young, subject),
            (self._cells, cell),
            (self._old, subject),
            (self._old_cells, cell),
        ):
            if key in held:
                held[key] -= self._cost  # type: ignore[index]
                return

    def _turn_once(self, now: float) -> None:
        """Turn, but of two threads one only: the second would let go of what is still in use."""
        ended, mine = self._turn_at, object()
        if self._turns.setdefault(ended, mine) is mine:
            self._turn(now)
            self._turns = {}

    def _take_shared(self, subject: str, now: float) -> float:
        """Take one request where there is no room for a bucket of its own."""
        own = self._old.get(subject)
        cell = hash(subject) % SHARED_CELLS
        full_at = max(now, self._spent_in_cell(subject), now if own is None else own)
        full_at = min(full_at, now + self._seconds)
        after = full_at + self._cost
        if after - now <= self._most:
            self._cells[cell] = after
            return 0.0
        self._cells[cell] = full_at
        return after - self._seconds - now

    def _spent_in_cell(self, subject: str) -> float:
        """Return until when the cell of an instance fills, which may have spent there."""
        cell = hash(subject) % SHARED_CELLS
        return max(self._cells.get(cell, 0.0), self._old_cells.get(cell, 0.0))

    def _turn(self, now: float) -> None:
        """Let the older generation go: each of its buckets is full by now.

        After a jump back the buckets count as empty at most, and so are full ``seconds`` from now.
        """
        if now >= self._turn_at:
            idle = now >= self._turn_at + self._turn_seconds
            self._old = {} if idle else self._young
            self._old_cells = {} if idle else self._cells
            self._young = {}
            self._cells = {}
        self._turn_from = now
        self._turn_at = now + self._turn_seconds


SIGNATURES: Final = Rate(600, 60)
"""How many signatures of one token are verified where the API sets no ``rate``: ten a second, after 600 at once."""


class RateSpentError(RefusedError):
    """Refuse what has no room.

    :ivar retry_after: whole seconds after which there is some.
    """

    def __init__(self, refusal: Refusal, retry_after: int) -> None:
        """Keep why, and until when."""
        super().__init__((refusal,))
        self.retry_after = retry_after


class SignatureLimit:
    """Bound what one token's signatures cost where they stand for session proofs.

    A session proof costs an HMAC, so that a flood of forged ones is cheap; a signature costs a curve.  So each takes its
    room first: who copied a token, and has no key, gets as many curves as the API's ``rate`` allows, and no more.  He
    takes that one token's room, and nothing of the instance's rate and quotas: its owner is served again with the next
    token, which takes him 80 % of this one's life at most.
    """

    def __init__(self, rate: Rate | None, earlier: "SignatureLimit | None" = None) -> None:
        """Begin with all the room there is, or go on where an earlier policy had the same rate.

        :param rate: the API's; :data:`SIGNATURES` if None.
        """
        self.rate: Rate = rate or SIGNATURES
        kept = earlier is not None and earlier.rate == self.rate
        self.limiter: RateLimiter = (
            earlier.limiter if earlier is not None and kept else RateLimiter(self.rate)
        )

    def take(self, claims: TokenClaims, now: float) -> None:
        """Take room for one signature of a token.

        :param claims: of the verified token.
        :param now: seconds since 1970.
        :raises RateSpentError: ``gate.rate``, where there is none.
        """
        wait = self.limiter.take(claims.session_id, now)
        if wait:
            detail = f"got more signatures of one token than the rate, the next in {wait:.1f} s"
            raise RateSpentError(Refusal(Reason.GATE_RATE, detail), math.ceil(wait))


MOST_CHOICES: Final = 4096
"""For how many combinations of route, app and version it is remembered which limits apply."""


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

    def __init__(self, limit: Limit, counter: RateLimiter | QuotaCounter, reason: Reason) -> None:
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
    counter: RateLimiter | QuotaCounter
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


Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

IPV6_PREFIX: Final = 56
"""Bits of an IPv6 address that are counted together.

A subscriber is given a whole prefix, of 64 to 48 bits, and takes any address in it: single addresses, and 64 bits, would
give a home with 56 bits 256 limits.  Of IPv4 the whole address counts: a wider prefix would lump strangers together.
"""

MAX_HOPS: Final = 16
"""Most proxies that are followed back; nobody has more in front of one service."""

FORWARDED: Final = b"x-forwarded-for"
"""The field that is read.

Every common proxy and load balancer adds to it; of ``Forwarded`` (RFC 7239) few do, and a client's own would be handed
on by all others as if they had written it.
"""

_NOT_PUBLIC: Final = tuple(
    map(
        ipaddress.ip_network,
        (
            *("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16"),
            *("100.64.0.0/10", "::1/128", "fc00::/7", "fe80::/10"),
        ),
    )
)
"""Of loopback, private, shared and local addresses (RFC 1122, 1918, 3927, 6598, 4291, 4193): no phone on the Internet
connects from one, so that it is a proxy's, which all clients would share."""


class ClientAddresses:
    """Find the client's prefix behind the proxies that the file names.

    ``X-Forwarded-For`` is believed from a trusted proxy alone, and read from the right: each proxy adds the address that
    connected to it at the end, so that the first one from there that isn't a trusted proxy's is the client's.  All further
    left is what the client wrote.
    """

    def __init__(self, trusted: Sequence[Network] = ()) -> None:
        """Trust the proxies in these networks, and nobody else."""
        self._trusted = tuple(trusted)

    def prefix(self, peer: str | None, fields: Iterable[tuple[bytes, bytes]]) -> str | None:
        """Return the prefix that a request is counted by, None where no client can be told from another.

        That is so where the address is that of a proxy: a trusted one that named no address that can be read, or one
        that nobody trusts and that isn't public.  Whoever comes through it would be held up by all others.

        :param peer: the address that is connected; None for a Unix socket.
        :param fields: of the request, names in lower case.
        """
        address = _read(peer or "")
        if address is None:
            return None
        if not self._trusts(address):
            return None if _within(address, _NOT_PUBLIC) else _prefix(address)
        values = b",".join(value for name, value in fields if name == FORWARDED)
        for entry in reversed(values.decode("latin-1").rsplit(",", MAX_HOPS)[-MAX_HOPS:]):
            hop = _read(_without_port(entry.strip(" \t")))
            if hop is None:
                return None
            if not self._trusts(hop):
                return _prefix(hop)
        return None

    def _trusts(self, address: Address) -> bool:
        return _within(address, self._trusted)


def _within(address: Address, networks: Iterable[Network]) -> bool:
    return any(address in network for network in networks)


def _read(text: str) -> Address | None:
    """Return an address, that of IPv4 where it is one inside of IPv6; None for anything else."""
    if "%" in text:
        return None  # A zone is a name of the machine that wrote it.
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def _without_port(entry: str) -> str:
    """Return an address without the port that some load balancers write behind it."""
    if entry.startswith("["):
        host, bracket, port = entry[1:].partition("]")
        return host if bracket and (not port or _is_port(port)) else ""
    host, colon, port = entry.partition(":")
    return host if colon and _is_port(":" + port) else entry


def _is_port(text: str) -> bool:
    return text[:1] == ":" and text[1:].isascii() and text[1:].isdigit()


def _prefix(address: Address) -> str:
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    return str(ipaddress.ip_network((int(address), IPV6_PREFIX), strict=False))


class EnrolmentRates(NamedTuple):
    """Hold how many instances may enrol.

    :param address: from one address prefix, over all apps.  A carrier puts thousands of phones behind one address: 100
        of them enrol at once, and 600 an hour.
    :param app: of one app, from all addresses.
    """

    address: Rate = Rate(100, 600)
    app: Rate = Rate(6000, 60)


MAX_PREFIXES: Final = 100_000
"""Most prefixes that are told apart, 20 MB; those beyond share limits (:class:`RateLimiter`)."""


class EnrolmentLimits:
    """Give each enrolment room by address and app, or send it away until there is some.

    **Fairness.**  A prefix that has enrolled just now shares half of its app's limit with others of its kind; the other
    half is for prefixes that haven't.  So neither one prefix nor many busy ones keep out a phone at an address of its own.

    **What counts** is what enrols.  An enrolment takes its room before its evidence is looked at, and gives it back
    where it fails: neither nonsense nor a policy that refuses everybody uses up a limit.
    """

    def __init__(self, rates: EnrolmentRates, prefixes: int = MAX_PREFIXES) -> None:
        """Begin with all the room there is.

        :param prefixes: most that are told apart.
        """
        self._prefixes = prefixes
        self._begin(rates)

    def _begin(self, rates: EnrolmentRates) -> None:
        self._rates = rates
        self._addresses = RateLimiter(rates.address, self._prefixes)
        self._apps = RateLimiter(rates.app)
        self._again = RateLimiter(Rate(max(1, rates.app.requests // 2), rates.app.seconds))
        self._asking = RateLimiter(rates.address)

    def go_by(self, rates: EnrolmentRates) -> None:
        """Go by other rates from now on; where they are others, all the room is there again."""
        if rates != self._rates:
            self._begin(rates)

    def __len__(self) -> int:
        """Return how many prefixes are held."""
        return len(self._addresses)

    def ask(self, address: str, at: float) -> float:
        """Count that an address prefix asks to enrol; return above 0 where it asks more often than it may enrol.

        :param at: seconds of any clock, always of the same one.
        """
        return self._asking.take(address, at)

    @contextmanager
    def room(self, app: str, address: str | None, now: datetime) -> Iterator[None]:
        """Take room for one enrolment; an exception gives it back.

        :param app: known, since each has limits of its own.
        :param address: the prefix; None where clients can't be told apart by it.
        :raises UnavailableError: ``enrolment.limit``, with the seconds until there is room.
        """
        at = now.timestamp()
        taken = [(self._apps, app)]
        if address is not None:
            if self._addresses.is_spent(address, at):
                taken.append((self._again, app))
            taken.append((self._addresses, address))
        # All are asked before one counts: what is sent away takes nothing of any.
        wait = max(limiter.wait(name, at) for limiter, name in taken)
        if wait:
            raise UnavailableError(
                Reason.ENROLMENT_LIMIT,
                "got more enrolments of one app, or from one address, than there is room for",
                math.ceil(wait),
            )
        for limiter, name in taken:
            limiter.take(name, at)
        try:
            yield
        except BaseException:
            for limiter, name in taken:
                limiter.give_back(name)
            raise
