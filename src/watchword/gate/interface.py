"""Define the gate: request facts, route table, token and keys give one decision."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from watchword.ports import VerificationKey
from watchword.reasons import Refusal
from watchword.tokens.interface import TokenClaims, TokenExpectation
from watchword.vocabulary import Level, Mode, Proof

TOKEN_HEADER = b"watchword-token"
"""The request header that carries the token, lower case."""

RESULT_HEADERS = (b"watchword-instance", b"watchword-level", b"watchword-app")
"""The headers that tell the upstream who is there; inbound ones are always removed."""

RawHeaders = Sequence[tuple[bytes, bytes]]


class RequestFacts(NamedTuple):
    """Hold what an engine saw of one request, raw and undecoded.

    A tuple, since one is made for each request: half the cost of a frozen dataclass.

    :param method: as received, upper case.
    :param raw_path: the target's path as received, before any decoding, without the query.
    :param headers: name and value as received, in order; names may have any case.
    :param query: as received, without the question mark; only its length is looked at.
    :param routed_path: the decoded path by which the engine will route, None if it routes by the
        raw one; a request for which the two differ is refused.
    :param root_path: where the application is mounted, as it is decoded in front of
        ``routed_path``; a path outside of it is refused.
    """

    method: str
    raw_path: bytes
    headers: RawHeaders
    query: bytes = b""
    routed_path: str | None = None
    root_path: str = ""


@dataclass(frozen=True, slots=True)
class Route:
    """Hold one row of the route table; the first that matches decides.

    :param pattern: ``/literal/*/segments`` where ``*`` is one segment, and a last ``**`` any rest
        (also none).
    :param methods: empty means every method.
    """

    name: str
    pattern: str
    methods: frozenset[str]
    level: Level
    proof: Proof
    mode: Mode


class Decision(NamedTuple):
    """Hold the one answer to one request.

    A tuple, since one is made for each request: half the cost of a frozen dataclass.

    :param allow: whether the request may go to the API.
    :param mode: the route's; ``enforce`` where no route was found.
    :param route: the route's name, empty where none was found.
    :param refusals: what is wrong with it; in ``monitor`` it passes all the same.
    :param claims: the verified token, None if none was verified.
    :param headers: the request's headers, names in lower case, cleaned, with the verified result
        headers added; what the API may see.  Empty when the request is refused.
    """

    allow: bool
    mode: Mode
    route: str
    refusals: tuple[Refusal, ...]
    claims: TokenClaims | None
    headers: list[tuple[bytes, bytes]]


class GateState(Protocol):
    """Know what a gate must know of the service: token keys and revoked instances.

    Never blocks; the adapter behind it refreshes at most every half second.  Until it knows
    anything, every method raises :class:`watchword.reasons.UnavailableError` with
    ``gate.state_unavailable``.
    """

    @property
    def generation(self) -> int:
        """Return a number that grows with each change; verdict caches are keyed by it."""

    def find(self, kid: str) -> VerificationKey | None:
        """Return the token key with this id, None if there is none."""

    def is_revoked(self, subject: str) -> bool:
        """Tell whether the instance behind a pairwise subject is revoked."""

    @property
    def reference_key(self) -> bytes:
        """Return the 32 bytes under which references of refusals are sealed."""


@dataclass(frozen=True, slots=True)
class GatePolicy:
    """Hold everything about one API that doesn't change from request to request."""

    api: str
    expectation: TokenExpectation
    routes: tuple[Route, ...]
