"""Show what a handshake tells of a server, and that no server holds it up."""

import re
import socket
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from tests.unit.adapters.loopback import end_listening
from tests.unit.apps.pins_servers import HOST, Authority, new_key, server, silent

from watchword.adapters.live_chain import (
    AuthoritiesFileError,
    LiveChainError,
    Place,
    fetch_chain,
    trusted,
)


@pytest.fixture
def authority() -> Authority:
    """Return an authority of our own."""
    return Authority()


@pytest.fixture
def ca(tmp_path: Path, authority: Authority) -> Path:
    """Return the file of the authority."""
    file = tmp_path / "ca.pem"
    file.write_bytes(authority.pem)
    return file


@contextmanager
def sending(data: bytes, *, again: bool = False, hold: float = 0) -> Iterator[int]:
    """Send bytes to whoever comes, byte by byte and without end if asked for; then hang up; give the port."""
    over = threading.Event()

    def answer(plain: socket.socket) -> None:
        with suppress(OSError), plain:
            plain.recv(4096)
            over.wait(hold)
            plain.sendall(data)
            while again and not over.wait(0.02):
                plain.sendall(data[-1:])

    def serve(listening: socket.socket) -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=answer, args=(listening.accept()[0],), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=serve, args=(listening,), daemon=True).start()
        yield listening.getsockname()[1]
        over.set()
        end_listening(listening)


def assert_told(text: str) -> AbstractContextManager[object]:
    """Expect that a server shows no chain, and that this is said of it."""
    return pytest.raises(LiveChainError, match=re.escape(text))


def place(port: int) -> Place:
    """Return where a server of this test is."""
    return Place(HOST, "127.0.0.1", port)


def test_a_chain_that_holds(tmp_path: Path, authority: Authority, ca: Path) -> None:
    """As sent and as verified; the name is told to the server, and nothing is sent behind the handshake."""
    key = new_key()
    chain = authority.issue(key, HOST)
    with server(tmp_path) as running:
        running.show(key, chain)
        found = fetch_chain(place(running.port), trusted(ca))
        assert running.names == [HOST]
        assert running.received == b""
    ders = tuple(c.public_bytes(Encoding.DER) for c in x509.load_pem_x509_certificates(chain))
    assert found.sent == ders
    assert len(found.verified) == 2
    assert found.verified[0] == ders[0]
    assert found.fault is None


@pytest.mark.parametrize(
    ("hosts", "days", "believed", "why"),
    [
        ((HOST,), 90.0, False, "self-signed certificate in certificate chain"),
        (("other.example.com",), 90.0, True, "Hostname mismatch"),
        ((HOST,), -1.0, True, "certificate has expired"),
    ],
    ids=["unknown authority", "another name", "expired"],
)
def test_a_chain_that_doesnt_hold_is_shown_all_the_same(
    tmp_path: Path,
    authority: Authority,
    ca: Path,
    hosts: tuple[str, ...],
    days: float,
    believed: bool,
    why: str,
) -> None:
    """What was sent, and why it isn't believed."""
    key = new_key()
    with server(tmp_path) as running:
        running.show(key, authority.issue(key, *hosts, days=days))
        found = fetch_chain(place(running.port), trusted(ca if believed else None))
    assert found.fault is not None
    assert why in found.fault
    assert found.verified == ()
    assert len(found.sent) == 2


def test_a_chain_of_100_certificates_is_a_fault(
    tmp_path: Path, authority: Authority, ca: Path
) -> None:
    """Nobody has that many; it is told, not looked through."""
    key = new_key()
    padding = b"".join(
        authority.issue(key, f"h{number}.example.com").split(authority.pem)[0]
        for number in range(98)
    )
    with server(tmp_path) as running:
        running.show(key, authority.issue(key, HOST) + padding)
        with pytest.raises(
            LiveChainError, match="got a chain of 100 certificates, expected at most 12"
        ):
            fetch_chain(place(running.port), trusted(ca))


def test_a_server_that_never_answers(ca: Path) -> None:
    """The wait ends."""
    with silent() as port, pytest.raises(LiveChainError, match=r"got no handshake within 0\.3 s"):
        fetch_chain(place(port), trusted(ca), 0.3)


def test_a_server_that_hangs_up_too_late(ca: Path) -> None:
    """Nobody waits for that: the wait had ended before."""
    with sending(b"", hold=2) as port, assert_told("got no handshake within 0.3 s"):
        fetch_chain(place(port), trusted(ca), 0.3)


def test_a_server_that_sends_a_byte_now_and_then(ca: Path) -> None:
    """The handshake as a whole is bounded, not each wait of it."""
    # The head of a handshake record of 16 kB, whose content never gets whole.
    with (
        sending(b"\x16\x03\x03\x40\x00\x02", again=True) as port,
        assert_told("got no handshake within 1 s"),
    ):
        fetch_chain(place(port), trusted(ca), 1)


def test_what_speaks_no_tls(ca: Path) -> None:
    """A plain web server, and one that hangs up."""
    with sending(b"HTTP/1.1 400 Bad Request\r\n\r\n") as port, assert_told("no TLS handshake: "):
        fetch_chain(place(port), trusted(ca))
    with sending(b"") as port, pytest.raises(LiveChainError, match="got "):
        fetch_chain(place(port), trusted(ca), 0.5)
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        with pytest.raises(LiveChainError, match="Connection refused"):
            fetch_chain(place(bound.getsockname()[1]), trusted(ca))


def test_no_proxy_of_the_environment_is_asked(
    tmp_path: Path, authority: Authority, ca: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy could show another chain, and everybody would pin it."""
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    key = new_key()
    with server(tmp_path) as running:
        running.show(key, authority.issue(key, HOST))
        assert fetch_chain(place(running.port), trusted(ca)).fault is None


@pytest.mark.parametrize("data", [None, b"junk", b""])
def test_a_file_that_holds_no_authorities(tmp_path: Path, data: bytes | None) -> None:
    """Missing, or malformed PEM."""
    file = tmp_path / "ca.pem"
    if data is not None:
        file.write_bytes(data)
    with pytest.raises(AuthoritiesFileError, match="expected a file with certificates as PEM"):
        trusted(file)
