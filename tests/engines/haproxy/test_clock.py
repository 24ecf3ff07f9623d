"""Set the clock back before the real HAProxy: its table forgets by a clock of its own, and must open nothing by that.

A clock that was set is shown to it as the skew that it would have found before; what it forgot meanwhile is taken out of
its table by hand.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.engines.envoy.proving import proved, prover
from tests.engines.envoy.stand import request
from tests.engines.haproxy.stand import Stand, haproxy_before_api, take_proofs

from watchword.adapters.clock import SystemClock
from watchword.engines.haproxy import names

BODY = b"ten euros!"


@pytest.fixture
def stand(tmp_path: Path) -> Iterator[Stand]:
    """Run one that takes proofs at once, and took none so far."""
    with haproxy_before_api(tmp_path) as running:
        take_proofs(running)
        put(running, "newest", 1)
        yield running


def put(stand: Stand, name: str, value: int) -> None:
    """Set one of the process' variables."""
    stand.master.ask(f"experimental-mode on; @1 set var proc.{name} int({value})")
    assert f"<{value}>" in stand.runtime(f"get var proc.{name}")


def was_set_back(stand: Stand, seconds: int = 3600) -> None:
    """Be as after a time in which the table forgot everything, behind which the clock was set back."""
    stand.runtime(f"clear table {names.USED}")
    put(stand, "skew", seconds)


def payment(kind: str, created: int, instance: Any) -> bytes:
    """Return a request with a proof, in the form of most (``plain``), or over a body."""
    how: dict[str, Any] = {"target": "/pay/now", "created": created}
    if kind == "body":
        fields = proved("session", instance, **how, method="POST", body=BODY)
        return request(b"/pay/now", *fields, method=b"POST", body=BODY)
    return request(b"/pay/now", *proved("session", instance, **how))


@pytest.mark.parametrize("kind", ["plain", "body"])
def test_a_clock_that_was_set_back_opens_nothing(stand: Stand, kind: str) -> None:
    """A proof that the table forgot is refused, and so is each that was made no later; newer ones pass, once."""
    instance, now = prover(), int(SystemClock().timestamp())
    used = payment(kind, now - 10, instance)
    # Two of them: the second one meets a token that is known, and the short way.
    assert [stand.raw(each).status for each in (payment(kind, now - 20, instance), used)] == [
        200
    ] * 2
    was_set_back(stand)
    older, newer = payment(kind, now - 10, instance), payment(kind, now - 9, instance)
    answers = [stand.raw(each) for each in (used, older, newer, newer)]
    assert [answer.status for answer in answers] == [401, 401, 200, 401]
    assert {stand.reason(answers[at]) for at in (0, 1, 3)} == {"proof.replayed"}


@pytest.mark.parametrize("kind", ["plain", "body"])
def test_the_table_alone_would_let_it_pass(stand: Stand, kind: str) -> None:
    """Without the skew the forgotten proof passes again: it is the table that was emptied, and nothing else."""
    used = payment(kind, int(SystemClock().timestamp()), prover())
    assert stand.raw(used).status == 200
    stand.runtime(f"clear table {names.USED}")
    assert stand.raw(used).status == 200


def test_a_clock_that_was_set_ahead_refuses_nobody(stand: Stand) -> None:
    """Nothing was forgotten too early; when it is set back to what it was, it is as above."""
    instance, now = prover(), int(SystemClock().timestamp())
    used = payment("plain", now, instance)
    assert stand.raw(used).status == 200
    put(stand, "skew", -3600)
    assert stand.raw(payment("plain", now - 5, instance)).status == 200
    assert stand.reason(stand.raw(used)) == "proof.replayed"
    was_set_back(stand)
    assert stand.reason(stand.raw(used)) == "proof.replayed"


def test_nobody_without_the_key_moves_what_counts_as_new(stand: Stand) -> None:
    """Or he dates a proof of his own far ahead, and waits for the clock to be set."""
    instance, now = prover(), int(SystemClock().timestamp())
    assert stand.raw(payment("plain", now - 10, instance)).status == 200
    for created in (now + 25, now + 3600):
        forged = payment("plain", created, instance).replace(
            b"signature: watchword=:", b"signature: watchword=:AAAA"
        )
        assert stand.raw(forged).status == 401
        other = prover()
        other.key = bytes(32)
        assert stand.raw(payment("plain", created, other)).status == 401
    was_set_back(stand)
    assert stand.raw(payment("plain", now - 9, instance)).status == 200
