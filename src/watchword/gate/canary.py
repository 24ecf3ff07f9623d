"""Enforce a route for a share of the instances, and take it back when it turns too many of them away.

**Who is in.**  A digest of API, route and instance gives each instance its fixed place from 0 to 100; the
share takes part from the bottom up.  So every gate agrees without asking, the same instances stay in when
the share grows, and another route picks others.  The digest needs no key: the service chooses subjects at
random, so that nobody picks a place for himself.  A request without a verified token has no instance, and is
in no canary.

**When it narrows.**  Of the instances in the canary that the gate saw in the last hour, more than ``budget``
percent, and at least :data:`LEAST_REFUSED`, were refused for their level or version.  The share is then
halved, below one percent to none.  It never grows by itself: an operator widens it by writing another share.

**Why an attacker can't spend the budget.**

* What counts is instances, each at most once an hour: ten thousand refusals of ten phones are ten.
* Only refusals count that say something about a genuine device: level, version, appraisal.  Whoever makes
  bad proofs, replays, bad signatures or floods is what the gate is for, and counts for nothing, and so does
  a request that is refused for one of these beside.
* Only verified instances count, on a route with proofs only those whose proof was verified: stolen tokens
  without the key move nothing.
* It takes 50 enrolled instances within the share: at a share of 10 percent some 500 genuine enrolments, of
  which a device gets 10 under the preset ``balanced`` (rule ``DeviceVelocity``), and more than the budget's
  percentage of everybody who is about.  Each further halving takes as many that weren't counted within the
  hour.
* The prize is small: the canary was open to everyone outside of its share anyway.  A route in ``enforce``
  is never opened: there the same count only raises an alarm.

Memory is bounded: hundreds of thousands of instances are counted by a sample (:class:`_Distinct`).
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from watchword.gate.interface import Canary, Route, is_at_least
from watchword.reasons import Reason, Refusal
from watchword.tokens.interface import TokenClaims
from watchword.vocabulary import Mode

LEAST_REFUSED: Final = 50
"""Fewer distinct refused instances never narrow a canary, whatever their percentage."""

HOUR_SECONDS: Final = 3600
"""How long an instance that was counted isn't counted again, at least."""

WARM_UP_SECONDS: Final = 600
"""How long a gate that starts, or that nobody called for hours, watches before it judges: until then a few
could be everybody whom it has seen."""

SAMPLE: Final = 4096
"""Up to so many distinct instances are counted exactly; beyond, with an error of about 2 percent."""

_COUNTED: Final = frozenset({Reason.GATE_LEVEL, Reason.GATE_APP_VERSION})
_APPRAISAL: Final = "policy."


@dataclass(frozen=True, slots=True)
class Narrowing:
    """Hold what must outlive a restart: how far a canary was narrowed, under which settings.

    :param canary: as it was written then; under other settings the narrowing is void, since an operator
        decided anew.
    :param share: percent that is left, 0 to less than ``canary.share``.
    :param tripped_at: seconds since 1970.
    """

    canary: Canary
    share: float
    tripped_at: float


@dataclass(frozen=True, slots=True)
class CanaryState:
    """Hold what an operator sees of one route.

    :param share: percent of the instances for which it enforces now.
    :param seen: distinct instances of this hour that counted.
    :param refused: those among them that were refused for level, version or appraisal.
    :param tripped_at: when the budget was last exceeded, in seconds since 1970; None if never.
    :param alarm: whether it was exceeded within the last hour.
    """

    share: float
    seen: int
    refused: int
    tripped_at: float | None
    alarm: bool


def place(api: str, route: str, subject: str) -> float:
    """Return the place of an instance on one route, from 0 to less than 100, the same on every gate."""
    text = f"{api}\0{route}\0{subject}".encode()
    return int.from_bytes(hashlib.sha256(text).digest()[:6], "big") * 100 / 2**48


class _Distinct:
    """Count distinct numbers in bounded memory, by adaptive sampling (Wegman; Flajolet 1990).

    Only numbers whose last ``depth`` bits are zero are held; when there are too many, ``depth`` grows by one
    and half of them go.  That work is paid for by the insertions before it.
    """

    def __init__(self) -> None:
        # Both are replaced at once, so that threads never see one without the other.
        self._sample: tuple[int, set[int]] = (0, set())

    def __contains__(self, number: int) -> bool:
        return number in self._sample[1]

    def add(self, number: int) -> None:
        mask, held = self._sample
        if number & mask:
            return
        held.add(number)
        while len(held) > SAMPLE:
            mask = mask * 2 + 1
            # Of a copy, since another thread may add meanwhile.
            held = {each for each in held.copy() if not each & mask}
            self._sample = mask, held

    @property
    def count(self) -> int:
        mask, held = self._sample
        return len(held) * (mask + 1)


class RouteCanary:
    """Decide for one route who is in, and keep its error budget.

    Of a route in mode ``enforce`` everybody is in, and it only ever raises the alarm.
    """

    def __init__(self, api: str, route: Route, earlier: Narrowing | None = None) -> None:
        """Start where an earlier process stopped, if the settings are still the same.

        :param earlier: what :attr:`narrowing` gave before a restart, which so widens nothing.
        """
        written = Canary(share=100) if route.canary is None else route.canary
        self._written = written
        self._narrows = route.mode is Mode.CANARY
        self._share = float(written.share) if self._narrows else 100.0
        self._tripped_at: float | None = None
        if earlier is not None and self._narrows and earlier.canary == written:
            self._share = min(self._share, max(earlier.share, 0.0))
            self._tripped_at = earlier.tripped_at
        self._hour_from = self._hour_to = self._judged_from = 0.0
        self._seen, self._refused = _Distinct(), _Distinct()
        self._seen_before, self._refused_before = _Distinct(), _Distinct()
        self._spent_refused = 0

        @lru_cache(maxsize=8192)
        def place_of(subject: str) -> float:
            return place(api, route.name, subject)

        self._place_of = place_of

    @property
    def narrowing(self) -> Narrowing | None:
        """Return what a restart must not forget; None while nothing was narrowed."""
        if not self._narrows or self._tripped_at is None:
            return None
        return Narrowing(self._written, self._share, self._tripped_at)

    def includes(self, claims: TokenClaims) -> bool:
        """Tell whether the route is enforced for the instance behind a verified token."""
        if not self._narrows:
            return True
        lowest = self._written.from_versions.get(claims.app_id)
        if lowest is not None and not is_at_least(claims.app_version, lowest):
            return False
        return self._place_of(claims.subject) < self._share

    def record(self, claims: TokenClaims, refusals: Sequence[Refusal], now: float) -> bool:
        """Count what was decided on a verified instance; tell whether that exceeded the budget.

        :param claims: of a verified token, and on a route with proofs only after the proof was verified (a
            refusal that came before it isn't recorded at all).
        :param refusals: empty where the request passed.
        :param now: seconds since 1970.
        :return: True at most once for each time the share is halved, or the alarm raised.
        """
        if not self._hour_from <= now < self._hour_to:
            self._turn(now)
        if not self.includes(claims):
            return False
        # Cached in the string; Python keys it anew in each process, so that nobody steers the sample.
        number = hash(claims.subject)
        self._seen.add(number)
        if not refusals or not all(_counts(refusal.reason) for refusal in refusals):
            return False
        if number not in self._refused_before:
            self._refused.add(number)
        refused = self._refused.count - self._spent_refused
        if refused < LEAST_REFUSED or now < self._judged_from:
            return False
        # The hour before counts too, or a crowd at the full hour would be everybody who is about.
        seen = max(self._seen.count, self._seen_before.count)
        if refused * 100 <= self._written.budget * seen:
            return False
        self._trip(now)
        return True

    def state(self, now: float) -> CanaryState:
        """Return what an operator sees."""
        at = self._tripped_at
        return CanaryState(
            share=self._share,
            seen=self._seen.count,
            refused=self._refused.count,
            tripped_at=at,
            alarm=at is not None and abs(now - at) < HOUR_SECONDS,
        )

    def _trip(self, now: float) -> None:
        """Halve the share; who was counted stays counted, and doesn't count for the next time."""
        self._tripped_at = now
        self._spent_refused = self._refused.count
        if self._narrows:
            self._share = self._share / 2 if self._share >= 2 else 0.0

    def _turn(self, now: float) -> None:
        """Begin another hour; a clock that went back only makes the present one longer."""
        ended = self._hour_to
        # First, so that another thread finds the hour begun.
        self._hour_from, self._hour_to = now, now + HOUR_SECONDS
        if now >= ended:
            idle = now >= ended + HOUR_SECONDS
            self._seen_before = _Distinct() if idle else self._seen
            self._refused_before = _Distinct() if idle else self._refused
            self._seen, self._refused = _Distinct(), _Distinct()
            self._spent_refused = 0
            if idle:
                self._judged_from = now + WARM_UP_SECONDS


def canaries(
    api: str, routes: Sequence[Route], earlier: Mapping[str, Narrowing] | None = None
) -> dict[str, RouteCanary]:
    """Return the canary of each route in mode ``canary`` or ``enforce``, by the route's name.

    :param earlier: by route, what was narrowed before.
    """
    known = earlier or {}
    return {
        route.name: RouteCanary(api, route, known.get(route.name))
        for route in routes
        if route.mode in (Mode.CANARY, Mode.ENFORCE)
    }


def _counts(reason: Reason) -> bool:
    """Tell whether a refusal says something about a genuine instance."""
    return reason in _COUNTED or reason.code.startswith(_APPRAISAL)
