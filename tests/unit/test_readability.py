"""Hold what measures the pages to what a sentence is."""

import json
from pathlib import Path, PurePosixPath

import pytest
from scripts import readability
from scripts.readability import Page, main, measured, pages, sentences
from scripts.site_pages import kinds


def _texts(markdown: str) -> list[str]:
    return [each.text for each in sentences(markdown)]


def _words(markdown: str) -> list[int]:
    return [each.words for each in sentences(markdown)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One here. Two here! Three? Four.", ["One here.", "Two here!", "Three?", "Four."]),
        ("Some, e.g. Envoy, i.e. A proxy.", ["Some, e.g. Envoy, i.e. A proxy."]),
        ("Logs, etc. Then more.", ["Logs, etc.", "Then more."]),
        ("Version 0.2.0 reads watchword.yaml here.", ["Version 0.2.0 reads watchword.yaml here."]),
        ("It needs 3.11. It runs.", ["It needs 3.11.", "It runs."]),
        ("One: Two; Three.", ["One: Two; Three."]),
        ("First. then not.", ["First. then not."]),
        ("It ends. `code` begins.", ["It ends.", "`code` begins."]),
        ("See `a. B` here.", ["See `a. B` here."]),
        ("It does (See there.) And more.", ["It does (See there.)", "And more."]),
        ("**It ends.** Then more.", ["It ends.", "Then more."]),
        ("By J. Doe alone.", ["By J. Doe alone."]),
        ("[Read. This](there.md) now.", ["Read.", "This now."]),
        ("Compare (cf. No. 7) it.", ["Compare (cf. No. 7) it."]),
    ],
)
def test_where_a_sentence_ends(text: str, expected: list[str]) -> None:
    """Abbreviations, versions, file names and code end none; a colon and a semicolon never do."""
    assert _texts(text) == expected


def test_blocks_are_what_they_are() -> None:
    """Each item, cell, heading and note begins and ends a sentence of its own; code blocks hold none."""
    markdown = """\
# The heading

> [!NOTE]
> The note.

Before the list:

- first item
- second item. Another one
  that goes on

| one | two |
| --- | --- |
| left cell | right cell. More |

```yaml
code: "is no sentence. Never."
```

    neither. This.

<!-- no comment -->

```{note}
A note of MyST.
```
"""
    found = [(each.line, each.text) for each in sentences(markdown)]
    assert found == [
        (1, "The heading"),
        (4, "The note."),
        (6, "Before the list:"),
        (8, "first item"),
        (9, "second item."),
        (9, "Another one that goes on"),
        (12, "one"),
        (12, "two"),
        (14, "left cell"),
        (14, "right cell."),
        (14, "More"),
        (25, "A note of MyST."),
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("`several words of code` is one", 3),
        ("a - b → c & d", 4),
        ("one\u2014two \u2013 three", 3),
        ("its `--flag`s, and/or that's", 4),
        ("![the drawing](a.svg) [two words](b.md)", 4),
    ],
)
def test_what_a_word_is(text: str, expected: int) -> None:
    """Code is one word; a sign alone is none; a link counts by its text."""
    assert _words(text) == [expected]


def test_a_sentence_begins_in_its_own_line() -> None:
    """A fault names the line in which the sentence begins, not the one of its block."""
    found = list(sentences("First one\ngoes on. Second one.\nThird one."))
    assert [each.line for each in found] == [1, 2, 3]


def test_the_mean_is_of_running_text() -> None:
    """Headings, cells and labels would only make it look better."""
    markdown = """\
# A heading of five words

Here are four words.

- Three words here

| A head of five words | - |
| --- | --- |
| a cell that has six words | - |
"""
    page = Page("a.md", "", tuple(sentences(markdown)))
    assert (page.mean, page.words, page.longest) == (4.0, 23, 6)


def _page(words: int, times: int = 1, kind: str = "") -> Page:
    text = ("Word " * words).strip() + ".\n\n"
    return Page("docs/a.md", kind, tuple(sentences(text * times)))


def test_limits() -> None:
    """40 words of a sentence, 18 on the average, 900 of a how-to: these pass, one more doesn't."""
    assert _page(18, 50, "how-to").faults() == []
    assert _page(19).faults() == ["docs/a.md: 19.0 words a sentence, expected at most 18"]
    assert _page(17, 53, "how-to").faults() == [
        "docs/a.md: a how-to of 901 words, expected at most 900"
    ]
    assert _page(17, 53, "reference").faults() == []
    short = "Here are four words.\n\n" * 5
    fine, long = (Page("a.md", "", tuple(sentences(short + "Word " * n))) for n in (40, 41))
    assert fine.faults() == []
    assert long.faults() == [
        "a.md:11: a sentence of 41 words: Word Word Word Word Word Word Word Word ..."
    ]


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It prints a line a page, and JSON; it ends with 1 where a page is above a limit; a file that isn't there is told."""
    page = str(readability.ROOT / "docs" / "rollout.md")
    assert main([page]) == 0
    assert "1 pages" in capsys.readouterr().out
    assert main([page, "--json"]) == 0
    (told,) = json.loads(capsys.readouterr().out)
    assert (told["page"], told["kind"]) == ("docs/rollout.md", "how-to")
    assert told["above"] == told["faults"] == []
    long = tmp_path / "long.md"
    long.write_text("Word " * 41, encoding="utf-8")
    assert main([page, str(long)]) == 1
    assert f"{long}:1: a sentence of 41 words" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["docs/none.md"])
    assert "docs/none.md: there is no such file" in capsys.readouterr().err


def test_every_page_is_within_the_limits() -> None:
    """No page's sentences are too long, on the average or one of them, and no tutorial or how-to is."""
    by_kind = kinds()
    names = pages()
    assert {PurePosixPath("README.md"), PurePosixPath("docs/gate.md")} <= set(names)
    found = [measured(name, by_kind.get(name, "")) for name in names]
    assert [fault for page in found for fault in page.faults()] == []
