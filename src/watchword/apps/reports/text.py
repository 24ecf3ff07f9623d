"""Write text that others chose into reports: escaped for terminals and Markdown, cut, listed and dated."""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from watchword.encoding.phrases import printable

MAX_TEXT: Final = 500
"""Most characters of one text."""

_MARKUP: Final = re.compile(r"[\\`*_\[\]<>&|~#$]")
_LINE_START: Final = re.compile(r"^(\d*)([-+=.)])")
_LINKED: Final = re.compile(r"(@|#(?=\d)|(?<=:)(?=//)|(?i:www)(?=\.))")
_JOINER: Final = "&#8288;"
"""Shows as nothing, and keeps a forge from making a mention or a link of what stands around it."""


def flat(text: str) -> str:
    """Return text on one line."""
    return " ".join(text.split())


def one_line(text: str) -> str:
    """Return text on one line without what a terminal obeys, what turns other text around, or what XML can't hold."""
    return printable(flat(text))


def shown(text: str) -> str:
    """Return text as :func:`one_line` does, at most :data:`MAX_TEXT` characters of it."""
    safe = one_line(text[:MAX_TEXT])
    if len(text) <= MAX_TEXT and len(safe) <= MAX_TEXT:
        return safe
    return f"{safe[: MAX_TEXT - 3]}..."


def json_text(value: Any) -> str:
    """Return a document as it is put into a file: in ASCII, for people to read too."""
    return json.dumps(value, indent=2) + "\n"


def listed(names: Iterable[str], most: int = 1_000, *, last: str = ", ") -> str:
    """Return names one after the other, and how many more there are.

    :param last: stands before the last name where all are there.
    """
    every = list(names)
    if len(every) > most:
        return f"{', '.join(every[:most])} and {len(every) - most:,} more"
    return last.join([", ".join(every[:-1]), every[-1]] if len(every) > 1 else every)


def in_sentence(names: Iterable[str], most: int = 1_000_000) -> str:
    """Return names as a sentence lists them: ``one, two and three``; beyond ``most`` they are counted."""
    return listed(names, most, last=" and ")


def markdown(text: str) -> str:
    """Return text as Markdown that shows it as it is, on one line."""
    safe = _MARKUP.sub(r"\\\g<0>", one_line(text))
    return _LINE_START.sub(r"\1\\\2", _LINKED.sub(rf"\1{_JOINER}", safe))


def markdown_code(text: str) -> str:
    """Return text as a code span of Markdown, also within a table."""
    plain = one_line(text) or " "
    longest = max((len(run) for run in re.findall("`+", plain)), default=0)
    fence = "`" * (longest + 1)
    gap = " " if plain[0] in "` " or plain[-1] in "` " else ""
    return f"{fence}{gap}{plain}{gap}{fence}".replace("|", "\\|")


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Yield the lines of a table, of cells that are Markdown already, and an empty one."""
    yield f"| {' | '.join(head)} |"
    yield f"|{' --- |' * len(head)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"
    yield ""
