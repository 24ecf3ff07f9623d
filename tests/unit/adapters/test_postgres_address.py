"""Read where a PostgreSQL is: each part is what was written, and nothing with a password or an option passes."""

import re
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchword.adapters.postgres.address import (
    MOST_CHARACTERS,
    MOST_HOSTS,
    PostgresAddress,
    read_address,
)

NAMES = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_$-]{0,20}", fullmatch=True)
HOSTS = st.one_of(
    st.from_regex(r"[a-z0-9][a-z0-9.-]{0,20}", fullmatch=True),
    st.sampled_from(["[::1]", "127.0.0.1", "%2Frun%2Fpostgresql", "[2001:db8::7]"]),
)


@given(
    NAMES, NAMES, st.lists(st.tuples(HOSTS, st.integers(1, 65535)), min_size=1, max_size=MOST_HOSTS)
)
def test_what_was_written_is_read(user: str, name: str, hosts: list[tuple[str, int]]) -> None:
    """Hosts in their order, with their ports; directories of sockets and addresses without what quotes them."""
    places = ",".join(f"{host}:{port}" for host, port in hosts)
    read = read_address(f"postgresql://{user}@{places}/{name}")
    bare = [(host.replace("%2F", "/").strip("[]"), port) for host, port in hosts]
    assert read == PostgresAddress(tuple(bare), name, user)
    without = ",".join(host for host, _ in hosts)
    assert {port for _, port in read_address(f"postgres://{user}@{without}/{name}").hosts} == {5432}


@given(st.text(max_size=80))
def test_anything_else_is_refused_in_words(text: str) -> None:
    """Whatever it is, and without repeating any of it."""
    for url in (
        text,
        f"postgresql://{text}",
        f"postgresql://a@{text}/b",
        f"postgresql://a:{text}@h/b",
    ):
        with suppress(ValueError):
            read = read_address(url)
            assert read.hosts
            assert read.password is None
            assert all("," not in host for host, _ in read.hosts)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("postgresql://a:pw@h/b", "no password in the URL"),
        ("postgresql://a@h/b?sslmode=disable", "no options"),
        ("postgresql://h/b", "postgresql://user@host/database"),
        ("postgresql://a@/b", "each host"),
        ("postgresql://a@h", "postgresql://user@host/database"),
        ("postgresql://a@h/", "postgresql://user@host/database"),
        ("postgresql://a@h:0/b", "a port from 1 to 65535"),
        ("postgresql://a@h:65536/b", "a port from 1 to 65535"),
        ("postgresql://a@h,/b", "each host"),
        ("postgresql://a@h/b c", "with names of letters"),
        ("postgresql://a@h/b'; DROP", "with names of letters"),
        ("postgresql://a@h host=evil/b", "each host"),
        ("postgresql://a@%2Frun%2Cevil/b", "a socket's directory"),
        ("mysql://a@h/b", "postgresql://user@host/database"),
        (f"postgresql://a@{','.join('h' * 9)}/b", "at most 8 hosts"),
        (f"postgresql://a@{'h' * MOST_CHARACTERS}/b", "postgresql://user@host/database"),
    ],
)
def test_what_cannot_be_an_address(url: str, words: str) -> None:
    """Says what was expected, without the URL."""
    with pytest.raises(ValueError, match=re.escape(words)) as caught:
        read_address(url)
    assert "pw" not in str(caught.value).replace("password", "")


def test_only_this_machine_is_near() -> None:
    """All hosts are: sockets and loopback addresses, and no name, which others may answer for."""
    near = read_address("postgresql://a@%2Frun,127.0.0.1,[::1]/b")
    assert near.is_near
    for host in ("localhost", "10.0.0.1", "db.example"):
        assert not replace(near, hosts=(*near.hosts, (host, 5432))).is_near


def test_another_role_goes_to_the_same_place() -> None:
    """With its own password, and never with the other's."""
    node = replace(read_address("postgresql://node@h/b"), password=Path("node"))
    assert node.acting_as("owner", None) == read_address("postgresql://owner@h/b")
