"""Take a policy apart into what it asks of each request, and turn what was found into a decision, as the mode of the route says."""

import re
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from functools import lru_cache

from watchword.broker.interface import CanaryWatch
from watchword.gate.canary import Narrowing, RouteCanary, canaries
from watchword.gate.hygiene import MAX_PATH_BYTES, read_path
from watchword.gate.interface import (
    RESULT_HEADERS,
    Decision,
    GatePolicy,
    Lending,
    RequestFacts,
    Route,
    is_at_least,
)
from watchword.gate.lending import LendingRoute, compile_lendings
from watchword.gate.limits import Limits, Overrun, QuotaKeeper
from watchword.gate.routes import CompiledRoute, compile_routes, find_row
from watchword.gate.spellings import Rivals, fold_path, judge_spelling, rivals_of
from watchword.reasons import Reason, Refusal
from watchword.tokens.interface import TokenClaims
from watchword.vocabulary import Environment, Level, Mode, Proof, ReplayMode

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
    :param bearer: whether the token alone is enough; ``session`` whether an HMAC is asked for.
    :param enforced: whether a refusal refuses; None where that depends on the instance.
    :param watch: counts whom the route turns away, None in ``monitor``.
    :param lending: where the request goes with a key added, None where it goes to the API.
    :param reported: what is wrong with the path, and refuses nobody: none of its rows is the strictest, and all watch.
    """

    route: Route
    rank: int
    unchecked: bool
    bearer: bool
    session: bool
    enforced: bool | None
    watch: RouteCanary | None
    method: bytes
    decoded_path: str
    lending: Lending | None = None
    reported: tuple[Refusal, ...] = ()

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
    :ivar watch: by what canary keys are recognised, None where none is planted.
    """

    def __init__(
        self,
        generation: int,
        policy: GatePolicy,
        earlier: "CompiledPolicy | None" = None,
        narrowed: Mapping[str, Narrowing] | None = None,
        *,
        watch: CanaryWatch | None = None,
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
        lendings = compile_lendings(policy)
        for route in policy.routes:
            for minimum in route.minimum_versions.values():
                is_at_least(None, minimum)
        self.canaries = _canaries(policy, earlier, narrowed)
        before = None if earlier is None else earlier.limits
        self.limits: Limits | None = Limits(policy, before, keeper) or None
        self.watch = watch
        self._keeper = keeper

        @lru_cache(maxsize=MAX_RESOLVED)
        def resolve(method: str, raw_path: bytes) -> Target | Refusal:
            judged = _judge(table, rivals, policy, method, raw_path)
            if isinstance(judged, Refusal):
                return judged
            return _resolve(self.canaries, lendings, method, raw_path, *judged)

        self.resolve = resolve

    def renewed(
        self, generation: int, policy: GatePolicy, watch: CanaryWatch | None
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
    policy: GatePolicy,
    earlier: CompiledPolicy | None,
    narrowed: Mapping[str, Narrowing] | None,
) -> dict[str, RouteCanary]:
    """Return the canaries of a table; those of routes that stayed what they were go on counting."""
    if earlier is None:
        return canaries(policy.api, policy.routes, narrowed)
    kept = earlier.canaries
    known = {name: each.narrowing for name, each in kept.items()}
    fresh = canaries(
        policy.api, policy.routes, {name: each for name, each in known.items() if each is not None}
    )
    same = {route.name for route in policy.routes if route in earlier.policy.routes}
    return {name: kept[name] if name in same else each for name, each in fresh.items()}


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
    watches: Mapping[str, RouteCanary],
    lendings: Mapping[str, LendingRoute],
    method: str,
    raw_path: bytes,
    route: Route,
    segments: tuple[str, ...],
    reported: tuple[Refusal, ...],
) -> Target | Refusal:
    """Return what follows from the route that judges, and from the path."""
    lending: Lending | None = None
    if route.name in lendings:
        # Whatever the mode: another path at the third party is another thing that the key opens.
        found = lendings[route.name].resolve(method, raw_path)
        if isinstance(found, Refusal):
            return found
        lending = found
    slash = "/" if segments and raw_path.endswith(b"/") else ""
    return Target(
        route=route,
        rank=route.level.rank,
        unchecked=route.mode is Mode.OFF,
        bearer=route.proof is Proof.BEARER,
        session=route.proof is Proof.SESSION,
        enforced=None if route.mode is Mode.CANARY else route.mode is Mode.ENFORCE,
        watch=watches.get(route.name),
        method=method.encode("ascii"),
        decoded_path="/" + "/".join(segments) + slash,
        lending=lending,
        reported=reported,
    )


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
        lending=None if refuses else decision.lending,
    )


def with_canary(decision: Decision, target: Target, canary: str) -> Decision:
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
