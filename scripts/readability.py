"""Measure how the pages read: the mean and the longest sentence of each, and what is above the limits of our style.

    python -m scripts.readability [PAGE ...] [--json]

Without pages, all of them are measured: README, CONTRIBUTING, SECURITY, CHANGELOG, those of the examples, and everything under docs.
Exit code 1 where a page's mean is above 18 words, a sentence above 40, or a tutorial or how-to longer than 900.

What counts as a sentence:

- A paragraph, a list item, a heading and a table's cell each begin and end one.  A full stop, a question mark or an exclamation mark
  ends one where a space and a capital letter, a digit or code follow.  A colon or a semicolon never does.
- Code between backticks is one word, and so is whatever else stands between two spaces with a letter or a digit in it.  Blocks of
  code don't count.
- Headings, cells, and pieces of fewer than four words are held to the longest sentence, but don't count in the mean: labels and
  names would only make it look better.
"""

import argparse
import json
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from markdown_it import MarkdownIt
from markdown_it.token import Token
from scripts.site_pages import SiteError, kinds

ROOT: Final = Path(__file__).parents[1]
MAX_MEAN: Final = 18.0
"""Most words that a page's sentences may have on the average."""
MAX_SENTENCE: Final = 40
"""Most words of one sentence."""
MAX_PAGE: Final = 900
"""Most words of a tutorial or a how-to."""
SHORT_KINDS: Final = frozenset({"tutorial", "how-to"})
"""Kinds of pages that are held to ``MAX_PAGE``."""

_LEAST_MEASURED: Final = 4
_CODE: Final = "\ufffc"
_BREAK: Final = "\n"
_WORD: Final = re.compile(rf"[^\s\u2013\u2014]*[\w{_CODE}][^\s\u2013\u2014]*")
# What closes after the mark belongs to the sentence; what opens before the capital belongs to the next.
_END: Final = re.compile(
    rf"(?P<last>\S*?)[.!?\u2026]+[)\]\"'\u201d\u2019]*(?=\s+[(\[\"'\u201c\u2018]*[A-Z0-9{_CODE}])"
)
_NEVER_LAST: Final = frozenset(
    {
        "e.g",
        "i.e",
        "cf",
        "vs",
        "no",
        "nos",
        "approx",
        "resp",
        "fig",
        "sec",
        "ch",
        "st",
        "dr",
        "mr",
        "ms",
        "p",
        "pp",
    }
)
_ALERT: Final = re.compile(r"\[!(?:NOTE|TIP|IMPORTANT|WARNING|CAUTION)\]")
_ADMONITION: Final = re.compile(
    r"\{(?:note|tip|hint|important|warning|caution|danger|attention|seealso|admonition)\}"
)
_MARKDOWN: Final = MarkdownIt("commonmark").enable(["table", "strikethrough"])


@dataclass(frozen=True)
class Sentence:
    """Hold one sentence, its code as it is written.

    :param line: where it begins, from 1.
    :param measured: whether it counts in the mean.
    """

    text: str
    words: int
    line: int
    measured: bool


@dataclass(frozen=True)
class Page:
    """Hold what was measured of a page.

    :param name: its path in the repository.
    :param kind: what the navigation calls it: tutorial, how-to, reference, explanation; empty where it says nothing.
    """

    name: str
    kind: str
    sentences: tuple[Sentence, ...]

    @property
    def words(self) -> int:
        """Count its words, without blocks of code."""
        return sum(each.words for each in self.sentences)

    @property
    def mean(self) -> float:
        """Return the words of a measured sentence on the average; 0 where there is none."""
        lengths = [each.words for each in self.sentences if each.measured]
        return sum(lengths) / len(lengths) if lengths else 0.0

    @property
    def longest(self) -> int:
        """Count the words of the longest sentence."""
        return max((each.words for each in self.sentences), default=0)

    @property
    def long(self) -> list[Sentence]:
        """Return the sentences above the limit."""
        return [each for each in self.sentences if each.words > MAX_SENTENCE]

    def faults(self) -> list[str]:
        """Say what is above a limit; nothing where the page is good."""
        found = [
            f"{self.name}:{each.line}: a sentence of {each.words} words: {' '.join(each.text.split()[:8])} ..."
            for each in self.long
        ]
        if round(self.mean, 1) > MAX_MEAN:
            found.append(
                f"{self.name}: {self.mean:.1f} words a sentence, expected at most {MAX_MEAN:.0f}"
            )
        if self.kind in SHORT_KINDS and self.words > MAX_PAGE:
            found.append(
                f"{self.name}: a {self.kind} of {self.words} words, expected at most {MAX_PAGE}"
            )
        return found


def pages() -> list[PurePosixPath]:
    """Return every page that is held to the limits, by its path in the repository."""
    tops = [ROOT / f"{name}.md" for name in ("README", "CONTRIBUTING", "SECURITY", "CHANGELOG")]
    found = (
        *tops,
        *sorted((ROOT / "examples").glob("**/README.md")),
        *sorted((ROOT / "docs").rglob("*.md")),
    )
    return [PurePosixPath(file.relative_to(ROOT).as_posix()) for file in found]


def measured(page: PurePosixPath, kind: str = "") -> Page:
    """Read and measure one page.

    :param kind: what the navigation calls it; empty where it is no page of the site.
    """
    text = (ROOT / page).read_text(encoding="utf-8")
    return Page(str(page), kind, tuple(sentences(text)))


def sentences(text: str, *, first: int = 1) -> Iterator[Sentence]:
    """Return the sentences of a page's Markdown in their order.

    :param first: the number of the text's first line.
    """
    around: list[str] = []
    for token in _MARKDOWN.parse(text):
        if token.nesting == 1:
            around.append(token.type)
        elif token.nesting == -1:
            around.pop()
        elif token.type == "inline":
            running = not {"heading_open", "th_open", "td_open"}.intersection(around)
            yield from _of_block(token, first + (token.map or [0])[0], running=running)
        elif token.type == "fence" and _ADMONITION.match(token.info):
            # A note of MyST stands in a fence, and is text all the same.
            yield from sentences(token.content, first=first + (token.map or [0])[0] + 1)


def _of_block(token: Token, line: int, *, running: bool) -> Iterator[Sentence]:
    spans: list[str] = []
    block = _ALERT.sub("", "".join(_plain(token.children or (), spans)), count=1)
    written = iter(spans)
    at = 0
    for end in (*_ends(block), len(block)):
        piece = block[at:end]
        text = re.sub(_CODE, lambda _: next(written), piece)
        words = len(_WORD.findall(piece))
        begins = line + block.count(_BREAK, 0, at + len(piece) - len(piece.lstrip()))
        if words:
            yield Sentence(
                " ".join(text.split()), words, begins, running and words >= _LEAST_MEASURED
            )
        at = end


def _plain(tokens: Iterable[Token], spans: list[str]) -> Iterator[str]:
    """Return what is read of a line's tokens; each code is one sign, and its text goes into the spans."""
    for token in tokens:
        if token.type == "code_inline":
            spans.append(f"`{token.content}`")
            yield _CODE
        elif token.type in {"softbreak", "hardbreak"}:
            yield _BREAK
        elif token.type == "image":
            yield from _plain(token.children or (), spans)
        elif token.type == "text":
            yield token.content


def _ends(block: str) -> Iterator[int]:
    """Return where the sentences of a block end, but for the last."""
    for found in _END.finditer(block):
        last = re.split(r"[(\[\"'\u201c\u2018/]", found["last"])[-1]
        initial = len(last) == 1 and last.isupper()
        if last.lower() not in _NEVER_LAST and not initial:
            yield found.end()


def _document(found: Sequence[Page]) -> list[dict[str, object]]:
    return [
        {
            "page": page.name,
            "kind": page.kind,
            "words": page.words,
            "mean": round(page.mean, 1),
            "longest": page.longest,
            "above": [
                {"line": each.line, "words": each.words, "text": each.text} for each in page.long
            ],
            "faults": page.faults(),
        }
        for page in found
    ]


def _lines(found: Sequence[Page]) -> Iterator[str]:
    width = max((len(page.name) for page in found), default=4)
    yield f"{'page':<{width}}  words  mean  longest  above {MAX_SENTENCE}"
    for page in found:
        yield f"{page.name:<{width}}  {page.words:5}  {page.mean:4.1f}  {page.longest:7}  {len(page.long):8}"
    yield from (fault for page in found for fault in page.faults())
    all_words = [each.words for page in found for each in page.sentences if each.measured]
    above = sum(len(page.long) for page in found)
    mean = sum(all_words) / len(all_words) if all_words else 0.0
    yield f"{len(found)} pages, {mean:.1f} words a sentence, {above} sentences above {MAX_SENTENCE}"


def _named(file: Path) -> PurePosixPath:
    """Return the path that a page is told by: in the repository, or the whole one of a file from elsewhere."""
    return PurePosixPath(file.relative_to(ROOT) if file.is_relative_to(ROOT) else file)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure the pages and return 1 where one is above a limit."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.readability", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("pages", metavar="PAGE", nargs="*", type=Path, help="a Markdown file")
    parser.add_argument("--json", action="store_true", help="print everything as JSON")
    given = parser.parse_args(arguments)
    for file in given.pages:
        if not file.is_file():
            parser.error(f"{file}: there is no such file")
    wanted = [_named(file.resolve()) for file in given.pages]
    try:
        by_kind = kinds()
    except SiteError as error:
        parser.error(str(error))
    found = [measured(page, by_kind.get(page, "")) for page in wanted or pages()]
    if given.json:
        print(json.dumps(_document(found), indent=2, ensure_ascii=False))
    else:
        print(*_lines(found), sep="\n")
    return int(any(page.faults() for page in found))


if __name__ == "__main__":
    sys.exit(main())
