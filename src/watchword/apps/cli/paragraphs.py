"""Lay text out for a terminal: aligned, wrapped to its width, coloured only where someone looks."""

import shutil
import textwrap
from collections.abc import Iterator
from typing import Final

import click

MAX_WIDTH: Final = 110
"""Longer lines than this are hard to read, however wide the window is."""

_MIN_WIDTH: Final = 50
_PIPE_WIDTH: Final = 100


def terminal_width() -> int:
    """Return the columns to fill; where nobody looks (a pipe, a file) a fixed number."""
    columns = shutil.get_terminal_size((_PIPE_WIDTH, 24)).columns
    return max(_MIN_WIDTH, min(columns, MAX_WIDTH))


def printable(text: str) -> str:
    """Return text without what a terminal obeys: a package's name may hold its escape sequences."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )


def printable_lines(text: str) -> str:
    """Return text of several lines without what a terminal obeys, but the ends of the lines."""
    return "\n".join(map(printable, text.split("\n")))


def wrapped(text: str, *, first: str = "", indent: int = 0) -> Iterator[str]:
    """Yield the lines of a paragraph.

    :param first: stands before the first line, in place of as much of the indent; not wrapped itself.
    :param indent: columns before each line.
    """
    text = printable(text)
    width = max(terminal_width() - indent, _MIN_WIDTH // 2)
    lines = textwrap.wrap(text, width, break_long_words=True, break_on_hyphens=False) or [""]
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
    yield from textwrap.wrap(
        line, width, subsequent_indent=indent + " " * further, break_on_hyphens=False
    ) or [""]


def show(lines: Iterator[str]) -> None:
    """Print lines; colours are taken out unless it is a terminal that shows them."""
    for line in lines:
        click.echo(line)
