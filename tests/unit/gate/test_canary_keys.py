"""A canary key is answered like any refusal, in words and work, and raises an alarm that never shows it."""

import asyncio
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.gate.proofs import Prover
from tests.unit.gate.proofs import facts as proven
from tests.unit.gate.simulators import (
    CLAIMS,
    NOW,
    PublishedState,
    SilentState,
    policy,
    request,
    route,
    token,
)

from watchword.adapters.replay.memory import MemoryReplayStore
from watchword.adapters.system import SystemEntropy
from watchword.apps.problems import render
from watchword.broker.honeytokens import RANDOM_BYTES, digest, make_honeytoken
from watchword.broker.interface import HoneytokenWatch
from watchword.gate.alarms import MAX_NAME, MAX_NAMES, MAX_TEXT, Sighting, alarm_of
from watchword.gate.interface import Decision, GatePolicy, RequestFacts
from watchword.gate.service import Gate
from watchword.ports import VerificationKey
from watchword.reasons import Reason
from watchword.tokens.proofs.interface import GateSecret
from watchword.vocabulary import Level, Mode, Proof

GOOD = token()
HASHED_WITH = b"k" * 32
PLANTED = make_honeytoken("stripe", b"7" * RANDOM_BYTES).value
OTHER = make_honeytoken("stripe", b"8" * RANDOM_BYTES).value
WATCH = HoneytokenWatch(HASHED_WITH, {digest(HASHED_WITH, PLANTED): "in-the-app"})
ROUTES = (
    route("/health", mode=Mode.OFF),
    route("/watched/**", mode=Mode.MONITOR),
    route("/proven/**", mode=Mode.MONITOR, proof=Proof.SESSION),
    route("/pay/**", proof=Proof.SESSION),
    route("/v1/**"),
)


def state(watch: HoneytokenWatch | None = WATCH) -> PublishedState:
    """Return the state of a service that has planted a canary."""
    return PublishedState(policy=policy(*ROUTES), canaries=watch)


def carrying(
    key: str, path: str = "/v1/a", text: str | None = GOOD, *more: tuple[bytes, bytes]
) -> RequestFacts:
    """Return the facts of a request that carries a key as providers take one."""
    bearer = (b"Authorization", b"Bearer " + key.encode())
    return request(path, token=text, headers=[bearer, *more])


def decide(facts: RequestFacts, watch: HoneytokenWatch | None = WATCH) -> Decision:
    """Return what a gate decides on a request."""
    return Gate(state(watch), memory=MemoryReplayStore()).decide(facts, NOW)


def test_each_mode_judges_a_canary() -> None:
    """Enforce refuses, monitor reports and passes, off only alarms."""
    enforced, watched, off = (
        decide(carrying(PLANTED, path)) for path in ("/v1/a", "/watched/a", "/health")
    )
    assert {each.canary for each in (enforced, watched, off)} == {"in-the-app"}
    assert [each.allow for each in (enforced, watched, off)] == [False, True, True]
    assert [refusal.reason for refusal in enforced.refusals] == [Reason.SECRET_CANARY]
    assert watched.refusals == enforced.refusals
    assert (enforced.headers, enforced.enforced, watched.enforced) == ([], True, False)
    assert off.refusals == ()
    without_token = decide(carrying(PLANTED, "/watched/a", None))
    assert [refusal.reason for refusal in without_token.refusals] == [
        Reason.SECRET_CANARY,
        Reason.TOKEN_MISSING,
    ]
    assert (b"watchword-level", b"hardware") in watched.headers


def test_nothing_is_found_where_nothing_is_planted() -> None:
    """Another key, no key, no canary: nobody is held up."""
    for facts in (carrying(OTHER), request("/v1/a", token=GOOD)):
        assert decide(facts).allow is True
        assert decide(facts).canary is None
    assert decide(carrying(PLANTED), None).canary is None
    assert decide(carrying(PLANTED), None).allow is True


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/v1/a", None),
        ("/v1/a", "garbage"),
        ("/v1/a", token(level=Level.SOFTWARE)),
        ("/v1/a", token(issued_at=NOW - 400, expires_at=NOW - 100)),
        ("/pay/a", GOOD),
    ],
    ids=["no token", "garbage", "level", "expired", "no proof"],
)
def test_what_is_refused_anyway_alarms_and_stays_word_for_word(path: str, text: str | None) -> None:
    """A script with the key of the app and no token learns nothing from its answer."""
    thief, anybody = decide(carrying(PLANTED, path, text)), decide(carrying(OTHER, path, text))
    assert (thief.canary, anybody.canary) == ("in-the-app", None)
    assert thief._replace(canary=None) == anybody


def test_a_canary_is_refused_in_the_words_of_a_refused_token() -> None:
    """Status, headers and body but for the sealed reference, whose length says nothing either."""
    thief = decide(carrying(PLANTED))
    expired = decide(carrying(OTHER, text=token(issued_at=NOW - 400, expires_at=NOW - 100)))
    clinic = Gate(state())
    answers = []
    for decision in (thief, expired):
        reference = clinic.reference(decision.refusals, decision.route, NOW, bytes(24))
        assert reference is not None
        answers.append(
            (
                render(decision.refusals, ref=None, reveal=False, retry_after=decision.retry_after),
                len(reference),
                decision.nonce,
                decision.retry_after,
            )
        )
    assert answers[0] == answers[1]


def test_a_proof_that_holds_saves_no_thief() -> None:
    """A canary is refused before the body is asked for, as a bad token is; nothing waits for it."""
    phone = Prover(GOOD)
    fields = [
        *phone.session(target="/pay/a", body=b"x", method="POST"),
        (b"x-api-key", PLANTED.encode()),
    ]
    decision = decide(proven(fields, "/pay/a", "POST"))
    assert (decision.pending, decision.allow, decision.canary) == (None, False, "in-the-app")


@pytest.mark.parametrize("body", [b"right", b"wrong"])
def test_monitor_reports_a_canary_beside_what_is_found_at_the_bodys_end(body: bytes) -> None:
    """Neither takes the other's place."""
    clinic = Gate(state(), memory=MemoryReplayStore(), entropy=SystemEntropy())
    phone = Prover(GOOD)
    fields = [
        *phone.session(target="/proven/a", body=b"right", method="POST"),
        (b"x-api-key", PLANTED.encode()),
    ]
    begun = clinic.decide(proven(fields, "/proven/a", "POST"), NOW)
    assert begun.pending is not None
    digested = begun.pending.body_digest if body == b"right" else b"x" * 32
    ended = asyncio.run(clinic.conclude(begun, digested, NOW))
    later = [] if body == b"right" else [Reason.PROOF_BODY]
    assert [refusal.reason for refusal in ended.refusals] == [Reason.SECRET_CANARY, *later]
    assert (ended.allow, ended.canary) == (True, "in-the-app")


def test_what_nobody_behind_the_gate_gets_is_not_a_use() -> None:
    """A header that Connection names ends here; in any other case of its name a key is found."""
    ended = (b"connection", b"x-api-key"), (b"x-api-key", PLANTED.encode())
    decision = decide(request("/v1/a", token=GOOD, headers=ended))
    assert decision.canary is None
    assert b"x-api-key" not in dict(decision.headers)
    shouted = decide(request("/v1/a", token=GOOD, headers=[(b"X-API-KEY", PLANTED.encode())]))
    assert shouted.canary == "in-the-app"


def test_in_the_query_too() -> None:
    """Where maps and the like take their keys."""
    facts = request("/v1/a", token=GOOD)._replace(query=b"q=1&key=" + PLANTED.encode())
    assert decide(facts).canary == "in-the-app"


def test_what_no_route_or_no_server_reads_alike_is_not_looked_at() -> None:
    """Steps 1 to 3 refuse first, for everybody."""
    for facts in (
        carrying(PLANTED, "/nowhere"),
        carrying(PLANTED, "/v1/../a"),
        carrying(PLANTED, "/v1/a", GOOD, (b"host", b"second.example")),
    ):
        assert decide(facts).canary is None
        assert decide(facts).allow is False


def test_a_new_generation_brings_and_takes_canaries() -> None:
    """Within the same second as everything else that is published, with the same table."""
    published = state(None)
    clinic = Gate(published)
    assert clinic.decide(carrying(PLANTED), NOW).allow is True
    published.canaries, published.generation = WATCH, 2
    assert clinic.decide(carrying(PLANTED), NOW).allow is False
    published.canaries, published.generation = None, 3
    assert clinic.decide(carrying(PLANTED), NOW).allow is True
    assert Gate(SilentState()).decide(carrying(PLANTED), NOW).canary is None


# The same work.


@dataclass
class CountingState:
    """Count what a gate asks; implements the port GateState over another one."""

    inner: PublishedState = field(default_factory=state)
    asked: Counter[str] = field(default_factory=Counter)

    def __getattr__(self, name: str) -> Any:
        self.asked[name] += 1
        return getattr(self.inner, name)

    @property
    def policy(self) -> GatePolicy:
        """Count, and return the policy."""
        self.asked["policy"] += 1
        return self.inner.policy

    def find(self, kid: str) -> VerificationKey | None:
        """Count a look for a key: one is asked for where a signature is verified."""
        self.asked["find"] += 1
        return self.inner.find(kid)

    def secret(self, epoch: int) -> GateSecret | None:
        """Count a look for a session's secret."""
        self.asked["secret"] += 1
        return self.inner.secret(epoch)


class CountingDigests(dict[bytes, str]):
    """Count the look-ups of keyed hashes."""

    looked = 0

    def get(self, key: Any, default: Any = None) -> Any:
        """Count, and look."""
        self.looked += 1
        return super().get(key, default)


@pytest.mark.parametrize("text", [GOOD, None, "garbage"], ids=["token", "none", "garbage"])
@pytest.mark.parametrize("path", ["/v1/a", "/watched/a", "/health", "/pay/a"])
def test_the_same_is_asked_whether_a_canary_is_found_or_not(path: str, text: str | None) -> None:
    """Signatures, revocation, secrets, hashes of keys: nothing is left out, and nothing added."""
    seen = []
    for key in (PLANTED, OTHER):
        digests = CountingDigests(WATCH.digests)
        counting = CountingState(state(HoneytokenWatch(HASHED_WITH, digests)))
        clinic = Gate(counting, memory=MemoryReplayStore())
        counting.asked.clear()
        clinic.decide(carrying(key, path, text), NOW)
        seen.append((counting.asked, digests.looked))
    assert seen[0] == seen[1]
    assert seen[0][1] > 0


# The alarm.


def alarmed(facts: RequestFacts, address: str = "192.0.2.7") -> Any:
    """Return the alarm of a request."""
    held = state()
    clinic = Gate(held, memory=MemoryReplayStore())
    return alarm_of(Sighting(NOW, facts, clinic.decide(facts, NOW), held, address))


def test_an_alarm_tells_the_callers_traits() -> None:
    """Everything that helps to find the leak, with the claims only where they were verified."""
    more = [(b"User-Agent", b"curl/8.5"), (b"X-Forwarded-For", b"198.51.100.9, 10.0.0.1")]
    alarm = alarmed(carrying(PLANTED, "/v1/a", GOOD, *more))
    assert alarm.at == NOW
    assert (alarm.canary, alarm.api, alarm.route) == ("in-the-app", "clinic", "/v1/**")
    assert (alarm.method, alarm.path, alarm.address) == ("GET", "/v1/a", "192.0.2.7")
    assert (alarm.user_agent, alarm.forwarded) == ("curl/8.5", "198.51.100.9, 10.0.0.1")
    assert alarm.header_names == (
        "host",
        "accept",
        "Authorization",
        "User-Agent",
        "X-Forwarded-For",
        "watchword-token",
    )
    assert (alarm.app, alarm.version) == (CLAIMS.app_id, CLAIMS.app_version)
    assert (alarm.subject, alarm.refused) == (CLAIMS.subject, True)
    stranger = alarmed(carrying(PLANTED, "/health", None))
    assert (stranger.app, stranger.subject, stranger.refused) == (None, None, False)
    assert alarmed(carrying(OTHER)) is None


def everywhere(key: bytes) -> Iterable[tuple[bytes, bytes]]:
    """Return headers that carry a key in every trait that is told."""
    return (
        (b"user-agent", b"thief/1 (" + key + b")"),
        (b"x-forwarded-for", key),
        (key, b"x"),
        (b"cookie", key),
    )


def test_an_alarm_never_shows_the_key() -> None:
    """Not in the traits either that the sender chose: path, user agent, names of headers."""
    key = PLANTED.encode()
    facts = carrying(PLANTED, f"/v1/{PLANTED}", GOOD, *everywhere(key))
    alarm = alarmed(facts._replace(query=b"key=" + key))
    assert alarm is not None
    assert PLANTED not in repr(alarm)
    assert alarm.user_agent == alarm.path == "(a canary key)"


@given(
    st.binary(max_size=2000).map(lambda b: b.replace(b"\0", b"").translate(None, b"\r\n")),
    st.integers(0, 90),
)
def test_what_a_stranger_sends_is_printed_safely(text: bytes, names: int) -> None:
    """No control character, and no more than fits: it stands in logs and on terminals."""
    many = [(b"x-%d" % number, b"") for number in range(names)]
    alarm = alarmed(carrying(PLANTED, "/v1/a", None, (b"user-agent", text), *many))
    assert alarm is not None
    assert len(alarm.user_agent) <= MAX_TEXT
    assert alarm.user_agent.isprintable() or {*alarm.user_agent} <= {"\xa0", "\xad"} | {
        *map(chr, range(0x20, 0x100))
    } - {*map(chr, range(0x7F, 0xA0))}
    assert len(alarm.header_names) <= MAX_NAMES


def test_what_a_stranger_sends_is_cut() -> None:
    """After control characters were taken out, names of headers sooner than values."""
    named = (b"x-" + b"n" * 500, b"")
    alarm = alarmed(carrying(PLANTED, "/v1/a", None, (b"user-agent", b"\x01u" * 900), named))
    assert alarm.user_agent == "u" * MAX_TEXT
    assert alarm.header_names[-1] == "x-" + "n" * (MAX_NAME - 2)


def test_what_waits_for_its_body_was_not_refused() -> None:
    """The alarm is raised at the head of the request, and says what is known then."""
    fields = [
        *Prover(GOOD).session(target="/proven/a", body=b"x", method="POST"),
        (b"x-api-key", PLANTED.encode()),
    ]
    alarm = alarmed(proven(fields, "/proven/a", "POST"))
    assert (alarm.refused, alarm.subject) == (False, CLAIMS.subject)


def test_an_address_is_cut_too() -> None:
    """Servers hand over what a proxy told them."""
    alarm = alarmed(carrying(PLANTED), "\x1b[31m" + "1" * 500)
    assert alarm.address == "[31m" + "1" * 60
