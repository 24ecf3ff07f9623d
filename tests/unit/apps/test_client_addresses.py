"""Show whose address counts behind proxies, and that no client chooses it."""

import ipaddress
from collections.abc import Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner

from watchword.apps.cli.declarations import check_command as command
from watchword.apps.settings.faults import ConfigurationError
from watchword.apps.settings.load import load_settings
from watchword.apps.terminal.console import EXIT_USAGE
from watchword.gate.limits import MAX_HOPS, ClientAddresses

PROXY = "10.0.0.5"
CLIENT = "198.51.100.7"
ELSEWHERE = "203.0.113.99"


def prefix(
    peer: str | None, *fields: str, trusted: Sequence[str] = ("10.0.0.0/24", "192.0.2.9")
) -> str | None:
    """Return the prefix of a request with these ``X-Forwarded-For`` fields."""
    sent = [(b"host", b"watchword.example")]
    sent += [(b"x-forwarded-for", value.encode("latin-1")) for value in fields]
    return ClientAddresses(tuple(map(ipaddress.ip_network, trusted))).prefix(peer, sent)


def test_without_trusted_proxies_the_peer_counts_and_fields_are_ignored() -> None:
    """The default: whatever a client writes, it is counted by the address that it comes from."""
    for written in ((), (ELSEWHERE,), ("junk",), (f"{ELSEWHERE}, {PROXY}",)):
        assert prefix(CLIENT, *written, trusted=()) == CLIENT
    for peer in ("127.0.0.1", "::1", PROXY, "172.17.0.1", "100.64.1.2", "fd00::1", None, "junk"):
        # A proxy that nobody named, or a socket: all clients would share its limit.
        assert prefix(peer, ELSEWHERE, trusted=()) is None


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        ((CLIENT,), CLIENT),
        ((f"{ELSEWHERE}, {CLIENT}",), CLIENT),
        ((f"{PROXY}, {ELSEWHERE},junk,, {CLIENT}",), CLIENT),
        ((f"{ELSEWHERE}, {CLIENT}, 192.0.2.9",), CLIENT),
        ((ELSEWHERE, f"{CLIENT} ,\t10.0.0.77"), CLIENT),
        ((CLIENT, ELSEWHERE), ELSEWHERE),
        ((f"{ELSEWHERE}, {CLIENT}:50123",), CLIENT),
        ((f"::ffff:{CLIENT}",), CLIENT),
        (("[2001:db8:1:2ff:3::4]:443",), "2001:db8:1:200::/56"),
        (("2001:db8:1:2ff:3::4",), "2001:db8:1:200::/56"),
        # What can't be read, or names the proxies alone: the last trusted one, which all clients share.
        ((), None),
        (("",), None),
        (("unknown",), None),
        ((f"{CLIENT}, unknown",), None),
        ((f"{CLIENT}, 010.0.0.1",), None),
        ((f"{CLIENT}, fe80::1%eth0",), None),
        ((f"{CLIENT}, [::1",), None),
        ((f"{CLIENT}, 1.2.3.4:x",), None),
        ((f"{PROXY}, 192.0.2.9",), None),
        ((f"{CLIENT}, " + ", ".join([PROXY] * MAX_HOPS),), None),
    ],
)
def test_read_from_the_right_up_to_the_first_that_is_not_trusted(
    fields: Sequence[str], found: str | None
) -> None:
    """All that stands left of it, the client may have written."""
    assert prefix(PROXY, *fields) == found


def test_a_client_that_writes_like_a_proxy_is_counted_by_its_own_address() -> None:
    """Directly, and through a proxy that adds what it saw, for any spelling."""
    for forged in (
        ELSEWHERE,
        PROXY,
        f"{ELSEWHERE}, {PROXY}",
        "junk",
        "[",
        f"::ffff:{PROXY}",
        "\xff",
    ):
        assert prefix(CLIENT, forged) == CLIENT
        assert prefix(PROXY, f"{forged}, {CLIENT}") == CLIENT
        assert prefix(PROXY, forged, CLIENT) == CLIENT


def test_addresses_of_one_subscriber_are_one() -> None:
    """56 bits of IPv6, and an address of IPv4 in either form."""
    first = prefix("2001:db8:1:200::1")
    assert first == prefix("2001:db8:1:2ff:ffff::9")
    assert first != prefix("2001:db8:1:300::1")
    assert prefix(f"::ffff:{CLIENT}") == CLIENT
    assert prefix("198.51.100.8") != CLIENT


SETTINGS = """\
version: 1
environment: {environment}
service: {{issuer: 'https://watchword.example', listen: '{listen}'{more}}}
apps:
  clinic: {{platform: ios, team_id: Q7WXYZ1234, bundle_id: example.clinic}}
apis:
  clinic: {{audience: 'https://clinic.example', apps: [clinic], routes: [{{path: /**}}]}}
"""


def written(
    directory: Path, more: str = "", *, listen: str = "127.0.0.1:8440", environment: str = "prod"
) -> Path:
    """Write a file whose service has more members."""
    file = directory / "watchword.yaml"
    file.write_text(SETTINGS.format(more=more, listen=listen, environment=environment))
    return file


@pytest.mark.parametrize(
    "network",
    [
        "0.0.0.0/0",
        "::/0",
        "0.0.0.0/1",
        "128.0.0.0/1",
        "2000::/3",
        "::/1",
        "10.0.0.1/8",
        "proxy",
        "",
    ],
)
def test_check_refuses_networks_that_are_not_proxies(tmp_path: Path, network: str) -> None:
    """Whole parts of the Internet, host bits, names."""
    file = written(tmp_path, f", trusted_proxies: ['{network}']")
    with pytest.raises(ConfigurationError) as refused:
        load_settings(file)
    assert [fault.path for fault in refused.value.faults] == ["service.trusted_proxies[0]"]
    assert CliRunner().invoke(command, ["--json"], obj=file).exit_code == EXIT_USAGE


def test_what_can_be_proxies_is_taken(tmp_path: Path) -> None:
    """Single addresses and private networks."""
    names = ["127.0.0.1", "10.0.0.0/8", "::1", "fc00::/7", "2001:db8:5::/48"]
    settings = load_settings(written(tmp_path, f", trusted_proxies: {names}"))
    assert [str(each) for each in settings.service.trusted_proxies] == [
        "127.0.0.1/32",
        "10.0.0.0/8",
        "::1/128",
        "fc00::/7",
        "2001:db8:5::/48",
    ]


@pytest.mark.parametrize(
    ("listen", "more", "environment", "note"),
    [
        ("127.0.0.1:8440", "", "prod", "enrolments aren't limited by address"),
        ("0.0.0.0:8440", "", "prod", "all apps share one limit"),
        ("127.0.0.1:8440", ", trusted_proxies: [127.0.0.1]", "prod", None),
        ("127.0.0.1:8440", "", "lab", None),
    ],
)
def test_check_tells_where_addresses_are_not_told_apart(
    tmp_path: Path, listen: str, more: str, environment: str, note: str | None
) -> None:
    """A service is behind a proxy in production: it speaks no TLS."""
    file = written(tmp_path, more, listen=listen, environment=environment)
    done = CliRunner().invoke(command, obj=file)
    assert done.exit_code == 0, done.output
    told = " ".join(done.output.split())
    assert ("trusted_proxies" in told) is (note is not None)
    assert note is None or note in told
