"""Show what a gate decides: who passes, who doesn't, why, and what the API gets to see."""

from dataclasses import replace

import pytest
from tests.unit.gate.simulators import (
    AUDIENCE,
    CLAIMS,
    NOW,
    ROUTES,
    SIGNER,
    PublishedState,
    SilentState,
    SoftwareSigner,
    policy,
    published,
    request,
    route,
    token,
)

from watchword.gate.references import open_reference
from watchword.gate.service import Gate
from watchword.reasons import Reason
from watchword.vocabulary import Environment, Level, Mode

GOOD = token()
CLIENT_FIELDS = [(b"host", b"clinic.example"), (b"accept", b"*/*")]
RESULT_FIELDS = [
    (b"watchword-instance", b"pairwise-subject-of-an-instance"),
    (b"watchword-level", b"hardware"),
    (b"watchword-app", b"clinic-ios"),
]


def gate(state: PublishedState | None = None) -> Gate:
    """Return the gate of the clinic's API."""
    return Gate(state or PublishedState())


def test_a_genuine_instance_passes() -> None:
    """The API gets the request without the token and with who is there."""
    decision = gate().decide(request(token=GOOD), NOW)
    assert (decision.allow, decision.mode, decision.route) == (True, Mode.ENFORCE, "/v1/**")
    assert decision.refusals == ()
    assert decision.claims == CLAIMS
    assert decision.headers == CLIENT_FIELDS + RESULT_FIELDS


@pytest.mark.parametrize(
    ("reason", "text"),
    [
        (Reason.TOKEN_MISSING, None),
        (Reason.TOKEN_MALFORMED, "garbage"),
        (Reason.TOKEN_KEY_UNKNOWN, token(SoftwareSigner(kid="key-2"))),
        (Reason.TOKEN_SIGNATURE, token(SoftwareSigner())),
        (Reason.TOKEN_ISSUER, token(issuer="https://other.example")),
        (Reason.TOKEN_AUDIENCE, token(audience="https://ledger.example")),
        (Reason.TOKEN_ENVIRONMENT, token(environment=Environment.LAB)),
        (Reason.TOKEN_EXPIRED, token(issued_at=NOW - 400, expires_at=NOW - 100)),
        (Reason.TOKEN_EARLY, token(issued_at=NOW + 60)),
        (Reason.TOKEN_INSTANCE_REVOKED, token(subject="revoked-instance")),
        (Reason.GATE_LEVEL, token(level=Level.SOFTWARE)),
    ],
    ids=lambda value: value.name if isinstance(value, Reason) else "",
)
def test_each_refusal_in_each_mode(reason: Reason, text: str | None) -> None:
    """Enforce refuses with the reason, monitor lets pass with the reason, off doesn't look."""
    clinic = gate(PublishedState(revoked={"revoked-instance"}))
    enforced = clinic.decide(request("/v1/a", token=text), NOW)
    watched = clinic.decide(request("/watched/a", token=text), NOW)
    ignored = clinic.decide(request("/health", token=text), NOW)
    assert [refusal.reason for refusal in enforced.refusals] == [reason]
    assert (enforced.allow, watched.allow, ignored.allow) == (False, True, True)
    assert enforced.headers == []
    assert watched.refusals == enforced.refusals
    assert ignored.refusals == ()
    assert ignored.headers == CLIENT_FIELDS


def test_monitor_vouches_for_nobody_it_refused() -> None:
    """A request that passes with a bad token carries no verified header; a low level is stated."""
    clinic = gate()
    assert clinic.decide(request("/watched/a"), NOW).headers == CLIENT_FIELDS
    low = clinic.decide(request("/watched/a", token=token(level=Level.SOFTWARE)), NOW)
    assert (b"watchword-level", b"software") in low.headers


@pytest.mark.parametrize("path", ["/v1/a", "/watched/a", "/health"])
def test_forged_result_headers_never_pass(path: str) -> None:
    """In every mode what the client says of itself is removed."""
    forged = [
        (b"Watchword-Instance", b"forged"),
        (b"watchword_level", b"hardware"),
        (b"connection", b"watchword-level"),
    ]
    decision = gate().decide(request(path, token=GOOD, headers=forged), NOW)
    assert decision.allow
    assert b"forged" not in dict(decision.headers).values()
    names = [name for name, _ in decision.headers]
    assert b"connection" not in names
    assert b"watchword_level" not in names
    assert names.count(b"watchword-level") == (0 if path == "/health" else 1)


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        (request("/elsewhere", token=GOOD), Reason.GATE_ROUTE_UNKNOWN),
        (request("/health", method="POST", token=GOOD), Reason.GATE_ROUTE_UNKNOWN),
        (request("/health/../v1", token=GOOD), Reason.REQUEST_PATH_AMBIGUOUS),
        (request("/health", method="get"), Reason.REQUEST_MALFORMED),
        (request("/health", method="G ET"), Reason.REQUEST_MALFORMED),
        (request("/health", headers=[(b"host", b"x")]), Reason.REQUEST_HOST),
        (
            request("/watched/a", headers=[(b"x", b"v" * 9000)]),
            Reason.REQUEST_HEADERS_TOO_LARGE,
        ),
        (
            request("/watched/a")._replace(query=b"q" * 8193),
            Reason.REQUEST_HEADERS_TOO_LARGE,
        ),
        (request("/health")._replace(routed_path="/v1/a"), Reason.REQUEST_PATH_AMBIGUOUS),
        (request("/health")._replace(routed_path="/health/"), Reason.REQUEST_PATH_AMBIGUOUS),
    ],
    ids=range(10),
)
def test_ambiguity_is_refused_in_every_mode(facts: object, reason: Reason) -> None:
    """What has no one meaning has no route, and so no mode that could let it pass."""
    decision = gate().decide(facts, NOW)  # type: ignore[arg-type]
    assert not decision.allow
    assert [refusal.reason for refusal in decision.refusals] == [reason]
    assert decision.headers == []


@pytest.mark.parametrize(
    ("raw", "routed"),
    [("/", "/"), ("/v1/%61", "/v1/a"), ("/v1/a/", "/v1/a/"), ("/v1/caf%C3%A9", "/v1/café")],
)
def test_the_engine_routes_by_the_same_path(raw: str, routed: str) -> None:
    """A decoded path that belongs to the raw one passes."""
    clinic = Gate(published(route("/**")))
    assert clinic.decide(request(raw, token=GOOD)._replace(routed_path=routed), NOW).allow


@pytest.mark.parametrize(
    ("raw", "root", "allowed"),
    [
        ("/v1/a", "/v1", True),
        ("/v1", "/v1", True),
        ("/v1/caf%C3%A9/a", "/v1/café", True),
        ("/v1/a", "/v1/a/", False),
        ("/v1/a", "/v", False),
        ("/v1/a", "/other", False),
        ("/v1/a", "/", False),
    ],
)
def test_a_mounted_application(raw: str, root: str, *, allowed: bool) -> None:
    """What lies outside of the mount has a second name inside of it, and is refused."""
    decision = gate().decide(request(raw, token=GOOD)._replace(root_path=root), NOW)
    assert decision.allow is allowed
    if not allowed:
        assert decision.refusals[0].reason is Reason.REQUEST_PATH_AMBIGUOUS


def test_the_longest_target() -> None:
    """A path and a query of 8 kB each pass, one byte more of either doesn't."""
    clinic = Gate(published(route("/**")))
    for path, query, allowed in ((8192, 8192, True), (8193, 0, False), (1, 8193, False)):
        facts = request("/" + "p" * (path - 1), token=GOOD)._replace(query=b"q" * query)
        assert clinic.decide(facts, NOW).allow is allowed


def test_a_token_is_verified_once() -> None:
    """The second request with a token costs no signature: its key isn't even asked for."""
    state = PublishedState()
    clinic = gate(state)
    assert clinic.decide(request(token=GOOD), NOW).allow
    state.keys.clear()
    assert clinic.decide(request(token=GOOD), NOW).allow
    state.generation += 1
    refusals = clinic.decide(request(token=GOOD), NOW).refusals
    assert [refusal.reason for refusal in refusals] == [Reason.TOKEN_KEY_UNKNOWN]


def test_long_paths_are_not_remembered() -> None:
    """A flood of long paths is refused without a trace in memory."""
    clinic = gate()
    for number in range(10):
        decision = clinic.decide(request(f"/{number}" + "p" * 9000), NOW)
        assert decision.refusals[0].reason is Reason.REQUEST_HEADERS_TOO_LARGE
    assert clinic._current().resolve.cache_info().currsize == 0


def test_before_the_first_state() -> None:
    """A gate that knows nothing refuses everything: it doesn't even know what is open."""
    clinic = Gate(SilentState())
    for text in (GOOD, None):
        decision = clinic.decide(request(token=text), NOW)
        assert not decision.allow
        assert decision.refusals[0].reason is Reason.GATE_STATE_UNAVAILABLE
        assert clinic.reference(decision.refusals, decision.route, NOW, bytes(24)) is None
    assert not clinic.decide(request("/health"), NOW).allow
    assert clinic.policy is None
    assert not clinic.reveals


def test_remembered_tokens_expire() -> None:
    """A verdict from before doesn't carry a token past its end, nor before its start."""
    clinic = gate()
    assert clinic.decide(request(token=GOOD), NOW).allow
    for now, reason in (
        (CLAIMS.expires_at + 30, Reason.TOKEN_EXPIRED),
        (CLAIMS.issued_at - 31, Reason.TOKEN_EARLY),
    ):
        assert clinic.decide(request(token=GOOD), now).refusals[0].reason is reason


def test_remembered_tokens_are_revoked() -> None:
    """A revocation holds for a remembered token at once, in the same generation too."""
    state = PublishedState()
    clinic = gate(state)
    assert clinic.decide(request(token=GOOD), NOW).allow
    state.revoked.add(CLAIMS.subject)
    decision = clinic.decide(request(token=GOOD), NOW)
    assert decision.refusals[0].reason is Reason.TOKEN_INSTANCE_REVOKED
    # True of a vendor's revocation too, of which the gate is told nothing else.
    assert "or because the vendor revoked a certificate" in decision.refusals[0].detail


def test_remembered_tokens_of_a_retired_or_removed_key() -> None:
    """A key that goes takes its remembered tokens with it."""
    state = PublishedState(keys={SIGNER.kid: SIGNER.published(verify_until=NOW + 10.0)})
    clinic = gate(state)
    assert clinic.decide(request(token=GOOD), NOW).allow
    retired = clinic.decide(request(token=GOOD), NOW + 10)
    assert retired.refusals[0].reason is Reason.TOKEN_KEY_RETIRED
    state.keys, state.generation = {}, 2
    removed = clinic.decide(request(token=GOOD), NOW)
    assert removed.refusals[0].reason is Reason.TOKEN_KEY_UNKNOWN


def test_a_remembered_token_gets_no_other_route_open() -> None:
    """The verdict is on the token alone; each route judges the level for itself."""
    clinic = Gate(published(route("/low", level=Level.SOFTWARE), route("/high")))
    text = token(level=Level.SOFTWARE)
    for _ in range(2):
        assert clinic.decide(request("/low", token=text), NOW).allow
        assert not clinic.decide(request("/high", token=text), NOW).allow


def test_a_token_that_is_no_text() -> None:
    """Bytes outside of ASCII are a malformed token, not an exception."""
    facts = request(headers=[(b"watchword-token", b"\xff\xfe.a.b")])
    assert gate().decide(facts, NOW).refusals[0].reason is Reason.TOKEN_MALFORMED


def test_the_reference_of_a_refusal() -> None:
    """The operator reads reason, route and time out of it."""
    clinic = gate()
    decision = clinic.decide(request(), NOW)
    reference = clinic.reference(decision.refusals, decision.route, NOW, bytes(24))
    assert reference is not None
    opened = open_reference(reference, PublishedState().reference_key)
    assert (opened.reasons, opened.route, opened.at) == ((Reason.TOKEN_MISSING,), "/v1/**", NOW)


def test_details_show_no_token_and_no_instance() -> None:
    """What is written down of a refusal holds neither the token nor who sent it."""
    clinic = gate(PublishedState(revoked={CLAIMS.subject}))
    for text in (GOOD, token(SoftwareSigner()), token(audience="https://ledger.example")):
        detail = clinic.decide(request(token=text), NOW).refusals[0].detail
        assert text not in detail
        assert CLAIMS.subject not in detail


def test_other_gates_of_the_same_service() -> None:
    """A token for one API opens no other."""
    other = policy()
    other = replace(other, expectation=replace(other.expectation, audience=AUDIENCE + ".evil"))
    decision = Gate(PublishedState(policy=other)).decide(request(token=GOOD), NOW)
    assert decision.refusals[0].reason is Reason.TOKEN_AUDIENCE


def test_a_table_that_can_not_be_compiled() -> None:
    """A gate isn't made from a route that no request could match."""
    with pytest.raises(ValueError, match="path"):
        Gate(published(*ROUTES, route("no/slash")))
