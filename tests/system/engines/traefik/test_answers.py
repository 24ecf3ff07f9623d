"""Traefik asks about every request, hands on what was judged, and writes down no secret."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.system.engines.envoy.proofs import proved, prover
from tests.unit.engines.envoy.rig import bundle_of, request, token, until
from tests.unit.engines.forward_auth.rig import ROUTES, Rig, traefik_before_api

from watchword.apps.engines.logs.formats import read_traefik
from watchword.gate.hygiene import CLIENT_SIDE
from watchword.reasons import Reason
from watchword.vocabulary import Level

SIGNS = "-_!#$%&'*+.^`|~"


@pytest.fixture(scope="module")
def rig() -> Iterator[Rig]:
    """Run Traefik in front of an API."""
    with traefik_before_api() as running:
        yield running


def test_results_arrive_once_and_the_token_stays_here(rig: Rig) -> None:
    """Whatever a client states in their names, by whichever sign for a hyphen."""
    rig.api.seen.clear()
    forged = [f"Watchword{sign}Level: hardware".encode() for sign in SIGNS]
    forged += [f"watchword{sign}instance: somebody".encode() for sign in SIGNS]
    held = token(level=Level.SOFTWARE)
    assert rig.send(b"/v1/x", *forged, token=held).status == 200
    (seen,) = rig.api.seen
    stated = [(name, value) for name, value in seen.fields if b"watchword" in name.lower()]
    assert sorted(name for name, _ in stated) == [
        b"watchword-app",
        b"watchword-instance",
        b"watchword-level",
    ]
    assert seen.values(b"watchword-level") == [b"software"]
    assert held not in b"".join(value for _, value in seen.fields)


@pytest.mark.parametrize("target", [b"/v1/x", b"/open/x"])
def test_nobody_states_results_without_a_token(rig: Rig, target: bytes) -> None:
    """Neither where one is asked for, nor on a route that is open."""
    rig.api.seen.clear()
    answer = rig.send(target, b"Watchword-Level: hardware", b"Watchword-Instance: somebody")
    if target == b"/v1/x":
        assert (answer.status, answer.slug) == (401, "token-required")
        assert rig.api.seen == []
    else:
        (seen,) = rig.api.seen
        assert seen.values(b"watchword-level") == seen.values(b"watchword-instance") == []


def test_a_refusal_is_the_gates_own(rig: Rig) -> None:
    """Status, problem and fields, and nothing that is meant for engines alone."""
    rig.api.seen.clear()
    answer = rig.send(b"/strong/x", token=token(level=Level.SOFTWARE))
    assert (answer.status, answer.slug) == (403, "level-insufficient")
    assert b"cache-control: no-store" in answer.head
    assert b"watchword-refused" not in answer.head
    assert rig.api.seen == []


def test_a_body_streams(rig: Rig) -> None:
    """Of any framing and any length, and none of it goes to who is asked."""
    rig.api.seen.clear()
    body = b"x" * 3_000_000
    assert rig.send(b"/v1/x", token=token(), method=b"POST", body=body).status == 200
    data = request(
        b"/v1/x", b"Transfer-Encoding: chunked", b"Connection: close", method=b"PUT", token=token()
    )
    assert rig.raw(data + b"3\r\nabc\r\n0\r\n\r\n").status == 200
    assert [each.body for each in rig.api.seen] == [body, b"abc"]


def test_no_question_reaches_the_api(rig: Rig) -> None:
    """Under load neither, and no answer is another request's."""
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
    """The one route is of all hosts, and of every path."""
    for host in (b"clinic.example", b"other.example", b"127.0.0.1"):
        assert rig.send(b"/v1/x", host=host).status == 401
        assert rig.send(b"/v1/x", host=host, token=token()).status == 200
        assert rig.send(b"/elsewhere", host=host, token=token()).status == 403


@pytest.mark.parametrize("target", [b"/v1/x", b"/open/x"])
def test_no_client_says_where_it_comes_from(rig: Rig, target: bytes) -> None:
    """What Traefik says of the connection arrives, and names that only look alike."""
    rig.api.seen.clear()
    forged = [f"{name}: 6.6.6.6".encode() for name in CLIENT_SIDE]
    alike = (b"X-Realm: 6", b"X-Unreal-Zip: 7")
    assert rig.send(target, *forged, *alike, token=token()).status == 200
    (seen,) = rig.api.seen
    assert [name for name, value in seen.fields if b"6.6.6.6" in value] == []
    assert seen.values(b"x-forwarded-for") == [b"127.0.0.1"]
    assert (seen.values(b"x-realm"), seen.values(b"x-unreal-zip")) == ([b"6"], [b"7"])


@pytest.mark.parametrize("name", [name for name in CLIENT_SIDE if "-" in name])
def test_nor_by_another_sign_for_a_hyphen(rig: Rig, name: str) -> None:
    """In one place or in all: Traefik, which removes those with ``_``, couldn't name them all."""
    rig.api.seen.clear()
    spelt = {name.replace("-", sign) for sign in SIGNS} | {
        sign.join(name.rsplit("-", 1)) for sign in SIGNS
    }
    spelt |= {sign.join(name.split("-", 1)) for sign in SIGNS}
    for each in sorted(spelt - {name}):
        answer = rig.send(b"/open/x", f"{each}: 6.6.6.6".encode(), token=token())
        assert answer.status == 400 or ("_" in each and answer.status == 200), each
    assert not [each for each in rig.api.seen if any(b"6.6.6.6" in v for _, v in each.fields)]


def test_a_head_that_nobody_would_read_asks_nobody(rig: Rig) -> None:
    """Else the log would say that whoever is asked was away."""
    rig.api.seen.clear()
    assert rig.send(b"/v1/x", b"X: " + b"x" * 900_000, token=token()).status == 431
    assert rig.api.seen == []


@pytest.mark.parametrize("body", [b"", b"x"])
@pytest.mark.parametrize("stated", [(), (b"X-Forwarded-Content-Length: 0",)])
def test_a_route_that_asks_for_a_proof_later_is_refused(
    body: bytes, stated: tuple[bytes, ...]
) -> None:
    """Traefik's files stay as they are; a body that was added to a good proof would pass unseen."""
    with traefik_before_api() as rig:
        rig.publish(bundle_of(ROUTES, generation=2))
        lines = proved("session", prover(), method="POST", target="/proved/x")
        until(lambda: rig.send(b"/proved/x").slug == "token-required")
        answer = rig.send(b"/proved/x", *lines, *stated, method=b"POST", body=body)
        assert (answer.status, answer.slug) == (401, "proof-refused")
        assert rig.send(b"/v1/x", token=token(), method=b"POST", body=body).status == 200
        assert [each.line for each in rig.api.seen] == [b"POST /v1/x HTTP/1.1"]


def test_a_websocket_isnt_opened(rig: Rig) -> None:
    """Nobody would end it when its instance is revoked."""
    rig.api.seen.clear()
    upgrade = (b"Upgrade: websocket", b"Connection: Upgrade", b"Sec-WebSocket-Version: 13")
    rig.raw(request(b"/v1/x", *upgrade, token=token()))
    assert [each.values(b"upgrade") for each in rig.api.seen] == [[]]


def test_who_doesnt_answer_lets_nobody_through() -> None:
    """502 without an API, 500 without who is asked; the log shows both, and holds neither target nor token."""
    with traefik_before_api(upstream=9) as rig:
        held = token()
        assert rig.send(b"/v1/x?password=hunter2", token=held).status == 502
        refused = rig.send(b"/v1/x?password=hunter2")
        rig.stop_authz()
        assert rig.send(b"/v1/x?password=hunter2", token=held).status == 500
        log = rig.directory / "access.log"
        until(lambda: '"DownstreamStatus":500' in log.read_text("utf-8"))
        text = log.read_text("utf-8")
        said = text + (rig.directory / "server.log").read_text("utf-8")
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
