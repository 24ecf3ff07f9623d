"""Hold where a part of the deployment is, and read how people write it."""

import re
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import AddressValueError, IPv4Address, IPv6Address, ip_address
from typing import Final, NoReturn

import idna

from watchword.adapters.address_kinds import is_loopback
from watchword.reasons import ExitCode, WatchwordError

_MAX_CHARACTERS: Final = 300
_MAX_NAME: Final = 253
_MAX_PORT: Final = 65535
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_URL: Final = re.compile(r"(https?)://(\[[0-9A-Fa-f:.]+\]|[^\[\]:]+)(?::([1-9][0-9]{0,4}))?")
_LABEL: Final = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMBER: Final = re.compile(r"[0-9]+|0[xX][0-9A-Fa-f]*")
_EXPECTED: Final = "scheme://host[:port] such as https://api.example.com, and nothing else"


class AddressFault(StrEnum):
    """Name why a target isn't spoken to."""

    URL = "url"
    HOST = "host"
    UNRESOLVED = "unresolved"
    NOWHERE = "nowhere"
    UNNAMED = "unnamed"
    MIXED = "mixed"
    PLAIN = "plain"
    NAMED = "named"
    CA = "ca"


class AddressError(WatchwordError):
    """Report a target that isn't spoken to: what was got, what was expected, and what to do."""

    exit_code = ExitCode.USAGE

    def __init__(self, fault: AddressFault, where: str, got: str, expected: str) -> None:
        self.fault = fault
        super().__init__(f"{where}: got {got}, expected {expected}")


@dataclass(frozen=True, slots=True)
class Origin:
    """Hold where a part of the deployment is.

    :param scheme: ``http`` or ``https``.
    :param authority: ``Host`` as it is sent: the name, and the port where it isn't the scheme's.
    :param name: of the server, for its certificate.
    :param address: the IP address that the name was resolved to, once; nothing else is spoken to.
    :param free: it is this machine, and was written so; nobody else need agree.
    """

    scheme: str
    authority: str
    name: str
    address: str
    port: int
    free: bool = False

    def __post_init__(self) -> None:
        """Refuse a name in the place of the address: it'd be resolved again at each connection.

        :raises ValueError: for anything but an IP address without a zone.
        """
        if "%" in self.address:
            raise ValueError("expected an IP address without a zone")
        ip_address(self.address)

    @property
    def url(self) -> str:
        """Return the URL that is connected to."""
        host = f"[{self.address}]" if ":" in self.address else self.address
        return f"{self.scheme}://{host}:{self.port}"

    @property
    def text(self) -> str:
        """Return the origin as a consent names it."""
        return f"{self.scheme}://{self.authority}"

    @property
    def is_loopback(self) -> bool:
        """Tell whether what is connected to is this machine, whatever its name."""
        return is_loopback(self.address)


@dataclass(frozen=True, slots=True)
class Target:
    """Hold a target as it was written, before it is resolved.

    :param host: a name in lower case as A-labels, or a canonical IP address without brackets.
    :param literal: the address if ``host`` is one.
    """

    scheme: str
    host: str
    port: int
    literal: IPv4Address | IPv6Address | None = None

    @property
    def authority(self) -> str:
        """Return ``Host``: IPv6 in brackets, the scheme's own port left out."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def text(self) -> str:
        """Return the origin as a consent names it."""
        return f"{self.scheme}://{self.authority}"


def parse_target(url: str) -> Target:
    """Read ``http(s)://host[:port]`` with none of the freedom that URLs have.

    1. No user (``https://good@evil`` goes to evil), path, query or fragment; no backslash, percent sign, white space.
    2. A name of another script becomes A-labels by IDNA 2008, without the mappings that make a dot or a
       digit out of characters that look like one; ASCII names become lower case.
    3. A host that ends in a number is an IPv4 address of four plain decimals, or refused: resolvers read ``0x7f.1``,
       ``2130706433``, ``127.1`` and ``0177.0.0.1`` as addresses (WHATWG URL, "ends in a number").
    4. No trailing dot: certificate, ``Host`` and consent would each have their own mind about it.
    5. IPv6 stands in brackets, without a zone, and not as ``::ffff:127.0.0.1``.

    :raises AddressError: with :attr:`AddressFault.URL` or :attr:`AddressFault.HOST`.
    """
    where = shown(url)
    if len(url) > _MAX_CHARACTERS:
        _refuse(AddressFault.URL, where, f"{len(url)} characters")
    if "@" in url:
        _refuse(AddressFault.URL, where, "a user or a password in it")
    if not url.isprintable() or any(each in url for each in '\\% "<>'):
        _refuse(AddressFault.URL, where, "a character that no host has")
    scheme_end = url.find("://")
    if scheme_end >= 0 and any(each in url[scheme_end + 3 :] for each in "/?#"):
        _refuse(AddressFault.URL, where, "a path, a query or a fragment")
    found = _URL.fullmatch(url)
    if found is None:
        _refuse(AddressFault.URL, where, "something else")
    scheme, host = found[1], found[2]
    port = int(found[3] or _DEFAULT_PORTS[scheme])
    if port > _MAX_PORT:
        _refuse(AddressFault.URL, where, f"port {port}")
    if host.startswith("["):
        address = _ipv6(host[1:-1], where)
        return Target(scheme, str(address), port, address)
    name = _name(host, where)
    if _NUMBER.fullmatch(name.rpartition(".")[2]):
        return Target(scheme, name, port, _ipv4(name, where))
    return Target(scheme, name, port)


def shown(text: str) -> str:
    """Return what somebody wrote as a line of ASCII that isn't long, and holds no password."""
    told = ascii(text[:_MAX_CHARACTERS])
    return re.sub(r"//[^/]*@", "//***@", told)


def _name(host: str, where: str) -> str:
    """Return a name as A-labels in lower case."""
    name = host.lower()
    if host.endswith("."):
        _refuse(AddressFault.HOST, where, "a trailing dot")
    if len(name) > _MAX_NAME:
        _refuse(AddressFault.HOST, where, f"a name of {len(name)} characters")
    try:
        if not host.isascii():
            # As it was written: lower case of other scripts isn't one to one.
            name = idna.encode(host, strict=True).decode("ascii")
        elif "xn--" in name:
            for label in name.split("."):
                if label.startswith("xn--"):
                    idna.ulabel(label)
    except (idna.IDNAError, UnicodeError):
        _refuse(AddressFault.HOST, where, "a name that IDNA 2008 doesn't have")
    if len(name) > _MAX_NAME or not all(map(_LABEL.fullmatch, name.split("."))):
        _refuse(AddressFault.HOST, where, "something that isn't a name")
    return name


def _ipv4(name: str, where: str) -> IPv4Address:
    try:
        return IPv4Address(name)
    except AddressValueError:
        _refuse(
            AddressFault.HOST,
            where,
            "an odd spelling of an IPv4 address",
            "four decimals such as 127.0.0.1",
        )


def _ipv6(text: str, where: str) -> IPv6Address:
    try:
        address = IPv6Address(text)
    except AddressValueError:
        _refuse(AddressFault.HOST, where, "no IPv6 address in the brackets")
    if address.ipv4_mapped is not None:
        plain = str(address.ipv4_mapped)
        _refuse(AddressFault.HOST, where, "an IPv4 address written as IPv6", plain)
    return address


def _refuse(fault: AddressFault, where: str, got: str, expected: str = _EXPECTED) -> NoReturn:
    raise AddressError(fault, where, got, expected)
