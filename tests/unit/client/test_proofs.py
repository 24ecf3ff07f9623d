"""Prove requests to a gate that checks with the product's verifiers."""

import asyncio
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.client.simulators import (
    AUDIENCE,
    LEEWAY,
    SECRET,
    CheckingGate,
    Surroundings,
    claims_of,
    problem,
    proof_headers,
    signed_request,
)

from watchword.client import Proofs, WatchwordAuth, content_digest
from watchword.client.choice import ProofChoice
from watchword.client.exchange import MAX_ANSWER_BYTES
from watchword.reasons import Reason, RefusedError
from watchword.tokens.proofs import session
from watchword.tokens.proofs.interface import ProofHeaders, SignedRequest
from watchword.tokens.proofs.session import proof_keys
from watchword.vocabulary import Proof

NONCE = "the-gates-own-nonce-of-30-char"
KINDS = [Proof.SESSION, Proof.DEVICE]


@pytest.fixture
def around() -> Surroundings:
    """Return surroundings in which everything works."""
    return Surroundings()


def http(around: Surroundings, proof: ProofChoice = Proof.SESSION, **settings: Any) -> httpx.Client:
    """Return an HTTP client of the API behind the gate."""
    auth = WatchwordAuth(around.client(), AUDIENCE, proof=proof, **settings)
    transport = httpx.MockTransport(around.gate)
    return httpx.Client(base_url=AUDIENCE, auth=auth, transport=transport)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("android", [False, True])
def test_the_gate_takes_what_the_client_proves(
    around: Surroundings, kind: Proof, *, android: bool
) -> None:
    """Every kind of request passes at the first attempt, under a proof of its own."""
    around.phone.android = android
    around.gate.proof = kind
    with http(around, kind) as api:
        for response in (
            api.get("/patients"),
            api.get("/patients/7?a=1&b=%2F&c="),
            api.get("/patients?"),
            api.get(""),
            api.get("/r%C3%A9sum%C3%A9/%2e%2E/a//b;c=d"),
            api.delete("/patients/7"),
            api.post("/patients", content=b"Ada"),
            api.post("/patients?x", json={"name": "Ada"}),
            api.post("/patients", data={"name": "Ada"}),
            api.post("/patients", content=b""),
            api.put("/patients", content=bytes(100_000)),
            api.request("GET", "/patients", content=b"a body of a GET"),
            api.request("QUERY", "/patients", content=b"select"),
        ):
            assert response.status_code == 200, around.gate.reasons
    assert around.gate.reasons == []
    assert len(around.gate.used) == len(around.gate.seen) == 13
    assert around.phone.signed == (13 if kind is Proof.DEVICE else 0)


def test_the_gate_takes_dpop(around: Surroundings) -> None:
    """A device proof can be a DPoP proof, which leaves query and body out."""
    around.gate.proof, around.gate.dpop = Proof.DEVICE, True
    with http(around, Proof.DEVICE, dpop=True) as api:
        assert api.get("/patients/7?a=1").status_code == 200
        assert api.post("/patients", content=b"Ada").status_code == 200
        assert api.get("https://API.example:8443/x").status_code == 200
    assert all("signature" not in request.headers for request in around.gate.seen)
    assert len(around.gate.used) == 3


@pytest.mark.parametrize(
    "base", ["https://api.example:8443", "https://API.Example", "http://127.0.0.1:80"]
)
def test_the_host_is_covered_as_it_is_sent(around: Surroundings, base: str) -> None:
    """A port that isn't the default one belongs to it; capital letters don't."""
    with http(around) as api:
        assert api.get(f"{base}/x").status_code == 200
        assert api.get(f"{base}/x", headers={"host": "Front.Example"}).status_code == 200
    assert around.gate.reasons == []


class _Recording(BaseHTTPRequestHandler):
    """Record the head of each request as it came over the wire."""

    heads: ClassVar[list[tuple[str, list[tuple[str, str]], bytes]]] = []

    def do_GET(self) -> None:
        """Answer anything."""
        body = self.rfile.read(int(self.headers.get("content-length", "0")))
        self.heads.append((self.requestline, self.headers.items(), body))
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def do_POST(self) -> None:
        """Answer anything."""
        self.do_GET()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Say nothing."""


def test_what_is_signed_is_what_goes_over_the_wire(around: Surroundings) -> None:
    """Read off the socket: target, Host and digest are those that the proof covers."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Recording)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        base = f"http://127.0.0.1:{server.server_port}"
        auth = WatchwordAuth(around.client(), AUDIENCE)
        with httpx.Client(base_url=base, auth=auth, trust_env=False) as api:
            api.get("/")
            api.get("/a%2Fb/ä?x=%20 y&é#fragment")
            api.get("/x", extensions={"target": b"/in%20place?of=it"})
            api.post("/patients?", json={"name": "Ada"})
            api.post("/patients", content=b"")
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert len(_Recording.heads) == 5
    for line, fields, body in _Recording.heads:
        method, target, _ = line.split(" ")
        path, _, query = target.partition("?")
        headers = {name.lower(): value.encode() for name, value in fields}
        covered = SignedRequest(
            headers["watchword-token"],
            method.encode(),
            headers["host"].lower(),
            path.encode(),
            query.encode(),
            headers["content-digest"] if body else None,
        )
        if body:
            assert headers["content-digest"].decode() == content_digest(body)
        keys = proof_keys(claims_of(covered.token), SECRET)
        proof = ProofHeaders(headers["signature-input"], headers["signature"], None)
        session.verify(covered, proof, keys, 0, around.time)


@given(
    path=st.text("abz/%2eF~._-;:@!$&()*+,='", max_size=20),
    query=st.text("ab=&?/%20+é'\"<>", max_size=20),
    body=st.binary(max_size=40),
    method=st.sampled_from(["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]),
    kind=st.sampled_from(KINDS),
)
def test_any_request_can_be_proved(
    path: str, query: str, body: bytes, method: str, kind: Proof
) -> None:
    """Whatever an app asks for, client and gate see the same request."""
    around = Surroundings()
    around.gate.proof = kind
    with http(around, kind) as api:
        url = f"{AUDIENCE}/{path}?{query}".replace("%", "%25")
        assert api.request(method, url, content=body).status_code == 200


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"method": b"PUT"}, Reason.PROOF_SIGNATURE),
        ({"authority": b"evil.example"}, Reason.PROOF_SIGNATURE),
        ({"path": b"/patients/8"}, Reason.PROOF_SIGNATURE),
        ({"query": b"a=2"}, Reason.PROOF_SIGNATURE),
        ({"content_digest": content_digest(b"Eve").encode()}, Reason.PROOF_SIGNATURE),
        ({"content_digest": None}, Reason.PROOF_COMPONENTS),
    ],
)
def test_whatever_is_changed_on_the_way_is_noticed(
    around: Surroundings, change: dict[str, Any], reason: Reason
) -> None:
    """Every component that the client covers is one that the gate misses when it changes."""
    with http(around) as api:
        api.post("/patients/7?a=1", content=b"Ada")
    (sent,) = around.gate.seen
    covered = signed_request(sent)
    keys = proof_keys(claims_of(covered.token), SECRET)
    session.verify(covered, proof_headers(sent), keys, LEEWAY, around.time)
    with pytest.raises(RefusedError) as caught:
        session.verify(covered._replace(**change), proof_headers(sent), keys, LEEWAY, around.time)
    assert caught.value.reason is reason


def test_a_recorded_request_is_worth_nothing(around: Surroundings) -> None:
    """The thief of a whole request gets nothing the second time, the thief of a token never."""
    with http(around) as api:
        api.get("/patients")
    again = around.gate(around.gate.seen[0])
    assert (again.status_code, around.gate.reasons) == (401, [Reason.PROOF_REPLAYED])
    stolen = {"watchword-token": around.gate.seen[0].headers["watchword-token"]}
    around.gate(httpx.Request("GET", f"{AUDIENCE}/patients", headers=stolen))
    assert around.gate.reasons[1] is Reason.PROOF_MISSING


# What the client mends by itself.


def kinds_sent(gate: CheckingGate) -> list[str]:
    """Return which algorithm each attempt was proved with, `none` for the token alone."""
    named = [request.headers.get("signature-input", "") for request in gate.seen]
    return [
        next((alg for alg in ("hmac", "ecdsa") if f'alg="{alg}' in text), "none") for text in named
    ]


@pytest.mark.parametrize(
    ("first", "asked", "sent"),
    [
        (Proof.BEARER, Proof.BEARER, ["none"]),
        (Proof.BEARER, Proof.SESSION, ["none", "hmac"]),
        (Proof.BEARER, Proof.DEVICE, ["none", "hmac", "ecdsa"]),
        (Proof.SESSION, Proof.BEARER, ["hmac"]),
        (Proof.SESSION, Proof.SESSION, ["hmac"]),
        (Proof.SESSION, Proof.DEVICE, ["hmac", "ecdsa"]),
        (Proof.DEVICE, Proof.DEVICE, ["ecdsa"]),
        (Proof.DEVICE, Proof.SESSION, ["ecdsa", "hmac"]),
    ],
)
def test_another_proof_is_found_by_asking(
    around: Surroundings, first: Proof, asked: Proof, sent: list[str]
) -> None:
    """An app that doesn't know the routes gets through all the same, with fresh nonces."""
    around.gate.proof = asked
    with http(around, first) as api:
        assert api.post("/patients", content=b"Ada").text == "patients"
    assert kinds_sent(around.gate) == sent
    nonces = [request.headers.get("signature-input") for request in around.gate.seen]
    assert len(set(nonces)) == len(nonces)


def test_a_gate_that_refuses_everything_is_asked_three_times(around: Surroundings) -> None:
    """Two repetitions, whatever the gate says in turn; then the app sees the refusal."""
    slugs = iter(["token-refused", "proof-refused", "proof-nonce", "proof-required"])
    seen = []

    def gate(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return problem(next(slugs), 401, **{"watchword-nonce": NONCE})

    auth = WatchwordAuth(around.client(), AUDIENCE)
    with httpx.Client(auth=auth, transport=httpx.MockTransport(gate)) as api:
        assert "proof-nonce" in api.get(AUDIENCE).text
    assert len(seen) == 3


@pytest.mark.parametrize(
    "slug", ["token-refused", "proof-refused", "proof-required", "proof-nonce"]
)
@pytest.mark.parametrize("kind", Proof)
def test_one_refusal_for_ever_ends(around: Surroundings, slug: str, kind: Proof) -> None:
    """No class of refusal is tried again and again."""
    seen = []

    def gate(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers["watchword-token"])
        return problem(slug, 401, **{"watchword-nonce": NONCE})

    auth = WatchwordAuth(around.client(), AUDIENCE, proof=kind)
    with httpx.Client(auth=auth, transport=httpx.MockTransport(gate)) as api:
        assert api.get(AUDIENCE).status_code == 401
    assert 2 <= len(seen) <= 3
    assert len(set(seen)) == (2 if slug == "token-refused" else 1)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("ahead", [-3600.0, -95.0, 95.0, 3600.0, 1e9])
def test_a_wrong_clock_is_found_out_once(around: Surroundings, kind: Proof, ahead: float) -> None:
    """The gate's Date corrects it; the requests after that pass at the first attempt."""
    around.phone_ahead = ahead
    around.gate.proof = kind
    with http(around, kind) as api:
        assert api.get("/patients").status_code == 200
        assert around.gate.reasons == [Reason.PROOF_EARLY if ahead > 0 else Reason.PROOF_EXPIRED]
        around.time += 10.0
        assert api.get("/patients").status_code == 200
    assert len(around.gate.seen) == 3


def test_a_clock_that_is_set_right_again_costs_nothing(around: Surroundings) -> None:
    """What a gate said is counted on the boot clock."""
    around.phone_ahead = 600
    with http(around) as api:
        assert api.get("/patients").status_code == 200
        around.phone_ahead = 0
        assert api.get("/patients").status_code == 200
        assert api.get("/patients").status_code == 200
    assert len(around.gate.seen) == 4


@pytest.mark.parametrize("date", ["", "yesterday", "Tue, 99 Nov 2026 12:00:00 GMT", "9" * 5000])
def test_an_answer_without_a_readable_date_corrects_nothing(
    around: Surroundings, date: str
) -> None:
    """No other error comes of it either."""
    headers = {"date": date} if date else {}
    seen = []

    def gate(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return problem("proof-refused", 401, **headers)

    auth = WatchwordAuth(around.client(), AUDIENCE, proof=Proof.DEVICE)
    with httpx.Client(auth=auth, transport=httpx.MockTransport(gate)) as api:
        assert api.get(AUDIENCE).status_code == 401
    assert [f"created={int(around.time)}" in r.headers["signature-input"] for r in seen] == [
        True,
        True,
    ]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dpop", [False, True])
def test_the_gates_nonce_is_taken_and_kept(
    around: Surroundings, kind: Proof, *, dpop: bool
) -> None:
    """One refusal tells it; the next requests carry it from the start, each with its own part."""
    around.gate.proof, around.gate.nonce = kind, NONCE
    around.gate.dpop = dpop and kind is Proof.DEVICE
    with http(around, kind, dpop=dpop) as api:
        assert [api.get("/patients").status_code for _ in range(3)] == [200, 200, 200]
        assert around.gate.reasons == [Reason.PROOF_NONCE]
        around.gate.nonce = "another-gate-another-nonce-30-"
        assert api.get("/patients").status_code == 200
    assert around.gate.reasons == [Reason.PROOF_NONCE] * 2
    assert len(around.gate.used) == 4


def test_a_nonce_that_comes_with_a_good_answer_is_kept(around: Surroundings) -> None:
    """A gate renews its nonce in time: no request is refused for it."""
    sent = []

    def gate(request: httpx.Request) -> httpx.Response:
        sent.append(request.headers["signature-input"])
        return httpx.Response(200, headers={"watchword-nonce": NONCE})

    auth = WatchwordAuth(around.client(), AUDIENCE)
    with httpx.Client(auth=auth, transport=httpx.MockTransport(gate)) as api:
        api.get(AUDIENCE)
        api.get(AUDIENCE)
    assert [NONCE in text for text in sent] == [False, True]


@pytest.mark.parametrize("nonce", ["", "short", "x" * 31, "a" * 29 + '"', "x" * 9000])
def test_a_nonce_that_is_none_is_not_repeated(around: Surroundings, nonce: str) -> None:
    """What can't be a gate's nonce never gets into a signature's parameters."""
    seen = []

    def gate(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers["signature-input"])
        return problem("proof-nonce", 401, **{"watchword-nonce": nonce})

    auth = WatchwordAuth(around.client(), AUDIENCE)
    with httpx.Client(auth=auth, transport=httpx.MockTransport(gate)) as api:
        api.get(AUDIENCE)
    assert len(seen) == 1


def test_everything_wrong_at_once_is_two_repetitions(around: Surroundings) -> None:
    """Clock and nonce are mended one after the other."""
    around.phone_ahead, around.gate.nonce = 5000, NONCE
    with http(around) as api:
        assert api.post("/patients", content=b"Ada").status_code == 200
    assert around.gate.reasons == [Reason.PROOF_EARLY, Reason.PROOF_NONCE]


def test_a_refused_token_is_replaced_and_proved_with_its_own_key(around: Surroundings) -> None:
    """The second attempt is under the new token's session key."""
    with http(around) as api:
        api.get("/patients")
        around.gate.refused_tokens.add(around.gate.seen[0].headers["watchword-token"])
        assert api.post("/patients", content=b"Ada").status_code == 200
    assert around.service.issued == 2
    assert len(around.gate.seen) == 3


def test_a_stream_goes_with_the_token_alone_and_once(around: Surroundings) -> None:
    """Nobody reads it ahead; what the gate says of it is for the app."""
    with http(around) as api:
        assert api.post("/patients", content=iter([b"A", b"da"])).status_code == 401
        assert api.post("/patients", files={"x": b"Ada"}).status_code == 401
    assert around.gate.reasons == [Reason.PROOF_MISSING] * 2


def test_a_stream_whose_digest_the_app_knows_is_proved(around: Surroundings) -> None:
    """A large file is hashed first and streamed then."""
    headers = {"content-digest": content_digest(b"Ada")}
    with http(around) as api:
        response = api.post("/patients", content=iter([b"A", b"da"]), headers=headers)
        assert response.status_code == 200
        response = api.post("/patients", content=iter([b"Eve"]), headers=headers)
    assert around.gate.reasons == [Reason.PROOF_BODY]
    assert len(around.gate.seen) == 2


def test_a_digest_of_the_apps_own_never_stands_for_known_bytes(around: Surroundings) -> None:
    """A stale header of an app doesn't get its request refused."""
    with http(around) as api:
        for _ in range(2):
            response = api.post(
                "/patients", content=b"Ada", headers={"content-digest": content_digest(b"Eve")}
            )
            assert response.status_code == 200


@pytest.mark.parametrize(
    "refusal",
    [
        lambda: httpx.Response(401, text="wrong password"),
        lambda: httpx.Response(401, json={"type": "urn:watchword:problem:proof-refused"}),
        lambda: problem("level-insufficient", 403),
        lambda: problem("rate-limited", 429),
        lambda: problem("unavailable", 503),
        lambda: httpx.Response(
            401,
            content=b" " * MAX_ANSWER_BYTES + b'{"type":"urn:watchword:problem:proof-refused"}',
            headers={"content-type": "application/problem+json"},
        ),
    ],
)
def test_what_a_proof_cannot_mend_is_left_to_the_app(around: Surroundings, refusal: Any) -> None:
    """Answers of the API behind the gate are the app's."""
    seen = []

    def gate(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return refusal()  # type: ignore[no-any-return]

    auth = WatchwordAuth(around.client(), AUDIENCE)
    with httpx.Client(auth=auth, transport=httpx.MockTransport(gate)) as api:
        api.get(AUDIENCE)
    assert len(seen) == 1


def test_a_phone_that_cannot_open_proves_by_its_own_key(around: Surroundings) -> None:
    """Routes that ask for a device proof work; on the others the refusal is the app's to see."""
    around.phone.opens = False
    around.gate.proof = Proof.DEVICE
    with http(around) as api:
        assert api.get("/patients").status_code == 200
        around.gate.proof = Proof.SESSION
        assert api.get("/patients").status_code == 401
    assert kinds_sent(around.gate) == ["ecdsa", "ecdsa"]


def test_a_key_sealed_for_another_statement_is_not_taken(around: Surroundings) -> None:
    """Somebody who swaps sealed keys between answers gets no proof under them."""
    first: dict[str, str] = {}

    def swap(entry: dict[str, Any]) -> None:
        first.setdefault("key", entry["session_key"])
        entry["session_key"] = first["key"]

    around.service.tamper = swap
    client = around.client()
    assert client.credential(AUDIENCE).session_key is not None
    client.renew()
    assert client.credential(AUDIENCE).session_key is None


def test_keys_made_anew_meanwhile_are_noticed(around: Surroundings) -> None:
    """A token that was sent while another thread enrolled anew is replaced by the new one."""
    client = around.client()
    around.gate.proof = Proof.DEVICE
    enrolled: list[bool] = []

    def gate(request: httpx.Request) -> httpx.Response:
        if not enrolled:
            enrolled.append(True)
            client.enrol()
            return problem("proof-refused", 401)
        return around.gate(request)

    auth = WatchwordAuth(client, AUDIENCE, proof=Proof.DEVICE)
    with httpx.Client(auth=auth, transport=httpx.MockTransport(gate)) as api:
        assert api.get(f"{AUDIENCE}/x").status_code == 200
    assert kinds_sent(around.gate) == ["ecdsa"]


# Choices.


@pytest.mark.parametrize(
    ("path", "proof"),
    [
        ("/login", Proof.DEVICE),
        ("/login/", Proof.SESSION),
        ("/payments", Proof.DEVICE),
        ("/payments/7/refund?x=1", Proof.DEVICE),
        ("/paymentsx", Proof.SESSION),
        ("/users/7/key", Proof.DEVICE),
        ("/users/7/8/key", Proof.SESSION),
        ("/health", Proof.BEARER),
        ("/", Proof.SESSION),
        ("/%6Cogin", Proof.DEVICE),
    ],
)
def test_proofs_are_chosen_by_path(path: str, proof: Proof) -> None:
    """Patterns read as the routes of ``watchword.yaml`` do."""
    proofs = Proofs(device=["/login", "/payments/**", "/users/*/key"], bearer=["/health"])
    assert proofs(httpx.Request("GET", f"{AUDIENCE}{path}")) is proof


@pytest.mark.parametrize("pattern", ["login", "", "/a/**/b", "**"])
def test_a_pattern_that_never_fits_is_refused(pattern: str) -> None:
    """A typing error is found when the app starts."""
    with pytest.raises(ValueError, match="pattern"):
        Proofs(device=[pattern])


def test_any_function_can_choose(around: Surroundings) -> None:
    """By method, by header, by whatever the app knows; a wrong name is an error at once."""
    choose = lambda request: Proof.DEVICE if request.method == "POST" else Proof.SESSION  # noqa: E731
    around.gate.proof = Proof.DEVICE
    with http(around, choose) as api:
        api.post("/x", content=b"a")
    around.gate.proof = Proof.SESSION
    with http(around, "session") as api:
        api.get("/x")
    assert kinds_sent(around.gate) == ["ecdsa", "hmac"]
    with pytest.raises(ValueError, match="hmac"):
        WatchwordAuth(around.client(), AUDIENCE, proof="hmac")


# Binding to a header.


def test_tokens_follow_the_header_that_they_are_bound_to(around: Surroundings) -> None:
    """A user who logs in gets tokens of their own; who goes on as before asks for nothing."""
    with http(around, binding_header="Authorization") as api:
        for user in ("Bearer ada", "Bearer ada", "Bearer bob", None):
            headers = {} if user is None else {"authorization": user}
            assert api.get("/patients", headers=headers).status_code == 200
    bound = [claims_of(r.headers["watchword-token"].encode()).binding for r in around.gate.seen]
    # printf 'Bearer ada' | openssl dgst -sha256 -binary | basenc --base64url
    assert bound == [ADA, ADA, BOB, BOB]
    assert around.service.issued == 2


ADA = "-G2iP6U4-9Tw0eFwwK71q8Haw2mflYcNNsp9Aqhbfc0"
BOB = "CyWxtFgGdSWNdc2yHx8mlKczfmKL8uQI-fzihUEAzE8"


def test_a_stored_session_is_used_under_its_own_binding_only(around: Surroundings) -> None:
    """After a restart the token of another user isn't sent for this one."""
    client = around.client()
    client.bind("Bearer ada")
    token = client.token(AUDIENCE)
    stored = json.loads(json.dumps(client.export_session()))
    again, other = around.client(), around.client()
    for each, value in ((again, "Bearer ada"), (other, None)):
        each.import_session(stored)
        each.bind(value)
    assert again.token(AUDIENCE) == token
    assert other.token(AUDIENCE) != token


# Restarts, threads, secrets.


def test_a_stored_session_goes_on_proving(around: Surroundings) -> None:
    """The session key is stored with the token; the phone isn't asked to open it again."""
    client = around.client()
    client.enrol()
    again = around.client()
    again.import_session(json.loads(json.dumps(client.export_session())))
    around.phone.opens = False
    auth = WatchwordAuth(again, AUDIENCE)
    with httpx.Client(auth=auth, transport=httpx.MockTransport(around.gate)) as api:
        assert api.get(f"{AUDIENCE}/x").status_code == 200
    assert kinds_sent(around.gate) == ["hmac"]


def test_async_requests_are_proved_too(around: Surroundings) -> None:
    """Side by side, and mended by the same rules."""
    around.phone_ahead, around.gate.nonce = 5000, NONCE
    auth = WatchwordAuth(around.client(), AUDIENCE)

    async def ask() -> list[int]:
        transport = httpx.MockTransport(around.gate)
        async with httpx.AsyncClient(base_url=AUDIENCE, auth=auth, transport=transport) as api:
            answers = await asyncio.gather(*(api.post("/x", content=b"Ada") for _ in range(20)))
        return [answer.status_code for answer in answers]

    assert asyncio.run(ask()) == [200] * 20
    assert len(around.gate.used) == 20


@pytest.mark.parametrize("kind", KINDS)
def test_no_nonce_is_used_twice_by_many_threads(around: Surroundings, kind: Proof) -> None:
    """Eight threads, one client, tokens that are renewed meanwhile: all pass, nothing repeats."""
    around.gate.proof = kind
    # A thread that isn't scheduled for long must not be late in this hurried time.
    around.gate.leeway = 10_000
    failures: list[str] = []
    start = threading.Barrier(8)
    with http(around, kind) as api:

        def work() -> None:
            start.wait()
            for number in range(25):
                answer = api.post(f"/patients/{number}", content=b"Ada")
                if answer.status_code != 200:
                    failures.append(answer.text)
                if number % 10 == 9:
                    around.time += 20

        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert failures == []
    assert len(around.gate.used) == len(around.gate.seen) == 200
    assert around.service.issued > 1


def test_session_keys_show_nowhere(around: Surroundings, caplog: pytest.LogCaptureFixture) -> None:
    """Neither a repr nor a log nor the request holds a session key."""
    caplog.set_level("DEBUG")
    client = around.client()
    auth = WatchwordAuth(client, AUDIENCE)
    with httpx.Client(auth=auth, transport=httpx.MockTransport(around.gate)) as api:
        api.post(f"{AUDIENCE}/x", content=b"Ada")
    held = client.credential(AUDIENCE)
    assert held.session_key is not None
    everything = repr(client) + repr(held) + repr(auth) + caplog.text
    sent = repr(around.gate.seen[0].headers.raw)
    for text in (held.session_key.hex(), repr(held.session_key)[2:30]):
        assert text not in everything + sent


def test_the_nonce_comes_from_the_entropy_that_was_given(around: Surroundings) -> None:
    """An app can bring its own source; the default is the system's."""
    given = iter(range(9))
    client = around.client(entropy=lambda count: bytes([next(given)] * count))
    assert [len(client.nonce()), client.nonce()] == [22, "AQEBAQEBAQEBAQEBAQEBAQ"]
    assert len({around.client().nonce() for _ in range(100)}) == 100
