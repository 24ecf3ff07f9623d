"""Ask a request for the proof that its route needs: which kind, by which headers, over what."""

import hashlib
from typing import Final

from watchword.gate.compiled import CompiledPolicy, Target
from watchword.gate.hygiene import CleanHeaders
from watchword.gate.interface import ReplayClaim, RequestFacts
from watchword.gate.verdicts import Verdict
from watchword.reasons import Reason, RefusedError
from watchword.tokens.proofs import device, dpop, session
from watchword.tokens.proofs.interface import (
    PROOF_LIFE_SECONDS,
    ProofHeaders,
    ProofKeys,
    SignedRequest,
    VerifiedProof,
)

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

    Another kind than the route's never passes: session keys are known to the gates too, so that an
    HMAC proves less than the device's own signature, and DPoP covers neither query nor body.

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
    if at_dpop >= 0 and target.route.dpop:
        http = compiled.allow_http
        return dpop.verify(signed, fields, keys, compiled.leeway, now, allow_http=http)
    return device.verify(signed, fields, keys, compiled.leeway, now)


def claim_of(session: bytes, proof: VerifiedProof, leeway: int, *, shared: bool) -> ReplayClaim:
    """Return what must be claimed so that a proof passes once.

    The session's id is part of the tag: nobody spends the nonces of another one.

    :param session: of :meth:`watchword.gate.verdicts.Verdict.make_keys`.
    :param shared: whether the tag leaves the process, and so has the length that stores agree on; in
        memory the names themselves do, for a tenth of the time.
    """
    nonce, created, _, _ = proof
    tag = session + nonce
    if shared:
        tag = hashlib.sha256(tag).digest()[:_TAG_BYTES]
    return tuple.__new__(ReplayClaim, (tag, created + PROOF_LIFE_SECONDS + leeway))
