"""Show that the pictures of README and site are those of a run today: ``python -m scripts.pictures`` makes them anew."""

import hashlib
import re

from scripts.pictures import FOLDER, MAX_BYTES, described, drawn_demo, lines_of, report, text_of
from tests.conftest import Once
from tests.system.apps.played_demo import told_to_people

SECONDS = re.compile(r"in [0-9.]+ s")


def lines(text: str) -> list[str]:
    """Return the lines that aren't empty, without how long it took."""
    return [SECONDS.sub("in N s", line).rstrip() for line in text.splitlines() if line.strip()]


def test_the_demo_is_drawn_as_it_runs(once: Once) -> None:
    """The picture has every line that the demo prints, where it prints it, and no other."""
    picture = (FOLDER / "demo.svg").read_text(encoding="utf-8")
    assert lines("\n".join(lines_of(picture))) == lines(told_to_people(once))


def test_the_report_is_pictured_as_it_is_written() -> None:
    """The picture is the one that was taken of a report with the very text that is written today."""
    picture = (FOLDER / "plan.png").read_bytes()
    told = (FOLDER / "plan.txt").read_text(encoding="utf-8")
    assert told == described(picture, text_of(report()))
    assert hashlib.sha256(picture).hexdigest() in told


def test_pictures_are_small_and_ask_nobody() -> None:
    """They load nothing from elsewhere, and are quickly there."""
    files = [path for path in FOLDER.iterdir() if path.suffix in {".svg", ".png"}]
    assert len(files) >= 2
    assert [path.name for path in files if path.stat().st_size > MAX_BYTES] == []
    for path in files:
        if path.suffix == ".svg":
            text = path.read_text(encoding="utf-8")
            assert re.findall(r"url\((?!#)|(?:href|src)=|@import|@font-face", text) == []


def test_a_terminal_is_read_as_it_was_drawn() -> None:
    """Blanks between colours, marks of XML and empty lines come back as they were."""
    told = "\x1b[1mA & B\x1b[0m\n\n \x1b[32mok \x1b[0m   <c>   \x1b[31md\x1b[0m\n"
    assert lines_of(drawn_demo(told)) == ["A & B", " ok    <c>   d"]
