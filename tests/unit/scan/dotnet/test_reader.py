"""Assemblies of .NET in packages: loose, in stores, in libraries, packed; what is read, and what is a gap."""

import struct
import sys
from collections.abc import Callable, Mapping
from hashlib import sha256

import pytest
from lz4.block import compress  # type: ignore[import-untyped]
from tests.unit.scan.dotnet.builders import (
    RETURNS,
    Cls,
    Made,
    assembly,
    library,
    packed,
    store,
)
from tests.unit.scan.ios_builders import archive_of

from watchword.scan.app import Assembly, Coverage, Depth, StaticField
from watchword.scan.dotnet import Assemblies, read_assemblies
from watchword.scan.notes import Notes

URL = "https://api.example.test/v1"
LIB = "lib/arm64-v8a"


def _made(name: str, text: str = URL) -> bytes:
    code = [("ldstr", text), ("call", "System.Net.Http.HttpClient", "GetAsync"), ("raw", b"\x2a")]
    return assembly(name, [Cls(f"{name}.Net", [Made("Send", code)])])


SHOP, BANK = _made("Shop"), _made("Bank", "https://bank.example.test/v2")


def _read(
    files: Mapping[str, bytes], over: Callable[[], bool] = lambda: False
) -> tuple[Assemblies, Coverage, Notes]:
    notes = Notes()
    found = read_assemblies(archive_of(files, notes), notes, over)
    return found, notes.coverage(), notes


def _texts(found: Assemblies) -> set[str]:
    return {use.what for each in found.assemblies for use in each.strings}


@pytest.mark.parametrize(
    ("entry", "data"),
    [
        ("assemblies/Shop.dll", SHOP),
        ("assets/bin/Data/Managed/Assembly-CSharp.DLL", SHOP),
        ("Payload/Shop.app/Shop.dll", SHOP),
        ("assemblies/assemblies.blob", store([SHOP, BANK])),
        ("assemblies/assemblies.blob", store([packed(SHOP), packed(BANK)])),
        (f"{LIB}/libassemblies.arm64-v8a.blob.so", library(store([SHOP], version=2))),
        (f"{LIB}/libassemblies.arm64-v8a.blob.so", library(store([packed(SHOP)], version=3))),
        (
            f"{LIB}/libassemblies.arm64-v8a.blob.so",
            library(store([SHOP], version=3), section=b".data"),
        ),
        (f"{LIB}/lib_Shop.dll.so", library(packed(SHOP))),
    ],
    ids=["loose", "unity", "ios", "v1", "v1-packed", "v2", "v3-packed", "by-its-head", "wrapped"],
)
def test_each_form_is_read(entry: str, data: bytes) -> None:
    """Wherever an assembly lies, its strings and calls are read, and nothing is a gap."""
    found, coverage, notes = _read({entry: data})
    assert URL in _texts(found)
    assert coverage.gaps == ()
    assert notes.depth(entry) is Depth.CALLS
    (method,) = found.assemblies[0].methods
    assert [step.what for step in method.steps][1:] == ["System.Net.Http.HttpClient.GetAsync"]


def test_a_store_names_its_assemblies() -> None:
    """Each by its own name, behind that of the entry."""
    found, _, _ = _read({"assemblies/assemblies.blob": store([SHOP, BANK])})
    assert [each.file for each in found.assemblies] == [
        "assemblies/assemblies.blob!/Shop.dll",
        "assemblies/assemblies.blob!/Bank.dll",
    ]


def test_an_assembly_that_is_ignored() -> None:
    """From version 3 on a store names assemblies that it doesn't hold: nothing is missed of them."""
    entry = f"{LIB}/libassembly-store.so"
    found, coverage, notes = _read({entry: library(store([SHOP, b"", BANK], version=3))})
    assert [each.name for each in found.assemblies] == ["Shop", "Bank"]
    assert (coverage.gaps, notes.depth(entry)) == ((), Depth.CALLS)


def test_what_another_packer_wrote() -> None:
    """A packed assembly with matches in it, as a real packer writes it."""
    text = "https://api.example.test/" + "v" * 900
    raw = _made("Shop", text)
    data = struct.pack("<4sII", b"XALZ", 0, len(raw)) + compress(raw, store_size=False)
    assert len(data) < len(raw) - 900
    found, coverage, _ = _read({"assemblies/Shop.dll": data})
    assert text in _texts(found)
    assert coverage.gaps == ()


def test_the_same_for_another_processor_counts_once() -> None:
    """It's read once, and both entries are."""
    files = {f"lib/{abi}/lib_Shop.dll.so": library(SHOP) for abi in ("arm64-v8a", "x86_64")}
    found, coverage, notes = _read(files)
    assert len(found.assemblies) == 1
    assert coverage.gaps == ()
    assert {notes.depth(entry) for entry in files} == {Depth.CALLS}


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"MZ" + b"no assembly " * 9, "ends too early"),
        (packed(SHOP, size=60 * 1024 * 1024), "says to hold"),
        (packed(SHOP, size=2**32 - 1), "says to hold"),
        (packed(SHOP, size=len(SHOP) + 1), "damaged"),
        (packed(SHOP, size=len(SHOP) - 1), "damaged"),
        (packed(SHOP)[:-9], "damaged"),
        (b"XAZS" + bytes(60), "Zstandard"),
        (b"XALZ", "ends too early"),
        (store([SHOP])[:-9], "beyond its end"),
        (store([SHOP], version=7), "version 7, which isn't known"),
        (b"XABA" + b"\1\0\0\0" + b"\xff" * 12, "more than"),
        (library(b"MZ", section=b".data"), "should hold assemblies"),
    ],
)
def test_what_can_not_be_read_is_a_gap(data: bytes, why: str) -> None:
    """Damaged, too large, or of a form that isn't known: a gap that says why, and the entry counts as unread."""
    entry = f"{LIB}/lib_Shop.dll.so"
    _, coverage, notes = _read({entry: data})
    (gap,) = coverage.gaps
    assert gap.where == entry
    assert why in gap.why
    assert notes.depth(entry) is Depth.UNREAD


def test_one_that_is_damaged_leaves_the_others() -> None:
    """Of a store all others are read; as a whole it counts as unread."""
    entry = "assemblies/assemblies.blob"
    found, coverage, notes = _read({entry: store([SHOP, b"MZ" + bytes(99), BANK])})
    assert [each.name for each in found.assemblies] == ["Shop", "Bank"]
    assert len(coverage.gaps) == 1
    assert notes.depth(entry) is Depth.UNREAD


def test_without_what_unpacks_lz4(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it isn't installed a packed assembly isn't seen, and the gap says what to install."""
    monkeypatch.setitem(sys.modules, "lz4.block", None)
    _, coverage, notes = _read({"assemblies/Shop.dll": packed(SHOP)})
    assert "install `watchword[scan]`" in coverage.gaps[0].why
    assert notes.depth("assemblies/Shop.dll") is Depth.UNREAD


def test_entries_of_a_store_that_lie_over_one_another() -> None:
    """A small store may say to hold any number of large ones: what is unpacked of an app is bounded."""
    many = [_made(f"A{number}") for number in range(9)]
    notes = Notes()
    archive = archive_of({"assemblies/assemblies.blob": store(many)}, notes)
    found = read_assemblies(archive, notes, most=5 * len(SHOP))
    assert 0 < len(found.assemblies) < len(many)
    assert "more assemblies than are read" in notes.coverage().gaps[0].why


def test_the_time_is_over() -> None:
    """What wasn't read by then is a gap."""
    found, coverage, _ = _read({"assemblies/Shop.dll": SHOP}, over=lambda: True)
    assert found.assemblies == ()
    assert "the time was over" in coverage.gaps[0].why


def test_code_that_was_taken_out() -> None:
    """After it was compiled ahead of time each method only returns: strings are read, calls aren't."""
    made = [Made(f"M{number}", RETURNS) for number in range(30)]
    entry = "Payload/Shop.app/Shop.dll"
    _, coverage, notes = _read({entry: assembly("Shop", [Cls("Shop.Net", made)])})
    assert notes.depth(entry) is Depth.STRINGS
    assert any((seen.read, seen.defined) == (0, 30) for seen in coverage.seen)


def test_of_a_framework_only_strings_are_kept() -> None:
    """What its methods do is nothing that the app does."""
    entry = "assemblies/System.Net.Http.dll"
    found, _, notes = _read({entry: _made("System.Net.Http")})
    (one,) = found.assemblies
    assert (one.own, one.methods, notes.depth(entry)) == (False, (), Depth.STRINGS)
    assert URL in _texts(found)


def test_a_store_is_as_deep_as_its_least_read_assembly() -> None:
    """Where a framework's lies beside the app's, not all calls in that entry were read."""
    entry = "assemblies/assemblies.blob"
    for order in ([SHOP, _made("System.Net.Http")], [_made("System.Net.Http"), SHOP]):
        _, coverage, notes = _read({entry: store(order)})
        assert (notes.depth(entry), coverage.gaps) == (Depth.STRINGS, ())


def _one(*code: tuple[str, str] | tuple[str, str, str]) -> Assembly:
    cls = Cls("Shop.Net", [Made(".ctor", [*code, ("raw", b"\x2a")])], {"Used": "const!"}, ["token"])
    found, _, _ = _read({"assemblies/Shop.dll": assembly("Shop", [cls])})
    return found.assemblies[0]


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ((("ldstr", "s3cret"), ("stsfld", "Shop.Net", "token")), "token"),
        (
            (("ldstr", "s3cret"), ("stfld", "Shop.Other", "<AdminPassword>k__BackingField")),
            "AdminPassword",
        ),
        ((("ldstr", "s3cret"), ("callvirt", "Shop.Api", "set_ClientSecret")), "ClientSecret"),
        ((("ldstr", "api_key"), ("ldstr", "s3cret"), ("callvirt", "D", "Add")), "api_key"),
    ],
    ids=["field", "property-of-its-own", "property", "argument"],
)
def test_strings_with_names(code: tuple[tuple[str, str], ...], name: str) -> None:
    """What code calls a string is kept beside it."""
    found = _one(*code)
    assert StaticField("Shop.Net", name, "s3cret") in found.constants
    assert StaticField("Shop.Net", "Used", "const!") in found.constants


def test_built_in_files_and_attributes() -> None:
    """Settings that are built in are read as text, and so is what attributes say."""
    data = assembly(
        "Shop",
        [Cls("Shop.Net")],
        resources={"Shop.appsettings.json": b'{"url": "https://in.example.test"}'},
        attribute=b"\1\0\x0bcom.api.KEYT\x0eValue\x08a-long-key",
    )
    found, coverage, _ = _read({"assemblies/Shop.dll": data})
    texts = {one.file: one.lines for one in found.texts}
    assert texts["assemblies/Shop.dll!/Shop.appsettings.json"] == (
        '{"url": "https://in.example.test"}',
    )
    assert any("a-long-key" in text for text in _texts(found))
    assert coverage.gaps == ()


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("costura.bank.dll.compressed", b"\x93\x02packed"),
        ("Bank", SHOP),
        ("page.js", b"fetch('x')"),
        ("words.txt", "".join(sha256(b"%d" % at).hexdigest() for at in range(140_000)).encode()),
    ],
    ids=["packed", "by its head", "a script", "too long"],
)
def test_code_built_into_an_assembly_is_a_gap(name: str, data: bytes) -> None:
    """It's run by whoever takes it out, and nobody read it as code; what wasn't read to its end is one too."""
    shop = assembly("Shop", [Cls("Shop.Net")], resources={name: data})
    _, coverage, notes = _read({"assemblies/Shop.dll": shop})
    assert [gap.where for gap in coverage.gaps] == ["assemblies/Shop.dll"]
    assert name in coverage.gaps[0].why
    assert notes.depth("assemblies/Shop.dll") is Depth.UNREAD


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        (b"#GUID\0\0\0", b"#US\0\0\0\0\0", "two heaps of one name"),
        (b"\x0da\0b\0c\0", b"\xe0a\0b\0c\0", "don't follow one another"),
    ],
)
def test_heaps_that_contradict_are_a_gap(old: bytes, new: bytes, why: str) -> None:
    """Strings behind them might be loaded all the same."""
    data = _made("Shop", "abcdef")
    assert data.count(old) == 1
    _, coverage, notes = _read({"assemblies/Shop.dll": data.replace(old, new)})
    assert [why in gap.why for gap in coverage.gaps] == [True]
    assert notes.depth("assemblies/Shop.dll") is Depth.UNREAD
