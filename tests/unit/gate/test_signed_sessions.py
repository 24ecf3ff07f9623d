"""Show where a device's own signature stands for a session proof, and that a flood of such costs no curve beyond the limit."""

import asyncio
import hashlib
from dataclasses import replace
from typing import Any

import pytest
from tests.unit.gate.proofs import Prover, facts, fresh_nonce
from tests.unit.gate.simulators import CLAIMS, NOW, PublishedState, published, route, token

from watchword.adapters.replay import MemoryReplayStore
from watchword.adapters.system import SystemEntropy
from watchword.gate.interface import Decision, Rate, RequestFacts, Rollout
from watchword.gate.limits import SIGNATURES
from watchword.gate.service import Gate, opened_with
from watchword.reasons import Reason
from watchword.vocabulary import Level, Mode, Proof, ReplayMode

ROUTES = (
    route("/v1/**", proof=Proof.SESSION),
    route("/pay/**", proof=Proof.DEVICE),
    route("/watched/**", proof=Proof.SESSION, mode=Mode.MONITOR),
)
PHONE = Prover(token(device_for_session=True))
WITHOUT = Prover(token())
BODY = b'{"amount": 100}'
SHA256 = hashlib.sha256(BODY).digest()
RESULTS = {b"watchword-instance", b"watchword-level", b"watchword-app"}


def gate(state: PublishedState | None = None, **others: Any) -> Gate:
    """Return the gate of an API with these routes, and a memory of its own."""
    options: dict[str, Any] = {"memory": MemoryReplayStore(), "entropy": SystemEntropy()} | others
    return Gate(state or published(*ROUTES), **options)


def proved(
    kind: str = "device", target: str = "/v1/a", phone: Prover = PHONE, **changes: Any
) -> RequestFacts:
    """Return the facts of a request with a proof."""
    fields = getattr(phone, kind)(target=target, **changes)
    return facts(fields, target, changes.get("method", "GET"))


def forged(target: str = "/v1/a", phone: Prover = PHONE) -> RequestFacts:
    """Return the facts of a request as a thief sends it: in form a proof by the token's key, signed by nobody."""
    return proved(target="/v1/other", phone=phone)._replace(raw_path=target.encode())


def reasons(decision: Decision) -> list[Reason]:
    """Return why a request was refused."""
    return [refusal.reason for refusal in decision.refusals]


@pytest.mark.parametrize("kind", ["device", "session"])
def test_either_kind_passes_with_such_a_token(kind: str) -> None:
    """Its fields stop at the gate, and the API is told who is there."""
    decision = gate().decide(proved(kind), NOW)
    assert (decision.allow, reasons(decision), decision.bodiless) == (True, [], True)
    assert {name for name, _ in decision.headers} == {b"host", *RESULTS}


def test_without_the_claim_a_signature_is_refused_as_before() -> None:
    """The token decides, which the service signs; what the policy says of the API changes nothing."""
    for state in (published(*ROUTES), published(*ROUTES, device_for_session=True)):
        clinic = gate(state)
        refused = clinic.decide(proved(phone=WITHOUT), NOW)
        assert reasons(refused) == [Reason.PROOF_ALGORITHM]
        assert clinic.decide(proved("session", phone=WITHOUT), NOW).allow


def test_dpop_never_stands_for_a_session_proof() -> None:
    """It covers neither query nor body; not beside a signature either, and not where the row says dpop."""
    for state in (published(*ROUTES), published(replace(ROUTES[0], dpop=True))):
        clinic = gate(state)
        fields = PHONE.dpop(url="https://clinic.example/v1/a")
        assert reasons(clinic.decide(facts(fields, "/v1/a"), NOW)) == [Reason.PROOF_MISSING]
        both = [*PHONE.device(target="/v1/a"), fields[-1]]
        assert reasons(clinic.decide(facts(both, "/v1/a"), NOW)) == [Reason.PROOF_AMBIGUOUS]


def test_a_device_route_takes_no_session_proof_from_such_a_token() -> None:
    """The claim loosens nothing elsewhere."""
    clinic = gate()
    refused = clinic.decide(proved("session", "/pay/a"), NOW)
    assert reasons(refused) == [Reason.PROOF_ALGORITHM]
    assert clinic.decide(proved("device", "/pay/a"), NOW).allow


@pytest.mark.parametrize("kinds", [("device", "session"), ("session", "device")])
@pytest.mark.parametrize("mode", [ReplayMode.LOCAL, ReplayMode.SHARED])
def test_both_kinds_share_one_nonce_space(kinds: tuple[str, str], mode: ReplayMode) -> None:
    """A nonce that one kind used up is used up for the other."""
    state = published(*ROUTES, replay=mode)
    clinic = gate(state, shared=MemoryReplayStore())
    nonce, ended = fresh_nonce(), []
    for kind in kinds:
        decision = clinic.decide(proved(kind, nonce=nonce), NOW)
        ended.append(asyncio.run(clinic.conclude(decision, None, NOW)))
    assert [reasons(each) for each in ended] == [[], [Reason.PROOF_REPLAYED]]


def test_an_affine_gate_asks_for_its_nonce_in_either_kind() -> None:
    """The nonce of the gate says nothing of the kind."""
    clinic = gate(published(*ROUTES, replay=ReplayMode.AFFINE))
    refused = clinic.decide(proved(), NOW)
    assert reasons(refused) == [Reason.PROOF_NONCE]
    assert refused.nonce is not None
    assert clinic.decide(proved(nonce=refused.nonce.decode() + fresh_nonce()), NOW).allow


def test_a_flood_with_a_stolen_token_costs_no_curve_beyond_the_limit() -> None:
    """The signature is looked at as often as the rate allows; beyond, not even a good one is, nor is its nonce used up."""
    store = MemoryReplayStore()
    clinic = gate(published(*ROUTES, rate=Rate(5, 60)), memory=store)
    looked_at = [reasons(clinic.decide(forged(), NOW)) for _ in range(20)]
    assert looked_at == [[Reason.PROOF_SIGNATURE]] * 5 + [[Reason.GATE_RATE]] * 15
    good = proved()
    refused = clinic.decide(good, NOW)
    assert (reasons(refused), refused.allow, refused.retry_after) == ([Reason.GATE_RATE], False, 12)
    assert (refused.headers, len(store)) == ([], 0)
    # 12 s later there is room for one, and the same proof is as good as it was.
    assert clinic.decide(good, NOW + 12).allow
    assert reasons(clinic.decide(forged(), NOW + 12)) == [Reason.GATE_RATE]


def test_the_flood_spends_nothing_of_its_owners() -> None:
    """Neither session proofs of the same token, nor the next token, nor the rate itself."""
    clinic = gate(published(*ROUTES, rate=Rate(5, 60)))
    for _ in range(20):
        clinic.decide(forged(), NOW)
    next_token = Prover(
        token(device_for_session=True, session_id="session-2"), session_id="session-2"
    )
    assert clinic.decide(proved(phone=next_token), NOW).allow
    assert all(clinic.decide(proved("session"), NOW).allow for _ in range(4))
    assert reasons(clinic.decide(proved("session"), NOW)) == [Reason.GATE_RATE]


def test_without_a_rate_signatures_are_limited_all_the_same() -> None:
    """A phone doesn't send that many; a route for devices alone is held to nothing of it, as before."""
    clinic = gate()
    each = [reasons(clinic.decide(forged(), NOW)) for _ in range(SIGNATURES.requests + 1)]
    assert each[-2:] == [[Reason.PROOF_SIGNATURE], [Reason.GATE_RATE]]
    assert reasons(clinic.decide(forged("/pay/a"), NOW)) == [Reason.PROOF_SIGNATURE]


def test_monitor_vouches_for_nobody_beyond_the_limit() -> None:
    """The request passes and is reported, and the curve isn't computed for it either."""
    clinic = gate(published(*ROUTES, rate=Rate(1, 60)))
    first, second = (clinic.decide(proved(target="/watched/a"), NOW) for _ in range(2))
    assert set(dict(first.headers)) >= RESULTS
    assert (second.allow, reasons(second)) == (True, [Reason.GATE_RATE])
    assert not RESULTS & set(dict(second.headers))


def test_a_level_that_is_too_low_costs_no_curve_beyond_the_limit_either() -> None:
    """A canary counts whom it turned away by a proof that holds; that proof has its room too."""
    rollout = route(
        "/v1/**", proof=Proof.SESSION, mode=Mode.CANARY, canary=Rollout(share=100), name="v1"
    )
    clinic = gate(published(rollout, rate=Rate(3, 60)))
    phone = Prover(token(device_for_session=True, level=Level.SOFTWARE))
    found = [reasons(clinic.decide(proved(phone=phone), NOW)) for _ in range(5)]
    assert found == [[Reason.GATE_LEVEL]] * 3 + [[Reason.GATE_RATE]] * 2
    assert clinic.rollout_statuses(NOW)["v1"].refused == 1


def test_a_renewed_policy_gives_no_second_limit() -> None:
    """Only another rate begins anew."""
    state = published(*ROUTES, rate=Rate(2, 60))
    clinic = gate(state)
    for generation in range(2, 6):
        clinic.decide(forged(), NOW)
        state.generation = generation
        state.policy = replace(state.policy, routes=(*ROUTES, route(f"/g{generation}")))
    assert reasons(clinic.decide(forged(), NOW)) == [Reason.GATE_RATE]
    state.policy, state.generation = replace(state.policy, rate=Rate(3, 60)), 9
    assert reasons(clinic.decide(forged(), NOW)) == [Reason.PROOF_SIGNATURE]


@pytest.mark.parametrize("secrets", [{}, None])
def test_a_signature_rests_on_no_epoch(secrets: dict[int, Any] | None) -> None:
    """A secret that the gate doesn't hold, or that goes while a body arrives, is nothing to it."""
    state = published(*ROUTES)
    if secrets is not None:
        state.secrets = secrets
    clinic = gate(state)
    pending = clinic.decide(proved(method="POST", body=BODY), NOW)
    assert pending.pending is not None
    state.secrets, state.generation = {}, 2
    assert asyncio.run(clinic.conclude(pending, SHA256, NOW)).allow
    refused = clinic.decide(proved("session"), NOW)
    assert reasons(refused) == [Reason.PROOF_EPOCH]


def test_a_websocket_that_was_opened_by_a_signature_rests_on_no_epoch() -> None:
    """One that was opened by a session proof ends with the secret; both end where the row asks for a device's proof."""
    state = published(*ROUTES)
    clinic = gate(state)
    opened = {}
    for kind in ("device", "session"):
        handshake = proved(kind)
        decision = clinic.decide(handshake, NOW)
        opened[kind] = opened_with(b"/v1/a", handshake.headers, decision, state.policy)
    assert [clinic.revalidate(each, NOW) for each in opened.values()] == [None, None]
    state.secrets, state.generation = {}, 2
    assert clinic.revalidate(opened["device"], NOW) is None
    ended = clinic.revalidate(opened["session"], NOW)
    assert ended is not None
    assert ended.reason is Reason.PROOF_EPOCH
    state.policy = replace(state.policy, routes=(replace(ROUTES[0], proof=Proof.DEVICE),))
    state.generation = 3
    for each in opened.values():
        ended = clinic.revalidate(each, NOW)
        assert ended is not None
        assert ended.reason is Reason.PROOF_MISSING


def test_a_token_without_the_claim_opens_no_websocket_that_outlives_its_epoch() -> None:
    """Whatever its fields name: they weren't what let it in."""
    state = published(*ROUTES)
    clinic = gate(state)
    handshake = proved("session", phone=WITHOUT)
    fields = [*handshake.headers, (b"signature-input", b'x;alg="ecdsa-p256-sha256"')]
    decision = clinic.decide(handshake, NOW)
    opened = opened_with(b"/v1/a", fields, decision, state.policy)
    assert decision.claims == CLAIMS
    state.secrets, state.generation = {}, 2
    assert clinic.revalidate(opened, NOW) is not None
