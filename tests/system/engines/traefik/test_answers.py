"""Traefik asks about every request, hands on what was judged, and writes down no secret."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.system.engines.envoy.proving import proved, prover
from tests.unit.engines.envoy.stand import bundle_of, request, token, until
from tests.unit.engines.forward_auth.stand import ROUTES, Stand, traefik_before_api

from watchword.apps.engines.logs.formats import read_traefik
from watchword.gate.hygiene import CLIENT_SIDE
from watchword.reasons import Reason
from watchword.vocabulary import Level

SIGNS = "-_!#$%&'*+.^`|~"


@pytest.fixture(scope="module")
def stand() -> Iterator[Stand]:
    """Run Traefik in front of an API."""
    with traefik_before_api() as running:
        yield running


def test_results_arrive_once_and_the_token_stays_here(stand: Stand) -> None:
    """Whatever a client states in their names, by whichever sign for a hyphen."""
    stand.api.seen.clear()
    forged = [f"Watchword{sign}Level: hardware".encode() for sign in SIGNS]
    forged += [f"watchword{sign}instance: somebody".encode() for sign in SIGNS]
    held = token(level=Level.SOFTWARE)
    assert stand.send(b"/v1/x", *forged, token=held).status == 200
    (seen,) = stand.api.seen
    stated = [(name, value) for name, value in seen.fields if b"watchword" in name.lower()]
    assert sorted(name for name, _ in stated) == [
        b"watchword-app",
        b"watchword-instance",
        b"watchword-level",
    ]
    assert seen.values(b"watchword-level") == [b"software"]
    assert held not in b"".join(value for _, value in seen.fields)


@pytest.mark.parametrize("target", [b"/v1/x", b"/open/x"])
def test_nobody_states_results_without_a_token(stand: Stand, target: bytes) -> None:
    """Neither where one is asked for, nor on a route that is open."""
    stand.api.seen.clear()
    answer = stand.send(target, b"Watchword-Level: hardware", b"Watchword-Instance: somebody")
    if target == b"/v1/x":
        assert (answer.status, answer.slug) == (401, "token-required")
        assert stand.api.seen == []
    else:
        (seen,) = stand.api.seen
        assert seen.values(b"watchword-level") == seen.values(b"watchword-instance") == []


def test_a_refusal_is_the_gates_own(stand: Stand) -> None:
    """Status, problem and fields, and nothing that is meant for engines alone."""
    stand.api.seen.clear()
    answer = stand.send(b"/strong/x", token=token(level=Level.SOFTWARE))
    assert (answer.status, answer.slug) == (403, "level-insufficient")
    assert b"cache-control: no-store" in answer.head
    assert b"watchword-refused" not in answer.head
    assert stand.api.seen == []


def test_a_body_streams(stand: Stand) -> None:
    """Of any framing and any length, and none of it goes to who is asked."""
    stand.api.seen.clear()
    body = b"x" * 3_000_000
    assert stand.send(b"/v1/x", token=token(), method=b"POST", body=body).status == 200
    data = request(
        b"/v1/x", b"Transfer-Encoding: chunked", b"Connection: close", method=b"PUT", token=token()
    )
    assert stand.raw(data + b"3\r\nabc\r\n0\r\n\r\n").status == 200
    assert [each.body for each in stand.api.seen] == [body, b"abc"]


def test_no_question_reaches_the_api(stand: Stand) -> None:
    """Under load neither, and no answer is another request's."""
    stand.api.seen.clear()
    held = token()

    def one(at: int) -> int:
        with_token = {"token": held} if at % 2 else {}
        return stand.send(b"/v1/x", b"Watchword-Level: hardware", **with_token).status

    with ThreadPoolExecutor(24) as pool:
        found = list(pool.map(one, range(400)))
    assert [status for at, status in enumerate(found) if at % 2 == 0] == [401] * 200
    assert [status for at, status in enumerate(found) if at % 2] == [200] * 200
    assert {each.line for each in stand.api.seen} == {b"GET /v1/x HTTP/1.1"}
    assert len(stand.api.seen) == 200


def test_any_host_is_guarded(stand: Stand) -> None:
    """The one route is of all hosts, and of every path."""
    for host in (b"clinic.example", b"other.example", b"127.0.0.1"):
        assert stand.send(b"/v1/x", host=host).status == 401
        assert stand.send(b"/v1/x", host=host, token=token()).status == 200
        assert stand.send(b"/elsewhere", host=host, token=token()).status == 403


@pytest.mark.parametrize("target", [b"/v1/x", b"/open/x"])
def test_no_client_says_where_it_comes_from(stand: Stand, target: bytes) -> None:
    """What Traefik says of the connection arrives, and names that only look alike."""
    stand.api.seen.clear()
    forged = [f"{name}: 6.6.6.6".encode() for name in CLIENT_SIDE]
    alike = (b"X-Realm: 6", b"X-Unreal-Zip: 7")
    assert stand.send(target, *forged, *alike, token=token()).status == 200
    (seen,) = stand.api.seen
    assert [name for name, value in seen.fields if b"6.6.6.6" in value] == []
    assert seen.values(b"x-forwarded-for") == [b"127.0.0.1"]
    assert (seen.values(b"x-realm"), seen.values(b"x-unreal-zip")) == ([b"6"], [b"7"])


@pytest.mark.parametrize("name", [name for name in CLIENT_SIDE if "-" in name])
def test_nor_by_another_sign_for_a_hyphen(stand: Stand, name: str) -> None:
    """In one place or in all: Traefik, which removes those with ``_``, couldn't name them all."""
    stand.api.seen.clear()
    spelt = {name.replace("-", sign) for sign in SIGNS} | {
        sign.join(name.rsplit("-", 1)) for sign in SIGNS
    }
    spelt |= {sign.join(name.split("-", 1)) for sign in SIGNS}
    for each in sorted(spelt - {name}):
        answer = stand.send(b"/open/x", f"{each}: 6.6.6.6".encode(), token=token())
        assert answer.status == 400 or ("_" in each and answer.status == 200), each
    assert not [each for each in stand.api.seen if any(b"6.6.6.6" in v for _, v in each.fields)]


def test_a_head_that_nobody_would_read_asks_nobody(stand: Stand) -> None:
    """Else the log would say that whoever is asked was away."""
    stand.api.seen.clear()
    assert stand.send(b"/v1/x", b"X: " + b"x" * 900_000, token=token()).status == 431
    assert stand.api.seen == []


@pytest.mark.parametrize("body", [b"", b"x"])
@pytest.mark.parametrize("stated", [(), (b"X-Forwarded-Content-Length: 0",)])
def test_a_route_that_asks_for_a_proof_later_is_refused(
    body: bytes, stated: tuple[bytes, ...]
) -> None:
    """Traefik's files stay as they are; a body that was added to a good proof would pass unseen."""
    with traefik_before_api() as stand:
        stand.publish(bundle_of(ROUTES, generation=2))
        lines = proved("session", prover(), method="POST", target="/proved/x")
        until(lambda: stand.send(b"/proved/x").slug == "token-required")
        answer = stand.send(b"/proved/x", *lines, *stated, method=b"POST", body=body)
        assert (answer.status, answer.slug) == (401, "proof-refused")
        assert stand.send(b"/v1/x", token=token(), method=b"POST", body=body).status == 200
        assert [each.line for each in stand.api.seen] == [b"POST /v1/x HTTP/1.1"]


def test_a_websocket_isnt_opened(stand: Stand) -> None:
    """Nobody would end it when its instance is revoked."""
    stand.api.seen.clear()
    upgrade = (b"Upgrade: websocket", b"Connection: Upgrade", b"Sec-WebSocket-Version: 13")
    stand.raw(request(b"/v1/x", *upgrade, token=token()))
    assert [each.values(b"upgrade") for each in stand.api.seen] == [[]]


def test_who_doesnt_answer_lets_nobody_through() -> None:
    """502 without an API, 500 without who is asked; the log shows both, and holds neither target nor token."""
    with traefik_before_api(upstream=9) as stand:
        held = token()
        assert stand.send(b"/v1/x?password=hunter2", token=held).status == 502
        refused = stand.send(b"/v1/x?password=hunter2")
        stand.stop_authz()
        assert stand.send(b"/v1/x?password=hunter2", token=held).status == 500
        log = stand.directory / "access.log"
        until(lambda: '"DownstreamStatus":500' in log.read_text("utf-8"))
        text = log.read_text("utf-8")
        said = text + (stand.directory / "server.log").read_text("utf-8")
        assert held.decode() not in said
        assert "hunter2" not in text
        # Before them stands the one that waited until there were routes.
        refusals = [read_traefik(json.loads(line)) for line in text.splitlines()[-3:]]
        assert [each and (each.status, each.reason) for each in refusals] == [
            (502, Reason.GATE_UPSTREAM),
            (401, None),
            (500, Reason.GATE_STATE_UNAVAILABLE),
        ]
        assert [each and each.ref for each in refusals] == ["", refused.problem["ref"], ""]
