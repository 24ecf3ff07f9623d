"""Show which addresses a third party may have, and that nothing else is connected to."""

import asyncio
import ssl
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpcore
import pytest

from watchword.adapters.edge_wire import (
    CheckedBackend,
    SystemResolver,
    check_addresses,
    checked_addresses,
)
from watchword.reasons import Reason, RefusedError

NAME = "maps.example.net"
PUBLIC = ["93.184.216.34", "2606:2800:220:1:248:1893:25c8:1946", "64:ff9b::5db8:d822"]
PRIVATE = [
    "10.0.0.1",
    "100.64.0.1",
    "127.0.0.1",
    "127.255.255.254",
    "169.254.1.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.8",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.0.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:7f00:1",
    "::127.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b::a00:1",
    "64:ff9b:1::a00:1",
    "2002:7f00:1::1",
    "2002:a00:1::1",
    "2001::1",
    "2001:db8::1",
    "fc00::1",
    "fd12:3456::1",
    "fe80::1",
    "fec0::1",
]
NEVER = [
    "0.0.0.0",
    "0.1.2.3",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "ff02::1",
    "fe80::1%eth0",
    "169.254.169.254",
    "::ffff:169.254.169.254",
    "64:ff9b::a9fe:a9fe",
    "169.254.170.2",
    "168.63.129.16",
    "100.100.100.200",
    "fd00:ec2::254",
    "",
    "maps.example.net",
    "127.1",
    "0x7f.0.0.1",
    "2130706433",
]


def refused(found: Sequence[str], *, private: bool) -> Reason | None:
    """Return why these addresses of a name aren't connected to, None if they are."""
    try:
        assert list(check_addresses(NAME, found, private=private)) == list(dict.fromkeys(found))
    except RefusedError as error:
        return error.reason
    return None


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses(address: str) -> None:
    """They are what third parties have."""
    assert refused([address], private=False) is None
    assert refused([address, address], private=True) is None


@pytest.mark.parametrize("address", PRIVATE)
def test_private_addresses(address: str) -> None:
    """They are refused, also beside public ones, unless the rule allows them."""
    assert refused([address], private=False) is Reason.SECRET_ADDRESS
    assert refused([PUBLIC[0], address], private=False) is Reason.SECRET_ADDRESS
    assert refused([address, PUBLIC[1]], private=False) is Reason.SECRET_ADDRESS
    assert refused([address], private=True) is None


@pytest.mark.parametrize("address", NEVER)
def test_addresses_that_no_third_party_has(address: str) -> None:
    """Everybody's, nobody's, the metadata of clouds, and what is no address: also where private ones are allowed."""
    assert refused([address], private=False) is Reason.SECRET_ADDRESS
    assert refused([PUBLIC[0], address], private=True) is Reason.SECRET_ADDRESS


@pytest.mark.parametrize("count", [0, 65])
def test_answers_of_another_size(count: int) -> None:
    """None, or a flood."""
    found = [f"93.184.216.{number}" for number in range(count)]
    assert refused(found, private=True) is Reason.SECRET_ADDRESS


@pytest.mark.parametrize(
    "host",
    [
        "127.1",
        "127.0.1",
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "0177.0.0.1",
        "017700000001",
        "localhost",
        "0",
        "0x0",
        "::1",
    ],
)
def test_hosts_that_the_system_reads_as_this_machine(host: str) -> None:
    """Whatever spelling of loopback the system's resolver understands, its answer is checked."""

    async def main() -> Sequence[str]:
        resolver = SystemResolver()
        try:
            return await checked_addresses(host, 443, resolver, private=False)
        finally:
            resolver.close()

    with pytest.raises((RefusedError, OSError)) as error:
        asyncio.run(main())
    if isinstance(error.value, RefusedError):
        assert error.value.reason is Reason.SECRET_ADDRESS


@dataclass
class Answers:
    """Answer with one list after another; implements the port Resolver."""

    answers: list[Sequence[str]]
    asked: int = 0

    async def addresses(self, name: str, port: int) -> Sequence[str]:
        """Return the next answer."""
        self.asked += 1
        return self.answers.pop(0)


class Stream(httpcore.AsyncNetworkStream):
    """Be a connection whose handshake never ends."""

    closed = False

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's signature.
    ) -> httpcore.AsyncNetworkStream:
        """Wait for what doesn't come."""
        await asyncio.sleep(60)
        return self

    async def aclose(self) -> None:
        """Remember that it was closed."""
        self.closed = True


@dataclass
class Connector(httpcore.AsyncNetworkBackend):
    """Remember what is connected to; some addresses don't answer."""

    dead: frozenset[str] = frozenset()
    tried: list[str] = field(default_factory=list)
    made: list[Stream] = field(default_factory=list)

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's signature.
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect, or don't."""
        self.tried.append(host)
        if host in self.dead:
            raise httpcore.ConnectError(host)
        self.made.append(Stream())
        return self.made[-1]


def connect(answers: Answers, connector: Connector, *, private: bool = False) -> Any:
    """Connect once."""
    backend = CheckedBackend(answers, private=private, connector=connector)
    return asyncio.run(backend.connect_tcp(NAME, 443, 1.0))


def test_a_name_whose_answer_changes() -> None:
    """What was checked is what is connected to: the second answer isn't even asked for."""
    answers, connector = Answers([[PUBLIC[0]], ["127.0.0.1"]]), Connector()
    connect(answers, connector)
    assert len(connector.made) == 1
    assert connector.tried == [PUBLIC[0]]
    assert answers.asked == 1
    # The next connection asks anew, and finds what the name has become.
    with pytest.raises(RefusedError) as error:
        connect(answers, connector)
    assert error.value.reason is Reason.SECRET_ADDRESS
    assert connector.tried == [PUBLIC[0]]


def test_the_next_address_is_tried() -> None:
    """Of several addresses the first that answers is taken, of very many only some are tried."""
    many = [f"93.184.216.{number}" for number in range(20)]
    connector = Connector(frozenset(many[:2]))
    connect(Answers([many]), connector)
    assert len(connector.made) == 1
    assert connector.tried == many[:3]
    connector = Connector(frozenset(many))
    with pytest.raises(httpcore.ConnectError):
        connect(Answers([many]), connector)
    assert connector.tried == many[:4]


def test_a_resolver_that_hangs() -> None:
    """It has the time of a connection, and no more."""

    class Hanging:
        async def addresses(self, name: str, port: int) -> Sequence[str]:
            await asyncio.sleep(60)
            return []

    backend = CheckedBackend(Hanging(), private=False, connector=Connector())
    with pytest.raises(httpcore.ConnectTimeout):
        asyncio.run(backend.connect_tcp(NAME, 443, 0.05))


def test_names_that_are_none() -> None:
    """A label too long, or no address at all, is an origin that doesn't answer."""
    resolver = SystemResolver()
    backend = CheckedBackend(resolver, private=False, connector=Connector())
    # A machine whose name server doesn't answer says nothing in time.
    silent = (httpcore.ConnectError, httpcore.ConnectTimeout)
    for name, ends in (
        ("a" * 64 + ".example", httpcore.ConnectError),
        ("no-such-name.invalid", silent),
    ):
        with pytest.raises(ends):
            asyncio.run(backend.connect_tcp(name, 443, 5.0))
    resolver.close()


def test_a_handshake_that_is_given_up_leaves_nothing_open() -> None:
    """A client that leaves in the middle of it takes the connection with it."""

    async def main(connector: Connector) -> None:
        backend = CheckedBackend(Answers([PUBLIC]), private=False, connector=connector)
        stream = await backend.connect_tcp(NAME, 443, 1.0)
        handshake = asyncio.create_task(stream.start_tls(ssl.create_default_context(), NAME))
        await asyncio.sleep(0.01)
        handshake.cancel()
        with pytest.raises(asyncio.CancelledError):
            await handshake

    connector = Connector()
    asyncio.run(main(connector))
    assert [stream.closed for stream in connector.made] == [True]
