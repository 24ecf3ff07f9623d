"""Put texts of the code into Markdown, so that they say there what they say in a terminal."""

import re
from typing import Final

_SPAN: Final = re.compile(r"(``[^`]+``|`[^`]+`)")
_MARKS: Final = re.compile(r"([\\*_<>\[\]#])")


def prose(text: str) -> str:
    """Return text with what Markdown would take for a mark escaped, code between backticks left as it is.

    A pair of double backticks, as docstrings have it, becomes a pair of single ones.
    """
    pieces = _SPAN.split(text)
    return "".join(
        "`" + piece.strip("`") + "`" if at % 2 else _MARKS.sub(r"\\\1", piece)
        for at, piece in enumerate(pieces)
    )


def cell(text: str) -> str:
    """Return text for a table's cell: in one line, and no bar ends it (also within code, as GFM has it)."""
    return " ".join(text.split()).replace("|", "\\|")
