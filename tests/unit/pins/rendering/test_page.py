"""Hold docs/pins-rendering.md to what is rendered."""

import re
from pathlib import Path

from tests.unit.pins.rendering.sets import DOCUMENTED

from watchword.pins.formats import FORMATS, render

PAGE = (Path(__file__).parents[4] / "docs/pins-rendering.md").read_text("utf-8")


def test_page_shows_real_files() -> None:
    """Each file on the page is what the set of the page renders as, and each format is there with its file's name."""
    blocks = re.findall(r"```(?:xml|kotlin|ts)\n(.*?)```", PAGE, re.DOTALL)
    assert blocks == [render(name, DOCUMENTED).text for name in FORMATS]
    rows = re.findall(r"^\| `([a-z]+)` \| `([^`]+)`", PAGE, re.MULTILINE)
    assert rows == [(name, each.file) for name, each in FORMATS.items()]
