"""Show that no request makes the gate speak to a private address, or carry the key elsewhere than to its origin.

Two servers of loopback have a certificate for whatever name, so that TLS stops nothing: the origin, which the rule names, and
one beside it, which nobody may reach.  A third one listens without TLS.
"""

import asyncio
from pathlib import Path

import pytest
from tests.unit.apps.raw_http import RawApi, exchange
from tests.unit.apps.third_party import KEY, NAME, Authority, Names, injection, listening, rule
from tests.unit.gate.simulators import token

from watchword.broker.interface import Place, PlaceKind
from watchword.reasons import Reason

TOKEN = b"Watchword-Token: " + token().encode()
HIDDEN = [NAME, "evil.example", "localhost", "127.0.0.1"]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Make one authority for all tests."""
    return Authority(tmp_path_factory.mktemp("authority"))


# Where the origin's name leads.

ANSWERS = {
    "loopback": [["127.0.0.1"]],
    "loopback, elsewhere": [["127.0.0.2"]],
    "loopback, IPv6": [["::1"]],
    "mapped": [["::ffff:127.0.0.1"]],
    "mapped, in hexadecimal": [["::ffff:7f00:1"]],
    "compatible": [["::127.0.0.1"]],
    "NAT64": [["64:ff9b::7f00:1"]],
    "6to4": [["2002:7f00:1::1"]],
    "Teredo": [["2001:0:4136:e378:8000:63bf:80ff:fffe"]],
    "unspecified": [["0.0.0.0"]],
    "unspecified, IPv6": [["::"]],
    "link-local": [["169.254.7.7"]],
    "metadata": [["169.254.169.254"]],
    "private": [["10.0.0.1"]],
    "private, 172": [["172.16.0.1"]],
    "private, 192": [["192.168.1.1"]],
    "CGNAT": [["100.64.0.1"]],
    "benchmarks": [["198.18.0.1"]],
    "unique local": [["fd00::1"]],
    "multicast": [["224.0.0.1"]],
    "broadcast": [["255.255.255.255"]],
    "with a zone": [["fe80::1%lo"]],
    "one of two": [["93.184.216.34", "127.0.0.1"]],
    "one of three": [["127.0.0.1", "93.184.216.34", "2606:2800:220:1:248:1893:25c8:1946"]],
    "no address": [["localhost"]],
    "nothing": [[]],
}


@pytest.mark.parametrize("answers", ANSWERS.values(), ids=ANSWERS.keys())
def test_where_the_origin_s_name_leads(authority: Authority, answers: list[list[str]]) -> None:
    """To no public address: nothing is connected to, and nothing is sent."""

    async def main() -> tuple[bytes, RawApi, list[tuple[Reason, str]]]:
        names = Names({NAME: list(answers)})
        async with (
            listening(RawApi(), authority.server(*HIDDEN)) as hidden,
            injection(rule(hidden.port, authority, private=False), names=names) as gate,
        ):
            request = raw(b"GET /maps/geocode/x HTTP/1.1")
            return await exchange(gate.port, request), hidden, gate.log.seen

    answer, hidden, refusals = asyncio.run(main())
    assert answer.startswith(b"HTTP/1.1 502 ")
    assert refusals == [(Reason.SECRET_ADDRESS, "/maps/**")]
    assert not hidden.asked.is_set()
    assert not hidden.gone.is_set()


def test_an_origin_that_moves_to_a_private_address(authority: Authority) -> None:
    """While a rule allows it, a call arrives; as soon as it doesn't, no connection is made any more."""

    async def main() -> tuple[list[bytes], int]:
        async with (
            listening(RawApi(), authority.server(NAME)) as api,
            injection(rule(api.port, authority)) as gate,
        ):
            request = raw(b"GET /maps/geocode/x HTTP/1.1")
            answers = [await exchange(gate.port, request)]
            gate.publish(private=False)
            answers.append(await exchange(gate.port, request))
            return answers, len(api.heads)

    (first, second), calls = asyncio.run(main())
    assert first.startswith(b"HTTP/1.1 200 ")
    assert second.startswith(b"HTTP/1.1 502 ")
    assert calls == 1


# What a client, genuine and hostile, may send.  EVIL and PLAIN are the ports of the two others.


def raw(
    line: bytes, *fields: bytes, host: bytes = b"Host: clinic.example", body: bytes = b""
) -> bytes:
    """Return a request of a genuine instance."""
    lines = [line, *([host] if host else []), b"Connection: close", TOKEN, *fields, b"", body]
    return b"\r\n".join(lines)


def to(target: bytes, *fields: bytes, **others: bytes) -> bytes:
    """Return a GET."""
    return raw(b"GET " + target + b" HTTP/1.1", *fields, **others)


GOOD = b"/maps/geocode/x"
CORPUS = {
    # Targets.
    "absolute": to(b"http://127.0.0.1:PLAIN/maps/geocode/x"),
    "absolute, https": to(b"https://127.0.0.1:EVIL/maps/geocode/x"),
    "absolute, userinfo": to(b"http://clinic.example@127.0.0.1:PLAIN/maps/geocode/x"),
    "absolute, other scheme": to(b"gopher://127.0.0.1:PLAIN/_maps"),
    "authority": to(b"//127.0.0.1:PLAIN/maps/geocode/x"),
    "authority behind": to(b"/maps//127.0.0.1:PLAIN/geocode"),
    "authority in the path": to(b"/maps/geocode//127.0.0.1:PLAIN/"),
    "url in the path": to(b"/maps/http://127.0.0.1:PLAIN/"),
    "url in the path, injected": to(b"/maps/geocode/http:%2f%2f127.0.0.1:PLAIN"),
    "userinfo": to(b"/maps/geocode/@127.0.0.1:PLAIN"),
    "userinfo first": to(b"@127.0.0.1:PLAIN/maps/geocode/x"),
    "port": to(b"/maps/geocode/x:PLAIN"),
    "port first": to(b":PLAIN/maps/geocode/x"),
    "connect": raw(b"CONNECT 127.0.0.1:PLAIN HTTP/1.1"),
    "connect to the route": raw(b"CONNECT /maps/geocode/x HTTP/1.1"),
    "trace": raw(b"TRACE /maps/geocode/x HTTP/1.1"),
    "asterisk": raw(b"OPTIONS * HTTP/1.1"),
    # Paths.
    "dots": to(b"/maps/geocode/../admin"),
    "dots, encoded slash": to(b"/maps/geocode/..%2fadmin"),
    "dots, encoded": to(b"/maps/geocode/%2e%2e/admin"),
    "dots, encoded twice": to(b"/maps/geocode/%252e%252e/admin"),
    "dots, backslash": to(b"/maps/geocode/..\\admin"),
    "dots behind the route": to(b"/maps/../maps/admin"),
    "dots, wide": to(b"/maps/geocode/%c0%ae%c0%ae/admin"),
    "empty": to(b"/maps//geocode/x"),
    "parameters": to(b"/maps/geocode;x=/../admin"),
    "CR LF, encoded": to(b"/maps/geocode/x%0d%0aHost:%20127.0.0.1:PLAIN"),
    "CR LF, raw": to(b"/maps/geocode/x\r\nX: "),
    "NUL, encoded": to(b"/maps/geocode/x%00.admin"),
    "blank": to(b"/maps/geocode/x HTTP/1.1\r\nHost: 127.0.0.1:PLAIN\r\n\r\nGET /"),
    "fragment": to(b"/maps/geocode/x#@127.0.0.1:PLAIN/"),
    "other path": to(b"/maps/admin"),
    # Queries.
    "query": to(GOOD + b"?url=http://127.0.0.1:PLAIN/"),
    "query, fragment": to(GOOD + b"?q=1#@127.0.0.1:PLAIN/"),
    "query, CR LF": to(GOOD + b"?q=%0d%0aHost:%20127.0.0.1:PLAIN"),
    "query, two marks": to(GOOD + b"?@127.0.0.1:PLAIN/?x"),
    "query, authority": to(b"/maps/geocode?//127.0.0.1:PLAIN"),
    # Hosts.
    "host": to(GOOD, host=b"Host: 127.0.0.1:PLAIN"),
    "host, userinfo": to(GOOD, host=b"Host: maps.example.net@127.0.0.1:PLAIN"),
    "host, none": to(GOOD, host=b""),
    "host, twice": to(GOOD, b"Host: 127.0.0.1:PLAIN"),
    "host, empty": to(GOOD, host=b"Host:"),
    "host, odd name": to(GOOD, b"Host_: 127.0.0.1:PLAIN"),
    "forwarded host": to(GOOD, b"X-Forwarded-Host: 127.0.0.1:PLAIN"),
    "forwarded": to(GOOD, b"Forwarded: host=127.0.0.1:PLAIN;proto=http"),
    "original url": to(GOOD, b"X-Original-URL: /admin", b"X-Rewrite-URL: /admin"),
    "envoy's original path": to(GOOD, b"X-Envoy-Original-Path: /admin"),
    "override of the method": to(GOOD, b"X-HTTP-Method-Override: DELETE"),
    "proxy": to(GOOD, b"Proxy-Connection: keep-alive", b"Proxy: http://127.0.0.1:PLAIN"),
    "destination": to(GOOD, b"Destination: http://127.0.0.1:PLAIN/"),
    # Smuggling.
    "length and chunks": raw(
        b"POST /maps/geocode/x HTTP/1.1",
        b"Content-Length: 4",
        b"Transfer-Encoding: chunked",
        body=b"0\r\n\r\nGET /admin HTTP/1.1\r\nHost: x\r\n\r\n",
    ),
    "two lengths": raw(
        b"POST /maps/geocode/x HTTP/1.1",
        b"Content-Length: 0",
        b"Content-Length: 30",
        body=b"GET /admin HTTP/1.1\r\nHost: x\r\n\r\n",
    ),
    "odd coding": raw(
        b"POST /maps/geocode/x HTTP/1.1",
        b"Transfer-Encoding: xchunked",
        body=b"0\r\n\r\nGET /admin HTTP/1.1\r\nHost: x\r\n\r\n",
    ),
    "odd name of the coding": raw(
        b"POST /maps/geocode/x HTTP/1.1",
        b"Transfer_Encoding: chunked",
        b"Content-Length: 5",
        body=b"0\r\n\r\nGET /admin HTTP/1.1\r\nHost: x\r\n\r\n",
    ),
    "folded": to(GOOD, b"X-A: 1\r\n Transfer-Encoding: chunked"),
    "length of a GET": to(
        GOOD, b"Content-Length: 5", body=b"x\r\n\r\nGET /admin HTTP/1.1\r\nHost: x\r\n\r\n"
    ),
    "connection names the key": to(GOOD, b"Connection: close, authorization"),
    "upgrade": to(GOOD, b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA"),
}


def settled(request: bytes, evil: int, plain: int) -> bytes:
    """Put the ports into a request."""
    return request.replace(b"EVIL", b"%d" % evil).replace(b"PLAIN", b"%d" % plain)


@pytest.mark.parametrize("place", ["header", "query"])
def test_what_a_hostile_client_sends(authority: Authority, place: str) -> None:
    """All of the corpus: nobody but the origin is spoken to, and there only listed paths arrive, with the key in its place."""
    kind = Place(PlaceKind.HEADER, "x-key") if place == "header" else Place(PlaceKind.QUERY, "key")

    async def main() -> tuple[dict[str, bytes], RawApi, list[RawApi]]:
        answers = {}
        tls = authority.server(*HIDDEN)
        async with (
            listening(RawApi(), authority.server(NAME)) as origin,
            listening(RawApi(), tls) as evil,
            listening(RawApi(), None) as plain,
            injection(rule(origin.port, authority, place=kind), api_port=plain.port) as gate,
        ):
            for name, request in CORPUS.items():
                answers[name] = await exchange(gate.port, settled(request, evil.port, plain.port))
            return answers, origin, [evil, plain]

    answers, origin, others = asyncio.run(main())
    for other in others:
        assert other.heads == []
        assert not other.gone.is_set()
    for answer in answers.values():
        assert KEY.encode() not in answer
        assert b"%2FABCdef" not in answer
    assert len(origin.heads) > 10
    for head in origin.heads:
        method, target, _ = head.split(b"\r\n")[0].split(b" ")
        assert method in {b"GET", b"POST"}
        path, _, query = target.partition(b"?")
        assert path == b"/geocode" or path.startswith(b"/geocode/")
        assert b".." not in path
        fields = [line.partition(b": ")[::2] for line in head.split(b"\r\n")[1:-2]]
        assert [value for name, value in fields if name == b"host"] == [
            f"{NAME}:{origin.port}".encode()
        ]
        assert not [name for name, _ in fields if name.startswith((b"x-f", b"x-o", b"x-e", b"x-h"))]
        keyed = [name for name, value in fields if KEY.encode() in value]
        assert keyed == ([b"x-key"] if place == "header" else [])
        assert query.count(b"key=sk-live-4711%2FABCdef%2Bxyz%3D0815") == (place == "query")


# Where the origin sends the client.

REDIRECTS = [
    b"http://127.0.0.1:PLAIN/",
    b"https://127.0.0.1:EVIL/",
    b"//127.0.0.1:PLAIN/",
    b"http://169.254.169.254/latest/meta-data/",
    b"/admin",
    b"https://maps.example.net@127.0.0.1:EVIL/",
    b"http://[::1]:PLAIN/",
    b"http://2130706433:PLAIN/",
]


@pytest.mark.parametrize("location", REDIRECTS)
@pytest.mark.parametrize("status", [b"302 Found", b"307 Temporary Redirect"])
def test_redirects(authority: Authority, location: bytes, status: bytes) -> None:
    """They are the client's to follow, without the key; the gate asks the origin once and nobody else."""

    async def main() -> tuple[bytes, RawApi, list[RawApi]]:
        async with (
            listening(RawApi(), authority.server(*HIDDEN)) as evil,
            listening(RawApi(), None) as plain,
        ):
            where = settled(location, evil.port, plain.port)
            said = b"HTTP/1.1 %s\r\nlocation: %s\r\ncontent-length: 0\r\n\r\n" % (status, where)
            async with (
                listening(RawApi(said), authority.server(NAME)) as origin,
                injection(rule(origin.port, authority), api_port=plain.port) as gate,
            ):
                return await exchange(gate.port, to(GOOD)), origin, [evil, plain]

    answer, origin, others = asyncio.run(main())
    assert answer.startswith(b"HTTP/1.1 " + status[:3])
    assert KEY.encode() not in answer
    assert len(origin.heads) == 1
    assert [each.heads for each in others] == [[], []]


def test_the_corpus_is_large() -> None:
    """At least 40 targets, and nothing twice."""
    assert len(ANSWERS) + len(CORPUS) + len(REDIRECTS) >= 90
    assert len(set(CORPUS.values())) == len(CORPUS)
    assert Path(__file__).name.endswith("ssrf.py")
