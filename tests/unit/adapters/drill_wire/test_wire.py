"""Hold the wire to the pinned address, to the bytes that an attack wrote, and to an end of every wait."""

import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.adapters.drill_wire.machines import Machine, certified, machine, neighbours, ok

from watchword.adapters.drill_wire import HttpWire, UnsendableError
from watchword.drill.interface import MissingError, Need
from watchword.drill.wire import MAX_ANSWER_BYTES, Answer, Call, Headers, Part, TargetLostError
from watchword.reasons import WatchwordError

GET = Call(Part.GATE, "GET", "/v1/records")
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")


@pytest.fixture
def both() -> Iterator[tuple[Machine, Machine]]:
    """Return a machine that answers 200 to everything, and a bystander."""
    with neighbours() as found:
        yield found


@pytest.fixture
def target(both: tuple[Machine, Machine]) -> Machine:
    """Return a machine that answers 200 to everything."""
    return both[0]


@pytest.fixture
def other(both: tuple[Machine, Machine]) -> Machine:
    """Return another host, at the same port; the test fails if anybody connects to it."""
    return both[1]


def wired(target: Machine, **options: object) -> HttpWire:
    """Return a wire to one machine."""
    return HttpWire({Part.GATE: target.origin()}, rate=None, **options)  # type: ignore[arg-type]


def sent(target: Machine, *calls: Call, **options: object) -> list[Answer]:
    """Return the answers to calls, one after the other."""
    wire = wired(target, **options)
    try:
        return [wire.send(call) for call in calls]
    finally:
        wire.close()


# Where it connects.


@pytest.mark.parametrize("status", ["301", "302", "303", "307", "308"])
def test_a_redirect_is_an_answer(target: Machine, other: Machine, status: str) -> None:
    """Nobody goes where an answer points."""
    target.answer = ok(b"", f"Location: {other.url}/v1", status=f"{status} Elsewhere")
    assert [each.status for each in sent(target, GET, GET)] == [int(status)] * 2
    assert len(target.heads) == 2


def test_a_refresh_and_an_alternative_service_are_ignored(target: Machine, other: Machine) -> None:
    """Neither Alt-Svc nor Refresh nor Content-Location moves the next request (RFC 7838)."""
    where = f"{other.host}:{other.port}"
    target.answer = ok(
        b"ok",
        f'Alt-Svc: http/1.1="{where}"; ma=86400, h2="{where}"',
        f"Refresh: 0; url={other.url}",
        f"Content-Location: {other.url}/",
        "Strict-Transport-Security: max-age=86400",
    )
    sent(target, GET, GET, GET)
    assert len(target.heads) == 3


def test_proxies_of_the_environment_are_ignored(
    target: Machine, other: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No variable puts somebody in between, whatever NO_PROXY says."""
    for without in ("", "example.com", "*"):
        for name in PROXIES:
            monkeypatch.setenv(name, other.url)
        monkeypatch.setenv("NO_PROXY", without)
        monkeypatch.setenv("no_proxy", without)
        assert sent(target, GET)[0].status == 200
    assert target.heads[0].startswith(b"GET /v1/records HTTP/1.1\r\n")


@pytest.mark.parametrize("name", ["Host", "host", "X-Forwarded-Host", "Forwarded", ":authority"])
def test_no_header_says_where_to_connect(target: Machine, other: Machine, name: str) -> None:
    """An attack may claim any host; it is told to the target."""
    value = f"{other.host}:{other.port}"
    sent(target, GET.with_header(name, value))
    assert f"\r\n{name}: {value}\r\n".encode() in target.heads[0]
    assert (b"\r\nHost: 127.0.0.1:" in target.heads[0]) == (name.lower() != "host")


@pytest.mark.parametrize("method", ["GET", "CONNECT", "OPTIONS"])
def test_an_absolute_target_goes_to_the_pinned_address(
    target: Machine, other: Machine, method: str
) -> None:
    """A request line that names another host is a text for the target, as a proxy would be sent it."""
    sent(target, Call(Part.GATE, method, f"{other.url}/v1"))
    assert target.heads[0].startswith(f"{method} {other.url}/v1 HTTP/1.1\r\n".encode())


@pytest.mark.parametrize("at", ["@{}", "//{}/", "http://u@{}/", "{}", "\\\\{}\\", "?@{}#"])
def test_odd_targets_go_to_the_pinned_address(target: Machine, other: Machine, at: str) -> None:
    """What other clients glue to the host is a text in the request line here."""
    text = at.format(f"{other.host}:{other.port}")
    sent(target, Call(Part.GATE, "GET", text))
    assert target.heads[0].startswith(f"GET {text} HTTP/1.1\r\n".encode())


def test_cookies_are_not_kept(target: Machine) -> None:
    """What one answer sets doesn't go out with the next request."""
    target.answer = ok(b"ok", "Set-Cookie: session=1; Path=/", "Set-Cookie: other=2")
    answers = sent(target, GET, GET)
    assert answers[0].header("set-cookie") == "session=1; Path=/"
    assert not any(b"ookie" in head for head in target.heads)


def test_a_part_that_was_not_given_is_missing(target: Machine) -> None:
    """Nothing is guessed of parts that the run wasn't told of."""
    with pytest.raises(MissingError) as caught:
        sent(target, Call(Part.UPSTREAM, "GET", "/"))
    assert caught.value.need is Need.UPSTREAM
    assert target.connections == 0


# What is sent.


@pytest.mark.parametrize(
    "path",
    [
        "/health/../v1",
        "/./v1/%2e%2e/x",
        "//v1//records;a=b",
        "/v1?a=b&a=%zz&&#frag",
        "/v1/a b",
        "/v1/a\0b",
        "/v1/\tb",
        "/v1/\xe9\xff",
        "/v1/\x7f\x01",
        "*",
        "",
        "v1",
    ],
    ids=ascii,
)
def test_targets_go_out_byte_for_byte(target: Machine, path: str) -> None:
    """Dots, spaces, null bytes and all of Latin-1: nothing is normalised, nothing escaped."""
    sent(target, Call(Part.GATE, "GET", path))
    assert target.heads[0].startswith(b"GET " + path.encode("latin-1") + b" HTTP/1.1\r\nHost: ")


def test_headers_go_out_byte_for_byte(target: Machine) -> None:
    """Order, case, duplicates, empty values and odd characters stay as an attack wrote them."""
    headers: Headers = (
        ("watchword-TOKEN", "one"),
        ("Watchword-Token", "two"),
        ("X-Empty", ""),
        ("x_under", "a\tb "),
        ("X Space", "\xe9\x01\0"),
        ("Host", "a"),
        ("Host", "b"),
        ("Accept", "q"),
        ("User-Agent", "u"),
        ("Accept-Encoding", "gzip"),
    )
    sent(target, Call(Part.GATE, "GeT", "/", headers))
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
    assert target.heads[0] == f"GeT / HTTP/1.1\r\n{lines}\r\n".encode("latin-1")


def test_bodies_go_out_with_their_length(target: Machine) -> None:
    """A body is framed once; a POST without one says so."""
    calls = [Call(Part.GATE, "POST", "/", (), body) for body in (b"\r\n\r\n\0x", b"")]
    sent(target, *calls, Call(Part.GATE, "GET", "/", (), b"abc"))
    assert target.bodies == [b"\r\n\r\n\0x", b"", b"abc"]
    assert [head.count(b"ontent-Length") for head in target.heads] == [1, 1, 1]


def test_framing_of_an_attack_is_left_alone(target: Machine) -> None:
    """Two lengths, or a length beside chunks, go out as they are, over a connection that nobody uses again."""
    headers = (("Content-Length", "3"), ("content-length", "4"), ("Transfer-Encoding", "chunked"))
    sent(target, Call(Part.GATE, "POST", "/", headers, b"abc"), GET)
    assert b"Content-Length: 3\r\ncontent-length: 4\r\nTransfer-Enc" in target.heads[0]
    assert target.connections == 2


@pytest.mark.parametrize(
    "call",
    [
        Call(Part.GATE, "GET", "/ HTTP/1.1\r\nHost: evil\r\n\r\nGET /"),
        Call(Part.GATE, "GET", "/\n"),
        Call(Part.GATE, "GET\r", "/"),
        Call(Part.GATE, "GET", "/", (("X", "a\r\nY: b"),)),
        Call(Part.GATE, "GET", "/", (("X\n", "a"),)),
        Call(Part.GATE, "GET", "/\u20ac"),
        Call(Part.GATE, "GET", "/", (("X", "\u20ac"),)),
    ],
    ids=ascii,
)
def test_what_would_be_two_requests_is_refused(target: Machine, call: Call) -> None:
    """A line break, or a character without a byte: an error of ours before anything is sent or counted."""
    wire = wired(target)
    with pytest.raises(UnsendableError) as caught:
        wire.send(call)
    assert isinstance(caught.value, WatchwordError)
    with pytest.raises(UnsendableError):
        wire.send_together([GET, call])
    assert (wire.total, target.connections) == (0, 0)


def test_the_run_is_named_once(target: Machine) -> None:
    """The run's header is the run's, whatever an attack puts there."""
    call = GET.with_header("watchword-drill", "forged")
    sent(target, call, signed=lambda each: (("Watchword-Drill", each.target),))
    assert b"\r\nWatchword-Drill: /v1/records\r\n" in target.heads[0]
    assert b"forged" not in target.heads[0]


def test_nothing_is_sent_unsigned(target: Machine) -> None:
    """When the run can't be signed any more, nobody connects."""

    def signed(_: Call) -> Headers:
        raise UnsendableError("over")

    with pytest.raises(UnsendableError):
        sent(target, GET, signed=signed)
    assert target.connections == 0


# What comes back, and when.


def test_an_answer_is_capped(target: Machine) -> None:
    """A big answer is cut, and its connection isn't used again."""
    target.answer = ok(b"x" * (MAX_ANSWER_BYTES * 8))
    answers = sent(target, GET, GET)
    assert [len(each.body) for each in answers] == [MAX_ANSWER_BYTES] * 2
    assert target.connections == 2


@pytest.mark.parametrize("tick", [b"x", b"HTTP/1.1 100 Continue\r\n\r\n"], ids=["head", "interim"])
def test_a_byte_a_moment_is_no_answer(target: Machine, tick: bytes) -> None:
    """An exchange as a whole has its time, however often something comes."""

    def drip(_: bytes, connection: socket.socket) -> None:
        if tick == b"x":
            connection.sendall(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        for _each in range(100):
            connection.sendall(tick)
            time.sleep(0.05)

    target.answer = drip
    began = time.perf_counter()
    assert sent(target, GET, seconds=0.5) == [Answer(0)]
    assert time.perf_counter() - began < 2


def test_a_flood_that_is_no_answer(target: Machine) -> None:
    """Interim answers without a pause end in time too, though nobody ever waits for one."""

    def flood(_: bytes, connection: socket.socket) -> None:
        began = time.perf_counter()
        while time.perf_counter() - began < 3:
            connection.sendall(b"HTTP/1.1 102 Processing\r\n\r\n" * 50)

    target.answer = flood
    began = time.perf_counter()
    assert sent(target, GET, seconds=0.3) == [Answer(0)]
    assert time.perf_counter() - began < 2


def test_a_body_that_never_ends_was_served(target: Machine) -> None:
    """The status that came is told: a slow body must not look as if the attack was stopped."""

    def drip(_: bytes, connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nab")
        time.sleep(1)

    target.answer = drip
    assert [(each.status, each.body) for each in sent(target, GET, seconds=0.5)] == [(200, b"ab")]


@pytest.mark.parametrize(
    "answer",
    [b"", b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000, b"HTTP/1.1 2"],
    ids=["nothing", "nonsense", "long", "half"],
)
def test_what_is_no_answer(target: Machine, answer: bytes) -> None:
    """A connection that is closed, or bytes that break the rules, are status 0."""

    def said(_: bytes, connection: socket.socket) -> None:
        connection.sendall(answer)

    target.answer = said
    assert sent(target, GET) == [Answer(0)]


def test_an_answer_before_the_body_was_taken(target: Machine) -> None:
    """A server that refuses early and hangs up is still heard."""

    def early(_: bytes, connection: socket.socket) -> None:
        connection.sendall(ok(b"", status="413 Too Large"))

    target.answer = early
    call = Call(Part.GATE, "POST", "/", (("Content-Length", "0"),), b"x" * 100)
    assert sent(target, call)[0].status == 413


def test_a_head_and_a_switch_have_no_body(target: Machine) -> None:
    """What changes an answer's framing is known: HEAD, and an upgrade that was asked for."""
    target.answer = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n"
    assert sent(target, Call(Part.GATE, "HEAD", "/"))[0].status == 200
    target.answer = b"HTTP/1.1 101 Switching\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\n"
    assert sent(target, GET.with_header("Upgrade", "h2c"))[0].status == 101


def test_a_connection_is_used_again(target: Machine) -> None:
    """Requests in a row go over one connection, unless the target spoke out of turn."""
    sent(target, GET, GET, GET)
    assert target.connections == 1
    target.answer = ok() + ok(b"early")
    answers = sent(target, GET, GET)
    assert [each.body for each in answers] == [b"ok", b"ok"]
    assert target.connections == 3


def test_nobody_there_is_a_lost_target() -> None:
    """A refused connection ends the run."""
    with machine() as gone:
        pass
    with pytest.raises(TargetLostError):
        sent(gone, GET)


# How fast, and until when.


def test_the_rate_is_kept(target: Machine) -> None:
    """Twenty requests a second from four threads take at least their time."""
    wire = HttpWire({Part.GATE: target.origin()}, rate=20)
    began = time.perf_counter()
    threads = [
        threading.Thread(target=lambda: [wire.send(GET) for _ in range(3)]) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert time.perf_counter() - began >= 11 / 20
    assert wire.total == 12
    wire.close()


def test_requests_together_keep_the_rate(target: Machine) -> None:
    """Before and after several at once it is silent; more than a second's worth go one by one."""
    wire = HttpWire({Part.GATE: target.origin()}, rate=20)
    began = time.perf_counter()
    assert [each.status for each in wire.send_together([GET] * 5)] == [200] * 5
    assert target.connections == 5
    wire.send(GET)
    assert time.perf_counter() - began >= 9 / 20
    assert (wire.total, wire.sent) == (6, 6)
    wire.close()
    slow = HttpWire({Part.GATE: target.origin()}, rate=40)
    began = time.perf_counter()
    slow.send_together([GET] * 41)
    assert time.perf_counter() - began >= 1
    slow.close()
    assert slow.send_together([]) == []


@pytest.mark.parametrize("rate", [None, 1000.0])
def test_elsewhere_the_rate_is_bounded(rate: float | None) -> None:
    """Off this machine there are at most fifty a second, whoever asks for more."""
    away = Machine("192.0.2.1", 80, b"").origin()
    assert HttpWire({Part.GATE: away}, rate=rate)._interval == 1 / 50


@pytest.mark.parametrize("rate", [0.0, -1.0, float("nan")])
def test_a_rate_is_above_zero(target: Machine, rate: float) -> None:
    """No rate, and no number, is no bound."""
    with pytest.raises(ValueError, match="rate"):
        HttpWire({Part.GATE: target.origin()}, rate=rate)


@pytest.mark.parametrize("waiting", ["turn", "answer"])
def test_stopping_ends_waiting_at_once(target: Machine, waiting: str) -> None:
    """Whatever waits, for its turn or for a server, ends within a moment."""
    over = threading.Event()

    def silent(_: bytes, __: socket.socket) -> None:
        over.wait(5)

    stop = threading.Event()
    wire = HttpWire({Part.GATE: target.origin()}, rate=0.1, stop=stop)
    if waiting == "turn":
        wire.send(GET)
    else:
        target.answer = silent
    threading.Timer(0.2, stop.set).start()
    began = time.perf_counter()
    with pytest.raises(KeyboardInterrupt):
        wire.send(GET)
    assert time.perf_counter() - began < 1.5
    over.set()
    seen = len(target.heads)
    with pytest.raises(KeyboardInterrupt):
        wire.send(GET)
    with pytest.raises(KeyboardInterrupt):
        wire.send_together([GET])
    assert len(target.heads) == seen
    wire.close()


# TLS.


def test_the_certificate_is_the_names(tmp_path: Path) -> None:
    """The name is asked for and checked at the pinned address, though nobody looked it up again."""
    tls, ca = certified(tmp_path, "api.example")
    with machine(tls=tls) as target:
        wire = HttpWire({Part.GATE: target.origin("api.example", "https")}, rate=None, ca=ca)
        assert wire.send(GET).status == 200
        assert target.names == ["api.example"]
        assert f"Host: api.example:{target.port}".encode() in target.heads[0]
        wire.close()


@pytest.mark.parametrize("believed", [True, False])
def test_anothers_certificate_is_a_lost_target(tmp_path: Path, believed: bool) -> None:
    """A certificate of another name, or of an authority that isn't believed: not one byte of a request."""
    name = "evil.example" if believed else "api.example"
    tls, ca = certified(tmp_path, name)
    with machine(tls=tls) as target:
        origins = {Part.GATE: target.origin("api.example", "https")}
        wire = HttpWire(origins, rate=None, ca=ca if believed else None)
        with pytest.raises(TargetLostError):
            wire.send(GET)
        assert target.heads == []


def test_two_names_at_one_address_are_two_certificates(tmp_path: Path) -> None:
    """A connection that was opened for one name isn't used for another."""
    tls, ca = certified(tmp_path, "api.example")
    with machine(tls=tls) as target:
        origins = {
            Part.GATE: target.origin("api.example", "https"),
            Part.SERVICE: target.origin("id.example", "https"),
        }
        wire = HttpWire(origins, rate=None, ca=ca)
        wire.send(GET)
        with pytest.raises(TargetLostError):
            wire.send(Call(Part.SERVICE, "GET", "/"))
        assert len(target.heads) == 1
        wire.close()


def test_an_address_has_a_certificate_too(tmp_path: Path) -> None:
    """A target that is written as an address is checked by that address."""
    tls, ca = certified(tmp_path, "127.0.0.1")
    with machine(tls=tls) as target:
        wire = HttpWire({Part.GATE: target.origin(scheme="https")}, rate=None, ca=ca)
        assert [wire.send(GET).status for _ in range(3)] == [200] * 3
        assert len(wire.send_together([GET, GET])) == 2
        wire.close()


def test_a_handshake_has_its_time_and_an_authority_its_file(tmp_path: Path) -> None:
    """A server that never shakes hands is lost in time; a file without certificates is told."""

    def silent(_: bytes, __: socket.socket) -> None:
        time.sleep(1)

    with machine(silent) as target:
        wire = HttpWire({Part.GATE: target.origin(scheme="https")}, rate=None, seconds=0.3)
        with pytest.raises(TargetLostError):
            wire.send(GET)
        empty = tmp_path / "ca.pem"
        for text in (None, "nonsense"):
            if text is not None:
                empty.write_text(text)
            with pytest.raises(WatchwordError):
                HttpWire({Part.GATE: target.origin(scheme="https")}, rate=None, ca=empty).send(GET)


def test_an_answer_is_told_in_the_pieces_in_which_it_came() -> None:
    """A chunk is a piece, however many reads it takes; without chunks, what each read brings is one."""
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

    def talk(_: bytes, connection: socket.socket) -> bytes:
        for part in (head, b"3\r\na", b"bc\r\n2", b"\r\nde\r\n"):
            connection.sendall(part)
        return b"fffff\r\n" + b"x" * 0xFFFFF + b"\r\n0\r\n\r\n"

    with machine(talk) as chunked, machine() as whole:
        (one,) = sent(chunked, GET)
        (two,) = sent(whole, GET)
    assert (one.pieces[:2], len(one.pieces)) == ((3, 2), 3)
    assert sum(two.pieces) == 2
