"""Scan small packages that ask for much: memory stays within its bound, and what wasn't seen is told."""

import subprocess
import sys
from pathlib import Path

import pytest
from tests.system.scan import bombs
from tests.unit.scan.archive.builders import opened

from watchword.scan.app import Part
from watchword.scan.archive.interface import MOST_AT_ONCE, MOST_KEPT, Memory, UnreadableEntryError
from watchword.scan.dex import read_code
from watchword.scan.ios.plists import PlistError, read_plist
from watchword.scan.notes import Notes

MOST_RESIDENT = 500 * 1000 * 1000
"""Bytes that a scan may have in memory, whatever it reads."""


_SCAN = """
import sys
from watchword.apps.cli.entry import run
try:
    run()
finally:
    with open("/proc/self/status") as status:
        print(*(line for line in status if line.startswith("VmHWM")), file=sys.stderr)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux")
@pytest.mark.parametrize("name", ["dex-99", "dex-200", "overlapping", "plist"])
def test_a_bomb_stays_small_and_is_told(tmp_path: Path, name: str) -> None:
    """The whole command, in a process of its own: at most 500 MB, and never clean."""
    path = tmp_path / "bomb.apk"
    path.write_bytes(bombs.BOMBS[name]())
    command = [sys.executable, "-c", _SCAN, "scan", "--json", "--fail-on", "not-seen", str(path)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 1, ran.stderr
    most = ran.stderr.rpartition("VmHWM:")[2].split()
    assert int(most[0]) * 1024 <= MOST_RESIDENT


def test_entries_that_share_bytes_are_read_once() -> None:
    """Of a hundred names of one entry the first is read; the others are refused, and the readers disagree."""
    names = bombs.classes(100)
    archive, _ = opened(bombs.aliases(bombs.dex(strings=10), names))
    assert archive.read(names[0])
    for name in names[1:]:
        with pytest.raises(UnreadableEntryError, match="shares bytes"):
            archive.read(name)
        assert archive.peek(name, 8) == b""
        assert archive.stored(name) is None
    assert sum("shares bytes" in found.what for found in archive.disagreements) == 99


def test_entries_that_begin_within_each_other_are_not_read() -> None:
    """Each one's packed bytes hold all later ones' headers: the last one alone stands by itself."""
    names = ["AndroidManifest.xml", *(f"assets/{n}.txt" for n in range(50))]
    archive, _ = opened(bombs.overlapping(bytes(1000), names))
    readable = 0
    for name in names:
        try:
            archive.read(name)
        except UnreadableEntryError:
            continue
        readable += 1
    assert readable == 1


def test_one_memory_for_all_code() -> None:
    """Files that are each within their own bounds share one: the later ones aren't seen, and that is told."""
    notes = Notes(Memory(4_000_000))
    files = [(name, bombs.dex(strings=5_000, types=5_000)) for name in bombs.classes(10)]
    read_code(files, notes)
    gaps = {gap.where: gap.why for gap in notes.coverage().gaps if gap.part is Part.DEX}
    assert "memory" in gaps["classes10.dex"]
    assert "memory" not in gaps.get("classes.dex", "")


def test_methods_and_classes_draw_on_the_memory_too() -> None:
    """A row of three bytes becomes an object of a hundred."""
    notes = Notes(Memory(1_000_000))
    read_code([("classes.dex", bombs.dex(strings=1, types=1, methods=20_000))], notes)
    assert any("couldn't be read" in gap.why for gap in notes.coverage().gaps)


def test_a_property_list_of_shared_objects_is_refused_before_it_is_built() -> None:
    """A thousand names for one array of a thousand would be a million; each once has room in the file."""
    with pytest.raises(PlistError, match="share bytes"):
        read_plist(bombs.shared_plist(1000, 1000))


def test_an_entry_is_read_only_where_there_is_room_for_it() -> None:
    """What is kept, and the largest entry beside it, are one bound."""
    memory = Memory()
    assert memory.holds(MOST_KEPT + MOST_AT_ONCE)
    assert memory.keep(MOST_KEPT)
    assert not memory.keep(1)
    assert memory.holds(MOST_AT_ONCE)
    assert not memory.holds(MOST_AT_ONCE + 1)
