"""Show that a path is read in the one way that all servers share, or refused."""

import posixpath
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchword.gate.hygiene import read_path
from watchword.reasons import Reason, Refusal


@pytest.mark.parametrize(
    ("raw", "segments"),
    [
        (b"/", ()),
        (b"/a", ("a",)),
        (b"/a/", ("a",)),
        (b"/v1/patients/17", ("v1", "patients", "17")),
        (b"/%61dmin", ("admin",)),
        (b"/a%20b", ("a b",)),
        (b"/caf%C3%A9", ("café",)),
        (b"/.well-known/x", (".well-known", "x")),
        (b"/a...", ("a...",)),
        (b"/...", ("...",)),
        (b"/a:b@c,d=e!f$g&h'(i)*+~", ("a:b@c,d=e!f$g&h'(i)*+~",)),
        (b"/100%25", ("100%",)),
        (b"/100%25x", ("100%x",)),
    ],
)
def test_clear_paths(raw: bytes, segments: tuple[str, ...]) -> None:
    """What every server reads in the same way is read like that."""
    assert read_path(raw) == segments


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"*",
        b"@evil.example",
        b"a",
        b"http://evil.example/",
        b"//admin",
        b"/a//b",
        b"/a//",
        b"/.",
        b"/..",
        b"/a/../admin",
        b"/a/./b",
        b"/a/%2e%2e/admin",
        b"/a/.%2E/admin",
        b"/a/..%2fadmin",
        b"/a%2Fb",
        b"/a%5cb",
        b"/a\\b",
        b"/a;x=1",
        b"/a%3bx",
        b"/a%00",
        b"/a%0d%0ab",
        b"/a%7f",
        b"/a%c2%85b",
        b"/a%c2%9f",
        b"/a%3Fb",
        b"/a%23b",
        b"/a%",
        b"/a%2",
        b"/a%zz",
        b"/a%%32%65",
        b"/%252e%252e/admin",
        b"/%2561dmin",
        b"/%c0%ae%c0%ae/admin",
        b"/%ff",
        b"/caf\xc3\xa9",
        b"/a b",
        b"/a\tb",
        b"/a\0",
        b"/a?b",
        b"/a#b",
    ],
    ids=repr,
)
def test_ambiguous_paths(raw: bytes) -> None:
    """What servers disagree on is refused."""
    refused = read_path(raw)
    assert isinstance(refused, Refusal)
    assert refused.reason is Reason.REQUEST_PATH_AMBIGUOUS


def test_long_paths() -> None:
    """A path over 8 kB is refused for its size."""
    assert isinstance(read_path(b"/" + b"a" * 8191), tuple)
    refused = read_path(b"/" + b"a" * 8192)
    assert isinstance(refused, Refusal)
    assert refused.reason is Reason.REQUEST_HEADERS_TOO_LARGE


pieces = st.sampled_from(
    [b"/", b"a", b"..", b".", b"%2e", b"%2f", b"%5c", b"%00", b"%25", b"%", b";", b"\\", b"admin"]
)


@given(st.lists(pieces, max_size=8).map(b"".join) | st.binary(max_size=20))
def test_accepted_paths_mean_the_same_to_others(raw: bytes) -> None:
    """A path that passes has one meaning: decoding twice or resolving dots changes nothing."""
    segments = read_path(raw)
    if isinstance(segments, tuple):
        decoded = unquote(raw.decode("ascii"))
        assert decoded.removeprefix("/").removesuffix("/") == "/".join(segments)
        assert posixpath.normpath(decoded) == "/" + "/".join(segments)
        assert unquote(decoded) == decoded
