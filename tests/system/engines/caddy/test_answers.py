"""Caddy keeps every body off a proof that covers none, never asks the API in the place of /authz, and logs no secret."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.system.engines.envoy.proofs import proved, prover
from tests.unit.engines.envoy.rig import request, token, until
from tests.unit.engines.forward_auth.rig import Rig, caddy_before_api

TARGET = b"/proved/x"
BODIES = (b"x", b"\n", b"\0", b" ", b"{", b"{}", b"{unknown}", b"{http.request.host}", b"x" * 5000)


@pytest.fixture(scope="module")
def rig() -> Iterator[Rig]:
    """Run Caddy in front of an API."""
    with caddy_before_api() as running:
        yield running


def post_of(*framing: bytes, body: bytes = b"") -> bytes:
    """Return a POST that is proved to have no body, with one that somebody added."""
    lines = proved("session", prover(), method="POST", target=TARGET.decode())
    return request(TARGET, *lines, *framing, b"Connection: close", method=b"POST") + body


def chunked(body: bytes) -> bytes:
    """Return a POST that is proved to have no body, with one in chunks."""
    return post_of(b"Transfer-Encoding: chunked", body=b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body))


def test_a_proof_without_body_passes(rig: Rig) -> None:
    """And its fields stop here; the results arrive, once."""
    rig.api.seen.clear()
    answer = rig.raw(post_of())
    assert answer.status == 200
    assert b"watchword" not in answer.head
    (seen,) = rig.api.seen
    assert seen.values(b"signature") == seen.values(b"signature-input") == []
    assert len(seen.values(b"watchword-instance")) == 1


@pytest.mark.parametrize("body", BODIES)
def test_a_body_in_chunks_that_no_proof_covers_is_refused(rig: Rig, body: bytes) -> None:
    """Caddy tells nobody of it beforehand; none of it may arrive, whatever it looks like."""
    rig.api.seen.clear()
    answer = rig.raw(chunked(body))
    assert (answer.status, answer.slug) == (401, "proof-refused")
    assert b"cache-control: no-store" in answer.head
    assert b"www-authenticate: watchword" in answer.head
    assert rig.api.seen == []


def test_an_announced_body_that_no_proof_covers_is_refused(rig: Rig) -> None:
    """By /authz, which is told how long it is."""
    rig.api.seen.clear()
    assert rig.raw(post_of(b"Content-Length: 1", body=b"x")).status == 401
    assert rig.api.seen == []


def test_a_body_streams_on_routes_without_proof(rig: Rig) -> None:
    """Of any framing and any length."""
    rig.api.seen.clear()
    body = b"x" * 3_000_000
    assert rig.send(b"/v1/x", token=token(), method=b"POST", body=body).status == 200
    data = request(
        b"/v1/x", b"Transfer-Encoding: chunked", b"Connection: close", method=b"PUT", token=token()
    )
    assert rig.raw(data + b"3\r\nabc\r\n0\r\n\r\n").status == 200
    assert [each.body for each in rig.api.seen] == [body, b"abc"]


def test_no_question_reaches_the_api(rig: Rig) -> None:
    """Under load neither: a connection that leads to the API must never be asked in the place of /authz.

    With connections of questions kept, some of these arrived at the API as GET /authz, with what the client stated.
    """
    rig.api.seen.clear()
    held = token()

    def one(at: int) -> int:
        with_token = {"token": held} if at % 2 else {}
        return rig.send(b"/v1/x", b"Watchword-Level: hardware", **with_token).status

    with ThreadPoolExecutor(24) as pool:
        found = list(pool.map(one, range(400)))
    assert [status for at, status in enumerate(found) if at % 2 == 0] == [401] * 200
    assert [status for at, status in enumerate(found) if at % 2] == [200] * 200
    assert {each.line for each in rig.api.seen} == {b"GET /v1/x HTTP/1.1"}
    assert len(rig.api.seen) == 200


def test_any_host_is_guarded(rig: Rig) -> None:
    """Caddy answers 200 with nothing in it where a host isn't its own."""
    for host in (b"clinic.example", b"other.example", b"127.0.0.1"):
        assert rig.send(b"/v1/x", host=host).status == 401
        answer = rig.send(b"/v1/x", host=host, token=token())
        assert (answer.status, answer.body) == (200, b"ok")


@pytest.mark.parametrize("target", [b"/v1/x", b"/open/x"])
def test_no_client_says_where_it_comes_from(rig: Rig, target: bytes) -> None:
    """By whichever sign for a hyphen; what Caddy says of the connection arrives, and names that only look alike."""
    rig.api.seen.clear()
    signs = "-_!#$%&'*+.^`|~"
    forged = [b"Forwarded: for=6.6.6.6", b"X-Forwarded-For: 6.6.6.6", b"x-forwarded-port: 666"]
    forged += [f"X{sign}Forwarded-For: 6.6.6.6".encode() for sign in signs]
    forged += [f"X{sign}Real{sign}IP: 6.6.6.6".encode() for sign in signs]
    forged += [f"X-Real{sign}IP: 6.6.6.6".encode() for sign in signs]
    alike = (b"X-Realm: 6", b"X-Unreal-Zip: 7")
    assert rig.send(target, *forged, *alike, token=token()).status == 200
    (seen,) = rig.api.seen
    stated = {name: value for name, value in seen.fields if b"for" in name or b"real" in name}
    assert stated == {
        b"x-forwarded-for": b"127.0.0.1",
        b"x-forwarded-host": b"clinic.example",
        b"x-forwarded-proto": b"http",
        b"x-realm": b"6",
        b"x-unreal-zip": b"7",
    }
    assert b"6.6.6.6" not in [value for _, value in seen.fields]


def test_who_doesnt_answer_is_said_so() -> None:
    """503 without /authz, 502 without an API, each a problem; neither makes Caddy write down a token."""
    with caddy_before_api(upstream=9) as rig:
        held = token()
        answer = rig.send(b"/v1/x?password=hunter2", token=held)
        assert (answer.status, answer.slug) == (502, "upstream-unreachable")
        rig.stop_authz()
        answer = rig.send(b"/v1/x?password=hunter2", token=held)
        assert (answer.status, answer.slug) == (503, "unavailable")
        assert b"content-type: application/problem+json" in answer.head
        assert b"retry-after: 5" in answer.head
        log = rig.directory / "access.log"
        until(lambda: answer.problem["ref"] in log.read_text("utf-8"))
        text = log.read_text("utf-8") + (rig.directory / "caddy.log").read_text("utf-8")
        assert held.decode() not in text
        assert "hunter2" not in text


def test_a_websocket_isnt_opened(rig: Rig) -> None:
    """Nobody would end it when its instance is revoked."""
    rig.api.seen.clear()
    upgrade = (b"Upgrade: websocket", b"Connection: Upgrade", b"Sec-WebSocket-Version: 13")
    rig.raw(request(b"/v1/x", *upgrade, token=token()))
    assert [each.values(b"upgrade") for each in rig.api.seen] == [[]]


def test_the_log_holds_the_reference_and_no_secret(rig: Rig) -> None:
    """Of a refusal alone; what passed isn't written down."""
    held = token()
    sent = (b"Signature: watchword=:c2VjcmV0LXByb29m:", b"Authorization: Bearer the-secret")
    refused = rig.send(b"/proved/x?password=hunter2", *sent, token=held)
    assert b"watchword-refused" not in refused.head
    log = rig.directory / "access.log"
    until(lambda: refused.problem["ref"] in log.read_text("utf-8"))
    text = log.read_text("utf-8") + (rig.directory / "caddy.log").read_text("utf-8")
    assert {json.loads(line)["status"] for line in text.splitlines() if "resp_headers" in line} <= {
        401
    }
    for secret in (held.decode(), "c2VjcmV0LXByb29m", "the-secret", "hunter2", "password"):
        assert secret not in text
