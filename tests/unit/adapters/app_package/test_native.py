"""Native code of both platforms: hardening, names, strings, and what is a gap."""

import contextlib
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lief
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.scan.elf_builders import Library
from tests.unit.scan.ios_builders import ARM, EXECUTABLE, FOLDER, Image, archive_of, fat, ipa

from watchword.adapters.app_package import native
from watchword.adapters.app_package.native import ElfError, read_elf, read_natives
from watchword.scan.app import Coverage, Native, Part
from watchword.scan.notes import Notes

SO = "lib/arm64-v8a/libshop.so"


def _read(files: Mapping[str, bytes]) -> tuple[tuple[Native, ...], Coverage]:
    notes = Notes()
    found = read_natives(archive_of(files, notes), notes)
    return found, notes.coverage()


@pytest.mark.parametrize("lookup", ["hash", "gnu", ""])
def test_names_of_a_library(lookup: str) -> None:
    """Names are found by either table that counts them, and by their place without one."""
    elf = read_elf(Library(names=("a", "bb", "__stack_chk_fail"), lookup=lookup).data())
    assert elf.symbols == {"a", "bb", "__stack_chk_fail"}


@pytest.mark.parametrize(
    ("changes", "field", "expected"),
    [
        ({}, "relro", "full"),
        ({"now": False}, "relro", "partial"),
        ({"relro": False}, "relro", "none"),
        ({}, "executable_stack", False),
        ({"stack": 7}, "executable_stack", True),
        ({"stack": None}, "executable_stack", None),
        ({}, "pie", True),
        ({"kind": 2}, "pie", False),
        ({}, "stripped", True),
        ({"symtab": True}, "stripped", False),
        ({}, "canary", True),
        ({"names": ("JNI_OnLoad",)}, "canary", False),
        ({}, "architecture", "arm64"),
    ],
    ids=str,
)
def test_hardening_of_a_library(changes: dict[str, Any], field: str, expected: object) -> None:
    """Each field says what the file says, on its own."""
    (found,), coverage = _read({SO: Library(**changes).data()})
    assert getattr(found, field) == expected
    assert coverage.gaps == ()


def test_strings_are_read_once() -> None:
    """Runs of six printable characters and more are kept, each once, in the file's order."""
    content = b"\0sho\0https://a.example\0secret-key\0https://a.example\0\x01"
    (found,), _ = _read({SO: Library(content=content).data()})
    kept = [text for text in found.strings if text.startswith(("https", "secret", "sho"))]
    assert kept == ["https://a.example", "secret-key"]


@pytest.mark.parametrize(
    ("data", "form"),
    [(b"PK\3\4 packed 12345", "unknown"), (Library().data()[:200], "elf"), (b"", "unknown")],
    ids=["other", "cut", "empty"],
)
def test_damage_is_a_gap(data: bytes, form: str) -> None:
    """A library that can't be read is one with no hardening known, and a gap; its strings are kept all the same."""
    (found,), coverage = _read({SO: data})
    assert (found.form, found.pie, found.canary, found.relro) == (form, None, None, None)
    assert [gap.where for gap in coverage.gaps_of(Part.NATIVE)] == [SO]
    assert [(seen.read, seen.defined) for seen in coverage.seen] == [(0, 1)]
    assert any("packed" in text for text in found.strings) is (b"packed" in data)


def test_each_architecture_of_a_fat_file() -> None:
    """A fat file is one library for each architecture, each with its own strings."""
    data = fat(Image(plain=b"\0of-arm64").data(), Image(cpu=ARM, plain=b"\0of-arm\0").data())
    found, coverage = _read(ipa() | {EXECUTABLE: data})
    assert [one.architecture for one in found] == ["arm64", "arm"]
    assert "of-arm64" in found[0].strings
    assert "of-arm64" not in found[1].strings
    assert coverage.gaps == ()


def test_encrypted_code_is_a_gap() -> None:
    """What the store encrypted isn't read as strings; what lies around it is."""
    image = Image(encryption=1, text=b"\0ciphertext\0", plain=b"\0plaintext\0")
    (found,), coverage = _read(ipa(image=image))
    assert found.encrypted is True
    assert "plaintext" in found.strings
    assert "ciphertext" not in found.strings
    assert [gap.where for gap in coverage.gaps_of(Part.NATIVE)] == [EXECUTABLE]
    assert [(seen.read, seen.defined) for seen in coverage.seen] == [(0, 1)]
    (plain,), _ = _read(ipa(image=Image(text=b"\0ciphertext\0")))
    assert plain.encrypted is False
    assert "ciphertext" in plain.strings


def test_which_files_are_code() -> None:
    """Executables, frameworks, extensions and libraries are read; texts without an ending aren't."""
    image = Image(kind=6).data()
    files = ipa() | {
        f"{FOLDER}Frameworks/A.b.framework/A.b": image,
        f"{FOLDER}Frameworks/libswift.dylib": image,
        f"{FOLDER}PlugIns/Share.appex/Share": image,
        f"{FOLDER}LICENSE": b"a text that is no code at all",
        f"{FOLDER}data/blob": image,
    }
    found, coverage = _read(files)
    assert [one.file.rpartition("/")[2] for one in found] == [
        "A.b",
        "libswift.dylib",
        "Share",
        "Shop",
    ]
    assert coverage.gaps == ()


def test_what_flutter_compiled_is_left_to_texts() -> None:
    """Strings of an app's compiled code are read once, as text; its names and hardening are read here."""
    name = "lib/arm64-v8a/libapp.so"
    (found,), _ = _read({name: Library(content=b"\0https://api.example").data()})
    assert found.strings == ()
    assert found.canary is True


def test_strings_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """More strings than are kept of an app are a gap, not a full memory."""
    monkeypatch.setattr(native, "MOST_STRINGS", 50)
    content = b"\0".join(b"string-%d" % number for number in range(100))
    (found,), coverage = _read({SO: Library(content=content).data()})
    assert len(found.strings) == 50
    assert [gap.where for gap in coverage.gaps] == [SO]


@given(st.data())
def test_mutated_bytes_raise_nothing_foreign(data: st.DataObject) -> None:
    """Whatever bytes are changed or cut, fields or ElfError come out."""
    mutated = bytearray(
        Library(symtab=True, lookup=data.draw(st.sampled_from(["gnu", "hash"]))).data()
    )
    for _ in range(data.draw(st.integers(1, 5))):
        mutated[data.draw(st.integers(4, len(mutated) - 1))] = data.draw(
            st.sampled_from([0, 1, 127, 255])
        )
    found = None
    with contextlib.suppress(ElfError):
        found = read_elf(bytes(mutated[: data.draw(st.integers(0, len(mutated)))]))
    assert found is None or found.architecture


APPS = Path(__file__).parents[5] / "shared" / "apps"
"""Real apps that lie beside a clone of this repository; none of them is ours to hand on."""


@pytest.mark.skipif(not APPS.is_dir(), reason="real apps aren't here")
@pytest.mark.parametrize(
    "name",
    [
        "HelloWorld-JNI.apk",
        "UnCrackable-Level3.apk",
        "dvba.apk",
        "UnCrackable-Level1.ipa",
        "UnDebuggable.ipa",
    ],
)
def test_another_reader_says_the_same(name: str) -> None:
    """On real apps names, PIE, canary, RELRO and encryption are those that LIEF reads."""
    reader: Any = lief
    with zipfile.ZipFile(APPS / name) as archive:
        files = {one: archive.read(one) for one in archive.namelist()}
    found, _ = _read(files)
    assert found
    by_file: dict[str, list[Native]] = {}
    for one in found:
        by_file.setdefault(one.file, []).append(one)
    for file, builds in by_file.items():
        if builds[0].form == "elf":
            (build,) = builds
            theirs = reader.ELF.parse(list(files[file]))
            assert build.symbols == {each.name for each in theirs.dynamic_symbols} - {""}
            assert build.executable_stack is (not theirs.has_nx)
            assert build.stripped is (not len(theirs.symtab_symbols))
            segments = {str(each.type).rpartition(".")[2] for each in theirs.segments}
            assert (build.relro != "none") is ("GNU_RELRO" in segments)
        else:
            images = reader.MachO.parse(list(files[file]))
            for build, image in zip(builds, images, strict=True):
                assert build.pie is image.is_pie
                assert build.encrypted is bool(image.encryption_info.crypt_id)
                assert build.symbols <= {each.name for each in image.symbols}
