"""Make text as a server that means harm would send it."""

import re

from hypothesis import strategies as st

NASTY = (
    "\x1b]0;owned\x07\x1b[2J",
    "a\r\nHTTP/1.1 200 OK\n::error::x",
    "]]><evil a='&amp;'/><!--",
    "\ud800 \x00 \ufffe \u202egnp.exe",
    "[click](https://evil.example) {0} \\",
    "漢字" * 300,
    "a" * 5000,
    "",
)

texts = st.one_of(
    st.sampled_from(NASTY), st.text(st.characters(codec=None, exclude_categories=()), max_size=80)
)

_ILLEGAL = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def is_harmless(text: str) -> bool:
    """Tell whether text holds lines of printable characters alone, all of which XML 1.0 can hold (section 2.2)."""
    return not _ILLEGAL.search(text) and all(line.isprintable() for line in text.split("\n"))
