"""What is kept beside the store: its mark, the operator's revocations, and space."""

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from watchword.adapters import revocation_journal
from watchword.adapters.keyring.private_file import PrivateFileError
from watchword.adapters.reserve import RoomReserve
from watchword.adapters.revocation_journal import JournalEntry, RevocationJournal
from watchword.adapters.store import RollbackDetector
from watchword.reasons import Reason, UnavailableError

NOW = datetime(2026, 11, 27, 12, 0, tzinfo=UTC)


def mark(path: Path) -> RollbackDetector:
    """Read the mark as a start of the service does."""
    return RollbackDetector(path / "mark.json")


def test_the_same_database_goes_on(tmp_path: Path) -> None:
    """A restart over a database that went on begins no epoch: challenges stay good."""
    first = mark(tmp_path)
    assert first.compare(0, 7, NOW) is None
    first.advance(20)
    second = mark(tmp_path)
    assert second.compare(21, 7, NOW + timedelta(days=1)) is None
    assert second.number == first.number > 0


@pytest.mark.parametrize(("sequence", "inode", "missing"), [(19, 7, 1), (0, 7, 20), (20, 8, 0)])
def test_an_older_or_another_database_begins_an_epoch(
    tmp_path: Path, sequence: int, inode: int, missing: int
) -> None:
    """It lacks entries, or is in another file; a second start with it notices nothing more."""
    first = mark(tmp_path)
    first.compare(0, 7, NOW)
    first.advance(20)
    second = mark(tmp_path)
    found = second.compare(sequence, inode, NOW)
    assert found is not None
    assert found.missing == missing
    assert second.number > first.number
    third = mark(tmp_path)
    assert third.compare(sequence, inode, NOW) is None
    assert third.number == second.number


@pytest.mark.parametrize("content", [None, b"", b"{}", b'{"epoch": -1}', b"\xff", b"[1]"])
def test_a_database_of_which_nothing_is_known(tmp_path: Path, content: bytes | None) -> None:
    """On a new machine, or beside a mark that can't be read: it may be a copy of any age."""
    if content is not None:
        (tmp_path / "mark.json").write_bytes(content)
        (tmp_path / "mark.json").chmod(0o600)
    found = mark(tmp_path)
    assert found.compare(12, 7, NOW) is not None
    assert found.number == int(NOW.timestamp())


def test_epochs_only_grow_also_where_the_file_is_lost_or_the_clock_goes_back(
    tmp_path: Path,
) -> None:
    """A number that comes again would bring its challenges back."""
    first = mark(tmp_path)
    first.compare(0, 7, NOW)
    numbers = [first.number]
    for hours in (1, -5, 3):
        first.begin(NOW + timedelta(hours=hours))
        numbers.append(first.number)
    (tmp_path / "mark.json").unlink()
    second = mark(tmp_path)
    second.compare(12, 7, NOW + timedelta(hours=4))
    numbers.append(second.number)
    assert numbers == sorted(set(numbers))


def test_what_is_forgotten_is_kept_over_a_restart_and_never_less(tmp_path: Path) -> None:
    """Also where the clock was set back in between; another epoch forgot nothing."""
    first = mark(tmp_path)
    first.compare(0, 7, NOW)
    first.forget(NOW + timedelta(microseconds=1))
    first.forget(NOW - timedelta(hours=3))
    assert mark(tmp_path).forgotten == int(NOW.timestamp()) + 1
    first.begin(NOW)
    assert mark(tmp_path).forgotten == 0


def test_a_mark_that_others_reach_is_refused(tmp_path: Path) -> None:
    """Whoever writes it decides which challenges count."""
    mark(tmp_path).compare(0, 7, NOW)
    (tmp_path / "mark.json").chmod(0o644)
    with pytest.raises(PrivateFileError):
        mark(tmp_path)


def test_a_mark_that_cannot_be_written_is_kept_in_memory(tmp_path: Path) -> None:
    """An epoch begins all the same; what needs the disk says so."""
    held = RollbackDetector(tmp_path / "gone" / "mark.json")
    assert held.compare(5, 7, NOW) is not None
    assert held.number == int(NOW.timestamp())
    with pytest.raises(UnavailableError) as caught:
        held.forget(NOW)
    assert caught.value.reason is Reason.STORE_UNAVAILABLE
    assert held.forgotten == 0


def entry(number: int = 0) -> JournalEntry:
    """Return a revocation."""
    return JournalEntry(f"instance-{number}", NOW, "operator", "phone stolen\nor lost")


def test_revocations_are_read_as_they_were_written(tmp_path: Path) -> None:
    """By another process too; the file is private."""
    path = tmp_path / "revocations.jsonl"
    assert RevocationJournal(path).entries() == []
    RevocationJournal(path).append(entry(1))
    RevocationJournal(path).append(entry(2))
    assert RevocationJournal(path).entries() == [entry(1), entry(2)]
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_line_that_was_cut_short_spoils_no_other(tmp_path: Path) -> None:
    """A full disk ends in the middle of a line; the next one stands by itself."""
    path = tmp_path / "revocations.jsonl"
    journal = RevocationJournal(path)
    journal.append(entry(1))
    with path.open("ab") as written:
        written.write(b'\n{"instance": "a')
    journal.append(entry(2))
    assert journal.entries() == [entry(1), entry(2)]


@settings(max_examples=100, deadline=None)
@given(data=st.binary(max_size=200))
def test_any_bytes_are_a_journal(data: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    """What is damaged is left out, and raises nothing."""
    path = tmp_path_factory.mktemp("journal") / "revocations.jsonl"
    path.write_bytes(data)
    path.chmod(0o600)
    RevocationJournal(path).append(entry())
    assert RevocationJournal(path).entries()[-1] == entry()


@pytest.mark.parametrize("at", ["true", '"x"', "1e400", "1e300", "null"])
def test_a_time_that_is_none_is_left_out(tmp_path: Path, at: str) -> None:
    """Numbers that no calendar has raise nothing."""
    path = tmp_path / "revocations.jsonl"
    members = '{"instance": "a", "actor": "b", "because": "c", "at": AT}\n'
    path.write_text(members.replace("AT", at))
    path.chmod(0o600)
    assert RevocationJournal(path).entries() == []


def test_the_oldest_revocations_go_first(tmp_path: Path) -> None:
    """Beyond its measure the older half goes as soon as it is written, so that it can always be read at a start."""
    path = tmp_path / "revocations.jsonl"
    line = json.dumps({"instance": "a", "actor": "b", "because": "c" * 4000, "at": 1.0})
    path.write_text(f"{line}\n" * (revocation_journal.MAX_BYTES // 2 // len(line) + 1))
    path.chmod(0o600)
    journal = RevocationJournal(path)
    journal.append(entry())
    assert path.stat().st_size < revocation_journal.MAX_BYTES // 3
    journal.append(entry(1))
    assert journal.entries()[-2:] == [entry(), entry(1)]


def test_a_revocation_that_could_not_be_noted_is_noted_later(tmp_path: Path) -> None:
    """In its order, once, and by the next one at the latest."""
    path = tmp_path / "gone" / "revocations.jsonl"
    journal = RevocationJournal(path)
    for number in (1, 2):
        with pytest.raises(UnavailableError):
            journal.append(entry(number))
    with pytest.raises(UnavailableError):
        journal.flush()
    path.parent.mkdir()
    journal.append(entry(3))
    journal.flush()
    assert journal.entries() == [entry(1), entry(2), entry(3)]


def test_a_revocation_that_cannot_be_noted_says_so(tmp_path: Path) -> None:
    """It isn't lost without a word."""
    with pytest.raises(UnavailableError):
        RevocationJournal(tmp_path / "gone" / "revocations.jsonl").append(entry())


def test_space_is_set_aside_and_given_free(tmp_path: Path) -> None:
    """Its bytes are really taken, once, and are there again afterwards."""
    reserve = RoomReserve(tmp_path / "reserve", 1 << 20)
    assert (reserve.fill(), reserve.fill(), reserve.is_held) == (True, True, True)
    assert os.stat(tmp_path / "reserve").st_blocks * 512 >= 1 << 20  # noqa: PTH116
    assert (reserve.release(), reserve.release(), reserve.is_held) == (True, False, False)


def test_space_that_is_not_there_is_not_taken(tmp_path: Path) -> None:
    """It would be the reserve that fills the disk."""
    free = os.statvfs(tmp_path)
    reserve = RoomReserve(tmp_path / "reserve", free.f_bavail * free.f_frsize)
    assert not reserve.fill()
    assert not (tmp_path / "reserve").exists()
    assert not RoomReserve(tmp_path / "gone" / "reserve").fill()
