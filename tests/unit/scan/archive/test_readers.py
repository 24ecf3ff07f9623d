"""Two readers see the same in archives as tools write them, and what a torn one still holds is read."""

import io
import zipfile

import pytest
from tests.unit.scan.archive.builders import built, opened

from watchword.scan.app import Part
from watchword.scan.archive.interface import Limits, MissingEntryError, Pace
from watchword.scan.archive.package import NotAnArchiveError, walk

ENTRIES = {
    "AndroidManifest.xml": b"manifest" * 50,
    "empty.txt": b"",
    "res/größe.xml": b"<x/>" * 300,
    "classes.dex": bytes(range(256)) * 20,
}


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(built(ENTRIES), id="deflated"),
        pytest.param(built(ENTRIES, method=zipfile.ZIP_STORED), id="stored"),
        pytest.param(built(ENTRIES, comment=b"channel=a"), id="comment"),
        pytest.param(built(ENTRIES, streamed=True), id="streamed"),
        pytest.param(
            built(ENTRIES, streamed=True, method=zipfile.ZIP_STORED), id="streamed-stored"
        ),
    ],
)
def test_ordinary_archives_are_read_whole_and_nothing_disagrees(data: bytes) -> None:
    """Shows that names, sizes and bytes come out as zipfile put them in, without a false alarm."""
    archive, notes = opened(data)
    assert {name: archive.read(name) for name in archive.names} == ENTRIES
    assert [(e.name, e.size) for e in archive.entries] == [(n, len(c)) for n, c in ENTRIES.items()]
    assert archive.disagreements == ()
    assert notes.coverage().gaps == ()


@pytest.mark.parametrize("streamed", [False, True])
def test_the_walker_finds_by_itself_what_the_directory_lists(streamed: bool) -> None:
    """Shows that the second reader needs no directory: names and sizes come from the local headers."""
    data = built(ENTRIES, streamed=streamed)
    cut = data[: data.index(b"PK\x01\x02")]
    walked = walk(memoryview(cut), Limits(), Pace(lambda: 60.0))
    assert [(r.name, r.size) for r in walked.records] == [(n, len(c)) for n, c in ENTRIES.items()]
    assert walked.whole
    assert walked.strays == ()


def test_zip64_sizes_are_taken_from_the_extra_field() -> None:
    """Shows that an entry with 64-bit sizes is read; its headers state 0xFFFFFFFF."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive, archive.open("a", "w", force_zip64=True) as entry:
        entry.write(b"content")
    found, _ = opened(buffer.getvalue())
    assert found.read("a") == b"content"
    assert found.disagreements == ()


def test_an_archive_without_its_end_gives_what_stands_in_front_and_says_so() -> None:
    """Shows that a truncated package is a partial result with a gap, not a clean one and not a crash."""
    data = built(ENTRIES)
    archive, notes = opened(data[: data.index(b"classes.dex")])
    assert archive.damaged
    assert archive.read("AndroidManifest.xml") == ENTRIES["AndroidManifest.xml"]
    assert not archive.has("classes.dex")
    assert not notes.coverage().whole(Part.DEX)


@pytest.mark.parametrize(
    "data", [b"", b"PK", b"hello" * 1000, bytes(5000)], ids=["empty", "two", "text", "zeros"]
)
def test_what_is_no_archive_is_refused(data: bytes) -> None:
    """Shows that bytes without a zip record raise the error for that."""
    with pytest.raises(NotAnArchiveError):
        opened(data)


def test_a_name_that_isnt_there_is_a_missing_entry() -> None:
    """Shows the error of the interface, with the name in it."""
    archive, _ = opened(built(ENTRIES))
    with pytest.raises(MissingEntryError) as caught:
        archive.read("classes2.dex")
    assert caught.value.entry == "classes2.dex"
    assert not archive.has("classes2.dex")


def test_the_first_bytes_of_an_entry_are_seen_without_unpacking_it() -> None:
    """Shows that a look at the front gives the front, deflated or not."""
    for method in (zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED):
        archive, _ = opened(built(ENTRIES, method=method))
        assert archive.peek("classes.dex", 4) == bytes(range(4))
        assert archive.peek("empty.txt", 4) == b""


def test_a_descriptor_on_the_edge_of_a_window_is_found() -> None:
    """Shows that the walker searches without a seam: the end of this entry lies across 4 MiB from its start."""
    content = b"x" * (4 * 1024 * 1024 - 2)
    data = built({"a": content}, method=zipfile.ZIP_STORED, streamed=True)
    walked = walk(memoryview(data), Limits(), Pace(lambda: 60.0))
    assert [record.size for record in walked.records] == [len(content)]
