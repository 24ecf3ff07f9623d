"""Show what a gate asks of a request on a route that wants a proof, and that each proof passes once."""

import asyncio
import hashlib
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from tests.unit.gate.proofs import HOST, Prover, digest_of, facts, fresh_nonce, session_key
from tests.unit.gate.simulators import (
    CLAIMS,
    EXPECTATION,
    NOW,
    SECRET,
    PublishedState,
    policy,
    published,
    route,
    token,
)

from watchword.adapters.replay import MemoryReplayStore
from watchword.adapters.system import SystemEntropy
from watchword.gate.decisions import WARM_UP_SECONDS
from watchword.gate.interface import Decision, Rate, ReplayClaim, Rollout
from watchword.gate.replay import NONCE_CHARACTERS
from watchword.gate.service import Gate, binding_of
from watchword.reasons import Reason, UnavailableError
from watchword.tokens.proofs.interface import GateSecret
from watchword.vocabulary import Level, Mode, Proof, ReplayMode

ROUTES = (
    route("/v1/**", proof=Proof.SESSION),
    route("/pay/**", proof=Proof.DEVICE),
    route("/dpop/**", proof=Proof.DEVICE, dpop=True),
    route("/watched/**", proof=Proof.SESSION, mode=Mode.MONITOR),
    route("/open/**"),
)
BODY = b'{"amount": 100}'
SHA256 = hashlib.sha256(BODY).digest()
RESULTS = (b"watchword-instance", b"watchword-level", b"watchword-app")
PHONE = Prover()
ENDS = ("/v1/a", "/pay/a")


@dataclass
class SharedStore:
    """Be a store elsewhere, which has to be waited for; implements the port ReplayStore."""

    seen: set[bytes] = field(default_factory=set)
    fault: Reason | None = None

    async def claim(self, claim: ReplayClaim, now: float) -> bool:
        """Record a claim."""
        await asyncio.sleep(0)
        if self.fault is not None:
            raise UnavailableError(self.fault, "nobody answers")
        first = claim.tag not in self.seen and now < claim.until
        self.seen.add(claim.tag)
        return first


def gate(state: PublishedState | None = None, **others: Any) -> Gate:
    """Return the gate of an API with these routes, and a memory of its own."""
    options: dict[str, Any] = {"memory": MemoryReplayStore(), "entropy": SystemEntropy()} | others
    return Gate(state or published(*ROUTES), **options)


def end(
    clinic: Gate, decision: Decision, digest: bytes | None = None, now: float = NOW
) -> Decision:
    """Settle a decision."""
    return asyncio.run(clinic.conclude(decision, digest, now))


def reasons(decision: Decision) -> list[Reason]:
    """Return why a request was refused."""
    assert decision.pending is None
    assert decision.allow is not (bool(decision.refusals) and decision.enforced)
    return [refusal.reason for refusal in decision.refusals]


def proved(target: str, kind: str = "session", phone: Prover = PHONE, **changes: Any) -> Any:
    """Return the facts of a request with a proof."""
    fields = getattr(phone, kind)(target=target, **changes)
    return facts(fields, target, changes.get("method", "GET"))


@pytest.mark.parametrize(
    ("target", "kind"), [("/v1/a?b=c", "session"), ("/pay/a", "device"), ("/dpop/a", "device")]
)
def test_a_proof_of_the_right_kind_passes_once(target: str, kind: str) -> None:
    """Its fields stop at the gate; a second copy is refused; a fresh one passes."""
    clinic = gate()
    request = proved(target, kind)
    first = clinic.decide(request, NOW)
    assert (reasons(first), first.allow, first.bodiless) == ([], True, True)
    assert [name for name, _ in first.headers] == [b"host", *RESULTS]
    assert reasons(clinic.decide(request, NOW)) == [Reason.PROOF_REPLAYED]
    assert clinic.decide(proved(target, kind), NOW).allow


def test_dpop_passes_once_where_the_route_takes_it() -> None:
    """It covers no body, so that there may be one."""
    clinic = gate()
    fields = PHONE.dpop(url="https://clinic.example/dpop/a")
    first = clinic.decide(facts(fields, "/dpop/a"), NOW)
    assert (reasons(first), first.bodiless) == ([], False)
    assert reasons(clinic.decide(facts(fields, "/dpop/a"), NOW)) == [Reason.PROOF_REPLAYED]
    for target in ("/v1/a", "/pay/a"):
        fields = PHONE.dpop(url=f"https://clinic.example{target}")
        assert reasons(clinic.decide(facts(fields, target), NOW)) == [Reason.PROOF_MISSING]


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (
            facts([(b"host", HOST), (b"watchword-token", PHONE.token.encode())]),
            Reason.PROOF_MISSING,
        ),
        (proved("/pay/a", "session"), Reason.PROOF_ALGORITHM),
        (proved("/v1/a", "device"), Reason.PROOF_ALGORITHM),
        (proved("/v1/a")._replace(raw_path=b"/v1/b"), Reason.PROOF_SIGNATURE),
        (proved("/v1/a")._replace(query=b"q"), Reason.PROOF_SIGNATURE),
        (proved("/v1/a")._replace(method="DELETE"), Reason.PROOF_SIGNATURE),
        (proved("/v1/a", created=NOW - 90), Reason.PROOF_EXPIRED),
        (proved("/v1/a", created=NOW + 31), Reason.PROOF_EARLY),
        (proved("/v1/a", phone=Prover(key=bytes(32))), Reason.PROOF_SIGNATURE),
        (proved("/v1/a", phone=Prover(session_id="other")), Reason.PROOF_KEY),
        (
            facts([*PHONE.session(target="/v1/a"), (b"dpop", b"a.b.c")], "/v1/a"),
            Reason.PROOF_AMBIGUOUS,
        ),
        (
            facts([*PHONE.session(target="/v1/a"), (b"content-length", b"3")], "/v1/a"),
            Reason.PROOF_DIGEST,
        ),
        (
            facts(
                [
                    *PHONE.session(target="/v1/a"),
                    (b"content-length", b"3"),
                    (b"content-digest", digest_of(b"abc").encode()),
                ],
                "/v1/a",
            ),
            Reason.PROOF_COMPONENTS,
        ),
    ],
    ids=range(13),
)
def test_what_is_no_proof(request_: Any, expected: Reason) -> None:
    """Each is refused, and none is remembered as used."""
    store = MemoryReplayStore()
    assert reasons(gate(memory=store).decide(request_, NOW)) == [expected]
    assert len(store) == 0


def test_a_token_without_a_proof_opens_only_what_asks_for_none() -> None:
    """A stolen token is a bearer token where the route says so, and nowhere else."""
    clinic = gate()
    stolen = [(b"host", HOST), (b"watchword-token", PHONE.token.encode())]
    assert clinic.decide(facts(stolen, "/open/a"), NOW).allow
    for target in ("/v1/a", "/pay/a", "/dpop/a"):
        assert reasons(clinic.decide(facts(stolen, target), NOW)) == [Reason.PROOF_MISSING]


def test_fields_of_a_proof_belong_to_the_api_where_no_proof_is_asked_for() -> None:
    """An API may use signatures for itself."""
    fields = [*PHONE.session(target="/open/a"), (b"dpop", b"theirs")]
    names = [name for name, _ in gate().decide(facts(fields, "/open/a"), NOW).headers]
    assert {b"signature", b"signature-input", b"dpop"} <= set(names)


def test_monitor_vouches_for_no_proof_that_failed() -> None:
    """The request passes, and the API isn't told that it is the instance."""
    clinic = gate()
    request = proved("/watched/a")
    assert clinic.decide(request, NOW).headers[-1] == (b"watchword-app", b"clinic-ios")
    again = clinic.decide(request, NOW)
    assert (again.allow, reasons(again)) == (True, [Reason.PROOF_REPLAYED])
    assert [name for name, _ in again.headers] == [b"host"]


@pytest.mark.parametrize(
    ("digest", "now", "expected"),
    [
        (SHA256, NOW, []),
        (hashlib.sha256(b"other").digest(), NOW, [Reason.PROOF_BODY]),
        (None, NOW, [Reason.PROOF_BODY]),
        (SHA256, NOW + 89.9, []),
        (SHA256, NOW + 90, [Reason.PROOF_EXPIRED]),
    ],
)
@pytest.mark.parametrize("mode", ["/v1/a", "/watched/a"])
def test_a_body_is_the_one_that_was_proved(
    mode: str, digest: bytes | None, now: float, expected: list[Reason]
) -> None:
    """Nothing is claimed before; afterwards the proof is spent."""
    store = MemoryReplayStore()
    clinic = gate(memory=store)
    pending = clinic.decide(proved(mode, method="POST", body=BODY), NOW)
    assert pending.pending is not None
    assert (pending.allow, pending.pending.body_digest, len(store)) == (False, SHA256, 0)
    ended = end(clinic, pending, digest, now)
    assert reasons(ended) == expected
    assert ended.allow is (not expected or mode == "/watched/a")
    assert len(store) == (not expected)
    assert (b"watchword-app" in dict(ended.headers)) is not bool(expected)
    assert b"content-digest" in dict(ended.headers) or not ended.allow
    if not expected:
        assert reasons(end(clinic, pending, digest, NOW)) == [Reason.PROOF_REPLAYED]


def test_an_instance_revoked_while_its_body_arrives() -> None:
    """What ended meanwhile lets nobody in."""
    state = published(*ROUTES)
    clinic = gate(state)
    pending = clinic.decide(proved("/v1/a", method="POST", body=BODY), NOW)
    state.revoked.add(CLAIMS.subject)
    assert reasons(end(clinic, pending, SHA256)) == [Reason.TOKEN_INSTANCE_REVOKED]


@pytest.mark.parametrize("target", ["/v1/a", "/pay/a"])
@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"generation": 2}, {"/v1/a": [], "/pay/a": []}),
        ({"generation": 2, "keys": {}}, {key: [Reason.TOKEN_KEY_UNKNOWN] for key in ENDS}),
        (
            {"generation": 2, "revoked": {CLAIMS.subject}},
            {key: [Reason.TOKEN_INSTANCE_REVOKED] for key in ENDS},
        ),
        ({"generation": 2, "secrets": {}}, {"/v1/a": [Reason.PROOF_EPOCH], "/pay/a": []}),
    ],
)
def test_what_the_service_withdraws_while_a_body_arrives(
    target: str, changes: dict[str, Any], expected: dict[str, list[Reason]]
) -> None:
    """A key or a secret that was withdrawn in a hurry opens nothing, also not for what waits."""
    state = published(*ROUTES)
    clinic = gate(state)
    kind = "session" if target == "/v1/a" else "device"
    pending = clinic.decide(proved(target, kind, method="POST", body=BODY), NOW)
    assert pending.pending is not None
    for name, value in changes.items():
        setattr(state, name, value)
    assert reasons(end(clinic, pending, SHA256)) == expected[target]


@pytest.mark.parametrize(
    ("before", "after"),
    [(ReplayMode.LOCAL, ReplayMode.SHARED), (ReplayMode.SHARED, ReplayMode.LOCAL)],
)
def test_another_replay_mode_while_a_body_arrives(before: ReplayMode, after: ReplayMode) -> None:
    """What waits is claimed where its head said: of two copies one passes."""
    state = published(*ROUTES, replay=before)
    clinic = gate(state, shared=SharedStore())
    copies = [proved("/v1/a", method="POST", body=BODY, nonce="one-and-the-same-nonce")] * 2
    pending = [clinic.decide(each, NOW) for each in copies]
    state.policy, state.generation = replace(state.policy, replay=after), 2
    assert sorted(len(end(clinic, each, SHA256).refusals) for each in pending) == [0, 1]


def test_a_policy_that_changes_while_a_body_arrives() -> None:
    """The request ends under the mode of its head; a route that is gone lets nothing new in."""
    state = published(*ROUTES)
    clinic = gate(state)
    wrong = clinic.decide(proved("/v1/a", method="POST", body=BODY), NOW)
    right = clinic.decide(proved("/v1/a", method="POST", body=BODY), NOW)
    gone = route("/other/**", mode=Mode.OFF)
    state.policy, state.generation = replace(state.policy, routes=(gone,)), 2
    assert not end(clinic, wrong, hashlib.sha256(b"other").digest()).allow
    assert end(clinic, right, SHA256).allow
    again = clinic.decide(proved("/v1/a"), NOW)
    assert reasons(again) == [Reason.GATE_ROUTE_UNKNOWN]


def test_what_monitor_lets_pass_unvouched_keeps_its_body() -> None:
    """A copied proof in monitor: nobody is vouched for, so nothing has to be kept away."""
    clinic = gate(published(*ROUTES, replay=ReplayMode.SHARED), shared=SharedStore())
    copy_ = proved("/watched/a")
    first, second = (end(clinic, clinic.decide(copy_, NOW)) for _ in range(2))
    assert (first.bodiless, reasons(first)) == (True, [])
    assert (second.allow, second.bodiless, reasons(second)) == (
        True,
        False,
        [Reason.PROOF_REPLAYED],
    )


@pytest.mark.parametrize("proof", [Proof.BEARER, Proof.SESSION])
def test_who_is_told_to_the_api_for_a_level_that_is_too_low(proof: Proof) -> None:
    """Where the token is enough; a proof isn't settled by then, and a copy of it could be anybody's."""
    clinic = gate(published(route("/a", proof=proof, mode=Mode.MONITOR)))
    phone = Prover(token(level=Level.SOFTWARE))
    for _ in range(2):
        decision = clinic.decide(facts(phone.session(target="/a"), "/a"), NOW)
        assert (decision.allow, reasons(decision)) == (True, [Reason.GATE_LEVEL])
        told = set(dict(decision.headers)) & set(RESULTS)
        assert told == (set(RESULTS) if proof is Proof.BEARER else set())


def test_a_body_beside_a_proof_that_covers_none() -> None:
    """Engines that read bodies before they ask hand its digest on: it wasn't announced."""
    clinic = gate(published(*ROUTES, replay=ReplayMode.SHARED), shared=SharedStore())
    pending = clinic.decide(proved("/v1/a"), NOW)
    assert reasons(end(clinic, pending, SHA256)) == [Reason.PROOF_BODY]
    assert end(clinic, pending).allow


def test_affine_without_entropy() -> None:
    """A gate that can't draw nonces of its own closes the routes that need them."""
    clinic = gate(published(*ROUTES, replay=ReplayMode.AFFINE), entropy=None)
    assert reasons(clinic.decide(proved("/v1/a"), NOW)) == [Reason.GATE_REPLAY_UNAVAILABLE]
    assert clinic.decide(proved("/open/a"), NOW).allow


def test_of_many_threads_one_wins() -> None:
    """Sixteen threads with one gate and the same forty proofs: each passes once."""
    clinic = gate()
    requests = [proved("/v1/a") for _ in range(40)] * 16
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(16) as pool:
            ended = list(pool.map(lambda each: clinic.decide(each, NOW), requests))
    finally:
        sys.setswitchinterval(interval)
    assert sum(each.allow for each in ended) == 40
    assert {r for each in ended for r in reasons(each)} == {Reason.PROOF_REPLAYED}


def test_a_proof_of_another_token_of_the_same_session() -> None:
    """The kept beginning of the MAC is one token's: no other token has a proof by it."""
    clinic = gate()
    assert clinic.decide(proved("/v1/a"), NOW).allow
    other = token(token_id="token-2")
    fields = [
        (name, other.encode() if name == b"watchword-token" else value)
        for name, value in PHONE.session(target="/v1/a")
    ]
    assert reasons(clinic.decide(facts(fields, "/v1/a"), NOW)) == [Reason.PROOF_SIGNATURE]
    assert clinic.decide(proved("/v1/a", phone=Prover(other)), NOW).allow


def test_tags_that_leave_the_process_have_one_length() -> None:
    """Gates that share a store must name a proof alike: SHA-256 of session and nonce, cut to 16 bytes."""
    store = SharedStore()
    clinic = gate(published(*ROUTES, replay=ReplayMode.SHARED), shared=store)
    assert end(clinic, clinic.decide(proved("/v1/a", nonce="n" * 16), NOW)).allow
    named = CLAIMS.session_id.encode() + b"\0" + b"n" * 16
    assert store.seen == {hashlib.sha256(named).digest()[:16]}


def test_of_sixteen_copies_one_wins() -> None:
    """Also where the store has to be waited for."""
    state = published(*ROUTES, replay=ReplayMode.SHARED)
    clinic = gate(state, shared=SharedStore())

    async def race() -> list[Decision]:
        request = proved("/v1/a")
        decisions = [clinic.decide(request, NOW) for _ in range(16)]
        assert all(decision.bodiless and not decision.allow for decision in decisions)
        return await asyncio.gather(*(clinic.conclude(each, None, NOW) for each in decisions))

    ended = asyncio.run(race())
    assert sum(decision.allow for decision in ended) == 1
    assert {reason for each in ended for reason in reasons(each)} == {Reason.PROOF_REPLAYED}


@pytest.mark.parametrize("fault", [Reason.GATE_REPLAY_FULL, Reason.GATE_REPLAY_UNAVAILABLE])
def test_a_store_that_can_not_answer(fault: Reason) -> None:
    """Nobody passes, except where nobody is refused."""
    state = published(*ROUTES, replay=ReplayMode.SHARED)
    clinic = gate(state, shared=SharedStore(fault=fault))
    for target, allowed in (("/v1/a", False), ("/watched/a", True)):
        ended = end(clinic, clinic.decide(proved(target), NOW))
        assert (reasons(ended), ended.allow) == ([fault], allowed)


@pytest.mark.parametrize("mode", ReplayMode)
def test_a_gate_without_the_store_that_its_policy_wants(mode: ReplayMode) -> None:
    """It never makes do with a weaker one."""
    state = published(*ROUTES, replay=mode)
    lacking = "shared" if mode is ReplayMode.SHARED else "memory"
    clinic = gate(state, **{lacking: None})
    request = proved("/v1/a", nonce=None)
    if mode is ReplayMode.AFFINE:
        nonce = clinic.decide(request, NOW).nonce
        assert nonce is not None
        request = proved("/v1/a", nonce=nonce.decode() + "0123456789abcdef")
    ended = end(clinic, clinic.decide(request, NOW))
    assert reasons(ended) == [Reason.GATE_REPLAY_UNAVAILABLE]


def test_affine_proofs_carry_a_nonce_of_this_gate() -> None:
    """The refusal hands one out; another gate's isn't taken; an ageing one is replaced in time."""
    state = published(*ROUTES, replay=ReplayMode.AFFINE)
    clinic, other = gate(state), gate(state)
    refused = clinic.decide(proved("/v1/a"), NOW)
    assert reasons(refused) == [Reason.PROOF_NONCE]
    assert refused.nonce is not None
    assert len(refused.nonce) == NONCE_CHARACTERS

    def with_nonce() -> str:
        assert refused.nonce is not None
        return refused.nonce.decode() + fresh_nonce()

    first = clinic.decide(proved("/v1/a", nonce=with_nonce()), NOW)
    assert (first.allow, first.nonce) == (True, None)
    assert reasons(other.decide(proved("/v1/a", nonce=with_nonce()), NOW)) == [Reason.PROOF_NONCE]
    later = NOW + 200
    ageing = clinic.decide(proved("/v1/a", nonce=with_nonce(), created=later), later)
    assert ageing.allow
    assert ageing.nonce not in (None, refused.nonce)


@pytest.mark.parametrize(
    ("secrets", "passes"),
    [
        ({0: replace(SECRET, verify_until=NOW + 0.5)}, True),
        ({0: replace(SECRET, verify_until=float(NOW))}, False),
        ({}, False),
        ({0: GateSecret(1, SECRET.secret)}, False),
    ],
)
def test_epochs(secrets: dict[int, GateSecret], *, passes: bool) -> None:
    """A session proof needs an epoch that the gate holds and that isn't retired; a device's doesn't."""
    state = published(*ROUTES)
    state.secrets = secrets
    clinic = gate(state)
    expected = [] if passes else [Reason.PROOF_EPOCH]
    assert reasons(clinic.decide(proved("/v1/a"), NOW)) == expected
    assert clinic.decide(proved("/pay/a", "device"), NOW).allow


def test_an_epoch_that_is_withdrawn_takes_its_remembered_keys_along() -> None:
    """A new generation makes the keys anew; an epoch that ends within one ends at its time."""
    state = published(*ROUTES)
    state.secrets = {0: replace(SECRET, verify_until=NOW + 10.0)}
    clinic = gate(state)
    assert clinic.decide(proved("/v1/a"), NOW).allow
    late = clinic.decide(proved("/v1/a"), NOW + 10)
    assert reasons(late) == [Reason.PROOF_EPOCH]
    state.secrets, state.generation = {0: GateSecret(0, b"n" * 32)}, 2
    assert reasons(clinic.decide(proved("/v1/a"), NOW)) == [Reason.PROOF_SIGNATURE]
    renewed = Prover(key=session_key(secret=b"n" * 32))
    assert clinic.decide(proved("/v1/a", phone=renewed), NOW).allow


def test_the_rate_of_an_instance() -> None:
    """A thief without the key spends none of it; others have their own; it comes back."""
    clinic = gate(published(*ROUTES, rate=Rate(2, 60)))
    thief = Prover(key=bytes(32))
    for _ in range(5):
        assert not clinic.decide(proved("/v1/a", phone=thief), NOW).allow
    assert clinic.decide(proved("/v1/a"), NOW).allow
    pending = clinic.decide(proved("/v1/a", method="POST", body=BODY), NOW)
    assert end(clinic, pending, SHA256).allow
    refused = clinic.decide(proved("/v1/a"), NOW)
    assert reasons(refused) == [Reason.GATE_RATE]
    assert refused.retry_after == 30
    pending = clinic.decide(proved("/v1/a", method="POST", body=BODY), NOW)
    late = end(clinic, pending, SHA256)
    assert (reasons(late), late.retry_after, late.headers) == ([Reason.GATE_RATE], 30, [])
    other = token(subject="another-instance")
    bearer = [(b"host", HOST), (b"watchword-token", other.encode())]
    assert clinic.decide(facts(bearer, "/open/a"), NOW).allow
    assert clinic.decide(proved("/v1/a"), NOW + 31).allow


def test_the_rate_goes_on_over_generations() -> None:
    """A new key in the bundle gives nobody his requests back."""
    state = published(*ROUTES, rate=Rate(1, 60))
    clinic = gate(state)
    bearer = facts([(b"host", HOST), (b"watchword-token", PHONE.token.encode())], "/open/a")
    assert clinic.decide(bearer, NOW).allow
    state.generation = 2
    assert reasons(clinic.decide(bearer, NOW)) == [Reason.GATE_RATE]
    state.policy, state.generation = policy(*ROUTES, rate=Rate(5, 60)), 3
    assert clinic.decide(bearer, NOW).allow


@pytest.mark.parametrize(
    ("headers", "bound", "expected"),
    [
        ([(b"authorization", b"Bearer abc")], b"Bearer abc", []),
        ([(b"authorization", b"Bearer abd")], b"Bearer abc", [Reason.TOKEN_BINDING]),
        ([(b"authorization", b"Bearer abc")], None, [Reason.TOKEN_BINDING]),
        ([], b"Bearer abc", [Reason.TOKEN_BINDING]),
    ],
)
def test_tokens_bound_to_a_header(
    headers: list[tuple[bytes, bytes]], bound: bytes | None, expected: list[Reason]
) -> None:
    """A token works only beside the value that it was issued for."""
    clinic = gate(published(*ROUTES, binding_header=b"authorization"))
    text = token(binding=None if bound is None else binding_of(bound))
    fields = [(b"host", HOST), (b"watchword-token", text.encode()), *headers]
    assert reasons(clinic.decide(facts(fields, "/open/a"), NOW)) == expected


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ([(b"x-key", b"k"), (b"x-key", b"other")], Reason.TOKEN_BINDING),
        ([(b"x-key", b"k"), (b"x_key", b"other")], Reason.TOKEN_BINDING),
        ([(b"x_key", b"k")], Reason.TOKEN_BINDING),
        ([(b"x-key", b"k"), (b"connection", b"x-key")], Reason.REQUEST_FRAMING),
    ],
)
def test_a_bound_header_with_two_readings(
    headers: list[tuple[bytes, bytes]], reason: Reason
) -> None:
    """Of two values one would be checked and the other used; one that Connection names may be taken away behind."""
    clinic = gate(published(*ROUTES, binding_header=b"x-key"))
    text = token(binding=binding_of(b"k"))
    fields = [(b"host", HOST), (b"watchword-token", text.encode()), *headers]
    assert reasons(clinic.decide(facts(fields, "/open/a"), NOW)) == [reason]


@pytest.mark.parametrize(
    ("version", "passes"),
    [("1.10", True), ("1.9.9", False), ("2", True), (None, False), ("1.10-beta", False)],
)
def test_minimum_versions(version: str | None, *, passes: bool) -> None:
    """Versions are compared as numbers; one that isn't told, or can't be read, is too low."""
    routes = (route("/new/**", minimum_versions={"clinic-ios": "1.10", "other": "99"}), *ROUTES)
    clinic = gate(published(*routes))
    text = token(app_version=version)
    fields = [(b"host", HOST), (b"watchword-token", text.encode())]
    expected = [] if passes else [Reason.GATE_APP_VERSION]
    assert reasons(clinic.decide(facts(fields, "/new/a"), NOW)) == expected


def test_a_canary_refuses_its_share_alone() -> None:
    """Others pass and are reported, and so does whoever shows no token."""
    canary = Rollout(share=50)
    clinic = gate(published(route("/a", mode=Mode.CANARY, canary=canary)))
    refused = 0
    for number in range(200):
        text = token(subject=f"instance-{number}", level=Level.SOFTWARE)
        fields = [(b"host", HOST), (b"watchword-token", text.encode())]
        decision = clinic.decide(facts(fields, "/a"), NOW)
        assert reasons(decision) == [Reason.GATE_LEVEL]
        refused += not decision.allow
    assert 70 < refused < 130
    assert clinic.decide(facts([(b"host", HOST)], "/a"), NOW).allow


def test_a_canary_that_exceeds_its_budget_is_told_of_and_narrowed() -> None:
    """Fifty instances that are turned away halve the share; without their proofs they count for nothing."""
    told: list[tuple[str, float]] = []
    canary = Rollout(share=100)
    state = published(route("/a", mode=Mode.CANARY, canary=canary, proof=Proof.SESSION))
    clinic = gate(state, on_narrowed=lambda name, found: told.append((name, found.share)))
    clinic.decide(proved("/a"), NOW)
    later = NOW + WARM_UP_SECONDS
    times: dict[str, Any] = {"issued_at": later, "expires_at": later + 300}
    for number in range(60):
        text = token(subject=f"instance-{number}", level=Level.SOFTWARE, **times)
        thief = Prover(text, key=bytes(32))
        clinic.decide(proved("/a", phone=thief, created=later), later)
    assert told == []
    for number in range(60):
        text = token(subject=f"instance-{number}", level=Level.SOFTWARE, **times)
        clinic.decide(proved("/a", phone=Prover(text), created=later), later)
    assert told == [("/a", 50.0)]
    assert clinic.rollout_states["/a"].share == 50.0
    restarted = gate(state, narrowed=clinic.rollout_states)
    assert restarted.rollout_statuses(later)["/a"].share == 50.0
    state.policy, state.generation = policy(*state.policy.routes, *ROUTES), 2
    clinic.decide(facts([(b"host", HOST)], "/open/a"), later)
    assert clinic.rollout_statuses(later)["/a"].share == 50.0


def test_the_policy_follows_its_generation() -> None:
    """What the service publishes decides, at once and as a whole."""
    state = published(*ROUTES)
    clinic = gate(state)
    bearer = facts([(b"host", HOST), (b"watchword-token", PHONE.token.encode())], "/v1/a")
    assert not clinic.decide(bearer, NOW).allow
    state.policy = policy(route("/v1/**"))
    state.generation = 2
    assert clinic.decide(bearer, NOW).allow
    other = replace(EXPECTATION, audience="https://other.example")
    state.policy, state.generation = replace(state.policy, expectation=other), 3
    assert reasons(clinic.decide(bearer, NOW)) == [Reason.TOKEN_AUDIENCE]
