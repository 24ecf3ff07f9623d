"""Carry out courses against a gate that breaks down, a consent that ends, and samples that an attack can't use."""

import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest
from tests.unit.adapters.drill_wire.machines import Machine, machine, ok
from tests.unit.drill.answers import SAMPLE

from watchword.adapters.drill_wire import HttpWire
from watchword.apps.drill.harness import Harness
from watchword.apps.drill.reports import missing_by_need
from watchword.apps.drill.run import run_drill
from watchword.apps.drill.run_plan import RunPlan
from watchword.client import TestInstanceDevice
from watchword.client.own_token import OwnToken
from watchword.client.session import HeldToken
from watchword.drill.consent import ConsentError, ConsentFault
from watchword.drill.interface import (
    Attack,
    AttackContext,
    Attempt,
    Facts,
    Held,
    Need,
    Phone,
    Run,
    Variant,
)
from watchword.drill.judgements import Report, Verdict
from watchword.drill.wire import Call, Headers, Part
from watchword.observations import State
from watchword.vocabulary import Environment, Platform

AUDIENCE = "https://api.example"
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
REFUSED = ok(b"", status="401 Unauthorized")


@dataclass
class Theatre:
    """Hold a machine in place of a gate, and the leave to send to it."""

    gate: Machine
    over: bool = False
    stop: threading.Event = field(default_factory=threading.Event)

    def signed(self, _: Call) -> Headers:
        """Name the run until it's over."""
        if self.over:
            raise ConsentError(ConsentFault.EXPIRED, "the run", "now", "before", "stop")
        return ()

    def drill(self, run: Run, *more: Run) -> Report:
        """Run attacks of one variant each, one after the other."""
        attacks = [attack(f"attack-{number}", each) for number, each in enumerate((run, *more))]
        origins = {Part.GATE: self.gate.origin()}
        with closing(HttpWire(origins, rate=None, signed=self.signed, stop=self.stop)) as wire:
            context = AttackContext(
                facts=Facts("clinic", "i", AUDIENCE, {}, Environment.LAB, 300),
                samples=(SAMPLE,),
                wire=wire,
                now=NOW.timestamp,
                random=bytes,
                wait=lambda _: None,
                shared=held,
            )
            stage = Harness(context, wire, self.stop, held)
            return run_drill(stage, RunPlan(attacks, 2), "x", loopback=True, now=lambda: NOW)


def held() -> Held:
    """Return an instance whose token is taken for good by whoever looks at none."""
    own = OwnToken("session", {}, "thumbprint")
    token = HeldToken("token", 2e9, 2e9, own=own)
    return Held(PHONE, "instance", {AUDIENCE: token}, b"", {})


PHONE = Phone("test-instance", "clinic-ios", Platform.IOS, TestInstanceDevice("a-code"))
"""A phone that never enrols."""


def attack(name: str, run: Run) -> Attack:
    """Return an attack that any refusal stops."""
    variants = (Variant("only", run),)
    return Attack(
        name, name, ("MT-B03",), {"PR-X99": "live:x"}, (), "S.", "M.", "B.", variants, alone=True
    )


@pytest.fixture
def place() -> Iterator[Theatre]:
    """Return a gate that answers 200."""
    with machine() as gate:
        yield Theatre(gate)


def sending(place: Theatre, answer: bytes, after: Callable[[], None]) -> Run:
    """Return an attack that is answered so, and what happens afterwards."""

    def run(context: AttackContext) -> list[Attempt]:
        before, place.gate.answer = place.gate.answer, answer
        found = context.wire.send(SAMPLE.call())
        place.gate.answer = before
        after()
        return [Attempt(SAMPLE, found)]

    return run


def test_an_attack_that_fits_no_sample_isn_t_run(place: Theatre) -> None:
    """It sends nothing, so that there's nothing to judge; the rest of the run goes on."""
    report = place.drill(lambda _: [], sending(place, REFUSED, lambda: None))
    nothing, stopped = report.results
    assert (nothing.verdict, nothing.variants[0].need) == (Verdict.NOT_RUN, Need.SAMPLE)
    # Which kind of sample is missing is said wherever it is told: there are samples of others.
    ((said, _),) = missing_by_need(report.results).items()
    assert said.endswith("(`drill: requests`): none of those given fits this attack")
    assert stopped.verdict is Verdict.STOPPED


def test_a_gate_that_breaks_down_on_the_way_proves_nothing(place: Theatre) -> None:
    """From some moment on it refuses everybody: what it refused by then may be that and no check."""
    (well,) = place.drill(sending(place, REFUSED, lambda: None)).findings
    assert well.state is State.PROVEN

    def breaks() -> None:
        place.gate.answer = REFUSED

    (found,) = place.drill(sending(place, REFUSED, breaks)).findings
    assert found.state is None


def test_a_limit_that_the_drill_met_is_no_breakdown(place: Theatre) -> None:
    """The genuine app asks too often at the end."""

    def limits() -> None:
        place.gate.answer = ok(b"", status="429 Too Many Requests")

    (found,) = place.drill(sending(place, REFUSED, limits)).findings
    assert found.state is State.PROVEN


def test_an_api_that_knows_no_such_record_proves_nothing(place: Theatre) -> None:
    """The genuine app may not have been let through either: the run is unsure, and says what to write."""
    place.gate.answer = ok(b"", status="404 Not Found")
    report = place.drill(sending(place, REFUSED, lambda: None))
    assert [each.verdict for each in report.results] == [Verdict.UNSURE]
    assert {each.state for each in report.findings} == {None}
    assert (report.genuine.sent, report.genuine.served) == (2, 0)
    (control,) = report.controls
    assert not control.served
    assert "name a request that it serves under `drill: requests`" in control.got
    assert "`status: [404]`" in control.got


def test_a_consent_that_ends_ends_the_run(place: Theatre) -> None:
    """What had ended is reported, nothing more is sent, and nothing is proven."""

    def ends() -> None:
        place.over = True

    report = place.drill(sending(place, REFUSED, ends), sending(place, REFUSED, lambda: None))
    sent = len(place.gate.heads)
    assert report.interrupted
    assert [each.attack.id for each in report.results] == ["attack-0"]
    assert {each.state for each in report.findings} == {None}
    # The control, two genuine ones, and one attack.
    assert sent == 4
