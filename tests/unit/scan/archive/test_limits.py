"""Bombs of every kind are refused before they cost anything, and the refusal is told."""

import itertools
import zipfile
import zlib

import pytest
from tests.unit.scan.archive.builders import built, opened, tampered

from watchword.scan.app import Gap, Part
from watchword.scan.archive.interface import (
    RELEASE_EVERY,
    Limits,
    OutOfTimeError,
    Pace,
    UnreadableEntryError,
)
from watchword.scan.archive.package import (
    Budget,
    Record,
    ZipArchive,
    open_zip,
    read_directory,
    walk,
)
from watchword.scan.notes import MOST_GAPS, Notes

MEBIBYTE = 1024 * 1024


def test_an_entry_that_unpacks_to_more_than_its_ratio_is_refused() -> None:
    """Shows that 4 MiB of zeros in 4 KiB aren't unpacked, while the same below 1 MiB are."""
    archive, _ = opened(built({"bomb": bytes(4 * MEBIBYTE), "small": bytes(MEBIBYTE)}))
    with pytest.raises(UnreadableEntryError):
        archive.read("bomb")
    assert archive.refused.keys() == {"bomb"}
    assert archive.read("small") == bytes(MEBIBYTE)


def test_an_entry_beyond_the_size_limit_is_refused() -> None:
    """Shows the limit of one entry, on its edge."""
    archive, _ = opened(built({"a": b"x" * 101, "b": b"x" * 100}), limits=Limits(entry_size=100))
    with pytest.raises(UnreadableEntryError):
        archive.read("a")
    assert archive.read("b") == b"x" * 100


def test_all_entries_together_are_limited_also_when_one_is_read_again_and_again() -> None:
    """Shows that the budget counts what is unpacked, not what is listed."""
    archive, _ = opened(built({"a": b"x" * 100}), limits=Limits(total_size=250))
    archive.read("a")
    archive.read("a")
    with pytest.raises(UnreadableEntryError):
        archive.read("a")


@pytest.mark.parametrize("stated", [10, 999, 1001, 100_000])
def test_an_entry_that_lies_about_its_size_is_refused(stated: int) -> None:
    """Shows that neither less nor more than what is stated is taken."""
    data = built({"a": bytes(range(250)) * 4})
    archive, _ = opened(tampered(data, "a", central={"size": stated}, local={"size": stated}))
    with pytest.raises(UnreadableEntryError):
        archive.read("a")


def test_deflated_bytes_without_an_end_are_refused() -> None:
    """Shows that an entry whose stream was cut at a block is no whole entry, though its bytes are all there."""
    deflater = zlib.compressobj(wbits=-15)
    packed = deflater.compress(b"content") + deflater.flush(zlib.Z_SYNC_FLUSH)
    data = built({"a": packed}, method=zipfile.ZIP_STORED)
    said = {"method": 8, "size": 7, "crc": zlib.crc32(b"content")}
    archive, _ = opened(tampered(data, "a", central=said, local=said))
    with pytest.raises(UnreadableEntryError):
        archive.read("a")


def _large(size: int) -> bytes:
    """Return bytes that deflate to about a tenth, quickly made."""
    block = b"".join(zlib.crc32(bytes([i % 251])).to_bytes(4, "big") for i in range(4096))
    return (block + bytes(block.__len__() // 8)) * (size // len(block))


@pytest.mark.parametrize("lie", [0, -1, 1])
def test_a_large_entry_is_measured_before_it_is_unpacked(lie: int) -> None:
    """Shows the way of entries beyond 8 MiB: whole when they say the truth, refused when they don't."""
    content = _large(10 * MEBIBYTE)
    data = built({"a": content})
    size = len(content) + lie
    archive, _ = opened(
        tampered(data, "a", central={"size": size}, local={"size": size}), limits=Limits(ratio=1000)
    )
    if lie:
        with pytest.raises(UnreadableEntryError):
            archive.read("a")
    else:
        assert archive.read("a") == content


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_large_entry_ends_with_the_time(method: int) -> None:
    """Shows that the deadline holds within an entry, and that its pages are handed back while it is read."""
    released: list[int] = []
    content = _large(40 * MEBIBYTE)
    data = memoryview(built({"a": content}, method=method))
    left = [60.0]
    pace = Pace(lambda: left[0], lambda: released.append(1))
    archive = open_zip(data, Budget(Limits(ratio=1000)), pace, Notes())
    assert archive.read("a") == content
    assert bool(released) is (method == zipfile.ZIP_STORED)
    looks = iter([60.0] * 5)
    left_for = Pace(lambda: next(looks, 0.0))
    archive = ZipArchive(data, [_record(data)], (), Budget(Limits(ratio=1000)), left_for)
    with pytest.raises(OutOfTimeError):
        archive.read("a")


def _record(data: memoryview) -> Record:
    """Return the first record of an archive's directory."""
    directory = read_directory(data, Limits(), Pace(lambda: 60.0))
    assert directory is not None
    return directory.records[0]


def test_entries_beyond_their_number_are_left_out_with_a_gap() -> None:
    """Shows that a directory without end is cut, and that this is said."""
    archive, notes = opened(
        built({f"{number}": b"" for number in range(12)}), limits=Limits(entries=10)
    )
    assert len(archive.names) == 10
    assert archive.defined == 12
    assert [gap.part for gap in notes.coverage().gaps] == [Part.ARCHIVE]


def test_once_the_time_is_over_nothing_is_read() -> None:
    """Shows that the deadline holds for each entry, with its own error."""
    left = iter([60.0] * 20)
    data = memoryview(built({"a": b"content"}))
    archive = open_zip(data, Budget(Limits()), Pace(lambda: next(left, 0.0)), Notes())
    assert archive.read("a") == b"content"
    for _ in left:
        pass
    with pytest.raises(OutOfTimeError):
        archive.read("a")


def test_a_directory_that_the_time_isnt_enough_for_is_a_gap() -> None:
    """Shows that an archive of which nothing was listed doesn't pass for an empty one."""
    archive, notes = opened(built({"a": b"content"}), left=0.0)
    assert not archive.names
    assert not notes.coverage().whole(Part.DEX)


def test_headers_that_lie_dont_make_the_walk_quadratic() -> None:
    """Shows that many headers that send the walker searching to the end cost a bounded number of steps."""
    header = built({"a": b""}, streamed=True, method=zipfile.ZIP_STORED)[:31]
    looked = itertools.count()

    class Counting(Pace):
        def looked_at(self, size: int) -> None:
            for _ in range(size // 1000):
                next(looked)

    data = header * 30_000
    walked = walk(memoryview(data), Limits(), Counting(lambda: 60.0))
    assert next(looked) < 20 * len(data) / 1000 + 20_000
    assert len(walked.records) <= 30_000


def test_pages_are_handed_back_as_they_were_looked_at() -> None:
    """Shows that a mapped file is released each time that many bytes were looked at."""
    released: list[int] = []
    pace = Pace(lambda: 1.0, lambda: released.append(1))
    for _ in range(5):
        pace.looked_at(RELEASE_EVERY // 2)
    assert len(released) == 2


def test_notes_count_each_gap_once_and_end_with_how_many_more() -> None:
    """Shows that a hundred thousand broken entries don't make a report of a hundred thousand lines."""
    notes = Notes()
    for number in range(MOST_GAPS + 7):
        for _ in range(2):
            notes.gap(Part.ASSETS, str(number), "damaged")
    gaps = notes.coverage().gaps
    assert len(gaps) == MOST_GAPS + 1
    assert gaps[0] == Gap(Part.ASSETS, "0", "damaged")
    assert notes.missed("0")
    assert not notes.missed("elsewhere")


def test_notes_add_up_what_was_seen() -> None:
    """Shows that several notes of one part and unit are one count."""
    notes = Notes()
    notes.seen(Part.DEX, 3, 4, "classes")
    notes.seen(Part.DEX, 10, 10, "classes")
    (seen,) = notes.coverage().seen
    assert (seen.read, seen.defined) == (13, 14)
