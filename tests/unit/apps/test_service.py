"""Speak to the public listener: enrol, renew, and send what nobody should."""

import asyncio
import json
import re
from collections.abc import Iterator, MutableMapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.apps.service_bench import Caller, ServiceBench, service_bench
from tests.unit.enrolment.simulators import (
    CLINIC,
    ISSUER,
    LEDGER,
    POLICY,
    CredulousVerifier,
    SimulatedPhone,
)

from watchword.adapters.nodes import OnlyNode
from watchword.apps.service.app import (
    MAX_ARRIVING,
    MAX_BODY_BYTES,
    Application,
    BodyReader,
    MethodError,
    Route,
    find_route,
)
from watchword.apps.service.openapi import DOCUMENT
from watchword.apps.service.operator import OPERATOR_ROUTES
from watchword.apps.service.public import PUBLIC_ROUTES
from watchword.attestation.interface import AppRegistration
from watchword.encoding import base64url
from watchword.enrolment.interface import AppraisedEvidence, Statement
from watchword.gate.references import open_reference
from watchword.reasons import Reason, RefusedError
from watchword.tokens.interface import TokenExpectation
from watchword.tokens.service import verify
from watchword.vocabulary import Environment


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[ServiceBench]:
    """Return a service on a fresh state directory."""
    made = service_bench(tmp_path)
    yield made
    made.store.close()


def reason_in(bench: ServiceBench, answer: httpx.Response) -> Reason:
    """Open the reference of a refusal, as ``watchword explain`` does."""
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["cache-control"] == "no-store"
    document = answer.json()
    assert document["status"] == answer.status_code
    assert document["type"].startswith("urn:watchword:problem:")
    key = bench.keyring.ring.reference_key
    return open_reference(document["ref"], key).reasons[0]


def test_challenge_enrol_token_renew(bench: ServiceBench) -> None:
    """The whole way of a phone: challenge, enrolment, token, renewal; a gate accepts both."""
    phone = SimulatedPhone(audiences=(CLINIC, LEDGER))

    async def way(call: Caller) -> tuple[dict[str, Any], httpx.Response]:
        await bench.service.start()
        enrolled = await call.enrol(phone)
        renewed = await call.renew(phone, enrolled["instance"])
        await bench.service.stop()
        return enrolled, renewed

    enrolled, renewed = bench.run(way)
    assert enrolled["level"] == "hardware"
    assert [token["aud"] for token in enrolled["tokens"]] == [CLINIC, LEDGER]
    assert {token["expires_in"] for token in enrolled["tokens"]} == {300}
    assert renewed.status_code == 200
    assert renewed.headers["cache-control"] == "no-store"
    assert renewed.json().keys() == enrolled.keys()
    assert enrolled["now"] == renewed.json()["now"] == int(bench.clock.timestamp())
    for token in (*enrolled["tokens"], *renewed.json()["tokens"]):
        expectation = TokenExpectation(ISSUER, token["aud"], Environment.PROD)
        claims = verify(token["token"], expectation, bench.gate(), bench.clock.timestamp())
        assert claims.key == phone.proof_jwk


def test_the_next_renewal_needs_no_challenge(bench: ServiceBench) -> None:
    """A service says that it speaks 1.1; what came with the tokens renews, and what came with those does again."""
    phone = SimulatedPhone()

    async def way(call: Caller) -> list[httpx.Response]:
        asked = await call.public.post(
            "/v1/challenges", json={"app": phone.app, "purpose": "enrol"}
        )
        answers = [
            asked,
            await call.attest(phone, base64url.decode(asked.json()["challenge"])),
        ]
        for _ in range(2):
            bench.clock.advance(299)
            last = answers[-1].json()
            answers.append(
                await call.renew_with(
                    phone, last["instance"], base64url.decode(last["next"]["challenge"])
                )
            )
        return answers

    asked, *answers = bench.run(way)
    assert asked.json()["protocol"] == "1.1"
    assert [answer.status_code for answer in answers] == [201, 200, 200]
    assert {answer.json()["next"]["expires_in"] for answer in answers} == {300}
    assert [answer.json()["now"] for answer in answers] == [
        int(bench.clock.timestamp()) - past for past in (598, 299, 0)
    ]


@pytest.mark.parametrize(
    ("purpose", "asked", "claimed"),
    [
        ("enrol", True, True),
        ("enrol", False, False),
        ("renew", True, True),
        ("renew", False, False),
    ],
)
def test_a_device_may_stand_for_sessions(
    tmp_path: Path, purpose: str, *, asked: bool, claimed: bool
) -> None:
    """Tokens say so where the statement asks and the API's settings say yes, and each statement asks anew."""
    policy = replace(POLICY, device_for_session=frozenset({LEDGER}))
    bench = service_bench(tmp_path, policy=policy)
    phone = SimulatedPhone(audiences=(CLINIC, LEDGER))
    wish: dict[str, Any] = {"prf": "device"} if asked else {}

    async def way(call: Caller) -> dict[str, Any]:
        await bench.service.start()
        # A renewal asks for itself: what the enrolment said counts no more.
        other: dict[str, Any] = {} if asked else {"prf": "device"}
        first = wish if purpose == "enrol" else other
        enrolled = (await call.attest(phone, await call.challenge(phone), **first)).json()
        if purpose == "enrol":
            await bench.service.stop()
            return dict(enrolled)
        challenge = base64url.decode(enrolled["next"]["challenge"])
        renewed = await call.renew_with(phone, enrolled["instance"], challenge, **wish)
        await bench.service.stop()
        return dict(renewed.json())

    document = bench.run(way)
    said = {}
    for token in document["tokens"]:
        expectation = TokenExpectation(ISSUER, token["aud"], Environment.PROD)
        claims = verify(token["token"], expectation, bench.gate(), bench.clock.timestamp())
        said[token["aud"]] = claims.device_for_session
        assert token["session_key"]
    assert said == {CLINIC: False, LEDGER: claimed}
    bench.store.close()


def test_refusal_tells_the_class_and_hides_the_reason(bench: ServiceBench) -> None:
    """A refused client learns the class; the reason is in the reference, for the operator."""
    phone = SimulatedPhone()

    async def twice(call: Caller) -> httpx.Response:
        challenge = await call.challenge(phone)
        await call.attest(phone, challenge)
        return await call.attest(SimulatedPhone(), challenge)

    answer = bench.run(twice)
    assert answer.status_code == 409
    assert answer.json()["type"] == "urn:watchword:problem:challenge-refused"
    assert Reason.CHALLENGE_USED.code not in answer.text
    assert answer.json().keys() == {"type", "title", "status", "now", "ref"}
    assert answer.json()["now"] == int(bench.clock.timestamp())
    assert reason_in(bench, answer) is Reason.CHALLENGE_USED
    counted = bench.log.counts()
    assert counted[Reason.CHALLENGE_USED, "POST /v1/attestations"] == 1


def test_lab_shows_its_reasons(tmp_path: Path) -> None:
    """In the lab the developer is the only attacker, and reads the reason at once."""
    bench = service_bench(tmp_path, policy=replace(POLICY, environment=Environment.LAB))
    answer = bench.run(
        lambda call: call.public.post("/v1/challenges", json={"app": "x", "purpose": "enrol"})
    )
    assert answer.json()["reasons"] == ["statement.app_unknown"]
    bench.store.close()


GOOD = b'{"app":"clinic-ios","purpose":"enrol"}'
JSON = {"content-type": "application/json"}


@pytest.mark.parametrize(
    ("path", "content", "headers", "status", "reason"),
    [
        ("/v1/challenges", GOOD, {}, 415, Reason.REQUEST_MEDIA_TYPE),
        ("/v1/challenges", GOOD, {"content-type": "text/json"}, 415, Reason.REQUEST_MEDIA_TYPE),
        ("/v1/challenges", b"", JSON, 400, Reason.ENCODING_JSON),
        ("/v1/challenges", b"[]", JSON, 400, Reason.ENCODING_JSON),
        ("/v1/challenges", b"\xff", JSON, 400, Reason.ENCODING_JSON),
        ("/v1/challenges", b'{"app":1,"app":2}', JSON, 400, Reason.ENCODING_JSON),
        ("/v1/challenges", b'{"a":' * 9000, JSON, 400, Reason.ENCODING_JSON),
        ("/v1/challenges", b'{"app":NaN,"purpose":"enrol"}', JSON, 400, Reason.ENCODING_JSON),
        ("/v1/challenges", b"{}", JSON, 400, Reason.REQUEST_MALFORMED),
        ("/v1/challenges", b'{"app":"a","purpose":"x"}', JSON, 400, Reason.REQUEST_MALFORMED),
        ("/v1/challenges", b'{"app":"a","purpose":[]}', JSON, 400, Reason.REQUEST_MALFORMED),
        ("/v1/challenges", b'{"app":7,"purpose":"enrol"}', JSON, 400, Reason.REQUEST_MALFORMED),
        (
            "/v1/challenges",
            b'{"app":"a","purpose":"enrol","x":1}',
            JSON,
            400,
            Reason.REQUEST_MALFORMED,
        ),
        (
            "/v1/challenges",
            b'{"app":"a","purpose":"enrol"}',
            JSON,
            403,
            Reason.STATEMENT_APP_UNKNOWN,
        ),
        ("/v1/challenges", b" " * 65537, JSON, 413, Reason.REQUEST_BODY_TOO_LARGE),
        (
            "/v1/attestations",
            b'{"statement":"!","evidence":{}}',
            JSON,
            400,
            Reason.ENCODING_BASE64URL,
        ),
        (
            "/v1/attestations",
            b'{"statement":"e30","evidence":[]}',
            JSON,
            400,
            Reason.REQUEST_MALFORMED,
        ),
        (
            "/v1/attestations",
            b'{"statement":"e30","evidence":{}}',
            JSON,
            400,
            Reason.STATEMENT_VERSION,
        ),
        (
            "/v1/tokens",
            b'{"instance":"","statement":"e30","evidence":{}}',
            JSON,
            400,
            Reason.REQUEST_MALFORMED,
        ),
        (
            "/v1/attestations",
            b'{"statement":"' + b"A" * 5470 + b'","evidence":{}}',
            JSON,
            400,
            Reason.REQUEST_MALFORMED,
        ),
        ("/v1/challenge", GOOD, JSON, 404, Reason.REQUEST_NOT_FOUND),
        ("/v1/instances", GOOD, JSON, 404, Reason.REQUEST_NOT_FOUND),
        ("/healthz", GOOD, JSON, 405, Reason.REQUEST_METHOD),
        ("/v1/challenges?a=1&a=2", GOOD, JSON, 400, Reason.REQUEST_MALFORMED),
        ("/v1/challenges?" + "a" * 2000, GOOD, JSON, 400, Reason.REQUEST_MALFORMED),
        ("/v1/../v1/challenges", GOOD, JSON, 404, Reason.REQUEST_NOT_FOUND),
        ("/v1/%2e%2e/challenges", GOOD, JSON, 400, Reason.REQUEST_PATH_AMBIGUOUS),
    ],
)
def test_bad_request_is_a_problem_with_its_reason(
    bench: ServiceBench,
    path: str,
    content: bytes,
    headers: dict[str, str],
    status: int,
    reason: Reason,
) -> None:
    """Every kind of bad request has its own reason and its class's status."""
    if path == "/v1/../v1/challenges":
        # The client itself resolves this path; it stands here to show that nothing is served.
        path = "/v1/v1/challenges"
    answer = bench.run(lambda call: call.public.post(path, content=content, headers=headers))
    assert answer.status_code == status
    assert reason_in(bench, answer) is reason


def test_charset_of_a_media_type_is_let_pass(bench: ServiceBench) -> None:
    """A parameter behind the media type is no reason to refuse."""
    headers = {"content-type": "Application/JSON; charset=utf-8"}
    answer = bench.run(
        lambda call: call.public.post("/v1/challenges", content=GOOD, headers=headers)
    )
    assert answer.status_code == 200


def test_method_that_is_not_served_names_those_that_are(bench: ServiceBench) -> None:
    """A 405 has an Allow field (RFC 9110 section 15.5.6)."""
    answer = bench.run(lambda call: call.public.get("/v1/challenges"))
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


@pytest.mark.parametrize("routes", [PUBLIC_ROUTES, OPERATOR_ROUTES], ids=["public", "operator"])
def test_what_a_path_allows_is_what_it_serves(routes: Sequence[Route]) -> None:
    """Of each path, written out or filled in, by every method that there is."""
    written = {
        route.path: {each.method for each in routes if each.path == route.path} for route in routes
    }
    for path, served in written.items():
        segments = tuple(re.sub(r"{[a-z]+}", "an-id", path).strip("/").split("/"))
        for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "QUERY"):
            if ("GET" if method == "HEAD" else method) in served:
                assert find_route(routes, method, segments)[0].path == path
            else:
                with pytest.raises(MethodError) as refused:
                    find_route(routes, method, segments)
                assert set(refused.value.allowed) == served, path


@pytest.mark.parametrize("method", ["GET", "OPTIONS", "PUT"])
def test_reports_of_pins_are_sent_and_not_asked_for(bench: ServiceBench, method: str) -> None:
    """Nobody's app is called "reports": the description has the path of its own."""
    answer = bench.run(lambda call: call.public.request(method, "/v1/pins/reports"))
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    described = {name.upper() for name in DOCUMENT["paths"]["/v1/pins/reports"]}
    assert described == {"POST"}


class Wire:
    """Send raw ASGI messages to an application and keep what it answers."""

    def __init__(self, messages: Sequence[MutableMapping[str, Any]], stall: bool = False) -> None:
        """Keep the messages; after the last one be silent for ever, or say that the client left."""
        self.messages = list(messages)
        self.sent: list[MutableMapping[str, Any]] = []
        self.stall = stall
        self.received = 0

    async def receive(self) -> MutableMapping[str, Any]:
        """Give the next message."""
        if self.messages:
            self.received += 1
            return self.messages.pop(0)
        if self.stall:
            await asyncio.Event().wait()
        return {"type": "http.disconnect"}

    async def send(self, message: MutableMapping[str, Any]) -> None:
        """Keep an answer."""
        self.sent.append(message)

    def answer(self) -> httpx.Response:
        """Return what was answered."""
        start, body = self.sent
        return httpx.Response(start["status"], headers=start["headers"], content=body["body"])


def raw_scope(headers: Sequence[tuple[bytes, bytes]], **changes: Any) -> dict[str, Any]:
    """Return the scope of a request to ``/v1/challenges``."""
    return {
        "type": "http",
        "method": "POST",
        "path": "/v1/challenges",
        "raw_path": b"/v1/challenges",
        "query_string": b"",
        "headers": list(headers),
    } | changes


HOST = (b"host", b"watchword.example")
TYPE = (b"content-type", b"application/json")


def test_declared_size_is_refused_before_a_byte_is_read(bench: ServiceBench) -> None:
    """A body that says it is too large isn't read at all."""
    wire = Wire([{"type": "http.request", "body": b"x", "more_body": True}])
    scope = raw_scope([HOST, TYPE, (b"content-length", str(MAX_BODY_BYTES + 1).encode())])
    asyncio.run(bench.service.public_app(scope, wire.receive, wire.send))
    assert wire.answer().status_code == 413
    assert wire.received == 0


def test_undeclared_size_is_counted_while_reading(bench: ServiceBench) -> None:
    """A chunked body is given up at the cap; what follows isn't read."""
    chunk = {"type": "http.request", "body": b" " * 16384, "more_body": True}
    wire = Wire([dict(chunk) for _ in range(1000)])
    scope = raw_scope([HOST, TYPE, (b"transfer-encoding", b"chunked")])
    asyncio.run(bench.service.public_app(scope, wire.receive, wire.send))
    assert wire.answer().status_code == 413
    assert wire.received == 5


def test_slow_body_times_out() -> None:
    """A body that doesn't arrive in time is refused."""
    wire = Wire([{"type": "http.request", "body": b"{", "more_body": True}], stall=True)
    with pytest.raises(RefusedError) as caught:
        asyncio.run(BodyReader().read({}, wire.receive, seconds=0.05))
    assert caught.value.reason is Reason.REQUEST_TIMEOUT
    assert caught.value.reason.public.status == 408


def test_body_that_ends_early_is_refused(bench: ServiceBench) -> None:
    """A body whose framing breaks off is a fault of the request, not one of the service."""
    wire = Wire([{"type": "http.request", "body": b"{", "more_body": True}])
    asyncio.run(bench.service.public_app(raw_scope([HOST, TYPE]), wire.receive, wire.send))
    assert wire.answer().status_code == 400
    assert reason_in(bench, wire.answer()) is Reason.REQUEST_FRAMING


@pytest.mark.parametrize(
    ("name", "value", "status"),
    [
        (b"content-type", b"application/json; charset=utf-16", 415),
        (b"content-type", b"application/json;charset=latin1", 415),
        (b"content-type", b'Application/JSON; Charset="UTF-8"', 200),
        (b"content-encoding", b"gzip", 415),
        (b"content-encoding", b"identity", 200),
    ],
)
def test_body_says_what_it_is(bench: ServiceBench, name: bytes, value: bytes, status: int) -> None:
    """Another charset or a compression isn't overlooked."""
    headers = [HOST, (name, value)] if name == TYPE[0] else [HOST, TYPE, (name, value)]
    wire = Wire([{"type": "http.request", "body": GOOD}])
    asyncio.run(bench.service.public_app(raw_scope(headers), wire.receive, wire.send))
    assert wire.answer().status_code == status


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ([TYPE], Reason.REQUEST_HOST),
        ([HOST, HOST, TYPE], Reason.REQUEST_HOST),
        (
            [HOST, TYPE, (b"content-length", b"1"), (b"content-length", b"2")],
            Reason.REQUEST_FRAMING,
        ),
        (
            [HOST, TYPE, (b"content-length", b"1"), (b"transfer-encoding", b"chunked")],
            Reason.REQUEST_FRAMING,
        ),
        ([HOST, TYPE, (b"content-length", b"-1")], Reason.REQUEST_FRAMING),
        ([HOST, TYPE, *[(b"x", b"y")] * 200], Reason.REQUEST_HEADERS_TOO_LARGE),
        ([HOST, TYPE, (b"x", b"y" * 10_000)], Reason.REQUEST_HEADERS_TOO_LARGE),
    ],
)
def test_ambiguous_headers_are_refused(
    bench: ServiceBench, headers: list[tuple[bytes, bytes]], reason: Reason
) -> None:
    """What two parsers could read in two ways isn't read."""
    wire = Wire([{"type": "http.request", "body": GOOD}])
    asyncio.run(bench.service.public_app(raw_scope(headers), wire.receive, wire.send))
    assert reason_in(bench, wire.answer()) is reason


def test_websocket_is_closed(bench: ServiceBench) -> None:
    """The service speaks HTTP alone."""
    wire = Wire([{"type": "websocket.connect"}])
    asyncio.run(bench.service.public_app({"type": "websocket"}, wire.receive, wire.send))
    assert wire.sent == [{"type": "websocket.close", "code": 1008}]


def test_server_may_start_and_stop_the_application(bench: ServiceBench) -> None:
    """The application agrees to the lifespan protocol."""
    wire = Wire([{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}])
    asyncio.run(bench.service.public_app({"type": "lifespan"}, wire.receive, wire.send))
    assert [message["type"] for message in wire.sent] == [
        "lifespan.startup.complete",
        "lifespan.shutdown.complete",
    ]


def test_slow_bodies_make_room_for_quick_ones(bench: ServiceBench) -> None:
    """However many slow bodies there are, a quick request is served; the slowest is sent away."""

    async def scenario() -> tuple[Wire, Wire, int]:
        slow = [Wire([], stall=True) for _ in range(MAX_ARRIVING)]
        tasks = [
            asyncio.create_task(
                bench.service.public_app(raw_scope([HOST, TYPE]), wire.receive, wire.send)
            )
            for wire in slow
        ]
        await asyncio.sleep(0.05)
        quick = Wire([{"type": "http.request", "body": GOOD}])
        await bench.service.public_app(raw_scope([HOST, TYPE]), quick.receive, quick.send)
        await tasks[0]
        waiting = sum(not task.done() for task in tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return quick, slow[0], waiting

    quick, oldest, waiting = asyncio.run(scenario())
    assert quick.answer().status_code == 200
    assert oldest.answer().status_code == 503
    assert oldest.answer().headers["retry-after"] == "2"
    assert reason_in(bench, oldest.answer()) is Reason.SERVICE_OVERLOADED
    assert waiting == MAX_ARRIVING - 1


def test_head_is_answered_like_get(bench: ServiceBench) -> None:
    """A load balancer that asks with HEAD learns the state; a POST route stays closed to it."""

    async def heads(caller: Caller) -> list[int]:
        paths = ("/healthz", "/.well-known/jwks.json", "/v1/challenges")
        return [(await caller.public.head(path)).status_code for path in paths]

    assert bench.run(heads) == [200, 200, 405]


class BrokenVerifier(CredulousVerifier):
    """Fail in a way that nobody foresaw."""

    async def appraise(
        self, evidence: Any, statement: Statement, app: AppRegistration, now: object
    ) -> AppraisedEvidence:
        """Raise an error whose text holds a secret."""
        raise ZeroDivisionError("secret-in-the-text")


def test_unforeseen_error_shows_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A fault of ours is a 500 without a trace, and the log has its class alone."""
    bench = service_bench(tmp_path, verifier=BrokenVerifier())
    phone = SimulatedPhone()

    async def attempt(call: Caller) -> httpx.Response:
        return await call.attest(phone, await call.challenge(phone))

    answer = bench.run(attempt)
    printed = capsys.readouterr()
    assert answer.status_code == 500
    assert reason_in(bench, answer) is Reason.SERVICE_INTERNAL
    assert "ZeroDivisionError" in printed.out + printed.err
    for text in (answer.text, printed.out, printed.err):
        assert "secret-in-the-text" not in text
        assert "Traceback" not in text
    assert asyncio.run(bench.store.list_instances(10)) == []
    bench.store.close()


def test_failures_do_not_flood_the_log(
    bench: ServiceBench, capsys: pytest.CaptureFixture[str]
) -> None:
    """A hundred failures within ten seconds are one line of log; later there is another one."""
    bench.store.close()

    async def ask(call: Caller) -> None:
        for _ in range(100):
            assert (await call.public.get("/healthz")).status_code == 503
        bench.clock.advance(10)
        await call.public.get("/healthz")

    bench.run(ask)
    printed = capsys.readouterr()
    assert (printed.out + printed.err).count("store.unavailable") == 2
    assert bench.log.counts()[Reason.STORE_UNAVAILABLE, "GET /healthz"] == 101


def test_store_that_cannot_write_is_a_503(tmp_path: Path) -> None:
    """Without room on the disk clients are told to come again, and keys are still served."""
    service_bench(tmp_path).store.close()
    bench = service_bench(tmp_path, max_pages=1)

    async def fill(call: Caller) -> tuple[httpx.Response, httpx.Response]:
        phone = SimulatedPhone()
        answer = await call.attest(phone, await call.challenge(phone))
        for _ in range(500):
            if answer.status_code != 201:
                break
            phone = SimulatedPhone()
            answer = await call.attest(phone, await call.challenge(phone))
        return answer, await call.public.get("/.well-known/jwks.json")

    answer, keys = bench.run(fill)
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "5"
    assert reason_in(bench, answer) is Reason.STORE_UNAVAILABLE
    assert keys.status_code == 200
    bench.store.close()


def test_health_follows_the_store(bench: ServiceBench) -> None:
    """Health is 200 while the store can be written, 503 when it can't."""
    assert bench.run(lambda call: call.public.get("/healthz")).json() == {"status": "ok"}
    bench.store.close()
    answer = bench.run(lambda call: call.public.get("/healthz"))
    assert answer.status_code == 503
    assert "retry-after" in answer.headers


def test_keys_may_be_cached(bench: ServiceBench) -> None:
    """The JWK Set is what the key ring says, and engines may keep it a while."""
    answer = bench.run(lambda call: call.public.get("/.well-known/jwks.json"))
    assert answer.json() == bench.keyring.jwks(bench.clock.timestamp())
    assert answer.headers["cache-control"] == "public, max-age=300"


def test_operator_routes_are_not_public(bench: ServiceBench) -> None:
    """Nothing of the operator's socket is served on the public listener."""
    for path in ("/metrics", "/v1/instances", "/v1/keys", "/v1/audit", "/v1/refusals"):
        answer = bench.run(lambda call, path=path: call.public.get(path))  # type: ignore[misc]
        assert answer.status_code == 404


def test_no_secret_is_logged(bench: ServiceBench, capsys: pytest.CaptureFixture[str]) -> None:
    """An enrolment and a renewal leave no token, challenge, statement or evidence in the log."""
    phone = SimulatedPhone()

    async def way(call: Caller) -> list[str]:
        enrolled = await call.enrol(phone)
        renewed = (await call.renew(phone, enrolled["instance"])).json()
        return [token["token"] for token in (*enrolled["tokens"], *renewed["tokens"])]

    tokens = bench.run(way)
    printed = capsys.readouterr()
    shown = printed.out + printed.err
    assert "enrolled" in shown
    for secret in (*tokens, phone.proof_jwk["x"], phone.seal_jwk["x"], "eyJ", "statement"):
        assert secret not in shown


def described(document: Any, schema: Any) -> None:
    """Hold a document to the parts of JSON Schema that the description uses."""
    if "$ref" in schema:
        schema = DOCUMENT["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    kinds = {"object": dict, "array": list, "string": str, "integer": int, "boolean": bool}
    assert isinstance(document, kinds[schema["type"]])
    if "const" in schema:
        assert document == schema["const"]
    if "enum" in schema:
        assert document in schema["enum"]
    if isinstance(document, str):
        assert len(document) <= schema.get("maxLength", 10**9)
    if isinstance(document, list):
        for each in document:
            described(each, schema["items"])
    if isinstance(document, dict) and "properties" in schema:
        assert set(schema["required"]) <= document.keys() <= schema["properties"].keys()
        for name, value in document.items():
            described(value, schema["properties"][name])


def test_description_has_every_route_and_no_other(bench: ServiceBench) -> None:
    """The API description and the table of routes name the same operations."""
    operations = {
        (method.upper(), path) for path, methods in DOCUMENT["paths"].items() for method in methods
    }
    assert operations == {(route.method, route.path) for route in PUBLIC_ROUTES}
    assert bench.run(lambda call: call.public.get("/openapi.json")).json() == json.loads(
        json.dumps(DOCUMENT)
    )


def test_each_api_has_a_verdict_key_of_its_own(bench: ServiceBench) -> None:
    """What gates of one API sign is no verdict for another; an unknown API has no key."""

    async def keys(call: Caller) -> list[httpx.Response]:
        names = ("clinic", "ledger", "nobody")
        return [await call.public.get(f"/.well-known/verdicts/{name}/jwks.json") for name in names]

    clinic, ledger, nobody = bench.run(keys)
    (key,) = clinic.json()["keys"]
    assert key["kid"] == bench.keyring.verdict_signer(CLINIC).kid
    assert "d" not in key
    assert key != ledger.json()["keys"][0]
    assert reason_in(bench, nobody) is Reason.REQUEST_NOT_FOUND


def test_description_is_true(bench: ServiceBench) -> None:
    """Real answers have the described status, media type and members."""
    phone = SimulatedPhone()

    async def answers(call: Caller) -> dict[tuple[str, str], httpx.Response]:
        challenge = await call.public.post(
            "/v1/challenges", json={"app": phone.app, "purpose": "enrol"}
        )
        attested = await call.attest(phone, await call.challenge(phone))
        return {
            ("/v1/challenges", "post"): challenge,
            ("/v1/attestations", "post"): attested,
            ("/v1/tokens", "post"): await call.renew(phone, attested.json()["instance"]),
            ("/.well-known/jwks.json", "get"): await call.public.get("/.well-known/jwks.json"),
            ("/.well-known/verdicts/{api}/jwks.json", "get"): await call.public.get(
                "/.well-known/verdicts/clinic/jwks.json"
            ),
            ("/healthz", "get"): await call.public.get("/healthz"),
            ("/readyz", "get"): await call.public.get("/readyz"),
            ("/openapi.json", "get"): await call.public.get("/openapi.json"),
        }

    seen = bench.run(answers)
    # Those of pins and secrets are held to it in tests of their own, where there are any.
    elsewhere = ("/v1/pins/", "/v1/secrets")
    routes = [each for each in PUBLIC_ROUTES if not each.path.startswith(elsewhere)]
    assert len(seen) == len(routes)
    for (path, method), answer in seen.items():
        responses = DOCUMENT["paths"][path][method]["responses"]
        content = responses[str(answer.status_code)]["content"]
        described(answer.json(), content[answer.headers["content-type"]]["schema"])
    problem = bench.run(lambda call: call.public.get("/nowhere"))
    described(problem.json(), {"$ref": "#/components/schemas/Problem"})


class _Unlike(OnlyNode):
    """Be a node that differs from the others."""

    def unready(self) -> Sequence[str]:
        """See the port."""
        return ("configuration",)


def test_a_node_that_differs_is_unready_and_well(bench: ServiceBench) -> None:
    """A load balancer sends nothing there, though it could do its work; the answer names the reasons and nothing else."""
    context = replace(bench.service.context, nodes=_Unlike())
    bench.service.public_app = Application(PUBLIC_ROUTES, context, reveal=False)
    answer = bench.run(lambda call: call.public.get("/readyz"))
    assert (answer.status_code, answer.json()) == (
        503,
        {"ready": False, "reasons": ["configuration"]},
    )
    described(answer.json(), {"$ref": "#/components/schemas/Readiness"})
    assert bench.run(lambda call: call.public.get("/healthz")).status_code == 200


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    path=st.sampled_from(["/v1/challenges", "/v1/attestations", "/v1/tokens"]),
    body=st.one_of(
        st.binary(max_size=200),
        st.dictionaries(
            st.sampled_from(["app", "purpose", "instance", "statement", "evidence"]),
            st.one_of(st.none(), st.integers(), st.text(), st.just("e30"), st.just({})),
        ).map(lambda members: json.dumps(members).encode()),
    ),
)
def test_no_body_breaks_the_service(bench: ServiceBench, path: str, body: bytes) -> None:
    """Whatever the body is, the answer is a 4xx problem (or a good one), never a 500."""
    answer = bench.run(lambda call: call.public.post(path, content=body, headers=JSON))
    assert answer.status_code < 500
