"""Define the gate: request facts, route table, token and keys give one decision."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple, Protocol

from watchword.reasons import Refusal
from watchword.vocabulary import Level, Mode, Proof, ReplayMode

if TYPE_CHECKING:
    # Types alone: whoever takes a route apart, as the plan does, loads neither keys nor tokens.
    from watchword.broker.interface import EdgeRule, HoneytokenWatch, InjectedValue
    from watchword.ports import Signer, VerificationKey
    from watchword.tokens.interface import TokenClaims, TokenExpectation
    from watchword.tokens.proofs.interface import GateSecret

DEFAULT_MAX_BODY = 1024 * 1024
"""Most bytes of a body that a proof covers, unless the route says otherwise: it is held until its
digest was compared."""

TOKEN_HEADER = b"watchword-token"
"""The request header that carries the token, lower case."""

STATUS_HEADER = b"watchword-status"
"""The request header in which an app says why it sends no token, lower case; always removed, and believed by nobody."""

SIGNATURE_INPUT = b"signature-input"
"""The request header that says what a proof signs, and how, lower case (RFC 9421 section 4.1)."""

RESULT_HEADERS = (b"watchword-instance", b"watchword-level", b"watchword-app")
"""The headers that tell the upstream who is there; inbound ones are always removed."""

VERDICT_HEADER = b"watchword-verdict"
"""The request header that carries a verdict, lower case; inbound ones are always removed."""

API_HEADER = b"watchword-api"
"""Names, in an answer of ``/authz`` that lets a request pass, the API whose gate it is.  Engines demand it: whoever else
answers at the socket says yes with a 200 as well."""

RATE = "rate"
"""The name under which the API's ``rate`` is counted; no other limit may have it."""

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
class Rollout:
    """Hold for whom a route in mode ``canary`` enforces.

    :param share: percent of the instances, 1 to 100, always the same ones.
    :param from_versions: by app, the lowest version of which instances take part; an app that isn't
        named takes part with every version.
    :param budget: percent of distinct instances in the canary that may be refused for level or
        version before the share is narrowed, above 0 to 100.
    """

    share: int
    from_versions: Mapping[str, str] = field(default_factory=dict)
    budget: float = 2.0


@dataclass(frozen=True, slots=True)
class Rate:
    """Hold how many requests one instance may send: ``requests`` in any ``seconds``, refilled evenly."""

    requests: int
    seconds: int


class LimitKind(StrEnum):
    """Say how a limit counts.

    ``rate``: refilled evenly, so that a burst is followed by a steady flow.  ``quota``: so many in each window,
    aligned to 1970 in UTC.
    """

    RATE = "rate"
    QUOTA = "quota"


@dataclass(frozen=True, slots=True)
class Limit:
    """Hold one limit on what an instance may send, beside the API's rate.

    :param routes: names of the routes that count together; empty for all.
    :param below: by app, the version from which on the limit doesn't hold; an app that isn't named is held to it
        with every version, and where nothing is named, each app is.
    :param enforced: whether a request over it is refused, and not merely reported.
    """

    name: str
    kind: LimitKind
    requests: int
    seconds: int
    routes: frozenset[str] = frozenset()
    below: Mapping[str, str] = field(default_factory=dict)
    enforced: bool = True


@dataclass(frozen=True, slots=True)
class Route:
    """Hold one row of the route table; the first that matches decides.

    :param pattern: ``/literal/*/segments`` where ``*`` is one segment, and a last ``**`` any rest
        (also none).
    :param methods: empty means every method.
    :param dpop: whether a ``device`` route also takes a DPoP proof, which covers neither query nor body.
    :param max_body: most bytes of a body that a proof covers.
    :param minimum_versions: by app, the lowest version that is let in.
    :param canary: for whom it enforces, exactly where the mode is ``canary``.
    :param secret: the key that the gate adds, sending the request to that key's origin and not to the API; only
        in mode ``enforce``, and with a pattern of literal segments and a last ``**`` (the rest is the path there).
    """

    name: str
    pattern: str
    methods: frozenset[str]
    level: Level
    proof: Proof
    mode: Mode
    dpop: bool = False
    max_body: int = DEFAULT_MAX_BODY
    minimum_versions: Mapping[str, str] = field(default_factory=dict)
    canary: Rollout | None = None
    secret: str | None = None


class ReplayClaim(NamedTuple):
    """Hold what a replay store must have seen for the first time.

    :param tag: names session and nonce, so that nobody spends another one's nonces: 16 bytes of a
        digest of both, and for a store in the gate's own memory both themselves.
    :param until: seconds since 1970 up to which the proof could be accepted (leeway counted in): from
        then on the store may forget it.
    """

    tag: bytes
    until: float


class Pending(NamedTuple):
    """Hold what can't be told from the head of a request alone; asked for in this order.

    :param body_digest: SHA-256 that the body must have; None where there must be no body at all.
    :param max_body: most bytes of the body.
    :param claim: to be made in the replay store once the body is found to be right.
    :param shared: whether that is the store which gates share, whatever the policy says by then.
    :param token: the verified one, and ``generation`` in which it was; by another one it is asked anew.
    :param session: whether the proof is a session's, and so rests on the secret of an epoch.
    """

    body_digest: bytes | None
    max_body: int
    claim: ReplayClaim
    shared: bool
    token: bytes
    generation: int
    session: bool


class Injection(NamedTuple):
    """Hold where a request goes to which a key is added: to ``rule``'s origin, and not to the API.

    :param path: the raw path there, without the query.
    """

    rule: "EdgeRule"
    path: bytes


class Decision(NamedTuple):
    """Hold the one answer to one request.

    A tuple, since one is made for each request: half the cost of a frozen dataclass.

    :param allow: whether the request may go to the API; False while anything is ``pending``.
    :param mode: the route's; ``enforce`` where no route was found.
    :param route: the route's name, empty where none was found.
    :param refusals: what is wrong with it; in ``monitor`` it passes all the same.
    :param claims: the verified token, None if none was verified.
    :param headers: the request's headers, names in lower case, cleaned, with the verified result
        headers added; what the API may see.  Empty when the request is refused.
    :param pending: what must be settled by :meth:`watchword.gate.service.Gate.conclude` first; None
        where the decision is final.
    :param enforced: whether what is found wrong refuses this request: in ``enforce``, and in
        ``canary`` for the instances that take part.
    :param bodiless: whether a proof was verified that covers no body: no byte of one may reach the API.
    :param retry_after: seconds after which the instance may try again, where its rate is spent.
    :param nonce: value of ``Watchword-Nonce`` that the answer must carry, whoever gives it.
    :param injection: set where the request goes to a third party, with a key: never to the API.
    :param canary: the name of the canary key that the request carried, whatever else was found; None for none.
    """

    allow: bool
    mode: Mode
    route: str
    refusals: tuple[Refusal, ...]
    claims: "TokenClaims | None"
    headers: list[tuple[bytes, bytes]]
    pending: Pending | None = None
    enforced: bool = True
    bodiless: bool = False
    retry_after: int | None = None
    nonce: bytes | None = None
    injection: Injection | None = None
    canary: str | None = None


class ReplayStore(Protocol):
    """Remember which proofs were used; of all who claim one, exactly one is the first.

    A store never forgets a claim before its ``until``, whatever the clock does: what it may have
    forgotten it refuses.  Its memory is bounded; when it is full it refuses new claims.
    """

    async def claim(self, claim: ReplayClaim, now: float) -> bool:
        """Record a claim; tell whether it is the first one.

        :param now: seconds since 1970.
        :raises UnavailableError: ``gate.replay_full``, or ``gate.replay_unavailable`` when the store
            can't answer in time; nobody may pass then.
        """

    async def close(self) -> None:
        """Let go of what the store holds; claims are refused from then on."""


class GateState(Protocol):
    """Know what a gate must know of the service: its policy, keys, secrets and revoked instances.

    Never blocks; the adapter behind it refreshes at most every half second.  Until it knows
    anything, every method raises :class:`watchword.reasons.UnavailableError` with
    ``gate.state_unavailable``.
    """

    @property
    def generation(self) -> int:
        """Return a number that grows with each change, whatever changes."""

    @property
    def trust(self) -> int:
        """Return a number that grows with each change of keys, secrets or policy; verdict caches are keyed by it.

        Who is revoked and what is cut changes it not, since both are asked on every request.
        """

    @property
    def policy(self) -> "GatePolicy":
        """Return the policy of the API; the same object until ``trust`` changes."""

    def find(self, kid: str) -> "VerificationKey | None":
        """Return the token key with this id, None if there is none."""

    def is_revoked(self, subject: str) -> bool:
        """Tell whether the instance behind a pairwise subject is revoked."""

    def is_cut(self, claims: "TokenClaims") -> bool:
        """Tell whether an operator cut a token off, whoever holds it."""

    def secret(self, epoch: int) -> "GateSecret | None":
        """Return the audience's gate secret of an epoch, None if the gate doesn't hold it."""

    def injected(self, secret: str) -> "InjectedValue | None":
        """Return what is added for a secret now, None while there is nothing to inject."""

    @property
    def canaries(self) -> "HoneytokenWatch | None":
        """Return by what canary keys are recognised, None where none is planted."""

    @property
    def reference_key(self) -> bytes:
        """Return the 32 bytes under which references of refusals are sealed."""

    @property
    def verdict_signer(self) -> "Signer":
        """Return the key that signs verdicts for the API behind the gate."""


@dataclass(frozen=True, slots=True)
class GatePolicy:
    """Hold everything about one API that doesn't change from request to request.

    :param rate: how many requests one instance may send; None for no limit.
    :param binding_header: lower-case name of the header whose SHA-256 (base64url) ``bnd`` of the token
        must be; None where tokens aren't bound to one.
    :param limits: beside ``rate``; a request must fit within each.
    :param edges: by name of the secret, into which calls it is injected.
    :param case_sensitive: whether the API tells paths apart by case and by Unicode forms alone; where it may not, the
        strictest row judges of those that a path belongs to by any spelling.
    :param device_for_session: whether its tokens may say that a device's signature stands for a session proof.  A gate
        goes by the token, which the service signs; an engine that can't verify one refuses such an API at generation.
    """

    api: str
    expectation: "TokenExpectation"
    routes: tuple[Route, ...]
    replay: ReplayMode = ReplayMode.LOCAL
    rate: Rate | None = None
    binding_header: bytes | None = None
    limits: tuple[Limit, ...] = ()
    edges: Mapping[str, "EdgeRule"] = field(default_factory=dict)
    case_sensitive: bool = False
    device_for_session: bool = False


_VERSION = re.compile(r"[0-9]{1,18}(?:\.[0-9]{1,18}){0,7}", re.ASCII)


@lru_cache(maxsize=1024)
def read_version(text: str) -> tuple[int, ...] | None:
    """Return the numbers of a version without the zeros at its end, None if it has another form.

    1 to 8 numbers of at most 18 digits, with dots between them.  What else an app may call itself
    (``1.2-beta``) has no place in an order, and so passes no minimum.
    """
    if not _VERSION.fullmatch(text):
        return None
    numbers = [int(part) for part in text.split(".")]
    while numbers and not numbers[-1]:
        numbers.pop()
    return tuple(numbers)


def is_at_least(version: str | None, minimum: str) -> bool:
    """Tell whether an app's version is at least ``minimum``; one that can't be read never is.

    :raises ValueError: when ``minimum`` can't be read.
    """
    needed = read_version(minimum)
    if needed is None:
        raise ValueError(f"got the minimum version {minimum!r}, expected numbers with dots")
    got = None if version is None else read_version(version)
    return got is not None and got >= needed
