"""Send the real HAProxy requests with tokens that it knows: most pass by a few rules, and none that all would refuse."""

from collections.abc import Iterator

import pytest
from tests.system.engines.envoy.proofs import proved, prover
from tests.system.engines.haproxy.rig import Rig, haproxy_before_api, take_proofs
from tests.unit.engines.envoy.rig import SECRET, bundle_of, request, route, token, until
from tests.unit.gate.proofs import Prover, session_key

from watchword.adapters.system import SystemClock
from watchword.engines.haproxy import text as names
from watchword.gate.interface import Rate
from watchword.vocabulary import Level, Mode, Proof

ROWS = (
    route("/v1/**"),
    route("/new/**", minimum_versions={"clinic-ios": "1.2.3"}),
    route("/pay/**", proof=Proof.SESSION),
    route("/eyed/**", mode=Mode.MONITOR, proof=Proof.SESSION, level=Level.HARDWARE),
)
WATCHED = (
    route("/watched/**", mode=Mode.MONITOR),
    route("/eyed/**", mode=Mode.MONITOR, proof=Proof.SESSION),
)
READ_ALONE = (route("/pay/**", proof=Proof.SESSION, methods=frozenset({"GET"})),)


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """Run one HAProxy for all tests of this module."""
    with haproxy_before_api(tmp_path_factory.mktemp("quick"), bundle_of(ROWS)) as running:
        take_proofs(running)
        yield running


def test_each_known_token_has_its_own_claims(rig: Rig) -> None:
    """What is kept of a token is found under the whole digest, whatever bytes are in it."""
    sent = {f"subject-{number}": token(subject=f"subject-{number}") for number in range(300)}
    for _ in range(2):
        for subject, each in sent.items():
            assert rig.send(token=each).status == 200
            assert rig.api.seen[-1].values(b"watchword-instance") == [subject.encode()]
            assert not rig.api.seen[-1].values(b"watchword-token")


def test_known_token_in_an_odd_request_is_cleaned_and_passes(rig: Rig) -> None:
    """Results that a client states are never the API's to see."""
    sent = token()
    for fields in ((b"Connection: keep-alive",), (b"Watchword_Level: x", b"Watchword-App: y")):
        assert rig.send(b"/v1/x", *fields, token=sent).status == 200
        seen = rig.api.seen[-1]
        assert seen.values(b"watchword-level") == [b"hardware"]
        assert seen.values(b"watchword-app") == [b"clinic-ios"]
        assert not seen.values(b"watchword_level")
    twice = rig.send(b"/v1/x", b"Authorization: a", b"Authorization: b", token=sent)
    assert rig.reason(twice) == "request.header_duplicated"
    assert rig.reason(rig.send(b"/v1//x", token=sent)) == "request.path_ambiguous"


def test_known_token_is_held_to_the_version_of_its_row(rig: Rig) -> None:
    """Once verified on another row."""
    old, fresh = token(app_version="1.2.2"), token(app_version="1.10.0")
    for _ in range(2):
        assert rig.send(token=old).status == 200
        assert rig.reason(rig.send(b"/new/x", token=old)) == "gate.app_version"
        assert rig.send(b"/new/x", token=fresh).status == 200


def test_known_session_is_vouched_for_by_a_right_proof_alone(rig: Rig) -> None:
    """A watching row lets the others pass, without results."""
    payer = prover()
    fields: tuple[bytes, ...] = ()
    for _ in range(3):
        fields = proved("session", payer, target="/eyed/x")
        assert rig.raw(request(b"/eyed/x", *fields)).status == 200
        assert rig.api.seen[-1].values(b"watchword-level") == [b"hardware"]
    assert rig.raw(request(b"/eyed/x", *fields)).status == 200
    wrong = [each.replace(b"signature: watchword=:", b"signature: watchword=:A") for each in fields]
    assert rig.raw(request(b"/eyed/x", *wrong)).status == 200
    for seen in rig.api.seen[-2:]:
        assert not [name for name, _ in seen.fields if name.startswith(b"watchword-")]
    wanted = ["proof.replayed", "proof.malformed"]
    until(lambda: [line["reason"] for line in rig.log()[-2:]] == wanted)


def test_known_session_signs_by_its_own_key(rig: Rig) -> None:
    """An empty signature, another key and another id are refused each time, and cost no nonce."""
    payer = prover()
    assert rig.raw(request(b"/pay/now", *proved("session", payer, target="/pay/now"))).status == 200
    other = Prover(payer.token, payer.session_id, session_key("another-session-id", SECRET.secret))
    named = Prover(payer.token, "another-session-id", payer.key)
    for wrong, reason in ((other, "proof.signature"), (named, "proof.key")):
        for _ in range(2):
            fields = proved("session", wrong, target="/pay/now")
            assert rig.reason(rig.raw(request(b"/pay/now", *fields))) == reason
    fields = proved("session", payer, target="/pay/now")
    empty = [
        b"signature: watchword=::" if each.lower().startswith(b"signature:") else each
        for each in fields
    ]
    assert rig.reason(rig.raw(request(b"/pay/now", *empty))) == "proof.malformed"
    assert rig.raw(request(b"/pay/now", *fields)).status == 200


@pytest.mark.parametrize(("moved", "reason"), [(-95, "proof.expired"), (40, "proof.early")])
def test_known_session_proves_in_time(rig: Rig, moved: int, reason: str) -> None:
    """Whatever was taken before."""
    payer = prover()
    for _ in range(2):
        sent = request(b"/pay/now", *proved("session", payer, target="/pay/now"))
        assert rig.raw(sent).status == 200
    created = int(SystemClock().timestamp()) + moved
    fields = proved("session", payer, target="/pay/now", created=created)
    assert rig.reason(rig.raw(request(b"/pay/now", *fields))) == reason


def test_known_session_proves_its_body(rig: Rig) -> None:
    """A proof over no body is none for one, and the right one passes."""
    payer = prover()
    for _ in range(2):
        sent = request(b"/pay/now", *proved("session", payer, target="/pay/now"))
        assert rig.raw(sent).status == 200
    bare = proved("session", payer, target="/pay/now", method="POST")
    sent = request(b"/pay/now", *bare, body=b"x", method=b"POST")
    assert rig.reason(rig.raw(sent)) == "proof.digest"
    fields = proved("session", payer, target="/pay/now", method="POST", body=b"x")
    sent = request(b"/pay/now", *fields, body=b"x", method=b"POST")
    assert rig.raw(sent).status == 200
    assert rig.api.seen[-1].body == b"x"


def test_known_session_waits_until_used_proofs_are_known(rig: Rig) -> None:
    """A table that is new tells nobody's first proof from a second one."""
    payer = prover()
    for _ in range(2):
        sent = request(b"/pay/now", *proved("session", payer, target="/pay/now"))
        assert rig.raw(sent).status == 200
    state = rig.options.path(names.STATE)
    rig.master.notify([f"set map {state} {names.PROOFS} {names.COLD}"])
    try:
        fields = proved("session", payer, target="/pay/now")
        answer = rig.raw(request(b"/pay/now", *fields))
        # One of the second in which the process began is as old as those that it can't know.
        assert rig.reason(answer) in {"gate.replay_unavailable", "proof.replayed"}
    finally:
        take_proofs(rig)


def test_revoked_instance_is_refused_also_once_its_token_is_known(rig: Rig) -> None:
    """The signature is right, and stays remembered."""
    sent, payer = token(subject="to-be-revoked"), prover(subject="to-be-revoked")
    assert rig.send(token=sent).status == 200
    rig.push(revoked=frozenset({"to-be-revoked"}))
    try:
        for _ in range(3):
            assert rig.reason(rig.send(token=sent)) == "token.instance_revoked"
            fields = proved("session", payer, target="/pay/now")
            answer = rig.raw(request(b"/pay/now", *fields))
            assert rig.reason(answer) == "token.instance_revoked"
    finally:
        rig.push(revoked=frozenset())


def test_end_of_a_secret_counts_for_known_sessions(rig: Rig) -> None:
    """A push makes another generation, under which nothing is known."""
    payer = prover()
    for _ in range(2):
        sent = request(b"/pay/now", *proved("session", payer, target="/pay/now"))
        assert rig.raw(sent).status == 200
    before = rig.bundle.secrets
    rig.push(secrets=())
    try:
        sent = request(b"/pay/now", *proved("session", payer, target="/pay/now"))
        assert rig.reason(rig.raw(sent)) == "proof.epoch"
    finally:
        rig.push(secrets=before)
        take_proofs(rig)


def test_known_tokens_are_counted_one_by_one(rig: Rig) -> None:
    """Each request takes its room once, and a proof that is refused takes none."""
    policy = rig.bundle.policy
    rig.push(policy=policy.__class__(policy.api, policy.expectation, ROWS, rate=Rate(6, 600)))
    try:
        take_proofs(rig)
        payer = prover(subject="counted")
        answers = []
        for _ in range(7):
            fields = proved("session", payer, target="/pay/now")
            answers.append(rig.raw(request(b"/pay/now", *fields)))
            assert rig.raw(request(b"/pay/now", *fields)).status in {401, 429}
        assert [each.status for each in answers] == [200] * 6 + [429]
        assert rig.reason(answers[-1]) == "gate.rate"
        assert names.RATES in rig.runtime("show table")
    finally:
        rig.push(policy=policy)
        take_proofs(rig)


def test_a_watching_row_lets_known_tokens_pass_beyond_the_rate(rig: Rig) -> None:
    """As it does unknown ones: what it watches turns nobody away, and the log names the row."""
    policy = rig.bundle.policy
    rig.push(policy=policy.__class__(policy.api, policy.expectation, WATCHED, rate=Rate(2, 600)))
    try:
        take_proofs(rig)
        sent, payer = token(subject="watched"), prover(subject="watched-too")
        for _ in range(5):
            assert rig.send(b"/watched/x", token=sent).status == 200
            assert rig.api.seen[-1].values(b"watchword-instance") == [b"watched"]
            fields = proved("session", payer, target="/eyed/x")
            assert rig.raw(request(b"/eyed/x", *fields)).status == 200
            assert rig.api.seen[-1].values(b"watchword-instance") == [b"watched-too"]
        wanted = [("gate.rate", "/watched/**", 200), ("gate.rate", "/eyed/**", 200)]
        until(
            lambda: (
                [(line["reason"], line["route"], line["status"]) for line in rig.log()[-2:]]
                == wanted
            )
        )
    finally:
        rig.push(policy=policy)
        take_proofs(rig)


def test_a_get_proves_its_body_also_where_no_other_method_may_have_one(rig: Rig) -> None:
    """A body may come with any method, and the one that arrives is the one that was signed."""
    policy = rig.bundle.policy
    rig.push(policy=policy.__class__(policy.api, policy.expectation, READ_ALONE))
    try:
        take_proofs(rig)
        payer = prover()
        for _ in range(2):
            fields = proved("session", payer, target="/pay/now", body=b"x")
            answer = rig.raw(request(b"/pay/now", *fields, body=b"y"))
            assert rig.reason(answer) == "proof.body"
            assert rig.raw(request(b"/pay/now", *fields, body=b"x")).status == 200
            assert rig.api.seen[-1].body == b"x"
    finally:
        rig.push(policy=policy)
        take_proofs(rig)


@pytest.mark.parametrize("length", [b"18446744073709551616", b"18446744073709551617", b"9" * 19])
def test_a_length_that_some_count_as_a_small_one_is_refused(rig: Rig, length: bytes) -> None:
    """HAProxy counts modulo 2**64, and the API would take the requests behind for the body."""
    sent = token()
    assert rig.send(token=sent).status == 200
    for each in (sent, token()):
        answer = rig.send(b"/v1/x", b"Content-Length: " + length, method=b"POST", token=each)
        assert answer.slug == "request-malformed"
    assert rig.send(b"/v1/x", b"Content-Length: 0", method=b"POST", token=sent).status == 200
