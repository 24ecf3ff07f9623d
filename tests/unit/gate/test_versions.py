"""Show that versions are compared as numbers, and that what has no order passes nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchword.gate.interface import is_at_least, read_version


@pytest.mark.parametrize(
    ("version", "minimum", "passes"),
    [
        ("1.10", "1.9", True),
        ("1.9", "1.10", False),
        ("2", "2.0.0", True),
        ("2.0", "2", True),
        ("0", "0.0", True),
        ("100", "99", True),
        ("", "0", False),
        (None, "0", False),
        ("1..2", "0", False),
        ("1.2-beta", "0", False),
        ("٣", "0", False),
        ("1" * 19, "0", False),
        (".".join("1" * 9), "0", False),
        ("1.2\n", "0", False),
    ],
)
def test_order(version: str | None, minimum: str, *, passes: bool) -> None:
    """Number by number; a longer one is later only if it isn't all zeros."""
    assert is_at_least(version, minimum) is passes


def test_a_minimum_that_is_none() -> None:
    """A route isn't compiled with a version that can't be compared."""
    with pytest.raises(ValueError, match="minimum"):
        is_at_least("1", "1.x")


@given(st.text(max_size=40))
def test_any_text(text: str) -> None:
    """It is read or not; what is read is at least itself."""
    assert (read_version(text) is None) is not is_at_least(text, "0")
