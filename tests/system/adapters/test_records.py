"""Show that records are private, bounded in age and space, and survive processes that are killed."""

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from watchword.adapters.records import RecordDirectory, record_files
from watchword.reasons import Reason, UnavailableError

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
DAY = timedelta(days=1)
LINE = b'{"n":1}'.ljust(99) + b"\n"


def kept(directory: Path) -> list[str]:
    """Return the names of the files that are there."""
    return [path.name for path in record_files(directory)]


@pytest.fixture
def records(tmp_path: Path) -> RecordDirectory:
    """Return an empty directory with room for 30 enrolments and 10 refusals."""
    return RecordDirectory(tmp_path / "records", keep=30 * DAY, max_bytes=40 * len(LINE))


def test_each_day_has_a_file_for_enrolments_and_one_for_refusals(records: RecordDirectory) -> None:
    """Days are those of UTC; each line is behind the one before."""
    records.append(LINE, NOW, refused=False)
    records.append(LINE, NOW + timedelta(hours=13), refused=False)
    records.append(LINE, NOW, refused=True)
    records.append(LINE, NOW, refused=True)
    assert kept(records.directory) == [
        "2026-11-24.jsonl",
        "2026-11-24.refused.jsonl",
        "2026-11-25.jsonl",
    ]
    assert (records.directory / "2026-11-24.refused.jsonl").read_bytes() == LINE + LINE


def test_only_we_can_read_them(records: RecordDirectory) -> None:
    """0600 in a directory of 0700, whatever the umask says."""
    before = os.umask(0)
    try:
        records.append(LINE, NOW, refused=False)
    finally:
        os.umask(before)
    (path,) = record_files(records.directory)
    assert path.stat().st_mode & 0o777 == 0o600
    assert records.directory.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("what", ["mode", "link", "directory", "pipe"])
def test_a_file_that_others_may_have_put_there_is_not_written(
    records: RecordDirectory, tmp_path: Path, what: str
) -> None:
    """Else evidence would land where others read it, or a pipe nobody reads would hold us up."""
    records.directory.mkdir(mode=0o700)
    path = records.directory / "2026-11-24.jsonl"
    if what == "link":
        path.symlink_to(tmp_path / "elsewhere")
    elif what == "directory":
        path.mkdir()
    elif what == "pipe":
        os.mkfifo(path, 0o600)
    else:
        path.touch()
        path.chmod(0o644)
    with pytest.raises(UnavailableError) as caught:
        records.append(LINE, NOW, refused=False)
    assert caught.value.reason is Reason.STORE_UNAVAILABLE
    assert not (tmp_path / "elsewhere").exists()


def test_old_days_go(records: RecordDirectory) -> None:
    """With the next record, and without one where the service is idle."""
    records.append(LINE, NOW - 31 * DAY, refused=False)
    records.append(LINE, NOW - 30 * DAY, refused=False)
    records.append(LINE, NOW, refused=False)
    assert kept(records.directory) == ["2026-10-25.jsonl", "2026-11-24.jsonl"]
    records.forget_expired(NOW + 31 * DAY)
    assert kept(records.directory) == []


def test_the_oldest_day_makes_room(records: RecordDirectory) -> None:
    """Files together never need more than they may."""
    for day in range(5):
        for _ in range(15):
            records.append(LINE, NOW + day * DAY, refused=False)
            total = sum(path.stat().st_size for path in record_files(records.directory))
            assert total <= records.max_bytes
    assert kept(records.directory) == ["2026-11-27.jsonl", "2026-11-28.jsonl"]


def test_a_flood_of_refusals_pushes_out_no_enrolment(records: RecordDirectory) -> None:
    """Refusals have a quarter to themselves, old ones included; the rest of a flood isn't kept."""
    for day in range(2):
        for _ in range(14):
            records.append(LINE, NOW + day * DAY, refused=False)
    records.append(LINE, NOW, refused=True)
    written = 0
    for _ in range(50):
        try:
            records.append(LINE, NOW + 2 * DAY, refused=True)
            written += 1
        except UnavailableError:
            continue
    assert written == 10
    # Nor does the next enrolment find its space taken, and push out the oldest ones.
    for _ in range(2):
        records.append(LINE, NOW + 2 * DAY, refused=False)
    assert kept(records.directory) == [
        "2026-11-24.jsonl",
        "2026-11-25.jsonl",
        "2026-11-26.jsonl",
        "2026-11-26.refused.jsonl",
    ]
    assert len((records.directory / "2026-11-24.jsonl").read_bytes().splitlines()) == 14


def test_enrolments_push_out_no_refusal(records: RecordDirectory) -> None:
    """Why a phone was refused stays known however many others enrol."""
    for _ in range(10):
        records.append(LINE, NOW, refused=True)
    for number in range(40):
        records.append(LINE, NOW + (number // 20) * DAY, refused=False)
    assert kept(records.directory) == ["2026-11-24.refused.jsonl", "2026-11-25.jsonl"]


def test_a_day_that_fills_the_space_alone_is_told(records: RecordDirectory) -> None:
    """Nothing older is left to remove: what came first that day stays."""
    for _ in range(30):
        records.append(LINE, NOW, refused=False)
    with pytest.raises(UnavailableError, match="no room"):
        records.append(LINE, NOW, refused=False)
    assert (records.directory / "2026-11-24.jsonl").stat().st_size == 30 * len(LINE)


def test_trouble_names_the_file(records: RecordDirectory) -> None:
    """So that whoever reads the log knows where to look."""
    (records.directory / "2026-11-24.jsonl").mkdir(parents=True)
    records.directory.chmod(0o700)
    with pytest.raises(UnavailableError, match=r"2026-11-24\.jsonl: Is a directory"):
        records.append(LINE, NOW, refused=False)


@pytest.mark.parametrize("day", ["2026-01-01", "2026-11-23"])
def test_directory_named_like_a_day_stops_nothing(records: RecordDirectory, day: str) -> None:
    """It can't be removed, whether its day is too old or its space is needed."""
    (records.directory / f"{day}.jsonl").mkdir(parents=True)
    records.directory.chmod(0o700)
    for _ in range(30):
        records.append(LINE, NOW, refused=False)
    with pytest.raises(UnavailableError, match="no room"):
        records.append(LINE, NOW, refused=False)
    records.forget_expired(NOW)
    assert kept(records.directory) == ["2026-11-24.jsonl"]


def test_half_a_line_of_a_killed_process_spoils_only_itself(records: RecordDirectory) -> None:
    """The next record begins a line of its own."""
    records.append(LINE, NOW, refused=False)
    (path,) = record_files(records.directory)
    with path.open("ab") as file:
        file.write(LINE[:40])
    records.append(LINE, NOW, refused=False)
    lines = path.read_bytes().split(b"\n")
    assert [line + b"\n" for line in lines] == [LINE, LINE[:40] + b"\n", LINE, b"\n"]


def test_two_processes_write_whole_lines(tmp_path: Path) -> None:
    """Four at once: every line arrives, and none is mixed with another's."""
    program = (
        "import sys; from datetime import *; from pathlib import Path\n"
        "from watchword.adapters.records import RecordDirectory\n"
        "log = RecordDirectory(Path(sys.argv[1]), timedelta(days=1), 10**9)\n"
        "line = sys.argv[2].encode() * 5000 + b'\\n'\n"
        "for _ in range(100): log.append(line, datetime(2026, 11, 24, tzinfo=UTC), refused=False)\n"
    )
    running = [
        subprocess.Popen([sys.executable, "-c", program, tmp_path / "records", letter])
        for letter in "abcd"
    ]
    assert [process.wait() for process in running] == [0, 0, 0, 0]
    (path,) = record_files(tmp_path / "records")
    # Whoever looks while another writes may take its line for half of one: an empty line is harmless.
    lines = [line for line in path.read_bytes().splitlines() if line]
    assert sorted(lines) == sorted(letter.encode() * 5000 for letter in "abcd" for _ in range(100))


def test_what_others_wrote_counts(records: RecordDirectory) -> None:
    """Another process's records are seen after a while, and the space holds for all together."""
    other = RecordDirectory(records.directory, records.keep, records.max_bytes)
    records.append(LINE, NOW, refused=False)
    for _ in range(29):
        other.append(LINE, NOW, refused=False)
    with pytest.raises(UnavailableError):
        records.append(LINE, NOW + timedelta(seconds=11), refused=False)


def test_foreign_files_stay(records: RecordDirectory) -> None:
    """What isn't named like a day of records isn't ours to remove."""
    records.directory.mkdir(mode=0o700)
    for name in ("notes.txt", "2026-99-99.jsonl", "2020-01-01.jsonl.bak"):
        (records.directory / name).touch()
    records.append(LINE, NOW, refused=False)
    assert len(list(records.directory.iterdir())) == 4
    assert kept(records.directory) == ["2026-11-24.jsonl"]


def test_a_disk_that_refuses_is_unavailable(tmp_path: Path) -> None:
    """Nothing else comes out, so that whoever records can go on."""
    (tmp_path / "file").touch()
    records = RecordDirectory(tmp_path / "file" / "records", DAY, 1000)
    with pytest.raises(UnavailableError):
        records.append(LINE, NOW, refused=False)
