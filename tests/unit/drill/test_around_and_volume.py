"""Hold attacks around the gate, and those that count, to what they take for served."""

import json
import posixpath
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.drill.answers import SAMPLE, api, refusal

from watchword.drill.around import MAX_ARMED, armed, if_it_matters
from watchword.drill.attacks import (
    case_folding,
    host_confusion,
    method_override,
    off_route_hop,
    path_confusion,
    result_headers_spoofed,
    unicode_folding,
    upstream_direct,
)
from watchword.drill.interface import Attack, AttackContext, Facts, MissingError, Need, Sample
from watchword.drill.judgements import Controls, Verdict, is_of_the_api, judged
from watchword.drill.volume import (
    allowed_in,
    at_number,
    disguised,
    excess,
    guess,
    numbered_sample,
    reached,
    tallied,
)
from watchword.drill.wire import Answer, Call, Part, TargetLostError
from watchword.gate.hygiene import read_path
from watchword.reasons import Reason, Refusal
from watchword.vocabulary import Environment, Mode

MISSING = refusal(Reason.TOKEN_MISSING)
AMBIGUOUS = refusal(Reason.REQUEST_PATH_AMBIGUOUS)

Serve = Callable[[Call], Answer]


@dataclass
class Simulated:
    """Be a wire to a deployment that a function simulates.

    :ivar parts: what can be reached.
    """

    serve: Serve
    parts: frozenset[Part] = frozenset({Part.GATE})
    sent: list[Call] = field(default_factory=list)

    def send(self, call: Call) -> Answer:
        """Answer one request."""
        self.scheme(call.part)
        self.sent.append(call)
        return self.serve(call)

    def send_together(self, calls: Sequence[Call]) -> list[Answer]:
        """Answer several."""
        return [self.send(call) for call in calls]

    def authority(self, part: Part) -> str:
        """Return a host."""
        return f"{part.value}.example"

    def scheme(self, part: Part) -> str:
        """Return the scheme, or say what is missing."""
        if part not in self.parts:
            raise MissingError(Need.UPSTREAM)
        return "https"


def context(wire: Simulated, *samples: Sample, off: tuple[str, ...] = ()) -> AttackContext:
    """Return an attack context without a service."""
    audience = "https://api.example"
    facts = Facts(
        api="clinic",
        issuer="https://attest.example",
        audience=audience,
        audiences={"android": frozenset({audience})},
        environment=Environment.LAB,
        token_lifetime=300,
        off=off,
    )
    return AttackContext(
        facts=facts,
        samples=samples or (SAMPLE,),
        wire=wire,
        now=lambda: 1_800_000_000.0,
        random=lambda count: bytes(range(1, count + 1)),
        wait=lambda _: None,
    )


def verdict(attack: Attack, name: str, within: AttackContext) -> Verdict:
    """Run a variant and judge it; the genuine app is served every sample."""
    variant = next(each for each in attack.variants if each.name == name)
    controls = Controls({each.name: api(200) for each in within.samples})
    return judged(variant, variant.run(within), controls, 0).verdict


def closed(call: Call) -> Answer:
    """Refuse whatever has no token."""
    return MISSING


def always(answer: Answer) -> Serve:
    """Answer whatever comes the same way."""
    return lambda _: answer


def opened(call: Call) -> Answer:
    """Serve whatever comes."""
    return Answer(200, (("content-type", "application/json"),), b'{"patient": 7}')


AMBIGUOUS_NAMES = ("dots", "slashes", "encoded-slash", "path-parameters", "cut-off")
WITHOUT_SERVICE = [
    (result_headers_spoofed.ATTACK, "without-token"),
    (method_override.ATTACK, "override-header"),
    (method_override.ATTACK, "override-query"),
    (method_override.ATTACK, "head"),
    (method_override.ATTACK, "options"),
    (off_route_hop.ATTACK, "h2c"),
    (off_route_hop.ATTACK, "websocket"),
    (host_confusion.ATTACK, "another-host"),
    (host_confusion.ATTACK, "url-in-a-header"),
    (host_confusion.ATTACK, "from-inside"),
    (path_confusion.ATTACK, "same-path"),
]


@pytest.mark.parametrize(
    ("attack", "name"), WITHOUT_SERVICE, ids=[f"{a.id}-{n}" for a, n in WITHOUT_SERVICE]
)
def test_what_needs_no_service_is_told_served_from_refused(attack: Attack, name: str) -> None:
    """The same variant is open where all is served and stopped where nothing is without a token."""
    assert verdict(attack, name, context(Simulated(opened))) is Verdict.OPEN
    assert verdict(attack, name, context(Simulated(closed))) is Verdict.STOPPED


@pytest.mark.parametrize("name", AMBIGUOUS_NAMES)
def test_names_that_two_servers_read_in_two_ways_must_be_refused_as_such(name: str) -> None:
    """For want of a token alone says nothing of how the gate read the name."""
    assert verdict(path_confusion.ATTACK, name, context(Simulated(closed))) is Verdict.UNSURE
    refusing = Simulated(lambda _: AMBIGUOUS)
    assert verdict(path_confusion.ATTACK, name, context(refusing)) is Verdict.STOPPED
    assert len({call.target for call in refusing.sent}) == len(refusing.sent) >= 4
    assert SAMPLE.target not in {call.target for call in refusing.sent}


@given(
    parts=st.lists(st.text("abcxyz019", min_size=1, max_size=8), min_size=1, max_size=5),
    name=st.sampled_from([each.name for each in path_confusion.ATTACK.variants]),
)
def test_names_are_read_in_two_ways_or_in_one_as_their_variant_says(
    parts: list[str], name: str
) -> None:
    """However short the path is, each name goes into a request line, and keeps the query."""
    path = "/" + "/".join(parts)
    wire = Simulated(always(AMBIGUOUS))
    within = context(wire, replace(SAMPLE, target=f"{path}?a=b"), off=("/health",))
    verdict(path_confusion.ATTACK, name, within)
    for call in wire.sent:
        assert all("\x21" <= sign <= "\x7e" for sign in call.target)
        found, _, query = call.target.partition("?")
        assert query == "a=b"
        segments = read_path(found.removeprefix("https://other.example").encode())
        if name in AMBIGUOUS_NAMES:
            assert isinstance(segments, Refusal)
            assert segments.reason is Reason.REQUEST_PATH_AMBIGUOUS
        elif name == "same-path":
            assert segments == tuple(parts)


def test_the_root_has_no_other_name() -> None:
    """Nothing is tried there, and the attack says what it lacks."""
    within = context(Simulated(closed), replace(SAMPLE, target="/"))
    with pytest.raises(MissingError):
        verdict(path_confusion.ATTACK, "dots", within)


FOLDED = [
    *((case_folding.ATTACK, each.name) for each in case_folding.ATTACK.variants),
    (unicode_folding.ATTACK, "letters"),
    (unicode_folding.ATTACK, "dots"),
    (unicode_folding.ATTACK, "slashes"),
]


@pytest.mark.parametrize(("attack", "name"), FOLDED, ids=[f"{a.id}-{n}" for a, n in FOLDED])
def test_an_api_that_folds_names_is_found_and_one_that_does_not_is_not(
    attack: Attack, name: str
) -> None:
    """What the API answers to any path that it hasn't tells nothing, whatever its status."""

    def folds(call: Call) -> Answer:
        path = unicodedata.normalize("NFKC", unquote(call.target)).casefold()
        return api(200 if posixpath.normpath(path.replace("\\", "/")) == SAMPLE.target else 404)

    def exact(call: Call) -> Answer:
        return MISSING if call.target == SAMPLE.target else api(404)

    assert verdict(attack, name, context(Simulated(folds))) is Verdict.OPEN
    expected = (
        Verdict.STOPPED if attack is case_folding.ATTACK or name == "letters" else Verdict.UNSURE
    )
    assert verdict(attack, name, context(Simulated(exact))) is expected
    for reason in next(each for each in attack.variants if each.name == name).expected:
        refusing = Simulated(always(refusal(reason)))
        assert verdict(attack, name, context(refusing)) is Verdict.STOPPED
        assert SAMPLE.target not in {call.target for call in refusing.sent}
        for call in refusing.sent:
            assert isinstance(read_path(call.target.encode()), tuple)


def test_an_override_counts_only_where_it_changes_what_is_served() -> None:
    """A plain answer that anybody gets, an error, and an answer that changes by itself are no way in."""
    plain = SAMPLE.call()
    decorated = plain.with_header("X-Original-URL", "/v1/patients/7")

    def found(answers: list[Answer]) -> list[tuple[int, int] | None]:
        queue = iter(answers)
        within = context(Simulated(lambda _: next(queue)))
        return [each.served for each in if_it_matters(within, SAMPLE, plain, decorated)]

    long = Answer(200, (), b"a long answer")
    assert found([api(200), long, api(200), api(200)]) == [(1, 1)]
    assert found([api(404), api(200), api(404), api(404)]) == [(1, 1)]
    assert found([api(200), long, api(200), long]) == []
    assert found([api(200), api(200), api(200)]) == []
    assert found([api(200), api(404), api(200)]) == []
    assert found([api(200), long, Answer(200, (), b"another")]) == []
    assert found([api(200), MISSING, api(200)]) == [None]


def test_an_api_that_repeats_its_headers_is_no_way_in() -> None:
    """Whatever header is added is in its answer: that shows nothing."""

    def repeating(call: Call) -> Answer:
        return Answer(200, (), str([call.target, *call.headers]).encode())

    within = context(Simulated(repeating))
    plain = Call(Part.GATE, "GET", "/health", (("X-Api-Key", "k"),))
    decorated = plain.with_header("X-Original-URL", "/v1/patients/7")
    assert if_it_matters(within, SAMPLE, plain, decorated) == []


def test_a_gate_that_takes_the_dress_off_is_no_way_in() -> None:
    """An API that repeats its headers gets none of it, and answers as it does without."""

    def stripping(call: Call) -> Answer:
        kept = [each for each in call.headers if not each[0].startswith("X-Forwarded-")]
        return Answer(200, (), str([call.target, *kept]).encode())

    wire = Simulated(stripping)
    plain = Call(Part.GATE, "GET", "/health", (("X-Api-Key", "k"),))
    decorated = plain.with_header("X-Forwarded-URI", "/v1/patients/7")
    assert if_it_matters(context(wire), SAMPLE, plain, decorated) == []
    assert wire.sent[-1] == plain


def test_a_changed_protocol_on_an_open_route_is_a_way_in_and_its_plain_answer_is_not() -> None:
    """The answer of an open route is everybody's."""

    def switching(call: Call) -> Answer:
        return Answer(101) if call.target == "/health" else MISSING

    def plain(call: Call) -> Answer:
        return api(200) if call.target == "/health" else MISSING

    for name in ("h2c", "websocket"):
        within = context(Simulated(switching), off=("/health",))
        assert verdict(off_route_hop.ATTACK, name, within) is Verdict.OPEN
        within = context(Simulated(plain), off=("/health",))
        assert verdict(off_route_hop.ATTACK, name, within) is Verdict.STOPPED


@pytest.mark.parametrize("name", ["script", "dressed-as-the-gate"])
def test_the_upstream_is_open_if_it_answers_and_closed_if_nobody_does(name: str) -> None:
    """One that can't be reached ends the attack, and not the run; one that nobody named isn't tried."""
    both = frozenset({Part.GATE, Part.UPSTREAM})

    def lost(call: Call) -> Answer:
        raise TargetLostError("nobody")

    samples = (SAMPLE, replace(SAMPLE, target="/v1/other", route="clinic[1]"))
    attack = upstream_direct.ATTACK
    assert verdict(attack, name, context(Simulated(opened, both))) is Verdict.OPEN
    assert verdict(attack, name, context(Simulated(lambda _: api(401), both))) is Verdict.STOPPED
    gone = Simulated(lost, both)
    assert verdict(attack, name, context(gone, *samples)) is Verdict.STOPPED
    assert len(gone.sent) == 1
    with pytest.raises(MissingError) as caught:
        verdict(attack, name, context(Simulated(opened)))
    assert caught.value.need is Need.UPSTREAM


def test_a_sample_of_each_route_is_sent_in_disguise_and_no_more_than_some() -> None:
    """Nor those that sign in, or that are open to all."""
    many = [
        replace(SAMPLE, target=f"/v1/{n}", route=f"clinic[{n // 2}]") for n in range(4 * MAX_ARMED)
    ]
    aside = (replace(SAMPLE, login=True, route="a"), replace(SAMPLE, mode=Mode.OFF, route="b"))
    chosen = list(armed(context(Simulated(closed), *aside, *many)))
    assert [each.route for each in chosen] == [f"clinic[{n}]" for n in range(MAX_ARMED)]


def test_a_breakdown_stands_for_all_refusals() -> None:
    """Else a gate that falls over half way would pass for one that refuses."""
    assert tallied(SAMPLE, [MISSING, api(200), api(503), MISSING]).answer.status == 503
    assert tallied(SAMPLE, [api(200), MISSING]).answer is MISSING
    assert tallied(SAMPLE, [api(200), api(404)]).served == (2, 2)


def test_only_what_is_clearly_beyond_the_limit_counts_as_served() -> None:
    """300 in a minute: a full bucket, 50 in ten seconds, and a twentieth."""
    late = refusal(Reason.GATE_RATE)
    allowed = allowed_in((300, 60), 10.0)
    assert allowed == 300 + 50 + 15
    unlimited = excess(SAMPLE, [api(200)] * 380, is_of_the_api, allowed)
    assert unlimited.served == (380 - allowed, 380 - allowed)
    limited = excess(SAMPLE, [api(200)] * 350 + [late] * 30, is_of_the_api, allowed)
    assert limited.served == (0, 380 - allowed)
    assert limited.answer is late
    with pytest.raises(MissingError) as caught:
        excess(SAMPLE, [api(200)] * 365, is_of_the_api, allowed)
    assert caught.value.need is Need.RATE


def test_a_clock_that_goes_back_lets_nothing_flow_in() -> None:
    """Else a limit of few would seem to allow fewer than it holds."""
    assert allowed_in((10, 60), -100.0) == 12


def test_a_numbered_sample_is_found_and_counted_up() -> None:
    """The number is at the end of the path, whatever the query says."""
    other = replace(SAMPLE, target="/v1/headers?id=4")
    numbered = replace(SAMPLE, target="/v1/patients/7?full=1")
    assert numbered_sample(context(Simulated(closed), other, numbered)) is numbered
    assert at_number(numbered.target, 12) == "/v1/patients/12?full=1"
    with pytest.raises(MissingError):
        numbered_sample(context(Simulated(closed), other))


def test_a_disguise_changes_and_names_nobody() -> None:
    """Addresses are of the blocks for documentation (RFC 5737)."""
    seen = {disguised(SAMPLE.call(), n).header("x-forwarded-for") for n in range(200)}
    assert len(seen) > 100
    assert all((each or "").startswith(("198.51.100.", "203.0.113.")) for each in seen)


def test_a_guess_fills_the_sign_in_with_names_that_are_nobodys() -> None:
    """Twice the same name, never the same password twice by intent; nothing of the placeholders stays."""
    sample = replace(SAMPLE, body=b'{"name": "{name}", "password": "{password}"}', login=True)
    body = json.loads(guess(context(Simulated(closed)), sample, "drill-1").body)
    assert body["name"] == "drill-1"
    assert "{" not in body["password"]


def test_an_apis_word_for_a_wrong_password_is_told_from_a_gates() -> None:
    """401 is both: a gate of Watchword's says so, of another the genuine app's answer tells."""
    html = Answer(401, (("content-type", "text/html"),), b"<h1>401</h1>")
    genuine = reached(api(401))
    assert genuine(api(401))
    assert not genuine(html)
    assert not genuine(MISSING)
    assert genuine(api(400))
    assert reached(None)(html)
    assert not reached(None)(api(429))
    assert not reached(None)(Answer(0))
