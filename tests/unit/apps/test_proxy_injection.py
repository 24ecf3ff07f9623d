"""Show that the proxy adds a key to the calls that it is injected for, and that the key comes back from nowhere."""

import asyncio
import base64
import json
import re
from typing import Any

import pytest
from tests.unit.apps.asgi_client import call, http_scope
from tests.unit.apps.raw_http import RawApi, Reader, Writer, exchange, get
from tests.unit.apps.test_middleware import ListedRefusals, StoppedClock
from tests.unit.apps.third_party import (
    KEY,
    NAME,
    Authority,
    Front,
    Names,
    injection,
    listening,
    rule,
)
from tests.unit.gate.simulators import CLAIMS, published, route, token

from watchword.adapters.usage import MemoryUsageLedger
from watchword.apps.gateway.asgi import DECISION
from watchword.apps.gateway.proxy import Injector, ProxyApp, Timeouts
from watchword.apps.gateway.proxy.injection import MOST_AT_ONCE, MOST_HELD, Room, Turns
from watchword.broker.interface import (
    Allowance,
    InjectedValue,
    Place,
    PlaceKind,
    SecretValue,
    Spent,
    Use,
)
from watchword.gate.interface import Decision, Injection
from watchword.reasons import Reason, UnavailableError
from watchword.vocabulary import Mode

TOKEN = b"Watchword-Token: " + token().encode()
OTHER = b"Watchword-Token: " + token(subject="another-instance").encode()
ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Make one authority for all tests."""
    return Authority(tmp_path_factory.mktemp("authority"))


def ask(target: bytes = b"/maps/geocode/x?q=1", *fields: bytes, **others: Any) -> bytes:
    """Return the request of a genuine instance."""
    return get(target, TOKEN, *fields, **others)


def asked(
    authority: Authority, request: bytes, answer: Any = ANSWER, *, front: Any = None, **changes: Any
) -> tuple[bytes, RawApi, list[tuple[Reason, str]]]:
    """Send one request through the gate to a third party; return answer, third party and refusals."""

    async def main() -> tuple[bytes, RawApi, list[tuple[Reason, str]]]:
        async with (
            listening(RawApi(answer), authority.server(NAME)) as api,
            injection(rule(api.port, authority, **changes), **(front or {})) as gate,
        ):
            return await exchange(gate.port, request), api, gate.log.seen

    return asyncio.run(main())


def status_of(answer: bytes) -> int:
    """Return the status of an answer."""
    return int(answer.split(b" ")[1])


def test_the_third_party_gets_the_key_and_nothing_of_the_user(authority: Authority) -> None:
    """Path and query arrive as they came, under the third party's name, with the gate's key."""
    request = ask(
        b"/maps/geocode/a%20b?q=%2F&r=+",
        b"Authorization: Bearer of-the-user",
        b"Cookie: session=1",
        b"User-Agent: Clinic/7 (iPhone14,2)",
        b"X-Forwarded-For: 198.18.0.1",
        b"X-Device: 7",
        b"Accept-Encoding: gzip",
        b"Accept: application/json",
    )
    answer, api, refusals = asked(authority, request)
    assert answer.endswith(b"\r\n\r\nok")
    assert api.heads[0].split(b"\r\n")[0] == b"GET /geocode/a%20b?q=%2F&r=+ HTTP/1.1"
    assert api.fields == [
        (b"host", f"{NAME}:{api.port}".encode()),
        (b"accept", b"application/json"),
        (b"authorization", b"Bearer " + KEY.encode()),
        (b"accept-encoding", b"identity"),
        (b"user-agent", b"watchword"),
        (b"via", b"1.1 watchword"),
    ]
    assert refusals == []


def test_a_script_gets_no_call(authority: Authority) -> None:
    """Without a token nothing is sent, and nothing says that there is a third party."""
    answer, api, refusals = asked(authority, get(b"/maps/geocode/x"))
    assert status_of(answer) == 401
    assert api.heads == []
    assert refusals == [(Reason.TOKEN_MISSING, "/maps/**")]


def test_another_path_gets_no_call(authority: Authority) -> None:
    """The key opens more at the third party than the calls that it is injected into."""
    answer, api, refusals = asked(authority, ask(b"/maps/admin"))
    assert status_of(answer) == 403
    assert api.heads == []
    assert [reason for reason, _ in refusals] == [Reason.SECRET_PATH]


def test_a_key_in_the_query(authority: Authority) -> None:
    """The app's own goes, and no header holds the key."""
    place = Place(PlaceKind.QUERY, "key")
    _, api, _ = asked(authority, ask(b"/maps/geocode/x?key=mine&q=1"), place=place)
    line = api.heads[0].split(b"\r\n")[0]
    assert line == b"GET /geocode/x?q=1&key=sk-live-4711%2FABCdef%2Bxyz%3D0815 HTTP/1.1"
    assert KEY.encode() not in api.heads[0]


def test_a_placeholder(authority: Authority) -> None:
    """It is replaced in its place; without it nothing is sent."""
    place = Place(PlaceKind.HEADER, "x-api-key", placeholder="wwk-maps")
    _, api, _ = asked(authority, ask(b"/maps/geocode/x", b"X-Api-Key: wwk-maps"), place=place)
    assert (b"x-api-key", KEY.encode()) in api.fields
    answer, api, refusals = asked(authority, ask(), place=place)
    assert status_of(answer) == 400
    assert api.heads == []
    assert refusals == [(Reason.SECRET_PLACEHOLDER, "/maps/**")]


def test_bodies_arrive(authority: Authority) -> None:
    """With a length and in chunks, as in the proxy."""
    body = bytes(range(256)) * 100
    length = b"Content-Length: %d" % len(body)
    _, api, _ = asked(authority, ask(b"/maps/geocode", length, method=b"POST", body=body))
    assert api.bodies == [body]
    chunks = b"3\r\nabc\r\n0\r\n\r\n"
    chunked = ask(b"/maps/geocode", b"Transfer-Encoding: chunked", method=b"POST", body=chunks)
    _, api, _ = asked(authority, chunked)
    assert api.bodies == [chunks]


def test_connections_are_kept(authority: Authority) -> None:
    """The second call needs no second handshake, and the name isn't asked for again."""

    async def main() -> tuple[int, list[str]]:
        connections = 0

        async def count(api: RawApi, reader: Reader, writer: Writer) -> None:
            nonlocal connections
            connections += 1
            while True:
                writer.write(ANSWER)
                await writer.drain()
                api.heads.append(await reader.readuntil(b"\r\n\r\n"))

        async with (
            listening(RawApi(count), authority.server(NAME)) as api,
            injection(rule(api.port, authority)) as gate,
        ):
            for _ in range(3):
                assert status_of(await exchange(gate.port, ask())) == 200
            assert len(api.heads) == 3
            return connections, gate.names.asked

    assert asyncio.run(main()) == (1, [NAME])


def test_a_rotation_needs_no_restart(authority: Authority) -> None:
    """The next request has the new value; a revoked one isn't injected any more."""

    async def main() -> list[bytes]:
        async with (
            listening(RawApi(), authority.server(NAME)) as api,
            injection(rule(api.port, authority)) as gate,
        ):
            await exchange(gate.port, ask())
            gate.rotate(2, "the-next-value-0815")
            await exchange(gate.port, ask())
            assert await gate.ledger.versions_used("maps") == {1: 1795500000, 2: 1795500000}
            gate.state.injections.clear()
            refused = await exchange(gate.port, ask())
            assert status_of(refused) == 503
            assert b"retry-after: 5" in refused
            assert gate.log.seen == [(Reason.SECRET_UNAVAILABLE, "/maps/**")]
            return api.heads

    first, second = asyncio.run(main())
    assert b"\r\nauthorization: Bearer " + KEY.encode() + b"\r\n" in first
    assert b"\r\nauthorization: Bearer the-next-value-0815\r\n" in second


def test_the_value_of_now_is_searched_for(authority: Authority) -> None:
    """After a rotation an echo of the new value is found as the old one was."""

    async def echo(api: RawApi, _reader: Reader, writer: Writer) -> None:
        writer.write(told(dict(api.fields)[b"authorization"]))
        await writer.drain()

    async def main() -> list[int]:
        async with (
            listening(RawApi(echo), authority.server(NAME)) as api,
            injection(rule(api.port, authority)) as gate,
        ):
            first = await exchange(gate.port, ask())
            gate.rotate(2, "the-next-value-0815")
            return [status_of(first), status_of(await exchange(gate.port, ask()))]

    assert asyncio.run(main()) == [502, 502]


def test_a_change_of_the_rule_cuts_nobody(authority: Authority) -> None:
    """A call that runs ends on its connection; the next goes where the new rule says."""

    async def main() -> tuple[bytes, bytes]:
        go_on = asyncio.Event()

        async def slowly(_api: RawApi, _reader: Reader, writer: Writer) -> None:
            await go_on.wait()
            writer.write(ANSWER)
            await writer.drain()

        tls = authority.server(NAME)
        async with (
            listening(RawApi(slowly), tls) as old,
            listening(RawApi(), tls) as new,
            injection(rule(old.port, authority)) as gate,
        ):
            running = asyncio.create_task(exchange(gate.port, ask()))
            await old.asked.wait()
            gate.publish(port=new.port)
            second = await exchange(gate.port, ask())
            go_on.set()
            return await running, second

    first, second = asyncio.run(main())
    assert status_of(first) == status_of(second) == 200


# Quotas.


def test_the_hundred_and_first_call(authority: Authority) -> None:
    """Of a quota of 100 exactly 100 arrive, however many ask at once; another instance has its own."""

    async def main() -> tuple[list[int], bytes, int]:
        async with (
            listening(RawApi(), authority.server(NAME)) as api,
            injection(rule(api.port, authority, allowances=(Allowance(86400, calls=100),))) as gate,
        ):
            answers: list[bytes] = []
            for _ in range(6):
                answers += await asyncio.gather(*(exchange(gate.port, ask()) for _ in range(20)))
            refused = [each for each in answers if status_of(each) == 429]
            assert len(api.heads) == 100
            other = await exchange(gate.port, get(b"/maps/geocode/x", OTHER))
            assert set(gate.log.seen) == {(Reason.SECRET_QUOTA, "/maps/**")}
            return [status_of(each) for each in answers], refused[0], status_of(other)

    statuses, refused, other = asyncio.run(main())
    assert sorted(statuses) == [200] * 100 + [429] * 20
    assert other == 200
    # The window of a day ends at midnight UTC.
    wait = int(refused.split(b"retry-after: ")[1].split(b"\r\n")[0])
    assert wait == 86400 - 1795500000 % 86400
    assert json.loads(refused.partition(b"\r\n\r\n")[2])["type"].endswith("rate-limited")


def test_spending(authority: Authority) -> None:
    """Calls that cost 3 of 7 pass twice."""

    async def main() -> list[int]:
        edge = {"allowances": (Allowance(60, spend=7),), "cost": 3}
        async with (
            listening(RawApi(), authority.server(NAME)) as api,
            injection(rule(api.port, authority, **edge)) as gate,
        ):
            statuses = [status_of(await exchange(gate.port, ask())) for _ in range(3)]
            assert gate.log.seen == [(Reason.SECRET_SPEND, "/maps/**")]
            return statuses

    assert asyncio.run(main()) == [200, 200, 429]


def test_a_call_that_was_not_sent_costs_nothing(authority: Authority) -> None:
    """Nobody listens: the quota is what it was.  A call that got no answer was sent, and stays counted."""

    async def main() -> list[int]:
        edge = rule(1, authority, allowances=(Allowance(60, calls=1),))

        async def hang_up(_api: RawApi, _reader: Reader, _writer: Writer) -> None:
            """Say nothing."""

        async with (
            listening(RawApi(hang_up), authority.server(NAME)) as api,
            injection(edge) as gate,
        ):
            statuses = [status_of(await exchange(gate.port, ask())) for _ in range(3)]
            gate.publish(port=api.port)
            statuses += [status_of(await exchange(gate.port, ask())) for _ in range(2)]
            return statuses

    assert asyncio.run(main()) == [502, 502, 502, 502, 429]


class BrokenLedger(MemoryUsageLedger):
    """Be a ledger that can't count."""

    async def take(self, use: Use, now: float) -> Spent | None:
        """Fail."""
        raise UnavailableError(Reason.SECRET_USAGE_UNAVAILABLE, f"{use.secret} at {now}")


def test_what_can_not_be_counted_is_not_injected(authority: Authority) -> None:
    """A quota that nobody counts is none."""
    answer, api, refusals = asked(authority, ask(), front={"ledger": BrokenLedger()})
    assert status_of(answer) == 503
    assert api.heads == []
    assert refusals == [(Reason.SECRET_USAGE_UNAVAILABLE, "/maps/**")]


# What never goes anywhere.


@pytest.mark.parametrize(
    "fields", [[b"Upgrade: h2c", b"Connection: Upgrade"], [b"Upgrade: websocket"]]
)
def test_changes_of_protocol(authority: Authority, fields: list[bytes]) -> None:
    """A tunnel with the key in it would be out of sight."""
    answer, api, refusals = asked(authority, ask(b"/maps/geocode/x", *fields))
    assert status_of(answer) >= 400
    assert api.heads == []
    assert KEY.encode() not in answer
    assert {reason for reason, _ in refusals} <= {Reason.GATE_PROTOCOL}


def injected_decision() -> Decision:
    """Return a decision of a gate that injects a key."""
    return Decision(
        True, Mode.ENFORCE, "maps", (), None, [], injection=Injection(rule(1), b"/geocode/x")
    )


def test_without_a_injector_nothing_reaches_the_api() -> None:
    """A proxy that can't add keys refuses, and doesn't ask the API instead."""
    scope = http_scope("/maps/geocode/x") | {DECISION: injected_decision()}
    assert call(ProxyApp("http://127.0.0.1:1"), scope).status == 503


def test_no_key_is_injected_for_anybody_unverified() -> None:
    """Also where a decision would say so: without claims there is no instance to count for."""
    state = published()
    state.injections["maps"] = InjectedValue(1, SecretValue(KEY))
    log = ListedRefusals()
    injector = Injector(state, MemoryUsageLedger(), StoppedClock(), resolver=Names())
    scope = http_scope("/maps/geocode/x") | {DECISION: injected_decision()}
    proxy = ProxyApp("http://127.0.0.1:1", injector=injector, refusal_log=log)
    assert call(proxy, scope).status == 401
    assert log.seen == [(Reason.TOKEN_MISSING, "maps")]


def test_a_decision_from_before_the_rule_changed_injects_nothing() -> None:
    """Whose body took its time doesn't carry the key of now to the origin of then."""
    new = rule(1, host="elsewhere.example")
    state = published(route("/maps/**", secret="maps"), edges={"maps": new})
    state.injections["maps"] = InjectedValue(2, SecretValue(KEY))
    log, names = ListedRefusals(), Names({NAME: [["127.0.0.1"]]})
    injector = Injector(state, MemoryUsageLedger(), StoppedClock(), resolver=names)
    scope = http_scope("/maps/geocode/x") | {DECISION: injected_decision()._replace(claims=CLAIMS)}
    proxy = ProxyApp("http://127.0.0.1:1", injector=injector, refusal_log=log)
    assert call(proxy, scope).status == 503
    assert log.seen == [(Reason.SECRET_UNAVAILABLE, "maps")]
    assert names.asked == []


@pytest.mark.parametrize(
    ("changes", "agent"),
    [
        ({"headers": frozenset({"user-agent"})}, b"Clinic/7"),
        ({"place": Place(PlaceKind.HEADER, "user-agent")}, KEY.encode()),
    ],
)
def test_a_user_agent_that_the_rule_names_stands_alone(
    authority: Authority, changes: dict[str, Any], agent: bytes
) -> None:
    """Of two, a third party might take the other one."""
    _, api, _ = asked(authority, ask(b"/maps/geocode/x", b"User-Agent: Clinic/7"), **changes)
    assert [value for name, value in api.fields if name == b"user-agent"] == [agent]


def test_one_phone_leaves_connections_to_the_others(authority: Authority) -> None:
    """Calls that hang hold a share of the connections; what one instance has beyond waits, and isn't counted."""

    async def main() -> list[int]:
        full, go_on = asyncio.Event(), asyncio.Event()

        async def hang(api: RawApi, _reader: Reader, writer: Writer) -> None:
            if len(api.heads) == MOST_AT_ONCE:
                full.set()
            if len(api.heads) <= MOST_AT_ONCE:
                await go_on.wait()
            writer.write(ANSWER.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n"))
            await writer.drain()

        allowances = (Allowance(86400, calls=MOST_AT_ONCE + 1),)
        async with (
            listening(RawApi(hang), authority.server(NAME)) as api,
            injection(
                rule(api.port, authority, allowances=allowances), timeouts=Timeouts(pool=0.5)
            ) as gate,
        ):
            held = [asyncio.create_task(exchange(gate.port, ask())) for _ in range(MOST_AT_ONCE)]
            await full.wait()
            beyond = await exchange(gate.port, ask())
            other = await exchange(gate.port, get(b"/maps/geocode/x", OTHER))
            go_on.set()
            ended = await asyncio.gather(*held)
            again = await exchange(gate.port, ask())
            return [status_of(each) for each in (beyond, other, again, *ended)]

    assert asyncio.run(main()) == [502, 200, 200] + [200] * MOST_AT_ONCE


# What a third party may do.


@pytest.mark.parametrize("server", ["other name", "other authority", "no tls"])
def test_who_is_not_the_third_party_gets_no_key(authority: Authority, server: str) -> None:
    """Another certificate, or none: the connection ends before the request."""

    async def main() -> tuple[bytes, RawApi, list[tuple[Reason, str]]]:
        tls = authority.server("other.example" if server == "other name" else NAME)
        if server == "other authority":
            tls = Authority(authority.directory).server(NAME)
        async with (
            listening(RawApi(), None if server == "no tls" else tls) as api,
            injection(rule(api.port, authority, seconds=1.0)) as gate,
        ):
            return await exchange(gate.port, ask()), api, gate.log.seen

    answer, api, refusals = asyncio.run(main())
    assert status_of(answer) == 502
    assert api.heads == []
    assert refusals == [(Reason.GATE_UPSTREAM, "/maps/**")]


@pytest.mark.parametrize("status", [b"301", b"302", b"303", b"307", b"308"])
def test_redirects_are_not_followed(authority: Authority, status: bytes) -> None:
    """The client sees where it is sent; nobody else is asked, with the key or without."""

    async def main() -> tuple[bytes, RawApi, RawApi]:
        async with listening(RawApi(), None) as other:
            head = b"HTTP/1.1 %s See\r\nlocation: http://127.0.0.1:%d/\r\ncontent-length: 0\r\n\r\n"
            third = RawApi(head % (status, other.port))
            async with (
                listening(third, authority.server(NAME)) as api,
                injection(rule(api.port, authority)) as gate,
            ):
                return await exchange(gate.port, ask()), api, other

    answer, api, other = asyncio.run(main())
    assert status_of(answer) == int(status)
    assert b"location: http://127.0.0.1:" in answer
    assert (len(api.heads), other.heads) == (1, [])


PERCENT = b"sk-live-4711%2FABCdef%2Bxyz%3D0815"
BASIC = base64.b64encode(b"user:" + KEY.encode())
LEAKS = {
    "plain": KEY.encode(),
    "percent": PERCENT,
    "lower": PERCENT.replace(b"%2F", b"%2f").replace(b"%2B", b"%2b").replace(b"%3D", b"%3d"),
    "twice": PERCENT.replace(b"%", b"%25"),
    "json": KEY.replace("/", "\\/").encode(),
    "json of careful writers": KEY.replace("=", "\\u003d").replace("+", "\\u002b").encode(),
    "base64": base64.b64encode(KEY.encode()),
    "basic": BASIC,
    "basic, moved": base64.b64encode(b"me:" + KEY.encode() + b":"),
    "base64url": base64.urlsafe_b64encode(b"xx" + KEY.encode()),
    "hex": KEY.encode().hex().encode(),
    "json of .NET": KEY.replace("+", "\\u002B").encode(),
    "json of Gson": KEY.replace("=", "\\u003d").encode(),
    "html of Handlebars": KEY.replace("=", "&#x3D;").encode(),
    "html of .NET": KEY.replace("+", "&#x2B;").encode(),
}


def told(body: bytes, *fields: bytes) -> bytes:
    """Return an answer with a body."""
    lines = [b"HTTP/1.1 200 OK", b"content-length: %d" % len(body), *fields, b"", body]
    return b"\r\n".join(lines)


@pytest.mark.parametrize("leak", LEAKS.values(), ids=LEAKS.keys())
@pytest.mark.parametrize("where", ["body", "field", "redirect"])
def test_an_echo_of_the_key_does_not_reach_the_client(
    authority: Authority, leak: bytes, where: str
) -> None:
    """In a body, a header or a redirect, as it is or encoded: a problem, and a count for the operator."""
    answer = {
        "body": told(b'{"got": "' + leak + b'"}'),
        "field": told(b"ok", b"x-echo: a " + leak + b" b"),
        "redirect": told(b"", b"location: https://login.example/?from=" + leak).replace(
            b"200 OK", b"302 Found"
        ),
    }[where]
    got, _, refusals = asked(authority, ask(), answer)
    assert status_of(got) == 502
    assert leak not in got
    assert refusals == [(Reason.GATE_UPSTREAM, "/maps/**")]


@pytest.mark.parametrize("size", [1, 7, 16])
@pytest.mark.parametrize("leak", [LEAKS["plain"], LEAKS["json"], LEAKS["basic"]])
def test_an_echo_in_pieces(authority: Authority, size: int, leak: bytes) -> None:
    """Cut wherever: not even a part of the key goes on, and the answer doesn't look whole, held or streamed."""

    async def drip(_api: RawApi, _reader: Reader, writer: Writer) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        text = b"something in front of it " + leak + b" and behind"
        for at in range(0, len(text), size):
            piece = text[at : at + size]
            writer.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            await writer.drain()
            await asyncio.sleep(0)
        writer.write(b"0\r\n\r\n")
        await writer.drain()

    got, _, refusals = asked(authority, ask(), drip)
    assert (status_of(got), b"something" in got) == (502, False)
    assert refusals == [(Reason.GATE_UPSTREAM, "/maps/**")]
    got, _, refusals = asked(authority, ask(), drip, reflects=False)
    assert leak[:6] not in got
    assert not got.endswith(b"0\r\n\r\n")
    assert refusals == [(Reason.GATE_UPSTREAM, "/maps/**")]


def test_what_looks_like_the_beginning_of_the_key_goes_on(authority: Authority) -> None:
    """Nothing is lost of an answer that doesn't hold it."""
    body = b"k".join([KEY.encode()[:n] for n in range(len(KEY))])
    got, _, refusals = asked(authority, ask(), told(body))
    assert got.endswith(b"\r\n\r\n" + body)
    assert refusals == []


FRAMINGS = {
    "chunked": b"transfer-encoding: chunked",
    "length": b"content-length: %d",
    "close": b"x-end: is told by its connection",
}


@pytest.mark.parametrize("framing", FRAMINGS.values(), ids=FRAMINGS.keys())
def test_nothing_that_a_client_sees_tells_how_far_a_guess_is_right(
    authority: Authority, framing: bytes
) -> None:
    """Guesses of every length, right and wrong in their last character, shown at the end of each piece and of a field."""
    guess = b""

    async def reflect(_api: RawApi, _reader: Reader, writer: Writer) -> None:
        pieces = [b"you asked for " + guess, b"\nwhich isn't here: " + guess, b"x" * 70_000 + guess]
        head = framing % sum(map(len, pieces)) if b"%d" in framing else framing
        head += b"\r\nconnection: close\r\n\r\n"
        writer.write(b"HTTP/1.1 404 No\r\nx-asked: " + guess + b"\r\n" + head)
        for piece in pieces:
            await writer.drain()
            writer.write(b"%x\r\n%s\r\n" % (len(piece), piece) if b"chunked" in head else piece)
        writer.write(b"0\r\n\r\n" if b"chunked" in head else b"")
        await writer.drain()

    async def main() -> dict[bytes, tuple[Any, bytes]]:
        nonlocal guess
        seen = {}
        async with (
            listening(RawApi(reflect), authority.server(NAME)) as api,
            injection(rule(api.port, authority)) as gate,
        ):
            for count in range(1, len(KEY)):
                for last in (KEY[count - 1], "~"):
                    guess = (KEY[: count - 1] + last).encode()
                    gate.sent.clear()
                    answer = await exchange(gate.port, ask())
                    # The server's own field of the time aside.
                    assert gate.log.seen == [], guess
                    seen[guess] = (tuple(gate.sent), re.sub(rb"date: [^\r]*", b"", answer))
        return seen

    seen = asyncio.run(main())
    for count in range(1, len(KEY)):
        messages, answer = seen[KEY[:count].encode()]
        assert status_of(answer) == 404
        assert len(messages) == 4
        others, other = seen[f"{KEY[: count - 1]}~".encode()]
        assert messages == others
        assert len(answer) == len(other)
        # Byte for byte the same, framing and all, but for the one character in its four places.
        assert sum(one != two for one, two in zip(answer, other, strict=True)) == 4


def test_a_stream_is_searched_whole_or_not_at_all(authority: Authority) -> None:
    """A stream of events gets no key where its origin may reflect; the reason says what to write."""
    for kind in (
        b"text/event-stream",
        b"Text/Event-Stream; charset=utf-8",
        b"multipart/x-mixed-replace",
    ):
        answer = told(b"data: 1\n\n", b"content-type: " + kind)
        got, _, refusals = asked(authority, ask(), answer)
        assert (status_of(got), b"data: 1" in got) == (502, False)
        assert refusals == [(Reason.SECRET_STREAM, "/maps/**")]
        got, _, refusals = asked(authority, ask(), answer, reflects=False)
        assert got.endswith(b"data: 1\n\n")
        assert refusals == []


def test_events_do_not_stall(authority: Authority) -> None:
    """Each event arrives before the next one is sent, also one that ends as the key begins."""
    taken = asyncio.Semaphore(0)

    async def notify(_api: RawApi, _reader: Reader, writer: Writer) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n")
        for number in range(5):
            writer.write(b"data: %d %s\n\n" % (number, KEY[:9].encode()))
            await writer.drain()
            await taken.acquire()
        writer.close()

    async def main() -> list[bytes]:
        async with (
            listening(RawApi(notify), authority.server(NAME)) as api,
            injection(rule(api.port, authority, reflects=False)) as gate,
            asyncio.timeout(60),
        ):
            reader, writer = await asyncio.open_connection("127.0.0.1", gate.port)
            writer.write(ask())
            events = []
            for _ in range(5):
                await reader.readuntil(b"data: ")
                events.append(await reader.readuntil(b"\n\n"))
                taken.release()
            writer.close()
            return events

    assert [each[:1] for each in asyncio.run(main())] == [b"0", b"1", b"2", b"3", b"4"]


def test_an_answer_without_an_end_is_a_stream(authority: Authority) -> None:
    """What drips on is given up after the time for the whole of it, whatever its media type; its room is free again."""

    async def drip(_api: RawApi, _reader: Reader, writer: Writer) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.01)

    async def main() -> tuple[bytes, list[tuple[Reason, str]], int]:
        async with (
            listening(RawApi(drip), authority.server(NAME)) as api,
            injection(rule(api.port, authority, seconds=0.2), timeouts=Timeouts(whole=0.2)) as gate,
        ):
            return await exchange(gate.port, ask()), gate.log.seen, gate.injector.room.held

    got, refusals, held = asyncio.run(main())
    assert (status_of(got), held) == (502, 0)
    assert refusals == [(Reason.SECRET_STREAM, "/maps/**")]


def test_an_answer_for_which_there_is_no_room(authority: Authority) -> None:
    """It is refused as a whole, and counted; what others hold ends, and there is room again."""

    async def main() -> tuple[list[int], list[tuple[Reason, str]], int]:
        async with (
            listening(RawApi(told(b"x" * 1000)), authority.server(NAME)) as api,
            injection(rule(api.port, authority)) as gate,
        ):
            with gate.injector.room.one("another") as place:
                place.take(MOST_HELD - 999)
                found = [status_of(await exchange(gate.port, ask()))]
            found.append(status_of(await exchange(gate.port, ask())))
            return found, gate.log.seen, gate.injector.room.held

    assert asyncio.run(main()) == ([503, 200], [(Reason.GATE_OVERLOADED, "/maps/**")], 0)


def test_one_instance_leaves_room_to_the_others() -> None:
    """A single answer may have all that its rule allows; several of one instance have its share together."""
    room = Room(most=100, share=10)
    with room.one("a") as first, room.one("a") as second, room.one("b") as other:
        first.take(60)
        with pytest.raises(UnavailableError):
            second.take(1)
        other.take(40)
        with pytest.raises(UnavailableError):
            other.take(1)
        assert room.held == 100
    with room.one("a") as first, room.one("a") as second:
        first.take(5)
        second.take(5)
        with pytest.raises(UnavailableError):
            second.take(1)
    assert room.held == 0


def test_a_client_that_takes_nothing_holds_no_room(authority: Authority) -> None:
    """An answer that is held until the client takes it ends after a time."""

    async def main() -> int:
        async with (
            listening(RawApi(told(b"x" * 8_000_000)), authority.server(NAME)) as api,
            injection(rule(api.port, authority), timeouts=Timeouts(body=0.2, pace=10**9)) as gate,
        ):
            _, writer = await asyncio.open_connection("127.0.0.1", gate.port, limit=1024)
            writer.write(ask())
            async with asyncio.timeout(60):
                while not gate.log.seen:  # noqa: ASYNC110 - a log of refusals has no event.
                    await asyncio.sleep(0.01)
            writer.close()
            return gate.injector.room.held

    assert asyncio.run(main()) == 0


CREDENTIALS = base64.b64encode(b"AC4711-account:the-password-0815").decode()


@pytest.mark.parametrize("leak", [b"the-password-0815", b"AC4711-account:the-password-0815"])
def test_credentials_are_found_as_what_they_stand_for(authority: Authority, leak: bytes) -> None:
    """A server that tells whom it knew tells the password of Basic; the user's name is no secret."""

    async def main() -> list[int]:
        async with (
            listening(RawApi(told(b"you are " + leak)), authority.server(NAME)) as api,
            injection(rule(api.port, authority, place=BASIC_PLACE)) as front,
        ):
            front.rotate(2, CREDENTIALS)
            found = [status_of(await exchange(front.port, ask()))]
            api.answer = told(b"you are AC4711-account")
            return [*found, status_of(await exchange(front.port, ask()))]

    assert asyncio.run(main()) == [502, 200]


BASIC_PLACE = Place(PlaceKind.HEADER, "authorization", "Basic ")


@pytest.mark.parametrize(
    ("charset", "status"),
    [
        (b"utf-16", 502),
        (b'"UTF-16LE"', 502),
        (b"IBM037", 502),
        (b"utf-7", 502),
        (b"utf-8; charset=utf-16", 502),
        (b"UTF-8", 200),
        (b'"iso-8859-1"', 200),
        (b"", 200),
    ],
)
def test_an_answer_in_an_encoding_that_hides_the_key(
    authority: Authority, charset: bytes, status: int
) -> None:
    """The client names encodings in Accept, and servers follow: what can't be searched isn't handed on."""
    answer = told(b"{}", b"content-type: application/json; charset=" + charset)
    got, _, _ = asked(authority, ask(), answer)
    assert status_of(got) == status


def test_an_echo_in_utf_16_that_says_nothing_of_it(authority: Authority) -> None:
    """Also without a word about its encoding."""
    got, _, _ = asked(authority, ask(), told(KEY.encode("utf-16")))
    assert status_of(got) == 502


def test_answers_that_can_not_be_searched(authority: Authority) -> None:
    """Compressed though it was asked not to: refused, since the key could be in it."""
    got, _, refusals = asked(authority, ask(), told(b"\x1f\x8b\x00", b"content-encoding: gzip"))
    assert status_of(got) == 502
    assert refusals == [(Reason.GATE_UPSTREAM, "/maps/**")]
    got, _, _ = asked(authority, ask(), told(b"ok", b"content-encoding: identity"))
    assert status_of(got) == 200


def test_a_third_party_does_not_speak_for_the_api(authority: Authority) -> None:
    """Cookies, other services and the gate's own fields stay behind."""
    fields = [
        b"Set-Cookie: session=theirs",
        b'Alt-Svc: h3=":443"',
        b"Strict-Transport-Security: max-age=1",
        b'Clear-Site-Data: "*"',
        b"Watchword-Nonce: theirs",
        b"X-Accel-Redirect: /internal",
        b"X-Sendfile: /etc/passwd",
        b"CDN-Cache-Control: max-age=60",
        b"X-Hop: 1",
        b"Connection: x-hop",
        b'ETag: "a"',
    ]
    got, _, _ = asked(authority, ask(), told(b"ok", *fields))
    head = got.partition(b"\r\n\r\n")[0].lower()
    assert b'etag: "a"' in head
    for name in (b"set-cookie", b"alt-svc", b"strict-", b"clear-", b"watchword", b"x-hop"):
        assert name not in head
    for name in (b"x-accel", b"x-sendfile", b"cdn-"):
        assert name not in head


@pytest.mark.parametrize(
    ("theirs", "kept"),
    [
        ([], b"private"),
        ([b"Cache-Control: public, max-age=60"], b"private, public, max-age=60"),
        ([b"Cache-Control: no-cache", b"Cache-Control: no-store"], b"private, no-cache, no-store"),
    ],
)
def test_a_cache_in_front_keeps_no_answer(
    authority: Authority, theirs: list[bytes], kept: bytes
) -> None:
    """It would hand the answer to whoever asks, without a token; the client may keep it as before."""
    got, _, _ = asked(authority, ask(), told(b"ok", *theirs))
    assert got.count(b"cache-control") == 1
    assert b"\r\ncache-control: " + kept + b"\r\n" in got


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\ncontent-length: 10000000\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n",
    ],
    ids=["announced", "chunked", "until it closes"],
)
def test_ten_megabytes(authority: Authority, head: bytes) -> None:
    """More than `max_answer` ends: at once where it is announced, and where it streams, it is cut."""

    async def flood(_api: RawApi, _reader: Reader, writer: Writer) -> None:
        writer.write(head)
        for _ in range(160):
            piece = b"x" * 65536
            writer.write(b"10000\r\n%s\r\n" % piece if b"chunked" in head else piece)
            await writer.drain()
        if b"chunked" in head:
            writer.write(b"0\r\n\r\n")
        await writer.drain()

    for reflects in (True, False):
        got, _, refusals = asked(authority, ask(), flood, max_answer=1_000_000, reflects=reflects)
        assert len(got) < 1_100_000
        assert not got.endswith(b"0\r\n\r\n")
        assert (status_of(got) == 502) is (reflects or b"length" in head)
        assert refusals == [(Reason.GATE_UPSTREAM, "/maps/**")]


def test_the_head_of_a_large_answer(authority: Authority) -> None:
    """HEAD has no body that could be too long, whatever it announces."""
    head = b"HTTP/1.1 200 OK\r\ncontent-length: 10000000\r\n\r\n"
    got, _, refusals = asked(authority, ask(method=b"HEAD"), head, max_answer=1000)
    assert status_of(got) == 200
    assert refusals == []


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nx: 1\r\n\r\n"])
def test_a_third_party_that_hangs(authority: Authority, said: bytes) -> None:
    """Before its answer, in its head, or behind: it ends after the rule's time."""

    async def hang(_api: RawApi, reader: Reader, writer: Writer) -> None:
        writer.write(said)
        await writer.drain()
        await reader.read()

    got, _, refusals = asked(authority, ask(), hang, seconds=0.3)
    assert status_of(got) == 502
    assert refusals == [(Reason.GATE_UPSTREAM, "/maps/**")]


def test_a_head_that_drips(authority: Authority) -> None:
    """The head as a whole has the rule's time, and not each of its bytes."""

    async def drip(_api: RawApi, _reader: Reader, writer: Writer) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n")
        for number in range(200):
            writer.write(b"x-%d: 1\r\n" % number)
            await writer.drain()
            await asyncio.sleep(0.1)

    got, _, refusals = asked(authority, ask(), drip, seconds=0.5)
    assert status_of(got) == 502
    assert refusals == [(Reason.GATE_UPSTREAM, "/maps/**")]


def test_a_slow_body_has_its_own_time(authority: Authority) -> None:
    """The client may take longer for its body than the third party for its answer."""

    async def main() -> bytes:
        async with (
            listening(RawApi(), authority.server(NAME)) as api,
            injection(rule(api.port, authority, seconds=2.0), timeouts=Timeouts(body=30)) as gate,
        ):
            reader, writer = await asyncio.open_connection("127.0.0.1", gate.port)
            writer.write(ask(b"/maps/geocode", b"Content-Length: 4", method=b"POST"))
            for _ in range(4):
                await asyncio.sleep(0.6)
                writer.write(b"x")
            answer = await reader.read()
            writer.close()
            return answer

    assert status_of(asyncio.run(main())) == 200


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\npart\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\npart\n",
    ],
)
def test_an_answer_that_is_cut_off_does_not_look_whole(authority: Authority, head: bytes) -> None:
    """A drop in the middle of a body is one for the client too; of one that is held nothing is sent."""

    async def cut(_api: RawApi, _reader: Reader, writer: Writer) -> None:
        writer.write(head)
        await writer.drain()

    got, _, refusals = asked(authority, ask(), cut)
    assert (status_of(got), b"part" in got) == (502, False)
    assert refusals == [(Reason.GATE_UPSTREAM, "/maps/**")]
    got, _, refusals = asked(authority, ask(), cut, reflects=False)
    assert b"part" in got
    assert not got.endswith(b"0\r\n\r\n")
    assert refusals == [(Reason.GATE_UPSTREAM, "/maps/**")]


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"garbage\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx: " + b"v" * 200_000 + b"\r\n\r\n",
    ],
    ids=["nothing", "garbage", "switch", "huge"],
)
def test_a_third_party_that_answers_badly(authority: Authority, answer: bytes) -> None:
    """The client gets a problem, and the third party got the request once."""

    async def say(_api: RawApi, _reader: Reader, writer: Writer) -> None:
        writer.write(answer)
        await writer.drain()

    got, api, refusals = asked(authority, ask(), say)
    assert status_of(got) == 502
    assert refusals == [(Reason.GATE_UPSTREAM, "/maps/**")]
    assert len(api.heads) == 1


def test_a_client_that_leaves_stops_the_call(authority: Authority) -> None:
    """Its connection to the third party ends."""

    async def think(_api: RawApi, reader: Reader, _writer: Writer) -> None:
        await reader.read()

    async def main(front: Front, api: RawApi) -> None:
        _, writer = await asyncio.open_connection("127.0.0.1", front.port)
        writer.write(ask())
        await api.asked.wait()
        writer.close()
        async with asyncio.timeout(20):
            assert await api.gone.wait()

    async def run() -> None:
        async with (
            listening(RawApi(think), authority.server(NAME)) as api,
            injection(rule(api.port, authority, seconds=30.0)) as gate,
        ):
            await main(gate, api)

    asyncio.run(run())


def test_a_file_of_authorities_that_is_none(authority: Authority) -> None:
    """Nobody is believed then, and the system's authorities don't step in."""
    got, api, refusals = asked(authority, ask(), ca="no certificate")
    assert status_of(got) == 503
    assert api.heads == []
    assert refusals == [(Reason.SECRET_UNAVAILABLE, "/maps/**")]


def test_an_address_as_the_origin(authority: Authority) -> None:
    """A certificate may name an address, and nobody is asked where it is."""

    async def main() -> tuple[bytes, list[str]]:
        async with (
            listening(RawApi(), authority.server("127.0.0.1")) as api,
            injection(rule(api.port, authority, host="127.0.0.1"), names=Names()) as gate,
        ):
            return await exchange(gate.port, ask()), gate.names.asked

    answer, names = asyncio.run(main())
    assert status_of(answer) == 200
    assert names == []


def test_no_key_in_any_refusal(authority: Authority) -> None:
    """Neither problem nor log has the key, whatever went wrong."""
    for answer in (told(KEY.encode()), b"garbage " + KEY.encode() + b"\r\n\r\n"):
        got, _, refusals = asked(authority, ask(), answer)
        assert KEY.encode() not in got
        assert KEY not in repr(refusals)


def test_nobody_who_ended_is_remembered() -> None:
    """A line is forgotten with its last call, also where that was given up while it waited."""

    async def main() -> int:
        turns = Turns(1)
        async with turns.one("maps", "a", 1):
            assert len(turns) == 1
            with pytest.raises(TimeoutError):
                async with turns.one("maps", "a", 0.01):
                    pass
            async with turns.one("maps", "b", 0.01):
                assert len(turns) == 2
        return len(turns)

    assert asyncio.run(main()) == 0


def test_who_waits_gets_the_turn_of_who_ends() -> None:
    """In the order in which they came, as soon as there is one."""

    async def main() -> list[str]:
        turns, had = Turns(1), []

        async def call(name: str) -> None:
            async with turns.one("maps", "a", 5):
                had.append(name)
                await asyncio.sleep(0)

        async with asyncio.timeout(5):
            await asyncio.gather(*(call(name) for name in ("first", "second", "third")))
        return had

    assert asyncio.run(main()) == ["first", "second", "third"]
