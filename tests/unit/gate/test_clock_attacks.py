"""Attack the clocks and the gate's nonces with full knowledge: nothing passes twice, nothing passes outside of its time.

The attacker has every proof that a phone ever sent, sends them again whenever he likes and to whichever gate, and sets the
gate's clock, in steps of seconds to hours, both ways.  Whoever is refused after a jump is told by other tests.
"""

import asyncio
import itertools
import random  # noqa: TID251 - an attack that can be walked again, by its seed.
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from tests.unit.gate.proofs import Prover, facts, fresh_nonce, session_key
from tests.unit.gate.simulators import CLAIMS, NOW, SIGNER, published, route, token

from watchword.adapters.replay import HostReplayStore, MemoryReplayStore
from watchword.adapters.system import SystemEntropy
from watchword.gate.interface import Decision, RequestFacts
from watchword.gate.replay import LIFE_SECONDS, NONCE_CHARACTERS, TURN_SECONDS
from watchword.gate.service import Gate
from watchword.reasons import Reason
from watchword.tokens.interface import LEEWAY_SECONDS
from watchword.tokens.proofs.interface import PROOF_LIFE_SECONDS
from watchword.tokens.service import issue
from watchword.vocabulary import Proof, ReplayMode

ROUTES = (
    route("/v1/**", proof=Proof.SESSION),
    route("/pay/**", proof=Proof.DEVICE),
    route("/dpop/**", proof=Proof.DEVICE, dpop=True),
    route("/open/**"),
)
TARGETS = {"session": "/v1/a", "device": "/pay/a", "dpop": "/dpop/a"}
KINDS = pytest.mark.parametrize("kind", TARGETS)
PHONE = Prover()
FOR_A_DAY = replace(CLAIMS, issued_at=NOW - 1800, expires_at=NOW + 1800)


def request(kind: str, created: int = NOW, nonce: str | None = None, phone: Prover = PHONE) -> Any:
    """Return a request with a proof; ``nonce`` is the gate's in front of the client's own, or the claim of DPoP."""
    target = TARGETS[kind]
    if kind == "dpop":
        given = {} if nonce is None else {"nonce": nonce}
        return facts(
            phone.dpop(url=f"https://clinic.example{target}", iat=created, **given), target
        )
    own = fresh_nonce() if nonce is None else nonce + fresh_nonce()
    return facts(getattr(phone, kind)(target=target, created=created, nonce=own), target)


def gate(mode: ReplayMode = ReplayMode.LOCAL, **stores: Any) -> Gate:
    """Return a gate that starts now."""
    state = published(*ROUTES)
    state.policy = replace(state.policy, replay=mode)
    return Gate(state, entropy=SystemEntropy(), **stores)


def decided(gate_: Gate, request_: RequestFacts, now: float) -> Decision:
    """Return the final decision at an instant."""
    found = gate_.decide(request_, now)
    return found if found.pending is None else asyncio.run(gate_.conclude(found, None, now))


def why(decision: Decision) -> Reason | None:
    """Return the reason of a refusal, None where it passes."""
    return None if decision.allow else decision.refusals[0].reason


@KINDS
@pytest.mark.parametrize(
    ("off", "reason"),
    [
        (LEEWAY_SECONDS, None),
        (LEEWAY_SECONDS + 1, Reason.PROOF_EARLY),
        (3600, Reason.PROOF_EARLY),
        (10**8, Reason.PROOF_EARLY),
        (1 - PROOF_LIFE_SECONDS - LEEWAY_SECONDS, None),
        (-PROOF_LIFE_SECONDS - LEEWAY_SECONDS, Reason.PROOF_EXPIRED),
        (-3600, Reason.PROOF_EXPIRED),
        (-(10**8), Reason.PROOF_EXPIRED),
    ],
)
def test_the_edges_of_a_proofs_time(kind: str, off: int, reason: Reason | None) -> None:
    """What is dated ahead lives no longer for that: until its own end and not a second more."""
    clinic = gate(memory=MemoryReplayStore())
    assert why(decided(clinic, request(kind, NOW + off), NOW)) is reason
    # Also by a fraction of a second, to either side.
    for second in (NOW + LEEWAY_SECONDS + 0.001, NOW - 0.001):
        late = request(kind, int(second + LEEWAY_SECONDS) + 1)
        assert why(decided(clinic, late, second)) is Reason.PROOF_EARLY


@KINDS
@pytest.mark.parametrize("seconds", [1, 29, 30, 31, 60, 89, 90, 91, 119, 120, 121, 152, 153, 200])
def test_a_proof_dated_ahead_doesnt_come_back(kind: str, seconds: int) -> None:
    """However far the window moves on: it is used, then stale, and nothing between."""
    clinic = gate(memory=MemoryReplayStore())
    ahead = request(kind, NOW + LEEWAY_SECONDS)
    assert decided(clinic, ahead, NOW).allow
    assert why(decided(clinic, ahead, NOW + seconds)) in {
        Reason.PROOF_REPLAYED,
        Reason.PROOF_EXPIRED,
    }


@dataclass
class Attacker:
    """Hold what was sent so far, and send it again."""

    chance: random.Random
    kept: list[Any] = field(default_factory=list)
    passed: dict[int, int] = field(default_factory=dict)
    tried: int = 0

    def send(self, gates: list[Gate], at: int, now: float) -> None:
        """Send one of the kept requests to some gate."""
        self.tried += 1
        if decided(self.chance.choice(gates), self.kept[at], now).allow:
            self.passed[at] = self.passed.get(at, 0) + 1


def stores(tmp_path: Path) -> Iterator[tuple[str, ReplayMode, list[dict[str, Any]]]]:
    """Yield the gates of each mode: one with a memory, two by their own nonces, two with one file."""
    yield "local", ReplayMode.LOCAL, [{"memory": MemoryReplayStore()}]
    yield "affine", ReplayMode.AFFINE, [{"memory": MemoryReplayStore()} for _ in range(2)]
    clock = lambda: NOW - 600.0  # noqa: E731 - the file is made long before.
    opened = [HostReplayStore(tmp_path / "used", timestamp=clock) for _ in range(2)]
    yield "host", ReplayMode.SHARED, [{"shared": each} for each in opened]


@pytest.mark.parametrize("seed", range(6))
def test_no_walk_of_the_clock_lets_a_proof_pass_twice(tmp_path: Path, seed: int) -> None:
    """Steps of seconds to hours, phones that go along or don't, and every proof again at any time."""
    for name, mode, each in stores(tmp_path):
        chance = random.Random(seed)
        gates = [gate(mode, **found) for found in each]
        attacker, now = Attacker(chance), float(NOW)
        for _ in range(250):
            if chance.random() < 0.3:
                now += chance.choice([1, 7, 29, 61, 91, 125, 700]) * chance.choice([-1, 1, 1])
                now = min(max(now, NOW - 1500), NOW + 1500)
            if chance.random() < 0.4 or not attacker.kept:
                kind = chance.choice(list(TARGETS))
                created = int(now) + chance.choice([0, 0, -5, LEEWAY_SECONDS, -80, -89])
                nonce = None
                if mode is ReplayMode.AFFINE:
                    asked = decided(chance.choice(gates), request(kind, int(now), phone=DAY), now)
                    nonce = None if asked.nonce is None else asked.nonce.decode()
                attacker.kept.append(request(kind, created, nonce, DAY))
                attacker.send(gates, len(attacker.kept) - 1, now)
            else:
                attacker.send(gates, chance.randrange(len(attacker.kept)), now)
        assert attacker.tried == 250
        assert max(attacker.passed.values()) == 1, name
        # Else it would show nothing.
        assert len(attacker.passed) > 20, name


DAY = Prover(token=issue(FOR_A_DAY, SIGNER))
"""A phone whose token lives through all of it."""


@pytest.mark.parametrize("step", [-7200, -3600, -400, -31, 0, 31, 400, 3600, 7200])
def test_a_remembered_token_is_held_to_its_time_after_every_step(step: int) -> None:
    """It was verified and is remembered; the clock says what it is worth, whichever way it went."""
    clinic = gate(memory=MemoryReplayStore())
    bearer = facts(
        [(b"host", b"clinic.example"), (b"watchword-token", token().encode())], "/open/a"
    )
    assert decided(clinic, bearer, NOW).allow
    now = NOW + step
    fresh = gate(memory=MemoryReplayStore())
    assert why(decided(clinic, bearer, now)) is why(decided(fresh, bearer, now))
    live = CLAIMS.issued_at - LEEWAY_SECONDS <= now < CLAIMS.expires_at + LEEWAY_SECONDS
    assert decided(clinic, bearer, now).allow is live


def nonce_of(gate_: Gate, kind: str = "session", now: float = NOW) -> str:
    """Return the nonce that a gate hands out."""
    refused = decided(gate_, request(kind, int(now)), now)
    assert why(refused) is Reason.PROOF_NONCE
    assert refused.nonce is not None
    return refused.nonce.decode()


def affine() -> Gate:
    """Return a gate that takes its own nonces alone."""
    return gate(ReplayMode.AFFINE, memory=MemoryReplayStore())


@KINDS
def test_a_proof_passes_at_its_own_gate_alone(kind: str) -> None:
    """Two gates of one service, with the same bundle: each has its own key, also the one that starts anew."""
    one, other = affine(), affine()
    sent = request(kind, nonce=nonce_of(one, kind))
    for elsewhere in (other, affine()):
        refused = decided(elsewhere, sent, NOW)
        assert why(refused) is Reason.PROOF_NONCE
        assert refused.nonce is not None
        assert refused.nonce.decode() == nonce_of(elsewhere, kind)
    assert [decided(one, sent, NOW).allow for _ in range(3)] == [True, False, False]
    assert why(decided(other, sent, NOW)) is Reason.PROOF_NONCE


def altered(nonce: str, newer: str) -> Iterator[tuple[str, str]]:
    """Yield what an attacker makes of a nonce: by a name, and the text."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    for at in range(NONCE_CHARACTERS):
        for bit in range(6):
            changed = alphabet[alphabet.index(nonce[at]) ^ 1 << bit]
            yield f"bit {bit} of sign {at}", nonce[:at] + changed + nonce[at + 1 :]
    yield "head of a newer one", newer[:8] + nonce[8:]
    yield "MAC of a newer one", nonce[:8] + newer[8:]
    yield "other case", nonce.swapcase()
    yield "backwards", nonce[::-1]
    yield "shifted", nonce[1:] + nonce[0]
    yield "zeros", "A" * NONCE_CHARACTERS


@pytest.mark.parametrize("kind", ["session", "dpop"])
def test_no_nonce_can_be_made(kind: str) -> None:
    """Each bit counts, no head fits another MAC, and none of a gate's nonces says anything of the next."""
    clinic = affine()
    nonce = nonce_of(clinic, kind)
    newer = nonce_of(clinic, kind, NOW + TURN_SECONDS)
    assert nonce != newer
    for name, text in altered(nonce, newer):
        assert why(decided(clinic, request(kind, nonce=text), NOW)) is Reason.PROOF_NONCE, name
    for seed in range(300):
        guess = nonce[:8] + "".join(random.Random(seed).choices("abcdefghijklmnop", k=22))
        assert why(decided(clinic, request(kind, nonce=guess), NOW)) is Reason.PROOF_NONCE
    # The same nonce serves everybody, and every time; what passes once is the proof.
    assert decided(clinic, request(kind, nonce=nonce), NOW).allow
    assert decided(clinic, request(kind, nonce=nonce), NOW).allow


@KINDS
def test_a_nonce_has_its_time_by_the_gates_clock(kind: str) -> None:
    """Five minutes from its turn on; one of a clock that ran ahead is no good behind it."""
    clinic = affine()
    nonce, turn = nonce_of(clinic, kind), NOW // TURN_SECONDS * TURN_SECONDS
    for now, reason in (
        (turn + LIFE_SECONDS - 1, None),
        (turn + LIFE_SECONDS, Reason.PROOF_NONCE),
        (turn - 1, Reason.PROOF_NONCE),
        (turn, None),
    ):
        sent = request(kind, now, nonce, DAY)
        assert why(decided(clinic, sent, now)) is reason
    ahead = nonce_of(clinic, kind, NOW + 250)
    assert why(decided(clinic, request(kind, NOW, ahead), NOW)) is Reason.PROOF_NONCE


@KINDS
def test_nobody_uses_up_anothers_nonce(kind: str) -> None:
    """Neither with a token of his own, nor with the victim's token and no key, nor with half of a proof."""
    clinic, own = affine(), "the-victims-own-part"
    nonce = nonce_of(clinic, kind)

    def sent(phone: Prover) -> Any:
        if kind == "dpop":
            url = f"https://clinic.example{TARGETS[kind]}"
            return facts(phone.dpop(url=url, nonce=nonce, jti=own), TARGETS[kind])
        fields = getattr(phone, kind)(target=TARGETS[kind], nonce=nonce + own)
        return facts(fields, TARGETS[kind])

    neighbour = Prover(
        token=token(session_id="another"), session_id="another", key=session_key("another")
    )
    thief = Prover(key=bytes(32), private=SIGNER.private)
    victims = sent(PHONE)
    stale = victims._replace(raw_path=b"/v1/b" if kind == "session" else b"/pay/b")
    assert decided(clinic, sent(neighbour), NOW).allow
    assert not decided(clinic, sent(thief), NOW).allow
    assert not decided(clinic, stale, NOW).allow
    assert decided(clinic, victims, NOW).allow
    assert not decided(clinic, sent(PHONE), NOW).allow


@KINDS
def test_a_client_between_two_gates_is_never_served_twice(kind: str) -> None:
    """A balancer that changes its mind at each request: refused each time, with what would have been right."""
    gates = [affine(), affine()]
    nonce, served = None, 0
    for turn in range(40):
        found = decided(gates[turn % 2], request(kind, nonce=nonce), NOW)
        served += found.allow
        assert found.nonce is not None
        nonce = found.nonce.decode()
    assert served == 0
    assert decided(gates[1], request(kind, nonce=nonce), NOW).allow


def test_flooding_by_time_fills_no_more_than_its_room(tmp_path: Path) -> None:
    """Proofs over the whole window, each a second apart: what is full refuses, and forgets nothing that can come again."""
    memory = MemoryReplayStore(capacity=50)
    clinic = gate(memory=memory)
    sent = [
        request("session", NOW + off)
        for off in itertools.islice(itertools.cycle(range(-89, 31)), 120)
    ]
    first = [why(decided(clinic, each, NOW)) for each in sent]
    assert first.count(None) == 50
    assert set(first) == {None, Reason.GATE_REPLAY_FULL}
    for now in range(NOW, NOW + 130, 10):
        again = [
            why(decided(clinic, each, now))
            for each, was in zip(sent, first, strict=True)
            if was is None
        ]
        assert None not in again
    assert len(memory) <= 50
