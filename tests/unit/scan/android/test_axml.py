"""Binary XML: read as leniently as the system reads it, and within bounds."""

import struct
import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.scan.android.builders import NONE, Ref, Tag, axml, bundle_xml, chunk, pool

from watchword.scan.android.binary import (
    MOST_DEPTH,
    AndroidFormatError,
    Element,
    Kind,
    Value,
    read_axml,
    read_bundle_xml,
)

NAME, DEBUGGABLE, PORT, LABEL = 0x01010003, 0x0101000F, 0x01010029, 0x01010001

SAMPLE = Tag(
    "manifest",
    {"package": "com.example.shop"},
    [
        Tag("application", {DEBUGGABLE: True, LABEL: Ref(0x7F010000)}, [Tag("a", {NAME: "Ä😀"})]),
        Tag("b", {PORT: -2}, text="text"),
    ],
)
SECONDS = 30.0


def _plain(element: Element) -> object:
    """Return a tree that can be compared."""
    return element.name, element.attributes, element.text, [_plain(x) for x in element.children]


def _all(element: Element) -> Iterator[Element]:
    """Yield an element and all within it."""
    yield element
    for child in element.children:
        yield from _all(child)


EXPECTED: object = (
    "manifest",
    {"package": Value(Kind.STRING, "com.example.shop")},
    "",
    [
        (
            "application",
            {
                DEBUGGABLE: Value(Kind.BOOLEAN, number=1),
                LABEL: Value(Kind.REFERENCE, number=0x7F010000),
            },
            "",
            [("a", {NAME: Value(Kind.STRING, "Ä😀")}, "", [])],
        ),
        ("b", {PORT: Value(Kind.INTEGER, number=-2)}, "text", []),
    ],
)


@pytest.mark.parametrize("utf8", [True, False])
def test_a_document_is_read(*, utf8: bool) -> None:
    """Shows elements, text and all kinds of values, by resource id though the names are rubbish, in both forms of strings."""
    assert _plain(read_axml(axml(SAMPLE, utf8=utf8))) == EXPECTED


def test_a_bundles_document_is_the_same() -> None:
    """Shows that a protocol buffer of the same XML is read to the same tree."""
    assert _plain(read_bundle_xml(bundle_xml(SAMPLE))) == EXPECTED


def test_what_the_system_passes_over_is_passed_over() -> None:
    """Shows that a wrong kind of document, unknown chunks and a few bytes behind the end hide nothing."""
    document = axml(SAMPLE, between=chunk(0x0777, b"", b"junk"))
    assert _plain(read_axml(b"\x00\x00" + document[2:] + b"tail")) == EXPECTED


def test_the_first_of_two_equal_attributes_counts() -> None:
    """Shows that a second attribute of the same id doesn't override the first."""
    document = bytearray(axml(Tag("a", {DEBUGGABLE: True, PORT: 7})))
    # The resource map says of both that they're the same.
    at = bytes(document).index(struct.pack("<II", DEBUGGABLE, PORT))
    document[at + 4 : at + 8] = document[at : at + 4]
    assert read_axml(bytes(document)).attributes == {DEBUGGABLE: Value(Kind.BOOLEAN, number=1)}


def test_foreign_attributes_arent_taken_for_the_systems() -> None:
    """Shows that an attribute of another name space without an id isn't there."""
    strings = pool(["a", "urn:other", "debuggable"])
    head = struct.pack("<II", 1, NONE)
    element = struct.pack("<IIHHHHHH", NONE, 0, 20, 20, 1, 0, 0, 0)
    attribute = struct.pack("<IIIHBBI", 1, 2, NONE, 8, 0, 0x12, NONE)
    document = chunk(0x0003, b"", strings + chunk(0x0102, head, element + attribute))
    assert read_axml(document).attributes == {}


def _nested(depth: int) -> Tag:
    tag = Tag("a")
    for _ in range(depth - 1):
        tag = Tag("a", children=[tag])
    return tag


@pytest.mark.parametrize(("write", "read"), [(axml, read_axml), (bundle_xml, read_bundle_xml)])
def test_depth_is_bounded(write: object, read: object) -> None:
    """Shows that the deepest allowed document is read, and one level more is refused."""
    assert callable(write)
    assert callable(read)
    read(write(_nested(MOST_DEPTH)))
    with pytest.raises(AndroidFormatError):
        read(write(_nested(MOST_DEPTH + 1)))


def test_attributes_that_overlap_are_refused() -> None:
    """Shows that a step of zero bytes between attributes doesn't make one of them 65,535."""
    strings = pool(["a", "b"])
    element = struct.pack("<IIHHHHHH", NONE, 0, 20, 0, 0xFFFF, 0, 0, 0)
    attribute = struct.pack("<IIIHBBI", NONE, 1, NONE, 8, 0, 0x12, NONE)
    node = chunk(0x0102, struct.pack("<II", 1, NONE), element + attribute)
    with pytest.raises(AndroidFormatError):
        read_axml(chunk(0x0003, b"", strings + node))


def test_text_that_elements_share_is_counted_each_time() -> None:
    """Shows that many pieces of text out of one long string end the reading, instead of filling memory."""
    strings = pool(["a", "x" * 30_000], utf8=False)
    head = struct.pack("<II", 1, NONE)
    start = chunk(0x0102, head, struct.pack("<IIHHHHHH", NONE, 0, 20, 20, 0, 0, 0, 0))
    text = chunk(0x0104, head, struct.pack("<IHBBI", 1, 8, 0, 0, 0)) * 100_000
    began = time.perf_counter()
    with pytest.raises(AndroidFormatError):
        read_axml(chunk(0x0003, b"", strings + start + text))
    assert time.perf_counter() - began < SECONDS


def test_a_pool_whose_strings_overlap_is_given_up() -> None:
    """Shows that names out of one large string at ten thousand places end the reading, instead of filling memory."""
    count, size = 10_000, 30_000
    data = struct.pack("<H", size) + b"x\0" * size
    offsets = struct.pack(f"<{count}I", *[0] * count)
    header = struct.pack("<IIIII", count, 0, 0, 28 + len(offsets), 0)
    head = struct.pack("<II", 1, NONE)
    nodes = b"".join(
        chunk(0x0102, head, struct.pack("<IIHHHHHH", NONE, name, 20, 20, 0, 0, 0, 0))
        + chunk(0x0103, head, struct.pack("<II", NONE, name))
        for name in range(count)
    )
    root = chunk(0x0102, head, struct.pack("<IIHHHHHH", NONE, 0, 20, 20, 0, 0, 0, 0))
    document = chunk(0x0003, b"", chunk(0x0001, header, offsets + data) + root + nodes)
    began = time.perf_counter()
    with pytest.raises(AndroidFormatError):
        read_axml(document)
    assert time.perf_counter() - began < SECONDS


@pytest.mark.parametrize(
    ("data", "read"), [(axml(SAMPLE), read_axml), (bundle_xml(SAMPLE), read_bundle_xml)]
)
def test_a_document_that_is_cut_off_anywhere_is_refused(data: bytes, read: object) -> None:
    """Shows that no part of a document is taken for the whole."""
    assert callable(read)
    for size in range(len(data)):
        with pytest.raises(AndroidFormatError):
            read(data[:size])


@given(
    st.data(),
    st.sampled_from(
        [
            (axml(SAMPLE), read_axml),
            (axml(SAMPLE, utf8=True), read_axml),
            (bundle_xml(SAMPLE), read_bundle_xml),
        ]
    ),
)
def test_flipped_bytes_raise_nothing_foreign(
    data: st.DataObject, form: tuple[bytes, object]
) -> None:
    """Shows that a damaged document is read or refused, whatever was changed."""
    document, read = form
    assert callable(read)
    changed = bytearray(document)
    places = st.tuples(st.integers(0, len(changed) - 1), st.integers(0, 255))
    for at, byte in data.draw(st.lists(places, min_size=1, max_size=8)):
        changed[at] = byte
    try:
        root = read(bytes(changed))
    except AndroidFormatError:
        return
    assert len(list(_all(root))) <= len(changed)


@given(st.binary(max_size=400))
def test_junk_raises_nothing_foreign(junk: bytes) -> None:
    """Shows that arbitrary bytes are read or refused in both forms."""
    for read in (read_axml, read_bundle_xml):
        try:
            root = read(junk)
        except AndroidFormatError:
            continue
        assert len(list(_all(root))) <= len(junk)
