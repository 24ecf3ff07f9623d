"""Lay a drill's lines out on a terminal: cut and wrapped by what is seen, within its width."""

from collections.abc import Iterator, Sequence
from typing import Final

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.text import Text

from watchword.apps.reports.text import shown

MAX_WIDTH: Final = 120
"""Longer lines than this are hard to read, however wide the window is."""

_CUT: Final = "..."


class Page:
    """Print lines that never overflow the console."""

    def __init__(self, console: Console) -> None:
        """Take the console."""
        self._console = console

    @property
    def width(self) -> int:
        """Return the columns to fill."""
        return max(20, min(self._console.width, MAX_WIDTH))

    def said(self, text: str) -> str:
        """Return text that is safe on this terminal: printable, and in its encoding."""
        encoding = self._console.encoding
        return shown(text).encode(encoding, "backslashreplace").decode(encoding)

    def line(self, text: Text | str = "") -> None:
        """Print one line, cut at the console's width."""
        line = Text(text) if isinstance(text, str) else text
        if line.cell_len > self._console.width:
            line.truncate(self._console.width, overflow="crop")
        line.rstrip()
        self._console.print(line, soft_wrap=True)

    def heading(self, text: str) -> None:
        """Print a heading, with an empty line before it."""
        self.line()
        self.line(Text(text, style="bold"))

    def entry(
        self, label: str, text: str, *, indent: int, at: int, style: str = "", text_style: str = ""
    ) -> None:
        """Print text wrapped from a column on, with its label before it.

        A label that leaves no room stands on a line of its own.

        :param indent: columns before the label.
        :param at: the text's first column.
        :param style: of the label.
        """
        at = min(at, self.width // 2)
        start = Text(" " * indent)
        start.append(cut(self.said(label), self.width - indent), style=style)
        if label and start.cell_len > at - 1:
            self.line(start)
            start = Text()
        for each in self.wrapped(text, self.width - at):
            start.append(" " * (at - start.cell_len))
            start.append(each, style=text_style)
            self.line(start)
            start = Text()

    def wrapped(self, text: str, width: int) -> Iterator[str]:
        """Yield the lines of a paragraph; a word that is too long is broken."""
        for line in Text(self.said(text)).wrap(self._console, width, overflow="fold"):
            yield line.plain.rstrip()

    def names(self, label: str, names: Sequence[str], *, indent: int, at: int) -> None:
        """Print all of these names beside their label; none is broken that fits into a line."""
        at = min(at, self.width // 2)
        lines = [""]
        # Each was made safe by itself, since one text is cut where it is very long.
        for number, name in enumerate(map(self.said, names), start=1):
            word = name if number == len(names) else f"{name},"
            if lines[-1] and at + cell_len(lines[-1]) + 1 + cell_len(word) > self.width:
                lines.append("")
            lines[-1] += f" {word}" if lines[-1] else word
        for number, line in enumerate(lines):
            self.entry(label if not number else "", line, indent=indent, at=at, style="dim")


def cut(text: str, width: int) -> str:
    """Return text of at most so many columns; what is cut ends in dots."""
    if cell_len(text) <= width:
        return text
    return set_cell_size(text, max(0, width - len(_CUT))).rstrip() + _CUT[: max(0, width)]


def filled(text: str, width: int) -> str:
    """Return text of exactly so many columns."""
    return set_cell_size(cut(text, width), width)
