"""Runs of printable characters, and lines that patterns can be matched on."""

from hypothesis import given
from hypothesis import strategies as st

from watchword.scan.texts.runs import (
    LONGEST_LINE,
    Budget,
    ascii_runs,
    lines_of,
    pieces,
    text_lines,
    wide_runs,
)


def _plenty() -> Budget:
    return Budget(strings=1000, characters=100_000)


def test_runs() -> None:
    """Six printable characters are a run, four only between zeros; UTF-16 has its own."""
    data = b"\x01abcdef\0abcde\x01\0frida\0abc\0ghij kl\xff" + "wide-text".encode("utf-16-le")
    assert list(ascii_runs(data, _plenty())) == ["abcdef", "frida", "ghij kl"]
    assert list(ascii_runs(b"\x01abcd\0", _plenty())) == []
    assert list(ascii_runs(b"abcd", _plenty())) == ["abcd"]
    assert list(wide_runs(data, _plenty())) == ["wide-text"]
    assert list(ascii_runs(b"abcdefgh", _plenty(), 1, 7)) == ["bcdefg"]


def test_lines_keep_their_numbers() -> None:
    """Lines end as editors have them end, and not at what Python also takes for an end."""
    assert list(lines_of("a\r\nb\rc\n\x0bd\u2028e")) == ["a", "b", "c", "\x0bd\u2028e"]


def test_long_lines_are_cut_at_separators() -> None:
    """A long line is cut behind a separator, and nothing of it is lost or doubled."""
    line = ("x" * 60 + ";") * 300
    found = list(pieces(line))
    assert "".join(found) == line
    assert all(one.endswith(";") for one in found)
    assert all(len(one) <= LONGEST_LINE for one in found)


@given(st.integers(0, 20_000))
def test_nothing_is_seen_only_in_halves(at: int) -> None:
    """Without separators pieces overlap: a key is whole in one of them, wherever it stands."""
    key = "AKIA" + "Q" * 196
    line = "x" * at + key + "x" * 9000
    found = list(pieces(line))
    assert any(key in one for one in found)
    assert all(len(one) <= LONGEST_LINE for one in found)


def test_text_or_not() -> None:
    """UTF-8 and marked UTF-16 are text, also where a byte is wrong; zeros are none."""
    for data, text in (
        ("\ufeffäb".encode(), "äb"),
        ("äb".encode("utf-16"), "äb"),
        (b"a\xffb", "a\ufffdb"),
        (b"", ""),
    ):
        assert list(text_lines(data, 100) or ()) == [text]
    assert text_lines(b"\x03\0\x08\0", 100) is None


@given(
    parts=st.lists(
        st.sampled_from(["\r", "\n", "a", "\U0001f600", "ä", "{};," * 2000, "x" * 5000]),
        max_size=12,
    ),
    window=st.integers(7, 9000),
    encoding=st.sampled_from(["utf-8", "utf-16"]),
)
def test_decoding_by_windows_changes_no_line(parts: list[str], window: int, encoding: str) -> None:
    """Wherever a window ends, also within a character or a line's end, the lines are those of the whole text."""
    text = "".join(parts)
    found = text_lines(text.encode(encoding), 1 << 30, window)
    assert found is not None
    assert list(found) == list(lines_of(text))


def test_a_budget_ends() -> None:
    """Once a string doesn't fit, none does: what is kept is a beginning, not a choice."""
    budget = Budget(strings=3, characters=10)
    assert [budget.takes(text) for text in ("four", "four", "four", "x")] == [
        True,
        True,
        False,
        False,
    ]
    assert budget.spent
    few = Budget(strings=1, characters=10)
    assert [few.takes("x"), few.takes("x")] == [True, False]
    assert not Budget(strings=1, characters=10).takes("äöü")


def test_runs_that_are_not_kept_cost_too() -> None:
    """Bytes that were made to hold millions of runs are left, and that is known."""
    budget = Budget(strings=1000, characters=1000, runs=10)
    assert list(ascii_runs(b"abcd\x01abcdef\x01" * 100 + b"abcdefgh", budget)) == ["abcdef"] * 10
    assert budget.spent
    budget = Budget(strings=1000, characters=1000, runs=10)
    assert len(list(wide_runs("wide-text\x01".encode("utf-16-le") * 100, budget))) == 10
    assert budget.spent
