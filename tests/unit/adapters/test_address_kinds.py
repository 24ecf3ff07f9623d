"""Hold each kind of address to what may be spoken to."""

from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchword.adapters.address_kinds import Kind, is_loopback, kind_of

KINDS = {
    "127.0.0.1": Kind.LOOPBACK,
    "127.255.255.254": Kind.LOOPBACK,
    "::1": Kind.LOOPBACK,
    "8.8.8.8": Kind.GLOBAL,
    "2606:4700::1111": Kind.GLOBAL,
    "::ffff:8.8.8.8": Kind.GLOBAL,
    "64:ff9b::8.8.8.8": Kind.GLOBAL,
    "10.0.0.1": Kind.PRIVATE,
    "172.16.0.1": Kind.PRIVATE,
    "172.31.255.255": Kind.PRIVATE,
    "172.32.0.1": Kind.GLOBAL,
    "192.168.1.1": Kind.PRIVATE,
    "100.64.0.1": Kind.PRIVATE,
    "100.127.255.255": Kind.PRIVATE,
    "169.254.169.254": Kind.PRIVATE,
    "192.0.0.8": Kind.PRIVATE,
    "192.0.2.1": Kind.PRIVATE,
    "192.88.99.1": Kind.PRIVATE,
    "198.18.0.1": Kind.PRIVATE,
    "198.51.100.1": Kind.PRIVATE,
    "203.0.113.1": Kind.PRIVATE,
    "fc00::1": Kind.PRIVATE,
    "fd00:ec2::254": Kind.PRIVATE,
    "fe80::1": Kind.PRIVATE,
    "fec0::1": Kind.PRIVATE,
    "100::1": Kind.PRIVATE,
    "2001::1": Kind.PRIVATE,
    "2001:db8::1": Kind.PRIVATE,
    "2002:7f00:1::": Kind.PRIVATE,
    "2002:808:808::": Kind.PRIVATE,
    "3fff::1": Kind.PRIVATE,
    "64:ff9b::10.0.0.1": Kind.PRIVATE,
    "64:ff9b::127.0.0.1": Kind.PRIVATE,
    "64:ff9b:1::8.8.8.8": Kind.PRIVATE,
    "::ffff:127.0.0.1": Kind.PRIVATE,
    "::ffff:10.0.0.1": Kind.PRIVATE,
    "::127.0.0.1": Kind.PRIVATE,
    "::ffff:0:127.0.0.1": Kind.PRIVATE,
    "0.0.0.0": Kind.NOWHERE,
    "0.1.2.3": Kind.NOWHERE,
    "224.0.0.1": Kind.NOWHERE,
    "240.0.0.1": Kind.NOWHERE,
    "255.255.255.255": Kind.NOWHERE,
    "::": Kind.NOWHERE,
    "ff02::1": Kind.NOWHERE,
    "::ffff:0.0.0.0": Kind.NOWHERE,
    "64:ff9b::224.0.0.1": Kind.NOWHERE,
}


@pytest.mark.parametrize(("text", "kind"), KINDS.items())
def test_each_kind(text: str, kind: Kind) -> None:
    """Special networks, and addresses that embed one, are known for what they are."""
    assert kind_of(ip_address(text)) is kind
    assert is_loopback(text) == (kind is Kind.LOOPBACK)


@given(st.ip_addresses())
def test_global_is_global_to_others_too(address: IPv4Address | IPv6Address) -> None:
    """What is taken for global, the standard library doesn't take for private, multicast or reserved."""
    if kind_of(address) is not Kind.GLOBAL:
        return
    plain = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    seen = plain or address
    assert not any((seen.is_private, seen.is_multicast, seen.is_loopback, seen.is_link_local))


@given(st.ip_addresses(v=4))
def test_an_embedded_address_is_never_free(address: IPv4Address) -> None:
    """No IPv6 spelling of an IPv4 address counts as this machine."""
    sixtofour = IPv6Address(0x2002 << 112 | int(address) << 80)
    embedding = [IPv6Address(each | int(address)) for each in (0xFFFF << 32, 0x64FF9B << 96)]
    assert Kind.LOOPBACK not in map(kind_of, [*embedding, sixtofour])
