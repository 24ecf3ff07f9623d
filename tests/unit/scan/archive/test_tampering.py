"""Archives with one thing wrong: each is told, and the entry is read as Android reads it."""

import struct
import zipfile

import pytest
from tests.unit.scan.archive.builders import built, central_of, local_of, opened, tampered

from watchword.scan.archive.interface import UnreadableEntryError

CONTENT = b"the manifest of an app " * 40
STORED = built({"a.txt": b"first", "m.xml": CONTENT, "z.txt": b"last"}, method=zipfile.ZIP_STORED)
DEFLATED = built({"a.txt": b"first", "m.xml": CONTENT, "z.txt": b"last"})


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(
            tampered(STORED, "m.xml", local={"method": 30208}), id="method-of-local-header"
        ),
        pytest.param(
            tampered(STORED, "m.xml", central={"method": 30208}, local={"method": 30208}),
            id="method-of-both",
        ),
        pytest.param(
            tampered(DEFLATED, "m.xml", central={"method": 99}), id="unknown-method-deflated-data"
        ),
        pytest.param(tampered(DEFLATED, "m.xml", local={"method": 0}), id="methods-differ"),
        pytest.param(
            tampered(DEFLATED, "m.xml", central={"flags": 1}, local={"flags": 1}),
            id="encrypted-flags",
        ),
        pytest.param(tampered(DEFLATED, "m.xml", local={"flags": 1}), id="encrypted-flag-of-one"),
        pytest.param(tampered(DEFLATED, "m.xml", local={"size": 7}), id="size"),
        pytest.param(tampered(DEFLATED, "m.xml", local={"packed": 7}), id="packed-size"),
        pytest.param(tampered(DEFLATED, "m.xml", local={"crc": 7}), id="checksum-of-local-header"),
        pytest.param(
            tampered(DEFLATED, "m.xml", central={"crc": 7}, local={"crc": 7}),
            id="checksum-of-content",
        ),
        pytest.param(
            DEFLATED[: local_of(DEFLATED, "m.xml") + 30]
            + b"n.xml"
            + DEFLATED[local_of(DEFLATED, "m.xml") + 35 :],
            id="name",
        ),
    ],
)
def test_an_entry_whose_headers_lie_is_told_and_read(data: bytes) -> None:
    """Shows that one wrong field gives a disagreement on this entry, and the bytes that Android would load."""
    archive, _ = opened(data)
    assert archive.read("m.xml") == CONTENT
    assert "m.xml" in {found.entry for found in archive.disagreements}
    assert archive.read("z.txt") == b"last"


def test_an_entry_that_is_encrypted_indeed_is_unreadable() -> None:
    """Shows that the flag together with bytes that don't fit their checksum is no content."""
    data = bytearray(tampered(STORED, "m.xml", central={"flags": 1}, local={"flags": 1}))
    at = data.index(CONTENT)
    data[at : at + 100] = bytes(byte ^ 0x5A for byte in data[at : at + 100])
    archive, _ = opened(bytes(data))
    with pytest.raises(UnreadableEntryError):
        archive.read("m.xml")
    assert "m.xml" in archive.refused


def test_an_entry_that_the_directory_hides_is_told() -> None:
    """Shows that the second reader sees an entry that was taken out of the directory."""
    at = central_of(DEFLATED, "m.xml")
    after = central_of(DEFLATED, "z.txt")
    end = DEFLATED.index(b"PK\x05\x06")
    ending = list(struct.unpack("<4s4H2IH", DEFLATED[end:]))
    ending[3] = ending[4] = 2
    ending[5] -= after - at
    data = DEFLATED[:at] + DEFLATED[after:end] + struct.pack("<4s4H2IH", *ending)
    archive, _ = opened(data)
    assert not archive.has("m.xml")
    assert [found.entry for found in archive.disagreements] == ["m.xml"]


def test_two_entries_of_one_name_are_told_and_the_second_is_a_gap() -> None:
    """Shows that what the second copy holds isn't taken for seen."""
    data = DEFLATED.replace(b"a.txt", b"z.txt")
    archive, notes = opened(data)
    assert archive.names == ("z.txt", "m.xml")
    assert archive.read("z.txt") == b"first"
    assert "z.txt" in {found.entry for found in archive.disagreements}
    assert notes.missed("z.txt")


def test_entries_that_share_bytes_are_told() -> None:
    """Shows that an entry that reaches into the next one is seen though its headers agree: bombs are built so."""
    longer = {"size": len(CONTENT) + 10, "packed": len(CONTENT) + 10}
    archive, _ = opened(tampered(STORED, "m.xml", central=longer, local=longer))
    assert "m.xml" in {found.entry for found in archive.disagreements}


def test_two_entries_on_the_same_bytes_are_told() -> None:
    """Shows that a second directory entry that points at the first one's data is seen."""
    data = tampered(STORED, "z.txt", central={"offset": local_of(STORED, "m.xml")})
    archive, _ = opened(data)
    assert "z.txt" in {found.entry for found in archive.disagreements}


def test_an_entry_without_a_local_header_is_told_and_unreadable() -> None:
    """Shows that an offset into nowhere is no crash."""
    archive, _ = opened(tampered(STORED, "m.xml", central={"offset": 5}))
    with pytest.raises(UnreadableEntryError):
        archive.read("m.xml")
    assert archive.peek("m.xml", 4) == b""
    assert archive.disagreements


def _around(data: bytes, *, before: bytes = b"", between: bytes = b"", after: bytes = b"") -> bytes:
    """Return an archive with bytes where none belong; its offsets stay as they are."""
    at = data.index(b"PK\x05\x06")
    return before + data[:at] + between + data[at:] + after


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(_around(DEFLATED, before=b"#!/bin/sh\n"), id="in-front"),
        pytest.param(_around(DEFLATED, between=b"hidden"), id="in-front-of-the-end-record"),
        pytest.param(_around(DEFLATED, after=b"hidden"), id="behind-the-end-record"),
        pytest.param(_around(DEFLATED, after=b"x" * 300_000), id="far-behind-the-end-record"),
        pytest.param(built({"m.xml": CONTENT}, comment=b"\0" * 1004), id="end-record-far-in-front"),
        pytest.param(
            built({"m.xml": CONTENT}, comment=b"PK\x05\x06" + bytes(18)),
            id="empty-end-record-in-comment",
        ),
        pytest.param(DEFLATED[:-14] + b"\x09\x00\x09\x00" + DEFLATED[-10:], id="count"),
        pytest.param(DEFLATED[:-2] + b"\x50\x00", id="comment-too-long"),
    ],
)
def test_an_archive_with_bytes_where_none_belong_is_told_and_read(data: bytes) -> None:
    """Shows that tricks with the end record are seen, and the entries are found nevertheless."""
    archive, _ = opened(data)
    assert archive.disagreements
    assert archive.read("m.xml") == CONTENT


def test_bytes_between_entries_are_told_and_zeros_are_padding() -> None:
    """Shows that a payload between entries is seen, while what tools pad with is no alarm."""
    at = local_of(DEFLATED, "z.txt")
    central = central_of(DEFLATED, "z.txt")
    for filling, told in ((b"\0" * 64, False), (b"payload " * 8, True)):
        data = bytearray(DEFLATED[:at] + filling + DEFLATED[at:])
        struct.pack_into("<I", data, central + 64 + 42, at + 64)
        end = data.index(b"PK\x05\x06")
        struct.pack_into("<I", data, end + 16, struct.unpack_from("<I", data, end + 16)[0] + 64)
        archive, _ = opened(bytes(data))
        assert archive.read("z.txt") == b"last"
        assert bool(archive.disagreements) is told


def test_a_signing_block_belongs_where_it_stands() -> None:
    """Shows that the block in front of the directory, with its padding, is no alarm; one with a false size is."""
    at = DEFLATED.index(b"PK\x01\x02")
    for size, told in ((40, False), (41, True)):
        block = struct.pack("<Q", size) + b"k" * 16 + struct.pack("<Q", 40) + b"APK Sig Block 42"
        data = bytearray(DEFLATED[:at] + bytes(100) + block + DEFLATED[at:])
        end = data.index(b"PK\x05\x06")
        struct.pack_into("<I", data, end + 16, at + 100 + len(block))
        archive, _ = opened(bytes(data))
        assert bool(archive.disagreements) is told
