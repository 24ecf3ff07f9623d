"""Tell whether what was let in once would be let in still: a WebSocket outlives its handshake."""

from collections.abc import Callable
from typing import Final, NamedTuple

from watchword.gate.compiled import CompiledPolicy, check_standing
from watchword.gate.interface import (
    TOKEN_HEADER,
    Decision,
    GatePolicy,
    GateState,
    RawHeaders,
)
from watchword.gate.proofs import check_epoch
from watchword.gate.verdicts import Verdict
from watchword.reasons import Reason, Refusal, RefusedError, UnavailableError
from watchword.tokens.interface import TokenClaims
from watchword.vocabulary import Proof

METHOD: Final = "GET"
"""The method of a handshake (RFC 6455 section 4.1)."""

VerdictOn = Callable[[bytes | None, CompiledPolicy, float], Verdict]


class Opened(NamedTuple):
    """Hold what must stay true while a WebSocket is open.

    :param raw_path: of its handshake, without the query.
    :param token: the one it was opened with, None where nobody was verified.
    :param claims: what that token said; None as above.
    :param proof: what the route asked for; a proof that was never given can't be given later.
    """

    raw_path: bytes
    token: bytes | None
    claims: TokenClaims | None
    proof: Proof


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
    return Opened(raw_path, token, decision.claims, proof)


def hold_epoch(verdict: Verdict, state: GateState, token: bytes, now: float) -> None:
    """Hold a session's proof to what the gate holds of its epoch by now.

    :raises RefusedError: ``proof.epoch``.
    """
    if verdict.keys is None:
        verdict.make_keys(state.secret(verdict.claims.epoch), token)
    check_epoch(verdict, now)


def why_ended(
    opened: Opened,
    current: Callable[[], CompiledPolicy],
    verdict_on: VerdictOn,
    state: GateState,
    now: float,
) -> Refusal | None:
    """Return why a WebSocket must end, None while it may stay open.

    The token has ended (leeway counted in), its key is gone, its instance was revoked, or the route as it is
    published by now asks for more than was shown.  In ``off`` and ``monitor`` nothing ends it, and in ``canary`` only
    what was opened by those who take part.

    :param current: returns the policy of the state's generation.
    :param verdict_on: returns the verdict on a token.
    :param now: seconds since 1970.
    """
    try:
        compiled = current()
        target = compiled.resolve(METHOD, opened.raw_path)
        if isinstance(target, Refusal):
            return target
        if target.unchecked or not target.enforces(opened.claims):
            return None
        verdict = verdict_on(opened.token, compiled, now)
        refusal = check_standing(verdict.claims, target.route)
        if refusal is not None:
            return refusal
        if target.route.proof not in (opened.proof, Proof.BEARER):
            return Refusal(Reason.PROOF_MISSING, f"the route asks for {target.route.proof} by now")
        if target.session:
            assert opened.token is not None
            hold_epoch(verdict, state, opened.token, now)
    except RefusedError as error:
        return error.refusals[0]
    except UnavailableError as error:
        return Refusal(error.reason, error.detail)
    return None
