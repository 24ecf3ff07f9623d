"""Hold the reading of targets to what nobody can read in two ways."""

from urllib.parse import urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from watchword.adapters.drill_wire import AddressError, AddressFault, Origin, parse_target
from watchword.adapters.drill_wire.origin import Target

ACCEPTED = {
    "https://api.example.com": "https://api.example.com",
    "https://API.Example.com": "https://api.example.com",
    "https://api.example.com:443": "https://api.example.com",
    "http://api.example.com:80": "http://api.example.com",
    "http://api.example.com:443": "http://api.example.com:443",
    "https://api.example.com:8443": "https://api.example.com:8443",
    "http://127.0.0.1:8080": "http://127.0.0.1:8080",
    "http://[::1]:8080": "http://[::1]:8080",
    "http://[0:0:0:0:0:0:0:1]": "http://[::1]",
    "http://localhost": "http://localhost",
    "https://bücher.example": "https://xn--bcher-kva.example",
    "https://straße.example": "https://xn--strae-oqa.example",
    "https://xn--bcher-kva.example": "https://xn--bcher-kva.example",
    "http://my_gate:8080": "http://my_gate:8080",
}

REFUSED = {
    "": AddressFault.URL,
    "api.example.com": AddressFault.URL,
    "//api.example.com": AddressFault.URL,
    "ftp://api.example.com": AddressFault.URL,
    "file:///etc/passwd": AddressFault.URL,
    "HTTPS://api.example.com": AddressFault.URL,
    "https:api.example.com": AddressFault.URL,
    "https://": AddressFault.URL,
    "https://:443": AddressFault.URL,
    "https://api.example.com:": AddressFault.URL,
    "https://api.example.com:0": AddressFault.URL,
    "https://api.example.com:0443": AddressFault.URL,
    "https://api.example.com:65536": AddressFault.URL,
    "https://api.example.com:44\uff13": AddressFault.URL,
    "https://good.example@evil.example": AddressFault.URL,
    "https://good.example:443@evil.example": AddressFault.URL,
    "https://evil.example\\@good.example": AddressFault.URL,
    "https://good.example\\.evil.example": AddressFault.URL,
    "https://good.example/": AddressFault.URL,
    "https://good.example?x": AddressFault.URL,
    "https://good.example#@evil.example": AddressFault.URL,
    "https://good.example%2eevil.example": AddressFault.URL,
    "https://good.example evil.example": AddressFault.URL,
    "https://good.example\tevil": AddressFault.URL,
    "https://good.example\r\nHost: evil": AddressFault.URL,
    "https://good.example\0.evil.example": AddressFault.URL,
    " https://good.example": AddressFault.URL,
    "https://" + "a" * 400: AddressFault.URL,
    "https://good.example.": AddressFault.HOST,
    "https://good..example": AddressFault.HOST,
    "https://.good.example": AddressFault.HOST,
    "https://-good.example": AddressFault.HOST,
    "https://" + "a" * 64 + ".example": AddressFault.HOST,
    "https://good,evil.example": AddressFault.HOST,
    "https://xn--a.example": AddressFault.HOST,
    "https://evil\u3002example": AddressFault.HOST,
    "https://\uff11\uff12\uff17.0.0.1": AddressFault.HOST,
    "http://127.0.0.1\u3002": AddressFault.HOST,
    "http://\u24dbocalhost": AddressFault.HOST,
    "http://localhost.": AddressFault.HOST,
    "http://0x7f.1": AddressFault.HOST,
    "http://0x7f000001": AddressFault.HOST,
    "http://2130706433": AddressFault.HOST,
    "http://127.1": AddressFault.HOST,
    "http://0177.0.0.1": AddressFault.HOST,
    "http://127.0.0.01": AddressFault.HOST,
    "http://127.0.0.0x1": AddressFault.HOST,
    "http://1.2.3.4.5": AddressFault.HOST,
    "http://256.1.1.1": AddressFault.HOST,
    "http://good.example.0x": AddressFault.HOST,
    "http://[::ffff:127.0.0.1]": AddressFault.HOST,
    "http://[::ffff:7f00:1]": AddressFault.HOST,
    "http://[fe80::1%25eth0]": AddressFault.URL,
    "http://[127.0.0.1]": AddressFault.HOST,
    "http://[::1": AddressFault.URL,
    "http://[::1]evil.example": AddressFault.URL,
    "http://::1": AddressFault.URL,
}


@pytest.mark.parametrize(("url", "text"), ACCEPTED.items(), ids=ascii)
def test_what_is_accepted_has_one_spelling(url: str, text: str) -> None:
    """Case, default ports, other scripts and long IPv6 end in the one text that a consent names."""
    assert parse_target(url).text == text


@pytest.mark.parametrize(("url", "fault"), REFUSED.items(), ids=ascii)
def test_what_can_be_read_in_two_ways_is_refused(url: str, fault: AddressFault) -> None:
    """Users, paths, odd numbers, mapped addresses, other dots and digits: nothing is guessed."""
    with pytest.raises(AddressError) as caught:
        parse_target(url)
    assert caught.value.fault is fault
    assert str(caught.value).isascii()


def test_a_password_is_not_repeated() -> None:
    """A URL with a password in it is refused without quoting the password."""
    with pytest.raises(AddressError) as caught:
        parse_target("https://ada:hunter2@api.example.com")
    assert "hunter2" not in str(caught.value)


@given(st.one_of(st.text(), st.text().map("https://{}".format)))
@example("https://xn--.example")
@example("http://[" + ":" * 40 + "]")
def test_any_text_is_read_or_refused(url: str) -> None:
    """Whatever is written, it becomes a target or an error of ours."""
    try:
        target = parse_target(url)
    except AddressError:
        return
    assert parse_target(target.text) == target


_HOSTS = st.text("aZ0x9.-_@:/\\[]%?#1\uff17\u3002", max_size=20)


@given(st.sampled_from(["http", "https"]), _HOSTS, st.sampled_from(["", ":80", ":1@b", "@b.c"]))
def test_what_is_accepted_is_what_others_read(scheme: str, host: str, port: str) -> None:
    """Where a target is accepted, the standard library reads the same host out of it."""
    url = f"{scheme}://{host}{port}"
    try:
        target = parse_target(url)
    except AddressError:
        return
    parts = urlsplit(url)
    assert "@" not in url
    assert (parts.username, parts.path, parts.query, parts.fragment) == (None, "", "", "")
    assert isinstance(target, Target)
    if url.isascii() and target.literal is None:
        assert parts.hostname == target.host


@pytest.mark.parametrize("address", ["localhost", "api.example.com", "0x7f.1", "fe80::1%eth0", ""])
def test_an_origin_holds_no_name_in_place_of_an_address(address: str) -> None:
    """A name there would be resolved again at each connection; it can't even be constructed."""
    with pytest.raises(ValueError, match="address"):
        Origin("https", "api.example.com", "api.example.com", address, 443)
