"""Resource tables of both forms: the value that a phone takes, strings with names, and damage that is told."""

import struct
import time
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.scan.android.builders import (
    File,
    Given,
    Ref,
    Type,
    bundle_table,
    chunk,
    field_of,
    pool,
    table,
)

from watchword.scan.android.binary import (
    AndroidFormatError,
    BinaryTable,
    BundleTable,
    Kind,
    Resources,
    Table,
    Value,
    read_bundle_xml,
)
from watchword.scan.app import Part, Resource
from watchword.scan.notes import Notes

SECONDS = 30.0
GERMAN = b"de\0\0"
FORMS = ["arsc", "pb"]


def _table(form: str, types: Sequence[Type]) -> Table:
    return BinaryTable(table(types)) if form == "arsc" else BundleTable(bundle_table(types))


def _resources(form: str, types: Sequence[Type]) -> Resources:
    return Resources([_table(form, types)], Notes())


def _ref(kind: int, entry: int) -> Value:
    return Value(Kind.REFERENCE, number=0x7F << 24 | kind << 16 | entry)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("given_value", "expected"),
    [
        ("text", Value(Kind.STRING, "text")),
        (File("res/xml/a.xml"), Value(Kind.STRING, "res/xml/a.xml")),
        (True, Value(Kind.BOOLEAN, number=1)),
        (False, Value(Kind.BOOLEAN, number=0)),
        (-5, Value(Kind.INTEGER, number=-5)),
    ],
    ids=["string", "file", "true", "false", "integer"],
)
def test_a_reference_is_followed_to_its_value(
    form: str, given_value: Given, expected: Value
) -> None:
    """Shows each kind of value behind two references, in both forms."""
    types = [Type("bool", {"other": None, "a": given_value}), Type("ref", {"b": Ref(0x7F010001)})]
    assert _resources(form, types).resolve(_ref(2, 0)) == expected


@pytest.mark.parametrize("form", FORMS)
def test_the_configuration_of_an_ordinary_phone_counts(form: str) -> None:
    """Shows that the latest system's version of a value counts, and a locale's only where there is no other."""
    types = [
        Type("string", {"a": "german", "b": "german"}, locale=GERMAN, version=30),
        Type("string", {"a": "plain", "b": None}),
        Type("string", {"a": "latest", "b": None}, version=24),
        Type("string", {"a": "older", "b": None}, version=21),
    ]
    found = _resources(form, types)
    assert found.strings() == (Resource("a", "latest"), Resource("b", "german"))
    assert found.resolve(_ref(1, 0)) == Value(Kind.STRING, "latest")


@pytest.mark.parametrize("form", ["wide", "short", "sparse", "compact"])
@pytest.mark.parametrize("utf8", [True, False])
def test_all_forms_of_entries_are_read(form: str, *, utf8: bool) -> None:
    """Shows entries behind wide, short and sparse offsets, and compact ones."""
    types = [Type("string", {"a": "one", "b": None, "c": "three"}, form=form)]
    found = Resources([BinaryTable(table(types, utf8=utf8))], Notes())
    assert found.strings() == (Resource("a", "one"), Resource("c", "three"))
    values = [found.resolve(_ref(1, entry)) for entry in range(4)]
    assert values == [Value(Kind.STRING, "one"), None, Value(Kind.STRING, "three"), None]


@pytest.mark.parametrize("form", FORMS)
def test_texts_of_lists_and_references_are_among_the_strings(form: str) -> None:
    """Shows that a list's texts stand under its name, a reference's under its own, and numbers and files not at all."""
    types = [
        Type("string", {"a": "one", "alias": Ref(0x7F010000), "empty": ""}),
        Type("array", {"list": ["two", 3, "four"]}),
        Type("xml", {"file": File("res/xml/a.xml")}),
    ]
    assert _resources(form, types).strings() == (
        Resource("a", "one"),
        Resource("alias", "one"),
        Resource("list", "two"),
        Resource("list", "four"),
    )


@pytest.mark.parametrize("form", FORMS)
def test_references_that_lead_nowhere_have_no_value(form: str) -> None:
    """Shows that a circle, a missing resource, a list and the system's own resources are None."""
    types = [
        Type("string", {"a": Ref(0x7F010001), "b": Ref(0x7F010000)}),
        Type("array", {"l": ["x", "y"]}),
    ]
    found = _resources(form, types)
    for number in (0x7F010000, 0x7F010009, 0x7F090000, 0x7F020000, 0x01040000):
        assert found.resolve(Value(Kind.REFERENCE, number=number)) is None


def test_a_bundles_reference_may_be_by_name() -> None:
    """Shows that a reference without an id is found by its name."""
    found = _resources("pb", [Type("xml", {"a": File("res/xml/a.xml")})])
    assert found.resolve(Value(Kind.REFERENCE, "xml/a")) == Value(Kind.STRING, "res/xml/a.xml")
    assert found.resolve(Value(Kind.REFERENCE, "xml/b")) is None


SAMPLE = [
    Type("string", {"a": "one", "b": Ref(0x7F010000), "c": "three"}),
    Type("array", {"list": ["two", "four"]}),
    Type("string", {"a": "eins", "b": None}, locale=GERMAN, form="sparse"),
]


@pytest.mark.parametrize("form", FORMS)
def test_a_table_that_is_cut_off_tells_it(form: str) -> None:
    """Shows that what is left of a table is never taken for all of it, unless nothing but its end is missing."""
    whole = table(SAMPLE) if form == "arsc" else bundle_table(SAMPLE)
    expected = dict.fromkeys(_resources(form, SAMPLE).strings())
    for size in range(1, len(whole)):
        try:
            cut = BinaryTable(whole[:size]) if form == "arsc" else BundleTable(whole[:size])
        except AndroidFormatError:
            continue
        strings = Resources([cut], Notes()).strings()
        assert cut.damage
        assert set(strings) <= set(expected)


@given(st.data(), st.sampled_from(FORMS))
def test_flipped_bytes_raise_nothing_foreign(data: st.DataObject, form: str) -> None:
    """Shows that a damaged table is read or refused, whatever was changed."""
    changed = bytearray(table(SAMPLE) if form == "arsc" else bundle_table(SAMPLE))
    places = st.tuples(st.integers(0, len(changed) - 1), st.integers(0, 255))
    for at, byte in data.draw(st.lists(places, min_size=1, max_size=8)):
        changed[at] = byte
    try:
        found = BinaryTable(bytes(changed)) if form == "arsc" else BundleTable(bytes(changed))
    except AndroidFormatError:
        return
    resources = Resources([found], Notes())
    found_strings = resources.strings()
    assert len(set(found_strings)) == len(found_strings)
    for entry in range(4):
        resources.resolve(_ref(1, entry))


def test_entries_that_share_one_huge_list_are_given_up() -> None:
    """Shows that ten thousand entries at the same place end in damage, instead of in a hundred million strings."""
    count = 10_000
    listed = struct.pack("<I", 0) + struct.pack("<HBBI", 8, 0, 3, 0)
    entry = struct.pack("<HHIII", 16, 1, 0, 0, count) + listed * count
    config = struct.pack("<I", 64) + bytes(60)
    offsets = bytes(4 * count)
    header = struct.pack("<BBHII", 1, 0, 0, count, 20 + len(config) + len(offsets)) + config
    names, keys = pool(["array"]), pool(["key"])
    start = 8 + 4 + 256 + 20
    head = struct.pack("<I", 0x7F) + bytes(256)
    head += struct.pack("<IIIII", start, 1, start + len(names), 1, 0)
    package = chunk(0x0200, head, names + keys + chunk(0x0201, header, offsets + entry))
    found = BinaryTable(chunk(0x0002, struct.pack("<I", 1), pool(["text"]) + package))
    began = time.perf_counter()
    assert Resources([found], Notes()).strings() == (Resource("key", "text"),)
    assert found.damage
    assert time.perf_counter() - began < SECONDS


def test_values_that_thousands_of_configurations_lack_are_given_up() -> None:
    """Shows that looking for many values in many empty configurations ends in damage, instead of in their product."""
    types = [Type("string", {}, locale=GERMAN)] * 3000
    resources = Resources([found := BinaryTable(table(types))], Notes())
    began = time.perf_counter()
    assert not any(resources.resolve(_ref(1, entry)) for entry in range(20_000))
    assert found.damage
    assert time.perf_counter() - began < SECONDS


def test_a_bundles_table_of_too_many_entries_is_damage() -> None:
    """Shows that entries beyond the limit are told as not read."""
    types = [Type("string", {"a": "1", "b": "2"})]
    assert not BundleTable(bundle_table(types), most=4).damage
    assert BundleTable(bundle_table(types), most=3).damage


def test_a_theme_attribute_is_no_reference() -> None:
    """Shows that a value which asks the phone's theme, in a bundle, isn't looked up as a resource of this id."""
    theme = field_of(1, field_of(1, 1) + field_of(2, 0x7F010000))
    attribute = field_of(2, "a") + field_of(6, theme)
    root = read_bundle_xml(field_of(1, field_of(3, "x") + field_of(4, attribute)))
    assert root.attributes["a"].kind is Kind.OTHER


def test_a_large_entry_is_read_once_for_all_who_refer_to_it() -> None:
    """Shows that thousands of references to one entry of many configurations cost no more than one."""
    each = field_of(6, field_of(2, field_of(4, field_of(2, field_of(1, "v")))))
    entry = field_of(1, field_of(1, 0)) + field_of(2, "k") + each * 20_000
    kind = field_of(1, field_of(1, 1)) + field_of(2, "string") + field_of(3, entry)
    data = field_of(2, field_of(1, field_of(1, 0x7F)) + field_of(3, kind))
    resources = Resources([BundleTable(data)], Notes())
    began = time.perf_counter()
    assert {resources.resolve(_ref(1, 0)) for _ in range(20_000)} == {Value(Kind.STRING, "v")}
    assert time.perf_counter() - began < SECONDS


def test_more_strings_than_are_kept_is_a_gap() -> None:
    """Shows that strings beyond the limit are told as not seen."""
    notes = Notes()
    types = [Type("string", {"a": "1", "b": "2", "c": "3"})]
    assert len(Resources([BinaryTable(table(types))], notes).strings(most=2)) == 2
    assert [gap.part for gap in notes.coverage().gaps] == [Part.RESOURCES]
