"""Test how pin sets are written and read."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.pins.builders import (
    NOW,
    builtin,
    entry,
    key,
    pin_set,
    pins,
    roots,
    roots_data,
    spki,
)

from watchword.encoding import base64url, strict_json
from watchword.pins.installed import DAY
from watchword.pins.interface import (
    MAX_HOSTS,
    MAX_PINS,
    MAX_SET_BYTES,
    AfterExpiry,
    Pin,
    PinError,
    PinMode,
    PinRole,
    PinSet,
    host_of_url,
    read_host,
)
from watchword.pins.roots import read_roots
from watchword.pins.sets import TYPE, payload_of, read_set, reports_to_itself, sign_set
from watchword.reasons import MalformedError, Reason, RefusedError
from watchword.tokens import jose

SIGNER = key("pin1")
RICH = pin_set(
    7,
    entry("api.example.com", held=pins("A", "B", "C", "root")),
    entry("example.net", PinMode.REPORT, include_subdomains=True),
    entry("pay.example.com", after_expiry=AfterExpiry.CLOSED),
    reports="https://reports.example.org/v1/pins/reports",
)


def signed(members: Any) -> bytes:
    """Return any payload, signed by a pin key."""
    return jose.assemble(strict_json.dumps(members), TYPE, SIGNER).encode()


def mutated(path: str, value: Any) -> bytes:
    """Return a good set of which one member is another; ``path`` has slashes, None takes it away."""
    members = json.loads(payload_of(RICH))
    *way, last = path.split("/")
    at = members
    for name in way:
        at = at[name]
    if value is None:
        del at[last]
    else:
        at[last] = value
    return signed(members)


def test_what_was_signed_is_read_back() -> None:
    """Each member of a set survives, and the key that signed it is named."""
    assert read_set(sign_set(RICH, SIGNER), roots()) == RICH
    other = replace(RICH, key="whatever")
    assert read_set(sign_set(other, key("pin2")), roots()).key == key("pin2").kid


def test_set_for_three_hosts_is_at_most_a_kilobyte() -> None:
    """Two pins each, a URL for reports, the longer mode: it still fits."""
    hosts = [entry(f"{name}.example.com", PinMode.REPORT) for name in ("api", "pay", "img")]
    drafted = pin_set(1234, *hosts, reports="https://reports.example.net/v1/pins/reports")
    assert len(sign_set(drafted, SIGNER)) <= 1024


def test_largest_set_can_be_signed_and_read() -> None:
    """As many hosts and pins as are allowed."""
    held = [
        tuple(Pin(spki(f"{at}/{each}"), PinRole.CA) for each in range(MAX_PINS))
        for at in range(MAX_HOSTS)
    ]
    full = pin_set(1, *(entry(f"h{at}.example.com", held=held[at]) for at in range(MAX_HOSTS)))
    data = sign_set(full, SIGNER)
    assert len(data) <= MAX_SET_BYTES
    assert read_set(data, roots()) == full


def test_empty_set_is_a_set() -> None:
    """The way out: an operator can unpin everything, by a signature."""
    nothing = replace(pin_set(2), hosts=())
    assert read_set(sign_set(nothing, SIGNER), roots()).entry("api.example.com") is None


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("extra", 1),
        ("app", ""),
        ("app", None),
        ("app", "a b"),
        ("app", 7),
        ("app", "a" * 129),
        ("ver", 0),
        ("ver", -1),
        ("ver", True),
        ("ver", 1.5),
        ("ver", "1"),
        ("ver", 2**53),
        ("ver", None),
        ("iat", None),
        ("iat", NOW + 100 * DAY),
        ("soft", NOW - 1),
        ("soft", NOW + 91 * DAY),
        ("hard", NOW),
        ("hard", 2**41),
        ("roots", 0),
        ("roots", None),
        ("hosts", None),
        ("hosts", []),
        ("hosts", {f"h{at}.example.com": {"pins": {}} for at in range(MAX_HOSTS + 1)}),
        ("hosts/API.example.com", {"pins": {spki("A").hex(): "c"}}),
        ("hosts/*.example.com", {"pins": {"A" * 43: "c"}}),
        ("hosts/192.0.2.1", {"pins": {"A" * 43: "c"}}),
        ("hosts/a.example.com", {}),
        ("hosts/a.example.com", []),
        ("hosts/a.example.com", {"pins": {}}),
        ("hosts/a.example.com", {"pins": []}),
        ("hosts/a.example.com", {"pins": {"A" * 43: "c"}, "enforce": False}),
        ("hosts/a.example.com", {"pins": {"A" * 43: "x"}}),
        ("hosts/a.example.com", {"pins": {"A" * 43: ["c"]}}),
        ("hosts/a.example.com", {"pins": {"A" * 42: "c"}}),
        ("hosts/a.example.com", {"pins": {"A" * 44: "c"}}),
        ("hosts/a.example.com", {"pins": {"A" * 42 + "B": "c"}}),
        ("hosts/a.example.com", {"pins": {base64url.encode(bytes(31)): "c"}}),
        ("hosts/a.example.com", {"pins": {base64url.encode(bytes(33)): "c"}}),
        (
            "hosts/a.example.com",
            {"pins": {base64url.encode(spki(str(n))): "c" for n in range(MAX_PINS + 1)}},
        ),
        ("hosts/a.example.com", {"pins": {"A" * 43: "c"}, "mode": "enforce"}),
        ("hosts/a.example.com", {"pins": {"A" * 43: "c"}, "mode": "off"}),
        ("hosts/a.example.com", {"pins": {"A" * 43: "c"}, "sub": False}),
        ("hosts/a.example.com", {"pins": {"A" * 43: "c"}, "sub": 1}),
        ("hosts/com", {"pins": {"A" * 43: "c"}, "sub": True}),
        ("hosts/a.example.com", {"pins": {"A" * 43: "c"}, "after": "open"}),
        ("hosts/a.example.com", {"pins": {"A" * 43: "c"}, "after": 1}),
        ("reports", 1),
        ("reports", "http://reports.example.org/"),
        ("reports", "https://user@reports.example.org/"),
        ("reports", "https://reports.example.org/#x"),
        ("reports", "https://192.0.2.1/"),
        ("reports", "https://reports.example.org:0/"),
        ("reports", "https://reports.example.org:99999/"),
        ("reports", "https://reports.example.org/ x"),
        ("reports", "https://reports.example.org/" + "a" * 600),
    ],
)
def test_every_member_is_held_to_its_form(path: str, value: Any) -> None:
    """A set that is signed and says something odd is refused: it might mean less than the reader believes."""
    with pytest.raises(MalformedError) as caught:
        read_set(mutated(path, value), roots())
    assert caught.value.reason is Reason.PINS_SET_MALFORMED


def test_duplicates_are_refused_wherever_they_stand() -> None:
    """Two hosts of one name, two pins, two members: the last one never wins."""
    payload = payload_of(pin_set())
    for doubled in (
        payload.replace(b'"hosts":{', b'"hosts":{"api.example.com":{"pins":{"x":"c"}},'),
        payload.replace(b'"ver":1', b'"ver":1,"ver":2'),
        payload.replace(b'{"pins":{', b'{"pins":{"' + pins()[0].text.encode() + b'":"b",'),
    ):
        assert doubled != payload
        data = jose.assemble(doubled, TYPE, SIGNER).encode()
        with pytest.raises(MalformedError, match="duplicate"):
            read_set(data, roots())


@pytest.mark.parametrize(
    "draft",
    [
        pin_set(1, entry(), entry()),
        pin_set(1, entry(held=(pins()[0], pins()[0]))),
        pin_set(1, entry(held=(Pin(bytes(31), PinRole.CURRENT),))),
        pin_set(1, entry("EXAMPLE.com")),
        pin_set(0),
        pin_set(1, hard_expiry=NOW),
        pin_set(1, issued_at=NOW + 0.5),
        pin_set(1, reports="http://x.example/"),
    ],
)
def test_set_that_nobody_would_read_is_never_signed(draft: PinSet) -> None:
    """Signing has the same rules as reading."""
    with pytest.raises(MalformedError) as caught:
        sign_set(draft, SIGNER)
    assert caught.value.reason is Reason.PINS_SET_MALFORMED


def test_changed_byte_anywhere_is_refused() -> None:
    """No bit of a signed set can be flipped."""
    data = sign_set(RICH, SIGNER)
    for at in range(0, len(data), 7):
        for bit in (1, 2, 32):
            changed = data[:at] + bytes([data[at] ^ bit]) + data[at + 1 :]
            with pytest.raises(RefusedError) as caught:
                read_set(changed, roots())
            assert caught.value.reason.code.startswith("pins.set_")


def test_only_pin_keys_of_the_list_sign_sets() -> None:
    """A root key, a stranger's key, and a known id over another key's signature are refused."""
    for name in ("root1", "stranger"):
        with pytest.raises(RefusedError) as caught:
            read_set(sign_set(RICH, key(name)), roots())
        assert caught.value.reason is Reason.PINS_SET_KEY
    head, payload, _ = sign_set(RICH, SIGNER).split(b".")
    other = sign_set(pin_set(), SIGNER).split(b".")[2]
    with pytest.raises(RefusedError) as caught:
        read_set(b".".join((head, payload, other)), roots())
    assert caught.value.reason is Reason.PINS_SET_SIGNATURE


def test_another_type_of_jws_by_a_pin_key_is_no_pin_set() -> None:
    """Whatever else a pin key might sign can't be taken for a set."""
    data = jose.assemble(payload_of(RICH), "watchword+jwt", SIGNER).encode()
    with pytest.raises(MalformedError) as caught:
        read_set(data, roots())
    assert caught.value.reason is Reason.PINS_SET_MALFORMED


@given(st.one_of(st.binary(max_size=300), st.just(b"a" * (MAX_SET_BYTES + 1))))
def test_foreign_bytes_are_refused_as_malformed(data: bytes) -> None:
    """Bytes of any kind and size give a clear fault."""
    with pytest.raises(MalformedError) as caught:
        read_set(data, roots())
    assert caught.value.reason is Reason.PINS_SET_MALFORMED


def test_key_of_an_older_list_signs_no_more() -> None:
    """The list that is handed in decides, nothing else."""
    second = read_roots(roots_data(2, pin_keys=("pin2", "pin3")), roots())
    with pytest.raises(RefusedError) as caught:
        read_set(sign_set(RICH, SIGNER), second)
    assert caught.value.reason is Reason.PINS_SET_KEY


@pytest.mark.parametrize(
    "host", ["localhost", "a.b", "xn--bcher-kva.example", "1a.example", "a-b.c-d.example.com"]
)
def test_names_are_taken_as_they_stand(host: str) -> None:
    """Lower-case labels of letters, digits and dashes."""
    assert read_host(host) == host


@pytest.mark.parametrize(
    "host",
    [
        "",
        ".",
        "a.",
        ".a",
        "a..b",
        "A.b",
        "-a.b",
        "a-.b",
        "a_b.c",
        "*.a.b",
        "bücher.example",
        "a b",
        "a:443",
        "127.0.0.1",
        "1",
        "0x7f.1",
        "a.0x1",
        "[::1]",
        "::1",
        "a/b",
        "a\n",
        "a" * 64 + ".b",
        "a." * 127 + "ab",
        "\u212a.example",
    ],
)
def test_anything_that_is_no_plain_name_is_refused(host: str) -> None:
    """Addresses, wildcards, ports, other spellings: each would be a second way to name a host."""
    with pytest.raises(PinError) as caught:
        read_host(host)
    assert caught.value.reason is Reason.PINS_HOST_MALFORMED


def test_reports_to_a_pinned_host_are_noticed() -> None:
    """Also where only the names below it are meant."""
    assert host_of_url("https://r.example.net:8443/x?y=1") == "r.example.net"
    assert not reports_to_itself(RICH)
    assert not reports_to_itself(pin_set())
    assert reports_to_itself(replace(RICH, reports="https://r.example.net/"))
    assert reports_to_itself(replace(RICH, reports="https://api.example.com"))


def test_nearest_name_above_that_includes_a_host_has_the_word() -> None:
    """A host's own entry first; a name that doesn't include what is below it is passed over."""
    held = pin_set(
        1,
        entry("example.com", include_subdomains=True),
        entry("b.example.com"),
        entry("c.b.example.com", PinMode.REPORT),
    )
    found = {
        host: each.host if (each := held.entry(host)) else None
        for host in ("C.B.example.com.", "d.b.example.com", "b.example.com", "example.org", "com")
    }
    assert found == {
        "C.B.example.com.": "c.b.example.com",
        "d.b.example.com": "example.com",
        "b.example.com": "b.example.com",
        "example.org": None,
        "com": None,
    }
    assert builtin(held).first is held
