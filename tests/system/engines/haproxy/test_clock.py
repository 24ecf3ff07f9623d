"""Set the clock back before the real HAProxy: its table forgets by a clock of its own, and must open nothing by that.

A clock that was set is shown to it as the skew that it would have found before; what it forgot meanwhile is taken out of
its table by hand.
"""

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from tests.system.engines.envoy.proofs import proved, prover
from tests.system.engines.haproxy.rig import Rig, haproxy_before_api, take_proofs
from tests.unit.engines.envoy.rig import request, until

from watchword.adapters.system import SystemClock
from watchword.apps.engines.haproxy import RunningHaproxy
from watchword.engines.haproxy import text as names
from watchword.engines.haproxy.generation import generate
from watchword.tokens.interface import LEEWAY_SECONDS

BODY = b"ten euros!"


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    """Run one that takes proofs at once, and took none so far."""
    with haproxy_before_api(tmp_path) as running:
        take_proofs(running)
        put(running, "newest", 1)
        yield running


def put(rig: Rig, name: str, value: int) -> None:
    """Set one of the process' variables."""
    rig.master.ask(f"experimental-mode on; @1 set var proc.{name} int({value})")
    assert f"<{value}>" in rig.runtime(f"get var proc.{name}")


def was_set(rig: Rig, seconds: int) -> None:
    """Be as if the clock had been further by so many seconds until now."""
    found = re.search(r"<(\d+)>", rig.runtime("get var proc.skew"))
    assert found is not None
    put(rig, "skew", int(found[1]) + seconds)


def forget_all(rig: Rig) -> None:
    """Take every used proof out of the table; one whose request hasn't ended yet can't be."""

    def is_empty() -> bool:
        rig.runtime(f"clear table {names.USED}")
        return "used:0" in rig.runtime(f"show table {names.USED}")

    until(is_empty)


def was_set_back(rig: Rig) -> None:
    """Be as after a time in which the table forgot everything, behind which the clock was set back."""
    forget_all(rig)
    was_set(rig, 3600)


def payment(kind: str, created: int, instance: Any) -> bytes:
    """Return a request with a proof, in the form of most (``plain``), or over a body."""
    how: dict[str, Any] = {"target": "/pay/now", "created": created}
    if kind == "body":
        fields = proved("session", instance, **how, method="POST", body=BODY)
        return request(b"/pay/now", *fields, method=b"POST", body=BODY)
    return request(b"/pay/now", *proved("session", instance, **how))


@pytest.mark.parametrize("kind", ["plain", "body"])
def test_a_clock_that_was_set_back_opens_nothing(rig: Rig, kind: str) -> None:
    """A proof that the table forgot is refused, and so is each that was made no later; newer ones pass, once."""
    instance, now = prover(), int(SystemClock().timestamp())
    used = payment(kind, now - 10, instance)
    # Two of them: the second one meets a token that is known, and the short way.
    assert [rig.raw(each).status for each in (payment(kind, now - 20, instance), used)] == [200] * 2
    was_set_back(rig)
    older, newer = payment(kind, now - 10, instance), payment(kind, now - 9, instance)
    answers = [rig.raw(each) for each in (used, older, newer, newer)]
    assert [answer.status for answer in answers] == [401, 401, 200, 401]
    assert {rig.reason(answers[at]) for at in (0, 1, 3)} == {"proof.replayed"}


@pytest.mark.parametrize("kind", ["plain", "body"])
def test_the_table_alone_would_let_it_pass(rig: Rig, kind: str) -> None:
    """Without the skew the forgotten proof passes again: it is the table that was emptied, and nothing else."""
    used = payment(kind, int(SystemClock().timestamp()), prover())
    assert rig.raw(used).status == 200
    forget_all(rig)
    assert rig.raw(used).status == 200


def test_a_clock_that_was_set_ahead_refuses_nobody(rig: Rig) -> None:
    """Nothing was forgotten too early; when it is set back to what it was, it is as above."""
    instance, now = prover(), int(SystemClock().timestamp())
    used = payment("plain", now, instance)
    assert rig.raw(used).status == 200
    was_set(rig, -3600)
    assert rig.raw(payment("plain", now - 5, instance)).status == 200
    assert rig.reason(rig.raw(used)) == "proof.replayed"
    was_set_back(rig)
    assert rig.reason(rig.raw(used)) == "proof.replayed"


def test_nobody_without_the_key_moves_what_counts_as_new(rig: Rig) -> None:
    """Or he dates a proof of his own far ahead, and waits for the clock to be set."""
    instance, now = prover(), int(SystemClock().timestamp())
    assert rig.raw(payment("plain", now - 10, instance)).status == 200
    for created in (now + 25, now + 3600):
        forged = payment("plain", created, instance).replace(
            b"signature: watchword=:", b"signature: watchword=:AAAA"
        )
        assert rig.raw(forged).status == 401
        other = prover()
        other.key = bytes(32)
        assert rig.raw(payment("plain", created, other)).status == 401
    was_set_back(rig)
    assert rig.raw(payment("plain", now - 9, instance)).status == 200


@dataclass
class Clocks:
    """Tell two times that a test moves."""

    wall: float = field(default_factory=lambda: SystemClock().timestamp())
    steady: float = 1000.0


@contextlib.contextmanager
def started_again(rig: Rig, clocks: Clocks) -> Iterator[RunningHaproxy]:
    """End HAProxy, and start it in the same directory by other clocks."""
    rig.running.stop()
    until(lambda: not rig.master.is_there())
    running = RunningHaproxy(
        rig.options, None, True, rig.told.append, lambda: clocks.steady, lambda: clocks.wall
    )
    running.take(generate(rig.bundle, rig.options, clocks.wall))
    rig.running = running
    try:
        running.keep_running()
        until(rig.master.is_there)
        until(rig.listens)
        yield running
    finally:
        running.stop()


def test_a_start_by_a_clock_that_was_set_back_takes_no_proof_yet(tmp_path: Path) -> None:
    """What was used before can't be told by its time then; after its life it is stale by any clock."""
    with haproxy_before_api(tmp_path) as rig:
        now = int(SystemClock().timestamp())
        used = payment("plain", now, prover())
        assert rig.raw(used).status == 200
        rig.running.keep_running()
        clocks = Clocks(wall=now - 600.0)
        with started_again(rig, clocks) as running:
            # HAProxy's own clock is right again: by its time the proof would be new.
            ahead = payment("plain", now + LEEWAY_SECONDS - 1, prover())
            for sent in (used, ahead, ahead):
                assert rig.raw(sent).status in {401, 503}
            assert rig.reason(rig.raw(ahead)) == "gate.replay_unavailable"
            assert any("set back" in told for told in rig.told)
            rig.push(revoked=frozenset({"another"}))
            assert rig.reason(rig.raw(ahead)) == "gate.replay_unavailable"
            clocks.steady += 121
            running.keep_running()
            assert names.UNSURE in rig.runtime(f"show map {rig.options.path(names.STATE)}")
            clocks.steady += 2
            running.keep_running()
            assert names.COLD in rig.runtime(f"show map {rig.options.path(names.STATE)}")


def test_a_start_by_a_clock_that_went_on_waits_for_nothing(tmp_path: Path) -> None:
    """Neither does the first one in a directory."""
    with haproxy_before_api(tmp_path) as rig:
        rig.running.keep_running()
        assert rig.told == []
        with started_again(rig, Clocks()):
            assert names.COLD in rig.runtime(f"show map {rig.options.path(names.STATE)}")
            assert rig.told == []
