"""Hold attacks to samples that a gate stands before, and to what clocks and methods excuse."""

import json
import re
from dataclasses import replace

import pytest
from tests.unit.drill.answers import SAMPLE, api, refusal
from tests.unit.drill.test_around_and_volume import MISSING, Simulated, closed, context, verdict
from tests.unit.drill.test_findings import FIRST, SECOND, STOPPED, result

from watchword.client import TestInstanceDevice
from watchword.client.own_token import OwnToken
from watchword.client.session import HeldToken
from watchword.drill.attacks import method_override, proof_old, script_with_key
from watchword.drill.findings import findings_of
from watchword.drill.interface import Attempt, Held, MissingError, Phone, Variant
from watchword.drill.judgements import Controls, Verdict, judged
from watchword.drill.volume import numbered_sample
from watchword.drill.wire import UNKNOWN_CLASS, Answer, Call
from watchword.observations import State
from watchword.public_classes import PROBLEM_TYPE
from watchword.reasons import Reason
from watchword.vocabulary import Mode, Platform, Proof

OPEN = replace(SAMPLE, target="/health/1", route="clinic[1]", mode=Mode.OFF)
LOGIN = replace(SAMPLE, method="POST", target="/v1/login", login=True)


def gate(call: Call) -> Answer:
    """Refuse whatever has no token, but on the route that is open to all."""
    return api(200) if call.path == OPEN.target else MISSING


def test_what_the_file_opens_to_all_isn_t_taken_for_guarded() -> None:
    """A sample under an off route stands first; it'd be served whatever is sent, by a gate that checks everything."""
    within = context(Simulated(gate), OPEN, LOGIN, SAMPLE)
    assert within.guarded == (SAMPLE,)
    assert within.sample(Proof.BEARER) is SAMPLE
    assert numbered_sample(within) is SAMPLE
    for variant in script_with_key.ATTACK.variants:
        assert verdict(script_with_key.ATTACK, variant.name, within) is not Verdict.OPEN


def test_a_missing_sample_is_told_by_what_it_lacks() -> None:
    """There is one, and the API serves it: then it isn't a sample that is missing, but one on another route."""
    within = context(Simulated(gate), replace(SAMPLE, proof=Proof.SESSION))
    with pytest.raises(MissingError, match=r"\): one on a route with proof: bearer or device$"):
        within.sample(Proof.BEARER, Proof.DEVICE)
    with pytest.raises(MissingError, match=r"requests`\)$"):
        context(Simulated(gate), LOGIN).sample(Proof.BEARER)


def test_where_everything_is_open_to_all_it_is_told_as_open() -> None:
    """An API without any gate has no other samples."""
    within = context(Simulated(gate), OPEN, LOGIN)
    assert within.guarded == (OPEN,)
    assert verdict(script_with_key.ATTACK, "key-alone", within) is Verdict.OPEN


@pytest.mark.parametrize("name", ["override-header", "override-query", "head"])
def test_a_method_that_no_route_knows_is_closed(name: str) -> None:
    """Routes may name their methods: then the other one is refused for having none."""

    def named(call: Call) -> Answer:
        return closed(call) if call.method == "GET" else refusal(Reason.GATE_ROUTE_UNKNOWN)

    within = context(Simulated(named))
    assert verdict(method_override.ATTACK, name, within) is Verdict.STOPPED


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_breakdown_is_no_refusal_where_any_would_do(status: int) -> None:
    """Whoever answers 500 had the request; who isn't there at all can't be called."""
    controls = Controls({SAMPLE.name: api(200)})
    anyhow = Variant("any", lambda _: [])
    for answer, ended in ((api(status), Verdict.UNSURE), (Answer(0), Verdict.STOPPED)):
        assert judged(anyhow, [Attempt(SAMPLE, answer)], controls, 1).verdict is ended


def test_who_refuses_everybody_proves_nothing() -> None:
    """The genuine app is served at first, and then isn't any more; what was served to an attack stays bad news."""
    results = [result(FIRST, STOPPED, STOPPED), result(SECOND, STOPPED, STOPPED)]
    served = [results[0], result(SECOND, Verdict.OPEN, STOPPED)]
    for some, unserved, state in (
        (results, (), State.PROVEN),
        (results, ("GET /v1/patients/7: 401 token-refused",), None),
        (served, ("GET /v1/patients/7: 401 token-refused",), State.BROKEN),
    ):
        (found,) = findings_of(some, (FIRST, SECOND), complete=True, spoilt=unserved)
        assert found.state is state


@pytest.mark.parametrize(("name", "window"), [("session-old", -60), ("session-future", 0)])
def test_a_gate_whose_clock_is_off_by_what_is_allowed_refuses_still(name: str, window: int) -> None:
    """It is 30 s off and overlooks 30 s more: what an attack sends must be beyond both, or a good gate would serve it."""
    wire = Simulated(closed)
    within = context(wire, replace(SAMPLE, proof=Proof.SESSION))
    own = OwnToken("session", {}, "thumbprint")
    token = HeldToken("token", 2e9, 2e9, session_key=bytes(32), own=own)
    phone = Phone("test-instance", "ios", Platform.IOS, TestInstanceDevice("a-code"))
    held = Held(phone, "instance", {within.facts.audience: token}, b"", {})
    within = replace(within, shared=lambda: held)
    next(each for each in proof_old.ATTACK.variants if each.name == name).run(within)
    found = re.search("created=([0-9]+)", wire.sent[-1].header("signature-input") or "")
    assert found is not None
    off = int(found[1]) - within.now()
    assert off < window - 60 if window else off > 60


def test_a_class_that_there_is_none_of_comes_into_no_report() -> None:
    """A target repeats what it was sent as the type of its refusal: a report would hold the key and the token."""
    document = json.dumps({"type": f"{PROBLEM_TYPE}the-key-of-the-app"}).encode()
    answer = Answer(401, (("content-type", "application/problem+json"),), document)
    assert answer.public_class == UNKNOWN_CLASS
    expected = Variant("old", lambda _: [], frozenset({Reason.TOKEN_EXPIRED}))
    controls = Controls({SAMPLE.name: api(200)})
    found = judged(expected, [Attempt(SAMPLE, answer)], controls, 1)
    assert found.verdict is Verdict.UNSURE
    assert "key" not in found.got + "".join(found.reasons)
    assert (
        refusal(Reason.TOKEN_EXPIRED, told=False).public_class == Reason.TOKEN_EXPIRED.public.slug
    )
