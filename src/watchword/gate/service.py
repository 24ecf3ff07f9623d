"""Decide whether a request may go to the API: the one decision function of every engine."""

from collections.abc import Callable, Mapping, Sequence

from watchword.broker.canaries import spot
from watchword.gate import hygiene, references
from watchword.gate.alarms import CanaryAlarms
from watchword.gate.binding import check_binding
from watchword.gate.canary import CanaryState, Narrowing
from watchword.gate.compiled import CompiledPolicy, Target, check_standing
from watchword.gate.hygiene import MAX_PATH_BYTES, CleanHeaders
from watchword.gate.interface import (
    Decision,
    GatePolicy,
    GateState,
    Pending,
    ReplayStore,
    RequestFacts,
)
from watchword.gate.judgement import (
    MAX_QUERY_BYTES,
    ROUTED_ELSEWHERE,
    fail,
    is_below,
    judge,
    refuse,
    run_over,
    too_long,
    with_canary,
)
from watchword.gate.limits import LimitTally
from watchword.gate.proofs import check_epoch, verify_proof
from watchword.gate.quotas import QuotaKeeper
from watchword.gate.replay import ImmediateReplayStore
from watchword.gate.single_use import SingleUse, check_body
from watchword.gate.standing import Opened, hold_epoch, why_ended
from watchword.gate.verdicts import Verdict, VerdictCache, verdict_of
from watchword.ports import Entropy
from watchword.reasons import Reason, Refusal, RefusedError, UnavailableError
from watchword.tokens.interface import TokenClaims
from watchword.tokens.proofs.interface import VerifiedProof
from watchword.tokens.service import verify_for_cache
from watchword.vocabulary import Environment

_REVOKED = Refusal(Reason.TOKEN_INSTANCE_REVOKED, "the instance was revoked by an operator")


class Gate:
    """Guard one API: hold the state of the service, and what was verified so far.

    Safe to share between the tasks of an event loop and between threads: what it remembers is
    replaced, never changed.
    """

    def __init__(
        self,
        state: GateState,
        *,
        memory: ImmediateReplayStore | None = None,
        shared: ReplayStore | None = None,
        entropy: Entropy | None = None,
        narrowed: Mapping[str, Narrowing] | None = None,
        on_narrowed: Callable[[str, CanaryState], None] | None = None,
        quotas: QuotaKeeper | None = None,
        alarms: CanaryAlarms | None = None,
    ) -> None:
        """Compile the policy where it is known already; it may also come later.

        :param memory: remembers used proofs in replay mode ``local`` and ``affine``, ``shared`` in
            ``shared``, and ``entropy`` is for the nonces of ``affine``.  Routes that ask for a proof
            stay closed where what they need is missing.
        :param narrowed: by route, how far an earlier process had narrowed its canary.
        :param on_narrowed: is told the route whose budget was exceeded.
        :param quotas: keeps the counts of quotas, None where they end with the process.
        :param alarms: is told by whoever asks for a decision that names a canary key.
        :raises ValueError: for a route or a limit that could never match.
        """
        self.state = state
        self.alarms = alarms
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
    def narrowings(self) -> dict[str, Narrowing]:
        """Return by route what a restart must not forget of its canary."""
        kept = {} if self._compiled is None else self._compiled.canaries
        found = {name: canary.narrowing for name, canary in kept.items()}
        return {name: narrowing for name, narrowing in found.items() if narrowing is not None}

    def canary_states(self, now: float) -> dict[str, CanaryState]:
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
        2. Method and path, readable in one way only (:func:`watchword.gate.paths.read_path`), and
           the same path by which the engine routes, below the path where it is mounted.
        3. The first route that matches, or a stricter one that matches by another spelling
           (:mod:`watchword.gate.spellings`); an API serves nothing that its table doesn't name.
        4. In mode ``off`` the request passes here, cleaned.
        5. The token: there, verified (or remembered as verified), of no revoked instance, and bound
           to the header that the policy names.
        6. The level that the token states, and the app's version, against the route's.
        7. The proof that the route asks for.
        8. The body is the one that the proof covers.
        9. The proof is new: of all copies of it exactly one passes.  Claimed only when the rest
           holds, so that nobody spends a nonce without the key, nor with half of a body.
        10. The instance's rate and limits: a request has room in each, or counts in none.  Last, so that
            a thief without the key can't spend the victim's.

        Where canary keys are planted, they are looked for in each request that passes 3, and judged when
        all of this is done: no answer comes sooner or later for one.

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
            route = target.route
            passed = (True, route.mode, route.name, target.reported, None, cleaned.fields)
            return Decision(*passed, canary=canary)
        decision = self._check(facts, cleaned, compiled, target, now)
        if target.reported:
            decision = decision._replace(refusals=(*target.reported, *decision.refusals))
        return decision if canary is None else with_canary(decision, target, canary)

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

    def why_ended(self, opened: Opened, now: float) -> Refusal | None:
        """Return why a WebSocket must end, None while it may stay open (:mod:`watchword.gate.standing`)."""
        return why_ended(opened, self._current, self._verdict, self.state, now)

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
        generation = self.state.generation
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
        for at in () if target.bearer else own:
            # Where a proof is asked for, its fields are the gate's.
            del fields[at]
        try:
            verdict = self._verdict(token, compiled, now)
            claims = verdict.claims
            if compiled.binding_header is not None:
                check_binding(claims.binding, compiled.binding_header, fields)
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
            if error.reason is Reason.PROOF_NONCE:
                nonce = self._uses.nonce(now)
            return judge(target, error.refusals, claims, fields, nonce)
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
        made = tuple.__new__(Decision, (*outcome, bodiless, None, nonce, target.lending, None))
        if limits is None or not final:
            return made
        overrun = limits.take(route.name, claims, now)
        return (
            made if overrun is None else run_over(made, overrun, enforced=target.enforces(claims))
        )

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
            self._verdicts.keep(token, verdict)
        if self.state.is_revoked(verdict.claims.subject):
            raise RefusedError((_REVOKED,))
        return verdict

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
            if claims is None or self.state.is_revoked(claims.subject):
                raise RefusedError((_REVOKED,))
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
