"""Hold the one look-up of a target's name to what may be spoken to."""

from collections.abc import Sequence

import pytest
from tests.unit.adapters.drill_wire.machines import resolving

from watchword.adapters.drill_wire import AddressError, AddressFault, resolve

GOOD = "https://api.example"


def refused(url: str, addresses: Sequence[str], *named: str) -> AddressFault:
    """Return why a target isn't spoken to."""
    name = url.partition("://")[2].partition(":")[0].replace(".", "_")
    with pytest.raises(AddressError) as caught:
        resolve(url, named=named, resolver=resolving(**{name: addresses}))
    return caught.value.fault


def test_a_global_name_is_pinned_to_its_first_address() -> None:
    """The name stays for Host and certificate; what is spoken to is one address."""
    origin = resolve(GOOD, resolver=resolving(api_example=["8.8.8.8", "8.8.4.4"]))
    assert (origin.name, origin.address, origin.authority) == (
        "api.example",
        "8.8.8.8",
        "api.example",
    )
    assert origin.url == "https://8.8.8.8:443"
    assert not origin.free


def test_the_resolver_is_asked_once() -> None:
    """No second look-up can answer something else."""
    asked = []

    def turning(name: str, port: int) -> Sequence[str]:
        asked.append((name, port))
        return ["8.8.8.8"] if len(asked) == 1 else ["127.0.0.1"]

    assert resolve(GOOD, resolver=turning).address == "8.8.8.8"
    assert asked == [("api.example", 443)]


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "http://[::1]:1", "http://127.9.9.9:1"])
def test_a_loopback_address_is_free_and_asks_nobody(url: str) -> None:
    """An address needs no resolver."""
    assert resolve(url, resolver=resolving()).free


def test_localhost_is_free_and_this_machine() -> None:
    """`localhost` may be resolved, and IPv4 is taken first."""
    origin = resolve("http://localhost:1", resolver=resolving(localhost=["::1", "127.0.0.1"]))
    assert (origin.free, origin.address) == (True, "127.0.0.1")


@pytest.mark.parametrize("addresses", [["8.8.8.8"], ["127.0.0.1", "8.8.8.8"], ["10.0.0.1"]])
def test_a_localhost_that_is_elsewhere_is_refused(addresses: list[str]) -> None:
    """A resolver that sends `localhost` out makes it free for nobody, named or not."""
    assert refused("https://localhost", addresses, *addresses) is AddressFault.MIXED


def test_a_name_that_leads_to_this_machine_is_not_free() -> None:
    """Whoever holds a name can point it at 127.0.0.1; that says nothing of its owner's will."""
    origin = resolve("http://api.example", resolver=resolving(api_example=["127.0.0.1"]))
    assert (origin.free, origin.is_loopback) == (False, True)


def test_this_machine_and_another_by_one_name_is_refused() -> None:
    """That is how DNS rebinding looks."""
    assert refused(GOOD, ["8.8.8.8", "127.0.0.1"]) is AddressFault.MIXED
    assert refused(GOOD, ["::1", "8.8.8.8"], "8.8.8.8") is AddressFault.MIXED


@pytest.mark.parametrize(
    "address",
    ["10.0.0.5", "169.254.169.254", "100.64.0.1", "fd00::5", "::ffff:a00:5", "2002:7f00:1::"],
)
def test_a_private_address_must_be_named(address: str) -> None:
    """Another network's machine is spoken to only where the operator names it."""
    assert refused(GOOD, [address]) is AddressFault.UNNAMED
    assert refused(GOOD, [address], "10.0.0.6") is AddressFault.UNNAMED
    assert refused(GOOD, ["8.8.8.8", address]) is AddressFault.UNNAMED
    assert refused(GOOD, ["8.8.8.8", address], "8.8.8.8") is AddressFault.UNNAMED
    origin = resolve(GOOD, named=[address], resolver=resolving(api_example=[address]))
    assert origin.address == address


def test_a_named_address_is_taken_before_others() -> None:
    """Of several, the one that the operator meant is pinned."""
    resolver = resolving(api_example=["8.8.8.8", "10.0.0.5"])
    assert resolve(GOOD, named=["10.0.0.5"], resolver=resolver).address == "10.0.0.5"


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "224.0.0.1", "255.255.255.255", "ff02::1"])
def test_nowhere_cannot_be_named(address: str) -> None:
    """Linux takes 0.0.0.0 for itself; no naming makes it a target."""
    assert refused(GOOD, [address], address) is AddressFault.NOWHERE
    assert refused(GOOD, ["8.8.8.8", address], address) is AddressFault.NOWHERE


def test_plain_http_needs_loopback_or_a_named_address() -> None:
    """Over the internet whoever is on the way could answer for the owner."""
    assert refused("http://api.example", ["8.8.8.8"]) is AddressFault.PLAIN
    assert refused("http://api.example", ["8.8.8.8"], "8.8.4.4") is AddressFault.PLAIN
    resolver = resolving(api_example=["8.8.8.8"])
    assert resolve("http://api.example", named=["8.8.8.8"], resolver=resolver).scheme == "http"


@pytest.mark.parametrize(
    "addresses", [[], ["nonsense"], ["fe80::1%eth0"], ["0x7f.1"], ["8.8.8.8"] * 65]
)
def test_a_resolver_that_says_nothing_of_use(addresses: list[str]) -> None:
    """No address, no address in a known spelling, or too many: refused."""
    assert refused(GOOD, addresses) is AddressFault.UNRESOLVED


def test_an_unknown_name_is_told() -> None:
    """What the system says is an error of ours."""
    with pytest.raises(AddressError) as caught:
        resolve(GOOD, resolver=resolving())
    assert caught.value.fault is AddressFault.UNRESOLVED


def test_what_is_named_must_be_addresses() -> None:
    """A name there would have to be resolved by somebody."""
    assert refused(GOOD, ["8.8.8.8"], "db.example") is AddressFault.NAMED
