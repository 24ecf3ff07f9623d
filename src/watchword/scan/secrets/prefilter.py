"""Find in one pass over all texts which patterns may match where: each stands near one of its keywords."""

import bisect
import functools
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Final

import ahocorasick_rs

from watchword.scan.secrets.patterns import GENERIC, Pattern, packaged

WINDOW: Final = 1024 * 1024
"""How many characters are searched at once."""

LONGEST_WORD: Final = 64
"""How many characters a keyword has at most; windows overlap by as many."""


_AT_ONCE: Final = 256
"""How many texts are lowered at once."""


class Joined:
    """Hold many texts as one, and tell which of them a place lies in."""

    def __init__(self, texts: Sequence[str]) -> None:
        self.text = "\n".join(texts)
        self._texts = texts
        self._starts = [0, *accumulate([len(text) + 1 for text in texts])]

    @functools.cached_property
    def lowered(self) -> str:
        """Return it in lower case, each character in its place."""
        # Some at a time: Python lowers ASCII at once, and a few texts of other characters would slow down all.
        parts = (self._texts[at : at + _AT_ONCE] for at in range(0, len(self._texts), _AT_ONCE))
        return "\n".join([_all_lower(part) for part in parts])

    def index(self, at: int) -> int:
        """Return which text a place lies in."""
        return bisect.bisect_right(self._starts, at) - 1

    def bounds(self, index: int) -> tuple[int, int]:
        """Return begin and end of a text."""
        return self._starts[index], self._starts[index + 1] - 1


def _all_lower(texts: Sequence[str]) -> str:
    joined = "\n".join(texts)
    return joined.lower() if joined.isascii() else "\n".join([_lower(text) for text in texts])


def _lower(text: str) -> str:
    lowered = text.lower()
    # The dotted capital I becomes two characters, and is the only one to do so.
    return lowered if len(lowered) == len(text) else text.replace("\u0130", "I").lower()


@functools.cache
def _automaton(
    *, generic: bool
) -> tuple[ahocorasick_rs.AhoCorasick, tuple[tuple[Pattern, ...], ...]]:
    """Return the automaton of all keywords, and by keyword the patterns that have it."""
    by_keyword: dict[str, list[Pattern]] = {}
    for pattern in packaged().patterns:
        if (pattern.kind == GENERIC) is generic:
            for keyword in pattern.keywords:
                by_keyword.setdefault(keyword, []).append(pattern)
    return ahocorasick_rs.AhoCorasick(list(by_keyword)), tuple(map(tuple, by_keyword.values()))


def candidates(joined: Joined, *, generic: bool) -> Iterator[tuple[Pattern, int]]:
    """Yield patterns and places of their keywords.

    :param generic: whether to look for the generic keywords alone, or for all others; the generic ones (``key``, ``access``) stand in
        every tenth string.
    """
    automaton, patterns = _automaton(generic=generic)
    for keyword, at in _hits(automaton, joined.lowered):
        for pattern in patterns[keyword]:
            yield pattern, at


@functools.cache
def unkeyed() -> tuple[Pattern, ...]:
    """Return the patterns without keywords, which are searched for everywhere."""
    return tuple(pattern for pattern in packaged().patterns if not pattern.keywords)


def places_of_words(joined: Joined, words: tuple[str, ...]) -> Iterator[int]:
    """Yield the places of words, given in lower case, in order."""
    for _, at in _hits(_words(words), joined.lowered):
        yield at


def _hits(automaton: ahocorasick_rs.AhoCorasick, text: str) -> Iterator[tuple[int, int]]:
    """Yield which words stand where, window by window: a list of all places of a word may need ten times the text."""
    for start in range(0, len(text), WINDOW):
        window = text[start : start + WINDOW + LONGEST_WORD]
        for word, at, _ in automaton.find_matches_as_indexes(window, overlapping=True):
            if at < WINDOW:
                yield word, start + at


@functools.cache
def _words(words: tuple[str, ...]) -> ahocorasick_rs.AhoCorasick:
    return ahocorasick_rs.AhoCorasick(list(words))
