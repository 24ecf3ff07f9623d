"""Show where servers are looked at."""

import threading
from collections.abc import Sequence

import pytest

from watchword.adapters.live_chain import LiveChainError, Place, parse_resolve, places_of

HOST = "api.example.com"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"{HOST}=10.0.0.7", Place(HOST, "10.0.0.7", 443)),
        (f"{HOST}=10.0.0.7:8443", Place(HOST, "10.0.0.7", 8443)),
        (f"{HOST}=::1", Place(HOST, "::1", 443)),
        (f"{HOST}=[::1]:8443", Place(HOST, "::1", 8443)),
        (f"{HOST}=[2001:db8::7]", Place(HOST, "2001:db8::7", 443)),
    ],
)
def test_resolve_as_curl_users_write_it(text: str, expected: Place) -> None:
    """HOST=ADDRESS, with a port where it isn't 443; private addresses too."""
    assert parse_resolve(text) == expected


@pytest.mark.parametrize(
    "text",
    ["", HOST, f"{HOST}=", "=10.0.0.7", f"{HOST}=other.example.com", f"{HOST}=10.0.0.7:0",
     f"{HOST}=10.0.0.7:65536", f"{HOST}=10.0.0.256", f"{HOST}=[::1", f"{HOST}=1.2.3.4:x", "=" * 1000],
)  # fmt: skip
def test_what_isnt_host_and_address(text: str) -> None:
    """What was got and expected is told, at most a hundred characters of it."""
    with pytest.raises(ValueError, match="expected HOST=ADDRESS") as caught:
        parse_resolve(text)
    assert len(str(caught.value)) < 300


def test_every_address_of_a_name_is_a_place() -> None:
    """One of ten servers with the old key locks out a tenth of the users."""
    found = places_of(HOST, {}, lambda _name, _port: ["10.0.0.1", "10.0.0.2", "::1"])
    assert [str(each) for each in found] == ["10.0.0.1:443", "10.0.0.2:443", "[::1]:443"]


def test_a_named_place_asks_nobody() -> None:
    """The resolver isn't asked for what the operator names."""

    def never(name: str, port: int) -> Sequence[str]:
        raise AssertionError(name, port)

    named = {HOST: [Place(HOST, "127.0.0.1", 8443)]}
    assert places_of(HOST, named, never) == (Place(HOST, "127.0.0.1", 8443),)


def test_a_name_that_nobody_knows() -> None:
    """It is told, with what to do."""

    def unknown(_name: str, _port: int) -> Sequence[str]:
        raise OSError(-2, "Name or service not known")

    with pytest.raises(LiveChainError, match=r"Name or service not known.*--resolve"):
        places_of(HOST, {}, unknown)


def test_a_resolver_that_never_answers() -> None:
    """The system's resolver knows no deadline; ours does."""
    over = threading.Event()

    def hangs(_name: str, _port: int) -> Sequence[str]:
        over.wait(20)
        return []

    with pytest.raises(LiveChainError, match=r"got no address within 0\.2 s"):
        places_of(HOST, {}, hangs, 0.2)
    over.set()
