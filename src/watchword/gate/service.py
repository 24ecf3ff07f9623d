"""Decide whether a request may go to the API: the one decision function of every engine.

Verified tokens are remembered, so that a request costs a look-up instead of a signature.  A verdict never outlives what it
rests on: it holds for one generation of the gate's state, and within the span of time that the verification stated.
Whether the instance was revoked since is asked on every request.
"""

import hashlib
import hmac
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from watchword.broker.honeytokens import spot
from watchword.encoding import base64url
from watchword.gate import hygiene, references
from watchword.gate.alarms import HoneytokenAlarms
from watchword.gate.decisions import (
    MAX_QUERY_BYTES,
    ROUTED_ELSEWHERE,
    CompiledPolicy,
    RolloutState,
    RolloutStatus,
    Target,
    check_standing,
    fail,
    is_below,
    judge,
    refuse,
    run_over,
    too_long,
    with_honeytoken,
)
from watchword.gate.hygiene import MAX_PATH_BYTES, CleanHeaders, canonical_name
from watchword.gate.interface import (
    RESULT_HEADERS,
    SIGNATURE_INPUT,
    TOKEN_HEADER,
    Decision,
    GatePolicy,
    GateState,
    Pending,
    RawHeaders,
    ReplayClaim,
    ReplayStore,
    RequestFacts,
)
from watchword.gate.limits import LimitTally, QuotaKeeper, RateSpentError
from watchword.gate.replay import AffinityNonces, ImmediateReplayStore
from watchword.gate.tallies import Tallies, TallySink
from watchword.ports import Entropy, RefusalLog
from watchword.reasons import Reason, Refusal, RefusedError, UnavailableError
from watchword.tokens.interface import TokenClaims, VerifiedToken
from watchword.tokens.proofs import device, dpop, session
from watchword.tokens.proofs.interface import (
    PROOF_LIFE_SECONDS,
    GateSecret,
    ProofHeaders,
    ProofKeys,
    SignedRequest,
    VerifiedProof,
)
from watchword.tokens.proofs.session import proof_keys
from watchword.tokens.service import verify_for_cache
from watchword.vocabulary import Environment, Proof


def binding_of(value: bytes) -> str:
    """Return the ``bnd`` of a header's value: its SHA-256, base64url."""
    return base64url.encode(hashlib.sha256(value).digest())


def check_binding(
    binding: str | None, header: bytes, fields: Sequence[tuple[bytes, bytes]]
) -> None:
    """Hold a request to the value that its token was issued for.

    The header must occur once, in no second spelling: the API might read the other one.

    :param binding: ``bnd`` of the token.
    :param header: lower-case name.
    :param fields: of the request, cleaned.
    :raises RefusedError: ``token.binding``.
    """
    if binding is None:
        raise RefusedError.because(Reason.TOKEN_BINDING, "got a token without bnd")
    name = canonical_name(header)
    found = [field for field in fields if canonical_name(field[0]) == name]
    if len(found) != 1 or found[0][0] != header:
        raise RefusedError.because(
            Reason.TOKEN_BINDING,
            f"got {len(found)} fields {header.decode('ascii', 'replace')}, expected the bound one",
        )
    if not hmac.compare_digest(binding_of(found[0][1]).encode(), binding.encode("utf-8")):
        raise RefusedError.because(Reason.TOKEN_BINDING, "got another value than the bound one")


MAX_VERDICTS = 20_000
"""Most verdicts that are kept: about 40 MB with tokens of the longest kind."""


@dataclass(slots=True)
class Verdict:
    """Hold a verified token, and what the API is told about it.

    :param generation: of the gate's state in which it was verified.
    :param result_headers: the verified headers for the API.
    :param signs: whether the device's own signature stands for a session proof.
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
    signs: bool = False
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
        signs=claims.device_for_session,
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

    def __contains__(self, token: bytes) -> bool:
        """Tell whether a token was verified, whether or not that still holds."""
        return token in self._young or token in self._old

    def __len__(self) -> int:
        """Return how many verdicts are held."""
        return len(self._young) + len(self._old)


_TAG_BYTES: Final = 16


def check_epoch(verdict: Verdict, now: float) -> None:
    """Hold a session proof to an epoch that the gate holds, and that isn't retired.

    :raises RefusedError: ``proof.epoch``.
    """
    if now >= verdict.session_until:
        raise RefusedError.because(
            Reason.PROOF_EPOCH, f"got epoch {verdict.claims.epoch}, expected one that is held here"
        )


def verify_proof(
    facts: RequestFacts,
    cleaned: CleanHeaders,
    target: Target,
    keys: ProofKeys,
    compiled: CompiledPolicy,
    now: float,
) -> VerifiedProof:
    """Return the proof of a request, its signature verified.

    Another kind than the route's never passes, but for what :attr:`Target.signed` asks for: session keys are known to the
    gates too, so that an HMAC proves less than the device's own signature, and DPoP covers neither query nor body.

    :param cleaned: of a request that carries a token.
    :raises RefusedError: with the reason of the first step that failed; ``proof.missing`` where
        there is nothing of the kind, ``proof.ambiguous`` where there are two proofs.
    """
    _, token, values, plan, _ = cleaned
    at_input, at_signature, at_dpop = plan.proof
    signature_input = values[at_input] if at_input >= 0 else None
    signature = values[at_signature] if at_signature >= 0 else None
    dpop_proof = values[at_dpop] if at_dpop >= 0 else None
    digest = None
    if plan.framed and cleaned.has_body:
        digest = cleaned.value(b"content-digest") or b""
    headers = (signature_input, signature, dpop_proof)
    # The token is there, since it was verified before.
    request = (
        token or b"",
        target.method,
        values[plan.host].lower(),
        facts.raw_path,
        facts.query,
        digest,
    )
    if target.session:
        return session.verify(request, headers, keys, compiled.leeway, now)
    signed, fields = SignedRequest(*request), ProofHeaders(*headers)
    if at_dpop >= 0 and target.dpop:
        http = compiled.allow_http
        return dpop.verify(signed, fields, keys, compiled.leeway, now, allow_http=http)
    return device.verify(signed, fields, keys, compiled.leeway, now)


def claim_of(session: bytes, proof: VerifiedProof, leeway: int, *, shared: bool) -> ReplayClaim:
    """Return what must be claimed so that a proof passes once.

    The session's id is part of the tag: nobody spends the nonces of another one.

    :param session: of :meth:`watchword.gate.service.Verdict.make_keys`.
    :param shared: whether the tag leaves the process, and so has the length that stores agree on; in
        memory the names themselves do, for a tenth of the time.
    """
    nonce, created, _, _ = proof
    tag = session + nonce
    if shared:
        tag = hashlib.sha256(tag).digest()[:_TAG_BYTES]
    return tuple.__new__(ReplayClaim, (tag, created + PROOF_LIFE_SECONDS + leeway))


REPLAYED = Refusal(Reason.PROOF_REPLAYED, "got a proof that was used before")


class SingleUse:
    """Hold where used proofs are remembered, by the replay mode that the policy asks for."""

    def __init__(
        self,
        memory: ImmediateReplayStore | None,
        shared: ReplayStore | None,
        entropy: Entropy | None,
    ) -> None:
        """Take what there is; what is missing keeps the routes closed that need it.

        A gate never makes do with a weaker store than the policy's.

        :param memory: for ``local`` and ``affine``; asked at once.
        :param shared: for ``shared``; waited for.
        :param entropy: for the nonces of ``affine``.
        """
        self._memory = memory
        self._shared = shared
        self._entropy = entropy
        self._nonces: AffinityNonces | None = None

    def begin(
        self,
        compiled: CompiledPolicy,
        target: Target,
        session: bytes,
        token: bytes,
        proof: VerifiedProof,
        now: float,
    ) -> tuple[Pending | None, bytes | None]:
        """Return what of a verified proof has to be waited for, and the nonce for the answer.

        Where nothing has to, the proof is claimed here.

        :raises RefusedError: ``proof.nonce``, ``proof.replayed``.
        :raises UnavailableError: when it can't be claimed.
        """
        nonce = None
        if compiled.affine:
            nonces = self._nonces_of_gate()
            if nonces.verify(proof, now):
                nonce = nonces.current(now)
        claim = claim_of(session, proof, compiled.leeway, shared=compiled.shared)
        if compiled.shared or proof.body_digest is not None:
            digest, most = proof.body_digest, target.route.max_body
            rests_on = (token, compiled.generation, target.session)
            return Pending(digest, most, claim, compiled.shared, *rests_on), nonce
        if not self._memory_of_gate().claim_now(claim, now):
            raise RefusedError((REPLAYED,))
        return None, nonce

    async def finish(self, pending: Pending, now: float) -> None:
        """Claim what had to be waited for, in the store that the policy named at the request's head.

        :raises RefusedError: ``proof.replayed``.
        :raises UnavailableError: when it can't be claimed.
        """
        if not pending.shared:
            first = self._memory_of_gate().claim_now(pending.claim, now)
        elif self._shared is None:
            raise UnavailableError(
                Reason.GATE_REPLAY_UNAVAILABLE, "got replay mode shared, expected a shared store"
            )
        else:
            first = await self._shared.claim(pending.claim, now)
        if not first:
            raise RefusedError((REPLAYED,))

    def nonce(self, now: float) -> bytes:
        """Return the nonce that an answer carries now, in mode ``affine``."""
        return self._nonces_of_gate().current(now)

    def _memory_of_gate(self) -> ImmediateReplayStore:
        if self._memory is None:
            raise UnavailableError(
                Reason.GATE_REPLAY_UNAVAILABLE, "expected a store of this gate's own"
            )
        return self._memory

    def _nonces_of_gate(self) -> AffinityNonces:
        """Return the gate's nonces, drawn at their first use: processes that fork have each their own."""
        nonces = self._nonces
        if nonces is None:
            if self._entropy is None:
                raise UnavailableError(
                    Reason.GATE_REPLAY_UNAVAILABLE, "got replay mode affine, expected entropy"
                )
            nonces = self._nonces = AffinityNonces.drawn(self._entropy)
        return nonces


def check_body(pending: Pending, digest: bytes | None, now: float, *, bodiless: bool) -> None:
    """Hold a body that arrived to the proof.

    :param digest: SHA-256 of it, None where no byte arrived and none was announced.
    :param bodiless: whether the proof covers that there is none.
    :raises RefusedError: ``proof.body``; ``proof.expired`` where the body took longer than its proof lives.
    """
    expected = pending.body_digest
    if expected is not None:
        if digest is None or not hmac.compare_digest(digest, expected):
            raise RefusedError.because(Reason.PROOF_BODY, "expected the body that the proof covers")
    elif digest is not None and bodiless:
        raise RefusedError.because(Reason.PROOF_BODY, "got a body that wasn't announced")
    if now >= pending.claim.until:
        # Also what the store demands: it may forget a claim from then on.
        raise RefusedError.because(
            Reason.PROOF_EXPIRED, "got the end of the body after that of its proof"
        )


METHOD: Final = "GET"
"""The method of a handshake (RFC 6455 section 4.1)."""


class Opened(NamedTuple):
    """Hold what must stay true while a WebSocket is open.

    :param raw_path: of its handshake, without the query.
    :param token: the one it was opened with, None where nobody was verified.
    :param claims: what that token said; None as above.
    :param proof: what the route asked for; a proof that was never given can't be given later.
    :param signed: whether the device's own signature stood for a session proof, so that it rests on no epoch.
    """

    raw_path: bytes
    token: bytes | None
    claims: TokenClaims | None
    proof: Proof
    signed: bool = False


def opened_with(
    raw_path: bytes, headers: RawHeaders, decision: Decision, policy: GatePolicy | None
) -> Opened:
    """Return what must stay true of a WebSocket whose handshake was let in.

    :param headers: of the handshake, as received.
    :param policy: by which it was let in, None where that isn't known any more.
    """
    proof = Proof.BEARER
    # What passed in spite of a refusal, in ``monitor``, may have shown no proof at all.
    if policy is not None and not decision.refusals:
        asked = [route.proof for route in policy.routes if route.name == decision.route]
        proof = asked[0] if asked else proof
    # A token that was verified stands in one field alone.
    sent = [value for name, value in headers if name.lower() == TOKEN_HEADER]
    token = sent[0] if decision.claims is not None and sent else None
    claims = decision.claims
    signed = (
        claims is not None
        and claims.device_for_session
        and any(n.lower() == SIGNATURE_INPUT and device.is_named(value) for n, value in headers)
    )
    return Opened(raw_path, token, claims, proof, signed)


def hold_epoch(verdict: Verdict, state: GateState, token: bytes, now: float) -> None:
    """Hold a session's proof to what the gate holds of its epoch by now.

    :raises RefusedError: ``proof.epoch``.
    """
    if verdict.keys is None:
        verdict.make_keys(state.secret(verdict.claims.epoch), token)
    check_epoch(verdict, now)


def _is_signed(cleaned: CleanHeaders) -> bool:
    """Tell whether a request says that the device signed it."""
    at = cleaned.plan.proof[0]
    return at >= 0 and device.is_named(cleaned.values[at])


_REVOKED = Refusal(
    Reason.TOKEN_INSTANCE_REVOKED,
    "the instance was revoked by an operator, or because the vendor revoked a certificate",
)
_CUT = Refusal(
    Reason.TOKEN_EXPIRED,
    "an operator cut off all tokens of its kind that were issued before an instant; the instance renews its own",
)


class Gate:
    """Guard one API: hold the state of the service, and what was verified so far.

    Safe to share between the tasks of an event loop and between threads: what it remembers is
    replaced, never changed.

    :ivar tallies: what it counts and decides nothing by.
    """

    def __init__(
        self,
        state: GateState,
        *,
        memory: ImmediateReplayStore | None = None,
        shared: ReplayStore | None = None,
        entropy: Entropy | None = None,
        narrowed: Mapping[str, RolloutState] | None = None,
        on_narrowed: Callable[[str, RolloutStatus], None] | None = None,
        quotas: QuotaKeeper | None = None,
        alarms: HoneytokenAlarms | None = None,
        refusal_log: RefusalLog | None = None,
        tally_sink: TallySink | None = None,
    ) -> None:
        """Compile the policy where it is known already; it may also come later.

        :param memory: remembers used proofs in replay mode ``local`` and ``affine``, ``shared`` in
            ``shared``, and ``entropy`` is for the nonces of ``affine``.  Routes that ask for a proof
            stay closed where what they need is missing.
        :param narrowed: by route, how far an earlier process had narrowed its canary.
        :param on_narrowed: is told the route whose budget was exceeded.
        :param quotas: keeps the counts of quotas, None where they end with the process.
        :param alarms: is told by whoever asks for a decision that names a canary key.
        :param refusal_log: is told of refusals by a middleware that got no log of its own.
        :param tally_sink: is told of what :attr:`tallies` counts, None where that ends with the process.
        :raises ValueError: for a route or a limit that could never match.
        """
        self.state = state
        self.alarms = alarms
        self.refusal_log = refusal_log
        self.tallies = Tallies(tally_sink)
        self._uses = SingleUse(memory, shared, entropy)
        self._narrowed = narrowed
        self._on_narrowed = on_narrowed
        self._quotas = quotas
        self._compiled: CompiledPolicy | None = None
        self._verdicts = VerdictCache()
        try:
            self._current()
        except UnavailableError:
            # The service will publish it; until then every request is refused.
            self._compiled = None

    @property
    def policy(self) -> GatePolicy | None:
        """Return the policy of the API, None before the first state."""
        try:
            return self._current().policy
        except UnavailableError:
            return None

    @property
    def reveals(self) -> bool:
        """Tell whether reasons may stand in the open: in the lab the only attacker is the developer."""
        policy = self.policy
        return policy is not None and policy.expectation.environment is Environment.LAB

    @property
    def rollout_states(self) -> dict[str, RolloutState]:
        """Return by route what a restart must not forget of its canary."""
        return {} if self._compiled is None else self._compiled.rollout_states

    def rollout_statuses(self, now: float) -> dict[str, RolloutStatus]:
        """Return by route what an operator sees of its canary, and of its alarm in ``enforce``."""
        kept = {} if self._compiled is None else self._compiled.canaries
        return {name: canary.state(now) for name, canary in kept.items()}

    def limit_tallies(self) -> Mapping[str, LimitTally]:
        """Return by limit how often it was met since the start; ``rate`` is one of them."""
        limits = None if self._compiled is None else self._compiled.limits
        return {} if limits is None else limits.tallies()

    def decide(self, facts: RequestFacts, now: float) -> Decision:
        """Return the decision on the head of one request.

        1. Size and form of the headers, cleaned (:func:`watchword.gate.hygiene.clean`).
        2. Method and path, readable in one way only (:func:`watchword.gate.hygiene.read_path`), and
           the same path by which the engine routes, below the path where it is mounted.
        3. The first route that matches, or a stricter one that matches by another spelling
           (:mod:`watchword.gate.spellings`); an API serves nothing that its table doesn't name.
        4. In mode ``off`` the request passes here, cleaned.
        5. The token: there, verified (or remembered as verified), of no revoked instance, and bound
           to the header that the policy names.
        6. The level that the token states, and the app's version, against the route's.
        7. The proof that the route asks for, or a signature that stands for one (:attr:`Target.signed`), within a limit.
        8. The body is the one that the proof covers.
        9. The proof is new: of all copies of it exactly one passes.  Claimed only when the rest holds, so that nobody
           spends a nonce without the key, nor with half of a body.
        10. The instance's rate and limits: a request has room in each, or counts in none.  Last, so that
            a thief without the key can't spend the victim's.

        Where canary keys are planted, they are looked for in each request that passes 3, and judged when all of this is
        done: no answer comes sooner or later for one.
        Where 8 and 9 have to be waited for, the decision is ``pending`` and :meth:`conclude` ends it.

        What fails in 1 to 3 is refused whatever the mode: a request that two servers read in two
        ways has no route whose mode could apply, and passing it on "to watch" would hand the
        choice of the route to its sender.  What fails from 5 on is refused in ``enforce`` and
        reported in ``monitor``.

        :param now: seconds since 1970.
        """
        method, raw_path, headers, query, routed_path, root_path = facts
        cleaned = hygiene.clean(headers)
        if isinstance(cleaned, Refusal):
            return refuse(cleaned)
        if len(raw_path) > MAX_PATH_BYTES or len(query) > MAX_QUERY_BYTES:
            # Asked here, since what is resolved is remembered: a flood must not fill the memory.
            return refuse(too_long(facts))
        try:
            compiled = self._current()
        except UnavailableError as error:
            return refuse(Refusal(error.reason, error.detail))
        target = compiled.resolve(method, raw_path)
        if isinstance(target, Refusal):
            return refuse(target)
        if routed_path not in (target.decoded_path, None) or (
            root_path and not is_below(root_path, target.decoded_path)
        ):
            return refuse(ROUTED_ELSEWHERE)
        watch = compiled.watch
        canary = None if watch is None else spot(watch, cleaned.fields, query)
        if target.unchecked:
            if cleaned.plan.status:
                self._claim(cleaned, target)
            route = target.route
            passed = (True, route.mode, route.name, target.reported, None, cleaned.fields)
            return Decision(*passed, canary=canary)
        decision = self._check(facts, cleaned, compiled, target, now)
        if target.reported:
            decision = decision._replace(refusals=(*target.reported, *decision.refusals))
        return decision if canary is None else with_honeytoken(decision, target, canary)

    async def conclude(self, decision: Decision, digest: bytes | None, now: float) -> Decision:
        """Settle what is pending, once the whole body is there; a final decision stays as it is.

        :param digest: SHA-256 of the body that arrived, None where none was announced and none came.
        :param now: seconds since 1970, when the body was complete.
        """
        pending = decision.pending
        if pending is None:
            return decision
        try:
            check_body(pending, digest, now, bodiless=decision.bodiless)
            # A body may take its time: what ended meanwhile lets nobody in.
            self._check_again(pending, decision.claims, now)
            await self._uses.finish(pending, now)
        except RefusedError as error:
            return self.fail(decision, error.refusals[0])
        except UnavailableError as error:
            return self.fail(decision, Refusal(error.reason, error.detail))
        return self._admit(decision, now)

    def fail(self, decision: Decision, refusal: Refusal) -> Decision:
        """Settle a pending decision by what was found wrong with the request, as its mode says."""
        return fail(decision, refusal)

    def revalidate(self, opened: Opened, now: float) -> Refusal | None:
        """Return why a WebSocket must end, None while it may stay open.

        The token has ended (leeway counted in), its key is gone, its instance was revoked, or the route as it is
        published by now asks for more than was shown.  In ``off`` and ``monitor`` nothing ends it, and in ``canary``
        only what was opened by those who take part.

        :param now: seconds since 1970.
        """
        try:
            compiled = self._current()
            target = compiled.resolve(METHOD, opened.raw_path)
            if isinstance(target, Refusal):
                return target
            if target.unchecked or not target.enforces(opened.claims):
                return None
            verdict = self._verdict(opened.token, compiled, now)
            refusal = check_standing(verdict.claims, target.route)
            if refusal is not None:
                return refusal
            if target.route.proof not in (opened.proof, Proof.BEARER):
                return Refusal(
                    Reason.PROOF_MISSING, f"the route asks for {target.route.proof} by now"
                )
            if target.session and not opened.signed:
                assert opened.token is not None
                hold_epoch(verdict, self.state, opened.token, now)
        except RefusedError as error:
            return error.refusals[0]
        except UnavailableError as error:
            return Refusal(error.reason, error.detail)
        return None

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

    def _current(self) -> CompiledPolicy:
        """Return the policy of the state's generation; raise UnavailableError before the first one."""
        # Read before the policy and the keys are: nothing is filed under a state newer than itself.
        generation = self.state.trust
        compiled = self._compiled
        if compiled is None:
            compiled = CompiledPolicy(
                generation,
                self.state.policy,
                None,
                self._narrowed,
                watch=self.state.canaries,
                keeper=self._quotas,
            )
            self._compiled = compiled
        elif compiled.generation != generation:
            state = self.state
            compiled = self._compiled = compiled.renewed(generation, state.policy, state.canaries)
        return compiled

    def _check(
        self,
        facts: RequestFacts,
        cleaned: CleanHeaders,
        compiled: CompiledPolicy,
        target: Target,
        now: float,
    ) -> Decision:
        """Carry out what comes after step 4."""
        fields, token, _, plan, own = cleaned
        claims, pending, nonce, bodiless = None, None, None, False
        if plan.status:
            self._claim(cleaned, target)
        for at in () if target.bearer else own:
            # Where a proof is asked for, its fields are the gate's.
            del fields[at]
        try:
            verdict = self._verdict(token, compiled, now)
            claims = verdict.claims
            if compiled.binding_header is not None:
                check_binding(claims.binding, compiled.binding_header, fields)
            if verdict.signs and target.signed is not None and _is_signed(cleaned):
                target = target.signed
                compiled.signatures.take(claims, now)
            if verdict.rank < target.rank or target.route.minimum_versions:
                refusal = check_standing(claims, target.route)
                if refusal is not None:
                    return self._turn_away(facts, cleaned, compiled, target, verdict, refusal, now)
            if not target.bearer:
                proof = self._verify_proof(facts, cleaned, compiled, target, verdict, now)
                pending, nonce = self._uses.begin(
                    compiled, target, verdict.session, token or b"", proof, now
                )
                # DPoP covers no body, whether there is one or not.
                bodiless = proof.body_digest is None and plan.proof[2] < 0
        except RefusedError as error:
            return self._refuse(target, error, claims, fields, now)
        except UnavailableError as error:
            return judge(target, (Refusal(error.reason, error.detail),), claims, fields, nonce)
        fields += verdict.result_headers
        if target.watch is not None and target.route.name not in verdict.seen:
            verdict.seen.add(target.route.name)
            self._count(target, claims, (), now)
        route, limits, final = target.route, compiled.limits, pending is None
        enforced = final or target.enforces(claims)
        outcome = (final, route.mode, route.name, (), claims, fields, pending, enforced)
        # Half the cost of the class's own constructor, for what is made with each request.
        made = tuple.__new__(Decision, (*outcome, bodiless, None, nonce, target.injection, None))
        if limits is None or not final:
            return made
        overrun = limits.take(route.name, claims, now)
        return (
            made if overrun is None else run_over(made, overrun, enforced=target.enforces(claims))
        )

    def _claim(self, cleaned: CleanHeaders, target: Target) -> None:
        """Count why an app sends no token, by its own word; nothing is decided by it."""
        values = [cleaned.values[at] for at in cleaned.plan.status]
        self.tallies.claim(target.route.name, values, beside_token=cleaned.token is not None)

    def _refuse(
        self,
        target: Target,
        error: RefusedError,
        claims: TokenClaims | None,
        fields: list[tuple[bytes, bytes]],
        now: float,
    ) -> Decision:
        """Refuse, or let pass and report, and say what the next attempt needs: another nonce, or a pause."""
        nonce = self._uses.nonce(now) if error.reason is Reason.PROOF_NONCE else None
        decision = judge(target, error.refusals, claims, fields, nonce)
        if isinstance(error, RateSpentError):
            return decision._replace(retry_after=error.retry_after)
        return decision

    def _verdict(self, token: bytes | None, compiled: CompiledPolicy, now: float) -> Verdict:
        """Return the verdict on the token (step 5).

        :raises RefusedError: with the token's reason.
        :raises UnavailableError: while the gate knows no keys.
        """
        if token is None:
            raise RefusedError.because(Reason.TOKEN_MISSING, "expected the header Watchword-Token")
        generation = compiled.generation
        verdict = self._verdicts.find(token, generation, now)
        if verdict is None:
            verified = verify_for_cache(
                token.decode("latin-1"), compiled.policy.expectation, self.state, now
            )
            verdict = verdict_of(verified, generation)
            if token not in self._verdicts:
                self.tallies.token(verdict.claims.os)
            self._verdicts.keep(token, verdict)
        if (ended := self._ended(verdict.claims)) is not None:
            raise RefusedError((ended,))
        return verdict

    def _ended(self, claims: TokenClaims) -> Refusal | None:
        """Return why a token that was verified doesn't count any more, None while it does."""
        if self.state.is_revoked(claims.subject):
            return _REVOKED
        return _CUT if self.state.is_cut(claims) else None

    def _verify_proof(
        self,
        facts: RequestFacts,
        cleaned: CleanHeaders,
        compiled: CompiledPolicy,
        target: Target,
        verdict: Verdict,
        now: float,
    ) -> VerifiedProof:
        """Return the proof that the route asks for, its signature verified (step 7).

        :raises RefusedError: with the proof's reason.
        """
        keys = verdict.keys
        if keys is None:
            assert cleaned.token is not None
            keys = verdict.make_keys(self.state.secret(verdict.claims.epoch), cleaned.token)
        if target.session:
            check_epoch(verdict, now)
        return verify_proof(facts, cleaned, target, keys, compiled, now)

    def _turn_away(
        self,
        facts: RequestFacts,
        cleaned: CleanHeaders,
        compiled: CompiledPolicy,
        target: Target,
        verdict: Verdict,
        refusal: Refusal,
        now: float,
    ) -> Decision:
        """Refuse an instance for its level or version, or let it pass and report (step 6).

        Where a proof is asked for, the API isn't told who is there, since the proof isn't settled; the
        canary counts those whose signature holds.
        """
        claims, fields = verdict.claims, cleaned.fields
        if target.bearer:
            fields += verdict.result_headers
        # Asked first: the refusal that exceeds the budget is still one of the canary.
        decision = judge(target, (refusal,), claims, fields, None)
        if target.watch is not None:
            try:
                if not target.bearer:
                    self._verify_proof(facts, cleaned, compiled, target, verdict, now)
            except (RefusedError, UnavailableError):
                return decision
            self._count(target, claims, decision.refusals, now)
        return decision

    def _count(
        self, target: Target, claims: TokenClaims, refusals: Sequence[Refusal], now: float
    ) -> None:
        """Count an instance in the route's canary, and tell when its budget is exceeded."""
        watch = target.watch
        if (
            watch is not None
            and watch.record(claims, refusals, now)
            and self._on_narrowed is not None
        ):
            self._on_narrowed(target.route.name, watch.state(now))

    def _check_again(self, pending: Pending, claims: TokenClaims | None, now: float) -> None:
        """Hold what waited to what the service published meanwhile: revocations, keys, secrets.

        :raises RefusedError: as steps 5 and 7.
        """
        compiled = self._current()
        if compiled.generation == pending.generation:
            ended = _REVOKED if claims is None else self._ended(claims)
            if ended is not None:
                raise RefusedError((ended,))
            return
        verdict = self._verdict(pending.token, compiled, now)
        if pending.session:
            hold_epoch(verdict, self.state, pending.token, now)

    def _admit(self, decision: Decision, now: float) -> Decision:
        """Carry out step 10 on a request that had to wait."""
        limits = None if self._compiled is None else self._compiled.limits
        decision = decision._replace(allow=True, pending=None)
        if limits is None or decision.claims is None:
            return decision
        overrun = limits.take(decision.route, decision.claims, now)
        if overrun is None:
            return decision
        return run_over(decision, overrun, enforced=decision.enforced)
