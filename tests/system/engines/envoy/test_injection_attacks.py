"""Attack the keys that the real Envoy injects: get one, bring one's own, have it carried elsewhere, or called for twice."""

import contextlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final
from urllib.parse import unquote_to_bytes

import pytest
from tests.unit.engines.envoy.rig import (
    PATIENCE,
    Answer,
    Rig,
    Seen,
    bundle_of,
    envoy_before_api,
    read_answer,
    request,
    route,
    token,
    until,
)
from tests.unit.engines.envoy.third_party import GOOD, HOST, ThirdParty, rule, value
from tests.unit.gate.simulators import CLAIMS

from watchword.broker.interface import Place, PlaceKind

MAPS, PUSH = b"the-key-of-maps", b"the-key-of-push"
MINE: Final = b"mine-0815"
"""What a client says and no third party may hear in a key's place, nor anywhere but in path, query and body."""

ADDRESSES = {"maps": ["127.0.0.1"], "push": ["127.0.0.1"]}


@dataclass
class Parties:
    """Hold Envoy with two keys, each for a third party of its own."""

    rig: Rig
    maps: ThirdParty
    push: ThirdParty

    def faults(self) -> Iterator[tuple[str, Seen]]:
        """Yield of everything that arrived what mustn't have."""
        lines = (
            rb"(GET|POST|HEAD) /(geocode([/?].*)?|tiles/[^/]*) HTTP/1.1",
            rb"POST /send(/.*)? HTTP/1.1",
        )
        keys = (b"authorization", b"Bearer " + MAPS), (b"x-api-key", PUSH)
        for party, line, (name, key) in zip((self.maps, self.push), lines, keys, strict=True):
            for seen in list(party.seen):
                if not re.fullmatch(line, unquote_to_bytes(seen.line), re.DOTALL):
                    yield "a call that the key isn't for", seen
                if seen.values(name) != [key]:
                    yield "not its key alone", seen
                if seen.values(b"host") != [f"{HOST}:{party.port}".encode()]:
                    yield "another host", seen
                for field in seen.fields:
                    if field[0].startswith((b"x-envoy", b"x-forwarded", b"watchword", b"trailer")):
                        yield "a field that stays here", seen
                    if field[0] != name and any(
                        each in b"".join(field) for each in (MINE, MAPS, PUSH)
                    ):
                        yield "a key, or what stands in for one, elsewhere", seen
        for seen in list(self.rig.api.seen):
            if MAPS in repr(seen).encode() or PUSH in repr(seen).encode():
                yield "the API has a key", seen


@pytest.fixture(scope="module")
def parties(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Parties]:
    """Run Envoy and both third parties for all cases."""
    maps, push = (ThirdParty(tmp_path_factory.mktemp(name)) for name in ("maps", "push"))
    edges = {
        "maps": rule(maps.port),
        "push": rule(
            push.port,
            secret="push",
            patterns=("/send/**",),
            methods=frozenset({"POST"}),
            place=Place(PlaceKind.HEADER, "x-api-key"),
        ),
    }
    routes = [
        route("/maps/**", secret="maps"),
        route("/push/**", secret="push"),
        route("/v1/**"),
    ]
    injected = {"maps": value(), "push": value(PUSH.decode())}
    bundle = bundle_of(routes, edges=edges, injected=injected)
    with envoy_before_api(tmp_path_factory.mktemp("e"), bundle, addresses=ADDRESSES) as rig:
        yield Parties(rig, maps, push)
    maps.close()
    push.close()


def talk(rig: Rig, data: bytes, silence: float = PATIENCE) -> bytes:
    """Send bytes, and return all that comes back until the connection ends, or falls silent for so many seconds."""
    got = b""
    with rig.connect() as connection:
        connection.sendall(data)
        connection.settimeout(silence)
        with contextlib.suppress(TimeoutError, ConnectionError):
            while piece := connection.recv(65536):
                got += piece
    return got


def one(target: bytes, *fields: bytes, body: bytes = b"", method: bytes = b"GET") -> bytes:
    """Return a genuine request that closes its connection."""
    return request(target, *fields, b"Connection: close", token=token(), body=body, method=method)


GEOCODE, SEND = b"/maps/geocode/1", b"/push/send/1"
CHUNKED = b"Transfer-Encoding: chunked"


def _own_keys() -> Iterator[tuple[str, bytes]]:
    for name in (
        *(b"Authorization", b"AUTHORIZATION", b"authorization", b"Proxy-Authorization"),
        *(b"X-Authorization", b"X-Forwarded-Authorization", b"Authorization_", b"authorizatiOn"),
        *(b"Authentication", b"X-Original-Authorization", b"X-Amz-Authorization", b"Cookie"),
    ):
        yield f"own {name.decode()}", one(GEOCODE, name + b": Bearer " + MINE)
        twice = (name + b": " + MINE, name + b": Basic " + MINE)
        yield f"own {name.decode()} twice", one(GEOCODE, *twice)
    for name in (b"X-Api-Key", b"X_Api_Key", b"X.Api.Key", b"x-api_key", b"X-API-KEY", b"Api-Key"):
        yield f"own {name.decode()}", one(SEND, name + b": " + MINE, body=b"x", method=b"POST")
    for line in (b"Authorization : Bearer " + MINE, b"Authorization:\t" + MINE, b"Authorization:"):
        yield f"spelled {line!r}", one(GEOCODE, line)
    folded = b"X-A: 1\r\n Authorization: " + MINE, b"X-A: 1\r\n\tAuthorization: " + MINE
    for line in (*folded, b"X-A: 1\rAuthorization: " + MINE, b"X-A: 1\nAuthorization: " + MINE):
        yield f"folded {line!r}", one(GEOCODE, line)
    yield "null", one(GEOCODE, b"Author\0ization: " + MINE)
    yield "null in a value", one(GEOCODE, b"Authorization: \0" + MINE)
    yield "query", one(GEOCODE + b"?authorization=a&Authorization=Bearer%20a&key=a&x-api-key=a")
    yield "pseudo", one(GEOCODE, b":authority: " + MINE, b":path: /" + MINE)


def _nominated() -> Iterator[tuple[str, bytes]]:
    for names in (
        *(b"authorization", b"Authorization, close", b"keep-alive, authorization, host"),
        *(b"x-api-key", b"host", b"x-request-id", b"accept-encoding, user-agent, via"),
        *(b"te, authorization", b"upgrade, authorization", b"content-length", b":path"),
    ):
        for target, method, body in ((GEOCODE, b"GET", b""), (SEND, b"POST", b"x")):
            data = request(target, b"Connection: " + names, token=token(), method=method, body=body)
            yield f"connection {names.decode()} at {target.decode()}", data
            data = request(
                target,
                b"Authorization: " + MINE,
                b"X-Api-Key: " + MINE,
                b"Connection: " + names,
                b"TE: trailers",
                token=token(),
                method=method,
                body=body,
            )
            yield f"connection {names.decode()}, own key, at {target.decode()}", data
    for line in (
        *(b"Keep-Alive: authorization", b"Proxy-Connection: authorization", b"TE: " + MINE),
        *(
            b"Trailer: authorization",
            b"Expect: 100-continue",
            b"Upgrade: h2c",
            b"Upgrade: websocket",
        ),
        b"HTTP2-Settings: AAMAAABkAAQAAP__",
    ):
        yield f"hop {line.decode()}", one(GEOCODE, line)
    upgraded = b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c"
    yield "h2c", request(GEOCODE, *upgraded, b"HTTP2-Settings: AAMAAABkAAQAAP__", token=token())
    shake = b"Connection: Upgrade", b"Upgrade: websocket", b"Sec-WebSocket-Version: 13"
    yield "websocket", request(GEOCODE, *shake, b"Sec-WebSocket-Key: " + b"A" * 24, token=token())
    yield "h2 by prior knowledge", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9)


def _trailers() -> Iterator[tuple[str, bytes]]:
    for name in (
        b"authorization",
        b"x-api-key",
        b"host",
        b"x",
        b"watchword-instance",
        b"x-envoy-a",
    ):
        for target in (GEOCODE, SEND):
            head = request(target, CHUNKED, b"Trailer: " + name, token=token(), method=b"POST")
            body = b"1\r\na\r\n0\r\n" + name + b": " + MINE + b"\r\n\r\n"
            yield f"trailer {name.decode()} at {target.decode()}", head + body


def _confused() -> Iterator[tuple[str, bytes]]:
    for path in (
        *(b"/maps/../push/send/1", b"/push/send/../../maps/geocode/1", b"/maps/%2e%2e/push/send/1"),
        *(b"/maps/..;/push/send/1", b"/maps/..%2fpush%2fsend", b"/maps\\..\\push\\send"),
        *(b"/maps//push/send/1", b"//push/send/1", b"/./push/send/1", b"/maps/./geocode/1"),
        *(b"/MAPS/geocode/1", b"/Push/send/1", b"/ma%70s/geocode/1", b"/pu%73h/send/1"),
        *(b"/maps/push/send/1", b"/push/maps/geocode/1", b"/maps;/geocode/1", b"/maps%2fgeocode/1"),
        *(
            b"/maps/geocode/1%00",
            b"/maps/geocode%0d%0aX:1",
            b"/maps/geocode/1%23",
            b"/maps?/geocode/1",
        ),
        *(
            b"/maps/%67eocode/1",
            b"/maps/geocode%2f..%2fbilling",
            b"/maps/geocode/%252e%252e/billing",
        ),
        *(
            b"/maps/geocode/..",
            b"/maps/geocode/1/..;/..;/billing",
            b"/maps/geocode\xc0\xaf..\xc0\xafx",
        ),
        *(b"/%ef%bc%8e%ef%bc%8e/push/send/1", b"/maps/\xef\xbc\x8f/1", b"/maps/geocode/1\t", b"*"),
        *(
            b"http://push.example/maps/geocode/1",
            b"https://127.0.0.1/push/send/1",
            b"maps/geocode/1",
        ),
        *(b"/maps/@127.0.0.1/geocode/1", b"/maps/geocode/1@evil.example", b"/maps:80/geocode/1"),
        *(b"/%70ush/../maps/geocode/1", b"/v1/../maps/geocode/1", b"/v1/..%2fmaps/geocode/1"),
    ):
        for method in (b"GET", b"POST"):
            yield (
                f"path {method.decode()} {path!r}",
                one(path, method=method, body=b"x" * (method == b"POST")),
            )
    for name in (
        *(b"X-Original-URL", b"X-Rewrite-URL", b"X-Envoy-Original-Path", b"X-Forwarded-Path"),
        *(b"X-Forwarded-Prefix", b"X-Envoy-Original-Dst-Host", b"X-Original-Host", b"X-Host"),
        *(
            b"X-Forwarded-Host",
            b"X-Forwarded-Server",
            b"X-Forwarded-Proto",
            b"Forwarded",
            b"X-Real-Ip",
        ),
    ):
        yield f"named {name.decode()}", one(GEOCODE, name + b": /billing/" + MINE)
    for name in (b"X-HTTP-Method-Override", b"X-HTTP-Method", b"X-Method-Override"):
        yield f"method {name.decode()}", one(GEOCODE, name + b": DELETE-" + MINE)
    for method in (b"TRACE", b"OPTIONS", b"CONNECT", b"PUT", b"get", b"GETX", b"PRI"):
        yield f"method {method.decode()}", one(GEOCODE, method=method)
    yield "connect", one(b"127.0.0.1:1", method=b"CONNECT")
    for host in (b"evil.example", b"127.0.0.1", b"a b", b"", b"maps.example.net@evil.example"):
        yield f"host {host!r}", request(GEOCODE, b"Connection: close", host=host, token=token())
    yield "two hosts", one(GEOCODE, b"Host: " + MINE)
    yield "no host", request(GEOCODE, b"Connection: close", host=None, token=token())


def _smuggled() -> Iterator[tuple[str, bytes]]:
    inner = request(b"/maps/billing/" + MINE, b"Authorization: " + MINE)
    for fields in (
        (b"Content-Length: 5", CHUNKED),
        (CHUNKED, b"Content-Length: %d" % (len(inner) + 5)),
        (b"Content-Length: 0", b"Content-Length: 5"),
        (b"Transfer-Encoding: chunked, identity",),
        (b"Transfer-Encoding: identity, chunked",),
        (b"Transfer-Encoding : chunked",),
        (b"Transfer-Encoding: xchunked",),
        (b"Transfer-Encoding:\x0bchunked",),
        (CHUNKED, CHUNKED),
        (b"Content-Length: +5",),
        (b"Content-Length: 5, 5",),
    ):
        head = request(b"/maps/geocode/1", *fields, token=token(), method=b"POST")
        yield f"smuggled {fields!r}", head + b"0\r\n\r\n" + inner
    head = request(GEOCODE, CHUNKED, token=token(), method=b"POST")
    for chunk in (b"0;x=\n", b"0\r", b"-1\r\n", b"0x0\r\n", b"1\r\naX", b"ffffffffffffffffff\r\n"):
        yield f"chunk {chunk!r}", head + chunk + b"\r\n" + inner
    yield "pipelined", request(GEOCODE, token=token()) + inner


def _sizes() -> Iterator[tuple[str, bytes]]:
    for size in (7_000, 30_000, 59_000, 61_000, 100_000):
        yield f"field of {size}", one(GEOCODE, b"Accept-Language: " + b"a" * size)
        yield f"own key of {size}", one(GEOCODE, b"Authorization: " + MINE * (size // len(MINE)))
        yield f"query of {size}", one(GEOCODE + b"?q=" + b"a" * size)
    for count in (90, 97, 98, 99, 100, 101, 200):
        yield f"{count} fields", one(GEOCODE, *(b"Accept: %d" % n for n in range(count)))
        yield f"{count} keys", one(GEOCODE, *(b"Authorization: " + MINE for _ in range(count)))


def _of_envoy() -> Iterator[tuple[str, bytes]]:
    for field in (
        *(b"x-envoy-retry-on: 5xx,reset,connect-failure,retriable-4xx", b"x-envoy-max-retries: 5"),
        *(b"x-envoy-upstream-rq-timeout-ms: 1", b"x-envoy-hedge-on-per-try-timeout: true"),
        *(b"x-envoy-upstream-alt-stat-name: " + MINE, b"x-envoy-decorator-operation: " + MINE),
        *(b"x-envoy-force-trace: 1", b"x-client-trace-id: " + MINE, b"x-request-id: " + MINE),
        *(
            b"x-envoy-internal: true",
            b"x-envoy-expected-rq-timeout-ms: 1",
            b"x-b3-traceid: " + MINE,
        ),
        *(b"grpc-timeout: 1m", b"x-envoy-ip-tags: " + MINE, b"x-envoy-is-timeout-retry: true"),
        *(b"traceparent: 00-" + b"a" * 32 + b"-" + b"b" * 16 + b"-01", b"baggage: " + MINE),
        b"x-envoy-attempt-count: 7",
    ):
        yield f"envoy {field.decode()}", one(GEOCODE, field)


def _cases() -> list[tuple[str, bytes]]:
    """Return all cases, with tokens that are good from now on: those of an import end before the suite comes here."""
    return [
        *_own_keys(),
        *_nominated(),
        *_trailers(),
        *_confused(),
        *_smuggled(),
        *_sizes(),
        *_of_envoy(),
    ]


def test_whatever_a_client_sends_each_key_goes_to_its_own_calls_alone(parties: Parties) -> None:
    """Each request that arrives is one of the rule's, once, with its key alone; and no answer has a key."""
    shown = []
    cases = _cases()
    for number, (name, data) in enumerate(cases):
        # What arrives names its case, however late it comes.
        marked = data.replace(b" HTTP/1.1\r\n", b" HTTP/1.1\r\nPrefer: case-%d\r\n" % number, 1)
        got = talk(parties.rig, marked, 0.2)
        shown += [name for each in (MAPS, PUSH) if each in got]
    assert shown == []
    assert _read(parties.rig) == 200
    arrived = [
        each
        for party in (parties.maps, parties.push)
        for seen in party.seen
        for each in seen.values(b"prefer")
    ]
    found = [(fault, _case(cases, seen), seen.line) for fault, seen in parties.faults()]
    assert found == []
    assert len(arrived) == len(set(arrived)) > 100
    assert parties.rig.process.poll() is None


def _case(cases: Sequence[tuple[str, bytes]], seen: Seen) -> str:
    number = b"".join(seen.values(b"prefer")).removeprefix(b"case-")
    return cases[int(number)][0] if number else "none"


def _read(rig: Rig) -> int:
    """Return the status of a plain call."""
    return rig.send(GEOCODE, token=token()).status


REVEALING: list[tuple[str, Sequence[bytes]]] = [
    ("server error", (b"HTTP/1.1 500 No\r\ncontent-length: 2\r\n\r\nno",)),
    ("overloaded", (b"HTTP/1.1 503 No\r\nretry-after: 0\r\ncontent-length: 0\r\n\r\n",)),
    ("bad gateway", (b"HTTP/1.1 502 No\r\ncontent-length: 0\r\n\r\n",)),
    ("unauthorized", (b"HTTP/1.1 401 No\r\nwww-authenticate: Basic\r\ncontent-length: 0\r\n\r\n",)),
    ("not now", (b"HTTP/1.1 425 Too Early\r\ncontent-length: 0\r\n\r\n",)),
    ("conflict", (b"HTTP/1.1 409 No\r\ncontent-length: 0\r\n\r\n",)),
    ("switched", (b"HTTP/1.1 101 S\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",)),
    ("two lengths", (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nok",)),
    (
        "both framings",
        (b"HTTP/1.1 200 O\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n",),
    ),
    ("bad chunk", (b"HTTP/1.1 200 O\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",)),
    ("bad field", (b"HTTP/1.1 200 O\r\nx y\0: 1\r\n\r\n",)),
    ("huge head", (b"HTTP/1.1 200 O\r\nx: " + b"a" * 200_000 + b"\r\n\r\n",)),
    ("hints", (b"HTTP/1.1 103 E\r\nset-cookie: a=1\r\n\r\n" * 3, GOOD)),
    (
        "trailers",
        (b"HTTP/1.1 200 O\r\ntransfer-encoding: chunked\r\n\r\n0\r\nset-cookie: a=1\r\n\r\n",),
    ),
    ("two answers", (GOOD, b"HTTP/1.1 200 OK\r\nset-cookie: a=1\r\ncontent-length: 2\r\n\r\nno")),
    ("hangs up", ()),
]


def test_no_error_of_a_third_party_is_answered_by_another_call_or_by_a_key(
    parties: Parties,
) -> None:
    """It is asked once, with whatever wish of the client for more; no answer, log or page of admin tells a key."""
    wish = (
        b"x-envoy-retry-on: 5xx,gateway-error,reset,retriable-4xx,refused-stream,http3-post-connect-failure",
        b"x-envoy-max-retries: 5",
        b"x-envoy-retriable-status-codes: 409,425,500",
    )
    failed = []
    for name, pieces in REVEALING:

        def answered(_: Seen, pieces: Sequence[bytes] = pieces) -> bytes:
            if not pieces:
                raise ConnectionError
            return b"".join(pieces)

        parties.maps.seen.clear()
        parties.maps.answer = answered
        got = talk(parties.rig, one(GEOCODE, *wish))
        if len(parties.maps.seen) != 1 or MAPS in got or b"set-cookie" in got.lower():
            failed.append((name, len(parties.maps.seen), got[:200]))
    parties.maps.answer = lambda _: GOOD
    assert failed == []
    assert _read(parties.rig) == 200
    _check_no_key_shown(parties.rig)


def _check_no_key_shown(rig: Rig) -> None:
    pages = (
        *("/config_dump?include_eds", "/config_dump?resource=dynamic_active_secrets", "/certs"),
        *("/config_dump?mask=configs", "/stats?format=json", "/clusters?format=json", "/listeners"),
        *("/server_info", "/stats/recentlookups", "/memory", "/runtime", "/ready", "/init_dump"),
        *("/config_dump?name_regex=.*lend.*", "/help", "/hot_restart_version", "/logging"),
    )
    shown = {page: rig.admin(page) for page in pages}
    for path in rig.directory.iterdir():
        if path.is_file() and not path.name.startswith("lent-"):
            shown[path.name] = path.read_bytes()
    assert [name for name, text in shown.items() if MAPS in text or PUSH in text] == []


def test_an_instance_that_is_revoked_gets_no_further_call(tmp_path: Path) -> None:
    """Not on a connection that is open, and not by a body that was begun before: that call was judged by its head."""
    party = ThirdParty(tmp_path)
    routes, edges = [route("/maps/**", secret="maps")], {"maps": rule(party.port)}
    before = bundle_of(routes, edges=edges, injected={"maps": value()})
    after = replace(before, generation=2, revoked=frozenset({CLAIMS.subject}))
    try:
        with (
            envoy_before_api(tmp_path / "e", before, addresses=ADDRESSES) as rig,
            rig.connect() as kept,
            rig.connect() as begun,
        ):
            kept.sendall(request(GEOCODE, token=token()))
            assert read_answer(kept).status == 200
            head = request(GEOCODE, b"Content-Length: 4", token=token(), method=b"POST")
            begun.sendall(head + b"ab")
            rig.publish(after)
            until(lambda: _read(rig) == 401)
            # Another worker than the one that was asked may hear of it a moment later.
            answers: list[Answer] = []

            def refused() -> bool:
                kept.sendall(request(GEOCODE, token=token()))
                answers.append(read_answer(kept))
                return answers[-1].status == 401

            until(refused)
            assert answers[-1].slug == "token-refused"
            reached = len(party.seen)
            begun.sendall(b"cd")
            assert (read_answer(begun).status, len(party.seen)) == (200, reached + 1)
            assert MAPS not in talk(rig, one(GEOCODE))
    finally:
        party.close()
