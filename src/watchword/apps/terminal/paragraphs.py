"""Lay text out for a terminal: aligned, wrapped to its width, coloured only where someone looks."""

import shutil
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import click

from watchword.encoding.phrases import printable, printable_lines

__all__ = [
    "MAX_WIDTH",
    "hanging",
    "printable",
    "printable_lines",
    "show",
    "table",
    "terminal_width",
    "wrapped",
]

MAX_WIDTH: Final = 110
"""Longer lines than this are hard to read, however wide the window is."""

_MIN_WIDTH: Final = 50
_PIPE_WIDTH: Final = 100


_SEPARATORS: Final = "./_-:,;=&?$@#"


class _Wrapper(textwrap.TextWrapper):
    """Break a word that is longer than a line behind a separator where it has one: names of classes, files, addresses."""

    def _handle_long_word(
        self, reversed_chunks: list[str], cur_line: list[str], cur_len: int, width: int
    ) -> None:
        space = width - cur_len
        word = reversed_chunks[-1]
        cut = max(word.rfind(each, 0, space) for each in _SEPARATORS) + 1
        if cut == 0 and cur_line:
            return
        cut = cut or max(space, 1)
        cur_line.append(word[:cut])
        reversed_chunks[-1] = word[cut:]


def terminal_width() -> int:
    """Return the columns to fill; where nobody looks (a pipe, a file) a fixed number."""
    columns = shutil.get_terminal_size((_PIPE_WIDTH, 24)).columns
    return max(_MIN_WIDTH, min(columns, MAX_WIDTH))


def wrapped(text: str, *, first: str = "", indent: int = 0) -> Iterator[str]:
    """Yield the lines of a paragraph.

    :param first: stands before the first line, in place of as much of the indent; not wrapped itself.
    :param indent: columns before each line.
    """
    text = printable(text)
    width = max(terminal_width() - indent, _MIN_WIDTH // 2)
    lines = _Wrapper(width, break_on_hyphens=False).wrap(text) or [""]
    # Colours take no columns: what counts is what is seen.
    seen = len(click.unstyle(first))
    if seen <= indent:
        yield (first + " " * (indent - seen) + lines[0]).rstrip()
        lines = lines[1:]
    else:
        yield first.rstrip()
    for line in lines:
        yield (" " * indent + line).rstrip()


def hanging(line: str, *, further: int = 4) -> Iterator[str]:
    """Yield an indented line, and below it what doesn't fit into the terminal, further in."""
    line = printable(line)
    indent = " " * (len(line) - len(line.lstrip()))
    width = terminal_width()
    wrapper = _Wrapper(width, subsequent_indent=indent + " " * further, break_on_hyphens=False)
    yield from wrapper.wrap(line) or [""]


def table(heads: Sequence[str], cells: Iterable[Sequence[str]]) -> Iterator[str]:
    """Yield lines of a table; the last column may grow."""
    every = [heads, *cells]
    widths = [max(len(row[column]) for row in every) for column in range(len(heads) - 1)]
    for row in every:
        padded = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        yield "  ".join((*padded, row[-1])).rstrip()


def show(lines: Iterator[str]) -> None:
    """Print lines; colours are taken out unless it is a terminal that shows them."""
    for line in lines:
        click.echo(line)
