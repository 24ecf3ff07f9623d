"""Show that pins reach connections that are open already: none of the past is written to."""

import asyncio
import socket
import ssl
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import aiohttp
import httpx
import pytest
import requests
from tests.system.channel.laboratory import AUTHORITIES, Keeping, own_pin, pin_set
from tests.system.channel.servers import HOST, TlsServer

from watchword.client.pinning import (
    CleartextRefusedError,
    PinMismatchError,
    PinnedContext,
    SecretsWithheldError,
    mismatch_of,
    refusal_of,
)
from watchword.client.pinning.aiohttp_connector import PinnedConnector
from watchword.client.pinning.httpx_transport import AsyncPinnedTransport, PinnedTransport
from watchword.client.pinning.requests_adapter import PinnedAdapter
from watchword.client.pinning.urllib3_pools import PinnedPoolManager

OK = 200
OLD, NEW = pin_set(own_pin("A")), pin_set(own_pin("B"), version=2)
SAME = pin_set(own_pin("A"), own_pin("B"), version=2)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[TlsServer]:
    """Have a server with key A."""
    made = TlsServer(AUTHORITIES.web.server("A", [HOST]), tmp_path)
    yield made
    made.close()


@pytest.fixture
def trust(tmp_path: Path) -> str:
    """Have a file with the authority of the web."""
    file = tmp_path / "web.pem"
    file.write_bytes(AUTHORITIES.web.root_pem)
    return str(file)


def swap(keeping: Keeping, server: TlsServer) -> None:
    """Change the server's key and publish the set that has it."""
    server.show(AUTHORITIES.web.server("B", [HOST]))
    keeping.publish(NEW)


Steps = Callable[[], int]


def run_httpx(keeping: Keeping, context: PinnedContext, url: str, between: Steps) -> list[int]:
    """Send two requests each before and after."""
    with httpx.Client(transport=PinnedTransport(keeping.keeper, context=context)) as client:
        first = [client.get(url).status_code for _ in range(2)]
        return [*first, between(), client.get(url).status_code, client.get(url).status_code]


def run_httpx_async(
    keeping: Keeping, context: PinnedContext, url: str, between: Steps
) -> list[int]:
    """Do the same."""

    async def run() -> list[int]:
        transport = AsyncPinnedTransport(keeping.keeper, context=context)
        async with httpx.AsyncClient(transport=transport) as client:
            first = [(await client.get(url)).status_code for _ in range(2)]
            first.append(between())
            return first + [(await client.get(url)).status_code for _ in range(2)]

    return asyncio.run(run())


def run_urllib3(keeping: Keeping, context: PinnedContext, url: str, between: Steps) -> list[int]:
    """Do the same."""
    with PinnedPoolManager(keeping.keeper, context=context) as pools:
        first = [pools.request("GET", url).status for _ in range(2)]
        first.append(between())
        return first + [pools.request("GET", url).status for _ in range(2)]


def run_requests(keeping: Keeping, context: PinnedContext, url: str, between: Steps) -> list[int]:
    """Do the same."""
    with requests.Session() as session:
        session.trust_env = False
        session.mount("https://", PinnedAdapter(keeping.keeper, context=context))
        first = [session.get(url, timeout=10).status_code for _ in range(2)]
        first.append(between())
        return first + [session.get(url, timeout=10).status_code for _ in range(2)]


def run_aiohttp(keeping: Keeping, context: PinnedContext, url: str, between: Steps) -> list[int]:
    """Do the same."""

    async def run() -> list[int]:
        connector = PinnedConnector(keeping.keeper, context=context)
        async with aiohttp.ClientSession(connector=connector) as session:

            async def get() -> int:
                # aiohttp repeats a GET by itself over a new connection, which would hide that an old one was tried.
                async with session.post(url) as answer:
                    await answer.read()
                    return answer.status

            first = [await get() for _ in range(2)]
            first.append(between())
            return first + [await get() for _ in range(2)]

    return asyncio.run(run())


ADAPTERS: dict[str, Callable[[Keeping, PinnedContext, str, Steps], list[int]]] = {
    "httpx": run_httpx,
    "httpx-async": run_httpx_async,
    "urllib3": run_urllib3,
    "requests": run_requests,
    "aiohttp": run_aiohttp,
}


@pytest.mark.parametrize("name", ADAPTERS)
def test_a_pool_is_left_behind_when_pins_change(name: str, server: TlsServer, trust: str) -> None:
    """Two requests share a connection; after a new set the next goes over a new one, and is served by the new key."""
    keeping = Keeping(OLD)
    context = PinnedContext(keeping.keeper, cafile=trust)

    def between() -> int:
        assert server.handshakes == 1
        swap(keeping, server)
        return 0

    got = ADAPTERS[name](keeping, context, server.url, between)
    assert got == [OK, OK, 0, OK, OK]
    assert server.handshakes == 2


@pytest.mark.parametrize("name", ADAPTERS)
def test_a_pool_is_kept_while_pins_stand(name: str, server: TlsServer, trust: str) -> None:
    """The same set installed once more costs nobody a connection."""
    keeping = Keeping(OLD)

    def between() -> int:
        keeping.publish(OLD)
        return 0

    context = PinnedContext(keeping.keeper, cafile=trust)
    assert ADAPTERS[name](keeping, context, server.url, between) == [OK, OK, 0, OK, OK]
    assert server.handshakes == 1


def connected(server: TlsServer, context: ssl.SSLContext) -> ssl.SSLSocket:
    """Return a connection after its handshake."""
    plain = socket.create_connection(("127.0.0.1", server.port), 10)
    return context.wrap_socket(plain, server_hostname=HOST)


def test_a_connection_of_old_pins_is_refused_before_a_write(server: TlsServer, trust: str) -> None:
    """Also where a library has no adapter: what was opened under old pins is judged anew when it's written to."""
    keeping = Keeping(OLD)
    with connected(server, PinnedContext(keeping.keeper, cafile=trust)) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert sock.recv(100).startswith(b"HTTP/1.1 200")
        before = server.size
        keeping.publish(NEW)
        for write in (sock.sendall, sock.send, sock.write):
            with pytest.raises(PinMismatchError):
                write(b"x-api-key: secret\r\n")
        with pytest.raises(PinMismatchError):
            sock.recv(100)
        assert server.size == before


def test_a_connection_that_new_pins_allow_is_used_on(server: TlsServer, trust: str) -> None:
    """A set that still holds the key costs an open connection nothing."""
    keeping = Keeping(OLD)
    with connected(server, PinnedContext(keeping.keeper, cafile=trust)) as sock:
        keeping.publish(SAME)
        sock.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert sock.recv(100).startswith(b"HTTP/1.1 200")
    assert server.handshakes == 1


def test_an_answer_that_is_on_its_way_is_read_to_its_end(server: TlsServer, trust: str) -> None:
    """A change of pins doesn't tear what was asked for before it."""
    keeping = Keeping(OLD)
    with connected(server, PinnedContext(keeping.keeper, cafile=trust)) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\n\r\n")
        keeping.publish(NEW)
        assert sock.recv(100).startswith(b"HTTP/1.1 200")


def test_expiry_reaches_open_connections(server: TlsServer, trust: str) -> None:
    """A context for secrets stops using a connection in the second in which its pins expire."""
    keeping = Keeping(OLD)
    context = PinnedContext(keeping.keeper, cafile=trust, secrets=True)
    with connected(server, context) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\n\r\n")
        before = server.size
        keeping.now = OLD.hard_expiry
        with pytest.raises(SecretsWithheldError):
            sock.sendall(b"x-api-key: secret\r\n")
        assert server.size == before


def test_a_write_before_the_handshake_is_checked(server: TlsServer, trust: str) -> None:
    """OpenSSL makes a handshake by itself when something is written; the check isn't left out then."""
    context = PinnedContext(Keeping(NEW).keeper, cafile=trust)
    plain = socket.create_connection(("127.0.0.1", server.port), 10)
    with context.wrap_socket(plain, server_hostname=HOST, do_handshake_on_connect=False) as sock:
        with pytest.raises(PinMismatchError):
            sock.sendall(b"x-api-key: secret\r\n")
        with pytest.raises(PinMismatchError):
            sock.recv(100)
    assert server.size == 0


def test_an_unwrapped_connection_sends_no_cleartext(server: TlsServer, trust: str) -> None:
    """A socket whose TLS isn't there sends nothing."""
    context = PinnedContext(Keeping(OLD).keeper, cafile=trust)
    with (
        context.wrap_socket(socket.socket(), server_hostname=HOST) as sock,
        pytest.raises(ssl.SSLError, match="no TLS"),
    ):
        sock.send(b"x-api-key: secret\r\n")
    for name, more in (("send", ()), ("sendall", ()), ("sendto", (("127.0.0.1", server.port),))):
        with connected(server, context) as secured:
            # Its TLS is forgotten by this, and not its connection.
            secured.shutdown(socket.SHUT_RD)
            with pytest.raises((ssl.SSLError, ValueError)):
                getattr(secured, name)(b"x-api-key: secret\r\n", *more)


def test_no_session_is_resumed(server: TlsServer, trust: str) -> None:
    """A resumed session shows no chain, so that none is offered: each connection is judged by the pins of its day."""
    server.context.maximum_version = ssl.TLSVersion.TLSv1_2
    keeping = Keeping(OLD)
    context = PinnedContext(keeping.keeper, cafile=trust)
    with connected(server, context) as sock:
        session = sock.session
        assert session is not None
    plain = socket.create_connection(("127.0.0.1", server.port), 10)
    with context.wrap_socket(plain, server_hostname=HOST, session=session) as sock:
        assert not sock.session_reused
    plain = socket.create_connection(("127.0.0.1", server.port), 10)
    with context.wrap_socket(plain, server_hostname=HOST, do_handshake_on_connect=False) as sock:
        sock.session = session
        sock.do_handshake()
        assert not sock.session_reused


def test_a_genuine_certificate_in_the_chain_as_sent_is_no_help(
    server: TlsServer, trust: str, tmp_path: Path
) -> None:
    """Who appends the pinned authority's and the genuine server's certificates to a chain of his own is refused."""
    mine, genuine = AUTHORITIES.other_web.server("D", [HOST]), AUTHORITIES.web.server("A", [HOST])
    forged = type(mine)((*mine.chain, *genuine.chain, AUTHORITIES.web.root.der), mine.key)
    server.show(forged)
    both = tmp_path / "both.pem"
    both.write_bytes(AUTHORITIES.web.root_pem + AUTHORITIES.other_web.root_pem)
    context = PinnedContext(Keeping(OLD).keeper, cafile=str(both))
    with pytest.raises(PinMismatchError):
        connected(server, context)
    assert server.size == 0


@pytest.mark.parametrize("name", ADAPTERS)
def test_cleartext_to_a_pinned_host_is_refused(name: str, trust: str) -> None:
    """An adapter sends nothing over http to a host that is pinned, and says why."""
    keeping = Keeping(OLD)
    context = PinnedContext(keeping.keeper, cafile=trust)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(0.1)
        url = f"http://{HOST}:{listening.getsockname()[1]}/"
        run = run_requests_for_both if name == "requests" else ADAPTERS[name]
        with pytest.raises(Exception) as caught:
            run(keeping, context, url, lambda: 0)
        assert isinstance(refusal_of(caught.value), CleartextRefusedError)
        with pytest.raises(TimeoutError):
            listening.accept()


def run_requests_for_both(
    keeping: Keeping, context: PinnedContext, url: str, between: Steps
) -> list[int]:
    """Use requests with the adapter in both places."""
    with requests.Session() as session:
        session.mount("http://", PinnedAdapter(keeping.keeper, context=context))
        return [session.get(url, timeout=10).status_code]


def test_a_library_cannot_switch_the_checks_off(server: TlsServer, trust: str) -> None:
    """verify=False, ssl=False and assert_hostname=False are refused, each before anything is sent."""
    keeping = Keeping(OLD)
    context = PinnedContext(keeping.keeper, cafile=trust)
    with requests.Session() as session:
        session.mount("https://", PinnedAdapter(keeping.keeper, context=context))
        with pytest.raises(ValueError, match="verify=False"):
            session.get(server.url, timeout=10, verify=False)
    with (
        PinnedPoolManager(keeping.keeper, context=context, assert_hostname=False) as pools,
        pytest.raises(ValueError, match="check_hostname"),
    ):
        pools.request("GET", server.url, retries=False)
    with (
        PinnedPoolManager(keeping.keeper, context=context, cert_reqs="CERT_NONE") as pools,
        pytest.raises(ValueError, match="verify_mode"),
    ):
        pools.request("GET", server.url, retries=False)

    async def around() -> None:
        connector = PinnedConnector(keeping.keeper, context=context)
        async with aiohttp.ClientSession(connector=connector) as session:
            await session.get(server.url, ssl=False)

    with pytest.raises(ValueError, match="ssl of its own"):
        asyncio.run(around())
    assert server.size == 0
    assert context.verify_mode == ssl.CERT_REQUIRED
    assert context.check_hostname


def test_requests_adds_no_authorities_to_the_context(server: TlsServer, trust: str) -> None:
    """The bundle that requests brings along isn't trusted: the context alone says who is."""
    keeping = Keeping(None)
    context = PinnedContext(keeping.keeper, cafile=trust)
    with requests.Session() as session:
        session.mount("https://", PinnedAdapter(keeping.keeper, context=context))
        assert session.get(server.url, timeout=10).status_code == OK
    assert len(context.get_ca_certs()) == 1


def test_a_refusal_is_found_in_whatever_wraps_it() -> None:
    """Causes, contexts, arguments, groups and urllib3's reasons are looked into, in a bounded number of steps."""
    refusal = PinMismatchError("api.example.com")
    wrapped = RuntimeError("outer")
    wrapped.__cause__ = ExceptionGroup("several", [ValueError(), OSError(1, refusal)])
    assert mismatch_of(wrapped) is refusal
    assert refusal_of(ValueError("nothing")) is None
    assert mismatch_of(SecretsWithheldError("api.example.com")) is None
    loop = ValueError("loop")
    loop.__context__ = RuntimeError("again")
    loop.__context__.__context__ = loop
    assert refusal_of(loop) is None


def test_a_name_in_another_script_is_pinned_in_cleartext_too() -> None:
    """Pins go by A-labels, and httpx shows a name as people write it."""
    name = "xn--bcher-kva.example"
    held = pin_set(own_pin("A"))
    keeping = Keeping(replace(held, hosts=(replace(held.hosts[0], host=name),)))
    with httpx.Client(transport=PinnedTransport(keeping.keeper)) as client:
        for url in (f"http://{name}/", "http://bücher.example/"):
            with pytest.raises(CleartextRefusedError):
                client.get(url)
