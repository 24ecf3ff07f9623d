"""An engine that can pass on no refusal is told of it in fields; no client sees what only the engine may know."""

import asyncio
import json
from dataclasses import dataclass

import pytest
from tests.unit.apps.asgi_client import Answer, answered
from tests.unit.apps.authz.test_authz import about, ask, question
from tests.unit.apps.test_middleware import StoppedClock
from tests.unit.gate.proofs import Prover
from tests.unit.gate.simulators import CLAIMS, NOW, SIGNER, PublishedState, published, route, token

from watchword.adapters.replay.memory import MemoryReplayStore
from watchword.apps.gateway.authz import AuthzApp
from watchword.apps.gateway.authz.application import Credential
from watchword.gate.interface import Rate
from watchword.gate.service import Gate
from watchword.vocabulary import Level, Mode, Proof

GOOD = (b"watchword-token", token().encode())
ROUTES = (
    route("/health", mode=Mode.OFF),
    route("/watched/**", mode=Mode.MONITOR),
    route("/proved/**", proof=Proof.SESSION),
    route("/v1/**"),
)


def app(state: PublishedState | None = None, style: str = "original", **more: object) -> AuthzApp:
    """Return forward auth over a gate."""
    gate = Gate(state or published(*ROUTES), memory=MemoryReplayStore())
    return AuthzApp(gate, style=style, clock=StoppedClock(), **more)  # type: ignore[arg-type]


def told(target: bytes, *fields: tuple[bytes, bytes], **how: object) -> Answer:
    """Ask as nginx does."""
    asked = how.pop("of", None) or app()
    return ask(asked, b"/authz/told", headers=about(target, *fields, **how))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("target", "fields", "status", "reason"),
    [
        (b"/v1/x", (), 401, "token.missing"),
        (b"/v1/../x", (GOOD,), 400, "request.path_ambiguous"),
        (b"/elsewhere", (GOOD,), 403, "gate.route_unknown"),
        (b"/proved/x", (GOOD,), 401, "proof.missing"),
    ],
)
def test_a_refusal_is_a_403_that_says_the_rest(
    target: bytes, fields: tuple[tuple[bytes, bytes], ...], status: int, reason: str
) -> None:
    """Status, problem and what the log is told; the problem is the one that others get as the answer."""
    answer = told(target, *fields)
    assert (answer.status, answer.body) == (403, b"")
    assert answer.headers[b"watchword-refused-status"] == str(status).encode()
    assert answer.headers[b"watchword-refused-reason"] == reason.encode()
    problem = json.loads(answer.headers[b"watchword-refused-problem"])
    assert (problem["status"], problem["ref"]) == (
        status,
        answer.headers[b"watchword-ref"].decode(),
    )
    assert answer.headers[b"content-length"] == b"0"
    assert b"content-type" not in answer.headers
    plain = ask(app(), headers=about(target, *fields))
    assert plain.status == status
    assert json.loads(plain.body)["ref"] == plain.headers[b"watchword-ref"].decode()
    assert not [name for name in plain.headers if name.startswith(b"watchword-refused")]


def test_the_log_is_told_whose_token_it_was() -> None:
    """And on which route; a name that doesn't fit into a field is made to."""
    state = published(route("/v1/**", name="grüße\r\nX: y", proof=Proof.SESSION))
    answer = told(b"/v1/x", GOOD, of=app(state))
    assert answer.headers[b"watchword-refused-instance"] == CLAIMS.subject.encode()
    assert answer.headers[b"watchword-refused-route"] == b"gr??e??X: y"


@pytest.mark.parametrize("at", [b"/authz/told", b"/authz"])
def test_a_late_round_of_questions(at: bytes) -> None:
    """All but the first are turned away unseen, and the log is told; the API's health stays open."""
    guarded = app(wait=0.0)

    async def main() -> list[Answer]:
        targets = (b"/v1/x", b"/v1/x", b"/health")
        return await asyncio.gather(
            *(answered(guarded, question(at, headers=about(t, GOOD))) for t in targets)
        )

    first, late, health = asyncio.run(main())
    assert (first.status, health.status) == (200, 200)
    if at == b"/authz/told":
        assert (late.status, late.headers[b"watchword-refused-status"]) == (403, b"503")
        assert late.headers[b"watchword-refused-reason"] == b"gate.overloaded"
        problem = json.loads(late.headers[b"watchword-refused-problem"])
    else:
        assert (late.status, late.headers[b"retry-after"]) == (503, b"2")
        assert not [name for name in late.headers if name.startswith(b"watchword-refused")]
        problem = json.loads(late.body)
    assert problem["ref"] == late.headers[b"watchword-ref"].decode()


def test_nobody_without_the_credential_is_told_anything() -> None:
    """That the question came to this path changes nothing."""
    known = Credential(b"0123456789abcdef0123456789abcdef")
    answer = told(b"/v1/x", GOOD, of=app(credential=known))
    assert answer.status == 403
    assert answer.headers[b"watchword-refused-status"] == b"403"
    assert b"watchword-level" not in answer.headers


def test_one_that_removes_by_itself_gets_no_empty_result() -> None:
    """At its own path; the others need them to overwrite what a client states."""
    headers = about(b"/health", (b"watchword-level", b"hardware"), prefix=b"x-forwarded-")
    bare = ask(app(style="forwarded"), b"/authz/bare", headers=headers)
    assert (bare.status, b"watchword-level" in bare.headers) == (200, False)
    assert ask(app(style="forwarded"), headers=headers).headers[b"watchword-level"] == b""


@pytest.mark.parametrize("stated", [(), ((b"x-forwarded-content-length", b"0"),)])
def test_where_nothing_is_said_of_a_body_no_proof_is_enough(
    stated: tuple[tuple[bytes, bytes], ...],
) -> None:
    """There may be one that nobody compared; what a client says of it in the engine's place counts for nothing."""
    proof = [each for each in Prover().session(target="/proved/x") if each[0] != b"host"]
    headers = about(b"/proved/x", *proof, *stated, prefix=b"x-forwarded-")
    forwarded = app(style="forwarded")
    assert ask(forwarded, b"/authz/bare", headers=headers).status == 401
    headers = about(b"/proved/x", *proof, prefix=b"x-forwarded-")
    assert ask(forwarded, headers=headers).status == 200


@pytest.mark.parametrize("name", [b"x.forwarded-for", b"x-real_ip", b"x-forwarded!whatever"])
def test_where_no_spelling_can_be_removed_another_sign_is_refused(name: bytes) -> None:
    """At its own path; the other engines remove them all."""
    headers = about(b"/health", (name, b"6.6.6.6"), prefix=b"x-forwarded-")
    forwarded = app(style="forwarded")
    assert ask(forwarded, b"/authz/bare", headers=headers).status == 400
    assert ask(forwarded, headers=headers).status == 200


@pytest.mark.parametrize("path", [b"/authz/told", b"/authz/bare"])
def test_behind_envoy_a_client_chooses_no_way_of_answering(path: bytes) -> None:
    """Its path stands behind ours: a refusal stays one, with nothing that only an engine may know."""
    answer = ask(app(style="envoy"), path, headers=[(b"host", b"clinic.example")])
    assert (answer.status, bool(answer.body)) == (403, True)
    assert not [each for each in answer.headers if each.startswith(b"watchword-refused")]


def test_a_proof_is_said_to_be_taken_and_to_cover_no_body() -> None:
    """So that the engine keeps its fields, and every body, from the API."""
    proof = [each for each in Prover().session(target="/proved/x") if each[0] != b"host"]
    answer = told(b"/proved/x", *proof)
    assert answer.status == 200
    assert (answer.headers[b"watchword-bodiless"], answer.headers[b"watchword-taken"]) == (
        b"1",
        b"1",
    )
    for target in (b"/v1/x", b"/health"):
        answer = told(target, *proof)
        assert answer.status == 200
        assert not {b"watchword-bodiless", b"watchword-taken"} & set(answer.headers)


@pytest.mark.parametrize("framing", [b"content-length", b"transfer-encoding"])
def test_a_proof_of_nothing_covers_no_body_that_nobody_sent(framing: bytes) -> None:
    """The engine keeps a body to itself: the digest of nothing isn't its digest."""
    proof = Prover().session(target="/proved/x", method="POST", body=b"")
    fields = [each for each in proof if each[0] not in {b"host", b"content-length"}]
    told_of = (b"x-original-" + framing, b"1" if framing == b"content-length" else b"chunked")
    answer = told(b"/proved/x", *fields, told_of, method=b"POST")
    assert answer.headers[b"watchword-refused-reason"] == b"proof.body"


def test_a_proof_that_fails_is_taken_too() -> None:
    """Where the route only watches: the fields were for the gate, and no body is kept from the API."""
    watching = app(published(route("/seen/**", mode=Mode.MONITOR, proof=Proof.SESSION)))
    answer = told(b"/seen/x", GOOD, (b"signature", b"watchword=:AAAA:"), of=watching)
    assert (answer.status, answer.headers[b"watchword-taken"]) == (200, b"1")
    assert b"watchword-bodiless" not in answer.headers


@dataclass
class Turning(PublishedState):
    """Publish another generation while a question is judged."""

    asked: int = 0

    def is_revoked(self, subject: str) -> bool:
        """Be asked in the middle of a judgement."""
        self.generation += 1
        return super().is_revoked(subject)


KEEPING = (b"x-original-generation", b"1")


def kept(target: bytes = b"/v1/x", *fields: tuple[bytes, bytes], **how: object) -> int:
    """Return for how many seconds nginx may keep the verdict."""
    answer = told(target, *(fields or (GOOD,)), KEEPING, **how)
    assert answer.status == 200
    return int(answer.headers.get(b"x-accel-expires", b"0"))


def test_a_verdict_that_rests_on_the_token_may_be_kept() -> None:
    """For less than half a minute, and less than the token lives."""
    assert kept() == 29
    for lives, seconds in ((20, 19), (2, 1), (1, 0), (0, 0), (-2, 0)):
        short = (b"watchword-token", token(expires_at=NOW + lives).encode())
        assert kept(b"/v1/x", short) == seconds


def test_a_verdict_is_kept_no_longer_than_its_key() -> None:
    """A key that retires ends it, one that is gone allows none."""
    state = published(*ROUTES)
    state.keys = {SIGNER.kid: SIGNER.published(verify_until=NOW + 7.5)}
    assert kept(of=app(state)) == 6


@pytest.mark.parametrize(
    ("target", "how"),
    [
        (b"/health", {}),
        (b"/watched/x", {}),
        (b"/v1/x", {"of": app(published(*ROUTES, rate=Rate(10, 1)))}),
        (b"/v1/x", {"of": app(signs=True)}),
    ],
)
def test_nothing_else_is_kept(target: bytes, how: dict[str, object]) -> None:
    """Whatever has to see each request."""
    assert kept(target, **how) == 0


def test_a_proved_request_is_never_kept() -> None:
    """Its proof is spent."""
    proof = [each for each in Prover().session(target="/proved/x") if each[0] != b"host"]
    assert kept(b"/proved/x", *proof) == 0


def test_nothing_is_kept_across_a_push() -> None:
    """Neither where engine and gate are of two generations, nor where one came while it was judged."""
    newer = published(*ROUTES)
    newer.generation = 2
    assert kept(of=app(newer)) == 0
    assert kept(of=app(Turning(policy=published(*ROUTES).policy, generation=0))) == 0
    assert kept(of=app(Turning(policy=published(*ROUTES).policy, generation=1))) == 0


def test_only_nginx_is_told_for_how_long() -> None:
    """Elsewhere a client may have written the field that asks for it."""
    answer = ask(app(), headers=about(b"/v1/x", GOOD, KEEPING))
    assert (answer.status, b"x-accel-expires" in answer.headers) == (200, False)
    twice = told(b"/v1/x", GOOD, KEEPING, KEEPING)
    assert twice.headers[b"watchword-refused-status"] == b"400"


def test_refusals_are_never_kept() -> None:
    """Of a level, for one: the next token may have it."""
    low = (b"watchword-token", token(level=Level.SOFTWARE).encode())
    answer = told(b"/v1/x", low, KEEPING)
    assert (answer.status, b"x-accel-expires" in answer.headers) == (403, False)
