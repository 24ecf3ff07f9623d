"""Make the pictures of README and site from real runs: ``python -m scripts.pictures``; it needs ``chromium``.

- ``docs/pictures/demo.svg``: what ``watchword demo`` prints in a terminal.
- ``docs/pictures/plan.png``: the head of the report of ``examples/api-key-script.yaml``. Its text can't be read out of it, so that
  ``plan.txt`` beside it holds the head's text and the picture's SHA-256.

tests/system/test_pictures.py runs both commands again, and fails where a picture shows what they don't print any more.
"""

import hashlib
import html
import io
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text
from scripts.drawings import browsed

ROOT: Final = Path(__file__).parents[1]
FOLDER: Final = ROOT / "docs" / "pictures"
COLUMNS: Final = 80
"""Width of the terminal."""
REPORT: Final = (1000, 985)
"""Width and height of the report's head, in CSS pixels."""
BELOW: Final = "The three parts, and where the paths are cut"
"""The first heading of the report that the picture doesn't show."""
MAX_BYTES: Final = 200_000
"""Largest picture."""

_WATCHWORD: Final = (str(Path(sys.executable).with_name("watchword")),)
_CELL: Final = 12.2
"""Width of a column in a picture of a terminal, in its own units."""
_FONTS: Final = "ui-monospace, 'SF Mono', Menlo, Consolas, 'DejaVu Sans Mono', monospace"


def told_demo() -> str:
    """Return what the demo prints in a terminal, with its colours."""
    colours = {"FORCE_COLOR": "1", "TERM": "xterm-256color", "COLUMNS": str(COLUMNS)}
    return _told(*_WATCHWORD, "demo", env={**os.environ, **colours})


def drawn_demo(told: str) -> str:
    """Return a terminal with this in it as SVG: nothing is loaded from elsewhere, and the text stays text."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), color_system="truecolor")
    console.print(Text.from_ansi(told.strip("\n")))
    picture = console.export_svg(title="watchword demo", theme=MONOKAI, unique_id="demo")
    picture = re.sub(r"@font-face \{.*?\}\s*", "", picture, flags=re.DOTALL)
    picture = picture.replace("Fira Code, monospace", _FONTS)
    return re.sub(r"[ \t]+$", "", picture, flags=re.MULTILINE)


def lines_of(picture: str) -> list[str]:
    """Return the lines of text in a picture of a terminal, from the top down; empty ones aren't there."""
    lines: dict[float, str] = {}
    found = re.findall(
        r'<text class="demo-r\d+" x="([\d.]+)" y="([\d.]+)"[^>]*>(.*?)</text>', picture
    )
    for x, y, text in sorted(found, key=lambda each: float(each[0])):
        # Blanks between two colours aren't drawn; where each piece begins says how many there were.
        lines[float(y)] = lines.get(float(y), "").ljust(round(float(x) / _CELL)) + html.unescape(
            text
        )
    whole = (lines[y].replace("\N{NO-BREAK SPACE}", " ").rstrip() for y in sorted(lines))
    return [line for line in whole if line]


def report() -> str:
    """Return the plan's report of the example, as HTML."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "report.html"
        _told(*_WATCHWORD, "-c", "examples/api-key-script.yaml", "plan", "--html", str(file))
        return file.read_text(encoding="utf-8")


def text_of(page: str) -> str:
    """Return the text of a report's head, a line a piece, without the time at which it was made.

    :raises ValueError: for a report without the heading at which the head ends.
    """
    body = re.sub(r"<(style|script)\b.*?</\1>", "", page, flags=re.DOTALL)
    pieces = (" ".join(html.unescape(piece).split()) for piece in re.split(r"<[^>]*>", body))
    lines = [piece for piece in pieces if piece]
    text = "\n".join(lines[: lines.index(BELOW)])
    return re.sub(r"\d+ \w+ 20\d\d, \d\d:\d\d UTC", "(time)", text)


def photographed(page: str) -> bytes:
    """Return the head of a report as PNG."""
    with tempfile.TemporaryDirectory() as folder:
        shown, taken = Path(folder) / "report.html", Path(folder) / "report.png"
        shown.write_text(page, encoding="utf-8")
        size = f"--window-size={REPORT[0]},{REPORT[1]}"
        browsed(shown, "--hide-scrollbars", f"--screenshot={taken}", size)
        return taken.read_bytes()


def described(picture: bytes, text: str) -> str:
    """Return what stands beside a picture that can't be read."""
    return f"plan.png {hashlib.sha256(picture).hexdigest()}\n{text}\n"


def _told(*command: str, env: dict[str, str] | None = None) -> str:
    return subprocess.run(
        command, check=True, capture_output=True, text=True, cwd=ROOT, env=env, timeout=300
    ).stdout


def main() -> int:
    """Make all of them anew."""
    FOLDER.mkdir(exist_ok=True)
    page = report()
    picture = photographed(page)
    (FOLDER / "plan.png").write_bytes(picture)
    (FOLDER / "plan.txt").write_text(described(picture, text_of(page)), encoding="utf-8")
    (FOLDER / "demo.svg").write_text(drawn_demo(told_demo()), encoding="utf-8")
    for file in sorted(FOLDER.iterdir()):
        print(f"{file.relative_to(ROOT)}: {file.stat().st_size:,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
