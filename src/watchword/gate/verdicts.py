"""Remember which tokens were verified, so that a request costs a look-up instead of a signature.

A verdict never outlives what it rests on: it holds for one generation of the gate's state, and
within the span of time that the verification stated.  Whether the instance was revoked since is
for the caller, who asks on every request.
"""

import math
from dataclasses import dataclass, field

from watchword.gate.interface import RESULT_HEADERS
from watchword.tokens.interface import TokenClaims, VerifiedToken
from watchword.tokens.proofs.interface import GateSecret, ProofKeys
from watchword.tokens.proofs.session import proof_keys

MAX_VERDICTS = 20_000
"""Most verdicts that are kept: about 40 MB with tokens of the longest kind."""


@dataclass(slots=True)
class Verdict:
    """Hold a verified token, and what the API is told about it.

    :param generation: of the gate's state in which it was verified.
    :param result_headers: the verified headers for the API.
    :ivar keys: what proofs of the token are verified with, once one was asked for.
    :ivar seen: names of the routes whose canary has counted the instance.
    :ivar session: the token's ``sid`` and a zero, with which tags of replay begin.
    :ivar session_until: seconds since 1970 from which on the epoch of ``keys`` proves nothing.
    """

    claims: TokenClaims
    generation: int
    valid_from: float
    valid_until: float
    rank: int
    result_headers: tuple[tuple[bytes, bytes], ...]
    keys: ProofKeys | None = None
    session_until: float = -math.inf
    session: bytes = b""
    seen: set[str] = field(default_factory=set)

    def make_keys(self, secret: GateSecret | None, token: bytes) -> ProofKeys:
        """Make the keys of the token's proofs, and remember them.

        They hold as long as the verdict: a secret that is withdrawn is another generation.

        :param secret: the audience's of the token's epoch, None where the gate doesn't hold it.
        :param token: which this is the verdict on.
        :raises RefusedError: as :func:`watchword.tokens.proofs.session.proof_keys`.
        """
        if secret is not None:
            until = secret.verify_until
            self.session_until = math.inf if until is None else until
        keys = proof_keys(self.claims, secret, token)
        self.session = keys.session_id + b"\0"
        # Last, so that another thread finds them together with their end.
        self.keys = keys
        return keys


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
