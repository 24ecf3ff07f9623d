"""Turn what was found into a decision, as the mode of the route says."""

from watchword.gate.compiled import Target
from watchword.gate.hygiene import MAX_PATH_BYTES
from watchword.gate.interface import RESULT_HEADERS, Decision, RequestFacts
from watchword.reasons import Reason, Refusal
from watchword.tokens.interface import TokenClaims
from watchword.vocabulary import Mode

MAX_QUERY_BYTES = 8 * 1024
"""Most bytes of a query."""

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


def too_many(wait: float) -> Refusal:
    """Return the refusal of an instance that must wait, in seconds."""
    return Refusal(Reason.GATE_RATE, f"got more requests than the rate, the next in {wait:.1f} s")


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
