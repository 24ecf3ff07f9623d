"""Lend keys through the real Envoy: to which calls, to whom, and what of them never leaves."""

import base64
import re
import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.system.engines.envoy.proofs import proved, prover
from tests.unit.engines.envoy import rig as rigs
from tests.unit.engines.envoy.rig import (
    Rig,
    Seen,
    bundle_of,
    envoy_before_api,
    route,
    token,
    until,
)
from tests.unit.engines.envoy.third_party import GOOD, HOST, ThirdParty, rule, value
from tests.unit.gate.simulators import SoftwareSigner

from watchword.apps.gateway.proxy.exchange import injected_response_fields
from watchword.broker.interface import Allowance, Place, PlaceKind
from watchword.engines.envoy.generation import generate
from watchword.engines.envoy.injection import (
    READABLE_QUERY,
    allowed_expression,
    allowed_methods,
    expression_of_others,
    forwarding,
)
from watchword.engines.envoy.options import EnvoyOptions
from watchword.engines.interface import Endpoint, EngineFileKind, UnsupportedError
from watchword.gate.hygiene import compile_route, read_path
from watchword.gate.injection import FORWARDED_FIELDS, compile_injection
from watchword.gate.interface import Injection
from watchword.reasons import Refusal
from watchword.vocabulary import Level, Proof

HERE = {"maps": ["127.0.0.1"]}
INJECTION = route("/maps/**", secret="maps")
READS = frozenset({"GET"})
KEY = "the-key-of-maps"


@pytest.fixture(scope="module")
def party(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ThirdParty]:
    """Run one third party for all cases."""
    found = ThirdParty(tmp_path_factory.mktemp("p"))
    yield found
    found.close()


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory, party: ThirdParty) -> Iterator[Rig]:
    """Run one Envoy that injects a key, for all cases that change nothing."""
    routes = [
        INJECTION,
        route("/proved/**", secret="maps", proof=Proof.SESSION, methods=READS),
        route("/hw/**", secret="maps", level=Level.HARDWARE),
        route("/read/**", secret="maps", methods=READS),
        route("/none/**", secret="push"),
        route("/v1/**"),
    ]
    its = rule(party.port, headers=frozenset({"x-goog-fieldmask"}))
    bundle = bundle_of(
        routes,
        edges={"maps": its, "push": replace(its, secret="push")},
        injected={"maps": value()},
    )
    with envoy_before_api(tmp_path_factory.mktemp("e"), bundle, addresses=HERE) as running:
        yield running


def test_a_call_carries_the_key_and_nothing_that_is_between_app_and_gate(
    rig: Rig, party: ThirdParty
) -> None:
    """A call carries the key in place of the client's own, and of its other headers those that may go alone."""
    mine = [
        b"Authorization: Bearer mine",
        b"X-Goog-FieldMask: a,b",
        b"x_goog_fieldmask: c",
        b"Cookie: session=1",
        b"X-Session: 1",
        b"X-Forwarded-For: 6.6.6.6",
        b"User-Agent: app",
        b"Accept-Language: fr",
        b"Content-Type: text/plain",
    ]
    answer = rig.send(
        b"/maps/geocode/%41?q=a%2Fb", *mine, method=b"POST", token=token(), body=b"hello"
    )
    assert (answer.status, answer.body) == (200, b"ok")
    seen = party.seen[-1]
    assert (seen.line, seen.body) == (b"POST /geocode/%41?q=a%2Fb HTTP/1.1", b"hello")
    assert b"x-envoy" not in answer.head
    found = dict(seen.fields)
    assert len(found) == len(seen.fields)
    assert found.pop(b"x-request-id") != b""
    assert found == {
        b"host": f"{HOST}:{party.port}".encode(),
        b"authorization": f"Bearer {KEY}".encode(),
        b"x-goog-fieldmask": b"a,b",
        b"accept-language": b"fr",
        b"content-type": b"text/plain",
        b"content-length": b"5",
        b"accept-encoding": b"identity",
        b"user-agent": b"watchword",
        b"via": b"1.1 watchword",
    }


def test_a_third_party_speaks_for_itself_and_not_for_the_host(rig: Rig, party: ThirdParty) -> None:
    """Of a third party's answer the client gets the fields that it gets from the built-in proxy."""
    names = [
        *("set-cookie", "set-cookie2", "alt-svc", "accept-ch", "clear-site-data", "nel"),
        *("strict-transport-security", "refresh", "report-to", "reporting-endpoints"),
        *("service-worker-allowed", "public-key-pins", "watchword-nonce", "watchword-level"),
        *("x-accel-redirect", "x-sendfile", "x-reproxy-url", "cdn-cache-control", "x-accelerated"),
        *("etag", "x-quota-left", "location", "content-type", "cache-control", "x-set-cookie"),
    ]
    fields = [(name.encode(), b"v") for name in names]
    lines = b"".join(name + b": " + value + b"\r\n" for name, value in fields)
    party.answer = lambda _: b"HTTP/1.1 200 OK\r\n" + lines + b"content-length: 0\r\n\r\n"
    try:
        got = rig.send(b"/maps/geocode/1", token=token())
    finally:
        party.answer = lambda _: GOOD
    found = {line.partition(b":")[0] for line in got.head.splitlines() if line}
    wanted = {name for name, _ in injected_response_fields(fields)}
    assert found - {b"date", b"content-length"} == wanted
    assert b"x-quota-left" in wanted
    keeping = [line for line in got.head.splitlines() if line.startswith(b"cache-control:")]
    assert b"private" in b",".join(keeping)


def test_the_segments_of_the_route_are_cut_off_in_every_spelling(
    rig: Rig, party: ThirdParty
) -> None:
    """The segments of the route are cut off in every spelling; what is behind stays as it came."""
    for target, line in (
        (b"/maps/geocode", b"GET /geocode HTTP/1.1"),
        (b"/%6daps/geocode/", b"GET /geocode/ HTTP/1.1"),
        (b"/maps/tiles/%6D%61ps?maps=/maps/", b"GET /tiles/%6D%61ps?maps=/maps/ HTTP/1.1"),
        (b"/maps/geocode/maps/geocode", b"GET /geocode/maps/geocode HTTP/1.1"),
    ):
        assert rig.send(target, token=token()).status == 200
        assert party.seen[-1].line == line


def test_a_proof_is_asked_for_and_stays_here(rig: Rig, party: ThirdParty) -> None:
    """A route that injects a key and asks for a proof refuses a token alone, and the proof stays here."""
    reached = len(party.seen)
    assert rig.send(b"/proved/geocode/1", token=token()).slug == "proof-required"
    assert len(party.seen) == reached
    fields = proved("session", prover(), target="/proved/geocode/1?q=1")
    assert rig.send(b"/proved/geocode/1?q=1", *fields).status == 200
    assert party.seen[-1].line == b"GET /geocode/1?q=1 HTTP/1.1"
    assert not [name for name, _ in party.seen[-1].fields if name.startswith((b"sig", b"watch"))]


REFUSED: list[tuple[str, bytes, dict[str, Any], int, str]] = [
    ("no token", b"/maps/geocode/1", {}, 401, "token-required"),
    ("forged", b"/maps/geocode/1", {"token": "forged"}, 401, "token-refused"),
    ("level", b"/hw/geocode/1", {"token": "software"}, 403, "level-insufficient"),
    ("unlisted path", b"/maps/billing", {"token": "good"}, 403, "route-refused"),
    ("unlisted depth", b"/maps/tiles/1/2", {"token": "good"}, 403, "route-refused"),
    ("segments in front", b"/maps/x/geocode/1", {"token": "good"}, 403, "route-refused"),
    ("longer segment", b"/maps/geocodes", {"token": "good"}, 403, "route-refused"),
    ("case", b"/maps/Geocode/1", {"token": "good"}, 403, "route-refused"),
    ("root", b"/maps", {"token": "good"}, 403, "route-refused"),
    ("root with slash", b"/maps/", {"token": "good"}, 403, "route-refused"),
    (
        "unlisted method",
        b"/maps/geocode/1",
        {"token": "good", "method": b"DELETE"},
        403,
        "route-refused",
    ),
    (
        "method of the key alone",
        b"/read/geocode/1",
        {"token": "good", "method": b"POST"},
        403,
        "route-refused",
    ),
    ("dots", b"/maps/geocode/../billing", {"token": "good"}, 400, "request-malformed"),
    ("encoded slash", b"/maps/geocode/..%2fbilling", {"token": "good"}, 400, "request-malformed"),
    ("empty segment", b"/maps//evil.example/geocode", {"token": "good"}, 400, "request-malformed"),
    ("absolute", b"http://evil.example/maps/geocode/1", {"token": "good"}, 403, ""),
    ("fragment", b"/maps/geocode/1?a#b", {"token": "good"}, 400, "request-malformed"),
    ("odd query", b"/maps/geocode/1?a\xc3\xa9", {"token": "good"}, 400, "request-malformed"),
    ("no value", b"/none/geocode/1", {"token": "good"}, 503, "unavailable"),
    ("no value, no token", b"/none/geocode/1", {}, 401, "token-required"),
    ("no value, unlisted", b"/none/billing", {"token": "good"}, 403, "route-refused"),
]


@pytest.mark.parametrize(
    ("target", "how", "status", "slug"),
    [case[1:] for case in REFUSED],
    ids=[case[0] for case in REFUSED],
)
def test_what_the_key_is_not_injected_for_reaches_nobody(
    rig: Rig, party: ThirdParty, target: bytes, how: dict[str, Any], status: int, slug: str
) -> None:
    """What the key isn't injected for is refused by its public class, and reaches neither third party nor API."""
    made = {
        None: None,
        "good": token(),
        "software": token(level=Level.SOFTWARE),
        "forged": token(SoftwareSigner("token-1")),
    }
    before = len(party.seen), len(rig.api.seen)
    answer = rig.send(target, **{**how, "token": made[how.get("token")]})
    # A target with a host of its own is refused by Envoy's parser, before it has a path.
    assert (answer.status, answer.slug if slug else "") == (status, slug)
    assert (len(party.seen), len(rig.api.seen)) == before
    assert KEY.encode() not in answer.head + answer.body


def test_a_host_of_the_client_changes_nothing(rig: Rig, party: ThirdParty) -> None:
    """Whatever Host the client names, the origin hears its own."""
    assert rig.send(b"/maps/geocode/1", host=b"evil.example", token=token()).status == 200
    assert party.seen[-1].values(b"host") == [f"{HOST}:{party.port}".encode()]


def test_the_key_stands_in_its_private_file_alone(rig: Rig) -> None:
    """The key stands in its private file alone: in no other file, no log, and nothing that admin shows."""
    assert rig.send(b"/maps/geocode/1", token=token()).status == 200
    paths = (
        "/config_dump?include_eds",
        "/stats",
        "/clusters",
        "/listeners",
        "/certs",
        "/init_dump",
    )
    shown = {path: rig.admin(path) for path in (*paths, "/server_info", "/help", "/runtime")}
    assert b"watchword.lend-maps" in shown["/config_dump?include_eds"]
    for path in rig.directory.iterdir():
        if path.is_file():
            shown[path.name] = path.read_bytes()
    assert KEY.encode() in shown.pop("lent-maps.yaml")
    for secret in (KEY.encode(), base64.b64encode(KEY.encode()), KEY.encode().hex().encode()):
        assert [where for where, text in shown.items() if secret in text] == []


def test_nothing_but_the_private_file_and_no_repr_holds_the_key() -> None:
    """Of the generated files the private ones alone hold the key, and no repr shows it."""
    bundle = bundle_of([INJECTION], edges={"maps": rule(443)}, injected={"maps": value()})
    files = generate(bundle, OPTIONS, 0, HERE)
    holding = {file.name: file.kind for file in files if KEY in file.content}
    assert holding == {"lent-maps.yaml": EngineFileKind.PRIVATE}
    assert KEY not in repr(files) + repr(bundle)


def _arrived(party: ThirdParty, wanted: bytes) -> bool:
    return wanted in party.injected()[-8:]


def test_rotation_under_load_fails_no_call_and_revocation_ends_it(tmp_path: Path) -> None:
    """A key that is rotated ten times under load fails no call; each is made with a key that counted; then it ends."""
    party = ThirdParty(tmp_path)
    edges = {"maps": rule(party.port)}
    kept = token()
    failed: list[int] = []
    done = threading.Event()

    def call(rig: Rig) -> None:
        with rig.connect() as held:
            while not done.is_set():
                held.sendall(rigs.request(b"/maps/geocode/1", token=kept))
                status = rigs.read_answer(held).status
                if status != 200:
                    failed.append(status)
                    return

    first = bundle_of([INJECTION], edges=edges, injected={"maps": value("key-0")})
    with envoy_before_api(tmp_path / "e", first, addresses=HERE) as rig:
        callers = [threading.Thread(target=call, args=(rig,)) for _ in range(4)]
        for caller in callers:
            caller.start()
        for number in range(1, 11):
            text = f"key-{number}"
            injected = {"maps": value(text, number)}
            rig.publish(
                bundle_of([INJECTION], edges=edges, injected=injected, generation=number + 1)
            )
            wanted = f"Bearer {text}".encode()
            until(partial(_arrived, party, wanted))
        done.set()
        for caller in callers:
            caller.join(10)
        assert failed == []
        assert len(party.seen) > 50
        assert {key.decode() for key in party.injected()} == {f"Bearer key-{n}" for n in range(11)}
        rig.publish(bundle_of([INJECTION], edges=edges, generation=12))
        until(lambda: rig.send(b"/maps/geocode/1", token=kept).status == 503)
        assert "key-10" not in (tmp_path / "e" / "lent-maps.yaml").read_text("utf-8")
        reached = len(party.seen)
        assert rig.send(b"/maps/geocode/1", token=kept).slug == "unavailable"
        assert len(party.seen) == reached
    party.close()


OPTIONS = EnvoyOptions(
    directory="/srv/envoy",
    listen=Endpoint("127.0.0.1", 8080),
    upstream=Endpoint("127.0.0.1", 8081),
    admin=Endpoint(socket="/srv/envoy/admin.sock"),
)


@pytest.mark.parametrize(
    ("changes", "setting"),
    [
        ({"place": Place(PlaceKind.QUERY, "key")}, "secret maps: query"),
        (
            {"place": Place(PlaceKind.HEADER, "x-api-key", placeholder="wwk-maps")},
            "secret maps: replace",
        ),
        ({"reflects": True}, "secret maps: reflects"),
        ({"secret": "ma/ps"}, "secret ma/ps"),
        ({"place": Place(PlaceKind.HEADER, "host")}, "secret"),
        ({"allowances": (Allowance(60, spend=3),), "cost": 4}, "quota"),
        ({"allowances": (Allowance(5, calls=3),)}, "a quota per 5 s"),
    ],
)
def test_what_cannot_be_exact_is_refused_and_nothing_is_written(
    changes: dict[str, Any], setting: str
) -> None:
    """What Envoy can't do exactly is refused with the way out, before any file."""
    bundle = bundle_of(
        [INJECTION], edges={"maps": rule(443, **changes)}, injected={"maps": value()}
    )
    with pytest.raises(UnsupportedError) as caught:
        generate(bundle, OPTIONS, 0, HERE)
    assert caught.value.setting == setting
    assert KEY not in str(caught.value)


def test_a_route_whose_key_has_no_rule_is_refused() -> None:
    """A route whose key has no rule is refused."""
    with pytest.raises(UnsupportedError, match="no rule says into which calls maps is injected"):
        generate(bundle_of([INJECTION]), OPTIONS, 0)


PIECES = ["a", "%61", "b", "maps", "%e2%82%ac", "*"]
RESTS = st.tuples(
    st.lists(st.sampled_from(PIECES).map("/{}".format), max_size=4).map("".join),
    st.sampled_from(["", "", "/", "x", "%25"]),
).map("".join)
PATTERNS = st.sampled_from(["/", "/**", "/a", "/a/**", "/*/b", "/a/*/**", "/%E2%82%AC"])
STEMS = st.sampled_from([("/maps/**", "/m%61ps"), ("/**", ""), ("/a/maps/**", "/a/maps")])


@given(
    STEMS,
    st.lists(PATTERNS, min_size=1, max_size=3),
    RESTS,
    st.sampled_from(["GET", "HEAD", "PUT"]),
)
def test_the_expressions_inject_for_exactly_the_paths_for_which_the_gate_injects(
    stem: tuple[str, str], patterns: list[str], rest: str, method: str
) -> None:
    """Which paths and methods a key is injected for, and the path at the origin, are the gate's own answer."""
    path = stem[1] + rest
    own = compile_route(route(stem[0], secret="maps", methods=READS))
    injection = compile_injection(own.route, rule(443, patterns=tuple(patterns)))
    segments = read_path(path.encode())
    if isinstance(segments, Refusal) or not own.matches(method, segments):
        return
    wanted = injection.resolve(method, path.encode())
    allowed = method in allowed_methods(own, injection) and re.fullmatch(
        allowed_expression(own, injection), path
    )
    assert bool(allowed) is isinstance(wanted, Injection)
    if isinstance(wanted, Injection):
        rewrite: Any = forwarding(own, injection.rule).get("regex_rewrite")
        sent = path
        if rewrite is not None:
            sent = re.sub(rewrite["pattern"]["regex"], rewrite["substitution"], path)
        assert sent.encode() == wanted.path


NAMES = st.text("acept-lngu_:x", min_size=1, max_size=18)


@given(NAMES | st.sampled_from(sorted(name.decode() for name in FORWARDED_FIELDS)))
def test_the_expression_of_others_keeps_exactly_what_is_named(name: str) -> None:
    """The expression matches each name of a field but those that are kept, and none of Envoy's own."""
    kept = {each.decode() for each in FORWARDED_FIELDS}
    removed = re.fullmatch(expression_of_others(kept), name) is not None
    assert removed is (name not in kept and not name.startswith(":"))


QUERIES = st.lists(st.sampled_from(list(b"a~!&=?%# \x7f\x80")), max_size=6).map(bytes)


@given(QUERIES | st.binary(max_size=3))
def test_a_query_is_read_as_the_gate_reads_it(query: bytes) -> None:
    """A query is refused exactly where it has other bytes than visible ASCII, or a hash."""
    fine = all(0x21 <= byte <= 0x7E and byte != ord("#") for byte in query)
    target = "/maps/geocode?" + query.decode("latin-1")
    assert bool(re.fullmatch(READABLE_QUERY, target, re.DOTALL)) is fine


HOSTILE: list[tuple[str, bytes, int]] = [
    (
        "redirect",
        b"HTTP/1.1 302 F\r\nlocation: https://evil.example/\r\ncontent-length: 0\r\n\r\n",
        302,
    ),
    ("no HTTP", b"\x00\x01garbage\r\n\r\n", 502),
    ("cut head", b"", 502),
]


@pytest.mark.parametrize(
    ("answer", "status"), [case[1:] for case in HOSTILE], ids=[case[0] for case in HOSTILE]
)
def test_a_hostile_origin_is_asked_once_and_never_followed(
    rig: Rig, party: ThirdParty, answer: bytes, status: int
) -> None:
    """An origin that redirects, talks nonsense or hangs up is asked once, and nobody else is."""

    def answered(_: Seen) -> bytes:
        if not answer:
            raise ConnectionError
        return answer

    before = len(party.seen)
    party.answer = answered
    try:
        got = rig.send(b"/maps/geocode/1", token=token())
    finally:
        party.answer = lambda _: GOOD
    assert got.status == status
    if status == 502:
        assert len(got.problem["ref"]) > 30
    assert len(party.seen) == before + 1
    assert KEY.encode() not in got.head + got.body
