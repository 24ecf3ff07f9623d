"""Show that base64url has one spelling for each value."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchword.encoding import base64url
from watchword.reasons import MalformedError, Reason


@given(st.binary())
def test_round_trip(data: bytes) -> None:
    """What was written is read, and the standard library agrees on it."""
    text = base64url.encode(data)
    assert base64url.decode(text) == data
    assert text == base64.urlsafe_b64encode(data).decode().rstrip("=")


@pytest.mark.parametrize(
    "text",
    ["AA==", "A", "AB", "AAB", "A+A/", "AA A", "AAA\n", " AAAA", "AAA\u0410", "A*AA", "AA=A"],
)
def test_other_spellings(text: str) -> None:
    """Padding, spare bits, the standard alphabet and white space are refused."""
    with pytest.raises(MalformedError) as refused:
        base64url.decode(text)
    assert refused.value.reason is Reason.ENCODING_BASE64URL


def test_limit() -> None:
    """What is too long is refused before it is decoded."""
    assert base64url.decode("AAAA", limit=4) == bytes(3)
    with pytest.raises(MalformedError):
        base64url.decode("AAAAAA", limit=4)


@given(st.text())
def test_any_text(text: str) -> None:
    """Whatever is read is written in the same way."""
    try:
        data = base64url.decode(text)
    except MalformedError:
        return
    assert base64url.encode(data) == text
