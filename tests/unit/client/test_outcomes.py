"""Lose answers after the API carried a request out: nothing is done twice, and nobody gets a 401 for it."""

import asyncio
import socket
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from tests.unit.client.losses import LosingApi, sender, served
from tests.unit.client.simulators import AUDIENCE, Surroundings, problem

from watchword.client import (
    LengthRequiredError,
    OutcomeUnknownError,
    WatchwordAuth,
    WatchwordTransport,
)
from watchword.client.bodies import MAX_KEPT_BYTES
from watchword.reasons import Reason
from watchword.vocabulary import Proof

NONCE = "the-gates-own-nonce-of-30-char"
KEYED = {"idempotency-key": "8e03978e-40d5-43dd-bc93-6894a57f9324"}


@pytest.fixture
def around() -> Surroundings:
    """Return surroundings in which everything works."""
    return Surroundings()


@pytest.fixture
def api(around: Surroundings) -> LosingApi:
    """Return an API whose first answer is lost."""
    return LosingApi(around.gate)


@pytest.fixture
def url(api: LosingApi) -> Iterator[str]:
    """Serve it on loopback."""
    with served(api) as url:
        yield url


class Retrying(httpx.BaseTransport, httpx.AsyncBaseTransport):
    """Be a library's retries: send again whatever broke, and answers of gateways."""

    def __init__(self, below: Any) -> None:
        """Retry what ``below`` sends."""
        self.below = below

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send, three times at most."""
        for _ in range(2):
            try:
                response: httpx.Response = self.below.handle_request(request)
            except httpx.TransportError:
                continue
            if response.status_code not in {502, 503, 504}:
                return response
            response.close()
        last: httpx.Response = self.below.handle_request(request)
        return last

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send, three times at most."""
        for _ in range(2):
            try:
                response: httpx.Response = await self.below.handle_async_request(request)
            except httpx.TransportError:
                continue
            if response.status_code not in {502, 503, 504}:
                return response
            await response.aclose()
        last: httpx.Response = await self.below.handle_async_request(request)
        return last

    def close(self) -> None:
        """Close what is below."""
        self.below.close()

    async def aclose(self) -> None:
        """Close what is below."""
        await self.below.aclose()


both = pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
proxies = pytest.mark.parametrize("repeats", [False, True], ids=["drops", "repeats"])
routes = pytest.mark.parametrize(
    ("route", "nonce"),
    [
        (Proof.SESSION, None),
        (Proof.SESSION, NONCE),
        (Proof.DEVICE, None),
        (Proof.DEVICE, NONCE),
    ],
    ids=["session", "session-affine", "device", "device-affine"],
)


@both
@proxies
@routes
def test_a_lost_answer_is_never_a_401_and_nothing_is_done_twice(
    around: Surroundings,
    api: LosingApi,
    url: str,
    route: Proof,
    nonce: str | None,
    *,
    repeats: bool,
    asynchronous: bool,
) -> None:
    """GET and a POST with a key come through; a POST without one is done once, and its outcome told as unknown."""
    around.gate.proof, around.gate.nonce, api.repeats = route, nonce, repeats
    send = sender(around.client(), url, asynchronous=asynchronous)
    assert send("GET", "/patients").status_code == 200
    api.lost = 1
    assert send("POST", "/keyed", content=b"1", headers=KEYED).status_code == 200
    api.lost = 1
    assert send("PUT", "/put", content=b"1").status_code == 200
    api.lost = 1
    with pytest.raises(OutcomeUnknownError) as caught:
        send("POST", "/pay?card=4111111111111111", content=b"1")
    assert api.done["POST /pay"] == 1
    assert api.done[f"POST /keyed {KEYED['idempotency-key']}"] == 1
    assert caught.value.method == "POST"
    assert caught.value.origin == url
    assert "Idempotency-Key" in str(caught.value)
    assert "4111111111111111" not in str(caught.value)
    api.lost = 0
    assert send("POST", "/pay", content=b"1").status_code == 200
    # However the client learned of the loss, no nonce went through twice.
    assert len(around.gate.used) == 8


@both
@routes
def test_answers_lost_for_ever_end(
    around: Surroundings,
    api: LosingApi,
    url: str,
    route: Proof,
    nonce: str | None,
    *,
    asynchronous: bool,
) -> None:
    """Two repetitions; then a safe request has its library's error, any other an unknown outcome."""
    around.gate.proof, around.gate.nonce, api.lost = route, nonce, 99
    send = sender(around.client(), url, asynchronous=asynchronous)
    with pytest.raises(httpx.TransportError):
        send("GET", "/patients")
    assert api.done["GET /patients"] == 3
    with pytest.raises(OutcomeUnknownError):
        send("DELETE", "/patients/7")
    assert api.done["DELETE /patients/7"] == 3


@both
def test_a_proxy_that_repeats_for_ever_is_no_401(
    around: Surroundings, api: LosingApi, url: str, *, asynchronous: bool
) -> None:
    """Also a GET whose proof is always used already ends in an unknown outcome."""
    api.lost, api.repeats = 99, True
    send = sender(around.client(), url, asynchronous=asynchronous)
    with pytest.raises(OutcomeUnknownError):
        send("GET", "/patients")


@both
def test_a_used_proof_is_not_a_401_after_other_refusals(
    around: Surroundings, api: LosingApi, url: str, *, asynchronous: bool
) -> None:
    """Kind and nonce were mended already, which is all that other refusals get: the lost answer comes on top."""
    around.gate.proof, around.gate.nonce, api.repeats = Proof.DEVICE, NONCE, True
    assert (
        sender(around.client(), url, asynchronous=asynchronous)("GET", "/patients").status_code
        == 200
    )
    assert around.gate.reasons == [
        Reason.PROOF_ALGORITHM,
        Reason.PROOF_NONCE,
        Reason.PROOF_REPLAYED,
    ]


@both
@pytest.mark.parametrize("where", ["above", "below"])
@pytest.mark.parametrize("route", [Proof.BEARER, Proof.SESSION, Proof.DEVICE])
def test_retries_of_a_library_follow_the_same_rule(
    around: Surroundings, api: LosingApi, url: str, where: str, route: Proof, *, asynchronous: bool
) -> None:
    """Above or below the signing transport: a POST without a key goes out once, also where no proof stops it."""
    around.gate.proof = route
    retries: dict[str, Any] = {where: Retrying}
    send = sender(around.client(), url, asynchronous=asynchronous, proof=route, **retries)
    assert send("GET", "/patients").status_code == 200
    api.lost = 1
    assert send("POST", "/keyed", content=b"1", headers=KEYED).status_code == 200
    api.lost = 1
    with pytest.raises(OutcomeUnknownError):
        send("POST", "/pay", content=b"1")
    assert api.done["POST /pay"] == 1


@both
def test_a_gateways_lost_answer_counts_as_one(
    around: Surroundings, api: LosingApi, url: str, *, asynchronous: bool
) -> None:
    """A library that repeats a POST on 502 doesn't get to; a GET it does."""
    api.lost, failures = 0, iter([502, 502])

    def gateway(_request: httpx.Request) -> httpx.Response | None:
        status = next(failures, None)
        return None if status is None else httpx.Response(status)

    api.answer = gateway
    send = sender(around.client(), url, asynchronous=asynchronous, above=Retrying)
    with pytest.raises(OutcomeUnknownError):
        send("POST", "/pay", content=b"1")
    assert send("GET", "/patients").status_code == 200
    assert len(around.gate.used) == 3


@both
def test_where_nothing_was_sent_the_librarys_error_stays(
    around: Surroundings, api: LosingApi, *, asynchronous: bool
) -> None:
    """Nobody listens: a POST wasn't carried out, and nothing says that it may have been."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
    send = sender(around.client(), url, asynchronous=asynchronous, above=Retrying)
    with pytest.raises(httpx.ConnectError):
        send("POST", "/pay", content=b"1")


@both
def test_after_a_timeout_nothing_is_repeated(
    around: Surroundings, api: LosingApi, *, asynchronous: bool
) -> None:
    """The caller's time is used up; whether a POST was carried out is unknown."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        send = sender(around.client(), url, asynchronous=asynchronous)
        timeout = httpx.Timeout(10.0, read=0.05)
        with pytest.raises(OutcomeUnknownError):
            send("POST", "/pay", content=b"1", timeout=timeout)
        with pytest.raises(httpx.ReadTimeout):
            send("GET", "/patients", timeout=timeout)


def test_the_auth_alone_takes_a_used_proof_for_what_it_is(
    around: Surroundings, api: LosingApi, url: str
) -> None:
    """Retries below it repeat the same proof: nothing is done twice, and nobody gets a 401."""
    auth = WatchwordAuth(around.client(), AUDIENCE)
    with httpx.Client(
        auth=auth, base_url=url, transport=Retrying(httpx.HTTPTransport(retries=1))
    ) as http:
        assert http.get("/patients").status_code == 200
        api.lost, api.repeats = 1, True
        with pytest.raises(OutcomeUnknownError):
            http.post("/pay", content=b"1")
        api.lost, api.repeats = 1, False
        with pytest.raises(OutcomeUnknownError):
            http.post("/pay/2", content=b"1")
    assert (api.done["POST /pay"], api.done["POST /pay/2"]) == (1, 1)


def test_a_trace_of_the_apps_own_goes_on(around: Surroundings, api: LosingApi, url: str) -> None:
    """What an app hears from httpcore by itself, it hears still; sync and async."""
    heard: list[str] = []

    async def trace(name: str, _info: Any) -> None:
        heard.append(name)

    def trace_now(name: str, _info: Any) -> None:
        heard.append(name)

    api.lost = 0
    for asynchronous, own in ((False, trace_now), (True, trace)):
        heard.clear()
        send = sender(around.client(), url, asynchronous=asynchronous)
        assert send("GET", "/patients", extensions={"trace": own}).status_code == 200
        assert "http11.send_request_headers.started" in heard


# Redirects.


@both
def test_a_redirect_is_proved_anew_and_only_within_the_api(
    around: Surroundings, api: LosingApi, *, asynchronous: bool
) -> None:
    """Within the origin each hop has its own proof; another origin gets neither token nor proof."""
    seen: list[httpx.Request] = []
    moves = {"/old": "/new", "/new": "https://elsewhere.example/there"}

    def moved(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        if request.url.path in moves:
            assert around.gate(request).status_code == 200
            return httpx.Response(307, headers={"location": moves[request.url.path]})
        return httpx.Response(200)

    def below(_transport: Any) -> httpx.MockTransport:
        return httpx.MockTransport(moved)

    send = sender(
        around.client(), AUDIENCE, asynchronous=asynchronous, below=below, follow_redirects=True
    )
    assert send("POST", "/old", content=b"1").status_code == 200
    assert [request.url.path for request in seen] == ["/old", "/new", "/there"]
    names = {"watchword-token", "signature", "signature-input", "dpop"}
    assert names.isdisjoint(seen[2].headers)


# Bodies without a length.


async def parts_async(parts: list[bytes]) -> Any:
    """Yield parts."""
    for part in parts:
        yield part


@both
@routes
def test_a_stream_is_sent_again_with_its_length(
    around: Surroundings,
    api: LosingApi,
    url: str,
    route: Proof,
    nonce: str | None,
    *,
    asynchronous: bool,
) -> None:
    """After a 411 it has a length, a digest and a proof of its own; the next one has them at once."""
    around.gate.proof, around.gate.nonce = route, nonce
    api.lost, api.by_length = 0, True
    send = sender(around.client(), url, asynchronous=asynchronous, proof=route)
    parts = [b"A" * 70_000, b"da"]

    def body() -> Any:
        return parts_async(parts) if asynchronous else iter(parts)

    assert send("POST", "/a", content=body()).status_code == 200
    assert send("POST", "/b", content=body()).status_code == 200
    assert api.bodies == [b"".join(parts)] * 2
    assert [r.headers["content-length"] for r in around.gate.seen][-2:] == ["70002"] * 2
    assert api.done == {"POST /a": 1, "POST /b": 1}


@both
def test_a_stream_that_is_too_large_is_a_clear_error(
    around: Surroundings, api: LosingApi, url: str, *, asynchronous: bool
) -> None:
    """Nothing was carried out, and the error says what to do; at once from then on."""
    api.lost, api.by_length = 0, True
    send = sender(around.client(), url, asynchronous=asynchronous)
    parts = [bytes(65536)] * (MAX_KEPT_BYTES // 65536) + [b"1"]
    for _ in range(2):
        with pytest.raises(LengthRequiredError, match="Content-Length"):
            send("POST", "/a", content=parts_async(parts) if asynchronous else iter(parts))
    assert api.done == {}
    whole = parts[:-1]
    body = parts_async(whole) if asynchronous else iter(whole)
    assert send("POST", "/a", content=body).status_code == 200


def test_the_auth_alone_sends_a_stream_again_too(
    around: Surroundings, api: LosingApi, url: str
) -> None:
    """Sync and async, without the transport."""
    api.lost, api.by_length = 0, True
    auth = WatchwordAuth(around.client(), AUDIENCE)
    with httpx.Client(auth=auth, base_url=url) as http:
        assert http.post("/a", content=iter([b"A", b"da"])).status_code == 200

    async def run() -> int:
        async with httpx.AsyncClient(
            auth=WatchwordAuth(around.client(), AUDIENCE), base_url=url
        ) as http:
            return (await http.post("/b", content=parts_async([b"A", b"da"]))).status_code

    assert asyncio.run(run()) == 200
    assert api.bodies == [b"Ada", b"Ada"]


def test_what_broke_off_within_an_attempt_is_kept(around: Surroundings, api: LosingApi) -> None:
    """A gate that refuses before the whole body came: the rest is read from where it was left."""
    api.lost, api.by_length = 0, True

    class Impatient(httpx.BaseTransport):
        """Refuse chunked bodies after their first part."""

        def handle_request(self, request: httpx.Request) -> httpx.Response:
            if "transfer-encoding" in request.headers:
                assert isinstance(request.stream, httpx.SyncByteStream)
                next(iter(request.stream))
                with pytest.raises(httpx.StreamConsumed):
                    next(iter(request.stream))
                return problem("length-required", 411)
            answer = api(request)
            assert answer is not None
            return answer

    auth = WatchwordAuth(around.client(), AUDIENCE)
    with httpx.Client(transport=WatchwordTransport(auth, Impatient())) as http:
        assert http.post(AUDIENCE, content=iter([b"A", b"d", b"a"])).status_code == 200
    assert api.bodies == [b"Ada"]
