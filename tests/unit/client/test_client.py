"""Use the client against a simulated service that follows the protocol, or fails as told."""

import asyncio
import base64
import gzip
import hashlib
import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchword.client import (
    ChallengeRefusedError,
    ClientError,
    DeviceError,
    DeviceErrorKind,
    EvidenceRefusedError,
    InstanceRefusedError,
    ServiceRefusedError,
    ServiceUnavailableError,
    UnreadableAnswerError,
    WatchwordAuth,
    WatchwordClient,
)
from watchword.client.exchange import MAX_ANSWER_BYTES, MAX_ATTEMPTS

AUDIENCE = "https://api.example"
LIFE = 300.0
KEY = {"kty": "EC", "crv": "P-256", "x": "eA", "y": "eQ"}
Answer = httpx.Response | Exception


def problem(slug: str, status: int, **members: Any) -> httpx.Response:
    """Return a problem document of the service."""
    return httpx.Response(
        status,
        headers={"content-type": "application/problem+json"},
        content=json.dumps(
            {"type": f"urn:watchword:problem:{slug}", "title": slug, "status": status} | members
        ),
    )


class SimulatedDevice:
    """Make evidence that the simulated service can check: a hash under a key generation."""

    def __init__(self) -> None:
        self.generation = 0
        self.counter = 0

    @property
    def proof_jwk(self) -> dict[str, str]:
        """Return a key that changes with each generation."""
        return KEY | {"x": f"proof{self.generation}"}

    @property
    def seal_jwk(self) -> dict[str, str]:
        """Return a key that changes with each generation."""
        return KEY | {"x": f"seal{self.generation}"}

    def create_keys(self) -> None:
        """Begin a new generation."""
        self.generation += 1
        self.counter = 0

    def attest(self, binding: bytes) -> dict[str, Any]:
        """Return the binding as evidence."""
        return {"format": "simulated", "binding": binding.hex(), "key": self.generation}

    def renew(self, statement: bytes) -> dict[str, Any]:
        """Return the statement's hash and the next count."""
        self.counter += 1
        return {"hash": hashlib.sha256(statement).hexdigest(), "counter": self.counter}

    def sign(self, message: bytes) -> bytes:
        """Fail: the simulated service's tokens name no key to prove."""
        raise AssertionError("nothing is signed here")

    def open_sealed(self, info: bytes, sealed: bytes) -> bytes:
        """Fail: the simulated service seals nothing."""
        raise AssertionError("nothing is opened here")


@dataclass
class SimulatedService:
    """Follow the protocol in memory; before that, give the answers that a test scripted.

    ``script``: by path, answers to give instead, first come first served.
    """

    script: dict[str, list[Answer]] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    challenges: dict[str, str] = field(default_factory=dict)
    keys: set[int] = field(default_factory=set)
    instances: dict[str, int] = field(default_factory=dict)
    issued: int = 0
    during: Callable[[str], None] | None = None

    def __call__(self, request: httpx.Request) -> httpx.Response:
        """Answer one request."""
        path = request.url.path
        self.calls.append(path)
        if self.during:
            self.during(path)
        if self.script.get(path):
            answer = self.script[path].pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer
        assert request.headers["content-type"] == "application/json"
        body = json.loads(request.content)
        if path == "/v1/challenges":
            assert body["app"] == "clinic"
            challenge = f"challenge-{len(self.calls)}"
            self.challenges[challenge] = body["purpose"]
            return httpx.Response(200, json={"challenge": challenge, "expires_in": 300})
        statement = base64.urlsafe_b64decode(body["statement"] + "===")
        return self.judge(path, body, statement)

    def judge(self, path: str, body: dict[str, Any], raw: bytes) -> httpx.Response:
        """Check a statement and its evidence as the protocol says."""
        statement, evidence = json.loads(raw), body["evidence"]
        purpose = {"/v1/attestations": "enrol", "/v1/tokens": "renew"}[path]
        assert statement["iss"] == "https://attest.example"
        assert statement["purpose"] == purpose
        if self.challenges.pop(statement["challenge"], None) != purpose:
            return problem("challenge-refused", 409)
        if purpose == "enrol":
            assert evidence["binding"] == hashlib.sha256(raw).hexdigest()
            assert evidence["key"] not in self.keys
            self.keys.add(evidence["key"])
            instance = f"instance-{len(self.instances) + 1}"
            self.instances[instance] = 0
        else:
            instance = body["instance"]
            if instance not in self.instances:
                return problem("instance-unknown", 403)
            assert evidence["hash"] == hashlib.sha256(raw).hexdigest()
            assert evidence["counter"] > self.instances[instance]
            self.instances[instance] = evidence["counter"]
        self.issued += 1
        tokens = [
            {"aud": audience, "token": f"secret-{self.issued}-{audience}", "expires_in": LIFE}
            for audience in statement["aud"]
        ]
        return httpx.Response(
            201 if purpose == "enrol" else 200,
            json={"instance": instance, "level": "hardware", "tokens": tokens},
        )


@dataclass
class World:
    """Hold a client and everything around it; time passes only as told."""

    service: SimulatedService = field(default_factory=SimulatedService)
    device: SimulatedDevice = field(default_factory=SimulatedDevice)
    time: float = 1_000_000.0
    jitter: float = 0.5
    pauses: list[float] = field(default_factory=list)

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.pauses.append(seconds)
        self.time += seconds

    def client(self, *audiences: str) -> WatchwordClient:
        """Return a client of the simulated service."""
        return WatchwordClient(
            "https://attest.example",
            "clinic",
            self.device,
            audiences or [AUDIENCE],
            clock=lambda: self.time,
            boot=lambda: self.time,
            jitter=lambda: self.jitter,
            sleep=self.sleep,
            transport=httpx.MockTransport(self.service),
        )


@pytest.fixture
def world() -> World:
    """Return a world in which everything works."""
    return World()


@pytest.fixture
def client(world: World) -> Iterator[WatchwordClient]:
    """Return a client of that world."""
    with world.client() as client:
        yield client


ENROLMENT = ["/v1/challenges", "/v1/attestations"]
RENEWAL = ["/v1/challenges", "/v1/tokens"]


def test_the_first_token_enrols(world: World, client: WatchwordClient) -> None:
    """A client without an instance gets one, and its token."""
    assert client.export_session() is None
    assert client.token(AUDIENCE) == f"secret-1-{AUDIENCE}"
    assert world.service.calls == ENROLMENT
    assert client.level == "hardware"
    assert client.instance == "instance-1"


def test_a_fresh_token_is_used_again(world: World, client: WatchwordClient) -> None:
    """Most requests cost the service nothing."""
    client.enrol()
    world.time += LIFE * 0.59
    assert client.token(AUDIENCE) == client.token(AUDIENCE)
    assert world.service.calls == ENROLMENT


@pytest.mark.parametrize(("jitter", "share"), [(0.0, 0.6), (0.5, 0.7), (0.999, 0.7998)])
def test_renewal_comes_at_a_random_point_before_expiry(
    world: World, client: WatchwordClient, jitter: float, share: float
) -> None:
    """Between 60 % and 80 % of its life a token is replaced, where in between is chance."""
    world.jitter = jitter
    client.enrol()
    start = world.time
    world.time = start + LIFE * share - 1
    assert client.token(AUDIENCE) == f"secret-1-{AUDIENCE}"
    world.time = start + LIFE * share + 1
    assert client.token(AUDIENCE) == f"secret-2-{AUDIENCE}"
    assert world.service.calls == ENROLMENT + RENEWAL


def test_one_renewal_serves_every_audience(world: World) -> None:
    """Tokens of several APIs are renewed together."""
    client = world.client("a", "b")
    assert (client.token("a"), client.token("b")) == ("secret-1-a", "secret-1-b")
    world.time += LIFE
    assert (client.token("a"), client.token("b")) == ("secret-2-a", "secret-2-b")
    assert world.service.calls == ENROLMENT + RENEWAL


def test_an_outage_is_not_noticed_while_the_token_is_valid(
    world: World, client: WatchwordClient
) -> None:
    """An early renewal is tried once, without a pause, and put off when it fails."""
    client.enrol()
    world.time += LIFE * 0.75
    world.service.script["/v1/challenges"] = [httpx.ConnectError("down")]
    assert client.token(AUDIENCE) == client.token(AUDIENCE) == f"secret-1-{AUDIENCE}"
    assert world.service.calls == [*ENROLMENT, "/v1/challenges"]
    assert world.pauses == []
    world.time += LIFE * 0.25 * 0.2
    assert client.token(AUDIENCE) == f"secret-2-{AUDIENCE}"


def test_after_expiry_an_outage_is_an_error_and_no_placeholder(
    world: World, client: WatchwordClient
) -> None:
    """Neither an expired token nor anything else stands in for one."""
    client.enrol()
    world.time += LIFE
    world.service.script["/v1/challenges"] = [httpx.ConnectError("down")] * MAX_ATTEMPTS
    with pytest.raises(ServiceUnavailableError) as caught:
        client.token(AUDIENCE)
    assert caught.value.attempts == MAX_ATTEMPTS
    assert client.token(AUDIENCE) == f"secret-2-{AUDIENCE}"


@pytest.mark.parametrize(
    "failure",
    [
        httpx.ConnectError("refused"),
        httpx.ReadTimeout("slow"),
        httpx.RemoteProtocolError("cut"),
        httpx.Response(503),
        httpx.Response(502, text="<html>"),
        httpx.Response(429),
        httpx.Response(500),
    ],
)
def test_passing_failures_are_tried_again(
    world: World, client: WatchwordClient, failure: Answer
) -> None:
    """The network and an overloaded service get more time with each attempt."""
    world.service.script["/v1/challenges"] = [failure, failure, failure]
    client.enrol()
    assert world.pauses == [0.25, 0.5, 1.0]


def test_pauses_are_jittered_from_zero(world: World, client: WatchwordClient) -> None:
    """Full jitter: the least pause is none, so that phones spread over the whole span."""
    world.jitter = 0.0
    world.service.script["/v1/challenges"] = [httpx.Response(503)]
    client.enrol()
    assert world.pauses == [0.0]


def test_retry_after_is_kept(world: World, client: WatchwordClient) -> None:
    """A pause is never shorter than the service asked for."""
    busy = problem("unavailable", 503)
    busy.headers["retry-after"] = "5"
    world.service.script["/v1/attestations"] = [busy]
    client.enrol()
    assert world.pauses == [5.25]


@pytest.mark.parametrize("text", ["", "soon", "-1", "Wed, 21 Oct 2026 07:28:00 GMT", "9" * 4000])
def test_an_odd_retry_after_counts_as_none(
    world: World, client: WatchwordClient, text: str
) -> None:
    """Dates, words and giant numbers neither stop the client nor make it wait for ever."""
    world.service.script["/v1/challenges"] = [httpx.Response(503, headers={"retry-after": text})]
    client.enrol()
    assert world.pauses == [0.25]


def test_a_lab_says_why_it_is_not_available(world: World, client: WatchwordClient) -> None:
    """Whoever tries limits of enrolments sees that it was one of them."""
    said = {"type": "urn:watchword:problem:unavailable", "reasons": ["enrolment.limit"]}
    headers = {"retry-after": "60", "content-type": "application/problem+json"}
    world.service.script["/v1/attestations"] = [httpx.Response(503, json=said, headers=headers)]
    with pytest.raises(ServiceUnavailableError, match=r"HTTP 503 \(enrolment\.limit\)"):
        client.enrol()


def test_a_long_retry_after_is_handed_to_the_caller(world: World, client: WatchwordClient) -> None:
    """Nobody hangs for minutes in a call: the error says when to come back."""
    world.service.script["/v1/challenges"] = [httpx.Response(503, headers={"retry-after": "60"})]
    with pytest.raises(ServiceUnavailableError) as caught:
        client.enrol()
    assert caught.value.retry_after == 60
    assert caught.value.attempts == 1
    assert world.pauses == []


def test_a_refused_challenge_is_replaced_once(world: World, client: WatchwordClient) -> None:
    """It may have expired meanwhile: new challenge, new keys, new evidence."""
    world.service.script["/v1/attestations"] = [problem("challenge-refused", 409)]
    client.enrol()
    assert world.service.calls == ENROLMENT * 2
    assert world.device.generation == 2


def test_a_challenge_is_not_replaced_for_ever(world: World, client: WatchwordClient) -> None:
    """A second refusal is handed to the caller, at the enrolment and at a renewal."""
    world.service.script["/v1/attestations"] = [problem("challenge-refused", 409)] * 2
    with pytest.raises(ChallengeRefusedError):
        client.enrol()
    client.enrol()
    world.service.script["/v1/tokens"] = [problem("challenge-refused", 409)] * 2
    world.service.calls.clear()
    with pytest.raises(ChallengeRefusedError):
        client.renew()
    assert world.service.calls == RENEWAL * 2


def test_a_lost_answer_leads_to_a_new_challenge(world: World, client: WatchwordClient) -> None:
    """The service enrolled, the answer was lost: the repeated request finds its challenge used."""
    answers_lost: list[str] = []

    def lose(path: str) -> None:
        if path == "/v1/attestations" and not answers_lost:
            answers_lost.append(path)
            world.service.challenges.clear()
            raise httpx.ReadError("cut")

    world.service.during = lose
    client.enrol()
    assert world.service.calls == [*ENROLMENT, "/v1/attestations", *ENROLMENT]


def test_refused_evidence_is_final_and_explained(world: World, client: WatchwordClient) -> None:
    """The error carries what support needs, and asking again costs the service nothing."""
    world.service.script["/v1/attestations"] = [
        problem("evidence-refused", 403, ref="abc", reasons=["policy.bootloader_unlocked"])
    ]
    with pytest.raises(EvidenceRefusedError) as caught:
        client.token(AUDIENCE)
    refused = caught.value.problem
    assert (refused.status, refused.slug, refused.ref) == (403, "evidence-refused", "abc")
    assert refused.reasons == ("policy.bootloader_unlocked",)
    assert "ref abc" in str(caught.value)
    with pytest.raises(EvidenceRefusedError):
        client.token(AUDIENCE)
    assert world.service.calls == ENROLMENT
    client.enrol()
    assert client.token(AUDIENCE) == f"secret-1-{AUDIENCE}"


def test_a_revoked_instance_stays_out(world: World, client: WatchwordClient) -> None:
    """Enrolling anew by itself would undo the operator's revocation."""
    client.enrol()
    world.time += LIFE * 0.9
    world.service.script["/v1/tokens"] = [problem("instance-refused", 403)]
    for _ in range(3):
        with pytest.raises(InstanceRefusedError):
            client.renew()
    assert world.service.calls == ENROLMENT + RENEWAL


def test_an_unknown_instance_is_enrolled_anew_once(world: World, client: WatchwordClient) -> None:
    """After a service was set up anew its phones come back by themselves."""
    client.enrol()
    world.service.instances.clear()
    world.time += LIFE
    assert client.token(AUDIENCE) == f"secret-2-{AUDIENCE}"
    assert world.service.calls == ENROLMENT + RENEWAL + ENROLMENT
    assert world.device.generation == 2


def test_any_other_refusal_is_an_error_of_its_class(world: World, client: WatchwordClient) -> None:
    """A class of problem that this client doesn't know is a refusal all the same."""
    world.service.script["/v1/challenges"] = [problem("something-new", 418)]
    with pytest.raises(ServiceRefusedError) as caught:
        client.enrol()
    assert caught.value.problem.slug == "something-new"


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(200, text="<html>Accept the terms of this hotel</html>"),
        httpx.Response(200, json=[]),
        httpx.Response(200, json={}),
        httpx.Response(200, json={"challenge": 7}),
        httpx.Response(200, content=b'{"challenge":"a","challenge":"b"}'),
        httpx.Response(
            200,
            stream=httpx.ByteStream(gzip.compress(b'{"challenge":"a"}')),
            headers={"content-encoding": "gzip"},
        ),
        httpx.Response(302, headers={"location": "https://portal.example"}),
        httpx.Response(403, text="blocked by the firewall"),
        httpx.Response(403, json={"type": "urn:watchword:problem:evidence-refused"}),
        httpx.Response(
            403,
            json={"type": "about:blank"},
            headers={"content-type": "application/problem+json"},
        ),
        httpx.Response(403, content=b"{", headers={"content-type": "application/problem+json"}),
        httpx.Response(200, content=b"[" * (MAX_ANSWER_BYTES + 1)),
    ],
)
def test_nothing_is_concluded_from_an_answer_of_someone_else(
    world: World, client: WatchwordClient, answer: httpx.Response
) -> None:
    """A captive portal or firewall is neither a token nor a final refusal."""
    client.enrol()
    world.time += LIFE
    world.service.script["/v1/challenges"] = [answer]
    with pytest.raises(UnreadableAnswerError):
        client.token(AUDIENCE)
    assert client.token(AUDIENCE) == f"secret-2-{AUDIENCE}"


class EndlessStream(httpx.SyncByteStream):
    """Send one kilobyte after the other, and count them."""

    def __init__(self) -> None:
        self.sent = 0

    def __iter__(self) -> Iterator[bytes]:
        """Never end."""
        while True:
            self.sent += 1
            yield bytes(1024)


def test_an_endless_answer_is_cut_off(world: World, client: WatchwordClient) -> None:
    """No more is read than the cap, whoever answers."""
    stream = EndlessStream()
    world.service.script["/v1/challenges"] = [httpx.Response(200, stream=stream)]
    with pytest.raises(UnreadableAnswerError, match="more than"):
        client.enrol()
    assert stream.sent == MAX_ANSWER_BYTES // 1024 + 1


@given(
    status=st.integers(min_value=200, max_value=599),
    body=st.binary(max_size=200) | st.text(max_size=50).map(lambda t: json.dumps(t).encode()),
    kind=st.sampled_from(["application/json", "application/problem+json", "", "text/html"]),
)
def test_no_answer_brings_another_error(status: int, body: bytes, kind: str) -> None:
    """Whatever bytes come back, an app sees one of the client's own errors."""
    world = World()
    world.service.script["/v1/challenges"] = [
        httpx.Response(status, content=body, headers={"content-type": kind})
    ] * MAX_ATTEMPTS
    with world.client() as client, pytest.raises(ClientError):
        client.enrol()


def test_many_callers_make_one_enrolment_and_one_renewal(
    world: World, client: WatchwordClient
) -> None:
    """Requests that find no valid token at once wait for the first one's."""
    # Slow enough for all of them to arrive while the first one is talking.
    world.service.during = lambda _path: time.sleep(0.05)

    def all_at_once() -> set[str]:
        tokens: list[str] = []
        start = threading.Barrier(8)

        def ask() -> None:
            start.wait()
            tokens.append(client.token(AUDIENCE))

        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(tokens) == 8
        return set(tokens)

    assert all_at_once() == {f"secret-1-{AUDIENCE}"}
    world.time += LIFE
    assert all_at_once() == {f"secret-2-{AUDIENCE}"}
    assert world.service.calls == ENROLMENT + RENEWAL


def test_nobody_waits_for_an_early_renewal_of_another(
    world: World, client: WatchwordClient
) -> None:
    """While one caller renews slowly, the others go on with the token that still works."""
    client.enrol()
    world.time += LIFE * 0.75
    meanwhile: list[str] = []

    def slow(_path: str) -> None:
        other = threading.Thread(target=lambda: meanwhile.append(client.token(AUDIENCE)))
        other.start()
        other.join(timeout=10)

    world.service.during = slow
    assert client.token(AUDIENCE) == f"secret-2-{AUDIENCE}"
    assert meanwhile == [f"secret-1-{AUDIENCE}"] * 2
    assert world.service.calls == ENROLMENT + RENEWAL


def test_a_session_goes_on_after_a_restart(world: World, client: WatchwordClient) -> None:
    """A stored session saves the enrolment; the counter goes on where the device is."""
    client.enrol()
    client.renew()
    stored = json.loads(json.dumps(client.export_session()))
    again = world.client()
    assert again.export_session() is None
    again.import_session(stored)
    assert again.token(AUDIENCE) == f"secret-2-{AUDIENCE}"
    world.time += LIFE
    assert again.token(AUDIENCE) == f"secret-3-{AUDIENCE}"
    assert world.service.calls == ENROLMENT + RENEWAL * 2


def test_a_new_audience_of_an_updated_app_is_fetched(world: World, client: WatchwordClient) -> None:
    """A session from before an update lacks a token for the new API: it is renewed."""
    client.enrol()
    updated = world.client(AUDIENCE, "new")
    updated.import_session(client.export_session() or {})
    assert updated.token("new") == "secret-2-new"


def test_other_audiences_and_unsafe_urls_are_refused_at_once(world: World) -> None:
    """Mistakes of the app's author are ValueErrors, before anything is sent."""
    with pytest.raises(ValueError, match="audience"):
        world.client().token("https://other.example")
    for url in ("http://attest.example", "ftp://attest.example", "http://127.0.0.1.evil.example"):
        with pytest.raises(ValueError, match="https"):
            WatchwordClient(
                url, "clinic", world.device, [AUDIENCE], clock=lambda: 0.0, jitter=lambda: 0.0
            )
    for audiences in ([], [AUDIENCE, AUDIENCE]):
        with pytest.raises(ValueError, match="audience"):
            WatchwordClient(
                "http://127.0.0.1:8440",
                "clinic",
                world.device,
                audiences,
                clock=lambda: 0.0,
                jitter=lambda: 0.0,
            )
    assert world.service.calls == []


def test_tokens_are_in_no_repr_no_log_and_no_error(
    world: World, client: WatchwordClient, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever is printed on the way, a token isn't in it."""
    caplog.set_level(logging.DEBUG)
    client.enrol()
    world.time += LIFE
    world.service.script["/v1/challenges"] = [httpx.ConnectError("down")] * MAX_ATTEMPTS
    with pytest.raises(ServiceUnavailableError) as caught:
        client.token(AUDIENCE)
    everything = repr(client) + repr(caught.value) + caplog.text
    assert "secret-" not in everything
    assert repr(client) == "WatchwordClient(app='clinic', enrolled)"


@dataclass
class SimulatedApi:
    """Be an API behind a gate: a request passes with a token that isn't refused."""

    refused: set[str] = field(default_factory=set)
    seen: list[tuple[str, bytes]] = field(default_factory=list)
    refusal: Callable[[], httpx.Response] = field(default=lambda: problem("token-refused", 401))

    def __call__(self, request: httpx.Request) -> httpx.Response:
        """Answer one request."""
        token = request.headers["watchword-token"]
        self.seen.append((token, request.read()))
        return self.refusal() if token in self.refused else httpx.Response(200, text="patients")


def api_client(api: SimulatedApi, auth: WatchwordAuth) -> httpx.Client:
    """Return an HTTP client of the API that attaches tokens."""
    return httpx.Client(base_url=AUDIENCE, auth=auth, transport=httpx.MockTransport(api))


def test_each_request_carries_a_token(client: WatchwordClient) -> None:
    """The API sees the token; the app's code does nothing for it."""
    api = SimulatedApi()
    with api_client(api, WatchwordAuth(client, AUDIENCE)) as http:
        assert http.get("/patients").text == "patients"
    assert api.seen == [(f"secret-1-{AUDIENCE}", b"")]


def test_a_refused_token_is_renewed_and_the_request_sent_again(
    world: World, client: WatchwordClient
) -> None:
    """After a key was rotated, or a clock jumped, the user notices nothing."""
    api = SimulatedApi(refused={f"secret-1-{AUDIENCE}"})
    with api_client(api, WatchwordAuth(client, AUDIENCE)) as http:
        assert http.post("/patients", content=b"Ada").status_code == 200
    assert api.seen == [(f"secret-1-{AUDIENCE}", b"Ada"), (f"secret-2-{AUDIENCE}", b"Ada")]
    assert world.service.calls == ENROLMENT + RENEWAL


def test_a_gate_that_refuses_every_token_gets_two(world: World, client: WatchwordClient) -> None:
    """It never loops: the second refusal is handed to the app."""
    api = SimulatedApi(refused={f"secret-{n}-{AUDIENCE}" for n in range(9)})
    with api_client(api, WatchwordAuth(client, AUDIENCE)) as http:
        assert http.get("/patients").status_code == 401
    assert len(api.seen) == 2
    assert world.service.calls == ENROLMENT + RENEWAL


@pytest.mark.parametrize(
    "refusal",
    [
        lambda: httpx.Response(401, text="wrong password"),
        lambda: problem("token-required", 401),
        lambda: problem("level-insufficient", 403),
    ],
)
def test_other_refusals_are_left_to_the_app(
    world: World, client: WatchwordClient, refusal: Callable[[], httpx.Response]
) -> None:
    """A user's wrong password, or a level that isn't enough, isn't mended by another token."""
    api = SimulatedApi(refused={f"secret-1-{AUDIENCE}"}, refusal=refusal)
    with api_client(api, WatchwordAuth(client, AUDIENCE)) as http:
        assert http.get("/patients").status_code in {401, 403}
    assert len(api.seen) == 1
    assert world.service.calls == ENROLMENT


def test_a_streamed_body_is_sent_once(world: World, client: WatchwordClient) -> None:
    """What was read from a stream can't be sent again; the app sees the refusal."""
    api = SimulatedApi(refused={f"secret-1-{AUDIENCE}"})
    with api_client(api, WatchwordAuth(client, AUDIENCE)) as http:
        assert http.post("/patients", content=iter([b"A", b"da"])).status_code == 401
    assert api.seen == [(f"secret-1-{AUDIENCE}", b"Ada")]
    assert world.service.calls == ENROLMENT


def test_of_two_requests_with_one_refused_token_only_one_renews(
    world: World, client: WatchwordClient
) -> None:
    """The second finds another token there already, and uses it."""
    first = client.token(AUDIENCE)
    assert client.replace_token(AUDIENCE, first) == f"secret-2-{AUDIENCE}"
    assert client.replace_token(AUDIENCE, first) == f"secret-2-{AUDIENCE}"
    assert world.service.calls == ENROLMENT + RENEWAL


def test_without_a_token_no_request_is_sent(world: World, client: WatchwordClient) -> None:
    """An app never sends a request without a token, nor with a placeholder."""
    api = SimulatedApi()
    world.service.script["/v1/attestations"] = [problem("evidence-refused", 403)]
    with (
        api_client(api, WatchwordAuth(client, AUDIENCE)) as http,
        pytest.raises(EvidenceRefusedError),
    ):
        http.get("/patients")
    assert api.seen == []


def test_during_a_roll_out_requests_may_go_without(world: World, client: WatchwordClient) -> None:
    """A phone that can't enrol isn't locked out: its request has no header, not a placeholder."""
    world.service.script["/v1/attestations"] = [problem("evidence-refused", 403)]
    seen: list[bool] = []

    def api(request: httpx.Request) -> httpx.Response:
        seen.append("watchword-token" in request.headers)
        return httpx.Response(200)

    auth = WatchwordAuth(client, AUDIENCE, or_without=True)
    with httpx.Client(base_url=AUDIENCE, auth=auth, transport=httpx.MockTransport(api)) as http:
        assert http.get("/patients").status_code == 200
        assert http.get("/patients").status_code == 200
    assert seen == [False, False]
    assert world.service.calls == ENROLMENT

    async def ask() -> int:
        transport = httpx.MockTransport(api)
        async with httpx.AsyncClient(base_url=AUDIENCE, auth=auth, transport=transport) as http:
            return (await http.get("/patients")).status_code

    assert asyncio.run(ask()) == 200
    client.enrol()
    with httpx.Client(base_url=AUDIENCE, auth=auth, transport=httpx.MockTransport(api)) as http:
        http.get("/patients")
    assert seen == [False, False, False, True]


@pytest.mark.parametrize("protocol", ["1.0", "1.1", "1.2", "2.0", "1.01", 1.1, None])
def test_an_auth_says_why_there_is_no_token_too(
    world: World, client: WatchwordClient, protocol: Any
) -> None:
    """To a service that says 1.1, or a later 1.x, and to no other."""
    told = {"challenge": "c", "expires_in": 300, "protocol": protocol}
    world.service.script["/v1/challenges"] = [httpx.Response(200, json=told)]
    world.service.script["/v1/attestations"] = [problem("evidence-refused", 403)]
    seen: list[str | None] = []

    def api(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers.get("watchword-status"))
        return httpx.Response(200)

    auth = WatchwordAuth(client, AUDIENCE, or_without=True)
    with httpx.Client(base_url=AUDIENCE, auth=auth, transport=httpx.MockTransport(api)) as http:
        http.get("/patients")
        client.enrol()
        world.service.script["/v1/challenges"] = [httpx.Response(200, json=told)]
        http.get("/patients")
    assert seen == ["refused" if protocol in {"1.1", "1.2"} else None, None]


@pytest.mark.parametrize("kind", DeviceErrorKind)
def test_a_device_says_what_it_means_in_words(kind: DeviceErrorKind) -> None:
    """An app's log names the platform's own code."""
    error = DeviceError(kind, "DCError 4")
    assert str(error).startswith("this device")
    assert str(error).endswith(": DCError 4")
    assert (error.again().kind, str(error.again())) == (kind, str(error))


def test_async_clients_are_served_too(world: World, client: WatchwordClient) -> None:
    """The same rules hold for httpx.AsyncClient."""
    api = SimulatedApi(refused={f"secret-1-{AUDIENCE}"})

    async def ask() -> int:
        async with httpx.AsyncClient(
            base_url=AUDIENCE,
            auth=WatchwordAuth(client, AUDIENCE),
            transport=httpx.MockTransport(api),
        ) as http:
            return (await http.post("/patients", content=b"Ada")).status_code

    assert asyncio.run(ask()) == 200
    assert api.seen == [(f"secret-1-{AUDIENCE}", b"Ada"), (f"secret-2-{AUDIENCE}", b"Ada")]
    assert world.service.calls == ENROLMENT + RENEWAL
