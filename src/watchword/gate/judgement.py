"""Turn what was found into a decision, as the mode of the route says."""

from watchword.gate.compiled import Target
from watchword.gate.hygiene import MAX_PATH_BYTES
from watchword.gate.interface import RESULT_HEADERS, Decision, RequestFacts
from watchword.gate.limits import Overrun
from watchword.reasons import Reason, Refusal
from watchword.tokens.interface import TokenClaims
from watchword.vocabulary import Mode

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
