"""Hold the fetching of a consent to one answer of the target's own."""

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.adapters.drill_wire.machines import Machine, bystander, certified, machine, ok

from watchword.adapters.drill_wire import fetch_consent
from watchword.drill.consent import MAX_BYTES, ConsentError, ConsentFault

JSON = "Content-Type: application/json"


@pytest.fixture
def target() -> Iterator[Machine]:
    """Return a machine that serves a document."""
    with machine(ok(b"{}", JSON)) as found:
        yield found


def assert_unserved(target: Machine, answer: bytes) -> ConsentError:
    """Return the error of an answer that is no consent."""
    target.answer = answer
    with pytest.raises(ConsentError) as caught:
        fetch_consent(target.origin())
    assert caught.value.fault is ConsentFault.UNSERVED
    return caught.value


def test_the_document_is_fetched_under_its_name(target: Machine) -> None:
    """One request, to the pinned address, for the name's host."""
    assert fetch_consent(target.origin("api.example")) == b"{}"
    head = target.heads[0]
    assert head.startswith(b"GET /.well-known/watchword-drill HTTP/1.1\r\n")
    assert f"\r\nHost: api.example:{target.port}\r\n".encode() in head
    assert len(target.heads) == 1


@pytest.mark.parametrize(
    "media_type", ["application/json; charset=utf-8", "Application/JSON", "application/json ;x"]
)
def test_json_has_parameters(target: Machine, media_type: str) -> None:
    """The type counts, not its spelling or its parameters."""
    target.answer = ok(b"{}", f"Content-Type: {media_type}")
    assert fetch_consent(target.origin()) == b"{}"


@pytest.mark.parametrize("status", ["301", "302", "303", "307", "308", "300"])
def test_a_redirect_is_no_consent(target: Machine, status: str) -> None:
    """An open redirect of the target's mustn't let another host agree for it."""
    with bystander() as other:
        where = f"Location: {other.url}/.well-known/watchword-drill"
        assert_unserved(target, ok(b"{}", JSON, where, status=f"{status} Elsewhere"))


@pytest.mark.parametrize("status", ["201", "204", "206", "226", "401", "404", "500"])
def test_only_a_200_is_a_consent(target: Machine, status: str) -> None:
    """A page of an error, or a part of a document, is none."""
    assert_unserved(target, ok(b"" if status == "204" else b"{}", JSON, status=f"{status} Other"))


@pytest.mark.parametrize(
    "header",
    [
        "Content-Type: text/html",
        "Content-Type: text/plain",
        "Content-Type: application/jsonp",
        "Content-Type: application/problem+json",
        "Content-Type:",
        "X-Type: application/json",
        "Content-Type: text/html, application/json",
    ],
)
def test_another_type_is_no_consent(target: Machine, header: str) -> None:
    """What users of a host can put there is served as text, HTML or anything but JSON."""
    assert_unserved(target, ok(b"{}", header))


def test_a_consent_is_capped(target: Machine) -> None:
    """One byte more than a consent may have is refused, whatever length was named."""
    target.answer = ok(b" " * MAX_BYTES, JSON)
    assert len(fetch_consent(target.origin())) == MAX_BYTES
    assert_unserved(target, ok(b" " * (MAX_BYTES + 1), JSON))
    chunk = b"2001\r\n" + b" " * 0x2001 + b"\r\n0\r\n\r\n"
    head = f"HTTP/1.1 200 OK\r\n{JSON}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    assert_unserved(target, head + chunk)


def test_half_a_consent_is_none(target: Machine) -> None:
    """A document that ends before its length could say less than its owner wrote."""

    def half(_: bytes, connection: socket.socket) -> None:
        connection.sendall(f"HTTP/1.1 200 OK\r\n{JSON}\r\nContent-Length: 9\r\n\r\n{{}}".encode())

    target.answer = half
    with pytest.raises(ConsentError) as caught:
        fetch_consent(target.origin())
    assert caught.value.fault is ConsentFault.UNSERVED


@pytest.mark.parametrize("coding", ["gzip", "br", "identity, gzip"])
def test_a_coding_is_no_consent(target: Machine, coding: str) -> None:
    """Compressed bytes could unfold to any size; none were asked for."""
    assert_unserved(target, ok(b"{}", JSON, f"Content-Encoding: {coding}"))


def test_a_slow_consent_is_none(target: Machine) -> None:
    """A byte a moment doesn't keep the drill waiting."""

    def drip(_: bytes, connection: socket.socket) -> None:
        connection.sendall(f"HTTP/1.1 200 OK\r\n{JSON}\r\nContent-Length: 99\r\n\r\n".encode())
        for _each in range(40):
            connection.sendall(b" ")
            time.sleep(0.05)

    target.answer = drip
    began = time.perf_counter()
    with pytest.raises(ConsentError) as caught:
        fetch_consent(target.origin(), seconds=0.4)
    assert caught.value.fault is ConsentFault.UNSERVED
    assert time.perf_counter() - began < 1.5


def test_proxies_of_the_environment_are_ignored(
    target: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody in between answers for the target."""
    with bystander() as other:
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "all_proxy"):
            monkeypatch.setenv(name, other.url)
        monkeypatch.setenv("NO_PROXY", "")
        assert fetch_consent(target.origin("api.example")) == b"{}"


def test_nobody_there_is_no_consent() -> None:
    """A target that can't be reached agrees to nothing."""
    with machine() as gone:
        pass
    with pytest.raises(ConsentError) as caught:
        fetch_consent(gone.origin())
    assert caught.value.fault is ConsentFault.UNSERVED


@pytest.mark.parametrize("name", ["api.example", "evil.example"])
def test_the_certificate_is_the_names(tmp_path: Path, name: str) -> None:
    """A consent under another's certificate is another's."""
    tls, ca = certified(tmp_path, name)
    with machine(ok(b"{}", JSON), tls=tls) as target:
        origin = target.origin("api.example", "https")
        if name == "api.example":
            assert fetch_consent(origin, ca=ca) == b"{}"
            return
        with pytest.raises(ConsentError) as caught:
            fetch_consent(origin, ca=ca)
        assert caught.value.fault is ConsentFault.UNSERVED
        assert target.heads == []
