"""Let each proof pass once: hold it to its body, to its nonce, and to the store of used ones."""

import hmac

from watchword.gate.affinity import AffinityNonces
from watchword.gate.compiled import CompiledPolicy, Target
from watchword.gate.interface import Pending, ReplayStore
from watchword.gate.proofs import claim_of
from watchword.gate.replay import ImmediateReplayStore
from watchword.ports import Entropy
from watchword.reasons import Reason, Refusal, RefusedError, UnavailableError
from watchword.tokens.proofs.interface import VerifiedProof

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
