"""Ask whether a WebSocket that was let in would be let in still."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from tests.unit.gate.proofs import Prover, facts
from tests.unit.gate.simulators import (
    CLAIMS,
    EXPECTATION,
    NOW,
    PublishedState,
    policy,
    published,
    request,
    route,
    token,
)

from watchword.adapters.replay import MemoryReplayStore
from watchword.gate.interface import RequestFacts, Rollout
from watchword.gate.service import Gate, Opened, opened_with
from watchword.reasons import Reason
from watchword.vocabulary import Level, Mode, Proof

END = CLAIMS.expires_at + EXPECTATION.leeway
CANARY = Rollout(share=100)


def opened(state: PublishedState, asked: RequestFacts) -> tuple[Gate, Opened]:
    """Let a handshake in."""
    gate = Gate(state, memory=MemoryReplayStore())
    decision = gate.decide(asked, NOW)
    assert decision.allow
    return gate, opened_with(asked.raw_path, asked.headers, decision, gate.policy)


def reason(gate: Gate, standing: Opened, now: float = NOW) -> Reason | None:
    """Return why it ends."""
    refusal = gate.revalidate(standing, now)
    return None if refusal is None else refusal.reason


def changed(state: PublishedState, *routes: object, **others: object) -> None:
    """Publish another table."""
    state.policy = policy(*routes, **others)  # type: ignore[arg-type]
    state.generation += 1


def test_it_lives_as_long_as_its_token_and_the_leeway() -> None:
    """Not a second longer."""
    gate, standing = opened(published(), request(token=token()))
    assert reason(gate, standing) is None
    assert reason(gate, standing, END - 1) is None
    assert reason(gate, standing, END + 1) is Reason.TOKEN_EXPIRED


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda state: state.revoked.add(CLAIMS.subject), Reason.TOKEN_INSTANCE_REVOKED),
        (lambda state: state.revoked.add("another"), None),
        (lambda state: state.keys.clear(), Reason.TOKEN_KEY_UNKNOWN),
        (lambda state: changed(state, route("/v1/**")), None),
        (lambda state: changed(state, route("/v2/**")), Reason.GATE_ROUTE_UNKNOWN),
        (lambda state: changed(state, route("/**", methods={"POST"})), Reason.GATE_ROUTE_UNKNOWN),
        (lambda state: changed(state, route("/**", proof=Proof.SESSION)), Reason.PROOF_MISSING),
        (lambda state: changed(state, route("/**", proof=Proof.DEVICE)), Reason.PROOF_MISSING),
        (
            lambda state: changed(state, route("/**", minimum_versions={"clinic-ios": "2"})),
            Reason.GATE_APP_VERSION,
        ),
        (lambda state: changed(state, route("/**", mode=Mode.MONITOR, proof=Proof.DEVICE)), None),
        (lambda state: changed(state, route("/**", mode=Mode.OFF)), None),
        (lambda state: changed(state, route("/**", mode=Mode.CANARY, canary=CANARY)), None),
    ],
    ids=range(12),
)
def test_what_is_published_meanwhile(
    change: Callable[[PublishedState], None], expected: Reason | None
) -> None:
    """What takes trust away ends it; what gives some or changes nothing doesn't."""
    state = published()
    gate, standing = opened(state, request(token=token()))
    change(state)
    state.generation += 1
    assert reason(gate, standing) is expected


def test_a_level_that_is_asked_for_later() -> None:
    """Whoever was good enough yesterday isn't for the row of today."""
    state = published(route("/v1/**", level=Level.SOFTWARE))
    gate, standing = opened(state, request(token=token(level=Level.SOFTWARE)))
    assert reason(gate, standing) is None
    changed(state, route("/v1/**", level=Level.HARDWARE))
    assert reason(gate, standing) is Reason.GATE_LEVEL


@pytest.mark.parametrize("proof", [Proof.SESSION, Proof.DEVICE])
def test_what_was_opened_by_a_proof(proof: Proof) -> None:
    """It rests on that proof: another one, which was never given, isn't taken for it."""
    state = published(route("/v1/**", proof=proof))
    fields = Prover().session() if proof is Proof.SESSION else Prover().device()
    gate, standing = opened(state, facts(fields))
    state.generation += 1
    assert reason(gate, standing) is None
    state.secrets = {
        number: replace(each, verify_until=NOW - 1.0) for number, each in state.secrets.items()
    }
    state.generation += 1
    assert reason(gate, standing) is (Reason.PROOF_EPOCH if proof is Proof.SESSION else None)
    changed(state, route("/**", proof=Proof.DEVICE if proof is Proof.SESSION else Proof.SESSION))
    assert reason(gate, standing) is Reason.PROOF_MISSING
    changed(state, route("/**"))
    assert reason(gate, standing) is None


@pytest.mark.parametrize("sent", [None, token(), token(level=Level.NONE)])
def test_what_was_only_watched_ends_when_it_is_enforced(sent: str | None) -> None:
    """Whoever passed in spite of something has shown nothing; in ``monitor`` nothing ends."""
    state = published(route("/v1/**", mode=Mode.MONITOR, proof=Proof.SESSION))
    gate, standing = opened(state, request(token=sent))
    state.revoked.add(CLAIMS.subject)
    assert reason(gate, standing, END + 1) is None
    state.revoked.clear()
    changed(state, route("/v1/**", proof=Proof.SESSION))
    assert reason(gate, standing) is not None


def test_a_canary_ends_those_who_take_part() -> None:
    """Who opened it as nobody stays, as nobody would be let in again."""
    row = route("/v1/**", mode=Mode.CANARY, canary=CANARY)
    gate, standing = opened(published(row), request(token=token()))
    assert reason(gate, standing, END + 1) is Reason.TOKEN_EXPIRED
    gate, standing = opened(published(row), request())
    assert reason(gate, standing, END + 1) is None
