"""What nginx answers by itself looks as from every other enforcement point, and its log tells no secret."""

import json
import re
from collections.abc import Iterator

import pytest
from tests.unit.engines.envoy.rig import bundle_of, request, token, until
from tests.unit.engines.forward_auth.rig import ROUTES, NginxStand, nginx_before_api, options
from tests.unit.gate.simulators import CLAIMS

from watchword.engines.interface import Endpoint
from watchword.engines.nginx_authz import generate
from watchword.gate.hygiene import CLIENT_SIDE

SECRETS = (b"Signature: watchword=:c2VjcmV0LXByb29m:", b"Authorization: Bearer the-secret")

GENUINE = b"a-token-of-now"
"""Stands for a token until it is sent: one that was made with this table would have ended by then."""


@pytest.fixture(scope="module")
def rig() -> Iterator[NginxStand]:
    """Run nginx in front of an API."""
    with nginx_before_api() as running:
        yield running


@pytest.mark.parametrize(
    ("data", "status", "slug"),
    [
        (request(b"/v1/patients"), 401, "token-required"),
        (request(b"/v1/patients", token=b"x.y.z"), 401, "token-refused"),
        (request(b"/elsewhere", token=GENUINE), 403, "route-refused"),
        (request(b"/v1/../x", token=GENUINE), 400, "request-malformed"),
        (request(b"/proved/x", token=GENUINE), 401, "proof-required"),
        (request(b"/proved/x", token=GENUINE, body=b"x"), 401, "proof-required"),
        (request(b"http://other.example/v1/x", token=GENUINE), 400, "request-malformed"),
        (request(b"/.watchword/authz", token=GENUINE), 403, "route-refused"),
        (request(b"/.watchword/unavailable", token=GENUINE), 403, "route-refused"),
        (b"GET /v1/x HTTP/1.1\r\nHost: a b\r\n\r\n", 400, "request-malformed"),
        (request(b"/v1/x", b"A: " + b"a" * 40_000), 431, "headers-too-large"),
        (request(b"/v1/" + b"a" * 9000), 431, "headers-too-large"),
        (
            request(b"/v1/x", *(b"A%d: a" % at for at in range(120)), token=GENUINE),
            431,
            "headers-too-large",
        ),
    ],
)
def test_a_refusal_is_a_problem(rig: NginxStand, data: bytes, status: int, slug: str) -> None:
    """Status, class, reference and fields, whoever refused."""
    answer = rig.raw(data.replace(GENUINE, token()))
    assert (answer.status, answer.slug) == (status, slug)
    # What Python refused tells the time; nginx's own text doesn't.
    members = [name for name in answer.problem if name != "now"]
    assert members[:4] == ["type", "title", "status", "ref"]
    assert answer.problem["status"] == status
    assert answer.problem["ref"]
    assert b"content-type: application/problem+json" in answer.head
    assert b"cache-control: no-store" in answer.head
    assert (b"www-authenticate: watchword" in answer.head) is (status == 401)
    assert b"watchword-refused" not in answer.head


def test_an_api_answers_for_itself(rig: NginxStand) -> None:
    """Neither its refusals nor its fields are the gate's."""
    answer = rig.send(token=token())
    assert (answer.status, answer.body) == (200, b"ok")
    assert b"watchword" not in answer.head


def test_nobody_says_himself_where_he_comes_from(rig: NginxStand) -> None:
    """Under any spelling, whoever he is, with a new verdict and with one that was kept: the connection says it."""
    fields = (b"%b: 6.6.6.6" % name.lower().encode() for name in CLIENT_SIDE)
    forged = [each.replace(b"-", sign) for each in fields for sign in (b"-", b"_", b".", b"|")]
    held = token()
    for target in (b"/v1/told", b"/v1/told", b"/open/x"):
        rig.api.seen.clear()
        assert rig.send(target, *forged, b"X-Forwarded-FOR: ::1", token=held).status == 200
        (seen,) = rig.api.seen
        assert seen.values(b"x-forwarded-for") == [b"127.0.0.1"]
        assert not [field for field in seen.fields if field[1] in {b"6.6.6.6", b"::1"}]


def test_who_comes_over_a_unix_socket_has_no_address() -> None:
    """What he states is removed all the same."""
    at = options(listen=Endpoint(socket="/run/watchword/in.sock"))
    text = generate(bundle_of(ROUTES), at, 0)[0].content
    assert re.findall(r"proxy_set_header X-Forwarded-For (.*);", text) == ['""']


def test_an_api_that_isnt_there_is_said_so() -> None:
    """502 for the API, and not what the gate would say."""
    with nginx_before_api(upstream=9) as rig:
        answer = rig.send(token=token())
        assert (answer.status, answer.slug) == (502, "upstream-unreachable")


def test_the_log_explains_a_refusal_and_holds_no_secret(rig: NginxStand) -> None:
    """Its reference is the one that the client was told."""
    refused = rig.send(b"/proved/x?password=hunter2", *SECRETS, token=(held := token()))
    log = rig.directory / "access.log"
    until(lambda: refused.problem["ref"] in log.read_text("utf-8"))
    text = log.read_text("utf-8")
    (line,) = [
        found
        for found in map(json.loads, text.splitlines())
        if found["ref"] == refused.problem["ref"]
    ]
    assert line["reason"].startswith("proof.")
    assert (line["route"], line["status"], line["details"]) == ("/proved/**", 401, "authz")
    assert (line["method"], line["client"], line["instance"]) == (
        "GET",
        "127.0.0.1",
        CLAIMS.subject,
    )
    assert isinstance(line["milliseconds"], int)
    for secret in (held.decode(), "c2VjcmV0LXByb29m", "the-secret", "hunter2", "password"):
        assert secret not in text
