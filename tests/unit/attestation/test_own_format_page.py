"""Show that docs/formats/own.md is true: its Python runs, and prints what stands below it."""

import contextlib
import io
import re
import textwrap
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
BLOCK = re.compile(r"^( *)```(python|text)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)


def test_examples_on_the_page_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each block of Python, one after the other, prints the block of text that follows it."""
    monkeypatch.chdir(ROOT)
    page = (ROOT / "docs" / "formats" / "own.md").read_text(encoding="utf-8")
    blocks = [(kind, textwrap.dedent(text)) for _, kind, text in BLOCK.findall(page)]
    assert [kind for kind, _ in blocks] == ["python", "text"] * 3
    names: dict[str, Any] = {}
    for (_, code), (_, wanted) in zip(blocks[::2], blocks[1::2], strict=True):
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(code, "own.md", "exec"), names)
        assert printed.getvalue() == wanted
