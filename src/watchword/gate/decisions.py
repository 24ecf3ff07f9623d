"""Take a policy apart into what it asks of each request, and turn what was found into a decision, as the mode of the route says.

A route in ``canary`` is enforced for a share of the instances, which narrows when it turns too many of them away.

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
import re
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final

from watchword.broker.interface import HoneytokenWatch
from watchword.gate.hygiene import (
    MAX_PATH_BYTES,
    CompiledRoute,
    compile_routes,
    find_row,
    read_path,
)
from watchword.gate.injection import InjectionRoute, compile_injections
from watchword.gate.interface import (
    RESULT_HEADERS,
    Decision,
    GatePolicy,
    Injection,
    RequestFacts,
    Rollout,
    Route,
    is_at_least,
)
from watchword.gate.limits import Limits, Overrun, QuotaKeeper, SignatureLimit
from watchword.gate.spellings import Rivals, fold_path, judge_spelling, rivals_of
from watchword.reasons import Reason, Refusal
from watchword.tokens.interface import TokenClaims
from watchword.vocabulary import Environment, Level, Mode, Proof, ReplayMode

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
class RolloutState:
    """Hold what must outlive a restart: how far a canary was narrowed, under which settings.

    :param canary: as it was written then; under other settings the narrowing is void, since an operator
        decided anew.
    :param share: percent that is left, 0 to less than ``canary.share``.
    :param tripped_at: seconds since 1970.
    """

    canary: Rollout
    share: float
    tripped_at: float


@dataclass(frozen=True, slots=True)
class RolloutStatus:
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


class RouteRollout:
    """Decide for one route who is in, and keep its error budget.

    Of a route in mode ``enforce`` everybody is in, and it only ever raises the alarm.
    """

    def __init__(self, api: str, route: Route, earlier: RolloutState | None = None) -> None:
        """Start where an earlier process stopped, if the settings are still the same.

        :param earlier: what :attr:`rollout_state` gave before a restart, which so widens nothing.
        """
        written = Rollout(share=100) if route.canary is None else route.canary
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
    def rollout_state(self) -> RolloutState | None:
        """Return what a restart must not forget; None while nothing was narrowed."""
        if not self._narrows or self._tripped_at is None:
            return None
        return RolloutState(self._written, self._share, self._tripped_at)

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

    def state(self, now: float) -> RolloutStatus:
        """Return what an operator sees."""
        at = self._tripped_at
        return RolloutStatus(
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
    api: str, routes: Sequence[Route], earlier: Mapping[str, RolloutState] | None = None
) -> dict[str, RouteRollout]:
    """Return the canary of each route in mode ``canary`` or ``enforce``, by the route's name.

    :param earlier: by route, what was narrowed before.
    """
    known = earlier or {}
    return {
        route.name: RouteRollout(api, route, known.get(route.name))
        for route in routes
        if route.mode in (Mode.CANARY, Mode.ENFORCE)
    }


def _counts(reason: Reason) -> bool:
    """Tell whether a refusal says something about a genuine instance."""
    return reason in _COUNTED or reason.code.startswith(_APPRAISAL)


MAX_RESOLVED = 2048
"""Most targets whose route is remembered; longer or rarer ones are resolved again."""

_METHOD = re.compile(r"[A-Z][A-Z-]{0,31}")
_NO_REQUESTS = frozenset({"CONNECT", "TRACE"})
"""Methods that open a tunnel, or answer with the request's own fields, the token among them."""


@dataclass(frozen=True, slots=True)
class Target:
    """Hold what follows from method and path; what is asked of each request is worked out once.

    :param rank: of the level that the route needs.
    :param unchecked: whether the route's mode is ``off``.
    :param bearer: whether the token alone is enough; ``session`` whether an HMAC is asked for, ``dpop`` whether a
        DPoP proof is taken in place of a signature.
    :param enforced: whether a refusal refuses; None where that depends on the instance.
    :param watch: counts whom the route turns away, None in ``monitor``.
    :param injection: where the request goes with a key added, None where it goes to the API.
    :param reported: what is wrong with the path, and refuses nobody: none of its rows is the strictest, and all watch.
    :param signed: the same on a ``session`` route for a request that the device signs itself; None on all others.
    """

    route: Route
    rank: int
    unchecked: bool
    bearer: bool
    session: bool
    dpop: bool
    enforced: bool | None
    watch: RouteRollout | None
    method: bytes
    decoded_path: str
    injection: Injection | None = None
    reported: tuple[Refusal, ...] = ()
    signed: "Target | None" = None

    def enforces(self, claims: TokenClaims | None) -> bool:
        """Tell whether a refusal refuses; in ``canary`` only for verified instances that take part."""
        if self.enforced is None:
            return self.watch is not None and claims is not None and self.watch.includes(claims)
        return self.enforced


class CompiledPolicy:
    """Hold a policy with its route table taken apart, and the targets that were asked for.

    :ivar generation: of the gate's state in which the policy was read.
    :ivar canaries: by route, whom it is enforced for and whom it turned away.
    :ivar limits: None where the policy sets none, and no rate.
    :ivar signatures: how many are verified that stand for session proofs.
    :ivar watch: by what canary keys are recognised, None where none is planted.
    """

    def __init__(
        self,
        generation: int,
        policy: GatePolicy,
        earlier: "CompiledPolicy | None" = None,
        narrowed: Mapping[str, RolloutState] | None = None,
        *,
        watch: HoneytokenWatch | None = None,
        keeper: QuotaKeeper | None = None,
    ) -> None:
        """Take the table apart.

        :param earlier: of the generation before, whose counts go on where they still apply.
        :param narrowed: by route, what a process that ran before had narrowed.
        :param keeper: keeps the counts of quotas, None where they end with the process.
        :raises ValueError: for a pattern or version that could never match.
        """
        self.generation = generation
        self.policy = policy
        self.leeway = policy.expectation.leeway
        self.binding_header = policy.binding_header
        self.affine = policy.replay is ReplayMode.AFFINE
        self.shared = policy.replay is ReplayMode.SHARED
        # The lab is on loopback, without TLS.
        self.allow_http = policy.expectation.environment is Environment.LAB
        table = compile_routes(policy.routes)
        rivals = rivals_of(table, policy)
        injections = compile_injections(policy)
        for route in policy.routes:
            for minimum in route.minimum_versions.values():
                is_at_least(None, minimum)
        self._narrowed = dict(narrowed or {}) if earlier is None else earlier.rollout_states
        self.canaries = _canaries(policy, earlier, self._narrowed)
        before = None if earlier is None else earlier.limits
        self.limits: Limits | None = Limits(policy, before, keeper) or None
        self.signatures: SignatureLimit = SignatureLimit(
            policy.rate, None if earlier is None else earlier.signatures
        )
        self.watch = watch
        self._keeper = keeper

        @lru_cache(maxsize=MAX_RESOLVED)
        def resolve(method: str, raw_path: bytes) -> Target | Refusal:
            judged = _judge(table, rivals, policy, method, raw_path)
            if isinstance(judged, Refusal):
                return judged
            return _resolve(self.canaries, injections, method, raw_path, *judged)

        self.resolve = resolve

    @property
    def rollout_states(self) -> dict[str, RolloutState]:
        """Return by route how far its canary is narrowed, also while the route is in another mode."""
        kept = {name: each for name, each in self._narrowed.items() if name not in self.canaries}
        for name, canary in self.canaries.items():
            if (state := canary.rollout_state) is not None:
                kept[name] = state
        return kept

    def renewed(
        self, generation: int, policy: GatePolicy, watch: HoneytokenWatch | None
    ) -> "CompiledPolicy":
        """Return the policy of another generation; most bring new keys and the same table.

        :raises ValueError: as the constructor.
        """
        if policy != self.policy:
            return CompiledPolicy(generation, policy, self, watch=watch, keeper=self._keeper)
        renewed = copy(self)
        renewed.generation = generation
        renewed.watch = watch
        return renewed


def _canaries(
    policy: GatePolicy, earlier: CompiledPolicy | None, narrowed: Mapping[str, RolloutState]
) -> dict[str, RouteRollout]:
    """Return the canaries of a table; those of routes that stayed what they were go on counting."""
    fresh = canaries(policy.api, policy.routes, narrowed)
    if earlier is None:
        return fresh
    same = {route.name for route in policy.routes if route in earlier.policy.routes}
    return {name: earlier.canaries[name] if name in same else each for name, each in fresh.items()}


def _judge(
    table: Sequence[CompiledRoute],
    rivals: Sequence[Rivals],
    policy: GatePolicy,
    method: str,
    raw_path: bytes,
) -> tuple[Route, tuple[str, ...], tuple[Refusal, ...]] | Refusal:
    """Return the route that judges, the decoded segments, and what is only reported (steps 2 and 3 of ``Gate.decide``)."""
    if not _METHOD.fullmatch(method):
        return Refusal(Reason.REQUEST_MALFORMED, "expected a method in upper case")
    if method in _NO_REQUESTS:
        return Refusal(Reason.GATE_PROTOCOL, f"got {method}")
    segments = read_path(raw_path)
    if isinstance(segments, Refusal):
        return segments
    position = find_row(table, method, segments)
    # Most paths are written as most tables are: nothing of them has another spelling to be looked at.
    plain = policy.case_sensitive or (b"%" not in raw_path and raw_path == raw_path.lower())
    if plain and position is not None and not rivals[position].unfolded:
        return table[position].route, segments, ()
    folded = segments if policy.case_sensitive else fold_path(segments)
    if isinstance(folded, Refusal):
        return folded
    if position is None:
        return Refusal(Reason.GATE_ROUTE_UNKNOWN, f"no route of {policy.api} matches the request")
    if not rivals[position].all:
        return table[position].route, segments, ()
    judged = judge_spelling(table[position], rivals[position], method, segments, folded)
    return judged if isinstance(judged, Refusal) else (judged.row.route, segments, judged.reported)


def _resolve(
    watches: Mapping[str, RouteRollout],
    injections: Mapping[str, InjectionRoute],
    method: str,
    raw_path: bytes,
    route: Route,
    segments: tuple[str, ...],
    reported: tuple[Refusal, ...],
) -> Target | Refusal:
    """Return what follows from the route that judges, and from the path."""
    injection: Injection | None = None
    if route.name in injections:
        # Whatever the mode: another path at the third party is another thing that the key opens.
        found = injections[route.name].resolve(method, raw_path)
        if isinstance(found, Refusal):
            return found
        injection = found
    slash = "/" if segments and raw_path.endswith(b"/") else ""
    target = Target(
        route=route,
        rank=route.level.rank,
        unchecked=route.mode is Mode.OFF,
        bearer=route.proof is Proof.BEARER,
        session=route.proof is Proof.SESSION,
        dpop=route.proof is Proof.DEVICE and route.dpop,
        enforced=None if route.mode is Mode.CANARY else route.mode is Mode.ENFORCE,
        watch=watches.get(route.name),
        method=method.encode("ascii"),
        decoded_path="/" + "/".join(segments) + slash,
        injection=injection,
        reported=reported,
    )
    return replace(target, signed=replace(target, session=False)) if target.session else target


def check_standing(claims: TokenClaims, route: Route) -> Refusal | None:
    """Return why an instance's level or version isn't enough for a route, None if both are."""
    if not claims.level.satisfies(route.level):
        return _too_low(claims.level, route)
    minimum = route.minimum_versions.get(claims.app_id)
    if minimum is not None and not is_at_least(claims.app_version, minimum):
        got = "no version" if claims.app_version is None else f"version {claims.app_version}"
        return Refusal(
            Reason.GATE_APP_VERSION, f"got {got} of {claims.app_id}, expected at least {minimum}"
        )
    return None


def _too_low(level: Level, route: Route) -> Refusal:
    return Refusal(Reason.GATE_LEVEL, f"got {level.value}, expected {route.level.value}")


MAX_QUERY_BYTES = 8 * 1024
"""Most bytes of a query."""

ROUTED_ELSEWHERE = Refusal(
    Reason.REQUEST_PATH_AMBIGUOUS,
    "expected the engine to route by the decoded raw path, below its root_path",
)

Fields = list[tuple[bytes, bytes]]


def judge(
    target: Target,
    refusals: tuple[Refusal, ...],
    claims: TokenClaims | None,
    fields: Fields,
    nonce: bytes | None,
) -> Decision:
    """Refuse, or let pass and report, as the route's mode says."""
    enforced = target.enforces(claims)
    return Decision(
        allow=not enforced,
        mode=target.route.mode,
        route=target.route.name,
        refusals=refusals,
        claims=claims,
        headers=[] if enforced else fields,
        enforced=enforced,
        nonce=nonce,
    )


def run_over(decision: Decision, overrun: Overrun, *, enforced: bool) -> Decision:
    """Return the decision on a request that would pass, but for limits that have no room for it.

    :param enforced: whether what is found wrong with it refuses it.
    """
    overrun.count(enforced=enforced)
    refuses = enforced and overrun.refuses
    return decision._replace(
        allow=not refuses,
        refusals=(*decision.refusals, *overrun.refusals),
        headers=[] if refuses else decision.headers,
        enforced=refuses,
        retry_after=overrun.retry_after,
        injection=None if refuses else decision.injection,
    )


def with_honeytoken(decision: Decision, target: Target, canary: str) -> Decision:
    """Return the decision on a request that carries a canary key, after all else was decided.

    What is refused already stays the refusal that it is, word for word: a thief is told no more than anybody.
    """
    if not decision.allow and decision.pending is None:
        return decision._replace(canary=canary)
    refusal = Refusal(Reason.SECRET_CANARY, f"got the canary key {canary!r}")
    if target.enforces(decision.claims):
        # Made as the refusal of a token is, without what only a request has that would have passed.
        return judge(target, (refusal,), decision.claims, [], None)._replace(canary=canary)
    refusals = (refusal, *decision.refusals)
    return decision._replace(refusals=refusals, enforced=False, canary=canary)


def fail(decision: Decision, refusal: Refusal) -> Decision:
    """Return a pending decision settled by what was found wrong with the request, as its mode says.

    The API isn't told who is there: whoever sends a stale, copied or broken proof isn't shown to be that
    instance.
    """
    headers = [] if decision.enforced else unvouched(decision.headers)
    return decision._replace(
        allow=not decision.enforced,
        refusals=(*decision.refusals, refusal),
        headers=headers,
        pending=None,
        # Nobody is vouched for, so that no body has to be kept away either.
        bodiless=False,
    )


def unvouched(fields: Fields) -> Fields:
    """Return a request's fields without those that say who is there."""
    return [field for field in fields if field[0] not in RESULT_HEADERS]


def too_long(facts: RequestFacts) -> Refusal:
    """Return the refusal of a target that is too long."""
    return Refusal(
        Reason.REQUEST_HEADERS_TOO_LARGE,
        f"got a path of {len(facts.raw_path)} and a query of {len(facts.query)} bytes, expected "
        f"at most {MAX_PATH_BYTES} and {MAX_QUERY_BYTES}",
    )


def is_below(root_path: str, path: str) -> bool:
    """Tell whether a path lies where the application is mounted.

    Frameworks take the mount's path away where it stands in front, and route by the whole path
    where it doesn't: outside of the mount each resource would have a second name.
    """
    return path == root_path or path.startswith(f"{root_path}/")


def refuse(refusal: Refusal) -> Decision:
    """Refuse what has no route, and so no mode."""
    return Decision(
        allow=False, mode=Mode.ENFORCE, route="", refusals=(refusal,), claims=None, headers=[]
    )
