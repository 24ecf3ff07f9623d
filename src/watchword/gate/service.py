"""Decide whether a request may go to the API: the one decision function of every engine."""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from watchword.gate import hygiene, references
from watchword.gate.hygiene import MAX_PATH_BYTES
from watchword.gate.interface import Decision, GatePolicy, GateState, RequestFacts, Route
from watchword.gate.paths import read_path
from watchword.gate.routes import compile_routes, find_route
from watchword.gate.verdicts import Verdict, VerdictCache, verdict_of
from watchword.reasons import Reason, Refusal, RefusedError, UnavailableError
from watchword.tokens.interface import TokenClaims
from watchword.tokens.service import verify_for_cache
from watchword.vocabulary import Mode

MAX_RESOLVED = 2048
"""Most targets whose route is remembered; longer or rarer ones are resolved again."""

MAX_QUERY_BYTES = 8 * 1024
"""Most bytes of a query."""

_METHOD = re.compile(r"[A-Z][A-Z-]{0,31}")


_ROUTED_ELSEWHERE = Refusal(
    Reason.REQUEST_PATH_AMBIGUOUS,
    "expected the engine to route by the decoded raw path, below its root_path",
)


class _Target(NamedTuple):
    """Hold what follows from method and path; what is asked of each request is worked out once.

    :param rank: of the level that the route needs.
    :param unchecked: whether the route's mode is ``off``.
    """

    route: Route
    rank: int
    unchecked: bool
    decoded_path: str


class Gate:
    """Guard one API: hold its policy, the state of the service, and what was verified so far.

    Safe to share between the tasks of an event loop and between threads: what it remembers is
    replaced, never changed.
    """

    def __init__(self, policy: GatePolicy, state: GateState) -> None:
        """Compile the route table; raise ValueError for a pattern that could never match."""
        self.policy = policy
        self.state = state
        self._table = compile_routes(policy.routes)
        self._verdicts = VerdictCache()
        self._resolve = lru_cache(maxsize=MAX_RESOLVED)(self._resolve_anew)

    def decide(self, facts: RequestFacts, now: float) -> Decision:
        """Return the decision on one request.

        1. Size and form of the headers, cleaned (:func:`watchword.gate.hygiene.clean`).
        2. Method and path, readable in one way only (:func:`watchword.gate.paths.read_path`), and
           the same path by which the engine routes, below the path where it is mounted.
        3. The first route that matches; an API serves nothing that its table doesn't name.
        4. In mode ``off`` the request passes here, cleaned.
        5. The token: there, verified (or remembered as verified), of no revoked instance.
        6. The level that the token states, against the route's.

        What fails in 1 to 3 is refused whatever the mode: a request that two servers read in two
        ways has no route whose mode could apply, and passing it on "to watch" would hand the
        choice of the route to its sender.  What fails in 5 and 6 is refused in ``enforce`` and
        reported in ``monitor``.

        :param now: seconds since 1970.
        """
        cleaned = hygiene.clean(facts.headers)
        if isinstance(cleaned, Refusal):
            return _refuse(cleaned)
        if len(facts.raw_path) > MAX_PATH_BYTES or len(facts.query) > MAX_QUERY_BYTES:
            # Asked here, since what is resolved is remembered: a flood must not fill the memory.
            return _refuse(_too_long(facts))
        resolved = self._resolve(facts.method, facts.raw_path)
        if isinstance(resolved, Refusal):
            return _refuse(resolved)
        route, rank, unchecked, decoded_path = resolved
        if facts.routed_path not in (decoded_path, None) or (
            facts.root_path and not _is_below(facts.root_path, decoded_path)
        ):
            return _refuse(_ROUTED_ELSEWHERE)
        fields, token = cleaned
        if unchecked:
            return Decision(True, route.mode, route.name, (), None, fields)  # noqa: FBT003
        try:
            verdict = self._verdict(token, now)
        except RefusedError as error:
            refusals = error.refusals
        except UnavailableError as error:
            refusals = (Refusal(error.reason, error.detail),)
        else:
            fields += verdict.result_headers
            if verdict.rank >= rank:
                return Decision(True, route.mode, route.name, (), verdict.claims, fields)  # noqa: FBT003
            return _judge(route, (_too_low(verdict, route),), verdict.claims, fields)
        return _judge(route, refusals, None, fields)

    def reference(
        self, refusals: Sequence[Refusal], route: str, now: float, nonce: bytes
    ) -> str | None:
        """Return the sealed reference of a refusal, None while the gate has no key for it.

        :param nonce: :data:`watchword.gate.references.NONCE_BYTES` fresh random bytes.
        """
        try:
            key = self.state.reference_key
        except UnavailableError:
            return None
        return references.seal(refusals, route, now, key, nonce)

    def _resolve_anew(self, method: str, raw_path: bytes) -> _Target | Refusal:
        """Return the route and the decoded path (steps 2 and 3)."""
        if not _METHOD.fullmatch(method):
            return Refusal(Reason.REQUEST_MALFORMED, "expected a method in upper case")
        segments = read_path(raw_path)
        if isinstance(segments, Refusal):
            return segments
        route = find_route(self._table, method, segments)
        if route is None:
            return Refusal(
                Reason.GATE_ROUTE_UNKNOWN, f"no route of {self.policy.api} matches the request"
            )
        slash = "/" if segments and raw_path.endswith(b"/") else ""
        return _Target(
            route=route,
            rank=route.level.rank,
            unchecked=route.mode is Mode.OFF,
            decoded_path="/" + "/".join(segments) + slash,
        )

    def _verdict(self, token: bytes | None, now: float) -> Verdict:
        """Return the verdict on the token (step 5).

        :raises RefusedError: with the token's reason.
        :raises UnavailableError: while the gate knows no keys.
        """
        # Read before the keys are: a verdict is never filed under a state newer than its keys.
        generation = self.state.generation
        if token is None:
            raise RefusedError.because(Reason.TOKEN_MISSING, "expected the header Watchword-Token")
        verdict = self._verdicts.find(token, generation, now)
        if verdict is None:
            verified = verify_for_cache(
                token.decode("latin-1"), self.policy.expectation, self.state, now
            )
            verdict = verdict_of(verified, generation)
            self._verdicts.keep(token, verdict)
        if self.state.is_revoked(verdict.claims.subject):
            raise RefusedError.because(
                Reason.TOKEN_INSTANCE_REVOKED, "the instance was revoked by an operator"
            )
        return verdict


def _too_long(facts: RequestFacts) -> Refusal:
    return Refusal(
        Reason.REQUEST_HEADERS_TOO_LARGE,
        f"got a path of {len(facts.raw_path)} and a query of {len(facts.query)} bytes, expected "
        f"at most {MAX_PATH_BYTES} and {MAX_QUERY_BYTES}",
    )


def _is_below(root_path: str, path: str) -> bool:
    """Tell whether a path lies where the application is mounted.

    Frameworks take the mount's path away where it stands in front, and route by the whole path
    where it doesn't: outside of the mount each resource would have a second name.
    """
    return path == root_path or path.startswith(f"{root_path}/")


def _too_low(verdict: Verdict, route: Route) -> Refusal:
    return Refusal(
        Reason.GATE_LEVEL, f"got {verdict.claims.level.value}, expected {route.level.value}"
    )


def _judge(
    route: Route,
    refusals: tuple[Refusal, ...],
    claims: TokenClaims | None,
    fields: list[tuple[bytes, bytes]],
) -> Decision:
    """Refuse, or let pass and report, as the route's mode says."""
    allow = route.mode is Mode.MONITOR
    return Decision(
        allow=allow,
        mode=route.mode,
        route=route.name,
        refusals=refusals,
        claims=claims,
        headers=fields if allow else [],
    )


def _refuse(refusal: Refusal) -> Decision:
    """Refuse what has no route, and so no mode."""
    return Decision(
        allow=False, mode=Mode.ENFORCE, route="", refusals=(refusal,), claims=None, headers=[]
    )
