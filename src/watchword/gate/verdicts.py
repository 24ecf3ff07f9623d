"""Remember which tokens were verified, so that a request costs a look-up instead of a signature.

A verdict never outlives what it rests on: it holds for one generation of the gate's state, and
within the span of time that the verification stated.  Whether the instance was revoked since is
for the caller, who asks on every request.
"""

from dataclasses import dataclass

from watchword.gate.interface import RESULT_HEADERS
from watchword.tokens.interface import TokenClaims, VerifiedToken

MAX_VERDICTS = 20_000
"""Most verdicts that are kept: about 40 MB with tokens of the longest kind."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Hold a verified token, and what the API is told about it.

    :param generation: of the gate's state in which it was verified.
    :param result_headers: the verified headers for the API.
    """

    claims: TokenClaims
    generation: int
    valid_from: float
    valid_until: float
    rank: int
    result_headers: tuple[tuple[bytes, bytes], ...]


def verdict_of(token: VerifiedToken, generation: int) -> Verdict:
    """Return the verdict on a token that was verified in this generation."""
    claims = token.claims
    values = (claims.subject, claims.level.value, claims.app_id)
    return Verdict(
        claims=claims,
        generation=generation,
        valid_from=token.valid_from,
        valid_until=token.valid_until,
        rank=claims.level.rank,
        result_headers=tuple(
            (name, value.encode("ascii"))
            for name, value in zip(RESULT_HEADERS, values, strict=True)
        ),
    )


class VerdictCache:
    """Keep verdicts by token in two generations of a bounded size.

    When the younger half is full it becomes the older one and the older one is dropped, so that a
    verdict in use stays, and no insertion ever sweeps.  Only valid tokens get in: a flood of
    forged ones pushes nothing out.
    """

    def __init__(self, capacity: int = MAX_VERDICTS) -> None:
        """Start empty; ``capacity`` bounds both halves together."""
        self._half = max(capacity // 2, 1)
        self._young: dict[bytes, Verdict] = {}
        self._old: dict[bytes, Verdict] = {}

    def find(self, token: bytes, generation: int, now: float) -> Verdict | None:
        """Return the verdict on a token if it still holds, None otherwise."""
        verdict = self._young.get(token)
        if verdict is None:
            verdict = self._old.get(token)
            if verdict is None:
                return None
            self.keep(token, verdict)
        if verdict.generation == generation and verdict.valid_from <= now < verdict.valid_until:
            return verdict
        return None

    def keep(self, token: bytes, verdict: Verdict) -> None:
        """Remember a verdict."""
        if len(self._young) >= self._half:
            self._old = self._young
            self._young = {}
        self._young[token] = verdict

    def __len__(self) -> int:
        """Return how many verdicts are held."""
        return len(self._young) + len(self._old)
