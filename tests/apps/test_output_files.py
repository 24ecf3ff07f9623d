"""Show that a file that a user asked for is written whole or not at all."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from watchword.apps.output_files import replace_file, write_new_file

FULL = """\
import resource, sys
from pathlib import Path
from watchword.apps.output_files import replace_file, write_new_file
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
write = {"replace": replace_file, "new": write_new_file}[sys.argv[1]]
try:
    write(Path(sys.argv[2]), "x" * 5000)
except OSError as error:
    print(error.filename)
"""


def on_a_full_disk(how: str, path: Path) -> str:
    """Write more than the system takes, in a process of its own; return the name in the error."""
    done = subprocess.run(
        [sys.executable, "-c", FULL, how, str(path)], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_a_full_disk_leaves_yesterdays_file(tmp_path: Path) -> None:
    """With its content, nothing beside it, and the name that the user gave in the error."""
    file = tmp_path / "plan.html"
    file.write_text("yesterday", encoding="utf-8")
    assert on_a_full_disk("replace", file) == str(file)
    assert file.read_text(encoding="utf-8") == "yesterday"
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize("how", ["replace", "new"])
def test_a_full_disk_leaves_no_new_file(tmp_path: Path, how: str) -> None:
    """Nothing stands in the way of the next try."""
    assert on_a_full_disk(how, tmp_path / "plan.yaml") == str(tmp_path / "plan.yaml")
    assert list(tmp_path.iterdir()) == []
    write_new_file(tmp_path / "plan.yaml", "whole")


def test_a_file_is_replaced_with_its_mode(tmp_path: Path) -> None:
    """A new one gets what the umask gives, one that is there keeps what it has; neither leaves anything beside it."""
    file = tmp_path / "plan.html"
    before = os.umask(0o027)
    try:
        replace_file(file, "one ä")
    finally:
        os.umask(before)
    assert file.stat().st_mode & 0o777 == 0o640
    file.chmod(0o604)
    replace_file(file, "two")
    assert file.stat().st_mode & 0o777 == 0o604
    assert file.read_text(encoding="utf-8") == "two"
    assert list(tmp_path.iterdir()) == [file]


def test_a_link_stays_one(tmp_path: Path) -> None:
    """What it leads to is replaced."""
    (tmp_path / "there").mkdir()
    link, file = tmp_path / "latest.html", tmp_path / "there" / "plan.html"
    link.symlink_to(file)
    replace_file(link, "one")
    replace_file(link, "two")
    assert link.is_symlink()
    assert file.read_text(encoding="utf-8") == "two"


def test_what_is_no_file_is_written_into() -> None:
    """A pipe or a device is never replaced by a file."""
    replace_file(Path("/dev/null"), "x")
    assert Path("/dev/null").is_char_device()


def test_what_a_killed_process_left_is_no_hindrance(tmp_path: Path) -> None:
    """A number of a process comes again."""
    (tmp_path / f".watchword-{os.getpid()}.new").write_text("half", encoding="utf-8")
    replace_file(tmp_path / "plan.html", "whole")
    assert [each.name for each in tmp_path.iterdir()] == ["plan.html"]


def test_a_new_file_overwrites_nothing(tmp_path: Path) -> None:
    """Neither a file, nor a directory, nor what a link leads to."""
    file, link = tmp_path / "plan.yaml", tmp_path / "link"
    file.write_text("mine", encoding="utf-8")
    link.symlink_to(tmp_path / "nowhere")
    for taken in (file, tmp_path, link):
        with pytest.raises(FileExistsError) as caught:
            write_new_file(taken, "theirs")
        assert caught.value.filename == str(taken)
    assert file.read_text(encoding="utf-8") == "mine"
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("write", [replace_file, write_new_file])
def test_no_directory_is_told_by_the_files_name(tmp_path: Path, write: object) -> None:
    """And not by the name of what is written first."""
    assert callable(write)
    with pytest.raises(OSError, match="plan") as caught:
        write(tmp_path / "none" / "plan.html", "x")
    assert caught.value.filename == str(tmp_path / "none" / "plan.html")
