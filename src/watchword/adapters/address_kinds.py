"""Tell what an IP address is: this machine, the internet, or a network that only its owner may name."""

from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final

Address = IPv4Address | IPv6Address


class Kind(StrEnum):
    """Name what an address is.

    ``loopback``: this machine.  ``global``: the internet.  ``private``: anything else that can be reached, so that the
    operator must name it.  ``nowhere``: no single machine, or whatever the system makes of it; never spoken to.
    """

    LOOPBACK = "loopback"
    GLOBAL = "global"
    PRIVATE = "private"
    NOWHERE = "nowhere"


# Written out, and not asked of `ipaddress`, whose answers changed within Python 3.11 and 3.12, and which takes multicast
# for global.  IANA IPv4 and IPv6 Special-Purpose Address Registries (RFC 6890), RFC 5771, RFC 3879.
_NOWHERE_4: Final = tuple(map(IPv4Network, ("0.0.0.0/8", "224.0.0.0/4", "240.0.0.0/4")))
_PRIVATE_4: Final = tuple(
    map(
        IPv4Network,
        (
            "10.0.0.0/8",
            "100.64.0.0/10",
            "169.254.0.0/16",
            "172.16.0.0/12",
            "192.0.0.0/24",
            "192.0.2.0/24",
            "192.88.99.0/24",
            "192.168.0.0/16",
            "198.18.0.0/15",
            "198.51.100.0/24",
            "203.0.113.0/24",
        ),
    )
)
_LOOPBACK_4: Final = IPv4Network("127.0.0.0/8")

_LOOPBACK_6: Final = IPv6Address("::1")
_NOWHERE_6: Final = IPv6Network("ff00::/8")
_UNICAST_6: Final = IPv6Network("2000::/3")
_PRIVATE_IN_UNICAST_6: Final = tuple(
    # 2001::/23 holds Teredo, 2002::/16 is 6to4: both lead to an IPv4 address that stands within.
    map(IPv6Network, ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20"))
)
_MAPPED_6: Final = IPv6Network("::ffff:0:0/96")
_NAT64_6: Final = IPv6Network("64:ff9b::/96")
_LAST_32: Final = 0xFFFFFFFF


def kind_of(address: Address) -> Kind:
    """Return what an address is.

    One that embeds an IPv4 address (mapped, or NAT64 of RFC 6052) is what that is, but for loopback: another way to write
    this machine isn't this machine's name.  Teredo and 6to4 lead through relays of strangers and are private.
    """
    if isinstance(address, IPv4Address):
        return _kind_of_4(address)
    if address in _MAPPED_6 or address in _NAT64_6:
        embedded = _kind_of_4(IPv4Address(int(address) & _LAST_32))
        return Kind.PRIVATE if embedded is Kind.LOOPBACK else embedded
    if address == _LOOPBACK_6:
        return Kind.LOOPBACK
    if address in _NOWHERE_6 or int(address) == 0:
        return Kind.NOWHERE
    if address not in _UNICAST_6 or any(address in net for net in _PRIVATE_IN_UNICAST_6):
        return Kind.PRIVATE
    return Kind.GLOBAL


def is_loopback(text: str) -> bool:
    """Tell whether a text is an IP address of this machine."""
    try:
        return kind_of(ip_address(text)) is Kind.LOOPBACK
    except ValueError:
        return False


def _kind_of_4(address: IPv4Address) -> Kind:
    if address in _LOOPBACK_4:
        return Kind.LOOPBACK
    if any(address in net for net in _NOWHERE_4):
        return Kind.NOWHERE
    if any(address in net for net in _PRIVATE_4):
        return Kind.PRIVATE
    return Kind.GLOBAL
