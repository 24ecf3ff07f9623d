"""Show when an attempt counts as stopped: never by accident."""

from dataclasses import replace

import pytest
from tests.unit.drill.answers import SAMPLE, api, refusal

from watchword.drill.interface import Attempt, Variant
from watchword.drill.judgements import Controls, Verdict, judged, worst
from watchword.drill.wire import Answer
from watchword.reasons import Reason

SERVED = Controls({SAMPLE.name: api(200)})
EXPIRED = Variant("old", lambda _: [], frozenset({Reason.TOKEN_EXPIRED}))
ANY = Variant("any", lambda _: [])


def verdict(variant: Variant, *attempts: Attempt, controls: Controls = SERVED) -> Verdict:
    """Return how it ended."""
    return judged(variant, attempts, controls, 1).verdict


def test_refused_for_its_reason_is_stopped() -> None:
    """The one good end."""
    attempt = Attempt(SAMPLE, refusal(Reason.TOKEN_EXPIRED))
    assert verdict(EXPIRED, attempt) is Verdict.STOPPED


def test_refused_for_another_reason_proves_nothing() -> None:
    """A gate that refuses everything for want of a key would pass for one that looks at the clock."""
    attempt = Attempt(SAMPLE, refusal(Reason.TOKEN_SIGNATURE))
    assert verdict(EXPIRED, attempt) is Verdict.UNSURE
    assert verdict(ANY, attempt) is Verdict.STOPPED


def test_a_gate_that_knows_no_such_route_is_stricter() -> None:
    """A table without a last row for all refuses what was changed before it looks at a token."""
    attempt = Attempt(SAMPLE, refusal(Reason.GATE_ROUTE_UNKNOWN))
    assert verdict(EXPIRED, attempt) is Verdict.STOPPED
    assert verdict(EXPIRED, attempt, controls=Controls({})) is Verdict.UNSURE
    attempt = Attempt(SAMPLE, refusal(Reason.GATE_ROUTE_UNKNOWN, told=False))
    assert verdict(EXPIRED, attempt) is Verdict.STOPPED


def test_without_a_reason_the_public_class_must_fit() -> None:
    """In production a gate tells the class alone."""
    fitting = Attempt(SAMPLE, refusal(Reason.TOKEN_SIGNATURE, told=False))
    assert verdict(EXPIRED, fitting) is Verdict.STOPPED
    other = Attempt(SAMPLE, refusal(Reason.GATE_RATE, told=False))
    assert verdict(EXPIRED, other) is Verdict.UNSURE


def test_without_a_document_the_status_must_fit() -> None:
    """An engine that words its own refusals tells the status alone."""
    assert verdict(EXPIRED, Attempt(SAMPLE, Answer(401))) is Verdict.STOPPED
    assert verdict(EXPIRED, Attempt(SAMPLE, Answer(403))) is Verdict.UNSURE


@pytest.mark.parametrize("status", [200, 204, 302])
def test_an_answer_of_the_api_is_open(status: int) -> None:
    """Whatever it says: the request got through."""
    assert verdict(EXPIRED, Attempt(SAMPLE, api(status))) is Verdict.OPEN


def test_the_api_s_own_error_is_open_where_the_genuine_app_gets_it_too() -> None:
    """A record that isn't there was asked for all the same."""
    controls = Controls({SAMPLE.name: api(404)})
    assert verdict(ANY, Attempt(SAMPLE, api(404)), controls=controls) is Verdict.OPEN
    gone = replace(SAMPLE, good=frozenset({404}))
    assert verdict(ANY, Attempt(gone, Answer(400)), controls=controls) is Verdict.STOPPED


@pytest.mark.parametrize("status", [301, 404, 410])
def test_an_answer_that_the_sample_does_not_call_good_serves_nobody(status: int) -> None:
    """An API that knows no such record may never have been asked: what is refused beside it proves nothing."""
    controls = Controls({SAMPLE.name: api(status)})
    refused = Attempt(SAMPLE, refusal(Reason.TOKEN_EXPIRED))
    assert verdict(EXPIRED, refused, controls=controls) is Verdict.UNSURE
    good = replace(SAMPLE, good=frozenset({status}))
    refused = replace(refused, sample=good)
    assert verdict(EXPIRED, refused, controls=controls) is Verdict.STOPPED


@pytest.mark.parametrize("status", [0, 429, 500, 502, 503])
def test_a_server_that_cannot_answer_stops_nothing_for_a_reason(status: int) -> None:
    """An overloaded gate isn't a gate that checks."""
    assert verdict(EXPIRED, Attempt(SAMPLE, Answer(status))) is Verdict.UNSURE


def test_nothing_is_stopped_where_the_genuine_app_is_not_served() -> None:
    """A gate that is down refuses everybody."""
    controls = Controls({SAMPLE.name: Answer(503)})
    attempt = Attempt(SAMPLE, refusal(Reason.TOKEN_EXPIRED))
    assert verdict(EXPIRED, attempt, controls=controls) is Verdict.UNSURE
    assert verdict(EXPIRED, attempt, controls=Controls({})) is Verdict.UNSURE


def test_one_attempt_that_is_served_is_enough() -> None:
    """As badly as its worst attempt."""
    good, bad = Attempt(SAMPLE, refusal(Reason.TOKEN_EXPIRED)), Attempt(SAMPLE, api(200))
    assert verdict(EXPIRED, good, bad, good) is Verdict.OPEN


def test_a_refusal_on_the_way_counts_if_the_api_refuses_too() -> None:
    """The service refused the evidence; what counts is whether the API was served without a token."""
    replay = Variant("again", lambda _: [], frozenset({Reason.CHALLENGE_USED}))
    stops = (refusal(Reason.CHALLENGE_USED),)
    refused = Attempt(SAMPLE, refusal(Reason.TOKEN_MISSING), stops)
    assert verdict(replay, refused) is Verdict.STOPPED
    assert verdict(replay, Attempt(SAMPLE, api(200), stops)) is Verdict.OPEN


def test_volume_and_leaks_are_judged_by_what_came_out() -> None:
    """One of a hundred is one too many, and what leaked leaked."""
    answer = refusal(Reason.TOKEN_EXPIRED)
    assert verdict(EXPIRED, Attempt(SAMPLE, answer, served=(0, 100))) is Verdict.STOPPED
    assert verdict(EXPIRED, Attempt(SAMPLE, answer, served=(1, 100))) is Verdict.OPEN
    assert verdict(EXPIRED, Attempt(SAMPLE, answer, leaked="it was told a level")) is Verdict.OPEN


def test_an_attack_is_as_bad_as_its_worst_variant() -> None:
    """What didn't run takes nothing from what did, and adds nothing."""
    stopped, not_run = Verdict.STOPPED, Verdict.NOT_RUN
    assert worst([stopped, not_run]) is stopped
    assert worst([not_run]) is not_run
    assert worst([stopped, Verdict.UNSURE]) is Verdict.UNSURE
    assert worst([Verdict.UNSURE, Verdict.OPEN, stopped]) is Verdict.OPEN
