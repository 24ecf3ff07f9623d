"""Show that a file that a user asked for is written whole or not at all."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from watchword.apps.terminal.output import OutputFileError, replace_file, write_new_file

FULL = """\
import resource, sys
sys.dont_write_bytecode = True
from pathlib import Path
from watchword.apps.terminal.output import replace_file, write_new_file
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
path, text = Path(sys.argv[2]), "MARK" + "x" * 5000
try:
    replace_file(path, text, "MARK") if sys.argv[1] == "replace" else write_new_file(path, text)
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
    file.write_text("MARK yesterday", encoding="utf-8")
    assert on_a_full_disk("replace", file) == str(file)
    assert file.read_text(encoding="utf-8") == "MARK yesterday"
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
        replace_file(file, "MARK one ä", "MARK")
    finally:
        os.umask(before)
    assert file.stat().st_mode & 0o777 == 0o640
    file.chmod(0o604)
    replace_file(file, "MARK two", "MARK")
    assert file.stat().st_mode & 0o777 == 0o604
    assert file.read_text(encoding="utf-8") == "MARK two"
    assert list(tmp_path.iterdir()) == [file]


def test_a_link_stays_one(tmp_path: Path) -> None:
    """What it leads to is replaced."""
    (tmp_path / "there").mkdir()
    link, file = tmp_path / "latest.html", tmp_path / "there" / "plan.html"
    link.symlink_to(file)
    replace_file(link, "MARK one", "MARK")
    replace_file(link, "MARK two", "MARK")
    assert link.is_symlink()
    assert file.read_text(encoding="utf-8") == "MARK two"


@pytest.mark.parametrize(
    "held", [b"version: 1\n", b"\0\xff", b"x" * 5000 + b"MARK", b"mark", b"\n"]
)
def test_a_file_that_is_not_ours_is_never_written_over(tmp_path: Path, held: bytes) -> None:
    """Whatever it holds, unless the mark stands near its start; the error names the file, directly or by a link."""
    file, link = tmp_path / "watchword.yaml", tmp_path / "link"
    file.write_bytes(held)
    link.symlink_to(file)
    for named in (file, link):
        with pytest.raises(OutputFileError) as caught:
            replace_file(named, "MARK", "MARK")
        assert str(caught.value).startswith(f"{named}: ")
    assert file.read_bytes() == held
    assert sorted(tmp_path.iterdir()) == [link, file]


def test_an_empty_file_and_an_earlier_output_are_written_over(tmp_path: Path) -> None:
    """The one was made to be filled, the other is ours."""
    file = tmp_path / "plan.html"
    for held in ("", "<!doctype html> MARK by an older version"):
        file.write_text(held, encoding="utf-8")
        replace_file(file, "MARK new", "MARK")
        assert file.read_text(encoding="utf-8") == "MARK new"


def test_what_is_no_file_is_neither_written_into_nor_waited_for(tmp_path: Path) -> None:
    """A pipe that nobody reads would hold the command for ever; a device or a directory takes no report."""
    pipe, listening = tmp_path / "pipe", tmp_path / "socket"
    os.mkfifo(pipe)
    (tmp_path / "link").symlink_to(pipe)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(listening))
        for path in (pipe, tmp_path / "link", Path("/dev/null"), tmp_path, listening):
            with pytest.raises(OutputFileError) as caught:
                replace_file(path, "MARK", "MARK")
            assert str(caught.value).startswith(f"{path}: ")
    assert pipe.is_fifo()
    assert Path("/dev/null").is_char_device()


def test_a_text_without_its_mark_is_a_fault_of_ours(tmp_path: Path) -> None:
    """It could never be written over again."""
    for text, mark in (("whole", "MARK"), ("x" * 5000 + "MARK", "MARK"), ("whole", "")):
        with pytest.raises(ValueError, match="mark"):
            replace_file(tmp_path / "plan.html", text, mark)
    assert list(tmp_path.iterdir()) == []


def replace_with_mark(path: Path, text: str) -> None:
    """Replace a file by a text that has its own mark."""
    replace_file(path, text, text)


def test_what_a_killed_process_left_is_no_hindrance(tmp_path: Path) -> None:
    """A number of a process comes again."""
    (tmp_path / f".watchword-{os.getpid()}.new").write_text("half", encoding="utf-8")
    replace_with_mark(tmp_path / "plan.html", "whole")
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


@pytest.mark.parametrize("write", [replace_with_mark, write_new_file])
def test_no_directory_is_told_by_the_files_name(tmp_path: Path, write: object) -> None:
    """And not by the name of what is written first."""
    assert callable(write)
    with pytest.raises(OSError, match="plan") as caught:
        write(tmp_path / "none" / "plan.html", "x")
    assert caught.value.filename == str(tmp_path / "none" / "plan.html")
